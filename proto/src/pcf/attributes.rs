//! Attributes of objects as parameters, by the one table: its selectors are PCF's own numbers.

use super::numbers::reason;
use super::structure::{Fault, Parameter, Value};
use crate::attribute::{self, Attribute, Form, Kind};
use crate::mqsc::{Fact, Facts};

/// Selectors that MQ has for byte strings, which are kept as hexadecimal digits.
const BYTE_STRINGS: std::ops::RangeInclusive<u32> = 7001..=8000;
/// What is not MQ's has a selector from here on, and is told to nobody who does not ask for it.
const NOT_OF_MQ: u32 = 60_000;
/// A text that may be longer is told as long as it is; others are filled up, as MQ does it.
const FILLED_UP_TO: usize = 264;
/// MQIA_SUITE_B_STRENGTH, and what its words are in a list of numbers (MQ_SUITE_B_*).
const SUITE_B: u32 = 247;
const SUITE_B_WORDS: &[(&str, i32)] = &[("NONE", 1), ("128_BIT", 2), ("192_BIT", 4)];
/// MQIACF_AUTHORIZATION_LIST, and what its words are in a list of numbers (MQAUTH_*).
const AUTHORIZATIONS: u32 = 1115;
#[rustfmt::skip]
pub const AUTHORIZATION_WORDS: &[(&str, i32)] = &[
    ("ALLMQI", -3), ("ALLADM", -2), ("ALL", -1), ("NONE", 0), ("ALTUSR", 1), ("BROWSE", 2), ("CHG", 3), ("CLR", 4), ("CONNECT", 5),
    ("CRT", 6), ("DLT", 7), ("DSP", 8), ("GET", 9), ("INQ", 10), ("PUT", 11), ("PASSALL", 12), ("PASSID", 13), ("SET", 14),
    ("SETALL", 15), ("SETID", 16), ("CTRL", 17), ("CTRLX", 18), ("PUB", 19), ("SUB", 20), ("RESUME", 21), ("SYSTEM", 22),
];
/// MQIACH_HDR_COMPRESSION and MQIACH_MSG_COMPRESSION: lists in MQ.
const LISTS_OF_ONE: [u32; 2] = [1575, 1576];

/// What tells objects of a kind apart: an attribute that is said with every command, and always told.
pub fn type_selector(kind: Kind) -> Option<u32> {
    match kind {
        kind if kind.is_queue() => Some(20),
        Kind::Channel => Some(1511),
        Kind::AuthInfo => Some(66),
        Kind::Topic => Some(208),
        Kind::Listener => Some(1501),
        Kind::ChannelAuth => Some(1352),
        _ => None,
    }
}

/// MQQT.
pub fn queue_type(kind: Kind) -> Option<i32> {
    let attribute = kind.attribute(20).filter(|_| kind.is_queue())?;
    match attribute.parse(attribute.name, kind.facts().name) {
        Ok(attribute::Value::Number(number)) => Some(number),
        _ => None,
    }
}

/// The attribute that a parameter sets, and its value as MQSC has it.
///
/// # Errors
/// By the type of the structure when the kind has no such attribute, or none of this type; 4005 for a value that it cannot have.
pub fn said(kind: Kind, parameter: &Parameter) -> Result<(&'static str, String), Fault> {
    let selector = u32::try_from(parameter.id).map_err(|_| unknown(parameter))?;
    let attribute = kind.attribute(selector).ok_or_else(|| unknown(parameter))?;
    let text = text_of(attribute, &parameter.value).ok_or_else(|| unknown(parameter))?;
    let is_one = attribute.parse(attribute.name, &text);
    is_one.map_err(|why| Fault::new(reason::ATTR_VALUE_ERROR, why).at(parameter.id))?;
    Ok((attribute.name, text))
}

/// The value as MQSC has it; None when the attribute is of another type.
pub fn text_of(attribute: &Attribute, value: &Value) -> Option<String> {
    if attribute.selector == SUITE_B {
        let Value::Numbers(numbers) = value else { return None };
        let word = |number: &i32| SUITE_B_WORDS.iter().find(|(_, of)| of == number).map(|(word, _)| *word);
        let words: Option<Vec<&str>> = numbers.iter().filter(|number| **number != 0).map(word).collect();
        return words.map(|words| words.join(","));
    }
    match (attribute.form, value) {
        (Form::Number { .. } | Form::Word(_), Value::Number(number)) => {
            Some(attribute.text(&attribute::Value::Number(*number)))
        }
        (Form::Number { .. } | Form::Word(_), Value::Numbers(numbers)) => match numbers[..] {
            [number] => Some(attribute.text(&attribute::Value::Number(number))),
            _ => None,
        },
        (Form::Flag { .. }, Value::Number(number)) => Some(match number {
            0 => "NO".to_string(),
            1 => "YES".to_string(),
            other => other.to_string(),
        }),
        (Form::Text { .. } | Form::Name { .. }, Value::Bytes(bytes)) => {
            BYTE_STRINGS.contains(&attribute.selector).then(|| hexadecimal(bytes))
        }
        (Form::Text { .. } | Form::Name { .. } | Form::List { .. }, Value::Text(text)) => Some(text.clone()),
        (Form::Text { .. } | Form::Name { .. }, Value::Texts(texts)) if texts.len() <= 1 => {
            Some(texts.first().cloned().unwrap_or_default())
        }
        (Form::List { .. }, Value::Texts(texts)) => Some(texts.join(",")),
        _ => None,
    }
}

