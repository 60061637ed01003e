//! Trimaran: a three-node cluster on loopback, spoken to over the Session stream as the client library speaks it.
//!
//! The stream is driven directly. The client library keeps what it needs to survive a failover for every message, and on
//! a machine that servers and load share this would show in the servers' figures.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use trimaran_client::{Attributes, Connection, ConnectionState};
use trimaran_proto::{
    message::v1::Message,
    queue::v1::{self as wire, call::Call, completion::Data, queue_client::QueueClient},
};

use super::{About, Consumer, ConsumerOptions, Patient, Place, Producer, System};
use crate::cluster::Cluster;

pub const CLUSTER: &str = "bench";
pub const QUEUE_MANAGER: &str = "bench";
const NODES: [&str; 3] = ["a", "b", "c"];
const START_PATIENCE: Duration = Duration::from_secs(60);
const HANDLE: u32 = 1;
const WINDOW_BYTES: u32 = 16 * 1024 * 1024;
const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Queues that are made or deleted together.
const CALLS_AT_ONCE: usize = 64;
/// MQRC_NO_MSG_AVAILABLE
pub const NO_MESSAGE: u32 = 2033;
/// A request is closed when it has grown past this.
const BATCH_BYTES: usize = 256 * 1024;
const BATCH_CALLS: usize = 1000;
/// Bodies over a mebibyte travel in parts of so much.
const PART_BYTES: usize = 1024 * 1024;

pub struct Trimaran {
    binary: PathBuf,
    cluster: Cluster,
    addresses: Vec<String>,
    connection: Option<Connection>,
    /// So many files, and no more, may each node have open.
    open_files: Option<u64>,
    /// Of each node, in place of its own default.
    memory_bytes: Option<u64>,
}

/// One of the ports of a node.
#[derive(Clone, Copy)]
pub enum Port {
    Peers,
    Clients,
    Monitors,
    Channels,
}

/// Of each node.
const PORTS: usize = 4;

impl Trimaran {
    pub fn new(place: &Place) -> Result<Trimaran> {
        Ok(Trimaran {
            binary: find_node_binary(place.node_binary.as_deref())?,
            cluster: Cluster::within(&place.work, "trimaran", place.apart)?,
            addresses: Vec::new(),
            connection: None,
            open_files: None,
            memory_bytes: None,
        })
    }

    /// For nodes that are started from now on.
    pub fn limit_files(&mut self, most: Option<u64>) {
        self.open_files = most;
    }

    /// For nodes that are started from now on: what clients may make each of them hold.
    pub fn limit_memory(&mut self, most: u64) {
        self.memory_bytes = Some(most);
    }

    /// Of each node, in the order of their ids.
    pub fn ports(&mut self, port: Port) -> Result<Vec<String>> {
        let ports = self.cluster.ports(PORTS * NODES.len())?;
        let address =
            |index: usize| format!("{}:{}", self.cluster.host(index), ports[index * PORTS + port as usize]);
        Ok((0..NODES.len()).map(address).collect())
    }

