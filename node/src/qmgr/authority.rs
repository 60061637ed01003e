//! Who may do what: one decision, from replicated facts alone, so that it is the same on every node and after a failover.

use std::net::SocketAddr;

use super::QueueManager;
use crate::types::definition::ObjectRef;
use crate::types::{Authenticated, ObjectName, Proof, Reason};

/// What is done, in the words of MQ's authorities (setmqaut).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// +connect
    Connect,
    /// +put
    Put,
    /// +get
    Get,
    /// +browse
    Browse,
    /// +inq
    Inquire,
    /// +set
    Set,
    /// +passid
    PassIdentityContext,
    /// +passall
    PassAllContext,
    /// +setid
    SetIdentityContext,
    /// +setall
    SetAllContext,
    /// +altusr
    AlternateUser,
    /// +dsp
    Display,
    /// +crt
    Create,
    /// +chg
    Change,
    /// +dlt
    Delete,
    /// +clr
    Clear,
    /// +ctrl
    Control,
}

/// Who does it: all that is known of a session, whichever of it a rule asks for.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Whose rights it has.
    pub user: &'a str,
    /// Whom somebody outside the mind has checked it to be, and how.
    pub authenticated: Option<&'a Authenticated>,
    /// The name in the certificate that was shown.
    pub certificate: Option<&'a str>,
    /// None for what comes from inside the node.
    pub address: Option<SocketAddr>,
    pub channel: Option<&'a ObjectName>,
    pub application: &'a str,
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    QueueManager,
    /// By name: the queue need not exist. A pattern when queues are listed.
    Queue(&'a str),
    /// An object or record that is defined, altered or deleted.
    Defined(&'a ObjectRef),
    /// What is displayed: a pattern of names.
    Listed(&'a str),
}

impl<'a> From<&'a ObjectName> for Object<'a> {
    fn from(queue: &'a ObjectName) -> Object<'a> {
        Object::Queue(queue.as_str())
    }
}

impl QueueManager {
    /// Asked once for each thing that a user does: for connecting, for each way of opening a queue, for a put by name,
    /// for each command of an administrator or operator. What is done with an open handle was decided when it was opened.
    ///
    /// # Errors
    /// 2035.
    pub fn may(&self, who: &Who<'_>, object: Object<'_>, access: Access) -> Result<(), Reason> {
        debug_assert!(
            access != Access::Connect || matches!(object, Object::QueueManager),
            "a program connects to the queue manager"
        );
        if who.authenticated.is_some_and(|checked| checked.how == Proof::WrongPassword) {
            return Err(Reason::NotAuthorized);
        }
        // There are no records of authorities: who was let in by a listener may do everything else.
        let _ = (object, access);
        Ok(())
    }
}
