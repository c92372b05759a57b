/**
 * A node with a crowd of idle clients dies, and all of them return at the same moment: the others must not fall, who is elsewhere must
 * not notice, and lookup services must let nobody in faster than they were told to.
 */
import assert from 'node:assert/strict';
import { until } from '../harness/until.mjs';
import { Worker } from './worlds.mjs';

const VICTIM = 'n2';
const BACK_MS = 60_000;
const OTHERS = 2;
/** Of a crowd that comes at once, at least this part has to wait. */
const SLOWED_MIN = 0.1;
const LOOKUPS_MAX = 12;
/** What the bucket of one lookup service holds: a tenth of a second's worth, ten at least (docs/PROTOCOL.md, pace). */
const BUCKET_MIN = 10;

/** @typedef {{ returns: import('./crowd.mjs').Return[], slowedDown: number, attempts: number, most: number, admissions: import('./crowd.mjs').Admission[] }} Returned */

/** Lookups that a node is given, a second: so few that the crowd has to wait, if the other two nodes take as many each. @param {import('./scales.mjs').Scale} scale */
export const paceOf = (scale) => Math.ceil(scale.crowd / scale.letIn_s / OTHERS);

/** @param {import('./scales.mjs').Scale} scale */
export const pacedLookups = (scale) => ['--lookups-per-node', String(paceOf(scale))];

/** @param {import('./stage.mjs').Stage} stage */
export async function crowdReturns(stage) {
  const { cluster, scale } = stage;
  const crowds = Array.from({ length: scale.crowds }, () => new Worker('crowd'));
  try {
    const document = await cluster.ring();
    const users = Array.from({ length: scale.crowd * 6 }, (_, i) => `crowd-${i}`).filter((user) => document.home(user) === VICTIM).slice(0, scale.crowd);
    assert.ok(users.length > scale.crowd * 0.9, `${users.length} users of the crowd are at home at ${VICTIM}`);
    const common = { lookups: cluster.lookups.map(({ url }) => url), jwtSecret: cluster.jwtSecret };
    await Promise.all(crowds.map((crowd, part) => crowd.tell('open', { ...common, users: users.filter((_, i) => i % crowds.length === part) })));
    await stage.kill(VICTIM);
    await until('the whole crowd is back', async () => {
      const counts = await Promise.all(crowds.map((crowd) => crowd.tell('count')));
      const [here, returns] = [counts.reduce((sum, count) => sum + count.here, 0), counts.reduce((sum, count) => sum + count.returns, 0)];
      if (here < users.length || returns < users.length) throw new Error(`${here} of ${users.length} are here, ${returns} have returned`);
      return true;
    }, { within_ms: BACK_MS, every_ms: 200 });
    const report = together(await Promise.all(crowds.map((crowd) => crowd.tell('report'))));
    stage.notes.push(told(users.length, report));
    const wrong = unpaced(report, { clients: users.length, pace: paceOf(scale), services: cluster.lookups.length });
    if (wrong.length > 0) throw new Error(wrong.join('; '));
  } finally {
    for (const crowd of crowds) crowd.stop();
  }
}

/** What several processes saw of one crowd. @param {Returned[]} reports @returns {Returned} */
function together(reports) {
  const sum = (/** @type {(report: Returned) => number} */ of) => reports.reduce((sum, report) => sum + of(report), 0);
  return {
    returns: reports.flatMap(({ returns }) => returns),
    admissions: reports.flatMap(({ admissions }) => admissions),
    slowedDown: sum(({ slowedDown }) => slowedDown),
    attempts: sum(({ attempts }) => attempts),
    most: Math.max(...reports.map(({ most }) => most)),
  };
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
function told(clients, { returns, attempts, slowedDown, most, admissions }) {
  const at = (/** @type {'asked_ms' | 'let_in_ms' | 'back_ms'} */ what, /** @type {number} */ q) => {
    const times = returns.map((one) => one[what]).sort((a, b) => a - b);
    return (times[Math.min(times.length - 1, Math.floor(times.length * q))] / 1000).toFixed(1);
  };
  const asked = `${at('asked_ms', 0.5)} s (p50) and ${at('asked_ms', 1)} s (all)`;
  const back = `${at('back_ms', 0)} s (first), ${at('back_ms', 0.5)} s (p50), ${at('back_ms', 0.99)} s (p99), ${at('back_ms', 1)} s (all)`;
  return `${clients} clients looked up after ${asked}, had a ticket after ${at('let_in_ms', 0.5)} s (p50), were back after ${back}; ${attempts} lookups, ${most} at most of one client, ${slowedDown} told to come later, ${admissions.length} let in`;
}
