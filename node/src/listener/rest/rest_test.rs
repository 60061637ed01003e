use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::path::OPENAPI as OPENAPI_PATH;
use super::{Places, serve};
use crate::listener::grpc::testing::{FakeNode, fake_node, follower, serving};
use crate::listener::{Accepted, Client, Limits};
use crate::mqi::Identity;
use crate::types::Reason;

const QUEUE: &str = "/ibmmq/rest/v2/messaging/qmgr/QM/queue/ORDERS/message";
const TOKEN: &str = "ibm-mq-rest-csrf-token: x\r\n";

/// A node with its REST API, and who connects to it.
struct Served {
    node: FakeNode,
    connections: mpsc::UnboundedSender<std::io::Result<Accepted<DuplexStream>>>,
    stop: tokio::sync::oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn begin(places: &[(&str, &str)]) -> Served {
    let node = fake_node(Limits::default(), serving());
    let (connections, incoming) = mpsc::unbounded_channel();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let addresses = places.iter().map(|(node, address)| (node.to_string(), address.to_string())).collect();
    let places = Places { addresses, secure: false };
    let incoming = UnboundedReceiverStream::new(incoming);
    let served = tokio::spawn(serve(node.listener.clone(), places, incoming, async {
        let _ = stopped.await;
    }));
    Served { node, connections, stop, served }
}

impl Served {
    fn connect_as(&self, client: Client) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        self.connections.send(Ok(Accepted::new(far, client))).unwrap();
        near
    }

