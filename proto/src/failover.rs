//! The records of failovers, which are a chain ([`crate::chain`]), and what a cause counts as.

use std::fmt;

use bytes::Bytes;

use crate::admin::v1::classified;
use crate::admin::v1::failover_account::Cause;
use crate::admin::v1::handing_over::Why;
use crate::admin::v1::moment::Step;
use crate::admin::v1::{Failover, FailoverAccount};
use crate::chain::Link;

/// The version of a queue manager since which who serves is counted, and kept.
pub const SINCE: u32 = 3;
/// How many of the newest records every node keeps.
pub const KEPT: usize = 10_000;
/// How many records an answer has at most.
pub const A_PAGE: usize = 200;
/// How many of the newest gaps that canaries saw are kept.
pub const GAPS_KEPT: usize = 1_000;
/// Characters of the reason why a person says that a record counts as something else, at most.
pub const BECAUSE_MAX: usize = 256;
/// Where canaries put their messages, and get them.
pub const CANARY_QUEUE: &str = "SYSTEM.CANARY.QUEUE";

impl Link for Failover {
    fn number(&self) -> u64 {
        self.number
    }

    fn sealed_before(&self) -> &Bytes {
        &self.sealed_before
    }

    fn seal(&self) -> &Bytes {
        &self.seal
    }

    fn sealed(self, seal: Bytes) -> Failover {
        Failover { seal, ..self }
    }
}

/// Whose budget of downtime it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Software,
    Planned,
    Human,
    Hardware,
    Environment,
}

impl Class {
    pub const ALL: [Class; 5] =
        [Class::Software, Class::Planned, Class::Human, Class::Hardware, Class::Environment];

