//! PCF as bytes, and commands as conversations with a queue manager that is written down here.

use super::attributes::{parameters, said, text_of};
use super::*;
use crate::admin::v1::{Attribute, HandleDetails, ObjectDetails, SessionDetails};
use crate::attribute::{Initial, Kind, State};
use crate::mq::characters::Written;
use crate::mqsc::{self, Command, Display, Reply, Request, Subject, Wanted};

const BIG: Written = Written { ccsid: 1208, is_big: true };
const LITTLE: Written = Written { ccsid: 819, is_big: false };

/// One parameter of each structure.
fn one_of_each() -> Message {
    let values = [
        Value::Number(-7),
        Value::Numbers(vec![1, 2, 3]),
        Value::Long(1 << 40),
        Value::Longs(vec![-1, 1 << 33]),
        Value::Text("ORDERS".into()),
        Value::Text(String::new()),
        Value::Texts(vec!["A".into(), "LONGER".into()]),
        Value::Texts(Vec::new()),
        Value::Bytes(vec![1, 2, 3, 4, 5]),
        Value::NumberFilter(Operator::NotLess, 9),
        Value::TextFilter(Operator::Like, "ORD*".into()),
        Value::BytesFilter(Operator::Equal, vec![7]),
        Value::Group(vec![Parameter::number(1, 2), Parameter { id: 3, value: Value::Group(Vec::new()) }]),
    ];
    let parameters = values.into_iter().enumerate().map(|(id, value)| Parameter { id: id as i32, value });
    Message { header: Header::command(commands::INQUIRE_Q), parameters: parameters.collect() }
}

#[test]
fn every_structure_comes_back_in_both_orders_and_in_every_character_set() {
    for ccsid in [1208, 819, 1200, 13488, 437, 850] {
        for is_big in [true, false] {
            let written = Written { ccsid, is_big };
            let bytes = one_of_each().write(written);
            assert_eq!(bytes.len() % 4, 0);
            let mut again = read(&bytes, written).expect("what was written is read");
            again.parameters = again.parameters.iter().map(Parameter::trimmed).collect();
            assert_eq!(again, one_of_each(), "{ccsid} {is_big}");
        }
    }
    assert!(can_write(1208) && !can_write(500));
}

#[test]
fn an_inquiry_is_written_as_mq_has_it() {
    let parameters = vec![Parameter::text(2016, "Q1"), Parameter::number(20, 1)];
    let message = Message { header: Header::command(commands::INQUIRE_Q), parameters };
    let words = |bytes: &[u8]| -> Vec<u32> {
        bytes.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).collect()
    };
    let text = u32::from_be_bytes(*b"Q1\0\0");
    assert_eq!(
        words(&message.write(BIG)),
        [1, 36, 1, 13, 1, 1, 0, 0, 2, 4, 24, 2016, 1208, 2, text, 3, 16, 20, 1]
    );
}

#[test]
fn a_message_that_ends_anywhere_is_refused() {
    for written in [BIG, LITTLE] {
        let bytes = one_of_each().write(written);
        for length in 0..bytes.len() {
            let fault = read(&bytes[..length], written).expect_err("a part is no whole");
            assert_eq!(fault.reason, reason::MSG_LENGTH_ERROR, "{length}: {fault}");
        }
        let longer = [&bytes[..], &[0; 4]].concat();
        assert_eq!(read(&longer, written).unwrap_err().reason, reason::MSG_LENGTH_ERROR);
    }
}

/// A command with one parameter, of which a word is another one. Words 0 to 8 are the header's.
fn with_word(value: Value, at: usize, word: i32) -> Result<Message, Fault> {
    let message = Message { header: Header::command(1), parameters: vec![Parameter { id: 5, value }] };
    let mut bytes = message.write(BIG);
    bytes[at * 4..at * 4 + 4].copy_from_slice(&word.to_be_bytes());
    read(&bytes, BIG)
}

