//! A lookup service from its bound sockets to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::membership::KeeperError;
use cluster::secret::Secrets;
use cluster::tokens::Tickets;
use edge::admin::Reason;
use edge::counts::Counts;
use edge::failure::Failure;
use edge::limits::Limits;
use edge::listen::Listener;
use edge::metrics::{MembershipFigures, Page, labels};
use edge::ready::Ready;
use edge::serve::{Http, Options};
use edge::tls::{ClientTls, Tls};
use edge::{admin, serve};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::ApiKeys;
use crate::app::App;
use crate::caller::Callers;
use crate::http::{self, Origins, StaticPage};
use crate::metrics::Metrics;
use crate::peers::Linking;
use crate::service::{Service, ServiceStore};

/// What a lookup service is told.
#[derive(Clone)]
pub struct Config {
    /// The cluster's secrets.
    pub secrets: Secrets,
    /// How callers are known.
    pub callers: Callers,
    /// Seconds that a ticket lives.
    pub ticket_life_s: u64,
    /// Lookups that a node is given, a second, by all lookup services together; [`LOOKUPS_PER_NODE`] by default.
    ///
    /// [`LOOKUPS_PER_NODE`]: crate::LOOKUPS_PER_NODE
    pub lookups_per_node: u32,
    /// Which pages of browsers may look up.
    pub origins: Origins,
    /// The keys of the back end's API.
    pub api_keys: ApiKeys,
    /// Bytes of a message's data, at most: what the nodes take of their clients.
    pub message_bytes_max: usize,
    /// How the nodes' peer listeners are reached, where they have TLS.
    pub peer_tls: Option<ClientTls>,
    /// How long the start may find no store before it fails.
    pub store_wait: Duration,
    /// The bounds of the public listener.
    pub limits: Limits,
    /// The TLS of the public listener; its `http` is [`Http::OneAndTwo`].
    pub tls: Option<Tls>,
    /// Pages to serve beside the lookups.
    pub pages: Vec<StaticPage>,
}

/// The sockets that the caller has bound.
#[derive(Debug)]
pub struct Sockets {
    /// Where clients look up.
    pub public: Listener,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin: Option<Listener>,
}

/// Why a lookup service ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The ring of a service could not be read.
    #[error("the ring of service {service:?} could not be read: {cause}")]
    Membership {
        /// The service.
        service: String,
        /// Why.
        cause: KeeperError,
    },
}

/// A lookup service that does not listen yet. A host process puts it beside its other parts; [`run`] is a process of it
/// alone.
pub struct LookupService {
    app: Arc<App>,
    config: Config,
    counts: Counts,
}

/// Serves until `shutdown`, then lets requests under way finish. Each of `stores` is a service answered for.
///
/// The public port answers at once, with `ring_not_read` until the store has been read. Then, once the rings of all
/// services are known (there may be none yet), the ready line is printed.
///
/// # Errors
/// The store could not be read within `store_wait`, or refuses us.
pub async fn run(
    config: Config,
    sockets: Sockets,
    stores: Vec<ServiceStore>,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let lookups = LookupService::new(config, stores);
    let ready = lookups.ready_line(&sockets);
    let mut page = Page::new("lookup-service");
    lookups.register(&mut page);
    let readiness = lookups.readiness();
    let admin_stop = CancellationToken::new();
    let administration = async {
        if let Some(listener) = sockets.admin {
            admin::serve(listener, page, readiness, admin_stop.clone()).await;
        }
    };
    let serving = async {
        let outcome = lookups.serve(sockets.public, shutdown, || announce(&ready)).await;
        admin_stop.cancel();
        outcome
    };
    let (outcome, ()) = tokio::join!(serving, administration);
    outcome
}

// === impl LookupService ===

impl LookupService {
    /// Nothing happens before [`LookupService::serve`]. Each of `stores` is a service answered for.
    pub fn new(config: Config, stores: Vec<ServiceStore>) -> Self {
        let app = Arc::new(App {
            services: stores.into_iter().map(Service::new).collect(),
            callers: config.callers.clone(),
            tickets: Tickets::new(config.secrets.ticket_keys()),
            ticket_life_s: config.ticket_life_s,
            lookups_per_node: config.lookups_per_node,
            started: Instant::now(),
            api_keys: config.api_keys.clone(),
            message_bytes_max: config.message_bytes_max,
            metrics: Metrics::new(),
        });
        Self { app, config, counts: Counts::default() }
    }

