//! One selector, checked and translated.

use std::sync::Arc;

use trimaran_proto::mq::rfh2::from_hex;

use super::lexer::Mistake;
use super::parser::parse;
use super::program::{Op, Program};
use super::properties::{Field, Properties};
use super::value::Comparison;
use crate::types::{CorrelationId, Message, MessageId, Reason, Selection, limits};

/// Steps that one message may take: about a millisecond. A selector that needs more for a message does not select it.
const STEPS_MAX: u64 = 100_000;
/// Steps, and bytes of headers, in the time that a look at a message takes (`replica/turn.rs`).
const STEPS_A_LOOK: u64 = 4;
const HEADER_BYTES_A_LOOK: u64 = 16;
/// Looks that every message costs: what there is to find out before the first step.
const LOOKS_MIN: u64 = 4;

/// A message selector. It sees the descriptor of a message and the properties in front of its body, and never the body.
#[derive(Debug)]
pub struct MessageSelector {
    text: Box<str>,
    program: Program,
    properties: Properties,
    implied: Selection,
    weight: u64,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Bytes of a text that has more than `limits::SELECTOR_BYTES_MAX`.
    #[error("The selector has {0} bytes, the limit is {max}.", max = limits::SELECTOR_BYTES_MAX)]
    TooLong(usize),
    /// Characters are counted from 1 on; `what` is wrong at this one.
    #[error("Character {character} of the selector: {what}.")]
    Syntax { character: usize, what: &'static str },
    /// It names no property and is not true.
    #[error("The selector selects nothing, whatever the messages are.")]
    AlwaysFalse,
}

impl SelectorError {
    /// What a program is told: 2459 for the syntax, 2504 for one that selects nothing, 2519 for one that is too long.
    pub fn reason(&self) -> Reason {
        match self {
            SelectorError::TooLong(_) => Reason::SelectionStringError,
            SelectorError::Syntax { .. } => Reason::SelectorSyntaxError,
            SelectorError::AlwaysFalse => Reason::SelectorAlwaysFalse,
        }
    }
}

/// What a selector says of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// UNKNOWN selects nothing.
    pub selects: bool,
    /// What it cost, in looks at a message.
    pub looks: u64,
}

impl MessageSelector {
    /// None for a text that is blank, which selects every message.
    ///
    /// # Errors
    /// 2519 when it is too long, 2459 when it is no selector, 2504 when it names no property and is not true.
    pub fn new(text: &str) -> Result<Option<Arc<MessageSelector>>, SelectorError> {
        if text.len() > limits::SELECTOR_BYTES_MAX {
            return Err(SelectorError::TooLong(text.len()));
        }
        if text.trim().is_empty() {
            return Ok(None);
        }
        let (program, properties) = parse(text).map_err(|Mistake { at, what }| SelectorError::Syntax {
            character: text[..at].chars().count() + 1,
            what,
        })?;
        let mut steps = STEPS_MAX;
        if properties.is_empty() && program.run(&[], &mut steps) != Some(true) {
            return Err(SelectorError::AlwaysFalse);
        }
        let implied = implied(&program, &properties);
        debug_assert!(implied.is_any() || !properties.is_empty(), "an id is one of a property");
        let weight = size_of::<MessageSelector>() + text.len() + program.weight() + properties.weight();
        let (text, weight) = (text.into(), weight as u64);
        Ok(Some(Arc::new(MessageSelector { text, program, properties, implied, weight })))
    }

    /// As the program said it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Bytes in memory, about.
    pub fn weight(&self) -> u64 {
        debug_assert!(self.weight > self.text.len() as u64, "a selector is more than its text");
        self.weight
    }

    /// Ids that every message has which it selects: by them, messages are found without looking at others.
    pub fn implied(&self) -> &Selection {
        &self.implied
    }

    /// What it says of this message, whose properties are read as far as it asks for them.
    pub fn judge(&self, message: &Message) -> Verdict {
        let (values, header_bytes) = self.properties.of(message);
        let mut steps = STEPS_MAX;
        let selects = values.and_then(|values| self.program.run(&values, &mut steps)) == Some(true);
        debug_assert!(steps <= STEPS_MAX, "steps are used, and not given back");
        let used = (STEPS_MAX - steps) / STEPS_A_LOOK;
        let looks = LOOKS_MIN + used + header_bytes as u64 / HEADER_BYTES_A_LOOK;
        Verdict { selects, looks }
    }
}

/// Runs the program over what each value implies in place of the values: an id that a property is compared with, and both where
/// two conditions must hold.
fn implied(program: &Program, properties: &Properties) -> Selection {
    #[derive(Clone, Default)]
    enum Known<'a> {
        #[default]
        Nothing,
        Property(u16),
        Text(&'a str),
        Bytes(&'a [u8]),
        Ids(Selection),
    }
    let mut stack: Vec<Known<'_>> = Vec::new();
    for op in program.ops() {
        let known = match op {
            Op::Property(number) => Known::Property(*number),
            Op::Text(text) => Known::Text(text),
            Op::Bytes(bytes) => Known::Bytes(bytes),
            Op::Truth(_) | Op::Integer(_) | Op::Float(_) => Known::Nothing,
            Op::Compare(comparison) => {
                match (stack.pop().unwrap_or_default(), stack.pop().unwrap_or_default()) {
                    (Known::Property(number), Known::Text(text))
                    | (Known::Text(text), Known::Property(number))
                        if *comparison == Comparison::Equal =>
                    {
                        let id = text.strip_prefix("ID:").and_then(from_hex).unwrap_or_default();
                        let fields = (Field::JmsMessageId, Field::JmsCorrelationId);
                        Known::Ids(ids(properties, number, fields, &id))
                    }
                    (Known::Property(number), Known::Bytes(id))
                    | (Known::Bytes(id), Known::Property(number))
                        if *comparison == Comparison::Equal =>
                    {
                        Known::Ids(ids(properties, number, (Field::MessageId, Field::CorrelationId), id))
                    }
                    _ => Known::Nothing,
                }
            }
            Op::And => match (stack.pop().unwrap_or_default(), stack.pop().unwrap_or_default()) {
                (Known::Ids(one), Known::Ids(other)) => Known::Ids(one.and(&other)),
                (Known::Ids(ids), _) | (_, Known::Ids(ids)) => Known::Ids(ids),
                _ => Known::Nothing,
            },
            Op::Or | Op::Compute(_) => {
                stack.truncate(stack.len().saturating_sub(2));
                Known::Nothing
            }
            Op::Between { .. } => {
                stack.truncate(stack.len().saturating_sub(3));
                Known::Nothing
            }
            Op::Negate | Op::Not | Op::In { .. } | Op::Like { .. } | Op::IsNull { .. } => {
                stack.pop();
                Known::Nothing
            }
        };
        stack.push(known);
    }
    debug_assert_eq!(stack.len(), 1, "a condition comes to one value");
    match stack.pop() {
        Some(Known::Ids(ids)) => ids,
        _ => Selection::default(),
    }
}

/// What is selected where a property is equal to this id; nothing is said by an id that is none.
fn ids(properties: &Properties, number: u16, (message, correlation): (Field, Field), id: &[u8]) -> Selection {
    let id = <&[u8; 24]>::try_from(id).ok().filter(|id| id.iter().any(|byte| *byte != 0));
    debug_assert!(message != correlation, "two fields have ids");
    Selection {
        message_id: id.filter(|_| properties.is(number, message)).copied().map(MessageId),
        correlation_id: id.filter(|_| properties.is(number, correlation)).copied().map(CorrelationId),
        ..Selection::default()
    }
}
