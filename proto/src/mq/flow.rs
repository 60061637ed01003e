//! The body of a segment, whatever its type.

use bytes::Bytes;

use super::call::Call;
use super::control::{Notification, SocketAction, Status};
use super::delivery::{AsyncMessage, RequestMessages};
use super::initial::Initial;
use super::security::{ConAuth, UserId};
use super::segment::{Segment, types};
use super::wire::{Malformed, Order, Reader, Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    Initial(Box<Initial>),
    /// None accepts.
    Status(Option<Status>),
    UserId(Box<UserId>),
    Heartbeat,
    ConAuth(ConAuth),
    SocketAction(SocketAction),
    AsyncMessage(Box<AsyncMessage>),
    RequestMessages(Box<RequestMessages>),
    Notification(Notification),
    Call(Call),
    /// Of a type that is not known here.
    Other(Bytes),
}

impl Flow {
    /// Reads the body of a segment. Of a call in several segments: of the first one, or of all of them joined.
    pub fn read(segment: &Segment) -> Result<Flow, Malformed> {
        let from = &mut Reader::new(segment.body.clone(), segment.header.order);
        Ok(match segment.header.segment {
            types::INITIAL => Flow::Initial(Box::new(Initial::read(from)?)),
            types::STATUS => Flow::Status(Status::read(from)?),
            types::USER_ID => Flow::UserId(Box::new(UserId::read(from)?)),
            types::HEARTBEAT => Flow::Heartbeat,
            types::CONAUTH => Flow::ConAuth(ConAuth::read(from)?),
            types::SOCKET_ACTION => Flow::SocketAction(SocketAction::read(from)?),
            types::ASYNC_MESSAGE => Flow::AsyncMessage(Box::new(AsyncMessage::read(from)?)),
            types::REQUEST_MESSAGES => Flow::RequestMessages(Box::new(RequestMessages::read(from)?)),
            types::NOTIFICATION => Flow::Notification(Notification::read(from)?),
            segment @ types::CALLS..types::XA => Flow::Call(Call::read(from, segment)?),
            _ => Flow::Other(from.rest()),
        })
    }

    /// The body for a segment of this type.
    pub fn body(&self, segment: u8, order: Order) -> Bytes {
        let mut into = Writer::new(order);
        match self {
            Flow::Initial(initial) => initial.write(&mut into),
            Flow::Status(Some(status)) => status.write(&mut into),
            Flow::UserId(user) => user.write(&mut into),
            Flow::Status(None) | Flow::Heartbeat => {}
            Flow::ConAuth(conauth) => conauth.write(&mut into),
            Flow::SocketAction(action) => action.write(&mut into),
            Flow::AsyncMessage(message) => message.write(&mut into),
            Flow::RequestMessages(request) => request.write(&mut into),
            Flow::Notification(notification) => notification.write(&mut into),
            Flow::Call(call) => call.write(&mut into, segment),
            Flow::Other(bytes) => into.bytes(bytes),
        }
        into.out.freeze()
    }
}
