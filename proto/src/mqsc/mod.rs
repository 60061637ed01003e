//! MQSC: the commands in which MQ's administrators speak, as text, without a queue manager.
//!
//! [`Script`] takes lines and gives back what is to be asked and, when that was answered, what is to be shown; who asks
//! whom, and over what, is left to its caller. What can be said of an object is the table in [`crate::attribute`];
//! requests and answers are those of [`crate::admin::v1`].
//!
//! Source: IBM MQ Reference, "MQSC commands", and output of runmqsc 9.1 to 9.4. Where a command is understood and not
//! done here, the answer has a sentence that says why; nothing is taken and dropped.

mod lines;
mod words;
mod nouns;
mod filter;
mod command;
mod clause;
mod parser;
mod records;
mod display;
mod syntax;
mod message;
mod dates;
mod layout;
mod order;
mod facts;
mod answer;
mod status;
mod dump;
mod script;
mod complete;

pub use answer::{Answer, found};
pub use command::{Command, Display, Reply, Request, Subject, Wanted};
pub use complete::complete;
pub use dates::day_and_time;
pub use dump::dump;
pub use facts::{Fact, Facts, Known, facts_of, live, meets};
pub use filter::{Filter, Operator};
pub use lines::{Joiner, Line};
pub use parser::parse;
pub use records::{MANAGER_PROFILE, authority_steps, granted};
pub use script::{Script, Step, not_understood};
pub use status::rows;
pub use syntax::Fault;
pub use words::{Item, Word, words};

#[cfg(test)]
mod mqsc_test;
