//! A replica by itself: events in, exact answers out. Log and store are maps that are always on disk.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use trimaran_proto::message::v1 as wire;
use trimaran_proto::mq::rfh2;

use super::*;
use crate::consensus::HardState;
use crate::mqi::{
    Admin, Call, CloseOption, Connect, Context, Data, Get, GetMode, Identity, OpenOptions, Put, PutTarget,
    QueueView, Refusal, Selection, SessionView, Terms, UnitState, Wait,
};
use crate::qmgr::{Command, Family, RowChange, RowSource, StoreReadError, command};
use crate::types::account::HANDLE_BYTES;
use crate::types::definition::{
    self as selector, By, Changes, Definition, ObjectKind, ObjectRef, RecordAction, Value,
};
use crate::types::{
    Authenticated, Body, CorrelationId, GroupId, HandleId, InGroup, Index, Membership, Message,
    MessageSelector, Persistence, ProducerId, ProducerSequence, Proof, Reason, ReportOptions, SnapshotMeta,
    Speaks, Term, TermStarts, UnitId, WallTime, message_flags,
};

const APP: SessionId = SessionId(1);
const OTHER: SessionId = SessionId(2);
const HANDLE: HandleId = HandleId(1);

#[derive(Default)]
struct Rows {
    rows: BTreeMap<(Family, Bytes), Bytes>,
    meta: Option<SnapshotMeta>,
}

impl RowSource for Rows {
    fn scan(&self, family: Family, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreReadError> {
        self.rows.iter().filter(|((of, _), _)| *of == family).for_each(|((_, key), value)| row(key, value));
        Ok(())
    }

    fn meta(&self) -> Result<Option<SnapshotMeta>, StoreReadError> {
        Ok(self.meta.clone())
    }
}

impl Rows {
    fn apply(&mut self, change: RowChange) {
        match change {
            RowChange::Put { family, key, value } => {
                self.rows.insert((family, key), value);
            }
            RowChange::PutParts { family, key, parts } => {
                self.rows.insert((family, key), parts.concat().into());
            }
            RowChange::Delete { family, key } => {
                self.rows.remove(&(family, key));
            }
            RowChange::DeleteRange { family, from, until } => {
                self.rows.retain(|(of, key), _| *of != family || *key < from || *key >= until);
            }
        }
    }
}

/// One node, alone in its group.
struct Alone {
    replica: Replica,
    store: Rows,
    now: Now,
    next_token: u64,
    answers: BTreeMap<(SessionId, Token), Completion>,
    /// The log was cut up to here.
    truncated: Index,
    /// Parts of bodies without a message that the store was given.
    staged_rows: usize,
    admitted: BTreeMap<SessionId, Result<Terms, Refusal>>,
    /// Sessions that the queue manager ended.
    ended: Vec<SessionId>,
    /// Each time they were published: names and states of listeners.
    listeners: Vec<Vec<(String, i32)>>,
    /// The entries of its log.
    logged: Vec<Bytes>,
}

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}

fn options(window_bytes: usize) -> Options {
    let consensus =
        consensus::Options { node: NodeId(1), tail_bytes_max: 0, ..consensus::Options::default() };
    let options = Options::new(QueueManagerId(1), name("QM1"), consensus);
    Options { window_bytes, resident_bytes_max: 0, ..options }
}

fn initial() -> SnapshotMeta {
    SnapshotMeta {
        queue_manager: QueueManagerId(1),
        index: Index(1),
        term: Term(1),
        membership: Membership { voters: [NodeId(1)].into(), ..Membership::default() },
        terms: TermStarts::default(),
        installed: false,
    }
}

impl Alone {
    /// Serving, with a queue Q and two sessions that have it open for everything.
    fn new() -> Alone {
        Alone::with_window(usize::MAX)
    }

    fn with_window(window_bytes: usize) -> Alone {
        Alone::with(options(window_bytes))
    }

    fn with(options: Options) -> Alone {
        let recovered = Recovered {
            hard_state: HardState::default(),
            snapshot: initial(),
            entries: Vec::new(),
            recovering: true,
            since_start: Duration::ZERO,
            acknowledged: Some(Index(0)),
            parted: None,
        };
        let state = QueueManager::new(QueueManagerId(1), name("QM1"));
        let replica = Replica::new(options, recovered, state, 7);
        let now = Now { instant: Instant(1), wall: WallTime(1_000_000) };
        let mut alone = Alone {
            replica,
            store: Rows::default(),
            now,
            next_token: 0,
            answers: BTreeMap::new(),
            truncated: Index(0),
            staged_rows: 0,
            admitted: BTreeMap::new(),
            ended: Vec::new(),
            listeners: Vec::new(),
            logged: Vec::new(),
        };
        for _ in 0..100 {
            alone.pass(Duration::from_millis(50));
        }
        assert!(alone.replica.is_serving(), "a node alone serves after its election timeout");
        for session in [APP, OTHER] {
            alone.open_session(session);
        }
        alone.ok(APP, Call::Admin(Admin::define_local(&name("Q"), &[])));
        for session in [APP, OTHER] {
            alone.open(session, "Q");
        }
        alone
    }

    fn outcome(&mut self, name: &str, units_decided: u64) -> UnitState {
        match self.ok(OTHER, Call::UnitOutcome { unit: unit(name), units_decided }) {
            Data::Unit { state, .. } => state,
            other => panic!("an outcome became {other:?}"),
        }
    }

    fn open_session(&mut self, session: SessionId) {
        self.turn([Event::Connect { session, connect: Connect::new(Identity::of("joe"), "app") }]);
    }

    fn open(&mut self, session: SessionId, queue: &str) {
        let options =
            OpenOptions { output: true, input: true, browse: true, inquire: true, ..OpenOptions::default() };
        self.ok(
            session,
            Call::Open {
                handle: HANDLE,
                queue: name(queue),
                options,
                dynamic: String::new(),
                selector: None,
            },
        );
    }

    fn pass(&mut self, time: Duration) {
        self.now.instant = self.now.instant + time;
        self.now.wall.0 += time.as_millis() as i64;
        self.turn([]);
    }

    fn one_turn(&mut self, events: &mut Vec<Event>) {
        self.replica.begin_turn(self.now);
        events.drain(..).for_each(|event| self.replica.handle(event));
        let mut actions = Vec::new();
        self.replica.end_turn(&mut actions);
        actions.into_iter().for_each(|action| self.carry_out(action, events));
    }

    /// One turn and everything that follows from it, until nothing moves.
    fn turn<const N: usize>(&mut self, events: [Event; N]) {
        self.go_on(events.into());
    }

    fn go_on(&mut self, mut events: Vec<Event>) {
        for _ in 0..1000 {
            self.one_turn(&mut events);
            if events.is_empty() && !self.replica.is_not_done() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn carry_out(&mut self, action: Action, events: &mut Vec<Event>) {
        match action {
            Action::Persist(write) => {
                self.logged.extend(write.entries.iter().map(|entry| entry.data.clone()));
                events.push(Event::LogPersisted { write: write.number });
            }
            Action::Complete { session, token, completion } => {
                if matches!(completion.data, Data::Progress { .. }) {
                    return;
                }
                let before = self.answers.insert((session, token), completion);
                assert_eq!(before, None, "{session} {token} was answered twice");
            }
            Action::Store(batch) => {
                let is_staged = |change: &&RowChange| match change {
                    RowChange::Put { family: Family::State, key, .. } => key[4] == b's',
                    _ => false,
                };
                self.staged_rows += batch.changes.iter().filter(is_staged).count();
                batch.changes.into_iter().for_each(|change| self.store.apply(change));
                let upto = batch.meta.index;
                self.store.meta = Some(batch.meta);
                events.push(Event::StoreFlushed { upto });
                let loaded =
                    QueueManager::load(QueueManagerId(1), name("QM1"), &self.store, Speaks::RELEASE).unwrap();
                assert_eq!(loaded.digest(), self.replica.state.digest(), "the store is the applied state");
            }
            Action::TruncateLog { upto } => self.truncated = upto,
            Action::Admit { session, admitted } => drop(self.admitted.insert(session, admitted)),
            Action::CloseSession { session, .. } => self.ended.push(session),
            Action::PublishListeners(listeners) => {
                let said = |of: &Definition| (of.object.name.clone(), of.number(selector::LISTENER_STATE));
                self.listeners.push(listeners.iter().map(said).collect());
            }
            Action::LoadRows(load) => {
                let rows = load.keys.iter().map(|key| self.store.rows.get(key).cloned()).collect();
                events.push(Event::RowsLoaded { request: load.request, rows, damaged: None });
            }
            _ => {}
        }
    }

    fn begin(&mut self, session: SessionId, call: Call) -> Token {
        self.next_token += 1;
        let token = Token(self.next_token);
        self.turn([Event::Call { session, token, call }]);
        token
    }

    fn answer(&mut self, session: SessionId, token: Token) -> Option<Completion> {
        self.answers.remove(&(session, token))
    }

    fn call(&mut self, session: SessionId, call: Call) -> Completion {
        let token = self.begin(session, call);
        self.answer(session, token).expect("answered at once")
    }

    fn ok(&mut self, session: SessionId, call: Call) -> Data {
        let completion = self.call(session, call);
        assert_eq!(completion.reason, Reason::None, "{completion:?}");
        completion.data
    }

    fn put(&mut self, session: SessionId, text: &str) -> Data {
        self.ok(session, Call::Put(put(text)))
    }

    fn get(&mut self, session: SessionId, get: Get) -> Result<String, Reason> {
        let completion = self.call(session, Call::Get(get));
        text_of(completion)
    }

    /// Drops everything volatile and starts again on what the store has.
    fn restart_from_store(self) -> Alone {
        let state = QueueManager::load(QueueManagerId(1), name("QM1"), &self.store, Speaks::RELEASE).unwrap();
        assert_eq!(state.digest(), self.replica.state.digest());
        let snapshot = self.store.meta.clone().unwrap();
        let hard_state =
            HardState { term: self.replica.consensus.term(), vote: Some(NodeId(1)), commit: snapshot.index };
        let recovered = Recovered {
            hard_state,
            snapshot,
            entries: Vec::new(),
            recovering: false,
            since_start: Duration::ZERO,
            acknowledged: Some(Index(0)),
            parted: None,
        };
        let replica = Replica::new(options(usize::MAX), recovered, state, 8);
        let mut alone = Alone { replica, answers: BTreeMap::new(), ..self };
        for _ in 0..200 {
            alone.pass(Duration::from_millis(50));
        }
        for session in [APP, OTHER] {
            alone.open_session(session);
            alone.open(session, "Q");
        }
        alone
    }
}

fn text_of(completion: Completion) -> Result<String, Reason> {
    match completion.data {
        Data::Got { message, .. } => Ok(String::from_utf8(message.body.to_bytes().to_vec()).unwrap()),
        _ => Err(completion.reason),
    }
}

fn put(text: &str) -> Put {
    let body = Body::from(Bytes::copy_from_slice(text.as_bytes()));
    Put {
        to: PutTarget::Handle(HANDLE),
        message: Box::new(Message { body_crc: body.crc32c(), body, ..Message::default() }),
        syncpoint: false,
        logical_order: false,
        producer: None,
        dead_letter: false,
        context: Default::default(),
    }
}

/// The put of this number of a producer.
fn numbered(producer: &str, sequence: u64) -> Option<ProducerSequence> {
    let producer = ProducerId(Bytes::copy_from_slice(producer.as_bytes()));
    Some(ProducerSequence { producer, sequence, repeated: false })
}

fn unit(name: &str) -> UnitId {
    UnitId(Bytes::copy_from_slice(name.as_bytes()))
}

fn commit(name: &str) -> Call {
    Call::Commit { unit: Some(unit(name)), units_decided: None }
}

fn get() -> Get {
    Get {
        handle: HANDLE,
        syncpoint: false,
        wait: Wait::No,
        mode: GetMode::Destructive,
        selection: Selection::default(),
        syncpoint_if_persistent: false,
        max_length: None,
        accept_truncated: false,
        extended: false,
        lock: false,
    }
}

fn browse(mode: GetMode) -> Get {
    Get { mode, ..get() }
}

#[test]
fn messages_come_out_by_priority_and_then_in_the_order_they_went_in() {
    let mut alone = Alone::new();
    for (text, priority) in [("low", 1), ("high", 8), ("low again", 1)] {
        let mut put = put(text);
        put.message.descriptor.priority = Some(priority);
        alone.ok(APP, Call::Put(put));
    }
    let got: Vec<_> = (0..4).map(|_| alone.get(OTHER, get())).collect();
    let expected: Vec<Result<String, Reason>> =
        vec![Ok("high".into()), Ok("low".into()), Ok("low again".into()), Err(Reason::NoMsgAvailable)];
    assert_eq!(got, expected);
}

#[test]
fn a_unit_is_invisible_until_its_commit_and_gone_after_its_backout() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Put(Put { syncpoint: true, ..put("one") }));
    assert_eq!(alone.get(OTHER, get()), Err(Reason::NoMsgAvailable));
    alone.ok(APP, Call::Backout);
    assert_eq!(alone.get(OTHER, get()), Err(Reason::NoMsgAvailable));
    alone.ok(APP, Call::Put(Put { syncpoint: true, ..put("two") }));
    alone.ok(APP, Call::Commit { unit: None, units_decided: None });
    assert_eq!(alone.get(OTHER, get()), Ok("two".into()));
}

#[test]
fn a_backed_out_get_returns_to_its_place_with_a_higher_count() {
    let mut alone = Alone::new();
    alone.put(APP, "one");
    alone.put(APP, "two");
    assert_eq!(alone.get(APP, Get { syncpoint: true, ..get() }), Ok("one".into()));
    assert_eq!(
        alone.get(OTHER, browse(GetMode::BrowseFirst)),
        Ok("two".into()),
        "a reserved message is hidden"
    );
    alone.ok(APP, Call::Backout);
    let Data::Got { message, .. } = alone.ok(OTHER, Call::Get(get())) else { panic!() };
    assert_eq!(message.descriptor.backout_count, 1);
    assert_eq!(message.body.to_bytes(), "one");
}

#[test]
fn a_session_that_ends_gives_its_messages_back() {
    let mut alone = Alone::new();
    alone.put(APP, "one");
    assert_eq!(alone.get(APP, Get { syncpoint: true, ..get() }), Ok("one".into()));
    alone.turn([Event::SessionClosed { session: APP }]);
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
}

/// The state of a queue manager as a peer sends it, at the index it has just now.
fn snapshot_of(alone: &mut Alone) -> Event {
    let meta = SnapshotMeta { index: alone.replica.consensus.applied_index(), ..initial() };
    let mut rows = Rows { meta: Some(meta.clone()), ..Rows::default() };
    let mut state = QueueManager::new(QueueManagerId(1), name("QM1"));
    for (index, entry) in
        (2..=meta.index.0).map(|index| (index, alone.replica.consensus.tail_entry(Index(index))))
    {
        let entry = entry.unwrap_or_else(|| panic!("entry {index} is in memory: the store has nothing"));
        if entry.kind == consensus::EntryKind::Normal && !entry.data.is_empty() {
            let (at, commands) = command::decode(entry.data, Speaks::RELEASE).unwrap();
            state.set_time(at);
            commands.into_iter().for_each(|command| drop(state.apply(command)));
        }
    }
    let (batch, _) = state.take_store_batch(Index(1), meta.clone());
    batch.changes.into_iter().for_each(|change| rows.apply(change));
    let state = Box::new(QueueManager::load(QueueManagerId(1), name("QM1"), &rows, Speaks::RELEASE).unwrap());
    alone.store = rows;
    Event::SnapshotInstalled { from: NodeId(2), term: 1, meta, state }
}

#[test]
fn a_snapshot_that_comes_late_is_brought_up_to_date_from_memory() {
    let mut alone = Alone::new();
    alone.put(APP, "one");
    let late = snapshot_of(&mut alone);
    alone.put(APP, "two");
    alone.turn([late]);
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
    assert_eq!(alone.get(OTHER, get()), Ok("two".into()));
}

