//! The tongue of IBM MQ's clients: calls become segments of port 1414, the production socket reads them, and what it writes becomes
//! completions again.
//!
//! The socket is the listener's own (`listener/mq/socket.rs`, a pure machine); `mq/connection.rs` drives it with streams, this file by
//! hand. A client's connection that is ended by its node breaks: what was not answered is not known.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;
use trimaran_node::listener::mq::{Ask, Socket, Terms};
use trimaran_node::mqi::{Call, ChannelTerms, Completion, Data};
use trimaran_node::types::{ObjectName, Reason, Token, WallTime};
use trimaran_proto::mq::Flow;
use trimaran_proto::mq::constants::completion;

use super::client::{CHANNEL, CONVERSATION, Client};
use super::passed::Passed;
use crate::model::tongue::Manner;

/// Tokens of the socket and of calls that pass by it, which have numbers of their own, are told apart by this.
const OF_SOCKET: u64 = 1 << 63;
/// What comes at a time.
const PACKET_BYTES: usize = 1_448;
/// It is said of replies only, and judged by nobody.
const NOW: WallTime = WallTime(0);

#[derive(Debug)]
pub struct Channel {
    socket: Socket,
    /// The socket's name for its only conversation.
    conversation: u32,
    client: Client,
    /// What came and was not read.
    received: BytesMut,
    /// Calls that the client has not sent, because it waits for another one.
    unsent: VecDeque<(Token, Call)>,
    /// Calls of administrators: there are none on a channel, and they pass by it.
    unary: BTreeSet<Token>,
    /// Calls of the socket that the replica has not answered.
    under_way: usize,
}

impl Channel {
    /// Agreed and connected, as the session of this number.
    pub fn new(manner: Manner, terms: ChannelTerms, session: u64) -> Result<Channel, String> {
        let said = terms;
        let terms = Terms::new(ObjectName::new("QM").expect("a valid name"), "cluster");
        let mut channel = Channel {
            socket: Socket::new(Arc::new(terms), session as u32, [0; 12], None),
            conversation: if manner == Manner::Alone { 0 } else { CONVERSATION },
            client: Client::new(manner, session),
            received: BytesMut::new(),
            unsent: VecDeque::new(),
            unary: BTreeSet::new(),
            under_way: 0,
        };
        channel.agree(said)?;
        channel.connect(session)?;
        Ok(channel)
    }

    fn agree(&mut self, terms: ChannelTerms) -> Result<(), String> {
        self.client.offer();
        self.carry();
        match self.socket.take_asks().as_slice() {
            [(_, Ask::Instance(name))] if name == CHANNEL => self.socket.on_channel(Ok(terms)),
            other => return Err(format!("an offer became {other:?}")),
        }
        match self.client.hear_one(self.socket.take_out())? {
            Flow::Initial(_) => Ok(()),
            other => Err(format!("an offer was answered with {other:?}")),
        }
    }

    fn connect(&mut self, session: u64) -> Result<(), String> {
        self.client.connect();
        self.carry();
        match self.socket.take_asks().as_slice() {
            [(id, Ask::Connect(_))] if *id == self.conversation => {
                self.socket.on_connected(*id, Ok(session), NOW)
            }
            other => return Err(format!("a connect became {other:?}")),
        }
        match self.client.hear_one(self.socket.take_out())? {
            Flow::Call(reply) if reply.completion == completion::OK => Ok(()),
            other => Err(format!("a connect was answered with {other:?}")),
        }
    }

    /// This call arrives at the node, if the client has no other one to wait for.
    pub fn arrives(&mut self, token: Token, call: Call) -> Result<Passed, String> {
        if matches!(call, Call::Admin(_) | Call::Operate(_)) {
            self.unary.insert(token);
            return Ok(Passed { calls: vec![(token, call)], ..Passed::default() });
        }
        if let Call::CancelGet { token } = call {
            return self.cancel(token);
        }
        self.unsent.push_back((token, call));
        self.go_on()
    }

    /// The program has waited long enough for a get, also where that was not sent yet.
    fn cancel(&mut self, token: Token) -> Result<Passed, String> {
        let before = self.unsent.len();
        self.unsent.retain(|(of, _)| *of != token);
        if self.unsent.len() < before {
            let answers = vec![(token, Completion::failed(Reason::NoMsgAvailable))];
            return Ok(Passed { answers, ..Passed::default() });
        }
        self.client.cancel(token);
        self.go_on()
    }

