//! `trimaran-node`: arguments, then `runtime::run`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use trimaran_node::config::{self, Config, Finding};
use trimaran_node::runtime::{self, Fatal, FatalReason};
use trimaran_node::types::{Inspected, Inspector, QueueManagerId};
use trimaran_node::{log_store, message_store};
use trimaran_proto::generate::{self, Generate};
use trimaran_proto::plain;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Memory that was used once is used again for a minute before the system gets it back: a page that is taken anew
/// must be found and cleared, and on a virtual machine that costs more than what is then written into it.
#[unsafe(export_name = "malloc_conf")]
pub static MALLOC_CONF: &[u8; 61] = b"dirty_decay_ms:60000,muzzy_decay_ms:0,background_thread:true\0";

/// A node of a Trimaran cluster: queue managers that survive the loss of machines.
#[derive(Parser)]
// clap would break examples where a terminal is narrow, and nobody could paste them.
#[command(name = "trimaran-node", version, after_help = EXAMPLES, arg_required_else_help = true, term_width = 0)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  trimaran-node check --config cluster.toml --node a    what is wrong, and what to do about it
  trimaran-node run --config cluster.toml --node a      until SIGTERM, which hands the queue managers over first
  trimaran certs init --cluster demo --nodes a=10.0.0.1,b=10.0.0.2,c=10.0.0.3 --users joe --out certs
                                                        certificates for a cluster that has none

A cluster file is the same on every node:
  cluster = \"demo\"
  [[nodes]]
  name = \"a\"
  id = 1
  peer = \"127.0.0.1:7101\"        # the other nodes connect here
  client = \"127.0.0.1:7201\"      # clients connect here
  http = \"127.0.0.1:7301\"        # /health/ready, /health/active, /metrics
  # … and nodes b and c
  [[queue_managers]]
  name = \"ha.queue.manager\"
  id = 1
  [directories]
  log = \"/var/lib/trimaran/{node}/log\"
  data = \"/var/lib/trimaran/{node}/data\"

Exit status: 0 stopped as told, or nothing is wrong; 1 check or inspect found something; 2 wrong arguments;
  10 configuration, 11 listen, 12 directory, 13 log-open, 14 log-write, 15 store, 16 system, 17 stopped-at-once,
  18 version, 70 bug";

#[derive(Subcommand)]
enum Command {
    /// Runs the node until it is told to stop (SIGTERM, SIGINT); SIGHUP loads certificates again
    Run(NodeArguments),
    /// Looks at ports, directories, certificates, clocks and peers without starting: what is wrong and what to do
    Check(CheckArguments),
    /// Holds the node's floating addresses: `run` starts it, nobody else
    #[command(hide = true)]
    HoldAddresses(NodeArguments),
    /// Prints what is in a log directory and which places are damaged; also beside a running node
    InspectLog(InspectArguments),
    /// Prints what is in a data directory: queue managers, their applied index, rows; also beside a running node
    InspectStore(InspectArguments),
    /// What a package brings along with the program
    #[command(subcommand, hide = true)]
    Generate(Generate),
}

#[derive(Args)]
struct CheckArguments {
    #[command(flatten)]
    node: NodeArguments,
    /// One JSON object a line: finding (ok, warning or wrong) and text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct InspectArguments {
    /// The log directory, or the data directory, as in the cluster file under [directories]
    directory: PathBuf,
    /// Only the queue manager with this id
    #[arg(long, value_name = "ID")]
    queue_manager: Option<u32>,
    /// One JSON object a line: file, offset, bytes, damaged and text
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct NodeArguments {
    /// The cluster file; the same on every node
    #[arg(long, short, value_name = "FILE", env = "TRIMARAN_CONFIG")]
    config: PathBuf,
    /// Which of the file's nodes this is; instead of `node = "…"` in the file
    #[arg(long, short, value_name = "NAME", env = "TRIMARAN_NODE")]
    node: Option<String>,
    /// Overrides one key of the file, for example --set limits.sessions=2000 (may be repeated)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| end_with_usage(&error));
    match arguments.command {
        Command::Run(arguments) => run(&arguments, runtime::run),
        Command::HoldAddresses(arguments) => run(&arguments, runtime::hold_addresses),
        Command::Check(arguments) => check(&arguments),
        Command::InspectLog(what) => inspect(&what, log_store::inspect::inspect),
        Command::InspectStore(what) => inspect(&what, message_store::inspect::inspect),
        Command::Generate(command) => generate(command),
    }
}

/// A command line that cannot be understood, in words that are nobody's but ours; or help.
fn end_with_usage(error: &clap::Error) -> ! {
    if !error.use_stderr() {
        error.exit()
    }
    eprint!("{}", plain::value(&error.render().to_string()));
    std::process::exit(error.exit_code())
}

fn load(arguments: &NodeArguments) -> Result<Config, String> {
    Config::load(&arguments.config, arguments.node.as_deref(), &arguments.settings)
        .map_err(|error| plain::error(&error.text))
}

fn wrong_configuration(text: &str) -> ExitCode {
    eprintln!("trimaran-node: {text}");
    ExitCode::from(FatalReason::Configuration.status())
}

fn run(arguments: &NodeArguments, run: fn(Config) -> Result<(), Fatal>) -> ExitCode {
    let config = match load(arguments) {
        Ok(config) => config,
        Err(text) => return wrong_configuration(&text),
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            eprintln!("trimaran-node: {fatal}");
            ExitCode::from(fatal.reason.status())
        }
    }
}