#[test]
fn what_a_structure_claims_is_compared_with_what_is_there() {
    let text = || Value::Text("ABCD".into());
    let texts = || Value::Texts(vec!["AB".into(), "CD".into()]);
    let filter = || Value::TextFilter(Operator::Like, "ABCD".into());
    let rows = [
        (text(), 1, 32, reason::CFH_LENGTH_ERROR),
        (text(), 2, 4, reason::CFH_VERSION_ERROR),
        (text(), 5, 2, reason::CFH_CONTROL_ERROR),
        (text(), 8, -1, reason::CFH_PARM_COUNT_ERROR),
        (text(), 8, i32::MAX, reason::MSG_LENGTH_ERROR),
        (text(), 9, 99, reason::STRUCTURE_TYPE_ERROR),
        (text(), 10, 0, reason::CFST_LENGTH_ERROR),
        (text(), 10, i32::MIN, reason::CFST_LENGTH_ERROR),
        (text(), 10, 23, reason::CFST_LENGTH_ERROR),
        (text(), 10, i32::MAX - 3, reason::MSG_LENGTH_ERROR),
        (text(), 12, 500, reason::CCSID_ERROR),
        (text(), 13, 5, reason::CFST_STRING_LENGTH_ERR),
        (text(), 13, 0, reason::CFST_STRING_LENGTH_ERR),
        (text(), 13, -1, reason::CFST_STRING_LENGTH_ERR),
        (Value::Number(1), 10, 20, reason::CFIN_LENGTH_ERROR),
        (Value::Numbers(vec![1, 2]), 12, i32::MAX, reason::CFIL_COUNT_ERROR),
        (Value::Numbers(vec![1, 2]), 12, 1, reason::CFIL_COUNT_ERROR),
        (Value::Longs(vec![1]), 12, 2, reason::CFIL_COUNT_ERROR),
        (texts(), 13, i32::MAX, reason::CFSL_TOTAL_LENGTH_ERROR),
        (texts(), 13, -1, reason::CFSL_COUNT_ERROR),
        (texts(), 14, i32::MAX, reason::CFSL_TOTAL_LENGTH_ERROR),
        (Value::Bytes(vec![1; 4]), 12, 5, reason::CFBS_STRING_LENGTH_ERR),
        (Value::NumberFilter(Operator::Less, 1), 12, 99, reason::CFIF_OPERATOR_ERROR),
        (filter(), 12, 99, reason::CFSF_OPERATOR_ERROR),
        (filter(), 14, 5, reason::CFSF_FILTER_VAL_LEN_ERR),
        (Value::BytesFilter(Operator::Less, vec![1; 4]), 13, 5, reason::CFBF_FILTER_VAL_LEN_ERR),
        (Value::Group(Vec::new()), 12, -1, reason::CFGR_PARM_COUNT_ERROR),
        (Value::Group(Vec::new()), 12, 1, reason::MSG_LENGTH_ERROR),
    ];
    for (value, at, word, expected) in rows {
        let fault = with_word(value.clone(), at, word).expect_err("it is refused");
        assert_eq!(fault.reason, expected, "{value:?} {at} {word}: {fault}");
    }
    let deep =
        (0..9).fold(Value::Number(1), |inner, _| Value::Group(vec![Parameter { id: 1, value: inner }]));
    assert_eq!(with_word(deep, 0, 1).unwrap_err().reason, reason::CFGR_PARM_COUNT_ERROR);
}

fn object(kind: Kind, name: &str, attributes: &[(&str, &str)]) -> ObjectDetails {
    let said =
        attributes.iter().map(|(name, value)| Attribute { name: name.to_string(), value: value.to_string() });
    ObjectDetails {
        kind: kind.facts().name.into(),
        name: name.into(),
        attributes: said.collect(),
        ..ObjectDetails::default()
    }
}

/// The table says it all: whatever can be set is told, and what is told sets the same.
#[test]
fn every_attribute_is_told_as_it_is_set() {
    for kind in Kind::ALL.iter().map(|facts| facts.kind).filter(|kind| !kind.is_record()) {
        for attribute in kind.attributes().filter(|attribute| attribute.state != State::Live) {
            let value = match (attribute.default, attribute.form) {
                (Initial::Needed, crate::attribute::Form::Word(words)) => words[0].0.to_string(),
                _ => attribute.text(&attribute.default_value()),
            };
            let object = object(kind, "X", &[(attribute.name, &value)]);
            let subject = Subject::Object(kind);
            let display = Display { subject, name: String::new(), wanted: Wanted::All, filters: Vec::new() };
            let Some(facts) = mqsc::found(&display, std::slice::from_ref(&object), "QM").next() else {
                panic!("{} is found", attribute.name)
            };
            let told = parameters(&facts, Some(&[attribute.selector as i32]));
            let Some(one) = told.iter().find(|parameter| parameter.id == attribute.selector as i32) else {
                // It has no meaning for an object of this type.
                assert_eq!(kind, Kind::AuthInfo, "{} is not told", attribute.name);
                continue;
            };
            let bytes = Message { header: Header::command(1), parameters: vec![one.clone()] }.write(LITTLE);
            let again = read(&bytes, LITTLE).expect("what was written is read").parameters.remove(0);
            let text =
                text_of(attribute, &again.value).unwrap_or_else(|| panic!("{}: {again:?}", attribute.name));
            assert_eq!(text.trim_end(), value, "{} {}", kind.facts().name, attribute.name);
            assert_eq!(said(kind, &again).map(|(name, _)| name), Ok(attribute.name));
        }
    }
}

fn command(command: i32, parameters: Vec<Parameter>) -> Message {
    Message { header: Header::command(command), parameters }
}

fn begin(number: i32, parameters: Vec<Parameter>) -> Asking {
    let asking = Asking::begin(&command(number, parameters), "QM");
    asking.unwrap_or_else(|replies| panic!("{replies:?}"))
}

/// Reasons of the replies to what is refused at once, and the parameter that the first one names.
fn refused(number: i32, parameters: Vec<Parameter>) -> (Vec<i32>, Option<i32>) {
    let replies = Asking::begin(&command(number, parameters), "QM").expect_err("it is refused");
    reasons(&replies)
}

