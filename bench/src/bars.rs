//! What must hold, each measured in turns with what it is held against: a noisy minute hits both, and the ratio stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::echo;
use crate::load::{self, Measured};
use crate::raw::{PlainFile, ThreeCopies};
use crate::scenario::{self, put_get};
use crate::spread::Spread;
use crate::system::{About, System};
use crate::work::{Kind, Work};

/// One figure that was measured for a bar, once a round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub what: String,
    pub unit: String,
    pub values: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    AtMost,
    AtLeast,
}

/// What must hold, and whether it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    pub about: About,
    pub title: String,
    pub parts: Vec<Part>,
    /// Once a round; the median is what counts.
    pub values: Vec<f64>,
    pub unit: String,
    pub limit: Limit,
    pub bar: f64,
}

impl Held {
    pub fn spread(&self) -> Spread {
        Spread::of(self.values.iter().copied()).expect("at least one round")
    }

    pub fn holds(&self) -> bool {
        match self.limit {
            Limit::AtMost => self.spread().median <= self.bar,
            Limit::AtLeast => self.spread().median >= self.bar,
        }
    }

    pub fn bar_text(&self) -> String {
        let word = if self.limit == Limit::AtMost { "at most" } else { "at least" };
        format!("{word} {} {}", self.bar, self.unit).trim_end().to_string()
    }

    pub fn describe(&self) -> String {
        let spread = self.spread();
        let mut text = format!(
            "  {:<5} {}: {}: {:.2} [{:.2} .. {:.2}] {}, bar: {}\n",
            if self.holds() { "holds" } else { "FAILS" },
            self.about.name,
            self.title,
            spread.median,
            spread.low,
            spread.high,
            self.unit,
            self.bar_text()
        );
        for part in &self.parts {
            if let Some(spread) = Spread::of(part.values.iter().copied()) {
                text.push_str(&format!(
                    "          {:<48} {:>10.3} [{:.3} .. {:.3}] {}\n",
                    part.what, spread.median, spread.low, spread.high, part.unit
                ));
            }
        }
        text
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Group {
    /// One put in flight beside a raw sync of the same disk, on idle and on busy CPUs
    OneInFlight,
    /// 100 clients with one in flight beside wide windows; CPU a message and disk bytes, too
    Clients,
    /// Browsing beside puts
    Browse,
    /// Puts and gets on ever deeper queues
    Depth,
    /// Small messages while large ones flow
    Large,
}

impl Group {
    pub const ALL: [Group; 5] =
        [Group::OneInFlight, Group::Clients, Group::Browse, Group::Depth, Group::Large];
}

/// How it is measured, beside the system.
#[derive(Clone, Debug)]
pub struct Options {
    pub rounds: usize,
    /// Seconds of load for each figure.
    pub duration_s: f64,
    /// Messages on the queue, for [`Group::Depth`].
    pub depths: Vec<u64>,
}

/// On a cluster that runs.
pub async fn measure(system: &mut dyn System, group: Group, options: &Options) -> Result<Vec<Held>> {
    let mut bench = Bench { system, options, run: (group as u32 + 1) * 10_000 };
    match group {
        Group::OneInFlight => Ok(vec![bench.one_in_flight(false).await?, bench.one_in_flight(true).await?]),
        Group::Clients => bench.clients().await,
        Group::Browse => bench.browse().await,
        Group::Depth => bench.depth().await,
        Group::Large => bench.large().await,
    }
}

struct Bench<'a> {
    system: &'a mut dyn System,
    options: &'a Options,
    run: u32,
}

impl Bench<'_> {
    async fn load(&mut self, work: &Work) -> Result<Measured> {
        self.run += 1;
        let work = Work { duration_s: self.options.duration_s, warmup_s: 0.5, ..work.clone() };
        let measured = load::run(self.system, &work, self.run, &mut |_| {}).await?;
        anyhow::ensure!(measured.verdict.is_good(), "{}: {}", work.describe(), measured.verdict.describe());
        Ok(measured)
    }

    fn held(
        &self,
        title: &str,
        parts: Vec<Part>,
        values: Vec<f64>,
        unit: &str,
        limit: Limit,
        bar: f64,
    ) -> Held {
        let about = self.system.about();
        Held { about, title: title.into(), parts, values, unit: unit.into(), limit, bar }
    }