    pub fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().context("the cluster is not started")
    }

    /// Name and address of the node that serves.
    pub fn serving(&self) -> Result<(String, String)> {
        match &*self.connection()?.state().borrow() {
            ConnectionState::Connected { node, address } => Ok((node.clone(), address.clone())),
            other => bail!("nobody serves: {other:?}"),
        }
    }

    /// Its number, from 0.
    pub fn serving_index(&self) -> Result<usize> {
        let (node, _) = self.serving()?;
        NODES.iter().position(|name| *name == node).context("a node of another cluster serves")
    }

    async fn launch(&mut self) -> Result<()> {
        let ports = self.cluster.ports(PORTS * NODES.len())?;
        let config = self.cluster.file("cluster.toml");
        std::fs::write(&config, cluster_file(&ports, &self.cluster, self.memory_bytes))?;
        (0..NODES.len()).try_for_each(|index| self.start_node(index))?;
        self.addresses = self.ports(Port::Clients)?;
        let addresses = self.addresses.clone();
        let connect = || async {
            let builder = Connection::builder(&addresses).queue_manager(QUEUE_MANAGER);
            Ok(builder.connect_within(Duration::from_secs(4)).connect().await?)
        };
        self.connection = Some(self.cluster.until("nobody serves", START_PATIENCE, connect).await?);
        Ok(())
    }

    fn start_node(&mut self, index: usize) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.arg("run").arg("--config").arg(self.cluster.file("cluster.toml"));
        command.args(["--node", NODES[index]]);
        if let Some(most) = self.open_files {
            limit_files(&mut command, most);
        }
        self.cluster.start(index, NODES[index], command)
    }

    async fn open(&self, queue: &str, output: bool) -> Result<Stream> {
        let (_, address) = self.serving()?;
        let mut stream = Stream::connect(&address).await?;
        let open = wire::Open {
            handle: HANDLE,
            queue: queue.to_string(),
            output,
            input: !output,
            ..wire::Open::default()
        };
        stream.ask(Call::Open(open)).await?;
        Ok(stream)
    }

    pub async fn producer_of(&self, queue: &str) -> Result<Box<dyn Producer>> {
        let stream = self.open(queue, true).await?;
        Ok(Box::new(StreamProducer { stream }))
    }

    pub async fn consumer_of(&self, queue: &str, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let stream = self.open(queue, false).await?;
        let mut consumer = StreamConsumer {
            stream,
            options,
            in_unit: 0,
            commits: 0,
            ready: VecDeque::new(),
            parts: BytesMut::new(),
        };
        consumer.ask_for(options.window)?;
        Ok(Box::new(consumer))
    }
}

impl System for Trimaran {
    fn start(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.launch())
    }

    fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    fn about(&self) -> About {
        About {
            name: "trimaran".into(),
            version: version_of(&self.binary),
            settings: "3 nodes, one queue manager, default cluster file; gRPC streams without TLS; puts are \
                       acknowledged, and gets answered, after a sync on a majority"
                .into(),
            durable: true,
            copies: 3,
        }
    }

    fn create_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { create(self.connection()?, queue).await })
    }

    fn delete_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { delete(self.connection()?, queue).await })
    }

    fn create_queues<'a>(&'a mut self, queues: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let connection = self.connection()?;
            let each: Vec<BoxFuture<'_, Result<()>>> =
                queues.iter().map(|queue| create(connection, queue).boxed()).collect();
            futures::stream::iter(each).buffer_unordered(CALLS_AT_ONCE).try_collect().await
        })
    }

    fn delete_queues<'a>(&'a mut self, queues: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let connection = self.connection()?;
            let each: Vec<BoxFuture<'_, Result<()>>> =
                queues.iter().map(|queue| delete(connection, queue).boxed()).collect();
            futures::stream::iter(each).buffer_unordered(CALLS_AT_ONCE).try_collect().await
        })
    }

    fn producer<'a>(
        &'a mut self,
        queue: &'a str,
        _window: usize,
    ) -> BoxFuture<'a, Result<Box<dyn Producer>>> {
        Box::pin(self.producer_of(queue))
    }

    fn consumer<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(self.consumer_of(queue, options))
    }

    fn browser<'a>(&'a mut self, queue: &'a str, window: usize) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let (_, address) = self.serving()?;
            let mut stream = Stream::connect(&address).await?;
            let open = wire::Open {
                handle: HANDLE,
                queue: queue.to_string(),
                browse: true,
                ..wire::Open::default()
            };
            stream.ask(Call::Open(open)).await?;
            let mut browser = StreamBrowser { stream, window, outstanding: 0, at_end: false };
            browser.ask_for(wire::Browse::First, browser.window)?;
            Ok(Box::new(browser) as Box<dyn Consumer>)
        })
    }

    fn leader<'a>(&'a mut self, _queue: &'a str) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move { self.serving_index() })
    }

    fn rejoin(&mut self, server: usize) -> Result<()> {
        self.start_node(server)
    }

    fn is_in_sync<'a>(&'a mut self, _queue: &'a str, server: usize) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let (_, address) = self.serving()?;
            let answers = trimaran_client::status(&[address], None, Duration::from_secs(2)).await;
            let managers = answers.into_iter().filter_map(|(_, answer)| answer.ok());
            let mut instances = managers.flat_map(|status| status.queue_managers).flat_map(|it| it.instances);
            Ok(instances.any(|instance| instance.node == NODES[server] && instance.in_sync))
        })
    }

    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>> {
        Box::pin(async move {
            let connection =
                Connection::builder(&self.addresses).queue_manager(QUEUE_MANAGER).connect().await?;
            let queue = connection.queue(queue);
            Ok(Box::new(LibraryPatient { queue }) as Box<dyn Patient>)
        })
    }

    fn stop(&mut self) -> Result<()> {
        self.connection = None;
        self.cluster.stop()
    }
}

