//! RabbitMQ: three nodes and quorum queues with three members, in the folder where `peers` installed it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::net::TcpStream;

use super::{About, Consumer, ConsumerOptions, Patient, Place, Producer, System};
use crate::cluster::Cluster;
use crate::peers;
use crate::process::Server;

const START_PATIENCE: Duration = Duration::from_secs(150);
const PERSISTENT: u8 = 2;

pub struct RabbitMq {
    root: PathBuf,
    /// In `root`, on the same disk as everything.
    cluster: Cluster,
    /// Flow control opened up, as its makers do for benchmarks.
    best: bool,
    /// The Erlang port mapper, which all nodes share.
    mapper: Option<Server>,
    ports: Vec<u16>,
    mapper_port: u16,
    /// Which node leads a queue: the one it was declared at.
    homes: HashMap<String, usize>,
}

impl RabbitMq {
    pub fn new(_place: &Place, best: bool) -> Result<RabbitMq> {
        let root = peers::rabbitmq_root()?;
        Ok(RabbitMq {
            cluster: Cluster::within(&root.join("var/rmq"), "bench")?,
            root,
            best,
            mapper: None,
            ports: Vec::new(),
            mapper_port: 0,
            homes: HashMap::new(),
        })
    }

    /// The cluster's directory as it is called inside.
    fn inside(&self) -> String {
        let name = self.cluster.path().file_name().expect("a directory has a name").to_string_lossy();
        format!("/var/rmq/{name}")
    }

