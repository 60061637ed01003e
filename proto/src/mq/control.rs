//! What is said about a channel and its conversations: STATUS, SOCKET_ACTION, NOTIFICATION.

use super::wire::{Malformed, Reader, Writer, layout};

/// Codes of STATUS.
pub mod status {
    pub const NO_CHANNEL: u32 = 0x01;
    pub const WRONG_CHANNEL_TYPE: u32 = 0x02;
    pub const QMGR_UNAVAILABLE: u32 = 0x03;
    pub const QMGR_TERMINATING: u32 = 0x05;
    pub const SEGMENT_TYPE: u32 = 0x0A;
    pub const LENGTH: u32 = 0x0B;
    pub const INVALID_DATA: u32 = 0x0C;
    pub const SEGMENT: u32 = 0x0D;
    pub const ID: u32 = 0x0E;
    pub const SECURITY: u32 = 0x14;
    pub const CHANNEL_UNAVAILABLE: u32 = 0x16;
    pub const CIPHER_SPEC: u32 = 0x18;
    pub const PEER_NAME: u32 = 0x19;
    pub const CLIENT_CERTIFICATE: u32 = 0x1A;
    pub const CONVERSATION: u32 = 0x1E;
    pub const SOCKET_ACTION: u32 = 0x1F;
    pub const STANDBY_QMGR: u32 = 0x20;
    pub const CCSID: u32 = 0xF0;
    pub const FAP: u32 = 0xF2;
}

/// STATUS with a code; one that only accepts has no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u32,
    pub value: Option<u32>,
}

impl Status {
    pub fn read(from: &mut Reader) -> Result<Option<Status>, Malformed> {
        if from.left() == 0 {
            return Ok(None);
        }
        let length: u32 = from.get()?;
        let code = from.get()?;
        let value = if length >= 12 && from.left() >= 4 { Some(from.get()?) } else { None };
        Ok(Some(Status { code, value }))
    }

    pub fn write(&self, into: &mut Writer) {
        into.put(&if self.value.is_some() { 12u32 } else { 8 });
        into.put(&self.code);
        if let Some(value) = &self.value {
            into.put(value);
        }
    }
}

/// Actions of SOCKET_ACTION.
pub mod action {
    /// A client begins one more conversation.
    pub const START: u32 = 1;
    /// A client ends a conversation; no answer.
    pub const END: u32 = 2;
    /// The answer to START.
    pub const STARTED: u32 = 8;
}

layout! {
    SocketAction {
        conversation: u32, 1;
        request: u32, 1;
        /// One of [`action`].
        action: u32, 1;
        parameter1: u32, 1;
        parameter2: u32, 1;
    }
}

impl SocketAction {
    pub fn read(from: &mut Reader) -> Result<SocketAction, Malformed> {
        SocketAction::read_fields(from, 1)
    }

    pub fn write(&self, into: &mut Writer) {
        self.write_fields(into, 1);
    }
}

/// Codes of NOTIFICATION.
pub mod notice {
    pub const GET_INHIBITED: u32 = 1;
    pub const GET_ALLOWED: u32 = 2;
    /// A client starts, stops or suspends the delivery to its connection (MQCTL).
    pub const CONN_STATE: u32 = 3;
    pub const CONN_STATE_REPLY: u32 = 4;
    /// The same for one handle (MQCB).
    pub const Q_STATE: u32 = 5;
    pub const Q_STATE_REPLY: u32 = 6;
    pub const QMGR_QUIESCING: u32 = 7;
    pub const TXN_ALLOWED: u32 = 8;
    pub const TXN_REVOKE: u32 = 9;
    pub const TXN_REVOKE_REPLY: u32 = 10;
    /// Nothing more is on its way for this request.
    pub const CHECK_MSG: u32 = 11;
    pub const BROWSE_FIRST: u32 = 12;
    pub const MESSAGE_TOO_LARGE: u32 = 13;
    pub const STREAMING_FAILURE: u32 = 14;
    pub const CLIENT_ASYNC_EMPTY: u32 = 15;
    pub const STREAMING_TXN_PAUSED: u32 = 16;
    pub const RECONNECTION_COMPLETE: u32 = 17;
}

layout! {
    Notification {
        version: u32, 1;
        handle: i32, 1;
        /// One of [`notice`].
        code: u32, 1;
        value: u32, 1;
    }
}

impl Notification {
    pub fn read(from: &mut Reader) -> Result<Notification, Malformed> {
        Notification::read_fields(from, 1)
    }

    pub fn write(&self, into: &mut Writer) {
        self.write_fields(into, 1);
    }
}
