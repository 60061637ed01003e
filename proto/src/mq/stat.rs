//! MQSTAT: what became of puts that nobody waited for.

use bytes::Bytes;

use super::object::VariableText;
use super::wire::{Malformed, Reader, Text, Writer, versioned};

/// MQSTAT_TYPE_*.
pub mod kind {
    pub const ASYNC_ERROR: u32 = 0;
    pub const RECONNECTION: u32 = 1;
    pub const RECONNECTION_ERROR: u32 = 2;
}

versioned! {
    /// MQSTS, version 1 (224 bytes) or 2 (272 bytes).
    Sts(b"STAT", 2, "no MQSTS of version 1 or 2 begins here") {
        /// Of the first put that was not well, and why.
        completion: i32, 1;
        reason: i32, 1;
        put_successes: i32, 1;
        put_warnings: i32, 1;
        put_failures: i32, 1;
        object_type: i32, 1;
        object: Text<48>, 1;
        object_queue_manager: Text<48>, 1;
        resolved_object: Text<48>, 1;
        resolved_queue_manager: Text<48>, 1;
        object_string: VariableText, 2;
        subscription: VariableText, 2;
        open_options: u32, 2;
        subscription_options: u32, 2;
    }
}

/// MQSTAT, and its reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// One of [`kind`].
    pub kind: u32,
    pub sts: Sts,
    /// What lies behind the structure, as it came.
    pub strings: Bytes,
}

impl Stat {
    pub fn read(from: &mut Reader) -> Result<Stat, Malformed> {
        Ok(Stat { kind: from.get()?, sts: Sts::read(from)?, strings: from.rest() })
    }

    pub fn write(&self, into: &mut Writer) {
        into.put(&self.kind);
        self.sts.write(into);
        into.bytes(&self.strings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mq::wire::Order;

    #[test]
    fn both_versions_are_written_as_they_were_read() {
        for (version, bytes) in [(1, 4 + 224), (2, 4 + 272)] {
            let sts = Sts { version, reason: 2053, object: Text::new("Q"), ..Sts::default() };
            let stat = Stat { kind: kind::ASYNC_ERROR, sts, strings: Bytes::new() };
            let mut writer = Writer::new(Order::Little);
            stat.write(&mut writer);
            assert_eq!(writer.out.len(), bytes);
            let mut reader = Reader::new(writer.out.clone().freeze(), Order::Little);
            assert_eq!(Stat::read(&mut reader), Ok(stat));
            for cut in 0..bytes {
                assert!(
                    Stat::read(&mut Reader::new(Bytes::copy_from_slice(&writer.out[..cut]), Order::Little))
                        .is_err()
                );
            }
        }
    }
}
