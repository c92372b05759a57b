/** The judge of a scene. Pure: from what the worlds, the stage and the rings tell, its figures and whatever is wrong. */
import { SHOWN, shown } from '../harness/shown.mjs';
import { tooManyAway } from './homes.mjs';

/** @typedef {import('./world.mjs').Report} Report */
/** @typedef {import('./world.mjs').SessionReport} SessionReport */
/** @typedef {import('./stage.mjs').Killing} Killing */
/**
 * @typedef {object} Evidence
 * @property {import('./scenes.mjs').Scene} scene
 * @property {import('./scales.mjs').Scale} scale
 * @property {Report[]} reports one of each world
 * @property {Killing[]} kills
 * @property {number} faults
 * @property {number} began_ms when the last of them happened, by the wall clock
 * @property {number} seconds of traffic
 * @property {(user: string) => string[]} ownersOf the nodes that owned a user meanwhile, in order
 * @property {boolean} complete whether every version of the ring was seen
 * @property {import('./homes.mjs').Stranger[]} [guests] sessions that were not at the owner of their user when the scene began
 * @property {import('./homes.mjs').Stranger[]} [away] sessions that were not when everybody had had the time to go there
 * @property {string[]} [rings] what is wrong with the rings that were published
 * @property {string} [trouble] why the scene did not come to its end
 */

/** After a node was killed its connections break within so long. */
const AFTERMATH_MS = 5_000;
const CLOCK_MS = 250;
const BROKEN = 1006;
/** A kill hits at least this part of a node's fair share of the sessions: not all are back at a node that was killed before. */
const HIT_MIN = 1 / 3;
const SHARE_MIN = 0.5;
const ACKNOWLEDGED_MIN = 0.9;

/** @param {Evidence} evidence */
export function judge(evidence) {
  const { scene, scale, reports, began_ms, seconds } = evidence;
  const figures = summed(reports.map((report) => report.figures));
  const sessions = reports.flatMap((report) => report.sessions);
  const outages = sessions.flatMap(outagesOf);
  const lag_ms = Math.max(...reports.map(({ lag_ms }) => lag_ms.max));
  const { dropped, hits } = byKills(outages, evidence.kills, lag_ms);
  const moved = sessions.filter(({ events }) => events.some(({ kind }) => kind === 'moved'));
  const strays = evidence.complete ? sessions.filter((session) => isStray(session, evidence)) : [];
  const times = outages.map(({ ms }) => ms).sort((a, b) => a - b);
  const last_ms = Math.max(began_ms, ...reports.map(({ late }) => late.lastAt_ms), ...outages.map(({ back_ms }) => back_ms));
  const owed = evidence.complete && scene.exact ? unmoved(sessions, evidence) : { changed: undefined, wrong: [] };
  const blind = !evidence.complete && (moved.length > 0 || (scene.moves ?? 0) > 0);
  const row = {
    scene: scene.name, sessions: sessions.length, npm: sessions.filter(({ npm }) => npm).length, sent: figures.sent, delivered: figures.delivered, faults: evidence.faults,
    lost: figures.lost, repeated: figures.repeated, misdelivered: figures.unexpected + figures.altered, inversions: figures.disordered,
    dropped: dropped.length, hits, changed: owed.changed, moved: moved.length, affected: outages.length,
    p50_ms: quantile(times, 0.5), p99_ms: quantile(times, 0.99), max_ms: times.at(-1) ?? 0, flows_ms: last_ms - began_ms,
  };
  const wrong = [
    ...reports.flatMap(({ trouble, findings }) => [...(trouble ? [trouble] : []), ...findings]),
    ...(evidence.trouble ? [evidence.trouble] : []),
    ...verdicts(row, { scene, scale, seconds, figures, kills: evidence.kills, lag_ms }),
    ...shown('disconnected, and its node was not killed', dropped.map(({ session, node, code }) => `${session} at ${node}: ${code}`)),
    ...shown('moved, and its owner did not change', strays.map(({ name, events }) => `${name}: ${JSON.stringify(events.slice(0, 3))}`)),
    ...owed.wrong,
    ...tooManyAway(evidence.guests ?? [], sessions.length, 'before the scene'),
    ...tooManyAway(evidence.away ?? [], sessions.length, 'after all had healed'),
    ...(evidence.rings ?? []),
    ...(blind ? [`${moved.length} sessions moved, and a version of the ring was not seen: nobody can tell whose owner did not change`] : []),
    ...shown('not connected at the end', sessions.filter(({ here }) => !here).map(({ name }) => name)),
  ];
  const slowest = [...outages].sort((a, b) => b.ms - a.ms).slice(0, SHOWN).map(({ session, node, ms, tried }) => `${session} of ${node} back after ${ms} ms: ${tried.join(', ')}`);
  return { row, wrong, slowest };
}

