//! Real segments are read and written again, byte for byte; damaged ones are refused and never more.

use bytes::BytesMut;

use super::call::Body;
use super::vectors::vectors;
use super::wire::Order;
use super::*;

fn segment_of(bytes: &[u8]) -> Segment {
    let mut bytes = BytesMut::from(bytes);
    let segment = Segment::take(&mut bytes, segment::SEGMENT_BYTES_MAX).unwrap().expect("a whole segment");
    assert!(bytes.is_empty());
    segment
}

fn encoded(flow: &Flow, header: &Header) -> BytesMut {
    let mut out = BytesMut::new();
    let segment = Segment { header: header.clone(), body: flow.body(header.segment, header.order) };
    segment.encode(&mut out);
    out
}

#[test]
fn every_vector_is_written_as_it_was_read() {
    assert_eq!(vectors().len(), 33);
    for (name, bytes) in vectors() {
        let segment = segment_of(&bytes);
        let flow = Flow::read(&segment).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!matches!(flow, Flow::Other(_)), "{name}");
        assert_eq!(encoded(&flow, &segment.header), bytes, "{name}\n{flow:#?}");
    }
}

#[test]
fn every_vector_can_be_said_in_the_other_byte_order() {
    for (name, bytes) in vectors() {
        let segment = segment_of(&bytes);
        let flow = Flow::read(&segment).unwrap();
        let order = if segment.header.order == Order::Big { Order::Little } else { Order::Big };
        let header = Header { order, ..segment.header };
        let turned = segment_of(&encoded(&flow, &header));
        assert_eq!(turned.header, header, "{name}");
        // The PCF in the answer to an open has its own order.
        assert_eq!(Flow::read(&turned), Ok(flow), "{name}");
    }
}

#[test]
fn the_fields_of_a_put_are_where_they_should_be() {
    let all = vectors();
    let (_, bytes) = all.iter().find(|(name, _)| name.starts_with("V23 ")).unwrap();
    let Flow::Call(call) = Flow::read(&segment_of(bytes)).unwrap() else { panic!("a call") };
    let Body::Put(put) = call.body else { panic!("a put") };
    assert_eq!((call.handle, put.length, &put.data[..]), (2, 5, &b"hello"[..]));
    assert_eq!((put.md.format.text().as_str(), put.md.ccsid, put.md.encoding), ("MQSTR", 1208, 273));
    assert_eq!(put.pmo.options, 0x22044);
}

#[test]
fn a_segment_that_is_cut_or_changed_is_refused_or_read_and_nothing_else() {
    for (_, bytes) in vectors() {
        let segment = segment_of(&bytes);
        for cut in 0..segment.body.len() {
            let _ = Flow::read(&Segment { body: segment.body.slice(..cut), ..segment.clone() });
        }
        for at in 0..segment.body.len() {
            for value in [0u8, 1, 0x7F, 0x80, 0xFF] {
                let mut body = segment.body.to_vec();
                body[at] = value;
                if let Ok(flow) = Flow::read(&Segment { body: body.into(), ..segment.clone() }) {
                    let again = segment_of(&encoded(&flow, &segment.header));
                    assert_eq!(Flow::read(&again), Ok(flow));
                }
            }
        }
    }
}

/// A small generator, so that a failure can be repeated: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

#[test]
fn bytes_by_chance_never_do_harm() {
    let vectors = vectors();
    let mut dice = Dice(0x5EED);
    for _ in 0..20_000 {
        let segment = segment_of(&vectors[dice.roll(vectors.len())].1);
        let mut body = segment.body.to_vec();
        for _ in 0..1 + dice.roll(8) {
            if !body.is_empty() {
                let at = dice.roll(body.len());
                body[at] = dice.roll(256) as u8;
            }
        }
        body.truncate(body.len() - dice.roll(body.len().min(40) + 1));
        let kind = if dice.roll(4) == 0 { dice.roll(256) as u8 } else { segment.header.segment };
        let header = Header { segment: kind, ..segment.header };
        if let Ok(flow) = Flow::read(&Segment { header: header.clone(), body: body.into() }) {
            encoded(&flow, &header);
        }
    }
}
