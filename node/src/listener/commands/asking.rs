//! What a command wants to know or to be done, asked of the queue manager.

use trimaran_proto::admin::v1::StatusResponse;
use trimaran_proto::mqsc::{Reply, Request, Subject};

use super::pieces::Pieces;
use super::session::is_for_the_next;
use crate::listener::Listener;
use crate::listener::errand::Errand;
use crate::listener::grpc::{changed_object, record_action, refresh, session_details, status_of};
use crate::listener::serving::Refused;
use crate::mqi::{self, Admin, Call, Completion, Data};
use crate::replica::Inbox;
use crate::types::{HandleId, Reason, SessionId};

/// One answer, or a page of one.
pub struct Answered {
    pub pieces: Pieces,
    /// What is asked for the page behind it.
    pub more: Option<Request>,
}

/// Asks. The answer is worded as its pieces are taken.
///
/// # Errors
/// Nobody knows whether it was done, or nobody is served any more: the session is to be given up, and the command comes again.
pub async fn ask(
    listener: &Listener,
    inbox: &Inbox,
    errand: &mut Errand,
    request: Request,
) -> Result<Answered, Reason> {
    if let Request::Sessions { of: Subject::ChannelStatus, .. } = request {
        return channels(listener, inbox, errand).await;
    }
    let call = match call_of(&request) {
        Ok(call) => call,
        Err(refused) => return Ok(Answered { pieces: Pieces::whole(refusal(*refused)), more: None }),
    };
    let completion = checked(errand.call(call).await)?;
    let more = match (&completion.data, request) {
        (Data::Refreshed { upto: Some(upto) }, Request::Refresh(mut refresh)) => {
            refresh.after.clone_from(upto);
            Some(Request::Refresh(refresh))
        }
        (Data::Objects(page), Request::Display(mut display)) if page.more => {
            display.after =
                page.objects.last().map(|last| last.definition.object.name.clone()).unwrap_or_default();
            Some(Request::Display(display))
        }
        (Data::Sessions(page), Request::Sessions { of, .. }) => page.more.map(|(upto, handle)| {
            let handle = handle.map_or(0, |handle| handle.0);
            Request::Sessions { of, after: upto.0, handle }
        }),
        _ => None,
    };
    Ok(Answered { pieces: pieces_of(listener, inbox, completion), more })
}

/// All that are connected: the programs of an instance are told with it, wherever among the others they are.
async fn channels(listener: &Listener, inbox: &Inbox, errand: &mut Errand) -> Result<Answered, Reason> {
    let (mut all, mut after) = (Vec::new(), SessionId::default());
    loop {
        let completion = checked(errand.call(Admin::Sessions { after, handles: None }.into()).await)?;
        let Data::Sessions(page) = completion.data else {
            return Ok(Answered { pieces: Pieces::whole(refusal(completion)), more: None });
        };
        let instances = page.sessions.iter().map(|view| {
            let of = Some(view.session).filter(|_| view.is_instance);
            session_details(view, of.and_then(|of| listener.traffic.of_instance(inbox.name(), of)))
        });
        all.extend(instances);
        match page.more {
            Some((upto, _)) => after = upto,
            None => return Ok(Answered { pieces: Pieces::of_channels(all, &listener.wording), more: None }),
        }
    }
}

/// # Errors
/// The reason for which the command is to be tried again by whoever serves next.
fn checked(completion: Completion) -> Result<Completion, Reason> {
    if is_for_the_next(completion.reason) { Err(completion.reason) } else { Ok(completion) }
}

fn call_of(request: &Request) -> Result<Call, Refused> {
    let admin = match request {
        Request::Define(define) => {
            let (object, changes) = changed_object(&define.kind, &define.name, &define.attributes)?;
            Admin::Define { object, like: define.like.clone(), replace: define.replace, changes }
        }
        Request::Alter(alter) => {
            let (object, changes) = changed_object(&alter.kind, &alter.name, &alter.attributes)?;
            Admin::Alter { object, changes }
        }
        Request::Delete(delete) => {
            let (object, _) = changed_object(&delete.kind, &delete.name, &[])?;
            Admin::Delete { object, purge: delete.purge }
        }
        Request::Clear(clear) => Admin::Clear { queue: mqi::object_named(&clear.queue)? },
        Request::Set(set) => {
            let (record, changes) = changed_object(&set.kind, &set.profile, &set.attributes)?;
            Admin::SetRecord { record, action: record_action(set.action)?, changes }
        }
        Request::Display(display) => {
            let kinds = mqi::kinds_named(&display.kind)?;
            Admin::Display { kinds, pattern: display.name.clone(), after: display.after.clone() }
        }
        Request::Refresh(request) => refresh(request)?,
        Request::Sessions { of, after, handle } => {
            let handles = (*of == Subject::QueueHandles).then_some(HandleId(*handle));
            Admin::Sessions { after: SessionId(*after), handles }
        }
        Request::Status => return Ok(mqi::Operate::Status.into()),
    };
    Ok(admin.into())
}

fn pieces_of(listener: &Listener, inbox: &Inbox, completion: Completion) -> Pieces {
    if completion.is_failed() {
        return Pieces::whole(refusal(completion));
    }
    match completion.data {
        Data::Objects(page) => Pieces::of_objects(page.objects, &listener.wording),
        Data::Sessions(page) => Pieces::of_sessions(page.sessions, &listener.wording),
        Data::Status(status) => {
            let node = &listener.node;
            Pieces::whole(Reply::Status(StatusResponse {
                cluster: node.cluster.clone(),
                node: node.name.clone(),
                version: node.version.to_string(),
                queue_managers: vec![status_of(listener, inbox, &status)],
                ..StatusResponse::default()
            }))
        }
        _ => Pieces::whole(Reply::Done),
    }
}

fn refusal(completion: Completion) -> Reply {
    let reason = completion.reason;
    let text = completion.detail.unwrap_or_else(|| reason.text().to_string());
    Reply::Refused { reason: reason.number(), text }
}
