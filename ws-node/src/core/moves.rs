//! Moves: sessions whose user is at home elsewhere are asked to go there. Asked, not made: whoever stays is served.

use cluster::grant::Grant;
use cluster::ring::Arcs;
use cluster::wire::node::{MoveReason, Moved, NodeFrame};

use super::session::Stage;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink};

/// The least time between two offers to one session, milliseconds; doubled with each.
const PAUSE_MS: u64 = 10_000;

/// How long a client is not sent back to a node that it could not reach, milliseconds.
const AVOID_MS: u64 = 300_000;

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

/// When a session may be asked again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patience {
    not_before_ms: u64,
    pause_ms: u64,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Asks the sessions whose slot changed hands to move, spread over as long as `move_rate` needs.
    pub(super) fn move_sessions(&mut self, changed: &Arcs, now: Now) {
        let elsewhere = |slot| self.ring.home(slot).is_some_and(|member| member.id != self.me.id);
        let concerned = self
            .sessions
            .iter()
            .filter(|session| session.stage == Stage::Live && changed.contains(session.slot));
        let keys: Vec<SessionKey> =
            concerned.filter(|session| elsewhere(session.slot)).map(|session| session.key).collect();
        let spread_ms = keys.len() as u64 * 1_000 / u64::from(self.config.move_rate.max(1));
        keys.into_iter().for_each(|key| self.offer_move(key, spread_ms, now));
    }

    /// Asks one session to move, if it is elsewhere at home and may be asked.
    pub(super) fn offer_move(&mut self, key: SessionKey, spread_ms: u64, now: Now) {
        let Some(session) = self.sessions.get(key) else { return };
        let Place::There(node) = self.place(session.slot) else { return };
        let avoided = now.tick_ms < session.admitted_ms + AVOID_MS && session.holder.avoid.contains(&node);
        let behind = self.ring.version() < session.ticket_ring;
        if avoided
            || behind
            || self.config.rebalance == Rebalance::None
            || !session.patience.allows(now.tick_ms)
        {
            return;
        }
        let Some(member) = self.ring.member(&node) else { return };
        let deadline_ms = self.config.move_deadline_ms;
        let life = (now.unix_ms / 1_000, deadline_ms / 1_000 + TICKET_MARGIN_S);
        let jti = (self.fresh_id)();
        let Ok(grant) = Grant::sign(&self.config.tickets, &self.ring, member, &session.holder, jti, life)
        else {
            return;
        };
        let reason = MoveReason::Home;
        let (node, url, protocols) = (&*grant.node, &*grant.url, grant.protocols);
        session.push(&NodeFrame::Moved(Moved { node, url, protocols, deadline_ms, spread_ms, reason }));
        self.counts.moved += 1;
        if let Some(session) = self.sessions.get_mut(key) {
            session.patience.asked(now.tick_ms);
        }
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
