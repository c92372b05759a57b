/** The end of processes: a lookup service and the embedded default at once, nodes when nobody waits for them, all on a second signal. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { metric } from '../harness/metrics.mjs';
import { test } from '../harness/test.mjs';
import { until, within } from '../harness/until.mjs';

const DRAINING = 4002;
/** A drain would take 30 s. */
const SOON_MS = 15_000;

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

for (const [signal, code] of /** @type {const} */ ([['SIGTERM', 143], ['SIGINT', 130]])) {
  test(`a second ${signal} ends a node that drains at once`, { within_ms: 60_000 }, async (t) => {
    const ring = await cluster({ nodes: 2 });
    t.after(() => ring.abandon());
    await new Crowd(ring).join(names(20));
    const { process } = ring.node('n1');
    process.signal(signal);
    await until('the drain begins', async () => (await metric(ring.node('n1'), 'ringdial_draining')) === 1);
    assert.ok(process.running);
    process.signal(signal);
    assert.deepEqual(await within('its exit', process.exited, SOON_MS), { code, signal: null });
  });
}

test('the last node does not wait for clients that have nowhere to go', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: 1 });
  t.after(() => ring.abandon());
  const session = await ring.connect('alice');
  const { process } = ring.node('n1');
  process.signal('SIGTERM');
  assert.equal((await session.closing(SOON_MS)).code, DRAINING);
  assert.deepEqual(await within('its exit', process.exited, SOON_MS), { code: 0, signal: null });
});

test('nodes that are all told to end do not wait for each other', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: 3 });
  t.after(() => ring.abandon());
  const crowd = await new Crowd(ring).join(names(30));
  const ends = await Promise.all(ring.nodes.map(({ process }) => process.stop('SIGTERM', SOON_MS)));
  assert.deepEqual(ends.map(({ code }) => code), [0, 0, 0]);
  for (const session of crowd.sessions.values()) assert.equal((await session.closing()).code, DRAINING);
});
