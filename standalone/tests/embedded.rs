//! The embedded default from its start to its end, within this process: looked up over real sockets.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../edge/tests/common/openmetrics.rs"]
mod openmetrics;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use edge::config::Settings;
use edge::listen::bind;
use ringdial::config::{COMMAND, read};
use ringdial::{RunError, Sockets, start};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The deadline of every wait.
const DEADLINE: Duration = Duration::from_secs(10);

struct Embedded {
    public: SocketAddr,
    admin: SocketAddr,
    /// Of each node: its id and public address.
    nodes: Vec<(String, String)>,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), RunError>>,
}

/// As the process does it, with every port a free one.
async fn embedded(nodes: usize) -> Embedded {
    let mut settings =
        Settings::parse(&COMMAND, [format!("--nodes={nodes}")], Vec::<(String, String)>::new());
    let config = read(&mut settings);
    settings.finish().unwrap();
    let free = || bind("listen", "127.0.0.1:0".parse().unwrap()).unwrap();
    let (public, admin) = (free(), free());
    let address = public.address();
    let nodes = (0..nodes).map(|_| ws_node::Sockets { clients: free(), peers: free() }).collect();
    let running = start(Sockets { public, admin, nodes }, &config).await.unwrap();
    assert_eq!(running.origin, format!("http://{address}"));
    let stop = CancellationToken::new();
    Embedded {
        public: address,
        admin: running.admin,
        nodes: running.nodes.iter().map(|node| (node.id.clone(), node.url.clone())).collect(),
        serving: tokio::spawn(running.serve(stop.clone())),
        stop,
    }
}

/// Status, head and body of a GET.
async fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
    get_with(address, path, "").await
}

/// The same with more lines in the request's head.
async fn get_with(address: SocketAddr, path: &str, more: &str) -> (u16, String, String) {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{more}connection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(DEADLINE, exchange).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn it_starts_answers_lookups_and_ends() {
    let Embedded { public, nodes, stop, serving, .. } = embedded(3).await;
    let (status, _, body) = get(public, "/ring").await;
    let ring: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    let of_ring: Vec<_> =
        ring["nodes"].as_array().unwrap().iter().map(|node| (&node["id"], &node["url"])).collect();
    let of_start: Vec<_> =
        nodes.iter().map(|(id, url)| (Value::from(id.as_str()), Value::from(url.as_str()))).collect();
    assert_eq!(of_ring, of_start.iter().map(|(id, url)| (id, url)).collect::<Vec<_>>());

    let mut met = BTreeSet::new();
    for user in 0..60 {
        let (status, _, body) = get(public, &format!("/lookup?id=user-{user}")).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200, "{body}");
        let node = answer["node"].as_str().unwrap().to_owned();
        assert!(nodes.iter().any(|(id, url)| *id == node && answer["url"] == **url), "{body}");
        met.insert(node);
    }
    assert_eq!(met.len(), 3, "users are spread: {met:?}");

    stop.cancel();
    assert!(timeout(DEADLINE, serving).await.unwrap().unwrap().is_ok());
    let ports = nodes.iter().map(|(_, url)| url["ws://".len()..].strip_suffix("/ws").unwrap().to_owned());
    for port in ports.chain([public.to_string()]) {
        assert!(TcpStream::connect(&port).await.is_err(), "{port} is still open");
    }
}

#[tokio::test]
async fn the_page_may_load_and_reach_only_what_is_ours() {
    let Embedded { public, nodes, .. } = embedded(2).await;
    let (status, head, page) = get(public, "/").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/html"), "{head}");
    let policy = head.lines().find(|line| line.starts_with("content-security-policy: ")).unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for (_, url) in &nodes {
        assert!(policy.contains(url.strip_suffix("/ws").unwrap()), "{policy}");
    }
    let links = ["href=\"", "src=\""].into_iter().flat_map(|name| page.split(name).skip(1));
    for link in links.map(|rest| rest.split('"').next().unwrap()) {
        if link.starts_with("data:") {
            continue;
        }
        assert_eq!(get(public, &format!("/{link}")).await.0, 200, "{link}");
    }
    for script in ["/figure.mjs", "/ring.mjs", "/ringdial.min.js"] {
        let (status, head, _) = get(public, script).await;
        assert!(status == 200 && head.contains("text/javascript"), "{script}: {head}");
    }
    let (_, _, script) = get(public, "/try.js").await;
    assert!(script.starts_with(&format!("const ORIGIN = \"http://{public}\";\n")), "{script}");
}

#[tokio::test]
async fn only_our_own_page_may_look_up() {
    let Embedded { public, .. } = embedded(1).await;
    let port = public.port();
    let own = [format!("http://127.0.0.1:{port}"), format!("http://localhost:{port}")];
    let foreign = ["https://evil.example.com".to_owned(), format!("http://localhost:{}", port ^ 1)];
    for (origin, allowed) in
        own.iter().map(|own| (own, true)).chain(foreign.iter().map(|other| (other, false)))
    {
        let (status, head, _) = get_with(public, "/lookup?id=alice", &format!("origin: {origin}\r\n")).await;
        assert_eq!(status, 200);
        assert_eq!(head.contains(&format!("access-control-allow-origin: {origin}")), allowed, "{head}");
        assert!(!head.contains("access-control-allow-origin: *"), "{head}");
    }
}

#[tokio::test]
async fn one_admin_listener_speaks_for_all_parts() {
    let Embedded { admin, public, .. } = embedded(2).await;
    assert_eq!(get(public, "/lookup?id=alice").await.0, 200);
    assert_eq!(get(admin, "/livez").await.0, 200);
    assert_eq!(get(admin, "/readyz").await.0, 200);
    let all_see_both = async {
        loop {
            let (_, _, page) = get(admin, "/metrics").await;
            let sees_both = |line: &&str| line.starts_with("ringdial_ring_nodes{") && line.ends_with(" 2");
            if page.lines().filter(sees_both).count() == 3 {
                return page;
            }
        }
    };
    let metrics = timeout(DEADLINE, all_see_both).await.unwrap();
    openmetrics::read(&metrics).unwrap_or_else(|fault| panic!("{fault}\n\n{metrics}"));
    for line in [
        "ringdial_lookups_total{outcome=\"granted\"} 1",
        "ringdial_ring_nodes{service=\"default\"} 2",
        "ringdial_ring_nodes{service=\"default\",node=\"n1\"} 2",
        "ringdial_store_reachable{service=\"default\",node=\"n2\"} 1",
        "ringdial_ignored_records_total{service=\"default\",node=\"n1\"} 0",
        "ringdial_registrations_total{service=\"default\",node=\"n2\"} 1",
        "ringdial_node_sessions{node=\"n1\"} 0",
        "ringdial_node_sessions{node=\"n2\"} 0",
        "ringdial_connections_open{node=\"n1\",listener=\"clients\"} 0",
        "ringdial_tls_handshake_errors_total{node=\"n2\",listener=\"peers\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in:\n{metrics}");
    }
    let (_, _, ring) = get(public, "/ring").await;
    let ring: Value = serde_json::from_str(&ring).unwrap();
    let signature = format!(",signature={}}} 1", ring["signature"]);
    let told = metrics.lines().filter(|line| line.starts_with("ringdial_ring_info{"));
    assert_eq!(
        told.filter(|line| line.ends_with(&signature)).count(),
        3,
        "two nodes and a lookup service agree"
    );
}
