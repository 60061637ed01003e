//! Producers and consumers that write down what they were promised, and the balance of it.
//!
//! Every message belongs to a stream and has a number in it; its body says so and can be checked byte by byte. A producer
//! has two streams: its own queue, which one consumer reads, and the queue that all share. Consumers get in units of
//! work over both queues and put a receipt for each unit into a third one, so that a unit that came true by half shows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use trimaran_client::{Attributes, Connection, Message, PutAnswer, Queue, UnitOutcome};

use super::cluster::Cluster;
use super::faults::Chance;

pub const SHARED: &str = "SHARED";
pub const RECEIPTS: &str = "RECEIPTS";

/// Puts of one producer that may be unanswered.
const PUTS_AHEAD: usize = 48;
/// Producers wait while so many acknowledged messages were not consumed.
const STANDING_MAX: u64 = 3000;
/// A unit gets at most so many messages.
const UNIT_MAX: u64 = 12;

/// What one message of a stream went through.
#[derive(Clone, Copy, Default)]
struct Fate {
    acknowledged: bool,
    /// Committed gets.
    delivered: u32,
}

/// What was promised and what came: shared by everybody who puts or gets.
#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
    acknowledged: AtomicU64,
    delivered: AtomicU64,
}

#[derive(Default)]
struct Book {
    fates: BTreeMap<(u32, u64), Fate>,
    /// Newest committed number of every stream that only one consumer reads.
    newest: BTreeMap<u32, u64>,
    /// Receipts of units whose commit was answered with yes.
    committed_units: BTreeSet<String>,
    wrong: Vec<String>,
    /// Units whose fate was asked for, and what was said: committed, backed out.
    asked: (u64, u64),
}

/// The sum of it. Everything but `acknowledged`, `delivered` and `asked` must be nothing.
#[derive(Debug)]
pub struct Balance {
    pub acknowledged: u64,
    pub delivered: u64,
    pub duplicated: u64,
    pub lost: u64,
    /// Delivered, but their put was not answered before the producer ended.
    pub unanswered: u64,
    pub asked: (u64, u64),
    pub wrong: Vec<String>,
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "acknowledged {} / delivered {} / duplicated {} / lost {}",
            self.acknowledged, self.delivered, self.duplicated, self.lost
        )
    }
}

impl Balance {
    pub fn assert_even(&self) {
        println!(
            "{self} (units whose outcome was asked for: {} committed, {} backed out)",
            self.asked.0, self.asked.1
        );
        assert!(self.wrong.is_empty(), "{}\n{self}", self.wrong.join("\n"));
        assert!(
            self.duplicated == 0 && self.lost == 0 && self.acknowledged + self.unanswered == self.delivered,
            "{self:?}"
        );
    }
}

/// The body of a message: who it is, and as many bytes as fit to that.
pub fn body(stream: u32, number: u64) -> Vec<u8> {
    let mut chance = Chance::new((u64::from(stream) << 40) ^ number);
    let size = match chance.below(100) {
        0 => 20_000 + chance.below(40_000),
        1..10 => 2_000 + chance.below(4_000),
        _ => 100 + chance.below(900),
    };
    body_of(stream, number, size as usize)
}

/// The same with a size of the caller's choice.
pub fn body_of(stream: u32, number: u64, size: usize) -> Vec<u8> {
    let mut body = format!("{stream} {number} {size}\n").into_bytes();
    let mut chance = Chance::new((u64::from(stream) << 40) ^ number ^ 0x5eed);
    while body.len() < size {
        body.extend_from_slice(&chance.next().to_le_bytes());
    }
    body
}

