//! Since when a server has been silent: not since it last answered, for it may not have been asked, but since something was
//! asked that it has not answered.

use tokio::time::Instant;

/// What is known of a connection's answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    answered: Instant,
    /// When that was asked which was not answered in time, since the last answer.
    since: Option<Instant>,
}

// === impl Silence ===

impl Silence {
    /// Of a connection that is made now.
    pub(super) fn new(now: Instant) -> Self {
        Self { answered: now, since: None }
    }

    /// Something was answered.
    pub(super) fn answered(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Something that was asked at `asked` was not answered in time. Since when nothing has been.
    pub(super) fn missed(&mut self, asked: Instant) -> Instant {
        *self.since.get_or_insert(asked.max(self.answered))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn silence_begins_with_the_first_question_that_was_not_answered() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(start);
        assert_eq!(silence.missed(at(100)), at(100), "nobody asked before");
        assert_eq!(silence.missed(at(102)), at(100));
        silence.answered(at(103));
        assert_eq!(silence.missed(at(101)), at(103), "another was answered meanwhile");
        assert_eq!(silence.missed(at(104)), at(103));
    }
}
