//! The simulator itself: it repeats to the bit, its judges judge, and a handful of seeds keep every promise.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use trimaran_node::types::{Reason, UnitState};
use trimaran_tests::check;
use trimaran_tests::check::facts::HOLD_US_MAX;
use trimaran_tests::model::history::{Answer, Fate, History, Operation, What};
use trimaran_tests::model::tongue::Tongue;
use trimaran_tests::sim::days;
use trimaran_tests::sim::disk::{Depth, Failure};
use trimaran_tests::sim::hashes::{self, Recorded};
use trimaran_tests::sim::run::{Day, Knobs, nth_call_knobs, nth_call_runs, quiet_panics, run, run_nth_call};

fn short() -> Knobs {
    Knobs { ticks: 300, ..Knobs::default() }
}

fn calm() -> Knobs {
    Knobs { ticks: 200, faults: Vec::new(), programs: Some(6), ..Knobs::default() }
}

#[test]
fn some_seeds_keep_every_promise() {
    quiet_panics();
    for seed in 1..=12 {
        let verdict = run(seed, &short());
        assert_eq!(verdict.violation, None, "seed {seed}");
    }
}

#[test]
fn a_seed_repeats_to_the_bit_in_one_process_and_in_another() {
    quiet_panics();
    for seed in [3, 4] {
        let here = run(seed, &short()).hash;
        assert_eq!(run(seed, &short()).hash, here, "seed {seed} in this process");
        let output = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["--replay", &seed.to_string(), "--ticks", "300"])
            .output()
            .expect("the simulator starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("trace hash {here:016x}")), "seed {seed} in another process: {text}");
    }
    assert_ne!(run(3, &short()).hash, run(4, &short()).hash);
}

#[test]
fn over_the_production_stores_too_a_seed_repeats_to_the_bit() {
    quiet_panics();
    let knobs = Knobs { depth: Depth::B, ..short() };
    for seed in [5, 6] {
        let here = run(seed, &knobs);
        assert_eq!(here.violation, None, "seed {seed}");
        assert_eq!(run(seed, &knobs).hash, here.hash, "seed {seed} in this process");
        let output = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["--depth", "b", "--replay", &seed.to_string(), "--ticks", "300"])
            .output()
            .expect("the simulator starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = format!("trace hash {:016x}", here.hash);
        assert!(text.contains(&expected), "seed {seed} in another process: {text}");
    }
}

/// A node that still has what was lost with an older image of another's disk is named within a minute and counts for
/// nothing; what nobody lost is all there.
#[test]
fn a_disk_that_was_taken_back_is_found_and_nothing_else_is_lost() {
    quiet_panics();
    let mut parted = 0;
    // In the last one a message that is locked lets the one behind it go first.
    for seed in (1..=8).chain([217]) {
        let verdict = days::run(seed, &Knobs { day: Day::OldImage, ..Knobs::default() });
        assert_eq!(verdict.violation, None, "seed {seed}");
        parted += verdict.counters.marks.get("node with another history named").copied().unwrap_or(0);
    }
    assert!(parted > 0, "no seed made two histories");
}

/// Every message is reported once when it is there and once when it has left, and the harness sees where that is not so.
#[test]
fn every_message_that_asks_for_it_is_reported_once_when_it_comes_and_once_when_it_goes() {
    quiet_panics();
    let knobs = Knobs { day: Day::Reports, ticks: 500, ..Knobs::default() };
    let mut reports = 0;
    for seed in 1..=6 {
        let verdict = days::run(seed, &knobs);
        assert_eq!(verdict.violation, None, "seed {seed}");
        reports += verdict.counters.marks.get("reports").copied().unwrap_or(0);
    }
    assert!(reports > 500, "only {reports} reports");
}

