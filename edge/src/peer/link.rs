//! An open link: its reader, its writer and their common end.
//!
//! Reader and writer are separate tasks since neither side of a WebSocket can be abandoned half-way. They share the
//! queue and [`End`]; whichever sees the end first gives the reason, and the reader reports it.

mod read;
mod write;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cluster::tokens::PeerName;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::{CloseReason, Direction, LinkId};
use super::queue::queue;
use super::settings::PeerConfig;
use crate::io::Io;
use crate::websocket::{LinkReader, LinkWriter};

/// How long a link that ends in order may take to write what it has begun, and its close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// A link that both ends have proven, not yet in use.
pub(super) struct Link {
    pub(super) direction: Direction,
    pub(super) peer: PeerName,
    pub(super) reader: LinkReader<Io>,
    pub(super) writer: LinkWriter<Io>,
    pub(super) end: End,
}

/// The end of something: told once, with a reason, and passed down to what was made [`End::under`] it.
#[derive(Clone)]
pub(super) struct End {
    token: CancellationToken,
    reason: Arc<OnceLock<CloseReason>>,
    parent: Option<Arc<End>>,
}

/// Uses the link until its end, from `opened` to `closed`. Returns why it ended, and how long it lived. The writer may
/// finish its last words in `tasks` after that.
pub(super) async fn run(link: Link, config: &PeerConfig, tasks: &TaskTracker) -> (CloseReason, Duration) {
    let Link { direction, peer, reader, writer, end } = link;
    let (id, began) = (LinkId::next(), Instant::now());
    let (sender, queue) = queue(id, config.settings.queue_bytes_max);
    // Should the owner panic in one of its calls, the writer must not live on.
    let _guard = end.token.clone().drop_guard();
    tasks.spawn(write::Writer::new(writer, queue, end.clone(), config).run());
    config.counts.inner().opened.inc();
    config.counts.inner().open.inc();
    tracing::info!(link = %id, %peer, direction = direction.as_str(), "peer link open");
    config.events.opened(id, direction, &peer, sender.clone());
    end.close(read::Inbox::new(id, sender.clone(), end.clone(), config).run(reader).await);
    sender.close();
    config.counts.inner().open.dec();
    let (why, lived) = (end.reason(), began.elapsed());
    log_closed(id, direction, &peer, why, lived);
    config.events.closed(id, why);
    (why, lived)
}

fn log_closed(id: LinkId, direction: Direction, peer: &PeerName, why: CloseReason, lived: Duration) {
    let (direction, code, lived_ms) = (direction.as_str(), why.code(), lived.as_millis());
    if why.is_failure() {
        tracing::warn!(link = %id, %peer, direction, code, lived_ms, "peer link lost: {why}");
    } else {
        tracing::info!(link = %id, %peer, direction, code, lived_ms, "peer link closed: {why}");
    }
}

// === impl End ===

impl End {
    /// An end that comes with `shutdown`, or earlier for a reason of its own.
    pub(super) fn with(shutdown: &CancellationToken) -> Self {
        Self { token: shutdown.child_token(), reason: Arc::default(), parent: None }
    }

    /// An end that comes with this one, for the same reason, or earlier for a reason of its own.
    pub(super) fn under(&self) -> Self {
        let parent = Some(Arc::new(self.clone()));
        Self { token: self.token.child_token(), reason: Arc::default(), parent }
    }

    /// Ends it. The first reason stays.
    pub(super) fn close(&self, why: CloseReason) {
        if !self.token.is_cancelled() {
            let _ = self.reason.set(why);
        }
        self.token.cancel();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Whether both are the same end.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.reason, &other.reason)
    }

    /// Cancel-safe.
    pub(super) async fn closed(&self) {
        self.token.cancelled().await;
    }

    /// Why it ended; what ends without a reason ends with the process.
    pub(super) fn reason(&self) -> CloseReason {
        let above = || self.parent.as_ref().map_or(CloseReason::Shutdown, |parent| parent.reason());
        self.reason.get().copied().unwrap_or_else(above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays_and_is_passed_down() {
        let shutdown = CancellationToken::new();
        let dialler = End::with(&shutdown);
        let (broken, other) = (dialler.under(), dialler.under());
        broken.close(CloseReason::Silent);
        assert!(broken.is_closed() && !dialler.is_closed());
        dialler.close(CloseReason::NotWanted);
        dialler.close(CloseReason::Renamed);
        other.close(CloseReason::Silent);
        assert_eq!(broken.reason(), CloseReason::Silent);
        assert_eq!(other.reason(), CloseReason::NotWanted);
        let last = End::with(&shutdown);
        shutdown.cancel();
        assert!(last.is_closed());
        assert_eq!(last.under().reason(), CloseReason::Shutdown);
    }
}