#[test]
fn a_waiting_get_is_served_by_the_next_put_or_ends_with_2033() {
    let mut alone = Alone::new();
    let waiting = Get { wait: Wait::For(Duration::from_secs(1)), ..get() };
    let first = alone.begin(OTHER, Call::Get(waiting.clone()));
    assert_eq!(alone.answer(OTHER, first), None);
    alone.put(APP, "one");
    assert_eq!(text_of(alone.answer(OTHER, first).unwrap()), Ok("one".into()));

    let second = alone.begin(OTHER, Call::Get(waiting));
    alone.pass(Duration::from_millis(999));
    assert_eq!(alone.answer(OTHER, second), None);
    alone.pass(Duration::from_millis(1));
    assert_eq!(text_of(alone.answer(OTHER, second).unwrap()), Err(Reason::NoMsgAvailable));
}

#[test]
fn a_reply_finds_the_waiter_that_wants_its_correlation_id() {
    let mut alone = Alone::new();
    let wanting =
        |id: u8| Selection { correlation_id: CorrelationId::from_slice(&[id]), ..Selection::default() };
    let tokens: Vec<Token> = (1..=3)
        .map(|id| alone.begin(OTHER, Call::Get(Get { wait: Wait::Forever, selection: wanting(id), ..get() })))
        .collect();
    let mut reply = put("for two");
    reply.message.descriptor.correlation_id = CorrelationId::from_slice(&[2]).unwrap();
    alone.ok(APP, Call::Put(reply));
    assert_eq!(text_of(alone.answer(OTHER, tokens[1]).unwrap()), Ok("for two".into()));
    assert_eq!(alone.answer(OTHER, tokens[0]), None);
}

/// A message of a group as a program that gives numbers itself puts it; its text is the group's name and its number.
fn in_group(group: usize, number: u32, is_last: bool) -> Put {
    let mut put = put(&format!("{group}.{number}"));
    let group_id = GroupId([group as u8 + 1; 24]);
    put.message.descriptor.set_in_group(InGroup { group_id, sequence_number: number, is_last });
    put.message.descriptor.message_flags |= if is_last { message_flags::LAST_MSG_IN_GROUP } else { 0 };
    put
}

fn of_whole_groups() -> Get {
    let selection = Selection { logical_order: true, whole_groups: true, ..Selection::default() };
    Get { selection, ..get() }
}

/// Messages of groups in any order, and two programs that get now and then.
#[test]
fn each_group_is_got_whole_and_in_its_order_by_one_program() {
    let mut alone = Alone::new();
    let mut seed = 5u64;
    let mut draw = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let sizes: Vec<u32> = (0..30).map(|group| group % 5 + 1).collect();
    let mut left: Vec<(usize, u32)> = sizes
        .iter()
        .enumerate()
        .flat_map(|(group, size)| (1..=*size).map(move |number| (group, number)))
        .collect();
    let mut there = vec![0; sizes.len()];
    let mut taken = vec![false; sizes.len()];
    let mut begun: BTreeMap<SessionId, (usize, u32)> = BTreeMap::new();
    let mut got = 0;
    while got < sizes.iter().sum::<u32>() {
        if !left.is_empty() && draw(2) == 0 {
            let (group, number) = left.swap_remove(draw(left.len()));
            alone.ok(APP, Call::Put(in_group(group, number, number == sizes[group])));
            there[group] += 1;
            continue;
        }
        let session = [APP, OTHER][draw(2)];
        let text = alone.get(session, of_whole_groups());
        let may_begin = (0..sizes.len()).any(|group| there[group] == sizes[group] && !taken[group]);
        match (text, begun.remove(&session)) {
            (Ok(text), Some((group, number))) => {
                assert_eq!(text, format!("{group}.{}", number + 1), "a group goes on with its next message");
                got += 1;
                begun.extend((number + 1 < sizes[group]).then_some((session, (group, number + 1))));
            }
            (Ok(text), None) => {
                let group: usize =
                    text.strip_suffix(".1").expect("a group begins with its first message").parse().unwrap();
                assert_eq!(
                    (there[group], taken[group]),
                    (sizes[group], false),
                    "group {group} is whole, and nobody's"
                );
                taken[group] = true;
                got += 1;
                begun.extend((sizes[group] > 1).then_some((session, (group, 1))));
            }
            (Err(reason), begun) => {
                assert_eq!(
                    (reason, begun, may_begin),
                    (Reason::NoMsgAvailable, None, false),
                    "nothing is held back"
                );
            }
        }
    }
    assert_eq!(alone.get(APP, of_whole_groups()), Err(Reason::NoMsgAvailable));
}

#[test]
fn a_get_of_groups_looks_at_what_it_finds_and_not_at_the_queue() {
    let mut alone = Alone::new();
    const MANY: u32 = 2_000;
    // Groups that lack something, and one whose last message came first.
    (0..200).for_each(|group| drop(alone.ok(APP, Call::Put(in_group(group, 2, true)))));
    (1..=MANY).rev().for_each(|number| drop(alone.ok(APP, Call::Put(in_group(250, number, number == MANY)))));
    assert_eq!(alone.get(APP, of_whole_groups()), Ok("250.1".into()), "what there is becomes known");
    for number in 2..=MANY {
        alone.next_token += 1;
        let token = Token(alone.next_token);
        let mut events = vec![Event::Call { session: APP, token, call: Call::Get(of_whole_groups()) }];
        while !events.is_empty() || alone.replica.is_not_done() {
            alone.one_turn(&mut events);
            let (done, _) = alone.replica.turn_work();
            assert!(done < 100, "{done} for message {number}");
        }
    }
    assert_eq!(alone.replica.queue_manager().sums().messages, 200);
}

#[test]
fn a_wait_for_a_whole_group_ends_with_the_message_that_it_lacked() {
    let mut alone = Alone::new();
    let waiting = |get: Get| Call::Get(Get { wait: Wait::Forever, ..get });
    let logical = alone.begin(OTHER, waiting(of_whole_groups()));
    let named = |number| Selection {
        group_id: Some(GroupId([3; 24])),
        sequence_number: Some(number),
        whole_groups: true,
        ..Selection::default()
    };
    let second = alone.begin(APP, waiting(Get { selection: named(2), ..get() }));
    alone.ok(APP, Call::Put(in_group(2, 3, true)));
    alone.ok(APP, Call::Put(in_group(2, 2, false)));
    assert_eq!((alone.answer(OTHER, logical), alone.answer(APP, second)), (None, None));
    alone.pass(Duration::from_secs(120));
    alone.ok(APP, Call::Put(in_group(2, 1, false)));
    assert_eq!(text_of(alone.answer(OTHER, logical).expect("the group is whole")), Ok("2.1".into()));
    assert_eq!(alone.answer(APP, second), None, "and not whole any more");
    let mut rest = Vec::new();
    for _ in 0..2 {
        rest.push(alone.get(OTHER, of_whole_groups()).unwrap());
    }
    assert_eq!(rest, ["2.2", "2.3"]);
    (1..=3).for_each(|number| drop(alone.ok(OTHER, Call::Put(in_group(2, number, number == 3)))));
    assert_eq!(text_of(alone.answer(APP, second).expect("it is whole again")), Ok("2.2".into()));
}

#[test]
fn a_wait_for_a_whole_group_ends_when_a_message_behind_a_gap_leaves() {
    let mut alone = Alone::new();
    let waits = alone.begin(OTHER, Call::Get(Get { wait: Wait::Forever, ..of_whole_groups() }));
    alone.ok(APP, Call::Put(in_group(2, 4, false)));
    (1..=2).for_each(|number| drop(alone.ok(APP, Call::Put(in_group(2, number, number == 2)))));
    assert_eq!(alone.answer(OTHER, waits), None, "the third one lacks");
    assert_eq!(alone.get(APP, get()), Ok("2.4".into()));
    assert_eq!(text_of(alone.answer(OTHER, waits).expect("the group is whole")), Ok("2.1".into()));
}

#[test]
fn a_copy_that_has_expired_hides_no_other_from_who_looks_for_the_first_of_a_group() {
    let mut alone = Alone::new();
    let logical = || Get { selection: Selection { logical_order: true, ..Selection::default() }, ..get() };
    let mut short = in_group(2, 1, false);
    short.message.descriptor.expiry = Some(5);
    alone.ok(APP, Call::Put(short));
    alone.ok(APP, Call::Put(in_group(2, 1, false)));
    assert!(alone.get(OTHER, Get { selection: logical().selection, ..browse(GetMode::BrowseFirst) }).is_ok());
    // Expired, and not gone yet.
    alone.now.wall.0 += 1_000;
    assert_eq!(alone.get(OTHER, logical()), Ok("2.1".into()));
    assert_eq!(alone.get(APP, get()), Err(Reason::NoMsgAvailable));
}

#[test]
fn a_wait_for_a_whole_group_ends_when_the_copy_that_broke_it_expires() {
    let mut alone = Alone::new();
    let waits = alone.begin(OTHER, Call::Get(Get { wait: Wait::Forever, ..of_whole_groups() }));
    let mut stray = in_group(2, 4, false);
    stray.message.descriptor.expiry = Some(5);
    alone.ok(APP, Call::Put(stray));
    (1..=2).for_each(|number| drop(alone.ok(APP, Call::Put(in_group(2, number, number == 2)))));
    assert_eq!(alone.answer(OTHER, waits), None);
    alone.pass(Duration::from_millis(600));
    assert_eq!(text_of(alone.answer(OTHER, waits).expect("the group is whole")), Ok("2.1".into()));
}

#[test]
fn those_who_wait_for_other_messages_cost_a_put_nothing() {
    let mut alone = Alone::new();
    let id = |byte| Some(CorrelationId([byte; 24]));
    for n in 0..2_000 {
        let selection = match n % 2 {
            0 => Selection { sequence_number: Some(7), ..Selection::default() },
            _ => {
                Selection { correlation_id: id(1), group_id: Some(GroupId([9; 24])), ..Selection::default() }
            }
        };
        alone.begin(OTHER, Call::Get(Get { wait: Wait::Forever, selection, ..get() }));
    }
    let mut put = put("for somebody else");
    put.message.descriptor.correlation_id = id(1).unwrap();
    alone.next_token += 1;
    let mut events = vec![Event::Call { session: APP, token: Token(alone.next_token), call: Call::Put(put) }];
    while !events.is_empty() || alone.replica.is_not_done() {
        alone.one_turn(&mut events);
        let (done, _) = alone.replica.turn_work();
        assert!(done < 100, "{done}");
    }
    assert_eq!(alone.replica.queue_manager().sums().messages, 1);
}

/// A commit is refused because its unit's outcome was asked for before.
#[test]
fn a_commit_that_is_refused_leaves_a_handle_in_its_group_where_it_was_and_counts_as_a_back_out() {
    let mut alone = Alone::new();
    let in_order = |text: &str, is_last: bool| {
        let mut put = put(text);
        let flag = if is_last { message_flags::LAST_MSG_IN_GROUP } else { message_flags::MSG_IN_GROUP };
        put.message.descriptor.message_flags = flag;
        Call::Put(Put { syncpoint: true, logical_order: true, ..put })
    };
    alone.ok(APP, in_order("one", false));
    assert_eq!(alone.outcome("lost", 0), UnitState::BackedOut);
    assert_eq!(alone.call(APP, commit("lost")).reason, Reason::BackedOut);
    (0..2).for_each(|n| drop(alone.ok(APP, in_order(&format!("{n}"), n == 1))));
    alone.ok(APP, commit("first"));
    let under_syncpoint = || Get { syncpoint: true, ..of_whole_groups() };
    assert_eq!(
        alone.get(OTHER, under_syncpoint()),
        Ok("0".into()),
        "the group begins with its first message"
    );
    assert_eq!(alone.outcome("lost too", 0), UnitState::BackedOut);
    assert_eq!(alone.call(OTHER, commit("lost too")).reason, Reason::BackedOut);
    let Data::Got { message, .. } = alone.ok(OTHER, Call::Get(under_syncpoint())) else { panic!() };
    assert_eq!((&message.body.to_bytes()[..], message.descriptor.backout_count), (&b"0"[..], 1));
}

#[test]
fn the_demonstration_takes_four_of_five_under_the_cursor() {
    let mut alone = Alone::new();
    for text in ["Hello", "This", "is", "a", "test"] {
        alone.put(APP, text);
    }
    let mut mode = GetMode::BrowseFirst;
    for text in ["Hello", "This", "is", "a"] {
        assert_eq!(alone.get(OTHER, browse(mode)), Ok(text.into()));
        assert_eq!(alone.get(OTHER, browse(GetMode::UnderCursor)), Ok(text.into()));
        mode = GetMode::BrowseNext;
    }
    assert_eq!(alone.get(OTHER, browse(GetMode::BrowseNext)), Ok("test".into()));
    assert_eq!(alone.get(OTHER, browse(GetMode::BrowseNext)), Err(Reason::NoMsgAvailable));
    assert_eq!(alone.get(OTHER, browse(GetMode::BrowseFirst)), Ok("test".into()));
}

#[test]
fn a_repeated_sequence_is_stored_once_and_answered_with_the_original() {
    let mut alone = Alone::new();
    let once = Put { producer: numbered("app", 1), ..put("one") };
    let Data::Placed { message_id, duplicate: false, .. } = alone.ok(APP, Call::Put(once.clone())) else {
        panic!()
    };
    let again = alone.ok(OTHER, Call::Put(once));
    assert_eq!(again, Data::Placed { message_id, in_group: None, duplicate: true, only_id_known: false });
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
    assert_eq!(alone.get(OTHER, get()), Err(Reason::NoMsgAvailable));
}

#[test]
fn the_outcome_of_a_unit_is_final() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Put(Put { syncpoint: true, ..put("one") }));
    alone.ok(APP, commit("first"));
    assert_eq!(alone.outcome("first", 0), UnitState::Committed);

    alone.ok(APP, Call::Put(Put { syncpoint: true, ..put("two") }));
    assert_eq!(alone.outcome("late", 0), UnitState::BackedOut);
    let late = alone.call(APP, commit("late"));
    assert_eq!(late.reason, Reason::BackedOut);
    assert!(late.detail.unwrap().contains("commit them under another id"));
    alone.ok(APP, Call::Put(Put { syncpoint: true, ..put("one, again") }));
    let again = alone.call(APP, commit("first"));
    assert_eq!(again.reason, Reason::BackedOut);
    assert!(again.detail.unwrap().contains("was committed before"));
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
    assert_eq!(alone.get(OTHER, get()), Err(Reason::NoMsgAvailable));
}

/// Two outcomes, two producers and two names are remembered, and nothing longer because it is young.
fn little() -> Retention {
    let few = Retention {
        outcomes_min: 2,
        outcomes_max: 2,
        producers_min: 2,
        producers_max: 2,
        ..Retention::default()
    };
    Retention { names_max: 2, age_ms: 0, ..few }
}

#[test]
fn a_unit_that_was_committed_and_forgotten_is_never_said_to_be_backed_out() {
    let mut alone = Alone::with(Options { retention: little(), ..options(usize::MAX) });
    for name in ["first", "second", "third"] {
        alone.ok(APP, Call::Put(Put { syncpoint: true, ..put(name) }));
        alone.ok(APP, commit(name));
    }
    assert_eq!(alone.replica.queue_manager().units_decided(), 3);
    assert_eq!(alone.outcome("third", 0), UnitState::Committed);
    assert_eq!(alone.outcome("first", 0), UnitState::Forgotten, "its message is on the queue");
    assert_eq!(alone.get(OTHER, get()), Ok("first".into()));
    assert_eq!(alone.outcome("never", 3), UnitState::BackedOut, "all that came after it are remembered");
}

#[test]
fn a_commit_that_comes_when_its_seal_is_forgotten_is_refused() {
    let mut alone = Alone::with(Options { retention: little(), ..options(usize::MAX) });
    alone.ok(APP, Call::Put(Put { syncpoint: true, ..put("late") }));
    assert_eq!(alone.outcome("late", 0), UnitState::BackedOut);
    for name in ["one", "two"] {
        alone.ok(OTHER, Call::Put(Put { syncpoint: true, ..put(name) }));
        alone.ok(OTHER, commit(name));
    }
    assert_eq!(alone.call(APP, commit("late")).reason, Reason::BackedOut);
}

