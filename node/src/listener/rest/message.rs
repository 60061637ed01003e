//! A message in HTTP: its descriptor in headers that begin with `ibm-mq-md-`, its body as the body.
//!
//! Text is what has the format MQSTR. It is UTF-8 on its way in; on its way out, it is made so, whatever its character set. Anything
//! else is bytes, with its format in a header.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use trimaran_proto::message::v1 as wire;
use trimaran_proto::mq::characters::{self, Written};
use trimaran_proto::mq::rfh2::from_hex;

use super::answer::{self, Answer};
use super::problem::Problem;
use crate::types::{Body, CorrelationId, Descriptor, Message, MessageId, Persistence, Reason, native};

pub const MESSAGE_ID: HeaderName = HeaderName::from_static("ibm-mq-md-messageid");
/// The put was done before: this is its answer.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const CORRELATION_ID: HeaderName = HeaderName::from_static("ibm-mq-md-correlationid");
const EXPIRY: HeaderName = HeaderName::from_static("ibm-mq-md-expiry");
const PERSISTENCE: HeaderName = HeaderName::from_static("ibm-mq-md-persistence");
const PRIORITY: HeaderName = HeaderName::from_static("ibm-mq-md-priority");
const REPLY_TO: HeaderName = HeaderName::from_static("ibm-mq-md-replyto");
const FORMAT: HeaderName = HeaderName::from_static("ibm-mq-md-format");
const CCSID: HeaderName = HeaderName::from_static("ibm-mq-md-ccsid");
/// What can be said of a message that is put.
static SAID: [HeaderName; 5] = [CORRELATION_ID, EXPIRY, PERSISTENCE, PRIORITY, REPLY_TO];
/// What begins so is about a message.
const PREFIXES: [&str; 2] = ["ibm-mq-md-", "ibm-mq-usr"];

/// MQFMT_STRING.
const TEXT: &str = "MQSTR";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";
const BYTES_TYPE: &str = "application/octet-stream";
/// Of an expiry: 999,999,999 tenths of a second.
const EXPIRY_MS_MAX: u64 = 99_999_999_900;

/// What a header says; None where it is not there.
fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().map(|value| value.to_str());
    match (first, all.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value.trim())),
        _ => Err(Problem::bad(Reason::MdError, format!("{name} is said once, in printable ASCII."))),
    }
}

/// The descriptor of a message that is to be put. It is persistent unless its headers say something else.
///
/// # Errors
/// 400 with the header that makes no sense or is not known, 415 for a body that is neither text in UTF-8 nor bytes.
pub fn descriptor(headers: &HeaderMap) -> Result<Descriptor, Problem> {
    for name in headers.keys() {
        if PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)) && !SAID.contains(name) {
            let known: Vec<&str> = SAID.iter().map(HeaderName::as_str).collect();
            let detail = format!("There is no header {name} for a put; there are {}.", known.join(", "));
            return Err(Problem::bad(Reason::MdError, detail));
        }
    }
    let is_text = is_text(headers)?;
    let mut said_of = wire::Descriptor {
        format: if is_text { TEXT.into() } else { String::new() },
        coded_character_set: is_text.then_some(native::CCSID),
        persistence: wire::Persistence::Persistent as i32,
        ..wire::Descriptor::default()
    };
    if let Some(text) = said(headers, &CORRELATION_ID)? {
        said_of.correlation_id = id_of(&CORRELATION_ID, text, Reason::CorrelIdError)?.into();
    }
    if let Some(text) = said(headers, &EXPIRY)? {
        said_of.expiry = expiry_of(text)?;
    }
    if let Some(text) = said(headers, &PERSISTENCE)? {
        said_of.persistence = persistence_of(text)? as i32;
    }
    if let Some(text) = said(headers, &PRIORITY)? {
        said_of.priority = Some(priority_of(text)?);
    }
    if let Some(text) = said(headers, &REPLY_TO)? {
        let (queue, manager) = match text.split_once('@') {
            Some((queue, manager)) => (queue, Some(manager)),
            None => (text, None),
        };
        for name in std::iter::once(queue).chain(manager) {
            crate::mqi::object_named(name)?;
        }
        said_of.reply_to_queue = queue.into();
        said_of.reply_to_queue_manager = manager.unwrap_or_default().into();
    }
    Descriptor::from_wire(said_of).map_err(|wrong| Problem::of(wrong.reason, wrong.detail()))
}

