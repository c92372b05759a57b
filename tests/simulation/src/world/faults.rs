//! What fails, and how it works again.

use std::sync::Arc;

use ::cluster::membership::Stored;
use bytes::Bytes;
use ws_node::decisions::By;

use super::event::Event;
use super::{SERVICE, World};
use crate::plan::{Fault, LOOKUPS};
use crate::shared::{STORE, StoreHealth};

impl World {
    pub(super) fn fault(&mut self, fault: Fault) {
        self.shared.note(format_args!("FAULT {fault:?}"));
        self.tally.faults += 1;
        self.troubled();
        match fault {
            Fault::Join(place) => self.start(place),
            Fault::Restart(place) => self.restart(place),
            Fault::Drain(place) => self.drain(place, By::Process),
            Fault::DrainFromOutside(place) => self.drain_from_outside(place),
            Fault::Crash(place) => self.end(place),
            Fault::Pause(place) => self.pause(place),
            Fault::Wake(place) => self.wake(place),
            Fault::Cut(from, to) => self.shared.change(|net| net.cut[from][to] = true),
            Fault::Heal(from, to) => {
                self.shared.change(|net| net.cut[from][to] = false);
                self.healed_ms = self.shared.now_ms();
                self.released(from, to);
            }
            Fault::StoreStalls => {
                self.shared.change(|net| net.store = StoreHealth::Stalled);
                self.store_away_ms.get_or_insert(self.shared.now_ms());
            }
            Fault::StoreGone => {
                self.store.set_reachable(false);
                self.store_away_ms.get_or_insert(self.shared.now_ms());
                self.shared.change(|net| net.store = StoreHealth::Gone);
            }
            Fault::StoreBack => self.store_back(),
            Fault::Copy => self.copy(),
            Fault::StoreEmpty => {
                self.store.flush();
                self.forget_reaps();
                self.shared.state().log.rolled_back(None);
            }
            Fault::MembershipOlder => self.membership_older(),
            Fault::LogOlder => self.log_older(),
            Fault::StoreOlder => {
                self.membership_older();
                self.log_older();
            }
            Fault::Garbage(number) => self.garbage(number),
            Fault::AnswersLost => self.shared.change(|net| net.answers_lost = true),
            Fault::AnswersHeard => self.shared.change(|net| net.answers_lost = false),
            Fault::NoticesBad(one_in) => self.shared.change(|net| net.notices_bad = one_in),
            Fault::Slow(client) => self.clients[client].slow = true,
            Fault::Quick(client) => self.quick(client),
            Fault::Break(client) => self.cut_off(client),
            Fault::Crowd => (0..self.clients.len()).for_each(|client| self.cut_off(client)),
            Fault::Mute(client) => {
                for socket in self.sockets_of(client) {
                    if let Some(socket) = self.sockets.get_mut(&socket) {
                        (socket.mute, socket.was_slow) = (true, true);
                    }
                }
            }
        }
    }

    /// From here on everything works, and everybody is there who ever was.
    pub(super) fn calm(&mut self) {
        self.shared.note(format_args!("CALM"));
        for from in 0..=STORE {
            for to in 0..=STORE {
                if self.shared.state().net.cut[from][to] {
                    self.fault(Fault::Heal(from, to));
                }
            }
        }
        if self.shared.state().net.store != StoreHealth::Well {
            self.store_back();
        }
        self.shared.change(|net| (net.answers_lost, net.notices_bad) = (false, 0));
        for place in 0..LOOKUPS.end {
            self.wake(place);
            if self.lives[place] > 0 {
                self.restart(place);
            }
        }
        (0..self.clients.len()).for_each(|client| self.quick(client));
    }

    /// Starts a process again, once it has gone if it is about to go.
    fn restart(&mut self, place: usize) {
        if self.lives[place] == 0 {
            return;
        }
        match &self.processes[place] {
            None => self.start(place),
            Some(process) if process.draining.is_some() => {
                self.after(500, Event::Fault(Fault::Restart(place)));
            }
            Some(_) => {}
        }
    }

    fn store_back(&mut self) {
        self.store.set_reachable(true);
        self.store_away_ms = None;
        self.shared.change(|net| net.store = StoreHealth::Well);
    }

    fn sockets_of(&self, client: usize) -> Vec<u64> {
        self.clients[client].connections.iter().map(|connection| connection.socket).collect()
    }

    fn cut_off(&mut self, client: usize) {
        for socket in self.sockets_of(client) {
            self.client_gone(socket);
            self.closed_for_client(socket, None);
        }
    }

    fn quick(&mut self, client: usize) {
        let now_ms = self.shared.now_ms();
        self.clients[client].slow = false;
        for connection in &mut self.clients[client].connections {
            connection.heard_ms = connection.heard_ms.max(now_ms.saturating_sub(10_000));
        }
        for socket in self.sockets_of(client) {
            self.mark_socket(socket);
        }
    }

    fn copy(&mut self) {
        let book = self.shared.state().log.clone();
        self.copied = Some((self.store.copy_log(SERVICE), book));
        let (membership, slot) = (self.membership.clone(), Arc::clone(&self.copied_record));
        tokio::spawn(async move {
            if let Ok(stored) = membership.read().await {
                *slot.lock() = Some(stored);
            }
        });
    }

    fn membership_older(&mut self) {
        let stored = self.copied_record.lock().clone().unwrap_or(Stored::Absent);
        self.store.overwrite(SERVICE, stored);
        self.forget_reaps();
        // Whoever puts the ring back says that the log may have lost something, too.
        self.shared.state().log.losses += 1;
    }

    fn log_older(&mut self) {
        match self.copied.take() {
            Some((copy, book)) => {
                self.store.restore_log(SERVICE, &copy);
                self.shared.state().log.rolled_back(Some(&book));
            }
            None => {
                self.store.restore_log(SERVICE, &self.empty);
                self.shared.state().log.rolled_back(None);
            }
        }
    }

    fn garbage(&mut self, number: u64) {
        let stored = match number % 4 {
            0 => Stored::Absent,
            1 => Stored::WrongType,
            2 => Stored::Record(Bytes::from_static(b"*3\r\n wss://stranger.test/ws")),
            _ => Stored::Record(self.forged()),
        };
        self.store.overwrite(SERVICE, stored);
        self.forget_reaps();
        self.shared.state().log.losses += 1;
    }

    /// The store's own memory of them is gone, and with it the guard's.
    fn forget_reaps(&self) {
        self.reaps.lock().clear();
    }

    /// A ring of strangers, signed by strangers.
    fn forged(&self) -> Bytes {
        use ::cluster::ring::{Member, MemberState, Policy, Record, RecordKey, Ring, RingKey};
        let member = Member {
            id: "n0".to_owned(),
            generation: u64::MAX / 2,
            url: "wss://stranger.test/ws".to_owned(),
            peer: "10.9.9.9:1".to_owned(),
            weight: 100,
            state: MemberState::Active,
        };
        let ring = Ring::genesis(SERVICE, RingKey::new([9; 16]), Policy::Hashed);
        let ring = ring.join(member).unwrap_or(ring);
        Record::seal(&ring.with_term(77), &RecordKey::new([9; 32])).into_bytes()
    }
}
