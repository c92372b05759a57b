//! Redis over TLS, with a private authority.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringdial_cluster::store::{RedisConfig, RedisStore};

use super::server::Server;
use super::{LEASE, SERVICE, block_on};

#[test]
fn rediss_verifies_the_server_against_the_authority() {
    block_on(async {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        let files = std::env::temp_dir().join(format!("ringdial-redis-tls-{}", std::process::id()));
        std::fs::create_dir_all(&files).unwrap();
        let path = |name: &str| files.join(name).to_string_lossy().into_owned();
        std::fs::write(path("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let tls_port = super::server::free_port();
        let (port, cert, key) = (tls_port.to_string(), path("cert.pem"), path("key.pem"));
        let tls = [
            "--tls-port",
            &port,
            "--tls-cert-file",
            &cert,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            "no",
        ];
        let arguments = [&tls[..], &["--tls-ca-cert-file", &cert]].concat();
        let _server = Server::start(&arguments);

        let url = format!("rediss://localhost:{tls_port}");
        let config = |authorities| RedisConfig { authorities, ..RedisConfig::new(&url) };
        let trusting = RedisStore::connect(&config(Some(authority.pem().into_bytes()))).unwrap();
        let store = trusting.membership(SERVICE, LEASE).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while let Err(error) = store.poll(None).await {
            assert!(tokio::time::Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let doubting = RedisStore::connect(&config(None)).unwrap();
        let error = doubting.membership(SERVICE, LEASE).unwrap().poll(None).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        std::fs::remove_dir_all(&files).unwrap();
    });
}
