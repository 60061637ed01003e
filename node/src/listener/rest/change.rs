//! A queue that is made, altered or deleted, by what a body of JSON says of it. Without IO: what is to be asked is given out, and what
//! came back says how it ended.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trimaran_proto::admin::v1::{AlterRequest, Attribute, DefineRequest, DeleteRequest, DisplayRequest};
use trimaran_proto::attribute::{Kind, State};
use trimaran_proto::mqsc::{Reply, Request};

use super::inquiry::{Sort, queue_of_type};
use super::names::{Names, flattened};
use super::problem::Problem;
use super::steps::Steps;
use crate::mqi::queue_named;
use crate::types::Reason;

/// Which queue a PATCH or DELETE without a type is about has to be looked up.
#[derive(Debug)]
pub struct Change {
    pub name: String,
    verb: Verb,
    request: Option<Request>,
}

#[derive(Debug)]
enum Verb {
    Create,
    /// As the body says.
    Alter(Map<String, Value>),
    Delete {
        purge: bool,
    },
}

impl Change {
    /// # Errors
    /// 400 for a body that describes no queue, 409 for what contradicts itself.
    pub fn create(body: &[u8], like: &str, replace: bool) -> Result<Change, Problem> {
        let mut body = object(body)?;
        let name = taken(&mut body, "name")?.ok_or_else(|| {
            Problem::bad(Reason::ObjectNameError, "A queue that is made has a name: {\"name\":\"ORDERS\"}.")
        })?;
        let kind = taken(&mut body, "type")?.map_or(Ok(Kind::LocalQueue), |word| queue_of_type(&word))?;
        let request = Request::Define(DefineRequest {
            kind: kind.facts().name.into(),
            name: name.clone(),
            like: like.to_owned(),
            replace,
            attributes: attributes(kind, &body)?,
            ..DefineRequest::default()
        });
        Ok(Change { name, verb: Verb::Create, request: Some(request) })
    }

    /// # Errors
    /// As [`Change::create`].
    pub fn alter(name: String, body: &[u8]) -> Result<Change, Problem> {
        let mut body = object(body)?;
        let of_type = taken(&mut body, "type")?;
        let request = match of_type {
            Some(word) => altered(queue_of_type(&word)?, &name, &body)?,
            None => looked_up(&name)?,
        };
        Ok(Change { name, verb: Verb::Alter(body), request: Some(request) })
    }

    /// # Errors
    /// 404 for a name that no queue can have.
    pub fn delete(name: String, purge: bool) -> Result<Change, Problem> {
        let request = looked_up(&name)?;
        Ok(Change { name, verb: Verb::Delete { purge }, request: Some(request) })
    }

    /// What is done to a queue of this kind.
    fn to(&self, kind: Kind) -> Result<Request, Problem> {
        match &self.verb {
            Verb::Create => unreachable!("what is made is not looked up"),
            Verb::Alter(body) => altered(kind, &self.name, body),
            Verb::Delete { purge } => Ok(Request::Delete(DeleteRequest {
                kind: kind.facts().name.into(),
                name: self.name.clone(),
                purge: *purge && kind == Kind::LocalQueue,
                ..DeleteRequest::default()
            })),
        }
    }
}

impl Steps for Change {
    fn changes(&self) -> bool {
        true
    }

    fn next_request(&mut self) -> Option<Request> {
        self.request.take()
    }

    fn on_reply(&mut self, reply: &Reply, more: bool) -> Result<bool, Problem> {
        match reply {
            // By itself each value can be: it does not go with what the queue is otherwise.
            Reply::Refused { reason, text } if *reason == Reason::AttrValueError.number() => {
                let status = http::StatusCode::CONFLICT;
                Err(Problem::because(status, Reason::AttrValueError, text.clone()))
            }
            Reply::Refused { reason, text } => Err(Problem::of_refused(*reason, text)),
            Reply::Objects(found) => {
                let found = found.iter().find(|object| object.name == self.name);
                match found.and_then(|object| Kind::named(&object.kind)) {
                    Some(kind) => {
                        self.request = Some(self.to(kind)?);
                        Ok(false)
                    }
                    None if more => Ok(true),
                    None => {
                        let detail = format!("There is no {} {}.", Sort::Queue.label(), self.name);
                        Err(Problem::of(Reason::UnknownObjectName, Some(detail)))
                    }
                }
            }
            _ => Ok(false),
        }
    }

