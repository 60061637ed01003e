//! Attributes of objects as flags, as words on a command line, as lines and as JSON: all from the table of attributes.

use std::collections::BTreeMap;

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

/// Flags for the attributes of the queue manager, and without a word in the help for those of every other kind: which of
/// them the object has is known when its kind is.
#[derive(Debug)]
pub struct ManagerFlags(pub Attributes);

/// Flags for the attributes of any kind, without a word in the help.
#[derive(Debug)]
pub struct AnyFlags(pub Attributes);

macro_rules! flags {
    ($flags:ident, $given:expr, $with_flags:expr) => {
        impl FromArgMatches for $flags {
            fn from_arg_matches(matches: &ArgMatches) -> Result<$flags, clap::Error> {
                Ok($flags($given(matches)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.0 = $given(matches);
                Ok(())
            }
        }

        impl clap::Args for $flags {
            fn augment_args(command: Command) -> Command {
                $with_flags(command)
            }

            fn augment_args_for_update(command: Command) -> Command {
                $with_flags(command)
            }
        }
    };
}

flags!(QueueFlags, |matches| given(settable(Kind::LocalQueue), matches), |command| with_flags(
    Kind::LocalQueue,
    command
));
flags!(ManagerFlags, |matches| given(every_name().into_values(), matches), |command| with_hidden_flags(
    with_flags(Kind::QueueManager, command)
));
flags!(AnyFlags, |matches| given(every_name().into_values(), matches), with_hidden_flags);

/// What is refused or a fact has no flag.
fn settable(kind: Kind) -> impl Iterator<Item = &'static Attribute> {
    kind.attributes().filter(|attribute| matches!(attribute.state, State::Obeyed | State::Stored))
}

fn with_flags(kind: Kind, command: Command) -> Command {
    settable(kind).fold(command, |command, attribute| command.arg(flag(attribute)))
}

/// One attribute for each name that is one for any kind.
fn every_name() -> BTreeMap<&'static str, &'static Attribute> {
    let kinds = Kind::ALL.iter().map(|facts| facts.kind);
    kinds.flat_map(settable).map(|attribute| (attribute.name, attribute)).collect()
}

/// With what is not there yet; the queue manager says which values there are.
fn with_hidden_flags(command: Command) -> Command {
    every_name().into_values().fold(command, |command, attribute| {
        let name: &'static str = flag_name(attribute).leak();
        let is_there = command.get_arguments().any(|arg| arg.get_long() == Some(name));
        match is_there {
            // Of one name, and for another kind perhaps with other words.
            true => command.mut_arg(name, |arg| arg.value_parser(clap::builder::ValueParser::string())),
            false => command.arg(Arg::new(name).long(name).value_name("VALUE").hide(true)),
        }
    })
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

fn given(attributes: impl Iterator<Item = &'static Attribute>, matches: &ArgMatches) -> Attributes {
    attributes.fold(Attributes::new(), |attributes, attribute| {
        match matches.get_one::<String>(&flag_name(attribute)) {
            Some(value) => attributes.with(attribute.name, value),
            None => attributes,
        }
    })
}

/// What was said as options and what as words, of an object of this kind.
pub fn of_both(kind: &str, flags: Attributes, words: &[String]) -> Result<Attributes, Failure> {
    let of = Kind::named(kind);
    for said in flags.iter() {
        let flag = said.name.to_lowercase().replace('_', "-");
        if of.is_some_and(|of| of.attribute_named(&said.name).is_none()) {
            return Err(Failure::Usage(format!(
                "{} has no attribute {}: leave --{flag} out",
                kind.to_uppercase(),
                said.name
            )));
        }
        let is_same =
            |word: &&String| word.split('=').next().unwrap_or_default().eq_ignore_ascii_case(&said.name);
        if let Some(word) = words.iter().find(is_same) {
            return Err(Failure::Usage(format!("--{flag} and {word} are the same attribute: say it once")));
        }
    }
    let words = from_words(kind, words)?;
    Ok(words.iter().fold(flags, |all, said| all.with(said.name.clone(), &said.value)))
}

/// `NAME=VALUE` words; a flag may stand alone.
fn from_words(kind: &str, words: &[String]) -> Result<Attributes, Failure> {
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
    fn an_option_and_a_word_are_both_said() {
        let words = ["maxdepth=78".to_string()];
        let of = |kind: &str, flag: &str| of_both(kind, Attributes::new().with(flag, "zzz"), &words);
        let expected = Attributes::new().with("DESCR", "zzz").with("MAXDEPTH", 78);
        assert_eq!(of("qlocal", "DESCR").map_err(|_| ()), Ok(expected));
        for (flag, said) in [("MAXDEPTH", "say it once"), ("DEADQ", "QLOCAL has no attribute DEADQ")] {
            let refused = of("qlocal", flag);
            assert!(matches!(&refused, Err(Failure::Usage(text)) if text.contains(said)), "{refused:?}");
        }
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
