//! Objects, membership, and who shall serve: calls for administrators.

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use tonic::{Response, Status, metadata::MetadataValue, transport::Channel};
use trimaran_proto::{
    admin::v1::{self as wire, admin_client::AdminClient},
    failover::Class,
    mqsc,
    queue::v1::Outcome,
};

use crate::{
    connection::Connection,
    core::Link,
    dial,
    error::{Error, Result},
    outcome,
    reasons::reason,
};

pub use trimaran_proto::admin::v1::{
    ArrangeQueueManagerRequest, Attribute, ClocksDiffer, CreateQueueManagerRequest, HandleDetails,
    InstanceStatus, MaintainRequest, MembershipProgress, MemoryShare, ObjectDetails, QueueManagerStatus,
    RecoverRequest, RunRequest, RunState, SessionDetails, StatusResponse,
    set_request::Action as RecordAction,
};

/// Attributes by their MQSC names, with values as MQSC has them in brackets. A flag (SHARE) is YES or NO, or its name
/// alone with an empty value.
///
/// ```
/// # use trimaran_client::Attributes;
/// let attributes = Attributes::new().with("MAXDEPTH", 100_000).with("DESCR", "from the web shop");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(Vec<Attribute>);

impl Attributes {
    /// None: everything is as the default object of the kind has it.
    pub fn new() -> Attributes {
        Attributes::default()
    }

    /// One more. Names are not case-sensitive; what is wrong is told by the queue manager.
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> Attributes {
        self.0.push(Attribute { name: name.into(), value: value.to_string() });
        self
    }

    /// In the order in which they were said.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Attribute> {
        self.0.iter()
    }
}

impl From<Attributes> for Vec<Attribute> {
    fn from(attributes: Attributes) -> Vec<Attribute> {
        attributes.0
    }
}

/// How long a call looks for the node that serves, when the one it asked does not.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a node may take to say what it knows.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// What a node reports of a membership change.
type Steps = tonic::Streaming<MembershipProgress>;

/// Calls for administrators, sent to the node that serves. Made by [`Connection::admin`].
///
/// ```no_run
/// # async fn example(connection: trimaran_client::Connection) -> trimaran_client::Result<()> {
/// use trimaran_client::Attributes;
///
/// let attributes = Attributes::new().with("MAXDEPTH", 100_000);
/// connection.admin().create_queue("HA.QUEUE", attributes).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    connection: Connection,
    /// What is asked for was said in MQSC, which the audit trail is to know.
    is_mqsc: bool,
}

trait Answered {
    fn take_outcome(&mut self) -> Option<Outcome>;
}

impl Answered for wire::AdminResponse {
    fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }
}

impl Answered for wire::SessionsResponse {
    fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }
}

impl Answered for wire::RefreshResponse {
    fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }
}

impl Answered for wire::DisplayResponse {
    fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }
}

/// What lies with the object says which; what lies with its attributes names them already.
fn of_object(error: Error, name: &str) -> Error {
    use reason::*;
    match error.reason() {
        Some(
            OBJECT_ALREADY_EXISTS
            | UNKNOWN_OBJECT_NAME
            | OBJECT_WRONG_TYPE
            | OBJECT_IN_USE
            | Q_NOT_EMPTY
            | OBJECT_NAME_ERROR,
        ) => error.about(name),
        _ => error,
    }
}

impl Connection {
    /// Queues, membership, and who shall serve.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }
}

impl Admin {
    pub(crate) fn new(connection: Connection) -> Admin {
        Admin { connection, is_mqsc: false }
    }

    /// DEFINE: an object of this kind (QLOCAL, QALIAS, CHANNEL, ...), like another one of its kind if `like` is not
    /// empty. What is not in `attributes` has its default.
    ///
    /// # Errors
    /// 2100 when there is one of this name and it shall not be replaced, 4002 when a queue of another type has the
    /// name; 2067, 2068, 4005 or 2298 for an attribute that is not there or cannot be so.
    pub async fn define(
        &self,
        kind: impl Into<String>,
        name: impl Into<String>,
        like: impl Into<String>,
        replace: bool,
        attributes: Attributes,
    ) -> Result<()> {
        let request = wire::DefineRequest {
            queue_manager: self.connection.queue_manager(),
            kind: kind.into(),
            name: name.into(),
            like: like.into(),
            replace,
            attributes: attributes.0,
        };
        let answer = self.ask(|mut client| {
            let request = self.said(request.clone());
            async move { client.define(request).await }
        });
        answer.await.map(drop).map_err(|error| of_object(error, &request.name))
    }

