//! Who leads where several could: moves, units of work that hold them up, maintenance, and the preferred node.

use super::*;
use crate::mqi::{Data, Get, GetMode, OpenOptions, Put, PutTarget, Selection, Wait};
use crate::replica::{FailBack, Placement};
use crate::types::{Descriptor, HandleId, Message, Persistence, WhyNotServing};

pub(super) const APP: SessionId = SessionId(7);
pub(super) const OTHER: SessionId = SessionId(8);
pub(super) const HANDLE: HandleId = HandleId(1);

pub(super) fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Three nodes whose queue manager has the version that knows maintenance, and a queue.
pub(super) fn placed_group() -> Group {
    let mut group = Group::new(3);
    change_release(&mut group, &[1, 2, 3], Version::RECORDS);
    assert_eq!(raise(&mut group).reason, Reason::None);
    let leader = group.leader().unwrap();
    let queue = ObjectName::new("ORDERS").unwrap();
    group.ask_node(leader, Admin::define_local(&queue, &[]));
    group.pass(millis(100));
    group.answers(leader);
    group
}

fn ask(group: &mut Group, call: impl Into<Call>) -> Completion {
    let leader = group.leader().expect("somebody serves");
    group.ask_node(leader, call);
    group.pass(millis(200));
    group.answers(leader).pop().expect("it is answered")
}

fn maintain(node: u64, begins: bool) -> Operate {
    Operate::Maintain { node: NodeId(node), begins, force: false }
}

/// The voters that are not in maintenance, as the leader has it applied.
fn left(group: &Group) -> usize {
    let leader = &group.members[&group.leader().expect("somebody serves")].replica;
    let voters = leader.consensus.membership().voters.iter();
    voters.filter(|node| !leader.state.is_maintained(**node)).count()
}

/// Calls of several administrators, one right behind the other.
fn ask_at_once(group: &mut Group, calls: Vec<Operate>) -> Vec<Completion> {
    let leader = group.leader().expect("somebody serves");
    for (number, call) in (20_u64..).zip(calls) {
        let session = SessionId(number);
        group.tell(leader, Event::SessionClosed { session });
        group.tell(leader, Event::Connect { session, connect: Connect::new(Identity::of("joe"), "") });
        group.tell(leader, Event::Call { session, token: Token(number), call: call.into() });
    }
    group.pass(millis(200));
    group.answers(leader)
}

fn move_to(node: u64) -> Operate {
    Operate::Move { to: Some(NodeId(node)), units_within: None }
}

pub(super) fn kill(group: &mut Group, node: u64) -> Member {
    let member = group.members.remove(&node).expect("it is a member");
    for other in group.others(node) {
        group.tell(other, Event::PeerGone { node: NodeId(node) });
    }
    member
}

/// Nobody is told.
fn hang(group: &mut Group, node: u64) -> Member {
    group.members.remove(&node).expect("it is a member")
}

/// The process was stopped and goes on.
pub(super) fn come_back(group: &mut Group, node: u64, member: Member) {
    for other in group.others(node) {
        group.members.get_mut(&node);
        group.tell(other, Event::PeerConnected { node: NodeId(node) });
    }
    group.connect(node, member);
}

// ---- units of work ----

pub(super) fn begin_session(group: &mut Group, leader: u64, session: SessionId) {
    group.tell(leader, Event::Connect { session, connect: Connect::new(Identity::of("joe"), "app") });
    let options = OpenOptions { output: true, input: true, ..OpenOptions::default() };
    let queue = ObjectName::new("ORDERS").unwrap();
    call(
        group,
        leader,
        session,
        Call::Open { handle: HANDLE, queue, options, dynamic: String::new(), selector: None },
    );
}

pub(super) fn call(group: &mut Group, leader: u64, session: SessionId, call: Call) {
    let token = Token(group.now.instant.0);
    group.tell(leader, Event::Call { session, token, call });
    group.pass(millis(10));
}

pub(super) fn put(syncpoint: bool) -> Call {
    let descriptor = Descriptor { persistence: Persistence::Persistent, ..Descriptor::default() };
    let message = Box::new(Message { descriptor, ..Message::default() });
    Call::Put(Put {
        to: PutTarget::Handle(HANDLE),
        message,
        syncpoint,
        logical_order: false,
        producer: None,
        dead_letter: false,
        context: Default::default(),
    })
}

