//! Two nodes over real sockets of loopback, without replicas: what arrives, and what is said about connections.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use trimaran_proto::replica::v1::peer_message::Message as Kind;
use trimaran_proto::replica::v1::{Entry, PeerMessage, RaftMessage, Row};

use super::*;
use crate::qmgr::QueueManager;
use crate::replica::{Mailbox, inbox};
use crate::types::{Account, Index, ObjectName, RoleView, SnapshotMeta, Speaks, Term, TermStarts, Version};

const QUEUE_MANAGER: QueueManagerId = QueueManagerId(1);
/// The next one that starts.
static PROCESSES: AtomicU64 = AtomicU64::new(1);

/// A store that is a list of rows.
#[derive(Default)]
struct Rows {
    rows: Mutex<Vec<Row>>,
}

impl SnapshotStore for Arc<Rows> {
    fn open(&self, _: QueueManagerId) -> Result<Box<dyn SnapshotReader>, String> {
        Ok(Box::new(Reading { rows: self.rows.lock().clone(), next: 0 }))
    }

    fn begin(&self, _: &SnapshotMeta) -> Result<Box<dyn SnapshotWriter>, String> {
        Ok(Box::new(Writing { target: self.clone(), rows: Vec::new() }))
    }
}

struct Reading {
    rows: Vec<Row>,
    next: usize,
}

impl SnapshotReader for Reading {
    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            queue_manager: QUEUE_MANAGER,
            index: Index(7),
            term: Term(3),
            membership: Membership::default(),
            terms: TermStarts::default(),
            installed: false,
        }
    }

    fn bytes_estimate(&self) -> u64 {
        self.rows.iter().map(|row| row.value.len() as u64).sum()
    }

    fn next_rows(&mut self, bytes_max: usize) -> Result<Vec<Row>, String> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(row) = self.rows.get(self.next)
            && bytes < bytes_max
        {
            bytes += row.value.len();
            taken.push(row.clone());
            self.next += 1;
        }
        Ok(taken)
    }
}

struct Writing {
    target: Arc<Rows>,
    rows: Vec<Row>,
}

impl SnapshotWriter for Writing {
    fn write(&mut self, rows: Vec<Row>) -> Result<(), String> {
        self.rows.extend(rows);
        Ok(())
    }

    fn install(self: Box<Self>) -> Result<Option<Box<QueueManager>>, String> {
        *self.target.rows.lock() = self.rows;
        Ok(Some(Box::new(QueueManager::new(QUEUE_MANAGER, ObjectName::new("QM").unwrap()))))
    }
}

struct TestNode {
    peers: Arc<Peers>,
    mailbox: Mailbox,
    rows: Arc<Rows>,
    server: tokio::task::JoinHandle<()>,
}

impl TestNode {
    async fn start(
        cluster: &str,
        id: u64,
        listener: TcpListener,
        others: &[(u64, String)],
        rows: Rows,
    ) -> TestNode {
        TestNode::start_as(Speaks::RELEASE, cluster, id, listener, others, rows).await
    }

    async fn start_as(
        speaks: Speaks,
        cluster: &str,
        id: u64,
        listener: TcpListener,
        others: &[(u64, String)],
        rows: Rows,
    ) -> TestNode {
        let role = RoleView::NotServing { term: Term(0), leader: None, recovering: false };
        let name = ObjectName::new("QM").unwrap();
        let (inbox, mailbox, publisher) =
            inbox(QUEUE_MANAGER, name, Arc::default(), 0, Account::new(1 << 30), role, Membership::default());
        std::mem::forget(publisher);
        let info = |(id, address): &(u64, String)| {
            let info =
                NodeInfo { name: format!("n{id}"), peer_address: address.clone(), ..NodeInfo::default() };
            (NodeId(*id), info)
        };
        let options = Options {
            cluster: cluster.to_owned(),
            node: NodeId(id),
            process: PROCESSES.fetch_add(1, Ordering::Relaxed),
            speaks,
            unsent_bytes: 8 << 20,
            snapshot_bytes_per_second: 1 << 30,
            account: Account::new(1 << 30),
        };
        let rows = Arc::new(rows);
        let peers = Peers::start(
            options,
            Arc::new(|_: &str| Ok(None)),
            [inbox].into_iter().collect(),
            Arc::new(rows.clone()),
            others.iter().map(info).collect(),
        );
        let incoming =
            TcpListenerStream::new(listener).map(|accepted| Accepted { io: accepted.unwrap(), shown: None });
        let server = tokio::spawn(PeerService::new(peers.clone()).serve(incoming));
        TestNode { peers, mailbox, rows, server }
    }

