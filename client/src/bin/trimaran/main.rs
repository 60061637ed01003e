//! The `trimaran` command: messages, queues, status and membership from a shell.
//!
//! `arguments` says what can be typed, `output` how it is answered; each of the other modules is one group of
//! subcommands.

mod arguments;
mod arranging;
mod tails;
mod output;
mod message_json;
mod line;
mod talk;
mod samples;
mod put;
mod unit;
mod dead_letter;
mod get;
mod attributes;
mod queue;
mod requeue;
mod object;
mod authorities;
mod control;
mod mqrc;
mod terminal;
mod runmqsc;
mod runmqdlq;
mod dmpmqmsg;
mod dspmq;
mod dspmqver;
mod running;
mod creating;
mod dmpmqcfg;
mod apply;
mod spared;
mod status;
mod node;
mod placement;
mod recover;
mod certs;
mod cluster;
mod upgrade;
mod failovers;
mod audit;
mod availability;
mod demo;
mod generate;
mod help;

use arguments::{Cli, ClusterCommand, Command};
use clap::{CommandFactory, FromArgMatches};

fn main() {
    let (command, tails) = tails::take(Cli::command());
    let matches = command.try_get_matches_from(control::by_own_name(std::env::args_os()));
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => output::end_with_usage(&error, &tails),
    };
    let as_json = cli.global.json;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("TRIMARAN_LOG").unwrap_or("off".into()))
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("this machine can start threads");
    let outcome = runtime.block_on(run(cli));
    let code = match &outcome {
        Ok(()) => 0,
        Err(failure) => {
            failure.report(as_json);
            failure.exit_code()
        }
    };
    // A thread that waits for standard input would hold up an orderly end.
    std::process::exit(code);
}

async fn run(cli: Cli) -> output::Outcome {
    let global = &cli.global;
    control::check_json(global, &cli.command)?;
    match cli.command {
        Command::Send(args) => talk::send(global, args).await,
        Command::Receive(args) => talk::receive(global, args).await,
        Command::Amqsput(args) => samples::put(global, args).await,
        Command::Amqsget(args) => samples::get(global, args).await,
        Command::Amqsgbr(args) => samples::browse(global, args).await,
        Command::Amqsbcg(args) => samples::dump(global, args).await,
        Command::Put(args) => put::run(global, args).await,
        Command::Get(args) => get::get(global, args).await,
        Command::Browse(args) => get::browse(global, args).await,
        Command::Unit(args) => unit::run(global, args).await,
        Command::Requeue(args) => requeue::run(global, args).await,
        Command::Queue(command) => queue::run(global, command).await,
        Command::Define(args) => object::define(global, args).await,
        Command::Alter(args) => object::alter(global, args).await,
        Command::Display(args) => object::display(global, args).await,
        Command::Delete(args) => object::delete(global, args).await,
        Command::Set(args) => object::set(global, args).await,
        Command::Runmqsc(args) => runmqsc::run(global, args).await,
        Command::Runmqdlq(args) => runmqdlq::run(global, args).await,
        Command::Dmpmqmsg(args) => dmpmqmsg::run(global, args).await,
        Command::Apply(args) => apply::run(global, args).await,
        Command::Dmpmqcfg(args) => dmpmqcfg::run(global, args).await,
        Command::Setmqaut(args) => authorities::set(global, args).await,
        Command::Dspmqaut(args) => authorities::display(global, args).await,
        Command::Dmpmqaut(args) => authorities::dump(global, args).await,
        Command::Dspmq(args) => dspmq::run(global, args).await,
        Command::Crtmqm(args) => creating::create(global, args).await,
        Command::Place(args) => arranging::run(global, args).await,
        Command::Dltmqm(args) => creating::delete(global, args).await,
        Command::Strmqm(args) => running::start(global, args).await,
        Command::Endmqm(args) => running::end(global, args).await,
        Command::Dspmqver(args) => dspmqver::run(global, args),
        Command::Mqrc(args) => mqrc::run(global, args),
        Command::Status(args) => status::run(global, args).await,
        Command::Move(args) => placement::move_to(global, args).await,
        Command::Node(command) => node::run(global, command).await,
        Command::Failovers(args) => failovers::run(global, args).await,
        Command::Audit(args) => audit::run(global, args).await,
        Command::Availability(args) => availability::run(global, args).await,
        Command::Recover(args) => recover::run(global, args).await,
        Command::Outcome(args) => node::outcome(global, args).await,
        Command::Certs(command) => certs::run(global, command),
        Command::Cluster(ClusterCommand::Init(args)) => cluster::init(global, args),
        Command::Cluster(ClusterCommand::Upgrade { check }) => upgrade::run(global, check).await,
        Command::Demo(args) => demo::run(global, args).await,
        Command::Generate(command) => generate::run(command),
        Command::Help(args) => help::run(args),
    }
}
