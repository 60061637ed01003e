//! Administration over gRPC: objects, status, membership. Forwards nothing: who does not serve says who does.

use std::time::Duration;

use futures::stream;
use tonic::{Request, Response, Status};
use trimaran_proto::admin::v1 as wire;
use trimaran_proto::admin::v1::admin_server::Admin;
use trimaran_proto::mqsc;
use trimaran_proto::queue::v1::{Outcome, Serving};

use super::ResponseStream;
use super::accept::{admit, admit_to_change};
use super::convert;
use crate::listener::errand::Errand;
use crate::listener::gate::{Admission, Gate};
use crate::listener::serving::{Refused, Unserved, check_serving, find, find_any, refused};
use crate::listener::wording::PART;
use crate::listener::{Listener, ports, waits};
use crate::mqi::{self, Call, Completion, Data, MembershipRequest, StatusView};
use crate::replica::Inbox;
use crate::types::{
    FloatingAddress, HandleId, Index, Membership, NodeId, NodeInfo, QueueManagerId, Reason, RoleView,
    SessionId, Term, Version, WhyNotServing, limits,
};

/// Of those of which few may meet the conditions of a display, so many are looked at for one answer.
const LOOKED_AT_MAX: usize = 2_000;
/// Who administrative calls say they are.
const APPLICATION: &str = "gRPC admin";

#[derive(Debug)]
pub struct Administration {
    listener: Listener,
    gate: Gate,
}

impl Administration {
    pub(super) fn new(listener: Listener, gate: Gate) -> Administration {
        Administration { listener, gate }
    }

    /// One call to one queue manager. `call` is made when the queue manager is known.
    async fn ask<C: Into<Call>>(
        &self,
        admission: &Admission,
        queue_manager: &str,
        call: impl FnOnce(&Inbox) -> Result<C, Refused>,
    ) -> Answer {
        let answered = async {
            let inbox = find(&self.listener, queue_manager)?;
            let call = call(&inbox)?;
            self.ask_of(admission, &inbox, call.into()).await
        };
        answered.await.unwrap_or_else(|refusal| Answer { completion: *refusal, serving: None })
    }

    /// The same of any, the nodes' own too.
    async fn ask_any(
        &self,
        admission: &Admission,
        queue_manager: &str,
        call: impl FnOnce(&Inbox) -> Result<mqi::Operate, Refused>,
    ) -> Answer {
        let answered = async {
            let inbox = find_any(&self.listener, queue_manager)?;
            let call = call(&inbox)?;
            self.ask_of(admission, &inbox, call.into()).await
        };
        answered.await.unwrap_or_else(|refusal| Answer { completion: *refusal, serving: None })
    }

    async fn ask_of(&self, admission: &Admission, inbox: &Inbox, call: Call) -> Result<Answer, Refused> {
        // A mistake is told by whichever node is asked.
        call.check()?;
        let mut errand =
            Errand::to_administer(&self.listener, inbox, &admission.client.identity, APPLICATION).await?;
        let completion = errand.call(call).await;
        let serving = errand.elsewhere(&completion).map(convert::serving);
        Ok(Answer { completion, serving })
    }
}

/// What the replica said, and where to go if it said so.
struct Answer {
    completion: Completion,
    serving: Option<Serving>,
}

impl Answer {
    fn outcome(&self) -> Option<Outcome> {
        convert::outcome_of(&self.completion)
    }

    fn response(self) -> Result<Response<wire::AdminResponse>, Status> {
        Ok(Response::new(wire::AdminResponse { outcome: self.outcome(), serving: self.serving }))
    }
}

#[tonic::async_trait]
impl Admin for Administration {
    type NodeAddStream = ResponseStream<wire::MembershipProgress>;
    type NodeRemoveStream = ResponseStream<wire::MembershipProgress>;
    type NodeReplaceStream = ResponseStream<wire::MembershipProgress>;

    async fn define(
        &self,
        request: Request<wire::DefineRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit_to_change(&self.gate, &request)?;
        let request = request.into_inner();
        let define = |_: &Inbox| {
            let (object, changes) =
                convert::changed_object(&request.kind, &request.name, &request.attributes)?;
            Ok(mqi::Admin::Define { object, like: request.like, replace: request.replace, changes })
        };
        self.ask(&admission, &request.queue_manager, define).await.response()
    }

