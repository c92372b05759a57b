//! From `hello` to `welcome`: the session comes to its inbox and its groups, and is told where they stand.

use cluster::limits;
use cluster::maps::{HashMap, HashSet};
use cluster::wire::client::{Hello, Since};
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{NodeFrame, RingPosition, Standing, Topics, Welcome};
use cluster::wire::topic::{group, group_name, inbox};

use super::session::{Session, Stage};
use super::{Core, LinkSink, Now, SessionKey, SessionSink};

/// What a `hello` comes to.
#[derive(Debug, Default)]
struct Plan {
    /// Topics to follow, the inbox first, and where the client wants to go on.
    topics: Vec<(String, Option<Since>)>,
    /// Topics that it may not follow.
    refused: Vec<(String, ErrorCode)>,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// The first frame: the session follows its user's inbox from now on, and its groups.
    pub fn hello(&mut self, key: SessionKey, hello: &Hello<'_>, now: Now) {
        let groups_max = self.config.limits.groups;
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.stage != Stage::Admitted {
            self.fail(key, None, ErrorCode::HelloExpected);
            return;
        }
        let Plan { topics, refused } = Plan::of(session, hello, groups_max);
        session.stage = Stage::Waiting;
        session.unresolved = topics.len();
        session.refused = refused;
        let inbox = inbox(&session.holder.user);
        for (name, since) in topics {
            self.arrive(key, &name, since, None, now);
        }
        // After that, so that the topic never lacks a follower and forgets what it has seen.
        self.make_room(key, &inbox, hello.replaces.as_deref());
    }

    /// It is known where the session's topics stand, or that this is pending.
    pub(super) fn welcome(&mut self, key: SessionKey, now: Now) {
        let count = self.sessions.len() as u64;
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.stage = Stage::Live;
        let (names, refused) = (session.topics.clone(), std::mem::take(&mut session.refused));
        let mut topics: Vec<(&str, Standing)> =
            names.iter().filter_map(|name| Some((&**name, self.standing(key, name)?))).collect();
        topics.extend(refused.iter().map(|(name, error)| (&**name, Standing::Refused { error: *error })));
        let Some(session) = self.sessions.get(key) else { return };
        let ring = RingPosition { version: self.ring.version(), signature: self.ring.signature() };
        session.push(&NodeFrame::Welcome(Welcome {
            session: &session.name,
            user: &session.holder.user,
            node: &self.me.id,
            ring,
            heartbeat_ms: self.config.heartbeat_ms,
            retry_spread_ms: (count / 5).max(500),
            limits: self.config.limits,
            topics: Topics(&topics),
        }));
        for name in &names {
            self.tell_arrived(key, name);
        }
        self.queue_move(key, false);
        self.offer_moves(now);
    }

    /// Whoever asks for something does not wait for more: what is not known yet of where the session's topics stand is
    /// told later. So nothing is asked for in a session that hears nothing yet.
    pub(super) fn welcome_at_once(&mut self, key: SessionKey, now: Now) {
        let Some(session) = self.sessions.get(key).filter(|session| session.stage == Stage::Waiting) else {
            return;
        };
        for name in session.topics.clone() {
            self.keep_waiting_no_longer(key, &name, now);
        }
    }

    /// The session that `hello` replaces says `bye` if it is here; the oldest one of a user who has too many ends.
    fn make_room(&mut self, key: SessionKey, topic: &str, replaces: Option<&str>) {
        let Some(entry) = self.topics.get_mut(topic) else { return };
        let all = entry.local.iter().filter_map(|follower| self.sessions.at(follower.index));
        let others: Vec<_> = all.filter(|other| other.key != key).collect();
        if let Some(replaced) = others.iter().find(|other| Some(other.name.as_str()) == replaces) {
            let replaced = replaced.key;
            self.detach(replaced);
        } else if others.len() >= self.config.sessions_per_user_max
            && let Some(oldest) = others.iter().min_by_key(|other| other.admitted_ms)
        {
            let oldest = oldest.key;
            self.fail(oldest, None, ErrorCode::SessionReplaced);
        }
    }
}

// === impl Plan ===

impl Plan {
    fn of<S>(session: &Session<S>, hello: &Hello<'_>, groups_max: usize) -> Self {
        let mut plan = Self::default();
        let since: HashMap<&str, Since> =
            hello.resume.iter().map(|(topic, since)| (topic.as_str(), *since)).collect();
        let own = inbox(&session.holder.user);
        plan.topics.push((own.clone(), since.get(&*own).copied()));
        let claimed = session.holder.grants.groups.iter().map(|name| group(name));
        let asked = hello.groups.iter().map(|name| group(name));
        let others = hello.resume.iter().map(|(topic, _)| topic.clone());
        let resumed = others.filter(|topic| **topic != *own);
        let mut seen = HashSet::default();
        for topic in claimed.chain(asked).chain(resumed) {
            if !seen.insert(topic.clone()) {
                continue;
            }
            let name = group_name(&topic).filter(|name| limits::is_id(name));
            let allowed = name.is_some_and(|name| session.holder.grants.may_join(name));
            if !allowed {
                plan.refused.push((topic, ErrorCode::Forbidden));
            } else if plan.topics.len() > groups_max {
                plan.refused.push((topic, ErrorCode::TooManyGroups));
            } else {
                let since = since.get(&*topic).copied();
                plan.topics.push((topic, since));
            }
        }
        plan
    }
}
