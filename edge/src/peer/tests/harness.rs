//! Processes in miniature, and a recorder of what happens to them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cluster::secret::Secrets;
use cluster::tokens::{PeerName, PeerTokens, install_crypto};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::listen::bind;
use crate::peer::*;
use crate::serve::{Options, serve};
use crate::tls::{ClientTls, Tls};

pub(super) const SECRET: &str = "the secret of these tests, thirty-two bytes or more";
pub(super) const OTHER_SECRET: &str = "the secret of another cluster, long enough as well";
/// For what must happen; generous, since the machine may be busy.
pub(super) const SOON: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    Opened(LinkId, Direction, PeerName),
    /// The batch's ring version, the receiver's at that moment, the frames.
    Frames(LinkId, u64, u64, Vec<Bytes>),
    Closed(LinkId, CloseReason),
    DialFailed(PeerName, DialError),
    SeemsDead(PeerName),
    Offered(Bytes),
}

/// Remembers every event, in order.
pub(super) struct Recorder {
    pub(super) log: watch::Sender<Vec<Event>>,
    pub(super) senders: Mutex<HashMap<LinkId, LinkSender>>,
    /// While set, the owner is stuck in `frames`. For runtimes with several threads.
    stuck: AtomicBool,
    ring: Arc<FakeRing>,
}

/// An owner that is stuck until this is dropped.
pub(super) struct Stuck(Arc<Recorder>);

/// A ring whose record is the decimal version.
pub(super) struct FakeRing {
    pub(super) version: Arc<AtomicU64>,
    /// Whether offers are believed, and after how long.
    pub(super) believes: AtomicBool,
    pub(super) slowness: Duration,
    offered: watch::Sender<Vec<Bytes>>,
}

pub(super) struct Process {
    pub(super) me: watch::Sender<PeerName>,
    pub(super) targets: watch::Sender<Vec<PeerTarget>>,
    pub(super) events: Arc<Recorder>,
    pub(super) ring: Arc<FakeRing>,
    pub(super) counts: LinkCounts,
    pub(super) shutdown: CancellationToken,
    pub(super) address: SocketAddr,
    pub(super) listener: PeerListener,
    pub(super) links: PeerLinks,
}

/// How a test wants its process.
pub(super) struct Setup {
    pub(super) name: PeerName,
    pub(super) secret: &'static str,
    pub(super) settings: LinkSettings,
    pub(super) ring: u64,
    pub(super) believes: bool,
    pub(super) slowness: Duration,
    pub(super) listen: SocketAddr,
    pub(super) tls: Option<Tls>,
    pub(super) trusts: Option<ClientTls>,
}

pub(super) fn name(id: &str, generation: u64) -> PeerName {
    PeerName { id: id.into(), generation }
}

pub(super) fn tokens(secret: &str) -> PeerTokens {
    install_crypto();
    PeerTokens::new(Secrets::new(secret, &[]).unwrap().peer_keys(), "default")
}

pub(super) fn setup(id: &str, generation: u64) -> Setup {
    Setup {
        name: name(id, generation),
        secret: SECRET,
        settings: LinkSettings::default(),
        ring: 1,
        believes: true,
        slowness: Duration::ZERO,
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        trusts: None,
    }
}

/// Short times, for tests that wait for them to pass.
pub(super) fn hasty() -> LinkSettings {
    LinkSettings {
        heartbeat: Duration::from_millis(100),
        silence: Duration::from_millis(1000),
        ..LinkSettings::default()
    }
}

/// Two processes, the first linked to the second.
pub(super) async fn linked_pair(a: Setup, b: Setup) -> (Process, Process) {
    let (a, b) = (a.start(), b.start());
    a.use_as_home(&b);
    a.opened(1).await;
    b.opened(1).await;
    (a, b)
}

// === impl Setup ===

impl Setup {
    pub(super) fn start(self) -> Process {
        let ring = Arc::new(FakeRing {
            version: Arc::new(AtomicU64::new(self.ring)),
            believes: AtomicBool::new(self.believes),
            slowness: self.slowness,
            offered: watch::Sender::default(),
        });
        let events = Arc::new(Recorder {
            log: watch::Sender::default(),
            senders: Mutex::default(),
            stuck: AtomicBool::new(false),
            ring: Arc::clone(&ring),
        });
        let (me, my_name) = watch::channel(self.name);
        let (targets, wanted) = watch::channel(Vec::new());
        let (shutdown, tokens) = (CancellationToken::new(), Arc::new(tokens(self.secret)));
        let mut config = PeerConfig::new(my_name, tokens, events.clone(), ring.clone(), shutdown.clone());
        config.settings = self.settings;
        let counts = config.counts.clone();
        let socket = bind("peer-listen", self.listen).unwrap();
        let address = socket.address();
        let listener = PeerListener::new(config.clone());
        tokio::spawn(serve(socket, self.tls, listener.clone(), Options::http1(), shutdown.clone()));
        let links = PeerLinks::start(config, wanted, self.trusts);
        Process { me, targets, events, ring, counts, shutdown, address, listener, links }
    }
}

