//! Tickets: what is accepted, what is refused, and how long they are.

use super::*;
use crate::secret::Secrets;

const SECRET: &str = "a secret for tests, long enough to be taken";
const TARGET: TicketTarget<'_> = TicketTarget { node: "n2", generations: &[6, 7], service: "default" };

fn tickets(secret: &str) -> Tickets {
    crate::tokens::install_crypto();
    Tickets::new(Secrets::new(secret, &[]).unwrap().ticket_keys())
}

fn ticket() -> Ticket {
    Ticket {
        sub: "alice".into(),
        aud: Ticket::audience("n2", 7),
        svc: "default".into(),
        exp: 1_000,
        jti: random_id(),
        ring: Version { term: 1, number: 42 },
        avoid: vec![],
        tok_exp: Some(5_000),
        grants: Grants::default(),
    }
}

#[test]
fn a_ticket_comes_back_as_it_was_and_is_short() {
    let signed = tickets(SECRET).sign(&ticket()).unwrap();
    assert!(signed.len() < 400, "{} bytes", signed.len());
    assert!(!signed.contains('='));
    let read = tickets(SECRET).verify(&signed, TARGET, 999).unwrap();
    assert_eq!((read.sub.as_str(), read.ring), ("alice", Version { term: 1, number: 42 }));
}

#[test]
fn time_has_five_seconds_of_leeway() {
    let signed = tickets(SECRET).sign(&ticket()).unwrap();
    assert!(tickets(SECRET).verify(&signed, TARGET, 1_005).is_ok());
    assert_eq!(tickets(SECRET).verify(&signed, TARGET, 1_006), Err(TicketError::Expired));
}

#[test]
fn other_nodes_generations_services_and_secrets_are_refused() {
    let signed = tickets(SECRET).sign(&ticket()).unwrap();
    let verify = |target| tickets(SECRET).verify(&signed, target, 0).unwrap_err();
    assert_eq!(verify(TicketTarget { node: "n1", ..TARGET }), TicketError::OtherNode);
    assert_eq!(verify(TicketTarget { generations: &[6, 8], ..TARGET }), TicketError::OtherNode);
    assert_eq!(verify(TicketTarget { service: "dc", ..TARGET }), TicketError::OtherService);
    let stranger = tickets("another secret, just as long as the first one");
    assert_eq!(stranger.verify(&signed, TARGET, 0), Err(TicketError::Invalid));
}

#[test]
fn tampering_is_noticed_wherever_it_happens() {
    let signed = tickets(SECRET).sign(&ticket()).unwrap();
    for at in 0..signed.len() {
        let mut bytes = signed.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'Q' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of a base64url text may carry bits that are not part of the value.
        let harmless = at == signed.len() - 1;
        assert!(harmless || tickets(SECRET).verify(&changed, TARGET, 0).is_err(), "byte {at}");
    }
}

#[test]
fn rotated_secrets_still_verify() {
    let old = tickets(SECRET).sign(&ticket()).unwrap();
    let rotated = Secrets::new("the secret that follows it, also long enough", &[SECRET]).unwrap();
    assert!(Tickets::new(rotated.ticket_keys()).verify(&old, TARGET, 0).is_ok());
}

#[test]
fn a_ticket_over_the_limit_is_not_signed() {
    let mut large = ticket();
    large.grants.groups = (0..600).map(|n| format!("group-{n}")).collect();
    assert_eq!(tickets(SECRET).sign(&large), Err(TicketError::TooLarge));
}

#[test]
fn a_peer_token_is_no_ticket() {
    let secrets = Secrets::new(SECRET, &[]).unwrap();
    let foreign = Signer::new(secrets.peer_keys(), "ticket").sign(&ticket()).unwrap();
    assert_eq!(tickets(SECRET).verify(&foreign, TARGET, 0), Err(TicketError::Invalid));
}
