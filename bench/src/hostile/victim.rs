//! Producers and consumers of somebody else's: one message of 1 KiB at a time, 100 a second, and beside some attacks a long
//! one twice a second. Every message has a number, so that what is lost or doubled is known at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;

use crate::system::trimaran::Trimaran;
use crate::system::{Consumer, ConsumerOptions, Producer, System};

const SHORT: Victim = Victim { queue: "VICTIM", body: 1024, every: Duration::from_millis(10) };
/// Longer than what is sent as one part.
const LONG: Victim = Victim { queue: "VICTIM.LONG", body: 3 << 19, every: Duration::from_millis(500) };
/// A put that takes longer than this has lost its node.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is on its way at the end still comes.
const LAST_GETS: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
struct Victim {
    queue: &'static str,
    body: usize,
    every: Duration,
}

/// In milliseconds.
#[derive(Default)]
pub struct Waits(Vec<f64>);

impl Waits {
    /// None when nobody waited for anything.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() as f64 * percent / 100.0) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1))).copied()
    }

    /// In a column of the table.
    pub fn describe(&self, percent: f64) -> String {
        self.percentile(percent).map_or_else(|| format!("{:>8}", "-"), |wait| format!("{wait:>8.2}"))
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
    pub long_puts: Waits,
    /// Connections that were lost.
    pub broken: u64,
    /// Messages whose put was acknowledged and that nobody got. Gets are outside of units: what was on its way when a
    /// connection broke is among them.
    pub lost: u64,
    pub doubled: u64,
}

/// What happened to one victim.
#[derive(Default)]
struct Diary {
    puts: Waits,
    gets: Waits,
    broken: u64,
    /// By number: its put was acknowledged, and how often it was got.
    messages: BTreeMap<u64, (bool, u64)>,
}

impl Diary {
    fn is_even(&self) -> bool {
        self.messages.values().all(|(acknowledged, got)| !acknowledged || *got > 0)
    }

    fn lost(&self) -> u64 {
        self.messages.values().filter(|(acknowledged, got)| *acknowledged && *got == 0).count() as u64
    }

    fn doubled(&self) -> u64 {
        self.messages.values().filter(|(_, got)| *got > 1).count() as u64
    }
}

pub async fn prepare(system: &mut Trimaran) -> Result<()> {
    system.create_queue(SHORT.queue).await?;
    system.create_queue(LONG.queue).await
}

pub async fn suffer(system: &Trimaran, time: Duration, long: bool) -> Result<Suffered> {
    let begun = Instant::now();
    let long = async {
        match long {
            true => LONG.suffer(system, begun, time).await,
            false => Diary::default(),
        }
    };
    let (short, long) = tokio::join!(SHORT.suffer(system, begun, time), long);
    Ok(Suffered {
        broken: short.broken + long.broken,
        lost: short.lost() + long.lost(),
        doubled: short.doubled() + long.doubled(),
        puts: short.puts,
        gets: short.gets,
        long_puts: long.puts,
    })
}

impl Victim {
    async fn suffer(self, system: &Trimaran, begun: Instant, time: Duration) -> Diary {
        let mut diary = Diary::default();
        let until = begun + time;
        while Instant::now() < until {
            if let Err(error) = self.go_on(system, begun, until, &mut diary).await {
                eprintln!("    {} lost its connection: {error:#}", self.queue);
                diary.broken += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        if !diary.is_even()
            && let Ok(mut consumer) = self.consumer(system).await
        {
            let _ = self.get_the_rest(&mut *consumer, begun, &mut diary).await;
        }
        diary
    }

    async fn consumer(self, system: &Trimaran) -> Result<Box<dyn Consumer>> {
        system.consumer_of(self.queue, ConsumerOptions { window: 4, unit: 0, index: 0, count: 1 }).await
    }

    /// Puts and gets for as long as the connections last.
    async fn go_on(self, system: &Trimaran, begun: Instant, until: Instant, diary: &mut Diary) -> Result<()> {
        let mut producer = system.producer_of(self.queue).await?;
        let mut consumer = self.consumer(system).await?;
        let first = diary.messages.last_key_value().map_or(0, |(last, _)| last + 1);
        // Both write into the diary, each when it is its turn.
        let shared = std::cell::RefCell::new(&mut *diary);
        let put = self.put(&mut *producer, first, begun, until, &shared);
        let get = async {
            let mut bodies = Vec::new();
            loop {
                consumer.receive(&mut bodies).await?;
                let mut diary = shared.borrow_mut();
                bodies.drain(..).for_each(|body| note(&mut diary, begun, &body));
            }
        };
        tokio::select! {
            ended = put => ended?,
            broken = get => return broken,
        }
        self.get_the_rest(&mut *consumer, begun, diary).await
    }

    async fn put(
        self,
        producer: &mut dyn Producer,
        first: u64,
        begun: Instant,
        until: Instant,
        diary: &std::cell::RefCell<&mut Diary>,
    ) -> Result<()> {
        let mut numbers = Vec::new();
        let mut next = Instant::now();
        for number in first.. {
            tokio::time::sleep_until(next.into()).await;
            if next >= until {
                break;
            }
            let asked = Instant::now();
            let mut body = vec![0; self.body];
            body[..8].copy_from_slice(&number.to_le_bytes());
            body[8..16].copy_from_slice(&(asked.duration_since(begun).as_nanos() as u64).to_le_bytes());
            diary.borrow_mut().messages.entry(number).or_default();
            producer.send(number, &[Bytes::from(body)]).await?;
            numbers.clear();
            while !numbers.contains(&number) {
                tokio::time::timeout(PATIENCE, producer.acknowledged(&mut numbers)).await??;
            }
            let mut diary = diary.borrow_mut();
            diary.messages.entry(number).or_default().0 = true;
            diary.puts.add(asked.elapsed());
            next = (next + self.every).max(Instant::now());
        }
        Ok(())
    }

    /// Until nothing is missing, or nothing comes.
    async fn get_the_rest(
        self,
        consumer: &mut dyn Consumer,
        begun: Instant,
        diary: &mut Diary,
    ) -> Result<()> {
        let mut bodies = Vec::new();
        while !diary.is_even() {
            match tokio::time::timeout(LAST_GETS, consumer.receive(&mut bodies)).await {
                Ok(received) => received?,
                Err(_) => break,
            }
            bodies.drain(..).for_each(|body| note(diary, begun, &body));
        }
        Ok(())
    }
}

/// A message was got.
fn note(diary: &mut Diary, begun: Instant, body: &[u8]) {
    let word = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("eight bytes"));
    diary.gets.add(begun.elapsed().saturating_sub(Duration::from_nanos(word(8))));
    diary.messages.entry(word(0)).or_default().1 += 1;
}
