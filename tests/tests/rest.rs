//! The REST API on real nodes: a program that knows HTTP and nothing of MQ, and what happens to it when the node that serves is
//! killed; and Schemathesis from PyPI, which holds the nodes against the description that they give of themselves.
//!
//! The programs must be built (`cargo build --workspace --bins`). The last test needs Python, and once a way to a package index.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use trimaran_tests::process::cluster::QUEUE_MANAGER;
use trimaran_tests::process::rest::{Answer, Client, Request, ask, schemathesis};
use trimaran_tests::process::{Cluster, Plan, run_program};

const PATIENCE: Duration = Duration::from_secs(30);
const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn cluster() -> Cluster {
    Cluster::start(Plan { rest: true, ..Plan::default() })
}

fn client(cluster: &Cluster) -> Client {
    Client::of(cluster.nodes.iter().map(|node| node.rest.clone()))
}

fn queue(name: &str) -> String {
    format!("/ibmmq/rest/v2/messaging/qmgr/{QUEUE_MANAGER}/queue/{name}/message")
}

/// Runs a command of MQSC, however often it has to be tried.
fn run(client: &mut Client, command: &str) -> Answer {
    let path = format!("/ibmmq/rest/v2/admin/action/qmgr/{QUEUE_MANAGER}/mqsc");
    let body = json!({ "type": "runCommand", "parameters": { "command": command } }).to_string();
    client.repeat(Request { headers: &[JSON], body: &body, ..Request::new("POST", &path) }, PATIENCE)
}

fn put(client: &mut Client, queue: &str, key: &str, text: &str) -> Answer {
    let headers = [TEXT, ("Idempotency-Key", key)];
    client.repeat(Request { headers: &headers, body: text, ..Request::new("POST", queue) }, PATIENCE)
}

#[test]
fn a_put_that_is_repeated_with_its_key_is_there_once() {
    let mut cluster = cluster();
    let mut client = client(&cluster);
    let defined = run(&mut client, "DEFINE QLOCAL(ORDERS) DESCR('don''t')");
    assert_eq!((defined.status, &defined.json()["overallReasonCode"]), (200, &0.into()), "{defined:?}");
    // Who defined it is on record, as of any other change.
    let connect = cluster.addresses().join(",");
    let trail = ["--connect", &connect, "-m", QUEUE_MANAGER, "audit", "--object", "ORDERS"];
    let trail = run_program("trimaran", &trail, "");
    let trail = String::from_utf8_lossy(&trail.stdout).into_owned();
    assert!(trail.contains("DEFINE") && trail.contains("DESCR - > don't"), "{trail}");
    let orders = queue("ORDERS");

    let first = put(&mut client, &orders, "order 1", "one");
    let again = put(&mut client, &orders, "order 1", "one");
    let id = first.header("ibm-mq-md-messageid").expect("it has an id").to_owned();
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, None));
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(again.header("ibm-mq-md-messageid"), Some(id.as_str()));
    // The node that took it is gone, and the next one knows the key.
    let serving = cluster.serving().expect("a node serves");
    cluster.kill(serving);
    let elsewhere = put(&mut client, &orders, "order 1", "one");
    assert_eq!(elsewhere.header("ibm-mq-md-messageid"), Some(id.as_str()));
    cluster.start_node(serving);
    put(&mut client, &orders, "order 2", "two");

    let depth = run(&mut client, "DISPLAY QLOCAL(ORDERS) CURDEPTH");
    assert!(depth.body.contains("CURDEPTH(2)"), "{depth:?}");
    let list = client.repeat(Request::new("GET", &format!("{orders}list")), PATIENCE).json();
    assert_eq!(
        (&list["messages"][0]["messageId"], &list["messages"][0]["format"]),
        (&id.clone().into(), &"MQSTR".into())
    );
    let seen = client.repeat(Request::new("GET", &orders), PATIENCE);
    assert_eq!((seen.body.as_str(), seen.header("ibm-mq-md-persistence")), ("one", Some("persistent")));
    // Who must not lose a message looks at it first.
    let by_id = format!("{orders}?messageId={id}");
    assert_eq!(client.repeat(Request::new("DELETE", &by_id), PATIENCE).body, "one");
    assert_eq!(client.repeat(Request::new("DELETE", &by_id), PATIENCE).status, 204);
    assert_eq!(client.repeat(Request::new("DELETE", &orders), PATIENCE).body, "two");

    // Whichever node is asked, it says who serves.
    for node in &cluster.nodes {
        let one = ask(&node.rest, Request::new("GET", "/ibmmq/rest/v2/admin/qmgr"), PATIENCE);
        let Ok(one) = one else { continue };
        let state = one.json()["qmgr"][0]["state"].as_str().unwrap_or_default().to_owned();
        assert!(["running", "runningElsewhere", "stateNotAvailable"].contains(&state.as_str()), "{state}");
    }
}

