//! A few replicas that hear each other, with nothing lost and disks that never wait: what nodes tell each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use trimaran_proto::admin::v1::failover_account::Cause;
use trimaran_proto::admin::v1::handing_over::Why;
use trimaran_proto::admin::v1::moment::Step;
use trimaran_proto::admin::v1::{AuditRecord, Failover, FailoverAccount, HandingOver, Moment};
use trimaran_proto::audit::verb_in_words;
use trimaran_proto::chain::verify;
use trimaran_proto::failover::Class;
use trimaran_proto::replica::v1::{RaftMessage, peer_message::Message as PeerMessage};

use super::*;
use crate::consensus::{Entry, EntryKind, HardState, Parted};
use crate::mqi::{Admin, Call, Connect, Identity, MembershipRequest, Operate, RecoverRequest};
use crate::qmgr::Command;
use crate::types::definition::{Changes, ObjectRef, Tongue};
use crate::types::{
    Index, Membership, NodeInfo, OutOfSync, Reason, SnapshotMeta, Term, TermStarts, WaitsFor, WallTime,
};

#[path = "placement_test.rs"]
mod placement_test;
#[path = "running_test.rs"]
mod running_test;

const OPERATOR: SessionId = SessionId(1);

struct Member {
    replica: Replica,
    events: Vec<Event>,
    role: RoleView,
    removed: u32,
    answers: Vec<Completion>,
    /// Sessions that it ended, and whether all that it has not answered did not happen.
    closed: Vec<(SessionId, bool)>,
    /// Who was not let in.
    refused: Vec<Reason>,
    /// The log was cut up to here.
    cut: Index,
    /// Snapshots it was asked to send; none arrives by itself.
    snapshots: u32,
    /// For the error log.
    reports: Vec<String>,
    /// Its store is not trusted any more.
    told_again: bool,
    /// Its program is too old to go on.
    stuck: Option<String>,
    /// Beside its log: how it parted from a leader.
    parted: Option<Parted>,
}

struct Group {
    members: BTreeMap<u64, Member>,
    now: Now,
    /// By how many milliseconds a member's wall clock is ahead.
    clocks: BTreeMap<u64, i64>,
    /// A message between two members that does not arrive.
    lost: fn(u64, &PeerMessage) -> bool,
    /// Two that do not hear each other.
    apart: Option<[u64; 2]>,
    /// The member whose disk hangs.
    hung: Option<u64>,
}

fn member(id: u64, voters: &[u64], recovering: bool) -> Member {
    member_with(id, voters, recovering, 1)
}

/// A node whose log, of term 2, ends at this index.
fn member_with(id: u64, voters: &[u64], recovering: bool, last: u64) -> Member {
    let hard_state = match last {
        1 => HardState::default(),
        _ => HardState { term: Term(2), vote: Some(NodeId(1)), commit: Index(2) },
    };
    member_from(id, voters, recovering, hard_state, last)
}

fn member_from(id: u64, voters: &[u64], recovering: bool, hard_state: HardState, last: u64) -> Member {
    of_replica(replica_from(id, voters, recovering, hard_state, last, Index(last)), recovering)
}

/// A node whose log was cut at this index of term 5, where its message store is, after a term 3 that began at entry 6.
fn member_beyond(id: u64, voters: &[u64], index: u64) -> Member {
    member_remembering(id, voters, index, &[(1, 1), (2, 2), (3, 6), (5, 30)])
}

/// The same, and this is what it remembers of where terms began.
fn member_remembering(id: u64, voters: &[u64], index: u64, terms: &[(u64, u64)]) -> Member {
    let terms = terms.iter().map(|(term, index)| (Term(*term), Index(*index)));
    let terms = TermStarts::from_runs(terms.collect()).unwrap();
    let snapshot = SnapshotMeta { index: Index(index), term: Term(5), terms, ..initial(voters) };
    let recovered = Recovered {
        hard_state: HardState { term: Term(5), vote: None, commit: Index(index) },
        snapshot,
        entries: Vec::new(),
        recovering: false,
        since_start: Duration::ZERO,
        acknowledged: Some(Index(index)),
        parted: None,
    };
    of_replica(replica(id, recovered), false)
}

fn of_replica(replica: Replica, recovering: bool) -> Member {
    let role = RoleView::NotServing { term: Term(0), leader: None, recovering };
    let (events, answers, closed, refused) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (reports, told_again, stuck, parted) = (Vec::new(), false, None, None);
    let cut = Index(0);
    Member {
        replica,
        events,
        role,
        removed: 0,
        answers,
        closed,
        refused,
        cut,
        snapshots: 0,
        reports,
        told_again,
        stuck,
        parted,
    }
}

fn replica_from(
    id: u64,
    voters: &[u64],
    recovering: bool,
    hard_state: HardState,
    last: u64,
    acknowledged: Index,
) -> Replica {
    let snapshot = initial(voters);
    let entries = (2..=last).map(entry_of_term_2).collect();
    let acknowledged = Some(acknowledged);
    let recovered = Recovered {
        hard_state,
        snapshot,
        entries,
        recovering,
        since_start: Duration::ZERO,
        acknowledged,
        parted: None,
    };
    replica(id, recovered)
}

fn entry_of_term_2(index: u64) -> Entry {
    Entry { kind: EntryKind::Normal, term: Term(2), index: Index(index), data: Bytes::new(), crc: 0 }
}

/// A node that others can reach.
fn reachable(name: &str) -> NodeInfo {
    let address = |port| format!("{name}:{port}");
    NodeInfo { name: name.to_string(), peer_address: address(7101), client_address: address(7201) }
}

/// What the stores of a new node have.
fn initial(voters: &[u64]) -> SnapshotMeta {
    let place = |id: &u64| (NodeId(*id), NodeInfo { name: id.to_string(), ..NodeInfo::default() });
    let membership = Membership {
        voters: voters.iter().copied().map(NodeId).collect(),
        nodes: voters.iter().map(place).collect(),
        ..Membership::default()
    };
    SnapshotMeta {
        queue_manager: QueueManagerId(1),
        index: Index(1),
        term: Term(1),
        membership,
        terms: TermStarts::default(),
        installed: false,
    }
}

fn replica(id: u64, recovered: Recovered) -> Replica {
    let name = ObjectName::new("QM1").unwrap();
    let consensus = consensus::Options { node: NodeId(id), ..consensus::Options::default() };
    // The release before, unless a test says otherwise.
    let speaks = Speaks::up_to(Version::FIRST);
    let options = Options {
        window_bytes: usize::MAX,
        speaks,
        ..Options::new(QueueManagerId(1), name.clone(), consensus)
    };
    Replica::new(options, recovered, QueueManager::new(QueueManagerId(1), name), 41 * id)
}

impl Group {
    /// Voters 1 to `count`, all new, connected, one of them serving.
    fn new(count: u64) -> Group {
        let voters: Vec<u64> = (1..=count).collect();
        let mut group = Group::of(&voters);
        group.pass(Duration::from_secs(5));
        assert!(group.leader().is_some(), "somebody serves");
        group
    }

    fn empty() -> Group {
        Group {
            members: BTreeMap::new(),
            now: Now::default(),
            clocks: BTreeMap::new(),
            lost: |_, _| false,
            apart: None,
            hung: None,
        }
    }

    /// All new, and connected.
    fn of(voters: &[u64]) -> Group {
        let now = Now { instant: Instant(1), wall: WallTime(1_000_000) };
        let mut group = Group { now, ..Group::empty() };
        for id in voters {
            group.join(*id, voters);
        }
        group
    }

    /// A node with empty disks whose cluster file knows these voters.
    fn join(&mut self, id: u64, voters: &[u64]) {
        self.connect(id, member(id, voters, true));
    }

    fn connect(&mut self, id: u64, member: Member) {
        self.members.insert(id, member);
        for other in self.members.keys().copied().filter(|other| *other != id).collect::<Vec<_>>() {
            self.tell(id, Event::PeerConnected { node: NodeId(other) });
            self.tell(other, Event::PeerConnected { node: NodeId(id) });
        }
    }

    fn leader(&self) -> Option<u64> {
        self.members.iter().find(|(_, member)| member.role.is_serving()).map(|(id, _)| *id)
    }

    /// Everybody else.
    fn others(&self, id: u64) -> Vec<u64> {
        self.members.keys().copied().filter(|other| *other != id).collect()
    }

    fn tell(&mut self, id: u64, event: Event) {
        self.members.get_mut(&id).expect("it is a member").events.push(event);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now.instant + time;
        while self.now.instant < until {
            self.now.instant = self.now.instant + Duration::from_millis(10);
            self.now.wall.0 += 10;
            self.turn();
        }
    }

    /// A turn of everybody, and what follows from it at once.
    fn turn(&mut self) {
        for _ in 0..50 {
            let mut sent: Vec<(u64, u64, PeerMessage)> = Vec::new();
            for (id, member) in &mut self.members {
                let ahead_ms = self.clocks.get(id).copied().unwrap_or(0);
                member.replica.begin_turn(Now { wall: WallTime(self.now.wall.0 + ahead_ms), ..self.now });
                member.events.drain(..).for_each(|event| member.replica.handle(event));
                let mut actions = Vec::new();
                member.replica.end_turn(&mut actions);
                for action in actions {
                    match action {
                        Action::Persist(_) if self.hung == Some(*id) => {}
                        Action::Persist(write) => {
                            member.events.push(Event::LogPersisted { write: write.number })
                        }
                        Action::Send { to, message } => sent.push((*id, to.0, message)),
                        Action::PublishRole(role) => member.role = role,
                        Action::Removed => member.removed += 1,
                        Action::Store(batch) => {
                            member.events.push(Event::StoreFlushed { upto: batch.meta.index })
                        }
                        Action::TruncateLog { upto } => member.cut = upto,
                        Action::SendSnapshot { .. } => member.snapshots += 1,
                        Action::Complete { completion, .. } => member.answers.push(completion),
                        Action::CloseSession { session, all_answered, .. } => {
                            member.closed.push((session, all_answered));
                        }
                        Action::Admit { admitted: Err(refusal), .. } => member.refused.push(refusal.reason),
                        Action::Report { sentence } => member.reports.push(sentence),
                        Action::GetStateAgain { .. } => member.told_again = true,
                        Action::Stuck { sentence } => member.stuck = Some(sentence),
                        Action::NoteParted { parted } => member.parted = parted,
                        _ => {}
                    }
                }
            }
            for (from, to, message) in sent {
                let are_apart = self.apart.is_some_and(|two| two == [from, to] || two == [to, from]);
                if !are_apart
                    && !(self.lost)(from, &message)
                    && let Some(member) = self.members.get_mut(&to)
                {
                    member.events.push(Event::Peer { from: NodeId(from), message });
                }
            }
            if self.members.values().all(|member| member.events.is_empty()) {
                return;
            }
        }
        panic!("they never come to rest");
    }

