//! `ringdial conformance`: tells whether a client of the protocol, in any language, behaves.
//!
//! It plays a lookup service and two nodes towards one client ([`world`], pure), does to it in scenes what networks, nodes and
//! back ends do ([`scenes`]), writes down what happens ([`record`]), and judges that by rules of docs/PROTOCOL.md ([`rules`],
//! [`judge`], pure). What the application around the client has to do is in docs/CONFORMANCE.md.

mod config;
mod heard;
mod http;
mod judge;
mod record;
mod report;
mod rules;
mod scene;
mod scenes;
mod socket;
mod stage;
mod world;

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use cluster::secret::Secrets;
use cluster::tokens::{install_crypto, random_id};
use edge::config::load_after;
use edge::failure::{Failure, end};
use edge::listen::{Listener, bind};
use edge::serve::{Options, serve};
use edge::{logging, shutdown};
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use self::config::{COMMAND, Config, read};
use self::http::Port;
use self::report::Run;
use self::scene::Scene;
use self::stage::{Places, Stage};
use crate::run::origin;

/// So many scenes in a row at whose end no client is there end the run.
const SCENES_MISSED: usize = 2;

/// The word that leads here.
pub(crate) const WORD: &str = "conformance";

/// Everything from the arguments to the end. Exits with 0 if the client kept every mandatory rule, 1 if not or if it was
/// ended before, 2 for a bad configuration.
pub(crate) async fn process() -> ExitCode {
    let config = match load_after(&COMMAND, 1, read) {
        Ok((config, _)) => config,
        Err(code) => return code,
    };
    logging::init(&config.log);
    match run(&config).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => end(Err(failure)),
    }
}

/// Whether the client behaved.
async fn run(config: &Config) -> Result<bool, Failure> {
    let stop = shutdown::on_signals()?;
    install_crypto();
    let ports = Ports::open(config.listen)?;
    let secrets = Secrets::new(&(random_id() + &random_id()), &[])?;
    let stage = Stage::new(ports.places.clone(), &secrets);
    let origin = origin(ports.places.lookups, false);
    let served = CancellationToken::new();
    ports.serve(&stage, &served);
    write(&report::greeting(&origin, config.json))?;
    let whole = tokio::select! {
        whole = play(&stage, config) => whole?,
        () = stop.cancelled() => {
            return Err(Failure::new("ended", "the run was ended before the client could be judged"));
        }
    };
    let findings = stage.look(|world| judge::judge(&world.record, stage.now()));
    let took = stage.now();
    let run = Run { findings: &findings, asked: &config.scenes, whole: &whole, took };
    let (text, well) = report::report(&run, config.json);
    served.cancel();
    write(&text)?;
    Ok(well)
}

/// The scenes that came to their end. A client that is gone for two of them does not come any more.
async fn play(stage: &Stage, config: &Config) -> Result<Vec<Scene>, Failure> {
    let mut whole = Vec::new();
    let mut missed = 0;
    for scene in &config.scenes {
        write(&report::scene(*scene, config.json))?;
        if scenes::play(stage, *scene).await.is_some() {
            whole.push(*scene);
        }
        missed = if stage.look(|world| world.live(0)).is_some() { 0 } else { missed + 1 };
        if missed == SCENES_MISSED {
            break;
        }
    }
    Ok(whole)
}

/// The bound sockets.
struct Ports {
    lookups: Listener,
    nodes: [Listener; 2],
    /// Bound, and not listening: who connects there is refused.
    _unreachable: TcpSocket,
    places: Places,
}

// === impl Ports ===

impl Ports {
    fn open(listen: SocketAddr) -> Result<Self, Failure> {
        let free = SocketAddr::new(listen.ip(), 0);
        let lookups = bind("listen", listen)?;
        let nodes = [bind("listen", free)?, bind("listen", free)?];
        let unreachable = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        unreachable.bind(free)?;
        let [first, second] = &nodes;
        let places = Places {
            lookups: lookups.address(),
            nodes: [first.address(), second.address()],
            unreachable: unreachable.local_addr()?,
        };
        Ok(Self { lookups, nodes, _unreachable: unreachable, places })
    }

    /// Serves until `stop`.
    fn serve(self, stage: &Stage, stop: &CancellationToken) {
        let Self { lookups, nodes, _unreachable: unreachable, .. } = self;
        tokio::spawn(serve(
            lookups,
            None,
            Port::Lookups(stage.clone()),
            Options::http1_and_2(),
            stop.clone(),
        ));
        for (number, node) in nodes.into_iter().enumerate() {
            let port = Port::Node(stage.clone(), number);
            tokio::spawn(serve(node, None, port, Options::http1(), stop.clone()));
        }
        let stop = stop.clone();
        tokio::spawn(async move {
            stop.cancelled().await;
            drop(unreachable);
        });
    }
}

/// Writes a part of the report, which is what stdout is for here.
fn write(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
}
