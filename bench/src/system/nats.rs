//! NATS JetStream: three servers, a work-queue stream with three replicas for each queue, a durable pull consumer.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::jetstream::{
    self, Context,
    consumer::{AckPolicy, PullConsumer, pull},
    context::PublishAckFuture,
    message::PublishMessage,
    stream,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use futures::{FutureExt, StreamExt};

use super::{About, Consumer, ConsumerOptions, Patient, Place, Producer, System};
use crate::cluster::Cluster;
use crate::competitors;

const CONSUMER: &str = "bench";
/// More than any window.
const IN_FLIGHT_MAX: usize = 20_000;
const START_PATIENCE: Duration = Duration::from_secs(90);
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

pub struct Nats {
    binary: PathBuf,
    cluster: Cluster,
    /// `sync_interval: always`; without, the server syncs every two minutes.
    synced: bool,
    /// Where clients reach each server.
    addresses: Vec<String>,
    context: Option<Context>,
}

impl Nats {
    pub fn new(place: &Place, synced: bool) -> Result<Nats> {
        Ok(Nats {
            binary: competitors::nats_server()?,
            cluster: Cluster::within(&place.work, "nats", place.apart)?,
            synced,
            addresses: Vec::new(),
            context: None,
        })
    }

    async fn launch(&mut self) -> Result<()> {
        let ports = self.cluster.ports(6)?;
        let (clients, routes) = ports.split_at(3);
        self.addresses =
            (0..3).map(|index| format!("{}:{}", self.cluster.host(index), clients[index])).collect();
        let routes: Vec<String> =
            (0..3).map(|index| format!("{}:{}", self.cluster.host(index), routes[index])).collect();
        let route_urls: Vec<String> = routes.iter().map(|address| format!("\"nats://{address}\"")).collect();
        for (index, route) in routes.iter().enumerate() {
            let sync = if self.synced { ", sync_interval: always" } else { "" };
            let config = format!(
                "server_name: n{index}\nlisten: {}\nmax_payload: 8MB\n\
                 jetstream {{ store_dir: \"{}\", max_mem: 1G, max_file: 40G{sync} }}\n\
                 cluster {{ name: bench, listen: {}, routes: [{}] }}\n",
                self.addresses[index],
                self.cluster.file(&format!("n{index}")).display(),
                route,
                route_urls.join(",")
            );
            std::fs::write(self.cluster.file(&format!("n{index}.conf")), config)?;
            self.start_server(index)?;
        }
        let first = &self.addresses[..1];
        self.context =
            Some(self.cluster.until("NATS does not serve", START_PATIENCE, || try_connect(first)).await?);
        Ok(())
    }

