//! The sections of the file that hold options: their defaults, and what each value may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::problems::Problems;
use super::{Limits, LogOptions, Timing, TlsFiles, file, machine};
use crate::consensus;
use crate::metrics::Shown;
use crate::replica::{self, Placement};
use crate::types::{NodeId, QueueManagerId, Share, Speaks, Version, limits};
use crate::vip;

pub fn tls(tls: &file::Tls, node: &str, problems: &mut Problems) -> Option<TlsFiles> {
    let mut clients_required = true;
    if let Some(certificates) = &tls.client_certificates {
        match certificates.get_ref().as_str() {
            "optional" => clients_required = false,
            "required" => {}
            other => {
                let text = format!("client_certificates = {other:?}: use \"optional\" or \"required\"");
                problems.add(certificates.span(), text);
            }
        }
    }
    match (&tls.ca, &tls.certificate, &tls.key) {
        (None, None, None) => {
            if let Some(written) = &tls.client_certificates {
                problems.add(written.span(), "client_certificates needs ca, certificate and key in [tls]");
            }
            None
        }
        (Some(ca), Some(certificate), Some(key)) => Some(TlsFiles {
            ca: expand(ca.get_ref(), node),
            certificate: expand(certificate.get_ref(), node),
            key: expand(key.get_ref(), node),
            clients_required,
        }),
        (ca, certificate, key) => {
            let span = ca.iter().chain(certificate).chain(key).next().map_or(0..0, Spanned::span);
            problems.add(span, "[tls] needs all three: ca, certificate and key");
            None
        }
    }
}

pub fn queues_shown(metrics: &file::Metrics, problems: &mut Problems) -> Shown {
    let Some(queues) = &metrics.queues else { return Shown::default() };
    Shown::parse(queues.get_ref()).unwrap_or_else(|sentence| {
        problems.add(queues.span(), format!("queues: {sentence}"));
        Shown::default()
    })
}

pub fn speaks(newest: Option<&Spanned<u32>>, problems: &mut Problems) -> Speaks {
    let Some(newest) = newest else { return Speaks::RELEASE };
    let newest_only = Speaks { oldest: Speaks::RELEASE.newest, ..Speaks::RELEASE };
    let allowed = if cfg!(feature = "next-version") { Speaks::RELEASE } else { newest_only };
    let version = Version(*newest.get_ref());
    if !allowed.has(version) {
        let text = format!("speaks = {version}: this program speaks {}; leave it out", Speaks::RELEASE);
        problems.add(newest.span(), text);
        return Speaks::RELEASE;
    }
    Speaks::up_to(version)
}

pub fn timing(timing: &file::Timing, problems: &mut Problems) -> Timing {
    let default = |time: Duration| time.as_millis() as u64;
    let mut heartbeat = default(consensus::Options::HEARTBEAT);
    let mut election = default(consensus::Options::ELECTION);
    if let Some(profile) = &timing.profile {
        match profile.get_ref().as_str() {
            "normal" => {}
            "fast" => (heartbeat, election) = (50, 400),
            other => {
                let text = format!("profile = {other:?}: use \"normal\" or \"fast\"");
                problems.add(profile.span(), text);
            }
        }
    }
    if let Some(value) = &timing.heartbeat_ms {
        problems.check_range("heartbeat_ms", value, 10, 10_000);
        heartbeat = *value.get_ref();
    }
    if let Some(value) = &timing.election_ms {
        problems.check_range("election_ms", value, 100, 120_000);
        election = *value.get_ref();
    }
    if election < heartbeat * 4 {
        let span = timing.election_ms.as_ref().or(timing.heartbeat_ms.as_ref()).map_or(0..0, Spanned::span);
        let text = format!(
            "election_ms = {election} is less than four heartbeats of {heartbeat} ms: a lost packet or two would \
             move the queue manager"
        );
        problems.add(span, text);
    }
    let mut stop = 6_000;
    if let Some(value) = &timing.stop_ms {
        problems.check_range("stop_ms", value, 100, 60_000);
        stop = *value.get_ref();
    }
    Timing {
        heartbeat: Duration::from_millis(heartbeat),
        election: Duration::from_millis(election),
        stop: Duration::from_millis(stop),
    }
}

