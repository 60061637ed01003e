//! What is longer than a segment: calls with much data, and messages on their way to a client.
//!
//! The segments of one logical call follow each other on their conversation; those of other conversations may come in
//! between. A continued call goes on where its bytes stopped; a continued ASYNC_MESSAGE has a short header of its own.

use bytes::{BufMut, Bytes, BytesMut};

use super::delivery::AsyncMessage;
use super::segment::{Header, Segment, flags};
use super::wire::{Malformed, Writer};

/// A call whose segments have all come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The first one, and what begins in it.
    pub first: Segment,
    /// The bodies of the others.
    pub more: Vec<Bytes>,
}

impl Joined {
    /// All in one segment; copies when there were several.
    pub fn whole(self) -> Segment {
        if self.more.is_empty() {
            return self.first;
        }
        let length = self.first.body.len() + self.more.iter().map(Bytes::len).sum::<usize>();
        let mut body = BytesMut::with_capacity(length);
        body.put_slice(&self.first.body);
        self.more.iter().for_each(|part| body.put_slice(part));
        Segment { header: self.first.header, body: body.freeze() }
    }
}

/// Joins the segments of one conversation.
#[derive(Debug, Default)]
pub struct Joiner {
    open: Option<Joined>,
    bytes: usize,
}

impl Joiner {
    /// The whole call when this was its last segment. A call of more than `bytes_max` bytes is refused before it is
    /// kept.
    pub fn add(&mut self, segment: Segment, bytes_max: usize) -> Result<Option<Joined>, Malformed> {
        let wrong = |what| Err(Malformed { what, at: 0 });
        let Header { flags: given, segment: kind, .. } = segment.header;
        match (&mut self.open, given & flags::FIRST != 0) {
            (None, true) => {
                self.bytes = segment.body.len();
                self.open = Some(Joined { first: segment, more: Vec::new() });
            }
            (Some(open), false) if open.first.header.segment == kind => {
                self.bytes += segment.body.len();
                open.more.push(segment.body);
            }
            (None, false) => return wrong("a call goes on that did not begin"),
            (Some(_), _) => return wrong("a call begins before the one before has ended"),
        }
        if self.bytes > bytes_max {
            self.open = None;
            return wrong("the call is longer than was agreed");
        }
        Ok(if given & flags::LAST != 0 { self.open.take() } else { None })
    }

    /// The first segment of a call that is not complete.
    pub fn first(&self) -> Option<&Segment> {
        self.open.as_ref().map(|open| &open.first)
    }

    /// Bytes that are kept for a call that is not complete.
    pub fn held_bytes(&self) -> usize {
        if self.open.is_some() { self.bytes } else { 0 }
    }
}

/// Data in pieces, taken from the front.
struct Pieces<'a> {
    pieces: &'a [Bytes],
    skip: usize,
    left: usize,
}

