//! A connection to a queue manager, wherever in the cluster it is served.

use std::{
    collections::HashMap,
    io::Read,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use tonic::transport::Channel;
use trimaran_proto::{
    admin::v1::{RecoverRequest, StatusResponse},
    queue::v1 as wire,
};

use crate::{
    admin::Admin,
    error::{Error, Result},
    outcome::{UnitOutcome, reason},
    queue::{Queue, QueueShared},
    reconnect::{self, Node},
    session::{Limits, Request, Session},
    tls::Tls,
    unit_of_work::UnitOfWork,
};

/// Nodes a client keeps in mind; a cluster has at most seven.
const NODES_MAX: usize = 32;
/// Sessions of finished units, kept for the next ones for this long.
const IDLE_UNITS_MAX: usize = 64;
const IDLE_UNIT_FOR: Duration = Duration::from_secs(2);

/// A connection to a queue manager, wherever in the cluster it is served. Cheap to clone; the clones share it.
///
/// It survives the failure of the node it is connected to: it finds the node that serves next, opens what was open
/// and repeats the puts that were not answered, each exactly once and in order. Calls made meanwhile wait.
///
/// ```no_run
/// # async fn example() -> trimaran_client::Result<()> {
/// use trimaran_client::Connection;
///
/// let connection = Connection::builder(["10.0.0.1:7201", "10.0.0.2:7201", "10.0.0.3:7201"])
///     .queue_manager("ha.queue.manager")
///     .connect()
///     .await?;
/// connection.queue("HA.QUEUE").put("Hello").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection {
    pub(crate) core: Arc<Core>,
    /// Ends the background task with the last clone.
    _guard: Arc<Guard>,
}

struct Guard(watch::Sender<bool>, Arc<Core>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.send_replace(true);
        self.1.end(Error::Closed);
    }
}

/// Where a connection is; see [`Connection::state`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    Connected {
        /// The node that serves the queue manager.
        node: String,
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
    pub node: String,
    pub queue_manager: String,
    pub address: String,
    pub channel: Channel,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub queue_manager: String,
    pub application_name: String,
    pub tls: Option<Tls>,
    pub connect_within: Duration,
    pub give_up_after: Option<Duration>,
    pub limits: Limits,
}

/// What all parts of one connection share.
pub(crate) struct Core {
    pub options: Options,
    pub session: Arc<Session>,
    nodes: Mutex<Vec<Arc<Node>>>,
    link: watch::Sender<Option<Link>>,
    state: watch::Sender<ConnectionState>,
    units: Mutex<Units>,
    pub queues: Mutex<HashMap<String, Weak<QueueShared>>>,
    ended: Mutex<Option<Error>>,
    /// Names units: random for this connection, then counted.
    unit_prefix: [u8; 16],
    unit_count: std::sync::atomic::AtomicU64,
}

#[derive(Default)]
struct Units {
    idle: Vec<(Arc<Session>, Instant)>,
    leased: Vec<Weak<Session>>,
}

/// Settings of a [`Connection`]; made by [`Connection::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    addresses: Vec<String>,
    producer: Option<(String, u64)>,
    options: Options,
}

impl Builder {
    /// Name of the queue manager. Not needed when the cluster has only one.
    pub fn queue_manager(mut self, name: impl Into<String>) -> Builder {
        self.options.queue_manager = name.into();
        self
    }

    /// Shown in status pages and put into messages as PutApplName; at most 28 characters.
    pub fn application_name(mut self, name: impl Into<String>) -> Builder {
        self.options.application_name = name.into();
        self
    }

