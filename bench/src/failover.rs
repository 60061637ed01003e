//! How long a program that must not stop does stop, when the server that leads its queue dies, hangs or is cut off.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::process::signal;
use crate::system::{About, System};
use crate::work::{Header, make_body};

/// Between two puts of the program.
const PAUSE: Duration = Duration::from_millis(2);
const BEFORE: Duration = Duration::from_secs(3);
/// After the failure the program must put for this long without another gap to be called recovered.
const AFTER: Duration = Duration::from_secs(3);
const GIVE_UP: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL: the kernel closes the connections.
    Kill,
    /// SIGSTOP: the connections stay open, nothing answers.
    Stop,
    /// The network between it and all others, clients included, ends; it runs on.
    Cut,
}

impl Fault {
    pub const ALL: [Fault; 3] = [Fault::Kill, Fault::Stop, Fault::Cut];

    pub fn describe(self) -> &'static str {
        match self {
            Fault::Kill => "SIGKILL of the leader",
            Fault::Stop => "SIGSTOP of the leader",
            Fault::Cut => "the leader's network cut",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gap {
    pub about: About,
    pub fault: Fault,
    /// Longest time between two acknowledged puts around the failure.
    pub gap_ms: f64,
    /// The same before the failure, for comparison.
    pub before_ms: f64,
    pub puts: u64,
}

/// One failure of a fresh cluster.
pub async fn measure(system: &mut dyn System, fault: Fault) -> Result<Gap> {
    system.start().await?;
    let queue = "BENCH.FAILOVER";
    system.create_queue(queue).await?;
    let leader = system.leader(queue).await?;
    let mut patient = system.patient(queue).await?;

    let started = Instant::now();
    let mut last = Instant::now();
    let (mut before, mut gap) = (Duration::ZERO, Duration::ZERO);
    let mut failed: Option<Instant> = None;
    let mut recovered: Option<Instant> = None;
    let mut puts = 0u64;
    while recovered.is_none_or(|at| at.elapsed() < AFTER) {
        if failed.is_none() && started.elapsed() >= BEFORE {
            match fault {
                Fault::Kill => signal(system.servers()[leader], libc::SIGKILL)?,
                Fault::Stop => signal(system.servers()[leader], libc::SIGSTOP)?,
                Fault::Cut => system.cluster().cut(leader)?,
            }
            failed = Some(Instant::now());
        }
        let body = make_body(&Header { run: 1, producer: 0, sequence: puts, due_ns: 0 }, 1024);
        tokio::time::timeout(GIVE_UP, patient.put(body))
            .await
            .with_context(|| format!("no put for {} s after the failure", GIVE_UP.as_secs()))??;
        puts += 1;
        let pause = last.elapsed();
        last = Instant::now();
        match failed {
            None => before = before.max(pause),
            Some(_) => {
                if pause > gap {
                    gap = pause;
                    recovered = Some(last);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    drop(patient);
    let about = system.about();
    system.stop()?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Gap { about, fault, gap_ms: ms(gap), before_ms: ms(before), puts })
}
