/**
 * A node with a crowd of idle clients dies, and all of them return at the same moment: the others must not fall, who is elsewhere must
 * not notice, and lookup services must let nobody in faster than they were told to.
 */
import assert from 'node:assert/strict';
import { until } from '../harness/until.mjs';
import { Worker } from './worlds.mjs';

const VICTIM = 'n2';
const BACK_MS = 60_000;
/** A crowd that comes at once is let in within so many seconds, if the other two nodes take as many each. */
const LET_IN_S = 3;
const OTHERS = 2;
/** Of a crowd that comes at once, at least this part has to wait. */
const SLOWED_MIN = 0.1;
const LOOKUPS_MAX = 8;
/** What the bucket of one lookup service holds: a tenth of a second's worth, ten at least (docs/PROTOCOL.md, pace). */
const BUCKET_MIN = 10;

/** @typedef {{ outages: number[], slowedDown: number, attempts: number, most: number, admissions: import('./crowd.mjs').Admission[] }} Returned */

/** Lookups that a node is given, a second: so few that the crowd has to wait. @param {import('./scales.mjs').Scale} scale */
export const paceOf = (scale) => Math.ceil(scale.crowd / LET_IN_S / OTHERS);

/** @param {import('./scales.mjs').Scale} scale */
export const pacedLookups = (scale) => ['--lookups-per-node', String(paceOf(scale))];

/** @param {import('./stage.mjs').Stage} stage */
export async function crowdReturns(stage) {
  const { cluster, scale } = stage;
  const crowd = new Worker('crowd');
  try {
    const document = await cluster.ring();
    const users = Array.from({ length: scale.crowd * 6 }, (_, i) => `crowd-${i}`).filter((user) => document.home(user) === VICTIM).slice(0, scale.crowd);
    assert.ok(users.length > scale.crowd * 0.9, `${users.length} users of the crowd are at home at ${VICTIM}`);
    await crowd.tell('open', { users, lookups: cluster.lookups.map(({ url }) => url), jwtSecret: cluster.jwtSecret });
    await stage.kill(VICTIM);
    await until('the whole crowd is back', async () => {
      const { here, returns } = await crowd.tell('count');
      if (here < users.length || returns < users.length) throw new Error(`${here} of ${users.length} are here, ${returns} have returned`);
      return true;
    }, { within_ms: BACK_MS, every_ms: 200 });
    const report = await crowd.tell('report');
    stage.notes.push(told(users.length, report));
    const wrong = unpaced(report, { clients: users.length, pace: paceOf(scale), services: cluster.lookups.length });
    if (wrong.length > 0) throw new Error(wrong.join('; '));
  } finally {
    crowd.stop();
  }
}

/**
 * What shows that the pace was not kept, or was no pace for this crowd. Pure.
 * @param {Returned} report @param {{ clients: number, pace: number, services: number }} asked `pace`: lookups that a node is given, a second, by all services together
 */
export function unpaced({ slowedDown, most, admissions }, { clients, pace, services }) {
  const nodes = [...new Set(admissions.map(({ node }) => node))];
  return [
    ...(slowedDown < clients * SLOWED_MIN ? [`only ${slowedDown} were told to come later, of ${clients} at once`] : []),
    ...(most > LOOKUPS_MAX ? [`somebody needed ${most} lookups`] : []),
    ...(admissions.length < clients ? [`only ${admissions.length} of ${clients} were let in`] : []),
    ...nodes.flatMap((node) => tooEarly(admissions.filter((one) => one.node === node), pace, services).map((found) => `${node}: ${found}`)),
  ];
}

/**
 * An answer is read after it was given, and given after it was asked for: so from the first question to any answer the bucket and what it
 * gained meanwhile is all that may have been let in.
 * @param {Returned['admissions']} admissions to one node @param {number} pace @param {number} services
 */
function tooEarly(admissions, pace, services) {
  const held = services * Math.max(BUCKET_MIN, Math.floor(pace / services / 10));
  const first_ms = Math.min(...admissions.map(({ asked_ms }) => asked_ms));
  const after_ms = admissions.map(({ read_ms }) => read_ms - first_ms).sort((a, b) => a - b);
  const early = after_ms.findIndex((ms, i) => i + 1 > held + Math.ceil((pace * ms) / 1_000));
  return early < 0 ? [] : [`${early + 1} let in after ${Math.round(after_ms[early])} ms, with ${pace} a second and ${held} at once`];
}

/** @param {number} clients @param {Returned} report */
function told(clients, { outages, attempts, slowedDown, most, admissions }) {
  const times = outages.sort((a, b) => a - b);
  const at = (/** @type {number} */ q) => (times[Math.min(times.length - 1, Math.floor(times.length * q))] / 1000).toFixed(1);
  return `${clients} clients back after ${at(0.5)} s (p50), ${at(0.99)} s (p99), ${at(1)} s (all); ${attempts} lookups, ${most} at most of one client, ${slowedDown} told to come later, ${admissions.length} let in`;
}
