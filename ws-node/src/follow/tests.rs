//! The work that a new ring leaves does not keep what is newer, or the end, from having its turn.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use cluster::grant::Holder;
use cluster::membership::{KeeperConfig, MemberSpec, Role};
use cluster::secret::Secrets;
use cluster::store::MemoryStore;
use cluster::tokens::{Grants, Tickets, install_crypto, random_id};
use edge::config::Settings;
use tokio::time::timeout;

use super::*;
use crate::core::{Admission, Core};
use crate::log::{LogCounts, QueueBounds};
use crate::net::Outbox;
use crate::setup::{connection_settings, core_config};

/// Users at a node, each in a slot of its own or nearly so.
const USERS: usize = 200;

fn secrets() -> Secrets {
    Secrets::new("a secret for tests, long enough to be taken", &[]).unwrap()
}

async fn member(store: &MemoryStore, id: &str) -> Arc<Keeper> {
    let store = store.membership("default", Duration::from_secs(3)).unwrap();
    let (url, peer) = (format!("ws://{id}.test/ws"), format!("{id}.test:1"));
    let spec = MemberSpec { id: id.into(), url, peer, weight: 100 };
    let keeping = KeeperConfig::new(Role::Member(spec), secrets().record_keys());
    Arc::new(Keeper::start(store, keeping, CancellationToken::new()).await.unwrap())
}

/// A node that does as little as it can at once, with all its users.
fn node_of(keeper: &Arc<Keeper>) -> Arc<Node> {
    let flags = ["--node-id=n1", "--redis=redis://127.0.0.1:1", "--secret=a secret for tests, long enough"];
    let mut settings = Settings::parse(&crate::COMMAND, flags, Vec::<(String, String)>::new());
    let (config, _) = crate::read(&mut settings);
    let tickets = Tickets::new(secrets().ticket_keys());
    let (log, _) = crate::log::queue(QueueBounds::default(), LogCounts::default());
    let me = PeerName { id: "n1".into(), generation: keeper.generation().borrow().unwrap() };
    let ring = keeper.ring().unwrap();
    let mut core =
        Core::new(core_config(&config, tickets.clone()), me, Arc::clone(&ring), Box::new(log), random_id);
    core.work_in_pieces_of(1);
    let node = Arc::new(Node::new(core, Arc::clone(keeper), connection_settings(&config.limits), tickets));
    for user in 0..USERS {
        let user = format!("user-{user}");
        let holder = Holder { user, avoid: vec![], token_expires_s: None, grants: Grants::default() };
        let admission = Admission { holder, jti: random_id(), expires_s: u64::MAX / 2, ring: ring.version() };
        assert!(node.core().admit(admission, Outbox::new(100_000), node.now()).is_ok());
    }
    node
}

/// Pieces of work that are left, all of which this does.
fn pieces_left(node: &Node) -> usize {
    std::iter::from_fn(|| node.core().work_off(node.now()).then_some(())).count()
}

#[tokio::test]
async fn the_end_does_not_wait_for_all_that_a_ring_left_to_do() {
    install_crypto();
    let store = MemoryStore::new();
    let keeper = member(&store, "n1").await;
    let node = node_of(&keeper);
    pieces_left(&node);
    let (tasks, ending) = (TaskTracker::new(), CancellationToken::new());
    let (name, _names) = watch::channel(node.core().me().clone());
    let _targets = follow(&tasks, &node, &keeper, name, &ending);
    let before = node.core().ring().version();
    let _other = member(&store, "n2").await;
    let newer = async {
        // Whoever yields is back before more than a piece is done.
        while node.core().ring().version() == before {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), newer).await.unwrap();
    ending.cancel();
    tasks.close();
    timeout(Duration::from_secs(10), tasks.wait()).await.unwrap();
    let left = pieces_left(&node);
    assert!(left > USERS / 4, "{left} pieces");
}
