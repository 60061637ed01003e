//! `apply`: definitions as a script has them, changed only where they are not.

use std::{collections::BTreeMap, io::Read, path::Path};

use serde_json::json;
use trimaran_client::{
    Admin, Attribute, Error, ObjectDetails, RecordAction as Action,
    proto::{
        attribute::{Kind, State},
        audit::{SECRET, SECRETS},
        mqsc::{Command, Reply, Script, Step},
    },
    reason,
};

use crate::{
    arguments::{ApplyArgs, Global},
    output::{Failure, Outcome, patiently, shortened},
    say,
    talk::plural,
};

/// Names and values.
type Values = Vec<(String, String)>;

pub async fn run(global: &Global, args: ApplyArgs) -> Outcome {
    let commands = merged(read(&args.file)?);
    let connection = global.connect().await?;
    let admin = connection.admin();
    let mut there = There { admin: admin.clone(), foretold: Foretold::default() };
    let mut counts = Counts::default();
    for command in commands {
        let changes = patiently("comparing", Planned::of(&there, &command)).await;
        let changes = changes.inspect_err(|_| counts.tell_before(global, args.dry_run))?;
        let Some(Planned { what, command, messages }) = changes else {
            counts.unchanged += 1;
            continue;
        };
        if let Some(why) = refused(&command) {
            counts.tell_before(global, args.dry_run);
            return Err(not_done(&what, reason::FUNCTION_NOT_SUPPORTED, why));
        }
        if args.dry_run {
            match global.json {
                true => say!("{}", json!({ "would_be": what, "messages": messages })),
                false => say!("would be {what}{}", warning(&command, messages)),
            }
            there.foretell(&command).await?;
            counts.changed += 1;
            continue;
        }
        if let Some(Reply::Refused { reason, text }) = patiently("changing", admin.mqsc(&command)).await {
            counts.tell_before(global, false);
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
    say!("{}", counts.told(args.dry_run));
    Ok(())
}

/// What alters an object that the file has defined or altered before is said with that, so that what has become of it is compared and
/// not what it was in between. A copy that is made in between (LIKE) is made of what was said until then.
fn merged(commands: Vec<Command>) -> Vec<Command> {
    let mut merged: Vec<Command> = Vec::new();
    for command in commands {
        let Command::Alter { kind, name, said } = command else {
            merged.push(command);
            continue;
        };
        let is_same = |of: Kind, named: &str| of == kind && named == name;
        let before = merged.iter().rposition(|other| match other {
            Command::Define { kind, name, like, .. } => is_same(*kind, name) || is_same(*kind, like),
            Command::Alter { kind, name, .. } | Command::Delete { kind, name, .. } => is_same(*kind, name),
            _ => false,
        });
        match before.map(|at| &mut merged[at]) {
            Some(Command::Define { name: defined, said: first, .. }) if *defined == name => {
                set(first, &said);
            }
            Some(Command::Alter { said: first, .. }) => {
                let mut both = std::mem::take(first);
                set(&mut both, &said);
                merged.remove(before.expect("it was found"));
                merged.push(Command::Alter { kind, name, said: both });
            }
            _ => merged.push(Command::Alter { kind, name, said }),
        }
    }
    merged
}

/// Why a queue manager refuses it whatever is there: a value that is not supported here.
fn refused(command: &Command) -> Option<String> {
    let all: Vec<(Kind, &(&'static str, String))> = match command {
        Command::Define { kind, said, .. } | Command::Alter { kind, said, .. } => {
            said.iter().map(|said| (*kind, said)).collect()
        }
        Command::Set { kind, steps, .. } => {
            steps.iter().flat_map(|(_, said)| said).map(|said| (*kind, said)).collect()
        }
        _ => Vec::new(),
    };
    all.into_iter().find_map(|(kind, (name, value))| {
        let attribute = kind.attribute_named(name)?;
        let State::Refused(why) = attribute.state else { return None };
        let is_default = attribute.text(&attribute.default_value()) == *value;
        (!is_default).then(|| format!("{name}({value}) is not supported. {why}"))
    })
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

impl Counts {
    fn told(&self, dry_run: bool) -> String {
        let changed = if dry_run { "would be changed" } else { "changed" };
        format!("{} {changed}, {} unchanged", self.changed, self.unchanged)
    }

    /// What was done before a command that is not.
    fn tell_before(&self, global: &Global, dry_run: bool) {
        if !global.json {
            eprintln!("trimaran: {}, then:", self.told(dry_run));
        }
    }
}

/// What is defined; and what would be, where commands are only asked about, each behind the ones in front of it.
struct There {
    admin: Admin,
    foretold: Foretold,
}

/// By kind and name: nothing where it would be deleted. Of records all of a profile.
#[derive(Default)]
struct Foretold {
    objects: BTreeMap<(&'static str, String), Option<ObjectDetails>>,
    records: BTreeMap<(&'static str, String), Vec<ObjectDetails>>,
}

impl There {
    /// Of this name, or nothing.
    async fn find(&self, kind: Kind, name: &str) -> Result<Option<ObjectDetails>, Failure> {
        let kind = kind.facts().name;
        if let Some(foretold) = self.foretold.objects.get(&(kind, name.to_string())) {
            return Ok(foretold.clone());
        }
        match self.admin.display(kind, name).await {
            Ok(objects) => Ok(objects.into_iter().next()),
            Err(error) if error.reason() == Some(reason::UNKNOWN_OBJECT_NAME) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of this profile.
    async fn records(&self, kind: Kind, profile: &str) -> Result<Vec<ObjectDetails>, Failure> {
        let kind = kind.facts().name;
        if let Some(foretold) = self.foretold.records.get(&(kind, profile.to_string())) {
            return Ok(foretold.clone());
        }
        let mut all = self.admin.display(kind, profile).await?;
        all.retain(|record| record.name == profile);
        Ok(all)
    }

    /// From here on it is as if the command had been done.
    async fn foretell(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Define { kind, name, like, said, .. } => {
                let mut values = basis(self, *kind, name, like).await?;
                set(&mut values, said);
                let there = self.find(*kind, name).await?.unwrap_or_default();
                self.foretell_object(*kind, name, Some(with(there, values)));
            }
            Command::Alter { kind, name, said } => {
                let mut values = Values::new();
                set(&mut values, said);
                let there = self.find(*kind, name).await?.unwrap_or_default();
                self.foretell_object(*kind, name, Some(with(there, values)));
            }
            Command::Delete { kind, name, .. } => self.foretell_object(*kind, name, None),
            Command::Set { kind, profile, steps, .. } => {
                let mut records = self.records(*kind, profile).await?;
                steps
                    .iter()
                    .for_each(|(action, said)| take_step(*kind, profile, &mut records, *action, said));
                self.foretold.records.insert((kind.facts().name, profile.clone()), records);
            }
            _ => {}
        }
        Ok(())
    }

    fn foretell_object(&mut self, kind: Kind, name: &str, object: Option<ObjectDetails>) {
        self.foretold.objects.insert((kind.facts().name, name.to_string()), object);
    }
}

/// The object with these values; its others stay.
fn with(mut object: ObjectDetails, values: Values) -> ObjectDetails {
    for (name, value) in values {
        match object.attributes.iter_mut().find(|attribute| attribute.name == name) {
            Some(attribute) => attribute.value = value,
            None => object.attributes.push(Attribute { name, value }),
        }
    }
    object
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
    commands_of(&text, &path.display().to_string())
}

/// The commands of a text; `name` says where it is from.
fn commands_of(text: &str, name: &str) -> Result<Vec<Command>, Failure> {
    let mut script = Script::new(true, false);
    // Each step with the line that its command begins in, and what was typed there.
    let mut steps = Vec::new();
    let mut begun = (0, "");
    for (number, line) in text.lines().enumerate() {
        if !script.goes_on() {
            begun = (number + 1, line.trim());
        }
        let mut shown = Vec::new();
        steps.push((begun, script.line(line, &mut shown)));
        if script.exit_code() != 0 {
            return Err(mistake(name, &format!("line {}", number + 1), &shown));
        }
    }
    let mut shown = Vec::new();
    steps.push((begun, script.end(&mut shown)));
    if script.exit_code() != 0 {
        return Err(mistake(name, "at the end", &shown));
    }
    let mut commands = Vec::new();
    for ((number, typed), step) in steps {
        match step {
            Step::Next => {}
            Step::End => break,
            Step::Ask(command) if can_be_applied(&command) => commands.push(command),
            Step::Ask(Command::NotHere(why)) => {
                return Err(Failure::Usage(format!("{name}, line {number}: {why}")));
            }
            Step::Ask(_) => {
                let typed = shortened(typed, 60);
                let text = format!(
                    "{name}, line {number}: {typed} is no definition: `apply` does DEFINE, ALTER, DELETE and SET; give the \
                     others to `runmqsc`"
                );
                return Err(Failure::Usage(text));
            }
        }
    }
    Ok(commands)
}

/// The fault alone: what follows it is help for who types, and fifty lines long.
fn mistake(name: &str, place: &str, shown: &[String]) -> Failure {
    let fault = match shown {
        // Of a line that was not even read there is no segment to show.
        [_, segment, why, ..] if segment.is_empty() => why.trim().to_string(),
        _ => shown.split(|line| line.is_empty()).next().unwrap_or_default().join("\n"),
    };
    Failure::Usage(format!("{name}, {place}: {fault}"))
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
    async fn of(there: &There, command: &Command) -> Result<Option<Planned>, Failure> {
        match command {
            Command::Define { kind, name, like, said, .. } => {
                let mut values = basis(there, *kind, name, like).await?;
                if *kind == Kind::Listener {
                    // Whether somebody started or stopped it stays as it is.
                    values.retain(|(name, _)| name != "STATE");
                }
                set(&mut values, said);
                let Some(there) = there.find(*kind, name).await? else {
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
                let there = there.find(*kind, name).await?;
                let there = there
                    .ok_or_else(|| Failure::Check(format!("there is no {}({name})", kind.facts().name)))?;
                let mut values = Values::new();
                set(&mut values, said);
                Ok(planned("changed", *kind, name, &there, &values, command.clone()))
            }
            Command::Delete { kind, name, .. } => {
                let there = there.find(*kind, name).await?;
                let what = format!("deleted {}({name})", kind.facts().name);
                let messages = |there: ObjectDetails| there.status.map_or(0, |status| status.depth);
                Ok(there.map(|there| Planned { what, command: command.clone(), messages: messages(there) }))
            }
            _ => records(there, command).await,
        }
    }
}

/// What a new object would be that says nothing itself.
async fn basis(there: &There, kind: Kind, name: &str, like: &str) -> Result<Values, Failure> {
    let facts = kind.facts();
    let like = if like.is_empty() { facts.default_object } else { like };
    let found = if like.is_empty() || like == name { None } else { there.find(kind, like).await? };
    if found.is_none() && like != facts.default_object && like != name {
        return Err(Failure::Check(format!("there is no {}({like})", facts.name)));
    }
    if let Some(object) = found {
        return Ok(object.attributes.into_iter().map(|said| (said.name, said.value)).collect());
    }
    let settable = kind
        .attributes()
        .map(|attribute| (attribute.name.to_string(), attribute.text(&attribute.default_value())));
    Ok(settable.collect())
}

fn set<N: PartialEq + From<&'static str>>(values: &mut Vec<(N, String)>, said: &[(&'static str, String)]) {
    for (name, value) in said {
        let name = N::from(*name);
        values.retain(|(other, _)| *other != name);
        values.push((name, value.clone()));
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
    let differs = |is: &&Attribute| values.iter().any(|(name, shall)| *name == is.name && *shall != is.value);
    let differences: Vec<&Attribute> = there.attributes.iter().filter(differs).collect();
    // What a password is nobody is told. One that is said is set once more, and one that is not is no reason to change anything.
    let is_reason = |is: &&Attribute| !is_secret(kind, &is.name) || says(&command, &is.name);
    if !differences.iter().any(is_reason) {
        return None;
    }
    let told = |is: &&Attribute| {
        let shall = values.iter().find(|(name, _)| *name == is.name).map_or("", |(_, shall)| shall);
        let shown = |value: &str| match is_secret(kind, &is.name) && !value.is_empty() {
            true => SECRET.to_string(),
            false => value.to_string(),
        };
        format!("{}({}) to {:?}", is.name, shown(&is.value), shown(shall))
    };
    let differences: Vec<String> = differences.iter().map(told).collect();
    let object = if name.is_empty() { "QMGR".to_string() } else { format!("{}({name})", kind.facts().name) };
    Some(Planned { what: format!("{verb} {object}: {}", differences.join(", ")), command, messages: 0 })
}

fn is_secret(kind: Kind, name: &str) -> bool {
    kind.attribute_named(name).is_some_and(|attribute| SECRETS.contains(&attribute.selector))
}

/// Whether the command itself has the attribute.
fn says(command: &Command, name: &str) -> bool {
    match command {
        Command::Define { said, .. } | Command::Alter { said, .. } => said.iter().any(|(of, _)| *of == name),
        _ => false,
    }
}

/// Whether the attribute tells records of one profile apart, and whether it is a list.
fn is_key(kind: Kind, name: &str) -> bool {
    kind.attribute_named(name).is_some_and(|attribute| attribute.key)
}

fn is_list(kind: Kind, name: &str) -> bool {
    let form = kind.attribute_named(name).map(|attribute| attribute.form);
    matches!(form, Some(trimaran_client::proto::attribute::Form::List { .. }))
}

fn value_of(record: &ObjectDetails, name: &str) -> String {
    let found = record.attributes.iter().find(|attribute| attribute.name == name);
    found.map(|attribute| attribute.value.clone()).unwrap_or_default()
}

fn members(list: &str) -> Vec<String> {
    list.split(',').filter(|member| !member.is_empty()).map(str::to_string).collect()
}

/// The record that is meant by what is said of it.
fn meant(kind: Kind, records: &[ObjectDetails], said: &[(&'static str, String)]) -> Option<usize> {
    let is_meant = |record: &ObjectDetails| {
        said.iter()
            .filter(|(name, _)| is_key(kind, name))
            .all(|(name, value)| value_of(record, name) == *value)
    };
    records.iter().position(is_meant)
}

/// What a step of SET does to the records of its profile.
fn take_step(
    kind: Kind,
    profile: &str,
    records: &mut Vec<ObjectDetails>,
    action: Action,
    said: &[(&'static str, String)],
) {
    let found = meant(kind, records, said);
    let new = || ObjectDetails { name: profile.to_string(), ..ObjectDetails::default() };
    let before = match (action, found) {
        (Action::RemoveAll, _) => return records.clear(),
        (Action::Remove, None) => return,
        (_, None) => new(),
        (_, Some(at)) => records.remove(at),
    };
    let mut left = 0;
    let values = said.iter().map(|(name, value)| {
        if !is_list(kind, name) {
            return (name.to_string(), value.clone());
        }
        let (mut list, named) = (members(&value_of(&before, name)), members(value));
        list.retain(|member| action != Action::Replace && !named.contains(member));
        if action != Action::Remove {
            list.extend(named);
        }
        left += list.len();
        (name.to_string(), list.join(","))
    });
    let values: Values = values.collect();
    // A record that says nothing any more is gone.
    if action != Action::Remove || left > 0 {
        records.push(with(if action == Action::Replace { new() } else { before }, values));
    }
}

/// Whether a record says something else than what is said, and what is not said of a new one.
fn differs(kind: Kind, record: &ObjectDetails, said: &[(&'static str, String)]) -> bool {
    let sorted = |name: &str, value: String| {
        let mut members = members(&value);
        members.sort_unstable();
        if is_list(kind, name) { members.join(",") } else { value }
    };
    kind.attributes().filter(|attribute| !attribute.key).any(|attribute| {
        let name = attribute.name;
        let default = || attribute.text(&attribute.default_value());
        let is = record.attributes.iter().find(|of| of.name == name).map(|of| of.value.clone());
        let shall = said.iter().find(|(of, _)| *of == name).map(|(_, value)| value.clone());
        sorted(name, is.unwrap_or_else(default)) != sorted(name, shall.unwrap_or_else(default))
    })
}

/// Records are looked for by their profile and by what tells them apart.
async fn records(there: &There, command: &Command) -> Result<Option<Planned>, Failure> {
    let Command::Set { kind, profile, steps, .. } = command else { return Ok(None) };
    let all = there.records(*kind, profile).await?;
    let mut left = Vec::new();
    for (action, said) in steps {
        let found = meant(*kind, &all, said).map(|at| &all[at]);
        let has = |record: &ObjectDetails, name: &str, value: &str| {
            let is = value_of(record, name);
            if !is_list(*kind, name) {
                return is == value;
            }
            let is = members(&is);
            value.split(',').all(|member| is.iter().any(|of| of == member))
        };
        let changes = match (action, found) {
            (Action::RemoveAll, _) => !all.is_empty(),
            (Action::Remove, None) => false,
            (Action::Remove, Some(record)) => {
                let lists: Vec<_> = said.iter().filter(|(name, _)| is_list(*kind, name)).collect();
                let is_left = |(name, value): &&(&'static str, String)| {
                    let is = members(&value_of(record, name));
                    value.split(',').any(|member| is.iter().any(|of| of == member))
                };
                lists.is_empty() || lists.iter().any(is_left)
            }
            (Action::Add | Action::Replace, None) => true,
            (Action::Add, Some(record)) => said.iter().any(|(name, value)| !has(record, name, value)),
            (Action::Replace, Some(record)) => differs(*kind, record, said),
        };
        if changes {
            left.push((*action, said.clone()));
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
    fn a_password_is_set_where_it_is_said_and_shown_nowhere() {
        let attribute = |name: &str, value: &str| Attribute { name: name.into(), value: value.into() };
        let attributes = vec![attribute("CONNAME", "ldap"), attribute("LDAPPWD", SECRET)];
        let there = ObjectDetails { attributes, ..ObjectDetails::default() };
        let changes = |text: &str| {
            let text = format!("DEFINE AUTHINFO(LDAP) AUTHTYPE(IDPWLDAP) {text}");
            let [Command::Define { kind, name, said, .. }] = &commands_of(&text, "a").unwrap()[..] else {
                panic!("{text}")
            };
            let mut values = vec![("CONNAME".to_string(), String::new()), ("LDAPPWD".into(), String::new())];
            set(&mut values, said);
            let command = commands_of(&text, "a").unwrap().remove(0);
            planned("changed", *kind, name, &there, &values, command).map(|planned| planned.what)
        };
        assert_eq!(changes("CONNAME('ldap')"), None, "as a dump says it, which has no password");
        let what = changes("CONNAME('ldap') LDAPPWD('hush')").unwrap();
        assert_eq!(what, r#"changed AUTHINFO(LDAP): LDAPPWD(********) to "********""#);
        let what = changes("CONNAME('other')").unwrap();
        let expected = r#"changed AUTHINFO(LDAP): CONNAME(ldap) to "other", LDAPPWD(********) to """#;
        assert_eq!(what, expected, "what is lost with it is said");
    }

    #[test]
    fn an_object_is_compared_with_all_that_a_file_says_of_it() {
        let shown = |text: &str| -> Vec<String> {
            let told = |command: Command| match command {
                Command::Define { name, said, .. } => format!("define {name} {}", pairs(&said)),
                Command::Alter { name, said, .. } => format!("alter {name} {}", pairs(&said)),
                _ => "another".to_string(),
            };
            merged(commands_of(text, "a").unwrap()).into_iter().map(told).collect()
        };
        fn pairs(said: &[(&'static str, String)]) -> String {
            said.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        }
        let text =
            "DEFINE QLOCAL(A) MAXDEPTH(1)\nDEFINE QLOCAL(B)\nALTER QLOCAL(A) MAXDEPTH(2) GET(DISABLED)\n";
        assert_eq!(shown(text), ["define A MAXDEPTH=2 GET=DISABLED", "define B "]);
        let text = "ALTER QLOCAL(A) MAXDEPTH(1)\nALTER QLOCAL(B) MAXDEPTH(3)\nALTER QLOCAL(A) MAXDEPTH(2)\n";
        assert_eq!(shown(text), ["alter B MAXDEPTH=3", "alter A MAXDEPTH=2"]);
        // Of a copy, and of what was deleted in between, it is not the same.
        let text = "DEFINE QLOCAL(A)\nDEFINE QLOCAL(B) LIKE(A)\nALTER QLOCAL(A) MAXDEPTH(2)\n";
        assert_eq!(shown(text), ["define A ", "define B ", "alter A MAXDEPTH=2"]);
        let text = "DEFINE QLOCAL(A)\nDELETE QLOCAL(A)\nALTER QLOCAL(A) MAXDEPTH(2)\n";
        assert_eq!(shown(text).len(), 3);
    }

    #[test]
    fn what_is_not_supported_is_refused_before_anybody_is_asked() {
        let why = |text: &str| refused(&commands_of(text, "a").unwrap()[0]);
        let said = why("DEFINE QLOCAL(A) USAGE(XMITQ)").unwrap();
        assert!(said.starts_with("USAGE(XMITQ) is not supported. "), "{said}");
        assert_eq!(why("DEFINE QLOCAL(A) USAGE(NORMAL) MAXDEPTH(7)"), None);
        assert!(why("ALTER QLOCAL(A) USAGE(XMITQ)").is_some());
    }

    #[test]
    fn what_cannot_be_applied_is_named_as_it_was_typed() {
        let refused = |text: &str| match commands_of(text, "a.mqsc") {
            Err(Failure::Usage(said)) => said,
            other => panic!("{text}: {other:?}"),
        };
        for typed in [
            "START CHANNEL(A.B)",
            "STOP LISTENER(L)",
            "clear qlocal(Q)",
            "DISPLAY QLOCAL(*)",
            "PING QMGR",
            "REFRESH SECURITY",
        ] {
            let said = refused(&format!("* first\nDEFINE QLOCAL(A) +\n  REPLACE\n\n  {typed}\n"));
            let expected = format!("a.mqsc, line 5: {typed} is no definition: `apply` does DEFINE");
            assert!(said.starts_with(&expected) && said.contains("`runmqsc`"), "{said}");
        }
        let said = refused(&format!("DEFINE QLOCAL(A)\n{}\n", "x".repeat(2049)));
        assert_eq!(said, "a.mqsc, line 2: A line has at most 2048 characters, and a command 32768.");
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
    fn a_record_is_foretold_as_the_queue_manager_keeps_it() {
        let mut records = Vec::new();
        let mut step = |action, said: &[(&'static str, &str)]| {
            let said: Vec<(&'static str, String)> =
                said.iter().map(|(name, value)| (*name, value.to_string())).collect();
            let differed = records.first().is_none_or(|record| differs(Kind::ChannelAuth, record, &said));
            take_step(Kind::ChannelAuth, "APP", &mut records, action, &said);
            let list = records.first().map(|record| value_of(record, "USERLIST"));
            (differed, list.unwrap_or_else(|| "none".into()))
        };
        let of = "BLOCKUSER";
        assert_eq!(step(Action::Add, &[("TYPE", of), ("USERLIST", "a,b")]), (true, "a,b".into()));
        assert_eq!(step(Action::Add, &[("TYPE", of), ("USERLIST", "b,c")]), (true, "a,b,c".into()));
        assert_eq!(step(Action::Replace, &[("TYPE", of), ("USERLIST", "c,b,a")]), (false, "c,b,a".into()));
        assert_eq!(step(Action::Replace, &[("TYPE", of), ("USERLIST", "a")]), (true, "a".into()));
        assert_eq!(step(Action::Add, &[("TYPE", of), ("DESCR", "why")]), (true, "a".into()));
        assert!(
            step(Action::Replace, &[("TYPE", of), ("USERLIST", "a")]).0,
            "what is not said has its default"
        );
        assert_eq!(step(Action::Remove, &[("TYPE", of), ("USERLIST", "a,x")]), (true, "none".into()));
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
