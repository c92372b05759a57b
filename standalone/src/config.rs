//! What the embedded default can be told: mostly the flags of its parts, read by their readers.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use cluster::log::Retentions;
use cluster::tokens::random_id;
use edge::config::shared::{self, Operations, Public, SecretTexts};
use edge::config::{Command, Flag, Group, Hidden, Settings};
use lookup_service::config::{
    ANSWERS as ANSWERS_OF_LOOKUPS, API, Answers, CALLERS, LISTEN, answers, api_keys, callers,
};
use lookup_service::{ApiKeys, Callers};
use ws_node::{DRAIN_DEADLINE, LIMITS, RETENTION, SessionLimits, drain_deadline, retentions, session_limits};

/// How many nodes one process may hold.
const NODES: RangeInclusive<u64> = 1..=16;

const PARTS: [Flag; 4] = [
    Flag::value("nodes", "COUNT", "How many nodes: n1, n2 and so on.").default("3"),
    Flag::value(
        "node-listen-ip",
        "IP",
        "Where clients reach the nodes, each on a free port. With another address of this host others can talk too.",
    )
    .default("127.0.0.1"),
    DRAIN_DEADLINE,
    shared::LEASE,
];

/// Any page that is open in a developer's browser could look up as anybody: only our own may, unless others are named.
const ANSWERS: [Flag; 2] = {
    let [ticket_life, cors_origin] = ANSWERS_OF_LOOKUPS;
    let help =
        "Origins whose pages may look up, separated by commas, or * for all. Without it: only the page here.";
    [ticket_life, Flag { default: None, help, ..cors_origin }]
};

/// Links and leases between parts of one process are news to nobody, unless something is wrong with them.
const OPERATIONS: [Flag; 3] = {
    let [admin_listen, log_format, log_level] = shared::OPERATIONS;
    [admin_listen, log_format, log_level.default("info,ringdial_edge::peer=warn,ringdial_cluster=warn")]
};

/// The binary's flags.
pub static COMMAND: Command = Command {
    name: "ringdial",
    about: "Ringdial in one process: a lookup service and its nodes, on a store in memory. Everything is gone when it ends. \
            The subcommand `ringdial conformance` judges a client instead: see ringdial conformance --help.",
    groups: &[
        Group { title: "Lookups and the page", flags: &[LISTEN] },
        Group { title: "Nodes", flags: &PARTS },
        Group { title: "Callers", flags: &CALLERS },
        Group { title: "Answers", flags: &ANSWERS },
        Group { title: "Back end API (without tokens and keys, a random key is made)", flags: &API },
        Group { title: "Public ports", flags: &shared::PUBLIC },
        Group { title: "Messages", flags: &[RETENTION] },
        Group { title: "Limits", flags: &LIMITS },
        Group { title: "Secrets (without one, a random one is made)", flags: &shared::SECRETS },
        Group { title: "Operation", flags: &OPERATIONS },
    ],
};

/// The configuration, checked.
#[derive(Clone)]
pub struct Config {
    /// Where lookups and the page are, with TLS and bounds, which are the nodes' too.
    pub public: Public,
    /// How many nodes.
    pub nodes: usize,
    /// Where they listen for clients.
    pub node_ip: IpAddr,
    /// How long a node that is drained through the API waits for its clients to move.
    pub drain_deadline: Duration,
    /// A node's lease.
    pub lease: Duration,
    /// How callers are known.
    pub callers: Callers,
    /// How lookups are answered.
    pub answers: Answers,
    /// The keys of the back end's API.
    pub api_keys: ApiKeys,
    /// The one that was made here, to be told: there was no other way in.
    pub random_api_key: Option<Hidden>,
    /// Whether no origins were named: only pages from here may look up then.
    pub own_origins: bool,
    /// How much topics keep.
    pub retentions: Retentions,
    /// What sessions may do.
    pub limits: SessionLimits,
    /// The cluster's secrets; there is a current one.
    pub secrets: SecretTexts,
    /// Whether that one was made here, and so is forgotten at the end.
    pub random_secret: bool,
    /// Admin port and log.
    pub operations: Operations,
}

/// Reads all flags.
pub fn read(settings: &mut Settings) -> Config {
    let (secrets, random_secret) = secrets(settings);
    let callers = callers(settings, true);
    let (api_keys, random_api_key) = api(settings, &callers);
    let config = Config {
        public: shared::public(settings),
        nodes: usize::try_from(settings.number("nodes", NODES)).unwrap_or(1),
        node_ip: settings.required("node-listen-ip", Ipv4Addr::LOCALHOST.into(), address),
        drain_deadline: drain_deadline(settings),
        lease: shared::lease(settings),
        callers,
        answers: answers(settings),
        api_keys,
        random_api_key,
        own_origins: !settings.is_given("cors-origin"),
        retentions: retentions(settings),
        limits: session_limits(settings),
        secrets,
        random_secret,
        operations: shared::operations(settings),
    };
    let exposed = [config.public.listen.ip(), config.node_ip].iter().any(|ip| !ip.is_loopback());
    if exposed && matches!(config.callers, Callers::Anyone) {
        settings.warn(
            "INSECURE and not on loopback: whoever reaches this host can be anybody; give --jwt-secret-file FILE",
        );
    }
    config
}

/// Nobody else has to know the secret, so that a random one serves unless tickets are to outlive the process.
fn secrets(settings: &mut Settings) -> (SecretTexts, bool) {
    let mut secrets = shared::secrets(settings, false);
    let random = secrets.current.is_none();
    if random {
        // Of 128 bits each.
        secrets.current = Some(Hidden::new(random_id() + &random_id()));
    }
    (secrets, random)
}

/// Whoever tries this out shall be able to try the API too: where nothing else would open it, a random key does. Not
/// without a key, as any page that is open in a developer's browser could then send messages.
fn api(settings: &mut Settings, callers: &Callers) -> (ApiKeys, Option<Hidden>) {
    let keys = api_keys(settings);
    if !keys.is_empty() || matches!(callers, Callers::Tokens(_)) {
        return (keys, None);
    }
    let key = random_id() + &random_id();
    (ApiKeys::new([key.as_str()]), Some(Hidden::new(key)))
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(ip) if shared::is_unspecified(ip) => {
            Err("is an address that nobody can connect to; name one of this host's own".into())
        }
        Ok(ip) => Ok(ip),
        Err(_) => Err("is not an IP address; write one of this host's own, such as 127.0.0.1".into()),
    }
}

#[cfg(test)]
mod tests;
