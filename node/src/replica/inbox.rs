//! The way into a replica: the only handle that listeners and IO threads get.
//!
//! Two bounded queues lead to the mind: one for calls of clients, one for everything else, so that Raft is never
//! kept waiting by clients. Calls are bounded by number and by what they hold (`budget.rs`): whoever sends more waits, and
//! nobody else does.
//! What has only a newest value (how far the log and the store are on disk) is not queued at all.
//!
//! Built by `runtime::driver`, which owns the receiving end; the simulator hands its events to `Replica` itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use trimaran_proto::replica::v1::Registered;

use super::budget::{self, Budget, Weight};
use super::outbox::{Outbox, OutboxSender, outbox};
use super::{Event, Stats};
use crate::mqi::{Call, Connect, Refusal, Terms};
use crate::types::definition::Definition;
use crate::types::{
    Account, Index, Membership, NodeId, NodeInfo, ObjectName, QueueManagerId, Reason, RoleView, SessionId,
    Share, Token, WaitsFor, WriteNumber,
};

/// Batches of calls that wait for the mind.
pub const CALLS_QUEUED_MAX: usize = 4096;
/// Other events that wait for the mind.
pub const EVENTS_QUEUED_MAX: usize = 4096;

/// The mind has ended: the node is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node is stopping")]
pub struct Stopped;

/// What the mind finds in its queue of calls.
#[derive(Debug)]
pub enum Mail {
    /// Answered through `admitted`, once.
    Connect {
        session: SessionId,
        connect: Connect,
        admitted: oneshot::Sender<Result<Terms, Refusal>>,
        outbox: OutboxSender,
    },
    Calls {
        session: SessionId,
        calls: Vec<(Token, Call)>,
    },
    Closed {
        session: SessionId,
    },
}

/// The sending end, for listeners, peers and IO threads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    queue_manager: QueueManagerId,
    name: ObjectName,
    calls: mpsc::Sender<Mail>,
    events: mpsc::Sender<Event>,
    progress: Arc<Progress>,
    unanswered: Arc<Unanswered>,
    session_ids: Arc<AtomicU64>,
    account: Arc<Account>,
    published: Published,
}

/// What a replica says of itself, newest value only.
#[derive(Clone, Debug)]
pub struct Published {
    pub role: watch::Receiver<RoleView>,
    pub membership: watch::Receiver<Membership>,
    /// As of the service that this node began last: a node that does not serve does not keep them up to date.
    pub listeners: watch::Receiver<Arc<Vec<Definition>>>,
    /// Refreshed a few times a second.
    pub stats: watch::Receiver<Stats>,
    /// Of the nodes' own queue manager: which there are. None until its mind has said it.
    pub register: watch::Receiver<Option<Arc<Vec<Registered>>>>,
    /// Who must come before there can be a leader.
    pub waits_for: watch::Receiver<WaitsFor>,
    /// Units of work with an id that were ever decided, as of the newest answer.
    pub units_decided: Arc<AtomicU64>,
}

/// The publishing end of [`Published`]; the driver's.
#[derive(Debug)]
pub struct Publisher {
    pub role: watch::Sender<RoleView>,
    pub membership: watch::Sender<Membership>,
    pub listeners: watch::Sender<Arc<Vec<Definition>>>,
    pub stats: watch::Sender<Stats>,
    pub register: watch::Sender<Option<Arc<Vec<Registered>>>>,
    pub waits_for: watch::Sender<WaitsFor>,
    pub units_decided: Arc<AtomicU64>,
}

/// How far log and store are on disk: written by their threads, which never wait for the mind.
#[derive(Debug, Default)]
struct Progress {
    persisted: AtomicU64,
    flushed: AtomicU64,
    /// The mind, while it waits.
    mind: AtomicWaker,
}

/// Bytes of calls that are not answered yet.
#[derive(Debug)]
struct Unanswered {
    budget: Mutex<Budget>,
    account: Arc<Account>,
}

