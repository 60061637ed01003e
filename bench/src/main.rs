//! `trimaran-bench`: puts the same work on Trimaran and on others, on one machine, and says what it cost.

mod bars;
mod catch_up;
mod channels;
mod cloud_disk;
mod cluster;
mod compare;
mod echo;
mod failover;
mod hostile;
mod ledger;
mod load;
mod machine;
mod micro;
mod network;
mod competitors;
mod process;
mod raw;
mod report;
mod restart;
mod scenario;
mod soak;
mod spread;
mod system;
mod text;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use bars::Group;
use cloud_disk::CloudDisk;
use compare::Comparison;
use failover::Fault;
use system::{Place, System};
use work::{Kind, Work};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Races Trimaran against other queues on this machine.
#[derive(Parser)]
#[command(name = "trimaran-bench", version, after_help = EXAMPLES)]
struct Arguments {
    /// Where clusters keep their files while they run; must lie on the disk to be measured
    #[arg(long, global = true, value_name = "DIR", default_value = "target/bench")]
    directory: PathBuf,
    /// What they lie on: the disk of --directory, or one in memory below it, throttled to what a cloud volume gives each of
    /// three servers (125 MB and 3,000 operations a second; needs root and 13 GiB of memory)
    #[arg(long, global = true, value_enum, default_value_t = DiskKind::Own)]
    disk: DiskKind,
    /// The trimaran-node to measure, instead of the one beside this program
    #[arg(long, global = true, value_name = "FILE")]
    node_binary: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DiskKind {
    Own,
    Cloud,
}

const EXAMPLES: &str = "\
Examples:
  cargo run --release -p trimaran-bench -- run put
  cargo run --release -p trimaran-bench -- run put-get --producers 4 --consumers 4 --size 2048
  cargo run --release -p trimaran-bench -- run put --rate 1000                   latency from the due time
  cargo run --release -p trimaran-bench -- run put --disk cloud                  a disk that is the same everywhere
  cargo run --release -p trimaran-bench -- peers install                         RabbitMQ and NATS, as root
  cargo run --release -p trimaran-bench -- compare --rounds 3 --failover         side by side";

#[derive(Subcommand)]
enum Command {
    /// One piece of work on one system
    Run(RunArguments),
    /// Scenarios on systems, interleaved; prints ratios and writes JSON and an HTML page
    Compare(CompareArguments),
    /// How long a client is stopped when the leader dies, hangs or is cut off
    Failover(FailoverArguments),
    /// What must hold, each measured in turns with what it is held against
    Bars(BarsArguments),
    /// Channels (port 1414) beside gRPC streams and NATS, and beside ever so many idle connections: what must hold
    Channels(ChannelsArguments),
    /// How fast a server that was away gets what it missed
    CatchUp(CatchUpArguments),
    /// What queued messages cost in memory and disk, and how long a start with them takes
    Restart(RestartArguments),
    /// Puts and gets for hours; says whether memory, disk or latency grow
    Soak(SoakArguments),
    /// What one program can do to the others: a victim's worst waits beside each attack, and what the nodes take
    ///
    /// For each attack (`list` has them all) a cluster of three nodes with default limits, a victim that puts and gets 100
    /// messages of 1 KiB a second, one of 1.5 MiB every half second beside some, and the attack in a process of its own.
    ///
    /// A line of the table has the waits of the victim's puts and from put to get in milliseconds, the longest of the long
    /// ones, each node's peak of resident memory and what they have together at the end in MB, how often somebody was
    /// elected, processes ended, the victim lost its connection and health did not answer within a second, and messages
    /// that were lost or doubled. Ends with 1 when any of the last six is not zero, or the peaks together are more than
    /// --memory-max.
    Hostile(HostileArguments),
    #[command(hide = true)]
    AttackOf { row: String, target: String, seconds: f64 },
    /// What the machine allows: syncs, raft-engine alone, three copies without queues
    Raw {
        /// Seconds for each limit
        #[arg(long, default_value_t = 3.0)]
        duration: f64,
        /// Also writes them here, for `report`
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Instructions of what runs for every message, counted by valgrind: the same on a busy machine
    Instructions {
        /// Keeps the counts, for a later --against
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
        /// Prints each count beside the one that was kept
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// What `instructions` runs under valgrind
    #[command(hide = true)]
    RoundsOf { operation: String, rounds: usize },
    #[command(hide = true)]
    RawFollower { address: String, batch: usize, path: PathBuf },
    #[command(hide = true)]
    RawEcho { port: u16 },
    /// Makes one HTML page from the JSON of any of these commands, put together
    Report {
        #[arg(required = true)]
        json: Vec<PathBuf>,
        #[arg(long, default_value = "report.html")]
        out: PathBuf,
        /// Also writes all of it as one JSON
        #[arg(long, value_name = "FILE")]
        merged: Option<PathBuf>,
    },
    /// Other systems on this machine
    #[command(subcommand)]
    Peers(PeersCommand),
    /// Names of systems and scenarios
    List,
}

#[derive(Args)]
struct CompareArguments {
    /// Names, separated by commas; the first one is compared to each of the others
    #[arg(long, value_delimiter = ',', default_value = "trimaran,nats,rabbitmq,rabbitmq-best")]
    systems: Vec<String>,
    /// Names, separated by commas; `list` has them all
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds that are measured, in place of each scenario's own
    #[arg(long)]
    duration: Option<f64>,
    #[arg(long)]
    warmup: Option<f64>,
    /// Also measures a failover of each system
    #[arg(long)]
    failover: bool,
    /// Where comparison.json and comparison.html go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Adds rounds to the comparison.json that is there
    #[arg(long)]
    append: bool,
}

#[derive(Args)]
struct BarsArguments {
    /// All of them when none is named
    #[arg(value_enum)]
    groups: Vec<Group>,
    #[arg(long, default_value = "trimaran")]
    system: String,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load for each figure
    #[arg(long, default_value_t = 4.0)]
    duration: f64,
    /// Messages on the queue
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    depths: Vec<u64>,
    /// Also writes them here, for `report`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct ChannelsArguments {
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load for each figure
    #[arg(long, default_value_t = 4.0)]
    duration: f64,
    /// Connections that wait for messages that never come
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Also writes them here, for `report`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct CatchUpArguments {
    #[arg(long, value_delimiter = ',', default_value = "trimaran,nats,rabbitmq")]
    systems: Vec<String>,
    /// Of bodies that are put while a server is away, twice
    #[arg(long, default_value_t = 5.0)]
    gigabytes: f64,
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Also writes it here, for `report`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct FailoverArguments {
    #[arg(long, value_delimiter = ',', default_value = "trimaran,nats,rabbitmq")]
    systems: Vec<String>,
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kill,stop,cut")]
    faults: Vec<Fault>,
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Also writes them here, for `report`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct RestartArguments {
    #[arg(long, value_delimiter = ',', default_value = "trimaran,nats,rabbitmq")]
    systems: Vec<String>,
    /// Messages on the queue
    #[arg(long, default_value_t = 1_000_000)]
    depth: u64,
    /// Bytes of a body
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Seconds that the full queue rests before memory is looked at
    #[arg(long, default_value_t = 60.0)]
    quiet: f64,
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct HostileArguments {
    /// Names of attacks; all of them when none is named
    rows: Vec<String>,
    /// All of them at the same time, on one cluster
    #[arg(long)]
    at_once: bool,
    /// Seconds of each
    #[arg(long, default_value_t = 10.0, conflicts_with = "minutes")]
    duration: f64,
    /// Minutes of each
    #[arg(long)]
    minutes: Option<f64>,
    /// Megabytes that all nodes together may take
    #[arg(long, value_name = "MB", default_value_t = 4000)]
    memory_max: u64,
}

#[derive(Args)]
struct SoakArguments {
    #[arg(long, default_value = "trimaran")]
    system: String,
    /// Hours; 0.02 are 72 seconds
    #[arg(long, default_value_t = 8.0)]
    hours: f64,
    /// Of what a closed loop manages, which is found out first
    #[arg(long, default_value_t = 0.5, conflicts_with = "rate")]
    share: f64,
    /// Messages a second, in place of a share
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Messages on the queue before the clock starts
    #[arg(long, default_value_t = 0)]
    depth: u64,
    /// Seconds before the first point
    #[arg(long, default_value_t = 30.0)]
    warmup: f64,
    /// Where soak.json and soak.jsonl (points as they come) go
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

#[derive(Subcommand)]
enum PeersCommand {
    /// Installs RabbitMQ, NATS, Kafka and Artemis into a folder of their own; may be run again
    Install,
    /// What is installed, and where
    List,
}

#[derive(Args)]
struct RunArguments {
    #[arg(value_enum)]
    kind: Kind,
    #[arg(long, default_value = "trimaran")]
    system: String,
    /// Bytes of a body
    #[arg(long, default_value_t = 1024)]
    size: usize,
    #[arg(long, default_value_t = 4)]
    producers: usize,
    #[arg(long, default_value_t = 4)]
    consumers: usize,
    #[arg(long, default_value_t = 1)]
    queues: usize,
    /// Messages a producer may have unanswered, and gets a consumer has outstanding
    #[arg(long, default_value_t = 500)]
    window: usize,
    /// Messages on the queues before the clock starts
    #[arg(long, default_value_t = 0)]
    depth: u64,
    /// Messages a second of all producers (open loop); default: as fast as the windows allow
    #[arg(long)]
    rate: Option<f64>,
    /// Open loop at this share (0.5: half) of what a closed loop manages, which is found out first
    #[arg(long, conflicts_with = "rate")]
    share: Option<f64>,
    /// Queues that are there and not used
    #[arg(long, default_value_t = 0)]
    idle_queues: usize,
    /// Consumers that wait on an empty queue
    #[arg(long, default_value_t = 0)]
    idle_clients: usize,
    /// Bodies of so many bytes go through a queue of their own meanwhile; 0: none
    #[arg(long, default_value_t = 0)]
    beside: usize,
    /// Messages a consumer takes under one unit of work; 0: one by one without syncpoint
    #[arg(long, default_value_t = 0)]
    unit: usize,
    /// Seconds that are measured
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Keeps the cluster running this many seconds after it serves and before the work, for a profiler
    #[arg(long, default_value_t = 0.0)]
    pause: f64,
    /// Also writes the result here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl RunArguments {
    fn work(&self) -> Work {
        Work {
            kind: self.kind,
            size: self.size,
            producers: self.producers,
            consumers: self.consumers,
            queues: self.queues,
            window: self.window,
            depth: self.depth,
            rate: self.rate,
            unit: self.unit,
            duration_s: self.duration,
            warmup_s: self.warmup,
            share_of_max: self.share,
            idle_queues: self.idle_queues,
            idle_clients: self.idle_clients,
            beside: self.beside,
        }
    }
}

fn main() -> ExitCode {
    // Everything of this program on one thread: it shares the CPUs with what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome =
        runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(Arguments::parse())));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("trimaran-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// False when messages were lost, doubled or out of order.
async fn run(arguments: Arguments) -> Result<bool> {
    std::fs::create_dir_all(&arguments.directory)?;
    let directory = std::fs::canonicalize(&arguments.directory)?;
    let cloud = match arguments.disk {
        DiskKind::Own => None,
        DiskKind::Cloud => Some(CloudDisk::mount(&directory).context("make the disk")?),
    };
    let place = Place {
        work: cloud.as_ref().map_or(directory, |disk| disk.directory().to_path_buf()),
        node_binary: arguments.node_binary,
        apart: false,
    };
    match arguments.command {
        Command::Run(arguments) => run_one(&place, &arguments).await,
        Command::Compare(arguments) => compare(&place, &arguments).await,
        Command::Failover(arguments) => {
            let gaps = fail_over(&place, &arguments.systems, &arguments.faults, arguments.rounds).await;
            print!("{}", text::gaps(&gaps));
            let complete = gaps.len() == arguments.systems.len() * arguments.faults.len() * arguments.rounds;
            save(arguments.json.as_deref(), |part| part.gaps = gaps)?;
            Ok(complete)
        }
        Command::Bars(arguments) => bars(&place, &arguments).await,
        Command::Channels(ChannelsArguments { rounds, duration: duration_s, idle, json }) => {
            anyhow::ensure!(rounds >= 1 && idle >= 1, "--rounds and --idle must be at least 1");
            println!("{}", machine::describe());
            let held = channels::measure(&place, &channels::Options { rounds, duration_s, idle }).await?;
            held.iter().for_each(|held| print!("{}", held.describe()));
            let holds = held.iter().all(bars::Held::holds);
            save(json.as_deref(), |part| part.bars = held)?;
            Ok(holds)
        }
        Command::CatchUp(arguments) => catch_up(&place, &arguments).await,
        Command::Restart(arguments) => restart(&place, &arguments).await,
        Command::Soak(arguments) => soak(&place, &arguments).await,
        Command::Hostile(arguments) => hostile(&place, &arguments).await,
        Command::AttackOf { row, target, seconds } => {
            hostile::attack(&row, &target, std::time::Duration::from_secs_f64(seconds)).await.map(|()| true)
        }
        Command::Raw { duration, json } => {
            println!("{}", machine::describe());
            let time = std::time::Duration::from_secs_f64(duration);
            let mut limits = raw::measure(&place.work, time, |limit| println!("  {}", limit.describe()))?;
            for clients in [1, 100] {
                limits.push(echo::measure(&place.work, clients, time).await?);
                println!("  {}", limits[limits.len() - 1].describe());
            }
            save(json.as_deref(), |part| part.limits = limits)?;
            Ok(true)
        }
        Command::Instructions { save, against } => {
            micro::instructions::count_all(save.as_deref(), against.as_deref()).map(|()| true)
        }
        Command::RoundsOf { operation, rounds } => {
            micro::instructions::rounds_of(&operation, rounds).map(|()| true)
        }
        Command::RawFollower { address, batch, path } => raw::follow(&address, batch, &path).map(|()| true),
        Command::RawEcho { port } => echo::serve(port).await.map(|()| true),
        Command::Report { json, out, merged } => {
            let mut comparison = Comparison::default();
            for path in &json {
                comparison.add(read_comparison(path)?);
            }
            std::fs::write(&out, report::page(&comparison))?;
            if let Some(path) = merged {
                std::fs::write(path, serde_json::to_vec_pretty(&comparison)?)?;
            }
            println!("{}", out.display());
            Ok(true)
        }
        Command::Peers(PeersCommand::Install) => competitors::install(),
        Command::Peers(PeersCommand::List) => competitors::list().map(|()| true),
        Command::List => {
            println!("systems:");
            system::NAMES.iter().for_each(|(name, what)| println!("  {name:<16} {what}"));
            println!("scenarios:");
            let rows = |rows: &[u8]| rows.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            for scenario in scenario::all() {
                println!("  {:<16} {:<8} {}", scenario.name, rows(scenario.rows), scenario.title);
            }
            println!("attacks:");
            hostile::ROWS.iter().for_each(|row| println!("  {:<22} {}", row.name, row.title));
            println!("commands:");
            for (name, answers, what) in scenario::COMMANDS {
                println!("  {name:<16} {:<16} {what}", rows(answers));
            }
            println!(
                "Numbers are rows of the benchmark matrix; rows 8 (CPU) and 9 (disk) are in every result."
            );
            Ok(true)
        }
    }
}

async fn compare(place: &Place, arguments: &CompareArguments) -> Result<bool> {
    anyhow::ensure!(arguments.rounds >= 1, "--rounds must be at least 1");
    let mut scenarios = scenario::choose(&arguments.scenarios)?;
    for scenario in &mut scenarios {
        scenario.work.duration_s = arguments.duration.unwrap_or(scenario.work.duration_s);
        scenario.work.warmup_s = arguments.warmup.unwrap_or(scenario.work.warmup_s);
        scenario.work.check()?;
    }
    std::fs::create_dir_all(&arguments.out)?;
    let json = arguments.out.join("comparison.json");
    let html = arguments.out.join("comparison.html");
    let before = match arguments.append {
        true => read_comparison(&json)?,
        false => Comparison::on_this_machine(),
    };
    let mut comparison =
        compare::run(place, &arguments.systems, &scenarios, arguments.rounds, before, &json).await?;
    if arguments.failover {
        comparison.gaps.extend(fail_over(place, &arguments.systems, &Fault::ALL, arguments.rounds).await);
    }
    std::fs::write(&json, serde_json::to_vec_pretty(&comparison)?)?;
    std::fs::write(&html, report::page(&comparison))?;
    print!("{}", text::comparison(&comparison));
    print!("{}", text::gaps(&comparison.gaps));
    println!("\n{} and {}", json.display(), html.display());
    let results = || comparison.scenarios.iter().flat_map(|scenario| scenario.results.iter().flatten());
    Ok(results().all(|measured| measured.verdict.is_good()))
}

fn read_comparison(path: &Path) -> Result<Comparison> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not of this program", path.display()))
}

/// A comparison that has only this part, when a file is asked for.
fn save(path: Option<&Path>, fill: impl FnOnce(&mut Comparison)) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut part = Comparison::on_this_machine();
    fill(&mut part);
    std::fs::write(path, serde_json::to_vec_pretty(&part)?).with_context(|| path.display().to_string())
}

/// False when a bar does not hold.
async fn bars(place: &Place, arguments: &BarsArguments) -> Result<bool> {
    anyhow::ensure!(arguments.rounds >= 1, "--rounds must be at least 1");
    let options = bars::Options {
        rounds: arguments.rounds,
        duration_s: arguments.duration,
        depths: arguments.depths.clone(),
    };
    let groups = if arguments.groups.is_empty() { &Group::ALL[..] } else { &arguments.groups };
    println!("{}", machine::describe());
    let mut all = Vec::new();
    for group in groups {
        // A cluster of its own for each, so that none pays for what another one left.
        let mut system = system::by_name(&arguments.system, place)?;
        load::start_warm(system.as_mut()).await?;
        let held = bars::measure(system.as_mut(), *group, &options).await;
        let held = held.with_context(|| format!("{group:?}"))?;
        held.iter().for_each(|held| print!("{}", held.describe()));
        all.extend(held);
        system.stop()?;
        // What is there survives a run that is broken off.
        save(arguments.json.as_deref(), |part| part.bars = all.clone())?;
    }
    Ok(all.iter().all(bars::Held::holds))
}

/// False when a system could not take part.
async fn catch_up(place: &Place, arguments: &CatchUpArguments) -> Result<bool> {
    let missed_bytes = (arguments.gigabytes * 1e9) as u64;
    let all = one_by_one(
        place,
        &arguments.systems,
        async |system| catch_up::measure(system, missed_bytes, arguments.size).await,
        catch_up::CaughtUp::describe,
    )
    .await;
    let complete = all.len() == arguments.systems.len();
    save(arguments.json.as_deref(), |part| part.caught_up = all)?;
    Ok(complete)
}

/// A fresh cluster for each; a system that fails is named on stderr and left out.
async fn fail_over(place: &Place, systems: &[String], faults: &[Fault], rounds: usize) -> Vec<failover::Gap> {
    let mut gaps = Vec::new();
    for _ in 0..rounds {
        for name in systems {
            for fault in faults {
                let place = Place { apart: *fault == Fault::Cut, ..place.clone() };
                let measured = match system::by_name(name, &place) {
                    Ok(mut system) => failover::measure(system.as_mut(), *fault).await,
                    Err(error) => Err(error),
                };
                match measured {
                    Ok(gap) => {
                        eprint!("{}", text::gaps(std::slice::from_ref(&gap)));
                        gaps.push(gap);
                    }
                    Err(error) => eprintln!("{name}, {fault:?}: {error:#}"),
                }
            }
        }
    }
    gaps
}

/// False when a system could not take part.
async fn restart(place: &Place, arguments: &RestartArguments) -> Result<bool> {
    let quiet = std::time::Duration::from_secs_f64(arguments.quiet);
    let all = one_by_one(
        place,
        &arguments.systems,
        async |system| restart::measure(system, arguments.depth, arguments.size, quiet).await,
        restart::Restarted::describe,
    )
    .await;
    let complete = all.len() == arguments.systems.len();
    save(arguments.json.as_deref(), |part| part.restarted = all)?;
    Ok(complete)
}

/// A cluster for each system, one after the other, and a line about what was measured. A system that cannot take part is
/// named and left out.
async fn one_by_one<T>(
    place: &Place,
    systems: &[String],
    measure: impl AsyncFn(&mut dyn System) -> Result<T>,
    describe: impl Fn(&T) -> String,
) -> Vec<T> {
    println!("{}", machine::describe());
    let mut all = Vec::new();
    for name in systems {
        let measured = match system::by_name(name, place) {
            Ok(mut system) => measure(system.as_mut()).await,
            Err(error) => Err(error),
        };
        match measured {
            Ok(measured) => {
                println!("{}", describe(&measured));
                all.push(measured);
            }
            Err(error) => println!("  {name:<16} left out: {error:#}"),
        }
    }
    all
}

/// False when a bound does not hold.
async fn hostile(place: &Place, arguments: &HostileArguments) -> Result<bool> {
    let named =
        |row: &&hostile::Row| arguments.rows.is_empty() || arguments.rows.iter().any(|name| name == row.name);
    let rows: Vec<&'static hostile::Row> = hostile::ROWS.iter().filter(named).collect();
    anyhow::ensure!(
        arguments.rows.is_empty() || rows.len() == arguments.rows.len(),
        "there is no such attack; `list` has them all"
    );
    let seconds = arguments.minutes.map_or(arguments.duration, |minutes| minutes * 60.0);
    let time = std::time::Duration::from_secs_f64(seconds);
    hostile::measure(place, &rows, arguments.at_once, time, arguments.memory_max * 1_000_000).await
}

async fn soak(place: &Place, arguments: &SoakArguments) -> Result<bool> {
    let work = Work {
        depth: arguments.depth,
        size: arguments.size,
        rate: arguments.rate,
        share_of_max: arguments.rate.is_none().then_some(arguments.share),
        duration_s: arguments.hours * 3600.0,
        warmup_s: arguments.warmup,
        ..scenario::choose(&["put-get".to_string()])?.remove(0).work
    };
    work.check()?;
    std::fs::create_dir_all(&arguments.out)?;
    let mut system = system::by_name(&arguments.system, place)?;
    load::start_warm(system.as_mut()).await?;
    let about = system.about();
    println!("{}\n{}: {}\n{}", machine::describe(), about.name, about.version, about.settings);
    println!("{}", work.describe());
    let soaked = soak::run(system.as_mut(), &work, &arguments.out.join("soak.jsonl")).await?;
    system.stop()?;
    print!("{}", text::details(&soaked.measured));
    println!("over time:");
    soaked.trends.iter().for_each(|trend| println!("{}", trend.describe()));
    let is_good = soaked.measured.verdict.is_good();
    let path = arguments.out.join("soak.json");
    save(Some(&path), |part| part.soaked = vec![soaked])?;
    println!("{}", path.display());
    Ok(is_good)
}

async fn run_one(place: &Place, arguments: &RunArguments) -> Result<bool> {
    let work = arguments.work();
    work.check()?;
    let mut system = system::by_name(&arguments.system, place)?;
    load::start_warm(system.as_mut()).await?;
    let about = system.about();
    println!("{}", machine::describe());
    println!("{}: {}\n{}", about.name, about.version, about.settings);
    let pids: Vec<String> = system.servers().iter().map(u32::to_string).collect();
    println!("server processes: {}", pids.join(" "));
    println!("{}", work.describe());
    tokio::time::sleep(std::time::Duration::from_secs_f64(arguments.pause)).await;
    let measured = load::run(system.as_mut(), &work, 1, &mut |_| {}).await?;
    system.stop()?;
    print!("{}", text::details(&measured));
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&measured)?)?;
    }
    Ok(measured.verdict.is_good())
}
