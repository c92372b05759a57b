//! The HTTP side: routes in, answers out. The only module that names warp.
//!
//! No route rejects for good: what a route does not take, its own fallback answers, so that each error is a problem
//! document with its headers, and none becomes one of warp's own answers.

mod answer;
mod api;
mod body;
mod docs;
mod lookup;
mod page;
mod ring;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response};
use hyper::body::{Body, Incoming};
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

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = warp::reply::Response;
type Routes = BoxedFilter<(Answer,)>;

/// The service for the accept loop.
pub(crate) fn service(
    app: Arc<App>,
    origins: &Origins,
    pages: Vec<StaticPage>,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + 'static>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    TowerToHyperService::new(guarded(routes(app, pages), origins))
}

/// Routes with what surrounds them all: a panic becomes a problem, and browsers may read that one too.
fn guarded<B>(
    routes: Routes,
    origins: &Origins,
) -> impl tower::Service<
    Request<B>,
    Response = Response<impl Body<Data = Bytes, Error = BoxError> + Send + 'static>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static
where
    B: Body + Send + Sync + 'static,
    B::Error: Into<BoxError>,
{
    ServiceBuilder::new()
        .layer(cors(origins))
        .layer(CatchPanicLayer::custom(|_| answer::refused(Refusal::Internal)))
        .service(warp::service(routes))
}

fn routes(app: Arc<App>, pages: Vec<StaticPage>) -> Routes {
    let lookups = lookup::routes(app.clone());
    let rings = ring::routes(app.clone());
    let pages = docs::pages().into_iter().chain(pages).collect();
    let all = lookups.or(rings).unify().or(api::routes(app)).unify().or(page::routes(pages)).unify();
    warp::method().and(all).map(answer::as_asked).boxed()
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

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};
    use tower::ServiceExt;

    use super::*;
    use crate::caller::Callers;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn head_gets_what_get_gets_without_the_body() {
        let secrets = cluster::secret::Secrets::new("a cluster secret of thirty-two bytes", &[]).unwrap();
        let app = App {
            services: Vec::new(),
            callers: Callers::Anyone,
            tickets: cluster::tokens::Tickets::new(secrets.ticket_keys()),
            ticket_life_s: 30,
            lookups_per_node: crate::LOOKUPS_PER_NODE,
            started: std::time::Instant::now(),
            api_keys: crate::api::ApiKeys::default(),
            message_bytes_max: 1024,
            metrics: Metrics::new(),
        };
        let page = StaticPage {
            path: "/",
            content_type: "text/html",
            body: Bytes::from_static(b"<p>hello"),
            policy: None,
        };
        let service = guarded(routes(Arc::new(app), vec![page]), &Origins::Any);
        for path in ["/", "/nowhere", "/ring"] {
            let ask = async |method| {
                let request =
                    Request::builder().method(method).uri(path).body(Empty::<Bytes>::new()).unwrap();
                let answer = service.clone().oneshot(request).await.unwrap();
                let (parts, body) = answer.into_parts();
                (parts, body.collect().await.unwrap().to_bytes())
            };
            let ((get, whole), (head, none)) = (ask("GET").await, ask("HEAD").await);
            assert_eq!((head.status, none.len()), (get.status, 0), "{path}");
            assert_eq!(head.headers["content-length"], whole.len().to_string(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_browsers_can_read() {
        let now = warp::path("now").map(|| -> Answer { panic!("on purpose") });
        let later = warp::any().then(async || -> Answer { panic!("on purpose") });
        let routes = now.or(later).unify().boxed();
        for path in ["/now", "/later"] {
            let request = Request::builder().uri(path).body(Empty::<Bytes>::new()).unwrap();
            let answer = guarded(routes.clone(), &Origins::Any).oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 500);
            assert_eq!(answer.headers()["access-control-allow-origin"], "*");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem["code"], "internal");
        }
    }
}
