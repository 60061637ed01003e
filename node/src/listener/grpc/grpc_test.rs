//! Program and listener over an in-memory connection: real frames, real HTTP/2, a mind of forty lines.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use trimaran_proto::admin::v1 as admin;
use trimaran_proto::admin::v1::admin_client::AdminClient;
use trimaran_proto::message::v1::Message;
use trimaran_proto::queue::v1::call::Call as Wire;
use trimaran_proto::queue::v1::completion::Data;
use trimaran_proto::queue::v1::queue_client::QueueClient;
use trimaran_proto::queue::v1::{self as wire, SessionRequest, SessionResponse};

use super::testing::{FakeNode, fake_node, follower, held_put, serving, serving_for};
use crate::listener::{Accepted, Client, Limits};
use crate::types::{Reason, RoleView, Share, Token};

/// A connection to the node's listener.
fn connect(node: &FakeNode) -> Channel {
    connect_as(node, Client::new(None, crate::mqi::Identity::of("test")))
}

fn connect_as(node: &FakeNode, client: Client) -> Channel {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    node.connections.send(Ok(Accepted::new(theirs, client))).unwrap();
    let mut ours = Some(ours);
    Endpoint::from_static("http://node").connect_with_connector_lazy(tower::service_fn(move |_| {
        let ours = ours.take().map(TokioIo::new);
        async move { ours.ok_or_else(|| std::io::Error::other("one connection a test")) }
    }))
}

struct Program {
    calls: mpsc::UnboundedSender<SessionRequest>,
    answers: Streaming<SessionResponse>,
}

impl Program {
    async fn open(node: &FakeNode) -> Program {
        Program::open_on(connect(node)).await
    }

    async fn open_on(channel: Channel) -> Program {
        let (calls, requests) = mpsc::unbounded_channel();
        let mut client = QueueClient::new(channel);
        let answers = client.session(UnboundedReceiverStream::new(requests)).await.unwrap().into_inner();
        Program { calls, answers }
    }

    fn send(&self, calls: impl IntoIterator<Item = (u64, Wire)>) {
        let calls = calls.into_iter().map(|(token, call)| wire::Call { token, call: Some(call) }).collect();
        self.calls.send(SessionRequest { calls }).unwrap();
    }

    /// Answers until there are `count`.
    async fn answers(&mut self, count: usize) -> Vec<wire::Completion> {
        let mut answers = Vec::new();
        while answers.len() < count {
            answers.extend(self.answers.message().await.unwrap().expect("more answers").completions);
        }
        answers
    }

    async fn reasons(&mut self, count: usize) -> Vec<(u64, u32)> {
        let answers = self.answers(count).await;
        answers
            .iter()
            .map(|told| (told.token, told.outcome.as_ref().map_or(0, |outcome| outcome.reason)))
            .collect()
    }
}

fn hello() -> Wire {
    Wire::Connect(wire::Connect { queue_manager: String::new(), application_name: "test".into() })
}

fn open() -> Wire {
    Wire::Open(wire::Open { handle: 1, queue: "Q".into(), input: true, output: true, ..Default::default() })
}

fn put(body: Bytes) -> Wire {
    let message = Message { body, ..Default::default() };
    Wire::Put(wire::Put { to: Some(wire::put::To::Handle(1)), message: Some(message), ..Default::default() })
}

fn get(wait_ms: i32) -> Wire {
    Wire::Get(wire::Get { handle: 1, wait_ms, ..Default::default() })
}

fn put_request(queue_manager: &str, body: Bytes) -> wire::PutRequest {
    let message = Some(Message { body, ..Default::default() });
    wire::PutRequest { queue_manager: queue_manager.into(), queue: "Q".into(), message, ..Default::default() }
}

#[tokio::test]
async fn a_session_says_everything_in_one_frame() {
    let node = fake_node(Limits::default(), serving());
    let mut client = Program::open(&node).await;
    client.send([(1, hello()), (2, open()), (3, put(Bytes::from("Hello"))), (4, get(0)), (5, get(0))]);
    let answers = client.answers(5).await;
    assert!(matches!(&answers[0].data, Some(Data::Connected(connected)) if connected.node == "a"));
    assert!(matches!(&answers[2].data, Some(Data::Placed(placed)) if !placed.message_id.is_empty()));
    let Some(Data::Got(got)) = &answers[3].data else { panic!("{:?}", answers[3]) };
    assert_eq!(got.message.as_ref().unwrap().body, "Hello");
    assert_eq!(answers[4].outcome.as_ref().unwrap().reason, 2033);
    assert_eq!(*node.batches.borrow(), 1, "a frame is one batch for the mind");
}

