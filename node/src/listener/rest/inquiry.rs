//! Objects as IBM's API shows them: queues, channels and subscriptions, in JSON. Without IO: what is to be asked is given out, and
//! what came back is told.
//!
//! What is wanted of each (`attributes`, `status`) and which of them (`name`, `type`, `filter`) are IBM's parameters. Beside name and type
//! nothing is told that was not asked for, except what makes no sense without.

use serde_json::{Map, Value, json};
use trimaran_proto::admin::v1::{DisplayRequest, ObjectDetails};
use trimaran_proto::attribute::Kind;
use trimaran_proto::mqsc::{Facts, Reply, Request, day_and_time, facts_of};
use trimaran_proto::queue::v1::QueueStatus;

use super::answer::Answer;
use super::filter::Filter;
use super::names::{Names, Shape, put_at, value_at};
use super::problem::Problem;
use super::shown::Shown;
use super::steps::{SHOWN_BYTES_MAX, Steps, too_much};
use crate::types::Reason;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Queue,
    Channel,
    Subscription,
}

type Types = &'static [(&'static str, Option<Kind>)];

/// IBM's words for types; those of which there are none here are understood all the same.
const QUEUES: Types = &[
    ("local", Some(Kind::LocalQueue)),
    ("alias", Some(Kind::AliasQueue)),
    ("remote", Some(Kind::RemoteQueue)),
    ("model", Some(Kind::ModelQueue)),
    ("cluster", None),
];
const CHANNELS: Types = &[
    ("serverConnection", Some(Kind::Channel)),
    ("sender", None),
    ("receiver", None),
    ("server", None),
    ("requester", None),
    ("clusterSender", None),
    ("clusterReceiver", None),
];
const ALL: &str = "all";

/// Attributes that are told whatever was asked for.
const ALWAYS: [&str; 6] =
    ["alias.targetName", "remote.qmgrName", "remote.queueName", "dynamic.type", "model.type", "id"];
const STATUS: &str = "status";
const RESOLVED: &str = "resolvedTopicString";

impl Sort {
    /// In the path, and of the list that is answered.
    pub fn label(self) -> &'static str {
        match self {
            Sort::Queue => "queue",
            Sort::Channel => "channel",
            Sort::Subscription => "subscription",
        }
    }

    pub fn types(self) -> Types {
        match self {
            Sort::Queue => QUEUES,
            Sort::Channel => CHANNELS,
            Sort::Subscription => &[],
        }
    }

    pub fn kinds(self) -> Vec<Kind> {
        match self {
            Sort::Subscription => vec![Kind::Subscription],
            sort => sort.types().iter().filter_map(|(_, kind)| *kind).collect(),
        }
    }

    /// The word for a kind.
    fn type_of(self, kind: Kind) -> Option<&'static str> {
        self.types().iter().find(|(_, of)| *of == Some(kind)).map(|(word, _)| *word)
    }
}

/// The kind of queue of this type.
///
/// # Errors
/// 400 with those that there are.
pub fn queue_of_type(word: &str) -> Result<Kind, Problem> {
    let found = QUEUES.iter().find(|(known, _)| *known == word);
    match found {
        Some((_, Some(kind))) => Ok(*kind),
        _ => Err(no_type(Sort::Queue, word)),
    }
}

fn no_type(sort: Sort, word: &str) -> Problem {
    let known: Vec<&str> = sort.types().iter().map(|(word, _)| *word).collect();
    let detail = format!("type is one of {}, and not {word:?}.", known.join(", "));
    Problem::bad(Reason::ObjectTypeError, detail)
}

/// What the query says.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub attributes: Vec<String>,
    pub status: Vec<String>,
    pub filter: Option<String>,
    pub name: Option<String>,
    pub of_type: Option<String>,
}

/// Objects that are to be shown.
#[derive(Debug)]
pub struct Inquiry {
    sort: Sort,
    manager: String,
    /// The only one, which has to be there.
    one: Option<String>,
    /// Names that begin and end so.
    ends: Option<(String, String)>,
    names: Vec<Names>,
    wanted: Vec<String>,
    filter: Option<Filter>,
    request: Option<Request>,
    found: Shown,
}

impl Inquiry {
    /// # Errors
    /// 400 for a parameter that makes no sense.
    pub fn new(sort: Sort, one: Option<String>, said: Said) -> Result<Inquiry, Problem> {
        let names: Vec<Names> = sort.kinds().into_iter().map(Names::of).collect();
        let mut wanted = wanted(sort, &names, &said)?;
        let filter =
            said.filter.map(|text| Filter::read(&text, |path| shape(sort, &names, path))).transpose()?;
        let ends = said.name.map(|pattern| ends_of(&pattern)).transpose()?;
        wanted.extend(ALWAYS.map(str::to_owned));
        let kind = match said.of_type.as_deref() {
            None | Some(ALL) => Some(match sort {
                Sort::Queue => "QUEUE",
                sort => sort.kinds()[0].facts().name,
            }),
            Some(word) => {
                let found = sort.types().iter().find(|(known, _)| *known == word);
                found.ok_or_else(|| no_type(sort, word))?.1.map(|kind| kind.facts().name)
            }
        };
        let name = match (&one, &ends) {
            (Some(name), _) => name.clone(),
            (None, Some((begins, _))) => format!("{begins}*"),
            (None, None) => String::new(),
        };
        let request = kind.map(|kind| {
            Request::Display(DisplayRequest { kind: kind.to_owned(), name, ..DisplayRequest::default() })
        });
        let manager = String::new();
        let found = Shown::default();
        Ok(Inquiry { sort, manager, one, ends, names, wanted, filter, request, found })
    }

