//! MQRFH2: names and values in front of a body, which JMS and message properties travel in. IBM MQ Reference, "MQRFH2".
//!
//! Read leniently and to the letter of nothing but what is needed: whoever put the message may be any program. What cannot be
//! read says so. Bounded by what is there: nothing is remembered but where one is.
//!
//! ```text
//!  0 "RFH "   4 version, 2   8 length of all   12 encoding, 16 character set, 20 format of what follows
//! 28 flags   32 character set of the folders
//! 36 length of a folder, the folder, blanks up to a multiple of 4, and so on: <usr><n dt='i4'>5</n></usr>
//! ```

use std::borrow::Cow;

use super::wire::{Malformed, Order};

/// The format of a message, or of what follows a header, that begins with one.
pub const FORMAT: &str = "MQHRF2";
/// Bytes in front of the folders.
pub const FIXED_BYTES: usize = 36;
/// Elements within elements.
const DEPTH_MAX: usize = 16;

/// What is in front of the folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of the whole header, folders included; [`FIXED_BYTES`] at least.
    pub bytes: usize,
    /// Another header follows.
    pub is_followed: bool,
    order: Order,
    names_ccsid: i32,
}

/// An element that has a value and no elements in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// With its folder and the groups around it: `usr.color`.
    pub name: &'a str,
    text: &'a str,
    /// What `dt` says.
    kind: &'a str,
    is_null: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
}

impl Header {
    /// # Errors
    /// Unless an MQRFH2 begins here. How its numbers are written is seen at its version, whatever the message says.
    pub fn read(bytes: &[u8]) -> Result<Header, Malformed> {
        let malformed = |at| Malformed { what: "no MQRFH2 begins here", at };
        let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else { return Err(malformed(bytes.len())) };
        if !fixed.starts_with(b"RFH ") {
            return Err(malformed(0));
        }
        let order = match fixed[4..8] {
            [0, 0, 0, 2] => Order::Big,
            [2, 0, 0, 0] => Order::Little,
            _ => return Err(malformed(4)),
        };
        let header = Header {
            bytes: usize::try_from(number(&fixed[8..], order)).unwrap_or(0),
            is_followed: fixed[20..28].trim_ascii_end() == FORMAT.as_bytes(),
            order,
            names_ccsid: number(&fixed[32..], order),
        };
        if header.bytes < FIXED_BYTES { Err(malformed(8)) } else { Ok(header) }
    }

    /// Shows the properties of each folder that is wanted, by its name. `folders` is what follows the fixed part.
    ///
    /// # Errors
    /// When a folder that is wanted is malformed, or lengths do not fit.
    pub fn properties(
        &self,
        folders: &[u8],
        wants: impl Fn(&str) -> bool,
        mut each: impl FnMut(Property<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut at = 0;
        while at < folders.len() {
            let folder = folders.get(at..at + 4).map(|length| number(length, self.order));
            let folder = folder.and_then(|length| {
                let end = usize::try_from(length).ok()?.checked_add(at + 4)?;
                folders.get(at + 4..end)
            });
            let Some(folder) = folder else {
                return Err(Malformed { what: "a folder is longer than its header", at });
            };
            let text = self.text(folder).ok_or(Malformed { what: "a folder is no text", at })?;
            let text = text.trim_end_matches(['\0', ' ']);
            if name_of(text).is_some_and(&wants) {
                show(text, &mut each).map_err(|inner| Malformed { at: at + inner.at, ..inner })?;
            }
            at += 4 + folder.len();
        }
        Ok(())
    }

    fn text<'a>(&self, folder: &'a [u8]) -> Option<Cow<'a, str>> {
        if !matches!(self.names_ccsid, 1200 | 13488 | 17584) {
            return std::str::from_utf8(folder).ok().map(Cow::Borrowed);
        }
        let order = match self.order {
            Order::Big => u16::from_be_bytes,
            Order::Little => u16::from_le_bytes,
        };
        let (units, rest) = folder.as_chunks::<2>();
        let units = units.iter().map(|unit| order(*unit));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.ok().filter(|_| rest.is_empty()).map(Cow::Owned)
    }
}