    /// Adds its figures to the metrics page, of a process that has one lookup service.
    pub fn register(&self, page: &mut Page) {
        page.add(labels([("listener", "public")]), self.counts.clone());
        self.app.metrics.register(page.registry());
        for (index, service) in self.app.services.iter().enumerate() {
            let app = self.app.clone();
            let figures = MembershipFigures::new(move || app.services[index].membership());
            page.add(labels([("service", service.name())]), figures);
            page.add(labels([("service", service.name())]), service.links().clone());
        }
    }

    /// Why it should get no lookups, for `/readyz`.
    pub fn readiness(&self) -> impl Fn() -> Vec<Reason> + Send + Sync + use<> {
        let app = self.app.clone();
        move || app.reasons()
    }

    /// As [`run`], but without an admin listener; `ready` is called where `run` prints the ready line.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn serve(
        self,
        listener: Listener,
        shutdown: CancellationToken,
        ready: impl FnOnce(),
    ) -> Result<(), RunError> {
        let Self { app, config, counts } = self;
        let stop = shutdown.child_token();
        let _stops_if_dropped = stop.clone().drop_guard();
        if matches!(config.callers, Callers::Anyone) {
            tracing::warn!(
                "INSECURE: ids are taken without tokens (--insecure-ids) and everybody can be anybody; never in production"
            );
        }
        let options = Options { http: http_versions(config.tls.is_some()), limits: config.limits, counts };
        let service = http::service(app.clone(), &config.origins, config.pages);
        let fresh = config.tls.clone().map(|tls| tls.keep_fresh(stop.clone()));
        let freshening = async {
            if let Some(fresh) = fresh {
                fresh.await;
            }
        };
        let serving = serve::serve(listener, config.tls, service, options, stop.clone());
        // They outlive the requests, which may wait for answers on them.
        let linking = Linking {
            secrets: config.secrets,
            tls: config.peer_tls,
            ending: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let _ends_if_dropped = linking.ending.clone().drop_guard();
        let beginning = async {
            let begun = follow(&app, &linking, config.store_wait, &stop).await;
            match &begun {
                Ok(()) if stop.is_cancelled() => {}
                Ok(()) => ready(),
                Err(_) => stop.cancel(),
            }
            begun
        };
        let ((), (), begun) = tokio::join!(serving, freshening, beginning);
        linking.end().await;
        // A start that was interrupted is no failure.
        if shutdown.is_cancelled() { Ok(()) } else { begun }
    }

    fn ready_line(&self, sockets: &Sockets) -> Ready {
        let scheme = if self.config.tls.is_some() { "https" } else { "http" };
        let mut ready = Ready::new("lookup-service");
        ready.url = Some(format!("{scheme}://{}", sockets.public.address()));
        ready.admin = sockets.admin.as_ref().map(Listener::address);
        let names: Vec<&str> = self.app.services.iter().map(Service::name).collect();
        ready.more.insert("services", names.into());
        ready
    }
}

/// Reads the ring of every service; each is followed until `stop`.
async fn follow(
    app: &Arc<App>,
    linking: &Linking,
    wait: Duration,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let mut starts = JoinSet::new();
    for index in 0..app.services.len() {
        let (app, linking, stop) = (app.clone(), linking.clone(), stop.clone());
        starts.spawn(async move {
            let service = &app.services[index];
            let link = |keeper| linking.link(service.name(), keeper, service.links().clone());
            let started = service.start(linking.secrets.record_keys(), wait, link, stop).await;
            started.map_err(|cause| RunError::Membership { service: service.name().to_owned(), cause })
        });
    }
    while let Some(started) = starts.join_next().await {
        // The other kind of error is a panic, which has been logged; without its ring the service answers 503.
        started.unwrap_or(Ok(()))?;
    }
    Ok(())
}

/// Browsers choose HTTP/2 by ALPN, under TLS. Without it, telling the versions apart would only cost time.
fn http_versions(tls: bool) -> Http {
    if tls { Http::OneAndTwo } else { Http::One }
}

fn announce(ready: &Ready) {
    tracing::info!(url = ready.url, "answering lookups");
    if let Err(error) = ready.announce() {
        tracing::warn!(%error, "the ready line could not be written");
    }
}

// === impl RunError ===

impl RunError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Membership { cause, .. } => cause.code(),
        }
    }

    /// What an operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Membership { cause, .. } => cause.remedy(),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::new(error.code(), &error).remedy(error.remedy())
    }
}
