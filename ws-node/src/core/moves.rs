//! Moves: sessions whose user is at home elsewhere are asked to go there. Asked, not made: whoever stays is served.
//!
//! All that might be asked stand in one queue. Each tick looks at a bounded part of it and asks a bounded number, so that
//! a ring change neither holds the node up nor fells the new home; who may not be asked yet, or was asked and stayed, goes
//! to its end. Nobody is asked before what they follow is heard here by way of its new home: they miss nothing on the way.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use cluster::grant::{Grant, Holder};
use cluster::homes::CALL_WAIT_MS;
use cluster::membership::Suspects;
use cluster::planted::{self, Bug};
use cluster::ring::{Arcs, Member, MemberState, Slot};
use cluster::wire::codes::CloseCode;
use cluster::wire::node::{MoveReason, Moved, NodeFrame};

use super::arrive::ARRIVAL_WAIT_MS;
use super::session::{Session, Stage};
use super::stale::Why;
use super::{Core, LinkSink, Now, Place, SessionKey, SessionSink, TICK_MS};

/// The least time between two offers to one session, milliseconds; doubled with each, except while the node drains.
const PAUSE_MS: u64 = 10_000;

/// How long a client is not sent back to a node that it could not reach, milliseconds.
const AVOID_MS: u64 = 300_000;

/// The most that a client is told to spread itself over, milliseconds.
const SPREAD_MS: u64 = 1_000;

/// Seconds that an offered ticket outlives the offer.
const TICKET_MARGIN_S: u64 = 30;

/// Sessions asked in one piece of work: each costs the signing of a ticket.
const OFFERS_AT_ONCE: u64 = 32;

/// Sessions looked at in one piece of work.
const LOOKS_AT_ONCE: u64 = 500;

/// Sessions looked at in one tick, unless the rate allows to ask more.
const LOOKS_PER_TICK: u64 = 2_000;

/// How long a node that was told to go away waits for the ring to say so, milliseconds. Then its sessions go where
/// lookups would send them without it.
const DRAIN_WAIT_MS: u64 = 2_000;

/// Whom to ask to move when the ring changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebalance {
    /// Those whose home changed.
    Arcs,
    /// Everybody: who is at home elsewhere is asked to go there, all others are closed with
    /// [`CloseCode::Moved`] and so look up again.
    All,
    /// Nobody: only new connections go by the new ring.
    None,
}

/// Sessions that may have to move, and how many were looked at lately.
#[derive(Debug, Default)]
pub(super) struct Moves {
    queue: VecDeque<SessionKey>,
    tick: u64,
    looked: u64,
    /// Thousandths of a session that may be asked by now.
    milli: u64,
    /// When a ring last changed hands of slots, and, under [`Rebalance::All`], recalled everybody.
    changed_ms: u64,
    /// The ring says that this node drains.
    drains: bool,
    /// It was told to drain; from then on it does, whatever the ring says.
    drains_from_ms: Option<u64>,
    /// When it last began to drain.
    drains_since_ms: u64,
    suspects: Arc<Suspects>,
}

/// When a session may be asked again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Patience {
    asked_ms: u64,
    /// 0: it was never asked.
    pause_ms: u32,
    /// Since which second it was asked to leave a node that goes away, from 1.
    leaving_s: u32,
}

