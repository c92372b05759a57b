//! The process `ws-node`: configuration, store, ports, signals, exit code.

use std::process::ExitCode;
use std::sync::Arc;

use cluster::log::{Log, LogConfig};
use cluster::membership::{KeeperError, MembershipStore};
use cluster::store::{RedisConfig, RedisStore};
use edge::config::load;
use edge::failure::{Failure, end};
use edge::listen::bind;
use edge::metrics::Page;
use edge::ready::Ready;
use edge::{admin, logging, process as os, shutdown};
use tokio_util::sync::CancellationToken;

use crate::config::{COMMAND, NodeConfig, Surroundings, read};
use crate::drain::Stop;
use crate::run::{RunError, Sockets, WsNode};

/// Everything from the arguments to the end. Exits with 0 after a signal or a drain, 2 for a bad configuration, 1 for all else.
pub async fn process() -> ExitCode {
    cluster::tokens::install_crypto();
    let ((config, around), warnings) = match load(&COMMAND, read) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    logging::init(&around.operations.log);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    end(serve(config, &around).await)
}

async fn serve(config: NodeConfig, around: &Surroundings) -> Result<(), Failure> {
    let redis =
        RedisConfig { wait_replicas: around.wait_replicas, ..RedisConfig::new(around.store.redis.expose()) };
    let redis = RedisStore::connect(&redis)?;
    let store = redis.membership(&config.service, around.store.lease)?;
    let log = redis.log(&config.service, LogConfig::default())?;
    let stop = shutdown::on_signals()?;
    if let Err(error) = os::raise_open_files() {
        tracing::warn!(%error, "the limit of open files stays");
    }
    let sockets = Sockets {
        clients: bind("listen", config.public.listen)?,
        peers: bind("peer-listen", config.peering.listen)?,
    };
    let admin = bind("admin-listen", around.operations.admin_listen)?;
    let mut ready = Ready::new("ws-node");
    ready.node = Some(config.id.clone());
    ready.admin = Some(admin.address());
    ready.more.insert("service", config.service.clone().into());

    let node = WsNode::new(config)?;
    let mut page = Page::new("ws-node");
    node.register(&mut page);
    let admin_end = CancellationToken::new();
    // Asked while the node waits for the store, too: that may take long.
    let administration = tokio::spawn(admin::serve(admin, page, node.readiness(), admin_end.clone()));
    let outcome = live(node, sockets, (store, log), ready, stop).await;
    admin_end.cancel();
    // It ends with a panic at worst, which has been logged.
    let _ = administration.await;
    outcome
}

/// From joining the ring to leaving it. A start that is interrupted is no failure.
async fn live(
    node: WsNode,
    sockets: Sockets,
    (store, log): (Arc<dyn MembershipStore>, Arc<dyn Log>),
    mut ready: Ready,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let running = match node.join(sockets, store, log, &stop).await {
        Err(RunError::Membership(KeeperError::Stopped)) if stop.is_cancelled() => return Ok(()),
        joined => joined?,
    };
    ready.url = Some(running.url.clone());
    ready.peer = Some(running.peer.clone());
    let announced = ready.announce();
    if announced.is_err() {
        // Whoever waits for the line will not get it: the node leaves as it does after a signal.
        stop.cancel();
    }
    let served = running.serve(Stop::gently(stop)).await;
    announced?;
    Ok(served?)
}
