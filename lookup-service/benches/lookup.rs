//! What the parts of a lookup cost on one core, without HTTP. `cargo bench -p lookup-service`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::ring::{Member, MemberState, Policy, Ring, RingKey, public_document};
use cluster::tokens::{Tickets, random_id};
use lookup_service::{Caller, LOOKUPS_PER_NODE, LookupRequest, Pace, Pacing, RingView, Stamp, decide};
use parking_lot::Mutex;

use support::{config, jwt, now_s, secrets};

const RUNS: u32 = 300;
const ROUNDS: u32 = 100;

fn main() {
    cluster::tokens::install_crypto();
    let (callers, token) = (config().callers, format!("Bearer {}", jwt("user")));
    let (tickets, view, now_s) = (Tickets::new(secrets().ticket_keys()), view(100), now_s());
    let identify = || callers.identify(Some(token.as_bytes()), now_s).unwrap();
    let request = || LookupRequest::from_query("id=user&service=default").unwrap();
    let (pacing, started) = (Mutex::new(Pacing::default()), Instant::now());
    // As fast as can be asked here would be beyond the pace, and a refusal is no lookup.
    let elapsed = Cell::new(Duration::ZERO);
    let grant = |caller: Caller, request: LookupRequest, jti: String| {
        let placement = decide(&view, caller, request).unwrap();
        black_box(started.elapsed());
        elapsed.set(elapsed.get() + Duration::from_millis(1));
        let pace = Pace::new(LOOKUPS_PER_NODE, black_box(1));
        pacing.lock().admit(placement.ring, placement.node, pace, elapsed.get()).unwrap();
        placement.grant(&tickets, Stamp { now_s, life_s: 30, jti }).unwrap()
    };
    let (caller, granted) = (identify(), grant(identify(), request(), random_id()));
    time("request from its query", request);
    time("caller from a token (HS256)", identify);
    time("random name", random_id);
    time("decision and pace", || {
        let placement = decide(&view, caller.clone(), request()).unwrap();
        elapsed.set(elapsed.get() + Duration::from_millis(1));
        let pace = Pace::new(LOOKUPS_PER_NODE, black_box(1));
        pacing.lock().admit(placement.ring, placement.node, pace, elapsed.get())
    });
    time("decision, pace and ticket", || grant(caller.clone(), request(), "jti".to_owned()));
    time("answer as JSON", || serde_json::to_vec(&granted).unwrap());
    time("all of it", || serde_json::to_vec(&grant(identify(), request(), random_id())).unwrap());
    let RingView::Ring { ring, .. } = &view else { return };
    let begun = Instant::now();
    let length = public_document(ring).to_string().len();
    println!(
        "{:28} {:8.2} ms, {length} bytes",
        "ring document, 100 nodes",
        begun.elapsed().as_secs_f64() * 1e3
    );
}

fn view(nodes: u32) -> RingView {
    let empty = Ring::genesis("default", RingKey::new([7; 16]), Policy::Balanced);
    let ring = (0..nodes).fold(empty, |ring, number| {
        let member = Member {
            id: format!("node-{number}"),
            generation: 1_700_000_000_000,
            url: format!("wss://node-{number}.example.com/ws"),
            peer: "10.0.0.1:9".to_owned(),
            weight: 100,
            state: MemberState::Active,
        };
        ring.join(member).unwrap()
    });
    RingView::Ring { ring: Arc::new(ring), suspects: Arc::default() }
}

/// The best of many short runs: what else runs on the machine only adds, and a run of a millisecond is seldom interrupted.
fn time<T>(what: &str, mut act: impl FnMut() -> T) {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            black_box(act());
        }
        best = best.min(begun.elapsed().as_secs_f64() / f64::from(ROUNDS));
    }
    println!("{what:28} {:8.2} us", best * 1e6);
}