    async fn event(&mut self) -> Event {
        let mut events = Vec::new();
        let mut calls = Vec::new();
        let taken = poll_fn(|context| self.mailbox.poll_take(context, &mut calls, 1, &mut events, 1));
        tokio::time::timeout(Duration::from_secs(10), taken).await.expect("an event within 10 s");
        events.remove(0)
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

async fn pair(rows: Rows) -> (TestNode, TestNode) {
    let (first, first_address) = listener().await;
    let (second, second_address) = listener().await;
    let mut a = TestNode::start("test", 1, first, &[(2, second_address)], rows).await;
    let mut b = TestNode::start("test", 2, second, &[(1, first_address)], Rows::default()).await;
    assert!(matches!(a.event().await, Event::PeerConnected { node: NodeId(2) }));
    assert!(matches!(b.event().await, Event::PeerConnected { node: NodeId(1) }));
    (a, b)
}

fn append(index: u64, bytes: usize) -> PeerMessage {
    let entry = Entry { index, data: Bytes::from(vec![index as u8; bytes]), ..Entry::default() };
    let raft = RaftMessage { index, entries: vec![entry], ..RaftMessage::default() };
    PeerMessage { queue_manager: 1, message: Some(Kind::Raft(raft)) }
}

#[tokio::test]
async fn what_is_sent_arrives_in_order() {
    let (a, mut b) = pair(Rows::default()).await;
    for turn in 0..20 {
        a.peers.send(NodeId(2), vec![append(2 * turn, 50_000), append(2 * turn + 1, 10)]);
    }
    for index in 0..40 {
        let Event::Peer { from: NodeId(1), message: Kind::Raft(raft) } = b.event().await else {
            panic!("a message was expected")
        };
        assert_eq!(raft.index, index);
        assert!(raft.entries[0].data.iter().all(|byte| *byte == index as u8));
    }
    let view = a.peers.views().remove(0);
    assert_eq!((view.messages_sent, view.messages_dropped, view.unsent_bytes), (40, 0, 0));
}

#[tokio::test]
async fn too_much_for_a_slow_peer_is_dropped_and_counted() {
    let (a, _b) = pair(Rows::default()).await;
    for index in 0..2000 {
        a.peers.send(NodeId(2), vec![append(index, 1 << 20)]);
    }
    let view = a.peers.views().remove(0);
    assert!(view.messages_dropped > 1000 && view.unsent_bytes <= 9 << 20, "{view:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_is_lost_and_gone_at_once() {
    let (mut a, mut b) = pair(Rows::default()).await;
    b.server.abort();
    let _ = (&mut b.server).await;
    b.peers.stop();
    let died = Instant::now();
    assert!(matches!(a.event().await, Event::PeerLost { node: NodeId(2) }));
    assert!(matches!(a.event().await, Event::PeerGone { node: NodeId(2) }));
    assert!(died.elapsed() < Duration::from_millis(500), "{:?}", died.elapsed());
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_in_words() {
    let (first, first_address) = listener().await;
    let (second, second_address) = listener().await;
    let a = TestNode::start("one", 1, first, &[(2, second_address.clone())], Rows::default()).await;
    let _b = TestNode::start("two", 2, second, &[(1, first_address)], Rows::default()).await;
    let refused = loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if let Some(refused) = a.peers.views().remove(0).refused {
            break refused;
        }
    };
    assert!(refused.contains("belongs to cluster \"two\" and not to \"one\""), "{refused}");

    let info = NodeInfo { peer_address: second_address, ..NodeInfo::default() };
    let plain: PeerTls = Arc::new(|_: &str| Ok(None));
    let wrong = probe("two", NodeId(1), Speaks::RELEASE, NodeId(5), &info, &plain).await.unwrap_err();
    assert!(matches!(wrong, ProbeError::Refused(text) if text.contains("this is node 2 and not node 5")));
    let ack = probe("two", NodeId(1), Speaks::RELEASE, NodeId(2), &info, &plain).await.unwrap();
    assert_eq!((ack.node, spoken(&ack)), (2, Speaks::RELEASE));
    let strange = Speaks { oldest: Version(70), newest: Version(71) };
    let wrong = probe("two", NodeId(1), strange, NodeId(2), &info, &plain).await.unwrap_err().to_string();
    assert_eq!(
        wrong,
        "node 1 speaks versions 70 to 71 and node 2 versions 2 to 5: upgrade one release at a time"
    );
}

#[tokio::test]
async fn of_two_processes_of_one_name_one_is_heard_and_the_other_is_told_why_not() {
    let (first, first_address) = listener().await;
    let (copy, _) = listener().await;
    let (second, second_address) = listener().await;
    let others = [(2, second_address)];
    let a = TestNode::start("test", 1, first, &others, Rows::default()).await;
    let mut c = TestNode::start("test", 2, second, &[(1, first_address)], Rows::default()).await;
    assert!(matches!(c.event().await, Event::PeerConnected { .. }));
    while !a.peers.views()[0].connected {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let copied = TestNode::start("test", 1, copy, &others, Rows::default()).await;
    let refused = loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if let Some(refused) = copied.peers.views().remove(0).refused {
            break refused;
        }
    };
    assert!(refused.contains("another process says that it is node n1 (id 1), too"), "{refused}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = |node: &TestNode| node.peers.views().remove(0);
    assert!(seen(&a).connected && seen(&a).refused.is_none(), "the first one is heard");
    assert!(seen(&c).is_doubled && seen(&c).connected);
    let connects = seen(&a).connects + seen(&copied).connects;
    assert!(connects <= 4, "they do not take each other's place again and again: {connects}");
}

#[tokio::test]
async fn a_connection_that_is_taken_away_again_and_again_is_made_less_and_less_often() {
    let (a, b) = pair(Rows::default()).await;
    let link = b.peers.link(NodeId(1)).expect("it is a peer");
    let until = Instant::now() + Duration::from_millis(800);
    while Instant::now() < until {
        // As a copy of the first node does that has its number, too: a machine of which an image was taken while it ran.
        drop(link.hearing.lock().take());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let connects = a.peers.views()[0].connects;
    assert!((2..20).contains(&connects), "{connects} connections in less than a second");
}

#[tokio::test]
async fn who_does_not_speak_what_a_queue_manager_was_raised_to_is_refused_and_named() {
    let (first, first_address) = listener().await;
    let (second, second_address) = listener().await;
    let mut a = TestNode::start("test", 1, first, &[(2, second_address)], Rows::default()).await;
    a.peers.set_version(QUEUE_MANAGER, Version::RECORDS);
    let old = Speaks::up_to(Version::FIRST);
    let b = TestNode::start_as(old, "test", 2, second, &[(1, first_address)], Rows::default()).await;
    for refused_by in [&a, &b] {
        let refused = loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if let Some(refused) = refused_by.peers.views().remove(0).refused {
                break refused;
            }
        };
        assert_eq!(
            refused,
            "queue manager 1 was raised to version 3 and node 2 speaks version 2: start the newer release there"
        );
    }
    assert!(matches!(a.event().await, Event::PeerTooOld { node: NodeId(2), speaks } if speaks == old));
    // Nor does it get a snapshot.
    a.peers.send_snapshot(QUEUE_MANAGER, NodeId(2), 3);
    while !matches!(a.event().await, Event::SnapshotSent { arrived: false, .. }) {}
}

#[tokio::test]
async fn who_is_no_member_any_more_is_left() {
    let (mut a, _b) = pair(Rows::default()).await;
    let removed = Membership { removed: [NodeId(2)].into(), ..Membership::default() };
    a.peers.set_membership(QUEUE_MANAGER, removed);
    assert!(matches!(a.event().await, Event::PeerLost { node: NodeId(2) }));
    assert!(a.peers.views().is_empty());
}

fn rows(count: u32) -> Vec<Row> {
    let row = |number: u32| Row {
        family: number % 3,
        key: Bytes::from(number.to_be_bytes().to_vec()),
        value: Bytes::from(vec![number as u8; 10_000]),
    };
    (0..count).map(row).collect()
}

#[tokio::test]
async fn a_snapshot_arrives_as_it_was() {
    let sent = Rows { rows: Mutex::new(rows(1000)) };
    let (mut a, mut b) = pair(sent).await;
    a.peers.send_snapshot(QUEUE_MANAGER, NodeId(2), 3);
    let Event::SnapshotInstalled { from, term, meta, .. } = b.event().await else {
        panic!("a snapshot was expected")
    };
    assert_eq!((from, term, meta.index), (NodeId(1), 3, Index(7)));
    assert!(matches!(a.event().await, Event::SnapshotSent { to: NodeId(2), arrived: true }));
    assert_eq!(*b.rows.rows.lock(), rows(1000));
    assert!(a.peers.transfers().is_empty() && b.peers.transfers().is_empty());
}

/// Forwards connections to `target` and cuts each after `bytes`, the first few times.
async fn bad_line(target: String, bytes: u64, cuts: u32) -> String {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let mut left = cuts;
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = tokio::net::TcpStream::connect(&target).await.unwrap();
            let cut = left > 0;
            left = left.saturating_sub(1);
            tokio::spawn(async move {
                let (mut near_read, mut near_write) = near.split();
                let (mut far_read, mut far_write) = far.split();
                let mut limited =
                    tokio::io::AsyncReadExt::take(&mut near_read, if cut { bytes } else { u64::MAX });
                tokio::select! {
                    _ = tokio::io::copy(&mut limited, &mut far_write) => {}
                    _ = tokio::io::copy(&mut far_read, &mut near_write) => {}
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_goes_on_after_its_connection_broke() {
    let (first, _) = listener().await;
    let (second, second_address) = listener().await;
    let line = bad_line(second_address, 3_000_000, 3).await;
    let sent = Rows { rows: Mutex::new(rows(1000)) };
    let a = TestNode::start("test", 1, first, &[(2, line)], sent).await;
    let mut b = TestNode::start("test", 2, second, &[(1, "127.0.0.1:1".to_owned())], Rows::default()).await;
    a.peers.send_snapshot(QUEUE_MANAGER, NodeId(2), 3);
    while !matches!(b.event().await, Event::SnapshotInstalled { .. }) {}
    assert_eq!(*b.rows.rows.lock(), rows(1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_is_called_is_remembered_when_it_is_gone_and_said_again_when_it_is_back() {
    let (mut a, b) = pair(Rows::default()).await;
    let heard = async |b: &TestNode, expected: &[Hardware]| {
        for _ in 0..1000 {
            if b.peers.hardware() == expected.iter().copied().collect() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", b.peers.hardware());
    };
    let (first, second) = ([2, 0, 0, 0, 1, 0], [2, 0, 0, 0, 1, 1]);
    a.peers.tell_hardware(BTreeSet::from([first]));
    heard(&b, &[first]).await;

    let link = b.peers.link(NodeId(1)).expect("it is a peer");
    drop(link.hearing.lock().take());
    assert_eq!(b.peers.hardware(), BTreeSet::from([first]), "who has the address is asked when it is gone");
    link.hardware.lock().clear();
    assert!(matches!(a.event().await, Event::PeerLost { node: NodeId(2) }));
    assert!(matches!(a.event().await, Event::PeerConnected { node: NodeId(2) }));
    heard(&b, &[first]).await;
    a.peers.tell_hardware(BTreeSet::from([first, second]));
    heard(&b, &[first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_connected_here_is_known_to_a_peer_and_again_to_one_that_comes_back() {
    let (mut a, b) = pair(Rows::default()).await;
    let ends = |port: u16| Ends::new(([10, 0, 0, 50], 7201).into(), ([10, 0, 0, 9], port).into());
    let heard = async |b: &TestNode, expected: &[Ends]| {
        let mut taken = Vec::new();
        for _ in 0..1000 {
            taken = b.peers.take_clients(QUEUE_MANAGER);
            if !taken.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(taken, expected);
    };
    a.peers.tell_clients(QUEUE_MANAGER, Term(3), BTreeSet::from([ends(1), ends(2)]));
    heard(&b, &[ends(1), ends(2)]).await;
    a.peers.tell_clients(QUEUE_MANAGER, Term(3), BTreeSet::from([ends(1), ends(3)]));

    let link = b.peers.link(NodeId(1)).expect("it is a peer");
    drop(link.hearing.lock().take());
    assert!(matches!(a.event().await, Event::PeerLost { node: NodeId(2) }));
    assert!(matches!(a.event().await, Event::PeerConnected { node: NodeId(2) }));
    a.peers.tell_clients(QUEUE_MANAGER, Term(3), BTreeSet::from([ends(1), ends(3)]));
    heard(&b, &[ends(1), ends(3)]).await;
}
