//! Clients' frames as judges see them, read by the node's own reader.

use cluster::wire::client::{ClientFrame, Reference, Send, Target};
use serde_json::Value;

use super::record::{Echo, Heard};

/// Whom the application under test writes to.
pub(super) const CHECKER: &str = "conformance";

/// Reads one text frame.
///
/// # Errors
/// What is wrong with it: an error code of the protocol.
pub(super) fn read(text: &str) -> Result<Heard, String> {
    let frame = ClientFrame::parse(text).map_err(|refusal| refusal.code.code().to_owned())?;
    Ok(match frame {
        ClientFrame::Hello(hello) => Heard::Hello {
            replaces: hello.replaces.map(|session| session.into_owned()),
            groups: hello.groups.into_iter().map(|group| group.into_owned()).collect(),
            resume: hello.resume.into_iter().collect(),
        },
        ClientFrame::Send(send) => Heard::Send {
            reference: owned(send.reference),
            key: send.key.as_ref().map(|key| key.to_string()),
            echo: echo(&send),
            ephemeral: send.ephemeral,
        },
        ClientFrame::Join(join) => Heard::Request {
            reference: owned(join.reference),
            group: Some(join.group.into_owned()),
            joins: true,
        },
        ClientFrame::Leave(about) | ClientFrame::Presence(about) => Heard::Request {
            reference: owned(about.reference),
            group: Some(about.group.into_owned()),
            joins: false,
        },
        ClientFrame::History(history) => request(history.reference),
        ClientFrame::Online(online) => request(online.reference),
        ClientFrame::NotSupported { reference } => request(reference),
        ClientFrame::Detach => Heard::Detach,
        ClientFrame::Pong => Heard::Pong,
        ClientFrame::Unknown => Heard::Unknown,
    })
}

fn request(reference: Reference<'_>) -> Heard {
    Heard::Request { reference: owned(reference), group: None, joins: false }
}

fn owned(reference: Reference<'_>) -> Option<String> {
    reference.map(|reference| reference.get().to_owned())
}

fn echo(send: &Send<'_>) -> Option<Echo> {
    if !matches!(&send.to, Target::User(user) if user == CHECKER) {
        return None;
    }
    let data: Value = serde_json::from_str(send.data.get()).ok()?;
    if let Some(n) = data.get("echo").and_then(Value::as_u64) {
        return Some(Echo::Message(n));
    }
    data.get("gap").and_then(Value::as_str).map(|topic| Echo::Gap(topic.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoes_are_told_from_other_sends() {
        let frame = |to: &str, data: &str| {
            read(&format!(r#"{{"op":"send","ref":7,"key":"k","to":{to},"data":{data}}}"#)).unwrap()
        };
        let echo = |heard| match heard {
            Heard::Send { reference, key, echo, .. } => {
                assert_eq!((reference.as_deref(), key.as_deref()), (Some("7"), Some("k")));
                echo
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(echo(frame(r#"{"user":"conformance"}"#, r#"{"echo":4}"#)), Some(Echo::Message(4)));
        assert_eq!(
            echo(frame(r#"{"user":"conformance"}"#, r#"{"gap":"u:a"}"#)),
            Some(Echo::Gap("u:a".into()))
        );
        assert_eq!(echo(frame(r#"{"user":"bob"}"#, r#"{"echo":4}"#)), None);
        assert_eq!(echo(frame(r#"{"user":"conformance"}"#, "null")), None);
    }

    #[test]
    fn what_is_wrong_is_named_and_what_is_unknown_is_not_wrong() {
        assert_eq!(read("[]"), Err("bad_json".into()));
        assert_eq!(read(r#"{"op":"send"}"#), Err("bad_request".into()));
        assert_eq!(read(r#"{"op":"x"}"#), Ok(Heard::Unknown));
    }
}
