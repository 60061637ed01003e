//! What is to be done to a system, and the messages it is done with.
//!
//! A message carries who sent it, its number and when it was due, and a payload that does not compress and that the
//! receiver can predict, so that every byte that comes back is checked for the price of a comparison.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Longest body of all systems' own limits but one.
pub const BODY_BYTES_MAX: usize = 100 * 1024 * 1024;
pub const HEADER_BYTES: usize = 24;
const MAGIC: u32 = 0x5452_4942;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Producers only; the queues fill up.
    Put,
    /// Producers and consumers; what is put is taken.
    PutGet,
    /// What was queued before is read again and again, and stays; producers, if any, put beside it.
    Browse,
}

/// One piece of work, the same for every system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    pub kind: Kind,
    /// Bytes of a body.
    pub size: usize,
    pub producers: usize,
    pub consumers: usize,
    pub queues: usize,
    /// Messages a producer may have unanswered, and gets a consumer has outstanding.
    pub window: usize,
    /// Messages on the queues before the clock starts.
    pub depth: u64,
    /// Messages a second of all producers together; none: as fast as the windows allow (closed loop).
    pub rate: Option<f64>,
    /// Messages a consumer takes under one unit of work; 0: each is gone when it is delivered (ours) or acknowledged
    /// one by one (others).
    pub unit: usize,
    pub duration_s: f64,
    pub warmup_s: f64,
    /// In place of `rate`: this share of what a closed loop manages, which is found out first.
    #[serde(default)]
    pub share_of_max: Option<f64>,
    /// Queues that are there and not used.
    #[serde(default)]
    pub idle_queues: usize,
    /// Consumers that wait on a queue that stays empty.
    #[serde(default)]
    pub idle_clients: usize,
    /// Bodies of so many bytes go through a queue of their own meanwhile, one after the other; 0: none.
    #[serde(default)]
    pub beside: usize,
}

impl Work {
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_s)
    }

    pub fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup_s)
    }

    /// Those that count, of what was put and got.
    pub fn messages_of(&self, puts: u64, gets: u64) -> u64 {
        match self.kind {
            Kind::Put => puts,
            Kind::PutGet | Kind::Browse => gets,
        }
    }

    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            (HEADER_BYTES..=BODY_BYTES_MAX).contains(&self.size),
            "--size {} is not between {HEADER_BYTES} (what checking needs) and {BODY_BYTES_MAX} bytes",
            self.size
        );
        anyhow::ensure!(self.producers >= 1 || self.kind == Kind::Browse, "--producers must be at least 1");
        anyhow::ensure!(
            self.kind != Kind::Browse || self.depth > 0,
            "--depth must be more than 0: there would be nothing to browse"
        );
        anyhow::ensure!(
            (1..=10_000).contains(&self.window),
            "--window {} is not between 1 and 10000",
            self.window
        );
        anyhow::ensure!(
            (1..=self.producers.max(1)).contains(&self.queues),
            "--queues {} is not between 1 and the number of producers, {}",
            self.queues,
            self.producers
        );
        anyhow::ensure!(
            self.kind == Kind::Put || self.consumers >= self.queues,
            "--consumers {} leaves queues without one; there are {} queues",
            self.consumers,
            self.queues
        );
        anyhow::ensure!(self.rate.is_none_or(|rate| rate > 0.0), "--rate must be more than 0");
        anyhow::ensure!(
            self.share_of_max.is_none_or(|share| share > 0.0 && share <= 1.0),
            "--share is not between 0 and 1"
        );
        anyhow::ensure!(self.duration_s > 0.0, "--duration must be more than 0");
        anyhow::ensure!(
            self.beside == 0 || (HEADER_BYTES..=BODY_BYTES_MAX).contains(&self.beside),
            "--beside {} is not between {HEADER_BYTES} and {BODY_BYTES_MAX} bytes",
            self.beside
        );
        Ok(())
    }

    /// One line for headings.
    pub fn describe(&self) -> String {
        let what = match self.kind {
            Kind::Put => format!("put, {} producers", self.producers),
            Kind::PutGet => {
                format!("put and get, {} producers, {} consumers", self.producers, self.consumers)
            }
            Kind::Browse => format!("browse, {} browsers, {} producers", self.consumers, self.producers),
        };
        let share = self.share_of_max.map(|share| format!("{:.0} % of the most", share * 100.0));
        let loop_kind = match (self.rate, share) {
            (None, None) => "closed loop".to_string(),
            (Some(rate), None) => format!("open loop {rate:.0}/s"),
            (None, Some(share)) => format!("open loop at {share}"),
            (Some(rate), Some(share)) => format!("open loop {rate:.0}/s, {share}"),
        };
        let depth = if self.depth == 0 { String::new() } else { format!(", {} queued before", self.depth) };
        let unit = if self.unit == 0 { String::new() } else { format!(", units of {}", self.unit) };
        let idle_queues = match self.idle_queues {
            0 => String::new(),
            count => format!(", {count} queues idle"),
        };
        let idle_clients = match self.idle_clients {
            0 => String::new(),
            count => format!(", {count} clients idle"),
        };
        let beside = match self.beside {
            0 => String::new(),
            bytes => format!(", beside bodies of {} MiB", bytes / (1024 * 1024)),
        };
        format!(
            "{what}, window {}, {} queue{}, {} B{depth}{unit}{idle_queues}{idle_clients}{beside}, {loop_kind}, {:.0} s after {:.0} s",
            self.window,
            self.queues,
            if self.queues == 1 { "" } else { "s" },
            self.size,
            self.duration_s,
            self.warmup_s
        )
    }
}

