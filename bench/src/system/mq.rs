//! Trimaran over channels (port 1414), as IBM MQ's programs use them: the client half is our library's.
//!
//! Who may have one message unanswered puts it, and gets with MQGET, outside of a unit of work. Through a wider window programs put
//! asynchronously (MQPMO_ASYNC_RESPONSE) in units of ten, with one MQCMIT each, and are sent messages as they come (MQCB) in units
//! of work as large as what they ask for.

use std::collections::{HashMap, VecDeque};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::future::BoxFuture;
use trimaran_client::channel::constants::{get, open, put};
use trimaran_client::channel::{Asked, Channel, Heard, datagram};
use trimaran_client::{Attributes, Connection};

use super::through::Through;
use super::trimaran::{Port, QUEUE_MANAGER, Trimaran};
use super::{Consumer, ConsumerOptions, Place, Producer};

const CHANNEL: &str = "BENCH.SVRCONN";
const APPLICATION: &str = "trimaran-bench";
/// A tenth of it is for connections, 32 KiB each: the default of 2 GiB is enough for 6,500.
const MEMORY_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Puts of one unit of work.
const PUT_UNIT: usize = 10;
/// Gets of one unit of work, at most, where the work does not say.
const GET_UNIT: usize = 100;
/// What a message is taken for before one has come.
const BODY_BYTES: usize = 1024;

pub struct Mq {
    cluster: Trimaran,
}

impl Mq {
    pub fn new(place: &Place) -> Result<Mq> {
        let mut cluster = Trimaran::new(place)?;
        cluster.limit_memory(MEMORY_BYTES);
        Ok(Mq { cluster })
    }

    /// The same cluster over gRPC.
    pub fn streams(&mut self) -> &mut Trimaran {
        &mut self.cluster
    }

    async fn open(&mut self, queue: &str, options: u32) -> Result<(Channel, i32)> {
        let node = self.cluster.serving_index()?;
        let address = self.cluster.ports(Port::Channels)?.swap_remove(node);
        let connected = Channel::connect_shared(&address, CHANNEL, QUEUE_MANAGER, APPLICATION).await;
        let mut channel = connected.with_context(|| format!("connect to {address}"))?;
        let handle = channel.open(queue, options).await?;
        Ok((channel, handle))
    }
}

impl Through for Mq {
    fn trimaran(&self) -> &Trimaran {
        &self.cluster
    }

    fn trimaran_mut(&mut self) -> &mut Trimaran {
        &mut self.cluster
    }

    fn name(&self) -> &'static str {
        "trimaran-mq"
    }

    fn settings(&self) -> String {
        format!(
            "3 nodes, one queue manager, memory_bytes of 4 GiB; channels without TLS, as MQ programs use them: one message in \
             flight by MQPUT and MQGET outside of syncpoint, wider windows by asynchronous puts in units of {PUT_UNIT} and \
             asynchronous consume in units of up to {GET_UNIT}"
        )
    }

    fn prepare(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let connection: &Connection = self.cluster.connection()?;
            let attributes = Attributes::new().with("CHLTYPE", "SVRCONN");
            let attributes = attributes.with("MAXMSGL", 100 * 1024 * 1024).with("HBINT", 0);
            let defined = connection.admin().define("CHANNEL", CHANNEL, "", true, attributes).await;
            defined.context("define the channel")
        })
    }

    fn put_through<'a>(
        &'a mut self,
        queue: &'a str,
        window: usize,
    ) -> BoxFuture<'a, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            let (channel, handle) = self.open(queue, open::OUTPUT).await?;
            let unit = if window == 1 { 1 } else { PUT_UNIT };
            Ok(Box::new(ChannelProducer { channel, handle, unit, unanswered: HashMap::new() })
                as Box<dyn Producer>)
        })
    }

    fn get_through<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let (mut channel, handle) = self.open(queue, open::INPUT_SHARED).await?;
            if options.window == 1 && options.unit == 0 {
                let mut consumer = GettingConsumer { channel, handle, is_asked: false };
                consumer.ask().await?;
                return Ok(Box::new(consumer) as Box<dyn Consumer>);
            }
            let unit = if options.unit > 0 { options.unit } else { options.window.min(GET_UNIT) } as u32;
            let asked = Asked {
                options: get::SYNCPOINT,
                consumed: 0,
                messages: unit,
                body_bytes: BODY_BYTES,
                is_new: true,
            };
            channel.begin_start();
            channel.request(handle, asked);
            channel.flush().await?;
            let ready = VecDeque::new();
            Ok(Box::new(CalledConsumer { channel, handle, unit, asked, taken: 0, commits: 0, ready })
                as Box<dyn Consumer>)
        })
    }
}

