//! Responses on their way out: their bytes are held in the node's account until the connection has let go of them, and
//! have to be taken in time.
//!
//! HTTP/2 keeps what it is given until the client opens its windows: it asks for more while it has less than 400 KiB of a
//! stream (`max_send_buf_size` of hyper, which tonic leaves as it is), and keeps the last that it got, however long. So a
//! long message is given to it in pieces: where it lets go of one, the client has taken it.
//!
//! Calls that nobody knows are noted with their connection, which has few of them for free (`frames.rs`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame};
use tonic::Status;

use crate::listener::Client;
use crate::listener::backlogs::{Backlogs, Of};
use crate::listener::unread::Unread;

/// What HTTP/2 is given at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// As the head of a response says it.
const UNIMPLEMENTED: &str = "12";
/// Calls whose answers are streams that a client takes when it gets to them.
const STREAMS: [&str; 3] = ["Session", "Browse", "ServerReflectionInfo"];

/// The body of a response.
pub struct Outflow {
    inner: tonic::body::Body,
    unread: Unread,
    /// Of a message that is given away in pieces.
    rest: Bytes,
}

impl Outflow {
    pub fn new(inner: tonic::body::Body, unread: Unread) -> Outflow {
        Outflow { inner, unread, rest: Bytes::new() }
    }

    fn next_piece(&mut self) -> Frame<Bytes> {
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        Frame::data(self.unread.part(piece))
    }
}

impl Body for Outflow {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if !this.rest.is_empty() {
            return Poll::Ready(Some(Ok(this.next_piece())));
        }
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) if data.len() <= PIECE_BYTES => Frame::data(this.unread.hold_and_part(data)),
            Ok(data) => {
                this.rest = this.unread.hold(data);
                this.next_piece()
            }
            Err(trailers) => trailers,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }
}

/// Gives all services of a listener such responses.
#[derive(Clone, Debug)]
pub struct OutflowLayer(pub Arc<Backlogs>);

impl<S> tower::Layer<S> for OutflowLayer {
    type Service = GivenOut<S>;

    fn layer(&self, inner: S) -> GivenOut<S> {
        GivenOut { inner, backlogs: self.0.clone() }
    }
}

/// A service whose responses go out like this.
#[derive(Clone, Debug)]
pub struct GivenOut<S> {
    inner: S,
    backlogs: Arc<Backlogs>,
}

impl<S> tower::Service<http::Request<tonic::body::Body>> for GivenOut<S>
where
    S: tower::Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Outflow>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let client = request.extensions().get::<Client>().cloned().unwrap_or_default();
        let method = request.uri().path().rsplit('/').next();
        let of = if method.is_some_and(|method| STREAMS.contains(&method)) { Of::Stream } else { Of::Call };
        let backlogs = self.backlogs.clone();
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            if response.headers().get(Status::GRPC_STATUS).is_some_and(|status| status == UNIMPLEMENTED) {
                client.note_idle();
            }
            Ok(response.map(|body| Outflow::new(body, Unread::watched(&backlogs, client, of))))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::super::testing::body;
    use super::*;
    use crate::types::{Account, Share};

    #[tokio::test]
    async fn a_long_message_goes_out_in_pieces_and_is_counted_until_the_last_is_gone() {
        let account = Account::new(1 << 30);
        let message: Bytes = (0..200_000u32).map(|at| at as u8).collect();
        let (sender, body) = body();
        sender.send(message.clone()).unwrap();
        drop(sender);
        let mut outflow = Outflow::new(body, Unread::counted(account.clone()));
        let mut pieces = Vec::new();
        while !outflow.is_end_stream() {
            let frame = poll_fn(|context| Pin::new(&mut outflow).poll_frame(context)).await;
            pieces.push(frame.unwrap().unwrap().into_data().unwrap());
        }
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [65_536, 65_536, 65_536, 3392]);
        assert_eq!(pieces.concat(), message);
        // HTTP/2 keeps them when nobody has anything more to say.
        drop(outflow);
        drop(pieces.split_off(1));
        assert!(account.used(Share::Answers) > 200_000);
        drop(pieces);
        assert_eq!(account.used(Share::Answers), 0);
    }
}
