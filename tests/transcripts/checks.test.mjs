/** The checks of transcripts find what is wrong: a field that is missing, other, or nowhere described; a frame too few or too many. */
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { faultOfAnswer } from './openapi.mjs';
import { play } from './player.mjs';
import { faultOfNode } from './schemas.mjs';
import { filled, mismatch } from './template.mjs';
import { faults, transcripts } from './transcript.mjs';

/** @typedef {import('./transcript.mjs').Step} Step */

const found = transcripts().find(({ name }) => name === '01-first-connection');
assert.ok(found);
const first = found;

/** The first transcript, altered. @param {(steps: Step[]) => void} alter */
function altered(alter) {
  const copy = structuredClone(first);
  alter(copy.steps);
  return copy;
}
/** @param {Step[]} steps @param {(step: Step) => unknown} wanted */
const index = (steps, wanted) => {
  const at = steps.findIndex(wanted);
  assert.ok(at >= 0);
  return at;
};
const isMessage = (/** @type {Step} */ step) => step.frame?.op === 'message';
const isAck = (/** @type {Step} */ step) => step.frame?.op === 'ack';
const without = (/** @type {(step: Step) => unknown} */ wanted) => altered((steps) => steps.splice(index(steps, wanted), 1));
const changed = (/** @type {(step: Step) => unknown} */ wanted, /** @type {object} */ fields) => altered((steps) => Object.assign(steps[index(steps, wanted)].frame, fields));

test('what is heard is compared field by field', () => {
  const world = () => ({ known: new Map(), examples: new Map(Object.entries({ epoch: 'abc', time: 1, origin: 'n1.5', counter: 7 })), differs: new Set(['time']) });
  const told = { op: 'x', epoch: '<epoch>', again: '<epoch>', id: '<origin>-<counter>', times: ['<time>', '<time>'], data: { '<epoch>': 1 } };
  const heard = { op: 'x', epoch: 'e', again: 'e', id: 'n1.2-3', times: [1, 2], data: { e: 1 } };
  const learning = world();
  assert.equal(mismatch(told, heard, learning), undefined);
  assert.deepEqual([...learning.known], [['epoch', 'e'], ['origin', 'n1.2'], ['counter', 3]]);
  assert.deepEqual(filled(told.id, learning.known), heard.id);
  const wrong = { again: 'f', op: 'y', epoch: 7, id: 'n1.2', times: [1], data: { e: 1, more: 2 }, extra: 1 };
  for (const [name, value] of Object.entries(wrong)) {
    const fresh = world();
    assert.ok(mismatch(told, { ...heard, [name]: value }, fresh), name);
    assert.equal(fresh.known.size, 0, 'nothing is learnt from what does not fit');
  }
  const { epoch, ...less } = heard;
  assert.match(mismatch(told, less, world()) ?? '', /epoch is missing/);
});

test('a frame that no document describes is found', () => {
  assert.equal(faultOfNode({ op: 'removed', topic: 'g:x' }), undefined);
  for (const frame of [{ op: 'removed', topic: 'g:x', why: 1 }, { op: 'removed' }, { op: 'removed', topic: 'x' }, { op: 'gone' }, { op: 'ack', ref: 1, online: 'many' }, undefined]) assert.ok(faultOfNode(frame), JSON.stringify(frame));
});

test('an answer that is not promised is found', () => {
  const asked = { method: 'GET', path: '/v1/users/bob?service=default' };
  const user = { user: 'bob', online: true, sessions: 1, settling: false };
  assert.equal(faultOfAnswer(asked, 200, user), undefined);
  for (const [request, status, body] of /** @type {[any, number, any][]} */ ([[asked, 200, { ...user, online: 1 }], [asked, 418, undefined], [{ ...asked, path: '/v2' }, 200, user], [asked, 404, { ...user }], [{ method: 'PUT', path: '/lookup' }, 200, undefined]]))
    assert.ok(faultOfAnswer(request, status, body), `${status} ${JSON.stringify(body)}`);
});

test('a transcript that is not sound is found without playing it', () => {
  assert.deepEqual(faults(first), []);
  const wrong = {
    'a field of another type': changed(isMessage, { time: 'now' }),
    'a field that is not described': changed(isMessage, { seen: true }),
    'a field too few': changed(isMessage, { from: undefined }),
    'an answer too few': without(isAck),
    'an answer to nothing': without((step) => step.frame?.op === 'online' || step.frame?.op === 'send'),
    'a placeholder without an example': changed(isMessage, { from: '<who>' }),
    "a client's frame": changed((step) => step.frame?.op === 'send', { to: { user: 'alice', group: 'films' } }),
  };
  for (const [what, transcript] of Object.entries(wrong)) assert.notDeepEqual(faults(JSON.parse(JSON.stringify(transcript))), [], what);
});

describe('a transcript that the programs do not follow is found', () => {
  const cases = {
    'a field that does not come': [changed((step) => step.frame?.op === 'welcome', { colour: 'red' }), /welcome\.colour is missing/],
    'a frame that is not in it': [without((step) => step.frame?.op === 'welcome'), /hears more|welcome/],
    'another status': [altered((steps) => Object.assign(steps[index(steps, (step) => step.response)], { response: { status: 404 } })), /200, not 404/],
    'another value': [changed(isMessage, { data: { text: 'good bye' } }), /message\.data\.text/],
  };
  for (const [what, [transcript, fault]] of Object.entries(cases))
    test(what, async (t) => {
      const ring = await cluster({ store: 'embedded', nodes: 1 });
      t.after(() => ring.stop());
      await assert.rejects(play(ring, /** @type {any} */ (transcript)), /** @type {RegExp} */ (fault));
    });
});
