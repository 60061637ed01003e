//! Queues, membership, and who shall serve: calls for administrators.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tonic::{Response, Status, transport::Channel};
use trimaran_proto::{
    admin::v1::{self as wire, admin_client::AdminClient},
    queue::v1::Outcome,
};

use crate::{
    connection::Connection,
    error::{Error, Result},
    outcome::{self, reason},
};

pub use trimaran_proto::admin::v1::{
    InstanceStatus, MembershipProgress, QueueAttributes, QueueDetails, QueueManagerStatus, RecoverRequest,
    StatusResponse,
};

/// How long a call looks for the node that serves, when the one it asked does not.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls for administrators, sent to the node that serves. Made by [`Connection::admin`].
///
/// ```no_run
/// # async fn example(connection: trimaran_client::Connection) -> trimaran_client::Result<()> {
/// use trimaran_client::QueueAttributes;
///
/// let attributes = QueueAttributes { maxdepth: Some(100_000), ..QueueAttributes::default() };
/// connection.admin().create_queue("HA.QUEUE", attributes).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    connection: Connection,
}

trait Answered {
    fn take_outcome(&mut self) -> Option<Outcome>;
}

impl Answered for wire::AdminResponse {
    fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }
}

impl Answered for wire::ShowQueuesResponse {
    fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }
}

impl Admin {
    pub(crate) fn new(connection: Connection) -> Admin {
        Admin { connection }
    }