// === impl Process ===

impl Process {
    pub(super) fn name(&self) -> PeerName {
        self.me.borrow().clone()
    }

    pub(super) fn as_target(&self) -> PeerTarget {
        PeerTarget { name: self.name(), address: self.address.to_string() }
    }

    pub(super) fn use_as_home(&self, other: &Process) {
        self.targets.send_replace(vec![other.as_target()]);
    }

    /// The newest link's sender, once `count` links were opened.
    pub(super) async fn opened(&self, count: usize) -> LinkSender {
        let link = self
            .events
            .until("links opened", |log| {
                let mut opened = log.iter().filter_map(|event| match event {
                    Event::Opened(link, ..) => Some(*link),
                    _ => None,
                });
                opened.nth(count - 1)
            })
            .await;
        self.events.senders.lock()[&link].clone()
    }

    /// The reason of the first link that closes.
    pub(super) async fn closed(&self) -> CloseReason {
        let closed = |log: &[Event]| {
            log.iter().find_map(|event| match event {
                Event::Closed(_, why) => Some(*why),
                _ => None,
            })
        };
        self.events.until("a link closed", closed).await
    }

    pub(super) async fn dial_failed(&self) -> DialError {
        let failed = |log: &[Event]| {
            log.iter().find_map(|event| match event {
                Event::DialFailed(_, error) => Some(error.clone()),
                _ => None,
            })
        };
        self.events.until("an attempt failed", failed).await
    }

    /// All frames received, once there are `count` of them.
    pub(super) async fn frames(&self, count: usize) -> Vec<Bytes> {
        self.events
            .until("frames received", |log| Some(frames(log)).filter(|frames| frames.len() >= count))
            .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(super) fn frames(log: &[Event]) -> Vec<Bytes> {
    let batches = log.iter().filter_map(|event| match event {
        Event::Frames(_, _, _, frames) => Some(frames),
        _ => None,
    });
    batches.flatten().cloned().collect()
}

// === impl Recorder ===

impl Recorder {
    pub(super) async fn until<T>(&self, what: &str, mut found: impl FnMut(&[Event]) -> Option<T>) -> T {
        let mut log = self.log.subscribe();
        let mut result = None;
        let wait = log.wait_for(|log| {
            result = found(log);
            result.is_some()
        });
        let in_time = timeout(SOON, wait).await.is_ok();
        assert!(in_time, "not in time: {what}; {:#?}", self.log.borrow().iter().take(20).collect::<Vec<_>>());
        result.unwrap()
    }

    pub(super) fn stick(self: &Arc<Self>) -> Stuck {
        self.stuck.store(true, Ordering::SeqCst);
        Stuck(Arc::clone(self))
    }

    pub(super) fn so_far(&self) -> Vec<Event> {
        self.log.borrow().clone()
    }

    fn add(&self, event: Event) {
        self.log.send_modify(|log| {
            let offered = self.ring.offered.send_replace(Vec::new());
            log.extend(offered.into_iter().map(Event::Offered));
            log.push(event);
        });
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.stuck.store(false, Ordering::SeqCst);
    }
}

impl PeerEvents for Recorder {
    fn opened(&self, link: LinkId, direction: Direction, peer: &PeerName, sender: LinkSender) {
        self.senders.lock().insert(link, sender);
        self.add(Event::Opened(link, direction, peer.clone()));
    }

    fn frames(&self, link: LinkId, ring: u64, frames: &mut dyn Iterator<Item = Bytes>) {
        if self.stuck.load(Ordering::SeqCst) {
            // A worker that just blocks may take the runtime's timers and sockets with it: tokio wakes no other for them.
            tokio::task::block_in_place(|| {
                while self.stuck.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            });
        }
        self.add(Event::Frames(link, ring, self.ring.version(), frames.collect()));
    }

    fn closed(&self, link: LinkId, why: CloseReason) {
        self.add(Event::Closed(link, why));
    }

    fn dial_failed(&self, peer: &PeerName, error: &DialError) {
        self.add(Event::DialFailed(peer.clone(), error.clone()));
    }

    fn seems_dead(&self, peer: &PeerName) {
        self.add(Event::SeemsDead(peer.clone()));
    }
}

// === impl FakeRing ===

impl RingSource for FakeRing {
    fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    fn sealed(&self) -> Option<Bytes> {
        Some(self.version().to_string().into())
    }

    fn offer(&self, record: &[u8]) {
        self.offered.send_modify(|offered| offered.push(Bytes::copy_from_slice(record)));
        if !self.believes.load(Ordering::SeqCst) {
            return;
        }
        let version = std::str::from_utf8(record).unwrap().parse().unwrap();
        if self.slowness.is_zero() {
            self.version.fetch_max(version, Ordering::SeqCst);
            return;
        }
        let (current, slowness) = (Arc::clone(&self.version), self.slowness);
        tokio::spawn(async move {
            tokio::time::sleep(slowness).await;
            current.fetch_max(version, Ordering::SeqCst);
        });
    }
}
