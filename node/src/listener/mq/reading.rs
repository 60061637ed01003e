//! How one handle is read on a multiplexed channel: a client asks for messages with REQUEST_MSGS and gets them as
//! ASYNC_MESSAGE, one at a time or ahead, as far as the bytes go that it has room for.
//!
//! Who has room for more than one message is read for with several gets at once, more of them the faster messages come. The first is the
//! one that the client asked for, and waits as long as it said; the others wait a moment. What is ahead of the program would be lost with
//! its connection, or be committed together with a message that the program has seen. So nothing persistent is got ahead, but where all
//! of it is part of the unit of work, before everything that was sent is consumed (MQ's read ahead): then the program asks for it. For a
//! callback it comes when the one before it is decided.

use std::collections::VecDeque;
use std::time::Duration;

use trimaran_proto::mq::constants::{get, reason};
use trimaran_proto::mq::control::{Notification, notice};
use trimaran_proto::mq::delivery::{
    AsyncMessage, First, FirstFields, PartFields, RequestFields, RequestMessages, SYNCHRONOUS, Selection,
    SelectionFields, status,
};
use trimaran_proto::mq::message::Md;
use trimaran_proto::mq::segment::{Header, flags, types};
use trimaran_proto::mq::{Flow, Raw};

use super::conversion::{Told, Wanted};
use super::convert::{self, Code};
use super::desk::Desk;
use super::extension;
use crate::mqi::{CloseOption, Completion, Data, Get, GetMode, Wait};
use crate::types::planted::{self, Bug};
use crate::types::{CompletionCode, HandleId, Message, Persistence, Reason, Token};

/// The request that messages answer until a client says another.
const MESSAGES: u32 = 1;
/// So many gets of a connection may be ahead of what its programs asked for.
pub const AHEAD_MAX: usize = 100;
/// So long a get waits that nobody asked for: a queue that is read now and then has one that waits for good.
const AHEAD_WAIT: Duration = Duration::from_millis(200);
/// A message that is so many times longer than the one before is not got ahead: there may be no room for as many as are under way.
const LONGER: u64 = 2;

/// What a client asked of a handle, and what it was sent.
#[derive(Debug, Default)]
pub struct Reading {
    handle: i32,
    queue: String,
    /// The request that messages answer.
    request: u32,
    /// Requests whose sender waits until it is told that nothing more is on its way.
    confirms: Vec<u32>,
    wanted: RequestFields,
    selection: Selection,
    /// The gets that are under way, as they were asked.
    gets: VecDeque<UnderWay>,
    /// So many gets at once are worth it: one more with each message, until one came too late.
    reach: usize,
    /// Why no message comes any more (0 where something was unlocked), and how long one was that is too long: told when those that are
    /// under way have ended.
    failure: Option<(Code, usize)>,
    /// A request for a callback waits until the client starts its connection (MQCTL).
    is_held: bool,
    /// A callback whose queue lets no gets in, as it has been told.
    is_paused: bool,
    /// The client asked once more since the get that it asked for has begun to wait: it waits anew from then on.
    is_renewed: bool,
    /// A request that waits until the gets before it have ended.
    next: Option<Request>,
    /// An MQCLOSE that waits until they have.
    closing: Option<(Header, CloseOption)>,
    /// The connection ends when they have.
    is_ending: bool,
    /// Bytes that the client has not said to have got.
    unconsumed: u64,
    /// The most room that it has had: it has as much when its program has taken all that it got.
    room: u32,
    /// What the last message took of its room.
    message_bytes: u64,
    /// A message was sent, and what the client said since then it said before it had it.
    is_unseen: bool,
    /// A message was sent that is part of the unit of work and nobody may have seen, and so many bytes behind it.
    behind_unit: Option<u64>,
    /// What comes next is persistent, and may not come yet.
    is_put_off: bool,
    /// What other callbacks of the connection have of its unit of work.
    others: Others,
    /// A get for a callback is under way that takes what it finds into the unit of work.
    is_taking: bool,
    /// There is something for a callback that becomes part of the unit of work, in which another one may have what its program has not
    /// seen: it waits for its turn.
    wants_turn: bool,
    /// Another thread of the program has ended the wait of this one (the SPI's NOTIFY).
    is_cancelled: bool,
    /// Messages sent for this handle.
    index: u32,
}

