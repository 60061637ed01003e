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
