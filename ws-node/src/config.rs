//! What a node can be told.

mod retention;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::limits;
use cluster::log::Retentions;
use edge::config::shared::{self, Operations, Peering, Public, SecretTexts, Store};
use edge::config::{Command, Flag, Group, Settings};

pub use self::retention::{RETENTION, retentions};
use crate::core::Rebalance;

/// What `--message-bytes` may be. Beyond it a message to many users, and a frame on its way to another node, would not
/// fit into a frame of a link ([`edge::peer::FRAME_BYTES_MAX`]).
const MESSAGE_BYTES: RangeInclusive<u64> = 128..=1024 * 1024;

/// The binary's flags.
pub static COMMAND: Command = Command {
    name: "ws-node",
    about: "A node of a Ringdial service: holds users' WebSockets, and is home to users and groups: orders their messages, stores them, passes them on.",
    groups: &[
        Group { title: "Node", flags: NODE },
        Group { title: "Ports", flags: &PORTS },
        Group { title: "Public port", flags: &shared::PUBLIC },
        Group { title: "Links between nodes", flags: &shared::PEERING },
        Group { title: "Store", flags: &shared::STORE },
        Group { title: "Secrets", flags: &shared::SECRETS },
        Group { title: "Messages", flags: &[RETENTION, WAIT_REPLICAS] },
        Group { title: "Limits", flags: &LIMITS },
        Group { title: "Operation", flags: &shared::OPERATIONS },
    ],
};

static NODE: &[Flag] = &[
    Flag::value("node-id", "ID", "This node's id, unique in the service."),
    Flag::value("service", "NAME", "The service it belongs to.").default("default"),
    Flag::value("weight", "COUNT", "Its share of the users, relative to the other nodes'.").default("100"),
    Flag::value(
        "public-url",
        "URL",
        "Where clients reach it, as wss://HOST/ws. Without it: the address of --listen, which is then not 0.0.0.0 or [::].",
    ),
    Flag::value(
        "rebalance",
        "POLICY",
        "Whom to move when the ring changes: arcs (those whose home changed), all (every client looks up again) or none.",
    )
    .default("arcs"),
    Flag::value("move-rate", "COUNT", "Sessions asked to move, a second.").default("2000"),
    DRAIN_DEADLINE,
];

/// Read by [`drain_deadline`]. A process that embeds nodes takes the same flag.
pub const DRAIN_DEADLINE: Flag = Flag::value(
    "drain-deadline",
    "TIME",
    "How long a node that is to go away waits for its clients to move; 0s: not at all.",
)
.default("30s");

const WAIT_REPLICAS: Flag = Flag::value(
    "redis-wait-replicas",
    "COUNT",
    "Replicas of Redis that must have a message before it is acknowledged.",
)
.default("0");

static PORTS: [Flag; 1] = [shared::listen("127.0.0.1:0", "Where clients connect.")];

/// What sessions may do; read by [`session_limits`]. A process that embeds nodes takes the same flags.
pub const LIMITS: [Flag; 8] = [
    Flag::value("message-bytes", "BYTES", "Size of a client's message, at most 1048576.").default("65536"),
    Flag::value("outbound-bytes", "BYTES", "What may wait for one slow client.").default("1048576"),
    Flag::value("sessions-per-user", "COUNT", "Connections of one user here; one more ends the oldest.")
        .default("16"),
    Flag::value("sends-per-second", "COUNT", "Sends a second of one session.").default("32"),
    Flag::value("sends-burst", "COUNT", "Sends at once of one session.").default("64"),
    Flag::value("heartbeat", "TIME", "Silence after which a client is asked for a sign of life.")
        .default("25s"),
    Flag::value("hello-timeout", "TIME", "Time for a client's first frame.").default("10s"),
    Flag::value("presence-grace", "TIME", "How long a user whose socket was lost counts as there.")
        .default("10s"),
];

/// A node's configuration, checked.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its id.
    pub id: String,
    /// Its service.
    pub service: String,
    /// Its weight.
    pub weight: u32,
    /// Where clients reach it, if not at the address it listens on.
    pub public_url: Option<String>,
    /// Whom to move when the ring changes.
    pub rebalance: Rebalance,
    /// Sessions asked to move, a second.
    pub move_rate: u32,
    /// How long to wait for clients to move before the end.
    pub drain_deadline: Duration,
    /// The public port.
    pub public: Public,
    /// The links between nodes.
    pub peering: Peering,
    /// How long to wait for the store at the start.
    pub store_wait: Duration,
    /// The cluster's secrets.
    pub secrets: SecretTexts,
    /// How much topics keep.
    pub retentions: Retentions,
    /// What sessions may do.
    pub limits: SessionLimits,
}

