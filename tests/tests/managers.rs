//! Queue managers are created and deleted while the nodes run, with MQ's own commands under their own names: no cluster file is changed.
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`).
//!
//! `TRIMARAN_CREATED` says how often one is created and deleted beside nodes that are killed, `TRIMARAN_SEED` how.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use trimaran_client::{Attributes, Connection, Message};
use trimaran_tests::process::cluster::{QUEUE_MANAGER, http_status};
use trimaran_tests::process::faults::Chance;
use trimaran_tests::process::ledger::{self, Load};
use trimaran_tests::process::{Cluster, Plan, Typed, amount, run_program, seed};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What `dspmq` has, by name.
fn there(typed: &Typed) -> BTreeSet<String> {
    let name = |line: &str| Some(line.split_once("QMNAME(")?.1.split_once(')')?.0.to_owned());
    typed.run("dspmq").1.lines().filter_map(name).collect()
}

/// Until exactly these are there, as all nodes that run see it.
async fn wait_for(typed: &Typed, names: &[&str]) {
    let wanted: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    let begun = Instant::now();
    while there(typed) != wanted {
        assert!(begun.elapsed() < seconds(30), "{:?} and not {wanted:?}", there(typed));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn connect(cluster: &Cluster, queue_manager: &str) -> Connection {
    let builder = Connection::builder(cluster.addresses()).queue_manager(queue_manager);
    builder
        .connect_within(seconds(30))
        .connect()
        .await
        .unwrap_or_else(|error| panic!("{queue_manager}: {error}"))
}

async fn put(cluster: &Cluster, queue_manager: &str, text: &str) {
    let connection = connect(cluster, queue_manager).await;
    let _ = connection.admin().create_queue("Q", Attributes::new()).await;
    connection.queue("Q").put(Message::new(text.to_owned())).await.expect("it is put");
}

async fn got(cluster: &Cluster, queue_manager: &str) -> Option<String> {
    let connection = connect(cluster, queue_manager).await;
    let message = connection.queue("Q").get(Duration::ZERO).await.expect("it is got");
    message.map(|message| String::from_utf8_lossy(&message.body).into_owned())
}

/// Whether the message store of the node has something of the queue manager with this id.
fn is_left(cluster: &Cluster, node: usize, id: &str) -> bool {
    let data = cluster.node_directory(node).join("data");
    let inspected =
        run_program("trimaran-node", &["inspect-store", "--queue-manager", id, &data.to_string_lossy()], "");
    String::from_utf8_lossy(&inspected.stdout).contains(&format!("queue manager {id}"))
}

/// The whole life of one, with MQ's lines and exit codes, beside load on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_manager_is_created_and_deleted_while_others_work() {
    let mut chance = Chance::new(seed());
    let mut cluster = Cluster::start(Plan::default());
    let typed = Typed::of(&cluster);
    let load = Load::start(&cluster, 2, &mut chance).await;

    typed.expect("crtmqm QM-1", 72, &["QM-1"]);
    typed.expect("crtmqm -p 70000 QM1", 39, &["70000"]);
    typed.expect("crtmqm -ic /no/such/file QM1", 39, &["/no/such/file: No such file or directory\n"]);
    typed.expect("crtmqm -ic / QM1", 39, &["/: is a directory\n"]);
    let section = "Node a holds no floating addresses: write mode = \"kernel\" in a section [address] of its cluster file";
    typed.expect("crtmqm --address 10.231.0.60/24 QM1", 39, &[section]);
    typed.expect(&format!("crtmqm {QUEUE_MANAGER}"), 8, &["AMQ8110S: IBM MQ queue manager already exists."]);
    let script = typed.path("setup.mqsc");
    let only_here = "ALTER LISTENER(SYSTEM.LISTENER.TCP.1) TRPTYPE(TCP) IPADDR('127.0.0.1')";
    std::fs::write(&script, format!("DEFINE QLOCAL(SETUP) MAXDEPTH(7)\n{only_here}\n")).expect("a file");
    let port = free_port();
    let said = ["IBM MQ queue manager 'QM1' created.", "Setup completed.", "-lf", "2 MQSC commands read."];
    let line =
        format!("crtmqm -q -lf 4096 -p {port} -u SYSTEM.DEAD.LETTER.QUEUE -ic {} QM1", script.display());
    typed.expect(&line, 0, &said);
    typed.expect("crtmqm QM1", 8, &["AMQ8110S"]);
    assert!(typed.run("dspmq").1.contains("STATUS(Ended immediately)"), "as MQ's it is started by a command");
    typed.expect("strmqm QM1", 0, &["started using V"]);

    put(&cluster, "QM1", "one").await;
    let connection = connect(&cluster, "QM1").await;
    let shown = typed.run("trimaran -m QM1 display QMGR").1;
    assert!(shown.contains("SYSTEM.DEAD.LETTER.QUEUE"), "{shown}");
    let shown = typed.run("trimaran -m QM1 display QLOCAL SETUP").1;
    assert!(shown.contains('7'), "{shown}");
    drop(connection);
    let open = |port: u16| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    let begun = Instant::now();
    while !open(port) {
        assert!(begun.elapsed() < seconds(10), "the port of its listener is open where it is served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // It is as the others, over any restart.
    (0..3).for_each(|node| cluster.kill(node));
    [2, 0, 1].into_iter().for_each(|node| cluster.start_node(node));
    assert_eq!(got(&cluster, "QM1").await.as_deref(), Some("one"));
    put(&cluster, "QM1", "two").await;

    typed.expect("dltmqm QM1", 5, &["IBM MQ queue manager 'QM1' running."]);
    typed.expect("dltmqm NOPE", 16, &["AMQ8118E"]);
    typed.expect("endmqm -i QM1", 0, &[]);
    typed.expect("dltmqm QM1", 1, &["nothing was done", "--confirm QM1"]);
    typed.expect("dltmqm --confirm QM1 QM1", 0, &["IBM MQ queue manager 'QM1' deleted."]);
    wait_for(&typed, &[QUEUE_MANAGER]).await;

    // The same name again is another queue manager, and has nothing of the one before.
    typed.expect("crtmqm QM1", 0, &[]);
    typed.expect("strmqm QM1", 0, &[]);
    let connection = connect(&cluster, "QM1").await;
    connection.admin().create_queue("Q", Attributes::new()).await.expect("there is none");
    assert_eq!(got(&cluster, "QM1").await, None);
    drop(connection);
    (0..3).for_each(|node| {
        assert!(!is_left(&cluster, node, "65536"), "node {node} has rows of what was deleted")
    });
    balance(load, &cluster).await;
}

/// One node is away while queue managers come and go, and one is killed in the middle of each; then all of them start again, in any
/// order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_were_away_make_what_was_created_and_bring_nothing_back() {
    let mut chance = Chance::new(seed());
    let mut cluster = Cluster::start(Plan::default());
    let typed = Typed::of(&cluster);
    let load = Load::start(&cluster, 2, &mut chance).await;
    let mut kept = vec![QUEUE_MANAGER.to_owned()];
    let rounds = amount("TRIMARAN_CREATED", 4);
    for round in 0..rounds {
        let (away, killed) = (chance.below(3) as usize, chance.below(3) as usize);
        let (old, new) = (format!("OLD{round}"), format!("NEW{round}"));
        repeat(&typed, &format!("crtmqm {old}"), &[0]).await;
        repeat(&typed, &format!("strmqm {old}"), &[0, 5]).await;
        put(&cluster, &old, "gone").await;
        repeat(&typed, &format!("endmqm -i {old}"), &[0]).await;

        // With one node away the others delete one and create another, and each time a node is killed in the middle.
        cluster.kill(away);
        if round % 2 == 0 {
            let delay = chance.between(0, 200);
            std::thread::scope(|scope| {
                let deleting = scope.spawn(|| typed.run(&format!("dltmqm --confirm {old} {old}")));
                std::thread::sleep(delay);
                if killed != away {
                    cluster.kill(killed);
                }
                deleting.join().expect("the command ends")
            });
            if killed != away {
                cluster.start_node(killed);
            }
        }
        repeat(&typed, &format!("dltmqm --confirm {old} {old}"), &[0, 16]).await;
        repeat(&typed, &format!("crtmqm {new}"), &[0]).await;
        repeat(&typed, &format!("strmqm {new}"), &[0, 5]).await;
        put(&cluster, &new, &new).await;
        kept.push(new);

        // Whoever was away comes back alone with another, in any order, without the third.
        let third =
            (0..3).find(|node| *node != away && (killed == away || *node != killed)).expect("one of three");
        cluster.kill(third);
        cluster.start_node(away);
        let names: Vec<&str> = kept.iter().map(String::as_str).collect();
        wait_for(&typed, &names).await;
        let newest = kept.last().expect("it was just created");
        assert_eq!(
            got(&cluster, newest).await.as_deref(),
            Some(newest.as_str()),
            "it is where its majority is"
        );
        cluster.start_node(third);
        if round % 2 == 1 {
            (0..3).for_each(|node| cluster.kill(node));
            let first = chance.below(3) as usize;
            (0..3).for_each(|node| cluster.start_node((first + node) % 3));
        }
        wait_for(&typed, &names).await;
    }
    // Nothing of those that were deleted is on any disk.
    let begun = Instant::now();
    for id in (0..2 * rounds).step_by(2).map(|number| (65_536 + number).to_string()) {
        while let Some(node) = (0..3).find(|node| is_left(&cluster, *node, &id)) {
            assert!(
                begun.elapsed() < seconds(30),
                "node {node} has rows of queue manager {id}, which was deleted"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    balance(load, &cluster).await;
}

/// The cluster file follows what was done with commands: it may name no queue manager at all, and one that was created by the id that it
/// was given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_file_may_name_nobody_and_who_was_created_by_the_right_id() {
    let mut cluster = Cluster::start(Plan::default());
    let typed = Typed::of(&cluster);
    cluster.wait_serving(seconds(30));
    repeat(&typed, &format!("endmqm -i {QUEUE_MANAGER}"), &[0]).await;
    repeat(&typed, &format!("dltmqm --confirm {QUEUE_MANAGER} {QUEUE_MANAGER}"), &[0]).await;
    assert!(there(&typed).is_empty(), "whoever looks next finds it gone");
    for (line, code) in
        [("status", 0), ("status --check", 1), ("failovers", 1), ("cluster upgrade --check", 1), ("get Q", 1)]
    {
        let said = ["here is no queue manager: ", "crtmqm"];
        typed.expect(&format!("trimaran {line}"), code, &said);
    }

    // As the nodes ask for.
    let written = std::fs::read_to_string(cluster.config()).expect("the file is there");
    let is_kept = |line: &&str| !line.starts_with("mq = ");
    let written: Vec<&str> = written.lines().filter(is_kept).collect();
    let written = written.join("\n");
    let of_first = format!("[[queue_managers]]\nname = \"{QUEUE_MANAGER}\"\nid = 1\n");
    assert!(written.contains(&of_first), "{written}");
    let with = |queue_manager: &str| written.replace(&of_first, queue_manager);
    std::fs::write(cluster.config(), with("")).expect("the file can be written");
    for node in 0..3 {
        cluster.stop(node);
        cluster.start_node(node);
        wait_ready(&cluster, node).await;
    }
    repeat(&typed, "crtmqm orders", &[0]).await;
    repeat(&typed, "strmqm orders", &[0]).await;
    put(&cluster, "orders", "one").await;

    // What only the file can say of it needs its id, which the first refusal tells. A wrong one leaves nothing behind.
    for wrong in [7, 8] {
        let named = format!("[[queue_managers]]\nname = \"orders\"\nid = {wrong}\n");
        std::fs::write(cluster.config(), with(&named)).expect("the file can be written");
        if cluster.is_running(0) {
            cluster.stop(0);
        }
        cluster.start_node(0);
        let ended = cluster.wait_exit(0, seconds(30)).expect("it does not start");
        assert_eq!(ended.status.code(), Some(10), "{}", ended.log);
        assert!(ended.log.contains("orders has the id 65536 in the cluster's records"), "{}", ended.log);
    }
    let named = "[[queue_managers]]\nname = \"orders\"\nid = 65536\n";
    std::fs::write(cluster.config(), with(named)).expect("the file can be written");
    cluster.start_node(0);
    wait_ready(&cluster, 0).await;

    // Created anew, its name goes with another id.
    repeat(&typed, "endmqm -i orders", &[0]).await;
    repeat(&typed, "dltmqm --confirm orders orders", &[0]).await;
    repeat(&typed, "crtmqm orders", &[0]).await;
    repeat(&typed, "strmqm orders", &[0]).await;
    std::fs::write(cluster.config(), with(&named.replace("65536", "65537")))
        .expect("the file can be written");
    cluster.stop(0);
    cluster.start_node(0);
    wait_ready(&cluster, 0).await;
    let connection = connect(&cluster, "orders").await;
    assert!(connection.queue("Q").status().await.is_err(), "it has nothing of the one before");
}

async fn wait_ready(cluster: &Cluster, node: usize) {
    let begun = Instant::now();
    while http_status(&cluster.nodes[node].http, "/health/ready") != Some(200) {
        let log = cluster.log_since_start(node);
        assert!(begun.elapsed() < seconds(30), "{log}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Until it ends with one of these: a node that leads may have been killed just now.
async fn repeat(typed: &Typed, line: &str, codes: &[i32]) {
    let begun = Instant::now();
    loop {
        let (code, shown) = typed.run(line);
        let was_ended = code == 40 && shown.contains("It was ended before");
        if codes.contains(&code) || was_ended {
            return;
        }
        // 71 and 40: nobody leads it just now.
        let is_later = [40, 71].contains(&code);
        assert!(begun.elapsed() < seconds(40) && is_later, "{line}: {code} {shown}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn balance(mut load: Load, cluster: &Cluster) {
    load.stop_producers(seconds(60)).await;
    load.drain(seconds(30)).await;
    let connection = connect(cluster, QUEUE_MANAGER).await;
    ledger::check_receipts(&connection, &load.ledger).await;
    load.ledger.balance().assert_even();
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}
