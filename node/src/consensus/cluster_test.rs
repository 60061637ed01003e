//! Whole groups in one thread, in virtual time, from one seed: loss, delay, duplication, reordering, partitions,
//! pauses, drifting clocks, slow disks, crashes that take unsynced writes with them, logs that lose synced entries,
//! transfers, changes of membership, cut logs and snapshots.
//!
//! What must hold at every moment: one leader a term, the same entry at the same index wherever it is applied, and at
//! most one node whose lease is good. And in the end, when everything is healed: one leader serves, and everybody has
//! everything that anybody ever applied.
//!
//! `TRIMARAN_SEEDS=2000` runs more of them, `TRIMARAN_SEED=7` runs one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trimaran_proto::replica::v1::{MembershipChange, NodeInfo as WireNode, RaftMessage};

use super::*;

const MS: u64 = 1000;
const NODES_MAX: u64 = 9;

struct Rng(u64);

impl Rng {
    fn new(seed: u64) -> Rng {
        Rng(draw(seed, [1, 2, 3], u64::MAX) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        match of.len() {
            0 => None,
            n => Some(of[self.below(n as u64) as usize]),
        }
    }
}

/// What survives a crash.
struct Disk {
    hard_state: HardState,
    /// The entry before the log's first.
    cut: (u64, u64),
    entries: Vec<Entry>,
    /// The message store: a state and what it is a state of.
    store: SnapshotMeta,
    state: u64,
    /// Handed over, not synced.
    pending: VecDeque<LogWrite>,
}

impl Disk {
    fn new(store: SnapshotMeta) -> Disk {
        let cut = (store.index.0, store.term.0);
        Disk {
            hard_state: HardState::default(),
            cut,
            entries: Vec::new(),
            store,
            state: 0,
            pending: VecDeque::new(),
        }
    }

    fn write(&mut self, write: LogWrite) {
        if let Some(hard_state) = write.hard_state {
            assert!(hard_state.term >= self.hard_state.term);
            self.hard_state = hard_state;
        }
        if let Some((index, term)) = write.restart_after {
            self.entries.clear();
            self.cut = (index.0, term.0);
        }
        if let Some(first) = write.entries.first() {
            assert!(first.index.0 > self.cut.0 && first.index.0 <= self.last() + 1, "a gap in the log");
            self.entries.truncate((first.index.0 - self.cut.0 - 1) as usize);
            self.entries.extend(write.entries);
        }
    }

    fn last(&self) -> u64 {
        self.cut.0 + self.entries.len() as u64
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        match index.checked_sub(self.cut.0)? {
            0 => Some(self.cut.1),
            place => self.entries.get(place as usize - 1).map(|entry| entry.term.0),
        }
    }

    fn cut_log(&mut self, upto: u64) {
        let Some(term) = self.term_at(upto) else { return };
        self.entries.drain(..(upto - self.cut.0) as usize);
        self.cut = (upto, term);
    }

    /// Entries follow the store's state only if the log holds that very state's entry.
    fn recover(&mut self, recovering: bool) -> Recovered {
        let (index, term) = (self.store.index.0, self.store.term.0);
        if self.term_at(index) != Some(term) {
            self.entries.clear();
            self.cut = (index, term);
        }
        let entries = self.entries[(index - self.cut.0) as usize..].to_vec();
        Recovered {
            hard_state: self.hard_state,
            snapshot: self.store.clone(),
            entries,
            recovering,
            since_start: Duration::ZERO,
            acknowledged: Some(Index(0)),
            parted: None,
        }
    }

