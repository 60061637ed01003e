//! What every program asked and was told, in the order of true time: the only thing most checkers look at.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use trimaran_node::qmgr::Retention;
use trimaran_node::types::{InGroup, MessageId, Reason, UnitState};

use super::body::BodyKey;

/// Numbers the units of work of a run; 0 is none.
pub type UnitNumber = u64;

#[derive(Clone, Debug, Default)]
pub struct History {
    pub queues: Vec<QueueFacts>,
    pub operations: Vec<Operation>,
    /// Index is the unit's number minus one.
    pub units: Vec<Unit>,
    /// When some node began to serve a queue manager.
    pub serving_begun: Vec<(u32, u64)>,
    /// How much is remembered for programs that ask again.
    pub promised: Retention,
    /// What was found of reports at the end of a day on which every message asks for them.
    pub reports: Option<Vec<Report>>,
}

/// That a message is on its queue, or that it has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub about: BodyKey,
    pub is_arrival: bool,
}

/// What the checkers must know of a queue. Queues of all queue managers share one numbering.
#[derive(Clone, Debug, Default)]
pub struct QueueFacts {
    pub queue_manager: u32,
    pub name: String,
    /// False where messages also come from elsewhere (backout moves, dead letters) or order is not priority's.
    pub ordered: bool,
    pub fifo: bool,
    /// Somebody may clear or delete it: what was there may be gone.
    pub may_lose: bool,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub program: u32,
    pub session: u64,
    pub begun: u64,
    /// When it was answered; None: never, or the session ended first.
    pub ended: Option<u64>,
    pub what: What,
    pub answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Under way, or lost with the session: it happened or it did not.
    Unknown,
    Ok,
    /// Certainly without effect.
    Refused(Reason),
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Put(Put),
    Get(Get),
    Browse(Browse),
    Commit {
        unit: UnitNumber,
    },
    Backout {
        unit: UnitNumber,
    },
    /// The outcome inquiry, and what it was told.
    Outcome {
        unit: UnitNumber,
        told: Option<UnitState>,
        /// When the program last heard how many units had been decided, before it sent the commit; None: it never says.
        counted: Option<u64>,
    },
    Depth {
        queue: u32,
        depth: Option<u64>,
    },
    /// An administrator gives attributes of an object new values: alters it, sets a record, deletes it or defines it anew.
    Alter {
        object: String,
        changes: Settings,
    },
    /// An administrator looks at an object; `shown` as told.
    Display {
        object: String,
        shown: Option<Settings>,
    },
}

/// Attributes and values by MQ's names, as text.
pub type Settings = Vec<(String, String)>;

