//! The borders of a node, each as a function of any bytes: what comes over them may be refused, and nothing else may happen.
//!
//! `cargo lane merge --only fuzz` looks for bytes that do more (`bin/fuzz.rs`); what it found is kept in `tests/fuzz/<target>/`
//! and tried again by every `cargo test`. A target answers with a panic only.

mod channels;
mod commands;
mod frames;
mod grpc;
mod minds;
mod pcf;
mod pieces;
mod rows;
mod samples;
mod segments;
mod selectors;
mod snapshots;

/// One border.
pub struct Target {
    pub name: &'static str,
    pub about: &'static str,
    /// Panics when the bytes did what they must not.
    pub run: fn(&[u8]),
    /// Bytes that are well-formed, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: &[Target] = &[
    frames::TARGET,
    minds::TARGET,
    commands::TARGET,
    rows::TARGET,
    snapshots::TARGET,
    grpc::TARGET,
    segments::TARGET,
    selectors::TARGET,
    channels::TARGET,
    pcf::TARGET,
];
