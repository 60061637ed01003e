//! `apply`: definitions as a script has them, changed only where they are not.

use std::{io::Read, path::Path};

use serde_json::json;
use trimaran_client::{
    Admin, Error, ObjectDetails,
    proto::{
        attribute::Kind,
        mqsc::{Command, Reply, Script, Step},
    },
    reason,
};

use crate::{
    arguments::{ApplyArgs, Global},
    output::{Failure, Outcome, patiently},
    say,
    talk::plural,
};

/// Names and values.
type Values = Vec<(String, String)>;

pub async fn run(global: &Global, args: ApplyArgs) -> Outcome {
    let commands = read(&args.file)?;
    let connection = global.connect().await?;
    let admin = connection.admin();
    let mut counts = Counts::default();
    for command in commands {
        let changes = patiently("comparing", Planned::of(&admin, &command)).await?;
        let Some(Planned { what, command, messages }) = changes else {
            counts.unchanged += 1;
            continue;
        };
        if args.dry_run {
            match global.json {
                true => say!("{}", json!({ "would_be": what, "messages": messages })),
                false => say!("would be {what}{}", warning(&command, messages)),
            }
            counts.changed += 1;
            continue;
        }
        if let Some(Reply::Refused { reason, text }) = patiently("changing", admin.mqsc(&command)).await {
            return Err(not_done(&what, reason, text));
        }
        match global.json {
            true => say!("{}", json!({ "done": what })),
            false => say!("{what}"),
        }
        counts.changed += 1;
    }
    if global.json {
        let (changed, unchanged) = (counts.changed, counts.unchanged);
        say!(
            "{}",
            json!({ "ok": true, "dry_run": args.dry_run, "changed": changed, "unchanged": unchanged })
        );
        return Ok(());
    }
    let changed = if args.dry_run { "would be changed" } else { "changed" };
    say!("{} {changed}, {} unchanged", counts.changed, counts.unchanged);
    Ok(())
}

/// What a deletion does to messages, or what they do to it.
fn warning(command: &Command, messages: u64) -> String {
    let has = format!("it has {messages} {}", plural(messages, "message"));
    match command {
        _ if messages == 0 => String::new(),
        Command::Delete { purge: true, .. } => format!(", and {has}, which go with it"),
        _ => format!(", but {has}: it will be refused without PURGE"),
    }
}

fn not_done(what: &str, reason: u32, text: String) -> Failure {
    Failure::Client(Error::refused(reason, format!("not {what}: {text}")))
}

#[derive(Default)]
struct Counts {
    changed: usize,
    unchanged: usize,
}

/// All commands of the file, understood before the first is done.
fn read(path: &Path) -> Result<Vec<Command>, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| Failure::local(path.display(), error))?;
    let mut script = Script::new(true, false);
    let mut commands = Vec::new();
    let mut steps = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut shown = Vec::new();
        steps.push(script.line(line, &mut shown));
        if script.exit_code() != 0 {
            return Err(mistake(path, &format!("line {}", number + 1), &shown));
        }
    }
    let mut shown = Vec::new();
    steps.push(script.end(&mut shown));
    if script.exit_code() != 0 {
        return Err(mistake(path, "at the end", &shown));
    }
    for step in steps {
        match step {
            Step::Next => {}
            Step::End => break,
            Step::Ask(command) => commands.push(command),
        }
    }
    match commands.iter().find(|command| !can_be_applied(command)) {
        Some(Command::NotHere(why)) => Err(Failure::Usage(format!("{}: {why}", path.display()))),
        Some(other) => Err(Failure::Usage(format!("{}: {other:?} is no definition", path.display()))),
        None => Ok(commands),
    }
}

/// The fault alone: what follows it is help for who types, and fifty lines long.
fn mistake(path: &Path, place: &str, shown: &[String]) -> Failure {
    let fault = shown.split(|line| line.is_empty()).next().unwrap_or_default();
    Failure::Usage(format!("{}, {place}: {}", path.display(), fault.join("\n")))
}

