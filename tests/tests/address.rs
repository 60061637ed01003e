//! The floating address, with real nodes in network namespaces of their own, watched from outside: an ARP probe every 10 ms.
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`).
//!
//! `TRIMARAN_ADDRESS_ROUNDS` says how often each fault is done, `TRIMARAN_ADDRESS_QUEUED` how many messages lie on a queue while it
//! is; median and worst of the client's gaps, against their bounds, and where the time went are printed, and left in the target
//! directory (`address-rounds.txt`). `TRIMARAN_ADDRESS_BOUNDS` makes a row that is over them a failure. `TRIMARAN_PROGRAMS` names a directory with other programs, optimised ones
//! for example.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_stream::StreamExt;
use trimaran_client::proto::admin::v1::{Failover, FailoverAccount};
use trimaran_client::{Admin, Attributes, Connection, Message};
use trimaran_tests::process::cluster::QUEUE_MANAGER;
use trimaran_tests::process::java::Java;
use trimaran_tests::process::ledger::{body_of, read_body};
use trimaran_tests::process::network::{self, FLOATING, FLOATING_SIX, Loss, Watch};
use trimaran_tests::process::rounds::{self, Bounds, Round, Way};
use trimaran_tests::process::waiting::Crowd;
use trimaran_tests::process::{Cluster, Plan, Typed, amount, namespace, program, run_program};

const QUEUE: &str = "HA.QUEUE";
/// Whoever had the address is noticed by its clients within so long after another node took it.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);
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
    /// It sends and hears nothing.
    Deaf,
    /// It hears, and nobody hears it.
    Mute,
    /// Clients hear it as before, the other nodes do not.
    Parted,
    /// The machine is gone from one moment to the next.
    PowerOff,
    /// Nothing is wrong.
    Move,
    /// Nothing is wrong, and the node is to be stopped.
    Drain,
}

const FAULTS: [Fault; 10] = [
    Fault::Move,
    Fault::Drain,
    Fault::Kill,
    Fault::Hang,
    Fault::HangBoth,
    Fault::Cut,
    Fault::Deaf,
    Fault::Mute,
    Fault::Parted,
    Fault::PowerOff,
];

impl Fault {
    /// What a client may wait for, median and worst.
    fn bounds(self, is_fast: bool) -> Bounds {
        match self {
            Fault::Move | Fault::Drain => Bounds::ms(100, 300),
            Fault::Kill => Bounds::ms(300, 600),
            _ if is_fast => Bounds::ms(800, 1_200),
            _ => Bounds::ms(1_600, 2_200),
        }
    }
}

/// A client that puts one message after the other, and what it had to wait for at most.
struct Client {
    counts: Arc<Counts>,
    /// Tells it to end.
    end: Box<dyn FnOnce()>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    longest_us: AtomicU64,
}

impl Counts {
    /// So many were acknowledged, the last one now and the one before it then.
    fn note(&self, acknowledged: u64, last: &mut Instant) {
        self.acknowledged.store(acknowledged, Ordering::Relaxed);
        self.longest_us.fetch_max(last.elapsed().as_micros() as u64, Ordering::Relaxed);
        *last = Instant::now();
    }
}

impl Client {
    async fn start(cluster: &Cluster) -> Client {
        let connection = through_address(cluster).await;
        let counts = Arc::<Counts>::default();
        let over = Arc::<AtomicBool>::default();
        let (noted, is_over) = (counts.clone(), over.clone());
        let task = tokio::spawn(async move {
            let queue = connection.queue(QUEUE);
            let mut last = Instant::now();
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                queue
                    .put(Message::new(body_of(0, number, 200)))
                    .await
                    .expect("a put is repeated until it is answered");
                noted.note(number + 1, &mut last);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Client { counts, end: Box::new(move || over.store(true, Ordering::Relaxed)), task }
    }

    /// IBM's classes for JMS, which reconnect by themselves. At its end it receives what it sent.
    fn over_jms(java: &Java) -> Client {
        let address = format!("{FLOATING}(1414)");
        let mut program = java.start("Reconnecting", &[&address, QUEUE_MANAGER, QUEUE, "0"]);
        let counts = Arc::<Counts>::default();
        let noted = counts.clone();
        let (told, said) = (program.stdin.take(), program.stdout.take().expect("it is piped"));
        let task = tokio::task::spawn_blocking(move || {
            let (mut line, mut last) = (String::new(), Instant::now());
            for next in BufReader::new(said).lines() {
                line = next.expect("a program prints text");
                if let Some(number) = line.strip_prefix("sent ") {
                    noted.note(number.parse().expect("a number"), &mut last);
                }
            }
            assert!(program.wait().expect("a child can be waited for").success(), "{line}");
            let sent = noted.acknowledged.load(Ordering::Relaxed);
            assert_eq!(line, format!("received {sent} to {sent}"));
        });
        Client { counts, end: Box::new(move || drop(told)), task }
    }

    /// How many puts were acknowledged.
    fn acknowledged(&self) -> u64 {
        self.counts.acknowledged.load(Ordering::Relaxed)
    }

    /// How many puts were acknowledged, when it has come to its end.
    async fn finish(self) -> u64 {
        (self.end)();
        self.task.await.expect("the client puts until it is told to end");
        self.counts.acknowledged.load(Ordering::Relaxed)
    }

    /// The longest wait since it was asked last. Waits until puts come through again without one: several in a row, however slow
    /// each of them is beside a load on a full machine.
    async fn gap(&self, within: Duration) -> Duration {
        let until = Instant::now() + within;
        let first = self.acknowledged();
        let mut seen = first;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.acknowledged();
            if now >= seen + 3 {
                return Duration::from_micros(self.counts.longest_us.swap(0, Ordering::Relaxed));
            }
            assert!(Instant::now() < until, "{} puts came through within {within:?}", now - first);
            seen = now;
        }
    }
}

/// Programs that put, and get in units of work, as fast as they are answered.
struct Load {
    ends: Arc<AtomicBool>,
    putting: Vec<tokio::task::JoinHandle<u64>>,
    getting: Vec<tokio::task::JoinHandle<Vec<(u32, u64)>>>,
}

impl Load {
    async fn start(cluster: &Cluster) -> Load {
        const BUSY: &str = "BUSY";
        let attributes = Attributes::new().with("MAXDEPTH", 10_000_000);
        through_address(cluster).await.admin().create_queue(BUSY, attributes).await.expect("created");
        let ends = Arc::new(AtomicBool::new(false));
        let (mut putting, mut getting) = (Vec::new(), Vec::new());
        for producer in 0..2 {
            let (connection, over) = (through_address(cluster).await, ends.clone());
            putting.push(tokio::spawn(async move {
                let queue = connection.queue(BUSY);
                let mut next = 0;
                while !over.load(Ordering::Relaxed) {
                    let messages =
                        (next..next + 50).map(|number| Message::new(body_of(producer, number, 200)));
                    let placed = queue.put_many(messages).await.expect("somebody serves again");
                    placed
                        .into_iter()
                        .for_each(|put| drop(put.expect("a put is repeated until it is answered")));
                    next += 50;
                }
                next
            }));
        }
        for _ in 0..4 {
            let (connection, over) = (through_address(cluster).await, ends.clone());
            getting.push(tokio::spawn(async move {
                let mut got = Vec::new();
                loop {
                    let is_last = over.load(Ordering::Relaxed);
                    match a_unit_of_gets(&connection, BUSY).await {
                        Ok(some) if some.is_empty() && is_last => return got,
                        Ok(some) => got.extend(some),
                        Err(error) => assert!(error.is_backed_out(), "a unit ends or is backed out: {error}"),
                    }
                }
            }));
        }
        Load { ends, putting, getting }
    }

    /// What was put was got once.
    async fn balance(self) {
        // Whoever gets looks once more when nobody puts any more.
        let mut put = BTreeMap::new();
        self.ends.store(true, Ordering::Relaxed);
        for (producer, task) in self.putting.into_iter().enumerate() {
            put.insert(producer as u32, task.await.expect("whoever puts comes to its end"));
        }
        let mut got = Vec::new();
        for task in self.getting {
            got.extend(task.await.expect("whoever gets comes to its end"));
        }
        got.sort_unstable();
        let all = put.iter().flat_map(|(producer, count)| (0..*count).map(|number| (*producer, number)));
        assert!(got.iter().copied().eq(all), "{put:?} were put, and {} got", got.len());
        println!("{} put beside, each got once", got.len());
    }
}

async fn a_unit_of_gets(connection: &Connection, queue: &str) -> trimaran_client::Result<Vec<(u32, u64)>> {
    let mut unit = connection.unit_of_work().await?;
    let mut got = Vec::new();
    for _ in 0..20 {
        let Some(message) = unit.get(queue, Duration::from_millis(500)).await? else { break };
        got.push(read_body(&message.body).expect("as it was put"));
    }
    unit.commit().await?;
    Ok(got)
}

/// Nodes that talk to each other over a network of their own, where no client is.
async fn with_a_network_for_peers() -> Cluster {
    let peer = |node: usize| format!("nodes.{node}.peer={}:7101", network::second_address_of(node));
    let settings = (0..3).map(peer).collect();
    let mut cluster = Cluster::prepare(Plan { floats: true, settings, ..Plan::default() });
    cluster.network().second_line();
    (0..3).for_each(|node| cluster.start_node(node));
    cluster.wait_all_in_sync(Duration::from_secs(20)).await;
    cluster
}

async fn through_address(cluster: &Cluster) -> Connection {
    let builder = Connection::builder([cluster.floating()]).queue_manager(QUEUE_MANAGER);
    builder.connect().await.expect("the node that serves is found by its address")
}

/// The node that serves and has the address. Who was cut off may say for a second that it serves.
async fn holder(cluster: &mut Cluster, watch: &Watch, within: Duration) -> (usize, [u8; 6]) {
    let begun = Instant::now();
    loop {
        let serving = cluster.wait_serving(within);
        let hardware = cluster.network().hardware(serving);
        if watch.holder() == Some(hardware) {
            return (serving, hardware);
        }
        assert!(begun.elapsed() < within, "node {serving} serves, and {:x?} has the address", watch.holder());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Until the watch sees the address on this node.
async fn wait_held(watch: &Watch, hardware: [u8; 6], within: Duration) {
    let begun = Instant::now();
    while watch.holder() != Some(hardware) {
        assert!(begun.elapsed() < within, "the address is on {:x?}, not on {hardware:x?}", watch.holder());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs the story where namespaces can be made, and else what a node does there.
fn in_own_network(story: impl Future<Output = ()>) {
    if !namespace::is_root() {
        return without_rights_a_node_says_what_to_do();
    }
    network::enter_own_namespace();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(story);
}

#[test]
fn the_address_is_on_the_node_that_serves_and_on_no_other() {
    in_own_network(strike_with(&FAULTS, Vec::new(), Beside::Nothing));
}

#[test]
fn the_address_moves_as_soon_from_a_node_with_many_messages() {
    let queued = amount("TRIMARAN_ADDRESS_QUEUED", 10_000);
    let faults = [Fault::Move, Fault::Kill, Fault::PowerOff];
    in_own_network(async move { strike_with(&faults, Vec::new(), Beside::Queued(queued)).await });
}

#[test]
fn the_address_moves_as_soon_from_a_node_under_load() {
    let faults = [Fault::Move, Fault::Kill, Fault::PowerOff];
    in_own_network(async move { strike_with(&faults, Vec::new(), Beside::Load).await });
}

#[test]
fn with_a_fence_and_short_elections_the_address_moves_sooner() {
    let faults = [Fault::Move, Fault::Kill, Fault::Hang, Fault::HangBoth, Fault::Cut, Fault::PowerOff];
    in_own_network(async move { strike_with(&faults, fast(), Beside::Nothing).await });
}

/// What the queue manager has besides the client that is watched.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Nothing,
    /// So many messages on a queue.
    Queued(u64),
    Load,
}

impl std::fmt::Display for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Beside::Nothing => write!(f, "nothing else"),
            Beside::Queued(count) => write!(f, "{count} queued"),
            Beside::Load => write!(f, "load"),
        }
    }
}

fn fast() -> Vec<String> {
    ["timing.profile=fast", "address.mode=fast"].map(str::to_owned).to_vec()
}

/// Does each of the faults to the node that serves, as often as is wanted, while a client puts messages.
async fn strike_with(faults: &[Fault], settings: Vec<String>, beside: Beside) {
    let is_fast = !settings.is_empty();
    let setting = format!("{}, {beside}", if is_fast { "fast" } else { "default" });
    let mut cluster = Cluster::start(Plan { floats: true, settings, ..Plan::default() });
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
    let load = match beside {
        Beside::Nothing => None,
        Beside::Queued(count) => {
            fill(&connection, count).await;
            None
        }
        Beside::Load => Some(Load::start(&cluster).await),
    };
    let client = Client::start(&cluster).await;

    strike_in_rounds(&mut cluster, &watch, &client, faults, |fault| (setting.clone(), fault.bounds(is_fast)))
        .await;
    let acknowledged = client.finish().await;
    if let Some(load) = load {
        load.balance().await;
    }
    if let Beside::Queued(count) = beside {
        let depth = connection.queue(DEEP).status().await.expect("it is there").depth;
        assert_eq!(depth, count, "what lay there lies there");
    }
    let probes = watch.assert_never_two();
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
}

/// Each of the faults as often as is wanted, noted under a name and against what it may take.
async fn strike_in_rounds(
    cluster: &mut Cluster,
    watch: &Watch,
    client: &Client,
    faults: &[Fault],
    row: impl Fn(Fault) -> (String, Bounds),
) {
    for fault in faults.iter().copied() {
        for _ in 0..amount("TRIMARAN_ADDRESS_ROUNDS", 1) {
            let begun = Instant::now();
            client.gap(Duration::from_secs(20)).await;
            let gap = strike(cluster, watch, client, fault).await;
            let way = newest_account(cluster).await.as_ref().and_then(Way::of);
            let (setting, bounds) = row(fault);
            let took = begun.elapsed();
            rounds::note(Round { setting, fault: format!("{fault:?}"), bounds, gap, took, way });
        }
    }
    rounds::publish();
}

#[test]
fn ibm_s_client_for_java_goes_on_through_the_address() {
    // There is no way to Maven from a network of our own.
    let java = namespace::is_root().then(|| Java::prepare().unwrap_or_else(|text| panic!("{text}")));
    in_own_network(async move {
        let mut cluster = Cluster::start(Plan { floats: true, ..Plan::default() });
        let watch = Watch::start();
        let connection = through_address(&cluster).await;
        let admin = connection.admin();
        let attributes = Attributes::new().with("MAXDEPTH", 10_000_000);
        admin.create_queue(QUEUE, attributes).await.expect("created");
        let attributes = Attributes::new().with("CHLTYPE", "SVRCONN");
        admin.define("CHANNEL", "APP.SVRCONN", "", false, attributes).await.expect("defined");
        cluster.wait_all_in_sync(Duration::from_secs(10)).await;
        let java = java.expect("prepared as root");
        let client = Client::over_jms(&java);
        let faults = [Fault::Move, Fault::Kill, Fault::Hang, Fault::Cut, Fault::PowerOff];
        // It waits 5 s by itself before it tries again, whatever ReconDelay says.
        let row = |fault: Fault| {
            let Bounds { median, worst } = fault.bounds(false);
            let own = Duration::from_secs(5);
            ("default, JMS".to_owned(), Bounds { median: median + own, worst: worst + own })
        };
        strike_in_rounds(&mut cluster, &watch, &client, &faults, row).await;
        println!("{} sent over JMS, each there", client.finish().await);
        watch.assert_never_two();
    });
}

/// Of the record of who serves now, which is written when nothing more can come; None where that takes long.
async fn newest_account(cluster: &Cluster) -> Option<FailoverAccount> {
    for _ in 0..20 {
        for address in cluster.addresses() {
            let asked =
                trimaran_client::failovers(&address, None, QUEUE_MANAGER, Duration::from_secs(2)).await;
            let newest = asked.ok().and_then(|kept| kept.records.into_iter().last());
            if let Some(Failover { account: Some(account), seal, .. }) = newest
                && !seal.is_empty()
            {
                return Some(account);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

const DEEP: &str = "DEEP";

async fn fill(connection: &Connection, count: u64) {
    let attributes = Attributes::new().with("MAXDEPTH", 10_000_000);
    connection.admin().create_queue(DEEP, attributes).await.expect("created");
    let queue = connection.queue(DEEP);
    for first in (0..count).step_by(10_000) {
        let messages =
            (first..(first + 10_000).min(count)).map(|number| Message::new(body_of(0, number, 200)));
        let placed = queue.put_many(messages).await.expect("somebody serves");
        placed.into_iter().for_each(|put| drop(put.expect("the queue has room")));
    }
}

/// Does it to the node that serves, and mends it. How long the client waited.
async fn strike(cluster: &mut Cluster, watch: &Watch, client: &Client, fault: Fault) -> Duration {
    let (old, hardware) = holder(cluster, watch, Duration::from_secs(10)).await;
    let agent = cluster.agent(old);
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
        Fault::Deaf => cluster.network().lose(old, Loss::Deaf),
        Fault::Mute => cluster.network().lose(old, Loss::Mute),
        Fault::Parted => cluster.network().lose(old, Loss::FromPeers),
        Fault::PowerOff => cluster.power_off(old),
        Fault::Move => cluster.connect().await.admin().move_to("").await.expect("somebody takes over"),
        Fault::Drain => {
            let (admin, name) = (cluster.connect().await.admin(), &cluster.nodes[old].name);
            admin.begin_maintenance(name, false).await.expect("the others can do without it");
        }
    }
    let gap = client.gap(Duration::from_secs(30)).await;
    moved(watch, hardware, Duration::from_secs(1)).await;
    match fault {
        Fault::Kill => cluster.start_node(old),
        Fault::Hang | Fault::HangBoth => {
            stop(cluster, libc::SIGCONT);
            tokio::time::sleep(LIFETIME).await;
            let silent = watch.silent_for(hardware).expect("it had the address");
            assert!(silent >= LIFETIME, "the old holder woke and answered {silent:?} ago");
        }
        Fault::Cut => cluster.network().plug(old, true),
        Fault::Deaf | Fault::Mute | Fault::Parted => cluster.network().heal(old),
        Fault::PowerOff => cluster.power_on(old),
        Fault::Drain => {
            let (admin, name) = (cluster.connect().await.admin(), &cluster.nodes[old].name);
            admin.end_maintenance(name).await.expect("it is in maintenance");
        }
        Fault::Move => {}
    }
    watch.assert_never_two();
    cluster.wait_in_sync(old, Duration::from_secs(20)).await.expect("it comes back");
    gap
}

/// What `dspmq` says of the places of a queue manager.
fn placed(typed: &Typed, queue_manager: &str) -> String {
    let shown = typed.run("dspmq -o place").1;
    let own = shown.lines().find(|line| line.contains(&format!("QMNAME({queue_manager})")));
    own.map_or(String::new(), str::to_owned)
}

/// Until some node has the address; none where nobody shall have it.
async fn wait_on_some(cluster: &Cluster, address: &str, is_wanted: bool) -> Option<usize> {
    let begun = Instant::now();
    loop {
        let holder = (0..3).find(|node| cluster.network().has_anywhere(*node, address));
        if holder.is_some() == is_wanted {
            return holder;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{address} is on {holder:?}, wanted: {is_wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One message there and back, by the address.
async fn use_through(address: &str, queue_manager: &str) {
    let builder = Connection::builder([format!("{address}:7201")]).queue_manager(queue_manager);
    let connection = builder.connect().await.unwrap_or_else(|error| panic!("{queue_manager}: {error}"));
    let _ = connection.admin().create_queue(QUEUE, Attributes::new()).await;
    let queue = connection.queue(QUEUE);
    queue.put(Message::new("one")).await.expect("it is put");
    assert!(queue.get(Duration::ZERO).await.expect("it is got").is_some());
}

async fn repeat(typed: &Typed, line: &str, code: i32) {
    let begun = Instant::now();
    loop {
        let (ended, shown) = typed.run(line);
        if ended == code {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{line}: {shown}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[test]
fn queue_managers_that_are_created_have_addresses_which_change_while_the_nodes_run() {
    in_own_network(created_with_addresses());
}

async fn created_with_addresses() {
    const ONE: &str = "10.231.0.60";
    const TWO: &str = "10.231.0.61";
    let mut cluster = Cluster::start(Plan { floats: true, ..Plan::default() });
    let typed = Typed::of(&cluster);
    let watches = [Watch::on(ONE), Watch::on(TWO)];

    for (address, said) in [
        ("10.231.0.60/33", "10.0.0.50/24"),
        ("10.231.0.255/24", "broadcast"),
        ("127.0.0.9/8", "from machine to machine"),
        ("10.231.0.50/24", "is queue manager ha.queue.manager's, as the cluster file says"),
        ("10.231.0.2/24", "of node b: a floating address belongs to no machine"),
        ("10.99.0.5/24", "No interface of node a has an address in 10.99.0.0/24; it has 10.231.0.1/24"),
    ] {
        typed.expect(&format!("crtmqm --address {address} PAYMENTS"), 39, &[said]);
    }
    typed.expect(
        "trimaran place --preferred b ha.queue.manager",
        71,
        &["is in the cluster file, and so is where it should be"],
    );

    typed.expect(&format!("crtmqm --address {ONE}/24 --canary PAYMENTS"), 0, &["created."]);
    typed.expect(&format!("crtmqm --address {ONE}/24 OTHER"), 39, &["is queue manager PAYMENTS's"]);
    assert_eq!(wait_on_some(&cluster, ONE, false).await, None, "it was not started");
    typed.expect("strmqm PAYMENTS", 0, &[]);
    let holder = wait_on_some(&cluster, ONE, true).await.expect("somebody serves");
    use_through(ONE, "PAYMENTS").await;
    let shown = placed(&typed, "PAYMENTS");
    assert!(shown.contains(&format!("ADDRESS({ONE}) PREFERRED() FAILBACK(never) CANARY(yes)")), "{shown}");

    cluster.kill(holder);
    let begun = Instant::now();
    let next = loop {
        let next = wait_on_some(&cluster, ONE, true).await.expect("it moves");
        if next != holder {
            break next;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the address moves with the queue manager");
    };
    use_through(ONE, "PAYMENTS").await;
    cluster.start_node(holder);
    cluster.wait_all_in_sync(Duration::from_secs(20)).await;

    // It gets another one and a node that it prefers.
    let preferred = (0..3).find(|node| ![holder, next].contains(node)).expect("there are three");
    let node = cluster.nodes[preferred].name.clone();
    typed.expect("trimaran place --fail-back now PAYMENTS", 39, &["name one"]);
    typed.expect("trimaran place --preferred z PAYMENTS", 39, &["no node z"]);
    let line =
        format!("trimaran place --address {TWO}/24 --preferred {node} --fail-back now --no-canary PAYMENTS");
    typed.expect(&line, 0, &[&format!("address    {TWO}"), &format!("preferred  {node}")]);
    wait_on_some(&cluster, ONE, false).await;
    let begun = Instant::now();
    while wait_on_some(&cluster, TWO, true).await != Some(preferred) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it moves to the node that it prefers, when that was served for a while"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    use_through(TWO, "PAYMENTS").await;

    // What it had is free, as every node has followed; and is not while one is away.
    typed.expect(&format!("crtmqm --address {ONE}/24 OTHER"), 0, &[]);
    typed.expect("trimaran place --no-address OTHER", 0, &["address    none"]);
    cluster.kill(next);
    typed.expect("trimaran place --no-address --no-preferred PAYMENTS", 0, &["address    none", "any node"]);
    wait_on_some(&cluster, TWO, false).await;
    let take = format!("trimaran place --address {TWO}/24 OTHER");
    typed.expect(&take, 71, &["was queue manager PAYMENTS's, and may be on", "which is not connected"]);
    cluster.start_node(next);
    repeat(&typed, &take, 0).await;
    typed.expect("strmqm OTHER", 0, &[]);
    wait_on_some(&cluster, TWO, true).await;

    // All of that outlasts any restart.
    (0..3).for_each(|node| cluster.kill(node));
    [next, preferred, holder].into_iter().for_each(|node| cluster.start_node(node));
    wait_on_some(&cluster, TWO, true).await;
    use_through(TWO, "OTHER").await;
    typed.expect("endmqm -i OTHER", 0, &[]);
    wait_on_some(&cluster, TWO, false).await;
    typed.expect("dltmqm --confirm OTHER OTHER", 0, &["deleted."]);
    repeat(&typed, &format!("trimaran place --address {TWO}/24 PAYMENTS"), 0).await;
    wait_on_some(&cluster, TWO, true).await;
    use_through(TWO, "PAYMENTS").await;
    let trail = typed.run("trimaran audit --cluster").1;
    assert!(trail.contains("place"), "{trail}");
    watches.iter().for_each(|watch| assert!(watch.assert_never_two() > 0));
}

fn without_rights_a_node_says_what_to_do() {
    let file = "cluster = \"process\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:7101\"\nclient = \"127.0.0.1:7201\"\nhttp = \"127.0.0.1:7301\"\n[[queue_managers]]\nname = \"Q\"\nid = 1\naddress = \"10.231.0.50/24\"\n[directories]\nlog = \"/tmp/trimaran-no-rights/log\"\ndata = \"/tmp/trimaran-no-rights/data\"\n";
    let directory = tempfile::tempdir().expect("a directory in /tmp");
    let path = directory.path().join("cluster.toml");
    std::fs::write(&path, file).expect("it can be written");
    let path = path.to_str().expect("plain");
    // Root itself has them only where they are left to it.
    let mut command = match namespace::is_root() {
        true => Command::new("setpriv"),
        false => Command::new("env"),
    };
    if namespace::is_root() {
        command.args(["--bounding-set", "-net_admin,-net_raw", "--inh-caps", "-net_admin,-net_raw"]);
    }
    let node = program("trimaran-node");
    let output = command.arg(node).args(["run", "--config", path, "--node", "a"]).output();
    let output = output.expect("setpriv and env are there (packages util-linux, coreutils)");
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("10.231.0.50")).collect();
    assert!(!output.status.success(), "it does not go on without: {said}");
    assert!(
        lines.len() == 1 && lines[0].contains("AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW"),
        "one line says what to do: {said}"
    );
}

#[test]
fn as_root_too_a_node_without_rights_says_what_to_do() {
    without_rights_a_node_says_what_to_do();
}

#[test]
fn clients_that_wait_and_clients_that_work_notice_a_takeover_within_a_second() {
    in_own_network(async {
        let mut cluster = Cluster::start(Plan { floats: true, ..Plan::default() });
        let watch = Watch::start();
        for (fault, told) in [(Fault::PowerOff, true), (Fault::Cut, true), (Fault::PowerOff, false)] {
            let old = cluster.wait_serving(Duration::from_secs(10));
            let hardware = cluster.network().hardware(old);
            wait_held(&watch, hardware, Duration::from_secs(5)).await;
            cluster.wait_all_in_sync(Duration::from_secs(20)).await;
            let others = (0..3).filter(|node| *node != old);
            if !told {
                others.for_each(|node| cluster.network().lose_tickles(node));
            }
            let idle = Crowd::connect(500, &cluster.floating(), None).await;
            let busy = Crowd::connect(500, &cluster.floating(), Some(Duration::from_millis(200))).await;
            // As long as it takes until the other nodes know of them.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let struck = Instant::now();
            match fault {
                Fault::PowerOff => cluster.power_off(old),
                _ => cluster.network().plug(old, false),
            }
            let taken = moved(&watch, hardware, Duration::from_secs(10)).await;
            let within = if told { NOTICED_WITHIN } else { Duration::from_secs(3) };
            let (idle, busy) = (idle.noticed(taken + within).await, busy.noticed(taken + within).await);
            println!(
                "{fault:?}, told: {told}; taken after {:?}, noticed after that by those who wait: {}, by those who work: {}",
                taken - struck,
                shown(&idle, taken),
                shown(&busy, taken)
            );
            if told {
                assert!(idle.len() == 500 && busy.len() == 500, "all notice it within {within:?}");
            }
            match fault {
                Fault::PowerOff => cluster.power_on(old),
                _ => cluster.network().plug(old, true),
            }
            cluster.wait_in_sync(old, Duration::from_secs(20)).await.expect("it comes back");
        }
        watch.assert_never_two();
    });
}

#[test]
fn a_client_that_reaches_only_a_leader_without_a_majority_is_told_nothing_wrong() {
    in_own_network(async {
        let mut cluster = Cluster::start(Plan { floats: true, ..Plan::default() });
        let watch = Watch::start();
        let old = cluster.wait_serving(Duration::from_secs(10));
        wait_held(&watch, cluster.network().hardware(old), Duration::from_secs(5)).await;
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        let connection = through_address(&cluster).await;
        connection.admin().create_queue(QUEUE, Attributes::new()).await.expect("created");
        let client = Client::start(&cluster).await;
        client.gap(Duration::from_secs(20)).await;

        let others: Vec<usize> = (0..3).filter(|node| *node != old).collect();
        network::hide(&others);
        cluster.network().lose(old, Loss::FromPeers);
        let parted = Instant::now();
        while !cluster.network().has(others[0], FLOATING) && !cluster.network().has(others[1], FLOATING) {
            assert!(parted.elapsed() < Duration::from_secs(5), "the majority takes the address");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let taken = parted.elapsed();
        let silent = watch.silent_for(cluster.network().hardware(old)).expect("it had the address");
        assert!(!cluster.network().has(old, FLOATING), "where the client is nobody has it");
        let acknowledged = client.acknowledged();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(client.acknowledged(), acknowledged, "nothing is acknowledged there");

        cluster.network().heal(old);
        network::show();
        let healed = Instant::now();
        while client.acknowledged() == acknowledged {
            assert!(healed.elapsed() < Duration::from_secs(5), "the client goes on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!(
            "given up {silent:?} before it was taken, taken after {taken:?}; goes on {:?} after the end",
            healed.elapsed()
        );
        client.finish().await;
        watch.assert_never_two();
    });
}

/// When the watch sees the address on another node.
async fn moved(watch: &Watch, from: [u8; 6], within: Duration) -> Instant {
    let begun = Instant::now();
    while watch.holder().is_none_or(|holder| holder == from) {
        let (holder, silent) = (watch.holder(), watch.silent_for(from));
        assert!(
            begun.elapsed() < within,
            "nobody takes the address within {within:?}: {holder:x?} has it, {from:x?} is silent for {silent:?}"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Instant::now()
}

/// How many, and the median and the last of them.
fn shown(noticed: &[Instant], since: Instant) -> String {
    let after = |at: usize| noticed.get(at).map(|at| at.saturating_duration_since(since));
    format!(
        "{} ({:?}, {:?})",
        noticed.len(),
        after(noticed.len() / 2),
        after(noticed.len().saturating_sub(1))
    )
}

#[test]
fn an_address_that_somebody_meddles_with_is_back_or_is_refused() {
    in_own_network(async {
        let mut cluster = Cluster::prepare(Plan { floats: true, ..Plan::default() });
        network::stranger(true);
        (0..3).for_each(|node| cluster.start_node(node));
        let serving = cluster.wait_serving(Duration::from_secs(20));
        until(Duration::from_secs(5), "the node says who has the address", || {
            cluster.log_since_start(serving).contains("is no node of this cluster: it was not taken")
        });
        assert!(!cluster.network().has(serving, FLOATING), "a stranger has it");
        network::stranger(false);
        // It may have been a node that died with its agent.
        until(Duration::from_secs(4), "the stranger is gone", || cluster.network().has(serving, FLOATING));

        let connection = through_address(&cluster).await;
        connection.admin().create_queue(QUEUE, Attributes::new()).await.expect("created");
        cluster.network().ip(serving, &["addr", "del", &format!("{FLOATING}/32"), "dev", "eth0"]);
        until(Duration::from_secs(1), "an operator took it away", || {
            cluster.network().has(serving, FLOATING)
        });
        connection.queue(QUEUE).put(Message::new("one")).await.expect("the connection lives");

        cluster.network().ip(serving, &["link", "set", "eth0", "down"]);
        cluster.network().ip(serving, &["link", "set", "eth0", "up"]);
        until(Duration::from_secs(1), "the interface is back", || cluster.network().has(serving, FLOATING));
        let watch = Watch::start();
        wait_held(&watch, cluster.network().hardware(serving), Duration::from_secs(1)).await;
        connection.queue(QUEUE).put(Message::new("two")).await.expect("the connection lives");

        cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        let other = (0..3).find(|node| *node != serving).expect("there are three");
        cluster.stop(other);
        // As one that crashed together with its agent leaves it behind, and as other tools add it.
        for (address, interface) in [
            (format!("{FLOATING}/32"), "eth0"),
            (format!("{FLOATING}/24"), "eth0"),
            (format!("{FLOATING}/32"), "lo"),
        ] {
            cluster.network().ip(other, &["addr", "add", &address, "dev", interface]);
        }
        cluster.start_node(other);
        until(Duration::from_secs(5), "what was left over is removed", || {
            !cluster.network().has_anywhere(other, FLOATING)
        });
        cluster.wait_in_sync(other, Duration::from_secs(20)).await.expect("it comes back");
        added_by_hand_it_goes(&cluster, other);
        connection.queue(QUEUE).put(Message::new("three")).await.expect("the connection lives");
    });
}

/// Of a node that does not serve.
fn added_by_hand_it_goes(cluster: &Cluster, node: usize) {
    for (address, interface) in [
        (format!("{FLOATING}/24"), "eth0"),
        (format!("{FLOATING}/32"), "eth0"),
        (format!("{FLOATING}/32"), "lo"),
    ] {
        cluster.network().ip(node, &["addr", "add", &address, "dev", interface]);
        until(Duration::from_millis(500), "what was added by hand is removed", || {
            !cluster.network().has_anywhere(node, FLOATING)
        });
        let said = format!(
            "address {address} of queue manager {QUEUE_MANAGER} is on {interface}, and no agent put it there"
        );
        until(Duration::from_secs(4), "and it is said", || cluster.log_since_start(node).contains(&said));
    }
}

#[test]
fn a_node_whose_agent_hangs_ends_and_another_one_has_the_address() {
    in_own_network(async {
        let mut cluster = Cluster::start(Plan { floats: true, ..Plan::default() });
        let watch = Watch::start();
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        let (old, hardware) = holder(&mut cluster, &watch, Duration::from_secs(10)).await;
        let connection = through_address(&cluster).await;
        connection.admin().create_queue(QUEUE, Attributes::new()).await.expect("created");
        let client = Client::start(&cluster).await;
        client.gap(Duration::from_secs(20)).await;

        let stop = |cluster: &Cluster, node: usize| {
            // SAFETY: the agent is a child of a child that was not waited for.
            unsafe { libc::kill(cluster.agent(node) as libc::pid_t, libc::SIGSTOP) };
        };
        stop(&cluster, old);
        let struck = Instant::now();
        let taken = moved(&watch, hardware, Duration::from_millis(2_500)).await;
        println!("taken {:?} after the agent stopped", taken - struck);
        let exit = cluster.wait_exit(old, Duration::from_secs(2)).expect("its node serves no more");
        assert_eq!(exit.status.code(), Some(16), "{}", exit.log);
        assert!(
            exit.log.contains("the address agent does not answer any more: this node ends"),
            "{}",
            exit.log
        );
        println!("the client waited {:?}", client.gap(Duration::from_secs(20)).await);
        // Its agent has not outlived it: the port of the peers is free again.
        cluster.start_node(old);
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;

        // One that has nothing to hold is missed later: its node could not take over.
        let serving = cluster.wait_serving(Duration::from_secs(10));
        let other = (0..3).find(|node| *node != serving).expect("there are three");
        stop(&cluster, other);
        let exit = cluster.wait_exit(other, Duration::from_secs(8)).expect("nor does one that follows go on");
        let said = "the address agent of this node does not answer: it could not take an address over";
        assert!(exit.log.contains(said), "status says it before: {}", exit.log);
        cluster.start_node(other);
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;

        client.finish().await;
        watch.assert_never_two();

        // Nor does it outlive a node that is told to stop.
        let serving = cluster.wait_serving(Duration::from_secs(10));
        stop(&cluster, serving);
        cluster.stop(serving);
        cluster.start_node(serving);
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;

        // One whose node was killed has nobody who ends it, and the port of the peers: the next start does.
        let serving = cluster.wait_serving(Duration::from_secs(10));
        stop(&cluster, serving);
        cluster.kill(serving);
        cluster.start_node(serving);
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;
    });
}

#[test]
fn a_node_without_the_network_of_an_address_runs_and_says_so_and_leads_no_longer_than_it_must() {
    in_own_network(async {
        let settings = vec!["nodes.0.interface=eth7".to_owned()];
        let mut cluster = Cluster::start(Plan { floats: true, settings, ..Plan::default() });
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        until(Duration::from_secs(20), "a node that can have the address serves", || {
            (1..3).any(|node| cluster.network().has(node, FLOATING))
        });
        let said = format!(
            "address {FLOATING} of queue manager {QUEUE_MANAGER}: this machine has no interface eth7"
        );
        until(Duration::from_secs(4), "it is said", || cluster.log_since_start(0).contains(&said));
        assert_ne!(cluster.wait_serving(Duration::from_secs(5)), 0, "clients would not reach it");

        cluster.network().ip(0, &["link", "add", "eth7", "type", "veth", "peer", "name", "eth8"]);
        for interface in ["eth7", "eth8"] {
            cluster.network().ip(0, &["link", "set", interface, "up"]);
        }
        until(Duration::from_secs(2), "the interface is there, and used", || {
            cluster.log_since_start(0).contains("the floating address has a place on this machine now")
        });
    });
}

#[test]
fn a_fence_that_somebody_removes_is_made_again() {
    in_own_network(async {
        let mut cluster = Cluster::start(Plan { floats: true, settings: fast(), ..Plan::default() });
        let serving = cluster.wait_serving(Duration::from_secs(10));
        let network = cluster.network();
        until(Duration::from_secs(5), "the address is there", || network.has(serving, FLOATING));
        let connection = through_address(&cluster).await;
        connection.admin().create_queue(QUEUE, Attributes::new()).await.expect("created");
        assert!(
            network.rules(serving).contains("table netdev trimaran_0ae70032"),
            "{}",
            network.rules(serving)
        );
        network.filter(serving, "flush ruleset");
        until(Duration::from_secs(1), "the fence is back", || {
            network.rules(serving).contains("table netdev trimaran_0ae70032")
        });
        connection.queue(QUEUE).put(Message::new("one")).await.expect("the connection lives");
        cluster.stop(serving);
        let rules = cluster.network().rules(serving);
        assert!(!rules.contains("trimaran"), "whoever ends takes its fence away: {rules}");
    });
}

fn until(within: Duration, what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn each_queue_manager_has_its_address_where_it_is_served() {
    in_own_network(async {
        two_move_and_one_dies(Vec::new()).await;
        two_move_and_one_dies(fast()).await;
    });
}

/// A queue manager with an address of IPv4, and one of IPv6.
async fn two_move_and_one_dies(settings: Vec<String>) {
    const OTHER: &str = "OTHER.QM";
    let queue_managers = vec![OTHER.to_owned()];
    let mut cluster = Cluster::start(Plan { floats: true, queue_managers, settings, ..Plan::default() });
    let connect = async |address: String, name: &str| {
        let builder = Connection::builder([address]).queue_manager(name);
        builder.connect().await.expect("the node that serves is found by its address")
    };
    let one = connect(cluster.floating(), QUEUE_MANAGER).await;
    let two = connect(cluster.floating_six(), OTHER).await;
    for connection in [&one, &two] {
        connection.admin().create_queue(QUEUE, Attributes::new()).await.expect("created");
        connection.queue(QUEUE).put(Message::new("before")).await.expect("put");
    }
    // The one moves, then the other; then the other's node dies.
    for round in 0..3 {
        for node in 0..3 {
            cluster.wait_in_sync(node, Duration::from_secs(20)).await.expect("all are there");
        }
        let before = holders(&cluster);
        let waiting = Crowd::connect(20, &cluster.floating_six(), None).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let struck = Instant::now();
        match round {
            0 => move_one(&cluster, QUEUE_MANAGER).await,
            1 => move_one(&cluster, OTHER).await,
            _ => cluster.power_off(before.1),
        }
        two.queue(QUEUE).put(Message::new("after")).await.expect("put");
        one.queue(QUEUE).put(Message::new("after")).await.expect("put");
        let after = holders(&cluster);
        let stayed = [(false, true), (true, false), (before.0 != before.1, false)][round];
        assert_eq!((before.0 == after.0, before.1 == after.1), stayed, "{before:?} {after:?}");
        if round > 0 {
            let noticed = waiting.noticed(struck + Duration::from_secs(3)).await;
            assert_eq!(noticed.len(), 20, "who waits notices it: {}", shown(&noticed, struck));
        }
        if round == 2 {
            cluster.power_on(before.1);
        }
    }
    for connection in [one, two] {
        let status = connection.queue(QUEUE).status().await.expect("it is there");
        assert_eq!(status.depth, 4);
    }
}

/// Asked for at the nodes' own addresses: the one that moves takes its connections with it.
async fn move_one(cluster: &Cluster, queue_manager: &str) {
    let connection = cluster.builder().queue_manager(queue_manager).connect().await.expect("somebody serves");
    connection.admin().move_to("").await.expect("somebody takes over");
}

/// The nodes that have the two addresses, each on one.
fn holders(cluster: &Cluster) -> (usize, usize) {
    let of = |address: &str| {
        let found = std::cell::Cell::new(0);
        until(Duration::from_secs(5), "one node has the address", || {
            let have: Vec<usize> = (0..3).filter(|node| cluster.network().has(*node, address)).collect();
            found.set(have.first().copied().unwrap_or_default());
            have.len() == 1
        });
        found.get()
    };
    (of(FLOATING), of(FLOATING_SIX))
}

// ---- addresses of IPv6 that somebody else has ----

#[test]
fn an_address_of_ipv6_that_a_stranger_has_is_refused_and_one_that_a_peer_has_is_taken() {
    in_own_network(async {
        let queue_managers = vec!["SIX".to_owned()];
        let mut cluster = Cluster::prepare(Plan { floats: true, queue_managers, ..Plan::default() });
        network::stranger_six(true);
        (0..3).for_each(|node| cluster.start_node(node));
        let said =
            |cluster: &Cluster, text: &str| (0..3).find(|node| cluster.log_since_start(*node).contains(text));
        let refused = format!(
            "address {FLOATING_SIX} is in use by a machine with hardware address 02:00:00:00:00:fe, which is no node of this \
             cluster: it was not taken"
        );
        until(Duration::from_secs(20), "a node says who has the address", || {
            said(&cluster, &refused).is_some()
        });
        let serving = said(&cluster, &refused).expect("it was said");
        until(Duration::from_secs(1), "it is not taken", || !cluster.network().has(serving, FLOATING_SIX));
        network::stranger_six(false);
        until(Duration::from_secs(12), "the stranger is gone", || {
            (0..3).any(|node| cluster.network().has(node, FLOATING_SIX))
        });

        // A node that was cut off from its agent, or was told by hand, may have the address; its lease is over.
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        let serving = (0..3).find(|node| cluster.network().has(*node, FLOATING_SIX)).expect("one has it");
        let other = (0..3).find(|node| *node != serving).expect("there are three");
        cluster.kill(other);
        // Its agent takes away what it knows of when the node is gone, and is gone itself then.
        std::thread::sleep(LIFETIME);
        let by_hand = ["addr", "add", &format!("{FLOATING_SIX}/128"), "dev", "eth0", "nodad"];
        cluster.network().ip(other, &by_hand);
        cluster.stop(serving);
        let third = 3 - serving - other;
        until(Duration::from_secs(10), "nobody is left but the third, which needs another", || {
            !cluster.network().has(serving, FLOATING_SIX)
        });
        cluster.start_node(serving);
        let claimed = format!("address {FLOATING_SIX} was also claimed by the machine with hardware address");
        until(Duration::from_secs(20), "a peer's claim raises an alarm", || {
            [serving, third].iter().any(|node| cluster.log_since_start(*node).contains(&claimed))
        });
        until(Duration::from_secs(2), "and the address is taken all the same", || {
            [serving, third].iter().any(|node| cluster.network().has(*node, FLOATING_SIX))
        });
    });
}

#[test]
fn a_move_that_is_asked_for_through_the_address_is_answered() {
    in_own_network(async {
        let mut cluster = Cluster::start(Plan { floats: true, ..Plan::default() });
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        let mut serving = cluster.wait_serving(Duration::from_secs(10));
        until(Duration::from_secs(5), "the address is there", || cluster.network().has(serving, FLOATING));
        let floating = cluster.floating();
        for named in [true, true, false] {
            let to = (serving + 1) % 3;
            let mut arguments = vec!["--connect", &floating, "--queue-manager", QUEUE_MANAGER, "move"];
            arguments.extend(named.then_some(cluster.nodes[to].name.as_str()));
            let output = run_program("trimaran", &arguments, "");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
            let now = cluster.wait_serving(Duration::from_secs(10));
            assert!(!named || now == to, "{said}");
            let moved = format!("moved from {} to {}", cluster.nodes[serving].name, cluster.nodes[now].name);
            assert!(now != serving && said.contains(&moved), "{said}");
            until(Duration::from_secs(5), "the address follows", || cluster.network().has(now, FLOATING));
            cluster.wait_all_in_sync(Duration::from_secs(20)).await;
            serving = now;
        }
    });
}

/// A cluster, who serves, and an administrator who came through the address.
async fn with_a_queue_at_the_address() -> (Cluster, usize, Admin) {
    let mut cluster = Cluster::start(Plan { floats: true, ..Plan::default() });
    cluster.wait_all_in_sync(Duration::from_secs(20)).await;
    let serving = cluster.wait_serving(Duration::from_secs(10));
    until(Duration::from_secs(5), "the address is there", || cluster.network().has(serving, FLOATING));
    let admin = through_address(&cluster).await.admin();
    admin.create_queue(QUEUE, Attributes::new()).await.expect("created");
    (cluster, serving, admin)
}

/// `send` or `receive` over a channel, through the address.
fn talk(command: &str) -> (Child, ChildStdin, impl FnMut() -> String) {
    let arguments = ["--json", command, QUEUE, "--host", FLOATING, "--channel", "SYSTEM.DEF.SVRCONN"];
    let mut child = Command::new(program("trimaran"))
        .args(arguments)
        .args(["--queue-manager", QUEUE_MANAGER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let stdin = child.stdin.take().expect("it is piped");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = move || lines.next().expect("it goes on").expect("it can be read");
    let introduced = next();
    assert!(introduced.contains("SYSTEM.DEF.SVRCONN"), "{introduced}");
    (child, stdin, next)
}

#[test]
fn who_talks_over_a_channel_goes_on_where_the_address_went() {
    in_own_network(async {
        let (mut cluster, mut serving, admin) = with_a_queue_at_the_address().await;
        for command in ["send", "receive"] {
            let (mut child, mut stdin, mut next) = talk(command);
            for number in 0..4 {
                match command {
                    "send" => writeln!(stdin, "message {number}").expect("it reads"),
                    _ => writeln!(stdin, "y").expect("it reads"),
                }
                let said = next();
                let is_right = match command {
                    "send" => said.contains("message_id"),
                    _ => said.contains(&format!("message {number}")) && said.contains("\"received\":true"),
                };
                assert!(is_right, "{command} {number}: {said}");
                // While it waits for its next line, with a cursor at the next message.
                match number % 2 {
                    0 => admin.move_to(&cluster.nodes[(serving + 1) % 3].name).await.expect("it takes over"),
                    _ => cluster.kill(serving),
                }
                let before = serving;
                serving = cluster.wait_serving(Duration::from_secs(10));
                if number % 2 == 1 {
                    cluster.start_node(before);
                }
                cluster.wait_all_in_sync(Duration::from_secs(20)).await;
            }
            drop(stdin);
            let done = next();
            assert!(done.contains("\"done\":true") && child.wait().expect("it ends").success(), "{done}");
            let count = if command == "send" { "\"sent\":4" } else { "\"received\":4" };
            assert!(done.contains(count), "{done}");
        }
        let left = through_address(&cluster).await.queue(QUEUE).get(Duration::ZERO).await.expect("it serves");
        assert!(left.is_none(), "each was put once, and got once");
    });
}

/// The connection goes with the address; nobody could say afterwards whether a wait that was cut off with it got a message.
#[test]
fn a_wait_through_the_address_goes_on_at_a_planned_move() {
    in_own_network(async {
        let (mut cluster, mut serving, admin) = with_a_queue_at_the_address().await;
        let waiting = through_address(&cluster).await;
        let (mut got, puts) = (Vec::new(), through_address(&cluster).await);
        for number in 0..6_u64 {
            let queue = waiting.queue(QUEUE);
            let waits = tokio::spawn(async move { queue.get(Duration::from_secs(600)).await });
            tokio::time::sleep(Duration::from_millis(100)).await;
            let to = (serving + 1) % 3;
            let moved = Instant::now();
            // A stop is a planned move, too.
            match number % 2 {
                0 => admin.move_to(&cluster.nodes[to].name).await.expect("it takes over"),
                _ => drop(cluster.stop(serving)),
            }
            puts.queue(QUEUE).put(Message::new(body_of(0, number, 20))).await.expect("somebody serves");
            println!("put {:?} after the move began", moved.elapsed());
            let message = waits.await.expect("a wait does not panic").expect("a wait goes on elsewhere");
            got.push(read_body(&message.expect("it was put").body).expect("as it was put").1);
            if number % 2 == 1 {
                cluster.start_node(serving);
            }
            serving = cluster.wait_serving(Duration::from_secs(10));
            cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        }
        assert_eq!(got, (0..6).collect::<Vec<u64>>());
    });
}

/// Node and agent die together, and the kernel has the address for its last second. Where nodes talk over a network of their own, none
/// has seen another one where clients are.
#[test]
fn a_node_that_died_with_its_agent_is_known_where_nodes_have_a_network_of_their_own() {
    in_own_network(async {
        let mut cluster = with_a_network_for_peers().await;
        for _ in 0..3 {
            let serving = cluster.wait_serving(Duration::from_secs(10));
            until(Duration::from_secs(5), "it is there", || cluster.network().has(serving, FLOATING));
            // Nodes say it once a second.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let agent = cluster.agent(serving);
            // SAFETY: the agent is a child of a child that was not waited for.
            unsafe { libc::kill(agent as libc::pid_t, libc::SIGKILL) };
            cluster.kill(serving);
            let died = Instant::now();
            let others: Vec<usize> = (0..3).filter(|node| *node != serving).collect();
            until(Duration::from_secs(3), "another node has the address", || {
                others.iter().any(|node| cluster.network().has(*node, FLOATING))
            });
            println!("taken {:?} after node and agent died", died.elapsed());
            for node in others {
                let log = cluster.log_since_start(node);
                assert!(!log.contains("which is no node of this cluster"), "no node is a stranger: {log}");
            }
            cluster.start_node(serving);
            cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        }
    });
}

#[test]
fn canaries_see_that_clients_are_cut_off_from_a_queue_manager_that_is_served() {
    in_own_network(async {
        let settings = vec!["queue_managers.0.canary=true".to_owned()];
        let mut cluster = Cluster::start(Plan { floats: true, settings, ..Plan::default() });
        cluster.wait_all_in_sync(Duration::from_secs(20)).await;
        let serving = cluster.wait_serving(Duration::from_secs(10));
        let connect = cluster.addresses().join(",");
        let ask = |arguments: &[&str]| {
            let output =
                run_program("trimaran", &[&["--connect", &connect, "--json"], arguments].concat(), "");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let lines = String::from_utf8(output.stdout).expect("JSON is text");
            lines
                .lines()
                .map(|line| serde_json::from_str(line).expect("a line is JSON"))
                .collect::<Vec<Value>>()
        };
        let seen = || ask(&["availability"])[0]["canary"].clone();
        until(Duration::from_secs(30), "a canary gets through the address", || !seen().is_null());
        let records = ask(&["failovers"]).len();

        // Clients come to nobody, nodes to each other.
        let rule = format!("ip daddr {FLOATING} drop");
        cluster.network().filter(
            serving,
            &format!("table netdev lossy {{ chain heard {{ type filter hook ingress device eth0 priority 0; {rule}; }}; }}"),
        );
        std::thread::sleep(Duration::from_secs(5));
        cluster.network().heal(serving);
        until(Duration::from_secs(30), "a canary gets through again", || {
            seen()["down_us"].as_u64() >= Some(4_000_000)
        });
        assert_eq!(cluster.wait_serving(Duration::from_secs(1)), serving);
        assert_eq!(ask(&["failovers"]).len(), records, "records say nothing of it");
    });
}

#[test]
fn a_leader_that_clients_do_not_reach_any_more_hands_over_while_the_nodes_hear_each_other() {
    in_own_network(async {
        let mut cluster = with_a_network_for_peers().await;
        let serving = cluster.wait_serving(Duration::from_secs(10));
        until(Duration::from_secs(5), "the address is there", || cluster.network().has(serving, FLOATING));

        cluster.network().plug(serving, false);
        let begun = Instant::now();
        until(Duration::from_secs(15), "another node has the address", || {
            (0..3).any(|node| node != serving && cluster.network().has(node, FLOATING))
        });
        println!("moved {:?} after the cable was pulled", begun.elapsed());
        assert!(!cluster.network().has(serving, FLOATING), "the address is where clients reach it");
        cluster.network().plug(serving, true);
        let connect = cluster.addresses().join(",");
        let newest = || -> Value {
            let arguments = ["--connect", &connect, "--json", "failovers", "--last", "1"];
            let output = run_program("trimaran", &arguments, "");
            serde_json::from_slice(&output.stdout).expect("a line of JSON")
        };
        // What is known of it is gathered first.
        until(Duration::from_secs(35), "the move is on record", || newest()["number"] == 2);
        let record = newest();
        assert_eq!(
            (&record["why"], &record["class"]),
            (&"interface down".into(), &"environment".into()),
            "{record}"
        );
    });
}