    /// ALTER: what is not in `attributes` keeps its value. The name of QMGR is empty.
    ///
    /// # Errors
    /// 2085 when there is no such object; otherwise as [`Admin::define`].
    pub async fn alter(
        &self,
        kind: impl Into<String>,
        name: impl Into<String>,
        attributes: Attributes,
    ) -> Result<()> {
        let request = wire::AlterRequest {
            queue_manager: self.connection.queue_manager(),
            kind: kind.into(),
            name: name.into(),
            attributes: attributes.0,
        };
        let answer = self.ask(|mut client| {
            let request = self.said(request.clone());
            async move { client.alter(request).await }
        });
        answer.await.map(drop).map_err(|error| of_object(error, &request.name))
    }

    /// DELETE.
    ///
    /// # Errors
    /// 2085 when there is no such object; of a local queue 2055 when it has messages, unless `purge`, and 2042 while it
    /// is open.
    pub async fn delete(&self, kind: impl Into<String>, name: impl Into<String>, purge: bool) -> Result<()> {
        let request = wire::DeleteRequest {
            queue_manager: self.connection.queue_manager(),
            kind: kind.into(),
            name: name.into(),
            purge,
        };
        let answer = self.ask(|mut client| {
            let request = self.said(request.clone());
            async move { client.delete(request).await }
        });
        answer.await.map(drop).map_err(|error| of_object(error, &request.name))
    }

    /// SET CHLAUTH and SET AUTHREC. `attributes` name the record and say what it says.
    ///
    /// # Errors
    /// 2085 when a record that is to be removed is not there; otherwise as [`Admin::define`].
    pub async fn set(
        &self,
        kind: impl Into<String>,
        profile: impl Into<String>,
        action: RecordAction,
        attributes: Attributes,
    ) -> Result<()> {
        let request = wire::SetRequest {
            queue_manager: self.connection.queue_manager(),
            kind: kind.into(),
            profile: profile.into(),
            action: action as i32,
            attributes: attributes.0,
        };
        self.ask(|mut client| {
            let request = self.said(request.clone());
            async move { client.set(request).await }
        })
        .await
        .map(drop)
    }

    /// DISPLAY. The name may end in `*`; empty means all. QUEUE is a kind for queues of all types.
    ///
    /// # Errors
    /// 2043 for a kind that is not there.
    pub async fn display(
        &self,
        kind: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<Vec<ObjectDetails>> {
        let (kind, name) = (kind.into(), name.into());
        self.displayed(wire::DisplayRequest { kind, name, ..wire::DisplayRequest::default() }).await
    }

    /// All pages of it. What does not meet the conditions may be among them, from a node that is older.
    async fn displayed(&self, mut request: wire::DisplayRequest) -> Result<Vec<ObjectDetails>> {
        request.queue_manager = self.connection.queue_manager();
        let mut objects: Vec<ObjectDetails> = Vec::new();
        loop {
            let mut page = self
                .ask(|client| {
                    let request = request.clone();
                    let mut client = client.max_decoding_message_size(256 * 1024 * 1024);
                    async move { client.display(request).await }
                })
                .await?;
            objects.append(&mut page.objects);
            if !page.more {
                return Ok(objects);
            }
            request.after = match (page.upto.is_empty(), objects.last()) {
                (false, _) => page.upto,
                (true, Some(last)) => last.name.clone(),
                (true, None) => return Ok(objects),
            };
        }
    }

    /// REFRESH QMGR TYPE(CONFIGEV): each object of a kind (ALL for all) with such a name is told in a configuration event, if it was made or
    /// altered so many minutes ago at most; 0 for all.
    ///
    /// # Errors
    /// 3224 where CONFIGEV is not enabled, 2043 for a kind that is not there.
    pub async fn refresh_objects(
        &self,
        kind: impl Into<String>,
        name: impl Into<String>,
        within_minutes: u32,
    ) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let (kind, name, after) = (kind.into(), name.into(), String::new());
        let mut request = wire::RefreshRequest { queue_manager, kind, name, within_minutes, after };
        loop {
            let page = self
                .ask(|mut client| {
                    let request = self.said(request.clone());
                    async move { client.refresh(request).await }
                })
                .await?;
            if !page.more {
                return Ok(());
            }
            request.after = page.upto;
        }
    }

