//! How long sessions wait to be told where they stand in a topic: until they have waited long enough, or shorter where no
//! link to the topic's home stands. A loss of links concerns all who wait then; it is noted as one time, and they are
//! walked once when that has come.

use std::collections::VecDeque;
use std::sync::Arc;

use super::SessionKey;

/// Whoever waits, by time; times are those of [`Now::tick_ms`](super::Now), and never go back.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// When those who wait are told `pending`, ascending; also some who wait no longer.
    late: VecDeque<Wait>,
    /// The same of those who came while there was no link, if there is none then.
    unlinked: VecDeque<Wait>,
    /// When all who wait are to be looked at, ascending: one for each millisecond in which something was lost.
    looks: VecDeque<Look>,
    /// How far the look that is under way has come.
    walk: Option<Walk>,
}

/// Until when who waits for which topic.
type Wait = (u64, SessionKey, Arc<str>);

#[derive(Debug, Clone, Copy)]
struct Look {
    due_ms: u64,
    /// When the last of those whom it concerns is late.
    last_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Walk {
    at: usize,
    last_ms: u64,
}

// === impl Waits ===

impl Waits {
    /// A session waits, at most until then.
    pub(super) fn until(&mut self, late_ms: u64, key: SessionKey, name: Arc<str>) {
        self.late.push_back((late_ms, key, name));
    }

    /// It came while there was no link: it waits no longer than until then if there is none.
    pub(super) fn for_link_until(&mut self, due_ms: u64, key: SessionKey, name: Arc<str>) {
        self.unlinked.push_back((due_ms, key, name));
    }

    /// So it is for all who wait now, whoever they are.
    pub(super) fn all_for_link_until(&mut self, due_ms: u64) {
        let Some((last_ms, ..)) = self.late.back().filter(|(late_ms, ..)| *late_ms > due_ms) else { return };
        let look = Look { due_ms, last_ms: *last_ms };
        match self.looks.back_mut().filter(|last| last.due_ms == due_ms) {
            Some(last) => *last = look,
            None => self.looks.push_back(look),
        }
    }

    /// The next one who has waited long enough.
    pub(super) fn next_late(&mut self, now_ms: u64) -> Option<(SessionKey, Arc<str>)> {
        let next = self.late.pop_front_if(|(late_ms, ..)| *late_ms <= now_ms)?;
        if let Some(walk) = &mut self.walk {
            walk.at = walk.at.saturating_sub(1);
        }
        Some((next.1, next.2))
    }

