//! What all parts of one connection share: the nodes it knows, where it is, its sessions for units of work, its queues.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tonic::transport::Channel;

use crate::{
    dial::Node,
    error::{Error, Result},
    session::{Limits, Purpose, Session},
    tls::Tls,
};

/// Nodes a client keeps in mind; a cluster has at most seven.
const NODES_MAX: usize = 32;
/// Sessions of finished units, kept for the next ones for this long.
const IDLE_UNITS_MAX: usize = 64;
const IDLE_UNIT_FOR: Duration = Duration::from_secs(2);

/// Where a connection is; see [`Connection::state`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Calls are carried out.
    Connected {
        /// The node that serves the queue manager.
        node: String,
        /// `host:port` of its gRPC listener.
        address: String,
    },
    /// Nobody who serves is found yet. Calls wait.
    Reconnecting {
        since: Instant,
        /// Nodes asked in vain since then.
        attempt: u32,
        /// What was heard last.
        reason: String,
    },
    /// Closed by the program, or given up.
    Closed { reason: String },
}

/// The node that serves, and the HTTP/2 connection to it.
#[derive(Clone)]
pub(crate) struct Link {
    /// Its name in the cluster, as it said it.
    pub node: String,
    /// The name of the one that it serves, also where the program named none.
    pub queue_manager: String,
    /// `host:port` of the gRPC listener, as it was dialled.
    pub address: String,
    /// One for all sessions that this program has with the node.
    pub channel: Channel,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Empty for the only one of the cluster.
    pub queue_manager: String,
    /// At most 28 characters; empty for none.
    pub application_name: String,
    /// None: in the clear.
    pub tls: Option<Tls>,
    /// For how long the first connection is looked for.
    pub connect_within: Duration,
    /// For how long a lost one is looked for; None for ever.
    pub give_up_after: Option<Duration>,
    /// Of the session that survives and of each unit's.
    pub limits: Limits,
    /// Puts may have been tried before; see [`crate::Builder::repeating`].
    pub repeating: bool,
}

/// What all parts of one connection share.
pub(crate) struct Core {
    /// As the program said them; they do not change.
    pub options: Options,
    /// For all that is in no unit of work; it survives its streams.
    pub session: Arc<Session>,
    /// That were given or heard of; at most 32, and none is forgotten.
    pub nodes: Mutex<Vec<Arc<Node>>>,
    /// None while nobody is known who serves.
    pub link: watch::Sender<Option<Link>>,
    /// What the program sees of it.
    pub state: watch::Sender<ConnectionState>,
    /// Sessions of units of work, each with a stream of its own.
    pub units: Mutex<Units>,
    /// By name, while a program has one: all share its handles.
    pub queues: Mutex<HashMap<String, Weak<QueueShared>>>,
    /// Why every call fails from now on; None until the connection is over.
    pub ended: Mutex<Option<Error>>,
    /// Names units: random for this connection, then counted.
    pub unit_prefix: [u8; 16],
    /// How many units have been named.
    pub unit_count: std::sync::atomic::AtomicU64,
}

#[derive(Default)]
pub(crate) struct Units {
    idle: Vec<(Arc<Session>, Instant)>,
    leased: Vec<Weak<Session>>,
}

impl Core {
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().expect("nothing panics here").clone()
    }

    /// Some when the address was not known.
    pub(crate) fn add_node(&self, address: &str) -> Option<Arc<Node>> {
        let address = parse_address(address).ok()?;
        let mut nodes = self.nodes.lock().expect("nothing panics here");
        if nodes.len() >= NODES_MAX || nodes.iter().any(|node| node.address == address) {
            return None;
        }
        let node = Arc::new(Node::new(address));
        nodes.push(node.clone());
        Some(node)
    }

    pub(crate) fn set_link(&self, link: Option<Link>) {
        self.link.send_replace(link);
    }

    pub(crate) fn set_state(&self, state: ConnectionState) {
        self.state.send_replace(state);
    }

    /// One more attempt failed. Without a text the reason of an earlier one stands.
    pub(crate) fn count_attempt(&self, since: Instant, text: Option<String>) {
        self.state.send_modify(|state| {
            let (attempt, known) = match state {
                ConnectionState::Reconnecting { attempt, reason, .. } => {
                    (*attempt + 1, std::mem::take(reason))
                }
                _ => (1, String::new()),
            };
            let reason = text.unwrap_or(known);
            *state = ConnectionState::Reconnecting { since, attempt, reason };
        });
    }

    pub(crate) fn unreachable(&self, within: Duration) -> Error {
        let text = match &*self.state.borrow() {
            ConnectionState::Reconnecting { attempt: 0, .. } => "no node has answered yet".to_string(),
            ConnectionState::Reconnecting { reason, .. } => reason.clone(),
            ConnectionState::Closed { reason } => reason.clone(),
            ConnectionState::Connected { .. } => String::new(),
        };
        let queue_manager = match self.options.queue_manager.as_str() {
            "" => "the queue manager".to_string(),
            name => format!("queue manager {name}"),
        };
        Error::Unreachable { queue_manager, within_s: within.as_secs_f64(), is_lasting: false, text }
    }

    /// The connection is over; every call fails with `error`.
    pub(crate) fn end(&self, error: Error) {
        {
            let mut ended = self.ended.lock().expect("nothing panics here");
            if ended.is_some() {
                return;
            }
            *ended = Some(error.clone());
        }
        self.session.close(error.clone());
        let units = std::mem::take(&mut *self.units.lock().expect("nothing panics here"));
        for session in units.leased.iter().filter_map(Weak::upgrade) {
            session.close(error.clone());
        }
        self.set_link(None);
        self.set_state(ConnectionState::Closed { reason: error.to_string() });
    }

    // Sessions of units

    pub(crate) fn idle_unit(&self) -> Option<Arc<Session>> {
        let mut units = self.units.lock().expect("nothing panics here");
        while let Some((session, _)) = units.idle.pop() {
            if !session.is_closed() {
                return Some(session);
            }
        }
        None
    }

    pub(crate) fn lease(&self, session: &Arc<Session>) {
        self.units.lock().expect("nothing panics here").leased.push(Arc::downgrade(session));
    }

    /// The session of a unit that is over, for the next one.
    pub(crate) fn give_back(&self, session: Arc<Session>) {
        let mut units = self.units.lock().expect("nothing panics here");
        if units.idle.len() < IDLE_UNITS_MAX && !session.is_closed() {
            units.idle.push((session, Instant::now()));
        } else {
            drop(units);
            session.close(Error::Closed);
        }
    }

    pub(crate) fn has_units(&self) -> bool {
        let units = self.units.lock().expect("nothing panics here");
        units.leased.len() > units.idle.len()
    }

    /// Sessions nobody used for a while would keep queues open.
    pub(crate) fn tend_units(&self) {
        let mut old = Vec::new();
        {
            let mut units = self.units.lock().expect("nothing panics here");
            units.leased.retain(|session| session.upgrade().is_some_and(|session| !session.is_closed()));
            units.idle.retain(|(session, since)| {
                let keep = since.elapsed() < IDLE_UNIT_FOR && !session.is_closed();
                if !keep {
                    old.push(session.clone());
                }
                keep
            });
        }
        old.into_iter().for_each(|session| session.close(Error::Closed));
    }

    pub(crate) fn lose_units(&self, because: &str) {
        let units = std::mem::take(&mut *self.units.lock().expect("nothing panics here"));
        for session in units.leased.iter().filter_map(Weak::upgrade) {
            session.lose_any(because);
        }
    }

    pub(crate) fn next_unit_id(&self) -> [u8; 24] {
        let count = self.unit_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut id = [0; 24];
        id[..16].copy_from_slice(&self.unit_prefix);
        id[16..].copy_from_slice(&count.to_be_bytes());
        id
    }
}