/// The receiving end: the mind's.
#[derive(Debug)]
pub struct Mailbox {
    calls: mpsc::Receiver<Mail>,
    events: mpsc::Receiver<Event>,
    progress: Arc<Progress>,
    unanswered: Arc<Unanswered>,
    persisted: u64,
    flushed: u64,
}

/// Makes the two ends. `session_ids` is shared by the queue managers of a node; `bytes_max` bounds what calls hold that are not
/// answered yet and is at least one body of the largest size; `account` has what waits for clients.
pub fn inbox(
    queue_manager: QueueManagerId,
    name: ObjectName,
    session_ids: Arc<AtomicU64>,
    bytes_max: usize,
    account: Arc<Account>,
    role: RoleView,
    membership: Membership,
) -> (Inbox, Mailbox, Publisher) {
    let (calls, calls_end) = mpsc::channel(CALLS_QUEUED_MAX);
    let (events, events_end) = mpsc::channel(EVENTS_QUEUED_MAX);
    let progress = Arc::new(Progress::default());
    let budget = Mutex::new(Budget::new((bytes_max as u64).clamp(budget::BYTES_MIN, u32::MAX.into())));
    let unanswered = Arc::new(Unanswered { budget, account: account.clone() });
    let (role, role_end) = watch::channel(role);
    let (membership, membership_end) = watch::channel(membership);
    let (listeners, listeners_end) = watch::channel(Arc::default());
    let (stats, stats_end) = watch::channel(Stats::default());
    let (register, register_end) = watch::channel(None);
    let (waits_for, waits_for_end) = watch::channel(WaitsFor::default());
    let mailbox = Mailbox {
        calls: calls_end,
        events: events_end,
        progress: progress.clone(),
        unanswered: unanswered.clone(),
        persisted: 0,
        flushed: 0,
    };
    let units_decided = Arc::<AtomicU64>::default();
    let published = Published {
        role: role_end,
        membership: membership_end,
        listeners: listeners_end,
        stats: stats_end,
        register: register_end,
        waits_for: waits_for_end,
        units_decided: units_decided.clone(),
    };
    let inbox =
        Inbox { queue_manager, name, calls, events, progress, unanswered, session_ids, account, published };
    (inbox, mailbox, Publisher { role, membership, listeners, stats, register, waits_for, units_decided })
}

impl Publisher {
    /// Before the answers of the turn leave.
    pub fn publish_units_decided(&self, units: u64) {
        self.units_decided.store(units, Ordering::Release);
    }
}

impl Inbox {
    pub fn queue_manager(&self) -> QueueManagerId {
        self.queue_manager
    }

    pub fn name(&self) -> &ObjectName {
        &self.name
    }

    pub fn published(&self) -> &Published {
        &self.published
    }

    pub fn role(&self) -> RoleView {
        self.published.role.borrow().clone()
    }

    /// See [`Published::units_decided`].
    pub fn units_decided(&self) -> u64 {
        self.published.units_decided.load(Ordering::Acquire)
    }

    /// Who serves as far as this node knows, and where clients reach it.
    pub fn leader(&self) -> Option<(NodeId, NodeInfo)> {
        let RoleView::NotServing { leader: Some(leader), .. } = *self.published.role.borrow() else {
            return None;
        };
        let membership = self.published.membership.borrow();
        membership.nodes.get(&leader).map(|info| (leader, info.clone()))
    }

    /// Bytes that calls may still bring that do not wait for messages.
    pub fn free_bytes(&self) -> u64 {
        self.unanswered.budget.lock().free()
    }

    /// Asks for a session: calls go through the handle, their answers come from the outbox. The session ends when
    /// the handle is dropped.
    ///
    /// # Errors
    /// What the mind refuses it for; 2162 when the node stops.
    pub async fn open_session(&self, connect: Connect) -> Result<(SessionHandle, Outbox), Refusal> {
        let session = SessionId(self.session_ids.fetch_add(1, Ordering::Relaxed) + 1);
        let (sender, outbox) = outbox(self.account.clone());
        let (admitted, answer) = oneshot::channel();
        let asked = Mail::Connect { session, connect, admitted, outbox: sender };
        self.calls.send(asked).await.map_err(|_| Reason::QMgrStopping)?;
        // Made first: a caller that goes away before the answer closes the session with it.
        let mut handle = SessionHandle {
            session,
            terms: Terms::default(),
            calls: self.calls.clone(),
            unanswered: self.unanswered.clone(),
        };
        handle.terms = answer.await.map_err(|_| Reason::QMgrStopping)??;
        Ok((handle, outbox))
    }

