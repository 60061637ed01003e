//! One program for every check, the same on a desk and in CI: `cargo lane quick`, `merge`, `night`, `package`, `planted`.
//!
//! A lane is a list of steps, a step is one command. Everything is built in the dev profile, over libraries that are
//! optimised and compiled once. Our own crates are not optimised, because compiling them takes longer than what they do
//! in tests; the simulator's steps are the exception ([`simulated`]).
//! Steps select the whole workspace and then filter targets, because cargo would otherwise build the libraries again
//! with the features of a single crate.

use std::fmt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use trimaran_tests::sources::root;

#[derive(Parser)]
#[command(
    name = "cargo lane",
    about = "Runs the checks of Trimaran, in lanes from quick to nightly",
    after_help = "\
Which lane when:
  while working     cargo lane quick                a few minutes
  before sending    cargo lane merge                what CI runs (bash .ci/test)
  over night        cargo lane night --for 8h       until a seed fails or the time is up
  before a release  cargo lane package              makes the Debian package, installs it, runs the samples
  now and then      cargo lane planted              does the simulator still find the bugs we know?
  when `same` fails cargo lane hashes               and the runs were meant to change: records their hashes anew

A step that fails names itself and ends the lane. To go on from there:
  cargo lane merge --from clippy
To run one step alone, or to see the commands without running them:
  cargo lane quick --only tidy
  cargo lane merge --list

A failing seed prints how to replay it. Put it into tests/seeds/regressions.txt with a line of story."
)]
struct Arguments {
    #[command(subcommand)]
    lane: Lane,
}

#[derive(Subcommand)]
enum Lane {
    /// Format, lint, unit tests, scripts, tidiness, 50 seeds
    Quick(Choice),
    /// Quick, the simulator's own tests, 1,000 seeds, 50 over the production stores, any bytes at every border, and
    /// real processes
    Merge(Choice),
    /// Ever new seeds, optimised
    Night {
        #[command(flatten)]
        choice: Choice,
        /// How long: 90s, 30m, 8h
        #[arg(long = "for", value_name = "TIME", default_value = "8h", value_parser = parse_time)]
        time: Duration,
        /// The first seed; by default one that no night had yet
        #[arg(long, value_name = "SEED")]
        seed: Option<u64>,
    },
    /// What users get, from the release profile: the Debian package, installed in a bare Debian, and samples of clients
    Package(Choice),
    /// Every planted bug is found by the simulator
    Planted(Choice),
    /// Records trace hashes anew, after a change of what happens in simulated runs
    Hashes(Choice),
}

#[derive(Args, Clone)]
struct Choice {
    /// Print the steps and their commands, run nothing
    #[arg(long)]
    list: bool,
    /// Run only this step; may be given more than once
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Skip the steps before this one
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    from: Option<String>,
    /// Run the other steps too when one fails, and fail at the end
    #[arg(long)]
    keep_going: bool,
}

/// One command with a name that an error can be found by.
struct Step {
    name: &'static str,
    about: &'static str,
    command: Vec<String>,
    /// What the command finds in its environment, besides what we have.
    variables: Vec<(String, String)>,
    /// It runs beside the steps that follow, one such step after the other, on what these leave of the processors. What it prints
    /// is shown when it is over.
    is_beside: bool,
}

fn main() -> ExitCode {
    match Arguments::parse().lane {
        Lane::Quick(choice) => run(quick(), &choice),
        Lane::Merge(choice) => run(merge(), &choice),
        Lane::Package(choice) => run(package(), &choice),
        Lane::Planted(choice) => run(planted(), &choice),
        Lane::Hashes(choice) => run(hashes(), &choice),
        Lane::Night { choice, time, seed } => night(&choice, time, seed),
    }
}

// ---- the lanes ----

fn quick() -> Vec<Step> {
    let mut steps = checks();
    steps.push(simulator("seeds", "50 runs", 50, None));
    steps
}