/// Whether the body is text; bytes where nothing is said.
fn is_text(headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(said) = said(headers, &CONTENT_TYPE)? else { return Ok(false) };
    let mut parts = said.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    let refused =
        |detail: String| Problem::because(StatusCode::UNSUPPORTED_MEDIA_TYPE, Reason::FormatError, detail);
    let is_text = kind.starts_with("text/")
        || ["application/json", "application/xml"].contains(&kind.as_str())
        || (kind.starts_with("application/") && (kind.ends_with("+json") || kind.ends_with("+xml")));
    match charset.as_deref() {
        _ if kind == BYTES_TYPE => Ok(false),
        _ if !is_text => Err(refused(format!(
            "A message is text (text/plain, application/json, application/xml) or bytes ({BYTES_TYPE}), and not {kind:?}."
        ))),
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(true),
        Some(charset) => Err(refused(format!("Text comes in UTF-8 here, and not in {charset:?}."))),
    }
}

/// An id of 48 hexadecimal digits.
///
/// # Errors
/// 400 with this reason.
pub fn id_of(name: impl std::fmt::Display, text: &str, reason: Reason) -> Result<Vec<u8>, Problem> {
    let id = (text.len() == 48).then(|| from_hex(text)).flatten();
    id.ok_or_else(|| Problem::bad(reason, format!("{name} is an id of 48 hexadecimal digits, not {text:?}.")))
}

fn expiry_of(text: &str) -> Result<Option<u32>, Problem> {
    if text == "unlimited" {
        return Ok(None);
    }
    let ms = text.parse::<u64>().ok().filter(|ms| (1..=EXPIRY_MS_MAX).contains(ms));
    let refused = || {
        let detail = format!("{EXPIRY} is \"unlimited\" or 1 to {EXPIRY_MS_MAX} milliseconds, not {text:?}.");
        Problem::bad(Reason::ExpiryError, detail)
    };
    ms.map(|ms| Some(ms.div_ceil(100) as u32)).ok_or_else(refused)
}

fn persistence_of(text: &str) -> Result<wire::Persistence, Problem> {
    match text {
        "persistent" => Ok(wire::Persistence::Persistent),
        "nonPersistent" => Ok(wire::Persistence::NotPersistent),
        _ => {
            let detail = format!("{PERSISTENCE} is \"persistent\" or \"nonPersistent\", not {text:?}.");
            Err(Problem::bad(Reason::PersistenceError, detail))
        }
    }
}

fn priority_of(text: &str) -> Result<u32, Problem> {
    let priority = text.parse::<u32>().ok().filter(|priority| *priority <= 9);
    priority
        .ok_or_else(|| Problem::bad(Reason::PriorityError, format!("{PRIORITY} is 0 to 9, not {text:?}.")))
}

/// Text in another character set than UTF-8, which takes long where there is much of it.
pub fn is_converted(message: &Message) -> bool {
    let rest = message.descriptor.rest();
    is_string(&rest) && rest.coded_character_set.unwrap_or(native::CCSID) != native::CCSID
}

fn is_string(rest: &wire::Descriptor) -> bool {
    rest.format.trim_end_matches([' ', '\0']) == TEXT
}