/// A parameter that is not of the command, or has another type there.
pub fn unknown(parameter: &Parameter) -> Fault {
    let reason = match parameter.value {
        Value::Number(_) | Value::Long(_) => reason::CFIN_PARM_ID_ERROR,
        Value::Numbers(_) | Value::Longs(_) => reason::CFIL_PARM_ID_ERROR,
        Value::Text(_) => reason::CFST_PARM_ID_ERROR,
        Value::Texts(_) => reason::CFSL_PARM_ID_ERROR,
        Value::Bytes(_) => reason::CFBS_PARM_ID_ERROR,
        Value::NumberFilter(..) => reason::CFIF_PARM_ID_ERROR,
        Value::TextFilter(..) => reason::CFSF_PARM_ID_ERROR,
        Value::BytesFilter(..) => reason::CFBF_PARM_ID_ERROR,
        Value::Group(_) => reason::CFGR_PARM_ID_ERROR,
    };
    Fault::new(reason, format!("The command has no parameter {} of this type.", parameter.id))
        .at(parameter.id)
}

/// What is known of an object, as parameters: its name and its type first, and of the rest what is `wanted`, None for all. What tells a
/// record from others is always told.
pub fn parameters(facts: &Facts, wanted: Option<&[i32]>) -> Vec<Parameter> {
    let kind = facts.kind.facts();
    let filled = kind.name_most.min(FILLED_UP_TO);
    let mut parameters = vec![named(kind.name_selector as i32, &facts.name, filled)];
    let of_type = type_selector(facts.kind);
    let told = facts.values.iter().filter_map(|fact| {
        let attribute = facts.kind.attribute_named(fact.name)?;
        let selector = attribute.selector;
        let is_wanted = match wanted {
            Some(ids) => ids.contains(&(selector as i32)),
            None => selector < NOT_OF_MQ,
        };
        (is_wanted || attribute.key || of_type == Some(selector)).then(|| told(attribute, fact)).flatten()
    });
    let (first, rest): (Vec<Parameter>, Vec<Parameter>) =
        told.partition(|parameter| of_type == Some(parameter.id as u32));
    parameters.extend(first);
    parameters.extend(rest);
    parameters
}

fn told(attribute: &Attribute, fact: &Fact) -> Option<Parameter> {
    let (id, value) = (attribute.selector as i32, fact.value.as_str());
    if attribute.selector == SUITE_B {
        return Some(numbers(id, value, SUITE_B_WORDS));
    }
    if attribute.selector == AUTHORIZATIONS {
        return Some(numbers(id, value, AUTHORIZATION_WORDS));
    }
    match attribute.form {
        Form::Text { .. } | Form::Name { .. } if BYTE_STRINGS.contains(&attribute.selector) => {
            Some(Parameter { id, value: Value::Bytes(bytes_of(value)) })
        }
        Form::Text { most } | Form::Name { most } => {
            Some(named(id, value, if most <= FILLED_UP_TO { most } else { 0 }))
        }
        Form::List { .. } => {
            let members = value.split(',').filter(|member| !member.is_empty());
            Some(Parameter { id, value: Value::Texts(members.map(str::to_string).collect()) })
        }
        _ => match attribute.parse(attribute.name, value) {
            Ok(attribute::Value::Number(number)) if LISTS_OF_ONE.contains(&attribute.selector) => {
                Some(Parameter { id, value: Value::Numbers(vec![number]) })
            }
            Ok(attribute::Value::Number(number)) => Some(Parameter::number(id, number)),
            _ => None,
        },
    }
}

/// A list of words as the numbers that MQ has for them.
fn numbers(id: i32, words: &str, known: &[(&str, i32)]) -> Parameter {
    let number = |word: &str| known.iter().find(|(of, _)| *of == word).map(|(_, number)| *number);
    Parameter { id, value: Value::Numbers(words.split(',').filter_map(number).collect()) }
}

/// A text that has at least so many characters, with blanks behind it.
pub fn named(id: i32, text: &str, filled: usize) -> Parameter {
    Parameter::text(id, format!("{text:filled$}"))
}

pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Of hexadecimal digits; none of what is none.
pub fn bytes_of(digits: &str) -> Vec<u8> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.as_bytes().chunks(2).map(pair).collect::<Option<_>>().unwrap_or_default()
}
