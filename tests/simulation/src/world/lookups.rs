//! Lookups: clients ask a lookup service, whose own code decides where to, and when. Its pace is judged.

use std::collections::BTreeMap;

use ::cluster::grant::Grant;
use ::cluster::membership::Suspects;
use ::cluster::ring::Ring;
use ::cluster::tokens::random_id;
use lookup_service::{Caller, LookupRequest, Pace, RingView, Stamp, decide};

use super::World;
use super::clients::PATIENCE_MS;
use super::event::Event;
use crate::plan::LOOKUPS;
use crate::shared::Life;

/// What a bucket of lookups holds at least.
const BURST: u64 = 10;
/// The shortest wait that anybody is asked for, milliseconds.
const WAIT_MS: u32 = 100;

/// When each lookup service sent somebody to each incarnation of a node, milliseconds: a count of our own.
#[derive(Debug, Default)]
pub(super) struct Lanes(BTreeMap<Lane, Vec<u64>>);

/// A lookup service, a node's id and its generation.
type Lane = (Life, String, u64);

impl World {
    /// A client wants a connection: it asks a lookup service.
    pub(super) fn seek(&mut self, client: usize, serial: u64) {
        let this = &mut self.clients[client];
        if this.serial != serial || !this.connections.is_empty() || this.opening {
            return;
        }
        this.opening = true;
        this.serial += 1;
        let serial = this.serial;
        let place = LOOKUPS.start + self.whims.index(self.plan.lookups);
        let delay = self.latency();
        self.after(delay, Event::Ask { client, serial, place });
        self.after(PATIENCE_MS, Event::Unreached { client, serial, node: None });
    }

    /// A lookup arrives.
    pub(super) fn ask(&mut self, client: usize, serial: u64, place: usize) {
        let delay = self.latency();
        let unix_s = self.unix_s();
        let Some(process) = &mut self.processes[place] else {
            return self.after(delay, Event::Unreached { client, serial, node: None });
        };
        let view = match &process.keeper {
            None => RingView::NotRead,
            Some(keeper) => match keeper.ring() {
                None => RingView::None,
                Some(ring) => RingView::Ring { ring, suspects: suspects_of(keeper) },
            },
        };
        let this = &self.clients[client];
        let request = LookupRequest { id: Some(this.user.clone()), service: None, avoid: this.avoid.clone() };
        let stamp = Stamp { now_s: unix_s, life_s: 30, jti: random_id() };
        let now = std::time::Duration::from_millis(self.shared.now_ms());
        let services = process.keeper.as_ref().map_or(1, |keeper| keeper.observers());
        let pace = Pace::new(self.plan.lookups_per_node, services);
        let placed = decide(&view, Caller::Anyone, request);
        let pacing = &mut process.pacing;
        let turn = placed.as_ref().map_or(Ok(()), |placed| pacing.admit(placed.ring, placed.node, pace, now));
        if let Ok(placed) = &placed {
            let lane = (process.life, placed.node.id.clone(), placed.node.generation);
            let (now_ms, per_node) = (self.shared.now_ms(), self.plan.lookups_per_node.into());
            self.lanes.follow(process.life, placed.ring);
            if let Err(wrong) = self.lanes.judge(lane, turn.err(), now_ms, per_node) {
                self.shared.fail(format_args!("n{place} sends c{client}: {wrong}"));
            }
        }
        if let Err(ms) = turn {
            self.shared.note(format_args!("n{place} has c{client} come again in {ms} ms"));
            return self.after(delay, Event::ComeAgain { client, serial, ms: ms.into() });
        }
        let grant = placed.and_then(|placed| placed.grant(&self.tickets, stamp));
        if let Ok(grant) = &grant {
            self.shared
                .note(format_args!("n{place} sends c{client} to {} by {}", grant.node, grant.ring.version));
            self.check_url(&grant.url.clone());
        }
        self.after(delay, Event::Answer { client, serial, grant: Box::new(grant.ok()) });
    }

    /// A client was told to come again later.
    pub(super) fn come_again(&mut self, client: usize, serial: u64, ms: u64) {
        self.tally.paced += 1;
        if self.is_npm(client) {
            return self.npm_answer(serial, Err(Some(ms)));
        }
        let this = &mut self.clients[client];
        if this.serial == serial {
            this.opening = false;
            this.serial += 1;
            let serial = this.serial;
            self.after(ms, Event::Seek { client, serial });
        }
    }

    /// Its answer does.
    pub(super) fn answer(&mut self, client: usize, serial: u64, grant: Option<Grant>) {
        if self.is_npm(client) {
            return self.npm_answer(serial, grant.as_ref().ok_or(None));
        }
        if self.clients[client].serial != serial {
            return;
        }
        let Some(grant) = grant else { return self.unreached(client, serial, None) };
        self.dial_node(client, &grant.url, grant.ticket);
    }
}

fn suspects_of(keeper: &::cluster::membership::Keeper) -> std::sync::Arc<Suspects> {
    keeper.suspects().borrow().clone()
}

// === impl Lanes ===

impl Lanes {
    /// A lookup service forgets nodes with the first lookup by a ring that they are not in.
    fn follow(&mut self, life: Life, ring: &Ring) {
        self.0.retain(|(service, id, _), _| *service != life || ring.member(id).is_some());
    }

    /// Whether somebody may be sent there now, or is asked to wait for so many milliseconds with reason: as if there were
    /// one lookup service, since each knows only about how many there are.
    fn judge(&mut self, lane: Lane, wait_ms: Option<u32>, now_ms: u64, per_node: u64) -> Result<(), String> {
        let sent = self.0.entry(lane).or_default();
        let Some(wait_ms) = wait_ms else {
            sent.push(now_ms);
            let most = |since_ms: u64| BURST.max(per_node / 10) + (now_ms - since_ms) * per_node / 1_000 + 1;
            let crowd = sent.iter().rev().zip(1..).find(|(since_ms, count)| *count > most(**since_ms));
            return crowd.map_or(Ok(()), |(since_ms, count)| {
                Err(format!("the {count}th since {since_ms}, where {per_node} a second are to come"))
            });
        };
        match sent.len() {
            // The bucket was full in the beginning, and fills up again; what it gave at half the pace counts twice once the
            // other service is gone.
            0..5 => Err(format!("somebody is to wait though only {} ever came", sent.len())),
            _ if wait_ms < WAIT_MS => Err(format!("somebody is to wait for {wait_ms} ms only")),
            _ => Ok(()),
        }
    }
}
