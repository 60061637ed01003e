//! Segments of the channel protocol: what is read is written as it was.

use bytes::BytesMut;
use trimaran_proto::mq::segment::SEGMENT_BYTES_MAX;
use trimaran_proto::mq::split::Joiner;
use trimaran_proto::mq::vectors::vectors;
use trimaran_proto::mq::{Flow, Header, Segment};

use super::Target;

pub const TARGET: Target =
    Target { name: "segments", about: "segments and structures of the channel protocol", run, seeds };

/// Longer calls are refused.
const CALL_BYTES_MAX: usize = 64 * 1024;

fn run(bytes: &[u8]) {
    let mut received = BytesMut::from(bytes);
    let mut joiner = Joiner::default();
    while let Ok(Some(segment)) = Segment::take(&mut received, SEGMENT_BYTES_MAX) {
        if let Ok(flow) = Flow::read(&segment) {
            let again = written(&flow, &segment.header);
            assert_eq!(Flow::read(&again), Ok(flow), "what was read is said again");
        }
        match joiner.add(segment, CALL_BYTES_MAX) {
            Ok(Some(joined)) => drop(Flow::read(&joined.whole())),
            Ok(None) => assert!(joiner.held_bytes() <= CALL_BYTES_MAX, "a call is kept that is too long"),
            Err(_) => return,
        }
    }
}

fn written(flow: &Flow, header: &Header) -> Segment {
    Segment { header: header.clone(), body: flow.body(header.segment, header.order) }
}

/// The real segments that pin the protocol, each alone and all of them.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = vectors().into_iter().map(|(_, bytes)| bytes.to_vec()).collect();
    all.push(all.concat());
    all
}
