//! Definitions of objects as data.

use super::{ObjectName, limits};

/// A local queue as it was defined. Attribute names and defaults: IBM MQ Reference, "DEFINE QLOCAL".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDefinition {
    pub name: ObjectName,
    pub descr: String,
    pub maxdepth: u32,
    pub maxmsgl: u32,
    pub put_enabled: bool,
    pub get_enabled: bool,
    pub defpsist: bool,
    pub defprty: u8,
    pub msgdlvsq_fifo: bool,
    pub share: bool,
    pub bothresh: u32,
    pub boqname: Option<ObjectName>,
    /// Ours: the queue manager moves a message that reached BOTHRESH, programs need not.
    pub backout_move: bool,
}

impl QueueDefinition {
    /// MQ's defaults, except DEFPSIST(YES): losing messages is something to ask for.
    pub fn new(name: ObjectName) -> QueueDefinition {
        QueueDefinition {
            name,
            descr: String::new(),
            maxdepth: 5000,
            maxmsgl: 4 * 1024 * 1024,
            put_enabled: true,
            get_enabled: true,
            defpsist: true,
            defprty: 0,
            msgdlvsq_fifo: false,
            share: true,
            bothresh: 0,
            boqname: None,
            backout_move: false,
        }
    }

    pub fn body_bytes_max(&self) -> usize {
        (self.maxmsgl as usize).min(limits::BODY_BYTES_MAX)
    }
}