impl<'a> Property<'a> {
    /// # Errors
    /// When the text is no value of its type. A type that is not known is a text.
    pub fn value(&self) -> Result<Value<'a>, Malformed> {
        let malformed = Malformed { what: "a property is no value of its type", at: 0 };
        if self.is_null {
            return Ok(Value::Null);
        }
        let text = self.text.trim_ascii();
        let value = match self.kind {
            "boolean" => match text {
                "1" | "true" => Some(Value::Boolean(true)),
                "0" | "false" => Some(Value::Boolean(false)),
                _ => None,
            },
            "i1" | "i2" | "i4" | "i8" | "int" => text.parse().ok().map(Value::Integer),
            "r4" | "r8" => text.parse().ok().map(Value::Float),
            "bin.hex" => from_hex(text).map(Value::Bytes),
            _ => unescaped(self.text).map(Value::Text),
        };
        value.ok_or(malformed)
    }
}

/// Four bytes at the begin.
fn number(bytes: &[u8], order: Order) -> i32 {
    let bytes = bytes.first_chunk().copied().unwrap_or_default();
    match order {
        Order::Big => i32::from_be_bytes(bytes),
        Order::Little => i32::from_le_bytes(bytes),
    }
}

/// Pairs of hexadecimal digits; None when they are none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// The characters that XML has other spellings for.
fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    let Some(first) = text.find('&') else { return Some(text.into()) };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let (name, behind) = rest[at + 1..].split_once(';')?;
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        rest = behind;
    }
    plain.push_str(rest);
    Some(plain.into())
}

// ---- elements -------------------------------------------------------------------------------------------------

/// The name of a folder.
fn name_of(text: &str) -> Option<&str> {
    let name = text.trim_start().strip_prefix('<')?;
    Some(&name[..name.find(ends_name)?])
}

fn ends_name(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, '<' | '>' | '/' | '=' | '\'' | '"')
}

/// An element that has begun and not ended.
struct Open<'a> {
    name: &'a str,
    /// How much of the path is in front of it.
    path_before: usize,
    kind: &'a str,
    is_null: bool,
    has_elements: bool,
    content: usize,
}

/// What stands between `<` and `>`.
struct Tag<'a> {
    name: &'a str,
    kind: &'a str,
    is_null: bool,
    /// `<name/>`
    is_whole: bool,
    /// Behind it.
    end: usize,
}

