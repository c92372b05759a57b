/** The checker finds each planted fault, and nothing where nothing is wrong. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Checker } from './checker.mjs';

/** Two messages from ann to bob, whose two sessions are receivers, delivered as `plan` says. */
function outcome(plan) {
  const checker = new Checker();
  checker.addReceiver('bob/1', 'bob');
  checker.addReceiver('bob/2', 'bob');
  checker.addReceiver('eve', 'eve');
  const sent = [checker.message('ann', 'bob', 'x'), checker.message('ann', 'bob', 'y')];
  for (const payload of sent) checker.acknowledged(payload);
  for (const [receiver, payload, changes] of plan(sent)) {
    checker.deliver(receiver, { from: 'ann', topic: 'u:bob', data: payload, ...changes });
  }
  return checker.findings().map(({ kind, receiver }) => `${kind} ${receiver}`);
}

const good = ([a, b]) => [['bob/1', a], ['bob/2', a], ['bob/1', b], ['bob/2', b]];

test('nothing is found when all is well', () => assert.deepEqual(outcome(good), []));

test('a loss at one of two sessions is found', () => {
  assert.deepEqual(outcome((sent) => good(sent).slice(0, 3)), ['lost bob/2']);
});

test('a duplicate is found', () => {
  assert.deepEqual(outcome((sent) => [...good(sent), ['bob/1', sent[1]]]), ['duplicate bob/1']);
});

test('a misdelivery is found', () => {
  assert.deepEqual(outcome((sent) => [...good(sent), ['eve', sent[0]]]), ['misdelivered eve']);
});

test('disorder is found', () => {
  assert.deepEqual(outcome(([a, b]) => [['bob/1', b], ['bob/1', a], ['bob/2', a], ['bob/2', b]]), ['disordered bob/1']);
});

test('an altered text, sender or topic is found', () => {
  const altered = (/** @type {object} */ changes, /** @type {object} */ data = {}) =>
    outcome((sent) => [...good(sent).slice(0, 3), ['bob/2', { ...sent[1], ...data }, changes]]);
  assert.deepEqual(altered({}, { text: 'z' }), ['altered bob/2']);
  assert.deepEqual(altered({ from: 'eve' }), ['altered bob/2']);
  assert.deepEqual(altered({ topic: 'u:eve' }), ['altered bob/2']);
});

test('an invented message is found', () => {
  const invented = (/** @type {unknown} */ data) => outcome((sent) => [...good(sent), ['bob/1', data]]);
  assert.deepEqual(invented({ from: 'ann', to: 'bob', seq: 9, text: '' }), ['invented bob/1']);
  assert.deepEqual(invented('hello'), ['invented bob/1']);
  assert.deepEqual(invented(null), ['invented bob/1']);
});

test('an unacknowledged message may be lost, but not duplicated', () => {
  const checker = new Checker();
  checker.addReceiver('bob/1', 'bob');
  const payload = checker.message('ann', 'bob');
  checker.assertClean();
  checker.deliver('bob/1', { from: 'ann', topic: 'u:bob', data: payload });
  checker.deliver('bob/1', { from: 'ann', topic: 'u:bob', data: payload });
  assert.throws(() => checker.assertClean(), /1 duplicate \(of 1 sent, 2 received\)/);
});

test('a retired receiver misses nothing, but what it got twice stays a fault', () => {
  const checker = new Checker();
  checker.addReceiver('bob/1', 'bob');
  const [first, second] = [checker.message('ann', 'bob'), checker.message('ann', 'bob')];
  for (const payload of [first, first]) checker.deliver('bob/1', { from: 'ann', topic: 'u:bob', data: payload });
  checker.retire('bob/1');
  checker.acknowledged(second);
  assert.deepEqual(checker.findings().map(({ kind }) => kind), ['duplicate']);
});