#[test]
fn a_put_is_not_stored_again_after_its_producer_was_idle_while_many_others_put() {
    let mut alone = Alone::with(Options { retention: little(), ..options(usize::MAX) });
    let once = |producer| Call::Put(Put { producer: numbered(producer, 1), ..put(producer) });
    for producer in ["idle", "a", "b"] {
        alone.ok(APP, once(producer));
    }
    let again = alone.call(APP, once("idle"));
    assert_eq!(again.reason, Reason::UnexpectedError);
    assert!(again.detail.unwrap().contains("Nobody can tell"));
    alone.ok(APP, Call::Put(Put { producer: numbered("idle", 2), ..put("the next one") }));
    let got: Vec<_> = (0..5).map_while(|_| alone.get(OTHER, get()).ok()).collect();
    assert_eq!(got, ["idle", "a", "b", "the next one"]);
}

#[test]
fn refusals_have_the_reason_codes_of_mq() {
    let mut alone = Alone::new();
    let alter = |attributes: &[(&str, &str)]| Call::Admin(Admin::alter_local(&name("Q"), attributes));
    alone.ok(APP, alter(&[("MAXDEPTH", "1"), ("MAXMSGL", "5")]));
    assert_eq!(alone.call(APP, Call::Put(put("too long"))).reason, Reason::MsgTooBigForQ);
    alone.put(APP, "one");
    assert_eq!(alone.call(APP, Call::Put(put("two"))).reason, Reason::QFull);
    let unknown = Put { to: PutTarget::Queue(name("NOPE")), ..put("x") };
    assert_eq!(alone.call(APP, Call::Put(unknown)).reason, Reason::UnknownObjectName);
    assert_eq!(alone.call(APP, Call::Get(Get { handle: HandleId(9), ..get() })).reason, Reason::HobjError);
    assert_eq!(
        alone.call(APP, Call::Get(Get { max_length: Some(1), ..get() })).reason,
        Reason::TruncatedMsgFailed
    );
    alone.ok(APP, alter(&[("GET", "DISABLED")]));
    assert_eq!(alone.call(APP, Call::Get(get())).reason, Reason::GetInhibited);
    alone.ok(APP, alter(&[("PUT", "DISABLED")]));
    assert_eq!(alone.call(APP, Call::Put(put("x"))).reason, Reason::PutInhibited);
    let delete = Call::Admin(Admin::Delete { object: ObjectRef::local_queue(&name("Q")), purge: true });
    assert_eq!(alone.call(APP, delete).reason, Reason::ObjectInUse);
    alone.turn([Event::Disk { room: DiskRoom::Low { text: "full".into() } }]);
    alone.ok(APP, alter(&[("PUT", "ENABLED"), ("MAXDEPTH", "9")]));
    assert_eq!(alone.call(APP, Call::Put(put("x"))).reason, Reason::StorageMediumFull);
}

#[test]
fn two_changes_at_once_are_both_there() {
    let mut alone = Alone::new();
    let alter = |token, attribute| Event::Call {
        session: APP,
        token: Token(token),
        call: Call::Admin(Admin::alter_local(&name("Q"), &[attribute])),
    };
    alone.turn([alter(101, ("DESCR", "orders")), alter(102, ("MAXDEPTH", "7"))]);
    for token in [101, 102] {
        assert_eq!(alone.answer(APP, Token(token)), Some(Completion::done()));
    }
    let definition = alone.replica.state.catalog().queue_named("Q").unwrap();
    assert_eq!((definition.text(2013), definition.number(15)), ("orders", 7));
}

#[test]
fn what_cannot_be_placed_goes_to_the_dead_letter_queue_when_asked() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::define_local(&name("DEAD"), &[])));
    alone.ok(APP, Call::Admin(Admin::alter_manager(&[("DEADQ", "DEAD")])));
    let lost = Put { to: PutTarget::Queue(name("NOPE")), dead_letter: true, ..put("lost") };
    let answer = alone.call(APP, Call::Put(lost));
    assert_eq!(
        (answer.code, answer.reason),
        (crate::types::CompletionCode::Warning, Reason::UnknownObjectName)
    );
    let view = alone.ok(APP, Call::Admin(Admin::display_local("DEAD")));
    let Data::Objects(page) = view else { panic!() };
    let views = page.objects;
    assert_eq!(views[0].queue.as_ref().unwrap().depth, 1);
}

#[test]
fn a_message_that_is_backed_out_too_often_moves_when_the_queue_says_so() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::define_local(&name("BACK"), &[])));
    let moves = [("BOTHRESH", "2"), ("BOQNAME", "BACK"), ("BACKOUT_MOVE", "YES")];
    alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &moves)));
    alone.put(APP, "poison");
    for _ in 0..2 {
        assert_eq!(alone.get(APP, Get { syncpoint: true, ..get() }), Ok("poison".into()));
        alone.ok(APP, Call::Backout);
    }
    assert_eq!(alone.get(APP, get()), Err(Reason::NoMsgAvailable));
    let Data::Objects(page) = alone.ok(APP, Call::Admin(Admin::display_local("BACK"))) else { panic!() };
    let views = page.objects;
    assert_eq!(views[0].queue.as_ref().unwrap().depth, 1);
}

#[test]
fn a_backout_queue_may_be_named_by_an_alias_and_not_by_one_that_leads_back() {
    for (target, moves) in [("BACK", true), ("Q", false)] {
        let mut alone = Alone::new();
        define(&mut alone, ObjectKind::LocalQueue, "BACK", &[]);
        define(&mut alone, ObjectKind::AliasQueue, "A", &[("TARGET", target)]);
        let rules = [("BOTHRESH", "1"), ("BOQNAME", "A"), ("BACKOUT_MOVE", "YES")];
        alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &rules)));
        alone.put(APP, "poison");
        assert_eq!(alone.get(APP, Get { syncpoint: true, ..get() }), Ok("poison".into()));
        alone.ok(APP, Call::Backout);
        let left = alone.get(APP, get());
        assert_eq!(left, if moves { Err(Reason::NoMsgAvailable) } else { Ok("poison".into()) });
    }
}

#[test]
fn messages_expire_by_the_clock_of_the_log() {
    let mut alone = Alone::new();
    let mut brief = put("brief");
    brief.message.descriptor.expiry = Some(10);
    alone.ok(APP, Call::Put(brief));
    alone.put(APP, "lasting");
    alone.now.wall.0 += 1000;
    assert_eq!(alone.get(OTHER, browse(GetMode::BrowseFirst)), Ok("lasting".into()));
    alone.pass(Duration::from_millis(1100));
    assert_eq!(alone.replica.queue_manager().sums().messages, 1);
}

#[test]
fn what_is_not_persistent_is_delivered_in_order_and_counted() {
    let mut alone = Alone::new();
    alone.put(APP, "one");
    alone.ok(APP, Call::Put(volatile("two", 1)));
    alone.put(APP, "three");
    alone.ok(APP, Call::Put(Put { syncpoint: true, ..volatile("four", 2) }));
    alone.ok(APP, Call::Commit { unit: None, units_decided: None });
    let view = queue_of(alone.ok(APP, Call::Inquire { handle: HANDLE }));
    assert_eq!((view.depth, view.not_persistent), (4, 2));
    for text in ["one", "two", "three", "four"] {
        assert_eq!(alone.get(OTHER, get()), Ok(text.into()));
    }
}

#[test]
fn who_deletes_with_a_handle_is_in_the_log_and_who_defined_is_kept() {
    let mut alone = Alone::new();
    define(&mut alone, ObjectKind::ModelQueue, "MODEL", &[("DEFTYPE", "PERMDYN")]);
    let (dynamic, inquire) = ("MADE".to_string(), OpenOptions { inquire: true, ..OpenOptions::default() });
    let (handle, queue) = (HandleId(7), name("MODEL"));
    alone.ok(APP, Call::Open { handle, queue, options: inquire, dynamic, selector: None });
    alone.ok(APP, Call::Close { handle, close: CloseOption::Delete });
    alone.pass(Duration::from_millis(50));
    let entries = alone.logged.iter().filter_map(|data| command::decode(data.clone(), Speaks::RELEASE).ok());
    let commands: Vec<Command> = entries.flat_map(|(_, commands)| commands).collect();
    let by_joe = |by: &By| (by.user.as_str(), by.application.as_str()) == ("joe", "app");
    assert!(commands.iter().any(|command| matches!(command, Command::Delete { by, .. } if by_joe(by))));
    let made = ObjectRef::new(ObjectKind::ModelQueue, "MODEL");
    assert!(by_joe(&alone.replica.state.catalog().get(&made).unwrap().altered_by));
}

#[test]
fn a_temporary_queue_goes_with_the_handle_that_made_it_and_with_no_other() {
    let mut alone = Alone::new();
    define(&mut alone, ObjectKind::ModelQueue, "MODEL", &[("DEFTYPE", "TEMPDYN")]);
    let (dynamic, inquire) = ("MADE".to_string(), OpenOptions { inquire: true, ..OpenOptions::default() });
    let (handle, queue) = (HandleId(7), name("MODEL"));
    alone.ok(APP, Call::Open { handle, queue, options: inquire, dynamic, selector: None });
    for session in [APP, OTHER] {
        alone.ok(session, opening(8, "MADE", inquire));
        for close in [CloseOption::Delete, CloseOption::Purge] {
            let refused = alone.call(session, Call::Close { handle: HandleId(8), close });
            assert_eq!(refused.reason, Reason::OptionNotValidForType);
        }
        alone.ok(session, Call::Close { handle: HandleId(8), close: CloseOption::Keep });
    }
    alone.ok(APP, Call::Close { handle, close: CloseOption::Purge });
    assert_eq!(alone.call(APP, opening(8, "MADE", inquire)).reason, Reason::UnknownObjectName);
}

/// Opens it under the handle.
fn opening(handle: u32, queue: &str, options: OpenOptions) -> Call {
    let (handle, queue, dynamic) = (HandleId(handle), name(queue), String::new());
    Call::Open { handle, queue, options, dynamic, selector: None }
}

fn define(alone: &mut Alone, kind: ObjectKind, object: &str, said: &[(&str, &str)]) {
    let changes = Changes::parse(kind, said.iter().copied()).unwrap();
    let (object, like) = (ObjectRef::new(kind, object), String::new());
    alone.ok(APP, Call::Admin(Admin::Define { object, like, replace: false, changes }));
}

#[test]
fn an_alias_is_inquired_and_set_as_itself() {
    let mut alone = Alone::new();
    define(&mut alone, ObjectKind::AliasQueue, "A", &[("TARGET", "Q"), ("DEFPSIST", "NO")]);
    let options = OpenOptions { inquire: true, set: true, input: true, ..OpenOptions::default() };
    let Data::Opened(opened) = alone.ok(APP, opening(7, "A", options)) else { panic!() };
    assert_eq!((opened.resolved, opened.defpsist, opened.made), (name("Q"), false, None));
    let inhibit = Changes::default().with(ObjectKind::AliasQueue, "GET", "DISABLED");
    alone.ok(APP, Call::Set { handle: HandleId(7), changes: inhibit.clone() });
    let Data::Inquired(object) = alone.ok(APP, Call::Inquire { handle: HandleId(7) }) else { panic!() };
    assert_eq!(object.definition.object, ObjectRef::new(ObjectKind::AliasQueue, "A"));
    assert_eq!(object.definition.number(selector::INHIBIT_GET), 1);
    assert_eq!(object.queue.unwrap().definition.number(selector::INHIBIT_GET), 0, "Q is as it was");
    // A remote definition has no word on gets; whoever was not let in to set does not.
    define(&mut alone, ObjectKind::RemoteQueue, "R", &[("RNAME", "Q"), ("RQMNAME", "QM1")]);
    alone.ok(APP, opening(8, "R", OpenOptions { inquire: true, set: true, ..OpenOptions::default() }));
    let call = |handle| Call::Set { handle: HandleId(handle), changes: inhibit.clone() };
    assert_eq!(alone.call(APP, call(8)).reason, Reason::SelectorNotForType);
    assert_eq!(alone.call(APP, call(HANDLE.0)).reason, Reason::NotOpenForSet);
    assert_eq!(alone.call(APP, call(99)).reason, Reason::HobjError);
}

#[test]
fn who_did_not_open_for_it_does_not_inquire() {
    let mut alone = Alone::new();
    let reads = OpenOptions { input: true, browse: true, ..OpenOptions::default() };
    alone.ok(APP, opening(7, "Q", reads));
    let refused = alone.call(APP, Call::Inquire { handle: HandleId(7) });
    assert_eq!(refused.reason, Reason::NotOpenForInquire);
}

#[test]
fn the_queue_manager_is_opened_for_inquiring_and_nothing_else() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::alter_manager(&[("DESCR", "Orders"), ("MAXHANDS", "3")])));
    let inquire = OpenOptions { inquire: true, ..OpenOptions::default() };
    let open = |handle, options| Call::OpenManager { handle: HandleId(handle), options };
    alone.ok(APP, open(7, inquire));
    let Data::Inquired(object) = alone.ok(APP, Call::Inquire { handle: HandleId(7) }) else { panic!() };
    assert_eq!((object.definition.text(2014), object.queue), ("Orders", None));
    alone.ok(APP, open(8, OpenOptions::default()));
    let refused = [
        (open(9, OpenOptions { output: true, ..inquire }), 2045),
        (open(7, inquire), 2019),
        // MAXHANDS counts those of queues and of the queue manager.
        (open(9, inquire), 2017),
        (opening(9, "Q", inquire), 2017),
        (Call::Inquire { handle: HandleId(8) }, 2038),
        (Call::Put(Put { to: PutTarget::Handle(HandleId(7)), ..put("x") }), 2039),
        (Call::Get(Get { handle: HandleId(7), ..get() }), 2037),
        (Call::Set { handle: HandleId(7), changes: Changes::default() }, 2040),
    ];
    for (call, reason) in refused {
        let shown = format!("{call:?}");
        assert_eq!(alone.call(APP, call).reason.number(), reason, "{shown}");
    }
    alone.ok(APP, Call::Close { handle: HandleId(8), close: CloseOption::Keep });
    alone.ok(APP, opening(9, "Q", inquire));
}

#[test]
fn whoever_leaves_it_to_the_queue_opens_it_as_the_queue_says() {
    let mut alone = Alone::new();
    define(&mut alone, ObjectKind::LocalQueue, "ALONE", &[("DEFSOPT", "EXCL")]);
    let shared = OpenOptions { input: true, ..OpenOptions::default() };
    alone.ok(APP, opening(7, "ALONE", OpenOptions { as_defined: true, ..shared }));
    assert_eq!(alone.call(OTHER, opening(7, "ALONE", shared)).reason, Reason::ObjectInUse);
    alone.ok(APP, Call::Close { handle: HandleId(7), close: CloseOption::Keep });
    alone.ok(APP, opening(7, "ALONE", shared));
    alone.ok(OTHER, opening(7, "ALONE", shared));
}

#[test]
fn a_body_is_as_long_as_the_queue_manager_allows() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::alter_manager(&[("MAXMSGL", "32768")])));
    let refused = alone.call(APP, Call::Put(put(&"x".repeat(32_769))));
    assert_eq!(refused.reason, Reason::MsgTooBigForQMgr);
    alone.ok(APP, Call::Put(put(&"x".repeat(32_768))));
}