    /// Asks the leader, and gives its answers after that time.
    fn ask(&mut self, request: MembershipRequest, time: Duration) -> Vec<Completion> {
        let leader = self.leader().expect("somebody serves");
        self.ask_node(leader, Operate::Members(request));
        self.pass(time);
        self.answers(leader)
    }

    fn ask_node(&mut self, id: u64, call: impl Into<Call>) {
        let identity = Identity { tongue: Tongue::Grpc, ..Identity::of("joe") };
        let connect = Connect::new(identity, "");
        self.tell(id, Event::SessionClosed { session: OPERATOR });
        self.tell(id, Event::Connect { session: OPERATOR, connect });
        self.tell(id, Event::Call { session: OPERATOR, token: Token(1), call: call.into() });
    }

    fn answers(&mut self, id: u64) -> Vec<Completion> {
        let mut answers = std::mem::take(&mut self.members.get_mut(&id).expect("it is a member").answers);
        answers.retain(|completion| !matches!(completion.data, crate::mqi::Data::Progress { .. }));
        answers
    }

    fn membership(&self, id: u64) -> &Membership {
        self.members[&id].replica.consensus.membership()
    }
}

fn is_all_clear(_: u64, message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Greeting(greeting) if !greeting.recovering)
}

#[test]
fn the_operator_is_answered_when_the_new_node_may_vote_and_everybody_knows_the_new_members() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let old = (1..=3).find(|id| *id != leader).unwrap();
    group.members.remove(&old);
    group.join(4, &[1, 2, 3]);
    // It may vote, and cannot say so.
    group.lost = |from, message| from == 4 && is_all_clear(from, message);
    let info = reachable("4");
    let request = MembershipRequest::Replace { old: NodeId(old), node: NodeId(4), info };
    assert_eq!(group.ask(request, Duration::from_secs(10)), []);
    assert!(group.membership(leader).learners.contains(&NodeId(4)), "it learns, and is no voter yet");
    group.lost = |_, _| false;
    for _ in 0..200 {
        group.pass(Duration::from_millis(10));
        let answers = group.answers(leader);
        if answers.is_empty() {
            continue;
        }
        assert_eq!(answers[0].reason, Reason::None, "{answers:?}");
        for id in group.members.keys() {
            assert!(group.membership(*id).voters.contains(&NodeId(4)), "node {id} knows the new voter");
            assert!(group.membership(*id).voters_outgoing.is_empty(), "node {id} left the old configuration");
        }
        assert!(!group.members[&4].replica.consensus().is_recovering());
        // So nobody has to wait when the leader dies right then.
        group.members.remove(&leader);
        let survivors: Vec<u64> = group.members.keys().copied().collect();
        survivors.iter().for_each(|id| group.tell(*id, Event::PeerGone { node: NodeId(leader) }));
        group.pass(Duration::from_secs(1));
        assert!(group.leader().is_some(), "two of three go on");
        return;
    }
    panic!("the operator is never answered");
}

#[test]
fn two_nodes_that_recover_do_not_greet_each_other_for_ever() {
    let mut group = Group::empty();
    group.join(1, &[1, 2, 3]);
    group.join(2, &[1, 2, 3]);
    group.pass(Duration::from_secs(3));
    assert!(group.members.values().all(|member| member.replica.consensus().is_recovering()));
}

#[test]
fn a_node_says_whom_it_waits_for_while_nobody_can_be_elected() {
    let mut group = Group::empty();
    group.join(1, &[1, 2, 3]);
    group.join(2, &[1, 2, 3]);
    group.pass(Duration::from_secs(3));
    let waits_for = |group: &Group, node| group.members[&node].replica.waits_for();
    let first_start = WaitsFor { nodes: [NodeId(3)].into(), to_begin: true };
    assert_eq!([1, 2].map(|node| waits_for(&group, node)), [first_start.clone(), first_start.clone()]);
    // It runs, and has not this queue manager in its cluster file.
    group.tell(1, Event::PeerConnected { node: NodeId(3) });
    assert_eq!(waits_for(&group, 1), first_start);
    group.tell(1, Event::PeerLost { node: NodeId(3) });

    group.join(3, &[1, 2, 3]);
    group.pass(Duration::from_secs(5));
    let leader = group.leader().expect("all are there");
    assert_eq!(
        [1, 2, 3].map(|node| waits_for(&group, node)),
        [const { WaitsFor { nodes: BTreeSet::new(), to_begin: false } }; 3]
    );

    let others = group.others(leader);
    for gone in &others {
        group.tell(leader, Event::PeerLost { node: NodeId(*gone) });
        group.members.remove(gone);
    }
    group.pass(Duration::from_secs(5));
    let nodes = others.into_iter().map(NodeId).collect();
    assert_eq!(waits_for(&group, leader), WaitsFor { nodes, to_begin: false }, "there is no majority");
}

#[test]
fn when_all_stop_at_once_nobody_waits_for_a_successor() {
    let mut group = Group::new(3);
    for id in 1..=3 {
        group.tell(id, Event::Drain);
    }
    group.pass(Duration::from_millis(200));
    assert!(group.members.values().all(|member| !member.role.leads()), "nobody leads any more");
    group.pass(Duration::from_secs(20));
    assert_eq!(group.leader(), None, "and nobody takes over");

    let mut alone = Group::new(1);
    alone.tell(1, Event::Drain);
    alone.pass(Duration::from_millis(50));
    assert_eq!(alone.leader(), None);
}

#[test]
fn a_leader_that_stops_hands_over_to_one_that_stays() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    group.tell(others[0], Event::Drain);
    group.pass(Duration::from_millis(50));
    group.tell(leader, Event::Drain);
    group.pass(Duration::from_millis(500));
    assert_eq!(group.leader(), Some(others[1]));
}

#[test]
fn a_leader_without_room_hands_over_to_a_node_that_has_some_and_else_serves_on() {
    let mut group = Group::new(3);
    let first = group.leader().unwrap();
    let others: Vec<u64> = (1..=3).filter(|id| *id != first).collect();
    let low = || Event::Disk { room: DiskRoom::Low { text: "no room".into() } };
    group.tell(others[0], low());
    group.pass(Duration::from_millis(100));
    group.tell(first, low());
    group.pass(Duration::from_secs(1));
    assert_eq!(group.leader(), Some(first), "it may get room again at once");
    group.pass(Duration::from_secs(3));
    assert_eq!(group.leader(), Some(others[1]));

    group.tell(others[1], low());
    group.pass(Duration::from_secs(20));
    assert_eq!(group.leader(), Some(others[1]), "nobody has more");
    group.tell(first, Event::Disk { room: DiskRoom::Enough });
    group.pass(Duration::from_secs(5));
    assert_eq!(group.leader(), Some(first));
}

#[test]
fn a_removed_node_that_was_away_learns_of_it_and_says_it_once() {
    let mut group = Group::new(4);
    let leader = group.leader().unwrap();
    let old = (1..=4).find(|id| *id != leader).unwrap();
    let away = group.members.remove(&old).unwrap();
    let answers = group.ask(MembershipRequest::Remove { node: NodeId(old) }, Duration::from_secs(5));
    assert_eq!(answers.iter().map(|answer| answer.reason).collect::<Vec<_>>(), [Reason::None]);
    group.members.insert(old, away);
    for other in group.others(old) {
        group.tell(old, Event::PeerLost { node: NodeId(other) });
        group.tell(old, Event::PeerConnected { node: NodeId(other) });
    }
    group.pass(Duration::from_secs(20));
    assert_eq!((&group.members[&old].role, group.members[&old].removed), (&RoleView::Removed, 1));
    assert_eq!(group.leader(), Some(leader), "it does not disturb the others");
}

#[test]
fn a_node_that_is_told_by_one_peer_alone_that_it_was_removed_does_not_believe_it() {
    let mut group = Group::new(5);
    let leader = group.leader().unwrap();
    let others = group.others(leader);
    let says = |node: u64| Event::RemovedSays { node: NodeId(node) };
    // Twice the same one, one that took it back, one that is no member.
    group.tell(leader, says(others[0]));
    group.tell(leader, says(others[0]));
    group.tell(leader, says(others[1]));
    group.tell(leader, says(99));
    group.tell(others[1], Event::PeerConnected { node: NodeId(leader) });
    group.pass(Duration::from_secs(5));
    assert_eq!((group.leader(), group.members[&leader].removed), (Some(leader), 0));

    let told = others[0];
    let majority = group.others(told).into_iter().take(3);
    majority.for_each(|node| group.tell(told, says(node)));
    group.pass(Duration::from_secs(1));
    assert_eq!((&group.members[&told].role, group.members[&told].removed), (&RoleView::Removed, 1));
}

