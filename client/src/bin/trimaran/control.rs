//! MQ's control commands and samples under their own names: by a link of that name this program is that command.

use std::{ffi::OsString, path::Path};

use serde_json::json;

use crate::{
    arguments::{Command, Global},
    output::{Failure, Outcome},
    say,
};

/// What can be linked to.
pub const NAMES: [&str; 18] = [
    "runmqsc", "runmqdlq", "dspmq", "crtmqm", "dltmqm", "strmqm", "endmqm", "dspmqver", "dmpmqcfg", "mqrc",
    "amqsput", "amqsputc", "amqsget", "amqsgetc", "amqsgbr", "amqsgbrc", "amqsbcg", "amqsbcgc",
];

/// Commands of MQ with options of two letters behind one dash, and those: here such an option has two dashes.
const OF_TWO_LETTERS: [(&str, &[&str]); 3] = [
    ("strmqm", &["-ns"]),
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
    arguments
}

/// What prints the lines of MQ's own command has no other form, and does not pretend to have one.
pub fn check_json(global: &Global, command: &Command) -> Outcome {
    let text = match command {
        Command::Runmqsc(_) => "runmqsc has no JSON: `display`, `queue show` and the like have it",
        Command::Dmpmqcfg(_) => "dmpmqcfg has no JSON: what it prints is a script of MQSC; `display` has it",
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

/// dspmqver.
pub fn version(global: &Global) -> Outcome {
    if global.json {
        say!(
            "{}",
            json!({
                "name": "Trimaran", "version": concat!(env!("CARGO_PKG_VERSION"), ".0"), "os": std::env::consts::OS,
                "architecture": std::env::consts::ARCH, "max_command_level": trimaran_client::proto::attribute::CMDLEVEL,
            })
        );
        return Ok(());
    }
    say!("Name:        Trimaran");
    say!("Version:     {}.0", env!("CARGO_PKG_VERSION"));
    say!("Platform:    Trimaran for {} ({})", std::env::consts::OS, std::env::consts::ARCH);
    say!("MaxCmdLevel: {}", trimaran_client::proto::attribute::CMDLEVEL);
    Ok(())
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
        assert_eq!(by(&["trimaran", "put", "-ns"]), ["trimaran", "put", "-ns"]);
        assert_eq!(by(&["trimaran", "status"]), ["trimaran", "status"]);
        assert_eq!(by(&[]), Vec::<String>::new());
    }
}
