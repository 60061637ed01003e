//! Single nodes told exact things: the cases that the random runs of `cluster_test` meet too seldom.

use trimaran_proto::replica::v1::{self as proto, NodeInfo as WireNode};

use super::*;

const APPEND: u32 = 3;
const APPEND_ANSWER: u32 = 4;
const VOTE: u32 = 5;
const VOTE_ANSWER: u32 = 6;
const HEARTBEAT: u32 = 8;
const HEARTBEAT_ANSWER: u32 = 9;
const TAKE_OVER: u32 = 14;
const PRE_VOTE: u32 = 17;
const PRE_VOTE_ANSWER: u32 = 18;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);

/// Node A of a group of `voters`, its disk answering when told to.
struct One {
    consensus: Consensus,
    now: Instant,
    unwritten: Vec<WriteNumber>,
    /// Commit indexes that were written, with how many entries each.
    commits: Vec<(Index, usize)>,
    sent: Vec<(NodeId, RaftMessage)>,
    committed: Vec<Entry>,
}

fn options() -> Options {
    Options { node: A, uncommitted_bytes_max: 2 * 1024 * 1024, ..Options::default() }
}

fn meta(voters: &[NodeId], index: u64, term: u64) -> SnapshotMeta {
    SnapshotMeta {
        queue_manager: QueueManagerId(1),
        index: Index(index),
        term: Term(term),
        membership: Membership {
            voters: voters.iter().copied().collect(),
            nodes: voters.iter().map(|node| (*node, crate::types::NodeInfo::default())).collect(),
            ..Membership::default()
        },
        terms: TermStarts::default(),
        installed: false,
    }
}

fn recovered(voters: &[NodeId], terms: &[u64]) -> Recovered {
    let entries = terms.iter().zip(2..).map(|(term, index)| Entry {
        kind: EntryKind::Normal,
        term: Term(*term),
        index: Index(index),
        data: Bytes::from(vec![index as u8; 10]),
        crc: crc32c::crc32c(&[index as u8; 10]),
    });
    Recovered {
        hard_state: HardState::default(),
        snapshot: meta(voters, 1, 1),
        entries: entries.collect(),
        recovering: false,
        since_start: Duration::ZERO,
        acknowledged: Some(Index(0)),
        parted: None,
    }
}

/// All clocks of the group agree.
fn clock(instant: Instant) -> Now {
    Now { instant, wall: WallTime(1_700_000_000_000 + (instant.0 / 1000) as i64) }
}

impl One {
    fn new(recovered: &Recovered) -> One {
        One::with(options(), recovered)
    }

    fn with(options: Options, recovered: &Recovered) -> One {
        let mut one = One {
            consensus: Consensus::new(options, recovered),
            now: Instant(1_000_000),
            unwritten: Vec::new(),
            commits: Vec::new(),
            sent: Vec::new(),
            committed: Vec::new(),
        };
        one.pass(0);
        one
    }

    /// Of three, without a past.
    fn fresh() -> One {
        One::new(&recovered(&[A, B, C], &[]))
    }

    /// Leads three voters in a term of its own; its first entry is on its disk and not acknowledged by anyone.
    fn leading() -> One {
        let mut one = One::fresh();
        one.consensus.campaign();
        one.turn();
        let term = one.consensus.term().0 + 1;
        one.hear(B, RaftMessage { kind: PRE_VOTE_ANSWER, term, ..RaftMessage::default() });
        one.write();
        one.hear(B, RaftMessage { kind: VOTE_ANSWER, term, ..RaftMessage::default() });
        assert!(one.consensus.is_leader());
        one.write();
        one
    }

