//! A producer and a consumer of somebody else's: one message of 1 KiB at a time, 100 a second.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;

use crate::system::trimaran::Trimaran;
use crate::system::{ConsumerOptions, System};

pub const QUEUE: &str = "VICTIM";
const EVERY: Duration = Duration::from_millis(10);
const BODY: usize = 1024;
/// A put that takes longer than this has lost its node.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is on its way at the end still comes.
const LAST_GETS: Duration = Duration::from_secs(1);

/// In milliseconds.
#[derive(Default)]
pub struct Waits(Vec<f64>);

impl Waits {
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() as f64 * percent / 100.0) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
    }

    pub fn worst(&self) -> f64 {
        self.percentile(100.0)
    }

    fn add(&mut self, wait: Duration) {
        self.0.push(wait.as_secs_f64() * 1e3);
    }
}

#[derive(Default)]
pub struct Suffered {
    pub puts: Waits,
    /// From the beginning of the put to the end of the get.
    pub gets: Waits,
    /// Connections that were lost.
    pub broken: u64,
}

pub async fn suffer(system: &mut Trimaran, time: Duration) -> Result<Suffered> {
    let begun = Instant::now();
    let mut suffered = Suffered::default();
    while begun.elapsed() < time {
        let left = time.saturating_sub(begun.elapsed());
        let Suffered { puts, gets, .. } = &mut suffered;
        match for_as_long_as_it_lasts(system, begun, left, puts, gets).await {
            Ok(()) => {}
            Err(error) => {
                eprintln!("    the victim lost its connection: {error:#}");
                suffered.broken += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    Ok(suffered)
}

async fn for_as_long_as_it_lasts(
    system: &mut Trimaran,
    begun: Instant,
    left: Duration,
    puts: &mut Waits,
    gets: &mut Waits,
) -> Result<()> {
    let mut producer = system.producer(QUEUE, 1).await?;
    let mut consumer =
        system.consumer(QUEUE, ConsumerOptions { window: 4, unit: 0, index: 0, count: 1 }).await?;
    let until = Instant::now() + left;
    let put = async {
        let mut number = 0;
        let mut next = Instant::now();
        while next < until {
            tokio::time::sleep_until(next.into()).await;
            let asked = Instant::now();
            let mut body = vec![0; BODY];
            body[..8].copy_from_slice(&(asked.duration_since(begun).as_nanos() as u64).to_le_bytes());
            producer.send(number, &[Bytes::from(body)]).await?;
            let mut numbers = Vec::new();
            while !numbers.contains(&number) {
                tokio::time::timeout(PATIENCE, producer.acknowledged(&mut numbers)).await??;
            }
            puts.add(asked.elapsed());
            number += 1;
            next = (next + EVERY).max(Instant::now());
        }
        anyhow::Ok(())
    };
    let get = async {
        let mut bodies = Vec::new();
        while let Ok(received) =
            tokio::time::timeout_at((until + LAST_GETS).into(), consumer.receive(&mut bodies)).await
        {
            received?;
            for body in bodies.drain(..) {
                let asked = Duration::from_nanos(u64::from_le_bytes(body[..8].try_into()?));
                gets.add(begun.elapsed().saturating_sub(asked));
            }
            if Instant::now() >= until {
                break;
            }
        }
        anyhow::Ok(())
    };
    tokio::try_join!(put, get).map(drop)
}
