//! Nodes that go away gently, and what a node does every tick.

use ::cluster::ring::MemberState;
use ::cluster::wire::codes::CloseCode;

use super::World;
use super::event::Event;
use super::process::id_of;
use crate::plan::LOOKUPS;
use crate::shared::{Life, News};

/// How long a node that goes away waits for its sessions.
const DRAIN_MS: u64 = 8_000;

impl World {
    /// SIGTERM: it gives up its slots, waits for its sessions to go, and leaves.
    pub(super) fn drain(&mut self, place: usize) {
        let (shared, now) = (self.shared(), self.now());
        let Some(process) = self.processes[place].as_mut() else { return };
        let (life, Some(keeper)) = (process.life, process.keeper.clone()) else { return };
        if process.draining_until_ms.is_some() || process.paused || process.core.is_none() {
            return;
        }
        process.draining_until_ms = Some(now.tick_ms + DRAIN_MS);
        shared.note(format_args!("{life} drains"));
        if let Some(core) = &mut process.core {
            core.begin_drain(now);
        }
        tokio::spawn(async move {
            // Whatever comes of it, it goes away.
            let _ = keeper.drain().await;
        });
    }

    /// Somebody asks for that through the API of a lookup service.
    pub(super) fn drain_from_outside(&mut self, place: usize) {
        let asked = LOOKUPS.filter_map(|place| self.processes[place].as_ref()?.keeper.clone()).next();
        let Some(keeper) = asked else { return };
        tokio::spawn(async move {
            // As any request, this one may fail.
            let _ = keeper.drain_member(&id_of(place)).await;
        });
    }

    pub(super) fn tick(&mut self, life: Life) {
        let (now, shared) = (self.now(), self.shared());
        let Some(process) = self.process(life) else { return };
        let Some(core) = &mut process.core else { return };
        process.touched = true;
        core.tick(now);
        let me = &core.me().id;
        let alone = !core.ring().members().any(|other| other.id != *me && other.state == MemberState::Active);
        let over = process
            .draining_until_ms
            .is_some_and(|until_ms| core.session_count() == 0 || alone || until_ms <= now.tick_ms);
        if over && !process.leaving {
            process.leaving = true;
            core.close_all(CloseCode::Draining);
            if let Some(keeper) = process.keeper.clone() {
                tokio::spawn(async move {
                    // If it fails, the lease lapses.
                    let _ = keeper.leave().await;
                    shared.awake(life.place).await;
                    shared.tell(life, News::Left);
                });
            }
        }
        self.after(100, Event::Tick(life));
    }
}
