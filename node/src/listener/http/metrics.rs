//! The page that Prometheus reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Watched;
use crate::listener::ports::{PortState, PortView};
use crate::listener::traffic::{ChannelFigures, Passed};
use crate::listener::unread::Unread;
use crate::metrics::{
    self, ChannelLine, Choice, Page, QUEUES_SHOWN_MAX, QueueManagerFigures, Shown, publish_account,
    publish_listener, publish_process, publish_queue_manager,
};
use crate::mqi::{
    self, Admin, Call, Completion, Connect, Data, Identity, ObjectView, Operate, Purpose, QueueView,
    StatusView,
};
use crate::replica::{Delivery, Inbox, Outbox, SessionHandle};
use crate::types::definition::{Definition, ObjectKind};
use crate::types::{ObjectName, RoleView, Token};

/// How long the page waits for a queue manager's task. It comes without its lines when that is not enough.
const PATIENCE: Duration = Duration::from_secs(1);
/// The place of a page is free again when it has been empty for this many times as long as the page took, or for so long.
const REST_TIMES: u32 = 3;
const REST_MOST: Duration = Duration::from_millis(500);

pub async fn page(State(watched): State<Watched>) -> impl IntoResponse {
    let one_of_few = Place::take(&watched.pages).await;
    let mut found = Vec::new();
    for (name, inbox) in watched.listener.node.queue_managers() {
        let asked = asked(&inbox, &watched.shown).await;
        found.push(Found { name, role: watched.listener.node.role(&inbox), inbox, asked });
    }
    let account = watched.listener.account.clone();
    // Tens of thousands of lines, where there are many queues: the queue managers and the peers are on this worker.
    let turn = watched.writing.clone().acquire_owned().await;
    let written = tokio::task::spawn_blocking(move || {
        let _held = (one_of_few, turn);
        written(&watched, found)
    });
    let text = Unread::counted(account).hold(written.await.expect("a page can be written").into());
    ([(CONTENT_TYPE, Page::CONTENT_TYPE)], text)
}

/// For one page. Whoever asks for pages without end has a quarter of the time of each place, also who hangs up before they are there.
struct Place {
    permit: Option<OwnedSemaphorePermit>,
    since: Instant,
}

impl Place {
    async fn take(places: &Arc<Semaphore>) -> Place {
        let permit = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        Place { permit: Some(permit), since: Instant::now() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let rest = (self.since.elapsed() * REST_TIMES).min(REST_MOST);
        let permit = self.permit.take();
        // When the node stops there may be none, and nobody who waits.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(rest).await;
                drop(permit);
            });
        }
    }
}

/// A queue manager.
struct Found {
    name: ObjectName,
    inbox: Inbox,
    role: RoleView,
    asked: Asked,
}

/// All that is known, in lines.
fn written(watched: &Watched, found: Vec<Found>) -> String {
    let mut page = Page::default();
    let listener = &watched.listener;
    let node = &listener.node;
    publish_process(&mut page, &node.cluster, &node.name, node.version, listener.uptime());
    page.add(&metrics::catalog::WARNINGS, &[], node.warnings.borrow().len() as f64);
    publish_listener(&mut page, &listener.counters.figures());
    publish_account(&mut page, &listener.account);
    let command_servers = listener.command_servers.borrow().clone();
    let mut names = Vec::new();
    for Found { name, inbox, role, asked: Asked { status, queues, channels } } in found {
        let figures = QueueManagerFigures {
            name: name.as_str(),
            role: &role,
            stats: &inbox.published().stats.borrow().clone(),
            status: status.as_deref(),
            queues: &queues,
            channels: &lines(channels, &listener.traffic.channels(&name)),
            listeners: open_listeners(&node.ports.borrow(), &name),
            command_server: command_servers.contains(&inbox.queue_manager()),
            nodes: &node.nodes,
        };
        publish_queue_manager(&mut page, &figures);
        names.push(name);
    }
    watched.sources.iter().for_each(|source| source(&mut page, &names));
    page.into_text()
}

/// What only the queue manager's task knows.
#[derive(Default)]
struct Asked {
    /// None when it did not answer in time.
    status: Option<Box<StatusView>>,
    /// Where it serves.
    queues: Vec<QueueView>,
    channels: Vec<Definition>,
}

