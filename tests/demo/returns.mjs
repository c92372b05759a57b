/**
 * The second demonstration: a node with a thousand clients is killed. Each of them, as the package does it, waits a random part of the
 * time that its node told, looks up, and is back.
 */
import assert from 'node:assert/strict';
import { Worker } from '../chaos/worlds.mjs';
import { Cluster } from '../harness/cluster.mjs';
import { until } from '../harness/until.mjs';

const VICTIM = 'n2';
const NODES = 3;
const BACK_MS = 60_000;
/** How long lookups are on their way where the times at which clients set out are judged: the crowd's work would fill its window otherwise. */
const HOLD_MS = 2_000;

/** @param {import('./scales.mjs').Scale} scale @param {(end: () => unknown) => void} after takes what is to be done at the end @returns {Promise<import('./evenness.mjs').Returned[]>} one of each client */
export async function playReturns({ crowd, crowds, arrivals }, after) {
  const cluster = new Cluster({ nodes: NODES, lookups: 2, lease_ms: 3_000 });
  after(() => cluster.abandon());
  await cluster.begin();
  const workers = Array.from({ length: crowds }, () => new Worker('returning', import.meta.dirname));
  after(() => workers.forEach((worker) => worker.stop()));
  const ring = await cluster.ring();
  const users = Array.from({ length: crowd * NODES * 2 }, (_, i) => `returning-${i}`).filter((user) => ring.home(user) === VICTIM).slice(0, crowd);
  assert.equal(users.length, crowd, `users who are at home at ${VICTIM}`);
  const tokens = users.map((user) => [user, cluster.token(user)]);
  const lookups = cluster.lookups.map(({ url }) => `${url}/lookup`);
  await Promise.all(workers.map((worker, i) => worker.tell('open', { lookups, tokens: tokens.filter((_, at) => at % crowds === i), hold_ms: arrivals ? HOLD_MS : 0 })));
  await cluster.kill(cluster.node(VICTIM));
  await until('everybody is back', async () => {
    const counts = await Promise.all(workers.map((worker) => worker.tell('back')));
    const back = counts.reduce((sum, count) => sum + count, 0);
    if (back < crowd) throw new Error(`${back} of ${crowd} are`);
    return true;
  }, { within_ms: BACK_MS, every_ms: 100 }).catch(() => {});
  const reports = await Promise.all(workers.map((worker) => worker.tell('report')));
  await Promise.all(workers.map((worker) => worker.tell('close')));
  workers.forEach((worker) => worker.stop());
  await cluster.stop();
  return reports.flat();
}
