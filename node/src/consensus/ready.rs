//! What is to be done at the end of a turn: entries to write, messages to send, entries that are committed. Nothing leaves the
//! node before what it rests on is on disk.

use bytes::Bytes;
use raft::StateRole;
use raft::eraftpb::{self, MessageType};
use trimaran_proto::replica::v1::RaftMessage;

use super::{COMMIT_QUIET, Consensus, Entry, HardState, LoadEntries, LogWrite, Ready, convert};
use crate::types::{Index, NodeId, RequestId, Term, WriteNumber};

/// A leader that nobody answers sends one round of heartbeats where it would send so many.
const UNHEARD_HEARTBEATS: u32 = 6;

impl Consensus {
    /// Does `ready` have anything to say?
    pub fn has_ready(&self) -> bool {
        self.raw.has_ready() || !self.released.is_empty() || self.reported != self.role_now()
    }

    /// Ends a turn. Cheap when nothing happened.
    pub fn ready(&mut self) -> Ready {
        let mut ready = Ready::default();
        self.leave_joint();
        if self.raw.has_ready() {
            self.take_ready(&mut ready);
        }
        if ready.write.is_none() {
            ready.write = self.write_of_commit();
        }
        let mut released = std::mem::take(&mut self.released);
        if ready.messages.is_empty() {
            ready.messages = released;
        } else {
            ready.messages.append(&mut released);
        }
        if let Some((first, until, bytes_max)) = self.raw.mut_store().ask(RequestId(self.requests + 1)) {
            self.requests += 1;
            let request = RequestId(self.requests);
            ready.load = Some(LoadEntries { request, first: Index(first), until: Index(until), bytes_max });
        }
        ready.flush_wanted = self.raw.store().take_snapshot_too_old();
        ready.role_changed = self.reported != self.role_now();
        self.reported = self.role_now();
        ready
    }

    pub(super) fn take_ready(&mut self, ready: &mut Ready) {
        let leads = self.raw.raft.state == StateRole::Leader;
        let mut rd = self.raw.ready();
        self.ready_number = rd.number();

        let must_write = rd.must_sync();
        if must_write {
            ready.write = Some(self.take_write(&mut rd));
        }
        let messages = match leads {
            true => rd.take_messages(),
            false => rd.take_persisted_messages(),
        };
        let committed = rd.take_committed_entries();
        debug_assert!(
            committed.iter().all(|entry| entry.index > self.emitted),
            "an entry is handed out once"
        );
        // The tail has everything by now: raft-rs reads it from there from here on.
        self.raw.advance_append_async(rd);
        if !must_write && self.write_number == self.persisted {
            self.raw.on_persist_ready(self.ready_number);
        }
        self.dispatch(leads, messages, ready);
        self.emit(committed, ready);
    }

    pub(super) fn take_write(&mut self, rd: &mut raft::Ready) -> LogWrite {
        assert!(rd.number() > self.write_number, "writes are numbered upwards");
        self.write_number = rd.number();
        let mut restart_after = None;
        if !rd.snapshot().is_empty() {
            let metadata = rd.snapshot().get_metadata();
            restart_after = Some((Index(metadata.index), Term(metadata.term)));
            self.emitted = metadata.index;
            // `snapshot_installed` put it there.
            let meta = self.raw.store().snapshot_meta().clone();
            assert_eq!(meta.index.0, metadata.index, "a snapshot nobody installed");
            self.raw.mut_store().restart(meta);
        }
        let entries = rd.take_entries();
        let written = entries.iter().map(convert::entry_out).collect();
        self.raw.mut_store().append(entries);
        self.write(restart_after, written)
    }

    /// The commit index, when no entry came that would have taken it along. A node that starts again knows by it what it may have
    /// acknowledged as a leader.
    pub(super) fn write_of_commit(&mut self) -> Option<LogWrite> {
        let commit = self.raw.raft.raft_log.committed;
        let now = self.now?;
        if self.commit_seen.0 != commit {
            self.commit_seen = (commit, now);
        }
        let is_quiet = now.since(self.commit_seen.1) >= COMMIT_QUIET;
        // Entries that are on their way to the disk take it along, if not this one then the next.
        let is_idle = self.write_number == self.persisted;
        (commit > self.commit_written && is_quiet && is_idle).then(|| self.write(None, Vec::new()))
    }

    /// With the newest number: what has no entries is no new write that somebody waits for.
    pub(super) fn write(&mut self, restart_after: Option<(Index, Term)>, entries: Vec<Entry>) -> LogWrite {
        let hard_state = self.raw.raft.hard_state();
        assert!(hard_state.term >= self.vote_written.0, "terms never sink");
        assert!(hard_state.commit >= self.commit_written, "what is committed stays so");
        self.commit_written = hard_state.commit;
        assert!(
            hard_state.term > self.vote_written.0
                || self.vote_written.1 == 0
                || hard_state.vote == self.vote_written.1,
            "a node votes once a term"
        );
        if self.vote_written != (hard_state.term, hard_state.vote) {
            self.vote_written = (hard_state.term, hard_state.vote);
            self.vote_write = self.write_number;
        }
        LogWrite {
            queue_manager: self.queue_manager,
            number: WriteNumber(self.write_number),
            hard_state: Some(HardState {
                term: Term(hard_state.term),
                vote: (hard_state.vote != 0).then_some(NodeId(hard_state.vote)),
                commit: Index(hard_state.commit),
            }),
            restart_after,
            entries,
            sync: true,
        }
    }

