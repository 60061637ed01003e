//! runmqsc without a network: its requests as calls of a program, and what comes back as it is shown.

use std::time::Duration;

use trimaran_node::listener::grpc::{object_details, session_details};
use trimaran_node::mqi::{Admin, Call, Completion, Data, Refresh, kinds_told};
use trimaran_node::types::definition::{Changes, Fault, ObjectKind, ObjectRef, RecordAction};
use trimaran_node::types::{HandleId, ObjectName, Reason, SessionId};
use trimaran_proto::admin::v1::set_request::Action;
use trimaran_proto::admin::v1::{Attribute, StatusResponse};
use trimaran_proto::mqsc::{Command, Reply, Request, Script, Step};

/// What the queue manager of the scripts is called there.
pub(super) const QUEUE_MANAGER: &str = "QM1";

/// The conversation of a script, from its first line to END.
#[derive(Default)]
pub struct Mqsc(Script);

impl Mqsc {
    /// What is to be asked, if the line completes a command.
    pub fn line(&mut self, line: &str, shown: &mut Vec<String>) -> Option<Command> {
        let before = shown.len();
        let step = self.0.line(line, shown);
        leave_out_help(shown, before);
        match step {
            Step::Ask(command) => Some(command),
            Step::Next => None,
            Step::End => {
                shown.extend(self.0.trailer());
                shown.push(format!("exit code {}", self.0.exit_code()));
                *self = Mqsc::default();
                None
            }
        }
    }

    pub fn answer(&mut self, command: &Command, reply: Option<&Reply>, shown: &mut Vec<String>) {
        self.0.answer(command, reply, QUEUE_MANAGER, shown);
    }
}

/// Of the syntax that would have been right only the first line: it is the table of attributes, which changes.
fn leave_out_help(shown: &mut Vec<String>, from: usize) {
    let help =
        shown[from..].iter().position(|line| line.starts_with("AMQ8427I") || line.starts_with("AMQ8426I"));
    if let Some(place) = help {
        shown.truncate(from + place + 1);
    }
}

/// # Errors
/// What cannot even be asked.
pub fn call_of(request: Request) -> Result<Call, Fault> {
    let admin = match request {
        Request::Define(request) => {
            let (object, changes) = changed(&request.kind, &request.name, &request.attributes)?;
            Admin::Define { object, like: request.like, replace: request.replace, changes }
        }
        Request::Alter(request) => {
            let (object, changes) = changed(&request.kind, &request.name, &request.attributes)?;
            Admin::Alter { object, changes }
        }
        Request::Delete(request) => {
            let (object, _) = changed(&request.kind, &request.name, &[])?;
            Admin::Delete { object, purge: request.purge }
        }
        Request::Clear(request) => Admin::Clear {
            queue: ObjectName::new(&request.queue)
                .map_err(|error| Fault::new(Reason::ObjectNameError, error.to_string()))?,
        },
        Request::Set(request) => {
            let (record, changes) = changed(&request.kind, &request.profile, &request.attributes)?;
            let action = match Action::try_from(request.action) {
                Ok(Action::Replace) => RecordAction::Replace,
                Ok(Action::Remove) => RecordAction::Remove,
                Ok(Action::RemoveAll) => RecordAction::RemoveAll,
                _ => RecordAction::Add,
            };
            Admin::SetRecord { record, action, changes }
        }
        Request::Display(request) => {
            let kinds = match ObjectKind::named(&request.kind) {
                Some(kind) => vec![kind],
                None => {
                    ObjectKind::ALL.iter().map(|facts| facts.kind).filter(|kind| kind.is_queue()).collect()
                }
            };
            Admin::Display { kinds, pattern: request.name, after: request.after }
        }
        Request::Refresh(request) => Admin::Refresh(Refresh {
            kinds: kinds_told(&request.kind).map_err(|refusal| Fault::new(refusal.reason, ""))?,
            pattern: request.name,
            after: request.after,
            within: (request.within_minutes > 0)
                .then(|| Duration::from_secs(60 * u64::from(request.within_minutes))),
        }),
        Request::Sessions { .. } => {
            Admin::Sessions { after: SessionId::default(), handles: Some(HandleId(0)) }
        }
        Request::Status => return Ok(Call::Ping),
    };
    Ok(Call::Admin(admin))
}

fn changed(kind: &str, name: &str, attributes: &[Attribute]) -> Result<(ObjectRef, Changes), Fault> {
    let kind = ObjectKind::named(kind).expect("MQSC has the kinds of the table");
    let said = attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.value.as_str()));
    let changes = Changes::parse(kind, said)?;
    let object = match kind {
        ObjectKind::QueueManager => ObjectRef::manager(),
        kind if kind.is_record() => ObjectRef::record(kind, name, &changes),
        kind => ObjectRef::new(kind, name),
    };
    Ok((object, changes))
}

pub fn reply_of(completion: Completion) -> Reply {
    if completion.is_failed() {
        let reason = completion.reason;
        let text = completion.detail.as_deref().unwrap_or(reason.text()).to_string();
        return Reply::Refused { reason: reason.number(), text };
    }
    match completion.data {
        Data::Objects(page) => Reply::Objects(page.objects.iter().map(object_details).collect()),
        Data::Sessions(page) => {
            Reply::Sessions(page.sessions.iter().map(|session| session_details(session, None)).collect())
        }
        Data::Nothing => Reply::Status(StatusResponse::default()),
        _ => Reply::Done,
    }
}
