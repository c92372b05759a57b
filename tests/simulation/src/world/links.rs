//! Links between processes, as `edge` makes them: batches with the sender's ring version, heartbeats, silence; the real
//! queue in front of each end, and the real rule by which batches wait for their ring. Bytes on the way are held up by
//! cuts and come in order.

use std::collections::VecDeque;

use bytes::Bytes;
use edge::peer::batch::{self, Batch, Kind};
use edge::peer::follow::Follow;
use edge::peer::{CloseReason, LinkId, LinkQueue, LinkSender, LinkSettings, queue};
use tokio::time::Instant;

use super::World;
use super::event::Event;
use super::process::id_of;
use crate::shared::Life;
use crate::sinks::PeerSink;

/// How often an end looks after itself, milliseconds.
const BEAT_MS: u64 = 1_000;
/// How long it bears silence.
const SILENCE_MS: u64 = 5_000;
/// How often an end that waits for a ring looks again.
const LOOK_MS: u64 = 10;

/// A link: the end that dialled, and the end that listens.
pub(super) struct Link {
    pub(super) ends: [End; 2],
}

/// One end of it.
pub(super) struct End {
    pub(super) life: Life,
    open: bool,
    sender: LinkSender,
    queue: LinkQueue,
    follow: Follow,
    heard_ms: u64,
    wrote_ms: u64,
    /// What it has still to say of its own.
    wants_ring: bool,
    owes_ring: bool,
    flushing: bool,
    looking: bool,
    /// What is on its way here, in order, and when it arrives.
    coming: VecDeque<(u64, Item)>,
}

/// What is on its way.
enum Item {
    Batch(Bytes),
    /// The other end is closed, or its process gone.
    End,
}

impl World {
    /// Opens a link between two processes that run.
    pub(super) fn open_link(&mut self, from: Life, to: Life) {
        let id = self.new_id();
        let now_ms = self.shared.now_ms();
        let settings = LinkSettings::default();
        let bytes = self.plan.link_bytes;
        let end = |life| {
            let (sender, queue) = queue(LinkId::simulated(id), bytes);
            End {
                life,
                open: true,
                sender,
                queue,
                follow: Follow::new(settings.ring_wait, settings.held_bytes_max),
                heard_ms: now_ms,
                wrote_ms: now_ms,
                wants_ring: false,
                owes_ring: false,
                flushing: false,
                looking: false,
                coming: VecDeque::new(),
            }
        };
        self.replace_links(from, to);
        let link = Link { ends: [end(from), end(to)] };
        let senders = [link.ends[0].sender.clone(), link.ends[1].sender.clone()];
        self.links.insert(id, link);
        self.shared.note(format_args!("link {id}: {from} to {to}"));
        let [there, back] = senders;
        let (there, back) = (
            PeerSink::new((id, 0), there, self.marks.clone()),
            PeerSink::new((id, 1), back, self.marks.clone()),
        );
        let asker = self.process(from).map(|process| process.name.id.clone()).unwrap_or_default();
        if let Some(core) = self.core(to) {
            core.asker_opened(id, back);
            core.asker_is(id, &asker);
        }
        if let Some(core) = self.core(from) {
            core.home_opened(&id_of(to.place), id, there);
        }
        for end in 0..2 {
            let phase = self.dice.below(BEAT_MS);
            self.after(phase, Event::LinkBeat(id, end));
        }
    }

    /// A newer link of the same peer takes an older one's place at the listener.
    fn replace_links(&mut self, from: Life, to: Life) {
        let same = |link: &Link| {
            link.ends[1].open && link.ends[1].life == to && link.ends[0].life.place == from.place
        };
        let older: Vec<u64> = self.links.iter().filter(|(_, link)| same(link)).map(|(id, _)| *id).collect();
        older.into_iter().for_each(|id| self.close_link(id, 1, CloseReason::Replaced));
    }

