//! The ready line: one JSON object on stdout, printed when every port of the process is open. Nothing else is ever
//! written there.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;

use serde::Serialize;
use serde_json::Value;

/// The ready line. Tests and scripts wait for it and read addresses from it.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    event: &'static str,
    /// The binary: `lookup-service`, `ws-node`, `ringdial`.
    pub role: &'static str,
    /// A node's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Where clients connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where nodes connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
    /// Anything further.
    #[serde(flatten)]
    pub more: BTreeMap<&'static str, Value>,
}

// === impl Ready ===

impl Ready {
    /// A line for `role` with nothing else yet.
    pub fn new(role: &'static str) -> Self {
        Self {
            event: "listening",
            role,
            node: None,
            url: None,
            peer: None,
            admin: None,
            more: BTreeMap::new(),
        }
    }

    /// Prints the line.
    ///
    /// # Errors
    /// Stdout is closed or full.
    pub fn announce(&self) -> std::io::Result<()> {
        self.write(&mut std::io::stdout().lock())
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        out.write_all(&line)?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_the_documented_order() {
        let mut ready = Ready::new("ws-node");
        ready.node = Some("n1".into());
        ready.url = Some("ws://127.0.0.1:1/ws".into());
        ready.admin = Some("127.0.0.1:3".parse().unwrap());
        ready.more.insert("service", "dc".into());
        let mut out = Vec::new();
        ready.write(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"event\":\"listening\",\"role\":\"ws-node\",\"node\":\"n1\",\"url\":\"ws://127.0.0.1:1/ws\",\
             \"admin\":\"127.0.0.1:3\",\"service\":\"dc\"}\n"
        );
    }
}
