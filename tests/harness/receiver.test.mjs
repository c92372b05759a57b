/** What a client may be told about gaps and epochs, and what is a fault: without a cluster, frame by frame. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Repeats } from './repeats.mjs';
import { TopicChecker } from './topic-checker.mjs';

const [ONE, TWO] = ['00000000000000a1', '00000000000000b2'];
const TOPIC = 'u:bob';

/** A checker with bob connected at offset 0, and what a test does to him. */
function world() {
  const checker = new TopicChecker();
  const bob = checker.receiver('bob', 'bob');
  const connect = (/** @type {object} */ entry = { epoch: ONE, offset: 0, recovered: true }) => {
    const line = bob.line();
    line.welcome({ topics: { [TOPIC]: entry } });
    return line;
  };
  /** A message that is acknowledged there. */
  const store = (/** @type {number} */ offset, epoch = ONE) => {
    const data = checker.message('ann', { user: 'bob' });
    checker.acknowledged(data.n, { epoch, offset });
    return { op: 'message', topic: TOPIC, epoch, offset, from: 'ann', data, time: 1 };
  };
  const found = () => Object.entries(checker.counts()).filter(([, count]) => count > 0).map(([kind, count]) => `${count} ${kind}`).join(', ');
  return { checker, bob, connect, store, found };
}

test('a client that resumes gets what it missed, and no more', () => {
  const { bob, connect, store, found } = world();
  const [a, b, c] = [store(1), store(2), store(3)];
  const line = connect();
  line.message(a);
  line.close();
  assert.deepEqual(bob.resume(), { [TOPIC]: { epoch: ONE, offset: 1 } });
  assert.equal(found(), '2 lost');
  const next = connect({ epoch: ONE, offset: 3, recovered: true });
  for (const frame of [b, c]) next.message(frame);
  assert.equal(found(), '');
  next.message(c);
  assert.equal(found(), '1 repeated');
});

test('two connections that overlap may bring the same, one alone may not', () => {
  const { connect, store, found, checker } = world();
  const [old, fresh] = [connect(), connect()];
  const [a, b] = [store(1), store(2)];
  for (const frame of [a, b]) old.message(frame), fresh.message(frame);
  assert.deepEqual([found(), checker.overlapped], ['', 2]);
  fresh.message(b);
  assert.equal(found(), '1 repeated');
});

test('what was trimmed is no loss if it is told, exactly', () => {
  for (const [after, before, expected] of [[1, 4, ''], [0, 4, '1 unexpected'], [1, 3, '1 lost'], [1, 2, '3 lost, 1 unexpected']]) {
    const { connect, store, found } = world();
    const frames = [1, 2, 3, 4].map((offset) => store(offset));
    const line = connect();
    line.message(frames[0]);
    line.close();
    const next = connect({ epoch: ONE, offset: 4, recovered: false });
    next.gap({ op: 'gap', topic: TOPIC, epoch: ONE, after, before, reason: 'trimmed' });
    if (before > 2) next.message(frames[3]);
    assert.equal(found(), expected, `${after} to ${before}`);
  }
});

test('messages before the announced gap, or none at all', () => {
  const { connect, store, found } = world();
  const frames = [1, 2].map((offset) => store(offset));
  const line = connect();
  line.close();
  const next = connect({ epoch: ONE, offset: 2, recovered: false });
  assert.equal(found(), '2 lost');
  for (const frame of frames) next.message(frame);
  assert.equal(found(), '2 unexpected');
});

test('a lost log is told, and what the new epoch holds is wanted', () => {
  const { connect, store, found } = world();
  const line = connect();
  line.message(store(1));
  store(2);
  assert.equal(found(), '1 lost');
  line.gap({ op: 'gap', topic: TOPIC, epoch: TWO, after: 1, before: 1, reason: 'log_lost' });
  assert.equal(found(), '');
  const fresh = store(1, TWO);
  assert.equal(found(), '1 lost');
  line.message(fresh);
  assert.equal(found(), '');
});

test('a new epoch that nobody tells of', () => {
  const { connect, store, found } = world();
  const line = connect();
  line.message(store(1));
  const fresh = store(1, TWO);
  assert.equal(found(), '1 lost');
  line.message(fresh);
  assert.equal(found(), '1 lost, 1 unexpected');
});

test('pending is followed by recovered, and by no message before', () => {
  const { connect, store, found } = world();
  const [a, b] = [store(1), store(2)];
  connect().close();
  const line = connect({ recovered: 'pending' });
  line.recovered({ op: 'recovered', topic: TOPIC, epoch: ONE, offset: 2, recovered: true });
  for (const frame of [a, b]) line.message(frame);
  assert.equal(found(), '');
  line.recovered({ op: 'recovered', topic: TOPIC, epoch: ONE, offset: 2, recovered: true });
  assert.equal(found(), '1 unexpected');
});

