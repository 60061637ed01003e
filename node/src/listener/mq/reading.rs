//! How one handle is read on a multiplexed channel: a client asks for messages with REQUEST_MSGS and gets them as
//! ASYNC_MESSAGE, one at a time or ahead, as far as the bytes go that it has room for.

use trimaran_proto::mq::constants::{get, reason};
use trimaran_proto::mq::control::{Notification, notice};
use trimaran_proto::mq::delivery::{
    AsyncMessage, First, FirstFields, PartFields, RequestFields, RequestMessages, SYNCHRONOUS, Selection,
    SelectionFields, status,
};
use trimaran_proto::mq::message::Md;
use trimaran_proto::mq::segment::{flags, types};
use trimaran_proto::mq::{Flow, Raw};

use super::conversion::{Told, Wanted};
use super::convert::{self, Code};
use super::desk::Desk;
use crate::mqi::{Completion, Data, Get, Wait};
use crate::types::{CompletionCode, HandleId, Message, Reason, Token};

/// The request that messages answer until a client says another.
const MESSAGES: u32 = 1;

/// What a client asked of a handle, and what it was sent.
#[derive(Debug, Default)]
pub struct Reading {
    handle: i32,
    queue: String,
    /// The request that messages answer.
    request: u32,
    /// A request whose sender waits until it is told that nothing more is on its way.
    confirm: Option<u32>,
    wanted: RequestFields,
    selection: Selection,
    /// The get that is under way.
    get: Option<Token>,
    /// A request for a callback waits until the client starts its connection (MQCTL).
    is_held: bool,
    /// A request that waits until the get before it has ended.
    next: Option<Request>,
    /// Bytes that the client has not said to have consumed.
    unconsumed: u64,
    /// A message was sent, and what the client said since then it said before it had it.
    is_unseen: bool,
    /// Messages sent for this handle.
    index: u32,
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
#[derive(Debug)]
pub enum Step {
    Nothing,
    /// Starts this get.
    Get(Get),
    /// Ends the wait of this one.
    Cancel(Token),
}

impl Reading {
    pub fn new(handle: i32, queue: &str) -> Reading {
        Reading { handle, queue: queue.to_string(), request: MESSAGES, ..Reading::default() }
    }

    /// The get that is under way.
    pub fn get(&self) -> Option<Token> {
        self.get
    }

    /// What is wanted of the text of messages, if it is to be converted.
    pub fn wanted_text(&self) -> Option<Wanted> {
        let SelectionFields { ccsid, encoding, .. } = self.selection.fields;
        (self.wanted.options & get::CONVERT != 0).then_some(Wanted { ccsid, encoding })
    }

    /// The get of [`Step::Get`] was asked.
    pub fn began(&mut self, token: Token) {
        self.get = Some(token);
    }

    /// `may_call_back`: the connection is started, and what is asked for a callback may come.
    pub fn on_request(&mut self, desk: &mut Desk<'_>, request: Request, may_call_back: bool) -> Step {
        let Some(token) = self.get else {
            return self.serve(desk, request, may_call_back);
        };
        if self.goes_on(&request) && self.wanted.requested_bytes > 1 && !request.is_confirmed {
            // Only more room: what is under way serves it.
            self.take_request(request);
            return Step::Nothing;
        }
        self.next = Some(request);
        Step::Cancel(token)
    }

    /// Nothing is under way.
    fn serve(&mut self, desk: &mut Desk<'_>, request: Request, may_call_back: bool) -> Step {
        let asked = &request.asked.fields;
        self.is_unseen &= asked.received_bytes == 0;
        // A client that waited long enough and has room for one message would lose the second.
        let is_served =
            self.is_unseen && request.is_confirmed && asked.requested_bytes == 1 && self.goes_on(&request);
        self.take_request(request);
        if is_served {
            self.send_nothing(desk);
            return Step::Nothing;
        }
        self.start(desk, may_call_back)
    }

    /// Whether it asks for what the request before it asked for.
    fn goes_on(&self, Request { asked, .. }: &Request) -> bool {
        asked.selection.is_none() && asked.fields.options == self.wanted.options
    }

    fn take_request(&mut self, Request { id, is_confirmed, asked }: Request) {
        self.unconsumed = self.unconsumed.saturating_sub(u64::from(asked.fields.received_bytes));
        if is_confirmed {
            self.confirm = Some(id);
        } else {
            self.request = id;
        }
        self.wanted = asked.fields;
        if let Some(selection) = asked.selection {
            self.selection = selection;
        }
    }

