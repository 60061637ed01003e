//! What a queue manager offers on its channels: the facts of it and of each channel that a client is told.
//!
//! One channel is built in, SYSTEM.DEF.SVRCONN, which lets in everybody whom the listener let connect.

use crate::types::ObjectName;

/// What the sockets of one listener need to know of its queue manager.
#[derive(Clone, Debug)]
pub struct Terms {
    pub queue_manager: ObjectName,
    /// QMID: the same on every node, or a client refuses to go on with another one (2546).
    pub identifier: String,
    pub channels: Vec<Channel>,
}

/// A server-connection channel (IBM MQ Reference, "DEFINE CHANNEL", CHLTYPE(SVRCONN)).
#[derive(Clone, Debug)]
pub struct Channel {
    pub name: String,
    /// MAXMSGL.
    pub message_bytes_max: u32,
    /// HBINT, seconds.
    pub heartbeat_seconds: u32,
    /// SHARECNV: conversations of one socket; 0 is a channel that is not multiplexed.
    pub conversations: i32,
    /// The highest level of the protocol that is agreed to.
    pub fap_max: u8,
}

/// The level of IBM MQ 9.4.
const FAP: u8 = 17;

impl Terms {
    /// `cluster` makes the identifier different from that of another queue manager of the same name.
    pub fn new(queue_manager: ObjectName, cluster: &str) -> Terms {
        let identifier = format!("{queue_manager}_{:08X}", crc32c::crc32c(cluster.as_bytes()));
        let identifier = identifier.chars().take(48).collect();
        Terms { queue_manager, identifier, channels: vec![Channel::new("SYSTEM.DEF.SVRCONN")] }
    }

    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// Whether a program that asks for `name` means this queue manager: by name, whichever is here (blank, `*`), or one of a
    /// group (`*GROUP`), which the client has chosen from its own table.
    pub fn is_meant(&self, name: &str) -> bool {
        name.is_empty() || name.starts_with('*') || name == self.queue_manager.as_str()
    }
}

impl Channel {
    /// MQ's defaults, except MAXMSGL: the longest there is.
    pub fn new(name: &str) -> Channel {
        Channel {
            name: name.to_string(),
            message_bytes_max: 104_857_600,
            heartbeat_seconds: 300,
            conversations: 10,
            fap_max: FAP,
        }
    }
}
