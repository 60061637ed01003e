//! A command whose verb and noun are known: what is checked in all of them.

use super::command::Said;
use super::nouns::{Noun, Verb};
use super::syntax::{Fault, Help};
use super::words::Word;
use crate::attribute::{Attribute, Form, Kind, State, check_name};

/// A command whose verb and noun are known.
pub struct Clause<'a> {
    pub verb: Verb,
    pub noun: Noun,
    /// The noun, with the name in brackets.
    pub name: &'a Word,
    pub words: &'a [Word],
}

impl Clause<'_> {
    pub fn fault(&self, word: &Word) -> Fault {
        Fault { until: word.end, why: String::new(), help: Help::Command(self.verb, self.noun) }
    }

    pub fn because(&self, word: &Word, why: impl Into<String>) -> Fault {
        Fault { why: why.into(), ..self.fault(word) }
    }

    pub fn nothing_else(&self) -> Result<(), Fault> {
        self.words.first().map_or(Ok(()), |word| Err(self.fault(word)))
    }

    /// The name in the brackets of the noun.
    pub fn object_name(&self, kind: Kind) -> Result<String, Fault> {
        let name = self.name.one().ok_or_else(|| self.fault(self.name))?;
        self.check_name(kind, name, self.name)?;
        Ok(name.to_string())
    }

    pub fn check_name(&self, kind: Kind, name: &str, word: &Word) -> Result<(), Fault> {
        let facts = kind.facts();
        if name.chars().count() > facts.name_most {
            let why = format!("The name of a {} has at most {} characters.", facts.words, facts.name_most);
            return Err(self.because(word, why));
        }
        if kind == Kind::Subscription || kind.is_record() {
            return if name.is_empty() { Err(self.fault(word)) } else { Ok(()) };
        }
        check_name(name).map_err(|error| self.because(word, sentence(&error.to_string())))
    }

    /// One attribute and its value, checked against the table.
    pub fn attribute(&self, kind: Kind, word: &Word, said: &mut Said) -> Result<(), Fault> {
        let attribute = settable(kind, &word.name);
        let attribute = attribute.ok_or_else(|| Fault { until: word.name_end, ..self.fault(word) })?;
        let text = match (attribute.form, &word.values) {
            (Form::Flag { .. }, None) => String::new(),
            (Form::List { .. }, Some(_)) => word.all().collect::<Vec<_>>().join(","),
            (Form::Flag { .. } | Form::List { .. }, _) => return Err(self.fault(word)),
            (_, _) => word.one().ok_or_else(|| self.fault(word))?.to_string(),
        };
        let value = attribute.parse(&word.name, &text).map_err(|why| self.because(word, why))?;
        if said.iter().any(|(name, _)| *name == attribute.name) {
            return Err(self.because(word, format!("{} is there twice.", attribute.name)));
        }
        // A flag is YES or NO under its own name.
        said.push((attribute.name, attribute.text(&value)));
        Ok(())
    }

    /// Why a channel of another type is not there: what is said of it is not looked at, because only MQ knows it.
    pub fn other_channel(&self, word: &Word) -> Option<String> {
        if self.noun != Noun::Object(Kind::Channel) || word.name != "CHLTYPE" {
            return None;
        }
        let attribute = Kind::Channel.attribute_named("CHLTYPE")?;
        match (attribute.state, attribute.parse("CHLTYPE", word.one()?)) {
            (State::Refused(why), Ok(value)) if !attribute.is_default(&value) => Some(why.to_string()),
            _ => None,
        }
    }
}

/// The attribute of this name that somebody may set, also by its other names.
fn settable(kind: Kind, name: &str) -> Option<&'static Attribute> {
    let name = match name {
        "TARGQ" => "TARGET",
        other => other,
    };
    kind.attribute_named(name).filter(|attribute| attribute.state != State::Live)
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}
