//! A queue manager is ended, stays so, and is started again.

use super::placement_test::{
    APP, OTHER, begin_session, call, come_back, commit, get, kill, millis, placed_group, put, reasons,
};
use super::*;
use crate::mqi::{Get, Purpose, RunRequest, Wait};
use crate::types::{Role, RunState};

const END_NOW: RunRequest = RunRequest::EndImmediately { reconnect: false };

/// Who leads, serving or not.
fn led_by(group: &Group) -> u64 {
    let mut members = group.members.iter().filter(|(_, member)| member.role.leads());
    *members.next().expect("somebody leads").0
}

fn asked(group: &mut Group, request: RunRequest) -> Completion {
    let leader = led_by(group);
    let connect = Connect { purpose: Purpose::Errand, ..Connect::new(Identity::of("joe"), "") };
    group.answers(leader);
    group.tell(leader, Event::SessionClosed { session: OPERATOR });
    group.tell(leader, Event::Connect { session: OPERATOR, connect });
    group
        .tell(leader, Event::Call { session: OPERATOR, token: Token(1), call: Operate::Run(request).into() });
    group.pass(millis(200));
    group.answers(leader).pop().expect("it is answered")
}

fn ask(group: &mut Group, request: RunRequest) -> Reason {
    asked(group, request).reason
}

fn role(group: &Group) -> Role {
    group.members[&led_by(group)].role.role()
}

fn run(group: &Group) -> RunState {
    group.members[&led_by(group)].replica.state.run()
}

fn sessions(group: &Group, id: u64) -> usize {
    group.members[&id].replica.sessions.by_id.values().filter(|of| of.purpose == Purpose::Program).count()
}

#[test]
fn ended_at_once_it_serves_nobody_until_it_is_started_whoever_is_restarted_meanwhile() {
    let mut group = placed_group();
    let first = group.leader().unwrap();
    begin_session(&mut group, first, APP);
    call(&mut group, first, APP, put(false));
    call(&mut group, first, APP, put(true));
    assert_eq!(reasons(&mut group, first), [Reason::None; 3]);

    assert_eq!(ask(&mut group, END_NOW), Reason::None);
    assert_eq!((group.leader(), role(&group), sessions(&group, first)), (None, Role::Ended, 0));
    let refusal = group.members[&first].role.refusal().unwrap();
    assert_eq!(refusal.reason, Reason::QMgrNotAvailable);
    assert!(refusal.sentence().contains("strmqm"), "{}", refusal.sentence());
    begin_session(&mut group, first, OTHER);
    assert_eq!(sessions(&group, first), 0, "nobody is let in");

    let gone = kill(&mut group, first);
    group.pass(Duration::from_secs(5));
    assert_ne!(led_by(&group), first);
    assert_eq!((group.leader(), run(&group)), (None, RunState::EndedImmediately), "whoever leads knows it");
    come_back(&mut group, first, gone);
    group.pass(millis(500));

    assert_eq!(ask(&mut group, RunRequest::Start), Reason::None);
    let leader = group.leader().expect("it serves again");
    begin_session(&mut group, leader, OTHER);
    call(&mut group, leader, OTHER, get(false));
    call(&mut group, leader, OTHER, get(false));
    let got = reasons(&mut group, leader);
    assert_eq!(got, [Reason::None, Reason::None, Reason::NoMsgAvailable], "what was not committed is gone");
    assert!(group.members.values().all(|member| member.replica.state.run() == RunState::Running));
}

