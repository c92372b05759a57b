//! Scenes with two sockets: a move that succeeds, with sends under way and topics that both sockets bring; one that fails.

use super::{AFTER_MS, ECHO_MS, echoed};
use crate::conformance::record::{ConnId, Heard, Ms, What};
use crate::conformance::scene::Scene;
use crate::conformance::stage::{Stage, clock_s};
use crate::conformance::world::{GROUP, NODES, Script, UNREACHABLE};

/// The `spread_ms` of moves here.
const SPREAD_MS: Ms = 300;

/// How long a client may take for a move, beyond its spread.
const MOVES_MS: Ms = 5_000;

/// How long a client is watched after a move that failed.
const STAYS_MS: Ms = 1_000;

/// Messages whose echoes are without an answer when the move comes.
const HELD: usize = 3;

pub(super) async fn moved(stage: &Stage) -> Option<()> {
    let [old, new] = NODES;
    let script = Script { silent: Some(old), pending: Some(new), ..Script::default() };
    let from = stage.begin(Scene::Move, script).await?;
    let mark = stage.mark();
    let inbox = stage.look(|world| world.inbox());
    let held: Vec<u64> = (0..HELD).map(|_| stage.act(|world, now| world.publish(&inbox, now))).collect();
    echoed(stage, mark, &held).await?;
    ask(stage, from, new);
    let welcome = |what: &What| matches!(what, What::Opened { conn, .. } if *conn > from);
    stage.until_event(mark, SPREAD_MS + MOVES_MS, welcome).await?;
    let to = stage.until(MOVES_MS, |world| world.live(from + 1)).await?;
    // Both bring the group; the inbox comes by the old socket alone, until the log has answered.
    let seen: Vec<u64> = stage.act(|world, now| {
        vec![world.publish(GROUP, now), world.publish_ephemeral(GROUP, now), world.publish(&inbox, now)]
    });
    echoed(stage, mark, &seen[..2]).await;
    stage.act(|world, now| world.publish_late(from, GROUP, now));
    repeated(stage, to, &held).await;
    stage.pause(AFTER_MS).await;
    stage.act(|world, now| {
        world.script.pending = None;
        world.recover(to, &inbox, now);
    });
    let detach = |what: &What| matches!(what, What::Heard { conn, heard: Heard::Detach } if *conn == from);
    stage.until_event(mark, MOVES_MS, detach).await;
    let last = stage.act(|world, now| world.publish(&inbox, now));
    echoed(stage, mark, &[seen[2], last]).await
}

pub(super) async fn failed(stage: &Stage) -> Option<()> {
    let conn = stage.begin(Scene::FailedMove, Script::default()).await?;
    let mark = stage.mark();
    ask(stage, conn, UNREACHABLE);
    stage.pause(SPREAD_MS + STAYS_MS).await;
    let inbox = stage.look(|world| world.inbox());
    let n = stage.act(|world, now| world.publish(&inbox, now));
    echoed(stage, mark, &[n]).await
}

fn ask(stage: &Stage, conn: ConnId, node: &'static str) {
    let url = stage.url(node);
    stage.act(|world, now| world.ask_to_move(conn, (node, &url), SPREAD_MS, now, clock_s()));
}

/// Waits until the new connection has brought these echoes again.
async fn repeated(stage: &Stage, to: ConnId, held: &[u64]) {
    for n in held {
        let again = |what: &What| super::from(to, what) && super::echo_of(what) == Some(*n);
        if stage.until_event(0, ECHO_MS, again).await.is_none() {
            return;
        }
    }
}
