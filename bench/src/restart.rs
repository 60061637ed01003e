//! What queued messages cost while nobody asks for them: memory, disk, and the time until a cluster that starts with them
//! gives the first one out.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::load::preload;
use crate::machine::{disk_bytes, resident_bytes};
use crate::system::{About, ConsumerOptions, System};
use crate::work::read_body;

const QUEUE: &str = "BENCH.RESTART";
const GET_PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restarted {
    pub about: About,
    pub messages: u64,
    pub size: usize,
    /// All servers: without messages, with them (after the quiet time), and after the start with them.
    pub resident_empty: u64,
    pub resident_full: u64,
    pub resident_restarted: u64,
    /// All servers, with the messages.
    pub disk_bytes: u64,
    /// From the start of the processes until a client got the first message.
    pub first_get_s: f64,
}

impl Restarted {
    pub fn describe(&self) -> String {
        let mega = |bytes: u64| bytes as f64 / 1e6;
        let copies = self.about.copies as f64;
        let each =
            (mega(self.resident_full) - mega(self.resident_empty)) / self.messages as f64 * 1e6 / copies;
        format!(
            "  {:<16} {} messages of {} B: {each:>6.0} MB a million and node while they wait ({:.0} MB empty, {:.0} MB \
             full, {:.0} MB after the start), {:.2} bytes on disk a body byte and node, first get {:.2} s after the start",
            self.about.name,
            self.messages,
            self.size,
            mega(self.resident_empty),
            mega(self.resident_full),
            mega(self.resident_restarted),
            self.disk_bytes as f64 / copies / (self.messages as f64 * self.size as f64),
            self.first_get_s
        )
    }
}

/// Fills a queue, lets it rest, stops all servers in good order, starts them, gets one message.
pub async fn measure(
    system: &mut dyn System,
    messages: u64,
    size: usize,
    quiet: Duration,
) -> Result<Restarted> {
    system.start().await?;
    system.create_queue(QUEUE).await?;
    tokio::time::sleep(quiet.min(Duration::from_secs(5))).await;
    let resident_empty = resident_bytes(&system.servers());
    let mut producer = system.producer(QUEUE, 1000).await?;
    preload(producer.as_mut(), 1, 0, messages, size, |_| {}).await?;
    drop(producer);
    tokio::time::sleep(quiet).await;
    let resident_full = resident_bytes(&system.servers());
    let disk = disk_bytes(&system.directory());

    system.stop()?;
    let started = Instant::now();
    system.start().await.context("start again")?;
    let options = ConsumerOptions { window: 1, unit: 0, index: 0, count: 1 };
    let mut consumer = system.consumer(QUEUE, options).await?;
    let mut bodies = Vec::new();
    tokio::time::timeout(GET_PATIENCE, consumer.receive(&mut bodies))
        .await
        .with_context(|| format!("no message within {} s after the start", GET_PATIENCE.as_secs()))??;
    let first_get_s = started.elapsed().as_secs_f64();
    ensure!(bodies.iter().all(|body| read_body(body).is_some()), "a message came back damaged");
    tokio::time::sleep(quiet.min(Duration::from_secs(5))).await;
    let resident_restarted = resident_bytes(&system.servers());
    drop(consumer);
    let about = system.about();
    system.stop()?;
    Ok(Restarted {
        about,
        messages,
        size,
        resident_empty,
        resident_full,
        resident_restarted,
        disk_bytes: disk,
        first_get_s,
    })
}
