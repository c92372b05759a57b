/** Redis stops for 20 s and comes back empty, forgets everything, hangs: nobody is disconnected, nothing stops. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';
import { throughout, until } from '../harness/until.mjs';

/**
 * Goes on sending, looking up and connecting for a while; everything has to work.
 * @param {Crowd} crowd @param {number} duration_ms @param {string} phase
 */
async function carryOn(crowd, duration_ms, phase) {
  await throughout(duration_ms, async (round) => {
    await crowd.everyoneToEveryNode(1, 1);
    for (const by of crowd.cluster.lookups.keys()) await crowd.cluster.lookup(`asks-${round}`, { by });
    await crowd.connect(`${phase}-${round}`);
  }, 1000);
  await crowd.settle();
}

/** The ring is complete at every lookup service, later than before, and with the same key and places. */
async function assertPutBack(ring, before) {
  await until('the ring is put back', async () => (await ring.redis.command('KEYS', '*')) !== '', { within_ms: 20_000, every_ms: 100 });
  await until('the version grows at every lookup service', async () => {
    for (const by of ring.lookups.keys()) if (!((await ring.ring('default', by)).version > before.version)) return false;
    return true;
  }, { within_ms: 20_000 });
  await ring.untilSeen(['n1', 'n2', 'n3']);
  const after = await ring.ring();
  assert.deepEqual(after.key, before.key, 'the ring key is the same');
  assert.deepEqual(after.holders, before.holders, 'nobody moves');
}

/** @param {import('node:test').TestContext} t */
async function settledCluster(t) {
  const ring = await cluster({ nodes: 3, lookups: 2, lease_ms: 3000 });
  t.after(() => ring.stop());
  const crowd = await new Crowd(ring).join(names(30));
  await crowd.everyoneToEveryNode(2, 1);
  await crowd.settle();
  return { ring, crowd, before: await ring.ring() };
}

test('Redis is killed for 20 s and comes back empty', { within_ms: 120_000 }, async (t) => {
  const { ring, crowd, before } = await settledCluster(t);
  await ring.redis?.end('SIGKILL');
  await carryOn(crowd, 20_000, 'without');
  assert.deepEqual((await ring.ring()).holders, before.holders, 'the last view is kept');
  await ring.redis?.begin();
  await assertPutBack(ring, before);
  await carryOn(crowd, 5_000, 'again');
  assert.deepEqual(crowd.closed(), [], 'nobody was disconnected');
  await ring.startNode({ id: 'n4' });
  await ring.untilSeen(['n1', 'n2', 'n3', 'n4']);
});

test('FLUSHALL: the ring is put back under a higher version', { within_ms: 90_000 }, async (t) => {
  const { ring, crowd, before } = await settledCluster(t);
  await ring.redis?.command('FLUSHALL');
  await carryOn(crowd, 4_000, 'flushed');
  await assertPutBack(ring, before);
  await carryOn(crowd, 3_000, 'after');
  assert.deepEqual(crowd.closed(), [], 'nobody was disconnected');
});

test('Redis hangs for longer than every lease', { within_ms: 90_000 }, async (t) => {
  const { ring, crowd, before } = await settledCluster(t);
  ring.redis?.pause();
  await carryOn(crowd, 8_000, 'hung');
  ring.redis?.resume();
  await carryOn(crowd, 8_000, 'woken');
  assert.deepEqual(crowd.closed(), [], 'nobody was disconnected');
  const after = await ring.ring();
  assert.deepEqual(after.nodes.map((node) => node.id).sort(), ['n1', 'n2', 'n3'], 'nobody was reaped');
  assert.deepEqual(after.holders, before.holders);
});

test('rubbish in Redis is not believed', { within_ms: 90_000 }, async (t) => {
  const { ring, crowd, before } = await settledCluster(t);
  const keys = (await ring.redis?.command('KEYS', '*'))?.split('\n').filter(Boolean) ?? [];
  assert.ok(keys.length > 0);
  const forged = JSON.stringify({ nodes: [{ id: 'evil', url: 'ws://127.0.0.1:1/ws', peer: '127.0.0.1:1' }], version: 2 ** 50 });
  for (const key of keys) await ring.redis?.command('SET', key, forged);
  await carryOn(crowd, 5_000, 'forged');
  const { text } = await ring.askLookup('alice');
  assert.ok(!text.includes('127.0.0.1:1/'), text);
  assert.deepEqual((await ring.ring()).nodes.map((node) => node.id).sort(), before.nodes.map((node) => node.id).sort());
  assert.deepEqual(crowd.closed(), []);
  await ring.startNode({ id: 'n4' });
  await ring.untilSeen(['n1', 'n2', 'n3', 'n4']);
});
