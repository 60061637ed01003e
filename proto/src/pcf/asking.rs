//! A command from its message to its replies: what is to be asked, and what comes of the answers. No IO; who asks whom is left to
//! the caller.

use std::collections::VecDeque;

use super::attributes::{self, named, queue_type};
use super::command::{Asked, Does, Tells, asked, to_queue};
use super::numbers::{parameter, reason};
use super::status;
use super::structure::{Fault, Header, Message, Parameter, Value, kind};
use crate::admin::v1::DisplayRequest;
use crate::attribute::Kind;
use crate::mqsc::{self, Answer, Command, Display, Reply, Request, Subject};

const OK: i32 = 0;
const FAILED: i32 = 2;
/// MQET_MQSC.
const MQSC: i32 = 1;
/// MQ_Q_MGR_NAME_LENGTH.
const NAME: usize = 48;

/// A command that is under way.
#[derive(Debug)]
pub struct Asking {
    queue_manager: String,
    /// By number.
    command: i32,
    asked: Asked,
    /// What is asked next, in this order.
    requests: VecDeque<Request>,
    /// Whether anything was found that is told.
    has_found: bool,
    names: Vec<(String, Option<i32>)>,
    replies: Replies,
}

/// Replies that are told, but for the last one, of which nobody knows yet whether it is.
#[derive(Debug)]
struct Replies {
    command: i32,
    sequence: i32,
    held: Option<Message>,
    ready: Vec<Message>,
}

impl Asking {
    /// Begins a command.
    ///
    /// # Errors
    /// The replies to what is none, which are all there are.
    pub fn begin(message: &Message, queue_manager: &str) -> Result<Asking, Vec<Message>> {
        let command = message.header.command;
        let asked = asked(message).map_err(|fault| refusal(command, &fault))?;
        let requests = match &asked.does {
            Does::This(command) => command.requests().into(),
            Does::ToQueue { name, .. } => {
                let (kind, name) = ("QUEUE".to_string(), name.clone());
                VecDeque::from([Request::Display(DisplayRequest { kind, name, ..DisplayRequest::default() })])
            }
            Does::NotUnderstood(_) => VecDeque::new(),
        };
        let mut asking = Asking {
            queue_manager: queue_manager.to_string(),
            command,
            asked,
            requests,
            has_found: false,
            names: Vec::new(),
            replies: Replies::new(command),
        };
        if asking.requests.is_empty() {
            asking.told_at_once();
        }
        Ok(asking)
    }

    /// What is to be asked next; None when all was, and [`Asking::replies`] are all.
    pub fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Whether the answer to what is asked now is told page by page; of another one the first page is enough.
    pub fn takes_pages(&self) -> bool {
        self.requests.is_empty()
    }

    /// What came back for it. An answer may come in pages: `more` is there behind this one.
    pub fn on_reply(&mut self, reply: &Reply, more: bool) {
        if let Reply::Refused { reason, text } = reply
            && self.asked.tells != Tells::Text
        {
            return self.refused(*reason, text);
        }
        match &self.asked.does {
            Does::ToQueue { .. } => self.look_up(reply, more),
            Does::This(command) if command.ends_with(reply, &self.queue_manager) => {
                self.requests.clear();
                self.ended(reply);
            }
            _ if !self.requests.is_empty() => {
                if self.asked.tells == Tells::Text && matches!(reply, Reply::Refused { .. }) {
                    self.requests.clear();
                    self.told(reply, false);
                }
            }
            _ => self.told(reply, more),
        }
    }

