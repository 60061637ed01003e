//! PCF: the commands in which programs administer a queue manager, as messages.
//!
//! Bytes to structures and back ([`read`], [`Message::write`]), and a command as a conversation without IO ([`Asking`]): it says what
//! is to be asked, in the requests of [`crate::mqsc`], and makes replies of the answers. What can be said of an object is the table in
//! [`crate::attribute`], whose selectors are PCF's numbers; what a command means is MQSC's.
//!
//! Source: IBM MQ Reference, "Programmable Command Formats"; numbers are those of IBM's public headers.

mod numbers;
mod structure;
mod reader;
mod writer;
mod attributes;
mod status;
mod table;
mod said;
mod records;
mod command;
mod asking;
pub mod event;

pub use asking::{Asking, refusal};
pub use numbers::{Operator, command as commands, parameter, reason};
pub use reader::{header, read};
pub use structure::{Fault, HEADER_BYTES, Header, Message, Parameter, Value, kind};
pub use writer::can_write;

#[cfg(test)]
mod pcf_test;
