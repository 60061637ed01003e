//! `setmqaut`, `dspmqaut` and `dmpmqaut`: records of authorities under MQ's own commands. They are those of SET and DISPLAY AUTHREC, and
//! nobody enforces them yet, which each of these commands says.

mod profile;

use trimaran_client::proto::mqsc::{self, Reply};
use trimaran_client::{Connection, Error, ObjectDetails, reason};

use self::profile::{by_precision, is_generic, means};
use crate::{
    arguments::{DmpmqautArgs, DspmqautArgs, EntityArgs, Global, ProfileArgs, SetmqautArgs},
    output::{Failure, Outcome, patiently},
    say,
};

/// MQ's exit codes (IBM MQ Reference, "setmqaut").
mod code {
    pub const ARGUMENTS: i32 = 36;
    pub const NOT_AVAILABLE: i32 = 40;
    pub const UNEXPECTED: i32 = 71;
    pub const NO_SUCH_MANAGER: i32 = 72;
    pub const NO_SUCH_OBJECT: i32 = 133;
    pub const OBJECT_NOT_EXPECTED: i32 = 145;
    pub const OBJECT_MISSING: i32 = 146;
    pub const TYPE_MISSING: i32 = 147;
    pub const TYPE_WRONG: i32 = 148;
    pub const ENTITY_MISSING: i32 = 149;
    pub const AUTHORITY_MISSING: i32 = 150;
    pub const AUTHORITY_WRONG: i32 = 151;
}

/// MQ's words for the kinds of objects, OBJTYPE, and what they are displayed as here; no kind where there are none of them.
const TYPES: [(&str, &str, &str, Option<&str>); 12] = [
    ("queue", "q", "QUEUE", Some("QUEUE")),
    ("qmgr", "", "QMGR", None),
    ("channel", "chl", "CHANNEL", Some("CHANNEL")),
    ("listener", "lstr", "LISTENER", Some("LISTENER")),
    ("topic", "top", "TOPIC", Some("TOPIC")),
    ("authinfo", "", "AUTHINFO", Some("AUTHINFO")),
    ("clntconn", "clcn", "CLNTCONN", None),
    ("namelist", "nl", "NAMELIST", None),
    ("process", "prcs", "PROCESS", None),
    ("service", "srvc", "SERVICE", None),
    ("rqmname", "rqmn", "RQMNAME", None),
    ("comminfo", "", "COMMINFO", None),
];

/// As MQ's commands list them.
const AUTHORITIES: [&str; 22] = [
    "get", "browse", "put", "inq", "set", "connect", "altusr", "crt", "dlt", "chg", "dsp", "passid",
    "passall", "setid", "setall", "clr", "ctrl", "ctrlx", "pub", "sub", "resume", "system",
];
const FOR_SEVERAL: [&str; 4] = ["all", "allmqi", "alladm", "none"];

/// `-put` for `setmqaut`, where another command would see three options.
pub fn is_change(word: &str) -> bool {
    let name = word.strip_prefix(['+', '-']).map(str::to_ascii_lowercase);
    name.is_some_and(|name| AUTHORITIES.contains(&name.as_str()) || FOR_SEVERAL.contains(&name.as_str()))
}

fn ended(code: i32, text: impl Into<String>) -> Failure {
    Failure::Control { code, text: text.into() }
}

fn say_what_they_are_worth() {
    eprintln!("Authorities are kept and displayed, and not enforced yet.");
}

// ---- what is meant ----

/// A kind of objects and, but for all of them, a name or profile.
struct Target {
    /// MQ's word for it.
    word: &'static str,
    objtype: &'static str,
    kind: Option<&'static str>,
    profile: Option<String>,
}

impl Target {
    /// # Errors
    /// What is missing or wrong, as MQ's exit code has it.
    fn of(args: &ProfileArgs) -> Result<Target, Failure> {
        let said = args
            .object
            .as_deref()
            .ok_or_else(|| ended(code::TYPE_MISSING, "Object type missing: say -t."))?;
        let lower = said.to_ascii_lowercase();
        let found =
            TYPES.iter().find(|(word, short, ..)| *word == lower || (!short.is_empty() && *short == lower));
        let Some((word, _, objtype, kind)) = found else {
            let words: Vec<&str> = TYPES.iter().map(|(word, ..)| *word).collect();
            let text = format!("Invalid object type: {said} is none of {}.", words.join(", "));
            return Err(ended(code::TYPE_WRONG, text));
        };
        Ok(Target { word, objtype, kind: *kind, profile: args.profile.clone() })
    }

