//! Stories of real processes: nodes are killed, stopped, replaced, damaged and filled up, and nothing that was promised is
//! lost. Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`).
//!
//! How much is done can be set: `TRIMARAN_KILLS`, `TRIMARAN_FLAPS`, `TRIMARAN_PASS_BYTES`, `TRIMARAN_DAMAGES`, `TRIMARAN_STORE_DAMAGES`,
//! `TRIMARAN_DAMAGED_STARTS`, `TRIMARAN_QUEUED`, `TRIMARAN_SEED`; `TRIMARAN_PROGRAMS` names a directory with other programs, optimised ones for
//! example.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_stream::StreamExt;
use trimaran_client::{Attributes, Connection, Message, Queue, reason};
use trimaran_tests::process::cluster::{QUEUE_MANAGER, http_get, http_status};
use trimaran_tests::process::damage::{Tally, Truth};
use trimaran_tests::process::faults::{self, Chance};
use trimaran_tests::process::ledger::{self, Load, SHARED, body_of, read_body};
use trimaran_tests::process::python::Stranger;
use trimaran_tests::process::{Cluster, Exit, Plan, amount, run_program, seed};

const QUEUE: &str = "HA.QUEUE";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn settings(settings: &[&str]) -> Vec<String> {
    settings.iter().map(|setting| (*setting).to_owned()).collect()
}

async fn create(connection: &Connection, queue: &str) {
    let attributes = Attributes::new().with("MAXDEPTH", 10_000_000).with("MAXMSGL", 104_857_600);
    connection.admin().create_queue(queue, attributes).await.expect("a new queue can be created");
}

/// Puts messages `first` to before `until` of stream 0 and waits until the last is safe.
async fn put_numbers(queue: &Queue, first: u64, until: u64, size: usize) {
    let mut answers = std::collections::VecDeque::new();
    for number in first..until {
        answers.push_back(
            queue.start_put(Message::new(body_of(0, number, size))).await.expect("a put can be sent"),
        );
        if answers.len() > 500 {
            answers.pop_front().expect("there are 500").await.expect("a put is acknowledged");
        }
    }
    for answer in answers {
        answer.await.expect("a put is acknowledged");
    }
}

/// The numbers that a browse finds, each body checked byte by byte.
async fn browse_numbers(queue: &Queue) -> Vec<u64> {
    let mut messages = pin!(queue.browse());
    let mut numbers = Vec::new();
    while let Some(message) = messages.next().await {
        let message = message.expect("a queue can be browsed");
        numbers.push(read_body(&message.body).expect("a body is what was put").1);
    }
    numbers
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

// ---- the leader dies, and then everybody ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed_again_and_again_and_the_ledger_balances() {
    let mut chance = Chance::new(seed());
    let mut cluster = Cluster::start(Plan::default());
    let mut load = Load::start(&cluster, 4, &mut chance).await;

    let kills = amount("TRIMARAN_KILLS", 20);
    let mut outages = Vec::new();
    for _ in 0..kills {
        tokio::time::sleep(chance.between(100, 1300)).await;
        let leader = cluster.wait_serving(seconds(30));
        let before = load.ledger.acknowledged();
        cluster.kill(leader);
        let begun = Instant::now();
        tokio::time::sleep(chance.between(0, 400)).await;
        cluster.start_node(leader);
        cluster.wait_serving(seconds(30));
        while load.ledger.acknowledged() == before && begun.elapsed() < seconds(30) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        outages.push(begun.elapsed());
    }
    outages.sort();
    println!(
        "leader killed {kills} times; until puts were answered again: half within {:?}, the longest {:?}",
        outages[outages.len() / 2],
        outages[outages.len() - 1]
    );

    // Every process at once, with messages standing on the queues and puts in flight.
    load.pause_consumers(true);
    tokio::time::sleep(seconds(1)).await;
    for node in 0..3 {
        cluster.signal(node, libc::SIGKILL);
    }
    for node in 0..3 {
        cluster.kill(node);
    }
    for node in 0..3 {
        cluster.start_node(node);
    }
    cluster.wait_serving(seconds(30));
    println!(
        "every process killed at once with {} messages standing, and started again",
        load.ledger.standing()
    );

    load.stop_producers(seconds(60)).await;
    let connection = cluster.connect().await;
    let mut browsed = ledger::check_order(&connection.queue(SHARED), &load.ledger).await;
    for producer in 0..4 {
        browsed += ledger::check_order(&connection.queue(ledger::own_queue(producer)), &load.ledger).await;
    }
    load.drain(seconds(30)).await;
    ledger::check_receipts(&connection, &load.ledger).await;
    println!("{browsed} messages stood in order on the queues");
    cluster.wait_all_in_sync(seconds(30)).await;
    load.ledger.balance().assert_even();
}

