//! The services that this process answers for: of each the view that its keeper holds, and the published document.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cluster::log::Log;
use cluster::membership::{Keeper, KeeperConfig, KeeperError, MembershipStore, RecordKeys, Role, Suspects};
use cluster::ring::{Ring, Signature, Version, public_document};
use edge::metrics::Membership;
use edge::peer::LinkCounts;
use parking_lot::Mutex as Lock;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::api::backend::Backend;
use crate::decide::{Placement, RingView};
use crate::pacing::{Pace, Pacing};
use crate::refusal::Refusal;

/// What a service has in the store.
#[derive(Clone)]
pub struct ServiceStore {
    /// Its membership.
    pub membership: Arc<dyn MembershipStore>,
    /// Its log, which is only read here.
    pub log: Arc<dyn Log>,
}

/// One service.
pub(crate) struct Service {
    store: ServiceStore,
    /// Of the links to its nodes.
    links: LinkCounts,
    /// Set once the store has been read.
    started: OnceLock<Started>,
    /// How the lookups of this service are spread over time. Held for less than a microsecond.
    pacing: Lock<Pacing>,
    /// Behind tokio's lock, as it is held while a document is written.
    document: Mutex<Option<Arc<Document>>>,
}

struct Started {
    keeper: Arc<Keeper>,
    backend: Arc<dyn Backend>,
    view: watch::Receiver<Option<Arc<Ring>>>,
    suspects: watch::Receiver<Arc<Suspects>>,
}

/// A ring as `GET /ring` gives it.
pub(crate) struct Document {
    version: Version,
    signature: Signature,
    /// The entity tag, with its quotes: version and signature, so that two rings never share one.
    pub(crate) etag: String,
    /// The JSON text.
    pub(crate) body: Bytes,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(store: ServiceStore) -> Self {
        Self {
            store,
            links: LinkCounts::default(),
            started: OnceLock::new(),
            pacing: Lock::default(),
            document: Mutex::new(None),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.store.membership.service()
    }

    /// Follows the ring until `shutdown`; returns once it has been read, which includes that there is none. `link` makes
    /// the way to the nodes.
    pub(crate) async fn start(
        &self,
        keys: RecordKeys,
        wait: Duration,
        link: impl FnOnce(Arc<Keeper>) -> Arc<dyn Backend>,
        shutdown: CancellationToken,
    ) -> Result<(), KeeperError> {
        let mut config = KeeperConfig::new(Role::Observer, keys);
        config.initial_wait = wait;
        let keeper = Arc::new(Keeper::start(self.store.membership.clone(), config, shutdown).await?);
        let (view, suspects, backend) = (keeper.view(), keeper.suspects(), link(keeper.clone()));
        // Started once only; a second keeper would be dropped and so end.
        let _ = self.started.set(Started { keeper, backend, view, suspects });
        Ok(())
    }

    /// What is known now.
    pub(crate) fn view(&self) -> RingView {
        match self.started.get() {
            None => RingView::NotRead,
            Some(started) => match &*started.view.borrow() {
                None => RingView::None,
                Some(ring) => {
                    RingView::Ring { ring: ring.clone(), suspects: started.suspects.borrow().clone() }
                }
            },
        }
    }

    /// Whether the node takes one more lookup at `now`, a time since any moment. `per_node` is what it takes a second of
    /// all lookup services together.
    ///
    /// # Errors
    /// [`Refusal::SlowDown`].
    pub(crate) fn pace(
        &self,
        placement: &Placement<'_>,
        per_node: u32,
        now: Duration,
    ) -> Result<(), Refusal> {
        let observers = self.started.get().map_or(1, |started| started.keeper.observers());
        let pace = Pace::new(per_node, observers);
        let turn = self.pacing.lock().admit(placement.ring, placement.node, pace, now);
        turn.map_err(Refusal::SlowDown)
    }

    /// Those of the ring's members that seem dead.
    pub(crate) fn suspects(&self) -> Arc<Suspects> {
        self.started.get().map(|started| started.suspects.borrow().clone()).unwrap_or_default()
    }

    /// The ring.
    ///
    /// # Errors
    /// [`Refusal::RingNotRead`], [`Refusal::NoNodes`].
    pub(crate) fn ring(&self) -> Result<Arc<Ring>, Refusal> {
        match self.view() {
            RingView::Ring { ring, .. } => Ok(ring),
            RingView::None => Err(Refusal::NoNodes),
            RingView::NotRead | RingView::UnknownService => Err(Refusal::RingNotRead),
        }
    }

    /// The way to the nodes.
    ///
    /// # Errors
    /// [`Refusal::RingNotRead`].
    pub(crate) fn backend(&self) -> Result<&Arc<dyn Backend>, Refusal> {
        self.started.get().map(|started| &started.backend).ok_or(Refusal::RingNotRead)
    }

    /// The membership.
    ///
    /// # Errors
    /// [`Refusal::RingNotRead`].
    pub(crate) fn keeper(&self) -> Result<&Keeper, Refusal> {
        self.started.get().map(|started| &*started.keeper).ok_or(Refusal::RingNotRead)
    }

    /// The log.
    pub(crate) fn log(&self) -> &dyn Log {
        &*self.store.log
    }

    /// What the links to its nodes count.
    pub(crate) fn links(&self) -> &LinkCounts {
        &self.links
    }

    /// How membership stands, for the metrics page.
    pub(crate) fn membership(&self) -> Membership {
        self.started.get().map(|started| Membership::of(&started.keeper)).unwrap_or_default()
    }

    /// The document of `ring`, written once per version: a crowd that asks at a change waits for one writing. `None` if
    /// that failed, which would be a bug.
    pub(crate) async fn document(&self, ring: Arc<Ring>) -> Option<Arc<Document>> {
        let mut kept = self.document.lock().await;
        if let Some(document) = kept.as_ref().filter(|document| document.is_of(&ring)) {
            return Some(document.clone());
        }
        // Hundreds of kilobytes: written here, it would hold up the lookups of this thread.
        let document = Arc::new(tokio::task::spawn_blocking(move || Document::of(&ring)).await.ok()?);
        Some(kept.insert(document).clone())
    }
}

// === impl Document ===

impl Document {
    fn of(ring: &Ring) -> Self {
        let (version, signature) = (ring.version(), ring.signature());
        let body = public_document(ring).to_string().into();
        Self { version, signature, etag: format!("\"{version}-{signature}\""), body }
    }

    fn is_of(&self, ring: &Ring) -> bool {
        (self.version, self.signature) == (ring.version(), ring.signature())
    }
}
