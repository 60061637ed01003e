//! What node and agent say to each other: a line of JSON each, over a pair of sockets that nobody else has.
//!
//! Which addresses there are and on which interface is not said here: the agent reads the cluster file itself, so that a
//! node that was taken over by somebody can have no other addresses.

use serde::{Deserialize, Serialize};

use super::policy::Order;
use crate::types::{Instant, QueueManagerId, Term};

/// To the agent. Deadlines are microseconds of CLOCK_BOOTTIME, which both read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Hold { queue_manager: u32, term: u64, deadline: u64 },
    Release { queue_manager: u32, deadline: u64 },
}

/// From the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Nothing of an earlier agent is left; orders can come.
    Ready,
    /// It cannot do its work; the sentence says what to do.
    Unfit {
        sentence: String,
    },
    Taken {
        queue_manager: u32,
        term: u64,
    },
    /// The answer to a release, also where nothing was held.
    Released {
        queue_manager: u32,
        deadline: u64,
    },
    /// Nobody renewed it in time.
    Expired {
        queue_manager: u32,
    },
    /// Somebody else answers for the address.
    Conflict {
        queue_manager: u32,
        address: String,
        hardware: String,
        gave_way: bool,
    },
    /// The kernel, or the user's program, did not do it.
    Failed {
        queue_manager: u32,
        sentence: String,
    },
}

impl Line {
    pub fn new(queue_manager: QueueManagerId, order: Order) -> Line {
        let queue_manager = queue_manager.0;
        match order {
            Order::Hold { term, deadline } => {
                Line::Hold { queue_manager, term: term.0, deadline: deadline.0 }
            }
            Order::Release { deadline } => Line::Release { queue_manager, deadline: deadline.0 },
        }
    }

    pub fn order(self) -> (QueueManagerId, Order) {
        match self {
            Line::Hold { queue_manager, term, deadline } => {
                (QueueManagerId(queue_manager), Order::Hold { term: Term(term), deadline: Instant(deadline) })
            }
            Line::Release { queue_manager, deadline } => {
                (QueueManagerId(queue_manager), Order::Release { deadline: Instant(deadline) })
            }
        }
    }
}

/// One line, with its end.
pub fn encode(line: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("plain values can be written as JSON");
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_out_as_it_went_in() {
        let orders = [
            Order::Hold { term: Term(7), deadline: Instant(u64::MAX) },
            Order::Release { deadline: Instant(12) },
        ];
        for order in orders {
            let text = encode(&Line::new(QueueManagerId(3), order));
            let line: Line = serde_json::from_slice(&text).unwrap();
            assert_eq!(line.order(), (QueueManagerId(3), order), "{}", String::from_utf8_lossy(&text));
        }
    }
}
