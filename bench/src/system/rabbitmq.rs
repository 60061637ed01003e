//! RabbitMQ: three nodes and quorum queues with three members, in the folder where `peers` installed it.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

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
use tempfile::TempDir;

use super::{About, Consumer, ConsumerOptions, Patient, Place, Producer, System};
use crate::peers;
use crate::process::{Server, free_ports, listener_of, signal};

const START_PATIENCE: Duration = Duration::from_secs(120);
const PERSISTENT: u8 = 2;

pub struct RabbitMq {
    root: PathBuf,
    /// In `root`, on the same disk as everything.
    directory: TempDir,
    /// Flow control opened up, as its makers do for benchmarks.
    best: bool,
    shells: Vec<Server>,
    nodes: Vec<u32>,
    ports: Vec<u16>,
    names_port: u16,
    /// Which node leads a queue: the one it was declared at.
    homes: HashMap<String, usize>,
}

impl RabbitMq {
    pub fn new(_place: &Place, best: bool) -> Result<RabbitMq> {
        let root = peers::rabbitmq_root()?;
        let parent = root.join("var/rmq");
        fs::create_dir_all(&parent)?;
        Ok(RabbitMq {
            directory: tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?,
            root,
            best,
            shells: Vec::new(),
            nodes: Vec::new(),
            ports: Vec::new(),
            names_port: 0,
            homes: HashMap::new(),
        })
    }

    /// The cluster's directory as it is called inside.
    fn inside(&self) -> String {
        let name = self.directory.path().file_name().expect("a directory has a name").to_string_lossy();
        format!("/var/rmq/{name}")
    }

