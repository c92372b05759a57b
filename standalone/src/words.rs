//! What a person reads at the start: where everything is, and what to paste.

use std::fmt::Write;

use crate::run::NodeAddress;

/// The text for a terminal. `api_key` is a key that was made at this start.
pub(crate) fn greeting(origin: &str, nodes: &[NodeAddress], tokens: bool, api_key: Option<&str>) -> String {
    let mut text = format!(
        "\nRingdial runs: a lookup service and {} in this process, on a store in memory.\n\n  page     {origin}/   \
         people and groups can talk there: open it in two windows\n  lookups  {origin}/lookup, described at {origin}/docs\n",
        if nodes.len() == 1 { "one node".to_owned() } else { format!("{} nodes", nodes.len()) }
    );
    for node in nodes {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<8} {}", node.id, node.url);
    }
    text.push_str(&commands(origin, tokens));
    if let Some(key) = api_key {
        text.push_str(&back_end(origin, key));
    }
    text.push_str(if tokens {
        "\nTOKEN is a token of your application for that user. Ctrl-C ends all this.\n\n"
    } else {
        "\nINSECURE: ids are taken without tokens, everybody can be anybody. For development only; with\n\
         --jwt-secret-file FILE callers are known by your application's tokens. Ctrl-C ends all this.\n\n"
    });
    text
}

/// Four commands that work when pasted into another terminal, in a row.
fn commands(origin: &str, tokens: bool) -> String {
    let (header, variable) =
        if tokens { (" -H \"Authorization: Bearer $TOKEN\"", "TOKEN=$TOKEN ") } else { ("", "") };
    format!(
        "\nThe two steps, for another terminal (2 to 4 want Node 20 or newer, and install nothing):\n\n  \
         # 1. Look up: which node is alice's? The answer has a ticket for it.\n  \
         curl -w '\\n'{header} '{origin}/lookup?id=alice'\n\n  \
         # 2. Connect as alice: what she missed, and then what comes.\n  \
         curl -s {origin}/try.js | {variable}node - alice\n\n  \
         # 3. From a third terminal: bob, at his node, writes to her.\n  \
         curl -s {origin}/try.js | {variable}node - bob alice 'Hello, Alice'\n\n  \
         # 4. A group: what was said there, who is in it, and then what comes.\n  \
         curl -s {origin}/try.js | {variable}node - alice g:lobby\n"
    )
}

/// One more command, of an application's server.
fn back_end(origin: &str, key: &str) -> String {
    format!(
        "\nA server of yours writes to her over HTTP, with a key that was made at this start:\n\n  \
         curl -H 'Authorization: Bearer {key}' \\\n    \
         -H 'Content-Type: application/json' {origin}/v1/messages \\\n    \
         -d '{{\"to\":{{\"user\":\"alice\"}},\"from\":\"server\",\"data\":{{\"text\":\"Hello from the server\"}}}}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: usize) -> Vec<NodeAddress> {
        let node = |number| NodeAddress {
            id: format!("n{number}"),
            url: format!("ws://127.0.0.1:{number}/ws"),
            peer: "127.0.0.1:9".to_owned(),
        };
        (1..=count).map(node).collect()
    }

    #[test]
    fn it_has_the_addresses_and_the_commands() {
        let text = greeting(
            "http://127.0.0.1:7000",
            &nodes(3),
            false,
            Some("a key of the length that random keys have: 44"),
        );
        assert!(text.contains("3 nodes") && text.contains("n3       ws://127.0.0.1:3/ws"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("  curl ")).count(), 5, "{text}");
        assert!(text.contains("INSECURE") && text.contains("Bearer a key of"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    }

    #[test]
    fn with_tokens_the_commands_take_one() {
        let text = greeting("http://127.0.0.1:7000", &nodes(1), true, None);
        assert!(text.contains("one node") && !text.contains("INSECURE"), "{text}");
        assert!(!text.contains("/v1/messages"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("$TOKEN")).count(), 4, "{text}");
    }
}
