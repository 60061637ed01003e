//! Who serves, and what is kept of how that came: records that every node has alike, each sealed to the one before.
//!
//! A leader that begins to serve opens a record. What it knows already is in the same entry, and it says more while it serves
//! (`replica/failovers.rs`); with its last word the record is sealed. One whose leader did not live to say that is sealed as it is
//! when the next one begins, so that no outage is without an account. What a person says of a record later is kept beside it: a seal is for good.

use std::collections::BTreeMap;

use prost::Message as _;
use trimaran_proto::admin::v1::handing_over::Why;
use trimaran_proto::admin::v1::{Classified, Failover, FailoverAccount, HandingOver};
use trimaran_proto::chain::seal_of;
use trimaran_proto::failover::KEPT;

use super::chained::Chained;
use super::digest::Digest;
use crate::types::planted::{self, Bug};
use crate::types::{NodeId, Term, WallTime};

/// An announcement is about whoever begins to serve within this time of the log.
const ANNOUNCED_MS_MAX: i64 = 60_000;

#[derive(Debug, Default)]
pub(super) struct Failovers {
    /// None until a leader said who it is.
    served_by: Option<NodeId>,
    /// How often another node than before began to serve.
    takeovers: u64,
    /// Who serves said that it hands over.
    handing_over: Option<HandingOver>,
    /// The newest [`KEPT`]. Only the last may be open.
    records: Chained<Failover>,
    /// What people said of records that are kept, by their number.
    classified: BTreeMap<u64, Classified>,
    classified_digest: Digest,
}

impl Failovers {
    /// As it is in the message store.
    pub fn restore(
        &mut self,
        served_by: Option<NodeId>,
        takeovers: u64,
        handing_over: Option<HandingOver>,
    ) -> Result<(), String> {
        if takeovers > 0 && served_by.is_none() {
            return Err(format!("{takeovers} took over, and nobody has served"));
        }
        (self.served_by, self.takeovers, self.handing_over) = (served_by, takeovers, handing_over);
        Ok(())
    }

    /// A record from the message store. In the order of their numbers.
    pub fn restore_record(&mut self, record: Failover) -> Result<(), String> {
        let number = record.number;
        let is_later = self.records.last().is_none_or(|last| last.term < record.term);
        if !is_later || !self.records.is_followed_by(&record) {
            return Err(format!("record {number} does not follow the one before"));
        }
        if self.records.len() == KEPT {
            return Err(format!("more than {KEPT} records are kept"));
        }
        self.records.push(record);
        Ok(())
    }

    pub fn served_by(&self) -> Option<NodeId> {
        self.served_by
    }

    pub fn takeovers(&self) -> u64 {
        self.takeovers
    }

    pub fn handing_over(&self) -> Option<&HandingOver> {
        self.handing_over.as_ref()
    }

    /// The number that the next record gets.
    pub fn next(&self) -> u64 {
        self.records.next()
    }

    /// The number of the oldest record that is kept.
    pub fn first(&self) -> u64 {
        self.records.first()
    }

    /// Records from this number on.
    pub fn from(&self, number: u64) -> impl Iterator<Item = &Failover> {
        self.records.from(number)
    }

    /// The record of the leader that began to serve last, while more of its account is to come.
    pub fn open(&self) -> Option<&Failover> {
        self.records.last().filter(|last| last.seal.is_empty())
    }

    /// A leader of a new term begins to serve. No leader says that twice of its term, nor of an earlier one: an entry that does
    /// is passed over.
    pub fn begin(&mut self, node: NodeId, term: Term, at: WallTime) {
        if self.records.last().is_some_and(|last| last.term >= term.0) {
            return;
        }
        let before = self.served_by.replace(node);
        self.takeovers += u64::from(before.is_some_and(|before| before != node));
        let announced = self.handing_over.take();
        let planned = announced.filter(|said| at.0.saturating_sub(said.at_ms) <= ANNOUNCED_MS_MAX);
        self.seal();
        if planted::is(Bug::ForgetFailover) && before.is_some_and(|before| before != node) {
            return;
        }
        self.records.push(Failover {
            number: self.next(),
            term: term.0,
            node: node.0,
            before: before.map_or(0, |before| before.0),
            at_ms: at.0,
            planned,
            sealed_before: self.records.sealed_before(),
            ..Failover::default()
        });
        if self.records.len() > KEPT
            && let Some(oldest) = self.records.pop_first()
            && let Some(said) = self.classified.remove(&oldest.number)
        {
            self.classified_digest.take(said.encode_to_vec());
        }
        debug_assert!(self.records.len() <= KEPT, "what is kept of records is bounded");
    }

    /// The leader of this term says how it came to serve, and whether that is all it will ever know of it. Whether more was still to
    /// come.
    pub fn account(&mut self, term: Term, account: FailoverAccount, is_last: bool) -> bool {
        let Some(open) = self.records.open().filter(|open| open.term == term.0) else { return false };
        open.account = Some(account);
        if is_last {
            self.seal();
        }
        true
    }