/// The answer that gives a message. Text that cannot be made UTF-8 is given as it is, with its character set.
pub fn given(message: Message) -> Answer {
    let Message { descriptor, body, .. } = message;
    let rest = descriptor.rest();
    let ccsid = rest.coded_character_set.unwrap_or(native::CCSID);
    let body = match (is_string(&rest), ccsid) {
        (true, native::CCSID) => Ok(body),
        (true, ccsid) => {
            let from = Written { ccsid, is_big: rest.encoding.is_some_and(|encoding| encoding & 0xF == 1) };
            let to = Written { ccsid: native::CCSID, is_big: false };
            characters::converted(&body.to_bytes(), from, to).map(Body::from).ok_or(body)
        }
        (false, _) => Err(body),
    };
    let mut answer = match body {
        Ok(text) => answer::text(StatusCode::OK, TEXT_TYPE, text),
        Err(bytes) => {
            let mut answer = answer::text(StatusCode::OK, BYTES_TYPE, bytes);
            answer::say(&mut answer, FORMAT, rest.format.trim_end());
            answer::say(&mut answer, CCSID, &ccsid.to_string());
            answer
        }
    };
    describe(&mut answer, &descriptor, &rest);
    answer
}

fn describe(answer: &mut Answer, descriptor: &Descriptor, rest: &wire::Descriptor) {
    answer::say(answer, MESSAGE_ID, &hex(&descriptor.message_id.0));
    if !descriptor.correlation_id.is_none() {
        answer::say(answer, CORRELATION_ID, &hex(&descriptor.correlation_id.0));
    }
    let expiry = descriptor.expiry.map_or("unlimited".into(), |tenths| (u64::from(tenths) * 100).to_string());
    answer::say(answer, EXPIRY, &expiry);
    let persistence = match descriptor.persistence {
        Persistence::NotPersistent => "nonPersistent",
        Persistence::Persistent | Persistence::AsQueue => "persistent",
    };
    answer.headers_mut().insert(PERSISTENCE, HeaderValue::from_static(persistence));
    if let Some(priority) = descriptor.priority {
        answer::say(answer, PRIORITY, &priority.to_string());
    }
    let (queue, manager) = (rest.reply_to_queue.trim_end(), rest.reply_to_queue_manager.trim_end());
    match (queue.is_empty(), manager.is_empty()) {
        (true, _) => {}
        (false, true) => answer::say(answer, REPLY_TO, queue),
        (false, false) => answer::say(answer, REPLY_TO, &format!("{queue}@{manager}")),
    }
}

/// One line of a list of messages.
pub fn listed(descriptor: &Descriptor) -> serde_json::Value {
    let rest = descriptor.rest();
    let mut line = serde_json::json!({
        "messageId": hex(&descriptor.message_id.0),
        "format": rest.format.trim_end_matches([' ', '\0']),
    });
    if !descriptor.correlation_id.is_none() {
        line["correlationId"] = hex(&descriptor.correlation_id.0).into();
    }
    line
}

