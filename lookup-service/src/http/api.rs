//! `/v1/..`: the back end's API.
//!
//! The order is path, method, caller, service, body: whoever may not ask has nothing read but the head of the request.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::Stream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method};
use warp::Filter;
use warp::path::FullPath;

use super::{Answer, Routes, answer, body, query, ring};
use crate::api::API_BODY_BYTES_MAX;
use crate::api::calls::{Reply, Request, perform};
use crate::api::routes::{Call, find};
use crate::app::App;
use crate::refusal::Refusal;

/// What stands for the operation in the metrics where there is none.
const NO_OPERATION: &str = "none";

pub(super) fn routes(app: Arc<App>) -> Routes {
    warp::path("v1")
        .and(warp::method())
        .and(warp::path::full())
        .and(query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: FullPath, query: String, headers: HeaderMap, body| {
            let app = app.clone();
            async move {
                let found = find(method.as_str(), path.as_str());
                let name = found.as_ref().map_or(NO_OPERATION, |(name, _)| name);
                let outcome = match found {
                    Ok((_, call)) => answered(&app, call, &query, &headers, body).await,
                    Err(refusal) => Err(refusal),
                };
                app.metrics.count_api(name, outcome.as_ref().err().copied());
                outcome.unwrap_or_else(answer::refused)
            }
        })
        .boxed()
}

async fn answered<B: Buf, E>(
    app: &App,
    call: Call,
    query: &str,
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Answer, Refusal> {
    let admin = app.admit(headers.get(AUTHORIZATION).map(HeaderValue::as_bytes))?;
    let service = app.service_of(query)?;
    if call == Call::Ring {
        return ring::published(app, query, headers.get(IF_NONE_MATCH)).await;
    }
    let body = if call == Call::Send { wanted(headers, body).await? } else { Bytes::new() };
    let data_bytes_max = app.message_bytes_max;
    let request = Request { call, admin: &admin, query, body: &body, data_bytes_max };
    let Reply { status, body } = perform(service, request).await?;
    Ok(answer::json_text(status, body))
}

/// The body of a call that has one.
async fn wanted<B: Buf, E>(
    headers: &HeaderMap,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Bytes, Refusal> {
    let whole = body::read(body, headers.get(CONTENT_LENGTH), API_BODY_BYTES_MAX).await?;
    if body::is_json(headers.get(CONTENT_TYPE)) { Ok(whole) } else { Err(Refusal::MediaType) }
}

#[cfg(test)]
mod tests;