    /// The terms of the log, for `extend_log_down`.
    fn runs(&self) -> Vec<(Index, Term)> {
        let mut runs = vec![(Index(self.cut.0), Term(self.cut.1))];
        for entry in &self.entries {
            if entry.index <= self.store.index && runs.last().is_some_and(|(_, term)| *term != entry.term) {
                runs.push((entry.index, entry.term));
            }
        }
        runs
    }
}

struct Node {
    id: NodeId,
    consensus: Option<Consensus>,
    incarnation: u64,
    disk: Disk,
    applied: u64,
    state: u64,
    /// This node's clock: microseconds ahead, and millionths faster.
    ahead: u64,
    faster: i64,
    paused_until: u64,
    slow_disk_until: u64,
    recovering: bool,
    /// Leaves recovering when committed up to here.
    target: Option<u64>,
    retired: bool,
}

impl Node {
    fn clock(&self, time: u64) -> Instant {
        let drift = time as i64 * self.faster / 1_000_000;
        Instant((self.ahead + time).saturating_add_signed(drift))
    }
}

enum Happening {
    Deliver { from: NodeId, to: NodeId, incarnation: u64, message: RaftMessage },
    Persisted { node: NodeId, incarnation: u64, write: WriteNumber },
    Wake { node: NodeId, incarnation: u64 },
    Gone { node: NodeId, told: NodeId },
    Loaded { node: NodeId, incarnation: u64, load: LoadEntries },
    Snapshot { from: NodeId, to: NodeId, term: Term, meta: SnapshotMeta, state: u64 },
    SnapshotSent { from: NodeId, incarnation: u64, to: NodeId, arrived: bool },
    Restart { node: NodeId },
    Work,
    Trouble,
}

struct Faults {
    loss: u64,
    duplicates: u64,
    crashes: bool,
    partitions: bool,
    pauses: bool,
    lost_logs: bool,
    membership: bool,
    transfers: bool,
    long_delays: bool,
    /// How long a sync takes at most, µs.
    sync: u64,
}

struct World {
    seed: u64,
    rng: Rng,
    faults: Faults,
    trouble: bool,
    time: u64,
    order: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    nodes: BTreeMap<NodeId, Node>,
    /// Pairs that do not hear each other (from, to).
    cut: BTreeSet<(NodeId, NodeId)>,
    /// What was applied at each index, by anybody, and the state after it.
    history: BTreeMap<u64, (Term, Bytes, u64)>,
    leaders: BTreeMap<Term, NodeId>,
    forgotten: BTreeSet<(NodeId, u64, u64, NodeId, u64)>,
    proposed: u64,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    applied: u64,
    crashes: u64,
    snapshots: u64,
    loads: u64,
    transfers: u64,
    handed_over: u64,
    changes: u64,
    lost_logs: u64,
    leases: u64,
}

fn initial(voters: u64) -> SnapshotMeta {
    let nodes = (1..=voters).map(NodeId);
    SnapshotMeta {
        queue_manager: QueueManagerId(1),
        index: Index(1),
        term: Term(1),
        membership: Membership {
            voters: nodes.clone().collect(),
            nodes: nodes.map(|node| (node, crate::types::NodeInfo::default())).collect(),
            ..Membership::default()
        },
        terms: TermStarts::default(),
        installed: false,
    }
}

fn blank() -> SnapshotMeta {
    SnapshotMeta {
        queue_manager: QueueManagerId(1),
        index: Index(0),
        term: Term(0),
        membership: Membership::default(),
        terms: TermStarts::default(),
        installed: false,
    }
}

impl World {
    fn new(seed: u64, voters: u64, faults: Faults) -> World {
        let mut world = World {
            seed,
            rng: Rng::new(seed),
            faults,
            trouble: true,
            time: 0,
            order: 0,
            queue: BTreeMap::new(),
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            history: BTreeMap::new(),
            leaders: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            proposed: 0,
            counts: Counts::default(),
        };
        for node in 1..=voters {
            world.add_node(NodeId(node), initial(voters));
        }
        world.after(0, Happening::Work);
        world.after(500 * MS, Happening::Trouble);
        world
    }

    fn options(&self, node: NodeId) -> Options {
        Options {
            node,
            seed: self.seed ^ (node.0 << 32),
            heartbeat: Duration::from_millis(20),
            election: Duration::from_millis(100),
            election_spread: Duration::from_millis(100),
            tick: Duration::from_millis(10),
            gone_spread: Duration::from_millis(15),
            tail_bytes_max: 2000,
            message_bytes_max: 1500,
            messages_in_flight_max: 16,
            uncommitted_bytes_max: 20_000,
            load_bytes_max: 3000,
            ..Options::default()
        }
    }

