//! What the scenarios are written with: keepers as processes, stores that fail one process, and waiting with a deadline.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ringdial_cluster::membership::{
    Keeper, KeeperConfig, KeeperError, LeaseChange, LeaseHolder, MemberSpec, MembershipStore, Pulse,
    RecordKeys, Renewal, Role, Sayer, Stored, Swapped,
};
use ringdial_cluster::ring::{Member, MemberState, Policy, Record, RecordKey, Ring, RingKey};
use ringdial_cluster::store::StoreError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::World;

pub const SERVICE: &str = "dc";

pub fn keys() -> RecordKeys {
    RecordKeys::new(RecordKey::new([1; 32]), [])
}

pub fn other_keys() -> RecordKeys {
    RecordKeys::new(RecordKey::new([2; 32]), [])
}

pub fn spec(id: &str) -> MemberSpec {
    let (url, peer) = (format!("ws://{id}.example.com/ws"), format!("{id}.internal:7000"));
    MemberSpec { id: id.to_owned(), url, peer, weight: 100 }
}

pub fn config(role: Role) -> KeeperConfig {
    KeeperConfig { role, keys: keys(), policy: Policy::Balanced, initial_wait: Duration::from_secs(10) }
}

/// A ring with these members, all of generation 1.
pub fn ring_of(service: &str, ids: &[&str]) -> Ring {
    ids.iter().fold(Ring::genesis(service, RingKey::new([7; 16]), Policy::Balanced), |ring, id| {
        let MemberSpec { id, url, peer, weight } = spec(id);
        ring.join(Member { id, generation: 1, url, peer, weight, state: MemberState::Active }).unwrap()
    })
}

pub fn sealed(ring: &Ring, keys: &RecordKeys) -> Bytes {
    Record::seal(ring, keys.sealing()).into_bytes()
}

/// The record of [`ring_of`], its header line and its members as lease holders.
pub struct Sample {
    pub record: Bytes,
    pub line: Bytes,
    pub ids: Vec<String>,
}

impl Sample {
    pub fn of(ids: &[&str]) -> Self {
        let record = sealed(&ring_of(SERVICE, ids), &keys());
        let line = record.slice(..=record.iter().position(|byte| *byte == b'\n').unwrap());
        Self { record, line, ids: ids.iter().map(|id| (*id).to_owned()).collect() }
    }

    pub fn holders(&self) -> Vec<LeaseHolder<'_>> {
        self.ids.iter().map(|id| holder(id)).collect()
    }

    pub fn stored(&self) -> Stored {
        Stored::Record(self.record.clone())
    }

    /// Puts the record and a lease for each member into an empty store.
    pub async fn put(&self, store: &dyn MembershipStore) {
        let reset = LeaseChange::Reset { holders: &self.holders() };
        assert_eq!(store.swap(&Stored::Absent, &self.record, reset).await.unwrap(), Swapped::Done);
    }
}

pub fn holder(id: &str) -> LeaseHolder<'_> {
    LeaseHolder { id, generation: 1 }
}

/// One process's keeper. Dropping it is a crash; it fails the test if the view ever went back.
pub struct Process {
    pub keeper: Keeper,
    _shutdown: tokio_util::sync::DropGuard,
    views: JoinHandle<()>,
    went_back: Arc<Mutex<Option<String>>>,
}