/// As IBM's API writes ids.
pub fn hex(id: &[u8; 24]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ids that a query asks for.
///
/// # Errors
/// 400 for one that is none.
pub fn selection(
    message_id: Option<&str>,
    correlation_id: Option<&str>,
) -> Result<crate::mqi::Selection, Problem> {
    let id = |name, said: Option<&str>, reason| said.map_or(Ok(Vec::new()), |text| id_of(name, text, reason));
    let message_id = id("messageId", message_id, Reason::MsgIdError)?;
    let correlation_id = id("correlationId", correlation_id, Reason::CorrelIdError)?;
    debug_assert!(MessageId::from_slice(&message_id).is_some(), "48 digits are 24 bytes");
    debug_assert!(CorrelationId::from_slice(&correlation_id).is_some(), "48 digits are 24 bytes");
    Ok(crate::mqi::Selection::of_ids(&message_id, &correlation_id, &[])?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn headers(said: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        said.iter().map(pair).collect()
    }

    fn header(answer: &Answer, name: &str) -> Option<String> {
        answer.headers().get(name).map(|value| value.to_str().unwrap().to_string())
    }

    #[test]
    fn a_message_is_persistent_text_or_bytes_and_its_headers_come_back() {
        let id = "0123456789abcdef".repeat(3);
        let text = headers(&[
            ("content-type", "text/plain;charset=UTF-8"),
            ("ibm-mq-md-correlationid", &id),
            ("ibm-mq-md-expiry", "1501"),
            ("ibm-mq-md-priority", "7"),
            ("ibm-mq-md-replyto", "REPLIES@QM2"),
        ]);
        let descriptor = descriptor(&text).unwrap();
        assert_eq!((descriptor.persistence, descriptor.expiry), (Persistence::Persistent, Some(16)));
        let body = Body::from(Bytes::from("ö"));
        let answer = given(Message { descriptor, body, ..Message::default() });
        let said = |name: &str| header(&answer, name).unwrap();
        assert_eq!((said("content-type"), &answer.body().to_bytes()[..]), (TEXT_TYPE.into(), "ö".as_bytes()));
        assert_eq!((said("ibm-mq-md-correlationid"), said("ibm-mq-md-priority")), (id, "7".into()));
        assert_eq!(
            (said("ibm-mq-md-expiry"), said("ibm-mq-md-replyto")),
            ("1600".into(), "REPLIES@QM2".into())
        );
        assert_eq!(said("ibm-mq-md-persistence"), "persistent");

        let bytes = super::descriptor(&headers(&[("ibm-mq-md-persistence", "nonPersistent")])).unwrap();
        let answer = given(Message { descriptor: bytes, ..Message::default() });
        assert_eq!(header(&answer, "content-type").unwrap(), BYTES_TYPE);
        assert_eq!(header(&answer, "ibm-mq-md-persistence").unwrap(), "nonPersistent");
        assert_eq!(
            (header(&answer, "ibm-mq-md-correlationid"), header(&answer, "ibm-mq-md-expiry").unwrap()),
            (None, "unlimited".into())
        );
    }

    #[test]
    fn text_of_another_character_set_becomes_utf8_where_it_can() {
        let message = |ccsid: i32| {
            let mut descriptor = Descriptor::default();
            let mut rest = descriptor.rest();
            (rest.format, rest.coded_character_set) = ("MQSTR   ".into(), Some(ccsid));
            descriptor.set_rest(&rest);
            Message { descriptor, body: Bytes::from_static(&[0xF6]).into(), ..Message::default() }
        };
        assert!(is_converted(&message(819)) && !is_converted(&message(native::CCSID)));
        assert_eq!(&given(message(819)).body().to_bytes()[..], "ö".as_bytes());
        let kept = given(message(500));
        assert_eq!(
            (header(&kept, "content-type"), header(&kept, "ibm-mq-md-ccsid")),
            (Some(BYTES_TYPE.into()), Some("500".into()))
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason_of_the_field() {
        for (name, value, status, reason) in [
            ("content-type", "image/png", 415, 2110),
            ("content-type", "text/plain; charset=latin1", 415, 2110),
            ("ibm-mq-md-correlationid", "12", 400, 2207),
            ("ibm-mq-md-correlationid", &"z".repeat(48), 400, 2207),
            ("ibm-mq-md-expiry", "0", 400, 2013),
            ("ibm-mq-md-expiry", "soon", 400, 2013),
            ("ibm-mq-md-persistence", "Persistent", 400, 2047),
            ("ibm-mq-md-priority", "10", 400, 2050),
            ("ibm-mq-md-replyto", "a b", 400, 2152),
            ("ibm-mq-md-replyto", "", 400, 2152),
            ("ibm-mq-md-replyto", "a@", 400, 2152),
            ("ibm-mq-md-report", "1", 400, 2026),
            ("ibm-mq-usr", "color, red", 400, 2026),
        ] {
            let problem = descriptor(&headers(&[(name, value)])).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.reason.number()),
                (status, reason),
                "{name}: {value}"
            );
        }
        let mut twice = headers(&[("ibm-mq-md-priority", "1")]);
        twice.append(PRIORITY, "2".parse().unwrap());
        assert_eq!(descriptor(&twice).unwrap_err().reason, Reason::MdError);
    }

    #[test]
    fn ids_select_and_no_id_selects_every_message() {
        assert!(selection(None, None).unwrap().is_any());
        let id = "ab".repeat(24);
        assert_eq!(selection(Some(&id), None).unwrap().message_id, Some(MessageId([0xAB; 24])));
        assert_eq!(selection(None, Some("ab")).unwrap_err().reason, Reason::CorrelIdError);
    }
}
