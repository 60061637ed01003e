//! ActiveMQ Artemis: a primary and a backup that it replicates to, spoken to over AMQP 1.0.
//!
//! There are two copies and no majority: the backup answers before its own sync, and without a third party the two
//! cannot know which of them was cut off. This is how Artemis replicates; figures stand beside that sentence.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::delivery::DeliveryInfo;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{Data, DistributionMode, Header, Message, Outcome, Source, Target};
use fe2o3_amqp::types::primitives::{Binary, Symbol};
use fe2o3_amqp::{Connection, Receiver, Sendable, Sender, Session};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::{About, Consumer, ConsumerOptions, Patient, Place, Producer, System};
use crate::cluster::Cluster;
use crate::competitors::{self, ARTEMIS_VERSION};

const START_PATIENCE: Duration = Duration::from_secs(120);
/// The log line of a backup that has everything.
const SYNCHRONIZED: &str = "AMQ221024";
const ROLES: [&str; 2] = ["primary", "backup"];
/// A queue that shows nothing for this long has been seen to its end.
const BROWSE_END: Duration = Duration::from_millis(300);

pub struct Artemis {
    home: PathBuf,
    cluster: Cluster,
    /// Where clients reach each broker.
    addresses: Vec<String>,
    /// How long the backup's log was when it was started last.
    backup_log_bytes: usize,
    /// Names of links are told apart by a number.
    links: u64,
}

impl Artemis {
    pub fn new(place: &Place) -> Result<Artemis> {
        Ok(Artemis {
            home: competitors::artemis_home()?,
            cluster: Cluster::within(&place.work, "artemis", place.apart)?,
            addresses: Vec::new(),
            backup_log_bytes: 0,
            links: 0,
        })
    }

    async fn launch(&mut self) -> Result<()> {
        let ports = self.cluster.ports(2)?;
        self.addresses =
            (0..2).map(|index| format!("{}:{}", self.cluster.host(index), ports[index])).collect();
        for (index, role) in ROLES.iter().enumerate() {
            if !self.cluster.file(role).exists() {
                self.create(index, ports[index])?;
            }
            self.start_broker(index)?;
            if index == 0 {
                let address = self.addresses[0].clone();
                let serves = || async { Link::open(&address).await.map(drop) };
                self.cluster.until("the primary does not serve", START_PATIENCE, serves).await?;
            }
        }
        let (log, from) = (self.cluster.file("backup.log"), self.backup_log_bytes);
        let synchronized = || {
            let synchronized = says_synchronized(&log, from);
            async move {
                ensure!(synchronized, "the backup has not said {SYNCHRONIZED}");
                Ok(())
            }
        };
        self.cluster.until("the backup is not synchronized", START_PATIENCE, synchronized).await
    }

    fn start_broker(&mut self, index: usize) -> Result<()> {
        let mut command = Command::new(self.cluster.file(ROLES[index]).join("bin/artemis"));
        command.arg("run");
        if let Some(library) = competitors::libaio() {
            command.env("LD_LIBRARY_PATH", library);
        }
        if index == 1 {
            self.backup_log_bytes = std::fs::read(self.cluster.file("backup.log")).map_or(0, |log| log.len());
        }
        self.cluster.start(index, ROLES[index], command)
    }