fn can_be_applied(command: &Command) -> bool {
    matches!(
        command,
        Command::Define { .. } | Command::Alter { .. } | Command::Delete { .. } | Command::Set { .. }
    )
}

/// A command that changes something, and what.
struct Planned {
    what: String,
    command: Command,
    /// On the queue that would be deleted.
    messages: u64,
}

impl Planned {
    /// None when everything is as the command says.
    async fn of(admin: &Admin, command: &Command) -> Result<Option<Planned>, Failure> {
        match command {
            Command::Define { kind, name, like, said, .. } => {
                let mut values = basis(admin, *kind, name, like).await?;
                if *kind == Kind::Listener {
                    // Whether somebody started or stopped it stays as it is.
                    values.retain(|(name, _)| name != "STATE");
                }
                set(&mut values, said);
                let Some(there) = find(admin, *kind, name).await? else {
                    let what = format!("defined {}({name})", kind.facts().name);
                    return Ok(Some(Planned { what, command: command.clone(), messages: 0 }));
                };
                let mut replacing = command.clone();
                if let Command::Define { replace, .. } = &mut replacing {
                    *replace = true;
                }
                Ok(planned("changed", *kind, name, &there, &values, replacing))
            }
            Command::Alter { kind, name, said } => {
                let there = find(admin, *kind, name).await?;
                let there = there
                    .ok_or_else(|| Failure::Check(format!("there is no {}({name})", kind.facts().name)))?;
                let mut values = Values::new();
                set(&mut values, said);
                Ok(planned("changed", *kind, name, &there, &values, command.clone()))
            }
            Command::Delete { kind, name, .. } => {
                let there = find(admin, *kind, name).await?;
                let what = format!("deleted {}({name})", kind.facts().name);
                let messages = |there: ObjectDetails| there.status.map_or(0, |status| status.depth);
                Ok(there.map(|there| Planned { what, command: command.clone(), messages: messages(there) }))
            }
            _ => records(admin, command).await,
        }
    }
}

/// What a new object would be that says nothing itself.
async fn basis(admin: &Admin, kind: Kind, name: &str, like: &str) -> Result<Values, Failure> {
    let facts = kind.facts();
    let like = if like.is_empty() { facts.default_object } else { like };
    let found = if like.is_empty() || like == name { None } else { find(admin, kind, like).await? };
    if let Some(object) = found {
        return Ok(object.attributes.into_iter().map(|said| (said.name, said.value)).collect());
    }
    let settable = kind
        .attributes()
        .map(|attribute| (attribute.name.to_string(), attribute.text(&attribute.default_value())));
    Ok(settable.collect())
}