test('a message that is stored twice, and one that two places claim', () => {
  const { connect, store, found, checker } = world();
  const line = connect();
  const [a, b] = [store(1), store(2)];
  line.message(a);
  line.message({ ...a, offset: 2 });
  assert.equal(found(), '1 repeated, 1 altered');
  checker.acknowledged(b.data.n, { epoch: ONE, offset: 3 });
  assert.match(found(), /2 repeated/);
});

test("a sender's messages in the log in another order than they were sent", () => {
  const { checker, store, found, connect } = world();
  const line = connect();
  const [a, b] = [store(2), store(1)];
  for (const frame of [b, a]) line.message(frame);
  assert.equal(found(), '1 disordered');
  checker.sentAgain(a.data.n);
  assert.equal(found(), '', 'after a temporary error the retry counts');
  const [c, d] = [store(4), store(3)];
  for (const frame of [d, c]) line.message(frame);
  assert.equal(found(), '1 disordered', 'of what was refused alone');
  checker.sentAgain(c.data.n);
  assert.equal(found(), '');
  const e = store(6);
  checker.sentAgain(e.data.n);
  const f = store(5);
  for (const frame of [f, e]) line.message(frame);
  assert.equal(found(), '1 disordered', 'and not behind what was sent after that');
});

test('a message that is stored where its sender does not hear of it, after it was refused elsewhere', () => {
  const { checker, store, found, connect } = world();
  const line = connect();
  const [a, b] = [store(2), store(1)];
  for (const frame of [b, a]) line.message(frame);
  assert.equal(found(), '1 disordered');
  checker.refusedForNow(a.data.n);
  assert.equal(found(), '');
  checker.acknowledged(a.data.n, { epoch: ONE, offset: 2 });
  assert.equal(found(), '');
  const [c, d] = [store(4), store(3)];
  checker.refusedForNow(c.data.n);
  checker.acknowledged(c.data.n, { epoch: ONE, offset: 4 });
  const e = store(5);
  for (const frame of [d, c, e]) line.message(frame);
  assert.equal(found(), '');
});

test('messages that were refused and repeated in their order, of which some were stored at once', () => {
  const { checker, store, found, connect } = world();
  const line = connect();
  const [a, b, c] = [store(2), store(1), store(3)];
  for (const frame of [b, a, c]) line.message(frame);
  assert.equal(found(), '1 disordered');
  // The third one was repeated, too, behind the first, and was never refused.
  checker.sentAgain(a.data.n);
  assert.equal(found(), '');
});

test('a message that its client repeated by itself, refused where it was sent first', () => {
  const { checker, store, found, connect } = world();
  const line = connect();
  const [a, b] = [store(2), store(1)];
  const repeats = new Repeats(checker);
  repeats.wrote('old', { ref: 1, data: a.data });
  repeats.wrote('old', { ref: 2, data: b.data });
  repeats.wrote('new', { ref: 1, data: a.data });
  const c = store(3);
  for (const frame of [b, a, c]) line.message(frame);
  const error = { op: 'error', temporary: true };
  for (const [socket, answer] of [['old', { ...error, ref: 2 }], ['new', { ...error, ref: 1 }], ['old', { ...error, ref: 1, temporary: false }], ['old', { op: 'ack', ref: 1 }]]) repeats.answered(socket, answer);
  assert.equal(found(), '1 disordered', 'other answers are no excuse');
  repeats.answered('old', { ...error, ref: 1 });
  assert.equal(found(), '', 'not even for what was sent after it was repeated');
});

test('a message that its client repeated by itself, refused for one of its recipients where it was sent first', () => {
  const { checker, store, found, connect } = world();
  const line = connect();
  const [a, b] = [store(2), store(1)];
  const repeats = new Repeats(checker);
  for (const socket of ['old', 'new']) repeats.wrote(socket, { ref: 1, data: a.data });
  for (const frame of [b, a]) line.message(frame);
  repeats.answered('old', { op: 'ack', ref: 1, failed: [] });
  assert.equal(found(), '1 disordered');
  repeats.answered('old', { op: 'ack', ref: 1, failed: [{ user: 'ben', code: 'overloaded' }] });
  assert.equal(found(), '');
});

test('what was refused, or is for somebody else, or was never sent', () => {
  const { checker, store, found, connect } = world();
  const line = connect();
  const frame = store(1);
  checker.refused(frame.data.n);
  line.message(frame);
  line.message({ ...store(1), topic: 'u:ann' });
  line.message({ ...store(1), data: { n: 7 } });
  line.message({ ...store(1), data: 'hello' });
  assert.match(found(), /4 unexpected/);
});