#[test]
fn context_is_set_by_handles_that_were_opened_for_it() {
    let mut alone = Alone::new();
    let opened = |context| OpenOptions { output: true, context, ..OpenOptions::default() };
    alone.ok(APP, opening(7, "Q", opened(Context::Identity)));
    alone.ok(APP, opening(8, "Q", opened(Context::All)));
    let by =
        |handle, context| Call::Put(Put { to: PutTarget::Handle(HandleId(handle)), context, ..put("x") });
    alone.ok(APP, by(7, Context::Identity));
    alone.ok(APP, by(8, Context::All));
    assert_eq!(alone.call(APP, by(7, Context::All)).reason, Reason::NotOpenForSetAll);
    assert_eq!(alone.call(APP, by(HANDLE.0, Context::Identity)).reason, Reason::NotOpenForSetIdent);
    assert_eq!(alone.call(APP, by(HANDLE.0, Context::PassAll)).reason, Reason::NotOpenForPassAll);
    assert_eq!(alone.call(APP, by(7, Context::PassAll)).reason, Reason::NotOpenForPassAll);
    alone.ok(APP, by(7, Context::PassIdentity));
    alone.ok(APP, by(8, Context::PassAll));
}

#[test]
fn a_command_is_of_whoever_put_it_whatever_its_context_says() {
    let mut alone = Alone::new();
    let commands = "SYSTEM.ADMIN.COMMAND.QUEUE";
    define(&mut alone, ObjectKind::LocalQueue, commands, &[]);
    define(&mut alone, ObjectKind::AliasQueue, "COMMANDS", &[("TARGET", commands)]);
    let said = |context, handle| {
        let mut put = Put { to: PutTarget::Handle(HandleId(handle)), context, ..put("x") };
        let forged = wire::Descriptor { user_identifier: "mallory".into(), ..Default::default() };
        put.message.descriptor.set_rest(&forged);
        Call::Put(put)
    };
    let users = |alone: &Alone, queue: &str| -> Vec<String> {
        let id = alone.replica.queue_manager().queue_id(&ObjectName::new(queue).unwrap()).unwrap();
        let queue = alone.replica.queue_manager().queue(id).unwrap();
        let messages = queue.iter().map(|(_, slot)| slot.message.as_ref().expect("it is young"));
        messages.map(|message| message.descriptor.rest().user_identifier).collect()
    };
    for (handle, name, context) in
        [(7, commands, Context::All), (8, "COMMANDS", Context::Identity), (9, "Q", Context::All)]
    {
        let opened = OpenOptions { output: true, context, ..OpenOptions::default() };
        alone.ok(APP, opening(handle, name, opened));
        alone.ok(APP, said(context, handle));
    }
    let own = users(&alone, commands);
    assert!(own.len() == 2 && own.iter().all(|user| user == "joe"), "{own:?}");
    assert_eq!(users(&alone, "Q"), ["mallory"], "elsewhere whoever may set context sets it");
}

#[test]
fn whoever_shows_a_wrong_password_is_not_let_in() {
    let mut alone = Alone::new();
    let session = SessionId(77);
    for (how, is_in) in [(Proof::WrongPassword, false), (Proof::Password, true)] {
        let authenticated = Some(Authenticated { user: "joe".into(), how });
        let identity = Identity { authenticated, ..Identity::of("joe") };
        alone.turn([Event::Connect { session, connect: Connect::new(identity, "app") }]);
        let admitted = alone.admitted.remove(&session).unwrap();
        assert_eq!(admitted.is_ok(), is_in, "{admitted:?}");
        if let Err(refusal) = admitted {
            assert_eq!(refusal.reason, Reason::NotAuthorized);
        }
    }
}

/// What an inquiry tells of a queue.
fn queue_of(data: Data) -> QueueView {
    match data {
        Data::Inquired(object) => object.queue.expect("a queue"),
        other => panic!("an inquiry became {other:?}"),
    }
}

/// Not persistent, the producer's number `sequence`.
fn volatile(text: &str, sequence: u64) -> Put {
    let mut put = Put { producer: numbered("app", sequence), ..put(text) };
    put.message.descriptor.persistence = Persistence::NotPersistent;
    put
}

#[test]
fn a_repeated_put_that_is_not_persistent_is_stored_once() {
    let mut alone = Alone::new();
    let Data::Placed { message_id, duplicate: false, .. } = alone.ok(APP, Call::Put(volatile("one", 1)))
    else {
        panic!()
    };
    let again = alone.ok(OTHER, Call::Put(volatile("one", 1)));
    assert_eq!(again, Data::Placed { message_id, in_group: None, duplicate: true, only_id_known: false });
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
    // Also when it was got meanwhile, and within a unit of work.
    let again = alone.ok(OTHER, Call::Put(Put { syncpoint: true, ..volatile("one", 1) }));
    assert_eq!(again, Data::Placed { message_id, in_group: None, duplicate: true, only_id_known: false });
    alone.ok(OTHER, Call::Commit { unit: None, units_decided: None });
    assert_eq!(alone.get(OTHER, get()), Err(Reason::NoMsgAvailable));
}

#[test]
fn a_repetition_is_answered_when_the_first_that_rides_behind_an_entry_is_there() {
    let mut alone = Alone::new();
    let put = |session, token, put| Event::Call { session, token: Token(token), call: Call::Put(put) };
    alone.turn([
        put(APP, 101, self::put("persistent")),
        put(APP, 102, volatile("one", 1)),
        put(OTHER, 103, volatile("one", 1)),
    ]);
    let first = alone.answer(APP, Token(102)).expect("answered").data;
    let Data::Placed { message_id, duplicate: false, .. } = first else { panic!("{first:?}") };
    let again = alone.answer(OTHER, Token(103)).expect("answered").data;
    assert_eq!(again, Data::Placed { message_id, in_group: None, duplicate: true, only_id_known: false });
    assert_eq!(alone.replica.queue_manager().sums().messages, 2);
    let queue = alone.replica.queue_manager().queue_id(&name("Q")).expect("defined");
    assert_eq!(alone.replica.standing.own().incoming(queue), 0);
}

#[test]
fn a_repetition_of_a_put_that_is_under_way_goes_on_with_its_group() {
    let mut alone = Alone::new();
    let member = |sequence, flags| {
        let mut put = Put { producer: numbered("app", sequence), logical_order: true, ..put("member") };
        put.message.descriptor.message_flags = flags;
        put
    };
    let mut again = member(1, message_flags::MSG_IN_GROUP);
    again.producer.as_mut().expect("it has one").repeated = true;
    let put = |session, token, put| Event::Call { session, token: Token(token), call: Call::Put(put) };
    alone.turn([
        put(APP, 101, member(1, message_flags::MSG_IN_GROUP)),
        put(OTHER, 102, again),
        put(OTHER, 103, member(2, message_flags::LAST_MSG_IN_GROUP)),
    ]);
    alone.turn([]);
    let placed = [(APP, 101), (OTHER, 102), (OTHER, 103)].map(|(session, token)| {
        let answer = alone.answer(session, Token(token)).expect("answered").data;
        let Data::Placed { in_group: Some(group), duplicate, .. } = answer else { panic!("{answer:?}") };
        (group.group_id, group.sequence_number, duplicate)
    });
    let group = placed[0].0;
    assert_eq!(placed, [(group, 1, false), (group, 1, true), (group, 2, false)]);
}

#[test]
fn a_put_is_stored_once_when_its_queue_stops_being_persistent_by_default() {
    let mut alone = Alone::new();
    let as_queue = || {
        let mut put = volatile("one", 1);
        put.message.descriptor.persistence = Persistence::AsQueue;
        put
    };
    let defpsist =
        |yes| Call::Admin(Admin::alter_local(&name("Q"), &[("DEFPSIST", if yes { "YES" } else { "NO" })]));
    let call = |session, token, call| Event::Call { session, token: Token(token), call };
    alone.ok(APP, defpsist(true));
    let queue = alone.replica.state.queue_id(&name("Q")).unwrap();
    // The first is under way when the default changes and the repetition comes.
    alone.replica.begin_turn(alone.now);
    alone.replica.handle(call(APP, 101, Call::Put(as_queue())));
    alone.replica.state.queue_mut(queue).unwrap().rules.defpsist = false;
    alone.turn([call(OTHER, 102, Call::Put(as_queue()))]);
    let first = alone.answer(APP, Token(101)).expect("answered").data;
    let Data::Placed { message_id, duplicate: false, .. } = first else { panic!("{first:?}") };
    let again = alone.answer(OTHER, Token(102)).expect("answered").data;
    assert_eq!(again, Data::Placed { message_id, in_group: None, duplicate: true, only_id_known: false });
    assert_eq!(alone.replica.queue_manager().sums().messages, 1);
}

#[test]
fn a_producer_goes_on_for_ever_without_anything_persistent() {
    let mut alone = Alone::new();
    for sequence in [1, 2, 10_001, 1_000_000] {
        alone.ok(APP, Call::Put(volatile("x", sequence)));
    }
    let later = Put { producer: numbered("app", 1_000_001), ..put("persistent at last") };
    alone.ok(APP, Call::Put(later));
    assert_eq!(alone.replica.queue_manager().sums().messages, 5);
}

#[test]
fn a_large_body_is_staged_and_comes_back_whole() {
    let mut alone = Alone::with_window(1);
    alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &[("MAXMSGL", "104857600")])));
    let text: String = (0..5_000_000 / 8).map(|n| format!("{n:08}")).collect();
    let token = alone.begin(APP, Call::Put(put(&text)));
    alone.put(OTHER, "small");
    assert!(alone.answer(APP, token).is_some());
    let mut alone = alone.restart_from_store();
    let first = alone.get(OTHER, get()).unwrap();
    assert!(first == text || first == "small");
    let second = alone.get(OTHER, get()).unwrap();
    assert!(second == text || second == "small");
}

#[test]
fn the_store_waits_for_the_message_of_a_large_body_and_writes_it_once() {
    let mut alone = Alone::with_window(1 << 20);
    alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &[("MAXMSGL", "104857600")])));
    let large = "x".repeat(5 << 20);
    alone.put(APP, &large);
    assert_eq!(alone.staged_rows, 0);
    // It does not wait for ever: the unit that this body belongs to is never committed.
    alone.ok(APP, Call::Put(Put { syncpoint: true, ..put(&large) }));
    let before = alone.store.meta.clone().map(|meta| meta.index);
    for _ in 0..8 {
        alone.put(OTHER, &"y".repeat(200 << 10));
    }
    assert!(alone.store.meta.as_ref().map(|meta| meta.index) > before);
    assert_eq!(alone.staged_rows, 20);
}

#[test]
fn little_reaches_the_store_after_a_while_and_sooner_where_room_is_missing() {
    let mut alone = Alone::new();
    let is_moved =
        |alone: &Alone| alone.replica.compaction.flushed_index() == alone.replica.consensus.applied_index();
    alone.put(APP, "one");
    assert!(!is_moved(&alone));
    alone.pass(Duration::from_secs(11));
    assert!(is_moved(&alone));

    alone.put(APP, "two");
    alone.turn([Event::Disk { room: DiskRoom::Low { text: "nearly full".into() } }]);
    assert_eq!(alone.get(APP, get()), Ok("one".into()));
    alone.pass(Duration::from_secs(2));
    assert!(is_moved(&alone), "what was got leaves the store");
    assert_eq!(alone.truncated, alone.replica.compaction.flushed_index(), "nothing is kept for others");
}

#[test]
fn a_sequence_that_a_unit_has_twice_is_put_once() {
    let mut alone = Alone::new();
    for (text, persistence) in [("one", Persistence::Persistent), ("two", Persistence::NotPersistent)] {
        let mut ids = Vec::new();
        for (sequence, repeated) in [(1, false), (3, false), (2, false), (3, true), (1, true)] {
            let mut put = Put { syncpoint: true, producer: numbered(text, sequence), ..put(text) };
            put.message.descriptor.persistence = persistence;
            let Data::Placed { message_id, duplicate, .. } = alone.ok(APP, Call::Put(put)) else { panic!() };
            assert_eq!(duplicate, repeated, "sequence {sequence}");
            ids.push(message_id);
        }
        assert_eq!((ids[3], ids[4]), (ids[1], ids[0]));
        alone.ok(APP, Call::Commit { unit: None, units_decided: None });
        let got: Vec<_> = (0..4).map(|_| alone.get(OTHER, get()).is_ok()).collect();
        assert_eq!(got, [true, true, true, false]);
    }
}

#[test]
fn a_unit_larger_than_an_entry_is_staged_as_a_whole() {
    let mut alone = Alone::new();
    let body = "x".repeat(1000);
    for _ in 0..3000 {
        alone.ok(APP, Call::Put(Put { syncpoint: true, ..put(&body) }));
    }
    alone.ok(APP, Call::Commit { unit: None, units_decided: None });
    assert_eq!(alone.replica.queue_manager().sums().messages, 3000);
}

#[test]
fn the_store_is_the_applied_state_and_messages_are_read_back_from_it() {
    let mut alone = Alone::with_window(5000);
    for number in 0..200 {
        alone.put(APP, &format!("message {number}"));
        if number % 3 == 0 {
            alone.get(OTHER, get()).unwrap();
        }
        if number % 7 == 3 {
            alone.get(OTHER, Get { syncpoint: true, ..get() }).unwrap();
            alone.ok(OTHER, Call::Backout);
        }
    }
    let resident = alone
        .replica
        .state
        .queues()
        .next()
        .unwrap()
        .iter()
        .filter(|(_, slot)| slot.message.is_some())
        .count();
    assert!(resident < 100, "{resident} messages are in memory");
    let left = alone.replica.queue_manager().sums().messages;
    let mut first = 200 - left;
    while let Ok(text) = alone.get(OTHER, get()) {
        assert_eq!(text, format!("message {first}"));
        first += 1;
    }
    assert_eq!(first, 200);
}

#[test]
fn what_a_unit_was_given_and_the_store_has_leaves_memory_and_comes_back_with_a_backout() {
    let mut alone = Alone::with_window(1);
    let in_unit = || Get { syncpoint: true, ..get() };
    let long = |number: usize| format!("{number:05000}");
    // Some are got before they are in the store and some after it, and it moves when others put.
    for number in 0..20 {
        alone.put(APP, &long(number));
        if number % 2 == 0 {
            assert_eq!(alone.get(OTHER, in_unit()), Ok(long(number / 2)));
        }
    }
    while alone.get(OTHER, in_unit()).is_ok() {}
    alone.put(APP, "the store moves");
    alone.pass(Duration::from_secs(1));
    let queue = alone.replica.state.queues().next().unwrap();
    assert_eq!(queue.iter().filter(|(_, slot)| slot.message.is_some()).count(), 0);
    alone.ok(OTHER, Call::Backout);
    let Data::Got { message, .. } = alone.ok(APP, Call::Get(get())) else { panic!() };
    assert_eq!((message.body.to_bytes(), message.descriptor.backout_count), (long(0).into(), 1));
    (1..20).for_each(|number| assert_eq!(alone.get(APP, get()), Ok(long(number))));
}

#[test]
fn a_node_that_restarts_from_its_store_has_everything() {
    let mut alone = Alone::with_window(1);
    for text in ["one", "two", "three"] {
        alone.put(APP, text);
    }
    let once = Put { producer: numbered("app", 1), ..put("four") };
    alone.ok(APP, Call::Put(once.clone()));
    assert_eq!(alone.get(APP, Get { syncpoint: true, ..get() }), Ok("one".into()));
    alone.ok(APP, Call::Backout);
    let mut alone = alone.restart_from_store();
    assert!(matches!(alone.ok(APP, Call::Put(once)), Data::Placed { duplicate: true, .. }));
    let Data::Got { message, .. } = alone.ok(OTHER, Call::Get(get())) else { panic!() };
    assert_eq!((message.body.to_bytes(), message.descriptor.backout_count), ("one".into(), 1));
    assert_eq!(alone.get(OTHER, get()), Ok("two".into()));
}

#[test]
fn a_damaged_entry_leaves_the_log_as_soon_as_the_store_is_past_it() {
    let mut alone = Alone::new();
    alone.put(APP, "one");
    let damaged = alone.replica.consensus().applied_index();
    alone.put(APP, "two");
    assert!(alone.store.meta.is_none(), "the window is not full");
    alone.turn([Event::LogDamaged { upto: damaged }]);
    assert!(alone.store.meta.as_ref().is_some_and(|meta| meta.index >= damaged), "the store was moved");
    assert!(alone.truncated >= damaged, "cut up to {} for {damaged}", alone.truncated);

    // Damage in what is kept for peers only.
    let before = alone.truncated;
    alone.turn([Event::LogDamaged { upto: before }]);
    assert_eq!(alone.truncated, before);
    assert_eq!((alone.get(OTHER, get()), alone.get(OTHER, get())), (Ok("one".into()), Ok("two".into())));
}

