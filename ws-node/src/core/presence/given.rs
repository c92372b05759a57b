//! What a node's sessions were told of a group last. What its home says becomes what is new to them: also the whole
//! roster of a new home, and what a home says twice.

use std::collections::BTreeSet;
use std::sync::Arc;

/// One group's, for all its sessions here that want to be told.
#[derive(Debug, Default)]
pub(in crate::core) enum Given {
    /// Nothing yet.
    #[default]
    Nothing,
    /// Who is there.
    Users(BTreeSet<Arc<str>>),
    /// Only how many there are.
    Count(usize),
}

/// What they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::core) enum Tell {
    /// Everybody who is there, ascending.
    Roster(Vec<Arc<str>>),
    /// Who came and who went, ascending, and how many there are now.
    Change {
        /// Users in the group.
        count: usize,
        /// They were not there before.
        joined: Vec<Arc<str>>,
        /// They are there no longer.
        left: Vec<Arc<str>>,
    },
    /// Only how many there are.
    Count(usize),
}

impl Given {
    /// For a session that comes to it: what all others were told, if anything.
    pub(in crate::core) fn current(&self) -> Option<Tell> {
        match self {
            Self::Nothing => None,
            Self::Users(users) => Some(Tell::Roster(users.iter().cloned().collect())),
            Self::Count(count) => Some(Tell::Count(*count)),
        }
    }

    /// The home says who is there.
    pub(in crate::core) fn whole(&mut self, users: impl IntoIterator<Item = Arc<str>>) -> Option<Tell> {
        let users: BTreeSet<Arc<str>> = users.into_iter().collect();
        let Self::Users(known) = self else {
            *self = Self::Users(users);
            return self.current();
        };
        let joined: Vec<_> = users.difference(known).cloned().collect();
        let left = known.difference(&users).cloned().collect();
        *known = users;
        Tell::change(known.len(), joined, left)
    }

    /// The home says who came and who went. Means nothing to whom no roster was given: one is on its way then.
    pub(in crate::core) fn changed(
        &mut self,
        mut joined: Vec<Arc<str>>,
        mut left: Vec<Arc<str>>,
    ) -> Option<Tell> {
        let Self::Users(known) = self else { return None };
        joined.retain(|user| known.insert(Arc::clone(user)));
        left.retain(|user| known.remove(user));
        Tell::change(known.len(), joined, left)
    }

    /// The home says only how many there are.
    pub(in crate::core) fn counted(&mut self, count: usize) -> Option<Tell> {
        if matches!(self, Self::Count(told) if *told == count) {
            return None;
        }
        *self = Self::Count(count);
        self.current()
    }
}

// === impl Tell ===

impl Tell {
    fn change(count: usize, joined: Vec<Arc<str>>, left: Vec<Arc<str>>) -> Option<Self> {
        (!joined.is_empty() || !left.is_empty()).then_some(Self::Change { count, joined, left })
    }
}
