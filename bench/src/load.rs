//! Puts load on a system and watches: closed loop, where a window limits what is on its way, or open loop, where
//! messages are due at fixed times and latency counts from then, however late they could be sent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::ledger::{Ledger, Verdict};
use crate::machine::{self, Cost, Device};
use crate::system::{About, Consumer, ConsumerOptions, Producer, System};
use crate::work::{Header, Kind, Work, epoch, make_body, now_ns, read_body};

/// More than this many unanswered messages of one producer are not sent, also not in an open loop; what is due meanwhile
/// is sent later and its latency counts from when it was due.
const IN_FLIGHT_MAX: usize = 8_000;
/// Slots that remember when a message was due; more than can be on its way.
const SLOTS: usize = 16_384;
/// A system that answers nothing for this long is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// A point of the series takes at least this long; long runs have this many points at most.
const SERIES_STEP: Duration = Duration::from_millis(250);
const SERIES_POINTS: u32 = 600;
const TENTH: Duration = Duration::from_millis(100);
/// How long a closed loop runs to find out what the most is, see [`Work::share_of_max`].
const SEARCH_S: f64 = 4.0;
const PRELOAD_WINDOW: usize = 4_000;
const PRELOAD_BYTES: usize = 64 * 1024 * 1024;

/// What came out of one piece of work on one system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub about: About,
    pub work: Work,
    /// Acknowledged puts and delivered messages within the measured time.
    pub puts: u64,
    pub gets: u64,
    pub cost: Cost,
    pub verdict: Verdict,
    /// From due (or sent, in a closed loop) to acknowledged.
    pub put_latency: Latency,
    /// From due to in the consumer's hands; only without messages queued before.
    pub end_to_end: Option<Latency>,
    /// How late the load itself was in an open loop.
    pub lateness: Option<Latency>,
    /// Puts and gets a second over time.
    pub series: Vec<Point>,
    /// How even the rate was.
    #[serde(default)]
    pub tenths: Tenths,
    pub device: String,
    /// Resident memory of all servers for each idle queue, or for each idle client where there are such.
    #[serde(default)]
    pub idle_bytes: Option<f64>,
    /// Of what flowed beside, see [`Work::beside`].
    #[serde(default)]
    pub beside_bytes_per_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Point {
    pub at_s: f64,
    pub puts_per_s: f64,
    pub gets_per_s: f64,
    /// Of the latency of [`Measured::latency`], since the point before; 0 when nothing came.
    #[serde(default)]
    pub p99_ms: f64,
    /// All servers.
    #[serde(default)]
    pub resident_bytes: u64,
    /// What the servers' files take on the disk.
    #[serde(default)]
    pub disk_bytes: u64,
}

/// The messages of each tenth of a second, in short: a mean hides that everything stood for half a second.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Tenths {
    pub count: usize,
    /// Messages a second.
    pub median: f64,
    pub lowest: f64,
    /// How many were below half of the median.
    pub below_half: usize,
}

impl Tenths {
    pub fn of(mut rates: Vec<f64>) -> Tenths {
        rates.sort_by(f64::total_cmp);
        let Some(median) = rates.get(rates.len() / 2).copied() else { return Tenths::default() };
        let below_half = rates.iter().filter(|rate| **rate < median / 2.0).count();
        Tenths { count: rates.len(), median, lowest: rates[0], below_half }
    }
}

impl Measured {
    /// Messages that count for this work.
    pub fn messages(&self) -> u64 {
        self.work.messages_of(self.puts, self.gets)
    }

    /// The latency a program would see: until a message is in the consumer's hands, or until the put is safe.
    pub fn latency(&self) -> &Latency {
        self.end_to_end.as_ref().unwrap_or(&self.put_latency)
    }

    pub fn rate(&self) -> f64 {
        self.messages() as f64 / self.cost.seconds
    }

    pub fn server_cpu_us(&self) -> f64 {
        self.per_message(self.cost.server_cpu_s * 1e6)
    }

    pub fn client_cpu_us(&self) -> f64 {
        self.per_message(self.cost.client_cpu_s * 1e6)
    }

    /// Bytes to the device for each body byte and copy.
    pub fn device_bytes_per_body_byte(&self) -> f64 {
        self.per_message(self.cost.device_bytes as f64) / self.work.size as f64 / self.about.copies as f64
    }

    pub fn flushes_per_message(&self) -> f64 {
        self.per_message(self.cost.device_flushes as f64)
    }