    /// Busy: as many threads as there are CPUs do nothing but count, during the raw syncs and during the puts.
    async fn one_in_flight(&mut self, busy: bool) -> Result<Held> {
        let directory = self.system.directory();
        let mut file = PlainFile::create(&directory.join("raw-sync"))?;
        let mut copies = ThreeCopies::start(&directory, 1)?;
        let time = Duration::from_secs_f64(self.options.duration_s / 2.0);
        let spinners = busy.then(Spinners::start);
        let (mut raw, mut three, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        let (mut puts, mut values) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            let sync = file.measure(1, time)?.p50_ms;
            three.push(copies.measure(time)?.p50_ms);
            answers.push(echo::measure(&directory, 1, time).await?.p50_ms);
            let put = self.load(&one(scenario::put(1, 1))).await?.put_latency.p50_ms;
            values.push(put / (1.2 * sync + 0.1));
            raw.push(sync);
            puts.push(put);
        }
        drop(spinners);
        let bars = raw.iter().map(|sync| 1.2 * sync + 0.1).collect();
        let parts = vec![
            part("raw sync of 1 KiB, p50", "ms", raw),
            part("the bar: 1.2 x raw sync + 0.1 ms", "ms", bars),
            part("three processes, 2 of 3 synced, p50 (to compare)", "ms", three),
            part("a client of a gRPC server that only answers, p50", "ms", answers),
            part("put, one in flight, p50", "ms", puts),
        ];
        let title = match busy {
            false => "one put in flight to its bar, CPUs idle otherwise",
            true => "one put in flight to its bar, every CPU busy with something else",
        };
        Ok(self.held(title, parts, values, "x", Limit::AtMost, 1.0))
    }

    async fn clients(&mut self) -> Result<Vec<Held>> {
        let works =
            [scenario::put(4, 500), scenario::put(100, 1), scenario::put_get(4, 500), put_get(100, 1)];
        let mut results: [Vec<Measured>; 4] = Default::default();
        let mut answers = Vec::new();
        let time = Duration::from_secs_f64(self.options.duration_s);
        for _ in 0..self.options.rounds {
            for (work, results) in works.iter().zip(&mut results) {
                results.push(self.load(work).await?);
            }
            answers.push(echo::measure(&self.system.directory(), 100, time).await?.per_s);
        }
        let [wide, narrow, wide_get, narrow_get] = &results;
        let of = |results: &[Measured], value: fn(&Measured) -> f64| -> Vec<f64> {
            results.iter().map(value).collect()
        };
        let share = |narrow: &[Measured], wide: &[Measured]| -> Vec<f64> {
            let pairs = narrow.iter().zip(wide);
            pairs.map(|(narrow, wide)| narrow.rate() / wide.rate() * 100.0).collect()
        };
        let rates = |wide: &[Measured], narrow: &[Measured]| {
            vec![
                part("4 clients, window 500", "/s", of(wide, Measured::rate)),
                part("100 clients, one in flight each", "/s", of(narrow, Measured::rate)),
                part("server CPU, 4 clients", "µs", of(wide, Measured::server_cpu_us)),
                part("server CPU, 100 clients", "µs", of(narrow, Measured::server_cpu_us)),
                part("100 clients of a gRPC server that only answers", "/s", answers.clone()),
            ]
        };
        let (at_most, at_least) = (Limit::AtMost, Limit::AtLeast);
        let (puts, both) = (of(wide, Measured::server_cpu_us), of(wide_get, Measured::server_cpu_us));
        let disk = of(wide_get, Measured::device_bytes_per_body_byte);
        Ok(vec![
            self.held("server CPU a put, all nodes", vec![], puts, "µs", at_most, 18.0),
            self.held("server CPU a put and get, all nodes", vec![], both, "µs", at_most, 40.0),
            self.held("disk bytes a body byte and node, puts and gets", vec![], disk, "", at_most, 1.2),
            self.held(
                "puts: 100 clients with one in flight, of what wide windows do",
                rates(wide, narrow),
                share(narrow, wide),
                "%",
                at_least,
                60.0,
            ),
            self.held(
                "puts and gets: 100 + 100 clients with one in flight, of what wide windows do",
                rates(wide_get, narrow_get),
                share(narrow_get, wide_get),
                "%",
                at_least,
                60.0,
            ),
        ])
    }