impl<'a> Pieces<'a> {
    fn new(pieces: &'a [Bytes]) -> Pieces<'a> {
        Pieces { pieces, skip: 0, left: pieces.iter().map(Bytes::len).sum() }
    }

    fn take(&mut self, mut length: usize, out: &mut BytesMut) {
        self.left -= length;
        while length > 0 {
            let piece = &self.pieces[0][self.skip..];
            let taken = piece.len().min(length);
            out.put_slice(&piece[..taken]);
            length -= taken;
            self.skip += taken;
            if self.skip == self.pieces[0].len() {
                self.pieces = &self.pieces[1..];
                self.skip = 0;
            }
        }
    }
}

/// Appends a call: `head` has the call header and the structures, `data` is what follows them. No segment is longer than
/// `bytes_max`.
pub fn put_call(header: &Header, head: &[u8], data: &[Bytes], bytes_max: usize, out: &mut BytesMut) {
    let room = bytes_max - header.length();
    let mut data = Pieces::new(data);
    let mut head_left = head;
    let mut place = flags::FIRST;
    loop {
        let of_head = head_left.len().min(room);
        let of_data = data.left.min(room - of_head);
        if head_left.len() + data.left <= room {
            place |= flags::LAST;
        }
        let header = Header { flags: header.flags & !flags::WHOLE | place, ..header.clone() };
        Segment::put_header(&header, of_head + of_data, out);
        out.put_slice(&head_left[..of_head]);
        head_left = &head_left[of_head..];
        data.take(of_data, out);
        if place & flags::LAST != 0 {
            return;
        }
        place = 0;
    }
}

/// Appends a message: `message` has no data, `data` is all of it. No segment is longer than `bytes_max`, and the length of each is a
/// multiple of 4: a client reads the next segment, of whatever conversation, as if it were.
pub fn put_message(
    header: &Header,
    message: &AsyncMessage,
    data: &[Bytes],
    bytes_max: usize,
    out: &mut BytesMut,
) {
    let mut data = Pieces::new(data);
    let mut part = message.clone();
    let mut place = flags::FIRST;
    loop {
        let mut head = Writer::new(header.order);
        part.data = Bytes::new();
        part.write(&mut head);
        let before = header.length() + head.out.len();
        let room = bytes_max / 4 * 4 - before;
        part.part.data_bytes = data.left.min(room) as u32;
        let of_data = part.part.data_bytes as usize;
        if data.left == of_data {
            place |= flags::LAST;
        }
        let mut head = Writer::new(header.order);
        part.write(&mut head);
        let header = Header { flags: header.flags & !flags::WHOLE | place, ..header.clone() };
        let padding = (before + of_data).next_multiple_of(4) - before - of_data;
        Segment::put_header(&header, head.out.len() + of_data + padding, out);
        out.put_slice(&head.out);
        data.take(of_data, out);
        out.put_bytes(0, padding);
        if place & flags::LAST != 0 {
            return;
        }
        part.first = None;
        part.part.segment_index += 1;
        place = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivery::First;
    use super::super::segment::{Kind, types};
    use super::super::wire::{Order, Raw, Reader};
    use super::*;

    fn header(segment: u8) -> Header {
        Header {
            kind: Kind::Multiplexed { conversation: 3, request: 0 },
            order: Order::Little,
            segment,
            flags: flags::WHOLE,
            flags2: 0,
            luwid: Raw::default(),
            encoding: 546,
            ccsid: 819,
            reserved: 0,
        }
    }

    fn segments(mut out: BytesMut) -> Vec<Segment> {
        let mut found = Vec::new();
        while let Some(segment) = Segment::take(&mut out, 1000).unwrap() {
            found.push(segment);
        }
        assert!(out.is_empty());
        found
    }

    #[test]
    fn a_call_of_any_length_is_joined_as_it_was_split() {
        let head = [7u8; 600];
        for length in [0, 300, 364, 365, 2000, 5000] {
            let data: Vec<Bytes> =
                [length / 3, length - length / 3].map(|n| Bytes::from(vec![9; n])).to_vec();
            let mut out = BytesMut::new();
            put_call(&header(types::PUT), &head, &data, 1000, &mut out);
            let mut joiner = Joiner::default();
            let mut joined = None;
            for segment in segments(out) {
                assert!(joined.is_none());
                joined = joiner.add(segment, 10_000).unwrap();
            }
            let whole = joined.expect("the last segment came").whole();
            assert_eq!(whole.body.len(), 600 + length);
            assert!(whole.body[600..].iter().all(|byte| *byte == 9));
        }
    }

    #[test]
    fn a_message_goes_on_with_a_short_header() {
        let mut out = BytesMut::new();
        let message = AsyncMessage { first: Some(First::default()), ..AsyncMessage::default() };
        let data = [Bytes::from(vec![1; 1500]), Bytes::from(vec![2; 700])];
        put_message(&header(types::ASYNC_MESSAGE), &message, &data, 1000, &mut out);
        let parts = segments(out);
        assert_eq!(parts.iter().map(|part| part.header.flags).collect::<Vec<_>>(), [0x10, 0, 0x20]);
        let mut joined = Vec::new();
        for (index, segment) in parts.into_iter().enumerate() {
            let part = AsyncMessage::read(&mut Reader::new(segment.body, Order::Little)).unwrap();
            assert_eq!(usize::from(part.part.segment_index), index);
            assert_eq!(part.first.is_some(), index == 0);
            joined.extend_from_slice(&part.data);
        }
        assert_eq!(joined, [vec![1; 1500], vec![2; 700]].concat());
    }

    #[test]
    fn each_segment_of_a_message_has_a_length_that_is_a_multiple_of_four() {
        let message = AsyncMessage { first: Some(First::default()), ..AsyncMessage::default() };
        for (length, bytes_max) in [(1, 1000), (2, 1000), (3, 1000), (2001, 1000), (2002, 999), (4, 1000)] {
            let (mut out, data) = (BytesMut::new(), [Bytes::from(vec![1; length])]);
            put_message(&header(types::ASYNC_MESSAGE), &message, &data, bytes_max, &mut out);
            let mut delivered = 0;
            for segment in segments(out) {
                let whole = segment.header.length() + segment.body.len();
                assert!(whole % 4 == 0 && whole <= bytes_max, "{whole} bytes of {length}");
                let part = AsyncMessage::read(&mut Reader::new(segment.body, Order::Little)).unwrap();
                delivered += part.data.len();
            }
            assert_eq!(delivered, length, "what fills up is no data");
        }
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let of = |kind, flags, length| Segment {
            header: Header { flags, ..header(kind) },
            body: Bytes::from(vec![0; length]),
        };
        let mut joiner = Joiner::default();
        assert!(joiner.add(of(types::PUT, 0, 10), 100).is_err());
        assert_eq!(joiner.add(of(types::PUT, flags::FIRST, 10), 100), Ok(None));
        assert!(joiner.add(of(types::GET, 0, 10), 100).is_err());
        assert!(joiner.add(of(types::PUT, flags::FIRST, 10), 100).is_err());
        assert!(joiner.add(of(types::PUT, 0, 91), 100).is_err());
        assert_eq!(joiner.held_bytes(), 0);
    }
}