#[test]
fn when_most_logs_are_damaged_they_go_on_with_the_best_only_after_somebody_said_so() {
    let mut group = Group::empty();
    let voters = [1, 2, 3];
    // The third is whole, and was behind when the others were damaged.
    for (id, recovering, last) in [(1, true, 7), (2, true, 10), (3, false, 5)] {
        group.connect(id, member_with(id, &voters, recovering, last));
    }
    group.pass(Duration::from_secs(20));
    assert_eq!(group.leader(), None, "two of three may not vote");

    let ask = |group: &mut Group, id: u64, from: u64, last: u64| {
        let last = (Term(2), Index(last));
        group.ask_node(id, Operate::Recover(RecoverRequest { from: NodeId(from), last, term: Term(4) }));
        group.turn();
        group.answers(id)[0].reason
    };
    assert_eq!(ask(&mut group, 2, 1, 7), Reason::OptionsError, "the second has more than the first");
    assert_eq!(ask(&mut group, 2, 2, 9), Reason::OptionsError, "and more than somebody believed");
    assert_eq!([1, 3, 2].map(|id| ask(&mut group, id, 2, 10)), [Reason::None; 3]);
    group.pass(Duration::from_secs(5));
    assert_eq!(group.leader(), Some(2));
    for (id, member) in &group.members {
        assert!(!member.replica.consensus().is_recovering(), "node {id} has what there is");
        assert!(member.replica.consensus().commit_index() > Index(10));
    }
    assert_eq!(ask(&mut group, 1, 1, 10), Reason::OptionsError, "somebody else leads");
}

#[test]
fn a_new_group_whose_first_election_came_to_nothing_begins_again() {
    let voters = [1, 2, 3];
    let mut group = Group::of(&[]);
    for id in voters {
        // It voted, and was killed before it was said anywhere that it may.
        let hard_state = HardState { term: Term(2), vote: Some(NodeId(1)), commit: Index(0) };
        group.connect(id, member_from(id, &voters, true, hard_state, 1));
    }
    group.pass(Duration::from_secs(5));
    let leader = group.leader().expect("somebody serves");
    let RoleView::Serving { term, .. } = group.members[&leader].role else { panic!("it serves") };
    assert!(term > Term(3), "a vote of term 2 may be lost, so nobody leads in it: {term:?}");
}

#[test]
fn nodes_that_lost_their_logs_and_remember_entries_do_not_begin_a_group_of_their_own() {
    let voters = [1, 2, 3];
    for remembering in [&[1, 2, 3][..], &[2]] {
        let mut group = Group::of(&[]);
        for id in voters {
            let mut member = member(id, &voters, true);
            if remembering.contains(&id) {
                member.replica = lost_log(id, &voters);
            }
            group.connect(id, member);
        }
        group.pass(Duration::from_secs(20));
        assert_eq!(group.leader(), None, "204 entries were acknowledged by {remembering:?}");
    }
}

#[test]
fn where_every_log_is_gone_they_begin_anew_when_somebody_said_so() {
    let voters = [1, 2, 3];
    let mut group = Group::of(&[]);
    for id in voters {
        let mut member = member(id, &voters, true);
        // The third lost its mark, too.
        if id != 3 {
            member.replica = lost_log(id, &voters);
        }
        group.connect(id, member);
    }
    group.pass(Duration::from_secs(20));
    let acknowledged = |group: &Group| {
        voters.map(|id| group.members[&id].replica.status().acknowledged.map(|index| index.0))
    };
    assert_eq!((group.leader(), acknowledged(&group)), (None, [Some(204), Some(204), None]));
    let last = group.members[&2].replica.log_end();
    for id in [1, 3, 2] {
        let request = RecoverRequest { from: NodeId(2), last, term: Term(4) };
        group.ask_node(id, Operate::Recover(request));
        group.turn();
        assert_eq!(group.answers(id)[0].reason, Reason::None);
    }
    group.pass(Duration::from_secs(5));
    assert_eq!(group.leader(), Some(2));
    for (id, member) in &group.members {
        assert!(!member.replica.consensus().is_recovering(), "node {id} may vote");
        let status = member.replica.status();
        assert_eq!(status.acknowledged, Some(status.last.1), "node {id}: what was given up is not promised");
    }
    define_a_queue(&mut group);
}

#[test]
fn what_a_node_with_empty_disks_ever_acknowledged_nobody_knows_before_it_has_caught_up() {
    let acknowledged = |group: &Group, id: u64| group.members[&id].replica.status().acknowledged;
    let mut group = Group::of(&[1, 2, 3]);
    assert_eq!(acknowledged(&group, 1), None, "it may be in the place of another");
    group.pass(Duration::from_secs(5));
    let leader = group.leader().expect("somebody serves");
    for (id, member) in &group.members {
        let end = member.replica.log_end().1;
        assert_eq!(acknowledged(&group, *id), Some(end), "node {id}: all were new");
    }
    // Two lose their disks: the leader lives, and cannot serve.
    for id in group.others(leader) {
        group.members.remove(&id);
        group.tell(leader, Event::PeerGone { node: NodeId(id) });
    }
    for id in (1..=3).filter(|id| *id != leader) {
        group.join(id, &[1, 2, 3]);
    }
    group.pass(Duration::from_secs(5));
    assert!(group.leader().is_none_or(|id| !group.members[&id].replica.has_lease()));
    for id in group.others(leader) {
        assert!(group.members[&id].replica.log_end().1 > Index(1), "node {id} has what the leader has");
        assert_eq!(
            acknowledged(&group, id),
            None,
            "node {id} may have acknowledged more with the disk that it lost"
        );
    }
}

/// A node whose log and store are empty, and whose mark says that it acknowledged 204 entries.
fn lost_log(id: u64, voters: &[u64]) -> Replica {
    let hard_state = HardState { term: Term(2), vote: Some(NodeId(1)), commit: Index(1) };
    replica_from(id, voters, true, hard_state, 1, Index(204))
}

#[test]
fn what_a_node_acknowledges_that_lost_its_disk_commits_nothing_before_the_others_confirmed_its_leader() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let mut others = (1..=3).filter(|id| *id != leader);
    let (lost, away) = (others.next().unwrap(), others.next().unwrap());
    // The one that is away may have been elected with the vote that the other has lost with its disk.
    group.members.remove(&lost);
    let back = group.members.remove(&away).unwrap();
    group.join(lost, &[1, 2, 3]);
    group.pass(Duration::from_secs(5));
    assert!(group.members[&lost].replica.consensus.is_recovering());
    if let RoleView::Serving { lease_until, .. } = group.members[&leader].role {
        assert!(lease_until < group.now.instant, "nor does it renew a lease");
    }
    group.connect(away, back);
    group.pass(Duration::from_secs(5));
    assert!(group.leader().is_some());
    assert!(!group.members[&lost].replica.consensus.is_recovering());
}

/// A node with the log that `of` has, as far as it was at this index.
fn image_of(group: &Group, of: u64, id: u64, upto: Index) -> Member {
    let consensus = &group.members[&of].replica.consensus;
    let entry = |index| consensus.tail_entry(Index(index)).expect("it is in memory");
    let recovered = Recovered {
        hard_state: HardState { term: consensus.term(), vote: Some(NodeId(of)), commit: upto },
        snapshot: initial(&[1, 2, 3]),
        entries: (2..=upto.0).map(entry).collect(),
        recovering: false,
        since_start: Duration::ZERO,
        acknowledged: Some(upto),
        parted: None,
    };
    of_replica(replica(id, recovered), false)
}

/// MsgAppendResponse of raft-rs.
fn is_answer_to_an_append(_: u64, message: &PeerMessage) -> bool {
    matches!(message, PeerMessage::Raft(message) if message.kind == 4)
}

#[test]
fn what_a_node_acknowledged_and_has_not_any_more_counts_for_nothing_also_where_it_was_not_committed() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let [taken_back, away] = group.others(leader)[..] else { panic!("there are two") };
    let committed = group.members[&leader].replica.consensus.commit_index();
    let image = image_of(&group, leader, taken_back, committed);
    // An entry that one of them has, and neither the leader's disk nor the other one.
    (group.hung, group.apart) = (Some(leader), Some([leader, away]));
    group.ask_node(leader, Admin::define_local(&ObjectName::new("Q").unwrap(), &[]));
    group.turn();
    let matched = |group: &Group| {
        let progress = group.members[&leader].replica.consensus.progress();
        progress.iter().find(|peer| peer.node == NodeId(taken_back)).unwrap().matched
    };
    assert!(matched(&group) > committed, "it was acknowledged");
    group.members.remove(&taken_back);
    group.tell(leader, Event::PeerLost { node: NodeId(taken_back) });
    group.lost = is_answer_to_an_append;
    group.connect(taken_back, image);
    group.turn();
    assert!(matched(&group) <= committed, "it has nothing of it");
    assert_eq!(group.members[&leader].replica.consensus.commit_index(), committed);
    assert!(!group.members[&taken_back].replica.consensus.is_recovering(), "and lost nothing that counts");
    // It gets the entry again, and now it counts.
    group.lost = |_, _| false;
    (group.hung, group.apart) = (None, None);
    group.pass(Duration::from_secs(1));
    assert!(group.members[&leader].replica.consensus.commit_index() > committed);
}

#[test]
fn a_node_has_a_name_of_its_own_and_one_that_does_not_come_can_be_given_up() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let reasons = |answers: Vec<Completion>| answers.iter().map(|all| all.reason).collect::<Vec<_>>();
    let taken = MembershipRequest::Add { node: NodeId(4), info: reachable("1") };
    assert_eq!(reasons(group.ask(taken, Duration::from_secs(1))), [Reason::ObjectAlreadyExists]);

    let add = MembershipRequest::Add { node: NodeId(4), info: reachable("4") };
    assert_eq!(reasons(group.ask(add.clone(), Duration::from_secs(1))), []);
    // Who asks for the same again follows it from there.
    assert_eq!(reasons(group.ask(add, Duration::from_secs(1))), [Reason::CallInterrupted]);
    let remove = MembershipRequest::Remove { node: NodeId(4) };
    let given_up = reasons(group.ask(remove.clone(), Duration::from_secs(1)));
    assert_eq!(given_up, [Reason::CallInterrupted, Reason::None]);
    assert!(!group.membership(leader).learners.contains(&NodeId(4)));
    assert_eq!(reasons(group.ask(remove, Duration::from_secs(1))), [Reason::None], "it is so already");
}

