//! The lookup service as a peer that homes nothing: links to all nodes of a service, on which the back end's messages and
//! questions go straight to their homes.
//!
//! - [`core`]: the decisions, pure: what goes where, what is sent again, when an answer is complete.
//! - [`nodes`]: the shell around it, with one lock, which is the [`Backend`].
//! - [`follow`]: keeps it in step with the ring.
//!
//! It has a name of its own at each start, and no listener: nobody asks anything of it. Lookups do not need it, so nothing
//! here says whether the process is ready.

mod core;
mod follow;
mod nodes;
mod parcel;
mod waiter;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand;
use cluster::membership::Keeper;
use cluster::secret::Secrets;
use cluster::tokens::{PeerName, PeerTokens, random_id};
use edge::peer::{LinkCounts, PeerConfig, PeerLinks};
use edge::tls::ClientTls;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::nodes::Nodes;
use crate::api::backend::Backend;

/// How much of a generation is chance.
const CHANCE_BITS: u32 = 20;

/// What all services' links of this process have in common.
#[derive(Clone)]
pub(crate) struct Linking {
    /// Proves that both ends belong together.
    pub(crate) secrets: Secrets,
    /// How to reach listeners that have TLS: all or none do.
    pub(crate) tls: Option<ClientTls>,
    /// Ends all links.
    pub(crate) ending: CancellationToken,
    /// Done when all links have ended after that.
    pub(crate) tasks: TaskTracker,
}

// === impl Linking ===

impl Linking {
    /// Links to every node of the ring that `keeper` holds, and to whoever joins it later.
    pub(crate) fn link(&self, service: &str, keeper: Arc<Keeper>, counts: LinkCounts) -> Arc<dyn Backend> {
        let me = own_name();
        let (name, names) = watch::channel(me.clone());
        let nodes = Arc::new(Nodes::new(me, keeper));
        let tokens = Arc::new(PeerTokens::new(self.secrets.peer_keys(), service));
        let mut config = PeerConfig::new(names, tokens, nodes.clone(), nodes.clone(), self.ending.clone());
        config.counts = counts;
        let targets = follow::follow(&self.tasks, &nodes, &self.ending);
        let links = PeerLinks::start(config, targets, self.tls.clone());
        self.tasks.spawn(async move {
            links.closed().await;
            // It never changes, and lives as long as the links do.
            drop(name);
        });
        nodes
    }

    /// Ends all links, and waits until all nodes have been told.
    pub(crate) async fn end(self) {
        self.ending.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A name that no other process has: messages are known by the generation. Those of nodes are times in milliseconds; this
/// is one, shifted, with so much chance that lookup services which start together get different ones.
fn own_name() -> PeerName {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let mut chance = [0; 4];
    // Without randomness the id, which is random too, could not be made either.
    let _ = rand::fill(&mut chance);
    let generation = time_ms << CHANCE_BITS | u64::from(u32::from_le_bytes(chance) >> (32 - CHANCE_BITS));
    PeerName { id: format!("lookup-{}", random_id()), generation }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_from_each_other_and_from_those_of_nodes() {
        let names: Vec<PeerName> = (0..50).map(|_| own_name()).collect();
        let generations: std::collections::HashSet<u64> = names.iter().map(|name| name.generation).collect();
        assert!(generations.len() > 48, "{generations:?}");
        let year_3000_ms = 32_503_680_000_000;
        assert!(generations.iter().all(|generation| *generation > year_3000_ms));
        assert!(names.iter().all(|name| cluster::ring::is_valid_service(&name.id)), "{:?}", names[0]);
    }
}
