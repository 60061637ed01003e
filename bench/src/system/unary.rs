//! Trimaran with one gRPC call a message: what programs pay that do not open a session.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tonic::transport::Channel;
use trimaran_proto::queue::v1::{self as wire, queue_client::QueueClient};

use super::through::Through;
use super::trimaran::{NO_MESSAGE, Trimaran, channel, message};
use super::{Consumer, ConsumerOptions, Place, Producer};

pub struct Unary {
    cluster: Trimaran,
}

impl Unary {
    pub fn new(place: &Place) -> Result<Unary> {
        Ok(Unary { cluster: Trimaran::new(place)? })
    }

    async fn client(&self) -> Result<QueueClient<Channel>> {
        let (_, address) = self.cluster.serving()?;
        Ok(QueueClient::new(channel(&address).await?))
    }
}

impl Through for Unary {
    fn trimaran(&self) -> &Trimaran {
        &self.cluster
    }

    fn trimaran_mut(&mut self) -> &mut Trimaran {
        &mut self.cluster
    }

    fn name(&self) -> &'static str {
        "trimaran-unary"
    }

    fn settings(&self) -> String {
        "3 nodes, one queue manager, default cluster file; one gRPC call a message, without TLS".into()
    }

    /// Calls that are on their way together may arrive in any order.
    fn arrives_in_order(&self) -> bool {
        false
    }

    fn put_through<'a>(
        &'a mut self,
        queue: &'a str,
        _window: usize,
    ) -> BoxFuture<'a, Result<Box<dyn Producer>>> {
        Box::pin(async move {
            let producer = UnaryProducer {
                client: self.client().await?,
                queue: queue.to_string(),
                waiting: FuturesUnordered::new(),
            };
            Ok(Box::new(producer) as Box<dyn Producer>)
        })
    }

    fn get_through<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        Box::pin(async move {
            anyhow::ensure!(options.unit == 0, "a unary call has no unit of work: leave --unit out");
            let mut consumer = UnaryConsumer {
                client: self.client().await?,
                queue: queue.to_string(),
                waiting: FuturesUnordered::new(),
            };
            (0..options.window).for_each(|_| consumer.ask());
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }
}

fn check(outcome: Option<wire::Outcome>) -> Result<()> {
    match outcome.filter(|outcome| outcome.code != 0) {
        None => Ok(()),
        Some(outcome) => bail!("refused with {}: {}", outcome.reason, outcome.text),
    }
}

struct UnaryProducer {
    client: QueueClient<Channel>,
    queue: String,
    waiting: FuturesUnordered<BoxFuture<'static, Result<u64>>>,
}

impl Producer for UnaryProducer {
    fn send<'a>(&'a mut self, first: u64, bodies: &'a [Bytes]) -> BoxFuture<'a, Result<()>> {
        for (number, body) in (first..).zip(bodies) {
            let mut client = self.client.clone();
            let request = wire::PutRequest {
                queue: self.queue.clone(),
                message: Some(message(body)),
                ..wire::PutRequest::default()
            };
            self.waiting.push(Box::pin(async move {
                check(client.put(request).await?.into_inner().outcome)?;
                Ok(number)
            }));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn acknowledged<'a>(&'a mut self, numbers: &'a mut Vec<u64>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut next = self.waiting.next().await;
            while let Some(number) = next {
                numbers.push(number?);
                next = self.waiting.next().now_or_never().flatten();
            }
            Ok(())
        })
    }
}

struct UnaryConsumer {
    client: QueueClient<Channel>,
    queue: String,
    waiting: FuturesUnordered<BoxFuture<'static, Result<Option<Bytes>>>>,
}

impl UnaryConsumer {
    fn ask(&mut self) {
        let mut client = self.client.clone();
        let request =
            wire::GetRequest { queue: self.queue.clone(), wait_ms: 1000, ..wire::GetRequest::default() };
        self.waiting.push(Box::pin(async move {
            let response = client.get(request).await?.into_inner();
            if response.outcome.as_ref().is_some_and(|outcome| outcome.reason == NO_MESSAGE) {
                return Ok(None);
            }
            check(response.outcome)?;
            Ok(Some(response.message.context("an answer without a message")?.body))
        }));
    }
}

impl Consumer for UnaryConsumer {
    fn receive<'a>(&'a mut self, bodies: &'a mut Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while bodies.is_empty() {
                let mut next = self.waiting.next().await;
                while let Some(body) = next {
                    bodies.extend(body?);
                    self.ask();
                    next = self.waiting.next().now_or_never().flatten();
                }
            }
            Ok(())
        })
    }
}