fn reasons(replies: &[Message]) -> (Vec<i32>, Option<i32>) {
    let named = replies[0].parameters.first().map(|parameter| {
        assert_eq!(parameter.id, parameter::PARAMETER_ID);
        let Value::Number(id) = parameter.value else { panic!("{parameter:?}") };
        id
    });
    for (at, reply) in replies.iter().enumerate() {
        assert_eq!(reply.header.sequence, at as i32 + 1);
        assert_eq!(reply.header.is_last, at == replies.len() - 1);
        assert_eq!(
            (reply.header.kind, reply.header.completion != 0),
            (kind::RESPONSE, reply.header.reason != 0)
        );
    }
    (replies.iter().map(|reply| reply.header.reason).collect(), named)
}

fn text(id: i32, text: &str) -> Parameter {
    Parameter::text(id, text)
}

fn number(id: i32, number: i32) -> Parameter {
    Parameter::number(id, number)
}

#[test]
fn what_is_no_command_is_refused_with_the_reason_of_the_manual_and_3008() {
    let queue = || text(parameter::Q_NAME, "Q");
    let local = || number(parameter::Q_TYPE, 1);
    let rows = [
        (999, vec![], 3007, None),
        (commands::PING_Q_MGR, vec![local()], 3014, Some(20)),
        (commands::INQUIRE_CONNECTION, vec![text(3501, "X")], 3015, Some(3501)),
        (commands::INQUIRE_Q, vec![], 3228, Some(2016)),
        (commands::INQUIRE_Q, vec![number(2016, 1)], 3014, Some(2016)),
        (commands::INQUIRE_Q, vec![queue(), queue()], 3018, Some(2016)),
        (commands::INQUIRE_Q, vec![queue(), local(), local()], 3017, Some(20)),
        (commands::INQUIRE_Q, vec![queue(), number(20, 99)], 3022, Some(20)),
        (commands::CREATE_Q, vec![queue()], 3228, Some(20)),
        (commands::CREATE_Q, vec![queue(), local(), number(9999, 1)], 3014, Some(9999)),
        (commands::CREATE_Q, vec![queue(), local(), number(15, -7)], 4005, Some(15)),
        (commands::CREATE_Q, vec![queue(), local(), number(23, 2)], 4005, Some(23)),
        (commands::CREATE_Q, vec![queue(), local(), text(15, "7")], 3015, Some(15)),
        (commands::CREATE_Q, vec![queue(), local(), number(1006, 2)], 3229, Some(1006)),
        (commands::CREATE_CHANNEL, vec![text(3501, "C")], 3228, Some(1511)),
        (commands::CREATE_CHANNEL, vec![text(3501, "C"), number(1511, 1)], 3034, Some(1511)),
        (commands::INQUIRE_CHANNEL_STATUS, vec![text(3501, "C"), number(1523, 1012)], 3064, Some(1523)),
        (commands::STOP_CHANNEL, vec![text(3501, "C"), number(1008, 9)], 3229, Some(1008)),
        (
            commands::INQUIRE_CONNECTION,
            vec![Parameter { id: 7006, value: Value::Bytes(vec![1]) }],
            3174,
            Some(7006),
        ),
        (commands::ESCAPE, vec![number(1017, 2), text(3014, "X")], 3054, Some(1017)),
        (commands::REFRESH_SECURITY, vec![number(1106, 2)], 2298, Some(1106)),
    ];
    for (number, parameters, reason, named) in rows {
        let said = format!("{number} {parameters:?}");
        assert_eq!(refused(number, parameters), (vec![reason, 3008], named), "{said}");
    }
    let mut header = Header::command(commands::PING_Q_MGR);
    header.kind = kind::RESPONSE;
    let answered = |header: Header| {
        let replies = Asking::begin(&Message { header, parameters: Vec::new() }, "QM").expect_err("refused");
        reasons(&replies).0
    };
    assert_eq!(answered(header), [3001, 3008]);
    assert_eq!(answered(Header { sequence: 2, ..Header::command(40) }), [3004, 3008]);
    assert_eq!(answered(Header { is_last: false, ..Header::command(40) }), [3005, 3008]);
}

#[test]
fn a_queue_is_created_with_what_mqsc_would_say() {
    let parameters = vec![
        text(parameter::Q_NAME, "ORDERS"),
        number(parameter::Q_TYPE, 1),
        text(2013, "of the day"),
        number(15, 10),
        number(23, 0),
        number(5, 1),
        number(parameter::REPLACE, 1),
    ];
    let mut asking = begin(commands::CREATE_Q, parameters);
    let Some(Request::Define(define)) = asking.next_request() else { panic!("it is defined") };
    assert_eq!((&define.kind[..], &define.name[..], define.replace), ("QLOCAL", "ORDERS", true));
    let said: Vec<(&str, &str)> =
        define.attributes.iter().map(|said| (said.name.as_str(), said.value.as_str())).collect();
    assert_eq!(said, [("DESCR", "of the day"), ("MAXDEPTH", "10"), ("SHARE", "NO"), ("DEFPSIST", "YES")]);
    asking.on_reply(&Reply::Done, false);
    assert!(asking.next_request().is_none());
    let replies = asking.replies();
    assert_eq!(reasons(&replies), (vec![0], None));
    assert!(replies[0].parameters.is_empty() && asking.replies().is_empty());
}

