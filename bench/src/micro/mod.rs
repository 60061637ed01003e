//! Small pieces of the product that run for every message, alone on a thread. `instructions` counts what they execute;
//! `cargo bench --bench hot` takes their time.

pub mod instructions;
pub mod operations;
