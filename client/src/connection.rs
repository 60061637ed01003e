//! A connection to a queue manager, wherever in the cluster it is served.

use std::{
    io::Read,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};
use trimaran_proto::admin::v1::StatusResponse;

use crate::{
    core::{ConnectionState, Core, Link, Options, parse_address},
    dial::{self, Node},
    error::{Error, Result},
    reconnect,
    session::{Limits, Producer, Session},
    tls::Tls,
};

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

/// Settings of a [`Connection`]; made by [`Connection::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    addresses: Vec<String>,
    producer: Option<(String, u64)>,
    options: Options,
}

/// The highest number that a producer's first put may have: half of what 64 bits hold, which no producer comes to the end of.
pub const FIRST_SEQUENCE_MAX: u64 = 1 << 62;

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
        self.producer = Some((name.into(), next_sequence));
        self
    }

    /// Says that the puts of this connection may have been tried before, by an earlier run of the program under the same
    /// producer name: those that the queue manager cannot judge any more are then refused with 2195, instead of stored
    /// a second time. It remembers a producer until 1,000,000 others have put.
    pub fn repeating(mut self) -> Builder {
        self.options.repeating = true;
        self
    }

    /// Looks for the node that serves the queue manager and connects to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address or option that cannot be used, [`Error::Refused`] when this program is not let in,
    /// [`Error::Unreachable`] when nobody serves within the time that was given.
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
            Some((_, first)) if !(1..=FIRST_SEQUENCE_MAX).contains(&first) => {
                let text = format!("a producer's first sequence is 1 to {FIRST_SEQUENCE_MAX}");
                return Err(Error::Invalid(text));
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
            session: Session::surviving(
                self.options.limits,
                Producer { name: producer, repeating: self.options.repeating },
                first_sequence,
            ),
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
            repeating: false,
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

    /// A connection like this one to another queue manager of the cluster.
    pub(crate) async fn to_queue_manager(&self, name: &str) -> Result<Connection> {
        if self.queue_manager() == name {
            return Ok(self.clone());
        }
        let options =
            Options { queue_manager: name.to_string(), repeating: false, ..self.core.options.clone() };
        Builder { addresses: self.addresses(), producer: None, options }.connect().await
    }

    /// Asks every known node for its status, side by side; a node that does not answer `within` that time is
    /// reported with the error.
    pub async fn status(&self, within: Duration) -> Vec<(String, Result<StatusResponse>)> {
        dial::status(&self.addresses(), self.core.options.tls.as_ref(), within).await
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
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("state", &*self.core.state.borrow()).finish_non_exhaustive()
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
    fn no_two_connections_have_the_same_random_name() {
        assert_ne!(random().unwrap(), random().unwrap());
    }

    #[test]
    fn addresses_may_come_in_one_string() {
        let builder = Connection::builder(["a:1, b:2", "c:3,"]);
        assert_eq!(builder.addresses, ["a:1", "b:2", "c:3"]);
    }
}