    /// Encrypts, checks the node, and shows who this client is.
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.options.tls = Some(tls);
        self
    }

    /// How long [`Builder::connect`] looks for a node that serves. Default 30 s.
    pub fn connect_within(mut self, within: Duration) -> Builder {
        self.options.connect_within = within;
        self
    }

    /// Gives up when a lost connection cannot be made again for so long: every call fails from then on. Default:
    /// never.
    pub fn give_up_after(mut self, after: Duration) -> Builder {
        self.options.give_up_after = Some(after);
        self
    }

    /// Calls and bytes of message bodies that may be unanswered at a time; a call beyond waits. Default 4,096
    /// calls and 64 MiB; never more than 8,000 calls.
    pub fn window(mut self, calls: usize, bytes: usize) -> Builder {
        self.options.limits = Limits { calls: calls.clamp(1, 8000), bytes: bytes.max(1) };
        self
    }

    /// Numbers this connection's puts under a name of the program's choice, starting with `next_sequence`, in
    /// place of a random name. A program that stores how far it got, and repeats from there under the same name
    /// and number after a crash of its own, puts exactly once too. At most 64 bytes; never two connections under one
    /// name at a time.
    pub fn producer(mut self, name: impl Into<String>, next_sequence: u64) -> Builder {
        self.producer = Some((name.into(), next_sequence.max(1)));
        self
    }

    /// Looks for the node that serves the queue manager and connects to it.
    pub async fn connect(self) -> Result<Connection> {
        let addresses =
            self.addresses.iter().map(|address| parse_address(address)).collect::<Result<Vec<_>>>()?;
        if addresses.is_empty() {
            return Err(Error::Invalid(
                "there is no address to connect to; give at least one host:port".into(),
            ));
        }
        if self.options.application_name.len() > 28 {
            return Err(Error::Invalid("an application name has at most 28 characters".into()));
        }
        let unit_prefix = random()?;
        let (producer, first_sequence) = match self.producer {
            Some((name, _)) if name.is_empty() || name.len() > 64 => {
                return Err(Error::Invalid("a producer's name has 1 to 64 bytes".into()));
            }
            Some(producer) => producer,
            None => (crate::message::hex(&random()?[..8]), 1),
        };
        let state = ConnectionState::Reconnecting {
            since: Instant::now(),
            attempt: 0,
            reason: "connecting".to_string(),
        };
        let within = self.options.connect_within;
        let core = Arc::new(Core {
            session: Session::surviving(self.options.limits, producer, first_sequence),
            nodes: Mutex::new(addresses.into_iter().map(|address| Arc::new(Node::new(address))).collect()),
            link: watch::Sender::new(None),
            state: watch::Sender::new(state),
            units: Mutex::default(),
            queues: Mutex::default(),
            ended: Mutex::new(None),
            unit_prefix,
            unit_count: 0.into(),
            options: self.options,
        });
        let (closing, closing_seen) = watch::channel(false);
        let guard = Arc::new(Guard(closing, core.clone()));
        let (first, connected) = oneshot::channel();
        tokio::spawn(reconnect::supervise(core.clone(), closing_seen, first));
        let started = Instant::now();
        match tokio::time::timeout(within, connected).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(Error::Closed),
            Err(_) => return Err(core.unreachable(started.elapsed())),
        }
        Ok(Connection { core, _guard: guard })
    }
}

impl Connection {
    /// Any of the cluster's nodes will do, as `host:port` of its gRPC listener; the others are learned. Give all
    /// of them, so that it does not matter which are up.
    pub fn builder<A: AsRef<str>>(addresses: impl IntoIterator<Item = A>) -> Builder {
        let options = Options {
            queue_manager: String::new(),
            application_name: String::new(),
            tls: None,
            connect_within: Duration::from_secs(30),
            give_up_after: None,
            limits: Limits { calls: 4096, bytes: 64 * 1024 * 1024 },
        };
        let addresses = addresses
            .into_iter()
            .flat_map(|list| {
                list.as_ref().split(',').map(|address| address.trim().to_string()).collect::<Vec<_>>()
            })
            .filter(|address| !address.is_empty())
            .collect();
        Builder { addresses, producer: None, options }
    }

    /// A queue of the queue manager. Nothing is sent; the queue is opened by the first call on it, and whether it
    /// exists shows then.
    pub fn queue(&self, name: impl AsRef<str>) -> Queue {
        Queue::new(self.clone(), name.as_ref())
    }

    /// Begins a unit of work: puts and gets on any number of queues that become true together at commit.
    ///
    /// Waits while the connection is being made again.
    pub async fn unit_of_work(&self) -> Result<UnitOfWork> {
        let session = self.unit_session().await?;
        Ok(UnitOfWork::new(self.clone(), session))
    }

