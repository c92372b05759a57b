/** Two services share one Redis, one lookup service, node ids and user ids - and never each other's nodes. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';

const SERVICES = ['dc', 'wecheck'];

describe('two services on one Redis', () => {
  /** @type {import('../harness/cluster.mjs').Cluster} */
  let ring;
  before(async () => {
    const nodes = SERVICES.flatMap((service) => ['n1', 'n2'].map((id) => ({ id, service })));
    ring = await cluster({ nodes, lookups: 2, services: SERVICES });
  });
  after(() => ring.stop());

  test('a lookup in one never answers with a node of the other', async () => {
    for (const service of SERVICES) {
      const own = ring.nodes.filter((node) => node.service === service).map((node) => node.url);
      for (const [i, user] of names(100).entries()) {
        const avoid = i % 3 === 0 ? ['n1'] : [];
        const grant = await ring.lookup(user, { service, by: i % 2, avoid });
        assert.equal(grant.service, service);
        assert.ok(own.includes(grant.url), `${user} of ${service} was sent to ${grant.url}`);
      }
    }
  });

  test('each has a ring of its own', async () => {
    const [dc, wecheck] = await Promise.all(SERVICES.map((service) => ring.ring(service)));
    assert.notDeepEqual(dc.nodes.map((node) => node.url), wecheck.nodes.map((node) => node.url));
    assert.notDeepEqual(dc.key, wecheck.key);
  });

  test('a message stays in its service, even for the same user id', async () => {
    const [inDc, inWecheck, sender] = await Promise.all([
      ring.connect('alice', { service: 'dc' }),
      ring.connect('alice', { service: 'wecheck' }),
      ring.connect('bob', { service: 'dc' }),
    ]);
    await sender.send({ user: 'alice' }, 'for dc');
    await inDc.until('the message', () => inDc.inbox.length === 1);
    await inWecheck.send({ user: 'alice' }, 'for wecheck');
    await inWecheck.until('its own message', () => inWecheck.inbox.length > 0);
    assert.deepEqual(inWecheck.inbox.map((message) => message.data), ['for wecheck']);
    assert.deepEqual(inDc.inbox.map((message) => message.data), ['for dc']);
  });

  test('one service dies, the other does not notice', { within_ms: 60_000 }, async () => {
    const before = await ring.ring('wecheck');
    const witness = await ring.connect('witness', { service: 'wecheck' });
    for (const node of ring.nodes.filter((node) => node.service === 'dc')) await ring.kill(node);
    await ring.untilSeen(['n1', 'n2'], 'wecheck');
    const answer = await ring.askLookup('alice', { service: 'dc', avoid: ['n1'] });
    assert.ok(![...ring.nodes].some((node) => node.service === 'wecheck' && answer.text.includes(node.url)), answer.text);
    await witness.send({ user: 'witness' }, 'still here');
    assert.deepEqual((await ring.ring('wecheck')).version, before.version);
    assert.equal(witness.closed, undefined);
  });
});
