//! What a lookup asks for, read strictly from a query string or a JSON body. Unknown fields are ignored, so that newer
//! clients can ask older services.

use std::borrow::Cow;

use cluster::limits::is_id;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::refusal::Refusal;

/// Bytes of a lookup's body, at most.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Nodes that one lookup may ask to avoid.
pub const AVOID_MAX: usize = 16;

/// The service that is meant when none is named.
pub const DEFAULT_SERVICE: &str = "default";

/// The fields of a lookup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookupRequest {
    /// The user; may be left out where a token names them.
    pub id: Option<String>,
    /// The service; [`DEFAULT_SERVICE`] if left out.
    pub service: Option<String>,
    /// Ids of nodes that the client could not reach, each once.
    pub avoid: Vec<String>,
}

/// The same as JSON has it.
#[derive(Deserialize)]
struct Fields {
    id: Option<String>,
    service: Option<String>,
    avoid: Option<Avoid>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Avoid {
    One(String),
    Several(Vec<String>),
}

// === impl LookupRequest ===

impl LookupRequest {
    /// From `id=..&service=..&avoid=..&avoid=..`, percent-encoded UTF-8, `+` for a space.
    ///
    /// # Errors
    /// [`Refusal::BadQuery`], or the field that is outside its limits.
    pub fn from_query(query: &str) -> Result<Self, Refusal> {
        let mut request = Self::default();
        for (name, value) in pairs(query) {
            match &*decoded(name)? {
                "id" => set(&mut request.id, value)?,
                "service" => set(&mut request.service, value)?,
                "avoid" => request.avoid.push(decoded(value)?.into_owned()),
                _ => {}
            }
        }
        request.checked()
    }

    /// From a JSON object; an empty body is an empty object.
    ///
    /// # Errors
    /// [`Refusal::BadJson`], or the field that is outside its limits.
    pub fn from_json(body: &[u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        // serde would also take an array for a struct.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Refusal::BadJson);
        }
        let Fields { id, service, avoid } = serde_json::from_slice(body).map_err(|_| Refusal::BadJson)?;
        let avoid = match avoid {
            None => Vec::new(),
            Some(Avoid::One(node)) => vec![node],
            Some(Avoid::Several(nodes)) => nodes,
        };
        Self { id, service, avoid }.checked()
    }

    /// The service that is meant.
    pub fn service(&self) -> &str {
        self.service.as_deref().unwrap_or(DEFAULT_SERVICE)
    }