#[test]
fn queues_are_objects_and_each_change_of_one_is_on_record() {
    let cluster = cluster();
    let mut client = client(&cluster);
    let queues = format!("/ibmmq/rest/v1/admin/qmgr/{QUEUE_MANAGER}/queue");
    let orders = format!("{queues}/ORDERS");
    let mut ask = |method: &str, path: &str, body: &str| {
        let headers: &[_] = if body.is_empty() { &[] } else { &[JSON] };
        client.repeat(Request { headers, body, ..Request::new(method, path) }, PATIENCE)
    };
    let local =
        json!({ "name": "ORDERS", "general": { "description": "don't" }, "storage": { "maximumDepth": 7 } });
    let made = ask("POST", &queues, &local.to_string());
    assert_eq!((made.status, made.header("location")), (201, Some(orders.as_str())), "{made:?}");
    assert_eq!(ask("POST", &format!("{queues}?noReplace"), &local.to_string()).json()["reasonCode"], 2100);
    let alias = json!({ "name": "ORDERS.ALIAS", "type": "alias", "alias": { "targetName": "ORDERS" } });
    assert_eq!(ask("POST", &queues, &alias.to_string()).status, 201);
    let like = json!({ "name": "ORDERS.LIKE", "general": { "inhibitPut": true } });
    assert_eq!(ask("POST", &format!("{queues}?like=ORDERS"), &like.to_string()).status, 201);

    let changes =
        json!({ "storage": { "maximumDepth": 8 }, "events": { "depth": { "highPercentage": 90 } } });
    assert_eq!(ask("PATCH", &orders, &changes.to_string()).status, 204);
    let low = json!({ "events": { "depth": { "lowPercentage": 95 } } });
    let refused = ask("PATCH", &orders, &low.to_string());
    assert_eq!((refused.status, &refused.json()["reasonCode"]), (409, &4005.into()), "{refused:?}");
    let listed =
        ask("GET", &format!("{queues}?name=ORDERS*&attributes=storage.maximumDepth,general"), "").json();
    let told: Vec<_> = listed["queue"].as_array().expect("a list").iter().collect();
    assert_eq!(told.len(), 3, "{listed}");
    assert_eq!(told[0]["storage"]["maximumDepth"], 8);
    assert_eq!((&told[1]["type"], &told[1]["alias"]["targetName"]), (&"alias".into(), &"ORDERS".into()));
    assert_eq!(
        (&told[2]["general"]["description"], &told[2]["general"]["inhibitPut"]),
        (&"don't".into(), &true.into())
    );
    let models =
        ask("GET", &format!("{queues}?type=model&filter=model.type:equalTo:temporaryDynamic"), "").json();
    assert!(!models["queue"].as_array().expect("a list").is_empty(), "{models}");
    let channels = format!("/ibmmq/rest/v1/admin/qmgr/{QUEUE_MANAGER}/channel?attributes=*");
    let channels = ask("GET", &channels, "").json();
    assert_eq!(channels["channel"][0]["type"], "serverConnection", "{channels}");
    let sub = json!({ "type": "runCommand", "parameters": { "command": "DEFINE SUB(NEWS) TOPICSTR('a/b') DEST(ORDERS)" } });
    ask("POST", &format!("/ibmmq/rest/v1/admin/action/qmgr/{QUEUE_MANAGER}/mqsc"), &sub.to_string());
    let subs =
        format!("/ibmmq/rest/v1/admin/qmgr/{QUEUE_MANAGER}/subscription/NEWS?attributes=destination.name");
    let news = ask("GET", &subs, "").json()["subscription"][0].clone();
    assert_eq!(
        (&news["destination"]["name"], &news["resolvedTopicString"]),
        (&"ORDERS".into(), &"a/b".into())
    );

    let put = format!("/ibmmq/rest/v1/messaging/qmgr/{QUEUE_MANAGER}/queue/ORDERS/message");
    let mut putting = Client::of(cluster.nodes.iter().map(|node| node.rest.clone()));
    put_one(&mut putting, &put);
    let refused = ask("DELETE", &orders, "");
    assert_eq!((refused.status, &refused.json()["reasonCode"]), (409, &2055.into()), "{refused:?}");
    assert_eq!(ask("DELETE", &format!("{orders}?purge"), "").status, 204);
    assert_eq!(ask("GET", &orders, "").status, 404);
    assert_eq!(ask("DELETE", &format!("{queues}/ORDERS.ALIAS"), "").status, 204);

    // The first one may have been made before the queue manager had the version that keeps a trail.
    assert_eq!(ask("POST", &queues, &local.to_string()).status, 201);
    let connect = cluster.addresses().join(",");
    let trail = ["--json", "--connect", &connect, "-m", QUEUE_MANAGER, "audit", "--object", "ORDERS"];
    let trail = run_program("trimaran", &trail, "");
    let trail = String::from_utf8_lossy(&trail.stdout).into_owned();
    for verb in ["DEFINE", "ALTER", "DELETE"] {
        let record = trail.lines().find(|line| line.contains(verb));
        assert!(record.is_some_and(|line| line.contains("\"REST\"")), "{verb} is not by REST in\n{trail}");
    }
}