/// What else may become part of the unit of work of a connection, for callbacks. A program that commits means what it has seen, so one
/// callback at a time has something there that it may not have seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// There are none.
    #[default]
    None,
    /// They have nothing there that is not seen, and none is about to.
    Idle,
    /// One has.
    Busy,
}

/// A get that was asked.
#[derive(Debug)]
struct UnderWay {
    token: Token,
    /// Nobody has asked for it yet.
    is_ahead: bool,
    /// A message that came before the one of a get in front of it, which had to be loaded, or converted. Its turn comes then: messages
    /// keep their order, and one that is persistent is sent while nothing is ahead of the program.
    early: Option<(Completion, Told)>,
}

/// REQUEST_MSGS with what its header says.
#[derive(Debug)]
pub struct Request {
    pub id: u32,
    /// The client waits for a NOTIFICATION as for a reply.
    pub is_confirmed: bool,
    pub asked: RequestMessages,
}

/// What is to be done after an event.
#[derive(Debug, Default)]
pub struct Step {
    /// Starts this get.
    pub get: Option<Get>,
    /// And so many of [`Reading::ahead_get`].
    pub ahead: usize,
    /// Ends the waits of all that are under way.
    pub cancels: bool,
}

impl Reading {
    pub fn new(handle: i32, queue: &str) -> Reading {
        let (queue, message_bytes) = (queue.to_string(), Md::BYTES as u64);
        Reading { handle, queue, request: MESSAGES, reach: 1, message_bytes, ..Reading::default() }
    }

