//! The flags that several binaries have in common, and their reading.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cluster::secret::PREVIOUS_SECRETS_MAX;
pub use cluster::secret::SECRET_BYTES_MIN;
use cluster::store::{RedisConfig, StoreError};

use super::flag::Flag;
use super::hidden::Hidden;
use super::settings::Settings;
use crate::limits::Limits;
use crate::logging::{self, Format, Log};
use crate::tls::{ClientTls, Tls, TlsError, TlsFiles};

/// `--listen`, with the binary's own default and help.
pub const fn listen(default: &'static str, help: &'static str) -> Flag {
    Flag::value("listen", "IP:PORT", help).default(default)
}

/// TLS and the bounds of the public listener; read by [`public`].
pub const PUBLIC: [Flag; 7] = [
    Flag::value(
        "tls-cert",
        "FILE",
        "Certificate chain in PEM, the own certificate first. With --tls-key it turns TLS on. Read again on SIGHUP and when it changes.",
    ),
    Flag::value("tls-key", "FILE", "Private key in PEM, not encrypted."),
    Flag::value("max-connections", "COUNT", "Open connections; one more is closed unread.").default("100000"),
    Flag::value(
        "header-timeout",
        "TIME",
        "Time for a request's head to arrive, and the longest pause between two requests.",
    )
    .default("10s"),
    Flag::value("header-bytes", "BYTES", "Size of a request's head; more is answered with 431.")
        .default("16384"),
    Flag::value("tls-handshake-timeout", "TIME", "Time for a TLS handshake.").default("10s"),
    Flag::value(
        "grace",
        "TIME",
        "At the end: time for requests under way to finish, and for sessions to close. Then they are cut.",
    )
    .default("5s"),
];

/// The admin listener and the logs; read by [`operations`].
pub const OPERATIONS: [Flag; 3] = [
    Flag::value("admin-listen", "IP:PORT", "Where /livez, /readyz and /metrics are. Keep it private.")
        .default("127.0.0.1:0"),
    Flag::value("log-format", "FORMAT", "text or json, on stderr.").default("text"),
    Flag::value(
        "log-level",
        "LEVEL",
        "error, warn, info, debug or trace; also per module: info,ringdial_cluster=debug.",
    )
    .default("info"),
];

/// The store; read by [`store`].
pub const STORE: [Flag; 3] = [
    Flag::value("redis", "URL", "redis://[user:password@]HOST[:PORT][/DATABASE] of one Redis 7 primary, or rediss:// for TLS. Redis Cluster and Sentinel are not supported yet.").secret(),
    Flag::value("redis-wait", "TIME", "How long to wait for Redis at start.").default("30s"),
    LEASE,
];

/// How long a node may be silent; read by [`lease`].
pub const LEASE: Flag = Flag::value(
    "lease-ms",
    "MS",
    "A node's lease: after this time without a renewal it counts as dead. The same in every process.",
)
.default("3000");

/// The cluster secret; read by [`secrets`].
pub const SECRETS: [Flag; 4] = [
    Flag::value("secret", "SECRET", "The cluster secret, at least 32 bytes, the same in every process: signs tickets, links and records. Prefer the variable or the file: arguments are visible to others.").secret(),
    Flag::value("secret-file", "FILE", "A file that holds the secret."),
    Flag::value("previous-secrets", "SECRETS", "Secrets of before, separated by commas: still accepted, no longer used to sign.").secret(),
    Flag::value("previous-secrets-file", "FILE", "A file that holds them."),
];

/// The peer listener; read by [`peering`].
pub const PEERING: [Flag; 5] = [
    Flag::value("peer-listen", "IP:PORT", "Where other nodes connect. Keep it private.")
        .default("127.0.0.1:0"),
    Flag::value(
        "peer-address",
        "HOST:PORT",
        "Where other nodes reach this one, if not at --peer-listen. Required where that is 0.0.0.0 or [::].",
    ),
    Flag::value("peer-tls-cert", "FILE", "Certificate chain of the peer listener."),
    Flag::value("peer-tls-key", "FILE", "Its private key."),
    PEER_TLS_CA,
];

/// How peers' certificates are known, also for a process without a peer listener; read by [`authorities`].
pub const PEER_TLS_CA: Flag = Flag::value(
    "peer-tls-ca",
    "FILE",
    "Certificates of the authorities that sign the peers' certificates. With it, links are dialled with TLS.",
);

/// What [`public`] reads.
#[derive(Clone, Debug)]
pub struct Public {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The certificate, if TLS is on.
    pub tls: Option<TlsFiles>,
    /// The bounds.
    pub limits: Limits,
}

