/** Plays one scene: everybody sends all along, something happens, and then it is judged. */
import { delay } from '../harness/until.mjs';
import { judge } from './judge.mjs';
import { RingWatch } from './rings.mjs';
import { Stage } from './stage.mjs';

/** A process of clients that is late by more is told of. */
const LAG_MS = 200;

/** @param {import('./theatre.mjs').Theatre} theatre @param {import('./scenes.mjs').Scene} scene */
export async function play(theatre, scene) {
  const { cluster, site, scale, worlds } = theatre;
  const stage = new Stage(cluster, site, scale);
  await prepare(stage, scene.nodes);
  await worlds.tell('well');
  const rings = await new RingWatch(cluster).begin();
  await worlds.tell('begin');
  const since = performance.now();
  await delay(scale.before_ms);
  const trouble = await scene.act(stage).then(() => undefined, (error) => error.message);
  await delay(scale.after_ms);
  const seconds = (performance.now() - since) / 1000;
  const reports = await worlds.tell('end');
  await rings.end();
  const { kills, faults, notes } = stage;
  const began_ms = faults.at(-1)?.at_ms ?? 0;
  const { row, wrong, slowest } = judge({ scene, scale, reports, kills, faults: faults.length, began_ms, seconds, trouble, complete: rings.complete, ownersOf: (user) => rings.ownersOf(user) });
  const [lag99, lagMax] = [Math.max(...reports.map(({ lag_ms }) => lag_ms.p99)), Math.max(...reports.map(({ lag_ms }) => lag_ms.max))];
  if (lagMax > LAG_MS) notes.push(`the clients' own processes were late by ${Math.round(lag99)} ms (p99), ${Math.round(lagMax)} ms (max)`);
  if (rings.changes.length > 0) notes.push(`ring: ${rings.changes.join(' ')}`);
  if (!rings.complete) notes.push('a version of the ring was not seen');
  return { row, wrong, slowest, notes };
}

/** So many nodes, and all of them well. @param {Stage} stage @param {number} count */
async function prepare(stage, count) {
  const wanted = Array.from({ length: count }, (_, i) => `n${i + 1}`);
  for (const id of wanted) if (!stage.cluster.idsOf().includes(id)) await stage.start(id);
  await stage.well();
}