    fn add_node(&mut self, id: NodeId, store: SnapshotMeta) {
        let applied = store.index.0;
        let node = Node {
            id,
            consensus: None,
            incarnation: 0,
            disk: Disk::new(store),
            applied,
            state: 0,
            ahead: self.rng.below(1_000_000_000),
            faster: self.rng.below(80_000) as i64 - 40_000,
            paused_until: 0,
            slow_disk_until: 0,
            recovering: false,
            target: None,
            retired: false,
        };
        self.nodes.insert(id, node);
        self.start(id);
    }

    fn after(&mut self, delay: u64, what: Happening) {
        self.order += 1;
        self.queue.insert((self.time + delay, self.order), what);
    }

    fn start(&mut self, id: NodeId) {
        let options = self.options(id);
        let extend = self.rng.chance(50);
        let node = self.nodes.get_mut(&id).unwrap();
        if node.consensus.is_some() || node.retired {
            return;
        }
        let recovered = node.disk.recover(node.recovering);
        node.applied = recovered.snapshot.index.0;
        node.state = node.disk.state;
        node.incarnation += 1;
        node.target = None;
        let mut consensus = Consensus::new(options, &recovered);
        if extend {
            consensus.extend_log_down(Index(node.disk.cut.0 + 1), node.disk.runs());
        }
        node.consensus = Some(consensus);
        let incarnation = node.incarnation;
        self.after(0, Happening::Wake { node: id, incarnation });
    }

    fn crash(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.consensus.take().is_none() {
            return;
        }
        self.counts.crashes += 1;
        // Some of the writes under way made it, in order.
        let survive = self.rng.below(node.disk.pending.len() as u64 + 1);
        for _ in 0..survive {
            let write = node.disk.pending.pop_front().unwrap();
            node.disk.write(write);
        }
        node.disk.pending.clear();
        let longest = self.rng.one(&[2 * MS, 50 * MS, 200 * MS, 1500 * MS]).unwrap();
        let down = 500 + self.rng.below(longest);
        self.after(down, Happening::Restart { node: id });
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|other| *other != id).collect();
        for told in others {
            if self.rng.chance(70) {
                let delay = self.rng.below(30 * MS);
                self.after(delay, Happening::Gone { node: id, told });
            }
        }
    }

    /// A crash that also takes synced entries. Never a second node before the first has caught up.
    fn lose_log(&mut self, id: NodeId) {
        if self.nodes.values().any(|node| node.recovering)
            || !self.nodes[&id].disk.store.membership.voters.contains(&id)
        {
            return;
        }
        self.crash(id);
        let node = self.nodes.get_mut(&id).unwrap();
        let keep = self.rng.below(node.disk.entries.len() as u64 + 1);
        let least = node.disk.store.index.0.saturating_sub(node.disk.cut.0);
        node.disk.entries.truncate(keep.max(least) as usize);
        node.recovering = true;
        self.counts.lost_logs += 1;
        // Its old connections are gone with what they carried.
        self.queue.retain(|_, what| !matches!(what, Happening::Deliver { from, .. } if *from == id));
    }

    fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= end
        {
            let ((time, _), what) = entry.remove_entry();
            self.time = self.time.max(time);
            self.happen(what);
        }
        self.time = end;
    }

    fn happen(&mut self, what: Happening) {
        let subject = match &what {
            Happening::Deliver { to, .. } => Some(*to),
            Happening::Persisted { node, .. }
            | Happening::Wake { node, .. }
            | Happening::Loaded { node, .. } => Some(*node),
            Happening::Gone { told, .. } => Some(*told),
            Happening::Snapshot { to, .. } => Some(*to),
            Happening::SnapshotSent { from, .. } => Some(*from),
            _ => None,
        };
        if let Some(paused_until) = subject.map(|node| self.nodes[&node].paused_until)
            && paused_until > self.time
        {
            let delay = paused_until - self.time;
            self.after(delay, what);
            return;
        }
        match what {
            Happening::Deliver { from, to, incarnation, message } => {
                let node = &self.nodes[&to];
                if node.incarnation == incarnation && !self.cut.contains(&(from, to)) {
                    self.turn(to, |consensus| consensus.step(from, message));
                }
            }
            Happening::Persisted { node: id, incarnation, write } => {
                let node = self.nodes.get_mut(&id).unwrap();
                if node.incarnation != incarnation || node.consensus.is_none() {
                    return;
                }
                while node.disk.pending.front().is_some_and(|first| first.number <= write) {
                    let write = node.disk.pending.pop_front().unwrap();
                    node.disk.write(write);
                }
                self.turn(id, |consensus| consensus.persisted(write));
            }
            Happening::Wake { node, incarnation } => {
                if self.nodes[&node].incarnation == incarnation && self.nodes[&node].consensus.is_some() {
                    self.turn(node, |_| ());
                    self.recover(node);
                    let delay = 3 * MS + self.rng.below(9 * MS);
                    self.after(delay, Happening::Wake { node, incarnation });
                }
            }
            Happening::Gone { node, told } => {
                if self.nodes[&node].consensus.is_none() {
                    self.turn(told, |consensus| consensus.on_peer_gone(node));
                }
            }
            Happening::Loaded { node: id, incarnation, load } => {
                let node = &self.nodes[&id];
                if node.incarnation != incarnation {
                    return;
                }
                self.counts.loads += 1;
                let mut bytes = 0;
                // The log may have been cut or begun anew since.
                let begin = load.first.0.checked_sub(node.disk.cut.0 + 1);
                let there =
                    begin.and_then(|begin| node.disk.entries.get(begin as usize..)).unwrap_or_default();
                let fits = |entry: &&Entry| {
                    bytes += entry.data.len();
                    entry.index < load.until && (entry.index == load.first || bytes <= load.bytes_max)
                };
                let entries: Vec<Entry> = there.iter().take_while(fits).cloned().collect();
                self.turn(id, |consensus| consensus.entries_loaded(load.request, entries));
            }
            Happening::Snapshot { from, to, term, meta, state } => {
                let there = self.nodes[&to].consensus.is_some() && !self.cut.contains(&(from, to));
                if there {
                    self.install(from, to, term, meta, state);
                }
                let incarnation = self.nodes[&from].incarnation;
                let delay = self.rng.below(20 * MS);
                self.after(delay, Happening::SnapshotSent { from, incarnation, to, arrived: there });
            }
            Happening::SnapshotSent { from, incarnation, to, arrived } => {
                if self.nodes[&from].incarnation == incarnation {
                    self.turn(from, |consensus| consensus.snapshot_sent(to, arrived));
                }
            }
            Happening::Restart { node } => self.start(node),
            Happening::Work => self.work(),
            Happening::Trouble => self.make_trouble(),
        }
        self.check_leases();
    }

    fn install(&mut self, from: NodeId, to: NodeId, term: Term, meta: SnapshotMeta, state: u64) {
        let node = self.nodes.get_mut(&to).unwrap();
        if meta.index <= node.disk.store.index {
            return;
        }
        self.counts.snapshots += 1;
        node.disk.store = meta.clone();
        node.disk.state = state;
        if self.faults.crashes && self.trouble && self.rng.chance(5) {
            return self.crash(to); // between the two
        }
        let mut installed = false;
        let index = meta.index.0;
        self.turn_with(to, |node| {
            installed = node.consensus.as_mut().unwrap().snapshot_installed(from, term, meta);
            if installed {
                (node.applied, node.state) = (index, state);
            }
        });
    }

    fn turn(&mut self, id: NodeId, act: impl FnOnce(&mut Consensus)) {
        self.turn_with(id, |node| act(node.consensus.as_mut().unwrap()));
    }

    fn turn_with(&mut self, id: NodeId, act: impl FnOnce(&mut Node)) {
        let time = self.time;
        let node = self.nodes.get_mut(&id).unwrap();
        if node.consensus.is_none() {
            return;
        }
        let now = node.clock(time);
        node.consensus.as_mut().unwrap().advance_time(Now { instant: now, wall: WallTime(0) });
        act(node);
        for _ in 0..10 {
            let ready = self.nodes.get_mut(&id).unwrap().consensus.as_mut().unwrap().ready();
            self.carry_out(id, ready);
            if !self.nodes[&id].consensus.as_ref().unwrap().has_ready() {
                break;
            }
        }
        let consensus = self.nodes[&id].consensus.as_ref().unwrap();
        if consensus.is_leader() {
            let first = *self.leaders.entry(consensus.term()).or_insert(id);
            assert_eq!(first, id, "seed {}: two leaders in term {}", self.seed, consensus.term());
        }
        assert!(consensus.tail_bytes() < 200_000, "seed {}", self.seed);
    }

    fn carry_out(&mut self, id: NodeId, ready: Ready) {
        let seed = self.seed;
        let node = self.nodes.get_mut(&id).unwrap();
        let incarnation = node.incarnation;
        if let Some(write) = ready.write {
            let number = write.number;
            node.disk.pending.push_back(write);
            let slow = node.slow_disk_until.saturating_sub(self.time);
            let delay = 200 + self.rng.below(self.faults.sync) + slow;
            // Syncs end in order.
            self.after(delay, Happening::Persisted { node: id, incarnation, write: number });
        }
        let node = self.nodes.get_mut(&id).unwrap();
        let consensus = node.consensus.as_mut().unwrap();
        for entry in ready.committed {
            assert_eq!(entry.index.0, node.applied + 1, "seed {seed}: {id} applies with a gap");
            node.applied += 1;
            node.state = draw(node.state, [entry.index.0, entry.term.0, u64::from(entry.crc)], u64::MAX);
            let (term, data, state) =
                self.history.entry(node.applied).or_insert((entry.term, entry.data.clone(), node.state));
            assert_eq!(
                (*term, &*data),
                (entry.term, &entry.data),
                "seed {seed}: index {} on {id}",
                node.applied
            );
            assert_eq!(*state, node.state, "seed {seed}: state at {} on {id}", node.applied);
            if entry.kind == EntryKind::Membership {
                let membership = consensus.apply_membership(&entry);
                assert!(!membership.voters.is_empty(), "seed {seed}");
            }
            self.counts.applied += 1;
        }
        consensus.applied(Index(node.applied));
        // The store lags behind and the log is cut behind the store.
        let flush = ready.flush_wanted || self.rng.below(300) == 0;
        if flush && node.applied > node.disk.store.index.0 {
            let term = consensus.term_at(Index(node.applied)).expect("just applied");
            node.disk.store = SnapshotMeta {
                queue_manager: QueueManagerId(1),
                index: Index(node.applied),
                term,
                membership: consensus.membership().clone(),
                terms: TermStarts::default(),
                installed: false,
            };
            node.disk.state = node.state;
            consensus.store_snapshot(node.disk.store.clone());
            if self.rng.chance(50) {
                let upto = node.applied.saturating_sub(self.rng.below(60));
                if upto > node.disk.cut.0 && upto <= node.disk.last() {
                    node.disk.cut_log(upto);
                    consensus.compact(Index(upto));
                }
            }
        }
        for to in ready.snapshots_wanted {
            let node = &self.nodes[&id];
            let what = Happening::Snapshot {
                from: id,
                to,
                term: node.consensus.as_ref().unwrap().term(),
                meta: node.disk.store.clone(),
                state: node.disk.state,
            };
            let delay = 10 * MS + self.rng.below(100 * MS);
            match self.nodes.contains_key(&to) {
                true => self.after(delay, what),
                false => {
                    self.after(delay, Happening::SnapshotSent { from: id, incarnation, to, arrived: false });
                }
            }
        }
        if let Some(load) = ready.load {
            let delay = self.rng.below(5 * MS);
            self.after(delay, Happening::Loaded { node: id, incarnation, load });
        }
        for (to, message) in ready.messages {
            self.send(id, to, message);
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: RaftMessage) {
        let Some(receiver) = self.nodes.get(&to) else { return };
        if receiver.consensus.is_none() {
            return;
        }
        let incarnation = receiver.incarnation;
        if message.kind == 5 && message.context == HANDED_OVER {
            self.counts.handed_over += 1;
        }
        let (loss, duplicates) = match self.trouble {
            true => (self.faults.loss, self.faults.duplicates),
            false => (0, 0),
        };
        let copies = if self.rng.chance(loss) { 0 } else { 1 + u64::from(self.rng.chance(duplicates)) };
        for _ in 0..copies {
            let mut delay = 100 + self.rng.below(2 * MS);
            if self.faults.long_delays && self.trouble && self.rng.chance(3) {
                delay += self.rng.below(400 * MS);
            }
            self.after(delay, Happening::Deliver { from, to, incarnation, message: message.clone() });
        }
    }

    /// What the replica's greetings do: the leader forgets what the node acknowledged, and the node may vote again
    /// when it is committed up to what a leader had committed in its own term, seen after the restart.
    fn recover(&mut self, id: NodeId) {
        if !self.nodes[&id].recovering {
            return;
        }
        let incarnation = self.nodes[&id].incarnation;
        let leader = self.nodes.values().find(|node| {
            !self.cut.contains(&(id, node.id))
                && !self.cut.contains(&(node.id, id))
                && node.paused_until <= self.time
                && self.lease_is_good(node)
        });
        let Some(leader) = leader.map(|node| node.id) else { return };
        let node = &self.nodes[&leader];
        let consensus = node.consensus.as_ref().unwrap();
        let (term, commit) = (consensus.term(), consensus.commit_index());
        if consensus.term_at(commit) != Some(term) {
            return;
        }
        if self.forgotten.insert((leader, node.incarnation, term.0, id, incarnation)) {
            self.turn(leader, |consensus| consensus.forget_progress(id));
        }
        let node = self.nodes.get_mut(&id).unwrap();
        let consensus = node.consensus.as_mut().unwrap();
        let target = *node.target.get_or_insert(commit.0);
        if consensus.term() == term
            && consensus.leader() == Some(leader)
            && consensus.commit_index().0 >= target
        {
            node.recovering = false;
            consensus.set_recovering(false);
        }
    }

    fn lease_is_good(&self, node: &Node) -> bool {
        let until = node.consensus.as_ref().and_then(|consensus| consensus.lease_until());
        until.is_some_and(|until| node.clock(self.time) < until)
    }

    fn check_leases(&mut self) {
        let good: Vec<NodeId> =
            self.nodes.values().filter(|node| self.lease_is_good(node)).map(|node| node.id).collect();
        assert!(good.len() <= 1, "seed {}: leases of {good:?} at {} µs", self.seed, self.time);
        self.counts.leases += good.len() as u64;
    }

    fn leader(&self) -> Option<NodeId> {
        let leaders = self.nodes.values().filter(|node| node.paused_until <= self.time);
        let leading =
            leaders.filter_map(|node| node.consensus.as_ref().filter(|consensus| consensus.is_leader()));
        leading.max_by_key(|consensus| consensus.term()).map(|consensus| consensus.node())
    }

    fn work(&mut self) {
        let delay = MS + self.rng.below(15 * MS);
        self.after(delay, Happening::Work);
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            let node = &self.nodes[&id];
            let leads = node.consensus.as_ref().is_some_and(|consensus| consensus.is_leader());
            if !leads || node.paused_until > self.time {
                continue;
            }
            for _ in 0..=self.rng.below(3) {
                self.proposed += 1;
                let mut data = self.proposed.to_le_bytes().to_vec();
                data.resize(8 + self.rng.below(300) as usize, 7);
                self.turn(id, |consensus| {
                    let before = consensus.last_index();
                    match consensus.propose(data.into()) {
                        Ok(index) => assert_eq!(index, before.next()),
                        Err(_) => assert_eq!(consensus.last_index(), before),
                    }
                });
            }
        }
    }

    fn make_trouble(&mut self) {
        if !self.trouble {
            return;
        }
        let delay = 20 * MS + self.rng.below(250 * MS);
        self.after(delay, Happening::Trouble);
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        let leader = self.leader();
        let victim = match leader {
            Some(leader) if self.rng.chance(40) => leader,
            _ => self.rng.one(&ids).unwrap(),
        };
        match self.rng.below(13) {
            0 | 1 if self.faults.crashes => self.crash(victim),
            10 if self.faults.crashes => {
                // The lights go out, for some or for all.
                let percent = 40 + self.rng.below(61);
                for id in &ids {
                    if self.rng.chance(percent) {
                        self.crash(*id);
                    }
                }
            }
            11 | 12 if self.faults.pauses => {
                for id in &ids {
                    let slow = self.rng.below(150 * MS);
                    self.nodes.get_mut(id).unwrap().slow_disk_until = self.time + slow;
                }
            }
            2 if self.faults.lost_logs => self.lose_log(victim),
            3 if self.faults.pauses => {
                let pause = self.rng.below(400 * MS);
                self.nodes.get_mut(&victim).unwrap().paused_until = self.time + pause;
            }
            4 if self.faults.pauses => {
                let slow = self.rng.below(300 * MS);
                self.nodes.get_mut(&victim).unwrap().slow_disk_until = self.time + slow;
            }
            5 | 6 if self.faults.partitions => {
                self.cut.clear();
                if self.rng.chance(60) {
                    let aside: BTreeSet<NodeId> =
                        ids.iter().copied().filter(|id| *id == victim || self.rng.chance(30)).collect();
                    let one_way = self.rng.chance(30);
                    for (a, b) in ids.iter().flat_map(|a| ids.iter().map(move |b| (*a, *b))) {
                        if aside.contains(&a) && !aside.contains(&b) {
                            self.cut.insert((a, b));
                            if !one_way {
                                self.cut.insert((b, a));
                            }
                        }
                    }
                }
            }
            7 if self.faults.transfers => {
                if let Some(leader) = leader {
                    let mut begun = false;
                    self.turn(leader, |consensus| begun = consensus.transfer_to(victim));
                    self.counts.transfers += u64::from(begun);
                    if self.rng.chance(50) {
                        self.turn(leader, |consensus| _ = consensus.take_back());
                    }
                }
            }
            8 | 9 if self.faults.membership => {
                if let Some(leader) = leader {
                    self.change_membership(leader);
                }
            }
            _ => (),
        }
    }

    fn change_membership(&mut self, leader: NodeId) {
        let membership = self.nodes[&leader].consensus.as_ref().unwrap().membership().clone();
        let voters: Vec<NodeId> = membership.voters.iter().copied().collect();
        let learners: Vec<NodeId> = membership.learners.iter().copied().collect();
        let new = NodeId(self.nodes.keys().last().unwrap().0 + 1);
        let room = new.0 <= NODES_MAX;
        let mut change = MembershipChange::default();
        let mut add = None;
        match self.rng.below(5) {
            0 if room => {
                change.add_learners.push(new.0);
                add = Some(new);
            }
            1 => change.add_voters.extend(self.rng.one(&learners).map(|node| node.0)),
            2 if voters.len() > 3 => change.remove.extend(self.rng.one(&voters).map(|node| node.0)),
            3 if voters.len() > 3 => change.add_learners.extend(self.rng.one(&voters).map(|node| node.0)),
            4 if room => {
                change.add_voters.push(new.0);
                change.remove.extend(self.rng.one(&voters).map(|node| node.0));
                add = Some(new);
            }
            _ => return,
        }
        // A node that is to catch up with its lost log must have somebody to catch up with.
        if change.remove.iter().any(|node| self.nodes[&NodeId(*node)].recovering) {
            return;
        }
        change.nodes.extend(add.map(|node| WireNode { id: node.0, ..WireNode::default() }));
        let mut begun = false;
        self.turn(leader, |consensus| begun = consensus.propose_membership(change).is_ok());
        if begun {
            self.counts.changes += 1;
            if let Some(new) = add {
                self.add_node(new, blank());
            }
        }
    }

    /// One line a node, for whoever looks into a failed seed.
    fn describe(&self) -> String {
        let mut text = format!("seed {} at {} ms", self.seed, self.time / MS);
        for node in self.nodes.values() {
            text += &format!("\n  {}: applied {} recovering {}", node.id, node.applied, node.recovering);
            let Some(consensus) = &node.consensus else { continue };
            text += &format!(
                ", {:?} of term {}, leader {:?}, log {}..={}, commit {}, on disk {}, writes {} of {}, waits {} of {}, {:?}",
                consensus.raw.raft.state,
                consensus.term(),
                consensus.leader(),
                consensus.first_index(),
                consensus.last_index(),
                consensus.commit_index(),
                consensus.persisted_index(),
                consensus.persisted,
                consensus.write_number,
                consensus.raw.raft.election_elapsed,
                consensus.timeout,
                consensus.membership().voters,
            );
        }
        text
    }

    /// Everything is well again: all up, nothing lost. Then everybody must get to the same end.
    fn heal_and_check(&mut self) {
        self.trouble = false;
        self.cut.clear();
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in &ids {
            self.start(*id);
            let node = self.nodes.get_mut(id).unwrap();
            node.paused_until = 0;
            node.slow_disk_until = 0;
        }
        self.run_until(self.time + 4000 * MS);
        let seed = self.seed;
        let leader = self.leader().unwrap_or_else(|| panic!("nobody leads in the end: {}", self.describe()));
        assert!(
            self.lease_is_good(&self.nodes[&leader]),
            "{leader} has no lease in the end: {}",
            self.describe()
        );
        let before = self.nodes[&leader].applied;
        let ever = *self.history.keys().last().unwrap();
        // Others may apply an entry before it is on the leader's own disk.
        let committed = self.nodes[&leader].consensus.as_ref().unwrap().commit_index().0;
        assert!(committed >= ever, "{ever} was applied and is lost: {}", self.describe());
        self.run_until(self.time + 1000 * MS);
        let leader = &self.nodes[&leader];
        assert!(leader.applied > before, "nothing is committed in the end: {}", self.describe());
        let membership = leader.consensus.as_ref().unwrap().membership();
        assert!(membership.voters_outgoing.is_empty(), "seed {seed}: half a change of membership");
        for id in membership.voters.iter().chain(&membership.learners) {
            let node = &self.nodes[id];
            let consensus = node.consensus.as_ref().unwrap();
            assert!(node.applied >= before, "seed {seed}: {id} is at {} of {before}", node.applied);
            assert!(!node.recovering, "seed {seed}: {id} never recovers");
            assert_eq!(consensus.membership().voters, membership.voters, "seed {seed}: {id}");
        }
    }
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    // Tests may look at their surroundings; the modules under test may not.
    #[allow(clippy::disallowed_methods)]
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("TRIMARAN_SEED"), number("TRIMARAN_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 0..count,
        (None, None) => 0..default,
    }
}