#[tokio::test]
async fn who_is_no_user_is_told_so_whatever_it_asks_for() {
    let node = fake_node(Limits::default(), serving());
    let channel = connect_as(&node, Client::refused(None, "The certificate is no user's."));
    let (_calls, requests) = mpsc::unbounded_channel::<SessionRequest>();
    let mut client = QueueClient::new(channel.clone());
    let session = client.session(UnboundedReceiverStream::new(requests)).await.unwrap_err();
    let put = client.put(put_request("", Bytes::from("x"))).await.unwrap_err();
    let status = AdminClient::new(channel).status(admin::StatusRequest::default()).await.unwrap_err();
    for refused in [session, put, status] {
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert_eq!(refused.message(), "2035: The certificate is no user's.");
    }
}

#[tokio::test]
async fn a_session_that_ends_while_its_calls_wait_for_room_is_told_so() {
    let node = fake_node(Limits::default(), serving());
    let mut client = Program::open(&node).await;
    client.send([(1, hello()), (2, open())]);
    client.answers(2).await;
    let inbox = node.listener.node.queue_manager("QM").unwrap();
    let (other, _outbox) = inbox.open_session(Default::default()).await.unwrap();
    other.send(Token(1), held_put()).await.unwrap();
    client.send([(3, get(-1)), (4, put(Bytes::from(vec![7; 10_000])))]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    node.close_all.send(Reason::QMgrQuiescing).unwrap();
    let told = tokio::time::timeout(Duration::from_secs(5), client.reasons(3)).await;
    assert_eq!(told.expect("its end is seen"), [(3, 2549), (4, 2549), (0, 2161)]);
}

#[tokio::test]
async fn a_waiting_get_holds_nothing_up_and_can_be_cancelled() {
    let node = fake_node(Limits::default(), serving());
    let mut client = Program::open(&node).await;
    client.send([(1, hello()), (2, open()), (3, get(-1)), (4, get(-1)), (5, Wire::Ping(wire::Ping {}))]);
    assert_eq!(client.reasons(3).await, [(1, 0), (2, 0), (5, 0)]);
    client.send([(6, Wire::CancelGet(wire::CancelGet { token: 4 })), (7, put(Bytes::from("x")))]);
    assert_eq!(client.reasons(4).await, [(4, 2033), (6, 0), (7, 0), (3, 0)]);
}

#[tokio::test]
async fn long_bodies_go_both_ways_in_parts() {
    let node = fake_node(Limits::default(), serving());
    let mut client = Program::open(&node).await;
    client.send([(1, hello()), (2, open())]);
    client.reasons(2).await;
    let length = 5 * 1024 * 1024 + 3;
    let body = Bytes::from_iter((0..length).map(|at| (at % 251) as u8));
    for from in (0..length).step_by(1 << 20) {
        let data = body.slice(from..length.min(from + (1 << 20)));
        client.send([(0, Wire::BodyPart(wire::BodyPart { number: 77, data }))]);
    }
    let to = Some(wire::put::To::Handle(1));
    client.send([(3, Wire::Put(wire::Put { to, body_parts: 77, ..Default::default() })), (4, get(0))]);

    let mut received = Vec::new();
    loop {
        let answer = client.answers(1).await;
        for completion in answer {
            match completion.data {
                Some(Data::Placed(_)) => assert_eq!(completion.token, 3),
                Some(Data::BodyPart(part)) => received.extend_from_slice(&part.data),
                Some(Data::Got(got)) => {
                    assert_eq!(got.body_length, length as u64);
                    assert_eq!(got.message.unwrap().body_crc32c, Some(crc32c::crc32c(&body)));
                    assert_eq!(received, body);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn who_does_not_serve_says_who_does() {
    let node = fake_node(Limits::default(), follower(Some(2)));
    let mut client = Program::open(&node).await;
    let stranger = wire::Connect { queue_manager: "OTHER".into(), ..Default::default() };
    client.send([(1, hello()), (2, open()), (3, Wire::Connect(stranger))]);
    let answers = client.answers(3).await;
    let reasons: Vec<u32> = answers.iter().map(|told| told.outcome.as_ref().unwrap().reason).collect();
    assert_eq!(reasons, [2543, 2018, 2058]);
    let expected =
        wire::Serving { queue_manager: "QM".into(), node: "b".into(), address: "127.0.0.1:7202".into() };
    assert_eq!(answers[0].data, Some(Data::Serving(expected.clone())));

    node.publisher.role.send(follower(None)).unwrap();
    client.send([(4, hello())]);
    let answer = client.answers(1).await.remove(0);
    assert_eq!(answer.outcome.unwrap().reason, 2059);

    node.publisher.role.send(serving()).unwrap();
    client.send([(5, hello())]);
    assert_eq!(client.reasons(1).await, [(5, 0)]);
}

#[tokio::test]
async fn when_the_queue_manager_moves_the_session_ends_with_a_hint() {
    let node = fake_node(Limits::default(), serving());
    let mut client = Program::open(&node).await;
    client.send([(1, hello()), (2, open()), (3, get(-1))]);
    client.reasons(2).await;
    node.publisher.role.send(follower(Some(2))).unwrap();
    node.close_all.send(Reason::ConnectionBroken).unwrap();
    let answers = client.answers(2).await;
    // Nobody said whether a message was taken for it.
    assert_eq!((answers[0].token, answers[0].outcome.as_ref().unwrap().reason), (3, 2549));
    assert_eq!(answers[1].token, 0);
    assert!(matches!(&answers[1].data, Some(Data::Serving(serving)) if serving.node == "b"));
    assert!(client.answers.message().await.unwrap().is_none(), "the stream ends in good order");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read() {
    let node = fake_node(Limits::default(), serving());
    let client = Program::open(&node).await;
    client.send([(1, hello()), (2, open())]);
    // Each frame brings a put and a get, so every answer brings the body back. Nobody reads them.
    let body = Bytes::from(vec![9; 100_000]);
    for token in 0..2000 {
        client.send([(10 + 2 * token, put(body.clone())), (11 + 2 * token, get(0))]);
    }
    let mut seen = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = node.listener.counters.figures().body_bytes_received;
        if now == seen {
            break;
        }
        seen = now;
    }
    assert!(seen < 60_000_000, "{seen} of 200,000,000 bytes were read");
    assert!(seen > 0);
}

#[tokio::test]
async fn a_broken_protocol_ends_in_a_sentence() {
    let node = fake_node(Limits { calls_in_flight_max: 100, ..Limits::default() }, serving());
    for (calls, words) in [
        (vec![(1, hello()), (2, open()), (2, open())], "Token 2 is in use"),
        ((0..101).map(|token| (token, open())).collect(), "at most 100 calls"),
        (vec![(0, Wire::BodyPart(wire::BodyPart::default()))], "number of a body part"),
        (vec![(1, hello()), (2, put(Bytes::from(vec![0; 5 << 20])))], "at most 4194304 bytes"),
    ] {
        let mut client = Program::open(&node).await;
        client.send(calls);
        let status = loop {
            match client.answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{words}: the stream ended well"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains(words), "{status:?}");
    }
    assert_eq!(node.listener.counters.figures().streams, 0);
}

#[tokio::test]
async fn too_many_sessions_are_refused() {
    let node = fake_node(Limits { sessions_max: 1, ..Limits::default() }, serving());
    let mut first = Program::open(&node).await;
    first.send([(1, hello())]);
    first.reasons(1).await;
    let mut second = QueueClient::new(connect(&node));
    let status = second.put(put_request("", Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with("2025"));
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let third = QueueClient::new(connect(&node)).put(put_request("", Bytes::new())).await.unwrap();
    assert_eq!(third.into_inner().outcome, None);
}

#[tokio::test]
async fn unary_calls_put_get_and_browse() {
    let node = fake_node(Limits::default(), serving());
    let mut client = QueueClient::new(connect(&node)).max_encoding_message_size(200 << 20);
    for at in 0..40u8 {
        let placed = client.put(put_request("QM", Bytes::from(vec![at; 3]))).await.unwrap().into_inner();
        assert_eq!((placed.outcome, placed.message_id.is_empty()), (None, false));
    }
    let browse = wire::BrowseRequest { queue: "Q".into(), ..Default::default() };
    let mut browsed = client.browse(browse.clone()).await.unwrap().into_inner();
    for at in 0..40u8 {
        let message = browsed.message().await.unwrap().unwrap().message.unwrap();
        assert_eq!(message.body, vec![at; 3]);
    }
    assert_eq!(browsed.message().await.unwrap().unwrap().outcome.unwrap().reason, 2033);
    assert!(browsed.message().await.unwrap().is_none());

    let mut limited = client.browse(wire::BrowseRequest { limit: 2, ..browse }).await.unwrap().into_inner();
    let mut shown = 0;
    while let Some(response) = limited.message().await.unwrap() {
        shown += usize::from(response.message.is_some());
    }
    assert_eq!(shown, 2);

    let request = wire::GetRequest { queue: "Q".into(), ..Default::default() };
    let got = client.get(request.clone()).await.unwrap().into_inner();
    assert_eq!(got.message.unwrap().body, vec![0; 3]);
    let nope = wire::GetRequest { queue: "NOPE".into(), ..request.clone() };
    assert_eq!(client.get(nope).await.unwrap().into_inner().outcome.unwrap().reason, 2085);
    let other = wire::GetRequest { queue_manager: "OTHER".into(), ..request };
    let outcome = client.get(other).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(outcome.reason, 2058);
    assert!(outcome.text.contains("\"OTHER\" is none of QM"), "{}", outcome.text);

    let large = Bytes::from(vec![1; 20 << 20]);
    let placed = client.put(put_request("", large)).await.unwrap().into_inner();
    assert_eq!(placed.outcome, None);
    // The client here takes answers of 4 MiB, as clients of gRPC do.
    let first = wire::GetRequest { queue: "Q".into(), ..Default::default() };
    for _ in 1..40 {
        client.get(first.clone()).await.unwrap();
    }
    let browse = wire::BrowseRequest { queue: "Q".into(), ..Default::default() };
    let mut browsed = client.browse(browse).await.unwrap().into_inner();
    let refused = [
        browsed.message().await.unwrap().unwrap().outcome.unwrap(),
        client.get(first).await.unwrap().into_inner().outcome.unwrap(),
    ];
    assert!(browsed.message().await.unwrap().is_none(), "it ends there");
    for outcome in refused {
        assert_eq!(outcome.reason, 2080);
        let says_how = outcome.text.contains("20971520 bytes") && outcome.text.contains("max_length");
        assert!(says_how && !outcome.text.contains("truncat"), "{}", outcome.text);
    }
    let too_large = Bytes::from(vec![1; (100 << 20) + 1]);
    let refused = client.put(put_request("", too_large)).await.unwrap().into_inner();
    assert_eq!(refused.outcome.unwrap().reason, 2031);
}

#[tokio::test]
async fn a_field_that_is_too_long_is_named() {
    let node = fake_node(Limits::default(), serving());
    let mut client = QueueClient::new(connect(&node));
    let mut request = put_request("", Bytes::new());
    let descriptor = trimaran_proto::message::v1::Descriptor {
        put_application_name: "x".repeat(29),
        ..Default::default()
    };
    request.message.as_mut().unwrap().descriptor = Some(Box::new(descriptor));
    let outcome = client.put(request).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(outcome.reason, 2026);
    assert!(outcome.text.ends_with("put_application_name has more than 28 bytes."), "{}", outcome.text);
}

#[tokio::test]
async fn a_unary_call_whose_session_ends_is_not_said_to_be_undone() {
    let mut node = fake_node(Limits::default(), serving());
    let client = QueueClient::new(connect(&node));
    let reasons = [Reason::QMgrStopping, Reason::QMgrQuiescing, Reason::ConnectionBroken];
    for (reason, under_way) in reasons.into_iter().zip([2, 4, 6]) {
        let put = wire::PutRequest { queue: "HELD".into(), ..put_request("", Bytes::new()) };
        let get = wire::GetRequest { queue: "Q".into(), wait_ms: -1, ..Default::default() };
        let (mut puts, mut gets) = (client.clone(), client.clone());
        let put = tokio::spawn(async move { puts.put(put).await.unwrap().into_inner().outcome.unwrap() });
        let get = tokio::spawn(async move { gets.get(get).await.unwrap().into_inner().outcome.unwrap() });
        node.batches.wait_for(|batches| *batches >= under_way).await.unwrap();
        node.close_all.send(reason).unwrap();
        let told = (put.await.unwrap().reason, get.await.unwrap().reason);
        assert_eq!(told, (2549, 2549), "the mind may have done both when it says {reason}");
    }
}

#[tokio::test]
async fn administration_asks_checks_and_tells() {
    let node = fake_node(Limits::default(), serving());
    let channel = connect(&node);
    let mut client = AdminClient::new(channel);
    let define = |attributes| admin::DefineRequest {
        kind: "QLOCAL".into(),
        name: "Q".into(),
        attributes,
        ..Default::default()
    };
    let defined = client.define(define(Vec::new())).await.unwrap().into_inner();
    assert_eq!(defined.outcome, None);
    let wrong = admin::Attribute { name: "DEFPRTY".into(), value: "11".into() };
    let refused = client.define(define(vec![wrong])).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(refused.reason, 4005);
    assert!(refused.text.ends_with("DEFPRTY is 0 to 9, not 11."));

    let status = client.status(admin::StatusRequest::default()).await.unwrap().into_inner();
    assert_eq!((status.cluster.as_str(), status.node.as_str()), ("demo", "a"));
    assert_eq!(status.queue_managers[0].active_node, "a");
    assert_eq!(status.warnings, ["There is no TLS."]);

    let add = admin::NodeAddRequest {
        name: "c".into(),
        id: 3,
        peer_address: "127.0.0.1:7103".into(),
        client_address: "127.0.0.1:7203".into(),
    };
    let mut steps = client.node_add(add.clone()).await.unwrap().into_inner();
    let mut seen = Vec::new();
    while let Some(step) = steps.message().await.unwrap() {
        seen.push((step.step, step.done, step.outcome.map(|outcome| outcome.reason)));
    }
    // The queue manager of this test stays as it is, with two that vote.
    let changed = "changed: 2 nodes vote from now on, and while one of them is away nobody serves";
    let expected = [("catching up", false, None), (changed, false, None), ("done", true, None)];
    assert_eq!(seen, expected.map(|(step, done, reason)| (step.to_string(), done, reason)));

    let remove = admin::NodeRemoveRequest { name: "z".into() };
    let mut steps = client.node_remove(remove).await.unwrap().into_inner();
    let outcome = steps.message().await.unwrap().unwrap().outcome.unwrap();
    assert!(outcome.text.contains("There is no node \"z\"; the nodes are a, b."), "{}", outcome.text);

    let replace = |old: &str, name: &str| admin::NodeReplaceRequest {
        old_name: old.into(),
        name: name.into(),
        id: 2,
        peer_address: "127.0.0.1:7102".into(),
        client_address: "127.0.0.1:7202".into(),
    };
    for (new, reason) in [("b", None), ("c", Some(4005))] {
        let mut steps = client.node_replace(replace("z", new)).await.unwrap().into_inner();
        let mut last = None;
        while let Some(step) = steps.message().await.unwrap() {
            last = step.outcome.map(|outcome| outcome.reason);
        }
        assert_eq!(last, reason, "{new} is there in place of z, or not");
    }

    node.publisher.role.send(follower(Some(2))).unwrap();
    let mut steps = client.node_add(add).await.unwrap().into_inner();
    let elsewhere = steps.message().await.unwrap().unwrap();
    assert_eq!(elsewhere.serving.unwrap().node, "b");
    assert!(steps.message().await.unwrap().unwrap().done);
}

#[tokio::test]
async fn of_many_objects_those_are_sent_that_meet_the_conditions_of_a_display() {
    let node = fake_node(Limits::default(), serving());
    let mut programs = QueueClient::new(connect(&node));
    let names: Vec<String> = (0..250).map(|number| format!("Q{number:03}")).collect();
    for queue in names.iter().chain([&names[7], &names[230]]) {
        let put = wire::PutRequest { queue: queue.clone(), ..put_request("", Bytes::new()) };
        programs.put(put).await.unwrap();
    }
    let mut client = AdminClient::new(connect(&node));
    let condition = |operator: &str| admin::Condition {
        attribute: "CURDEPTH".into(),
        operator: operator.into(),
        value: "2".into(),
    };
    let mut display = admin::DisplayRequest { kind: "QLOCAL".into(), ..Default::default() };
    let told = |page: &admin::DisplayResponse| -> Vec<String> {
        page.objects.iter().map(|object| object.name.clone()).collect()
    };

    let all = client.display(display.clone()).await.unwrap().into_inner();
    assert_eq!((all.objects.len(), all.upto.as_str(), all.more), (100, "Q099", true));
    display.conditions = vec![condition("EQ")];
    let two = client.display(display.clone()).await.unwrap().into_inner();
    assert_eq!((told(&two), two.more), (vec!["Q007".to_string(), "Q230".to_string()], false));
    display.conditions = vec![condition("LT")];
    let few = client.display(display.clone()).await.unwrap().into_inner();
    assert_eq!(
        (few.objects.len(), few.upto.as_str(), few.more),
        (199, "Q199", true),
        "a page of them is there"
    );
    display.conditions = vec![condition("LIKE")];
    let refused = client.display(display).await.unwrap().into_inner().outcome.unwrap();
    assert!(refused.reason == 2046 && refused.text.ends_with("LIKE is no operator of WHERE."), "{refused:?}");
}

#[tokio::test]
async fn the_health_service_follows_the_role() {
    let node = fake_node(Limits::default(), follower(Some(2)));
    let mut client = HealthClient::new(connect(&node));
    for (role, expected) in [(None, 2), (Some(serving()), 1), (Some(follower(None)), 2)] {
        let changed: Option<RoleView> = role;
        if let Some(role) = changed {
            node.publisher.role.send(role).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for service in ["", "trimaran.queue.v1.Queue", "QM"] {
            let request = HealthCheckRequest { service: service.into() };
            assert_eq!(client.check(request).await.unwrap().into_inner().status, expected, "{service}");
        }
    }
    let unknown = client.check(HealthCheckRequest { service: "other.queue.manager".into() }).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn the_health_service_knows_that_a_lease_is_over() {
    let node = fake_node(Limits::default(), serving_for(Duration::from_secs(1)));
    let mut client = HealthClient::new(connect(&node));
    let mut said = client.watch(HealthCheckRequest { service: "QM".into() }).await.unwrap().into_inner();
    let began = Instant::now();
    assert_eq!(said.message().await.unwrap().unwrap().status, 1);
    assert_eq!(said.message().await.unwrap().unwrap().status, 2);
    assert!(began.elapsed() < Duration::from_millis(1100), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stopping_node_takes_no_sessions() {
    let node = fake_node(Limits::default(), serving());
    let mut idle = Program::open(&node).await;
    node.stopping.send(true).unwrap();
    let status = idle.answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let status = QueueClient::new(connect(&node)).put(put_request("", Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn clients_with_nothing_under_way_hold_up_no_stop() {
    let mut node = fake_node(Limits::default(), serving());
    let (_silent, theirs) = tokio::io::duplex(1024);
    node.connections.send(Ok(Accepted::new(theirs, Client::default()))).unwrap();
    // It never ends its stream, and its connection is watched no more.
    let mut client = HealthClient::new(connect(&node));
    let mut said = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    said.message().await.unwrap();
    let began = Instant::now();
    node.closing.send(true).unwrap();
    (&mut node.served).await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_over_has_its_time_at_a_stop_and_no_more() {
    let mut node = fake_node(Limits::default(), serving());
    let mut client = Program::open(&node).await;
    client.send([(1, hello())]);
    client.answers(1).await;
    let began = Instant::now();
    node.closing.send(true).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!node.served.is_finished(), "its queue manager has not ended it");
    node.close_all.send(Reason::QMgrStopping).unwrap();
    (&mut node.served).await.unwrap().unwrap();
    let took = began.elapsed() - Duration::from_secs(1);
    assert!(took < Duration::from_millis(200), "{took:?}");
}

#[tokio::test]
async fn a_client_that_is_hung_up_on_loses_its_connection() {
    let node = fake_node(Limits::default(), serving());
    let client = Client::new(None, Default::default());
    let mut program = Program::open_on(connect_as(&node, client.clone())).await;
    program.send([(1, hello())]);
    program.reasons(1).await;
    assert_eq!(node.listener.counters.figures().connections, 1);
    client.hang_up();
    assert!(program.answers.message().await.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let figures = node.listener.counters.figures();
    assert_eq!((figures.connections, figures.streams), (0, 0));
}

#[tokio::test]
async fn who_takes_nothing_of_too_much_is_hung_up_on() {
    let patience = Duration::from_millis(300);
    let node = fake_node(Limits { unread_patience: patience, ..Limits::default() }, serving());
    let mut producer = Program::open(&node).await;
    producer.send([(1, hello()), (2, open())]);
    producer.reasons(2).await;
    let consumer = Program::open(&node).await;
    consumer.send([(1, hello()), (2, open())]);
    // A hundred gets wait; a hundred messages of 1 MB come for them, and nobody reads.
    consumer.send((10..110).map(|token| (token, get(-1))));
    tokio::time::sleep(Duration::from_millis(100)).await;
    for token in 10..110 {
        producer.send([(token, put(Bytes::from(vec![0; 1_000_000])))]);
        producer.reasons(1).await;
    }
    let counters = node.listener.counters.clone();
    for _ in 0..50 {
        if counters.figures().hung_up == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((counters.figures().hung_up, counters.figures().streams), (1, 1));
    producer.send([(500, Wire::Ping(wire::Ping {}))]);
    assert_eq!(producer.reasons(1).await, [(500, 0)]);
}

/// Puts a message of 50 MiB, and gives a connection whose client has all the time of the world.
async fn node_with_a_long_message() -> (FakeNode, QueueClient<Channel>) {
    let node = fake_node(Limits::default(), serving());
    let mut client = QueueClient::new(connect(&node)).max_encoding_message_size(200 << 20);
    client.put(put_request("", Bytes::from(vec![7; 50 << 20]))).await.unwrap();
    assert_eq!(node.listener.account.used(Share::Answers), 0);
    let reader = QueueClient::new(connect(&node)).max_decoding_message_size(200 << 20);
    (node, reader)
}

/// Until the node hung up, at most a minute.
async fn hung_up_after(node: &FakeNode) -> u64 {
    let began = Instant::now();
    while node.listener.counters.figures().hung_up == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody is hung up on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed().as_secs()
}

fn long_get() -> wire::GetRequest {
    wire::GetRequest { queue: "Q".into(), max_length: 100 << 20, ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_call_is_counted_until_it_is_read_and_costs_the_connection_if_it_is_not() {
    let (node, mut client) = node_with_a_long_message().await;
    let account = &node.listener.account;
    // Asked, and never looked at again.
    let mut asked = Box::pin(client.get(long_get()));
    assert!(asked.as_mut().now_or_never().is_none());
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(account.used(Share::Answers) > 50 << 20, "{}", account.used(Share::Answers));
    assert_eq!(node.listener.counters.figures().hung_up, 0);
    assert_eq!(hung_up_after(&node).await, 1);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(account.used(Share::Answers), 0);
    assert!(asked.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_in_time_comes_whole() {
    let (node, mut client) = node_with_a_long_message().await;
    let mut asked = Box::pin(client.get(long_get()));
    assert!(asked.as_mut().now_or_never().is_none());
    tokio::time::sleep(Duration::from_secs(9)).await;
    let message = asked.await.unwrap().into_inner().message.unwrap();
    assert!(message.body.len() == 50 << 20 && message.body.iter().all(|byte| *byte == 7));
    assert_eq!(
        (node.listener.account.used(Share::Answers), node.listener.counters.figures().hung_up),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_browse_may_stand_still_while_there_is_room_and_is_counted() {
    let (node, mut client) = node_with_a_long_message().await;
    let account = &node.listener.account;
    let browse = wire::BrowseRequest { queue: "Q".into(), max_length: 100 << 20, ..Default::default() };
    let browsed = client.browse(browse).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(account.used(Share::Answers) > 50 << 20, "{}", account.used(Share::Answers));
    assert_eq!(node.listener.counters.figures().hung_up, 0);
    drop(browsed);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(account.used(Share::Answers), 0);
}
