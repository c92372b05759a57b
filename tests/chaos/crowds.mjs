/** A node with a crowd of idle clients dies, and all of them return at the same moment: the others must not fall, and who is elsewhere must not notice. */
import assert from 'node:assert/strict';
import { until } from '../harness/until.mjs';
import { Worker } from './worlds.mjs';

const VICTIM = 'n2';
const BACK_MS = 60_000;

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
    const times = report.outages.sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
    const at = (/** @type {number} */ q) => (times[Math.min(times.length - 1, Math.floor(times.length * q))] / 1000).toFixed(1);
    stage.notes.push(`${users.length} clients back after ${at(0.5)} s (p50), ${at(0.99)} s (p99), ${at(1)} s (all); ${report.attempts} lookups, ${report.slowedDown} told to come later`);
  } finally {
    crowd.stop();
  }
}
