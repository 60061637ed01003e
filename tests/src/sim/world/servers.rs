//! Command servers, the production ones (`listener/commands`): one for each queue manager on each node that runs, on days that are about
//! them. They are futures that are polled by hand, over the inbox and the outboxes of the runtime, with a clock of this world.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use trimaran_node::listener::commands::{Sleep, serve_one};
use trimaran_node::listener::{Limits, Listener, NodeHandle};
use trimaran_node::mqi::{Completion, Data, Refusal, Terms};
use trimaran_node::replica::{
    self, Delivery, Event, Inboxes, Mail, Mailbox, OutboxSender, Publisher, Weight,
};
use trimaran_node::types::{Account, Instant, NodeId, Reason, RoleView, SessionId, Token};

use super::{Step, World};
use crate::sim::node::{queue_manager_id, queue_manager_name};

/// Their sessions are told from those of programs by that.
pub const SERVERS_FROM: u64 = 1 << 40;
/// Between something that a server waited for and its next step.
const STEP_US: (u64, u64) = (10, 1_000);

/// All of them.
pub struct Servers {
    clock: Arc<Clock>,
    session_ids: Arc<AtomicU64>,
    of: BTreeMap<(u64, usize), Server>,
    pub commands: u64,
}

/// The time of the world, and until when somebody waits.
#[derive(Debug, Default)]
struct Clock {
    now: AtomicU64,
    waits: Mutex<BTreeSet<u64>>,
}

struct Server {
    incarnation: u64,
    future: Pin<Box<dyn Future<Output = ()>>>,
    mailbox: Mailbox,
    publisher: Publisher,
    sessions: BTreeMap<SessionId, Open>,
}

struct Open {
    admitted: Option<oneshot::Sender<Result<Terms, Refusal>>>,
    outbox: OutboxSender,
    held: BTreeMap<Token, Weight>,
}

/// A server that has let others have their turn: nobody else is on its worker in this world.
#[derive(Debug, Default)]
struct GoesOn(AtomicBool);

impl Wake for GoesOn {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ready when the world's time has come so far.
struct Until {
    at: u64,
    clock: Arc<Clock>,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.clock.now.load(Ordering::Relaxed) >= self.at {
            return Poll::Ready(());
        }
        self.clock.waits.lock().expect("one thread").insert(self.at);
        Poll::Pending
    }
}

impl Default for Servers {
    fn default() -> Servers {
        let session_ids = Arc::new(AtomicU64::new(SERVERS_FROM));
        Servers { clock: Arc::default(), session_ids, of: BTreeMap::new(), commands: 0 }
    }
}

impl Servers {
    fn begin(&mut self, node: u64, mind: usize, incarnation: u64) {
        let account = Account::new(1 << 40);
        let role = RoleView::NotServing { term: Default::default(), leader: None, recovering: false };
        let (inbox, mailbox, publisher) = replica::inbox(
            queue_manager_id(mind),
            queue_manager_name(mind),
            self.session_ids.clone(),
            1 << 30,
            account.clone(),
            role,
            Default::default(),
        );
        let inboxes = Inboxes::default();
        inboxes.add(inbox.clone());
        let handle = NodeHandle {
            cluster: "simulated".to_owned(),
            node: NodeId(node),
            name: format!("n{node}"),
            version: "0",
            clock: || Instant(0),
            inboxes,
            nodes: BTreeMap::new(),
            warnings: watch::channel(Vec::new()).1,
            addresses: watch::channel(Vec::new()).1,
            ports: watch::channel(Vec::new()).1,
            stopping: watch::channel(false).1,
        };
        let listener = Listener::new(Arc::new(handle), Limits::default(), account);
        let clock = self.clock.clone();
        let sleep: Sleep = Arc::new(move |time: Duration| {
            let at = clock.now.load(Ordering::Relaxed) + time.as_micros() as u64;
            Box::pin(Until { at, clock: clock.clone() })
        });
        let future = Box::pin(serve_one(listener, inbox, sleep));
        let sessions = BTreeMap::new();
        self.of.insert((node, mind), Server { incarnation, future, mailbox, publisher, sessions });
    }
}

impl Server {
    /// One step of the server, and what it has for the mind now.
    fn step(&mut self) -> Vec<Mail> {
        let goes_on = Arc::new(GoesOn::default());
        let waker = Waker::from(goes_on.clone());
        let mut context = Context::from_waker(&waker);
        let (mut mail, mut events) = (Vec::new(), Vec::new());
        loop {
            let is_over = self.future.as_mut().poll(&mut context).is_ready();
            debug_assert!(!is_over, "a queue manager of this world is there for good");
            if !goes_on.0.swap(false, Ordering::Relaxed) {
                break;
            }
        }
        let _ = self.mailbox.poll_take(&mut context, &mut mail, 1_000, &mut events, 1_000);
        mail
    }

    fn give_back(&self, session: SessionId, held: impl Iterator<Item = Weight>) {
        held.for_each(|weight| self.mailbox.give_back(session, weight));
    }
}

impl World {
    pub fn start_servers(&mut self, node: u64) {
        let (minds, incarnation) = (self.plan.setup.queue_managers, self.nodes[&node].incarnation);
        let Some(servers) = self.servers.as_mut() else { return };
        (0..minds).for_each(|mind| servers.begin(node, mind, incarnation));
        self.stir_servers(node);
    }