async fn asked(inbox: &Inbox, shown: &Shown) -> Asked {
    // An errand is no program: who asks how many are connected is not counted among them.
    let purpose = Purpose::Errand;
    let connect = Connect { purpose, ..Connect::new(Identity::of("metrics"), "metrics") };
    let mut errand = Errand { session: None, choice: Choice::default(), channels: Vec::new() };
    let status = async {
        errand.session = Some(inbox.open_session(connect).await.ok()?);
        match errand.ask(Operate::Status).await?.data {
            Data::Status(status) => Some(status),
            _ => None,
        }
    };
    let Ok(Some(status)) = tokio::time::timeout(PATIENCE, status).await else { return Asked::default() };
    if inbox.role().is_serving() {
        // What was found in time is shown.
        let _ = tokio::time::timeout(PATIENCE, errand.look(shown)).await;
    }
    Asked { status: Some(status), queues: errand.choice.into_queues(), channels: errand.channels }
}

/// A session with the queue manager for one page, and what was found in it.
struct Errand {
    session: Option<(SessionHandle, Outbox)>,
    choice: Choice,
    channels: Vec<Definition>,
}

impl Errand {
    /// Page by page, each a turn of its own.
    async fn look(&mut self, shown: &Shown) -> Option<()> {
        self.display(ObjectKind::Channel, "*", |found, object| {
            found.channels.push(object.definition);
            found.channels.len() < QUEUES_SHOWN_MAX
        })
        .await?;
        for pattern in shown.patterns() {
            self.display(ObjectKind::LocalQueue, pattern, |found, object| {
                let queue = object.queue.filter(|queue| shown.has(&queue.definition.object.name));
                queue.into_iter().for_each(|queue| found.choice.add(queue));
                true
            })
            .await?;
        }
        Some(())
    }

    /// Gives objects to `take` until it wants no more.
    async fn display(
        &mut self,
        kind: ObjectKind,
        pattern: &str,
        mut take: impl FnMut(&mut Errand, ObjectView) -> bool,
    ) -> Option<()> {
        let pattern = if pattern == "*" { String::new() } else { pattern.to_string() };
        let mut after = String::new();
        loop {
            let display = Admin::Display { kinds: vec![kind], pattern: pattern.clone(), after };
            let Data::Objects(page) = self.ask(display).await?.data else { return None };
            let mqi::Listing { objects, more } = *page;
            after = objects.last().map(|last| last.definition.object.name.clone()).unwrap_or_default();
            for object in objects {
                if !take(self, object) {
                    return Some(());
                }
            }
            if !more {
                return Some(());
            }
        }
    }

    async fn ask(&mut self, call: impl Into<Call>) -> Option<Completion> {
        let (handle, outbox) = self.session.as_mut()?;
        handle.send(Token(1), call.into()).await.ok()?;
        match outbox.recv().await? {
            Delivery::Completions(completions) => {
                completions.into_iter().next().map(|(_, completion)| completion)
            }
            Delivery::Closed { .. } => None,
        }
    }
}

/// Channels with what went through them; without traffic where nobody came.
fn lines(channels: Vec<Definition>, traffic: &BTreeMap<ObjectName, ChannelFigures>) -> Vec<ChannelLine> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    let line = |definition: Definition| {
        let name = ObjectName::new(&definition.object.name).ok();
        let figures = name.and_then(|name| traffic.get(&name)).copied().unwrap_or_default();
        let Passed { messages, bytes_sent, bytes_received, buffers_sent, buffers_received, last } =
            figures.passed;
        ChannelLine {
            definition,
            instances: figures.instances,
            calls: messages,
            bytes_sent,
            bytes_received,
            buffers_sent,
            buffers_received,
            since_call: last.map(|last| Duration::from_millis((now - last.0).max(0) as u64)),
        }
    };
    channels.into_iter().map(line).collect()
}

fn open_listeners(ports: &[PortView], queue_manager: &ObjectName) -> u64 {
    let own = ports.iter().filter(|port| port.queue_manager == *queue_manager);
    own.filter(|port| port.state == PortState::Running).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_place_of_a_page_rests_for_longer_than_the_page_took() {
        let places = Arc::new(Semaphore::new(1));
        for (took, rest) in [(100, 300), (1, 3), (2000, 500)] {
            let place = Place::take(&places).await;
            tokio::time::sleep(Duration::from_millis(took)).await;
            drop(place);
            let since = Instant::now();
            drop(places.clone().acquire_owned().await.unwrap());
            let rested = since.elapsed().as_millis() as u64;
            assert!((rest..=rest + 1).contains(&rested), "{rested} ms after {took}");
        }
    }
}
