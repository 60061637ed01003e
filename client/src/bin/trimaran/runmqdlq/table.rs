//! The rules table: which dead letters are meant by which rule, and what is to become of them (IBM MQ, "The DLQ handler rules
//! table": control data, patterns, actions, conventions).

use std::time::Duration;

use trimaran_client::{
    REASONS,
    proto::mqsc::{Joiner, Line, Word, words},
};

use crate::dead_letter::DeadLetter;

/// RETRYINT, WAIT and RETRY say no more.
const NUMBER_MOST: u32 = 999_999_999;

#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    pub control: Control,
    /// At least one.
    pub rules: Vec<Rule>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Control {
    /// Empty for the queue manager's own dead-letter queue.
    pub queue: String,
    /// Empty for the only one.
    pub queue_manager: String,
    pub retry_every: Duration,
    pub wait: Wait,
}

/// For what comes when there is nothing more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    Not,
    For(Duration),
    Forever,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of the table.
    pub line: usize,
    pattern: Vec<(&'static Field, Pattern)>,
    pub action: Action,
    /// How often the action is tried, at least once.
    pub tries: u32,
    /// The message is to be put with the rights of its user (PUTAUT(CTX)).
    pub as_its_user: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Discard,
    Ignore,
    Retry,
    Forward { queue: Target, queue_manager: Target, with_header: bool },
}

/// The name of a queue or of a queue manager.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    Named(String),
    /// The header's: &DESTQ, &DESTQM.
    Destination,
    /// The descriptor's: &REPLYQ, &REPLYQM.
    Reply,
}

#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    /// With `*` for any characters, and `?` for one.
    Text(String),
    Number(i64),
}

/// What of a message a rule can name.
#[derive(Debug)]
struct Field {
    keyword: &'static str,
    kind: Kind,
}

impl PartialEq for Field {
    fn eq(&self, other: &Field) -> bool {
        self.keyword == other.keyword
    }
}

impl Eq for Field {}

#[derive(Debug)]
enum Kind {
    Text(fn(&DeadLetter) -> &str),
    /// With the names that its numbers have.
    Number(fn(&DeadLetter) -> i64, Names),
}

type Names = fn(&str) -> Option<i64>;

static FIELDS: [Field; 13] = [
    Field {
        keyword: "APPLIDAT",
        kind: Kind::Text(|letter| &letter.message.descriptor.application_identity_data),
    },
    Field { keyword: "APPLNAME", kind: Kind::Text(|letter| &letter.message.descriptor.put_application_name) },
    Field {
        keyword: "APPLTYPE",
        kind: Kind::Number(|letter| letter.message.descriptor.put_application_type.into(), application_type),
    },
    Field { keyword: "DESTQ", kind: Kind::Text(|letter| &letter.queue) },
    Field { keyword: "DESTQM", kind: Kind::Text(|letter| &letter.queue_manager) },
    Field {
        keyword: "FEEDBACK",
        kind: Kind::Number(|letter| letter.message.descriptor.feedback.into(), feedback),
    },
    Field { keyword: "FORMAT", kind: Kind::Text(|letter| &letter.message.descriptor.format) },
    Field {
        keyword: "MSGTYPE",
        kind: Kind::Number(|letter| letter.message.descriptor.message_type.unwrap_or(8).into(), message_type),
    },
    Field {
        keyword: "PERSIST",
        kind: Kind::Number(|letter| letter.message.is_persistent().into(), persistence),
    },
    Field { keyword: "REASON", kind: Kind::Number(|letter| letter.reason.into(), reason) },
    Field { keyword: "REPLYQ", kind: Kind::Text(|letter| &letter.message.descriptor.reply_to_queue) },
    Field {
        keyword: "REPLYQM",
        kind: Kind::Text(|letter| &letter.message.descriptor.reply_to_queue_manager),
    },
    Field { keyword: "USERID", kind: Kind::Text(|letter| &letter.message.descriptor.user_identifier) },
];

fn reason(name: &str) -> Option<i64> {
    let name = name.strip_prefix("MQRC_")?;
    REASONS.iter().find(|(_, of)| *of == name).map(|(number, _)| i64::from(*number))
}

fn message_type(name: &str) -> Option<i64> {
    let names = [("MQMT_REQUEST", 1), ("MQMT_REPLY", 2), ("MQMT_REPORT", 4), ("MQMT_DATAGRAM", 8)];
    number_of(&names, name)
}

fn persistence(name: &str) -> Option<i64> {
    number_of(&[("MQPER_NOT_PERSISTENT", 0), ("MQPER_PERSISTENT", 1)], name)
}