impl Process {
    pub async fn start(store: Arc<dyn MembershipStore>, config: KeeperConfig) -> Result<Self, KeeperError> {
        let shutdown = CancellationToken::new();
        let keeper = Keeper::start(store, config, shutdown.clone()).await?;
        let (mut view, went_back) = (keeper.view(), Arc::<Mutex<Option<String>>>::default());
        let found = went_back.clone();
        let views = tokio::spawn(async move {
            let mut last = None;
            loop {
                let version = view.borrow_and_update().as_ref().map(|ring| ring.version());
                if version < last {
                    *found.lock().unwrap() = Some(format!("from {last:?} to {version:?}"));
                }
                last = version;
                if view.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { keeper, _shutdown: shutdown.drop_guard(), views, went_back })
    }

    pub async fn node(world: &dyn World, id: &str) -> Self {
        Self::start(world.store(SERVICE), config(Role::Member(spec(id)))).await.unwrap()
    }

    pub async fn observer(world: &dyn World) -> Self {
        Self::start(world.store(SERVICE), config(Role::Observer)).await.unwrap()
    }

    pub fn ring(&self) -> Arc<Ring> {
        self.keeper.ring().expect("a view")
    }

    pub fn generation(&self) -> Option<u64> {
        *self.keeper.generation().borrow()
    }

    /// The ids of the members in the view, sorted.
    pub fn ids(&self) -> Vec<String> {
        let ring = self.keeper.ring();
        let mut ids: Vec<_> =
            ring.iter().flat_map(|ring| ring.members()).map(|member| member.id.clone()).collect();
        ids.sort();
        ids
    }

    /// Waits until the view has exactly these members.
    pub async fn sees(&self, ids: &[&str]) {
        until(&format!("a view of {ids:?}"), || self.ids() == ids, || format!("{:?}", self.ids())).await;
    }

    /// Waits until the view passes.
    pub async fn sees_that(&self, what: &str, passes: impl Fn(&Ring) -> bool) {
        let passes = || self.keeper.ring().is_some_and(|ring| passes(&ring));
        until(what, passes, || format!("{:?}", self.keeper.ring())).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.views.abort();
        let went_back = self.went_back.lock().unwrap().take();
        if let (Some(how), false) = (went_back, std::thread::panicking()) {
            panic!("a view went back {how}");
        }
    }
}

/// Waits for a condition; fails the test when it does not come true in time.
pub async fn until(what: &str, condition: impl Fn() -> bool, found: impl Fn() -> String) {
    until_within(Duration::from_secs(20), what, condition, found).await;
}

/// As [`until`], for what must not take long.
pub async fn until_within(
    patience: Duration,
    what: &str,
    condition: impl Fn() -> bool,
    found: impl Fn() -> String,
) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}; found {}", found());
        sleep(Duration::from_millis(5)).await;
    }
}

/// Polls, and renews these holders, until the poll passes: time goes by and nothing stalls.
pub async fn live_until(
    store: &dyn MembershipStore,
    renewing: &[LeaseHolder<'_>],
    passes: impl Fn(&Pulse) -> bool,
) -> Pulse {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        for holder in renewing {
            assert!(store.renew(*holder).await.unwrap().held, "{holder:?} lost its lease");
        }
        let pulse = store.poll(None).await.unwrap();
        if passes(&pulse) {
            return pulse;
        }
        assert!(Instant::now() < deadline, "in vain; the last poll: {pulse:?}");
        sleep(store.lease() / 20).await;
    }
}

/// A store as one process sees it: it can be cut off, be deaf to notices, and have its answers held back on the way.
pub struct Frail {
    inner: Arc<dyn MembershipStore>,
    cut: AtomicBool,
    lose_swap_answer: AtomicBool,
    held_back: AtomicUsize,
    busy: AtomicBool,
    renewals: AtomicUsize,
    hold: watch::Sender<Option<&'static str>>,
    silence: Option<watch::Sender<u64>>,
}

impl Frail {
    pub fn new(inner: Arc<dyn MembershipStore>) -> Arc<Self> {
        Arc::new(Self::with(inner, None))
    }

    pub fn deaf(inner: Arc<dyn MembershipStore>) -> Arc<Self> {
        Arc::new(Self::with(inner, Some(watch::Sender::new(0))))
    }

