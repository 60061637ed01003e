//! Character sets that bodies of messages are converted between when a program asks for it (MQGMO_CONVERT).

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;

/// The upper half of code page 437.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
/// The upper half of code page 850.
const CP850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";
/// What stands for a character that the target does not have.
const SUBSTITUTE: u8 = 0x1A;

/// How text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub ccsid: i32,
    /// Of units of several bytes: the higher one first.
    pub is_big: bool,
}

/// The text in another character set; None when one of the two is not known here or the text is not in `from`. Looks at each
/// byte once or twice.
pub fn converted(text: &[u8], from: Written, to: Written) -> Option<Bytes> {
    let text = decoded(text, from)?;
    encoded(text, to)
}

/// A text in a character set; None when that is not known here.
pub fn encoded(text: Cow<'_, str>, to: Written) -> Option<Bytes> {
    Some(match to.ccsid {
        1208 => Bytes::from(text.into_owned()),
        1200 | 13488 => {
            let order = if to.is_big { u16::to_be_bytes } else { u16::to_le_bytes };
            let mut units = Vec::with_capacity(text.len() * 2);
            text.encode_utf16().for_each(|unit| units.extend_from_slice(&order(unit)));
            units.into()
        }
        819 => in_one_byte_each(&text, |c| u8::try_from(c).unwrap_or(SUBSTITUTE)),
        437 => in_one_byte_each(&text, |c| PAGE437.byte(c)),
        850 => in_one_byte_each(&text, |c| PAGE850.byte(c)),
        _ => return None,
    })
}

fn in_one_byte_each(text: &str, byte: impl Fn(char) -> u8) -> Bytes {
    let mut bytes = Vec::with_capacity(text.len());
    bytes.extend(text.chars().map(byte));
    bytes.into()
}

/// What the bytes say; None when the character set is not known here or they are no text of it.
pub fn decoded(text: &[u8], from: Written) -> Option<Cow<'_, str>> {
    match from.ccsid {
        1208 => std::str::from_utf8(text).ok().map(Cow::Borrowed),
        1200 | 13488 => {
            let (units, rest) = text.as_chunks::<2>();
            if !rest.is_empty() {
                return None;
            }
            let order = if from.is_big { u16::from_be_bytes } else { u16::from_le_bytes };
            let mut decoded = String::with_capacity(text.len());
            for c in char::decode_utf16(units.iter().map(|unit| order(*unit))) {
                decoded.push(c.ok()?);
            }
            Some(Cow::Owned(decoded))
        }
        819 => Some(from_one_byte_each(text, char::from)),
        437 => Some(from_one_byte_each(text, |byte| PAGE437.character(byte))),
        850 => Some(from_one_byte_each(text, |byte| PAGE850.character(byte))),
        _ => None,
    }
}

fn from_one_byte_each(text: &[u8], character: impl Fn(u8) -> char) -> Cow<'_, str> {
    // The lower half is the same everywhere.
    if text.is_ascii()
        && let Ok(text) = std::str::from_utf8(text)
    {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len() * 2);
    decoded.extend(text.iter().map(|byte| character(*byte)));
    Cow::Owned(decoded)
}

static PAGE437: LazyLock<Page> = LazyLock::new(|| Page::new(CP437));
static PAGE850: LazyLock<Page> = LazyLock::new(|| Page::new(CP850));

/// A code page, looked up in both directions.
struct Page {
    upper: Vec<char>,
    /// By character, up to the last one that the page has: about 10 KB.
    bytes: Vec<u8>,
}

impl Page {
    fn new(upper: &str) -> Page {
        let upper: Vec<char> = upper.chars().collect();
        assert_eq!(upper.len(), 128, "a code page has an upper half");
        let last = upper.iter().max().map_or(0, |last| *last as usize);
        let mut bytes = vec![SUBSTITUTE; last + 1];
        for (at, c) in upper.iter().enumerate() {
            bytes[*c as usize] = 0x80 + at as u8;
        }
        (0..0x80u8).for_each(|byte| bytes[usize::from(byte)] = byte);
        Page { upper, bytes }
    }

    fn byte(&self, c: char) -> u8 {
        self.bytes.get(c as usize).copied().unwrap_or(SUBSTITUTE)
    }

    fn character(&self, byte: u8) -> char {
        if byte < 0x80 { char::from(byte) } else { self.upper[usize::from(byte - 0x80)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ccsid: i32) -> Written {
        Written { ccsid, is_big: true }
    }

    fn converted(text: &[u8], from: i32, to: i32) -> Option<Bytes> {
        super::converted(text, written(from), written(to))
    }

    #[test]
    fn every_page_has_128_characters_and_comes_back() {
        for ccsid in [819, 437, 850] {
            let all: Vec<u8> = (0..=255).collect();
            let utf8 = converted(&all, ccsid, 1208).unwrap();
            assert_eq!(converted(&utf8, 1208, ccsid).unwrap(), all, "{ccsid}");
        }
        assert_eq!(converted(&[0x1A, 0xFF, 0xE1], 437, 1208).unwrap(), "\u{1A}\u{A0}ß".as_bytes());
    }

    #[test]
    fn what_the_target_does_not_have_is_substituted_and_what_is_unknown_is_left() {
        assert_eq!(converted("a€".as_bytes(), 1208, 819).unwrap(), &b"a\x1A"[..]);
        assert_eq!(converted("a€😀z".as_bytes(), 1208, 437).unwrap(), &b"a\x1A\x1Az"[..]);
        assert_eq!(converted("é".as_bytes(), 1208, 850).unwrap(), &[0x82][..]);
        assert_eq!(converted("é".as_bytes(), 1208, 1200).unwrap(), &[0, 0xE9][..]);
        assert_eq!(converted(b"a", 1208, 500), None);
        assert_eq!(converted(&[0xFF], 1208, 819), None);
    }

    #[test]
    fn units_of_two_bytes_have_an_order_at_both_ends() {
        let big = written(1200);
        let little = Written { is_big: false, ..big };
        assert_eq!(super::converted(&[0, 0xE9], big, little).unwrap(), &[0xE9, 0][..]);
        assert_eq!(super::converted(&[0x3D, 0xD8, 0, 0xDE], little, written(1208)).unwrap(), "😀".as_bytes());
        assert_eq!(super::converted(&[0x3D, 0xD8], little, big), None, "half of a pair");
        assert_eq!(super::converted(&[0], little, big), None);
    }
}
