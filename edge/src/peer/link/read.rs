//! The reader of a link: hands batches to the owner, in order, each after the ring it was sent under.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::End;
use crate::io::Io;
use crate::peer::batch::Batch;
use crate::peer::counts::LinkCounts;
use crate::peer::events::{CloseReason, LinkId, PeerEvents, RingSource};
use crate::peer::follow::{Asks, Follow};
use crate::peer::queue::LinkSender;
use crate::peer::settings::PeerConfig;
use crate::websocket::{LinkError, LinkEvent, LinkReader};

/// How often a waiting reader looks whether the ring has come: it may come by other ways than this link.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a reader knows besides its socket.
pub(super) struct Inbox {
    link: LinkId,
    sender: LinkSender,
    end: End,
    events: Arc<dyn PeerEvents>,
    ring: Arc<dyn RingSource>,
    counts: LinkCounts,
    follow: Follow,
    asks: Arc<Mutex<Asks>>,
    silence: Duration,
    heard: Instant,
}

// === impl Inbox ===

impl Inbox {
    pub(super) fn new(link: LinkId, sender: LinkSender, end: End, config: &PeerConfig) -> Self {
        let settings = &config.settings;
        Self {
            link,
            sender,
            end,
            events: Arc::clone(&config.events),
            ring: Arc::clone(&config.ring),
            counts: config.counts.clone(),
            follow: Follow::new(settings.ring_wait, settings.held_bytes_max),
            asks: Arc::clone(&config.asks),
            silence: settings.silence,
            heard: Instant::now(),
        }
    }

    /// Reads until the end of the link and returns the reason.
    pub(super) async fn run(mut self, mut reader: LinkReader<Io>) -> CloseReason {
        let end = self.end.clone();
        let mut ended = pin!(end.closed());
        let mut tick = pin!(sleep_until(self.next_look()));
        loop {
            let event = {
                // Not cancel-safe: the same read goes on through every tick, and is dropped only with the link.
                let mut read = pin!(reader.read());
                loop {
                    tokio::select! {
                        biased;
                        () = ended.as_mut() => return end.reason(),
                        // Before the tick: what has arrived is heard, however late this process comes to read it.
                        event = read.as_mut(), if !self.follow.is_full() => break event,
                        () = tick.as_mut() => {
                            if self.is_silent(Instant::now()) {
                                return CloseReason::Silent;
                            }
                            self.go_on(Instant::now());
                            tick.as_mut().reset(self.next_look());
                        }
                    }
                }
            };
            let message = match event {
                Ok(LinkEvent::Message(message)) => message,
                Ok(LinkEvent::Closed(_)) => return CloseReason::ClosedByPeer,
                Err(error) => return self.broken(&error),
            };
            if let Err(fault) = self.take(message, Instant::now()) {
                return CloseReason::Protocol(fault);
            }
            if self.follow.is_waiting() {
                tick.as_mut().reset(self.next_look());
            }
        }
    }

    fn take(&mut self, message: Bytes, now: Instant) -> Result<(), &'static str> {
        self.heard = now;
        self.counts.inner().messages_in.inc();
        self.counts.inner().bytes_in.inc_by(message.len() as u64);
        let batch = Batch::parse(message)?;
        if batch.want_ring {
            self.sender.control(|control| control.ring = true);
        }
        if let Some(record) = &batch.record {
            self.ring.offer(record);
            self.follow.answered();
        }
        self.follow.arrived(batch);
        self.go_on(now);
        Ok(())
    }

    /// Asks for the ring if need be, and gives the owner every batch that need not wait.
    fn go_on(&mut self, now: Instant) {
        if self.follow.is_full() {
            self.heard = now; // who does not read hears nothing: the peer's time begins when it is read again
        }
        let mut have = self.ring.version();
        if self.follow.is_behind(have) && self.follow.ask(have, now, &mut self.asks.lock()) {
            self.counts.inner().rings_asked.inc();
            self.sender.control(|control| control.want_ring = true);
        }
        while let Some(due) = self.follow.next(have, now) {
            let ring = due.batch.ring;
            if due.missed {
                self.counts.inner().rings_missed.inc();
                tracing::warn!(link = %self.link, version = ring, "the peer's ring did not come: acting without it");
            }
            self.counts.inner().frames_in.inc_by(due.batch.payloads);
            self.events.frames(self.link, ring, &mut due.batch.payloads());
            if self.follow.is_waiting() {
                have = self.ring.version(); // may cost its owner a lock: not asked without need
            }
        }
    }

    fn is_silent(&self, now: Instant) -> bool {
        !self.follow.is_full() && now >= self.heard + self.silence
    }

    fn next_look(&self) -> Instant {
        if self.follow.is_waiting() { Instant::now() + LOOK_AGAIN } else { self.heard + self.silence }
    }

    fn broken(&self, error: &LinkError) -> CloseReason {
        tracing::debug!(link = %self.link, %error, "peer link cannot be read");
        match error {
            LinkError::Broken(error) => CloseReason::Broken(error.kind()),
            LinkError::TooLarge { .. } => CloseReason::Protocol("a message over the limit"),
            LinkError::Protocol(_) => CloseReason::Protocol("not a link message"),
        }
    }
}
