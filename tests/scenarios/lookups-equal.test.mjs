/** Lookup services are equal: one that dies, joins, or is paused and wakes up in another world changes no answer. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { test } from '../harness/test.mjs';

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