    async fn alter(
        &self,
        request: Request<wire::AlterRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit_to_change(&self.gate, &request)?;
        let request = request.into_inner();
        let alter = |_: &Inbox| {
            let (object, changes) =
                convert::changed_object(&request.kind, &request.name, &request.attributes)?;
            Ok(mqi::Admin::Alter { object, changes })
        };
        self.ask(&admission, &request.queue_manager, alter).await.response()
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit_to_change(&self.gate, &request)?;
        let request = request.into_inner();
        let delete = |_: &Inbox| {
            let (object, _) = convert::changed_object(&request.kind, &request.name, &[])?;
            Ok(mqi::Admin::Delete { object, purge: request.purge })
        };
        self.ask(&admission, &request.queue_manager, delete).await.response()
    }

    async fn clear(
        &self,
        request: Request<wire::ClearRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit_to_change(&self.gate, &request)?;
        let request = request.into_inner();
        let clear = |_: &Inbox| Ok(mqi::Admin::Clear { queue: mqi::object_named(&request.queue)? });
        self.ask(&admission, &request.queue_manager, clear).await.response()
    }

    async fn set(&self, request: Request<wire::SetRequest>) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit_to_change(&self.gate, &request)?;
        let request = request.into_inner();
        let set = |_: &Inbox| {
            let (record, changes) =
                convert::changed_object(&request.kind, &request.profile, &request.attributes)?;
            let action = convert::record_action(request.action)?;
            Ok(mqi::Admin::SetRecord { record, action, changes })
        };
        self.ask(&admission, &request.queue_manager, set).await.response()
    }

    async fn display(
        &self,
        request: Request<wire::DisplayRequest>,
    ) -> Result<Response<wire::DisplayResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let filters = match convert::filters(&request.conditions) {
            Ok(filters) => filters,
            Err(refusal) => {
                let outcome = convert::outcome_of(&refusal);
                return Ok(Response::new(wire::DisplayResponse { outcome, ..Default::default() }));
            }
        };
        let (mut objects, mut upto, mut looked_at) = (Vec::new(), request.after.clone(), 0);
        let (answer, more) = loop {
            let display = |_: &Inbox| {
                let kinds = mqi::kinds_named(&request.kind)?;
                Ok(mqi::Admin::Display { kinds, pattern: request.name.clone(), after: upto.clone() })
            };
            let answer = self.ask(&admission, &request.queue_manager, display).await;
            let Data::Objects(page) = &answer.completion.data else { break (answer, false) };
            for part in page.objects.chunks(PART) {
                self.listener.wording.turn().await;
                let details = part.iter().map(convert::object_details);
                objects
                    .extend(details.filter(|object| mqsc::meets(object, &request.queue_manager, &filters)));
            }
            looked_at += page.objects.len();
            let last = page.objects.last().filter(|_| page.more);
            upto = last.map(|last| last.definition.object.name.clone()).unwrap_or_default();
            let is_enough = filters.is_empty() || objects.len() >= limits::OBJECTS_A_PAGE;
            if upto.is_empty() || is_enough || looked_at >= LOOKED_AT_MAX {
                break (answer, !upto.is_empty());
            }
        };
        let outcome = answer.outcome();
        Ok(Response::new(wire::DisplayResponse { outcome, objects, serving: answer.serving, more, upto }))
    }

    async fn refresh(
        &self,
        request: Request<wire::RefreshRequest>,
    ) -> Result<Response<wire::RefreshResponse>, Status> {
        let admission = admit_to_change(&self.gate, &request)?;
        let request = request.into_inner();
        let refresh = |_: &Inbox| convert::refresh(&request);
        let answer = self.ask(&admission, &request.queue_manager, refresh).await;
        let upto = match &answer.completion.data {
            Data::Refreshed { upto } => upto.clone(),
            _ => None,
        };
        let (outcome, more) = (answer.outcome(), upto.is_some());
        let upto = upto.unwrap_or_default();
        Ok(Response::new(wire::RefreshResponse { outcome, serving: answer.serving, upto, more }))
    }

    async fn sessions(
        &self,
        request: Request<wire::SessionsRequest>,
    ) -> Result<Response<wire::SessionsResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let queue_manager = self.listener.node.queue_manager(&request.queue_manager);
        let passed = |view: &mqi::SessionView| {
            let queue_manager = queue_manager.as_ref().filter(|_| view.is_instance)?;
            self.listener.traffic.of_instance(queue_manager.name(), view.session)
        };
        let mut sessions: Vec<wire::SessionDetails> = Vec::new();
        let mut next = (SessionId(request.after), Some(HandleId(0)));
        // A session is told with all that it has open; one that takes more than a page ends the answer.
        let (answer, more) = loop {
            let (after, handles) = next;
            let is_rest = handles != Some(HandleId(0));
            let call = |_: &Inbox| Ok(mqi::Admin::Sessions { after, handles });
            let mut answer = self.ask(&admission, &request.queue_manager, call).await;
            let Data::Sessions(page) = std::mem::take(&mut answer.completion.data) else {
                break (answer, false);
            };
            self.listener.wording.turn().await;
            let details = |view: &mqi::SessionView| convert::session_details(view, passed(view));
            let mut told = page.sessions.iter().map(details).peekable();
            match (is_rest, sessions.last_mut()) {
                (true, Some(last)) => {
                    last.handles.extend(
                        told.next_if(|rest| rest.id == last.id).into_iter().flat_map(|rest| rest.handles),
                    );
                }
                _ => sessions.extend(told.by_ref()),
            }
            match page.more {
                Some(more @ (of, Some(handle))) if handle != HandleId(0) && (!is_rest || of == after) => {
                    next = more
                }
                more => break (answer, more.is_some() || told.peek().is_some()),
            }
        };
        let outcome = answer.outcome();
        Ok(Response::new(wire::SessionsResponse { outcome, sessions, serving: answer.serving, more }))
    }

    async fn status(
        &self,
        request: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let node = &self.listener.node;
        let mut warnings = node.warnings.borrow().clone();
        let mut queue_managers = Vec::new();
        let mut shown: Vec<Inbox> = node.queue_managers().into_values().collect();
        shown.extend(node.cluster_inbox().filter(|_| request.get_ref().with_cluster));
        for inbox in &shown {
            let name = inbox.name();
            let answer = self.ask_any(&admission, name.as_str(), |_| Ok(mqi::Operate::Status)).await;
            match answer.completion.data {
                Data::Status(status) => {
                    queue_managers.push(status_of(&self.listener, inbox, &status));
                }
                _ => warnings.push(format!("{name} does not say how it is: {}.", answer.completion.reason)),
            }
        }
        Ok(Response::new(wire::StatusResponse {
            cluster: node.cluster.clone(),
            node: node.name.clone(),
            version: node.version.to_string(),
            queue_managers,
            warnings,
            uptime_s: self.listener.uptime().as_secs(),
            memory: self.listener.account.figures().map(convert::memory_share).collect(),
            addresses_not_given_back: not_given_back(&self.listener),
        }))
    }

    async fn failovers(
        &self,
        request: Request<wire::FailoversRequest>,
    ) -> Result<Response<wire::FailoversResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let after = request.after;
        let answer =
            self.ask(&admission, &request.queue_manager, |_| Ok(mqi::Operate::Failovers { after })).await;
        let outcome = answer.outcome();
        let mqi::KeptFailovers { records: failovers, classified, canary } = match answer.completion.data {
            Data::Failovers(kept) => *kept,
            _ => mqi::KeptFailovers::default(),
        };
        let more = failovers.len() >= trimaran_proto::failover::A_PAGE;
        Ok(Response::new(wire::FailoversResponse { outcome, failovers, more, classified, canary }))
    }

    async fn audit(
        &self,
        request: Request<wire::AuditRequest>,
    ) -> Result<Response<wire::AuditResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let wire::AuditRequest { queue_manager, after } = request.into_inner();
        let answer = self.ask_any(&admission, &queue_manager, |_| Ok(mqi::Operate::Trail { after })).await;
        let outcome = answer.outcome();
        let mqi::KeptTrail { records, more } = match answer.completion.data {
            Data::Trail(kept) => *kept,
            _ => mqi::KeptTrail::default(),
        };
        Ok(Response::new(wire::AuditResponse { outcome, records, more }))
    }

    async fn classify(
        &self,
        request: Request<wire::ClassifyRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let wire::ClassifyRequest { queue_manager, number, class, because } = request.into_inner();
        let said = wire::Classified { number, class, because, ..wire::Classified::default() };
        self.ask(&admission, &queue_manager, |_| Ok(mqi::Operate::Classify(said.clone()))).await.response()
    }

    async fn r#move(
        &self,
        request: Request<wire::MoveRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let call = |inbox: &Inbox| {
            let to = match request.to_node.as_str() {
                "" => None,
                name => Some(membership_of(inbox).named(name)?),
            };
            let units_within = request.units_within_ms.map(Duration::from_millis);
            Ok(mqi::Operate::Move { to, units_within })
        };
        self.ask(&admission, &request.queue_manager, call).await.response()
    }

    async fn maintain(
        &self,
        request: Request<wire::MaintainRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let call = |inbox: &Inbox| {
            let node = membership_of(inbox).named(&request.node)?;
            Ok(mqi::Operate::Maintain { node, begins: request.begins, force: request.force })
        };
        self.ask(&admission, &request.queue_manager, call).await.response()
    }

    async fn run(&self, request: Request<wire::RunRequest>) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let wire::RunRequest { queue_manager, state, reconnect } = request.into_inner();
        let call = |_: &Inbox| convert::run_request(state, reconnect).map(mqi::Operate::Run);
        self.ask(&admission, &queue_manager, call).await.response()
    }

    async fn create_queue_manager(
        &self,
        request: Request<wire::CreateQueueManagerRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let create = |_: &Inbox| convert::create_request(request);
        self.ask_any(&admission, QueueManagerId::CLUSTER_NAME, create).await.response()
    }

    async fn arrange_queue_manager(
        &self,
        request: Request<wire::ArrangeQueueManagerRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let arrange = |_: &Inbox| convert::arrange_request(request);
        self.ask_any(&admission, QueueManagerId::CLUSTER_NAME, arrange).await.response()
    }

    async fn delete_queue_manager(
        &self,
        request: Request<wire::DeleteQueueManagerRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let name = request.into_inner().name;
        let delete = |_: &Inbox| {
            let here = self.listener.node.queue_manager(&name).filter(|_| !name.is_empty());
            if here.is_some_and(|inbox| runs(&inbox.role())) {
                let detail = format!("{name} runs: end it first, with endmqm.");
                return Err(refused(Reason::ObjectInUse, detail));
            }
            Ok(mqi::Operate::Delete { name: mqi::queue_manager_named(&name)? })
        };
        self.ask_any(&admission, QueueManagerId::CLUSTER_NAME, delete).await.response()
    }

    async fn upgrade(
        &self,
        request: Request<wire::UpgradeRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let to = (request.version != 0).then_some(Version(request.version));
        self.ask_any(&admission, &request.queue_manager, |_| Ok(mqi::Operate::Raise { to })).await.response()
    }

    async fn recover(
        &self,
        request: Request<wire::RecoverRequest>,
    ) -> Result<Response<wire::AdminResponse>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let request = request.into_inner();
        let recover = |inbox: &Inbox| {
            Ok(mqi::Operate::Recover(mqi::RecoverRequest {
                from: match request.from_id {
                    0 => membership_of(inbox).named(&request.from_node)?,
                    id => NodeId(id),
                },
                last: (Term(request.last_term), Index(request.last_index)),
                term: Term(request.term),
            }))
        };
        let user = &admission.client.identity.user;
        tracing::warn!(
            queue_manager = request.queue_manager,
            user,
            from = request.from_node,
            last_index = request.last_index,
            last_term = request.last_term,
            "told to go on with what the best node has left"
        );
        self.ask_any(&admission, &request.queue_manager, recover).await.response()
    }

    async fn node_add(
        &self,
        request: Request<wire::NodeAddRequest>,
    ) -> Result<Response<Self::NodeAddStream>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let wire::NodeAddRequest { id, name, peer_address, client_address } = request.into_inner();
        let info = NodeInfo { name, peer_address, client_address };
        let wanted = MembershipRequest::Add { node: NodeId(id), info };
        Ok(self.change_membership(admission, move |_| Ok(wanted.clone())))
    }

    async fn node_remove(
        &self,
        request: Request<wire::NodeRemoveRequest>,
    ) -> Result<Response<Self::NodeRemoveStream>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let name = request.into_inner().name;
        Ok(self.change_membership(admission, move |membership| {
            Ok(MembershipRequest::Remove { node: membership.named(&name)? })
        }))
    }

    async fn node_replace(
        &self,
        request: Request<wire::NodeReplaceRequest>,
    ) -> Result<Response<Self::NodeReplaceStream>, Status> {
        let admission = admit(&self.gate, request.extensions())?;
        let wire::NodeReplaceRequest { old_name, id, name, peer_address, client_address } =
            request.into_inner();
        let info = NodeInfo { name, peer_address, client_address };
        Ok(self.change_membership(admission, move |membership| {
            let (node, info) = (NodeId(id), info.clone());
            match membership.named(&old_name) {
                Ok(old) => Ok(MembershipRequest::Replace { old, node, info }),
                // It is said again, and was done: what is left of it is that the new one is there.
                Err(_) if membership.nodes.get(&node).is_some_and(|there| there.name == info.name) => {
                    Ok(MembershipRequest::Add { node, info })
                }
                Err(unknown) => Err(unknown.into()),
            }
        }))
    }
}

