/** Logs at their most talkative: no secret, no token, no ticket, whichever way they come in and whatever is wrong with them. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { request } from '../harness/http.mjs';
import { makeJwt, tamperedJwt } from '../harness/jwt.mjs';
import { registerToken } from '../harness/secrets.mjs';
import { Session } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';

test('nothing secret is logged, at trace level either', async () => {
  const ring = await cluster({ nodes: 2, log_level: 'trace' });
  const crowd = new Crowd(ring);
  for (const ticketBy of /** @type {const} */ (['protocol', 'header', 'query'])) await crowd.join(names(6, ticketBy), { ticketBy });
  await crowd.everyoneToEveryNode(1, 1);
  await crowd.settle();

  const grant = await ring.lookup('alice');
  for (const ticketBy of /** @type {const} */ (['protocol', 'header', 'query'])) {
    const ticket = registerToken(tamperedJwt(grant.ticket, { sub: 'mallory' }));
    await new Session({ ...grant, ticket, protocols: ['ringdial.v1', `ticket.${ticket}`] }, { ticketBy }).closing();
  }
  const url = ring.lookups[0].url;
  const forged = registerToken(makeJwt({ sub: 'alice' }, 'another secret of thirty-two bytes!!'));
  for (const headers of [{ authorization: `Bearer ${forged}` }, { authorization: `Basic ${forged}` }, { cookie: `token=${forged}` }]) await request(`${url}/lookup`, { headers });
  await request(`${url}/lookup?token=${forged}`);
  await request(`${url}/lookup`, { method: 'POST', body: { token: forged } });
  await request(`${ring.nodes[0].url.replace('ws:', 'http:')}?ticket=${forged}`);

  const logged = [...ring.nodes, ...ring.lookups].map((part) => part.process.stderr.length);
  assert.ok(Math.min(...logged) > 0, 'there are logs to search');
  await ring.stop();
});
