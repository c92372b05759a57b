/** Whom a node asks to move when the ring changes, and how fast: --rebalance and --move-rate. The default, `arcs`, is everywhere else. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, inWaves, names } from '../harness/crowd.mjs';
import { metric } from '../harness/metrics.mjs';
import { test } from '../harness/test.mjs';
import { throughout, until } from '../harness/until.mjs';

const MOVED = 4001;
const RATE = 10;
/** A node asks in ticks of a tenth of a second: a time that begins and ends within one holds two more, and one may come late. */
const SLACK_MS = 400;
/** Ten ticks: whom a node asks at all, it asks in the first one or two. */
const TICKS_MS = 1_000;

/** @typedef {import('../harness/session.mjs').Session} Session */

/** What a session was told. @param {Session} session */
const moves = (session) => session.frames.filter((frame) => frame.op === 'moved');

/**
 * A crowd at two nodes, and then a third node. `before` is called in between.
 * @param {import('node:test').TestContext} t @param {string[]} flags @param {string[]} [users]
 * @param {(ring: import('../harness/cluster.mjs').Cluster) => unknown} [before] @param {string[]} [second] the flags of n2, if they are others
 */
async function grown(t, flags, users = names(60), before = () => {}, second = flags) {
  const ring = await cluster({ nodes: [{ id: 'n1', flags }, { id: 'n2', flags: second }] });
  t.after(() => ring.stop());
  const crowd = new Crowd(ring);
  await inWaves(users, (user) => crowd.connect(user));
  await before(ring);
  await ring.startNode({ id: 'n3', flags });
  await ring.untilAgreed();
  const document = await ring.ring();
  const sessions = users.map((user) => /** @type {Session} */ (crowd.sessions.get(user)));
  const [away, home] = [true, false].map((moved) => sessions.filter((session) => (document.home(session.user) === 'n3') === moved));
  assert.ok(away.length > 5 && home.length > 5, `${away.length} of ${sessions.length} are at home at n3`);
  return { ring, crowd, away, home };
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
  // The other node asks its own: by the time that it has asked them all, this one would have asked, too.
  const { ring, crowd, away, home } = await grown(t, ['--rebalance', 'none'], names(60), () => {}, ['--rebalance', 'arcs']);
  const [left, asked] = ['n1', 'n2'].map((id) => away.filter(({ node }) => node === id));
  assert.ok(left.length > 1 && asked.length > 1, `${left.length} and ${asked.length} are at home at n3`);
  await Promise.all(asked.map((session) => session.frame('moved', 20_000)));
  const newcomer = await ring.connect(left[0].user);
  assert.equal(newcomer.node, 'n3');
  await crowd.everyoneToEveryNode(2, 1);
  await crowd.settle();
  await throughout(TICKS_MS, async () => {
    const told = await metric(ring.node('n1'), 'ringdial_node_moves_total');
    assert.deepEqual([told, [...left, ...home].flatMap(moves), crowd.closed()], [0, [], []]);
  });
});

test('no more than --move-rate a second are asked', { within_ms: 90_000 }, async (t) => {
  /** @type {Meter[]} */
  let meters = [];
  const { ring, away } = await grown(t, ['--move-rate', String(RATE)], names(240), async (ring) => {
    meters = ['n1', 'n2'].map((id) => new Meter(ring.node(id)));
    await Promise.all(meters.map((meter) => meter.read()));
  });
  await until('all are asked', async () => {
    await Promise.all(meters.map((meter) => meter.read()));
    return away.every((session) => moves(session).length > 0);
  }, { within_ms: 30_000, every_ms: 20 });
  for (const meter of meters) {
    const { asked, took_ms } = meter.all();
    t.diagnostic(`${asked} at ${meter.node.id} were asked within ${took_ms} ms`);
    assert.ok(asked > 1.5 * RATE, `${asked} are too few to tell`);
    meter.assertRate(RATE, SLACK_MS);
  }
  for (const session of away) for (const { spread_ms } of moves(session)) assert.ok(spread_ms <= 1_000);
  assert.deepEqual(ring.sessions.filter((session) => session.closed), []);
});

/** How many sessions a node has asked, by its own count, over time: whatever stalls here, it can only seem slower than it is. */
class Meter {
  /** @type {{ from_ms: number, to_ms: number, asked: number }[]} each count is of a moment between the two */
  #reads = [];

  /** @param {{ id: string, admin: string }} node */
  constructor(node) {
    this.node = node;
  }

  async read() {
    const from_ms = performance.now();
    const asked = await metric(this.node, 'ringdial_node_moves_total');
    this.#reads.push({ from_ms, to_ms: performance.now(), asked });
  }

  all() {
    const [first] = this.#reads;
    const { asked } = this.#reads[this.#reads.length - 1];
    const begun = this.#reads.findLast((read) => read.asked === first.asked) ?? first;
    const ended = this.#reads.find((read) => read.asked === asked) ?? first;
    return { asked: asked - first.asked, took_ms: Math.round(ended.to_ms - begun.from_ms) };
  }

  /** Between no two moments more than that. @param {number} perSecond @param {number} slack_ms */
  assertRate(perSecond, slack_ms) {
    this.#reads.forEach((earlier, i) => {
      for (const later of this.#reads.slice(i + 1)) {
        const [asked, most_ms] = [later.asked - earlier.asked, later.to_ms - earlier.from_ms];
        assert.ok(asked <= (perSecond * (most_ms + slack_ms)) / 1_000, `${asked} within ${most_ms} ms`);
      }
    });
  }
}
