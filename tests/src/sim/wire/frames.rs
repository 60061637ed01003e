//! The tongue of our own library: calls become frames of gRPC, the production conversation reads them, and what it writes
//! becomes completions again.
//!
//! The conversation is the listener's own (`listener/grpc/conversation.rs`, a pure machine); `grpc/session.rs` drives
//! it with streams, this file by hand. Calls of administrators are unary on the wire and pass by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use trimaran_node::listener::Limits;
use trimaran_node::listener::grpc::conversation::{Conversation, Step};
use trimaran_node::mqi::{
    Call, CloseOption, Completion, Data, Get, GetMode, ObjectView, Opened, Put, PutTarget, QueueView,
    UnitState, Wait,
};
use trimaran_node::types::definition::{Definition, ObjectKind, ObjectRef};
use trimaran_node::types::{
    Account, Body, CompletionCode, Descriptor, GroupId, InGroup, Message, MessageId, NodeId, ObjectName,
    Reason, Token, message_flags,
};
use trimaran_proto::message::v1 as message;
use trimaran_proto::queue::v1 as wire;

use super::passed::Passed;

/// A longer body travels in parts.
const PART_BYTES: usize = 1024 * 1024;
/// No program uses it.
const CONNECT: u64 = u64::MAX;

#[derive(Debug)]
pub struct Frames {
    conversation: Conversation,
    /// Frames that came and were not read, because too much is not answered.
    unread: VecDeque<Bytes>,
    unary: BTreeSet<Token>,
    /// Parts of bodies that came before their answer.
    parts: BTreeMap<u64, Vec<Bytes>>,
    units_decided: u64,
}

impl Frames {
    /// Connected. Little room makes frames wait.
    pub fn new(calls_max: usize, bytes_max: usize) -> Result<Frames, String> {
        let limits =
            Limits { calls_in_flight_max: calls_max, session_bytes_max: bytes_max, ..Limits::default() };
        let conversation = Conversation::new(Arc::new(limits), Arc::default(), Account::new(2 << 30));
        let mut wire = Frames {
            conversation,
            unread: VecDeque::new(),
            unary: BTreeSet::new(),
            parts: BTreeMap::new(),
            units_decided: 0,
        };
        let connect = wire::Connect { queue_manager: "QM".into(), application_name: "program".into() };
        wire.conversation.on_frame(frame(CONNECT, [wire::call::Call::Connect(connect)]));
        match wire.conversation.step() {
            Ok(Step::Connect { token, queue_manager, .. }) => {
                wire.conversation.connected(token, queue_manager, "node".into())
            }
            other => return Err(format!("a connect became {other:?}")),
        }
        wire.take_responses()?;
        Ok(wire)
    }

    /// A frame with this call arrives at the node.
    pub fn arrives(&mut self, token: Token, call: Call) -> Result<Passed, String> {
        let Some(asked) = asked(token, &call) else {
            self.unary.insert(token);
            return Ok(Passed { calls: vec![(token, call)], ..Passed::default() });
        };
        self.unread.push_back(frame(token.0, asked).encode_to_vec().into());
        self.read()
    }

    /// As far as there is room.
    fn read(&mut self) -> Result<Passed, String> {
        let mut passed = Passed::default();
        loop {
            let step = self.conversation.step().map_err(|violation| violation.0)?;
            passed.calls.append(&mut self.conversation.take_calls());
            let frame = match step {
                Step::Read => self.unread.pop_front(),
                Step::Pause => continue,
                Step::Full | Step::NoRoom => None,
                Step::Translate => {
                    self.conversation.translate();
                    continue;
                }
                Step::Connect { .. } => return Err("a second connect".into()),
            };
            let Some(frame) = frame else { break };
            let frame = wire::SessionRequest::decode(frame).map_err(|error| error.to_string())?;
            self.conversation.on_frame(frame);
        }
        passed.answers = self.take_responses()?;
        passed.units_decided = self.units_decided;
        Ok(passed)
    }

    /// The replica, which has decided so many units, answers; what waited may go on.
    pub fn answer(
        &mut self,
        token: Token,
        completion: Completion,
        units_decided: u64,
    ) -> Result<Passed, String> {
        self.conversation.note_units_decided(units_decided);
        if self.unary.contains(&token) {
            if !matches!(completion.data, Data::Progress { .. }) {
                self.unary.remove(&token);
            }
            return Ok(Passed { answers: vec![(token, completion)], ..Passed::default() });
        }
        self.conversation.on_completions(vec![(token, completion)], serving);
        let mut answers = self.take_responses()?;
        let mut passed = self.read()?;
        answers.append(&mut passed.answers);
        Ok(Passed { answers, ..passed })
    }

    /// The replica ended the session: whatever is not answered is answered now.
    pub fn close(&mut self, reason: Reason, all_answered: bool) -> Result<Vec<(Token, Completion)>, String> {
        self.conversation.close(reason, all_answered, Some(serving(None)));
        let mut answers = self.take_responses()?;
        let unary = std::mem::take(&mut self.unary);
        let interrupted = || Completion::failed(Reason::CallInterrupted);
        answers.extend(unary.into_iter().map(|token| (token, interrupted())));
        // The last one says where to go instead.
        answers.retain(|(token, _)| *token != Token(0));
        Ok(answers)
    }