pub(super) fn get(syncpoint: bool) -> Call {
    Call::Get(Get {
        handle: HANDLE,
        syncpoint,
        syncpoint_if_persistent: false,
        wait: Wait::No,
        mode: GetMode::Destructive,
        selection: Selection::default(),
        max_length: None,
        accept_truncated: false,
        extended: false,
        lock: false,
    })
}

pub(super) fn commit() -> Call {
    Call::Commit { unit: None, units_decided: None }
}

pub(super) fn reasons(group: &mut Group, node: u64) -> Vec<Reason> {
    group.answers(node).into_iter().map(|completion| completion.reason).collect()
}

#[test]
fn an_open_unit_may_end_before_a_move_and_new_ones_wait() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let next = group.others(leader)[0];
    [APP, OTHER].into_iter().for_each(|session| begin_session(&mut group, leader, session));
    call(&mut group, leader, APP, put(true));
    group.answers(leader);

    group.ask_node(leader, move_to(next));
    group.pass(millis(500));
    assert_eq!(group.leader(), Some(leader), "it is waited for");
    call(&mut group, leader, APP, put(true));
    call(&mut group, leader, OTHER, put(false));
    call(&mut group, leader, OTHER, get(false));
    assert_eq!(
        reasons(&mut group, leader),
        [Reason::None; 3],
        "the unit goes on, and what is no part of one"
    );
    call(&mut group, leader, OTHER, put(true));
    assert_eq!(reasons(&mut group, leader), [], "a new unit waits");

    call(&mut group, leader, APP, commit());
    group.pass(millis(300));
    assert_eq!(group.leader(), Some(next), "nothing is open any more");
    let answers = reasons(&mut group, leader);
    assert_eq!(answers.iter().filter(|reason| **reason == Reason::None).count(), 2, "the commit, the move");
    assert!(answers.contains(&Reason::ConnectionBroken), "what was not begun never happened: {answers:?}");
    let queue = group.members[&next].replica.state.queues().next().unwrap();
    assert_eq!(queue.depth(), 2, "both of the unit; the other message was got");
}

#[test]
fn a_unit_that_stays_open_is_backed_out_when_its_time_is_over() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    begin_session(&mut group, leader, APP);
    call(&mut group, leader, APP, put(false));
    call(&mut group, leader, APP, get(true));
    let within = Some(millis(700));
    group.ask_node(leader, Operate::Move { to: None, units_within: within });
    group.pass(millis(650));
    assert_eq!(group.leader(), Some(leader));
    group.pass(millis(350));
    let next = group.leader().expect("somebody took over");
    assert_ne!(next, leader);
    let queue = group.members[&next].replica.state.queues().next().unwrap();
    assert_eq!(queue.depth(), 1, "the message is back");
}

#[test]
fn without_an_open_unit_a_move_and_a_stop_wait_for_nothing() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    begin_session(&mut group, leader, APP);
    call(&mut group, leader, APP, put(true));
    call(&mut group, leader, APP, commit());
    let next = group.others(leader)[1];
    group.ask_node(leader, Operate::Move { to: Some(NodeId(next)), units_within: Some(millis(60_000)) });
    group.pass(millis(100));
    assert_eq!(group.leader(), Some(next));
    group.tell(next, Event::Drain);
    group.pass(millis(100));
    assert!(group.leader().is_some_and(|leader| leader != next));
}

#[test]
fn a_stop_gives_open_units_their_time_once() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    begin_session(&mut group, leader, APP);
    call(&mut group, leader, APP, put(true));
    group.tell(leader, Event::Drain);
    group.pass(millis(1_900));
    assert_eq!(group.leader(), Some(leader));
    group.pass(millis(400));
    assert!(group.leader().is_some_and(|next| next != leader));
}

/// As with a floating address that is on the node that serves.
fn with_address(group: &mut Group) {
    group.members.values_mut().for_each(|member| member.replica.options.address_tail = Some(Duration::ZERO));
    group.pass(millis(100));
}