pub async fn create(connection: &Connection, queue: &str) -> Result<()> {
    let attributes = Attributes::new().with("MAXDEPTH", 999_999_999).with("MAXMSGL", 100 * 1024 * 1024);
    let created = connection.admin().create_queue(queue, attributes).await;
    created.with_context(|| format!("create queue {queue}"))
}

async fn delete(connection: &Connection, queue: &str) -> Result<()> {
    // The node closes handles of connections that are gone a moment after they are.
    let started = Instant::now();
    loop {
        match connection.admin().delete_queue(queue, true).await {
            Err(error) if error.reason() == Some(trimaran_client::reason::OBJECT_IN_USE) => {
                ensure!(started.elapsed() < Duration::from_secs(10), "delete queue {queue}: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result.with_context(|| format!("delete queue {queue}")),
        }
    }
}

struct LibraryPatient {
    queue: trimaran_client::Queue,
}

impl Patient for LibraryPatient {
    fn put(&mut self, body: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.queue.put(trimaran_client::Message::new(body)).await?;
            Ok(())
        })
    }
}

/// One session: calls go out in batches, answers come back in batches.
pub struct Stream {
    calls: mpsc::UnboundedSender<wire::SessionRequest>,
    answers: tonic::Streaming<wire::SessionResponse>,
    next_token: u64,
}

impl Stream {
    pub async fn connect(address: &str) -> Result<Stream> {
        let channel = channel(address).await?;
        let (calls, requests) = mpsc::unbounded_channel();
        let mut client = QueueClient::new(channel).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let answers = client.session(UnboundedReceiverStream::new(requests)).await?.into_inner();
        // Tokens of messages count from 0; these stay out of their way.
        let mut stream = Stream { calls, answers, next_token: 1 << 62 };
        let connect =
            wire::Connect { queue_manager: QUEUE_MANAGER.into(), application_name: "trimaran-bench".into() };
        stream.ask(Call::Connect(connect)).await?;
        Ok(stream)
    }

    pub fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    pub fn send(&self, calls: Vec<wire::Call>) -> Result<()> {
        self.calls.send(wire::SessionRequest { calls }).ok().context("the session has ended")
    }

    /// One call, before any others.
    pub async fn ask(&mut self, call: Call) -> Result<()> {
        let token = self.token();
        self.send(vec![wire::Call { token, call: Some(call) }])?;
        let answers = self.next().await?;
        ensure!(answers.len() == 1 && answers[0].token == token, "an answer to something that was not asked");
        Ok(())
    }

    pub async fn answers(&mut self) -> Result<Vec<wire::Completion>> {
        Ok(self.answers.next().await.context("the node ended the session")??.completions)
    }

    /// None of them is a refusal.
    async fn next(&mut self) -> Result<Vec<wire::Completion>> {
        let completions = self.answers().await?;
        for completion in &completions {
            if let Some(outcome) = completion.outcome.as_ref().filter(|outcome| outcome.code != 0) {
                bail!("refused with {}: {}", outcome.reason, outcome.text);
            }
        }
        Ok(completions)
    }
}

pub async fn channel(address: &str) -> Result<Channel> {
    Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect()
        .await
        .with_context(|| format!("connect to {address}"))
}

/// With the checksum, as the client library sends it.
pub fn message(body: &Bytes) -> Message {
    Message { descriptor: None, body: body.clone(), body_crc32c: Some(crc32c::crc32c(body)) }
}

struct StreamProducer {
    stream: Stream,
}