fn feedback(name: &str) -> Option<i64> {
    let names = [
        ("MQFB_NONE", 0),
        ("MQFB_QUIT", 256),
        ("MQFB_EXPIRATION", 258),
        ("MQFB_COA", 259),
        ("MQFB_COD", 260),
        ("MQFB_PAN", 275),
        ("MQFB_NAN", 276),
    ];
    number_of(&names, name)
}

fn application_type(name: &str) -> Option<i64> {
    let names = [
        ("MQAT_NO_CONTEXT", 0),
        ("MQAT_CICS", 1),
        ("MQAT_MVS", 2),
        ("MQAT_OS390", 2),
        ("MQAT_ZOS", 2),
        ("MQAT_IMS", 3),
        ("MQAT_AIX", 6),
        ("MQAT_UNIX", 6),
        ("MQAT_QMGR", 7),
        ("MQAT_OS400", 8),
        ("MQAT_WINDOWS", 9),
        ("MQAT_WINDOWS_NT", 11),
        ("MQAT_JAVA", 28),
    ];
    number_of(&names, name)
}

fn number_of(names: &[(&str, i64)], name: &str) -> Option<i64> {
    names.iter().find(|(of, _)| *of == name).map(|(_, number)| *number)
}

impl Rule {
    pub fn means(&self, letter: &DeadLetter) -> bool {
        self.pattern.iter().all(|(field, pattern)| match (&field.kind, pattern) {
            (Kind::Text(of), Pattern::Text(wanted)) => is_like(of(letter).trim_end(), wanted),
            (Kind::Number(of, _), Pattern::Number(wanted)) => of(letter) == *wanted,
            _ => false,
        })
    }
}

/// `*` stands for any characters, none too, and `?` for one.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Where the last `*` is, and up to where it reaches.
    let mut star = None;
    while at < text.len() {
        match pattern.get(of) {
            Some('*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[at] => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((starred, reaches)) = star else { return false };
                star = Some((starred, reaches + 1));
                (at, of) = (reaches + 1, starred + 1);
            }
        }
    }
    pattern[of..].iter().all(|rest| *rest == '*')
}

impl Table {
    /// # Errors
    /// What is wrong, with the line.
    pub fn read(text: &str) -> Result<Table, String> {
        let mut control = None;
        let mut rules = Vec::new();
        for (line, entry) in entries(text)? {
            let at = |why: String| format!("line {line}: {why}");
            let said = words(&entry)
                .map_err(|until| at(format!("it cannot be read from {:?} on", &entry[..until])))?;
            check_once(&said).map_err(at)?;
            let is_control = said.iter().any(|word| Control::KEYWORDS.contains(&word.name.as_str()));
            match is_control {
                true if control.is_some() || !rules.is_empty() => {
                    return Err(at("control data stands once, in front of all rules".into()));
                }
                true => control = Some(Control::read(&said).map_err(at)?),
                false => rules.push(Rule::read(line, &said).map_err(at)?),
            }
        }
        if rules.is_empty() {
            return Err("there is no rule in the table".into());
        }
        Ok(Table { control: control.unwrap_or_default(), rules })
    }
}

/// Whole entries, each with the number of its first line.
fn entries(text: &str) -> Result<Vec<(usize, String)>, String> {
    let mut joiner = Joiner::default();
    let mut entries = Vec::new();
    let mut begun = None;
    for (number, line) in (1..).zip(text.lines()) {
        match joiner.push(line) {
            Line::Empty => {}
            Line::Begins => begun = Some(number),
            Line::GoesOn => {}
            Line::Complete { text, .. } => entries.push((begun.take().unwrap_or(number), text)),
            Line::TooLong { .. } => return Err(format!("line {number}: it is longer than an entry can be")),
        }
    }
    if let Some(rest) = joiner.rest() {
        entries.push((begun.unwrap_or_default(), rest));
    }
    Ok(entries)
}

fn check_once(said: &[Word]) -> Result<(), String> {
    let again = said.iter().enumerate().find(|(at, word)| said[..*at].iter().any(|of| of.name == word.name));
    match again {
        Some((_, word)) => Err(format!("{} is there twice", word.name)),
        None => Ok(()),
    }
}

/// The one value that a keyword has.
fn value(word: &Word) -> Result<&str, String> {
    word.one().ok_or_else(|| format!("{} wants one value in brackets", word.name))
}

fn number(word: &Word, least: u32) -> Result<u32, String> {
    let text = value(word)?;
    let number = text.parse().ok().filter(|number| (least..=NUMBER_MOST).contains(number));
    number.ok_or_else(|| format!("{}({text}): write a number from {least} to {NUMBER_MOST}", word.name))
}

impl Default for Control {
    fn default() -> Control {
        Control {
            queue: String::new(),
            queue_manager: String::new(),
            retry_every: Duration::from_secs(60),
            wait: Wait::Forever,
        }
    }
}