#[test]
fn a_controlled_end_waits_for_the_last_program_and_begins_nothing_new() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    [APP, OTHER].into_iter().for_each(|session| begin_session(&mut group, leader, session));
    call(&mut group, leader, APP, put(true));
    let Call::Get(waiting) = get(false) else { unreachable!() };
    call(&mut group, leader, OTHER, Call::Get(Get { wait: Wait::Forever, ..waiting }));
    assert_eq!(reasons(&mut group, leader), [Reason::None; 3]);

    group.tell(leader, Event::SessionClosed { session: OPERATOR });
    let connect = Connect { purpose: Purpose::Errand, ..Connect::new(Identity::of("joe"), "") };
    group.tell(leader, Event::Connect { session: OPERATOR, connect });
    let end = Operate::Run(RunRequest::EndControlled).into();
    group.tell(leader, Event::Call { session: OPERATOR, token: Token(1), call: end });
    group.pass(millis(500));
    let told = reasons(&mut group, leader);
    assert_eq!(told, [Reason::None, Reason::QMgrQuiescing], "the operator, and who waits for ever");
    assert_eq!((group.leader(), run(&group)), (Some(leader), RunState::Quiescing));

    begin_session(&mut group, leader, SessionId(9));
    call(&mut group, leader, OTHER, put(false));
    assert_eq!(reasons(&mut group, leader), [Reason::QMgrQuiescing], "nothing new");
    assert_eq!(ask(&mut group, RunRequest::Start), Reason::QMgrQuiescing, "nor is it called back");
    call(&mut group, leader, APP, put(true));
    call(&mut group, leader, APP, commit());
    assert_eq!(reasons(&mut group, leader), [Reason::None; 2], "what was begun is done");

    [APP, OTHER].into_iter().for_each(|session| group.tell(leader, Event::SessionClosed { session }));
    group.pass(millis(500));
    assert_eq!((group.leader(), run(&group)), (None, RunState::EndedNormally));
    assert_eq!(ask(&mut group, RunRequest::EndControlled), Reason::None, "it is so already");
    assert_eq!(ask(&mut group, RunRequest::Start), Reason::None);
    assert_eq!(group.leader(), Some(leader));
    assert_eq!(group.members[&leader].replica.state.queues().next().unwrap().depth(), 2);
}

#[test]
fn programs_that_wait_are_told_of_an_end_over_as_many_turns_as_it_takes() {
    const SHORT: u64 = 512;
    for request in [RunRequest::EndControlled, END_NOW] {
        let mut group = placed_group();
        let leader = group.leader().unwrap();
        let sessions = (100..160).map(SessionId);
        sessions.clone().for_each(|session| begin_session(&mut group, leader, session));
        let Call::Get(waiting) = get(false) else { unreachable!() };
        for (session, token) in
            sessions.flat_map(|session| (10..30).map(move |token| (session, Token(token))))
        {
            let call = Call::Get(Get { wait: Wait::Forever, ..waiting.clone() });
            group.tell(leader, Event::Call { session, token, call });
        }
        group.pass(millis(10));
        group.answers(leader);
        let replica = &mut group.members.get_mut(&leader).unwrap().replica;
        assert_eq!(replica.waits().count(), 1_200);
        (replica.turn, replica.stats.turn_work_max) = (Turn::new(SHORT), 0);
        asked(&mut group, request);
        group.pass(millis(2_000));
        let replica = &group.members[&leader].replica;
        assert_eq!(replica.waits().count(), 0);
        assert!(replica.stats.turn_work_max <= 4 * SHORT, "{}", replica.stats.turn_work_max);
        assert_eq!(self::sessions(&group, leader), if request == END_NOW { 0 } else { 60 });
    }
}

#[test]
fn a_leader_that_dies_while_its_queue_manager_quiesces_leaves_the_end_to_the_next() {
    let mut group = placed_group();
    let first = group.leader().unwrap();
    begin_session(&mut group, first, APP);
    assert_eq!(ask(&mut group, RunRequest::EndControlled), Reason::None);
    assert_eq!(run(&group), RunState::Quiescing, "a program is left");
    kill(&mut group, first);
    group.pass(Duration::from_secs(5));
    assert_eq!((group.leader(), run(&group)), (None, RunState::EndedNormally));
}

#[test]
fn who_was_away_learns_it_from_the_log_and_no_minority_ends_anything() {
    let mut group = placed_group();
    let leader = group.leader().unwrap();
    let away = group.others(leader)[0];
    let member = kill(&mut group, away);
    assert_eq!(ask(&mut group, END_NOW), Reason::None);
    come_back(&mut group, away, member);
    group.pass(millis(500));
    assert_eq!(group.members[&away].replica.state.run(), RunState::EndedImmediately);
    assert_eq!(ask(&mut group, RunRequest::Start), Reason::None);

    let others: Vec<(u64, Member)> =
        group.others(leader).into_iter().map(|id| (id, kill(&mut group, id))).collect();
    group.ask_node(leader, Operate::Run(END_NOW));
    group.pass(millis(500));
    assert_eq!(group.members[&leader].replica.state.run(), RunState::Running);
    drop(others);
}

#[test]
fn a_queue_manager_of_an_older_version_is_not_ended() {
    let mut group = Group::new(3);
    let refused = asked(&mut group, END_NOW);
    assert_eq!(refused.reason, Reason::FunctionNotSupported);
    assert!(refused.detail.unwrap().contains("cluster upgrade"));
}
