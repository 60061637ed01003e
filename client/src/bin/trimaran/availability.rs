//! `availability`: the time in which nobody served, by what it was for, against what a target allows; and what canaries saw.

use serde_json::{Value, json};
use trimaran_client::{
    KeptFailovers,
    proto::{admin::v1::Canary, failover::Class},
};

use crate::{
    arguments::{AvailabilityArgs, Global},
    failovers::{self, served_ms, span},
    output::{self, Failure, Outcome, timestamp},
    say,
    talk::plural,
};

const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;
/// Good rounds of canaries are so far apart at most, and a while for whoever asks.
const GOOD_APART_MS: i64 = 5_000;

pub async fn run(global: &Global, args: AvailabilityArgs) -> Outcome {
    let (kept, unserved_since) = failovers::kept_and_unserved(global).await?;
    let records = &kept.records;
    let now = failovers::now_ms();
    let to = args.to.unwrap_or(now).min(now);
    let begun = records.first().map_or(to, |first| served_ms(first).min(to));
    let from = args.from.unwrap_or((to - YEAR_MS).max(begun));
    if from >= to {
        return Err(Failure::Usage(format!(
            "nothing lies between {} and {}",
            timestamp(from),
            timestamp(to)
        )));
    }
    let mut spent = Spent::of(&kept, from, to);
    spent.add_under_way(unserved_since.filter(|_| !records.is_empty()), now, from, to);
    let seen = kept.canary.as_ref().map(|canary| Seen::of(canary, from, to));
    let allowed = Allowed::new(from, to, args.target);
    match global.json {
        true => say!("{}", as_json(&spent, seen.as_ref(), &allowed, from, to, args.target)),
        false => {
            show(&spent, &allowed, from, to, args.target);
            say!(
                "{}",
                seen.map_or("No canary watches (`canary = true` in the cluster file).".into(), |seen| seen
                    .in_words(to))
            );
        }
    }
    if begun > from && !global.json {
        say!("The first record that is kept is of {}: what was before nobody knows.", timestamp(begun));
    }
    match args.check && spent.all() > allowed.all() {
        true => {
            let (spent, allowed) = (span(spent.all()), span(allowed.all()));
            Err(Failure::Check(format!("nobody served for {spent}; the target allows {allowed}")))
        }
        false => Ok(()),
    }
}

/// Microseconds by class.
struct Spent {
    by_class: [(Class, u64, u64); 5],
    /// Records without an account, whose time nobody knows.
    unknown: u64,
    /// Nobody serves since then, milliseconds since 1970: counted, too, and there is no record yet.
    under_way: Option<i64>,
}

/// What goes on counts as this until its record says what it was: as long as nobody is elected there is no majority.
const UNDER_WAY: Class = Class::Environment;

impl Spent {
    /// Of each record the part that lies in between.
    fn of(kept: &KeptFailovers, from: i64, to: i64) -> Spent {
        let mut by_class = Class::ALL.map(|class| (class, 0, 0));
        let mut unknown = 0;
        // With the first one the time began that is known of.
        for record in kept.records.iter().filter(|record| record.number > 1) {
            let until = served_ms(record);
            let since_us = until * 1000 - record.outage_us() as i64;
            let (first, last) = (since_us.max(from * 1000), (until * 1000).min(to * 1000));
            if !(from..=to).contains(&until) && last <= first {
                continue;
            }
            unknown += u64::from(record.account.is_none());
            let counts_as = kept.class_of(record);
            let of = by_class.iter_mut().find(|(class, ..)| *class == counts_as).expect("all are there");
            of.1 += (last - first).max(0) as u64;
            of.2 += 1;
        }
        Spent { by_class, unknown, under_way: None }
    }

    /// Of what goes on `now`, the part that lies in between.
    fn add_under_way(&mut self, since: Option<i64>, now: i64, from: i64, to: i64) {
        let Some(since) = since.filter(|since| *since.max(&from) < now.min(to)) else { return };
        self.under_way = Some(since);
        let of = self.by_class.iter_mut().find(|(class, ..)| *class == UNDER_WAY).expect("all are there");
        of.1 += (now.min(to) - since.max(from)) as u64 * 1000;
        of.2 += 1;
    }

    fn all(&self) -> u64 {
        self.by_class.iter().map(|(_, us, _)| us).sum()
    }
}

