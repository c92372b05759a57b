/** The links on which lookup services reach nodes: with TLS, and while they cannot be had. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { BackEnd } from '../harness/back-end.mjs';
import { cluster } from '../harness/cluster.mjs';
import { request } from '../harness/http.mjs';
import { metric } from '../harness/metrics.mjs';
import { test } from '../harness/test.mjs';
import { makeAuthority } from '../harness/tls.mjs';
import { until } from '../harness/until.mjs';

/** @param {import('../harness/cluster.mjs').Lookup} lookup */
const linksOf = (lookup) => metric(lookup, 'ringdial_peer_links_open');
/** @param {import('../harness/cluster.mjs').Lookup} lookup */
const readiness = async (lookup) => (await request(`http://${lookup.admin}/readyz`)).status;

test('links with TLS, and none with an authority that is unknown', { within_ms: 90_000 }, async (t) => {
  const [authority, stranger] = [makeAuthority(), makeAuthority()];
  const ca = (/** @type {{ directory: string }} */ { directory }) => ['--peer-tls-ca', path.join(directory, 'ca.pem')];
  const ring = await cluster({ nodes: 2, lookups: 0, flags: { node: ['--peer-tls-cert', authority.cert, '--peer-tls-key', authority.key, ...ca(authority)] } });
  t.after(async () => {
    await ring.stop();
    for (const { remove } of [authority, stranger]) remove();
  });
  const [good, bad] = [await ring.startLookup(ca(authority)), await ring.startLookup(ca(stranger))];
  await ring.untilSeen(['n1', 'n2']);
  const server = new BackEnd(ring);
  const session = await ring.connect('alice');
  assert.equal((await server.done('POST', '/messages', { to: { user: 'alice' }, data: 1 }, 0)).online, 1);
  await session.until('the message', () => session.inbox.length === 1);
  assert.equal(await linksOf(good), 2);
  // Lookups do without links, and so does the process' readiness.
  assert.equal(await readiness(bad), 200);
  assert.ok((await ring.lookup('bob', { by: 1 })).url);
  const begun = Date.now();
  const answer = await server.ask('POST', '/messages', { to: { user: 'alice' }, data: 2 }, 1);
  assert.deepEqual([answer.status, answer.json.code, answer.json.temporary], [503, 'unavailable', true]);
  assert.ok(Date.now() - begun < 8_000, `after ${Date.now() - begun} ms`);
  assert.equal(await linksOf(bad), 0);
  assert.ok((await metric(bad, 'ringdial_peer_dial_failures_total')) > 0);
});

test('a message that comes before the link waits for it', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: [{ id: 'n1', proxied: true }] });
  t.after(() => ring.stop());
  const server = new BackEnd(ring);
  const session = await ring.connect('alice');
  await server.done('POST', '/messages', { to: { user: 'alice' }, data: 1 });
  const { proxy } = ring.node('n1');
  proxy?.cut();
  const waiting = server.done('POST', '/messages', { to: { user: 'alice' }, data: 2 });
  const question = server.done('GET', '/users/alice');
  await until('the link is gone', async () => (await linksOf(ring.lookups[0])) === 0);
  proxy?.mend();
  assert.equal((await waiting).offset, 2);
  assert.equal((await question).sessions, 1);
  await session.until('both', () => session.inbox.length === 2);
  assert.deepEqual(session.inbox.map((message) => message.data), [1, 2]);
});
