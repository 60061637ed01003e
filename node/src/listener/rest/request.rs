//! What a request asks for: method, path, query and headers, before its body is read.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::inquiry::{Inquiry, Said, Sort};
use super::key;
use super::message;
use super::path::{Kind, Resource};
use super::problem::Problem;
use crate::mqi::{
    Call, Context, Get, GetMode, OpenOptions, Put, PutTarget, Refusal, Selection, Wait, check_body,
    queue_named,
};
use crate::types::{Body, Descriptor, HandleId, Message, ObjectName, ProducerSequence, Reason, limits};

const CSRF: HeaderName = HeaderName::from_static("ibm-mq-rest-csrf-token");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Messages that one answer lists.
const LIST_MAX: u64 = 1000;
const LIST_DEFAULT: u64 = 10;
/// Of a command in JSON: four times what a command may have.
const COMMAND_BYTES_MAX: usize = 128 * 1024;
/// The only handle of a session that is one request.
const HANDLE: HandleId = HandleId(1);

/// A request that was understood, with the queue manager it is about.
#[derive(Debug)]
pub struct Asked {
    pub manager: String,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    OpenApi,
    Login,
    Installation,
    Managers,
    Manager {
        attributes: Vec<String>,
    },
    Mqsc,
    Inquire(Box<Inquiry>),
    /// A queue as the body says, like another one or as by default.
    Create {
        like: String,
        replace: bool,
    },
    Alter {
        queue: String,
    },
    Delete {
        queue: String,
        purge: bool,
    },
    Publish,
    Put(Box<PutAsked>),
    Get(GetAsked),
    List(ListAsked),
}

/// A message that is to be put; its body comes.
#[derive(Debug)]
pub struct PutAsked {
    pub queue: ObjectName,
    pub descriptor: Descriptor,
    pub key: Option<String>,
}

/// A message that is to be got, or looked at.
#[derive(Debug)]
pub struct GetAsked {
    pub queue: ObjectName,
    pub selection: Selection,
    pub wait: Wait,
    pub browses: bool,
}

/// Messages that are to be listed.
#[derive(Debug)]
pub struct ListAsked {
    pub queue: ObjectName,
    pub selection: Selection,
    /// So many at most.
    pub limit: u64,
}

impl Asked {
    /// # Errors
    /// 404, 405, 403 without the header against forged requests, 400 for what makes no sense, 415.
    pub fn read(head: &Parts) -> Result<Asked, Problem> {
        let Resource { kind, manager, object } = Resource::named(&head.method, head.uri.path())?;
        check_token(&head.method, &head.headers)?;
        let mut query = Query::read(head.uri.query().unwrap_or_default())?;
        let what = match kind {
            Kind::OpenApi => What::OpenApi,
            Kind::Login => What::Login,
            Kind::Installation => What::Installation,
            Kind::Managers => What::Managers,
            Kind::Manager => What::Manager { attributes: query.list("attributes") },
            Kind::Mqsc => {
                check_json(&head.headers)?;
                What::Mqsc
            }
            Kind::Objects(sort) if head.method == Method::GET => inquiry(sort, None, &mut query)?,
            Kind::Object(sort) if head.method == Method::GET => inquiry(sort, Some(object), &mut query)?,
            Kind::Objects(_) | Kind::Object(_) => Asked::change(head, object, &mut query)?,
            Kind::Publication => What::Publish,
            Kind::Message => Asked::message(head, object, &mut query)?,
            Kind::MessageList => {
                let limit = query.number("limit", 1, LIST_MAX)?.unwrap_or(LIST_DEFAULT);
                What::List(ListAsked { queue: named(&object)?, selection: query.selection()?, limit })
            }
        };
        let is_put = matches!(what, What::Put(_));
        if !is_put && head.method != Method::GET && head.headers.contains_key(KEY) {
            let detail = "An Idempotency-Key is for puts: nothing else would be remembered by it.";
            return Err(Problem::bad(Reason::OptionsError, detail));
        }
        query.nothing_left().map(|()| Asked { manager, what })
    }

    fn message(head: &Parts, queue: String, query: &mut Query) -> Result<What, Problem> {
        let queue = named(&queue)?;
        if head.method == Method::POST {
            let key = head.headers.get(KEY).map(|key| key.to_str().map(str::to_owned));
            let key = key
                .transpose()
                .map_err(|_| Problem::bad(Reason::OptionsError, "An Idempotency-Key is printable ASCII."))?;
            return Ok(What::Put(Box::new(PutAsked {
                queue,
                descriptor: message::descriptor(&head.headers)?,
                key,
            })));
        }
        let ms = query.number("wait", 0, i32::MAX as u64)?.unwrap_or(0);
        Ok(What::Get(GetAsked {
            queue,
            selection: query.selection()?,
            wait: Wait::of_ms(ms as i32)?,
            browses: head.method == Method::GET,
        }))
    }

