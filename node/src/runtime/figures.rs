//! What the page of metrics says of peers, certificates, disks, the log and the message store.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::addresses::{Addresses, Counts};
use super::canary::AllRounds;
use super::stores::Stores;
use crate::config::Config;
use crate::listener::http::Source;
use crate::log_store::{LogFigures, SYNC_BOUNDS, filesystem};
use crate::metrics::catalog::Metric;
use crate::metrics::{Page, catalog};
use crate::peer::Peers;
use crate::security::{CertificateState, Tls};
use crate::types::ObjectName;
use crate::vip::Mode;

pub fn sources(
    config: &Config,
    tls: Option<Arc<Tls>>,
    peers: Arc<Peers>,
    stores: &Stores,
    addresses: Option<Addresses>,
    rounds: AllRounds,
) -> Vec<Source> {
    let directories = [
        ("log", &catalog::MQ_LOG_FILES, config.log_directory.clone()),
        ("data", &catalog::MQ_DATA_FILES, config.data_directory.clone()),
    ];
    let connections = config.limits.connections;
    let rows = stores.rows();
    let log = stores.log();
    let log_directory = config.log_directory.join("engine");
    vec![
        Arc::new(move |page: &mut Page, _: &[ObjectName]| publish_peers(page, &peers)),
        Arc::new(move |page: &mut Page, of: &[ObjectName]| {
            add_for_each(page, &catalog::MQ_MAX_CHANNELS, of, connections as f64);
            add_for_each(page, &catalog::MQ_MAX_ACTIVE, of, connections as f64);
        }),
        Arc::new(move |page: &mut Page, _: &[ObjectName]| publish_rounds(page, &rounds)),
        Arc::new(move |page: &mut Page, _: &[ObjectName]| {
            addresses.iter().for_each(|all| publish_addresses(page, all))
        }),
        Arc::new(move |page: &mut Page, _: &[ObjectName]| {
            if let Some(tls) = &tls {
                publish_certificates(page, &tls.state());
            }
        }),
        Arc::new(move |page: &mut Page, of: &[ObjectName]| {
            for (what, theirs, path) in &directories {
                if let Ok(system) = filesystem(path) {
                    let labels = [("directory", *what)];
                    page.add(&catalog::DISK_FREE, &labels, system.free_bytes as f64);
                    page.add(&catalog::DISK_TOTAL, &labels, system.total_bytes as f64);
                    let in_use = system.total_bytes.saturating_sub(system.free_bytes);
                    add_for_each(page, theirs, of, in_use as f64);
                }
            }
        }),
        Arc::new(move |page: &mut Page, of: &[ObjectName]| {
            publish_log(page, &log.figures(), of);
            if let Ok(bytes) = directory_bytes(&log_directory) {
                page.add(&catalog::LOG_DISK_BYTES, &[], bytes as f64);
                if let Ok(system) = filesystem(&log_directory) {
                    let room = (bytes + system.free_bytes).max(1);
                    add_for_each(page, &catalog::MQ_LOG_SPACE, of, bytes as f64 / room as f64 * 100.0);
                }
            }
        }),
        Arc::new(move |page: &mut Page, _: &[ObjectName]| {
            let used = rows.in_use();
            page.add(&catalog::STORE_BATCHES, &[], used.batches_written as f64);
            page.add(&catalog::STORE_BYTES, &[], used.bytes_written as f64);
            page.add(&catalog::STORE_UNFLUSHED, &[], used.unflushed_bytes as f64);
            page.add(&catalog::STORE_DISK_BYTES, &[], (used.table_bytes + used.blob_bytes) as f64);
        }),
    ]
}

/// What the files of a directory take on their device.
fn directory_bytes(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(directory)? {
        // A file may be renamed or go between the two looks.
        bytes += file?.metadata().map_or(0, |metadata| metadata.blocks() * 512);
    }
    Ok(bytes)
}

