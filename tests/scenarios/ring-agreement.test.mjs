/** What lookups answer, against an independent computation of the ring from `GET /ring`. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { BalancedRing, signatureOf } from '../harness/ring.mjs';
import { test } from '../harness/test.mjs';

const WEIGHTS = { n1: 100, n2: 250, n3: 50 };
const USERS = [...names(250), 'grüße', '用户一', ' ', 'a/b?c&d=e+f', 'x'.repeat(256), '😀'];

describe('the published ring', () => {
  /** @type {import('../harness/cluster.mjs').Cluster} */
  let ring;
  before(async () => {
    const nodes = Object.entries(WEIGHTS).map(([id, weight]) => ({ id, weight }));
    ring = await cluster({ nodes, lookups: 2, inOrder: true });
  });
  after(() => ring.stop());

  test('its placement and signature are those of the balanced policy', async () => {
    const document = await ring.ring();
    const computed = new BalancedRing(document.key);
    for (const [id, weight] of Object.entries(WEIGHTS)) computed.join(id, weight);
    assert.deepEqual(document.nodes.map(({ id, weight, state }) => [id, weight, state]), Object.entries(WEIGHTS).map((entry) => [...entry, 'active']));
    assert.deepEqual(document.nodes.map((node) => node.slots), computed.counts);
    assert.deepEqual(document.nodes.map((node) => document.slotsOf(node.id)), computed.counts);
    assert.equal(document.signature, computed.signature);
    assert.equal(document.signature, signatureOf(document.holders, document.key));
  });

  test('every lookup answers with the computed home, at every lookup service', async () => {
    const document = await ring.ring();
    for (const [i, user] of USERS.entries()) {
      const grant = await ring.lookup(user, { by: i % 2 });
      assert.equal(grant.node, document.home(user), user);
      assert.equal(grant.url, ring.node(grant.node).url);
      assert.deepEqual(grant.ring, { version: document.version, signature: document.signature });
    }
  });

  test('both lookup services publish the same ring', async () => {
    const [one, other] = [await ring.ring('default', 0), await ring.ring('default', 1)];
    assert.deepEqual(one, other);
  });

  test('avoid gives the next node clockwise, as computed', async () => {
    const document = await ring.ring();
    for (const user of USERS.slice(0, 60)) {
      const home = document.home(user);
      const second = document.home(user, [home]);
      assert.equal((await ring.lookup(user, { avoid: [home] })).node, second, user);
      assert.equal((await ring.lookup(user, { avoid: [home, second], by: 1 })).node, document.home(user, [home, second]), user);
      assert.equal((await ring.lookup(user, { avoid: ['n1', 'n2', 'n3'] })).node, home, 'an avoid that leaves no node is ignored');
      assert.equal((await ring.lookup(user, { avoid: ['no-such-node'] })).node, home);
    }
  });

  test('a node that joins takes its share, and no key moves between the others', async () => {
    const before = await ring.ring();
    await ring.startNode({ id: 'n4', weight: 100 });
    await ring.untilSeen(['n1', 'n2', 'n3', 'n4']);
    const after = await ring.ring();
    assert.ok(after.version > before.version);
    const wrong = before.holders.filter((index, slot) => index !== after.holders[slot] && after.nodeAt(slot).id !== 'n4');
    assert.equal(wrong.length, 0);
    assert.equal(after.slotsOf('n4'), Math.floor((65_536 * 100) / 500));
  });
});
