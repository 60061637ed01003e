//! Long unary puts on their way in. A body over 1 MiB needs a place of which the node has a few, and keeps it until
//! the put is answered; without one it is not read. So a hundred clients that each send 100 MiB in one message take
//! the memory of a few.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tonic::Status;

/// What may come in without a place.
const SMALL_BYTES: usize = 1024 * 1024;
/// A place is taken away from a client that sends nothing for so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The place of one put, kept in its request's extensions.
#[derive(Clone, Debug, Default)]
pub struct Place(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

pub struct Upload {
    inner: tonic::body::Body,
    received: usize,
    places: Arc<Semaphore>,
    place: Place,
    state: State,
}

enum State {
    Small,
    Waiting(BoxFuture<'static, OwnedSemaphorePermit>),
    Large(Pin<Box<Sleep>>),
}

impl Upload {
    pub fn new(inner: tonic::body::Body, places: Arc<Semaphore>, place: Place) -> Upload {
        Upload { inner, received: 0, places, place, state: State::Small }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let State::Small = self.state
            && self.received > SMALL_BYTES
        {
            let places = self.places.clone();
            let permit = async move { places.acquire_owned().await.expect("the semaphore is never closed") };
            self.state = State::Waiting(Box::pin(permit));
        }
        if let State::Waiting(permit) = &mut self.state {
            let permit = ready!(permit.as_mut().poll(context));
            *self.place.0.lock() = Some(permit);
            self.state = State::Large(Box::pin(tokio::time::sleep(PATIENCE)));
        }
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let State::Large(patience) = &mut self.state {
            match frame {
                Poll::Ready(_) => patience.as_mut().reset(Instant::now() + PATIENCE),
                Poll::Pending => {
                    ready!(patience.as_mut().poll(context));
                    let text = format!("Nothing came of the long message for {} s.", PATIENCE.as_secs());
                    return Poll::Ready(Some(Err(Status::deadline_exceeded(text))));
                }
            }
        }
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.received += frame.data_ref().map_or(0, Bytes::len);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
