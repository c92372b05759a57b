/** https lookups and wss connections, with a private certificate authority made for the occasion. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { request } from '../harness/http.mjs';
import { RawConnection } from '../harness/raw.mjs';
import { Session } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';
import { makeAuthority } from '../harness/tls.mjs';

const authority = makeAuthority();
/** @type {import('../harness/cluster.mjs').Cluster} */
let ring;
before(async () => (ring = await cluster({ nodes: 2, tls: authority })));
after(async () => {
  await ring.stop();
  authority.remove();
});

test('both steps over TLS, messages across nodes', async () => {
  assert.match(ring.lookups[0].url, /^https:/);
  for (const node of ring.nodes) assert.match(node.url, /^wss:/);
  const crowd = await new Crowd(ring).join(names(20));
  await crowd.everyoneToEveryNode(3, 2);
  await crowd.settle();
});

test('a client that does not trust the authority refuses', async () => {
  await assert.rejects(request(`${ring.lookups[0].url}/ring`), /certificate|signature/);
  const session = new Session(await ring.lookup('alice'));
  assert.equal((await session.closing()).code, 1006);
  assert.match(String(session.failure), /certificate|signature/);
});

test('a connection that says nothing or no TLS does not hold the port', { within_ms: 60_000 }, async () => {
  const silent = await Promise.all(Array.from({ length: 100 }, () => RawConnection.to(ring.nodes[0].url)));
  const plain = await RawConnection.to(ring.nodes[0].url);
  plain.write('GET /ws HTTP/1.1\r\nHost: x\r\n\r\n');
  const session = await ring.connect('alice');
  await session.send({ user: 'alice' }, 1);
  for (const connection of [plain, ...silent]) await connection.until('the end', () => connection.closed, 30_000);
  assert.equal(session.closed, undefined);
});
