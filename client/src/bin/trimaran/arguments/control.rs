//! The control commands of MQ, under their own names, and `apply` beside `runmqsc`.

use std::path::PathBuf;

use clap::Args;

use super::values::parse_name;

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
    /// Not here: without a queue manager there is nothing to define
    #[arg(short = 'n')]
    pub no_queue_manager: bool,
    /// Not here: who somebody is, is said by a certificate
    #[arg(short = 'u', value_name = "USER")]
    pub user: Option<String>,
    /// Not here: for queue managers on z/OS
    #[arg(short = 'x')]
    pub z_os: bool,
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
  trimaran dspmq -o place                      floating addresses and preferred nodes
  trimaran dspmq -o all")]
pub struct DspmqArgs {
    /// Details
    #[arg(short = 'o', value_name = "DETAIL", value_parser = ["all", "status", "default", "standby", "installation", "nativeha", "place"], ignore_case = true)]
    pub details: Vec<String>,
    /// Each instance on a line of its own
    #[arg(short = 'x')]
    pub instances: bool,
    /// Status as programs compare it, in capitals
    #[arg(short = 'n')]
    pub untranslated: bool,
    /// Only those that run; exit code 5 when there are any, as MQ has it
    #[arg(short = 'a')]
    pub active: bool,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "trimaran crtmqm [-p PORT] [-u QUEUE] [-ic FILE] [--address ADDRESS]... [--preferred NODE [--fail-back WHEN]] \
                      [--canary] [-z] QMGR",
    after_help = "\
Examples:
  trimaran crtmqm -p 1415 -u SYSTEM.DEAD.LETTER.QUEUE orders
  trimaran crtmqm --preferred a --fail-back 02:00-04:00 orders
  trimaran crtmqm -p 1414 --address 10.0.0.60/24 --canary payments
  trimaran strmqm orders

Which queue managers there are is known to all nodes (SYSTEM.CLUSTER), and no cluster file has to be changed for it. One that was
created has been ended, as in MQ: strmqm starts it. A majority of the nodes has to run; one that is away makes its part when it is back.
What --address, --preferred, --fail-back and --canary say is what a cluster file says with keys of these names; `trimaran place` changes it
later, and `trimaran dspmq -o place` shows it. Addresses are held by nodes whose cluster file has a section [address], which says how.
Other options of MQ's command are taken, and what has no meaning here is said once. Exit codes are those of MQ: 0 created, 8 there is one
of that name, 39 something that was said cannot be, 71 the nodes cannot do it, 72 no queue manager can have that name, 119 not allowed."
)]
pub struct CrtmqmArgs {
    /// Queue manager; up to 48 characters
    #[arg(value_name = "QMGR", value_parser = parse_name)]
    pub name: String,
    /// Port of a listener, SYSTEM.LISTENER.TCP.1, which is open where it is served
    #[arg(short = 'p', value_name = "PORT")]
    pub port: Option<u32>,
    /// Its dead-letter queue, DEADQ
    #[arg(short = 'u', value_name = "QUEUE")]
    pub dead_letter_queue: Option<String>,
    /// MQSC that it begins with: carried out once, now
    #[arg(long = "ic", value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Node that should serve it, when it can
    #[arg(long, value_name = "NODE", value_parser = parse_name)]
    pub preferred: Option<String>,
    /// When it moves back there by itself: never, now, or a part of the day in UTC such as 02:00-04:00
    #[arg(long, value_name = "WHEN", requires = "preferred")]
    pub fail_back: Option<String>,
    /// Floating address with the length of its network, 10.0.0.60/24: it is on the node that serves. Once for each
    #[arg(long = "address", value_name = "ADDRESS")]
    pub addresses: Vec<String>,
    /// Every node that does not serve it puts and gets a message each second, as clients do
    #[arg(long)]
    pub canary: bool,
    /// Say nothing but errors
    #[arg(short = 'z')]
    pub quiet: bool,
    #[command(flatten)]
    pub elsewhere: CrtmqmElsewhere,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran place orders                                      shows where it should be
  trimaran place --address 10.0.0.60/24 orders               it has this address, and no other
  trimaran place --no-address --preferred b --fail-back now orders

Changes what `crtmqm` was told, while the queue manager is served: an address that it has no more goes at once, and a new one comes to
the node that serves. What is not said stays as it is. For queue managers that were created; of those that the cluster file names the file
says it. An address that was another queue manager's is free when every node has given it up, so all nodes have to run for that. Exit
codes are those of crtmqm: 0 done, 16 there is none of that name, 39 something that was said cannot be, 71 the nodes cannot do it, 119 not
allowed.")]
pub struct PlaceArgs {
    /// Queue manager
    #[arg(value_name = "QMGR", value_parser = parse_name)]
    pub name: String,
    /// Floating address with the length of its network; once for each that it has from now on
    #[arg(long = "address", value_name = "ADDRESS")]
    pub addresses: Vec<String>,
    /// It has no address any more
    #[arg(long, conflicts_with = "addresses")]
    pub no_address: bool,
    /// Node that should serve it, when it can
    #[arg(long, value_name = "NODE", value_parser = parse_name)]
    pub preferred: Option<String>,
    /// Any node may serve it, and it does not move back
    #[arg(long, conflicts_with_all = ["preferred", "fail_back"])]
    pub no_preferred: bool,
    /// When it moves back to that node by itself: never, now, or a part of the day in UTC such as 02:00-04:00
    #[arg(long, value_name = "WHEN")]
    pub fail_back: Option<String>,
    /// Nodes that do not serve it try it each second
    #[arg(long)]
    pub canary: bool,
    /// And do not any more
    #[arg(long, conflicts_with = "canary")]
    pub no_canary: bool,
}

/// What MQ's command has, and what is said of it here.
#[derive(Debug, Args)]
pub struct CrtmqmElsewhere {
    /// The queue manager that is meant when none is named
    #[arg(short = 'q', hide = true)]
    pub default: bool,
    #[arg(short = 'c', value_name = "TEXT", hide = true)]
    pub description: Option<String>,
    #[arg(short = 'd', value_name = "QUEUE", hide = true)]
    pub transmission_queue: Option<String>,
    #[arg(short = 't', value_name = "MILLISECONDS", hide = true)]
    pub trigger_interval: Option<u32>,
    #[arg(short = 'x', value_name = "NUMBER", hide = true)]
    pub uncommitted: Option<u32>,
    #[arg(short = 'g', value_name = "GROUP", hide = true)]
    pub group: Option<String>,
    #[arg(long = "lc", hide = true)]
    pub circular: bool,
    #[arg(long = "ll", hide = true)]
    pub linear: bool,
    #[arg(long = "lla", hide = true)]
    pub linear_automatic: bool,
    #[arg(long = "lln", hide = true)]
    pub linear_manual: bool,
    #[arg(long = "lr", value_name = "INSTANCE", hide = true)]
    pub instance: Option<String>,
    #[arg(long = "lf", value_name = "PAGES", hide = true)]
    pub log_pages: Option<u32>,
    #[arg(long = "lp", value_name = "NUMBER", hide = true)]
    pub primary_logs: Option<u32>,
    #[arg(long = "ls", value_name = "NUMBER", hide = true)]
    pub secondary_logs: Option<u32>,
    #[arg(long = "ld", value_name = "DIRECTORY", hide = true)]
    pub log_directory: Option<String>,
    #[arg(long = "md", value_name = "DIRECTORY", hide = true)]
    pub data_directory: Option<String>,
    #[arg(long = "ii", value_name = "FILE", hide = true)]
    pub ini: Option<String>,
    #[arg(long = "sx", hide = true)]
    pub shared: bool,
    #[arg(long = "sax", hide = true)]
    pub shared_automatically: bool,
    #[arg(long = "sa", hide = true)]
    pub starts_automatically: bool,
    #[arg(long = "si", hide = true)]
    pub starts_interactively: bool,
    #[arg(long = "ss", hide = true)]
    pub starts_as_service: bool,
    #[arg(long = "oa", value_name = "KIND", hide = true)]
    pub authorization: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran endmqm -i orders
  trimaran dltmqm orders                     asks first
  trimaran dltmqm --confirm orders orders    in a script

Deletes a queue manager that was ended, with every message and definition, on all nodes; on one that is away, as soon as it is back. Nothing
brings it back. Exit codes are those of MQ: 0 deleted, 5 it runs, 16 there is none of that name, 49 it is ending, 71 the nodes cannot do it,
72 no queue manager can have that name, 119 not allowed; and 1 where it was not confirmed.")]
pub struct DltmqmArgs {
    /// Queue manager
    #[arg(value_name = "QMGR", value_parser = parse_name)]
    pub name: String,
    /// The name once more: it is not asked for then
    #[arg(long, value_name = "QMGR")]
    pub confirm: Option<String>,
    /// Say nothing but errors
    #[arg(short = 'z')]
    pub quiet: bool,
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
    #[arg(value_name = "QMGR", value_parser = parse_name)]
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
    #[command(flatten)]
    pub elsewhere: StrmqmElsewhere,
}

/// What MQ's command has, and what is said of it here.
#[derive(Debug, Args)]
pub struct StrmqmElsewhere {
    #[arg(short = 'a', hide = true)]
    pub activate: bool,
    #[arg(short = 'c', hide = true)]
    pub default_objects: bool,
    #[arg(short = 'd', value_name = "DETAIL", hide = true, value_parser = ["none", "minimal", "all"])]
    pub details: Option<String>,
    #[arg(short = 'e', value_name = "CMDLEVEL=LEVEL", hide = true)]
    pub level: Option<String>,
    #[arg(short = 'f', hide = true)]
    pub force: bool,
    #[arg(short = 'r', hide = true)]
    pub replay: bool,
    #[arg(long = "si", hide = true)]
    pub interactively: bool,
    #[arg(long = "ss", hide = true)]
    pub as_service: bool,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "trimaran endmqm [-c | -w | -i | -p] [-r] [-s] [-t SECONDS] [-x] [-z] [QMGR]",
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
    #[arg(value_name = "QMGR", value_parser = parse_name)]
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
    /// Another node serves it on; with -i, units of work that are open are backed out at once
    #[arg(short = 's', conflicts_with = "target")]
    pub switch_over: bool,
    /// A standby instance, which ends with its node here: refused, with what to do
    #[arg(short = 'x', conflicts_with_all = ["controlled", "wait", "immediately", "preemptively", "switch_over"])]
    pub standby: bool,
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
#[command(after_help = "\
Examples:
  trimaran mqrc 2035
  trimaran mqrc MQRC_NOT_AUTHORIZED
  trimaran mqrc 0x7f3
  trimaran mqrc -b -f 2050 -l 2059        numbers and names of a range")]
pub struct MqrcArgs {
    /// Number, number in hexadecimal behind 0x, or name
    #[arg(required_unless_present_any = ["first", "number"])]
    pub reason: Option<String>,
    /// The number, as MQ's command takes it
    #[arg(short = 'r', value_name = "NUMBER", conflicts_with = "reason")]
    pub number: Option<String>,
    /// All of a range, from here on
    #[arg(short = 'f', value_name = "NUMBER", conflicts_with_all = ["reason", "number"])]
    pub first: Option<u32>,
    /// To here; without it all that follow
    #[arg(short = 'l', value_name = "NUMBER", requires = "first")]
    pub last: Option<u32>,
    /// Without the sentences
    #[arg(short = 'b')]
    pub brief: bool,
    /// In all lists of codes, which is what is always done
    #[arg(short = 'a')]
    pub all: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran dspmqver
  trimaran dspmqver -b -f 2                the version alone, for a script

Fields of -f, added up: 1 name, 2 version, 16 platform, 32 addressing mode, 64 operating system, 128 installation, 512 its path, 2048 command
level. Others of MQ's, those of Java and of single components (-p, -v), are not here and leave no line.")]
pub struct DspmqverArgs {
    /// All fields
    #[arg(short = 'a')]
    pub all: bool,
    /// Values without their titles
    #[arg(short = 'b')]
    pub brief: bool,
    /// Only these fields: a sum of numbers
    #[arg(short = 'f', value_name = "FIELDS", value_parser = parse_fields)]
    pub fields: Option<u32>,
    /// Of all installations, of which there is one
    #[arg(short = 'i')]
    pub installations: bool,
    /// Of components: a sum of numbers; there is one
    #[arg(short = 'p', value_name = "COMPONENTS", value_parser = parse_fields)]
    pub components: Option<u32>,
    /// All fields
    #[arg(short = 'v')]
    pub verbose: bool,
}

/// Decimal, or hexadecimal behind 0x.
fn parse_fields(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.ok_or_else(|| "write a number".to_string())
}
