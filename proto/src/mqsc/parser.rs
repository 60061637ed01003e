//! The text of a command to what it means: verbs, nouns, and attributes by their table.

use super::clause::Clause;
use super::command::{Command, Said};
use super::display;
use super::nouns::{Noun, Verb};
use super::records;
use super::syntax::{Fault, Help};
use super::words::{Word, words};
use crate::attribute::Kind;

/// What REFRESH QMGR tells in events: words of OBJECT.
const TOLD: &[&str] = &[
    "ALL", "AUTHINFO", "AUTHREC", "CHANNEL", "CHLAUTH", "LISTENER", "QALIAS", "QLOCAL", "QMGR", "QMODEL",
    "QREMOTE", "QUEUE", "TOPIC",
];
/// IBM MQ Reference, "REFRESH QMGR", INCLINT.
const MINUTES_MOST: u32 = 999_999;

/// Reads one command.
///
/// # Errors
/// Where it makes no sense any more.
pub fn parse(text: &str) -> Result<Command, Fault> {
    let words = words(text).map_err(|until| Fault { until, why: String::new(), help: help_for(text) })?;
    let fault = |word: &Word, help| Fault { until: word.end, why: String::new(), help };
    let (first, rest) =
        words.split_first().ok_or(Fault { until: 0, why: String::new(), help: Help::Verbs })?;
    if first.name == "?" {
        return Ok(Command::Help(Help::Verbs.lines()));
    }
    let verb = Verb::named(&first.name).filter(|_| first.values.is_none());
    let verb = verb.ok_or_else(|| fault(first, Help::Verbs))?;
    if verb == Verb::End {
        return match rest.first() {
            None => Ok(Command::End),
            Some(word) => Err(fault(word, Help::Verbs)),
        };
    }
    let (second, rest) = rest.split_first().ok_or_else(|| fault(first, Help::Nouns(verb)))?;
    if second.name == "?" {
        return Ok(Command::Help(Help::Nouns(verb).lines()));
    }
    let noun = Noun::named(&second.name).filter(|noun| verb.takes(*noun));
    let noun = noun.ok_or_else(|| fault(second, Help::Nouns(verb)))?;
    let clause = Clause { verb, noun, words: rest, name: second };
    if second.values.is_none() && rest.iter().any(|word| word.name == "?") {
        return Ok(Command::Help(Help::Command(verb, noun).lines()));
    }
    clause.command()
}

/// What would be possible in a text that cannot even be told into words.
fn help_for(text: &str) -> Help {
    let mut names = text.split_whitespace().map(str::to_ascii_uppercase);
    let Some(verb) = names.next().and_then(|name| Verb::named(&name)) else { return Help::Verbs };
    let noun = names.next().map(|name| name.split('(').next().unwrap_or_default().to_string());
    match noun.and_then(|name| Noun::named(&name)).filter(|noun| verb.takes(*noun)) {
        Some(noun) => Help::Command(verb, noun),
        None => Help::Nouns(verb),
    }
}

