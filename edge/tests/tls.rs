//! TLS with an authority of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{GET, Server, eventually, rest, short};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringdial_edge::io::Io;
use ringdial_edge::limits::Limits;
use ringdial_edge::serve::{Http, Options};
use ringdial_edge::tls::{ClientTls, Tls, TlsFiles};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A folder of its own per test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ringdial-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key for this machine, in PEM.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".into(), "127.0.0.1".into()];
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        (cert.pem(), key.serialize_pem())
    }

    fn files(&self, folder: &Folder) -> TlsFiles {
        let (cert, key) = self.issue();
        TlsFiles { cert: folder.write("cert.pem", &cert), key: folder.write("key.pem", &key) }
    }

    fn client(&self, folder: &Folder) -> ClientTls {
        ClientTls::load(&folder.write("ca.pem", &self.0.pem())).unwrap()
    }
}

async fn get(server: &Server, client: &ClientTls, host: &str) -> std::io::Result<String> {
    let mut io = client.connect(server.connect().await, host).await?;
    io.write_all(GET.as_bytes()).await?;
    Ok(rest(&mut io).await)
}

fn options(http: Http, limits: Limits) -> Options {
    Options { http, limits, ..Options::http1() }
}

#[tokio::test]
async fn a_request_over_tls_by_name_and_by_address() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (files, client) = (authority.files(&folder), authority.client(&folder));
    for http in [Http::One, Http::OneAndTwo] {
        let tls = Tls::load(files.clone(), http).unwrap();
        let server = Server::start(options(http, short()), Some(tls));
        for host in ["localhost", "127.0.0.1"] {
            let text = get(&server, &client, host).await.unwrap();
            assert!(text.starts_with("HTTP/1.1 200") && text.ends_with(" true"), "{text}");
        }
    }
}

#[tokio::test]
async fn who_is_not_trusted_is_not_talked_to() {
    let (folder, authority, stranger) = (Folder::new(), Authority::new(), Authority::new());
    let tls = Tls::load(authority.files(&folder), Http::One).unwrap();
    let server = Server::start(options(Http::One, short()), Some(tls));
    let error = get(&server, &stranger.client(&folder), "localhost").await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    let error = get(&server, &authority.client(&folder), "other.example").await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    eventually("both are counted", || server.counts.tls_errors() == 2).await;
    eventually("their places are free", || server.counts.open() == 0).await;
}

#[tokio::test]
async fn plain_text_and_silence_end_the_handshake() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let tls = Tls::load(authority.files(&folder), Http::One).unwrap();
    let server = Server::start(options(Http::One, short()), Some(tls));
    assert!(!server.exchange(GET).await.contains("HTTP/1.1"));
    let begin = Instant::now();
    server.exchange("").await;
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(3), "{took:?}");
    eventually("both are counted", || server.counts.tls_errors() == 2).await;
}

#[tokio::test]
async fn the_limit_holds_before_the_handshake() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let tls = Tls::load(authority.files(&folder), Http::One).unwrap();
    let limits = Limits { connections_max: 1, ..Limits::default() };
    let server = Server::start(options(Http::One, limits), Some(tls));
    let _silent = server.connect().await;
    eventually("it is in", || server.counts.open() == 1).await;
    assert_eq!(server.exchange("").await, "");
    assert_eq!(server.counts.refused(), 1);
}

/// The protocol agreed on, and the certificate shown.
async fn handshake(server: &Server, authority: &Authority, alpn: &[&str]) -> (Option<Vec<u8>>, Vec<u8>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, server.connect().await).await.unwrap();
    let connection = stream.get_ref().1;
    let certificate = connection.peer_certificates().unwrap()[0].to_vec();
    (connection.alpn_protocol().map(<[u8]>::to_vec), certificate)
}

#[tokio::test]
async fn alpn_offers_what_the_listener_speaks() {
    let (folder, authority) = (Folder::new(), Authority::new());
    for (http, agreed) in [(Http::One, "http/1.1"), (Http::OneAndTwo, "h2")] {
        let tls = Tls::load(authority.files(&folder), http).unwrap();
        let server = Server::start(options(http, short()), Some(tls));
        let (alpn, _) = handshake(&server, &authority, &["h2", "http/1.1"]).await;
        assert_eq!(alpn.as_deref(), Some(agreed.as_bytes()));
    }
}

