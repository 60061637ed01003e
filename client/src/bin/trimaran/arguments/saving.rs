//! Messages that are saved to files, and put back.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args};

use crate::dmpmqmsg::{display::Display, selection::Selection};

#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    override_usage = "trimaran dmpmqmsg -i|-I QUEUE -f FILE   (save)\n       trimaran dmpmqmsg -o QUEUE -f FILE      (restore)\n       trimaran dmpmqmsg -i|-I QUEUE -o QUEUE  (copy, move)",
    after_help = "\
Examples:
  trimaran dmpmqmsg -m ha.queue.manager -i ORDERS -f orders.dump    a copy of the messages; they stay
  trimaran dmpmqmsg -I ORDERS -f orders.dump                        they leave the queue, each after it is on disk
  trimaran dmpmqmsg -o ORDERS -f orders.dump                        back again
  trimaran dmpmqmsg -I ORDERS -o ORDERS.OLD -T 7:0:0                what is a week old moves to another queue
  trimaran dmpmqmsg -i ORDERS -f stdout -dA -s 4711                 those with this text, to read

A message comes back with its descriptor, its properties and its bytes; new are only the put time and the backout count (-C says more). What has a
time to live has what was left of it when it was saved. Restoring goes in units of work of -t messages: where it ends in the middle, it says which
message was the last, and with which -r it goes on. Files are those of MQ's command, both ways. Exit codes are as in MQ: 0, or the reason code, of
which a shell shows the last eight bits (1 where these are 0); 2 when the command line cannot be understood."
)]
pub struct DmpmqmsgArgs {
    /// Queue whose messages are browsed
    #[arg(short = 'i', value_name = "QUEUE", conflicts_with = "get")]
    pub browse: Option<String>,
    /// Queue whose messages are got: they leave it when they are on disk, or on the other queue
    #[arg(short = 'I', value_name = "QUEUE")]
    pub get: Option<String>,
    /// Queue that messages are put on
    #[arg(short = 'o', value_name = "QUEUE")]
    pub output: Option<String>,
    /// File; stdout for standard output. %n in it: a file for each message, 1, 2, ... (%N: 00001). Of two the first is read
    #[arg(short = 'f', value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// The same, and it is written over where it is there
    #[arg(short = 'F', value_name = "FILE")]
    pub force: Vec<PathBuf>,
    /// a: write behind what is in the file
    #[arg(short = 'a', value_name = "MODE", value_parser = ["a", "b", "ab", "ba"])]
    pub access: Option<String>,
    /// Connect as a client, which is what is always done
    #[arg(short = 'c')]
    pub client: bool,
    /// Context of what is put: A all of it is that of the message, I its identity, d none: it is put by you; a, i: as A, I, with -I
    #[arg(short = 'C', value_name = "CONTEXT", default_value = "A", value_parser = ["A", "I", "a", "i", "d"])]
    pub context: String,
    /// How it is written: a columns of text, A or p characters, t lines, c application data as characters, H no header, i
    /// numbers, N no descriptors, w40 bytes a line; or instead of messages: s figures (M, C with ids), T ages
    #[arg(short = 'd', value_name = "LETTERS", value_parser = Display::parse, default_value = "")]
    pub display: Display,
    /// Milliseconds between messages
    #[arg(short = 'D', value_name = "MS", default_value = "0", value_parser = parse_delay)]
    pub delay: Duration,
    /// Strip the dead-letter header
    #[arg(short = 'h')]
    pub strip: bool,
    /// With -I: messages that are not chosen leave the queue, too, and are nowhere then
    #[arg(short = 'p', requires = "get")]
    pub purge: bool,
    /// No figures at the end
    #[arg(short = 'q')]
    pub quiet: bool,
    /// Messages of a unit of work; -1: all. 0 is taken as 1: nothing is got or put outside of one
    #[arg(short = 't', value_name = "NUMBER", default_value_t = 200, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    pub unit: i64,
    /// Seconds to wait for one more message
    #[arg(short = 'w', value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
    /// Print help
    #[arg(long, action = ArgAction::HelpLong)]
    pub help: Option<bool>,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub elsewhere: DmpmqmsgElsewhere,
}

/// What MQ's command has, and what is not done here.
#[derive(Debug, Args)]
pub struct DmpmqmsgElsewhere {
    #[arg(short = 'b', value_name = "KB", hide = true)]
    pub buffer: Option<u64>,
    #[arg(short = 'P', value_name = "CODEPAGE", hide = true)]
    pub code_page: Option<String>,
    #[arg(short = 'e', value_name = "TEXT", hide = true)]
    pub with_ebcdic: Vec<String>,
    #[arg(short = 'E', value_name = "TEXT", hide = true)]
    pub without_ebcdic: Vec<String>,
    #[arg(short = 'u', value_name = "USER", hide = true)]
    pub user: Option<String>,
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let ms = text
        .parse::<u32>()
        .map_err(|_| "write milliseconds; delays by chance (-9) or as they were put (r) are not here")?;
    Ok(Duration::from_millis(ms.into()))
}