    /// The replica answers, and the client may go on.
    pub fn answer(&mut self, token: Token, completion: Completion) -> Result<Passed, String> {
        if token.0 & OF_SOCKET == 0 {
            if !matches!(completion.data, Data::Progress { .. }) && !self.unary.remove(&token) {
                return Err(format!("{token:?} is answered, and was not asked"));
            }
            return Ok(Passed { answers: vec![(token, completion)], ..Passed::default() });
        }
        let token = Token(token.0 & !OF_SOCKET);
        if !matches!(completion.data, Data::Progress { .. }) {
            self.under_way -= 1;
        }
        self.socket.on_completion(self.conversation, token, completion, NOW);
        self.go_on()
    }

    /// The connection breaks.
    pub fn close(&mut self) -> Result<Vec<(Token, Completion)>, String> {
        self.socket.on_session_ended();
        match self.client.hear_one(self.socket.take_out())? {
            Flow::Status(Some(_)) => {}
            other => return Err(format!("the end was said with {other:?}")),
        }
        let unary = std::mem::take(&mut self.unary);
        Ok(unary.into_iter().map(|token| (token, Completion::failed(Reason::CallInterrupted))).collect())
    }

    /// Both ends say what they can.
    fn go_on(&mut self) -> Result<Passed, String> {
        let mut passed = Passed::default();
        loop {
            let answers = self.client.hear(self.socket.take_out())?;
            let is_answered = !answers.is_empty();
            passed.answers.extend(answers);
            let is_sent = self.send_next(&mut passed.answers)?;
            self.carry();
            self.ask(&mut passed.calls)?;
            if let Some(violation) = self.socket.take_violation() {
                return Err(violation);
            }
            if !is_answered && !is_sent && !self.socket.has_out() {
                let is_forgotten = self.under_way == 0 && self.client.waits();
                return match is_forgotten {
                    true => Err(format!("nothing is under way, and nothing is said to {:?}", self.client)),
                    false => Ok(passed),
                };
            }
        }
    }

    /// Whether the client has sent a call that waited.
    fn send_next(&mut self, answers: &mut Vec<(Token, Completion)>) -> Result<bool, String> {
        let Some((token, call)) = self.unsent.pop_front_if(|(_, call)| self.client.may_send(call)) else {
            return Ok(false);
        };
        answers.extend(self.client.send(token, call)?.map(|told| (token, told)));
        Ok(true)
    }

    /// Bytes of the client reach the socket, in packets, and are read as far as there is room.
    fn carry(&mut self) {
        let mut sent = self.client.take_out();
        loop {
            let packet = sent.split_to(sent.len().min(PACKET_BYTES));
            self.received.extend_from_slice(&packet);
            while self.socket.on_bytes(&mut self.received, NOW) && !self.socket.is_full() {}
            if sent.is_empty() {
                return;
            }
        }
    }

    /// What the socket wants of its driver.
    fn ask(&mut self, calls: &mut Vec<(Token, Call)>) -> Result<(), String> {
        for (id, ask) in self.socket.take_asks() {
            match ask {
                Ask::Call(token, call) => {
                    self.under_way += 1;
                    calls.push((of_socket(token), with_tokens(call)));
                }
                Ask::Convert(token, conversion) => {
                    self.socket.on_converted(id, token, conversion.run(), NOW);
                }
                Ask::Translate => self.socket.translate(id, NOW),
                Ask::EndWaits(unique) => self.socket.end_waits(unique, NOW),
                Ask::Instance(_) | Ask::Connect(_) | Ask::Disconnect => {
                    return Err(format!("nobody asked for {ask:?}"));
                }
            }
        }
        Ok(())
    }
}

fn of_socket(token: Token) -> Token {
    Token(token.0 | OF_SOCKET)
}

