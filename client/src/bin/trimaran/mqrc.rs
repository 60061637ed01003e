//! `mqrc`: reason codes by number and by name.

use serde_json::json;
use trimaran_client::REASONS;

use crate::{
    arguments::{Global, MqrcArgs},
    output::{Failure, Outcome},
    say,
};

macro_rules! texts {
    ($($number:literal $rust:ident $name:ident $text:literal)*) => {
        const TEXTS: &[(u32, &str)] = &[$(($number, $text)),*];
    };
}

trimaran_client::proto::reasons!(texts);

/// A reason that stands for itself where nobody asks for one: with its name and what to do.
type Known = (u32, &'static str);

pub fn run(global: &Global, args: MqrcArgs) -> Outcome {
    if let Some(first) = args.first {
        let range = first..=args.last.unwrap_or(u32::MAX);
        let found: Vec<&Known> = REASONS.iter().filter(|(of, _)| *of != 0 && range.contains(of)).collect();
        if found.is_empty() {
            return Err(unknown(&format!("None from {} to {}", range.start(), range.end())));
        }
        found.into_iter().for_each(|known| tell(global, known, args.brief));
        return Ok(());
    }
    let text = args.number.or(args.reason).unwrap_or_default();
    let known = named(text.trim()).ok_or_else(|| unknown(text.trim()))?;
    tell(global, known, args.brief);
    Ok(())
}

/// One reason for a person.
pub fn explain(text: &str) -> Outcome {
    tell_as(false, named(text.trim()).ok_or_else(|| unknown(text.trim()))?, false);
    Ok(())
}

/// By its number, also in hexadecimal behind 0x, or its name.
fn named(text: &str) -> Option<&'static Known> {
    let number = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let wanted = text.to_ascii_uppercase();
    let wanted = wanted.strip_prefix("MQRC_").or(wanted.strip_prefix("MQRCCF_")).unwrap_or(&wanted);
    REASONS.iter().find(|(of, name)| Some(*of) == number || (number.is_none() && *name == wanted))
}

fn unknown(what: &str) -> Failure {
    let text =
        format!("{what} is no reason that a queue manager here gives; `trimaran help reasons` lists them.");
    Failure::Control { code: 1, text }
}

fn tell(global: &Global, known: &Known, brief: bool) {
    tell_as(global.json, known, brief);
}

fn tell_as(json: bool, (number, name): &Known, brief: bool) {
    let said = TEXTS.iter().find(|(of, _)| of == number).map_or("", |(_, text)| *text);
    if json {
        say!("{}", json!({ "reason": number, "name": name, "text": said }));
        return;
    }
    let prefix = if *number > 3000 { "MQRCCF" } else { "MQRC" };
    say!("");
    say!("{number:10}  0x{number:08x}  {prefix}_{name}");
    if !brief {
        say!("");
    }
    if !brief && !said.is_empty() {
        say!("{said}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_known_by_number_and_by_name() {
        for text in ["2035", "0x7f3", "0X7F3", "MQRC_NOT_AUTHORIZED", "not_authorized"] {
            assert_eq!(named(text), Some(&(2035, "NOT_AUTHORIZED")), "{text}");
        }
        assert_eq!((named("1"), named("MQRC_NONSENSE"), named("0xq")), (None, None, None));
    }
}
