//! The program that attacks: in a process of its own, so that what it has to do does not delay the victim's clock.

use anyhow::Result;
use bytes::Bytes;
use futures::StreamExt;
use trimaran_client::Connection;
use trimaran_proto::message::v1::{Descriptor, Message};
use trimaran_proto::queue::v1::{self as wire, call::Call};

use crate::system::trimaran::{QUEUE_MANAGER, Stream, create};

pub const HANDLE: u32 = 1;
/// The id that messages of an attack have, and the one that none has.
pub const ID: &[u8] = b"attacked";
pub const NO_ID: &[u8] = b"nobody's";
const PUTS_A_FRAME: usize = 1000;

pub struct Attacker {
    pub connection: Connection,
    pub queue: String,
    pub stream: Stream,
    address: String,
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
    /// More queues.
    Queues {
        count: usize,
    },
}

async fn opened(address: &str, queue: &str) -> Result<Stream> {
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
    pub async fn begin(address: &str, queue: String) -> Result<Attacker> {
        let connection = Connection::builder([address]).queue_manager(QUEUE_MANAGER).connect().await?;
        create(&connection, &queue).await?;
        let stream = opened(address, &queue).await?;
        Ok(Attacker { connection, queue, stream, address: address.to_string() })
    }

    /// Once more, after the session was ended.
    pub async fn begin_again(&mut self) -> Result<()> {
        self.stream = opened(&self.address, &self.queue).await?;
        Ok(())
    }

    pub async fn prepare(&mut self, before: Before) -> Result<()> {
        match before {
            Before::Nothing => Ok(()),
            Before::Messages { count, expire_ms } => {
                for begin in (0..count).step_by(PUTS_A_FRAME) {
                    let puts = (begin..count.min(begin + PUTS_A_FRAME)).map(|_| put(expire_ms));
                    self.frame(puts.collect()).await?;
                }
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
        &self.address
    }

    /// All of these calls in one frame; waits until each is answered, whatever the answer is.
    pub async fn frame(&mut self, calls: Vec<Call>) -> Result<()> {
        let mut left = calls.len();
        let calls = calls.into_iter().map(|call| wire::Call { token: self.stream.token(), call: Some(call) });
        let calls = calls.collect();
        self.stream.send(calls)?;
        while left > 0 {
            left -= self.stream.answers().await?.len();
        }
        Ok(())
    }
}

fn put(expire_ms: Option<u32>) -> Call {
    let descriptor = Descriptor {
        correlation_id: Bytes::from_static(ID),
        expiry: expire_ms.map(|ms| ms.div_ceil(100)),
        ..Descriptor::default()
    };
    let message = Message { descriptor: Some(descriptor), body: Bytes::from_static(b"?"), body_crc32c: None };
    Call::Put(wire::Put {
        to: Some(wire::put::To::Handle(HANDLE)),
        message: Some(message),
        ..wire::Put::default()
    })
}

pub fn get() -> wire::Get {
    wire::Get { handle: HANDLE, ..wire::Get::default() }
}
