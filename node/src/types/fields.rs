//! The fields of an encoded protobuf message, read one after the other without making the message: an entry has
//! hundreds of puts, and nobody looks into most of what they say. (Protocol Buffers, "Encoding".)

use std::ops::Range;

/// What is read are not the fields of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed at byte {0}")]
pub struct Malformed(pub usize);

/// One field, and where tag and value lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The number of the field, never 0.
    pub tag: u32,
    /// As it is encoded: what it means is for whoever knows the message.
    pub value: Value<'a>,
    /// Bytes of tag and value in what is read.
    pub place: Range<usize>,
}

/// A value by its wire type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Also of enumerations and truths.
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// What has a length in front: bytes, a text, a message, packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A number, however it is encoded; 0 for bytes.
    pub fn number(self) -> u64 {
        match self {
            Value::Varint(number) | Value::Fixed64(number) => number,
            Value::Fixed32(number) => u64::from(number),
            Value::Bytes(_) => 0,
        }
    }

    /// Bytes, a text or a message; empty for a number.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}

/// Iterates over the fields; nothing comes behind an error.
pub struct Fields<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Looks at nothing yet: what is malformed is found when it is come to.
    pub fn of(data: &'a [u8]) -> Fields<'a> {
        Fields { data, at: 0 }
    }

    // Whoever asks looks at the tag and at one kind of value: what it does not look at is not made.
    #[inline(always)]
    fn read(&mut self) -> Option<Field<'a>> {
        let start = self.at;
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().expect("8 bytes"))),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().expect("4 bytes"))),
            _ => return None,
        };
        let tag = u32::try_from(key >> 3).ok().filter(|tag| *tag != 0)?;
        debug_assert!(
            start < self.at && self.at <= self.data.len(),
            "a field takes bytes, and only such as are there"
        );
        Some(Field { tag, value, place: start..self.at })
    }

    /// Keys, lengths and most numbers have one byte.
    #[inline(always)]
    fn varint(&mut self) -> Option<u64> {
        match self.data.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Some(u64::from(*byte))
            }
            _ => self.longer_varint(),
        }
    }

    fn longer_varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.data.get(self.at)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        debug_assert!(self.at <= self.data.len(), "nothing is read behind the end");
        let taken = self.data.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.data.len() {
            return None;
        }
        let field = self.read().ok_or(Malformed(self.at));
        if field.is_err() {
            self.at = self.data.len();
        }
        debug_assert!(self.at <= self.data.len(), "nothing is read behind the end");
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use trimaran_proto::replica::v1::{Place, Position};

    use super::*;

    #[test]
    fn fields_come_in_their_order_with_their_places() {
        let place = Place { queue: 300, producer: "p".into(), unique: 7, ..Place::default() };
        let data = place.encode_to_vec();
        let fields: Vec<Field> = Fields::of(&data).map(Result::unwrap).collect();
        let values: Vec<(u32, Value)> = fields.iter().map(|field| (field.tag, field.value)).collect();
        assert_eq!(values, [(1, Value::Varint(300)), (3, Value::Bytes(b"p")), (7, Value::Fixed64(7))]);
        assert_eq!(fields.iter().map(|field| field.place.len()).sum::<usize>(), data.len());
        let far = Position { rank: 0, sequence: u64::MAX }.encode_to_vec();
        assert_eq!(Fields::of(&far).next().unwrap().unwrap().value.number(), u64::MAX);
    }

    #[test]
    fn whatever_is_cut_or_wild_ends_with_an_error_or_before() {
        let data =
            Place { queue: 300, producer: "producer".into(), unique: 7, ..Place::default() }.encode_to_vec();
        for length in 0..data.len() {
            let read: Result<Vec<Field>, Malformed> = Fields::of(&data[..length]).collect();
            assert_eq!(read.is_ok(), Place::decode(&data[..length]).is_ok(), "of {length} bytes");
        }
        for wild in [&[0x0b][..], &[0x00, 0x01], &[0xff; 11], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert!(Fields::of(wild).any(|field| field.is_err()), "{wild:02x?}");
        }
    }
}
