//! Structures of PCF to bytes, in either byte order.

use bytes::{BufMut, BytesMut};

use super::structure::{HEADER_BYTES, Header, Message, Parameter, Value, of};
use crate::mq::characters::{self, Written};

impl Message {
    /// The message as bytes. What the character set has no character for is replaced; a set that is not known here is a mistake of
    /// the caller's, who asks [`can_write`] first.
    pub fn write(&self, written: Written) -> BytesMut {
        let mut writer = Writer { out: BytesMut::with_capacity(1024), written };
        let Header { kind, version, command, sequence, is_last, completion, reason } = self.header;
        let count = self.parameters.len() as i32;
        let fields = [
            kind,
            HEADER_BYTES as i32,
            version,
            command,
            sequence,
            i32::from(is_last),
            completion,
            reason,
            count,
        ];
        fields.into_iter().for_each(|field| writer.number(field));
        self.parameters.iter().for_each(|parameter| writer.parameter(parameter));
        writer.out
    }
}

/// Whether texts can be written in this character set.
pub fn can_write(ccsid: i32) -> bool {
    characters::encoded("".into(), Written { ccsid, is_big: true }).is_some()
}

struct Writer {
    out: BytesMut,
    written: Written,
}

impl Writer {
    fn number(&mut self, number: i32) {
        match self.written.is_big {
            true => self.out.put_i32(number),
            false => self.out.put_i32_le(number),
        }
    }

    fn long(&mut self, number: i64) {
        match self.written.is_big {
            true => self.out.put_i64(number),
            false => self.out.put_i64_le(number),
        }
    }

    fn parameter(&mut self, parameter: &Parameter) {
        let id = parameter.id;
        match &parameter.value {
            Value::Number(number) => {
                self.begin(of::INTEGER, 16, id);
                self.number(*number);
            }
            Value::Long(number) => {
                self.begin(of::INTEGER64, 24, id);
                self.number(0);
                self.long(*number);
            }
            Value::Numbers(numbers) => {
                self.begin(of::INTEGER_LIST, 16 + 4 * numbers.len(), id);
                self.number(numbers.len() as i32);
                numbers.iter().for_each(|number| self.number(*number));
            }
            Value::Longs(numbers) => {
                self.begin(of::INTEGER64_LIST, 16 + 8 * numbers.len(), id);
                self.number(numbers.len() as i32);
                numbers.iter().for_each(|number| self.long(*number));
            }
            Value::Text(text) => {
                let text = self.encoded(text);
                self.begin(of::STRING, 20 + text.len(), id);
                self.number(self.written.ccsid);
                self.filled(&text);
            }
            Value::Texts(texts) => self.texts(id, texts),
            Value::Bytes(bytes) => {
                self.begin(of::BYTE_STRING, 16 + bytes.len(), id);
                self.filled(bytes);
            }
            Value::NumberFilter(operator, number) => {
                self.begin(of::INTEGER_FILTER, 20, id);
                self.number(*operator as i32);
                self.number(*number);
            }
            Value::TextFilter(operator, text) => {
                let text = self.encoded(text);
                self.begin(of::STRING_FILTER, 24 + text.len(), id);
                self.number(*operator as i32);
                self.number(self.written.ccsid);
                self.filled(&text);
            }
            Value::BytesFilter(operator, bytes) => {
                self.begin(of::BYTE_STRING_FILTER, 20 + bytes.len(), id);
                self.number(*operator as i32);
                self.filled(bytes);
            }
            Value::Group(parameters) => {
                self.begin(of::GROUP, 16, id);
                self.number(parameters.len() as i32);
                parameters.iter().for_each(|parameter| self.parameter(parameter));
            }
        }
    }

    /// All of them as long as the longest.
    fn texts(&mut self, id: i32, texts: &[String]) {
        let texts: Vec<Vec<u8>> = texts.iter().map(|text| self.encoded(text)).collect();
        let blank = self.encoded(" ");
        let length = texts.iter().map(Vec::len).max().map_or(0, |longest| longest.max(blank.len()));
        self.begin(of::STRING_LIST, 24 + texts.len() * length, id);
        self.number(self.written.ccsid);
        self.number(texts.len() as i32);
        self.number(length as i32);
        let from = self.out.len();
        for text in texts {
            self.out.put_slice(&text);
            (text.len()..length).step_by(blank.len().max(1)).for_each(|_| self.out.put_slice(&blank));
        }
        self.pad(from);
    }

    /// Type, length and parameter; the length is made a multiple of 4.
    fn begin(&mut self, kind: i32, length: usize, id: i32) {
        self.number(kind);
        self.number(length.next_multiple_of(4) as i32);
        self.number(id);
    }

    /// A length, so many bytes, and zeros.
    fn filled(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as i32);
        let from = self.out.len();
        self.out.put_slice(bytes);
        self.pad(from);
    }

    fn pad(&mut self, from: usize) {
        let length = self.out.len() - from;
        self.out.put_bytes(0, length.next_multiple_of(4) - length);
    }

    fn encoded(&self, text: &str) -> Vec<u8> {
        characters::encoded(text.into(), self.written).map(Vec::from).unwrap_or_default()
    }
}
