//! Reading the fields of a client's frame: each only by the op that it belongs to.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{About, ClientFrame, Hello, History, Join, Online, Reference, Refusal, Send, Since, Target};
use crate::limits;
use crate::log::{Cursor, Epoch};
use crate::wire::codes::ErrorCode;

/// Every field of every frame, unread: what another op's field holds is nobody's business.
#[derive(Deserialize)]
pub(super) struct Fields<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default, rename = "ref")]
    reference: Raw<'a>,
    #[serde(borrow, default)]
    to: Raw<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Raw<'a>,
    #[serde(borrow, default)]
    key: Raw<'a>,
    #[serde(borrow, default)]
    ephemeral: Raw<'a>,
    #[serde(borrow, default)]
    replaces: Raw<'a>,
    #[serde(borrow, default)]
    resume: Raw<'a>,
    #[serde(borrow, default)]
    groups: Raw<'a>,
    #[serde(borrow, default)]
    group: Raw<'a>,
    #[serde(borrow, default)]
    since: Raw<'a>,
    #[serde(borrow, default)]
    presence: Raw<'a>,
    #[serde(borrow, default)]
    users: Raw<'a>,
    #[serde(borrow, default)]
    epoch: Raw<'a>,
    #[serde(borrow, default)]
    after: Raw<'a>,
    #[serde(borrow, default)]
    before: Raw<'a>,
    #[serde(borrow, default)]
    limit: Raw<'a>,
}

type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
struct TargetFields<'a> {
    #[serde(borrow, default)]
    user: Option<Text<'a>>,
    #[serde(borrow, default)]
    users: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    group: Option<Text<'a>>,
    #[serde(default)]
    all: Option<bool>,
    #[serde(borrow, default, rename = "match")]
    matching: Raw<'a>,
}

#[derive(Deserialize)]
struct SinceFields {
    #[serde(default)]
    epoch: Option<Epoch>,
    offset: u64,
}

/// A string that is borrowed where it has no escapes. (A plain `Cow` inside `Option` or `Vec` is always copied.)
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

// === impl Fields ===

impl<'a> Fields<'a> {
    /// A reference is a string or a number, and short: it is held and sent back.
    pub(super) fn reference(&self) -> Result<Reference<'a>, Refusal<'a>> {
        let Some(value) = self.reference else { return Ok(None) };
        let scalar =
            value.get().starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
        if scalar && value.get().len() <= limits::ID_BYTES_MAX {
            return Ok(Some(value));
        }
        Err(Refusal { reference: None, code: ErrorCode::BadRequest })
    }

    pub(super) fn frame(self, reference: Reference<'a>) -> Result<ClientFrame<'a>, ErrorCode> {
        Ok(match &*self.op {
            "hello" => ClientFrame::Hello(self.hello()?),
            "send" => ClientFrame::Send(self.send(reference)?),
            "join" => ClientFrame::Join(self.join(reference)?),
            "leave" => ClientFrame::Leave(self.about(reference)?),
            "presence" => ClientFrame::Presence(self.about(reference)?),
            "history" => ClientFrame::History(self.history(reference)?),
            "online" => {
                let users = self.users.ok_or(ErrorCode::BadRequest)?;
                ClientFrame::Online(Online { reference, users: several(read(users)?)? })
            }
            "detach" => ClientFrame::Detach,
            "pong" => ClientFrame::Pong,
            "auth" => ClientFrame::NotSupported { reference },
            _ => ClientFrame::Unknown,
        })
    }

    fn hello(self) -> Result<Hello<'a>, ErrorCode> {
        let groups: Option<Vec<Text<'a>>> = optional(self.groups)?;
        let resume: Option<BTreeMap<String, SinceFields>> = optional(self.resume)?;
        let (groups, resume) = (groups.unwrap_or_default(), resume.unwrap_or_default());
        if groups.len() + resume.len() > limits::TOPICS_PER_HELLO_MAX {
            return Err(ErrorCode::TooManyGroups);
        }
        let groups = groups.into_iter().map(|group| id(group.0)).collect::<Result<_, _>>()?;
        let since = |(topic, since): (String, SinceFields)| since.checked().map(|since| (topic, since));
        let resume = resume.into_iter().map(since).collect::<Result<_, _>>()?;
        Ok(Hello { replaces: optional_id(self.replaces)?, groups, resume })
    }