    /// The name of its record: that of a queue manager has MQ's own.
    fn named(&self, connection: &Connection) -> Result<String, Failure> {
        match (&self.profile, self.objtype) {
            (None, "QMGR") => Ok("SELF".to_string()),
            (Some(name), "QMGR") if *name == connection.queue_manager() => Ok("SELF".to_string()),
            (Some(name), "QMGR") => Err(ended(
                code::OBJECT_NOT_EXPECTED,
                format!("Unexpected object name: {name}; leave -n out with -t qmgr."),
            )),
            (Some(name), _) => Ok(name.clone()),
            (None, _) => Err(ended(code::OBJECT_MISSING, "Object name missing: say -n.")),
        }
    }

    /// What is named has to be there; a pattern need not mean anything yet, nor has another queue manager to be known.
    async fn check_it_is_there(&self, connection: &Connection, name: &str) -> Outcome {
        if is_generic(name) || matches!(self.objtype, "QMGR" | "RQMNAME") {
            return Ok(());
        }
        let there = match self.kind {
            Some(kind) => patiently("asking", connection.admin().display(kind, name)).await,
            None => Ok(Vec::new()),
        };
        match there {
            Ok(objects) if objects.iter().any(|object| object.name == name) => Ok(()),
            Ok(_) => Err(no_such_object(self.word, name)),
            Err(error) if error.reason() == Some(reason::UNKNOWN_OBJECT_NAME) => {
                Err(no_such_object(self.word, name))
            }
            Err(error) => Err(as_mq_ends(error)),
        }
    }
}

fn no_such_object(word: &str, name: &str) -> Failure {
    ended(code::NO_SUCH_OBJECT, format!("Unknown object name: there is no {word} {name}."))
}

fn as_mq_ends(error: Error) -> Failure {
    match &error {
        Error::Refused { reason: reason::Q_MGR_NAME_ERROR, .. } => {
            ended(code::NO_SUCH_MANAGER, "AMQ8118E: IBM MQ queue manager does not exist.")
        }
        Error::Unreachable { .. } => {
            ended(code::NOT_AVAILABLE, format!("AMQ8146E: IBM MQ queue manager not available.\n    {error}"))
        }
        _ => ended(code::UNEXPECTED, error.to_string()),
    }
}

async fn connect(global: &Global) -> Result<Connection, Failure> {
    let connected = global.connect().await;
    connected
        .map_err(|failure| if let Failure::Client(error) = failure { as_mq_ends(error) } else { failure })
}

// ---- setmqaut ----

pub async fn set(global: &Global, args: SetmqautArgs) -> Outcome {
    let target = Target::of(&args.of)?;
    if args.users.is_empty() && args.groups.is_empty() {
        return Err(ended(code::ENTITY_MISSING, "Entity name missing: say -p or -g."));
    }
    if let Some(other) = args.others.first() {
        let text = format!("Invalid authorization specification: {other} is no authority behind + or -.");
        return Err(ended(code::AUTHORITY_WRONG, text));
    }
    if !args.remove && args.changes.is_empty() {
        let text = "Authorization specification missing: say what is added (+get) or taken away (-get).";
        return Err(ended(code::AUTHORITY_MISSING, text));
    }
    let connection = connect(global).await?;
    let name = target.named(&connection)?;
    target.check_it_is_there(&connection, &name).await?;
    for (who, names) in [("PRINCIPAL", &args.users), ("GROUP", &args.groups)] {
        if names.is_empty() {
            continue;
        }
        let text = command(&target, &name, who, names, &args);
        let command = mqsc::parse(&text).map_err(|_| {
            ended(code::ARGUMENTS, format!("Invalid arguments supplied: this cannot be said: {text}"))
        })?;
        let reply = patiently("setting", connection.admin().mqsc(&command)).await;
        match reply {
            Some(Reply::Refused { reason: reason::UNKNOWN_OBJECT_NAME, .. }) if args.remove => {
                let text = format!("Unknown object name: {} has no record of {}.", name, names.join(", "));
                return Err(ended(code::NO_SUCH_OBJECT, text));
            }
            Some(Reply::Refused { reason, text }) => {
                return Err(as_mq_ends(Error::refused(reason, text)));
            }
            _ => {}
        }
    }
    say!("The setmqaut command completed successfully.");
    say_what_they_are_worth();
    Ok(())
}

/// The same in MQSC, which knows what stands for several authorities.
fn command(target: &Target, name: &str, who: &str, names: &[String], args: &SetmqautArgs) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let record =
        format!("AUTHREC PROFILE({}) OBJTYPE({}) {who}({})", quoted(name), target.objtype, names.join(","));
    if args.remove {
        return format!("DELETE {record}");
    }
    let list = |sign: char| {
        let said = args.changes.iter().filter_map(|change| change.strip_prefix(sign));
        said.map(str::to_ascii_uppercase).collect::<Vec<_>>().join(",")
    };
    let mut text = format!("SET {record}");
    for (clause, list) in [("AUTHADD", list('+')), ("AUTHRMV", list('-'))] {
        if !list.is_empty() {
            text.push_str(&format!(" {clause}({list})"));
        }
    }
    text
}

