//! Which groups are to be looked at when: a tick must not look at all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::maps::HashMap;

/// A time for each name that has one.
#[derive(Debug, Default)]
pub(in crate::core) struct Schedule {
    times: HashMap<Arc<str>, u64>,
    order: BTreeSet<(u64, Arc<str>)>,
}

impl Schedule {
    /// Sets a name's time, or takes it off.
    pub(in crate::core) fn set(&mut self, name: &Arc<str>, due_ms: Option<u64>) {
        if self.times.get(name).copied() == due_ms {
            return;
        }
        if let Some(before_ms) = self.times.remove(name) {
            self.order.remove(&(before_ms, Arc::clone(name)));
        }
        if let Some(due_ms) = due_ms {
            self.times.insert(Arc::clone(name), due_ms);
            self.order.insert((due_ms, Arc::clone(name)));
        }
    }

    /// Takes out the first name whose time has come.
    pub(in crate::core) fn take_due(&mut self, now_ms: u64) -> Option<Arc<str>> {
        if self.order.first()?.0 > now_ms {
            return None;
        }
        let (_, name) = self.order.pop_first()?;
        self.times.remove(&name);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_when_they_are_due_and_once() {
        let mut schedule = Schedule::default();
        let [a, b, c]: [Arc<str>; 3] = ["a", "b", "c"].map(Arc::from);
        schedule.set(&a, Some(30));
        schedule.set(&b, Some(10));
        schedule.set(&c, Some(10));
        schedule.set(&a, Some(20));
        schedule.set(&c, None);
        let due = |schedule: &mut Schedule, now_ms| {
            std::iter::from_fn(|| schedule.take_due(now_ms)).map(|name| name.to_string()).collect::<String>()
        };
        assert_eq!(due(&mut schedule, 9), "");
        assert_eq!(due(&mut schedule, 30), "ba");
        assert_eq!(due(&mut schedule, 99), "");
        assert!(schedule.times.is_empty() && schedule.order.is_empty());
    }
}
