//! Reading a request's body within a bound.

use std::pin::pin;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::HeaderValue;

use super::answer;
use crate::refusal::Refusal;

/// What is read at least of a body over its limit before it is refused, in bytes. Whoever is still sending when the
/// connection closes gets a reset and never reads why.
const DISCARD_BYTES_MIN: usize = 1024 * 1024;

/// The whole body, of at most `bytes_max`. `declared` is its `Content-Length`, if there is one.
pub(super) async fn read<B: Buf, E>(
    body: impl Stream<Item = Result<B, E>>,
    declared: Option<&HeaderValue>,
    bytes_max: usize,
) -> Result<Bytes, Refusal> {
    let discard_max = bytes_max.saturating_mul(2).max(DISCARD_BYTES_MIN);
    let declared: Option<usize> = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length| length > discard_max) {
        return Err(Refusal::BodyTooLarge(bytes_max));
    }
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    let mut count = 0;
    while let Some(part) = body.next().await {
        let mut part = part.map_err(|_| Refusal::BodyBroken)?;
        count += part.remaining();
        if count > discard_max {
            break;
        }
        if count <= bytes_max {
            let length = part.remaining();
            whole.extend_from_slice(&part.copy_to_bytes(length));
        }
    }
    if count > bytes_max { Err(Refusal::BodyTooLarge(bytes_max)) } else { Ok(whole.freeze()) }
}

/// `application/json`, whatever its parameters. (JSON is UTF-8; a charset changes nothing.)
pub(super) fn is_json(kind: Option<&HeaderValue>) -> bool {
    let essence = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(answer::JSON))
}

#[cfg(test)]
mod tests {
    use futures_util::stream::iter;

    use super::*;

    const MAX: usize = 16 * 1024;

    async fn take(parts: &[usize]) -> Result<usize, Refusal> {
        let parts: Vec<Result<Bytes, ()>> =
            parts.iter().map(|length| Ok(vec![b'x'; *length].into())).collect();
        read(iter(parts), None, MAX).await.map(|body| body.len())
    }

    #[tokio::test]
    async fn the_limit_holds_in_one_part_and_in_many() {
        let refused = Err(Refusal::BodyTooLarge(MAX));
        assert_eq!(take(&[]).await, Ok(0));
        assert_eq!(take(&[MAX]).await, Ok(MAX));
        assert_eq!(take(&[MAX + 1]).await, refused);
        assert_eq!(take(&[1024; 16]).await, Ok(MAX));
        assert_eq!(take(&[1024; 17]).await, refused);
    }

    #[tokio::test]
    async fn what_is_far_over_is_not_read_to_its_end() {
        let refused = Err(Refusal::BodyTooLarge(MAX));
        let endless = futures_util::stream::repeat_with(|| Ok::<_, ()>(Bytes::from_static(&[0; 4096])));
        assert_eq!(read(endless, None, MAX).await, refused);
        let unread = futures_util::stream::pending::<Result<Bytes, ()>>();
        let declared = HeaderValue::from(1_u64 << 40);
        assert_eq!(read(unread, Some(&declared), MAX).await, refused);
    }

    #[tokio::test]
    async fn a_broken_body_is_told_from_a_short_one() {
        let parts = [Ok(Bytes::from_static(b"{}")), Err(())];
        assert_eq!(read(iter(parts), None, MAX).await, Err(Refusal::BodyBroken));
    }
}