impl Control {
    const KEYWORDS: [&str; 4] = ["INPUTQ", "INPUTQM", "RETRYINT", "WAIT"];

    fn read(said: &[Word]) -> Result<Control, String> {
        let mut control = Control::default();
        for word in said {
            match word.name.as_str() {
                "INPUTQ" => control.queue = value(word)?.into(),
                "INPUTQM" => control.queue_manager = value(word)?.into(),
                "RETRYINT" => control.retry_every = Duration::from_secs(number(word, 0)?.into()),
                "WAIT" => {
                    control.wait = match value(word)? {
                        "YES" => Wait::Forever,
                        "NO" => Wait::Not,
                        _ => Wait::For(Duration::from_secs(number(word, 0)?.into())),
                    }
                }
                other => return Err(format!("{other} is no keyword of control data")),
            }
        }
        Ok(control)
    }
}

impl Rule {
    fn read(line: usize, said: &[Word]) -> Result<Rule, String> {
        let mut rule =
            Rule { line, pattern: Vec::new(), action: Action::Ignore, tries: 1, as_its_user: false };
        let mut action = None;
        let (mut queue, mut queue_manager, mut with_header) = (None, Target::Named(String::new()), true);
        for word in said {
            match word.name.as_str() {
                "ACTION" => action = Some(value(word)?),
                "FWDQ" => queue = Some(target(word, "&DESTQ", "&REPLYQ")?),
                "FWDQM" => queue_manager = target(word, "&DESTQM", "&REPLYQM")?,
                "HEADER" => with_header = either(word, "YES", "NO")?,
                "PUTAUT" => rule.as_its_user = either(word, "CTX", "DEF")?,
                "RETRY" => rule.tries = number(word, 1)?,
                _ => rule.pattern.extend(pattern(word)?),
            }
        }
        rule.action = match action {
            Some("DISCARD") => Action::Discard,
            Some("IGNORE") => Action::Ignore,
            Some("RETRY") => Action::Retry,
            Some("FWD") => {
                let queue = queue.filter(|queue| !is_blank(queue));
                let queue = queue.ok_or("ACTION(FWD) wants FWDQ with the name of a queue")?;
                Action::Forward { queue, queue_manager, with_header }
            }
            Some(other) => {
                return Err(format!("ACTION({other}): it is one of DISCARD, IGNORE, RETRY, FWD"));
            }
            None => return Err("a rule says ACTION".into()),
        };
        Ok(rule)
    }
}

fn is_blank(target: &Target) -> bool {
    matches!(target, Target::Named(name) if name.is_empty())
}

fn target(word: &Word, destination: &str, reply: &str) -> Result<Target, String> {
    Ok(match value(word)? {
        name if name == destination => Target::Destination,
        name if name == reply => Target::Reply,
        name => Target::Named(name.to_string()),
    })
}

fn either(word: &Word, yes: &str, no: &str) -> Result<bool, String> {
    match value(word)? {
        said if said == yes => Ok(true),
        said if said == no => Ok(false),
        said => Err(format!("{}({said}): it is {yes} or {no}", word.name)),
    }
}

/// None where anything is meant.
fn pattern(word: &Word) -> Result<Option<(&'static Field, Pattern)>, String> {
    let field = FIELDS.iter().find(|field| field.keyword == word.name);
    let field = field.ok_or_else(|| format!("{} is no keyword of a rule", word.name))?;
    let text = value(word)?;
    Ok(match &field.kind {
        _ if text == "*" => None,
        Kind::Text(_) => Some((field, Pattern::Text(text.to_string()))),
        Kind::Number(_, names) => {
            let number = text.parse().ok().or_else(|| names(text));
            let number = number.ok_or_else(|| {
                format!("{}({text}): write a number, or a name of MQ that is known here", word.name)
            })?;
            Some((field, Pattern::Number(number)))
        }
    })
}

#[cfg(test)]
mod tests {
    use trimaran_client::Message;

    use super::*;

    fn letter(queue: &str, reason: u32) -> DeadLetter {
        DeadLetter {
            reason,
            queue: queue.into(),
            queue_manager: "QM1".into(),
            time: String::new(),
            message: Message::text("Hello"),
        }
    }

    fn rule(text: &str) -> Rule {
        Table::read(text).unwrap_or_else(|why| panic!("{text}: {why}")).rules.remove(0)
    }

