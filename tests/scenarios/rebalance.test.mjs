/** Whom a node asks to move when the ring changes, and how fast: --rebalance and --move-rate. The default, `arcs`, is everywhere else. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, inWaves, names } from '../harness/crowd.mjs';
import { metric } from '../harness/metrics.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const MOVED = 4001;
const RATE = 10;
/** Ticks of a tenth of a second come late on a busy machine, and then two at once. */
const SLACK_MS = 500;

/** @typedef {import('../harness/session.mjs').Session} Session */

/** What a session was told. @param {Session} session */
const moves = (session) => session.frames.filter((frame) => frame.op === 'moved');

/** A crowd at two nodes, and then a third node. @param {import('node:test').TestContext} t @param {string[]} flags @param {string[]} [users] */
async function grown(t, flags, users = names(60)) {
  const ring = await cluster({ nodes: 2, flags: { node: flags } });
  t.after(() => ring.stop());
  const crowd = new Crowd(ring);
  /** @type {Map<string, number>} when each was asked first */
  const asked = new Map();
  const onFrame = (/** @type {string} */ user) => (/** @type {any} */ frame) => frame.op === 'moved' && !asked.has(user) && asked.set(user, Date.now());
  await inWaves(users, (user) => crowd.connect(user, { onFrame: onFrame(user) }));
  await ring.startNode({ id: 'n3' });
  await ring.untilAgreed();
  const document = await ring.ring();
  const sessions = users.map((user) => /** @type {Session} */ (crowd.sessions.get(user)));
  const [away, home] = [true, false].map((moved) => sessions.filter((session) => (document.home(session.user) === 'n3') === moved));
  assert.ok(away.length > 5 && home.length > 5, `${away.length} of ${sessions.length} are at home at n3`);
  return { ring, crowd, away, home, asked };
}

test('all: who is at home elsewhere is asked to move, everybody else to look up again', { within_ms: 90_000 }, async (t) => {
  const { ring, crowd, away, home } = await grown(t, ['--rebalance', 'all']);
  for (const session of away) assert.equal((await session.frame('moved', 20_000)).node, 'n3');
  for (const session of home) assert.equal((await session.closing(20_000)).code, MOVED);
  assert.deepEqual(home.flatMap(moves), []);
  assert.deepEqual(away.filter((session) => session.closed), [], 'who was asked to move is served until it has');
  const before = new Map(home.map((session) => [session.user, session.node]));
  await Promise.all(home.map(async ({ user }) => {
    crowd.retire(user);
    assert.equal((await crowd.connect(user)).node, before.get(user), `${user} is where it was`);
  }));
  await crowd.everyoneToEveryNode(2, 1);
  await crowd.settle();
  for (const { user } of home) assert.equal(crowd.sessions.get(user)?.closed, undefined, 'they know the ring now');
});

test('none: nobody is asked, only new connections go by the new ring', { within_ms: 90_000 }, async (t) => {
  const { ring, crowd, away, home } = await grown(t, ['--rebalance', 'none']);
  const newcomer = await ring.connect(away[0].user);
  assert.equal(newcomer.node, 'n3');
  await crowd.everyoneToEveryNode(2, 1);
  await crowd.settle();
  const told = await Promise.all(['n1', 'n2'].map((id) => metric(ring.node(id), 'ringdial_node_moves_total')));
  assert.deepEqual([told, [...away, ...home].flatMap(moves), crowd.closed()], [[0, 0], [], []]);
});

test('no more than --move-rate a second are asked', { within_ms: 90_000 }, async (t) => {
  const { ring, away, asked } = await grown(t, ['--move-rate', String(RATE)], names(150));
  await until('all are asked', () => asked.size === away.length, { within_ms: 30_000 });
  for (const node of ['n1', 'n2']) {
    const times = away.filter((session) => session.node === node).map(({ user }) => asked.get(user) ?? 0);
    const took_ms = Math.max(...times) - Math.min(...times);
    t.diagnostic(`${times.length} at ${node} were asked within ${took_ms} ms`);
    assert.ok(times.length > RATE && took_ms >= ((times.length - 1) / RATE) * 1_000 - SLACK_MS, `${times.length} within ${took_ms} ms`);
  }
  for (const session of away) for (const { spread_ms } of moves(session)) assert.ok(spread_ms <= 1_000);
  assert.deepEqual(ring.sessions.filter((session) => session.closed), []);
});
