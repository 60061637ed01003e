//! The simulator as a command: many seeds, one seed again, or a planted bug until it is found.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use trimaran_tests::sim::days;
use trimaran_tests::sim::disk::{self, Depth, Failure};
use trimaran_tests::sim::hashes::{self, Recorded};
use trimaran_tests::sim::report::{self, Summary};
use trimaran_tests::sim::run::{self, Day, Knobs, Planted};
use trimaran_tests::sim::schedule::Fault;
use trimaran_tests::sim::shrink;
use trimaran_tests::sim::world::Violation;

/// A run is millions of small allocations, and runs go on in parallel.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(
    about = "Drives the production replicas through bad days in virtual time, and checks every promise",
    after_help = "\
  sim --seeds 1000                    a thousand days, and what they did
  sim --depth b --seeds 50            the same over the production stores
  sim --old-image --seeds 50          days on which a disk is taken back to an older image
  sim --reports --seeds 50            days on which every message asks for reports
  sim --events --seeds 50             days on which each queue tells when it is high and when it is low
  sim --commands --seeds 50           days on which programs administer by messages in PCF
  sim --registers --seeds 50          days on which queue managers are created, given addresses and deleted
  sim --replay 88213                  one of them again, with its last actions when it fails
  sim --replay 88213 --trace          every event and action of it
  sim --replay 88213 --shrink         the smallest run that still breaks the same promise
  sim --planted all                   how many seeds each known bug takes (build with --features planted-bugs)
  sim --nth-call                      every call to a node's disk fails, one run each, in every way
  sim --expect-hashes tests/seeds/hashes.txt
                                      runs are the same to the bit in this build; `cargo lane hashes` rewrites them
Exit status: 0 all promises kept; 1 one was broken; 2 something that should happen in every set of runs never did."
)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// The first seed.
    #[arg(long, alias = "first", default_value_t = 1)]
    from: u64,
    /// Where the stores are. a: in memory, with honest rules for what a crash leaves; b: the production log over a
    /// file system that forgets, and the production message store.
    #[arg(long, value_enum, default_value_t = DepthName::A)]
    depth: DepthName,
    /// Ticks of 10 ms of virtual time under faults; set-up, healing and drain come on top.
    #[arg(long, default_value_t = 2000)]
    ticks: u64,
    /// Threads; one for each core unless told otherwise.
    #[arg(long)]
    jobs: Option<usize>,
    /// New seeds for ever, until one fails.
    #[arg(long)]
    until_told: bool,
    /// Name of a planted bug, or "all": counts the seeds until it is found.
    #[arg(long, num_args = 0..=1, default_missing_value = "all")]
    planted: Option<String>,
    /// Runs one seed and tells everything about it.
    #[arg(long)]
    replay: Option<u64>,
    /// Days of another kind: a disk is taken back to an older image while nobody is there who knows better.
    #[arg(long)]
    old_image: bool,
    /// Days of another kind: every message asks for reports.
    #[arg(long, conflicts_with = "old_image")]
    reports: bool,
    /// Days of another kind: each queue tells when it is high and when it is low.
    #[arg(long, conflicts_with_all = ["old_image", "reports"])]
    events: bool,
    /// Days of another kind: queue managers are created, given addresses and deleted.
    #[arg(long, conflicts_with_all = ["old_image", "reports", "events"])]
    registers: bool,
    /// Days of another kind: programs administer by messages.
    #[arg(long, conflicts_with_all = ["old_image", "reports", "events", "registers"])]
    commands: bool,
    /// With --replay: prints every event and every action.
    #[arg(long)]
    trace: bool,
    /// With --replay: makes a failing run smaller.
    #[arg(long)]
    shrink: bool,
    /// Programs of each queue manager, instead of what the seed says.
    #[arg(long)]
    programs: Option<u64>,
    /// Only these kinds of faults, by their names, separated by commas.
    #[arg(long, value_delimiter = ',')]
    faults: Option<Vec<String>>,
    /// Lets every single call to a node's disk fail in every way, one run each: all calls of the short run of this seed,
    /// and those of the next seeds' runs that are of another kind, until every kind was there.
    #[arg(long, value_name = "SEED", num_args = 0..=1, default_missing_value = "1")]
    nth_call: Option<u64>,
    /// With --nth-call: only this one, as a failing one prints it, such as 148:error.
    #[arg(long, value_name = "NUMBER:FAILURE", value_parser = parse_call)]
    call: Option<(u64, Failure)>,
    /// Writes the trace hashes of these seeds to this file, of depth A and of every fifth of depth B.
    #[arg(long, value_name = "FILE")]
    write_hashes: Option<PathBuf>,
    /// Repeats the runs of this file and fails where a trace hash is another: a run is the same to the bit, whatever
    /// built it and wherever it goes on.
    #[arg(long, value_name = "FILE")]
    expect_hashes: Option<PathBuf>,
    /// With --replay: writes the history in Jepsen's EDN form to this file.
    #[arg(long)]
    edn: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DepthName {
    #[value(alias = "memory")]
    A,
    #[value(alias = "disk")]
    B,
}