fn wait_for_ever() -> Call {
    let Call::Get(get) = get(false) else { panic!("a get") };
    Call::Get(Get { wait: Wait::Forever, ..get })
}

#[test]
fn programs_are_told_of_a_move_while_the_floating_address_is_there() {
    let mut group = placed_group();
    with_address(&mut group);
    let leader = group.leader().unwrap();
    let next = group.others(leader)[0];
    [APP, OTHER].into_iter().for_each(|session| begin_session(&mut group, leader, session));
    call(&mut group, leader, APP, wait_for_ever());
    group.answers(leader);
    group.ask_node(leader, move_to(next));
    group.pass(millis(20));
    let member = &group.members[&leader];
    assert_eq!(member.closed, [(APP, true), (OTHER, true)], "the wait gave nothing, and is told so");
    assert!(member.role.is_serving(), "the address stays for what they are told");

    call(&mut group, leader, APP, wait_for_ever());
    group.tell(leader, Event::Connect { session: APP, connect: Connect::new(Identity::of("joe"), "app") });
    group.pass(millis(0));
    group.turn();
    let member = &group.members[&leader];
    assert_eq!(member.refused, [Reason::QMgrNotAvailable], "nobody is let in to be sent away");
    assert!(member.role.is_serving(), "20 ms are not over");
    group.pass(millis(20));
    let why = WhyNotServing::HandingOver;
    assert!(
        matches!(group.members[&leader].role, RoleView::Elected { why: said, .. } if said == why),
        "{:?}",
        group.members[&leader].role
    );
    assert_eq!(group.leader(), None, "nobody is asked before the address is gone");
    let deadline = group.members[&leader].replica.address_until;
    group.tell(leader, Event::AddressGone { deadline });
    group.pass(millis(100));
    assert_eq!(group.leader(), Some(next));
    assert_eq!(reasons(&mut group, leader), [Reason::None], "whoever asked for the move");
}

#[test]
fn a_move_waits_for_a_program_that_takes_longer_than_the_lease_to_give_the_address_back() {
    let mut group = placed_group();
    with_address(&mut group);
    let leader = group.leader().unwrap();
    let next = group.others(leader)[0];
    let within = Duration::from_secs(5);
    group.members.get_mut(&leader).unwrap().replica.options.address_goes_within = within;
    group.ask_node(leader, move_to(next));
    group.pass(Duration::from_secs(4));
    assert_eq!(group.leader(), None, "the address is here, and on no other node");
    assert!(group.members[&leader].answers.iter().all(|answer| answer.reason != Reason::HostNotAvailable));
    let deadline = group.members[&leader].replica.address_until;
    group.tell(leader, Event::AddressGone { deadline });
    group.pass(millis(100));
    assert_eq!(group.leader(), Some(next));

    // One that hangs is waited for no longer than it may take.
    group.members.get_mut(&next).unwrap().replica.options.address_goes_within = within;
    group.ask_node(next, move_to(leader));
    group.pass(Duration::from_secs(4));
    assert_eq!(group.leader(), None);
    group.pass(Duration::from_secs(2));
    assert_eq!(group.leader(), Some(leader));
}

/// Its agent hangs, or is slow, so that the address is here for as long as its lease said.
#[test]
fn who_stops_without_a_successor_helps_nobody_into_its_place_while_it_may_have_the_address() {
    let mut group = placed_group();
    group
        .members
        .values_mut()
        .for_each(|member| member.replica.options.address_tail = Some(Duration::from_secs(5)));
    group.pass(millis(100));
    let leader = group.leader().unwrap();
    let others = group.others(leader);
    let member = kill(&mut group, others[0]);
    kill(&mut group, others[1]);
    group.tell(leader, Event::Drain);
    group.pass(millis(50));
    assert!(
        matches!(group.members[&leader].role, RoleView::NotServing { .. }),
        "there is nobody to wait for"
    );
    come_back(&mut group, others[0], member);
    group.pass(Duration::from_secs(4));
    assert_eq!(group.leader(), None, "the address may be here");
    let deadline = group.members[&leader].replica.address_until;
    group.tell(leader, Event::AddressGone { deadline });
    group.pass(Duration::from_secs(3));
    assert_eq!(group.leader(), Some(others[0]));
}

