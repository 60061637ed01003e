//! Port 1414 of three real nodes: our own `send` and `receive`, and IBM's client libraries for Java, unchanged, also under Spring. The
//! Java programs are in `tests/java`.
//!
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`). Needs a JDK and Maven.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Output};
use std::time::{Duration, Instant};

use trimaran_client::channel::{Channel, datagram};
use trimaran_client::{Attributes, Connection};
use trimaran_node::metrics::dashboards::{ASKED_FOR, Answer};
use trimaran_proto::mq::constants::{get, open, put};
use trimaran_proto::mq::segment::types;
use trimaran_tests::process::cluster::{QUEUE_MANAGER, free_ports, http_get};
use trimaran_tests::process::dissector::Capture;
use trimaran_tests::process::java::Java;
use trimaran_tests::process::{Cluster, Plan, run_program};

const QUEUE: &str = "HA.QUEUE";
const OTHER: &str = "HA.OTHER";
const CHANNEL: &str = "APP.SVRCONN";
/// Connections that are held at once by one test: fewer than the files that a shell lets it have open.
const IDLE: usize = 700;

/// Three nodes with a queue and a channel that take long messages, another queue, and a channel that has no room.
async fn cluster() -> Cluster {
    cluster_of(Plan::default()).await
}

/// With certificates, the channel demands them.
async fn cluster_of(plan: Plan) -> Cluster {
    let cipher = if plan.certificates.is_some() { "ANY_TLS12_OR_HIGHER" } else { "" };
    let cluster = Cluster::start(plan);
    let connection = cluster.connect().await;
    let admin = connection.admin();
    for queue in [QUEUE, OTHER] {
        let attributes = Attributes::new().with("MAXMSGL", 100 << 20);
        admin.create_queue(queue, attributes).await.expect("a new queue can be created");
    }
    let channels =
        [(CHANNEL, "MAXMSGL", 100 << 20), ("FULL.SVRCONN", "MAXINST", 0), ("ALONE.SVRCONN", "SHARECNV", 0)];
    for (channel, attribute, value) in channels {
        let attributes = Attributes::new().with("CHLTYPE", "SVRCONN").with(attribute, value);
        let attributes = attributes.with("SSLCIPH", cipher);
        admin.define("CHANNEL", channel, "", false, attributes).await.expect("a new channel can be defined");
    }
    connection.close().await;
    cluster
}

fn java() -> Java {
    Java::prepare().unwrap_or_else(|text| panic!("{text}"))
}

fn port(cluster: &Cluster) -> String {
    let node = cluster.serving().expect("a node serves");
    cluster.nodes[node].mq.rsplit(':').next().expect("an address has a port").to_string()
}

/// Runs what talks to this port, while tshark reads along: it has to understand everything, and to have seen these types of
/// segments, in both directions.
fn read_along<T>(port: &str, types: &[u8], run: impl FnOnce() -> T) -> T {
    let capture = Capture::begin(port).unwrap_or_else(|text| panic!("{text}"));
    let result = run();
    let read = capture.end().unwrap_or_else(|text| panic!("{text}"));
    assert!(read.malformed.is_empty(), "{:#?}", read.malformed);
    let missing: Vec<_> = types.iter().filter(|segment| !read.segments.contains(segment)).collect();
    assert!(missing.is_empty(), "{missing:#04x?} are not among {:#04x?}", read.segments);
    result
}

/// A call and its reply.
const fn answered(call: u8) -> [u8; 2] {
    [call, call + types::REPLY]
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_and_receive_speak_the_channel_s_protocol_when_they_are_given_one() {
    let cluster = cluster().await;
    let port = port(&cluster);
    let run = |command: &str, input: &str| {
        let given = ["--host", "127.0.0.1", "--port", &port, "--channel", CHANNEL];
        let output = run_program("trimaran", &[&[command], &given[..], &[QUEUE]].concat(), input);
        lines(&output)
    };
    let plain = [types::CONN, types::DISC, types::OPEN, types::CLOSE, types::PUT].map(answered).concat();
    let sent = read_along(&port, &plain, || run("send", "Hello\nThis\nis\na\ntest\n\n"));
    assert_eq!(sent[..5].iter().filter(|line| line.contains(QUEUE_MANAGER)).count(), 1, "{sent:?}");
    assert_eq!(sent.last().unwrap(), "done: 5 persistent messages sent to HA.QUEUE");
    let received = read_along(&port, &answered(types::GET), || run("receive", "y\ny\ny\ny\nn\n"));
    let end = "completion code 2, reason 2033 NO_MSG_AVAILABLE: nothing more to browse. That is success.";
    assert_eq!(received[received.len() - 2..], ["4 of 5 messages received", end]);
    let again = run("receive", "y\n");
    assert!(again.iter().any(|line| line == "test"), "{again:?}");
    assert_eq!(again[again.len() - 2..], ["1 of 1 message received", end]);
}

/// What dashboards for IBM MQ ask for is on the page of the node that serves, and reading it leaves no trace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_metrics_has_every_name_that_boards_for_mq_ask_for() {
    let cluster = cluster().await;
    let serving = cluster.serving().expect("a node serves");
    let port = port(&cluster);
    let run = |command: &str, input: &str| {
        let given = ["--host", "127.0.0.1", "--port", &port, "--channel", CHANNEL];
        lines(&run_program("trimaran", &[&[command], &given[..], &[QUEUE]].concat(), input))
    };
    run("send", "Hello\nThere\n\n");
    run("receive", "y\n");
    let line = |page: &str, begins: &str| -> Option<f64> {
        let line = page.lines().find(|line| line.starts_with(begins))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let begun = Instant::now();
    let page = loop {
        let (code, page) = http_get(&cluster.nodes[serving].http, "/metrics").expect("the node has a page");
        assert_eq!(code, 200);
        // Figures of now are a tenth of a second old at most. Who reads the page is no program.
        if line(&page, "ibmmq_qmgr_connection_count{") == Some(0.0) {
            break page;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{page}");
    };
    let given = ASKED_FOR.iter().filter(|(_, answer)| *answer == Answer::Given);
    let missing: Vec<&str> =
        given.map(|(name, _)| *name).filter(|name| line(&page, &format!("{name}{{")).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?} are missing in\n{page}");

    let of_queue = format!("{{qmgr=\"{QUEUE_MANAGER}\",queue=\"{QUEUE}\"}}");
    let of_channel = format!("{{qmgr=\"{QUEUE_MANAGER}\",channel=\"{CHANNEL}\",type=\"SVRCONN\"}}");
    let figure =
        |page: &str, name: &str, of: &str| line(page, &format!("{name}{of} ")).expect("it has a line");
    assert_eq!(figure(&page, "ibmmq_queue_mqput_mqput1_count", &of_queue), 2.0);
    assert_eq!(figure(&page, "ibmmq_queue_depth", &of_queue), 1.0);
    assert!(figure(&page, "ibmmq_queue_time_since_put", &of_queue) < 60.0);
    assert!(figure(&page, "ibmmq_channel_messages", &of_channel) > 3.0, "two programs made more calls");
    assert_eq!(figure(&page, "ibmmq_channel_cur_inst", &of_channel), 0.0, "both have left");
    let refused = line(&page, "trimaran_calls_failed_total{");
    let (_, again) = http_get(&cluster.nodes[serving].http, "/metrics").expect("the node has a page");
    assert_eq!(line(&again, "trimaran_calls_failed_total{"), refused);
    assert_eq!(line(&again, "ibmmq_qmgr_connection_count{"), Some(0.0));
}

/// Defined, started, stopped, moved, and found on the next node when the first is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_is_open_where_its_queue_manager_is_served() {
    let mut cluster = cluster().await;
    let ports = free_ports(2);
    let (port, other) = (ports[0], ports[1]);
    let connect = cluster.addresses().join(",");
    let mqsc = |commands: &str| {
        let output = run_program("trimaran", &["--connect", &connect, "runmqsc", "-e"], commands);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let is_open = |port: u16| TcpStream::connect(("127.0.0.1", port)).is_ok();
    let state = |listener: &str, state: &str| {
        let begun = Instant::now();
        loop {
            let shown = mqsc(&format!("DISPLAY LSSTATUS({listener}) ALL\n"));
            if shown.contains(&format!("STATUS({state})")) {
                return shown;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "{shown}");
        }
    };
    // Programs name no queue manager: it is the listener's.
    let send = |port: u16| {
        let port = port.to_string();
        let given = ["send", "--host", "127.0.0.1", "--port", &port, "--channel", CHANNEL, QUEUE];
        lines(&run_program("trimaran", &given, "Hello\n\n"))
    };
    let sent = "done: 1 persistent message sent to HA.QUEUE";

    let shown = mqsc(&format!("DEFINE LISTENER(APP) TRPTYPE(TCP) IPADDR('127.0.0.1') PORT({port})\n"));
    assert!(shown.contains("AMQ8626I: IBM MQ listener created."), "{shown}");
    state("APP", "STOPPED");
    assert!(!is_open(port), "nobody has started it");
    let shown = mqsc("START LISTENER(APP)\n");
    assert!(shown.contains("AMQ8021I: Request to start IBM MQ listener accepted."), "{shown}");
    let shown = state("APP", "RUNNING");
    let serving = cluster.serving().expect("a node serves");
    let pid = cluster.pid(serving).expect("it runs");
    for part in [format!("PORT({port})"), format!("PID({pid})"), "IPADDR(127.0.0.1)".into()] {
        assert!(shown.contains(&part), "{part} is missing in\n{shown}");
    }
    assert_eq!(send(port).last().unwrap(), sent);
    let shown = mqsc("START LISTENER(APP)\nSTART LISTENER(APP) IGNSTATE(YES)\n");
    assert!(shown.contains("AMQ8730W: Listener already active.") && shown.contains("AMQ8021I"), "{shown}");

    // What is applied says nothing of whether it runs.
    let definition = format!("DEFINE LISTENER(APP) TRPTYPE(TCP) IPADDR('127.0.0.1') PORT({port})\n");
    let applied = lines(&run_program("trimaran", &["--connect", &connect, "apply", "-"], &definition));
    assert_eq!(applied, ["0 changed, 1 unchanged"]);

    // Whoever comes from another machine would be believed who it is.
    mqsc(&format!("DEFINE LISTENER(WIDE) TRPTYPE(TCP) PORT({other}) CONTROL(QMGR)\n"));
    let shown = state("WIDE", "STOPPED");
    assert!(shown.contains("open to other machines"), "{shown}");
    within(|| cluster.log_since_start(serving).contains("open to other machines"));
    assert!(!is_open(other), "and nobody is let in");

    // Who is connected stays when no more are let in.
    let stays = TcpStream::connect(("127.0.0.1", port)).expect("it is open");
    let shown = mqsc("STOP LISTENER(APP)\n");
    assert!(shown.contains("AMQ8706I: Request to stop IBM MQ listener accepted."), "{shown}");
    state("APP", "STOPPED");
    within(|| !is_open(port));
    stays.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket has a timeout");
    let read = (&stays).read(&mut [0; 1]).expect_err("nothing was sent, and nothing ended");
    assert_eq!(read.kind(), ErrorKind::WouldBlock);
    let shown = mqsc("STOP LISTENER(APP)\n");
    assert!(shown.contains("AMQ8731W: Listener not active."), "{shown}");

    // A port that somebody has is tried until it is free.
    let taken = TcpListener::bind(("127.0.0.1", other)).expect("a free port can be bound");
    mqsc(&format!("ALTER LISTENER(APP) TRPTYPE(TCP) PORT({other})\nSTART LISTENER(APP)\n"));
    let shown = state("APP", "RETRYING");
    assert!(shown.contains("It cannot listen on 127.0.0.1:"), "{shown}");
    drop(taken);
    state("APP", "RUNNING");
    assert_eq!(send(other).last().unwrap(), sent);

    cluster.kill(serving);
    cluster.wait_serving(Duration::from_secs(10));
    let shown = state("APP", "RUNNING");
    assert!(!shown.contains(&format!("PID({pid})")), "{shown}");
    assert_eq!(send(other).last().unwrap(), sent);
    mqsc("DELETE LISTENER(APP)\n");
    within(|| !is_open(other));
}

fn within(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it does not come to be");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Certificates of a cluster of three nodes on this machine, and of these users.
fn certificates(users: &str, out: &Path) {
    let out = out.display().to_string();
    let hosts = "a=127.0.0.1,b=127.0.0.1,c=127.0.0.1";
    let made = ["certs", "init", "--cluster", "process", "--nodes", hosts, "--users", users, "--out", &out];
    lines(&run_program("trimaran", &made, ""));
}

/// IBM's client and ours, over TLS and without, to channels that demand one thing or another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_protected_as_it_says() {
    let java = java();
    let place = tempfile::tempdir().expect("a directory in /tmp");
    let (own, other) = (place.path().join("own"), place.path().join("other"));
    certificates("admin,app,joe", &own);
    certificates("app", &other);
    // A user of another authority, among ours.
    for ending in ["pem", "key"] {
        let from = other.join(format!("user-app.{ending}"));
        fs::copy(from, own.join(format!("user-stranger.{ending}"))).expect("a file can be copied");
    }
    let cluster = Cluster::start(Plan { certificates: Some(own.clone()), ..Plan::default() });
    let connection = cluster.connect().await;
    let admin = connection.admin();
    admin.create_queue(QUEUE, Attributes::new()).await.expect("a new queue can be created");
    let channels: [(&str, &[(&str, &str)]); 6] = [
        ("PLAIN", &[]),
        ("MUTUAL", &[("SSLCIPH", "ANY_TLS12_OR_HIGHER")]),
        ("ONEWAY", &[("SSLCIPH", "ANY_TLS12_OR_HIGHER"), ("SSLCAUTH", "OPTIONAL")]),
        ("TLS12", &[("SSLCIPH", "ANY_TLS12")]),
        ("TLS13", &[("SSLCIPH", "TLS_AES_256_GCM_SHA384")]),
        ("PEER", &[("SSLCIPH", "ANY_TLS13"), ("SSLPEER", "CN=ap*")]),
    ];
    for (channel, said) in channels {
        let attributes = said
            .iter()
            .fold(Attributes::new().with("CHLTYPE", "SVRCONN"), |all, (name, value)| all.with(*name, *value));
        admin.define("CHANNEL", channel, "", false, attributes).await.expect("a new channel can be defined");
    }

    let port = port(&cluster);
    let mut arguments =
        vec![port.as_str(), QUEUE_MANAGER, QUEUE, own.to_str().expect("a path in /tmp is text")];
    let suites = ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "*TLS12ORHIGHER"];
    let [of_tls13, of_tls12, any] = suites;
    let cases = [
        ["PLAIN", "-", "-", "hello"],
        ["MUTUAL", of_tls13, "user-app", "hello by app"],
        ["MUTUAL", of_tls12, "user-app", "hello by app"],
        ["MUTUAL", any, "user-app", "hello by app"],
        ["ONEWAY", of_tls13, "-", "hello"],
        ["ONEWAY", of_tls12, "-", "hello"],
        ["TLS12", of_tls12, "user-app", "hello by app"],
        ["TLS13", "TLS_AES_256_GCM_SHA384", "user-app", "hello by app"],
        ["PEER", any, "user-app", "hello by app"],
        // And what is refused.
        ["MUTUAL", "-", "-", "2397"],
        ["PLAIN", any, "user-app", "2397"],
        ["TLS12", of_tls13, "user-app", "2397"],
        ["TLS13", of_tls12, "user-app", "2397"],
        ["MUTUAL", of_tls13, "-", "2059"],
        ["MUTUAL", of_tls12, "-", "2059"],
        ["PEER", any, "user-joe", "2397"],
        ["MUTUAL", of_tls13, "node-a", "2035"],
        ["MUTUAL", of_tls12, "user-stranger", "2397"],
        ["MUTUAL", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "user-app", "2397"],
    ];
    arguments.extend(cases.iter().flat_map(|case| &case[..3]));
    let printed = lines(&java.run("Protected", &arguments));
    let expected =
        cases.iter().map(|[channel, suite, user, what]| format!("{channel} {suite} {user}: {what}"));
    assert_eq!(printed, expected.chain(["done".to_string()]).collect::<Vec<_>>());

    // Each refusal is said with its channel, and where the client came from.
    let serving = cluster.serving().expect("a node serves");
    let log = cluster.log_since_start(serving);
    for why in [
        "channel MUTUAL: AMQ9639E: Remote channel 'MUTUAL' did not specify a CipherSpec.",
        "channel PLAIN: AMQ9635E: Channel 'PLAIN' did not specify a valid CipherSpec.",
        "channel TLS12: AMQ9631E: The CipherSpec negotiated during the SSL handshake does not match",
        "channel TLS13: AMQ9631E: ",
        "channel MUTUAL: AMQ9637E: Channel is lacking a certificate.",
        "channel PEER: AMQ9636E: SSL distinguished name does not match peer name, channel 'PEER'.",
        "The certificate of node a of cluster process is no user's",
    ] {
        let line =
            log.lines().find(|line| line.contains(why)).unwrap_or_else(|| panic!("{why} is not in\n{log}"));
        assert!(line.contains("WARN") && line.contains("127.0.0.1:"), "{line}");
    }

    // Our own programs, and what is seen of them.
    let at = |name: &str| own.join(name).display().to_string();
    let (ca, certificate, key) = (at("ca.pem"), at("user-app.pem"), at("user-app.key"));
    let tls = ["--tls-ca", &ca, "--tls-cert", &certificate, "--tls-key", &key];
    let send = |tls: &[&str], channel: &str| {
        let given = ["--host", "127.0.0.1", "--port", &port, "--channel", channel, QUEUE];
        run_program("trimaran", &[tls, &["send"], &given[..]].concat(), "Hello\n\n")
    };
    let sent = lines(&send(&tls, "MUTUAL"));
    assert_eq!(sent.last().unwrap(), "done: 1 persistent message sent to HA.QUEUE");
    for (tls, channel, why) in [
        (&tls[..0], "MUTUAL", "The channel demands TLS: --tls-ca"),
        (&tls[..], "PLAIN", "leave --tls-ca (TRIMARAN_TLS_CA) out"),
        (&tls[..2], "MUTUAL", "Give --tls-cert and --tls-key."),
    ] {
        let refused = send(tls, channel);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains(why), "{channel}: {text}");
    }
    let address = format!("127.0.0.1:{port}");
    let shows = cluster.tls().expect("there are certificates");
    let through = Channel::connect_over(Some(&shows), &address, "MUTUAL", "", "look").await.expect("it fits");
    let connect = cluster.addresses().join(",");
    let mqsc = [&["--connect", &connect], &tls[..], &["runmqsc", "-e"]].concat();
    let output = run_program("trimaran", &mqsc, "DISPLAY CHSTATUS(MUTUAL) SECPROT SSLCIPH SSLPEER MCAUSER\n");
    let shown = lines(&output).join("\n");
    for part in ["SECPROT(TLSV13)", "SSLCIPH(TLS_AES_256_GCM_SHA384)", "CN=admin)", "MCAUSER(admin)"] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    drop(through);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_over_the_classes_for_java_does_what_it_does_with_mq() {
    let java = java();
    let cluster = cluster().await;
    let port = port(&cluster);
    let flows = [types::SET, types::INQ, types::PUT, types::CMIT, types::BACK].map(answered).concat();
    let flows = [&flows[..], &[types::STATUS, types::REQUEST_MESSAGES, types::ASYNC_MESSAGE]].concat();
    let printed =
        read_along(&port, &flows, || lines(&java.run("BaseClasses", &[&port, QUEUE_MANAGER, QUEUE])));
    assert_eq!(
        printed,
        [
            "connected to ha.queue.manager, level 943",
            "depth 0 of 5000",
            "browse Hello This",
            "browse on 2033",
            "browse again Hello Hello",
            "under cursor Hello, again 2034",
            "rest This, then 2033",
            "wait 2033 in time",
            "unit committed",
            "backed out 1 times",
            "by correlation mine, then another",
            "100000 bytes whole",
            "1000000 bytes whole",
            "20000000 bytes whole",
            "too long of 5: 2080, of 5: 2080",
            "cut off Hel of 5: 2079, then 2033",
            "inhibited 2016, 1",
            "no such queue 2085",
            "no such queue manager 2058",
            "no such channel 2540",
            "full channel 2537",
            "done",
        ]
    );
}

/// A refusal was a warning with an empty MQMD now and then, and a listener was given an empty message for it, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_is_told_that_there_is_no_message_as_by_mq() {
    let java = java();
    let cluster = cluster().await;
    let port = port(&cluster);
    let flows = [types::REQUEST_MESSAGES, types::ASYNC_MESSAGE, types::NOTIFICATION];
    let queue = [port.as_str(), QUEUE_MANAGER, QUEUE];
    let run = |more: &[&str]| lines(&java.run("Refusals", &[&queue[..], more].concat()));
    let printed = read_along(&port, &flows, || run(&[CHANNEL, "listeners"]));
    let ahead = "[m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11], then 2 2033";
    let mut expected = vec![
        "nothing 2 2033 order 7".to_string(),
        "inhibited 2 2016 order 7, at once 2 2016 order 7".to_string(),
        "too long 1 2080, then mine, left another".to_string(),
        format!("read ahead with version 1 {ahead}"),
        format!("read ahead with version 2 {ahead}"),
        "listener before, inhibited null, after, more 0".to_string(),
        "listener before, inhibited null, after, more 0".to_string(),
        "done".to_string(),
    ];
    assert_eq!(printed, expected);
    // With MQGET, which has its own answers, and listeners that ask now and then.
    let printed = read_along(&port, &answered(types::GET), || run(&["ALONE.SVRCONN"]));
    expected.retain(|line| !line.starts_with("listener"));
    assert_eq!(printed, expected);
}

/// Groups, and what becomes of puts that nobody waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_over_the_classes_for_java_come_whole_and_in_order() {
    let java = java();
    let cluster = cluster().await;
    let connection = cluster.connect().await;
    let small = Attributes::new().with("MAXDEPTH", 2);
    connection.admin().create_queue("SMALL", small).await.expect("a new queue can be created");
    let output = java.run("Groups", &[&port(&cluster), QUEUE_MANAGER, QUEUE, "SMALL"]);
    assert_eq!(
        lines(&output),
        [
            "whole 2033",
            "one id, numbers 1 2",
            "browse a1 1G, a2 2G, 2259",
            "whole a1 1G",
            "whole a2 2G",
            "whole a3 3L",
            "whole b1 1G",
            "whole b2 2L",
            "whole 2033",
            "after 3: 2033",
            "after 1: 2033",
            "after 2: own 1 1G",
            "number own 2 2G",
            "lacks one 2033",
            "without asking own 1 1G, then 2033",
            "closed 2241, going on own 3 3L, closed 0",
            "waited late 1 1G, late 2 2L",
            "outside 2245",
            "of none 2241",
            "unit u1 1G",
            "again u1 1G, u2 2L",
            "closed 2241, got never ended 1G",
            "segments 2443",
            "put 2 0 3, 2 2053 SMALL",
            "since 0 0 0, 0 0 ",
            "done",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_over_the_classes_for_jms_does_what_it_does_with_mq() {
    let java = java();
    let cluster = cluster().await;
    let port = port(&cluster);
    let flows = [types::SPI, types::CONN, types::DISC, types::CLOSE, types::CMIT].map(answered).concat();
    let flows = [&flows[..], &[types::SOCKET_ACTION, types::NOTIFICATION, types::USER_ID]].concat();
    let printed = read_along(&port, &flows, || lines(&java.run("Messaging", &[&port, QUEUE_MANAGER, QUEUE])));
    assert_eq!(
        printed,
        [
            "text hello red",
            "empty null null",
            "browsed [one, two, three]",
            "received onetwothree",
            "kinds 7 object 9 10000",
            "reply to request",
            "priority 7 mode 1 expires true",
            "transacted once, again once redelivered true count 2",
            "acknowledged careful redelivered true",
            "listener true [m0, m1, m2, m3, m4]",
            "asynchronous puts and read ahead 20",
            "listener ahead true in order true",
            "64 sessions 64 got their own, 0 did not, 16 of units that were given up",
            "done",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_come_as_the_classes_for_java_and_for_jms_ask_for_them() {
    let java = java();
    let cluster = cluster().await;
    let (poison, answers) = ("HA.POISON", "HA.ANSWERS");
    let connection = cluster.connect().await;
    let admin = connection.admin();
    let retried = Attributes::new().with("BOTHRESH", 1).with("BACKOUT_MOVE", "YES");
    admin.create_queue(poison, retried).await.expect("a new queue can be created");
    admin.create_queue(answers, Attributes::new()).await.expect("a new queue can be created");
    admin.create_queue("HA.DEAD", Attributes::new()).await.expect("a new queue can be created");
    let dead = Attributes::new().with("DEADQ", "HA.DEAD");
    admin.alter("QMGR", "", dead).await.expect("a queue manager can be altered");
    let output = java.run("Reports", &[&port(&cluster), QUEUE_MANAGER, QUEUE, poison, answers]);
    assert_eq!(
        lines(&output),
        [
            "arrival 259 of it, 0 bytes",
            "with data 259 of its correlation id, 100 bytes",
            "with full data 259 of it, its message id, 210 bytes",
            "uncommitted 2033",
            "committed 259 of it, 0 bytes",
            "backed out 2033",
            "browsed 2033",
            "delivery 260 of it, 0 bytes",
            "with data 260 of it, 100 bytes",
            "both 259 of it, 0 bytes",
            "uncommitted 2033",
            "backed out 2033",
            "committed 260 of it, 210 bytes",
            "expiration 258 of it, 100 bytes",
            "exception 2362 of it, 210 bytes",
            "discarded 2362 of it, 0 bytes",
            "no reply-to queue 2027",
            "no reply-to queue 2027",
            "unknown option 2061",
            "option to pass over 2104 210",
            "JMS arrival 4 259 of it, color red, 210 characters",
            "JMS delivery 4 260 of it, color null, no text",
            "JMS expiration 4 258 of order 7, color null, 100 characters",
            "JMS temporary 4 259 of it, color null, no text",
            "done",
        ]
    );
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_selectors_of_jms_are_evaluated_by_the_queue_manager() {
    let java = java();
    let cluster = cluster().await;
    let output = java.run("Selectors", &[&port(&cluster), QUEUE_MANAGER, QUEUE]);
    assert_eq!(
        lines(&output),
        [
            "color = 'red' [red0, red3, red6]",
            "color <> 'red' AND number > 3 [blue4, green5, blue7, green8]",
            "number BETWEEN 2 AND 4 [green2, red3, blue4]",
            "color IN ('blue', 'green') AND NOT even [blue1, green5, blue7]",
            "color LIKE 'gr__n' [green2, green5, green8]",
            "even [red0, green2, blue4, red6, green8]",
            "even = FALSE AND price < 4 [blue1, red3]",
            "big = 8000000000000 [green8]",
            "missing IS NULL AND number * 2 = 6 [red3]",
            "missing = 1 []",
            "JMSPriority = 4 AND JMSDeliveryMode = 'PERSISTENT' AND number < 2 [red0, blue1]",
            "consumed [blue1, blue4, blue7]",
            "left [red0, green2, red3, green5, red6, green8]",
            "listened [red0, red3, red6, late]",
            "by id request, [reply to ID:414], [reply to order ], [reply to order ]",
            "JMSType = 'car' [typed]",
            "JMSType LIKE 'c%' [typed]",
            "JMSPriority >= 9 [typed]",
            "JMSDeliveryMode = 'NON_PERSISTENT' [typed]",
            "JMSTimestamp > … [typed]",
            "JMSXGroupID = 'group' [typed]",
            "JMSXGroupSeq = 2 [typed]",
            "JMSXDeliveryCount = 1 [typed]",
            "JMSXUserID IS NOT NULL [typed]",
            "JMS_IBM_MsgType = 8 [typed]",
            "JMS_IBM_PutApplType > 0 [typed]",
            "transacted red, again red redelivered true, then null, left [blue]",
            "invalid color =",
            "invalid color = 'red",
            "invalid color > 'red'",
            "invalid number IN (1)",
            "done",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_over_spring_does_what_it_does_with_mq() {
    let java = Java::jakarta().unwrap_or_else(|text| panic!("{text}"));
    let cluster = cluster().await;
    let output = java.run("Templates", &[&addresses(&cluster), QUEUE_MANAGER, QUEUE]);
    assert_eq!(
        lines(&output),
        [
            "converted hello",
            "browsed [red, blue]",
            "selected blue",
            "left red",
            "empty null",
            "transacted once, then null",
            "contained 20 to 20, redelivered 0",
            "contained in units 20 to 20, redelivered 0",
            "contained, and each failed once 20 to 20, redelivered 20",
            "reply to request",
            "left null",
            "done",
        ]
    );
}

/// A message is in one queue or in the other, whatever happens in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_of_spring_moves_messages_once_when_its_node_is_killed() {
    let java = Java::jakarta().unwrap_or_else(|text| panic!("{text}"));
    let mut cluster = cluster().await;
    let connection = cluster.connect().await;
    let program = java.start("Moving", &[&addresses(&cluster), QUEUE_MANAGER, QUEUE, OTHER, "200"]);
    let (last, gap) = follow(program, &mut cluster, &connection, Fault::Kill).await;
    assert_eq!(last, "moved 200, too often [], left null");
    println!("killed: {gap:?} from one put to the next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_of_ibm_s_client_come_and_go() {
    let java = java();
    let cluster = cluster().await;
    let output = java.run("Churn", &[&port(&cluster), QUEUE_MANAGER, QUEUE, "1000"]);
    assert_eq!(lines(&output), ["1000 of 1000 went well, refused {}"]);
    nothing_is_left(&cluster).await;
}

/// Half of them say that they go; of the others the socket ends, with a unit of work that was not committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_of_our_client_come_and_half_of_them_break() {
    let cluster = cluster().await;
    let address = format!("127.0.0.1:{}", port(&cluster));
    let churn = (0..4).map(|_| {
        let address = address.clone();
        tokio::spawn(async move {
            for number in 0..250 {
                let connected = Channel::connect(&address, CHANNEL, QUEUE_MANAGER, "churn").await;
                let mut channel = connected.expect("there is room");
                let handle = channel.open(QUEUE, open::OUTPUT).await.expect("the queue is there");
                let said = channel.put(handle, datagram(), "never".into(), put::SYNCPOINT).await;
                said.expect("the queue has room");
                if number % 2 == 0 {
                    channel.backout().await.expect("a unit can be backed out");
                    channel.disconnect().await.expect("it is connected");
                }
            }
        })
    });
    for task in churn.collect::<Vec<_>>() {
        task.await.expect("it does not panic");
    }
    nothing_is_left(&cluster).await;
}

/// A program that is not optimised keeps more of a connection than the release's does, if anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_does_nothing_costs_little_memory() {
    let cluster = cluster().await;
    let address = format!("127.0.0.1:{}", port(&cluster));
    let serving = cluster.serving().expect("a node serves");
    let mut held = Vec::new();
    let mut more = async |count: usize| {
        for _ in 0..count {
            let connected = Channel::connect(&address, CHANNEL, QUEUE_MANAGER, "idle").await;
            held.push(connected.expect("there is room"));
        }
    };
    // What is needed once is there before.
    more(100).await;
    let before = cluster.resident_bytes(serving);
    more(IDLE).await;
    let each = cluster.resident_bytes(serving).saturating_sub(before) / IDLE as u64;
    println!("{:.1} KiB for each of {IDLE} idle connections", each as f64 / 1024.0);
    assert!(each <= 64 << 10, "{each} bytes for each of {IDLE} idle connections");
    let last = held.last_mut().expect("there are many");
    last.open(QUEUE, open::INPUT_SHARED).await.expect("they are connected");
}

/// Neither a message nor a session, but for our own.
async fn nothing_is_left(cluster: &Cluster) {
    let connection = cluster.connect().await;
    let begun = Instant::now();
    loop {
        let sessions = connection.admin().sessions().await.expect("they can be listed");
        if sessions.iter().all(|session| session.channel != CHANNEL) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{} sessions are left", sessions.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let address = format!("127.0.0.1:{}", port(cluster));
    let connected = Channel::connect(&address, CHANNEL, QUEUE_MANAGER, "look").await;
    let mut channel = connected.expect("there is room");
    let handle = channel.open(QUEUE, open::INPUT_SHARED).await.expect("the queue is there");
    let got = channel.get(handle, get::NO_SYNCPOINT, 0).await.expect("the queue can be read");
    assert!(got.is_none(), "a message is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jms_program_goes_on_when_its_node_is_killed() {
    let gap = goes_on_after(Fault::Kill, None).await;
    println!("killed: {gap:?} from one put to the next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jms_program_over_mutual_tls_goes_on_when_its_node_is_killed() {
    let place = tempfile::tempdir().expect("a directory in /tmp");
    let certificates_of = place.path().join("own");
    certificates("admin,app", &certificates_of);
    let gap = goes_on_after(Fault::Kill, Some(certificates_of)).await;
    println!("killed, over TLS: {gap:?} from one put to the next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jms_program_is_told_of_a_planned_move_and_goes_on() {
    let gap = goes_on_after(Fault::Move, None).await;
    println!("moved: {gap:?} from one put to the next");
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Kill,
    Move,
}

/// As IBM's clients are given a list of them.
fn addresses(cluster: &Cluster) -> String {
    let addresses = cluster.nodes.iter().map(|node| node.mq.replace(':', "(") + ")");
    addresses.collect::<Vec<_>>().join(",")
}

/// The time between the put before it and the one after it.
async fn goes_on_after(fault: Fault, certificates: Option<PathBuf>) -> Duration {
    let java = java();
    let mut cluster = cluster_of(Plan { certificates: certificates.clone(), ..Plan::default() }).await;
    let connection = cluster.connect().await;
    let addresses = addresses(&cluster);
    let mut arguments = vec![addresses.as_str(), QUEUE_MANAGER, QUEUE, "200"];
    arguments.extend(certificates.as_ref().and_then(|at| at.to_str()));
    let program = java.start("Reconnecting", &arguments);
    let (last, gap) = follow(program, &mut cluster, &connection, fault).await;
    assert_eq!(last, "received 200 to 200");
    gap
}

/// Reads what a program says that it sent, and does this to the node that serves in between. The last line, and the time between
/// the put before it and the one after it.
async fn follow(
    mut program: Child,
    cluster: &mut Cluster,
    connection: &Connection,
    fault: Fault,
) -> (String, Duration) {
    let (mut last, mut sent, mut gap) = (String::new(), Instant::now(), Duration::ZERO);
    for line in BufReader::new(program.stdout.take().expect("it is piped")).lines() {
        last = line.expect("a program prints text");
        if last.starts_with("sent ") {
            gap = gap.max(sent.elapsed()).min(if last == "sent 50" { Duration::ZERO } else { Duration::MAX });
            sent = Instant::now();
        }
        if last == "sent 50" {
            let serving = cluster.serving().expect("a node serves");
            match fault {
                Fault::Kill => cluster.kill(serving),
                Fault::Move => connection.admin().move_to("").await.expect("another node can take over"),
            }
        }
    }
    assert!(program.wait().expect("a child can be waited for").success(), "{last}");
    (last, gap)
}
