//! The service of messages, with a limit of its own for each kind of request: frames of a session are short, a put
//! may have a body of 100 MiB.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use trimaran_proto::queue::v1 as wire;
use trimaran_proto::queue::v1::queue_server::QueueServer;

use super::ResponseStream;
use super::frame::{FRAME_BYTES_MAX, Frame, SessionCodec};
use super::intake::{Intake, Room};
use super::unary::Messaging;
use crate::types::{Account, limits};

/// `trimaran.queue.v1.Queue` as a tower service.
#[derive(Clone)]
pub struct QueueService {
    messaging: Arc<Messaging>,
    unary: QueueServer<Messaging>,
    account: Arc<Account>,
    calls_max: usize,
}

impl QueueService {
    pub fn new(messaging: Messaging) -> QueueService {
        let messaging = Arc::new(messaging);
        let limits = messaging.listener().limits.clone();
        let account = messaging.listener().account.clone();
        let put_bytes_max = limits::BODY_BYTES_MAX + 1024 * 1024;
        QueueService {
            unary: QueueServer::from_arc(messaging.clone()).max_decoding_message_size(put_bytes_max),
            messaging,
            account,
            calls_max: limits.calls_in_flight_max,
        }
    }
}

impl NamedService for QueueService {
    const NAME: &'static str = trimaran_proto::queue::v1::queue_server::SERVICE_NAME;
}

impl tower::Service<http::Request<Body>> for QueueService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let account = self.account.clone();
        match request.uri().path().rsplit('/').next() {
            Some("Session") => {
                let mut grpc = Grpc::new(SessionCodec { calls_max: self.calls_max })
                    .max_decoding_message_size(FRAME_BYTES_MAX);
                let session = SessionRoute(self.messaging.clone());
                let request = request.map(|body| Body::new(Intake::of_stream(body, account)));
                Box::pin(async move { Ok(grpc.streaming(session, request).await) })
            }
            Some("Put") => {
                let room = Room::default();
                request.extensions_mut().insert(room.clone());
                let request = request.map(|body| Body::new(Intake::of_put(body, account, room)));
                tower::Service::call(&mut self.unary, request)
            }
            _ => {
                let request = request.map(|body| Body::new(Intake::of_call(body, account)));
                tower::Service::call(&mut self.unary, request)
            }
        }
    }
}

struct SessionRoute(Arc<Messaging>);

impl StreamingService<Frame> for SessionRoute {
    type Response = wire::SessionResponse;
    type ResponseStream = ResponseStream<wire::SessionResponse>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Frame>>) -> Self::Future {
        let messaging = self.0.clone();
        Box::pin(async move { messaging.session(request).map(Response::new) })
    }
}
