//! Outbound links: one to each target, opened again for as long as it stays one.

use std::collections::HashMap;

use aws_lc_rs::rand;
use cluster::ring::{Member, Ring};
use cluster::tokens::PeerName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::dial::{DialError, dial};
use super::events::{CloseReason, Direction};
use super::link::{End, Link, run};
use super::settings::PeerConfig;
use super::signs::Signs;
use crate::tls::ClientTls;

/// A process to be linked to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerTarget {
    /// Its id and generation. A link to another generation is another link.
    pub name: PeerName,
    /// `host:port` of its peer listener.
    pub address: String,
}

impl PeerTarget {
    /// Every member of a ring.
    pub fn members_of(ring: &Ring) -> Vec<Self> {
        let target = |member: &Member| Self {
            name: PeerName { id: member.id.clone(), generation: member.generation },
            address: member.peer.clone(),
        };
        ring.members().map(target).collect()
    }
}

/// The outbound links of a process.
#[derive(Clone)]
pub struct PeerLinks {
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Keeps the diallers in step with the targets.
struct Keeper {
    config: PeerConfig,
    tls: Option<ClientTls>,
    tasks: TaskTracker,
    diallers: HashMap<String, Dialler>,
    /// The last dialler of each id, as long as it has not finished: the next one waits for it.
    leaving: HashMap<String, CancellationToken>,
}

struct Dialler {
    target: PeerTarget,
    me: PeerName,
    end: End,
    gone: CancellationToken,
}

/// What one dialler needs.
struct Attempts {
    target: PeerTarget,
    me: PeerName,
    end: End,
    config: PeerConfig,
    tls: Option<ClientTls>,
    tasks: TaskTracker,
    backoff: Backoff,
    signs: Signs,
    /// The code of the last failure, so that a dead peer is logged once and not once a second.
    told: Option<&'static str>,
}

// === impl PeerLinks ===

impl PeerLinks {
    /// Keeps one link to each of `targets`, under the name `config.me`, until `config.shutdown`. This process' own id
    /// among them is passed over. When the name changes every link is opened again. `tls`: how to reach listeners
    /// that have it (all or none do); the certificate must name the host of the address.
    pub fn start(
        config: PeerConfig,
        targets: watch::Receiver<Vec<PeerTarget>>,
        tls: Option<ClientTls>,
    ) -> Self {
        let (tasks, shutdown) = (TaskTracker::new(), config.shutdown.clone());
        let keeper =
            Keeper { config, tls, tasks: tasks.clone(), diallers: HashMap::new(), leaving: HashMap::new() };
        tasks.spawn(keeper.run(targets));
        Self { tasks, shutdown }
    }

    /// Ends when, after `config.shutdown`, every link has ended and has said so to its peer.
    pub async fn closed(&self) {
        self.shutdown.cancelled().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

// === impl Keeper ===

impl Keeper {
    async fn run(mut self, mut targets: watch::Receiver<Vec<PeerTarget>>) {
        let mut me = self.config.me.clone();
        let shutdown = self.config.shutdown.clone();
        loop {
            let (wanted, name) = (targets.borrow_and_update().clone(), me.borrow_and_update().clone());
            self.follow(wanted, &name);
            let changed = async {
                // A sender that is gone changes nothing any more.
                tokio::select! {
                    Ok(()) = targets.changed() => {}
                    Ok(()) = me.changed() => {}
                    else => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = changed => {}
            }
        }
    }

    fn follow(&mut self, wanted: Vec<PeerTarget>, me: &PeerName) {
        let wanted: HashMap<String, PeerTarget> = wanted
            .into_iter()
            .filter(|target| target.name.id != me.id)
            .map(|target| (target.name.id.clone(), target))
            .collect();
        self.leaving.retain(|_, gone| !gone.is_cancelled());
        let stays = |dialler: &Dialler| {
            dialler.me == *me && wanted.get(&dialler.target.name.id) == Some(&dialler.target)
        };
        for (id, dialler) in self.diallers.extract_if(|_, dialler| !stays(dialler)) {
            let why = if dialler.me == *me { CloseReason::NotWanted } else { CloseReason::Renamed };
            dialler.end.close(why);
            self.leaving.insert(id, dialler.gone);
        }
        for (id, target) in wanted {
            if !self.diallers.contains_key(&id) {
                self.open(id, target, me.clone());
            }
        }
    }

    fn open(&mut self, id: String, target: PeerTarget, me: PeerName) {
        let end = End::with(&self.config.shutdown);
        let gone = CancellationToken::new();
        let attempts = Attempts {
            target: target.clone(),
            me: me.clone(),
            end: end.clone(),
            config: self.config.clone(),
            tls: self.tls.clone(),
            tasks: self.tasks.clone(),
            backoff: Backoff::new(self.config.settings.backoff),
            signs: Signs::default(),
            told: None,
        };
        let (before, guard) = (self.leaving.remove(&id), gone.clone().drop_guard());
        self.tasks.spawn(async move {
            let _guard = guard;
            if let Some(before) = before {
                before.cancelled().await;
            }
            attempts.run().await;
        });
        self.diallers.insert(id, Dialler { target, me, end, gone });
    }
}

// === impl Attempts ===

impl Attempts {
    async fn run(mut self) {
        while !self.end.is_closed() {
            // A handshake that is under way when it is no longer wanted is dropped: nothing was sent on it yet.
            let dialled = tokio::select! {
                biased;
                () = self.end.closed() => return,
                dialled = dial(&self.target, &self.me, &self.config, self.tls.as_ref()) => dialled,
            };
            match dialled {
                Ok(connected) => {
                    self.told = None;
                    self.signs.opened();
                    let link = Link {
                        direction: Direction::Outbound,
                        peer: self.target.name.clone(),
                        reader: connected.reader,
                        writer: connected.writer,
                        end: self.end.under(),
                    };
                    let (why, lived) = run(link, &self.config, &self.tasks).await;
                    self.signs.closed(why);
                    self.backoff.lived(lived);
                }
                Err(error) => self.failed(&error),
            }
            let pause = self.backoff.next(random());
            tokio::select! {
                () = self.end.closed() => return,
                () = sleep(pause) => {}
            }
        }
    }

    fn failed(&mut self, error: &DialError) {
        self.config.counts.inner().dial_failures.inc();
        let (peer, address, code) = (&self.target.name, &self.target.address, error.code());
        if self.told.replace(code) == Some(code) {
            tracing::debug!(%peer, address, code, "still no link to the peer: {error}");
        } else {
            tracing::warn!(%peer, address, code, "no link to the peer: {error}; trying on");
        }
        self.config.events.dial_failed(peer, error);
        if self.signs.dial_failed(error, Instant::now()) {
            self.config.events.seems_dead(peer);
        }
    }
}

/// For the jitter. Without randomness the pause is none, which only the bound's growth would soften.
fn random() -> u32 {
    let mut bytes = [0; 4];
    match rand::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => u32::MAX / 2,
    }
}
