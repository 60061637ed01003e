//! `trimaran-bench`: puts the same work on Trimaran and on others, on one machine, and says what it cost.

mod ledger;
mod load;
mod machine;
mod peers;
mod process;
mod system;
mod text;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use system::Place;
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
    /// The trimaran-node to measure, instead of the one beside this program
    #[arg(long, global = true, value_name = "FILE")]
    node_binary: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo run --release -p trimaran-bench -- run put
  cargo run --release -p trimaran-bench -- run put-get --producers 4 --consumers 4 --size 2048
  cargo run --release -p trimaran-bench -- run put --rate 1000 --window 100      latency from the due time";

#[derive(Subcommand)]
enum Command {
    /// One piece of work on one system
    Run(RunArguments),
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
        }
    }
}

fn main() -> ExitCode {
    // Everything of this program on one thread: it shares the CPUs with what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(Arguments::parse())));
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
    let place =
        Place { work: std::fs::canonicalize(&arguments.directory)?, node_binary: arguments.node_binary };
    match arguments.command {
        Command::Run(arguments) => run_one(&place, &arguments).await,
    }
}

async fn run_one(place: &Place, arguments: &RunArguments) -> Result<bool> {
    let work = arguments.work();
    work.check()?;
    let mut system = system::by_name(&arguments.system, place)?;
    system.start().await?;
    let about = system.about();
    println!("{}", machine::describe());
    println!("{}: {}\n{}", about.name, about.version, about.settings);
    let pids: Vec<String> = system.servers().iter().map(u32::to_string).collect();
    println!("server processes: {}", pids.join(" "));
    println!("{}", work.describe());
    tokio::time::sleep(std::time::Duration::from_secs_f64(arguments.pause)).await;
    let measured = load::run(system.as_mut(), &work, 1).await?;
    system.stop()?;
    print!("{}", text::details(&measured));
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&measured)?)?;
    }
    Ok(measured.verdict.is_good())
}
