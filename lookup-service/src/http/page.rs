//! Static pages that a host process adds, and the answer where there is nothing.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method};
use warp::Filter;

use super::{Answer, Routes, answer};
use crate::refusal::Refusal;

/// A page that is served as it is: the demo of the embedded default.
#[derive(Debug, Clone)]
pub struct StaticPage {
    /// Where, such as `/`.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub body: Bytes,
    /// Its `Content-Security-Policy`.
    pub policy: Option<HeaderValue>,
}

/// Takes everything: to be the last route. (`path::full` panics on `CONNECT`, which the accept loop never lets in.)
pub(super) fn routes(pages: Vec<StaticPage>) -> Routes {
    warp::method()
        .and(warp::path::full())
        .map(move |method: Method, path: warp::path::FullPath| {
            match pages.iter().find(|page| page.path == path.as_str()) {
                None => answer::refused(Refusal::NotFound),
                Some(_) if !answer::reads(&method) => answer::refused(Refusal::Method("GET, HEAD, OPTIONS")),
                Some(page) => shown(page),
            }
        })
        .boxed()
}

fn shown(page: &StaticPage) -> Answer {
    let mut answer = answer::bytes(page.content_type, page.body.clone());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Some(policy) = &page.policy {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    answer
}
