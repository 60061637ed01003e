//! `availability`: the time in which nobody served, by what it was for, against what a target allows.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use trimaran_client::proto::{admin::v1::Failover, failover::Class};

use crate::{
    arguments::{AvailabilityArgs, Global},
    failovers::{self, served_ms, span},
    output::{self, Failure, Outcome, timestamp},
    say,
};

const YEAR_MS: i64 = 365 * 24 * 3600 * 1000;

pub async fn run(global: &Global, args: AvailabilityArgs) -> Outcome {
    let records = failovers::kept(global).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
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
    let spent = Spent::of(&records, from, to);
    let allowed = Allowed::new(from, to, args.target);
    match global.json {
        true => say!("{}", as_json(&spent, &allowed, from, to, args.target)),
        false => show(&spent, &allowed, from, to, args.target),
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
}

impl Spent {
    /// Of each record the part that lies in between.
    fn of(records: &[Failover], from: i64, to: i64) -> Spent {
        let mut by_class = Class::ALL.map(|class| (class, 0, 0));
        let mut unknown = 0;
        // With the first one the time began that is known of.
        for record in records.iter().filter(|record| record.number > 1) {
            let until = served_ms(record);
            let since_us = until * 1000 - record.outage_us() as i64;
            let (first, last) = (since_us.max(from * 1000), (until * 1000).min(to * 1000));
            if !(from..=to).contains(&until) && last <= first {
                continue;
            }
            unknown += u64::from(record.account.is_none());
            let of = by_class.iter_mut().find(|(class, ..)| *class == record.class()).expect("all are there");
            of.1 += (last - first).max(0) as u64;
            of.2 += 1;
        }
        Spent { by_class, unknown }
    }

    fn all(&self) -> u64 {
        self.by_class.iter().map(|(_, us, _)| us).sum()
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
        say!(
            "Of {} of them nobody knows how long they took: the node that served ended too soon to say it.",
            spent.unknown
        );
    }
}

fn as_json(spent: &Spent, allowed: &Allowed, from: i64, to: i64, target: f64) -> Value {
    let of = |(class, us, times): &(Class, u64, u64)| json!({ "class": class.word(), "times": times, "spent_us": us, "allowed_us": allowed.of(*class) });
    json!({
        "from": timestamp(from), "to": timestamp(to), "target": target, "available": available(spent, from, to),
        "spent_us": spent.all(), "allowed_us": allowed.all(), "unknown": spent.unknown,
        "classes": spent.by_class.iter().map(of).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use trimaran_client::proto::admin::v1::{
        FailoverAccount, HandingOver, Moment, failover_account::Cause, handing_over::Why, moment::Step,
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
        let planned = HandingOver { why: Why::Move.into(), ..HandingOver::default() };
        let records = [
            record(1, 1_000, 900, Cause::Start),
            record(2, 10_000, 300, Cause::Crash),
            Failover { planned: Some(planned), ..record(3, 20_000, 50, Cause::Planned) },
            record(4, 30_000, 2_000, Cause::Unreachable),
        ];
        let spent = Spent::of(&records, 1_000, 29_000);
        assert_eq!(spent.all(), 300_000 + 50_000 + 1_000_000, "of the last one, what is in front of the end");
        let of =
            |class| spent.by_class.iter().find(|(of, ..)| *of == class).map(|(_, us, times)| (*us, *times));
        assert_eq!(of(Class::Software), Some((300_000, 1)));
        assert_eq!(of(Class::Planned), Some((50_000, 1)));
        let allowed = Allowed::new(0, YEAR_MS, 99.99);
        assert_eq!(span(allowed.all()), "52.6 min");
    }
}
