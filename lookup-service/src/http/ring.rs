//! `GET /ring`: the published ring document, for whoever computes homes by themselves.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use warp::Filter;

use super::{Answer, Routes, answer, header, query};
use crate::app::App;
use crate::decide::RingView;
use crate::refusal::Refusal;
use crate::request::{DEFAULT_SERVICE, service_of};

const METHODS: &str = "GET, HEAD, OPTIONS";

pub(super) fn routes(app: Arc<App>) -> Routes {
    warp::path("ring")
        .and(warp::path::end())
        .and(warp::method())
        .and(query())
        .and(header(IF_NONE_MATCH.as_str()))
        .then(move |method: Method, query: String, known: Option<HeaderValue>| {
            let app = app.clone();
            async move { published(&app, method, query, known).await.unwrap_or_else(answer::refused) }
        })
        .boxed()
}

async fn published(
    app: &App,
    method: Method,
    query: String,
    known: Option<HeaderValue>,
) -> Result<Answer, Refusal> {
    if !answer::reads(&method) {
        return Err(Refusal::Method(METHODS));
    }
    let name = service_of(&query)?;
    let service = app.service(name.as_deref().unwrap_or(DEFAULT_SERVICE)).ok_or(Refusal::UnknownService)?;
    let ring = match service.view() {
        RingView::Ring(ring) => ring,
        RingView::None => return Err(Refusal::NoNodes),
        RingView::NotRead | RingView::UnknownService => return Err(Refusal::RingNotRead),
    };
    let document = service.document(ring).await.ok_or(Refusal::Internal)?;
    let mut answer = if known.as_ref().is_some_and(|known| matches(known, &document.etag)) {
        let mut unchanged = Answer::default();
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        answer::bytes(answer::JSON, document.body.clone())
    };
    let etag = HeaderValue::from_str(&document.etag).map_err(|_| Refusal::Internal)?;
    answer.headers_mut().insert(ETAG, etag);
    // May be kept, and is asked for each time: a ring can change at any moment, and 304 costs nothing.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

/// `If-None-Match` (RFC 9110, 13.1.2): `*`, or one of a list, compared weakly. Our tags hold no commas.
fn matches(header: &HeaderValue, etag: &str) -> bool {
    let tags = header.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.into_iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_match_alone_in_lists_and_weakly() {
        let matches = |header| matches(&HeaderValue::from_static(header), "\"1-ab\"");
        for header in ["\"1-ab\"", "W/\"1-ab\"", "*", "\"x\", \"1-ab\"", "\"x\",W/\"1-ab\" , \"y\""] {
            assert!(matches(header), "{header}");
        }
        for header in ["", "1-ab", "\"1-a\"", "\"x\"", "W/1-ab", "\"1-AB\""] {
            assert!(!matches(header), "{header}");
        }
    }
}