    fn turn(&mut self) {
        for _ in 0..5 {
            let ready = self.consensus.ready();
            if let Some(write) = ready.write {
                self.unwritten.push(write.number);
                self.commits.extend(write.hard_state.map(|state| (state.commit, write.entries.len())));
            }
            self.sent.extend(ready.messages);
            for entry in ready.committed {
                if entry.kind == EntryKind::Membership {
                    self.consensus.apply_membership(&entry);
                }
                self.consensus.applied(entry.index);
                self.committed.push(entry);
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = Instant(self.now.0 + ms * 1000);
        self.consensus.advance_time(clock(self.now));
        self.turn();
    }

    fn hear(&mut self, from: NodeId, message: RaftMessage) {
        self.consensus.step(from, RaftMessage { from: from.0, to: A.0, ..message });
        self.turn();
    }

    /// The disk has everything.
    fn write(&mut self) {
        while let Some(write) = self.unwritten.pop() {
            self.consensus.persisted(write);
            self.turn();
        }
    }

    fn sent(&mut self, kind: u32) -> Vec<(NodeId, RaftMessage)> {
        let (these, others) = std::mem::take(&mut self.sent).into_iter().partition(|(_, m)| m.kind == kind);
        self.sent = others;
        these
    }

    /// All that B acknowledges: everything, and the newest round.
    fn acknowledge(&mut self, from: NodeId) {
        let term = self.consensus.term().0;
        let index = self.consensus.last_index().0;
        self.hear(from, RaftMessage { kind: APPEND_ANSWER, term, index, ..RaftMessage::default() });
        self.answer_round(from, self.consensus.lease.round());
    }

    fn answer_round(&mut self, from: NodeId, round: u64) {
        let term = self.consensus.term().0;
        let context = convert::answer_out(&convert::round_out(round), clock(self.now).wall);
        self.hear(from, RaftMessage { kind: HEARTBEAT_ANSWER, term, context, ..RaftMessage::default() });
    }
}

fn heartbeat(term: u64, round: u64, commit: u64) -> RaftMessage {
    RaftMessage {
        kind: HEARTBEAT,
        term,
        commit,
        context: convert::round_out(round),
        ..RaftMessage::default()
    }
}

fn vote(kind: u32, term: u64) -> RaftMessage {
    RaftMessage { kind, term, index: 100, log_term: term - 1, ..RaftMessage::default() }
}

fn append(term: u64, log_term: u64, index: u64, terms: &[u64]) -> RaftMessage {
    let entry = |(term, index): (&u64, u64)| {
        let data = Bytes::from(vec![index as u8; 10]);
        let crc32c = crc32c::crc32c(&data);
        proto::Entry { kind: 0, term: *term, index, data, crc32c }
    };
    let entries = terms.iter().zip(index + 1..).map(entry).collect();
    RaftMessage { kind: APPEND, term, log_term, index, entries, ..RaftMessage::default() }
}

#[test]
fn a_promise_outlives_a_message_of_a_higher_term() {
    let mut one = One::fresh();
    one.hear(B, heartbeat(5, 1, 0));
    one.write();
    assert_eq!(one.sent(HEARTBEAT_ANSWER).len(), 1);
    one.pass(600);
    // An old rejection of a pre-vote moves the term, and raft-rs forgets that B leads.
    one.hear(C, RaftMessage { kind: PRE_VOTE_ANSWER, term: 6, reject: true, ..RaftMessage::default() });
    assert_eq!((one.consensus.term(), one.consensus.leader()), (Term(6), None));
    one.hear(C, vote(VOTE, 6));
    one.hear(C, vote(PRE_VOTE, 7));
    one.write();
    assert!(one.sent(VOTE_ANSWER).is_empty());
    assert!(one.sent(PRE_VOTE_ANSWER).is_empty());
    one.pass(651);
    one.hear(C, vote(VOTE, 6));
    one.write();
    assert!(!one.sent(VOTE_ANSWER)[0].1.reject);
}

#[test]
fn a_commit_index_is_written_when_nothing_comes_behind_it() {
    let mut one = One::leading();
    one.acknowledge(B);
    let index = one.consensus.propose(Bytes::from_static(b"x")).unwrap();
    one.turn();
    one.acknowledge(B);
    one.commits.clear();
    one.pass(200);
    assert_eq!(one.commits, [], "the entry is not on the disk, and takes the index of the one before along");
    one.write();
    assert_eq!(one.consensus.commit_index(), index);
    one.pass(50);
    assert_eq!(one.commits, [], "another entry may come and take it along");
    one.pass(60);
    assert_eq!(one.commits, [(index, 0)]);
    one.pass(200);
    assert_eq!(one.commits.len(), 1, "once");
}

#[test]
fn a_restarted_node_grants_nothing_at_first_and_a_new_one_does() {
    let mut one = One::new(&recovered(&[A, B, C], &[1]));
    one.hear(B, vote(PRE_VOTE, 6));
    one.hear(B, vote(VOTE, 6));
    one.write();
    assert!(one.sent.is_empty());
    assert_eq!(one.consensus.term(), Term(1));
    one.pass(1250);
    one.hear(B, vote(VOTE, 6));
    one.write();
    assert!(!one.sent(VOTE_ANSWER)[0].1.reject);

    let mut new = One::fresh();
    new.hear(B, vote(PRE_VOTE, 6));
    assert!(!new.sent(PRE_VOTE_ANSWER)[0].1.reject);
}

/// It followed the leader of term 5 without having voted for it, and its store is as far as its log.
#[test]
fn who_followed_keeps_its_promise_also_where_its_log_is_in_its_store() {
    let hard_state = HardState { term: Term(5), ..HardState::default() };
    let followed = Recovered { hard_state, snapshot: meta(&[A, B, C], 26, 5), ..recovered(&[A, B, C], &[]) };
    let mut one = One::new(&followed);
    one.pass(1249);
    one.hear(B, vote(PRE_VOTE, 6));
    assert!(one.sent.is_empty());
    one.pass(1);
    one.hear(B, vote(PRE_VOTE, 6));
    assert!(!one.sent(PRE_VOTE_ANSWER)[0].1.reject);
}

#[test]
fn what_was_promised_before_a_long_start_is_as_much_older() {
    let restarted = Recovered { since_start: Duration::from_millis(1000), ..recovered(&[A, B, C], &[1]) };
    let mut one = One::new(&restarted);
    one.pass(249);
    one.hear(B, vote(PRE_VOTE, 6));
    assert!(one.sent.is_empty());
    one.pass(1);
    one.hear(B, vote(PRE_VOTE, 6));
    assert!(!one.sent(PRE_VOTE_ANSWER)[0].1.reject);
}

#[test]
fn a_restarted_node_stands_as_soon_as_its_promise_has_ended_unless_a_leader_is_heard_of() {
    let mut one = One::new(&recovered(&[A, B, C], &[1]));
    one.pass(1249);
    assert!(one.sent(PRE_VOTE).is_empty());
    one.pass(151);
    assert!(!one.sent(PRE_VOTE).is_empty());

    let mut led = One::new(&recovered(&[A, B, C], &[1]));
    led.pass(1000);
    led.hear(B, heartbeat(5, 1, 0));
    led.write();
    led.pass(500);
    assert!(led.sent(PRE_VOTE).is_empty());
}

#[test]
fn nothing_is_promised_to_the_dead() {
    let mut one = One::fresh();
    one.hear(B, heartbeat(5, 1, 0));
    one.write();
    one.consensus.on_peer_gone(B);
    assert_eq!(one.consensus.leader(), None);
    one.hear(C, vote(PRE_VOTE, 6));
    assert!(!one.sent(PRE_VOTE_ANSWER)[0].1.reject);
    one.pass(150);
    assert_eq!(one.sent(PRE_VOTE).len(), 2, "stands for election at once");
    one.pass(300);
    assert!(!one.sent(PRE_VOTE).is_empty(), "and again, because the others may not have known");
}

#[test]
fn a_vote_and_an_acknowledgement_wait_for_the_disk_and_a_heartbeat_answer_does_not() {
    let mut one = One::fresh();
    one.hear(B, vote(VOTE, 2));
    assert!(one.sent.is_empty());
    one.write();
    assert_eq!(one.sent(VOTE_ANSWER).len(), 1);

    one.hear(B, append(2, 1, 1, &[2, 2]));
    one.hear(B, heartbeat(2, 1, 0));
    assert_eq!(one.sent(HEARTBEAT_ANSWER).len(), 1);
    assert!(one.sent(APPEND_ANSWER).is_empty());
    one.write();
    assert_eq!(one.sent(APPEND_ANSWER)[0].1.index, 3);

    // The answer says that the term was reached, so that has to be on disk.
    one.hear(C, heartbeat(3, 1, 0));
    assert!(one.sent.is_empty());
    one.write();
    assert_eq!(one.sent(HEARTBEAT_ANSWER).len(), 1);
}

#[test]
fn a_recovering_node_neither_votes_nor_stands_nor_believes_a_heartbeat() {
    let mut one = One::new(&Recovered { recovering: true, ..recovered(&[A, B, C], &[1, 1, 1]) });
    one.pass(5000);
    one.hear(B, vote(PRE_VOTE, 6));
    one.hear(B, vote(VOTE, 6));
    one.hear(B, heartbeat(6, 1, 4));
    one.hear(
        B,
        RaftMessage { kind: TAKE_OVER, term: 6, context: convert::round_out(1), ..RaftMessage::default() },
    );
    one.write();
    assert_eq!(one.sent.iter().map(|(_, m)| m.kind).collect::<Vec<_>>(), [HEARTBEAT_ANSWER]);
    // Its entries 3 and 4 may be of a past that was overwritten: only appends tell.
    assert_eq!(one.consensus.commit_index(), Index(1));
    one.hear(B, append(6, 1, 2, &[6]));
    one.hear(B, heartbeat(6, 2, 4));
    assert_eq!(one.consensus.commit_index(), Index(3));
    one.consensus.set_recovering(false);
    one.hear(B, heartbeat(6, 2, 4));
    assert_eq!(one.consensus.commit_index(), Index(3), "beyond the log");
}

#[test]
fn a_new_group_elects_its_first_leader_without_waiting_for_one() {
    let mut one = One::new(&Recovered { recovering: true, ..recovered(&[A, B, C], &[]) });
    one.pass(3000);
    assert!(one.sent.is_empty());
    one.consensus.set_recovering(false);
    one.pass(150);
    assert_eq!(one.sent(PRE_VOTE).len(), 2);
}

#[test]
fn a_group_that_begins_waits_for_no_leader_and_leaves_it_to_the_preferred_node_for_a_while() {
    let group = |start_delay_ms| {
        let start_delay = Duration::from_millis(start_delay_ms);
        let options = Options { is_new_group: true, start_delay, ..options() };
        One::with(options, &recovered(&[A, B, C], &[]))
    };
    let (mut preferred, mut other) = (group(0), group(800));
    preferred.pass(150);
    other.pass(750);
    assert_eq!((preferred.sent(PRE_VOTE).len(), other.sent(PRE_VOTE).len()), (2, 0));
    other.pass(250);
    assert_eq!(other.sent(PRE_VOTE).len(), 2, "the preferred one does not come");
}

#[test]
fn an_order_to_take_over_counts_only_when_it_is_new_and_from_the_leader() {
    let order = |round| RaftMessage {
        kind: TAKE_OVER,
        term: 5,
        context: convert::round_out(round),
        ..RaftMessage::default()
    };
    let mut one = One::fresh();
    one.hear(B, heartbeat(5, 7, 0));
    one.write();
    one.hear(B, order(6));
    one.hear(C, order(7));
    assert_eq!(one.consensus.term(), Term(5));
    one.pass(1249);
    one.hear(B, order(7));
    assert_eq!(one.consensus.term(), Term(6));
    one.write();
    let requests = one.sent(VOTE);
    assert!(requests.iter().all(|(_, request)| request.context == HANDED_OVER));
    assert_eq!(requests.len(), 2);

    let mut late = One::fresh();
    late.hear(B, heartbeat(5, 7, 0));
    late.write();
    late.pass(1250);
    late.hear(B, order(7));
    assert_eq!(late.consensus.term(), Term(5));
}

#[test]
fn a_leader_has_a_lease_when_a_quorum_answered() {
    let mut one = One::leading();
    assert_eq!(one.consensus.lease_until(), None);
    let sent = one.now;
    one.pass(30);
    one.acknowledge(C);
    assert_eq!(one.consensus.lease_until(), Some(sent + Duration::from_micros(1_125_000)));
    one.consensus.set_recovering(true);
    assert_eq!(one.consensus.lease_until(), None);
    assert!(!one.consensus.is_leader());
}

/// What a deaf leader says still arrives for a while, and each word would make its followers wait anew.
#[test]
fn a_leader_that_nobody_answers_falls_almost_silent() {
    let mut one = One::leading();
    one.acknowledge(C);
    let rounds_of = |one: &mut One| {
        one.sent(HEARTBEAT);
        (0..18).for_each(|_| one.pass(50));
        one.sent(HEARTBEAT).iter().filter(|(to, _)| *to == C).count()
    };
    assert_eq!(rounds_of(&mut one), 2, "of nine");
    let mut heard = 0;
    for _ in 0..18 {
        one.pass(50);
        let sent = one.sent(HEARTBEAT);
        heard += sent.iter().filter(|(to, _)| *to == C).count();
        one.acknowledge(C);
    }
    assert_eq!(heard, 9);
}

#[test]
fn no_lease_while_leadership_is_handed_over_and_until_that_is_settled() {
    let mut one = One::leading();
    one.acknowledge(B);
    one.acknowledge(C);
    assert!(one.consensus.lease_until().is_some());
    assert!(one.consensus.transfer_to(B));
    assert!(!one.consensus.transfer_to(C), "one at a time");
    one.turn();
    assert_eq!(one.consensus.lease_until(), None);
    assert_eq!(one.consensus.propose(Bytes::from_static(b"x")), Err(NotProposed::Transferring));
    let order = one.sent(TAKE_OVER);
    assert_eq!(order[0].0, B);

    // B never stands; the transfer is given up. The answer that brings the lease back must be B's.
    for _ in 0..14 {
        one.pass(100);
        one.acknowledge(C);
    }
    assert!(one.consensus.is_leader());
    assert_eq!(one.consensus.lease_until(), None);
    one.pass(100);
    one.acknowledge(B);
    assert!(one.consensus.lease_until().is_some());
    assert!(one.consensus.propose(Bytes::from_static(b"x")).is_ok());

    // And when B says nothing more, the leader gives up its term.
    one.acknowledge(B);
    assert!(one.consensus.transfer_to(B));
    for _ in 0..26 {
        one.pass(100);
        if one.consensus.is_leader() {
            one.acknowledge(C);
        }
    }
    assert!(!one.consensus.is_leader());
}

#[test]
fn who_asked_in_vain_stands_at_once_in_the_next_term_and_its_promised_followers_vote() {
    let mut one = One::leading();
    one.acknowledge(B);
    one.acknowledge(C);
    assert!(!one.consensus.take_back(), "nobody was asked");
    assert!(one.consensus.transfer_to(B));
    one.turn();
    let term = one.consensus.term().0;
    assert!(one.consensus.take_back());
    one.turn();
    assert_eq!((one.consensus.is_leader(), one.consensus.lease_until()), (false, None));
    one.write();
    let asked = one.sent(VOTE);
    assert!(asked.iter().any(|(to, vote)| *to == C && vote.term == term + 1 && vote.context == HANDED_OVER));
    one.hear(C, RaftMessage { kind: VOTE_ANSWER, term: term + 1, ..RaftMessage::default() });
    assert!(one.consensus.is_leader() && one.consensus.term() == Term(term + 1));
    one.write();

    // B wakes, finds the old order, and is too late.
    one.hear(B, RaftMessage { context: HANDED_OVER.to_vec().into(), ..vote(VOTE, term + 1) });
    assert!(one.consensus.is_leader());

    // What those do that heard the leader just now.
    let mut follower = One::fresh();
    follower.hear(B, heartbeat(5, 1, 0));
    follower.hear(C, RaftMessage { context: HANDED_OVER.to_vec().into(), ..vote(VOTE, 7) });
    follower.write();
    assert_eq!(follower.sent(VOTE_ANSWER), [], "of a leader that they do not know");
    follower.hear(B, RaftMessage { context: HANDED_OVER.to_vec().into(), ..vote(VOTE, 6) });
    follower.write();
    let granted = follower.sent(VOTE_ANSWER);
    assert!(matches!(&granted[..], [(B, answer)] if !answer.reject), "{granted:?}");
}

#[test]
fn alone_a_node_leads_and_commits_with_its_own_disk() {
    let mut one = One::new(&recovered(&[A], &[]));
    one.consensus.campaign();
    one.turn();
    assert!(one.consensus.is_leader());
    let index = one.consensus.propose(Bytes::from_static(b"one")).unwrap();
    one.turn();
    assert!(one.committed.is_empty());
    one.write();
    assert_eq!(one.committed.last().map(|entry| entry.index), Some(index));
    assert!(one.consensus.lease_until().is_some());
}

#[test]
fn too_much_uncommitted_is_busy() {
    let mut one = One::leading();
    let data = Bytes::from(vec![0; 1024 * 1024]);
    assert!(one.consensus.propose(data.clone()).is_ok());
    assert!(one.consensus.propose(data.clone()).is_ok());
    assert_eq!(one.consensus.propose(data.clone()), Err(NotProposed::Busy));
    one.turn();
    one.write();
    one.acknowledge(B);
    assert_eq!(one.committed.len(), 3);
    assert!(one.consensus.propose(data).is_ok());
}

#[test]
fn a_removed_leader_asks_another_to_stand_and_stops() {
    let mut one = One::leading();
    one.acknowledge(B);
    let change = proto::MembershipChange { remove: vec![A.0], ..proto::MembershipChange::default() };
    assert!(one.consensus.propose_membership(change.clone()).is_ok());
    assert_eq!(one.consensus.propose_membership(change), Err(NotProposed::Busy));
    for _ in 0..3 {
        one.turn();
        one.write();
        one.acknowledge(B);
        if one.consensus.is_leader() {
            one.acknowledge(C);
        }
    }
    assert!(!one.consensus.is_leader());
    assert_eq!(one.consensus.membership().removed, [A].into());
    assert_eq!(one.sent(TAKE_OVER).len(), 1);
    assert_eq!(one.consensus.propose(Bytes::from_static(b"x")), Err(NotProposed::NotLeader));
}

#[test]
fn a_new_leader_finishes_half_a_change_of_membership() {
    let mut joint = meta(&[A, B, C], 1, 1);
    joint.membership.voters_outgoing = [A, B, NodeId(4)].into();
    joint.membership.auto_leave = true;
    let mut one = One::new(&Recovered { snapshot: joint, ..recovered(&[], &[]) });
    one.consensus.campaign();
    one.turn();
    for kind in [PRE_VOTE_ANSWER, VOTE_ANSWER] {
        one.write();
        for from in [B, C] {
            one.hear(from, RaftMessage { kind, term: 2, ..RaftMessage::default() });
        }
    }
    assert!(one.consensus.is_leader());
    for _ in 0..3 {
        one.write();
        one.acknowledge(B);
        one.acknowledge(C);
    }
    assert!(one.consensus.membership().voters_outgoing.is_empty());
    assert_eq!(one.consensus.membership().removed, [NodeId(4)].into());
}

#[test]
fn impossible_changes_are_refused_with_a_sentence() {
    let mut one = One::leading();
    one.acknowledge(B);
    let place = |id: u64| WireNode { id, ..WireNode::default() };
    let all = proto::MembershipChange { remove: vec![1, 2, 3], ..proto::MembershipChange::default() };
    assert!(matches!(one.consensus.propose_membership(all), Err(NotProposed::Refused { .. })));
    let zero = proto::MembershipChange {
        add_voters: vec![0],
        nodes: vec![place(0)],
        ..proto::MembershipChange::default()
    };
    assert!(matches!(one.consensus.propose_membership(zero), Err(NotProposed::Refused { .. })));
}

#[test]
fn a_snapshot_of_what_the_log_has_moves_the_state_and_keeps_the_log() {
    let mut one = One::fresh();
    one.hear(B, append(2, 1, 1, &[2, 2, 2, 2]));
    one.write();
    assert!(one.consensus.snapshot_installed(B, Term(2), meta(&[A, B, C], 3, 2)));
    assert_eq!(one.consensus.applied_index(), Index(3));
    assert_eq!(one.consensus.last_index(), Index(5));
    one.turn();
    assert!(one.committed.is_empty(), "the state has them");
    one.hear(B, RaftMessage { commit: 5, ..append(2, 2, 5, &[]) });
    assert_eq!(one.committed.iter().map(|entry| entry.index.0).collect::<Vec<_>>(), [4, 5]);
    assert!(!one.consensus.snapshot_installed(B, Term(2), meta(&[A, B, C], 4, 2)), "older than the state");
}

#[test]
fn a_snapshot_beyond_the_log_begins_it_anew_even_when_its_leader_was_deposed() {
    for term in [2, 1] {
        let mut one = One::fresh();
        one.hear(B, append(2, 1, 1, &[2, 2]));
        one.write();
        assert!(one.consensus.snapshot_installed(B, Term(term), meta(&[A, B, C], 9, 2)));
        let ready = one.consensus.ready();
        let write = ready.write.unwrap();
        assert_eq!(write.restart_after, Some((Index(9), Term(2))));
        assert!(write.entries.is_empty());
        one.consensus.persisted(write.number);
        one.turn();
        assert_eq!(one.consensus.last_index(), Index(9));
        assert_eq!(one.consensus.first_index(), Index(10));
        one.hear(B, RaftMessage { commit: 10, ..append(2, 2, 9, &[2]) });
        one.write();
        assert_eq!(one.committed.iter().map(|entry| entry.index.0).collect::<Vec<_>>(), [10]);
    }
}

#[test]
fn after_a_pause_a_leader_leads_no_more_before_it_reads_its_mail() {
    let mut one = One::leading();
    one.acknowledge(B);
    assert!(one.consensus.is_leader());
    one.now = one.now + Duration::from_secs(60);
    one.consensus.advance_time(clock(one.now));
    assert!(!one.consensus.is_leader());
    assert_eq!(one.consensus.lease_until(), None);
}

#[test]
fn empty_appends_and_old_heartbeats_of_a_turn_are_merged() {
    let message = |kind, commit, entries: usize| {
        let entries = vec![proto::Entry::default(); entries];
        (B, RaftMessage { kind, commit, entries, ..RaftMessage::default() })
    };
    let merged = |messages: &[(NodeId, RaftMessage)]| {
        let mut messages = messages.to_vec();
        ready::merge(&mut messages);
        messages.iter().map(|(_, m)| (m.kind, m.commit, m.entries.len())).collect::<Vec<_>>()
    };
    let (empty, full) = (message(APPEND, 5, 0), message(APPEND, 4, 2));
    assert_eq!(merged(&[full.clone(), empty.clone()]), [(APPEND, 5, 2)]);
    assert_eq!(merged(&[empty.clone(), full.clone()]), [(APPEND, 5, 2)]);
    assert_eq!(merged(&[message(APPEND, 3, 0), empty.clone()]), [(APPEND, 5, 0)]);
    assert_eq!(merged(&[full.clone(), full.clone()]).len(), 2);
    assert_eq!(merged(&[message(HEARTBEAT, 1, 0), full.clone(), message(HEARTBEAT, 2, 0)]).len(), 2);
    let (_, other) = full;
    assert_eq!(merged(&[(C, other), empty]).len(), 2, "of different peers");
}

/// Whatever a peer sends, the process goes on. Numbers are drawn close to what is there, where it could hurt.
#[test]
fn no_message_stops_the_process() {
    let mut draws = 0;
    let mut below = |bound: u64| {
        draws += 1;
        draw(11, [draws, 0, 0], bound)
    };
    for run in 0..300 {
        let mut one = match run % 4 {
            0 => One::leading(),
            1 => One::new(&recovered(&[A, B, C], &[1, 1, 2, 3])),
            2 => One::new(&Recovered { recovering: true, ..recovered(&[A, B, C], &[2, 2]) }),
            _ => One::new(&Recovered {
                snapshot: SnapshotMeta { index: Index(0), term: Term(0), ..meta(&[], 0, 0) },
                ..recovered(&[], &[])
            }),
        };
        one.pass(below(4) * 1000);
        for _ in 0..200 {
            let kinds = [3, 4, 5, 6, 8, 9, 14, 17, 18];
            let mut number = |near: u64| match below(12) {
                0 => 0,
                1 => u64::MAX - below(3),
                2 => 1 << 61,
                3 => below(20),
                _ => (near + below(5)).saturating_sub(2),
            };
            let (term, last) = (one.consensus.term().0, one.consensus.last_index().0);
            let (log_term, index) = (number(term), number(last));
            let mut message = RaftMessage {
                kind: kinds[number(4) as usize % kinds.len()],
                from: 0,
                to: 0,
                term: number(term),
                log_term,
                index,
                entries: Vec::new(),
                commit: number(last),
                commit_term: number(term),
                reject: number(1) % 2 == 0,
                reject_hint: number(last),
                context: convert::round_out(number(one.consensus.lease.round())),
                priority: number(0) as i64,
                request_snapshot: number(last),
            };
            // Mostly entries that could be true, so that what lies behind the first check is reached.
            if message.kind == APPEND && below(3) > 0 {
                let index = index.min(1 << 40);
                let count = below(4) as usize;
                let terms = vec![message.term.clamp(1, 1 << 40); count];
                message.entries = append(0, 0, index, &terms).entries;
                if let (Some(entry), 0) = (message.entries.first_mut(), below(8)) {
                    entry.kind = 2;
                    entry.data = Bytes::new();
                    entry.crc32c = 0;
                }
            }
            // An append of the current leader is what a node trusts: a committed entry is never contradicted.
            let from = if below(2) == 0 { B } else { C };
            one.hear(from, message);
            if below(3) == 0 {
                one.write();
            }
            if below(5) == 0 {
                one.pass(below(200));
            }
        }
    }
}

/// A has five entries of term 3 behind the first one, and knows that they are committed.
fn with_five_committed() -> One {
    let mut before = recovered(&[A, B, C], &[3, 3, 3, 3, 3]);
    before.hard_state = HardState { term: Term(3), vote: None, commit: Index(6) };
    let mut one = One::new(&before);
    assert_eq!(one.consensus.committed(), (Term(3), Index(6)));
    one.pass(2000);
    one.sent.clear();
    one
}

#[test]
fn a_leader_without_what_is_committed_here_gets_neither_acknowledgement_nor_vote_nor_lease() {
    let mut one = with_five_committed();
    // B's disk was taken back to entry 3, and C had no more.
    one.hear(B, append(9, 3, 3, &[9]));
    one.write();
    let parted = one.consensus.parted().unwrap();
    assert_eq!((parted.leader, parted.term, parted.index), (B, Term(9), Index(4)));
    assert_eq!((parted.own, parted.theirs, parted.commit), (Term(3), Some(Term(9)), Index(6)));
    assert!(one.sent(APPEND_ANSWER).is_empty());
    one.hear(B, heartbeat(9, 1, 4));
    one.write();
    let answers = one.sent(HEARTBEAT_ANSWER);
    assert_eq!((one.consensus.leader(), answers.len()), (Some(B), 1), "it knows who leads");
    assert!(answers[0].1.context.is_empty(), "the answer renews no lease");
    one.pass(2000);
    one.hear(C, vote(VOTE, 10));
    one.write();
    assert!(one.sent(VOTE_ANSWER).is_empty() && one.sent(PRE_VOTE).is_empty());
    assert_eq!(one.consensus.commit_index(), Index(6));

    // C is found to have all of it, and is followed.
    one.hear(C, append(11, 3, 5, &[3, 11]));
    one.write();
    assert_eq!(one.consensus.parted(), None);
    one.hear(C, append(11, 3, 6, &[11]));
    one.write();
    assert_eq!(one.sent(APPEND_ANSWER).last().unwrap().1.index, 7);
}

#[test]
fn what_lies_below_the_commit_index_is_acknowledged_as_far_as_it_was_compared() {
    let mut one = with_five_committed();
    one.hear(B, append(9, 3, 2, &[3, 3]));
    one.write();
    assert_eq!(one.sent(APPEND_ANSWER).last().unwrap().1.index, 4);
    one.hear(B, append(9, 3, 4, &[3, 3, 9]));
    one.write();
    assert_eq!(one.sent(APPEND_ANSWER).last().unwrap().1.index, 6);
    assert_eq!(one.consensus.parted(), None);
}

#[test]
fn who_is_excluded_commits_nothing_and_renews_no_lease_and_gets_no_entries() {
    let mut one = One::leading();
    one.consensus.exclude(B, true);
    one.sent.clear();
    one.acknowledge(B);
    assert_eq!((one.consensus.commit_index(), one.consensus.lease_until()), (Index(1), None));
    assert!(one.consensus.propose(Bytes::from_static(b"news")).is_ok());
    one.turn();
    one.write();
    assert!(one.sent(APPEND).iter().all(|(to, _)| *to == C));
    one.consensus.exclude(B, false);
    one.turn();
    assert!(one.sent(APPEND).iter().any(|(to, _)| *to == B));
    one.acknowledge(B);
    assert_eq!(one.consensus.commit_index(), one.consensus.last_index());
    assert!(one.consensus.lease_until().is_some());
}

#[test]
fn the_time_of_a_group_is_known_when_a_majority_of_its_clocks_is() {
    let mut one = One::leading();
    one.pass(100);
    assert_eq!(one.consensus.time(), None);
    one.acknowledge(B);
    let now = clock(one.now).wall;
    assert_eq!(one.consensus.time(), Some(Majority { reached: now, agreed: Some(now) }));
    assert_eq!(one.consensus.clocks_off(), BTreeMap::new());
}
