//! What a client is told of the queue manager, whichever channel it comes through.

use crate::types::ObjectName;

/// What the sockets of one listener need to know of its queue manager.
#[derive(Clone, Debug)]
pub struct Terms {
    pub queue_manager: ObjectName,
    /// QMID: the same on every node, or a client refuses to go on with another one (2546).
    pub identifier: String,
}

impl Terms {
    /// `cluster` makes the identifier different from that of another queue manager of the same name.
    pub fn new(queue_manager: ObjectName, cluster: &str) -> Terms {
        let identifier = format!("{queue_manager}_{:08X}", crc32c::crc32c(cluster.as_bytes()));
        let identifier = identifier.chars().take(48).collect();
        Terms { queue_manager, identifier }
    }

    /// Whether a program that asks for `name` means this queue manager: by name, whichever is here (blank, `*`), or one of a
    /// group (`*GROUP`), which the client has chosen from its own table.
    pub fn is_meant(&self, name: &str) -> bool {
        name.is_empty() || name.starts_with('*') || name == self.queue_manager.as_str()
    }
}