#[test]
fn what_a_dead_leader_had_sent_does_not_bring_it_back() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let followers: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    // A heartbeat that nobody has read yet when the process of the leader is found dead.
    let dead = group.members.get_mut(&leader).unwrap();
    group.now.instant = group.now.instant + Duration::from_millis(150);
    dead.replica.begin_turn(group.now);
    let mut actions = Vec::new();
    dead.replica.end_turn(&mut actions);
    group.members.remove(&leader);
    followers.iter().for_each(|id| group.tell(*id, Event::PeerGone { node: NodeId(leader) }));
    group.turn();
    let mut read = 0;
    for action in actions {
        if let Action::Send { to, message } = action {
            group.tell(to.0, Event::Peer { from: NodeId(leader), message });
            read += 1;
        }
    }
    assert!(read >= 2, "both get one");
    group.pass(Duration::from_millis(600));
    assert!(group.leader().is_some(), "the election does not wait for a timeout");
}

#[test]
fn the_log_is_kept_for_a_peer_that_is_there_and_catches_up() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let away = (1..=3).find(|id| *id != leader).unwrap();
    for member in group.members.values_mut() {
        let options = &mut member.replica.options;
        (options.window_bytes, options.log_retain_bytes, options.log_retain_present_bytes) =
            (1000, 0, 16_000);
    }
    let mut queues = 0;
    let mut define = |group: &mut Group, count: u32| {
        for _ in 0..count {
            queues += 1;
            let name = ObjectName::new(&format!("Q{queues}")).unwrap();
            group.ask_node(leader, Admin::define_local(&name, &[]));
            group.turn();
        }
    };
    let last = |group: &Group| group.members[&leader].replica.consensus.last_index();

    let mut gone = group.members.remove(&away).unwrap();
    group.tell(leader, Event::PeerGone { node: NodeId(away) });
    define(&mut group, 50);
    assert!(last(&group).0 - group.members[&leader].cut.0 < 20, "nobody waits for it");

    gone.events.clear();
    group.connect(away, gone);
    group.pass(Duration::from_millis(300));
    assert_eq!(group.members[&leader].snapshots, 1);
    let consensus = &group.members[&leader].replica.consensus;
    let index = group.members[&leader].replica.compaction.flushed_index();
    let term = consensus.term_at(index).unwrap();
    let membership = consensus.membership().clone();
    let snapshot = SnapshotMeta {
        queue_manager: QueueManagerId(1),
        index,
        term,
        membership,
        terms: TermStarts::default(),
        installed: false,
    };
    let cut = group.members[&leader].cut;
    define(&mut group, 50);
    assert_eq!(group.members[&leader].cut, cut, "what comes behind the snapshot stays until it has arrived");

    let state = Box::new(QueueManager::new(QueueManagerId(1), ObjectName::new("QM1").unwrap()));
    let (from, term) = (NodeId(leader), group.members[&leader].replica.consensus.term().0);
    group.tell(away, Event::SnapshotInstalled { from, term, meta: snapshot, state });
    group.tell(leader, Event::SnapshotSent { to: NodeId(away), arrived: true });
    group.pass(Duration::from_millis(300));
    assert_eq!(group.members[&away].replica.consensus.last_index(), last(&group), "no second snapshot");
    assert_eq!(group.members[&leader].snapshots, 1);
    define(&mut group, 20);
    assert!(last(&group).0 - group.members[&leader].cut.0 < 20);

    // There is an end to it: here is one that was heard a moment ago.
    group.members.remove(&away);
    define(&mut group, 400);
    assert!(last(&group).0 - group.members[&leader].cut.0 < 200);
}

#[test]
fn of_nodes_with_full_disks_only_the_one_that_serves_refuses_puts() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    for id in 1..=3 {
        group.tell(id, Event::Disk { room: DiskRoom::Low { text: "full".into() } });
        group.ask_node(id, Operate::Status);
        group.turn();
        let answers = group.answers(id);
        let crate::mqi::Data::Status(status) = &answers[0].data else { panic!("{answers:?}") };
        assert_eq!(status.puts_refused, (id == leader).then(|| "full".to_string()), "node {id}");
    }
}

#[test]
fn two_that_stand_at_once_do_not_wait_for_another_timeout() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    group.members.remove(&leader);
    group.pass(Duration::from_millis(1260));
    for member in group.members.values_mut() {
        member.replica.begin_turn(group.now);
        member.replica.consensus.campaign();
    }
    group.pass(Duration::from_millis(10));
    assert_eq!(group.leader(), None, "each has its own vote");
    group.pass(Duration::from_millis(500));
    assert!(group.leader().is_some());
}

/// Two that lost their disks, and a leader that has everything: nobody knows whether it was replaced with a vote that they
/// forgot, unless somebody says so.
#[test]
fn a_leader_that_has_everything_vouches_for_two_that_recover_when_somebody_says_so() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    for id in &others {
        group.members.remove(id);
        group.tell(leader, Event::PeerLost { node: NodeId(*id) });
    }
    others.iter().for_each(|id| group.join(*id, &[1, 2, 3]));
    group.pass(Duration::from_secs(20));
    assert!(!group.members[&leader].replica.has_lease(), "what they acknowledge counts for nothing");

    let ask = |group: &mut Group, id: u64, from: u64| {
        let last = group.members[&leader].replica.log_end();
        group.ask_node(id, Operate::Recover(RecoverRequest { from: NodeId(from), last, term: Term(9) }));
        group.turn();
        group.answers(id)[0].reason
    };
    assert_eq!(ask(&mut group, others[0], others[1]), Reason::OptionsError, "somebody else leads");
    assert_eq!([others[0], others[1], leader].map(|id| ask(&mut group, id, leader)), [Reason::None; 3]);
    group.pass(Duration::from_secs(5));
    assert!(group.members[&leader].replica.has_lease());
    assert!(group.members.values().all(|member| !member.replica.consensus().is_recovering()));
}

/// A message's queue, so that states can differ in something.
fn define_a_queue(group: &mut Group) -> u64 {
    let leader = group.leader().expect("somebody serves");
    group.ask_node(leader, Admin::define_local(&ObjectName::new("Q").unwrap(), &[]));
    group.pass(Duration::from_millis(100));
    assert_eq!(group.answers(leader)[0].reason, Reason::None);
    leader
}

fn out_of_sync(group: &Group, by: u64, node: u64) -> Option<OutOfSync> {
    let status = group.members[&by].replica.status();
    status.instances.iter().find(|view| view.node == NodeId(node)).and_then(|view| view.out_of_sync)
}

/// As if a bug, or bad memory, had made something of an entry that nobody else did.
fn make_another_state(group: &mut Group, id: u64) {
    let define = Command::Define {
        object: ObjectRef::local_queue(&ObjectName::new("ANOTHER").unwrap()),
        like: String::new(),
        replace: false,
        changes: Changes::default(),
        by: Box::default(),
    };
    group.members.get_mut(&id).unwrap().replica.state.apply(define);
}

#[test]
fn a_copy_in_another_state_is_named_and_gets_it_again() {
    let mut group = Group::new(3);
    let leader = define_a_queue(&mut group);
    let wrong = leader % 3 + 1;
    make_another_state(&mut group, wrong);
    group.pass(Duration::from_secs(21));
    assert_eq!(out_of_sync(&group, leader, wrong), Some(OutOfSync::OtherState));
    assert_eq!(out_of_sync(&group, leader, leader), None);
    assert!(group.members[&wrong].told_again, "it is told to get its state again");
    assert_eq!(group.leader(), Some(leader), "the others are enough");
    let said = group.members[&leader].reports.last().expect("it is said");
    assert!(said.contains("is not the one of a majority"), "{said}");
}

#[test]
fn a_copy_in_another_state_counts_for_nothing_whatever_it_says_until_it_began_again() {
    let mut group = Group::new(3);
    let leader = define_a_queue(&mut group);
    let wrong = leader % 3 + 1;
    make_another_state(&mut group, wrong);
    group.pass(Duration::from_secs(21));
    let is_excluded = |group: &Group| group.members[&leader].replica.consensus.is_excluded(NodeId(wrong));
    assert!(is_excluded(&group));
    for says_that_it_stops in [true, false] {
        let member = group.members.get_mut(&wrong).unwrap();
        member.replica.draining = says_that_it_stops;
        member.replica.greet_all();
        group.pass(Duration::from_secs(1));
        assert!(is_excluded(&group), "its history is the same, and its state is not");
        assert_eq!(out_of_sync(&group, leader, wrong), Some(OutOfSync::OtherState));
    }
    // The process has ended, and the next one has the state of the others.
    group.members.remove(&wrong);
    group.tell(leader, Event::PeerGone { node: NodeId(wrong) });
    group.join(wrong, &[1, 2, 3]);
    group.pass(Duration::from_secs(21));
    assert!(!is_excluded(&group));
    assert_eq!(out_of_sync(&group, leader, wrong), None);
}

#[test]
fn a_copy_in_another_state_that_comes_back_with_it_is_found_at_once() {
    let mut group = Group::new(3);
    let leader = define_a_queue(&mut group);
    let wrong = leader % 3 + 1;
    make_another_state(&mut group, wrong);
    group.pass(Duration::from_secs(21));
    group.tell(leader, Event::PeerLost { node: NodeId(wrong) });
    group.tell(leader, Event::PeerConnected { node: NodeId(wrong) });
    group.pass(Duration::from_millis(500));
    assert!(
        group.members[&leader].replica.consensus.is_excluded(NodeId(wrong)),
        "it was the connection only"
    );
}

