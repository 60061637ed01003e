//! Values of attributes: how they are read, checked and written, as MQSC has them.
//!
//! One reading for whoever takes a value from outside: MQSC, the node's listeners, programs that set by selector.

use super::{Attribute, Content, Form, Initial};
use crate::mq::cipher_spec::CipherSpec;
use crate::mq::peer_name::Pattern;

/// The value of an attribute: an MQLONG, a text, or several texts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Number(i32),
    Text(String),
    List(Vec<String>),
}

impl Attribute {
    pub fn default_value(&self) -> Value {
        match (self.default, self.form) {
            (Initial::Number(number), _) => Value::Number(number),
            (Initial::Text(text), _) => Value::Text(text.to_string()),
            (Initial::Nothing, _) | (Initial::Needed, Form::List { .. }) => Value::List(Vec::new()),
            (Initial::Needed, Form::Text { .. } | Form::Name { .. }) => Value::Text(String::new()),
            (Initial::Needed, _) => Value::Number(0),
        }
    }

    pub fn is_default(&self, value: &Value) -> bool {
        self.default != Initial::Needed && *value == self.default_value()
    }

    /// The value as MQSC has it in brackets.
    pub fn text(&self, value: &Value) -> String {
        match (value, self.form) {
            (Value::Number(number), Form::Word(words) | Form::Number { words, .. }) => {
                let word = words.iter().find(|(_, of)| of == number);
                word.map_or_else(|| number.to_string(), |(word, _)| word.to_string())
            }
            (Value::Number(number), Form::Flag { .. }) => if *number == 1 { "YES" } else { "NO" }.to_string(),
            (Value::Number(number), _) => number.to_string(),
            (Value::Text(text), _) => text.clone(),
            (Value::List(texts), _) => texts.join(","),
        }
    }

    /// Name and value as MQSC has them.
    pub fn display(&self, value: &Value) -> String {
        match (value, self.form) {
            (Value::Number(number), Form::Flag { off }) => {
                if *number == 1 { self.name } else { off }.to_string()
            }
            _ => format!("{}({})", self.name, self.text(value)),
        }
    }

    pub fn display_or_default(&self, value: Option<&Value>) -> String {
        value.map_or_else(|| self.display(&self.default_value()), |value| self.display(value))
    }

    /// Reads a value as MQSC has it. `said` is the name that was used: a flag has two.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(&self, said: &str, text: &str) -> Result<Value, String> {
        let name = self.name;
        match self.form {
            Form::Number { least, most, words } => match word(words, text) {
                Some(number) => Ok(Value::Number(number)),
                None => match text.parse::<i64>() {
                    Ok(number) if (i64::from(least)..=i64::from(most)).contains(&number) => {
                        Ok(Value::Number(number as i32))
                    }
                    _ if words.is_empty() => Err(format!("{name} is {least} to {most}, not {text}.")),
                    _ => Err(format!("{name} is {least} to {most} or {}, not {text}.", words_of(words))),
                },
            },
            Form::Word(words) => match word(words, text) {
                Some(number) => Ok(Value::Number(number)),
                None => Err(format!("{name} is {}, not {text}.", words_of(words))),
            },
            Form::Flag { off } => {
                let is_off = said.eq_ignore_ascii_case(off);
                match word(&[("", 1), ("YES", 1), ("NO", 0)], text) {
                    Some(0) if is_off => Ok(Value::Number(1)),
                    Some(on) => Ok(Value::Number(if is_off { 0 } else { on })),
                    None => Err(format!("{name} is YES or NO, not {text}.")),
                }
            }
            Form::Text { most } => {
                let text = checked_text(name, text, most)?;
                self.content.checked(name, text).map(Value::Text)
            }
            // MQ pads names with blanks.
            Form::Name { most } => match (text.trim_end(), check_name(text.trim_end())) {
                ("", _) => Ok(Value::Text(String::new())),
                (text, Ok(())) if text.len() <= most => Ok(Value::Text(text.to_string())),
                (_, Ok(())) => Err(format!("{name} has at most {most} characters.")),
                (_, Err(error)) => Err(format!("{name} is no name: {error}.")),
            },
            Form::List { most, members } => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                // No more of it is read than there may be.
                let texts = texts.take(members + 1).map(|text| checked_text(name, text, most));
                let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
                match texts.len() > members {
                    true => Err(format!("{name} has at most {members} members.")),
                    false => Ok(Value::List(texts)),
                }
            }
        }
    }
}

