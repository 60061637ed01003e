//! One connection: requests, one after the other, until its client goes or the node stops.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::service::Service;

/// Between two requests, and for the head of one. Whoever is silent makes way sooner where places are few (`security/places.rs`).
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
const HEAD_BYTES_MAX: usize = 32 * 1024;
const HEADERS_MAX: usize = 64;

/// The body of an answer: pieces that are counted until the connection has let go of them.
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

/// Until the client goes; once `closing` is over, until what is under way is answered.
pub async fn run<IO>(io: IO, service: Service, closing: impl Future<Output = ()>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = Arc::new(service);
    let answering = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(io), answering)
    );
    // A client that hangs up in the middle is no news.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closing => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