// ---- dspmqaut ----

pub async fn display(global: &Global, args: DspmqautArgs) -> Outcome {
    let target = Target::of(&args.of)?;
    let entity = entity_of(&args.entity);
    let (_, who) = entity.ok_or_else(|| ended(code::ENTITY_MISSING, "Entity name missing: say -p or -g."))?;
    let connection = connect(global).await?;
    let name = target.named(&connection)?;
    target.check_it_is_there(&connection, &name).await?;
    let records = records(&connection).await?;
    let of_entity = records.iter().filter(|record| record.is_of(target.objtype, entity));
    let counts = of_entity
        .filter(|record| record.profile == name || means(&record.profile, &name))
        .min_by(|one, other| by_precision(&one.profile, &other.profile));
    let shown = if name == "SELF" { connection.queue_manager() } else { name };
    say!("Entity {who} has the following authorizations for object {shown}:");
    counts.iter().flat_map(|record| record.authorities()).for_each(|authority| say!("\t{authority}"));
    say_what_they_are_worth();
    Ok(())
}

/// ENTTYPE and the name.
fn entity_of(entity: &EntityArgs) -> Option<(&'static str, &str)> {
    let EntityArgs { user, group } = entity;
    user.as_deref().map(|user| ("PRINCIPAL", user)).or(group.as_deref().map(|group| ("GROUP", group)))
}

/// A record of the queue manager.
struct Record {
    profile: String,
    objtype: String,
    enttype: String,
    entity: String,
    authlist: String,
}

impl Record {
    fn of(object: &ObjectDetails) -> Record {
        let value = |name: &str| {
            let found = object.attributes.iter().find(|attribute| attribute.name == name);
            found.map(|attribute| attribute.value.clone()).unwrap_or_default()
        };
        Record {
            profile: object.name.clone(),
            objtype: value("OBJTYPE"),
            enttype: value("ENTTYPE"),
            entity: value("ENTITY"),
            authlist: value("AUTHLIST"),
        }
    }

    fn is_of(&self, objtype: &str, entity: Option<(&str, &str)>) -> bool {
        self.objtype == objtype
            && entity.is_none_or(|(enttype, name)| self.enttype == enttype && self.entity == name)
    }

    /// In MQ's order.
    fn authorities(&self) -> Vec<&'static str> {
        let has = |wanted: &str| self.authlist.split(',').any(|of| of.eq_ignore_ascii_case(wanted));
        AUTHORITIES.iter().copied().filter(|authority| has(authority)).collect()
    }

    fn word(&self) -> &'static str {
        TYPES.iter().find(|(_, _, objtype, _)| *objtype == self.objtype).map_or("", |(word, ..)| word)
    }

    fn enttype_word(&self) -> String {
        self.enttype.to_lowercase()
    }

    /// MQ's name for the profile of the queue manager itself.
    fn shown(&self) -> &str {
        if self.objtype == "QMGR" { "self" } else { &self.profile }
    }

    fn lines(&self) -> [String; 5] {
        let authorities = self.authorities();
        let authorities = if authorities.is_empty() { "none".to_string() } else { authorities.join(" ") };
        [
            format!("profile:     {}", self.shown()),
            format!("object type: {}", self.word()),
            format!("entity:      {}", self.entity),
            format!("entity type: {}", self.enttype_word()),
            format!("authority:   {authorities}"),
        ]
    }

    /// What makes it again.
    fn command(&self, queue_manager: &str) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let name =
            if self.objtype == "QMGR" { String::new() } else { format!(" -n {}", quoted(&self.profile)) };
        let option = if self.enttype == "GROUP" { "-g" } else { "-p" };
        let authorities = self.authorities();
        let authorities = match authorities.is_empty() {
            true => " +none".to_string(),
            false => authorities.iter().map(|authority| format!(" +{authority}")).collect(),
        };
        let (manager, entity) = (quoted(queue_manager), quoted(&self.entity));
        format!("setmqaut -m {manager}{name} -t {} {option} {entity}{authorities}", self.word())
    }
}

async fn records(connection: &Connection) -> Result<Vec<Record>, Failure> {
    let objects = patiently("asking", connection.admin().display("AUTHREC", "")).await.map_err(as_mq_ends)?;
    Ok(objects.iter().map(Record::of).collect())
}

// ---- dmpmqaut ----

