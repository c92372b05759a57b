//! Client frames: what is read, what is ignored, what is refused.

use super::*;

fn refused(text: &str) -> (Option<String>, ErrorCode) {
    let refusal = ClientFrame::parse(text).unwrap_err();
    (refusal.reference.map(|raw| raw.get().to_owned()), refusal.code)
}

fn send(text: &str) -> Send<'_> {
    match ClientFrame::parse(text) {
        Ok(ClientFrame::Send(send)) => send,
        other => panic!("{other:?}"),
    }
}

#[test]
fn data_stays_the_text_that_it_was() {
    let read = send(
        r#"{"op":"send","ref":7,"to":{"user":"bob"},"data": {"b": 1.00, "a":[1, "\u00e9"]} ,"later":true}"#,
    );
    assert_eq!(read.data.get(), r#"{"b": 1.00, "a":[1, "\u00e9"]}"#);
    assert_eq!(read.reference.unwrap().get(), "7");
    assert!(matches!(read.to, Target::User(Cow::Borrowed("bob"))), "{:?}", read.to);
}

#[test]
fn several_users_are_read_and_bounded() {
    let read = send(r#"{"op":"send","to":{"users":["a","b\u0041"]},"data":null}"#);
    assert_eq!(read.to, Target::Users(vec!["a".into(), "bA".into()]));
    let many =
        format!(r#"{{"op":"send","ref":"x","to":{{"users":[{}"z"]}},"data":1}}"#, "\"a\",".repeat(1000));
    assert_eq!(refused(&many), (Some("\"x\"".into()), ErrorCode::TooManyUsers));
}

#[test]
fn unknown_ops_and_fields_are_ignored() {
    assert!(matches!(ClientFrame::parse(r#"{"op":"dance","to":5,"ref":"1"}"#), Ok(ClientFrame::Unknown)));
    assert!(matches!(ClientFrame::parse(r#"{"op":"pong","to":5,"data":[]}"#), Ok(ClientFrame::Pong)));
    assert!(matches!(
        ClientFrame::parse(r#"{"op":"join","ref":1,"group":"g"}"#),
        Ok(ClientFrame::NotSupported { .. })
    ));
}

#[test]
fn what_is_not_a_frame_is_refused() {
    for text in ["", "nonsense", "[]", "5", "{}", r#"{"op":5}"#, r#"{"op":"send""#] {
        assert_eq!(refused(text), (None, ErrorCode::BadJson), "{text}");
    }
}

#[test]
fn a_refused_send_keeps_its_reference() {
    let with = |to: &str| refused(&format!(r#"{{"op":"send","ref":"r","to":{to},"data":1}}"#)).1;
    assert_eq!(with(r#"{"user":""}"#), ErrorCode::BadId);
    assert_eq!(with(r#"{"users":["a",""]}"#), ErrorCode::BadId);
    assert_eq!(with(r#"{"user":5}"#), ErrorCode::BadRequest);
    assert_eq!(with(r#"{"user":"a","users":["b"]}"#), ErrorCode::BadRequest);
    assert_eq!(with("{}"), ErrorCode::BadRequest);
    assert_eq!(with(r#"{"group":"g"}"#), ErrorCode::NotSupported);
    assert_eq!(
        refused(r#"{"op":"send","ref":"r","to":{"user":"a"}}"#),
        (Some("\"r\"".into()), ErrorCode::BadRequest)
    );
}

#[test]
fn references_are_short_scalars() {
    for bad in ["{}", "[1]", "true", &format!("\"{}\"", "x".repeat(300))] {
        assert_eq!(
            refused(&format!(r#"{{"op":"send","ref":{bad},"to":{{"user":"a"}},"data":1}}"#)),
            (None, ErrorCode::BadRequest)
        );
    }
    assert!(send(r#"{"op":"send","ref":null,"to":{"user":"a"},"data":1}"#).reference.is_none());
}

#[test]
fn deep_and_wide_data_is_only_bounded() {
    let deep =
        format!(r#"{{"op":"send","to":{{"user":"a"}},"data":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(send(&deep).data.get().len(), 60_000);
}