    fn start(&mut self, desk: &mut Desk<'_>, may_call_back: bool) -> Step {
        self.is_held = self.is_for_callback() && !may_call_back;
        if self.is_held {
            return Step::Nothing;
        }
        match self.asked_get() {
            Ok(get) => Step::Get(get),
            Err(code) => {
                self.refuse(desk, code);
                if self.confirm.is_some() {
                    self.send_nothing(desk);
                }
                Step::Nothing
            }
        }
    }

    fn asked_get(&self) -> Result<Get, Code> {
        let options = self.wanted.options;
        let manner = convert::manner(options)?;
        Ok(Get {
            handle: HandleId(self.handle as u32),
            syncpoint: manner.syncpoint,
            syncpoint_if_persistent: manner.syncpoint_if_persistent,
            wait: self.wait()?,
            mode: manner.mode,
            selection: convert::selection(&self.selection, options)?,
            max_length: usize::try_from(self.wanted.message_bytes_max).ok(),
            accept_truncated: options & get::ACCEPT_TRUNCATED_MSG != 0,
        })
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

    /// The connection was stopped: what stands for a callback is taken back.
    pub fn hold(&mut self) -> Option<Token> {
        let token = self.get.filter(|_| self.is_for_callback())?;
        self.is_held = true;
        Some(token)
    }

    /// The connection was started: what was held goes on.
    pub fn go_on(&mut self, desk: &mut Desk<'_>) -> Step {
        if self.is_held && self.get.is_none() { self.start(desk, true) } else { Step::Nothing }
    }

    /// The get has ended.
    pub fn on_completion(
        &mut self,
        desk: &mut Desk<'_>,
        (completion, told): (Completion, Told),
        may_call_back: bool,
    ) -> Step {
        self.get = None;
        let warning = match completion.code {
            CompletionCode::Warning => completion.reason.number() as Code,
            _ => told.code,
        };
        let mut more = false;
        match completion.data {
            Data::Got { message, body_length } => {
                self.send(desk, *message, body_length, (warning, told));
                more = self.unconsumed < u64::from(self.wanted.requested_bytes);
            }
            Data::TooLong { body_length } => {
                self.send_reason(desk, reason::TRUNCATED_MSG_FAILED, body_length);
            }
            _ if self.next.is_some() => {}
            _ if completion.reason == Reason::NoMsgAvailable => {
                if self.confirm.is_none() && !self.is_held {
                    self.refuse(desk, reason::NO_MSG_AVAILABLE);
                }
            }
            _ => self.refuse(desk, completion.reason.number() as Code),
        }
        if let Some(next) = self.next.take() {
            return self.serve(desk, next, may_call_back);
        }
        if more {
            return self.start(desk, may_call_back);
        }
        if self.confirm.is_some() {
            self.send_nothing(desk);
        }
        Step::Nothing
    }

    fn send(
        &mut self,
        desk: &mut Desk<'_>,
        message: Message,
        body_length: usize,
        (code, told): (Code, Told),
    ) {
        let version = u32::from(self.selection.fields.md_version.clamp(1, 2));
        let mut md = convert::md(&message.descriptor, version);
        told.describe(&mut md);
        let body = message.body;
        let in_group = match message.descriptor.in_group() {
            Some(group) if group.is_last => status::LAST_IN_GROUP,
            Some(_) => status::IN_GROUP,
            None => 0,
        };
        self.index += 1;
        self.unconsumed += (Md::BYTES + body.len()) as u64;
        self.is_unseen = true;
        let mut token = [0; 16];
        token[..8].copy_from_slice(&message.descriptor.message_id.0[16..]);
        let first = First {
            fields: FirstFields {
                reason: code,
                message_bytes: body_length as u32,
                delivered_bytes: body.len() as u32,
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

    /// No message, and why.
    fn send_reason(&mut self, desk: &mut Desk<'_>, code: Code, body_length: usize) {
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

    /// What is there in place of a message's MQMD.
    fn no_md(&self) -> Md {
        Md { version: u32::from(self.selection.fields.md_version.clamp(1, 2)), ..Md::default() }
    }

    fn refuse(&mut self, desk: &mut Desk<'_>, code: Code) {
        self.send_reason(desk, code, 0);
    }

    /// Nothing is on its way for this request.
    fn send_nothing(&mut self, desk: &mut Desk<'_>) {
        let notification =
            Notification { version: 1, handle: self.handle, code: notice::CHECK_MSG, value: 0 };
        let flow = Flow::Notification(notification);
        let request = self.confirm.take().unwrap_or(self.request);
        desk.say(types::NOTIFICATION, request, flags::FIRST, &flow);
    }
}