struct ChannelProducer {
    channel: Channel,
    handle: i32,
    /// Puts that are committed together; 1 is outside of a unit of work.
    unit: usize,
    /// By the number of the answer that makes them safe: the first message, and how many.
    unanswered: HashMap<u32, (u64, usize)>,
}

impl ChannelProducer {
    fn on_heard(&mut self, heard: Heard, numbers: &mut Vec<u64>) -> Result<()> {
        let Heard::Answer(number, outcome) = heard else { bail!("a message for a producer: {heard:?}") };
        outcome?;
        let (first, count) = self.unanswered.remove(&number).context("an answer that nobody waits for")?;
        numbers.extend(first..first + count as u64);
        Ok(())
    }
}

impl Producer for ChannelProducer {
    fn send<'a>(&'a mut self, first: u64, bodies: &'a [Bytes]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut next = first;
            for unit in bodies.chunks(self.unit) {
                let mut number = 0;
                for body in unit {
                    let options =
                        if self.unit == 1 { put::NO_SYNCPOINT } else { put::SYNCPOINT | put::ASYNC_RESPONSE };
                    number = self.channel.begin_put(self.handle, datagram(), body.clone(), options);
                }
                if self.unit > 1 {
                    number = self.channel.begin_commit();
                }
                self.unanswered.insert(number, (next, unit.len()));
                next += unit.len() as u64;
            }
            self.channel.flush().await?;
            Ok(())
        })
    }

    fn acknowledged<'a>(&'a mut self, numbers: &'a mut Vec<u64>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut heard = Some(self.channel.hear().await?);
            while let Some(one) = heard {
                self.on_heard(one, numbers)?;
                heard = self.channel.try_hear()?;
            }
            Ok(())
        })
    }
}

/// One MQGET after the other.
struct GettingConsumer {
    channel: Channel,
    handle: i32,
    is_asked: bool,
}

impl GettingConsumer {
    async fn ask(&mut self) -> Result<()> {
        if !self.is_asked {
            self.channel.begin_get(self.handle, get::NO_SYNCPOINT | get::WAIT, -1);
            self.is_asked = true;
        }
        self.channel.flush().await?;
        Ok(())
    }
}

impl Consumer for GettingConsumer {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.ask().await?;
            let Heard::Answer(_, outcome) = self.channel.hear().await? else { bail!("an answer to no get") };
            let (_, body) = outcome?;
            bodies.push(body);
            self.is_asked = false;
            Ok(())
        })
    }
}

/// Is sent messages as they come, and commits when it has as many as it asked for.
struct CalledConsumer {
    channel: Channel,
    handle: i32,
    unit: u32,
    /// What it asked for last.
    asked: Asked,
    /// Room that is taken by messages since then.
    taken: u32,
    /// Commits that are not answered.
    commits: usize,
    ready: VecDeque<Bytes>,
}

impl CalledConsumer {
    fn on_heard(&mut self, heard: Heard) -> Result<()> {
        match heard {
            Heard::Answer(_, outcome) => {
                outcome?;
                self.commits -= 1;
            }
            Heard::Message(message) if message.md.is_some() && message.reason == 0 => {
                self.taken += message.room();
                let body_bytes = message.body.len();
                self.ready.push_back(message.body);
                if self.taken >= self.asked.room() {
                    self.commit();
                    let consumed = std::mem::take(&mut self.taken);
                    self.asked = Asked { consumed, body_bytes, is_new: false, ..self.asked };
                    self.channel.request(self.handle, self.asked);
                }
            }
            other => bail!("neither a message nor an answer: {other:?}"),
        }
        Ok(())
    }

    fn commit(&mut self) {
        debug_assert!(self.unit > 0, "a unit has messages");
        self.channel.begin_commit();
        self.commits += 1;
    }
}

impl Consumer for CalledConsumer {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while self.ready.is_empty() {
                self.channel.flush().await?;
                let heard = self.channel.hear().await?;
                self.on_heard(heard)?;
                while let Some(heard) = self.channel.try_hear()? {
                    self.on_heard(heard)?;
                }
            }
            self.channel.flush().await?;
            bodies.extend(self.ready.drain(..));
            Ok(())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.commit();
            self.channel.flush().await?;
            while self.commits > 0 {
                let heard = self.channel.hear().await?;
                self.on_heard(heard)?;
            }
            Ok(())
        })
    }
}