#[test]
fn of_two_copies_that_differ_neither_is_called_the_wrong_one() {
    let mut group = Group::new(3);
    let leader = define_a_queue(&mut group);
    let (other, away) = (group.others(leader)[0], group.others(leader)[1]);
    let third = group.members.remove(&away).unwrap();
    group.tell(leader, Event::PeerGone { node: NodeId(away) });
    make_another_state(&mut group, other);
    group.pass(Duration::from_secs(21));
    assert_eq!(out_of_sync(&group, leader, other), Some(OutOfSync::StatesDiffer));
    assert!(group.members.values().all(|member| !member.told_again), "nobody knows who should");
    let reports = &group.members[&leader].reports;
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("which of them is right is not known"), "{reports:?}");
    // The third decides.
    group.connect(away, third);
    group.pass(Duration::from_secs(21));
    assert_eq!(out_of_sync(&group, leader, other), Some(OutOfSync::OtherState));
    assert!(group.members[&other].told_again && !group.members[&leader].told_again);
}

#[test]
fn a_leader_in_another_state_than_a_majority_is_the_one_that_gets_it_again() {
    let mut group = Group::new(3);
    let leader = define_a_queue(&mut group);
    make_another_state(&mut group, leader);
    group.pass(Duration::from_secs(21));
    assert!(group.members[&leader].told_again);
    assert!(group.members.iter().all(|(id, member)| *id == leader || !member.told_again));
}

/// The first leads and commits with the second; the second's disk is taken back to before that, and the third had no
/// more; the first comes back when they have gone on.
fn with_another_history() -> (Group, u64) {
    let voters = [1, 2, 3];
    let mut group = Group::of(&[]);
    for id in [2, 3] {
        group.connect(id, member_with(id, &voters, false, 5));
    }
    group.pass(Duration::from_secs(5));
    let leader = group.leader().expect("two of three elect one");
    let hard_state = HardState { term: Term(2), vote: Some(NodeId(1)), commit: Index(9) };
    group.connect(1, member_from(1, &voters, false, hard_state, 9));
    group.pass(Duration::from_secs(5));
    (group, leader)
}

/// The leader and the third start again.
fn begin_again(group: &mut Group, start: impl Fn(u64) -> Member) -> u64 {
    for id in [2, 3] {
        group.members.remove(&id);
        group.tell(1, Event::PeerGone { node: NodeId(id) });
    }
    group.pass(Duration::from_millis(100));
    for id in [2, 3] {
        group.connect(id, start(id));
    }
    group.pass(Duration::from_secs(5));
    group.leader().expect("two of three elect one")
}

#[test]
fn what_only_one_node_has_is_not_replaced_by_the_snapshot_of_leaders_whose_log_begins_behind_it() {
    let (mut group, _) = with_another_history();
    let leader = begin_again(&mut group, |id| member_beyond(id, &[1, 2, 3], 40));
    let check = |group: &Group, leader: u64| {
        for by in [leader, 1] {
            assert_eq!(out_of_sync(group, by, 1), Some(OutOfSync::OtherHistory), "node {by} knows it");
        }
        assert_eq!(group.members[&1].replica.consensus().commit_index(), Index(9), "it gives nothing up");
        assert_eq!(group.members[&1].snapshots, 0, "nor is it taken from it");
    };
    check(&group, leader);

    // It starts again, too, and knows nothing of a leader it parted from.
    group.members.remove(&1);
    [2, 3].into_iter().for_each(|id| group.tell(id, Event::PeerGone { node: NodeId(1) }));
    let hard_state = HardState { term: Term(2), vote: Some(NodeId(1)), commit: Index(9) };
    group.connect(1, member_from(1, &[1, 2, 3], false, hard_state, 9));
    group.pass(Duration::from_secs(5));
    let leader = group.leader().expect("two of three are enough");
    check(&group, leader);
    let reports = &group.members[&leader].reports;
    assert!(reports.last().unwrap().contains("entries 6 to 9 is on node 1 only"), "{reports:?}");
}

#[test]
fn a_node_that_has_parted_follows_a_later_leader_that_has_what_the_earlier_one_lacked() {
    let (mut group, _) = with_another_history();
    let hard_state = HardState { term: Term(9), vote: None, commit: Index(9) };
    let leader = begin_again(&mut group, |id| member_from(id, &[1, 2, 3], false, hard_state, 12));
    assert_eq!(out_of_sync(&group, leader, 1), None);
    let committed = |id: u64| group.members[&id].replica.consensus().commit_index();
    assert_eq!(committed(1), committed(leader));
}

/// The first node starts again with entries up to 9 of term 2, and remembers how it parted.
fn restarted(parted: Option<Parted>) -> Member {
    let recovered = Recovered {
        hard_state: HardState { term: Term(3), vote: None, commit: Index(9) },
        snapshot: initial(&[1, 2, 3]),
        entries: (2..=9).map(entry_of_term_2).collect(),
        recovering: false,
        since_start: Duration::ZERO,
        acknowledged: Some(Index(9)),
        parted,
    };
    of_replica(replica(1, recovered), false)
}

#[test]
fn a_node_that_has_parted_and_starts_again_knows_it_while_nobody_leads() {
    let (group, leader) = with_another_history();
    let noted = group.members[&1].parted;
    assert_eq!(noted.map(|parted| (parted.leader, parted.commit)), Some((NodeId(leader), Index(9))));
    for (parted, out) in [(noted, Some(OutOfSync::OtherHistory)), (None, Some(OutOfSync::NobodyLeads))] {
        let mut alone = Group::of(&[]);
        alone.connect(1, restarted(parted));
        alone.pass(Duration::from_secs(5));
        assert_eq!(out_of_sync(&alone, 1, 1), out);
        let said = alone.members[&1].reports.iter().filter(|said| said.contains("another history")).count();
        assert_eq!(said, usize::from(parted.is_some()), "{:?}", alone.members[&1].reports);
    }

    // It lets nobody be elected who lacks the same; and follows who has it.
    let mut group = Group::of(&[]);
    group.connect(1, restarted(noted));
    group.connect(2, member_with(2, &[1, 2, 3], false, 5));
    group.pass(Duration::from_secs(5));
    assert_eq!(group.leader(), None, "its vote counts for nothing");
    let hard_state = HardState { term: Term(9), vote: None, commit: Index(9) };
    let leader = begin_again(&mut group, |id| member_from(id, &[1, 2, 3], false, hard_state, 12));
    assert_eq!(out_of_sync(&group, leader, 1), None);
    assert_eq!(group.members[&1].parted, None, "and that is noted");
}

#[test]
fn a_leader_that_does_not_remember_so_many_elections_says_that_nobody_can_compare() {
    let (group, _) = with_another_history();
    let noted = group.members[&1].parted;
    let mut group = Group::of(&[]);
    for id in [2, 3] {
        group.connect(id, member_remembering(id, &[1, 2, 3], 40, &[(5, 30)]));
    }
    group.pass(Duration::from_secs(5));
    group.connect(1, restarted(noted));
    group.pass(Duration::from_secs(5));
    let leader = group.leader().expect("two of three are enough");
    for by in [leader, 1] {
        assert_eq!(out_of_sync(&group, by, 1), Some(OutOfSync::OtherHistory), "node {by} knows it");
        let said = group.members[&by].reports.last().expect("it is said");
        assert!(said.contains("cannot be said any more") && said.contains("may be on node 1 only"), "{said}");
        assert!(!said.contains("has none there") && !said.contains("has one of term"), "{said}");
    }
    assert_eq!(group.members[&1].parted.map(|parted| (parted.leader.0, parted.theirs)), Some((leader, None)));
    assert_eq!(group.members[&1].replica.consensus().commit_index(), Index(9), "it gives nothing up");
    assert_eq!(group.members[&1].snapshots, 0);
}

#[test]
fn a_node_with_what_its_leader_lost_is_named_by_both_and_counts_for_nothing() {
    let (mut group, leader) = with_another_history();
    for by in [leader, 1] {
        assert_eq!(out_of_sync(&group, by, 1), Some(OutOfSync::OtherHistory), "node {by} knows it");
        assert_eq!(group.members[&by].reports.len(), 1, "{:?}", group.members[&by].reports);
        assert!(group.members[&by].reports[0].contains("node 1 has another history"));
    }
    assert_eq!(group.leader(), Some(leader));
    assert_eq!(group.members[&1].replica.consensus().commit_index(), Index(9), "it gives nothing up");

    // With the first alone it is no quorum.
    let third = 5 - leader;
    group.members.remove(&third);
    group.tell(leader, Event::PeerGone { node: NodeId(third) });
    group.pass(Duration::from_secs(5));
    assert_eq!(group.leader(), None);
}

/// Clocks of members are off by so many milliseconds.
fn put_off(group: &mut Group, clocks: &[(u64, i64)]) {
    group.clocks = clocks.iter().copied().collect();
}

#[test]
fn a_clock_that_is_off_is_named_and_moves_neither_the_time_of_the_log_nor_the_lease() {
    const DAY: i64 = 86_400_000;
    let mut group = Group::new(3);
    let leader = define_a_queue(&mut group);
    put_off(&mut group, &[(leader, DAY)]);
    group.ask_node(leader, Admin::alter_manager(&[("MAXUMSGS", "7")]));
    group.pass(Duration::from_millis(50));
    let at = group.members[&leader].replica.state.at();
    assert!((at.0 - group.now.wall.0).abs() < 1_000, "{at:?} is what the others say");
    group.pass(Duration::from_secs(6));
    let next = group.leader().expect("another one leads");
    assert_ne!(next, leader, "a node with a good clock is preferred");
    let status = group.members[&next].replica.status();
    let off: Vec<_> = status.instances.iter().map(|view| (view.node.0, view.clock_off_ms)).collect();
    let expected: Vec<_> = (1..=3).map(|id| (id, if id == leader { DAY } else { 0 })).collect();
    assert_eq!(off, expected);
}

