//! The seam between the load and what it is put on: one file per system.
//!
//! A [`System`] starts and stops its cluster and hands out producers and consumers, each with a connection of its own,
//! made with the library that the system's own users use. All of them report acknowledgements by the number of the
//! message, so that nothing needs to be taken on trust.

pub mod artemis;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod mq;
pub mod nats;
pub mod rabbitmq;
mod through;
pub mod trimaran;
pub mod unary;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;

pub trait Producer: Send {
    /// Sends these bodies with the numbers from `first` on, in order. Does not wait for answers.
    fn send<'a>(&'a mut self, first: u64, bodies: &'a [Bytes]) -> BoxFuture<'a, Result<()>>;

    /// Waits for acknowledgements and adds the numbers of the messages that are safe now. May be dropped while it
    /// waits, without losing any.
    fn acknowledged<'a>(&'a mut self, numbers: &'a mut Vec<u64>) -> BoxFuture<'a, Result<()>>;
}

pub trait Consumer: Send {
    /// Waits for messages, takes them from the queue and adds their bodies. May be dropped while it waits, without
    /// losing any.
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>>;

    /// Makes what was received final, where it is not.
    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ConsumerOptions {
    /// Gets outstanding, or messages delivered ahead.
    pub window: usize,
    /// See [`crate::work::Work::unit`].
    pub unit: usize,
    /// Which consumer of its queue this is, from 0.
    #[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only Kafka shares a queue by hand"))]
    pub index: usize,
    /// How many consumers its queue has.
    #[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only Kafka shares a queue by hand"))]
    pub count: usize,
}

/// A cluster, and how work is put on it.
pub trait System: Send {
    fn about(&self) -> About;
    fn cluster(&self) -> &Cluster;
    fn cluster_mut(&mut self) -> &mut Cluster;
    /// Starts the servers and waits until they serve. After a stop, with the files they have.
    fn start(&mut self) -> BoxFuture<'_, Result<()>>;
    /// Stops the servers; their files stay until the system is dropped.
    fn stop(&mut self) -> Result<()> {
        self.cluster_mut().stop()
    }
    /// How long load must be on it before it is as fast as it gets: a virtual machine compiles while it runs.
    fn warm_up(&self) -> Duration {
        Duration::ZERO
    }
    /// Process ids of the servers.
    fn servers(&self) -> Vec<u32> {
        self.cluster().pids()
    }
    /// Where its files are.
    fn directory(&self) -> PathBuf {
        self.cluster().path().to_path_buf()
    }
    /// Messages of one producer leave in the order they were sent.
    fn keeps_order(&self) -> bool {
        true
    }
    fn create_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>>;
    fn delete_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Many at once, where that is faster.
    fn create_queues<'a>(&'a mut self, queues: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for queue in queues {
                self.create_queue(queue).await.with_context(|| format!("create queue {queue}"))?;
            }
            Ok(())
        })
    }
    fn delete_queues<'a>(&'a mut self, queues: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for queue in queues {
                self.delete_queue(queue).await.with_context(|| format!("delete queue {queue}"))?;
            }
            Ok(())
        })
    }
    fn producer<'a>(&'a mut self, queue: &'a str, window: usize) -> BoxFuture<'a, Result<Box<dyn Producer>>>;
    fn consumer<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>>;
    /// A consumer that leaves messages where they are and begins again at the front when it reached the end.
    fn browser<'a>(&'a mut self, queue: &'a str, _window: usize) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        let name = self.about().name;
        Box::pin(
            async move { anyhow::bail!("{name} cannot browse {queue}: messages are only given to be taken") },
        )
    }
    /// Number of the server that leads the queue, for those who want to kill it.
    fn leader<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<usize>>;
    /// Starts a server again that was stopped alone, with the files it has.
    fn rejoin(&mut self, server: usize) -> Result<()>;
    /// The server has everything of the queue that the others have.
    fn is_in_sync<'a>(&'a mut self, queue: &'a str, server: usize) -> BoxFuture<'a, Result<bool>>;
    /// Puts one message after the other through the client library as a program would that must not stop: it goes on
    /// with another node when its own is gone.
    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>>;
}

/// See [`System::patient`].
pub trait Patient: Send {
    /// Returns when the message is acknowledged, however long that takes and however often it must be tried.
    fn put(&mut self, body: Bytes) -> BoxFuture<'_, Result<()>>;
}

/// What a reader of a figure must know about a system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    pub name: String,
    pub version: String,
    pub settings: String,
    /// Acknowledged after it is on disk on a majority, or on all copies but the one that is replicated to.
    pub durable: bool,
    /// Copies of each message.
    pub copies: usize,
}

/// Names for `--system`, with what they stand for.
pub const NAMES: [(&str, &str); 10] = [
    ("trimaran", "Trimaran over gRPC streams, as its client library speaks"),
    ("trimaran-unary", "Trimaran with one gRPC call a message"),
    ("trimaran-mq", "Trimaran over channels (port 1414), as IBM MQ's programs use them"),
    ("nats", "NATS JetStream R3, file storage, sync_interval: always"),
    ("nats-default", "the same with NATS's default, acknowledged before it is on any disk: NOT DURABLE"),
    ("rabbitmq", "RabbitMQ quorum queues with default settings"),
    ("rabbitmq-best", "the same with flow control opened up and a longer command window"),
    ("kafka", "Kafka, replication 3, acks=all, log.flush.interval.messages=1"),
    ("kafka-default", "the same with Kafka's default, acknowledged before it is on any disk: NOT DURABLE"),
    ("artemis", "ActiveMQ Artemis, a primary and a backup that replicates"),
];

/// Where and with what clusters are started.
#[derive(Clone, Debug)]
pub struct Place {
    /// Directories of clusters are made in here.
    pub work: PathBuf,
    pub node_binary: Option<PathBuf>,
    /// Each server gets a network that it can be cut off from.
    pub apart: bool,
}

pub fn by_name(name: &str, place: &Place) -> Result<Box<dyn System>> {
    Ok(match name {
        "trimaran" => Box::new(trimaran::Trimaran::new(place)?),
        "trimaran-unary" => Box::new(unary::Unary::new(place)?),
        "trimaran-mq" => Box::new(mq::Mq::new(place)?),
        "nats" => Box::new(nats::Nats::new(place, true)?),
        "nats-default" => Box::new(nats::Nats::new(place, false)?),
        "rabbitmq" => Box::new(rabbitmq::RabbitMq::new(place, false)?),
        "rabbitmq-best" => Box::new(rabbitmq::RabbitMq::new(place, true)?),
        "kafka" => kafka(place, true)?,
        "kafka-default" => kafka(place, false)?,
        "artemis" => Box::new(artemis::Artemis::new(place)?),
        other => {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            anyhow::bail!("there is no system \"{other}\"; choose from {}", names.join(", "))
        }
    })
}

#[cfg(feature = "kafka")]
fn kafka(place: &Place, synced: bool) -> Result<Box<dyn System>> {
    Ok(Box::new(kafka::Kafka::new(place, synced)?))
}

#[cfg(not(feature = "kafka"))]
fn kafka(_place: &Place, _synced: bool) -> Result<Box<dyn System>> {
    anyhow::bail!(
        "this program was built without Kafka's client: build it with `--features trimaran-bench/kafka`"
    )
}
