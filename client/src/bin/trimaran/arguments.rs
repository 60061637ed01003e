//! What can be typed. The words are MQ's where MQ has one.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use trimaran_client::{Connection, FOREVER, RecordAction, Tls, unhex};

use crate::attributes::{ManagerFlags, QueueFlags};
use crate::output::{Failure, patiently};

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
    #[arg(
        long,
        global = true,
        env = "TRIMARAN_TLS_CERT",
        value_name = "FILE",
        requires = "tls_ca",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,

    /// Private key that belongs to --tls-cert (PEM)
    #[arg(long, global = true, env = "TRIMARAN_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Name to look for in the nodes' certificates, where it is not the host in --connect
    #[arg(long, global = true, env = "TRIMARAN_TLS_NAME", value_name = "NAME", requires = "tls_ca")]
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
        let Some(authority) = &self.tls_ca else { return Ok(None) };
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
    /// Bring definitions in line with a script of MQSC; says what it changed
    Apply(ApplyArgs),
    /// Print definitions as commands of MQSC that make them again
    Dmpmqcfg(DmpmqcfgArgs),
    /// Show queue managers and how they are
    Dspmq(DspmqArgs),
    /// Show the version
    Dspmqver,
    /// What a reason code is called, and what to do about it
    Mqrc(MqrcArgs),
    /// Who serves, who is in sync, and what a failover would lose
    Status(StatusArgs),
    /// Move the active instance to another node
    Switch(SwitchArgs),
    /// Add, remove and replace nodes while messages flow
    ///
    /// Every queue manager of the cluster is changed, whichever one --queue-manager names.
    #[command(subcommand)]
    Node(NodeCommand),
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
    /// More about a command or a topic
    Help(HelpArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran send HA.QUEUE
  trimaran send --host 10.0.0.7 --port 1414 --queue-manager ha.queue.manager --channel SYSTEM.DEF.SVRCONN HA.QUEUE
  printf 'Hello\\nThis\\nis\\na\\ntest\\n\\n' | trimaran send HA.QUEUE

The messages are persistent. For scripts there is `trimaran put`.")]
pub struct TalkArgs {
    /// The queue
    pub queue: String,

    /// Host to connect to, in place of --connect
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// Port on that host [default: 1414 with a channel, otherwise 7201]
    #[arg(long, requires = "host")]
    pub port: Option<u16>,

    /// Channel to connect through as IBM MQ clients do; needs --host, without it the name is only shown
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
}

impl TalkArgs {
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.channel.is_some() { 1414 } else { 7201 })
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran receive HA.QUEUE          asks for each message: y gets that very message, n leaves it, q ends
  trimaran receive --yes HA.QUEUE    gets them all
  yes n | trimaran receive HA.QUEUE  gets none

It ends with reason 2033, no message available, when there is nothing more to browse. That is success.")]
pub struct ReceiveArgs {
    #[command(flatten)]
    pub talk: TalkArgs,

    /// Get every message without asking
    #[arg(long, short)]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran put HA.QUEUE --message Hello
  trimaran put HA.QUEUE -M one -M two                one message each, in this order
  echo Hello | trimaran put HA.QUEUE                 all of standard input is one message; of one line of text without
                                                     its newline, unless --exact
  seq 1000 | trimaran put HA.QUEUE --lines           one message a line
  trimaran put HA.QUEUE --file a.pdf --file b.pdf    one message a file
  trimaran browse A --json-lines | trimaran put B --json-lines
  trimaran put HA.QUEUE --message tick --count 100000 --not-persistent --expiry 30s

Every message that is reported as put is on disk on a majority of nodes, unless it is not persistent. Puts that lose
their answer with a node are repeated and stored once.")]
pub struct PutArgs {
    /// The queue
    pub queue: String,

    /// Text of the message; may be given several times, for one message each
    #[arg(long, short = 'M', value_name = "TEXT", group = "source")]
    pub message: Vec<String>,

    /// File to put as one message; may be given several times
    #[arg(long, short = 'f', value_name = "PATH", group = "source")]
    pub file: Vec<PathBuf>,

    /// One message for every line of standard input
    #[arg(long, group = "source")]
    pub lines: bool,

    /// One message for every JSON object of standard input, as `browse --json-lines` prints them
    #[arg(long, group = "source")]
    pub json_lines: bool,

    /// All of standard input, also the newline at the end of a single line
    #[arg(long, conflicts_with_all = ["source", "lines", "json_lines"])]
    pub exact: bool,

    /// Put everything so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,

    #[command(flatten)]
    pub descriptor: DescriptorArgs,

    /// What the queue does not take goes to the dead-letter queue
    #[arg(long)]
    pub dead_letter: bool,

    /// Number the puts under this name, so that the same command can be repeated after a crash without harm
    #[arg(long, value_name = "NAME")]
    pub producer: Option<String>,

    /// Number of the first put
    #[arg(long, value_name = "N", default_value_t = 1, requires = "producer",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub first_sequence: u64,

    /// The same command was tried before: what cannot be judged any more is refused (2195) rather than put twice
    #[arg(long, requires = "producer")]
    pub repeat: bool,

    /// Print nothing when all goes well
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Message")]
pub struct DescriptorArgs {
    /// 0 (lowest) to 9; without it DEFPRTY of the queue
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=9))]
    pub priority: Option<u32>,

    /// Survives a failover, whatever DEFPSIST of the queue says
    #[arg(long, group = "persistence")]
    pub persistent: bool,

    /// Kept in memory only: faster, and lost when the queue manager moves
    #[arg(long, group = "persistence")]
    pub not_persistent: bool,

    /// As DEFPSIST of the queue says, which is the default
    #[arg(long, group = "persistence")]
    pub persistence_as_queue: bool,

    /// The message vanishes when nobody got it for so long, for example 500ms, 30s, 2h
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    pub expiry: Option<Duration>,

    /// Text of at most 24 bytes, or 0x and hexadecimal digits
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub correlation_id: Option<Id>,

    /// Text of at most 24 bytes, or 0x and hexadecimal digits
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub message_id: Option<Id>,

    /// Text of at most 24 bytes, or 0x and hexadecimal digits
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub group_id: Option<Id>,

    /// Format name of the body, for example MQSTR
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,

    /// Makes it a request whose reply goes to this queue
    #[arg(long, value_name = "QUEUE")]
    pub reply_to: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectionArgs {
    /// Only the message with this id: text, or 0x and hexadecimal digits
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub message_id: Option<Id>,

    /// Only messages with this correlation id
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub correlation_id: Option<Id>,

    /// Only messages of this group
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub group_id: Option<Id>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran get HA.QUEUE                      one message, its body on standard output; exit code 3 when there is none
  trimaran get HA.QUEUE --wait 5s            waits for one
  trimaran get HA.QUEUE --all --json-lines   whatever is there, with all fields
  trimaran get HA.QUEUE --count 10 --wait forever
  trimaran get HA.QUEUE --all --to received  one file a message, and no message lost: it leaves the queue when its
                                             file is on disk

A file that standard output goes to gets the body of one message and nothing else. On a terminal, and of several
messages, text that does not end its line has a newline added.

Without --syncpoint a message is gone from the queue when it arrives here. With it, it is gone after it was written out,
up to 64 messages at a time, so a crash in between can show them twice but never lose one. Files are never written over:
the second message with one id gets a file ending in .2, and so on.")]
pub struct GetArgs {
    /// The queue
    pub queue: String,

    /// Get so many messages
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1, conflicts_with = "all")]
    pub count: u64,

    /// Get all messages there are; that there are none is success
    #[arg(long)]
    pub all: bool,

    /// How long to wait for each message, for example 500ms, 5s, forever
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_wait)]
    pub wait: Duration,

    /// Write each body to a file of this directory, named by message id; implies --syncpoint
    #[arg(long, value_name = "DIR", conflicts_with = "json_lines")]
    pub to: Option<PathBuf>,

    /// Print each message as a JSON object with all its fields
    #[arg(long)]
    pub json_lines: bool,

    /// Commit each message after it was written out
    #[arg(long)]
    pub syncpoint: bool,

    #[command(flatten)]
    pub selection: SelectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran browse HA.QUEUE
  trimaran browse HA.QUEUE --count 3 --bodies
  trimaran browse HA.QUEUE --json-lines | jq .priority")]
