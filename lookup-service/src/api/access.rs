//! Who may use the back end's API: whoever has a key, or a token of the application with the scope `admin`. Pure.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use cluster::tokens::SCOPE_ADMIN;
use edge::bearer::bearer;

use crate::caller::Callers;
use crate::refusal::Refusal;

/// The keys of the back end's API, as digests: several while one is replaced.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<digest::Digest>);

/// Somebody who may use the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admin {
    /// In whose name messages are sent that name no sender: the token's user, or with a key nobody. An empty name is no
    /// user's, so that no user can be taken for the application.
    pub(crate) from: String,
}

// === impl ApiKeys ===

impl ApiKeys {
    /// The least number of bytes of a key.
    pub const BYTES_MIN: usize = 32;
    /// How many there may be.
    pub const COUNT_MAX: usize = 8;

    /// These keys. Their length and number are for the configuration to check.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(keys.into_iter().map(digest_of).collect())
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them. All are compared, each in a time that does not tell how much of it fits.
    fn hold(&self, key: &str) -> bool {
        let given = digest_of(key);
        let fits = |known: &digest::Digest| {
            constant_time::verify_slices_are_equal(known.as_ref(), given.as_ref()).is_ok()
        };
        self.0.iter().fold(false, |found, known| found | fits(known))
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

/// Whether there is no way to be admitted.
fn is_closed(keys: &ApiKeys, callers: &Callers) -> bool {
    keys.is_empty() && matches!(callers, Callers::Anyone)
}

/// Admits whoever may use the API.
///
/// # Errors
/// What is missing. Without a way to be admitted, the API is closed.
pub(crate) fn admit(
    keys: &ApiKeys,
    callers: &Callers,
    authorization: Option<&[u8]>,
    now_s: u64,
) -> Result<Admin, Refusal> {
    let tokens = match callers {
        Callers::Tokens(tokens) => Some(tokens),
        Callers::Anyone if is_closed(keys, callers) => return Err(Refusal::ApiClosed),
        Callers::Anyone => None,
    };
    let given = authorization.and_then(bearer).ok_or(Refusal::ApiKeyMissing)?;
    if keys.hold(given) {
        return Ok(Admin { from: String::new() });
    }
    // What looks like no JWT at all is more likely an old key, or another cluster's.
    let tokens = tokens.filter(|_| given.split('.').count() == 3).ok_or(Refusal::ApiKeyUnknown)?;
    let identity = tokens.verify(given, now_s)?;
    if identity.has_scope(SCOPE_ADMIN) { Ok(Admin { from: identity.user }) } else { Err(Refusal::NotAdmin) }
}

fn digest_of(key: &str) -> digest::Digest {
    digest::digest(&digest::SHA256, key.as_bytes())
}

#[cfg(test)]
mod tests {
    use cluster::tokens::AppTokens;

    use super::*;

    const OLD: &str = "an API key of the last month, 32+";
    const NEW: &str = "an API key of this month, 32 bytes";

    fn tokens() -> Callers {
        let secret = b"an application secret of thirty-two bytes";
        Callers::Tokens(Box::new(AppTokens::hs256(secret, None, None, vec![]).unwrap()))
    }

    fn admitted(keys: &[&str], callers: &Callers, given: Option<&str>) -> Result<String, &'static str> {
        let header = given.map(|given| format!("Bearer {given}"));
        let keys = ApiKeys::new(keys.iter().copied());
        let admin = admit(&keys, callers, header.as_ref().map(String::as_bytes), 1_700_000_000);
        admin.map(|admin| admin.from).map_err(Refusal::code)
    }

    #[test]
    fn any_of_the_keys_opens() {
        for callers in [tokens(), Callers::Anyone] {
            for key in [OLD, NEW] {
                assert_eq!(admitted(&[NEW, OLD], &callers, Some(key)), Ok(String::new()));
            }
            for other in ["x", "", &NEW[1..], &format!("{NEW}x"), &NEW.to_uppercase()] {
                let refused = if other.is_empty() { "api_key_missing" } else { "api_key_unknown" };
                assert_eq!(admitted(&[NEW, OLD], &callers, Some(other)), Err(refused), "{other}");
            }
            assert_eq!(admitted(&[NEW], &callers, Some(OLD)), Err("api_key_unknown"));
            assert_eq!(admitted(&[NEW], &callers, None), Err("api_key_missing"));
        }
    }

    #[test]
    fn without_any_way_in_it_is_closed() {
        assert_eq!(admitted(&[], &Callers::Anyone, None), Err("api_closed"));
        assert_eq!(admitted(&[], &Callers::Anyone, Some("")), Err("api_closed"));
        assert_eq!(admitted(&[], &Callers::Anyone, Some(NEW)), Err("api_closed"));
        assert_eq!(admitted(&[], &tokens(), None), Err("api_key_missing"));
    }

    #[test]
    fn what_looks_like_a_token_is_judged_as_one_where_tokens_are_known() {
        assert_eq!(admitted(&[NEW], &tokens(), Some("a.b.c")), Err("token_malformed"));
        assert_eq!(admitted(&[NEW], &Callers::Anyone, Some("a.b.c")), Err("api_key_unknown"));
        assert_eq!(admitted(&["a.b.c"], &tokens(), Some("a.b.c")), Ok(String::new()));
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", ApiKeys::new([OLD, NEW])), "ApiKeys(2)");
    }
}