/// Where a session should be.
enum Whereto<'a> {
    There(&'a Member, MoveReason),
    /// It is to look up again.
    Anywhere,
    /// That cannot be said now.
    Unknown,
    /// Here, or it is to be left alone.
    Here,
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
    /// Members that seem dead: nobody is sent there, and nobody waits for them.
    pub fn suspected(&mut self, suspects: Arc<Suspects>) {
        self.moves.suspects = suspects;
        self.wait_for_links();
    }

    /// Whether a member seems dead.
    pub(super) fn is_suspected(&self, id: &str) -> bool {
        self.ring.member(id).is_some_and(|member| self.moves.suspects.contains(member))
    }

    /// The node is to go away. Its sessions are asked to move as soon as the ring says that it drains, or in a while if it
    /// does not.
    pub fn begin_drain(&mut self, now: Now) {
        self.moves.drains_from_ms.get_or_insert(now.tick_ms + DRAIN_WAIT_MS);
        self.mark(Why::SOUGHT, |_| true);
    }

    /// Whether its sessions are asked to move because it goes away.
    pub fn is_draining(&self) -> bool {
        self.moves.drains || self.moves.drains_from_ms.is_some_and(|from_ms| from_ms <= self.now.tick_ms)
    }

    /// A new ring, or another way to read it: notes whose sessions have to be looked at.
    pub(super) fn plan_moves(&mut self, changed: &Arcs, published: bool, now: Now) {
        if !changed.is_empty() {
            self.moves.changed_ms = now.tick_ms;
            if published && self.config.rebalance == Rebalance::All {
                self.mark(Why::RECALLED, |_| true);
            }
        }
        self.look_at_own_state();
    }

    /// Notes whether the ring says that this node drains.
    pub(super) fn look_at_own_state(&mut self) {
        let member = self.ring.member(&self.me.id).filter(|member| member.generation == self.me.generation);
        let drains = member.is_some_and(|member| member.state == MemberState::Draining);
        if drains && !self.moves.drains {
            self.moves.drains_since_ms = self.now.tick_ms;
            self.mark(Why::SOUGHT, |_| true);
        }
        self.moves.drains = drains;
    }

    /// Queues a session if it may have to move. `recalled`: it has to look up again, unless it did so by this ring.
    pub(super) fn queue_move(&mut self, key: SessionKey, recalled: bool) {
        // From the moment on that it was told to: nobody looks for them again when the time has come.
        let draining = self.is_draining() || self.moves.drains_from_ms.is_some();
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.recalled |= recalled && session.ticket_ring < self.ring.version();
        let at_home = self.ring.holder(session.slot) == self.ring.index_of(&self.me.id);
        let at_home = at_home && !planted::is(Bug::MoveOneMore);
        if !session.queued && (!at_home || session.recalled || draining) {
            session.queued = true;
            self.moves.queue.push_back(key);
        }
    }

    /// Asks as many sessions as this tick's share of the rate still allows, and a piece of work can do; true if a
    /// further piece could do more in the same tick.
    pub(super) fn offer_moves(&mut self, now: Now) -> bool {
        let rate = u64::from(self.config.move_rate);
        let wave = (rate * TICK_MS).div_ceil(1_000);
        let (mut offers, looks) = self.moves.share(rate, now.tick_ms / TICK_MS);
        let (mut looked, most) = (0, looks.min(self.moves.queue.len() as u64));
        while looked < most.min(LOOKS_AT_ONCE) && offers > 0 {
            let Some(key) = self.moves.queue.pop_front() else { break };
            looked += 1;
            let look = self.offer_move(key, wave, now);
            if matches!(look, Look::Asked) {
                offers -= 1;
                self.moves.spend();
            }
            let goes_on = !matches!(look, Look::Never);
            if let Some(session) = self.sessions.get_mut(key) {
                session.queued = goes_on;
                if goes_on {
                    self.moves.queue.push_back(key);
                }
            }
        }
        self.moves.looked += looked;
        if self.moves.queue.is_empty() {
            // The room of a wave is not kept for the next one.
            self.moves.queue.shrink_to(0);
        }
        looked > 0 && looked < most && self.moves.offers() > 0
    }

    fn offer_move(&mut self, key: SessionKey, wave: u64, now: Now) -> Look {
        let Some(session) = self.sessions.get(key).filter(|session| session.stage != Stage::Detached) else {
            return Look::Never;
        };
        let deadline_ms = self.config.move_deadline_ms;
        let leaves_ms = session.patience.leaves_ms(self.moves.drains_since_ms);
        if self.is_draining() && leaves_ms.is_some_and(|since_ms| now.tick_ms >= since_ms + deadline_ms) {
            self.end(key, CloseCode::Draining);
            return Look::Never;
        }
        let (member, reason) = match self.whereto(session, now) {
            Whereto::Here => return Look::Never,
            Whereto::Unknown => return Look::Later,
            Whereto::Anywhere => return self.recall(key, now),
            Whereto::There(member, reason) => (member, reason),
        };
        let draining = reason == MoveReason::Draining;
        if session.stage != Stage::Live
            || !session.patience.allows(draining, now.tick_ms)
            || !self.is_heard(session, now)
        {
            return Look::Later;
        }
        let jti = (self.fresh_id)();
        let spread_ms = self.spread_ms(wave, &jti);
        let life = (now.unix_ms / 1_000, (deadline_ms + spread_ms) / 1_000 + TICKET_MARGIN_S);
        let holder = self.holder_to_go(session);
        let look = match Grant::sign(&self.config.tickets, &self.ring, member, &holder, jti, life) {
            Ok(grant) => {
                let (node, url, protocols) = (&*grant.node, &*grant.url, grant.protocols);
                session.push(&NodeFrame::Moved(Moved {
                    node,
                    url,
                    protocols,
                    deadline_ms,
                    spread_ms,
                    reason,
                }));
                self.counts.moved += 1;
                Look::Asked
            }
            // All that a ticket is to carry does not fit it. By the next time it may be less: a name fewer to avoid.
            Err(_) => {
                self.counts.unmovable += 1;
                Look::Later
            }
        };
        if let Some(session) = self.sessions.get_mut(key) {
            session.patience.asked(now.tick_ms, draining.then_some(self.moves.drains_since_ms));
        }
        look
    }

    fn whereto(&self, session: &Session<S>, now: Now) -> Whereto<'_> {
        let early = now.tick_ms < session.admitted_ms + AVOID_MS;
        let avoided = |member: &Member| {
            self.moves.suspects.contains(member) || early && session.holder.avoid.contains(&member.id)
        };
        if self.ending {
            return Whereto::Here;
        }
        if self.is_draining() {
            let serves = |member: &Member| member.id != self.me.id && member.state == MemberState::Active;
            let astray = planted::is(Bug::DrainAstray);
            let slot = if astray { Slot::new(session.slot.number() ^ 0x8000) } else { session.slot };
            let next = self.ring.next_home(slot, |member| !serves(member) || avoided(member));
            // As at lookups: where all are avoided nobody is.
            let suspects = &self.moves.suspects;
            let any = || self.ring.next_home(slot, |member| !serves(member) || suspects.contains(member));
            let next = next.or_else(any).filter(|_| !planted::is(Bug::DrainSilently));
            return next.map_or(Whereto::Unknown, |member| Whereto::There(member, MoveReason::Draining));
        }
        match self.ring.home(session.slot) {
            Some(home) if home.id == self.me.id && planted::is(Bug::MoveOneMore) => {
                let next = self.ring.next_home(session.slot, |member| member.id == home.id);
                next.map_or(Whereto::Here, |member| Whereto::There(member, MoveReason::Home))
            }
            Some(home) if home.id == self.me.id => {
                if session.recalled {
                    Whereto::Anywhere
                } else if self.moves.drains_from_ms.is_some() {
                    Whereto::Unknown
                } else {
                    Whereto::Here
                }
            }
            None => Whereto::Here,
            Some(_) if self.config.rebalance == Rebalance::None => Whereto::Here,
            Some(home) if avoided(home) || self.ring.version() < session.ticket_ring => Whereto::Unknown,
            Some(home) => Whereto::There(home, MoveReason::Home),
        }
    }

    /// Whom an offered ticket is for. Where a node goes away and the ring cannot say so, it calls that node the home of its
    /// sessions yet: the next node must not send them back, for they would come and be sent away for ever.
    fn holder_to_go<'a>(&self, session: &'a Session<S>) -> Cow<'a, Holder> {
        let at_home = self.ring.holder(session.slot) == self.ring.index_of(&self.me.id);
        if !(at_home && self.is_draining()) || session.holder.avoid.contains(&self.me.id) {
            return Cow::Borrowed(&session.holder);
        }
        let mut holder = Holder::clone(&session.holder);
        holder.avoid.push(self.me.id.clone());
        Cow::Owned(holder)
    }

    /// Whether whatever a session follows is heard here, from wherever it is at home now. What cannot be, since there is no
    /// link to its home, is not waited for longer than a session waits for its `welcome`: elsewhere there may be one.
    fn is_heard(&self, session: &Session<S>, now: Now) -> bool {
        let since_ms = self.moves.changed_ms.max(session.admitted_ms);
        let waited = now.tick_ms >= since_ms + ARRIVAL_WAIT_MS;
        session.topics.iter().all(|name| {
            let Some(topic) = self.topics.get(name) else { return true };
            match &topic.place {
                Place::Here | Place::Nowhere => true,
                Place::There(node) => topic.standing || waited && !self.homes.is_linked(node),
            }
        }) && session.topics.iter().all(|name| !self.stale.contains(self.slot(name)))
    }

    /// Has a session look up again, as soon as its sends are answered.
    fn recall(&mut self, key: SessionKey, now: Now) -> Look {
        let Some(session) = self.sessions.get(key) else { return Look::Never };
        let waits = session.outstanding > 0 || session.stage != Stage::Live;
        if waits && now.tick_ms < self.moves.changed_ms + CALL_WAIT_MS {
            return Look::Later;
        }
        self.counts.moved += 1;
        self.end(key, CloseCode::Moved);
        Look::Asked
    }

    /// How long a client shall spread itself: by chance, less if only few are to move. From the name of its ticket, which
    /// nobody can guess.
    fn spread_ms(&self, wave: u64, jti: &str) -> u64 {
        let crowd = (self.moves.queue.len() as u64).min(wave);
        let most = SPREAD_MS * crowd / wave.max(1);
        self.ring.key().hash(jti.as_bytes()) % (most + 1)
    }
}

