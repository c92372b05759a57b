//! Application tokens: each check has a token that fails it alone.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const SECRET: &[u8] = b"the application's secret, 32 bytes or more";
const NOW: u64 = 1_000_000;

fn sign_with(header: &Header, secret: &[u8], claims: &Value) -> String {
    crate::tokens::install_crypto();
    encode(header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn sign(claims: Value) -> String {
    sign_with(&Header::new(Algorithm::HS256), SECRET, &claims)
}

fn tokens() -> AppTokens {
    AppTokens::hs256(SECRET, None, None, vec!["role".into()]).unwrap()
}

fn refused(claims: Value) -> AppTokenError {
    tokens().verify(&sign(claims), NOW).unwrap_err()
}

#[test]
fn a_good_token_is_read_whole() {
    let token = sign(
        json!({ "sub": "alice", "exp": NOW + 60, "scope": "admin other", "groups": ["g1", "g2"], "role": "teacher", "secret": 1 }),
    );
    let identity = tokens().verify(&token, NOW).unwrap();
    assert_eq!((identity.user.as_str(), identity.expires_s), ("alice", NOW + 60));
    assert!(identity.has_scope(SCOPE_ADMIN) && !identity.has_scope(SCOPE_ACT_FOR_OTHERS));
    assert_eq!(identity.grants.groups, ["g1", "g2"]);
    assert_eq!(Value::Object(identity.grants.attributes), json!({ "role": "teacher" }));
}

#[test]
fn time_is_checked_against_the_callers_clock() {
    let token = sign(json!({ "sub": "alice", "exp": NOW, "nbf": NOW - 10 }));
    assert!(tokens().verify(&token, NOW + 5).is_ok());
    assert_eq!(tokens().verify(&token, NOW + 6), Err(AppTokenError::Expired));
    assert_eq!(tokens().verify(&token, NOW - 16), Err(AppTokenError::NotYet));
}

#[test]
fn claims_are_needed_and_typed() {
    assert_eq!(refused(json!({ "sub": "alice" })), AppTokenError::Claim("exp"));
    assert_eq!(refused(json!({ "sub": "alice", "exp": "soon" })), AppTokenError::Claim("exp"));
    assert_eq!(refused(json!({ "exp": NOW })), AppTokenError::Claim("sub"));
    assert_eq!(refused(json!({ "sub": "", "exp": NOW })), AppTokenError::Claim("sub"));
    assert_eq!(refused(json!({ "sub": "a\nb", "exp": NOW })), AppTokenError::Claim("sub"));
    assert_eq!(refused(json!({ "sub": "alice", "exp": NOW, "groups": [1] })), AppTokenError::Claim("groups"));
}

#[test]
fn issuer_and_audience_are_needed_when_configured() {
    let strict = AppTokens::hs256(SECRET, Some("shop".into()), Some("chat".into()), vec![]).unwrap();
    let verify = |claims| strict.verify(&sign(claims), NOW);
    assert!(verify(json!({ "sub": "a", "exp": NOW, "iss": "shop", "aud": ["x", "chat"] })).is_ok());
    assert_eq!(verify(json!({ "sub": "a", "exp": NOW, "aud": "chat" })), Err(AppTokenError::Issuer));
    assert_eq!(
        verify(json!({ "sub": "a", "exp": NOW, "iss": 5, "aud": "chat" })),
        Err(AppTokenError::Issuer)
    );
    assert_eq!(verify(json!({ "sub": "a", "exp": NOW, "iss": "shop" })), Err(AppTokenError::Audience));
    assert_eq!(
        verify(json!({ "sub": "a", "exp": NOW, "iss": "shop", "aud": "other" })),
        Err(AppTokenError::Audience)
    );
}

#[test]
fn forgeries_are_refused() {
    let claims = json!({ "sub": "alice", "exp": NOW });
    let by_stranger =
        sign_with(&Header::new(Algorithm::HS256), b"some other secret that is long enough", &claims);
    assert_eq!(tokens().verify(&by_stranger, NOW), Err(AppTokenError::Signature));
    let other_algorithm = sign_with(&Header::new(Algorithm::HS512), SECRET, &claims);
    assert_eq!(tokens().verify(&other_algorithm, NOW), Err(AppTokenError::Algorithm));
    // {"alg":"none"} with an empty signature, the classic.
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", sign(claims).split('.').nth(1).unwrap());
    assert!(tokens().verify(&unsigned, NOW).is_err());
    for junk in ["", "a.b.c", "....", &"x".repeat(9_000)] {
        assert_eq!(tokens().verify(junk, NOW), Err(AppTokenError::Malformed));
    }
}

#[test]
fn unknown_critical_extensions_and_short_secrets_are_refused() {
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp-strict".into()]);
    let token = sign_with(&header, SECRET, &json!({ "sub": "alice", "exp": NOW }));
    assert_eq!(tokens().verify(&token, NOW), Err(AppTokenError::Malformed));
    assert_eq!(AppTokens::hs256(b"", None, None, vec![]).err(), Some(AppTokenError::SecretTooShort));
}
