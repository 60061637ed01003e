//! Planned moves and maintenance of real nodes under load: no client of ours sees an error, nothing is lost, and how long nobody
//! was answered is printed.
//!
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`). `TRIMARAN_MOVES` sets how often.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use trimaran_client::{Attributes, Connection, Message};
use trimaran_node::types::Version;
use trimaran_tests::process::cluster::QUEUE_MANAGER;
use trimaran_tests::process::{Cluster, Plan, amount, run_program};
use trimaran_tests::sources::{read, root};

const STREAM: &str = "STREAM";
const WORK: &str = "WORK";
const DONE: &str = "DONE";

fn cluster() -> Cluster {
    Cluster::start(Plan::default())
}

fn command(cluster: &Cluster, arguments: &[&str]) -> String {
    let connect = cluster.addresses().join(",");
    let output = run_program("trimaran", &[&["--connect", &connect], arguments].concat(), "");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "trimaran {}: {}{}", arguments.join(" "), text[0], text[1]);
    text[0].clone()
}

/// Clients of ours that write down every error, and when puts were answered.
struct Clients {
    wrong: Arc<Mutex<Vec<String>>>,
    answered: Arc<Mutex<Vec<Instant>>>,
    done: Arc<Mutex<Vec<u64>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<u64>>,
}

impl Clients {
    async fn start(cluster: &Cluster) -> Clients {
        let admin = cluster.connect().await.admin();
        for queue in [STREAM, WORK, DONE] {
            let attributes = Attributes::new().with("MAXDEPTH", 1_000_000);
            admin.create_queue(queue, attributes).await.expect("a new queue can be created");
        }
        let mut clients = Clients {
            wrong: Arc::default(),
            answered: Arc::default(),
            done: Arc::default(),
            stop: Arc::default(),
            tasks: Vec::new(),
        };
        let [puts, gets, units, feed] = [
            cluster.connect().await,
            cluster.connect().await,
            cluster.connect().await,
            cluster.connect().await,
        ];
        clients.begin(put_one_by_one(puts, STREAM, Duration::ZERO, clients.share()));
        clients.begin(get_in_order(gets, clients.share()));
        clients.begin(put_one_by_one(feed, WORK, Duration::from_millis(3), clients.share()));
        for _ in 0..3 {
            clients.begin(work_in_units(units.clone(), clients.share()));
        }
        clients
    }

    fn begin(&mut self, work: impl Future<Output = Result<u64, String>> + Send + 'static) {
        let wrong = self.wrong.clone();
        self.tasks.push(tokio::spawn(async move {
            work.await.unwrap_or_else(|text| {
                wrong.lock().unwrap().push(text);
                0
            })
        }));
    }

    fn share(&self) -> Share {
        Share { answered: self.answered.clone(), done: self.done.clone(), stop: self.stop.clone() }
    }

    fn assert_no_errors(&self) {
        let wrong = self.wrong.lock().unwrap().clone();
        assert!(wrong.is_empty(), "clients of ours saw errors:\n{}", wrong.join("\n"));
    }

    /// The longest time without an answer to the client that puts one by one, from then on.
    fn gap_since(&self, since: Instant) -> Duration {
        let answered = self.answered.lock().unwrap();
        let from = answered.partition_point(|at| *at < since).saturating_sub(1);
        answered[from..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Everybody ends; what was fed was worked on once.
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut counts = Vec::new();
        for task in self.tasks {
            let ended = tokio::time::timeout(Duration::from_secs(60), task).await;
            counts.push(ended.expect("a client comes to its end").expect("a client does not panic"));
        }
        let wrong = self.wrong.lock().unwrap().clone();
        assert!(wrong.is_empty(), "clients of ours saw errors:\n{}", wrong.join("\n"));
        let (put, got, fed, units) = (counts[0], counts[1], counts[2], counts[3..].iter().sum::<u64>());
        println!("{put} put one by one, {got} got; {fed} fed, worked on in {units} units");
        assert_eq!(put, got, "what was put was got, in order");
        let done = self.done.lock().unwrap();
        let once: BTreeSet<u64> = done.iter().copied().collect();
        assert_eq!(
            (once.len(), done.len() as u64, units),
            (fed as usize, fed, fed),
            "each was worked on once"
        );
    }
}

#[derive(Clone)]
struct Share {
    answered: Arc<Mutex<Vec<Instant>>>,
    done: Arc<Mutex<Vec<u64>>>,
    stop: Arc<AtomicBool>,
}

impl Share {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The next put when the one before was answered.
async fn put_one_by_one(
    connection: Connection,
    queue: &str,
    rest: Duration,
    share: Share,
) -> Result<u64, String> {
    let to = connection.queue(queue);
    let mut number = 0_u64;
    while !share.is_over() {
        number += 1;
        to.put(Message::new(number.to_string())).await.map_err(|error| format!("put {number}: {error}"))?;
        if queue == STREAM {
            share.answered.lock().unwrap().push(Instant::now());
        }
        tokio::time::sleep(rest).await;
    }
    // The last of all.
    to.put(Message::new("end")).await.map_err(|error| format!("put the end: {error}"))?;
    Ok(number)
}

/// Waits for each message, outside of units.
async fn get_in_order(connection: Connection, share: Share) -> Result<u64, String> {
    let queue = connection.queue(STREAM);
    let mut count = 0_u64;
    loop {
        let got = queue
            .get(Duration::from_secs(20))
            .await
            .map_err(|error| format!("get behind {count}: {error}"))?;
        match got.as_ref().and_then(Message::as_text) {
            Some("end") => return Ok(count),
            Some(text) if text == (count + 1).to_string() => count += 1,
            other => return Err(format!("after {count} came {other:?}, over: {}", share.is_over())),
        }
    }
}

/// Gets and puts in one unit of work, which is open for some milliseconds.
async fn work_in_units(connection: Connection, share: Share) -> Result<u64, String> {
    let mut count = 0_u64;
    loop {
        let failed = |what: &str, error| format!("unit {count}, {what}: {error}");
        let mut unit = connection.unit_of_work().await.map_err(|error| failed("begin", error))?;
        let got = unit.get(WORK, Duration::from_secs(1)).await.map_err(|error| failed("get", error))?;
        let Some(message) = got else {
            unit.commit().await.map_err(|error| failed("commit of nothing", error))?;
            if share.is_over() {
                return Ok(count);
            }
            continue;
        };
        let Ok(number) = message.as_text().unwrap_or_default().parse::<u64>() else {
            unit.commit().await.map_err(|error| failed("commit of the end", error))?;
            continue;
        };
        unit.put(DONE, Message::new(number.to_string())).await.map_err(|error| failed("put", error))?;
        tokio::time::sleep(Duration::from_millis(4)).await;
        unit.commit().await.map_err(|error| failed("commit", error))?;
        share.done.lock().unwrap().push(number);
        count += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn moves_under_load_are_seen_by_no_client_as_an_error() {
    let mut cluster = cluster();
    let clients = Clients::start(&cluster).await;
    let operator = cluster.connect().await;
    let mut gaps = Vec::new();
    let moves = amount("TRIMARAN_MOVES", 10_usize);
    for number in 0..moves {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let from = cluster.wait_serving(Duration::from_secs(10));
        let to = cluster.nodes[(from + 1 + number % 2) % 3].name.clone();
        let begun = Instant::now();
        operator.admin().move_to(&to).await.unwrap_or_else(|error| panic!("move {number} to {to}: {error}"));
        tokio::time::sleep(Duration::from_millis(500)).await;
        gaps.push(clients.gap_since(begun));
        clients.assert_no_errors();
    }
    gaps.sort();
    println!(
        "{moves} planned moves: nobody was answered for {:?} (median), {:?} at worst",
        gaps[moves / 2],
        gaps[moves - 1]
    );
    clients.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn each_node_in_turn_is_drained_stopped_started_and_resumed_under_load() {
    let mut cluster = cluster();
    let clients = Clients::start(&cluster).await;
    for node in 0..3 {
        let name = cluster.nodes[node].name.clone();
        let begun = Instant::now();
        let said = command(&cluster, &["node", "drain", &name]);
        assert!(said.ends_with(&format!("node {name} can be stopped\n")), "{said}");
        assert_ne!(cluster.wait_serving(Duration::from_secs(10)), node);
        let again = command(&cluster, &["node", "drain", &name]);
        assert!(again.contains(&format!("node {name} is in maintenance already")), "{again}");
        cluster.stop(node);
        assert!(command(&cluster, &["status"]).contains(&format!("maintenance  {name} leads only where")));
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.start_node(node);
        cluster.wait_in_sync(node, Duration::from_secs(30)).await.unwrap_or_else(|text| panic!("{text}"));
        assert_ne!(cluster.serving(), Some(node), "it is in maintenance after its restart, too");
        let said = command(&cluster, &["node", "resume", &name]);
        assert!(said.contains(&format!("node {name} is in service again")), "{said}");
        println!("{name} drained and back: nobody was answered for {:?} at worst", clients.gap_since(begun));
        clients.assert_no_errors();
    }
    clients.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn of_three_nodes_one_can_be_stopped_whoever_asks() {
    let mut cluster = cluster();
    let serving = cluster.wait_serving(Duration::from_secs(10));
    let others = [(serving + 1) % 3, (serving + 2) % 3];
    for node in others {
        cluster.wait_in_sync(node, Duration::from_secs(30)).await.unwrap_or_else(|text| panic!("{text}"));
    }
    let connect = cluster.addresses().join(",");
    let drain = |node: usize, more: &[&str]| {
        let arguments = [&["--connect", &connect, "node", "drain", &cluster.nodes[node].name], more].concat();
        let output = run_program("trimaran", &arguments, "");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), said.concat())
    };
    let at_once = std::thread::scope(|scope| {
        let other = scope.spawn(|| drain(others[1], &[]));
        [drain(others[0], &[]), other.join().expect("it says something")]
    });
    let granted: Vec<usize> = (0..2).filter(|of| at_once[*of].0 == Some(0)).collect();
    let [granted] = granted[..] else { panic!("one of two is granted: {at_once:?}") };
    assert!(at_once[granted].1.contains("can be stopped"), "{at_once:?}");
    let (drained, refused) = (others[granted], others[1 - granted]);
    let (name, other) = (&cluster.nodes[drained].name, &cluster.nodes[refused].name);
    for node in [refused, serving] {
        let (code, said) = drain(node, &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("{name} (in maintenance)")) && !said.contains("can be"), "{said}");
    }
    let (code, said) = drain(refused, &["--force"]);
    assert_eq!(code, Some(0), "{said}");
    let sentence = format!("node {other} is in maintenance, and cannot be stopped without an outage");
    assert!(said.contains(&sentence), "{said}");
    command(&cluster, &["node", "resume", other]);

    let (name, connect) = (name.clone(), connect.clone());
    cluster.stop(refused);
    let output = run_program("trimaran", &["--connect", &connect, "status", "--check"], "");
    let [shown, wrong] =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(shown.contains(&format!("maintenance  {name} cannot be stopped without an outage")), "{shown}");
    let sentence = format!("{name} is in maintenance, and cannot be stopped without an outage");
    assert!(wrong.contains(&sentence), "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_stop_of_the_node_that_serves_is_seen_by_no_client_as_an_error() {
    let mut cluster = cluster();
    let clients = Clients::start(&cluster).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let serving = cluster.wait_serving(Duration::from_secs(10));
        let begun = Instant::now();
        cluster.stop(serving);
        cluster.start_node(serving);
        cluster.wait_in_sync(serving, Duration::from_secs(30)).await.unwrap_or_else(|text| panic!("{text}"));
        let name = &cluster.nodes[serving].name;
        println!("{name} stopped: nobody was answered for {:?} at worst", clients.gap_since(begun));
        clients.assert_no_errors();
    }
    clients.end().await;
}

/// The last step of the walkthrough: the first node comes back, catches up, and takes over again.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_preferred_node_takes_over_again_when_it_is_back() {
    let settings = ["queue_managers.0.preferred=b", "queue_managers.0.fail_back=now"];
    let settings = settings.map(str::to_owned).to_vec();
    let mut cluster = Cluster::start(Plan { settings, ..Plan::default() });
    command(&cluster, &["move", "b"]);
    let clients = Clients::start(&cluster).await;
    cluster.kill(1);
    let begun = Instant::now();
    assert_ne!(cluster.wait_serving(Duration::from_secs(10)), 1);
    cluster.start_node(1);
    while cluster.serving() != Some(1) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let away = begun.elapsed();
    assert!(away > Duration::from_secs(30), "whoever took over served for a while: {away:?}");
    println!("b was back after {away:?}");
    drop(clients);
}

/// Runs the commands of a page, or of a part of one. `trimaran …` is run as it stands; the service of a node is this test's process of
/// it, a package is this program as its newest release, and node d has the addresses that it has here. How many there were.
async fn run_commands(cluster: &mut Cluster, page: &str) -> usize {
    let blocks = page.split("```bash\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut ran = 0;
    for line in blocks.flat_map(str::lines) {
        let (typed, comment) = line.split_once('#').unwrap_or((line, ""));
        let mut typed = typed.to_owned();
        if let Some(new) = cluster.nodes.get(3) {
            typed = typed.replace("10.0.0.4:7101", &new.peer).replace("10.0.0.4:7201", &new.client);
        }
        let words: Vec<&str> = typed.split_whitespace().collect();
        let node = || cluster.node_named(comment.trim().trim_start_matches("on ").split(';').next().unwrap());
        match words.as_slice() {
            ["trimaran", "status", "--check"] => wait_until_all_is_well(cluster),
            ["trimaran", arguments @ ..] => drop(command(cluster, arguments)),
            ["sudo", "apt", "install", "./trimaran_*.deb"] => {
                let node = node();
                cluster.restart_as(node, Version::PLACES.0);
                wait_in_sync(cluster, node).await;
            }
            ["sudo", "systemctl", "stop", "trimaran-node"] => {
                let node = node();
                cluster.stop(node);
            }
            ["sudo", "rm", "-rf", directories @ ..] => {
                let node = node();
                for directory in directories {
                    let last = directory.rsplit('/').next().expect("a path has a last part");
                    std::fs::remove_dir_all(cluster.node_directory(node).join(last)).expect("it is there");
                }
            }
            ["sudo", "systemctl", "start", "trimaran-node"] => {
                let node = node();
                match node < cluster.first_nodes() {
                    true => {
                        cluster.start_node(node);
                        wait_in_sync(cluster, node).await;
                    }
                    // One that joins is as new as the others are now, and waits to be asked for.
                    false => cluster.start_as(node, Version::PLACES.0),
                }
            }
            other => panic!("what is this? {other:?}"),
        }
        ran += 1;
    }
    ran
}

