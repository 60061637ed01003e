//! What can be typed. The words are MQ's where MQ has one.
//!
//! Here is the command as a whole and what is said to all of its subcommands; each of the files is one family of them,
//! `values` what is written behind more than one.

mod authorities;
mod messages;
mod samples;
mod objects;
mod control;
mod failovers;
mod audit;
mod running;
mod saving;
mod setup;
mod values;

pub use audit::{AuditArgs, AuditCommand};
pub use authorities::{DmpmqautArgs, DspmqautArgs, EntityArgs, ProfileArgs, SetmqautArgs};
pub use control::{
    ApplyArgs, CrtmqmArgs, CrtmqmElsewhere, DltmqmArgs, DmpmqcfgArgs, DspmqArgs, DspmqverArgs, EndmqmArgs,
    MqrcArgs, PlaceArgs, RunmqdlqArgs, RunmqscArgs, StrmqmArgs, StrmqmElsewhere,
};
pub use failovers::{AvailabilityArgs, FailoversArgs, FailoversCommand};
pub use messages::{
    BrowseArgs, DescriptorArgs, GetArgs, PutArgs, ReceiveArgs, RequeueArgs, SelectionArgs, TalkArgs, UnitArgs,
};
pub use objects::{AlterArgs, DefineArgs, DeleteArgs, DisplayArgs, QueueCommand, SetArgs};
pub use running::{MoveArgs, NodeArgs, NodeCommand, OutcomeArgs, RecoverArgs, StatusArgs};
pub use samples::{AmqsbcgArgs, AmqsgbrArgs, AmqsgetArgs, AmqsputArgs};
pub use saving::DmpmqmsgArgs;
pub use setup::{CertsCommand, ClusterCommand, DemoArgs, GenerateCommand, InitArgs};
pub use values::NamedHosts;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use trimaran_client::{Connection, Tls};

use crate::output::{Failure, patiently};
use values::parse_wait;

const DEFAULT_ADDRESSES: &str = "127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203";
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

/// Messages, queues, status and membership of a Trimaran cluster.
#[derive(Debug, Parser)]
#[command(
    name = "trimaran",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Examples:
  trimaran demo                                   three nodes on this machine, to try things with
  trimaran queue create HA.QUEUE
  echo Hello | trimaran put HA.QUEUE
  trimaran get HA.QUEUE
  trimaran --connect 10.0.0.1:7201,10.0.0.2:7201 status

