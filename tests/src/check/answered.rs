//! Every call is answered once: never twice, and, when nothing goes wrong, in time.

use std::collections::BTreeMap;

use trimaran_node::mqi::{Call, Wait};
use trimaran_node::types::{Reason, Token};

use crate::sim::node::Node;

pub const NAME: &str = "every call is answered once";

/// Without faults, and when they have been over for so long that somebody serves again.
const ANSWER_US_MAX: u64 = 5_000_000;
const RECOVERED_AFTER_US: u64 = 10_000_000;

/// How long the answer to a call may take. Programs give up a little later.
pub fn due_after(call: &Call) -> u64 {
    match call {
        Call::Get(get) => match get.wait {
            Wait::No => ANSWER_US_MAX,
            Wait::For(time) => ANSWER_US_MAX + time.as_micros() as u64,
            Wait::Forever => u64::MAX / 2,
        },
        _ => ANSWER_US_MAX,
    }
}

pub fn twice(node: u64, session: u64, token: Token, reason: Reason) -> String {
    format!("node {node} answers call {token} of session {session} that is not open ({reason})")
}

/// A call on a connection that works, to a node that runs, and no answer.
pub fn overdue(now: u64, healed_at: Option<u64>, nodes: &BTreeMap<u64, Node>) -> Option<String> {
    if now < healed_at? + RECOVERED_AFTER_US {
        return None;
    }
    nodes.values().find_map(|node| {
        let sessions = &node.process.as_ref()?.sessions;
        sessions.iter().filter(|(_, open)| !open.stuck).find_map(|(session, open)| {
            let (token, due) = open.calls.iter().find(|(_, due)| **due < now)?;
            let id = node.id;
            Some(format!(
                "node {id} has not answered call {token} of session {session}, which was due at {due} us"
            ))
        })
    })
}
