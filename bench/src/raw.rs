//! What the machine itself allows: syncs of a preallocated file, raft-engine alone, and three processes that keep the same
//! log without any queue on top.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use raft::eraftpb::Entry;
use serde::{Deserialize, Serialize};

use crate::machine::{Cost, Device, sample};
use crate::process::Server;

const BODY_BYTES: usize = 1024;
const FILE_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Limit {
    pub name: String,
    pub per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Of all processes that took part, a message.
    pub cpu_us: f64,
    /// To the device, a body byte and copy.
    pub bytes_per_byte: f64,
}

impl Limit {
    /// Of rounds that handled `messages` together, each recorded in nanoseconds.
    pub fn of(name: String, rounds: &Histogram<u64>, messages: usize, cost: &Cost, copies: usize) -> Limit {
        Limit {
            name,
            per_s: messages as f64 / cost.seconds,
            p50_ms: rounds.value_at_quantile(0.5) as f64 / 1e6,
            p99_ms: rounds.value_at_quantile(0.99) as f64 / 1e6,
            cpu_us: (cost.server_cpu_s + cost.client_cpu_s) * 1e6 / messages as f64,
            bytes_per_byte: cost.device_bytes as f64 / (messages * BODY_BYTES * copies) as f64,
        }
    }

    pub fn describe(&self) -> String {
        format!(
            "{:<46} {:>9.0}/s  p50 {:>6.3} ms  p99 {:>7.3} ms  {:>6.2} µs CPU a message  {:>5.2} B/B",
            self.name, self.per_s, self.p50_ms, self.p99_ms, self.cpu_us, self.bytes_per_byte
        )
    }
}

/// All of them, one after the other; the name of a limit says what it is.
pub fn measure(directory: &Path, time: Duration, mut tell: impl FnMut(&Limit)) -> Result<Vec<Limit>> {
    let home = tempfile::Builder::new().prefix("raw-").tempdir_in(directory)?;
    let mut limits = Vec::new();
    let mut note = |limit: Limit| {
        tell(&limit);
        limits.push(limit);
    };
    let mut file = PlainFile::create(&home.path().join("preallocated"))?;
    for batch in [1, 64, 256] {
        note(file.measure(batch, time)?);
    }
    for batch in [1, 64, 256] {
        note(raft_engine_alone(home.path(), batch, time)?);
    }
    for batch in [1, 64, 256] {
        note(ThreeCopies::start(home.path(), batch)?.measure(time)?);
    }
    Ok(limits)
}

/// Does `round` until the time is over; each call handles `batch` messages.
fn clock(
    name: String,
    batch: usize,
    copies: usize,
    pids: &[u32],
    directory: &Path,
    time: Duration,
    mut round: impl FnMut() -> Result<()>,
) -> Result<Limit> {
    let device = Device::under(directory);
    let mut histogram = histogram()?;
    for _ in 0..10 {
        round()?;
    }
    let before = sample(pids, device.as_ref())?;
    let mut messages = 0usize;
    while before.at.elapsed() < time {
        let started = Instant::now();
        round()?;
        histogram.saturating_record(started.elapsed().as_nanos() as u64);
        messages += batch;
    }
    let cost = Cost::between(&before, &sample(pids, device.as_ref())?);
    Ok(Limit::of(name, &histogram, messages, &cost, copies))
}

/// A file whose blocks were written before, written again from its start when its end is reached.
struct Ring {
    file: File,
    at: u64,
}

impl Ring {
    fn create(path: &Path) -> Result<Ring> {
        let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)?;
        let zeros = vec![0u8; 1024 * 1024];
        for _ in 0..FILE_BYTES / zeros.len() as u64 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        Ok(Ring { file, at: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.at + bytes.len() as u64 > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(self.file.sync_data()?)
    }
}

/// For nanoseconds, from a microsecond to a minute.
pub fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?)
}

pub fn body(count: usize) -> Vec<u8> {
    let header = crate::work::Header { run: 0, producer: 0, sequence: 1, due_ns: 0 };
    crate::work::make_body(&header, BODY_BYTES).repeat(count)
}

/// A preallocated file and its sync.
pub struct PlainFile {
    path: PathBuf,
    ring: Ring,
}

impl PlainFile {
    pub fn create(path: &Path) -> Result<PlainFile> {
        Ok(PlainFile { path: path.to_path_buf(), ring: Ring::create(path)? })
    }

