//! What an application's back end asks of a user's home, and has done with the user's sessions.
//!
//! What is asked twice is done once: a process that hears nothing, or is refused, asks again.

use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{NodeFrame, Removed};
use cluster::wire::peer::{Answer, Control, FromHome, encode};
use cluster::wire::topic::{group, inbox};

use super::presence::Online;
use super::session::Stage;
use super::topics::Topic;
use super::{Core, LinkSink, Now, SessionKey, SessionSink};

/// What came of something that was to be done with sessions here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Controlled {
    /// Sessions that it was done with, or was done with already.
    sessions: u32,
    /// Sessions that can be in no more groups.
    refused: u32,
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// Tells a back end how a user stands.
    pub(super) fn tell_user(&mut self, link: u64, call: u64, user: &str) {
        self.refresh(&inbox(user));
        let answer = self.user(user);
        self.answer_or_refuse(link, call, answer);
    }

    /// A back end wants something done with all sessions of a user.
    pub(super) fn take_control(
        &mut self,
        link: u64,
        call: u64,
        (user, control): (&str, Control<'_>),
        now: Now,
    ) {
        let answer = self.control(user, control, now);
        self.answer_or_refuse(link, call, answer);
    }

    fn answer_or_refuse(&mut self, link: u64, call: u64, answer: Option<Answer<'_>>) {
        match answer {
            Some(answer) => self.answer_asker(link, &FromHome::Answered { call, answer }),
            None => {
                let version = self.ring.version().as_u64();
                self.answer_asker(link, &FromHome::NotHome { call, version });
            }
        }
    }

    /// Answers how many sessions are here, of whichever users.
    pub(super) fn tell_sessions(&mut self, link: u64, call: u64) {
        let sessions = u32::try_from(self.session_count()).unwrap_or(u32::MAX);
        self.answer_asker(link, &FromHome::Answered { call, answer: Answer::Sessions(sessions) });
    }

    /// How a user stands whose home is here.
    fn user(&self, user: &str) -> Option<Answer<'static>> {
        let name = inbox(user);
        if !self.is_home(&name) {
            return None;
        }
        let sessions = self.topics.get(&name).map_or(0, Topic::online);
        let Online { online, settling } = self.is_online(user);
        Some(Answer::User { online, sessions, settling })
    }

    /// Does something with all sessions of a user whose home is here; `None` if a node that has some could not be told.
    fn control(&mut self, user: &str, control: Control<'_>, now: Now) -> Option<Answer<'static>> {
        let name = inbox(user);
        self.refresh(&name);
        if !self.is_home(&name) {
            return None;
        }
        // To all that use this node as a home: while the ring changes sessions may not have been told of here yet.
        let frame = encode(&FromHome::Control { topic: &name, control });
        let untold = self.askers.tell_all(&frame);
        let remote = self.topics.get(&name).map_or(&[][..], |topic| &topic.remote);
        let others = self.ring.members().filter(|member| member.id != self.me.id);
        // A node that cannot be told may have sessions that are not known of here.
        let all_linked = others.into_iter().all(|member| self.askers.has(&member.id));
        let all_told = all_linked && remote.iter().all(|remote| !untold.contains(&remote.link));
        let elsewhere = remote.iter().map(|remote| remote.sessions).sum();
        let Controlled { sessions, refused } = self.control_here(&name, control, now);
        let sessions = sessions.saturating_add(elsewhere);
        all_told.then_some(Answer::Done { sessions, refused })
    }

    /// Does something with the sessions here of the user whose inbox this is.
    pub(super) fn control_here(&mut self, inbox: &str, control: Control<'_>, now: Now) -> Controlled {
        let Some(topic) = self.topics.get(inbox) else { return Controlled::default() };
        let sessions = topic.local.iter().filter_map(|follower| self.sessions.at(follower.index));
        let keys: Vec<SessionKey> = sessions.map(|session| session.key).collect();
        let mut done = Controlled::default();
        for key in keys {
            let is_done = match control {
                Control::End => {
                    self.fail(key, None, ErrorCode::SessionRevoked);
                    true
                }
                Control::Join(name) => self.bring_to(key, &group(name), now),
                Control::Leave(name) => {
                    self.take_from(key, &group(name), now);
                    true
                }
            };
            *if is_done { &mut done.sessions } else { &mut done.refused } += 1;
        }
        done
    }

    /// Has a session join a group; false if it can be in no more.
    fn bring_to(&mut self, key: SessionKey, name: &str, now: Now) -> bool {
        if self.follows(key, name) {
            return true;
        }
        if self.is_in_too_many(key) {
            return false;
        }
        self.bring(key, name, now);
        true
    }

    /// Has a session leave a group, if it is in it.
    fn take_from(&mut self, key: SessionKey, name: &str, now: Now) {
        if !self.follows(key, name) {
            return;
        }
        if let Some(session) = self.sessions.get_mut(key) {
            if session.stage == Stage::Waiting {
                // `welcome` will tell.
                session.refused.push((name.to_owned(), ErrorCode::NotJoined));
            } else {
                session.push(&NodeFrame::Removed(Removed { topic: name }));
            }
        }
        self.depart(key, name, false, now);
    }
}