    pub fn switches_per_message(&self) -> f64 {
        self.per_message(self.cost.switches as f64)
    }

    fn per_message(&self, value: f64) -> f64 {
        value / self.messages().max(1) as f64
    }
}

/// Percentiles in milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
    /// Percentile and milliseconds, for plots.
    pub curve: Vec<(f64, f64)>,
}

impl Latency {
    pub fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |percentile: f64| histogram.value_at_percentile(percentile) as f64 / 1e6;
        let mut curve = Vec::new();
        // Equal steps on a scale of nines.
        for step in 0..=50 {
            let percentile = 100.0 * (1.0 - 10f64.powf(-(step as f64) / 10.0));
            curve.push((percentile, at(percentile)));
            if 10f64.powf(step as f64 / 10.0) > histogram.len() as f64 {
                break;
            }
        }
        Latency {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e6,
            p50_ms: at(50.0),
            p90_ms: at(90.0),
            p99_ms: at(99.0),
            p999_ms: at(99.9),
            max_ms: histogram.max() as f64 / 1e6,
            curve,
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 600_000_000_000, 3).expect("bounds that fit")
}

fn record(histogram: &mut Histogram<u64>, value: u64) {
    histogram.saturating_record(value);
}

/// What workers share. All of them run on one thread; the mutex is for the compiler.
struct Shared {
    measuring: AtomicBool,
    stopping: AtomicBool,
    puts: AtomicU64,
    sent: AtomicU64,
    gets: AtomicU64,
    ledger: Mutex<Ledger>,
    put_latency: Mutex<Histogram<u64>>,
    end_to_end: Mutex<Histogram<u64>>,
    /// Since the last point of the series.
    recent: Mutex<Histogram<u64>>,
    lateness: Mutex<Histogram<u64>>,
    /// The series shows the latency until messages are received, not until puts are safe.
    follows_ends: bool,
    /// More than this many messages shall not wait in a closed loop: gets are measured, not a backlog.
    backlog_max: u64,
    /// Producers that wait for consumers.
    room: Notify,
    /// Everything came back; consumers may go.
    drained: watch::Sender<bool>,
}

impl Shared {
    fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn backlog(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).saturating_sub(self.gets.load(Ordering::Relaxed))
    }
}

/// Is told each point of the series as it comes.
pub type Observe<'a> = &'a mut dyn FnMut(&Point);

/// Creates queues, does the work, checks every message, deletes the queues.
pub async fn run(system: &mut dyn System, work: &Work, run: u32, observe: Observe<'_>) -> Result<Measured> {
    work.check()?;
    let Some(share) = work.share_of_max else { return run_once(system, work, run, observe).await };
    let closed = Work { share_of_max: None, rate: None, duration_s: SEARCH_S, warmup_s: 2.0, ..work.clone() };
    let searched = run_once(system, &closed, run | SEARCH_RUN, &mut |_| {}).await;
    let most = searched.context("find out what the most is")?.rate();
    run_once(system, &Work { rate: Some((most * share).max(1.0)), ..work.clone() }, run, observe).await
}

/// Starts a cluster, and puts load on it for as long as it needs to get into its stride.
pub async fn start_warm(system: &mut dyn System) -> Result<()> {
    system.start().await?;
    let time = system.warm_up();
    if time.is_zero() {
        return Ok(());
    }
    let work = Work { duration_s: 0.1, warmup_s: time.as_secs_f64(), ..crate::scenario::put_get(4, 100) };
    run_once(system, &work, WARM_RUN, &mut |_| {}).await.context("warm up")?;
    Ok(())
}

/// The number of the run that warms up.
const WARM_RUN: u32 = u32::MAX;
/// Set in the number of a run that only finds out what another one needs to know.
const SEARCH_RUN: u32 = 1 << 31;

