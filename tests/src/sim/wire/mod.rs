//! A program's connection as bytes, in the tongue that it speaks. What it calls becomes bytes, the production conversation of that
//! tongue reads them, and what that writes becomes completions again.
//!
//! Conversations are pure machines (`listener/grpc/conversation.rs`, `listener/mq/socket.rs`). What their drivers do with streams
//! (`grpc/session.rs`, `mq/connection.rs`) is done here by hand, without limits of time and memory, and with the client's half beside it.

mod channel;
mod client;
mod frames;
mod inbox;
mod passed;
mod structures;

use trimaran_node::mqi::{Call, ChannelTerms, Completion};
use trimaran_node::types::{Reason, Token};

pub use self::client::CHANNEL;
pub use self::passed::Passed;

use self::channel::Channel;
use self::frames::Frames;
use crate::model::tongue::Manner;

#[derive(Debug)]
pub enum Wire {
    Frames(Box<Frames>),
    Channel(Box<Channel>),
}

impl Wire {
    /// Connected, with frames. Little room makes them wait.
    pub fn frames(calls_max: usize, bytes_max: usize) -> Result<Wire, String> {
        Ok(Wire::Frames(Box::new(Frames::new(calls_max, bytes_max)?)))
    }

    /// Connected through a channel that says this, as the session of this number.
    pub fn channel(manner: Manner, terms: ChannelTerms, session: u64) -> Result<Wire, String> {
        Ok(Wire::Channel(Box::new(Channel::new(manner, terms, session)?)))
    }

    /// This call arrives at the node.
    pub fn arrives(&mut self, token: Token, call: Call) -> Result<Passed, String> {
        match self {
            Wire::Frames(frames) => frames.arrives(token, call),
            Wire::Channel(channel) => channel.arrives(token, call),
        }
    }

    /// The replica, which has decided so many units, answers; what waited may go on.
    pub fn answer(
        &mut self,
        token: Token,
        completion: Completion,
        units_decided: u64,
    ) -> Result<Passed, String> {
        match self {
            Wire::Frames(frames) => frames.answer(token, completion, units_decided),
            Wire::Channel(channel) => channel.answer(token, completion),
        }
    }

    /// The replica ended the session: what is answered now of what was not.
    pub fn close(&mut self, reason: Reason, all_answered: bool) -> Result<Vec<(Token, Completion)>, String> {
        match self {
            Wire::Frames(frames) => frames.close(reason, all_answered),
            Wire::Channel(channel) => channel.close(),
        }
    }
}
