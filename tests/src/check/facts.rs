//! A history, put in order for the judges: what became of each put, each delivery, each unit.

use std::collections::BTreeMap;

use crate::model::body::BodyKey;
use trimaran_node::types::Reason;

use crate::model::history::{Answer, Fate, Get, History, Put, UnitNumber, What};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    Yes,
    Maybe,
    No,
}

#[derive(Clone, Debug)]
pub struct PutFact<'a> {
    pub put: &'a Put,
    pub program: u32,
    /// Whether it became visible.
    pub visible: Certainty,
    /// When it could first be visible: the put, or its unit's commit, was asked for then.
    pub begun: u64,
    /// When it was visible for certain.
    pub ended: Option<u64>,
    /// See [`History::may_be_stored_twice`].
    pub perhaps_twice: bool,
}

#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    pub get: &'a Get,
    pub program: u32,
    pub key: BodyKey,
    pub backout_count: u32,
    /// Whether the message was taken for good.
    pub taken: Certainty,
    pub begun: u64,
    pub ended: u64,
    /// When its taking was asked for (the commit; for a plain get the get itself) and known.
    pub taking_begun: Option<u64>,
    pub taking_ended: Option<u64>,
}

/// A destructive get whose answer never came.
#[derive(Clone, Copy, Debug)]
pub struct Uncertain {
    pub begun: u64,
    /// Outside syncpoint: whatever it took is gone.
    pub plain: bool,
}

#[derive(Debug, Default)]
pub struct Facts<'a> {
    pub puts: BTreeMap<BodyKey, PutFact<'a>>,
    pub deliveries: BTreeMap<BodyKey, Vec<Delivery<'a>>>,
    pub uncertain: BTreeMap<u32, Vec<Uncertain>>,
    pub commits: BTreeMap<UnitNumber, (u64, Option<u64>)>,
    /// By queue: from when until when a browse may have locked a message.
    locks: BTreeMap<u32, Vec<(u64, u64)>>,
}

/// How long an unanswered get may go on holding a message: until its node notices that its client is gone.
pub const HOLD_US_MAX: u64 = 20_000_000;

impl Facts<'_> {
    pub fn gather(history: &History) -> Facts<'_> {
        let mut facts = Facts::default();
        for operation in &history.operations {
            if let What::Commit { unit } = &operation.what {
                facts.commits.insert(*unit, (operation.begun, operation.ended));
            }
        }
        for operation in &history.operations {
            match &operation.what {
                What::Put(put) => {
                    let (visible, begun, ended) = if put.unit == 0 {
                        (certainty(operation.answer), operation.begun, operation.ended)
                    } else {
                        let fate = history.unit(put.unit).map_or(Fate::Open, |unit| unit.fate);
                        let commit = facts.commits.get(&put.unit);
                        let visible = match (operation.answer, fate) {
                            (Answer::Refused(_), _) | (_, Fate::BackedOut | Fate::Open) => Certainty::No,
                            (Answer::Ok, Fate::Committed) => Certainty::Yes,
                            _ => Certainty::Maybe,
                        };
                        let ended = history.unit(put.unit).and_then(|unit| unit.ended);
                        (visible, commit.map_or(operation.begun, |(begun, _)| *begun), ended)
                    };
                    let ended = ended.filter(|_| visible == Certainty::Yes);
                    let perhaps_twice = history.may_be_stored_twice(operation);
                    let program = operation.program;
                    let fact = PutFact { put, program, visible, begun, ended, perhaps_twice };
                    facts.puts.insert(put.key, fact);
                }
                What::Get(get) => match &get.got {
                    Some(got) => {
                        let (taken, taking_begun, taking_ended) = if get.unit == 0 {
                            (Certainty::Yes, Some(operation.begun), operation.ended)
                        } else {
                            let commit = facts.commits.get(&get.unit);
                            let unit = history.unit(get.unit);
                            match unit.map_or(Fate::Open, |unit| unit.fate) {
                                Fate::Committed => (
                                    Certainty::Yes,
                                    commit.map(|(begun, _)| *begun),
                                    unit.and_then(|unit| unit.ended),
                                ),
                                Fate::Unknown => (Certainty::Maybe, commit.map(|(begun, _)| *begun), None),
                                Fate::BackedOut | Fate::Open => (Certainty::No, None, None),
                            }
                        };
                        facts.deliveries.entry(got.key).or_default().push(Delivery {
                            get,
                            program: operation.program,
                            key: got.key,
                            backout_count: got.backout_count,
                            taken,
                            begun: operation.begun,
                            ended: operation.ended.unwrap_or(operation.begun),
                            taking_begun,
                            taking_ended,
                        });
                    }
                    // A damaged message is held until its get is refused: others take the next one meanwhile.
                    None if operation.answer == Answer::Unknown
                        || operation.answer == Answer::Refused(Reason::ObjectDamaged) =>
                    {
                        let plain = get.unit == 0 && operation.answer == Answer::Unknown;
                        let uncertain = Uncertain { begun: operation.begun, plain };
                        facts.uncertain.entry(get.queue).or_default().push(uncertain);
                    }
                    None => {}
                },
                What::Browse(browse)
                    if browse.locks && operation.answer != Answer::Refused(Reason::NoMsgAvailable) =>
                {
                    let until = browse.unlocked.unwrap_or(operation.begun + HOLD_US_MAX);
                    facts.locks.entry(browse.queue).or_default().push((operation.begun, until));
                }
                _ => {}
            }
        }
        facts.deliveries.values_mut().for_each(|list| list.sort_by_key(|delivery| delivery.begun));
        facts
    }

    pub fn of(&self, key: BodyKey) -> &[Delivery<'_>] {
        self.deliveries.get(&key).map_or(&[], Vec::as_slice)
    }

    pub fn is_perhaps_twice(&self, key: BodyKey) -> bool {
        self.puts.get(&key).is_some_and(|put| put.perhaps_twice)
    }

    /// Whether an unanswered get, or a browse that locks, may have held some message of the queue at some time in the interval.
    pub fn may_have_been_held(&self, queue: u32, from: u64, until: u64) -> bool {
        let meets = |begun: u64, ended: u64| begun <= until && ended >= from;
        let gets = self.uncertain.get(&queue).into_iter().flatten();
        let locks = self.locks.get(&queue).into_iter().flatten();
        gets.map(|get| get.begun).any(|begun| meets(begun, begun + HOLD_US_MAX))
            || locks.copied().any(|(begun, ended)| meets(begun, ended))
    }

    pub fn uncertain_plain(&self, queue: u32) -> usize {
        self.uncertain.get(&queue).map_or(0, |list| list.iter().filter(|get| get.plain).count())
    }
}

fn certainty(answer: Answer) -> Certainty {
    match answer {
        Answer::Ok => Certainty::Yes,
        Answer::Unknown => Certainty::Maybe,
        Answer::Refused(_) => Certainty::No,
    }
}

pub fn name(key: BodyKey) -> String {
    format!("message {} of program {}", key.sequence, key.producer)
}

pub fn seconds(us: u64) -> String {
    format!("{:.6} s", us as f64 / 1e6)
}
