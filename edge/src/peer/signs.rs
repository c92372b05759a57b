//! Signs that a peer's process is dead: its link has ended, not by us, and a new connection is refused. Pure: outcomes
//! and `now` in, a decision out.
//!
//! Neither alone is one. A link breaks when the network does; where there never was a link, a wrong address or a wall may
//! refuse. And silence is none: a process that hangs, or whose packets are swallowed, may be serving others.

use std::time::Duration;

use tokio::time::Instant;

use super::dial::DialError;
use super::events::CloseReason;

/// The least time between two sayings about the same peer: a renewal of the peer's takes back what was said.
const SAID_EACH: Duration = Duration::from_millis(300);

/// What is known of one incarnation of a peer by the links that were dialled to it.
#[derive(Debug, Default)]
pub struct Signs {
    /// Its last link ended, and not by us.
    lost: bool,
    said: Option<Instant>,
}

// === impl Signs ===

impl Signs {
    /// A link to it stands: it lives.
    pub fn opened(&mut self) {
        *self = Self::default();
    }

    /// The link ended.
    pub fn closed(&mut self, why: CloseReason) {
        self.lost = why.is_failure() || why == CloseReason::ClosedByPeer;
    }

    /// An attempt to open a link failed: whether to say now that the peer seems dead.
    pub fn dial_failed(&mut self, error: &DialError, now: Instant) -> bool {
        let lately = self.said.is_some_and(|said| now < said + SAID_EACH);
        let says = self.lost && error.is_refused() && !lately;
        if says {
            self.said = Some(now);
        }
        says
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    const BROKEN: CloseReason = CloseReason::Broken(ErrorKind::ConnectionReset);
    const REFUSED: DialError = DialError::Refused;

    fn after(reasons: &[CloseReason]) -> Signs {
        let mut signs = Signs::default();
        for reason in reasons {
            signs.opened();
            signs.closed(*reason);
        }
        signs
    }

    #[test]
    fn a_lost_link_and_a_refused_connection_are_a_sign_and_neither_alone() {
        let now = Instant::now();
        for lost in [BROKEN, CloseReason::Silent, CloseReason::WriteTimeout, CloseReason::ClosedByPeer] {
            assert!(after(&[lost]).dial_failed(&REFUSED, now), "{lost}");
        }
        for ours in [CloseReason::Shutdown, CloseReason::NotWanted, CloseReason::Renamed] {
            assert!(!after(&[ours]).dial_failed(&REFUSED, now), "{ours}");
        }
        assert!(!Signs::default().dial_failed(&REFUSED, now), "there never was a link");
        let mut open = after(&[BROKEN]);
        open.opened();
        assert!(!open.dial_failed(&REFUSED, now), "the link stands");
    }

    #[test]
    fn only_a_refusal_is_one() {
        let now = Instant::now();
        let others = [
            DialError::TimedOut(SAID_EACH),
            DialError::Unresolved("n1".into()),
            DialError::Network(ErrorKind::NetworkUnreachable),
            DialError::Network(ErrorKind::ConnectionReset),
            DialError::Rejected(409),
            DialError::Unproven,
            DialError::Handshake("cut short".into()),
        ];
        let mut signs = after(&[BROKEN]);
        for error in others {
            assert!(!signs.dial_failed(&error, now), "{error}");
        }
        assert!(signs.dial_failed(&REFUSED, now), "whatever else failed before");
    }

    #[test]
    fn it_is_said_again_while_refusals_go_on_but_not_with_each() {
        let now = Instant::now();
        let mut signs = after(&[BROKEN]);
        let said: Vec<u32> =
            (0..10).filter(|n| signs.dial_failed(&REFUSED, now + Duration::from_millis(100) * *n)).collect();
        assert_eq!(said, [0, 3, 6, 9]);
        signs.opened();
        signs.closed(BROKEN);
        assert!(signs.dial_failed(&REFUSED, now + Duration::from_millis(901)), "a new loss is a new sign");
    }
}