    fn send(self, reference: Reference<'a>) -> Result<Send<'a>, ErrorCode> {
        let to = Target::parse(self.to.ok_or(ErrorCode::BadRequest)?)?;
        let data = self.data.ok_or(ErrorCode::BadRequest)?;
        let ephemeral = optional(self.ephemeral)?.unwrap_or(false);
        Ok(Send { reference, to, key: optional_id(self.key)?, ephemeral, data })
    }

    fn join(self, reference: Reference<'a>) -> Result<Join<'a>, ErrorCode> {
        let since: Option<SinceFields> = optional(self.since)?;
        let presence = optional(self.presence)?.unwrap_or(false);
        let About { group, .. } = self.about(reference)?;
        Ok(Join { reference, group, since: since.map(SinceFields::checked).transpose()?, presence })
    }

    fn about(self, reference: Reference<'a>) -> Result<About<'a>, ErrorCode> {
        Ok(About { reference, group: optional_id(self.group)?.ok_or(ErrorCode::BadRequest)? })
    }

    fn history(self, reference: Reference<'a>) -> Result<History<'a>, ErrorCode> {
        let cursor = match (optional(self.after)?, optional(self.before)?) {
            (Some(after), None) => Cursor::After(after),
            (None, Some(before)) => Cursor::Before(before),
            (None, None) => Cursor::Before(u64::MAX),
            (Some(_), Some(_)) => return Err(ErrorCode::BadRequest),
        };
        let limit = optional(self.limit)?.unwrap_or(limits::HISTORY_LIMIT);
        if !(1..=limits::HISTORY_LIMIT_MAX).contains(&limit) {
            return Err(ErrorCode::BadRequest);
        }
        Ok(History {
            reference,
            group: optional_id(self.group)?,
            epoch: optional(self.epoch)?,
            cursor,
            limit,
        })
    }
}

// === impl Target ===

impl<'a> Target<'a> {
    /// Reads a `to`, which has exactly one of its fields. The back end's API takes the same.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(raw: &'a RawValue) -> Result<Self, ErrorCode> {
        let fields: TargetFields<'a> = read(raw)?;
        match (fields.user, fields.users, fields.group, fields.all, fields.matching) {
            (Some(user), None, None, None, None) => id(user.0).map(Self::User),
            (None, Some(users), None, None, None) => several(users).map(Self::Users),
            (None, None, Some(group), None, None) => id(group.0).map(Self::Group),
            (None, None, None, Some(true), None) => Ok(Self::All),
            (None, None, None, None, Some(matching)) if is_match(matching) => Ok(Self::Match(matching)),
            _ => Err(ErrorCode::BadRequest),
        }
    }
}

// === impl SinceFields ===

impl SinceFields {
    /// An offset says nothing without its epoch, but for the place before the first entry.
    fn checked(self) -> Result<Since, ErrorCode> {
        let Self { epoch, offset } = self;
        if epoch.is_none() && offset > 0 { Err(ErrorCode::BadRequest) } else { Ok(Since { epoch, offset }) }
    }
}

/// A few attributes and the scalar that each must have. Without any it would be everybody.
fn is_match(raw: &RawValue) -> bool {
    let attributes: Option<BTreeMap<String, Value>> = serde_json::from_str(raw.get()).ok();
    let scalar = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let fits = |attributes: BTreeMap<String, Value>| {
        (1..=limits::MATCH_ATTRIBUTES_MAX).contains(&attributes.len()) && attributes.values().all(scalar)
    };
    raw.get().len() <= limits::MATCH_BYTES_MAX && attributes.is_some_and(fits)
}

fn several<'a>(users: Vec<Text<'a>>) -> Result<Vec<Cow<'a, str>>, ErrorCode> {
    if users.len() > limits::USERS_PER_SEND_MAX {
        return Err(ErrorCode::TooManyUsers);
    }
    users.into_iter().map(|user| id(user.0)).collect()
}

fn id(text: Cow<'_, str>) -> Result<Cow<'_, str>, ErrorCode> {
    if limits::is_id(&text) { Ok(text) } else { Err(ErrorCode::BadId) }
}

fn optional_id(raw: Raw<'_>) -> Result<Option<Cow<'_, str>>, ErrorCode> {
    optional::<Text<'_>>(raw)?.map(|text| id(text.0)).transpose()
}

/// A field that may be absent or `null`.
fn optional<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Result<Option<T>, ErrorCode> {
    raw.map_or(Ok(None), read)
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, ErrorCode> {
    serde_json::from_str(raw.get()).map_err(|_| ErrorCode::BadRequest)
}

/// A field that is there, also when it is `null`: `null` is data like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
