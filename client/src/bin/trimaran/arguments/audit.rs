//! Who changed what.

use clap::{Args, Subcommand};

use super::values::parse_moment;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran audit                                   the newest 20 changes, the newest last
  trimaran audit --object 'HA.*' --user joe        of these objects, by this user; an object is meant by its name
  trimaran audit --from 2026-11-01 --to 2026-12-01
  trimaran audit show 12                           one change, with all values before and after
  trimaran audit verify                            have all nodes the same records, and was none of them changed?
  trimaran --json audit --all                      all that are kept, one a line
  trimaran audit --cluster                         which queue managers were created and deleted, and nodes in SYSTEM.CLUSTER

Whatever an administrator changes, with MQSC, PCF, calls of the gRPC API or a control command, is one record: when, who, with
which program, from where and in which language, what was asked for, and what is not as it was. It is made by the entry of the log that makes
the change, so it is the same on every node and outlasts each of them, and it has the SHA-256 of the one before in it. WHO is
the user as the queue manager knows it; FROM is the address, and of a message with a command nobody knows it: then the
program is named. What was refused changed nothing and has no record.

The newest 10,000 are kept, and 4 MiB of them; the log of each node has those that go. The trail begins when a queue manager has version 4
(`trimaran cluster upgrade`). Passwords are not in it, nor what is inquired, nor queues that programs make by opening a model.")]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// All that are kept and meant
    #[arg(long, conflicts_with = "last")]
    pub all: bool,
    /// So many of the newest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub last: u64,
    /// Only of the object, profile, node or queue manager of this name, which may end in *
    #[arg(long, value_name = "NAME")]
    pub object: Option<String>,
    /// Only what this user changed
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only since then, as 2026-11-01 or 2026-11-01T08:30:00Z (UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub from: Option<i64>,
    /// Only before then, likewise
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub to: Option<i64>,
    /// Of the nodes' own queue manager, SYSTEM.CLUSTER, in place of the one that --queue-manager names
    #[arg(long, global = true)]
    pub cluster: bool,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// One change: who, from where, and all values before and after
    Show {
        /// Number of the record
        number: u64,
    },
    /// Whether all nodes have the same records, each sealed to the one before; exit code 1 when not
    Verify,
}
