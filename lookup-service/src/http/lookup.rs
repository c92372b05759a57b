//! `GET /lookup` and `POST /lookup`.

use std::sync::Arc;

use bytes::Buf;
use futures_util::Stream;
use http::HeaderValue;
use warp::Filter;

use super::{Answer, Routes, answer, body, header, query};
use crate::app::App;
use crate::refusal::Refusal;
use crate::request::{BODY_BYTES_MAX, LookupRequest};

const METHODS: &str = "GET, POST, OPTIONS";

pub(super) fn routes(app: Arc<App>) -> Routes {
    let (by_query, by_body) = (app.clone(), app);
    let get = warp::get()
        .and(header("authorization"))
        .and(query())
        .map(move |token, query: String| look_up(&by_query, token, LookupRequest::from_query(&query)));
    let post = warp::post()
        .and(header("authorization"))
        .and(header("content-type"))
        .and(header("content-length"))
        .and(warp::body::stream())
        .then(move |token, kind, length, body| posted(by_body.clone(), token, kind, length, body));
    let other = warp::any().map(|| answer::refused(Refusal::Method(METHODS)));
    warp::path("lookup").and(warp::path::end()).and(get.or(post).unify().or(other).unify()).boxed()
}

async fn posted<B: Buf, E>(
    app: Arc<App>,
    token: Option<HeaderValue>,
    kind: Option<HeaderValue>,
    length: Option<HeaderValue>,
    body: impl Stream<Item = Result<B, E>>,
) -> Answer {
    let request = match body::read(body, length.as_ref(), BODY_BYTES_MAX).await {
        Ok(body) if body.is_empty() || body::is_json(kind.as_ref()) => LookupRequest::from_json(&body),
        Ok(_) => Err(Refusal::MediaType),
        Err(refusal) => Err(refusal),
    };
    look_up(&app, token, request)
}

fn look_up(app: &App, token: Option<HeaderValue>, request: Result<LookupRequest, Refusal>) -> Answer {
    match app.look_up(token.as_ref().map(HeaderValue::as_bytes), request) {
        Ok(grant) => answer::json(&grant),
        Err(refusal) => answer::refused(refusal),
    }
}
