//! Attributes of objects as flags, as words on a command line, as lines and as JSON: all from the table of attributes.

use clap::{Arg, ArgMatches, Command, FromArgMatches, builder::PossibleValuesParser};
use serde_json::{Value, json};
use trimaran_client::{
    Attributes, ObjectDetails,
    proto::attribute::{Attribute, Form, Initial, Kind, State},
};

use crate::output::Failure;

/// Flags for the attributes of a local queue.
#[derive(Debug)]
pub struct QueueFlags(pub Attributes);

/// Flags for the attributes of the queue manager.
#[derive(Debug)]
pub struct ManagerFlags(pub Attributes);

macro_rules! flags {
    ($flags:ident, $kind:expr) => {
        impl FromArgMatches for $flags {
            fn from_arg_matches(matches: &ArgMatches) -> Result<$flags, clap::Error> {
                Ok($flags(given($kind, matches)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.0 = given($kind, matches);
                Ok(())
            }
        }

        impl clap::Args for $flags {
            fn augment_args(command: Command) -> Command {
                with_flags($kind, command)
            }

            fn augment_args_for_update(command: Command) -> Command {
                with_flags($kind, command)
            }
        }
    };
}

flags!(QueueFlags, Kind::LocalQueue);
flags!(ManagerFlags, Kind::QueueManager);

/// What is refused or a fact has no flag.
fn settable(kind: Kind) -> impl Iterator<Item = &'static Attribute> {
    kind.attributes().filter(|attribute| matches!(attribute.state, State::Obeyed | State::Stored))
}

fn with_flags(kind: Kind, command: Command) -> Command {
    settable(kind).fold(command, |command, attribute| command.arg(flag(attribute)))
}

fn flag(attribute: &'static Attribute) -> Arg {
    let heading = match attribute.state {
        State::Obeyed => "Attributes, by their MQSC names",
        _ => "Attributes that are kept and displayed, and nothing more",
    };
    // clap keeps names for as long as the program runs.
    let name: &'static str = flag_name(attribute).leak();
    let arg = Arg::new(name)
        .long(name)
        .help_heading(heading)
        .hide_short_help(attribute.state == State::Stored && attribute.name != "DESCR")
        .help(help(attribute));
    match attribute.form {
        Form::Number { .. } => arg.value_name("N"),
        Form::Word(words) => {
            let words = words.iter().map(|(word, _)| &*word.to_lowercase().leak());
            arg.value_parser(PossibleValuesParser::new(words)).ignore_case(true)
        }
        Form::Flag { .. } => arg.value_parser(["yes", "no"]).ignore_case(true),
        Form::Text { .. } | Form::List { .. } => arg.value_name("TEXT"),
        Form::Name { .. } => arg.value_name("NAME"),
    }
}

fn flag_name(attribute: &Attribute) -> String {
    attribute.name.to_lowercase().replace('_', "-")
}

fn help(attribute: &Attribute) -> String {
    let help = attribute.help.trim_end_matches('.');
    let (default, range) = match (attribute.default, attribute.form) {
        (Initial::Number(number), Form::Number { least, most, words }) => {
            (word_of(words, number), format!(", {least} to {most}"))
        }
        (Initial::Number(number), Form::Word(words)) => (word_of(words, number), String::new()),
        (Initial::Number(number), Form::Flag { .. }) => {
            (if number == 1 { "yes" } else { "no" }.to_string(), String::new())
        }
        (Initial::Text(text), _) if !text.is_empty() => (text.to_string(), String::new()),
        _ => return help.to_string(),
    };
    format!("{help}{range} [default: {default}]")
}

fn word_of(words: &[(&str, i32)], number: i32) -> String {
    let word = words.iter().find(|(_, of)| *of == number);
    word.map_or_else(|| number.to_string(), |(word, _)| word.to_lowercase())
}

fn given(kind: Kind, matches: &ArgMatches) -> Attributes {
    settable(kind).fold(Attributes::new(), |attributes, attribute| {
        match matches.get_one::<String>(&flag_name(attribute)) {
            Some(value) => attributes.with(attribute.name, value),
            None => attributes,
        }
    })
}

/// `NAME=VALUE` words; a flag may stand alone.
pub fn from_words(kind: &str, words: &[String]) -> Result<Attributes, Failure> {
    let kind = Kind::named(kind);
    let wants_value = |word: &str| {
        let attribute = kind.and_then(|kind| kind.attribute_named(&word.to_uppercase()));
        attribute.is_some_and(|attribute| !matches!(attribute.form, Form::Flag { .. }))
    };
    words.iter().try_fold(Attributes::new(), |attributes, word| match word.split_once('=') {
        Some(("", _)) => Err(Failure::Usage(format!("{word} wants a name in front of the ="))),
        Some((name, value)) => Ok(attributes.with(name.to_uppercase(), value)),
        None if wants_value(word) => Err(Failure::Usage(format!("{word} wants a value: write {word}=VALUE"))),
        None => Ok(attributes.with(word.to_uppercase(), "")),
    })
}

/// A change of nothing would say that it was made.
pub fn check_some(attributes: &Attributes) -> Result<(), Failure> {
    match *attributes == Attributes::new() {
        true => Err(Failure::Usage("name an attribute to change and its value; see --help".into())),
        false => Ok(()),
    }
}

/// As MQSC displays them.
pub fn lines(object: &ObjectDetails) -> Vec<String> {
    let kind = Kind::named(&object.kind);
    let of = |name: &str| kind.and_then(|kind| kind.attribute_named(name));
    let attributes = object.attributes.iter();
    attributes
        .map(|said| match of(&said.name).map(|attribute| attribute.form) {
            Some(Form::Flag { .. }) if said.value == "YES" => said.name.clone(),
            Some(Form::Flag { off }) => off.to_string(),
            _ => format!("{}({})", said.name, said.value),
        })
        .collect()
}

/// One member for each attribute: numbers as numbers, YES and NO as booleans, other words in lower case.
pub fn add_json(object: &ObjectDetails, to: &mut Value) {
    let Some(kind) = Kind::named(&object.kind) else { return };
    for said in &object.attributes {
        let Some(attribute) = kind.attribute_named(&said.name) else { continue };
        to[said.name.to_lowercase()] = json_of(attribute, &said.value);
    }
    if let Some(by) = &object.altered_by {
        to["altered_by"] = json!({
            "user": by.user, "application": by.application, "address": by.address, "channel": by.channel,
        });
    }
}

fn json_of(attribute: &Attribute, value: &str) -> Value {
    match (attribute.form, value) {
        (Form::Word(_) | Form::Flag { .. }, "YES") => json!(true),
        (Form::Word(_) | Form::Flag { .. }, "NO") => json!(false),
        (Form::Number { .. } | Form::Word(_), _) => match value.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) => json!(value.to_lowercase()),
        },
        (Form::List { .. }, _) => json!(value.split(',').filter(|text| !text.is_empty()).collect::<Vec<_>>()),
        (Form::Flag { .. } | Form::Text { .. } | Form::Name { .. }, _) => json!(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(attributes: &[(&str, &str)]) -> ObjectDetails {
        let attributes =
            attributes.iter().fold(Attributes::new(), |all, (name, value)| all.with(*name, value));
        ObjectDetails { kind: "QLOCAL".into(), attributes: attributes.into(), ..ObjectDetails::default() }
    }

    #[test]
    fn attributes_are_displayed_as_mqsc_does() {
        let object = shown(&[("MAXDEPTH", "5"), ("SHARE", "NO"), ("TRIGGER", "NO"), ("DESCR", "")]);
        assert_eq!(lines(&object), ["MAXDEPTH(5)", "NOSHARE", "NOTRIGGER", "DESCR()"]);
    }

    #[test]
    fn json_has_numbers_booleans_and_words() {
        let mut value = json!({});
        add_json(
            &shown(&[("MAXDEPTH", "5"), ("SHARE", "NO"), ("PUT", "DISABLED"), ("DESCR", "NO")]),
            &mut value,
        );
        assert_eq!(value, json!({ "maxdepth": 5, "share": false, "put": "disabled", "descr": "NO" }));
    }

    #[test]
    fn words_are_names_and_values() {
        let words = ["maxdepth=5".to_string(), "noshare".to_string(), "descr=a=b".to_string()];
        let attributes = from_words("QLOCAL", &words).map_err(|_| ()).unwrap();
        let expected = Attributes::new().with("MAXDEPTH", 5).with("NOSHARE", "").with("DESCR", "a=b");
        assert_eq!(attributes, expected);
        assert!(from_words("QLOCAL", &["=5".to_string()]).is_err());
        let refused = from_words("QLOCAL", &["maxdepth".to_string()]);
        assert!(
            matches!(&refused, Err(Failure::Usage(text)) if text.contains("write maxdepth=VALUE")),
            "{refused:?}"
        );
    }
}