    /// The directory of one broker, made by Artemis's own command, which also measures the disk.
    fn create(&self, index: usize, port: u16) -> Result<()> {
        let mut command = Command::new(self.home.join("bin/artemis"));
        command.arg("create").arg(self.cluster.file(ROLES[index]));
        command.args(["--silent", "--user", "bench", "--password", "bench", "--allow-anonymous"]);
        command.args(["--clustered", "--cluster-user", "c", "--cluster-password", "c", "--replicated"]);
        command.args(["--host", &self.cluster.host(index), "--default-port", &port.to_string()]);
        command.args(["--static-cluster", &format!("tcp://{}", self.addresses[1 - index])]);
        command.args(["--no-web", "--no-amqp-acceptor", "--no-mqtt-acceptor", "--no-stomp-acceptor"]);
        command
            .args(["--no-hornetq-acceptor", if competitors::libaio().is_some() { "--aio" } else { "--nio" }]);
        if index == 1 {
            command.arg("--backup");
        }
        if let Some(library) = competitors::libaio() {
            command.env("LD_LIBRARY_PATH", library);
        }
        let output = command.output().context("start Artemis's create command")?;
        ensure!(
            output.status.success(),
            "artemis create: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    async fn link(&mut self) -> Result<(Link, String)> {
        self.links += 1;
        Ok((Link::open(&self.addresses[0]).await?, format!("bench-{}", self.links)))
    }

    async fn receiver(&mut self, queue: &str, source: Source, window: usize) -> Result<ArtemisConsumer> {
        let (mut link, name) = self.link().await?;
        let receiver = Receiver::builder()
            .name(name)
            .source(source)
            .credit_mode(CreditMode::Auto(window as u32))
            .attach(&mut link.session)
            .await
            .with_context(|| format!("attach to {queue}"))?;
        Ok(ArtemisConsumer { link, receiver, batch: window })
    }
}

fn says_synchronized(log: &Path, from: usize) -> bool {
    let text = std::fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(text.get(from..).unwrap_or_default()).contains(SYNCHRONIZED)
}

/// A connection with one session.
struct Link {
    session: SessionHandle<()>,
    /// Closes when it is dropped.
    _connection: ConnectionHandle<()>,
}

impl Link {
    async fn open(address: &str) -> Result<Link> {
        let mut connection =
            Connection::open("trimaran-bench", &format!("amqp://bench:bench@{address}")[..]).await?;
        let session =
            Session::builder().incoming_window(20_000).outgoing_window(20_000).begin(&mut connection).await?;
        Ok(Link { session, _connection: connection })
    }

    async fn sender(&mut self, queue: &str, name: &str) -> Result<Sender> {
        // Without the capability Artemis would make an address that every consumer gets all messages of.
        let target = Target::builder().address(queue).capabilities(vec![Symbol::from("queue")]).build();
        Ok(Sender::builder().name(name).source("bench").target(target).attach(&mut self.session).await?)
    }
}

fn source(queue: &str) -> Source {
    Source::builder().address(queue).capabilities(vec![Symbol::from("queue")]).build()
}

fn durable(body: &Bytes) -> Sendable<Data> {
    let header = Header { durable: true, ..Header::default() };
    Message::builder().header(header).data(Binary::from(body.to_vec())).build().into()
}

fn accepted(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Accepted(_) => Ok(()),
        other => bail!("a message was not accepted: {other:?}"),
    }
}

impl System for Artemis {
    fn about(&self) -> About {
        let journal = match competitors::libaio() {
            Some(_) => "journal on libaio",
            None => "journal on NIO, because libaio is not installed",
        };
        About {
            name: "artemis".into(),
            version: format!("ActiveMQ Artemis {ARTEMIS_VERSION}, {}", competitors::java_version()),
            settings: format!(
                "a primary and a backup that replicates, as `artemis create --replicated` makes them, {journal}, durable \
                 messages; the primary syncs before it acknowledges, the backup answers before its own sync: two copies, \
                 one of them on disk, no majority; AMQP 1.0, each message accepted; fe2o3-amqp"
            ),
            durable: true,
            copies: 2,
        }
    }

    fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    fn warm_up(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn start(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.launch())
    }

    fn create_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        // Made by the first link that names it.
        Box::pin(async move {
            let (mut link, name) = self.link().await?;
            link.sender(queue, &name).await?.close().await?;
            Ok(())
        })
    }

    fn delete_queue<'a>(&'a mut self, _queue: &'a str) -> BoxFuture<'a, Result<()>> {
        // AMQP has no such call. The queue is empty by now, and no other run has its name.
        Box::pin(async { Ok(()) })
    }

    fn producer<'a>(
        &'a mut self,
        queue: &'a str,
        _window: usize,
    ) -> BoxFuture<'a, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            let (mut link, name) = self.link().await?;
            let sender = link.sender(queue, &name).await?;
            let producer = ArtemisProducer { _link: link, sender, waiting: FuturesUnordered::new() };
            Ok(Box::new(producer) as Box<dyn Producer>)
        })
    }

    fn consumer<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let consumer = self.receiver(queue, source(queue), options.window).await?;
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn browser<'a>(&'a mut self, queue: &'a str, window: usize) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let copying = Source { distribution_mode: Some(DistributionMode::Copy), ..source(queue) };
            let consumer = self.receiver(queue, copying.clone(), window).await?;
            let browser = ArtemisBrowser { consumer, source: copying, window, round: 0 };
            Ok(Box::new(browser) as Box<dyn Consumer>)
        })
    }

    fn leader<'a>(&'a mut self, _queue: &'a str) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move { Ok(0) })
    }

    fn rejoin(&mut self, server: usize) -> Result<()> {
        self.start_broker(server)
    }

    fn is_in_sync<'a>(&'a mut self, _queue: &'a str, _server: usize) -> BoxFuture<'a, Result<bool>> {
        // The backup says so in its log; nobody but the backup is ever behind.
        let synchronized = says_synchronized(&self.cluster.file("backup.log"), self.backup_log_bytes);
        Box::pin(std::future::ready(Ok(synchronized)))
    }

    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>> {
        Box::pin(async move {
            let addresses = self.addresses.clone();
            let patient = ArtemisPatient { addresses, queue: queue.to_string(), link: None, attempts: 0 };
            Ok(Box::new(patient) as Box<dyn Patient>)
        })
    }
}

