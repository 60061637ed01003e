//! Finds the node that serves, and finds it again: at once after a broken connection, and beside a connection that
//! has gone silent.
//!
//! All known nodes are asked side by side, each in its own rhythm: the first time at once (a little staggered), then
//! after 10 to 100 ms for as long as a takeover can last, and then every 200 ms. Whoever answers `Connect` with yes is the
//! one. A node that does not serve names the one that does, which is then asked at once. Connections to nodes that said no
//! are kept for as long as the search lasts, so a round while nobody serves costs a stream per node, not a handshake; then they
//! are closed. An address that floats is asked as every other, and over a new connection where the one to it is silent: it may lead to
//! another node by now, or to nobody, while its node answers elsewhere.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::sync::{Notify, oneshot, watch};
use trimaran_proto::{
    admin::v1::{StatusRequest, admin_client::AdminClient},
    queue::v1::{self as wire, queue_client::QueueClient},
};

use crate::{
    core::{ConnectionState, Core, Link, plain_text},
    dial::{Node, RESPONSE_BYTES_MAX, describe},
    error::{Error, Result},
    outcome,
    reasons::reason,
    session::{Gate, Outgoing, Session},
    tls::Shown,
};

/// A node that takes longer to greet is tried again.
pub(crate) const GREETING_PATIENCE: Duration = Duration::from_secs(2);
/// No other call has this token: theirs have a slot's serial number in them.
const GREETING_TOKEN: u64 = 2;
const STAGGER: Duration = Duration::from_millis(15);
/// The greeting of another node at the address of one that is silent; longer with every try.
const SILENT_PATIENCE: Duration = Duration::from_millis(500);
const BACKOFF_MS: [u64; 4] = [10, 20, 50, 100];
/// Tries in some three seconds, in which another node takes over if any can; whoever waits longer is in no hurry.
const HURRIED: usize = 30;
const UNHURRIED_MS: u64 = 200;
/// An answer that is overdue for so long makes the client ask the other nodes who serves.
const ANSWER_PATIENCE: Duration = Duration::from_millis(500);
/// While gets wait or units are open, silence of this length is ended by a ping.
const QUIET_MAX: Duration = Duration::from_millis(500);
const TEND_EVERY: Duration = Duration::from_millis(100);

/// A node that serves, with a session that has been greeted and waits to be attached.
pub(crate) struct Greeted {
    /// What becomes the connection's when it is attached.
    pub link: Link,
    /// Holds the stream back until it is attached.
    pub gate: Gate,
    /// What comes behind the answer to the greeting.
    pub responses: tonic::Streaming<wire::SessionResponse>,
}

pub(crate) struct Failure {
    /// What the program is told if nobody else serves.
    pub error: Error,
    /// `host:port` of the node that serves instead, if this one knew.
    pub serving: Option<String>,
    /// There was no connection over which anybody could have been asked.
    pub is_unreached: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, serving: None, is_unreached: false }
    }
}

