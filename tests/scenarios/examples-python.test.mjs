/** examples/python, run as its README says: on the embedded default, and on a cluster whose nodes are drained and killed. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { REPOSITORY } from '../harness/binaries.mjs';
import { cluster } from '../harness/cluster.mjs';
import { installed, Talker, talkThrough } from '../harness/talker.mjs';
import { test } from '../harness/test.mjs';

/** A new home waits so long before it tells who is there. */
const GRACE = ['--presence-grace', '1s'];
const CHAT = path.join(REPOSITORY, 'examples/python/chat.py');

/** @param {import('node:test').TestContext} t @param {import('../harness/cluster.mjs').Cluster} ring @param {string} me @param {string} to */
async function talker(t, ring, me, to) {
  const made = new Talker(t, me, [installed('.venv/bin/python'), CHAT, `${ring.lookups[0].url}/lookup`, me, to], { RINGDIAL_TOKEN: ring.token(me, { permissions: ['join:*'] }) });
  await made.until('is connected', () => made.err.includes('connected: '));
  return made;
}

test('the Python chat: users, a group, who is there, what was said before', { within_ms: 120_000 }, async (t) => {
  const ring = await cluster({ store: 'embedded', nodes: 3, flags: { node: GRACE } });
  t.after(() => ring.stop());
  const alice = await talker(t, ring, 'alice', 'bob');
  alice.say('nobody is there');
  await alice.until('it is stored', () => alice.sent.length === 1);
  const bob = await talker(t, ring, 'bob', 'alice');
  bob.say('Grüße 😀');
  await alice.until('hears', () => alice.heard('u:alice', 'bob').texts.length === 1);
  assert.deepEqual(alice.heard('u:alice', 'bob').texts, ['Grüße 😀']);
  await bob.until('hears what was said before', () => bob.heard('u:bob', 'alice').texts.length === 1);

  const carol = await talker(t, ring, 'carol', 'g:lobby');
  await carol.until('is in the group', () => carol.err.includes('lobby: 1 here: carol'));
  const dave = await talker(t, ring, 'dave', 'g:lobby');
  await dave.until('sees both', () => /lobby: 2 here: .*carol/.test(dave.err));
  await carol.until('sees who came', () => carol.err.includes('lobby: 2 here: +dave'));
  carol.say('to all');
  for (const one of [carol, dave]) await one.until('hears', () => one.heard('g:lobby', 'carol').texts[0] === 'to all');
  assert.equal(await dave.end(), 0);
  for (const one of [alice, bob, carol]) assert.equal(await one.end(), 0);
});

test('the Python client loses and repeats nothing while its node is drained and another one killed', { within_ms: 180_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2 });
  t.after(() => ring.stop());
  const document = await ring.ring();
  const a = 'ada';
  const b = Array.from({ length: 50 }, (_, i) => `guest-${i}`).find((name) => document.home(name) !== document.home(a)) ?? '';
  const [one, other] = [await talker(t, ring, a, b), await talker(t, ring, b, a)];
  const [drained, killed] = [ring.node(document.home(a)), ring.node(document.home(b))];

  const talks = await talkThrough(one, a, other, b, async (more) => {
    await one.until('talks', () => one.sent.length > 10);
    drained.process.signal('SIGTERM');
    await one.until('has moved', () => one.err.includes('moved: '));
    await drained.process.exited;
    const stored = one.sent.length;
    await one.until('talks on', () => one.sent.length > stored + 10);
    // Lines that are written to it and never answered.
    killed.process.signal('SIGSTOP');
    await more(5);
    await ring.kill(killed);
    await other.until('is back', () => other.err.split('connected: ').length > 2, 60_000);
  });
  for (const { heard, expected, sent } of talks) {
    assert.deepEqual(heard.texts, expected, 'each once, in order');
    assert.deepEqual(heard.offsets, sent, 'where their senders were told');
  }
  assert.ok(!one.err.split('moved: ')[0].includes('reconnecting'), 'the drain was no loss of a connection');
  for (const talker of [one, other]) assert.doesNotMatch(talker.err, /Traceback|exception/);
  for (const talker of [one, other]) assert.equal(await talker.end(), 0);
});
