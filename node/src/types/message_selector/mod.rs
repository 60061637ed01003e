//! Message selectors: which messages a handle is about, by what they say of themselves (MQOD, SelectionString; JMS 2.0, 3.8.1).
//!
//! A text is checked and translated once, when a queue is opened, and then asked about one message after the other. Nothing here
//! takes longer than its limits say, whatever selector and message are.

mod lexer;
mod pattern;
mod value;
mod properties;
mod program;
mod parser;
mod selector;

#[cfg(test)]
mod selector_test;

pub use selector::{MessageSelector, SelectorError, Verdict};