/// What canaries saw between two times, in milliseconds.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    since: i64,
    times: u64,
    down: i64,
    /// In which nobody watched, since the first round.
    unwatched: i64,
    /// The newest good round.
    good: i64,
    lapsed: bool,
}

impl Seen {
    fn of(canary: &Canary, from: i64, to: i64) -> Seen {
        let Canary { since_ms: since, good_ms: good, lapsed, .. } = *canary;
        let mut seen = Seen { since, times: 0, down: 0, unwatched: 0, good, lapsed };
        for gap in &canary.gaps {
            let ms = (gap.to_ms.min(to) - gap.from_ms.max(from)).max(0);
            match gap.unwatched {
                true => seen.unwatched += ms,
                false => {
                    seen.times += u64::from(ms > 0);
                    seen.down += ms;
                }
            }
        }
        seen
    }

    fn in_words(&self, to: i64) -> String {
        let ms = |ms: i64| span(ms.max(0) as u64 * 1000);
        let mut words = format!(
            "Canaries watch since {}: none got through for {} in {} {}",
            timestamp(self.since),
            ms(self.down),
            self.times,
            plural(self.times, "gap")
        );
        if self.unwatched > 0 {
            words += &format!("; for {} none watched", ms(self.unwatched));
        }
        words
            + &match (self.lapsed, to - self.good > GOOD_APART_MS) {
                (true, _) => format!(". Since {} none was heard of.", timestamp(self.good)),
                (false, true) => format!(". The last that got through did so at {}.", timestamp(self.good)),
                (false, false) => ".".to_owned(),
            }
    }

    fn as_json(&self) -> Value {
        json!({
            "since": timestamp(self.since), "times": self.times, "down_us": self.down * 1000,
            "unwatched_us": self.unwatched * 1000, "good": timestamp(self.good), "lapsed": self.lapsed,
        })
    }
}

/// What a target leaves, in microseconds.
struct Allowed(u64);

impl Allowed {
    fn new(from: i64, to: i64, target: f64) -> Allowed {
        Allowed(((to - from) as f64 * 1000.0 * (100.0 - target) / 100.0) as u64)
    }

    fn all(&self) -> u64 {
        self.0
    }

    fn of(&self, class: Class) -> u64 {
        self.0 / 100 * u64::from(class.share())
    }
}

fn available(spent: &Spent, from: i64, to: i64) -> f64 {
    100.0 - 100.0 * spent.all() as f64 / ((to - from) as f64 * 1000.0)
}

fn left(spent: u64, allowed: u64) -> String {
    match allowed.checked_sub(spent) {
        Some(left) => span(left),
        None => format!("{} too much", span(spent - allowed)),
    }
}

fn show(spent: &Spent, allowed: &Allowed, from: i64, to: i64, target: f64) {
    say!(
        "From {} to {}: {:.5} % (target {target} %)",
        timestamp(from),
        timestamp(to),
        available(spent, from, to)
    );
    let row = |(class, us, times): &(Class, u64, u64)| {
        let may = allowed.of(*class);
        vec![class.to_string(), times.to_string(), span(*us), span(may), left(*us, may)]
    };
    let mut rows: Vec<Vec<String>> = spent.by_class.iter().map(row).collect();
    let times: u64 = spent.by_class.iter().map(|(.., times)| times).sum();
    let (all, may) = (spent.all(), allowed.all());
    rows.push(vec!["all".into(), times.to_string(), span(all), span(may), left(all, may)]);
    output::table(&["CLASS", "TIMES", "NOBODY SERVED", "ALLOWED", "LEFT"], &rows);
    if spent.unknown > 0 {
        say!("Of {} of them nobody knows how long they took: no record says it.", spent.unknown);
    }
    if let Some(since) = spent.under_way {
        say!(
            "Nobody serves since {}: that is counted, as {UNDER_WAY} until its record says what it was.",
            timestamp(since)
        );
    }
}

