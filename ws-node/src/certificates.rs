//! What a node needs for TLS, read from its files.

use edge::serve::Http;
use edge::tls::{ClientTls, Tls, TlsError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::NodeConfig;

/// What TLS needs, where it is configured.
pub(crate) struct Certificates {
    /// Of the public port.
    pub(crate) clients: Option<Tls>,
    /// Of the peers' port.
    pub(crate) peers: Option<Tls>,
    /// Of the links dialled.
    pub(crate) dial: Option<ClientTls>,
}

// === impl Certificates ===

impl Certificates {
    pub(crate) fn load(config: &NodeConfig) -> Result<Self, TlsError> {
        let load = |files: &Option<_>| files.clone().map(|files| Tls::load(files, Http::One)).transpose();
        Ok(Self {
            clients: load(&config.public.tls)?,
            peers: load(&config.peering.tls)?,
            dial: config.peering.ca.as_deref().map(ClientTls::load).transpose()?,
        })
    }
}

/// Reads changed files again until `ending`.
pub(crate) fn keep_fresh(tasks: &TaskTracker, all: [&Option<Tls>; 2], ending: &CancellationToken) {
    for tls in all.into_iter().flatten() {
        tasks.spawn(tls.clone().keep_fresh(ending.clone()));
    }
}