/// What a queue manager says of itself, and what its node knows besides.
pub(in crate::listener) fn status_of(
    listener: &Listener,
    inbox: &Inbox,
    status: &StatusView,
) -> wire::QueueManagerStatus {
    let (node, name) = (&listener.node, inbox.name());
    let mut view = convert::queue_manager_status(name, status);
    let (own, membership) = ((node.node, node.name.as_str()), &status.membership);
    let waits = waits::sentence_with_recovery(own, status.role, &status.waits_for, membership);
    view.waits = waits.filter(|_| status.leader.is_none()).unwrap_or_default();
    let floating = node.addresses.borrow();
    let is_own =
        |address: &&FloatingAddress| address.queue_manager == inbox.queue_manager() && !address.is_former;
    let own = floating.iter().filter(is_own);
    view.addresses = own.map(convert::floating_address).collect();
    // Whoever does not serve does not know what is defined.
    if inbox.role().is_serving() {
        let listeners = inbox.published().listeners.borrow().clone();
        let ports = ports::status(name, &listeners, &node.ports.borrow());
        view.listeners = ports.iter().map(convert::listener_status).collect();
    }
    view.command_server = listener.command_servers.borrow().contains(&inbox.queue_manager());
    view
}

/// Of those that no queue manager has any more.
fn not_given_back(listener: &Listener) -> Vec<String> {
    let floating = listener.node.addresses.borrow();
    let may_be_here = |one: &&FloatingAddress| one.is_former && (one.not_given_back || one.is_by_program);
    let kept = floating.iter().filter(may_be_here);
    kept.map(|address| address.ip.to_string()).collect()
}

