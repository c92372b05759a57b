//! An error as an HTTP answer: RFC 9457 problem details, the one shape that every port answers errors in.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem's body. `code` is for programs and stable; `title` and `detail` are for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Always `about:blank` (RFC 9457 4.2.1): `code` says which problem it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status' own phrase.
    pub title: String,
    /// The HTTP status, for readers that lost the header.
    pub status: u16,
    /// Stable, `snake_case`.
    pub code: String,
    /// What happened and what to do about it.
    pub detail: String,
    /// Whether the same request may succeed later.
    pub temporary: bool,
    /// When to try again, in milliseconds; also sent as `Retry-After`, in seconds, rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

// === impl Problem ===

impl Problem {
    /// A lasting problem (`temporary: false`).
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into(),
            temporary: false,
            retry_after_ms: None,
        }
    }

    /// The same, but trying again may help.
    #[must_use]
    pub fn temporary(mut self) -> Self {
        self.temporary = true;
        self
    }

    /// The same, temporary, with the time after which to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.temporary = true;
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// The status as hyper's type.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The JSON text of the body.
    pub fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// The whole answer; `B` is any body that is made from bytes.
    pub fn response<B: From<Bytes>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.to_json()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.div_ceil(1000)));
        }
        response
    }

    pub(crate) fn full(&self) -> Response<Full<Bytes>> {
        self.response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_and_headers_are_those_of_the_protocol() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_nodes", "the ring is empty")
            .retry_after(Duration::from_millis(1500));
        let response = problem.full();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
        let body: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "no_nodes",
                "detail": "the ring is empty", "temporary": true, "retry_after_ms": 1500
            })
        );
    }

    #[test]
    fn a_lasting_problem_names_no_time() {
        let body = Problem::new(StatusCode::BAD_REQUEST, "bad_id", "empty").to_json();
        assert!(!std::str::from_utf8(&body).unwrap().contains("retry_after_ms"));
    }
}
