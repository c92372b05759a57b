//! The process `lookup-service`: configuration, ports, signals, exit code.

use std::process::ExitCode;
use std::sync::Arc;

use cluster::membership::MembershipStore;
use cluster::store::{RedisConfig, RedisStore, StoreError};
use edge::config::{EXIT_CONFIGURATION, load};
use edge::listen::{BindError, bind};
use edge::serve::Http;
use edge::tls::{Tls, TlsError};
use edge::{logging, process as os, shutdown};

use crate::config::{COMMAND, Told, read};
use crate::run::{Config, RunError, Sockets, run};

/// Everything from the arguments to the end. Exits with 0 after a signal, 2 for a bad configuration, 1 for all else.
pub async fn process() -> ExitCode {
    cluster::tokens::install_crypto();
    let (told, warnings) = match load(&COMMAND, read) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    logging::init(&told.operations.log);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    match start(told).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(code = failure.code(), remedy = failure.remedy(), "{failure}");
            failure.exit()
        }
    }
}

async fn start(told: Told) -> Result<(), Failure> {
    let stores = stores(&told)?;
    let tls = told.public.tls.map(|files| Tls::load(files, Http::OneAndTwo)).transpose()?;
    let config = Config {
        secrets: told.secrets.ok_or(Failure::NoSecret)?,
        callers: told.callers,
        ticket_life_s: told.answers.ticket_life_s,
        origins: told.answers.origins,
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

/// One store per service, all on one connection, which is begun here and waits for nothing.
fn stores(told: &Told) -> Result<Vec<Arc<dyn MembershipStore>>, StoreError> {
    let redis = RedisStore::connect(&RedisConfig::new(told.store.redis.expose()))?;
    tracing::info!(
        address = redis.address(),
        wait_s = told.store.redis_wait.as_secs(),
        "reading the rings from Redis"
    );
    told.services.iter().map(|service| redis.membership(service, told.store.lease)).collect()
}

/// Why the process ends.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The configuration was read with a mistake, which ends the process before this.
    #[error("there is no cluster secret")]
    NoSecret,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
    #[error(transparent)]
    Run(#[from] RunError),
}

// === impl Failure ===

impl Failure {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSecret => "bad_configuration",
            Self::Store(error) => error.code(),
            Self::Tls(error) => error.code(),
            Self::Bind(error) => error.code(),
            Self::System(_) => "system_refused",
            Self::Run(error) => error.code(),
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::NoSecret => "give RINGDIAL_SECRET",
            Self::Store(error) => error.remedy(),
            Self::Tls(_) => "give --tls-cert and --tls-key files that were made together",
            Self::Bind(_) => "give another port, or end what has this one",
            Self::System(_) => "look at the limits that this process runs under",
            Self::Run(error) => error.remedy(),
        }
    }

    fn exit(&self) -> ExitCode {
        match self {
            Self::NoSecret | Self::Store(_) | Self::Tls(_) => ExitCode::from(EXIT_CONFIGURATION),
            Self::Bind(_) | Self::System(_) | Self::Run(_) => ExitCode::FAILURE,
        }
    }
}