fn set(values: &mut Values, said: &[(&'static str, String)]) {
    for (name, value) in said {
        values.retain(|(other, _)| other != name);
        values.push((name.to_string(), value.clone()));
    }
}

/// Of this name, or nothing.
async fn find(admin: &Admin, kind: Kind, name: &str) -> Result<Option<ObjectDetails>, Failure> {
    match admin.display(kind.facts().name, name).await {
        Ok(objects) => Ok(objects.into_iter().next()),
        Err(error) if error.reason() == Some(reason::UNKNOWN_OBJECT_NAME) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn planned(
    verb: &str,
    kind: Kind,
    name: &str,
    there: &ObjectDetails,
    values: &Values,
    command: Command,
) -> Option<Planned> {
    let differences: Vec<String> = there
        .attributes
        .iter()
        .filter_map(|is| {
            let (_, shall) = values.iter().find(|(name, _)| *name == is.name)?;
            (*shall != is.value).then(|| format!("{}({}) to {shall:?}", is.name, is.value))
        })
        .collect();
    if differences.is_empty() {
        return None;
    }
    let object = if name.is_empty() { "QMGR".to_string() } else { format!("{}({name})", kind.facts().name) };
    Some(Planned { what: format!("{verb} {object}: {}", differences.join(", ")), command, messages: 0 })
}

/// Records are looked for by their profile and by what tells them apart.
async fn records(admin: &Admin, command: &Command) -> Result<Option<Planned>, Failure> {
    use trimaran_client::RecordAction as Action;
    let Command::Set { kind, profile, steps, .. } = command else { return Ok(None) };
    let all = admin.display(kind.facts().name, profile.as_str()).await?;
    let mut left = Vec::new();
    for (action, said) in steps {
        let is_key = |name: &str| kind.attribute_named(name).is_some_and(|attribute| attribute.key);
        let of = |record: &ObjectDetails, name: &str| {
            let found = record.attributes.iter().find(|attribute| attribute.name == name);
            found.map(|attribute| attribute.value.clone()).unwrap_or_default()
        };
        let there = all.iter().find(|record| {
            let is_same =
                said.iter().filter(|(name, _)| is_key(name)).all(|(name, value)| of(record, name) == *value);
            record.name == *profile && is_same
        });
        let is_list = |name: &str| {
            matches!(
                kind.attribute_named(name).map(|attribute| attribute.form),
                Some(trimaran_client::proto::attribute::Form::List { .. })
            )
        };
        let has = |record: &ObjectDetails, name: &str, value: &str| {
            let is = of(record, name);
            if !is_list(name) {
                return is == value;
            }
            let members: Vec<&str> = is.split(',').collect();
            value.split(',').all(|member| members.contains(&member))
        };
        let changes = match (action, there) {
            (Action::RemoveAll, _) => all.iter().any(|record| record.name == *profile),
            (Action::Remove, None) => false,
            (Action::Remove, Some(record)) => {
                let lists: Vec<_> = said.iter().filter(|(name, _)| is_list(name)).collect();
                let is_left = |(name, value): &&(&'static str, String)| {
                    let is = of(record, name);
                    value.split(',').any(|member| is.split(',').any(|other| other == member))
                };
                lists.is_empty() || lists.iter().any(is_left)
            }
            (Action::Add | Action::Replace, None) => true,
            (Action::Add | Action::Replace, Some(record)) => {
                said.iter().any(|(name, value)| !has(record, name, value))
            }
        };
        if changes {
            // A record that is there is not added a second time, and is brought to what is said.
            let action =
                if there.is_some() && *action == Action::Add && !said.iter().any(|(name, _)| is_list(name)) {
                    Action::Replace
                } else {
                    *action
                };
            left.push((action, said.clone()));
        }
    }
    if left.is_empty() {
        return Ok(None);
    }
    let what = format!("set {}({profile})", kind.facts().name);
    let command = Command::Set { kind: *kind, profile: profile.clone(), steps: left, deletes: false };
    Ok(Some(Planned { what, command, messages: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Command>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn what_a_deletion_would_do_to_messages_is_said() {
        let delete = |text: &str| read_text(text).unwrap().remove(0);
        let plain = warning(&delete("DELETE QLOCAL(SMALL)"), 2);
        assert_eq!(plain, ", but it has 2 messages: it will be refused without PURGE");
        let purge = warning(&delete("DELETE QLOCAL(SMALL) PURGE"), 1);
        assert_eq!(purge, ", and it has 1 message, which go with it");
        assert_eq!(warning(&delete("DELETE QLOCAL(SMALL)"), 0), "");
    }

    #[test]
    fn what_failed_does_not_read_as_if_it_were_done() {
        let failure = not_done("deleted QLOCAL(SMALL)", 2055, "The queue has messages.".into());
        let Failure::Client(error) = failure else { panic!("a refusal") };
        assert_eq!(
            error.to_string(),
            "not deleted QLOCAL(SMALL): The queue has messages. (completion code 2, reason 2055 Q_NOT_EMPTY)"
        );
    }

    #[test]
    fn a_mistake_is_said_in_a_few_lines_and_nothing_is_done_before_it() {
        for script in
            ["DEFINE QLOCAL(A)\nDEFINE QLOCAL(B) NONSENSE(1)\n", "DEFINE QLOCAL(A)\nDEFINE QLOCAL(B) +\n"]
        {
            let Err(Failure::Usage(text)) = read_text(script) else { panic!("{script} is wrong") };
            assert!(text.lines().count() < 5, "{text}");
        }
    }
}
