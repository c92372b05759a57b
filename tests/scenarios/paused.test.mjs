/** Processes that stop for a while and wake up in another world: a paused node, a paused lookup service. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

test('a node that is paused for longer than its lease comes back, and everybody reaches everybody', { within_ms: 120_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2 });
  t.after(() => ring.stop());
  const before = await ring.ring();
  const sleeper = ring.node('n2');
  sleeper.process.signal('SIGSTOP');
  t.after(() => sleeper.process.signal('SIGCONT'));
  await ring.untilSeen(['n1', 'n3'], 'default', 30_000);
  const meanwhile = new Crowd(ring);
  await until('users of the paused node are served elsewhere', () => meanwhile.join(names(30, 'meanwhile-')), { within_ms: 20_000 });
  await meanwhile.everyoneToEveryNode(2, 1);
  await meanwhile.settle();

  sleeper.process.signal('SIGCONT');
  await ring.untilSeen(['n1', 'n2', 'n3'], 'default', 30_000);
  const after = await ring.ring();
  assert.ok(after.version > before.version);
  assert.ok(sleeper.process.running);
  const crowd = await new Crowd(ring).join(names(30, 'after-'));
  assert.ok([...crowd.sessions.values()].some((session) => session.node === 'n2'), 'it serves users again');
  await crowd.everyoneToEveryNode(2, 1);
  await crowd.settle();
  // Those who came while it slept sit away from their homes now; everybody reaches them.
  for (const from of names(10, 'meanwhile-')) for (const to of names(10, 'meanwhile-')) await meanwhile.send(from, to);
  await meanwhile.settle();
  assert.deepEqual(meanwhile.closed(), []);
});

test('lookup services are equal: one dies, one joins, one wakes up, answers stay the same', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: 2, lookups: 3 });
  t.after(() => ring.stop());
  const [first, second] = ring.lookups;
  await ring.kill(first);
  second.process.signal('SIGSTOP');
  t.after(() => second.process.signal('SIGCONT'));
  ring.lookups = ring.lookups.slice(2);
  await ring.startLookup();
  await ring.startNode({ id: 'n3' });
  await ring.untilSeen(['n1', 'n2', 'n3']);
  second.process.signal('SIGCONT');
  ring.lookups.push(second);
  await ring.untilSeen(['n1', 'n2', 'n3']);
  const documents = await Promise.all([0, 1, 2].map((by) => ring.ring('default', by)));
  for (const document of documents) assert.deepEqual(document, documents[0]);
});
