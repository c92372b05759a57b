//! What sessions here ask about others: who is online, who is in a group. Asked at one home or several, answered once.

use std::sync::Arc;

use cluster::homes::{CALL_WAIT_MS, Done, Outcome, Part, RequestKey, View, split_question};
use cluster::maps::HashSet;
use cluster::wire::client::{About, Online, Reference};
use cluster::wire::codes::ErrorCode;
use cluster::wire::node::{Error, NodeFrame, OnlineAck, PresenceAck};
use cluster::wire::peer::{Answer, FromHome, Question};
use cluster::wire::topic::{group, inbox};
use serde_json::value::RawValue;

use super::{Core, LinkSink, Now, SessionKey, SessionSink};

/// All that are not answered yet.
pub(super) type Questions = cluster::homes::Requests<Asked>;

/// A session's question.
#[derive(Debug)]
pub(super) struct Asked {
    key: SessionKey,
    reference: Option<Box<RawValue>>,
    known: Known,
    settling: bool,
}

/// What is known of the answer.
#[derive(Debug)]
enum Known {
    /// Who of these users is online.
    Online { users: Vec<Box<str>>, online: HashSet<Box<str>> },
    /// Who is in this group.
    Presence { group: Box<str>, count: u32, users: Option<Vec<Box<str>>> },
}

impl<S: SessionSink, L: LinkSink> Core<S, L> {
    /// A session asks who of some users is online.
    pub fn online(&mut self, key: SessionKey, online: &Online<'_>, now: Now) {
        if !self.may_ask(key, online.reference, now) {
            return;
        }
        let users: Vec<&str> = online.users.iter().map(AsRef::as_ref).collect();
        let known = Known::Online { users: boxed(&users), online: HashSet::default() };
        self.ask(key, online.reference, known, &Question::Online(users), now);
    }

    /// A session asks who is in a group.
    pub fn presence(&mut self, key: SessionKey, about: &About<'_>, now: Now) {
        if !self.may_ask(key, about.reference, now) {
            return;
        }
        if !self.may_join(key, &about.group) {
            return self.fail(key, about.reference, ErrorCode::Forbidden);
        }
        let known = Known::Presence { group: Box::from(&*about.group), count: 0, users: None };
        self.ask(key, about.reference, known, &Question::Presence(&about.group), now);
    }

    /// A process asks this node as the home who is online, or in a group.
    pub(super) fn take_question(&mut self, link: u64, call: u64, question: &Question<'_>) {
        let view = View { ring: &self.ring, me: &self.me.id };
        if split_question(view, question).iter().any(|(home, _)| *home != Some(view.me)) {
            let version = self.ring.version().as_u64();
            return self.answer_asker(link, &FromHome::NotHome { call, version });
        }
        self.with_answer(question, |core, answer| {
            core.answer_asker(link, &FromHome::Answered { call, answer });
        });
    }

    /// A home answers.
    pub(super) fn question_answered(&mut self, node: &str, call: u64, answer: &Answer<'_>) {
        let Some(part) = self.homes.calls.answered(node, call) else { return };
        let Some(question) = part.question() else { return };
        self.take_answer(part.waiter, &question, answer);
    }

    /// A question's home is this node by now.
    pub(super) fn question_came_home(&mut self, part: &Part<RequestKey>) {
        if let Some(question) = part.question() {
            self.answer_here(part.waiter, &question);
        }
    }

    /// A question was not answered.
    pub(super) fn question_failed(&mut self, part: &Part<RequestKey>, code: ErrorCode) {
        if let Some(question) = part.question() {
            self.settle_question(part.waiter, &question, Outcome::Failed(code));
        }
    }

    fn ask(
        &mut self,
        key: SessionKey,
        reference: Reference<'_>,
        known: Known,
        question: &Question<'_>,
        now: Now,
    ) {
        self.at(now);
        let (ring, me, due_ms) = (Arc::clone(&self.ring), self.me.id.clone(), now.tick_ms + CALL_WAIT_MS);
        let parts = split_question(View { ring: &ring, me: &me }, question);
        let asked = Asked { key, reference: reference.map(ToOwned::to_owned), known, settling: false };
        let request = self.questions.open(asked, weight(question), due_ms);
        if parts.is_empty()
            && let Some(done) = self.questions.forget(request)
        {
            return self.answer_question(done);
        }
        for (home, question) in parts {
            match home {
                None => {
                    self.settle_question(request, &question, Outcome::Failed(ErrorCode::Unavailable));
                }
                Some(home) if home == me => self.answer_here(request, &question),
                Some(home) => {
                    if let Err(error) = self.homes.calls.ask(home, question.clone(), request, due_ms) {
                        self.settle_question(request, &question, Outcome::Failed(error.code()));
                    }
                }
            }
        }
    }