fn show(text: &str, each: &mut impl FnMut(Property<'_>) -> Result<(), Malformed>) -> Result<(), Malformed> {
    let mut path = String::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('<') {
        let begin = at + found;
        let malformed = |what| Malformed { what, at: begin };
        if let Some(closing) = text[begin..].strip_prefix("</") {
            let closed = open.pop().ok_or(malformed("an element ends that did not begin"))?;
            let (name, _) = closing.split_once('>').ok_or(malformed("an element does not end"))?;
            if name.trim_ascii_end() != closed.name {
                return Err(malformed("an element ends by another name"));
            }
            if !closed.has_elements && !open.is_empty() {
                let Open { kind, is_null, content, .. } = closed;
                each(Property { name: &path, text: &text[content..begin], kind, is_null })?;
            }
            path.truncate(closed.path_before);
            at = begin + 3 + name.len();
            continue;
        }
        let tag = tag(text, begin)?;
        if let Some(around) = open.last_mut() {
            around.has_elements = true;
        }
        let path_before = path.len();
        if !open.is_empty() {
            path.push('.');
        }
        path.push_str(tag.name);
        at = tag.end;
        let Tag { name, kind, is_null, .. } = tag;
        if !tag.is_whole {
            if open.len() == DEPTH_MAX {
                return Err(malformed("elements lie too deep in each other"));
            }
            open.push(Open { name, path_before, kind, is_null, has_elements: false, content: at });
            continue;
        }
        if !open.is_empty() {
            each(Property { name: &path, text: "", kind, is_null })?;
        }
        path.truncate(path_before);
    }
    if open.is_empty() { Ok(()) } else { Err(Malformed { what: "an element does not end", at: text.len() }) }
}

/// The tag that begins at `begin`.
fn tag(text: &str, begin: usize) -> Result<Tag<'_>, Malformed> {
    let malformed = Malformed { what: "no tag of an element", at: begin };
    let mut at = begin + 1;
    let word = |at: usize| text[at..].find(ends_name).map(|length| &text[at..at + length]);
    let name = word(at).filter(|name| !name.is_empty() && !name.starts_with(['?', '!'])).ok_or(malformed)?;
    at += name.len();
    let mut tag = Tag { name, kind: "", is_null: false, is_whole: false, end: 0 };
    loop {
        let rest = text[at..].trim_ascii_start();
        at = text.len() - rest.len();
        if rest.starts_with('>') {
            tag.end = at + 1;
            return Ok(tag);
        }
        if rest.starts_with("/>") {
            (tag.end, tag.is_whole) = (at + 2, true);
            return Ok(tag);
        }
        let attribute = word(at).filter(|attribute| !attribute.is_empty()).ok_or(malformed)?;
        let rest = rest[attribute.len()..].trim_ascii_start().strip_prefix('=').ok_or(malformed)?;
        let rest = rest.trim_ascii_start();
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"')).ok_or(malformed)?;
        let (value, rest) = rest[1..].split_once(quote).ok_or(malformed)?;
        match attribute {
            "dt" => tag.kind = value,
            "xsi:nil" => tag.is_null = value == "true",
            _ => {}
        }
        at = text.len() - rest.len();
    }
}

