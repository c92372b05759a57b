//! `GET /ring`: the published ring document, for whoever computes homes by themselves.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use warp::Filter;

use super::{Answer, Routes, answer, header, query};
use crate::app::App;
use crate::refusal::Refusal;

const METHODS: &str = "GET, HEAD, OPTIONS";

pub(super) fn routes(app: Arc<App>) -> Routes {
    warp::path("ring")
        .and(warp::path::end())
        .and(warp::method())
        .and(query())
        .and(header(IF_NONE_MATCH.as_str()))
        .then(move |method: Method, query: String, known: Option<HeaderValue>| {
            let app = app.clone();
            async move {
                if !answer::reads(&method) {
                    return answer::refused(Refusal::Method(METHODS));
                }
                published(&app, &query, known.as_ref()).await.unwrap_or_else(answer::refused)
            }
        })
        .boxed()
}

/// The document of the service that the query names; without a body for whoever has the one that is `known`.
pub(super) async fn published(
    app: &App,
    query: &str,
    known: Option<&HeaderValue>,
) -> Result<Answer, Refusal> {
    let service = app.service_of(query)?;
    let document = service.document(service.ring()?).await.ok_or(Refusal::Internal)?;
    let mut answer = if known.is_some_and(|known| matches(known, &document.etag)) {
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
