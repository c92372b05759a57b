/**
 * Clients of examples/ in pairs that write to each other on a cluster, all the time, while a node is drained and another one
 * killed: nothing is lost, repeated or out of order, and the drain is no loss of a connection.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { BackEnd } from './back-end.mjs';
import { cluster } from './cluster.mjs';
import { installed, Talker, talkThrough } from './talker.mjs';
import { delay, within } from './until.mjs';

/** From line to line. A shell starts some processes for each. */
const EVERY_MS = 400;
/** Of the back end while clients move, to each of them: some of its messages come by both connections. */
const WRITERS = 4;
/** So many of these messages may be on their way to a client, and when it is looked at again then. */
const [AHEAD, SHOWS_MS] = [20, 5];
const MOVES_MS = 120_000;
/** Redis stores nothing for so long before a node is stopped: what was typed meanwhile is stored, and its sender never told. */
const PAUSE_MS = 1_200;
/** Longer than that, with room. */
const LEASE_MS = 3_000;
/** A node whose sessions have all left it goes. An offer of a move that nobody ends by `detach` stands for 30 s. */
const [DRAIN, LEFT_MS] = ['150s', 20_000];

/**
 * @param {import('node:test').TestContext} t
 * @param {Promise<string[][][]>} commands pairs of commands, each of which takes the lookup, a name and another; the cluster starts meanwhile
 */
export async function throughTrouble(t, commands) {
  const [made, ring] = await Promise.all([commands, cluster({ nodes: 3, lease_ms: LEASE_MS, flags: { node: ['--drain-deadline', DRAIN] } })]);
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
    const flooded = flood(ring, pairs);
    for (const { one } of pairs) await one.until('has moved', () => one.err.includes('moved: '), MOVES_MS);
    await flooded;
    await within('the end of the drained node, which has nobody left', ring.node(drained).process.exited, LEFT_MS);
    await ring.redis?.command('CLIENT', 'PAUSE', String(PAUSE_MS), 'WRITE');
    await delay(PAUSE_MS - EVERY_MS / 2);
    // Lines that are written to it and never answered: some are stored, and some have not even been read.
    ring.node(killed).process.signal('SIGSTOP');
    await delay(4 * EVERY_MS);
    await ring.kill(ring.node(killed));
    for (const { other } of pairs) await other.until('is back', () => other.err.split('connected: ').length > 2, 90_000);
  })();
  const talks = await Promise.all(pairs.map(({ a, b, one, other }) => talkThrough(one, a, other, b, () => trouble, EVERY_MS)));
  for (const { heard, expected, sent } of talks.flat()) {
    assert.deepEqual(heard.texts, expected, 'each once, in order');
    assert.deepEqual(heard.offsets, sent, 'where their senders were told');
  }
  for (const { a, one } of pairs) {
    const offsets = one.lines(/^(\S+) #(\d+) /).filter(([, topic]) => topic === `u:${a}`).map(([, , offset]) => Number(offset));
    assert.deepEqual(offsets, Array.from(offsets, (_, i) => i + 1), `${one.name}: all that anybody wrote, once and in order`);
  }
  for (const { one } of pairs) assert.ok(!one.err.split('moved: ')[0].includes('reconnecting'), `${one.name}: the drain was no loss of a connection`);
  for (const one of all) assert.equal(await one.end(), 0, one.name);
}

/**
 * The back end writes to those who move until they have, to each no faster than it shows what came. What fails is no matter: what is
 * stored has to come.
 * @param {import('./cluster.mjs').Cluster} ring @param {{ a: string, one: Talker }[]} pairs
 */
async function flood(ring, pairs) {
  const server = new BackEnd(ring);
  const ends = Date.now() + MOVES_MS;
  await Promise.all(pairs.map(async ({ a, one }) => {
    let n = 0;
    const write = async () => {
      while (!one.err.includes('moved: ') && Date.now() < ends) {
        if (one.heard(`u:${a}`, server.name).texts.length < n - AHEAD) await delay(SHOWS_MS);
        else await server.ask('POST', '/messages', { messages: [{ to: { user: a }, data: { text: `notice ${++n}` } }] }).catch(() => delay(SHOWS_MS));
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, write));
  }));
}
