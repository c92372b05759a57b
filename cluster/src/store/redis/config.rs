//! Where the Redis server is and how long to wait for it.

use std::fmt;
use std::time::Duration;

use ::redis::io::tcp::{TcpSettings, socket2};
use ::redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, TlsCertificates};

use crate::store::StoreError;

/// How to reach the Redis server. `Debug` shows no password.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS.
    pub url: String,
    /// Certificates, in PEM, of the authorities that may vouch for a TLS server, instead of the system's.
    pub authorities: Option<Vec<u8>>,
    /// Longest wait for an answer, and for the connection to be there, in all.
    pub response_timeout: Duration,
    /// Longest wait for a connection to be made, TLS and greeting included.
    pub connect_timeout: Duration,
    /// Replicas that must have what the log appends before it confirms.
    pub wait_replicas: u32,
}

// === impl RedisConfig ===

impl RedisConfig {
    /// The server at `url`, with the default time-outs of one second, waiting for no replica.
    pub fn new(url: &str) -> Self {
        let second = Duration::from_secs(1);
        Self {
            url: url.to_owned(),
            authorities: None,
            response_timeout: second,
            connect_timeout: second,
            wait_replicas: 0,
        }
    }

    /// Whether there can be a connection with this configuration; makes none.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] and [`StoreError::Unsupported`]. No password is in their texts.
    pub fn check(&self) -> Result<(), StoreError> {
        self.client().map(|_| ())
    }

    /// A client of this server that connects to nothing yet, and the server's address for logs.
    pub(super) fn client(&self) -> Result<(Client, String), StoreError> {
        self.refuse_unsupported()?;
        let invalid = |_| StoreError::Invalid { cause: "the url cannot be read".to_owned() };
        let info: ConnectionInfo = self.url.as_str().into_connection_info().map_err(invalid)?;
        let address = address_of(info.addr())?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp_settings());
        let tls = self.url.starts_with("rediss://");
        if tls {
            use_crypto_provider();
        }
        let client = match &self.authorities {
            Some(pem) if tls => Client::build_with_tls(
                info,
                TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) },
            ),
            _ => Client::open(info),
        };
        client
            .map(|client| (client, address))
            .map_err(|error| StoreError::Invalid { cause: error.to_string() })
    }

    fn refuse_unsupported(&self) -> Result<(), StoreError> {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let cause = match scheme {
            "redis+sentinel" | "rediss+sentinel" => "Redis Sentinel is not supported yet",
            "redis+cluster" | "rediss+cluster" => "Redis Cluster is not supported yet",
            "redis" | "rediss" if host.contains(',') => "several hosts (Redis Cluster) are not supported yet",
            "redis" | "rediss" if host.contains('#') => {
                "a fragment in the url (TLS without verification) is not supported"
            }
            "redis" | "rediss" => return Ok(()),
            _ => {
                return Err(StoreError::Invalid {
                    cause: "the url does not begin with redis:// or rediss://".to_owned(),
                });
            }
        };
        Err(StoreError::Unsupported { cause: cause.to_owned() })
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.client().map_or_else(|error| error.to_string(), |(_, address)| address);
        f.debug_struct("RedisConfig")
            .field("address", &address)
            .field("response_timeout", &self.response_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("wait_replicas", &self.wait_replicas)
            .finish_non_exhaustive()
    }
}

fn address_of(addr: &ConnectionAddr) -> Result<String, StoreError> {
    match addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Ok(format!("{host}:{port}"))
        }
        _ => Err(StoreError::Unsupported { cause: "only TCP servers are supported".to_owned() }),
    }
}

/// TLS panics in a process that has chosen no provider of cryptography. A choice made before stands.
fn use_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, with a provider of its own.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

/// A dead peer is noticed within seconds: a response time-out alone would never end the connection.
fn tcp_settings() -> TcpSettings {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(1))
        .with_retries(3);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(Duration::from_secs(5));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(url: &str) -> &'static str {
        RedisConfig::new(url).client().map_or_else(|error| error.code(), |_| "ok")
    }

    #[test]
    fn only_single_servers_are_taken() {
        assert_eq!(code("redis://127.0.0.1:6379"), "ok");
        assert_eq!(code("rediss://redis.example.com/2"), "ok");
        assert_eq!(code("redis://a:1,b:2"), "store_unsupported");
        assert_eq!(code("redis://user:pass,word@a:1"), "ok");
        assert_eq!(code("redis+sentinel://a/main"), "store_unsupported");
        assert_eq!(code("rediss://a:1/#insecure"), "store_unsupported");
        assert_eq!(code("http://a"), "store_config_invalid");
        assert_eq!(code("redis://"), "store_config_invalid");
        assert_eq!(code(""), "store_config_invalid");
    }

    #[test]
    fn no_text_shows_the_password() {
        for url in ["redis://u:hunter2@127.0.0.1:1", "redis://u:hunter2@a:1,b:2", "redis://u:hunter2@a:port"]
        {
            let config = RedisConfig::new(url);
            let error = config.client().err().map(|error| format!("{error} {error:?}"));
            assert!(!format!("{config:?} {error:?}").contains("hunter2"), "{config:?} {error:?}");
        }
    }
}
