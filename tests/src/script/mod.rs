//! Stories in text: what somebody types and what must come back (`tests/scripts/*.txt`).

pub mod puppet;
