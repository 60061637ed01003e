//! `demo`: three nodes on this machine, some messages, and a leader to kill.
//!
//! Tells what it does as it goes, so that a reader can do the same by hand. Stops the processes it started, by their
//! ids, and removes what it wrote.

use std::{
    collections::HashMap,
    fs,
    io::{Read, Seek, SeekFrom},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    pin::pin,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use trimaran_client::{Attributes, Connection, ConnectionState, reason};

use crate::{
    arguments::{DemoArgs, Global},
    cluster::{Plan, PlannedNode, cluster_file},
    output::{self, Failure, Outcome},
    say,
    status::{self, Picture},
};

/// What is told on the way, for people; programs get what they can use (`Demo::report`).
macro_rules! tell {
    ($demo:expr, $($arg:tt)*) => {
        if !$demo.global.json {
            say!($($arg)*);
        }
    };
}

const QUEUE_MANAGER: &str = "ha.queue.manager";
const QUEUE: &str = "HA.QUEUE";
const NAMES: [&str; 3] = ["a", "b", "c"];
const MESSAGES: [&str; 5] = ["Hello", "This", "is", "a", "test"];

pub async fn run(global: &Global, args: DemoArgs) -> Outcome {
    let mut interrupts = Interrupts::new()?;
    let mut demo = Demo::prepare(global, &args)?;
    let outcome = tokio::select! {
        outcome = demo.play(args.once) => outcome,
        () = interrupts.next() => {
            tell!(demo, "");
            Ok(())
        }
    };
    if outcome.is_err() {
        demo.show_logs();
    }
    demo.end();
    outcome
}

struct Interrupts {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupts {
    fn new() -> Result<Interrupts, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::local("wait for signals", error));
        Ok(Interrupts { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

struct Demo {
    global: Global,
    node_binary: PathBuf,
    directory: PathBuf,
    /// The address that moves, if this network has one.
    floating: Option<String>,
    /// Made by us, so removed by us.
    is_temporary: bool,
    config: PathBuf,
    addresses: Vec<String>,
    nodes: HashMap<String, Child>,
}

impl Demo {
    fn prepare(global: &Global, args: &DemoArgs) -> Result<Demo, Failure> {
        let node_binary = find_node_binary(args.node_binary.as_deref())?;
        let directory = match &args.dir {
            Some(directory) => directory.clone(),
            None => std::env::temp_dir().join(format!("trimaran-demo-{}", std::process::id())),
        };
        fs::create_dir_all(&directory).map_err(|error| Failure::local(directory.display(), error))?;
        let nodes = plan_nodes(&args.hosts)?;
        let addresses: Vec<String> = nodes.iter().map(|node| node.client.clone()).collect();
        let config = directory.join("cluster.toml");
        let text = cluster_file(&Plan {
            cluster: "demo",
            nodes,
            queue_managers: &[QUEUE_MANAGER.to_string()],
            // Paths begin where the file is.
            log: "{node}/log",
            data: "{node}/data",
            tls: None,
            loopback: true,
            floating: args.floating.as_deref(),
        });
        fs::write(&config, text).map_err(|error| Failure::local(config.display(), error))?;
        let mut global = global.clone();
        global.connect = addresses.clone();
        global.queue_manager = Some(QUEUE_MANAGER.to_string());
        global.tls_ca = None;
        Ok(Demo {
            global,
            node_binary,
            directory,
            is_temporary: args.dir.is_none(),
            floating: args.floating.clone(),
            config,
            addresses,
            nodes: HashMap::new(),
        })
    }

    async fn play(&mut self, once: bool) -> Outcome {
        tell!(
            self,
            "Three nodes on this machine keep one queue manager, {QUEUE_MANAGER}. Their cluster file:"
        );
        tell!(self, "  {}", self.config.display());
        for name in NAMES {
            self.start_node(name)?;
        }
        let nodes = NAMES.iter().zip(&self.addresses).map(
            |(name, address)| json!({ "node": name, "process": self.nodes[*name].id(), "address": address }),
        );
        self.report(&json!({
            "queue_manager": QUEUE_MANAGER, "config": self.config, "nodes": nodes.collect::<Vec<_>>(),
        }));
        let pids: Vec<String> =
            NAMES.iter().map(|name| format!("{name} is process {}", self.nodes[*name].id())).collect();
        tell!(self, "Started: {}.", pids.join(", "));

        let started = Instant::now();
        let connection = self.connect().await?;
        let leader = serving(&connection);
        self.report(&json!({ "active_node": leader, "ms": started.elapsed().as_millis() as u64 }));
        tell!(self, "Node {leader} serves after {:.1} s.", started.elapsed().as_secs_f64());
        self.tell_address().await?;
        tell!(self, "");

        self.messages(&connection).await?;
        if once { self.prove(&connection).await } else { self.watch(&connection).await }
    }

    fn report(&self, value: &Value) {
        if self.global.json {
            say!("{value}");
        }
    }

    fn start_node(&mut self, name: &str) -> Outcome {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_of(name))
            .map_err(|error| Failure::local(self.log_of(name).display(), error))?;
        let errors = log.try_clone().map_err(|error| Failure::local("the log of a node", error))?;
        let mut command = Command::new(&self.node_binary);
        command
            .args(["run", "--config"])
            .arg(&self.config)
            .args(["--node", name])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl-C at the terminal is for this program; it stops the nodes itself.
            .process_group(0);
        let parent = std::process::id();
        // SAFETY: between fork and exec only calls that are safe after a fork are made: prctl, getppid and _exit
        // touch neither memory nor locks of this process.
        unsafe {
            command.pre_exec(move || {
                // A demo that is killed shall not leave nodes behind.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                if libc::getppid() as u32 != parent {
                    libc::_exit(1);
                }
                Ok(())
            });
        }
        let child = command.spawn().map_err(|error| Failure::local(self.node_binary.display(), error))?;
        self.nodes.insert(name.to_string(), child);
        Ok(())
    }

    /// Waits for a leader, and looks whether the nodes are alive meanwhile.
    async fn connect(&mut self) -> Result<Connection, Failure> {
        let mut global = self.global.clone();
        if let Some(floating) = &self.floating {
            // Where clients of a real cluster look: at one address.
            let port = self.addresses[0].rsplit(':').next().unwrap_or_default();
            let host = floating.split('/').next().unwrap_or_default();
            global.connect = vec![format!("{host}:{port}")];
        }
        let builder = global.builder()?.connect_within(Duration::from_secs(60));
        let spinner = output::spinner("waiting for a leader");
        let connecting = builder.connect();
        let mut connecting = pin!(connecting);
        let result = loop {
            tokio::select! {
                connection = &mut connecting => break connection.map_err(Failure::from),
                _ = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            if let Some((name, status)) = self.find_dead() {
                break Err(Failure::Local(format!("node {name} ended with {status}")));
            }
        };
        spinner.finish_and_clear();
        result
    }

    fn find_dead(&mut self) -> Option<(String, std::process::ExitStatus)> {
        self.nodes.iter_mut().find_map(|(name, child)| {
            let status = child.try_wait().ok().flatten()?;
            Some((name.clone(), status))
        })
    }

    async fn messages(&self, connection: &Connection) -> Outcome {
        let created = connection.admin().create_queue(QUEUE, Attributes::new()).await;
        match created {
            Err(error) if error.reason() != Some(reason::OBJECT_ALREADY_EXISTS) => return Err(error.into()),
            _ => tell!(self, "Queue {QUEUE} created."),
        }
        let queue = connection.queue(QUEUE);
        for text in MESSAGES {
            queue.put(text).await?;
        }
        tell!(self, "Sent:      {}", MESSAGES.join(", "));
        let browsed: Vec<String> = texts(connection).await?;
        tell!(self, "Browsed:   {}", browsed.join(", "));
        let mut received = Vec::new();
        for _ in 0..2 {
            if let Some(message) = queue.get(Duration::from_secs(1)).await? {
                received.push(message.as_text().unwrap_or_default().to_string());
            }
        }
        tell!(self, "Received:  {}", received.join(", "));
        tell!(self, "Left:      {}", texts(connection).await?.join(", "));
        tell!(self, "");
        Ok(())
    }

    /// For people: what to type, and what happens.
    async fn watch(&mut self, connection: &Connection) -> Outcome {
        let mut leader = serving(connection);
        self.tell_what_to_type(&leader);
        let mut state = connection.state();
        let mut last = String::new();
        let mut spinner = None;
        loop {
            if let Some((name, status)) = self.find_dead() {
                self.nodes.remove(&name);
                clear(&mut spinner);
                self.report(&json!({ "node": name, "ended": status.to_string() }));
                tell!(self, "Node {name} has ended ({status}). To start it again:");
                tell!(
                    self,
                    "  {} run --config {} --node {name} &",
                    self.node_binary.display(),
                    self.config.display()
                );
            }
            let now = state.borrow_and_update().clone();
            if let ConnectionState::Connected { node, .. } = &now
                && *node != leader
            {
                clear(&mut spinner);
                let left = texts(connection).await?;
                self.report(&json!({ "active_node": node, "before": leader, "left": left }));
                tell!(self, "Node {node} serves now, in place of {leader}. Nothing is lost:");
                tell!(self, "  left on {QUEUE}: {}", left.join(", "));
                leader.clone_from(node);
                self.tell_address().await?;
                self.tell_what_to_type(&leader);
            }
            let answers = status::ask(&self.global).await?;
            let line = Picture::of(&answers, Some(QUEUE_MANAGER)).summary();
            if self.global.json {
                // Programs are told what happens, not what stays.
            } else if output::stdout_is_terminal() {
                spinner.get_or_insert_with(|| output::spinner("")).set_message(line);
            } else if without_seconds(&line) != without_seconds(&last) {
                tell!(self, "{line}");
                last = line;
            }
            tokio::select! {
                _ = tokio::time::sleep(Duration::from_secs(1)) => {}
                _ = state.changed() => {}
            }
        }
    }

    /// Where the address is, and that this program came through it.
    async fn tell_address(&self) -> Outcome {
        let Some(floating) = &self.floating else { return Ok(()) };
        let picture = Picture::of(&status::ask(&self.global).await?, Some(QUEUE_MANAGER));
        let place = picture.address_of(QUEUE_MANAGER).unwrap_or_else(|| "no node".to_owned());
        self.report(&json!({ "address": floating, "on": place }));
        tell!(self, "The address {floating} is on node {place}; this program connected to it.");
        Ok(())
    }

    fn tell_what_to_type(&self, leader: &str) {
        let trimaran = this_program();
        let connect = self.addresses.join(",");
        match self.nodes.get(leader) {
            Some(child) => {
                tell!(self, "Node {leader} leads. In another terminal, kill it:");
                tell!(self, "  kill -9 {}", child.id());
            }
            None => tell!(self, "Node {leader} leads."),
        }
        tell!(self, "and see that nothing is lost:");
        tell!(self, "  {trimaran} --connect {connect} receive {QUEUE}");
        tell!(self, "  {trimaran} --connect {connect} status");
        tell!(self, "Ctrl-C ends the demonstration and its nodes.");
        tell!(self, "");
    }

    /// For machines: kills the leader and looks itself.
    async fn prove(&mut self, connection: &Connection) -> Outcome {
        let before = texts(connection).await?;
        let leader = serving(connection);
        let pid = self.nodes[&leader].id();
        tell!(self, "kill -9 {pid}    (node {leader}, which leads)");
        let killed = Instant::now();
        self.kill(&leader)?;
        let queue = connection.queue(QUEUE);
        let put = queue.put("after the failover");
        tokio::time::timeout(Duration::from_secs(30), put)
            .await
            .map_err(|_| Failure::Check("no node serves 30 s after the leader was killed".to_string()))??;
        let gap = killed.elapsed();
        let next = serving(connection);
        tell!(
            self,
            "Node {next} serves; the next put was answered {:.2} s after the kill.",
            gap.as_secs_f64()
        );
        self.tell_address().await?;
        if next == leader {
            return Err(Failure::Check(format!("node {leader} was killed and serves still")));
        }

        let mut expected = before;
        expected.push("after the failover".to_string());
        let found = texts(connection).await?;
        tell!(self, "Left:      {}", found.join(", "));
        if found != expected {
            return Err(Failure::Check(format!(
                "{QUEUE} should hold [{}] and holds [{}]",
                expected.join(", "),
                found.join(", ")
            )));
        }

        self.start_node(&leader)?;
        tell!(self, "Node {leader} is started again.");
        self.until_all_in_sync().await?;
        tell!(self, "Node {leader} has caught up; all three are in sync.");

        let mut received = Vec::new();
        while let Some(message) = connection.queue(QUEUE).get(Duration::ZERO).await? {
            received.push(message.as_text().unwrap_or_default().to_string());
        }
        tell!(self, "Received:  {}", received.join(", "));
        if received != expected {
            return Err(Failure::Check(format!(
                "received [{}] in place of [{}]",
                received.join(", "),
                expected.join(", ")
            )));
        }
        self.report(&json!({
            "ok": true, "killed": leader, "active_node": next, "gap_ms": gap.as_millis() as u64,
            "received": received.len(), "lost": 0, "duplicated": 0,
        }));
        tell!(self, "");
        tell!(self, "Nothing was lost and nothing came twice.");
        Ok(())
    }

    async fn until_all_in_sync(&self) -> Outcome {
        let spinner = output::spinner("waiting for the node to catch up");
        let started = Instant::now();
        let wrong = loop {
            let wrong = Picture::of(&status::ask(&self.global).await?, Some(QUEUE_MANAGER)).what_is_wrong();
            if wrong.is_empty() || started.elapsed() > Duration::from_secs(60) {
                break wrong;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        spinner.finish_and_clear();
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Failure::Check(format!("60 s after the restart: {}", wrong.join("; ")))),
        }
    }

    fn kill(&mut self, name: &str) -> Outcome {
        let mut child = self.nodes.remove(name).expect("a node of this demonstration");
        child
            .kill()
            .and_then(|()| child.wait())
            .map_err(|error| Failure::local(format!("kill node {name}"), error))?;
        Ok(())
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    fn show_logs(&self) {
        for name in NAMES {
            let path = self.log_of(name);
            eprintln!("-- end of {}:", path.display());
            eprintln!("{}", tail(&path));
        }
    }

    /// Asks every node to stop, waits, and kills what is left.
    fn end(&mut self) {
        for child in self.nodes.values() {
            // SAFETY: sends a signal to a child that was not waited for yet, so the id is still its own.
            unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
        }
        let asked = Instant::now();
        for (name, child) in &mut self.nodes {
            loop {
                match child.try_wait() {
                    Ok(None) if asked.elapsed() < Duration::from_secs(10) => {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Ok(None) => {
                        eprintln!("trimaran: node {name} did not stop within 10 s and is killed");
                        let _ = child.kill().and_then(|()| child.wait());
                        break;
                    }
                    _ => break,
                }
            }
        }
        self.nodes.clear();
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.directory);
        } else {
            tell!(self, "The nodes are stopped; their files are in {}.", self.directory.display());
        }
    }
}

fn clear(spinner: &mut Option<indicatif::ProgressBar>) {
    if let Some(spinner) = spinner.take() {
        spinner.finish_and_clear();
    }
}

/// The time a node has served changes always; what else there is to see does not.
fn without_seconds(line: &str) -> String {
    line.split(", ").filter(|part| !part.contains(" serves for ")).collect::<Vec<_>>().join(", ")
}

async fn texts(connection: &Connection) -> Result<Vec<String>, Failure> {
    let messages = pin!(connection.queue(QUEUE).browse());
    let texts = messages.map_ok(|message| message.as_text().unwrap_or("(not text)").to_string());
    Ok(texts.try_collect().await?)
}

fn serving(connection: &Connection) -> String {
    match &*connection.state().borrow() {
        ConnectionState::Connected { node, .. } => node.clone(),
        _ => String::new(),
    }
}

fn this_program() -> String {
    let path = std::env::current_exe().map(|path| path.display().to_string());
    path.unwrap_or_else(|_| "trimaran".to_string())
}

fn find_node_binary(given: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = given {
        return match path.is_file() {
            true => Ok(path.to_path_buf()),
            false => Err(Failure::Local(format!("{} is not a program", path.display()))),
        };
    }
    let mut places = Vec::new();
    if let Ok(this) = std::env::current_exe()
        && let Some(directory) = this.parent()
    {
        places.push(directory.to_path_buf());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    places.extend([target.join("release"), target.join("debug")]);
    if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path));
    }
    places.iter().map(|place| place.join("trimaran-node")).find(|path| path.is_file()).ok_or_else(|| {
        Failure::Local(
            "trimaran-node is neither beside this program nor in target/ nor in PATH; build it with \
             `cargo build --release --workspace --bins`, or say where it is with --node-binary"
                .to_string(),
        )
    })
}

/// Nine ports that were free a moment ago.
/// On hosts of their own with the usual ports, or on free ports of this one.
fn plan_nodes(hosts: &[String]) -> Result<Vec<PlannedNode>, Failure> {
    if !hosts.is_empty() {
        if hosts.len() != NAMES.len() {
            return Err(Failure::Usage("--hosts wants three addresses, one for each node".into()));
        }
        let at = |host: &String, port: u16| format!("{host}:{port}");
        let plan = |(name, host): (&&str, &String)| PlannedNode {
            name: (*name).to_owned(),
            peer: at(host, 7101),
            client: at(host, 7201),
            http: at(host, 7301),
        };
        return Ok(NAMES.iter().zip(hosts).map(plan).collect());
    }
    let listeners: Vec<TcpListener> = (0..9)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::local("find free ports", error))?;
    let mut ports = Vec::new();
    for listener in &listeners {
        let address = listener.local_addr().map_err(|error| Failure::local("find free ports", error))?;
        ports.push(address.to_string());
    }
    let mut ports = ports.into_iter();
    let mut next = || ports.next().expect("three for each of three nodes");
    Ok(NAMES
        .iter()
        .map(|name| PlannedNode { name: name.to_string(), peer: next(), client: next(), http: next() })
        .collect())
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    const BYTES: u64 = 3000;
    let read = || {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&end).into_owned())
    };
    read().unwrap_or_else(|error| format!("({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different() {
        let nodes = plan_nodes(&[]).unwrap();
        let all: std::collections::BTreeSet<String> =
            nodes.into_iter().flat_map(|node| [node.peer, node.client, node.http]).collect();
        assert_eq!(all.len(), 9);
    }

    #[test]
    fn a_line_that_only_counts_seconds_is_no_news() {
        let (one, two) = ("a serves for 1 s, quorum 3/3", "a serves for 2 s, quorum 3/3");
        assert_eq!(without_seconds(one), without_seconds(two));
        assert_ne!(without_seconds(one), without_seconds("a serves for 2 s, quorum 2/3"));
    }
}