impl From<DepthName> for Depth {
    fn from(name: DepthName) -> Depth {
        match name {
            DepthName::A => Depth::A,
            DepthName::B => Depth::B,
        }
    }
}

/// Lines of the trace that a failing run shows.
const LAST_LINES: usize = 60;
const SHRINK_TRIES: u64 = 60;
/// A planted bug that takes longer than this counts as missed.
const HUNT_MAX: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let knobs = match knobs(&arguments) {
        Ok(knobs) => knobs,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(64);
        }
    };
    run::quiet_panics();
    if let Some(seed) = arguments.nth_call {
        return nth_call(seed, &arguments, &knobs);
    }
    if let Some(path) = &arguments.write_hashes {
        return write_hashes(path, &arguments, &knobs);
    }
    if let Some(path) = &arguments.expect_hashes {
        return expect_hashes(path, &arguments, &knobs);
    }
    match (&arguments.planted, arguments.replay) {
        (Some(name), None) => hunt(name, &arguments, &knobs),
        (_, Some(seed)) => replay(seed, &arguments, &knobs),
        (None, None) => many(&arguments, &knobs),
    }
}

fn knobs(arguments: &Arguments) -> Result<Knobs, String> {
    let mut faults = Fault::ALL.to_vec();
    if let Some(names) = &arguments.faults {
        faults.clear();
        for name in names {
            let fault = Fault::ALL.iter().find(|fault| fault.name() == name).ok_or_else(|| {
                let known: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                format!("there is no fault \"{name}\"; there are: {}", known.join(", "))
            })?;
            faults.push(*fault);
        }
    }
    let planted = match &arguments.planted {
        Some(name) if arguments.replay.is_some() => {
            Some(Planted::from_name(name).ok_or_else(|| format!("there is no planted bug \"{name}\""))?)
        }
        _ => None,
    };
    let day = match planted {
        Some(planted) => planted.day(),
        None if arguments.old_image => Day::OldImage,
        None if arguments.reports => Day::Reports,
        None if arguments.events => Day::Events,
        None if arguments.registers => Day::Registers,
        None if arguments.commands => Day::Commands,
        None => Day::Any,
    };
    let (depth, ticks, programs) = (arguments.depth.into(), arguments.ticks, arguments.programs);
    Ok(Knobs { depth, ticks, programs, faults, planted, day, ..Knobs::default() })
}

