//! Channels (port 1414) beside gRPC streams of the same cluster, and beside NATS: what must hold of them, in turns.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::bars::{Held, Limit, part};
use crate::load::{self, Measured};
use crate::scenario::{put, put_get};
use crate::system::mq::Mq;
use crate::system::{Place, System, by_name};
use crate::work::Work;

const KIB: f64 = 1024.0;

#[derive(Clone, Debug)]
pub struct Options {
    pub rounds: usize,
    /// Seconds of load for each figure.
    pub duration_s: f64,
    /// Connections that wait for messages that never come.
    pub idle: usize,
}

/// Whose figures they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Channels,
    Streams,
    Nats,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    PutOne,
    PutGetOne,
    PutWide,
    PutGetWide,
    Busy,
    BesideIdle,
}

struct Bench<'a> {
    mq: Mq,
    nats: Option<Box<dyn System>>,
    options: &'a Options,
    run: u32,
    results: BTreeMap<(Whose, What), Vec<Measured>>,
}

/// Starts the clusters; NATS takes part where it is installed.
pub async fn measure(place: &Place, options: &Options) -> Result<Vec<Held>> {
    let mut mq = Mq::new(place)?;
    mq.start().await?;
    let mut nats = by_name("nats", place).inspect_err(|error| eprintln!("nats is left out: {error:#}")).ok();
    if let Some(system) = &mut nats
        && let Err(error) = system.start().await
    {
        eprintln!("nats is left out: {error:#}");
        nats = None;
    }
    let mut bench = Bench { mq, nats, options, run: 60_000, results: BTreeMap::new() };
    for _ in 0..options.rounds {
        bench.round().await?;
    }
    let held = bench.held();
    bench.mq.stop()?;
    bench.nats.map_or(Ok(()), |mut nats| nats.stop())?;
    Ok(held)
}

impl Bench<'_> {
    async fn round(&mut self) -> Result<()> {
        let busy = put_get(50, 20);
        let beside_idle = Work { idle_clients: self.options.idle, ..busy.clone() };
        let works = [
            (What::PutOne, put(100, 1)),
            (What::PutGetOne, put_get(100, 1)),
            (What::PutWide, put(4, 500)),
            (What::PutGetWide, put_get(4, 500)),
        ];
        for (what, work) in &works {
            for whose in [Whose::Channels, Whose::Streams, Whose::Nats] {
                let is_narrow = matches!(what, What::PutOne | What::PutGetOne);
                if whose != Whose::Nats || is_narrow {
                    self.load(whose, *what, work).await?;
                }
            }
        }
        self.load(Whose::Channels, What::Busy, &busy).await?;
        self.load(Whose::Channels, What::BesideIdle, &beside_idle).await
    }

    async fn load(&mut self, whose: Whose, what: What, work: &Work) -> Result<()> {
        let system: &mut dyn System = match (whose, &mut self.nats) {
            (Whose::Channels, _) => &mut self.mq,
            (Whose::Streams, _) => self.mq.streams(),
            (Whose::Nats, Some(nats)) => nats.as_mut(),
            (Whose::Nats, None) => return Ok(()),
        };
        self.run += 1;
        let work = Work { duration_s: self.options.duration_s, warmup_s: 1.0, ..work.clone() };
        let measured = load::run(system, &work, self.run, &mut |_| {}).await;
        let measured = measured.with_context(|| format!("{}: {}", system.about().name, work.describe()))?;
        ensure!(measured.verdict.is_good(), "{}: {}", work.describe(), measured.verdict.describe());
        self.results.entry((whose, what)).or_default().push(measured);
        Ok(())
    }

    fn of(&self, whose: Whose, what: What, value: fn(&Measured) -> f64) -> Vec<f64> {
        self.results.get(&(whose, what)).map(|all| all.iter().map(value).collect()).unwrap_or_default()
    }

    /// How many times the value of channels is that of others.
    fn times(
        &self,
        what: What,
        whose: Whose,
        title: &str,
        (value, unit): (fn(&Measured) -> f64, &str),
        (limit, bar): (Limit, f64),
    ) -> Option<Held> {
        let (ours, theirs) = (self.of(Whose::Channels, what, value), self.of(whose, what, value));
        let values: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
        let other = if whose == Whose::Nats { "NATS" } else { "gRPC streams" };
        let parts = vec![part("channels", unit, ours), part(other, unit, theirs)];
        let title = format!("{title}: channels to {other}");
        let about = self.mq.about();
        (!values.is_empty()).then_some(Held { about, title, parts, values, unit: "x".into(), limit, bar })
    }

    fn held(&self) -> Vec<Held> {
        let (rate, cpu) =
            ((Measured::rate as fn(&Measured) -> f64, "/s"), (Measured::server_cpu_us as _, "µs"));
        let (least, most) = (|bar| (Limit::AtLeast, bar), |bar| (Limit::AtMost, bar));
        let (one, both) = ("puts of 100 clients", "puts and gets of 100 + 100 clients");
        let all = [
            self.times(What::PutOne, Whose::Streams, one, rate, least(1.5)),
            self.times(What::PutOne, Whose::Nats, one, rate, least(3.0)),
            self.times(What::PutGetOne, Whose::Nats, both, rate, least(4.0)),
            self.times(What::PutWide, Whose::Streams, "server CPU a put, wide windows", cpu, most(1.3)),
            self.times(
                What::PutGetWide,
                Whose::Streams,
                "server CPU a put and get, wide windows",
                cpu,
                most(1.3),
            ),
            Some(self.idle_bytes()),
            Some(self.beside_idle()),
        ];
        all.into_iter().flatten().collect()
    }

    fn idle_bytes(&self) -> Held {
        let values = self.of(Whose::Channels, What::BesideIdle, |it| it.idle_bytes.unwrap_or(0.0) / KIB);
        let title = format!("memory of an idle connection, of {}", self.options.idle);
        let (about, unit) = (self.mq.about(), "KiB".to_string());
        Held { about, title, parts: vec![], values, unit, limit: Limit::AtMost, bar: 64.0 }
    }

    fn beside_idle(&self) -> Held {
        let alone = self.of(Whose::Channels, What::Busy, Measured::rate);
        let beside = self.of(Whose::Channels, What::BesideIdle, Measured::rate);
        let values = alone.iter().zip(&beside).map(|(alone, beside)| beside / alone * 100.0).collect();
        let title = format!(
            "puts and gets of 100 clients beside {} idle ones, of what they are alone",
            self.options.idle
        );
        let parts = vec![part("alone", "/s", alone), part("beside them", "/s", beside)];
        Held {
            about: self.mq.about(),
            title,
            parts,
            values,
            unit: "%".into(),
            limit: Limit::AtLeast,
            bar: 90.0,
        }
    }
}