    /// DEFINE QLOCAL. Refused with 2100 when there is one of this name.
    pub async fn create_queue(&self, queue: impl Into<String>, attributes: QueueAttributes) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let request =
            wire::CreateQueueRequest { queue_manager, queue: queue.into(), attributes: Some(attributes) };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.create_queue(request).await }
        })
        .await
        .map(drop)
    }

    /// ALTER QLOCAL: what is left out keeps its value.
    pub async fn alter_queue(&self, queue: impl Into<String>, attributes: QueueAttributes) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let request =
            wire::AlterQueueRequest { queue_manager, queue: queue.into(), attributes: Some(attributes) };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.alter_queue(request).await }
        })
        .await
        .map(drop)
    }

    /// DELETE QLOCAL. Refused with 2055 when there are messages, unless `purge`; with 2042 while it is open.
    pub async fn delete_queue(&self, queue: impl Into<String>, purge: bool) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let request = wire::DeleteQueueRequest { queue_manager, queue: queue.into(), purge };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.delete_queue(request).await }
        })
        .await
        .map(drop)
    }

    /// CLEAR QLOCAL. Refused with 2042 while somebody has it open for input or a unit of work holds a message.
    pub async fn clear_queue(&self, queue: impl Into<String>) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let request = wire::ClearQueueRequest { queue_manager, queue: queue.into() };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.clear_queue(request).await }
        })
        .await
        .map(drop)
    }

    /// DISPLAY QLOCAL and DISPLAY QSTATUS. The pattern may end in `*`; empty means all.
    pub async fn show_queues(&self, pattern: impl Into<String>) -> Result<Vec<QueueDetails>> {
        let queue_manager = self.connection.queue_manager();
        let request = wire::ShowQueuesRequest { queue_manager, queue: pattern.into() };
        let response = self
            .ask(|client| {
                let request = request.clone();
                let mut client = client.max_decoding_message_size(256 * 1024 * 1024);
                async move { client.show_queues(request).await }
            })
            .await?;
        Ok(response.queues)
    }

    /// ALTER QMGR: the dead-letter queue (empty: none) and MAXUMSGS.
    pub async fn alter_queue_manager(&self, deadq: Option<String>, maxumsgs: Option<u32>) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let request = wire::AlterQueueManagerRequest { queue_manager, deadq, maxumsgs };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.alter_queue_manager(request).await }
        })
        .await
        .map(drop)
    }

    /// Moves the active instance to this node; empty: to the one that is most up to date.
    pub async fn switch(&self, to_node: impl Into<String>) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let request = wire::SwitchRequest { queue_manager, to_node: to_node.into() };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.switch(request).await }
        })
        .await
        .map(drop)
    }

    /// Adds a node to every queue manager of the cluster, while messages flow. Returns when it has everything.
    pub async fn add_node(
        &self,
        request: wire::NodeAddRequest,
        on_progress: impl FnMut(&MembershipProgress),
    ) -> Result<()> {
        self.follow(on_progress, |mut client| {
            let request = request.clone();
            async move { client.node_add(request).await }
        })
        .await
    }

    /// Removes a node from every queue manager of the cluster.
    pub async fn remove_node(
        &self,
        name: impl Into<String>,
        on_progress: impl FnMut(&MembershipProgress),
    ) -> Result<()> {
        let request = wire::NodeRemoveRequest { name: name.into() };
        self.follow(on_progress, |mut client| {
            let request = request.clone();
            async move { client.node_remove(request).await }
        })
        .await
    }

    /// Adds the new node and removes the old one in one step, so that the number of copies never sinks.
    pub async fn replace_node(
        &self,
        request: wire::NodeReplaceRequest,
        on_progress: impl FnMut(&MembershipProgress),
    ) -> Result<()> {
        self.follow(on_progress, |mut client| {
            let request = request.clone();
            async move { client.node_replace(request).await }
        })
        .await
    }

    /// Asks the node that serves; when that one moved before it did anything, the next one.
    async fn ask<R: Answered, F: Future<Output = Result<Response<R>, Status>>>(
        &self,
        mut call: impl FnMut(AdminClient<Channel>) -> F,
    ) -> Result<R> {
        let started = Instant::now();
        loop {
            let link = self.connection.link().await?;
            let mut response = match call(AdminClient::new(link.channel)).await {
                Ok(response) => response.into_inner(),
                Err(status) => return Err(lost(&status)),
            };
            match outcome::check(response.take_outcome()) {
                Ok(_) => return Ok(response),
                Err(error) => self.wait_if_it_moved(error, started).await?,
            }
        }
    }

    async fn follow<F: Future<Output = Result<Response<tonic::Streaming<MembershipProgress>>, Status>>>(
        &self,
        mut on_progress: impl FnMut(&MembershipProgress),
        mut call: impl FnMut(AdminClient<Channel>) -> F,
    ) -> Result<()> {
        let mut started = Instant::now();
        'again: loop {
            let link = self.connection.link().await?;
            let mut steps = match call(AdminClient::new(link.channel)).await {
                Ok(response) => response.into_inner(),
                Err(status) => return Err(lost(&status)),
            };
            loop {
                let Some(mut step) = steps.message().await.map_err(|status| lost(&status))? else {
                    let text = "The node ended its report before the change was complete; look with \
                                `trimaran status`.";
                    return Err(Error::refused(reason::CALL_INTERRUPTED, text));
                };
                if let Err(error) = outcome::check(step.outcome.take()) {
                    self.wait_if_it_moved(error, started).await?;
                    continue 'again;
                }
                started = Instant::now();
                on_progress(&step);
                if step.done {
                    return Ok(());
                }
            }
        }
    }

    async fn wait_if_it_moved(&self, error: Error, started: Instant) -> Result<()> {
        let not_carried_out = matches!(
            error.reason(),
            Some(
                reason::STANDBY_Q_MGR
                    | reason::Q_MGR_NOT_AVAILABLE
                    | reason::Q_MGR_QUIESCING
                    | reason::Q_MGR_STOPPING
            )
        );
        if !not_carried_out || started.elapsed() > PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    }
}

/// Nobody knows whether the call was carried out, unless the node said more than that it is gone.
fn lost(status: &Status) -> Error {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled => {
            let text = format!(
                "The connection was lost while the call was under way ({}); look whether it was carried out, and \
                 repeat it if not.",
                status.message()
            );
            Error::refused(reason::CALL_INTERRUPTED, text)
        }
        _ => outcome::from_status(status),
    }
}