/// What [`operations`] reads.
#[derive(Clone, Debug)]
pub struct Operations {
    /// The admin listener.
    pub admin_listen: SocketAddr,
    /// How to log.
    pub log: Log,
}

/// What [`store`] reads.
#[derive(Clone, Debug)]
pub struct Store {
    /// Redis' url, with a password if it has any; checked.
    pub redis: Hidden,
    /// How long to wait for it at start.
    pub redis_wait: Duration,
    /// The lease.
    pub lease: Duration,
}

/// What [`secrets`] reads. Each at least 32 bytes, and not too many.
#[derive(Clone, Debug)]
pub struct SecretTexts {
    /// The one that signs.
    pub current: Option<Hidden>,
    /// Those still accepted.
    pub previous: Vec<Hidden>,
}

/// What [`peering`] reads.
#[derive(Clone, Debug)]
pub struct Peering {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The address told to others; `None`: the one bound.
    pub address: Option<String>,
    /// The listener's certificate, if its TLS is on.
    pub tls: Option<TlsFiles>,
    /// The authorities; with them links are dialled with TLS.
    pub ca: Option<PathBuf>,
}

const REDIS_REMEDY: &str = "write redis://HOST:PORT, or rediss://HOST:PORT for TLS, of one Redis 7 primary";

/// Reads [`listen`] and [`PUBLIC`].
pub fn public(settings: &mut Settings) -> Public {
    let limits = Limits {
        connections_max: usize::try_from(settings.number("max-connections", 1..=10_000_000))
            .unwrap_or(usize::MAX),
        header_bytes_max: usize::try_from(settings.number("header-bytes", 8_192..=1_048_576))
            .unwrap_or(usize::MAX),
        header_timeout: settings
            .duration("header-timeout", Duration::from_millis(100)..=Duration::from_secs(600)),
        tls_handshake_timeout: settings
            .duration("tls-handshake-timeout", Duration::from_millis(100)..=Duration::from_secs(600)),
        grace: settings.duration("grace", Duration::from_millis(100)..=Duration::from_secs(3600)),
        ..Limits::default()
    };
    Public { listen: settings.address("listen"), tls: tls_files(settings, "tls-cert", "tls-key"), limits }
}

/// Reads [`OPERATIONS`].
pub fn operations(settings: &mut Settings) -> Operations {
    let format = settings.choice("log-format", ("text", Format::Text), &[("json", Format::Json)]);
    let level =
        settings.required("log-level", "info".into(), |text| logging::check(text).map(|()| text.to_owned()));
    Operations { admin_listen: settings.address("admin-listen"), log: Log { format, level } }
}

/// Reads [`STORE`].
pub fn store(settings: &mut Settings) -> Store {
    let redis = settings.required("redis", Hidden::new(""), redis_url);
    let redis_wait = settings.duration("redis-wait", Duration::ZERO..=Duration::from_secs(3600));
    Store { redis, redis_wait, lease: lease(settings) }
}

/// Reads [`LEASE`].
pub fn lease(settings: &mut Settings) -> Duration {
    settings.duration("lease-ms", Duration::from_millis(500)..=Duration::from_secs(60))
}

/// Reads [`SECRETS`]. Without a current one, `required` decides whether that is a mistake.
pub fn secrets(settings: &mut Settings, required: bool) -> SecretTexts {
    let current = settings.secret_opt("secret");
    let previous = settings.secret_opt("previous-secrets");
    let mut split: Vec<Hidden> = Vec::new();
    for text in previous.iter().flat_map(|all| all.expose().split([',', '\n'])) {
        split.extend(Some(text.trim()).filter(|text| !text.is_empty()).map(Hidden::new));
    }
    let remedy = "write random ones, such as of: openssl rand -hex 32";
    if current.as_ref().is_some_and(|secret| secret.expose().len() < SECRET_BYTES_MIN) {
        settings.mistake("secret", format!("it has fewer than {SECRET_BYTES_MIN} bytes"), remedy);
    }
    if split.iter().any(|secret| secret.expose().len() < SECRET_BYTES_MIN) {
        settings.mistake(
            "previous-secrets",
            format!("one of them has fewer than {SECRET_BYTES_MIN} bytes"),
            remedy,
        );
    }
    if split.len() > PREVIOUS_SECRETS_MAX {
        let what = format!("there are {}, and {PREVIOUS_SECRETS_MAX} are taken at most", split.len());
        settings.mistake("previous-secrets", what, "leave out the oldest");
    }
    if required && current.is_none() && !settings.is_given("secret") && !settings.is_given("secret-file") {
        settings.mistake("secret", "it is required", "give RINGDIAL_SECRET or --secret-file FILE");
    }
    SecretTexts { current, previous: split }
}

