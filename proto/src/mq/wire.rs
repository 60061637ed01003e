//! Numbers, fixed text and raw bytes, in the byte order of the segment they travel in.
//!
//! Every read checks the bytes that are there first; nothing is allocated by a length that a peer only claims.

use bytes::{BufMut, Bytes, BytesMut};

/// How integers of a segment are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    Big = 1,
    #[default]
    Little = 2,
}

/// What cannot be read, and how many bytes of the body were read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    pub what: &'static str,
    pub at: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}

/// Reads a body from its begin.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
    pub order: Order,
}

impl Reader {
    pub fn new(bytes: Bytes, order: Order) -> Reader {
        Reader { bytes, at: 0, order }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    /// The next `length` bytes; shares memory with the segment.
    pub fn bytes(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.left() {
            return Err(self.malformed("the segment ends too early"));
        }
        let taken = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(taken)
    }

    pub fn rest(&mut self) -> Bytes {
        let rest = self.bytes.slice(self.at..);
        self.at = self.bytes.len();
        rest
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let Some(found) = self.bytes[self.at..].first_chunk::<N>() else {
            return Err(self.malformed("the segment ends too early"));
        };
        let found = *found;
        self.at += N;
        Ok(found)
    }

    pub fn get<F: Field>(&mut self) -> Result<F, Malformed> {
        F::read(self)
    }

    /// An integer that is big-endian whatever the segment says.
    pub fn big_u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// The four letters that a structure begins with.
    pub fn eyecatcher(&mut self, expected: &[u8; 4], what: &'static str) -> Result<(), Malformed> {
        let at = self.at;
        if &self.array::<4>()? == expected { Ok(()) } else { Err(Malformed { what, at }) }
    }

    /// A version from 1 to `most`.
    pub fn version(&mut self, most: u32, what: &'static str) -> Result<u32, Malformed> {
        let at = self.at;
        match self.get::<u32>()? {
            version if (1..=most).contains(&version) => Ok(version),
            _ => Err(Malformed { what, at }),
        }
    }

    /// What the next four bytes are, without reading them.
    pub fn sees(&self, eyecatcher: &[u8; 4]) -> bool {
        self.bytes[self.at..].starts_with(eyecatcher)
    }
}

/// MQMD and the longest options of a put or a get are shorter.
const USUAL_BYTES: usize = 768;

/// Writes a body.
#[derive(Debug)]
pub struct Writer {
    pub out: BytesMut,
    pub order: Order,
}

impl Writer {
    /// With room for what most calls have.
    pub fn new(order: Order) -> Writer {
        Writer { out: BytesMut::with_capacity(USUAL_BYTES), order }
    }

    pub fn put<F: Field>(&mut self, field: &F) {
        field.write(self);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    pub fn big_u32(&mut self, number: u32) {
        self.out.put_u32(number);
    }

    /// Zeros until the length is a multiple of 4, counted from `from`.
    pub fn pad(&mut self, from: usize) {
        let over = (self.out.len() - from) % 4;
        if over > 0 {
            self.out.put_bytes(0, 4 - over);
        }
    }
}

/// Something of a fixed length on the wire.
pub trait Field: Sized {
    fn read(from: &mut Reader) -> Result<Self, Malformed>;
    fn write(&self, into: &mut Writer);
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn read(from: &mut Reader) -> Result<Self, Malformed> {
                let bytes = from.array()?;
                Ok(match from.order {
                    Order::Big => <$number>::from_be_bytes(bytes),
                    Order::Little => <$number>::from_le_bytes(bytes),
                })
            }

            fn write(&self, into: &mut Writer) {
                match into.order {
                    Order::Big => into.bytes(&self.to_be_bytes()),
                    Order::Little => into.bytes(&self.to_le_bytes()),
                }
            }
        }
    )*};
}

numbers! { u8 u16 u32 i32 i64 }

/// Characters of a fixed length, kept as they came. What follows the first NUL counts as blank.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize>(pub [u8; N]);

impl<const N: usize> Text<N> {
    /// Cut to the length, padded with blanks.
    pub fn new(text: &str) -> Text<N> {
        Text::from_bytes(text.as_bytes())
    }