/// What a message says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub run: u32,
    pub producer: u32,
    pub sequence: u64,
    /// Nanoseconds after [`epoch`]; only meaningful within this process.
    pub due_ns: u64,
}

/// Start of this process's own clock.
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

pub fn now_ns() -> u64 {
    epoch().elapsed().as_nanos() as u64
}

/// Payloads are put together from slices of so many random bytes.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Twice a chunk, so that a slice of a chunk's length can begin anywhere in the first half.
fn pool() -> &'static [u8] {
    static POOL: OnceLock<Vec<u8>> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let words = 2 * CHUNK_BYTES / 8;
        let mut bytes = Vec::with_capacity(words * 8);
        for _ in 0..words {
            // splitmix64
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut word = state;
            word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
        }
        bytes
    })
}

/// The slices that make up a payload of this length. Each begins somewhere else, so that large bodies do not repeat.
fn payload(header: &Header, length: usize) -> impl Iterator<Item = &'static [u8]> {
    let mix = header.sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (header.producer as u64) << 7;
    (0..length.div_ceil(CHUNK_BYTES)).map(move |chunk| {
        let at = ((mix >> 20) as usize + chunk * 65_537) % CHUNK_BYTES;
        &pool()[at..at + CHUNK_BYTES.min(length - chunk * CHUNK_BYTES)]
    })
}

/// ```text
/// magic u32 | run u32 | producer and top of sequence u64 | due u64 | payload
/// ```
/// all little-endian; the producer takes the upper 16 bits of its word.
pub fn make_body(header: &Header, size: usize) -> Bytes {
    debug_assert!(header.producer < 1 << 16 && header.sequence < 1 << 48);
    let mut body = BytesMut::with_capacity(size);
    body.put_u32_le(MAGIC);
    body.put_u32_le(header.run);
    body.put_u64_le((header.producer as u64) << 48 | header.sequence);
    body.put_u64_le(header.due_ns);
    payload(header, size - HEADER_BYTES).for_each(|slice| body.put_slice(slice));
    body.freeze()
}

/// None when this is not a message of ours, or not as it was sent.
pub fn read_body(body: &[u8]) -> Option<Header> {
    if body.len() < HEADER_BYTES || body[..4] != MAGIC.to_le_bytes() {
        return None;
    }
    let word = |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("eight bytes"));
    let header = Header {
        run: (word(0) >> 32) as u32,
        producer: (word(8) >> 48) as u32,
        sequence: word(8) & 0xFFFF_FFFF_FFFF,
        due_ns: word(16),
    };
    let mut rest = &body[HEADER_BYTES..];
    let length = rest.len();
    let as_sent = payload(&header, length).all(|slice| {
        let (part, after) = rest.split_at(slice.len());
        rest = after;
        part == slice
    });
    as_sent.then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_tells_who_sent_it_and_shows_a_changed_byte() {
        let header = Header { run: 7, producer: 65_535, sequence: 123_456_789, due_ns: 42 };
        for size in [HEADER_BYTES, 100, 1024, CHUNK_BYTES, 3 * CHUNK_BYTES + 7] {
            let body = make_body(&header, size);
            assert_eq!(body.len(), size);
            assert_eq!(read_body(&body), Some(header));
            if size > HEADER_BYTES {
                let mut changed = body.to_vec();
                *changed.last_mut().unwrap() ^= 1;
                assert_eq!(read_body(&changed), None);
            }
        }
        assert_eq!(read_body(b"short"), None);
    }
}