Exit codes: 0 done, 1 refused, 2 usage, 3 no message, 4 cannot reach, 5 this machine.
`trimaran help exit-codes` says more; `trimaran help topics` lists what else there is to read."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Global {
    /// Nodes to ask, in any order; one that answers is enough
    #[arg(
        long,
        global = true,
        env = "TRIMARAN_CONNECT",
        value_name = "HOST:PORT,...",
        default_value = DEFAULT_ADDRESSES,
        value_delimiter = ','
    )]
    pub connect: Vec<String>,

    /// Queue manager; not needed when the cluster has only one
    #[arg(long, short = 'm', global = true, env = "TRIMARAN_QUEUE_MANAGER", value_name = "NAME")]
    pub queue_manager: Option<String>,

    /// Certificate of the authority that the nodes' certificates come from; turns TLS on
    #[arg(long, global = true, env = "TRIMARAN_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// Certificate of the user (PEM)
    #[arg(long, global = true, env = "TRIMARAN_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key that belongs to --tls-cert (PEM)
    #[arg(long, global = true, env = "TRIMARAN_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Name to look for in the nodes' certificates, where it is not the host in --connect
    #[arg(long, global = true, env = "TRIMARAN_TLS_NAME", value_name = "NAME")]
    pub tls_name: Option<String>,

    /// How long to look for a node that serves [default: 10s; `status`: 2s for a node to answer]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_wait)]
    pub within: Option<Duration>,

    /// Machine-readable output: one JSON object a line, errors too (on standard error)
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    /// What is wrong with the files is this machine's: the command line was understood.
    pub fn tls(&self) -> Result<Option<Tls>, Failure> {
        let lacks = |given: &str, lacking: &str| {
            Failure::Usage(format!(
                "{given} is given, as an option or in the environment, and {lacking} is not; give both, or leave {given} out"
            ))
        };
        let (certificate, key) = ("--tls-cert (TRIMARAN_TLS_CERT)", "--tls-key (TRIMARAN_TLS_KEY)");
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => return Err(lacks(certificate, key)),
            (None, Some(_)) => return Err(lacks(key, certificate)),
            (Some(_), Some(_)) if self.tls_ca.is_none() => {
                return Err(lacks(certificate, "--tls-ca (TRIMARAN_TLS_CA)"));
            }
            _ => {}
        }
        let Some(authority) = &self.tls_ca else {
            return match self.tls_name {
                Some(_) => Err(lacks("--tls-name (TRIMARAN_TLS_NAME)", "--tls-ca (TRIMARAN_TLS_CA)")),
                None => Ok(None),
            };
        };
        let identity = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        let tls = Tls::from_files(authority, identity).map_err(|error| Failure::Local(error.to_string()))?;
        Ok(Some(match &self.tls_name {
            None => tls,
            Some(name) => tls.server_name(name),
        }))
    }

    /// How long to look for a node that serves.
    pub fn patience(&self) -> Duration {
        self.within.unwrap_or(DEFAULT_PATIENCE)
    }

    /// The nodes to ask.
    pub fn addresses(&self) -> Result<Vec<String>, Failure> {
        let addresses: Vec<String> = self
            .connect
            .iter()
            .map(|address| address.trim().to_string())
            .filter(|address| !address.is_empty())
            .collect();
        match addresses.is_empty() {
            false => Ok(addresses),
            true => Err(Failure::Usage(
                "--connect (or TRIMARAN_CONNECT) is empty; name at least one node, as host:port".into(),
            )),
        }
    }

    pub fn builder(&self) -> Result<trimaran_client::Builder, Failure> {
        let mut builder = Connection::builder(self.addresses()?)
            .application_name("trimaran")
            .connect_within(self.patience());
        if let Some(name) = &self.queue_manager {
            builder = builder.queue_manager(name);
        }
        if let Some(tls) = self.tls()? {
            builder = builder.tls(tls);
        }
        Ok(builder)
    }

    pub async fn connect(&self) -> Result<Connection, Failure> {
        let builder = self.builder()?;
        Ok(patiently("looking for the node that serves", builder.connect()).await?)
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send messages, one a line; an empty line ends it
    Send(TalkArgs),
    /// Look at the messages from the front and choose which to get
    Receive(ReceiveArgs),
    /// Put messages from the command line, standard input or files
    Put(PutArgs),
    /// Get messages
    Get(GetArgs),
    /// Look at messages without taking them
    Browse(BrowseArgs),
    /// Put and get on several queues in one unit of work
    Unit(UnitArgs),
    /// Put each line of standard input as a message, as MQ's sample does
    #[command(visible_alias = "amqsputc")]
    Amqsput(AmqsputArgs),
    /// Get messages until none comes for 15 s, as MQ's sample does
    #[command(visible_alias = "amqsgetc")]
    Amqsget(AmqsgetArgs),
    /// Print the texts of messages and leave them, as MQ's sample does
    #[command(visible_alias = "amqsgbrc")]
    Amqsgbr(AmqsgbrArgs),
    /// Dump descriptors and bodies of messages and leave them, as MQ's sample does
    #[command(visible_alias = "amqsbcgc")]
    Amqsbcg(AmqsbcgArgs),
    /// Give dead letters back to the queues they were meant for
    Requeue(RequeueArgs),
    /// Create, alter, delete, clear and show queues
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Define an object of any kind (DEFINE)
    Define(DefineArgs),
    /// Change attributes of the queue manager, or of an object of any kind (ALTER)
    #[command(
        arg_required_else_help = true,
        after_help = "Examples:\n  trimaran alter --deadq DEAD.LETTERS --maxumsgs 100000\n  trimaran alter CHANNEL APP.SVRCONN MAXINST=50"
    )]
    Alter(AlterArgs),
    /// Show objects of any kind with all attributes (DISPLAY)
    Display(DisplayArgs),
    /// Delete an object of any kind (DELETE)
    Delete(DeleteArgs),
    /// Set a record of channel authentication or of authorities (SET)
    Set(SetArgs),
    /// Type commands of MQSC, or run a script of them
    Runmqsc(RunmqscArgs),
    /// Handle dead letters by the rules of a table, read from standard input
    Runmqdlq(RunmqdlqArgs),
    /// Save messages to files and restore them, copy and move them
    Dmpmqmsg(DmpmqmsgArgs),
    /// Bring definitions in line with a script of MQSC; says what it changed
    Apply(ApplyArgs),
    /// Print definitions as commands of MQSC that make them again
    Dmpmqcfg(DmpmqcfgArgs),
    /// Give users and groups authorities on objects, and take them away
    Setmqaut(SetmqautArgs),
    /// Show what a user or a group may do with an object
    Dspmqaut(DspmqautArgs),
    /// Print records of authorities
    Dmpmqaut(DmpmqautArgs),
    /// Show queue managers and how they are
    Dspmq(DspmqArgs),
    /// Create a queue manager on all nodes, while they run
    Crtmqm(CrtmqmArgs),
    /// Where a queue manager should be: floating addresses, preferred node, canaries
    Place(PlaceArgs),
    /// Delete a queue manager that was ended, with all that it has
    Dltmqm(DltmqmArgs),
    /// Start a queue manager that was ended
    Strmqm(StrmqmArgs),
    /// End a queue manager: no node serves it until it is started
    Endmqm(EndmqmArgs),
    /// Show the version
    Dspmqver(DspmqverArgs),
    /// What a reason code is called, and what to do about it
    Mqrc(MqrcArgs),
    /// Who serves, who is in sync, and what a failover would lose
    Status(StatusArgs),
    /// Move a queue manager to another node, in good order
    Move(MoveArgs),
    /// Add, remove and replace nodes, and take them out of service, while messages flow
    ///
    /// Every queue manager of the cluster is changed, whichever one --queue-manager names.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Which node served when, and why it changed
    Failovers(FailoversArgs),
    /// Who changed what, when and from where
    Audit(AuditArgs),
    /// How long nobody served, by what it was for, against a target
    Availability(AvailabilityArgs),
    /// Go on with the best log that is left when most logs are damaged; says first what is lost
    Recover(RecoverArgs),
    /// What became of a unit of work
    Outcome(OutcomeArgs),
    /// A small certificate authority for those who have none
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Write a cluster file to begin with
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Three nodes on this machine, some messages, and a leader to kill
    Demo(DemoArgs),
    /// What a package brings along with the command
    #[command(subcommand, hide = true)]
    Generate(GenerateCommand),
    /// More about a command or a topic
    Help(HelpArgs),
}

