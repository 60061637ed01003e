//! A server that was away: how fast it gets what it missed, alone and under load, and what that costs those who put.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::load::{preload, start_warm};
use crate::system::{About, Producer, System};
use crate::work::{Header, make_body};

const QUEUE: &str = "BENCH.CATCHUP";
/// Unanswered puts of the load.
const WINDOW: usize = 1000;
/// How long puts are counted before a server goes.
const BEFORE: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CaughtUp {
    pub about: About,
    /// Bytes of bodies that were put while it was away, each time.
    pub missed_bytes: u64,
    /// From its start until it had everything, while nobody puts; and while others put as fast as they can.
    pub quiet_s: f64,
    pub loaded_s: f64,
    /// Puts a second with all servers, and while one caught up.
    pub puts_before: f64,
    pub puts_meanwhile: f64,
}

impl CaughtUp {
    pub fn quiet_bytes_per_s(&self) -> f64 {
        self.missed_bytes as f64 / self.quiet_s
    }

    pub fn loaded_bytes_per_s(&self) -> f64 {
        self.missed_bytes as f64 / self.loaded_s
    }

    pub fn describe(&self) -> String {
        format!(
            "  {:<16} {:.2} GB missed: in sync {:.1} s after its start when nobody puts ({:.0} MB/s), {:.1} s under load \
             ({:.0} MB/s); puts {:.0}/s before, {:.0}/s meanwhile ({:+.0} %)",
            self.about.name,
            self.missed_bytes as f64 / 1e9,
            self.quiet_s,
            self.quiet_bytes_per_s() / 1e6,
            self.loaded_s,
            self.loaded_bytes_per_s() / 1e6,
            self.puts_before,
            self.puts_meanwhile,
            (self.puts_meanwhile / self.puts_before - 1.0) * 100.0
        )
    }
}

/// The messages stay on the queue, so that nothing of them can be left out.
pub async fn measure(system: &mut dyn System, missed_bytes: u64, size: usize) -> Result<CaughtUp> {
    start_warm(system).await?;
    system.create_queue(QUEUE).await?;
    let away = (system.leader(QUEUE).await? + 1) % system.servers().len();
    let messages = missed_bytes.div_ceil(size as u64);

    let load = Pump::start(system, size).await?;
    tokio::time::sleep(BEFORE / 2).await;
    let (first, counting) = (load.count(), Instant::now());
    tokio::time::sleep(BEFORE).await;
    let puts_before = (load.count() - first) as f64 / counting.elapsed().as_secs_f64();
    load.end().await?;

    go_away(system, away).await?;
    fill(system, 1, messages, size).await?;
    let quiet_s = come_back(system, away).await?;

    go_away(system, away).await?;
    fill(system, 2, messages, size).await?;
    let load = Pump::start(system, size).await?;
    let (first, counting) = (load.count(), Instant::now());
    let loaded_s = come_back(system, away).await?;
    let puts_meanwhile = (load.count() - first) as f64 / counting.elapsed().as_secs_f64();
    load.end().await?;
    let about = system.about();
    system.stop()?;
    let missed_bytes = messages * size as u64;
    Ok(CaughtUp { about, missed_bytes, quiet_s, loaded_s, puts_before, puts_meanwhile })
}

async fn go_away(system: &mut dyn System, server: usize) -> Result<()> {
    system.cluster_mut().stop_one(server)?;
    let stopped = Instant::now();
    // What is not noticed to be away would be taken for back at once.
    while system.is_in_sync(QUEUE, server).await.unwrap_or(true) {
        ensure!(stopped.elapsed() < PATIENCE, "nobody notices that a server is away");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(())
}

/// Seconds until it had everything.
async fn come_back(system: &mut dyn System, server: usize) -> Result<f64> {
    let started = Instant::now();
    system.rejoin(server)?;
    loop {
        let in_sync = system.is_in_sync(QUEUE, server).await;
        if in_sync.as_ref().is_ok_and(|in_sync| *in_sync) {
            return Ok(started.elapsed().as_secs_f64());
        }
        system.cluster_mut().check_alive()?;
        ensure!(started.elapsed() < PATIENCE, "not in sync after {} s: {in_sync:?}", PATIENCE.as_secs());
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

async fn fill(system: &mut dyn System, id: u32, messages: u64, size: usize) -> Result<()> {
    let mut producer = system.producer(QUEUE, WINDOW).await?;
    preload(producer.as_mut(), 1, id, messages, size, |_| {}).await
}

/// Puts as fast as they are answered, until it is told to end.
struct Pump {
    task: tokio::task::JoinHandle<Result<()>>,
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Pump {
    async fn start(system: &mut dyn System, size: usize) -> Result<Pump> {
        let producer = system.producer(QUEUE, WINDOW).await?;
        let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn(pump(producer, size, answered.clone(), stop.clone()));
        Ok(Pump { task, answered, stop })
    }

    fn count(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    async fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await?.context("the load")
    }
}

async fn pump(
    mut producer: Box<dyn Producer>,
    size: usize,
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    let (mut sent, mut numbers) = (0u64, Vec::new());
    loop {
        let in_flight = sent - answered.load(Ordering::Relaxed);
        if !stop.load(Ordering::Relaxed) {
            let body = |sequence| make_body(&Header { run: 1, producer: 0, sequence, due_ns: 0 }, size);
            let bodies: Vec<Bytes> = (sent..sent + WINDOW as u64 - in_flight).map(body).collect();
            producer.send(sent, &bodies).await?;
            sent += bodies.len() as u64;
        } else if in_flight == 0 {
            return Ok(());
        }
        producer.acknowledged(&mut numbers).await?;
        answered.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        numbers.clear();
    }
}