    /// A program inside the folder, with a /proc of its own that vanishes with it.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("unshare");
        let root = self.root.display();
        command.args(["--mount", "--propagation", "private", "sh", "-c"]).arg(format!(
            "mount -t proc proc '{root}/proc' && exec chroot '{root}' /usr/bin/env -i HOME={home} LANG=C.UTF-8 \
             PATH=/usr/sbin:/usr/bin:/sbin:/bin ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT={names} {line}",
            home = self.inside(),
            names = self.names_port,
        ));
        command
    }

    async fn launch(&mut self) -> Result<()> {
        let ports = free_ports(7)?;
        self.ports = ports[..3].to_vec();
        self.names_port = ports[6];
        let home = self.directory.path();
        let name = fs::read_to_string("/proc/sys/kernel/hostname")?;
        fs::write(self.root.join("etc/hosts"), format!("127.0.0.1 localhost {}\n", name.trim()))?;
        fs::write(home.join(".erlang.cookie"), "BENCHBENCHBENCHBENCH")?;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(home.join(".erlang.cookie"), fs::Permissions::from_mode(0o400))?;
        // All of them together: a node that finds none of the others alive goes on asking for a long time.
        for index in 0..3 {
            self.start_node(index, ports[3 + index])?;
        }
        for index in 0..3 {
            self.wait_for(index).await?;
        }
        Ok(())
    }

    fn start_node(&mut self, index: usize, distribution: u16) -> Result<()> {
        let base = format!("{}/n{index}", self.inside());
        let outside = self.directory.path().join(format!("n{index}"));
        fs::create_dir_all(outside.join("log"))?;
        fs::write(outside.join("plugins"), "[].\n")?;
        let mut config = String::from(
            "cluster_name = bench\ncluster_formation.peer_discovery_backend = classic_config\n\
             default_queue_type = quorum\nquorum_queue.initial_cluster_size = 3\nlog.file.level = warning\n\
             disk_free_limit.absolute = 1GB\n",
        );
        for peer in 0..3 {
            config.push_str(&format!(
                "cluster_formation.classic_config.nodes.{} = rmq{peer}@localhost\n",
                peer + 1
            ));
        }
        if self.best {
            config.push_str("quorum_queue.commands_soft_limit = 256\n");
            fs::write(
                outside.join("advanced.config"),
                "[{rabbit,[{credit_flow_default_credit,{5000,2500}},{max_link_credit,2000},\
                 {max_queue_credit,5000}]}].\n",
            )?;
        }
        fs::write(outside.join("rabbitmq.conf"), config)?;
        let advanced = if self.best {
            format!("RABBITMQ_ADVANCED_CONFIG_FILE={base}/advanced.config")
        } else {
            String::new()
        };
        let line = format!(
            "RABBITMQ_NODENAME=rmq{index}@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT={port} \
             RABBITMQ_DIST_PORT={distribution} RABBITMQ_MNESIA_BASE={base} RABBITMQ_LOG_BASE={base}/log \
             RABBITMQ_PID_FILE={base}/pid RABBITMQ_ENABLED_PLUGINS_FILE={base}/plugins \
             RABBITMQ_CONFIG_FILE={base}/rabbitmq.conf {advanced} \
             'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {{127,0,0,1}} +sbwt none +sbwtdcpu \
             none +sbwtdio none' /usr/lib/rabbitmq/bin/rabbitmq-server",
            port = self.ports[index],
        );
        let log = self.directory.path().join(format!("n{index}.out"));
        self.shells.push(Server::start(self.command(&line), log)?);
        Ok(())
    }

    async fn wait_for(&mut self, index: usize) -> Result<()> {
        let started = Instant::now();
        loop {
            self.shells[index].check_alive()?;
            if connect(self.ports[index]).await.is_ok() {
                self.nodes.push(listener_of(self.ports[index])?);
                return Ok(());
            }
            ensure!(
                started.elapsed() < START_PATIENCE,
                "node {index} does not serve after {} s: {}",
                START_PATIENCE.as_secs(),
                super::tail(&self.shells[index].log)
            );
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    fn control(&self, line: &str) -> Result<Output> {
        Ok(self.command(&format!("/usr/lib/rabbitmq/bin/rabbitmqctl -n rmq0@localhost {line}")).output()?)
    }

    /// Where clients of a queue connect.
    fn home(&self, queue: &str) -> Result<u16> {
        let index = self.homes.get(queue).with_context(|| format!("queue {queue} was not created"))?;
        Ok(self.ports[*index])
    }
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

    fn servers(&self) -> Vec<u32> {
        self.nodes.clone()
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
                let output = self.control("list_queues --quiet --no-table-headers name members")?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
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
            let output = self.control("list_queues --quiet --no-table-headers name leader")?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let line = text.lines().find(|line| line.starts_with(queue)).context("no such queue")?;
            let node = line.split("rmq").nth(1).and_then(|rest| rest.chars().next()?.to_digit(10));
            let index = node.with_context(|| format!("queue {queue} has no leader: {line}"))?;
            Ok(self.nodes[index as usize])
        })
    }

    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>> {
        Box::pin(async move {
            let leader = self.leader(queue).await?;
            let index = self.nodes.iter().position(|pid| *pid != leader).context("one node leads")?;
            let mut patient = RabbitPatient { port: self.ports[index], queue: queue.to_string(), link: None };
            patient.link = Some(patient.reconnect().await?);
            Ok(Box::new(patient) as Box<dyn Patient>)
        })
    }

    fn directory(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }

    fn stop(&mut self) -> Result<()> {
        for pid in self.nodes.drain(..).rev() {
            // One that was killed is gone already.
            let _ = signal(pid, libc::SIGCONT);
            let _ = signal(pid, libc::SIGTERM);
        }
        let asked = Instant::now();
        for shell in &mut self.shells {
            while shell.check_alive().is_ok() && asked.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        self.shells.clear();
        if let Ok(names) = listener_of(self.names_port) {
            signal(names, libc::SIGTERM)?;
        }
        self.homes.clear();
        Ok(())
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        for pid in self.nodes.drain(..) {
            let _ = signal(pid, libc::SIGKILL);
        }
        self.shells.clear();
        if self.names_port != 0
            && let Ok(names) = listener_of(self.names_port)
        {
            let _ = signal(names, libc::SIGTERM);
        }
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
