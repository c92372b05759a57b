//! Whom a process links to: every member of its view, for as long as it is one.

use ::cluster::ring::Ring;
use ::cluster::tokens::PeerName;
use edge::peer::{CloseReason, DialError, PeerTarget, Signs};
use tokio::time::{Duration, Instant};

use super::World;
use super::event::Event;
use super::process::place_of_id;
use crate::shared::Life;

/// How long an attempt may take.
const DIAL_MS: u64 = 3_000;
/// How often an attempt that gets nowhere tries again by itself.
const SYN_MS: u64 = 500;
/// The first and the longest pause between attempts.
const PAUSES_MS: (u64, u64) = (50, 1_000);

/// A member that a process links to.
pub(super) struct Dialler {
    generation: u64,
    /// The process' own name when it began.
    me: PeerName,
    link: Option<u64>,
    /// When the present attempt began.
    since_ms: Option<u64>,
    pause_ms: u64,
    opened_ms: u64,
    signs: Signs,
}

/// What becomes of an attempt.
enum Attempt {
    Opens(Life),
    Waits,
    Fails(DialError),
}

impl World {
    /// Keeps a process' links in step with its view.
    pub(super) fn follow_targets(&mut self, life: Life, ring: &Ring) {
        let Some(process) = self.process(life) else { return };
        let me = process.name.clone();
        let targets = PeerTarget::members_of(ring);
        let targets: Vec<_> = targets.into_iter().filter(|target| target.name.id != me.id).collect();
        let stays = |id: &String, dialler: &Dialler| {
            let same =
                |target: &PeerTarget| target.name.id == *id && target.name.generation == dialler.generation;
            dialler.me == me && targets.iter().any(same)
        };
        let gone: Vec<(String, Dialler)> =
            process.diallers.extract_if(.., |id, dialler| !stays(id, dialler)).collect();
        let mut fresh = Vec::new();
        for target in &targets {
            if !process.diallers.contains_key(&target.name.id) {
                let dialler = Dialler {
                    generation: target.name.generation,
                    me: me.clone(),
                    link: None,
                    since_ms: None,
                    pause_ms: PAUSES_MS.0,
                    opened_ms: 0,
                    signs: Signs::default(),
                };
                process.diallers.insert(target.name.id.clone(), dialler);
                fresh.push(target.name.id.clone());
            }
        }
        for link in gone.into_iter().filter_map(|(_, dialler)| dialler.link) {
            self.close_link(link, 0, CloseReason::NotWanted);
        }
        fresh.into_iter().for_each(|target| self.after(0, Event::Dial { life, target }));
    }

    /// An attempt to open a link.
    pub(super) fn dial(&mut self, life: Life, target: &str) {
        let now_ms = self.shared.now_ms();
        let Some(process) = self.process(life) else { return };
        let Some(dialler) = process.diallers.get_mut(target).filter(|dialler| dialler.link.is_none()) else {
            return;
        };
        let since_ms = *dialler.since_ms.get_or_insert(now_ms);
        let generation = dialler.generation;
        match self.attempt(life, target, generation) {
            Attempt::Waits if now_ms < since_ms + DIAL_MS => {
                self.after(SYN_MS, Event::Dial { life, target: target.to_owned() });
            }
            Attempt::Waits => {
                self.dial_failed(life, target, &DialError::TimedOut(Duration::from_millis(DIAL_MS)))
            }
            Attempt::Fails(error) => self.dial_failed(life, target, &error),
            Attempt::Opens(there) => {
                self.open_link(life, there);
                let id = self.next_id;
                if let Some(dialler) = self.process(life).and_then(|process| process.diallers.get_mut(target))
                {
                    (dialler.link, dialler.since_ms, dialler.opened_ms) = (Some(id), None, now_ms);
                    dialler.signs.opened();
                }
                self.trust(life, target, generation);
            }
        }
    }

    fn attempt(&mut self, life: Life, target: &str, generation: u64) -> Attempt {
        let Some(place) = place_of_id(target) else { return Attempt::Fails(DialError::Refused) };
        let net = &self.shared.state().net;
        if !net.open(life.place, place) || !net.open(place, life.place) {
            return Attempt::Waits;
        }
        let Some(process) = &self.processes[place] else { return Attempt::Fails(DialError::Refused) };
        if process.core.is_none() {
            return Attempt::Fails(DialError::Refused);
        }
        if process.paused {
            return Attempt::Waits;
        }
        match process.name.generation == generation {
            true => Attempt::Opens(process.life),
            false => Attempt::Fails(DialError::Rejected(409)),
        }
    }

    fn dial_failed(&mut self, life: Life, target: &str, error: &DialError) {
        let shared = self.shared();
        let Some(process) = self.processes[life.place].as_mut().filter(|process| process.life == life) else {
            return;
        };
        let Some(dialler) = process.diallers.get_mut(target) else { return };
        dialler.since_ms = None;
        let pause_ms = self.dice.below(dialler.pause_ms + 1);
        dialler.pause_ms = (2 * dialler.pause_ms).min(PAUSES_MS.1);
        if dialler.signs.dial_failed(error, Instant::now())
            && let Some(keeper) = &process.keeper
        {
            shared.note(format_args!("{life} suspects {target}"));
            keeper.suspect(target, dialler.generation);
        }
        self.after(pause_ms, Event::Dial { life, target: target.to_owned() });
    }

    fn trust(&mut self, life: Life, target: &str, generation: u64) {
        if let Some(keeper) = self.process(life).and_then(|process| process.keeper.as_ref()) {
            keeper.trust(target, generation);
        }
    }

    /// A link that a process had dialled is closed at its end: it dials again, if the member is still one.
    pub(super) fn dialled_link_closed(&mut self, life: Life, place: usize, link: u64, why: CloseReason) {
        let now_ms = self.shared.now_ms();
        let target = super::process::id_of(place);
        let Some(process) = self.processes[life.place].as_mut().filter(|process| process.life == life) else {
            return;
        };
        let Some(dialler) = process.diallers.get_mut(&target).filter(|dialler| dialler.link == Some(link))
        else {
            return;
        };
        dialler.link = None;
        dialler.signs.closed(why);
        if now_ms >= dialler.opened_ms + PAUSES_MS.1 {
            dialler.pause_ms = PAUSES_MS.0;
        }
        let pause_ms = self.dice.below(dialler.pause_ms + 1);
        self.after(pause_ms, Event::Dial { life, target });
    }
}

// === impl Dialler ===

impl Dialler {
    /// Whether there ever was a link to that incarnation: only then is its end seen.
    pub(super) fn had_link(&self, generation: u64) -> bool {
        self.generation == generation && self.opened_ms > 0
    }
}
