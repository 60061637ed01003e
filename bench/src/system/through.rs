//! A Trimaran that programs reach another way than over the streams of its client library. The cluster is the same, and so is
//! whatever is done with it; a way says how messages are put and got.

use anyhow::Result;
use futures::future::BoxFuture;

use super::trimaran::Trimaran;
use super::{About, Consumer, ConsumerOptions, Patient, Producer, System};
use crate::cluster::Cluster;

/// A way to a cluster of Trimaran.
pub trait Through: Send {
    fn trimaran(&self) -> &Trimaran;
    fn trimaran_mut(&mut self) -> &mut Trimaran;
    fn name(&self) -> &'static str;
    fn settings(&self) -> String;

    /// See [`System::keeps_order`].
    fn arrives_in_order(&self) -> bool {
        true
    }

    /// What the way needs of a cluster that has started.
    fn prepare(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn put_through<'a>(
        &'a mut self,
        queue: &'a str,
        window: usize,
    ) -> BoxFuture<'a, Result<Box<dyn Producer>>>;

    fn get_through<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>>;
}

impl<W: Through> System for W {
    fn start(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.trimaran_mut().start().await?;
            self.prepare().await
        })
    }

    fn cluster(&self) -> &Cluster {
        self.trimaran().cluster()
    }

    fn cluster_mut(&mut self) -> &mut Cluster {
        self.trimaran_mut().cluster_mut()
    }

    fn about(&self) -> About {
        About { name: self.name().into(), settings: self.settings(), ..self.trimaran().about() }
    }

    fn keeps_order(&self) -> bool {
        self.arrives_in_order()
    }

    fn create_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        self.trimaran_mut().create_queue(queue)
    }

    fn delete_queue<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        self.trimaran_mut().delete_queue(queue)
    }

    fn create_queues<'a>(&'a mut self, queues: &'a [String]) -> BoxFuture<'a, Result<()>> {
        self.trimaran_mut().create_queues(queues)
    }

    fn delete_queues<'a>(&'a mut self, queues: &'a [String]) -> BoxFuture<'a, Result<()>> {
        self.trimaran_mut().delete_queues(queues)
    }

    fn producer<'a>(&'a mut self, queue: &'a str, window: usize) -> BoxFuture<'a, Result<Box<dyn Producer>>> {
        self.put_through(queue, window)
    }

    fn consumer<'a>(
        &'a mut self,
        queue: &'a str,
        options: ConsumerOptions,
    ) -> BoxFuture<'a, Result<Box<dyn Consumer>>> {
        self.get_through(queue, options)
    }

    fn leader<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<usize>> {
        self.trimaran_mut().leader(queue)
    }

    fn rejoin(&mut self, server: usize) -> Result<()> {
        self.trimaran_mut().rejoin(server)
    }

    fn is_in_sync<'a>(&'a mut self, queue: &'a str, server: usize) -> BoxFuture<'a, Result<bool>> {
        self.trimaran_mut().is_in_sync(queue, server)
    }

    fn patient<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<Box<dyn Patient>>> {
        self.trimaran_mut().patient(queue)
    }

    fn stop(&mut self) -> Result<()> {
        self.trimaran_mut().stop()
    }
}
