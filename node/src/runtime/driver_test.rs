//! A mind alone in its group, with hands that answer at once: what sessions see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use trimaran_proto::replica::v1::PeerMessage;

use super::*;
use crate::consensus::{self, HardState, Recovered};
use crate::mqi::{Admin, Call, Connect, OpenOptions, Put, PutTarget};
use crate::qmgr::QueueManager;
use crate::replica::{self, Inbox, Outbox, SessionHandle};
use crate::types::{
    Account, HandleId, Message, NodeInfo, ObjectName, QueueManagerId, SnapshotMeta, Term, TermStarts,
};

/// A disk that is never late.
struct QuickHands(Inbox);

impl Hands for QuickHands {
    fn persist(&mut self, write: LogWrite) {
        self.0.log_persisted(write.number);
    }
    fn store(&mut self, batch: StoreBatch) {
        self.0.store_flushed(batch.meta.index);
    }
    fn role(&mut self, _: &RoleView) {}
    fn load_rows(&mut self, _: LoadRequest) {}
    fn load_entries(&mut self, _: RequestId, _: Index, _: Index, _: usize) {}
    fn truncate_log(&mut self, _: Index) {}
    fn caught_up(&mut self) {}
    fn note_parted(&mut self, _: Option<crate::consensus::Parted>) {}
    fn send(&mut self, _: NodeId, _: Vec<PeerMessage>) {}
    fn send_snapshot(&mut self, _: NodeId, _: u64) {}
    fn set_membership(&mut self, _: Membership) {}
    fn set_version(&mut self, _: Version) {}
    fn stuck(&mut self, sentence: String) {
        panic!("{sentence}");
    }
    fn removed(&mut self) {}
    fn get_state_again(&mut self, _: String) {}
    fn turn_ended(&mut self) {}
}

async fn serving() -> Inbox {
    let (id, name) = (QueueManagerId(1), ObjectName::new("QM").unwrap());
    let node = NodeId(1);
    let membership = Membership {
        voters: [node].into(),
        nodes: BTreeMap::from([(node, NodeInfo::default())]),
        ..Membership::default()
    };
    let snapshot = SnapshotMeta {
        queue_manager: id,
        index: Index(1),
        term: Term(1),
        membership: membership.clone(),
        terms: TermStarts::default(),
        installed: false,
    };
    let hard_state = HardState { term: Term(1), vote: None, commit: Index(1) };
    let recovered = Recovered {
        hard_state,
        snapshot,
        entries: Vec::new(),
        recovering: false,
        since_start: Duration::ZERO,
        acknowledged: Some(Index(0)),
        parted: None,
    };
    let consensus = consensus::Options {
        node,
        heartbeat: Duration::from_millis(20),
        election: Duration::from_millis(80),
        election_spread: Duration::from_millis(20),
        tick: Duration::from_millis(10),
        ..consensus::Options::default()
    };
    let options = replica::Options::new(id, name.clone(), consensus);
    let replica = Replica::new(options, recovered, QueueManager::new(id, name.clone()), 1);
    let role = RoleView::NotServing { term: Term(1), leader: None, recovering: false };
    let (inbox, mailbox, publisher) =
        replica::inbox(id, name, Arc::default(), 0, Account::new(1 << 30), role, membership);
    let driver = Driver::new(replica, 1, "QM".into(), mailbox, publisher, QuickHands(inbox.clone()));
    tokio::spawn(driver.run());
    let mut role = inbox.published().role.clone();
    let served = role.wait_for(RoleView::is_serving);
    tokio::time::timeout(Duration::from_secs(10), served).await.expect("serves within 10 s").unwrap();
    inbox
}

async fn completion(outbox: &mut Outbox) -> (Token, crate::mqi::Completion) {
    let delivered = tokio::time::timeout(Duration::from_secs(10), outbox.recv()).await;
    match delivered.expect("an answer within 10 s") {
        Some(Delivery::Completions(mut completions)) => completions.remove(0),
        other => panic!("an answer was expected, not {other:?}"),
    }
}

async fn session(inbox: &Inbox) -> (SessionHandle, Outbox) {
    let (handle, mut outbox) = inbox.open_session(Connect::default()).await.unwrap();
    let queue = ObjectName::new("Q").unwrap();
    let create = Admin::define_local(&queue, &[("MAXDEPTH", "1000000")]);
    let options = OpenOptions { output: true, input: true, ..OpenOptions::default() };
    let open = Call::Open { handle: HandleId(1), queue, options, dynamic: String::new(), selector: None };
    for (token, call) in [(1, Call::Admin(create)), (2, open)] {
        handle.send(Token(token), call).await.unwrap();
        let (answered, completion) = completion(&mut outbox).await;
        assert_eq!((answered, completion.is_failed()), (Token(token), false), "{completion:?}");
    }
    (handle, outbox)
}

fn put(bytes: usize) -> Call {
    Call::Put(Put {
        to: PutTarget::Handle(HandleId(1)),
        message: Box::new(Message { body: bytes::Bytes::from(vec![1; bytes]).into(), ..Message::default() }),
        syncpoint: false,
        logical_order: false,
        producer: None,
        dead_letter: false,
        context: Default::default(),
    })
}

#[tokio::test]
async fn every_call_of_a_frame_is_answered_once() {
    let inbox = serving().await;
    let (handle, mut outbox) = session(&inbox).await;
    handle.send_many((100..1100).map(|token| (Token(token), put(100))).collect()).await.unwrap();
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < 1000 {
        let Some(Delivery::Completions(completions)) = outbox.recv().await else {
            panic!("answers expected")
        };
        for (token, completion) in completions {
            assert!(!completion.is_failed(), "{completion:?}");
            assert!(answered.insert(token), "{token} was answered twice");
        }
    }
}

#[tokio::test]
async fn answered_puts_give_their_bytes_back() {
    let inbox = serving().await;
    let (handle, mut outbox) = session(&inbox).await;
    // Together they are far over the budget, which has room for one at a time.
    for token in 10..14 {
        handle.send(Token(token), put(3 << 20)).await.unwrap();
        let (answered, completion) = completion(&mut outbox).await;
        assert_eq!((answered, completion.is_failed()), (Token(token), false), "{completion:?}");
    }
    let before = inbox.free_bytes();
    handle.send(Token(20), put(1 << 20)).await.unwrap();
    completion(&mut outbox).await;
    assert_eq!(inbox.free_bytes(), before);
    // A session that ends with calls in flight gives everything back too.
    handle.send_many((30..60).map(|token| (Token(token), put(1000))).collect()).await.unwrap();
    drop((handle, outbox));
    let (other, mut outbox) = inbox.open_session(Connect::default()).await.unwrap();
    other.send(Token(1), Call::Ping).await.unwrap();
    completion(&mut outbox).await;
    assert_eq!(inbox.free_bytes(), before);
}

#[test]
fn calls_wait_for_writes_of_calls_and_not_for_parts_of_a_large_body() {
    let mut ahead = Ahead::default();
    ahead.written(WriteNumber(1));
    // 2 to 40 were parts.
    ahead.written(WriteNumber(41));
    assert!(!ahead.is_far());
    ahead.written(WriteNumber(42));
    assert!(ahead.is_far());
    ahead.persisted(WriteNumber(1));
    assert!(!ahead.is_far());
    ahead.persisted(WriteNumber(80));
    assert!(ahead.0.is_empty());
}
