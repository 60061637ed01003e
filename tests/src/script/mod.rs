//! Stories in text: what somebody types and what must come back (`tests/scripts/*.txt`).
//!
//! A script is blocks with an empty line between them: commands, a line `----`, and what is expected. See
//! [`runner::HELP`] for the commands. `UPDATE=1 cargo test -p trimaran-tests --test scripts` rewrites what is
//! expected; read the difference before you keep it.

mod events;
mod mqsc;
pub mod parser;
pub mod puppet;
pub mod runner;