fn as_json(spent: &Spent, seen: Option<&Seen>, allowed: &Allowed, from: i64, to: i64, target: f64) -> Value {
    let of = |(class, us, times): &(Class, u64, u64)| json!({ "class": class.word(), "times": times, "spent_us": us, "allowed_us": allowed.of(*class) });
    json!({
        "from": timestamp(from), "to": timestamp(to), "target": target, "available": available(spent, from, to),
        "spent_us": spent.all(), "allowed_us": allowed.all(), "unknown": spent.unknown,
        "unserved_since": spent.under_way.map(timestamp),
        "canary": seen.map(Seen::as_json),
        "classes": spent.by_class.iter().map(of).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use trimaran_client::proto::admin::v1::{
        CanaryGap, Classified, Failover, FailoverAccount, HandingOver, Moment, classified,
        failover_account::Cause, handing_over::Why, moment::Step,
    };

    use super::*;

    fn record(number: u64, served_ms: i64, out_ms: u64, cause: Cause) -> Failover {
        let moments = vec![Moment { step: Step::Serves.into(), after_us: out_ms * 1000 }];
        let account =
            FailoverAccount { cause: cause.into(), served_ms, moments, ..FailoverAccount::default() };
        Failover { number, node: 1, account: Some(account), ..Failover::default() }
    }

    #[test]
    fn what_lies_outside_is_not_counted_and_the_first_record_begins_the_time() {
        let planned = HandingOver { why: Why::Move.into(), at_ms: 19_950, ..HandingOver::default() };
        let records = [
            record(1, 1_000, 900, Cause::Start),
            record(2, 10_000, 300, Cause::Crash),
            Failover { planned: Some(planned), ..record(3, 20_000, 50, Cause::Planned) },
            record(4, 30_000, 2_000, Cause::Unreachable),
        ];
        let mut kept = KeptFailovers { records: records.into(), ..KeptFailovers::default() };
        let spent = Spent::of(&kept, 1_000, 29_000);
        assert_eq!(spent.all(), 300_000 + 50_000 + 1_000_000, "of the last one, what is in front of the end");
        let of =
            |class| spent.by_class.iter().find(|(of, ..)| *of == class).map(|(_, us, times)| (*us, *times));
        assert_eq!(of(Class::Software), Some((300_000, 1)));
        assert_eq!(of(Class::Planned), Some((50_000, 1)));
        let allowed = Allowed::new(0, YEAR_MS, 99.99);
        assert_eq!(span(allowed.all()), "52.6 min");
        let said = Classified { number: 2, class: classified::Class::Human.into(), ..Classified::default() };
        kept.classified.push(said);
        let spent = Spent::of(&kept, 1_000, 29_000);
        assert_eq!(
            spent.by_class.iter().find(|(of, ..)| *of == Class::Human),
            Some(&(Class::Human, 300_000, 1))
        );
    }

    #[test]
    fn an_outage_that_goes_on_is_counted_before_it_has_a_record() {
        let kept =
            KeptFailovers { records: vec![record(1, 1_000, 900, Cause::Start)], ..KeptFailovers::default() };
        let of = |since, from, to| {
            let mut spent = Spent::of(&kept, from, to);
            spent.add_under_way(since, 60_000, from, to);
            (spent.all(), spent.under_way)
        };
        assert_eq!(of(Some(50_000), 1_000, 60_000), (10_000_000, Some(50_000)));
        assert_eq!(of(Some(50_000), 55_000, 58_000), (3_000_000, Some(50_000)), "what lies in between");
        assert_eq!(of(Some(50_000), 1_000, 40_000), (0, None), "that was before");
        assert_eq!(of(None, 1_000, 60_000), (0, None));
    }

    #[test]
    fn what_canaries_saw_is_told_of_the_time_that_is_asked_for() {
        let gap = |from_ms, to_ms, unwatched| CanaryGap { from_ms, to_ms, unwatched, node: 1 };
        let canary = Canary {
            since_ms: 1_000,
            good_ms: 99_000,
            gaps: vec![gap(10_000, 13_000, false), gap(20_000, 80_000, true), gap(90_000, 96_000, false)],
            ..Canary::default()
        };
        let seen = Seen::of(&canary, 11_000, 94_000);
        assert_eq!((seen.times, seen.down, seen.unwatched), (2, 6_000, 60_000));
        let words = Seen::of(&canary, 0, 100_000).in_words(100_000);
        assert!(
            words.contains("none got through for 9.00 s in 2 gaps; for 60.00 s none watched."),
            "{words}"
        );
        let words = Seen::of(&canary, 0, 110_000).in_words(110_000);
        assert!(words.contains(". The last that got through did so at "), "{words}");
    }
}
