//! A group's roster at its home: the members of every process that has some, merged by user.
//!
//! What is told is net and paced ([`Roster::poll`]): somebody who came and went in between was never told, and nobody
//! is told twice. A new home *settles* for a grace before it tells anything, since those who had members at the old
//! one come one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster::limits::ROSTER_MAX;
use cluster::maps::HashSet;
use cluster::planted::{self, Bug};

use super::users::{Loss, Users};

/// The least time between two changes that are told, milliseconds.
const PAUSE_MS: u64 = 100;

/// Frames a second that the changes of one group may cost, if every member is told of them.
const FRAMES_PER_SECOND: u64 = 10_000;

/// So many names in a frame cost as much as another frame.
const NAMES_PER_FRAME: u64 = 50;

/// Who has members of a group: this node, or a process by the link it dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum Source {
    /// This node itself.
    Here,
    /// A process, by its link.
    Link(u64),
}

/// What is to be told to all who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::core) enum Change {
    /// Everybody: [`Roster::users`].
    Whole,
    /// Who came and who went, ascending. Never empty.
    Users {
        /// They were not there before.
        joined: Vec<Arc<str>>,
        /// They are there no longer.
        left: Vec<Arc<str>>,
    },
    /// Only how many: [`Roster::count`].
    Count,
}

/// What all who watch were told, changes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::core) enum Known {
    /// Who is there, ascending.
    Users(Vec<Arc<str>>),
    /// Only how many there are.
    Count(usize),
}

/// One group's.
#[derive(Debug)]
pub(in crate::core) struct Roster {
    grace_ms: u64,
    members: Users<Member>,
    /// Members whom nobody has any more, by when they will have left.
    pub(super) parting: BTreeSet<(u64, Arc<str>)>,
    telling: Telling,
    /// The pace: nothing more is told before.
    not_before_ms: u64,
}

/// A user in the group.
#[derive(Debug)]
struct Member {
    sources: Sources,
    /// The last loss of one of the user's sessions, unless one came since.
    lost: Loss,
}

/// Mostly one, so that a member needs no memory of its own for it.
#[derive(Debug)]
enum Sources {
    None,
    One(Source),
    // Behind one pointer, so that most need no room for it.
    Several(Box<[Source]>),
}

/// What those who watch know.
#[derive(Debug)]
enum Telling {
    /// Nothing from here before this time.
    Settling { until_ms: u64 },
    /// Everybody, but for those who came (true) or went since.
    Users(BTreeMap<Arc<str>, bool>),
    /// That there are so many.
    Count(usize),
}

// === impl Roster ===

impl Roster {
    /// Nobody is in it, and everybody knows.
    pub(in crate::core) fn new(grace_ms: u64) -> Self {
        Self {
            grace_ms,
            members: Users::new(),
            parting: BTreeSet::new(),
            telling: Telling::Users(BTreeMap::new()),
            not_before_ms: 0,
        }
    }

    /// This node became the group's home: it tells nothing until then, and everything from then on.
    pub(in crate::core) fn settle(&mut self, until_ms: u64) {
        self.telling = Telling::Settling { until_ms };
    }

    /// Whether the group's home is so new that somebody may be missing.
    pub(in crate::core) fn is_settling(&self, now_ms: u64) -> bool {
        matches!(self.telling, Telling::Settling { until_ms } if now_ms < until_ms)
    }

    /// Users in the group, those within their grace included.
    pub(in crate::core) fn count(&self) -> usize {
        self.members.len()
    }

    /// Who they are, ascending; `None` if they are more than [`ROSTER_MAX`].
    pub(in crate::core) fn users(&self) -> Option<Vec<Arc<str>>> {
        if self.members.len() > ROSTER_MAX {
            return None;
        }
        Some(self.members.names())
    }

    /// What to tell somebody who begins to watch, so that the changes to come mean the same to them as to all others;
    /// `None` while it settles, since all are told then.
    pub(in crate::core) fn known(&self) -> Option<Known> {
        let changed = match &self.telling {
            Telling::Settling { .. } => return None,
            Telling::Count(told) => return Some(Known::Count(*told)),
            Telling::Users(changed) => changed,
        };
        let untold = |user: &&Arc<str>| changed.get(*user).is_some_and(|came| *came);
        let went = changed.iter().filter(|(_, came)| !**came).map(|(user, _)| user);
        let known = self.members.iter().map(|(user, _)| user).filter(|user| !untold(user)).chain(went);
        let mut users: Vec<_> = known.cloned().collect();
        users.sort_unstable();
        Some(Known::Users(users))
    }

    /// Whether it may be forgotten: nobody is in it, so nobody watches either.
    pub(in crate::core) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// A user's first session at a source. A session of the user's that was lost counts as having come back.
    pub(in crate::core) fn joined(&mut self, source: Source, user: &Arc<str>) {
        let Some(member) = self.members.get_mut(user) else {
            let member = Member { sources: Sources::One(source), lost: Loss::default() };
            self.members.insert(Arc::clone(user), member);
            self.telling.note(user, true);
            return;
        };
        if member.sources.is_empty() {
            let first_ms = self.parting.first().map_or(0, |(until_ms, _)| *until_ms);
            self.parting.remove(&(member.lost.time_from(first_ms), Arc::clone(user)));
        }
        if member.sources.add(source) {
            member.lost = Loss::default();
        }
    }

    /// A user's last session at a source is gone: they left, or their socket was lost.
    pub(in crate::core) fn left(&mut self, source: Source, user: &str, lost: bool, now_ms: u64) {
        let Some(member) = self.members.get_mut(user) else { return };
        if planted::is(Bug::StayListed) || !member.sources.remove(source) {
            return;
        }
        if lost {
            member.lost = Loss::until(now_ms + self.grace_ms);
        }
        if member.sources.is_empty() {
            self.part(user, now_ms);
        }
    }