/// A header with these folders, as JMS writes one: for tests and for programs that set properties.
pub fn encode(format: &str, folders: &[&str]) -> Vec<u8> {
    let mut bytes = b"RFH \0\0\0\x02\0\0\0\0".to_vec();
    bytes.extend(273i32.to_be_bytes());
    bytes.extend(1208i32.to_be_bytes());
    bytes.extend(format!("{format:8.8}").bytes());
    bytes.extend(0i32.to_be_bytes());
    bytes.extend(1208i32.to_be_bytes());
    for folder in folders {
        let length = folder.len().next_multiple_of(4);
        bytes.extend((length as i32).to_be_bytes());
        bytes.extend(folder.bytes());
        bytes.resize(bytes.len() + length - folder.len(), b' ');
    }
    let length = (bytes.len() as i32).to_be_bytes();
    bytes[8..12].copy_from_slice(&length);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], folder: &str) -> Result<Vec<(String, Value<'static>)>, Malformed> {
        let mut found = Vec::new();
        let header = Header::read(bytes)?;
        header.properties(
            &bytes[FIXED_BYTES..],
            |name| name == folder,
            |property| {
                let value = match property.value()? {
                    Value::Text(text) => Value::Text(text.into_owned().into()),
                    Value::Null => Value::Null,
                    Value::Boolean(value) => Value::Boolean(value),
                    Value::Integer(value) => Value::Integer(value),
                    Value::Float(value) => Value::Float(value),
                    Value::Bytes(value) => Value::Bytes(value),
                };
                found.push((property.name.to_string(), value));
                Ok(())
            },
        )?;
        Ok(found)
    }

    fn usr(inner: &str) -> Result<Vec<(String, Value<'static>)>, Malformed> {
        read(&encode("", &[&format!("<usr>{inner}</usr>")]), "usr")
    }

    #[test]
    fn a_header_as_jms_writes_it_is_read() {
        let bytes = encode(
            "MQSTR",
            &["<mcd><Msd>jms_text</Msd></mcd>", "<jms><Dst>queue:///Q</Dst><Dlv>2</Dlv></jms>  "],
        );
        let header = Header::read(&bytes).unwrap();
        assert_eq!((header.bytes, header.is_followed), (bytes.len(), false));
        assert_eq!(read(&bytes, "mcd").unwrap(), [("mcd.Msd".into(), Value::Text("jms_text".into()))]);
        let jms = read(&bytes, "jms").unwrap();
        assert_eq!(jms.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["jms.Dst", "jms.Dlv"]);
        assert_eq!(read(&bytes, "usr").unwrap(), []);
    }

    #[test]
    fn a_property_has_the_type_that_it_says() {
        let types: [(&str, Value<'_>); 14] = [
            ("<p>a b</p>", Value::Text("a b".into())),
            ("<p dt='string'>&lt;&amp;&#228;&#xe4;&apos;&quot;&gt;</p>", Value::Text("<&ää'\">".into())),
            ("<p/>", Value::Text("".into())),
            ("<p dt = \"i4\" x='y' > 5 </p>", Value::Integer(5)),
            ("<p dt='i8'>-9223372036854775808</p>", Value::Integer(i64::MIN)),
            ("<p dt='i1'>1</p>", Value::Integer(1)),
            ("<p dt='i2'>-2</p>", Value::Integer(-2)),
            ("<p dt='int'>3</p>", Value::Integer(3)),
            ("<p dt='r4'>1.5</p>", Value::Float(1.5)),
            ("<p dt='r8'>-1.5E3</p>", Value::Float(-1500.0)),
            ("<p dt='boolean'>1</p>", Value::Boolean(true)),
            ("<p dt='boolean'>false</p>", Value::Boolean(false)),
            ("<p dt='bin.hex'>00fF</p>", Value::Bytes(vec![0, 255])),
            ("<p xsi:nil='true'></p>", Value::Null),
        ];
        for (text, expected) in types {
            assert_eq!(usr(text).unwrap(), [("usr.p".to_string(), expected)], "{text}");
        }
    }

    #[test]
    fn groups_give_names_and_have_no_value() {
        let found = usr("<a><b dt='i4'>1</b><c>2</c></a><d>3</d>").unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["usr.a.b", "usr.a.c", "usr.d"]);
    }

    #[test]
    fn what_is_malformed_says_so_and_what_is_not_wanted_is_not_read() {
        let deep = "<a>".repeat(20);
        for wrong in [
            "<p>",
            "</p>",
            "<p>1</q>",
            "<p dt>1</p>",
            "<p dt='i4>1</p>",
            "<p dt='i4'>x</p>",
            "<p dt='boolean'>2</p>",
            "<p dt='bin.hex'>123</p>",
            "<p>&what;</p>",
            "<p>&#xD800;</p>",
            "<!-- -->",
            "<?x?>",
            "< p>1</p>",
            "<",
            &deep,
        ] {
            assert!(usr(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read(&encode("", &["<usr><p>", "<jms><Pri>1</Pri></jms>"]), "jms").unwrap().len(), 1);
    }

    #[test]
    fn names_may_be_in_two_bytes_and_numbers_in_either_order() {
        let mut bytes = b"RFH \x02\0\0\0".to_vec();
        let folder: Vec<u8> = "<usr><p>ä</p></usr>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        bytes.extend((FIXED_BYTES as i32 + 4 + folder.len() as i32).to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(b"MQHRF2  \0\0\0\0");
        bytes.extend(1200i32.to_le_bytes());
        bytes.extend((folder.len() as i32).to_le_bytes());
        bytes.extend(folder);
        assert!(Header::read(&bytes).unwrap().is_followed);
        assert_eq!(read(&bytes, "usr").unwrap(), [("usr.p".into(), Value::Text("ä".into()))]);
    }

    #[test]
    fn whatever_is_cut_or_changed_ends_with_an_error_or_without() {
        let bytes = encode("", &["<usr><a dt='i4'>1</a><b>&lt;</b></usr>", "<jms><Pri>4</Pri></jms>"]);
        for length in 0..bytes.len() {
            let _ = read(&bytes[..length], "usr");
            for byte in [0, b'<', b'>', b'&', 0xFF] {
                let mut changed = bytes.clone();
                changed[length] = byte;
                let _ = read(&changed, "usr");
            }
        }
        assert!(read(&bytes[..FIXED_BYTES - 1], "usr").is_err());
    }
}
