//! What a message in PCF has: a header and its parameters (IBM MQ Reference, "PCF structures"). `reader` and `writer` know its bytes.
//!
//! ```text
//! MQCFH   Type StrucLength=36 Version Command MsgSeqNumber Control CompCode Reason ParameterCount
//! MQCFIN  3  Length=16 Parameter Value                  MQCFIN64 23 Length=24 Parameter Reserved Value(8)
//! MQCFIL  5  Length Parameter Count Values              MQCFIL64 25 Length Parameter Count Values(8)
//! MQCFST  4  Length Parameter Ccsid StringLength String
//! MQCFSL  6  Length Parameter Ccsid Count StringLength Strings
//! MQCFBS  9  Length Parameter StringLength Bytes        MQCFGR   20 Length=16 Parameter ParameterCount
//! MQCFIF  13 Length=20 Parameter Operator Value         MQCFBF   15 Length Parameter Operator ValueLength Bytes
//! MQCFSF  14 Length Parameter Operator Ccsid ValueLength String
//! ```
//!
//! Numbers have 4 bytes where nothing else is said; every structure has a length that is a multiple of 4.

use super::numbers::Operator;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 36;

/// MQCFT: what a message is.
pub mod kind {
    pub const COMMAND: i32 = 1;
    pub const RESPONSE: i32 = 2;
    pub const EVENT: i32 = 7;
    /// Of a command whose replies may be of several kinds (MQCFT_COMMAND_XR).
    pub const COMMAND_XR: i32 = 16;
}

/// MQCFT: what a structure is.
pub(super) mod of {
    pub const INTEGER: i32 = 3;
    pub const STRING: i32 = 4;
    pub const INTEGER_LIST: i32 = 5;
    pub const STRING_LIST: i32 = 6;
    pub const BYTE_STRING: i32 = 9;
    pub const INTEGER_FILTER: i32 = 13;
    pub const STRING_FILTER: i32 = 14;
    pub const BYTE_STRING_FILTER: i32 = 15;
    pub const GROUP: i32 = 20;
    pub const INTEGER64: i32 = 23;
    pub const INTEGER64_LIST: i32 = 25;
}

/// The body of a message in PCF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub header: Header,
    pub parameters: Vec<Parameter>,
}

/// MQCFH without its lengths and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// MQCFT: see [`kind`].
    pub kind: i32,
    pub version: i32,
    pub command: i32,
    pub sequence: i32,
    /// MQCFC_LAST: no other message belongs to it.
    pub is_last: bool,
    /// MQCC.
    pub completion: i32,
    pub reason: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub id: i32,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(i32),
    Numbers(Vec<i32>),
    Long(i64),
    Longs(Vec<i64>),
    Text(String),
    Texts(Vec<String>),
    Bytes(Vec<u8>),
    NumberFilter(Operator, i32),
    TextFilter(Operator, String),
    BytesFilter(Operator, Vec<u8>),
    Group(Vec<Parameter>),
}

/// What is wrong with a message or a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// MQRC or MQRCCF.
    pub reason: u32,
    /// The parameter that is meant, if it is one.
    pub parameter: Option<i32>,
    /// A sentence.
    pub why: String,
}

impl Fault {
    pub fn new(reason: u32, why: impl Into<String>) -> Fault {
        Fault { reason, parameter: None, why: why.into() }
    }

    pub fn at(self, parameter: i32) -> Fault {
        Fault { parameter: Some(parameter), ..self }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.reason, self.why)
    }
}

impl Parameter {
    pub fn number(id: i32, number: i32) -> Parameter {
        Parameter { id, value: Value::Number(number) }
    }

    pub fn text(id: i32, text: impl Into<String>) -> Parameter {
        Parameter { id, value: Value::Text(text.into()) }
    }

    /// Without the blanks and zeros that fill texts up.
    pub fn trimmed(&self) -> Parameter {
        let trim = |text: &String| text.trim_end_matches([' ', '\0']).to_string();
        let value = match &self.value {
            Value::Text(text) => Value::Text(trim(text)),
            Value::Texts(texts) => Value::Texts(texts.iter().map(trim).collect()),
            Value::TextFilter(operator, text) => Value::TextFilter(*operator, trim(text)),
            other => other.clone(),
        };
        Parameter { id: self.id, value }
    }
}

impl Header {
    /// Of a command, as its sender writes it.
    pub fn command(command: i32) -> Header {
        Header {
            kind: kind::COMMAND,
            version: 1,
            command,
            sequence: 1,
            is_last: true,
            completion: 0,
            reason: 0,
        }
    }
}
