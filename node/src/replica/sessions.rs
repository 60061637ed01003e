//! Sessions and their handles: volatile, and on the active node only.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use super::free::Passed;
use super::instances::Channels;
use super::searches::UnderWay;
use super::turn::{LEAVE, SELECTOR_BYTES_A_LOOK};
use super::units::Unit;
use super::waiters::Waiters;
use crate::mqi::{
    Call, Connect, Connected, Get, GetMode, Groups, HandleView, Identity, OpenOptions, Purpose, Refusal,
    SessionView, Which,
};
use crate::types::account::HANDLE_BYTES;
use crate::types::{
    Account, DefaultContext, HandleId, Held, InGroup, MessageSelector, ObjectName, Position,
    ProducerSequence, QueueId, Reason, SessionId, Share, Token, limits,
};

#[derive(Debug)]
pub(super) struct Session {
    /// Who it is, for as long as it lasts.
    pub identity: Identity,
    pub purpose: Purpose,
    /// What its messages say of who put them.
    pub context: DefaultContext,
    /// In boxes: half of the places of such a map are empty.
    pub handles: BTreeMap<HandleId, Box<Handle>>,
    /// Handles of the queue manager itself, and how it is open by them.
    pub managers: BTreeMap<HandleId, (OpenOptions, Held)>,
    /// The unit of work that the next commit commits.
    pub unit: Unit,
    /// Calls that wait: for their session's turn, or for an earlier one of this session, because a body is being staged
    /// or loaded, the lease is not confirmed, or the stores cannot take more just now. In order; while there are any, later calls
    /// join them.
    pub parked: VecDeque<(Token, Call)>,
    /// Of the first of these, if it is a get that was begun.
    pub search: Option<UnderWay>,
    /// Bodies of this session that are on their way into the log.
    pub staging: u32,
    /// Queues that are being made for this session: whatever comes behind such an open waits for it.
    pub opening: u32,
    /// Messages that are being loaded for this session: answers keep the order of calls, and a unit is not committed
    /// before its messages were shown.
    pub loading: u32,
    /// Puts and commits of this session that were proposed and are not applied. What is not persistent must not
    /// overtake them.
    pub proposed: u32,
    /// Its channel was stopped: it ends when what was proposed is applied, and nothing is begun for it until then.
    pub is_sent_away: bool,
    /// Gets that are about to be answered, where that has to do with groups.
    pub unsaid: BTreeMap<Token, Unsaid>,
}

/// What a get has to do with groups, until it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsaid {
    pub handle: HandleId,
    /// What its handle knew before it, and knows again when it is refused after all.
    pub before: Groups,
    /// What it is warned of.
    pub warning: Option<Reason>,
}

#[derive(Debug)]
pub(super) struct Handle {
    /// The memory that it takes, as long as it is open.
    pub held: Held,
    pub queue: QueueId,
    pub name: ObjectName,
    /// The name is that of an alias, which has its own word on puts and gets.
    pub is_alias: bool,
    pub options: OpenOptions,
    /// Which messages it is about, if not all.
    pub selecting: Option<Arc<Selecting>>,
    /// How far its selector has looked.
    pub passed: Passed,
    /// The message that was browsed last.
    pub cursor: Option<Position>,
    /// The message that nobody else sees (MQGMO_LOCK), see `locks.rs`.
    pub locked: Option<Position>,
    /// The same, or the first message of its group where groups are browsed in logical order.
    pub anchor: Option<Position>,
    /// What was begun of groups.
    pub groups: Groups,
    /// The last put by which that of puts has moved, if it had a sequence.
    pub put_upto: Option<ProducerSequence>,
    /// The temporary queue was made for this handle, and goes with it.
    pub made: bool,
}

const _: () = assert!(
    size_of::<Handle>() + size_of::<Box<Handle>>() * 4 <= HANDLE_BYTES as usize / 2,
    "what a handle takes here leaves half of what is counted to the listener"
);