    pub fn from_bytes(text: &[u8]) -> Text<N> {
        let mut field = [b' '; N];
        let length = text.len().min(N);
        field[..length].copy_from_slice(&text[..length]);
        Text(field)
    }

    /// Without NULs and blanks at the end.
    pub fn trimmed(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(N);
        self.0[..end].trim_ascii_end()
    }

    pub fn is_blank(&self) -> bool {
        self.trimmed().is_empty()
    }

    /// As text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.trimmed()).into_owned()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Text<N> {
        Text([b' '; N])
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

impl<const N: usize> Field for Text<N> {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        from.array().map(Text)
    }

    fn write(&self, into: &mut Writer) {
        into.bytes(&self.0);
    }
}

/// Bytes of a fixed length that are no characters: ids, tokens, tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<const N: usize>(pub [u8; N]);

impl<const N: usize> Raw<N> {
    /// Cut to the length, padded with zeros.
    pub fn new(bytes: &[u8]) -> Raw<N> {
        let mut field = [0; N];
        let length = bytes.len().min(N);
        field[..length].copy_from_slice(&bytes[..length]);
        Raw(field)
    }

    pub fn is_zero(&self) -> bool {
        self.0 == [0; N]
    }
}

impl<const N: usize> Default for Raw<N> {
    fn default() -> Raw<N> {
        Raw([0; N])
    }
}

impl<const N: usize> std::fmt::Debug for Raw<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.0[..end].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> Field for Raw<N> {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        from.array().map(Raw)
    }

    fn write(&self, into: &mut Writer) {
        into.bytes(&self.0);
    }
}

/// A structure of fixed fields. The number behind a field is the version (or the size class) that it came with; what a
/// version does not have is its default when read, and not written.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty, $since:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$about])* pub $field: $type,)* }

        impl $name {
            fn read_fields(from: &mut $crate::mq::wire::Reader, version: u32) -> Result<$name, $crate::mq::wire::Malformed> {
                Ok($name { $($field: if version >= $since { from.get()? } else { <$type>::default() },)* })
            }

            fn write_fields(&self, into: &mut $crate::mq::wire::Writer, version: u32) {
                $(if version >= $since { into.put(&self.$field); })*
            }
        }
    };
}

/// A [`layout`] that begins with four letters and its version.
macro_rules! versioned {
    ($(#[$doc:meta])* $name:ident($eyecatcher:literal, $most:literal, $no:literal) { $($(#[$about:meta])* $field:ident: $type:ty, $since:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { pub version: u32, $($(#[$about])* pub $field: $type,)* }

        impl $name {
            pub fn read(from: &mut $crate::mq::wire::Reader) -> Result<$name, $crate::mq::wire::Malformed> {
                from.eyecatcher($eyecatcher, $no)?;
                let version = from.version($most, $no)?;
                Ok($name { version, $($field: if version >= $since { from.get()? } else { <$type>::default() },)* })
            }

            pub fn write(&self, into: &mut $crate::mq::wire::Writer) {
                into.bytes($eyecatcher);
                into.put(&self.version);
                $(if self.version >= $since { into.put(&self.$field); })*
            }
        }
    };
}
pub(crate) use {layout, versioned};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_the_order_that_the_segment_says() {
        let bytes = Bytes::from_static(&[0, 0, 1, 2]);
        assert_eq!(Reader::new(bytes.clone(), Order::Big).get(), Ok(0x102u32));
        assert_eq!(Reader::new(bytes, Order::Little).get(), Ok(0x0201_0000u32));
    }

    #[test]
    fn text_ends_at_its_first_nul_and_without_blanks() {
        assert_eq!(Text(*b"QM1 \0x  ").text(), "QM1");
        assert_eq!(Text::<4>::new("QM").0, *b"QM  ");
        assert!(Text(*b"\0abc").is_blank());
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let mut reader = Reader::new(Bytes::from_static(b"abc"), Order::Big);
        assert_eq!(reader.get::<u32>(), Err(Malformed { what: "the segment ends too early", at: 0 }));
        assert!(reader.bytes(usize::MAX).is_err());
        assert_eq!(reader.rest(), "abc");
    }
}