async fn run_once(system: &mut dyn System, work: &Work, run: u32, observe: Observe<'_>) -> Result<Measured> {
    let queues: Vec<String> = (0..work.queues).map(|index| format!("BENCH.{run}.{index}")).collect();
    let idle: Vec<String> = (0..work.idle_queues.max(usize::from(work.idle_clients > 0)))
        .map(|index| format!("BENCH.{run}.IDLE.{index}"))
        .collect();
    system.create_queues(&queues).await?;
    let bare = machine::resident_bytes(&system.servers());
    system.create_queues(&idle).await?;
    let mut idle_clients = Vec::new();
    for index in 0..work.idle_clients {
        let options = ConsumerOptions { window: 1, unit: 0, index, count: work.idle_clients };
        let client = system.consumer(&idle[0], options).await;
        idle_clients.push(client.with_context(|| format!("connect idle client {index}"))?);
    }
    let grown = machine::resident_bytes(&system.servers()).saturating_sub(bare);
    let large = match work.beside {
        0 => None,
        size => {
            let queue = format!("BENCH.{run}.BESIDE");
            system.create_queue(&queue).await?;
            Some((Beside::start(system, &queue, run, size)?, queue))
        }
    };
    let mut measured = measure(system, work, run, &queues, observe).await?;
    let idles = if work.idle_clients > 0 { work.idle_clients } else { work.idle_queues };
    measured.idle_bytes = (idles > 0).then(|| grown as f64 / idles as f64);
    drop(idle_clients);
    if let Some((large, queue)) = large {
        measured.beside_bytes_per_s = Some(large.end()?);
        system.delete_queue(&queue).await?;
    }
    system.delete_queues(&queues).await?;
    system.delete_queues(&idle).await?;
    Ok(measured)
}

/// Large bodies that go through a queue of their own, one after the other, on a thread of its own: what it costs to make,
/// copy and check them shall not make the measured load late.
struct Beside {
    thread: std::thread::JoinHandle<Result<(u64, Duration)>>,
    stop: Arc<AtomicBool>,
}

impl Beside {
    fn start(system: &mut dyn System, queue: &str, run: u32, size: usize) -> Result<Beside> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Connections belong to the runtime that they were made on.
        let connect = async {
            let producer = system.producer(queue, 1).await?;
            let options = ConsumerOptions { window: 1, unit: 0, index: 0, count: 1 };
            anyhow::Ok((producer, system.consumer(queue, options).await?))
        };
        let connect = async { tokio::time::timeout(Duration::from_secs(10), connect).await };
        let connected = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(connect)).join());
        let connected = connected.expect("connecting does not panic");
        let (producer, consumer) = connected.context("this system cannot be loaded from two threads")??;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread =
            std::thread::spawn(move || runtime.block_on(flow(producer, consumer, run, size, &stopped)));
        Ok(Beside { thread, stop })
    }

    /// Bytes a second.
    fn end(self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        let (bytes, time) = self.thread.join().expect("its errors are results").context("large bodies")?;
        Ok(bytes as f64 / time.as_secs_f64())
    }
}

async fn flow(
    mut producer: Box<dyn Producer>,
    mut consumer: Box<dyn Consumer>,
    run: u32,
    size: usize,
    stop: &AtomicBool,
) -> Result<(u64, Duration)> {
    let started = Instant::now();
    let (mut numbers, mut bodies) = (Vec::new(), Vec::new());
    let mut sequence = 0;
    while !stop.load(Ordering::Relaxed) {
        let header = Header { run, producer: 0, sequence, due_ns: 0 };
        producer.send(sequence, &[make_body(&header, size)]).await?;
        let through = async {
            producer.acknowledged(&mut numbers).await?;
            consumer.receive(&mut bodies).await
        };
        tokio::time::timeout(STUCK, through).await.context("no answer for a minute")??;
        ensure!(numbers.pop() == Some(sequence), "another message was acknowledged");
        ensure!(bodies.pop().and_then(|body| read_body(&body)) == Some(header), "a body came back damaged");
        sequence += 1;
    }
    consumer.finish().await?;
    Ok((sequence * size as u64, started.elapsed()))
}

