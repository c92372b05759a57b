//! The `ws-node` binary: settings, sockets and store around [`ws_node::run`].

use std::process::ExitCode;

use cluster::store::{RedisConfig, RedisStore};
use edge::config::load;
use edge::ready::Ready;
use edge::{admin, listen, logging, process, shutdown};
use tokio_util::sync::CancellationToken;
use ws_node::{COMMAND, NodeConfig, Sockets, Surroundings, read, run};

#[tokio::main]
async fn main() -> ExitCode {
    let ((config, around), warnings) = match load(&COMMAND, read) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    logging::init(&around.operations.log);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    match serve(&config, &around).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: &NodeConfig, around: &Surroundings) -> Result<(), Box<dyn std::error::Error>> {
    cluster::tokens::install_crypto();
    process::raise_open_files()
        .inspect_err(|error| tracing::warn!(%error, "the limit of open files stays"))
        .ok();
    let stop = shutdown::on_signals()?;
    let sockets = Sockets {
        clients: listen::bind("listen", config.public.listen)?,
        peers: listen::bind("peer-listen", config.peering.listen)?,
    };
    let admin = listen::bind("admin-listen", around.operations.admin_listen)?;
    let redis = RedisStore::connect(&RedisConfig::new(around.store.redis.expose()))?;
    let store = redis.membership(&config.service, around.store.lease)?;
    let running = tokio::select! {
        running = run(sockets, config, store) => running?,
        () = stop.cancelled() => return Ok(()),
    };

    let mut registry = admin::registry("ws-node");
    running.register(&mut registry);
    let mut ready = Ready::new("ws-node");
    ready.node = Some(config.id.clone());
    ready.url = Some(running.url.clone());
    ready.peer = Some(running.peer.clone());
    ready.admin = Some(admin.address());
    ready.more.insert("service", config.service.clone().into());
    let admin_end = CancellationToken::new();
    let admin = tokio::spawn(admin::serve(admin, registry, running.readiness(), admin_end.clone()));
    ready.announce()?;
    let outcome = running.serve(stop).await;
    admin_end.cancel();
    admin.await?;
    Ok(outcome?)
}
