//! Messages as the API takes them, one or a batch. Pure. What `to` means is read as it is from clients.

use std::collections::BTreeSet;
use std::fmt;

use cluster::limits::is_id;
use cluster::wire::client::Target as ClientTarget;
use cluster::wire::codes::ErrorCode;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::MESSAGES_MAX;
use super::backend::{OutMessage, Target};
use crate::refusal::Refusal;

/// What a body holds. What is wrong with one message of a batch says nothing about the others.
#[derive(Debug)]
pub(super) enum Messages {
    /// One message.
    One(OutMessage),
    /// A batch.
    Batch(Vec<Result<OutMessage, Refusal>>),
}

/// What holds for messages that do not say otherwise, and for all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    /// The sender where none is named.
    pub(super) from: &'a str,
    /// Bytes of `data`, at most.
    pub(super) data_bytes_max: usize,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    messages: Option<Items<'a>>,
}

/// As many items of an array as are taken, and how many there were.
struct Items<'a> {
    kept: Vec<&'a RawValue>,
    count: usize,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    to: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    key: Option<String>,
    ephemeral: Option<bool>,
    from: Option<String>,
}

/// Reads a body.
///
/// # Errors
/// It is no JSON object, the batch is too large, or the only message is wrong.
pub(super) fn read(body: &[u8], terms: Terms<'_>) -> Result<Messages, Refusal> {
    // serde would also take an array for a struct.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::BadMessages);
    }
    let text = std::str::from_utf8(body).map_err(|_| Refusal::BadMessages)?;
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| Refusal::BadMessages)?;
    match envelope.messages {
        None => message(text, terms).map(Messages::One),
        Some(items) if items.count > MESSAGES_MAX => Err(Refusal::TooManyMessages),
        Some(items) => {
            Ok(Messages::Batch(items.kept.into_iter().map(|item| message(item.get(), terms)).collect()))
        }
    }
}

fn message(text: &str, terms: Terms<'_>) -> Result<OutMessage, Refusal> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Refusal::BadMessage("a message is a JSON object"));
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|_| {
        Refusal::BadMessage(
            "`key` and `from` are strings, `ephemeral` is true or false, and each field comes once",
        )
    })?;
    let to = target(fields.to.ok_or(Refusal::BadMessage("`to` is missing: say whom the message is for"))?)?;
    let data = fields
        .data
        .ok_or(Refusal::BadMessage("`data` is missing: send any JSON, null if there is nothing"))?;
    if data.get().len() > terms.data_bytes_max {
        return Err(Refusal::DataTooLarge(terms.data_bytes_max));
    }
    if fields.key.as_ref().is_some_and(|key| !is_id(key)) {
        return Err(Refusal::BadMessage("a `key` has 1 to 256 bytes of UTF-8 without control characters"));
    }
    let from = fields.from.unwrap_or_else(|| terms.from.to_owned());
    if !from.is_empty() && !is_id(&from) {
        return Err(Refusal::BadId);
    }
    let ephemeral = fields.ephemeral.unwrap_or(false) || matches!(to, Target::All | Target::Match(_));
    Ok(OutMessage { from, to, data: data.to_owned(), key: fields.key, ephemeral })
}

fn target(raw: &RawValue) -> Result<Target, Refusal> {
    let parsed = ClientTarget::parse(raw).map_err(|code| match code {
        ErrorCode::BadRequest => Refusal::BadMessage(
            "`to` is one of {\"user\": id}, {\"users\": [ids]}, {\"group\": name}, {\"all\": true} and {\"match\": {attribute: value}}, with 1 to 16 attributes whose values are strings, numbers or booleans",
        ),
        ErrorCode::BadId => Refusal::BadId,
        code => Refusal::Node(code),
    })?;
    Ok(match parsed {
        ClientTarget::User(user) => Target::User(user.into_owned()),
        ClientTarget::Users(users) => {
            // Each once, and in the order in which they came.
            let mut seen = BTreeSet::new();
            let fresh = users.into_iter().filter(|user| seen.insert(user.clone()));
            Target::Users(fresh.map(|user| user.into_owned()).collect())
        }
        ClientTarget::Group(group) => Target::Group(group.into_owned()),
        ClientTarget::All => Target::All,
        ClientTarget::Match(raw) => {
            Target::Match(serde_json::from_str(raw.get()).map_err(|_| Refusal::BadMessages)?)
        }
    })
}

/// A field that is there, also when it is `null`: `null` is data like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

// === impl Items ===

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;

        impl<'de> Visitor<'de> for Counting {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items<'de>, A::Error> {
                let mut items = Items { kept: Vec::new(), count: 0 };
                while items.count < MESSAGES_MAX
                    && let Some(item) = seq.next_element()?
                {
                    items.kept.push(item);
                    items.count += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    items.count += 1;
                }
                Ok(items)
            }
        }

        deserializer.deserialize_seq(Counting)
    }
}

#[cfg(test)]
mod tests;
