//! Which node served when, and what became of the time in which none did.

use clap::{Args, Subcommand};

use trimaran_client::proto::failover::Class;

use super::values::{parse_moment, parse_per_cent};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran failovers                 the newest 20, the newest last
  trimaran failovers show 12         what happened when
  trimaran failovers verify          are the records of all nodes the same, and none of them changed?
  trimaran --json failovers --all    all that are kept, one a line
  trimaran failovers classify 12 --class human --because 'the wrong cable was pulled'

A record is made whenever a node begins to serve, is the same on every node, and has the SHA-256 of the one before in it. The
newest 10,000 are kept. CLASS is what a record counts as by itself; a star says that a person saw it otherwise. NOBODY SERVED is the time from when the node before was heard last until the next one served.")]
pub struct FailoversArgs {
    #[command(subcommand)]
    pub command: Option<FailoversCommand>,
    /// All that are kept
    #[arg(long, conflicts_with = "last")]
    pub all: bool,
    /// So many of the newest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub last: u64,
}

#[derive(Debug, Subcommand)]
pub enum FailoversCommand {
    /// One record: why, and what happened when
    Show {
        /// Number of the record
        number: u64,
    },
    /// Whether all nodes have the same records, each sealed to the one before; exit code 1 when not
    Verify,
    /// Says what a record counts as, in place of what it counts as by itself: kept beside the record, which stays as it was
    /// sealed, with who said it and when. Of several the newest counts
    Classify {
        /// Number of the record
        number: u64,
        /// software, planned, human, hardware or environment
        #[arg(long, value_parser = parse_class)]
        class: Class,
        /// Why, in 1 to 256 characters
        #[arg(long, value_name = "TEXT")]
        because: String,
    },
}

fn parse_class(word: &str) -> Result<Class, String> {
    Class::parse(word).ok_or_else(|| format!("write one of {}", Class::ALL.map(Class::word).join(", ")))
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trimaran availability                                       the last 365 days, or since the first record
  trimaran availability --from 2026-11-01 --to 2026-12-01
  trimaran availability --target 99.95 --check || echo 'too much was spent'

The time in which nobody served is added up from the records of failovers (`trimaran failovers`) by what it was for, and held against
what the target allows: 99.99 % of a year leaves 52.6 minutes. Of those 40 of 100 are for software, 30 for what is planned, 15
for people, 10 for hardware, 5 for its environment. A time that goes on still is counted when somebody serves. What a
person said of a record (`trimaran failovers classify`) counts in place of what it says itself.

Where there are canaries (`canary = true` at the queue manager in the cluster file) it is said what they saw, too: for how long none
got a message through as clients do. They try each second: what is shorter than two seconds is in the records only.")]
pub struct AvailabilityArgs {
    /// Beginning, as 2026-11-01 or 2026-11-01T08:30:00Z (UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub from: Option<i64>,
    /// End, likewise; now unless said
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub to: Option<i64>,
    /// Per cent of the time in which somebody shall serve
    #[arg(long, value_name = "PER-CENT", default_value = "99.99", value_parser = parse_per_cent)]
    pub target: f64,
    /// Exit code 1 when more was spent than the target allows
    #[arg(long)]
    pub check: bool,
}