    pub fn measure(&mut self, batch: usize, time: Duration) -> Result<Limit> {
        let bytes = body(batch);
        let name = format!("preallocated file, fdatasync, {batch} a sync");
        clock(name, batch, 1, &[], &self.path, time, || self.ring.append(&bytes))
    }
}

struct ByIndex;

impl raft_engine::MessageExt for ByIndex {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

fn raft_engine_alone(directory: &Path, batch: usize, time: Duration) -> Result<Limit> {
    let config = raft_engine::Config {
        dir: directory.join(format!("raft-engine-{batch}")).to_string_lossy().into_owned(),
        purge_threshold: raft_engine::ReadableSize::mb(512),
        ..raft_engine::Config::default()
    };
    let engine = raft_engine::Engine::open(config)?;
    let data = bytes::Bytes::from(body(1));
    let mut index = 0;
    let name = format!("raft-engine, synced, {batch} a write");
    clock(name, batch, 1, &[], directory, time, || {
        let entries: Vec<Entry> = (0..batch)
            .map(|_| {
                index += 1;
                Entry { index, term: 1, data: data.clone(), ..Entry::default() }
            })
            .collect();
        let mut writes = raft_engine::LogBatch::with_capacity(batch);
        writes.add_entries::<ByIndex>(1, &entries)?;
        engine.write(&mut writes, true)?;
        // Keeps the log from growing while it is measured; the oldest files are taken again.
        if index.is_multiple_of(100_000) {
            engine.compact_to(1, index - 1_000);
            engine.purge_expired_files()?;
        }
        Ok(())
    })
}

/// A leader writes and syncs while two followers do the same; a round is done when two of the three have it.
pub struct ThreeCopies {
    batch: usize,
    round: u64,
    ring: Ring,
    path: PathBuf,
    /// Both end with their connections.
    writers: Vec<TcpStream>,
    followers: Vec<Server>,
    told: mpsc::Receiver<u64>,
}

impl ThreeCopies {
    pub fn start(directory: &Path, batch: usize) -> Result<ThreeCopies> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let (tell, told) = mpsc::channel();
        let (mut followers, mut writers) = (Vec::new(), Vec::new());
        for index in 0..2 {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["raw-follower", &address, &batch.to_string()]);
            command.arg(directory.join(format!("copy-{batch}-{index}")));
            followers.push(Server::start(command, directory.join(format!("copy-{batch}-{index}.log")))?);
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let mut reader = stream.try_clone()?;
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut number = [0; 8];
                while reader.read_exact(&mut number).is_ok() && tell.send(u64::from_le_bytes(number)).is_ok()
                {
                }
            });
            writers.push(stream);
        }
        let path = directory.join(format!("copy-{batch}-leader"));
        Ok(ThreeCopies { batch, round: 0, ring: Ring::create(&path)?, path, writers, followers, told })
    }

    pub fn measure(&mut self, time: Duration) -> Result<Limit> {
        let pids: Vec<u32> = self.followers.iter().map(Server::pid).collect();
        let bytes = body(self.batch);
        let name = format!("three processes, 2 of 3 synced, {} a round", self.batch);
        let path = self.path.clone();
        clock(name, self.batch, 3, &pids, &path, time, || {
            self.round += 1;
            for writer in &mut self.writers {
                writer.write_all(&bytes)?;
            }
            self.ring.append(&bytes)?;
            // The leader has it; one follower more makes two of three. The slower one may be a round behind.
            let answer =
                || self.told.recv_timeout(Duration::from_secs(30)).context("a follower does not answer");
            while answer()? != self.round {}
            Ok(())
        })
    }
}

/// The other end of [`ThreeCopies`]: reads rounds, syncs each, answers with its number.
pub fn follow(address: &str, batch: usize, path: &Path) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    ensure!(batch > 0, "a round has messages");
    let mut ring = Ring::create(path)?;
    let mut bytes = vec![0; batch * BODY_BYTES];
    let mut round = 0u64;
    while stream.read_exact(&mut bytes).is_ok() {
        ring.append(&bytes)?;
        round += 1;
        stream.write_all(&round.to_le_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_begins_again_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut ring = Ring::create(&directory.path().join("ring")).unwrap();
        ring.at = FILE_BYTES - 1;
        ring.append(&[7; 2]).unwrap();
        let mut start = [0; 3];
        ring.file.read_exact_at(&mut start, 0).unwrap();
        assert_eq!(start, [7, 7, 0]);
    }
}