fn merge() -> Vec<Step> {
    let mut steps = checks();
    steps.push(simulated(cargo(
        "simulator",
        "it repeats to the bit, its judges judge; seeds that once failed; every call of a start is its last",
        "test --workspace --test sim --test replay --test start",
    )));
    steps.push(same());
    steps.push(fuzz_program());
    steps.push(programs());
    // Real processes wait more than they compute.
    steps.push(beside(simulator("seeds", "1,000 runs", 1000, None)));
    steps.push(beside(over_the_stores("seeds-b", "50 runs over the production stores", 50, None)));
    let borders = ["frames", "commands", "rows", "snapshots", "grpc"];
    steps.push(beside(fuzz(60, &["--repeatable"], &borders)));
    steps.push(cargo(
        "process",
        "real processes, addresses, cuts and kills",
        "test --workspace --test process -- --test-threads=2",
    ));
    steps.push(cargo("readme", "what README and pages say to type", "test --workspace --test readme"));
    steps.push(cargo(
        "address",
        "an address that moves, in namespaces of its own",
        "test --workspace --test address -- --test-threads=1",
    ));
    steps.push(cargo(
        "moves",
        "planned moves and maintenance under load",
        "test --workspace --test moves -- --test-threads=1",
    ));
    steps.push(cargo(
        "managers",
        "queue managers that are created and deleted while nodes come and go",
        "test --workspace --test managers -- --test-threads=1",
    ));
    steps.push(cargo(
        "tools",
        "commands of MQ's administrators: messages saved and restored, authorities, scripts",
        "test --workspace --test tools --test audit -- --test-threads=1",
    ));
    steps.push(cargo(
        "rest",
        "the REST API, with a client of HTTP and with Schemathesis",
        "test --workspace --test rest -- --test-threads=1",
    ));
    steps.push(cargo(
        "channels",
        "port 1414, with our own samples and IBM's client libraries",
        "test --workspace --test amqs --test channels --test pcf -- --test-threads=1",
    ));
    steps
}

fn package() -> Vec<Step> {
    let package = ["bash", ".ci/package"].map(String::from).into();
    let target = root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let mut installed = installed();
    installed.variables.push(("TRIMARAN_PROGRAMS".into(), target.join("release").display().to_string()));
    vec![
        Step {
            name: "package",
            about: "the Debian package, released",
            command: package,
            variables: Vec::new(),
            is_beside: false,
        },
        installed,
        programs(),
        samples(),
    ]
}

fn installed() -> Step {
    cargo(
        "installed",
        "the Debian package in a bare Debian, from its installation to its purge",
        "test --workspace --test package -- --test-threads=1",
    )
}

fn samples() -> Step {
    cargo(
        "samples",
        "clients in Python, Go and Java, built from the protos and told of a killed node; metrics as Prometheus checks them",
        "test --workspace --test samples -- --test-threads=1",
    )
}

fn programs() -> Step {
    cargo("programs", "the programs that process tests start", "build --workspace --bins")
}

fn checks() -> Vec<Step> {
    vec![
        cargo("format", "cargo fmt changes nothing", "fmt --all --check"),
        cargo("clippy", "no warnings", "clippy --workspace --all-targets -- -D warnings"),
        cargo("unit", "unit tests of all crates", "test --workspace --lib --bins"),
        cargo(
            "scripts",
            "the conversations in tests/scripts, and bytes that once broke something",
            "test --workspace --test scripts --test fuzz",
        ),
        cargo(
            "commands",
            "both commands as they are typed, the client library against a queue manager that misbehaves",
            "test --workspace --test command --test library",
        ),
        cargo(
            "tidy",
            "levels, leftovers, texts, containers",
            "test --workspace --test tidy --test container",
        ),
    ]
}

fn planted() -> Vec<Step> {
    // In the dev profile, because a panic of the node is a finding here and must not end the program.
    vec![simulated(cargo(
        "planted",
        "each planted bug is found, and named",
        "run -q --features trimaran-tests/planted-bugs --bin sim -- --planted all",
    ))]
}

/// Blocks of seeds until the time is up. A block is small enough to end in time and large enough to keep cores busy.
fn night(choice: &Choice, time: Duration, seed: Option<u64>) -> ExitCode {
    let started = Instant::now();
    // Seconds since 1970: every night begins where no other did, and prints where.
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut next = seed.unwrap_or(now);
    let outcome = run(night_begins(), choice);
    if outcome != ExitCode::SUCCESS {
        return outcome;
    }
    loop {
        let block = [
            release(simulator("seeds", "2000 runs", 2000, Some(next))),
            release(over_the_stores("seeds-b", "500 runs over the production stores", 500, Some(next))),
        ];
        let outcome = run(block.into(), choice);
        if outcome != ExitCode::SUCCESS || choice.list || started.elapsed() >= time {
            return outcome;
        }
        next += 2000;
    }
}

