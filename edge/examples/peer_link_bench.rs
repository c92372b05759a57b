//! Measures a peer link over loopback: frames a second, processor time per frame at each end, round trips.
//!
//! `cargo run --release -p ringdial-edge --example peer_link_bench [frame bytes]`
//!
//! Dialler and listener run on one thread each. "cpu" is the thread's time on a processor by the kernel's account,
//! the queueing of the frames (sender) and a no-op owner (receiver) included.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cluster::secret::Secrets;
use cluster::tokens::{PeerName, PeerTokens, install_crypto};
use ringdial_edge::listen::bind;
use ringdial_edge::peer::{
    CloseReason, Direction, LinkCounts, LinkId, LinkSender, PeerConfig, PeerEvents, PeerLinks, PeerListener,
    PeerTarget, RingSource, SendError,
};
use ringdial_edge::serve::{Options, serve};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Counts what arrives; sends it back if it is an echo.
struct Owner {
    sender: watch::Sender<Option<LinkSender>>,
    received: AtomicU64,
    arrived: Notify,
    echo: bool,
}

struct FixedRing;

/// One end: a runtime with one thread, and the counters of its link.
struct End {
    runtime: Runtime,
    owner: Arc<Owner>,
    counts: LinkCounts,
    config: PeerConfig,
}

/// What one measurement saw.
struct Figures {
    seconds: f64,
    frames: u64,
    messages: u64,
    cpu_sender: Duration,
    cpu_receiver: Duration,
}

impl PeerEvents for Owner {
    fn opened(&self, _: LinkId, _: Direction, _: &PeerName, sender: LinkSender) {
        self.sender.send_replace(Some(sender));
    }

    fn frames(&self, _: LinkId, _: u64, frames: &mut dyn Iterator<Item = Bytes>) {
        let mut count = 0;
        for frame in frames {
            count += 1;
            if self.echo && frame.len() == 8 {
                let sender = self.sender.borrow();
                let _ = sender.as_ref().map(|sender| sender.try_send(frame));
            }
        }
        self.received.fetch_add(count, Ordering::Relaxed);
        self.arrived.notify_one();
    }

    fn closed(&self, _: LinkId, why: CloseReason) {
        let _ = writeln!(std::io::stderr(), "a link closed: {why}");
    }
}

impl RingSource for FixedRing {
    fn version(&self) -> u64 {
        1
    }

    fn sealed(&self) -> Option<Bytes> {
        None
    }

    fn offer(&self, _: &[u8]) {}
}

impl End {
    fn new(id: &'static str, echo: bool, shutdown: &CancellationToken) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(id).enable_all().build()?;
        let (sender, received) = (watch::Sender::new(None), AtomicU64::new(0));
        let owner = Arc::new(Owner { sender, received, arrived: Notify::new(), echo });
        let keys = Secrets::new("the secret of the benchmark, thirty-two bytes", &[])?;
        let config = PeerConfig::new(
            watch::channel(PeerName { id: id.into(), generation: 1 }).1,
            Arc::new(PeerTokens::new(keys.peer_keys(), "default")),
            owner.clone(),
            Arc::new(FixedRing),
            shutdown.clone(),
        );
        let counts = config.counts.clone();
        Ok(Self { runtime, owner, counts, config })
    }

    /// Time on a processor of the threads named `id`.
    fn cpu(&self) -> Duration {
        let id = self.config.me.borrow().id.clone();
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let nanos = tasks.filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            (name.trim() == id).then(|| stat.split(' ').next()?.parse::<u64>().ok())?
        });
        Duration::from_nanos(nanos.sum())
    }
}