#[test]
fn with_two_clocks_that_differ_neither_is_accused_and_the_lead_stays_where_it_is() {
    const DAY: i64 = 86_400_000;
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let (other, away) = (group.others(leader)[0], group.others(leader)[1]);
    group.members.remove(&away);
    for node in [leader, other] {
        group.tell(node, Event::PeerGone { node: NodeId(away) });
    }
    group.pass(Duration::from_secs(12));
    put_off(&mut group, &[(other, -DAY)]);
    group.pass(Duration::from_secs(40));
    assert_eq!(group.leader(), Some(leader), "nobody knows a better clock");
    let status = group.members[&leader].replica.status();
    assert!(status.instances.iter().all(|view| view.clock_off_ms == 0), "{:?}", status.instances);
    let differ = status.clocks_differ.expect("they differ");
    assert_eq!((differ.ahead, differ.behind, differ.by_ms), (NodeId(leader), NodeId(other), DAY));
    assert_eq!(differ.unheard, [NodeId(away)].into());
    let said: Vec<_> = group.members[&leader].reports.iter().filter(|said| said.contains("clock")).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("which of them is right is not known"), "{said:?}");

    // The third decides.
    let back = member_from(away, &[1, 2, 3], true, HardState::default(), 1);
    group.connect(away, back);
    group.pass(Duration::from_secs(3));
    let status = group.members[&leader].replica.status();
    assert_eq!(status.clocks_differ, None);
    let off: Vec<_> = status.instances.iter().map(|view| (view.node.0, view.clock_off_ms)).collect();
    let expected: Vec<_> = (1..=3).map(|id| (id, if id == other { -DAY } else { 0 })).collect();
    assert_eq!(off, expected);
}

#[test]
fn a_log_whose_time_is_far_ahead_goes_back_when_a_majority_agrees() {
    const DAY: i64 = 86_400_000;
    let mut group = Group::new(3);
    put_off(&mut group, &[(1, DAY), (2, DAY), (3, DAY)]);
    group.pass(Duration::from_secs(6));
    let leader = define_a_queue(&mut group);
    assert!(group.members[&leader].replica.state.at().0 > group.now.wall.0 + DAY - 1_000);
    put_off(&mut group, &[]);
    group.pass(Duration::from_secs(6));
    let leader = group.leader().expect("somebody serves");
    group.ask_node(leader, Admin::alter_manager(&[("MAXUMSGS", "7")]));
    group.pass(Duration::from_millis(200));
    for (id, member) in &group.members {
        let at = member.replica.state.at();
        assert!((at.0 - group.now.wall.0).abs() < 1_000, "node {id} is at {at:?}");
    }
}

/// These members' programs are another release from now on: as if their processes had ended and begun again.
fn change_release(group: &mut Group, ids: &[u64], newest: Version) {
    for id in ids {
        group.members.get_mut(id).expect("it is a member").replica.options.speaks = Speaks::up_to(newest);
        for other in group.members.keys().copied().filter(|other| other != id).collect::<Vec<_>>() {
            for event in [|node| Event::PeerLost { node }, |node| Event::PeerConnected { node }] {
                group.tell(*id, event(NodeId(other)));
                group.tell(other, event(NodeId(*id)));
            }
        }
    }
    group.pass(Duration::from_millis(50));
}

/// What the leader answers to `trimaran cluster upgrade`, within five seconds.
fn raise(group: &mut Group) -> Completion {
    let leader = group.leader().expect("somebody serves");
    group.ask_node(leader, Operate::Raise { to: None });
    group.pass(Duration::from_secs(5));
    group.answers(leader).pop().expect("it is answered")
}

fn versions(group: &Group) -> Vec<u32> {
    group.members.values().map(|member| member.replica.state.version().0).collect()
}

#[test]
fn a_version_is_raised_when_everybody_speaks_it_and_the_node_that_does_not_is_named() {
    let mut group = Group::new(3);
    assert_eq!(raise(&mut group).reason, Reason::None, "there is nothing to raise to");
    let leader = group.leader().unwrap();
    let old = (1..=3).find(|id| *id != leader).unwrap();
    let new: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    change_release(&mut group, &new, Version::RECORDS);
    let refused = raise(&mut group);
    let detail = refused.detail.unwrap_or_default();
    assert_eq!(refused.reason, Reason::FunctionNotSupported, "{detail}");
    assert!(detail.starts_with(&format!("Node {old} speaks version 2 and not version 3")), "{detail}");
    assert_eq!(versions(&group), [2, 2, 2]);

    // All the way back, and up again.
    change_release(&mut group, &new, Version::FIRST);
    change_release(&mut group, &[1, 2, 3], Version::RECORDS);
    let said = group.members[&leader].replica.status().instances;
    let speaks = Some(Speaks::up_to(Version::RECORDS));
    assert!(said.iter().all(|view| view.speaks == speaks), "{said:?}");
    assert_eq!(raise(&mut group).reason, Reason::None);
    assert_eq!(versions(&group), [3, 3, 3]);
    assert_eq!(raise(&mut group).reason, Reason::None, "as it is already");

    // Only now leaders say who they are.
    let takeovers = |group: &Group| -> Vec<u64> {
        group.members.values().map(|member| member.replica.state.takeovers()).collect()
    };
    for (count, moves) in [0, 1, 2].into_iter().enumerate() {
        assert_eq!(takeovers(&group), [moves; 3], "after {count} moves");
        let leader = group.leader().unwrap();
        group.ask_node(leader, Operate::Move { to: None, units_within: None });
        group.pass(Duration::from_secs(3));
        assert_ne!(group.leader(), Some(leader));
    }
}

#[test]
fn a_node_that_is_not_there_or_does_not_answer_is_waited_for_three_seconds_and_named() {
    let mut group = Group::new(3);
    change_release(&mut group, &[1, 2, 3], Version::RECORDS);
    let leader = group.leader().unwrap();
    group.lost = |_, message| matches!(message, PeerMessage::Greeting(greeting) if greeting.question != 0);
    let detail = raise(&mut group).detail.unwrap_or_default();
    assert!(
        detail.contains("does not answer, so nobody knows what it speaks: start it, or remove"),
        "{detail}"
    );
    group.lost = |_, _| false;

    let absent = (1..=3).find(|id| *id != leader).unwrap();
    group.members.remove(&absent);
    group.tell(leader, Event::PeerLost { node: NodeId(absent) });
    let detail = raise(&mut group).detail.unwrap_or_default();
    assert!(detail.starts_with(&format!("Node {absent} is not connected")), "{detail}");
    assert_eq!(versions(&group), [2, 2]);
}

#[test]
fn who_is_not_connected_any_more_is_not_in_sync_though_it_was_heard_a_moment_ago() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let other = group.others(leader)[0];
    let out_of_sync = |group: &Group| {
        let views = group.members[&leader].replica.instances();
        views.iter().find(|view| view.node == NodeId(other)).unwrap().out_of_sync
    };
    assert_eq!(out_of_sync(&group), None);
    group.tell(leader, Event::PeerLost { node: NodeId(other) });
    group.turn();
    assert_eq!(out_of_sync(&group), Some(OutOfSync::NotConnected));
}

#[test]
fn who_was_heard_as_a_newer_release_and_is_an_older_one_now_is_asked_anew() {
    let mut group = Group::new(3);
    change_release(&mut group, &[1, 2, 3], Version::RECORDS);
    let leader = group.leader().unwrap();
    let back = (1..=3).find(|id| *id != leader).unwrap();
    // The leader has not noticed that another process runs there.
    group.members.get_mut(&back).unwrap().replica.options.speaks = Speaks::up_to(Version::FIRST);
    let detail = raise(&mut group).detail.unwrap_or_default();
    assert!(detail.starts_with(&format!("Node {back} speaks version 2")), "{detail}");
    assert_eq!(versions(&group), [2, 2, 2]);
}

#[test]
fn an_older_program_stops_with_a_sentence_at_what_a_newer_one_wrote_and_applies_nothing_of_it() {
    let mut group = Group::new(3);
    change_release(&mut group, &[1, 2, 3], Version::RECORDS);
    let leader = group.leader().unwrap();
    let old = (1..=3).find(|id| *id != leader).unwrap();
    // It answers as the new release, and is taken back before the entry comes.
    group.lost = |_, message| matches!(message, PeerMessage::Raft(raft) if !raft.entries.is_empty());
    group.ask_node(leader, Operate::Raise { to: None });
    group.pass(Duration::from_millis(50));
    change_release(&mut group, &[old], Version::FIRST);
    group.lost = |_, _| false;
    group.pass(Duration::from_secs(2));
    let member = &group.members[&old];
    let sentence = member.stuck.clone().expect("it stopped");
    assert!(
        sentence.contains("of queue manager QM1 cannot be applied: what it raises the queue manager to has")
    );
    assert!(
        sentence.contains("version 3, and this program speaks version 2: start the newer release"),
        "{sentence}"
    );
    assert_eq!(member.replica.state.version(), Version::FIRST);
    let applied = member.replica.consensus.applied_index();
    assert!(applied < group.members[&leader].replica.consensus.applied_index());
}

#[test]
fn a_new_node_that_is_too_old_is_refused_with_its_name() {
    let mut group = Group::new(3);
    change_release(&mut group, &[1, 2, 3], Version::RECORDS);
    assert_eq!(raise(&mut group).reason, Reason::None);
    group.join(4, &[1, 2, 3]);
    let info = reachable("four");
    let add = MembershipRequest::Add { node: NodeId(4), info };
    let refused = group.ask(add.clone(), Duration::from_secs(5)).pop().expect("it is answered");
    let detail = refused.detail.unwrap_or_default();
    assert_eq!(refused.reason, Reason::FunctionNotSupported, "{detail}");
    assert!(detail.starts_with("Node four speaks version 2 and not version 3"), "{detail}");
    let leader = group.leader().unwrap();
    assert!(!group.membership(leader).voters.contains(&NodeId(4)));
    // Its line refuses it before it can say anything: then that says what it speaks.
    group.members.remove(&4);
    group.tell(leader, Event::PeerLost { node: NodeId(4) });
    group.tell(leader, Event::PeerTooOld { node: NodeId(4), speaks: Speaks::up_to(Version::FIRST) });
    let refused = group.ask(add, Duration::from_secs(5)).pop().expect("it is answered");
    assert_eq!(refused.reason, Reason::FunctionNotSupported, "{refused:?}");
}