    /// The replies that are known so far and were not taken yet.
    pub fn replies(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.replies.ready)
    }

    /// Of a command that could not be asked to its end: what is told beside what was found.
    pub fn fail(&mut self, reason: u32) {
        self.requests.clear();
        self.replies.fail(&Fault::new(reason, ""));
    }

    fn refused(&mut self, reason: u32, text: &str) {
        self.requests.clear();
        let Does::This(command) = &self.asked.does else {
            return self.replies.fail(&Fault::new(reason, text));
        };
        match command {
            Command::Delete { missing_is_fine: true, .. } if reason == reason::UNKNOWN_OBJECT_NAME => {
                self.done()
            }
            command => self.replies.fail(&Fault::new(as_pcf_has_it(command, reason), text)),
        }
    }

    fn done(&mut self) {
        self.replies.add(Vec::new(), OK, 0);
        self.replies.end();
    }

    /// Of which kind the queue is.
    fn look_up(&mut self, reply: &Reply, more: bool) {
        let Does::ToQueue { name, parameters, deletes } = &self.asked.does else { return };
        let Reply::Objects(objects) = reply else {
            return self.replies.fail(&Fault::new(reason::COMMAND_FAILED, ""));
        };
        let found = objects.iter().find(|object| object.name == *name);
        let Some(kind) = found.and_then(|object| Kind::named(&object.kind)) else {
            if !more {
                let fault = Fault::new(reason::UNKNOWN_OBJECT_NAME, format!("There is no queue {name}."));
                self.replies.fail(&fault);
            }
            return;
        };
        match to_queue(kind, name.clone(), parameters, *deletes) {
            Ok(command) => {
                self.requests = command.requests().into();
                self.asked.does = Does::This(command);
            }
            Err(fault) => self.replies.fail(&fault),
        }
    }

    /// A command with nothing to ask.
    fn told_at_once(&mut self) {
        match &self.asked.does {
            Does::NotUnderstood(lines) => {
                let lines = lines.clone();
                self.replies.text(lines, true);
                self.replies.end();
            }
            Does::This(command) if self.asked.tells == Tells::Text => {
                let answer = Answer::of(command, None, &self.queue_manager);
                self.replies.text(answer.lines, answer.failed);
                self.replies.end();
            }
            _ => self.done(),
        }
    }

    /// There is nothing more to do after this.
    fn ended(&mut self, reply: &Reply) {
        match (&self.asked.does, &self.asked.tells) {
            (Does::This(command), Tells::Text) => {
                let answer = Answer::of(command, Some(reply), &self.queue_manager);
                self.replies.text(answer.lines, answer.failed);
                self.replies.end();
            }
            (Does::This(Command::Control { stops, .. }), _) => {
                let reason = if *stops { reason::LISTENER_STOPPED } else { reason::LISTENER_RUNNING };
                self.replies.fail(&Fault::new(reason, ""));
            }
            _ => self.replies.fail(&Fault::new(reason::UNKNOWN_OBJECT_NAME, "")),
        }
    }

    fn told(&mut self, reply: &Reply, more: bool) {
        if more && matches!(reply, Reply::Done) {
            // So far.
            return;
        }
        let Asked { does: Does::This(command), tells } = &self.asked else { return };
        match (tells, command) {
            (Tells::Text, command) => {
                let answer = Answer::of(command, Some(reply), &self.queue_manager);
                // A page on which nothing is found says so; only all of them together have nothing.
                if !answer.found_nothing || (!more && !self.has_found) {
                    self.has_found = true;
                    self.replies.text(answer.lines, answer.failed);
                }
                if !more {
                    self.replies.end();
                }
            }
            (Tells::Each { wanted, beside }, Command::Display(display)) => {
                let told = each(display, reply, &self.queue_manager, wanted.as_deref());
                self.has_found |= !told.is_empty();
                for mut parameters in told {
                    parameters.extend_from_slice(beside);
                    self.replies.add(parameters, OK, 0);
                }
                if !more {
                    self.end_inquiry();
                }
            }
            (Tells::Names { .. }, Command::Display(display)) => {
                if let Reply::Objects(objects) = reply {
                    let found = mqsc::found(display, objects, &self.queue_manager);
                    self.names.extend(found.map(|facts| (facts.name, type_of(facts.kind))));
                }
                if !more {
                    self.tell_names();
                }
            }
            _ => self.done(),
        }
    }

    fn end_inquiry(&mut self) {
        match (self.has_found, &self.asked.does) {
            (false, Does::This(Command::Display(display))) => {
                let fault = Fault::new(not_found(display.subject), "Nothing is found.");
                self.replies.fail(&fault);
            }
            _ => self.replies.end(),
        }
    }

    fn tell_names(&mut self) {
        let (Tells::Names { names, types }, Does::This(Command::Display(display))) =
            (&self.asked.tells, &self.asked.does)
        else {
            return;
        };
        if self.names.is_empty() {
            return self.replies.fail(&Fault::new(not_found(display.subject), "Nothing is found."));
        }
        let most = if *names == parameter::CHANNEL_NAMES { 20 } else { 48 };
        let mut parameters = vec![Parameter {
            id: *names,
            value: Value::Texts(self.names.iter().map(|(name, _)| format!("{name:most$}")).collect()),
        }];
        if let Some(id) = *types {
            let types = self.names.iter().filter_map(|(_, of_type)| *of_type).collect();
            parameters.push(Parameter { id, value: Value::Numbers(types) });
        }
        self.replies.add(parameters, OK, 0);
        self.replies.end();
    }

    /// The number of the command.
    pub fn command(&self) -> i32 {
        self.command
    }
}

/// MQQT or MQCHT.
fn type_of(kind: Kind) -> Option<i32> {
    /// MQCHT_SVRCONN.
    const SVRCONN: i32 = 7;
    if kind == Kind::Channel { Some(SVRCONN) } else { queue_type(kind) }
}

