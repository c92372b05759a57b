//! The pace at which a node is given clients: when a crowd comes back at once, some are let through, and the others are
//! told when it is their turn. Pure: the ring, the node and `now` in, a decision out.
//!
//! Each node has a [`Lane`] of its own, so that one node's crowd delays nobody else. A lane is a bucket of lookups that
//! refills at the node's pace; whoever finds it empty is given the next turn in a line, one turn for each that the bucket
//! gains. The line remembers nobody: a turn is a time, and whoever comes then is a lookup like any other.

use std::time::Duration;

use cluster::maps::HashMap;
use cluster::planted::{self, Bug};
use cluster::ring::{Member, Ring, Signature, Version};

/// Lookups that a node is given, a second, by all lookup services together, unless configured otherwise.
pub const LOOKUPS_PER_NODE: u32 = 5_000;

/// The least that a bucket holds: fewer would refuse somebody where there is no crowd at all.
const BURST_MIN: u64 = 10;

/// The longest line. Clients that do not wait for their turn make it longer without need; none shall wait for them longer.
const LINE_MAX_NS: u64 = 120_000_000_000;

/// The first turn in a line. Who came right back would find the rest of the crowd still arriving, and be refused once more;
/// what the bucket gains until then it keeps for those who come late.
const FIRST_TURN_NS: u64 = 100_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// 2^32 divided by the golden ratio: its multiples, modulo 2^32, are spread more evenly than chance would spread them.
const GOLDEN: u32 = 0x9E37_79B9;

/// How fast one lookup service may send clients to one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two lookups, in nanoseconds.
    interval_ns: u64,
    /// How long a bucket takes to fill, in nanoseconds.
    burst_ns: u64,
}

/// The lanes of one service.
#[derive(Debug, Default)]
pub struct Pacing {
    /// The ring whose members have lanes.
    ring: Option<(Version, Signature)>,
    lanes: HashMap<String, Lane>,
}

/// Of one incarnation of a node. Times are nanoseconds since whatever `now` counts from.
#[derive(Debug, Default)]
struct Lane {
    generation: u64,
    /// When the bucket will be full again, if nobody comes.
    full_at_ns: u64,
    /// The first turn that is nobody's yet.
    free_turn_ns: u64,
    /// Turns given, modulo 2^32.
    turns: u32,
}

// === impl Pace ===

impl Pace {
    /// One lookup service's part of `per_node` lookups a second, when there are so many lookup services. The bucket holds a
    /// tenth of a second's worth, and ten at least.
    pub fn new(per_node: u32, services: u64) -> Self {
        let interval_ns = (SECOND_NS.saturating_mul(services.max(1)) / u64::from(per_node.max(1))).max(1);
        let burst = (SECOND_NS / 10 / interval_ns).max(BURST_MIN);
        Self { interval_ns, burst_ns: burst.saturating_mul(interval_ns) }
    }
}

// === impl Pacing ===

impl Pacing {
    /// Whether `node`, a member of `ring`, takes one more lookup at `now`, a time since any moment. Allocates only after a
    /// change of the ring.
    ///
    /// # Errors
    /// The milliseconds after which to come again, 100 at least: when it will be this one's turn, and up to a quarter longer.
    pub fn admit(&mut self, ring: &Ring, node: &Member, pace: Pace, now: Duration) -> Result<(), u32> {
        let named = (ring.version(), ring.signature());
        if self.ring != Some(named) {
            self.follow(ring);
            self.ring = Some(named);
        }
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        // Only members are ever asked for.
        self.lanes.get_mut(&node.id).map_or(Ok(()), |lane| lane.admit(pace, now_ns))
    }

    /// Lanes for the members of a ring, and for nobody else; what stays keeps its own.
    fn follow(&mut self, ring: &Ring) {
        self.lanes.retain(|id, _| ring.member(id).is_some());
        for member in ring.members() {
            let lane = self.lanes.entry(member.id.clone()).or_default();
            if lane.generation != member.generation {
                *lane = Lane { generation: member.generation, ..Lane::default() };
            }
        }
    }
}

// === impl Lane ===

impl Lane {
    fn admit(&mut self, pace: Pace, now_ns: u64) -> Result<(), u32> {
        let taken_ns = self.full_at_ns.max(now_ns).saturating_add(pace.interval_ns);
        let fits_at_ns = taken_ns.saturating_sub(pace.burst_ns);
        if fits_at_ns <= now_ns || planted::is(Bug::NoPace) {
            self.full_at_ns = taken_ns;
            return Ok(());
        }
        let first_ns = fits_at_ns.max(now_ns.saturating_add(FIRST_TURN_NS));
        let turn_ns = self.free_turn_ns.max(first_ns).min(now_ns.saturating_add(LINE_MAX_NS));
        self.free_turn_ns = turn_ns.saturating_add(pace.interval_ns);
        Err(self.spread_ms(turn_ns - now_ns))
    }

    /// A wait and up to a quarter more, in milliseconds. The turns are as dense as the bucket can bear; spread like this
    /// they leave a tenth of it to those who come for the first time, and to those who come late.
    fn spread_ms(&mut self, wait_ns: u64) -> u32 {
        self.turns = self.turns.wrapping_add(1);
        let part = u64::from(self.turns.wrapping_mul(GOLDEN));
        let wait_us = wait_ns.div_ceil(1000);
        let spread_us = wait_us + ((wait_us / 4 * part) >> 32);
        u32::try_from(spread_us.div_ceil(1000)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