/// Once a night: what users get works, builds are the same to the bit, any bytes come to every border, and every call to a
/// disk fails.
fn night_begins() -> Vec<Step> {
    let mut steps = vec![programs(), installed(), samples(), same_in_release()];
    steps.push(fuzz(60, &[], &[]));
    let nth = "run -q --bin sim -- --nth-call";
    steps.push(release(cargo("nth", "every call to a disk fails, in every way", nth)));
    let nth = "run -q --bin sim -- --nth-call --depth b";
    steps.push(release(cargo("nth-b", "every call of the production stores fails, in every way", nth)));
    steps
}

/// Any bytes at these borders, or at every one, so long each.
fn fuzz(seconds: u32, how: &[&str], targets: &[&str]) -> Step {
    let how: String = how.iter().map(|word| format!(" {word}")).collect();
    let targets: String = targets.iter().map(|target| format!(" --target {target}")).collect();
    let run =
        format!("run -q --features trimaran-tests/fuzz --bin fuzz -- --seconds {seconds}{how}{targets}");
    covered(cargo("fuzz", "any bytes at the borders, where they lead somewhere new", &run))
}

fn fuzz_program() -> Step {
    let build = "build --features trimaran-tests/fuzz --bin fuzz";
    covered(cargo("fuzz-program", "the program that tries any bytes", build))
}

/// Our own crates count what runs (`.ci/rustc-covered`), over the libraries that the lane has compiled anyway.
fn covered(mut step: Step) -> Step {
    let wrapper = root().join(".ci/rustc-covered").display().to_string();
    step.variables = vec![("RUSTC_WORKSPACE_WRAPPER".into(), wrapper)];
    step
}

fn beside(mut step: Step) -> Step {
    // SCHED_IDLE: whoever else wants a processor has it at once.
    step.command.splice(0..0, ["chrt", "--idle", "0"].map(String::from));
    step.is_beside = true;
    step
}

/// A seed is the same run to the bit with assertions and without, optimised and not.
const HASHES: &str = "tests/seeds/hashes.txt";

/// With assertions. That the recorded hashes are also those of a build without is seen when they are recorded, and each
/// night.
fn same() -> Step {
    let expect = format!("run -q --bin sim -- --expect-hashes {HASHES}");
    simulated(cargo("same", "the recorded trace hashes, optimised and with assertions", &expect))
}

fn same_in_release() -> Step {
    let expect = format!("run -q --bin sim -- --expect-hashes {HASHES}");
    release(cargo("same", "the recorded trace hashes, in the release profile, without assertions", &expect))
}

/// Optimised, and with its assertions, which make it stricter: a thousand runs pay for what the compiler takes longer.
fn simulated(mut step: Step) -> Step {
    step.variables.push(("CARGO_PROFILE_DEV_OPT_LEVEL".into(), "3".into()));
    step
}

/// After a change of what happens in runs.
fn hashes() -> Vec<Step> {
    let write = format!("run -q --bin sim -- --seeds 20 --ticks 500 --write-hashes {HASHES}");
    vec![simulated(cargo("write", "20 trace hashes, with assertions", &write)), same_in_release()]
}

fn simulator(name: &'static str, about: &'static str, seeds: u32, first: Option<u64>) -> Step {
    let first = first.map(|seed| format!(" --from {seed}")).unwrap_or_default();
    simulated(cargo(name, about, &format!("run -q --bin sim -- --seeds {seeds}{first}")))
}

/// Depth B: raft-engine over a file system that forgets, and RocksDB.
fn over_the_stores(name: &'static str, about: &'static str, seeds: u32, first: Option<u64>) -> Step {
    let mut step = simulator(name, about, seeds, first);
    step.command.extend(["--depth".into(), "b".into()]);
    step
}

fn release(mut step: Step) -> Step {
    step.command.insert(2, "--release".into());
    step.variables.clear();
    step
}

fn cargo(name: &'static str, about: &'static str, arguments: &str) -> Step {
    let words = std::iter::once("cargo").chain(arguments.split_whitespace());
    let command = words.map(String::from).collect();
    Step { name, about, command, variables: Vec::new(), is_beside: false }
}

// ---- running them ----

