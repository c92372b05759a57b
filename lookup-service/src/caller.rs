//! Who asks: believed by the application's token, or taken at their word.

use std::fmt;

use cluster::tokens::{AppIdentity, AppTokens};
use edge::bearer::bearer;

use crate::refusal::Refusal;

/// How callers are known.
#[derive(Clone)]
pub enum Callers {
    /// By the application's token.
    Tokens(Box<AppTokens>),
    /// Not at all: whoever asks is whom they say they are. For development.
    Anyone,
}

/// One caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Caller {
    /// The token was believed.
    Known(AppIdentity),
    /// Nothing is known.
    Anyone,
}

// === impl Callers ===

impl Callers {
    /// The caller behind an `Authorization` header.
    ///
    /// # Errors
    /// No token, or one that is not believed.
    pub fn identify(&self, authorization: Option<&[u8]>, now_s: u64) -> Result<Caller, Refusal> {
        match self {
            Self::Anyone => Ok(Caller::Anyone),
            Self::Tokens(tokens) => {
                let token = authorization.and_then(bearer).ok_or(Refusal::TokenMissing)?;
                Ok(Caller::Known(tokens.verify(token, now_s)?))
            }
        }
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens(_) => "Tokens(..)",
            Self::Anyone => "Anyone",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_bearer() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(bearer(header.as_bytes()), token, "{header:?}");
        }
        assert_eq!(bearer(b"Bearer \xff"), None);
    }

    #[test]
    fn without_tokens_a_header_says_nothing() {
        assert_eq!(Callers::Anyone.identify(Some(b"Bearer nonsense"), 0), Ok(Caller::Anyone));
        assert_eq!(Callers::Anyone.identify(None, 0), Ok(Caller::Anyone));
    }
}