fn put_one(client: &mut Client, queue: &str) {
    assert_eq!(put(client, queue, "one", "one").status, 201);
}

#[test]
fn what_is_put_and_got_while_the_node_that_serves_is_killed_is_balanced() {
    let mut cluster = cluster();
    run(&mut client(&cluster), "DEFINE QLOCAL(ORDERS)");
    let orders = queue("ORDERS");
    let (is_over, is_put) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|threads| {
        let (orders, is_over, is_put) = (&orders, &is_over, &is_put);
        let mut putting = client(&cluster);
        let put = threads.spawn(move || {
            let mut count = 0;
            while !is_over.load(Ordering::SeqCst) {
                let answer = put(&mut putting, orders, &format!("key {count}"), &format!("order {count}"));
                assert_eq!(answer.status, 201, "{answer:?}");
                count += 1;
            }
            count
        });
        let mut getting = client(&cluster);
        let get = threads.spawn(move || get_all(&mut getting, orders, is_put));
        let mut asking = client(&cluster);
        let asked = threads.spawn(move || ask_everything(&mut asking, is_over));

        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(700));
            let serving = cluster.wait_serving(PATIENCE);
            cluster.kill(serving);
            cluster.wait_serving(PATIENCE);
            cluster.start_node(serving);
        }
        is_over.store(true, Ordering::SeqCst);
        let put = put.join();
        is_put.store(true, Ordering::SeqCst);
        let put: usize = put.expect("every put was done");
        let (got, unknown) = get.join().expect("every message was got");
        println!("{put} put, {} got, of {unknown} gets nobody knows", got.len());
        assert!(got.values().all(|count| *count == 1), "no message was got twice: {got:?}");
        assert!(
            got.len() <= put && put <= got.len() + unknown,
            "what is missing was got by who was not told"
        );
        let rounds = asked.join().expect("every path was answered");
        assert!(rounds > 0);
        println!("every path {rounds} times");
    });
}