    /// A source's whole list, or its first part: whoever is missing counts as lost, and as back if a later part has
    /// them.
    pub(in crate::core) fn replace(&mut self, source: Source, users: &[Arc<str>], now_ms: u64) {
        let listed: HashSet<&str> = users.iter().map(AsRef::as_ref).collect();
        self.lose(source, |user| !listed.contains(user), now_ms);
        users.iter().for_each(|user| self.joined(source, user));
    }

    /// A source is gone, or no longer has anybody here: all it had count as lost. Looks at every member.
    pub(in crate::core) fn gone(&mut self, source: Source, now_ms: u64) {
        self.lose(source, |_| true, now_ms);
    }

    /// Lets those leave whose grace has ended, and answers what is to be told now, if anything.
    pub(in crate::core) fn poll(&mut self, now_ms: u64) -> Option<Change> {
        while let Some((_, user)) = self.parting.first().filter(|(until_ms, _)| *until_ms <= now_ms).cloned()
        {
            self.parting.pop_first();
            self.remove(&user);
        }
        if self.telling_due()? > now_ms {
            return None;
        }
        let count = self.members.len();
        let change = match &mut self.telling {
            _ if count > ROSTER_MAX => Change::Count,
            Telling::Settling { .. } | Telling::Count(_) => Change::Whole,
            Telling::Users(changed) => Change::of(std::mem::take(changed)),
        };
        let names = match &change {
            Change::Whole => count,
            Change::Users { joined, left } => joined.len() + left.len(),
            Change::Count => 0,
        };
        self.not_before_ms = now_ms + pause_ms(count as u64, names as u64);
        self.telling = match change {
            Change::Count => Telling::Count(count),
            Change::Whole | Change::Users { .. } => Telling::Users(BTreeMap::new()),
        };
        Some(change)
    }

    /// When to [`Self::poll`] next, if nothing happens before.
    pub(in crate::core) fn due(&self) -> Option<u64> {
        let parting = self.parting.first().map(|(until_ms, _)| *until_ms);
        [parting, self.telling_due()].into_iter().flatten().min()
    }

    fn telling_due(&self) -> Option<u64> {
        match &self.telling {
            Telling::Settling { until_ms } => Some(self.not_before_ms.max(*until_ms)),
            Telling::Users(changed) => (!changed.is_empty()).then_some(self.not_before_ms),
            Telling::Count(told) => (*told != self.members.len()).then_some(self.not_before_ms),
        }
    }

    fn lose(&mut self, source: Source, is_meant: impl Fn(&str) -> bool, now_ms: u64) {
        let theirs =
            self.members.iter().filter(|(user, member)| member.sources.has(source) && is_meant(user));
        let users: Vec<_> = theirs.map(|(user, _)| Arc::clone(user)).collect();
        users.iter().for_each(|user| self.left(source, user, true, now_ms));
    }

    /// Nobody has this member any more.
    fn part(&mut self, user: &str, now_ms: u64) {
        let Some((user, member)) = self.members.get(user) else { return };
        let user = Arc::clone(user);
        match member.lost.counts_until(now_ms, self.grace_ms) {
            Some(until_ms) => _ = self.parting.insert((until_ms, user)),
            None => self.remove(&user),
        }
    }

    fn remove(&mut self, user: &Arc<str>) {
        self.members.remove(user);
        self.telling.note(user, false);
    }
}

// === impl Telling ===

impl Telling {
    /// Somebody came or went. Who is noted for the opposite has it taken back: nobody was told.
    fn note(&mut self, user: &Arc<str>, came: bool) {
        if let Self::Users(changed) = self
            && changed.remove(user).is_none()
        {
            changed.insert(Arc::clone(user), came);
        }
    }
}

// === impl Change ===

impl Change {
    fn of(changed: BTreeMap<Arc<str>, bool>) -> Self {
        let (joined, left): (Vec<_>, Vec<_>) = changed.into_iter().partition(|(_, came)| *came);
        let names = |users: Vec<(Arc<str>, bool)>| users.into_iter().map(|(user, _)| user).collect();
        Self::Users { joined: names(joined), left: names(left) }
    }
}

// === impl Sources ===

impl Sources {
    fn has(&self, source: Source) -> bool {
        match self {
            Self::None => false,
            Self::One(only) => *only == source,
            Self::Several(all) => all.contains(&source),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// False if it was there already.
    fn add(&mut self, source: Source) -> bool {
        if self.has(source) {
            return false;
        }
        match self {
            Self::None => *self = Self::One(source),
            Self::One(only) => *self = Self::Several(Box::new([*only, source])),
            Self::Several(all) => *all = all.iter().copied().chain([source]).collect(),
        }
        true
    }

    /// False if it was not there.
    fn remove(&mut self, source: Source) -> bool {
        if !self.has(source) {
            return false;
        }
        match self {
            Self::None | Self::One(_) => *self = Self::None,
            Self::Several(all) => {
                let rest: Box<[Source]> = all.iter().copied().filter(|other| *other != source).collect();
                *self = if let [only] = rest[..] { Self::One(only) } else { Self::Several(rest) };
            }
        }
        true
    }
}

/// How long to tell nothing more after a frame with so many names to so many members: whatever a group's size and
/// however its members come and go, telling them takes a bounded part of the cluster.
fn pause_ms(members: u64, names: u64) -> u64 {
    let frames = members + members * names / NAMES_PER_FRAME;
    PAUSE_MS.max(frames * 1_000 / FRAMES_PER_SECOND)
}
