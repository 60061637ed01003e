//! A message that asks for it is confirmed once when it is on its queue, and once when it leaves it for good, whether somebody
//! got it or its time was over; one that was never there is not.
//!
//! Looked at when every queue is drained, so that it need not be known who took what. Reports lie on a queue of their own.

use std::collections::BTreeMap;

use super::Complaint;
use super::facts::{Certainty, Facts, name};
use crate::model::body::BodyKey;
use crate::model::history::{History, Report};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    arrivals: u32,
    departures: u32,
}

pub fn check(history: &History) -> Vec<Complaint> {
    let Some(reports) = &history.reports else { return Vec::new() };
    let mut told: BTreeMap<BodyKey, Told> = BTreeMap::new();
    for Report { about, is_arrival } in reports {
        let told = told.entry(*about).or_default();
        *if *is_arrival { &mut told.arrivals } else { &mut told.departures } += 1;
    }
    let facts = Facts::gather(history);
    let complaint = |sentence| Complaint::new("reports", sentence);
    let mut complaints = Vec::new();
    for about in told.keys().filter(|about| !facts.puts.contains_key(about)) {
        complaints.push(complaint(format!("{} was reported and nobody put it", name(*about))));
    }
    for (key, fact) in facts.puts.iter().filter(|(_, fact)| !fact.perhaps_twice) {
        let Told { arrivals, departures } = told.get(key).copied().unwrap_or_default();
        let fits = match (fact.put.persistent, fact.visible) {
            (_, Certainty::No) => (arrivals, departures) == (0, 0),
            (true, Certainty::Yes) => (arrivals, departures) == (1, 1),
            (true, Certainty::Maybe) => arrivals == departures && arrivals <= 1,
            // It may have gone with its node, and so may its reports.
            (false, _) => arrivals <= 1 && departures <= 1,
        };
        if !fits {
            let visible = match fact.visible {
                Certainty::Yes => "was put",
                Certainty::Maybe => "may have been put",
                Certainty::No => "was not put",
            };
            complaints.push(complaint(format!(
                "{} {visible}; its arrival was reported {arrivals} times, and that it left {departures} times",
                name(*key)
            )));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::history::{Answer, Put, QueueFacts, What};
    use trimaran_node::types::Reason;

    fn key(sequence: u32) -> BodyKey {
        BodyKey { producer: 1, sequence }
    }

    /// What is said of a put with this answer and these reports.
    fn complaints(answer: Answer, persistent: bool, reports: &[bool]) -> usize {
        let mut history = History { queues: vec![QueueFacts::default()], ..History::default() };
        let put = Put {
            key: key(1),
            queue: 0,
            priority: 0,
            persistent,
            expires: false,
            unit: 0,
            producer_sequence: None,
            repeats: 0,
            ids: Vec::new(),
            told: Vec::new(),
            unjudged: false,
        };
        let operation = history.begin(1, 1, 0, What::Put(put));
        history.operations[operation].answer = answer;
        let report = |is_arrival: &bool| Report { about: key(1), is_arrival: *is_arrival };
        history.reports = Some(reports.iter().map(report).collect());
        check(&history).len()
    }

    #[test]
    fn a_message_that_was_there_is_reported_twice_and_one_that_was_not_never() {
        let (put, unknown, refused) = (Answer::Ok, Answer::Unknown, Answer::Refused(Reason::QFull));
        for (answer, persistent, reports, complaints_expected) in [
            (put, true, &[true, false][..], 0),
            (put, true, &[true], 1),
            (put, true, &[false], 1),
            (put, true, &[], 1),
            (put, true, &[true, true, false], 1),
            (put, true, &[true, false, false], 1),
            (unknown, true, &[], 0),
            (unknown, true, &[false, true], 0),
            (unknown, true, &[true], 1),
            (unknown, true, &[true, true, false, false], 1),
            (refused, true, &[], 0),
            (refused, true, &[true, false], 1),
            (put, false, &[true], 0),
            (put, false, &[true, true], 1),
        ] {
            let found = complaints(answer, persistent, reports);
            assert_eq!(found, complaints_expected, "{answer:?} {persistent} {reports:?}");
        }
    }

    #[test]
    fn what_nobody_put_is_not_reported_and_runs_without_reports_are_not_judged() {
        let mut history = History::default();
        assert_eq!(check(&history), []);
        history.reports = Some(vec![Report { about: key(7), is_arrival: true }]);
        assert_eq!(check(&history).len(), 1);
    }
}
