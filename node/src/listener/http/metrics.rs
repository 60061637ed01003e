//! The page that Prometheus reads.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Watched;
use crate::metrics::{
    self, Page, QUEUES_SHOWN_MAX, QueueManagerFigures, publish_listener, publish_process,
    publish_queue_manager,
};
use crate::mqi::{Admin, Call, Completion, Connect, Data, Identity, Operate, QueueView, StatusView};
use crate::replica::{Delivery, Inbox};
use crate::types::Token;

/// How long the page waits for a queue manager's thread. It comes without its lines when that is not enough.
const PATIENCE: Duration = Duration::from_secs(1);

pub async fn page(State(watched): State<Watched>) -> impl IntoResponse {
    let mut page = Page::default();
    let listener = &watched.listener;
    let node = &listener.node;
    publish_process(&mut page, &node.cluster, &node.name, node.version, listener.uptime());
    page.add(&metrics::catalog::WARNINGS, &[], node.warnings.borrow().len() as f64);
    publish_listener(&mut page, &listener.counters.figures());
    for inbox in node.queue_managers.values() {
        let (status, queues) = asked(inbox).await;
        let figures = QueueManagerFigures {
            name: inbox.name().as_str(),
            role: &inbox.role(),
            stats: &inbox.published().stats.borrow().clone(),
            status: status.as_deref(),
            queues: &queues,
            nodes: &node.nodes,
        };
        publish_queue_manager(&mut page, &figures);
    }
    watched.sources.iter().for_each(|source| source(&mut page));
    ([(CONTENT_TYPE, Page::CONTENT_TYPE)], page.into_text())
}

/// What only the queue manager's thread knows: the other instances, and its queues if it serves and has not too many.
async fn asked(inbox: &Inbox) -> (Option<Box<StatusView>>, Vec<QueueView>) {
    let status = match tokio::time::timeout(PATIENCE, ask(inbox, Operate::Status)).await {
        Ok(Some(Completion { data: Data::Status(status), .. })) => status,
        _ => return (None, Vec::new()),
    };
    if !inbox.role().is_serving() || status.queues > QUEUES_SHOWN_MAX {
        return (Some(status), Vec::new());
    }
    let display = Admin::display_local("");
    let queues = match tokio::time::timeout(PATIENCE, ask(inbox, display)).await {
        Ok(Some(Completion { data: Data::Objects(objects), .. })) => {
            objects.into_iter().filter_map(|object| object.queue).collect()
        }
        _ => Vec::new(),
    };
    (Some(status), queues)
}

async fn ask(inbox: &Inbox, call: impl Into<Call>) -> Option<Completion> {
    let connect = Connect::new(Identity::of("metrics"), "metrics");
    let (handle, mut outbox) = inbox.open_session(connect).await.ok()?;
    handle.send(Token(1), call.into()).await.ok()?;
    match outbox.recv().await? {
        Delivery::Completions(completions) => {
            completions.into_iter().next().map(|(_, completion)| completion)
        }
        Delivery::Closed { .. } => None,
    }
}
