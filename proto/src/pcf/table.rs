//! Commands about objects, by number: which parameters name them, and list what is wanted.

use super::numbers::{command as number, parameter as id};
use crate::attribute::Kind;

/// What a command is about, by its number.
pub(super) struct About {
    pub command: i32,
    pub verb: Verb,
    pub what: What,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Verb {
    Inquire,
    Names,
    Create,
    Change,
    Copy,
    Delete,
}

/// A kind of object in PCF.
#[derive(Clone, Copy)]
pub(super) struct What {
    /// None for queues, of which a parameter says the kind.
    pub kind: Option<Kind>,
    pub name: i32,
    /// The list of what is wanted.
    pub wanted: i32,
    /// Of a copy: from, to.
    pub copy: (i32, i32),
    /// Lists of names and of types.
    pub names: (i32, Option<i32>),
}

const QUEUE: What = What {
    kind: None,
    name: id::Q_NAME,
    wanted: id::Q_ATTRS,
    copy: (3001, 3002),
    names: (id::Q_NAMES, Some(id::Q_TYPES)),
};
const MANAGER: What =
    What { kind: Some(Kind::QueueManager), name: 0, wanted: id::Q_MGR_ATTRS, copy: (0, 0), names: (0, None) };
const CHANNEL: What = What {
    kind: Some(Kind::Channel),
    name: id::CHANNEL_NAME,
    wanted: id::CHANNEL_ATTRS,
    copy: (3007, 3008),
    names: (id::CHANNEL_NAMES, Some(id::CHANNEL_TYPES)),
};
const LISTENER: What = What {
    kind: Some(Kind::Listener),
    name: id::LISTENER_NAME,
    wanted: id::LISTENER_ATTRS,
    copy: (3124, 3125),
    names: (0, None),
};
const TOPIC: What = What {
    kind: Some(Kind::Topic),
    name: 2092,
    wanted: id::TOPIC_ATTRS,
    copy: (3150, 3149),
    names: (id::TOPIC_NAMES, None),
};
const SUBSCRIPTION: What = What {
    kind: Some(Kind::Subscription),
    name: 3152,
    wanted: id::SUB_ATTRS,
    copy: (3163, 3164),
    names: (0, None),
};
const AUTH_INFO: What = What {
    kind: Some(Kind::AuthInfo),
    name: 2045,
    wanted: id::AUTH_INFO_ATTRS,
    copy: (3009, 3010),
    names: (id::AUTH_INFO_NAMES, None),
};

const fn about(command: i32, verb: Verb, what: What) -> About {
    About { command, verb, what }
}

pub(super) const COMMANDS: &[About] = &[
    about(number::INQUIRE_Q_MGR, Verb::Inquire, MANAGER),
    about(number::CHANGE_Q_MGR, Verb::Change, MANAGER),
    about(number::INQUIRE_Q, Verb::Inquire, QUEUE),
    about(number::INQUIRE_Q_NAMES, Verb::Names, QUEUE),
    about(number::CREATE_Q, Verb::Create, QUEUE),
    about(number::CHANGE_Q, Verb::Change, QUEUE),
    about(number::COPY_Q, Verb::Copy, QUEUE),
    about(number::DELETE_Q, Verb::Delete, QUEUE),
    about(number::INQUIRE_CHANNEL, Verb::Inquire, CHANNEL),
    about(number::INQUIRE_CHANNEL_NAMES, Verb::Names, CHANNEL),
    about(number::CREATE_CHANNEL, Verb::Create, CHANNEL),
    about(number::CHANGE_CHANNEL, Verb::Change, CHANNEL),
    about(number::COPY_CHANNEL, Verb::Copy, CHANNEL),
    about(number::DELETE_CHANNEL, Verb::Delete, CHANNEL),
    about(number::INQUIRE_LISTENER, Verb::Inquire, LISTENER),
    about(number::CREATE_LISTENER, Verb::Create, LISTENER),
    about(number::CHANGE_LISTENER, Verb::Change, LISTENER),
    about(number::COPY_LISTENER, Verb::Copy, LISTENER),
    about(number::DELETE_LISTENER, Verb::Delete, LISTENER),
    about(number::INQUIRE_TOPIC, Verb::Inquire, TOPIC),
    about(number::INQUIRE_TOPIC_NAMES, Verb::Names, TOPIC),
    about(number::CREATE_TOPIC, Verb::Create, TOPIC),
    about(number::CHANGE_TOPIC, Verb::Change, TOPIC),
    about(number::COPY_TOPIC, Verb::Copy, TOPIC),
    about(number::DELETE_TOPIC, Verb::Delete, TOPIC),
    about(number::INQUIRE_SUBSCRIPTION, Verb::Inquire, SUBSCRIPTION),
    about(number::CREATE_SUBSCRIPTION, Verb::Create, SUBSCRIPTION),
    about(number::CHANGE_SUBSCRIPTION, Verb::Change, SUBSCRIPTION),
    about(number::COPY_SUBSCRIPTION, Verb::Copy, SUBSCRIPTION),
    about(number::DELETE_SUBSCRIPTION, Verb::Delete, SUBSCRIPTION),
    about(number::INQUIRE_AUTH_INFO, Verb::Inquire, AUTH_INFO),
    about(number::INQUIRE_AUTH_INFO_NAMES, Verb::Names, AUTH_INFO),
    about(number::CREATE_AUTH_INFO, Verb::Create, AUTH_INFO),
    about(number::CHANGE_AUTH_INFO, Verb::Change, AUTH_INFO),
    about(number::COPY_AUTH_INFO, Verb::Copy, AUTH_INFO),
    about(number::DELETE_AUTH_INFO, Verb::Delete, AUTH_INFO),
];