/// A queue that is open on the session that survives; closed with the last [`Queue`](crate::Queue) of it.
pub(crate) struct QueueShared {
    /// As it was opened.
    pub name: String,
    /// The connection's own, that survives.
    pub session: Arc<Session>,
    /// Its handle to put.
    pub output: u32,
    /// Its handle to get.
    pub input: u32,
    /// Its handle to inquire.
    pub inquire: u32,
    /// Its handles to get what selectors select, those that were used last.
    pub selecting: Mutex<VecDeque<(String, Arc<Selecting>)>>,
}

/// A handle to get what a selector selects; closed when nobody uses it any more.
pub(crate) struct Selecting {
    session: Arc<Session>,
    pub handle: u32,
}

impl Drop for Selecting {
    fn drop(&mut self) {
        self.session.remove_handle(self.handle);
    }
}

/// Of one queue. A connection has 256 handles at most.
const SELECTING_MAX: usize = 8;

impl QueueShared {
    /// The handle to get what this selector selects.
    pub fn selecting(&self, selector: &str) -> Arc<Selecting> {
        let mut known = self.selecting.lock().expect("nothing panics here");
        let place = known.iter().position(|(of, _)| of == selector);
        let found = place.and_then(|place| known.remove(place));
        let (selector, selecting) = found.unwrap_or_else(|| {
            let input = Purpose { input: true, ..Purpose::default() };
            let handle = self.session.add_handle(&self.name, selector, input);
            (selector.to_string(), Arc::new(Selecting { session: self.session.clone(), handle }))
        });
        known.push_back((selector, selecting.clone()));
        // Closed outside of the lock.
        let oldest = (known.len() > SELECTING_MAX).then(|| known.pop_front());
        drop(known);
        drop(oldest);
        selecting
    }
}

impl Drop for QueueShared {
    fn drop(&mut self) {
        for handle in [self.output, self.input, self.inquire] {
            self.session.remove_handle(handle);
        }
    }
}

/// The sentence of a refusal without its codes.
pub(crate) fn plain_text(error: &Error) -> String {
    match error {
        Error::Refused { text, .. } => text.clone(),
        other => other.to_string(),
    }
}

/// `host:port`; the port of a node that follows the defaults is added.
pub(crate) fn parse_address(address: &str) -> Result<String> {
    let address = address.trim();
    let with_port = match address.rsplit_once(':') {
        Some((_, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => {
            address.to_string()
        }
        _ => format!("{address}:7201"),
    };
    let valid = with_port
        .parse::<http::uri::Authority>()
        .is_ok_and(|authority| !authority.host().is_empty() && authority.port_u16().is_some());
    match valid {
        true => Ok(with_port),
        false => Err(Error::Invalid(format!("\"{address}\" is not an address; write host:port"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_the_default_one() {
        assert_eq!(parse_address("node-a").unwrap(), "node-a:7201");
        assert_eq!(parse_address(" 10.0.0.1:1 ").unwrap(), "10.0.0.1:1");
        assert_eq!(parse_address("[::1]:7201").unwrap(), "[::1]:7201");
        assert!(parse_address("a b:1").is_err());
        assert!(parse_address("host:99999").is_err());
        assert!(parse_address("").is_err());
    }
}
