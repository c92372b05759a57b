//! The interface described: `/openapi.json`, and a page to read it at `/docs`.

use bytes::Bytes;
use http::HeaderValue;

use super::page::StaticPage;

/// OpenAPI 3.1, kept with the other documents.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

/// The page's own files and nothing else. `data:` is the icon.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Path, media type, content.
const FILES: [(&str, &str, &str); 4] = [
    ("/openapi.json", "application/json", OPENAPI),
    ("/docs", "text/html; charset=utf-8", include_str!("docs/docs.html")),
    ("/docs.css", "text/css; charset=utf-8", include_str!("docs/docs.css")),
    ("/docs.mjs", "text/javascript; charset=utf-8", include_str!("docs/docs.mjs")),
];

pub(super) fn pages() -> Vec<StaticPage> {
    let page = |(path, content_type, text): (&'static str, &'static str, &'static str)| StaticPage {
        path,
        content_type,
        body: Bytes::from_static(text.as_bytes()),
        policy: Some(POLICY),
    };
    FILES.map(page).into()
}
