//! Kafka: three nodes, each broker and controller; a queue is a topic with a few partitions, taken by a consumer group that
//! commits its offsets for every batch of messages it was given.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{About, Consumer, ConsumerOptions, Patient, Place, Producer, System};
use crate::cluster::Cluster;
use crate::competitors::{self, KAFKA_VERSION};

const START_PATIENCE: Duration = Duration::from_secs(120);
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);
/// Of a queue. So many consumers can share it.
const PARTITIONS: i32 = 4;
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
const GROUP: &str = "bench";
/// Any 16 bytes in base 64; all nodes have the same.
const CLUSTER_ID: &str = "VHJpbWFyYW5CZW5jaDAwMQ";
/// What Kafka's own start script gives to Java.
const JAVA: [&str; 6] = [
    "-Xmx1G",
    "-Xms1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
];

pub struct Kafka {
    libraries: PathBuf,
    cluster: Cluster,
    /// `log.flush.interval.messages=1`; without, the system's page cache is the only copy for a while.
    synced: bool,
    bootstrap: String,
    /// Producers made for a queue so far; they take its partitions in turn.
    producers: HashMap<String, i32>,
}

impl Kafka {
    pub fn new(place: &Place, synced: bool) -> Result<Kafka> {
        Ok(Kafka {
            libraries: competitors::kafka_libraries()?,
            cluster: Cluster::within(&place.work, "kafka", place.apart)?,
            synced,
            bootstrap: String::new(),
            producers: HashMap::new(),
        })
    }

    fn java(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("java");
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        command.arg("-cp").arg(self.libraries.join("*")).args(arguments);
        command
    }

    async fn launch(&mut self) -> Result<()> {
        let ports = self.cluster.ports(6)?;
        let (clients, controllers) = ports.split_at(3);
        self.bootstrap = self.addresses(clients).join(",");
        for index in 0..3 {
            let data = self.cluster.file(&format!("n{index}"));
            let config = self.cluster.file(&format!("n{index}.properties"));
            let fresh = !data.exists();
            fs::write(&config, self.properties(index, clients, controllers, &data.to_string_lossy()))?;
            if fresh {
                let mut format = self.java(&["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
                let output = format.arg(&config).output().context("start java")?;
                ensure!(
                    output.status.success(),
                    "formatting Kafka's directory: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
        }
        (0..3).try_for_each(|index| self.start_node(index))?;
        let config = self.client();
        let probe = || {
            let config = config.clone();
            async move {
                let admin: AdminClient<DefaultClientContext> = config.create()?;
                create_topic(&admin, "PROBE", 1).await?;
                delete_topic(&admin, "PROBE").await
            }
        };
        self.cluster.until("Kafka does not serve", START_PATIENCE, probe).await
    }

    fn addresses(&self, ports: &[u16]) -> Vec<String> {
        (0..3).map(|index| format!("{}:{}", self.cluster.host(index), ports[index])).collect()
    }

    fn start_node(&mut self, index: usize) -> Result<()> {
        let mut command = self.java(&JAVA);
        command.arg("kafka.Kafka").arg(self.cluster.file(&format!("n{index}.properties")));
        self.cluster.start(index, &format!("n{index}"), command)
    }

    fn properties(&self, index: usize, clients: &[u16], controllers: &[u16], data: &str) -> String {
        let (clients, controllers) = (self.addresses(clients), self.addresses(controllers));
        let voters: Vec<String> = (0..3).map(|index| format!("{index}@{}", controllers[index])).collect();
        let flush = if self.synced { "log.flush.interval.messages=1\n" } else { "" };
        format!(
            "process.roles=broker,controller\nnode.id={index}\ncontroller.quorum.voters={voters}\n\
             listeners=PLAINTEXT://{client},CONTROLLER://{controller}\n\
             advertised.listeners=PLAINTEXT://{client}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={data}\n\
             default.replication.factor=3\nmin.insync.replicas=2\noffsets.topic.replication.factor=3\n\
             offsets.topic.num.partitions=3\ntransaction.state.log.replication.factor=3\n\
             auto.create.topics.enable=false\nmessage.max.bytes={MESSAGE_BYTES_MAX}\n\
             replica.fetch.max.bytes={MESSAGE_BYTES_MAX}\n{flush}",
            voters = voters.join(","),
            client = clients[index],
            controller = controllers[index],
        )
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
        config
    }

    fn producer_config(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("acks", "all").set("message.timeout.ms", "60000");
        // A message alone leaves at once; under load batches form while the one before is on its way.
        config.set("linger.ms", "0").set("queue.buffering.max.messages", "200000");
        config
    }

    fn consumer_config(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("group.id", GROUP).set("enable.auto.commit", "false");
        config.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
        config.set("fetch.message.max.bytes", MESSAGE_BYTES_MAX.to_string());
        config
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }
}

async fn create_topic(admin: &AdminClient<DefaultClientContext>, name: &str, partitions: i32) -> Result<()> {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(3));
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_PATIENCE));
    for result in admin.create_topics([&topic], &options).await? {
        result.map_err(|(name, code)| anyhow!("create topic {name}: {code}"))?;
    }
    Ok(())
}

async fn delete_topic(admin: &AdminClient<DefaultClientContext>, name: &str) -> Result<()> {
    let options = AdminOptions::new().operation_timeout(Some(ANSWER_PATIENCE));
    for result in admin.delete_topics(&[name], &options).await? {
        result.map_err(|(name, code)| anyhow!("delete topic {name}: {code}"))?;
    }
    Ok(())
}

/// The node that leads each partition of a topic.
fn leaders(admin: &AdminClient<DefaultClientContext>, queue: &str) -> Result<Vec<i32>> {
    let metadata = admin.inner().fetch_metadata(Some(queue), ANSWER_PATIENCE)?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == queue).context("no such topic")?;
    Ok(topic.partitions().iter().map(|partition| partition.leader()).collect())
}

