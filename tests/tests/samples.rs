//! The samples of clients in Python, Go and Java (`client/samples`), each told the same story on three real nodes with
//! certificates. Its node is killed in the midst of it. And Prometheus, which reads what all nodes say of themselves.
//!
//! The programs must be built (`cargo build --workspace --bins`). Needs Python, Go, protoc, a JDK and Maven, and once a way to
//! the registries of their packages.

use std::io::Write;
use std::process::Output;
use std::time::Duration;

use trimaran_client::Attributes;
use trimaran_tests::process::cluster::http_get;
use trimaran_tests::process::samples::{Sample, promlint};
use trimaran_tests::process::{Cluster, Plan, run_program};

const QUEUE: &str = "HA.QUEUE";
const OTHER: &str = "OTHER.QUEUE";
const LINES: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_in_python_follows_the_node_that_serves() {
    story(Sample::python()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_in_go_follows_the_node_that_serves() {
    story(Sample::go()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_in_java_follows_the_node_that_serves() {
    story(Sample::java()).await;
}

/// IBM's exporters gave these names, and boards ask for them.
const NAMES_OF_IBM: &str = "non-histogram and non-summary metrics should not have \"_count\" suffix";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_has_nothing_to_say_of_the_metrics_but_where_ibm_chose_the_name() {
    let promlint = promlint().unwrap_or_else(|text| panic!("{text}"));
    let cluster = Cluster::start(Plan::default());
    let serving = cluster.serving().expect("a node serves");
    let script = "DEFINE QLOCAL(HA.QUEUE)\nDEFINE CHANNEL(APP.SVRCONN) CHLTYPE(SVRCONN)\n";
    let connect = cluster.addresses().join(",");
    let run = |arguments: &[&str], input: &str| {
        let output = run_program("trimaran", &[&["--connect", &connect], arguments].concat(), input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["runmqsc"], script);
    run(&["put", QUEUE], "one\ntwo\n");
    run(&["get", QUEUE], "");
    for node in &cluster.nodes {
        let (_, page) = http_get(&node.http, "/metrics").expect("every node has a page");
        let mut reading = promlint.start(&[]);
        reading.stdin.take().expect("it is piped").write_all(page.as_bytes()).expect("it reads");
        let said = lines(&reading.wait_with_output().expect("a child can be waited for"));
        let is_theirs = |line: &&String| line.starts_with("ibmmq_") && line.ends_with(NAMES_OF_IBM);
        let ours: Vec<&String> = said.iter().filter(|line| !is_theirs(line)).collect();
        assert_eq!(ours, [&""; 0], "{page}");
        assert_eq!(
            page.contains("ibmmq_queue_mqget_count{"),
            node.http == cluster.nodes[serving].http,
            "the page of the node that serves has what was done"
        );
    }
}

async fn story(sample: Result<Sample, String>) {
    let sample = sample.unwrap_or_else(|text| panic!("{text}"));
    let certificates = tempfile::tempdir().expect("there is a place for temporary files");
    let at = certificates.path().to_str().expect("temporary paths are text");
    let nodes = "a=127.0.0.1,b=127.0.0.1,c=127.0.0.1";
    let made = run_program(
        "trimaran",
        &["certs", "init", "--cluster", "process", "--nodes", nodes, "--out", at],
        "",
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let plan = Plan { certificates: Some(certificates.path().to_path_buf()), ..Plan::default() };
    let mut cluster = Cluster::start(plan);
    let connection = cluster.connect().await;
    for queue in [QUEUE, OTHER] {
        connection.admin().create_queue(queue, Attributes::new()).await.expect("a new queue can be created");
    }
    connection.close().await;

    let addresses = cluster.addresses().join(",");
    let (ca, certificate, key) =
        (format!("{at}/ca.pem"), format!("{at}/user-admin.pem"), format!("{at}/user-admin.key"));
    let options = ["--connect", &addresses, "--tls-ca", &ca, "--tls-cert", &certificate, "--tls-key", &key];
    let start = |verb: &[&str]| sample.start(&[&options, verb].concat());
    let run = |verb: &[&str]| sample.run(&[&options, verb].concat());
    let texts: Vec<String> = (0..LINES).map(|number| format!("number {number} – ö")).collect();

    // What is put is there once and in order, although the node that takes it is killed between two lines.
    let mut put = start(&["put", QUEUE]);
    let mut input = put.stdin.take().expect("it is piped");
    write_lines(&mut input, &texts[..LINES / 2]);
    wait_depth(&cluster, QUEUE, LINES / 4).await;
    kill_the_one_that_serves(&mut cluster);
    write_lines(&mut input, &texts[LINES / 2..]);
    drop(input);
    let put = put.wait_with_output().expect("a child can be waited for");
    assert_eq!(lines(&put), [format!("put {LINES}")]);
    assert_eq!(lines(&run(&["browse", QUEUE])), texts);

    assert_eq!(lines(&run(&["get", QUEUE])), texts[..1]);
    let nothing = run(&["get", OTHER]);
    assert_eq!(nothing.status.code(), Some(3), "{}", String::from_utf8_lossy(&nothing.stderr));
    let unknown = run(&["get", "NO.SUCH.QUEUE"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("reason 2085"), "{unknown:?}");

    // Units of work are begun again on the next node, or known to be committed: each message moves once.
    let moving = start(&["move", QUEUE, OTHER]);
    wait_depth(&cluster, OTHER, LINES / 8).await;
    kill_the_one_that_serves(&mut cluster);
    let moved = moving.wait_with_output().expect("a child can be waited for");
    assert_eq!(lines(&moved), [format!("moved {}", LINES - 1)]);
    assert_eq!(lines(&run(&["browse", OTHER])), texts[1..]);
    assert_eq!(lines(&run(&["browse", QUEUE])), [""; 0]);
}

fn write_lines(input: &mut impl Write, texts: &[String]) {
    let text: String = texts.iter().map(|text| format!("{text}\n")).collect();
    input.write_all(text.as_bytes()).expect("the sample reads");
    input.flush().expect("a pipe can be flushed");
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

/// Until so many messages are there.
async fn wait_depth(cluster: &Cluster, queue: &str, depth: usize) {
    let connection = cluster.connect().await;
    let until = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let found = connection.admin().show_queues(queue).await.expect("queues can be shown");
        let there = found[0].status.as_ref().map_or(0, |status| status.depth);
        if there as usize >= depth {
            return;
        }
        assert!(std::time::Instant::now() < until, "{there} messages on {queue} after 30 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// And starts it again, so that a majority is there for the next one.
fn kill_the_one_that_serves(cluster: &mut Cluster) {
    let serving = cluster.serving().expect("a node serves");
    cluster.kill(serving);
    cluster.start_node(serving);
}