/// The parameters of each thing that is found.
fn each(
    display: &Display,
    reply: &Reply,
    queue_manager: &str,
    wanted: Option<&[i32]>,
) -> Vec<Vec<Parameter>> {
    match (display.subject, reply) {
        (Subject::Object(_) | Subject::Queues, Reply::Objects(objects)) => {
            let found = mqsc::found(display, objects, queue_manager);
            let told = found.map(|facts| {
                let mut parameters = attributes::parameters(&facts, wanted);
                if facts.kind == Kind::Authority {
                    parameters.push(named(parameter::Q_MGR_NAME, queue_manager, NAME));
                }
                parameters
            });
            told.collect()
        }
        (subject, reply) => {
            let rows = mqsc::rows(display, reply, queue_manager);
            rows.iter().map(|row| status::parameters(subject, row, wanted)).collect()
        }
    }
}

fn not_found(subject: Subject) -> u32 {
    match subject {
        Subject::Object(Kind::Channel) => reason::CHANNEL_NOT_FOUND,
        Subject::Object(Kind::ChannelAuth) => reason::CHLAUTH_NOT_FOUND,
        Subject::ChannelStatus => reason::CHL_STATUS_NOT_FOUND,
        Subject::ListenerStatus => reason::LSTR_STATUS_NOT_FOUND,
        Subject::Connections => reason::CONNECTION_ID_ERROR,
        Subject::QueueHandles => reason::Q_STATUS_NOT_FOUND,
        _ => reason::UNKNOWN_OBJECT_NAME,
    }
}

/// PCF has reasons of its own for some of what MQI refuses.
fn as_pcf_has_it(command: &Command, refused: u32) -> u32 {
    const OBJECT_ALREADY_EXISTS: u32 = 2100;
    let is_channel = command.is_of_channel();
    let is_channel_auth = matches!(command, Command::Set { kind: Kind::ChannelAuth, .. });
    match refused {
        OBJECT_ALREADY_EXISTS if is_channel_auth => reason::CHLAUTH_ALREADY_EXISTS,
        reason::UNKNOWN_OBJECT_NAME if is_channel_auth => reason::CHLAUTH_NOT_FOUND,
        OBJECT_ALREADY_EXISTS if is_channel => reason::CHANNEL_ALREADY_EXISTS,
        OBJECT_ALREADY_EXISTS => reason::OBJECT_ALREADY_EXISTS,
        reason::UNKNOWN_OBJECT_NAME if is_channel => reason::CHANNEL_NOT_FOUND,
        reason => reason,
    }
}

/// The replies to what is no command, or none that is done.
pub fn refusal(command: i32, fault: &Fault) -> Vec<Message> {
    let mut replies = Replies::new(command);
    replies.fail(fault);
    replies.ready
}

impl Replies {
    fn new(command: i32) -> Replies {
        Replies { command, sequence: 0, held: None, ready: Vec::new() }
    }

    fn add(&mut self, parameters: Vec<Parameter>, completion: i32, reason: u32) {
        self.sequence = self.sequence.saturating_add(1);
        let header = Header {
            kind: kind::RESPONSE,
            version: 1,
            command: self.command,
            sequence: self.sequence,
            is_last: false,
            completion,
            reason: reason as i32,
        };
        self.ready.extend(self.held.replace(Message { header, parameters }));
    }

    /// A message for each of MQSC's answers; each begins with its number.
    fn text(&mut self, lines: Vec<String>, failed: bool) {
        let (completion, reason) = if failed { (FAILED, reason::COMMAND_FAILED) } else { (OK, 0) };
        let mut texts: Vec<String> = Vec::new();
        for line in lines {
            match texts.last_mut() {
                Some(text) if !line.starts_with("AMQ") => {
                    text.push('\n');
                    text.push_str(&line);
                }
                _ => texts.push(line),
            }
        }
        if texts.is_empty() {
            texts.push(String::new());
        }
        for text in texts {
            let parameters = vec![
                Parameter::number(parameter::ESCAPE_TYPE, MQSC),
                named(parameter::ESCAPE_TEXT, &text, 0),
            ];
            self.add(parameters, completion, reason);
        }
    }

    fn fail(&mut self, fault: &Fault) {
        let about = fault.parameter.map(|id| Parameter::number(parameter::PARAMETER_ID, id));
        self.add(about.into_iter().collect(), FAILED, fault.reason);
        self.add(Vec::new(), FAILED, reason::COMMAND_FAILED);
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut last) = self.held.take() {
            last.header.is_last = true;
            self.ready.push(last);
        }
    }
}
