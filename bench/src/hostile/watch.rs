//! Looks at the nodes while they are attacked: how much memory each takes, whether it lives, and whether it answers
//! those who ask for its health.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::machine;

const EVERY: Duration = Duration::from_millis(100);
/// As balancers ask, about.
const HEALTH_EVERY: Duration = Duration::from_millis(500);
const HEALTH_PATIENCE: Duration = Duration::from_secs(1);

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
        let answered = tokio::time::timeout(HEALTH_PATIENCE, is_healthy(&address)).await;
        if !matches!(answered, Ok(Ok(true))) {
            watched.lock().expect("nobody panics with it in hand").unanswered += 1;
        }
    }
}

async fn is_healthy(address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
