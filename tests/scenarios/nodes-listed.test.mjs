/** What an operator sees of the nodes through the API: how many sessions each has, how far a drain is, and which seem dead. */
import assert from 'node:assert/strict';
import { BackEnd } from '../harness/back-end.mjs';
import { cluster } from '../harness/cluster.mjs';
import { inWaves, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

test('each node with its sessions, while it drains too, and whether it seems dead', { within_ms: 90_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2, lease_ms: 3000 });
  t.after(() => ring.stop());
  const server = new BackEnd(ring);
  const listed = async (/** @type {number} */ by = 0) => new Map((await server.done('GET', '/nodes', undefined, by)).nodes.map((/** @type {any} */ node) => [node.id, node]));
  const sessions = await inWaves(names(60), (user) => ring.connect(user));
  const there = (/** @type {string} */ id) => sessions.filter((session) => session.node === id && !session.closed).length;
  for (const by of [0, 1])
    // A node that is too busy to answer within a second has no number.
    await until('all nodes tell', async () => {
      for (const [id, node] of await listed(by)) assert.deepEqual([node.sessions, node.state, node.suspected], [there(id), 'active', false], id);
      return true;
    });

  // These sessions do not move, so that what is left changes only as they end.
  const { status, json } = await server.ask('POST', '/nodes/n1/drain');
  assert.deepEqual([status, json.state, json.slots, json.sessions ?? there('n1')], [202, 'draining', 0, there('n1')]);
  const [first, ...others] = sessions.filter((session) => session.node === 'n1');
  await first.close();
  await until('one session less', async () => (await listed()).get('n1')?.sessions === others.length);
  await Promise.all(others.map((session) => session.close()));
  await until('it is gone', async () => !(await listed()).has('n1'), { within_ms: 20_000 });

  // While Redis is away nobody can be taken out.
  await ring.redis?.pause();
  await ring.kill(ring.node('n2'));
  for (const by of [0, 1])
    await until('it seems dead, and is not waited for', async () => {
      const { state, suspected, sessions } = (await listed(by)).get('n2');
      assert.deepEqual([state, suspected, sessions], ['active', true, undefined]);
      return true;
    });
  await ring.redis?.resume();
  await ring.untilSeen(['n3']);
});