/// Three nodes, of which the one that leads moves to the second, whose floating address is gone; the second dies or hangs right then.
fn moved_in_vain(fails: impl FnOnce(&mut Group, u64)) -> (Group, u64) {
    let mut group = placed_group();
    with_address(&mut group);
    let leader = group.leader().unwrap();
    let next = group.others(leader)[0];
    group.ask_node(leader, move_to(next));
    group.pass(millis(50));
    assert_eq!(group.leader(), None, "nobody is asked before the address is gone");
    fails(&mut group, next);
    let deadline = group.members[&leader].replica.address_until;
    group.tell(leader, Event::AddressGone { deadline });
    (group, leader)
}

#[test]
fn a_node_that_hangs_when_it_is_to_take_over_is_not_waited_for() {
    let (mut group, leader) = moved_in_vain(|group, next| drop(hang(group, next)));
    group.pass(millis(600));
    assert_eq!(group.leader(), Some(leader), "it came back before anybody missed a leader");
    assert_eq!(reasons(&mut group, leader), [Reason::HostNotAvailable]);
    let record = group.members[&leader].replica.state.failovers(0).last().cloned().unwrap();
    assert_eq!((record.before, record.node, record.why()), (leader, leader, Why::Move), "it is on record");
    assert!(record.outage_us() < 700_000, "{}", record.outage_us());
}

#[test]
fn a_node_that_dies_when_it_is_to_take_over_is_not_waited_for() {
    let (mut group, leader) = moved_in_vain(|group, next| drop(kill(group, next)));
    group.pass(millis(500));
    assert_eq!(group.leader(), Some(leader), "it serves on");
    assert_eq!(reasons(&mut group, leader), [Reason::HostNotAvailable]);
}

#[test]
fn a_node_in_maintenance_hands_over_to_the_other_one_where_the_first_hangs() {
    let mut group = placed_group();
    with_address(&mut group);
    let leader = group.leader().unwrap();
    group.ask_node(leader, maintain(leader, true));
    let handover = |group: &Group| group.members[&leader].replica.standing.own().handover;
    while handover(&group).is_none_or(|handover| !handover.parting) {
        group.pass(millis(10));
    }
    let to = handover(&group).and_then(|handover| handover.to).expect("it says to whom");
    hang(&mut group, to.0);
    for _ in 0..90 {
        let deadline = group.members[&leader].replica.address_until;
        group.tell(leader, Event::AddressGone { deadline });
        group.pass(millis(10));
    }
    let next = group.leader().expect("somebody serves");
    assert!(next != leader && next != to.0, "{next}, and not {leader} or {to}");
}

#[test]
fn a_move_that_came_to_nothing_lets_programs_in_again() {
    let mut group = placed_group();
    with_address(&mut group);
    let leader = group.leader().unwrap();
    let next = group.others(leader)[0];
    begin_session(&mut group, leader, APP);
    group.answers(leader);
    group.ask_node(leader, move_to(next));
    group.pass(millis(20));
    kill(&mut group, next);
    for _ in 0..400 {
        let deadline = group.members[&leader].replica.address_until;
        group.tell(leader, Event::AddressGone { deadline });
        group.pass(millis(10));
    }
    assert_eq!(group.leader(), Some(leader), "the other one was not there any more");
    assert_eq!(reasons(&mut group, leader), [Reason::HostNotAvailable]);
    begin_session(&mut group, leader, APP);
    call(&mut group, leader, APP, put(false));
    assert_eq!(reasons(&mut group, leader), [Reason::None, Reason::None]);
}

// ---- where to ----

