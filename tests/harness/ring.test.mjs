/** The harness's own ring against the published vectors: a test that checks others must be right itself. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { BalancedRing, RingDocument, SLOTS, hex, pointOf, userSlot } from './ring.mjs';

const KEY = Uint8Array.from({ length: 16 }, (_, i) => i);

test('SipHash-1-3 gives the published points', () => {
  const vectors = { '': 'abac0158050fc4dc', a: '1c2697ab786a6237', 'user:42': 'a534dcf0b23f4f2d', 'grüße': 'ce4d004aac5d1f14', 用户一: '7c769e33991466f2' };
  for (const [text, point] of Object.entries(vectors)) assert.equal(hex(pointOf(KEY, text)), point, text);
});

test('the balanced policy gives the published slot counts and signatures', () => {
  const ring = new BalancedRing(KEY);
  /** @type {[() => unknown, number[], string][]} */
  const steps = [
    [() => ring.join('ws-a', 100), [65536], '9b30606c56256919'],
    [() => ring.join('ws-b', 100), [32768, 32768], 'a229e75f3c8e1946'],
    [() => ring.join('ws-c', 200), [16384, 16384, 32768], '0081f46e5aa44fef'],
    [() => ring.join('ws-d', 50), [14563, 14564, 29128, 7281], '02274c29fb7acb5d'],
    [() => ring.leave('ws-b'), [18725, 0, 37449, 9362], '3e26241777c927e3'],
    [() => ring.join('ws-e', 100), [14563, 0, 29128, 7282, 14563], '57057abe42ab3981'],
    [() => ring.join('ws-b', 100), [11915, 11915, 23832, 5958, 11916], 'a22ef7b047e1a1d3'],
  ];
  for (const [step, counts, signature] of steps) {
    step();
    assert.deepEqual(ring.counts, counts);
    assert.equal(ring.signature, signature);
  }
});

test('a document gives homes, and clockwise neighbours for avoid', () => {
  const slot = userSlot(KEY, 'alice');
  const node = (index, id) => ({ index, id, url: '', weight: 100, state: 'active', slots: 0 });
  const document = new RingDocument({
    version: 1, signature: '', ring_key: Buffer.from(KEY).toString('hex'),
    nodes: [node(0, 'a'), node(3, 'b')],
    holders: [[3, slot], [0, 1], [3, SLOTS - slot - 1]],
  });
  assert.equal(document.home('alice'), 'a');
  assert.equal(document.home('alice', ['a']), 'b');
  assert.equal(document.home('alice', ['a', 'b']), 'a', 'an avoid that leaves no node is ignored');
  assert.equal(document.slotsOf('b'), SLOTS - 1);
  assert.throws(() => new RingDocument({ ring_key: '00'.repeat(16), nodes: [], holders: [[0, 5]] }), /cover 5 slots/);
});