/// Opens a stream to the node and says hello for `session`.
pub(crate) async fn greet(
    core: &Core,
    node: &Node,
    session: &Arc<Session>,
    patience: Duration,
) -> std::result::Result<Greeted, Failure> {
    let mut is_reached = false;
    let greeting = async {
        let shown = Shown::of(core.options.tls.as_ref());
        let channel = node.channel(core.options.tls.as_ref()).await?;
        is_reached = true;
        let connect = wire::Connect {
            queue_manager: core.options.queue_manager.clone(),
            application_name: core.options.application_name.clone(),
        };
        let call = wire::Call { token: GREETING_TOKEN, call: Some(wire::call::Call::Connect(connect)) };
        let (outgoing, gate) = Outgoing::new(wire::SessionRequest { calls: vec![call] }, session.clone());
        let mut client = QueueClient::new(channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let on_status = |status: tonic::Status| Failure::from(describe(&node.address, &status, shown));
        let mut responses = client.session(outgoing).await.map_err(on_status)?.into_inner();
        let first = responses.message().await.map_err(on_status)?;
        let completion = first.and_then(|response| {
            session.note_units_decided(response.units_decided);
            response.completions.into_iter().next()
        });
        let Some(completion) = completion else {
            let text = format!("{}: the node ended the session without a greeting", node.address);
            return Err(Error::refused(reason::CONNECTION_BROKEN, text).into());
        };
        match (outcome::check(completion.outcome), completion.data) {
            (Ok(_), Some(wire::completion::Data::Connected(connected))) => {
                let link = Link {
                    node: connected.node,
                    queue_manager: connected.queue_manager,
                    address: node.address.clone(),
                    channel,
                };
                Ok(Greeted { link, gate, responses })
            }
            (Ok(_), _) => {
                let text = format!("{}: the node did not answer the greeting with Connected", node.address);
                Err(Error::refused(reason::CONNECTION_BROKEN, text).into())
            }
            (Err(error), data) => {
                let serving = match data {
                    Some(wire::completion::Data::Serving(serving)) => Some(serving.address),
                    _ => None,
                };
                let serving = serving.filter(|address| !address.is_empty());
                Err(Failure { error, serving, is_unreached: false })
            }
        }
    };
    let mut result = match tokio::time::timeout(patience, greeting).await {
        Ok(result) => result,
        Err(_) => {
            let text = format!("{}: no answer within {patience:?}", node.address);
            Err(Error::refused(reason::CONNECTION_BROKEN, text).into())
        }
    };
    if let Err(failure) = &mut result {
        failure.is_unreached = !is_reached;
        if failure.error.reason() == Some(reason::CONNECTION_BROKEN) {
            node.forget_channel();
        }
    }
    result
}

/// What a search knows of the node that is silent, if one is.
struct Silent {
    link: Option<Link>,
    /// The node itself, where it answers at another address.
    elsewhere: Option<Greeted>,
    /// Its own address was dialled in vain when it was asked last.
    is_unreached: bool,
}

impl Silent {
    fn is_at(&self, address: &str) -> bool {
        self.link.as_ref().is_some_and(|link| link.address == address)
    }

    fn is(&self, greeted: &Greeted) -> bool {
        self.link.as_ref().is_some_and(|link| link.node == greeted.link.node)
    }

    /// The node where it answers, once its own address cannot be reached. One that is only slow is left alone: what is on its
    /// way there would have to begin anew.
    fn take_elsewhere(&mut self) -> Option<Greeted> {
        if self.is_unreached { self.elsewhere.take() } else { None }
    }

    /// Nobody uses the connection to its address any more.
    fn forget_channel(&self, core: &Core) {
        core.nodes()
            .iter()
            .filter(|known| self.is_at(&known.address))
            .for_each(|known| known.forget_channel());
    }
}

/// Asks all nodes until one serves, other than the one that is `silent`, or that one at another address when its own is gone.
/// Every failed try is reported, with the address.
async fn seek(
    core: Arc<Core>,
    silent: Option<Link>,
    mut on_failure: impl FnMut(&str, &Error) + Send,
) -> Greeted {
    let mut silent = Silent { link: silent, elsewhere: None, is_unreached: false };
    let mut attempts = FuturesUnordered::new();
    for (rank, mut node) in core.nodes().into_iter().enumerate() {
        let mut patience = GREETING_PATIENCE;
        if silent.is_at(&node.address) {
            // Over a connection of its own.
            (node, patience) = (Arc::new(Node::new(node.address.clone())), SILENT_PATIENCE);
        }
        attempts.push(attempt(core.clone(), node, STAGGER * rank as u32, 0, patience));
    }
    loop {
        if let Some(greeted) = silent.take_elsewhere() {
            silent.forget_channel(&core);
            return greeted;
        }
        let Some((node, failures, patience, result)) = attempts.next().await else {
            return std::future::pending().await;
        };
        let is_own = silent.is_at(&node.address);
        silent.is_unreached = if is_own {
            matches!(&result, Err(failure) if failure.is_unreached)
        } else {
            silent.is_unreached
        };
        let failure = match result {
            Ok(greeted) if !silent.is(&greeted) => {
                if is_own {
                    silent.forget_channel(&core);
                }
                return greeted;
            }
            // Kept until it is known what became of its own address.
            Ok(greeted) if !is_own => {
                silent.elsewhere.get_or_insert(greeted);
                continue;
            }
            // It is only slow.
            Ok(greeted) => {
                drop(greeted);
                node.forget_channel();
                let text = format!("{}: the same node answers", node.address);
                Failure::from(Error::refused(reason::CONNECTION_BROKEN, text))
            }
            Err(failure) => failure,
        };
        on_failure(&node.address, &failure.error);
        if let Some(address) = failure.serving.filter(|address| !silent.is_at(address)) {
            match core.add_node(&address) {
                Some(new) => {
                    attempts.push(attempt(core.clone(), new, Duration::ZERO, 0, GREETING_PATIENCE));
                }
                None => core
                    .nodes()
                    .iter()
                    .filter(|other| other.address == address && other.address != node.address)
                    .for_each(|other| other.hint()),
            }
        }
        let patience = GREETING_PATIENCE.min(patience + SILENT_PATIENCE);
        attempts.push(attempt(core.clone(), node, backoff(failures), failures + 1, patience));
    }
}

async fn attempt(
    core: Arc<Core>,
    node: Arc<Node>,
    delay: Duration,
    failures: usize,
    patience: Duration,
) -> (Arc<Node>, usize, Duration, std::result::Result<Greeted, Failure>) {
    if !delay.is_zero() {
        // A hint cuts the wait short, but two nodes that name each other shall not make us spin.
        let least = delay.min(Duration::from_millis(BACKOFF_MS[0]));
        tokio::time::sleep(least).await;
        tokio::select! {
            _ = tokio::time::sleep(delay - least) => {}
            _ = node.hinted.notified() => {}
        }
    }
    let session = core.session.clone();
    let result = greet(&core, &node, &session, patience).await;
    (node, failures, patience, result)
}

/// Up to a fifth more or less, so that a thousand clients do not come back in step.
fn backoff(failures: usize) -> Duration {
    let base = match failures {
        hurried if hurried < HURRIED => BACKOFF_MS[hurried.min(BACKOFF_MS.len() - 1)],
        _ => UNHURRIED_MS,
    };
    let jitter = u64::from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos())
        % (base * 2 / 5).max(1);
    Duration::from_millis(base * 4 / 5 + jitter)
}

