//! Commands in PCF: what is read is written as it was, and every command ends with one last reply, whatever it is answered.

use trimaran_proto::admin::v1::{Attribute, ObjectDetails, SessionDetails, StatusResponse};
use trimaran_proto::mq::characters::Written;
use trimaran_proto::mqsc::{Reply, Request};
use trimaran_proto::pcf::{Asking, Header, Message, Operator, Parameter, Value, commands, parameter, read};

use super::Target;

pub const TARGET: Target =
    Target { name: "pcf", about: "commands of administrators as messages, and their replies", run, seeds };

const UTF8: i32 = 1208;

/// The first byte says the byte order, and what the queue manager answers.
fn run(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let written = Written { ccsid: UTF8, is_big: first & 1 == 0 };
    let Ok(message) = read(bytes, written) else { return };
    let again = message.write(written);
    assert_eq!(read(&again, written).as_ref(), Ok(&message), "what was read is said again");
    let mut replies = Vec::new();
    match Asking::begin(&message, "QM") {
        Err(refusal) => replies = refusal,
        Ok(mut asking) => {
            while let Some(request) = asking.next_request() {
                asking.on_reply(&reply(&request, *first), false);
                replies.extend(asking.replies());
            }
            replies.extend(asking.replies());
        }
    }
    let last = replies.iter().filter(|reply| reply.header.is_last).count();
    assert!(last == 1 && replies.last().is_some_and(|reply| reply.header.is_last), "{replies:?}");
    for (at, reply) in replies.iter().enumerate() {
        assert_eq!(reply.header.sequence as usize, at + 1);
        let read = read(&reply.write(written), written);
        assert!(read.is_ok(), "{read:?}");
    }
}

fn reply(request: &Request, first: u8) -> Reply {
    if first & 2 != 0 {
        return Reply::Refused { reason: 2085, text: "There is none.".into() };
    }
    match request {
        Request::Display(display) => {
            let kind = if display.kind == "QUEUE" { "QLOCAL".to_string() } else { display.kind.clone() };
            let name = display.name.trim_end_matches('*').to_string();
            let attributes = vec![Attribute { name: "DESCR".into(), value: "any".into() }];
            let object = ObjectDetails { kind, name, attributes, ..ObjectDetails::default() };
            Reply::Objects(if first & 4 == 0 { vec![object] } else { Vec::new() })
        }
        Request::Sessions { .. } => {
            Reply::Sessions(vec![SessionDetails { id: 7, ..SessionDetails::default() }])
        }
        Request::Status => Reply::Status(StatusResponse::default()),
        _ => Reply::Done,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let text = |id, text: &str| Parameter::text(id, text);
    let all = [
        (commands::PING_Q_MGR, vec![]),
        (
            commands::INQUIRE_Q_MGR,
            vec![Parameter { id: parameter::Q_MGR_ATTRS, value: Value::Numbers(vec![32]) }],
        ),
        (
            commands::INQUIRE_Q,
            vec![
                text(parameter::Q_NAME, "*"),
                Parameter { id: 15, value: Value::NumberFilter(Operator::Greater, 7) },
                Parameter { id: 2013, value: Value::TextFilter(Operator::Like, "a*".into()) },
            ],
        ),
        (
            commands::CREATE_Q,
            vec![text(parameter::Q_NAME, "Q"), Parameter::number(parameter::Q_TYPE, 1), text(2013, "any")],
        ),
        (commands::DELETE_Q, vec![text(parameter::Q_NAME, "Q")]),
        (commands::INQUIRE_Q_NAMES, vec![text(parameter::Q_NAME, "*")]),
        (commands::INQUIRE_Q_STATUS, vec![text(parameter::Q_NAME, "Q"), Parameter::number(1103, 1104)]),
        (
            commands::STOP_CHANNEL,
            vec![text(parameter::CHANNEL_NAME, "C"), Parameter::number(parameter::MODE, 1)],
        ),
        (
            commands::INQUIRE_CONNECTION,
            vec![Parameter { id: parameter::GENERIC_CONNECTION_ID, value: Value::Bytes(vec![1; 24]) }],
        ),
        (
            commands::SET_CHLAUTH_REC,
            vec![
                text(parameter::CHANNEL_NAME, "C*"),
                Parameter::number(parameter::CHLAUTH_TYPE, 1),
                Parameter { id: 3568, value: Value::Texts(vec!["joe".into(), "ann".into()]) },
            ],
        ),
        (
            commands::SET_AUTH_REC,
            vec![
                text(parameter::AUTH_PROFILE_NAME, "Q*"),
                Parameter::number(parameter::OBJECT_TYPE, 1),
                Parameter { id: parameter::GROUP_ENTITY_NAMES, value: Value::Texts(vec!["staff".into()]) },
                Parameter { id: parameter::AUTH_ADD_AUTHS, value: Value::Numbers(vec![-2, 11]) },
            ],
        ),
        (
            commands::INQUIRE_AUTH_RECS,
            vec![
                Parameter::number(parameter::AUTH_OPTIONS, 33),
                text(parameter::AUTH_PROFILE_NAME, "Q.*.**"),
                text(parameter::ENTITY_NAME, "joe"),
                Parameter::number(parameter::ENTITY_TYPE, 1),
            ],
        ),
        (
            commands::REFRESH_Q_MGR,
            vec![Parameter::number(parameter::REFRESH_TYPE, 1), text(parameter::OBJECT_NAME, "Q*")],
        ),
        (
            commands::ESCAPE,
            vec![
                Parameter::number(parameter::ESCAPE_TYPE, 1),
                text(parameter::ESCAPE_TEXT, "DISPLAY QMSTATUS ALL"),
            ],
        ),
        (
            commands::START_CHANNEL,
            vec![Parameter { id: 1, value: Value::Group(vec![Parameter { id: 2, value: Value::Long(3) }]) }],
        ),
    ];
    let written = |at: usize, (command, parameters): (i32, Vec<Parameter>)| {
        let message = Message { header: Header::command(command), parameters };
        let first = at as u8 % 8;
        let bytes = message.write(Written { ccsid: UTF8, is_big: first & 1 == 0 });
        [&[first][..], &bytes].concat()
    };
    all.into_iter().enumerate().map(|(at, one)| written(at, one)).collect()
}
