//! How frames of a session are read and written.
//!
//! The encoding is protobuf's. What this codec adds is a look at a frame before it is decoded: a frame of two million
//! empty calls has 4 MiB on the wire and a gigabyte in memory. Its calls are decoded one by one, when somebody has time for
//! them: ten thousand in one go would keep others waiting.

use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};
use trimaran_proto::queue::v1::{Call, SessionRequest, SessionResponse};

use bytes::{Buf, Bytes};

/// Longest frame of a session, in both directions.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub struct SessionCodec {
    pub calls_max: usize,
}

impl Codec for SessionCodec {
    type Encode = SessionResponse;
    type Decode = Frame;
    type Encoder = ProstEncoder<SessionResponse>;
    type Decoder = FrameDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<SessionResponse, SessionRequest>::raw_encoder(BufferSettings::new(16 * 1024, 64 * 1024))
    }

    fn decoder(&mut self) -> Self::Decoder {
        FrameDecoder { calls_max: self.calls_max }
    }
}

#[derive(Debug)]
pub struct FrameDecoder {
    calls_max: usize,
}

impl Decoder for FrameDecoder {
    type Item = Frame;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Frame>, Status> {
        read_frame(source, self.calls_max).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(32 * 1024, 64 * 1024)
    }
}

/// A `SessionRequest` whose calls are decoded one by one.
#[derive(Debug, Default)]
pub struct Frame {
    /// What was not decoded yet.
    rest: Bytes,
    next: Option<Call>,
}

/// The frame that `source` holds, all of it.
///
/// # Errors
/// INVALID_ARGUMENT when it is none, and when it has more than `calls_max` calls.
pub fn read_frame(source: &mut impl Buf, calls_max: usize) -> Result<Frame, Status> {
    let rest = source.copy_to_bytes(source.remaining());
    let calls = count_calls(&rest).ok_or_else(|| {
        Status::invalid_argument("The frame is not a SessionRequest: its fields do not add up.")
    })?;
    if calls > calls_max {
        return Err(Status::invalid_argument(format!(
            "A frame has at most {calls_max} calls, this one has {calls}; send them in several frames."
        )));
    }
    Ok(Frame { rest, next: None })
}

impl Frame {
    /// The call that [`Frame::take`] takes.
    ///
    /// # Errors
    /// When it is none.
    pub fn first(&mut self) -> Result<Option<&Call>, DecodeError> {
        while self.next.is_none() && !self.rest.is_empty() {
            let (is_call, length) = next_field(&mut self.rest).unwrap_or((false, self.rest.len()));
            let length = length.min(self.rest.len());
            let behind = self.rest.len() - length;
            // Read where it lies: a part of its own would be one reference more to memory that the queue manager counts, too.
            let call = is_call.then(|| Call::decode((&mut self.rest).take(length))).transpose();
            self.rest.advance(self.rest.len() - behind);
            self.next = call?;
        }
        Ok(self.next.as_ref())
    }

    /// The next call; None when there are no more.
    ///
    /// # Errors
    /// When it is none.
    pub fn take(&mut self) -> Result<Option<Call>, DecodeError> {
        self.first()?;
        Ok(self.next.take())
    }

    /// Nothing is left in it.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.next.is_none()
    }
}

impl From<SessionRequest> for Frame {
    fn from(request: SessionRequest) -> Frame {
        Frame { rest: request.encode_to_vec().into(), next: None }
    }
}

/// Calls of an encoded `SessionRequest`. None when the bytes cannot be one.
fn count_calls(mut bytes: &[u8]) -> Option<usize> {
    let mut calls = 0;
    while !bytes.is_empty() {
        let (is_call, length) = next_field(&mut bytes)?;
        bytes = bytes.get(length..)?;
        calls += usize::from(is_call);
    }
    Some(calls)
}

/// Takes the head of a field: whether it is a call, which has number 1, and how many bytes follow.
fn next_field(bytes: &mut impl Buf) -> Option<(bool, usize)> {
    const CALL: u64 = 1 << 3 | 2;
    let key = varint(bytes)?;
    let length = match key & 7 {
        0 => varint(bytes).map(|_| 0)?,
        1 => 8,
        2 => varint(bytes)?,
        5 => 4,
        _ => return None,
    };
    Some((key == CALL, usize::try_from(length).ok()?))
}

fn varint(bytes: &mut impl Buf) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use trimaran_proto::queue::v1::{BodyPart, Ping, call};

    #[test]
    fn calls_are_counted_without_being_decoded() {
        let ping = Call { token: u64::MAX, call: Some(call::Call::Ping(Ping {})) };
        let part = call::Call::BodyPart(BodyPart { number: 1, data: Bytes::from(vec![0x0a; 1000]) });
        let calls = vec![ping.clone(), Call { token: 0, call: Some(part) }, ping];
        let bytes = SessionRequest { calls }.encode_to_vec();
        assert_eq!(count_calls(&bytes), Some(3));
        assert_eq!(count_calls(&[0x0a, 0].repeat(5000)), Some(5000));
        assert_eq!(count_calls(&[]), Some(0));
    }

    #[test]
    fn calls_come_out_of_a_frame_one_by_one_and_what_is_none_is_told_when_its_turn_comes() {
        let calls: Vec<Call> =
            (1..4).map(|token| Call { token, call: Some(call::Call::Ping(Ping {})) }).collect();
        let mut bytes = SessionRequest { calls: calls.clone() }.encode_to_vec();
        // A field that nobody knows, and a call whose token is a text.
        bytes.extend([0x7a, 2, 1, 2, 0x0a, 3, 0x0a, 1, b'x']);
        let mut frame = read_frame(&mut Bytes::from(bytes), 4).unwrap();
        assert_eq!(frame.first().unwrap(), Some(&calls[0]));
        for call in calls {
            assert_eq!(frame.take().unwrap(), Some(call));
        }
        assert!(!frame.is_empty() && frame.take().is_err() && frame.is_empty());
        assert!(read_frame(&mut Bytes::from([0x0a, 0].repeat(5)), 4).is_err(), "those are too many");
    }

    #[test]
    fn bytes_that_are_no_frame_are_told_apart() {
        for bytes in [&[0x0a, 5, 1][..], &[0x0f], &[0xff; 11], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(count_calls(bytes), None, "{bytes:?}");
        }
    }
}