/// This node leads it, and it was not ended.
fn runs(role: &RoleView) -> bool {
    role.leads() && !matches!(role, RoleView::Elected { why: WhyNotServing::Ended, .. })
}

fn membership_of(inbox: &Inbox) -> Membership {
    inbox.published().membership.borrow().clone()
}

impl Administration {
    /// Runs a change for every queue manager of the node, one after the other. Queue managers that are served
    /// elsewhere are passed over, with a word on where to ask for them. The last message has `done`, and the first
    /// failure if there was one.
    fn change_membership<F>(
        &self,
        admission: Admission,
        wanted: F,
    ) -> Response<ResponseStream<wire::MembershipProgress>>
    where
        F: Fn(&Membership) -> Result<MembershipRequest, Refused> + Send + Sync + 'static,
    {
        let (progress, steps) = tokio::sync::mpsc::channel(16);
        let listener = self.listener.clone();
        let change = async move {
            let mut failure: Option<wire::MembershipProgress> = None;
            // The nodes' own first, where this node leads it: from its records a new node learns which queue managers there are.
            let own = listener.node.cluster_inbox().filter(|own| own.role().is_serving());
            let inboxes: Vec<Inbox> =
                own.into_iter().chain(listener.node.queue_managers().into_values()).collect();
            // A node may have left one queue manager already, and is known by its name in the others.
            let mut known = Membership::default();
            inboxes.iter().for_each(|inbox| known.nodes.extend(membership_of(inbox).nodes));
            for inbox in inboxes {
                let change = Change { listener: &listener, inbox: &inbox, progress: &progress };
                let asked = wanted(&known);
                let checked = asked.and_then(|asked| Ok(asked.check().map(|()| asked)?));
                let ended = match checked {
                    Ok(MembershipRequest::Remove { node })
                        if !membership_of(&inbox).nodes.contains_key(&node) =>
                    {
                        change.ended(Completion::done(), None)
                    }
                    Ok(asked) => change.run(&admission, asked).await,
                    Err(refusal) => change.ended(*refusal, None),
                };
                let failed = ended.outcome.is_some();
                let _ = progress.send(ended.clone()).await;
                if failed && failure.is_none() {
                    // A change that cannot be done for one of them is not begun for the next; one that is served
                    // elsewhere is somebody else's.
                    let stop = ended.serving.is_none();
                    failure = Some(ended);
                    if stop {
                        break;
                    }
                }
            }
            let last = failure.unwrap_or(wire::MembershipProgress { fraction: 1.0, ..Default::default() });
            let _ = progress.send(wire::MembershipProgress { done: true, step: "done".into(), ..last }).await;
        };
        // The change is carried on by its own task: it goes on even if the caller stops listening in the middle.
        tokio::spawn(change);
        Response::new(Box::pin(stream::unfold(steps, |mut steps| async {
            steps.recv().await.map(|step| (Ok(step), steps))
        })))
    }
}

