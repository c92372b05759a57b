/** A node can be watched while it waits for Redis, and while it waits for its place in a new ring. */
import assert from 'node:assert/strict';
import { binary } from '../harness/binaries.mjs';
import { request } from '../harness/http.mjs';
import { freePort } from '../harness/ports.mjs';
import { Process } from '../harness/process.mjs';
import { Redis } from '../harness/redis.mjs';
import { registerSecret } from '../harness/secrets.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const SECRET = registerSecret('the cluster secret', 'a cluster secret of at least 32 bytes');

test('alive before it is ready', async (t) => {
  const [redisPort, adminPort] = [await freePort(), await freePort()];
  const redis = new Redis(redisPort);
  const args = ['--node-id', 'n1', '--redis', redis.url, '--redis-wait', '30s', '--admin-listen', `127.0.0.1:${adminPort}`];
  const node = new Process('ws-node', binary('ws-node'), args, { RINGDIAL_SECRET: SECRET });
  t.after(() => node.killNow());
  const ask = (/** @type {string} */ path) => request(`http://127.0.0.1:${adminPort}${path}`);
  const notReady = async () => {
    const { status, json } = await ask('/readyz');
    assert.deepEqual([status, json.reasons.map((/** @type {any} */ reason) => reason.code)], [503, ['not_registered']]);
  };

  await until('the admin listener', async () => (await ask('/livez')).status === 200);
  await notReady();
  const { text } = await ask('/metrics');
  assert.match(text, /^ringdial_store_reachable\{service="default",node="n1"\} 0$/m);
  assert.match(text, /^ringdial_connections_open\{node="n1",listener="clients"\} 0$/m);

  await redis.begin();
  t.after(() => redis.stop());
  // The first node of a service waits two leases, 6 s, for somebody who brings the ring back.
  await until('that the node has found Redis', async () => (await redis.command('CLIENT', 'LIST')).split('\n').length > 1);
  await notReady();
  assert.equal((await ask('/livez')).status, 200);
  assert.deepEqual(node.ready, []);

  await node.readyLine(() => true, 30_000);
  assert.deepEqual([(await ask('/readyz')).status, node.ready.length], [200, 1]);
  assert.match((await ask('/metrics')).text, /^ringdial_node_sessions\{node="n1"\} 0$/m);
  assert.equal((await node.stop()).code, 0);
});

test('a start that is interrupted ends with 0, and its admin listener with it', async (t) => {
  const adminPort = await freePort();
  const args = ['--node-id', 'n1', '--redis', `redis://127.0.0.1:${await freePort()}`, '--admin-listen', `127.0.0.1:${adminPort}`];
  const node = new Process('ws-node', binary('ws-node'), args, { RINGDIAL_SECRET: SECRET });
  t.after(() => node.killNow());
  await until('the admin listener', async () => (await request(`http://127.0.0.1:${adminPort}/livez`)).status === 200);
  assert.equal((await node.stop()).code, 0);
});
