//! What an operator should be reminded of: gathered every few seconds, shown by status, logged when new and then
//! every hour for as long as it stands.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::watch;
use trimaran_proto::admin::v1::AuditRecord;
use trimaran_proto::audit::{tongue_in_words, verb_in_words};

use crate::config::voters_warning;
use crate::peer::{Peers, SnapshotTransfer};
use crate::replica::{DiskRoom, Inboxes};
use crate::security::Tls;
use crate::types::account::Figure;
use crate::types::{Account, Share};
use crate::vip::trouble::Trouble;

const LOOK_EVERY: Duration = Duration::from_secs(2);
const REPEAT_EVERY: Duration = Duration::from_secs(3600);

/// A record of the audit trail that only this log has from now on. A node that starts again may say it once more.
pub fn trail_ends(queue_manager: &str, record: &AuditRecord) {
    let changes = record.changes_in_words().map(|(name, before, after)| {
        let [before, after] = [before, after].map(|value| value.unwrap_or_else(|| "-".into()));
        format!("{name}: {before} > {after}")
    });
    tracing::info!(
        queue_manager,
        number = record.number,
        at_ms = record.at_ms,
        user = record.user,
        application = record.application,
        address = record.address,
        channel = record.channel,
        tongue = tongue_in_words(record.tongue()),
        command = verb_in_words(record.verb()),
        object = record.object(),
        changes = changes.collect::<Vec<_>>().join(", "),
        "the oldest record of the audit trail is not kept any more"
    );
}

/// Facts that others report and that stand until they are taken back.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    disk: Option<String>,
    reserves: Option<String>,
    certificates: Option<String>,
    /// Said in the log when they came.
    addresses: BTreeMap<(IpAddr, Trouble), String>,
    reports: Vec<String>,
}

impl Standing {
    pub fn disk(&self, room: &DiskRoom) {
        self.0.lock().disk = match room {
            DiskRoom::Enough => None,
            DiskRoom::Low { text } => Some(text.clone()),
        };
    }

    /// What cannot be held back for a full disk; None when everything is.
    pub fn reserves(&self, lacking: Option<String>) {
        self.0.lock().reserves = lacking;
    }

    /// Why new certificates could not be loaded; None when they were.
    pub fn certificates(&self, problem: Option<String>) {
        self.0.lock().certificates = problem;
    }

    /// What is wrong with a floating address; None when it is over.
    pub fn address(&self, ip: IpAddr, trouble: Trouble, sentence: Option<String>) {
        let addresses = &mut self.0.lock().addresses;
        match sentence {
            Some(sentence) => drop(addresses.insert((ip, trouble), sentence)),
            None => drop(addresses.remove(&(ip, trouble))),
        }
    }

    /// A sentence that stands until the next start: a repair, a removed node.
    pub fn report(&self, sentence: String) {
        let reports = &mut self.0.lock().reports;
        // The newest few: a disk that breaks bit by bit must not fill the memory.
        if !reports.contains(&sentence) {
            if reports.len() >= 20 {
                reports.remove(0);
            }
            reports.push(sentence);
        }
    }

    /// What was reported and begins so is not true any more.
    pub fn take_back(&self, begins: &str) {
        self.0.lock().reports.retain(|sentence| !sentence.starts_with(begins));
    }
}

/// Keeps `warnings` true until it is aborted.
pub async fn keep(
    configured: Vec<String>,
    standing: Standing,
    peers: Arc<Peers>,
    tls: Option<Arc<Tls>>,
    account: Arc<Account>,
    inboxes: Inboxes,
    warnings: watch::Sender<Vec<String>>,
) {
    let mut repeated = Instant::now();
    loop {
        let mut now = configured.clone();
        let addresses: Vec<String>;
        {
            let facts = standing.0.lock();
            let standing = facts.disk.iter().chain(&facts.reserves).chain(&facts.certificates);
            addresses = facts.addresses.values().cloned().collect();
            now.extend(standing.chain(&addresses).chain(&facts.reports).cloned());
        }
        // Said by the one that serves: a node that has no part any more does not know.
        for inbox in inboxes.of_programs().iter().filter(|inbox| inbox.role().is_serving()) {
            let voters = inbox.published().membership.borrow().voters.len();
            now.extend(voters_warning(voters).map(|text| format!("queue manager {}: {text}", inbox.name())));
        }
        for peer in peers.views() {
            if let Some(reason) = peer.refused {
                now.push(format!("node {} refuses this node: {reason}", peer.name));
            }
            if peer.is_doubled {
                now.push(format!(
                    "another process says that it is node {0}, beside the one that this node hears: stop the one that should not run, or \
                     give it a name and an id of its own",
                    peer.name
                ));
            }
        }
        let is_tight = |share: Share| share.is_refused() && account.is_tight(share);
        now.extend(account.figures().filter(|figure| is_tight(figure.share)).map(tight));
        let expiry = tls.as_ref().and_then(|tls| tls.state().expires_soon(SystemTime::now()));
        now.extend(expiry.map(|text| format!("{text}: renew it; it is loaded without a restart")));
        let repeat = repeated.elapsed() >= REPEAT_EVERY;
        if repeat {
            repeated = Instant::now();
        }
        let before = warnings.borrow().clone();
        let is_said = |warning: &String| before.contains(warning) || addresses.contains(warning);
        for warning in now.iter().filter(|warning| repeat || !is_said(warning)) {
            tracing::warn!("{warning}");
        }
        // Shown, not logged: it changes with every look.
        now.extend(peers.transfers().iter().map(transfer));
        if now != before {
            warnings.send_replace(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Without figures, which change with every look; metrics have them.
fn tight(figure: Figure) -> String {
    format!(
        "clients make this node hold nearly all the memory there is for {} ({} MB): what does not fit waits or is refused \
         with 2102; trimaran_memory_held_bytes says how it goes on, limits.memory_bytes gives more",
        figure.share.name(),
        figure.limit / 1_000_000
    )
}

/// A node that is being brought up to date does not count for the quorum yet.
fn transfer(transfer: &SnapshotTransfer) -> String {
    let percent =
        transfer.bytes.saturating_mul(100).checked_div(transfer.bytes_estimate).unwrap_or(0).min(99);
    let direction = if transfer.sending { "to" } else { "from" };
    format!(
        "the state of queue manager {} is on its way {direction} node {}: {percent} % of about {} MB after {} s",
        transfer.queue_manager,
        transfer.peer,
        transfer.bytes_estimate / 1_000_000,
        transfer.running_for.as_secs()
    )
}
