//! The shell around the core: its one lock, what the links tell it, and those who wait for answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cluster::homes::LinkSink;
use cluster::membership::Keeper;
use cluster::ring::Ring;
use cluster::tokens::PeerName;
use cluster::wire::codes::ErrorCode;
use cluster::wire::peer::{Control, Question};
use edge::peer::{CloseReason, Direction, LinkId, LinkSender, PeerEvents, RingSource};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout_at};

use super::core::Core;
use super::parcel::Parcel;
use super::waiter::{Known, Receipt};
use crate::api::backend::{Backend, OutMessage, PresenceState, Sent, UserState};

/// How long a request's messages wait for room in front of their homes. What finds none by then is refused. Less than a
/// request may take, by far more than the homes' answers to the last ones may.
const ROOM_WAIT: Duration = Duration::from_secs(15);

/// How long a list of the nodes waits for what they say of themselves.
const SESSIONS_WAIT: Duration = Duration::from_secs(1);

/// The nodes of one service.
pub(super) struct Nodes {
    core: Mutex<Core<PeerSink>>,
    keeper: Arc<Keeper>,
    links: Mutex<HashMap<LinkId, String>>,
    /// Told when something that was out no longer is.
    freed: Notify,
    started: Instant,
}

/// A link's queue as the core sees it.
pub(super) struct PeerSink(LinkSender);

// === impl Nodes ===

impl Nodes {
    pub(super) fn new(me: PeerName, keeper: Arc<Keeper>) -> Self {
        Self {
            core: Mutex::new(Core::new(me)),
            keeper,
            links: Mutex::default(),
            freed: Notify::new(),
            started: Instant::now(),
        }
    }

    /// The keeper of the ring that this follows.
    pub(super) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// Makes the core go by the ring that the keeper holds, which is the answer.
    pub(super) fn catch_up(&self) -> Option<Arc<Ring>> {
        let ring = self.keeper.ring()?;
        let mut core = self.core.lock();
        core.ring_changed(ring);
        let ring = core.ring().cloned();
        drop(core);
        self.freed.notify_waiters();
        ring
    }

    /// Does what has fallen due.
    pub(super) fn tick(&self) {
        let now_ms = self.now_ms();
        self.core.lock().tick(now_ms);
        self.freed.notify_waiters();
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sends a message as soon as there is room for it.
    async fn place(&self, parcel: &Parcel, deadline: Instant) -> Receipt {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on, so that what is freed after the look below is not missed.
            freed.as_mut().enable();
            {
                let mut core = self.core.lock();
                if core.has_room(parcel) || Instant::now() >= deadline {
                    return core.send(parcel, self.now_ms());
                }
            }
            // In time or not, it looks again.
            let _ = timeout_at(deadline, freed).await;
        }
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Known, ErrorCode> {
        let now_ms = self.now_ms();
        let reply = self.core.lock().ask(question, now_ms);
        // The core answers always, so that the other kind of error means that it is gone.
        reply.await.unwrap_or(Err(ErrorCode::Unavailable))
    }

    async fn control(&self, user: &str, control: Control<'_>) -> Result<u32, ErrorCode> {
        match self.ask(&Question::Control { user, control }).await? {
            Known::Told { refused: 1.., .. } => Err(ErrorCode::TooManyGroups),
            Known::Told { sessions, .. } => Ok(sessions),
            _ => Err(ErrorCode::Unavailable),
        }
    }
}

#[async_trait]
impl Backend for Nodes {
    async fn send(&self, messages: Vec<OutMessage>) -> Vec<Result<Sent, ErrorCode>> {
        let deadline = Instant::now() + ROOM_WAIT;
        let mut receipts = Vec::with_capacity(messages.len());
        for message in messages {
            // Each after the one before it, as that is their order at their homes.
            receipts.push(self.place(&Parcel::of(message), deadline).await);
            consume_budget().await;
        }
        let mut outcomes = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            outcomes.push(receipt.await.unwrap_or(Err(ErrorCode::Unavailable)));
        }
        outcomes
    }

    async fn user(&self, user: &str) -> Result<UserState, ErrorCode> {
        match self.ask(&Question::User(user)).await? {
            Known::User(state) => Ok(state),
            _ => Err(ErrorCode::Unavailable),
        }
    }

    async fn end_sessions(&self, user: &str) -> Result<u32, ErrorCode> {
        self.control(user, Control::End).await
    }

    async fn presence(&self, group: &str) -> Result<PresenceState, ErrorCode> {
        match self.ask(&Question::Presence(group)).await? {
            Known::Presence(state) => Ok(state),
            _ => Err(ErrorCode::Unavailable),
        }
    }

    async fn set_member(&self, group: &str, user: &str, member: bool) -> Result<u32, ErrorCode> {
        self.control(user, if member { Control::Join(group) } else { Control::Leave(group) }).await
    }

    async fn sessions(&self, nodes: &[&str]) -> Vec<Option<u32>> {
        let deadline = Instant::now() + SESSIONS_WAIT;
        let now_ms = self.now_ms();
        let replies: Vec<_> = {
            let mut core = self.core.lock();
            nodes.iter().map(|node| core.ask(&Question::Sessions(node), now_ms)).collect()
        };
        let mut counts = Vec::with_capacity(replies.len());
        for reply in replies {
            counts.push(match timeout_at(deadline, reply).await {
                Ok(Ok(Ok(Known::Sessions(count)))) => Some(count),
                _ => None,
            });
        }
        counts
    }
}

impl PeerEvents for Nodes {
    fn opened(&self, link: LinkId, direction: Direction, peer: &PeerName, sender: LinkSender) {
        // Nobody dials a process that does not listen.
        if direction == Direction::Outbound {
            self.links.lock().insert(link, peer.id.clone());
            self.core.lock().opened(&peer.id, link.number(), PeerSink(sender));
            self.keeper.trust(&peer.id, peer.generation);
        }
    }

    fn frames(&self, link: LinkId, _ring: u64, frames: &mut dyn Iterator<Item = Bytes>) {
        let Some(node) = self.links.lock().get(&link).cloned() else { return };
        let mut core = self.core.lock();
        frames.for_each(|frame| core.answered_by(&node, &frame));
        drop(core);
        self.freed.notify_waiters();
    }

    fn closed(&self, link: LinkId, why: CloseReason) {
        let Some(node) = self.links.lock().remove(&link) else { return };
        tracing::debug!(peer = node, %why, "the link to a node is closed");
        self.core.lock().closed(&node, link.number());
    }

    fn seems_dead(&self, peer: &PeerName) {
        self.keeper.suspect(&peer.id, peer.generation);
    }
}

/// What the core goes by, not what the keeper holds: a message must not go out under a ring that it was not sent by.
impl RingSource for Nodes {
    fn version(&self) -> u64 {
        self.core.lock().ring().map_or(0, |ring| ring.version().as_u64())
    }

    fn sealed(&self) -> Option<Bytes> {
        self.keeper.sealed()
    }

    fn offer(&self, record: &[u8]) {
        match self.keeper.offer(record) {
            Ok(_) => {
                self.catch_up();
            }
            Err(error) => {
                tracing::warn!(
                    code = error.code(),
                    "a node passed on a ring that cannot be believed: {error}"
                );
            }
        }
    }
}

impl LinkSink for PeerSink {
    fn send(&self, frame: Bytes) -> bool {
        self.0.try_send(frame).is_ok()
    }

    fn has_ended(&self) -> bool {
        self.0.is_closed()
    }
}
