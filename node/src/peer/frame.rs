//! What travels between nodes: frames on a connection, each a length and a message, and no byte copied more often than
//! it pays.
//!
//! ```text
//! who dials → "TRIMARAN" PeerHello     who was dialled → "TRIMARAN" PeerAck
//!             frame …                                      frame …
//! frame: length of the message (4 bytes, little-endian), the message (protobuf)
//! ```
//! Not gRPC: a frame a turn in each direction is the life of a replica, and a put that waits for it alone pays for every
//! task and every buffer in between. An entry is encoded by the leader's replica and never again: here it is one copy
//! into the frame when sending, and when receiving a slice of memory that holds this frame and nothing else.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use trimaran_proto::replica::v1::peer_message::Message as Kind;
use trimaran_proto::replica::v1::{ClientConnections, PeerMessage};

/// No frame is larger: several full entries and what is around them.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// No chunk of a snapshot is larger: 256 KiB of rows, and the last of them as long as a row gets.
pub const CHUNK_FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What waits goes into one frame up to about this size.
pub const FRAME_BYTES_SOFT: usize = 1024 * 1024;

/// What each end says first, so that it shows at once who else may listen at a wrong address.
const MAGIC: [u8; 8] = *b"TRIMARAN";
const LENGTH_BYTES: usize = 4;
/// No longer frame is taken from somebody who has not said who he is.
const HELLO_BYTES_MAX: usize = 16 * 1024;
/// Frames up to this size are copied out of the buffer they arrive in; larger ones are read into memory of their own.
const COPIED_BYTES_MAX: usize = 32 * 1024;
/// A writer that held a longer frame gives its memory back.
const KEPT_BYTES_MAX: usize = 2 * FRAME_BYTES_SOFT;

/// What a message takes on the wire, about.
pub fn weight(message: &PeerMessage) -> usize {
    match &message.message {
        Some(Kind::Raft(raft)) => raft.entries.iter().map(|entry| entry.data.len() + 32).sum::<usize>() + 64,
        _ => 64,
    }
}

/// The same of who is connected.
pub fn weight_of_clients(said: &ClientConnections) -> usize {
    said.addresses.iter().map(|of| of.came.len() + of.gone.len() + 32).sum::<usize>() + 32
}

/// The two ends of a connection, plain or TLS.
pub fn split<IO>(io: IO) -> (FrameReader, FrameWriter)
where
    IO: AsyncRead + AsyncWrite + Send + 'static,
{
    let (read, write) = tokio::io::split(io);
    let reader =
        FrameReader { io: Box::pin(read), arrived: BytesMut::new(), long: None, length_max: HELLO_BYTES_MAX };
    let writer = FrameWriter { io: Box::pin(write), frames: Vec::new(), sent: 0 };
    (reader, writer)
}

pub struct FrameReader {
    io: Pin<Box<dyn AsyncRead + Send>>,
    arrived: BytesMut,
    long: Option<Long>,
    length_max: usize,
}

/// A frame that is read into memory of its own.
struct Long {
    frame: BytesMut,
    length: usize,
}

impl FrameReader {
    /// What the other end says first. `InvalidData`: it is no node of Trimaran.
    pub async fn magic(&mut self) -> io::Result<()> {
        while self.arrived.len() < MAGIC.len() && MAGIC.starts_with(&self.arrived) {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if !self.arrived.starts_with(&MAGIC) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the other end does not speak as a node of Trimaran does: it may be another program, or have [tls] in its \
                 cluster file, and this node not",
            ));
        }
        self.arrived.advance(MAGIC.len());
        Ok(())
    }

    /// The other end said who it is: frames may be as long as what it comes for has them.
    pub fn take_frames_up_to(&mut self, length_max: usize) {
        self.length_max = length_max;
    }

    /// A frame has begun to arrive and is not complete.
    pub fn is_within_frame(&self) -> bool {
        self.long.is_some() || !self.arrived.is_empty()
    }

    /// The next frame; None at the end of the stream. May be dropped while it waits and called again.
    pub async fn next<M: Message + Default>(&mut self) -> io::Result<Option<M>> {
        loop {
            if let Some(frame) = self.take()? {
                let message = M::decode(frame).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("not a frame: {error}"))
                })?;
                return Ok(Some(message));
            }
            if !self.fill().await? {
                return if self.is_within_frame() {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(None)
                };
            }
        }
    }

    /// A frame that is there as a whole.
    fn take(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(long) = self.long.take_if(|long| long.frame.len() == long.length) {
            return Ok(Some(long.frame.freeze()));
        }
        let Some(length) = self.arrived.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > self.length_max {
            let text = format!("a frame of {length} bytes; the longest has {}", self.length_max);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if let Some(frame) = self.arrived.get(LENGTH_BYTES..LENGTH_BYTES + length) {
            // A copy: messages stay in memory for long, as slices of what is decoded here, and must not keep what came
            // before and after them.
            let frame = Bytes::copy_from_slice(frame);
            self.arrived.advance(LENGTH_BYTES + length);
            return Ok(Some(frame));
        }
        if length > COPIED_BYTES_MAX {
            let mut frame = BytesMut::with_capacity(length);
            frame.extend_from_slice(&self.arrived[LENGTH_BYTES..]);
            self.arrived.clear();
            self.long = Some(Long { frame, length });
        }
        Ok(None)
    }

    /// Reads what there is; false at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        let read = match &mut self.long {
            Some(long) => {
                let missing = long.length - long.frame.len();
                self.io.read_buf(&mut (&mut long.frame).limit(missing)).await?
            }
            None => {
                self.arrived.reserve(LENGTH_BYTES + COPIED_BYTES_MAX);
                self.io.read_buf(&mut self.arrived).await?
            }
        };
        Ok(read > 0)
    }

    /// Reads and forgets until the other end closes: what it still sends must not reset the connection before it has
    /// read what was said last.
    pub async fn drain(&mut self) {
        self.long = None;
        self.arrived.clear();
        while self.fill().await.unwrap_or(false) {
            self.arrived.clear();
        }
    }
}

