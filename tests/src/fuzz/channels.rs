//! Whole sockets of port 1414: clients that agree, connect and call, and whatever else they say.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use trimaran_node::listener::mq::{Ask, Socket, Terms};
use trimaran_node::mqi::{Call, ChannelTerms, Completion, Data, GetMode, Refusal};
use trimaran_node::types::{Body, Message, MessageId, ObjectName, Reason, WallTime};

use super::Target;
use super::segments;

pub const TARGET: Target =
    Target { name: "channels", about: "sockets of port 1414, with a replica that answers", run, seeds };

/// The first byte says how the replica answers, the others come from the client.
fn run(bytes: &[u8]) {
    let Some((&manner, bytes)) = bytes.split_first() else { return };
    let terms = Arc::new(Terms::new(ObjectName::new("QM1").expect("a name"), "cluster"));
    let mut socket = Socket::new(terms, 7, [0; 12], None);
    let mut received = BytesMut::from(bytes);
    socket.on_bytes(&mut received, WallTime(0));
    for turn in 0..8u8 {
        let asks = socket.take_asks();
        if asks.is_empty() {
            break;
        }
        for (number, (id, ask)) in asks.into_iter().enumerate() {
            match ask {
                Ask::Instance(_) => socket.on_channel(channel(manner)),
                Ask::Connect(_) => socket.on_connected(id, Ok(9), WallTime(0)),
                Ask::Call(token, call) => {
                    let manner = manner.rotate_left(u32::from(turn) + number as u32);
                    socket.on_completion(id, token, answer(call, manner), WallTime(0));
                }
                Ask::Convert(token, conversion) => {
                    socket.on_converted(id, token, conversion.run(), WallTime(0));
                }
                Ask::Translate => socket.translate(id, WallTime(0)),
                Ask::EndWaits(unique) => socket.end_waits(unique, WallTime(0)),
                Ask::Disconnect => {}
            }
        }
        socket.on_bytes(&mut received, WallTime(0));
    }
    socket.heartbeat(WallTime(0));
    socket.take_out();
    socket.take_violation();
}

fn channel(manner: u8) -> Result<ChannelTerms, Refusal> {
    if manner.is_multiple_of(16) {
        return Err(Refusal::because(Reason::UnknownChannelName, "no such channel".to_string()));
    }
    let conversations = u32::from(manner % 3) * 5;
    Ok(ChannelTerms { message_bytes_max: 104_857_600, heartbeat_seconds: 300, conversations, user: None })
}

fn answer(call: Call, manner: u8) -> Completion {
    match (call, manner % 4) {
        (_, 0) => Completion::failed(Reason::NotAuthorized),
        (Call::Get(get), manner) => {
            let body = Body::from(Bytes::from_static(b"hello"));
            match get.max_length {
                Some(most) if most < body.len() && !get.accept_truncated => Completion {
                    data: Data::TooLong { body_length: body.len() },
                    ..Completion::failed(Reason::TruncatedMsgFailed)
                },
                _ if manner == 2 && get.mode == GetMode::Ahead => {
                    Completion { data: Data::NotAhead, ..Completion::failed(Reason::NoMsgAvailable) }
                }
                _ if manner == 1 => Completion::failed(Reason::NoMsgAvailable),
                _ => Completion::ok(Data::Got {
                    body_length: body.len(),
                    message: Box::new(Message { body_crc: body.crc32c(), body, ..Message::default() }),
                }),
            }
        }
        (Call::Put(_), 1) => Completion::warning(
            Reason::BackoutThresholdReached,
            Data::Placed {
                message_id: MessageId::default(),
                in_group: None,
                duplicate: false,
                only_id_known: false,
            },
        ),
        (Call::Put(_), _) => Completion::ok(Data::Placed {
            message_id: MessageId([7; 24]),
            in_group: None,
            duplicate: false,
            only_id_known: false,
        }),
        _ => Completion::done(),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    segments::seeds().into_iter().map(|bytes| [&[2], &bytes[..]].concat()).collect()
}
