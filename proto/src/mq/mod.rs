//! The channel protocol that IBM MQ clients speak: bytes to structures and back, and nothing else.
//!
//! For MQI channels, from a client to a queue manager. Listener and client read with the same code; what the fields mean
//! is theirs. The protocol is not published: layouts and names are those of IBM's public headers and documentation, of
//! Wireshark's dissector, and of public captures. `vectors.txt` pins the bytes to real ones.
//!
//! * [`segment`]: what a connection carries; [`split`]: what is longer than one.
//! * [`flow`]: the body of a segment by its type; the structures are in the modules beside it.
//! * [`rfh2`]: properties in front of a body.
//! * [`characters`]: character sets that bodies are converted between.
//! * [`constants`]: numbers with MQ's names.
//! * [`cipher_spec`], [`peer_name`]: what a channel may demand of TLS, in MQ's words.

pub mod call;
pub mod characters;
pub mod cipher_spec;
pub mod constants;
pub mod control;
pub mod delivery;
pub mod flow;
pub mod initial;
pub mod message;
pub mod object;
pub mod rfh2;
pub mod peer_name;
pub mod security;
pub mod segment;
pub mod spi;
pub mod split;
pub mod stat;
pub mod vectors;
pub mod wire;

#[cfg(test)]
mod vectors_test;

pub use flow::Flow;
pub use segment::{Broken, Header, Kind, Segment, flags, types};
pub use wire::{Malformed, Order, Raw, Text};