/// The selector of a handle, and the memory that is held for it.
#[derive(Debug)]
pub(super) struct Selecting {
    selector: Arc<MessageSelector>,
    held: Held,
}

impl Selecting {
    /// `others` bytes are held for other selectors of the session. 2102 when with them it has more than a session may have, or the
    /// account has no room for it: whoever has many of them leaves room to who has few.
    pub fn new(
        selector: Arc<MessageSelector>,
        others: u64,
        account: &Arc<Account>,
    ) -> Result<Arc<Selecting>, Refusal> {
        let weight = selector.weight();
        let whole = others + weight;
        debug_assert!(weight > 0, "a selector takes memory");
        if whole > limits::SELECTORS_BYTES_MAX {
            let detail = format!(
                "The selectors of this session would take {whole} bytes of memory, the limit is {}; close queues that are open \
                 with long ones, or open them in another session.",
                limits::SELECTORS_BYTES_MAX
            );
            return Err(Refusal::because(Reason::ResourceProblem, detail));
        }
        let mut held = Held::nothing(account.clone(), Share::Selectors);
        match held.grow_beside(weight, whole) {
            true => {
                debug_assert_eq!(held.bytes(), weight, "a selector is held as a whole");
                Ok(Arc::new(Selecting { selector, held }))
            }
            false => {
                let detail =
                    "The selectors of all programs take the memory that there is for them; try again later.";
                Err(Refusal::because(Reason::ResourceProblem, detail))
            }
        }
    }

    pub fn selector(&self) -> &MessageSelector {
        debug_assert_eq!(self.held.bytes(), self.selector.weight(), "a selector is counted");
        &self.selector
    }
}

impl Handle {
    /// What it costs to give its memory back, in looks at a message.
    pub fn burden(&self) -> u64 {
        LEAVE + self.selector().map_or(0, MessageSelector::weight) / SELECTOR_BYTES_A_LOOK
    }

    /// A browse has found this message.
    pub fn browsed(&mut self, get: &Get, position: Position, in_group: Option<InGroup>) {
        let goes_on = get.selection.logical_order && in_group.is_some_and(|group| group.sequence_number > 1);
        let stays = get.mode == GetMode::BrowseUnderCursor;
        debug_assert!(!stays || self.cursor == Some(position), "what is under the cursor stays there");
        if self.anchor.is_none() || !(goes_on || stays) {
            self.anchor = Some(position);
        }
        self.cursor = Some(position);
    }

    /// What a browse of the next message has behind it. In the middle of a group, that may be anywhere.
    pub fn browsed_upto(&self, get: &Get) -> Option<Position> {
        debug_assert_eq!(
            self.cursor.is_some(),
            self.anchor.is_some(),
            "a group that is browsed begins somewhere"
        );
        match get.selection.logical_order {
            true => self.anchor.filter(|_| !self.groups.browses_on()),
            false => self.cursor,
        }
    }

    pub fn view(&self, waits: bool) -> HandleView {
        HandleView { queue: self.name.clone(), options: self.options, waits }
    }

    /// Whether that put came before what its group was put up to here.
    pub fn is_behind(&self, put: &ProducerSequence) -> bool {
        let upto = self.put_upto.as_ref().filter(|upto| upto.producer == put.producer);
        upto.is_some_and(|upto| put.sequence < upto.sequence)
    }

    pub fn selector(&self) -> Option<&MessageSelector> {
        self.selecting.as_deref().map(Selecting::selector)
    }
}

impl Session {
    pub fn new(Connect { identity, application, purpose }: Connect) -> Session {
        Session {
            context: DefaultContext::new(&identity.user, &application),
            identity,
            purpose,
            handles: BTreeMap::new(),
            managers: BTreeMap::new(),
            unit: Unit::default(),
            parked: VecDeque::new(),
            search: None,
            staging: 0,
            opening: 0,
            loading: 0,
            proposed: 0,
            is_sent_away: false,
            unsaid: BTreeMap::new(),
        }
    }

