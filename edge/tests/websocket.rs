//! Upgrades and links over real sockets, plain and TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, eventually, until};
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use ringdial_edge::counts::Counts;
use ringdial_edge::listen::bind;
use ringdial_edge::serve::{Options, serve};
use ringdial_edge::websocket::{
    ConnectError, Connected, LinkError, LinkEvent, Role, Target, accept, connect, link, on_upgrade, take_io,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const MAX: usize = 1 << 20;

/// Echoes messages; a message "close" is answered with a close frame.
async fn echo(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let upgrade = on_upgrade(&mut request);
    let (parts, _) = request.into_parts();
    let handshake = match accept(&parts) {
        Ok(handshake) => handshake,
        Err(error) => return Ok(error.response()),
    };
    tokio::spawn(async move {
        let taken = take_io(upgrade.await.unwrap()).unwrap();
        let (mut reader, mut writer) = link(taken.io, taken.read_buf, Role::Server, MAX);
        while let Ok(LinkEvent::Message(message)) = reader.read().await {
            if &message[..] == b"close" {
                return writer.close(1000, "as you wish").await.unwrap();
            }
            writer.queue(&message);
            writer.flush().await.unwrap();
        }
    });
    Ok(handshake.response(Some("ringdial.peer.1")))
}

fn start(options: Options) -> (SocketAddr, Counts, CancellationToken) {
    let listener = bind("listen", "127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, counts, shutdown) = (listener.address(), options.counts.clone(), CancellationToken::new());
    tokio::spawn(serve(listener, None, service_fn(echo), options, shutdown.clone()));
    (address, counts, shutdown)
}

fn target() -> Target {
    Target {
        authority: "x:1".into(),
        path: "/ws".into(),
        headers: HeaderMap::new(),
        protocol: Some("ringdial.peer.1"),
    }
}

async fn dial(address: SocketAddr) -> Connected<TcpStream> {
    connect(TcpStream::connect(address).await.unwrap(), &target(), MAX, DEADLINE).await.unwrap()
}

#[tokio::test]
async fn messages_of_all_sizes_come_back_whole_and_in_order() {
    for options in [Options::http1(), Options::http1_and_2()] {
        let (address, _, _) = start(options);
        let Connected { mut reader, mut writer, .. } = dial(address).await;
        let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 200_000, MAX];
        let message = |size: usize| (0..size).map(|at| (at * 31 + size) as u8).collect::<Vec<u8>>();
        // All queued before anything is read: written in one go.
        let sender = tokio::spawn(async move {
            for size in sizes {
                writer.queue(&message(size));
            }
            writer.flush().await.unwrap();
            assert_eq!(writer.queued_bytes(), 0);
            writer
        });
        for size in sizes {
            let event = timeout(DEADLINE, reader.read()).await.unwrap().unwrap();
            assert!(event == LinkEvent::Message(message(size).into()), "{size}");
        }
        let mut writer = sender.await.unwrap();
        writer.queue(b"close");
        writer.flush().await.unwrap();
        let event = timeout(DEADLINE, reader.read()).await.unwrap().unwrap();
        assert_eq!(event, LinkEvent::Closed(Some((1000, "as you wish".into()))));
    }
}

/// What a client sends with its request must not be lost in the upgrade.
#[tokio::test]
async fn early_bytes_are_read_first() {
    for options in [Options::http1(), Options::http1_and_2()] {
        let (address, _, _) = start(options);
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut bytes =
            b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                .to_vec();
        bytes.extend_from_slice(&[0x82, 0x85, 0, 0, 0, 0]);
        bytes.extend_from_slice(b"early");
        stream.write_all(&bytes).await.unwrap();
        let text = until(&mut stream, "early").await;
        assert!(text.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{text}");
        assert!(!text.to_lowercase().contains("sec-websocket-protocol"), "none was offered: {text}");
    }
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place_until_it_ends() {
    let mut options = Options::http1();
    options.limits.connections_max = 1;
    let (address, counts, shutdown) = start(options);
    let mut open = dial(address).await;
    assert_eq!(counts.open(), 1);
    let refused = connect(TcpStream::connect(address).await.unwrap(), &target(), MAX, DEADLINE).await;
    assert!(refused.is_err());
    assert_eq!(counts.refused(), 1);
    // The end of the accept loop is not the end of what was upgraded.
    shutdown.cancel();
    open.writer.queue(b"still there");
    open.writer.flush().await.unwrap();
    let event = timeout(DEADLINE, open.reader.read()).await.unwrap().unwrap();
    assert_eq!(event, LinkEvent::Message(Bytes::from_static(b"still there")));
    drop(open);
    eventually("the place is free", || counts.open() == 0).await;
}

/// Answers one connection with `answer`.
async fn impostor(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        until(&mut stream, "\r\n\r\n").await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    });
    address
}

#[tokio::test]
async fn a_server_that_does_not_prove_itself_is_not_believed() {
    let cases = [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "answered 403"),
        ("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "does not answer the key"),
        (
            "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "does not answer the key",
        ),
        ("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "does not upgrade"),
        ("nonsense\r\n\r\n", "handshake failed"),
    ];
    for (answer, fault) in cases {
        let stream = TcpStream::connect(impostor(answer).await).await.unwrap();
        let Err(error) = connect(stream, &target(), MAX, DEADLINE).await else { panic!("believed {answer}") };
        assert!(error.to_string().contains(fault), "{answer}: {error}");
    }
}

#[tokio::test]
async fn another_subprotocol_than_the_offered_one_is_refused() {
    let (address, _, _) = start(Options::http1());
    let other = Target { protocol: Some("other"), ..target() };
    let stream = TcpStream::connect(address).await.unwrap();
    let Err(error) = connect(stream, &other, MAX, DEADLINE).await else { panic!("taken") };
    assert!(matches!(error, ConnectError::Invalid("it chose another subprotocol")), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut other, _) = listener.accept().await.unwrap();
    let Err(error) = connect(stream, &target(), MAX, Duration::from_millis(100)).await else {
        panic!("taken")
    };
    assert!(matches!(error, ConnectError::Timeout(_)), "{error}");
    // And the socket is closed, not left with a task.
    until(&mut other, "\r\n\r\n").await;
    assert_eq!(timeout(DEADLINE, other.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_link() {
    let (address, _, _) = start(Options::http1());
    let stream = TcpStream::connect(address).await.unwrap();
    let Connected { mut reader, mut writer, .. } = connect(stream, &target(), 100, DEADLINE).await.unwrap();
    writer.queue(&[7; 100]);
    writer.queue(&[7; 101]);
    writer.flush().await.unwrap();
    assert!(matches!(reader.read().await, Ok(LinkEvent::Message(message)) if message.len() == 100));
    assert!(matches!(reader.read().await, Err(LinkError::TooLarge { max: 100 })));
}
