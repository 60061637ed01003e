//! Drives one request: takes its body in, lets its client in, asks, and answers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::LOCATION;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::Places;
use super::answer::{self, Answer};
use super::change::Change;
use super::dialogue::{APPLICATION, Dialogue, problem};
use super::given::Given;
use super::intake::{Taken, is_long, take_in};
use super::manager;
use super::message;
use super::mqsc::Action;
use super::problem::{Place, Problem};
use super::request::{Asked, GetAsked, ListAsked, PutAsked, What};
use super::steps::Steps;
use crate::listener::backlogs::Of;
use crate::listener::client::Client;
use crate::listener::commands::asking::{Answered, ask};
use crate::listener::counters::add;
use crate::listener::errand::Errand;
use crate::listener::flights::outcome;
use crate::listener::gate::{Admission, Gate, NotAdmitted};
use crate::listener::node::Listener;
use crate::listener::serving::{Elsewhere, Unserved, check_serving, find, find_served};
use crate::listener::unread::Unread;
use crate::mqi::{Completion, Data, Identity, Operate};
use crate::replica::Inbox;
use crate::types::definition::Tongue;
use crate::types::{Held, Message, Reason, Share, limits};

/// The description of all of it.
pub const OPENAPI: &str = include_str!("openapi.json");

/// A longer body is looked at elsewhere: the queue manager may run on this worker.
const CHECKED_HERE_BYTES: usize = 1 << 20;
/// The same of text that is made UTF-8.
const CONVERTED_HERE_BYTES: usize = 32 * 1024;
/// What stays as it is of a name in a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');
/// Messages that a list looks at in one go.
const LOOKS_AT_ONCE: u64 = 32;

/// What answers the requests of one connection.
pub struct Service {
    listener: Listener,
    gate: Gate,
    places: Arc<Places>,
    client: Client,
}

impl Service {
    pub fn new(listener: Listener, gate: Gate, places: Arc<Places>, client: Client) -> Service {
        Service { listener, gate, places, client }
    }

    pub async fn answer(&self, request: Request<Incoming>) -> Response<Given> {
        let (mut head, body) = request.into_parts();
        if head.method == Method::HEAD {
            // The same as GET, of which the connection sends no body.
            head.method = Method::GET;
        }
        let answer = self.answered(&head, body).await;
        let (head, body) = answer.unwrap_or_else(|problem| problem.answer()).into_parts();
        let unread = Unread::watched(&self.listener.backlogs, self.client.clone(), Of::Call);
        let parts = body.parts().iter().map(|part| unread.hold_and_part(part.clone()));
        Response::from_parts(head, Given::of(parts))
    }