pub async fn dump(global: &Global, args: DmpmqautArgs) -> Outcome {
    let target = match args.of.object {
        Some(_) => Some(Target::of(&args.of)?),
        None => None,
    };
    let entity = entity_of(&args.entity);
    let connection = connect(global).await?;
    let records = records(&connection).await?;
    let wanted = records.iter().filter(|record| {
        let objtype = target.as_ref().map_or(record.objtype.as_str(), |target| target.objtype);
        record.is_of(objtype, entity) && is_asked_for(&args, record, &connection.queue_manager())
    });
    let mut wanted: Vec<&Record> = wanted.collect();
    if args.of.profile.is_some() {
        // Of the profiles that mean an object, the one that counts comes first.
        wanted.sort_by(|one, other| by_precision(&one.profile, &other.profile));
    }
    let mut last = None;
    for (number, record) in wanted.into_iter().enumerate() {
        if args.list {
            let both = (record.shown(), record.word());
            if last.replace(both) != Some(both) {
                say!("profile: {}, type: {}", record.shown(), record.word());
            }
        } else if args.commands {
            say!("{}", record.command(&connection.queue_manager()));
        } else {
            if number > 0 {
                say!("{}", ["-"; 17].join(" "));
            }
            record.lines().iter().for_each(|line| say!("{line}"));
        }
    }
    say_what_they_are_worth();
    Ok(())
}

/// A name asks for the profiles that mean it, and a pattern for itself.
fn is_asked_for(args: &DmpmqautArgs, record: &Record, queue_manager: &str) -> bool {
    let Some(name) = args.of.profile.as_deref() else { return true };
    if record.objtype == "QMGR" {
        return name == queue_manager || name.eq_ignore_ascii_case("self");
    }
    record.profile == name || (!args.exact && !is_generic(name) && means(&record.profile, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(object: &str, profile: Option<&str>) -> Result<Target, i32> {
        let args = ProfileArgs {
            profile: profile.map(str::to_string),
            object: Some(object.to_string()).filter(|object| !object.is_empty()),
            component: None,
        };
        Target::of(&args).map_err(|failure| failure.exit_code())
    }

    #[test]
    fn authorities_are_written_behind_a_sign() {
        assert!(is_change("+get") && is_change("-put") && is_change("+ALLMQI") && is_change("-none"));
        assert!(!is_change("-p") && !is_change("get") && !is_change("+fly") && !is_change("-remove"));
    }

    #[test]
    fn a_record_is_set_as_mqsc_sets_it() {
        let args = SetmqautArgs {
            of: ProfileArgs { profile: None, object: None, component: None },
            users: vec!["o'neil".into(), "joe".into()],
            groups: Vec::new(),
            remove: false,
            changes: ["+get", "-put", "+allmqi"].map(str::to_string).to_vec(),
            others: Vec::new(),
        };
        let queue = target("q", Some("ORDERS.**")).unwrap();
        let text = command(&queue, "ORDERS.**", "PRINCIPAL", &args.users, &args);
        assert_eq!(
            text,
            "SET AUTHREC PROFILE('ORDERS.**') OBJTYPE(QUEUE) PRINCIPAL('o''neil','joe') AUTHADD(GET,ALLMQI) AUTHRMV(PUT)"
        );
        mqsc::parse(&text).unwrap();
        let args = SetmqautArgs { remove: true, ..args };
        let text = command(&queue, "ORDERS.**", "GROUP", &args.users, &args);
        assert_eq!(text, "DELETE AUTHREC PROFILE('ORDERS.**') OBJTYPE(QUEUE) GROUP('o''neil','joe')");
        mqsc::parse(&text).unwrap();
    }

    #[test]
    fn what_is_missing_or_wrong_has_the_exit_code_of_mq() {
        assert_eq!(target("", Some("A")).err(), Some(code::TYPE_MISSING));
        assert_eq!(target("stone", Some("A")).err(), Some(code::TYPE_WRONG));
        assert_eq!(target("CHL", Some("A")).unwrap().objtype, "CHANNEL");
    }

    #[test]
    fn a_record_is_shown_as_mq_shows_it() {
        let record = Record {
            profile: "ORDERS.**".into(),
            objtype: "QUEUE".into(),
            enttype: "GROUP".into(),
            entity: "clerks".into(),
            authlist: "BROWSE,CHG,GET".into(),
        };
        assert_eq!(
            record.lines().join("\n"),
            "profile:     ORDERS.**\nobject type: queue\nentity:      clerks\nentity type: group\nauthority:   get browse chg"
        );
        assert_eq!(
            record.command("ha.qm"),
            "setmqaut -m 'ha.qm' -n 'ORDERS.**' -t queue -g 'clerks' +get +browse +chg"
        );
        let own =
            Record { objtype: "QMGR".into(), profile: "SELF".into(), authlist: String::new(), ..record };
        assert_eq!(own.command("q"), "setmqaut -m 'q' -t qmgr -g 'clerks' +none");
    }
}