    #[test]
    fn the_table_of_the_manual_is_read() {
        let text = "\
* Control data
inputqm(' ') inputq(' ')

REASON(MQRC_Q_FULL) ACTION(RETRY) RETRY(5)
reason(2051) action(retry), retry(5)
DESTQM(AAAA*) MSGTYPE(MQMT_REQUEST) +
  ACTION(FWD) FWDQ(&REPLYQ) FWDQM(&REPLYQM) HEADER(NO)
PERSIST(MQPER_NOT_PERSISTENT) ACTION(DISCARD)
ACTION(FWD) FWDQ('Dead.Let+
   ters') PUTAUT(CTX)
";
        let table = Table::read(text).unwrap();
        assert_eq!(table.control, Control::default());
        let lines: Vec<usize> = table.rules.iter().map(|rule| rule.line).collect();
        assert_eq!(lines, [4, 5, 6, 8, 9]);
        assert_eq!((&table.rules[0].action, table.rules[0].tries), (&Action::Retry, 5));
        let reply =
            Action::Forward { queue: Target::Reply, queue_manager: Target::Reply, with_header: false };
        assert_eq!(table.rules[2].action, reply);
        let last = &table.rules[4];
        assert!(
            last.as_its_user
                && matches!(&last.action, Action::Forward { queue: Target::Named(name), .. } if name == "Dead.Letters")
        );
    }

    #[test]
    fn control_data_says_where_how_often_and_how_long() {
        let table =
            Table::read("INPUTQ(DEAD) INPUTQM('ha.qm') RETRYINT(5) WAIT(30)\nACTION(DISCARD)\n").unwrap();
        let Control { queue, queue_manager, retry_every, wait } = table.control;
        assert_eq!((queue.as_str(), queue_manager.as_str()), ("DEAD", "ha.qm"));
        assert_eq!((retry_every.as_secs(), wait), (5, Wait::For(Duration::from_secs(30))));
        assert_eq!(Table::read("WAIT(NO)\nACTION(IGNORE)").unwrap().control.wait, Wait::Not);
    }

    #[test]
    fn a_rule_means_what_all_its_keywords_mean() {
        let full = rule("DESTQ('ORDERS.*') REASON(MQRC_Q_FULL) FORMAT(MQSTR) ACTION(RETRY)");
        assert!(full.means(&letter("ORDERS.EUROPE", 2053)));
        assert!(!full.means(&letter("ORDERS.EUROPE", 2051)) && !full.means(&letter("INVOICES", 2053)));
        assert!(rule("DESTQ(*) REASON(*) ACTION(IGNORE)").means(&letter("", 0)));
        assert!(
            !rule("REPLYQ(?*) ACTION(IGNORE)").means(&letter("ORDERS", 2053)),
            "it has no queue for replies"
        );
        assert!(rule("MSGTYPE(MQMT_DATAGRAM) ACTION(IGNORE)").means(&letter("ORDERS", 2053)));
    }

    #[test]
    fn stars_and_question_marks_stand_anywhere() {
        for (text, pattern) in
            [("ABC", "ABC"), ("ABC", "A?C"), ("ABC", "*"), ("ABCABD", "*AB?"), ("", "*"), ("A", "A**")]
        {
            assert!(is_like(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in
            [("ABC", "AB"), ("ABC", "A?"), ("ABC", "*B"), ("", "?"), ("", "?*"), ("abc", "ABC")]
        {
            assert!(!is_like(text, pattern), "{text} {pattern}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, why) in [
            ("", "there is no rule in the table"),
            ("* only this\n", "there is no rule in the table"),
            ("REASON(2053)", "line 1: a rule says ACTION"),
            ("\nREASON(MQRC_NONSENSE) ACTION(RETRY)", "line 2: REASON(MQRC_NONSENSE): write a number"),
            ("ACTION(RETRY) RETRY(0)", "line 1: RETRY(0): write a number from 1 to 999999999"),
            ("ACTION(FWD)", "line 1: ACTION(FWD) wants FWDQ"),
            ("ACTION(FWD) FWDQ(' ')", "line 1: ACTION(FWD) wants FWDQ"),
            ("ACTION(KEEP)", "line 1: ACTION(KEEP): it is one of"),
            ("ACTION(RETRY) ACTION(RETRY)", "line 1: ACTION is there twice"),
            ("QUEUE(A) ACTION(RETRY)", "line 1: QUEUE is no keyword of a rule"),
            ("ACTION(IGNORE)\nWAIT(NO)", "line 2: control data stands once"),
            ("WAIT(NO) ACTION(IGNORE)", "line 1: ACTION is no keyword of control data"),
            ("WAIT(SOON)\nACTION(IGNORE)", "line 1: WAIT(SOON): write a number"),
            ("DESTQ(A ACTION(IGNORE)", "line 1: it cannot be read from"),
        ] {
            let said = Table::read(text).expect_err(text);
            assert!(said.starts_with(why), "{text}: {said}");
        }
    }
}