    fn shown_bytes(&self) -> u64 {
        0
    }
}

fn looked_up(name: &str) -> Result<Request, Problem> {
    let name = queue_named(name)?.to_string();
    Ok(Request::Display(DisplayRequest { kind: "QUEUE".into(), name, ..DisplayRequest::default() }))
}

fn altered(kind: Kind, name: &str, body: &Map<String, Value>) -> Result<Request, Problem> {
    Ok(Request::Alter(AlterRequest {
        kind: kind.facts().name.into(),
        name: queue_named(name)?.to_string(),
        attributes: attributes(kind, body)?,
        ..AlterRequest::default()
    }))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = format!(
            "The body describes no queue: {error}. Send {{\"name\":\"ORDERS\",\"type\":\"local\",\"storage\":{{\"maximumDepth\":100}}}}."
        );
        Problem::bad(Reason::OptionsError, detail)
    })
}

/// A text that stands beside the groups.
fn taken(body: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match body.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => {
            Err(Problem::bad(Reason::AttrValueError, format!("{name} is a text, and not {other}.")))
        }
    }
}

/// What a body says of a queue of this kind, as MQSC has it.
fn attributes(kind: Kind, body: &Map<String, Value>) -> Result<Vec<Attribute>, Problem> {
    let names = Names::of(kind);
    let mut said: BTreeMap<&'static str, (String, bool)> = BTreeMap::new();
    for (path, value) in flattened(body) {
        let Some(name) = names.at(&path) else {
            let says_nothing = value.as_object().is_some_and(Map::is_empty) && names.has_group(&path);
            if says_nothing {
                continue;
            }
            return Err(unknown(kind, &path));
        };
        if name.attribute.state == State::Live {
            let detail = format!("{path} is a fact and cannot be set.");
            return Err(Problem::bad(Reason::AttrValueError, detail));
        }
        let text = name.read(value).map_err(|why| Problem::bad(Reason::AttrValueError, why))?;
        let is_chosen = *value == Value::Bool(true);
        let before = said.get(name.attribute.name).filter(|(_, was_chosen)| *was_chosen);
        match before {
            None => {
                said.insert(name.attribute.name, (text, is_chosen));
            }
            Some(_) if is_chosen => {
                let detail = format!("{path} is true, and so is what it excludes.");
                return Err(Problem::because(http::StatusCode::CONFLICT, Reason::AttrValueError, detail));
            }
            Some(_) => {}
        }
    }
    let attribute = |(name, (value, _)): (&str, (String, bool))| Attribute { name: name.into(), value };
    Ok(said.into_iter().map(attribute).collect())
}

