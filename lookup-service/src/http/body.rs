//! Reading a request's body within a bound.

use std::pin::pin;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::refusal::Refusal;
use crate::request::BODY_BYTES_MAX;

/// What is read of a body over the limit before it is refused, in bytes. Whoever is still sending when the connection
/// closes gets a reset and never reads why.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;

/// The whole body. `declared` is its `Content-Length`, if there is one.
pub(super) async fn read<B: Buf, E>(
    body: impl Stream<Item = Result<B, E>>,
    declared: Option<u64>,
) -> Result<Bytes, Refusal> {
    if declared.is_some_and(|length| length > DISCARD_BYTES_MAX as u64) {
        return Err(Refusal::BodyTooLarge);
    }
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    let mut count = 0;
    while let Some(part) = body.next().await {
        let mut part = part.map_err(|_| Refusal::BodyBroken)?;
        count += part.remaining();
        if count > DISCARD_BYTES_MAX {
            break;
        }
        if count <= BODY_BYTES_MAX {
            let length = part.remaining();
            whole.extend_from_slice(&part.copy_to_bytes(length));
        }
    }
    if count > BODY_BYTES_MAX { Err(Refusal::BodyTooLarge) } else { Ok(whole.freeze()) }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::iter;

    use super::*;

    async fn take(parts: &[usize], declared: Option<u64>) -> Result<usize, Refusal> {
        let parts: Vec<Result<Bytes, ()>> =
            parts.iter().map(|length| Ok(vec![b'x'; *length].into())).collect();
        read(iter(parts), declared).await.map(|body| body.len())
    }

    #[tokio::test]
    async fn the_limit_holds_in_one_part_and_in_many() {
        assert_eq!(take(&[], None).await, Ok(0));
        assert_eq!(take(&[BODY_BYTES_MAX], None).await, Ok(BODY_BYTES_MAX));
        assert_eq!(take(&[BODY_BYTES_MAX + 1], None).await, Err(Refusal::BodyTooLarge));
        assert_eq!(take(&[1024; 16], None).await, Ok(BODY_BYTES_MAX));
        assert_eq!(take(&[1024; 17], None).await, Err(Refusal::BodyTooLarge));
    }

    #[tokio::test]
    async fn what_is_far_over_is_not_read_to_its_end() {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, ()>(Bytes::from_static(&[0; 4096])));
        assert_eq!(read(endless, None).await, Err(Refusal::BodyTooLarge));
        let unread = futures_util::stream::pending::<Result<Bytes, ()>>();
        assert_eq!(read(unread, Some(1 << 40)).await, Err(Refusal::BodyTooLarge));
    }

    #[tokio::test]
    async fn a_broken_body_is_told_from_a_short_one() {
        let parts = [Ok(Bytes::from_static(b"{}")), Err(())];
        assert_eq!(read(iter(parts), None).await, Err(Refusal::BodyBroken));
    }
}