/// Whether an address only says where to listen (`0.0.0.0`, `[::]`), so that nobody can connect to it.
pub fn is_unspecified(ip: IpAddr) -> bool {
    ip.to_canonical().is_unspecified()
}

/// Notes a mistake where others would be told to connect to `listen`, nobody can, and `told`, the flag that says where they
/// can, is not given.
pub fn reachable(settings: &mut Settings, listen: (&str, SocketAddr), told: &str, remedy: &str) {
    let (flag, address) = listen;
    if is_unspecified(address.ip()) && !settings.is_given(told) {
        let what = format!("it is required beside --{flag} {address}, to which nobody can connect");
        settings.mistake(told, what, remedy);
    }
}

/// Reads [`PEERING`].
pub fn peering(settings: &mut Settings) -> Peering {
    let listen = settings.address("peer-listen");
    let remedy = "give HOST:PORT as the other nodes reach it, or an address of this host to --peer-listen";
    reachable(settings, ("peer-listen", listen), "peer-address", remedy);
    let tls = tls_files(settings, "peer-tls-cert", "peer-tls-key");
    let ca = authorities(settings);
    if !settings.is_given("peer-tls-cert") && !listen.ip().is_loopback() {
        settings.warn(format!(
            "--peer-listen {listen} is not on loopback and has no TLS: whoever can read this network reads messages; \
             set --peer-tls-cert, --peer-tls-key and --peer-tls-ca"
        ));
    }
    if settings.is_given("peer-tls-cert") != settings.is_given("peer-tls-ca") {
        let what = "the peer listener's certificate and the authorities belong together";
        settings.mistake(
            "peer-tls-ca",
            what,
            "give --peer-tls-cert, --peer-tls-key and --peer-tls-ca, or none",
        );
    }
    Peering { listen, address: settings.optional("peer-address", host_and_port), tls, ca }
}

/// A certificate and its key, both or neither. They are read here once already, so that a wrong file is named with
/// all other mistakes and before any port opens.
fn tls_files(settings: &mut Settings, cert_flag: &str, key_flag: &str) -> Option<TlsFiles> {
    let (cert, key) = match (settings.path_opt(cert_flag), settings.path_opt(key_flag)) {
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => {
            settings.mistake(cert_flag, "there is no key to it", format!("give --{key_flag} too"));
            return None;
        }
        (None, Some(_)) => {
            settings.mistake(key_flag, "there is no certificate to it", format!("give --{cert_flag} too"));
            return None;
        }
        (None, None) => return None,
    };
    let files = TlsFiles { cert, key };
    let faults = Tls::check(&files);
    for error in &faults {
        let flag = if error.path() == Some(&files.cert) { cert_flag } else { key_flag };
        tls_mistake(settings, flag, error);
    }
    faults.is_empty().then_some(files)
}

/// Reads [`PEER_TLS_CA`].
pub fn authorities(settings: &mut Settings) -> Option<PathBuf> {
    let path = settings.path_opt("peer-tls-ca")?;
    match ClientTls::load(&path) {
        Ok(_) => Some(path),
        Err(error) => {
            tls_mistake(settings, "peer-tls-ca", &error);
            None
        }
    }
}

fn tls_mistake(settings: &mut Settings, flag: &str, error: &TlsError) {
    let text = error.to_string();
    let (what, remedy) = text.split_once("; ").unwrap_or((&text, "give files that were made together"));
    settings.mistake(flag, what, remedy);
}

/// The store checks its own url, so that what is taken here can be connected to.
fn redis_url(text: &str) -> Result<Hidden, String> {
    match RedisConfig::new(text).check() {
        Ok(()) => Ok(Hidden::new(text)),
        Err(StoreError::Invalid { cause } | StoreError::Unsupported { cause }) => {
            Err(format!("cannot be used: {cause}; {REDIS_REMEDY}"))
        }
        Err(error) => Err(format!("cannot be used: {error}; {REDIS_REMEDY}")),
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let fault = || "is not an address to connect to; write HOST:PORT".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
    let port: u16 = port.parse().map_err(|_| fault())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse().is_ok_and(is_unspecified) {
        return Err("is an address that nobody can connect to; write HOST:PORT as others reach it".into());
    }
    let host_ok = !host.is_empty() && !host.contains(['/', '@', ' ']);
    if host_ok && port > 0 { Ok(text.to_owned()) } else { Err(fault()) }
}
