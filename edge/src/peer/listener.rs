//! Inbound links: the service of the peer listener.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use bytes::Bytes;
use cluster::tokens::{PeerClaims, PeerName};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::service::Service;
use hyper::upgrade::OnUpgrade;
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::{CloseReason, Direction};
use super::handshake::{PROOF_HEADER, PROTOCOL, Refusal, check, unix_s};
use super::link::{End, Link, run};
use super::seen::Seen;
use super::settings::{MESSAGE_BYTES_MAX, PeerConfig};
use crate::websocket::{Role, link, on_upgrade, take_io};

/// How long after its end a token is remembered: longer than anybody's clock leeway.
const REMEMBERED_S: u64 = 10;

/// Takes links from other processes: give it to [`crate::serve::serve`] as the service of the peer listener.
///
/// Of each peer id one link is open, the newest; one of an older generation than the open one is refused. Peers that
/// use this process without being members need ids of their own all the same.
///
/// Links outlive a change of this process' generation: their dialler opens new ones when it learns of it, and until
/// then the link is what it learns it by.
#[derive(Clone)]
pub struct PeerListener {
    inner: Arc<Inner>,
}

struct Inner {
    config: PeerConfig,
    seen: Mutex<Seen>,
    links: Mutex<HashMap<String, Open>>,
    tasks: TaskTracker,
}

/// The newest link of a peer.
#[derive(Clone)]
struct Open {
    generation: u64,
    end: End,
    /// Its owner was told of its end.
    gone: CancellationToken,
}

// === impl PeerListener ===

impl PeerListener {
    /// Takes links in the name of `config.me`.
    pub fn new(config: PeerConfig) -> Self {
        let inner =
            Inner { config, seen: Mutex::default(), links: Mutex::default(), tasks: TaskTracker::new() };
        Self { inner: Arc::new(inner) }
    }

    /// Ends when, after `config.shutdown`, every link has ended and has said so to its peer.
    pub async fn closed(&self) {
        self.inner.config.shutdown.cancelled().await;
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl<B> Service<Request<B>> for PeerListener {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        ready(Ok(self.inner.answer(request).unwrap_or_else(|refusal| {
            self.inner.config.counts.inner().refused.inc();
            tracing::warn!(code = refusal.code(), "refused a peer: {refusal}");
            refusal.response()
        })))
    }
}

// === impl Inner ===

impl Inner {
    fn answer<B>(self: &Arc<Self>, request: Request<B>) -> Result<Response<Full<Bytes>>, Refusal> {
        let (parts, body) = request.into_parts();
        let me = self.config.me.borrow().clone();
        let now_s = unix_s();
        let (handshake, claims) = check(&parts, &me, &self.config.tokens, now_s)?;
        self.may_open(&claims, now_s)?;
        let mut response = handshake.response(Some(PROTOCOL));
        let proof = self.config.tokens.prove(&claims.nonce, &claims.iss, &me);
        if let Ok(proof) = HeaderValue::try_from(proof) {
            response.headers_mut().insert(PROOF_HEADER, proof);
        }
        let upgrade = on_upgrade(&mut Request::from_parts(parts, body));
        self.tasks.spawn(Arc::clone(self).take(upgrade, claims.iss));
        Ok(response)
    }

    /// What only this listener knows about a token that holds.
    fn may_open(&self, claims: &PeerClaims, now_s: u64) -> Result<(), Refusal> {
        if self.config.shutdown.is_cancelled() {
            return Err(Refusal::ShuttingDown);
        }
        self.seen.lock().take(&claims.jti, claims.exp + REMEMBERED_S, now_s)?;
        match self.links.lock().get(&claims.iss.id) {
            Some(open) if open.generation > claims.iss.generation => Err(Refusal::OldGeneration),
            _ => Ok(()),
        }
    }

    /// From the 101 to the end of the link.
    async fn take(self: Arc<Self>, upgrade: OnUpgrade, peer: PeerName) {
        let upgraded = match timeout(self.config.settings.dial_timeout, upgrade).await {
            Ok(Ok(upgraded)) => upgraded,
            Ok(Err(error)) => return tracing::debug!(%error, %peer, "the peer left during the handshake"),
            Err(_) => return tracing::debug!(%peer, "the peer was too slow in the handshake"),
        };
        let taken = match take_io(upgraded) {
            Ok(taken) => taken,
            Err(error) => return tracing::error!(%error, "peer link lost"),
        };
        let (reader, writer) = link(taken.io, taken.read_buf, Role::Server, MESSAGE_BYTES_MAX);
        let open = Open {
            generation: peer.generation,
            end: End::with(&self.config.shutdown),
            gone: CancellationToken::new(),
        };
        // Whatever happens to this task, the next link of this peer must not wait for it for ever.
        let _gone = open.gone.clone().drop_guard();
        let Some(before) = self.enter(&peer.id, &open) else { return };
        if let Some(before) = before {
            before.end.close(CloseReason::Replaced);
            before.gone.cancelled().await;
        }
        if !open.end.is_closed() {
            let link = Link {
                direction: Direction::Inbound,
                peer: peer.clone(),
                reader,
                writer,
                end: open.end.clone(),
            };
            run(link, &self.config, &self.tasks).await;
        }
        self.leave(&peer.id, &open);
    }

    /// Makes `open` the link of `id`. Gives back the one before it; `None` if that one is of a later generation.
    fn enter(&self, id: &str, open: &Open) -> Option<Option<Open>> {
        let mut links = self.links.lock();
        if links.get(id).is_some_and(|before| before.generation > open.generation) {
            return None;
        }
        Some(links.insert(id.to_owned(), open.clone()))
    }

    /// Forgets the link, unless a newer one took its place.
    fn leave(&self, id: &str, open: &Open) {
        let mut links = self.links.lock();
        if links.get(id).is_some_and(|newest| newest.end.is(&open.end)) {
            links.remove(id);
        }
    }
}
