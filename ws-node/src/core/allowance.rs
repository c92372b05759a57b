//! Whether a session may ask for something now, and how it is told that it may not.

use cluster::wire::client::Reference;
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{Error, NodeFrame};

use super::rate::Verdict;
use super::session::Stage;
use super::{Core, LinkSink, Now, SessionKey, SessionSink};

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Whether the session may ask for anything but to send now; if not it was told.
    pub(super) fn may_ask(&mut self, key: SessionKey, reference: Reference<'_>, now: Now) -> bool {
        let may = self.affords(key, reference, 1, now);
        if may {
            self.welcome_at_once(key, now);
        }
        may
    }

    /// Whether the session has said `hello`, has not gone on elsewhere, and may do what counts as so many sends; if not
    /// it was told.
    pub(super) fn affords(&mut self, key: SessionKey, reference: Reference<'_>, cost: u32, now: Now) -> bool {
        let limits = self.config.limits;
        let Some(session) = self.sessions.get_mut(key) else { return false };
        match session.stage {
            Stage::Admitted => {
                self.fail(key, reference, ErrorCode::HelloExpected);
                return false;
            }
            Stage::Detached => return false,
            Stage::Waiting | Stage::Live => {}
        }
        match session.bucket.take_many(cost, limits.sends_per_second, limits.sends_burst, now.tick_ms) {
            Verdict::Go => return true,
            Verdict::Wait(ms) => self.refuse(key, reference, ErrorCode::RateLimited, Some(ms)),
            Verdict::Enough => self.fail(key, reference, ErrorCode::RateExceeded),
        }
        false
    }

    /// Says no to a request.
    pub(super) fn refuse(
        &mut self,
        key: SessionKey,
        reference: Reference<'_>,
        code: ErrorCode,
        retry_after_ms: Option<u64>,
    ) {
        self.counts.refused += 1;
        if let Some(session) = self.sessions.get(key) {
            session.push(&NodeFrame::Error(Error { retry_after_ms, ..Error::new(reference, code) }));
        }
    }
}
