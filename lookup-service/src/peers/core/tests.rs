//! The core with links that remember: what goes to which node, and what those who wait are told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use cluster::log::{Epoch, Position};
use cluster::ring::{Member, MemberState, Policy, RingKey};
use cluster::wire::peer::{Answer, Control, Publish, ToHome, encode};
use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::api::backend::{OutMessage, PresenceState, Sent, Target, UserState};

#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<VecDeque<Bytes>>>);

/// The core of a lookup service with a link to each node of its ring.
struct World {
    core: Core<Pipe>,
    pipes: HashMap<String, Pipe>,
}

const AT: Position = Position { epoch: Epoch::new(3), offset: 8 };

fn ring_of(count: usize) -> Arc<Ring> {
    let member = |number| Member {
        id: format!("n{number}"),
        generation: number,
        url: format!("wss://n{number}.test/ws"),
        peer: format!("10.0.0.{number}:1"),
        weight: 100,
        state: MemberState::Active,
    };
    let genesis = Ring::genesis("default", RingKey::new([7; 16]), Policy::Balanced);
    Arc::new((0..count as u64).fold(genesis, |ring, number| ring.join(member(number)).unwrap()))
}

fn message(to: Target, data: &str) -> Parcel {
    let data = RawValue::from_string(data.to_owned()).unwrap();
    Parcel::of(OutMessage { from: "server".into(), to, data, key: None, ephemeral: false })
}

fn to_user(user: &str) -> Parcel {
    message(Target::User(user.to_owned()), "1")
}

impl World {
    fn new(nodes: usize) -> Self {
        let mut core = Core::new(PeerName { id: "lookup-x".into(), generation: 9 });
        core.ring_changed(ring_of(nodes));
        let mut world = Self { core, pipes: HashMap::new() };
        (0..nodes).for_each(|node| world.open(&format!("n{node}"), node as u64));
        world
    }

    fn open(&mut self, node: &str, link: u64) {
        let pipe = Pipe::default();
        self.core.opened(node, link, pipe.clone());
        self.pipes.insert(node.to_owned(), pipe);
    }

    fn home(&self, topic: &str) -> String {
        let ring = self.core.ring().unwrap();
        ring.home(ring.key().slot(topic)).unwrap().id.clone()
    }

    /// A user at home at this node; another one for another number.
    fn user_at(&self, node: &str, number: usize) -> String {
        let users = (0..).map(|number| format!("user{number}"));
        users.filter(|user| self.home(&format!("u:{user}")) == node).nth(number).unwrap()
    }

    fn sent_to(&self, node: &str) -> Vec<Bytes> {
        self.pipes[node].0.lock().unwrap().drain(..).collect()
    }

    fn answer(&mut self, node: &str, answer: &FromHome<'_>) {
        self.core.answered_by(node, &encode(answer));
    }

    /// Answers every message on the way to a node.
    fn publish_all(&mut self, node: &str, online: u32, position: Option<Position>) {
        for frame in self.sent_to(node) {
            if let Some(ToHome::Publish(Publish { call, .. })) = decode(&frame) {
                self.answer(node, &FromHome::Published { call, online, position, failed: vec![] });
            }
        }
    }
}

impl LinkSink for Pipe {
    fn send(&self, frame: Bytes) -> bool {
        self.0.lock().unwrap().push_back(frame);
        true
    }

    fn has_ended(&self) -> bool {
        false
    }
}

