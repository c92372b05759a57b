//! Flags and their reading. The groups are public, so that a process that embeds a lookup service takes the same flags.

use std::path::PathBuf;

use cluster::ring::is_valid_service;
use cluster::secret::{SecretError, Secrets};
use cluster::tokens::AppTokens;
use edge::config::{Command, Flag, Group, Hidden, Settings, shared};

use crate::api::ApiKeys;
use crate::caller::Callers;
use crate::http::Origins;
use crate::request::DEFAULT_SERVICE;

/// Where step 1 is.
pub const LISTEN: Flag = shared::listen("127.0.0.1:7000", "Where clients look up. Port 0 picks a free one.");

/// How callers are known; read by [`callers`].
pub const CALLERS: [Flag; 6] = [
    Flag::value("jwt-secret", "SECRET", "What the application signs its users' tokens with (HS256), at least 32 bytes. Prefer the variable or the file: arguments are visible to others.").secret(),
    Flag::value("jwt-secret-file", "FILE", "A file that holds it."),
    Flag::value("jwt-issuer", "TEXT", "What `iss` must be. Without it, `iss` is not looked at."),
    Flag::value("jwt-audience", "TEXT", "What `aud` must be or hold. Without it, `aud` is not looked at."),
    Flag::value("ticket-claims", "NAMES", "Claims of the token that become attributes of the session, separated by commas. No other claim travels."),
    Flag::switch("insecure-ids", "Takes ids without tokens: everybody can be anybody. For development."),
];

/// The keys of the back end's API; read by [`api_keys`].
pub const API: [Flag; 2] = [
    Flag::value("api-key", "KEYS", "What the application's back end proves itself with at /v1, at least 32 bytes; several, separated by commas, while one is replaced. Without a key only tokens with the scope admin open it. Prefer the variable or the file: arguments are visible to others.").secret(),
    Flag::value("api-key-file", "FILE", "A file that holds them, separated by commas or lines."),
];

const MESSAGE_BYTES: [Flag; 1] = [Flag::value(
    "message-bytes",
    "BYTES",
    "Size of a message's data at the back end's API, at most 1048576. Give what the nodes are given.",
)
.default("65536")];

/// How lookups are answered; read by [`answers`].
pub const ANSWERS: [Flag; 2] = [
    Flag::value("ticket-life-s", "SECONDS", "How long a ticket may wait for its connection.").default("30"),
    Flag::value(
        "cors-origin",
        "ORIGINS",
        "Origins whose pages may look up, separated by commas, such as https://app.example.com; * for all.",
    )
    .default("*"),
];

const PACING: [Flag; 1] = [Flag::value(
    "lookups-per-node",
    "COUNT",
    "Lookups that a node is given, a second, by all lookup services together. Whoever comes beyond that is told when to come again.",
)
.default("5000")];

const SERVICES: [Flag; 1] =
    [Flag::value("services", "NAMES", "The services answered for, separated by commas.")
        .default(DEFAULT_SERVICE)];

/// What `lookup-service` can be told.
pub static COMMAND: Command = Command {
    name: "lookup-service",
    about: "Step 1 of Ringdial: tells each user which node is theirs, with a ticket to connect there. Serves the application's back end at /v1, too.",
    groups: &[
        Group { title: "Lookups", flags: &[LISTEN] },
        Group { title: "Callers", flags: &CALLERS },
        Group { title: "Answers", flags: &ANSWERS },
        Group { title: "Pace", flags: &PACING },
        Group { title: "Back end API", flags: &API },
        Group { title: "Messages", flags: &MESSAGE_BYTES },
        Group { title: "Links to nodes", flags: &[shared::PEER_TLS_CA] },
        Group { title: "Cluster", flags: &SERVICES },
        Group { title: "Store", flags: &shared::STORE },
        Group { title: "Secrets", flags: &shared::SECRETS },
        Group { title: "Limits and TLS", flags: &shared::PUBLIC },
        Group { title: "Operations", flags: &shared::OPERATIONS },
    ],
};

/// All that the binary is told.
#[derive(Debug, Clone)]
pub struct Told {
    /// The public listener.
    pub public: shared::Public,
    /// The admin listener and the logs.
    pub operations: shared::Operations,
    /// The store.
    pub store: shared::Store,
    /// The services answered for; never empty.
    pub services: Vec<String>,
    /// The cluster secrets; `None` only beside a mistake.
    pub secrets: Option<Secrets>,
    /// How callers are known.
    pub callers: Callers,
    /// How lookups are answered.
    pub answers: Answers,
    /// Lookups that a node is given, a second, by all lookup services together.
    pub lookups_per_node: u32,
    /// The keys of the back end's API.
    pub api_keys: ApiKeys,
    /// Bytes of a message's data, at most.
    pub message_bytes_max: usize,
    /// The authorities of the nodes' peer certificates; with them links are dialled with TLS.
    pub peer_ca: Option<PathBuf>,
}

/// What [`answers`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Seconds that a ticket lives.
    pub ticket_life_s: u64,
    /// Which pages may look up.
    pub origins: Origins,
}

