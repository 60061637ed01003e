//! Objects and their attributes: queues by commands of their own, all kinds by MQSC's verbs.

use clap::{Args, Subcommand, ValueEnum};
use trimaran_client::RecordAction;

use crate::attributes::{AnyFlags, ManagerFlags, QueueFlags};

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
    #[command(flatten)]
    pub options: AnyFlags,
}

#[derive(Debug, Args)]
pub struct AlterArgs {
    /// Kind and name of an object and its attributes: KIND NAME ATTRIBUTE=VALUE ..., or --ATTRIBUTE VALUE; what is not given keeps its
    /// value
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

USERLIST has at most 100 members, ADDRLIST 256 and AUTHLIST 64; a profile has at most 500 records.
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
    #[command(flatten)]
    pub options: AnyFlags,
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