    /// Without what it has open.
    fn view(&self, session: SessionId) -> SessionView {
        SessionView {
            session,
            user: self.identity.user.clone(),
            application: self.context.application().to_string(),
            address: self.identity.address,
            channel: self.identity.channel.clone(),
            is_instance: self.purpose == Purpose::Instance,
            secured: self.identity.secured.clone(),
            handles: Vec::new(),
        }
    }

    /// Bytes that are held for the selectors of its handles.
    pub fn selectors_bytes(&self) -> u64 {
        let selecting = self.handles.values().filter_map(|handle| handle.selecting.as_ref());
        let bytes = selecting.map(|of| of.held.bytes()).sum();
        debug_assert!(bytes <= limits::SELECTORS_BYTES_MAX, "what is more was refused");
        bytes
    }

    /// A handle of a queue, for a call that wants it opened in a way in which the queue manager itself is never open:
    /// `not_so` is told whoever names a handle of that.
    pub fn handle(&self, handle: HandleId, not_so: Reason) -> Result<&Handle, Reason> {
        debug_assert!(
            self.managers.keys().all(|handle| !self.handles.contains_key(handle)),
            "a handle is of a queue or of the queue manager"
        );
        let unknown = if self.managers.contains_key(&handle) { not_so } else { Reason::HobjError };
        self.handles.get(&handle).map(Box::as_ref).ok_or(unknown)
    }

    /// A get is answered: nothing of it is to be said any more. What it is warned of, unless it failed: then its message is not
    /// the last one that its handle had of its group.
    pub fn end_get(&mut self, token: Token, failed: bool) -> Option<Reason> {
        let Unsaid { handle, before, warning } = self.unsaid.remove(&token)?;
        if failed && let Some(handle) = self.handles.get_mut(&handle) {
            handle.groups.restore(Which::Got, before);
        }
        warning.filter(|_| !failed)
    }

    /// Whether something can be opened under this number, where a session has `most` handles (MAXHANDS).
    pub fn check_handle(&self, id: HandleId, most: usize) -> Result<(), Reason> {
        debug_assert!(most <= limits::HANDLES_MAX, "a session has so many handles at most");
        if id == HandleId(0) || self.handles.contains_key(&id) || self.managers.contains_key(&id) {
            return Err(Reason::HobjError);
        }
        match self.handles.len() + self.managers.len() + self.opening as usize >= most {
            true => Err(Reason::HandleNotAvailable),
            false => Ok(()),
        }
    }

    /// Memory for one handle more. 2102 when all programs together have too many open: whoever has few of them still finds room
    /// when others have many. The queue manager's own programs always do.
    pub fn hold_handle(&self, account: &Arc<Account>) -> Result<Held, Refusal> {
        let mut held = Held::nothing(account.clone(), Share::Handles);
        if self.purpose == Purpose::Server {
            held.set(HANDLE_BYTES);
            return Ok(held);
        }
        let open = 1 + self.handles.len() + self.managers.len();
        debug_assert!(open <= limits::HANDLES_MAX, "a session has so many handles at most");
        if held.grow_beside(HANDLE_BYTES, HANDLE_BYTES * open as u64) {
            return Ok(held);
        }
        let detail = "The handles that all programs have open take the memory that there is for them: close what is not used, or give \
                      the node more (limits.memory_bytes).";
        Err(Refusal::because(Reason::ResourceProblem, detail))
    }

    /// As [`Session::check_handle`] let it.
    pub fn open(&mut self, id: HandleId, handle: Handle) {
        let before = self.handles.insert(id, Box::new(handle));
        debug_assert!(before.is_none(), "a handle is of what was opened under it until that is closed");
    }
}

/// How a queue is open, over all sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenCounts {
    pub input: u32,
    pub output: u32,
    pub browse: u32,
    pub exclusive: bool,
    pub handles: u32,
}

