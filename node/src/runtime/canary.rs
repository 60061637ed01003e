//! A canary: each second, a small persistent message is put through a queue manager and got again, as a client does it, by every
//! node that does not serve it. Through the floating address where there is one, else through the clients' address of the node
//! that serves.
//!
//! A round that is not done within a second is a failed one; the next begins at once. A good one is told to the mind, which brings
//! it into the log (`replica/canary.rs`); a failed one to nobody, because that is what is missing there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tonic::transport::{Channel, Endpoint, Uri};
use trimaran_proto::failover::CANARY_QUEUE;
use trimaran_proto::message::v1 as wire;
use trimaran_proto::plain;
use trimaran_proto::queue::v1::queue_client::QueueClient;
use trimaran_proto::queue::v1::{GetRequest, Outcome, PutRequest};

use crate::config::Config;
use crate::replica::{Event, Inbox};
use crate::security::Tls;
use crate::types::{QueueManagerId, RoleView};

const EVERY: Duration = Duration::from_secs(1);
const ROUND_MAX: Duration = Duration::from_secs(1);
/// Within a round that is tried again so soon, as a client of ours does.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// A message that was put and never got goes by itself, in tenths of a second.
const EXPIRY: u32 = 300;
const BODY: &[u8] = b"canary";
/// The port of clients, where nothing says another.
const CLIENTS: u16 = 7201;

/// One for each queue manager that has canaries.
struct Canary {
    inbox: Inbox,
    /// The floating address.
    address: Option<IpAddr>,
    /// Where this node would be connected to, for the port that the address has.
    own: String,
    tls: Option<Arc<Tls>>,
    identity: Option<(PathBuf, PathBuf)>,
    rounds: Arc<Rounds>,
}

/// What this node's canary did.
#[derive(Debug, Default)]
pub struct Rounds {
    good: AtomicU64,
    failed: AtomicU64,
    /// The last good one.
    took_us: AtomicU64,
}

impl Rounds {
    /// Good ones, failed ones, and what the last good one took in microseconds.
    pub fn figures(&self) -> (u64, u64, u64) {
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        (of(&self.good), of(&self.failed), of(&self.took_us))
    }
}

/// What the canaries of a node count, by the name of the queue manager. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AllRounds(Arc<Mutex<BTreeMap<String, Arc<Rounds>>>>);

impl AllRounds {
    pub fn all(&self) -> Vec<(String, Arc<Rounds>)> {
        self.0.lock().iter().map(|(name, rounds)| (name.clone(), rounds.clone())).collect()
    }
}

/// The canaries of this node: those of the cluster file from the start, others with the cluster's records. They end with this.
pub struct Canaries {
    config: Arc<Config>,
    tls: Option<Arc<Tls>>,
    rounds: AllRounds,
    /// Which address each tries.
    running: BTreeMap<QueueManagerId, (Option<IpAddr>, Inbox, JoinHandle<()>)>,
}

impl Canaries {
    pub fn new(config: Arc<Config>, tls: Option<Arc<Tls>>) -> Canaries {
        Canaries { config, tls, rounds: AllRounds::default(), running: BTreeMap::new() }
    }

    pub fn rounds(&self) -> AllRounds {
        self.rounds.clone()
    }

    /// Those of the cluster file.
    pub fn start(&mut self, inboxes: &BTreeMap<QueueManagerId, Inbox>) {
        for id in self.config.canaries.queue_managers.clone() {
            if let Some(inbox) = inboxes.get(&id) {
                self.set(inbox, self.config.canary_address(id));
            }
        }
    }

    /// It is tried from here on, at this address.
    pub fn set(&mut self, inbox: &Inbox, address: Option<IpAddr>) {
        let id = inbox.queue_manager();
        if self.running.get(&id).is_some_and(|(before, ..)| *before == address) {
            return;
        }
        self.end(id);
        let rounds = Arc::<Rounds>::default();
        let canary = Canary {
            inbox: inbox.clone(),
            address,
            own: self.config.this().info.client_address.clone(),
            tls: self.tls.clone(),
            identity: self.config.canaries.identity.clone(),
            rounds: rounds.clone(),
        };
        self.rounds.0.lock().insert(inbox.name().to_string(), rounds);
        self.running.insert(id, (address, inbox.clone(), tokio::spawn(canary.watch())));
    }

    /// It is not tried any more.
    pub fn end(&mut self, queue_manager: QueueManagerId) {
        if let Some((_, inbox, task)) = self.running.remove(&queue_manager) {
            task.abort();
            self.rounds.0.lock().remove(inbox.name().as_str());
        }
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        self.running.values().for_each(|(_, _, task)| task.abort());
    }
}