    fn change(head: &Parts, queue: String, query: &mut Query) -> Result<What, Problem> {
        if head.method == Method::DELETE {
            // Authority records stay in any case.
            query.flag("keepAuthorityRecords")?;
            return Ok(What::Delete { queue, purge: query.flag("purge")? });
        }
        check_json(&head.headers)?;
        if head.method == Method::PATCH {
            // What is in use is changed all the same: handles see it at their next call.
            query.flag("force")?;
            return Ok(What::Alter { queue });
        }
        let like = query.take("like").unwrap_or_default().into_owned();
        Ok(What::Create { like, replace: !query.flag("noReplace")? })
    }

    /// The longest body that goes with it; 0 where nothing is done with one.
    pub fn body_bytes_max(&self) -> usize {
        match self.what {
            What::Put(_) => limits::BODY_BYTES_MAX,
            What::Mqsc | What::Create { .. } | What::Alter { .. } => COMMAND_BYTES_MAX,
            _ => 0,
        }
    }
}

fn inquiry(sort: Sort, one: Option<String>, query: &mut Query) -> Result<What, Problem> {
    let mut said = Said { attributes: query.list("attributes"), ..Said::default() };
    said.filter = query.take("filter").map(Cow::into_owned);
    if sort == Sort::Queue {
        said.status = query.list("status");
        one.as_deref().map(named).transpose()?;
    }
    if one.is_none() {
        said.name = query.take("name").map(Cow::into_owned);
    }
    if !sort.types().is_empty() {
        said.of_type = query.take("type").map(Cow::into_owned);
    }
    Ok(What::Inquire(Box::new(Inquiry::new(sort, one, said)?)))
}

impl PutAsked {
    /// Who would be asked about a repetition.
    ///
    /// # Errors
    /// 400 for a key that is none.
    pub fn producer(&self, user: &str) -> Result<Option<ProducerSequence>, Problem> {
        let producer = |key: &String| key::producer(key, user, self.queue.as_str());
        self.key.as_ref().map(producer).transpose()
    }

    /// The put. Looks at each byte of the body.
    ///
    /// # Errors
    /// 400 for a text that is not in UTF-8, 413.
    pub fn call(self, body: Bytes, producer: Option<ProducerSequence>) -> Result<Call, Problem> {
        check_body(body.len())?;
        let is_text = self.descriptor.rest().coded_character_set.is_some();
        if is_text && std::str::from_utf8(&body).is_err() {
            let detail = "The text is not in UTF-8; send bytes as application/octet-stream.";
            return Err(Problem::bad(Reason::FormatError, detail));
        }
        let body = Body::from(body);
        let body_crc = body.crc32c();
        Ok(Call::Put(Put {
            to: PutTarget::Queue(self.queue),
            message: Box::new(Message { descriptor: self.descriptor, body, body_crc }),
            syncpoint: false,
            logical_order: false,
            producer,
            dead_letter: false,
            context: Context::Default,
        }))
    }
}

impl GetAsked {
    /// An open and a get.
    pub fn calls(self) -> Vec<Call> {
        let options = OpenOptions { input: !self.browses, browse: self.browses, ..OpenOptions::default() };
        let mode = if self.browses { GetMode::BrowseFirst } else { GetMode::Destructive };
        let get = Get { wait: self.wait, ..get(mode, self.selection) };
        vec![open(self.queue, options), Call::Get(get)]
    }
}

impl ListAsked {
    /// An open and so many looks at messages without their bodies.
    pub fn calls(&self, looks: u64) -> Vec<Call> {
        let options = OpenOptions { browse: true, ..OpenOptions::default() };
        let mut calls = vec![open(self.queue.clone(), options)];
        calls.extend((0..looks).map(|look| self.look(look == 0)));
        calls
    }

    /// Looks at the first message, or at the next one.
    pub fn look(&self, is_first: bool) -> Call {
        let mode = if is_first { GetMode::BrowseFirst } else { GetMode::BrowseNext };
        let get = get(mode, self.selection);
        Call::Get(Get { max_length: Some(0), accept_truncated: true, ..get })
    }
}

