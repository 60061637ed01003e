//! Trace hashes that were recorded (`tests/seeds/hashes.txt`): a run is the same to the bit, whatever built it.

use std::fmt;

use super::disk::Depth;
use super::run::{Knobs, run};

/// One run and the hash of everything that happened in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub depth: Depth,
    pub seed: u64,
    pub ticks: u64,
    pub hash: u64,
}

impl Recorded {
    /// The hash of the same run now.
    pub fn run(&self, knobs: &Knobs) -> u64 {
        run(self.seed, &Knobs { depth: self.depth, ticks: self.ticks, ..knobs.clone() }).hash
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let depth = match self.depth {
            Depth::A => "a",
            Depth::B => "b",
        };
        write!(f, "depth={depth} seed={} ticks={} hash={:016x}", self.seed, self.ticks, self.hash)
    }
}

pub fn write(recorded: &[Recorded]) -> String {
    let mut text = "# What happens in these runs, to the bit. Written by `cargo lane hashes` after a change of the simulator or of\n\
                    # what it runs; a build in which they differ is not repeatable.\n"
        .to_string();
    recorded.iter().for_each(|run| text.push_str(&format!("{run}\n")));
    text
}

pub fn read(text: &str) -> Result<Vec<Recorded>, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| parse(line).ok_or_else(|| format!("not a recorded run: {line}"))).collect()
}

fn parse(line: &str) -> Option<Recorded> {
    let mut words = line.split(' ');
    let mut value = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
    Some(Recorded {
        depth: match value("depth")? {
            "a" => Depth::A,
            "b" => Depth::B,
            _ => return None,
        },
        seed: value("seed")?.parse().ok()?,
        ticks: value("ticks")?.parse().ok()?,
        hash: u64::from_str_radix(value("hash")?, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let one = Recorded { depth: Depth::A, seed: 7, ticks: 300, hash: 0xABC };
        let runs = [one.clone(), Recorded { depth: Depth::B, ..one }];
        assert_eq!(read(&write(&runs)), Ok(runs.to_vec()));
        assert!(read("depth=c seed=1 ticks=1 hash=0").is_err());
    }
}
