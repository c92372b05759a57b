//! The scenes: what is done to the client, and when enough has been seen. They judge nothing.

mod moving;
mod topics;

use super::record::{ConnId, Echo, Heard, Ms, What};
use super::scene::Scene;
use super::stage::Stage;
use super::world::{GROUP, Reply, Script, UNREACHABLE};

/// How long an echo may take.
const ECHO_MS: Ms = 5_000;

/// How long the answer to `ping` may take: as at a node.
const PONG_MS: Ms = 10_000;

/// How long a client that has to stop is watched before it may begin anew.
const STOPPED_MS: Ms = 2_000;

/// How long a client that was told when to come may take.
const COMES_MS: Ms = 20_000;

/// After what is expected has come: what should not come would come by then.
const AFTER_MS: Ms = 200;

/// How long a client is watched after its end.
const END_MS: Ms = 1_500;

/// The window of all waits while their randomness is judged.
const WINDOW_MS: Ms = 1_200;

/// The ends after each of which the client has to come back; none: without a code.
const ENDS: [Option<u16>; 6] = [Some(4199), None, Some(4103), None, Some(4199), None];

/// Plays a scene. `None`: the client did not do what the rest of it needs; its record tells.
pub(super) async fn play(stage: &Stage, scene: Scene) -> Option<()> {
    match scene {
        Scene::Begin => begin(stage).await,
        Scene::AtOnce => at_once(stage).await,
        Scene::BackOff => back_off(stage).await,
        Scene::Refused => refused(stage).await,
        Scene::Unreachable => unreachable(stage).await,
        Scene::Stopped => stopped(stage).await,
        Scene::Token => token(stage).await,
        Scene::Move => moving::moved(stage).await,
        Scene::FailedMove => moving::failed(stage).await,
        Scene::Resume => topics::resume(stage).await,
        Scene::Repeat => topics::repeat(stage).await,
        Scene::Close => close(stage).await,
    }
}

async fn begin(stage: &Stage) -> Option<()> {
    let conn = stage.begin(Scene::Begin, Script::default()).await?;
    let mark = stage.mark();
    stage.act(|world, now| {
        world.say_unknown(conn, now);
        world.ping(conn, now);
    });
    stage.until_event(mark, PONG_MS, |what| from(conn, what)).await;
    let inbox = stage.look(|world| world.inbox());
    let first = stage.act(|world, now| world.publish(&inbox, now));
    let ephemeral = stage.act(|world, now| world.publish_ephemeral(GROUP, now));
    echoed(stage, mark, &[first, ephemeral]).await
}

async fn at_once(stage: &Stage) -> Option<()> {
    let conn = stage.begin(Scene::AtOnce, Script::default()).await?;
    stage.act(|world, now| world.close(conn, 4077, "of a later version", now));
    stage.session(conn + 1).await.map(drop)
}

async fn back_off(stage: &Stage) -> Option<()> {
    let pace = (WINDOW_MS, WINDOW_MS, WINDOW_MS);
    let mut conn = stage.begin(Scene::BackOff, Script { pace, ..Script::default() }).await?;
    for end in ENDS {
        stage.act(|world, now| match end {
            Some(code) => world.close(conn, code, "of a later version", now),
            None => world.cut(conn, now),
        });
        conn = stage.session(conn + 1).await?;
    }
    Some(())
}

async fn refused(stage: &Stage) -> Option<()> {
    let lookups = [Reply::SlowDown(1_200), Reply::Proxy(1)].into();
    stage.begin(Scene::Refused, Script { lookups, ..Script::default() }).await.map(drop)
}

async fn unreachable(stage: &Stage) -> Option<()> {
    let lookups = [Reply::Grant(UNREACHABLE)].into();
    stage.begin(Scene::Unreachable, Script { lookups, ..Script::default() }).await.map(drop)
}

async fn stopped(stage: &Stage) -> Option<()> {
    let conn = stage.begin(Scene::Stopped, Script::default()).await?;
    let due = stage.act(|world, now| {
        let due = world.restart(conn, STOPPED_MS, now);
        world.close(conn, 4477, "of a later version", now);
        due
    });
    stage.pause_until(due).await;
    stage.until(COMES_MS, |world| world.live(conn + 1)).await.map(drop)
}

/// A client that comes back with a newer token finds that it is of no use either.
async fn token(stage: &Stage) -> Option<()> {
    let conn = stage.begin(Scene::Token, Script::default()).await?;
    let due = stage.act(|world, now| {
        let due = world.restart(conn, STOPPED_MS, now);
        world.end_token(conn, now);
        due
    });
    let wait = due.saturating_sub(stage.now());
    if let Some(again) = stage.until(wait, |world| world.live(conn + 1)).await {
        stage.act(|world, now| world.end_token(again, now));
        stage.pause_until(due).await;
        return stage.session(again + 1).await.map(drop);
    }
    stage.session(conn + 1).await.map(drop)
}

async fn close(stage: &Stage) -> Option<()> {
    let conn = stage.begin(Scene::Close, Script::default()).await?;
    let mark = stage.mark();
    stage.act(|world, now| world.stop(conn, now));
    let ended = |what: &What| matches!(what, What::Ended { conn: over, .. } if *over == conn);
    stage.until_event(mark, ECHO_MS, ended).await?;
    stage.pause(END_MS).await;
    Some(())
}

/// Waits for the application's word on each of these messages, and a little longer for what should not come.
async fn echoed(stage: &Stage, mark: usize, wanted: &[u64]) -> Option<()> {
    for n in wanted {
        let is_it = |what: &What| echo_of(what) == Some(*n);
        stage.until_event(mark, ECHO_MS, is_it).await?;
    }
    stage.pause(AFTER_MS).await;
    Some(())
}

/// The number in an echo.
fn echo_of(what: &What) -> Option<u64> {
    match what {
        What::Heard { heard: Heard::Send { echo: Some(Echo::Message(n)), .. }, .. } => Some(*n),
        _ => None,
    }
}

/// Whether it is a frame from this connection.
fn from(conn: ConnId, what: &What) -> bool {
    matches!(what, What::Heard { conn: heard, .. } if *heard == conn)
}
