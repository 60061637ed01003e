//! Instructions of an operation, counted by valgrind's callgrind: the same binary and the same input give the same count,
//! also on a machine that does other things meanwhile.
//!
//! This program runs itself under valgrind for each operation; only what happens within [`counted_rounds`] is counted,
//! without start and preparation.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::operations::{self, OPERATIONS, Operation};

/// So many messages are handled while instructions are counted.
const MESSAGES: usize = 20_000;

/// What runs under valgrind.
pub fn rounds_of(name: &str, rounds: usize) -> Result<()> {
    let operation = operations::by_name(name).with_context(|| format!("no operation \"{name}\""))?;
    let mut run = (operation.prepare)();
    // Memory and caches of its own are in place after a few.
    (0..10).for_each(|_| run());
    counted_rounds(&mut run, rounds);
    Ok(())
}

/// Valgrind knows it by its name.
#[inline(never)]
fn counted_rounds(run: &mut dyn FnMut(), rounds: usize) {
    (0..rounds).for_each(|_| run());
}

/// Prints the count of each operation; kept ones beside them.
pub fn count_all(save: Option<&Path>, against: Option<&Path>) -> Result<()> {
    let kept: BTreeMap<String, f64> = match against {
        Some(path) => serde_json::from_slice(&std::fs::read(path).context(path.display().to_string())?)?,
        None => BTreeMap::new(),
    };
    let mut counts = BTreeMap::new();
    println!("{:<44} {:>24}", "", "instructions a message");
    for operation in &OPERATIONS {
        let rounds = MESSAGES / operation.messages;
        let count = counted(operation, rounds)? as f64 / (rounds * operation.messages) as f64;
        let beside = kept.get(operation.name).map_or_else(String::new, |before| {
            format!("  {before:>10.0} before, {:+.1} %", (count / before - 1.0) * 100.0)
        });
        println!("{:<44} {count:>24.0}{beside}", operation.name);
        counts.insert(operation.name.to_string(), count);
    }
    if let Some(path) = save {
        std::fs::write(path, serde_json::to_vec_pretty(&counts)?)?;
    }
    Ok(())
}

fn counted(operation: &Operation, rounds: usize) -> Result<u64> {
    let this = std::env::current_exe()?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_rounds*"]);
    command.arg(this);
    command.args(["rounds-of", operation.name, &rounds.to_string()]);
    let output =
        command.output().context("start valgrind (Debian's package valgrind), which does the counting")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} under valgrind: {text}", operation.name);
    let count = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match count {
        Some(0) => bail!("valgrind did not find counted_rounds in {}: was it stripped?", operation.name),
        Some(count) => Ok(count),
        None => bail!("valgrind printed no count: {text}"),
    }
}