    /// An event that is not a client's. Waits while the mind is behind.
    pub async fn deliver(&self, event: Event) -> Result<(), Stopped> {
        self.events.send(event).await.map_err(|_| Stopped)
    }

    /// As [`Inbox::deliver`], for callbacks: a thread of its own waits while the mind is behind, a task does not
    /// (its worker may be the one the mind needs).
    pub fn deliver_blocking(&self, event: Event) -> Result<(), Stopped> {
        match self.events.try_send(event) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Stopped),
            Err(mpsc::error::TrySendError::Full(event)) => match tokio::runtime::Handle::try_current() {
                Err(_) => self.events.blocking_send(event).map_err(|_| Stopped),
                Ok(runtime) => {
                    let events = self.events.clone();
                    runtime.spawn(async move {
                        let _ = events.send(event).await;
                    });
                    Ok(())
                }
            },
        }
    }

    /// Everything up to this write is on disk. Never waits.
    pub fn log_persisted(&self, write: WriteNumber) {
        self.progress.persisted.fetch_max(write.0, Ordering::Release);
        self.progress.mind.wake();
    }

    /// The message store is on disk up to here. Never waits.
    pub fn store_flushed(&self, upto: Index) {
        self.progress.flushed.fetch_max(upto.0, Ordering::Release);
        self.progress.mind.wake();
    }
}

/// One session's way in. Dropping it ends the session: its unit is backed out.
#[derive(Debug)]
pub struct SessionHandle {
    session: SessionId,
    terms: Terms,
    calls: mpsc::Sender<Mail>,
    unanswered: Arc<Unanswered>,
}

impl SessionHandle {
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// What was agreed when it began.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    pub async fn send(&self, token: Token, call: Call) -> Result<(), Stopped> {
        self.send_many(vec![(token, call)]).await
    }

    /// Calls in the order they were made: all that a frame had. Waits while too many bytes are unanswered, of this session or of
    /// all, or the mind is behind; what has room goes ahead. One batch after the other. A token that is in use may not be used
    /// again.
    pub async fn send_many(&self, calls: Vec<(Token, Call)>) -> Result<(), Stopped> {
        if let [(_, call)] = &calls[..] {
            let only = Weight::of(call);
            let room = self.room(Weight::default(), std::slice::from_ref(&only)).await;
            return self.send_taken(calls, room).await;
        }
        let mut sum = Weight::default();
        let sums: Vec<Weight> = calls
            .iter()
            .map(|(_, call)| {
                sum = sum.plus(Weight::of(call));
                sum
            })
            .collect();
        let mut calls = calls.into_iter();
        let (mut sent, mut base) = (0, Weight::default());
        while sent < sums.len() {
            let room = self.room(base, &sums[sent..]).await;
            sent += room.calls;
            base = sums[sent - 1];
            self.send_taken(calls.by_ref().take(room.calls).collect(), room).await?;
        }
        debug_assert!(calls.next().is_none(), "every call has gone");
        Ok(())
    }

    /// Whether the session is kept waiting because too many gets wait for messages: that may last for as long as these do.
    pub fn waits_for_waits(&self) -> bool {
        self.unanswered.budget.lock().waits_for_waits(self.session)
    }

    async fn room<'a>(&'a self, base: Weight, sums: &'a [Weight]) -> Room<'a> {
        let count = Entering { of: self, base, sums, waits: false }.await;
        debug_assert!(count > 0, "there is room for one call at least");
        Room { of: self, calls: count, weight: sums[count - 1].minus(base) }
    }

    async fn send_taken(&self, calls: Vec<(Token, Call)>, room: Room<'_>) -> Result<(), Stopped> {
        debug_assert_eq!(calls.len(), room.calls, "there is room for all of these");
        let queue = self.calls.reserve().await.map_err(|_| Stopped)?;
        // Given back when they are answered (`Mailbox::give_back`).
        std::mem::forget(room);
        queue.send(Mail::Calls { session: self.session, calls });
        Ok(())
    }
}