impl System for Kafka {
    fn about(&self) -> About {
        let flush = match self.synced {
            true => "log.flush.interval.messages=1 (each replica syncs what it appends)",
            false => "default flush settings: NOT DURABLE, acknowledged before any sync",
        };
        About {
            name: if self.synced { "kafka" } else { "kafka-default" }.into(),
            version: format!("Kafka {KAFKA_VERSION}, {}", competitors::java_version()),
            settings: format!(
                "3 nodes (KRaft), replication 3, min.insync.replicas=2, acks=all, linger.ms=0, {flush}; a queue is a topic \
                 of {PARTITIONS} partitions, so at most {PARTITIONS} consumers share it; a group with fixed partitions \
                 commits its offsets for each batch it was given, which costs less than acknowledging each message; 1 GB \
                 heap each, as Kafka's script has it; librdkafka"
            ),
            durable: self.synced,
            copies: 3,
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
        Box::pin(async move {
            let admin = self.admin()?;
            create_topic(&admin, queue, PARTITIONS).await?;
            let admin = &admin;
            let led = || async move {
                let leaders = leaders(admin, queue)?;
                ensure!(leaders.len() == PARTITIONS as usize && !leaders.contains(&-1), "{leaders:?}");
                Ok(())
            };
            self.cluster.until("a topic has no leaders", ANSWER_PATIENCE, led).await
        })
    }

    fn delete_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { delete_topic(&self.admin()?, queue).await })
    }

    fn producer<'a>(
        &'a mut self,
        queue: &'a str,
        _window: usize,
    ) -> BoxFuture<'a, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            let made = self.producers.entry(queue.to_string()).or_default();
            let partition = *made % PARTITIONS;
            *made += 1;
            let producer: FutureProducer = self.producer_config().create()?;
            let waiting = FuturesUnordered::new();
            let queue = queue.to_string();
            Ok(Box::new(KafkaProducer { producer, queue, partition, waiting }) as Box<dyn Producer>)
        })
    }

    fn consumer<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let (index, count) = (options.index as i32, options.count as i32);
            let consumer: StreamConsumer = self.consumer_config().create()?;
            let mut partitions = TopicPartitionList::new();
            for partition in (0..PARTITIONS).filter(|partition| partition % count == index) {
                partitions.add_partition_offset(queue, partition, Offset::Stored)?;
            }
            consumer.assign(&partitions)?;
            let batch = options.window;
            let consumer = KafkaConsumer { consumer, batch, partitions, browses: false };
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn browser<'a>(&'a mut self, queue: &'a str, window: usize) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let consumer: StreamConsumer = self.consumer_config().create()?;
            let mut partitions = TopicPartitionList::new();
            for partition in 0..PARTITIONS {
                partitions.add_partition_offset(queue, partition, Offset::Beginning)?;
            }
            consumer.assign(&partitions)?;
            let consumer = KafkaConsumer { consumer, batch: window, partitions, browses: true };
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn leader<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<usize>> {
        // Of the partition that the first producer takes.
        Box::pin(async move { Ok(leaders(&self.admin()?, queue)?[0] as usize) })
    }

    fn rejoin(&mut self, server: usize) -> Result<()> {
        self.start_node(server)
    }

    fn is_in_sync<'a>(&'a mut self, queue: &'a str, server: usize) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let metadata = self.admin()?.inner().fetch_metadata(Some(queue), ANSWER_PATIENCE)?;
            let topic =
                metadata.topics().iter().find(|topic| topic.name() == queue).context("no such topic")?;
            Ok(topic.partitions().iter().all(|partition| partition.isr().contains(&(server as i32))))
        })
    }

    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>> {
        Box::pin(async move {
            let producer: FutureProducer = self.producer_config().create()?;
            Ok(Box::new(KafkaPatient { producer, queue: queue.to_string() }) as Box<dyn Patient>)
        })
    }
}