    /// Something came that a server of the node may wait for.
    pub(super) fn stir_servers(&mut self, node: u64) {
        if self.servers.is_none() {
            return;
        }
        let delay = self.rng.skewed(STEP_US.0, STEP_US.1);
        let incarnation = self.nodes[&node].incarnation;
        self.schedule(self.now + delay, Step::Serve { node, incarnation });
    }

    pub(super) fn serve(&mut self, node: u64) {
        for mind in 0..self.plan.setup.queue_managers {
            while let Some(mail) = self.step_server(node, mind) {
                mail.into_iter().for_each(|mail| self.on_mail(node, mind, mail));
            }
        }
        let Some(servers) = &self.servers else { return };
        let mut waits = servers.clock.waits.lock().expect("one thread");
        let (now, incarnation) = (self.now, self.nodes[&node].incarnation);
        let due = waits.split_off(&(now + 1)).into_iter().collect::<Vec<_>>();
        waits.clear();
        drop(waits);
        due.into_iter().for_each(|at| self.schedule(at, Step::Serve { node, incarnation }));
    }

    fn step_server(&mut self, node: u64, mind: usize) -> Option<Vec<Mail>> {
        let (now, incarnation) = (self.now, self.nodes[&node].incarnation);
        let servers = self.servers.as_mut()?;
        servers.clock.now.store(now, Ordering::Relaxed);
        let server = servers.of.get_mut(&(node, mind)).filter(|server| server.incarnation == incarnation)?;
        Some(server.step()).filter(|mail| !mail.is_empty())
    }

    fn on_mail(&mut self, node: u64, mind: usize, mail: Mail) {
        let Some(servers) = self.servers.as_mut() else { return };
        let Some(server) = servers.of.get_mut(&(node, mind)) else { return };
        match mail {
            Mail::Connect { session, connect, admitted, outbox } => {
                let open = Open { admitted: Some(admitted), outbox, held: BTreeMap::new() };
                server.sessions.insert(session, open);
                self.hand_in(node, mind, Event::Connect { session, connect });
            }
            Mail::Calls { session, calls } => {
                let weights: Vec<Weight> =
                    calls.iter().map(|(_, call)| server.mailbox.weight(call)).collect();
                let Some(open) = server.sessions.get_mut(&session) else {
                    return server.give_back(session, weights.into_iter());
                };
                open.held.extend(calls.iter().map(|(token, _)| *token).zip(weights));
                for (token, call) in calls {
                    self.hand_in(node, mind, Event::Call { session, token, call });
                }
            }
            Mail::Closed { session } => {
                if let Some(open) = server.sessions.remove(&session) {
                    server.give_back(session, open.held.into_values());
                    self.hand_in(node, mind, Event::SessionClosed { session });
                }
            }
        }
    }

    fn server_of(&mut self, node: u64, mind: usize, session: SessionId) -> Option<&mut Server> {
        let incarnation = self.nodes[&node].incarnation;
        let server = self.servers.as_mut()?.of.get_mut(&(node, mind))?;
        (session.0 > SERVERS_FROM && server.incarnation == incarnation).then_some(server)
    }

    /// Whether the session is a server's.
    pub(super) fn admits_server(
        &mut self,
        node: u64,
        mind: usize,
        session: SessionId,
        admitted: &Result<Terms, Refusal>,
    ) -> bool {
        let Some(server) = self.server_of(node, mind, session) else { return false };
        if let Some(answer) = server.sessions.get_mut(&session).and_then(|open| open.admitted.take()) {
            let _ = answer.send(admitted.clone());
        }
        if admitted.is_err() {
            server.sessions.remove(&session);
        }
        self.stir_servers(node);
        true
    }

    pub(super) fn answers_server(
        &mut self,
        node: u64,
        mind: usize,
        session: SessionId,
        answer: &(Token, Completion),
    ) -> bool {
        let Some(server) = self.server_of(node, mind, session) else { return false };
        if let Some(open) = server.sessions.get_mut(&session) {
            let held = match answer.1.data {
                Data::Progress { .. } => None,
                _ => open.held.remove(&answer.0),
            };
            open.outbox.send(Delivery::Completions(vec![answer.clone()]));
            server.give_back(session, held.into_iter());
        }
        self.stir_servers(node);
        true
    }

    pub(super) fn ends_server(
        &mut self,
        node: u64,
        mind: usize,
        session: SessionId,
        reason: Reason,
        all_answered: bool,
    ) -> bool {
        let Some(server) = self.server_of(node, mind, session) else { return false };
        if let Some(open) = server.sessions.remove(&session) {
            open.outbox.send(Delivery::Closed { reason, all_answered });
            server.give_back(session, open.held.into_values());
        }
        self.stir_servers(node);
        true
    }

    pub(super) fn tell_server_role(&mut self, node: u64, mind: usize, role: &RoleView) {
        let incarnation = self.nodes[&node].incarnation;
        let Some(servers) = self.servers.as_mut() else { return };
        let Some(server) = servers.of.get_mut(&(node, mind)) else { return };
        if server.incarnation == incarnation {
            server.publisher.role.send_replace(role.clone());
            self.stir_servers(node);
        }
    }
}