/** @param {any} row @param {{ scene: Evidence['scene'], scale: Evidence['scale'], seconds: number, figures: any, kills: Killing[], lag_ms: number }} evidence `lag_ms`: of the clients' own processes */
function verdicts(row, { scene, scale, seconds, figures, kills, lag_ms }) {
  const due = scale.rate * seconds * (scene.share ?? SHARE_MIN);
  const faults = scene.faults?.(scale) ?? 1;
  const hit = (row.sessions / scene.nodes) * HIT_MIN;
  const { goal } = scene;
  // On a machine that others share, times are no better than the clients' own.
  const slow = (/** @type {number} */ ms, /** @type {number} */ goal_ms) => ms > goal_ms * scale.slack + (scale.slack > 1 ? 2 * lag_ms : 0);
  return [
    ['lost', 'repeated', 'misdelivered', 'inversions'].filter((kind) => row[kind] > 0).map((kind) => `${row[kind]} ${kind}`),
    row.sessions < scale.sessions * 0.95 ? [`only ${row.sessions} sessions`] : [],
    row.sent < due ? [`only ${row.sent} messages sent, at least ${Math.round(due)} were due`] : [],
    figures.acknowledged < row.sent * ACKNOWLEDGED_MIN ? [`only ${figures.acknowledged} of ${row.sent} messages acknowledged`] : [],
    row.delivered < row.sent ? [`only ${row.delivered} deliveries of ${row.sent} messages`] : [],
    row.faults < faults ? [`only ${row.faults} faults of ${faults}`] : [],
    row.moved < row.sessions * (scene.moves ?? 0) ? [`only ${row.moved} sessions moved`] : [],
    scene.exact && row.changed < row.sessions * (scene.moves ?? 0) ? [`the owners of only ${row.changed} sessions changed`] : [],
    kills.flatMap(({ node }, i) => (row.hits[i] < hit ? [`only ${row.hits[i]} sessions were hit by kill ${i + 1} of ${kills.length}, of ${node}; at least ${Math.ceil(hit)} were due`] : [])),
    figures.gaps > 0 && !scene.gaps ? [`${figures.gaps} gaps`] : [],
    goal && slow(row.p50_ms, goal.p50_ms) ? [`without a socket for ${row.p50_ms} ms (p50), the goal is ${goal.p50_ms}`] : [],
    goal && slow(row.p99_ms, goal.p99_ms) ? [`without a socket for ${row.p99_ms} ms (p99), the goal is ${goal.p99_ms}`] : [],
  ].flatMap((found) => found || []);
}

/** The times in which a session had no socket. @param {SessionReport} session */
export function outagesOf({ name, events }) {
  /** @type {{ session: string, node: string, code?: number, tried: string[], lost_ms: number, back_ms: number, ms: number }[]} */
  const outages = [];
  /** @type {import('./world.mjs').Happening | undefined} */
  let lost;
  /** @type {string[]} */
  let tried = [];
  const ended = (/** @type {number} */ back_ms) => {
    const { node, code, at_ms } = /** @type {import('./world.mjs').Happening} */ (lost);
    outages.push({ session: name, node, code, tried, lost_ms: at_ms, back_ms, ms: back_ms - at_ms });
    [lost, tried] = [undefined, []];
  };
  for (const event of events) {
    if (event.kind === 'lost') lost ??= event;
    else if (lost && event.kind === 'tried') tried.push(`${event.why} after ${event.at_ms - lost.at_ms} ms`);
    else if (lost) ended(event.at_ms);
  }
  if (lost) ended(Infinity);
  return outages;
}

/** Those that no kill explains, and how many each kill does: one of each session at its node. @param {ReturnType<typeof outagesOf>} outages @param {Killing[]} kills @param {number} lag_ms of the clients' own processes, who may see it so much later */
function byKills(outages, kills, lag_ms) {
  const explained = new Set();
  const hits = kills.map(() => 0);
  const dropped = outages.filter(({ session, node, code, lost_ms }) => {
    const at = kills.findIndex((kill, i) => kill.node === node && lost_ms >= kill.at_ms - CLOCK_MS && lost_ms <= kill.at_ms + AFTERMATH_MS + lag_ms && !explained.has(`${session} ${i}`));
    if (at < 0 || code !== BROKEN) return true;
    explained.add(`${session} ${at}`);
    hits[at]++;
    return false;
  });
  return { dropped, hits };
}

/** It left its owner, who was that all the time, and whose process was not killed. @param {SessionReport} session @param {Evidence} evidence */
function isStray({ user, events }, { ownersOf, kills }) {
  const left = events.filter(({ kind }) => kind === 'moved');
  if (left.length === 0) return false;
  const owners = ownersOf(user);
  return owners.length === 1 && left.some(({ from }) => from === owners[0]) && !kills.some(({ node }) => node === owners[0]);
}

/**
 * Who moved is who had to: the set of those whose owner changed, each to its owner; strays are told by `isStray`. Guests are no part of it:
 * where a node was out of reach when they came, they may have been at home anywhere.
 * @param {SessionReport[]} all @param {Evidence} evidence
 */
function unmoved(all, { ownersOf, guests = [] }) {
  const sessions = all.filter(({ name }) => !guests.some((guest) => guest.name === name)).map((session) => ({ ...session, owners: ownersOf(session.user), moves: session.events.filter(({ kind }) => kind === 'moved') }));
  const changed = sessions.filter(({ owners }) => owners.length > 1);
  const told = (/** @type {typeof sessions} */ some) => some.map(({ name, node, owners, moves }) => `${name}: owners ${owners.join(' ')}, at ${node}, moved ${moves.map(({ from, node }) => `${from}->${node}`).join(' ')}`);
  const wrong = [
    ...shown('whose owner changed, and did not move', told(changed.filter(({ owners, moves }) => moves.length === 0 && owners[0] !== owners.at(-1)))),
    ...shown('moved to a node that was not its owner', told(sessions.filter(({ owners, moves }) => moves.some(({ node }) => !owners.includes(node))))),
    ...shown('not at its owner at the end', told(sessions.filter(({ owners, node }) => node !== owners.at(-1)))),
  ];
  return { changed: changed.length, wrong };
}

/** @param {number[]} sorted @param {number} q */
function quantile(sorted, q) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

/** @template {Record<string, number>} T @param {T[]} all @returns {T} */
function summed(all) {
  const names = Object.keys(all[0] ?? {});
  return /** @type {T} */ (Object.fromEntries(names.map((name) => [name, all.reduce((sum, one) => sum + one[name], 0)])));
}