    /// A program inside the folder. It has process numbers and a /proc of its own, so that all of its children end with
    /// it, however it ends.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("unshare");
        let root = self.root.display();
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c"]);
        command.arg(format!(
            "mount -t proc proc '{root}/proc' && exec chroot '{root}' /usr/bin/env -i HOME={home} LANG=C.UTF-8 \
             PATH=/usr/sbin:/usr/bin:/sbin:/bin ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT={mapper} {line}",
            home = self.inside(),
            mapper = self.mapper_port,
        ));
        command
    }

    async fn launch(&mut self) -> Result<()> {
        let ports = self.cluster.ports(7)?;
        self.ports = ports[..3].to_vec();
        self.mapper_port = ports[6];
        self.write_cookie()?;
        let name = fs::read_to_string("/proc/sys/kernel/hostname")?;
        fs::write(self.root.join("etc/hosts"), format!("127.0.0.1 localhost {}\n", name.trim()))?;

        let mapper = self.command(&format!("/usr/bin/epmd -address 127.0.0.1 -port {}", self.mapper_port));
        self.mapper = Some(Server::start(mapper, self.cluster.file("epmd.log"))?);
        let port = self.mapper_port;
        let reach = || async move { Ok(TcpStream::connect(("127.0.0.1", port)).await?) };
        self.cluster.until("Erlang's port mapper does not answer", START_PATIENCE, reach).await?;

        // All of them together: a node that finds none of the others alive goes on asking for a long time.
        for index in 0..3 {
            self.start_node(index, ports[3 + index])?;
        }
        for (index, port) in self.ports.clone().into_iter().enumerate() {
            let what = format!("node {index} does not serve");
            self.cluster.until(&what, START_PATIENCE, || connect(port)).await?;
            self.cluster.adopt_listener(index, port)?;
        }
        Ok(())
    }

    /// The secret by which Erlang's nodes know each other.
    fn write_cookie(&self) -> Result<()> {
        let path = self.cluster.file(".erlang.cookie");
        if !path.exists() {
            fs::write(&path, "BENCHBENCHBENCHBENCH")?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o400))?;
        }
        Ok(())
    }

    fn start_node(&mut self, index: usize, distribution: u16) -> Result<()> {
        let base = format!("{}/n{index}", self.inside());
        let outside = self.cluster.file(&format!("n{index}"));
        fs::create_dir_all(outside.join("log"))?;
        fs::write(outside.join("plugins"), "[].\n")?;
        fs::write(outside.join("rabbitmq.conf"), configuration(self.best))?;
        let mut advanced = String::new();
        if self.best {
            fs::write(outside.join("advanced.config"), ADVANCED)?;
            advanced = format!("RABBITMQ_ADVANCED_CONFIG_FILE={base}/advanced.config");
        }
        let line = format!(
            "RABBITMQ_NODENAME=rmq{index}@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT={port} \
             RABBITMQ_DIST_PORT={distribution} RABBITMQ_MNESIA_BASE={base} RABBITMQ_LOG_BASE={base}/log \
             RABBITMQ_PID_FILE={base}/pid RABBITMQ_ENABLED_PLUGINS_FILE={base}/plugins \
             RABBITMQ_CONFIG_FILE={base}/rabbitmq.conf {advanced} \
             'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {{127,0,0,1}} +sbwt none +sbwtdcpu \
             none +sbwtdio none' /usr/lib/rabbitmq/bin/rabbitmq-server",
            port = self.ports[index],
        );
        let command = self.command(&line);
        self.cluster.start(&format!("n{index}"), command)
    }

    /// What rabbitmqctl prints.
    fn control(&self, line: &str) -> Result<String> {
        let mut command =
            self.command(&format!("/usr/lib/rabbitmq/bin/rabbitmqctl -n rmq0@localhost {line}"));
        let output = command.output()?;
        ensure!(
            output.status.success(),
            "rabbitmqctl {line}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Where clients of a queue connect.
    fn home(&self, queue: &str) -> Result<u16> {
        let index = self.homes.get(queue).with_context(|| format!("queue {queue} was not created"))?;
        Ok(self.ports[*index])
    }
}

const ADVANCED: &str = "[{rabbit,[{credit_flow_default_credit,{5000,2500}},{max_link_credit,2000},\
                        {max_queue_credit,5000}]}].\n";

fn configuration(best: bool) -> String {
    let mut text = String::from(
        "cluster_name = bench\ncluster_formation.peer_discovery_backend = classic_config\n\
         default_queue_type = quorum\nquorum_queue.initial_cluster_size = 3\nlog.file.level = warning\n\
         disk_free_limit.absolute = 1GB\n",
    );
    for peer in 0..3 {
        text.push_str(&format!(
            "cluster_formation.classic_config.nodes.{} = rmq{peer}@localhost\n",
            peer + 1
        ));
    }
    if best {
        text.push_str("quorum_queue.commands_soft_limit = 256\n");
    }
    text
}

async fn connect(port: u16) -> Result<Connection> {
    Ok(Connection::connect(
        &format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
        ConnectionProperties::default(),
    )
    .await?)
}

impl System for RabbitMq {
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
        let settings = match self.best {
            false => "default settings, each message acknowledged",
            true => {
                "credit_flow_default_credit {5000,2500}, max_link_credit 2000, max_queue_credit 5000, \
                 commands_soft_limit 256, messages acknowledged in groups"
            }
        };
        About {
            name: if self.best { "rabbitmq-best" } else { "rabbitmq" }.into(),
            version: format!(
                "RabbitMQ {}, Erlang {}",
                peers::version_of("rabbitmq-server"),
                peers::version_of("erlang-base")
            ),
            settings: format!(
                "3 nodes, quorum queues of 3, persistent messages with confirms, {settings}; schedulers do not spin; \
                 clients connect to the queue's leader; lapin"
            ),
            durable: true,
            copies: 3,
        }
    }

    fn create_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let index = self.homes.len() % 3;
            let channel = connect(self.ports[index]).await?.create_channel().await?;
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            arguments.insert("x-queue-leader-locator".into(), AMQPValue::LongString("client-local".into()));
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue.into(), options, arguments).await?;
            let first = self.homes.is_empty();
            self.homes.insert(queue.to_string(), index);
            if first {
                let text = self.control("list_queues --quiet --no-table-headers name members")?;
                let members = text.matches("rmq").count();
                ensure!(members == 3, "queue {queue} has {members} members in place of 3: {text}");
            }
            Ok(())
        })
    }

    fn delete_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let channel = connect(self.home(queue)?).await?.create_channel().await?;
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
            Ok(())
        })
    }

    fn producer<'a>(
        &'a mut self,
        queue: &'a str,
        _window: usize,
    ) -> BoxFuture<'a, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            let connection = connect(self.home(queue)?).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let queue = queue.to_string();
            let producer =
                RabbitProducer { _connection: connection, channel, queue, waiting: FuturesUnordered::new() };
            Ok(Box::new(producer) as Box<dyn Producer>)
        })
    }

    fn consumer<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            let connection = connect(self.home(queue)?).await?;
            let channel = connection.create_channel().await?;
            let prefetch = options.window.min(u16::MAX as usize) as u16;
            channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
            let consume = channel.basic_consume(
                queue.into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            let messages = consume.await?;
            let consumer = RabbitConsumer {
                _connection: connection,
                messages,
                batch: options.window,
                grouped: self.best || options.unit > 0,
            };
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn leader<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<u32>> {
        Box::pin(async move {
            let text = self.control("list_queues --quiet --no-table-headers name leader")?;
            let line = text.lines().find(|line| line.starts_with(queue)).context("no such queue")?;
            let node = line.split("rmq").nth(1).and_then(|rest| rest.chars().next()?.to_digit(10));
            let index = node.with_context(|| format!("queue {queue} has no leader: {line}"))?;
            Ok(self.cluster.pids()[index as usize])
        })
    }

    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>> {
        Box::pin(async move {
            let leader = self.leader(queue).await?;
            let others = self.cluster.pids().into_iter().position(|pid| pid != leader);
            let index = others.context("one node leads")?;
            let mut patient = RabbitPatient { port: self.ports[index], queue: queue.to_string(), link: None };
            patient.link = Some(patient.reconnect().await?);
            Ok(Box::new(patient) as Box<dyn Patient>)
        })
    }

    fn stop(&mut self) -> Result<()> {
        self.cluster.stop()?;
        self.mapper = None;
        Ok(())
    }
}