#[test]
fn a_move_that_cannot_be_is_refused_at_once_and_interrupts_nothing() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let (here, away) = (group.others(leader)[0], group.others(leader)[1]);
    assert_eq!(ask(&mut group, move_to(leader)).reason, Reason::None, "it is there already");
    assert_eq!(ask(&mut group, move_to(9)).reason, Reason::OptionsError);
    assert_eq!(ask(&mut group, maintain(here, true)).reason, Reason::None);
    let refused = ask(&mut group, move_to(here));
    assert_eq!(refused.reason, Reason::HostNotAvailable);
    assert!(refused.detail.unwrap().contains(&format!("`trimaran node resume {here}` ends that")));
    kill(&mut group, away);
    let refused = ask(&mut group, move_to(away));
    assert_eq!(refused.detail.as_deref(), Some(format!("Node {away} is not connected.").as_str()));
    let refused = ask(&mut group, Operate::Move { to: None, units_within: None });
    let detail = refused.detail.unwrap();
    assert!(detail.contains("is in maintenance") && detail.contains("is not connected"), "{detail}");
    assert!(group.members[&leader].replica.is_serving() && group.leader() == Some(leader));
}

// ---- maintenance ----

#[test]
fn a_node_in_maintenance_hands_over_and_leaves_the_next_election_to_the_others() {
    let mut group = placed_group();
    let first = group.leader().unwrap();
    assert_eq!(ask(&mut group, maintain(first, true)).reason, Reason::None);
    group.pass(millis(500));
    let second = group.leader().expect("it handed over");
    assert_ne!(second, first);
    let views = group.members[&second].replica.status().instances;
    let maintained: Vec<u64> =
        views.iter().filter(|view| view.in_maintenance).map(|view| view.node.0).collect();
    assert_eq!(maintained, [first]);
    kill(&mut group, second);
    group.pass(millis(2_000));
    let third = group.leader().expect("the other one was elected");
    assert_ne!(third, first);

    assert_eq!(ask(&mut group, maintain(first, true)).reason, Reason::None, "a second time it does nothing");
    assert_eq!(ask(&mut group, maintain(first, false)).reason, Reason::None);
    assert_eq!(ask(&mut group, move_to(first)).reason, Reason::None);
    assert_eq!(group.leader(), Some(first));
}

#[test]
fn a_node_that_leads_again_hands_over_as_soon_as_before() {
    let mut group = placed_group();
    let first = group.leader().unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&mut group, maintain(first, true)).reason, Reason::None);
        group.pass(millis(300));
        assert_ne!(group.leader(), Some(first), "it handed over");
        assert_eq!(ask(&mut group, maintain(first, false)).reason, Reason::None);
        assert_eq!(ask(&mut group, move_to(first)).reason, Reason::None);
        assert_eq!(group.leader(), Some(first));
    }
}

#[test]
fn where_nobody_else_can_a_node_in_maintenance_leads_after_several_election_timeouts() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let others = group.others(leader);
    assert_eq!(ask(&mut group, maintain(others[0], true)).reason, Reason::None);
    let last = Operate::Maintain { node: NodeId(others[1]), begins: true, force: true };
    assert_eq!(ask(&mut group, last).reason, Reason::None);
    let member = kill(&mut group, leader);
    group.pass(millis(5_000));
    assert_eq!(group.leader(), None, "each leaves it to the others");
    group.pass(millis(5_000));
    let spared = group.leader().expect("an outage is worse");
    come_back(&mut group, leader, member);
    group.pass(millis(8_000));
    assert_eq!(group.leader(), Some(leader), "node {spared} hands over to one that is in service");
}

#[test]
fn maintenance_that_would_leave_no_majority_wants_force() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let (here, away) = (group.others(leader)[0], group.others(leader)[1]);
    kill(&mut group, away);
    let refused = ask(&mut group, maintain(here, true));
    assert_eq!(refused.reason, Reason::HostNotAvailable);
    let detail = refused.detail.unwrap();
    assert!(detail.contains("1 of 3 nodes would be left, 2 are needed"), "{detail}");
    assert!(detail.contains("(not connected)"), "{detail}");
    let forced = Operate::Maintain { node: NodeId(here), begins: true, force: true };
    assert_eq!(ask(&mut group, forced).reason, Reason::None);
    assert!(group.members[&here].replica.state.is_maintained(NodeId(here)));
}

