//! A node's own members of a group, by user, and what of them the group's home is still to be told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::users::{Loss, Users};

/// Users in one report, at most: well under a link's frame limit with the longest names.
const USERS_PER_REPORT: usize = 500;

/// So many more who left than who are there, and the whole list is shorter.
const LEFT_MORE_MAX: usize = 1_000;

/// One group's.
#[derive(Debug)]
pub(in crate::core) struct Members {
    grace_ms: u64,
    users: Users<User>,
    /// Sessions here want to be told who comes and goes.
    watching: bool,
    /// For a home that is told; otherwise it is told of all when it can be.
    untold: Option<Box<Untold>>,
}

/// What a home is told in one frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::core) struct Report {
    /// A whole list begins with it: whoever is neither in it nor in what follows is gone.
    pub(in crate::core) begins: bool,
    /// Users who are here and were not, ascending.
    pub(in crate::core) joined: Vec<Arc<str>>,
    /// Users who are here no longer, and whether a socket of theirs was lost rather than that they left.
    pub(in crate::core) left: Vec<(Arc<str>, bool)>,
    /// Sessions here want to be told who comes and goes.
    pub(in crate::core) watching: bool,
}

#[derive(Debug)]
struct User {
    sessions: u32,
    /// The last loss of a session, unless one came since.
    lost: Loss,
}

/// What the home does not know yet. Nobody is in both.
#[derive(Debug, Default)]
struct Untold {
    begins: bool,
    /// What it was told last of whether sessions here watch.
    watching: bool,
    joined: BTreeSet<Arc<str>>,
    left: BTreeMap<Arc<str>, bool>,
}

// === impl Members ===

impl Members {
    /// Nobody, and nobody to tell.
    pub(in crate::core) fn new(grace_ms: u64) -> Self {
        Self { grace_ms, users: Users::new(), watching: false, untold: None }
    }

    /// Whether nobody is left here, and its home knows.
    pub(in crate::core) fn is_idle(&self) -> bool {
        let told = self.untold.as_ref().is_none_or(|untold| untold.report(self.watching).is_none());
        self.users.is_empty() && told
    }

    /// Whether sessions here want to be told who comes and goes.
    pub(in crate::core) fn watch(&mut self, watching: bool) {
        self.watching = watching;
    }

    /// Whether their home believes so.
    pub(in crate::core) fn is_watch_told(&self) -> bool {
        self.untold.as_ref().is_some_and(|untold| untold.watching)
    }

    /// Everybody, ascending.
    pub(in crate::core) fn users(&self) -> Vec<Arc<str>> {
        self.users.names()
    }

    /// A session of the user's came; true if it is their first one here.
    pub(in crate::core) fn joined(&mut self, user: &Arc<str>) -> bool {
        if let Some(present) = self.users.get_mut(user) {
            present.sessions += 1;
            present.lost = Loss::default();
            return false;
        }
        self.users.insert(Arc::clone(user), User { sessions: 1, lost: Loss::default() });
        if let Some(untold) = &mut self.untold {
            untold.came(user);
        }
        true
    }

    /// A session of the user's left the group, or its socket was lost. If it was their last one here: whether the
    /// user counts as lost, which is also so if another of their sessions was lost less than a grace ago.
    pub(in crate::core) fn left(&mut self, user: &str, lost: bool, now_ms: u64) -> Option<bool> {
        let present = self.users.get_mut(user)?;
        if lost {
            present.lost = Loss::until(now_ms + self.grace_ms);
        }
        present.sessions -= 1;
        if present.sessions > 0 {
            return None;
        }
        let (user, User { lost, .. }) = self.users.remove(user)?;
        let lost = lost.counts_until(now_ms, self.grace_ms).is_some();
        if let Some(untold) = &mut self.untold {
            untold.went(user, lost);
            if untold.left.len() > self.users.len() + LEFT_MORE_MAX {
                self.tell_all();
            }
        }
        Some(lost)
    }

    /// The home is another one, or the link to it: it is to be told of everybody.
    pub(in crate::core) fn tell_all(&mut self) {
        let joined = self.users.iter().map(|(user, _)| Arc::clone(user)).collect();
        self.untold = Some(Box::new(Untold { begins: true, joined, ..Untold::default() }));
    }

    /// There is no home to tell, or it is this node.
    pub(in crate::core) fn tell_nobody(&mut self) {
        self.untold = None;
    }

    /// Tells what is untold, part by part, as long as `send` takes it; true if nothing is left.
    pub(in crate::core) fn tell(&mut self, mut send: impl FnMut(&Report) -> bool) -> bool {
        let Some(untold) = &mut self.untold else { return true };
        while let Some(report) = untold.report(self.watching) {
            if !send(&report) {
                return false;
            }
            untold.told(&report);
        }
        true
    }
}

// === impl Untold ===

impl Untold {
    /// The home still counts those whose leaving it was not told.
    fn came(&mut self, user: &Arc<str>) {
        if self.left.remove(user).is_none() {
            self.joined.insert(Arc::clone(user));
        }
    }

    /// The home never heard of those whose coming it was not told.
    fn went(&mut self, user: Arc<str>, lost: bool) {
        if !self.joined.remove(&user) {
            self.left.insert(user, lost);
        }
    }

    fn report(&self, watching: bool) -> Option<Report> {
        let unchanged = self.joined.is_empty() && self.left.is_empty() && self.watching == watching;
        if !self.begins && unchanged {
            return None;
        }
        let joined: Vec<_> = self.joined.iter().take(USERS_PER_REPORT).cloned().collect();
        let left = self.left.iter().take(USERS_PER_REPORT - joined.len());
        let left = left.map(|(user, lost)| (Arc::clone(user), *lost)).collect();
        Some(Report { begins: self.begins, joined, left, watching })
    }

    fn told(&mut self, report: &Report) {
        self.begins = false;
        self.watching = report.watching;
        for user in &report.joined {
            self.joined.remove(user);
        }
        for (user, _) in &report.left {
            self.left.remove(user);
        }
    }
}
