//! A new ring: what is out goes to where it is at home now.

use super::given_up::GivenUp;
use super::home::{Call, Kind};
use super::{Event, Homes, LinkSink, Outgoing, Part, View};
use crate::wire::codes::ErrorCode;
use crate::wire::peer::{Audience, Question, ToHome, encode};
use crate::wire::topic::{group, inbox};

/// A call that is being looked at, and where it is out.
struct Out<'a, W> {
    node: &'a str,
    number: u64,
    call: Call<W>,
}

// === impl Homes ===

impl<L: LinkSink, W: Copy> Homes<L, W> {
    /// Sends what is out to another home where the ring says so now: in order, and before anything new if this comes
    /// first. What happened to that which is out no longer, in order.
    pub fn reroute(&mut self, view: View<'_>) -> Vec<Event<W>> {
        let (mut events, mut given_up) = (Vec::new(), GivenUp::default());
        for node in &self.nodes() {
            for (kind, number, call) in self.entry(node).take_all() {
                let out = Out { node, number, call };
                match kind {
                    Kind::Message => self.reroute_message(view, out, (&mut events, &mut given_up)),
                    Kind::Question => self.reroute_question(view, out, &mut events),
                }
            }
        }
        self.retain_members(view);
        events
    }

    /// Of a message for several topics those that stay keep their number, and so their place before what was sent later.
    fn reroute_message(
        &mut self,
        view: View<'_>,
        out: Out<'_, W>,
        (events, given_up): (&mut Vec<Event<W>>, &mut GivenUp),
    ) {
        let Out { node, number, mut call } = out;
        let part = call.part.clone();
        let Some(publish) = part.publish() else { return };
        let Audience::Topics(topics) = &publish.to else {
            match view.ring.member(node) {
                Some(_) => self.entry(node).keep(Kind::Message, number, call),
                None => events.push(Event::Gone(part)),
            }
            return;
        };
        let stays = |topic: &str| view.home(topic) == Some(node);
        let (staying, leaving): (Vec<&str>, Vec<&str>) =
            topics.iter().copied().partition(|topic| stays(topic));
        if leaving.is_empty() {
            self.entry(node).keep(Kind::Message, number, call);
            return;
        }
        if call.is_late(self.now_ms) || given_up.takes(&publish) {
            given_up.note(&publish);
            events.push(Event::Failed(part, ErrorCode::Unavailable));
            return;
        }
        let (message, due_ms, waiter) = (Outgoing::of(&publish), call.due_ms, call.part.waiter);
        let doubtful = part.doubtful || !call.parked;
        if !staying.is_empty() {
            if !call.parked {
                // The home may have taken it as it is out, and then answers that.
                let before = part.places.clone().unwrap_or_else(|| (0..).take(topics.len()).collect());
                let places = before.into_iter().zip(topics).filter(|(_, topic)| stays(topic));
                call.part.places = Some(places.map(|(place, _)| place).collect());
            }
            call.part.frame = message.frame(number, Audience::Topics(staying));
            self.entry(node).keep(Kind::Message, number, call);
        }
        let split = view.split(leaving);
        let part = |number, topics| Part {
            doubtful,
            ..Part::new(waiter, message.frame(number, Audience::Topics(topics)))
        };
        if !split.here.is_empty() {
            events.push(Event::Here(part(0, split.here)));
        }
        if !split.nowhere.is_empty() {
            events.push(Event::Failed(part(0, split.nowhere), ErrorCode::Unavailable));
        }
        for (home, topics) in split.there {
            let number = self.next_number();
            let call = Call { part: part(number, topics.clone()), due_ms, parked: false };
            if self.send(home, number, call).is_err() {
                // A smaller one behind it would find room. Whether the old home stored it nobody knows.
                given_up.note_in(&publish, &topics);
                events.push(Event::Failed(part(0, topics), ErrorCode::Unavailable));
            }
        }
    }

    fn reroute_question(&mut self, view: View<'_>, out: Out<'_, W>, events: &mut Vec<Event<W>>) {
        let Out { node, number, call } = out;
        let part = call.part.clone();
        let Some(question) = part.question() else { return };
        let parts = split_question(view, &question);
        if matches!(&parts[..], [(Some(home), _)] if *home == node) {
            self.entry(node).keep(Kind::Question, number, call);
            return;
        }
        for (home, question) in parts {
            let frame = encode(&ToHome::Ask { call: 0, question: question.clone() });
            let part = Part::new(part.waiter, frame);
            match home {
                None => events.push(Event::Failed(part, ErrorCode::Unavailable)),
                Some(home) if home == view.me => events.push(Event::Here(part)),
                Some(home) => {
                    if let Err(error) = self.ask(home, question, part.waiter, call.due_ms) {
                        events.push(Event::Failed(part, error.code()));
                    }
                }
            }
        }
    }
}

/// A question by the homes that can answer it: more than one only for several users.
pub fn split_question<'r, 'q>(
    view: View<'r>,
    question: &Question<'q>,
) -> Vec<(Option<&'r str>, Question<'q>)> {
    match question {
        Question::Online(users) => {
            let mut homes: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
            for user in users {
                let home = view.home(&inbox(user));
                match homes.iter_mut().find(|(other, _)| *other == home) {
                    Some((_, users)) => users.push(user),
                    None => homes.push((home, vec![user])),
                }
            }
            homes.into_iter().map(|(home, users)| (home, Question::Online(users))).collect()
        }
        Question::Presence(name) => vec![(view.home(&group(name)), question.clone())],
        Question::User(user) | Question::Control { user, .. } => {
            vec![(view.home(&inbox(user)), question.clone())]
        }
        // Another node's answer would be none.
        Question::Sessions(node) => {
            vec![(view.ring.member(node).map(|member| member.id.as_str()), question.clone())]
        }
    }
}
