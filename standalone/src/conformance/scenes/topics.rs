//! Scenes about what is stored: positions over several connections, gaps, pending topics, sends that are refused.

use super::{AFTER_MS, ECHO_MS, echo_of, echoed};
use crate::conformance::record::{Echo, Heard, Ms, What};
use crate::conformance::scene::Scene;
use crate::conformance::stage::Stage;
use crate::conformance::world::{GROUP, NODES, Script, World};

/// Milliseconds after which a refused send may come again.
const RETRY_MS: Ms = 800;

/// Windows are short here: only positions count.
const PACE: (Ms, Ms, Ms) = (200, 300, 300);

pub(super) async fn resume(stage: &Stage) -> Option<()> {
    let conn = stage.begin(Scene::Resume, Script { pace: PACE, ..Script::default() }).await?;
    let mark = stage.mark();
    let inbox = stage.look(|world| world.inbox());
    let both = |stage: &Stage| {
        stage.act(|world, now| {
            [world.publish(&inbox, now), world.publish(GROUP, now), world.publish(&inbox, now)]
        })
    };
    let first = both(stage);
    echoed(stage, mark, &first).await?;
    let next = stage.next_conn();
    stage.act(|world, now| world.cut(conn, now));
    let missed = both(stage);
    stage.session(next).await?;
    echoed(stage, mark, &missed).await;
    gaps(stage, mark, &inbox).await;
    // Two connections on which the inbox stays pending, and one on which the log answers.
    let mut conn = stage.session(next).await?;
    stage.look(|world| world.script.pending = Some(NODES[0]));
    for _ in 0..3 {
        let next = stage.next_conn();
        stage.act(|world, now| world.cut(conn, now));
        conn = stage.session(next).await?;
    }
    let last = stage.act(|world, now| {
        let n = world.publish(&inbox, now);
        world.script.pending = None;
        world.recover(conn, &inbox, now);
        n
    });
    echoed(stage, mark, &[last]).await
}

/// A gap in the inbox, and then its loss, with a message after each.
async fn gaps(stage: &Stage, mark: usize, inbox: &str) {
    for lost in [false, true] {
        let before = stage.mark();
        let n = stage.act(|world, now| {
            if lost {
                world.lose(inbox, now);
            } else {
                world.trim(inbox, 4, now);
            }
            world.publish(inbox, now)
        });
        let told = |what: &What| {
            matches!(what, What::Heard { heard: Heard::Send { echo: Some(Echo::Gap(_)), .. }, .. })
        };
        stage.until_event(before, ECHO_MS, told).await;
        echoed(stage, mark, &[n]).await;
    }
}

pub(super) async fn repeat(stage: &Stage) -> Option<()> {
    stage.begin(Scene::Repeat, Script::default()).await?;
    let inbox = stage.look(|world| world.inbox());
    for refusal in [None, Some(RETRY_MS)] {
        let mark = stage.mark();
        let n = stage.act(|world, now| {
            world.script.refusals = [refusal].into();
            world.publish(&inbox, now)
        });
        let twice = |world: &mut World| {
            let echoes = world.record.since(mark).iter().filter(|event| echo_of(&event.what) == Some(n));
            (echoes.count() > 1).then_some(())
        };
        stage.until(2 * ECHO_MS, twice).await;
        stage.pause(AFTER_MS).await;
    }
    Some(())
}
