//! How frames of a session are read and written.
//!
//! The encoding is protobuf's. What this codec adds is a look at a frame before it is decoded: a frame of two million
//! empty calls has 4 MiB on the wire and a gigabyte in memory.

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};
use trimaran_proto::queue::v1::{SessionRequest, SessionResponse};

use bytes::Buf;

/// Longest frame of a session, in both directions.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub struct SessionCodec {
    pub calls_max: usize,
}

impl Codec for SessionCodec {
    type Encode = SessionResponse;
    type Decode = SessionRequest;
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
    type Item = SessionRequest;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<SessionRequest>, Status> {
        decode_frame(source, self.calls_max).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(32 * 1024, 64 * 1024)
    }
}

/// The frame that `source` holds, all of it.
///
/// # Errors
/// INVALID_ARGUMENT when it is none, and when it has more than `calls_max` calls; then it was not decoded.
pub fn decode_frame(source: &mut impl Buf, calls_max: usize) -> Result<SessionRequest, Status> {
    let damaged =
        |reason: String| Status::invalid_argument(format!("The frame is not a SessionRequest: {reason}."));
    let calls = count_calls(source.chunk()).ok_or_else(|| damaged("its fields do not add up".into()))?;
    if calls > calls_max {
        return Err(Status::invalid_argument(format!(
            "A frame has at most {calls_max} calls, this one has {calls}; send them in several frames."
        )));
    }
    let mut request = SessionRequest { calls: Vec::with_capacity(calls) };
    request.merge(source).map_err(|error| damaged(error.to_string()))?;
    Ok(request)
}

/// Calls of an encoded `SessionRequest`: fields with number 1. None when the bytes cannot be one.
fn count_calls(mut bytes: &[u8]) -> Option<usize> {
    let mut calls = 0;
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let length = match key & 7 {
            0 => varint(&mut bytes).map(|_| 0)?,
            1 => 8,
            2 => varint(&mut bytes)?,
            5 => 4,
            _ => return None,
        };
        bytes = bytes.get(usize::try_from(length).ok()?..)?;
        calls += usize::from(key >> 3 == 1);
    }
    Some(calls)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
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
    use trimaran_proto::queue::v1::{BodyPart, Call, Ping, call};

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
    fn bytes_that_are_no_frame_are_told_apart() {
        for bytes in [&[0x0a, 5, 1][..], &[0x0f], &[0xff; 11], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(count_calls(bytes), None, "{bytes:?}");
        }
    }
}
