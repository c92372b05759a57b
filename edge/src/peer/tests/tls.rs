//! Links under TLS: the same frames, and no fall-back to plain.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::harness::*;
use crate::peer::*;
use crate::serve::Http;
use crate::tls::{ClientTls, Tls, TlsFiles};

/// A listener's TLS for `host`, and a dialler's that trusts it.
fn pair(label: &str, host: &str) -> (Tls, ClientTls) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([host.to_owned()]).unwrap();
    let folder = std::env::temp_dir().join(format!("ringdial-peer-{label}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let files = TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.cert, cert.pem()).unwrap();
    std::fs::write(&files.key, signing_key.serialize_pem()).unwrap();
    let loaded = (Tls::load(files.clone(), Http::One).unwrap(), ClientTls::load(&files.cert).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
    loaded
}

#[tokio::test]
async fn links_run_over_tls() {
    let (tls, trusts) = pair("good", "127.0.0.1");
    let (a, b) = linked_pair(
        Setup { trusts: Some(trusts), ..setup("a", 1) },
        Setup { tls: Some(tls), ..setup("b", 1) },
    )
    .await;
    for n in 0..2000u32 {
        a.opened(1).await.try_send(n.to_le_bytes().repeat(50).into()).unwrap();
    }
    b.opened(1).await.try_send("back".into()).unwrap();
    let frames = b.frames(2000).await;
    assert!(frames.iter().zip(0u32..).all(|(frame, n)| frame[..4] == n.to_le_bytes()));
    assert_eq!(a.frames(1).await, ["back"]);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let (tls, trusts) = pair("other", "n2.example");
    let b = Setup { tls: Some(tls), ..setup("b", 1) }.start();
    let a = Setup { trusts: Some(trusts), ..setup("a", 1) }.start();
    a.use_as_home(&b);
    let error = a.dial_failed().await;
    assert!(matches!(&error, DialError::Tls(why) if why.contains("certificate")), "{error:?}");
}

#[tokio::test]
async fn plain_and_tls_do_not_meet() {
    let (tls, trusts) = pair("mixed", "127.0.0.1");
    let with_tls = Setup { tls: Some(tls), ..setup("b", 1) }.start();
    let plain = setup("c", 1).start();
    let dialler = Setup { trusts: Some(trusts), ..setup("a", 1) }.start();
    dialler.use_as_home(&plain);
    assert!(matches!(dialler.dial_failed().await, DialError::Tls(_)));
    let dialler = setup("d", 1).start();
    dialler.use_as_home(&with_tls);
    assert!(matches!(dialler.dial_failed().await, DialError::Handshake(_)));
}