/// A session's calls on their way in: how many of them have room, as soon as one has.
struct Entering<'a> {
    of: &'a SessionHandle,
    base: Weight,
    sums: &'a [Weight],
    waits: bool,
}

impl Future for Entering<'_> {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let SessionHandle { session, unanswered, .. } = self.of;
        let mut budget = unanswered.budget.lock();
        let count = budget.take(*session, self.base, self.sums);
        debug_assert!(count <= self.sums.len(), "no more are let in than there are");
        self.waits = count == 0;
        let Some(last) = count.checked_sub(1) else {
            budget.wait(*session, self.base, self.sums, context.waker().clone());
            return Poll::Pending;
        };
        let next = budget.next();
        drop(budget);
        next.into_iter().for_each(Waker::wake);
        unanswered.account.add(Share::Calls, self.sums[last].minus(self.base).bytes());
        Poll::Ready(count)
    }
}

impl Drop for Entering<'_> {
    /// Whoever was told in its place that there is room.
    fn drop(&mut self) {
        if !self.waits {
            return;
        }
        let mut budget = self.of.unanswered.budget.lock();
        budget.stop_waiting(self.of.session);
        let next = budget.next();
        drop(budget);
        next.into_iter().for_each(Waker::wake);
    }
}

/// Room that was taken for calls that the mind does not have yet.
struct Room<'a> {
    of: &'a SessionHandle,
    calls: usize,
    weight: Weight,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.of.unanswered.give_back(self.of.session, self.weight);
    }
}

impl Unanswered {
    fn give_back(&self, session: SessionId, weight: Weight) {
        if weight.bytes() == 0 {
            return;
        }
        let mut budget = self.budget.lock();
        let own = budget.give_back(session, weight);
        let next = budget.next();
        drop(budget);
        self.account.give(Share::Calls, weight.bytes());
        own.into_iter().chain(next).for_each(Waker::wake);
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        let closed = Mail::Closed { session: self.session };
        if let Err(mpsc::error::TrySendError::Full(closed)) = self.calls.try_send(closed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // A drop cannot wait, and a session that is never closed would keep its messages reserved for ever.
            let calls = self.calls.clone();
            runtime.spawn(async move {
                let _ = calls.send(closed).await;
            });
        }
    }
}

