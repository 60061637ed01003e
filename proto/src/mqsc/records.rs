//! SET CHLAUTH, SET AUTHREC, DELETE AUTHREC: records, which have no names of their own.

use super::clause::Clause;
use super::command::{Command, Said};
use super::syntax::Fault;
use super::words::Word;
use crate::admin::v1::set_request::Action;
use crate::attribute::Kind;

pub(super) fn set_channel_auth(clause: &Clause<'_>) -> Result<Command, Fault> {
    let kind = Kind::ChannelAuth;
    let profile = clause.object_name(kind)?;
    let mut action = None;
    let mut said = Said::new();
    for word in clause.words {
        if word.name != "ACTION" {
            clause.attribute(kind, word, &mut said)?;
            continue;
        }
        action = match (word.one(), action) {
            (Some("ADD"), None) => Some(Action::Add),
            (Some("REPLACE"), None) => Some(Action::Replace),
            (Some("REMOVE"), None) => Some(Action::Remove),
            (Some("REMOVEALL"), None) => Some(Action::RemoveAll),
            _ => return Err(clause.fault(word)),
        };
    }
    let action = action.unwrap_or(Action::Add);
    if action != Action::RemoveAll && !said.iter().any(|(name, _)| *name == "TYPE") {
        return Err(clause.because(clause.name, "TYPE must be said."));
    }
    Ok(Command::Set { kind, profile, steps: vec![(action, said)], deletes: false })
}

/// Authorities by setmqaut's names, and what ALLMQI and ALLADM mean for each kind of object (IBM MQ, "setmqaut").
const AUTHORITIES: &[&str] = &[
    "ALTUSR", "BROWSE", "CHG", "CLR", "CONNECT", "CRT", "CTRL", "CTRLX", "DLT", "DSP", "GET", "INQ",
    "PASSALL", "PASSID", "PUB", "PUT", "RESUME", "SET", "SETALL", "SETID", "SUB", "SYSTEM",
];

fn of_programs(object: &str) -> &'static [&'static str] {
    match object {
        "QUEUE" => &["BROWSE", "GET", "INQ", "PASSALL", "PASSID", "PUT", "SET", "SETALL", "SETID"],
        "QMGR" => &["ALTUSR", "CONNECT", "INQ", "SET", "SETALL", "SETID"],
        "TOPIC" => &["PASSALL", "PASSID", "PUB", "RESUME", "SETALL", "SETID", "SUB"],
        "PROCESS" => &["INQ", "SET"],
        "NAMELIST" | "AUTHINFO" => &["INQ"],
        "RQMNAME" => &["PUT"],
        _ => &[],
    }
}

fn of_administrators(object: &str) -> &'static [&'static str] {
    match object {
        "QUEUE" => &["CHG", "CLR", "DLT", "DSP"],
        "QMGR" => &["CHG", "CTRL", "DLT", "DSP"],
        "TOPIC" => &["CHG", "CLR", "CTRL", "DLT", "DSP"],
        "CHANNEL" => &["CHG", "CTRL", "CTRLX", "DLT", "DSP"],
        "LISTENER" | "SERVICE" => &["CHG", "CTRL", "DLT", "DSP"],
        "RQMNAME" => &[],
        _ => &["CHG", "DLT", "DSP"],
    }
}

/// Who and what a record is of.
struct Record {
    profile: String,
    /// As OBJTYPE names it.
    object: String,
    who: Vec<Said>,
}

pub(super) fn set_authority(clause: &Clause<'_>) -> Result<Command, Fault> {
    let record = record(clause, &["AUTHADD", "AUTHRMV"])?;
    let mut steps = Vec::new();
    for (name, action) in [("AUTHADD", Action::Add), ("AUTHRMV", Action::Remove)] {
        let Some(word) = clause.words.iter().find(|word| word.name == name) else { continue };
        let list = authorities(clause, word, &record.object)?;
        if list.is_empty() && action == Action::Add {
            // AUTHADD(NONE): a record by which somebody may do nothing.
            steps.extend(record.who.iter().map(|who| (action, who.clone())));
        }
        steps.extend(authority_steps(action, &list, &record.who));
    }
    if steps.is_empty() {
        return Err(clause.because(last(clause), "AUTHADD or AUTHRMV must be said."));
    }
    Ok(Command::Set { kind: Kind::Authority, profile: record.profile, steps, deletes: false })
}

