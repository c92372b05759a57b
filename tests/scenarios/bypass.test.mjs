/** A node dies while Redis is away: nobody can take it out of the ring, so everybody reads the ring past it until Redis is back. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { metric } from '../harness/metrics.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const USERS = names(60);

test('the users of a node that died while Redis is away are at home at the next one', { within_ms: 120_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2 });
  t.after(() => ring.stop());
  const crowd = await new Crowd(ring).join(USERS);
  const document = await ring.ring();
  ring.redis?.pause();
  t.after(() => ring.redis?.resume());
  const left = ['n1', 'n3'].map((id) => ring.node(id));
  for (const node of left) await until(`${node.id} misses Redis`, async () => (await metric(node, 'ringdial_store_reachable')) === 0);

  const orphans = USERS.filter((user) => crowd.sessions.get(user)?.node === 'n2');
  assert.ok(orphans.length > 5 && orphans.every((user) => document.home(user) === 'n2'));
  await ring.kill(ring.node('n2'));
  await Promise.all(orphans.map(async (user) => {
    crowd.retire(user);
    const session = await until(`${user} is back`, () => crowd.connect(user), { within_ms: 20_000 });
    assert.notEqual(session.node, 'n2');
  }));
  await until('messages to them arrive', async () => (await crowd.send(USERS[0], orphans[0])).online > 0, { within_ms: 20_000, every_ms: 200 });
  await crowd.everyoneToEveryNode(3, 1);
  await crowd.settle();
  assert.ok((await ring.ring()).nodes.some(({ id }) => id === 'n2'), 'it is still in the ring');

  ring.redis?.resume();
  await ring.untilSeen(['n1', 'n3']);
  await ring.untilAgreed();
  await crowd.everyoneToEveryNode(3, 1);
  await crowd.settle();
  assert.deepEqual(crowd.closed().filter((closed) => !orphans.includes(closed.split(':')[0])), [], 'nobody else was disconnected');
});
