//! The decision as a table: what goes in, who is granted what, who is refused why.

use cluster::membership::Suspect;
use cluster::ring::{MemberState, Policy, RingKey};
use cluster::secret::Secrets;
use cluster::tokens::{AppIdentity, Ticket, TicketTarget};

use super::*;

const NOW_S: u64 = 1_700_000_000;
const LIFE_S: u64 = 30;
const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn tickets() -> Tickets {
    Tickets::new(Secrets::new("a cluster secret of thirty-two bytes", &[]).unwrap().ticket_keys())
}

fn member(id: &str) -> Member {
    Member {
        id: id.to_owned(),
        generation: 7,
        url: format!("ws://{id}.example.com/ws"),
        peer: "10.0.0.1:9".to_owned(),
        weight: 100,
        state: MemberState::Active,
    }
}

fn ring(ids: &[&str]) -> Ring {
    let empty = Ring::genesis("dc", RingKey::new(KEY), Policy::Balanced);
    ids.iter().fold(empty, |ring, id| ring.join(member(id)).unwrap())
}

fn view(ids: &[&str]) -> RingView {
    seen(ring(ids), &[])
}

/// A ring of which some members seem dead.
fn seen(ring: Ring, suspected: &[&str]) -> RingView {
    let suspects = suspected.iter().map(|id| Suspect { id: (*id).to_owned(), generation: 7 });
    RingView::Ring { ring: Arc::new(ring), suspects: Arc::new(suspects.collect()) }
}

fn known(user: &str, scopes: &[&str]) -> Caller {
    Caller::Known(AppIdentity {
        user: user.to_owned(),
        expires_s: NOW_S + 3600,
        scopes: scopes.iter().map(ToString::to_string).collect(),
        grants: Grants { permissions: vec!["all".to_owned()], ..Grants::default() },
    })
}

fn request(id: Option<&str>, avoid: &[&str]) -> LookupRequest {
    LookupRequest {
        id: id.map(str::to_owned),
        service: Some("dc".to_owned()),
        avoid: avoid.iter().map(ToString::to_string).collect(),
    }
}

fn decided(view: &RingView, caller: Caller, request: LookupRequest) -> Result<Grant, Refusal> {
    let stamp = Stamp { now_s: NOW_S, life_s: LIFE_S, jti: "j".to_owned() };
    decide(view, caller, request)?.grant(&tickets(), stamp)
}

/// The ticket inside a grant, as its node reads it.
fn opened(grant: &Grant) -> Ticket {
    let target = TicketTarget { node: &grant.node, generations: &[7], service: "dc" };
    tickets().verify(&grant.ticket, target, NOW_S).unwrap()
}

/// Clockwise from the user's slot, the first holder not among `avoid`: found by walking the slots one by one.
fn walked(ring: &Ring, user: &str, avoid: &[&str]) -> String {
    let first = ring.key().point(&format!("u:{user}")) >> 48;
    let slots = (first..first + 65_536).map(|slot| cluster::ring::Slot::new((slot % 65_536) as u16));
    let mut holders = slots.map(|slot| ring.home(slot).unwrap().id.clone());
    holders.find(|id| !avoid.contains(&id.as_str())).unwrap()
}

#[test]
fn who_may_ask_for_whom() {
    let view = view(&["n1", "n2"]);
    let mallory = || known("mallory", &[]);
    for (caller, id, outcome) in [
        (known("alice", &[]), None, Ok("alice")),
        (known("alice", &[]), Some("alice"), Ok("alice")),
        (mallory(), Some("alice"), Err(Refusal::NotYours)),
        (known("mallory", &["act_for_other", "act"]), Some("alice"), Err(Refusal::NotYours)),
        (known("back end", &["x", "act_for_others"]), Some("alice"), Ok("alice")),
        (known("back end", &["admin"]), Some("alice"), Ok("alice")),
        (known("back end", &["admin"]), None, Ok("back end")),
        (Caller::Anyone, Some("alice"), Ok("alice")),
        (Caller::Anyone, None, Err(Refusal::IdRequired)),
    ] {
        let what = format!("{caller:?} asks for {id:?}");
        let granted = decided(&view, caller, request(id, &[]));
        assert_eq!(granted.as_ref().map(|grant| grant.id.as_str()), outcome.as_ref().copied(), "{what}");
        if let Ok(grant) = granted {
            assert_eq!(opened(&grant).sub, grant.id, "{what}");
        }
    }
}