pub struct BrowseArgs {
    /// The queue
    pub queue: String,

    /// Stop after so many messages
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<u64>,

    /// Print each message as a JSON object with all its fields
    #[arg(long)]
    pub json_lines: bool,

    /// Print bodies only, one a line
    #[arg(long, conflicts_with = "json_lines")]
    pub bodies: bool,

    #[command(flatten)]
    pub selection: SelectionArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran requeue DEAD.LETTERS                            each to the queue that its header names
  trimaran requeue DEAD.LETTERS --reason 2053 --count 100  of those that were refused because their queue was full
  trimaran requeue DEAD.LETTERS --of-queue ORDERS --to ORDERS.REPAIRED

The header goes, the message is as it was put. Each leaves the dead-letter queue in the unit of work that puts it; one
that is refused again ends the command, and stays.")]
pub struct RequeueArgs {
    /// The dead-letter queue
    pub queue: String,

    /// Only those that were refused for this reason, for example 2053
    #[arg(long, value_name = "REASON")]
    pub reason: Option<u32>,

    /// Only those that were meant for this queue
    #[arg(long, value_name = "QUEUE")]
    pub of_queue: Option<String>,

    /// To this queue, in place of the one that the header names
    #[arg(long, value_name = "QUEUE")]
    pub to: Option<String>,

    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    pub count: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Create a local queue (DEFINE QLOCAL)
    #[command(after_help = "\
Examples:
  trimaran queue create HA.QUEUE
  trimaran queue create ORDERS --maxdepth 1000000 --bothresh 3 --boqname ORDERS.FAILED --descr 'from the web shop'")]
    Create {
        /// Name of the queue: up to 48 of A-Z a-z 0-9 . / _ %
        queue: String,
        /// That the queue exists already is success; its attributes stay as they are
        #[arg(long)]
        if_not_exists: bool,
        #[command(flatten)]
        attributes: QueueFlags,
    },
    /// Change attributes of a queue (ALTER QLOCAL); what is not given keeps its value
    #[command(after_help = "Example:\n  trimaran queue alter HA.QUEUE --put disabled")]
    Alter {
        /// Name of the queue
        queue: String,
        #[command(flatten)]
        attributes: QueueFlags,
    },
    /// Delete a queue (DELETE QLOCAL)
    Delete {
        /// Name of the queue
        queue: String,
        /// Delete its messages with it
        #[arg(long)]
        purge: bool,
    },
    /// Delete all messages of a queue (CLEAR QLOCAL)
    Clear {
        /// Name of the queue
        queue: String,
    },
    /// Show queues with depth and attributes (DISPLAY QLOCAL, DISPLAY QSTATUS)
    #[command(after_help = "Examples:\n  trimaran queue show\n  trimaran queue show 'ORDERS.*' --full")]
    Show {
        /// Name, or a beginning with * behind it; without it all queues but those that begin with SYSTEM.
        #[arg(default_value = "")]
        queue: String,
        /// All attributes
        #[arg(long)]
        full: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran define QALIAS ORDERS.IN TARGET=ORDERS
  trimaran define QLOCAL ORDERS.LARGE --like ORDERS MAXMSGL=104857600
  trimaran define CHANNEL APP.SVRCONN CHLTYPE=SVRCONN MAXINST=200

Kinds: QLOCAL, QALIAS, QREMOTE, QMODEL, CHANNEL, LISTENER, TOPIC, SUB, AUTHINFO.")]
pub struct DefineArgs {
    /// Kind of the object
    pub kind: String,
    /// Its name
    pub name: String,
    /// Attributes and values by their MQSC names; what is not given has its default
    #[arg(value_name = "ATTRIBUTE=VALUE")]
    pub attributes: Vec<String>,
    /// Take the attributes of this object of the same kind for what is not given
    #[arg(long, value_name = "NAME")]
    pub like: Option<String>,
    /// Replace an object of this name; a queue keeps its messages
    #[arg(long)]
    pub replace: bool,
    /// That the object exists already is success; its attributes stay as they are
    #[arg(long, conflicts_with = "replace")]
    pub if_not_exists: bool,
}

#[derive(Debug, Args)]
pub struct AlterArgs {
    /// Kind and name of an object and its attributes: KIND NAME ATTRIBUTE=VALUE ...; what is not given keeps its value
    pub words: Vec<String>,
    #[command(flatten)]
    pub manager: ManagerFlags,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trimaran display QMGR\n  trimaran display CHANNEL 'APP.*'\n  trimaran display queue"
)]
pub struct DisplayArgs {
    /// Kind of the objects; QUEUE for queues of all types
    pub kind: String,
    /// Name, or a beginning with * behind it; all without it
    #[arg(default_value = "")]
    pub name: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  trimaran delete QALIAS ORDERS.IN")]
pub struct DeleteArgs {
    /// Kind of the object
    pub kind: String,
    /// Its name
    pub name: String,
    /// Delete the messages of a local queue with it
    #[arg(long)]
    pub purge: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran set CHLAUTH APP.SVRCONN TYPE=BLOCKUSER USERLIST=nobody
  trimaran set AUTHREC 'DEV.**' OBJTYPE=QUEUE ENTTYPE=PRINCIPAL ENTITY=app AUTHLIST=PUT,GET,BROWSE

Records are kept and displayed; they are not enforced yet.")]
pub struct SetArgs {
    /// CHLAUTH or AUTHREC
    pub kind: String,
    /// Channel or objects the record is for, with wildcards
    pub profile: String,
    /// What names the record, and what it says
    #[arg(value_name = "ATTRIBUTE=VALUE")]
    pub attributes: Vec<String>,
    /// What to do with the record
    #[arg(long, value_enum, default_value = "add", ignore_case = true)]
    pub action: Action,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Action {
    /// Lists grow; a record that is not there is made
    Add,
    /// What it said before is gone
    Replace,
    /// Lists shrink; a record that says nothing any more is gone
    Remove,
    /// All records of the profile
    Removeall,
}

impl From<Action> for RecordAction {
    fn from(action: Action) -> RecordAction {
        match action {
            Action::Add => RecordAction::Add,
            Action::Replace => RecordAction::Replace,
            Action::Remove => RecordAction::Remove,
            Action::Removeall => RecordAction::RemoveAll,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran runmqsc                                  commands line by line; `end` ends
  trimaran runmqsc ha.queue.manager < queues.mqsc
  echo 'display qlocal(*) curdepth' | trimaran runmqsc -e
  trimaran runmqsc -f queues.mqsc -v                only checks what can be understood

Whichever node is reached, commands go to the one that serves. `DEFINE QLOCAL ?` shows what a command may say.
Exit codes are those of MQ: 0 all commands were done, 10 some were not, 20 none could be. By a link of the name runmqsc this
program is runmqsc.")]
pub struct RunmqscArgs {
    /// Queue manager; not needed when the cluster has only one
    #[arg(value_name = "QMGR")]
    pub name: Option<String>,
    /// Do not show the commands
    #[arg(short = 'e')]
    pub quiet: bool,
    /// Read the commands from a file
    #[arg(short = 'f', value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only check commands, do none
    #[arg(short = 'v')]
    pub verify: bool,
    /// Seconds to look for the node that serves, in place of --within
    #[arg(short = 'w', value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// Connect as a client, which is what is always done
    #[arg(short = 'c')]
    pub client: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran apply queues.mqsc --dry-run     what would be changed
  trimaran apply queues.mqsc               changes it; a second time there is nothing to do

DEFINE brings an object to what it says, everything it does not say to what a new object has, and keeps messages. ALTER, SET
and DELETE are done where they would change something.")]
pub struct ApplyArgs {
    /// Script of MQSC; - for standard input
    pub file: PathBuf,
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran dmpmqcfg -m ha.queue.manager > config.mqsc
  trimaran dmpmqcfg -n 'ORDERS.*' -t queue -o 1line")]
pub struct DmpmqcfgArgs {
    /// Every attribute, also what has its default
    #[arg(short = 'a')]
    pub all: bool,
    /// Objects whose names match
    #[arg(short = 'n', value_name = "NAME", default_value = "*")]
    pub name: String,
    /// Kind of objects
    #[arg(short = 't', value_name = "TYPE", default_value = "all",
        value_parser = ["all", "qmgr", "queue", "qlocal", "qalias", "qremote", "qmodel", "channel", "listener", "topic",
            "authinfo"], ignore_case = true)]
    pub kind: String,
    /// What is dumped: objects, records, or subscriptions
    #[arg(short = 'x', value_name = "EXPORT", default_value = "all",
        value_parser = ["all", "object", "authrec", "chlauth", "sub"], ignore_case = true)]
    pub export: String,
    /// Format: a command on several lines, or on one
    #[arg(short = 'o', value_name = "FORMAT", default_value = "mqsc", value_parser = ["mqsc", "1line"], ignore_case = true)]
    pub format: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran dspmq
  trimaran dspmq -m ha.queue.manager -o nativeha -x
  trimaran dspmq -o all")]
pub struct DspmqArgs {
    /// Details
    #[arg(short = 'o', value_name = "DETAIL", value_parser = ["all", "status", "default", "nativeha"], ignore_case = true)]
    pub details: Vec<String>,
    /// Each instance on a line of its own
    #[arg(short = 'x')]
    pub instances: bool,
    /// Status as programs compare it, in capitals
    #[arg(short = 'n')]
    pub untranslated: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trimaran mqrc 2035\n  trimaran mqrc MQRC_NOT_AUTHORIZED\n  trimaran mqrc 0x7f3"
)]
pub struct MqrcArgs {
    /// Number, number in hexadecimal behind 0x, or name
    pub reason: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran status
  trimaran status --watch
  trimaran status --check || echo 'somebody should look'

Every node of --connect is asked, and those that they name.")]
pub struct StatusArgs {
    /// Look again every second
    #[arg(long, short)]
    pub watch: bool,

