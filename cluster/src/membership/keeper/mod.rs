//! The shell around membership: a task that keeps one process's view of a service up to date, and a member registered.
//!
//! It polls every third of a lease and on every notice, renews every tenth, reaps what lapsed, registers again when its own
//! lease did, and puts back what the store lost. While the store is gone the last view stays. What it does about what it
//! finds is decided in [`decide`](super::decide).

mod board;
mod error;
mod reap;
mod register;
mod status;
mod suspicion;
mod sync;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::board::Board;
pub use self::board::Offered;
pub use self::error::KeeperError;
pub use self::status::{KeeperCounts, KeeperStatus, StoreReach};
use self::worker::{Command, Worker};
use super::{MembershipStore, RecordKeys, Suspects};
use crate::ring::{Policy, RecordError, Ring};

/// How a process takes part.
#[derive(Clone, Debug)]
pub struct KeeperConfig {
    /// As what.
    pub role: Role,
    /// The keys of records.
    pub keys: RecordKeys,
    /// The placement policy, where this process has to make a new ring.
    pub policy: Policy,
    /// How long a start may find no store before it fails.
    pub initial_wait: Duration,
}

/// As what a process takes part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// It has a view, reaps and puts back, and is in no ring.
    Observer,
    /// It is a node.
    Member(MemberSpec),
}

/// What a node registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSpec {
    /// Its id, 1 to 256 bytes.
    pub id: String,
    /// Where clients connect: `ws://` or `wss://`.
    pub url: String,
    /// Where the other nodes connect: `host:port`.
    pub peer: String,
    /// Its share of the slots in proportion to the others', by default 100.
    pub weight: u32,
}

/// A process's membership of one service. It ends with the shutdown token, or when this is dropped: then a member's lease
/// lapses, unless it left before.
pub struct Keeper {
    board: Arc<Board>,
    commands: mpsc::Sender<Command>,
}

// === impl KeeperConfig ===

impl KeeperConfig {
    /// Taking part in this role, with the `balanced` policy and a wait of 30 seconds for the store.
    pub fn new(role: Role, keys: RecordKeys) -> Self {
        Self { role, keys, policy: Policy::Balanced, initial_wait: Duration::from_secs(30) }
    }
}

// === impl Keeper ===

impl Keeper {
    /// Takes part: returns when a member is registered, or when an observer has looked once (there may be no ring yet).
    ///
    /// A member that finds no ring where one may have been lost waits two leases for somebody to put it back before it
    /// makes a new one.
    ///
    /// # Errors
    /// [`KeeperError::Store`] if the store cannot be used, or did not answer for `initial_wait`;
    /// [`KeeperError::IdInUse`] and [`KeeperError::Ring`] if the ring does not take the member;
    /// [`KeeperError::Foreign`] if the ring in the store could not be opened for `initial_wait`;
    /// [`KeeperError::Stopped`] if `shutdown` came first; a registration that may have come through is taken back then.
    pub async fn start(
        store: Arc<dyn MembershipStore>,
        config: KeeperConfig,
        shutdown: CancellationToken,
    ) -> Result<Self, KeeperError> {
        let board = Arc::new(Board::new(store.service(), config.keys.clone()));
        let (commands, received) = mpsc::channel(8);
        let initial_wait = config.initial_wait;
        let mut worker = Worker::new(store, board.clone(), config);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                worker.withdraw().await;
                return Err(KeeperError::Stopped);
            }
            begun = worker.begin(initial_wait) => begun?,
        }
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = worker.run(received) => {}
            }
        });
        Ok(Self { board, commands })
    }

    /// The view, and every later one. `None` until the service has a ring.
    pub fn view(&self) -> watch::Receiver<Option<Arc<Ring>>> {
        self.board.view()
    }

    /// The present view.
    pub fn ring(&self) -> Option<Arc<Ring>> {
        self.board.held().map(|held| held.ring)
    }

    /// This member's generation, and every later one. `None` for observers and after leaving.
    pub fn generation(&self) -> watch::Receiver<Option<u64>> {
        self.board.generation()
    }

    /// The generations that this process registered under, or is about to: the latest ones, in order. A ticket for any of
    /// them was meant for this process.
    pub fn incarnations(&self) -> Vec<u64> {
        self.board.incarnations()
    }

    /// Why this process can be a member no longer, should that happen ([`KeeperError::Replaced`],
    /// [`KeeperError::IdInUse`]): it goes on as an observer, and should end.
    pub fn failure(&self) -> watch::Receiver<Option<KeeperError>> {
        self.board.failure()
    }

    /// How membership stands.
    pub fn status(&self) -> KeeperStatus {
        self.board.status()
    }

    /// The sealed record of the view, to pass on to peers.
    pub fn sealed(&self) -> Option<Bytes> {
        self.board.held().map(|held| held.record)
    }

    /// Takes a sealed record from a peer: it becomes the view if it is newer. Asks no store.
    ///
    /// # Errors
    /// The record cannot be opened. Counted as ignored.
    pub fn offer(&self, record: &[u8]) -> Result<Offered, RecordError> {
        self.board.offer(record)
    }

    /// Says that this incarnation of a member seems dead: a link to it broke and a new connection was refused. It is
    /// suspected at once in this process, and by all that look at the store as soon as that knows. It holds until
    /// [`trust`](Self::trust), until the member proves alive by a renewal, or until the incarnation is gone from the view.
    /// Nothing for who is no member; never waits.
    pub fn suspect(&self, id: &str, generation: u64) {
        self.board.suspect(id, generation);
    }

    /// A link to this incarnation of a member stands (again): takes back what this process said. Never waits.
    pub fn trust(&self, id: &str, generation: u64) {
        self.board.trust(id, generation);
    }

    /// The members that are suspected now, by whomever, and every later set.
    pub fn suspects(&self) -> watch::Receiver<Arc<Suspects>> {
        self.board.watchlist.suspects()
    }

    /// Observers (lookup services) that the store heard of in the last two leases; at least 1.
    pub fn observers(&self) -> u64 {
        self.board.observers()
    }

    /// Takes this member out of the ring, and renews no more whatever comes of it. Nothing for an observer.
    ///
    /// # Errors
    /// [`KeeperError::Store`] after two leases without success: the lease will lapse instead.
    pub async fn leave(&self) -> Result<(), KeeperError> {
        self.ask(Command::Leave).await
    }

    /// Gives up this member's slots; it stays a member until it leaves. Nothing for an observer.
    ///
    /// # Errors
    /// [`KeeperError::Store`] after two leases without success; it is then tried again until it succeeds.
    pub async fn drain(&self) -> Result<(), KeeperError> {
        self.ask(Command::Drain).await
    }

    /// Gives up the slots of any member, which finds out by its view, stays, and drains again should it have to register
    /// again. `false` if there is no such member.
    ///
    /// # Errors
    /// [`KeeperError::Store`] after two leases without success.
    pub async fn drain_member(&self, id: &str) -> Result<bool, KeeperError> {
        self.ask(|answer| Command::DrainMember(id.to_owned(), answer)).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, KeeperError>>) -> Command,
    ) -> Result<T, KeeperError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| KeeperError::Stopped)?;
        answered.await.unwrap_or(Err(KeeperError::Stopped))
    }
}