    async fn browse(&mut self) -> Result<Vec<Held>> {
        const PUTS_PER_S: f64 = 10_000.0;
        let paced = Work { rate: Some(PUTS_PER_S), depth: 100_000, ..scenario::put(4, 500) };
        let beside = Work { kind: Kind::Browse, consumers: 1, window: 1000, ..paced.clone() };
        let alone_browse = Work { producers: 0, rate: None, ..beside.clone() };
        let puts = |measured: &Measured| measured.puts as f64 / measured.cost.seconds;
        let (mut kept, mut browsed, mut browsed_beside) = (Vec::new(), Vec::new(), Vec::new());
        let (mut alone_ms, mut beside_ms) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            browsed.push(self.load(&alone_browse).await?.rate());
            let without = self.load(&paced).await?;
            let with = self.load(&beside).await?;
            kept.push(puts(&with) / puts(&without) * 100.0);
            browsed_beside.push(with.rate());
            alone_ms.push(without.put_latency.p50_ms);
            beside_ms.push(with.put_latency.p50_ms);
        }
        let parts = vec![
            part("messages browsed beside 10,000 puts/s", "/s", browsed_beside),
            part("put alone, p50 from the due time", "ms", alone_ms),
            part("put beside a browser, p50 from the due time", "ms", beside_ms),
        ];
        Ok(vec![
            self.held("messages browsed by one client", vec![], browsed, "/s", Limit::AtLeast, 100_000.0),
            self.held("of 10,000 puts/s left beside a browser", parts, kept, "%", Limit::AtLeast, 90.0),
        ])
    }

    async fn depth(&mut self) -> Result<Vec<Held>> {
        let depths = &self.options.depths;
        anyhow::ensure!(depths.len() >= 2, "two depths at least are needed");
        let mut results: Vec<Vec<Measured>> = depths.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.options.rounds {
            for (depth, results) in depths.iter().zip(&mut results) {
                let work = Work { depth: *depth, ..put_get(4, 500) };
                results.push(self.load(&work).await.with_context(|| format!("depth {depth}"))?);
            }
        }
        let growth = (0..self.options.rounds).map(|round| {
            let cost = |results: &[Measured]| results[round].server_cpu_us();
            cost(&results[results.len() - 1]) / cost(&results[0])
        });
        let growth = growth.collect();
        let mut parts = Vec::new();
        for (depth, results) in depths.iter().zip(&results) {
            let cpu = results.iter().map(Measured::server_cpu_us).collect();
            let rate = results.iter().map(Measured::rate).collect();
            parts.push(part(&format!("server CPU a put and get, {depth} queued"), "µs", cpu));
            parts.push(part(&format!("puts and gets, {depth} queued"), "/s", rate));
        }
        let title = format!("server CPU with {} queued to {}", depths[depths.len() - 1], depths[0]);
        Ok(vec![self.held(&title, parts, growth, "x", Limit::AtMost, 1.3)])
    }

    async fn large(&mut self) -> Result<Vec<Held>> {
        let paced = Work { rate: Some(1000.0), ..put_get(4, 500) };
        let beside = Work { beside: 100 * 1024 * 1024, ..paced.clone() };
        let (mut alone_ms, mut beside_ms, mut flow, mut values) = (vec![], vec![], vec![], vec![]);
        for _ in 0..self.options.rounds {
            let alone = self.load(&paced).await?.latency().p99_ms;
            let with = self.load(&beside).await?;
            values.push(with.latency().p99_ms / alone);
            alone_ms.push(alone);
            beside_ms.push(with.latency().p99_ms);
            flow.push(with.beside_bytes_per_s.unwrap_or(0.0) / 1e6);
        }
        let parts = vec![
            part("put to received at 1,000/s, p99", "ms", alone_ms),
            part("the same beside messages of 100 MiB, p99", "ms", beside_ms),
            part("bodies of 100 MiB, put and got", "MB/s", flow),
        ];
        let title = "p99 of 1 KiB at 1,000/s beside messages of 100 MiB, to alone";
        Ok(vec![self.held(title, parts, values, "x", Limit::AtMost, 3.0)])
    }
}

/// One of each, and nothing that stays: its queue is emptied by one consumer.
fn one(work: Work) -> Work {
    Work { consumers: 1, ..work }
}

pub fn part(what: &str, unit: &str, values: Vec<f64>) -> Part {
    Part { what: what.into(), unit: unit.into(), values }
}

/// Threads that keep every CPU busy.
struct Spinners {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Spinners {
    fn start() -> Spinners {
        let stop = Arc::new(AtomicBool::new(false));
        let cpus = std::thread::available_parallelism().map_or(1, |count| count.get());
        let spin = |stop: Arc<AtomicBool>| {
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..cpus).map(|_| spin(stop.clone())).collect();
        Spinners { stop, threads }
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round_decides_and_a_bar_has_a_side() {
        let about = About {
            name: "ours".into(),
            version: "1".into(),
            settings: "all".into(),
            durable: true,
            copies: 3,
        };
        let held = |values: &[f64], limit, bar| Held {
            about: about.clone(),
            title: "it".into(),
            parts: vec![part("a part", "ms", vec![1.0])],
            values: values.to_vec(),
            unit: "µs".into(),
            limit,
            bar,
        };
        assert!(held(&[17.0, 90.0, 18.0], Limit::AtMost, 18.0).holds());
        assert!(!held(&[17.0, 19.0, 18.5], Limit::AtMost, 18.0).holds());
        assert!(held(&[60.0], Limit::AtLeast, 60.0).holds());
        let text = held(&[59.0], Limit::AtLeast, 60.0).describe();
        assert!(
            text.contains("FAILS") && text.contains("at least 60 µs") && text.contains("a part"),
            "{text}"
        );
    }
}
