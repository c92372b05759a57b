/** The embedded default: the same crowd through `ringdial`, one process without Redis. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';

describe('the embedded default', () => {
  /** @type {import('../harness/cluster.mjs').Cluster} */
  let ring;
  before(async () => (ring = await cluster({ store: 'embedded', nodes: 3 })));
  after(() => ring.stop());

  test('300 users each reach users on every node, each message once', { within_ms: 120_000 }, async () => {
    const crowd = await new Crowd(ring).join(names(300));
    const nodes = new Set([...crowd.sessions.values()].map((session) => session.node));
    assert.equal(nodes.size, 3);
    const sent = await crowd.everyoneToEveryNode(5, 3);
    await crowd.settle();
    assert.equal(crowd.checker.received, sent);
    assert.deepEqual(crowd.closed(), []);
  });

  test('lookups agree with the published ring', async () => {
    const document = await ring.ring();
    for (const user of names(200, 'embedded-')) assert.equal((await ring.lookup(user)).node, document.home(user), user);
  });
});
