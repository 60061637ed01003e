//! What happened, as one number that repeats to the bit and, on request, as lines to read.

use std::collections::VecDeque;
use std::fmt::Write as _;

use trimaran_node::mqi::{Completion, Data};
use trimaran_node::qmgr::RowChange;
use trimaran_node::replica::{Action, Event};
use trimaran_proto::replica::v1::peer_message::Message as PeerMessage;

/// A hash over everything that went into a replica and came out of it.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    /// Lines are kept (the newest `lines_max`) only when asked for: a failing seed is run again with them.
    lines: Option<VecDeque<String>>,
    lines_max: usize,
    print: bool,
}

impl Trace {
    pub fn new(lines_max: usize, print: bool) -> Trace {
        Trace { hash: 0xCBF2_9CE4_8422_2325, lines: (lines_max > 0).then(VecDeque::new), lines_max, print }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().flatten().cloned().collect()
    }

    pub fn number(&mut self, number: u64) {
        // Each step is a bijection of the hash and of the number, so that no difference is lost on the way.
        self.hash = (self.hash ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.number(u64::from(crc32c::crc32c(bytes)));
    }

    pub fn wants_lines(&self) -> bool {
        self.lines.is_some() || self.print
    }

    pub fn line(&mut self, at: u64, text: impl FnOnce() -> String) {
        if !self.wants_lines() {
            return;
        }
        let line = format!("{:>11.6} {}", at as f64 / 1e6, text());
        if self.print {
            println!("{line}");
        }
        if let Some(lines) = &mut self.lines {
            if lines.len() == self.lines_max {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    }

    pub fn event(&mut self, at: u64, node: u64, queue_manager: u32, event: &Event) {
        self.number(at);
        self.number(node << 32 | u64::from(queue_manager));
        match event {
            Event::Connect { session, .. } => self.tagged(1, session.0),
            Event::SessionClosed { session } => self.tagged(2, session.0),
            Event::Call { session, token, .. } => {
                self.tagged(3, session.0);
                self.number(token.0);
            }
            Event::Peer { from, message } => {
                self.tagged(4, from.0);
                self.peer_message(message);
            }
            Event::PeerConnected { node } => self.tagged(5, node.0),
            Event::PeerLost { node } => self.tagged(6, node.0),
            Event::PeerGone { node } => self.tagged(7, node.0),
            Event::LogPersisted { write } => self.tagged(8, write.0),
            Event::StoreFlushed { upto } => self.tagged(9, upto.0),
            Event::RowsLoaded { request, rows, .. } => {
                self.tagged(10, request.0);
                rows.iter().flatten().for_each(|row| self.bytes(row));
            }
            Event::EntriesLoaded { request, entries } => {
                self.tagged(11, request.0);
                self.number(entries.len() as u64);
            }
            Event::SnapshotSent { to, arrived } => self.tagged(12, to.0 << 1 | u64::from(*arrived)),
            Event::SnapshotInstalled { from, term, meta, .. } => {
                self.tagged(13, from.0);
                self.number(*term);
                self.number(meta.index.0);
            }
            Event::Disk { .. } => self.tagged(14, 0),
            Event::StoreRefused { upto } => self.tagged(15, upto.0),
            Event::LogDamaged { upto } => self.tagged(18, upto.0),
            Event::RemovedSays { node } => self.tagged(17, node.0),
            Event::Drain => self.tagged(16, 0),
            Event::AddressGone { deadline } => self.tagged(19, deadline.0),
            Event::PeerTooOld { node, .. } => self.tagged(20, node.0),
            Event::AddressHere { announced, .. } => self.tagged(21, announced.0),
            Event::Interface { is_up } => self.tagged(22, u64::from(*is_up)),
            Event::CanaryGood { silent } => {
                self.tagged(23, silent.map_or(0, |silent| silent.as_millis() as u64));
            }
            Event::Arranged { canary, .. } => self.tagged(24, u64::from(*canary)),
            Event::AddressAgent(agent) => self.tagged(25, agent.own.len() as u64),
            Event::RegisterFollowed { revision } => self.tagged(26, *revision),
        }
        self.line(at, || format!("{} < {}", place(node, queue_manager), event_text(event)));
    }

    pub fn action(&mut self, at: u64, node: u64, queue_manager: u32, action: &Action) {
        if matches!(action, Action::Admit { .. }) {
            // Follows from the connect, which was noted.
            return;
        }
        match action {
            Action::Persist(write) => {
                self.tagged(32, write.number.0);
                if let Some(hard) = write.hard_state {
                    self.number(hard.term.0);
                    self.number(hard.vote.map_or(0, |vote| vote.0));
                    self.number(hard.commit.0);
                }
                for entry in &write.entries {
                    self.number(entry.index.0);
                    self.number(entry.term.0);
                    self.number(u64::from(entry.crc));
                }
            }
            Action::Send { to, message } => {
                self.tagged(33, to.0);
                self.peer_message(message);
            }
            Action::SendSnapshot { to, term } => {
                self.tagged(34, to.0);
                self.number(*term);
            }
            Action::Complete { session, token, completion } => {
                self.tagged(35, session.0);
                self.number(token.0);
                self.completion(completion);
            }
            Action::Store(batch) => {
                self.tagged(36, batch.meta.index.0);
                for change in &batch.changes {
                    match change {
                        RowChange::Put { key, value, .. } => {
                            self.bytes(key);
                            self.bytes(value);
                        }
                        RowChange::PutParts { key, parts, .. } => {
                            self.bytes(key);
                            parts.iter().for_each(|part| self.bytes(part));
                        }
                        RowChange::Delete { key, .. } => self.bytes(key),
                        RowChange::DeleteRange { from, until, .. } => {
                            self.bytes(from);
                            self.bytes(until);
                        }
                    }
                }
            }
            Action::LoadRows(load) => self.tagged(37, load.request.0),
            Action::LoadEntries { request, first, .. } => {
                self.tagged(38, request.0);
                self.number(first.0);
            }
            Action::Admit { .. } | Action::PublishListeners(_) | Action::PublishRegister(_) => {}
            Action::CloseSession { session, reason, .. } => {
                self.tagged(39, session.0);
                self.number(u64::from(reason.number()));
            }
            Action::PublishRole(role) => self.tagged(40, u64::from(role.is_serving())),
            Action::TruncateLog { upto } => self.tagged(41, upto.0),
            Action::PublishMembership(members) => self.tagged(42, members.voters.len() as u64),
            Action::Removed => self.tagged(43, 0),
            Action::Report { sentence } => {
                self.tagged(44, 0);
                self.bytes(sentence.as_bytes());
            }
            Action::TrailEnds(record) => self.tagged(49, record.number),
            Action::GetStateAgain { .. } => self.tagged(45, 0),
            Action::PublishVersion(version) => self.tagged(46, u64::from(version.0)),
            Action::Stuck { .. } => self.tagged(47, 0),
            Action::NoteParted { parted } => self.tagged(48, u64::from(parted.is_some())),
        }
        self.line(at, || format!("{} > {}", place(node, queue_manager), action_text(action)));
    }

    fn tagged(&mut self, tag: u64, number: u64) {
        self.number(tag);
        self.number(number);
    }

    fn peer_message(&mut self, message: &PeerMessage) {
        match message {
            PeerMessage::Raft(raft) => {
                self.tagged(64 + u64::from(raft.kind), raft.term);
                self.number(raft.index);
                self.number(raft.commit);
                self.number(u64::from(raft.reject));
                for entry in &raft.entries {
                    self.number(entry.index);
                    self.number(u64::from(entry.crc32c));
                }
            }
            PeerMessage::Greeting(greeting) => {
                self.tagged(128, greeting.term);
                self.number(greeting.last_index);
                self.number(greeting.you_acknowledged);
            }
            PeerMessage::Comparison(comparison) => {
                self.tagged(129, comparison.term);
                self.number(comparison.index);
                self.number(comparison.digest.unwrap_or_default());
            }
            PeerMessage::Service(service) => {
                self.tagged(130, service.term);
                self.tagged(service.clients, service.units);
            }
            PeerMessage::Watched(watched) => self.tagged(131, watched.silent_ms.unwrap_or_default()),
        }
    }

    fn completion(&mut self, completion: &Completion) {
        self.number(u64::from(completion.reason.number()));
        match &completion.data {
            Data::Placed { message_id, .. } => self.bytes(&message_id.0),
            Data::Got { message, .. } => {
                self.bytes(&message.descriptor.message_id.0);
                self.number(u64::from(message.body_crc));
            }
            _ => {}
        }
    }
}

fn place(node: u64, queue_manager: u32) -> String {
    format!("node {node} qm {queue_manager}")
}

/// One line a person can follow; bodies and rows are named, not shown.
pub fn event_text(event: &Event) -> String {
    match event {
        Event::Peer { from, message } => format!("from {from}: {}", message_text(message)),
        Event::Call { session, token, call } => {
            let mut text = format!("{call:?}");
            cut(&mut text, 240);
            format!("call {token} of session {session}: {text}")
        }
        Event::RowsLoaded { request, rows, damaged } => {
            let found = rows.iter().flatten().count();
            format!("rows loaded for request {request}: {found} of {} damaged {damaged:?}", rows.len())
        }
        Event::EntriesLoaded { request, entries } => {
            format!("entries loaded for request {request}: {}", entries.len())
        }
        Event::SnapshotInstalled { from, term, meta, .. } => {
            format!("snapshot of {from} term {term} installed at index {}", meta.index)
        }
        other => format!("{other:?}"),
    }
}

pub fn action_text(action: &Action) -> String {
    match action {
        Action::Persist(write) => {
            let mut text = format!("persist {}", write.number);
            if let Some(hard) = write.hard_state {
                let _ = write!(
                    text,
                    " term {} vote {:?} commit {}",
                    hard.term,
                    hard.vote.map(|v| v.0),
                    hard.commit
                );
            }
            if let Some((index, term)) = write.restart_after {
                let _ = write!(text, " log restarts after {index} term {term}");
            }
            if let (Some(first), Some(last)) = (write.entries.first(), write.entries.last()) {
                let _ = write!(text, " entries {}..={} of term {}", first.index, last.index, last.term);
            }
            if !write.sync {
                text.push_str(" without sync");
            }
            text
        }
        Action::Send { to, message } => format!("to {to}: {}", message_text(message)),
        Action::Complete { session, token, completion } => {
            let mut text = format!("{:?}", completion.data);
            cut(&mut text, 160);
            let detail = completion.detail.as_deref().unwrap_or_default();
            format!("answer {token} of session {session}: {} {text} {detail}", completion.reason)
        }
        Action::Store(batch) => {
            format!("store {} changes at index {}", batch.changes.len(), batch.meta.index)
        }
        Action::LoadRows(load) => format!("load {} rows, request {}", load.keys.len(), load.request),
        other => format!("{other:?}"),
    }
}

fn message_text(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Raft(raft) => {
            const KINDS: [&str; 19] = [
                "hup",
                "beat",
                "propose",
                "append",
                "append answer",
                "vote?",
                "vote answer",
                "snapshot",
                "heartbeat",
                "heartbeat answer",
                "unreachable",
                "snapshot status",
                "check quorum",
                "transfer",
                "timeout now",
                "read index",
                "read index answer",
                "pre-vote?",
                "pre-vote answer",
            ];
            let kind = KINDS.get(raft.kind as usize).copied().unwrap_or("message");
            let mut text =
                format!("{kind} term {} log term {} index {}", raft.term, raft.log_term, raft.index);
            if let (Some(first), Some(last)) = (raft.entries.first(), raft.entries.last()) {
                let _ = write!(text, " entries {}..={}", first.index, last.index);
            }
            let _ = write!(text, " commit {}", raft.commit);
            if raft.reject {
                let _ = write!(text, " rejected, hint {}", raft.reject_hint);
            }
            text
        }
        PeerMessage::Greeting(greeting) => format!("{greeting:?}"),
        PeerMessage::Comparison(comparison) => format!("{comparison:?}"),
        PeerMessage::Service(service) => format!("{service:?}"),
        PeerMessage::Watched(watched) => format!("{watched:?}"),
    }
}

fn cut(text: &mut String, length_max: usize) {
    if text.len() > length_max {
        let mut end = length_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
}