    pub fn word(self) -> &'static str {
        match self {
            Class::Software => "software",
            Class::Planned => "planned",
            Class::Human => "human",
            Class::Hardware => "hardware",
            Class::Environment => "environment",
        }
    }

    pub fn parse(word: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.word() == word)
    }

    /// None for what is no class.
    pub fn from_wire(class: classified::Class) -> Option<Class> {
        Class::ALL.into_iter().find(|known| known.to_wire() == class)
    }

    pub fn to_wire(self) -> classified::Class {
        match self {
            Class::Software => classified::Class::Software,
            Class::Planned => classified::Class::Planned,
            Class::Human => classified::Class::Human,
            Class::Hardware => classified::Class::Hardware,
            Class::Environment => classified::Class::Environment,
        }
    }

    /// Per cent of what may be spent that is for it; a common split.
    pub fn share(self) -> u32 {
        match self {
            Class::Software => 40,
            Class::Planned => 30,
            Class::Human => 15,
            Class::Hardware => 10,
            Class::Environment => 5,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Failover {
    /// What it was for, as far as the record knows: what was planned says so itself.
    pub fn why(&self) -> Why {
        self.planned.as_ref().map_or(Why::None, |planned| planned.why())
    }

    /// [`Cause::None`] where nobody said it: records began while the node served.
    pub fn cause(&self) -> Cause {
        match (&self.planned, &self.account) {
            (Some(_), _) => Cause::Planned,
            (None, Some(account)) => account.cause(),
            (None, None) => Cause::None,
        }
    }

    pub fn class(&self) -> Class {
        match (self.cause(), self.why()) {
            // A disk that is full or hangs, or a clock that is off, is nobody's plan.
            (_, Why::NoRoom | Why::Clock | Why::Disk) => Class::Hardware,
            // Nor is a cable.
            (_, Why::Interface) => Class::Environment,
            (Cause::Planned, _) => Class::Planned,
            (Cause::Crash | Cause::Hang | Cause::None, _) => Class::Software,
            (Cause::Unreachable | Cause::Restart, _) => Class::Hardware,
            (Cause::Partition | Cause::NoQuorum | Cause::Start, _) => Class::Environment,
        }
    }

    /// In one or two words.
    pub fn cause_in_words(&self) -> &'static str {
        match (self.cause(), self.why()) {
            (_, Why::Move) => "moved",
            (_, Why::Stop) => "node stopped",
            (_, Why::Drain) => "maintenance",
            (_, Why::FailBack) => "fail-back",
            (_, Why::NoRoom) => "disk full",
            (_, Why::Remove) => "node removed",
            (_, Why::Clock) => "clock is off",
            (_, Why::Disk) => "disk hangs",
            (_, Why::Interface) => "interface down",
            (Cause::Planned, Why::None) => "planned",
            (Cause::Crash, _) => "crash",
            (Cause::Hang, _) => "hang",
            (Cause::Unreachable, _) => "unreachable",
            (Cause::Partition, _) => "partition",
            (Cause::Restart, _) => "machine restart",
            (Cause::NoQuorum, _) => "no quorum",
            (Cause::Start, _) => "start",
            (Cause::None, _) => "not known",
        }
    }

    /// For how long nobody served, in microseconds, as far as the nodes can tell. What was planned counts from when it was announced, or from when
    /// units of work had ended. Where nobody was heard before, since the newest entry of the log, which may be much longer than it was.
    pub fn outage_us(&self) -> u64 {
        let Some(account) = &self.account else { return 0 };
        let since = |ms: i64| (account.served_ms - ms).max(0) as u64 * 1000;
        // One that did not live to say when it served was about to.
        let unheard = account.after_us(Step::Serves).or(account.after_us(Step::Elected)).unwrap_or(0);
        match (&self.planned, account.cause()) {
            (None, Cause::Start) => since(self.at_ms),
            // Who hands over is heard for longer than it answers.
            (Some(planned), _) => since(planned.at_ms).max(unheard),
            (None, _) => unheard,
        }
    }
}

impl Failover {
    /// Nobody was heard before: it may have been shorter than [`Failover::outage_us`], and not longer.
    pub fn has_bound_only(&self) -> bool {
        self.cause() == Cause::Start
            || self.account.as_ref().is_some_and(|account| account.cause() == Cause::Start)
    }
}

impl FailoverAccount {
    pub fn after_us(&self, step: Step) -> Option<u64> {
        self.moments.iter().find(|moment| moment.step() == step).map(|moment| moment.after_us)
    }
}

/// What happened then, for people.
pub fn step_in_words(step: Step) -> &'static str {
    match step {
        Step::None => "",
        Step::Missed => "a heartbeat is missed",
        Step::Stands => "stands for election",
        Step::Elected => "is elected",
        Step::Fenced => "nobody else can serve any more",
        Step::Address => "has the address",
        Step::Announced => "has announced the address",
        Step::Serves => "serves",
        Step::FirstClient => "first program is connected",
        Step::FirstPut => "first put",
        Step::ClientsBack => "99 of 100 programs are back",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::v1::HandingOver;
    use crate::chain::{Broken, seal_of, verify};

    fn chain(length: u64) -> Vec<Failover> {
        let mut records: Vec<Failover> = Vec::new();
        for number in 1..=length {
            let sealed_before = records.last().map(|before| before.seal.clone()).unwrap_or_default();
            let mut record =
                Failover { number, term: number * 2, node: 1, sealed_before, ..Failover::default() };
            record.seal = seal_of(&record);
            records.push(record);
        }
        records
    }

    #[test]
    fn a_record_that_was_changed_or_taken_out_is_seen() {
        let records = chain(4);
        assert_eq!(verify(&records), Ok(()));
        assert_eq!(verify(&records[2..]), Ok(()), "older ones are gone");
        let mut changed = records.clone();
        changed[1].node = 2;
        assert_eq!(verify(&changed), Err(Broken::Changed { number: 2 }));
        changed[1].seal = seal_of(&changed[1]);
        assert_eq!(verify(&changed), Err(Broken::Unchained { number: 3 }));
        let mut shorter = records.clone();
        shorter.remove(1);
        assert_eq!(verify(&shorter), Err(Broken::Missing { number: 3 }));
        let mut open = records.clone();
        open[3].seal = Bytes::new();
        assert_eq!(verify(&open), Ok(()), "its account is to come");
        open[1].seal = Bytes::new();
        assert_eq!(verify(&open), Err(Broken::Open { number: 2 }));
    }

    #[test]
    fn the_classes_share_the_whole_budget() {
        assert_eq!(Class::ALL.iter().map(|class| class.share()).sum::<u32>(), 100);
        let planned = HandingOver { why: Why::Move.into(), ..HandingOver::default() };
        let moved = Failover { planned: Some(planned), ..Failover::default() };
        assert_eq!((moved.class(), moved.cause_in_words()), (Class::Planned, "moved"));
        let planned = HandingOver { why: Why::Interface.into(), ..HandingOver::default() };
        let cut = Failover { planned: Some(planned), ..Failover::default() };
        assert_eq!((cut.class(), cut.cause_in_words()), (Class::Environment, "interface down"));
        assert_eq!(Failover::default().class(), Class::Software, "what nobody can explain is ours");
        for class in Class::ALL {
            assert_eq!(
                (Class::parse(class.word()), Class::from_wire(class.to_wire())),
                (Some(class), Some(class))
            );
        }
        assert_eq!((Class::parse("luck"), Class::from_wire(classified::Class::None)), (None, None));
    }
}