/// A put of a message that lives so long.
fn short_lived(text: &str, tenths: u32) -> Put {
    let mut put = put(text);
    put.message.descriptor.expiry = Some(tenths);
    put
}

#[test]
fn the_time_of_a_message_under_syncpoint_begins_at_its_put() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Put(Put { syncpoint: true, ..short_lived("one", 50) }));
    let put_at = alone.now.wall;
    alone.pass(Duration::from_secs(4));
    alone.ok(APP, Call::Commit { unit: None, units_decided: None });
    let Data::Got { message, .. } = alone.ok(OTHER, Call::Get(browse(GetMode::BrowseFirst))) else {
        panic!()
    };
    assert_eq!(message.descriptor.put_at, put_at);
    alone.pass(Duration::from_secs(1));
    assert_eq!(alone.get(OTHER, get()), Err(Reason::NoMsgAvailable), "five seconds after its put");
}

#[test]
fn all_that_has_expired_leaves_at_once_however_much_it_is() {
    let mut alone = Alone::new();
    for number in 0..4_500 {
        let mut put = short_lived("short", 1);
        if number % 2 == 0 {
            put.message.descriptor.persistence = Persistence::NotPersistent;
        }
        alone.ok(APP, Call::Put(put));
    }
    alone.put(APP, "stays");
    for _ in 0..20 {
        alone.pass(Duration::from_millis(100));
    }
    let queue = alone.replica.state.queue_id(&name("Q")).unwrap();
    assert_eq!(alone.replica.state.queue(queue).unwrap().depth(), 1);
    assert_eq!(alone.replica.overdue(), Duration::ZERO);
    assert_eq!(alone.get(OTHER, get()), Ok("stays".into()));
}

/// Asks for these reports, to be put on `ANSWERS`.
fn asking(report: u32, mut put: Put) -> Put {
    let reply_to_queue = "ANSWERS".to_string();
    put.message.descriptor.report = ReportOptions(report);
    put.message.descriptor.set_rest(&wire::Descriptor { reply_to_queue, ..Default::default() });
    put
}

#[test]
fn what_has_expired_is_reported_some_in_each_turn_however_much_it_is() {
    const EXPIRATION: u32 = 0x0020_0000;
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::define_local(&name("ANSWERS"), &[])));
    for number in 0..1_000 {
        let mut put = asking(EXPIRATION, short_lived("short", 1));
        if number % 2 == 0 {
            put.message.descriptor.persistence = Persistence::NotPersistent;
        }
        alone.ok(APP, Call::Put(put));
    }
    alone.now.wall.0 += 2_000;
    alone.now.instant = alone.now.instant + Duration::from_secs(2);
    let (mut events, mut turns) = (Vec::new(), 0);
    while alone.replica.stats.reports < 1_000 {
        let before = alone.replica.stats.reports;
        alone.one_turn(&mut events);
        assert!(alone.replica.stats.reports - before <= 100, "a turn has so many reports at most");
        turns += 1;
        assert!(turns < 1_000, "only {} of 1000 reports", alone.replica.stats.reports);
    }
    alone.go_on(events);
    let depth = |queue| {
        let queue = alone.replica.state.queue_id(&name(queue)).unwrap();
        alone.replica.state.queue(queue).unwrap().depth()
    };
    assert_eq!((depth("Q"), depth("ANSWERS")), (0, 1_000));
    assert_eq!((alone.replica.stats.expired, alone.replica.stats.reports_dropped), (1_000, 0));
}

#[test]
fn a_get_whose_report_has_no_room_in_its_unit_of_work_is_refused_and_the_message_stays() {
    const COD_WITH_FULL_DATA: u32 = 0x3800;
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::define_local(&name("ANSWERS"), &[("MAXMSGL", "104857600")])));
    alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &[("MAXMSGL", "104857600")])));
    let long = "x".repeat(60 << 20);
    (0..3).for_each(|_| drop(alone.ok(APP, Call::Put(asking(COD_WITH_FULL_DATA, put(&long))))));
    let under_syncpoint = || Get { syncpoint: true, ..get() };
    (0..2).for_each(|_| assert!(alone.get(OTHER, under_syncpoint()).is_ok()));
    assert_eq!(alone.get(OTHER, under_syncpoint()), Err(Reason::SyncpointLimitReached));
    alone.ok(OTHER, Call::Commit { unit: None, units_decided: None });
    assert!(alone.get(OTHER, get()).is_ok(), "it was given back");
    let answers = alone.replica.state.queue_id(&name("ANSWERS")).unwrap();
    assert_eq!(alone.replica.state.queue(answers).unwrap().depth(), 3);
}

#[test]
fn a_get_that_is_refused_for_its_report_is_not_the_last_one_of_its_group() {
    const COD_WITH_FULL_DATA: u32 = 0x3800;
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::define_local(&name("ANSWERS"), &[("MAXMSGL", "104857600")])));
    alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &[("MAXMSGL", "104857600")])));
    let long = asking(COD_WITH_FULL_DATA, put(&"x".repeat(60 << 20)));
    (0..2).for_each(|_| drop(alone.ok(APP, Call::Put(long.clone()))));
    for number in 1..=2 {
        let mut put = in_group(3, number, number == 2);
        put.message.body = long.message.body.clone();
        alone.ok(APP, Call::Put(asking(COD_WITH_FULL_DATA, put)));
    }
    let in_unit = |get: Get| Get { syncpoint: true, ..get };
    (0..2).for_each(|_| assert!(alone.get(OTHER, in_unit(get())).is_ok()));
    assert_eq!(alone.get(OTHER, in_unit(of_whole_groups())), Err(Reason::SyncpointLimitReached));
    alone.ok(OTHER, Call::Commit { unit: None, units_decided: None });
    let Data::Got { message, .. } = alone.ok(OTHER, Call::Get(of_whole_groups())) else { panic!() };
    assert_eq!(message.descriptor.in_group().map(|group| group.sequence_number), Some(1));
}

#[test]
fn a_report_option_that_is_not_known_is_told_when_it_may_be_passed_over() {
    let mut alone = Alone::new();
    let completion = alone.call(APP, Call::Put(asking(0x10, put("one"))));
    assert_eq!(completion.reason, Reason::UnknownReportOption);
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
}

#[test]
fn a_put_to_a_queue_that_is_full_of_what_has_expired_has_room() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &[("MAXDEPTH", "3")])));
    for _ in 0..3 {
        alone.ok(APP, Call::Put(short_lived("short", 1)));
    }
    assert_eq!(alone.call(APP, Call::Put(put("no room"))).reason, Reason::QFull);
    alone.pass(Duration::from_millis(100));
    for text in ["one", "two", "three"] {
        alone.put(APP, text);
    }
    assert_eq!(alone.call(APP, Call::Put(put("no room"))).reason, Reason::QFull);
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
}

#[test]
fn a_put_that_is_repeated_is_answered_as_before_although_its_queue_is_full_now() {
    let mut alone = Alone::new();
    alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &[("MAXDEPTH", "1")])));
    let once = Put { producer: numbered("app", 1), ..put("one") };
    let Data::Placed { message_id, .. } = alone.ok(APP, Call::Put(once.clone())) else { panic!() };
    assert_eq!(
        alone.ok(APP, Call::Put(once)),
        Data::Placed { message_id, in_group: None, duplicate: true, only_id_known: false }
    );
}

/// Everything at once, in turns that are short.
#[test]
fn a_put_is_not_kept_waiting_by_a_thousand_gets_of_another_session() {
    let mut alone = Alone::new();
    alone.replica.turn = Turn::new(1_000);
    (0..200).for_each(|number| {
        alone.put(APP, &number.to_string());
    });
    let nobody = CorrelationId::from_slice(b"nobody's");
    let get = || Get { selection: Selection { correlation_id: nobody, ..Selection::default() }, ..get() };
    let gets = (1_000..2_000).map(|token| Event::Call {
        session: OTHER,
        token: Token(token),
        call: Call::Get(get()),
    });
    let put = Event::Call { session: APP, token: Token(999), call: Call::Put(put("mine")) };
    let mut events: Vec<Event> = gets.chain([put]).collect();
    let mut turns = 0;
    while !alone.answers.contains_key(&(APP, Token(999))) {
        alone.replica.begin_turn(alone.now);
        events.drain(..).for_each(|event| alone.replica.handle(event));
        let mut actions = Vec::new();
        alone.replica.end_turn(&mut actions);
        actions.into_iter().for_each(|action| alone.carry_out(action, &mut events));
        turns += 1;
    }
    assert!(turns <= 3, "it took {turns} turns");
    assert!(alone.answers.len() < 300, "{} gets came first", alone.answers.len());
    alone.turn([]);
    assert_eq!(alone.answers.len(), 1_001);
}

#[test]
fn an_alias_is_another_name_with_its_own_word_on_puts_and_gets() {
    let mut alone = Alone::new();
    let define = |target: &str, name: &str| {
        let changes = Changes::default().with(ObjectKind::AliasQueue, "TARGET", target);
        let object = ObjectRef::new(ObjectKind::AliasQueue, name);
        Call::Admin(Admin::Define { object, like: String::new(), replace: false, changes })
    };
    alone.ok(APP, define("Q", "ALIAS"));
    alone.ok(APP, define("ALIAS", "TWICE"));
    alone.ok(APP, define("NOPE", "NOWHERE"));
    let put1 = |queue: &str| Call::Put(Put { to: PutTarget::Queue(name(queue)), ..put("by its alias") });
    alone.ok(APP, put1("ALIAS"));
    assert_eq!(alone.get(APP, get()), Ok("by its alias".into()));
    assert_eq!(alone.call(APP, put1("TWICE")).reason, Reason::AliasBaseQTypeError);
    assert_eq!(alone.call(APP, put1("NOWHERE")).reason, Reason::UnknownAliasBaseQ);

    let object = ObjectRef::new(ObjectKind::AliasQueue, "ALIAS");
    let changes = Changes::default().with(ObjectKind::AliasQueue, "PUT", "DISABLED");
    alone.ok(APP, Call::Admin(Admin::Alter { object, changes }));
    assert_eq!(alone.call(APP, put1("ALIAS")).reason, Reason::PutInhibited);
    alone.ok(APP, put1("Q"));
}

#[test]
fn an_object_is_made_of_what_it_is_like_and_of_what_was_said() {
    let mut alone = Alone::new();
    let kind = ObjectKind::LocalQueue;
    let define = |name: &str, like: &str, replace, changes| {
        let object = ObjectRef::new(kind, name);
        Call::Admin(Admin::Define { object, like: like.into(), replace, changes })
    };
    let none = Changes::default;
    alone.ok(APP, define("SYSTEM.DEFAULT.LOCAL.QUEUE", "", false, none().with(kind, "BOTHRESH", 3)));
    alone.ok(APP, define("A", "", false, none().with(kind, "MAXDEPTH", 7)));
    alone.ok(APP, define("B", "A", false, none().with(kind, "BOTHRESH", 0)));
    let value = |alone: &Alone, name: &str, selector| {
        alone.replica.state.catalog().queue_named(name).unwrap().number(selector)
    };
    assert_eq!((value(&alone, "A", 15), value(&alone, "A", 22)), (7, 3));
    assert_eq!((value(&alone, "B", 15), value(&alone, "B", 22)), (7, 0));
    assert_eq!(alone.call(APP, define("B", "", false, none())).reason, Reason::ObjectAlreadyExists);
    assert_eq!(alone.call(APP, define("C", "NOPE", false, none())).reason, Reason::UnknownObjectName);

    alone.put(APP, "kept");
    alone.ok(APP, define("Q", "", true, none().with(kind, "DESCR", "replaced")));
    assert_eq!((value(&alone, "Q", 15), value(&alone, "Q", 22)), (5000, 3));
    assert_eq!(alone.get(APP, get()), Ok("kept".into()));
    let alias = ObjectRef::new(ObjectKind::AliasQueue, "Q");
    let alias = Admin::Define { object: alias, like: String::new(), replace: true, changes: none() };
    assert_eq!(alone.call(APP, Call::Admin(alias)).reason, Reason::ObjectWrongType);
}

#[test]
fn records_grow_and_shrink_by_the_members_of_their_lists() {
    let mut alone = Alone::new();
    let kind = ObjectKind::Authority;
    let set = |action, verbs: &str| {
        let keys = [("OBJTYPE", "QUEUE"), ("ENTTYPE", "PRINCIPAL"), ("ENTITY", "app"), ("AUTHLIST", verbs)];
        let changes = Changes::parse(kind, keys).unwrap();
        let record = ObjectRef::record(kind, "DEV.**", &changes);
        Call::Admin(Admin::SetRecord { record, action, changes })
    };
    alone.ok(APP, set(RecordAction::Add, "GET,PUT"));
    alone.ok(APP, set(RecordAction::Add, "INQ,PUT"));
    alone.ok(APP, set(RecordAction::Remove, "GET"));
    let verbs = |alone: &Alone| {
        let record = alone.replica.state.catalog().of_kind(kind).next()?;
        Some(record.value(1115).unwrap())
    };
    assert_eq!(verbs(&alone), Some(Value::List(vec!["INQ".into(), "PUT".into()])));
    alone.ok(APP, set(RecordAction::Remove, "INQ,PUT"));
    assert_eq!(verbs(&alone), None);
    assert_eq!(alone.call(APP, set(RecordAction::Remove, "PUT")).reason, Reason::UnknownObjectName);
}

/// SET CHLAUTH of a profile with these users.
fn block(profile: &str, action: RecordAction, users: std::ops::Range<usize>) -> Call {
    let kind = ObjectKind::ChannelAuth;
    let users = users.map(|n| format!("{n:0>64}")).collect::<Vec<_>>().join(",");
    let changes = Changes::parse(kind, [("TYPE", "BLOCKUSER"), ("USERLIST", users.as_str())]).unwrap();
    Call::Admin(Admin::SetRecord { record: ObjectRef::record(kind, profile, &changes), action, changes })
}

#[test]
fn a_list_does_not_grow_beyond_its_members_whatever_is_under_way() {
    let mut alone = Alone::new();
    let calls = [0..60, 60..100, 100..101].map(|users| block("X", RecordAction::Add, users));
    let tokens: Vec<Token> = (1..=3).map(|n| Token(900 + n)).collect();
    // At once, and by two sessions: each is checked when the one before is there.
    let sessions = [APP, OTHER, APP];
    let events = calls.into_iter().zip(&tokens).zip(sessions);
    let events = events.map(|((call, token), session)| Event::Call { session, token: *token, call });
    alone.go_on(events.collect());
    let reasons: Vec<Reason> =
        tokens.iter().zip(sessions).map(|(token, of)| alone.answer(of, *token).unwrap().reason).collect();
    assert_eq!(reasons, [Reason::None, Reason::None, Reason::AttrValueError]);
    let refused = alone.call(APP, block("X", RecordAction::Add, 100..110));
    assert_eq!(refused.detail.as_deref(), Some("USERLIST has at most 100 members, and would have 110."));
    alone.ok(APP, block("X", RecordAction::Remove, 0..1));
    alone.ok(APP, block("X", RecordAction::Add, 100..101));
}

