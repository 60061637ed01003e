//! A cluster of real `trimaran-node` processes on loopback ports, in a directory of its own.
//!
//! Every process is known by its id and nothing else: signals go there, and all of them are killed when the cluster is
//! dropped. After a failed test the directory stays, and the ends of the nodes' logs are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trimaran_client::{Connection, QueueManagerStatus, Tls};

use super::faults::Chance;
use super::network::{self, Network};
use super::small_disk::SmallDisk;

/// The queue manager of every test.
pub const QUEUE_MANAGER: &str = "ha.queue.manager";
/// The port of clients, where nodes have networks of their own.
const CLIENTS: u16 = 7201;
/// Where IBM MQ's clients find it there.
const CHANNELS: u16 = 1414;

/// What a cluster shall be like.
#[derive(Clone, Default)]
pub struct Plan {
    /// Nodes that begin it; 0 means three.
    pub nodes: usize,
    /// Nodes that the file knows and that come later.
    pub joining: usize,
    /// Queue managers beside [`QUEUE_MANAGER`].
    pub queue_managers: Vec<String>,
    /// `--set` of every node: `limits.window_bytes=1MiB`.
    pub settings: Vec<String>,
    /// Variables of every node's environment.
    pub environment: Vec<(String, String)>,
    /// Directory with what `trimaran certs init` made: listeners and peers use TLS.
    pub certificates: Option<PathBuf>,
    /// The directories of these nodes lie on a device of their own each, of so many bytes.
    pub small_disks: Vec<(usize, u64)>,
    /// Every node has a network namespace of its own, and the queue manager a floating address there. The thread of the test
    /// has to be in one, too (`network::enter_own_namespace`).
    pub floats: bool,
    /// The newest version that every node speaks at first; None: what this release speaks.
    pub speaks: Option<u32>,
    /// Every node has the REST API.
    pub rest: bool,
    /// So many files, and no more, may each node have open.
    pub open_files: Option<u64>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Exit {
    pub status: ExitStatus,
    /// The log it wrote since it was started.
    pub log: String,
}

pub struct Node {
    pub name: String,
    pub id: u64,
    pub peer: String,
    pub client: String,
    pub http: String,
    /// Of the REST API, where the plan has it.
    pub rest: String,
    /// Where it listens for the channels of [`QUEUE_MANAGER`].
    pub mq: String,
    process: Option<Child>,
    /// The newest version that it speaks from its next start on; None: what this release speaks.
    speaks: Option<u32>,
    /// Length of the log file when it was started last.
    log_from: u64,
}

pub struct Cluster {
    directory: Option<TempDir>,
    path: PathBuf,
    pub nodes: Vec<Node>,
    disks: BTreeMap<usize, SmallDisk>,
    pub network: Option<Network>,
    plan: Plan,
}

/// A program of the workspace. Cargo builds it before it runs the tests when the lane does it; a test of one package
/// alone does not.
pub fn program(name: &str) -> PathBuf {
    let directory = match std::env::var_os("TRIMARAN_PROGRAMS") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let test = std::env::current_exe().expect("a running program has a path");
            // target/debug/deps/process-… → target/debug
            test.ancestors().nth(2).expect("cargo puts tests two levels down").to_path_buf()
        }
    };
    let path = directory.join(name);
    assert!(
        path.exists(),
        "{} is not there: build the programs first with `cargo build --workspace --bins`, or name their directory in \
         TRIMARAN_PROGRAMS",
        path.display()
    );
    path
}