#[test]
fn what_the_queue_manager_refuses_has_the_reason_that_pcf_has_for_it() {
    let refused = |number: i32, name: i32, extra: Vec<Parameter>, reason: u32| {
        let mut asking = begin(number, [vec![text(name, "X")], extra].concat());
        asking.next_request().expect("it asks");
        asking.on_reply(&Reply::Refused { reason, text: String::new() }, false);
        reasons(&asking.replies()).0
    };
    let local = || vec![number(parameter::Q_TYPE, 1)];
    let server = || vec![number(parameter::CHANNEL_TYPE, 7)];
    assert_eq!(refused(commands::CREATE_Q, 2016, local(), 2100), [4001, 3008]);
    assert_eq!(refused(commands::CREATE_CHANNEL, 3501, server(), 2100), [4042, 3008]);
    assert_eq!(refused(commands::DELETE_CHANNEL, 3501, vec![], 2085), [4032, 3008]);
    assert_eq!(refused(commands::DELETE_Q, 2016, local(), 2055), [2055, 3008]);
    assert_eq!(refused(commands::DELETE_Q, 2016, local(), 2085), [2085, 3008]);
    let ignores = [local(), vec![number(parameter::IGNORE_STATE, 1)]].concat();
    assert_eq!(refused(commands::DELETE_Q, 2016, ignores, 2085), [0]);
}

#[test]
fn an_inquiry_tells_page_by_page_and_says_which_is_the_last() {
    let wanted = Parameter { id: parameter::Q_ATTRS, value: Value::Numbers(vec![15]) };
    let mut asking = begin(commands::INQUIRE_Q, vec![text(parameter::Q_NAME, "Q*"), wanted]);
    let Some(Request::Display(display)) = asking.next_request() else { panic!("it is displayed") };
    assert_eq!((&display.kind[..], &display.name[..]), ("QUEUE", "Q*"));
    assert!(asking.takes_pages());
    let local = |name: &str| object(Kind::LocalQueue, name, &[("MAXDEPTH", "7"), ("DESCR", "x")]);
    asking.on_reply(&Reply::Objects(vec![local("Q1"), local("Q2")]), true);
    let mut replies = asking.replies();
    assert_eq!(replies.len(), 1, "whether the second is the last is not known yet");
    asking.on_reply(&Reply::Objects(vec![object(Kind::AliasQueue, "Q3", &[])]), false);
    replies.extend(asking.replies());
    assert_eq!(reasons_of_parts(&replies), [(1, false), (2, false), (3, true)]);
    assert_eq!(replies[0].parameters.len(), 3);
    assert_eq!(replies[0].parameters[0], text(2016, &format!("{:48}", "Q1")));
    assert_eq!(replies[0].parameters[1..], [number(20, 1), number(15, 7)]);
    assert_eq!(replies[2].parameters[1], number(20, 3));
}

fn reasons_of_parts(replies: &[Message]) -> Vec<(i32, bool)> {
    replies.iter().map(|reply| (reply.header.sequence, reply.header.is_last)).collect()
}

#[test]
fn nothing_found_is_a_reason_of_its_own() {
    let rows = [
        (commands::INQUIRE_Q, text(2016, "Q*"), Reply::Objects(Vec::new()), 2085),
        (commands::INQUIRE_Q_NAMES, text(2016, "Q*"), Reply::Objects(Vec::new()), 2085),
        (commands::INQUIRE_CHANNEL, text(3501, "Q*"), Reply::Objects(Vec::new()), 4032),
        (commands::INQUIRE_CHANNEL_STATUS, text(3501, "Q*"), Reply::Sessions(Vec::new()), 3065),
        (commands::INQUIRE_LISTENER_STATUS, text(3554, "Q*"), Reply::Status(Default::default()), 3250),
    ];
    for (number, name, reply, reason) in rows {
        let mut asking = begin(number, vec![name]);
        asking.next_request().expect("it asks");
        asking.on_reply(&reply, false);
        assert_eq!(reasons(&asking.replies()).0, [reason, 3008], "{number}");
    }
}

#[test]
fn filters_are_those_of_mqsc() {
    let with = |value: Value, id: i32| {
        let mut asking = begin(commands::INQUIRE_Q, vec![text(2016, "*"), Parameter { id, value }]);
        asking.next_request().expect("it asks");
        let deep =
            object(Kind::LocalQueue, "DEEP", &[("MAXDEPTH", "70"), ("DESCR", "mine"), ("PUT", "DISABLED")]);
        let flat =
            object(Kind::LocalQueue, "FLAT", &[("MAXDEPTH", "9"), ("DESCR", "theirs"), ("PUT", "ENABLED")]);
        asking.on_reply(&Reply::Objects(vec![deep, flat]), false);
        asking.replies().iter().map(|reply| reply.parameters[0].value.clone()).collect::<Vec<_>>()
    };
    let named = |name: &str| vec![Value::Text(format!("{name:48}"))];
    assert_eq!(with(Value::NumberFilter(Operator::Greater, 9), 15), named("DEEP"));
    assert_eq!(with(Value::NumberFilter(Operator::NotGreater, 9), 15), named("FLAT"));
    assert_eq!(with(Value::TextFilter(Operator::Like, "mi*".into()), 2013), named("DEEP"));
    assert_eq!(with(Value::NumberFilter(Operator::Equal, 1), 10), named("DEEP"));
    let wrong = Parameter { id: 9999, value: Value::NumberFilter(Operator::Equal, 1) };
    assert_eq!(refused(commands::INQUIRE_Q, vec![text(2016, "*"), wrong]), (vec![3243, 3008], Some(9999)));
}