impl OpenCounts {
    pub fn add(&mut self, options: OpenOptions) {
        self.handles += 1;
        self.input += u32::from(options.input);
        self.output += u32::from(options.output);
        self.browse += u32::from(options.browse);
        self.exclusive |= options.input && options.exclusive;
    }

    pub fn remove(&mut self, options: OpenOptions) {
        assert!(self.input >= u32::from(options.input), "what is closed for input was open for input");
        assert!(self.output >= u32::from(options.output), "what is closed for output was open for output");
        assert!(
            self.browse >= u32::from(options.browse),
            "what is closed for browsing was open for browsing"
        );
        self.handles -= 1;
        self.input -= u32::from(options.input);
        self.output -= u32::from(options.output);
        self.browse -= u32::from(options.browse);
        // Exclusive means that it was the only one.
        self.exclusive &= !(options.input && options.exclusive);
    }

    pub fn is_open(&self) -> bool {
        debug_assert!(!self.exclusive || self.input == 1, "whoever has a queue exclusively is the only one");
        debug_assert!(
            self.handles > 0 || self.input + self.output + self.browse == 0,
            "what is open is so by a handle"
        );
        // One that only inquires counts for nothing else.
        self.handles > 0
    }
}

/// All sessions of one replica, and how queues are open.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    pub by_id: BTreeMap<SessionId, Session>,
    open: BTreeMap<QueueId, OpenCounts>,
    channels: Channels,
    /// Programs of the queue manager's own.
    servers: usize,
}

impl Sessions {
    /// The session is open from now on.
    ///
    /// # Panics
    /// When there is one of this number.
    pub fn begin(&mut self, id: SessionId, session: Session) {
        if session.purpose == Purpose::Instance {
            self.channels.begin(&session.identity);
        }
        self.servers += usize::from(session.purpose == Purpose::Server);
        let before = self.by_id.insert(id, session);
        assert!(before.is_none(), "session {id} was opened twice");
    }

    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    pub fn get(&self, session: SessionId) -> Option<&Session> {
        self.by_id.get(&session)
    }

