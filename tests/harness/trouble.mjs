/**
 * Clients of examples/ in pairs that write to each other on a cluster, all the time, while a node is drained and another one
 * killed: nothing is lost, repeated or out of order, and the drain is no loss of a connection.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { cluster } from './cluster.mjs';
import { installed, Talker, talkThrough } from './talker.mjs';
import { until } from './until.mjs';

/** From line to line. A shell starts some processes for each. */
const EVERY_MS = 400;

/**
 * @param {import('node:test').TestContext} t
 * @param {Promise<string[][][]>} commands pairs of commands, each of which takes the lookup, a name and another; the cluster starts meanwhile
 */
export async function throughTrouble(t, commands) {
  const [made, ring] = await Promise.all([commands, cluster({ nodes: 3, flags: { node: ['--drain-deadline', '150s'] } })]);
  t.after(() => ring.stop());
  const document = await ring.ring();
  const names = Array.from({ length: 100 }, (_, i) => `guest-${i}`);
  const [drained, killed] = [document.home(names[0]), names.map((name) => document.home(name)).find((id) => id !== document.home(names[0])) ?? ''];
  /** The next name that lives there. @param {string} node */
  const from = (node) => names.splice(names.findIndex((name) => document.home(name) === node), 1)[0];

  /** @param {string[]} command @param {string} me @param {string} to */
  const talker = (command, me, to) => new Talker(t, `${path.basename(command.at(-1) ?? '')} ${me}`, [...command, `${ring.lookups[0].url}/lookup`, me, to], {
    RINGDIAL_TOKEN: ring.token(me),
    PATH: `${path.dirname(installed('.venv/bin/websocat'))}:${process.env.PATH}`,
  });
  const pairs = made.map(([one, other]) => {
    const [a, b] = [from(drained), from(killed)];
    return { a, b, one: talker(one, a, b), other: talker(other, b, a) };
  });
  const all = pairs.flatMap(({ one, other }) => [one, other]);
  for (const one of all) await one.until('is connected', () => one.err.includes('connected: '));

  const trouble = (async () => {
    for (const one of all) await one.until('talks', () => one.sent.length > 3);
    ring.node(drained).process.signal('SIGTERM');
    for (const { one } of pairs) await one.until('has moved', () => one.err.includes('moved: '), 120_000);
    await ring.node(drained).process.exited;
    // Lines that are written to it and never answered.
    ring.node(killed).process.signal('SIGSTOP');
    const stopped = Date.now();
    await until('some lines were typed', () => Date.now() > stopped + 4 * EVERY_MS);
    await ring.kill(ring.node(killed));
    for (const { other } of pairs) await other.until('is back', () => other.err.split('connected: ').length > 2, 90_000);
  })();
  const talks = await Promise.all(pairs.map(({ a, b, one, other }) => talkThrough(one, a, other, b, () => trouble, EVERY_MS)));
  for (const { heard, expected, sent } of talks.flat()) {
    assert.deepEqual(heard.texts, expected, 'each once, in order');
    assert.deepEqual(heard.offsets, sent, 'where their senders were told');
  }
  for (const { one } of pairs) assert.ok(!one.err.split('moved: ')[0].includes('reconnecting'), `${one.name}: the drain was no loss of a connection`);
  for (const one of all) assert.equal(await one.end(), 0, one.name);
}