#[test]
fn names_are_told_in_one_message_with_their_types() {
    let mut asking = begin(commands::INQUIRE_Q_NAMES, vec![text(2016, "*")]);
    asking.next_request().expect("it asks");
    asking.on_reply(&Reply::Objects(vec![object(Kind::LocalQueue, "A", &[])]), true);
    assert!(asking.replies().is_empty());
    asking.on_reply(&Reply::Objects(vec![object(Kind::RemoteQueue, "B", &[])]), false);
    let replies = asking.replies();
    let names = ["A", "B"].map(|name| format!("{name:48}")).to_vec();
    let expected = [
        Parameter { id: parameter::Q_NAMES, value: Value::Texts(names) },
        Parameter { id: parameter::Q_TYPES, value: Value::Numbers(vec![1, 6]) },
    ];
    assert_eq!((replies.len(), &replies[0].parameters[..]), (1, &expected[..]));
}

#[test]
fn a_queue_whose_type_is_not_said_is_looked_up() {
    let mut asking = begin(commands::DELETE_Q, vec![text(2016, "A"), number(parameter::PURGE, 1)]);
    let Some(Request::Display(display)) = asking.next_request() else { panic!("it is looked up") };
    assert_eq!((&display.kind[..], &display.name[..]), ("QUEUE", "A"));
    asking.on_reply(&Reply::Objects(vec![object(Kind::AliasQueue, "A", &[])]), false);
    let Some(Request::Delete(delete)) = asking.next_request() else { panic!("it is deleted") };
    assert_eq!((&delete.kind[..], &delete.name[..], delete.purge), ("QALIAS", "A", false));
    asking.on_reply(&Reply::Done, false);
    assert_eq!(reasons(&asking.replies()).0, [0]);

    let mut asking = begin(commands::CHANGE_Q, vec![text(2016, "A"), number(15, 7)]);
    asking.next_request().expect("it is looked up");
    asking.on_reply(&Reply::Objects(Vec::new()), false);
    assert!(asking.next_request().is_none());
    assert_eq!(reasons(&asking.replies()).0, [2085, 3008]);
}

#[test]
fn handles_and_connections_are_told_with_mq_s_numbers() {
    let handle =
        HandleDetails { queue: "Q".into(), input: true, browse: true, waits: true, ..Default::default() };
    let program = SessionDetails {
        id: 0x1F,
        user: "joe".into(),
        application: "orders".into(),
        address: "10.0.0.9:4711".into(),
        channel: "APP".into(),
        handles: vec![handle],
        ..SessionDetails::default()
    };
    let sessions = Reply::Sessions(vec![program]);
    let of_type = number(parameter::Q_STATUS_TYPE, parameter::Q_HANDLE);
    let mut asking = begin(commands::INQUIRE_Q_STATUS, vec![text(2016, "Q"), of_type]);
    asking.next_request().expect("whether there is such a queue");
    assert!(!asking.takes_pages());
    asking.on_reply(&Reply::Objects(vec![object(Kind::LocalQueue, "Q", &[])]), false);
    asking.next_request().expect("who has it open");
    asking.on_reply(&sessions, false);
    let told = asking.replies().remove(0).parameters;
    for expected in [number(1103, 1104), number(1098, 1), number(1102, 1), number(1099, 0), number(1028, 1)] {
        assert!(told.contains(&expected), "{expected:?} is not in {told:?}");
    }

    let all = Parameter { id: parameter::GENERIC_CONNECTION_ID, value: Value::Bytes(vec![0; 24]) };
    let mut asking = begin(commands::INQUIRE_CONNECTION, vec![all]);
    asking.next_request().expect("who is connected");
    asking.on_reply(&sessions, false);
    let told = asking.replies().remove(0).parameters;
    let id = [&b"AMQCQM          "[..], &[0, 0, 0, 0, 0, 0, 0, 0x1F]].concat();
    let own = Parameter { id: parameter::CONNECTION_ID, value: Value::Bytes(id) };
    assert_eq!(told[0], own);
    assert!(told.contains(&text(3506, &format!("{:264}", "10.0.0.9"))), "{told:?}");
    let mut asking = begin(commands::INQUIRE_CONNECTION, vec![own.clone()]);
    asking.next_request().expect("who is connected");
    asking.on_reply(&sessions, false);
    assert_eq!(asking.replies().remove(0).parameters[0], own);
}