impl Producer for StreamProducer {
    fn send<'a>(&'a mut self, first: u64, bodies: &'a [Bytes]) -> BoxFuture<'a, Result<()>> {
        let result = (|| {
            let mut batch = Vec::with_capacity(bodies.len().min(BATCH_CALLS));
            let mut bytes = 0;
            for (token, body) in (first..).zip(bodies) {
                let mut put = wire::Put {
                    to: Some(wire::put::To::Handle(HANDLE)),
                    message: Some(message(body)),
                    ..wire::Put::default()
                };
                if body.len() > PART_BYTES {
                    // Numbers of parts begin with 1.
                    let number = token + 1;
                    for start in (0..body.len()).step_by(PART_BYTES) {
                        let data = body.slice(start..body.len().min(start + PART_BYTES));
                        let part = Call::BodyPart(wire::BodyPart { number, data });
                        self.stream.send(vec![wire::Call { token: 0, call: Some(part) }])?;
                    }
                    put.body_parts = number;
                    put.message.as_mut().expect("set above").body = Bytes::new();
                }
                batch.push(wire::Call { token, call: Some(Call::Put(put)) });
                bytes += body.len();
                if bytes >= BATCH_BYTES || batch.len() >= BATCH_CALLS {
                    self.stream.send(std::mem::take(&mut batch))?;
                    bytes = 0;
                }
            }
            if !batch.is_empty() {
                self.stream.send(batch)?;
            }
            Ok(())
        })();
        Box::pin(std::future::ready(result))
    }

    fn acknowledged<'a>(&'a mut self, numbers: &'a mut Vec<u64>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let answers = self.stream.next().await?;
            numbers.extend(answers.into_iter().map(|answer| answer.token));
            Ok(())
        })
    }
}

struct StreamConsumer {
    stream: Stream,
    options: ConsumerOptions,
    /// Messages got since the last commit.
    in_unit: usize,
    /// Commits that are not answered.
    commits: usize,
    ready: VecDeque<Bytes>,
    /// Of a large body that is on its way.
    parts: BytesMut,
}

impl StreamConsumer {
    fn get(&self, token: u64) -> wire::Call {
        let get = wire::Get {
            handle: HANDLE,
            syncpoint: self.options.unit > 0,
            wait_ms: -1,
            ..wire::Get::default()
        };
        wire::Call { token, call: Some(Call::Get(get)) }
    }

    fn commit(&mut self) -> wire::Call {
        self.in_unit = 0;
        self.commits += 1;
        wire::Call { token: self.stream.token(), call: Some(Call::Commit(wire::Commit::default())) }
    }

    fn ask_for(&mut self, count: usize) -> Result<()> {
        let calls = (0..count)
            .map(|_| {
                let token = self.stream.token();
                self.get(token)
            })
            .collect();
        self.stream.send(calls)
    }

    fn take(&mut self, answers: Vec<wire::Completion>) -> Result<()> {
        let mut calls = Vec::with_capacity(answers.len() + 1);
        for answer in answers {
            match answer.data {
                Some(Data::BodyPart(part)) => self.parts.extend_from_slice(&part.data),
                Some(Data::Got(wire::Got { message: Some(message), body_parts, .. })) => {
                    let body = if body_parts == 0 { message.body } else { self.parts.split().freeze() };
                    self.ready.push_back(body);
                    self.in_unit += 1;
                    if self.options.unit > 0 && self.in_unit >= self.options.unit {
                        calls.push(self.commit());
                    }
                    let token = self.stream.token();
                    calls.push(self.get(token));
                }
                None => self.commits -= 1,
                other => bail!("an answer that fits neither a get nor a commit: {other:?}"),
            }
        }
        if calls.is_empty() { Ok(()) } else { self.stream.send(calls) }
    }
}

impl Consumer for StreamConsumer {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while self.ready.is_empty() {
                let answers = self.stream.next().await?;
                self.take(answers)?;
            }
            bodies.extend(self.ready.drain(..));
            Ok(())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.options.unit > 0 && self.in_unit > 0 {
                let commit = self.commit();
                self.stream.send(vec![commit])?;
            }
            while self.commits > 0 {
                let answers = self.stream.next().await?;
                for answer in answers {
                    match answer.data {
                        None => self.commits -= 1,
                        other => bail!("a message after the last one: {other:?}"),
                    }
                }
            }
            Ok(())
        })
    }
}

/// Keeps a window of browses on their way. Once one was answered with 2033 the others run out, then the cursor goes to the
/// front again.
struct StreamBrowser {
    stream: Stream,
    window: usize,
    outstanding: usize,
    at_end: bool,
}