    async fn answered(&self, head: &Parts, body: Incoming) -> Result<Answer, Problem> {
        let asked = Asked::read(head)?;
        if is_long(&body) && matches!(asked.what, What::Put(_)) {
            // Who is to go elsewhere, or is let in nowhere, need not send it.
            drop(self.admit(&asked.what)?);
            find_served(&self.listener, &asked.manager).map_err(|unserved| self.unserved(head, unserved))?;
        }
        let most = asked.body_bytes_max();
        let reason =
            if most == limits::BODY_BYTES_MAX { Reason::MsgTooBigForQMgr } else { Reason::DataLengthError };
        let Taken { bytes, .. } = &take_in(body, most, reason, &self.listener.account).await?;
        let Asked { manager, what } = asked;
        if let What::OpenApi = what {
            return Ok(answer::text(StatusCode::OK, answer::JSON, Bytes::from_static(OPENAPI.as_bytes())));
        }
        let admission = self.admit(&what)?;
        match what {
            What::OpenApi => unreachable!("it was answered"),
            What::Login => {
                let user = &admission.client.identity.user;
                Ok(answer::json(StatusCode::OK, &json!({ "user": [{ "name": user, "role": [] }] })))
            }
            What::Installation => Ok(answer::json(StatusCode::OK, &manager::installation(&self.listener))),
            What::Managers => Ok(answer::json(StatusCode::OK, &manager::all(&self.listener))),
            What::Manager { attributes } => self.manager(&admission, &manager, &attributes).await,
            What::Mqsc => self.command(head, &admission, &manager, bytes).await,
            What::Inquire(inquiry) => {
                let inbox = self.served(head, &manager)?;
                let mut inquiry = inquiry.of(inbox.name().as_str());
                let _held = self.ask_all(head, &admission, &inbox, Tongue::Rest, &mut inquiry).await?;
                inquiry.answer()
            }
            What::Create { like, replace } => {
                let made = Change::create(bytes, &like, replace)?;
                let name = self.change(head, &admission, &manager, made).await?;
                let mut answer = answer::empty(StatusCode::CREATED);
                answer::say(&mut answer, LOCATION, &format!("{}/{}", head.uri.path(), encoded(&name)));
                Ok(answer)
            }
            What::Alter { queue } => {
                let altered = Change::alter(queue, bytes)?;
                self.change(head, &admission, &manager, altered).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            What::Delete { queue, purge } => {
                self.change(head, &admission, &manager, Change::delete(queue, purge)?).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            What::Publish => {
                find(&self.listener, &manager)?;
                let detail = "Nothing is published or subscribed to yet; put the message to a queue: POST \
                              /messaging/qmgr/{qmgr}/queue/{queue}/message.";
                Err(Problem::of(Reason::FunctionNotSupported, Some(detail.into())))
            }
            What::Put(put) => self.put(head, &admission, &manager, *put, bytes.clone()).await,
            What::Get(get) => self.get(head, &manager, get).await,
            What::List(list) => self.list(head, &manager, list).await,
        }
    }

    /// Who puts, gets or browses is a program.
    fn admit(&self, what: &What) -> Result<Admission, Problem> {
        let is_program = matches!(what, What::Put(_) | What::Get(_) | What::List(_));
        let client = self.client.clone();
        let admitted = if is_program { self.gate.admit_program(client) } else { self.gate.admit(client) };
        admitted.map_err(|refused| {
            let reason = match &refused {
                NotAdmitted::Stopping => Reason::QMgrStopping,
                NotAdmitted::NoUser(_) => Reason::NotAuthorized,
                NotAdmitted::TooMany { .. } | NotAdmitted::Crowded => Reason::MaxConnsLimitReached,
            };
            Problem::of(reason, Some(refused.to_string()))
        })
    }

    // ---- messages ----

    async fn put(
        &self,
        head: &Parts,
        admission: &Admission,
        manager: &str,
        put: PutAsked,
        body: Bytes,
    ) -> Result<Answer, Problem> {
        const UNKNOWN: &str = "Nobody knows whether the message was put. Look for it before it is put again; with an Idempotency-Key it \
                               could be repeated.";
        const UNKNOWN_WITH_KEY: &str = "Nobody knows whether the message was put: repeat it with the same Idempotency-Key, and it is there once.";
        let producer = put.producer(&admission.client.identity.user)?;
        let has_key = producer.is_some();
        add(&self.listener.counters.body_bytes_received, body.len() as u64);
        let call = match body.len() <= CHECKED_HERE_BYTES {
            true => put.call(body, producer),
            false => {
                let checking = tokio::task::spawn_blocking(move || put.call(body, producer));
                let failed =
                    || Problem::of(Reason::UnexpectedError, Some("The body could not be checked.".into()));
                checking.await.unwrap_or_else(|_| Err(failed()))
            }
        }?;
        let mut dialogue = self.dialogue(head, manager).await?;
        let completion = one(dialogue.ask(vec![call]).await);
        let Data::Placed { message_id, duplicate, .. } = completion.data else {
            // Whatever it says of producers, which nobody knows here.
            if has_key && completion.reason == Reason::UnexpectedError {
                return Err(forgotten());
            }
            let unknown = if has_key { UNKNOWN_WITH_KEY } else { UNKNOWN };
            return Err(self.failed(head, &dialogue, completion, unknown));
        };
        let mut answer = answer::empty(StatusCode::CREATED);
        answer::say(&mut answer, message::MESSAGE_ID, &message::hex(&message_id.0));
        if duplicate {
            answer::say(&mut answer, message::REPLAYED, "true");
        }
        Ok(answer)
    }

    async fn get(&self, head: &Parts, manager: &str, get: GetAsked) -> Result<Answer, Problem> {
        const UNKNOWN: &str = "Nobody knows whether a message was got: if so, it is gone. Who must not lose one browses it first, and gets \
                               it by its messageId when it was dealt with.";
        let mut dialogue = self.dialogue(head, manager).await?;
        let completions = dialogue.ask(get.calls()).await;
        let completion = outcome(completions);
        match completion.data {
            Data::Got { message, .. } => {
                add(&self.listener.counters.body_bytes_sent, message.body.len() as u64);
                Ok(self.given(*message).await)
            }
            _ if completion.reason == Reason::NoMsgAvailable => Ok(answer::empty(StatusCode::NO_CONTENT)),
            _ => Err(self.failed(head, &dialogue, completion, UNKNOWN)),
        }
    }

    /// Much text in another character set is made UTF-8 where it keeps nobody waiting.
    async fn given(&self, message: Message) -> Answer {
        if !message::is_converted(&message) || message.body.len() <= CONVERTED_HERE_BYTES {
            return message::given(message);
        }
        let mut held = Held::nothing(self.listener.account.clone(), Share::Answers);
        held.set(message.body.len() as u64);
        let place = self.listener.bodies.clone().acquire_owned().await;
        let kept = message.clone();
        let converting = tokio::task::spawn_blocking(move || {
            let answer = message::given(message);
            drop(place);
            answer
        });
        converting.await.unwrap_or_else(|_| message::given(kept))
    }

    async fn list(&self, head: &Parts, manager: &str, list: ListAsked) -> Result<Answer, Problem> {
        let mut dialogue = self.dialogue(head, manager).await?;
        let mut lines = Vec::new();
        let mut completions = dialogue.ask(list.calls(list.limit.min(LOOKS_AT_ONCE))).await;
        if completions[0].is_failed() {
            return Err(self.failed(head, &dialogue, completions.swap_remove(0), ""));
        }
        completions.remove(0);
        loop {
            for completion in completions {
                match completion.data {
                    Data::Got { message, .. } => lines.push(message::listed(&message.descriptor)),
                    _ if completion.reason == Reason::NoMsgAvailable => return Ok(listed(lines)),
                    _ => return Err(self.failed(head, &dialogue, completion, "")),
                }
            }
            let looks = (list.limit - lines.len() as u64).min(LOOKS_AT_ONCE);
            if looks == 0 {
                return Ok(listed(lines));
            }
            completions = dialogue.ask((0..looks).map(|_| list.look(false)).collect()).await;
        }
    }

    async fn dialogue(&self, head: &Parts, manager: &str) -> Result<Dialogue, Problem> {
        let begun = Dialogue::begin(&self.listener, &self.client, manager).await;
        begun.map_err(|unserved| self.unserved(head, unserved))
    }

    // ---- administration ----

    async fn manager(
        &self,
        admission: &Admission,
        name: &str,
        attributes: &[String],
    ) -> Result<Answer, Problem> {
        let inbox = find(&self.listener, name)?;
        let groups = manager::groups(attributes)?;
        let mut status = None;
        if !groups.is_empty() {
            let identity = &admission.client.identity;
            let mut errand = Errand::to_administer(&self.listener, &inbox, identity, APPLICATION).await?;
            let completion = errand.call(Operate::Status.into()).await;
            match completion.data {
                Data::Status(view) => status = Some(view),
                _ => return Err(Problem::of_failed(completion)),
            }
        }
        let described = manager::described(&self.listener, &inbox, &groups, status.as_deref());
        Ok(answer::json(StatusCode::OK, &described))
    }

    async fn command(
        &self,
        head: &Parts,
        admission: &Admission,
        manager: &str,
        body: &[u8],
    ) -> Result<Answer, Problem> {
        let inbox = self.served(head, manager)?;
        let mut action = Action::read(body, inbox.name().as_str())?;
        let _held = self.ask_all(head, admission, &inbox, Tongue::Mqsc, &mut action).await?;
        Ok(action.answer())
    }

    /// The name of what was changed.
    async fn change(
        &self,
        head: &Parts,
        admission: &Admission,
        manager: &str,
        mut change: Change,
    ) -> Result<String, Problem> {
        let inbox = self.served(head, manager)?;
        self.ask_all(head, admission, &inbox, Tongue::Rest, &mut change).await?;
        Ok(change.name)
    }

    /// Asks until there is nothing more to ask. What is changed is in the audit trail, in this language. Gives the memory of what is shown.
    async fn ask_all(
        &self,
        head: &Parts,
        admission: &Admission,
        inbox: &Inbox,
        tongue: Tongue,
        steps: &mut impl Steps,
    ) -> Result<Held, Problem> {
        let identity = Identity { tongue, ..admission.client.identity.clone() };
        let mut errand = Errand::to_administer(&self.listener, inbox, &identity, APPLICATION).await?;
        let mut held = Held::nothing(self.listener.account.clone(), Share::Answers);
        let mut is_begun = false;
        while let Some(request) = steps.next_request() {
            let mut next = Some(request);
            while let Some(request) = next.take() {
                let asked = ask(&self.listener, inbox, &mut errand, request).await;
                let Answered { mut pieces, more } = asked.map_err(|reason| {
                    let elsewhere = check_serving(&self.listener, inbox).err();
                    let elsewhere = elsewhere.and_then(|unserved| unserved.elsewhere);
                    self.at(head, interrupted(reason, steps.changes(), is_begun), elsewhere)
                })?;
                is_begun = true;
                let mut is_wanted = true;
                while is_wanted && let Some(reply) = pieces.next().await {
                    is_wanted = steps.on_reply(&reply, more.is_some() || !pieces.is_over())?;
                    if !held.hold(steps.shown_bytes()) {
                        return Err(Problem::of(Reason::ResourceProblem, None));
                    }
                }
                next = more.filter(|_| is_wanted);
            }
        }
        Ok(held)
    }

    fn served(&self, head: &Parts, manager: &str) -> Result<Inbox, Problem> {
        find_served(&self.listener, manager).map_err(|unserved| self.unserved(head, unserved))
    }

    // ---- refusals ----

    fn failed(&self, head: &Parts, dialogue: &Dialogue, completion: Completion, unknown: &str) -> Problem {
        let elsewhere = dialogue.elsewhere(&completion);
        self.at(head, problem(completion, unknown), elsewhere)
    }

    fn unserved(&self, head: &Parts, Unserved { refusal, elsewhere }: Unserved) -> Problem {
        self.at(head, refusal.into(), elsewhere)
    }

    /// Where what was asked for is to be asked, if nothing of it was done here.
    fn at(&self, head: &Parts, problem: Problem, elsewhere: Option<Elsewhere>) -> Problem {
        let Some(elsewhere) = elsewhere.filter(|_| problem.status == StatusCode::SERVICE_UNAVAILABLE) else {
            return problem;
        };
        let scheme = if self.places.secure { "https" } else { "http" };
        let asked = head.uri.path_and_query().map_or("/", |asked| asked.as_str());
        problem.at(match self.places.addresses.get(&elsewhere.node) {
            Some(address) => {
                let location = Some(format!("{scheme}://{address}{asked}"));
                Place { node: elsewhere.node, address: address.clone(), location }
            }
            None => Place::of_clients(elsewhere),
        })
    }
}

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

fn listed(lines: Vec<serde_json::Value>) -> Answer {
    answer::json(StatusCode::OK, &json!({ "messages": lines }))
}

fn one(completions: Vec<Completion>) -> Completion {
    completions.into_iter().next().expect("every call is answered")
}

/// A key that fell out of what is remembered.
fn forgotten() -> Problem {
    let detail = "Whether a message was put with this Idempotency-Key is not known any more: so many others were used since. Look for the \
                  message, and use a new key.";
    Problem::because(StatusCode::CONFLICT, Reason::UnexpectedError, detail)
}

/// A command whose session ended.
fn interrupted(reason: Reason, changes: bool, is_begun: bool) -> Problem {
    let is_refused = reason.says_not_served();
    if !changes || (is_refused && !is_begun) {
        let reason =
            if changes || reason != Reason::CallInterrupted { reason } else { Reason::ConnectionBroken };
        return Problem::of(reason, None);
    }
    let detail = "Nobody knows whether the command was done, or how much of it: display what it is about before it is repeated.";
    Problem::of(Reason::CallInterrupted, Some(detail.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_may_have_been_done_is_not_said_not_to_have() {
        for (reason, changes, is_begun, status) in [
            (Reason::QMgrStopping, true, false, 503),
            (Reason::QMgrStopping, true, true, 504),
            (Reason::CallInterrupted, true, false, 504),
            (Reason::ConnectionBroken, true, false, 503),
            (Reason::ConnectionBroken, true, true, 504),
            (Reason::CallInterrupted, false, true, 503),
            (Reason::StandbyQMgr, false, false, 503),
        ] {
            let problem = interrupted(reason, changes, is_begun);
            assert_eq!(problem.status, status, "{reason} {changes} {is_begun}");
        }
    }
}
