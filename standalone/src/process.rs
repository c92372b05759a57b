//! The process `ringdial`: configuration, ports, signals, words, exit code.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use edge::config::{Hidden, load};
use edge::failure::{Failure, end};
use edge::listen::{BindError, bind};
use edge::logging::Format;
use edge::ready::Ready;
use edge::{logging, process as os, shutdown};
use lookup_service::Callers;
use serde_json::json;

use crate::config::{COMMAND, Config, read};
use crate::conformance;
use crate::run::{LOOPBACK, Running, Sockets, start};
use crate::words::greeting;

/// Everything from the arguments to the end. Exits with 0 after a signal, 2 for a bad configuration, 1 for all else.
pub async fn process() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == conformance::WORD) {
        return conformance::process().await;
    }
    let (config, warnings) = match load(&COMMAND, read) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    logging::init(&config.operations.log);
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if config.random_secret {
        tracing::info!("no --secret is given: a random one serves until this process ends");
    }
    end(serve(&config).await)
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    os::raise_open_files()?;
    let sockets = sockets(config)?;
    let running = tokio::select! {
        running = start(sockets, config) => running?,
        () = stop.cancelled() => return Ok(()),
    };
    announce(&running, config)?;
    Ok(running.serve(stop).await?)
}

fn sockets(config: &Config) -> Result<Sockets, Failure> {
    let public = bind("listen", config.public.listen).map_err(elsewhere)?;
    let admin = bind("admin-listen", config.operations.admin_listen)?;
    let node = |_| {
        let clients = bind("node-listen-ip", SocketAddr::new(config.node_ip, 0))?;
        Ok::<_, BindError>(ws_node::Sockets { clients, peers: bind("node-listen-ip", LOOPBACK)? })
    };
    let nodes = (0..config.nodes).map(node).collect::<Result<_, _>>()?;
    Ok(Sockets { public, admin, nodes })
}

/// For people where everything is, and then the ready line for programs: who has read that finds the words written.
fn announce(running: &Running, config: &Config) -> std::io::Result<()> {
    // Who reads JSON lines reads no greeting.
    if config.operations.log.format == Format::Text {
        let tokens = matches!(config.callers, Callers::Tokens(_));
        let key = config.random_api_key.as_ref().map(Hidden::expose);
        let text = greeting(&running.origin, &running.nodes, tokens, key);
        // Nobody is left to greet if stderr is closed.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    let mut ready = Ready::new("ringdial");
    ready.url = Some(running.origin.clone());
    ready.admin = Some(running.admin);
    let nodes: Vec<_> = running
        .nodes
        .iter()
        .map(|node| json!({ "node": node.id, "url": node.url, "peer": node.peer }))
        .collect();
    ready.more.insert("nodes", nodes.into());
    ready.announce()
}

/// Whoever just tries this out has not read about flags yet.
fn elsewhere(error: BindError) -> Failure {
    let listen = error.flag == "listen";
    let failure = Failure::from(error);
    match failure.remedy.clone() {
        Some(remedy) if listen => {
            failure.remedy(format!("{remedy}, such as: cargo run --release -- --listen 127.0.0.1:0"))
        }
        _ => failure,
    }
}