    /// Who serves hands over, or will not after all ([`Why::None`]).
    pub fn announce(&mut self, said: HandingOver, at: WallTime) {
        self.handing_over = (said.why() != Why::None).then_some(HandingOver { at_ms: at.0, ..said });
    }

    // ---- what people say of them ------------------------------------------------------------------------------

    /// None where there is no such record.
    pub fn classify(&mut self, said: Classified, at: WallTime) -> Option<()> {
        let is_kept = (self.first()..self.next()).contains(&said.number);
        let said = Classified { at_ms: at.0, ..said };
        is_kept.then(|| self.keep_classified(said))
    }

    /// From the message store, where records come first.
    pub fn restore_classified(&mut self, said: Classified) -> Result<(), String> {
        let is_kept = (self.first()..self.next()).contains(&said.number);
        if !is_kept || self.classified.contains_key(&said.number) {
            return Err(format!(
                "record {} is not there, or it is said twice what it counts as",
                said.number
            ));
        }
        self.keep_classified(said);
        Ok(())
    }

    fn keep_classified(&mut self, said: Classified) {
        self.classified_digest.add(said.encode_to_vec());
        if let Some(before) = self.classified.insert(said.number, said) {
            self.classified_digest.take(before.encode_to_vec());
        }
        debug_assert!(self.classified.len() <= self.records.len(), "of a record one thing is said");
    }

    pub fn classified(&self, from: u64) -> impl Iterator<Item = &Classified> {
        debug_assert!(
            self.classified.keys().next().is_none_or(|first| *first >= self.first()),
            "what is said of a record goes with it"
        );
        self.classified.range(from..).map(|(_, said)| said)
    }

    /// None where nothing was said.
    pub fn digest_of_classified(&self) -> Option<Digest> {
        (!self.classified.is_empty()).then_some(self.classified_digest)
    }

    pub fn check_classified(&self) -> Result<(), String> {
        match self.classified_digest == Digest::of(self.classified.values().map(Classified::encode_to_vec)) {
            true => Ok(()),
            false => Err("the digest of what people said of failovers is not that of what they said".into()),
        }
    }

    fn seal(&mut self) {
        if let Some(open) = self.records.open() {
            open.seal = seal_of(open);
        }
    }

    /// Whether the newest are a chain. Says what is not.
    pub fn check(&self) -> Result<(), String> {
        self.records.check().map_err(|broken| broken.to_string())
    }