#[test]
fn mqsc_in_an_escape_is_answered_with_its_text() {
    let escape = |text: &str| vec![number(1017, 1), Parameter::text(parameter::ESCAPE_TEXT, text)];
    let texts = |replies: &[Message]| -> Vec<(i32, String)> {
        replies
            .iter()
            .map(|reply| {
                let Value::Text(text) = &reply.parameters[1].value else { panic!("{reply:?}") };
                (reply.header.reason, text.clone())
            })
            .collect()
    };
    let mut asking = begin(commands::ESCAPE, escape("DEFINE QLOCAL(Q)"));
    assert!(matches!(asking.next_request(), Some(Request::Define(_))));
    asking.on_reply(&Reply::Done, false);
    assert_eq!(texts(&asking.replies()), [(0, "AMQ8006I: IBM MQ queue created.".to_string())]);

    let mut asking = begin(commands::ESCAPE, escape("DISPLAY QLOCAL(*) MAXDEPTH"));
    asking.next_request().expect("it asks");
    let local = |name: &str| object(Kind::LocalQueue, name, &[("MAXDEPTH", "7")]);
    asking.on_reply(&Reply::Objects(vec![local("A")]), true);
    asking.on_reply(&Reply::Objects(vec![local("B")]), true);
    asking.on_reply(&Reply::Objects(Vec::new()), false);
    let replies = asking.replies();
    assert_eq!(reasons_of_parts(&replies), [(1, false), (2, true)]);
    assert!(texts(&replies)[1].1.starts_with("AMQ8409I: Display Queue details.\n   QUEUE(B)"));

    let mut asking = begin(commands::ESCAPE, escape("DISPLAY QLOCAL(A)"));
    asking.next_request().expect("it asks");
    asking.on_reply(&Reply::Objects(Vec::new()), false);
    assert_eq!(texts(&asking.replies()), [(3008, "AMQ8147E: IBM MQ object A not found.".to_string())]);

    let mut asking = begin(commands::ESCAPE, escape("DEFINE QLOCAL("));
    assert!(asking.next_request().is_none());
    let replies = texts(&asking.replies());
    assert!(replies[0].0 == 3008 && replies[0].1.starts_with("AMQ8405I"), "{replies:?}");
}

/// A listener that runs is not started once more.
#[test]
fn what_is_so_already_is_said() {
    use crate::admin::v1::{ListenerStatus, QueueManagerStatus, StatusResponse};
    let listener = ListenerStatus { name: "L".into(), state: "running".into(), ..ListenerStatus::default() };
    let manager =
        QueueManagerStatus { name: "QM".into(), listeners: vec![listener], ..QueueManagerStatus::default() };
    let status = Reply::Status(StatusResponse { queue_managers: vec![manager], ..StatusResponse::default() });
    let mut asking = begin(commands::START_CHANNEL_LISTENER, vec![text(3554, "L")]);
    assert_eq!(asking.next_request(), Some(Request::Status));
    asking.on_reply(&status, false);
    assert!(asking.next_request().is_none());
    assert_eq!(reasons(&asking.replies()).0, [3249, 3008]);
    let mut asking = begin(commands::STOP_CHANNEL_LISTENER, vec![text(3554, "L")]);
    asking.next_request().expect("it looks");
    asking.on_reply(&status, false);
    assert!(matches!(asking.next_request(), Some(Request::Alter(_))));
    asking.on_reply(&Reply::Done, false);
    assert_eq!(reasons(&asking.replies()).0, [0]);
}

#[test]
fn every_command_of_the_table_is_one_of_mqsc() {
    let told = |command: &Command| !matches!(command, Command::NotHere(_) | Command::Help(_) | Command::End);
    for number in [commands::PING_Q_MGR, commands::INQUIRE_Q_MGR, commands::INQUIRE_Q_MGR_STATUS] {
        let asked = super::command::asked(&command(number, Vec::new())).expect("it has no parameters");
        assert!(matches!(&asked.does, super::command::Does::This(command) if told(command)));
    }
}

fn numbers(id: i32, numbers: &[i32]) -> Parameter {
    Parameter { id, value: Value::Numbers(numbers.to_vec()) }
}

fn texts(id: i32, texts: &[&str]) -> Parameter {
    Parameter { id, value: Value::Texts(texts.iter().map(|text| text.to_string()).collect()) }
}

#[test]
fn a_record_of_channel_authentication_is_set_as_mqsc_would_set_it() {
    let parameters = vec![
        text(parameter::CHANNEL_NAME, "APP.*"),
        number(parameter::CHLAUTH_TYPE, 1),
        number(parameter::ACTION, 6),
        texts(3568, &["joe", "ann"]),
        number(1639, 1),
    ];
    let mut asking = begin(commands::SET_CHLAUTH_REC, parameters);
    let Some(Request::Set(set)) = asking.next_request() else { panic!("it is set") };
    let said: Vec<(&str, &str)> =
        set.attributes.iter().map(|said| (said.name.as_str(), said.value.as_str())).collect();
    assert_eq!((&set.kind[..], &set.profile[..], set.action), ("CHLAUTH", "APP.*", 1));
    assert_eq!(said, [("TYPE", "BLOCKUSER"), ("USERLIST", "joe,ann"), ("WARN", "YES")]);
    asking.on_reply(&Reply::Refused { reason: 2085, text: String::new() }, false);
    assert_eq!(reasons(&asking.replies()).0, [3338, 3008]);

    let all = vec![text(parameter::CHANNEL_NAME, "APP.*"), number(parameter::ACTION, 8)];
    let Some(Request::Set(set)) = begin(commands::SET_CHLAUTH_REC, all).next_request() else { panic!() };
    assert_eq!((set.action, set.attributes.len()), (3, 0));
}

