//! MQ's variables: MQSERVER goes before MQCCDTURL, that before MQCHLLIB and MQCHLTAB, and without any of them there is a default.

use std::io;
use std::path::{Path, PathBuf};

use trimaran_proto::plain;

use super::ccdt;
use super::definition::{Definition, PORT, address};
use super::order::{Chance, in_order};
use crate::error::{Error, Result};

/// What a table is called where only its directory is said, and where it is looked for where only its name is.
const TABLE: &str = "AMQCLCHL.TAB";
const DIRECTORY: &str = "/var/mqm";
/// The channel that every queue manager has.
const CHANNEL: &str = "SYSTEM.DEF.SVRCONN";

/// What a client was told of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One for whatever queue manager is there.
    One(Definition),
    /// A client channel definition table, and the file that it was read from.
    Table { file: PathBuf, definitions: Vec<Definition> },
}

impl Source {
    /// What the variables say that `variable` knows; a table is read by `read`. Without variables it is SYSTEM.DEF.SVRCONN at
    /// localhost(1414).
    ///
    /// # Errors
    /// [`Error::Invalid`] names the variable, or the file and its entry, and says what to do.
    pub fn of_environment(
        variable: impl Fn(&str) -> Option<String>,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Source> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        if let Some(text) = variable("MQSERVER") {
            return Definition::of_mqserver(&text).map(Source::One);
        }
        let (said_by, file) = match (variable("MQCCDTURL"), variable("MQCHLLIB"), variable("MQCHLTAB")) {
            (Some(url), ..) => ("MQCCDTURL", file_of_url("MQCCDTURL", &url)?),
            (None, None, None) => {
                let addresses = vec![address("localhost", PORT)];
                return Ok(Source::One(Definition::plain("the default", CHANNEL, addresses)));
            }
            (None, directory, name) => {
                let said_by = if directory.is_some() { "MQCHLLIB" } else { "MQCHLTAB" };
                let directory = match directory {
                    Some(directory) => file_of_url("MQCHLLIB", &directory)?,
                    None => PathBuf::from(DIRECTORY),
                };
                (said_by, directory.join(name.as_deref().unwrap_or(TABLE)))
            }
        };
        let text = read(&file).map_err(|error| {
            Error::Invalid(format!(
                "the client channel definition table {} that {said_by} names cannot be read: {}; name a file that is there, or set \
                 MQSERVER in its place",
                file.display(),
                plain::error(error)
            ))
        })?;
        let definitions = ccdt::definitions(&file.display().to_string(), &text)?;
        Ok(Source::Table { file, definitions })
    }

    /// What to try for this queue manager, in this order: at least one. A name behind an asterisk is that of a group.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a table has nothing for it, with the names that it has something for.
    pub fn channels(&self, queue_manager: &str, chance: Chance) -> Result<Vec<Definition>> {
        let (file, definitions) = match self {
            Source::One(definition) => return Ok(vec![definition.clone()]),
            Source::Table { file, definitions } => (file, definitions),
        };
        let found = in_order(definitions, queue_manager, chance);
        if !found.is_empty() {
            return Ok(found);
        }
        let mut names: Vec<&str> = definitions.iter().map(|found| found.queue_manager.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let names: Vec<&str> =
            names.into_iter().map(|name| if name.is_empty() { "(none)" } else { name }).collect();
        let asked = match queue_manager {
            "" => "a program that names no queue manager".to_string(),
            name => format!("queue manager {name}"),
        };
        Err(Error::Invalid(format!(
            "{} has no entry for {asked}; its entries are for {}: name one of these, or give an entry this queueManager",
            file.display(),
            names.join(", ")
        )))
    }
}

/// A path, or a URL of a file on this machine.
fn file_of_url(variable: &str, text: &str) -> Result<PathBuf> {
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    }) else {
        return Ok(PathBuf::from(text));
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(Error::Invalid(format!(
            "{variable} is \"{text}\", and only files of this machine are read; fetch it, and write {variable}=file:///path/ccdt.json"
        )));
    }
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(behind) => match behind.find('/') {
            Some(0) => behind,
            Some(at) if behind[..at].eq_ignore_ascii_case("localhost") => &behind[at..],
            _ => {
                return Err(Error::Invalid(format!(
                    "{variable} is \"{text}\", which names another machine; three slashes begin a path on this one: \
                     {variable}=file:///path/ccdt.json"
                )));
            }
        },
    };
    Ok(PathBuf::from(without_percents(path)))
}

