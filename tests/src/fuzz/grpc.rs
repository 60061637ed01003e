//! Frames of a client's session, as gRPC hands them over.

use std::sync::Arc;

use prost::Message as _;
use trimaran_node::listener::Limits;
use trimaran_node::listener::grpc::conversation::{Conversation, Step};
use trimaran_node::listener::grpc::read_frame;
use trimaran_node::mqi::{Completion, Data};
use trimaran_node::types::{Account, Message, Reason, limits};
use trimaran_proto::message::v1::Message as WireMessage;
use trimaran_proto::queue::v1::{BodyPart, Call, Connect, Get, Open, Put, SessionRequest, call, put};

use super::Target;
use super::pieces::{Pieces, joined};

pub const TARGET: Target =
    Target { name: "grpc", about: "frames of a session: calls, bodies in parts", run, seeds };

/// Pieces: frames. Every call is answered; a message for each second one.
fn run(bytes: &[u8]) {
    let limits = Limits { calls_in_flight_max: 50, session_bytes_max: 4096, ..Limits::default() };
    let mut session = Conversation::new(Arc::new(limits), Arc::default(), Account::new(1 << 30));
    for mut piece in Pieces(bytes) {
        let Ok(frame) = read_frame(&mut piece, limits::CALLS_IN_FLIGHT_MAX) else { continue };
        session.on_frame(frame);
        loop {
            let step = session.step();
            let calls = session.take_calls();
            let moved = !calls.is_empty();
            let answers = calls.into_iter().enumerate().map(|(number, (token, _))| {
                let message = Box::new(Message::default());
                let got = Completion::ok(Data::Got { message, body_length: 0 });
                (token, if number % 2 == 0 { Completion::done() } else { got })
            });
            session.on_completions(answers.collect(), |_| Default::default());
            match step {
                Ok(Step::Read) => break,
                Ok(Step::Pause) => {}
                Ok(Step::Connect { token, queue_manager, .. }) => {
                    session.connected(token, queue_manager, "node".into())
                }
                Ok(Step::Full) => assert!(moved, "a session is full of calls that were not answered"),
                Ok(Step::NoRoom) => session.give_up_room(),
                Ok(Step::Translate) => session.translate(),
                Err(_) => return,
            }
            while let Some(response) = session.take_response() {
                assert!(!response.encode_to_vec().is_empty(), "a response says something");
            }
        }
    }
    session.close(Reason::QMgrQuiescing, false, None);
    while session.take_response().is_some() {}
    assert!(session.is_idle(), "every call is answered");
}

fn seeds() -> Vec<Vec<u8>> {
    let connect = Connect { queue_manager: "QM".into(), application_name: "app".into() };
    let open = Open { handle: 1, queue: "ORDERS".into(), output: true, input: true, ..Open::default() };
    let put = Put {
        to: Some(put::To::Handle(1)),
        message: Some(WireMessage { body: "a body".into(), ..WireMessage::default() }),
        ..Put::default()
    };
    let part = BodyPart { number: 1, data: "a part".into() };
    let parts = Put { to: Some(put::To::Handle(1)), body_parts: 1, ..Put::default() };
    let get = Get { handle: 1, ..Get::default() };
    let calls = [
        call::Call::Connect(connect),
        call::Call::Open(open),
        call::Call::Put(put),
        call::Call::BodyPart(part),
        call::Call::Put(parts),
        call::Call::Get(get),
    ];
    let calls = calls.into_iter().enumerate();
    let calls: Vec<Call> =
        calls.map(|(token, call)| Call { token: token as u64 + 1, call: Some(call) }).collect();
    let all = SessionRequest { calls: calls.clone() };
    let each = calls.into_iter().map(|call| SessionRequest { calls: vec![call] }.encode_to_vec());
    vec![joined([all.encode_to_vec()]), joined(each)]
}
