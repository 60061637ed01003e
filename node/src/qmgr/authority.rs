//! Who may do what: one decision, from replicated facts alone, so that it is the same on every node and after a failover.

use super::QueueManager;
use crate::types::definition::ObjectRef;
use crate::types::{ObjectName, Reason};

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
    pub fn may(&self, user: &str, object: Object<'_>, access: Access) -> Result<(), Reason> {
        // There are no records of authorities: who was let in by a listener may do everything.
        let _ = (user, object, access);
        Ok(())
    }
}