/// The one command that repeats a run.
fn command(seed: u64, knobs: &Knobs) -> String {
    let mut text =
        format!("cargo run -q -p trimaran-tests --bin sim -- --replay {seed} --ticks {}", knobs.ticks);
    if knobs.depth == Depth::B {
        text.push_str(" --depth b");
    }
    if knobs.day == Day::OldImage && knobs.planted.is_none() {
        text.push_str(" --old-image");
    }
    if knobs.day == Day::Reports {
        text.push_str(" --reports");
    }
    if knobs.day == Day::Events {
        text.push_str(" --events");
    }
    if knobs.day == Day::Registers && knobs.planted.is_none() {
        text.push_str(" --registers");
    }
    if knobs.day == Day::Commands && knobs.planted.is_none() {
        text.push_str(" --commands");
    }
    if let Some(programs) = knobs.programs {
        text.push_str(&format!(" --programs {programs}"));
    }
    if let Some(planted) = knobs.planted {
        text.push_str(&format!(" --planted {}", planted.name()));
        text = text.replace("-p trimaran-tests", "-p trimaran-tests --features planted-bugs");
    }
    if knobs.faults.len() < Fault::ALL.len() {
        let names: Vec<&str> = knobs.faults.iter().map(|fault| fault.name()).collect();
        text.push_str(&format!(" --faults \"{}\"", names.join(",")));
    }
    text
}

