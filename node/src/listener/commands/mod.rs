//! The command server: administration by messages in PCF that programs put on SYSTEM.ADMIN.COMMAND.QUEUE.
//!
//! `server` gets commands and sees to their replies, for each queue manager that the node serves, in a `session` as programs have
//! them; `asking` asks what a command wants to know, as the user that its message names; `reply` makes messages of replies, and
//! `desk` puts them. What a command means, and what its replies say, is `trimaran_proto::pcf`.
//!
//! **A command and its replies are one unit of work**: the command leaves its queue when its replies are on theirs. What it changes
//! is an entry of its own, committed before. So after a failover a command is carried out once more,
//! as with MQ: what is changed, cleared, started or stopped is so afterwards as well, and what was created or deleted is told to
//! be there already (4001) or not (2085), which the program has to expect. An inquiry with very many replies has them told
//! outside of the unit, as a unit of work has a limit, so one that is repeated is told again from the start. A reply that neither its
//! queue nor the dead-letter queue takes is dropped, with a line in the log.

pub(in crate::listener) mod asking;
mod pieces;
mod reply;
mod session;
mod desk;
mod server;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::task::JoinSet;

use self::server::Server;
use super::Listener;
use crate::replica::Inbox;
use crate::types::QueueManagerId;

/// How a command server waits for a while: the simulator has a clock of its own.
pub type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// Serves the commands of one queue manager for as long as it is here.
pub async fn serve_one(listener: Listener, inbox: Inbox, sleep: Sleep) {
    Server::new(listener, inbox, sleep).run().await;
}

/// Serves the commands of all queue managers that are here, and as long as this node serves them, until `closing`.
pub async fn serve(listener: Listener, closing: impl Future<Output = ()>) {
    let mut closing = pin!(closing);
    let mut there = listener.node.inboxes.changes();
    // Dropped, it ends them.
    let mut tasks = JoinSet::new();
    let mut servers = BTreeMap::new();
    let sleep: Sleep = Arc::new(|time| Box::pin(tokio::time::sleep(time)));
    loop {
        let inboxes = there.borrow_and_update().clone();
        servers.retain(|id, task: &mut tokio::task::AbortHandle| {
            let is_there = inboxes.contains_key(id);
            if !is_there {
                task.abort();
            }
            is_there
        });
        for (id, inbox) in inboxes.iter().filter(|(id, _)| **id != QueueManagerId::CLUSTER) {
            servers
                .entry(*id)
                .or_insert_with(|| tasks.spawn(serve_one(listener.clone(), inbox.clone(), sleep.clone())));
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = &mut closing => return,
            changed = there.changed() => if changed.is_err() {
                return;
            },
        }
    }
}
