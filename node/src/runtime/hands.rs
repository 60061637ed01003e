//! Carries out what one replica asks for: log, store, readers and peers of this node.

use std::collections::VecDeque;
use std::sync::Arc;

use trimaran_proto::replica::v1::PeerMessage;

use super::addresses::Addresses;
use super::again::begin_again;
use super::clock;
use super::driver::Hands;
use super::fatal::{FatalReason, fatal};
use super::notices::Standing;
use super::stores::Handles;
use crate::consensus::{LogWrite, Parted};
use crate::log_store::LogHandle;
use crate::message_store::{RocksStore, StoreHandle, StoreReaders};
use crate::peer::Peers;
use crate::qmgr::{LoadRequest, StoreBatch};
use crate::replica::{Event, Inbox};
use crate::types::{Index, Membership, NodeId, RequestId, RoleView, Version};
use crate::vip::policy::Policy;

pub struct NodeHands {
    inbox: Inbox,
    log: LogHandle,
    store: StoreHandle,
    readers: Arc<StoreReaders>,
    peers: Arc<Peers>,
    standing: Standing,
    rows: RocksStore,
    address: Option<(Addresses, Policy)>,
    /// What the store's threads had no room for; offered again every turn. The replica asks for no more than its
    /// window allows.
    batches: VecDeque<StoreBatch>,
    loads: VecDeque<LoadRequest>,
}

impl NodeHands {
    pub fn new(
        inbox: Inbox,
        stores: &Handles,
        peers: Arc<Peers>,
        standing: Standing,
        addresses: Option<&Addresses>,
    ) -> NodeHands {
        let address = addresses.and_then(|all| Some((all.clone(), all.policy(inbox.queue_manager())?)));
        NodeHands {
            inbox,
            log: stores.log.clone(),
            store: stores.store.clone(),
            readers: stores.readers.clone(),
            peers,
            standing,
            rows: stores.rows.clone(),
            address,
            batches: VecDeque::new(),
            loads: VecDeque::new(),
        }
    }
}

impl Hands for NodeHands {
    fn persist(&mut self, write: LogWrite) {
        self.log.write(write);
    }

    fn store(&mut self, batch: StoreBatch) {
        self.batches.push_back(batch);
    }

    fn load_rows(&mut self, request: LoadRequest) {
        self.loads.push_back(request);
    }

    fn load_entries(&mut self, request: RequestId, first: Index, until: Index, bytes_max: usize) {
        let inbox = self.inbox.clone();
        let answer = move |entries| {
            let _ = inbox.deliver_blocking(Event::EntriesLoaded { request, entries });
        };
        self.log.read(self.inbox.queue_manager(), first, until, bytes_max, Box::new(answer));
    }

    fn truncate_log(&mut self, upto: Index) {
        self.log.truncate(self.inbox.queue_manager(), upto);
    }

    fn caught_up(&mut self) {
        tracing::info!(
            queue_manager = self.inbox.name().as_str(),
            "caught up: the log of this node counts again"
        );
        self.log.caught_up(self.inbox.queue_manager());
    }

    fn note_parted(&mut self, parted: Option<Parted>) {
        self.log.note_parted(self.inbox.queue_manager(), parted);
    }

    fn send(&mut self, to: NodeId, messages: Vec<PeerMessage>) {
        self.peers.send(to, messages);
    }

    fn send_snapshot(&mut self, to: NodeId, term: u64) {
        self.peers.send_snapshot(self.inbox.queue_manager(), to, term);
    }

    fn set_membership(&mut self, membership: Membership) {
        self.peers.set_membership(self.inbox.queue_manager(), membership);
    }

    fn set_version(&mut self, version: Version) {
        self.peers.set_version(self.inbox.queue_manager(), version);
    }

    fn stuck(&mut self, sentence: String) {
        fatal(FatalReason::Version, sentence)
    }

    fn role(&mut self, role: &RoleView) {
        let Some((addresses, policy)) = &mut self.address else { return };
        // Read again: the mind's turn began a while ago, and the order is about what is left.
        if let Some(order) = policy.follow(role, clock::instant()) {
            addresses.order(self.inbox.queue_manager(), order);
        }
    }

    fn removed(&mut self) {
        self.standing.report(format!(
            "this node was removed from queue manager {} and has no part in it any more: stop it, and take it out of \
             the cluster file",
            self.inbox.name()
        ));
    }

    fn get_state_again(&mut self, reason: String) {
        self.rows.condemn(&reason);
        begin_again(reason);
    }

    fn turn_ended(&mut self) {
        while let Some(batch) = self.batches.pop_front() {
            if let Err(batch) = self.store.store(batch) {
                self.batches.push_front(batch);
                break;
            }
        }
        while let Some(request) = self.loads.pop_front() {
            if let Err(request) = self.readers.load(request) {
                self.loads.push_front(request);
                break;
            }
        }
    }
}