fn check(arguments: &CheckArguments) -> ExitCode {
    let config = match load(&arguments.node) {
        Ok(config) => config,
        // What the file has wrong is a finding like others.
        Err(text) if arguments.json => {
            print_findings(&[Finding::Wrong(text)], true);
            return ExitCode::from(FatalReason::Configuration.status());
        }
        Err(text) => return wrong_configuration(&text),
    };
    let checked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(config::check(&config)));
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("trimaran-node: cannot start an async runtime: {error}");
            return ExitCode::from(FatalReason::System.status());
        }
    };
    print_findings(&checked.findings, arguments.json);
    if checked.is_fine() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn print_findings(findings: &[Finding], json: bool) {
    let mut out = std::io::stdout().lock();
    for finding in findings {
        let (word, shown, text) = match finding {
            Finding::Fine(text) => ("ok", "ok     ", text),
            Finding::Warning(text) => ("warning", "warning", text),
            Finding::Wrong(text) => ("wrong", "WRONG  ", text),
        };
        // A closed pipe is no reason for another exit status.
        let _ = match json {
            true => writeln!(out, "{}", serde_json::json!({ "finding": word, "text": text })),
            false => writeln!(out, "{shown}  {text}"),
        };
    }
}

fn inspect(
    what: &InspectArguments,
    inspect: fn(&Path, Option<QueueManagerId>, Inspector<'_>) -> io::Result<usize>,
) -> ExitCode {
    let mut out = io::stdout().lock();
    let mut is_empty = true;
    let mut report = |found: Inspected| {
        is_empty &= found.is_shared;
        match what.json {
            true => writeln!(
                out,
                "{}",
                serde_json::json!({
                    "file": found.file, "offset": found.offset, "bytes": found.bytes, "damaged": found.damaged,
                    "text": found.text,
                })
            ),
            false => writeln!(out, "{found}"),
        }
    };
    let directory = what.directory.display();
    let inspected = inspect(&what.directory, what.queue_manager.map(QueueManagerId), &mut report);
    let wrong = match (inspected, what.queue_manager) {
        (Ok(0), Some(id)) if is_empty => format!("nothing of a queue manager with id {id} is in {directory}"),
        (Ok(0), _) => return ExitCode::SUCCESS,
        (Ok(damaged), _) => {
            format!("{damaged} damaged places; the node repairs them from its peers when it starts")
        }
        // Who reads it has seen enough.
        (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        (Err(error), _) => format!("inspect {directory}: {}", plain::error(error)),
    };
    match what.json {
        true => eprintln!("{}", serde_json::json!({ "ok": false, "exit_code": 1, "text": wrong })),
        false => eprintln!("trimaran-node: {wrong}"),
    }
    ExitCode::from(1)
}

// ---- called when a package is built ----

fn generate(command: Generate) -> ExitCode {
    let program = Arguments::command();
    let generated = match &command {
        Generate::Man { directory } => generate::write_manual(&program, "8", directory),
        Generate::Completions { shell } => io::stdout().write_all(&generate::completions(&program, *shell)),
    };
    match generated {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trimaran-node: generate: {error}");
            ExitCode::from(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_exit_status() {
        for reason in FatalReason::ALL {
            let said = format!(" {} {}", reason.status(), reason.name());
            assert!(EXAMPLES.contains(&said), "{said} is missing");
        }
    }
}
