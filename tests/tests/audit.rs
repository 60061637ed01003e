//! The audit trail of three real nodes: changes by MQ's own commands, calls of the API and messages in PCF, over a failover.
//!
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`).

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use trimaran_client::{Attributes, Message};
use trimaran_proto::mq::characters::Written;
use trimaran_proto::pcf::{self, Header, Parameter, commands, parameter};
use trimaran_tests::process::cluster::QUEUE_MANAGER;
use trimaran_tests::process::{Cluster, Plan, Typed};

const COMMANDS: &str = "SYSTEM.ADMIN.COMMAND.QUEUE";
const WRITTEN: Written = Written { ccsid: 1208, is_big: false };

/// As an administrator types it into runmqsc.
fn mqsc(typed: &Typed, lines: &str) {
    let mut command = typed.command(&format!("runmqsc {QUEUE_MANAGER}"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn trail(typed: &Typed, more: &str) -> Vec<Value> {
    let (code, shown) = typed.run(&format!("trimaran -m {QUEUE_MANAGER} --json audit{more}"));
    assert_eq!(code, 0, "{shown}");
    shown.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// What was asked for, in which language, and what is not as it was.
fn words(record: &Value) -> String {
    let changes = record["changes"].as_array().expect("a list").iter().map(|change| {
        let value = |which: &str| change[which].as_str().unwrap_or("-").to_owned();
        format!(" {} {} > {}", value("name"), value("before"), value("after"))
    });
    let text = |which: &str| record[which].as_str().expect("a text").to_owned();
    format!("{} {} {}{}", text("by"), text("command"), text("object"), changes.collect::<String>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_changes_what_in_whichever_language_is_in_the_trail_of_every_node() {
    let mut cluster = Cluster::start(Plan::default());
    let typed = Typed::of(&cluster);
    let connection = cluster.connect().await;
    let before = trail(&typed, " --all").len();

    mqsc(&typed, "DEFINE QLOCAL(HA.ORDERS) MAXDEPTH(7)\nALTER QLOCAL(HA.ORDERS) MAXDEPTH(8)\n");
    let attributes = Attributes::new().with("MAXDEPTH", 9);
    connection.admin().alter_queue("HA.ORDERS", attributes).await.expect("it is there");

    // The node that serves dies, and the trail goes on.
    cluster.kill(cluster.serving().expect("a node serves"));
    let name = Parameter::text(parameter::Q_NAME, "PCF.MADE");
    let parameters = vec![name, Parameter::number(parameter::Q_TYPE, 1)];
    let create = pcf::Message { header: Header::command(commands::CREATE_Q), parameters };
    let mut message = Message::new(create.write(WRITTEN).freeze()).format("MQADMIN");
    message.descriptor.message_type = Some(1);
    message.descriptor.reply_to_queue = "HA.ORDERS".into();
    message.descriptor.user_identifier = "harbour".into();
    message.descriptor.put_application_name = "maker".into();
    connection.queue(COMMANDS).put(message).await.expect("a command can be put");
    let begun = Instant::now();
    while trail(&typed, " --object PCF.MADE").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the command is carried out");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let dead = (0..3).find(|node| !cluster.is_running(*node)).expect("it was killed");
    cluster.start_node(dead);
    cluster.wait_all_in_sync(Duration::from_secs(30)).await;
    let (idle, best) = {
        let serving = cluster.wait_serving(Duration::from_secs(30));
        (cluster.nodes[(serving + 1) % 3].name.clone(), cluster.nodes[(serving + 2) % 3].name.clone())
    };
    typed.expect(&format!("trimaran -m {QUEUE_MANAGER} node drain {idle}"), 0, &[]);
    typed.expect(&format!("trimaran -m {QUEUE_MANAGER} node resume {idle}"), 0, &[]);
    typed.expect(&format!("trimaran move {QUEUE_MANAGER} {best}"), 0, &[]);
    typed.expect(&format!("endmqm -i {QUEUE_MANAGER}"), 0, &[]);
    typed.expect(&format!("strmqm {QUEUE_MANAGER}"), 0, &[]);
    cluster.wait_serving(Duration::from_secs(30));
    typed.expect(&format!("trimaran -m {QUEUE_MANAGER} delete QLOCAL PCF.MADE"), 0, &[]);

    let records = trail(&typed, " --all");
    let seen: Vec<String> = records[before..].iter().map(words).collect();
    let expected = [
        "MQSC DEFINE QLOCAL(HA.ORDERS) MAXDEPTH - > 7".to_owned(),
        "MQSC ALTER QLOCAL(HA.ORDERS) MAXDEPTH 7 > 8".to_owned(),
        "gRPC ALTER QLOCAL(HA.ORDERS) MAXDEPTH 8 > 9".to_owned(),
        "PCF DEFINE QLOCAL(PCF.MADE)".to_owned(),
        format!("gRPC node drain {idle} maintenance no > yes"),
        format!("gRPC node resume {idle} maintenance yes > no"),
        format!("gRPC move QMGR to - > {best}"),
        "gRPC endmqm QMGR state running > ended immediately".to_owned(),
        "gRPC strmqm QMGR state ended immediately > running".to_owned(),
        "gRPC DELETE QLOCAL(PCF.MADE)".to_owned(),
    ];
    assert_eq!(seen, expected);
    // The message said that it was of harbour.
    assert!(trail(&typed, " --user harbour").is_empty(), "a command is of whoever put it");
    let by_message = trail(&typed, " --object PCF.MADE");
    assert_eq!(by_message.len(), 2, "{by_message:?}");
    assert_eq!((&by_message[0]["application"], &by_message[0]["address"]), (&"maker".into(), &"".into()));
    let by_call = trail(&typed, " --object HA.* --last 1").remove(0);
    assert!(
        by_call["address"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")),
        "{by_call}"
    );
    assert!(trail(&typed, " --to 2026-01-01").is_empty() && trail(&typed, " --from 2126-01-01").is_empty());
    let number = by_message[0]["number"].to_string();
    let show = format!("trimaran -m {QUEUE_MANAGER} audit show {number}");
    typed.expect(
        &show,
        0,
        &[
            "who         anonymous",
            "program     maker",
            "by          PCF",
            "command     DEFINE QLOCAL(PCF.MADE)",
        ],
    );
    let verify = format!("trimaran -m {QUEUE_MANAGER} audit verify");
    typed.expect(&verify, 0, &["sealed one to the other, and the same on 3 nodes"]);
    typed.expect(&format!("trimaran -m {QUEUE_MANAGER} audit"), 0, &["CHANGES", "MAXDEPTH 7 > 8"]);

    // Which queue managers come and go is in the trail of the nodes' own.
    typed.expect("crtmqm -p 1499 QM1", 0, &[]);
    typed.expect("dltmqm --confirm QM1 QM1", 0, &[]);
    typed.expect("trimaran audit --cluster", 0, &["crtmqm", "QM1", "PORT - > 1499", "dltmqm"]);
    // Its own trail stays on every node, and ends with who deleted it.
    for node in 0..3 {
        let directory = cluster.node_directory(node).join("data/deleted");
        let begun = Instant::now();
        let left = loop {
            let mut files = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            if let Some(file) = files.find(|file| file.file_name().to_string_lossy().starts_with("QM1.")) {
                break std::fs::read_to_string(file.path()).expect("it can be read");
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "the trail of QM1 is not on node {node}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let last = left.lines().last().expect("it has a line");
        assert!(last.contains("dltmqm") && last.contains("127.0.0.1:") && last.contains("QM1"), "{last}");
    }
    typed.expect("trimaran audit verify --cluster", 0, &["of SYSTEM.CLUSTER: sealed one to the other"]);
}