    /// Of this queue manager.
    pub fn of(self, manager: &str) -> Inquiry {
        Inquiry { manager: manager.to_owned(), ..self }
    }

    fn is_named(&self, name: &str) -> bool {
        match (&self.one, &self.ends) {
            (Some(one), _) => name == one,
            (None, Some((begins, ends))) => {
                name.len() >= begins.len() + ends.len() && name.starts_with(begins) && name.ends_with(ends)
            }
            (None, None) => true,
        }
    }

    fn tell(&mut self, object: &ObjectDetails) {
        if !self.is_named(&object.name) {
            return;
        }
        let facts = facts_of(object, &self.manager);
        let Some(names) = self.names.iter().find(|names| names.kind() == facts.kind) else { return };
        if let Some(filter) = &self.filter {
            let compared = told(self.sort, names, &facts, object, &|path| path == filter.path());
            if !value_at(&compared, filter.path()).is_some_and(|value| filter.holds(value)) {
                return;
            }
        }
        let is_wanted = |path: &str| self.wanted.iter().any(|wanted| is_in(path, wanted));
        let item = told(self.sort, names, &facts, object, &is_wanted);
        self.found.add(&item);
    }

    /// All that was found.
    ///
    /// # Errors
    /// 404 when the only one is not there.
    pub fn answer(self) -> Result<Answer, Problem> {
        if let (Some(name), true) = (&self.one, self.found.is_empty()) {
            let detail = format!("There is no {} {name}; names are case-sensitive.", self.sort.label());
            return Err(Problem::of(Reason::UnknownObjectName, Some(detail)));
        }
        Ok(self.found.answer(&format!("{{\"{}\":[", self.sort.label()), "]}"))
    }
}

impl Steps for Inquiry {
    fn changes(&self) -> bool {
        false
    }

    fn next_request(&mut self) -> Option<Request> {
        self.request.take()
    }

    fn on_reply(&mut self, reply: &Reply, more: bool) -> Result<bool, Problem> {
        match reply {
            Reply::Refused { reason, text } => Err(Problem::of_refused(*reason, text)),
            Reply::Objects(objects) => {
                for object in objects {
                    self.tell(object);
                }
                if self.found.bytes() > SHOWN_BYTES_MAX { Err(too_much()) } else { Ok(more) }
            }
            _ => Ok(false),
        }
    }

    fn shown_bytes(&self) -> u64 {
        self.found.bytes() as u64
    }
}

/// Paths, and groups of them, that are asked for.
fn wanted(sort: Sort, names: &[Names], said: &Said) -> Result<Vec<String>, Problem> {
    let mut wanted = Vec::new();
    for asked in &said.attributes {
        if asked == "*" {
            wanted.extend(names.iter().flat_map(Names::iter).map(|name| name.path.clone()));
            wanted.push(TIMES.to_owned());
            continue;
        }
        let is_one = |path: &str| is_in(path, asked);
        if !names.iter().flat_map(Names::iter).any(|name| is_one(&name.path)) && !times(sort).any(is_one) {
            let detail = format!(
                "There are no attributes {asked:?}; there are *, groups, and single ones as general.description."
            );
            return Err(Problem::bad(Reason::SelectorError, detail));
        }
        wanted.push(asked.clone());
    }
    for asked in &said.status {
        let asked = if asked == "*" { STATUS } else { asked };
        if !status_of(&QueueStatus::default()).iter().any(|(path, _)| is_in(path, asked)) {
            let detail = format!("There is no status {asked:?}; there are *, status and single ones of it.");
            return Err(Problem::bad(Reason::SelectorError, detail));
        }
        wanted.push(asked.to_owned());
    }
    Ok(wanted)
}