    pub fn get_mut(&mut self, session: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&session)
    }

    pub fn has_open_unit(&self) -> bool {
        self.by_id.values().any(|session| session.unit.is_open())
    }

    /// How many programs are connected; the queue manager's own are none.
    pub fn programs(&self) -> usize {
        let others = self.channels.all() as usize + self.servers;
        debug_assert!(
            others <= self.by_id.len(),
            "an instance of a channel is a session, and so is a server"
        );
        self.by_id.len() - others
    }

    /// In the order in which they connected, those behind `after`, and first what is left of its handles: a page of at most so many
    /// of both, and two at least. Where more of a session is on the next page, it is there once more.
    /// Nothing is looked at that is not shown.
    pub fn views(
        &self,
        after: SessionId,
        handles: Option<HandleId>,
        most: usize,
        waiters: &Waiters,
    ) -> Connected {
        let most = most.clamp(2, limits::OBJECTS_A_PAGE);
        let (mut sessions, mut left) = (Vec::new(), most);
        let goes_on = handles.filter(|handle| *handle != HandleId(0));
        let cut = goes_on.and_then(|handle| Some((after, self.by_id.get(&after)?, handle)));
        let behind = self.by_id.range((Excluded(after), Unbounded));
        let behind = behind.map(|(id, session)| (*id, session, HandleId(0)));
        for (id, session, told) in cut.into_iter().chain(behind) {
            // A session comes with a handle, if it has one.
            if left < 2 {
                let last = sessions.last().map(|last: &SessionView| last.session);
                return Connected { sessions, more: last.map(|last| (last, handles.and(Some(HandleId(0))))) };
            }
            let mut view = session.view(id);
            let open = session.handles.range((Excluded(told), Unbounded)).filter(|_| handles.is_some());
            let mut open = open.peekable();
            let mut upto = None;
            while let Some((handle, of)) = open.next_if(|_| view.handles.len() + 1 < left) {
                view.handles.push(of.view(waiters.waits(id, *handle)));
                upto = Some(*handle);
            }
            left -= view.described();
            sessions.push(view);
            if open.peek().is_some() {
                return Connected { sessions, more: Some((id, upto)) };
            }
        }
        Connected { sessions, more: None }
    }

    pub fn counts(&self, queue: QueueId) -> OpenCounts {
        self.open.get(&queue).copied().unwrap_or_default()
    }

    /// 2042 when exclusive use excludes it.
    pub fn check_open(&self, queue: QueueId, options: OpenOptions, shareable: bool) -> Result<(), Reason> {
        let counts = self.counts(queue);
        let alone = options.exclusive || !shareable;
        if options.input && (counts.exclusive || (alone && counts.input > 0)) {
            return Err(Reason::ObjectInUse);
        }
        Ok(())
    }

    pub fn note_open(&mut self, queue: QueueId, options: OpenOptions) {
        self.open.entry(queue).or_default().add(options);
    }

    pub fn note_close(&mut self, handle: &Handle) {
        let OpenOptions { input, output, browse, .. } = handle.options;
        debug_assert!(
            self.open.contains_key(&handle.queue) || !(input || output || browse),
            "a queue that is closed was open"
        );
        let Some(counts) = self.open.get_mut(&handle.queue) else { return };
        counts.remove(handle.options);
        if !counts.is_open() {
            self.open.remove(&handle.queue);
        }
    }

    /// `left`: handles of sessions that are gone, which nobody has closed yet.
    pub fn assert_holds<'a>(&'a self, left: impl Iterator<Item = &'a Handle>) {
        let mut open: BTreeMap<QueueId, OpenCounts> = BTreeMap::new();
        let open_now = self.by_id.values().flat_map(|session| session.handles.values()).map(Box::as_ref);
        for handle in open_now.chain(left) {
            open.entry(handle.queue).or_default().add(handle.options);
            debug_assert!(handle.cursor.is_none() || handle.options.browse, "only who browses has a cursor");
            debug_assert_eq!(
                handle.held.bytes(),
                HANDLE_BYTES,
                "a handle is counted for as long as it is open"
            );
            debug_assert!(
                !handle.options.exclusive || handle.options.input,
                "a queue is one's own for getting from it"
            );
        }
        debug_assert!(
            open.iter().all(|(queue, counts)| self.counts(*queue) == *counts)
                && self
                    .open
                    .iter()
                    .all(|(queue, counts)| { *counts == open.get(queue).copied().unwrap_or_default() }),
            "queues are open as the handles of all sessions say"
        );
        let is_instance =
            |session: &&Session| session.purpose == Purpose::Instance && session.identity.channel.is_some();
        debug_assert_eq!(
            self.by_id.values().filter(is_instance).count(),
            self.channels.all() as usize,
            "channels have as many instances as sessions are instances"
        );
        debug_assert_eq!(
            self.by_id.values().filter(|session| session.purpose == Purpose::Server).count(),
            self.servers,
            "servers are counted"
        );
    }

    /// All end, and nothing is open any more.
    pub fn end_all(&mut self) -> impl Iterator<Item = Session> {
        std::mem::take(self).by_id.into_values()
    }

    /// Takes the session out; what it has open stays so until it is closed ([`Sessions::note_close`]).
    pub fn leave(&mut self, session: SessionId) -> Option<Session> {
        let left = self.by_id.remove(&session)?;
        self.servers -= usize::from(left.purpose == Purpose::Server);
        if left.purpose == Purpose::Instance {
            self.channels.end(&left.identity);
        }
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_have_a_bound_of_their_own_and_leave_room_to_who_has_few() {
        let long = (0..700).map(|at| format!("p{at}=0")).collect::<Vec<_>>().join(" OR ");
        let long = MessageSelector::new(&long).unwrap().unwrap();
        let short = MessageSelector::new("colour = 'red'").unwrap().unwrap();
        let account = Account::new(1 << 30);
        let limit = account.limit(Share::Selectors);
        let mut all = Vec::new();
        // One session after the other takes as much as it may have.
        let refused = 'full: loop {
            let mut whole = 0;
            loop {
                match Selecting::new(long.clone(), whole, &account) {
                    Ok(selecting) => all.push(selecting),
                    Err(refusal) if whole == 0 => break 'full refusal,
                    Err(refusal) => {
                        assert_eq!(refusal.reason, Reason::ResourceProblem);
                        break;
                    }
                }
                whole += long.weight();
                assert!(whole <= limits::SELECTORS_BYTES_MAX);
            }
        };
        assert_eq!(refused.reason, Reason::ResourceProblem);
        assert!(account.used(Share::Selectors) + 2 * long.weight() <= limit);
        assert_eq!(account.used(Share::Connections), 0, "who is not connected yet finds a place");
        all.extend((0..20).map(|_| Selecting::new(short.clone(), 0, &account).unwrap()));
        drop(all);
        assert_eq!(account.used(Share::Selectors), 0);
    }

    #[test]
    fn handles_have_a_bound_of_their_own_and_leave_room_to_who_has_few() {
        let account = Account::new(1 << 30);
        let connect = |purpose| Connect { purpose, ..Connect::default() };
        let mut sessions = Vec::new();
        // One session after the other opens as many as it may.
        let refused = 'full: loop {
            let mut session = Session::new(connect(Purpose::Program));
            for at in 1..=limits::HANDLES_MAX as u32 {
                match session.hold_handle(&account) {
                    Ok(held) => drop(session.managers.insert(HandleId(at), (OpenOptions::default(), held))),
                    Err(refused) => {
                        sessions.push(session);
                        break 'full refused;
                    }
                }
            }
            sessions.push(session);
        };
        assert_eq!(refused.reason, Reason::ResourceProblem);
        let used = account.used(Share::Handles);
        assert!(used <= account.limit(Share::Handles) && used >= 20_000 * HANDLE_BYTES, "{used}");
        let few: Vec<Session> = (0..100).map(|_| Session::new(connect(Purpose::Program))).collect();
        let held: Vec<Held> = few.iter().map(|session| session.hold_handle(&account).unwrap()).collect();
        drop((sessions, held));
        assert_eq!(account.used(Share::Handles), 0, "what is closed is given back");
    }

    #[test]
    fn the_queue_manager_s_own_programs_always_find_room() {
        let account = Account::new(1 << 30);
        account.add(Share::Handles, account.limit(Share::Handles));
        let connect = Connect { purpose: Purpose::Server, ..Connect::default() };
        assert_eq!(Session::new(connect).hold_handle(&account).unwrap().bytes(), HANDLE_BYTES);
    }

    #[test]
    fn a_handle_that_only_inquires_is_counted_until_it_is_closed() {
        let account = Account::new(1 << 30);
        let handle = |options: OpenOptions| Handle {
            held: Held::nothing(account.clone(), Share::Handles),
            queue: QueueId(1),
            name: ObjectName::new("Q").unwrap(),
            is_alias: false,
            options,
            selecting: None,
            passed: Passed::default(),
            cursor: None,
            locked: None,
            anchor: None,
            groups: Groups::default(),
            put_upto: None,
            made: false,
        };
        let inquires = OpenOptions { inquire: true, ..OpenOptions::default() };
        let gets = OpenOptions { input: true, ..OpenOptions::default() };
        let mut sessions = Sessions::default();
        sessions.note_open(QueueId(1), inquires);
        sessions.note_open(QueueId(1), gets);
        sessions.note_close(&handle(gets));
        assert_eq!(sessions.counts(QueueId(1)).handles, 1);
        sessions.note_open(QueueId(1), gets);
        sessions.note_close(&handle(inquires));
        assert_eq!((sessions.counts(QueueId(1)).handles, sessions.counts(QueueId(1)).input), (1, 1));
    }
}