fn with_tokens(call: Call) -> Call {
    match call {
        Call::CancelGet { token } => Call::CancelGet { token: of_socket(token) },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use trimaran_node::mqi::{Get, GetMode, OpenOptions, Opened, Put, PutTarget, Wait};
    use trimaran_node::types::{
        Body, CorrelationId, Descriptor, GroupId, HandleId, Message, MessageId, Persistence, Selection,
        message_flags,
    };

    use super::*;

    /// Those that ask for one message at a time; the others are below.
    const MANNERS: [Manner; 3] = [Manner::Alone, Manner::Shared, Manner::Requests];
    const HANDLE: HandleId = HandleId(5);

    fn terms() -> ChannelTerms {
        ChannelTerms { message_bytes_max: 104_857_600, heartbeat_seconds: 0, conversations: 10, user: None }
    }

    fn open() -> Call {
        let options = OpenOptions { input: true, output: true, browse: true, ..OpenOptions::default() };
        let queue = ObjectName::new("ORDERS").unwrap();
        Call::Open { handle: HANDLE, queue, options, dynamic: String::new(), selector: None }
    }

    fn message(bytes: usize) -> Message {
        let descriptor = Descriptor {
            priority: Some(3),
            persistence: Persistence::Persistent,
            expiry: Some(70),
            correlation_id: CorrelationId([9; 24]),
            group_id: GroupId([4; 24]),
            sequence_number: 12,
            message_flags: message_flags::MSG_IN_GROUP,
            ..Descriptor::default()
        };
        let body = Body::from(Bytes::from(vec![b'm'; bytes]));
        Message { descriptor, body_crc: body.crc32c(), body }
    }

    fn put(message: Message) -> Call {
        Call::Put(Put {
            to: PutTarget::Handle(HANDLE),
            message: Box::new(message),
            syncpoint: true,
            logical_order: false,
            producer: None,
            dead_letter: false,
            context: Default::default(),
        })
    }

    fn get(selection: Selection) -> Get {
        Get {
            handle: HANDLE,
            syncpoint: true,
            syncpoint_if_persistent: false,
            wait: Wait::For(Duration::from_millis(500)),
            mode: GetMode::Destructive,
            selection,
            max_length: Some(200_000),
            accept_truncated: false,
            extended: false,
            lock: false,
        }
    }

    /// Hands a call over and answers what it becomes.
    fn answered(channel: &mut Channel, call: Call, completion: Completion) -> (Call, Completion) {
        let mut asked = channel.arrives(Token(100), call).unwrap().calls;
        assert_eq!(asked.len(), 1, "one call is one call");
        let (token, asked) = asked.remove(0);
        let mut told = channel.answer(token, completion).unwrap().answers;
        assert_eq!(told.len(), 1, "and has one answer");
        let (token, told) = told.remove(0);
        assert_eq!(token, Token(100));
        (asked, told)
    }

    fn opened(manner: Manner) -> Channel {
        let mut channel = Channel::new(manner, terms(), 0).unwrap();
        let resolved = ObjectName::new("ORDERS").unwrap();
        let told = Opened { made: None, resolved, defpsist: true, read_ahead: 0, put_response: 1 };
        let (asked, told) = answered(&mut channel, open(), Completion::ok(Data::Opened(told)));
        let Call::Open { queue, options, .. } = asked else { panic!("{asked:?}") };
        assert!(queue.as_str() == "ORDERS" && options.input && options.output && options.browse);
        assert!(!options.exclusive && !told.is_failed());
        channel
    }

    #[test]
    fn a_message_is_put_and_got_as_it_was_in_segments_of_a_kilobyte() {
        for manner in MANNERS {
            let mut channel = opened(manner);
            let message_id = MessageId([7; 24]);
            let placed = Data::Placed { message_id, in_group: None, duplicate: false, only_id_known: false };
            let (asked, told) = answered(&mut channel, put(message(100_001)), Completion::ok(placed));
            let Call::Put(asked) = asked else { panic!("{asked:?}") };
            let (said, found) = (message(100_001), *asked.message);
            assert!(asked.syncpoint && found.body.to_bytes() == said.body.to_bytes());
            assert_eq!(found.body_crc, said.body_crc);
            assert_eq!(found.descriptor.group_id, said.descriptor.group_id);
            assert_eq!((found.descriptor.priority, found.descriptor.expiry), (Some(3), Some(70)));
            assert_eq!(found.descriptor.sequence_number, 12);
            assert!(matches!(told.data, Data::Placed { message_id: id, .. } if id == message_id));

            let by_group = Selection { group_id: Some(GroupId([4; 24])), ..Selection::default() };
            let body_length = said.body.len();
            let got = Completion::ok(Data::Got { message: Box::new(said.clone()), body_length });
            let (asked, told) = answered(&mut channel, Call::Get(get(by_group)), got);
            let (Call::Get(asked), Data::Got { message, .. }) = (asked, told.data) else { panic!() };
            assert_eq!((asked.selection, asked.wait, asked.syncpoint), (by_group, get(by_group).wait, true));
            assert_eq!(asked.max_length, Some(200_000));
            assert!(message.body.to_bytes() == said.body.to_bytes());
            assert_eq!(message.descriptor.correlation_id, said.descriptor.correlation_id);
            assert_eq!(message.descriptor.persistence, Persistence::Persistent);
        }
    }

    #[test]
    fn what_is_refused_says_why_and_how_long_a_message_is() {
        for manner in MANNERS {
            let mut channel = opened(manner);
            let asked = || Call::Get(get(Selection::default()));
            let none = Completion::failed(Reason::NoMsgAvailable);
            let (_, told) = answered(&mut channel, asked(), none);
            assert_eq!((told.reason, told.is_failed()), (Reason::NoMsgAvailable, true));
            let long = Completion {
                data: Data::TooLong { body_length: 300_000 },
                ..Completion::failed(Reason::TruncatedMsgFailed)
            };
            let (_, told) = answered(&mut channel, asked(), long);
            assert_eq!((told.reason, told.is_failed()), (Reason::TruncatedMsgFailed, true));
            assert!(matches!(told.data, Data::TooLong { body_length: 300_000 }));
            let commit = Call::Commit { unit: None, units_decided: None };
            let (_, told) = answered(&mut channel, commit, Completion::failed(Reason::BackedOut));
            assert_eq!(told.reason, Reason::BackedOut);
            let named = Call::Commit { unit: None, units_decided: Some(3) };
            assert!(channel.arrives(Token(101), named).unwrap_err().contains("no call of MQ"));
        }
    }

    #[test]
    fn what_needs_a_handle_waits_until_it_is_known() {
        for manner in MANNERS {
            let mut channel = Channel::new(manner, terms(), 1).unwrap();
            let opening = channel.arrives(Token(1), open()).unwrap().calls;
            assert!(channel.arrives(Token(2), put(message(9))).unwrap().calls.is_empty());
            let refused = Completion::failed(Reason::UnknownObjectName);
            let told = channel.answer(opening[0].0, refused).unwrap();
            let told: Vec<_> = told.answers.into_iter().map(|(token, told)| (token, told.reason)).collect();
            assert_eq!(told, [(Token(1), Reason::UnknownObjectName), (Token(2), Reason::HobjError)]);
            // The channel itself answers a ping.
            let told = channel.arrives(Token(3), Call::Ping).unwrap();
            assert!(
                told.calls.is_empty() && matches!(&told.answers[..], [(Token(3), told)] if !told.is_failed())
            );
            assert_eq!(channel.close().unwrap().len(), 0);
        }
    }

    fn got(message: Message) -> Completion {
        let body_length = message.body.len();
        Completion::ok(Data::Got { message: Box::new(message), body_length })
    }

    fn reasons(passed: &Passed) -> Vec<(u64, Reason)> {
        passed.answers.iter().map(|(token, told)| (token.0, told.reason)).collect()
    }

    #[test]
    fn what_was_read_ahead_is_there_before_the_program_asks_for_it() {
        let mut channel = opened(Manner::Ahead);
        let any = || Call::Get(Get { syncpoint: false, max_length: None, ..get(Selection::default()) });
        let first = channel.arrives(Token(1), any()).unwrap().calls.remove(0);
        assert!(matches!(&first.1, Call::Get(get) if get.mode == GetMode::Destructive));
        let passed = channel.answer(first.0, got(message(10))).unwrap();
        assert_eq!(reasons(&passed), [(1, Reason::None)]);
        let ahead = passed.calls;
        assert!(ahead.iter().all(|(_, call)| matches!(call, Call::Get(get) if get.mode == GetMode::Ahead)));
        assert_eq!(channel.answer(ahead[0].0, got(message(11))).unwrap().answers.len(), 0, "nobody asked");
        let short = Call::Get(Get { syncpoint: false, max_length: Some(10), ..get(Selection::default()) });
        assert_eq!(reasons(&channel.arrives(Token(2), short).unwrap()), [(2, Reason::TruncatedMsgFailed)]);
        let told = channel.arrives(Token(3), any()).unwrap();
        assert!(
            told.calls.is_empty() && matches!(&told.answers[..], [(Token(3), told)] if !told.is_failed())
        );
    }

    #[test]
    fn who_is_called_back_is_told_when_the_connection_is_stopped() {
        for is_there in [false, true] {
            let mut channel = opened(Manner::Callbacks);
            let asked = Call::Get(get(Selection::default()));
            let waits = channel.arrives(Token(1), asked).unwrap();
            let [(token, Call::Get(get))] = &waits.calls[..] else { panic!("{waits:?}") };
            assert_eq!(get.wait, Wait::Forever, "what stands for a callback stands");
            let mut told = if is_there {
                channel.answer(*token, got(message(10))).unwrap()
            } else {
                let cancelled = channel.arrives(Token(2), Call::CancelGet { token: Token(1) }).unwrap();
                assert!(cancelled.answers.is_empty(), "a message may be on its way");
                let [(cancel, Call::CancelGet { token: of })] = &cancelled.calls[..] else { panic!() };
                assert_eq!(of, token);
                channel.answer(*cancel, Completion::done()).unwrap();
                channel.answer(*token, Completion::failed(Reason::NoMsgAvailable)).unwrap()
            };
            let (token, told) = told.answers.remove(0);
            assert_eq!((token, told.is_failed()), (Token(1), !is_there));
        }
    }
}
