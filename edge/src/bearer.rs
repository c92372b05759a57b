//! Bearer tokens in `Authorization` headers.

/// The token of `Bearer <token>` (RFC 6750, 2.1; the scheme in any case). `None` if there is none in it.
pub fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, token) = std::str::from_utf8(header).ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
