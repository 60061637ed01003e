//! Looks at the nodes while they are attacked: how much memory each takes, whether it lives, and whether it answers
//! those who ask for its health.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::machine;

const EVERY: Duration = Duration::from_millis(100);
/// As balancers ask, about.
const HEALTH_EVERY: Duration = Duration::from_millis(500);
const HEALTH_PATIENCE: Duration = Duration::from_secs(1);
/// At the end of a row.
const METRICS_PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Of each node.
    pub peak_bytes: Vec<u64>,
    /// Processes.
    pub ended: u64,
    /// Times that a node's health was asked for, and no answer came.
    pub unanswered: u64,
}

/// Goes on until it is dropped.
pub struct Watch {
    processes: Vec<u32>,
    watched: Arc<Mutex<Watched>>,
    tasks: Vec<AbortHandle>,
}

impl Watch {
    pub fn begin(processes: Vec<u32>, monitors: Vec<String>) -> Watch {
        let peak_bytes = vec![0; processes.len()];
        let watched = Arc::new(Mutex::new(Watched { peak_bytes, ..Watched::default() }));
        let memory = tokio::spawn(look_at_memory(processes.clone(), watched.clone()));
        let health =
            monitors.into_iter().map(|address| tokio::spawn(ask_for_health(address, watched.clone())));
        let tasks = std::iter::once(memory).chain(health).map(|task| task.abort_handle()).collect();
        Watch { processes, watched, tasks }
    }

    pub fn end(self) -> Watched {
        let ended =
            self.processes.iter().filter(|process| machine::resident_bytes(&[**process]) == 0).count();
        let watched = self.watched.lock().expect("nobody panics with it in hand").clone();
        Watched { ended: ended as u64, ..watched }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

async fn look_at_memory(processes: Vec<u32>, watched: Arc<Mutex<Watched>>) {
    loop {
        let now: Vec<u64> = processes.iter().map(|process| machine::resident_bytes(&[*process])).collect();
        note_memory(&watched, &now);
        tokio::time::sleep(EVERY).await;
    }
}

fn note_memory(watched: &Mutex<Watched>, now: &[u64]) {
    let mut watched = watched.lock().expect("nobody panics with it in hand");
    watched.peak_bytes.iter_mut().zip(now).for_each(|(peak, now)| *peak = (*now).max(*peak));
}

async fn ask_for_health(address: String, watched: Arc<Mutex<Watched>>) {
    loop {
        tokio::time::sleep(HEALTH_EVERY).await;
        let why = match tokio::time::timeout(HEALTH_PATIENCE, is_healthy(&address)).await {
            Ok(Ok(true)) => continue,
            Ok(Ok(false)) => "it answers with another status".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {HEALTH_PATIENCE:?}"),
        };
        eprintln!("    health of {address}: {why}");
        watched.lock().expect("nobody panics with it in hand").unanswered += 1;
    }
}

/// The longest turn of any node since it began: in looks at a message, and in milliseconds of processor time.
///
/// # Errors
/// A node does not say it: then nothing is known, and nothing holds.
pub async fn longest_turn(monitors: &[String]) -> Result<(u64, f64)> {
    let (mut work, mut cpu_ms) = (0.0, 0.0);
    for address in monitors {
        let asked = tokio::time::timeout(METRICS_PATIENCE, ask(address, "/metrics")).await;
        let page = asked.context("metrics do not come")??;
        let of_node = highest(&page, "trimaran_turn_work_max");
        ensure!(of_node > 0.0, "the metrics at {address} do not say how long turns were");
        work = of_node.max(work);
        cpu_ms = (highest(&page, "trimaran_turn_cpu_seconds_max") * 1e3).max(cpu_ms);
    }
    Ok((work as u64, cpu_ms))
}

/// Of all queue managers on a page of metrics.
fn highest(page: &str, metric: &str) -> f64 {
    let values = page.lines().filter(|line| line.starts_with(&format!("{metric}{{")));
    let values = values.filter_map(|line| line.rsplit(' ').next()?.parse().ok());
    values.fold(0.0, f64::max)
}

async fn is_healthy(address: &str) -> std::io::Result<bool> {
    Ok(ask(address, "/health/live").await?.starts_with("HTTP/1.1 200"))
}

async fn ask(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_of_a_metric_is_that_of_all_queue_managers() {
        let page = "# HELP a b\na{qmgr=\"ONE\"} 3\na{qmgr=\"TWO\"} 0.5\nab{qmgr=\"ONE\"} 9\n";
        assert_eq!((highest(page, "a"), highest(page, "c")), (3.0, 0.0));
    }
}