fn run(steps: Vec<Step>, choice: &Choice) -> ExitCode {
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    if let Some(unknown) = choice.only.iter().chain(&choice.from).find(|name| !names.contains(&name.as_str()))
    {
        eprintln!("no step `{unknown}` in this lane; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let start = choice.from.as_ref().and_then(|from| names.iter().position(|name| name == from)).unwrap_or(0);
    let chosen = |step: &&Step| choice.only.is_empty() || choice.only.iter().any(|name| name == step.name);
    let steps: Vec<&Step> = steps.iter().skip(start).filter(chosen).collect();

    if choice.list {
        for step in steps {
            println!("{:<14} {}\n{:<14} $ {}", step.name, step.about, "", step.command.join(" "));
        }
        return ExitCode::SUCCESS;
    }

    let started = Instant::now();
    let mut done = Vec::new();
    let goes_on = |done: &[Done]| choice.keep_going || done.iter().all(|step| step.passed);
    // Those that run beside others are handed over in their order, and taken back when the others are done.
    let (hand_over, handed) = mpsc::channel::<&Step>();
    let is_over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            handed.iter().take_while(|_| !is_over.load(Ordering::Relaxed)).map(run_beside).collect::<Vec<_>>()
        });
        for (number, step) in steps.iter().enumerate() {
            if !goes_on(&done) {
                break;
            }
            let Step { name, about, .. } = step;
            println!("\n== {}/{} {name}: {about}\n   $ {}", number + 1, steps.len(), step.command.join(" "));
            if step.is_beside {
                println!("   beside what follows");
                hand_over.send(step).expect("it is taken until all are");
                continue;
            }
            let step = run_step(step);
            println!("== {step}");
            done.push(step);
        }
        is_over.store(!goes_on(&done), Ordering::Relaxed);
        drop(hand_over);
        done.extend(worker.join().expect("a step does not panic"));
    });

    println!();
    for step in &done {
        let passed = if step.passed { "passed" } else { "FAILED" };
        println!("{:<14} {:>8}  {passed}", step.name, seconds(step.took));
    }
    println!("{:<14} {:>8}", "all", seconds(started.elapsed()));
    let failed: Vec<&str> = done.iter().filter(|step| !step.passed).map(|step| step.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("failed: {}. Once mended, go on with --from {}", failed.join(", "), failed[0]);
    ExitCode::FAILURE
}

/// A step that was run.
struct Done {
    name: &'static str,
    passed: bool,
    took: Duration,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = if self.passed { "passed" } else { "FAILED" };
        write!(f, "{} {passed} in {}", self.name, seconds(self.took))
    }
}

fn run_step(step: &Step) -> Done {
    let started = Instant::now();
    let passed = match command(step).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("start {}: {error}", step.command[0]);
            false
        }
    };
    Done { name: step.name, passed, took: started.elapsed() }
}

/// Its lines do not come between those of others.
fn run_beside(step: &Step) -> Done {
    let started = Instant::now();
    let (passed, said) = match command(step).stdin(Stdio::null()).output() {
        Ok(output) => (output.status.success(), [output.stdout, output.stderr].concat()),
        Err(error) => (false, format!("start {}: {error}", step.command[0]).into_bytes()),
    };
    let done = Done { name: step.name, passed, took: started.elapsed() };
    println!("\n== beside\n{}== {done}", String::from_utf8_lossy(&said));
    done
}

fn command(step: &Step) -> Command {
    let mut command = Command::new(&step.command[0]);
    command.args(&step.command[1..]).envs(step.variables.iter().map(|(name, value)| (name, value)));
    // What cargo sets for this program would make its children see another crate.
    for (name, _) in std::env::vars()
        .filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST"))
    {
        command.env_remove(name);
    }
    command.current_dir(root());
    command
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// `90s`, `30m`, `8h`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("a number and s, m or h, such as 30m".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a whole number and s, m or h, such as 30m".to_string())?;
    Ok(Duration::from_secs(number * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_with_a_unit() {
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("8h"), Ok(Duration::from_secs(8 * 3600)));
        assert!(parse_time("8").is_err());
        assert!(parse_time("").is_err());
        assert!(parse_time("h").is_err());
    }

    #[test]
    fn step_names_are_unique_in_a_lane() {
        for lane in [quick(), merge(), package(), planted(), hashes(), night_begins()] {
            let mut names: Vec<_> = lane.iter().map(|step| step.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