struct KafkaProducer {
    producer: FutureProducer,
    queue: String,
    partition: i32,
    waiting: FuturesUnordered<BoxFuture<'static, (u64, Result<()>)>>,
}

impl Producer for KafkaProducer {
    fn send<'a>(&'a mut self, first: u64, bodies: &'a [Bytes]) -> BoxFuture<'a, Result<()>> {
        let result = (|| {
            for (number, body) in (first..).zip(bodies) {
                let record =
                    FutureRecord::<(), [u8]>::to(&self.queue).partition(self.partition).payload(&body[..]);
                let answer = self.producer.send_result(record).map_err(|(error, _)| error)?;
                self.waiting.push(Box::pin(async move {
                    let delivered = match answer.await {
                        Ok(Ok(_)) => Ok(()),
                        Ok(Err((error, _))) => Err(anyhow!("message {number}: {error}")),
                        Err(_) => Err(anyhow!("message {number}: the client library was closed")),
                    };
                    (number, delivered)
                }));
            }
            Ok(())
        })();
        Box::pin(std::future::ready(result))
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

struct KafkaConsumer {
    consumer: StreamConsumer,
    batch: usize,
    partitions: TopicPartitionList,
    /// Commits nothing and begins again at the front.
    browses: bool,
}

impl KafkaConsumer {
    /// Takes what is there and remembers how far it came.
    fn take(
        &self,
        message: Result<rdkafka::message::BorrowedMessage<'_>, KafkaError>,
        bodies: &mut Vec<Bytes>,
        done: &mut HashMap<i32, i64>,
    ) -> Result<()> {
        match message {
            Ok(message) => {
                bodies.push(Bytes::copy_from_slice(message.payload().context("a message without a body")?));
                done.insert(message.partition(), message.offset() + 1);
            }
            Err(KafkaError::PartitionEOF(partition)) if self.browses => {
                let partitions = self.partitions.elements();
                let element = partitions.iter().find(|element| element.partition() == partition);
                let topic = element.context("the end of a partition that is not ours")?.topic().to_string();
                self.consumer.seek(&topic, partition, Offset::Beginning, ANSWER_PATIENCE)?;
            }
            Err(KafkaError::PartitionEOF(_)) => {}
            Err(error) => bail!("{error}"),
        }
        Ok(())
    }
}

impl Consumer for KafkaConsumer {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut done = HashMap::new();
            while bodies.is_empty() {
                let mut next = Some(self.consumer.recv().await);
                while let Some(message) = next {
                    self.take(message, bodies, &mut done)?;
                    if bodies.len() >= self.batch {
                        break;
                    }
                    next = self.consumer.recv().now_or_never();
                }
            }
            if !self.browses {
                let mut offsets = TopicPartitionList::new();
                let partitions = self.partitions.elements();
                let topic = partitions[0].topic();
                for (partition, offset) in done {
                    offsets.add_partition_offset(topic, partition, Offset::Offset(offset))?;
                }
                self.consumer.commit(&offsets, CommitMode::Async)?;
            }
            Ok(())
        })
    }
}

struct KafkaPatient {
    producer: FutureProducer,
    queue: String,
}

impl Patient for KafkaPatient {
    fn put(&mut self, body: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            loop {
                let record = FutureRecord::<(), [u8]>::to(&self.queue).partition(0).payload(&body[..]);
                // The library itself tries again, for a minute.
                if self.producer.send(record, Duration::from_secs(1)).await.is_ok() {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    }
}