#[test]
fn what_is_known_of_the_ring() {
    let full = view(&["n1"]);
    let empty = view(&[]);
    for (view, refusal) in [
        (&RingView::UnknownService, Some(Refusal::UnknownService)),
        (&RingView::NotRead, Some(Refusal::RingNotRead)),
        (&RingView::None, Some(Refusal::NoNodes)),
        (&empty, Some(Refusal::NoNodes)),
        (&full, None),
    ] {
        assert_eq!(decided(view, known("alice", &[]), request(None, &[])).err(), refusal, "{view:?}");
        assert_eq!(decided(view, known("alice", &[]), request(None, &["n9"])).err(), refusal, "{view:?}");
        let stranger = decided(view, known("mallory", &[]), request(Some("alice"), &[]));
        assert_eq!(stranger.err(), Some(Refusal::NotYours), "strangers learn nothing of services: {view:?}");
    }
}

#[test]
fn whoever_is_not_known_may_join_groups_and_nothing_beyond() {
    let grant = decided(&view(&["n1"]), Caller::Anyone, request(Some("alice"), &[])).unwrap();
    let expected = Grants { permissions: vec!["join:*".to_owned()], ..Grants::default() };
    assert_eq!(opened(&grant).grants, expected);
}

#[test]
fn a_grant_says_what_the_ring_says() {
    let ring = ring(&["n1", "n2", "n3"]);
    let view = seen(ring.clone(), &[]);
    for user in ["alice", "bob", "grüße", " ", "user:42"] {
        let grant = decided(&view, known(user, &[]), request(None, &[])).unwrap();
        assert_eq!(grant.node, walked(&ring, user, &[]), "{user}");
        assert_eq!(grant.url, format!("ws://{}.example.com/ws", grant.node));
        assert_eq!((grant.ring.version, grant.ring.signature), (ring.version(), ring.signature()));
        assert_eq!((grant.service.as_str(), grant.expires_in_ms), ("dc", LIFE_S * 1000));
        assert_eq!(grant.protocols, ["ringdial.v1".to_owned(), format!("ticket.{}", grant.ticket)]);
        let ticket = opened(&grant);
        assert_eq!((ticket.exp, ticket.jti.as_str()), (NOW_S + LIFE_S, "j"));
        assert_eq!((ticket.ring, ticket.tok_exp), (ring.version(), Some(NOW_S + 3600)));
        assert_eq!(ticket.grants.permissions, ["all"]);
    }
}

#[test]
fn avoid_walks_clockwise_and_travels() {
    let ring = ring(&["n1", "n2", "n3", "n4"]);
    let view = seen(ring.clone(), &[]);
    for user in (0..200).map(|number| format!("user-{number}")) {
        let home = walked(&ring, &user, &[]);
        let second = walked(&ring, &user, &[&home]);
        for avoid in [vec![home.as_str()], vec![&home, &second], vec![&second]] {
            let grant = decided(&view, known(&user, &[]), request(None, &avoid)).unwrap();
            assert_eq!(grant.node, walked(&ring, &user, &avoid), "{user} avoiding {avoid:?}");
            assert_eq!(opened(&grant).avoid, avoid);
        }
    }
}

#[test]
fn an_avoid_that_leaves_no_node_is_ignored() {
    let view = view(&["n1", "n2"]);
    let home = decided(&view, known("alice", &[]), request(None, &[])).unwrap().node;
    let all = decided(&view, known("alice", &[]), request(None, &["n1", "n2"])).unwrap();
    assert_eq!((all.node.as_str(), opened(&all).avoid), (home.as_str(), vec![]));
    let strangers = decided(&view, known("alice", &[]), request(None, &["n9", "n1#7"])).unwrap();
    assert_eq!(strangers.node, home);
    assert!(opened(&strangers).avoid.is_empty(), "only members travel");
}

#[test]
fn a_draining_node_gets_nobody_and_can_be_avoided() {
    let ring = ring(&["n1", "n2", "n3"]).drain("n2");
    let view = seen(ring, &[]);
    for number in 0..100 {
        let grant = decided(&view, known(&format!("user-{number}"), &[]), request(None, &["n1"])).unwrap();
        assert_eq!(grant.node, "n3");
    }
}