pub fn limits(file: &file::Limits, queue_managers: usize, problems: &mut Problems) -> Limits {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const WINDOW_BYTES: u64 = replica::Options::WINDOW_BYTES as u64;
    const LOG_RETAIN_BYTES: u64 = replica::Options::LOG_RETAIN_BYTES as u64;
    // On a large machine as much as on one of 4 GB: three nodes shall stay below 4 GB whatever clients do.
    let default = (machine::memory_bytes() / 2).clamp(256 * MIB, 2 * GIB);
    let memory_bytes = bytes(problems, "memory_bytes", &file.memory_bytes, default, 256 * MIB, 1024 * GIB);
    let unanswered_least = limits::BODY_BYTES_MAX as u64 + MIB;
    let calls = Share::Calls.of(memory_bytes) / queue_managers.max(1) as u64;
    Limits {
        memory_bytes,
        window_bytes: bytes(problems, "window_bytes", &file.window_bytes, WINDOW_BYTES, MIB, 64 * GIB)
            as usize,
        log_retain_bytes: bytes(
            problems,
            "log_retain_bytes",
            &file.log_retain_bytes,
            LOG_RETAIN_BYTES,
            0,
            1024 * GIB,
        ) as usize,
        unanswered_bytes: bytes(
            problems,
            "unanswered_bytes",
            &file.unanswered_bytes,
            calls.clamp(unanswered_least, 256 * MIB),
            unanswered_least,
            4 * GIB - 1,
        ) as usize,
        disk_reserve_bytes: bytes(
            problems,
            "disk_reserve_bytes",
            &file.disk_reserve_bytes,
            512 * MIB,
            MIB,
            1024 * GIB,
        ),
        peer_unsent_bytes: bytes(
            problems,
            "peer_unsent_bytes",
            &file.peer_unsent_bytes,
            32 * MIB,
            4 * MIB,
            4 * GIB,
        ) as usize,
        snapshot_bytes_per_second: bytes(
            problems,
            "snapshot_bytes_per_second",
            &file.snapshot_bytes_per_second,
            256 * MIB,
            MIB,
            100 * GIB,
        ),
        store_cache_bytes: bytes(
            problems,
            "store_cache_bytes",
            &file.store_cache_bytes,
            64 * MIB,
            MIB,
            256 * GIB,
        ) as usize,
        connections: count(problems, "connections", &file.connections, 20_000),
        sessions: count(problems, "sessions", &file.sessions, 20_000),
    }
}

fn bytes(
    problems: &mut Problems,
    what: &str,
    value: &Option<Spanned<file::Bytes>>,
    default: u64,
    least: u64,
    most: u64,
) -> u64 {
    let Some(value) = value else { return default };
    let bytes = value.get_ref().0;
    if bytes < least || bytes > most {
        let text = format!("{what} = {bytes}: use a size from {least} to {most} bytes");
        problems.add(value.span(), text);
    }
    bytes
}

fn count(problems: &mut Problems, what: &str, value: &Option<Spanned<usize>>, default: usize) -> usize {
    let Some(value) = value else { return default };
    problems.check_range(what, value, 1, 1_000_000);
    *value.get_ref()
}

pub fn log(log: &file::Log, problems: &mut Problems) -> LogOptions {
    let mut json = false;
    if let Some(format) = &log.format {
        match format.get_ref().as_str() {
            "text" => {}
            "json" => json = true,
            other => {
                let text = format!("format = {other:?}: use \"text\" or \"json\"");
                problems.add(format.span(), text);
            }
        }
    }
    let level = log.level.as_ref().map_or("info", |level| level.get_ref());
    if let (Some(written), Err(reason)) = (&log.level, check_level(level)) {
        let text = format!("level = {level:?}: {reason}; use error, warn, info, debug or trace");
        problems.add(written.span(), text);
    }
    LogOptions { json, level: level.to_owned() }
}

pub fn addresses(file: &file::File, node: &str, problems: &mut Problems) -> Option<vip::Options> {
    if let Some(limit) = &file.address.program_ms {
        problems.check_range("program_ms", limit, 10, 60_000);
    }
    let mut found = Vec::new();
    let options = super::addresses::read(file, node, &mut found);
    found.into_iter().for_each(|(span, text)| problems.add(span, text));
    options
}

pub fn placements(
    file: &file::File,
    names: &BTreeMap<String, NodeId>,
    problems: &mut Problems,
) -> BTreeMap<QueueManagerId, Placement> {
    let mut found = Vec::new();
    let placements = super::placement::read(file, names, &mut found);
    found.into_iter().for_each(|(span, text)| problems.add(span, text));
    placements
}

pub fn threads(threads: Option<&Spanned<usize>>, problems: &mut Problems) -> usize {
    match threads {
        None => std::thread::available_parallelism().map_or(1, |cpus| cpus.get().div_ceil(4)),
        Some(threads) => {
            problems.check_range("threads", threads, 1, 256);
            *threads.get_ref()
        }
    }
}

/// A level, or directives such as `info,trimaran_node::peer=debug`. A single word that is no level would be taken for
/// the name of a module, and nothing else would be logged.
fn check_level(level: &str) -> Result<(), String> {
    if let Some(word) = level.split(',').map(str::trim).find(|word| !word.contains('=')) {
        word.parse::<tracing::level_filters::LevelFilter>().map_err(|_| format!("{word:?} is no level"))?;
    }
    tracing_subscriber::EnvFilter::try_new(level).map(|_| ()).map_err(|error| error.to_string())
}

/// Replaces `{node}`.
pub fn expand(path: &Path, node: &str) -> PathBuf {
    match path.to_str() {
        Some(text) => PathBuf::from(text.replace("{node}", node)),
        None => path.to_owned(),
    }
}