fn unknown(kind: Kind, path: &str) -> Problem {
    let of_others = Sort::Queue.kinds().into_iter().any(|other| Names::of(other).at(path).is_some());
    let reason = if of_others { Reason::SelectorNotForType } else { Reason::SelectorError };
    Problem::bad(reason, format!("A {} has no attribute {path}.", kind.facts().words))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use trimaran_proto::admin::v1::ObjectDetails;

    use super::*;

    fn create(body: Value) -> Result<Change, (u16, u32)> {
        Change::create(body.to_string().as_bytes(), "", true)
            .map_err(|problem| (problem.status.as_u16(), problem.reason.number()))
    }

    fn said(attributes: &[Attribute]) -> Vec<(&str, &str)> {
        attributes.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect()
    }

    fn queue(kind: &str) -> Reply {
        Reply::Objects(vec![ObjectDetails {
            kind: kind.into(),
            name: "Q".into(),
            ..ObjectDetails::default()
        }])
    }

    #[test]
    fn a_body_says_what_define_would() {
        let body = json!({ "name": "Q", "general": { "description": "don't", "inhibitPut": true },
            "storage": { "maximumDepth": 7 }, "events": { "serviceInterval": { "highEnabled": false, "okEnabled": true } } });
        let mut made = create(body).unwrap();
        let Some(Request::Define(define)) = made.next_request() else { panic!() };
        assert_eq!((define.kind.as_str(), define.name.as_str(), define.replace), ("QLOCAL", "Q", true));
        assert_eq!(
            said(&define.attributes),
            [("DESCR", "don't"), ("MAXDEPTH", "7"), ("PUT", "DISABLED"), ("QSVCIEV", "OK")]
        );
        assert_eq!(made.on_reply(&Reply::Done, false), Ok(false));
        assert!(made.next_request().is_none() && made.changes());
        let alias = create(json!({ "name": "A", "type": "alias", "alias": { "targetName": "Q" } }));
        let Some(Request::Define(define)) = alias.unwrap().next_request() else { panic!() };
        assert_eq!((define.kind.as_str(), said(&define.attributes)), ("QALIAS", vec![("TARGET", "Q")]));
    }

    #[test]
    fn what_describes_no_queue_is_refused_with_the_reason() {
        for (body, refused) in [
            (json!([]), (400, 2046)),
            (json!({}), (400, 2152)),
            (json!({ "name": 7 }), (400, 4005)),
            (json!({ "name": "Q", "type": "cluster" }), (400, 2043)),
            (json!({ "name": "Q", "color": "red" }), (400, 2067)),
            (json!({ "name": "Q", "general": { "color": "red" } }), (400, 2067)),
            (json!({ "name": "Q", "general": "red" }), (400, 2067)),
            (json!({ "name": "Q", "paint": {} }), (400, 2067)),
            (json!({ "name": "Q", "alias": { "targetName": "X" } }), (400, 2068)),
            (json!({ "name": "Q", "storage": { "maximumDepth": "deep" } }), (400, 4005)),
            (json!({ "name": "Q", "dynamic": { "type": "permanentDynamic" } }), (400, 4005)),
            (
                json!({ "name": "Q", "events": { "serviceInterval": { "highEnabled": true, "okEnabled": true } } }),
                (409, 4005),
            ),
        ] {
            assert_eq!(create(body.clone()).err(), Some(refused), "{body}");
        }
    }

    #[test]
    fn the_kind_of_a_queue_is_looked_up_where_the_body_does_not_say_it() {
        let body = json!({ "alias": { "targetName": "X" } }).to_string();
        let mut alter = Change::alter("Q".into(), body.as_bytes()).unwrap();
        assert!(matches!(alter.next_request(), Some(Request::Display(_))));
        assert_eq!(alter.on_reply(&queue("QALIAS"), false), Ok(false));
        let Some(Request::Alter(request)) = alter.next_request() else { panic!() };
        assert_eq!((request.kind.as_str(), said(&request.attributes)), ("QALIAS", vec![("TARGET", "X")]));

        let mut other = Change::alter("Q".into(), body.as_bytes()).unwrap();
        other.next_request();
        let problem = other.on_reply(&queue("QLOCAL"), false).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.reason), (400, Reason::SelectorNotForType));

        let mut delete = Change::delete("Q".into(), true).unwrap();
        delete.next_request();
        delete.on_reply(&queue("QREMOTE"), false).unwrap();
        let Some(Request::Delete(request)) = delete.next_request() else { panic!() };
        assert_eq!((request.kind.as_str(), request.purge), ("QREMOTE", false));
        let mut missing = Change::delete("NONE".into(), true).unwrap();
        missing.next_request();
        let problem = missing.on_reply(&Reply::Objects(Vec::new()), false).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.reason), (404, Reason::UnknownObjectName));
    }
}