/// The life of a connection: seek, serve, lose, seek again, until the program closes it.
pub(crate) async fn supervise(
    core: Arc<Core>,
    mut closing: watch::Receiver<bool>,
    first: oneshot::Sender<Result<()>>,
) {
    let mut first = Some(first);
    let mut because = "connecting".to_string();
    let mut better: Option<Greeted> = None;
    loop {
        let since = Instant::now();
        let greeted = match better.take() {
            Some(greeted) => greeted,
            None => {
                core.set_state(ConnectionState::Reconnecting { since, attempt: 0, reason: because.clone() });
                let fatal: Arc<Mutex<Option<Error>>> = Arc::default();
                let stop = Arc::new(Notify::new());
                let report = {
                    let (core, fatal, stop) = (core.clone(), fatal.clone(), stop.clone());
                    let is_first = first.is_some();
                    let (mut answered, mut explained, mut strangers) = (false, false, Strangers::default());
                    let mut broken: BTreeMap<String, String> = BTreeMap::new();
                    move |address: &str, error: &Error| {
                        // What a node has to say is worth more than that another one cannot be reached.
                        let is_answer = error.reason() != Some(reason::CONNECTION_BROKEN);
                        answered |= is_answer;
                        // And why nobody serves is worth more than that it is not this one.
                        let is_standby = error.reason() == Some(reason::STANDBY_Q_MGR);
                        explained |= is_answer && !is_standby;
                        let text = plain_text(error);
                        core.count_attempt(
                            since,
                            match (is_answer, answered) {
                                (true, _) if is_standby && explained => None,
                                (true, _) => Some(text),
                                (false, true) => None,
                                (false, false) => {
                                    // Every text begins with its address.
                                    broken.insert(address.to_string(), text);
                                    Some(broken.values().cloned().collect::<Vec<_>>().join("; "))
                                }
                            },
                        );
                        strangers.note(address, error);
                        let unknown = strangers.unknown_everywhere(&core.nodes());
                        let last = unknown.or_else(|| is_final(error).then(|| error.clone()));
                        if is_first && let Some(last) = last {
                            *fatal.lock().expect("nothing panics here") = Some(last);
                            stop.notify_one();
                        }
                    }
                };
                let give_up = async {
                    match core.options.give_up_after {
                        Some(after) if first.is_none() => tokio::time::sleep(after).await,
                        _ => std::future::pending().await,
                    }
                };
                tokio::select! {
                    greeted = seek(core.clone(), None, report) => greeted,
                    _ = closing.wait_for(|closing| *closing) => return core.end(Error::Closed),
                    _ = stop.notified() => {
                        let error = fatal.lock().expect("nothing panics here").take().unwrap_or(Error::Closed);
                        if let Some(first) = first.take() {
                            drop(first.send(Err(error.clone())));
                        }
                        return core.end(error);
                    }
                    _ = give_up => {
                        let error = core.unreachable(since.elapsed());
                        return core.end(error);
                    }
                }
            }
        };
        let link = greeted.link;
        let others = core.nodes().into_iter().filter(|node| node.address != link.address);
        others.for_each(|node| node.forget_channel());
        if core.session.attach(&greeted.gate, greeted.responses).is_err() {
            return core.end(Error::Closed);
        }
        core.set_link(Some(link.clone()));
        core.set_state(ConnectionState::Connected { node: link.node.clone(), address: link.address.clone() });
        if let Some(first) = first.take() {
            drop(first.send(Ok(())));
        }
        tokio::spawn(learn_addresses(core.clone(), link.clone()));
        tracing::debug!(node = link.node, address = link.address, "connected");
        let ended = tokio::select! {
            ended = watch_over(core.clone(), &link) => ended,
            _ = closing.wait_for(|closing| *closing) => return core.end(Error::Closed),
        };
        because = match ended {
            Ended::Lost(because) => because,
            Ended::Superseded(greeted) => {
                better = Some(*greeted);
                format!("{} is silent and another node serves", link.node)
            }
        };
        tracing::debug!(because, "connection lost");
        if let Some(address) = core.session.take_hint() {
            core.add_node(&address);
            core.nodes().iter().filter(|node| node.address == address).for_each(|node| node.hint());
        }
        core.set_link(None);
        core.lose_units(&because);
    }
}