    fn connect(&self) -> DuplexStream {
        self.connect_as(Client::new(None, Identity::of("ann")))
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answered {
        let mut stream = self.connect();
        ask(&mut stream, method, path, headers, body).await
    }
}

async fn ask(stream: &mut DuplexStream, method: &str, path: &str, headers: &str, body: &str) -> Answered {
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: a\r\n{headers}content-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    answered(stream).await
}

async fn answered(stream: &mut DuplexStream) -> Answered {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer has a head"));
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answered = Answered { status, head, body: String::new() };
    let length = answered.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    answered.body = String::from_utf8(body).unwrap();
    answered
}

#[tokio::test]
async fn a_message_is_put_looked_at_listed_and_got_over_one_connection() {
    let served = begin(&[]);
    let mut stream = served.connect();
    let said = format!("{TOKEN}content-type: text/plain\r\n");
    let put = ask(&mut stream, "POST", QUEUE, &said, "first").await;
    assert_eq!(put.status, 201, "{put:?}");
    assert_eq!(put.header("ibm-mq-md-messageid").unwrap().len(), 48);
    ask(&mut stream, "POST", QUEUE, &said, "second").await;
    let seen = ask(&mut stream, "GET", QUEUE, "", "").await;
    assert_eq!((seen.status, seen.body.as_str()), (200, "first"), "{seen:?}");
    assert_eq!(seen.header("ibm-mq-md-persistence"), Some("persistent"));
    let list = ask(&mut stream, "GET", &format!("{QUEUE}list"), "", "").await;
    assert_eq!(list.json()["messages"].as_array().unwrap().len(), 2);
    for expected in ["first", "second"] {
        let got = ask(&mut stream, "DELETE", QUEUE, TOKEN, "").await;
        assert_eq!((got.status, got.body.as_str()), (200, expected));
    }
    assert_eq!(ask(&mut stream, "DELETE", QUEUE, TOKEN, "").await.status, 204);
}

#[tokio::test]
async fn each_refusal_is_a_problem_document_with_a_reason() {
    let served = begin(&[]);
    let unknown = "/ibmmq/rest/v2/messaging/qmgr/QM/queue/NOPE/message";
    let queues = "/ibmmq/rest/v1/admin/qmgr/QM/queue";
    let topic = "/ibmmq/rest/v2/messaging/qmgr/QM/topic/prices/tea/message";
    for (method, path, headers, status, reason) in [
        ("GET", "/ibmmq/rest/v2/nothing", "", 404, 2298),
        ("PUT", QUEUE, "", 405, 2298),
        ("POST", QUEUE, "", 403, 2035),
        ("GET", "/ibmmq/rest/v2/messaging/qmgr/OTHER/queue/Q/message", "", 404, 2058),
        ("GET", "/ibmmq/rest/v2/admin/qmgr/OTHER", "", 404, 2058),
        ("GET", "/ibmmq/rest/v2/admin/qmgr/QM?attributes=color", "", 400, 2046),
        ("GET", "/ibmmq/rest/v2/admin/qmgr/QM?attributes=", "", 400, 2046),
        ("GET", unknown, "", 404, 2085),
        ("DELETE", unknown, TOKEN, 404, 2085),
        ("GET", &format!("{unknown}list"), "", 404, 2085),
        ("GET", &format!("{queues}/NOPE"), "", 404, 2085),
        ("DELETE", &format!("{queues}/NOPE"), TOKEN, 404, 2085),
        ("GET", "/ibmmq/rest/v1/admin/qmgr/OTHER/queue", "", 404, 2058),
        ("GET", &format!("{queues}?attributes=color"), "", 400, 2067),
        ("GET", &format!("{queues}?filter=storage.maximumDepth:equalTo:deep"), "", 400, 4005),
        ("POST", queues, TOKEN, 415, 2110),
        ("POST", topic, "", 403, 2035),
        ("POST", topic, TOKEN, 501, 2298),
        ("POST", &topic.replace("QM", "OTHER"), TOKEN, 404, 2058),
    ] {
        let refused = served.ask(method, path, headers, "").await;
        assert_eq!(refused.status, status, "{method} {path}: {refused:?}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        assert_eq!(
            (&refused.json()["reasonCode"], &refused.json()["status"]),
            (&reason.into(), &status.into()),
            "{path}"
        );
    }
    let mut stranger = served.connect_as(Client::refused(None, "Nobody knows you."));
    let refused = ask(&mut stranger, "GET", "/ibmmq/rest/v2/login", "", "").await;
    assert_eq!((refused.status, &refused.json()["detail"]), (403, &"Nobody knows you.".into()));
    let described = ask(&mut stranger, "GET", OPENAPI_PATH, "", "").await;
    assert_eq!((described.status, &described.json()["openapi"]), (200, &"3.1.0".into()));
}

#[tokio::test]
async fn a_node_that_does_not_serve_sends_on_to_the_one_that_does() {
    let served = begin(&[("b", "b.example:9443")]);
    served.node.publisher.role.send(follower(Some(2))).unwrap();
    let moved = served.ask("DELETE", &format!("{QUEUE}?wait=5"), TOKEN, "").await;
    let there = format!("http://b.example:9443{QUEUE}?wait=5");
    assert_eq!((moved.status, moved.header("location")), (307, Some(there.as_str())));
    assert_eq!((&moved.json()["reasonCode"], &moved.json()["servedBy"]["node"]), (&2543.into(), &"b".into()));
    let listed = served.ask("GET", "/ibmmq/rest/v2/admin/qmgr", "", "").await;
    assert_eq!(listed.json()["qmgr"][0]["state"], "runningElsewhere");

    let without = begin(&[]);
    without.node.publisher.role.send(follower(Some(2))).unwrap();
    let refused = without.ask("GET", QUEUE, "", "").await;
    assert_eq!((refused.status, &refused.json()["servedBy"]["address"]), (503, &"127.0.0.1:7202".into()));
    without.node.publisher.role.send(follower(None)).unwrap();
    let refused = without.ask("GET", QUEUE, "", "").await;
    assert_eq!((refused.status, &refused.json()["reasonCode"]), (503, &2059.into()));
}

#[tokio::test]
async fn a_put_whose_session_ends_is_not_said_to_be_undone() {
    let mut served = begin(&[]);
    let held = QUEUE.replace("ORDERS", "HELD");
    let mut stream = served.connect();
    let put =
        format!("POST {held} HTTP/1.1\r\nhost: a\r\n{TOKEN}idempotency-key: k\r\ncontent-length: 1\r\n\r\nx");
    stream.write_all(put.as_bytes()).await.unwrap();
    served.node.batches.wait_for(|batches| *batches >= 1).await.unwrap();
    served.node.close_all.send(Reason::QMgrStopping).unwrap();
    let unknown = answered(&mut stream).await;
    assert_eq!((unknown.status, &unknown.json()["reasonCode"]), (504, &2549.into()));
    assert!(unknown.json()["detail"].as_str().unwrap().contains("same Idempotency-Key"), "{unknown:?}");
}

#[tokio::test]
async fn a_key_that_is_remembered_no_more_is_refused_in_words_of_keys() {
    let served = begin(&[]);
    let forgotten = QUEUE.replace("ORDERS", "FORGOTTEN");
    let with = format!("{TOKEN}idempotency-key: k\r\n");
    let refused = served.ask("POST", &forgotten, &with, "x").await;
    assert_eq!((refused.status, &refused.json()["reasonCode"]), (409, &2195.into()));
    let detail = refused.json()["detail"].as_str().unwrap().to_string();
    assert!(detail.contains("Idempotency-Key") && !detail.contains("sequence"), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_and_one_that_is_too_long_are_refused() {
    let served = begin(&[]);
    let mut slow = served.connect();
    let put = format!("POST {QUEUE} HTTP/1.1\r\nhost: a\r\n{TOKEN}content-length: 10\r\n\r\nx");
    slow.write_all(put.as_bytes()).await.unwrap();
    assert_eq!(answered(&mut slow).await.status, 408);
    let mut long = served.connect();
    let put = format!("POST {QUEUE} HTTP/1.1\r\nhost: a\r\n{TOKEN}content-length: 104857601\r\n\r\n");
    long.write_all(put.as_bytes()).await.unwrap();
    let refused = answered(&mut long).await;
    assert_eq!((refused.status, &refused.json()["reasonCode"]), (413, &2031.into()));
    let command = "/ibmmq/rest/v2/admin/action/qmgr/QM/mqsc";
    let mut long = served.connect();
    let said = format!("{TOKEN}content-type: application/json\r\ncontent-length: 131073\r\n");
    long.write_all(format!("POST {command} HTTP/1.1\r\nhost: a\r\n{said}\r\n").as_bytes()).await.unwrap();
    assert_eq!(answered(&mut long).await.status, 413);
}

#[tokio::test]
async fn commands_are_answered_as_text_and_taken_apart() {
    let served = begin(&[]);
    served.ask("POST", QUEUE, TOKEN, "x").await;
    let command = "/ibmmq/rest/v3/admin/action/qmgr/QM/mqsc";
    let json = format!("{TOKEN}content-type: application/json\r\n");
    let body = r#"{"type":"runCommand","parameters":{"command":"DISPLAY QUEUE(*) CURDEPTH"}}"#;
    let text = served.ask("POST", command, &json, body).await;
    let lines = text.json()["commandResponse"][0]["text"].to_string();
    assert!(text.status == 200 && lines.contains("AMQ8409I") && lines.contains("CURDEPTH(1)"), "{text:?}");
    let body = r#"{"type":"runCommandJSON","command":"display","qualifier":"qlocal","name":"ORDERS","responseParameters":["curdepth"]}"#;
    let apart = served.ask("POST", command, &json, body).await;
    assert_eq!(apart.json()["commandResponse"][0]["parameters"]["curdepth"], 1, "{apart:?}");
    let one = served.ask("GET", "/ibmmq/rest/v2/admin/qmgr/QM?attributes=*", "", "").await;
    assert_eq!(one.json()["qmgr"][0]["nativeHA"]["activeInstance"], "a", "{one:?}");
}

#[tokio::test]
async fn queues_are_told_with_what_was_asked_for_and_filtered() {
    let served = begin(&[]);
    for queue in ["ORDERS", "ORDERS", "OTHERS"] {
        served.ask("POST", &QUEUE.replace("ORDERS", queue), TOKEN, "x").await;
    }
    let queues = "/ibmmq/rest/v1/admin/qmgr/QM/queue";
    let told = async |query: &str| {
        let answer = served.ask("GET", &format!("{queues}{query}"), "", "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let both = [json!({ "name": "ORDERS", "type": "local" }), json!({ "name": "OTHERS", "type": "local" })];
    assert_eq!(told("").await, json!({ "queue": both }));
    for (query, found) in [
        ("?name=*DERS", 1),
        ("?name=O*S", 2),
        ("?name=ORDERS*RS", 0),
        ("?type=cluster", 0),
        ("?filter=status.currentDepth:greaterThan:1", 1),
        ("?filter=storage.maximumDepth:equalTo:5000", 2),
        ("?filter=general.inhibitPut:equalTo:true", 0),
        ("?filter=alias.targetName:equalTo:*", 0),
    ] {
        assert_eq!(told(query).await["queue"].as_array().unwrap().len(), found, "{query}");
    }
    let one = told("/ORDERS?attributes=storage,general.inhibitPut&status=status.currentDepth").await;
    assert_eq!(
        one["queue"][0],
        json!({ "name": "ORDERS", "type": "local", "general": { "inhibitPut": false }, "status": { "currentDepth": 2 },
            "storage": { "maximumDepth": 5000, "maximumMessageLength": 4_194_304, "messageDeliverySequence": "priority",
                "nonPersistentMessageClass": "normal" } })
    );
    let all = told("/ORDERS?attributes=*&status=*").await;
    for group in [
        "applicationDefaults",
        "cluster",
        "dataCollection",
        "events",
        "extended",
        "general",
        "storage",
        "trigger",
    ] {
        assert!(all["queue"][0][group].is_object(), "{group}: {all}");
    }
    assert_eq!(all["queue"][0]["status"]["onQTime"]["shortSamplePeriod"], -1);
}

#[tokio::test]
async fn queues_are_made_altered_and_deleted() {
    let served = begin(&[]);
    served.ask("POST", QUEUE, TOKEN, "x").await;
    let queues = "/ibmmq/rest/v3/admin/qmgr/QM/queue";
    let one = format!("{queues}/ORDERS");
    let json = format!("{TOKEN}content-type: application/json\r\n");
    let made = served.ask("POST", queues, &json, r#"{"name":"A/B%","storage":{"maximumDepth":7}}"#).await;
    assert_eq!(
        (made.status, made.header("location")),
        (201, Some(&*format!("{queues}/A%2FB%25"))),
        "{made:?}"
    );
    let altered =
        served.ask("PATCH", &format!("{one}?force"), &json, r#"{"general":{"inhibitGet":true}}"#).await;
    assert_eq!((altered.status, altered.body.as_str()), (204, ""), "{altered:?}");
    let deleted = served.ask("DELETE", &format!("{one}?purge&keepAuthorityRecords"), TOKEN, "").await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
    for (method, path, body, status, reason) in [
        ("POST", queues, r#"{"name":"Q","color":"red"}"#, 400, 2067),
        ("POST", queues, r#"{"name":"Q","alias":{"targetName":"X"}}"#, 400, 2068),
        ("POST", queues, r#"{"name":"Q","storage":{"maximumDepth":"deep"}}"#, 400, 4005),
        ("POST", queues, r#"["Q"]"#, 400, 2046),
        ("PATCH", one.as_str(), r#"{"name":"Q"}"#, 400, 2067),
        ("PATCH", one.as_str(), r#"{"alias":{"targetName":"X"}}"#, 400, 2068),
    ] {
        let refused = served.ask(method, path, &json, body).await;
        assert_eq!(
            (refused.status, &refused.json()["reasonCode"]),
            (status, &reason.into()),
            "{method} {body}"
        );
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_api_answers_what_is_under_way_and_ends() {
    let served = begin(&[]);
    let mut waiting = served.connect();
    let get = format!("DELETE {QUEUE}?wait=60000 HTTP/1.1\r\nhost: a\r\n{TOKEN}\r\n");
    waiting.write_all(get.as_bytes()).await.unwrap();
    let idle = served.connect();
    let mut batches = served.node.batches.clone();
    batches.wait_for(|batches| *batches >= 1).await.unwrap();
    served.stop.send(()).unwrap();
    served.node.close_all.send(Reason::QMgrStopping).unwrap();
    assert_eq!(answered(&mut waiting).await.status, 504);
    let began = tokio::time::Instant::now();
    served.served.await.unwrap();
    assert!(
        began.elapsed() <= Duration::from_secs(3),
        "an idle client holds up nobody: {:?}",
        began.elapsed()
    );
    drop(idle);
}