impl Content {
    /// The text as it is kept, or a sentence that says what it has to be.
    fn checked(self, name: &str, text: String) -> Result<String, String> {
        match self {
            Content::Any => Ok(text),
            Content::Address if is_address(&text) => Ok(text),
            Content::Address => Err(format!(
                "{name} is an address, IPv4 or IPv6, and not {text}: names are not looked up, because each node would find its \
                 own. Write {name}('10.0.0.50'), or {name}(' ') for all addresses."
            )),
            Content::CipherSpec | Content::PeerName if text.trim().is_empty() => Ok(String::new()),
            Content::CipherSpec => {
                let known = CipherSpec::named(text.trim()).map(|spec| spec.name().to_string());
                known.ok_or_else(|| {
                    let names: Vec<&str> = CipherSpec::names().collect();
                    format!(
                        "{name} is blank, {}, not {text}: what has no forward secrecy (RSA key exchange), CBC, CCM, RC4, 3DES or \
                         NULL is not there.",
                        list_of(&names)
                    )
                })
            }
            Content::PeerName => match Pattern::read(&text) {
                Ok(_) => Ok(text),
                Err(why) => Err(format!("{name} is a pattern of names in certificates, and {why}.")),
            },
        }
    }
}

/// Characters a name of an object has at most (IBM MQ Reference, "Rules for naming IBM MQ objects").
pub const NAME_LENGTH_MAX: usize = 48;

/// Why an object cannot have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    Empty,
    TooLong { length: usize },
    Character { found: char },
}

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NameError::Empty => write!(f, "a name must have at least one character"),
            NameError::TooLong { length } => {
                write!(f, "a name has at most {NAME_LENGTH_MAX} characters, this one has {length}")
            }
            NameError::Character { found } if found.is_control() => {
                write!(
                    f,
                    "a name has only A-Z a-z 0-9 . / _ % and not the character U+{:04X}",
                    u32::from(*found)
                )
            }
            NameError::Character { found } => {
                write!(f, "a name has only A-Z a-z 0-9 . / _ % and not {found:?}")
            }
        }
    }
}

impl std::error::Error for NameError {}

/// Whether an object can have this name.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_LENGTH_MAX {
        return Err(NameError::TooLong { length: name.chars().count() });
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || "./_%".contains(*c))) {
        Some(found) => Err(NameError::Character { found }),
        None => Ok(()),
    }
}

fn word(words: &[(&str, i32)], text: &str) -> Option<i32> {
    words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, number)| *number)
}

fn words_of(words: &[(&str, i32)]) -> String {
    list_of(&words.iter().map(|(word, _)| *word).collect::<Vec<_>>())
}

fn list_of(names: &[&str]) -> String {
    match names {
        [one] => one.to_string(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
        [] => String::new(),
    }
}

/// An address, or what stands for all of them.
fn is_address(text: &str) -> bool {
    matches!(text.trim(), "" | "*") || text.trim().parse::<std::net::IpAddr>().is_ok()
}

fn checked_text(name: &str, text: &str, most: usize) -> Result<String, String> {
    match text.chars().count() {
        length if length > most => {
            Err(format!("{name} has at most {most} characters, this one has {length}."))
        }
        _ if text.chars().any(char::is_control) => Err(format!("{name} has no control characters.")),
        _ => Ok(text.to_string()),
    }
}
