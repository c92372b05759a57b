//! What can be seen of a node from before it joins until it has left.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../edge/tests/common/openmetrics.rs"]
mod openmetrics;

use std::sync::Arc;
use std::time::Duration;

use cluster::log::{Log, LogConfig};
use cluster::membership::MembershipStore;
use cluster::store::MemoryStore;
use edge::config::Settings;
use edge::listen::bind;
use edge::metrics::Page;
use tokio_util::sync::CancellationToken;
use ws_node::{COMMAND, Sockets, Stop, WsNode, read};

const FLAGS: [&str; 3] =
    ["--node-id=n1", "--redis=redis://127.0.0.1:1", "--secret=a cluster secret of at least 32 bytes"];

fn node() -> WsNode {
    let mut settings = Settings::parse(&COMMAND, FLAGS, Vec::<(String, String)>::new());
    let (config, _) = read(&mut settings);
    settings.finish().unwrap();
    WsNode::new(config).unwrap()
}

fn sockets() -> Sockets {
    let free = || bind("listen", "127.0.0.1:0".parse().unwrap()).unwrap();
    Sockets { clients: free(), peers: free() }
}

/// The value of a series, if the page has it; the page is valid.
fn figure(page: &Page, family: &str, series: &str) -> Option<f64> {
    let text = page.text().unwrap();
    let families = openmetrics::read(&text).unwrap_or_else(|fault| panic!("{fault}\n\n{text}"));
    families[family].samples.get(series).copied()
}

#[tokio::test]
async fn it_can_be_watched_before_it_is_a_member() {
    let node = node();
    let mut page = Page::new("ws-node");
    node.register(&mut page);
    let readiness = node.readiness();
    let reasons = || readiness().into_iter().map(|reason| reason.code).collect::<Vec<_>>();
    let sessions = || figure(&page, "ringdial_node_sessions", "ringdial_node_sessions{node=\"n1\"}");
    let reachable = || {
        let series = "ringdial_store_reachable{service=\"default\",node=\"n1\"}";
        figure(&page, "ringdial_store_reachable", series)
    };
    assert_eq!((reasons(), sessions(), reachable()), (vec!["not_registered"], None, Some(0.0)));

    let (store, log) = stores();
    let running = node.join(sockets(), store, log, &CancellationToken::new()).await.unwrap();
    assert_eq!((reasons(), sessions(), reachable()), (vec![], Some(0.0), Some(1.0)));

    let stop = CancellationToken::new();
    stop.cancel();
    running.serve(Stop::gently(stop)).await.unwrap();
    assert_eq!(reasons(), ["not_registered", "ending"]);
}

fn stores() -> (Arc<dyn MembershipStore>, Arc<dyn Log>) {
    let store = MemoryStore::new();
    let membership = store.membership("default", Duration::from_secs(3)).unwrap();
    (membership, store.log("default", LogConfig::default()).unwrap())
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_running() {
    let node = node();
    let readiness = node.readiness();
    let sockets = sockets();
    let address = sockets.clients.address();
    let (store, log) = stores();
    drop(node.join(sockets, store, log, &CancellationToken::new()));
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is closed");
    assert!(readiness().iter().any(|reason| reason.code == "not_registered"));
}