/// An event of a queue's depth and the switch that it turns are one entry: none comes without the other, whoever serves.
#[test]
fn how_many_events_there_are_and_which_one_is_told_next_agree() {
    quiet_panics();
    let knobs = Knobs { day: Day::Events, ticks: 500, ..Knobs::default() };
    let mut events = 0;
    for seed in 1..=6 {
        let verdict = days::run(seed, &knobs);
        assert_eq!(verdict.violation, None, "seed {seed}");
        events += verdict.counters.marks.get("events").copied().unwrap_or(0);
    }
    assert!(events > 100, "only {events} events");
}

/// What was created is there, what was deleted is not, each answer has its change, and no address is two queue managers'.
#[test]
fn the_records_of_queue_managers_are_what_operators_were_answered() {
    quiet_panics();
    let knobs = Knobs { day: Day::Registers, ticks: 500, ..Knobs::default() };
    let (mut created, mut given_up) = (0, 0);
    for seed in 1..=6 {
        let verdict = days::run(seed, &knobs);
        assert_eq!(verdict.violation, None, "seed {seed}");
        let mark = |name: &str| verdict.counters.marks.get(name).copied().unwrap_or(0);
        created += mark("queue managers created");
        given_up += mark("addresses given up");
    }
    assert!(created > 20 && given_up > 20, "{created} created, {given_up} addresses given up");
}

/// Each command that came as a message has one answer, and what it did is there.
#[test]
fn a_command_is_answered_once_and_what_it_says_is_so() {
    quiet_panics();
    let knobs = Knobs { day: Day::Commands, ticks: 500, ..Knobs::default() };
    let mut commands = 0;
    for seed in 1..=6 {
        let verdict = days::run(seed, &knobs);
        assert_eq!(verdict.violation, None, "seed {seed}");
        commands += verdict.counters.marks.get("commands accounted for").copied().unwrap_or(0);
    }
    assert!(commands > 100, "only {commands} commands");
}

/// With assertions here; `cargo lane merge` asks a build without them for the same, `cargo lane night` a release.
#[test]
fn runs_have_the_trace_hashes_that_were_recorded() {
    quiet_panics();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/hashes.txt");
    let text = std::fs::read_to_string(&path).expect("it is part of the repository");
    let recorded = hashes::read(&text).expect("`cargo lane hashes` writes it");
    assert!(recorded.len() >= 20);
    for expected in recorded {
        let here = Recorded { hash: expected.run(&Knobs::default()), ..expected.clone() };
        assert_eq!(here, expected, "`cargo lane hashes` records a change that was meant");
    }
}

/// In these runs every second program speaks port 1414; the judges are the same.
#[test]
fn programs_on_channels_keep_every_promise_beside_those_on_grpc() {
    quiet_panics();
    let mut connected = 0;
    for seed in (1..).filter(|seed| Tongue::draw(*seed, 2).is_channel()).take(6) {
        let verdict = run(seed, &short());
        assert_eq!(verdict.violation, None, "seed {seed}");
        connected += verdict.counters.marks.get("program connected over a channel").copied().unwrap_or(0);
    }
    assert!(connected > 10, "only {connected} connections over channels");
}

#[test]
fn a_history_is_written_in_the_form_of_jepsen() {
    let edn = run(5, &calm()).history.to_edn();
    assert!(edn.lines().count() > 100);
    assert!(edn.lines().all(|line| line.starts_with("{:index ") && line.ends_with('}')));
    assert!(edn.contains(":type :ok") && edn.contains(":f :enqueue") && edn.contains(":f :dequeue"));
}

/// A calm run in which everything can be accounted for.
fn good_histories() -> Vec<History> {
    let mut histories = Vec::new();
    for seed in 1.. {
        let verdict = run(seed, &calm());
        let history = verdict.history;
        let plain_lost = history.operations.iter().any(|operation| {
            matches!(&operation.what, What::Get(get) if get.got.is_none())
                && operation.answer == Answer::Unknown
        });
        if verdict.violation.is_none() && !plain_lost && check::judge(&history).is_empty() {
            histories.push(history);
        }
        if histories.len() == 3 || seed == 40 {
            break;
        }
    }
    assert!(histories.len() >= 2, "calm runs must be good");
    histories
}