/// At the first connect there is no point in trying again after these.
fn is_final(error: &Error) -> bool {
    matches!(error.reason(), Some(reason::NOT_AUTHORIZED | reason::SECURITY_ERROR))
        || matches!(error, Error::Invalid(_))
}

/// Who says that it has no queue manager of this name. One node alone may not have it yet: cluster files are changed node
/// by node.
#[derive(Default)]
struct Strangers {
    /// What each node said last: its refusal, or None where it could not be asked.
    said: HashMap<String, Option<Error>>,
}

impl Strangers {
    fn note(&mut self, address: &str, error: &Error) {
        let refusal = match error.reason() {
            Some(reason::Q_MGR_NAME_ERROR) => Some(error.clone()),
            Some(reason::CONNECTION_BROKEN) => None,
            // It knows the queue manager.
            _ => return drop(self.said.remove(address)),
        };
        self.said.insert(address.to_string(), refusal);
    }

    /// The refusal, when no node is left that could know better.
    fn unknown_everywhere(&self, nodes: &[Arc<Node>]) -> Option<Error> {
        match nodes.iter().all(|node| self.said.contains_key(&node.address)) {
            true => self.said.values().flatten().next().cloned(),
            false => None,
        }
    }
}

enum Ended {
    Lost(String),
    Superseded(Box<Greeted>),
}

/// Returns when the stream broke, or when it is silent and another node says that it serves.
async fn watch_over(core: Arc<Core>, link: &Link) -> Ended {
    let mut search: Option<Pin<Box<dyn Future<Output = Greeted> + Send>>> = None;
    let mut tend = tokio::time::interval(TEND_EVERY);
    tend.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let searching = async {
            match search.as_mut() {
                Some(search) => search.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            because = core.session.until_lost() => return Ended::Lost(because),
            greeted = searching => return Ended::Superseded(Box::new(greeted)),
            _ = tend.tick() => {}
        }
        core.tend_units();
        if core.session.is_late_to_end() {
            core.session.lose_any("the node says that the session is broken");
        }
        let somebody_waits = core.session.has_waiting_gets() || core.has_units();
        if somebody_waits && core.session.quiet_for().is_some_and(|quiet| quiet > QUIET_MAX) {
            core.session.ping();
        }
        if core.session.silent_for().is_some_and(|silent| silent > ANSWER_PATIENCE) {
            search.get_or_insert_with(|| Box::pin(seek(core.clone(), Some(link.clone()), |_, _| {})));
        } else {
            search = None;
        }
    }
}

/// The nodes that were not named by the program are found through those that were.
async fn learn_addresses(core: Arc<Core>, link: Link) {
    let mut client = AdminClient::new(link.channel);
    let status = tokio::time::timeout(GREETING_PATIENCE, client.status(StatusRequest::default())).await;
    let Ok(Ok(status)) = status else { return };
    for manager in status.into_inner().queue_managers {
        if manager.name != link.queue_manager {
            continue;
        }
        for instance in manager.instances {
            let address = instance.client_address;
            let unspecified = address.starts_with("0.0.0.0:") || address.starts_with("[::]:");
            if !address.is_empty() && !unspecified {
                core.add_node(&address);
            }
        }
    }
}
