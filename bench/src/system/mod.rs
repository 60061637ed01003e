//! The seam between the load and what it is put on: one file per system.
//!
//! A [`System`] starts and stops its cluster and hands out producers and consumers, each with a connection of its own,
//! made with the library that the system's own users use. All of them report acknowledgements by the number of the
//! message, so that nothing needs to be taken on trust.

pub mod nats;
pub mod rabbitmq;
pub mod trimaran;
pub mod unary;

use std::path::{Path, PathBuf};

use anyhow::Result;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

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

    /// Makes what was received final.
    fn finish(&mut self) -> BoxFuture<'_, Result<()>>;
}

#[derive(Clone, Copy, Debug)]
pub struct ConsumerOptions {
    /// Gets outstanding, or messages delivered ahead.
    pub window: usize,
    /// See [`crate::work::Work::unit`].
    pub unit: usize,
}

/// A cluster of three processes.
pub trait System: Send {
    /// Starts the cluster and waits until it serves.
    fn start(&mut self) -> BoxFuture<'_, Result<()>>;
    /// Process ids of the servers.
    fn servers(&self) -> Vec<u32>;
    fn about(&self) -> About;
    /// Messages of one producer leave in the order they were sent.
    fn keeps_order(&self) -> bool {
        true
    }
    fn create_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>>;
    fn delete_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>>;
    fn producer<'a>(&'a mut self, queue: &'a str, window: usize) -> BoxFuture<'a, Result<Box<dyn Producer>>>;
    fn consumer<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>>;
    /// Process id of the server that leads the queue, for those who want to kill it.
    fn leader<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<u32>>;
    /// Puts one message after the other through the client library as a program would that must not stop: it goes on
    /// with another node when its own is gone.
    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>>;
    /// Where its files are.
    fn directory(&self) -> PathBuf;
    fn stop(&mut self) -> Result<()>;
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
    /// Acknowledged after it is on disk on a majority.
    pub durable: bool,
}

/// Names for `--system`, with what they stand for.
pub const NAMES: [(&str, &str); 6] = [
    ("trimaran", "Trimaran over gRPC streams, as its client library speaks"),
    ("trimaran-unary", "Trimaran with one gRPC call a message"),
    ("nats", "NATS JetStream R3, file storage, sync_interval: always"),
    ("nats-default", "the same with NATS's default, acknowledged before it is on any disk: NOT DURABLE"),
    ("rabbitmq", "RabbitMQ quorum queues with default settings"),
    ("rabbitmq-best", "the same with flow control opened up and a longer command window"),
];

/// Where and with what clusters are started.
#[derive(Clone, Debug)]
pub struct Place {
    /// Directories of clusters are made in here.
    pub work: PathBuf,
    pub node_binary: Option<PathBuf>,
}

pub fn by_name(name: &str, place: &Place) -> Result<Box<dyn System>> {
    Ok(match name {
        "trimaran" => Box::new(trimaran::Trimaran::new(place)?),
        "trimaran-unary" => Box::new(unary::Unary::new(place)?),
        "nats" => Box::new(nats::Nats::new(place, true)?),
        "nats-default" => Box::new(nats::Nats::new(place, false)?),
        "rabbitmq" => Box::new(rabbitmq::RabbitMq::new(place, false)?),
        "rabbitmq-best" => Box::new(rabbitmq::RabbitMq::new(place, true)?),
        other => {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            anyhow::bail!("there is no system \"{other}\"; choose from {}", names.join(", "))
        }
    })
}

/// A fresh directory for a cluster; removed when dropped.
pub fn fresh_directory(place: &Place, name: &str) -> Result<tempfile::TempDir> {
    std::fs::create_dir_all(&place.work)?;
    Ok(tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(&place.work)?)
}

/// The end of a server's log, for errors.
pub fn tail(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let start = bytes.len().saturating_sub(2000);
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}
