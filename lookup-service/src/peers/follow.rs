//! Keeps the links of a service in step with its ring, and time in step with the core.

use std::sync::Arc;
use std::time::Duration;

use edge::peer::PeerTarget;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::nodes::Nodes;

/// How often the core does what fell due.
const TICK: Duration = Duration::from_millis(100);

/// Follows until the end; answers whom to link to.
pub(super) fn follow(
    tasks: &TaskTracker,
    nodes: &Arc<Nodes>,
    ending: &CancellationToken,
) -> watch::Receiver<Vec<PeerTarget>> {
    let mut view = nodes.keeper().view();
    // What came before this is news as well.
    view.mark_changed();
    let (targets, receiver) = watch::channel(Vec::new());
    let (nodes, ending) = (Arc::clone(nodes), ending.clone());
    tasks.spawn(async move {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = ending.cancelled() => return,
                Ok(()) = view.changed() => {
                    if let Some(ring) = nodes.catch_up() {
                        targets.send_replace(PeerTarget::members_of(&ring));
                    }
                }
                _ = ticks.tick() => nodes.tick(),
            }
        }
    });
    receiver
}