    /// Exit code 1 unless every queue manager is served and every node is in sync
    #[arg(long, conflicts_with = "watch")]
    pub check: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran switch          to the node that is most up to date
  trimaran switch --to b

Clients follow by themselves; calls in flight wait for about a tenth of a second.")]
pub struct SwitchArgs {
    /// Node that shall serve
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A node whose log is damaged does not vote before it has fetched what it lacks. When that is so on a majority, nobody can
be elected, and a person has to decide: repair the nodes that have more, or go on with what the best of the others has.
Where a leader lives and does not serve, because the others lost their logs, it is the best one, and vouches for them.

  1. Start every node that is left; `trimaran status` says which are recovering.
  2. `trimaran recover --from-best` says how far each log goes and which entries would be lost. Nothing is done yet.
  3. The same with --confirm QUEUE-MANAGER, or the name typed when asked, does it.

Where log and message store are gone on every node there is nothing to go on with: put copies of the directories back, or
begin with an empty queue manager with --begin-anew.

Examples:
  trimaran recover --from-best --without c --confirm ha.queue.manager
  trimaran recover --from-best --begin-anew --confirm ha.queue.manager")]
pub struct RecoverArgs {
    /// Use the log that goes furthest
    #[arg(long, required = true)]
    pub from_best: bool,
    /// A voter that does not answer and is lost for good; may be repeated
    #[arg(long, value_name = "NODE")]
    pub without: Vec<String>,
    /// Where no node has anything left: give up all messages and definitions, and begin with an empty queue manager
    #[arg(long)]
    pub begin_anew: bool,
    /// Accept the loss: the name of the queue manager
    #[arg(long, value_name = "QUEUE-MANAGER")]
    pub confirm: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Add a node to every queue manager
    #[command(after_help = "\
Example:
  trimaran node add d --id 4 --peer 10.0.0.4:7101 --client 10.0.0.4:7201

Start the node first, with the cluster file that has it with `joins = true`. The command returns when the node has
everything.")]
    Add {
        /// Name of the node
        name: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Remove a node from every queue manager; it never comes back under its id
    #[command(after_help = "Example:\n  trimaran node remove c")]
    Remove {
        /// Name of the node
        name: String,
    },
    /// Put a new node in the place of an old one, in one step
    #[command(
        after_help = "Example:\n  trimaran node replace c d --id 4 --peer 10.0.0.4:7101 --client 10.0.0.4:7201"
    )]
    Replace {
        /// Name of the node that goes
        old: String,
        /// Name of the node that comes
        name: String,
        #[command(flatten)]
        node: NodeArgs,
    },
}

#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Number of the node, never used before in this cluster
    #[arg(long)]
    pub id: u64,
    /// Where the other nodes reach it
    #[arg(long, value_name = "HOST:PORT")]
    pub peer: String,
    /// Where clients reach it
    #[arg(long, value_name = "HOST:PORT")]
    pub client: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  trimaran outcome 0x6f726465722034373131

Prints \"committed\", \"backed out\" or \"not known any more\". The answer is final: a unit that is not committed now can
not be committed afterwards, so do not ask for a unit that is still at work.")]
pub struct OutcomeArgs {
    /// Id of the unit: text of at most 24 bytes, or 0x and hexadecimal digits
    #[arg(value_name = "UNIT", value_parser = parse_id)]
    pub unit: Id,