/// What sessions may do.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Bytes of a message.
    pub message_bytes: usize,
    /// Bytes that may wait for a slow client.
    pub outbound_bytes: usize,
    /// Connections of one user.
    pub sessions_per_user: usize,
    /// Sends a second.
    pub sends_per_second: u32,
    /// Sends at once.
    pub sends_burst: u32,
    /// Silence before a `ping`.
    pub heartbeat: Duration,
    /// Time for `hello`.
    pub hello_timeout: Duration,
    /// How long a user whose socket was lost counts as there.
    pub presence_grace: Duration,
}

/// What the binary needs beside the node.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Admin port and log.
    pub operations: Operations,
    /// Redis.
    pub store: Store,
    /// Its replicas that must have what is appended to the log.
    pub wait_replicas: u32,
}

/// Reads the node's settings, noting every mistake in them.
pub fn read(settings: &mut Settings) -> (NodeConfig, Surroundings) {
    let operations = shared::operations(settings);
    let store = shared::store(settings);
    let public = shared::public(settings);
    let remedy = "give wss://HOST/ws as clients reach this node, or an address of this host to --listen";
    shared::reachable(settings, ("listen", public.listen), "public-url", remedy);
    let policies = [("all", Rebalance::All), ("none", Rebalance::None)];
    let rebalance = settings.choice("rebalance", ("arcs", Rebalance::Arcs), &policies);
    let config = NodeConfig {
        id: settings.required("node-id", String::new(), id),
        service: settings.required("service", String::new(), id),
        weight: number(settings, "weight", 1..=u64::from(u32::MAX)),
        public_url: settings.optional("public-url", url),
        rebalance,
        move_rate: number(settings, "move-rate", 1..=1_000_000),
        drain_deadline: drain_deadline(settings),
        public,
        peering: shared::peering(settings),
        store_wait: store.redis_wait,
        secrets: shared::secrets(settings, true),
        retentions: retentions(settings),
        limits: session_limits(settings),
    };
    let wait_replicas = number(settings, "redis-wait-replicas", 0..=100);
    (config, Surroundings { operations, store, wait_replicas })
}

/// Reads [`DRAIN_DEADLINE`].
pub fn drain_deadline(settings: &mut Settings) -> Duration {
    settings.duration("drain-deadline", Duration::ZERO..=Duration::from_secs(86_400))
}

/// Reads [`LIMITS`].
pub fn session_limits(settings: &mut Settings) -> SessionLimits {
    let times = Duration::from_millis(100)..=Duration::from_secs(3_600);
    let limits = SessionLimits {
        message_bytes: number(settings, "message-bytes", MESSAGE_BYTES),
        outbound_bytes: number(settings, "outbound-bytes", 1024..=1024 * 1024 * 1024),
        sessions_per_user: number(settings, "sessions-per-user", 1..=10_000),
        sends_per_second: number(settings, "sends-per-second", 1..=1_000_000),
        sends_burst: number(settings, "sends-burst", 1..=1_000_000),
        heartbeat: settings.duration("heartbeat", times.clone()),
        hello_timeout: settings.duration("hello-timeout", times),
        presence_grace: settings.duration("presence-grace", Duration::ZERO..=Duration::from_secs(3_600)),
    };
    // A message is a little longer when it goes out, with sender, topic and number.
    if limits.outbound_bytes < limits.message_bytes + 2_048 {
        let what = "a single message would not fit";
        settings.mistake("outbound-bytes", what, "make it at least 2048 more than --message-bytes");
    }
    limits
}

// === impl SessionLimits ===

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            message_bytes: limits::MESSAGE_BYTES_MAX,
            outbound_bytes: limits::OUTBOUND_BYTES_MAX,
            sessions_per_user: limits::SESSIONS_PER_USER_MAX,
            sends_per_second: limits::SENDS_PER_SECOND,
            sends_burst: limits::SENDS_BURST,
            heartbeat: Duration::from_secs(25),
            hello_timeout: Duration::from_secs(10),
            presence_grace: Duration::from_secs(10),
        }
    }
}

fn number<T: TryFrom<u64> + Default>(settings: &mut Settings, name: &str, range: RangeInclusive<u64>) -> T {
    T::try_from(settings.number(name, range)).unwrap_or_default()
}

fn id(text: &str) -> Result<String, String> {
    if cluster::ring::is_valid_service(text) {
        Ok(text.to_owned())
    } else {
        Err("cannot be a name; use 1 to 64 ASCII letters, digits, '.', '_' and '-'".into())
    }
}

fn url(text: &str) -> Result<String, String> {
    if !cluster::ring::is_valid_url(text) {
        return Err("is not a WebSocket address; write wss://HOST/ws".into());
    }
    let authority = text.split('/').nth(2).unwrap_or_default();
    let address = authority.parse::<SocketAddr>().map(|address| address.ip());
    match address.or_else(|_| authority.trim_matches(['[', ']']).parse()) {
        Ok(ip) if shared::is_unspecified(ip) => {
            Err("is an address that nobody can connect to; write wss://HOST/ws as clients reach this node"
                .into())
        }
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
