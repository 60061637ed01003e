//! DISPLAY: which objects, which of their attributes.

use super::clause::Clause;
use super::command::{Command, Display, Subject, Wanted};
use super::filter::{Filter, Operator};
use super::nouns::Noun;
use super::status;
use super::syntax::Fault;
use super::words::Word;
use crate::attribute::{Attribute, Form, Kind};

const QUEUES: &[Kind] = &[Kind::LocalQueue, Kind::AliasQueue, Kind::RemoteQueue, Kind::ModelQueue];

/// Groups of attributes of the queue manager (IBM MQ Reference, "DISPLAY QMGR").
const GROUPS: &[(&str, &[&str])] = &[
    (
        "EVENT",
        &[
            "AUTHOREV", "CHADEV", "CHLEV", "CMDEV", "CONFIGEV", "INHIBTEV", "LOCALEV", "LOGGEREV", "PERFMEV",
            "REMOTEEV", "SSLEV", "STRSTPEV",
        ],
    ),
    ("PUBSUB", &["PARENT", "PSMODE", "PSCLUS", "PSNPMSG", "PSNPRES", "PSRTYCNT", "PSSYNCPT", "TREELIFE"]),
    (
        "CLUSTER",
        &[
            "CLWLDATA", "CLWLEXIT", "CLWLLEN", "CLWLMRUC", "CLWLUSEQ", "DEFCLXQ", "MONACLS", "PSCLUS",
            "QMID", "REPOS", "REPOSNL",
        ],
    ),
    ("CHINIT", &["CHAD", "CHADEV", "CHADEXIT", "CHLEV", "CHLAUTH", "MONCHL", "SCHINIT", "STATCHL"]),
];

/// What DISPLAY QMGR shows with SYSTEM: all that is in no other group.
fn of_system() -> Vec<&'static str> {
    let grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let attributes = Kind::QueueManager.attributes().map(|attribute| attribute.name);
    attributes.filter(|name| !grouped(name)).collect()
}

/// What MQ can be asked to display and is not done here: the sentence that says so.
fn not_here(noun: Noun, word: &Word) -> Option<&'static str> {
    Some(match (noun, word.name.as_str(), word.one()) {
        (Noun::Connection, "TYPE", Some("HANDLE" | "ALL")) => {
            "What connections have open is displayed by queue: DISPLAY QSTATUS(*) TYPE(HANDLE) ALL."
        }
        (Noun::Object(Kind::ChannelAuth), "MATCH", Some("RUNCHECK")) => {
            "Records of CHLAUTH are kept and not obeyed yet, so that none of them would be used."
        }
        (Noun::Object(Kind::ChannelAuth), "MATCH", Some("EXACT" | "ALL")) => {
            "Only MATCH(GENERIC) is done: a name that ends in * finds the profiles that begin so."
        }
        (Noun::Object(Kind::Authority), "MATCH", Some("MEMBERSHIP")) => {
            "Which groups a user is in is not known here; ask for PRINCIPAL or GROUP."
        }
        (Noun::Object(Kind::Authority), "MATCH", Some("EXACT")) => {
            "Only MATCH(PROFILE) is done: PROFILE names the profile."
        }
        _ => return None,
    })
}

pub(super) fn display(clause: &Clause<'_>, noun: Noun) -> Result<Command, Fault> {
    if let Some(why) = clause.words.iter().find_map(|word| not_here(noun, word)) {
        return Ok(Command::NotHere(why.to_string()));
    }
    let mut reader = Reader { clause, wanted: Wanted::Usual, filters: Vec::new() };
    let subject = match noun {
        Noun::Object(kind) => Subject::Object(kind),
        Noun::Queue => Subject::Queues,
        Noun::QueueStatus => {
            subject_by_type(clause, "QUEUE", Subject::QueueStatus, "HANDLE", Subject::QueueHandles)?
        }
        Noun::ManagerStatus => {
            subject_by_type(clause, "QMGR", Subject::ManagerStatus, "NATIVEHA", Subject::Instances)?
        }
        Noun::Connection => Subject::Connections,
        Noun::ChannelStatus => Subject::ChannelStatus,
        Noun::ListenerStatus => Subject::ListenerStatus,
        Noun::Security | Noun::Missing(_) => return Err(clause.fault(clause.name)),
    };
    let name = reader.name(subject)?;
    let mut profile = None;
    for word in clause.words {
        match (word.name.as_str(), word.one()) {
            ("PROFILE", Some(name)) if subject == Subject::Object(Kind::Authority) && profile.is_none() => {
                profile = Some(name.to_string());
            }
            _ => reader.word(subject, word)?,
        }
    }
    let Reader { wanted, filters, .. } = reader;
    Ok(Command::Display(Display { subject, name: profile.unwrap_or(name), wanted, filters }))
}