    /// The gets that are not answered.
    pub fn gets(&self) -> impl Iterator<Item = Token> + '_ {
        self.gets.iter().filter(|get| get.early.is_none()).map(|get| get.token)
    }

    /// What is wanted of the text of messages, if it is to be converted.
    pub fn wanted_text(&self) -> Option<Wanted> {
        let SelectionFields { ccsid, encoding, md_version, .. } = self.selection.fields;
        (self.wanted.options & get::CONVERT != 0).then_some(Wanted {
            ccsid,
            encoding,
            room: usize::try_from(self.wanted.message_bytes_max).ok(),
            accepts_truncated: self.wanted.options & get::ACCEPT_TRUNCATED_MSG != 0,
            is_extended: md_version < 2,
        })
    }

    /// A get of a [`Step`] was asked.
    pub fn began(&mut self, token: Token, is_ahead: bool) {
        self.gets.push_back(UnderWay { token, is_ahead, early: None });
    }

    /// `may_call_back`: the connection is started, and what is asked for a callback may come.
    pub fn on_request(&mut self, desk: &mut Desk<'_>, request: Request, may_call_back: bool) -> Step {
        // Of what was sent until the client said it, and not of what is sent before the request has its turn.
        let consumed = u64::from(request.asked.fields.received_bytes);
        self.unconsumed = self.unconsumed.saturating_sub(consumed);
        self.is_unseen &= consumed == 0;
        if self.gets.is_empty() {
            return self.serve(desk, request, may_call_back);
        }
        // Why a get before it failed is no answer to it.
        let is_next = self.next.is_none() && !request.is_confirmed && self.failure.is_none();
        if is_next && self.goes_on(&request) && self.wanted.requested_bytes > 1 {
            // Only more room: what is under way serves it.
            self.take_request(request);
            self.is_renewed = true;
            return Step { ahead: self.room_ahead(), ..Step::default() };
        }
        self.follow(request);
        Step { cancels: true, ..Step::default() }
    }

    /// It comes in place of the request that waits, if one does: what that one said of the messages that are wanted is true of it, too, and
    /// whoever waits for an answer gets it.
    fn follow(&mut self, mut request: Request) {
        if let Some(before) = self.next.take() {
            match before.is_confirmed {
                true => self.confirms.push(before.id),
                false => self.request = before.id,
            }
            let selection = request.asked.selection.take();
            request.asked.selection = selection.or(before.asked.selection);
        }
        self.next = Some(request);
    }

    /// The handle is to be closed; false when that has to wait for [`Reading::take_closing`]. What is got until then belongs to the
    /// client.
    pub fn on_close(&mut self, header: &Header, close: CloseOption) -> bool {
        if self.gets.is_empty() {
            return true;
        }
        self.closing = Some((header.clone(), close));
        false
    }

    /// The close that waited, when nothing is under way any more.
    pub fn take_closing(&mut self) -> Option<(Header, CloseOption)> {
        if self.gets.is_empty() { self.closing.take() } else { None }
    }

    /// The connection is to end, and nothing more is got.
    pub fn end_with_connection(&mut self) {
        self.is_ending = true;
    }

    /// Gets of it have not ended.
    pub fn is_under_way(&self) -> bool {
        !self.gets.is_empty()
    }

    /// Nothing more is got, for whoever asks.
    fn is_closing(&self) -> bool {
        self.closing.is_some() || self.is_ending
    }

    /// Nothing is under way.
    fn serve(&mut self, desk: &mut Desk<'_>, request: Request, may_call_back: bool) -> Step {
        self.confirm_all(desk);
        // A client that has room for one message would lose the second, be it that it waited long enough, or has connected again and
        // asks several times.
        let has_room_for_one = request.asked.fields.requested_bytes == 1;
        let is_served = self.is_unseen && has_room_for_one && self.goes_on(&request);
        self.take_request(request);
        if is_served {
            self.confirm_all(desk);
            return Step::default();
        }
        self.start(desk, may_call_back)
    }

    /// Whether it asks for what the request before it asked for.
    fn goes_on(&self, Request { asked, .. }: &Request) -> bool {
        asked.selection.is_none() && asked.fields.options == self.wanted.options
    }

    fn take_request(&mut self, Request { id, is_confirmed, asked }: Request) {
        match is_confirmed {
            true => self.confirms.push(id),
            false => self.request = id,
        }
        self.is_paused = false;
        self.wanted = asked.fields;
        self.room = self.room.max(self.wanted.requested_bytes);
        if let Some(selection) = asked.selection {
            self.selection = selection;
            self.room = self.wanted.requested_bytes;
        }
    }

    /// Bytes that were sent and that its program has not taken: on their way, or in the client, which has room for so much less. Who
    /// has room for one message, or for nothing, says only what it got.
    fn held_bytes(&self) -> u64 {
        let kept = if self.reads_ahead() { self.room.saturating_sub(self.wanted.requested_bytes) } else { 0 };
        self.unconsumed + u64::from(kept)
    }

    /// Whether the client may have messages that its program has not asked for.
    pub fn reads_ahead(&self) -> bool {
        self.wanted.requested_bytes > 1
    }

    fn start(&mut self, desk: &mut Desk<'_>, may_call_back: bool) -> Step {
        if self.wanted.requested_bytes == 0 {
            // It has room for nothing: whoever was called back is not any more.
            self.is_held = false;
            self.confirm_all(desk);
            return Step::default();
        }
        (self.is_renewed, self.is_cancelled, self.is_put_off) = (false, false, false);
        self.is_held = self.is_for_callback() && !may_call_back;
        if self.is_held {
            return Step::default();
        }
        if self.is_for_callback() && self.is_full() {
            // What it was sent comes first: it says that it has consumed it when it has room again.
            self.confirm_all(desk);
            return Step::default();
        }
        if self.wants_turn && self.is_callback_in_unit() && self.others == Others::Busy {
            return Step::default();
        }
        match self.asked_get() {
            Ok(get) => {
                let get = self.in_turn(get);
                let ahead = if may_be_ahead(&get) { self.room_ahead().saturating_sub(1) } else { 0 };
                Step { get: Some(get), ahead, cancels: false }
            }
            Err(code) => {
                self.send_reason(desk, code, 0);
                self.confirm_all(desk);
                Step::default()
            }
        }
    }

    /// What is got for a callback beside others takes nothing into the unit of work before it is there and has its turn.
    fn in_turn(&mut self, get: Get) -> Get {
        let takes = self.is_callback_in_unit() && get.mode == GetMode::Destructive;
        let has_turn = std::mem::take(&mut self.wants_turn) || self.others == Others::None;
        self.is_taking = takes && has_turn;
        match (takes, self.others) {
            (false, _) | (true, Others::None) => get,
            (true, _) if !has_turn => Get { mode: ahead(), ..get },
            (true, _) => {
                // Somebody else may have taken it: then it waits anew.
                self.is_renewed = true;
                Get { wait: Wait::No, ..get }
            }
        }
    }

    /// Whether it gives messages to a callback that may be part of the unit of work.
    pub fn is_callback_in_unit(&self) -> bool {
        self.is_for_callback() && self.is_in_unit() && self.wanted.requested_bytes > 0 && !self.is_closing()
    }

    /// Whether it has something in the unit of work that its program may not have seen, or is about to.
    pub fn is_busy_in_unit(&self) -> bool {
        self.is_for_callback() && (self.is_taking || self.has_unseen_in_unit())
    }

    /// What others have from now on. Whether what waits here is to end, as it would take something beside them.
    pub fn beside(&mut self, others: Others) -> bool {
        let was_alone = std::mem::replace(&mut self.others, others) == Others::None;
        let ends = was_alone && others != Others::None && self.is_taking;
        self.is_renewed |= ends;
        ends
    }

    /// Whether there is something for it, and it has not had its turn.
    pub fn waits_for_turn(&self) -> bool {
        self.wants_turn && self.gets.is_empty() && !self.is_held && self.is_callback_in_unit()
    }

    /// It is its turn.
    pub fn take_turn(&mut self, desk: &mut Desk<'_>) -> Step {
        if self.waits_for_turn() { self.start(desk, true) } else { Step::default() }
    }

    /// The get that the client asked for.
    fn asked_get(&self) -> Result<Get, Code> {
        let options = self.wanted.options;
        let manner = convert::manner(options)?;
        // Who has room for one message asks for that one.
        let has_more = self.reads_ahead() && !self.may_be_persistent();
        let is_ahead = has_more && manner.mode == GetMode::Destructive && !manner.syncpoint;
        Ok(Get {
            handle: HandleId(self.handle as u32),
            syncpoint: manner.syncpoint,
            syncpoint_if_persistent: manner.syncpoint_if_persistent,
            wait: self.wait()?,
            mode: if is_ahead { ahead() } else { manner.mode },
            selection: match manner.mode {
                // No message is looked for.
                GetMode::Unlock => Default::default(),
                _ => convert::selection(&self.selection, options)?,
            },
            max_length: usize::try_from(self.wanted.message_bytes_max).ok(),
            accept_truncated: options & get::ACCEPT_TRUNCATED_MSG != 0,
            extended: self.selection.fields.md_version < 2,
            lock: manner.lock,
        })
    }

    /// One that nobody has asked for yet; None where nothing can be got ahead.
    pub fn ahead_get(&self) -> Option<Get> {
        let asked = self.asked_get().ok().filter(may_be_ahead)?;
        let is_alone = !self.is_callback_in_unit() || self.others == Others::None;
        let mode = if asked.syncpoint && is_alone { GetMode::Destructive } else { ahead() };
        let longest = (self.message_bytes * LONGER) as usize;
        let max_length = Some(asked.max_length.map_or(longest, |max| max.min(longest)));
        Some(Get { mode, max_length, accept_truncated: false, wait: Wait::For(AHEAD_WAIT), ..asked })
    }

    /// How many more gets the client has room for, and messages come fast enough for.
    fn room_ahead(&self) -> usize {
        let left = u64::from(self.wanted.requested_bytes).saturating_sub(self.unconsumed);
        let messages = left.div_ceil(self.message_bytes) as usize;
        let is_over = self.next.is_some() || self.is_closing() || self.is_held || self.failure.is_some();
        match is_over || !self.confirms.is_empty() {
            true => 0,
            false => messages.min(self.reach).saturating_sub(self.gets.len()),
        }
    }

    /// The client has no room beside what it was sent, and has consumed nothing since.
    fn is_full(&self) -> bool {
        self.is_unseen && self.unconsumed >= u64::from(self.wanted.requested_bytes)
    }

    /// Whether messages that are part of the unit of work were sent, and the program may have seen none of the last ones. A program that
    /// waits has seen what comes first.
    pub fn has_unseen_in_unit(&self) -> bool {
        self.behind_unit.is_some_and(|behind| self.held_bytes() > behind)
    }

    /// The unit of work ends, with all that was sent.
    pub fn end_unit(&mut self) {
        self.behind_unit = None;
    }

    /// It has ended: what was put off until then comes.
    pub fn resume(&mut self, desk: &mut Desk<'_>) -> Step {
        let goes_on = self.is_put_off && self.gets.is_empty() && !self.is_held && !self.is_closing();
        if goes_on && self.is_callback_in_unit() { self.start(desk, true) } else { Step::default() }
    }

    /// Whether what comes may be persistent. Who waits for a message has nothing else then. A callback may keep others as long as the
    /// unit of work has nothing that it has not seen: when that is decided, it has.
    fn may_be_persistent(&self) -> bool {
        match (self.is_for_callback(), self.is_in_unit()) {
            (true, true) => !self.has_unseen_in_unit(),
            (true, false) => self.unconsumed == 0,
            (false, _) => self.held_bytes() == 0,
        }
    }

    /// A request of a program that does not wait for it (MQCB) stands until a message comes.
    fn wait(&self) -> Result<Wait, Code> {
        match self.is_for_callback() {
            true => Ok(Wait::Forever),
            false => convert::wait(self.wanted.options, self.wanted.wait_interval),
        }
    }

    /// Whether the client is about to stop does not matter: what stands for a callback is never answered with 2033, which its
    /// listener would be given for a message.
    fn is_for_callback(&self) -> bool {
        self.wanted.flags & SYNCHRONOUS == 0
    }

    /// Whether what it gets may be part of a unit of work.
    pub fn is_in_unit(&self) -> bool {
        self.wanted.options & (get::SYNCPOINT | get::SYNCPOINT_IF_PERSISTENT) != 0
    }

    /// Whether it is part of the unit of work when this message was got.
    fn is_in_unit_with(&self, message: &Message) -> bool {
        let options = self.wanted.options;
        let is_persistent = message.descriptor.persistence == Persistence::Persistent;
        options & get::SYNCPOINT != 0 || (options & get::SYNCPOINT_IF_PERSISTENT != 0 && is_persistent)
    }

    /// Whether the program only looks at messages.
    pub fn is_browse(&self) -> bool {
        convert::is_browse(self.wanted.options)
    }

    /// The program is to wait no longer. Whether there is a get that waits for it, and not for a callback.
    pub fn end_wait(&mut self) -> bool {
        let waits = !self.gets.is_empty() && !self.is_for_callback();
        self.is_renewed &= !waits;
        self.is_cancelled |= waits;
        waits
    }

    /// The connection was stopped: what stands for a callback is taken back, if there is something.
    pub fn hold(&mut self) -> bool {
        let holds = (!self.gets.is_empty() || self.is_paused || self.wants_turn) && self.is_for_callback();
        self.is_held |= holds;
        self.is_paused = false;
        holds
    }

    /// The connection was started: what was held goes on.
    pub fn go_on(&mut self, desk: &mut Desk<'_>) -> Step {
        if self.is_held && self.gets.is_empty() { self.start(desk, true) } else { Step::default() }
    }

    /// Whether it is to be tried again whether its queue lets gets in ([`Reading::retry`]): the client waits for that, and asks for nothing.
    pub fn is_paused(&self) -> bool {
        self.is_paused && self.gets.is_empty()
    }

    /// Tries it.
    pub fn retry(&mut self, desk: &mut Desk<'_>) -> Step {
        if self.is_paused() { self.start(desk, true) } else { Step::default() }
    }

    /// Whether a wait that is over is not over for the client: what was asked for last may wait for longer.
    fn waits_anew(&self) -> bool {
        self.is_renewed && self.next.is_none() && !self.is_closing() && !self.is_held
    }

    /// A get has ended.
    pub fn on_completion(
        &mut self,
        desk: &mut Desk<'_>,
        token: Token,
        answer: (Completion, Told),
        may_call_back: bool,
    ) -> Step {
        let place = self.gets.iter().position(|get| get.token == token);
        if let Some(place) = place.filter(|place| *place > 0 && matches!(answer.0.data, Data::Got { .. })) {
            self.gets[place].early = Some(answer);
            return Step::default();
        }
        if ends_session(answer.0.reason) {
            // Of a get that may have taken a message nobody knows: what came behind it would pass for that message, or overtake it.
            self.gets.retain(|get| get.early.is_none());
        }
        let get = place.and_then(|place| self.gets.remove(place));
        let mut step = self.end(desk, get.is_some_and(|get| get.is_ahead), answer, may_call_back);
        while let Some(answer) = self.gets.front_mut().and_then(|get| get.early.take()) {
            let get = self.gets.pop_front().expect("just seen");
            let last = self.end(desk, get.is_ahead, answer, may_call_back);
            step = Step { cancels: step.cancels | last.cancels, ..last };
        }
        step
    }

    /// It is the turn of what a get was answered.
    fn end(
        &mut self,
        desk: &mut Desk<'_>,
        is_ahead: bool,
        (completion, told): (Completion, Told),
        may_call_back: bool,
    ) -> Step {
        let warning = match completion.code {
            CompletionCode::Warning => completion.reason.number() as Code,
            _ => told.code,
        };
        // What is not got ahead is got when the program has consumed all that it has, and asks for it.
        let (mut stays, mut flows) = (false, false);
        self.is_taking &= is_ahead;
        let had_failed = self.failure.is_some();
        match completion.data {
            Data::Got { message, body_length } => {
                self.send(desk, *message, body_length, (warning, told));
                flows = true;
                self.reach = (self.reach + 1).min(AHEAD_MAX);
                self.failure.take_if(|(code, _)| *code == reason::NO_MSG_AVAILABLE);
            }
            Data::NotAhead => stays = true,
            Data::TooLong { .. } if is_ahead => stays = true,
            Data::TooLong { body_length } => self.failure = Some((reason::TRUNCATED_MSG_FAILED, body_length)),
            _ if completion.reason == Reason::NoMsgAvailable && (is_ahead || self.waits_anew()) => {
                self.reach = 1
            }
            _ if completion.reason == Reason::NoMsgAvailable && self.is_cancelled => {
                self.failure = Some((reason::XWAIT_CANCELED, 0));
            }
            _ => self.failure = Some((completion.reason.number() as Code, 0)),
        }
        if stays {
            self.reach = 1;
            self.is_put_off = true;
            self.wants_turn =
                self.others != Others::None && self.is_callback_in_unit() && self.may_be_persistent();
        }
        if !self.gets.is_empty() {
            // Nobody waits for what is ahead: the client is told at once.
            let cancels = !had_failed && self.failure.is_some();
            return Step { ahead: if flows { self.room_ahead() } else { 0 }, cancels, get: None };
        }
        let goes_on = self.report_failure(desk) && (!stays || self.may_be_persistent());
        let is_closing = self.is_closing();
        match self.next.take() {
            Some(next) if !is_closing => return self.serve(desk, next, may_call_back),
            Some(Request { id, is_confirmed: true, .. }) => self.confirms.push(id),
            _ => {}
        }
        // It was stopped, and started before that had ended what was under way.
        let is_started = self.is_held && may_call_back;
        if is_started && !is_closing {
            return self.start(desk, may_call_back);
        }
        if goes_on && !is_closing && self.unconsumed < u64::from(self.wanted.requested_bytes) {
            return self.start(desk, may_call_back);
        }
        self.confirm_all(desk);
        Step::default()
    }

    /// Nothing is under way: tells the client why, unless it has asked for something else. Whether nothing was in the way.
    fn report_failure(&mut self, desk: &mut Desk<'_>) -> bool {
        let Some((code, body_length)) = self.failure.take() else { return true };
        let is_nothing = code == reason::NO_MSG_AVAILABLE;
        let pauses = code == reason::GET_INHIBITED && self.is_for_callback() && !self.is_held;
        // What is not told, as nobody waits for it, or is told so elsewhere.
        let is_known = match is_nothing {
            true => self.is_for_callback() || self.is_held || !self.confirms.is_empty(),
            false => self.is_paused && pauses,
        };
        if self.next.is_none() && !is_known {
            self.send_reason(desk, code, body_length);
        }
        self.is_paused = pauses;
        false
    }

    fn send(
        &mut self,
        desk: &mut Desk<'_>,
        message: Message,
        body_length: usize,
        (code, told): (Code, Told),
    ) {
        let is_awaited = !self.is_for_callback() && (!self.reads_ahead() || self.held_bytes() == 0);
        let is_unseen_in_unit = !is_awaited && self.is_in_unit_with(&message);
        let mut md = convert::md(&message.descriptor, self.md_version());
        told.describe(&mut md);
        let wanted = self.wanted_text();
        let (body, whole_length) = extension::put_on(&mut md, message.body, body_length, wanted);
        // One that was accepted may have room for a part of the MQMDE only.
        let body = match usize::try_from(self.wanted.message_bytes_max) {
            Ok(room) if whole_length > body_length && room < body.len() => body.truncated(room),
            _ => body,
        };
        let body_length = whole_length;
        let in_group = match message.descriptor.in_group() {
            Some(group) if group.is_last => status::LAST_IN_GROUP,
            Some(_) => status::IN_GROUP,
            None => 0,
        };
        self.index += 1;
        self.message_bytes = self.md_bytes() + body.len() as u64;
        self.is_paused = false;
        self.unconsumed += self.message_bytes;
        self.is_unseen = true;
        self.behind_unit = match is_unseen_in_unit {
            true => Some(0),
            false => self.behind_unit.map(|behind| behind + self.message_bytes),
        };
        let mut token = [0; 16];
        token[..8].copy_from_slice(&message.descriptor.message_id.0[16..]);
        let first = First {
            fields: FirstFields {
                reason: code,
                delivered_bytes: body.len() as u32,
                message_bytes: body_length as u32,
                token: Raw(token),
                status: status::MESSAGE | in_group,
            },
            resolved_queue: self.resolved_queue(),
            md: Some(md),
        };
        let message = AsyncMessage { part: self.part(), first: Some(first), ..AsyncMessage::default() };
        desk.message(self.request, &message, body.parts());
    }

    fn part(&self) -> PartFields {
        PartFields {
            version: 1,
            handle: self.handle,
            index: self.index,
            global_index: self.index,
            selection_index: self.selection.fields.index,
            ..PartFields::default()
        }
    }

    /// With blanks, so that what follows needs no padding.
    fn resolved_queue(&self) -> bytes::Bytes {
        // The head before the name has 55 bytes.
        let length = (55 + self.queue.len()).next_multiple_of(4) - 55;
        let mut name = self.queue.clone().into_bytes();
        name.resize(length, b' ');
        name.into()
    }

    /// No message, and why. In place of a message only what is no failure is told: a client takes the MQMD for the program's then, gives a
    /// failure as a warning, and its listener an empty message.
    fn send_reason(&mut self, desk: &mut Desk<'_>, code: Code, body_length: usize) {
        match code {
            reason::NONE | reason::NO_MSG_LOCKED => {}
            // The client counts it like a message.
            reason::TRUNCATED_MSG_FAILED => self.unconsumed += self.md_bytes(),
            reason::NO_MSG_AVAILABLE => return self.notify(desk, self.request, notice::CHECK_MSG, 0),
            reason::GET_INHIBITED => return self.notify(desk, self.request, notice::GET_INHIBITED, code),
            _ => return self.notify(desk, self.request, notice::STREAMING_FAILURE, code),
        }
        let fields = FirstFields {
            reason: code,
            message_bytes: body_length as u32,
            status: status::MESSAGE,
            ..FirstFields::default()
        };
        let first = First { fields, resolved_queue: self.resolved_queue(), md: Some(self.no_md()) };
        let message = AsyncMessage { part: self.part(), first: Some(first), ..AsyncMessage::default() };
        desk.message(self.request, &message, &[]);
    }

    /// What is there in place of a message's MQMD: what the program's says that is asked for, so that it can ask once more.
    fn no_md(&self) -> Md {
        let Selection { fields, message_id, correlation_id, group_id, .. } = &self.selection;
        Md {
            version: self.md_version(),
            ccsid: fields.ccsid,
            encoding: fields.encoding,
            message_id: *message_id,
            correlation_id: *correlation_id,
            group_id: *group_id,
            sequence_number: fields.sequence_number,
            offset: fields.offset,
            ..Md::default()
        }
    }

    fn md_version(&self) -> u32 {
        u32::from(self.selection.fields.md_version.clamp(1, 2))
    }

    /// What the client counts for the MQMD.
    fn md_bytes(&self) -> u64 {
        if self.md_version() < 2 { Md::BYTES_1 as u64 } else { Md::BYTES as u64 }
    }

    /// Nothing more is on its way for requests whose sender waits for that.
    fn confirm_all(&mut self, desk: &mut Desk<'_>) {
        for request in std::mem::take(&mut self.confirms) {
            self.notify(desk, request, notice::CHECK_MSG, 0);
        }
    }

    fn notify(&self, desk: &mut Desk<'_>, request: u32, code: u32, value: Code) {
        let (handle, value) = (self.handle, value as u32);
        let flow = Flow::Notification(Notification { version: 1, handle, code, value });
        desk.say(types::NOTIFICATION, request, flags::FIRST, &flow);
    }
}

/// Whether the connection ends with this answer, and what is ahead of its program with it.
fn ends_session(reason: Reason) -> bool {
    reason == Reason::CallInterrupted || reason.says_not_served()
}

fn ahead() -> GetMode {
    if planted::is(Bug::AheadForGood) { GetMode::Destructive } else { GetMode::Ahead }
}

/// Whether another get may follow this one before it is answered: a cursor and the next of a group depend on what came before.
fn may_be_ahead(get: &Get) -> bool {
    matches!(get.mode, GetMode::Destructive | GetMode::Ahead)
        && !get.selection.logical_order
        && !get.selection.whole_groups
}