    fn take_responses(&mut self) -> Result<Vec<(Token, Completion)>, String> {
        let mut answers = Vec::new();
        while let Some(response) = self.conversation.take_response() {
            let bytes = response.encode_to_vec();
            let response = wire::SessionResponse::decode(&*bytes).map_err(|error| error.to_string())?;
            self.units_decided = self.units_decided.max(response.units_decided);
            for completion in response.completions {
                let token = Token(completion.token);
                if let Some(wire::completion::Data::BodyPart(part)) = completion.data {
                    self.parts.entry(part.number).or_default().push(part.data);
                } else {
                    answers.push((token, self.told(completion)?));
                }
            }
        }
        Ok(answers)
    }

    fn told(&mut self, completion: wire::Completion) -> Result<Completion, String> {
        use wire::completion::Data as Told;
        let (code, reason, detail) = match completion.outcome {
            None => (CompletionCode::Ok, Reason::None, None),
            Some(outcome) => {
                let code = match outcome.code {
                    1 => CompletionCode::Warning,
                    2 => CompletionCode::Failed,
                    code => return Err(format!("there is no completion code {code}")),
                };
                let reason = Reason::from_number(outcome.reason).ok_or("a reason that nobody knows")?;
                (code, reason, Some(outcome.text))
            }
        };
        let data = match completion.data {
            None | Some(Told::Connected(_) | Told::BodyPart(_)) => Data::Nothing,
            Some(Told::Opened(opened)) => {
                let made = ObjectName::new(&opened.queue).map_err(|error| error.to_string())?;
                Data::Opened(Opened {
                    made: Some(made.clone()),
                    resolved: made,
                    defpsist: true,
                    read_ahead: 0,
                    put_response: 1,
                })
            }
            Some(Told::Placed(placed)) => Data::Placed {
                message_id: MessageId::from_slice(&placed.message_id).ok_or("a message id is too long")?,
                in_group: (!placed.group_id.is_empty()).then(|| InGroup {
                    group_id: GroupId::from_slice(&placed.group_id).unwrap_or_default(),
                    sequence_number: placed.message_sequence_number,
                    is_last: placed.message_flags & message_flags::LAST_MSG_IN_GROUP != 0,
                }),
                duplicate: placed.duplicate,
                only_id_known: placed.only_id_known,
            },
            Some(Told::Got(got)) => {
                let told = got.message.ok_or("a get without a message")?;
                let body = match self.parts.remove(&got.body_parts) {
                    Some(parts) => Body::from_parts(parts),
                    None => told.body.into(),
                };
                let descriptor = Descriptor::from_wire(*told.descriptor.unwrap_or_default())
                    .map_err(|wrong| format!("a descriptor that nobody may send: {}", wrong.reason))?;
                let body_crc = told.body_crc32c.unwrap_or_else(|| body.crc32c());
                let message = Box::new(Message { descriptor, body, body_crc });
                Data::Got { message, body_length: got.body_length as usize }
            }
            Some(Told::Unit(unit)) => {
                let state = match unit.state() {
                    wire::unit_status::State::Committed => UnitState::Committed,
                    wire::unit_status::State::BackedOut => UnitState::BackedOut,
                    wire::unit_status::State::Forgotten => UnitState::Forgotten,
                    wire::unit_status::State::Unspecified => return Err("a unit without a state".into()),
                };
                Data::Unit { state, sealed: unit.sealed }
            }
            Some(Told::Queue(queue)) => {
                let definition = Definition::new(ObjectRef::new(ObjectKind::LocalQueue, queue.queue));
                let queue = QueueView {
                    definition: definition.clone(),
                    depth: queue.depth,
                    not_persistent: queue.not_persistent,
                    uncommitted: queue.uncommitted,
                    open_input: queue.open_input,
                    open_output: queue.open_output,
                    oldest_age: Default::default(),
                    activity: Default::default(),
                };
                Data::Inquired(Box::new(ObjectView { definition, queue: Some(queue) }))
            }
            Some(Told::Serving(serving)) => {
                let leader = serving.node.strip_prefix('n').and_then(|number| number.parse().ok());
                Data::NotServing { leader: leader.map(NodeId) }
            }
        };
        Ok(Completion { code, reason, data, detail })
    }
}

fn serving(leader: Option<NodeId>) -> wire::Serving {
    let (node, address) = leader
        .map(|leader| (format!("n{}", leader.0), format!("node-{}:7201", leader.0)))
        .unwrap_or_default();
    wire::Serving { queue_manager: "QM".into(), node, address }
}

fn frame(token: u64, calls: impl IntoIterator<Item = wire::call::Call>) -> wire::SessionRequest {
    let calls = calls.into_iter().map(|call| wire::Call { token, call: Some(call) }).collect();
    wire::SessionRequest { calls }
}