#[test]
fn nodes_in_maintenance_are_not_counted_when_one_more_is_asked_for() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let (here, away) = (group.others(leader)[0], group.others(leader)[1]);
    assert_eq!(ask(&mut group, maintain(here, true)).reason, Reason::None);
    for other in [away, leader] {
        let refused = ask(&mut group, maintain(other, true));
        assert_eq!(refused.reason, Reason::HostNotAvailable);
        let detail = refused.detail.unwrap();
        assert!(detail.contains(&format!("not counted: {here} (in maintenance)")), "{detail}");
    }
    assert_eq!(ask(&mut group, maintain(here, true)).reason, Reason::None, "it is so already");
    assert_eq!(ask(&mut group, maintain(here, false)).reason, Reason::None);
    assert_eq!(ask(&mut group, maintain(away, true)).reason, Reason::None);
    assert_eq!(left(&group), 2);
}

#[test]
fn of_several_administrators_at_once_only_so_many_are_granted_as_can_be() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let others = group.others(leader);
    let asked = [others[0], others[1], others[0], leader].map(|node| maintain(node, true));
    let reasons: Vec<Reason> =
        ask_at_once(&mut group, asked.to_vec()).into_iter().map(|answer| answer.reason).collect();
    let granted = reasons.iter().filter(|reason| **reason == Reason::None).count();
    assert_eq!((granted, reasons.len()), (2, 4), "the first, and who asks for the same: {reasons:?}");
    assert_eq!(left(&group), 2);

    // What was taken back is counted again when that is applied.
    let asked = vec![maintain(others[0], false), maintain(others[0], true), maintain(others[1], true)];
    let answers = ask_at_once(&mut group, asked);
    assert_eq!(answers.iter().filter(|answer| answer.reason == Reason::None).count(), 2);
    let leader = &group.members[&leader].replica;
    assert!(leader.state.is_maintained(NodeId(others[0])), "the last word counts, and was answered");
    assert_eq!(left(&group), 2);
}

#[test]
fn a_leader_whose_drain_was_lost_and_the_next_one_do_not_grant_both() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let others = group.others(leader);
    let before = group.members[&leader].replica.consensus.last_index();
    // It goes into its log and to nobody else.
    group.lost = |_, message| matches!(message, PeerMessage::Raft(_));
    group.ask_node(leader, maintain(others[0], true));
    group.pass(millis(20));
    assert!(group.members[&leader].replica.consensus.last_index() > before);
    let member = kill(&mut group, leader);
    group.lost = |_, _| false;
    group.pass(millis(4_000));
    let next = group.leader().expect("somebody took over");
    come_back(&mut group, leader, member);
    group.pass(millis(1_000));
    assert_eq!(ask(&mut group, maintain(leader, true)).reason, Reason::None);
    let last = others.iter().copied().find(|node| *node != next).unwrap();
    assert_eq!(ask(&mut group, maintain(last, true)).reason, Reason::HostNotAvailable);
    assert_eq!(left(&group), 2);
}

#[test]
fn a_node_is_not_removed_where_those_in_maintenance_would_be_needed_then() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let (here, away) = (group.others(leader)[0], group.others(leader)[1]);
    assert_eq!(ask(&mut group, maintain(here, true)).reason, Reason::None);
    for node in [away, leader] {
        let refused = ask(&mut group, Operate::Members(MembershipRequest::Remove { node: NodeId(node) }));
        assert_eq!(refused.reason, Reason::HostNotAvailable);
        assert!(refused.detail.unwrap().contains(&format!("not counted: {here} (in maintenance)")));
    }
    assert_eq!(group.leader(), Some(leader), "nothing was interrupted");
    let removed = group.ask(MembershipRequest::Remove { node: NodeId(here) }, millis(2_000));
    assert_eq!(removed[0].reason, Reason::None, "it is the one that is missed by nobody");
    assert_eq!(left(&group), 2);
}

#[test]
fn a_node_is_not_removed_where_one_that_is_down_would_be_needed_then() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let (here, down) = (group.others(leader)[0], group.others(leader)[1]);
    kill(&mut group, down);
    group.pass(millis(1_000));
    let refused = ask(&mut group, Operate::Members(MembershipRequest::Remove { node: NodeId(here) }));
    assert_eq!(refused.reason, Reason::HostNotAvailable);
    let detail = refused.detail.unwrap();
    assert!(
        detail.contains(&format!("1 of 2 nodes would be left, 2 are needed; not counted: {down} (")),
        "{detail}"
    );
    let removed = group.ask(MembershipRequest::Remove { node: NodeId(down) }, millis(2_000));
    assert_eq!(removed[0].reason, Reason::None, "it is the one that is missed by nobody");
}