pub struct FrameWriter {
    io: Pin<Box<dyn AsyncWrite + Send>>,
    frames: Vec<u8>,
    /// How much of `frames` is on its way.
    sent: usize,
}

impl FrameWriter {
    pub fn push_magic(&mut self) {
        self.frames.extend_from_slice(&MAGIC);
    }

    /// Puts a frame behind what is not sent yet.
    pub fn push<M: Message>(&mut self, message: &M) {
        let length = message.encoded_len();
        assert!(length <= FRAME_BYTES_MAX, "a frame of {length} bytes");
        let missing = LENGTH_BYTES + length;
        if self.frames.is_empty() && self.frames.capacity() < missing {
            // Growing would copy what was sent before.
            self.frames = Vec::with_capacity(missing);
        }
        self.frames.reserve(missing);
        self.frames.put_u32_le(length as u32);
        message.encode(&mut self.frames).expect("a vector grows as needed");
    }

    /// Everything that was pushed is on its way.
    pub fn is_idle(&self) -> bool {
        self.frames.is_empty()
    }

    /// Ready when everything that was pushed is on its way.
    pub fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.frames.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let unsent @ [_, ..] = &self.frames[self.sent..] {
            match ready!(self.io.as_mut().poll_write(context, unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        ready!(self.io.as_mut().poll_flush(context))?;
        self.sent = 0;
        self.frames.clear();
        if self.frames.capacity() > KEPT_BYTES_MAX {
            self.frames = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a frame, and waits until it is on its way.
    pub async fn send<M: Message>(&mut self, message: &M) -> io::Result<()> {
        self.push(message);
        std::future::poll_fn(|context| self.poll_send(context)).await
    }

    /// Nothing follows.
    pub async fn shut_down(&mut self) {
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.io).await;
    }
}

impl std::fmt::Debug for FrameWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameWriter").field("unsent", &(self.frames.len() - self.sent)).finish()
    }
}

#[cfg(test)]
mod tests {
    use trimaran_proto::replica::v1::Row;

    use super::*;

    fn row(length: usize) -> Row {
        Row { value: vec![length as u8; length].into(), ..Row::default() }
    }

    async fn arrives(lengths: &[usize], pipe_bytes: usize) {
        let (near, far) = tokio::io::duplex(pipe_bytes);
        let (_near, mut writer) = split(near);
        let (mut reader, _far) = split(far);
        let sent: Vec<usize> = lengths.to_vec();
        let sending = tokio::spawn(async move {
            writer.push_magic();
            for length in sent {
                writer.send(&row(length)).await.unwrap();
            }
            (_near, writer)
        });
        reader.magic().await.unwrap();
        reader.take_frames_up_to(FRAME_BYTES_MAX);
        for length in lengths {
            assert_eq!(reader.next().await.unwrap(), Some(row(*length)));
        }
        drop(sending.await.unwrap());
        assert_eq!(reader.next::<Row>().await.unwrap(), None);
    }

    #[tokio::test]
    async fn frames_of_all_lengths_arrive_whatever_the_line_cuts() {
        let edge = COPIED_BYTES_MAX;
        let lengths = [0, 1, 5, edge - 8, edge - 1, edge, edge + 1, 3, 2 * edge, FRAME_BYTES_SOFT, 0, 7];
        for pipe_bytes in [1, 3, 4096, 1 << 20] {
            arrives(&lengths, pipe_bytes).await;
        }
    }

    #[tokio::test]
    async fn a_stranger_is_told_from_a_node_at_its_first_bytes() {
        for words in [&b"PRI * HTTP/2.0\r\n"[..], b"SSH-2.0", b"TRIM"] {
            let (near, mut far) = tokio::io::duplex(64);
            let (mut reader, _writer) = split(near);
            tokio::io::AsyncWriteExt::write_all(&mut far, words).await.unwrap();
            drop(far);
            assert!(reader.magic().await.is_err(), "{words:?}");
        }
    }

    #[tokio::test]
    async fn a_length_that_no_frame_has_and_an_end_within_one_are_errors() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut reader, _writer) = split(near);
        tokio::io::AsyncWriteExt::write_all(&mut far, &u32::MAX.to_le_bytes()).await.unwrap();
        assert_eq!(reader.next::<Row>().await.unwrap_err().kind(), io::ErrorKind::InvalidData);

        let (near, mut far) = tokio::io::duplex(64);
        let (mut reader, _writer) = split(near);
        tokio::io::AsyncWriteExt::write_all(&mut far, &[9, 0, 0, 0, 1]).await.unwrap();
        drop(far);
        assert_eq!(reader.next::<Row>().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