fn subject_by_type(
    clause: &Clause<'_>,
    usual: &str,
    usual_subject: Subject,
    other: &str,
    other_subject: Subject,
) -> Result<Subject, Fault> {
    let Some(word) = clause.words.iter().find(|word| word.name == "TYPE") else { return Ok(usual_subject) };
    match word.one() {
        Some(name) if name == usual => Ok(usual_subject),
        Some(name) if name == other => Ok(other_subject),
        _ => Err(clause.fault(word)),
    }
}

struct Reader<'a> {
    clause: &'a Clause<'a>,
    wanted: Wanted,
    filters: Vec<Filter>,
}

impl Reader<'_> {
    /// What is in the brackets of the noun; `*` alone means all, which an empty name stands for.
    fn name(&self, subject: Subject) -> Result<String, Fault> {
        let word = self.clause.name;
        let has_none = matches!(
            subject,
            Subject::Object(Kind::QueueManager | Kind::Authority)
                | Subject::ManagerStatus
                | Subject::Instances
        );
        if has_none {
            return if word.values.is_none() { Ok(String::new()) } else { Err(self.clause.fault(word)) };
        }
        let name = word.one().ok_or_else(|| self.clause.fault(word))?;
        let plain = name.strip_suffix('*').unwrap_or(name);
        // A profile of channels may itself end in a star, and is what it is.
        if subject != Subject::Object(Kind::ChannelAuth) && plain.contains('*') {
            return Err(self.clause.because(word, "A name may end in * and have none in it."));
        }
        let has_any_name =
            matches!(subject, Subject::Object(Kind::Subscription | Kind::ChannelAuth) | Subject::Connections);
        if !has_any_name && !plain.is_empty() {
            crate::attribute::check_name(plain)
                .map_err(|error| self.clause.because(word, format!("That is no name: {error}.")))?;
        }
        Ok(if name == "*" { String::new() } else { name.to_string() })
    }

    fn word(&mut self, subject: Subject, word: &Word) -> Result<(), Fault> {
        match (word.name.as_str(), &word.values) {
            ("ALL", None) => {
                self.wanted = Wanted::All;
                return Ok(());
            }
            ("WHERE", Some(items)) => {
                let filter = Filter::read(items).ok_or_else(|| self.clause.fault(word))?;
                let known = known(subject, &filter.attribute).is_some();
                if !known {
                    return Err(self
                        .clause
                        .because(word, format!("There is no attribute {}.", filter.attribute)));
                }
                check(subject, &filter).map_err(|why| self.clause.because(word, why))?;
                self.filters.push(filter);
                return Ok(());
            }
            ("TYPE", Some(_)) if matches!(subject, Subject::QueueStatus | Subject::QueueHandles) => {
                return Ok(());
            }
            ("TYPE", Some(_)) if matches!(subject, Subject::ManagerStatus | Subject::Instances) => {
                return Ok(());
            }
            ("TYPE", Some(_)) if subject == Subject::Connections && word.one() == Some("CONN") => {
                return Ok(());
            }
            ("MATCH", Some(_))
                if matches!(
                    (&subject, word.one()),
                    (Subject::Object(Kind::ChannelAuth), Some("GENERIC"))
                ) || matches!(
                    (&subject, word.one()),
                    (Subject::Object(Kind::Authority), Some("PROFILE"))
                ) =>
            {
                return Ok(());
            }
            // A channel of clients has no status that is saved (IBM MQ Reference, "DISPLAY CHSTATUS").
            ("SAVED", None) if subject == Subject::ChannelStatus => {
                let (attribute, value) = ("CURRENT".to_string(), "SAVED".to_string());
                self.filters.push(Filter { attribute, operator: Operator::Equal, value });
                return Ok(());
            }
            (name, Some(_)) if self.restricts(subject, name) => return self.restrict(subject, word),
            _ => {}
        }
        if word.values.is_some() {
            return Err(self.clause.fault(word));
        }
        let group = GROUPS
            .iter()
            .find(|(name, _)| subject == Subject::Object(Kind::QueueManager) && *name == word.name);
        let is_system = subject == Subject::Object(Kind::QueueManager) && word.name == "SYSTEM";
        let names: Vec<&'static str> = match group {
            _ if is_system => of_system(),
            Some((_, names)) => names.to_vec(),
            None => vec![known(subject, &word.name).ok_or_else(|| self.clause.fault(word))?],
        };
        match &mut self.wanted {
            Wanted::All => {}
            Wanted::Named(wanted) => wanted.extend(names.into_iter().map(str::to_string)),
            Wanted::Usual => self.wanted = Wanted::Named(names.into_iter().map(str::to_string).collect()),
        }
        Ok(())
    }

    /// Whether a value may stand with the attribute, and restricts the display to it.
    fn restricts(&self, subject: Subject, name: &str) -> bool {
        match subject {
            Subject::Queues => name == "TYPE",
            Subject::Object(Kind::Channel) => name == "CHLTYPE",
            Subject::Object(Kind::Topic) => name == "TYPE",
            Subject::Object(Kind::AuthInfo) => name == "AUTHTYPE",
            Subject::Object(Kind::Listener) => name == "TRPTYPE",
            Subject::Object(Kind::Subscription) => matches!(name, "DURABLE" | "SUBTYPE"),
            Subject::Object(Kind::ChannelAuth) => {
                matches!(name, "TYPE" | "ADDRESS" | "CLNTUSER" | "SSLPEER" | "QMNAME")
            }
            Subject::Object(Kind::Authority) => matches!(name, "OBJTYPE" | "PRINCIPAL" | "GROUP"),
            _ => false,
        }
    }

    fn restrict(&mut self, subject: Subject, word: &Word) -> Result<(), Fault> {
        let value = word.one().ok_or_else(|| self.clause.fault(word))?.to_string();
        let equal = |attribute: &str, value: String| Filter {
            attribute: attribute.to_string(),
            operator: Operator::Equal,
            value,
        };
        if matches!(word.name.as_str(), "PRINCIPAL" | "GROUP") {
            self.filters.push(equal("ENTTYPE", word.name.clone()));
            self.filters.push(equal("ENTITY", value));
            return Ok(());
        }
        if value == "ALL" {
            return Ok(());
        }
        let is_word = match (subject, word.name.as_str()) {
            (Subject::Queues, _) => {
                QUEUES.iter().any(|kind| kind.facts().name == value) || value == "QCLUSTER"
            }
            (Subject::Object(kind), name) => match kind.attribute_named(name).map(|attribute| attribute.form)
            {
                Some(Form::Word(words)) => {
                    words.iter().any(|(word, _)| *word == value)
                        // What a subscription may be in general: made by a person or a program.
                        || (name == "SUBTYPE" && value == "USER")
                }
                _ => true,
            },
            _ => true,
        };
        if !is_word {
            return Err(self.clause.fault(word));
        }
        if value == "USER" && word.name == "SUBTYPE" {
            return Ok(());
        }
        self.filters.push(equal(&word.name.clone(), value));
        Ok(())
    }
}