    /// What became of the unit of work with this id? Final: what is reported as backed out can not be committed
    /// afterwards. [`UnitOfWork::commit`] asks by itself; this is for a program that noted the id of
    /// [`UnitOfWork::id`] before it died.
    pub async fn unit_outcome(&self, unit: impl AsRef<[u8]>) -> Result<UnitOutcome> {
        let unit_id = Bytes::copy_from_slice(unit.as_ref());
        if unit_id.is_empty() || unit_id.len() > 24 {
            return Err(Error::Invalid("the id of a unit of work has 1 to 24 bytes".into()));
        }
        let call = wire::call::Call::UnitOutcome(wire::UnitOutcome { unit_id });
        let answer = self.core.session.call(Request::new(call).repeatable()).await?;
        match answer.data {
            Some(wire::completion::Data::Unit(status))
                if status.state() == wire::unit_status::State::Committed =>
            {
                Ok(UnitOutcome::Committed)
            }
            Some(wire::completion::Data::Unit(status))
                if status.state() == wire::unit_status::State::BackedOut =>
            {
                Ok(UnitOutcome::BackedOut)
            }
            _ => Err(Error::refused(
                reason::UNEXPECTED_ERROR,
                "The queue manager answered the question for a unit of work without an outcome.",
            )),
        }
    }