#[test]
fn definitions_have_so_much_memory_and_what_makes_them_less_always_goes() {
    // A share of 4 MiB.
    let mut alone = Alone::with(Options { account: Account::new(16 << 20), ..options(usize::MAX) });
    let define = |n: usize| Call::Admin(Admin::define_local(&name(&format!("Q{n}")), &[]));
    alone.ok(APP, define(0));
    // All at once: what is under way is counted as if it were there.
    let tokens: Vec<Token> = (0..500).map(|n| Token(900 + n)).collect();
    let events = tokens.iter().enumerate().map(|(n, token)| {
        let call = block(&format!("P{n}"), RecordAction::Add, 0..100);
        Event::Call { session: APP, token: *token, call }
    });
    alone.go_on(events.collect());
    let answers: Vec<Completion> =
        tokens.iter().map(|token| alone.answer(APP, *token).expect("answered")).collect();
    let defined = answers.iter().take_while(|answer| !answer.is_failed()).count();
    let refused = &answers[defined];
    assert_eq!(refused.reason, Reason::ResourceProblem);
    assert!(refused.detail.as_ref().is_some_and(|detail| detail.contains("delete some")));
    let memory = alone.replica.state.catalog().memory();
    // Who made them is known when they are applied.
    let by = defined as u64 * 16;
    assert!(memory <= (4 << 20) + by && memory > 7 << 19, "{defined} records take {memory}");
    alone.pass(Duration::from_secs(1));
    assert_eq!(alone.replica.options.account.used(crate::types::Share::Definitions), memory);
    // A queue may still fit; many do not.
    let queues = (1..1_000).take_while(|n| !alone.call(APP, define(*n)).is_failed()).count();
    assert!(queues < 100, "{queues}");
    let long = Admin::alter_local(&name("Q"), &[("DESCR", &"x".repeat(64))]);
    alone.ok(APP, Call::Admin(Admin::Delete { object: ObjectRef::local_queue(&name("Q0")), purge: false }));
    alone.ok(APP, Call::Admin(long));
    alone.ok(APP, block("P0", RecordAction::Remove, 0..99));
    alone.ok(APP, Call::Admin(Admin::alter_local(&name("Q"), &[("DESCR", "")])));
    alone.ok(APP, define(1_000));
}

#[test]
fn a_queue_weighs_in_the_account_what_it_takes_however_little_its_definition_says() {
    // A share of 4 MiB.
    let mut alone = Alone::with(Options { account: Account::new(16 << 20), ..options(usize::MAX) });
    let define = |n: usize| Call::Admin(Admin::define_local(&name(&format!("Q{n}")), &[]));
    let queues = (0..10_000).take_while(|n| !alone.call(APP, define(*n)).is_failed()).count();
    assert!((1_500..2_100).contains(&queues), "{queues} queues take {} bytes", 4 << 20);
    alone.ok(APP, Call::Admin(Admin::Delete { object: ObjectRef::local_queue(&name("Q0")), purge: false }));
    alone.ok(APP, define(10_000));
}

#[test]
fn no_command_makes_an_entry_longer_than_it_may_be() {
    let mut alone = Alone::new();
    let kind = ObjectKind::Subscription;
    let long = "\u{10348}".repeat(10_240);
    let texts = ["TOPICSTR", "USERDATA"].map(|name| (name, long.as_str()));
    let define = |name: &str, like: &str, said: &[(&str, &str)]| {
        let changes = Changes::parse(kind, said.iter().copied()).unwrap();
        let object = ObjectRef::new(kind, name);
        Call::Admin(Admin::Define { object, like: like.into(), replace: false, changes })
    };
    let refused = alone.call(APP, define("S", "", &texts));
    assert_eq!(refused.reason, Reason::AttrValueError);
    assert!(refused.detail.is_some_and(|detail| detail.starts_with("At most 65536 bytes")));
    // As long as may be, with a name as long as the one that it is like; then all of it in one entry.
    alone.ok(APP, define(&long, "", &[("TOPICOBJ", "T")]));
    let refused = alone.call(APP, define("S", &long, &texts[..1]));
    assert_eq!(refused.reason, Reason::None, "{refused:?}");
    let calls = (0..100).map(|n| define(&format!("S{n}"), &long, &texts[..1]));
    let tokens: Vec<Token> = (0..100).map(|n| Token(900 + n)).collect();
    let events = calls.zip(&tokens).map(|(call, token)| Event::Call { session: APP, token: *token, call });
    alone.go_on(events.collect());
    assert!(tokens.iter().all(|token| !alone.answer(APP, *token).unwrap().is_failed()));
}

#[test]
fn records_of_one_profile_are_on_one_page_and_so_many_at_most() {
    let mut alone = Alone::new();
    let kind = ObjectKind::ChannelAuth;
    let map = |n: usize| {
        let said = [("TYPE", "USERMAP"), ("CLNTUSER", &format!("user{n}")), ("MCAUSER", "app")];
        let changes = Changes::parse(kind, said).unwrap();
        let record = ObjectRef::record(kind, "X", &changes);
        Call::Admin(Admin::SetRecord { record, action: RecordAction::Add, changes })
    };
    let most = crate::types::limits::RECORDS_A_PROFILE_MAX;
    (0..most).for_each(|n| drop(alone.ok(APP, map(n))));
    assert_eq!(alone.call(APP, map(most)).reason, Reason::ResourceProblem);
    let display = Admin::Display { kinds: vec![kind], pattern: "*".into(), after: String::new() };
    let Data::Objects(shown) = alone.ok(APP, Call::Admin(display)) else { panic!() };
    assert_eq!(shown.objects.len(), most);
}

#[test]
fn what_is_displayed_is_counted_and_a_page_has_so_many_bytes() {
    let mut alone = Alone::new();
    for n in 0..100 {
        alone.ok(APP, block(&format!("P{n:02}"), RecordAction::Add, 0..100));
    }
    let mut after = String::new();
    let mut pages = Vec::new();
    loop {
        let display = Admin::Display {
            kinds: vec![ObjectKind::ChannelAuth],
            pattern: "P*".into(),
            after: after.clone(),
        };
        let Data::Objects(shown) = alone.ok(APP, Call::Admin(display)) else { panic!() };
        pages.push(shown.objects.len());
        if !shown.more {
            break;
        }
        after.clone_from(&shown.objects.last().unwrap().definition.object.name);
    }
    assert_eq!(pages.iter().sum::<usize>(), 100);
    assert!(pages.len() > 1 && pages.iter().all(|page| *page < 60), "{pages:?}");
}

/// What a turn may apply in these tests, and what it may be over that because of its last command.
const SHORT: u64 = 512;
const OVER: u64 = 200;

/// Turn by turn until all is done; what each applied, and how deep its queue was then.
fn turns_of(alone: &mut Alone, calls: Vec<Call>) -> Vec<(u64, u64)> {
    let mut events: Vec<Event> = calls
        .into_iter()
        .map(|call| {
            alone.next_token += 1;
            Event::Call { session: APP, token: Token(alone.next_token), call }
        })
        .collect();
    let mut turns = Vec::new();
    while turns.is_empty() || !events.is_empty() || alone.replica.is_not_done() {
        alone.one_turn(&mut events);
        turns.push((alone.replica.turn_work().1, alone.replica.queue_manager().sums().messages));
    }
    turns
}

fn of_short_turns() -> Alone {
    Alone::with(Options { turn_work: SHORT, ..options(usize::MAX) })
}

#[test]
fn pings_and_cancels_are_for_the_next_turn_as_calls_are_and_keep_their_places() {
    let mut alone = of_short_turns();
    let mut events = Vec::new();
    let mut ask = |call: Call| {
        alone.next_token += 1;
        events.push(Event::Call { session: APP, token: Token(alone.next_token), call });
        Token(alone.next_token)
    };
    let gets: Vec<Token> = (0..500).map(|_| ask(Call::Get(Get { wait: Wait::Forever, ..get() }))).collect();
    let cancels: Vec<Token> = (0..500).map(|_| ask(Call::CancelGet { token: Token(1 << 40) })).collect();
    let last = ask(Call::CancelGet { token: gets[499] });
    let pings: Vec<Token> = (0..500).map(|_| ask(Call::Ping)).collect();
    let mut turns = 0;
    while !events.is_empty() || alone.replica.is_not_done() {
        alone.one_turn(&mut events);
        assert!(alone.replica.turn_work().0 <= 4 * SHORT, "{:?}", alone.replica.turn_work());
        // Whoever is behind is not answered in front.
        let is_told = |token: &Token| alone.answers.contains_key(&(APP, *token));
        assert!(!is_told(&pings[0]) || (cancels.iter().all(is_told) && is_told(&last)));
        turns += 1;
    }
    assert!(turns > 20, "it took {turns} turns");
    assert_eq!(alone.answer(APP, gets[499]).unwrap().reason, Reason::NoMsgAvailable);
    assert_eq!(alone.answer(APP, gets[498]), None);
    assert!(pings.iter().all(|ping| alone.answer(APP, *ping).is_some()));
}

#[test]
fn what_is_committed_is_applied_over_as_many_turns_as_it_takes() {
    let mut alone = of_short_turns();
    let turns = turns_of(&mut alone, (0..300).map(|_| Call::Put(put("one"))).collect());
    assert!(turns.iter().all(|(applied, _)| *applied <= SHORT + OVER), "{turns:?}");
    assert_eq!(turns.last().unwrap().1, 300);
    assert!(turns.iter().any(|(_, depth)| (1..300).contains(depth)));
}

#[test]
fn a_large_unit_is_applied_over_many_turns_and_nobody_sees_half_of_it() {
    let mut alone = of_short_turns();
    let text = "x".repeat(4_000);
    let puts = (0..300).map(|_| Call::Put(Put { syncpoint: true, ..put(&text) }));
    turns_of(&mut alone, puts.collect());
    alone.next_token += 1;
    let commit = Event::Call { session: APP, token: Token(alone.next_token), call: commit("large") };
    let waits = alone.begin(OTHER, Call::Get(Get { wait: Wait::Forever, ..get() }));
    let mut events = vec![commit];
    let (mut halves, mut begun, mut asked) = (0, 0, None);
    while !events.is_empty() || alone.replica.is_not_done() {
        alone.one_turn(&mut events);
        assert!(alone.replica.turn_work().1 <= SHORT + OVER + 512, "{:?}", alone.replica.turn_work());
        let manager = alone.replica.queue_manager();
        begun += u32::from(manager.is_under_way() && !manager.is_half_applied());
        if alone.replica.queue_manager().is_half_applied() {
            halves += 1;
            assert!(!alone.answers.contains_key(&(OTHER, waits)), "nobody is given a part of it");
            if asked.is_none() {
                alone.next_token += 1;
                let token = Token(alone.next_token);
                asked = Some(token);
                let call = Call::Inquire { handle: HANDLE };
                events.push(Event::Call { session: OTHER, token, call });
            }
        }
    }
    assert!(halves >= 3, "it was half applied after {halves} turns");
    assert!(begun >= 6, "it was read and checked in {begun} turns");
    assert_eq!(text_of(alone.answer(OTHER, waits).unwrap()), Ok(text));
    let view = queue_of(alone.answer(OTHER, asked.unwrap()).unwrap().data);
    assert!((299..=300).contains(&view.depth), "{}", view.depth);
    assert_eq!(alone.outcome("large", 0), UnitState::Committed);
}

#[test]
fn a_unit_in_the_middle_of_which_a_late_snapshot_comes_is_there_once() {
    let mut alone = of_short_turns();
    alone.put(APP, "one");
    let late = snapshot_of(&mut alone);
    alone.put(APP, "two");
    let puts = (0..200).map(|_| Call::Put(Put { syncpoint: true, ..put("in the unit") }));
    turns_of(&mut alone, puts.collect());
    alone.next_token += 1;
    let mut events =
        vec![Event::Call { session: APP, token: Token(alone.next_token), call: commit("large") }];
    while !alone.replica.queue_manager().is_half_applied() {
        alone.one_turn(&mut events);
    }
    events.push(late);
    alone.go_on(events);
    assert_eq!(alone.replica.queue_manager().sums().messages, 202);
    assert_eq!(alone.outcome("large", 0), UnitState::Committed);
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
}

#[test]
fn a_leader_that_is_none_any_more_applies_the_rest_of_a_unit_and_answers_that_nobody_knows() {
    let mut alone = of_short_turns();
    let puts = (0..200).map(|_| Call::Put(Put { syncpoint: true, ..put("in the unit") }));
    turns_of(&mut alone, puts.collect());
    alone.next_token += 1;
    let token = Token(alone.next_token);
    let mut events = vec![Event::Call { session: APP, token, call: commit("large") }];
    while !alone.replica.queue_manager().is_half_applied() {
        alone.one_turn(&mut events);
    }
    alone.replica.consensus.resign(Instant(0));
    alone.go_on(events);
    assert_eq!(alone.answer(APP, token).unwrap().reason, Reason::CallInterrupted);
    assert_eq!(alone.replica.queue_manager().sums().messages, 200);
}

/// A command that was begun is ended, and a step of what is undone is one of a hundred messages.
const OVER_UNDOING: u64 = 2 * 8 * 100;

/// Turns until all is done; in each, whether calls had to wait for the other half of a unit, and that none was long.
fn count_turns(alone: &mut Alone, call: Call) -> (Token, Vec<bool>) {
    alone.next_token += 1;
    let token = Token(alone.next_token);
    let mut events = vec![Event::Call { session: APP, token, call }];
    let mut turns = Vec::new();
    while turns.is_empty() || !events.is_empty() || alone.replica.is_not_done() {
        alone.one_turn(&mut events);
        let (done, applied) = alone.replica.turn_work();
        assert!(done <= 4 * SHORT && applied <= SHORT + OVER_UNDOING, "{done} and {applied}");
        turns.push(alone.replica.is_half_applied());
    }
    (token, turns)
}

fn in_unit(text: &str, persistence: Persistence) -> Call {
    let mut put = Put { syncpoint: true, ..put(text) };
    put.message.descriptor.persistence = persistence;
    Call::Put(put)
}

#[test]
fn a_large_unit_that_is_backed_out_takes_as_many_turns_as_it_needs() {
    for persistence in [Persistence::Persistent, Persistence::NotPersistent] {
        let mut alone = of_short_turns();
        turns_of(&mut alone, (0..2_000).map(|_| in_unit("one", persistence)).collect());
        let (token, turns) = count_turns(&mut alone, commit("puts"));
        assert_eq!(alone.answer(APP, token).unwrap().reason, Reason::None);
        assert!(turns.iter().filter(|half| **half).count() >= 20, "it came in {} turns", turns.len());
        let gets = (0..2_000).map(|_| Call::Get(Get { syncpoint: true, ..get() }));
        turns_of(&mut alone, gets.collect());
        assert_eq!(alone.get(OTHER, get()), Err(Reason::NoMsgAvailable));
        let (token, turns) = count_turns(&mut alone, Call::Backout);
        assert!(turns.len() >= 16, "it went back in {} turns", turns.len());
        assert_eq!(alone.answer(APP, token).unwrap().reason, Reason::None);
        let depth = alone.replica.queue_manager().sums().messages;
        assert_eq!(depth, 2_000);
        let queue = alone.replica.queue_manager().queues().next().unwrap();
        assert!(queue.iter().all(|(_, slot)| slot.backout_count == 1));
        assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
        turns_of(&mut alone, (0..2_000).map(|_| in_unit("vanishes", persistence)).collect());
        let (_, turns) = count_turns(&mut alone, Call::Backout);
        assert!(turns.len() >= 4, "it vanished in {} turns", turns.len());
        assert_eq!(alone.replica.queue_manager().sums().messages, depth - 1);
    }
}

/// A program that comes through channel APP from this port, and the connection that it came with.
fn through_app(alone: &mut Alone, instance: u64, port: u16) -> Result<Terms, Refusal> {
    let identity = Identity {
        channel: Some(name("APP")),
        address: Some(([10, 0, 0, 1], port).into()),
        ..Identity::of("joe")
    };
    let session = SessionId(instance);
    alone.turn([Event::Connect { session, connect: Connect::instance(identity.clone()) }]);
    if alone.admitted[&session].is_ok() {
        let program = SessionId(instance + 1);
        alone.turn([Event::Connect { session: program, connect: Connect::new(identity, "app") }]);
    }
    alone.admitted[&session].clone()
}

fn channel(attributes: &[(&str, &str)]) -> Changes {
    Changes::parse(ObjectKind::Channel, attributes.iter().copied()).unwrap()
}

