//! The floating address, with real nodes in network namespaces of their own, watched from outside: an ARP probe every 10 ms.
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`).
//!
//! `TRIMARAN_ADDRESS_ROUNDS` says how often each fault is done; the distribution of the client's gaps is printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_stream::StreamExt;
use trimaran_client::{Attributes, Connection, Message};
use trimaran_tests::process::cluster::QUEUE_MANAGER;
use trimaran_tests::process::ledger::{body_of, read_body};
use trimaran_tests::process::network::{self, Watch};
use trimaran_tests::process::{Cluster, Plan, amount, namespace};

const QUEUE: &str = "HA.QUEUE";
/// Longer than an address lives that nobody renews.
const LIFETIME: Duration = Duration::from_millis(1_100);

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The process is killed; its agent and its kernel are not.
    Kill,
    /// The process stops and goes on later. Its agent lives.
    Hang,
    /// Process and agent stop, and go on later.
    HangBoth,
    /// The cable is pulled.
    Cut,
    /// Nothing is wrong.
    Move,
}

/// A client that puts one message after the other, and what it had to wait for at most.
struct Client {
    acknowledged: Arc<AtomicU64>,
    longest_us: Arc<AtomicU64>,
    ends: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Client {
    async fn start(cluster: &Cluster) -> Client {
        let connection = through_address(cluster).await;
        let (acknowledged, longest_us, ends) = <(Arc<AtomicU64>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let counters = (acknowledged.clone(), longest_us.clone(), ends.clone());
        let task = tokio::spawn(async move {
            let (acknowledged, longest_us, ends) = counters;
            let queue = connection.queue(QUEUE);
            let mut last = Instant::now();
            for number in 0.. {
                if ends.load(Ordering::Relaxed) > 0 {
                    return;
                }
                queue
                    .put(Message::new(body_of(0, number, 200)))
                    .await
                    .expect("a put is repeated until it is answered");
                acknowledged.store(number + 1, Ordering::Relaxed);
                longest_us.fetch_max(last.elapsed().as_micros() as u64, Ordering::Relaxed);
                last = Instant::now();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Client { acknowledged, longest_us, ends, task }
    }

    /// The longest wait since it was asked last. Waits until puts come through again without one.
    async fn gap(&self, within: Duration) -> Duration {
        let until = Instant::now() + within;
        let mut seen = self.acknowledged.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.acknowledged.load(Ordering::Relaxed);
            if now > seen + 20 {
                return Duration::from_micros(self.longest_us.swap(0, Ordering::Relaxed));
            }
            assert!(Instant::now() < until, "no put comes through within {within:?}");
            seen = now;
        }
    }
}

async fn through_address(cluster: &Cluster) -> Connection {
    let builder = Connection::builder([cluster.floating()]).queue_manager(QUEUE_MANAGER);
    builder.connect().await.expect("the node that serves is found by its address")
}

/// Until the watch sees the address on this node.
async fn wait_held(watch: &Watch, hardware: [u8; 6], within: Duration) {
    let begun = Instant::now();
    while watch.holder() != Some(hardware) {
        assert!(begun.elapsed() < within, "the address is on {:x?}, not on {hardware:x?}", watch.holder());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn the_address_is_on_the_node_that_serves_and_on_no_other() {
    if !namespace::is_root() {
        return without_rights_a_node_says_what_to_do();
    }
    network::enter_own_namespace();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut cluster = Cluster::start(Plan { floats: true, ..Plan::default() });
        let watch = Watch::start();
        let serving = cluster.wait_serving(Duration::from_secs(10));
        wait_held(&watch, cluster.network().hardware(serving), Duration::from_secs(5)).await;
        let shown = cluster.network().addresses(serving);
        assert!(shown.contains("inet 10.231.0.50/32") && shown.contains("eth0:0"), "{shown}");
        cluster.wait_all_in_sync(Duration::from_secs(10)).await;
        let connection = through_address(&cluster).await;
        connection
            .admin()
            .create_queue(QUEUE, Attributes::new().with("MAXDEPTH", 10_000_000))
            .await
            .expect("created");
        let client = Client::start(&cluster).await;

        let rounds = amount("TRIMARAN_ADDRESS_ROUNDS", 1);
        for fault in [Fault::Move, Fault::Kill, Fault::Hang, Fault::HangBoth, Fault::Cut] {
            let mut gaps = Vec::new();
            for _ in 0..rounds {
                client.gap(Duration::from_secs(20)).await;
                gaps.push(strike(&mut cluster, &watch, &client, fault).await);
            }
            gaps.sort();
            println!(
                "{fault:?}: median {:?}, worst {:?} of {rounds}",
                gaps[gaps.len() / 2],
                gaps[gaps.len() - 1]
            );
        }
        client.ends.store(1, Ordering::Relaxed);
        client.task.await.expect("the client puts until it is told to end");
        let probes = watch.assert_never_two();
        let acknowledged = client.acknowledged.load(Ordering::Relaxed);
        let connection = through_address(&cluster).await;
        let queue = connection.queue(QUEUE);
        let mut messages = std::pin::pin!(queue.browse());
        let mut numbers = Vec::new();
        while let Some(message) = messages.next().await {
            numbers.push(read_body(&message.expect("a queue can be browsed").body).expect("as it was put").1);
        }
        assert!(
            numbers.iter().copied().eq(0..acknowledged),
            "{acknowledged} were put, {} are there",
            numbers.len()
        );
        println!("{acknowledged} acknowledged, each there once; {probes} probes, never two answers");
    });
}

/// Does it to the node that serves, and mends it. How long the client waited.
async fn strike(cluster: &mut Cluster, watch: &Watch, client: &Client, fault: Fault) -> Duration {
    let old = cluster.wait_serving(Duration::from_secs(10));
    let hardware = cluster.network().hardware(old);
    wait_held(watch, hardware, Duration::from_secs(5)).await;
    let agent = agent_of(cluster.pid(old).expect("it runs"));
    let stop = |cluster: &Cluster, signal: i32| {
        cluster.signal(old, signal);
        if matches!(fault, Fault::HangBoth) {
            // SAFETY: the agent is a child of a child that was not waited for.
            unsafe { libc::kill(agent as libc::pid_t, signal) };
        }
    };
    match fault {
        Fault::Kill => cluster.kill(old),
        Fault::Hang | Fault::HangBoth => stop(cluster, libc::SIGSTOP),
        Fault::Cut => cluster.network().plug(old, false),
        Fault::Move => cluster.connect().await.admin().move_to("").await.expect("somebody takes over"),
    }
    let gap = client.gap(Duration::from_secs(30)).await;
    let new = watch.holder().expect("somebody has the address");
    assert_ne!(new, hardware, "it moved");
    match fault {
        Fault::Kill => cluster.start_node(old),
        Fault::Hang | Fault::HangBoth => {
            stop(cluster, libc::SIGCONT);
            tokio::time::sleep(LIFETIME).await;
            let silent = watch.silent_for(hardware).expect("it had the address");
            assert!(silent >= LIFETIME, "the old holder woke and answered {silent:?} ago");
        }
        Fault::Cut => cluster.network().plug(old, true),
        Fault::Move => {}
    }
    watch.assert_never_two();
    cluster.wait_in_sync(old, Duration::from_secs(20)).await.expect("it comes back");
    gap
}

/// The process that holds the node's addresses.
fn agent_of(node: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{node}/task/{node}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|id| id.parse().ok()).expect("the node has an agent")
}

fn without_rights_a_node_says_what_to_do() {
    let file = "cluster = \"process\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:7101\"\nclient = \"127.0.0.1:7201\"\nhttp = \"127.0.0.1:7301\"\n[[queue_managers]]\nname = \"Q\"\nid = 1\naddress = \"10.231.0.50/24\"\n[directories]\nlog = \"/tmp/trimaran-no-rights/log\"\ndata = \"/tmp/trimaran-no-rights/data\"\n";
    let directory = tempfile::tempdir().expect("a directory in /tmp");
    let path = directory.path().join("cluster.toml");
    std::fs::write(&path, file).expect("it can be written");
    let path = path.to_str().expect("plain");
    let output =
        trimaran_tests::process::run_program("trimaran-node", &["run", "--config", path, "--node", "a"], "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW"), "{said}");
}
