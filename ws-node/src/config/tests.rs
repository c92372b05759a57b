//! What the flags say, and every mistake in them.

use cluster::wire::node::{Message, MessageId, Name};
use cluster::wire::peer::{Audience, Deliver, FromHome, MessageName, Publish, ToHome, encode};
use edge::peer::FRAME_BYTES_MAX;

use super::*;

const SECRET: &str = "a cluster secret of at least 32 bytes";

fn told(more: &[&str]) -> Result<NodeConfig, Vec<String>> {
    let usual = ["--node-id=n1", "--redis=redis://127.0.0.1:1"];
    let mut settings = Settings::parse(&COMMAND, [&usual, more].concat(), [("RINGDIAL_SECRET", SECRET)]);
    let (config, _) = read(&mut settings);
    match settings.finish() {
        Ok(_) => Ok(config),
        Err(mistakes) => Err(mistakes.0.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn nobody_is_told_to_connect_to_an_unspecified_address() {
    for anywhere in ["0.0.0.0:443", "[::]:80", "[::ffff:0.0.0.0]:1"] {
        assert_eq!(
            told(&["--listen", anywhere, "--peer-listen", anywhere]).unwrap_err(),
            [
                format!(
                    "--public-url: it is required beside --listen {anywhere}, to which nobody can connect; \
                     give wss://HOST/ws as clients reach this node, or an address of this host to --listen"
                ),
                format!(
                    "--peer-address: it is required beside --peer-listen {anywhere}, to which nobody can connect; \
                     give HOST:PORT as the other nodes reach it, or an address of this host to --peer-listen"
                ),
            ]
        );
        let addresses = ["--public-url=wss://n1.example.com/ws", "--peer-address=10.0.0.1:7"];
        let all = [&["--listen", anywhere, "--peer-listen", anywhere], &addresses[..]].concat();
        assert_eq!(told(&all).unwrap().public_url.as_deref(), Some("wss://n1.example.com/ws"));
        let mistakes = told(&["--public-url", &format!("ws://{anywhere}/ws")]).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].contains("nobody can connect to"), "{mistakes:?}");
    }
    assert!(told(&["--listen=127.0.0.1:0", "--public-url=ws://[2001:db8::1]:80/ws"]).is_ok());
    assert_eq!(told(&["--listen=everywhere"]).unwrap_err().len(), 1);
}

#[test]
fn the_largest_message_fits_into_a_frame_of_a_link() {
    let over = (MESSAGE_BYTES.end() + 1).to_string();
    assert!(told(&["--outbound-bytes=9999999", "--message-bytes", &over]).is_err());
    let largest = MESSAGE_BYTES.end().to_string();
    let limits = told(&["--outbound-bytes=9999999", "--message-bytes", &largest]).unwrap().limits;

    // More than can be: the users count as bytes of the message, too.
    let data = format!("\"{}\"", "x".repeat(limits.message_bytes));
    let user = "\"".repeat(limits::ID_BYTES_MAX);
    let topic = cluster::wire::topic::inbox(&user);
    let node = "n".repeat(64);
    let publish = Publish {
        call: u64::MAX,
        to: Audience::Topics(vec![&topic; limits::USERS_PER_SEND_MAX]),
        node: &node,
        generation: u64::MAX,
        counter: u64::MAX,
        from: &user,
        key: &user,
        ephemeral: false,
        data: &data,
    };
    assert!(encode(&ToHome::Publish(publish)).len() <= FRAME_BYTES_MAX);

    let id = MessageId { node: &node, generation: u64::MAX, counter: u64::MAX };
    let message = Message { topic: &topic, name: Name::Origin(id), from: &user, data: &data, time: u64::MAX };
    let frame = crate::frames::text(&message.to_json());
    let (topic, node, frame) = (&*topic, &*node, &*frame);
    let name = MessageName::Origin { node, generation: u64::MAX, counter: u64::MAX };
    let deliver = Deliver { topic, name, frame };
    assert!(encode(&FromHome::Deliver(deliver)).len() <= FRAME_BYTES_MAX);
}
