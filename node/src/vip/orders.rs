//! What node and agent say to each other: a line of JSON each, over a pair of sockets that nobody else has.
//!
//! Which addresses the cluster file has, and on which interface addresses are, is not said here: the agent reads the file itself. Those
//! of queue managers that were created are in the cluster's records, and the node says them; it can say nothing of others, nor
//! an address of the file. Of the connections that it is told of the agent looks only at those of its addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::policy::Order;
use super::trouble::Trouble;
use crate::types::{Ends, InNetwork, Instant, QueueManagerId, Term};

/// To the agent. Times are microseconds of CLOCK_BOOTTIME, which both read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    Hold {
        queue_manager: u32,
        term: u64,
        deadline: u64,
    },
    Release {
        queue_manager: u32,
        deadline: u64,
    },
    /// What it holds: see `pulse`.
    Ask,
    /// What the interfaces of other nodes are called where clients are.
    Peers {
        hardware: BTreeSet<[u8; 6]>,
    },
    /// A queue manager that was created has these addresses from here on and no others, each with the length of its network. Answered by
    /// [`Report::Settled`] with this number or a later one.
    Addresses {
        queue_manager: u32,
        name: String,
        addresses: Vec<String>,
        number: u64,
    },
    /// These were connected to the node that had the address before: this end and the client's.
    Tickle {
        queue_manager: u32,
        connections: Vec<(SocketAddr, SocketAddr)>,
    },
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Ask,
    Order(QueueManagerId, Order),
    Peers(BTreeSet<[u8; 6]>),
    Addresses(QueueManagerId, String, Vec<InNetwork>, u64),
    Tickle(QueueManagerId, Vec<Ends>),
}

/// From the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// Nothing of an earlier agent is left; orders can come.
    Ready,
    /// It cannot do its work; the sentence says what to do.
    Unfit { sentence: String },
    Taken {
        queue_manager: u32,
        address: IpAddr,
        term: u64,
        /// When the kernel had it, and when the first announcement had left.
        claimed: u64,
        announced: u64,
    },
    /// So many of the clients that the agent was told of were told; it is ready for more.
    Tickled { queue_manager: u32, count: u64 },
    /// The answer to a release, also where nothing was held.
    Released { queue_manager: u32, deadline: u64 },
    /// Those that are here now: the answer to [`Line::Ask`], and said whenever it changes.
    Holding { addresses: BTreeSet<IpAddr> },
    /// What is wrong with an address, and what to do; none: that is over.
    Trouble { address: IpAddr, trouble: Trouble, sentence: Option<String> },
    /// The interface of the queue manager's addresses can be used, or not any more.
    Interface { queue_manager: u32, is_up: bool },
    /// What the interfaces of the addresses are called, when that is known and whenever it changes.
    Hardware { own: BTreeSet<[u8; 6]> },
    /// What is no address of a queue manager any more since the line of this number, or earlier ones, is not here.
    Settled { number: u64 },
    /// Somebody else answers for the address, once more.
    Conflict { address: IpAddr },
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

    pub fn tickle(queue_manager: QueueManagerId, clients: &[Ends]) -> Line {
        let connections = clients.iter().map(|ends| (ends.local, ends.client)).collect();
        Line::Tickle { queue_manager: queue_manager.0, connections }
    }

    pub fn said(self) -> Said {
        match self {
            Line::Ask => Said::Ask,
            Line::Peers { hardware } => Said::Peers(hardware),
            Line::Hold { queue_manager, term, deadline } => {
                let order = Order::Hold { term: Term(term), deadline: Instant(deadline) };
                Said::Order(QueueManagerId(queue_manager), order)
            }
            Line::Release { queue_manager, deadline } => {
                Said::Order(QueueManagerId(queue_manager), Order::Release { deadline: Instant(deadline) })
            }
            Line::Addresses { queue_manager, name, addresses, number } => {
                let addresses = addresses.iter().filter_map(|text| InNetwork::parse(text)).collect();
                Said::Addresses(QueueManagerId(queue_manager), name, addresses, number)
            }
            Line::Tickle { queue_manager, connections } => {
                let clients = connections.into_iter().map(|(local, client)| Ends { local, client }).collect();
                Said::Tickle(QueueManagerId(queue_manager), clients)
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
            let shown = String::from_utf8_lossy(&text);
            assert_eq!(line.said(), Said::Order(QueueManagerId(3), order), "{shown}");
        }
        let client = "[fd00::9]:4000".parse().unwrap();
        let clients = vec![Ends { local: "[fd00::50]:1414".parse().unwrap(), client }];
        let line =
            serde_json::from_slice::<Line>(&encode(&Line::tickle(QueueManagerId(3), &clients))).unwrap();
        assert_eq!(line.said(), Said::Tickle(QueueManagerId(3), clients));
        assert_eq!(serde_json::from_slice::<Line>(&encode(&Line::Ask)).unwrap().said(), Said::Ask);
        let created = Line::Addresses {
            queue_manager: 65_536,
            name: "QM".into(),
            addresses: vec!["10.0.0.60/24".into(), "nowhere".into()],
            number: 7,
        };
        let line = serde_json::from_slice::<Line>(&encode(&created)).unwrap();
        let address = InNetwork::parse("10.0.0.60/24").unwrap();
        assert_eq!(line.said(), Said::Addresses(QueueManagerId(65_536), "QM".into(), vec![address], 7));
        let hardware = BTreeSet::from([[2, 0, 0, 0, 1, 0], [2, 0, 0, 0, 1, 1]]);
        let line = encode(&Line::Peers { hardware: hardware.clone() });
        assert_eq!(serde_json::from_slice::<Line>(&line).unwrap().said(), Said::Peers(hardware));
    }
}