    /// DISPLAY CONN: who is connected, in the order in which they came, and what they have open.
    ///
    /// # Errors
    /// Only what keeps the queue manager from answering.
    pub async fn sessions(&self) -> Result<Vec<SessionDetails>> {
        let queue_manager = self.connection.queue_manager();
        let mut request = wire::SessionsRequest { queue_manager, after: 0 };
        let mut sessions: Vec<SessionDetails> = Vec::new();
        loop {
            let mut page = self
                .ask(|mut client| {
                    let request = request.clone();
                    async move { client.sessions(request).await }
                })
                .await?;
            sessions.append(&mut page.sessions);
            match sessions.last().filter(|_| page.more) {
                Some(last) => request.after = last.id,
                None => return Ok(sessions),
            }
        }
    }

    /// What the node that serves knows of itself and its peers.
    ///
    /// # Errors
    /// Only what keeps the node from answering.
    pub async fn status(&self) -> Result<StatusResponse> {
        let link = self.connection.link().await?;
        let answer = AdminClient::new(link.channel).status(wire::StatusRequest::default()).await;
        answer.map(Response::into_inner).map_err(|status| lost(&status))
    }

    /// Asks for one command of MQSC: its requests in order, up to the first that is refused or ends it. None when it needs none.
    pub async fn mqsc(&self, command: &mqsc::Command) -> Option<mqsc::Reply> {
        let mut reply = None;
        let in_mqsc = Admin { is_mqsc: true, ..self.clone() };
        for request in command.requests() {
            reply = Some(match in_mqsc.asked(request).await {
                Ok(answered) => answered,
                Err(error) => {
                    let reason = error.reason().unwrap_or(reason::Q_MGR_NOT_AVAILABLE);
                    let text = match error {
                        Error::Refused { text, .. } => text,
                        other => other.to_string(),
                    };
                    return Some(mqsc::Reply::Refused { reason, text });
                }
            });
            if reply.as_ref().is_some_and(|reply| command.ends_with(reply, &self.connection.queue_manager()))
            {
                break;
            }
        }
        reply
    }

    async fn asked(&self, request: mqsc::Request) -> Result<mqsc::Reply> {
        use mqsc::{Reply, Request};
        let attributes = Attributes;
        match request {
            Request::Define(wire::DefineRequest { kind, name, like, replace, attributes: said, .. }) => {
                self.define(kind, name, like, replace, attributes(said)).await?;
            }
            Request::Alter(wire::AlterRequest { kind, name, attributes: said, .. }) => {
                self.alter(kind, name, attributes(said)).await?;
            }
            Request::Delete(wire::DeleteRequest { kind, name, purge, .. }) => {
                self.delete(kind, name, purge).await?;
            }
            Request::Clear(wire::ClearRequest { queue, .. }) => self.clear_queue(queue).await?,
            Request::Set(wire::SetRequest { kind, profile, action, attributes: said, .. }) => {
                let action = RecordAction::try_from(action).unwrap_or_default();
                self.set(kind, profile, action, attributes(said)).await?;
            }
            Request::Display(request) => return self.displayed(request).await.map(Reply::Objects),
            Request::Refresh(wire::RefreshRequest { kind, name, within_minutes, .. }) => {
                self.refresh_objects(kind, name, within_minutes).await?;
            }
            Request::Sessions { .. } => return self.sessions().await.map(Reply::Sessions),
            Request::Status => return self.status().await.map(Reply::Status),
        }
        Ok(Reply::Done)
    }

    /// DEFINE QLOCAL.
    ///
    /// # Errors
    /// As [`Admin::define`].
    pub async fn create_queue(&self, queue: impl Into<String>, attributes: Attributes) -> Result<()> {
        self.define("QLOCAL", queue, "", false, attributes).await
    }

    /// ALTER QLOCAL: what is left out keeps its value.
    ///
    /// # Errors
    /// As [`Admin::alter`].
    pub async fn alter_queue(&self, queue: impl Into<String>, attributes: Attributes) -> Result<()> {
        self.alter("QLOCAL", queue, attributes).await
    }