/// What became of a change, and what that means where less than three are left.
fn changed(voters: usize) -> String {
    match voters {
        1 => "changed: 1 node votes from now on, and while it is away nobody serves".into(),
        2 => "changed: 2 nodes vote from now on, and while one of them is away nobody serves".into(),
        _ => "changed".into(),
    }
}

/// One queue manager's part of a membership change.
struct Change<'a> {
    listener: &'a Listener,
    inbox: &'a Inbox,
    progress: &'a tokio::sync::mpsc::Sender<wire::MembershipProgress>,
}

impl Change<'_> {
    async fn run(&self, admission: &Admission, asked: MembershipRequest) -> wire::MembershipProgress {
        if let Err(Unserved { refusal, elsewhere }) = check_serving(self.listener, self.inbox) {
            return self.ended(*refusal, elsewhere.map(convert::serving));
        }
        match self.steps(admission, asked).await {
            Ok((completion, serving)) => self.ended(completion, serving),
            Err(refusal) => self.ended(*refusal, None),
        }
    }

    async fn steps(
        &self,
        admission: &Admission,
        asked: MembershipRequest,
    ) -> Result<(Completion, Option<Serving>), Refused> {
        let identity = &admission.client.identity;
        let mut errand = Errand::to_administer(self.listener, self.inbox, identity, APPLICATION).await?;
        errand.send(vec![Call::Operate(mqi::Operate::Members(asked))]).await?;
        loop {
            let (_, completion) = errand.next().await?;
            let Data::Progress { step, fraction } = completion.data else {
                let serving = errand.elsewhere(&completion).map(convert::serving);
                return Ok((completion, serving));
            };
            let step = wire::MembershipProgress { step, fraction, ..self.blank() };
            // Nobody may be listening any more; the change goes on.
            let _ = self.progress.send(step).await;
        }
    }

    fn ended(&self, completion: Completion, serving: Option<Serving>) -> wire::MembershipProgress {
        let outcome = convert::outcome_of(&completion);
        let (step, fraction) = match &outcome {
            None => (changed(membership_of(self.inbox).voters.len()), 1.0),
            Some(_) if serving.is_some() => ("served elsewhere".into(), 0.0),
            Some(_) => ("refused".into(), 0.0),
        };
        wire::MembershipProgress { step, fraction, outcome, serving, ..self.blank() }
    }

    fn blank(&self) -> wire::MembershipProgress {
        wire::MembershipProgress { queue_manager: self.inbox.name().to_string(), ..Default::default() }
    }
}