/// # Errors
/// In a sentence, why nothing has this value.
fn check(subject: Subject, filter: &Filter) -> Result<(), String> {
    let name = filter.attribute.as_str();
    let kinds: &[Kind] = match &subject {
        Subject::Object(kind) => &[*kind],
        Subject::Queues => QUEUES,
        _ => return status::words(name).map_or(Ok(()), |words| filter.check_field(words)),
    };
    // What may be asked for of all of a kind, and none is here.
    if matches!((name, filter.value.as_str()), ("TYPE", "QCLUSTER") | ("SUBTYPE", "USER" | "ALL")) {
        return Ok(());
    }
    let attributes = kinds.iter().filter_map(|kind| kind.attribute_named(name));
    let checked: Vec<Result<(), String>> = attributes.map(|attribute| filter.check(attribute)).collect();
    match checked.iter().any(Result::is_ok) {
        true => Ok(()),
        false => checked.into_iter().next().unwrap_or(Ok(())),
    }
}

/// The name in the tables of an attribute that can be displayed.
fn known(subject: Subject, name: &str) -> Option<&'static str> {
    let of = |kinds: &[Kind]| {
        let name = if name == "TARGQ" { "TARGET" } else { name };
        let found: Option<&'static Attribute> = kinds.iter().find_map(|kind| kind.attribute_named(name));
        let label = kinds.iter().map(|kind| kind.facts().name_label).find(|label| *label == name);
        label.or(found.map(|attribute| attribute.name))
    };
    match subject {
        Subject::Object(kind) => of(&[kind]),
        Subject::Queues => of(QUEUES),
        _ => status::fields(subject).iter().copied().find(|field| *field == name),
    }
}