#[tokio::test]
async fn new_files_are_taken_over_and_broken_ones_are_not() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let files = authority.files(&folder);
    let tls = Tls::load(files.clone(), Http::One).unwrap();
    let server = Server::start(options(Http::One, short()), Some(tls.clone()));
    let (_, first) = handshake(&server, &authority, &[]).await;
    assert!(!tls.reload().unwrap(), "nothing has changed");

    let (cert, key) = authority.issue();
    fs::write(&files.cert, &cert).unwrap();
    assert_eq!(tls.reload().unwrap_err().code(), "tls_key_mismatch");
    assert_eq!(handshake(&server, &authority, &[]).await.1, first, "the old pair stays");
    fs::write(&files.key, &key).unwrap();
    assert!(tls.reload().unwrap());
    let (_, second) = handshake(&server, &authority, &[]).await;
    assert_ne!(second, first);
    assert_eq!(second, CertificateDer::from_pem_slice(cert.as_bytes()).unwrap().to_vec());
}

#[tokio::test]
async fn a_hangup_signal_reloads() {
    // Installed first, so that the signal cannot end this process.
    let _handler = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap();
    let (folder, authority) = (Folder::new(), Authority::new());
    let files = authority.files(&folder);
    let tls = Tls::load(files.clone(), Http::One).unwrap();
    let server = Server::start(options(Http::One, short()), Some(tls.clone()));
    let (_, first) = handshake(&server, &authority, &[]).await;
    let shutdown = CancellationToken::new();
    let keeper = tokio::spawn(tls.keep_fresh(shutdown.clone()));
    authority.files(&folder);
    let end = Instant::now() + common::DEADLINE;
    loop {
        // Again and again: the first may come before the keeper listens.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::HUP).unwrap();
        if handshake(&server, &authority, &[]).await.1 != first {
            break;
        }
        assert!(Instant::now() < end, "the certificate never changed");
    }
    shutdown.cancel();
    keeper.await.unwrap();
}

#[test]
fn wrong_files_are_named_with_what_is_wrong() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let good = authority.files(&folder);
    let (_, other_key) = authority.issue();
    let garbage =
        folder.write("garbage.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let empty = folder.write("empty.pem", "");
    let other = folder.write("other.pem", &other_key);
    let encrypted = folder.write(
        "encrypted.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let missing = folder.0.join("missing.pem");
    let no_der = folder.write("no-der.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let no_key = folder.write("no-key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let cases: [(&Path, &Path, &str, &str, &Path); 9] = [
        (&missing, &good.key, "tls_file_unreadable", "cannot be read", &missing),
        (&good.cert, &missing, "tls_file_unreadable", "cannot be read", &missing),
        (&garbage, &good.key, "tls_file_unusable", "is not PEM", &garbage),
        (&empty, &good.key, "tls_file_unusable", "holds no certificate", &empty),
        (&good.key, &good.cert, "tls_file_unusable", "holds no certificate", &good.key),
        (&good.cert, &encrypted, "tls_file_unusable", "encrypted", &encrypted),
        (&good.cert, &other, "tls_key_mismatch", "does not belong", &other),
        (&no_der, &good.key, "tls_file_unusable", "cannot be used", &no_der),
        (&good.cert, &no_key, "tls_file_unusable", "cannot be used", &no_key),
    ];
    for (cert, key, code, what, named) in cases {
        let files = TlsFiles { cert: cert.into(), key: key.into() };
        let Err(error) = Tls::load(files.clone(), Http::One) else { panic!("{files:?} was taken") };
        let text = error.to_string();
        assert!(error.code() == code && text.contains(what), "{files:?}: {} {text}", error.code());
        assert!(text.contains(&named.display().to_string()), "{text} does not name {named:?}");
    }
    assert_eq!(ClientTls::load(&empty).err().unwrap().code(), "tls_file_unusable");
}

/// A crowd that comes back after a restart of its network must not cost full handshakes. rustls' own default
/// remembers 256 sessions.
#[tokio::test]
async fn a_session_is_resumed_however_many_came_after_it() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let tls = Tls::load(authority.files(&folder), Http::One).unwrap();
    let server = Server::start(options(Http::One, Limits::default()), Some(tls));
    let first = authority.client(&folder);
    let visit = async |client: &ClientTls| {
        let mut io = client.connect(server.connect().await, "localhost").await.unwrap();
        io.write_all(GET.as_bytes()).await.unwrap();
        rest(&mut io).await; // the ticket comes with the answer
        io.is_resumed()
    };
    assert!(!visit(&first).await);
    for _ in 0..300 {
        assert!(!visit(&authority.client(&folder)).await);
    }
    assert!(visit(&first).await);
}

#[tokio::test]
async fn a_stream_is_small() {
    assert!(size_of::<Io>() <= 48, "{}", size_of::<Io>());
}
