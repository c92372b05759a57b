//! The page at `/` and what belongs to it, all inside the binary.

use bytes::Bytes;
use http::HeaderValue;
use lookup_service::StaticPage;

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, media type, content. The client is a copy of what `npm run build` makes in js-client; a test there compares.
const FILES: [(&str, &str, &str); 6] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/page.css", STYLE, include_str!("page/page.css")),
    ("/page.mjs", SCRIPT, include_str!("page/page.mjs")),
    ("/figure.mjs", SCRIPT, include_str!("page/figure.mjs")),
    ("/ring.mjs", SCRIPT, include_str!("page/ring.mjs")),
    ("/ringdial.min.js", SCRIPT, include_str!("page/ringdial.min.js")),
];

/// A client for the command line.
const TRY: &str = include_str!("page/try.js");

/// The pages for a lookup service at `origin` whose nodes are at `nodes`, their WebSocket addresses.
pub(crate) fn pages<'a>(origin: &str, nodes: impl Iterator<Item = &'a str>) -> Vec<StaticPage> {
    let policy = policy(nodes);
    let fixed = FILES.map(|(path, content_type, text)| StaticPage {
        path,
        content_type,
        body: Bytes::from_static(text.as_bytes()),
        policy: policy.clone(),
    });
    let origin = serde_json::Value::from(origin);
    let script = StaticPage {
        path: "/try.js",
        content_type: SCRIPT,
        body: format!("const ORIGIN = {origin};\n{TRY}").into(),
        policy: policy.clone(),
    };
    fixed.into_iter().chain([script]).collect()
}

/// Nothing but our own files, and connections to our own nodes. `data:` is the icon.
fn policy<'a>(nodes: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let nodes: Vec<&str> = nodes.map(|url| url.strip_suffix("/ws").unwrap_or(url)).collect();
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' {}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        nodes.join(" ")
    );
    HeaderValue::try_from(text).ok()
}
