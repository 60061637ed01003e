//! What gRPC streams themselves allow: a server that answers and does nothing else, and clients with one put on its way
//! each. What many small conversations cost beyond this is the queue's.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::stream::{BoxStream, StreamExt as _};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use trimaran_proto::message::v1::Message;
use trimaran_proto::queue::v1::queue_client::QueueClient;
use trimaran_proto::queue::v1::queue_server::{Queue, QueueServer};
use trimaran_proto::queue::v1::{
    BrowseRequest, BrowseResponse, Call, Completion, GetRequest, GetResponse, Placed, Put, PutRequest,
    PutResponse, SessionRequest, SessionResponse, call, completion,
};

use crate::machine::{Cost, sample};
use crate::process::{Server, free_ports};
use crate::raw::{self, Limit};

/// The server is given so long to listen.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Clients with one put in flight each, all on this thread, and a server process of one thread.
pub async fn measure(directory: &Path, clients: usize, time: Duration) -> Result<Limit> {
    let home = tempfile::Builder::new().prefix("echo-").tempdir_in(directory)?;
    let port = free_ports(1)?[0];
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["raw-echo", &port.to_string()]);
    let server = Server::start(command, home.path().join("echo.log"))?;
    let mut sessions = Vec::new();
    for _ in 0..clients {
        sessions.push(Session::open(port).await?);
    }
    let pids = [server.pid()];
    let before = sample(&pids, None)?;
    let until = tokio::time::Instant::now() + time;
    let mut tasks = JoinSet::new();
    for session in sessions {
        tasks.spawn(session.converse(until));
    }
    let mut all = raw::histogram()?;
    while let Some(one) = tasks.join_next().await {
        all.add(one??)?;
    }
    let cost = Cost::between(&before, &sample(&pids, None)?);
    let name = format!("gRPC stream that only answers, {clients} x 1 in flight");
    Ok(Limit::of(name, &all, all.len() as usize, &cost, 1))
}

struct Session {
    ask: tokio::sync::mpsc::Sender<SessionRequest>,
    answers: Streaming<SessionResponse>,
}

impl Session {
    async fn open(port: u16) -> Result<Session> {
        let address = format!("http://127.0.0.1:{port}");
        let begun = Instant::now();
        let mut client = loop {
            match QueueClient::connect(address.clone()).await {
                Ok(client) => break client,
                Err(error) if begun.elapsed() > START_PATIENCE => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let (ask, asked) = tokio::sync::mpsc::channel(1);
        let answers = client.session(ReceiverStream::new(asked)).await?.into_inner();
        Ok(Session { ask, answers })
    }

    /// Nanoseconds from each put to its answer.
    async fn converse(mut self, until: tokio::time::Instant) -> Result<Histogram<u64>> {
        let mut histogram = raw::histogram()?;
        let message = Message { body: raw::body(1).into(), ..Message::default() };
        for token in 1.. {
            let sent = tokio::time::Instant::now();
            if sent >= until {
                break;
            }
            let put = Put { message: Some(message.clone()), ..Put::default() };
            let calls = vec![Call { token, call: Some(call::Call::Put(put)) }];
            self.ask.send(SessionRequest { calls }).await?;
            self.answers.message().await?.context("the server ends")?;
            histogram.saturating_record(sent.elapsed().as_nanos() as u64);
        }
        Ok(histogram)
    }
}

/// The server, until it is killed.
pub async fn serve(port: u16) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let connections = TcpListenerStream::new(listener).map(|connection| {
        let connection = connection?;
        connection.set_nodelay(true)?;
        Ok::<_, std::io::Error>(connection)
    });
    tonic::transport::Server::builder()
        .add_service(QueueServer::new(OnlyAnswers))
        .serve_with_incoming(connections)
        .await?;
    Ok(())
}

struct OnlyAnswers;

#[tonic::async_trait]
impl Queue for OnlyAnswers {
    type SessionStream = BoxStream<'static, Result<SessionResponse, Status>>;
    type BrowseStream = BoxStream<'static, Result<BrowseResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let placed = completion::Data::Placed(Placed { message_id: vec![7; 24].into(), ..Placed::default() });
        let answer = move |call: Call| Completion {
            token: call.token,
            data: Some(placed.clone()),
            ..Completion::default()
        };
        let answers = request.into_inner().map(move |request| {
            let completions = request?.calls.into_iter().map(&answer).collect();
            Ok(SessionResponse { completions, units_decided: 0 })
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        Err(Status::unimplemented("only sessions are answered"))
    }

    async fn get(&self, _: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        Err(Status::unimplemented("only sessions are answered"))
    }

    async fn browse(&self, _: Request<BrowseRequest>) -> Result<Response<Self::BrowseStream>, Status> {
        Err(Status::unimplemented("only sessions are answered"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_client_gets_its_answers() {
        let port = free_ports(1).unwrap()[0];
        let server = tokio::spawn(serve(port));
        let session = Session::open(port).await.unwrap();
        let until = tokio::time::Instant::now() + Duration::from_millis(50);
        let histogram = session.converse(until).await.unwrap();
        assert!(!histogram.is_empty());
        server.abort();
    }
}
