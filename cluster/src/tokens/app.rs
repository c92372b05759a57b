//! The application's own tokens: who the user is and what they may do, as the application's back end signed it.
//!
//! HS256 with a shared secret. (RFC 7519 claims; asymmetric keys and JWKS are not read yet.)

use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value};

use super::CLOCK_LEEWAY_S;
use super::codec::{CodecError, checked_header, decode_signed, signature_only};
use super::ticket::Grants;
use crate::limits;

/// A token with this scope may look up and send in another user's name.
pub const SCOPE_ACT_FOR_OTHERS: &str = "act_for_others";

/// A token with this scope may use the back end's API.
pub const SCOPE_ADMIN: &str = "admin";

/// The longest application token that is read.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The least number of bytes of a shared secret (RFC 7518, 3.2: as long as the hash).
const SECRET_BYTES_MIN: usize = 32;

/// Verifies application tokens.
#[derive(Clone)]
pub struct AppTokens {
    key: DecodingKey,
    validation: Validation,
    issuer: Option<String>,
    audience: Option<String>,
    carried: Vec<String>,
}

/// What an application token says, once it is believed.
#[derive(Debug, Clone, PartialEq)]
pub struct AppIdentity {
    /// The user: the token's `sub`.
    pub user: String,
    /// End of the token, seconds since 1970.
    pub expires_s: u64,
    /// The words of its `scope`.
    pub scopes: Vec<String>,
    /// What a ticket carries of it.
    pub grants: Grants,
}

/// Why an application token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppTokenError {
    /// The secret is under 32 bytes.
    #[error(
        "the application's JWT secret has under {SECRET_BYTES_MIN} bytes: use one that is as long as the hash"
    )]
    SecretTooShort,
    /// Not a JWT, too long, or with extensions that must be understood.
    #[error("the token is not a JWT that can be read here")]
    Malformed,
    /// Signed with another algorithm.
    #[error("the token is not signed with HS256")]
    Algorithm,
    /// Signed with another key, or altered.
    #[error("the token's signature does not hold: sign it with the secret that the lookup service was given")]
    Signature,
    /// A claim that is needed is missing or has the wrong type.
    #[error("the token lacks a usable `{0}` claim")]
    Claim(&'static str),
    /// Past its end.
    #[error("the token has expired: get a new one from the application")]
    Expired,
    /// Before its beginning.
    #[error("the token is not valid yet (nbf)")]
    NotYet,
    /// From another issuer.
    #[error("the token's `iss` is not the configured one")]
    Issuer,
    /// For another audience.
    #[error("the token's `aud` does not name the configured audience")]
    Audience,
}

impl AppTokens {
    /// Tokens signed with HS256 under `secret`; `issuer` and `audience` are checked when given, and `carried` names
    /// the claims that become attributes of the session.
    ///
    /// # Errors
    /// A secret under 32 bytes.
    pub fn hs256(
        secret: &[u8],
        issuer: Option<String>,
        audience: Option<String>,
        carried: Vec<String>,
    ) -> Result<Self, AppTokenError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(AppTokenError::SecretTooShort);
        }
        Ok(Self {
            key: DecodingKey::from_secret(secret),
            validation: signature_only(),
            issuer,
            audience,
            carried,
        })
    }

    /// Believes a token or says why not.
    ///
    /// # Errors
    /// The first check that failed. None of them quotes the token.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<AppIdentity, AppTokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AppTokenError::Malformed);
        }
        checked_header(token)?;
        let claims: Map<String, Value> = decode_signed(token, &self.key, &self.validation)?;
        let expires_s = seconds(&claims, "exp")?.ok_or(AppTokenError::Claim("exp"))?;
        if now_s > expires_s.saturating_add(CLOCK_LEEWAY_S) {
            return Err(AppTokenError::Expired);
        }
        if seconds(&claims, "nbf")?.is_some_and(|nbf| nbf > now_s.saturating_add(CLOCK_LEEWAY_S)) {
            return Err(AppTokenError::NotYet);
        }
        self.check_parties(&claims)?;
        let user = claims.get("sub").and_then(Value::as_str).filter(|sub| limits::is_id(sub));
        Ok(AppIdentity {
            user: user.ok_or(AppTokenError::Claim("sub"))?.to_owned(),
            expires_s,
            scopes: words(&claims, "scope")?,
            grants: self.grants(&claims)?,
        })
    }

    fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), AppTokenError> {
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(AppTokenError::Issuer);
        }
        if let Some(audience) = &self.audience {
            let named = match claims.get("aud") {
                Some(Value::String(one)) => one == audience,
                Some(Value::Array(several)) => several.iter().any(|one| one == audience),
                _ => false,
            };
            if !named {
                return Err(AppTokenError::Audience);
            }
        }
        Ok(())
    }

    fn grants(&self, claims: &Map<String, Value>) -> Result<Grants, AppTokenError> {
        let attributes =
            self.carried.iter().filter_map(|name| Some((name.clone(), claims.get(name)?.clone()))).collect();
        Ok(Grants {
            permissions: words(claims, "permissions")?,
            groups: words(claims, "groups")?,
            attributes,
        })
    }
}

impl AppIdentity {
    /// Whether the token's scope names `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|word| word == scope)
    }
}

impl AppTokenError {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::SecretTooShort => "jwt_secret_too_short",
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_algorithm",
            Self::Signature => "token_signature",
            Self::Claim(_) => "token_claim",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet_valid",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
        }
    }
}

impl From<CodecError> for AppTokenError {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Algorithm => Self::Algorithm,
            CodecError::Signature | CodecError::UnknownKey => Self::Signature,
            CodecError::Malformed | CodecError::Critical => Self::Malformed,
        }
    }
}

/// A NumericDate (RFC 7519, 2): seconds, possibly with a fraction, which is dropped.
fn seconds(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, AppTokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => match (value.as_u64(), value.as_f64()) {
            (Some(whole), _) => Ok(Some(whole)),
            (None, Some(real)) if (0.0..9e15).contains(&real) => Ok(Some(real as u64)),
            _ => Err(AppTokenError::Claim(name)),
        },
    }
}

/// A list of words: an array of strings, or one string of words between spaces (RFC 8693, 4.2).
fn words(claims: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, AppTokenError> {
    let wrong = AppTokenError::Claim(name);
    match claims.get(name) {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::String(text)) => Ok(text.split_ascii_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(list)) => {
            list.iter().map(|one| one.as_str().map(str::to_owned).ok_or(wrong)).collect()
        }
        Some(_) => Err(wrong),
    }
}

#[cfg(test)]
mod tests;
