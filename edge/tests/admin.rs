//! The admin page over a real socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use common::rest;
use parking_lot::Mutex;
use ringdial_edge::admin::{self, Reason};
use ringdial_edge::counts::Counts;
use ringdial_edge::listen::bind;
use ringdial_edge::metrics::{Page, labels};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

async fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

#[tokio::test]
async fn livez_readyz_and_metrics() {
    let listener = bind("admin-listen", "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address();
    let mut page = Page::new("ws-node");
    page.add(labels([("listener", "public")]), Counts::default());
    page.add(labels([("listener", "peer")]), Counts::default());
    let reasons = Arc::new(Mutex::new(vec![Reason::new("store_unreachable", "Redis does not answer")]));
    let asked = Arc::clone(&reasons);
    let shutdown = CancellationToken::new();
    let readiness = move || asked.lock().clone();
    let done = tokio::spawn(admin::serve(listener, page, readiness, shutdown.clone()));

    let text = ask(address, "GET", "/readyz").await;
    assert!(text.starts_with("HTTP/1.1 503"), "{text}");
    let body: serde_json::Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(
        body,
        serde_json::json!({"ready": false,
            "reasons": [{"code": "store_unreachable", "detail": "Redis does not answer"}]})
    );
    reasons.lock().clear();
    assert!(ask(address, "GET", "/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(ask(address, "GET", "/livez").await.ends_with("ok\n"));
    assert!(ask(address, "HEAD", "/livez").await.starts_with("HTTP/1.1 200"));
    assert!(ask(address, "POST", "/metrics").await.starts_with("HTTP/1.1 405"));
    assert!(ask(address, "GET", "/").await.starts_with("HTTP/1.1 404"));

    let page = ask(address, "GET", "/metrics").await;
    assert!(page.contains("application/openmetrics-text; version=1.0.0"), "{page}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    for line in [
        "process_open_fds ",
        "process_resident_memory_bytes ",
        "process_start_time_seconds ",
        "process_cpu_seconds_total ",
        "ringdial_build_info{role=\"ws-node\",version=",
        "ringdial_connections_open{listener=\"public\"} 0",
        "ringdial_connections_refused_total{listener=\"peer\"} 0",
    ] {
        assert!(page.lines().any(|found| found.starts_with(line)), "{line} is not in:\n{page}");
    }
    shutdown.cancel();
    done.await.unwrap();
}