// === impl Moves ===

impl Moves {
    /// How many sessions may be asked now, at so many a second, and how many looked at. What a tick does not use is lost to
    /// the next ones, but for the part of a session.
    fn share(&mut self, rate: u64, tick: u64) -> (u64, u64) {
        let refill = rate * TICK_MS;
        if self.tick != tick {
            let passed = tick.saturating_sub(self.tick);
            self.milli = (self.milli + refill.saturating_mul(passed)).min(refill + 999);
            (self.tick, self.looked) = (tick, 0);
        }
        let looks = LOOKS_PER_TICK.max(refill.div_ceil(1_000)).saturating_sub(self.looked);
        (self.offers().min(OFFERS_AT_ONCE), looks)
    }

    fn offers(&self) -> u64 {
        self.milli / 1_000
    }

    /// One was asked.
    fn spend(&mut self) {
        self.milli = self.milli.saturating_sub(1_000);
    }
}

// === impl Patience ===

impl Patience {
    fn allows(self, draining: bool, now_ms: u64) -> bool {
        let pause_ms = u64::from(self.pause_ms);
        let pause_ms = if draining { pause_ms.min(PAUSE_MS) } else { pause_ms };
        now_ms >= self.asked_ms.saturating_add(pause_ms)
    }

    /// It was asked, by a node that drains since then, if that is why.
    fn asked(&mut self, now_ms: u64, drains_since_ms: Option<u64>) {
        self.asked_ms = now_ms;
        self.pause_ms = match self.pause_ms {
            0 => u32::try_from(PAUSE_MS).unwrap_or(u32::MAX),
            pause_ms if drains_since_ms.is_some() => pause_ms,
            pause_ms => pause_ms.saturating_mul(2),
        };
        if drains_since_ms.is_some_and(|since_ms| self.leaves_ms(since_ms).is_none()) {
            self.leaving_s = u32::try_from(now_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        }
    }

    /// When it was first asked to leave a node that drains since then.
    fn leaves_ms(self, drains_since_ms: u64) -> Option<u64> {
        let leaving_ms = u64::from(self.leaving_s) * 1_000;
        (self.leaving_s > 0 && leaving_ms >= drains_since_ms).then_some(leaving_ms)
    }
}

#[cfg(test)]
mod tests;
