//! A refusal: a problem document (RFC 9457) with MQ's completion and reason codes, and beside them what programs for IBM's API look
//! for.

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, LOCATION, RETRY_AFTER};
use serde_json::json;

use super::answer::{self, Answer};
use crate::listener::serving::{Elsewhere, Refused};
use crate::mqi::{Completion, Refusal};
use crate::types::{CompletionCode, Reason};

pub const PROBLEM: &str = "application/problem+json";

/// A node that is to be asked again may be there after so many seconds.
const AGAIN_SECONDS: &str = "1";

/// Why a request was not carried out, or why nobody knows whether it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub reason: Reason,
    /// Sentences.
    pub detail: Option<String>,
    /// Of a method that the resource has not: those that it has.
    allow: Option<String>,
    place: Option<Place>,
}

/// Who serves instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub node: String,
    /// Of the REST API of that node, or of its clients where it has none.
    pub address: String,
    /// What was asked for, there; None where it has no REST API.
    pub location: Option<String>,
}

impl Problem {
    pub fn because(status: StatusCode, reason: Reason, detail: impl Into<String>) -> Problem {
        Problem { status, reason, detail: Some(detail.into()), allow: None, place: None }
    }

    /// A request that makes no sense.
    pub fn bad(reason: Reason, detail: impl Into<String>) -> Problem {
        Problem::because(StatusCode::BAD_REQUEST, reason, detail)
    }

    /// A reason with the status that goes with it.
    pub fn of(reason: Reason, detail: Option<String>) -> Problem {
        Problem { status: status_of(reason), reason, detail, allow: None, place: None }
    }

    /// # Panics
    /// When it did not fail, in a debug build.
    pub fn of_failed(completion: Completion) -> Problem {
        debug_assert_eq!(completion.code, CompletionCode::Failed, "what was done is no problem");
        Problem::of(completion.reason, completion.detail)
    }

    /// What the queue manager refused, by the number of its reason.
    pub fn of_refused(reason: u32, text: &str) -> Problem {
        let reason = Reason::from_number(reason).unwrap_or(Reason::UnexpectedError);
        Problem::of(reason, (!text.is_empty()).then(|| text.to_owned()))
    }

    /// The methods that the resource has.
    pub fn allowing(self, methods: String) -> Problem {
        Problem { allow: Some(methods), ..self }
    }

    /// It is served there: where that can be asked for the same, the client is sent there.
    pub fn at(self, place: Place) -> Problem {
        let status = if place.location.is_some() { StatusCode::TEMPORARY_REDIRECT } else { self.status };
        let place = (!place.node.is_empty()).then_some(place);
        Problem { status, place, ..self }
    }

    pub fn answer(&self) -> Answer {
        let Problem { status, reason, detail, allow, place } = self;
        let (number, text) = (reason.number(), reason.text());
        let message = detail.as_deref().unwrap_or(text);
        let mut document = json!({
            "type": format!("urn:mq:reason:{number}"),
            "title": text,
            "status": status.as_u16(),
            "detail": message,
            "completionCode": CompletionCode::Failed as u32,
            "reasonCode": number,
            "reason": name_of(*reason),
            "error": [{
                "type": "rest",
                "completionCode": CompletionCode::Failed as u32,
                "reasonCode": number,
                "message": message,
                "action": text,
            }],
        });
        if let Some(Place { node, address, .. }) = place {
            document["servedBy"] = json!({ "node": node, "address": address });
        }
        let mut answer = answer::text(*status, PROBLEM, Bytes::from(document.to_string()));
        if let Some(methods) = allow {
            answer::say(&mut answer, ALLOW, methods);
        }
        if let Some(location) = place.as_ref().and_then(|place| place.location.as_ref()) {
            answer::say(&mut answer, LOCATION, location);
        } else if *status == StatusCode::SERVICE_UNAVAILABLE {
            answer::say(&mut answer, RETRY_AFTER, AGAIN_SECONDS);
        }
        answer
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        Problem::of_failed(*refused)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        Problem::of(refusal.reason, refusal.detail)
    }
}