#[test]
fn records_are_found_by_type_and_profile_and_told_with_what_tells_them_apart() {
    let records = Reply::Objects(vec![
        object(Kind::ChannelAuth, "APP.*", &[("TYPE", "BLOCKUSER"), ("USERLIST", "joe,ann"), ("DESCR", "x")]),
        object(
            Kind::ChannelAuth,
            "APP.1",
            &[("TYPE", "ADDRESSMAP"), ("ADDRESS", "10.*"), ("USERSRC", "NOACCESS")],
        ),
    ]);
    let found = |extra: Vec<Parameter>| {
        let parameters = [vec![text(parameter::CHANNEL_NAME, "APP.*")], extra].concat();
        let mut asking = begin(commands::INQUIRE_CHLAUTH_RECS, parameters);
        let Some(Request::Display(display)) = asking.next_request() else { panic!("it is displayed") };
        assert_eq!((&display.kind[..], &display.name[..]), ("CHLAUTH", "APP.*"));
        asking.on_reply(&records, false);
        asking.replies().into_iter().map(|reply| reply.parameters).collect::<Vec<_>>()
    };
    let all = found(Vec::new());
    assert_eq!(all.len(), 2);
    assert_eq!(all[0][..2], [text(3501, "APP.*               "), number(1352, 1)]);
    assert!(all[0].contains(&texts(3568, &["joe", "ann"])), "{:?}", all[0]);
    assert!(all[1].contains(&number(1638, 1)) && !all[1].iter().any(|told| told.id == 3568));
    assert_eq!(found(vec![number(parameter::CHLAUTH_TYPE, 4)]).len(), 1);
    assert_eq!(found(vec![number(parameter::CHLAUTH_TYPE, 0), number(parameter::MATCH, 2)]).len(), 1);
    let some = found(vec![number(parameter::CHLAUTH_TYPE, 4), numbers(parameter::CHLAUTH_ATTRS, &[1638])]);
    let ids: Vec<i32> = some[0].iter().map(|told| told.id).collect();
    assert_eq!(ids, [3501, 1352, 3506, 1638], "what tells it from others is always told");
}

#[test]
fn authorities_are_given_and_taken_from_each_who_is_named() {
    let parameters = vec![
        text(parameter::AUTH_PROFILE_NAME, "ORDERS.*"),
        number(parameter::OBJECT_TYPE, 1),
        texts(parameter::PRINCIPAL_ENTITY_NAMES, &["joe", "ann"]),
        texts(parameter::GROUP_ENTITY_NAMES, &["staff"]),
        numbers(parameter::AUTH_ADD_AUTHS, &[8, 11, -2]),
        numbers(parameter::AUTH_REMOVE_AUTHS, &[13]),
    ];
    let mut asking = begin(commands::SET_AUTH_REC, parameters);
    let mut sets = Vec::new();
    while let Some(Request::Set(set)) = asking.next_request() {
        let value =
            |name: &str| set.attributes.iter().find(|said| said.name == name).map(|said| said.value.clone());
        let (who, what) = (value("ENTITY").unwrap(), value("AUTHLIST").unwrap());
        sets.push((set.action, value("ENTTYPE").unwrap(), who, what));
        asking.on_reply(&Reply::Done, false);
    }
    let expected = [
        (0, "PRINCIPAL", "joe", "CHG,CLR,DLT,DSP,PUT"),
        (0, "PRINCIPAL", "ann", "CHG,CLR,DLT,DSP,PUT"),
        (0, "GROUP", "staff", "CHG,CLR,DLT,DSP,PUT"),
        (2, "PRINCIPAL", "joe", "PASSID"),
        (2, "PRINCIPAL", "ann", "PASSID"),
        (2, "GROUP", "staff", "PASSID"),
    ]
    .map(|(action, kind, who, what)| (action, kind.to_string(), who.to_string(), what.to_string()));
    assert_eq!(sets, expected);
    assert_eq!(reasons(&asking.replies()).0, [0]);

    let parameters =
        vec![number(parameter::OBJECT_TYPE, 5), texts(parameter::GROUP_ENTITY_NAMES, &["staff"])];
    let Some(Request::Set(set)) = begin(commands::DELETE_AUTH_REC, parameters).next_request() else {
        panic!()
    };
    assert_eq!((&set.profile[..], set.action, set.attributes.len()), ("SELF", 2, 3));
}