/// How often each message was got, and of how many gets nobody knows.
fn get_all(client: &mut Client, queue: &str, is_put: &AtomicBool) -> (BTreeMap<String, usize>, usize) {
    let (mut got, mut unknown) = (BTreeMap::new(), 0);
    let waiting = format!("{queue}?wait=300");
    loop {
        let all_put = is_put.load(Ordering::SeqCst);
        match client.try_once(Request::new("DELETE", &waiting), PATIENCE) {
            Ok(answer) if answer.status == 200 => *got.entry(answer.body).or_insert(0) += 1,
            Ok(answer) => {
                assert_eq!(answer.status, 204, "{answer:?}");
                if all_put {
                    return (got, unknown);
                }
            }
            Err(_) => unknown += 1,
        }
    }
}

/// Every path, again and again: each is done, or refused, or says that nobody knows.
fn ask_everything(client: &mut Client, is_over: &AtomicBool) -> usize {
    let command = format!("/ibmmq/rest/v2/admin/action/qmgr/{QUEUE_MANAGER}/mqsc");
    let manager = format!("/ibmmq/rest/v2/admin/qmgr/{QUEUE_MANAGER}?attributes=*");
    let other = queue("SYSTEM.DEFAULT.LOCAL.QUEUE");
    let list = format!("{other}list");
    let queues = format!("/ibmmq/rest/v1/admin/qmgr/{QUEUE_MANAGER}/queue?attributes=*&status=*");
    let channels = format!("/ibmmq/rest/v1/admin/qmgr/{QUEUE_MANAGER}/channel");
    let subscriptions = format!("/ibmmq/rest/v1/admin/qmgr/{QUEUE_MANAGER}/subscription");
    let reads = [
        "/ibmmq/rest/openapi.json",
        "/ibmmq/rest/v2/login",
        "/ibmmq/rest/v2/admin/installation",
        "/ibmmq/rest/v2/admin/qmgr",
        &manager,
        &other,
        &list,
        &queues,
        &channels,
        &subscriptions,
    ];
    let mut rounds = 0;
    while !is_over.load(Ordering::SeqCst) {
        for path in reads {
            let answer = client.repeat(Request::new("GET", path), PATIENCE);
            assert!([200, 204].contains(&answer.status), "{path}: {answer:?}");
        }
        let name = format!("ROUND.{rounds}");
        let define =
            json!({ "type": "runCommandJSON", "command": "define", "qualifier": "qlocal", "name": name });
        let body = define.to_string();
        let request = Request { headers: &[JSON], body: &body, ..Request::new("POST", &command) };
        let defined = client.try_once(request, PATIENCE);
        let is_known = defined.is_ok_and(|answer| answer.json()["overallCompletionCode"] == 0);
        let shown = run(client, &format!("DISPLAY QLOCAL({name}) DESCR"));
        let is_there = shown.json()["overallCompletionCode"] == 0;
        assert!(is_there || !is_known, "what was said to be done is there: {shown:?}");
        change_everything(client, rounds);
        rounds += 1;
    }
    rounds
}

/// A queue as an object, from its beginning to its end.
fn change_everything(client: &mut Client, round: usize) {
    let queues = format!("/ibmmq/rest/v1/admin/qmgr/{QUEUE_MANAGER}/queue");
    let (one, body) =
        (format!("{queues}/OBJECT.{round}"), json!({ "name": format!("OBJECT.{round}") }).to_string());
    let request = |method, path, body| Request { headers: &[JSON], body, ..Request::new(method, path) };
    assert_eq!(client.repeat(request("POST", &queues, &body), PATIENCE).status, 201);
    let changes = json!({ "storage": { "maximumDepth": round } }).to_string();
    assert_eq!(client.repeat(request("PATCH", &one, &changes), PATIENCE).status, 204);
    let shown =
        client.repeat(Request::new("GET", &format!("{one}?attributes=storage.maximumDepth")), PATIENCE);
    assert_eq!(shown.json()["queue"][0]["storage"]["maximumDepth"], round, "{shown:?}");
    // One that was done and not known to be is not done again.
    let deleted = client.repeat(Request::new("DELETE", &one), PATIENCE).status;
    assert!([204, 404].contains(&deleted), "{deleted}");
}