    /// Whether what this node says may commit an entry or renew a lease. A recovering node does not know what it promised
    /// to whom: its leader may be one that the others, with the vote that this node gave and lost, have replaced. Of two
    /// voters neither can be replaced without the other.
    pub(super) fn counts_for(&self, leader: u64) -> bool {
        if self.parted.is_some() {
            return false;
        }
        !self.recovering || self.trusted == Some(NodeId(leader)) || self.membership.voters.len() <= 2
    }

    /// Sends what may go now and holds what must wait for the disk.
    pub(super) fn dispatch(&mut self, leads: bool, mut messages: Vec<eraftpb::Message>, ready: &mut Ready) {
        if !self.is_round_due() {
            messages.retain(|message| message.msg_type != MessageType::MsgHeartbeat);
        }
        let mut at_once = Vec::new();
        let mut later = Vec::new();
        let voted = self.vote_write <= self.persisted;
        let round = match messages.iter().any(|m| m.msg_type == MessageType::MsgHeartbeat) {
            true => self.lease.send(self.now.unwrap_or_default()),
            false => self.lease.round(),
        };
        for mut message in messages {
            let kind = message.msg_type;
            match kind {
                MessageType::MsgSnapshot | MessageType::MsgAppend
                    if self.excluded.contains(&NodeId(message.to)) =>
                {
                    continue;
                }
                MessageType::MsgSnapshot => {
                    ready.snapshots_wanted.push(NodeId(message.to));
                    continue;
                }
                MessageType::MsgHeartbeat | MessageType::MsgTimeoutNow => {
                    message.context = convert::round_out(round);
                }
                MessageType::MsgAppendResponse if !message.reject && !self.counts_for(message.to) => {
                    message.index = message.index.min(self.raw.raft.raft_log.committed);
                }
                MessageType::MsgHeartbeatResponse if self.counts_for(message.to) => {
                    message.context = convert::answer_out(&message.context, self.wall);
                }
                MessageType::MsgHeartbeatResponse => message.context = Bytes::new(),
                _ => (),
            }
            // A leader replicates while it writes. An answer to a heartbeat and a pre-vote say nothing about the
            // disk, except that the term is on it.
            let light = matches!(
                kind,
                MessageType::MsgHeartbeatResponse
                    | MessageType::MsgRequestPreVote
                    | MessageType::MsgRequestPreVoteResponse
            );
            let to = NodeId(message.to);
            let Some(message) = convert::message_out(message) else { continue };
            match voted && (leads || light) {
                true => at_once.push((to, message)),
                false => later.push((to, message)),
            }
        }
        merge(&mut at_once);
        ready.messages.append(&mut at_once);
        if later.is_empty() {
            return;
        }
        let needs = if leads { self.vote_write } else { self.write_number };
        if needs <= self.persisted {
            ready.messages.append(&mut later);
        } else {
            self.held.push_back((needs, later));
        }
    }

    fn is_round_due(&self) -> bool {
        let now = self.now.unwrap_or_default();
        // Ticks may come a little early.
        let patience = self.options.heartbeat * UNHEARD_HEARTBEATS - self.options.heartbeat / 2;
        self.lease.is_due(self.options.node, &self.membership, now, patience)
    }

    pub(super) fn emit(&mut self, committed: Vec<eraftpb::Entry>, ready: &mut Ready) {
        for entry in &committed {
            debug_assert_eq!(entry.index, self.emitted + 1, "committed entries are handed out without a gap");
            self.emitted = entry.index;
            let entry = convert::entry_out(entry);
            self.terms.note(entry.term, entry.index);
            if entry.index.0 > self.skip_upto {
                ready.committed.push(entry);
            } else {
                self.skip(&entry);
            }
        }
        if !committed.is_empty() {
            self.move_applied();
        }
    }
}

/// What one turn says to one peer needs at most one heartbeat, and no empty append beside others: raft-rs makes one
/// for each step that moved something.
pub(super) fn merge(messages: &mut Vec<(NodeId, RaftMessage)>) {
    const APPEND: u32 = 3;
    const HEARTBEAT: u32 = 8;
    if messages.len() < 2 {
        return;
    }
    let mut place = messages.len();
    while place > 0 {
        place -= 1;
        let (to, message) = &messages[place];
        let (to, kind, commit) = (*to, message.kind, message.commit);
        let redundant = match kind {
            HEARTBEAT => messages[place + 1..].iter().any(|(other, m)| *other == to && m.kind == HEARTBEAT),
            APPEND if message.entries.is_empty() => {
                let mut others = messages.iter_mut().enumerate().rev().filter(|(other, (peer, m))| {
                    *peer == to && m.kind == APPEND && (*other > place || !m.entries.is_empty())
                });
                match others.next() {
                    Some((_, (_, other))) => {
                        other.commit = other.commit.max(commit);
                        true
                    }
                    None => false,
                }
            }
            _ => false,
        };
        if redundant {
            messages.remove(place);
        }
    }
}