fn publish_of(frame: &Bytes) -> Publish<'_> {
    match decode(frame) {
        Some(ToHome::Publish(publish)) => publish,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_goes_to_its_home_and_its_outcome_to_whoever_waits() {
    let mut world = World::new(3);
    let mut receipt = world.core.send(&to_user("bob"), 0);
    let home = world.home("u:bob");
    let frames = world.sent_to(&home);
    let publish = publish_of(&frames[0]);
    assert_eq!((frames.len(), &publish.to), (1, &Audience::Topics(vec!["u:bob"])));
    assert_eq!((publish.node, publish.generation, publish.from), ("lookup-x", 9, "server"));
    assert_eq!(publish.key, format!("\u{1}lookup-x.9-{}", publish.counter));
    assert!(receipt.try_recv().is_err());
    let call = publish.call;
    world.answer(&home, &FromHome::Published { call, online: 2, position: Some(AT), failed: vec![] });
    let sent = Sent { online: Some(2), position: Some(AT), failed: vec![] };
    assert_eq!(receipt.try_recv(), Ok(Ok(sent)));
    assert!(world.core.requests.is_empty());
}

#[test]
fn a_message_goes_out_as_it_was_given() {
    let mut world = World::new(1);
    let data = RawValue::from_string(r#"{"a": 1.50}"#.to_owned()).unwrap();
    let (from, to, key) = (String::new(), Target::Group("g".into()), Some("k".to_owned()));
    let parcel = Parcel::of(OutMessage { from, to, data, key, ephemeral: true });
    let _receipt = world.core.send(&parcel, 0);
    let frames = world.sent_to("n0");
    let publish = publish_of(&frames[0]);
    assert_eq!((publish.from, publish.key, publish.ephemeral), ("", "k", true));
    assert_eq!((publish.to, publish.data), (Audience::Topics(vec!["g:g"]), r#"{"a": 1.50}"#));
}

#[test]
fn several_users_cost_a_frame_a_home_and_only_failures_are_named() {
    let mut world = World::new(2);
    let users: Vec<String> =
        ["n0", "n0", "n1"].iter().zip([0, 1, 0]).map(|(node, n)| world.user_at(node, n)).collect();
    let mut receipt = world.core.send(&message(Target::Users(users.clone()), "1"), 0);
    let (first, second) = (world.sent_to("n0"), world.sent_to("n1"));
    assert_eq!((first.len(), second.len()), (1, 1));
    let call = publish_of(&first[0]).call;
    let failed = vec![(1, "key_reused")];
    world.answer("n0", &FromHome::Published { call, online: 1, position: None, failed });
    assert!(receipt.try_recv().is_err(), "one home is still to answer");
    let call = publish_of(&second[0]).call;
    world.answer("n1", &FromHome::Published { call, online: 1, position: None, failed: vec![] });
    let failed = vec![(users[1].clone(), ErrorCode::KeyReused)];
    assert_eq!(receipt.try_recv(), Ok(Ok(Sent { failed, ..Sent::default() })));
    let nobody = message(Target::Users(vec![]), "1");
    assert_eq!(world.core.send(&nobody, 0).try_recv(), Ok(Ok(Sent::default())));
}

#[test]
fn a_message_to_everyone_goes_to_every_node_and_fails_with_the_first_that_fails() {
    let mut world = World::new(3);
    let wanted = json!({ "class": 3 }).as_object().unwrap().clone();
    let mut matching = world.core.send(&message(Target::Match(wanted), "1"), 0);
    let mut all = world.core.send(&message(Target::All, "1"), 0);
    for node in ["n0", "n1", "n2"] {
        let frames = world.sent_to(node);
        let texts = [Some(r#"{"class":3}"#), None];
        for (frame, matching) in frames.iter().zip(texts) {
            assert_eq!(publish_of(frame).to, Audience::Everyone { matching });
        }
        let (first, second) = (publish_of(&frames[0]).call, publish_of(&frames[1]).call);
        let published = |call, failed| FromHome::Published { call, online: 1, position: None, failed };
        world.answer(node, &published(first, vec![]));
        world.answer(node, &published(second, if node == "n1" { vec![(0, "overloaded")] } else { vec![] }));
    }
    assert_eq!(matching.try_recv(), Ok(Ok(Sent::default())));
    assert_eq!(all.try_recv(), Ok(Err(ErrorCode::Overloaded)));
}

#[test]
fn questions_are_answered_with_what_the_home_knows() {
    let mut world = World::new(2);
    let user = UserState { online: true, sessions: 2, settling: false };
    let presence = PresenceState { count: 1, users: Some(vec!["a".into()]), settling: true };
    let control = Question::Control { user: "bob", control: Control::End };
    let asked = [
        (
            Question::User("bob"),
            Answer::User { online: true, sessions: 2, settling: false },
            Known::User(user),
        ),
        (
            Question::Presence("g"),
            Answer::Presence { count: 1, users: Some(vec!["a"]), settling: true },
            Known::Presence(presence),
        ),
        (control, Answer::Done { sessions: 4, refused: 1 }, Known::Told { sessions: 4, refused: 1 }),
        (Question::Sessions("n1"), Answer::Sessions(3), Known::Sessions(3)),
    ];
    for (question, answer, known) in asked {
        let mut reply = world.core.ask(&question, 0);
        let home = match question {
            Question::Presence(_) => world.home("g:g"),
            Question::Sessions(node) => node.to_owned(),
            _ => world.home("u:bob"),
        };
        let frames = world.sent_to(&home);
        let Some(ToHome::Ask { call, question: asked }) = decode(&frames[0]) else { panic!("{frames:?}") };
        assert_eq!(asked, question);
        world.answer(&home, &FromHome::Answered { call, answer });
        assert_eq!(reply.try_recv(), Ok(Ok(known)));
    }
    let mut reply = world.core.ask(&Question::User("bob"), 0);
    let home = world.home("u:bob");
    let Some(ToHome::Ask { call, .. }) = decode(&world.sent_to(&home)[0]) else { panic!() };
    let other = Answer::Online { online: vec![], settling: false };
    world.answer(&home, &FromHome::Answered { call, answer: other });
    assert_eq!(reply.try_recv(), Ok(Err(ErrorCode::Unavailable)), "an answer to something else");
}

#[test]
fn without_a_ring_or_nodes_nothing_waits() {
    for ring in [None, Some(ring_of(0))] {
        let mut core = Core::<Pipe>::new(PeerName { id: "lookup-x".into(), generation: 9 });
        ring.into_iter().for_each(|ring| core.ring_changed(ring));
        assert!(core.has_room(&to_user("bob")));
        for to in [Target::User("bob".into()), Target::All] {
            let outcome = core.send(&message(to, "1"), 0).try_recv();
            assert_eq!(outcome, Ok(Err(ErrorCode::Unavailable)));
        }
        assert_eq!(core.ask(&Question::User("bob"), 0).try_recv(), Ok(Err(ErrorCode::Unavailable)));
        assert!(core.requests.is_empty());
    }
}

#[test]
fn what_nobody_answers_is_given_up_in_time() {
    let mut world = World::new(1);
    let mut receipt = world.core.send(&to_user("bob"), 0);
    let mut reply = world.core.ask(&Question::User("bob"), 1);
    world.core.tick(CALL_WAIT_MS - 1);
    assert!(receipt.try_recv().is_err() && reply.try_recv().is_err());
    world.core.tick(CALL_WAIT_MS);
    assert_eq!(receipt.try_recv(), Ok(Err(ErrorCode::Unavailable)));
    assert!(reply.try_recv().is_err());
    world.core.tick(CALL_WAIT_MS + 1);
    assert_eq!(reply.try_recv(), Ok(Err(ErrorCode::Unavailable)));
    assert!(world.core.requests.is_empty() && world.core.calls.waiting_bytes() == 0);
}

#[test]
fn what_is_out_at_a_lost_link_goes_out_again_on_the_next_one_in_order() {
    let mut world = World::new(1);
    let mut receipts: Vec<_> = (0..3).map(|_| world.core.send(&to_user("bob"), 0)).collect();
    let first = world.sent_to("n0");
    world.core.closed("n0", 0);
    receipts.push(world.core.send(&to_user("bob"), 1));
    assert!(world.sent_to("n0").is_empty(), "nothing goes to a link that is gone");
    world.open("n0", 7);
    let again = world.sent_to("n0");
    assert_eq!((first.len(), again.len()), (3, 4));
    assert_eq!(again[..3], first[..]);
    again.iter().for_each(|frame| world.pipes["n0"].0.lock().unwrap().push_back(frame.clone()));
    world.publish_all("n0", 1, Some(AT));
    assert!(receipts.iter_mut().all(|receipt| matches!(receipt.try_recv(), Ok(Ok(_)))));
}

#[test]
fn a_node_that_leaves_is_not_waited_for_and_its_topics_go_to_their_new_homes() {
    let mut world = World::new(2);
    let user = world.user_at("n1", 0);
    let mut one = world.core.send(&to_user(&user), 0);
    let mut all = world.core.send(&message(Target::All, "1"), 0);
    let mut question = world.core.ask(&Question::User(&user), 0);
    world.publish_all("n0", 1, None);
    assert!(all.try_recv().is_err(), "n1 has not answered");
    let left = Arc::new(ring_of(2).leave(&["n1"]));
    world.core.ring_changed(left);
    assert_eq!(all.try_recv(), Ok(Ok(Sent::default())));
    let frames = world.sent_to("n0");
    assert_eq!(frames.len(), 2, "the message and the question");
    for frame in frames {
        match decode(&frame) {
            Some(ToHome::Publish(Publish { call, .. })) => {
                let position = Some(AT);
                world.answer("n0", &FromHome::Published { call, online: 0, position, failed: vec![] });
            }
            Some(ToHome::Ask { call, .. }) => {
                let answer = Answer::User { online: false, sessions: 0, settling: true };
                world.answer("n0", &FromHome::Answered { call, answer });
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(one.try_recv(), Ok(Ok(_))) && matches!(question.try_recv(), Ok(Ok(_))));
}

#[test]
fn what_may_wait_for_a_home_has_a_bound_and_so_has_all_together() {
    let mut world = World::new(2);
    let (here, there) = (world.user_at("n0", 0), world.user_at("n1", 0));
    let large = |user: &str| message(Target::User(user.to_owned()), &format!("\"{}\"", "x".repeat(1 << 20)));
    let mut receipts = Vec::new();
    while receipts.len() < 10 && world.core.has_room(&large(&here)) {
        receipts.push(world.core.send(&large(&here), 0));
    }
    assert_eq!(receipts.len(), 3);
    assert!(receipts.iter_mut().all(|receipt| receipt.try_recv().is_err()));
    assert_eq!(world.core.send(&large(&here), 0).try_recv(), Ok(Err(ErrorCode::Overloaded)));
    assert!(world.core.has_room(&large(&there)) && world.core.has_room(&to_user(&here)));
    assert!(!world.core.has_room(&message(Target::All, &format!("\"{}\"", "x".repeat(1 << 20)))));
    let both = message(Target::Users(vec![here.clone(), there]), &format!("\"{}\"", "x".repeat(1 << 20)));
    assert!(!world.core.has_room(&both));
    let mut all = world.core.send(&message(Target::All, &format!("\"{}\"", "x".repeat(1 << 20))), 0);
    assert!(all.try_recv().is_err(), "one node can still be told");
    world.publish_all("n1", 1, None);
    assert_eq!(all.try_recv(), Ok(Err(ErrorCode::Overloaded)));
    world.publish_all("n0", 1, None);
    assert!(world.core.has_room(&large(&here)));
}

#[test]
fn what_may_wait_at_all_homes_has_a_bound() {
    let mut world = World::new(4);
    let users = ["n0", "n1", "n2"].map(|node| world.user_at(node, 0));
    let replies: Vec<_> = (0..REQUESTS_MAX)
        .map(|number| world.core.ask(&Question::User(&users[number % users.len()]), 0))
        .collect();
    let rest = world.user_at("n3", 0);
    assert!(!world.core.has_room(&to_user(&rest)));
    assert_eq!(world.core.send(&to_user(&rest), 0).try_recv(), Ok(Err(ErrorCode::Overloaded)));
    assert_eq!(world.core.ask(&Question::User(&rest), 0).try_recv(), Ok(Err(ErrorCode::Overloaded)));
    world.core.tick(CALL_WAIT_MS);
    assert!(replies.into_iter().all(|mut reply| reply.try_recv() == Ok(Err(ErrorCode::Unavailable))));
    assert!(world.core.has_room(&to_user(&rest)));
}