#[test]
fn who_shows_a_certificate_is_let_in_and_who_shows_none_is_not() {
    let certificates = tempfile::tempdir().expect("there is a place for temporary files");
    let at = certificates.path().to_str().expect("temporary paths are text");
    let nodes = "a=127.0.0.1,b=127.0.0.1,c=127.0.0.1";
    let made = run_program(
        "trimaran",
        &["certs", "init", "--cluster", "process", "--nodes", nodes, "--out", at],
        "",
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let plan = Plan { rest: true, certificates: Some(certificates.path().to_path_buf()), ..Plan::default() };
    let cluster = Cluster::start(plan);
    let curl = |arguments: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "--cacert"]).arg(format!("{at}/ca.pem")).args(arguments);
        let output = curl.output();
        let output =
            output.unwrap_or_else(|error| panic!("curl: {error}; install it (Debian: apt install curl)"));
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (certificate, key) = (format!("{at}/user-admin.pem"), format!("{at}/user-admin.key"));
    let shown = ["--cert", &certificate, "--key", &key];
    for node in &cluster.nodes {
        let login = format!("https://{}/ibmmq/rest/v3/login", node.rest);
        let (is_done, text) = curl(&[&shown[..], &[&login]].concat());
        assert!(is_done && text.contains("\"name\":\"admin\""), "{text}");
        assert!(!curl(&[&login]).0, "who shows none has no connection");
        // Whichever node is asked, the message is where it belongs.
        let put = format!("https://{}{}", node.rest, queue("SYSTEM.DEFAULT.LOCAL.QUEUE"));
        let said = ["-L", "-o", "/dev/null", "-w", "%{http_code}", "-H", "ibm-mq-rest-csrf-token: x", "-H"];
        let (_, code) =
            curl(&[&shown[..], &said, &["Content-Type: text/plain", "-d", "hello", &put]].concat());
        assert_eq!(code, "201", "at node {}", node.name);
    }
}

#[test]
fn the_nodes_do_what_their_description_says() {
    let cluster = cluster();
    run(&mut client(&cluster), "DEFINE QLOCAL(ORDERS)");
    run(&mut client(&cluster), "DEFINE QLOCAL(SCRATCH)");
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let config = directory.path().join("schemathesis.toml");
    // A wait that is made up would be waited for; what there is not yet says so with a status of its own; and what puts and gets use
    // is not deleted.
    let text = format!(
        r#"hooks = "rest_hooks"
[parameters]
"path.qmgr" = "{QUEUE_MANAGER}"
"path.queue" = "ORDERS"
"path.channel" = "SYSTEM.DEF.SVRCONN"
"path.subscription" = "SYSTEM.DEFAULT.SUB"
"query.wait" = 1
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "501"]
[[operations]]
include-path = "/admin/qmgr/{{qmgr}}/queue/{{queue}}"
parameters = {{ "path.queue" = "SCRATCH" }}
"#
    );
    std::fs::write(&config, text).expect("the directory can be written");
    let serving = &cluster.nodes[cluster.serving().expect("a node serves")];
    let description = format!("http://{}/ibmmq/rest/openapi.json", serving.rest);
    let arguments = [
        "--checks",
        "all",
        "--max-examples",
        "25",
        "--max-time",
        "40",
        "--seed",
        "1",
        "--no-color",
        &description,
    ];
    let output = schemathesis(&config, &arguments).unwrap_or_else(|text| panic!("{text}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
}