    /// How many units had been decided when the commit was sent, as the program noted it. Without it a unit of which
    /// nothing is known is \"not known any more\" as soon as the queue manager has forgotten any
    #[arg(long, value_name = "N")]
    pub units_decided: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// Make an authority, a certificate for each node, and one for each user
    #[command(after_help = "\
Example:
  trimaran certs init --cluster shop --nodes a=10.0.0.1,b=10.0.0.2+b.example,c=10.0.0.3 --users joe --out certs

Copy ca.pem, node-a.pem and node-a.key to node a, and so on. Keep ca.key where no node is: whoever has it can make
nodes and users.")]
    Init {
        /// Name of the cluster, as in the cluster file
        #[arg(long, value_name = "NAME")]
        cluster: String,
        /// Nodes and the hosts they are reached by: NAME=HOST[+HOST...],...
        #[arg(long, value_name = "NODES", value_delimiter = ',', required = true, value_parser = parse_named_hosts)]
        nodes: Vec<NamedHosts>,
        /// Users
        #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "admin")]
        users: Vec<String>,
        /// Directory to write to; made when it does not exist
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Days until the certificates of nodes and users end; the authority's lasts ten times as long
        #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..))]
        days: u32,
    },
    /// Certificates for more nodes and users, from the authority that `init` made
    #[command(after_help = "Example:\n  trimaran certs add --dir certs --nodes d=10.0.0.4 --users ann,bob")]
    Add {
        /// Directory with ca.pem and ca.key
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Nodes and the hosts they are reached by: NAME=HOST[+HOST...],...
        #[arg(long, value_name = "NODES", value_delimiter = ',', value_parser = parse_named_hosts)]
        nodes: Vec<NamedHosts>,
        /// Users
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        users: Vec<String>,
        /// Days until they end
        #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..))]
        days: u32,
    },
}

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Write a cluster file that explains itself
    Init(InitArgs),
    /// Let all nodes write what the newest release has, when every node runs it
    #[command(after_help = "\
Examples:
  trimaran cluster upgrade --check    what each node speaks, and what the queue managers are written in
  trimaran cluster upgrade

A new release is started node by node, while messages flow, and may be taken back the same way. It goes on writing what
the release before it reads until this command was given; then there is no way back. It is refused, with the node's
name, while a node does not speak the new version or is not there.")]
    Upgrade {
        /// Only say what each node speaks
        #[arg(long)]
        check: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran cluster init --out cluster.toml                           three nodes on this machine
  trimaran cluster init --cluster shop --nodes a=10.0.0.1,b=10.0.0.2,c=10.0.0.3 --queue-managers orders,invoices \\
      --tls /etc/trimaran/certs --out cluster.toml
  trimaran cluster init --nodes a=::1,b=::1,c=::1 --ports 8101,8201,8301 --out cluster.toml

The file is the same on every node. Then: trimaran-node check --config cluster.toml --node a")]
pub struct InitArgs {
    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub cluster: String,
    /// Nodes and their hosts: NAME=HOST,...
    #[arg(
        long,
        value_name = "NODES",
        value_delimiter = ',',
        default_value = "a=127.0.0.1,b=127.0.0.1,c=127.0.0.1",
        value_parser = parse_named_hosts
    )]
    pub nodes: Vec<NamedHosts>,
    /// First ports for the other nodes, for clients, and for health and metrics; nodes that share a host count
    /// upwards
    #[arg(
        long,
        value_name = "PEER,CLIENT,HTTP",
        value_delimiter = ',',
        num_args = 1,
        default_value = "7101,7201,7301"
    )]
    pub ports: Vec<u16>,
    /// Queue managers
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "ha.queue.manager")]
    pub queue_managers: Vec<String>,
    /// Directory with certificates on every node, as `trimaran certs init` makes them
    #[arg(long, value_name = "DIR")]
    pub tls: Option<PathBuf>,
    /// File to write; standard output without it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran demo          runs until Ctrl-C
  trimaran demo --once   kills the leader itself, checks that nothing is lost, and ends with 0 or 1")]
pub struct DemoArgs {
    /// Do not wait for Ctrl-C: kill the leader, check, end
    #[arg(long)]
    pub once: bool,

