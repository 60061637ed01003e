//! How much the clients of one node may have and keep, whatever protocol they speak.

use std::time::Duration;

use super::patience::Patience;
use crate::types::limits;

/// Who takes so much of what waits for it is waited for again.
const TAKEN_BYTES_MIN: u64 = 64 * 1024;

/// Bounds of the listeners of one node. What is over one of them waits or is refused.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections of clients; one more is closed at once.
    pub connections_max: usize,
    /// Sessions, unary calls that are under way included; one more is refused with 2025.
    pub sessions_max: usize,
    /// Calls of one session that are not answered yet; the session is not read while it has so many.
    pub calls_in_flight_max: usize,
    /// Bytes of bodies in those calls; the session is not read while it has so many.
    pub session_bytes_max: usize,
    /// A client loses its connection when it takes nothing for so long: with too much waiting for a session of it, or
    /// anything of the answer to a call or of what was written to the connection.
    pub unread_patience: Duration,
    /// A session that has not connected loses its place after so long.
    pub hello_patience: Duration,
    /// HTTP/2 streams of one connection.
    pub streams_max: u32,
    /// How long sessions, calls and answers may go on once the node stops.
    pub grace: Duration,
}

impl Limits {
    /// For a client that does not take what it asked for.
    pub fn patience(&self) -> Patience {
        Patience { time: self.unread_patience, bytes: TAKEN_BYTES_MIN }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 4096,
            sessions_max: 20_000,
            calls_in_flight_max: limits::CALLS_IN_FLIGHT_MAX,
            session_bytes_max: 16 * 1024 * 1024,
            unread_patience: Duration::from_secs(10),
            hello_patience: Duration::from_secs(10),
            streams_max: 128,
            grace: Duration::from_secs(3),
        }
    }
}