#[test]
fn a_channel_has_as_many_instances_as_it_says_and_none_when_it_is_stopped() {
    let mut alone = Alone::new();
    let reason = |admitted: Result<Terms, Refusal>| admitted.map(|_| ()).map_err(|refusal| refusal.reason);
    assert_eq!(reason(through_app(&mut alone, 10, 5000)), Err(Reason::UnknownChannelName));
    let object = ObjectRef::new(ObjectKind::Channel, "APP");
    let changes = channel(&[("CHLTYPE", "SVRCONN"), ("MAXINST", "2"), ("HBINT", "7"), ("MCAUSER", "app")]);
    let define = Admin::Define { object: object.clone(), like: String::new(), replace: false, changes };
    alone.ok(APP, Call::Admin(define));
    let terms = through_app(&mut alone, 10, 5000).unwrap().channel.unwrap();
    assert_eq!((terms.heartbeat_seconds, terms.user.as_deref()), (7, Some("app")));
    assert_eq!(reason(through_app(&mut alone, 20, 5001)), Ok(()));
    assert_eq!(reason(through_app(&mut alone, 30, 5002)), Err(Reason::ChannelNotAvailable));
    alone.turn([Event::SessionClosed { session: SessionId(20) }]);
    assert_eq!(reason(through_app(&mut alone, 30, 5002)), Ok(()), "one has gone");

    // What a program has open is closed, and what it had not committed is on the queue again.
    alone.open(SessionId(31), "Q");
    alone.put(APP, "kept");
    let get = Get { syncpoint: true, ..get() };
    assert_eq!(alone.get(SessionId(31), get).unwrap(), "kept");
    let state = |state: &str| Admin::Alter { object: object.clone(), changes: channel(&[("STATE", state)]) };
    alone.ok(APP, Call::Admin(state("STOPPED")));
    let mut ended = std::mem::take(&mut alone.ended);
    ended.sort_unstable();
    assert_eq!(ended, [10, 11, 21, 30, 31].map(SessionId), "all that came through it, and nobody else");
    assert_eq!(reason(through_app(&mut alone, 40, 5003)), Err(Reason::ChannelNotAvailable));
    assert_eq!(alone.get(APP, self::get()).unwrap(), "kept");
    alone.ok(APP, Call::Admin(state("STARTED")));
    assert_eq!(reason(through_app(&mut alone, 40, 5003)), Ok(()));

    // A channel with a CipherSpec is not for who comes without TLS; who is there stays.
    let tls = |spec: &str| Admin::Alter { object: object.clone(), changes: channel(&[("SSLCIPH", spec)]) };
    alone.ok(APP, Call::Admin(tls("ANY_TLS12_OR_HIGHER")));
    assert_eq!(reason(through_app(&mut alone, 50, 5004)), Err(Reason::SslInitializationError));
    assert_eq!(alone.ended, [], "nobody is ended by it");
    alone.ok(APP, Call::Admin(tls("")));
    assert_eq!(reason(through_app(&mut alone, 50, 5004)), Ok(()));
    alone.turn([
        Event::SessionClosed { session: SessionId(50) },
        Event::SessionClosed { session: SessionId(51) },
    ]);

    // However it came to be stopped.
    let changes = channel(&[("CHLTYPE", "SVRCONN"), ("STATE", "STOPPED")]);
    let again = Admin::Define { object, like: String::new(), replace: true, changes };
    alone.ok(APP, Call::Admin(again));
    assert_eq!(std::mem::take(&mut alone.ended), [40, 41].map(SessionId));
}

/// The answer is all that tells a program whether it was done, and IBM's client gives up a listener that has none.
#[test]
fn a_commit_that_is_under_way_is_answered_before_its_channel_ends() {
    let (mut alone, program) = (Alone::new(), SessionId(11));
    let object = ObjectRef::new(ObjectKind::Channel, "APP");
    let changes = channel(&[("CHLTYPE", "SVRCONN")]);
    let define = Admin::Define { object: object.clone(), like: String::new(), replace: false, changes };
    alone.ok(APP, Call::Admin(define));
    through_app(&mut alone, 10, 5000).unwrap();
    alone.open(program, "Q");
    alone.put(APP, "got");
    assert_eq!(alone.get(program, Get { syncpoint: true, ..get() }).unwrap(), "got");
    let call = |session, token, call| Event::Call { session, token: Token(token), call };
    let stop = Call::Admin(Admin::Alter { object, changes: channel(&[("STATE", "STOPPED")]) });
    let mut events = vec![call(APP, 90_000, stop)];
    alone.one_turn(&mut events);
    events.insert(0, call(program, 90_001, Call::Commit { unit: None, units_decided: None }));
    alone.one_turn(&mut events);
    assert_eq!(alone.ended, [SessionId(10)], "the commit is not in the log");
    events.insert(0, call(program, 90_002, Call::Put(put("too late"))));
    alone.go_on(events);
    assert_eq!(alone.ended, [SessionId(10), program]);
    let answer = |token| alone.answers.get(&(program, Token(token))).map(|answer| answer.reason);
    assert_eq!((answer(90_001), answer(90_002)), (Some(Reason::None), None));
    assert_eq!(alone.replica.queue_manager().sums().messages, 0);
}

#[test]
fn listeners_are_published_whenever_they_change_and_who_is_like_a_started_one_is_not_started() {
    let mut alone = Alone::new();
    assert_eq!(alone.listeners, [] as [Vec<(String, i32)>; 0], "there are none");
    let changes = |attributes: &[(&str, &str)]| {
        Changes::parse(ObjectKind::Listener, attributes.iter().copied()).unwrap()
    };
    let object = |name: &str| ObjectRef::new(ObjectKind::Listener, name);
    let define = |name: &str, like: &str, port: &str, replace| {
        let (object, like, changes) = (object(name), like.to_string(), changes(&[("PORT", port)]));
        Call::Admin(Admin::Define { object, like, replace, changes })
    };
    let alter =
        |said: &[(&str, &str)]| Call::Admin(Admin::Alter { object: object("ONE"), changes: changes(said) });
    alone.ok(APP, define("ONE", "", "1415", false));
    alone.ok(APP, alter(&[("STATE", "STARTED")]));
    alone.ok(APP, define("TWO", "ONE", "1416", false));
    // What says the same as before is not said again; who is replaced runs on.
    alone.put(APP, "something else");
    alone.ok(APP, define("ONE", "", "1417", true));
    alone.ok(APP, alter(&[("STATE", "STOPPED")]));
    alone.ok(APP, Call::Admin(Admin::Delete { object: object("ONE"), purge: false }));
    let (one, two) = (|state| ("ONE".to_string(), state), || ("TWO".to_string(), 0));
    let expected = [
        vec![one(0)],
        vec![one(1)],
        vec![one(1), two()],
        vec![one(1), two()],
        vec![one(2), two()],
        vec![two()],
    ];
    assert_eq!(alone.listeners, expected);
}

#[test]
fn many_listeners_are_gathered_over_turns_and_each_change_of_them_is_published() {
    let mut alone = Alone::new();
    let define = |at: usize| {
        let object = ObjectRef::new(ObjectKind::Listener, format!("L{at:04}"));
        let changes = Changes::parse(ObjectKind::Listener, [("PORT", "1415")]).unwrap();
        Call::Admin(Admin::Define { object, like: String::new(), replace: false, changes })
    };
    for at in 0..1100 {
        alone.ok(APP, define(at));
    }
    for _ in 0..3 {
        alone.turn([]);
    }
    let published = alone.listeners.last().unwrap();
    assert_eq!(published.len(), 1100);
    assert!(published.is_sorted());
    let times = alone.listeners.len();
    alone.put(APP, "something else");
    assert_eq!(alone.listeners.len(), times, "nothing is said where nothing changed");
}

#[test]
fn what_a_session_leaves_is_taken_away_over_as_many_turns_as_it_takes() {
    let mut alone = of_short_turns();
    let waits = |_| Call::Get(Get { wait: Wait::Forever, ..get() });
    turns_of(&mut alone, (0..1000).map(waits).collect());
    assert_eq!(alone.replica.waits().count(), 1000);
    alone.next_token += 1;
    let token = Token(alone.next_token);
    let call = Call::Put(put("one"));
    let mut events = vec![Event::SessionClosed { session: APP }, Event::Call { session: OTHER, token, call }];
    let mut turns = 0;
    while !events.is_empty() || alone.replica.is_not_done() {
        alone.one_turn(&mut events);
        assert!(alone.replica.turn_work().0 <= 4 * SHORT, "{:?}", alone.replica.turn_work());
        turns += 1;
    }
    assert!(turns > 10, "it took {turns} turns");
    // Nothing was given to who is gone, and nobody has its queue open.
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
    assert_eq!(alone.replica.standing.own().waiters.len(), 0);
    let view = queue_of(alone.ok(OTHER, Call::Inquire { handle: HANDLE }));
    assert_eq!(view.open_input, 1);
}

/// Gets of each of these sessions that wait, through their handles.
fn wait_in(alone: &mut Alone, session: SessionId, count: usize, wait: Wait) -> Vec<Token> {
    let first = alone.next_token + 1;
    alone.next_token += count as u64;
    let tokens: Vec<Token> = (first..=alone.next_token).map(Token).collect();
    let call = || Call::Get(Get { wait, ..get() });
    alone.go_on(tokens.iter().map(|token| Event::Call { session, token: *token, call: call() }).collect());
    tokens
}

/// Turns until all is done, of which none is long.
fn short_turns(alone: &mut Alone, mut events: Vec<Event>) -> usize {
    let mut turns = 0;
    while turns == 0 || !events.is_empty() || alone.replica.is_not_done() {
        alone.one_turn(&mut events);
        let (done, applied) = alone.replica.turn_work();
        assert!(done <= 4 * SHORT && applied <= SHORT + OVER, "{done} and {applied}");
        turns += 1;
        assert!(turns < 10_000, "it never comes to rest");
    }
    turns
}

fn reasons_of(alone: &mut Alone, session: SessionId, tokens: Vec<Token>) -> Vec<Reason> {
    let reason = |token| alone.answers.remove(&(session, token)).map(|completion| completion.reason);
    let mut reasons: Vec<Reason> = tokens.into_iter().filter_map(reason).collect();
    reasons.dedup();
    reasons
}

#[test]
fn waits_that_end_at_the_same_moment_end_over_as_many_turns_as_it_takes() {
    let mut alone = of_short_turns();
    let tokens = wait_in(&mut alone, APP, 1_000, Wait::For(Duration::from_secs(1)));
    alone.now.instant = alone.now.instant + Duration::from_secs(1);
    let turns = short_turns(&mut alone, Vec::new());
    assert!(turns > 10, "it took {turns} turns");
    assert_eq!(reasons_of(&mut alone, APP, tokens), [Reason::NoMsgAvailable]);
    assert_eq!(alone.replica.waits().count(), 0);
}

#[test]
fn a_handle_by_which_many_wait_is_closed_over_as_many_turns_as_it_takes() {
    let mut alone = of_short_turns();
    let tokens = wait_in(&mut alone, APP, 1_000, Wait::Forever);
    let asks = |token, call| Event::Call { session: APP, token: Token(token), call };
    let close = Call::Close { handle: HANDLE, close: CloseOption::Keep };
    let inquire = Call::Inquire { handle: HANDLE };
    let turns = short_turns(&mut alone, vec![asks(90_000, close), asks(90_001, inquire)]);
    assert!(turns > 10, "it took {turns} turns");
    assert_eq!(reasons_of(&mut alone, APP, tokens), [Reason::HobjError]);
    assert_eq!(alone.answer(APP, Token(90_000)).unwrap().reason, Reason::None);
    assert_eq!(alone.answer(APP, Token(90_001)).unwrap().reason, Reason::HobjError, "it came behind");
    alone.put(OTHER, "one");
    assert_eq!(alone.get(OTHER, get()), Ok("one".into()));
}

#[test]
fn where_leadership_is_lost_all_sessions_end_at_once_and_what_they_leave_goes_over_many_turns() {
    let mut alone = of_short_turns();
    turns_of(&mut alone, (0..500).map(|_| in_unit("never committed", Persistence::Persistent)).collect());
    let waits = wait_in(&mut alone, APP, 1_000, Wait::Forever);
    let call = || Call::Inquire { handle: HANDLE };
    let asks = |token| Event::Call { session: OTHER, token: Token(token), call: call() };
    alone.one_turn(&mut (90_000..90_400).map(asks).collect());
    alone.replica.consensus.resign(Instant(0));
    alone.one_turn(&mut Vec::new());
    assert_eq!(alone.ended, [APP, OTHER]);
    let turns = short_turns(&mut alone, Vec::new());
    assert!(turns > 10, "it took {turns} turns");
    let told = waits.iter().filter(|token| alone.answers.contains_key(&(APP, **token))).count();
    assert!((1..1_000).contains(&told), "{told} are told, the others by the end of their session");
    assert_eq!(reasons_of(&mut alone, APP, waits), [Reason::ConnectionBroken]);
    let begun = alone.answers.keys().filter(|(session, _)| *session == OTHER).count();
    assert!((1..400).contains(&begun), "{begun} calls were begun, the others never are");
    // It serves again, and nothing is open.
    (0..100).for_each(|_| alone.pass(Duration::from_millis(50)));
    alone.open_session(APP);
    alone.open(APP, "Q");
    let view = queue_of(alone.ok(APP, Call::Inquire { handle: HANDLE }));
    assert_eq!((view.open_input, view.depth), (1, 0));
}

#[test]
fn who_waits_at_a_queue_is_looked_at_when_gets_are_not_let_in_any_more_and_at_no_other_change() {
    let mut alone = of_short_turns();
    let tokens = wait_in(&mut alone, APP, 1_000, Wait::Forever);
    let alter = |text: &[(&str, &str)]| {
        let changes = Changes::parse(ObjectKind::LocalQueue, text.iter().copied()).unwrap();
        Call::Admin(Admin::Alter { object: ObjectRef::local_queue(&name("Q")), changes })
    };
    let asks = |token, call| Event::Call { session: OTHER, token: Token(token), call };
    let turns = short_turns(&mut alone, vec![asks(90_000, alter(&[("DESCR", "another")]))]);
    assert!(turns <= 3, "it took {turns} turns");
    // What was said stays said, and who comes when gets are let in again waits on.
    let mut events =
        vec![asks(90_001, alter(&[("GET", "DISABLED")])), asks(90_002, alter(&[("GET", "ENABLED")]))];
    while !alone.answers.contains_key(&(OTHER, Token(90_002))) {
        alone.one_turn(&mut events);
    }
    assert!(alone.replica.waits().count() > 500, "most are not told yet");
    let again = Call::Get(Get { wait: Wait::Forever, ..get() });
    events.extend([asks(90_003, again), asks(90_004, alter(&[("DESCR", "third")]))]);
    let turns = short_turns(&mut alone, events);
    assert!(turns > 10, "it took {turns} turns");
    assert_eq!(reasons_of(&mut alone, APP, tokens), [Reason::GetInhibited]);
    assert_eq!(alone.replica.waits().map(|wait| wait.token).collect::<Vec<_>>(), [Token(90_003)]);
    alone.put(APP, "one");
    assert_eq!(alone.answer(OTHER, Token(90_003)).map(text_of), Some(Ok("one".into())));
}

#[test]
fn who_waits_through_an_alias_that_leads_elsewhere_is_told_and_gets_nothing_meanwhile() {
    let mut alone = of_short_turns();
    let alias = ObjectRef::new(ObjectKind::AliasQueue, "A");
    let leads_to = |queue: &str| Changes::parse(ObjectKind::AliasQueue, [("TARGET", queue)]).unwrap();
    let define =
        Admin::Define { object: alias.clone(), like: String::new(), replace: false, changes: leads_to("Q") };
    alone.ok(APP, Call::Admin(define));
    alone.ok(APP, Call::Admin(Admin::define_local(&name("R"), &[])));
    let through = SessionId(3);
    alone.open_session(through);
    alone.open(through, "A");
    let told = wait_in(&mut alone, through, 1_000, Wait::Forever);
    let stays = wait_in(&mut alone, APP, 1, Wait::Forever);
    let call = Call::Admin(Admin::Alter { object: alias, changes: leads_to("R") });
    let mut events = vec![Event::Call { session: OTHER, token: Token(90_000), call }];
    events.push(Event::Call { session: OTHER, token: Token(90_001), call: Call::Put(put("one")) });
    let turns = short_turns(&mut alone, events);
    assert!(turns > 10, "it took {turns} turns");
    assert_eq!(reasons_of(&mut alone, through, told), [Reason::ObjectChanged]);
    assert_eq!(alone.answer(APP, stays[0]).map(text_of), Some(Ok("one".into())));
}