/// Stream and number, if it is byte for byte what was put.
pub fn read_body(found: &[u8]) -> Result<(u32, u64), String> {
    let who = || {
        let end = found.iter().position(|byte| *byte == b'\n')?;
        let mut words = std::str::from_utf8(&found[..end]).ok()?.split(' ');
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    let (stream, number, size) =
        who().ok_or_else(|| format!("a body of {} bytes that nobody put", found.len()))?;
    if size > 2 * found.len() + 64 || found != body_of(stream, number, size) {
        return Err(format!("message {number} of stream {stream} is not what was put"));
    }
    Ok((stream, number))
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics with the book in hand")
    }

    pub fn on_acknowledged(&self, stream: u32, number: u64) {
        self.book().fates.entry((stream, number)).or_default().acknowledged = true;
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// `alone`: nobody else reads the stream, so the numbers can only grow.
    pub fn on_delivered(&self, stream: u32, number: u64, alone: bool) {
        let mut book = self.book();
        book.fates.entry((stream, number)).or_default().delivered += 1;
        if alone {
            let newest = book.newest.entry(stream).or_default();
            let before = *newest;
            *newest = before.max(number);
            if number <= before {
                book.wrong.push(format!("stream {stream}: {number} was committed after {before}"));
            }
        }
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    pub fn on_wrong(&self, text: String) {
        eprintln!("WRONG: {text}");
        self.book().wrong.push(text);
    }

    fn on_asked(&self, outcome: UnitOutcome) {
        match outcome {
            UnitOutcome::Committed => self.book().asked.0 += 1,
            UnitOutcome::BackedOut => self.book().asked.1 += 1,
            UnitOutcome::Forgotten => {
                self.book().wrong.push("a unit is forgotten that was committed a moment ago".to_string());
            }
        }
    }

    /// Acknowledged and not delivered yet.
    pub fn standing(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed).saturating_sub(self.delivered.load(Ordering::Relaxed))
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn balance(&self) -> Balance {
        let book = self.book();
        let count = |what: fn(&Fate) -> u64| book.fates.values().map(what).sum::<u64>();
        Balance {
            acknowledged: count(|fate| fate.acknowledged.into()),
            delivered: count(|fate| fate.delivered.min(1).into()),
            duplicated: count(|fate| fate.delivered.saturating_sub(1).into()),
            lost: count(|fate| (fate.acknowledged && fate.delivered == 0).into()),
            unanswered: count(|fate| (!fate.acknowledged && fate.delivered > 0).into()),
            asked: book.asked,
            wrong: book.wrong.clone(),
        }
    }
}

/// Producers and consumers at work, each with a connection of its own.
pub struct Load {
    pub ledger: Arc<Ledger>,
    producers: Vec<JoinHandle<()>>,
    consumers: Vec<JoinHandle<()>>,
    stop_producers: Arc<AtomicBool>,
    consuming: Arc<AtomicBool>,
    stop_consumers: Arc<AtomicBool>,
}

impl Load {
    /// As many consumers as producers; makes the queues.
    pub async fn start(cluster: &Cluster, producers: u32, chance: &mut Chance) -> Load {
        let connection = cluster.connect().await;
        let many = Attributes::new().with("MAXDEPTH", 1_000_000);
        let own = (0..producers).map(own_queue);
        for queue in own.chain([SHARED.to_owned(), RECEIPTS.to_owned()]) {
            connection.admin().create_queue(&queue, many.clone()).await.expect("a new queue can be created");
        }
        let mut load = Load {
            ledger: Arc::default(),
            producers: Vec::new(),
            consumers: Vec::new(),
            stop_producers: Arc::default(),
            consuming: Arc::new(AtomicBool::new(true)),
            stop_consumers: Arc::default(),
        };
        for number in 0..producers {
            let connection = cluster.builder().producer(format!("producer {number}"), 1).connect().await;
            let connection = connection.expect("a node serves");
            let (ledger, stop) = (load.ledger.clone(), load.stop_producers.clone());
            let task = produce(connection, number, ledger, stop, Chance::new(chance.next()));
            load.producers.push(tokio::spawn(task));

            let consumer = Consumer {
                connection: cluster.connect().await,
                number,
                ledger: load.ledger.clone(),
                active: load.consuming.clone(),
                stop: load.stop_consumers.clone(),
                chance: Chance::new(chance.next()),
            };
            load.consumers.push(tokio::spawn(consumer.consume()));
        }
        load
    }

    /// Consumers finish what they have in hand and wait.
    pub fn pause_consumers(&self, paused: bool) {
        self.consuming.store(!paused, Ordering::Relaxed);
    }

    /// Every put that was begun is answered when this returns.
    pub async fn stop_producers(&mut self, within: Duration) {
        self.stop_producers.store(true, Ordering::Relaxed);
        for producer in self.producers.drain(..) {
            match tokio::time::timeout(within, producer).await {
                Ok(ended) => ended.expect("a producer does not panic"),
                Err(_) => {
                    self.ledger.on_wrong(format!("a producer has puts without an answer after {within:?}"))
                }
            }
        }
    }

    /// Consumers go on until everything that was acknowledged is delivered, or nothing came for this long.
    pub async fn drain(&mut self, patience: Duration) {
        self.pause_consumers(false);
        let (mut left, mut since) = (u64::MAX, Instant::now());
        while self.ledger.standing() > 0 && since.elapsed() < patience {
            if self.ledger.standing() != left {
                (left, since) = (self.ledger.standing(), Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.stop_consumers.store(true, Ordering::Relaxed);
        for consumer in self.consumers.drain(..) {
            match tokio::time::timeout(patience, consumer).await {
                Ok(ended) => ended.expect("a consumer does not panic"),
                Err(_) => self.ledger.on_wrong(format!("a consumer is stuck for {patience:?}")),
            }
        }
    }
}

pub fn own_queue(number: u32) -> String {
    format!("OWN.{number}")
}

fn own_stream(number: u32) -> u32 {
    2 * number
}

async fn produce(
    connection: Connection,
    number: u32,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    mut chance: Chance,
) {
    let queues = [connection.queue(own_queue(number)), connection.queue(SHARED)];
    let mut next = [1_u64, 1];
    let mut unanswered: VecDeque<(u32, u64, PutAnswer)> = VecDeque::new();
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        let full = unanswered.len() >= PUTS_AHEAD || ledger.standing() > STANDING_MAX;
        if (stopping || full)
            && let Some((stream, message, answer)) = unanswered.pop_front()
        {
            match answer.await {
                Ok(placed) if placed.warning == 0 && !placed.message_id.is_empty() => {
                    ledger.on_acknowledged(stream, message);
                }
                Ok(placed) => {
                    ledger.on_wrong(format!("put {message} of stream {stream}: answered {placed:?}"))
                }
                Err(error) => ledger.on_wrong(format!("put {message} of stream {stream}: {error}")),
            }
            continue;
        }
        if stopping {
            return;
        }
        if full {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        }
        let which = usize::from(chance.one_in(3));
        let stream = own_stream(number) + which as u32;
        match queues[which].start_put(Message::new(body(stream, next[which]))).await {
            Ok(answer) => unanswered.push_back((stream, next[which], answer)),
            Err(error) => return ledger.on_wrong(format!("producer {number} cannot go on: {error}")),
        }
        next[which] += 1;
    }
}

struct Consumer {
    connection: Connection,
    number: u32,
    ledger: Arc<Ledger>,
    active: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    chance: Chance,
}

impl Consumer {
    async fn consume(mut self) {
        let mut units = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            if !self.active.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            units += 1;
            if let Err(error) = self.one_unit(units).await
                && !error.is_backed_out()
            {
                self.ledger.on_wrong(format!("consumer {}: {error}", self.number));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    async fn one_unit(&mut self, units: u64) -> trimaran_client::Result<()> {
        // A unit that is left without a word is backed out a little later than it is left; what is read alone and in
        // order stays out of those.
        let careless = self.chance.one_in(8);
        let own = own_queue(self.number);
        let mut unit = self.connection.unit_of_work().await?;
        let id = unit.id().to_vec();
        let mut got = Vec::new();
        for turn in 0..1 + self.chance.below(UNIT_MAX) {
            let queue = if careless || self.chance.one_in(3) { SHARED } else { &own };
            let wait = if turn == 0 { Duration::from_millis(50) } else { Duration::ZERO };
            let Some(message) = unit.get(queue, wait).await? else { continue };
            match read_body(&message.body) {
                Ok((stream, number)) => got.push((stream, number)),
                Err(text) => self.ledger.on_wrong(text),
            }
        }
        if got.is_empty() {
            return unit.backout().await;
        }
        if self.chance.one_in(12) {
            return unit.backout().await;
        }
        let receipt = format!("{}.{units}:{got:?}", self.number);
        unit.put(RECEIPTS, receipt.clone()).await?;
        let committed = if careless {
            // The program does not wait for the answer of its commit, and asks afterwards.
            let hurry = self.chance.between(0, 6);
            match tokio::time::timeout(hurry, unit.commit()).await {
                Ok(result) => result.map(|()| true),
                Err(_) => {
                    let outcome = self.connection.unit_outcome(&id).await?;
                    self.ledger.on_asked(outcome);
                    Ok(outcome == UnitOutcome::Committed)
                }
            }
        } else {
            unit.commit().await.map(|()| true)
        };
        if committed? {
            for (stream, number) in got {
                self.ledger.on_delivered(stream, number, stream == own_stream(self.number));
            }
            self.ledger.book().committed_units.insert(receipt);
        }
        Ok(())
    }
}

/// Every unit that was answered as committed left its receipt, and no other did.
pub async fn check_receipts(connection: &Connection, ledger: &Ledger) {
    let queue = connection.queue(RECEIPTS);
    let mut found = BTreeSet::new();
    let mut receipts = pin!(queue.browse());
    while let Some(receipt) = receipts.next().await {
        let receipt = receipt.expect("receipts can be browsed");
        if !found.insert(receipt.as_text().unwrap_or_default().to_owned()) {
            ledger.on_wrong(format!("two receipts for one unit: {:?}", receipt.as_text()));
        }
    }
    let expected = ledger.book().committed_units.clone();
    for missing in expected.difference(&found) {
        ledger.on_wrong(format!("a committed unit has no receipt: {missing}"));
    }
    for surplus in found.difference(&expected) {
        ledger.on_wrong(format!("a unit that was not committed has a receipt: {surplus}"));
    }
}

/// Each stream's numbers grow from the front of the queue to its end. Gives the number of messages.
pub async fn check_order(queue: &Queue, ledger: &Ledger) -> u64 {
    let mut newest: BTreeMap<u32, u64> = BTreeMap::new();
    let mut count = 0;
    let mut messages = pin!(queue.browse());
    while let Some(message) = messages.next().await {
        let message = message.expect("a queue can be browsed");
        count += 1;
        match read_body(&message.body) {
            Err(text) => ledger.on_wrong(text),
            Ok((stream, number)) => {
                let before = newest.insert(stream, number).unwrap_or(0);
                if number <= before {
                    ledger.on_wrong(format!(
                        "{}: {number} of stream {stream} stands behind {before}",
                        queue.name()
                    ));
                }
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_changed_is_found() {
        assert_eq!(read_body(&body(3, 17)), Ok((3, 17)));
        assert_eq!(read_body(&body_of(3, 17, 4096)), Ok((3, 17)));
        let mut changed = body(3, 17);
        *changed.last_mut().unwrap() ^= 1;
        assert!(read_body(&changed).is_err());
        assert!(read_body(&body(3, 17)[..50]).is_err());
        assert!(read_body(b"hello").is_err());
    }

    #[test]
    fn the_balance_knows_what_is_lost_doubled_and_out_of_order() {
        let ledger = Ledger::default();
        for number in 1..=4 {
            ledger.on_acknowledged(0, number);
        }
        for number in [2, 1, 4, 4] {
            ledger.on_delivered(0, number, true);
        }
        let balance = ledger.balance();
        assert_eq!((balance.acknowledged, balance.delivered, balance.duplicated, balance.lost), (4, 3, 1, 1));
        assert_eq!(balance.wrong.len(), 2, "{:?}", balance.wrong);
    }
}