/// Operations that took a message for good which may not be lost, the only delivery of it.
fn certain_gets(history: &History) -> Vec<usize> {
    let facts = check::facts::Facts::gather(history);
    let certain = |operation: &Operation| match &operation.what {
        What::Get(get) => get.got.as_ref().is_some_and(|got| {
            let put = &facts.puts[&got.key];
            history.queues[get.queue as usize].ordered
                && facts.of(got.key).len() == 1
                && facts.of(got.key)[0].taken == check::facts::Certainty::Yes
                && put.visible == check::facts::Certainty::Yes
                && put.put.persistent
                && !put.put.expires
        }),
        _ => false,
    };
    (0..history.operations.len()).filter(|number| certain(&history.operations[*number])).take(60).collect()
}

fn flagged(history: &History, by: &[&str]) -> bool {
    check::judge(history).iter().any(|complaint| by.contains(&complaint.checker))
}

#[test]
fn a_dropped_message_is_flagged() {
    for history in good_histories() {
        let gets = certain_gets(&history);
        assert!(!gets.is_empty());
        for number in gets {
            let mut bad = history.clone();
            bad.operations[number].answer = Answer::Refused(Reason::NoMsgAvailable);
            if let What::Get(get) = &mut bad.operations[number].what {
                get.got = None;
            }
            assert!(flagged(&bad, &["lost"]), "operation {number}");
        }
    }
}

#[test]
fn a_duplicated_delivery_is_flagged() {
    for history in good_histories() {
        for number in certain_gets(&history) {
            let mut bad = history.clone();
            let mut again = bad.operations[number].clone();
            if let What::Get(get) = &mut again.what {
                get.unit = 0;
            }
            again.begun += 60_000_000;
            again.ended = again.ended.map(|ended| ended + 60_000_000);
            bad.operations.push(again);
            assert!(flagged(&bad, &["duplicate"]), "operation {number}");
        }
    }
}

#[test]
fn two_swapped_deliveries_are_flagged() {
    let mut swaps = 0;
    for history in good_histories() {
        let facts = check::facts::Facts::gather(&history);
        let gets = certain_gets(&history);
        for (place, one) in gets.iter().enumerate() {
            for other in &gets[place + 1..] {
                let (first, second) = (&history.operations[*one], &history.operations[*other]);
                let (What::Get(a), What::Get(b)) = (&first.what, &second.what) else { continue };
                let (Some(got_a), Some(got_b)) = (&a.got, &b.got) else { continue };
                let (put_a, put_b) = (&facts.puts[&got_a.key], &facts.puts[&got_b.key]);
                let apart = a.queue == b.queue
                    && !a.selective
                    && !b.selective
                    && put_a.put.priority == put_b.put.priority
                    && put_a.ended < Some(put_b.begun)
                    && put_b.ended < Some(first.begun)
                    && first.ended < Some(second.begun);
                // A message that somebody held comes later than its turn.
                let held = |from: u64, until| {
                    facts.may_have_been_held(a.queue, from.saturating_sub(HOLD_US_MAX), until)
                };
                if !apart || second.ended.is_none_or(|until| held(first.begun, until)) {
                    continue;
                }
                let mut bad = history.clone();
                let (left, right) = (got_a.clone(), got_b.clone());
                if let What::Get(get) = &mut bad.operations[*one].what {
                    get.got = Some(right);
                }
                if let What::Get(get) = &mut bad.operations[*other].what {
                    get.got = Some(left);
                }
                swaps += 1;
                assert!(flagged(&bad, &["order"]), "operations {one} and {other}");
            }
        }
    }
    assert!(swaps > 0, "no two deliveries could be swapped");
}

