/** Secrets given as flags, and ids without tokens: the other ways to configure a cluster work and are as discreet. */
import assert from 'node:assert/strict';
import { binary } from '../harness/binaries.mjs';
import { request } from '../harness/http.mjs';
import { makeJwt } from '../harness/jwt.mjs';
import { Process } from '../harness/process.mjs';
import { Redis } from '../harness/redis.mjs';
import { assertNoSecretsIn, registerSecret } from '../harness/secrets.mjs';
import { Session } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const SECRET = registerSecret('the cluster secret', 'flag-cluster-secret-of-at-least-32-bytes');
const JWT_SECRET = registerSecret("the application's secret", 'flag-application-secret-32-bytes-or-more');

/** A lookup service and a node, all by flags. @param {import('node:test').TestContext} t @param {string[]} callers */
async function start(t, callers) {
  const redis = await Redis.start();
  const common = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--redis', redis.url, '--secret', SECRET];
  const lookup = new Process('lookup-service', binary('lookup-service'), [...common, ...callers]);
  const node = new Process('ws-node', binary('ws-node'), [...common, '--node-id', 'n1', '--peer-listen', '127.0.0.1:0']);
  t.after(async () => {
    await Promise.all([lookup.stop(), node.stop()]);
    await redis.stop();
    assertNoSecretsIn([lookup, node]);
  });
  await node.readyLine();
  return { lookup, node, url: (await lookup.readyLine()).url };
}

test('secrets by flags', async (t) => {
  const { url } = await start(t, ['--jwt-secret', JWT_SECRET]);
  const headers = { authorization: `Bearer ${makeJwt({ sub: 'alice' }, JWT_SECRET)}` };
  const answer = await until('a good lookup', async () => {
    const answer = await request(`${url}/lookup`, { headers });
    return answer.status === 200 && answer;
  });
  const session = await Session.open(answer.json);
  assert.equal(session.welcome?.user, 'alice');
  await session.close();
});

test('--insecure-ids: ids without tokens, said loudly', async (t) => {
  const { url, lookup } = await start(t, ['--insecure-ids']);
  assert.match(lookup.stderr, /insecure/i);
  const answer = await until('a good lookup', async () => {
    const answer = await request(`${url}/lookup?id=alice`);
    return answer.status === 200 && answer;
  });
  const session = await Session.open(answer.json);
  assert.equal(session.welcome?.user, 'alice');
  await session.close();
  assert.equal((await request(`${url}/lookup`)).status, 400, 'an id is still needed');
});
