//! What is answered, before it is bytes on a connection.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::types::Body;

pub type Answer = Response<Body>;

pub const JSON: &str = "application/json; charset=utf-8";

/// Code, type and text.
pub fn text(status: StatusCode, content_type: &'static str, text: impl Into<Body>) -> Answer {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

pub fn json(status: StatusCode, value: &Value) -> Answer {
    text(status, JSON, bytes::Bytes::from(value.to_string()))
}

/// An answer that has no body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::default());
    *answer.status_mut() = status;
    answer
}

/// Says something in a header, if a header can say it.
pub fn say(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}