#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    pub key: BodyKey,
    pub queue: u32,
    pub priority: u8,
    pub persistent: bool,
    pub expires: bool,
    pub unit: UnitNumber,
    pub producer_sequence: Option<u64>,
    /// How often it was repeated.
    pub repeats: u32,
    /// Every id the put and its repetitions were answered with.
    pub ids: Vec<MessageId>,
    /// The warning and the place in a group that came with each; None where it was said that they are not known.
    pub told: Vec<Option<(Reason, Option<InGroup>)>>,
    /// A repetition was answered that nobody can tell (2195).
    pub unjudged: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Get {
    pub queue: u32,
    pub unit: UnitNumber,
    /// By id or under a cursor: takes from the middle.
    pub selective: bool,
    pub got: Option<Delivery>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Browse {
    pub queue: u32,
    /// Calls of one walk over a queue share a number.
    pub walk: u32,
    pub first: bool,
    pub got: Option<Delivery>,
    /// 2033: the walk saw everything.
    pub end: bool,
    /// It asked to have the message locked.
    pub locks: bool,
    /// When the program knew that the lock was over, if it does.
    pub unlocked: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub key: BodyKey,
    pub id: MessageId,
    pub priority: u8,
    pub backout_count: u32,
}

#[derive(Clone, Debug)]
pub struct Unit {
    pub program: u32,
    pub begun: u64,
    pub ended: Option<u64>,
    pub fate: Fate,
    /// The back-out was asked for and answered, so backout counts grew for certain.
    pub backout_answered: bool,
    /// A put or get of it was asked and never answered: what belongs to it is not known.
    pub uncertain_members: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Open,
    Committed,
    BackedOut,
    Unknown,
}

impl History {
    pub fn begin(&mut self, program: u32, session: u64, now: u64, what: What) -> usize {
        self.operations.push(Operation {
            program,
            session,
            begun: now,
            ended: None,
            what,
            answer: Answer::Unknown,
        });
        self.operations.len() - 1
    }

    pub fn begin_unit(&mut self, program: u32, now: u64) -> UnitNumber {
        self.units.push(Unit {
            program,
            begun: now,
            ended: None,
            fate: Fate::Open,
            backout_answered: false,
            uncertain_members: false,
        });
        self.units.len() as UnitNumber
    }

    pub fn unit(&self, number: UnitNumber) -> Option<&Unit> {
        self.units.get((number as usize).checked_sub(1)?)
    }

    /// What is left when nothing is said of this time: of messages that were put, got or shown then, of units of that
    /// time, of objects that were changed then, and of what whole queues looked like. For a day on which what was
    /// acknowledged in it may be lost, and what was taken may come again.
    pub fn without(&self, from: u64, upto: u64) -> History {
        let is_then =
            |begun: u64, ended: Option<u64>| begun <= upto && ended.is_none_or(|ended| ended >= from);
        let unit_is_then =
            |number: UnitNumber| self.unit(number).is_some_and(|unit| is_then(unit.begun, unit.ended));
        let key_of = |what: &What| match what {
            What::Put(put) => Some((put.key, put.unit)),
            What::Get(get) => get.got.as_ref().map(|got| (got.key, get.unit)),
            _ => None,
        };
        let touched: BTreeSet<BodyKey> = self
            .operations
            .iter()
            .filter_map(|operation| {
                let (key, unit) = key_of(&operation.what)?;
                (is_then(operation.begun, operation.ended) || unit_is_then(unit)).then_some(key)
            })
            .collect();
        let changed: BTreeSet<&str> = self
            .operations
            .iter()
            .filter(|operation| is_then(operation.begun, operation.ended))
            .filter_map(|operation| match &operation.what {
                What::Alter { object, .. } => Some(object.as_str()),
                _ => None,
            })
            .collect();
        let is_left = |operation: &&Operation| match &operation.what {
            // What it showed is not said below, and that a message may have been locked explains what others got.
            What::Browse(browse) => browse.locks,
            What::Depth { .. } => false,
            What::Alter { object, .. } | What::Display { object, .. } => !changed.contains(object.as_str()),
            What::Outcome { unit, .. } => !unit_is_then(*unit),
            what => key_of(what).is_none_or(|(key, _)| !touched.contains(&key)),
        };
        let mut operations: Vec<Operation> = self.operations.iter().filter(is_left).cloned().collect();
        for operation in &mut operations {
            if let What::Browse(browse) = &mut operation.what {
                (browse.got, browse.end) = (None, false);
            }
        }
        History { operations, ..self.clone() }
    }

    /// A put that is not persistent and was repeated over a change of leader may make a message twice: nobody is left
    /// who remembers the first.
    pub fn may_be_stored_twice(&self, operation: &Operation) -> bool {
        let What::Put(put) = &operation.what else { return false };
        let until = operation.ended.unwrap_or(u64::MAX);
        let queue_manager = self.queues[put.queue as usize].queue_manager;
        !put.persistent
            && put.repeats > 0
            && self
                .serving_begun
                .iter()
                .any(|(of, at)| *of == queue_manager && (operation.begun..=until).contains(at))
    }

    pub fn unit_mut(&mut self, number: UnitNumber) -> Option<&mut Unit> {
        self.units.get_mut((number as usize).checked_sub(1)?)
    }

    /// Jepsen's history in EDN: one map a line, an invocation and its completion apart, times in nanoseconds.
    pub fn to_edn(&self) -> String {
        let mut lines: Vec<(u64, u8, String)> = Vec::with_capacity(self.operations.len() * 2);
        for (number, operation) in self.operations.iter().enumerate() {
            let (f, value) = operation.what.edn(self);
            let process = operation.program;
            let begun = operation.begun;
            let line = format!(
                "{{:index {number}, :type :invoke, :process {process}, :f {f}, :value {value}, :time {}}}",
                begun * 1000
            );
            lines.push((begun, 1, line));
            let (kind, at) = match (operation.answer, operation.ended) {
                (Answer::Ok, Some(at)) => (":ok".to_string(), at),
                (Answer::Refused(reason), Some(at)) => (format!(":fail, :error {}", reason.number()), at),
                (_, at) => (":info".to_string(), at.unwrap_or(u64::MAX / 2000)),
            };
            let line = format!(
                "{{:index {number}, :type {kind}, :process {process}, :f {f}, :value {value}, :time {}}}",
                at * 1000
            );
            lines.push((at, 0, line));
        }
        lines.sort();
        let mut text = String::new();
        for (_, _, line) in lines {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

impl What {
    fn edn(&self, history: &History) -> (&'static str, String) {
        let name = |queue: u32| history.queues.get(queue as usize).map_or("?", |facts| facts.name.as_str());
        match self {
            What::Put(put) => (
                ":enqueue",
                format!(
                    "{{:queue \"{}\", :message [{} {}], :priority {}, :unit {}}}",
                    name(put.queue),
                    put.key.producer,
                    put.key.sequence,
                    put.priority,
                    put.unit
                ),
            ),
            What::Get(get) => (":dequeue", delivery_edn(name(get.queue), get.unit, get.got.as_ref())),
            What::Browse(browse) => (":browse", delivery_edn(name(browse.queue), 0, browse.got.as_ref())),
            What::Commit { unit } => (":commit", format!("{{:unit {unit}}}")),
            What::Backout { unit } => (":backout", format!("{{:unit {unit}}}")),
            What::Outcome { unit, told, .. } => {
                let outcome = match told {
                    None => "nil",
                    Some(UnitState::Committed) => "true",
                    Some(UnitState::BackedOut) => "false",
                    Some(UnitState::Forgotten) => ":forgotten",
                };
                (":outcome", format!("{{:unit {unit}, :committed {outcome}}}"))
            }
            What::Depth { queue, depth } => {
                let depth = depth.map_or("nil".to_string(), |depth| depth.to_string());
                (":depth", format!("{{:queue \"{}\", :depth {depth}}}", name(*queue)))
            }
            What::Alter { object, changes } => {
                (":alter", format!("{{:object \"{object}\", :changes {}}}", settings_edn(changes)))
            }
            What::Display { object, shown } => {
                let shown = shown.as_ref().map_or("nil".to_string(), settings_edn);
                (":display", format!("{{:object \"{object}\", :shown {shown}}}"))
            }
        }
    }
}

fn settings_edn(settings: &Settings) -> String {
    let pairs: Vec<String> = settings.iter().map(|(name, value)| format!(":{name} {value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn delivery_edn(queue: &str, unit: UnitNumber, got: Option<&Delivery>) -> String {
    let message = got.map_or("nil".to_string(), |got| format!("[{} {}]", got.key.producer, got.key.sequence));
    format!("{{:queue \"{queue}\", :message {message}, :unit {unit}}}")
}