    /// An end has something to write.
    pub(super) fn mark_link(&mut self, id: u64, end: usize) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let this = &mut link.ends[end];
        if this.open && !std::mem::replace(&mut this.flushing, true) {
            let ms = self.dice.below(2);
            self.after(ms, Event::LinkFlush(id, end));
        }
    }

    /// An end writes what waits, in one batch, under the ring that its process holds now.
    pub(super) fn flush_link(&mut self, id: u64, end: usize) {
        self.write(id, end, false);
    }

    fn write(&mut self, id: u64, end: usize, heartbeat: bool) {
        let Some(life) = self.links.get(&id).map(|link| link.ends[end].life) else { return };
        let Some(ring) = self.ring_version(life) else { return };
        let sealed = self.process(life).and_then(|process| process.keeper.as_ref()?.sealed());
        let (now_ms, delay) = (self.shared.now_ms(), self.latency());
        let Some(link) = self.links.get_mut(&id) else { return };
        let this = &mut link.ends[end];
        this.flushing = false;
        if !this.open {
            return;
        }
        let mut message = Vec::new();
        batch::begin(&mut message);
        let empty = message.len();
        if std::mem::take(&mut this.wants_ring) {
            batch::push(&mut message, Kind::WantRing, b"");
        }
        if let (true, Some(record)) = (std::mem::take(&mut this.owes_ring), sealed) {
            batch::push(&mut message, Kind::Ring, &record);
        }
        while let Some(frame) = this.queue.pop() {
            batch::push(&mut message, Kind::Payload, &frame);
        }
        if message.len() == empty {
            if !heartbeat {
                return;
            }
            batch::push(&mut message, Kind::Heartbeat, b"");
        }
        batch::stamp(&mut message, ring);
        this.wrote_ms = now_ms;
        self.put(id, 1 - end, Item::Batch(message.into()), now_ms + delay);
    }

    /// Something is on its way to an end.
    fn put(&mut self, id: u64, end: usize, item: Item, at_ms: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let coming = &mut link.ends[end].coming;
        let at_ms = coming.back().map_or(at_ms, |(last_ms, _)| at_ms.max(*last_ms));
        coming.push_back((at_ms, item));
        self.schedule(at_ms, Event::LinkArrive(id, end));
    }

    /// What has arrived at an end is read.
    pub(super) fn arrive(&mut self, id: u64, end: usize) {
        let now_ms = self.shared.now_ms();
        loop {
            let Some(link) = self.links.get_mut(&id) else { return };
            let (from, to) = (link.ends[1 - end].life.place, link.ends[end].life.place);
            let this = &mut link.ends[end];
            let due = this.coming.front().is_some_and(|(at_ms, _)| *at_ms <= now_ms);
            if !due || !self.shared.state().net.open(from, to) {
                return;
            }
            let Some((_, item)) = this.coming.pop_front() else { return };
            if !this.open {
                self.tidy_link(id);
                continue;
            }
            match item {
                Item::End => {
                    self.close_link(id, end, CloseReason::Broken(std::io::ErrorKind::ConnectionReset))
                }
                Item::Batch(message) => self.read(id, end, message),
            }
        }
    }

    fn read(&mut self, id: u64, end: usize, message: Bytes) {
        let now_ms = self.shared.now_ms();
        let batch = match Batch::parse(message) {
            Ok(batch) => batch,
            Err(fault) => return self.shared.fail(format_args!("link {id}: {fault}")),
        };
        let Some(link) = self.links.get_mut(&id) else { return };
        let this = &mut link.ends[end];
        this.heard_ms = now_ms;
        this.owes_ring |= batch.want_ring;
        let (life, owes) = (this.life, batch.want_ring);
        if let Some(record) = batch.record.clone() {
            this.follow.answered();
            self.offer(life, &record);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.ends[end].follow.arrived(batch);
        }
        if owes {
            self.mark_link(id, end);
        }
        self.go_on(id, end);
    }

    /// A peer passed on a ring.
    fn offer(&mut self, life: Life, record: &[u8]) {
        let Some(keeper) = self.process(life).and_then(|process| process.keeper.clone()) else { return };
        match keeper.offer(record) {
            Ok(offered) => self.shared.note(format_args!("{life} was offered a ring: {offered:?}")),
            Err(error) => self.shared.fail(format_args!("{life} was offered a bad ring: {error}")),
        }
        self.catch_up(life);
    }

    /// Asks for the ring if need be, and hands on every batch that need not wait.
    fn go_on(&mut self, id: u64, end: usize) {
        let now = Instant::now();
        loop {
            let Some(life) = self.links.get(&id).map(|link| link.ends[end].life) else { return };
            let Some(have) = self.ring_version(life) else { return };
            let Some(process) = self.processes[life.place].as_mut() else { return };
            let Some(link) = self.links.get_mut(&id) else { return };
            let this = &mut link.ends[end];
            if this.follow.is_behind(have) && this.follow.ask(have, now, &mut process.asks) {
                this.wants_ring = true;
                self.marks.lock().push(crate::sinks::Mark::Link(id, end));
            }
            let Some(due) = this.follow.next(have, now) else { break };
            if due.missed {
                self.shared.note(format_args!("link {id}: a ring did not come"));
            }
            self.frames(id, end, due.batch);
        }
        if let Some(link) = self.links.get_mut(&id)
            && link.ends[end].follow.is_waiting()
            && !std::mem::replace(&mut link.ends[end].looking, true)
        {
            self.after(LOOK_MS, Event::LinkLook(id, end));
        }
    }

    pub(super) fn look(&mut self, id: u64, end: usize) {
        if let Some(link) = self.links.get_mut(&id) {
            link.ends[end].looking = false;
            self.go_on(id, end);
        }
    }

    fn frames(&mut self, id: u64, end: usize, batch: Batch) {
        let now = self.now();
        let Some(link) = self.links.get(&id) else { return };
        let (life, other) = (link.ends[end].life, link.ends[1 - end].life);
        self.tally.batches += 1;
        for frame in batch.payloads() {
            let Some(core) = self.core(life) else { return };
            if end == 0 {
                core.answered_by(&id_of(other.place), &frame, now);
            } else {
                core.asked(id, &frame, now);
            }
        }
        self.shared.note(format_args!("link {id}: frames for {life}"));
    }

    /// Once a second: says something, or finds that nothing was heard for too long.
    pub(super) fn beat(&mut self, id: u64, end: usize) {
        let now_ms = self.shared.now_ms();
        let Some(link) = self.links.get_mut(&id) else { return };
        let this = &mut link.ends[end];
        if !this.open {
            return;
        }
        if now_ms >= this.heard_ms + SILENCE_MS {
            return self.close_link(id, end, CloseReason::Silent);
        }
        if now_ms >= this.wrote_ms + BEAT_MS {
            self.write(id, end, true);
        }
        self.after(BEAT_MS, Event::LinkBeat(id, end));
    }

    /// An end closes its side; the other end hears of it if it can.
    pub(super) fn close_link(&mut self, id: u64, end: usize, why: CloseReason) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if !std::mem::replace(&mut link.ends[end].open, false) {
            return;
        }
        let (life, other) = (link.ends[end].life, link.ends[1 - end].life);
        self.shared.note(format_args!("link {id}: closed by {life}: {why}"));
        if let Some(core) = self.core(life) {
            if end == 0 { core.home_closed(&id_of(other.place), id) } else { core.asker_closed(id) }
        }
        let at_ms = self.shared.now_ms() + self.latency();
        self.put(id, 1 - end, Item::End, at_ms);
        if end == 0 {
            self.dialled_link_closed(life, other.place, id, why);
        }
        self.tidy_link(id);
    }

    fn tidy_link(&mut self, id: u64) {
        if self.links.get(&id).is_some_and(|link| !link.ends[0].open && !link.ends[1].open) {
            self.links.remove(&id);
        }
    }

    /// The process of an end is gone: what it had written may still arrive, and then its end does.
    pub(super) fn links_of_dead(&mut self, life: Life) {
        let of = |link: &Link| link.ends.iter().position(|end| end.open && end.life == life);
        let ends: Vec<(u64, usize)> =
            self.links.iter().filter_map(|(id, link)| Some((*id, of(link)?))).collect();
        for (id, end) in ends {
            if let Some(link) = self.links.get_mut(&id) {
                link.ends[end].open = false;
                if self.dice.one_in(2) {
                    // What the kernel had not sent yet is gone with it.
                    link.ends[1 - end].coming.pop_back();
                }
            }
            let at_ms = self.shared.now_ms() + self.latency();
            self.put(id, 1 - end, Item::End, at_ms);
            self.tidy_link(id);
        }
    }

    /// What was held up on a way arrives.
    pub(super) fn released(&mut self, from: usize, to: usize) {
        let mut held = Vec::new();
        for (id, link) in &self.links {
            for end in 0..2 {
                if link.ends[1 - end].life.place == from && link.ends[end].life.place == to {
                    held.push((*id, end));
                }
            }
        }
        held.into_iter().for_each(|(id, end)| self.after(0, Event::LinkArrive(id, end)));
    }

    /// The version of the ring that a process goes by.
    fn ring_version(&mut self, life: Life) -> Option<u64> {
        let process = self.process(life)?;
        match &process.core {
            Some(core) => Some(core.ring().version().as_u64()),
            None => Some(process.keeper.as_ref()?.ring()?.version().as_u64()),
        }
    }
}