    fn with(inner: Arc<dyn MembershipStore>, silence: Option<watch::Sender<u64>>) -> Self {
        Self {
            inner,
            cut: AtomicBool::new(false),
            lose_swap_answer: AtomicBool::new(false),
            held_back: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            renewals: AtomicUsize::new(0),
            hold: watch::Sender::new(None),
            silence,
        }
    }

    pub fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    /// The next swap is carried out, and its answer lost.
    pub fn lose_next_swap_answer(&self) {
        self.lose_swap_answer.store(true, Ordering::Relaxed);
    }

    /// From now on the answers to this operation are held back; to none, they go through.
    pub fn hold(&self, operation: Option<&'static str>) {
        self.hold.send_replace(operation);
    }

    /// How many answers were given and are held back.
    pub fn held_back(&self) -> usize {
        self.held_back.load(Ordering::Relaxed)
    }

    /// From now on others always have the turn.
    pub fn keep_busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// How many renewals were asked for.
    pub fn renewals(&self) -> usize {
        self.renewals.load(Ordering::Relaxed)
    }

    fn reach(&self) -> Result<&dyn MembershipStore, StoreError> {
        match self.cut.load(Ordering::Relaxed) {
            false => Ok(&*self.inner),
            true => Err(StoreError::Unreachable { address: "test".into(), cause: "cut off".into() }),
        }
    }

    async fn pass<T>(&self, operation: &'static str, answer: T) -> T {
        let mut hold = self.hold.subscribe();
        if *hold.borrow() == Some(operation) {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            hold.wait_for(|held| *held != Some(operation)).await.unwrap();
            self.held_back.fetch_sub(1, Ordering::Relaxed);
        }
        answer
    }
}

#[async_trait]
impl MembershipStore for Frail {
    fn service(&self) -> &str {
        self.inner.service()
    }
    fn lease(&self) -> Duration {
        self.inner.lease()
    }
    fn absence_may_be_loss(&self) -> bool {
        self.inner.absence_may_be_loss()
    }
    async fn read(&self) -> Result<Stored, StoreError> {
        self.pass("read", self.reach()?.read().await).await
    }
    async fn poll(&self, observer: Option<&str>) -> Result<Pulse, StoreError> {
        self.pass("poll", self.reach()?.poll(observer).await).await
    }
    async fn renew(&self, holder: LeaseHolder<'_>) -> Result<Renewal, StoreError> {
        self.renewals.fetch_add(1, Ordering::Relaxed);
        self.pass("renew", self.reach()?.renew(holder).await).await
    }
    async fn next_generation(&self, above: u64) -> Result<u64, StoreError> {
        self.pass("next_generation", self.reach()?.next_generation(above).await).await
    }
    async fn lapsed(&self, line: &[u8], members: &[LeaseHolder<'_>]) -> Result<Vec<String>, StoreError> {
        self.pass("lapsed", self.reach()?.lapsed(line, members).await).await
    }
    async fn suspect(
        &self,
        by: Sayer<'_>,
        dead: &[LeaseHolder<'_>],
        alive: &[LeaseHolder<'_>],
    ) -> Result<u64, StoreError> {
        self.pass("suspect", self.reach()?.suspect(by, dead, alive).await).await
    }
    async fn take_turn(&self) -> Result<bool, StoreError> {
        if self.busy.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.pass("take_turn", self.reach()?.take_turn().await).await
    }
    async fn swap(
        &self,
        expected: &Stored,
        record: &Bytes,
        leases: LeaseChange<'_>,
    ) -> Result<Swapped, StoreError> {
        let swapped = self.reach()?.swap(expected, record, leases).await;
        match self.lose_swap_answer.swap(false, Ordering::Relaxed) {
            false => self.pass("swap", swapped).await,
            true => Err(StoreError::TimedOut { address: "test".into(), after_ms: 1 }),
        }
    }
    fn notices(&self) -> watch::Receiver<u64> {
        self.silence.as_ref().map_or_else(|| self.inner.notices(), watch::Sender::subscribe)
    }
}