impl Place {
    /// Where a node is that has no REST API: its clients' address.
    pub fn of_clients(elsewhere: Elsewhere) -> Place {
        Place { node: elsewhere.node, address: elsewhere.address, location: None }
    }
}

fn name_of(reason: Reason) -> String {
    let prefix = if reason.number() > 3000 { "MQRCCF" } else { "MQRC" };
    format!("{prefix}_{}", reason.name())
}

/// What a program that knows HTTP and not MQ makes of it: whose turn it is to do something, and whether it was done.
pub fn status_of(reason: Reason) -> StatusCode {
    match reason {
        Reason::NotAuthorized | Reason::GetInhibited | Reason::PutInhibited => StatusCode::FORBIDDEN,
        Reason::QMgrNameError
        | Reason::UnknownObjectName
        | Reason::UnknownAliasBaseQ
        | Reason::UnknownRemoteQMgr
        | Reason::NoMsgAvailable => StatusCode::NOT_FOUND,
        Reason::ObjectInUse
        | Reason::ObjectChanged
        | Reason::ObjectAlreadyExists
        | Reason::ObjectWrongType
        | Reason::QDeleted
        | Reason::QNotEmpty
        | Reason::PersistentNotAllowed
        | Reason::QFull => StatusCode::CONFLICT,
        Reason::MsgTooBigForQ | Reason::MsgTooBigForQMgr => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::FunctionNotSupported => StatusCode::NOT_IMPLEMENTED,
        Reason::UnexpectedError => StatusCode::INTERNAL_SERVER_ERROR,
        // Nobody knows whether it was done.
        Reason::CallInterrupted => StatusCode::GATEWAY_TIMEOUT,
        Reason::ConnectionBroken
        | Reason::MaxConnsLimitReached
        | Reason::QMgrNotAvailable
        | Reason::QMgrQuiescing
        | Reason::QMgrStopping
        | Reason::QSpaceNotAvailable
        | Reason::ResourceProblem
        | Reason::StandbyQMgr
        | Reason::StorageMediumFull => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(problem: &Problem) -> serde_json::Value {
        serde_json::from_slice(&problem.answer().body().to_bytes()).unwrap()
    }

    #[test]
    fn a_refusal_says_what_mq_says_and_what_to_do() {
        let problem = Problem::of(Reason::UnknownObjectName, None);
        let said = document(&problem);
        assert_eq!(
            (&said["status"], &said["reasonCode"], &said["completionCode"]),
            (&404.into(), &2085.into(), &2.into())
        );
        assert_eq!(said["reason"], "MQRC_UNKNOWN_OBJECT_NAME");
        assert_eq!(said["error"][0]["reasonCode"], 2085);
        assert!(said["detail"].as_str().unwrap().ends_with("names are case-sensitive."));
        assert_eq!(problem.answer().headers()["content-type"], PROBLEM);
        assert_eq!(document(&Problem::of(Reason::AttrValueError, None))["reason"], "MQRCCF_ATTR_VALUE_ERROR");
    }

    #[test]
    fn what_may_have_happened_is_not_said_not_to_have() {
        let status = |reason| status_of(reason).as_u16();
        assert_eq!((status(Reason::CallInterrupted), status(Reason::ConnectionBroken)), (504, 503));
    }

    #[test]
    fn who_serves_is_named_and_asked_instead_where_that_can_be() {
        let place =
            Place { node: "b".into(), address: "b:9443".into(), location: Some("http://b:9443/x".into()) };
        let moved = Problem::of(Reason::StandbyQMgr, None).at(place.clone());
        let answer = moved.answer();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["location"]),
            (307, &"http://b:9443/x".parse().unwrap())
        );
        assert_eq!(document(&moved)["servedBy"]["node"], "b");
        let stays = Problem::of(Reason::StandbyQMgr, None).at(Place { location: None, ..place });
        assert_eq!(stays.answer().headers()["retry-after"], "1");
        let nobody = Problem::of(Reason::QMgrNotAvailable, None).at(Place::default());
        assert!(document(&nobody).get("servedBy").is_none() && nobody.answer().status() == 503);
    }
}
