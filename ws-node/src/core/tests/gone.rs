//! A process that used a node as a home is gone: what it asked for ends bit by bit, and nothing of it stays.

use super::world::World;

const MANY: usize = 300;

/// Many users of one node who are at home at another one; both do only what the test says.
fn many() -> (World, Vec<String>) {
    let mut world = World::new(2);
    let users: Vec<_> =
        (0..).map(|n| format!("user{n}")).filter(|user| world.home(user) == 0).take(MANY).collect();
    users.iter().for_each(|user| _ = world.connect(1, user));
    world.settle();
    world.pass(100);
    world.settle();
    assert_eq!(asked_for(&world), MANY);
    (world, users)
}

/// Topics of the first node that another process follows, as far as it knows.
fn asked_for(world: &World) -> usize {
    let users = (0..).map(|n| format!("u:user{n}")).take(10 * MANY);
    users.filter(|name| online(world, name) > 0).count()
}

fn online(world: &World, name: &str) -> u32 {
    world.nodes[0].topics.get(name).map_or(0, |topic| topic.online())
}

#[test]
fn its_interest_ends_in_pieces_and_nothing_is_left_behind() {
    let (mut world, _) = many();
    world.cut(1, 0);
    let (mut left, mut pieces, now) = (asked_for(&world), 1, world.now());
    assert!(left > 0, "not all at once");
    while world.nodes[0].work_off(now) {
        let next = asked_for(&world);
        assert!(left - next <= 128, "{left} {next}");
        (left, pieces) = (next, pieces + 1);
    }
    assert!(left == 0 && pieces > 2, "{left} {pieces}");
    assert!(world.nodes[0].gone.is_empty());
    world.pass(1_000_000);
    assert_eq!(world.nodes[0].topic_count(), 0);
}

#[test]
fn what_is_used_meanwhile_is_exact() {
    let (mut world, users) = many();
    world.nodes[0].work_in_pieces_of(0);
    world.cut(1, 0);
    assert_eq!(asked_for(&world), MANY, "nothing was done yet");
    for user in &users {
        let name = format!("u:{user}");
        world.nodes[0].refresh(&name);
        assert_eq!(online(&world, &name), 0);
        assert!(world.nodes[0].is_online(user).online, "the grace has begun");
    }
}

#[test]
fn who_dials_again_meanwhile_keeps_what_it_asks_for() {
    let (mut world, users) = many();
    world.nodes[0].work_in_pieces_of(0);
    world.cut(1, 0);
    world.lazy = true;
    world.open(1, 0);
    world.work_off(1);
    world.settle();
    assert_eq!(asked_for(&world), MANY);
    world.work_off(0);
    assert!(world.nodes[0].gone.is_empty());
    for user in &users {
        assert_eq!(online(&world, &format!("u:{user}")), 1, "{user}: once, on the new link");
    }
}