/// `%20` and the like as what they stand for; what is none stays as it is.
fn without_percents(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits =
            behind.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANCE: Chance = Chance { host: 1, connection: 1 };

    /// With these variables and files.
    fn source(variables: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Source> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_string())
        };
        let read = |path: &Path| {
            let found = files.iter().find(|(known, _)| Path::new(known) == path);
            found.map(|(_, text)| text.as_bytes().to_vec()).ok_or(io::Error::from(io::ErrorKind::NotFound))
        };
        Source::of_environment(variable, read)
    }

    fn table(channel: &str) -> String {
        format!(
            r#"{{"channel":[{{"name":"{channel}","type":"clientConnection",
                "clientConnection":{{"connection":[{{"host":"h"}}],"queueManager":"QM1"}}}}]}}"#
        )
    }

    fn channel(variables: &[(&str, &str)], files: &[(&str, &str)]) -> String {
        source(variables, files).unwrap().channels("QM1", CHANCE).unwrap()[0].channel.clone()
    }

    #[test]
    fn one_variable_goes_before_the_other() {
        let (one, two) = (table("ONE"), table("TWO"));
        let files = [
            ("/a/AMQCLCHL.TAB", one.as_str()),
            ("/var/mqm/b.json", &two),
            ("/a/b.json", &two),
            ("/c d", &one),
        ];
        let all = [
            ("MQSERVER", "SERVER/TCP/h"),
            ("MQCCDTURL", "file:///c%20d"),
            ("MQCHLLIB", "/a"),
            ("MQCHLTAB", "b.json"),
        ];
        assert_eq!(channel(&all, &files), "SERVER");
        assert_eq!(channel(&[&[("MQSERVER", " ")], &all[1..]].concat(), &files), "ONE");
        assert_eq!(channel(&all[2..], &files), "TWO");
        assert_eq!(channel(&all[2..3], &files), "ONE");
        assert_eq!(channel(&all[3..], &files), "TWO");
        assert_eq!(channel(&[("MQCHLTAB", "/a/b.json")], &files), "TWO");
        let default = source(&[], &[]).unwrap().channels("QM1", CHANCE).unwrap();
        assert_eq!(
            (default[0].channel.as_str(), &default[0].addresses[..]),
            (CHANNEL, &["localhost:1414".into()][..])
        );
    }

    #[test]
    fn a_url_is_a_file_of_this_machine() {
        let text = table("ONE");
        for (url, file) in [
            ("file:///a/ccdt.json", "/a/ccdt.json"),
            ("file:/a/ccdt.json", "/a/ccdt.json"),
            ("FILE://localhost/a/ccdt.json", "/a/ccdt.json"),
            ("/a/ccdt.json", "/a/ccdt.json"),
            ("ccdt.json", "ccdt.json"),
            ("file:ccdt.json", "ccdt.json"),
            ("file:///a%2", "/a%2"),
        ] {
            assert_eq!(channel(&[("MQCCDTURL", url)], &[(file, &text)]), "ONE", "{url}");
        }
        for (url, what) in [
            ("http://h/ccdt.json", "only files of this machine are read"),
            ("ftp://h/ccdt.json", "only files of this machine are read"),
            ("file://h/ccdt.json", "names another machine"),
            ("file:///a/none.json", "/a/none.json that MQCCDTURL names cannot be read"),
        ] {
            let error = source(&[("MQCCDTURL", url)], &[]).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("MQCCDTURL"), "{error}");
        }
    }

    #[test]
    fn a_table_without_the_queue_manager_says_whom_it_has() {
        let text = table("ONE");
        let source = source(&[("MQCCDTURL", "/t.json")], &[("/t.json", &text)]).unwrap();
        for (name, asked) in [("QM2", "queue manager QM2"), ("", "a program that names no queue manager")] {
            let error = source.channels(name, CHANCE).unwrap_err().to_string();
            assert!(
                error.contains(&format!("/t.json has no entry for {asked}; its entries are for QM1")),
                "{error}"
            );
        }
    }
}