#[test]
fn where_maintenance_was_forced_a_node_can_still_be_removed() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let others = group.others(leader);
    for node in &others {
        let forced = Operate::Maintain { node: NodeId(*node), begins: true, force: true };
        assert_eq!(ask(&mut group, forced).reason, Reason::None);
    }
    let removed = group.ask(MembershipRequest::Remove { node: NodeId(others[0]) }, millis(2_000));
    assert_eq!(removed[0].reason, Reason::None);
}

#[test]
fn a_queue_manager_of_an_older_version_has_no_maintenance() {
    let mut group = Group::new(3);
    let leader = group.leader().unwrap();
    let refused = ask(&mut group, maintain(leader, true));
    assert_eq!(refused.reason, Reason::FunctionNotSupported);
    assert!(refused.detail.unwrap().contains("`trimaran cluster upgrade`"));
    assert!(matches!(ask(&mut group, Operate::Status).data, Data::Status(_)));
}

// ---- the preferred node ----

fn prefer(group: &mut Group, node: u64, fail_back: FailBack) {
    for member in group.members.values_mut() {
        member.replica.options.placement = Placement { preferred: Some(NodeId(node)), fail_back };
    }
}

#[test]
fn the_preferred_node_has_it_back_when_the_leader_has_served_for_a_while() {
    let mut group = placed_group();
    group.pass(Duration::from_secs(25));
    let leader = group.leader().unwrap();
    let preferred = group.others(leader)[0];
    prefer(&mut group, preferred, FailBack::Never);
    group.pass(Duration::from_secs(10));
    assert_eq!(group.leader(), Some(leader));
    prefer(&mut group, preferred, FailBack::Now);
    group.pass(millis(500));
    assert_eq!(group.leader(), Some(preferred));

    // An operator wants it elsewhere; a while later it goes back.
    assert_eq!(ask(&mut group, move_to(leader)).reason, Reason::None);
    group.pass(Duration::from_secs(29));
    assert_eq!(group.leader(), Some(leader));
    group.pass(Duration::from_secs(2));
    assert_eq!(group.leader(), Some(preferred));
}

#[test]
fn a_fail_back_waits_for_its_window_and_for_a_node_that_is_well() {
    let mut group = placed_group();
    group.pass(Duration::from_secs(31));
    let leader = group.leader().unwrap();
    let preferred = group.others(leader)[0];
    let minute = |wall: WallTime| (wall.0 / 60_000) as u16;
    let from = minute(group.now.wall) + 2;
    let room = |text: &str| Event::Disk { room: DiskRoom::Low { text: text.into() } };
    group.tell(preferred, room("full"));
    prefer(&mut group, preferred, FailBack::Within { from, until: from + 10 });
    while minute(group.now.wall) < from {
        assert_eq!(group.leader(), Some(leader), "its time has not come");
        group.pass(Duration::from_secs(1));
    }
    group.pass(Duration::from_secs(5));
    assert_eq!(group.leader(), Some(leader), "it has no room");
    assert_eq!(ask(&mut group, maintain(preferred, true)).reason, Reason::None);
    group.tell(preferred, Event::Disk { room: DiskRoom::Enough });
    group.pass(Duration::from_secs(5));
    assert_eq!(group.leader(), Some(leader), "it is in maintenance");
    assert_eq!(ask(&mut group, maintain(preferred, false)).reason, Reason::None);
    group.pass(Duration::from_secs(1));
    assert_eq!(group.leader(), Some(preferred));
}

#[test]
fn a_fail_back_waits_until_a_cable_that_came_up_has_stayed_so() {
    let mut group = placed_group();
    group.pass(Duration::from_secs(31));
    let leader = group.leader().unwrap();
    let preferred = group.others(leader)[0];
    group.tell(preferred, Event::Interface { is_up: false });
    prefer(&mut group, preferred, FailBack::Now);
    group.pass(Duration::from_secs(10));
    group.tell(preferred, Event::Interface { is_up: true });
    group.pass(Duration::from_secs(4));
    assert_eq!(group.leader(), Some(leader), "it may go again");
    group.pass(Duration::from_secs(2));
    assert_eq!(group.leader(), Some(preferred));
}

