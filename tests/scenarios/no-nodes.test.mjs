/** A lookup service without nodes, and what happens when one comes. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

test('a ring with no nodes: 503 with Retry-After, and 200 once a node is there', async (t) => {
  const ring = await cluster({ nodes: 0 });
  t.after(() => ring.stop());
  const answer = await ring.askLookup('alice');
  assert.equal(answer.status, 503, answer.text);
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
  assert.ok(Number(answer.headers['retry-after']) >= 1);
  assert.equal(answer.json.temporary, true);
  await ring.startNode({ id: 'first' });
  await until('lookups answer', async () => (await ring.askLookup('alice')).status === 200);
  assert.equal((await ring.connect('alice')).node, 'first');
});