/// Three new nodes of these releases, one of them serving.
fn group_speaking(newest: [Version; 3]) -> Group {
    let mut group = Group::of(&[1, 2, 3]);
    for (member, newest) in group.members.values_mut().zip(newest) {
        member.replica.options.speaks = Speaks::up_to(newest);
    }
    group.pass(Duration::from_secs(5));
    group
}

fn records(group: &Group, id: u64) -> Vec<Failover> {
    group.members[&id].replica.state.failovers(0).cloned().collect()
}

/// The newest record when its account was given, as everybody has it.
fn last_record(group: &Group) -> Failover {
    let ids: Vec<u64> = group.members.keys().copied().collect();
    let chains: Vec<_> = ids.iter().map(|id| records(group, *id)).collect();
    assert_eq!(verify(&chains[0]), Ok(()));
    assert!(chains.windows(2).all(|pair| pair[0] == pair[1]), "everybody has the same");
    let last = chains[0].last().expect("there is one").clone();
    assert!(last.account.is_some() && !last.seal.is_empty(), "its account was given: {last:?}");
    last
}

#[test]
fn a_new_queue_manager_begins_with_the_newest_version_that_all_of_its_nodes_speak() {
    assert_eq!(versions(&group_speaking([Version::RECORDS; 3])), [3, 3, 3]);
    assert_eq!(versions(&group_speaking([Version::RECORDS, Version::FIRST, Version::RECORDS])), [2, 2, 2]);
    // One that is in use is raised by an operator and by nobody else.
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    group.ask_node(leader, Admin::alter_manager(&[("MAXUMSGS", "7")]));
    group.pass(Duration::from_secs(1));
    change_release(&mut group, &[1, 2, 3], Version::RECORDS);
    group.ask_node(leader, Operate::Move { to: None, units_within: None });
    group.pass(Duration::from_secs(3));
    assert_ne!(group.leader(), Some(leader));
    assert_eq!(versions(&group), [2, 2, 2]);
}

#[test]
fn what_is_changed_is_in_the_trail_of_every_node_once_whoever_served_then() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let alter = |maxumsgs: &str| Admin::alter_manager(&[("MAXUMSGS", maxumsgs)]);
    let change = |group: &mut Group, maxumsgs: &str| {
        let leader = group.leader().expect("somebody serves");
        group.ask_node(leader, alter(maxumsgs));
        group.pass(Duration::from_secs(1));
        assert_eq!(group.answers(leader).pop().map(|answer| answer.reason), Some(Reason::None));
        leader
    };
    change(&mut group, "7");
    let trail = |group: &Group| -> Vec<AuditRecord> {
        let of = |member: &Member| member.replica.state.trail(0).cloned().collect::<Vec<_>>();
        let mut all = group.members.values().map(of);
        let first = all.next().expect("there are nodes");
        assert!(all.all(|other| other == first), "every node has the same");
        assert_eq!(verify(&first), Ok(()));
        first
    };
    assert!(trail(&group).is_empty(), "an older queue manager keeps none");
    change_release(&mut group, &[1, 2, 3], Version::TRAIL);
    assert_eq!(raise(&mut group).reason, Reason::None);
    assert_eq!(versions(&group), [4, 4, 4]);
    for maxumsgs in ["8", "9"] {
        let leader = change(&mut group, maxumsgs);
        group.ask_node(leader, Operate::Move { to: None, units_within: None });
        group.pass(Duration::from_secs(3));
        assert_ne!(group.leader(), Some(leader));
    }
    let words = |record: &AuditRecord| {
        let changes = record.changes_in_words().map(|(name, before, after)| {
            format!(" {name} {} > {}", before.unwrap_or_default(), after.unwrap_or_default())
        });
        format!("{} {}", verb_in_words(record.verb()), record.object()) + &changes.collect::<String>()
    };
    let seen: Vec<String> = trail(&group).iter().map(words).collect();
    let expected = [
        "cluster upgrade QMGR version 3 > 4",
        "ALTER QMGR MAXUMSGS 7 > 8",
        "move QMGR",
        "ALTER QMGR MAXUMSGS 8 > 9",
        "move QMGR",
    ];
    assert_eq!(seen, expected);
    assert!(trail(&group).iter().all(|record| record.user == "joe"));
}

#[test]
fn a_crash_is_on_record_with_what_was_lost_and_who_was_there() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    for session in 10..14 {
        let connect = Connect::new(Identity::of("joe"), "");
        group.tell(leader, Event::Connect { session: SessionId(session), connect });
    }
    group.pass(Duration::from_secs(2));
    group.members.remove(&leader);
    let survivors: Vec<u64> = group.members.keys().copied().collect();
    survivors.iter().for_each(|id| group.tell(*id, Event::PeerGone { node: NodeId(leader) }));
    group.pass(Duration::from_secs(2));
    let next = group.leader().expect("one of the others");
    let open = records(&group, next).pop().expect("it is opened when the service begins");
    assert!(open.seal.is_empty(), "it is looked for a while what becomes of it");
    let known = open.account.as_ref().expect("how it came to serve is said at once");
    assert_eq!((open.cause(), known.after_us(Step::Serves)), (Cause::Crash, Some(open.outage_us())));
    group.pass(Duration::from_secs(30));
    let record = last_record(&group);
    assert_eq!((record.before, record.node, record.cause()), (leader, next, Cause::Crash));
    let account = record.account.as_ref().unwrap();
    assert_eq!((account.clients_before, account.clients_after), (4, 0));
    let after = |step| account.after_us(step).expect("it was noted");
    assert!(after(Step::Stands) <= after(Step::Elected) && after(Step::Elected) <= after(Step::Serves));
    assert_eq!(record.outage_us(), after(Step::Serves));
    assert!(record.outage_us() < 1_000_000, "{}", record.outage_us());
}

#[test]
fn a_leader_that_dies_soon_has_said_for_how_long_nobody_served_before_it() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let first = group.leader().unwrap();
    let away = group.members.remove(&first).unwrap();
    group.pass(Duration::from_secs(3));
    let second = group.leader().expect("one of the others");
    group.members.remove(&second);
    group.connect(first, away);
    group.others(0).iter().for_each(|id| group.tell(*id, Event::PeerGone { node: NodeId(second) }));
    group.pass(Duration::from_secs(35));
    let third = last_record(&group);
    assert_eq!((third.before, third.cause()), (second, Cause::Crash));
    let records = records(&group, third.node);
    let soon = &records[records.len() - 2];
    assert_eq!((soon.node, soon.before, soon.cause()), (second, first, Cause::Hang));
    assert!(soon.account.as_ref().unwrap().after_us(Step::Serves).is_some());
    assert!((1_000_000..3_000_000).contains(&soon.outage_us()), "{}", soon.outage_us());
}

#[test]
fn a_first_service_is_a_start_also_where_one_was_elected_before_it_in_vain() {
    let mut group = Group::of(&[1, 2, 3]);
    group.lost = |_, message| matches!(message, PeerMessage::Raft(raft) if !raft.entries.is_empty());
    group.members.values_mut().for_each(|member| member.replica.options.speaks = Speaks::RELEASE);
    group.pass(Duration::from_secs(3));
    let leads = |id: &u64| group.members[id].replica.consensus.is_leader();
    let elected = group.others(0).into_iter().find(leads).expect("it is elected");
    let away = group.members.remove(&elected).unwrap();
    group.pass(Duration::from_secs(3));
    group.lost = |_, _| false;
    group.connect(elected, away);
    group.pass(Duration::from_secs(35));
    let leader = group.leader().expect("somebody serves");
    assert_eq!(records(&group, leader)[0].cause(), Cause::Start);
}

#[test]
fn a_leader_that_never_served_is_part_of_the_outage() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let first = group.leader().unwrap();
    let away = group.members.remove(&first).unwrap();
    // The second is elected, and what it begins its term with comes to nobody.
    group.lost = |_, message| matches!(message, PeerMessage::Raft(raft) if !raft.entries.is_empty());
    group.pass(Duration::from_millis(2500));
    assert_eq!(group.leader(), None, "it has no majority to serve with");
    let leads = |id: &u64| group.members[id].replica.consensus.is_leader();
    let second = group.others(0).into_iter().find(leads).expect("it is elected");
    group.members.remove(&second);
    group.lost = |_, _| false;
    group.connect(first, away);
    group.others(0).iter().for_each(|id| group.tell(*id, Event::PeerGone { node: NodeId(second) }));
    group.pass(Duration::from_secs(35));
    let record = last_record(&group);
    assert_eq!(record.before, first, "the second never served");
    assert!(record.outage_us() >= 1_500_000, "{}", record.outage_us());
}

#[test]
fn a_cut_line_and_a_process_that_stood_still_are_told_apart() {
    // Nothing comes from there any more.
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    let away = group.members.remove(&leader).unwrap();
    group.pass(Duration::from_secs(3));
    group.others(0).iter().for_each(|id| group.tell(*id, Event::PeerLost { node: NodeId(leader) }));
    group.pass(Duration::from_secs(31));
    let record = last_record(&group);
    assert_eq!((record.before, record.cause()), (leader, Cause::Unreachable));
    assert!(record.account.as_ref().unwrap().after_us(Step::Fenced).is_some());
    // It stood still, and finds out.
    group.connect(leader, away);
    group.pass(Duration::from_secs(2));
    let leader = group.leader().unwrap();
    let paused = group.members.remove(&leader).unwrap();
    group.pass(Duration::from_secs(3));
    group.members.insert(leader, paused);
    group.pass(Duration::from_secs(31));
    assert_eq!(last_record(&group).cause(), Cause::Hang);
}

#[test]
fn a_stall_that_was_over_before_a_line_was_cut_is_not_what_cost_the_service() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    let paused = group.members.remove(&leader).unwrap();
    group.pass(Duration::from_millis(700));
    group.members.insert(leader, paused);
    group.pass(Duration::from_secs(6));
    assert_eq!(group.leader(), Some(leader), "it was too short for an election");
    let lost = group.lost;
    group.lost = match leader {
        1 => |from, _| from == 1,
        2 => |from, _| from == 2,
        _ => |from, _| from == 3,
    };
    group.pass(Duration::from_secs(3));
    assert!(group.leader().is_some_and(|next| next != leader));
    group.lost = lost;
    group.pass(Duration::from_secs(31));
    assert_eq!(last_record(&group).cause(), Cause::Partition);
}