/// None for calls that are no part of a session's stream.
fn asked(token: Token, call: &Call) -> Option<Vec<wire::call::Call>> {
    use wire::call::Call as Wire;
    let one = match call {
        Call::Put(put) => return Some(asked_put(token, put)),
        Call::Get(get) => Wire::Get(asked_get(get)),
        Call::Open { handle, queue, options, dynamic, selector } => Wire::Open(wire::Open {
            handle: handle.0,
            queue: queue.to_string(),
            output: options.output,
            input: options.input,
            exclusive: options.exclusive,
            browse: options.browse,
            inquire: options.inquire,
            dynamic_queue: dynamic.clone(),
            selector: selector.as_ref().map(|selector| selector.text().to_string()).unwrap_or_default(),
        }),
        Call::Close { handle, close } => {
            let delete = match close {
                CloseOption::Keep => wire::close::Delete::Keep,
                CloseOption::Delete => wire::close::Delete::Delete,
                CloseOption::Purge => wire::close::Delete::Purge,
            };
            Wire::Close(wire::Close { handle: handle.0, delete: delete.into() })
        }
        Call::CancelGet { token } => Wire::CancelGet(wire::CancelGet { token: token.0 }),
        Call::Commit { unit, units_decided } => {
            let unit_id = unit.as_ref().map(|unit| unit.0.clone()).unwrap_or_default();
            Wire::Commit(wire::Commit { unit_id, units_decided: *units_decided })
        }
        Call::Backout => Wire::Backout(wire::Backout {}),
        Call::UnitOutcome { unit, units_decided } => {
            Wire::UnitOutcome(wire::UnitOutcome { unit_id: unit.0.clone(), units_decided: *units_decided })
        }
        Call::Inquire { handle } => Wire::Inquire(wire::Inquire { handle: handle.0 }),
        Call::Ping => Wire::Ping(wire::Ping {}),
        Call::OpenManager { .. } | Call::Set { .. } | Call::Admin(_) | Call::Operate(_) => return None,
    };
    Some(vec![one])
}

fn asked_put(token: Token, put: &Put) -> Vec<wire::call::Call> {
    use wire::call::Call as Wire;
    let body = put.message.body.to_bytes();
    let in_parts = body.len() > PART_BYTES;
    let parts = (0..body.len()).step_by(PART_BYTES).filter(|_| in_parts);
    let mut calls: Vec<Wire> = parts
        .map(|from| {
            let data = body.slice(from..body.len().min(from + PART_BYTES));
            Wire::BodyPart(wire::BodyPart { number: token.0, data })
        })
        .collect();
    let producer_sequence = put.producer.as_ref().map(|of| wire::ProducerSequence {
        producer: String::from_utf8_lossy(&of.producer.0).into_owned(),
        sequence: of.sequence,
        repeated: of.repeated,
    });
    let message = message::Message {
        descriptor: Some(Box::new(put.message.descriptor.to_wire())),
        body: if in_parts { Bytes::new() } else { body },
        body_crc32c: Some(put.message.body_crc),
    };
    calls.push(Wire::Put(wire::Put {
        to: Some(match &put.to {
            PutTarget::Handle(handle) => wire::put::To::Handle(handle.0),
            PutTarget::Queue(queue) => wire::put::To::Queue(queue.to_string()),
        }),
        message: Some(message),
        syncpoint: put.syncpoint,
        producer_sequence,
        body_parts: if in_parts { token.0 } else { 0 },
        dead_letter: put.dead_letter,
        logical_order: put.logical_order,
    }));
    calls
}

fn asked_get(get: &Get) -> wire::Get {
    let browse = match get.mode {
        GetMode::Destructive | GetMode::Ahead | GetMode::UnderCursor | GetMode::Unlock => wire::Browse::None,
        GetMode::BrowseFirst => wire::Browse::First,
        GetMode::BrowseNext => wire::Browse::Next,
        GetMode::BrowseUnderCursor => wire::Browse::UnderCursor,
    };
    let id = |id: Option<&[u8; 24]>| id.map(|id| Bytes::copy_from_slice(id)).unwrap_or_default();
    wire::Get {
        handle: get.handle.0,
        syncpoint: get.syncpoint,
        wait_ms: match get.wait {
            Wait::No => 0,
            Wait::For(time) => time.as_millis() as i32,
            Wait::Forever => -1,
        },
        browse: browse as i32,
        under_cursor: get.mode == GetMode::UnderCursor,
        message_id: id(get.selection.message_id.as_ref().map(|id| &id.0)),
        correlation_id: id(get.selection.correlation_id.as_ref().map(|id| &id.0)),
        group_id: id(get.selection.group_id.as_ref().map(|id| &id.0)),
        max_length: get.max_length.unwrap_or(0) as u32,
        accept_truncated: get.accept_truncated,
        lock: get.lock,
        unlock: get.mode == GetMode::Unlock,
        logical_order: get.selection.logical_order,
        all_messages_available: get.selection.whole_groups,
        message_sequence_number: get.selection.sequence_number.unwrap_or(0),
    }
}