async fn measure(
    system: &mut dyn System,
    work: &Work,
    run: u32,
    queues: &[String],
    observe: Observe<'_>,
) -> Result<Measured> {
    let backlog_max = match (work.kind, work.rate) {
        (Kind::PutGet, None) => (2 * work.producers * work.window).max(1000) as u64,
        _ => u64::MAX,
    };
    let preloaders = if work.depth > 0 { work.queues } else { 0 };
    let shared = Arc::new(Shared {
        measuring: false.into(),
        stopping: false.into(),
        puts: 0.into(),
        sent: 0.into(),
        gets: 0.into(),
        ledger: Mutex::new(Ledger::new(run, work.producers + preloaders)),
        put_latency: Mutex::new(histogram()),
        end_to_end: Mutex::new(histogram()),
        recent: Mutex::new(histogram()),
        lateness: Mutex::new(histogram()),
        follows_ends: work.kind == Kind::PutGet && work.depth == 0,
        backlog_max,
        room: Notify::new(),
        drained: watch::Sender::new(false),
    });
    for (index, queue) in queues.iter().take(preloaders).enumerate() {
        let share = work.depth / queues.len() as u64;
        let id = (work.producers + index) as u32;
        let mut producer = system.producer(queue, PRELOAD_WINDOW).await?;
        let note = |number| shared.ledger.lock().expect("one thread").acknowledged(id, number);
        preload(producer.as_mut(), run, id, share, work.size, note).await?;
    }

    let mut consumers = JoinSet::new();
    match work.kind {
        Kind::Put => {}
        Kind::PutGet => {
            start_consumers(system, work, work.consumers, queues, &shared, &mut consumers).await?;
        }
        Kind::Browse => {
            for index in 0..work.consumers {
                let browser = system.browser(&queues[index % queues.len()], work.window).await?;
                consumers.spawn(browse(browser, shared.clone()));
            }
        }
    }
    let mut producers = JoinSet::new();
    let pacer = work.rate.map(|rate| Pacer::new(rate, work.producers));
    for index in 0..work.producers {
        let producer = system.producer(&queues[index % queues.len()], work.window).await?;
        let load = Load {
            producer,
            run,
            id: index as u32,
            size: work.size,
            window: work.window,
            shared: shared.clone(),
            in_flight: 0,
            next: 0,
            due: vec![0; SLOTS],
        };
        match &pacer {
            None => producers.spawn(load.closed()),
            Some(pacer) => producers.spawn(load.open(pacer.share(index))),
        };
    }

    watch(&mut producers, &mut consumers, work.warmup()).await?;
    let pids = system.servers();
    let device = Device::under(&system.directory());
    let before = machine::sample(&pids, device.as_ref())?;
    let counted = || (shared.puts.load(Ordering::Relaxed), shared.gets.load(Ordering::Relaxed));
    let first = counted();
    shared.measuring.store(true, Ordering::Relaxed);
    let (mut series, mut tenths) = (Vec::new(), Vec::new());
    let step = SERIES_STEP.max(work.duration() / SERIES_POINTS);
    let directory = system.directory();
    let (mut last, mut last_at) = (first, before.at);
    let mut tenth = (first, before.at);
    while before.at.elapsed() < work.duration() {
        let left = work.duration().saturating_sub(before.at.elapsed());
        watch(&mut producers, &mut consumers, left.min(TENTH)).await?;
        let (now, now_at) = (counted(), Instant::now());
        // What is left at the end is no tenth.
        if left >= TENTH {
            let messages = work.messages_of(now.0 - tenth.0.0, now.1 - tenth.0.1);
            tenths.push(messages as f64 / (now_at - tenth.1).as_secs_f64());
        }
        tenth = (now, now_at);
        if now_at - last_at < step && before.at.elapsed() < work.duration() {
            continue;
        }
        let seconds = (now_at - last_at).as_secs_f64();
        let mut recent = shared.recent.lock().expect("one thread");
        let point = Point {
            at_s: (now_at - before.at).as_secs_f64(),
            puts_per_s: (now.0 - last.0) as f64 / seconds,
            gets_per_s: (now.1 - last.1) as f64 / seconds,
            p99_ms: recent.value_at_percentile(99.0) as f64 / 1e6,
            resident_bytes: machine::resident_bytes(&pids),
            disk_bytes: machine::disk_bytes(&directory),
        };
        recent.reset();
        drop(recent);
        observe(&point);
        series.push(point);
        (last, last_at) = (now, now_at);
    }
    shared.measuring.store(false, Ordering::Relaxed);
    let after = machine::sample(&pids, device.as_ref())?;
    let end = counted();

    shared.stopping.store(true, Ordering::Relaxed);
    shared.room.notify_waiters();
    if let Some(pacer) = &pacer {
        pacer.stop();
    }
    let finished = tokio::time::timeout(STUCK, async {
        while let Some(ended) = producers.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    });
    finished.await.context("acknowledgements stay away for a minute")??;
    if work.kind == Kind::Browse {
        consumers.shutdown().await;
    }
    if work.kind != Kind::PutGet {
        start_consumers(system, work, work.consumers.max(queues.len()), queues, &shared, &mut consumers)
            .await?;
    }
    drain(&shared, &mut consumers).await?;

    let latency = |histogram: &Mutex<Histogram<u64>>| Latency::of(&histogram.lock().expect("one thread"));
    let mut verdict = shared.ledger.lock().expect("one thread").verdict();
    if !system.keeps_order() {
        verdict.out_of_order = 0;
    }
    Ok(Measured {
        about: system.about(),
        work: work.clone(),
        puts: end.0 - first.0,
        gets: end.1 - first.1,
        cost: Cost::between(&before, &after),
        verdict,
        put_latency: latency(&shared.put_latency),
        end_to_end: (work.kind == Kind::PutGet && work.depth == 0).then(|| latency(&shared.end_to_end)),
        lateness: work.rate.map(|_| latency(&shared.lateness)),
        series,
        tenths: Tenths::of(tenths),
        device: device.map_or_else(|| "no block device".into(), |device| device.name),
        idle_bytes: None,
        beside_bytes_per_s: None,
    })
}

