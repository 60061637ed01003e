//! Wire and log formats of Trimaran, and what node and client share. No IO, no clock: generated from `proto/`, or written by
//! hand in [`mq`], [`attribute`], [`reason`], [`mqsc`], [`pcf`], [`chain`], [`failover`], [`audit`], [`plain`] and [`generate`].
//!
//! * [`queue::v1`]: what clients say.
//! * [`admin::v1`]: objects, status, membership.
//! * [`message::v1`]: the MQ message both of them and the log share.
//! * [`replica::v1`]: node to node, and the commands in the log.
//! * [`mq`]: the channel protocol of IBM MQ clients.
//! * [`attribute`]: every attribute of every kind of object.
//! * [`reason`]: MQ's reason codes.
//! * [`mqsc`]: the commands of MQ's administrators, as text.
//! * [`pcf`]: the same as messages of programs.
//! * [`chain`]: records that are sealed one to the other.
//! * [`failover`]: records of failovers.
//! * [`audit`]: records of what administrators changed.
//! * [`plain`]: errors of the operating system and of parsers, in plain words.
//! * [`generate`]: manual pages and completions of both programs.

pub mod mq;

pub mod message {
    pub mod v1 {
        tonic::include_proto!("trimaran.message.v1");
    }
}

pub mod queue {
    pub mod v1 {
        tonic::include_proto!("trimaran.queue.v1");
    }
}

pub mod admin {
    pub mod v1 {
        tonic::include_proto!("trimaran.admin.v1");
    }
}

pub mod replica {
    pub mod v1 {
        tonic::include_proto!("trimaran.replica.v1");
    }
}

pub mod calendar;
pub mod plain;
pub mod attribute;
pub mod reason;
pub mod mqsc;
pub mod pcf;
pub mod chain;
pub mod failover;
pub mod audit;
pub mod generate;
pub mod cluster;

/// The encoded `FileDescriptorSet` of all protos, for gRPC server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
