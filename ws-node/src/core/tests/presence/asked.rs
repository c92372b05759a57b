//! What sessions ask: who is in a group, and who is online.

use cluster::homes::CALL_WAIT_MS;
use serde_json::json;

use super::super::super::*;
use super::{GRACE, World, answer, ask_presence, group_of, kill, member, run, settled, show_all};

/// Asks who of some users is online.
fn ask_online(
    world: &mut World,
    node: usize,
    session: &(SessionKey, super::Memory),
    users: &[String],
) -> serde_json::Value {
    let users = serde_json::to_string(users).unwrap();
    answer(world, node, session, &format!(r#"{{"op":"online","ref":7,"users":{users}}}"#))
}

#[test]
fn everybody_who_may_join_a_group_may_ask_who_is_in_it_wherever_it_is_at_home() {
    let mut world = settled(3);
    for home in 0..3 {
        let group = group_of(&world, home);
        let asker = world.connect(0, "asker");
        world.settle();
        assert_eq!(
            ask_presence(&mut world, 0, &asker, &group),
            json!({ "group": group, "count": 0, "users": [] })
        );
        member(&mut world, 1, "bob", &group);
        let ann = member(&mut world, 2, "ann", &group);
        let both = json!({ "group": group, "count": 2, "users": ["ann", "bob"] });
        assert_eq!(ask_presence(&mut world, 0, &asker, &group), both);
        world.nodes[2].closed(ann);
        run(&mut world, GRACE - 200);
        assert_eq!(ask_presence(&mut world, 0, &asker, &group), both, "still within the grace");
        run(&mut world, 300);
        assert_eq!(ask_presence(&mut world, 0, &asker, &group)["users"], json!(["bob"]));
    }
}

#[test]
fn of_a_group_of_many_only_the_number_is_answered() {
    let mut world = settled(2);
    let group = group_of(&world, 0);
    let asker = world.connect(1, "asker");
    (0..1_000).for_each(|n| _ = member(&mut world, n % 2, &format!("u{n:04}"), &group));
    assert_eq!(ask_presence(&mut world, 1, &asker, &group)["users"].as_array().unwrap().len(), 1_000);
    member(&mut world, 1, "one more", &group);
    assert_eq!(ask_presence(&mut world, 1, &asker, &group), json!({ "group": group, "count": 1_001 }));
}

#[test]
fn a_group_that_the_token_does_not_name_is_no_ones_business() {
    let mut world = settled(1);
    let (mut admission, memory) = world.admission("nosy");
    admission.holder.grants.permissions = vec!["join:open".into()];
    let now = world.now();
    let key = world.nodes[0].admit(admission, memory.clone(), now).map_err(|(code, _)| code).unwrap();
    world.nodes[0].hello(key, &Default::default(), now);
    world.settle();
    assert_eq!(ask_presence(&mut world, 0, &(key, memory.clone()), "closed")["code"], "forbidden");
    assert_eq!(ask_presence(&mut world, 0, &(key, memory), "open")["count"], 0);
}

#[test]
fn those_online_are_told_over_all_homes_in_the_order_asked() {
    let mut world = settled(3);
    let asker = world.connect(0, "asker");
    let users: Vec<String> = (0..30).map(|n| format!("user{n}")).collect();
    // Half of them, each at a node of no meaning.
    let online: Vec<String> = users.iter().step_by(2).cloned().collect();
    let keys: Vec<_> =
        online.iter().enumerate().map(|(n, user)| (n % 3, world.connect(n % 3, user).0)).collect();
    world.settle();
    assert_eq!(ask_online(&mut world, 0, &asker, &users), json!({ "online": online }));
    keys.iter().for_each(|(node, key)| world.nodes[*node].closed(*key));
    run(&mut world, GRACE - 200);
    assert_eq!(ask_online(&mut world, 0, &asker, &users), json!({ "online": online }), "lost a moment ago");
    let back = world.connect(2, &online[3]).0;
    run(&mut world, 400);
    assert_eq!(ask_online(&mut world, 0, &asker, &users), json!({ "online": [online[3]] }));
    world.nodes[2].closed(back);
    assert_eq!(ask_online(&mut world, 0, &asker, &[]), json!({ "online": [] }));
    run(&mut world, 2 * GRACE);
    assert_eq!(ask_online(&mut world, 0, &asker, &users), json!({ "online": [] }));
}

#[test]
fn a_dead_nodes_users_are_online_for_the_grace() {
    let mut world = settled(3);
    let asker = world.connect(1, "asker");
    let user = world.user_of(0, 0);
    world.connect(2, &user);
    world.settle();
    kill(&mut world, 2);
    run(&mut world, GRACE - 200);
    assert_eq!(ask_online(&mut world, 1, &asker, std::slice::from_ref(&user)), json!({ "online": [user] }));
    run(&mut world, 400);
    assert_eq!(ask_online(&mut world, 1, &asker, &[user]), json!({ "online": [] }));
}

#[test]
fn a_new_home_says_that_it_may_not_know_yet() {
    let mut world = World::with(2, CoreConfig { presence_grace_ms: GRACE, ..super::config() });
    world.ms = 0;
    let asker = world.connect(0, "asker");
    world.settle();
    let (group, absent) = (group_of(&world, 1), world.user_of(1, 0));
    let unsure = json!({ "online": [], "settling": true });
    assert_eq!(ask_online(&mut world, 0, &asker, std::slice::from_ref(&absent)), unsure);
    assert_eq!(ask_presence(&mut world, 0, &asker, &group)["settling"], true);
    member(&mut world, 1, &absent, &group);
    assert_eq!(
        ask_online(&mut world, 0, &asker, std::slice::from_ref(&absent)),
        json!({ "online": [absent] })
    );
    assert_eq!(ask_presence(&mut world, 0, &asker, &group)["settling"], true);
    run(&mut world, GRACE);
    assert_eq!(ask_online(&mut world, 0, &asker, &["x".to_owned()]), json!({ "online": [] }));
    assert_eq!(ask_presence(&mut world, 0, &asker, &group).get("settling"), None);
}

#[test]
fn without_a_home_that_answers_it_is_unavailable_after_a_while() {
    let mut world = settled(2);
    let asker = world.connect(0, "asker");
    let users = [world.user_of(0, 0), world.user_of(1, 0)];
    let group = group_of(&world, 1);
    world.cut(0, 1);
    assert_eq!(ask_online(&mut world, 0, &asker, &users), json!(null));
    assert_eq!(ask_presence(&mut world, 0, &asker, &group), json!(null));
    world.pass(CALL_WAIT_MS - 200);
    let answers = || asker.1.take().into_iter().filter(|frame| frame["ref"] == 7).collect::<Vec<_>>();
    assert!(answers().is_empty());
    world.pass(300);
    let errors = answers();
    assert_eq!(errors.len(), 2);
    for error in errors {
        assert_eq!((&error["op"], &error["code"]), (&json!("error"), &json!("unavailable")));
    }
    assert!(world.nodes[0].questions.is_empty());
}

#[test]
fn a_question_follows_its_home() {
    let mut world = settled(2);
    world.add_node();
    let next = Arc::new(world.ring.join(super::super::world::member(2)).unwrap());
    let asker = world.connect(1, "asker");
    let users =
        [world.user_from_to(0, 2, &next), world.user_from_to(0, 0, &next), world.user_from_to(1, 2, &next)];
    users.iter().for_each(|user| _ = world.connect(0, user));
    run(&mut world, 200);
    // The old home refuses it, the asker learns of the new ring, and asks again.
    world.show(2, &next);
    world.show(0, &next);
    world.carry_there(0, 2);
    let list = serde_json::to_string(&users).unwrap();
    asker.1.take();
    world.say(1, asker.0, &format!(r#"{{"op":"online","ref":7,"users":{list}}}"#));
    world.carry_there(1, 0);
    world.carry_back(1, 0);
    show_all(&mut world, &next);
    run(&mut world, 300);
    let answers = asker.1.take();
    let answer = answers.iter().find(|frame| frame["op"] == "ack").unwrap();
    assert_eq!(answer["online"], json!(users));
}
