//! What the page of metrics says of peers, disks and the message store.

use std::sync::Arc;

use super::stores::Stores;
use crate::config::{Config, filesystem};
use crate::listener::http::Source;
use crate::metrics::{Page, catalog};
use crate::peer::Peers;

pub fn sources(config: &Config, peers: Arc<Peers>, stores: &Stores) -> Vec<Source> {
    let directories = [("log", config.log_directory.clone()), ("data", config.data_directory.clone())];
    let rows = stores.rows();
    vec![
        Arc::new(move |page: &mut Page| publish_peers(page, &peers)),
        Arc::new(move |page: &mut Page| {
            for (what, path) in &directories {
                if let Ok(system) = filesystem(path) {
                    let labels = [("directory", *what)];
                    page.add(&catalog::DISK_FREE, &labels, system.free_bytes as f64);
                    page.add(&catalog::DISK_TOTAL, &labels, system.total_bytes as f64);
                }
            }
        }),
        Arc::new(move |page: &mut Page| {
            let used = rows.in_use();
            page.add(&catalog::STORE_DISK_BYTES, &[], (used.table_bytes + used.blob_bytes) as f64);
        }),
    ]
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
