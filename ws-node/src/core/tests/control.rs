//! What an application's back end asks of a user's home, over a link that is no node's.

use cluster::tokens::Grants;
use cluster::wire::codes::CloseCode;
use cluster::wire::peer::{Answer, Control, FromHome, Question, ToHome, decode, encode};
use serde_json::{Value, json};

use super::super::*;
use super::sinks::{Memory, Pipe};
use super::world::{World, member, ring_of};

/// The link on which it asks a node.
struct BackEnd {
    node: usize,
    link: u64,
    pipe: Pipe,
}

impl BackEnd {
    fn at(world: &mut World, node: usize) -> Self {
        let (link, pipe) = (1_000_000, Pipe::default());
        world.nodes[node].asker_opened(link, pipe.clone());
        Self { node, link, pipe }
    }

    /// What it is answered: `None` if the node is not the home, or did not do all of it.
    fn ask(&self, world: &mut World, question: Question<'_>) -> Option<Answer<'static>> {
        let (now, frame) = (world.now(), encode(&ToHome::Ask { call: 7, question }));
        world.nodes[self.node].asked(self.link, &frame, now);
        let frames = self.pipe.drain();
        match decode(frames.iter().rev().find(|frame| decode::<FromHome<'_>>(frame).is_some()).unwrap()) {
            Some(FromHome::Answered { call: 7, answer: Answer::Done { sessions, refused } }) => {
                Some(Answer::Done { sessions, refused })
            }
            Some(FromHome::Answered { call: 7, answer: Answer::User { online, sessions, settling } }) => {
                Some(Answer::User { online, sessions, settling })
            }
            Some(FromHome::Answered { call: 7, answer: Answer::Sessions(count) }) => {
                Some(Answer::Sessions(count))
            }
            Some(FromHome::NotHome { call: 7, .. }) => None,
            other => panic!("{other:?}"),
        }
    }

    fn control(&self, world: &mut World, user: &str, control: Control<'_>) -> Option<(u32, u32)> {
        let answer = self.ask(world, Question::Control { user, control });
        world.settle();
        match answer? {
            Answer::Done { sessions, refused } => Some((sessions, refused)),
            other => panic!("{other:?}"),
        }
    }
}

/// A user with a session at home and one at another node, and a back end at the home.
fn two_sessions() -> (World, String, BackEnd, [(usize, SessionKey, Memory); 2]) {
    let mut world = World::new(2);
    let user = world.user_of(0, 0);
    let sessions = [0, 1].map(|node| {
        let (key, memory) = world.connect(node, &user);
        world.settle();
        assert_eq!(memory.ops()[0], "welcome");
        (node, key, memory)
    });
    let back_end = BackEnd::at(&mut world, 0);
    (world, user, back_end, sessions)
}

fn join(group: &str) -> String {
    format!(r#"{{"op":"join","ref":1,"group":"{group}"}}"#)
}

fn to_group(world: &mut World, (node, key): (usize, SessionKey), data: u64) {
    let text = format!(r#"{{"op":"send","ref":9,"to":{{"group":"g"}},"data":{data}}}"#);
    world.say(node, key, &text);
    world.settle();
}

#[test]
fn a_user_has_the_sessions_of_all_nodes() {
    let (mut world, user, back_end, sessions) = two_sessions();
    let state = |answer| match answer {
        Some(Answer::User { online, sessions, .. }) => (online, sessions),
        other => panic!("{other:?}"),
    };
    assert_eq!(state(back_end.ask(&mut world, Question::User(&user))), (true, 2));
    for (node, key, _) in &sessions {
        world.nodes[*node].closed(*key);
    }
    world.settle();
    let grace = world.nodes[0].config.presence_grace_ms;
    world.pass(grace + 200);
    assert_eq!(state(back_end.ask(&mut world, Question::User(&user))), (false, 0));
    let other = world.user_of(1, 0);
    assert_eq!(back_end.ask(&mut world, Question::User(&other)), None, "not at home here");
    assert_eq!(back_end.control(&mut world, &other, Control::End), None);
}

#[test]
fn a_node_tells_how_many_sessions_are_there_whosever_they_are() {
    let (mut world, _, back_end, sessions) = two_sessions();
    let guest = world.user_of(1, 0);
    let _kept = world.connect(0, &guest);
    assert_eq!(back_end.ask(&mut world, Question::Sessions("n0")), Some(Answer::Sessions(2)));
    world.nodes[0].closed(sessions[0].1);
    assert_eq!(back_end.ask(&mut world, Question::Sessions("n0")), Some(Answer::Sessions(1)));
}

#[test]
fn all_sessions_of_a_user_end_and_nobody_elses() {
    let (mut world, user, back_end, sessions) = two_sessions();
    let other = world.user_of(0, 1);
    let (_, bystander) = world.connect(0, &other);
    bystander.take();
    assert_eq!(back_end.control(&mut world, &user, Control::End), Some((2, 0)));
    for (node, key, memory) in &sessions {
        let frames = memory.take();
        assert_eq!((frames.len(), &frames[0]["code"]), (1, &json!("session_revoked")), "at {node}");
        assert_eq!(memory.closed(), Some(CloseCode::Token));
        world.nodes[*node].closed(*key);
    }
    assert_eq!((bystander.take(), bystander.closed()), (vec![], None));
    assert_eq!(back_end.control(&mut world, &user, Control::End), Some((0, 0)), "done already");
}

#[test]
fn a_group_is_joined_whatever_the_token_allows_and_told_with_its_position() {
    let mut world = World::new(2);
    let user = world.user_of(0, 0);
    let (mut admission, memory) = world.admission(&user);
    admission.holder.grants = Grants::default();
    let now = world.now();
    let Ok(key) = world.nodes[0].admit(admission, memory.clone(), now) else { panic!() };
    world.say(0, key, r#"{"op":"hello"}"#);
    world.settle();
    let (sender, _) = world.connect(1, "sender");
    world.settle();
    world.say(1, sender, &join("g"));
    to_group(&mut world, (1, sender), 1);
    let back_end = BackEnd::at(&mut world, 0);
    memory.take();
    assert_eq!(back_end.control(&mut world, &user, Control::Join("g")), Some((1, 0)));
    let frames = memory.take();
    let expected = json!({ "op": "recovered", "topic": "g:g", "epoch": frames[0]["epoch"], "offset": 1, "recovered": true });
    assert_eq!(frames, [expected]);
    to_group(&mut world, (1, sender), 2);
    let frames = memory.take();
    assert_eq!((frames.len(), &frames[0]["data"], &frames[0]["offset"]), (1, &json!(2), &json!(2)));
    assert_eq!(back_end.control(&mut world, &user, Control::Join("g")), Some((1, 0)));
    assert_eq!(memory.take(), Vec::<Value>::new(), "it is in it already");
    assert_eq!(back_end.control(&mut world, &user, Control::Leave("g")), Some((1, 0)));
    assert_eq!(memory.take(), [json!({ "op": "removed", "topic": "g:g" })]);
    to_group(&mut world, (1, sender), 3);
    assert_eq!(memory.take(), Vec::<Value>::new());
    assert_eq!(back_end.control(&mut world, &user, Control::Leave("g")), Some((1, 0)));
    assert_eq!(memory.take(), Vec::<Value>::new(), "it is out of it already");
}

#[test]
fn sessions_elsewhere_join_and_leave_too() {
    let (mut world, user, back_end, sessions) = two_sessions();
    assert_eq!(back_end.control(&mut world, &user, Control::Join("g")), Some((2, 0)));
    for (node, _, memory) in &sessions {
        assert_eq!(memory.ops(), ["recovered"], "at {node}");
    }
    let (node, key, _) = sessions[1];
    to_group(&mut world, (node, key), 5);
    assert_eq!((sessions[0].2.data(), sessions[1].2.data()), (vec![5], vec![5]));
    assert_eq!(back_end.control(&mut world, &user, Control::Leave("g")), Some((2, 0)));
    for (node, _, memory) in &sessions {
        assert_eq!(memory.ops(), ["removed"], "at {node}");
    }
}

#[test]
fn a_session_that_is_in_enough_groups_joins_no_more() {
    let (mut world, user, back_end, sessions) = two_sessions();
    let (node, key, memory) = &sessions[0];
    (0..5).for_each(|n| world.say(*node, *key, &join(&format!("x{n}"))));
    world.settle();
    memory.take();
    assert_eq!(back_end.control(&mut world, &user, Control::Join("g")), Some((1, 1)));
    assert_eq!(memory.take(), Vec::<Value>::new());
    assert_eq!(sessions[1].2.ops(), ["recovered"]);
}

/// The home does not know yet of sessions that have just come to be its own.
#[test]
fn sessions_that_the_home_has_not_heard_of_yet_are_told_too() {
    let mut world = World::new(2);
    world.add_node();
    let next = Arc::new(world.ring.join(member(2)).unwrap());
    let user = world.user_from_to(0, 2, &next);
    let (_, memory) = world.connect(1, &user);
    world.settle();
    memory.take();
    (0..3).for_each(|node| world.show(node, &next));
    let back_end = BackEnd::at(&mut world, 2);
    assert_eq!(back_end.control(&mut world, &user, Control::End), Some((0, 0)));
    assert_eq!(memory.closed(), Some(CloseCode::Token));
}

#[test]
fn if_a_node_with_sessions_cannot_be_told_it_is_asked_again() {
    let (mut world, user, back_end, sessions) = two_sessions();
    world.pipe_back(1, 0).set_room(0);
    assert_eq!(back_end.control(&mut world, &user, Control::End), None);
    assert_eq!((sessions[0].2.closed(), sessions[1].2.closed()), (Some(CloseCode::Token), None));
    world.pipe_back(1, 0).set_room(usize::MAX);
    assert_eq!(back_end.control(&mut world, &user, Control::End), Some((1, 0)));
    assert_eq!(sessions[1].2.closed(), Some(CloseCode::Token));
    // Nobody waits for one that has none.
    world.pipe_back(1, 0).set_room(0);
    assert_eq!(back_end.control(&mut world, &user, Control::End), Some((0, 0)));
}

/// `welcome` waits for the log, so the session is told there, and not before.
#[test]
fn a_session_that_waits_for_its_welcome_is_told_in_it() {
    let mut world = World::new(1);
    let user = world.user_of(0, 0);
    let (key, memory) = world.admit(0, &user, &[]);
    world.say(0, key, r#"{"op":"hello","groups":["a","b"]}"#);
    let back_end = BackEnd::at(&mut world, 0);
    let now = world.now();
    for control in [Control::Join("c"), Control::Leave("b")] {
        let question = Question::Control { user: &user, control };
        world.nodes[0].asked(back_end.link, &encode(&ToHome::Ask { call: 1, question }), now);
    }
    assert_eq!(memory.take(), Vec::<Value>::new());
    world.settle();
    let frames = memory.take();
    let ops: Vec<&Value> = frames.iter().map(|frame| &frame["op"]).collect();
    let topics = frames[0]["topics"].as_object().unwrap();
    assert_eq!(topics["g:b"], json!({ "error": "not_joined" }));
    assert_eq!(topics["g:a"]["recovered"], true);
    let told_of_c = topics["g:c"]["recovered"] == true
        || (topics["g:c"]["recovered"] == "pending" && ops.contains(&&json!("recovered")));
    assert!(ops[0] == "welcome" && told_of_c, "{frames:?}");
}

#[test]
fn a_join_that_is_not_answered_yet_fails_when_the_session_is_taken_out() {
    let mut world = World::new(1);
    let user = world.user_of(0, 0);
    let (key, memory) = world.connect(0, &user);
    world.settle();
    memory.take();
    world.say(0, key, &join("g"));
    let back_end = BackEnd::at(&mut world, 0);
    assert_eq!(back_end.control(&mut world, &user, Control::Leave("g")), Some((1, 0)));
    let frames = memory.take();
    assert_eq!(frames[0], json!({ "op": "removed", "topic": "g:g" }));
    assert_eq!((frames.len(), &frames[1]["ref"], &frames[1]["code"]), (2, &json!(1), &json!("not_joined")));
}

#[test]
fn what_is_asked_about_nobody_is_done_with_nobody() {
    let mut world = World::new(1);
    let back_end = BackEnd::at(&mut world, 0);
    for control in [Control::End, Control::Join("g"), Control::Leave("g")] {
        assert_eq!(back_end.control(&mut world, "nobody", control), Some((0, 0)));
    }
    assert_eq!(world.nodes[0].topic_count(), 0);
    world.show(0, &ring_of(0));
}