#[test]
fn words_of_a_leader_that_had_lost_its_majority_are_no_service() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    let others = group.others(leader);
    let paused: Vec<Member> = others.iter().map(|id| group.members.remove(id).unwrap()).collect();
    let unserved = |group: &Group| group.members[&leader].replica.status().unserved_for;
    group.pass(Duration::from_millis(500));
    assert_eq!((group.leader(), unserved(&group)), (Some(leader), Duration::ZERO), "its lease is good");
    group.pass(Duration::from_millis(700));
    assert!(group.members[&leader].replica.consensus.is_leader(), "it does not give up yet");
    assert!(unserved(&group) > Duration::ZERO, "but nobody is answered any more");
    group.pass(Duration::from_millis(8_800));
    let away = group.members.remove(&leader).unwrap();
    let term = away.replica.consensus.term().0;
    assert!(!away.replica.consensus.is_leader(), "nobody answers it");
    // They wake up, and find what it said before it gave up.
    const HEARTBEAT: u32 = 8;
    for (id, member) in others.into_iter().zip(paused) {
        group.members.insert(id, member);
        let heartbeat = RaftMessage { kind: HEARTBEAT, from: leader, to: id, term, ..RaftMessage::default() };
        group.tell(id, Event::Peer { from: NodeId(leader), message: PeerMessage::Raft(heartbeat) });
    }
    group.pass(Duration::from_secs(3));
    assert!(group.leader().is_some(), "one of them");
    let unserved = away.replica.status().unserved_for;
    assert!(
        (8_000..9_100).contains(&unserved.as_millis()),
        "its lease was over after a second: {unserved:?}"
    );
    group.members.insert(leader, away);
    group.pass(Duration::from_secs(31));
    let record = last_record(&group);
    assert_eq!((record.before, record.cause()), (leader, Cause::NoQuorum));
    assert!((9_000_000..12_000_000).contains(&record.outage_us()), "{}", record.outage_us());
}

#[test]
fn a_move_says_who_asked_for_it_and_one_that_comes_to_nothing_is_forgotten() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    group.ask_node(leader, Operate::Move { to: None, units_within: None });
    group.pass(Duration::from_secs(35));
    let record = last_record(&group);
    assert_eq!((record.before, record.why(), record.class()), (leader, Why::Move, Class::Planned));
    assert_eq!(record.planned.unwrap().user, "joe");
    // The other one is not reached by the word that it may, and this one dies later.
    const TIMEOUT_NOW: u32 = 14;
    group.lost = |_, message| matches!(message, PeerMessage::Raft(raft) if raft.kind == TIMEOUT_NOW);
    let leader = group.leader().unwrap();
    group.ask_node(leader, Operate::Move { to: None, units_within: None });
    group.pass(Duration::from_secs(4));
    assert_eq!(group.leader(), Some(leader), "it serves on");
    group.lost = |_, _| false;
    group.members.remove(&leader);
    group.others(0).iter().for_each(|id| group.tell(*id, Event::PeerGone { node: NodeId(leader) }));
    group.pass(Duration::from_secs(35));
    assert_eq!(last_record(&group).cause(), Cause::Crash);
}

/// Its address was with nobody for as long as an election takes.
#[test]
fn a_move_to_a_node_that_just_died_is_given_up_before_anybody_is_sent_away() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    for member in group.members.values_mut() {
        member.replica.options.address_tail = Some(Duration::ZERO);
    }
    let target = group.others(leader)[0];
    let hung = group.members.remove(&target).unwrap();
    group.ask_node(leader, Operate::Move { to: Some(NodeId(target)), units_within: None });
    group.pass(Duration::from_millis(200));
    assert!(group.answers(leader).is_empty(), "it may come");
    group.pass(Duration::from_millis(200));
    let reasons: Vec<Reason> = group.answers(leader).iter().map(|answer| answer.reason).collect();
    assert_eq!(reasons, [Reason::HostNotAvailable]);
    let member = &group.members[&leader];
    assert!(member.role.is_serving() && member.closed.is_empty(), "{:?}", member.closed);
    // Wherever it is, another one is there.
    group.ask_node(leader, Operate::Move { to: None, units_within: None });
    group.pass(Duration::from_secs(2));
    let next = group.leader().unwrap();
    assert!(next != leader && next != target);
    group.members.insert(target, hung);
    // One that dies while it is asked to take over.
    const TIMEOUT_NOW: u32 = 14;
    group.pass(Duration::from_secs(31));
    group.lost = |_, message| matches!(message, PeerMessage::Raft(raft) if raft.kind == TIMEOUT_NOW);
    group.ask_node(next, Operate::Move { to: Some(NodeId(target)), units_within: None });
    group.pass(Duration::from_millis(100));
    assert!(!group.members[&next].role.is_serving(), "the word is on its way");
    group.members.remove(&target);
    group.tell(next, Event::PeerGone { node: NodeId(target) });
    group.pass(Duration::from_millis(400));
    assert_eq!(group.leader(), Some(next), "the word is gone with it");
    assert_eq!(group.answers(next).len(), 1);
}

/// What it announced when it began is no outage.
#[test]
fn a_planned_move_counts_from_when_nobody_is_answered_and_a_planned_stop_of_all_as_long_as_it_was() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    group.ask_node(leader, Operate::Move { to: None, units_within: None });
    group.pass(Duration::from_secs(35));
    let record = last_record(&group);
    assert!(record.outage_us() < 100_000, "{record:?}");
    assert!(!record.has_bound_only());
    // Nobody who takes over then heard the one before.
    let record = Failover {
        planned: Some(HandingOver { at_ms: 1_000, ..HandingOver::default() }),
        account: Some(FailoverAccount {
            cause: Cause::Start.into(),
            served_ms: 16_000,
            moments: vec![Moment { step: Step::Serves.into(), after_us: 900_000 }],
            ..FailoverAccount::default()
        }),
        ..Failover::default()
    };
    assert_eq!((record.outage_us(), record.has_bound_only()), (15_000_000, true));
}

/// Three nodes whose leader is told to stop while the others do not hear each other.
fn group_apart() -> (Group, u64, [u64; 2]) {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let others: [u64; 2] = group.others(leader).try_into().unwrap();
    group.apart = Some(others);
    group.tell(leader, Event::Drain);
    (group, leader, others)
}

#[test]
fn a_leader_that_stops_serves_on_until_another_node_can_serve_without_it() {
    let (mut group, leader, [one, other]) = group_apart();
    group.pass(Duration::from_secs(2));
    assert_eq!(group.leader(), Some(leader), "neither of the others would serve for long");
    // Their line is there again.
    group.apart = None;
    for (id, peer) in [(one, other), (other, one)] {
        group.tell(id, Event::PeerLost { node: NodeId(peer) });
        group.tell(id, Event::PeerConnected { node: NodeId(peer) });
    }
    group.pass(Duration::from_millis(300));
    let next = group.leader().expect("it is handed over at once");
    assert_ne!(next, leader);
    group.members.remove(&leader);
    [one, other].iter().for_each(|id| group.tell(*id, Event::PeerGone { node: NodeId(leader) }));
    for _ in 0..30 {
        group.pass(Duration::from_millis(100));
        assert_eq!(group.leader(), Some(next), "it needs the other one only");
    }
}

#[test]
fn a_leader_that_stops_waits_three_seconds_for_others_that_do_not_hear_each_other() {
    let (mut group, leader, _) = group_apart();
    group.pass(Duration::from_millis(2900));
    assert_eq!(group.leader(), Some(leader));
    group.pass(Duration::from_millis(500));
    assert_ne!(group.leader(), Some(leader), "it has to stop");
}

#[test]
fn a_leader_that_stops_does_not_wait_where_nobody_could_serve_without_it() {
    // The others stop as well, or one of them is down.
    let (mut group, leader, others) = group_apart();
    others.iter().for_each(|id| group.tell(*id, Event::Drain));
    group.pass(Duration::from_millis(300));
    assert!(!group.members[&leader].role.leads());
    let (mut group, leader, [down, _]) = group_apart();
    group.members.remove(&down);
    group.tell(leader, Event::PeerGone { node: NodeId(down) });
    group.pass(Duration::from_millis(300));
    assert!(!group.members[&leader].role.leads());
}

#[test]
fn a_leader_whose_disk_hangs_gives_its_part_away() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    group.hung = Some(leader);
    group.ask_node(leader, Admin::alter_manager(&[("MAXUMSGS", "7")]));
    group.pass(Duration::from_secs(4));
    assert_eq!(group.leader(), Some(leader), "a slow device is waited for");
    group.pass(Duration::from_secs(4));
    let next = group.leader().expect("somebody serves");
    assert_ne!(next, leader);
    let said = group.members[&leader].reports.last().cloned().unwrap_or_default();
    assert!(said.contains("the disk hangs, and another node takes over"), "{said}");
    group.pass(Duration::from_secs(31));
    assert_eq!(records(&group, next).last().unwrap().why(), Why::Disk);
}

#[test]
fn a_follower_whose_disk_hangs_is_not_in_sync() {
    let mut group = group_speaking([Version::RECORDS; 3]);
    let leader = group.leader().unwrap();
    let slow = group.others(leader)[0];
    group.hung = Some(slow);
    group.ask_node(leader, Admin::alter_manager(&[("MAXUMSGS", "7")]));
    group.pass(Duration::from_secs(3));
    assert_eq!(out_of_sync(&group, leader, slow), None, "a slow device is waited for");
    group.pass(Duration::from_secs(4));
    assert_eq!(out_of_sync(&group, leader, slow), Some(OutOfSync::NotWriting));
    assert_eq!(group.leader(), Some(leader), "the others are enough");
}