/// Lets time pass; a worker that ends before it should is the end of the run.
async fn watch(
    producers: &mut JoinSet<Result<()>>,
    consumers: &mut JoinSet<Result<()>>,
    time: Duration,
) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        Some(ended) = producers.join_next() => {
            ended??;
            bail!("a producer ended early")
        }
        Some(ended) = consumers.join_next() => {
            ended??;
            bail!("a consumer ended early")
        }
    }
}

async fn start_consumers(
    system: &mut dyn System,
    work: &Work,
    count: usize,
    queues: &[String],
    shared: &Arc<Shared>,
    consumers: &mut JoinSet<Result<()>>,
) -> Result<()> {
    let window = if work.kind == Kind::PutGet { work.window } else { work.window.max(500) };
    for index in 0..count {
        // Queues take consumers in turn.
        let on_this = (count - index % queues.len()).div_ceil(queues.len());
        let options =
            ConsumerOptions { window, unit: work.unit, index: index / queues.len(), count: on_this };
        let consumer = system.consumer(&queues[index % queues.len()], options).await?;
        consumers.spawn(consume(consumer, shared.clone()));
    }
    Ok(())
}

/// Waits until everything that was acknowledged came back, or nothing came for a while.
async fn drain(shared: &Arc<Shared>, consumers: &mut JoinSet<Result<()>>) -> Result<()> {
    let mut seen = shared.ledger.lock().expect("one thread").seen_count();
    let mut quiet = Instant::now();
    loop {
        let (now_seen, lost) = {
            let ledger = shared.ledger.lock().expect("one thread");
            (ledger.seen_count(), ledger.lost())
        };
        if lost == 0 {
            break;
        }
        if now_seen != seen {
            (seen, quiet) = (now_seen, Instant::now());
        } else if quiet.elapsed() > Duration::from_secs(15) {
            // The verdict names what is lost.
            break;
        }
        watch(&mut JoinSet::new(), consumers, Duration::from_millis(50)).await?;
    }
    // A moment for duplicates.
    watch(&mut JoinSet::new(), consumers, Duration::from_millis(100)).await?;
    shared.drained.send_replace(true);
    let finished = tokio::time::timeout(STUCK, async {
        while let Some(ended) = consumers.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    });
    finished.await.context("consumers do not end")?
}

async fn consume(mut consumer: Box<dyn Consumer>, shared: Arc<Shared>) -> Result<()> {
    let mut order = shared.ledger.lock().expect("one thread").order();
    let mut bodies: Vec<Bytes> = Vec::new();
    let mut drained = shared.drained.subscribe();
    loop {
        tokio::select! {
            received = consumer.receive(&mut bodies) => received?,
            true = async { drained.wait_for(|drained| *drained).await.is_ok() } => {
                return consumer.finish().await;
            }
        }
        let now = now_ns();
        let mut ledger = shared.ledger.lock().expect("one thread");
        let measuring = shared.is_measuring();
        let mut end_to_end = shared.end_to_end.lock().expect("one thread");
        let mut recent = shared.recent.lock().expect("one thread");
        shared.gets.fetch_add(bodies.len() as u64, Ordering::Relaxed);
        for body in bodies.drain(..) {
            if let Some(header) = ledger.received(&mut order, &body)
                && measuring
            {
                record(&mut end_to_end, now.saturating_sub(header.due_ns));
                if shared.follows_ends {
                    record(&mut recent, now.saturating_sub(header.due_ns));
                }
            }
        }
        drop((ledger, end_to_end, recent));
        shared.room.notify_waiters();
    }
}