    /// DELETE QLOCAL.
    ///
    /// # Errors
    /// As [`Admin::delete`].
    pub async fn delete_queue(&self, queue: impl Into<String>, purge: bool) -> Result<()> {
        self.delete("QLOCAL", queue, purge).await
    }

    /// CLEAR QLOCAL. Refused with 2042 while somebody has it open for input or a unit of work holds a message.
    ///
    /// # Errors
    /// 2085 when there is no such queue, 2042 when it is in use, and as [`Admin::alter`].
    pub async fn clear_queue(&self, queue: impl Into<String>) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let request = wire::ClearRequest { queue_manager, queue: queue.into() };
        let answer = self.ask(|mut client| {
            let request = self.said(request.clone());
            async move { client.clear(request).await }
        });
        answer.await.map(drop).map_err(|error| of_object(error, &request.queue))
    }

    /// DISPLAY QLOCAL and DISPLAY QSTATUS. The pattern may end in `*`; empty means all.
    ///
    /// # Errors
    /// As [`Admin::display`].
    pub async fn show_queues(&self, pattern: impl Into<String>) -> Result<Vec<ObjectDetails>> {
        self.display("QLOCAL", pattern).await
    }

    /// Moves the active instance to this node; empty: to the one that is most up to date. Units of work that are open may
    /// go on for 2 s, what is open then is backed out. Where it is already nothing is done.
    ///
    /// # Errors
    /// As [`Admin::move_within`].
    pub async fn move_to(&self, to_node: impl Into<String>) -> Result<()> {
        self.move_within(to_node, None).await
    }

    /// The same with another time for open units of work, 600 s at most.
    ///
    /// # Errors
    /// Before anything is interrupted: 4005 for a node that is not known, 2046 for one that does not vote, 2538 for one that
    /// is not connected, stopping, recovering or in maintenance. 2538 too when it did not take over within 3 s of the units'
    /// end; and as [`Admin::alter`].
    pub async fn move_within(
        &self,
        to_node: impl Into<String>,
        units_within: Option<Duration>,
    ) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let units_within_ms = units_within.map(|within| within.as_millis() as u64);
        let request = wire::MoveRequest { queue_manager, to_node: to_node.into(), units_within_ms };
        let begun = Instant::now();
        let before = link_since(&self.connection, begun).await?.node;
        loop {
            let asked = self.ask(|mut client| {
                let request = request.clone();
                async move { client.r#move(request).await }
            });
            match asked.await {
                // A floating address goes before the leadership does, and the connections through it with it: the answer is
                // lost, and the move is not.
                Err(error) if error.reason() == Some(reason::CALL_INTERRUPTED) => {
                    if self.has_moved(&before, &request.to_node, begun).await? {
                        return Ok(());
                    }
                    if begun.elapsed() > PATIENCE || request.to_node.is_empty() {
                        return Err(error);
                    }
                }
                answered => return answered.map(drop),
            }
        }
    }

    /// Whether the node that was named serves, or for none another one than before. Where a node was named the move may be asked
    /// for again, so that nobody has to wait for what may not come.
    async fn has_moved(&self, before: &str, to_node: &str, begun: Instant) -> Result<bool> {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let serves = link_since(&self.connection, begun).await?.node;
            let is_there = if to_node.is_empty() { serves != before } else { serves == to_node };
            if is_there || !to_node.is_empty() || begun.elapsed() > PATIENCE {
                return Ok(is_there);
            }
        }
    }

    /// Says what the record of a failover counts as, and why, in place of what it counts as by itself. The record stays as it is.
    ///
    /// # Errors
    /// 4005 for a record that is not kept and for a reason that is empty or longer than 256 characters, 2298 while the queue
    /// manager has a version below 3; and as [`Admin::alter`].
    pub async fn classify(&self, number: u64, class: Class, because: impl Into<String>) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let class = class.to_wire().into();
        let request = wire::ClassifyRequest { queue_manager, number, class, because: because.into() };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.classify(request).await }
        })
        .await
        .map(drop)
    }

    /// Takes a node out of service for this queue manager: it hands over, and leads only where no other node could. With
    /// `force` also where the others that are in sync and not in maintenance are no majority.
    ///
    /// # Errors
    /// 4005 for a node that is not known, 2538 where the others could not serve without it, 2298 while the queue manager
    /// has a version below 3; and as [`Admin::alter`].
    pub async fn begin_maintenance(&self, node: impl Into<String>, force: bool) -> Result<()> {
        self.maintain(node.into(), true, force).await
    }

    /// Takes it back into service.
    ///
    /// # Errors
    /// 4005 for a node that is not known, 2298 while the queue manager has a version below 3; and as [`Admin::alter`].
    pub async fn end_maintenance(&self, node: impl Into<String>) -> Result<()> {
        self.maintain(node.into(), false, false).await
    }

    async fn maintain(&self, node: String, begins: bool, force: bool) -> Result<()> {
        let queue_manager = self.connection.queue_manager();
        let request = wire::MaintainRequest { queue_manager, node, begins, force };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.maintain(request).await }
        })
        .await
        .map(drop)
    }

    /// Raises the version of the queue manager to the newest that any of its nodes speaks. There is no way back.
    ///
    /// # Errors
    /// 2298, with a sentence that names the node, while one of them does not speak it or is not there; 2219 while a node is
    /// being added or removed.
    pub async fn upgrade(&self) -> Result<()> {
        let request = wire::UpgradeRequest { queue_manager: self.connection.queue_manager(), version: 0 };
        self.ask(|mut client| {
            let request = request.clone();
            async move { client.upgrade(request).await }
        })
        .await
        .map(drop)
    }

    /// Adds a node to every queue manager of the cluster, not only to the one of this connection, while messages flow.
    /// Returns when it has everything.
    ///
    /// # Errors
    /// What a queue manager refuses, with a sentence: a node that is known or unknown, a name or address that is taken, another
    /// change that is under way; and as [`Admin::alter`].
    pub async fn add_node(
        &self,
        request: wire::NodeAddRequest,
        on_progress: impl FnMut(&MembershipProgress),
    ) -> Result<()> {
        self.change_all(on_progress, |mut client| {
            let request = request.clone();
            async move { client.node_add(request).await }
        })
        .await
    }

    /// Removes a node from every queue manager of the cluster.
    ///
    /// # Errors
    /// What a queue manager refuses, with a sentence: a node that is known or unknown, a name or address that is taken, another
    /// change that is under way; and as [`Admin::alter`].
    pub async fn remove_node(
        &self,
        name: impl Into<String>,
        on_progress: impl FnMut(&MembershipProgress),
    ) -> Result<()> {
        let request = wire::NodeRemoveRequest { name: name.into() };
        self.change_all(on_progress, |mut client| {
            let request = request.clone();
            async move { client.node_remove(request).await }
        })
        .await
    }

    /// Adds the new node and removes the old one in one step, so that the number of copies never sinks.
    ///
    /// # Errors
    /// What a queue manager refuses, with a sentence: a node that is known or unknown, a name or address that is taken, another
    /// change that is under way; and as [`Admin::alter`].
    pub async fn replace_node(
        &self,
        request: wire::NodeReplaceRequest,
        on_progress: impl FnMut(&MembershipProgress),
    ) -> Result<()> {
        self.change_all(on_progress, |mut client| {
            let request = request.clone();
            async move { client.node_replace(request).await }
        })
        .await
    }

    /// Asks the node that serves; when that one moved before it did anything, the next one.
    /// With the language in which it was said.
    fn said<T>(&self, request: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(request);
        if self.is_mqsc {
            request.metadata_mut().insert("trimaran-tongue", MetadataValue::from_static("mqsc"));
        }
        request
    }

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

    /// Has a change made for every queue manager, one after the other, each at the node that serves it. A node reports
    /// on all queue managers of the cluster and changes those that it serves, so the first report names them all, and
    /// what was changed along the way has no turn of its own.
    async fn change_all<F: Future<Output = Result<Response<Steps>, Status>>>(
        &self,
        mut on_progress: impl FnMut(&MembershipProgress),
        mut call: impl FnMut(AdminClient<Channel>) -> F,
    ) -> Result<()> {
        let first = link_since(&self.connection, Instant::now()).await?.queue_manager;
        let mut changes = Changes::beginning_with(first);
        // From its records a new node learns which queue managers there are.
        if let Err(error) = self.change_one(dial::CLUSTER, &mut changes, &mut on_progress, &mut call).await {
            return Err(changes.not_done(dial::CLUSTER, error));
        }
        while let Some(name) = changes.first_undone() {
            if let Err(error) = self.change_one(&name, &mut changes, &mut on_progress, &mut call).await {
                return Err(changes.not_done(&name, error));
            }
        }
        let done =
            MembershipProgress { step: "done".into(), fraction: 1.0, done: true, ..Default::default() };
        on_progress(&done);
        Ok(())
    }

    /// Repeats the request at the node that serves this queue manager, wherever that is, until one has made the change.
    async fn change_one<F: Future<Output = Result<Response<Steps>, Status>>>(
        &self,
        queue_manager: &str,
        changes: &mut Changes,
        on_progress: &mut impl FnMut(&MembershipProgress),
        call: &mut impl FnMut(AdminClient<Channel>) -> F,
    ) -> Result<()> {
        let is_cluster = queue_manager == dial::CLUSTER;
        let connection = match is_cluster {
            true => self.connection.clone(),
            false => self.connection.to_queue_manager(queue_manager).await?,
        };
        // Since when it is looked for. A change that goes on takes as long as it takes.
        let mut since: Option<Instant> = None;
        loop {
            let channel = match is_cluster {
                true => match dial::to_cluster(
                    &connection.addresses(),
                    connection.core.options.tls.as_ref(),
                    STATUS_PATIENCE,
                )
                .await
                {
                    Ok(Some(channel)) => channel,
                    Ok(None) => return Ok(()),
                    Err(error) => {
                        self.wait_if_it_moved(error, *since.get_or_insert_with(Instant::now)).await?;
                        continue;
                    }
                },
                false => link_since(&connection, since.unwrap_or_else(Instant::now)).await?.channel,
            };
            let asked = call(AdminClient::new(channel)).await;
            let mut steps = asked.map_err(|status| lost(&status))?.into_inner();
            let mut report = Report::default();
            while let Some(step) = next_step(&mut steps).await? {
                if !report.take(&step) {
                    continue;
                }
                if step.queue_manager == queue_manager {
                    since = None;
                }
                on_progress(&step);
            }
            changes.learn(&report);
            // It led a moment ago.
            let is_elsewhere = is_cluster && !report.words.contains_key(queue_manager);
            let verdict = match is_elsewhere {
                true => {
                    Err(Error::refused(reason::Q_MGR_NOT_AVAILABLE, "the node that led it does not any more"))
                }
                false => report.verdict(queue_manager),
            };
            let Err(error) = verdict else { return Ok(()) };
            self.wait_if_it_moved(error, *since.get_or_insert_with(Instant::now)).await?;
        }
    }

    async fn wait_if_it_moved(&self, error: Error, started: Instant) -> Result<()> {
        let not_carried_out = matches!(
            error.reason(),
            Some(
                // As an answer: the node had it, and its queue manager moved before it was begun.
                reason::CONNECTION_BROKEN
                    | reason::STANDBY_Q_MGR
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

/// The queue managers that are known, and which of them are changed.
struct Changes(BTreeMap<String, bool>);

impl Changes {
    fn beginning_with(queue_manager: String) -> Changes {
        Changes(BTreeMap::from([(queue_manager, false)]))
    }

    fn first_undone(&self) -> Option<String> {
        self.0.iter().find(|(_, changed)| !**changed).map(|(name, _)| name.clone())
    }

    fn learn(&mut self, report: &Report) {
        for (name, word) in &report.words {
            *self.0.entry(name.clone()).or_default() |= word.is_ok();
        }
    }

    /// Where there are several, the error says which one it left undone.
    fn not_done(&self, queue_manager: &str, error: Error) -> Error {
        if self.0.len() == 1 {
            return error;
        }
        let changed: Vec<&str> =
            self.0.iter().filter(|(_, changed)| **changed).map(|(name, _)| name.as_str()).collect();
        let so_far = match changed.is_empty() {
            true => "none is".to_string(),
            false => format!("done: {}", changed.join(", ")),
        };
        let mark = |text: String| format!("{queue_manager} is not done yet ({so_far}): {text}");
        match error {
            Error::Refused { code, reason, name, text } => {
                Error::Refused { code, reason, name, text: mark(text) }
            }
            Error::Unreachable { queue_manager, within_s, is_lasting, text } => {
                Error::Unreachable { queue_manager, within_s, is_lasting, text: mark(text) }
            }
            other => other,
        }
    }
}

/// What one node reported of a change.
#[derive(Default)]
struct Report {
    /// The last word on each queue manager. None on those behind one that was refused: they were not begun.
    words: BTreeMap<String, Result<()>>,
    last_refusal: Option<Error>,
}

impl Report {
    /// True when the step leads forward, and is none of a queue manager that the node does not serve or refuses.
    fn take(&mut self, step: &MembershipProgress) -> bool {
        let word = outcome::check(step.outcome.clone()).map(drop);
        let forward = word.is_ok();
        if let Err(error) = &word {
            self.last_refusal = Some(error.clone());
        }
        self.words.insert(step.queue_manager.clone(), word);
        forward
    }

    /// Of a report that is complete: was this queue manager changed?
    fn verdict(&self, queue_manager: &str) -> Result<()> {
        match (self.words.get(queue_manager), &self.last_refusal) {
            (Some(word), _) => word.clone(),
            (None, Some(refusal)) => Err(refusal.clone()),
            (None, None) => {
                let text = format!("The node said nothing of queue manager {queue_manager}.");
                Err(Error::refused(reason::UNEXPECTED_ERROR, text))
            }
        }
    }
}

/// None when the report is complete.
async fn next_step(steps: &mut Steps) -> Result<Option<MembershipProgress>> {
    match steps.message().await.map_err(|status| lost(&status))? {
        Some(step) => Ok((!step.done).then_some(step)),
        None => {
            let text = "The node ended its report before the change was complete; look with `trimaran \
                        status`.";
            Err(Error::refused(reason::CALL_INTERRUPTED, text))
        }
    }
}

/// The node that serves, looked for since then.
async fn link_since(connection: &Connection, since: Instant) -> Result<Link> {
    match tokio::time::timeout(PATIENCE.saturating_sub(since.elapsed()), connection.link()).await {
        Ok(link) => link,
        Err(_) => Err(connection.core.unreachable(since.elapsed())),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn step(queue_manager: &str, refused: Option<(u32, &str)>) -> MembershipProgress {
        let outcome = refused.map(|(reason, text)| Outcome { code: 2, reason, text: text.into() });
        MembershipProgress { queue_manager: queue_manager.into(), outcome, ..Default::default() }
    }

    fn report(steps: &[MembershipProgress]) -> Report {
        let mut report = Report::default();
        for step in steps {
            report.take(step);
        }
        report
    }

    const ELSEWHERE: Option<(u32, &str)> = Some((reason::STANDBY_Q_MGR, "served elsewhere"));

    #[test]
    fn each_queue_manager_is_changed_by_the_node_that_serves_it() {
        let mut changes = Changes::beginning_with("QM1".into());
        let at_a = report(&[step("QM1", None), step("QM2", ELSEWHERE), step("QM3", None)]);
        assert!(at_a.verdict("QM1").is_ok());
        assert_eq!(at_a.verdict("QM2").unwrap_err().reason(), Some(reason::STANDBY_Q_MGR));
        changes.learn(&at_a);
        assert_eq!(changes.first_undone().as_deref(), Some("QM2"), "QM3 was changed along the way");

        changes.learn(&report(&[step("QM1", ELSEWHERE), step("QM2", None), step("QM3", ELSEWHERE)]));
        assert_eq!(changes.first_undone(), None, "what is changed stays so, whoever does not serve it");
    }

    #[test]
    fn what_stands_behind_a_refusal_is_refused_for_its_reason() {
        let used = Some((reason::OPTIONS_ERROR, "id 3 was used before"));
        let report = report(&[step("QM1", ELSEWHERE), step("QM2", used)]);
        assert_eq!(report.verdict("QM3").unwrap_err().reason(), Some(reason::OPTIONS_ERROR));
        assert_eq!(Report::default().verdict("QM3").unwrap_err().reason(), Some(reason::UNEXPECTED_ERROR));
    }

    #[test]
    fn an_error_names_the_queue_manager_where_there_are_several() {
        let mut changes = Changes::beginning_with("QM1".into());
        let error = Error::refused(reason::OPTIONS_ERROR, "no");
        assert!(changes.not_done("QM1", error.clone()).to_string().starts_with("no ("));
        changes.learn(&report(&[step("QM1", None), step("QM2", ELSEWHERE)]));
        let text = changes.not_done("QM2", error).to_string();
        assert!(text.starts_with("QM2 is not done yet (done: QM1): no"), "{text}");
    }
}
