//! Keeps a node in step with its membership: the core with the ring and with who seems dead, its name with the generation,
//! the links with the members.

use std::sync::Arc;
use std::time::Duration;

use cluster::membership::{Keeper, Suspects};
use cluster::tokens::PeerName;
use edge::peer::PeerTarget;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bypass::bypassed;
use crate::node::Node;

/// How often the core does what fell due.
const TICK: Duration = Duration::from_millis(100);

/// How often at most it is logged that the log has lost topics.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What was said of topics that the log lost.
#[derive(Default)]
struct Losses {
    told: u64,
    at: Option<Instant>,
}

/// Follows until the node ends; answers whom to link to.
pub(crate) fn follow(
    tasks: &TaskTracker,
    node: &Arc<Node>,
    keeper: &Keeper,
    name: watch::Sender<PeerName>,
    ending: &CancellationToken,
) -> watch::Receiver<Vec<PeerTarget>> {
    let (mut view, mut generation, mut suspects) = (keeper.view(), keeper.generation(), keeper.suspects());
    // The core was made from what the keeper held some time ago. What came since then is news.
    view.mark_changed();
    generation.mark_changed();
    suspects.mark_changed();
    let (targets, receiver) = watch::channel(PeerTarget::members_of(node.core().ring()));
    let (node, ending) = (Arc::clone(node), ending.clone());
    tasks.spawn(async move {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut losses = Losses::default();
        let mut past = Arc::default();
        // What is left to do by the core, a piece at a time: before each others have the lock, and whatever is newer, the
        // ticks and the end have their turn.
        let mut more = false;
        loop {
            tokio::select! {
                () = ending.cancelled() => return,
                Ok(()) = view.changed() => {
                    node.catch_up();
                    targets.send_replace(PeerTarget::members_of(node.core().ring()));
                    more = true;
                }
                Ok(()) = suspects.changed() => {
                    node.core().suspected(Arc::clone(&suspects.borrow_and_update()));
                    more = true;
                }
                Ok(()) = generation.changed() => rename(&node, &name, *generation.borrow_and_update()),
                _ = ticks.tick() => {
                    node.core().tick(node.now());
                    losses.tell(node.core().counts().logs_lost);
                    let dead = bypassed(&node.keeper().status().store, &suspects.borrow(), Instant::now());
                    if dead != past {
                        tell_bypassed(&dead);
                        node.bypass(Arc::clone(&dead));
                        past = dead;
                    }
                    more = true;
                }
                () = yield_now(), if more => more = node.core().work_off(node.now()),
            }
        }
    });
    receiver
}

// === impl Losses ===

impl Losses {
    /// `lost`: how many there were by now.
    fn tell(&mut self, lost: u64) {
        if lost <= self.told || self.at.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return;
        }
        let remedy = "look at what the Redis server keeps, and at who else writes to it";
        let topics = lost - self.told;
        tracing::warn!(
            topics,
            code = "log_lost",
            remedy,
            "the log has lost topics: who follows them is told"
        );
        (self.told, self.at) = (lost, Some(Instant::now()));
    }
}

fn tell_bypassed(dead: &Suspects) {
    if dead.is_empty() {
        tracing::info!("the ring is read as it stands again");
    } else {
        tracing::warn!(
            nodes = dead.len(),
            "no store is in reach: the ring is read past nodes that seem dead"
        );
    }
}

fn rename(node: &Node, name: &watch::Sender<PeerName>, generation: Option<u64>) {
    let Some(generation) = generation else { return };
    let mut core = node.core();
    if core.me().generation == generation {
        return;
    }
    let me = PeerName { id: core.me().id.clone(), generation };
    core.renamed(me.clone());
    name.send_replace(me);
}

#[cfg(test)]
mod tests;
