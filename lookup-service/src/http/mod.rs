//! The HTTP side: routes in, answers out. The only module that names warp.
//!
//! No route rejects for good: what a route does not take, its own fallback answers, so that each error is a problem
//! document with its headers, and none becomes one of warp's own answers.

mod answer;
mod body;
mod lookup;
mod page;
mod ring;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use warp::Filter;
use warp::filters::BoxedFilter;

pub use self::page::StaticPage;
use crate::app::App;
use crate::refusal::Refusal;

/// Which pages of browsers may call this service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// All. Nothing here depends on cookies, so that a foreign page gets no more than anybody else.
    #[default]
    Any,
    /// These, as browsers write them: `https://app.example.com`.
    Only(Vec<String>),
}

/// How long a browser may remember what a preflight said: as long as Chromium does at most.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(7200);

type Answer = warp::reply::Response;
type Routes = BoxedFilter<(Answer,)>;

/// The service for the accept loop.
pub(crate) fn service(
    app: Arc<App>,
    origins: &Origins,
    pages: Vec<StaticPage>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = http::Response<
        impl hyper::body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
    >,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    let stack = ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(|_| answer::refused(Refusal::Internal)))
        .layer(cors(origins))
        .service(warp::service(routes(app, pages)));
    TowerToHyperService::new(stack)
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn routes(app: Arc<App>, pages: Vec<StaticPage>) -> Routes {
    let lookups = lookup::routes(app.clone());
    let rings = ring::routes(app);
    lookups.or(rings).unify().or(page::routes(pages)).unify().boxed()
}

/// A header's first value, if there is one.
fn header(name: &'static str) -> impl Filter<Extract = (Option<HeaderValue>,), Error = Infallible> + Clone {
    warp::header::value(name).map(Some).or(warp::any().map(|| None)).unify()
}

/// The query string as it came, or an empty one.
fn query() -> impl Filter<Extract = (String,), Error = Infallible> + Clone {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

fn cors(origins: &Origins) -> CorsLayer {
    let origin = match origins {
        Origins::Any => AllowOrigin::any(),
        Origins::Only(list) => {
            AllowOrigin::list(list.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    let layer = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        // Whatever a page's own libraries add (tracing, mostly) shall not break its lookups.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([ETAG, RETRY_AFTER, WWW_AUTHENTICATE])
        .max_age(PREFLIGHT_MAX_AGE);
    match origins {
        Origins::Any => layer.vary([]),
        Origins::Only(_) => layer.vary([http::header::ORIGIN]),
    }
}
