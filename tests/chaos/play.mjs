/** Plays one scene: everybody sends all along, something happens, and then it is judged. */
import { delay } from '../harness/until.mjs';
import { untilHome } from './homes.mjs';
import { judge } from './judge.mjs';
import { RingWatch } from './rings.mjs';
import { Stage } from './stage.mjs';

/** A process of clients that is late by more is told of. */
const LAG_MS = 200;
/** Waiting for all to be at home is told of from here on. */
const WAITED_MS = 1_000;
/** Of a scene with a planted fault: it is found at once. */
const PLANTED = { before_ms: 1_000, after_ms: 2_000, settle_ms: 3_000 };

/** @param {import('./theatre.mjs').Theatre} theatre @param {import('./scenes.mjs').Scene} scene */
export async function play(theatre, scene) {
  const { cluster, site, worlds } = theatre;
  const { settle_ms, ...scale } = { ...theatre.scale, settle_ms: undefined, ...(scene.planted ? PLANTED : {}) };
  const stage = new Stage(cluster, site, scale);
  await prepare(stage, scene.nodes);
  await worlds.tell('well');
  const rings = await new RingWatch(cluster).begin();
  const guests = scene.exact ? (await untilHome(worlds, rings)).away : [];
  if (scene.planted) await worlds.tell('plant', { fault: scene.planted });
  await worlds.tell('begin');
  const [since, since_ms] = [performance.now(), Date.now()];
  await delay(scale.before_ms);
  const trouble = await scene.act(stage).then(() => undefined, (error) => error.message);
  await delay(scale.after_ms);
  // Whatever it was has healed: everybody goes home.
  const { away, waited_ms } = scene.planted || trouble !== undefined ? { away: [], waited_ms: 0 } : await untilHome(worlds, rings);
  const seconds = (performance.now() - since) / 1000;
  const reports = await worlds.tell('end', { settle_ms });
  await rings.end();
  const { kills, faults, notes } = stage;
  const began_ms = faults.at(-1)?.at_ms ?? since_ms;
  const { row, wrong, slowest } = judge({ scene, scale, reports, kills, faults: faults.length, began_ms, seconds, trouble, guests, away, rings: rings.wrong, complete: rings.complete, ownersOf: (user) => rings.ownersOf(user) });
  const [lag99, lagMax] = [Math.max(...reports.map(({ lag_ms }) => lag_ms.p99)), Math.max(...reports.map(({ lag_ms }) => lag_ms.max))];
  if (lagMax > LAG_MS) notes.push(`the clients' own processes were late by ${Math.round(lag99)} ms (p99), ${Math.round(lagMax)} ms (max)`);
  if (row.changed !== undefined) notes.push(`the owner of ${row.changed} sessions changed, and ${row.moved} moved`);
  if (guests.length > 0) notes.push(`${guests.length} were not at their owner before`);
  if (away.length > 0) notes.push(`${away.length} are not at their owner, ${away.filter(({ excused }) => excused).length} of them since they could not reach it`);
  if (waited_ms >= WAITED_MS) notes.push(`waited ${(waited_ms / 1000).toFixed(1)} s for all to be at home`);
  if (rings.changes.length > 0) notes.push(`ring: ${rings.changes.join(' ')}`);
  if (!rings.complete) notes.push('a version of the ring was not seen');
  return scene.planted ? { row, slowest: [], ...missed(row, notes) } : { row, wrong, slowest, notes };
}

/** A scene in which messages are lost on purpose is good if that is found. @param {{ lost: number }} row @param {string[]} notes */
function missed({ lost }, notes) {
  return { wrong: lost > 0 ? [] : ['messages were lost between client and judge, and nobody missed them'], notes: [...notes, `${lost} were missed`] };
}

/** So many nodes, and all of them well. @param {Stage} stage @param {number} count */
async function prepare(stage, count) {
  const wanted = Array.from({ length: count }, (_, i) => `n${i + 1}`);
  for (const id of wanted) if (!stage.cluster.idsOf().includes(id)) await stage.start(id);
  await stage.well();
}