    fn answer_here(&mut self, request: RequestKey, question: &Question<'_>) {
        self.with_answer(question, |core, answer| core.take_answer(request, question, &answer));
    }

    /// Does something with the answer to a question that this node is the home for.
    fn with_answer(&mut self, question: &Question<'_>, act: impl FnOnce(&mut Self, Answer<'_>)) {
        match question {
            Question::Online(users) => {
                users.iter().for_each(|user| self.refresh(&inbox(user)));
                let all: Vec<_> = users.iter().map(|user| self.is_online(user)).collect();
                let settling = all.iter().any(|user| user.settling);
                let online = all.into_iter().map(|user| user.online).collect();
                act(self, Answer::Online { online, settling });
            }
            Question::Presence(name) => {
                self.refresh(&group(name));
                let (count, users, settling) = self.present(name);
                let users = users.as_ref().map(|users| users.iter().map(AsRef::as_ref).collect());
                act(self, Answer::Presence { count, users, settling });
            }
            // Asked by no session.
            Question::User(_) | Question::Control { .. } | Question::Sessions(_) => {}
        }
    }

    fn take_answer(&mut self, request: RequestKey, question: &Question<'_>, answer: &Answer<'_>) {
        let Some(asked) = self.questions.waiter_mut(request) else { return };
        let outcome = match asked.learn(question, answer) {
            true => Outcome::Passed { online: 0 },
            false => Outcome::Failed(ErrorCode::Unavailable),
        };
        self.settle_question(request, question, outcome);
    }

    /// A part of what was asked came to its end; the last one answers.
    fn settle_question(&mut self, request: RequestKey, question: &Question<'_>, outcome: Outcome) {
        for _ in 0..weight(question) {
            if let Some(done) = self.questions.settle(request, "", outcome) {
                self.answer_question(done);
            }
        }
    }

    fn answer_question(&mut self, done: Done<Asked>) {
        let Asked { key, reference, known, settling } = done.waiter;
        let reference = reference.as_deref();
        let Some(session) = self.sessions.get(key).filter(|session| session.listens()) else { return };
        if let Some((_, code)) = done.failed.first() {
            self.counts.refused += 1;
            return session.push(&NodeFrame::Error(Error::new(reference, *code)));
        }
        match &known {
            Known::Online { users, online } => {
                let online = users.iter().filter(|user| online.contains(*user));
                let online: Vec<&str> = online.map(AsRef::as_ref).collect();
                session.push(&NodeFrame::Online(OnlineAck { reference, online: &online, settling }));
            }
            Known::Presence { group, count, users } => {
                let users = users.as_ref().map(|users| users.iter().map(AsRef::as_ref).collect::<Vec<_>>());
                let (count, users) = (*count, users.as_deref());
                session.push(&NodeFrame::Roster(PresenceAck { reference, group, count, users, settling }));
            }
        }
    }
}

// === impl Asked ===

impl Asked {
    /// Notes a home's answer; false if it is none to the question, which only a process of another version gives.
    fn learn(&mut self, question: &Question<'_>, answer: &Answer<'_>) -> bool {
        match (&mut self.known, question, answer) {
            (
                Known::Online { online, .. },
                Question::Online(users),
                Answer::Online { online: are, settling },
            ) => {
                let those = users.iter().zip(are).filter(|(_, is)| **is);
                online.extend(those.map(|(user, _)| Box::from(*user)));
                self.settling |= *settling;
            }
            (
                Known::Presence { count, users, .. },
                Question::Presence(_),
                Answer::Presence { count: are, users: who, settling },
            ) => {
                (*count, self.settling) = (*are, *settling);
                *users = who.as_ref().map(|who| boxed(who));
            }
            _ => return false,
        }
        true
    }
}

/// How many things a question asks: its parts have as many together, however the ring divides them.
fn weight(question: &Question<'_>) -> usize {
    match question {
        Question::Online(users) => users.len(),
        Question::Presence(_) | Question::User(_) | Question::Control { .. } | Question::Sessions(_) => 1,
    }
}

fn boxed(users: &[&str]) -> Vec<Box<str>> {
    users.iter().map(|user| Box::from(*user)).collect()
}