    /// The next one who has waited long enough, should there be no link. Those whose time has come anyway are left to
    /// [`Waits::next_late`].
    pub(super) fn next_unlinked(&mut self, now_ms: u64) -> Option<(SessionKey, Arc<str>)> {
        if let Some((_, key, name)) = self.unlinked.pop_front_if(|(due_ms, ..)| *due_ms <= now_ms) {
            return Some((key, name));
        }
        // What has fallen due together is one walk.
        while let Some(look) = self.looks.pop_front_if(|look| look.due_ms <= now_ms) {
            self.walk = Some(Walk { at: 0, last_ms: look.last_ms });
        }
        let walk = self.walk.as_mut()?;
        if walk.at == 0 {
            walk.at = self.late.partition_point(|(late_ms, ..)| *late_ms <= now_ms);
        }
        let next = self.late.get(walk.at).filter(|(late_ms, ..)| *late_ms <= walk.last_ms);
        let Some((_, key, name)) = next else {
            self.walk = None;
            return None;
        };
        walk.at += 1;
        Some((*key, Arc::clone(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions that are late at these times, named by them.
    fn waits(late_ms: &[u64]) -> Waits {
        let mut waits = Waits::default();
        late_ms.iter().for_each(|late_ms| add(&mut waits, *late_ms));
        waits
    }

    fn add(waits: &mut Waits, late_ms: u64) {
        waits.until(late_ms, key(late_ms), name(late_ms));
    }

    fn key(serial: u64) -> SessionKey {
        SessionKey { index: 0, serial }
    }

    fn name(number: u64) -> Arc<str> {
        number.to_string().into()
    }

    fn unlinked(waits: &mut Waits, now_ms: u64) -> Vec<u64> {
        std::iter::from_fn(|| waits.next_unlinked(now_ms)).map(|(key, _)| key.serial).collect()
    }

    fn late(waits: &mut Waits, now_ms: u64) -> Vec<u64> {
        std::iter::from_fn(|| waits.next_late(now_ms)).map(|(key, _)| key.serial).collect()
    }

    #[test]
    fn whoever_waits_at_a_loss_is_looked_at_once_when_it_is_due() {
        let mut waits = waits(&[2_000, 2_000, 2_030]);
        waits.all_for_link_until(130);
        add(&mut waits, 2_031);
        assert_eq!(unlinked(&mut waits, 129), [0; 0]);
        assert_eq!(unlinked(&mut waits, 130), [2_000, 2_000, 2_030], "who came later waits for his own time");
        assert_eq!(unlinked(&mut waits, 10_000), [0; 0]);
        assert_eq!(late(&mut waits, 2_030), [2_000, 2_000, 2_030]);
        assert_eq!(late(&mut waits, 2_031), [2_031]);
    }

    #[test]
    fn losses_one_after_the_other_are_each_waited_for() {
        let mut waits = waits(&[2_000]);
        waits.all_for_link_until(100);
        add(&mut waits, 2_050);
        waits.all_for_link_until(150);
        waits.all_for_link_until(150);
        add(&mut waits, 2_060);
        assert_eq!(unlinked(&mut waits, 100), [2_000]);
        assert_eq!(unlinked(&mut waits, 149), [0; 0]);
        assert_eq!(unlinked(&mut waits, 150), [2_000, 2_050]);
        assert_eq!(unlinked(&mut waits, 160), [0; 0]);
    }

    #[test]
    fn losses_that_fall_due_together_are_one_look() {
        let mut waits = waits(&[2_000]);
        waits.all_for_link_until(100);
        add(&mut waits, 2_050);
        waits.all_for_link_until(150);
        assert_eq!(unlinked(&mut waits, 200), [2_000, 2_050]);
    }

    #[test]
    fn a_loss_is_noted_in_one_place_however_many_wait_and_however_often_it_is_told() {
        let mut waits = waits(&[2_000; 1_000]);
        for _ in 0..1_000 {
            waits.all_for_link_until(100);
        }
        assert_eq!((waits.looks.len(), waits.unlinked.len()), (1, 0));
        assert_eq!(unlinked(&mut waits, 100).len(), 1_000);
        // Nobody waits that long: there is nothing to note.
        waits.all_for_link_until(2_000);
        assert!(waits.looks.is_empty() && waits.walk.is_none());
    }

    #[test]
    fn who_is_late_leaves_a_walk_where_it_is() {
        let mut waits = waits(&[150, 2_000, 2_001, 2_002]);
        waits.all_for_link_until(100);
        assert_eq!(waits.next_unlinked(100).unwrap().0, key(150));
        assert_eq!(waits.next_unlinked(100).unwrap().0, key(2_000));
        assert_eq!(late(&mut waits, 150), [150]);
        assert_eq!(unlinked(&mut waits, 150), [2_001, 2_002]);
        waits.all_for_link_until(250);
        assert_eq!(unlinked(&mut waits, 2_001), [2_002], "the others are late, and told as such");
    }

    #[test]
    fn who_came_without_a_link_has_a_time_of_his_own() {
        let mut waits = waits(&[2_000]);
        waits.for_link_until(100, key(2_000), name(2_000));
        assert_eq!(unlinked(&mut waits, 99), [0; 0]);
        assert_eq!(unlinked(&mut waits, 100), [2_000]);
        assert_eq!(unlinked(&mut waits, 101), [0; 0]);
    }
}