/// Power that flickers is how power comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_start_is_killed_again_and_again_and_the_ledger_balances() {
    let mut chance = Chance::new(seed());
    let mut cluster = Cluster::start(Plan::default());
    let mut load = Load::start(&cluster, 3, &mut chance).await;
    let flaps = amount("TRIMARAN_FLAPS", 30);
    let (mut killed, mut served) = (0, 0);
    for flap in 0..flaps {
        // Now and then it stays long enough for programs to put more.
        if flap % 5 == 0 {
            let before = load.ledger.acknowledged();
            cluster.wait_serving(seconds(30));
            let begun = Instant::now();
            while load.ledger.acknowledged() == before && begun.elapsed() < seconds(30) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            tokio::time::sleep(chance.between(20, 400)).await;
            served += 1;
        }
        for node in 0..3 {
            cluster.signal(node, libc::SIGKILL);
        }
        for node in 0..3 {
            cluster.kill(node);
            cluster.start_node(node);
        }
        let begun = Instant::now();
        let mut ends: Vec<(Duration, usize)> = (0..3).map(|node| (chance.between(5, 100), node)).collect();
        ends.sort();
        for (after, node) in ends {
            tokio::time::sleep(after.saturating_sub(begun.elapsed())).await;
            cluster.kill(node);
            killed += 1;
        }
        for node in 0..3 {
            cluster.start_node(node);
        }
    }
    cluster.wait_serving(seconds(30));
    println!("{killed} starts killed after 5 to 100 ms, {served} services in between");
    load.stop_producers(seconds(60)).await;
    load.drain(seconds(30)).await;
    cluster.wait_all_in_sync(seconds(60)).await;
    load.ledger.balance().assert_even();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_one_five_and_seven_outlive_a_minority_and_a_stop_of_all() {
    for nodes in [1, 5, 7] {
        let mut cluster = Cluster::start(Plan { nodes, ..Plan::default() });
        let connection = cluster.connect().await;
        create(&connection, QUEUE).await;
        let queue = connection.queue(QUEUE);
        put_numbers(&queue, 0, 100, 1000).await;
        cluster.wait_all_in_sync(seconds(30)).await;

        // The leader and as many others as the rest can do without.
        let leader = cluster.wait_serving(seconds(30));
        let dead = (nodes - 1) / 2;
        (0..dead).for_each(|step| cluster.kill((leader + step) % nodes));
        put_numbers(&queue, 100, 200, 1000).await;
        assert_eq!(browse_numbers(&queue).await, (0..200).collect::<Vec<_>>(), "{dead} of {nodes} are dead");

        (0..nodes).for_each(|node| cluster.kill(node));
        (0..nodes).for_each(|node| cluster.start_node(node));
        cluster.wait_serving(seconds(30));
        assert_eq!(browse_numbers(&queue).await, (0..200).collect::<Vec<_>>(), "{nodes} were killed");
        cluster.wait_all_in_sync(seconds(30)).await;
        let status = cluster.status().await.expect("a node serves");
        assert_eq!((status.quorum_live, status.quorum_of), (nodes as u32, nodes as u32), "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hangs_is_replaced_and_does_no_harm_when_it_wakes() {
    let mut chance = Chance::new(seed());
    let mut cluster = Cluster::start(Plan::default());
    let mut load = Load::start(&cluster, 2, &mut chance).await;
    for _ in 0..3 {
        tokio::time::sleep(chance.between(300, 900)).await;
        let leader = cluster.wait_serving(seconds(30));
        cluster.signal(leader, libc::SIGSTOP);
        let begun = Instant::now();
        let next = loop {
            // The one that hangs takes connections and does not answer.
            match (0..3).find(|node| {
                *node != leader && http_status(&cluster.nodes[*node].http, "/health/active") == Some(200)
            }) {
                Some(next) => break next,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            assert!(begun.elapsed() < seconds(30), "nobody takes over from a leader that hangs");
        };
        println!(
            "node {} serves {:?} after {} hung",
            cluster.nodes[next].name,
            begun.elapsed(),
            cluster.nodes[leader].name
        );
        let before = load.ledger.acknowledged();
        while load.ledger.acknowledged() < before + 10 {
            assert!(begun.elapsed() < seconds(30), "clients do not leave a node that hangs");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("puts are answered again after {:?}", begun.elapsed());
        tokio::time::sleep(chance.between(0, 2000)).await;
        cluster.signal(leader, libc::SIGCONT);
    }
    load.stop_producers(seconds(60)).await;
    load.drain(seconds(30)).await;
    load.ledger.balance().assert_even();
}

// ---- a node that was away ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up_by_log() {
    catch_up(amount("TRIMARAN_PASS_BYTES", 128 << 20) / 4, "limits.log_retain_bytes=4GiB").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_catches_up_by_snapshot() {
    catch_up(amount("TRIMARAN_PASS_BYTES", 128 << 20), "limits.log_retain_bytes=8MiB").await;
}

/// So many bytes pass while a node is away; an eighth of them stays on the queue.
async fn catch_up(pass_bytes: u64, retain: &str) {
    const SIZE: usize = 32 << 10;
    let mut cluster =
        Cluster::start(Plan { settings: settings(&[retain, "limits.window_bytes=8MiB"]), ..Plan::default() });
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    let queue = connection.queue(QUEUE);
    put_numbers(&queue, 0, 50, SIZE).await;
    cluster.wait_all_in_sync(seconds(30)).await;

    let leader = cluster.wait_serving(seconds(30));
    let away = (leader + 1) % 3;
    cluster.kill(away);
    let begun = Instant::now();
    let count = pass_bytes / SIZE as u64;
    let stays = count / 8;
    let mut consumed = 0;
    for first in (50..50 + count).step_by(250) {
        let until = (first + 250).min(50 + count);
        put_numbers(&queue, first, until, SIZE).await;
        while until - consumed > stays {
            let message =
                queue.get(seconds(10)).await.expect("a get is answered").expect("there are messages");
            assert_eq!(read_body(&message.body).expect("a body is what was put").1, consumed);
            consumed += 1;
        }
    }
    let passed = begun.elapsed();
    // The log is cut behind what the stores have on disk, which takes a moment.
    tokio::time::sleep(seconds(2)).await;

    let begun = Instant::now();
    cluster.start_node(away);
    let heard = cluster.wait_in_sync(away, seconds(120)).await.unwrap_or_else(|text| panic!("{text}"));
    println!(
        "{} MB passed in {passed:.1?}; node {} was in sync {:.1?} after its start, by way of {heard:?}",
        (count * SIZE as u64) / 1_000_000,
        cluster.nodes[away].name,
        begun.elapsed()
    );

    // It has everything itself: it serves with only one of the others left.
    connection.admin().move_to(&cluster.nodes[away].name).await.expect("a node in sync can take over");
    cluster.kill(leader);
    assert_eq!(cluster.wait_serving(seconds(30)), away);
    let numbers = browse_numbers(&queue).await;
    assert_eq!(numbers, (consumed..50 + count).collect::<Vec<_>>(), "what stands on the queue");
}

// ---- a new release ----

/// What an earlier release spoke, and what this one speaks too.
const BEFORE: u32 = 3;
const THIS: u32 = 5;

/// Every node, one after the other, each when the one before has caught up.
async fn roll(cluster: &mut Cluster, speaks: u32) {
    for node in 0..3 {
        cluster.restart_as(node, speaks);
        cluster.wait_serving(seconds(30));
        cluster.wait_in_sync(node, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_comes_goes_back_and_comes_again_under_load_and_is_there_for_good_when_it_was_raised() {
    let mut chance = Chance::new(seed());
    let mut cluster = Cluster::start(Plan { speaks: Some(BEFORE), ..Plan::default() });
    let mut load = Load::start(&cluster, 2, &mut chance).await;
    let connect = cluster.addresses().join(",");
    let upgrade = |arguments: &[&str]| {
        run_program("trimaran", &[&["--connect", &connect, "cluster", "upgrade"], arguments].concat(), "")
    };

    // Two of them, and the third is named.
    for node in 0..2 {
        cluster.restart_as(node, THIS);
        cluster.wait_in_sync(node, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));
    }
    let said = text(&upgrade(&["--check"]));
    let rows = ["ha.queue.manager has version 3", "a  2 to 5", "b  2 to 5", "c  2 to 3"];
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
    for row in rows {
        assert!(
            words.contains(&row.split_whitespace().collect::<Vec<_>>().join(" ")),
            "no {row:?} in\n{said}"
        );
    }
    let refused = upgrade(&[]);
    assert!(!refused.status.success(), "{}", text(&refused));
    assert!(text(&refused).contains("Node c speaks versions 2 to 3 and not version 5"), "{}", text(&refused));

    // All of them, one that is away, all the way back, and up again.
    roll(&mut cluster, THIS).await;
    let away = (cluster.wait_serving(seconds(30)) + 1) % 3;
    cluster.stop(away);
    let refused = text(&upgrade(&[]));
    let name = cluster.nodes[away].name.clone();
    assert!(refused.contains(&format!("Node {name} is not connected")), "{refused}");
    cluster.start_node(away);
    let before = load.ledger.acknowledged();
    roll(&mut cluster, BEFORE).await;
    roll(&mut cluster, THIS).await;
    assert!(load.ledger.acknowledged() > before, "messages flow meanwhile");
    let audit = || run_program("trimaran", &["--connect", &connect, "audit"], "");
    let refused = text(&audit());
    assert!(
        refused.contains("has version 3, which keeps no trail of what is changed: raise it"),
        "{refused}"
    );
    let raised = upgrade(&[]);
    assert!(raised.status.success(), "{}", text(&raised));
    assert!(text(&raised).contains("ha.queue.manager has version 5 now, after 3"), "{}", text(&raised));
    assert!(text(&upgrade(&[])).contains("has version 5 already"));

    // What only this version has.
    let leader = cluster.wait_serving(seconds(30));
    cluster.kill(leader);
    cluster.wait_serving(seconds(30));
    cluster.start_node(leader);
    cluster.wait_in_sync(leader, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));
    let next = cluster.wait_serving(seconds(30));
    cluster.kill(next);
    cluster.wait_serving(seconds(30));
    cluster.start_node(next);
    cluster.wait_in_sync(next, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));
    let status = cluster.status().await.expect("a node serves");
    assert_eq!((status.version, status.takeovers > 0), (THIS, true), "{status:?}");
    let trail = text(&audit());
    assert!(trail.contains("cluster upgrade") && trail.contains("version 3 > 5"), "{trail}");

    // There is no way back now, and the node that tries says so; its files are as they were.
    let old = (cluster.wait_serving(seconds(30)) + 1) % 3;
    cluster.restart_as(old, BEFORE);
    let exit = cluster.wait_exit(old, seconds(20)).expect("it does not go on");
    assert_eq!(exit.status.code(), Some(18), "{}", exit.log);
    assert!(
        exit.log.contains("version 5, and this program speaks versions 2 to 3: start the newer"),
        "{}",
        exit.log
    );
    cluster.start_as(old, THIS);
    cluster.wait_in_sync(old, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));

    load.stop_producers(seconds(60)).await;
    load.drain(seconds(30)).await;
    let connection = cluster.connect().await;
    ledger::check_receipts(&connection, &load.ledger).await;
    cluster.wait_all_in_sync(seconds(30)).await;
    load.ledger.balance().assert_even();
}

// ---- failovers are on record ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_and_a_stop_are_on_record_with_what_they_cost_and_on_every_node_the_same() {
    let mut chance = Chance::new(seed());
    let mut cluster = Cluster::start(Plan::default());
    let mut load = Load::start(&cluster, 2, &mut chance).await;
    let connect = cluster.addresses().join(",");
    let ask = |arguments: &[&str]| {
        let output = run_program("trimaran", &[&["--connect", &connect, "--json"], arguments].concat(), "");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        let lines = String::from_utf8(output.stdout).expect("JSON is text");
        lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect::<Vec<Value>>()
    };
    let accounted = |count: usize| {
        let until = Instant::now() + seconds(60);
        loop {
            let records = ask(&["failovers"]);
            if records.len() == count && records.iter().all(|record| record["seal"] != "") {
                return records;
            }
            assert!(Instant::now() < until, "{count} records with their accounts: {records:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    accounted(1);

    let crashed = cluster.wait_serving(seconds(30));
    cluster.kill(crashed);
    cluster.wait_serving(seconds(30));
    cluster.start_node(crashed);
    cluster.wait_all_in_sync(seconds(30)).await;
    accounted(2);
    let stopped = cluster.wait_serving(seconds(30));
    cluster.stop(stopped);
    cluster.wait_serving(seconds(30));
    cluster.start_node(stopped);
    cluster.wait_all_in_sync(seconds(30)).await;
    let records = accounted(3);

    let why: Vec<&Value> = records.iter().map(|record| &record["why"]).collect();
    assert_eq!(why, ["start", "crash", "node stopped"]);
    let name = |node: usize| cluster.nodes[node].name.clone();
    assert_eq!(records[1]["account"]["before"], name(crashed));
    assert_eq!(records[2]["account"]["before"], name(stopped));
    assert!(records[1]["account"]["clients_before"].as_u64() >= Some(2), "{}", records[1]);
    assert_eq!(records[2]["sealed_before"], records[1]["seal"]);
    let verified = ask(&["failovers", "verify"]).remove(0);
    assert_eq!(
        (&verified["records"], verified["nodes"].as_array().map(Vec::len)),
        (&Value::from(3), Some(3))
    );
    let cost: u64 = records[1..].iter().filter_map(|record| record["account"]["outage_us"].as_u64()).sum();
    assert_eq!(ask(&["availability"])[0]["spent_us"], cost);

    load.stop_producers(seconds(60)).await;
    load.drain(seconds(30)).await;
    load.ledger.balance().assert_even();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canaries_know_of_the_time_in_which_all_nodes_were_down_and_every_node_tells_it_alike() {
    let mut cluster =
        Cluster::start(Plan { settings: settings(&["queue_managers.0.canary=true"]), ..Plan::default() });
    let ask = |connect: &str, arguments: &[&str]| {
        let output = run_program("trimaran", &[&["--connect", connect, "--json"], arguments].concat(), "");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        let lines = String::from_utf8(output.stdout).expect("JSON is text");
        lines.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect::<Vec<Value>>()
    };
    let all = cluster.addresses().join(",");
    let wait_seen = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        let until = Instant::now() + seconds(30);
        loop {
            let seen = ask(&all, &["availability"]).remove(0)["canary"].take();
            if is_so(&seen) {
                return seen;
            }
            assert!(Instant::now() < until, "{what}: {seen}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    cluster.wait_serving(seconds(30));
    let first = wait_seen("a canary gets through", &|seen| !seen.is_null());

    (0..3).for_each(|node| cluster.kill(node));
    std::thread::sleep(seconds(4));
    (0..3).for_each(|node| cluster.start_node(node));
    cluster.wait_serving(seconds(30));
    let seen = wait_seen("the time that nobody saw is known", &|seen| {
        seen["times"].as_u64() >= Some(1) && seen["down_us"].as_u64() >= Some(4_000_000)
    });
    assert_eq!(seen["since"], first["since"]);

    // What a person says of it, and what was seen, is there after a failover, whoever is asked.
    ask(&all, &["failovers", "classify", "2", "--class", "human", "--because", "all three were killed"]);
    let crashed = cluster.wait_serving(seconds(30));
    cluster.kill(crashed);
    cluster.wait_serving(seconds(30));
    cluster.start_node(crashed);
    cluster.wait_all_in_sync(seconds(30)).await;
    for address in cluster.addresses() {
        let told = ask(&address, &["failovers", "show", "2"]).remove(0);
        assert_eq!(told["class"], "human", "{address}");
        assert_eq!(told["classified"]["because"], "all three were killed");
        let told = ask(&address, &["availability"]).remove(0)["canary"].take();
        assert_eq!(told["since"], first["since"], "{address}");
        assert!(told["down_us"].as_u64() >= seen["down_us"].as_u64(), "{address}: {told}, and before {seen}");
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/docs/availability.md"));
    let page = page.expect("the page is there");
    let blocks = page.split("```bash\n").skip(1).filter_map(|rest| rest.split("```").next());
    let typed = blocks.flat_map(str::lines).map(|line| line.split('#').next().unwrap_or(line));
    let mut ran = 0;
    for line in typed {
        // What is in quotes is one word.
        let words = line.split('\'').enumerate().flat_map(|(part, text)| match part % 2 {
            0 => text.split_whitespace().collect(),
            _ => vec![text],
        });
        let words: Vec<&str> = words.collect();
        assert_eq!(words.first(), Some(&"trimaran"), "{line}");
        ask(&all, &words[1..]);
        ran += 1;
    }
    assert!(ran > 5, "the page has commands: {ran}");
    let (_, page) = http_get(&cluster.nodes[crashed].http, "/metrics").expect("the node has a page");
    for line in ["trimaran_canary_outages_total{", "trimaran_canary_rounds_total{"] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
}

// ---- nodes come and go ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_replaced_added_and_removed_under_load() {
    let mut chance = Chance::new(seed());
    let mut cluster = Cluster::start(Plan { joining: 2, ..Plan::default() });
    let mut load = Load::start(&cluster, 2, &mut chance).await;
    let connect = cluster.addresses().join(",");
    let node = |arguments: &[&str]| {
        let begun = Instant::now();
        let output = run_program("trimaran", &[&["--connect", &connect, "node"], arguments].concat(), "");
        let arguments = arguments.join(" ");
        assert!(output.status.success(), "trimaran node {arguments}: {}", text(&output));
        println!("trimaran node {arguments}: {:.1?}", begun.elapsed());
    };
    tokio::time::sleep(seconds(1)).await;

    // c goes, d comes; what is replaced is not the leader the first time.
    let leader = cluster.wait_serving(seconds(30));
    let old = (leader + 1) % 3;
    cluster.start_node(3);
    let [old_name, d] = [cluster.nodes[old].name.clone(), "d".to_owned()];
    let (peer, client) = (cluster.nodes[3].peer.clone(), cluster.nodes[3].client.clone());
    let before = load.ledger.acknowledged();
    node(&["replace", &old_name, &d, "--id", "4", "--peer", &peer, "--client", &client]);
    assert!(load.ledger.acknowledged() > before, "messages flow while a node is replaced");
    cluster.wait_in_sync(3, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));
    cluster.stop(old);

    cluster.start_node(4);
    let (peer, client) = (cluster.nodes[4].peer.clone(), cluster.nodes[4].client.clone());
    node(&["add", "e", "--id", "5", "--peer", &peer, "--client", &client]);
    cluster.wait_in_sync(4, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));
    let status = cluster.status().await.expect("a node serves");
    assert_eq!(status.quorum_of, 4, "{status:?}");

    // The leader itself is removed.
    let leader = cluster.wait_serving(seconds(30));
    let name = cluster.nodes[leader].name.clone();
    node(&["remove", &name]);
    cluster.kill(leader);
    cluster.wait_serving(seconds(30));
    let status = cluster.status().await.expect("a node serves");
    assert_eq!(status.quorum_of, 3, "{status:?}");
    assert!(
        status.instances.iter().all(|instance| instance.node != name && instance.node != old_name),
        "{status:?}"
    );

    // The new ones carry it when another one dies.
    let leader = cluster.wait_serving(seconds(30));
    cluster.kill(leader);
    cluster.wait_serving(seconds(30));
    load.stop_producers(seconds(60)).await;
    load.drain(seconds(30)).await;
    let connection = cluster.connect().await;
    ledger::check_receipts(&connection, &load.ledger).await;
    load.ledger.balance().assert_even();
}

#[test]
fn a_node_comes_and_another_goes_in_every_queue_manager_whoever_serves_it() {
    const SECOND: &str = "second.queue.manager";
    let plan = Plan { joining: 1, queue_managers: vec![SECOND.into()], ..Plan::default() };
    let mut cluster = Cluster::start(plan);
    let connect = cluster.addresses().join(",");
    let command = |arguments: &[&str]| {
        let output = run_program("trimaran", &[&["--connect", &connect], arguments].concat(), "");
        assert!(output.status.success(), "trimaran {}: {}", arguments.join(" "), text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // A replica that has just begun may not lead yet.
    let until_all_is_well = || {
        let begun = Instant::now();
        let check = ["--connect", &connect, "status", "--check"];
        loop {
            let output = run_program("trimaran", &check, "");
            if output.status.success() {
                return;
            }
            assert!(begun.elapsed() < seconds(30), "{}", text(&output));
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until_all_is_well();
    command(&["move", QUEUE_MANAGER, "a"]);
    command(&["-m", SECOND, "move", "b"]);

    cluster.start_node(3);
    let (peer, client) = (cluster.nodes[3].peer.clone(), cluster.nodes[3].client.clone());
    command(&["node", "add", "d", "--id", "4", "--peer", &peer, "--client", &client]);
    command(&["node", "remove", "c"]);
    cluster.stop(2);
    until_all_is_well();
    let status: serde_json::Value =
        serde_json::from_str(&command(&["--json", "status"])).expect("one JSON object");
    for number in 0..2 {
        let mut nodes: Vec<&str> = status["queue_managers"][number]["instances"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|instance| instance["node"].as_str())
            .collect();
        nodes.sort_unstable();
        assert_eq!(nodes, ["a", "b", "d"], "{status}");
    }
}

// ---- what operators do ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_removed_while_it_was_away_says_so_and_is_quiet() {
    let mut cluster = Cluster::start(Plan { joining: 1, ..Plan::default() });
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    connection.queue(QUEUE).put("one").await.expect("a node serves");
    let old = (cluster.wait_serving(seconds(30)) + 1) % 3;
    let name = cluster.nodes[old].name.clone();
    cluster.kill(old);
    let connect = cluster.addresses().join(",");
    cluster.start_node(3);
    let (peer, client) = (cluster.nodes[3].peer.clone(), cluster.nodes[3].client.clone());
    let replace = [
        "--connect",
        &connect,
        "node",
        "replace",
        &name,
        "d",
        "--id",
        "4",
        "--peer",
        &peer,
        "--client",
        &client,
    ];
    let output = run_program("trimaran", &replace, "");
    assert!(output.status.success(), "{}", text(&output));

    cluster.start_node(old);
    let begun = Instant::now();
    let removed = |cluster: &Cluster| {
        let (code, body) = http_get(&cluster.nodes[old].http, "/health/ready").unwrap_or_default();
        code == 503 && body.contains("\"removed\"")
    };
    while !removed(&cluster) {
        assert!(begun.elapsed() < seconds(20), "it does not learn that it was removed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let client = cluster.nodes[old].client.clone();
    // Two looks of the notices, ten of a candidate's patience.
    tokio::time::sleep(seconds(5)).await;
    let said = text(&run_program("trimaran", &["--connect", &client, "--json", "status"], ""));
    assert!(said.contains("was removed from queue manager"), "{said}");
    let log = cluster.log_since_start(old);
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    // Of the queue manager, and of the nodes' own.
    assert!(warnings.len() == 2 && warnings.iter().all(|line| line.contains("was removed")), "{warnings:#?}");
    tokio::time::sleep(seconds(3)).await;
    assert_eq!(cluster.log_since_start(old), log, "it goes on talking");

    // Who knows only the removed node finds the others through it, as long as there are any.
    let through = ["--connect", &client, "--within", "5s", "browse", QUEUE];
    let found = run_program("trimaran", &through, "");
    assert!(found.status.success() && text(&found).contains("one"), "{}", text(&found));
    (0..4).filter(|node| *node != old).for_each(|node| cluster.kill(node));
    let lost = run_program("trimaran", &["--connect", &client, "--within", "2s", "browse", QUEUE], "");
    assert_eq!(lost.status.code(), Some(4), "{}", text(&lost));
    assert!(text(&lost).contains("was removed from queue manager"), "{}", text(&lost));
}

#[test]
fn nodes_that_stop_together_do_not_wait_for_each_other() {
    for nodes in [3, 1] {
        let mut cluster = Cluster::start(Plan { nodes, ..Plan::default() });
        (0..nodes).for_each(|node| cluster.signal(node, libc::SIGTERM));
        for node in 0..nodes {
            let exit = cluster.wait_exit(node, seconds(20)).expect("it stops");
            assert!(exit.status.success(), "{exit:?}");
            assert!(!exit.log.contains("nobody took over in time"), "{}", exit.log);
        }
    }
}

/// The end of the newest file of a stopped node's log is lost, so many bytes of it.
fn cut_log(directory: &Path, bytes: u64) {
    let mut files = faults::used_bytes(&directory.join("log/engine")).expect("the log can be read");
    files.retain(|(file, used)| file.extension().is_some_and(|kind| kind == "raftlog") && *used > bytes);
    let (file, used) = files.pop().expect("there is a file with so much in it");
    let file = fs::OpenOptions::new().write(true).open(file).expect("it can be opened");
    file.set_len(used - bytes).expect("it can be cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_log_damaged_an_operator_goes_on_with_the_best() {
    let (mut cluster, truth) = a_cluster_with_history().await;
    for node in 0..3 {
        cluster.kill(node);
    }
    for (node, bytes) in [(0, 300_000), (1, 100_000), (2, 200_000)] {
        cut_log(&cluster.node_directory(node), bytes);
        cluster.start_node(node);
    }
    let connect = cluster.addresses().join(",");
    let recover = |arguments: &[&str]| {
        let output = run_program(
            "trimaran",
            &[&["--connect", &connect, "recover", "--from-best"], arguments].concat(),
            "",
        );
        (output.status.success(), text(&output))
    };
    let begun = Instant::now();
    let (done, said) = loop {
        let (done, said) = recover(&[]);
        if said.matches("its log is damaged").count() == 3 {
            break (done, said);
        }
        assert!(begun.elapsed() < seconds(30) && !done, "{said}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    println!("{said}");
    assert!(!done && said.contains("LOST, if committed: entr"), "{said}");
    // How much an entry holds depends on how fast it all went, so two may have lost the same entries.
    let lines = said.lines().filter_map(|line| line.split_once(" has entries up to "));
    let ends =
        lines.map(|(node, rest)| (rest.split(' ').next().and_then(|n| n.parse::<u64>().ok()), node.trim()));
    let ends: Vec<_> = ends.collect();
    let best = said.split_once("To go on with what ").and_then(|(_, rest)| rest.split(' ').next());
    let best = best.unwrap_or_else(|| panic!("{said}"));
    let furthest = ends.iter().map(|(end, _)| *end).max().expect("three lines");
    assert!(furthest.is_some() && ends.contains(&(furthest, best)) && said.contains("--confirm"), "{said}");
    assert_eq!(cluster.serving(), None, "nobody decides this but a person");
    let (done, said) = recover(&["--confirm", "another.queue.manager"]);
    assert!(!done && said.contains("nothing was done"), "{said}");
    let (done, said) = recover(&["--confirm", QUEUE_MANAGER]);
    assert!(done && said.contains(&format!("is served by {best} now")), "{said}");

    cluster.wait_all_in_sync(seconds(30)).await;
    let connection = cluster.connect().await;
    let numbers = browse_numbers(&connection.queue(QUEUE)).await;
    println!("{} of {} messages are left", numbers.len(), truth.len());
    assert!(numbers.len() < truth.len() && numbers == truth[..numbers.len()], "what is left is a beginning");
    put_numbers(&connection.queue(QUEUE), 5000, 5010, 100).await;
    let (done, said) = recover(&["--confirm", QUEUE_MANAGER]);
    assert!(done && said.contains("nothing has to be given up"), "{said}");
    // It stays so.
    for node in 0..3 {
        cluster.kill(node);
        cluster.start_node(node);
    }
    cluster.wait_serving(seconds(30));
    assert_eq!(browse_numbers(&connection.queue(QUEUE)).await.len(), numbers.len() + 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_log_and_store_gone_the_ways_out_are_said_and_an_operator_begins_anew() {
    let (mut cluster, truth) = a_cluster_with_history().await;
    for node in 0..3 {
        cluster.kill(node);
    }
    for node in 0..3 {
        let directory = cluster.node_directory(node);
        for gone in ["log/engine", "data/store"] {
            fs::remove_dir_all(directory.join(gone)).expect("it can be removed");
        }
        assert!(directory.join("log/mark").exists(), "the mark is left");
        cluster.start_node(node);
    }
    let connect = cluster.addresses().join(",");
    let trimaran = |arguments: &[&str]| {
        let output = run_program("trimaran", &[&["--connect", &connect], arguments].concat(), "");
        (output.status.success(), text(&output))
    };
    let recover = |more: &[&str]| trimaran(&[&["recover", "--from-best"], more].concat());
    let begun = Instant::now();
    let said = loop {
        let (done, said) = recover(&["--confirm", QUEUE_MANAGER]);
        assert!(!done, "nobody serves: {said}");
        if said.contains("b up to") && said.contains("a up to") && said.contains("c up to") {
            break said;
        }
        assert!(begun.elapsed() < seconds(30), "{said}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    println!("{said}");
    assert!(said.contains("put copies of the log and the data directory"), "{said}");
    assert!(said.contains(&format!("--begin-anew --confirm {QUEUE_MANAGER}")), "{said}");
    let (done, said) = trimaran(&["status", "--check"]);
    assert!(!done && said.contains("nobody serves"), "{said}");
    let (done, said) = recover(&["--begin-anew"]);
    assert!(!done && said.contains("LOST: all messages and all definitions"), "{said}");
    assert_eq!(cluster.serving(), None, "nobody decides this but a person");

    let (done, said) = recover(&["--begin-anew", "--confirm", QUEUE_MANAGER]);
    println!("{said}");
    assert!(done && said.contains(" now, after"), "{said}");
    cluster.wait_all_in_sync(seconds(30)).await;
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    put_numbers(&connection.queue(QUEUE), 0, 10, 100).await;
    assert_eq!(
        browse_numbers(&connection.queue(QUEUE)).await.len(),
        10,
        "nothing of {} came back",
        truth.len()
    );
    // It stays so.
    for node in 0..3 {
        cluster.kill(node);
        cluster.start_node(node);
    }
    cluster.wait_serving(seconds(30));
    cluster.wait_all_in_sync(seconds(30)).await;
    assert_eq!(browse_numbers(&cluster.connect().await.queue(QUEUE)).await.len(), 10);
    let (done, said) = trimaran(&["status", "--check"]);
    assert!(done, "{said}");
}

#[test]
fn systemd_hears_when_a_node_is_ready_alive_and_stopping() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/systemd/trimaran-node.service");
    let unit = fs::read_to_string(unit).expect("the unit is part of the project");
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
    assert_eq!(value("Type=").as_deref(), Some("notify"));
    let watchdog: u64 =
        value("WatchdogSec=").and_then(|text| text.parse().ok()).expect("a number of seconds");
    assert!(value("ExecStart=").is_some_and(|line| line.ends_with("/trimaran-node run")));

    let place = tempfile::tempdir().expect("a directory in /tmp");
    let path = place.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket can be made");
    socket.set_read_timeout(Some(seconds(watchdog))).expect("a socket can be told to wait");
    let heard = || {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).expect("the node says something in time");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let environment = [
        ("NOTIFY_SOCKET", path.display().to_string()),
        ("WATCHDOG_USEC", (watchdog * 1_000_000).to_string()),
    ];
    let mut cluster = Cluster::prepare(Plan {
        nodes: 3,
        environment: environment.map(|(key, value)| (key.to_owned(), value)).into(),
        ..Plan::default()
    });
    cluster.start_node(0);
    assert_eq!(heard().trim(), "READY=1");
    // It says nothing else before it is alive for a while, whether it has peers or not.
    assert_eq!(heard().trim(), "WATCHDOG=1");
    // One whose minds have no turns is as good as dead; so is one that is stopped.
    cluster.signal(0, libc::SIGTERM);
    let said = std::iter::repeat_with(heard).find(|said| !said.starts_with("WATCHDOG=1")).unwrap_or_default();
    assert!(said.starts_with("STOPPING=1"), "{said}");
    let exit = cluster.wait_exit(0, seconds(20)).expect("it stops");
    assert!(exit.status.success(), "{exit:?}");
}

#[test]
fn a_second_signal_ends_a_node_that_takes_its_time_to_stop() {
    let mut cluster =
        Cluster::start(Plan { settings: settings(&["timing.stop_ms=60000"]), ..Plan::default() });
    let leader = cluster.wait_serving(seconds(30));
    // Nobody can take over, and nobody says so.
    (0..3).filter(|node| *node != leader).for_each(|node| cluster.signal(node, libc::SIGSTOP));
    cluster.signal(leader, libc::SIGTERM);
    while !cluster.log_since_start(leader).contains("told to stop") {
        std::thread::sleep(Duration::from_millis(5));
    }
    // One that comes with the first is the same.
    std::thread::sleep(Duration::from_millis(100));
    cluster.signal(leader, libc::SIGTERM);
    let exit = cluster.wait_exit(leader, seconds(10)).expect("it ends");
    assert_eq!(exit.status.code(), Some(17), "{exit:?}");
    (0..3).filter(|node| *node != leader).for_each(|node| cluster.signal(node, libc::SIGCONT));
}

// ---- damaged files ----

/// A cluster with messages in the log, in the message store and in both, and the truth about them.
async fn a_cluster_with_history() -> (Cluster, Vec<u64>) {
    let mut cluster =
        Cluster::start(Plan { settings: settings(&["limits.window_bytes=1MiB"]), ..Plan::default() });
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    let queue = connection.queue(QUEUE);
    put_numbers(&queue, 0, 1500, 2000).await;
    for _ in 0..500 {
        queue.get(seconds(5)).await.expect("a get is answered").expect("there are messages");
    }
    cluster.wait_all_in_sync(seconds(30)).await;
    // Stopped in good order, a node has flushed its store; what comes later is in its log alone.
    for node in 0..3 {
        cluster.stop(node);
    }
    for node in 0..3 {
        cluster.start_node(node);
    }
    cluster.wait_serving(seconds(30));
    put_numbers(&queue, 1500, 1900, 1000).await;
    cluster.wait_all_in_sync(seconds(30)).await;
    (cluster, (500..1900).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_damages_are_repaired_or_refused_and_none_is_silent() {
    let mut chance = Chance::new(seed());
    let (mut cluster, _) = a_cluster_with_history().await;
    let leader = cluster.wait_serving(seconds(30));
    let node = (leader + 1) % 3;
    let directory = cluster.node_directory(node);
    cluster.kill(node);
    for node in 0..3 {
        cluster.kill(node);
    }

    // In memory, where there is such a place: a thousand recoveries wait for a thousand syncs otherwise.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let work = tempfile::tempdir_in(place).expect("a directory for copies");
    let truth =
        Truth::read(&cluster.config(), &cluster.nodes[node].name, &directory, &work.path().join("truth"));
    println!("the node's files: {} rows in the store, {} entries in the log", truth.rows(), truth.entries());
    assert!(truth.rows() > 30 && truth.entries() > 10, "there is something to damage");

    for (part, damages) in
        [("", amount("TRIMARAN_DAMAGES", 1000_u64)), ("data", amount("TRIMARAN_STORE_DAMAGES", 200_u64))]
    {
        let what = if part.is_empty() { "log and store" } else { "store" };
        println!(
            "{what}, with the node's own recovery: {}",
            hurt(&truth, part, damages, work.path(), &mut chance)
        );
    }
}

/// Damages copies of a stopped node's files one at a time. None may be silent, and some must hurt.
fn hurt(truth: &Truth, part: &str, damages: u64, work: &Path, chance: &mut Chance) -> Tally {
    let chances = [Chance::new(chance.next()), Chance::new(chance.next())];
    let tally = std::thread::scope(|scope| {
        let workers: Vec<_> = chances
            .into_iter()
            .enumerate()
            .map(|(worker, mut chance)| {
                let scratch = work.join(worker.to_string());
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    for _ in 0..damages / 2 {
                        let (damage, verdict) = truth.try_one(&scratch, part, &mut chance);
                        tally.count(&[damage], &verdict);
                    }
                    tally
                })
            })
            .collect();
        let mut all = Tally::default();
        for worker in workers {
            all.add(worker.join().expect("a worker does not panic"));
        }
        all
    });
    assert!(tally.silent.is_empty(), "{}", tally.silent.join("\n"));
    assert!(
        tally.repaired + tally.refused > damages / 10,
        "the damage must hurt, or nothing is tested: {tally}"
    );
    tally
}

/// It ended with a status of its own and a sentence that says where the damage is.
fn is_a_refusal(exit: &Exit, directory: &Path) -> bool {
    let said = exit
        .log
        .lines()
        .any(|line| line.starts_with("trimaran-node:") && line.contains(&directory.display().to_string()));
    said && exit.status.code().is_some_and(|code| (10..20).contains(&code))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_node_that_is_started_repairs_itself_or_refuses() {
    let mut chance = Chance::new(seed());
    let (mut cluster, truth) = a_cluster_with_history().await;
    let connection = cluster.connect().await;
    let queue = connection.queue(QUEUE);
    let node = (cluster.wait_serving(seconds(30)) + 1) % 3;
    let name = cluster.nodes[node].name.clone();

    let starts = amount("TRIMARAN_DAMAGED_STARTS", 8_u64);
    let (mut damages, mut repaired, mut refused, mut unharmed, mut begun_again) = (0, 0, 0, 0, 0);
    for round in 0..starts {
        cluster.wait_in_sync(node, seconds(60)).await.unwrap_or_else(|text| panic!("{text}"));
        // Killed or stopped: what lies on the disk differs.
        if round % 2 == 0 {
            cluster.kill(node);
        } else {
            cluster.stop(node);
        }
        let directory = cluster.node_directory(node);
        let mut hurt = Vec::new();
        for _ in 0..4 {
            let mut files = faults::used_bytes(&directory).expect("the node's files can be read");
            files.retain(|(file, _)| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                !name.starts_with("trimaran.") && !name.contains("ballast") && !name.starts_with("LOG")
            });
            hurt.push(
                faults::damage(&mut chance, &files).expect("the node's files can be changed").to_string(),
            );
            damages += 1;
        }
        cluster.start_node(node);
        let mut again = 0;
        loop {
            match cluster.wait_in_sync(node, Duration::from_millis(200)).await {
                Ok(_) => break,
                Err(text) if cluster.is_running(node) => {
                    again += 1;
                    assert!(again < 300, "{text}, damaged: {hurt:?}");
                }
                Err(_) => {
                    // It refused, and says why; its own word is that the next start mends it.
                    let exit = cluster.wait_exit(node, seconds(1)).expect("it has ended");
                    assert!(is_a_refusal(&exit, &directory), "damaged: {hurt:?}\n{exit:?}");
                    refused += 1;
                    cluster.start_node(node);
                }
            }
        }
        let log = cluster.log_since_start(node);
        if log.contains("WARN") && log.contains(&directory.display().to_string()) {
            repaired += 1
        } else {
            unharmed += 1
        }

        // Now it serves, and everything comes from its own files and memory.
        connection.admin().move_to(&name).await.expect("a node in sync can take over");
        let begun = Instant::now();
        while cluster.serving() != Some(node) && begun.elapsed() < seconds(10) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(cluster.serving(), Some(node));
        assert_eq!(browse_numbers(&queue).await, truth, "damaged: {hurt:?}");
        // A body that nobody had read before may have been damaged: then the node began again by itself, with a new store.
        assert!(cluster.is_running(node), "damaged: {hurt:?}\n{}", cluster.log_since_start(node));
        begun_again += cluster.log_since_start(node).matches("this node begins again").count();
    }
    println!(
        "real processes: {damages} damages in {starts} starts: repaired {repaired} / refused {refused} / unharmed \
         {unharmed} / silent 0; begun again by themselves {begun_again} times"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_active_node_whose_store_is_damaged_begins_again_by_itself_and_nothing_is_missing() {
    let (mut cluster, truth) = a_cluster_with_history().await;
    let connection = cluster.connect().await;
    let queue = connection.queue(QUEUE);
    let node = cluster.wait_serving(seconds(30));
    let store = cluster.node_directory(node).join("data/store");
    let files = faults::files_below(&store).expect("the node's files can be read");
    let blob = files.into_iter().find(|file| file.extension().is_some_and(|end| end == "blob"));
    let blob = blob.expect("bodies that stayed lie in a file of the store");
    let mut bytes = fs::read(&blob).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).expect("it can be changed");

    assert_eq!(browse_numbers(&queue).await, truth);
    let begun = Instant::now();
    let said = loop {
        let log = cluster.log_since_start(node);
        let sentence = log.lines().find(|line| line.contains("is rebuilt from the log and the peers"));
        if let Some(sentence) = sentence {
            break sentence.to_owned();
        }
        assert!(begun.elapsed() < seconds(20), "the damage is not noticed:\n{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(said.contains(&format!("file {}, offset ", blob.display())), "{said}");
    cluster.wait_in_sync(node, seconds(60)).await.unwrap_or_else(|text| panic!("{text}"));
    assert!(cluster.is_running(node), "it is the same process still");

    // With what it fetched it serves as well as the others.
    let name = cluster.nodes[node].name.clone();
    if cluster.wait_serving(seconds(30)) != node {
        connection.admin().move_to(&name).await.expect("a node in sync can take over");
    }
    assert_eq!(browse_numbers(&queue).await, truth);
    cluster.wait_all_in_sync(seconds(30)).await;
}

// ---- a stranger's client ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_sends_browses_and_receives_from_the_published_protos_alone() {
    let stranger = Stranger::prepare().unwrap_or_else(|text| panic!("{text}"));
    let cluster = Cluster::start(Plan::default());
    let output = stranger.run(&cluster.addresses());
    println!("{}", text(&output).trim_end());
    assert!(output.status.success(), "the stranger's program fails");
}

// ---- many messages, and no room ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_many_queued_messages_starts_quickly() {
    let queued = amount("TRIMARAN_QUEUED", 100_000_u64);
    let mut cluster = Cluster::start(Plan::default());
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    let begun = Instant::now();
    put_numbers(&connection.queue(QUEUE), 0, queued, 100).await;
    println!("{queued} messages of 100 bytes put in {:.1?}", begun.elapsed());
    cluster.wait_all_in_sync(seconds(60)).await;
    connection.close().await;
    for node in 0..3 {
        cluster.stop(node);
    }
    let begun = Instant::now();
    for node in 0..3 {
        cluster.start_node(node);
    }
    let connection = cluster.builder().connect_within(seconds(120)).connect().await.expect("a node serves");
    let served = begun.elapsed();
    let message =
        connection.queue(QUEUE).get(seconds(60)).await.expect("a get is answered").expect("there is one");
    let first = begun.elapsed();
    assert_eq!(read_body(&message.body), Ok((0, 0)));
    for node in 0..3 {
        let took = cluster.log_since_start(node);
        let took = took.lines().find(|line| line.contains("stores are open")).unwrap_or_default().to_owned();
        println!("node {}: {took}", cluster.nodes[node].name);
    }
    println!(
        "start of three nodes with {queued} queued: served after {served:.2?}, first get after {first:.2?}"
    );
    let depth = connection.admin().show_queues(QUEUE).await.expect("a queue can be shown");
    assert_eq!(depth[0].status.as_ref().map(|status| status.depth), Some(queued - 1));
    let allowed = seconds(10) + Duration::from_micros(20 * queued);
    assert!(first < allowed, "the first get came after {first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_puts_and_only_puts_and_they_resume_by_themselves() {
    let mut cluster = Cluster::start(on_small_disks(600 << 20));
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    let queue = connection.queue(QUEUE);
    cluster.wait_all_in_sync(seconds(30)).await;
    put_numbers(&queue, 0, 200, 10_000).await;

    let files = fill_disks(&cluster);
    let begun = Instant::now();
    let mut next = 200;
    let refusal = loop {
        match queue.put(Message::new(body_of(0, next, 10_000))).await {
            Ok(_) => next += 1,
            Err(error) => break error,
        }
        assert!(
            begun.elapsed() < seconds(20),
            "puts are still taken {:?} after the disk was full",
            begun.elapsed()
        );
    };
    println!("{} more puts, then after {:.1?}: {refusal}", next - 200, begun.elapsed());
    assert!(
        matches!(refusal.reason(), Some(reason::STORAGE_MEDIUM_FULL | reason::RESOURCE_PROBLEM)),
        "puts are refused with {refusal}"
    );
    let status = cluster.status().await.expect("the node still serves");
    assert!(!status.puts_refused.is_empty(), "status says why puts are refused: {status:?}");
    for number in 0..100 {
        let message = queue.get(seconds(10)).await.expect("gets still work").expect("there are messages");
        assert_eq!(read_body(&message.body), Ok((0, number)));
    }
    for node in 0..3 {
        assert!(cluster.is_running(node), "a full disk does not end a node");
    }

    for file in files {
        fs::remove_file(file).expect("the file can be removed");
    }
    let begun = Instant::now();
    while queue.put(Message::new(body_of(0, next, 10_000))).await.is_err() {
        assert!(begun.elapsed() < seconds(20), "puts do not resume");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("puts were taken again {:.1?} after there was room", begun.elapsed());
    assert_eq!(browse_numbers(&queue).await, (100..=next).collect::<Vec<_>>());
}

/// Three nodes, each with a device of its own of so many bytes.
fn on_small_disks(bytes: u64) -> Plan {
    Plan {
        small_disks: (0..3).map(|node| (node, bytes)).collect(),
        settings: settings(&["limits.disk_reserve_bytes=64MiB"]),
        ..Plan::default()
    }
}

/// Somebody else's files take all that is left on the devices.
fn fill_disks(cluster: &Cluster) -> Vec<std::path::PathBuf> {
    let fill = |node| faults::fill_device(&cluster.node_directory(node)).expect("a device can be filled");
    (0..3).map(fill).collect()
}

/// Gets until nothing is there. A node that hands over ends connections, and a get is tried again.
async fn get_everything(queue: &Queue, within: Duration) -> u64 {
    let begun = Instant::now();
    let mut got = 0;
    loop {
        match queue.get(Duration::ZERO).await {
            Ok(Some(_)) => got += 1,
            Ok(None) => return got,
            Err(error) => {
                assert!(begun.elapsed() < within, "gets do not work after {within:?}: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn wait_until_put(queue: &Queue, number: u64, within: Duration) -> Duration {
    let begun = Instant::now();
    while let Err(error) = queue.put(Message::new(body_of(0, number, 10_000))).await {
        assert!(begun.elapsed() < within, "puts are not taken {within:?} later: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_start_on_disks_without_a_byte_free_and_their_queues_can_be_drained() {
    let mut plan = on_small_disks(600 << 20);
    // The reserves are of a size that such a device has.
    plan.small_disks[2] = (2, 126 << 20);
    let mut cluster = Cluster::start(plan);
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    let queue = connection.queue(QUEUE);
    put_numbers(&queue, 0, 1000, 10_000).await;
    cluster.wait_all_in_sync(seconds(30)).await;

    fill_disks(&cluster);
    tokio::time::sleep(seconds(1)).await;
    // What the running nodes gave up is taken, too.
    for node in 0..3 {
        cluster.kill(node);
    }
    let files = fill_disks(&cluster);
    for node in 0..3 {
        cluster.start_node(node);
    }
    let begun = Instant::now();
    cluster.wait_serving(seconds(60));
    println!("served {:.1?} after a start without a byte free", begun.elapsed());
    // Before anybody made room, they start once more, and what the first start gave up is taken.
    for node in 0..3 {
        cluster.kill(node);
    }
    fill_disks(&cluster);
    for node in 0..3 {
        cluster.start_node(node);
    }
    let begun = Instant::now();
    cluster.wait_serving(seconds(60));
    println!("served {:.1?} after a second start without a byte free", begun.elapsed());
    for node in 0..3 {
        assert!(cluster.is_running(node), "node {node} found a reserve each time");
    }
    let got = get_everything(&cluster.connect().await.queue(QUEUE), seconds(60)).await;
    assert_eq!(got, 1000);
    for file in files {
        fs::remove_file(file).expect("the file can be removed");
    }
    let took = wait_until_put(&cluster.connect().await.queue(QUEUE), 0, seconds(30)).await;
    println!("puts were taken again {took:.1?} after there was room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_messages_filled_takes_them_again_when_they_were_got() {
    let mut cluster = Cluster::start(on_small_disks(800 << 20));
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    for round in 0..2 {
        let queue = cluster.connect().await.queue(QUEUE);
        let mut answers = std::collections::VecDeque::new();
        let mut put = 0;
        let refusal = 'full: loop {
            while answers.len() < 50 {
                put += 1;
                match queue.start_put(Message::new(body_of(0, put, 50_000))).await {
                    Ok(answer) => answers.push_back(answer),
                    Err(error) => break 'full error,
                }
            }
            if let Err(error) = answers.pop_front().expect("there are 50").await {
                break error;
            }
            assert!(put < 100_000, "5 GB do not fit on a device of 800 MiB");
        };
        drop(answers);
        let free: Vec<u64> = (0..3)
            .map(|node| {
                trimaran_node::log_store::free_bytes(&cluster.node_directory(node)).unwrap_or(0) >> 20
            })
            .collect();
        println!("round {round}: refused after {put} puts ({refusal}); {free:?} MiB are left");
        let queue = cluster.connect().await.queue(QUEUE);
        let got = get_everything(&queue, seconds(120)).await;
        let took = wait_until_put(&queue, 0, seconds(60)).await;
        println!("{got} got; puts were taken again after {took:.1?}");
        assert_eq!(get_everything(&queue, seconds(60)).await, 1);
    }
    for node in 0..3 {
        assert!(cluster.is_running(node), "a full disk does not end a node");
    }
}

// ---- the walkthrough ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walkthrough_holds_with_the_active_node_killed_in_between() {
    let mut cluster = Cluster::start(Plan::default());
    let connect = cluster.addresses().join(",");
    let trimaran = |arguments: &[&str], input: &str| {
        let output = run_program("trimaran", &[&["--connect", &connect], arguments].concat(), input);
        assert!(output.status.success(), "trimaran {}: {}", arguments.join(" "), text(&output));
        text(&output)
    };
    trimaran(&["queue", "create", QUEUE], "");
    let sent = trimaran(&["send", QUEUE, "--channel", "HA.CHANNEL"], "Hello\nThis\nis\na\ntest\n\n");
    assert!(
        sent.contains(QUEUE_MANAGER) && sent.contains("HA.CHANNEL") && sent.contains("done: 5"),
        "{sent}"
    );

    let received = trimaran(&["receive", QUEUE], "y\ny\ny\ny\nn\n");
    let at: Vec<_> = ["Hello", "This", "is", "a", "test", "4 of 5", "2033"]
        .iter()
        .map(|word| received.find(word).unwrap_or_else(|| panic!("no {word} in:\n{received}")))
        .collect();
    assert!(at.first() < at.last(), "{received}");

    let leader = cluster.wait_serving(seconds(30));
    cluster.kill(leader);
    let again = trimaran(&["receive", QUEUE], "n\n");
    assert!(again.contains("test") && !again.contains("Hello") && again.contains("0 of 1"), "{again}");

    cluster.start_node(leader);
    cluster.wait_in_sync(leader, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));
    let last = trimaran(&["receive", QUEUE, "--yes"], "");
    assert!(last.contains("test") && last.contains("1 of 1"), "{last}");
    let status = trimaran(&["--json", "status", "--check"], "");
    assert!(status.contains("\"in_sync\""), "{status}");
    // Each node tells the three states apart.
    let leader = cluster.wait_serving(seconds(30));
    for node in 0..3 {
        let expected = if node == leader { "\"active\"" } else { "\"replica\"" };
        let (code, body) = http_get(&cluster.nodes[node].http, "/health/ready").expect("every node answers");
        assert!(code == 200 && body.contains(expected), "node {node}: {code} {body}");
        let (code, page) = http_get(&cluster.nodes[node].http, "/metrics").expect("every node answers");
        assert!(code == 200 && page.contains("trimaran_"), "node {node}: {code}");
    }
    // A planned stop hands over and ends well.
    let exit = cluster.stop(leader);
    assert!(exit.status.success(), "{}\n{}", exit.status, exit.log);
    assert_ne!(cluster.wait_serving(seconds(10)), leader);
}

#[test]
fn check_says_what_is_wrong_and_run_refuses_it() {
    let cluster = Cluster::prepare(Plan::default());
    let good = fs::read_to_string(cluster.config()).expect("the cluster file was written");
    let path = cluster.config().with_file_name("bad.toml");
    let file = path.display().to_string();
    let refused = |command: &str, text_of_file: &str, node: &str, words: &[&str]| {
        fs::write(&path, text_of_file).expect("the directory can be written");
        let output = run_program("trimaran-node", &[command, "--config", &file, "--node", node], "");
        let said = text(&output);
        assert!(!output.status.success(), "{command} takes {words:?}:\n{said}");
        for word in words {
            assert!(said.contains(word), "{command} does not say {word:?}:\n{said}");
        }
    };
    let client = &cluster.nodes[0].client;
    for command in ["check", "run"] {
        refused(command, "cluster = ", "a", &["bad.toml", "line 1"]);
        refused(command, &good, "z", &["--node z", "a, b, c"]);
        refused(command, &good.replace("id = 2", "id = 1"), "a", &["bad.toml", "two nodes have the id 1"]);
        refused(command, &good.replace(client.as_str(), "127.0.0.1"), "a", &["host:port"]);
        refused(
            command,
            &good.replace("[directories]", "[timing]\nprofile = \"warp\"\n[directories]"),
            "a",
            &["warp"],
        );
        // Other machines could read and write.
        let open = good.replace(client.as_str(), "10.0.0.1:7201");
        refused(command, &open, "a", &["not loopback", "trimaran certs init", "insecure = true"]);
    }
    // What the file cannot know: a port that somebody has, and a place that cannot be written.
    let holder = std::net::TcpListener::bind(client).expect("the port is free");
    refused("check", &good, "a", &[client]);
    refused("run", &good, "a", &[client, "exit status 11"]);
    drop(holder);
    let nowhere = good.replace("log = \"", "log = \"/proc/nowhere");
    refused("check", &nowhere, "a", &["/proc/nowhere"]);
    refused("run", &nowhere, "a", &["/proc/nowhere", "exit status 12"]);

    fs::write(&path, &good).expect("the directory can be written");
    let output = run_program("trimaran-node", &["check", "--config", &file, "--node", "a"], "");
    assert!(output.status.success(), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_certificates_nobody_comes_in_without_one() {
    let place = tempfile::tempdir().expect("a directory in /tmp");
    let certificates = place.path().join("certs");
    let out = certificates.display().to_string();
    let hosts = "a=127.0.0.1,b=127.0.0.1,c=127.0.0.1";
    let made = run_program(
        "trimaran",
        &["certs", "init", "--cluster", "process", "--nodes", hosts, "--users", "admin", "--out", &out],
        "",
    );
    assert!(made.status.success(), "{}", text(&made));
    let mut cluster = Cluster::start(Plan { certificates: Some(certificates.clone()), ..Plan::default() });
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    connection.queue(QUEUE).put("secret").await.expect("a client with a certificate can put");

    // The command, with files.
    let connect = cluster.addresses().join(",");
    let at = |name: &str| certificates.join(name).display().to_string();
    let (ca, certificate, key) = (at("ca.pem"), at("user-admin.pem"), at("user-admin.key"));
    let with = [
        "--connect",
        &connect,
        "--tls-ca",
        &ca,
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "browse",
        QUEUE,
    ];
    let browsed = run_program("trimaran", &with, "");
    assert!(browsed.status.success() && text(&browsed).contains("secret"), "{}", text(&browsed));

    // Without TLS; with TLS and no certificate of its own; with one of a node; with one of another authority.
    let refused = |arguments: &[&str]| {
        let arguments = [&["--connect", &connect, "--within", "3s"], arguments, &["get", QUEUE]].concat();
        let output = run_program("trimaran", &arguments, "");
        assert!(!output.status.success() && !text(&output).contains("secret"), "{}", text(&output));
    };
    refused(&[]);
    refused(&["--tls-ca", &ca]);
    refused(&["--tls-ca", &ca, "--tls-cert", &at("node-a.pem"), "--tls-key", &at("node-a.key")]);
    let other = place.path().join("other");
    let out = other.display().to_string();
    let made = run_program(
        "trimaran",
        &["certs", "init", "--cluster", "process", "--nodes", hosts, "--out", &out],
        "",
    );
    assert!(made.status.success(), "{}", text(&made));
    let foreign = |name: &str| other.join(name).display().to_string();
    refused(&[
        "--tls-ca",
        &ca,
        "--tls-cert",
        &foreign("user-admin.pem"),
        "--tls-key",
        &foreign("user-admin.key"),
    ]);

    // It survives its leader like any other.
    let leader = cluster.wait_serving(seconds(30));
    cluster.kill(leader);
    // By then the client knows that its connection is gone: a get on its way there would have no answer (2549).
    cluster.wait_serving(seconds(30));
    let message =
        connection.queue(QUEUE).get(seconds(20)).await.expect("a get is answered").expect("there is one");
    assert_eq!(message.as_text(), Some("secret"));

    // The other side of it: a node without certificates does not talk to these.
    assert!(Path::new(&ca).exists());
}

// ---- strangers at the door ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_scan_at_a_low_limit_of_files_ends_no_process_and_no_session() {
    let mut cluster = Cluster::start(Plan { open_files: Some(1024), ..Plan::default() });
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    let queue = connection.queue(QUEUE);
    let mut strangers = Vec::new();
    for node in &cluster.nodes {
        for address in [&node.client, &node.peer, &node.http] {
            strangers.extend((0..400).map(|_| std::net::TcpStream::connect(address)));
        }
    }
    put_numbers(&queue, 0, 100, 100).await;
    // Whoever says no hello is hung up on.
    tokio::time::sleep(seconds(12)).await;
    put_numbers(&queue, 100, 200, 100).await;
    for node in 0..cluster.first_nodes() {
        assert!(cluster.is_running(node), "{}", cluster.log_since_start(node));
        assert!(cluster.log_since_start(node).contains("this process may open 1024 files"));
        assert!(http_status(&cluster.nodes[node].http, "/health/ready") == Some(200));
    }
    drop(strangers);
    let late = cluster.connect().await;
    assert_eq!(browse_numbers(&late.queue(QUEUE)).await.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_monitors_that_do_not_read_leave_health_answering() {
    use std::io::Write;
    let cluster = Cluster::start(Plan::default());
    let http = cluster.nodes[0].http.clone();
    let mut stuck = Vec::new();
    for _ in 0..100 {
        let mut monitor = std::net::TcpStream::connect(&http).expect("the port is open");
        // Pipelined: one answer fits into what the system keeps for the reader, so many do not.
        let asked = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50);
        monitor.write_all(asked.as_bytes()).expect("it takes what is asked");
        stuck.push(monitor);
    }
    for _ in 0..20 {
        assert_eq!(http_status(&http, "/health/ready"), Some(200));
    }
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_units_take_their_share_of_memory_and_leave_the_others_room() {
    let cluster =
        Cluster::start(Plan { settings: settings(&["limits.memory_bytes=256MiB"]), ..Plan::default() });
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    // As much as one body of the largest size: the share of a small node.
    let mut open = Vec::new();
    let refused = loop {
        let mut unit = connection.unit_of_work().await.expect("one more session is let in");
        match unit.put(QUEUE, Message::new(vec![7; 20 << 20])).await {
            Ok(_) => open.push(unit),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.reason(), Some(reason::RESOURCE_PROBLEM), "{refused}");
    assert_eq!(open.len(), 5);
    connection.queue(QUEUE).put("outside of syncpoint").await.expect("others have room");
    open.pop();
    put_numbers(&connection.queue(QUEUE), 0, 10, 100).await;
}

// ---- what administrators of MQ type ----

/// A file in the hands of the real program, by the name that scripts know; a dump that is read again; a definition applied.
#[test]
fn a_file_of_mqsc_is_piped_into_runmqsc() {
    let mut cluster = Cluster::start(Plan::default());
    cluster.wait_serving(seconds(30));
    let directory = tempfile::tempdir().expect("a directory");
    let link = directory.path().join("runmqsc");
    std::os::unix::fs::symlink(trimaran_tests::process::program("trimaran"), &link).expect("a link");
    let addresses = cluster.nodes.iter().map(|node| node.client.clone()).collect::<Vec<_>>().join(",");
    let run = |program: &Path, arguments: &[&str], input: &str| {
        use std::io::Write;
        let mut child = std::process::Command::new(program)
            .env("TRIMARAN_CONNECT", &addresses)
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the program starts");
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("the program ends");
        (output.status.code(), text(&output))
    };
    let script = "* the walkthrough\ndefine qlocal (HA.QUEUE)\n\
        define channel(HA.CHANNEL) chltype(svrconn) trptype(tcp) mcauser('mqm')\n\
        display qlocal(HA.QUEUE) curdepth\ndelete qlocal(NOPE)\nend\n";
    let (code, shown) = run(&link, &[QUEUE_MANAGER], script);
    assert_eq!(code, Some(10), "{shown}");
    let started = format!("Starting MQSC for queue manager {QUEUE_MANAGER}.");
    let expected = [
        started.as_str(),
        "     1 : define qlocal (HA.QUEUE)\nAMQ8006I: IBM MQ queue created.\n",
        "AMQ8014I: IBM MQ channel created.\n",
        "   QUEUE(HA.QUEUE)                         TYPE(QLOCAL)\n   CURDEPTH(0)\n",
        "AMQ8147E: IBM MQ object NOPE not found.\n",
        "4 MQSC commands read.\nNo commands have a syntax error.\nOne valid MQSC command could not be processed.\n",
    ];
    for part in expected {
        assert!(shown.contains(part), "{part}\nis missing in\n{shown}");
    }
    let (code, shown) = run(&link, &["-w", "1", "NO.SUCH.QM"], "");
    assert_eq!(code, Some(20), "{shown}");

    let trimaran = trimaran_tests::process::program("trimaran");
    let dump = || run(&trimaran, &["dmpmqcfg", "-a"], "");
    let strip =
        |text: &str| text.lines().filter(|line| !line.contains("ALTDATE(")).collect::<Vec<_>>().join("\n");
    let (code, first) = dump();
    assert_eq!(code, Some(0), "{first}");
    assert!(
        first.contains("DEFINE QLOCAL('HA.QUEUE') +") && first.contains("SYSTEM.DEAD.LETTER.QUEUE"),
        "{first}"
    );
    let (code, shown) = run(&link, &["-e"], &first);
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(strip(&dump().1), strip(&first), "a dump is the same when it was read again");

    let file = directory.path().join("shop.mqsc");
    fs::write(&file, "define qlocal(ORDERS) maxdepth(7)\nalter qmgr deadq(SYSTEM.DEAD.LETTER.QUEUE)\n")
        .expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    let (_, shown) = run(&trimaran, &["apply", file, "--dry-run"], "");
    assert!(
        shown.contains("would be defined QLOCAL(ORDERS)") && shown.contains("2 would be changed"),
        "{shown}"
    );
    assert!(run(&trimaran, &["apply", file], "").1.contains("2 changed, 0 unchanged"));
    assert!(run(&trimaran, &["apply", file], "").1.contains("0 changed, 2 unchanged"));

    let (code, shown) = run(&trimaran, &["dspmq", "-o", "nativeha", "-x"], "");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("ROLE(Active)") && shown.matches(" INSTANCE(").count() >= 4, "{shown}");
    assert!(run(&trimaran, &["mqrc", "2035"], "").1.contains("2035  0x000007f3  MQRC_NOT_AUTHORIZED"));
}

/// A table of rules for dead letters, the queue that was full in between, and the leader killed before the rest is forwarded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_handled_by_a_table_of_rules() {
    let mut cluster = Cluster::start(Plan::default());
    let addresses = cluster.addresses().join(",");
    let run = |arguments: &[&str], input: &str| {
        let output = run_program("trimaran", &[&["--connect", &addresses], arguments].concat(), input);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    };
    run(
        &["runmqsc"],
        "define qlocal(SMALL) maxdepth(2)\ndefine qlocal(REPAIR)\nalter qmgr deadq(SYSTEM.DEAD.LETTER.QUEUE)\n",
    );
    // Five have one id: each is a message of its own.
    let lines: String =
        (1..=7).map(|number| format!("{{\"text\":\"{number}\",\"message_id\":\"0a\"}}\n")).collect();
    run(&["put", "SMALL", "--dead-letter", "--json-lines"], &lines);
    run(&["put", "NOWHERE", "--dead-letter"], "8");
    run(&["get", "SMALL", "--all"], "");

    let table = "RETRYINT(1) WAIT(NO)\n\
        REASON(MQRC_Q_FULL) DESTQ(SM*) ACTION(RETRY) RETRY(2)\n\
        REASON(MQRC_Q_FULL) ACTION(FWD) FWDQ(REPAIR) HEADER(NO)\n\
        * what nobody wants\nPERSIST(MQPER_NOT_PERSISTENT) ACTION(DISCARD)\n";
    let shown = run(&["runmqdlq"], table);
    for part in [
        "started to process INPUTQ(SYSTEM.DEAD.LETTER.QUEUE).",
        "The rule in line 2 could not be followed for a message for SMALL:",
        "2 put on their queues again.",
        "3 forwarded.",
        "1 remains on the queue.",
    ] {
        assert!(shown.contains(part), "{part}\nis missing in\n{shown}");
    }
    assert_eq!(run(&["get", "SMALL", "--all"], ""), "3\n4\n");
    assert_eq!(run(&["get", "REPAIR", "--all"], ""), "5\n6\n7\n");

    let serving = cluster.wait_serving(seconds(10));
    cluster.kill(serving);
    let shown =
        run(&["runmqdlq", "SYSTEM.DEAD.LETTER.QUEUE"], "WAIT(NO)\nREASON(2085) ACTION(FWD) FWDQ(REPAIR)\n");
    assert!(shown.contains("1 forwarded.") && shown.contains("0 remain on the queue."), "{shown}");
    let left = run(&["browse", "REPAIR", "--json-lines"], "");
    assert!(left.contains("\"queue\":\"NOWHERE\"") && left.lines().count() == 1, "the header stays: {left}");
}

/// endmqm and strmqm by their own names, with a node down during each, all nodes killed in between, and MQ's exit codes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_manager_is_ended_and_started_while_the_nodes_run() {
    let mut cluster = Cluster::start(Plan::default());
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["endmqm", "strmqm", "dspmq", "trimaran"] {
        let link = directory.path().join(name);
        std::os::unix::fs::symlink(trimaran_tests::process::program("trimaran"), link).expect("a link");
    }
    let addresses = cluster.addresses().join(",");
    let typed = |line: &str| {
        let mut words = line.split(' ');
        let program = directory.path().join(words.next().expect("a command"));
        let output =
            std::process::Command::new(program).env("TRIMARAN_CONNECT", &addresses).args(words).output();
        let output = output.expect("the program starts");
        (output.status.code().expect("it ends"), text(&output))
    };
    let status = || typed("dspmq").1.split_once("STATUS(").map(|(_, status)| status.trim().to_owned());
    let expect = |line: &str, code: i32, said: &[&str]| {
        let (ended, shown) = typed(line);
        assert_eq!(ended, code, "{line}: {shown}");
        said.iter().for_each(|part| assert!(shown.contains(part), "{line}: {part}\nis missing in\n{shown}"));
    };
    let connection = cluster.connect().await;
    create(&connection, QUEUE).await;
    put_numbers(&connection.queue(QUEUE), 0, 10, 100).await;

    expect("endmqm NOPE", 16, &["AMQ8118E: IBM MQ queue manager does not exist."]);
    expect("strmqm NOPE", 16, &["AMQ8118E: IBM MQ queue manager does not exist."]);
    let running = format!("IBM MQ queue manager '{QUEUE_MANAGER}' running.");
    expect(&format!("strmqm {QUEUE_MANAGER}"), 5, &[&running]);

    // One that serves nobody just now is away while it is ended, and comes back.
    let serving = cluster.wait_serving(seconds(10));
    let away = (serving + 1) % 3;
    cluster.kill(away);
    let later = format!("{} learns it later", cluster.nodes[away].name);
    let ended = format!("IBM MQ queue manager '{QUEUE_MANAGER}' ended.");
    expect("endmqm -i", 0, &["' ending.\n", &ended, &later]);
    assert_eq!(status().as_deref(), Some("Ended immediately)"));
    cluster.start_node(away);
    expect("endmqm -i", 40, &["AMQ8146E: IBM MQ queue manager not available."]);
    let refused = Connection::builder(cluster.addresses()).connect_within(seconds(2)).connect().await;
    let refused = refused.expect_err("nobody is let in").to_string();
    assert!(refused.contains("strmqm"), "{refused}");

    // It stays so, whatever becomes of its nodes.
    drop(connection);
    (0..3).for_each(|node| cluster.kill(node));
    (0..3).rev().for_each(|node| cluster.start_node(node));
    let begun = Instant::now();
    while status().as_deref() != Some("Ended immediately)") {
        assert!(begun.elapsed() < seconds(30), "{:?}", typed("dspmq"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(cluster.serving(), None);

    // Another one is killed while it is started: either it has started, or it says what to do.
    let starting = std::thread::scope(|scope| {
        let starting = scope.spawn(|| typed("strmqm"));
        cluster.kill(0);
        starting.join().expect("the command ends")
    });
    if starting.0 != 0 {
        expect("strmqm", 0, &[]);
    }
    cluster.wait_serving(seconds(10));
    assert_eq!(status().as_deref(), Some("Running)"));
    cluster.start_node(0);
    cluster.wait_in_sync(0, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));
    let connection = cluster.connect().await;
    assert_eq!(browse_numbers(&connection.queue(QUEUE)).await, (0..10).collect::<Vec<u64>>());

    expect("endmqm -s", 0, &["permitting switchover to a standby instance.\n"]);
    put_numbers(&connection.queue(QUEUE), 10, 11, 100).await;
    let (code, shown) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| typed("endmqm -w"));
        let begun = Instant::now();
        while status().as_deref() != Some("Quiescing)") {
            assert!(begun.elapsed() < seconds(30), "a program is connected: {:?}", typed("dspmq"));
        }
        expect("strmqm", 49, &["' ending.\n"]);
        expect("endmqm", 0, &["Quiesce request accepted. The queue manager will stop when all outstanding"]);
        drop(connection);
        waits.join().expect("the command ends")
    });
    assert!(code == 0 && shown.contains("Waiting for queue manager") && shown.contains(&ended), "{shown}");
    assert_eq!(status().as_deref(), Some("Ended normally)"));
    expect("trimaran node drain c", 0, &["node c is in maintenance", "node c can be stopped"]);
    expect("trimaran node resume c", 0, &["node c is in service again"]);
    expect("trimaran status --check", 1, &["was ended: `strmqm"]);
    expect("strmqm -ns", 0, &["' starting.\n", "started using V"]);
}