/// Reads what stays; ends only by being stopped.
async fn browse(mut browser: Box<dyn Consumer>, shared: Arc<Shared>) -> Result<()> {
    let mut bodies: Vec<Bytes> = Vec::new();
    loop {
        browser.receive(&mut bodies).await?;
        shared.gets.fetch_add(bodies.len() as u64, Ordering::Relaxed);
        let mut ledger = shared.ledger.lock().expect("one thread");
        bodies.drain(..).for_each(|body| ledger.browsed(&body));
    }
}

/// Puts so many messages as fast as they are taken, and tells the number of each that is safe.
pub async fn preload(
    producer: &mut dyn Producer,
    run: u32,
    id: u32,
    count: u64,
    size: usize,
    mut note: impl FnMut(u64),
) -> Result<()> {
    let (mut sent, mut safe) = (0u64, 0u64);
    let mut numbers = Vec::new();
    let window = PRELOAD_WINDOW.min(PRELOAD_BYTES / size).max(1) as u64;
    while safe < count {
        let room = (window - (sent - safe)).min(count - sent).min(500);
        if room > 0 {
            let body = |sequence| make_body(&Header { run, producer: id, sequence, due_ns: now_ns() }, size);
            let bodies: Vec<Bytes> = (sent..sent + room).map(body).collect();
            producer.send(sent, &bodies).await?;
            sent += room;
        }
        if sent - safe > window / 2 || sent == count {
            tokio::time::timeout(STUCK, producer.acknowledged(&mut numbers))
                .await
                .context("no put was acknowledged for a minute while the queue was filled")??;
            safe += numbers.len() as u64;
            numbers.drain(..).for_each(&mut note);
        }
    }
    Ok(())
}

/// One producer at work.
struct Load {
    producer: Box<dyn Producer>,
    run: u32,
    id: u32,
    size: usize,
    window: usize,
    shared: Arc<Shared>,
    in_flight: usize,
    next: u64,
    /// When a message was due, at its number modulo the length.
    due: Vec<u64>,
}

impl Load {
    async fn closed(mut self) -> Result<()> {
        let mut numbers = Vec::with_capacity(self.window);
        loop {
            if !self.shared.is_stopping() && self.shared.backlog() < self.shared.backlog_max {
                let now = now_ns();
                let count = self.window - self.in_flight;
                self.send(count, |_| now).await?;
            }
            if self.in_flight == 0 {
                if self.shared.is_stopping() {
                    return Ok(());
                }
                let room = self.shared.room.notified();
                if self.shared.backlog() >= self.shared.backlog_max && !self.shared.is_stopping() {
                    room.await;
                }
                continue;
            }
            tokio::time::timeout(STUCK, self.producer.acknowledged(&mut numbers))
                .await
                .context("no put was acknowledged for a minute")??;
            self.acknowledge(&mut numbers)?;
        }
    }

    async fn open(mut self, share: Share) -> Result<()> {
        let mut numbers = Vec::new();
        let mut already_due = 0;
        loop {
            let count = (share.due_until(now_ns()) - already_due) as usize;
            let count = count.min(IN_FLIGHT_MAX - self.in_flight);
            if count > 0 && !self.shared.is_stopping() {
                let now = now_ns();
                let first = already_due;
                already_due += count as u64;
                if self.shared.is_measuring() {
                    let mut lateness = self.shared.lateness.lock().expect("one thread");
                    (first..already_due)
                        .for_each(|index| record(&mut lateness, now.saturating_sub(share.due_at(index))));
                }
                self.send(count, |index| share.due_at(first + index as u64)).await?;
            }
            if self.shared.is_stopping() && self.in_flight == 0 {
                return Ok(());
            }
            tokio::select! {
                acknowledged = self.producer.acknowledged(&mut numbers), if self.in_flight > 0 => acknowledged?,
                () = share.wake.notified() => {}
            }
            self.acknowledge(&mut numbers)?;
        }
    }