#[test]
fn who_seems_dead_is_passed_over_and_no_ticket_says_so() {
    let ring = ring(&["n1", "n2", "n3", "n4"]);
    for user in (0..200).map(|number| format!("user-{number}")) {
        let home = walked(&ring, &user, &[]);
        let second = walked(&ring, &user, &[&home]);
        let third = walked(&ring, &user, &[&home, &second]);
        for (suspected, avoid, node) in [
            (vec![home.as_str()], vec![], &second),
            (vec![&home, &second], vec![], &third),
            (vec![&second], vec![], &home),
            (vec![&second], vec![home.as_str()], &third),
            (vec![&home], vec![&home], &second),
        ] {
            let view = seen(ring.clone(), &suspected);
            let grant = decided(&view, known(&user, &[]), request(None, &avoid)).unwrap();
            assert_eq!(&grant.node, node, "{user}: {suspected:?} seem dead, avoiding {avoid:?}");
            assert_eq!(opened(&grant).avoid, avoid);
        }
    }
}

#[test]
fn only_the_incarnation_that_seems_dead_is_passed_over() {
    let suspects = Arc::new([Suspect { id: "n1".to_owned(), generation: 6 }].into_iter().collect());
    let view = RingView::Ring { ring: Arc::new(ring(&["n1"])), suspects };
    assert_eq!(decided(&view, known("alice", &[]), request(None, &["n1"])).unwrap().node, "n1");
    let ring = ring(&["n1", "n2"]);
    let user =
        (0..).map(|number| format!("user-{number}")).find(|user| walked(&ring, user, &[]) == "n1").unwrap();
    let suspects = Arc::new([Suspect { id: "n1".to_owned(), generation: 6 }].into_iter().collect());
    let view = RingView::Ring { ring: Arc::new(ring), suspects };
    assert_eq!(decided(&view, known(&user, &[]), request(None, &[])).unwrap().node, "n1");
}

#[test]
fn what_leaves_no_node_is_ignored_first_what_the_client_says() {
    let ring = ring(&["n1", "n2", "n3"]);
    for user in (0..50).map(|number| format!("user-{number}")) {
        let (home, all) = (walked(&ring, &user, &[]), ["n1", "n2", "n3"]);
        let second = walked(&ring, &user, &[&home]);
        for (suspected, avoid, node, carried) in [
            (&all[..], vec![], &home, vec![]),
            (&all, vec![home.as_str()], &second, vec![home.as_str()]),
            (&all, all.to_vec(), &home, vec![]),
            (&[&*home], vec![second.as_str(), &walked(&ring, &user, &[&home, &second])], &second, vec![]),
        ] {
            let view = seen(ring.clone(), suspected);
            let grant = decided(&view, known(&user, &[]), request(None, &avoid)).unwrap();
            assert_eq!(&grant.node, node, "{user}: {suspected:?} seem dead, avoiding {avoid:?}");
            assert_eq!(opened(&grant).avoid, carried);
        }
    }
}

#[test]
fn claims_that_do_not_fit_are_refused() {
    let grants = Grants { permissions: vec!["p".repeat(4096)], ..Grants::default() };
    let caller = match known("alice", &[]) {
        Caller::Known(known) => Caller::Known(AppIdentity { grants, ..known }),
        Caller::Anyone => unreachable!(),
    };
    assert_eq!(decided(&view(&["n1"]), caller, request(None, &[])).err(), Some(Refusal::ClaimsTooLarge));
}

#[test]
fn an_ordinary_ticket_is_short() {
    let caller = match known("0b9c2c1e-7d0a-4a57-8d0e-2a3f5a1c9e77", &[]) {
        Caller::Known(known) => Caller::Known(AppIdentity { grants: Grants::default(), ..known }),
        Caller::Anyone => unreachable!(),
    };
    let stamp = Stamp { now_s: NOW_S, life_s: LIFE_S, jti: cluster::tokens::random_id() };
    let grant = decide(&view(&["n1"]), caller, request(None, &[])).unwrap().grant(&tickets(), stamp).unwrap();
    assert!(grant.ticket.len() < 400, "{} bytes", grant.ticket.len());
}
