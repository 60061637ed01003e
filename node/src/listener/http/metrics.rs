//! The page that Prometheus reads.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Watched;
use crate::listener::unread::Unread;
use crate::metrics::{
    self, Page, QUEUES_SHOWN_MAX, QueueManagerFigures, publish_account, publish_listener, publish_process,
    publish_queue_manager,
};
use crate::mqi::{self, Admin, Call, Completion, Connect, Data, Identity, Operate, QueueView, StatusView};
use crate::replica::{Delivery, Inbox};
use crate::types::Token;
use crate::types::definition::ObjectKind;

/// How long the page waits for a queue manager's task. It comes without its lines when that is not enough.
const PATIENCE: Duration = Duration::from_secs(1);

pub async fn page(State(watched): State<Watched>) -> impl IntoResponse {
    let _one_of_few = watched.pages.acquire().await.expect("the semaphore is never closed");
    let mut page = Page::default();
    let listener = &watched.listener;
    let node = &listener.node;
    publish_process(&mut page, &node.cluster, &node.name, node.version, listener.uptime());
    page.add(&metrics::catalog::WARNINGS, &[], node.warnings.borrow().len() as f64);
    publish_listener(&mut page, &listener.counters.figures());
    publish_account(&mut page, &listener.account);
    for inbox in node.queue_managers().values() {
        let (status, queues) = asked(inbox).await;
        let figures = QueueManagerFigures {
            name: inbox.name().as_str(),
            role: &node.role(inbox),
            stats: &inbox.published().stats.borrow().clone(),
            status: status.as_deref(),
            queues: &queues,
            nodes: &node.nodes,
        };
        publish_queue_manager(&mut page, &figures);
    }
    watched.sources.iter().for_each(|source| source(&mut page));
    let text = Unread::counted(listener.account.clone()).hold(page.into_text().into());
    ([(CONTENT_TYPE, Page::CONTENT_TYPE)], text)
}

/// What only the queue manager's task knows: the other instances, and its queues if it serves and has not too many.
async fn asked(inbox: &Inbox) -> (Option<Box<StatusView>>, Vec<QueueView>) {
    let status = match tokio::time::timeout(PATIENCE, ask(inbox, Operate::Status)).await {
        Ok(Some(Completion { data: Data::Status(status), .. })) => status,
        _ => return (None, Vec::new()),
    };
    if !inbox.role().is_serving() || status.queues > QUEUES_SHOWN_MAX {
        return (Some(status), Vec::new());
    }
    let queues = tokio::time::timeout(PATIENCE, all_queues(inbox)).await;
    (Some(status), queues.ok().flatten().unwrap_or_default())
}

async fn all_queues(inbox: &Inbox) -> Option<Vec<QueueView>> {
    let mut queues = Vec::new();
    let mut after = String::new();
    loop {
        let display = Admin::Display { kinds: vec![ObjectKind::LocalQueue], pattern: String::new(), after };
        let Data::Objects(page) = ask(inbox, display).await?.data else { return None };
        let mqi::Listing { objects, more } = *page;
        after = objects.last().map(|last| last.definition.object.name.clone()).unwrap_or_default();
        queues.extend(objects.into_iter().filter_map(|object| object.queue));
        if !more {
            return Some(queues);
        }
    }
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
