//! Tickets that were used: each opens one connection. A ticket is remembered until it has lapsed.

use std::collections::BTreeMap;

use cluster::maps::SteadySet;
use cluster::tokens::CLOCK_LEEWAY_S;

/// The names of used tickets by the second in which they may be forgotten.
#[derive(Debug, Default)]
pub(super) struct UsedTickets {
    names: SteadySet<String>,
    lapsing: BTreeMap<u64, Vec<String>>,
}

impl UsedTickets {
    /// Marks a ticket used; false if it was used before.
    pub(super) fn take(&mut self, jti: &str, expires_s: u64) -> bool {
        if !self.names.insert(jti.to_owned(), ()) {
            return false;
        }
        self.lapsing.entry(expires_s + CLOCK_LEEWAY_S + 1).or_default().push(jti.to_owned());
        true
    }

    /// Forgets the tickets that have lapsed.
    pub(super) fn forget(&mut self, now_s: u64) {
        while let Some(entry) = self.lapsing.first_entry() {
            if *entry.key() > now_s {
                break;
            }
            for jti in entry.remove() {
                self.names.remove(&jti);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_taken_once_and_forgotten_when_it_has_lapsed() {
        let mut used = UsedTickets::default();
        assert!(used.take("a", 100) && used.take("b", 101));
        used.forget(105);
        assert!(!used.take("a", 100), "still within the leeway");
        used.forget(106);
        assert!(used.take("a", 100));
        assert!(!used.take("b", 101));
    }
}