#[test]
fn authorities_are_found_by_profile_object_and_entity() {
    let record = |profile: &str, who: &str, list: &str| {
        let said = [("OBJTYPE", "QUEUE"), ("ENTTYPE", "PRINCIPAL"), ("ENTITY", who), ("AUTHLIST", list)];
        object(Kind::Authority, profile, &said)
    };
    let records = Reply::Objects(vec![
        record("ORDERS", "joe", "GET,PUT"),
        record("ORDERS.**", "ann", "DSP"),
        record("OTHER", "joe", "DSP"),
    ]);
    let found = |options: i32, profile: &str, extra: Vec<Parameter>| {
        let said = vec![
            number(parameter::AUTH_OPTIONS, options),
            text(parameter::AUTH_PROFILE_NAME, profile),
            number(parameter::OBJECT_TYPE, 1),
        ];
        let mut asking = begin(commands::INQUIRE_AUTH_RECS, [said, extra].concat());
        let Some(Request::Display(display)) = asking.next_request() else { panic!("it is displayed") };
        let Reply::Objects(all) = &records else { panic!() };
        let named =
            |name: &str| display.name.is_empty() || name.starts_with(display.name.trim_end_matches('*'));
        let shown = all.iter().filter(|record| named(&record.name)).cloned().collect();
        asking.on_reply(&Reply::Objects(shown), false);
        asking.replies()
    };
    let names = |replies: Vec<Message>| -> Vec<String> {
        let name = |reply: &Message| match &reply.parameters.first()?.value {
            Value::Text(name) => Some(name.trim_end().to_string()),
            _ => None,
        };
        replies.iter().filter_map(name).collect()
    };
    assert_eq!(names(found(16 | 1, "ORDERS", vec![])), ["ORDERS"]);
    assert_eq!(names(found(32 | 1, "ORDERS", vec![])), ["ORDERS", "ORDERS.**"]);
    assert_eq!(names(found(32 | 64, "OR*", vec![])), ["ORDERS", "ORDERS.**"]);
    let joe = || vec![text(parameter::ENTITY_NAME, "joe"), number(parameter::ENTITY_TYPE, 1)];
    assert_eq!(names(found(32 | 64, "", joe())), ["ORDERS", "OTHER"]);
    let told = found(16, "ORDERS", joe()).remove(0).parameters;
    for expected in [
        number(1016, 1),
        number(1118, 1),
        numbers(1115, &[9, 11]),
        number(parameter::AUTH_OPTIONS, 16),
        text(parameter::Q_MGR_NAME, &format!("{:48}", "QM")),
    ] {
        assert!(told.contains(&expected), "{expected:?} is not in {told:?}");
    }
    assert_eq!(reasons(&found(16, "NONE", vec![])).0, [2085, 3008]);
}

#[test]
fn commands_about_records_are_refused_with_reasons_of_their_own() {
    let channel = || text(parameter::CHANNEL_NAME, "APP");
    let queues = || number(parameter::OBJECT_TYPE, 1);
    let profile = || text(parameter::AUTH_PROFILE_NAME, "ORDERS");
    let joe = || texts(parameter::PRINCIPAL_ENTITY_NAMES, &["joe"]);
    let options = |options| number(parameter::AUTH_OPTIONS, options);
    for (number, parameters, reason, named) in [
        (commands::SET_CHLAUTH_REC, vec![], 3228, 3501),
        (commands::SET_CHLAUTH_REC, vec![channel()], 3228, 1352),
        (commands::SET_CHLAUTH_REC, vec![channel(), number(1352, 9)], 3326, 1352),
        (commands::SET_CHLAUTH_REC, vec![channel(), number(1352, 1), number(1086, 1)], 3327, 1086),
        (commands::SET_CHLAUTH_REC, vec![channel(), number(1352, 1), number(15, 1)], 3014, 15),
        (commands::INQUIRE_CHLAUTH_RECS, vec![channel(), number(1637, 1)], 2298, 1637),
        (commands::SET_AUTH_REC, vec![profile(), joe()], 3173, 1016),
        (commands::SET_AUTH_REC, vec![queues(), joe()], 3228, 3067),
        (commands::SET_AUTH_REC, vec![profile(), queues()], 3169, 3065),
        (commands::SET_AUTH_REC, vec![profile(), queues(), joe()], 3172, 1116),
        (commands::SET_AUTH_REC, vec![profile(), queues(), joe(), numbers(1116, &[99])], 3171, 1116),
        (commands::SET_AUTH_REC, vec![profile(), number(1016, 99), joe()], 3229, 1016),
        (commands::DELETE_AUTH_REC, vec![profile(), queues(), joe(), numbers(1116, &[8])], 3047, 1116),
        (commands::INQUIRE_AUTH_RECS, vec![profile(), queues()], 3228, 1228),
        (commands::INQUIRE_AUTH_RECS, vec![profile(), queues(), options(48)], 3229, 1228),
        (commands::INQUIRE_AUTH_RECS, vec![profile(), queues(), options(16), text(3068, "joe")], 3373, 1118),
        (commands::INQUIRE_AUTH_RECS, vec![text(3067, &"X".repeat(49)), options(16)], 3170, 3067),
    ] {
        let said = format!("{number} {parameters:?}");
        assert_eq!(refused(number, parameters), (vec![reason, 3008], Some(named)), "{said}");
    }
}
