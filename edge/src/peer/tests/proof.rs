//! The handshake: who is refused, with which answer, and that nothing is read from a listener without proof.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::harness::*;
use super::raw::*;
use crate::peer::*;
use cluster::tokens::PeerName;

/// A listener that answers the first dialler by hand and stays connected; the dialler `a` knows it as `b#1`.
async fn impostor(
    prove: impl FnOnce(&cluster::tokens::PeerTokens, &str) -> Option<String> + Send + 'static,
) -> (Process, tokio::task::JoinHandle<Raw>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let a = setup("a", 1).start();
    let address = socket.local_addr().unwrap().to_string();
    a.targets.send_replace(vec![PeerTarget { name: name("b", 1), address }]);
    let raw = tokio::spawn(async move {
        let (stream, _) = socket.accept().await.unwrap();
        let mut raw = Raw::accept(stream, prove).await;
        // Right behind the 101: a dialler that reads before it checks would take it.
        let _ = raw.stream.write_all(&[&[0x82, 16][..], &message(1, b"lie")].concat()).await;
        raw
    });
    (a, raw)
}

async fn refusal(address: SocketAddr, path: &str, token: Option<&str>) -> (u16, String) {
    let mut raw = Raw::dial(address, path, token).await;
    (raw.status(), raw.code().await)
}

#[tokio::test]
async fn a_listener_that_proves_the_secret_is_believed() {
    let (a, raw) = impostor(|tokens, token| {
        let claims = tokens.verify(token, &name("b", 1), now_s()).unwrap();
        Some(tokens.prove(&claims.nonce, &claims.iss, &name("b", 1)))
    })
    .await;
    assert_eq!(a.frames(1).await, ["lie"], "the same bytes are a frame once the proof holds");
    raw.await.unwrap();
}

#[tokio::test]
async fn a_listener_without_proof_is_refused_before_any_frame() {
    let wrong: [fn(&cluster::tokens::PeerTokens, &str) -> Option<String>; 4] = [
        |_, _| None,
        |_, _| Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into()),
        |tokens, _| Some(tokens.prove("another nonce", &name("a", 1), &name("b", 1))),
        |real, token| {
            let claims = real.verify(token, &name("b", 1), now_s()).unwrap();
            Some(tokens(OTHER_SECRET).prove(&claims.nonce, &claims.iss, &name("b", 1)))
        },
    ];
    for prove in wrong {
        let (a, raw) = impostor(prove).await;
        assert_eq!(a.dial_failed().await, DialError::Unproven);
        raw.await.unwrap();
        assert!(a.events.so_far().iter().all(|event| matches!(event, Event::DialFailed(..))));
        assert_eq!(a.counts.totals().messages_in, 0);
    }
}

#[tokio::test]
async fn a_dialler_with_another_secret_is_refused() {
    let b = setup("b", 1).start();
    let stranger = Setup { secret: OTHER_SECRET, ..setup("a", 1) }.start();
    stranger.use_as_home(&b);
    assert_eq!(stranger.dial_failed().await, DialError::Rejected(401));
    assert_eq!(b.events.so_far(), []);
    assert!(b.counts.totals().refused > 0);
}

#[tokio::test]
async fn each_wrong_token_has_its_answer() {
    let b = setup("b", 5).start();
    let now = now_s();
    let sign = |target: PeerName, at| tokens(SECRET).sign(&name("a", 1), &target, "nonce", at);
    let stranger = tokens(OTHER_SECRET).sign(&name("a", 1), &name("b", 5), "nonce", now);
    let myself = tokens(SECRET).sign(&name("b", 4), &name("b", 5), "nonce", now);
    for (token, status, code) in [
        (None, 401, "peer_token_missing"),
        (Some("rubbish".to_owned()), 401, "peer_token_invalid"),
        (Some(stranger), 401, "peer_token_invalid"),
        (Some(sign(name("b", 5), now - 60)), 401, "peer_token_expired"),
        (Some(sign(name("b", 4), now)), 409, "peer_other_target"),
        (Some(sign(name("b", 6), now)), 409, "peer_other_target"),
        (Some(sign(name("c", 5), now)), 409, "peer_other_target"),
        (Some(myself), 409, "peer_own_id"),
    ] {
        assert_eq!(refusal(b.address, "/peer", token.as_deref()).await, (status, code.to_owned()));
    }
    assert_eq!(refusal(b.address, "/", Some("x")).await, (404, "not_found".to_owned()));
    assert_eq!(b.counts.totals().refused, 9);
}

#[tokio::test]
async fn a_token_opens_one_link() {
    let b = setup("b", 1).start();
    let token = tokens(SECRET).sign(&name("a", 1), &name("b", 1), "nonce", now_s());
    let first = Raw::dial(b.address, "/peer", Some(&token)).await;
    assert_eq!(first.status(), 101);
    let proof = tokens(SECRET).prove("nonce", &name("a", 1), &name("b", 1));
    assert!(first.head.contains(&proof), "{}", first.head);
    b.opened(1).await;
    assert_eq!(refusal(b.address, "/peer", Some(&token)).await, (401, "peer_token_used".to_owned()));
    assert!(b.events.so_far().len() == 1, "the first link is undisturbed");
}

#[tokio::test]
async fn a_listener_that_ends_takes_no_links() {
    use hyper::service::Service;
    let b = setup("b", 1).start();
    let token = tokens(SECRET).sign(&name("a", 1), &name("b", 1), "nonce", now_s());
    b.shutdown.cancel();
    let request = http::Request::get("/peer")
        .header("host", "x")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "MDEyMzQ1Njc4OWFiY2RlZg==")
        .header("sec-websocket-protocol", PROTOCOL)
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .unwrap();
    assert_eq!(b.listener.call(request).await.unwrap().status(), 503);
}
