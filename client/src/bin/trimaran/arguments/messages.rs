//! Messages: sent, put, got, browsed, and given back to their queues.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use trimaran_client::FIRST_SEQUENCE_MAX;

use super::values::{Id, parse_expiry, parse_id, parse_reason, parse_wait};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran send HA.QUEUE
  trimaran send --host 10.0.0.7 --port 1414 --queue-manager ha.queue.manager --channel SYSTEM.DEF.SVRCONN HA.QUEUE
  printf 'Hello\\nThis\\nis\\na\\ntest\\n\\n' | trimaran send HA.QUEUE

The messages are persistent. For scripts there is `trimaran put`. Where another node takes over it is sought again, over a channel at
the same host and port, for the time of --within; each message is put once. Where nobody can say whether it was put, it says how many
were before, ends with 2549 and does not put it again.")]
pub struct TalkArgs {
    /// The queue
    pub queue: String,

    /// Host to connect to, in place of --connect
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// Port on that host [default: 1414 with a channel, otherwise 7201]
    #[arg(long, value_name = "PORT", requires = "host")]
    pub port: Option<u16>,

    /// Channel to connect through as IBM MQ clients do, over TLS with --tls-ca; needs --host, without it the name is only shown
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

    /// Number the puts under this name, from --first-sequence on, so that the same command can be repeated after a crash
    /// without harm
    #[arg(long, value_name = "NAME")]
    pub producer: Option<String>,

    /// Number of the first put of --producer: 1, or the one behind the last. What has a number that was put before is
    /// not put again, whatever it says
    #[arg(long, value_name = "N", requires = "producer", value_parser = clap::value_parser!(u64).range(1..=FIRST_SEQUENCE_MAX))]
    pub first_sequence: Option<u64>,

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
    /// 0 (lowest) to 9; a higher one is put as 9, with a warning. Without it DEFPRTY of the queue
    #[arg(long, value_name = "N")]
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

    /// The message vanishes when nobody got it for so long, for example 500ms, 30s, 2h; a bare
    /// number is seconds
    #[arg(long, value_name = "TIME", value_parser = parse_expiry)]
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

    /// Only messages that this selector selects, as in JMS: "colour = 'red' AND JMSPriority > 4"
    #[arg(long, value_name = "CONDITION")]
    pub selector: Option<String>,

    /// Groups one after the other, each from its first message to its last; between them what is in no group
    #[arg(long)]
    pub logical_order: bool,

    /// Of groups only those of which all messages are there
    #[arg(long)]
    pub all_available: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran get HA.QUEUE                      one message, its body on standard output; exit code 3 when there is none
  trimaran get HA.QUEUE --wait 5s            waits for one
  trimaran get HA.QUEUE --all --json-lines   whatever is there, with all fields
  trimaran get HA.QUEUE --count 10 --wait forever
  trimaran get HA.QUEUE --all --selector \"colour = 'red'\"
  trimaran get HA.QUEUE --all --logical-order --all-available   whole groups, in their order
  trimaran get HA.QUEUE --all --to received  one file a message, and no message lost: it leaves the queue when its
                                             file is on disk

A file that standard output goes to gets the body of one message and nothing else. On a terminal, and with --all or
--count, however many there are, text that does not end its line has a newline added.

A message is gone from the queue after it was written out, up to 64 messages at a time: if their output fails, or this
program ends in between, they are on the queue again and can be shown twice, but none is lost. A pipe has what was
written to it, also if its reader goes away before it reads it. Files are never written over: the second message with
one id gets a file ending in .2, and so on.")]
pub struct GetArgs {
    /// The queue
    pub queue: String,

    /// Get so many messages
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1, conflicts_with = "all", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,

    /// Get all messages there are; that there are none is success
    #[arg(long)]
    pub all: bool,

    /// How long to wait for each message, for example 500ms, 5s, forever; a bare number is seconds
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_wait)]
    pub wait: Duration,

    /// Write each body to a file of this directory, named by message id
    #[arg(long, value_name = "DIR", conflicts_with = "json_lines")]
    pub to: Option<PathBuf>,

    /// Print each message as a JSON object with all its fields
    #[arg(long)]
    pub json_lines: bool,

    /// Commit messages after they were written out: so it always is, and this may be said
    #[arg(long, hide = true)]
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

    /// Print bodies only, one a line; in front of that of a dead letter, in place of its header, where it should have gone and why it did not
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

The header goes, and the body and its format are as they were put; the put time is new, and so is the program that put it.
Messages that begin with no dead-letter header stay, and are counted. Each leaves the dead-letter queue in the unit of work
that puts it; one that is refused again ends the command, and stays.")]
pub struct RequeueArgs {
    /// The dead-letter queue
    pub queue: String,

    /// Only those that were refused for this reason: 2053 or Q_FULL
    #[arg(long, value_name = "REASON", value_parser = parse_reason)]
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

#[derive(Debug, Args)]
#[command(after_help = "\
Lines of standard input:
  put QUEUE TEXT        the rest of the line is the message
  put-json QUEUE JSON   with all fields; see `trimaran help json-lines`
  get QUEUE             its body on standard output
  move FROM TO          a message with its descriptor; put time and putting program are new
  commit, backout       the next line begins another unit of work

Example:
  printf 'get ORDERS\\nput INVOICES two crates\\nput AUDIT taken\\ncommit\\n' | trimaran unit

Nobody sees anything of it before the commit. A line that fails, a queue without a message (exit code 3) and an end
without commit (exit code 1) back the unit out. So does a node that fails (reason 2003): run the same again.")]
pub struct UnitArgs {
    /// How long each get waits for a message, for example 500ms, 5s, forever; a bare number is seconds
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_wait)]
    pub wait: Duration,
}
