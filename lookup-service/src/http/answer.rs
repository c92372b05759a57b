//! Answers: JSON, problem documents, what is only read.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use hyper::body::Body;
use serde::Serialize;

use super::Answer;
use crate::refusal::Refusal;

pub(super) const JSON: &str = "application/json";

/// 200 with a JSON value that nobody may store.
pub(super) fn json(value: &impl Serialize) -> Answer {
    // A grant is about 850 bytes; grown from nothing, its text would be moved three times.
    let mut text = Vec::with_capacity(1024);
    let Ok(()) = serde_json::to_writer(&mut text, value) else { return refused(Refusal::Internal) };
    json_text(StatusCode::OK, text)
}

/// A JSON text that nobody may store.
pub(super) fn json_text(status: StatusCode, text: Vec<u8>) -> Answer {
    let mut answer = bytes(JSON, text.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// 200 with these bytes.
pub(super) fn bytes(content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Answer::new(body.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// A problem document, with the headers that belong to its status.
pub(super) fn refused(refusal: Refusal) -> Answer {
    let mut answer: Answer = refusal.problem().response();
    match refusal {
        Refusal::Method(allowed) => {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        _ if refusal.status() == StatusCode::UNAUTHORIZED => {
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge(refusal));
        }
        _ => {}
    }
    answer
}

/// The answer without its body if the method was HEAD. hyper would send it over HTTP/2, which breaks the stream.
pub(super) fn as_asked(method: Method, mut answer: Answer) -> Answer {
    if method == Method::HEAD {
        let body = std::mem::take(answer.body_mut());
        if let Some(length) = body.size_hint().exact() {
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    answer
}

/// Whether a method only reads.
pub(super) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// RFC 6750, 3: no error is named when there was no token.
fn challenge(refusal: Refusal) -> HeaderValue {
    HeaderValue::from_static(match refusal {
        Refusal::TokenMissing | Refusal::ApiKeyMissing => "Bearer realm=\"ringdial\"",
        _ => "Bearer realm=\"ringdial\", error=\"invalid_token\"",
    })
}
