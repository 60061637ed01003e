//! RabbitMQ: three nodes and quorum queues with three members, in the folder where `competitors` installed it.

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
use crate::competitors;
use crate::process::Server;

const START_PATIENCE: Duration = Duration::from_secs(150);
const PERSISTENT: u8 = 2;

pub struct RabbitMq {
    root: PathBuf,
    /// In `root`, on the same disk as everything.
    cluster: Cluster,
    /// Flow control opened up, as its makers do for benchmarks.
    best: bool,
    /// The Erlang port mapper, one for all nodes of a network.
    mappers: Vec<Server>,
    ports: Vec<u16>,
    distribution_ports: Vec<u16>,
    mapper_port: u16,
    /// Which node leads a queue: the one it was declared at.
    homes: HashMap<String, usize>,
}

impl RabbitMq {
    pub fn new(place: &Place, best: bool) -> Result<RabbitMq> {
        let root = competitors::rabbitmq_root()?;
        Ok(RabbitMq {
            cluster: Cluster::within(&root.join("var/rmq"), "bench", place.apart)?,
            root,
            best,
            mappers: Vec::new(),
            ports: Vec::new(),
            distribution_ports: Vec::new(),
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
    fn command(&self, server: usize, line: &str) -> Result<Command> {
        let mut command = Command::new("unshare");
        let root = self.root.display();
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]);
        let mut name_machine = String::new();
        if self.cluster.is_apart() {
            // The nodes answer RabbitMQ's programs by the name of the machine they run on.
            command.arg("--uts");
            name_machine = format!("hostname {} && ", self.host_name(server));
        }
        command.args(["sh", "-c"]);
        command.arg(format!(
            "{name_machine}mount -t proc proc '{root}/proc' && exec chroot '{root}' /usr/bin/env -i HOME={home} LANG=C.UTF-8 \
             PATH=/usr/sbin:/usr/bin:/sbin:/bin ERL_EPMD_ADDRESS={host} ERL_EPMD_PORT={mapper} {line}",
            home = self.inside(),
            host = self.cluster.host(server),
            mapper = self.mapper_port,
        ));
        self.cluster.move_in(server, &mut command)?;
        Ok(command)
    }

    /// What nodes call each other's machine.
    fn host_name(&self, server: usize) -> String {
        if self.cluster.is_apart() { format!("bench{server}") } else { "localhost".into() }
    }

    async fn connect(&self, server: usize) -> Result<Connection> {
        connect(&self.cluster.host(server), self.ports[server]).await
    }

    async fn launch(&mut self) -> Result<()> {
        let ports = self.cluster.ports(7)?;
        self.ports = ports[..3].to_vec();
        self.distribution_ports = ports[3..6].to_vec();
        self.mapper_port = ports[6];
        self.write_cookie()?;
        let name = fs::read_to_string("/proc/sys/kernel/hostname")?;
        let mut hosts = format!("127.0.0.1 localhost {}\n", name.trim());
        if self.cluster.is_apart() {
            (0..3).for_each(|index| {
                hosts.push_str(&format!("{} {}\n", self.cluster.host(index), self.host_name(index)));
            });
        }
        fs::write(self.root.join("etc/hosts"), hosts)?;

        for index in 0..if self.cluster.is_apart() { 3 } else { 1 } {
            let (host, port) = (self.cluster.host(index), self.mapper_port);
            let mapper = self.command(index, &format!("/usr/bin/epmd -address {host} -port {port}"))?;
            self.mappers.push(Server::start(mapper, self.cluster.file(&format!("epmd{index}.log")))?);
            let reach = || async { Ok(TcpStream::connect((&host[..], port)).await?) };
            self.cluster.until("Erlang's port mapper does not answer", START_PATIENCE, reach).await?;
        }

        // All of them together: a node that finds none of the others alive goes on asking for a long time.
        (0..3).try_for_each(|index| self.start_node(index))?;
        for (index, port) in self.ports.clone().into_iter().enumerate() {
            let what = format!("node {index} does not serve");
            let host = self.cluster.host(index);
            self.cluster.until(&what, START_PATIENCE, || connect(&host, port)).await?;
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

    fn start_node(&mut self, index: usize) -> Result<()> {
        let base = format!("{}/n{index}", self.inside());
        let outside = self.cluster.file(&format!("n{index}"));
        fs::create_dir_all(outside.join("log"))?;
        fs::write(outside.join("plugins"), "[].\n")?;
        fs::write(outside.join("rabbitmq.conf"), self.configuration())?;
        let mut advanced = String::new();
        if self.best {
            fs::write(outside.join("advanced.config"), ADVANCED)?;
            advanced = format!("RABBITMQ_ADVANCED_CONFIG_FILE={base}/advanced.config");
        }
        let line = format!(
            "RABBITMQ_NODENAME=rmq{index}@{name} RABBITMQ_NODE_IP_ADDRESS={host} RABBITMQ_NODE_PORT={port} \
             RABBITMQ_DIST_PORT={distribution} RABBITMQ_MNESIA_BASE={base} RABBITMQ_LOG_BASE={base}/log \
             RABBITMQ_PID_FILE={base}/pid RABBITMQ_ENABLED_PLUGINS_FILE={base}/plugins \
             RABBITMQ_CONFIG_FILE={base}/rabbitmq.conf {advanced} \
             'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {{{interface}}} +sbwt none +sbwtdcpu \
             none +sbwtdio none' /usr/lib/rabbitmq/bin/rabbitmq-server",
            name = self.host_name(index),
            host = self.cluster.host(index),
            port = self.ports[index],
            distribution = self.distribution_ports[index],
            interface = self.cluster.host(index).replace('.', ","),
        );
        let command = self.command(index, &line)?;
        self.cluster.start(index, &format!("n{index}"), command)
    }

    fn configuration(&self) -> String {
        let mut text = String::from(
            "cluster_name = bench\ncluster_formation.peer_discovery_backend = classic_config\n\
             default_queue_type = quorum\nquorum_queue.initial_cluster_size = 3\nlog.file.level = warning\n\
             disk_free_limit.absolute = 1GB\nloopback_users = none\n",
        );
        for peer in 0..3 {
            text.push_str(&format!(
                "cluster_formation.classic_config.nodes.{} = rmq{peer}@{}\n",
                peer + 1,
                self.host_name(peer)
            ));
        }
        if self.best {
            text.push_str("quorum_queue.commands_soft_limit = 256\n");
        }
        text
    }

    /// What one of RabbitMQ's own programs prints, asking this node.
    fn control(&self, server: usize, program: &str, line: &str) -> Result<String> {
        let name = self.host_name(server);
        let line = format!("/usr/lib/rabbitmq/bin/{program} -n rmq{server}@{name} {line}");
        let output = self.command(server, &line)?.output()?;
        ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Where clients of a queue connect.
    fn home(&self, queue: &str) -> Result<usize> {
        self.homes.get(queue).copied().with_context(|| format!("queue {queue} was not created"))
    }
}

const ADVANCED: &str = "[{rabbit,[{credit_flow_default_credit,{5000,2500}},{max_link_credit,2000},\
                        {max_queue_credit,5000}]}].\n";

/// Of what `quorum_status` says: every member's last entry, where it is known.
fn is_member_in_sync(status: &str, node: &str) -> Result<bool> {
    let members: Vec<serde_json::Value> = serde_json::from_str(status).context("read quorum_status")?;
    let last = |member: &serde_json::Value| member["Last Log Index"].as_i64();
    let highest = members.iter().filter_map(last).max();
    let member = members.iter().find(|member| member["Node Name"] == node);
    let own = member.and_then(last);
    Ok(own.is_some() && own == highest)
}

async fn connect(host: &str, port: u16) -> Result<Connection> {
    let address = format!("amqp://guest:guest@{host}:{port}/%2f");
    Ok(Connection::connect(&address, ConnectionProperties::default()).await?)
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
                competitors::version_of("rabbitmq-server"),
                competitors::version_of("erlang-base")
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
            let channel = self.connect(index).await?.create_channel().await?;
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            arguments.insert("x-queue-leader-locator".into(), AMQPValue::LongString("client-local".into()));
            let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue.into(), options, arguments).await?;
            let first = self.homes.is_empty();
            self.homes.insert(queue.to_string(), index);
            if first {
                let text =
                    self.control(0, "rabbitmqctl", "list_queues --quiet --no-table-headers name members")?;
                let members = text.matches("rmq").count();
                ensure!(members == 3, "queue {queue} has {members} members in place of 3: {text}");
            }
            Ok(())
        })
    }