/// Reads all flags of the binary.
pub fn read(settings: &mut Settings) -> Told {
    Told {
        public: shared::public(settings),
        operations: shared::operations(settings),
        store: shared::store(settings),
        services: services(settings),
        secrets: secrets(settings),
        callers: callers(settings, false),
        answers: answers(settings),
        lookups_per_node: u32::try_from(settings.number("lookups-per-node", 1..=1_000_000))
            .unwrap_or(u32::MAX),
        api_keys: api_keys(settings),
        message_bytes_max: usize::try_from(settings.number("message-bytes", 128..=1024 * 1024)).unwrap_or(0),
        peer_ca: shared::authorities(settings),
    }
}

/// Reads [`CALLERS`]. Either tokens or [`Callers::Anyone`]; neither is a mistake, unless `insecure_by_default`.
pub fn callers(settings: &mut Settings, insecure_by_default: bool) -> Callers {
    let secret = settings.secret_opt("jwt-secret");
    let (issuer, audience) = (settings.text_opt("jwt-issuer"), settings.text_opt("jwt-audience"));
    let claims = settings.list("ticket-claims");
    let insecure = settings.switch("insecure-ids");
    let asked = settings.is_given("jwt-secret") || settings.is_given("jwt-secret-file");
    match (asked, insecure || insecure_by_default) {
        (true, _) if insecure => settings.mistake(
            "insecure-ids",
            "it is given beside --jwt-secret",
            "give one of the two: callers are known by tokens, or not at all",
        ),
        (false, false) => settings.mistake(
            "jwt-secret",
            "there is no way to know who calls",
            "give RINGDIAL_JWT_SECRET or --jwt-secret-file FILE, or for development --insecure-ids",
        ),
        _ => {}
    }
    let Some(secret) = secret else { return Callers::Anyone };
    match AppTokens::hs256(secret.expose().as_bytes(), issuer, audience, claims) {
        Ok(tokens) => Callers::Tokens(Box::new(tokens)),
        Err(_) => {
            settings.mistake(
                "jwt-secret",
                "it is too short",
                "sign with 32 random bytes or more (RFC 7518, 3.2), such as of: openssl rand -hex 32",
            );
            Callers::Anyone
        }
    }
}

/// Reads [`API`].
pub fn api_keys(settings: &mut Settings) -> ApiKeys {
    let given = settings.secret_opt("api-key");
    let keys: Vec<&str> = given
        .iter()
        .flat_map(|all| all.expose().split([',', '\n']))
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .collect();
    let remedy = "write random ones, such as of: openssl rand -hex 32";
    if keys.iter().any(|key| key.len() < ApiKeys::BYTES_MIN) {
        let what = format!("one of them has fewer than {} bytes", ApiKeys::BYTES_MIN);
        settings.mistake("api-key", what, remedy);
    }
    // A header has to carry them.
    if !keys.iter().all(|key| key.bytes().all(|byte| byte.is_ascii_graphic())) {
        settings.mistake("api-key", "one of them has a space, or is not ASCII", remedy);
    }
    if keys.len() > ApiKeys::COUNT_MAX {
        let what = format!("there are {}, and {} are taken at most", keys.len(), ApiKeys::COUNT_MAX);
        settings.mistake("api-key", what, "leave out the oldest");
    }
    ApiKeys::new(keys)
}

/// Reads [`ANSWERS`]. All origins, if the process took the default of `cors-origin` away and nothing is given.
pub fn answers(settings: &mut Settings) -> Answers {
    Answers {
        ticket_life_s: settings.number("ticket-life-s", 1..=3600),
        origins: settings.optional("cors-origin", origins).unwrap_or_default(),
    }
}

fn services(settings: &mut Settings) -> Vec<String> {
    settings.required("services", Vec::new(), |text| {
        let mut names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if !names.iter().all(|name| is_valid_service(name)) {
            return Err("is not a list of services; write names of ASCII letters, digits, '.', '_' and '-', separated by commas".into());
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() < count { Err("names a service twice; name each once".into()) } else { Ok(names) }
    })
}

fn secrets(settings: &mut Settings) -> Option<Secrets> {
    let texts = shared::secrets(settings, true);
    let previous: Vec<&str> = texts.previous.iter().map(Hidden::expose).collect();
    match Secrets::new(texts.current.as_ref()?.expose(), &previous) {
        Ok(secrets) => Some(secrets),
        // What is wrong with them has been noted already.
        Err(SecretError::TooShort { .. } | SecretError::TooMany { .. }) => None,
        Err(error) => {
            settings.mistake("secret", error.to_string(), "give another one");
            None
        }
    }
}

fn origins(text: &str) -> Result<Origins, String> {
    let list: Vec<String> = text.split(',').map(|origin| origin.trim().to_owned()).collect();
    match &list[..] {
        [all] if all == "*" => Ok(Origins::Any),
        _ if list.iter().all(|origin| is_origin(origin)) => Ok(Origins::Only(list)),
        _ => Err("is not a list of origins; write them as browsers do, https://app.example.com without a path, or *".into()),
    }
}

/// RFC 6454, 6.1: scheme, host, and the port if it is not the scheme's own; nothing after them.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let scheme_fits = scheme
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    let host_fits = host
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && !b"/?#@*".contains(&byte));
    !scheme.is_empty() && !host.is_empty() && scheme_fits && host_fits
}

#[cfg(test)]
mod tests;
