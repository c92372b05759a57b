//! The accept loop against clients that are slow, big, many, or wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_docs_in_private_items)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, GET, Server, eventually, rest, short, until};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ringdial_edge::limits::Limits;
use ringdial_edge::serve::{Http, Options};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

const BOTH: [Http; 2] = [Http::One, Http::OneAndTwo];

fn options(http: Http, limits: Limits) -> Options {
    Options { http, limits, ..Options::http1() }
}

#[tokio::test]
async fn each_request_knows_its_peer() {
    for http in BOTH {
        let server = Server::start(options(http, short()), None);
        let mut stream = server.connect().await;
        stream.write_all(GET.as_bytes()).await.unwrap();
        let own = stream.local_addr().unwrap();
        let text = rest(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with(&format!("{own} false")), "{text}");
        eventually("the place is free again", || server.counts.open() == 0).await;
    }
}

#[tokio::test]
async fn http2_is_spoken_where_it_was_asked_for_and_only_there() {
    for (http, works) in [(Http::One, false), (Http::OneAndTwo, true)] {
        let server = Server::start(options(http, short()), None);
        let io = TokioIo::new(server.connect().await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("http://x/").body(Empty::<Bytes>::new()).unwrap();
        let answer = timeout(DEADLINE, sender.send_request(request)).await.unwrap();
        assert_eq!(answer.is_ok(), works);
        if let Ok(answer) = answer {
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(body.starts_with(b"127.0.0.1:"));
        }
    }
}

#[tokio::test]
async fn a_request_that_does_not_come_is_not_waited_for() {
    // Nothing; half a head; half of the bytes that announce HTTP/2; HTTP/2 without a request.
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for http in BOTH {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow:", b"PRI * HT", h2] {
            let server = Server::start(options(http, short()), None);
            let mut stream = server.connect().await;
            let begin = Instant::now();
            stream.write_all(sent).await.unwrap();
            rest(&mut stream).await;
            let took = begin.elapsed();
            let shown = String::from_utf8_lossy(sent);
            assert!(took < Duration::from_secs(3), "{http:?} {shown:?} took {took:?}");
            // HTTP/1 alone refuses HTTP/2's preface at once.
            if !(http == Http::One && sent.starts_with(b"PRI * HTTP/2.0\r\n")) {
                assert!(took >= Duration::from_millis(250), "{http:?} {shown:?} took {took:?}");
            }
            eventually("the place is free again", || server.counts.open() == 0).await;
        }
    }
}

#[tokio::test]
async fn a_head_that_trickles_gets_no_more_time_than_one_that_stops() {
    let server = Server::start(options(Http::One, short()), None);
    let mut stream = server.connect().await;
    let begin = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    while stream.write_all(b"x").await.is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(3), "still taken after {:?}", begin.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    for http in BOTH {
        let server = Server::start(options(http, short()), None);
        let mut stream = server.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        until(&mut stream, " false").await;
        let begin = Instant::now();
        assert_eq!(rest(&mut stream).await, "");
        let took = begin.elapsed();
        assert!(took > Duration::from_millis(200) && took < Duration::from_secs(3), "{http:?} {took:?}");
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_431() {
    for http in BOTH {
        let server = Server::start(options(http, short()), None);
        let with = |bytes: usize| {
            format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: {}\r\n\r\n", "x".repeat(bytes))
        };
        let text = server.exchange(with(15 * 1024)).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{http:?}: {text}");
        let text = server.exchange(with(17 * 1024)).await;
        assert!(text.starts_with("HTTP/1.1 431"), "{http:?}: {text}");
    }
}

#[tokio::test]
async fn a_head_over_the_limit_is_431_in_http2_too() {
    let server = Server::start(options(Http::OneAndTwo, short()), None);
    let io = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://x/").header("x", "x".repeat(17 * 1024)).body(Empty::<Bytes>::new());
    let answer = timeout(DEADLINE, sender.send_request(request.unwrap())).await.unwrap();
    assert!(answer.map_or(true, |answer| answer.status() == 431));
}

#[tokio::test]
async fn connect_is_refused() {
    for http in BOTH {
        let server = Server::start(options(http, short()), None);
        let text = server.exchange("CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 405") && text.contains("method_not_allowed"), "{text}");
        assert!(server.exchange(GET).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn one_connection_over_the_limit_is_closed_unread() {
    let server = Server::start(options(Http::One, Limits { connections_max: 2, ..Limits::default() }), None);
    let (first, _second) = (server.connect().await, server.connect().await);
    eventually("two are in", || server.counts.open() == 2).await;
    assert_eq!(server.exchange(GET).await, "");
    assert_eq!((server.counts.open(), server.counts.refused()), (2, 1));
    drop(first);
    eventually("a place is free", || server.counts.open() == 1).await;
    assert!(server.exchange(GET).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    for http in BOTH {
        let server = Server::start(options(http, short()), None);
        let text = server.exchange("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345").await;
        assert!(text.starts_with("HTTP/1.1 408") && text.contains("request_timeout"), "{text}");
        assert!(text.to_lowercase().contains("connection: close"), "{text}");
    }
}

#[tokio::test]
async fn at_the_end_open_requests_finish_and_no_new_connection_is_taken() {
    for http in BOTH {
        let server = Server::start(options(http, short()), None);
        let mut stream = server.connect().await;
        stream.write_all(b"GET /slow?300 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        sleep(Duration::from_millis(100)).await;
        server.shutdown.cancel();
        let text = rest(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("slow"), "{text}");
        timeout(DEADLINE, server.done).await.unwrap().unwrap();
        assert!(tokio::net::TcpStream::connect(server.address).await.is_err());
        assert_eq!(server.counts.cut(), 0);
    }
}

#[tokio::test]
async fn the_end_is_bounded() {
    for http in BOTH {
        let grace = Duration::from_millis(400);
        let server = Server::start(options(http, Limits { grace, ..Limits::default() }), None);
        let mut stuck = server.connect().await;
        stuck.write_all(b"GET /slow?60000 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        sleep(Duration::from_millis(100)).await;
        let begin = Instant::now();
        server.shutdown.cancel();
        timeout(DEADLINE, server.done).await.unwrap().unwrap();
        let took = begin.elapsed();
        assert!(took >= grace && took < grace * 10, "{http:?} {took:?}");
        assert_eq!(server.counts.cut(), 1);
    }
}

#[tokio::test]
async fn idle_and_unused_connections_do_not_hold_up_the_end() {
    for http in BOTH {
        let limits = Limits { grace: Duration::from_secs(60), ..Limits::default() };
        let server = Server::start(options(http, limits), None);
        let _unused = server.connect().await;
        let mut half = server.connect().await;
        half.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        let mut idle = server.connect().await;
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        until(&mut idle, " false").await;
        server.shutdown.cancel();
        timeout(Duration::from_secs(5), server.done).await.expect("ends soon").unwrap();
    }
}
