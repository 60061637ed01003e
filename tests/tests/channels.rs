//! Port 1414 of three real nodes: our own `send` and `receive`, and IBM's client libraries for Java, unchanged. The Java programs
//! are in `tests/java`.
//!
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`). Needs a JDK and Maven.

use std::io::{BufRead, BufReader};
use std::process::Output;

use trimaran_client::Attributes;
use trimaran_tests::process::cluster::QUEUE_MANAGER;
use trimaran_tests::process::java::Java;
use trimaran_tests::process::{Cluster, Plan, run_program};

const QUEUE: &str = "HA.QUEUE";
const CHANNEL: &str = "APP.SVRCONN";

/// Three nodes with a queue and a channel that take long messages, and a channel that has no room.
async fn cluster() -> Cluster {
    let cluster = Cluster::start(Plan::default());
    let connection = cluster.connect().await;
    let attributes = Attributes::new().with("MAXMSGL", 100 << 20);
    let admin = connection.admin();
    admin.create_queue(QUEUE, attributes).await.expect("a new queue can be created");
    let channels = [(CHANNEL, "MAXMSGL", 100 << 20), ("FULL.SVRCONN", "MAXINST", 0)];
    for (channel, attribute, value) in channels {
        let attributes = Attributes::new().with("CHLTYPE", "SVRCONN").with(attribute, value);
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
    let sent = run("send", "Hello\nThis\nis\na\ntest\n\n");
    assert_eq!(sent[..5].iter().filter(|line| line.contains(QUEUE_MANAGER)).count(), 1, "{sent:?}");
    assert_eq!(sent.last().unwrap(), "done: 5 persistent messages sent to HA.QUEUE");
    let received = run("receive", "y\ny\ny\ny\nn\n");
    let end = "completion code 2, reason 2033 NO_MSG_AVAILABLE: nothing more to browse. That is success.";
    assert_eq!(received[received.len() - 2..], ["4 of 5 messages received", end]);
    let again = run("receive", "y\n");
    assert!(again.iter().any(|line| line == "test"), "{again:?}");
    assert_eq!(again[again.len() - 2..], ["1 of 1 message received", end]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_over_the_classes_for_java_does_what_it_does_with_mq() {
    let java = java();
    let cluster = cluster().await;
    let output = java.run("BaseClasses", &[&port(&cluster), QUEUE_MANAGER, QUEUE]);
    assert_eq!(
        lines(&output),
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
            "inhibited 2016, 1",
            "no such queue 2085",
            "no such queue manager 2058",
            "no such channel 2540",
            "full channel 2537",
            "done",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_over_the_classes_for_jms_does_what_it_does_with_mq() {
    let java = java();
    let cluster = cluster().await;
    let output = java.run("Messaging", &[&port(&cluster), QUEUE_MANAGER, QUEUE]);
    assert_eq!(
        lines(&output),
        [
            "text hello red",
            "empty null null",
            "browsed [one, two, three]",
            "received onetwothree",
            "kinds 7 object 9 10000",
            "priority 7 mode 1 expires true",
            "transacted once, again once redelivered true count 2",
            "acknowledged careful redelivered true",
            "listener true [m0, m1, m2, m3, m4]",
            "asynchronous puts and read ahead 20",
            "64 sessions",
            "done",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jms_program_goes_on_when_its_node_is_killed() {
    let java = java();
    let mut cluster = cluster().await;
    let addresses = cluster.nodes.iter().map(|node| node.mq.replace(':', "(") + ")");
    let addresses = addresses.collect::<Vec<_>>().join(",");
    let mut program = java.start("Reconnecting", &[&addresses, QUEUE_MANAGER, QUEUE, "200"]);
    let mut last = String::new();
    for line in BufReader::new(program.stdout.take().expect("it is piped")).lines() {
        last = line.expect("a program prints text");
        if last == "sent 50" {
            let serving = cluster.serving().expect("a node serves");
            cluster.kill(serving);
        }
    }
    assert!(program.wait().expect("a child can be waited for").success(), "{last}");
    assert_eq!(last, "received 200 to 200");
}
