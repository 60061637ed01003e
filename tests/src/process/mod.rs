//! Tests with real processes, real sockets and real disks: only what needs a kernel.
//!
//! Reading order: [`Cluster`] (nodes as processes of this machine, started, killed and read by their ids), [`faults`]
//! (chance, damaged files, full disks), [`namespace`] (who holds them), [`small_disk`] (devices to fill), [`network`] (cables to pull, an address that moves), [`waiting`] (crowds of clients that do
//! nothing), [`rounds`] (of faults, and what a client waited for), [`ledger`] (producers and consumers that write
//! down what they were promised, and the balance), [`damage`] (what a damaged node may and may not do), [`python`] and
//! [`java`] (clients of strangers), [`dissector`] (who reads along), [`samples`] (ours in other languages), [`rest`] (programs that speak HTTP, and one that reads what is said of the API), [`debian`] (where the package is installed), [`typed`] (MQ's commands by their own names), over [`tools`].
//! The stories are in `tests/tests`: `process.rs`, `address.rs`, `channels.rs`, `package.rs`, `samples.rs`, `rest.rs`.

pub mod cluster;
pub mod damage;
pub mod debian;
pub mod dissector;
pub mod faults;
pub mod ledger;
pub mod network;
pub mod java;
pub mod namespace;
pub mod python;
pub mod rest;
pub mod rounds;
pub mod samples;
pub mod small_disk;
pub mod tools;
pub mod typed;
pub mod waiting;

pub use cluster::{Cluster, Exit, Plan, program, run_program};
pub use ledger::Ledger;
pub use typed::Typed;

use std::str::FromStr;

/// A number from the environment: how much a test does, where a machine or a person wants another amount.
pub fn amount<T: FromStr>(variable: &str, default: T) -> T {
    match std::env::var(variable) {
        Err(_) => default,
        Ok(text) => match text.parse() {
            Ok(value) => value,
            Err(_) => panic!("{variable}={text}: write a number, or leave it out"),
        },
    }
}

/// The seed of a test: `TRIMARAN_SEED`, or the time. Printed, so that the kills of a failed run can be repeated; what the
/// kernel makes of them cannot.
pub fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = amount("TRIMARAN_SEED", now.map_or(1, |now| now.as_millis() as u64));
    println!("seed {seed}");
    seed
}