    fn start_server(&mut self, index: usize) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(self.cluster.file(&format!("n{index}.conf")));
        self.cluster.start(index, &format!("n{index}"), command)
    }

    async fn context_at(&self, index: usize) -> Result<Context> {
        connect(&self.addresses[index..=index]).await
    }

    fn context(&self) -> Result<&Context> {
        self.context.as_ref().context("the cluster is not started")
    }

    async fn leader_of(&self, queue: &str) -> Result<usize> {
        let started = Instant::now();
        loop {
            let stream = self
                .context()?
                .get_stream_no_info(name_of(queue))
                .await
                .map_err(|error| anyhow!("{error}"))?;
            let info = stream.get_info().await.map_err(|error| anyhow!("{error}"))?;
            let leader = info.cluster.and_then(|cluster| cluster.leader).unwrap_or_default();
            if let Some(index) = leader.strip_prefix('n').and_then(|index| index.parse().ok()) {
                return Ok(index);
            }
            anyhow::ensure!(started.elapsed() < Duration::from_secs(20), "stream {queue} has no leader");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Serves when a stream with three replicas can be made.
async fn try_connect(addresses: &[String]) -> Result<Context> {
    let context = connect(addresses).await?;
    context.create_stream(stream_config("PROBE")).await.map_err(|error| anyhow!("{error}"))?;
    context.delete_stream("PROBE").await.map_err(|error| anyhow!("{error}"))?;
    Ok(context)
}

async fn connect(addresses: &[String]) -> Result<Context> {
    let urls: Vec<String> = addresses.iter().map(|address| format!("nats://{address}")).collect();
    let client = async_nats::ConnectOptions::new().connect(urls).await?;
    Ok(jetstream::context::ContextBuilder::new()
        .timeout(ANSWER_PATIENCE)
        .max_ack_inflight(IN_FLIGHT_MAX)
        .build(client))
}

/// Names of streams have no dots.
fn name_of(queue: &str) -> String {
    queue.replace('.', "_")
}

fn stream_config(queue: &str) -> stream::Config {
    stream::Config {
        name: name_of(queue),
        subjects: vec![queue.to_string()],
        retention: stream::RetentionPolicy::WorkQueue,
        storage: stream::StorageType::File,
        num_replicas: 3,
        // For browsing; costs nothing else.
        allow_direct: true,
        ..stream::Config::default()
    }
}

impl System for Nats {
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
        let output = Command::new(&self.binary).arg("--version").output();
        let version = output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_string(),
        );
        let sync = match self.synced {
            true => "sync_interval: always (acknowledged after a sync on a majority)",
            false => "default sync_interval of 2 minutes: NOT DURABLE, acknowledged before any sync",
        };
        About {
            name: if self.synced { "nats" } else { "nats-default" }.into(),
            version,
            settings: format!(
                "3 servers, JetStream R3 file storage, work-queue retention, durable pull consumer with explicit \
                 acknowledgement, {sync}; clients connect to the stream's leader; async-nats"
            ),
            durable: self.synced,
            copies: 3,
        }
    }

    fn create_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let stream = self
                .context()?
                .create_stream(stream_config(queue))
                .await
                .map_err(|error| anyhow!("{error}"))?;
            let config = pull::Config {
                durable_name: Some(CONSUMER.into()),
                ack_policy: AckPolicy::Explicit,
                max_ack_pending: IN_FLIGHT_MAX as i64,
                ..pull::Config::default()
            };
            stream.create_consumer(config).await.map_err(|error| anyhow!("{error}"))?;
            Ok(())
        })
    }

    fn delete_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.context()?.delete_stream(name_of(queue)).await.map_err(|error| anyhow!("{error}"))?;
            Ok(())
        })
    }

    fn producer<'a>(
        &'a mut self,
        queue: &'a str,
        _window: usize,
    ) -> BoxFuture<'a, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            let context = self.context_at(self.leader_of(queue).await?).await?;
            let producer =
                NatsProducer { context, subject: queue.to_string(), waiting: FuturesUnordered::new() };
            Ok(Box::new(producer) as Box<dyn Producer>)
        })
    }

    fn consumer<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let context = self.context_at(self.leader_of(queue).await?).await?;
            let stream = context.get_stream(name_of(queue)).await.map_err(|error| anyhow!("{error}"))?;
            let consumer: PullConsumer =
                stream.get_consumer(CONSUMER).await.map_err(|error| anyhow!("{error}"))?;
            let messages = consumer
                .stream()
                .max_messages_per_batch(options.window)
                .heartbeat(Duration::from_secs(10))
                .messages()
                .await
                .map_err(|error| anyhow!("{error}"))?;
            Ok(Box::new(NatsConsumer { messages, batch: options.window }) as Box<dyn Consumer>)
        })
    }

    fn browser<'a>(&'a mut self, queue: &'a str, window: usize) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let context = self.context_at(self.leader_of(queue).await?).await?;
            let stream = context.get_stream(name_of(queue)).await.map_err(|error| anyhow!("{error}"))?;
            let browser = NatsBrowser { stream, next: 1, window, waiting: FuturesOrdered::new() };
            Ok(Box::new(browser) as Box<dyn Consumer>)
        })
    }

    fn leader<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<usize>> {
        Box::pin(self.leader_of(queue))
    }

    fn rejoin(&mut self, server: usize) -> Result<()> {
        self.start_server(server)
    }

    fn is_in_sync<'a>(&'a mut self, queue: &'a str, server: usize) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let stream = self.context()?.get_stream_no_info(name_of(queue)).await;
            let info = stream.map_err(|error| anyhow!("{error}"))?.get_info().await;
            let cluster =
                info.map_err(|error| anyhow!("{error}"))?.cluster.context("a stream of one server")?;
            let name = format!("n{server}");
            Ok(cluster
                .replicas
                .iter()
                .any(|replica| replica.name == name && replica.current && !replica.offline))
        })
    }

    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>> {
        Box::pin(async move {
            let leader = self.leader_of(queue).await?;
            let others: Vec<String> =
                (0..3).filter(|index| *index != leader).map(|index| self.addresses[index].clone()).collect();
            let context = connect(&others).await?;
            Ok(Box::new(NatsPatient { context, subject: queue.to_string(), next: 0 }) as Box<dyn Patient>)
        })
    }

    fn stop(&mut self) -> Result<()> {
        self.context = None;
        self.cluster.stop()
    }
}