#[test]
fn at_a_start_of_all_the_node_that_stands_first_is_elected() {
    for first in 1..=3 {
        let mut group = Group::empty();
        group.now = Now { instant: Instant(1), wall: WallTime(1_000_000) };
        for id in 1..=3 {
            let mut started = replica_that_stands(id, &[1, 2, 3], if id == first { 0 } else { 150 });
            started.role = RoleView::NotServing { term: Term(0), leader: None, recovering: true };
            group.connect(id, started);
        }
        group.pass(Duration::from_secs(5));
        assert_eq!(group.leader(), Some(first));
    }
}

fn replica_that_stands(id: u64, voters: &[u64], delay_ms: u64) -> Member {
    let recovered = Recovered {
        hard_state: HardState { term: Term(2), vote: Some(NodeId(1)), commit: Index(2) },
        snapshot: initial(voters),
        entries: (2..=2).map(entry_of_term_2).collect(),
        recovering: false,
        since_start: Duration::ZERO,
        acknowledged: Some(Index(2)),
        parted: None,
    };
    let name = ObjectName::new("QM1").unwrap();
    let consensus = consensus::Options {
        node: NodeId(id),
        start_delay: millis(delay_ms),
        ..consensus::Options::default()
    };
    let options = Options::new(QueueManagerId(1), name.clone(), consensus);
    let state = QueueManager::new(QueueManagerId(1), name);
    of_replica(Replica::new(options, recovered, state, 41 * id), false)
}

// ---- the clients' interface ----

#[test]
fn a_leader_whose_clients_are_cut_off_hands_over_to_a_node_whose_are_not() {
    let mut group = placed_group();
    group.pass(Duration::from_secs(31));
    let leader = group.leader().unwrap();
    let [cut, whole] = group.others(leader)[..] else { panic!("there are three") };
    let down = || Event::Interface { is_up: false };
    group.tell(cut, down());
    group.tell(leader, down());
    group.pass(millis(1_900));
    assert_eq!(group.leader(), Some(leader), "a cable may be plugged again");
    group.pass(millis(600));
    assert_eq!(group.leader(), Some(whole), "and not to the one that is cut off, too");
    let last = group.members[&whole].replica.state.failovers(0).last().cloned().expect("it is on record");
    assert_eq!((last.why(), last.before), (Why::Interface, leader));

    // Where nobody is better off, who serves goes on.
    group.tell(whole, down());
    group.pass(Duration::from_secs(5));
    assert_eq!(group.leader(), Some(whole));
    group.tell(cut, Event::Interface { is_up: true });
    group.pass(Duration::from_secs(1));
    assert_eq!(group.leader(), Some(cut), "there is one that clients reach again");
}

#[test]
fn a_move_to_a_node_that_clients_do_not_reach_is_refused_unless_they_do_not_reach_this_one() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let cut = group.others(leader)[0];
    group.tell(cut, Event::Interface { is_up: false });
    group.pass(millis(100));
    let refused = ask(&mut group, move_to(cut));
    assert_eq!(refused.reason, Reason::HostNotAvailable);
    let detail = refused.detail.unwrap();
    assert!(detail.contains(&format!("Clients do not reach node {cut} by the floating address")), "{detail}");
    assert_eq!(group.leader(), Some(leader), "nothing was interrupted");
    group.tell(leader, Event::Interface { is_up: false });
    assert_eq!(ask(&mut group, move_to(cut)).reason, Reason::None);
    assert_eq!(group.leader(), Some(cut));
}

#[test]
fn an_interface_that_is_back_soon_moves_nothing() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    for _ in 0..5 {
        group.tell(leader, Event::Interface { is_up: false });
        group.pass(millis(1_500));
        group.tell(leader, Event::Interface { is_up: true });
        group.pass(millis(500));
    }
    assert_eq!(group.leader(), Some(leader));
}
