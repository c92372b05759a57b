//! Frames that a peer of ours never sends, and the bytes that ours does.

use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;

const MAX: usize = 1000;

/// A server's link, and the client's end of the wire.
fn server() -> (LinkReader<DuplexStream>, LinkWriter<DuplexStream>, DuplexStream) {
    let (near, far) = duplex(1 << 16);
    let (reader, writer) = link(near, Bytes::new(), Role::Server, MAX);
    (reader, writer, far)
}

async fn read(bytes: &[u8]) -> Result<LinkEvent, LinkError> {
    let (mut reader, _writer, mut far) = server();
    far.write_all(bytes).await.unwrap();
    drop(far);
    reader.read().await
}

#[tokio::test]
async fn what_peers_do_not_send_is_refused() {
    let protocol = |event: &Result<LinkEvent, LinkError>| matches!(event, Err(LinkError::Protocol(_)));
    for (what, bytes) in [
        ("a first fragment", &[0x02, 0x81, 0, 0, 0, 0, b'a'][..]),
        ("a continuation", &[0x80, 0x81, 0, 0, 0, 0, b'a']),
        ("a text", &[0x81, 0x81, 0, 0, 0, 0, b'a']),
        ("compression", &[0xc2, 0x81, 0, 0, 0, 0, b'a']),
        ("an unknown opcode", &[0x83, 0x80, 0, 0, 0, 0]),
    ] {
        let event = read(bytes).await;
        assert!(protocol(&event), "{what}: {event:?}");
    }
    let huge = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert!(matches!(read(&huge).await, Err(LinkError::TooLarge { max: MAX })));
}

#[tokio::test]
async fn pings_are_passed_over_and_the_end_is_told_from_a_close() {
    let message = [&[0x89, 0x80, 0, 0, 0, 0][..], &[0x82, 0x81, 1, 2, 3, 4, b'a' ^ 1]].concat();
    assert_eq!(read(&message).await.unwrap(), LinkEvent::Message(Bytes::from_static(b"a")));
    assert_eq!(read(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap(), LinkEvent::Closed(None));
    assert!(matches!(read(&[0x82, 0x85, 0]).await, Err(LinkError::Broken(_))));
    assert!(matches!(read(&[]).await, Err(LinkError::Broken(_))));
}

#[tokio::test]
async fn a_server_sends_plain_frames_and_a_client_masked_ones_all_in_one_write() {
    let (_reader, mut writer, mut far) = server();
    writer.queue(b"ab");
    writer.queue(b"");
    writer.flush().await.unwrap();
    let mut bytes = [0; 64];
    let count = far.read(&mut bytes).await.unwrap();
    assert_eq!(bytes[..count], [0x82, 2, b'a', b'b', 0x82, 0]);

    let (near, mut far) = duplex(1 << 16);
    let (_reader, mut writer) = link(near, Bytes::new(), Role::Client, MAX);
    writer.queue(b"ab");
    writer.queue(b"ab");
    writer.flush().await.unwrap();
    let count = far.read(&mut bytes).await.unwrap();
    assert_eq!((count, bytes[0], bytes[1]), (16, 0x82, 0x82));
    assert_eq!([bytes[6] ^ bytes[2], bytes[7] ^ bytes[3]], *b"ab");
    assert_ne!(bytes[2..6], bytes[10..14], "a mask is not used twice");
}

#[tokio::test]
async fn a_long_reason_is_cut_at_a_character() {
    let (_reader, writer, mut far) = server();
    writer.close(4002, &"ü".repeat(100)).await.unwrap();
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes[..4], [0x88, 124, 0x0f, 0xa2]);
    assert_eq!(std::str::from_utf8(&bytes[4..]).unwrap(), "ü".repeat(61));
}

#[tokio::test]
async fn a_large_message_does_not_keep_its_memory() {
    let (near, far) = duplex(1 << 20);
    let (_reader, mut writer) = link(near, Bytes::new(), Role::Server, MAX);
    writer.queue(&vec![0; 1 << 19]);
    writer.flush().await.unwrap();
    assert!(writer.queued.capacity() <= KEPT_BYTES);
    drop(far);
}
