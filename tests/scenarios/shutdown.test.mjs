/** SIGTERM: a node leaves the ring, closes its sessions with 4002, and exits 0; a lookup service just ends. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';
import { until, within } from '../harness/until.mjs';

const DRAINING = 4002;

test('a node that gets SIGTERM leaves, closes with 4002 and exits 0', { within_ms: 90_000 }, async (t) => {
  const ring = await cluster({ nodes: 3 });
  t.after(() => ring.stop());
  const crowd = await new Crowd(ring).join(names(60));
  const leaving = ring.node('n1');
  const theirs = names(60).filter((user) => crowd.sessions.get(user)?.node === 'n1');
  assert.ok(theirs.length > 0);
  leaving.process.signal('SIGTERM');
  for (const user of theirs) assert.equal((await crowd.sessions.get(user)?.closing(15_000))?.code, DRAINING);
  assert.deepEqual(await within('its exit', leaving.process.exited, 15_000), { code: 0, signal: null });

  assert.deepEqual(crowd.closed().length, theirs.length, 'sessions elsewhere see nothing');
  await ring.untilSeen(['n2', 'n3']);
  for (const user of theirs) {
    const session = await until(`${user} is back`, () => ring.connect(user));
    assert.notEqual(session.node, 'n1');
  }
});

test('everything ends in an orderly way on SIGTERM and on SIGINT', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: 2, lookups: 2 });
  t.after(() => ring.abandon());
  const parts = [...ring.lookups, ...ring.nodes];
  const ends = await Promise.all(parts.map((part, i) => part.process.stop(i % 2 ? 'SIGINT' : 'SIGTERM', 20_000)));
  for (const [i, end] of ends.entries()) assert.deepEqual(end, { code: 0, signal: null }, parts[i].process.name);
});

test('the embedded default ends on SIGTERM, its sessions with 4002', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ store: 'embedded', nodes: 3 });
  t.after(() => ring.abandon());
  const crowd = await new Crowd(ring).join(names(12));
  const { process } = ring.lookups[0];
  process.signal('SIGTERM');
  for (const session of crowd.sessions.values()) assert.equal((await session.closing(40_000)).code, DRAINING);
  assert.deepEqual(await within('its exit', process.exited, 10_000), { code: 0, signal: null });
});