fn run(seed: u64, time: u64) -> World {
    let mut rng = Rng::new(seed ^ 0xABCD);
    let mut half = || rng.chance(50);
    let faults = Faults {
        loss: if half() { 0 } else { 8 },
        duplicates: if half() { 0 } else { 8 },
        crashes: half(),
        partitions: half(),
        pauses: half(),
        lost_logs: half(),
        membership: half(),
        transfers: half(),
        long_delays: half(),
        sync: if half() { 4 * MS } else { 60 * MS },
    };
    let voters = if half() { 3 } else { 5 };
    let mut world = World::new(seed, voters, faults);
    world.run_until(time);
    world.heal_and_check();
    world
}

#[test]
fn whatever_happens_nothing_is_lost_and_one_leads() {
    let mut total = Counts::default();
    for seed in seeds(60) {
        let counts = run(seed, 8000 * MS).counts;
        total.applied += counts.applied;
        total.crashes += counts.crashes;
        total.snapshots += counts.snapshots;
        total.loads += counts.loads;
        total.transfers += counts.transfers;
        total.handed_over += counts.handed_over;
        total.changes += counts.changes;
        total.lost_logs += counts.lost_logs;
        total.leases += counts.leases;
    }
    println!("{total:?}");
    if seeds(60).count() >= 60 {
        // The run has to have been about something.
        let all = [
            total.crashes,
            total.snapshots,
            total.loads,
            total.transfers,
            total.handed_over,
            total.changes,
            total.lost_logs,
            total.leases,
        ];
        assert!(all.iter().all(|count| *count > 0), "{total:?}");
    }
}

#[test]
fn a_seed_repeats_to_the_bit() {
    let ends = |seed| {
        let world = run(seed, 3000 * MS);
        let states: Vec<_> = world.nodes.values().map(|node| (node.applied, node.state)).collect();
        (states, world.order, world.leaders.clone())
    };
    for seed in 100..104 {
        assert_eq!(ends(seed), ends(seed));
    }
}
