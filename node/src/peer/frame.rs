//! What travels between nodes, and a codec that copies no byte more often than it pays.
//!
//! An entry is encoded by the leader's replica and never again: here it is one copy into the frame's buffer when
//! sending, and when receiving a slice of memory that holds this frame and nothing else.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use trimaran_proto::replica::v1::peer_message::Message as Kind;
use trimaran_proto::replica::v1::{PeerFrame, PeerMessage};

/// No frame or chunk is larger: several full entries and what is around them.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Turns that wait are merged into one frame up to about this size.
pub const FRAME_BYTES_SOFT: usize = 1024 * 1024;

/// Frames up to this size are copied out of the buffer they arrive in; larger ones fill theirs.
const COPIED_BYTES_MAX: usize = 128 * 1024;

/// About what messages take on the wire.
pub fn weight(messages: &[PeerMessage]) -> usize {
    let message = |message: &PeerMessage| match &message.message {
        Some(Kind::Raft(raft)) => raft.entries.iter().map(|entry| entry.data.len() + 32).sum::<usize>() + 64,
        _ => 64,
    };
    messages.iter().map(message).sum()
}

/// The first frame of a stream: who speaks, to whom.
pub fn hello(cluster: &str, from: u64, to: u64, probe: bool) -> PeerFrame {
    PeerFrame {
        cluster: cluster.to_owned(),
        from,
        to,
        version: super::PROTOCOL_VERSION,
        messages: Vec::new(),
        probe,
    }
}

/// As tonic's prost codec, but room for the whole message is made before it is encoded, and frames are gathered into
/// larger writes.
#[derive(Debug)]
pub struct FrameCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for FrameCodec<T, U> {
    fn default() -> Self {
        FrameCodec(PhantomData)
    }
}

impl<T, U> Codec for FrameCodec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = FrameEncoder<T>;
    type Decoder = FrameDecoder<U>;

    fn encoder(&mut self) -> FrameEncoder<T> {
        FrameEncoder(PhantomData)
    }

    fn decoder(&mut self) -> FrameDecoder<U> {
        FrameDecoder(PhantomData)
    }
}

#[derive(Debug)]
pub struct FrameEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for FrameEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(16 * 1024, 256 * 1024)
    }
}

#[derive(Debug)]
pub struct FrameDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for FrameDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // Bodies stay in memory for long, as slices of what is decoded here. Slices of tonic's buffer would keep all of
        // it, also what no frame came to fill, and make tonic take fresh memory for the next frame.
        let length = buffer.remaining();
        let frame = match length <= COPIED_BYTES_MAX {
            true => {
                let copy = Bytes::copy_from_slice(buffer.chunk());
                buffer.advance(copy.len());
                copy
            }
            false => buffer.copy_to_bytes(length),
        };
        U::decode(frame).map(Some).map_err(|error| Status::invalid_argument(format!("not a frame: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(16 * 1024, 256 * 1024)
    }
}