impl StreamBrowser {
    fn ask_for(&mut self, first: wire::Browse, count: usize) -> Result<()> {
        let calls = (0..count).map(|index| {
            let browse = if index == 0 { first } else { wire::Browse::Next };
            let get = wire::Get { handle: HANDLE, browse: browse.into(), ..wire::Get::default() };
            wire::Call { token: self.stream.token(), call: Some(Call::Get(get)) }
        });
        let calls: Vec<wire::Call> = calls.collect();
        self.outstanding += count;
        self.stream.send(calls)
    }
}

impl Consumer for StreamBrowser {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while bodies.is_empty() {
                let answers = self.stream.answers().await?;
                let before = bodies.len();
                for answer in answers {
                    self.outstanding -= 1;
                    match (answer.outcome.map_or(0, |outcome| outcome.reason), answer.data) {
                        (0, Some(Data::Got(wire::Got { message: Some(message), .. }))) => {
                            bodies.push(message.body)
                        }
                        (NO_MESSAGE, _) => self.at_end = true,
                        (reason, data) => bail!("a browse was answered with {reason}: {data:?}"),
                    }
                }
                if !self.at_end {
                    self.ask_for(wire::Browse::Next, bodies.len() - before)?;
                } else if self.outstanding == 0 {
                    self.at_end = false;
                    self.ask_for(wire::Browse::First, self.window)?;
                }
            }
            Ok(())
        })
    }
}

fn cluster_file(ports: &[u16], cluster: &Cluster, memory_bytes: Option<u64>) -> String {
    let mut text = format!("cluster = \"{CLUSTER}\"\n");
    if cluster.is_apart() {
        // Addresses other than loopback want certificates or this; a table further down would take it for its own.
        text.push_str("[tls]\ninsecure = true\n");
    }
    for (index, name) in NODES.iter().enumerate() {
        let at = |which: usize| format!("{}:{}", cluster.host(index), ports[index * PORTS + which]);
        write!(
            text,
            "[[nodes]]\nname = \"{name}\"\nid = {}\npeer = \"{}\"\nclient = \"{}\"\nhttp = \"{}\"\n\
             mq = {{ \"{QUEUE_MANAGER}\" = \"{}\" }}\n",
            index + 1,
            at(0),
            at(1),
            at(2),
            at(3)
        )
        .expect("a string takes all");
    }
    if let Some(bytes) = memory_bytes {
        write!(text, "[limits]\nmemory_bytes = {bytes}\n").expect("a string takes all");
    }
    let directory = cluster.path().display();
    write!(
        text,
        "[[queue_managers]]\nname = \"{QUEUE_MANAGER}\"\nid = 1\n[directories]\n\
         log = \"{directory}/{{node}}/log\"\ndata = \"{directory}/{{node}}/data\"\n"
    )
    .expect("a string takes all");
    text
}

/// The program that is started may have so many files open, and cannot have more.
fn limit_files(command: &mut Command, most: u64) {
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

fn version_of(binary: &Path) -> String {
    let output = Command::new(binary).arg("--version").output();
    output
        .map_or_else(|error| error.to_string(), |out| String::from_utf8_lossy(&out.stdout).trim().to_string())
}

/// The binary that is given, or the one beside this program, which `cargo run` brings up to date first.
fn find_node_binary(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        ensure!(path.is_file(), "{} is not a program", path.display());
        return Ok(path.to_path_buf());
    }
    let this = std::env::current_exe()?;
    let directory = this.parent().context("this program is in no directory")?;
    let beside = directory.join("trimaran-node");
    if let Some(cargo) = std::env::var_os("CARGO")
        && directory.ends_with("release")
    {
        eprintln!("building trimaran-node ...");
        let mut build = Command::new(cargo);
        // Both packages, so that the libraries keep the features this program was built with.
        build.args([
            "build",
            "--release",
            "--quiet",
            "-p",
            "trimaran-bench",
            "-p",
            "trimaran-node",
            "--bins",
        ]);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        ensure!(build.status()?.success(), "trimaran-node cannot be built; cargo said why above");
    }
    ensure!(
        beside.is_file(),
        "{} is not there: run `cargo build --release -p trimaran-bench -p trimaran-node --bins`, or say where the \
         program is with --node-binary",
        beside.display()
    );
    Ok(beside)
}
