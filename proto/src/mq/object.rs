//! Structures of opens: MQOD with its strings, and what an open tells of an object's defaults (FOPA, LPOO).

use bytes::Bytes;

use super::wire::{Field, Malformed, Raw, Reader, Text, Writer, layout, versioned};

/// MQCHARV: a string that lies behind its structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VariableText {
    pub pointer: u32,
    /// From the begin of the structure.
    pub offset: u32,
    pub buffer_length: u32,
    pub length: i32,
    pub ccsid: i32,
}

impl Field for VariableText {
    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        Ok(VariableText {
            pointer: from.get()?,
            offset: from.get()?,
            buffer_length: from.get()?,
            length: from.get()?,
            ccsid: from.get()?,
        })
    }

    fn write(&self, into: &mut Writer) {
        into.put(&self.pointer);
        into.put(&self.offset);
        into.put(&self.buffer_length);
        into.put(&self.length);
        into.put(&self.ccsid);
    }
}

versioned! {
    /// MQOD without its strings: version 1 (168 bytes), 2 (200 bytes), 3 (336 bytes) or 4 (400 bytes).
    OdFields(b"OD  ", 4, "no MQOD of version 1 to 4 begins here") {
        object_type: i32, 1;
        object: Text<48>, 1;
        object_queue_manager: Text<48>, 1;
        dynamic_queue: Text<48>, 1;
        alternate_user: Text<12>, 1;
        records_present: i32, 2;
        known_destinations: i32, 2;
        unknown_destinations: i32, 2;
        invalid_destinations: i32, 2;
        record_offset: i32, 2;
        response_offset: i32, 2;
        record_pointer: u32, 2;
        response_pointer: u32, 2;
        alternate_security_id: Raw<40>, 3;
        resolved_queue: Text<48>, 3;
        resolved_queue_manager: Text<48>, 3;
        object_string: VariableText, 4;
        selection: VariableText, 4;
        resolved_string: VariableText, 4;
        resolved_type: i32, 4;
    }
}

/// MQOD and the strings behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Od {
    pub fields: OdFields,
    /// What lies behind the structure, as it came.
    pub strings: Bytes,
}

impl Od {
    pub fn new(fields: OdFields) -> Od {
        Od { fields, strings: Bytes::new() }
    }

    /// Whether it has a SelectionString.
    pub fn has_selection(&self) -> bool {
        self.fields.version >= 4 && self.fields.selection.length > 0
    }

    fn fixed_bytes(&self) -> usize {
        match self.fields.version {
            1 => 168,
            2 => 200,
            3 => 336,
            _ => 400,
        }
    }

    pub fn encoded_bytes(&self) -> usize {
        self.fixed_bytes() + self.strings.len()
    }

    /// `length` is what a structure around it says of its length, if one does.
    pub fn read(from: &mut Reader, length: Option<usize>) -> Result<Od, Malformed> {
        let mut od = Od::new(OdFields::read(from)?);
        let behind = match length {
            Some(length) => length.saturating_sub(od.fixed_bytes()),
            None => od.strings_bytes(),
        };
        od.strings = from.bytes(behind)?;
        Ok(od)
    }

    pub fn write(&self, into: &mut Writer) {
        self.fields.write(into);
        into.bytes(&self.strings);
    }

    /// How far the strings reach by what their fields say, to a multiple of 4.
    fn strings_bytes(&self) -> usize {
        let fields = [self.fields.object_string, self.fields.selection, self.fields.resolved_string];
        let ends = fields.iter().filter(|text| text.length > 0 && text.offset > 0);
        let end = ends.map(|text| text.offset as usize + text.length as usize).max().unwrap_or(0);
        end.saturating_sub(self.fixed_bytes()).next_multiple_of(4)
    }

    /// The characters of a string; None when they lie outside of what came.
    pub fn string(&self, text: &VariableText) -> Option<Bytes> {
        if text.length <= 0 {
            return Some(Bytes::new());
        }
        let begin = (text.offset as usize).checked_sub(self.fixed_bytes())?;
        let end = begin.checked_add(text.length as usize)?;
        (end <= self.strings.len()).then(|| self.strings.slice(begin..end))
    }
}

versioned! {
    /// The defaults of an object, of MQOPEN: version 1 (28 bytes) or 2 (84 bytes).
    Fopa(b"FOPA", 2, "no FOPA of version 1 or 2 begins here") {
        length: u32, 1;
        default_persistence: i32, 1;
        default_put_response: i32, 1;
        default_read_ahead: i32, 1;
        property_control: i32, 1;
        protection_queue: Text<48>, 2;
        /// Where more data begins.
        more_offset: u32, 2;
        /// How much of it there is, or in a request how much may be.
        more_length: u32, 2;
    }
}

layout! {
    /// Options and defaults of an object, of the SPI's open.
    LpooFields {
        options: u32, 1;
        internal_options: u32, 1;
        default_persistence: i32, 1;
        default_put_response: i32, 1;
        default_read_ahead: i32, 1;
        property_control: i32, 1;
        protection_queue: Text<48>, 2;
        more_offset: u32, 2;
        more_length: u32, 2;
    }
}

/// LPOO: 32 bytes at old levels, 88 bytes since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lpoo {
    pub version: u32,
    /// 1: 32 bytes, 2: 88 bytes.
    pub size: u32,
    pub fields: LpooFields,
}

impl Lpoo {
    pub fn encoded_bytes(&self) -> usize {
        if self.size == 1 { 32 } else { 88 }
    }

    pub fn read(from: &mut Reader) -> Result<Lpoo, Malformed> {
        from.eyecatcher(b"LPOO", "no LPOO begins here")?;
        let version = from.get()?;
        let mut fields = LpooFields::read_fields(from, 1)?;
        // An MQOD follows the short form directly.
        if from.sees(b"OD  ") {
            return Ok(Lpoo { version, size: 1, fields });
        }
        fields.protection_queue = from.get()?;
        fields.more_offset = from.get()?;
        fields.more_length = from.get()?;
        Ok(Lpoo { version, size: 2, fields })
    }

    pub fn write(&self, into: &mut Writer) {
        into.bytes(b"LPOO");
        into.put(&self.version);
        self.fields.write_fields(into, self.size);
    }
}
