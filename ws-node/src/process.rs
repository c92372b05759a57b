//! The process `ws-node`: configuration, store, ports, signals, exit code.

use std::process::ExitCode;

use cluster::store::{RedisConfig, RedisStore};
use edge::config::load;
use edge::failure::{Failure, end};
use edge::listen::bind;
use edge::metrics::Page;
use edge::ready::Ready;
use edge::{admin, logging, process as os, shutdown};
use tokio_util::sync::CancellationToken;

use crate::config::{COMMAND, NodeConfig, Surroundings, read};
use crate::run::{Sockets, run};

/// Everything from the arguments to the end. Exits with 0 after a signal, 2 for a bad configuration, 1 for all else.
pub async fn process() -> ExitCode {
    cluster::tokens::install_crypto();
    let ((config, around), warnings) = match load(&COMMAND, read) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    logging::init(&around.operations.log);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    end(serve(&config, &around).await)
}

async fn serve(config: &NodeConfig, around: &Surroundings) -> Result<(), Failure> {
    let redis = RedisStore::connect(&RedisConfig::new(around.store.redis.expose()))?;
    let store = redis.membership(&config.service, around.store.lease)?;
    let stop = shutdown::on_signals()?;
    if let Err(error) = os::raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays");
    }
    let sockets = Sockets {
        clients: bind("listen", config.public.listen)?,
        peers: bind("peer-listen", config.peering.listen)?,
    };
    let admin = bind("admin-listen", around.operations.admin_listen)?;
    let running = tokio::select! {
        running = run(sockets, config, store) => running?,
        () = stop.cancelled() => return Ok(()),
    };

    let mut page = Page::new("ws-node");
    running.register(&mut page);
    let mut ready = Ready::new("ws-node");
    ready.node = Some(config.id.clone());
    ready.url = Some(running.url.clone());
    ready.peer = Some(running.peer.clone());
    ready.admin = Some(admin.address());
    ready.more.insert("service", config.service.clone().into());
    let admin_end = CancellationToken::new();
    let admin = tokio::spawn(admin::serve(admin, page, running.readiness(), admin_end.clone()));
    ready.announce()?;
    let outcome = running.serve(stop).await;
    admin_end.cancel();
    // It ends with a panic at worst, which has been logged.
    let _ = admin.await;
    Ok(outcome?)
}