impl Canary {
    async fn watch(self) {
        let mut due = tokio::time::interval(EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut line: Option<(String, QueueClient<Channel>)> = None;
        let mut good_at: Option<Instant> = None;
        let mut was_good = true;
        loop {
            due.tick().await;
            let role = self.inbox.role();
            if role == RoleView::Removed {
                return;
            }
            if role.leads() {
                // Whoever serves reaches itself whatever clients do.
                (line, good_at, was_good) = (None, None, true);
                continue;
            }
            let (began, mut why) = (Instant::now(), String::from("no answer within a second"));
            let is_good = tokio::time::timeout(ROUND_MAX, self.round(&mut line, &mut why)).await.is_ok();
            let name = self.inbox.name();
            if is_good {
                let silent = good_at.replace(Instant::now()).map(|at| at.elapsed());
                self.rounds.good.fetch_add(1, Ordering::Relaxed);
                self.rounds.took_us.store(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                let _ = self.inbox.deliver(Event::CanaryGood { silent }).await;
            } else {
                line = None;
                self.rounds.failed.fetch_add(1, Ordering::Relaxed);
                due.reset_immediately();
            }
            match (was_good, is_good) {
                (true, false) => {
                    tracing::warn!(queue_manager = %name, why, "the canary does not get through")
                }
                (false, true) => tracing::info!(queue_manager = %name, "the canary gets through again"),
                _ => {}
            }
            was_good = is_good;
        }
    }

    /// Until a message was put and got. `why` says what is in the way.
    async fn round(&self, line: &mut Option<(String, QueueClient<Channel>)>, why: &mut String) {
        loop {
            match self.once(line).await {
                Ok(()) => return,
                Err(text) => *why = text,
            }
            *line = None;
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn once(&self, line: &mut Option<(String, QueueClient<Channel>)>) -> Result<(), String> {
        let leader = self.inbox.leader().map(|(_, info)| info.client_address);
        let target = target(self.address, leader.as_deref(), &self.own)?;
        let client = match line {
            Some((at, client)) if *at == target => client,
            _ => {
                let client = QueueClient::new(self.connect(&target).await?);
                &mut line.insert((target, client)).1
            }
        };
        let queue_manager = self.inbox.name().to_string();
        let descriptor = wire::Descriptor {
            persistence: wire::Persistence::Persistent.into(),
            expiry: Some(EXPIRY),
            ..wire::Descriptor::default()
        };
        let body = Bytes::from_static(BODY);
        let message = wire::Message { descriptor: Some(Box::new(descriptor)), body, body_crc32c: None };
        let put = PutRequest {
            queue_manager: queue_manager.clone(),
            queue: CANARY_QUEUE.to_owned(),
            message: Some(message),
            ..PutRequest::default()
        };
        let put = client.put(put).await.map_err(|status| status.message().to_owned())?.into_inner();
        refused("put", put.outcome)?;
        let get = GetRequest {
            queue_manager,
            queue: CANARY_QUEUE.to_owned(),
            message_id: put.message_id,
            ..GetRequest::default()
        };
        let got = client.get(get).await.map_err(|status| status.message().to_owned())?.into_inner();
        refused("get", got.outcome)?;
        match got.message.is_some_and(|message| message.body == BODY) {
            true => Ok(()),
            false => Err("another message came back than was put".to_owned()),
        }
    }

    async fn connect(&self, target: &str) -> Result<Channel, String> {
        let endpoint =
            Endpoint::from_shared(format!("http://{target}")).map_err(|error| error.to_string())?;
        let identity =
            self.identity.as_ref().map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let tls = self.tls.as_ref().map(|tls| tls.client_for_clients(identity)).transpose();
        let tls = tls.map_err(|error| error.to_string())?;
        let connector = tower::service_fn(move |uri: Uri| {
            let tls = tls.clone();
            async move {
                let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
                let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(CLIENTS))).await?;
                stream.set_nodelay(true)?;
                let stream: Box<dyn Wire> = match tls {
                    None => Box::new(stream),
                    Some(tls) => {
                        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
                        Box::new(tokio_rustls::TlsConnector::from(tls).connect(name, stream).await?)
                    }
                };
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        let connected = endpoint.connect_with_connector(connector).await;
        connected.map_err(|error| format!("{target}: {}", plain::error(plain::root_cause(&error))))
    }
}

/// Where a client would go. At the floating address the port of the node that serves counts, or else this one's own.
fn target(floating: Option<IpAddr>, leader: Option<&str>, own: &str) -> Result<String, String> {
    let Some(ip) = floating else {
        return leader
            .map(str::to_owned)
            .ok_or_else(|| "no node serves, as far as this one knows".to_owned());
    };
    let port_of = |address: &str| address.rsplit_once(':')?.1.parse().ok();
    let port = leader.and_then(port_of).or_else(|| port_of(own)).unwrap_or(CLIENTS);
    Ok(SocketAddr::new(ip, port).to_string())
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

fn refused(what: &str, outcome: Option<Outcome>) -> Result<(), String> {
    match outcome {
        None => Ok(()),
        Some(outcome) if outcome.code == 0 => Ok(()),
        Some(outcome) => Err(format!("{what}: {} {}", outcome.reason, outcome.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_goes_where_clients_go() {
        let (leader, own) = (Some("10.0.0.2:7202"), "10.0.0.1:7201");
        assert_eq!(target(None, leader, own).as_deref(), Ok("10.0.0.2:7202"));
        assert!(target(None, None, own).unwrap_err().contains("no node serves"));
        let four = Some("10.0.0.50".parse().unwrap());
        assert_eq!(target(four, leader, own).as_deref(), Ok("10.0.0.50:7202"));
        assert_eq!(
            target(four, None, own).as_deref(),
            Ok("10.0.0.50:7201"),
            "it may be there, whoever serves"
        );
        assert_eq!(target(Some("fd00::50".parse().unwrap()), leader, own).as_deref(), Ok("[fd00::50]:7202"));
    }

    #[test]
    fn an_answer_with_a_reason_is_no_good_round() {
        let full = Outcome { code: 2, reason: 2053, text: "The queue is full.".into() };
        assert_eq!(refused("put", Some(full)), Err("put: 2053 The queue is full.".into()));
        assert_eq!((refused("put", None), refused("get", Some(Outcome::default()))), (Ok(()), Ok(())));
    }
}
