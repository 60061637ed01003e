//! The program that attacks: in a process of its own, so that what it has to do does not delay the victim's clock.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use trimaran_client::Connection;
use trimaran_proto::message::v1::{Descriptor, Message};
use trimaran_proto::queue::v1::{self as wire, call::Call, completion::Data};

use crate::system::trimaran::{QUEUE_MANAGER, Stream, create};

pub const HANDLE: u32 = 1;
/// The id that messages of an attack have, and the one that none has.
pub const ID: &[u8] = b"attacked";
pub const NO_ID: &[u8] = b"nobody's";
const PUTS_A_FRAME: usize = 1000;

/// What is attacked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// Where the node listens that serves.
    pub active: String,
    /// Each node's ports, in the order of their ids, which begin with 1.
    pub clients: Vec<String>,
    pub peers: Vec<String>,
    pub monitors: Vec<String>,
}

pub struct Attacker {
    pub connection: Connection,
    pub queue: String,
    pub stream: Stream,
    pub target: Target,
    /// Strikes since the messages were there.
    pub strikes: usize,
    until: Instant,
}

/// What an attack finds.
#[derive(Clone, Copy)]
pub enum Before {
    Nothing,
    /// Messages with one correlation id on its queue. Those that expire are put again before each strike.
    Messages {
        count: usize,
        expire_ms: Option<u32>,
    },
    /// One message of this length.
    LongMessage {
        bytes: usize,
    },
    /// More queues.
    Queues {
        count: usize,
    },
}

/// A session with a queue opened for everything.
pub async fn opened(address: &str, queue: &str) -> Result<Stream> {
    let mut stream = Stream::connect(address).await?;
    let open = wire::Open {
        handle: HANDLE,
        queue: queue.to_string(),
        input: true,
        output: true,
        browse: true,
        ..wire::Open::default()
    };
    stream.ask(Call::Open(open)).await?;
    Ok(stream)
}

impl Attacker {
    /// With a queue of this name, opened for everything.
    pub async fn begin(target: Target, queue: String) -> Result<Attacker> {
        let connection = Connection::builder([&target.active]).queue_manager(QUEUE_MANAGER).connect().await?;
        create(&connection, &queue).await?;
        let stream = opened(&target.active, &queue).await?;
        Ok(Attacker { connection, queue, stream, target, strikes: 0, until: Instant::now() })
    }

    /// Once more, after the session was ended.
    pub async fn begin_again(&mut self) -> Result<()> {
        self.stream = opened(&self.target.active, &self.queue).await?;
        Ok(())
    }

    /// From now on, for so long.
    pub fn strike_for(&mut self, time: Duration) {
        self.until = Instant::now() + time;
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Leaves everything as it is, for this time or until the attack is over.
    pub async fn hold(&self, time: Duration) {
        let left = self.until.saturating_duration_since(Instant::now());
        tokio::time::sleep(left.min(time)).await;
    }

    pub async fn prepare(&mut self, before: Before) -> Result<()> {
        match before {
            Before::Nothing => Ok(()),
            Before::Messages { count, expire_ms } => {
                for begin in (0..count).step_by(PUTS_A_FRAME) {
                    let puts = (begin..count.min(begin + PUTS_A_FRAME)).map(|_| Call::Put(put(expire_ms)));
                    self.frame(puts.collect()).await?;
                }
                Ok(())
            }
            Before::LongMessage { bytes } => {
                self.connection.queue(&self.queue).put(vec![7; bytes]).await?;
                Ok(())
            }
            Before::Queues { count } => {
                let names = (0..count).map(|number| format!("{}.{number}", self.queue));
                let created = futures::stream::iter(names)
                    .map(|name| {
                        let connection = &self.connection;
                        async move { create(connection, &name).await }
                    })
                    .buffer_unordered(256);
                created.collect::<Vec<_>>().await.into_iter().collect()
            }
        }
    }

    pub fn address(&self) -> &str {
        &self.target.active
    }

    /// See [`frame`].
    pub async fn frame(&mut self, calls: Vec<Call>) -> Result<()> {
        frame(&mut self.stream, calls).await
    }
}

/// All of these calls in one frame; waits until each is answered, whatever the answer is.
pub async fn frame(stream: &mut Stream, calls: Vec<Call>) -> Result<()> {
    let mut left = calls.len();
    let calls = calls.into_iter().map(|call| wire::Call { token: stream.token(), call: Some(call) });
    let calls = calls.collect();
    stream.send(calls)?;
    while left > 0 {
        // A long body comes in parts before its answer.
        let is_part = |answer: &wire::Completion| matches!(answer.data, Some(Data::BodyPart(_)));
        left -= stream.answers().await?.iter().filter(|answer| !is_part(answer)).count();
    }
    Ok(())
}

/// Of a short message with the id of an attack.
pub fn put(expire_ms: Option<u32>) -> wire::Put {
    let descriptor = Descriptor {
        correlation_id: Bytes::from_static(ID),
        expiry: expire_ms.map(|ms| ms.div_ceil(100)),
        ..Descriptor::default()
    };
    let message =
        Message { descriptor: Some(Box::new(descriptor)), body: Bytes::from_static(b"?"), body_crc32c: None };
    wire::Put { to: Some(wire::put::To::Handle(HANDLE)), message: Some(message), ..wire::Put::default() }
}

pub fn get() -> wire::Get {
    wire::Get { handle: HANDLE, ..wire::Get::default() }
}
