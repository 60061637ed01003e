//! The world in one thread and virtual time, around the production replicas.

pub mod commit;
pub mod rng;
pub mod clock;
pub mod trace;
pub mod net;
pub mod disk;
pub mod depth_b;
pub mod node;
pub mod wire;
pub mod address;
pub mod schedule;
pub mod counters;
pub mod world;
pub mod nemesis;
pub mod run;
pub mod old_image;
pub mod reports;
pub mod events;
pub mod registers;
pub mod commands;
pub mod days;
pub mod hashes;
pub mod report;
pub mod shrink;