async fn wait_in_sync(cluster: &Cluster, node: usize) {
    cluster.wait_in_sync(node, Duration::from_secs(30)).await.unwrap_or_else(|text| panic!("{text}"));
}

/// Whoever has just come may not lead yet.
fn wait_until_all_is_well(cluster: &Cluster) {
    let (begun, connect) = (Instant::now(), cluster.addresses().join(","));
    loop {
        let output = run_program("trimaran", &["--connect", &connect, "status", "--check"], "");
        if output.status.success() {
            return;
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_page_on_maintenance_work() {
    let mut cluster = cluster();
    command(&cluster, &["move", QUEUE_MANAGER, "a"]);
    let page = read(&root().join("node/docs/maintenance.md"));
    let ran = run_commands(&mut cluster, &page).await;
    assert!(ran > 8, "the page has commands: {ran}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_page_on_procedures_work() {
    let speaks = Some(Version::FIRST.0);
    let mut cluster = Cluster::start(Plan { joining: 1, speaks, ..Plan::default() });
    let queue = cluster.connect().await.queue(STREAM);
    let attributes = Attributes::new().with("MAXDEPTH", 1_000);
    cluster.connect().await.admin().create_queue(STREAM, attributes).await.expect("created");
    let page = read(&root().join("node/docs/procedures.md"));
    let mut ran = 0;
    for part in page.split("\n## ").skip(1) {
        if part.starts_with("A node that is lost for good") {
            cluster.kill(2);
        }
        queue.put(Message::new("one")).await.expect("it is served");
        ran += run_commands(&mut cluster, part).await;
    }
    assert!(ran > 14, "the page has commands: {ran}");
    assert_eq!(queue.status().await.expect("it is there").depth, 3);
    let nodes = cluster.status().await.expect("a node serves").instances;
    let mut nodes: Vec<String> = nodes.into_iter().map(|instance| instance.node).collect();
    nodes.sort();
    assert_eq!(nodes, ["a", "b", "d"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_cannot_be_is_said_at_once() {
    let mut cluster = cluster();
    let serving = cluster.wait_serving(Duration::from_secs(10));
    let (down, name) = ((serving + 1) % 3, cluster.nodes[serving].name.clone());
    assert!(command(&cluster, &["move", &name]).contains(&format!("is served by {name} already")));
    cluster.stop(down);
    let connect = cluster.addresses().join(",");
    let begun = Instant::now();
    for (node, said) in
        [(cluster.nodes[down].name.as_str(), "is not connected"), ("nowhere", "There is no node")]
    {
        let refused = run_program("trimaran", &["--connect", &connect, "move", QUEUE_MANAGER, node], "");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(text.contains(said), "{text}");
    }
    let needed = &cluster.nodes[(serving + 2) % 3].name;
    let refused = run_program("trimaran", &["--connect", &connect, "node", "drain", needed], "");
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("--force"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(cluster.serving(), Some(serving), "nothing was interrupted");
}