    /// The node's program; looked for beside this one and in the build directories
    #[arg(long, value_name = "PATH")]
    pub node_binary: Option<PathBuf>,

    /// Where the nodes are, in a network that is theirs alone (.ci/demo-network makes one)
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', hide = true)]
    pub hosts: Vec<String>,

    /// An address for clients that moves in that network, like 10.231.0.50/24
    #[arg(long, value_name = "ADDRESS", requires = "hosts", hide = true)]
    pub floating: Option<String>,

    /// Directory for the nodes' files; a temporary one that is removed at the end without it
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct HelpArgs {
    /// A topic (see `trimaran help topics`) or a command
    pub topic: Vec<String>,
}

/// An MQ id: at most 24 bytes.
pub type Id = std::sync::Arc<[u8]>;

#[derive(Clone, Debug)]
pub struct NamedHosts {
    pub name: String,
    pub hosts: Vec<String>,
}

fn parse_id(text: &str) -> Result<Id, String> {
    let bytes = match text.strip_prefix("0x") {
        Some(digits) => unhex(digits).ok_or("after 0x there must be an even number of hexadecimal digits")?,
        None => text.as_bytes().to_vec(),
    };
    match bytes.len() {
        1..=24 => Ok(bytes.into()),
        length => Err(format!("an id has 1 to 24 bytes, this one has {length}")),
    }
}

fn parse_named_hosts(text: &str) -> Result<NamedHosts, String> {
    let (name, hosts) = text.split_once('=').ok_or("write NAME=HOST")?;
    let hosts = hosts.split('+').map(|host| parse_host(name, host.trim()));
    let hosts = hosts.collect::<Result<Vec<String>, String>>()?;
    let name_is_good =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !name_is_good {
        return Err(format!("\"{name}\" is not a name for a node; use letters, digits, - _ ."));
    }
    if hosts.iter().any(String::is_empty) {
        return Err(format!("node {name} has no host; write {name}=HOST"));
    }
    Ok(NamedHosts { name: name.to_string(), hosts })
}

/// A name or an address, IPv6 also in brackets, without a port.
fn parse_host(node: &str, host: &str) -> Result<String, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_address = bare.parse::<std::net::IpAddr>().is_ok();
    let is_name =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_address || is_name(host) {
        return Ok(bare.to_string());
    }
    match host.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => Err(format!(
            "write {node}={host}: a host without a port; `cluster init` takes ports with --ports"
        )),
        _ => Err(format!("\"{host}\" is neither the name of a host nor an address")),
    }
}

/// `500ms`, `5s`, `2m`, `1h`, a number of seconds, or `forever`.
pub fn parse_wait(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("forever") {
        return Ok(FOREVER);
    }
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..split].parse().map_err(|_| "write a time like 500ms, 5s, 2m, 1h or forever")?;
    let seconds = match text[split..].trim() {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        unit => return Err(format!("\"{unit}\" is not a unit of time; use ms, s, m, h or d")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| "that is too long a time; write forever".to_string())
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
    fn times_have_units() {
        assert_eq!(parse_wait("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_wait("1.5 h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_wait("3"), Ok(Duration::from_secs(3)));
        assert_eq!(parse_wait("forever"), Ok(FOREVER));
        assert!(parse_wait("5 parsecs").is_err());
        assert!(parse_wait("-1s").is_err());
    }

    #[test]
    fn ids_are_text_or_hexadecimal() {
        assert_eq!(&*parse_id("order 1").unwrap(), b"order 1");
        assert_eq!(&*parse_id("0x00ff").unwrap(), [0, 255]);
        assert!(parse_id("0x0").is_err());
        assert!(parse_id("a text that is longer than an id").is_err());
    }

    #[test]
    fn every_command_teaches_by_example_or_says_enough() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{} wants a sentence", command.get_name());
        }
    }
}