#[test]
fn a_channel_with_many_connections_is_stopped_over_as_many_turns_as_it_takes() {
    let mut alone = of_short_turns();
    let object = ObjectRef::new(ObjectKind::Channel, "APP");
    let changes = channel(&[("CHLTYPE", "SVRCONN"), ("MAXINST", "1000"), ("MAXINSTC", "1000")]);
    alone.ok(
        APP,
        Call::Admin(Admin::Define { object: object.clone(), like: String::new(), replace: false, changes }),
    );
    (0..200).for_each(|n| drop(through_app(&mut alone, 10 + 2 * n, 5_000 + n as u16).unwrap()));
    let call = Call::Admin(Admin::Alter { object, changes: channel(&[("STATE", "STOPPED")]) });
    let turns = short_turns(&mut alone, vec![Event::Call { session: APP, token: Token(90_000), call }]);
    assert!(turns > 10, "it took {turns} turns");
    assert_eq!(alone.ended.len(), 400);
}

/// All pages of who is connected, as they are asked for one after the other.
fn pages_of_sessions(alone: &mut Alone, handles: bool) -> Vec<Vec<SessionView>> {
    let mut pages = Vec::new();
    let mut next = Some((SessionId::default(), handles.then_some(HandleId(0))));
    while let Some((after, handles)) = next {
        let call = Call::Admin(Admin::Sessions { after, handles });
        let Data::Sessions(page) = alone.ok(APP, call) else { panic!("no sessions are told") };
        pages.push(page.sessions);
        next = page.more;
    }
    pages
}

#[test]
fn sessions_are_told_page_by_page_and_so_are_the_handles_of_one() {
    let mut alone = Alone::new();
    (3..=400).for_each(|session| alone.open_session(SessionId(session)));
    let options = OpenOptions { inquire: true, ..OpenOptions::default() };
    for n in 1..=240 {
        let (queue, dynamic) = (name("Q"), String::new());
        alone.ok(SessionId(77), Call::Open { handle: HandleId(n), queue, options, dynamic, selector: None });
    }
    let most = crate::types::limits::OBJECTS_A_PAGE;
    let pages = pages_of_sessions(&mut alone, true);
    let described = |page: &Vec<SessionView>| page.iter().map(SessionView::described).sum::<usize>();
    assert!(
        pages.iter().all(|page| described(page) <= most),
        "{:?}",
        pages.iter().map(described).collect::<Vec<_>>()
    );
    let mut told: Vec<SessionId> = pages.iter().flatten().map(|view| view.session).collect();
    let handles = pages.iter().flatten().filter(|view| view.session == SessionId(77));
    assert_eq!(
        handles.map(|view| view.handles.len()).sum::<usize>(),
        240,
        "each handle of a queue is told once"
    );
    told.dedup();
    assert_eq!(told, (1..=400).map(SessionId).collect::<Vec<_>>());

    let pages = pages_of_sessions(&mut alone, false);
    assert_eq!(pages.iter().map(Vec::len).sum::<usize>(), 400);
    assert!(pages.iter().flatten().all(|view| view.handles.is_empty()));
}

#[test]
fn who_is_gone_between_two_pages_keeps_nobody_from_the_rest() {
    let mut alone = Alone::new();
    (3..=9).for_each(|session| alone.open_session(SessionId(session)));
    let options = OpenOptions { inquire: true, ..OpenOptions::default() };
    for n in 1..=200 {
        let (queue, dynamic) = (name("Q"), String::new());
        alone.ok(SessionId(5), Call::Open { handle: HandleId(n), queue, options, dynamic, selector: None });
    }
    let first = Admin::Sessions { after: SessionId::default(), handles: Some(HandleId(0)) };
    let Data::Sessions(page) = alone.ok(APP, Call::Admin(first)) else { panic!() };
    let (after, handles) = page.more.unwrap();
    assert_eq!((after, page.sessions.last().unwrap().session), (SessionId(5), SessionId(5)));
    alone.turn([Event::SessionClosed { session: SessionId(5) }]);
    let Data::Sessions(page) = alone.ok(APP, Call::Admin(Admin::Sessions { after, handles })) else {
        panic!()
    };
    assert_eq!(page.sessions.iter().map(|view| view.session.0).collect::<Vec<_>>(), [6, 7, 8, 9]);
    assert_eq!(page.more, None);
}

#[test]
fn a_short_turn_lists_so_many_objects_that_it_stays_short() {
    let mut alone = of_short_turns();
    for n in 0..200 {
        alone.ok(APP, Call::Admin(Admin::define_local(&name(&format!("L{n:03}")), &[])));
    }
    let (mut after, mut told) = (String::new(), Vec::new());
    loop {
        let display = Admin::Display { kinds: vec![ObjectKind::LocalQueue], pattern: "L*".into(), after };
        let Data::Objects(page) = alone.ok(APP, Call::Admin(display)) else { panic!() };
        assert!(alone.replica.turn_work().0 <= 2 * SHORT, "{:?}", alone.replica.turn_work());
        assert!(page.objects.len() < 30, "{} objects", page.objects.len());
        told.extend(page.objects.iter().map(|object| object.definition.object.name.clone()));
        after = told.last().unwrap().clone();
        if !page.more {
            break;
        }
    }
    assert_eq!(told, (0..200).map(|n| format!("L{n:03}")).collect::<Vec<_>>());
}

/// A message with a property n.
fn numbered_message(text: &str, n: usize) -> Put {
    let mut put = put(text);
    let header = rfh2::encode("MQSTR", &[&format!("<usr><n dt='i4'>{n}</n></usr>")]);
    put.message.body = Body::from(Bytes::from([&header, text.as_bytes()].concat()));
    put.message.body_crc = put.message.body.crc32c();
    let rest = wire::Descriptor { format: rfh2::FORMAT.into(), ..wire::Descriptor::default() };
    put.message.descriptor.set_rest(&rest);
    put
}

fn open_selecting(alone: &mut Alone, session: SessionId, handle: HandleId, selector: &str) {
    let options = OpenOptions { input: true, browse: true, ..OpenOptions::default() };
    let selector = MessageSelector::new(selector).unwrap();
    alone.ok(session, Call::Open { handle, queue: name("Q"), options, dynamic: String::new(), selector });
}

/// What was got, without the header in front of it.
fn got(completion: Completion) -> Result<String, Reason> {
    match completion.data {
        Data::Got { message, .. } => {
            let body = message.body.to_bytes();
            let header = rfh2::Header::read(&body).unwrap();
            Ok(String::from_utf8(body[header.bytes..].to_vec()).unwrap())
        }
        _ => Err(completion.reason),
    }
}

const SELECTING: HandleId = HandleId(2);

/// Short turns, and messages with n from 0 on that are in the store only: nothing that was read stays.
fn of_stored(messages: usize) -> Alone {
    let mut alone = Alone::with(Options { turn_work: SHORT, ..options(1) });
    for n in 0..messages {
        alone.ok(APP, Call::Put(numbered_message(&format!("message {n}"), n)));
    }
    alone.pass(Duration::from_secs(30));
    let queue = alone.replica.queue_manager().queues().next().unwrap();
    assert!(queue.iter().all(|(_, slot)| slot.message.is_none()), "they are in the store only");
    alone
}

#[test]
fn a_search_by_selector_reads_what_is_in_the_store_and_keeps_nobody_waiting() {
    const MESSAGES: usize = 1_000;
    let mut alone = of_stored(MESSAGES);
    open_selecting(&mut alone, OTHER, SELECTING, "n >= 999");
    alone.next_token += 1;
    let token = Token(alone.next_token);
    let call = Call::Get(Get { handle: SELECTING, ..get() });
    let mut events = vec![Event::Call { session: OTHER, token, call }];
    let (mut turns, mut put_at) = (0, 0);
    while !alone.answers.contains_key(&(OTHER, token)) {
        alone.one_turn(&mut events);
        turns += 1;
        let (done, _) = alone.replica.turn_work();
        assert!(done <= 4 * SHORT, "{done} in a turn");
        match turns {
            5 => {
                let call = Call::Put(put("meanwhile"));
                events.push(Event::Call { session: APP, token: Token(u64::MAX), call });
            }
            _ if put_at == 0 && alone.answers.contains_key(&(APP, Token(u64::MAX))) => put_at = turns,
            _ => assert!(turns < 10_000, "it never ends"),
        }
    }
    assert!((6..12).contains(&put_at), "the put of somebody else was done in turn {put_at} of {turns}");
    assert!(turns > 40, "so many messages were looked at in {turns} turns");
    assert_eq!(alone.answer(OTHER, token).map(got), Some(Ok("message 999".into())));
    assert_eq!(alone.get(OTHER, Get { handle: SELECTING, ..get() }), Err(Reason::NoMsgAvailable));
}

#[test]
fn browsing_by_selector_shows_each_that_is_selected_once_and_in_order() {
    let mut alone = of_stored(200);
    open_selecting(&mut alone, OTHER, SELECTING, "n IN ('x') OR n / 7 * 7 = n");
    let mut seen = Vec::new();
    loop {
        let next = Get { handle: SELECTING, ..browse(GetMode::BrowseNext) };
        let token = alone.begin(OTHER, Call::Get(next));
        match alone.answer(OTHER, token).map(got).expect("answered") {
            Ok(text) => seen.push(text),
            Err(reason) => {
                assert_eq!(reason, Reason::NoMsgAvailable);
                break;
            }
        }
    }
    let expected: Vec<String> = (0..200).step_by(7).map(|n| format!("message {n}")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn of_many_who_wait_by_selector_the_one_that_wants_it_gets_the_message_and_no_turn_is_long() {
    const WAITING: u32 = 200;
    let mut alone = Alone::with(Options { turn_work: SHORT, ..options(1) });
    let tokens: Vec<Token> = (0..WAITING)
        .map(|n| {
            let handle = HandleId(10 + n);
            open_selecting(
                &mut alone,
                OTHER,
                handle,
                &format!("n = {n} OR n = {n} + 1000 AND JMSXDeliveryCount = 2"),
            );
            alone.begin(OTHER, Call::Get(Get { handle, wait: Wait::Forever, ..get() }))
        })
        .collect();
    let mut events = Vec::new();
    for n in [150, 199, 0, 500] {
        events.push(Event::Call {
            session: APP,
            token: Token(1_000_000 + n),
            call: Call::Put(numbered_message("new", n as usize)),
        });
    }
    let mut turns = 0;
    while !events.is_empty() || alone.replica.is_not_done() {
        alone.one_turn(&mut events);
        turns += 1;
        let (done, _) = alone.replica.turn_work();
        assert!(done <= 4 * SHORT, "{done} in a turn");
        assert!(turns < 1_000, "it never ends");
    }
    assert!(turns > 4, "all were asked in {turns} turns");
    for (n, token) in tokens.iter().enumerate() {
        let answer = alone.answer(OTHER, *token).map(got);
        assert_eq!(answer, [0, 150, 199].contains(&n).then(|| Ok("new".into())), "{n}");
    }
    // One that is in the store only is read when it comes back, and offered to who wants it then.
    alone.ok(APP, Call::Put(numbered_message("comes back", 1_007)));
    alone.pass(Duration::from_secs(30));
    open_selecting(&mut alone, APP, SELECTING, "n = 1007");
    let taken = alone.call(APP, Call::Get(Get { handle: SELECTING, syncpoint: true, ..get() }));
    assert_eq!(got(taken), Ok("comes back".into()));
    alone.pass(Duration::from_secs(30));
    assert_eq!(alone.answer(OTHER, tokens[7]), None);
    alone.ok(APP, Call::Backout);
    assert_eq!(alone.answer(OTHER, tokens[7]).map(got), Some(Ok("comes back".into())));
    alone.replica.assert_holds();
}

#[test]
fn a_search_by_selector_that_is_under_way_can_be_cancelled_closed_and_damaged() {
    let mut alone = of_stored(300);
    open_selecting(&mut alone, OTHER, SELECTING, "n = 299");
    let waiting = Call::Get(Get { handle: SELECTING, wait: Wait::Forever, ..get() });
    // Cancelled: it finds what there is, and does not wait.
    let mut events = vec![Event::Call { session: OTHER, token: Token(900), call: waiting }];
    alone.one_turn(&mut events);
    alone.one_turn(&mut events);
    events.push(Event::Call {
        session: OTHER,
        token: Token(901),
        call: Call::CancelGet { token: Token(900) },
    });
    alone.go_on(events);
    assert_eq!(alone.answer(OTHER, Token(901)).unwrap().reason, Reason::None);
    assert_eq!(alone.answer(OTHER, Token(900)).map(got), Some(Ok("message 299".into())));
    // What cannot be read ends it.
    let waits_by = |alone: &mut Alone, handle, selector| {
        open_selecting(alone, OTHER, handle, selector);
        Call::Get(Get { handle, wait: Wait::Forever, ..get() })
    };
    let call = waits_by(&mut alone, HandleId(3), "n = 298");
    let mut events = vec![Event::Call { session: OTHER, token: Token(902), call }];
    alone.one_turn(&mut events);
    events.iter_mut().for_each(|event| {
        if let Event::RowsLoaded { rows, damaged, .. } = event {
            rows.iter_mut().for_each(|row| *row = None);
            *damaged = Some("a row is not there".into());
        }
    });
    alone.go_on(events);
    assert_eq!(alone.answer(OTHER, Token(902)).map(got), Some(Err(Reason::ObjectDamaged)));
    // The session ends.
    let call = waits_by(&mut alone, HandleId(4), "n = 297");
    let mut events = vec![Event::Call { session: OTHER, token: Token(903), call }];
    alone.one_turn(&mut events);
    assert!(alone.replica.sessions.get(OTHER).unwrap().loading > 0, "it is under way");
    events.push(Event::SessionClosed { session: OTHER });
    alone.go_on(events);
    assert_eq!(alone.answer(OTHER, Token(903)), None);
    alone.replica.assert_holds();
}

#[test]
fn open_handles_take_memory_until_they_are_closed_or_their_session_ends() {
    let account = Account::new(16 << 20);
    let mut alone = Alone::with(Options { account: account.clone(), ..options(usize::MAX) });
    let used = || account.used(crate::types::Share::Handles);
    let before = used();
    assert_eq!(before, 2 * HANDLE_BYTES, "each session has Q open");
    let open = |handle: u32, queue: &str| Call::Open {
        handle: HandleId(handle),
        queue: name(queue),
        options: OpenOptions { inquire: true, ..OpenOptions::default() },
        dynamic: String::new(),
        selector: None,
    };
    let manager = |handle: u32| Call::OpenManager {
        handle: HandleId(handle),
        options: OpenOptions { inquire: true, ..OpenOptions::default() },
    };
    alone.ok(APP, open(2, "Q"));
    alone.ok(APP, manager(3));
    assert_eq!(used(), before + 2 * HANDLE_BYTES);
    alone.call(APP, open(4, "NONE"));
    for handle in [2, 3] {
        alone.ok(APP, Call::Close { handle: HandleId(handle), close: CloseOption::Keep });
    }
    assert_eq!(used(), before, "what was refused and what is closed takes nothing");

    let full = account.limit(crate::types::Share::Handles) - used();
    assert!(account.take(crate::types::Share::Handles, full));
    for call in [open(2, "Q"), manager(3)] {
        let refused = alone.call(APP, call);
        assert_eq!(refused.reason, Reason::ResourceProblem);
    }
    account.give(crate::types::Share::Handles, full);
    alone.ok(APP, open(2, "Q"));
    alone.ok(OTHER, manager(3));
    alone.turn([Event::SessionClosed { session: APP }, Event::SessionClosed { session: OTHER }]);
    assert_eq!(used(), 0);
}