pub(super) fn delete_authority(clause: &Clause<'_>) -> Result<Command, Fault> {
    let record = record(clause, &[])?;
    let steps = record.who.into_iter().map(|who| (Action::Remove, who)).collect();
    Ok(Command::Set { kind: Kind::Authority, profile: record.profile, steps, deletes: true })
}

/// What becomes of these authorities, for everyone whom a record is about. Nothing where there are none.
pub fn authority_steps(action: Action, list: &[&str], who: &[Said]) -> Vec<(Action, Said)> {
    if list.is_empty() {
        return Vec::new();
    }
    let step = |who: &Said| {
        let mut said = who.clone();
        said.push(("AUTHLIST", list.join(",")));
        (action, said)
    };
    who.iter().map(step).collect()
}

fn last<'a>(clause: &'a Clause<'_>) -> &'a Word {
    clause.words.last().unwrap_or(clause.name)
}

/// MQ's name for the queue manager's own record.
pub const MANAGER_PROFILE: &str = "SELF";

fn record(clause: &Clause<'_>, others: &[&str]) -> Result<Record, Fault> {
    if clause.name.values.is_some() {
        return Err(clause.fault(clause.name));
    }
    let (mut profile, mut object, mut who) = (None, None, None);
    for word in clause.words {
        match (word.name.as_str(), word.one()) {
            ("PROFILE", Some(name)) if profile.is_none() => profile = Some(name.to_string()),
            ("OBJTYPE", Some(_)) if object.is_none() => {
                let mut said = Said::new();
                clause.attribute(Kind::Authority, word, &mut said)?;
                object = said.pop().map(|(_, value)| value);
            }
            ("PRINCIPAL" | "GROUP", _) if who.is_none() && word.values.is_some() => {
                let names = word.all().map(str::to_string).collect::<Vec<_>>();
                who = Some((if word.name == "GROUP" { "GROUP" } else { "PRINCIPAL" }, names));
            }
            (name, _) if others.contains(&name) && word.values.is_some() => {}
            _ => return Err(clause.fault(word)),
        }
    }
    let object = object.ok_or_else(|| clause.because(last(clause), "OBJTYPE must be said."))?;
    let (kind, names) =
        who.ok_or_else(|| clause.because(last(clause), "PRINCIPAL or GROUP must be said."))?;
    let profile = match (profile, object.as_str()) {
        (None, "QMGR") => MANAGER_PROFILE.to_string(),
        (Some(profile), _) => profile,
        (None, _) => return Err(clause.because(last(clause), "PROFILE must be said.")),
    };
    let said =
        |name: String| vec![("OBJTYPE", object.clone()), ("ENTTYPE", kind.to_string()), ("ENTITY", name)];
    let who = names.into_iter().map(said).collect();
    Ok(Record { profile, object, who })
}

fn authorities(clause: &Clause<'_>, word: &Word, object: &str) -> Result<Vec<&'static str>, Fault> {
    granted(word.all(), object).map_err(|why| clause.because(word, why))
}

/// Single authorities for what may be words for several of them, with objects of this kind (as OBJTYPE names it).
///
/// # Errors
/// A sentence about one that there is not.
pub fn granted<'a>(
    names: impl IntoIterator<Item = &'a str>,
    object: &str,
) -> Result<Vec<&'static str>, String> {
    let mut list: Vec<&'static str> = Vec::new();
    for name in names {
        match name.to_ascii_uppercase().as_str() {
            "NONE" => {}
            "ALL" => list.extend(of_programs(object).iter().chain(of_administrators(object))),
            "ALLMQI" => list.extend(of_programs(object)),
            "ALLADM" => list.extend(of_administrators(object)),
            name => match AUTHORITIES.iter().find(|known| **known == name) {
                Some(known) => list.push(known),
                None => return Err(format!("There is no authority {name}.")),
            },
        }
    }
    list.sort_unstable();
    list.dedup();
    Ok(list)
}
