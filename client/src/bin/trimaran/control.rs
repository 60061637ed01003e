//! MQ's control commands and samples under their own names: by a link of that name this program is that command.

use std::{ffi::OsString, path::Path};

use crate::{
    arguments::{Command, Global},
    authorities,
    output::{Failure, Outcome},
};

/// What can be linked to.
pub const NAMES: [&str; 22] = [
    "runmqsc", "runmqdlq", "dspmq", "crtmqm", "dltmqm", "strmqm", "endmqm", "dspmqver", "dmpmqcfg",
    "dmpmqmsg", "mqrc", "setmqaut", "dspmqaut", "dmpmqaut", "amqsput", "amqsputc", "amqsget", "amqsgetc",
    "amqsgbr", "amqsgbrc", "amqsbcg", "amqsbcgc",
];

/// Commands of MQ with options of two letters behind one dash, and those: here such an option has two dashes.
const OF_TWO_LETTERS: [(&str, &[&str]); 4] = [
    ("setmqaut", &["-remove"]),
    ("strmqm", &["-ns", "-si", "-ss"]),
    ("endmqm", &["-tp"]),
    (
        "crtmqm",
        &[
            "-ic", "-ii", "-lc", "-ll", "-lla", "-lln", "-lr", "-lf", "-lp", "-ls", "-ld", "-md", "-sx",
            "-sax", "-sa", "-si", "-ss", "-oa",
        ],
    ),
];

/// The command line as it would be typed behind `trimaran`.
pub fn by_own_name(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let own = arguments.first().and_then(|path| Path::new(path).file_name()?.to_str().map(str::to_string));
    if let Some(name) = own.filter(|name| NAMES.contains(&name.as_str())) {
        arguments[0] = "trimaran".into();
        arguments.insert(1, name.into());
    }
    let options =
        arguments.get(1).and_then(|command| OF_TWO_LETTERS.iter().find(|(name, _)| command == name));
    if let Some((_, options)) = options {
        for word in arguments.iter_mut().skip(2).filter(|word| options.iter().any(|of| *word == of)) {
            *word = format!("-{}", word.to_string_lossy()).into();
        }
    }
    if arguments.get(1).is_some_and(|command| command == "setmqaut") {
        let is_change = |word: &&mut OsString| word.to_str().is_some_and(authorities::is_change);
        for word in arguments.iter_mut().skip(2).filter(is_change) {
            *word = format!("--change={}", word.to_string_lossy()).into();
        }
    }
    arguments
}

/// What prints the lines of MQ's own command has no other form, and does not pretend to have one.
pub fn check_json(global: &Global, command: &Command) -> Outcome {
    let text = match command {
        Command::Runmqsc(_) => "runmqsc has no JSON: `display`, `queue show` and the like have it",
        Command::Dmpmqcfg(_) => "dmpmqcfg has no JSON: what it prints is a script of MQSC; `display` has it",
        Command::Dmpmqmsg(_) => "dmpmqmsg has no JSON: `browse --json-lines` and `put --json-lines` have it",
        Command::Setmqaut(_) | Command::Dspmqaut(_) | Command::Dmpmqaut(_) => {
            "setmqaut, dspmqaut and dmpmqaut have no JSON: `set AUTHREC` and `display AUTHREC` have it"
        }
        Command::Runmqdlq(_) => "runmqdlq has no JSON: `requeue` has it",
        Command::Amqsput(_) => "amqsput has no JSON: `put` has it",
        Command::Amqsget(_) => "amqsget has no JSON: `get` has it",
        Command::Amqsgbr(_) | Command::Amqsbcg(_) => "amqsgbr and amqsbcg have no JSON: `browse` has it",
        Command::Strmqm(_) | Command::Endmqm(_) => {
            "strmqm and endmqm have no JSON: `status` says what became of it"
        }
        Command::Crtmqm(_) | Command::Dltmqm(_) => {
            "crtmqm and dltmqm have no JSON: `status` says what became of it"
        }
        Command::Dspmq(_) => "dspmq has no JSON: `status` has it, and says more",
        _ => return Ok(()),
    };
    if global.json { Err(Failure::Usage(text.to_string())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_the_command_of_its_name() {
        let by = |words: &[&str]| {
            let words = by_own_name(words.iter().map(OsString::from));
            words.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(by(&["/opt/bin/runmqsc", "QM1"]), ["trimaran", "runmqsc", "QM1"]);
        assert_eq!(by(&["amqsputc", "Q1", "QM1"]), ["trimaran", "amqsputc", "Q1", "QM1"]);
        assert_eq!(by(&["endmqm", "-tp", "9", "QM1"]), ["trimaran", "endmqm", "--tp", "9", "QM1"]);
        assert_eq!(by(&["trimaran", "strmqm", "-ns"]), ["trimaran", "strmqm", "--ns"]);
        assert_eq!(
            by(&["crtmqm", "-lf", "9", "-q", "QM1"]),
            ["trimaran", "crtmqm", "--lf", "9", "-q", "QM1"]
        );
        assert_eq!(
            by(&["setmqaut", "-t", "q", "+get", "-put", "-remove", "-p", "joe"]),
            ["trimaran", "setmqaut", "-t", "q", "--change=+get", "--change=-put", "--remove", "-p", "joe"]
        );
        assert_eq!(by(&["trimaran", "put", "-ns"]), ["trimaran", "put", "-ns"]);
        assert_eq!(by(&["trimaran", "status"]), ["trimaran", "status"]);
        assert_eq!(by(&[]), Vec::<String>::new());
    }
}