    /// Where the connection is now, and a way to be told when that changes.
    ///
    /// ```no_run
    /// # async fn example(connection: trimaran_client::Connection) {
    /// use trimaran_client::ConnectionState;
    ///
    /// let mut state = connection.state();
    /// while state.changed().await.is_ok() {
    ///     match &*state.borrow_and_update() {
    ///         ConnectionState::Connected { node, .. } => println!("{node} serves"),
    ///         ConnectionState::Reconnecting { reason, .. } => println!("reconnecting: {reason}"),
    ///         ConnectionState::Closed { .. } => break,
    ///     }
    /// }
    /// # }
    /// ```
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.core.state.subscribe()
    }

    /// Name of the queue manager as it was when last connected.
    pub fn queue_manager(&self) -> String {
        match &*self.core.link.borrow() {
            Some(link) => link.queue_manager.clone(),
            None => self.core.options.queue_manager.clone(),
        }
    }

    /// Addresses of all nodes this connection knows of.
    pub fn addresses(&self) -> Vec<String> {
        self.core.nodes().iter().map(|node| node.address.clone()).collect()
    }

    /// Queues, membership, and who shall serve.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// A connection like this one to another queue manager of the cluster.
    pub(crate) async fn to_queue_manager(&self, name: &str) -> Result<Connection> {
        if self.queue_manager() == name {
            return Ok(self.clone());
        }
        let options = Options { queue_manager: name.to_string(), ..self.core.options.clone() };
        Builder { addresses: self.addresses(), producer: None, options }.connect().await
    }

    /// Asks every known node for its status, side by side; a node that does not answer `within` that time is
    /// reported with the error.
    pub async fn status(&self, within: Duration) -> Vec<(String, Result<StatusResponse>)> {
        status(&self.addresses(), self.core.options.tls.as_ref(), within).await
    }

    /// Waits until every call is answered, then closes. Dropping the connection closes it at once, and puts that were
    /// not answered may or may not have been stored.
    pub async fn close(self) {
        while self.core.session.unanswered() > 0 && !self.core.session.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.core.end(Error::Closed);
    }

    /// The node that serves now; waits for one.
    pub(crate) async fn link(&self) -> Result<Link> {
        let mut link = self.core.link.subscribe();
        let mut state = self.core.state.subscribe();
        loop {
            if let Some(error) = &*self.core.ended.lock().expect("nothing panics here") {
                return Err(error.clone());
            }
            if let Some(link) = &*link.borrow_and_update() {
                return Ok(link.clone());
            }
            state.borrow_and_update();
            tokio::select! {
                changed = link.changed() => changed.map_err(|_| Error::Closed)?,
                changed = state.changed() => changed.map_err(|_| Error::Closed)?,
            }
        }
    }

    async fn unit_session(&self) -> Result<Arc<Session>> {
        loop {
            if let Some(session) = self.core.idle_unit() {
                return Ok(session);
            }
            let link = self.link().await?;
            let session = Session::for_units(self.core.options.limits);
            let node = self.core.nodes().into_iter().find(|node| node.address == link.address);
            let Some(node) = node else { continue };
            match reconnect::greet(&self.core, &node, &session).await {
                Ok(greeted) => {
                    session.attach(&greeted.gate, greeted.responses)?;
                    self.core.lease(&session);
                    return Ok(session);
                }
                Err(failure) => {
                    let number = failure.error.reason().unwrap_or_default();
                    if !crate::outcome::says_that_service_moved(number) {
                        return Err(failure.error);
                    }
                    // The connection's own session will notice, too; until then this one would spin.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("state", &*self.core.state.borrow()).finish_non_exhaustive()
    }
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

    /// One more attempt failed. Without an error the reason of an earlier one stands.
    pub(crate) fn count_attempt(&self, since: Instant, error: Option<&Error>) {
        self.state.send_modify(|state| {
            let (attempt, known) = match state {
                ConnectionState::Reconnecting { attempt, reason, .. } => {
                    (*attempt + 1, std::mem::take(reason))
                }
                _ => (1, String::new()),
            };
            let reason = error.map_or(known, plain_text);
            *state = ConnectionState::Reconnecting { since, attempt, reason };
        });
    }

    pub(crate) fn unreachable(&self, within: Duration) -> Error {
        let text = match &*self.state.borrow() {
            ConnectionState::Reconnecting { reason, .. } => reason.clone(),
            ConnectionState::Closed { reason } => reason.clone(),
            ConnectionState::Connected { .. } => String::new(),
        };
        let queue_manager = match self.options.queue_manager.as_str() {
            "" => "the queue manager".to_string(),
            name => format!("queue manager {name}"),
        };
        Error::Unreachable { queue_manager, within_s: within.as_secs_f64(), text }
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

    fn idle_unit(&self) -> Option<Arc<Session>> {
        let mut units = self.units.lock().expect("nothing panics here");
        while let Some((session, _)) = units.idle.pop() {
            if !session.is_closed() {
                return Some(session);
            }
        }
        None
    }

    fn lease(&self, session: &Arc<Session>) {
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

/// Asks every node of the list for its status, side by side.
pub async fn status(
    addresses: &[String],
    tls: Option<&Tls>,
    within: Duration,
) -> Vec<(String, Result<StatusResponse>)> {
    let asked = addresses
        .iter()
        .map(|address| async move { (address.clone(), reconnect::status_of(address, tls, within).await) });
    futures::future::join_all(asked).await
}

/// Tells the node at this address to go on with what the best node has left, after too many logs were damaged; see the
/// `Recover` call of the Admin service. Nobody but a person should decide that.
pub async fn recover(
    address: &str,
    tls: Option<&Tls>,
    request: RecoverRequest,
    within: Duration,
) -> Result<()> {
    reconnect::recover_at(address, tls, request, within).await
}

/// The sentence of a refusal without its codes.
fn plain_text(error: &Error) -> String {
    match error {
        Error::Refused { text, .. } => text.clone(),
        other => other.to_string(),
    }
}

/// `host:port`; the port of a node that follows the defaults is added.
fn parse_address(address: &str) -> Result<String> {
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

/// From the operating system itself. The generator that TLS has gathers entropy of its own first, which is felt by a
/// command that puts one message.
fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Error::Invalid(format!("read /dev/urandom: {error}")))?;
    Ok(bytes)
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

    #[test]
    fn no_two_connections_have_the_same_random_name() {
        assert_ne!(random().unwrap(), random().unwrap());
    }

    #[test]
    fn addresses_may_come_in_one_string() {
        let builder = Connection::builder(["a:1, b:2", "c:3,"]);
        assert_eq!(builder.addresses, ["a:1", "b:2", "c:3"]);
    }
}
