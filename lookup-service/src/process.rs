//! The process `lookup-service`: configuration, ports, signals, exit code.

use std::process::ExitCode;

use cluster::log::LogConfig;
use cluster::store::{RedisConfig, RedisStore, StoreError};
use edge::config::load;
use edge::failure::{Failure, end};
use edge::listen::bind;
use edge::serve::Http;
use edge::tls::{ClientTls, Tls};
use edge::{logging, process as os, shutdown};

use crate::config::{COMMAND, Told, read};
use crate::run::{Config, Sockets, run};
use crate::service::ServiceStore;

/// Everything from the arguments to the end. Exits with 0 after a signal, 2 for a bad configuration, 1 for all else.
pub async fn process() -> ExitCode {
    cluster::tokens::install_crypto();
    let (told, warnings) = match load(&COMMAND, read) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    logging::init(&told.operations.log);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    end(start(told).await)
}

async fn start(told: Told) -> Result<(), Failure> {
    let stores = stores(&told)?;
    let tls = told.public.tls.map(|files| Tls::load(files, Http::OneAndTwo)).transpose()?;
    let config = Config {
        secrets: told.secrets.ok_or_else(no_secret)?,
        callers: told.callers,
        ticket_life_s: told.answers.ticket_life_s,
        lookups_per_node: told.lookups_per_node,
        origins: told.answers.origins,
        api_keys: told.api_keys,
        message_bytes_max: told.message_bytes_max,
        peer_tls: told.peer_ca.as_deref().map(ClientTls::load).transpose()?,
        store_wait: told.store.redis_wait,
        limits: told.public.limits,
        tls,
        pages: Vec::new(),
    };
    let stop = shutdown::on_signals()?;
    os::raise_open_files()?;
    let public = bind("listen", told.public.listen)?;
    let admin = Some(bind("admin-listen", told.operations.admin_listen)?);
    Ok(run(config, Sockets { public, admin }, stores, stop).await?)
}

/// One store per service. All membership is on one connection, which is begun here and waits for nothing.
fn stores(told: &Told) -> Result<Vec<ServiceStore>, StoreError> {
    let redis = RedisStore::connect(&RedisConfig::new(told.store.redis.expose()))?;
    tracing::info!(
        address = redis.address(),
        wait_s = told.store.redis_wait.as_secs(),
        "reading the rings from Redis"
    );
    let store = |service: &String| {
        let membership = redis.membership(service, told.store.lease)?;
        Ok(ServiceStore { membership, log: redis.log(service, LogConfig::default())? })
    };
    told.services.iter().map(store).collect()
}

/// The configuration was read with a mistake then, which ends the process before this.
fn no_secret() -> Failure {
    Failure::new("bad_configuration", "there is no cluster secret")
        .remedy("give RINGDIAL_SECRET")
        .of_configuration()
}