#[derive(Debug, Args)]
pub struct HelpArgs {
    /// A topic (see `trimaran help topics`) or a command
    pub topic: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_empty_list_of_nodes_is_refused_by_name() {
        let connect_to = |list: &str| {
            Cli::try_parse_from(["trimaran", "--connect", list, "status"]).unwrap().global.addresses()
        };
        assert_eq!(connect_to(" a:1,b:2,").unwrap(), ["a:1", "b:2"]);
        for empty in ["", " , "] {
            let Err(Failure::Usage(text)) = connect_to(empty) else { panic!("{empty:?} is no address") };
            assert!(text.contains("--connect"), "{text}");
        }
    }

    #[test]
    fn an_empty_name_names_nobody() {
        // With nothing in place of the bar.
        for line in [
            "move ONE |",
            "move |",
            "node drain |",
            "node resume |",
            "node remove |",
            "node replace | d --id 4 --peer h:1 --client h:2",
            "recover --from-best --without |",
            "recover --from-best --confirm |",
            "crtmqm |",
            "crtmqm -p | ONE",
            "crtmqm --preferred | ONE",
            "dltmqm |",
            "strmqm |",
            "endmqm -i |",
        ] {
            let words = line.split(' ').map(|word| if word == "|" { "" } else { word });
            let parsed = Cli::try_parse_from(std::iter::once("trimaran").chain(words));
            assert!(parsed.is_err(), "{line}");
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_a_fault_of_this_machine() {
        let tls =
            |ca: &str| Cli::try_parse_from(["trimaran", "--tls-ca", ca, "status"]).unwrap().global.tls();
        let unreadable = tls("/no/such/file").unwrap_err();
        assert!(
            matches!(&unreadable, Failure::Local(text) if text.contains("/no/such/file")),
            "{unreadable:?}"
        );
        assert_eq!(unreadable.exit_code(), 5);
        assert_eq!(tls("/dev/null").unwrap_err().exit_code(), 5);
    }

    #[test]
    fn messages_come_from_one_source_which_may_have_several() {
        let put = |arguments: &[&str]| {
            let cli = Cli::try_parse_from([&["trimaran", "put", "Q"], arguments].concat());
            match cli.map(|cli| cli.command) {
                Ok(Command::Put(args)) => Ok(args.message),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error.kind()),
            }
        };
        assert_eq!(put(&["-M", "a", "--message", "b", "-M", ""]).unwrap(), ["a", "b", ""]);
        assert_eq!(put(&["-M", "a", "--lines"]), Err(clap::error::ErrorKind::ArgumentConflict));
    }

    #[test]
    fn certificates_that_end_before_they_begin_are_not_made() {
        for made in [
            &["init", "--cluster", "shop", "--nodes", "a=127.0.0.1", "--out", "certs"][..],
            &["add", "--dir", "certs", "--users", "joe"],
            &["init", "--cluster", "shop", "--nodes", "a=127.0.0.1", "--dir", "certs"],
            &["add", "--out", "certs", "--users", "joe"],
        ] {
            let days = |days: &str| {
                let cli = Cli::try_parse_from([&["trimaran", "certs"][..], made, &["--days", days]].concat());
                cli.map(|_| ()).map_err(|error| error.to_string())
            };
            assert_eq!(days("1"), Ok(()));
            let refused = days("0").unwrap_err();
            assert!(refused.contains("--days") && refused.contains("0 is not in 1.."), "{refused}");
        }
    }

    #[test]
    fn every_command_teaches_by_example_or_says_enough() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{} wants a sentence", command.get_name());
        }
    }
}