/// The program that is started may have so many files open, and cannot have more.
fn limit_files(command: &mut Command, most: u64) {
    use std::os::unix::process::CommandExt;
    let limit = move || {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: the call reads a structure that lives until it returns.
        match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec there is this one call, which takes no lock and no memory.
    unsafe { command.pre_exec(limit) };
}

/// Runs a program of the workspace to its end, with these lines as its standard input.
pub fn run_program(name: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program(name))
        .args(arguments)
        .env_remove("TRIMARAN_CONNECT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start {name}: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that refuses its arguments does not read.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("a child can be waited for")
}

impl Cluster {
    /// Starts all nodes of the plan that are there from the beginning and waits until one serves.
    pub fn start(plan: Plan) -> Cluster {
        let mut cluster = Cluster::prepare(plan);
        for node in 0..cluster.first_nodes() {
            cluster.start_node(node);
        }
        cluster.wait_serving(Duration::from_secs(30));
        cluster
    }

    /// The cluster file and the directory, without a process.
    pub fn prepare(mut plan: Plan) -> Cluster {
        if plan.nodes == 0 {
            plan.nodes = 3;
        }
        let directory =
            tempfile::Builder::new().prefix("trimaran-process-").tempdir().expect("a directory in /tmp");
        let path = directory.path().to_path_buf();
        let count = plan.nodes + plan.joining;
        let mut ports = free_ports(count * 5).into_iter();
        let floats = plan.floats;
        let mut address = |node: usize| {
            let host = if floats { network::address_of(node) } else { "127.0.0.1".to_owned() };
            format!("{host}:{}", ports.next().expect("as many as were asked for"))
        };
        let nodes = (0..count)
            .map(|number| Node {
                name: char::from(b'a' + number as u8).to_string(),
                id: number as u64 + 1,
                peer: address(number),
                client: if floats {
                    format!("{}:{CLIENTS}", network::address_of(number))
                } else {
                    address(number)
                },
                http: address(number),
                rest: address(number),
                mq: if floats { format!("{}:{CHANNELS}", network::FLOATING) } else { address(number) },
                process: None,
                speaks: plan.speaks,
                log_from: 0,
            })
            .collect();
        let network = plan.floats.then(|| Network::new(count));
        let mut cluster =
            Cluster { directory: Some(directory), path, nodes, disks: BTreeMap::new(), network, plan };
        for (node, bytes) in cluster.plan.small_disks.clone() {
            let directory = cluster.path.join(&cluster.nodes[node].name);
            cluster.disks.insert(node, SmallDisk::new(&directory, bytes));
        }
        fs::write(cluster.config(), cluster.file()).expect("the directory can be written");
        cluster
    }

    fn file(&self) -> String {
        let mut text = "cluster = \"process\"\n".to_owned();
        for (number, node) in self.nodes.iter().enumerate() {
            let mut joins =
                if number < self.plan.nodes { String::new() } else { "joins = true\n".to_owned() };
            if self.plan.floats {
                let _ = writeln!(joins, "client_listen = \"[::]:{CLIENTS}\"");
            }
            let Node { name, id, peer, client, http, rest, mq, .. } = node;
            if self.plan.rest {
                let _ = writeln!(joins, "rest = \"{rest}\"");
            }
            let _ = writeln!(
                text,
                "[[nodes]]\nname = \"{name}\"\nid = {id}\npeer = \"{peer}\"\nclient = \"{client}\"\nhttp = \
                 \"{http}\"\nmq = {{ \"{QUEUE_MANAGER}\" = \"{mq}\" }}\n{joins}"
            );
        }
        let path = self.path.display();
        let others = self.plan.queue_managers.iter().map(String::as_str);
        for (number, name) in std::iter::once(QUEUE_MANAGER).chain(others).enumerate() {
            let id = number + 1;
            let _ = writeln!(text, "[[queue_managers]]\nname = \"{name}\"\nid = {id}\n");
            let address = match number {
                0 => format!("{}/24", network::FLOATING),
                _ => format!("{}/64", network::FLOATING_SIX),
            };
            if self.plan.floats && number < 2 {
                let _ = writeln!(text, "address = \"{address}\"\n");
            }
        }
        let _ =
            writeln!(text, "[directories]\nlog = \"{path}/{{node}}/log\"\ndata = \"{path}/{{node}}/data\"\n");
        if self.plan.floats {
            text.push_str("[tls]\ninsecure = true\n");
        }
        if let Some(certificates) = &self.plan.certificates {
            let at = certificates.display();
            let _ = writeln!(
                text,
                "[tls]\nca = \"{at}/ca.pem\"\ncertificate = \"{at}/node-{{node}}.pem\"\nkey = \
                 \"{at}/node-{{node}}.key\"\nclient_certificates = \"required\"\n"
            );
        }
        text
    }

    pub fn config(&self) -> PathBuf {
        self.path.join("cluster.toml")
    }

    /// Nodes that begin the cluster.
    pub fn first_nodes(&self) -> usize {
        self.plan.nodes
    }

    pub fn node_named(&self, name: &str) -> usize {
        self.nodes
            .iter()
            .position(|node| node.name == name)
            .unwrap_or_else(|| panic!("there is no node {name}"))
    }

    /// Where the node keeps `log` and `data`, as this process sees it.
    pub fn node_directory(&self, node: usize) -> PathBuf {
        self.disks.get(&node).map_or_else(|| self.path.join(&self.nodes[node].name), SmallDisk::path)
    }

    fn log_path(&self, node: usize) -> PathBuf {
        self.path.join(format!("{}.log", self.nodes[node].name))
    }

    // ---- processes ----

    pub fn start_node(&mut self, node: usize) {
        assert!(self.nodes[node].process.is_none(), "node {} runs already", self.nodes[node].name);
        let log = self.log_path(node);
        self.nodes[node].log_from = fs::metadata(&log).map_or(0, |file| file.len());
        let output =
            OpenOptions::new().create(true).append(true).open(&log).expect("the directory can be written");
        let program = program("trimaran-node");
        let mut command = match (self.disks.get(&node), &self.network) {
            (Some(disk), _) => disk.command(&program),
            (None, Some(network)) => network.command(node, &program),
            (None, None) => Command::new(&program),
        };
        command.arg("run").arg("--config").arg(self.config()).args(["--node", &self.nodes[node].name]);
        for setting in &self.plan.settings {
            command.args(["--set", setting]);
        }
        if let Some(newest) = self.nodes[node].speaks {
            command.args(["--set", &format!("speaks={newest}")]);
        }
        if let Some(most) = self.plan.open_files {
            limit_files(&mut command, most);
        }
        let child = command
            .envs(self.plan.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be opened twice"))
            .stderr(output)
            .spawn()
            .expect("trimaran-node starts");
        self.nodes[node].process = Some(child);
    }

    /// Ends the node in good order and starts it as the release that speaks up to this version.
    pub fn restart_as(&mut self, node: usize, speaks: u32) {
        self.stop(node);
        self.start_as(node, speaks);
    }

    pub fn start_as(&mut self, node: usize, speaks: u32) {
        self.nodes[node].speaks = Some(speaks);
        self.start_node(node);
    }

    pub fn is_running(&mut self, node: usize) -> bool {
        match &mut self.nodes[node].process {
            Some(process) => matches!(process.try_wait(), Ok(None)),
            None => false,
        }
    }

    pub fn pid(&self, node: usize) -> Option<u32> {
        self.nodes[node].process.as_ref().map(Child::id)
    }

    /// Memory of the machine that the node's process has.
    pub fn resident_bytes(&self, node: usize) -> u64 {
        let pid = self.pid(node).expect("it runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process has a status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
        let kibibytes: u64 =
            line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
        kibibytes * 1024
    }

    /// To the process that was started for the node, and to no other.
    pub fn signal(&self, node: usize, signal: i32) {
        if let Some(pid) = self.pid(node) {
            // SAFETY: the child was not waited for, so its id still names it.
            unsafe { libc::kill(pid as libc::pid_t, signal) };
        }
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut process) = self.nodes[node].process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self, node: usize) -> Exit {
        self.signal(node, libc::SIGTERM);
        self.wait_exit(node, Duration::from_secs(20))
            .unwrap_or_else(|| panic!("node {} does not stop within 20 s of SIGTERM", self.nodes[node].name))
    }

    /// None when it still runs after that time.
    pub fn wait_exit(&mut self, node: usize, within: Duration) -> Option<Exit> {
        let until = Instant::now() + within;
        let process = self.nodes[node].process.as_mut().expect("the node was started");
        let status = loop {
            match process.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None if Instant::now() > until => return None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        self.nodes[node].process = None;
        Some(Exit { status, log: self.log_since_start(node) })
    }

    pub fn log_since_start(&self, node: usize) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(self.log_path(node)) {
            use std::io::Seek;
            let _ = file.seek(std::io::SeekFrom::Start(self.nodes[node].log_from));
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    // ---- the floating address ----

    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("the plan floats")
    }

    /// The process that holds the node's addresses.
    pub fn agent(&self, node: usize) -> u32 {
        let pid = self.pid(node).expect("it runs");
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().next().and_then(|id| id.parse().ok()).expect("the node has an agent")
    }

    /// Node, agent and their network are gone within a moment, and nothing of them is heard any more.
    pub fn power_off(&mut self, node: usize) {
        let agent = self.agent(node);
        self.network().unplug_for_good(node);
        self.signal(node, libc::SIGKILL);
        // SAFETY: the agent is a child of a child that was not waited for.
        unsafe { libc::kill(agent as libc::pid_t, libc::SIGKILL) };
        self.kill(node);
        self.network.as_mut().expect("the plan floats").power_off(node);
    }

    pub fn power_on(&mut self, node: usize) {
        self.network.as_mut().expect("the plan floats").power_on(node);
        self.start_node(node);
    }

    /// Where clients find whoever serves.
    pub fn floating(&self) -> String {
        format!("{}:{CLIENTS}", network::FLOATING)
    }

    /// The same for the second queue manager.
    pub fn floating_six(&self) -> String {
        format!("[{}]:{CLIENTS}", network::FLOATING_SIX)
    }

    // ---- who serves ----

    /// The node that says of itself that it serves [`QUEUE_MANAGER`].
    pub fn serving(&self) -> Option<usize> {
        (0..self.nodes.len()).find(|node| {
            self.nodes[*node].process.is_some()
                && http_status(&self.nodes[*node].http, &format!("/health/active/{QUEUE_MANAGER}"))
                    == Some(200)
        })
    }

    pub fn wait_serving(&mut self, within: Duration) -> usize {
        let begun = Instant::now();
        loop {
            if let Some(node) = self.serving() {
                return node;
            }
            for node in 0..self.nodes.len() {
                if self.nodes[node].process.is_some() && !self.is_running(node) {
                    let name = self.nodes[node].name.clone();
                    panic!("node {name} ended by itself:\n{}", last_lines(&self.log_since_start(node), 20));
                }
            }
            assert!(begun.elapsed() < within, "nobody serves within {within:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Client addresses of the nodes that begin the cluster, and of those that run.
    pub fn addresses(&self) -> Vec<String> {
        let first = self.first_nodes();
        let known =
            self.nodes.iter().enumerate().filter(|(number, node)| *number < first || node.process.is_some());
        known.map(|(_, node)| node.client.clone()).collect()
    }

    pub fn tls(&self) -> Option<Tls> {
        self.plan.certificates.as_ref().map(|at| {
            Tls::from_files(at.join("ca.pem"), Some((at.join("user-admin.pem"), at.join("user-admin.key"))))
                .expect("certs init makes certificates that can be read")
        })
    }

    pub fn builder(&self) -> trimaran_client::Builder {
        let builder = Connection::builder(self.addresses())
            .queue_manager(QUEUE_MANAGER)
            .application_name("process test");
        match self.tls() {
            Some(tls) => builder.tls(tls),
            None => builder,
        }
    }

    pub async fn connect(&self) -> Connection {
        self.builder().connect().await.expect("a node serves and lets the test in")
    }

    /// What the node that serves says of the queue manager.
    pub async fn status(&self) -> Option<QueueManagerStatus> {
        let node = self.serving()?;
        let answers = trimaran_client::status(
            &[self.nodes[node].client.clone()],
            self.tls().as_ref(),
            Duration::from_secs(3),
        )
        .await;
        let (_, answer) = answers.into_iter().next()?;
        answer.ok()?.queue_managers.into_iter().find(|status| status.name == QUEUE_MANAGER)
    }

    /// Waits until the node that serves says that this one has everything and may vote. Gives the reasons that were heard
    /// until then, each once.
    pub async fn wait_in_sync(&self, node: usize, within: Duration) -> Result<Vec<String>, String> {
        let begun = Instant::now();
        let mut heard: Vec<String> = Vec::new();
        loop {
            let status = self.status().await;
            let instances = status.map(|status| status.instances).unwrap_or_default();
            match instances.iter().find(|instance| instance.node == self.nodes[node].name) {
                Some(instance) if instance.in_sync && instance.voter => return Ok(heard),
                Some(instance) => {
                    let reason = instance.reason.trim_end_matches(|c: char| !c.is_alphabetic());
                    if heard.last().is_none_or(|last| last != reason) {
                        heard.push(reason.to_owned());
                    }
                }
                None => {}
            }
            if begun.elapsed() > within {
                return Err(format!(
                    "node {} is not in sync within {within:?}: {heard:?}",
                    self.nodes[node].name
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn wait_all_in_sync(&self, within: Duration) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].process.is_some() {
                self.wait_in_sync(node, within).await.unwrap_or_else(|text| panic!("{text}"));
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() {
            self.kill(node);
        }
        if std::thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            let kept = directory.keep();
            for node in 0..self.nodes.len() {
                let log = fs::read_to_string(self.log_path(node)).unwrap_or_default();
                eprintln!("---- end of the log of node {}\n{}", self.nodes[node].name, last_lines(&log, 15));
            }
            eprintln!("---- kept: {}", kept.display());
        }
    }
}

/// Ports that nobody listens on. Below the range that the kernel gives to outgoing connections, so that no client takes
/// the port of a node that is away; and none twice, so that tests that run beside each other do not either.
pub fn free_ports(count: usize) -> Vec<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("nobody panics with it");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut chance = Chance::new(u64::from(std::process::id()) ^ now.map_or(0, |now| now.as_nanos() as u64));
    let mut held = Vec::new();
    while held.len() < count {
        let port = 10_000 + chance.below(20_000) as u16;
        if !given.contains(&port)
            && let Ok(socket) = TcpListener::bind(("127.0.0.1", port))
        {
            given.insert(port);
            held.push((port, socket));
        }
    }
    held.into_iter().map(|(port, _)| port).collect()
}

/// Status code of a GET. None when nobody answers.
pub fn http_status(address: &str, path: &str) -> Option<u16> {
    http_get(address, path).map(|(status, _)| status)
}

pub fn http_get(address: &str, path: &str) -> Option<(u16, String)> {
    let patience = Duration::from_millis(500);
    let mut stream = TcpStream::connect_timeout(&address.parse().ok()?, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned())))
}

pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