fn many(arguments: &Arguments, knobs: &Knobs) -> ExitCode {
    let end = if arguments.until_told { u64::MAX } else { arguments.from + arguments.seeds };
    let summary = Mutex::new(Summary::default());
    let begun = Instant::now();
    in_parallel(arguments, arguments.from..end, |seed| {
        let verdict = days::run(seed, knobs);
        let mut summary = summary.lock().expect("no thread panics with it");
        summary.add(&verdict);
        if summary.runs.is_multiple_of(500) {
            eprintln!("{} runs, {} failed", summary.runs, summary.failures.len());
        }
        if verdict.violation.is_none() {
            return true;
        }
        // Once more, for its last actions.
        let again = days::run(seed, &Knobs { lines: LAST_LINES, ..knobs.clone() });
        println!("{}", report::failure(&again, &command(seed, knobs)));
        // A handful of failures says it all; more would only scroll it away.
        !arguments.until_told && summary.failures.len() < 20
    });
    let summary = summary.into_inner().expect("no thread panics with it");
    println!("{}", summary.text(begun.elapsed()));
    let never = if knobs.faults.len() == Fault::ALL.len() && knobs.day == Day::Any {
        summary.never_hit(&knobs.faults)
    } else {
        Vec::new()
    };
    if !never.is_empty() {
        println!("never happened, so these runs prove nothing about it: {}", never.join(", "));
    }
    if let Some((seed, _)) = summary.failures.first() {
        for (seed, sentence) in &summary.failures {
            println!("seed {seed}: {sentence}");
        }
        println!("again: {}", command(*seed, knobs));
        return ExitCode::FAILURE;
    }
    if never.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// Does the work for each number, on as many threads as were asked for, in order; false ends it.
fn in_parallel(arguments: &Arguments, numbers: Range<u64>, work: impl Fn(u64) -> bool + Sync) {
    let jobs = arguments.jobs.unwrap_or_else(cores).max(1);
    let next = AtomicU64::new(numbers.start);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    if !work(number) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn replay(seed: u64, arguments: &Arguments, knobs: &Knobs) -> ExitCode {
    let begun = Instant::now();
    let shown = Knobs { lines: LAST_LINES, print: arguments.trace, ..knobs.clone() };
    let verdict = days::run(seed, &shown);
    if let Some(path) = &arguments.edn
        && let Err(error) = std::fs::write(path, verdict.history.to_edn())
    {
        eprintln!("write the history to {}: {error}", path.display());
    }
    let mut summary = Summary::default();
    summary.add(&verdict);
    println!("{}", summary.text(begun.elapsed()));
    println!("trace hash {:016x}", verdict.hash);
    if verdict.violation.is_none() {
        println!("seed {seed} keeps every promise");
        return ExitCode::SUCCESS;
    }
    println!("{}", report::failure(&verdict, &command(seed, knobs)));
    if arguments.shrink {
        let shrunk = shrink::shrink(seed, &shown, verdict, SHRINK_TRIES);
        println!("after {} tries the smallest run that breaks the same promise:", shrunk.tries);
        println!("{}", report::failure(&shrunk.verdict, &command(seed, &shrunk.knobs)));
    }
    ExitCode::FAILURE
}

/// Every call to node 1's disk in a run in which nodes lose their disks, failing in every way: whatever fails, no
/// promise is broken.
fn nth_call(from: u64, arguments: &Arguments, knobs: &Knobs) -> ExitCode {
    let knobs = run::nth_call_knobs(knobs);
    if let Some((call, how)) = arguments.call {
        let knobs = Knobs { lines: LAST_LINES, print: arguments.trace, ..knobs };
        let verdict = run::run_nth_call(from, call, how, &knobs);
        println!("{}", report::failure(&verdict, &call_command(from, call, how, knobs.depth)));
        return if verdict.violation.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let runs = match run::nth_call_runs(from, &knobs) {
        Ok(runs) => runs,
        Err(verdict) => {
            println!("{}", report::failure(&verdict, &format!("sim --nth-call {}", verdict.seed)));
            return ExitCode::FAILURE;
        }
    };
    let mut failures = Vec::new();
    for run in &runs {
        for (kind, numbers) in &run.calls.0 {
            println!("seed {}: {:>6} calls \"{kind}\"", run.seed, numbers.len());
            let each = numbers.iter().flat_map(|number| Failure::ALL.map(|how| (run.seed, *number, how)));
            failures.extend(each);
        }
    }
    let total = failures.len();
    let ways = Failure::ALL.len();
    println!("{} calls to the disk of node 1, each failing in {ways} ways", total / ways);
    let begun = Instant::now();
    let summary = Mutex::new(Summary::default());
    in_parallel(arguments, 0..total as u64, |place| {
        let (seed, call, how) = failures[place as usize];
        let verdict = run::run_nth_call(seed, call, how, &knobs);
        let mut summary = summary.lock().expect("no thread panics with it");
        summary.add(&verdict);
        if summary.runs.is_multiple_of(1000) {
            eprintln!("{} runs of {total}, {} failed", summary.runs, summary.failures.len());
        }
        if let Some(violation) = &verdict.violation {
            println!("seed {seed}, call {call}, {how:?}: {}: {}", violation.checker, violation.sentence);
            println!("  again: {}", call_command(seed, call, how, knobs.depth));
        }
        summary.failures.len() < 20
    });
    let summary = summary.into_inner().expect("no thread panics with it");
    println!(
        "{} runs, {} failed, in {:.1} s",
        summary.runs,
        summary.failures.len(),
        begun.elapsed().as_secs_f64()
    );
    let mut missed = false;
    for kind in disk::calls(knobs.depth) {
        let count = summary.counters.marks.get(kind).copied().unwrap_or(0);
        missed |= count == 0;
        println!("  {count:>6} failures that ended something: \"{kind}\"");
    }
    match (summary.failures.is_empty(), missed) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(2),
        (true, false) => ExitCode::SUCCESS,
    }
}

fn call_command(seed: u64, call: u64, how: Failure, depth: Depth) -> String {
    let how = format!("{how:?}").to_lowercase();
    let deep = if depth == Depth::B { " --depth b" } else { "" };
    format!("cargo run -q -p trimaran-tests --bin sim -- --nth-call {seed} --call {call}:{how}{deep}")
}

/// `148:error`
fn parse_call(text: &str) -> Result<(u64, Failure), String> {
    let (number, how) = text.split_once(':').ok_or("a number and a failure, such as 148:error")?;
    let number = number.parse().map_err(|_| format!("{number} is not the number of a call"))?;
    let named = |failure: &&Failure| format!("{failure:?}").eq_ignore_ascii_case(how);
    let failure =
        Failure::ALL.iter().find(named).ok_or("failures are error, nospace, shortwrite and crash")?;
    Ok((number, *failure))
}

/// Depth, seed, ticks and hash, a line each; of depth B one for every five.
fn write_hashes(path: &Path, arguments: &Arguments, knobs: &Knobs) -> ExitCode {
    let mut runs: Vec<Recorded> = Vec::new();
    for (depth, seeds) in [(Depth::A, arguments.seeds), (Depth::B, arguments.seeds.div_ceil(5))] {
        let seeds = arguments.from..arguments.from + seeds;
        runs.extend(seeds.map(|seed| Recorded { depth, seed, ticks: arguments.ticks, hash: 0 }));
    }
    let hashes = Mutex::new(BTreeMap::new());
    in_parallel(arguments, 0..runs.len() as u64, |place| {
        let hash = runs[place as usize].run(knobs);
        hashes.lock().expect("no thread panics with it").insert(place, hash);
        true
    });
    for (place, hash) in hashes.into_inner().expect("no thread panics with it") {
        runs[place as usize].hash = hash;
    }
    match std::fs::write(path, hashes::write(&runs)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("write the hashes to {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn expect_hashes(path: &Path, arguments: &Arguments, knobs: &Knobs) -> ExitCode {
    let recorded =
        std::fs::read_to_string(path).map_err(|error| error.to_string()).and_then(|text| hashes::read(&text));
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(error) => {
            eprintln!("read {}, which --write-hashes writes: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let different = AtomicU64::new(0);
    in_parallel(arguments, 0..recorded.len() as u64, |place| {
        let expected = &recorded[place as usize];
        let here = expected.run(knobs);
        if here != expected.hash {
            different.fetch_add(1, Ordering::Relaxed);
            println!("trace hash {here:016x} here, in {}: {expected}", path.display());
        }
        true
    });
    let different = different.into_inner();
    println!("{} recorded runs: {different} differ", recorded.len());
    if different == 0 && !recorded.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Seeds until each planted bug is found; one that is not is a failure of the harness.
fn hunt(name: &str, arguments: &Arguments, knobs: &Knobs) -> ExitCode {
    let bugs: Vec<_> = Planted::ALL.iter().filter(|(_, own, _)| name == "all" || *own == name).collect();
    if bugs.is_empty() {
        let names: Vec<&str> = Planted::ALL.iter().map(|(_, name, _)| *name).collect();
        eprintln!("there is no planted bug \"{name}\"; there are: {}", names.join(", "));
        return ExitCode::from(64);
    }
    let mut missed = 0;
    for (planted, name, about) in bugs {
        let begun = Instant::now();
        let depth = planted.depth().unwrap_or(knobs.depth);
        let knobs = Knobs { planted: Some(*planted), depth, day: planted.day(), ..knobs.clone() };
        let found: Mutex<Option<(u64, Violation)>> = Mutex::new(None);
        in_parallel(arguments, arguments.from..arguments.from + arguments.seeds.max(20_000), |seed| {
            if let Some(violation) = days::run(seed, &knobs).violation {
                let mut found = found.lock().expect("no thread panics with it");
                if found.as_ref().is_none_or(|(first, _)| seed < *first) {
                    *found = Some((seed, violation));
                }
                return false;
            }
            begun.elapsed() < HUNT_MAX
        });
        let found = found.into_inner().expect("no thread panics with it");
        match found {
            Some((seed, violation)) => println!(
                "{name} ({about}): found after {} seeds in {:.1} s by \"{}\": {}",
                seed - arguments.from + 1,
                begun.elapsed().as_secs_f64(),
                violation.checker,
                violation.sentence
            ),
            None => {
                missed += 1;
                println!("{name} ({about}): NOT FOUND in {:.1} s", begun.elapsed().as_secs_f64());
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