#[test]
fn a_split_unit_is_flagged() {
    let mut splits = 0;
    for history in good_histories() {
        let facts = check::facts::Facts::gather(&history);
        let gets: BTreeSet<usize> = certain_gets(&history).into_iter().collect();
        for number in 1..=history.units.len() as u64 {
            let members: Vec<_> = facts.puts.iter().filter(|(_, put)| put.put.unit == number).collect();
            let delivered = |key| {
                gets.iter().find(|get| match &history.operations[**get].what {
                    What::Get(get) => get.got.as_ref().is_some_and(|got| got.key == key),
                    _ => false,
                })
            };
            let seen: Vec<_> = members.iter().filter_map(|(key, _)| delivered(**key)).collect();
            if history.unit(number).map(|unit| unit.fate) != Some(Fate::Committed) || seen.len() < 2 {
                continue;
            }
            // The commit's answer was lost, and half of the unit never came.
            let mut bad = history.clone();
            bad.unit_mut(number).expect("it exists").fate = Fate::Unknown;
            bad.unit_mut(number).expect("it exists").ended = None;
            bad.operations[*seen[0]].answer = Answer::Refused(Reason::NoMsgAvailable);
            if let What::Get(get) = &mut bad.operations[*seen[0]].what {
                get.got = None;
            }
            splits += 1;
            assert!(flagged(&bad, &["unit"]), "unit {number}");
        }
    }
    assert!(splits > 0, "no unit could be split");
}

#[test]
fn a_get_before_its_put_is_flagged() {
    for history in good_histories() {
        let facts = check::facts::Facts::gather(&history);
        for number in certain_gets(&history) {
            let mut bad = history.clone();
            let What::Get(get) = &history.operations[number].what else { continue };
            let put = &facts.puts[&get.got.as_ref().expect("it is a delivery").key];
            bad.operations[number].begun = put.begun.saturating_sub(2_000);
            bad.operations[number].ended = Some(put.begun.saturating_sub(1_000));
            assert!(flagged(&bad, &["phantom", "unit"]), "operation {number}");
        }
    }
}

/// Every operation of some kind in a good history, changed as `change` likes; false leaves it alone.
fn each_changed(by: &[&str], change: impl Fn(&History, usize, &mut History) -> bool) {
    let mut changed = 0;
    for history in good_histories() {
        for number in 0..history.operations.len() {
            let mut bad = history.clone();
            if change(&history, number, &mut bad) {
                changed += 1;
                assert!(flagged(&bad, by), "operation {number}: {:?}", bad.operations[number]);
            }
            if changed == 200 {
                return;
            }
        }
    }
    assert!(changed > 0, "nothing could be changed");
}

#[test]
fn a_wrong_depth_is_flagged() {
    each_changed(&["depth"], |history, number, bad| {
        let What::Depth { queue, depth: Some(depth) } = &mut bad.operations[number].what else {
            return false;
        };
        let ordered = history.queues[*queue as usize].ordered;
        *depth += 100_000;
        ordered && history.operations[number].ended.is_some()
    });
}

#[test]
fn a_browse_that_shows_what_nobody_put_is_flagged() {
    each_changed(&["browse"], |_, number, bad| {
        let What::Browse(browse) = &mut bad.operations[number].what else { return false };
        browse.got.as_mut().map(|got| got.key.sequence += 1_000_000).is_some()
    });
}

#[test]
fn a_browse_that_shows_what_was_taken_before_is_flagged() {
    each_changed(&["browse"], |history, number, bad| {
        let (What::Browse(browse), Some(last)) =
            (&history.operations[number].what, history.operations.iter().filter_map(|all| all.ended).max())
        else {
            return false;
        };
        let facts = check::facts::Facts::gather(history);
        let Some(got) = &browse.got else { return false };
        let gone = facts.of(got.key).iter().any(|delivery| delivery.taken == check::facts::Certainty::Yes);
        (bad.operations[number].begun, bad.operations[number].ended) = (last + 1, Some(last + 2));
        gone
    });
}

#[test]
fn another_id_for_a_repeated_put_is_flagged() {
    each_changed(&["repeated put"], |history, number, bad| {
        let (What::Put(put), What::Put(other)) =
            (&mut bad.operations[number].what, &history.operations[number / 2].what)
        else {
            return false;
        };
        let Some(id) = other.ids.first().filter(|id| !put.ids.is_empty() && !put.ids.contains(id)) else {
            return false;
        };
        put.ids.push(*id);
        true
    });
}