struct NatsProducer {
    context: Context,
    subject: String,
    waiting: FuturesUnordered<BoxFuture<'static, (u64, Result<()>)>>,
}

impl NatsProducer {
    fn wait(&mut self, number: u64, answer: PublishAckFuture) {
        let answer = answer.into_future();
        self.waiting.push(Box::pin(async move {
            (number, answer.await.map(drop).map_err(|error| anyhow!("message {number}: {error}")))
        }));
    }
}

impl Producer for NatsProducer {
    fn send<'a>(&'a mut self, first: u64, bodies: &'a [Bytes]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for (number, body) in (first..).zip(bodies) {
                let message = PublishMessage::build().payload(body.clone());
                let answer = self
                    .context
                    .send_publish(self.subject.clone(), message)
                    .await
                    .map_err(|error| anyhow!("{error}"))?;
                self.wait(number, answer);
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

struct NatsConsumer {
    messages: pull::Stream,
    batch: usize,
}

impl Consumer for NatsConsumer {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut next = self.messages.next().await;
            while let Some(message) = next {
                let message = message.map_err(|error| anyhow!("{error}"))?;
                message.ack().await.map_err(|error| anyhow!("{error}"))?;
                bodies.push(message.message.payload);
                if bodies.len() >= self.batch {
                    return Ok(());
                }
                next = match self.messages.next().now_or_never() {
                    None => return Ok(()),
                    Some(next) => next,
                };
            }
            bail!("the server ended the delivery")
        })
    }
}

/// A work queue cannot be read beside its consumer, but its messages can be asked for by their numbers.
struct NatsBrowser {
    stream: stream::Stream,
    next: u64,
    window: usize,
    waiting: FuturesOrdered<BoxFuture<'static, Result<Option<Bytes>>>>,
}

impl NatsBrowser {
    fn ask(&mut self) {
        let (stream, number) = (self.stream.clone(), self.next);
        self.next += 1;
        self.waiting.push_back(Box::pin(async move {
            match stream.direct_get(number).await {
                Ok(message) => Ok(Some(message.payload)),
                Err(error) if error.kind() == stream::DirectGetErrorKind::NotFound => Ok(None),
                Err(error) => Err(anyhow!("message {number}: {error}")),
            }
        }));
    }
}

impl Consumer for NatsBrowser {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while bodies.is_empty() {
                while self.waiting.len() < self.window {
                    self.ask();
                }
                let mut next = self.waiting.next().await;
                while let Some(body) = next {
                    match body? {
                        Some(body) => bodies.push(body),
                        // The end: what was asked for beyond it is not there either.
                        None => {
                            self.waiting.clear();
                            self.next = 1;
                        }
                    }
                    next = self.waiting.next().now_or_never().flatten();
                }
            }
            Ok(())
        })
    }
}

struct NatsPatient {
    context: Context,
    subject: String,
    next: u64,
}

impl Patient for NatsPatient {
    fn put(&mut self, body: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.next += 1;
            let id = self.next.to_string();
            loop {
                let message = PublishMessage::build().payload(body.clone()).message_id(&id);
                if let Ok(answer) = self.context.send_publish(self.subject.clone(), message).await
                    && let Ok(Ok(_)) =
                        tokio::time::timeout(Duration::from_millis(500), answer.into_future()).await
                {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    }
}