/// Whether a path is what is wanted, or in that group.
fn is_in(path: &str, wanted: &str) -> bool {
    path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What can be compared, and how it looks.
fn shape(sort: Sort, names: &[Names], path: &str) -> Option<Shape> {
    let of_name = || names.iter().find_map(|names| names.at(path)).map(super::names::Name::shape);
    let of_status = || {
        let all = status_of(&QueueStatus::default());
        let (_, value) = all.into_iter().find(|(of, _)| *of == path && sort == Sort::Queue)?;
        Some(if value.is_number() { Shape::Number } else { Shape::Text })
    };
    let of_time = || times(sort).any(|time| time == path).then_some(Shape::Text);
    of_name().or_else(of_status).or_else(of_time)
}

/// Paths and groups of attributes that can be asked for.
#[cfg(test)]
pub fn can_be_wanted(sort: Sort) -> Vec<String> {
    let names: Vec<Names> = sort.kinds().into_iter().map(Names::of).collect();
    let paths = names.iter().flat_map(Names::iter).map(|name| name.path.clone());
    let paths = paths.chain(times(sort).map(str::to_owned));
    let mut all = std::collections::BTreeSet::from(["*".to_owned()]);
    for path in paths {
        let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
        all.extend(ends.map(|end| path[..end].to_owned()));
    }
    all.into_iter().collect()
}

/// What a filter can compare.
#[cfg(test)]
pub fn can_be_compared(sort: Sort) -> std::collections::BTreeMap<String, Shape> {
    let names: Vec<Names> = sort.kinds().into_iter().map(Names::of).collect();
    let paths = names.iter().flat_map(Names::iter).map(|name| name.path.clone());
    let paths = paths.chain(times(sort).map(str::to_owned));
    let paths = paths.chain(status_of(&QueueStatus::default()).into_iter().map(|(path, _)| path.to_owned()));
    paths.filter_map(|path| Some((path.clone(), shape(sort, &names, &path)?))).collect()
}

/// A name with a star in it: how it begins and ends.
fn ends_of(pattern: &str) -> Result<(String, String), Problem> {
    match pattern.split_once('*') {
        Some((begins, ends)) if !ends.contains('*') => Ok((begins.to_owned(), ends.to_owned())),
        _ => {
            let detail = format!(
                "name has one * for any characters, as ORDERS*, and not {pattern:?}; one object by its name has a path of its own."
            );
            Err(Problem::bad(Reason::ObjectNameError, detail))
        }
    }
}

// ---- what is told of an object ---------------------------------------------------------------------------------

fn told(
    sort: Sort,
    names: &Names,
    facts: &Facts,
    object: &ObjectDetails,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Map<String, Value> {
    let mut item = Map::new();
    item.insert("name".into(), facts.name.clone().into());
    if let Some(of_type) = sort.type_of(facts.kind) {
        item.insert("type".into(), of_type.into());
    }
    let text = |name: &str| facts.values.iter().find(|fact| fact.name == name).map(|fact| &fact.value);
    for name in names.iter().filter(|name| is_wanted(&name.path)) {
        if let Some(value) = text(name.attribute.name).and_then(|text| name.told(text)) {
            put_at(&mut item, &name.path, value);
        }
    }
    // A topic object would have a string of its own in front.
    if let (Sort::Subscription, Some(""), Some(string)) =
        (sort, text("TOPICOBJ").map(String::as_str), text("TOPICSTR"))
    {
        item.insert(RESOLVED.into(), string.clone().into());
    }
    for (path, day, time) in TIMES_OF.iter().filter(|(path, ..)| is_wanted(path)) {
        if let (Some(day), Some(time)) = (text(day), text(time)) {
            put_at(&mut item, path, moment(day, time).into());
        }
    }
    if let Some(status) = object.status.as_ref().filter(|_| facts.kind == Kind::LocalQueue) {
        for (path, value) in status_of(status).into_iter().filter(|(path, _)| is_wanted(path)) {
            put_at(&mut item, path, value);
        }
    }
    item
}

/// MQ's day and time in one; blank where nobody knows.
fn moment(day: &str, time: &str) -> String {
    if day.is_empty() { String::new() } else { format!("{day}T{}.000Z", time.replace('.', ":")) }
}

const TIMES: &str = "timestamps";
const TIMES_OF: [(&str, &str, &str); 2] =
    [("timestamps.altered", "ALTDATE", "ALTTIME"), ("timestamps.created", "CRDATE", "CRTIME")];

fn times(sort: Sort) -> impl Iterator<Item = &'static str> {
    let has = move |path: &&str| sort != Sort::Channel || *path == TIMES_OF[0].0;
    TIMES_OF.iter().map(|(path, ..)| *path).filter(has)
}

/// Of a local queue. What MQ has and nobody here keeps is as MQ tells it where monitoring is off.
pub fn status_of(status: &QueueStatus) -> Vec<(&'static str, Value)> {
    let last = |ms: i64| {
        let (day, time) = if ms > 0 { day_and_time(ms) } else { Default::default() };
        Value::from(moment(&day, &time))
    };
    let lain = |us: i64| json!(if status.last_get_ms > 0 { us } else { -1 });
    vec![
        ("status.currentDepth", status.depth.into()),
        ("status.lastGet", last(status.last_get_ms)),
        ("status.lastPut", last(status.last_put_ms)),
        ("status.mediaRecoveryLogExtent", "".into()),
        ("status.oldestMessageAge", status.oldest_age_s.into()),
        ("status.onQTime.longSamplePeriod", lain(status.lain_long_us)),
        ("status.onQTime.shortSamplePeriod", lain(status.lain_short_us)),
        ("status.openInputCount", status.open_input.into()),
        ("status.openOutputCount", status.open_output.into()),
        ("status.uncommittedMessages", status.uncommitted.into()),
    ]
}