impl Mailbox {
    /// Takes what has arrived: at most `calls_max` batches of calls and `events_max` other events. Pending (and
    /// woken later) when nothing has, also when log or store moved; `Ready(false)` when every sender is gone.
    pub fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        calls: &mut Vec<Mail>,
        calls_max: usize,
        events: &mut Vec<Event>,
        events_max: usize,
    ) -> Poll<bool> {
        // Registered before looking: what moves in between wakes again.
        self.progress.mind.register(context.waker());
        let mut some = self.take_progress(events);
        let mut open = false;
        match self.events.poll_recv_many(context, events, events_max) {
            Poll::Ready(0) => {}
            Poll::Ready(_) => some = true,
            Poll::Pending => open = true,
        }
        match self.calls.poll_recv_many(context, calls, calls_max) {
            // None wanted now: nothing is known of what waits.
            Poll::Ready(0) if calls_max == 0 => open = true,
            Poll::Ready(0) => {}
            Poll::Ready(_) => some = true,
            Poll::Pending => open = true,
        }
        match (some, open) {
            (true, _) => Poll::Ready(true),
            (false, true) => Poll::Pending,
            (false, false) => Poll::Ready(false),
        }
    }

    /// Turns the newest positions into events, if they are new.
    fn take_progress(&mut self, events: &mut Vec<Event>) -> bool {
        let persisted = self.progress.persisted.load(Ordering::Acquire);
        let flushed = self.progress.flushed.load(Ordering::Acquire);
        debug_assert!(persisted >= self.persisted && flushed >= self.flushed, "what is on disk stays there");
        let moved = persisted > self.persisted || flushed > self.flushed;
        if persisted > self.persisted {
            self.persisted = persisted;
            events.push(Event::LogPersisted { write: WriteNumber(persisted) });
        }
        if flushed > self.flushed {
            self.flushed = flushed;
            events.push(Event::StoreFlushed { upto: Index(flushed) });
        }
        moved
    }

    /// What a call holds from the moment it was sent; to be given back when it is answered for good, or when its session ends.
    pub fn weight(&self, call: &Call) -> Weight {
        Weight::of(call)
    }

    pub fn give_back(&self, session: SessionId, weight: Weight) {
        self.unanswered.give_back(session, weight);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;

    use super::*;
    use crate::mqi::{Get, GetMode, Put, PutTarget, Selection, Wait};
    use crate::types::{HandleId, Message};

    fn parts() -> (Inbox, Mailbox, Publisher) {
        let role = RoleView::NotServing { term: Default::default(), leader: None, recovering: false };
        let name = ObjectName::new("QM").unwrap();
        let account = Account::new(1 << 30);
        inbox(QueueManagerId(1), name, Arc::default(), 0, account, role, Membership::default())
    }

    fn put(length: usize) -> Call {
        let message = Message { body: bytes::Bytes::from(vec![0; length]).into(), ..Message::default() };
        Call::Put(Put {
            to: PutTarget::Queue(ObjectName::new("Q").unwrap()),
            message: Box::new(message),
            syncpoint: false,
            logical_order: false,
            producer: None,
            dead_letter: false,
            context: Default::default(),
        })
    }

    /// A session that the mind lets in.
    async fn open(inbox: &Inbox, mailbox: &mut Mailbox) -> (SessionHandle, Outbox) {
        let mut opening = Box::pin(inbox.open_session(Connect::default()));
        assert!(futures::poll!(&mut opening).is_pending());
        let (mut mail, _) = take(mailbox).await;
        let Some(Mail::Connect { admitted, .. }) = mail.pop() else { panic!("a session is asked for") };
        admitted.send(Ok(Terms::default())).unwrap();
        opening.await.unwrap()
    }

    async fn take(mailbox: &mut Mailbox) -> (Vec<Mail>, Vec<Event>) {
        let (mut calls, mut events) = (Vec::new(), Vec::new());
        poll_fn(|context| mailbox.poll_take(context, &mut calls, 100, &mut events, 100)).await;
        (calls, events)
    }

    #[tokio::test]
    async fn a_session_opens_calls_and_ends_with_its_handle() {
        let (inbox, mut mailbox, _publisher) = parts();
        let (handle, _outbox) = open(&inbox, &mut mailbox).await;
        handle.send(Token(7), Call::Ping).await.unwrap();
        drop(handle);
        let (calls, _) = take(&mut mailbox).await;
        assert!(matches!(&calls[0], Mail::Calls { calls, .. } if calls[0].0 == Token(7)));
        assert!(matches!(calls[1], Mail::Closed { .. }));
    }

    #[tokio::test]
    async fn who_is_refused_has_no_session_and_who_gives_up_waiting_leaves_none() {
        let (inbox, mut mailbox, _publisher) = parts();
        let mut opening = Box::pin(inbox.open_session(Connect::default()));
        assert!(futures::poll!(&mut opening).is_pending());
        let (mut mail, _) = take(&mut mailbox).await;
        let Some(Mail::Connect { admitted, .. }) = mail.pop() else { panic!("a session is asked for") };
        admitted.send(Err(Reason::NotAuthorized.into())).unwrap();
        assert_eq!(opening.await.unwrap_err().reason, Reason::NotAuthorized);

        let mut opening = Box::pin(inbox.open_session(Connect::default()));
        assert!(futures::poll!(&mut opening).is_pending());
        drop(opening);
        let (mail, _) = take(&mut mailbox).await;
        let closed = mail.iter().filter(|mail| matches!(mail, Mail::Closed { .. })).count();
        assert_eq!(closed, 2, "a handle that is dropped closes its session, whoever it was refused to");
    }

    #[tokio::test]
    async fn bodies_wait_when_too_many_bytes_are_unanswered() {
        let (inbox, mut mailbox, _publisher) = parts();
        let (handle, _outbox) = open(&inbox, &mut mailbox).await;
        handle.send(Token(1), put(90 << 20)).await.unwrap();
        let mut second = Box::pin(handle.send(Token(2), put(90 << 20)));
        assert!(futures::poll!(&mut second).is_pending());

        let (calls, _) = take(&mut mailbox).await;
        let Mail::Calls { calls, .. } = &calls[0] else { panic!("calls expected") };
        assert!(futures::poll!(&mut second).is_pending());
        mailbox.give_back(handle.session(), mailbox.weight(&calls[0].1));
        second.await.unwrap();
    }

    fn get(wait: Wait) -> Call {
        Call::Get(Get {
            handle: HandleId(1),
            syncpoint: false,
            syncpoint_if_persistent: false,
            wait,
            mode: GetMode::default(),
            selection: Selection::default(),
            max_length: None,
            accept_truncated: false,
            extended: false,
            lock: false,
        })
    }

    #[tokio::test]
    async fn gets_of_one_client_that_wait_for_ever_hold_up_nobody_else() {
        let (inbox, mut mailbox, _publisher) = parts();
        let mut sessions = Vec::new();
        for _ in 0..20 {
            sessions.push(open(&inbox, &mut mailbox).await);
        }
        let (victim, _outbox) = open(&inbox, &mut mailbox).await;
        let frame = || (1..9_990).map(|token| (Token(token), get(Wait::Forever))).collect();
        let mut sends: Vec<_> =
            sessions.iter().map(|(handle, _)| Box::pin(handle.send_many(frame()))).collect();
        let mut kept_waiting = 0;
        for send in &mut sends {
            kept_waiting += usize::from(futures::poll!(send).is_pending());
        }
        assert!(kept_waiting > 10, "{kept_waiting} are kept waiting");
        assert!(sessions.last().is_some_and(|(handle, _)| handle.waits_for_waits()));
        let calls = [put(1 << 20), get(Wait::No), get(Wait::Forever), Call::Ping];
        for (token, call) in calls.into_iter().enumerate() {
            let sent = victim.send(Token(token as u64), call).now_or_never();
            assert_eq!(sent, Some(Ok(())), "it goes on at once");
        }
        // Whoever goes away leaves nothing behind that would be counted.
        drop(sends);
        let (mails, _) = take(&mut mailbox).await;
        for mail in &mails {
            let Mail::Calls { session, calls } = mail else { continue };
            calls.iter().for_each(|(_, call)| mailbox.give_back(*session, mailbox.weight(call)));
        }
        assert_eq!(inbox.account.used(Share::Calls), 0);
    }

    #[tokio::test]
    async fn a_callback_on_the_mind_s_own_worker_never_blocks_it() {
        let (inbox, mut mailbox, _publisher) = parts();
        for _ in 0..EVENTS_QUEUED_MAX + 10 {
            inbox.deliver_blocking(Event::Drain).unwrap();
        }
        let mut events = 0;
        while events < EVENTS_QUEUED_MAX + 10 {
            events += take(&mut mailbox).await.1.len();
        }
    }

    #[tokio::test]
    async fn only_the_newest_position_of_the_log_is_told() {
        let (inbox, mut mailbox, _publisher) = parts();
        inbox.log_persisted(WriteNumber(3));
        inbox.log_persisted(WriteNumber(5));
        let (_, events) = take(&mut mailbox).await;
        assert!(matches!(events[..], [Event::LogPersisted { write: WriteNumber(5) }]));
    }
}