impl Clause<'_> {
    fn command(&self) -> Result<Command, Fault> {
        use Verb::*;
        match (self.verb, self.noun) {
            (_, Noun::Missing(why)) => Ok(Command::NotHere(why.to_string())),
            (Define, Noun::Object(kind)) => self.define(kind),
            (Alter, Noun::Object(kind)) => self.alter(kind),
            (Delete, Noun::Object(Kind::Authority)) => records::delete_authority(self),
            (Delete, Noun::Object(kind)) => self.delete(kind),
            (Clear, Noun::Object(_)) => {
                self.nothing_else()?;
                Ok(Command::Clear { queue: self.object_name(Kind::LocalQueue)? })
            }
            (Set, Noun::Object(Kind::Authority)) => records::set_authority(self),
            (Set, Noun::Object(_)) => records::set_channel_auth(self),
            (Display, noun) => display::display(self, noun),
            (Ping, Noun::Object(Kind::QueueManager)) => self.nothing_else().map(|()| Command::Ping),
            (Refresh, Noun::Security) => self.refresh_security(),
            (Refresh, Noun::Object(Kind::QueueManager)) => self.refresh_manager(),
            (Start | Stop, Noun::Object(Kind::Channel)) => self.control_channel(),
            (Start | Stop, Noun::Object(Kind::Listener)) => self.control_listener(),
            _ => Ok(Command::NotHere(self.why_not().to_string())),
        }
    }

    /// START and STOP CHANNEL (IBM MQ Reference, "STOP CHANNEL"). Whichever MODE: what was not committed is backed out.
    fn control_channel(&self) -> Result<Command, Fault> {
        let channel = self.object_name(Kind::Channel)?;
        let stops = self.verb == Verb::Stop;
        let mut states = if stops { vec!["STOPPED"] } else { vec!["STARTED"] };
        for word in self.words {
            match (word.name.as_str(), word.one()) {
                ("MODE", Some("QUIESCE" | "FORCE" | "TERMINATE")) if stops => {}
                ("STATUS", Some("STOPPED")) if stops => {}
                // Who is connected goes, and may come again.
                ("STATUS", Some("INACTIVE")) if stops => states = vec!["STOPPED", "STARTED"],
                ("IGNSTATE", Some("YES" | "NO")) => {}
                ("CONNAME" | "QMNAME", Some(_)) if stops => {
                    return Ok(Command::NotHere(
                        "A channel is stopped for all who use it, and not for some.".into(),
                    ));
                }
                _ => return Err(self.fault(word)),
            }
        }
        Ok(Command::Control { kind: Kind::Channel, name: channel, stops, states, already_is_fine: true })
    }

    /// START and STOP LISTENER (IBM MQ Reference, "START LISTENER").
    fn control_listener(&self) -> Result<Command, Fault> {
        let name = self.object_name(Kind::Listener)?;
        let stops = self.verb == Verb::Stop;
        let mut already_is_fine = false;
        for word in self.words {
            match (word.name.as_str(), word.one()) {
                ("IGNSTATE", Some(said @ ("YES" | "NO"))) => already_is_fine = said == "YES",
                _ => return Err(self.fault(word)),
            }
        }
        let states = vec![if stops { "STOPPED" } else { "STARTED" }];
        Ok(Command::Control { kind: Kind::Listener, name, stops, states, already_is_fine })
    }

    /// Why a verb that MQ has does nothing here.
    fn why_not(&self) -> &'static str {
        match (self.verb, self.noun) {
            (Verb::Stop, Noun::Connection) => "Connections are not ended by a command yet.",
            (Verb::Ping | Verb::Reset | Verb::Resolve, Noun::Object(Kind::Channel)) => {
                "Only channels of type SVRCONN are there, and MQ has no such command for them."
            }
            (Verb::Reset, _) => {
                "There are no counters or logs that could be reset: each node looks after its own."
            }
            (Verb::Refresh, _) => "Nothing is kept that could be refreshed.",
            (Verb::Resume | Verb::Suspend, _) => {
                "A queue manager is no member of an MQ cluster; `trimaran move` moves it to another node."
            }
            _ => "That is not done here.",
        }
    }

    /// REFRESH QMGR (IBM MQ Reference). Of its types only the one that tells objects in events has something to do here.
    fn refresh_manager(&self) -> Result<Command, Fault> {
        if self.name.values.is_some() {
            return Err(self.fault(self.name));
        }
        let (mut of_type, mut kind, mut name, mut minutes) = (None, None, None, None);
        for word in self.words {
            let value = word.one().ok_or_else(|| self.fault(word))?;
            match word.name.as_str() {
                "TYPE" if of_type.is_none() => of_type = Some((word, value)),
                "OBJECT" if kind.is_none() => kind = Some((word, value)),
                "NAME" if name.is_none() => name = Some(self.generic_name(word, value)?),
                "INCLINT" if minutes.is_none() => minutes = Some(self.minutes(word, value)?),
                _ => return Err(self.fault(word)),
            }
        }
        match of_type {
            Some((_, "CONFIGEV")) => {}
            Some((_, "EXPIRY" | "EARLY")) => {
                return Ok(Command::NotHere("That is for queue managers on z/OS.".into()));
            }
            Some((_, "PROXYSUB")) => {
                return Ok(Command::NotHere("Nothing is published or subscribed to yet.".into()));
            }
            Some((word, _)) => return Err(self.fault(word)),
            None => return Err(self.because(self.name, "TYPE must be said.")),
        }
        let kind = match kind {
            None => "ALL",
            Some((_, kind)) if TOLD.contains(&kind) => kind,
            Some((word, kind)) => {
                return match Noun::named(kind) {
                    Some(Noun::Missing(why)) => Ok(Command::NotHere(why.to_string())),
                    _ => Err(self.fault(word)),
                };
            }
        };
        let (kind, name) = (kind.to_string(), name.unwrap_or_default());
        Ok(Command::Refreshed { kind, name, within_minutes: minutes.unwrap_or(0) })
    }

    /// A name that may end in a star; empty for the star alone.
    fn generic_name(&self, word: &Word, name: &str) -> Result<String, Fault> {
        if name.strip_suffix('*').unwrap_or(name).contains('*') {
            return Err(self.because(word, "A name may end in * and have none in it."));
        }
        Ok(if name == "*" { String::new() } else { name.to_string() })
    }

    fn minutes(&self, word: &Word, text: &str) -> Result<u32, Fault> {
        let minutes = text.parse().ok().filter(|minutes| *minutes <= MINUTES_MOST);
        let why = || format!("INCLINT is 0 to {MINUTES_MOST} minutes, not {text}.");
        minutes.ok_or_else(|| self.because(word, why()))
    }

    /// Certificates are the only thing that is kept, and each node reads its own again.
    fn refresh_security(&self) -> Result<Command, Fault> {
        match self.words {
            [] => Ok(Command::Refresh),
            [word] if word.name == "TYPE" => match word.one() {
                Some("AUTHSERV" | "CONNAUTH" | "CLASSES") => Ok(Command::Refresh),
                Some("SSL") => Ok(Command::NotHere(
                    "Each node reads its certificates again with `systemctl reload`.".into(),
                )),
                _ => Err(self.fault(word)),
            },
            [word, ..] => Err(self.fault(word)),
        }
    }

    fn define(&self, kind: Kind) -> Result<Command, Fault> {
        let name = self.object_name(kind)?;
        let (mut like, mut replace) = (None, None);
        let mut said = Said::new();
        for word in self.words {
            match (word.name.as_str(), word.one()) {
                ("REPLACE" | "NOREPLACE", None) if word.values.is_none() && replace.is_none() => {
                    replace = Some(word.name == "REPLACE");
                }
                ("LIKE", Some(other)) if like.is_none() => {
                    self.check_name(kind, other, word)?;
                    like = Some(other.to_string());
                }
                ("REPLACE" | "NOREPLACE" | "LIKE", _) => return Err(self.fault(word)),
                _ => {
                    if let Some(why) = self.other_channel(word) {
                        return Ok(Command::NotHere(why));
                    }
                    self.attribute(kind, word, &mut said)?;
                }
            }
        }
        if kind == Kind::Channel && !said.iter().any(|(name, _)| *name == "CHLTYPE") {
            return Err(self.because(self.name, "CHLTYPE must be said."));
        }
        Ok(Command::Define {
            kind,
            name,
            like: like.unwrap_or_default(),
            replace: replace.unwrap_or(false),
            said,
        })
    }

    fn alter(&self, kind: Kind) -> Result<Command, Fault> {
        let name = match kind {
            Kind::QueueManager => {
                if self.name.values.is_some() {
                    return Err(self.fault(self.name));
                }
                String::new()
            }
            kind => self.object_name(kind)?,
        };
        let mut said = Said::new();
        for word in self.words {
            if let Some(why) = self.other_channel(word) {
                return Ok(Command::NotHere(why));
            }
            // What is in use is changed all the same: handles see it at their next call.
            if word.name == "FORCE"
                && word.values.is_none()
                && (kind.is_queue() || kind == Kind::QueueManager)
            {
                continue;
            }
            self.attribute(kind, word, &mut said)?;
        }
        Ok(Command::Alter { kind, name, said })
    }

    fn delete(&self, kind: Kind) -> Result<Command, Fault> {
        let name = self.object_name(kind)?;
        let (mut purge, mut ignores) = (None, None);
        for word in self.words {
            match (word.name.as_str(), word.one()) {
                ("PURGE" | "NOPURGE", None)
                    if kind == Kind::LocalQueue && word.values.is_none() && purge.is_none() =>
                {
                    purge = Some(word.name == "PURGE");
                }
                ("IGNSTATE", Some("YES" | "NO")) if ignores.is_none() => {
                    ignores = Some(word.one() == Some("YES"))
                }
                // Authorities stay as they are, which has to be said where MQ would delete them.
                ("AUTHREC", Some("NO")) => {}
                ("AUTHREC", Some("YES")) => {
                    return Ok(Command::NotHere("Authority records are deleted with DELETE AUTHREC.".into()));
                }
                ("CHLTYPE", Some(_)) if kind == Kind::Channel => {
                    if let Some(why) = self.other_channel(word) {
                        return Ok(Command::NotHere(why));
                    }
                }
                ("CHLTABLE", Some("QMGRTBL")) if kind == Kind::Channel => {}
                _ => return Err(self.fault(word)),
            }
        }
        let (purge, missing_is_fine) = (purge.unwrap_or(false), ignores.unwrap_or(false));
        Ok(Command::Delete { kind, name, purge, missing_is_fine })
    }
}
