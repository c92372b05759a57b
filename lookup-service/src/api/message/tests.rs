//! Bodies as back ends send them, good and bad.

use serde_json::json;

use super::*;

const TERMS: Terms<'static> = Terms { from: "back end", data_bytes_max: 64 };

fn one(body: &str) -> Result<OutMessage, &'static str> {
    match read(body.as_bytes(), TERMS).map_err(Refusal::code)? {
        Messages::One(message) => Ok(message),
        Messages::Batch(batch) => panic!("a batch of {}", batch.len()),
    }
}

fn batch(body: &str) -> Result<Vec<Result<OutMessage, &'static str>>, &'static str> {
    match read(body.as_bytes(), TERMS).map_err(Refusal::code)? {
        Messages::One(message) => panic!("one message: {message:?}"),
        Messages::Batch(batch) => {
            Ok(batch.into_iter().map(|message| message.map_err(Refusal::code)).collect())
        }
    }
}

#[test]
fn a_message_is_read_as_it_is_written() {
    let message = one(r#" {"to":{"user":"bob"},"data": {"a": [1, 2.50]} ,"later":true} "#).unwrap();
    assert_eq!((message.from.as_str(), &message.to), ("back end", &Target::User("bob".to_owned())));
    assert_eq!(message.data.get(), r#"{"a": [1, 2.50]}"#);
    assert_eq!((message.key, message.ephemeral), (None, false));
    let message =
        one(r#"{"to":{"group":"g"},"data":null,"key":"k","ephemeral":true,"from":"billing"}"#).unwrap();
    assert_eq!((message.from.as_str(), message.data.get()), ("billing", "null"));
    assert_eq!((message.key.as_deref(), message.ephemeral), (Some("k"), true));
    assert_eq!(one(r#"{"to":{"user":"bob"},"data":0,"from":""}"#).unwrap().from, "");
}

#[test]
fn targets_are_those_of_clients() {
    let to =
        |to: &str| one(&format!(r#"{{"to":{to},"data":1}}"#)).map(|message| (message.to, message.ephemeral));
    let users = |users: &[&str]| Target::Users(users.iter().map(ToString::to_string).collect());
    assert_eq!(to(r#"{"users":["b","a","b"]}"#), Ok((users(&["b", "a"]), false)));
    assert_eq!(to(r#"{"users":[]}"#), Ok((users(&[]), false)));
    assert_eq!(to(r#"{"group":"gr\u00fc\u00dfe"}"#), Ok((Target::Group("grüße".to_owned()), false)));
    assert_eq!(to(r#"{"all":true}"#), Ok((Target::All, true)), "always ephemeral");
    let map = json!({ "role": "student", "class": 3 }).as_object().cloned().unwrap();
    assert_eq!(to(r#"{"match":{"role":"student","class":3}}"#), Ok((Target::Match(map), true)));
    for bad in
        ["{}", "7", r#"{"user":7}"#, r#"{"user":"a","group":"g"}"#, r#"{"match":{}}"#, r#"{"all":false}"#]
    {
        assert_eq!(to(bad), Err("bad_message"), "{bad}");
    }
    assert_eq!(to(r#"{"user":""}"#), Err("bad_id"));
    assert_eq!(to(r#"{"users":["a","a\n"]}"#), Err("bad_id"));
    let many = vec!["\"u\""; 1001].join(",");
    assert_eq!(to(&format!(r#"{{"users":[{many}]}}"#)), Err("too_many_users"));
}

#[test]
fn what_is_wrong_with_a_message() {
    let long = "x".repeat(257);
    let large = "x".repeat(63);
    for (body, code) in [
        ("", "bad_json"),
        ("[]", "bad_json"),
        ("null", "bad_json"),
        (r#"{"to":"#, "bad_json"),
        ("{} {}", "bad_json"),
        (r#"{"messages":7}"#, "bad_json"),
        (r#"{"messages":[],"messages":[]}"#, "bad_json"),
        ("{}", "bad_message"),
        (r#"{"messages":null}"#, "bad_message"),
        (r#"{"to":{"user":"a"}}"#, "bad_message"),
        (r#"{"data":1}"#, "bad_message"),
        (r#"{"to":{"user":"a"},"data":1,"data":2}"#, "bad_message"),
        (r#"{"to":{"user":"a"},"data":1,"key":7}"#, "bad_message"),
        (r#"{"to":{"user":"a"},"data":1,"key":""}"#, "bad_message"),
        (r#"{"to":{"user":"a"},"data":1,"key":"\u0001x"}"#, "bad_message"),
        (r#"{"to":{"user":"a"},"data":1,"ephemeral":"yes"}"#, "bad_message"),
        (r#"{"to":{"user":"a"},"data":1,"from":"a\u0000"}"#, "bad_id"),
        (&format!(r#"{{"to":{{"user":"a"}},"data":1,"from":"{long}"}}"#), "bad_id"),
        (&format!(r#"{{"to":{{"user":"a"}},"data":"{large}"}}"#), "too_large"),
    ] {
        assert_eq!(one(body).err(), Some(code), "{body}");
    }
    assert!(one(&format!(r#"{{"to":{{"user":"a"}},"data":"{}"}}"#, &large[1..])).is_ok(), "64 bytes");
    assert!(read(b"{\"to\":{\"user\":\"\xff\"},\"data\":1}", TERMS).is_err());
}

#[test]
fn a_batch_keeps_its_order_and_each_message_its_fault() {
    let body = r#"{"messages":[{"to":{"user":"a"},"data":1},7,{"to":{"user":""},"data":1},{"to":{"group":"g"},"data":2}]}"#;
    let messages = batch(body).unwrap();
    let told: Vec<_> =
        messages.iter().map(|message| message.as_ref().map(|message| message.data.get())).collect();
    assert_eq!(told, [Ok("1"), Err(&"bad_message"), Err(&"bad_id"), Ok("2")]);
    assert_eq!(batch(r#"{"messages":[]}"#).map(|batch| batch.len()), Ok(0));
}

#[test]
fn a_batch_has_a_limit() {
    let of = |count: usize| {
        let messages = vec![r#"{"to":{"user":"a"},"data":1}"#; count].join(",");
        batch(&format!(r#"{{"messages":[{messages}]}}"#)).map(|batch| batch.len())
    };
    assert_eq!(of(1_000), Ok(1_000));
    assert_eq!(of(1_001), Err("too_many_messages"));
}
