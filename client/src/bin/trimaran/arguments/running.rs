//! A cluster that runs: how it is, who serves, who belongs to it, what became of a unit, and the way out when logs are lost.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::{Id, parse_id, parse_name, parse_wait};

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
#[command(
    override_usage = "trimaran move [OPTIONS] [QMGR] [NODE]",
    after_help = "\
Examples:
  trimaran move ha.queue.manager b
  trimaran move b                  where there is only one queue manager
  trimaran move                    to the node that is most up to date

Clients follow by themselves; calls in flight wait for about a tenth of a second. Units of work that are open may go on for the
time of --units-within, while everything that is no part of one goes on as always and new units wait; what is open then is
backed out (2003). With no unit open nothing is waited for. A node that could not take over is refused at once. Where the cluster
file prefers a node and says fail_back, the queue manager may move back: `trimaran node drain` keeps it away from a node."
)]
pub struct MoveArgs {
    /// Queue manager, if the cluster has several; node that shall serve
    #[arg(value_names = ["QMGR", "NODE"], num_args = 0..=2, value_parser = parse_name)]
    pub places: Vec<String>,
    /// How long units of work that are open may go on [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    pub units_within: Option<Duration>,
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
    #[arg(long, value_name = "NODE", value_parser = parse_name)]
    pub without: Vec<String>,
    /// Where no node has anything left: give up all messages and definitions, and begin with an empty queue manager
    #[arg(long)]
    pub begin_anew: bool,
    /// Accept the loss: the name of the queue manager
    #[arg(long, value_name = "QUEUE-MANAGER", value_parser = parse_name)]
    pub confirm: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Add a node to every queue manager
    #[command(after_help = "\
Example:
  trimaran node add d --id 4 --peer 10.0.0.4:7101 --client 10.0.0.4:7201

Start the node first, with the cluster file that has it with `joins = true`. The command returns when the node has
everything, or after the time of --within; the change goes on then, and the same command again says how far it is.")]
    Add {
        /// Name of the node
        #[arg(value_parser = parse_name)]
        name: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Remove a node from every queue manager; it never comes back under its id
    #[command(after_help = "Example:\n  trimaran node remove c")]
    Remove {
        /// Name of the node
        #[arg(value_parser = parse_name)]
        name: String,
    },
    /// Put a new node in the place of an old one, in one step
    #[command(
        after_help = "Example:\n  trimaran node replace c d --id 4 --peer 10.0.0.4:7101 --client 10.0.0.4:7201"
    )]
    Replace {
        /// Name of the node that goes
        #[arg(value_parser = parse_name)]
        old: String,
        /// Name of the node that comes
        #[arg(value_parser = parse_name)]
        name: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Take a node out of service, so that it can be stopped
    #[command(after_help = "\
Example:
  trimaran node drain c && ssh c systemctl stop trimaran-node

What the node serves moves to other nodes, in good order (see `trimaran move`), and none comes back before `trimaran node resume`,
whatever the cluster file prefers and whoever is restarted meanwhile. The node votes and has a full copy as before; it leads only
where no other node could. The command returns when nothing is served there, and says whether the node can be stopped. It is
refused where the others that are in sync and not in maintenance are no majority: all nodes in maintenance can be stopped at the
same time. Where one queue manager refuses, the node stays in service for all. A second time it does nothing.")]
    Drain {
        /// Name of the node
        #[arg(value_parser = parse_name)]
        name: String,
        /// Also where the others could not serve without it
        #[arg(long)]
        force: bool,
    },
    /// Take a node back into service; fail-backs follow the cluster file
    #[command(after_help = "Example:\n  trimaran node resume c")]
    Resume {
        /// Name of the node
        #[arg(value_parser = parse_name)]
        name: String,
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