#[test]
fn another_warning_or_group_for_a_repeated_put_is_flagged() {
    each_changed(&["repeated put"], |history, number, bad| {
        if history.may_be_stored_twice(&history.operations[number]) {
            return false;
        }
        let What::Put(put) = &mut bad.operations[number].what else { return false };
        let Some(Some((reason, in_group))) = put.told.first().copied() else { return false };
        put.told.push(None);
        put.told.push(match in_group {
            Some(_) => Some((reason, None)),
            None => Some((Reason::QFull, None)),
        });
        true
    });
}

#[test]
fn an_outcome_that_contradicts_the_commit_is_flagged() {
    each_changed(&["outcome"], |history, number, bad| {
        let operation = &history.operations[number];
        let (What::Commit { unit }, Answer::Ok) = (&operation.what, operation.answer) else { return false };
        let what = What::Outcome { unit: *unit, told: Some(UnitState::BackedOut), counted: None };
        bad.operations.push(Operation { what, ..operation.clone() });
        true
    });
}

#[test]
fn a_definition_that_lost_an_acknowledged_change_is_flagged() {
    let altered = |operation: &Operation, at: &str, attribute: &str| match &operation.what {
        What::Alter { object, changes } if object == at && operation.answer == Answer::Ok => {
            changes.iter().find(|(name, _)| name == attribute).map(|(_, value)| value.clone())
        }
        _ => None,
    };
    each_changed(&["changes"], |history, number, bad| {
        let looked = history.operations[number].begun;
        let What::Display { object, shown: Some(shown) } = &mut bad.operations[number].what else {
            return false;
        };
        let Some((name, value)) = shown.iter_mut().find(|(name, _)| name == "DESCR") else { return false };
        let given: Vec<(&Operation, String)> = history
            .operations
            .iter()
            .filter_map(|operation| Some((operation, altered(operation, object, name)?)))
            .filter(|(operation, _)| operation.ended.is_some_and(|at| at < looked))
            .collect();
        let [.., (before, old), (last, _)] = given.as_slice() else { return false };
        *value = old.clone();
        before.ended < Some(last.begun)
    });
}

#[test]
fn a_backout_count_out_of_nowhere_is_flagged() {
    each_changed(&["backout count"], |history, number, bad| {
        let What::Get(get) = &mut bad.operations[number].what else { return false };
        let ordered = history.queues[get.queue as usize].ordered;
        get.got.as_mut().map(|got| got.backout_count += 50).is_some() && ordered
    });
}

/// The first and the last call of each kind, and one between: `sim --nth-call` does every call with every failure.
fn calls_that_fail(depth: Depth) {
    quiet_panics();
    let knobs = nth_call_knobs(&Knobs { depth, ..Knobs::default() });
    let runs = nth_call_runs(1, &knobs).unwrap_or_else(|bad| panic!("{:?}", bad.violation));
    let mut ways = Failure::ALL.iter().cycle();
    for run in runs {
        for (kind, numbers) in &run.calls.0 {
            let some: BTreeSet<u64> =
                [0, numbers.len() / 2, numbers.len() - 1].map(|place| numbers[place]).into();
            for call in some {
                let how = *ways.next().expect("it never ends");
                let verdict = run_nth_call(run.seed, call, how, &knobs);
                // The hook that keeps the panics of replicas keeps this one's as well.
                println!(
                    "seed {}, {kind}, call {call} fails with {how:?}: {:?}",
                    run.seed, verdict.violation
                );
                assert_eq!(verdict.violation, None);
            }
        }
    }
}

#[test]
fn the_nth_call_to_the_disk_fails_and_no_promise_is_broken() {
    calls_that_fail(Depth::A);
}

#[test]
fn the_nth_call_of_the_production_stores_fails_and_no_promise_is_broken() {
    calls_that_fail(Depth::B);
}