fn open(queue: ObjectName, options: OpenOptions) -> Call {
    Call::Open { handle: HANDLE, queue, options, dynamic: String::new(), selector: None }
}

fn get(mode: GetMode, selection: Selection) -> Get {
    Get {
        handle: HANDLE,
        syncpoint: false,
        syncpoint_if_persistent: false,
        wait: Wait::No,
        mode,
        selection,
        max_length: None,
        accept_truncated: false,
        extended: false,
        lock: false,
    }
}

fn named(queue: &str) -> Result<ObjectName, Refusal> {
    queue_named(queue)
}

/// A page of somebody else's cannot make a browser send this header.
fn check_token(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if *method == Method::GET || headers.contains_key(CSRF) {
        return Ok(());
    }
    let detail = format!("{method} needs the header {CSRF}, with any value.");
    Err(Problem::because(StatusCode::FORBIDDEN, Reason::NotAuthorized, detail))
}

fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("A command comes as application/json, and not as {kind:?}.");
    Err(Problem::because(StatusCode::UNSUPPORTED_MEDIA_TYPE, Reason::FormatError, detail))
}

/// What follows the question mark. What nobody takes is refused.
struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn read(text: &'a str) -> Result<Query<'a>, Problem> {
        let said: Vec<(Cow<str>, Cow<str>)> = form_urlencoded::parse(text.as_bytes()).collect();
        let twice = said
            .iter()
            .enumerate()
            .find(|(at, (name, _))| said[..*at].iter().any(|(other, _)| other == name));
        match twice {
            Some((_, (name, _))) => {
                Err(Problem::bad(Reason::OptionsError, format!("The query says {name:?} twice.")))
            }
            None => Ok(Query(said)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.0.iter().position(|(said, _)| said == name)?;
        Some(self.0.remove(at).1)
    }

    fn number(&mut self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let Some(said) = self.take(name) else { return Ok(None) };
        let number = said.parse().ok().filter(|number| (least..=most).contains(number));
        let reason = if name == "wait" { Reason::WaitIntervalError } else { Reason::OptionsError };
        let refused = || Problem::bad(reason, format!("{name} is {least} to {most}, not {said:?}."));
        number.map(Some).ok_or_else(refused)
    }

    fn list(&mut self, name: &str) -> Vec<String> {
        let said = self.take(name);
        said.iter().flat_map(|said| said.split(',')).map(|one| one.trim().to_owned()).collect()
    }

    /// What is said by its name alone.
    fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.take(name).as_deref() {
            None => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => {
                let detail = format!("{name} is said without a value, and not as {other:?}.");
                Err(Problem::bad(Reason::OptionsError, detail))
            }
        }
    }

    fn selection(&mut self) -> Result<Selection, Problem> {
        let (message_id, correlation_id) = (self.take("messageId"), self.take("correlationId"));
        message::selection(message_id.as_deref(), correlation_id.as_deref())
    }

    fn nothing_left(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let detail =
                    format!("There is no parameter {name:?} for this path; names are case-sensitive.");
                Err(Problem::bad(Reason::OptionsError, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUES: &str = "/ibmmq/rest/v1/admin/qmgr/QM/queue";
    const JSON: (&str, &str) = ("content-type", "application/json");
    const MESSAGE: &str = "/ibmmq/rest/v3/messaging/qmgr/QM/queue/Q/message";

    fn read(method: Method, uri: &str, said: &[(&str, &str)]) -> Result<Asked, (u16, u32)> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in said {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Asked::read(&head).map_err(|problem| (problem.status.as_u16(), problem.reason.number()))
    }

    const TOKEN: (&str, &str) = ("ibm-mq-rest-csrf-token", "");

    #[test]
    fn a_get_waits_for_what_its_query_says() {
        let id = "00ff".repeat(12);
        let uri = format!("{MESSAGE}?wait=1500&correlationId={id}");
        let Asked { manager, what: What::Get(get) } = read(Method::DELETE, &uri, &[TOKEN]).unwrap() else {
            panic!()
        };
        assert_eq!((manager.as_str(), get.queue.as_str(), get.browses), ("QM", "Q", false));
        assert_eq!(get.wait, Wait::For(std::time::Duration::from_millis(1500)));
        assert!(get.selection.correlation_id.is_some());
        let calls = get.calls();
        assert!(
            matches!(&calls[..], [Call::Open { options, .. }, Call::Get(_)] if options.input && !options.browse)
        );
        assert!(calls.iter().all(|call| call.check().is_ok()));
        let What::Get(browse) = read(Method::GET, MESSAGE, &[]).unwrap().what else { panic!() };
        assert!(browse.browses && browse.wait == Wait::No);
    }

    #[test]
    fn a_put_needs_the_header_against_forged_requests_and_may_have_a_key() {
        assert_eq!(read(Method::POST, MESSAGE, &[]).unwrap_err(), (403, 2035));
        let said = [TOKEN, ("idempotency-key", "order 1"), ("content-type", "text/plain")];
        let What::Put(put) = read(Method::POST, MESSAGE, &said).unwrap().what else { panic!() };
        let producer = put.producer("ann").unwrap();
        assert!(producer.is_some() && put.producer("bob").unwrap() != producer);
        let call = put.call(Bytes::from("hello"), producer).unwrap();
        assert!(call.check().is_ok());
        let What::Put(put) = read(Method::POST, MESSAGE, &said).unwrap().what else { panic!() };
        assert_eq!(put.call(Bytes::from_static(&[0xFF]), None).unwrap_err().reason, Reason::FormatError);
    }

    #[test]
    fn what_is_not_known_is_not_passed_over() {
        for (method, uri, said, refused) in [
            (Method::GET, format!("{MESSAGE}?waits=1"), vec![], (400, 2046)),
            (Method::GET, format!("{MESSAGE}?wait=1&wait=2"), vec![], (400, 2046)),
            (Method::GET, format!("{MESSAGE}?wait=-1"), vec![], (400, 2090)),
            (Method::GET, format!("{MESSAGE}list?limit=0"), vec![], (400, 2046)),
            (Method::GET, format!("{MESSAGE}list?messageId=1"), vec![], (400, 2206)),
            (Method::GET, MESSAGE.replace("/Q/", "/A%20B/"), vec![], (404, 2085)),
            (Method::DELETE, MESSAGE.into(), vec![TOKEN, ("idempotency-key", "1")], (400, 2046)),
            (Method::POST, "/ibmmq/rest/v2/admin/action/qmgr/QM/mqsc".into(), vec![TOKEN], (415, 2110)),
            (Method::POST, QUEUES.into(), vec![JSON], (403, 2035)),
            (Method::POST, QUEUES.into(), vec![TOKEN], (415, 2110)),
            (Method::DELETE, format!("{QUEUES}/Q"), vec![], (403, 2035)),
            (Method::DELETE, format!("{QUEUES}/Q?purge=no"), vec![TOKEN], (400, 2046)),
            (Method::DELETE, format!("{QUEUES}/Q?force"), vec![TOKEN], (400, 2046)),
            (Method::PATCH, format!("{QUEUES}/Q?purge"), vec![TOKEN, JSON], (400, 2046)),
            (Method::GET, format!("{QUEUES}/A%20B"), vec![], (404, 2085)),
            (Method::GET, format!("{QUEUES}/Q?name=A*"), vec![], (400, 2046)),
            (Method::GET, format!("{QUEUES}?name=A"), vec![], (400, 2152)),
            (Method::GET, format!("{QUEUES}?name=*A*"), vec![], (400, 2152)),
            (Method::GET, format!("{QUEUES}?type=shelf"), vec![], (400, 2043)),
            (Method::GET, format!("{QUEUES}?attributes=color"), vec![], (400, 2067)),
            (Method::GET, format!("{QUEUES}?attributes="), vec![], (400, 2067)),
            (Method::GET, format!("{QUEUES}?status=status.color"), vec![], (400, 2067)),
            (Method::GET, format!("{QUEUES}?filter=storage.maximumDepth:equalTo:deep"), vec![], (400, 4005)),
            (Method::GET, QUEUES.replace("queue", "channel?status=*"), vec![], (400, 2046)),
            (Method::GET, QUEUES.replace("queue", "subscription?type=all"), vec![], (400, 2046)),
        ] {
            assert_eq!(read(method, &uri, &said).unwrap_err(), refused, "{uri}");
        }
    }

    #[test]
    fn a_list_looks_at_heads_only() {
        let What::List(list) = read(Method::GET, &format!("{MESSAGE}list?limit=3"), &[]).unwrap().what else {
            panic!()
        };
        let calls = list.calls(2);
        assert!(calls.iter().all(|call| call.check().is_ok()) && calls.len() == 3);
        assert!(
            matches!(&calls[2], Call::Get(get) if get.mode == GetMode::BrowseNext && get.max_length == Some(0))
        );
    }
}