    fn delete_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let channel = self.connect(self.home(queue)?).await?.create_channel().await?;
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
            let connection = self.connect(self.home(queue)?).await?;
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
            let connection = self.connect(self.home(queue)?).await?;
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

    fn leader<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            let text =
                self.control(0, "rabbitmqctl", "list_queues --quiet --no-table-headers name leader")?;
            let line = text.lines().find(|line| line.starts_with(queue)).context("no such queue")?;
            let node = line.split("rmq").nth(1).and_then(|rest| rest.chars().next()?.to_digit(10));
            let index = node.with_context(|| format!("queue {queue} has no leader: {line}"))?;
            Ok(index as usize)
        })
    }

    fn rejoin(&mut self, server: usize) -> Result<()> {
        self.start_node(server)
    }

    fn is_in_sync<'a>(&'a mut self, queue: &'a str, server: usize) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let line = format!("quorum_status --quiet --formatter json {queue}");
            let text = self.control(self.home(queue)?, "rabbitmq-queues", &line)?;
            is_member_in_sync(&text, &format!("rmq{server}@{}", self.host_name(server)))
        })
    }

    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>> {
        Box::pin(async move {
            let index = (self.leader(queue).await? + 1) % 3;
            let mut patient = RabbitPatient {
                host: self.cluster.host(index),
                port: self.ports[index],
                queue: queue.to_string(),
                link: None,
            };
            patient.link = Some(patient.reconnect().await?);
            Ok(Box::new(patient) as Box<dyn Patient>)
        })
    }

    fn stop(&mut self) -> Result<()> {
        self.cluster.stop()?;
        self.mappers.clear();
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
}

struct RabbitPatient {
    host: String,
    port: u16,
    queue: String,
    link: Option<(Connection, Channel)>,
}

impl RabbitPatient {
    async fn reconnect(&self) -> Result<(Connection, Channel)> {
        let connection = connect(&self.host, self.port).await?;
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
