//! The services that this process answers for: of each the view that its keeper holds, and the published document.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cluster::membership::{Keeper, KeeperConfig, KeeperError, MembershipStore, RecordKeys, Role};
use cluster::ring::{Ring, Signature, Version, public_document};
use edge::metrics::Membership;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use crate::decide::RingView;

/// One service.
pub(crate) struct Service {
    store: Arc<dyn MembershipStore>,
    /// Set once the store has been read.
    started: OnceLock<Started>,
    /// Behind tokio's lock, as it is held while a document is written.
    document: Mutex<Option<Arc<Document>>>,
}

struct Started {
    keeper: Keeper,
    view: watch::Receiver<Option<Arc<Ring>>>,
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
    pub(crate) fn new(store: Arc<dyn MembershipStore>) -> Self {
        Self { store, started: OnceLock::new(), document: Mutex::new(None) }
    }

    pub(crate) fn name(&self) -> &str {
        self.store.service()
    }

    /// Follows the ring until `shutdown`; returns once it has been read, which includes that there is none.
    pub(crate) async fn start(
        &self,
        keys: RecordKeys,
        wait: Duration,
        shutdown: CancellationToken,
    ) -> Result<(), KeeperError> {
        let mut config = KeeperConfig::new(Role::Observer, keys);
        config.initial_wait = wait;
        let keeper = Keeper::start(self.store.clone(), config, shutdown).await?;
        let view = keeper.view();
        // Started once only; a second keeper would be dropped and so end.
        let _ = self.started.set(Started { keeper, view });
        Ok(())
    }

    /// What is known now.
    pub(crate) fn view(&self) -> RingView {
        match self.started.get() {
            None => RingView::NotRead,
            Some(started) => match &*started.view.borrow() {
                None => RingView::None,
                Some(ring) => RingView::Ring(ring.clone()),
            },
        }
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