struct ArtemisProducer {
    _link: Link,
    sender: Sender,
    waiting: FuturesUnordered<BoxFuture<'static, (u64, Result<()>)>>,
}

impl Producer for ArtemisProducer {
    fn send<'a>(&'a mut self, first: u64, bodies: &'a [Bytes]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for (number, body) in (first..).zip(bodies) {
                let answer = self.sender.send_batchable(durable(body)).await?;
                self.waiting.push(Box::pin(async move {
                    let result = match answer.await {
                        Ok(outcome) => accepted(outcome),
                        Err(error) => Err(anyhow!("message {number}: {error}")),
                    };
                    (number, result)
                }));
            }
            Ok(())
        })
    }

    fn acknowledged<'a>(&'a mut self, numbers: &'a mut Vec<u64>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut next = self.waiting.next().await;
            while let Some((number, result)) = next {
                result?;
                numbers.push(number);
                next = self.waiting.next().now_or_never().flatten();
            }
            Ok(())
        })
    }
}

struct ArtemisConsumer {
    link: Link,
    receiver: Receiver,
    batch: usize,
}

impl Consumer for ArtemisConsumer {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut accepted: Vec<DeliveryInfo> = Vec::new();
            let mut next = Some(self.receiver.recv::<Data>().await);
            while let Some(delivery) = next {
                let (info, message) = delivery?.into_parts();
                accepted.push(info);
                bodies.push(Bytes::from(message.body.0.into_vec()));
                if bodies.len() >= self.batch {
                    break;
                }
                next = self.receiver.recv::<Data>().now_or_never();
            }
            self.receiver.accept_all(accepted).await?;
            Ok(())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        // What was accepted last is on its way; a connection that is closed in good order lets it arrive.
        Box::pin(async move {
            self.link.session.end().await?;
            Ok(())
        })
    }
}

struct ArtemisBrowser {
    consumer: ArtemisConsumer,
    source: Source,
    window: usize,
    round: u64,
}

impl ArtemisBrowser {
    /// A link of this kind shows each message once.
    async fn begin_again(&mut self) -> Result<()> {
        self.round += 1;
        let fresh = Receiver::builder()
            .name(format!("browse-{}", self.round))
            .source(self.source.clone())
            .credit_mode(CreditMode::Auto(self.window as u32))
            .attach(&mut self.consumer.link.session)
            .await?;
        std::mem::replace(&mut self.consumer.receiver, fresh).close().await?;
        Ok(())
    }
}

impl Consumer for ArtemisBrowser {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while tokio::time::timeout(BROWSE_END, self.consumer.receive(bodies)).await.is_err() {
                self.begin_again().await?;
            }
            Ok(())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        self.consumer.finish()
    }
}

struct ArtemisPatient {
    addresses: Vec<String>,
    queue: String,
    link: Option<(Link, Sender)>,
    attempts: usize,
}

impl ArtemisPatient {
    async fn try_put(&mut self, body: &Bytes) -> Result<()> {
        if self.link.is_none() {
            self.attempts += 1;
            let mut link = Link::open(&self.addresses[(self.attempts - 1) % 2]).await?;
            let sender = link.sender(&self.queue, &format!("patient-{}", self.attempts)).await?;
            self.link = Some((link, sender));
        }
        let (_, sender) = self.link.as_mut().expect("connected above");
        accepted(sender.send(durable(body)).await?)
    }
}

impl Patient for ArtemisPatient {
    fn put(&mut self, body: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // A server that hangs answers nothing; a program with a failover address waits for so long.
            while !matches!(
                tokio::time::timeout(Duration::from_secs(2), self.try_put(&body)).await,
                Ok(Ok(()))
            ) {
                self.link = None;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        })
    }
}
