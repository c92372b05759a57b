/** The cluster secret is replaced without an interruption: first all accept the new one, then all sign with it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { registerSecret } from '../harness/secrets.mjs';
import { test } from '../harness/test.mjs';

test('old and new processes understand each other while the secret is replaced', { within_ms: 90_000 }, async (t) => {
  const next = registerSecret('the next cluster secret', randomBytes(24).toString('hex'));
  const accept = (/** @type {string} */ secret) => ({ node: ['--previous-secrets', secret], lookup: ['--previous-secrets', secret] });
  const ring = await cluster({ nodes: 2, lookups: 1, flags: accept(next) });
  t.after(() => ring.stop());
  const crowd = await new Crowd(ring).join(names(20, 'before-'));

  const first = ring.secret;
  ring.secret = next;
  ring.options.flags = accept(first);
  await ring.startNode({ id: 'n3' });
  await ring.startLookup();
  await ring.untilSeen(['n1', 'n2', 'n3']);
  await crowd.join(names(40, 'after-'));
  const used = new Set([...crowd.sessions.values()].map((session) => session.node));
  assert.equal(used.size, 3);
  await crowd.everyoneToEveryNode(3, 1);
  await crowd.settle();
});

test('a process with another secret is not believed', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: 2 });
  t.after(() => ring.stop());
  const before = await ring.ring();
  const rightful = ring.secret;
  ring.secret = registerSecret('a stranger\'s secret', randomBytes(24).toString('hex'));
  // Whether it refuses to start or starts alone is its own affair.
  await ring.startNode({ id: 'stranger' }).catch(() => undefined);
  ring.secret = rightful;
  const crowd = await new Crowd(ring).join(names(20));
  await crowd.everyoneToEveryNode(2, 1);
  await crowd.settle();
  const after = await ring.ring();
  assert.deepEqual(after.nodes.map((node) => node.id), before.nodes.map((node) => node.id));
  assert.deepEqual(after.holders, before.holders);
});
