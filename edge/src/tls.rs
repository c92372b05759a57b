//! TLS: certificates from files, read again when they change; the client's side for links between nodes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::server::ProducesTickets;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use crate::io::Io;
use crate::serve::Http;

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The TLS of a listener; clones share it.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    files: TlsFiles,
    http: Http,
    ticketer: Arc<dyn ProducesTickets>,
    current: ArcSwap<Loaded>,
}

/// What was read from the files.
struct Loaded {
    config: Arc<ServerConfig>,
    /// SHA-256 of both files, to see a change.
    content: [u8; 32],
}

/// The TLS of connections that this process opens.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: cannot be read ({source}); name a file that this process may read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not PEM, or what is in it cannot be used.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// The key is not the certificate's.
    #[error("{}: this key does not belong to the certificate in {}; give the pair that was made together", .0.key.display(), .0.cert.display())]
    Mismatch(TlsFiles),
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// How often the files are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(60);

// === impl Tls ===

impl Tls {
    /// Reads the files. `http` is the listener's, for ALPN.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(files: TlsFiles, http: Http) -> Result<Self, TlsError> {
        // Tickets carry a session without memory of ours, so that a crowd coming back does no full handshakes:
        // rustls' default remembers 256 sessions. Keys rotate and die with the process.
        let ticketer = provider::Ticketer::new()?;
        let current = ArcSwap::from_pointee(read(&files, http, &ticketer)?);
        Ok(Self { inner: Arc::new(Inner { files, http, ticketer, current }) })
    }

    /// What is wrong with the files: both are looked at, and whether they belong together if each is good.
    pub fn check(files: &TlsFiles) -> Vec<TlsError> {
        let cert = bytes(&files.cert).and_then(|pem| certificates(&files.cert, &pem));
        let key = bytes(&files.key).and_then(|pem| private_key(&files.key, &pem));
        match (cert, key) {
            (Ok(_), Ok(_)) => Self::load(files.clone(), Http::One).err().into_iter().collect(),
            (cert, key) => cert.err().into_iter().chain(key.err()).collect(),
        }
    }

    /// Reads the files again; `true` if they had changed. Open connections keep what they have.
    ///
    /// # Errors
    /// As of [`Tls::load`]; what was there stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Inner { files, http, ticketer, current } = &*self.inner;
        let fresh = read(files, *http, ticketer)?;
        let changed = fresh.content != current.load().content;
        if changed {
            current.store(Arc::new(fresh));
        }
        Ok(changed)
    }

    /// Reloads on SIGHUP and each minute, until `shutdown`. A pair that cannot be used is logged, and what was
    /// there stays in use.
    pub async fn keep_fresh(self, shutdown: CancellationToken) {
        let mut hangup = signal(SignalKind::hangup()).inspect_err(|error| {
            tracing::warn!(%error, "cannot listen to SIGHUP; certificates are still looked at each minute");
        });
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(CHECK_EVERY) => {}
                Some(()) = async { hangup.as_mut().ok()?.recv().await } => {}
            }
            let tls = self.clone();
            let cert = self.inner.files.cert.display();
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => tracing::info!(%cert, "certificate replaced"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => tracing::error!(code = error.code(), %error, "certificate not replaced"),
                Err(error) => tracing::error!(%error, "certificate not looked at"),
            }
        }
    }

    pub(crate) fn accept(&self, stream: TcpStream) -> tokio_rustls::Accept<TcpStream> {
        TlsAcceptor::from(Arc::clone(&self.inner.current.load().config)).accept(stream)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.inner.files).finish()
    }
}

// === impl ClientTls ===

impl ClientTls {
    /// Trusts the authorities in `ca` (PEM, one or several certificates) and nobody else.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(ca: &Path) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca, &bytes(ca)?)? {
            roots.add(certificate).map_err(|error| {
                content(ca, format!("holds a certificate that cannot be an authority ({error})"))
            })?;
        }
        let mut config = ClientConfig::builder_with_provider(crypto())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Speaks TLS over `stream`; `host` is the name or IP address that the certificate must be for. Bound it by a
    /// time-out.
    ///
    /// # Errors
    /// The host is no name, the connection broke, or the certificate is not trusted.
    pub async fn connect(&self, stream: TcpStream, host: &str) -> std::io::Result<Io> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
        Ok(Io::tls(self.0.connect(name, stream).await?))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

// === impl TlsError ===

impl TlsError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "tls_file_unreadable",
            Self::Content { .. } => "tls_file_unusable",
            Self::Mismatch(_) => "tls_key_mismatch",
            Self::Library(_) => "tls_unusable",
        }
    }

    /// The file that is wrong; of a pair that does not match, the key.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Read { path, .. } | Self::Content { path, .. } => Some(path),
            Self::Mismatch(files) => Some(&files.key),
            Self::Library(_) => None,
        }
    }
}

fn read(files: &TlsFiles, http: Http, ticketer: &Arc<dyn ProducesTickets>) -> Result<Loaded, TlsError> {
    let (cert, key) = (bytes(&files.cert)?, bytes(&files.key)?);
    let chain = certificates(&files.cert, &cert)?;
    let private = private_key(&files.key, &key)?;
    let mut config = ServerConfig::builder_with_provider(crypto())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| refused(files, error))?;
    config.ticketer = Arc::clone(ticketer);
    config.alpn_protocols = match http {
        Http::One => vec![b"http/1.1".to_vec()],
        Http::OneAndTwo => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&cert);
    hash.update(&key);
    let mut content = [0; 32];
    content.copy_from_slice(hash.finish().as_ref());
    Ok(Loaded { config: Arc::new(config), content })
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.into(), source })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| content(path, format!("is not PEM ({error:?})")))?;
    if chain.is_empty() {
        let what = "holds no certificate; it should begin with -----BEGIN CERTIFICATE-----";
        return Err(content(path, what.into()));
    }
    Ok(chain)
}

fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls_pki_types::pem::Error;
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let encrypted = pem.windows(9).any(|part| part == b"ENCRYPTED");
        let what = match error {
            Error::NoItemsFound if encrypted => {
                "holds an encrypted key; decrypt it first, such as with: openssl pkey".to_owned()
            }
            Error::NoItemsFound => {
                "holds no private key; it should begin with -----BEGIN PRIVATE KEY-----".to_owned()
            }
            other => format!("is not PEM ({other:?})"),
        };
        content(path, what)
    })
}

fn refused(files: &TlsFiles, error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch(files.clone()),
        rustls::Error::InvalidCertificate(error) => {
            content(&files.cert, format!("its first certificate cannot be used ({error})"))
        }
        error => content(&files.key, format!("this key cannot be used ({error})")),
    }
}

fn content(path: &Path, what: String) -> TlsError {
    TlsError::Content { path: path.into(), what }
}

/// Named, not the process' default: whether one is installed, and which, is then no matter.
fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}