    /// Everything that copies have alike: what is sealed is in the last seal.
    pub fn digest(&self) -> impl std::hash::Hash + use<> {
        let last = self.records.last().map(|last| last.encode_to_vec());
        let said = self.handing_over.as_ref().map(|said| said.encode_to_vec());
        (self.served_by, self.takeovers, self.first(), last, said)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trimaran_proto::admin::v1::classified::Class;
    use trimaran_proto::admin::v1::failover_account::Cause;
    use trimaran_proto::chain::verify;

    use super::super::{Command, QueueManager, Verdict};
    use super::*;
    use crate::types::{ObjectName, QueueManagerId, Reason, Version};

    fn all(failovers: &Failovers) -> Vec<Failover> {
        failovers.from(0).cloned().collect()
    }

    fn crash() -> FailoverAccount {
        FailoverAccount { cause: Cause::Crash.into(), ..FailoverAccount::default() }
    }

    #[test]
    fn each_service_has_a_record_that_is_sealed_to_the_one_before() {
        let mut failovers = Failovers::default();
        failovers.begin(NodeId(1), Term(2), WallTime(1_000));
        assert!(failovers.open().is_some(), "its account is to come");
        assert!(failovers.account(Term(2), crash(), false));
        assert!(failovers.open().is_some(), "it said that it will know more");
        assert!(failovers.account(Term(2), FailoverAccount::default(), true));
        assert!(!failovers.account(Term(2), FailoverAccount::default(), true), "its last word is the last");
        failovers.begin(NodeId(2), Term(4), WallTime(2_000));
        assert!(!failovers.account(Term(2), crash(), true), "of an earlier service");
        assert!(failovers.account(Term(4), crash(), false));
        // It does not live to say more.
        failovers.begin(NodeId(1), Term(5), WallTime(3_000));
        assert!(failovers.account(Term(5), crash(), true));
        let records = all(&failovers);
        assert_eq!(verify(&records), Ok(()));
        let seen: Vec<_> =
            records.iter().map(|record| (record.number, record.before, record.cause())).collect();
        assert_eq!(seen, [(1, 0, Cause::None), (2, 1, Cause::Crash), (3, 2, Cause::Crash)]);
        assert_eq!(failovers.takeovers(), 2);
    }

    #[test]
    fn a_term_is_begun_once_and_none_after_a_later_one() {
        let mut failovers = Failovers::default();
        failovers.begin(NodeId(1), Term(4), WallTime(1_000));
        let before = all(&failovers);
        failovers.begin(NodeId(2), Term(4), WallTime(2_000));
        failovers.begin(NodeId(2), Term(3), WallTime(2_000));
        assert_eq!((all(&failovers), failovers.takeovers()), (before, 0));
        assert_eq!(failovers.served_by(), Some(NodeId(1)));
    }

    #[test]
    fn a_queue_manager_of_the_first_version_keeps_no_record_whatever_its_log_says() {
        let mut manager = QueueManager::new(QueueManagerId(1), ObjectName::new("QM").unwrap());
        let begin = |term| Command::BeginTerm { leader: Some((NodeId(2), Term(term))) };
        assert_eq!(manager.apply(begin(3)).verdict, Ok(Verdict::Done));
        assert!(manager.open_failover(Term(3)).is_none());
        let account = Command::Account { term: Term(3), account: crash().into(), is_last: true };
        assert_eq!(manager.apply(account).verdict, Err(Reason::FunctionNotSupported));
        let raise = Command::Raise { to: Version::RECORDS, leader: (NodeId(2), Term(3)), by: Box::default() };
        assert_eq!(manager.apply(raise).verdict, Ok(Verdict::Done));
        assert!(manager.open_failover(Term(3)).is_some(), "records begin with it");
        assert_eq!(manager.apply(begin(3)).verdict, Ok(Verdict::Done), "and once a term");
        assert_eq!(manager.failovers(0).count(), 1);
    }

    #[test]
    fn records_of_a_store_follow_each_other_in_number_and_in_term() {
        let record = |number, term| Failover {
            number,
            term,
            seal: Bytes::from_static(b"sealed"),
            ..Failover::default()
        };
        let mut failovers = Failovers::default();
        assert_eq!(failovers.restore_record(record(7, 4)), Ok(()));
        assert!(failovers.restore_record(record(9, 5)).is_err(), "one is missing");
        assert!(failovers.restore_record(record(8, 4)).is_err(), "a term has one record");
        assert_eq!(failovers.restore_record(Failover { seal: Bytes::new(), ..record(8, 5) }), Ok(()));
        assert!(failovers.restore_record(record(9, 6)).is_err(), "only the last may be open");
    }

    #[test]
    fn what_was_announced_is_about_the_next_service_only_and_not_for_long() {
        let mut failovers = Failovers::default();
        let stops = || HandingOver { why: Why::Stop.into(), ..HandingOver::default() };
        failovers.begin(NodeId(1), Term(2), WallTime(1_000));
        failovers.announce(stops(), WallTime(5_000));
        failovers.begin(NodeId(2), Term(3), WallTime(5_000));
        failovers.begin(NodeId(1), Term(4), WallTime(5_000));
        failovers.announce(stops(), WallTime(6_000));
        failovers.begin(NodeId(2), Term(5), WallTime(6_000 + ANNOUNCED_MS_MAX + 1));
        let why: Vec<_> = all(&failovers).iter().map(Failover::why).collect();
        assert_eq!(why, [Why::None, Why::Stop, Why::None, Why::None]);
    }

    #[test]
    fn what_a_person_says_is_beside_the_record_whose_seal_stays() {
        let mut failovers = Failovers::default();
        failovers.begin(NodeId(1), Term(2), WallTime(1_000));
        failovers.begin(NodeId(2), Term(3), WallTime(2_000));
        let said = |number, because: &str| Classified {
            number,
            class: Class::Human.into(),
            because: because.into(),
            ..Classified::default()
        };
        let before = all(&failovers);
        assert_eq!(failovers.classify(said(1, "pulled the plug"), WallTime(9_000)), Some(()));
        assert_eq!(failovers.classify(said(2, "open, but known"), WallTime(9_500)), Some(()));
        assert_eq!(failovers.classify(said(3, "not yet"), WallTime(9_900)), None);
        assert_eq!(failovers.classify(said(0, "never"), WallTime(9_900)), None);
        assert_eq!(all(&failovers), before);
        assert_eq!(
            failovers.classify(said(1, "the plug fell out"), WallTime(9_990)),
            Some(()),
            "the newest counts"
        );
        let kept: Vec<_> =
            failovers.classified(0).map(|said| (said.number, said.because.as_str(), said.at_ms)).collect();
        assert_eq!(kept, [(1, "the plug fell out", 9_990), (2, "open, but known", 9_500)]);
        assert_eq!(failovers.classified(2).count(), 1);
        assert_eq!((failovers.check_classified(), verify(&all(&failovers))), (Ok(()), Ok(())));
    }

    #[test]
    fn the_oldest_go_and_numbers_go_on() {
        let mut failovers = Failovers::default();
        failovers.begin(NodeId(1), Term(1), WallTime(0));
        failovers.classify(Classified { number: 1, ..Classified::default() }, WallTime(0));
        assert!(failovers.digest_of_classified().is_some());
        for term in 2..=KEPT as u64 + 5 {
            failovers.begin(NodeId(1), Term(term), WallTime(0));
        }
        assert_eq!(failovers.digest_of_classified(), None, "what was said of one that is gone");
        assert_eq!(failovers.check_classified(), Ok(()));
        assert_eq!((failovers.first(), failovers.next()), (6, KEPT as u64 + 6));
        assert_eq!(failovers.from(KEPT as u64 + 4).count(), 2);
        assert_eq!(verify(&all(&failovers)), Ok(()));
    }
}