/// The node's, under IBM MQ's name, which is of a queue manager.
fn add_for_each(page: &mut Page, metric: &'static Metric, queue_managers: &[ObjectName], value: f64) {
    for queue_manager in queue_managers {
        page.add(metric, &[("qmgr", queue_manager.as_str())], value);
    }
}

fn publish_log(page: &mut Page, log: &LogFigures, of: &[ObjectName]) {
    if let Some(takes) = log.sync_takes {
        add_for_each(page, &catalog::MQ_LOG_LATENCY, of, takes.as_secs_f64());
    }
    page.add(&catalog::LOG_WRITES, &[], log.writes as f64);
    page.add(&catalog::LOG_ENTRIES, &[], log.entries as f64);
    page.add(&catalog::LOG_BYTES, &[], log.bytes as f64);
    let bounds = SYNC_BOUNDS.iter().map(Duration::as_secs_f64);
    let buckets = bounds.zip(log.buckets);
    page.add_histogram(&catalog::LOG_SYNC_SECONDS, &[], buckets, log.syncs, log.sync_time.as_secs_f64());
}

fn publish_peers(page: &mut Page, peers: &Peers) {
    for peer in peers.views() {
        let labels = [("node", peer.name.as_str())];
        page.add(&catalog::PEER_CONNECTED, &labels, f64::from(peer.connected));
        page.add(&catalog::PEER_SENT, &labels, peer.messages_sent as f64);
        page.add(&catalog::PEER_SENT_BYTES, &labels, peer.bytes_sent as f64);
        page.add(&catalog::PEER_RECEIVED, &labels, peer.messages_received as f64);
        page.add(&catalog::PEER_RECEIVED_BYTES, &labels, peer.bytes_received as f64);
        page.add(&catalog::PEER_DROPPED, &labels, peer.messages_dropped as f64);
        page.add(&catalog::PEER_CONNECTS, &labels, peer.connects as f64);
    }
}

fn publish_addresses(page: &mut Page, all: &Addresses) {
    for address in &all.all() {
        let ip = address.ip.to_string();
        let labels = [("queue_manager", address.name.as_str()), ("address", ip.as_str())];
        let Counts { moves, conflicts, tickled } = all.counts(address);
        let is_held = all.mode() != Mode::DryRun && all.is_held(address.ip);
        page.add(&catalog::ADDRESS_HELD, &labels, f64::from(is_held));
        page.add(&catalog::ADDRESS_TAKEN, &labels, moves as f64);
        page.add(&catalog::ADDRESS_CONFLICTS, &labels, conflicts as f64);
        page.add(&catalog::ADDRESS_TICKLED, &labels, tickled as f64);
    }
}

fn publish_rounds(page: &mut Page, rounds: &AllRounds) {
    for (queue_manager, rounds) in rounds.all() {
        let queue_manager = ("queue_manager", queue_manager.as_str());
        let (good, failed, took_us) = rounds.figures();
        page.add(&catalog::CANARY_ROUNDS, &[queue_manager, ("result", "good")], good as f64);
        page.add(&catalog::CANARY_ROUNDS, &[queue_manager, ("result", "failed")], failed as f64);
        page.add(&catalog::CANARY_ROUND, &[queue_manager], took_us as f64 / 1e6);
    }
}

fn publish_certificates(page: &mut Page, state: &CertificateState) {
    for (certificate, expires) in [("node", Some(state.expires)), ("authority", state.authority_expires)] {
        if let Some(since_1970) = expires.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            let labels = [("use", certificate)];
            page.add(&catalog::CERTIFICATE_NOT_AFTER, &labels, since_1970.as_secs() as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_when_the_certificates_end() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let state = CertificateState {
            subject: "trimaran://demo/node/a".into(),
            expires: at(1_795_239_000).unwrap(),
            authority_expires: at(2_000_000_000),
        };
        let mut page = Page::default();
        publish_certificates(&mut page, &state);
        let text = page.into_text();
        for line in [
            "trimaran_certificate_not_after_seconds{use=\"node\"} 1795239000",
            "trimaran_certificate_not_after_seconds{use=\"authority\"} 2000000000",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
