//! Moves: sessions whose user is at home elsewhere are asked to go there. Asked, not made: whoever stays is served.
//!
//! All that might be asked stand in one queue. Each tick looks at a bounded part of it, so that a ring change neither
//! holds the node up nor fells the new home; who may not be asked yet, or was asked and stayed, goes to its end.

use std::collections::VecDeque;

use cluster::grant::Grant;
use cluster::ring::Arcs;
use cluster::wire::node::{MoveReason, Moved, NodeFrame};

use super::session::Stage;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink, TICK_MS};

/// The least time between two offers to one session, milliseconds; doubled with each.
const PAUSE_MS: u64 = 10_000;

/// How long a client is not sent back to a node that it could not reach, milliseconds.
const AVOID_MS: u64 = 300_000;

/// What clients of one wave spread themselves over, milliseconds.
const SPREAD_MS: u64 = 500;

/// Seconds that an offered ticket outlives the offer.
const TICKET_MARGIN_S: u64 = 30;

/// Whom to ask to move when the ring changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebalance {
    /// Those whose home changed.
    Arcs,
    /// Nobody: only new connections go by the new ring.
    None,
}

/// Sessions that may have to move, and how many were looked at lately.
#[derive(Debug, Default)]
pub(super) struct Moves {
    queue: VecDeque<SessionKey>,
    tick: u64,
    looks: u64,
}

/// When a session may be asked again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patience {
    not_before_ms: u64,
    pause_ms: u64,
}

/// What became of a look at a session.
enum Look {
    Asked,
    /// Not now, perhaps later.
    Later,
    /// There is nothing to ask: it is at home, gone, or to be left alone.
    Never,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Queues the sessions whose slot changed hands.
    pub(super) fn queue_moves(&mut self, changed: &Arcs) {
        let concerned = self.sessions.iter().filter(|session| changed.contains(session.slot));
        let keys: Vec<SessionKey> = concerned.map(|session| session.key).collect();
        keys.into_iter().for_each(|key| self.queue_move(key));
    }

    /// Queues a session if it is elsewhere at home.
    pub(super) fn queue_move(&mut self, key: SessionKey) {
        let (ring, me) = (&self.ring, &self.me.id);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.queued && matches!(Place::of(session.slot, ring, me), Place::There(_)) {
            session.queued = true;
            self.moves.queue.push_back(key);
        }
    }

    /// Asks as many sessions as this tick's share of the rate still allows.
    pub(super) fn offer_moves(&mut self, now: Now) {
        let wave = (u64::from(self.config.move_rate) * TICK_MS).div_ceil(1_000);
        let spread_ms = if self.moves.queue.len() as u64 > wave { SPREAD_MS } else { 0 };
        for _ in 0..self.moves.looks_left(wave, now.tick_ms / TICK_MS) {
            let Some(key) = self.moves.queue.pop_front() else { return };
            let goes_on = !matches!(self.offer_move(key, spread_ms, now), Look::Never);
            if let Some(session) = self.sessions.get_mut(key) {
                session.queued = goes_on;
            }
            if goes_on {
                self.moves.queue.push_back(key);
            }
        }
    }

    fn offer_move(&mut self, key: SessionKey, spread_ms: u64, now: Now) -> Look {
        let Some(session) = self.sessions.get(key).filter(|session| session.stage != Stage::Detached) else {
            return Look::Never;
        };
        let Place::There(node) = self.place(session.slot) else { return Look::Never };
        if self.ending || self.config.rebalance == Rebalance::None {
            return Look::Never;
        }
        let avoided = now.tick_ms < session.admitted_ms + AVOID_MS && session.holder.avoid.contains(&node);
        let behind = self.ring.version() < session.ticket_ring;
        if avoided || behind || session.stage != Stage::Live || !session.patience.allows(now.tick_ms) {
            return Look::Later;
        }
        let Some(member) = self.ring.member(&node) else { return Look::Never };
        let deadline_ms = self.config.move_deadline_ms;
        let life = (now.unix_ms / 1_000, (deadline_ms + spread_ms) / 1_000 + TICKET_MARGIN_S);
        let jti = (self.fresh_id)();
        let Ok(grant) = Grant::sign(&self.config.tickets, &self.ring, member, &session.holder, jti, life)
        else {
            return Look::Never;
        };
        let (node, url, protocols) = (&*grant.node, &*grant.url, grant.protocols);
        let reason = MoveReason::Home;
        session.push(&NodeFrame::Moved(Moved { node, url, protocols, deadline_ms, spread_ms, reason }));
        self.counts.moved += 1;
        if let Some(session) = self.sessions.get_mut(key) {
            session.patience.asked(now.tick_ms);
        }
        Look::Asked
    }
}

// === impl Moves ===

impl Moves {
    /// How many sessions may still be looked at in this tick; takes them all.
    fn looks_left(&mut self, wave: u64, tick: u64) -> u64 {
        if self.tick != tick {
            self.tick = tick;
            self.looks = 0;
        }
        let looks = wave.saturating_sub(self.looks).min(self.queue.len() as u64);
        self.looks += looks;
        looks
    }
}

// === impl Patience ===

impl Patience {
    fn allows(self, now_ms: u64) -> bool {
        now_ms >= self.not_before_ms
    }

    fn asked(&mut self, now_ms: u64) {
        self.pause_ms = if self.pause_ms == 0 { PAUSE_MS } else { self.pause_ms.saturating_mul(2) };
        self.not_before_ms = now_ms.saturating_add(self.pause_ms);
    }
}