    async fn send(&mut self, count: usize, due: impl Fn(usize) -> u64) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let first = self.next;
        let mut bodies = Vec::with_capacity(count);
        for index in 0..count {
            let sequence = first + index as u64;
            let due_ns = due(index);
            self.due[sequence as usize % SLOTS] = due_ns;
            let header = Header { run: self.run, producer: self.id, sequence, due_ns };
            bodies.push(make_body(&header, self.size));
        }
        self.next += count as u64;
        self.in_flight += count;
        self.shared.sent.fetch_add(count as u64, Ordering::Relaxed);
        self.producer.send(first, &bodies).await
    }

    fn acknowledge(&mut self, numbers: &mut Vec<u64>) -> Result<()> {
        let now = now_ns();
        ensure!(numbers.len() <= self.in_flight, "more acknowledgements than messages");
        self.in_flight -= numbers.len();
        self.shared.puts.fetch_add(numbers.len() as u64, Ordering::Relaxed);
        let mut ledger = self.shared.ledger.lock().expect("one thread");
        let mut latency = self.shared.put_latency.lock().expect("one thread");
        let mut recent = self.shared.recent.lock().expect("one thread");
        let measuring = self.shared.is_measuring();
        for number in numbers.drain(..) {
            ensure!(number < self.next, "acknowledged message {number} was not sent");
            ledger.acknowledged(self.id, number);
            if measuring {
                let took = now.saturating_sub(self.due[number as usize % SLOTS]);
                record(&mut latency, took);
                if !self.shared.follows_ends {
                    record(&mut recent, took);
                }
            }
        }
        Ok(())
    }
}

/// Wakes producers when their messages are due. A thread of its own, because the runtime's timers round to milliseconds.
struct Pacer {
    start_ns: u64,
    every_ns: f64,
    producers: usize,
    wakes: Vec<Arc<Notify>>,
    stopped: Arc<AtomicBool>,
}

/// One producer's part of an even stream of messages.
struct Share {
    start_ns: u64,
    every_ns: f64,
    wake: Arc<Notify>,
}

impl Share {
    fn due_at(&self, index: u64) -> u64 {
        self.start_ns + (index as f64 * self.every_ns) as u64
    }

    /// How many are due by now.
    fn due_until(&self, now: u64) -> u64 {
        if now < self.start_ns { 0 } else { ((now - self.start_ns) as f64 / self.every_ns) as u64 + 1 }
    }
}

impl Pacer {
    fn new(rate: f64, producers: usize) -> Pacer {
        let wakes: Vec<Arc<Notify>> = (0..producers).map(|_| Arc::new(Notify::new())).collect();
        let stopped = Arc::new(AtomicBool::new(false));
        let start_ns = now_ns() + 10_000_000;
        let every_ns = 1e9 / rate;
        let (their_wakes, their_stopped) = (wakes.clone(), stopped.clone());
        std::thread::spawn(move || {
            // At high rates a few messages are sent together: a wake-up costs more than a message.
            let together = (200_000.0 / every_ns).ceil().max(1.0) as u64;
            let mut index = 0u64;
            while !their_stopped.load(Ordering::Relaxed) {
                let due = epoch() + Duration::from_nanos(start_ns + (index as f64 * every_ns) as u64);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                for number in index..index + together.min(their_wakes.len() as u64) {
                    their_wakes[number as usize % their_wakes.len()].notify_one();
                }
                index += together;
            }
            their_wakes.iter().for_each(|wake| wake.notify_one());
        });
        Pacer { start_ns, every_ns, producers, wakes, stopped }
    }

    fn share(&self, index: usize) -> Share {
        Share {
            start_ns: self.start_ns + (index as f64 * self.every_ns) as u64,
            every_ns: self.every_ns * self.producers as f64,
            wake: self.wakes[index].clone(),
        }
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_an_even_stream_interleave() {
        let share =
            |index: u64| Share { start_ns: 1000 + index * 10, every_ns: 20.0, wake: Arc::new(Notify::new()) };
        let (first, second) = (share(0), share(1));
        assert_eq!((first.due_until(999), first.due_until(1000), first.due_until(1019)), (0, 1, 1));
        assert_eq!(first.due_until(1020), 2);
        assert_eq!((second.due_at(0), second.due_at(3)), (1010, 1070));
    }

    #[test]
    fn a_curve_ends_where_its_samples_end() {
        let mut histogram = histogram();
        (1..=1000u64).for_each(|value| histogram.record(value * 1_000_000).unwrap());
        let latency = Latency::of(&histogram);
        assert!((latency.p50_ms - 500.0).abs() < 1.0 && (latency.p99_ms - 990.0).abs() < 1.0);
        assert!(latency.curve.last().unwrap().0 < 99.95);
        assert!(latency.curve.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    }
}
