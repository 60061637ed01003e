//! A cluster that runs: how it is, who serves, who belongs to it, what became of a unit, and the way out when logs are lost.

use clap::{Args, Subcommand};

use super::values::{Id, parse_id};

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

Where no node has anything in its log and its message store there is nothing to go on with: put copies of the directories back, or
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
    /// nothing is known is "not known any more" as soon as the queue manager has forgotten any
    #[arg(long, value_name = "N")]
    pub units_decided: Option<u64>,
}
