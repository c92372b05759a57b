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
    assert!(matches!(&read.to, Target::Users(users) if users[..] == ["a", "bA"]), "{:?}", read.to);
    let many =
        format!(r#"{{"op":"send","ref":"x","to":{{"users":[{}"z"]}},"data":1}}"#, "\"a\",".repeat(1000));
    assert_eq!(refused(&many), (Some("\"x\"".into()), ErrorCode::TooManyUsers));
}

#[test]
fn unknown_ops_and_fields_are_ignored() {
    assert!(matches!(ClientFrame::parse(r#"{"op":"dance","to":5,"ref":"1"}"#), Ok(ClientFrame::Unknown)));
    assert!(matches!(ClientFrame::parse(r#"{"op":"pong","to":5,"data":[]}"#), Ok(ClientFrame::Pong)));
    assert!(matches!(
        ClientFrame::parse(r#"{"op":"auth","ref":1,"token":"t"}"#),
        Ok(ClientFrame::NotSupported { .. })
    ));
}

#[test]
fn hello_names_groups_and_positions() {
    let text = r#"{"op":"hello","groups":["a"],"resume":{"u:bob":{"epoch":"00000000000000ff","offset":5},"g:b":{"offset":0}}}"#;
    let Ok(ClientFrame::Hello(hello)) = ClientFrame::parse(text) else { panic!("not a hello") };
    let since = |epoch, offset| Since { epoch, offset };
    assert_eq!(hello.groups, ["a"]);
    let expected = [("g:b", since(None, 0)), ("u:bob", since(Some(Epoch::new(255)), 5))];
    assert_eq!(hello.resume, expected.map(|(topic, since)| (topic.to_owned(), since)));
    let wrong = |fields: &str| refused(&format!(r#"{{"op":"hello",{fields}}}"#)).1;
    assert_eq!(wrong(r#""resume":{"u:bob":{"epoch":"FF","offset":5}}"#), ErrorCode::BadRequest);
    assert_eq!(wrong(r#""resume":{"u:bob":{"epoch":null}}"#), ErrorCode::BadRequest);
    assert_eq!(wrong(r#""resume":{"u:bob":{"offset":1}}"#), ErrorCode::BadRequest);
    assert_eq!(wrong(r#""groups":["a\u0000"]"#), ErrorCode::BadId);
    let many = format!(r#""groups":["a"{}]"#, r#","a""#.repeat(limits::TOPICS_PER_HELLO_MAX));
    assert_eq!(wrong(&many), ErrorCode::TooManyGroups);
}

#[test]
fn history_pages_one_way() {
    let cursor = |fields: &str| match ClientFrame::parse(&format!(r#"{{"op":"history"{fields}}}"#)) {
        Ok(ClientFrame::History(history)) => Some((history.cursor, history.limit)),
        _ => None,
    };
    assert_eq!(cursor(""), Some((Cursor::Before(u64::MAX), limits::HISTORY_LIMIT)));
    assert_eq!(cursor(r#","after":3,"limit":1000"#), Some((Cursor::After(3), 1000)));
    assert_eq!(cursor(r#","before":3,"group":null"#), Some((Cursor::Before(3), limits::HISTORY_LIMIT)));
    for wrong in [r#","before":3,"after":3"#, r#","limit":0"#, r#","limit":1001"#, r#","after":-1"#] {
        assert_eq!(cursor(wrong), None, "{wrong}");
    }
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
    assert_eq!(with(r#"{"group":"g","all":true}"#), ErrorCode::BadRequest);
    assert_eq!(with(r#"{"all":false}"#), ErrorCode::BadRequest);
    assert_eq!(with(r#"{"match":{}}"#), ErrorCode::BadRequest);
    assert_eq!(with(r#"{"match":{"class":[3]}}"#), ErrorCode::BadRequest);
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
