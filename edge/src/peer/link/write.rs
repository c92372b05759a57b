//! The writer of a link: packs what is queued into few large messages, and says something when there is nothing.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};

use super::{CLOSE_WAIT, End};
use crate::io::Io;
use crate::peer::batch::{self, FRAME_HEAD_BYTES, Kind};
use crate::peer::counts::LinkCounts;
use crate::peer::events::{CloseReason, RingSource};
use crate::peer::queue::{Control, LinkQueue};
use crate::peer::settings::{FRAME_BYTES_MAX, LinkSettings, PeerConfig};
use crate::websocket::LinkWriter;

/// Capacity of the message buffer that is kept while there is nothing to write.
const KEPT_BYTES: usize = 16 * 1024;

/// Owns the writing half.
pub(super) struct Writer {
    socket: LinkWriter<Io>,
    queue: LinkQueue,
    end: End,
    ring: Arc<dyn RingSource>,
    counts: LinkCounts,
    settings: LinkSettings,
    message: Vec<u8>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(socket: LinkWriter<Io>, queue: LinkQueue, end: End, config: &PeerConfig) -> Self {
        Self {
            socket,
            queue,
            end,
            ring: Arc::clone(&config.ring),
            counts: config.counts.clone(),
            settings: config.settings.clone(),
            message: Vec::new(),
        }
    }

    /// Writes until the end of the link, which a failed write brings about.
    pub(super) async fn run(mut self) {
        let outcome = self.write_all().await;
        match outcome {
            Ok(()) => self.say_goodbye().await,
            Err(why) => self.end.close(why),
        }
    }

    async fn write_all(&mut self) -> Result<(), CloseReason> {
        let mut wrote = Instant::now();
        let mut beat = pin!(sleep(self.settings.heartbeat));
        while !self.end.is_closed() {
            let control = self.queue.take_control();
            let mut heartbeat = false;
            if control == Control::default() && self.queue.peek().is_none() {
                tokio::select! {
                    biased;
                    () = self.end.closed() => break,
                    () = self.queue.ready() => continue,
                    () = beat.as_mut() => {
                        heartbeat = wrote.elapsed() >= self.settings.heartbeat;
                        let from = if heartbeat { Instant::now() } else { wrote };
                        beat.as_mut().reset(from + self.settings.heartbeat);
                        self.message.shrink_to(KEPT_BYTES);
                        if !heartbeat {
                            continue;
                        }
                    }
                }
            }
            self.pack(control, heartbeat);
            self.flush().await?;
            wrote = Instant::now();
        }
        Ok(())
    }

    /// Makes one message of the link's own frames and of as many queued ones as it takes.
    fn pack(&mut self, control: Control, heartbeat: bool) {
        batch::begin(&mut self.message);
        if heartbeat {
            batch::push(&mut self.message, Kind::Heartbeat, b"");
        }
        if control.want_ring {
            batch::push(&mut self.message, Kind::WantRing, b"");
        }
        if control.ring {
            self.pack_ring();
        }
        let (mut frames, empty) = (0, self.message.len());
        while let Some(frame) = self.queue.peek() {
            let len = self.message.len() + FRAME_HEAD_BYTES + frame.len();
            if len > self.settings.batch_bytes && self.message.len() > batch::HEADER_BYTES {
                break;
            }
            batch::push(&mut self.message, Kind::Payload, frame);
            self.queue.pop();
            frames += 1;
        }
        debug_assert!(frames > 0 || empty > batch::HEADER_BYTES);
        // Read last: no frame of the message was written under a later ring than its header says.
        batch::stamp(&mut self.message, self.ring.version());
        let counts = self.counts.inner();
        counts.frames_out.inc_by(frames);
        counts.messages_out.inc();
        counts.bytes_out.inc_by(self.message.len() as u64);
        self.socket.queue(&self.message);
    }

    fn pack_ring(&mut self) {
        match self.ring.sealed() {
            Some(record) if record.len() <= FRAME_BYTES_MAX => {
                batch::push(&mut self.message, Kind::Ring, &record);
            }
            Some(record) => tracing::warn!(bytes = record.len(), "the ring's record is too large to pass on"),
            // The peer waits in vain, for a bounded time; its next look at the store will tell it.
            None => batch::push(&mut self.message, Kind::Heartbeat, b""),
        }
    }

    async fn flush(&mut self) -> Result<(), CloseReason> {
        let mut flush = pin!(timeout(self.settings.write_timeout, self.socket.flush()));
        let outcome = tokio::select! {
            biased;
            outcome = flush.as_mut() => outcome,
            // Half a message would break the link before its close frame.
            () = self.end.closed() => timeout(CLOSE_WAIT, flush).await.and_then(|outcome| outcome),
        };
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(CloseReason::Broken(error.kind())),
            Err(_) => Err(CloseReason::WriteTimeout),
        }
    }

    /// A process that ends sends what its queue still holds; then the close frame.
    async fn say_goodbye(mut self) {
        let why = self.end.reason();
        let farewell = async {
            while why == CloseReason::Shutdown && self.queue.peek().is_some() {
                self.pack(Control::default(), false);
                self.flush().await?;
            }
            let closed = self.socket.close(why.websocket_code(), why.code()).await;
            closed.map_err(|error| CloseReason::Broken(error.kind()))
        };
        // Whether the peer hears it makes no difference any more.
        let _ = timeout(CLOSE_WAIT, farewell).await;
    }
}
