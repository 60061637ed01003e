//! The body of an answer as HTTP takes it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// Pieces that are counted until the connection has let go of them.
#[derive(Debug, Default)]
pub struct Given {
    parts: VecDeque<Bytes>,
    bytes: u64,
}

impl Given {
    pub fn of(parts: impl IntoIterator<Item = Bytes>) -> Given {
        let parts: VecDeque<Bytes> = parts.into_iter().collect();
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        Given { parts, bytes }
    }
}

impl Body for Given {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.pop_front();
        self.bytes -= part.as_ref().map_or(0, |part| part.len() as u64);
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}