struct RabbitProducer {
    _connection: Connection,
    channel: Channel,
    queue: String,
    waiting: FuturesUnordered<BoxFuture<'static, (u64, Result<()>)>>,
}

impl Producer for RabbitProducer {
    fn send<'a>(&'a mut self, first: u64, bodies: &'a [Bytes]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for (number, body) in (first..).zip(bodies) {
                let confirm = publish(&self.channel, &self.queue, body).await?;
                self.waiting.push(Box::pin(async move { (number, confirmed(confirm.await)) }));
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

async fn publish(channel: &Channel, queue: &str, body: &[u8]) -> lapin::Result<lapin::PublisherConfirm> {
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body, properties).await
}

fn confirmed(confirmation: lapin::Result<lapin::Confirmation>) -> Result<()> {
    match confirmation? {
        lapin::Confirmation::Ack(None) => Ok(()),
        other => bail!("the node did not accept a message: {other:?}"),
    }
}

struct RabbitConsumer {
    _connection: Connection,
    messages: lapin::Consumer,
    batch: usize,
    /// One acknowledgement for all messages that arrived together.
    grouped: bool,
}

impl Consumer for RabbitConsumer {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut last: Option<Delivery> = None;
            let mut next = self.messages.next().await;
            loop {
                let delivery = next.context("the node ended the delivery")??;
                bodies.push(Bytes::copy_from_slice(&delivery.data));
                if self.grouped {
                    last = Some(delivery);
                } else {
                    delivery.acker.ack(BasicAckOptions::default()).await?;
                }
                if bodies.len() >= self.batch {
                    break;
                }
                match self.messages.next().now_or_never() {
                    None => break,
                    Some(more) => next = more,
                }
            }
            if let Some(delivery) = last {
                delivery.acker.ack(BasicAckOptions { multiple: true }).await?;
            }
            Ok(())
        })
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

struct RabbitPatient {
    port: u16,
    queue: String,
    link: Option<(Connection, Channel)>,
}

impl RabbitPatient {
    async fn reconnect(&self) -> Result<(Connection, Channel)> {
        let connection = connect(self.port).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok((connection, channel))
    }

    async fn try_put(&mut self, body: &[u8]) -> Result<()> {
        if self.link.is_none() {
            self.link = Some(self.reconnect().await?);
        }
        let (_, channel) = self.link.as_ref().expect("connected above");
        let confirm = publish(channel, &self.queue, body).await?;
        confirmed(confirm.await)
    }
}

impl Patient for RabbitPatient {
    fn put(&mut self, body: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            // Its node repeats what a leader that died did not confirm, so there is nothing to hurry for.
            while let Err(_broken) = self.try_put(&body).await {
                self.link = None;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        })
    }
}
