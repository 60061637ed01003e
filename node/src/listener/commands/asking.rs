//! What a command wants to know or to be done, asked of the queue manager.

use trimaran_proto::admin::v1::StatusResponse;
use trimaran_proto::mqsc::{Reply, Request};

use super::session::is_for_the_next;
use crate::listener::Listener;
use crate::listener::errand::Errand;
use crate::listener::grpc::{
    changed_object, object_details, record_action, refresh, session_details, status_of,
};
use crate::listener::serving::Refused;
use crate::mqi::{self, Admin, Call, Completion, Data, ObjectView, Page, SessionView};
use crate::replica::Inbox;
use crate::types::{Reason, SessionId, limits};

/// One answer, or a page of one.
pub struct Answered {
    pub reply: Reply,
    /// What is asked for the page behind it.
    pub more: Option<Request>,
}

/// Asks, and words the answer.
///
/// # Errors
/// Nobody knows whether it was done, or nobody is served any more: the session is to be given up, and the command comes again.
pub async fn ask(
    listener: &Listener,
    inbox: &Inbox,
    errand: &mut Errand,
    request: Request,
) -> Result<Answered, Reason> {
    if matches!(request, Request::Sessions) {
        return sessions(listener, inbox, errand).await;
    }
    let call = match call_of(&request) {
        Ok(call) => call,
        Err(refused) => return Ok(Answered { reply: refusal(*refused), more: None }),
    };
    let completion = checked(errand.call(call).await)?;
    let more = match (&completion.data, request) {
        (Data::Refreshed { upto: Some(upto) }, Request::Refresh(mut refresh)) => {
            refresh.after.clone_from(upto);
            Some(Request::Refresh(refresh))
        }
        (Data::Objects(objects), Request::Display(mut display)) if Page::of(objects).is_full() => {
            display.after =
                objects.last().map(|last| last.definition.object.name.clone()).unwrap_or_default();
            Some(Request::Display(display))
        }
        _ => None,
    };
    Ok(Answered { reply: reply_of(listener, inbox, completion), more })
}

/// All of them: those of one connection belong together.
async fn sessions(listener: &Listener, inbox: &Inbox, errand: &mut Errand) -> Result<Answered, Reason> {
    let (mut all, mut after) = (Vec::new(), SessionId::default());
    loop {
        let completion = checked(errand.call(Admin::Sessions { after }.into()).await)?;
        let Data::Sessions(views) = completion.data else {
            return Ok(Answered { reply: refusal(completion), more: None });
        };
        let instances = views.iter().map(|view| {
            let of = Some(view.session).filter(|_| view.is_instance);
            session_details(view, of.and_then(|of| listener.traffic.of_instance(inbox.name(), of)))
        });
        all.extend(instances);
        let described: usize = views.iter().map(SessionView::described).sum();
        match views.last() {
            Some(last) if described >= limits::OBJECTS_A_PAGE => after = last.session,
            _ => return Ok(Answered { reply: Reply::Sessions(all), more: None }),
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
        Request::Sessions => Admin::Sessions { after: SessionId::default() },
        Request::Status => return Ok(mqi::Operate::Status.into()),
    };
    Ok(admin.into())
}

fn reply_of(listener: &Listener, inbox: &Inbox, completion: Completion) -> Reply {
    if completion.is_failed() {
        return refusal(completion);
    }
    match completion.data {
        Data::Objects(objects) => {
            Reply::Objects(objects.iter().map(|object: &ObjectView| object_details(object)).collect())
        }
        Data::Status(status) => {
            let node = &listener.node;
            Reply::Status(StatusResponse {
                cluster: node.cluster.clone(),
                node: node.name.clone(),
                version: node.version.to_string(),
                queue_managers: vec![status_of(listener, inbox, &status)],
                ..StatusResponse::default()
            })
        }
        _ => Reply::Done,
    }
}

fn refusal(completion: Completion) -> Reply {
    let reason = completion.reason;
    let text = completion.detail.unwrap_or_else(|| reason.text().to_string());
    Reply::Refused { reason: reason.number(), text }
}