impl Figures {
    fn print(&self, what: &str) -> std::io::Result<()> {
        let per_frame = |cpu: Duration| cpu.as_nanos() as f64 / self.frames as f64;
        writeln!(
            std::io::stdout(),
            "{what:>12}  {:>10.0} frames/s  {:>7.1} frames/message  cpu ns/frame: sender {:>6.0}  receiver {:>6.0}",
            self.frames as f64 / self.seconds,
            self.frames as f64 / self.messages.max(1) as f64,
            per_frame(self.cpu_sender),
            per_frame(self.cpu_receiver),
        )
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    install_crypto();
    let bytes: usize = std::env::args().nth(1).map_or(Ok(200), |bytes| bytes.parse())?;
    let shutdown = CancellationToken::new();
    let (a, b) = (End::new("dialler", false, &shutdown)?, End::new("listener", true, &shutdown)?);
    let (here, there) = (a.runtime.handle().clone(), b.runtime.handle().clone());
    let socket = there.block_on(async { bind("peer-listen", ([127, 0, 0, 1], 0).into()) })?;
    let address = socket.address().to_string();
    let listener = PeerListener::new(b.config.clone());
    there.spawn(serve(socket, None, listener, Options::http1(), shutdown.clone()));
    let target = PeerTarget { name: b.config.me.borrow().clone(), address };
    let targets = watch::Sender::new(vec![target]);
    let _links = here.block_on(async { PeerLinks::start(a.config.clone(), targets.subscribe(), None) });
    let mut opened = a.owner.sender.subscribe();
    let to_b =
        here.block_on(async { opened.wait_for(Option::is_some).await.map(|sender| sender.clone()) })?;
    let to_b = to_b.ok_or("no link")?;

    let frame = Bytes::from(vec![7; bytes]);
    measure(&a, &b, pace(to_b.clone(), frame.clone(), None))?.print("flood")?;
    for rate in [300_000, 100_000, 30_000, 10_000, 1_000] {
        measure(&a, &b, pace(to_b.clone(), frame.clone(), Some(rate)))?.print(&format!("{rate}/s"))?;
    }
    let mut trips = here.block_on(here.spawn(round_trips(to_b, Arc::clone(&a.owner))))?;
    trips.sort_unstable();
    let at = |share: f64| trips[(trips.len() as f64 * share) as usize].as_nanos() as f64 / 1000.0;
    writeln!(std::io::stdout(), "{:>12}  p50 {:.0} us  p99 {:.0} us", "round trip", at(0.5), at(0.99))?;
    Ok(())
}

/// Runs `load` on `a` until all it sent has arrived at `b`.
fn measure(
    a: &End,
    b: &End,
    load: impl Future<Output = u64> + Send + 'static,
) -> Result<Figures, Box<dyn Error>> {
    let (cpu_a, cpu_b) = (a.cpu(), b.cpu());
    let (received, messages) = (b.owner.received.load(Ordering::Relaxed), b.counts.totals().messages_in);
    let began = Instant::now();
    let frames = a.runtime.block_on(a.runtime.spawn(load))?;
    while b.owner.received.load(Ordering::Relaxed) < received + frames {
        std::thread::yield_now();
    }
    Ok(Figures {
        seconds: began.elapsed().as_secs_f64(),
        frames,
        messages: b.counts.totals().messages_in - messages,
        cpu_sender: a.cpu() - cpu_a,
        cpu_receiver: b.cpu() - cpu_b,
    })
}

/// Sends for three seconds, as fast as the queue takes it or at `rate` a second in steps of a millisecond.
async fn pace(sender: LinkSender, frame: Bytes, rate: Option<u64>) -> u64 {
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(3) {
        let due = rate.map_or(u64::MAX, |rate| (began.elapsed().as_micros() as u64 * rate) / 1_000_000);
        while sent < due {
            match sender.try_send(frame.clone()) {
                Ok(()) => sent += 1,
                Err(SendError::Full) => break,
                Err(_) => return sent,
            }
            if rate.is_none() && sent % 1000 == 0 {
                tokio::task::yield_now().await;
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
    sent
}

/// One frame at a time, there and back.
async fn round_trips(sender: LinkSender, owner: Arc<Owner>) -> Vec<Duration> {
    let mut trips = Vec::new();
    for n in 0u64..20_000 {
        let began = Instant::now();
        if sender.try_send(Bytes::copy_from_slice(&n.to_le_bytes())).is_err() {
            break;
        }
        owner.arrived.notified().await;
        trips.push(began.elapsed());
    }
    trips
}