    fn checked(mut self) -> Result<Self, Refusal> {
        if self.id.as_ref().is_some_and(|id| !is_id(id)) {
            return Err(Refusal::BadId);
        }
        if self.avoid.iter().any(|node| !is_id(node)) {
            return Err(Refusal::BadAvoid);
        }
        if self.avoid.len() > AVOID_MAX {
            return Err(Refusal::TooManyAvoided);
        }
        self.avoid.sort_unstable();
        self.avoid.dedup();
        Ok(self)
    }
}

/// The service that a `GET /ring` names.
///
/// # Errors
/// [`Refusal::BadQuery`].
pub(crate) fn service_of(query: &str) -> Result<Option<String>, Refusal> {
    let mut service = None;
    for (name, value) in pairs(query) {
        if decoded(name)? == "service" {
            set(&mut service, value)?;
        }
    }
    Ok(service)
}

/// Names and values of a query, undecoded.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Sets a field that may be given once.
pub(crate) fn set(field: &mut Option<String>, value: &str) -> Result<(), Refusal> {
    match field.replace(decoded(value)?.into_owned()) {
        None => Ok(()),
        Some(_) => Err(Refusal::BadQuery),
    }
}

/// The bytes of a path's segment, strictly: as [`decoded`], but `+` is a plus.
///
/// # Errors
/// [`Refusal::BadPath`].
pub(crate) fn decoded_segment(text: &str) -> Result<String, Refusal> {
    // What `decoded` takes for a space.
    decoded(&text.replace('+', "%2B")).map(Cow::into_owned).map_err(|_| Refusal::BadPath)
}

/// `application/x-www-form-urlencoded`, strictly: a `%` without two hexadecimal digits and bytes that are not UTF-8 are
/// errors, where browsers let them pass.
pub(crate) fn decoded(text: &str) -> Result<Cow<'_, str>, Refusal> {
    if !text.contains(['%', '+']) {
        return Ok(Cow::Borrowed(text));
    }
    let hex = |part: &str| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !text.split('%').skip(1).all(hex) {
        return Err(Refusal::BadQuery);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| Refusal::BadQuery)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, service: &str, avoid: &[&str]) -> LookupRequest {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let avoid = avoid.iter().map(ToString::to_string).collect();
        LookupRequest { id: given(id), service: given(service), avoid }
    }

    #[test]
    fn queries_are_read_as_browsers_write_them() {
        for (query, expected) in [
            ("", request("", "", &[])),
            ("id=alice", request("alice", "", &[])),
            ("&id=alice&&", request("alice", "", &[])),
            ("id=a%2Fb%3Fc%26d%3De%2Bf&service=dc", request("a/b?c&d=e+f", "dc", &[])),
            ("id=+", request(" ", "", &[])),
            ("id=gr%C3%BC%c3%9fe", request("grüße", "", &[])),
            ("id=%E7%94%A8%E6%88%B7%E4%B8%80", request("用户一", "", &[])),
            ("%69d=alice", request("alice", "", &[])),
            ("avoid=n2&avoid=n1&avoid=n2", request("", "", &["n1", "n2"])),
            ("id=alice&token=x&later=1", request("alice", "", &[])),
            ("id=a=b", request("a=b", "", &[])),
        ] {
            assert_eq!(LookupRequest::from_query(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn queries_are_refused_for_a_reason() {
        let long = format!("id={}", "x".repeat(257));
        let many = "avoid=n&".repeat(AVOID_MAX + 1);
        for (query, refusal) in [
            ("id=a&id=a", Refusal::BadQuery),
            ("service=a&service=b", Refusal::BadQuery),
            ("id=%", Refusal::BadQuery),
            ("id=%4", Refusal::BadQuery),
            ("id=%4g", Refusal::BadQuery),
            ("id=%4%31", Refusal::BadQuery),
            ("id=%FF%FE", Refusal::BadQuery),
            ("id=%C3", Refusal::BadQuery),
            ("%zz=1", Refusal::BadQuery),
            ("id=", Refusal::BadId),
            ("id", Refusal::BadId),
            ("id=a%00b", Refusal::BadId),
            ("id=a%C2%85b", Refusal::BadId),
            (&long, Refusal::BadId),
            ("avoid=", Refusal::BadAvoid),
            ("avoid=a%0Ab", Refusal::BadAvoid),
            (&many, Refusal::TooManyAvoided),
        ] {
            assert_eq!(LookupRequest::from_query(query), Err(refusal), "{query}");
        }
    }

    #[test]
    fn bodies_mean_what_queries_mean() {
        for (body, expected) in [
            ("", request("", "", &[])),
            ("{}", request("", "", &[])),
            (r#" {"id":"alice","service":"dc","avoid":"n1"} "#, request("alice", "dc", &["n1"])),
            (r#"{"avoid":["n2","n1","n2"],"later":{"a":[]}}"#, request("", "", &["n1", "n2"])),
            (r#"{"id":null,"service":null,"avoid":null}"#, request("", "", &[])),
            (r#"{"id":"gr\u00fc\u00dfe"}"#, request("grüße", "", &[])),
        ] {
            assert_eq!(LookupRequest::from_json(body.as_bytes()), Ok(expected), "{body}");
        }
    }

    #[test]
    fn bodies_are_refused_for_a_reason() {
        for body in [
            "{",
            "[]",
            r#"["alice"]"#,
            r#""alice""#,
            "null",
            "\0",
            r#"{"id":7}"#,
            r#"{"id":"a","id":"a"}"#,
            r#"{"avoid":{}}"#,
            r#"{"avoid":[1]}"#,
            "{} {}",
            " ",
        ] {
            assert_eq!(LookupRequest::from_json(body.as_bytes()), Err(Refusal::BadJson), "{body}");
        }
        assert_eq!(LookupRequest::from_json(b"{\"id\":\"\xff\"}"), Err(Refusal::BadJson));
        assert_eq!(LookupRequest::from_json(br#"{"id":""}"#), Err(Refusal::BadId));
        assert_eq!(LookupRequest::from_json(br#"{"avoid":[""]}"#), Err(Refusal::BadAvoid));
    }

    #[test]
    fn a_ring_is_asked_for_by_service() {
        assert_eq!(service_of("x=1&service=d%63"), Ok(Some("dc".to_owned())));
        assert_eq!(service_of(""), Ok(None));
        assert_eq!(service_of("service=a&service=a"), Err(Refusal::BadQuery));
    }
}
