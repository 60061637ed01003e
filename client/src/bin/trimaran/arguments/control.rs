//! The control commands of MQ, under their own names, and `apply` beside `runmqsc`.

use std::path::PathBuf;

use clap::Args;

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
  trimaran runmqdlq DEAD.LETTERS < rules.txt
  echo 'ACTION(RETRY)' | trimaran runmqdlq          the queue manager's own queue, for ever

A table has control data, if any, and rules, one a line (+ at the end of a line goes on with the next):
  INPUTQ(DEAD.LETTERS) RETRYINT(30) WAIT(NO)
  REASON(MQRC_Q_FULL) ACTION(RETRY) RETRY(5)
  DESTQ('ORDERS.*') ACTION(FWD) FWDQ(ORDERS.REPAIR) HEADER(NO)
  PERSIST(MQPER_NOT_PERSISTENT) ACTION(DISCARD)
A message is handled by the first rule that means it; where that fails as often as RETRY says, by the next one that does. What
no rule means stays. A message is on one of its two queues at any time. See IBM MQ, 'The DLQ handler rules table'; queues of other
queue managers are refused (2087). `trimaran requeue` does the same once, without a table.")]
pub struct RunmqdlqArgs {
    /// Dead-letter queue; without it INPUTQ of the table, or DEADQ of the queue manager
    #[arg(value_name = "QNAME")]
    pub queue: Option<String>,
    /// Queue manager; not needed when the cluster has only one
    #[arg(value_name = "QMGR")]
    pub queue_manager: Option<String>,
    /// Connect as a client, which is what is always done
    #[arg(short = 'c')]
    pub client: bool,
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
#[command(after_help = "\
Examples:
  trimaran strmqm ha.queue.manager

Starts a queue manager that was ended with endmqm, on the node that leads its group, whichever node is asked. Those that were not
ended begin to serve with their nodes. Exit codes are those of MQ: 0 started, 5 it runs already, 16 there is none of that name, 49 it
is ending, 71 it cannot be led just now.")]
pub struct StrmqmArgs {
    /// Queue manager; not needed when the cluster has only one
    #[arg(value_name = "QMGR")]
    pub name: Option<String>,
    /// Permit a standby instance, which is what is always done
    #[arg(short = 'x')]
    pub standby: bool,
    /// Do not start listeners and services; listeners follow CONTROL of their definitions here
    #[arg(long = "ns")]
    pub no_services: bool,
    /// Say nothing but errors
    #[arg(short = 'z')]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "trimaran endmqm [-c | -w | -i | -p] [-r] [-s] [-t SECONDS] [-z] [QMGR]",
    after_help = "\
Examples:
  trimaran endmqm -w ha.queue.manager      waits for the programs, and until it has ended
  trimaran endmqm -i ha.queue.manager      disconnects them
  trimaran endmqm -s ha.queue.manager      another node serves it, and programs that can connect again do

A queue manager that was ended is served by no node until `strmqm`, over restarts of all of them. Its nodes keep their copies in sync
meanwhile; stop a node itself with `systemctl stop trimaran-node`. While it ends as with -c nobody is let in, and whatever is no part
of an open unit of work is answered 2161; afterwards, and with -i, programs are told 2162, then 2059. Exit codes are those of MQ: 0
done, 16 there is no queue manager of that name, 40 it does not run, 71 the nodes cannot do it."
)]
pub struct EndmqmArgs {
    /// Queue manager; not needed when the cluster has only one
    #[arg(value_name = "QMGR")]
    pub name: Option<String>,
    /// When the last program has left; the default
    #[arg(short = 'c', conflicts_with_all = ["immediately", "preemptively"])]
    pub controlled: bool,
    /// The same, and wait until it has ended
    #[arg(short = 'w', conflicts_with_all = ["immediately", "preemptively"])]
    pub wait: bool,
    /// At once: programs are disconnected, and what they did not commit is backed out
    #[arg(short = 'i')]
    pub immediately: bool,
    /// As -i: nothing here has to be forced
    #[arg(short = 'p')]
    pub preemptively: bool,
    /// Programs that can connect again are told to
    #[arg(short = 'r')]
    pub reconnect: bool,
    /// Another node serves it on
    #[arg(short = 's', conflicts_with_all = ["immediately", "preemptively", "target"])]
    pub switch_over: bool,
    /// Wait so many seconds for the programs, then as with -i
    #[arg(short = 't', value_name = "SECONDS")]
    pub target: Option<u64>,
    /// As -t
    #[arg(long = "tp", value_name = "SECONDS", conflicts_with = "target")]
    pub target_preemptive: Option<u64>,
    /// Say nothing but errors
    #[arg(short = 'z')]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trimaran mqrc 2035\n  trimaran mqrc MQRC_NOT_AUTHORIZED\n  trimaran mqrc 0x7f3"
)]
pub struct MqrcArgs {
    /// Number, number in hexadecimal behind 0x, or name
    pub reason: String,
}
