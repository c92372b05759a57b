/** The judge of chaos is judged: content with a good scene, red at each fault; and members made of the npm client, over a toy cluster. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Cluster } from '../harness/cluster.mjs';
import { startFakeTopics } from '../harness/fake-topics.mjs';
import { NpmMember } from '../harness/npm-member.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { Traffic } from '../harness/traffic.mjs';
import { RingWatch } from './rings.mjs';
import { Stage } from './stage.mjs';
import { unpaced } from './crowds.mjs';
import { avoidOf, strangers, untilHome } from './homes.mjs';
import { judge } from './judge.mjs';
import { plant } from './planted.mjs';
import { SHORT } from './scales.mjs';

const SCALE = { ...SHORT, sessions: 10, rate: 10 };
const GOOD = { sent: 100, acknowledged: 100, delivered: 300, received: 300, replayed: 1, failed: 0, retries: 0, gaps: 0, lost: 0, repeated: 0, disordered: 0, unexpected: 0, altered: 0 };

/** @typedef {import('./judge.mjs').Evidence} Evidence */
/** @typedef {import('./world.mjs').Happening} Happening */

/** Ten sessions of which five were at n2 when it was killed. @param {{ figures?: Partial<typeof GOOD>, events?: Record<number, Happening[]>, scene?: object, here?: boolean, trouble?: string } & Partial<Omit<Evidence, 'scene'>>} [changes] */
function verdict({ figures = {}, events = {}, scene = {}, here = true, trouble = '', ...rest } = {}) {
  const sessions = Array.from({ length: 10 }, (_, i) => ({
    name: `user-${i}/1`, user: `user-${i}`, npm: i % 2 === 0, node: 'n1', here,
    events: events[i] ?? (i < 5 ? lostFor(500 + i) : []),
  }));
  return judge({
    scene: { name: 'SIGKILL', nodes: 3, act: async () => {}, goal: { p50_ms: 1_500, p99_ms: 3_000 }, ...scene },
    scale: SCALE, reports: [{ figures: { ...GOOD, ...figures }, late: { count: 0, lastAt_ms: 0, worst_ms: 0 }, lag_ms: { p99: 1, max: 1 }, sessions, trouble, findings: [], failures: [] }],
    kills: [{ node: 'n2', at_ms: 10_000 }], faults: 1, began_ms: 10_000, seconds: 10, ownersOf: () => ['n2', 'n1'], complete: true, ...rest,
  });
}

/** @param {number} ms @returns {Happening[]} */
const lostFor = (ms) => [{ at_ms: 10_010, kind: 'lost', node: 'n2', code: 1006 }, { at_ms: 10_010 + ms, kind: 'back', node: 'n1' }];
const SLOW = Object.fromEntries([0, 1, 2, 3, 4].map((i) => [i, lostFor(7_000)]));

test('a good scene is good, and its figures are told', () => {
  const { row, wrong } = verdict();
  assert.deepEqual(wrong, []);
  assert.deepEqual([row.affected, row.hits, row.p50_ms, row.max_ms, row.dropped, row.moved, row.flows_ms], [5, [5], 502, 504, 0, 0, 514]);
});

for (const [what, changes, said] of /** @type {const} */ ([
  ['a lost message', { figures: { lost: 1 } }, /1 lost/],
  ['a repeated message', { figures: { repeated: 1 } }, /1 repeated/],
  ['a misdelivered message', { figures: { unexpected: 1 } }, /1 misdelivered/],
  ['an altered message', { figures: { altered: 1 } }, /1 misdelivered/],
  ['an inversion', { figures: { disordered: 1 } }, /1 inversions/],
  ['a gap', { figures: { gaps: 1 } }, /1 gaps/],
  ['too few messages', { figures: { sent: 49, acknowledged: 49 } }, /only 49 messages sent/],
  ['too few acknowledged', { figures: { acknowledged: 80 } }, /only 80 of 100/],
  ['too few deliveries', { figures: { delivered: 80 } }, /only 80 deliveries/],
  ['too few faults', { faults: 0 }, /only 0 faults of 1/],
  ['too few sessions', { scale: { ...SCALE, sessions: 20 } }, /only 10 sessions/],
  ['nobody hit by a kill', { events: Object.fromEntries([0, 1, 2, 3, 4].map((i) => [i, []])) }, /only 0 sessions were hit by kill 1 of 1, of n2; at least 2 were due/],
  ['a second kill that hits nobody', { kills: [{ node: 'n2', at_ms: 10_000 }, { node: 'n3', at_ms: 14_000 }] }, /^only 0 sessions were hit by kill 2 of 2, of n3/],
  ['a second kill of a node to which nobody had come back', { kills: [{ node: 'n2', at_ms: 10_000 }, { node: 'n2', at_ms: 14_000 }] }, /^only 0 sessions were hit by kill 2 of 2, of n2/],
  ['a kill that hits one', { events: { 0: lostFor(500), ...Object.fromEntries([1, 2, 3, 4].map((i) => [i, []])) } }, /^only 1 sessions were hit by kill 1 of 1/],
  ['nobody moved', { scene: { moves: 0.1 } }, /only 0 sessions moved/],
  ['who was disconnected elsewhere', { events: { 7: [{ at_ms: 10_010, kind: 'lost', node: 'n3', code: 1006 }, { at_ms: 10_020, kind: 'back', node: 'n3' }] } }, /1 disconnected.*user-7/],
  ['who was closed by the killed node', { events: { 1: [{ at_ms: 10_010, kind: 'lost', node: 'n2', code: 4002 }, { at_ms: 10_020, kind: 'back', node: 'n3' }] } }, /1 disconnected.*4002/],
  ['who was disconnected twice by one kill', { events: { 1: [...lostFor(100), ...lostFor(200)] } }, /1 disconnected/],
  ['who was disconnected before the kill', { kills: [{ node: 'n2', at_ms: 11_000 }] }, /5 disconnected/],
  ['who was disconnected long after', { kills: [{ node: 'n2', at_ms: 1_000 }] }, /5 disconnected/],
  ['who never came back', { events: { 0: [lostFor(1)[0]] } }, /Infinity ms \(p99\)/],
  ['who is not connected at the end', { here: false }, /10 not connected/],
  ['who moved and had no reason', { events: { 7: [{ at_ms: 10_010, kind: 'moved', node: 'n1', from: 'n3' }] }, ownersOf: () => ['n3'] }, /1 moved, and its owner/],
  ['a scene about moves in which a version of the ring was missed', { scene: { moves: 0.1 }, complete: false }, /a version of the ring was not seen/],
  ['a move in a scene in which a version of the ring was missed', { events: { 7: [{ at_ms: 10_010, kind: 'moved', node: 'n1', from: 'n3' }] }, ownersOf: () => ['n3', 'n1'], complete: false }, /a version of the ring was not seen/],
  ['who is back too late', { events: SLOW }, /7000 ms \(p50\)/],
  ['a scene that did not end', { trouble: 'not within' }, /not within/],
])) {
  test(`${what}: found`, () => assert.match(verdict(/** @type {any} */ (changes)).wrong.join('\n'), said));
}

test('a version that was missed is no matter where nobody moved', () => assert.deepEqual(verdict({ complete: false }).wrong, []));

test('who moved to the new owner, or home, had a reason', () => {
  const moved = { 7: [{ at_ms: 10_010, kind: /** @type {const} */ ('moved'), node: 'n1', from: 'n3' }] };
  assert.deepEqual(verdict({ events: moved, ownersOf: () => ['n3', 'n1'] }).wrong, []);
  assert.deepEqual(verdict({ events: moved, ownersOf: () => ['n1'] }).wrong, []);
});

/** User 7 was at n3 and moved to n1, its new owner; the others are at n1 all along. @type {{ ownersOf: Evidence['ownersOf'], events: Record<number, Happening[]>, kills: [], scene: object }} */
const MOVE = {
  ownersOf: (user) => (user === 'user-7' ? ['n3', 'n1'] : ['n1']), kills: [], scene: { moves: 0.1, exact: true },
  events: Object.fromEntries(Array.from({ length: 10 }, (_, i) => [i, i === 7 ? [{ at_ms: 10_010, kind: 'moved', node: 'n1', from: 'n3' }] : []])),
};

test('who moved is exactly who had to', () => {
  const { row, wrong } = verdict(MOVE);
  assert.deepEqual([wrong, row.changed, row.moved], [[], 1, 1]);
});

for (const [what, changes, said] of /** @type {const} */ ([
  ['one whose owner changed', { events: { ...MOVE.events, 7: [] } }, /1 whose owner changed, and did not move: user-7/],
  ['one who is elsewhere in the end', { ownersOf: (/** @type {string} */ user) => (user === 'user-3' ? ['n2'] : MOVE.ownersOf(user)) }, /1 not at its owner at the end: user-3/],
  ['one who was sent to somebody else', { ownersOf: (/** @type {string} */ user) => (user === 'user-7' ? ['n3', 'n2'] : MOVE.ownersOf(user)) }, /1 moved to a node that was not its owner: user-7/],
  ['no owner at all', { ownersOf: () => ['n1'] }, /the owners of only 0 sessions changed/],
])) {
  test(`a set of moves that misses, or mistakes, ${what}: found`, () => assert.match(verdict({ ...MOVE, .../** @type {any} */ (changes) }).wrong.join('\n'), said));
}

test('who was a guest before may be anywhere', () => {
  const ownersOf = (/** @type {string} */ user) => (user === 'user-3' ? ['n2'] : MOVE.ownersOf(user));
  assert.deepEqual(verdict({ ...MOVE, ownersOf, guests: [{ name: 'user-3/1', node: 'n1', owner: 'n2', excused: true }] }).wrong, []);
});

describe('where sessions are in the end', () => {
  const RINGS = { ownersOf: (/** @type {string} */ user) => (user === 'bob' ? ['n1', 'n2'] : ['n1']) };
  const at = (/** @type {string} */ user, /** @type {string} */ node, avoid = /** @type {string[]} */ ([])) => ({ name: `${user}/1`, user, node, avoid });
  /** So many of ten. */
  const away = (/** @type {number} */ count, excused = false) => Array.from({ length: count }, (_, i) => ({ name: `user-${i}/1`, node: 'n1', owner: 'n2', excused }));

  test('who is elsewhere than the newest ring says is found, and excused by what it avoids', () => {
    assert.deepEqual(strangers([at('ann', 'n1'), at('bob', 'n2')], RINGS), []);
    assert.deepEqual(strangers([at('ann', 'n1'), at('bob', 'n1'), at('eve', '')], RINGS).map(({ name, excused }) => [name, excused]), [['bob/1', false], ['eve/1', false]]);
    assert.deepEqual(strangers([at('bob', 'n1', ['n2']), at('bob', 'n1', ['n3'])], RINGS).map(({ excused }) => excused), [true, false]);
  });

  test('nobody waits for who is excused, and nobody for ever', async () => {
    const worlds = (/** @type {object[]} */ places) => /** @type {any} */ ({ tell: async () => [places] });
    assert.equal((await untilHome(worlds([at('bob', 'n1', ['n2'])]), RINGS, { within_ms: 60_000 })).away.length, 1);
    assert.equal((await untilHome(worlds([at('bob', 'n1')]), RINGS, { within_ms: 50 })).away.length, 1);
    await assert.rejects(untilHome(/** @type {any} */ ({ tell: async () => { throw new Error('a world ended'); } }), RINGS, { within_ms: 50 }), /a world ended/);
  });

  test('a ticket tells what it avoids', () => {
    assert.deepEqual([avoidOf(`x.${Buffer.from('{"avoid":["n2"]}').toString('base64url')}.y`), avoidOf(`x.${Buffer.from('{}').toString('base64url')}.y`), avoidOf()], [['n2'], [], []]);
  });

  test('users who were left elsewhere: found', () => assert.match(verdict({ away: away(2) }).wrong.join(), /^2 of 10 sessions were not at their owner after all had healed: user-0\/1 at n1, not n2; user-1/));
  test('many who could not reach their owner: found', () => assert.match(verdict({ away: away(2, true) }).wrong.join(), /^2 of 10 sessions could not reach their owner after all had healed/));
  test('one who could not may stay', () => assert.deepEqual(verdict({ away: away(1, true) }).wrong, []));
  test('many guests: found', () => assert.match(verdict({ guests: away(2) }).wrong.join(), /^2 of 10 sessions were not at their owner before the scene/));
});

describe('a fault', () => {
  /** @param {() => Promise<boolean>} seen */
  async function befallen(seen) {
    const done = /** @type {string[]} */ ([]);
    const stage = new Stage(/** @type {any} */ ({}), /** @type {any} */ ({}), SCALE);
    const course = { begin: () => done.push('begun'), end: () => done.push('ended'), within_ms: 100 };
    const error = await stage.befall('n1 <-> n2 cut', { what: 'n1 lost its links', seen: () => seen.call(done) }, course).then(() => '', ({ message }) => message);
    return { error, done, faults: stage.faults.length };
  }

  test('with an effect is one', async () => {
    const found = await befallen(async function () { return this.includes('begun'); });
    assert.deepEqual(found, { error: '', done: ['begun', 'ended'], faults: 1 });
  });

  test('without effect is found, and ended', async () => {
    const found = await befallen(async () => false);
    assert.deepEqual(found, { error: '"n1 <-> n2 cut" had no effect: nothing said within 0.1 s that n1 lost its links', done: ['begun', 'ended'], faults: 0 });
  });

  test('whose sign was there before is none', async () => {
    const { error, faults } = await befallen(async () => true);
    assert.match(error, /before "n1 <-> n2 cut" nothing says/);
    assert.equal(faults, 0);
  });
});

describe('a watch over rings', () => {
  /** What it finds wrong with these rings, each from one of two lookup services. @param {...[number, number, string, string]} rings lookup service, version, signature, url of n1 */
  const wrongWith = (...rings) => {
    const watch = new RingWatch(/** @type {any} */ ({ nodes: [{ id: 'n1', url: 'ws://here' }, { id: 'n2', url: 'ws://there' }] }));
    for (const [by, version, signature, url] of rings) watch.take(by, /** @type {any} */ ({ version, signature, nodes: [{ id: 'n1', url, slots: 1 }] }));
    return watch.wrong.join();
  };

  test('is content with rings that go on', () => assert.equal(wrongWith([0, 1, 'a', 'ws://here'], [1, 1, 'a', 'ws://here'], [0, 2, 'b', 'ws://here']), ''));
  test('finds two rings of one version', () => assert.match(wrongWith([0, 1, 'a', 'ws://here'], [1, 1, 'b', 'ws://here']), /two rings of version 1: a and b/));
  test('finds a version that goes back', () => assert.match(wrongWith([0, 2, 'a', 'ws://here'], [0, 1, 'b', 'ws://here']), /service 0 went back from ring 2 to 1/));
  test('finds a foreign url, and the url of another node', () => {
    assert.match(wrongWith([0, 1, 'a', 'ws://elsewhere']), /ring 1: n1 at ws:\/\/elsewhere/);
    assert.match(wrongWith([0, 1, 'a', 'ws://there']), /ring 1: n1 at ws:\/\/there/);
  });
  test('is a scene\'s: the judge tells it', () => assert.deepEqual(verdict({ rings: ['two rings'] }).wrong, ['two rings']));
});

/** A hundred clients at once: twenty are let in, and the others at ten a second. */
const ADMISSIONS = Array.from({ length: 100 }, (_, i) => ({ node: 'n1', asked_ms: 5_000, read_ms: 5_001 + Math.max(0, i - 19) * 100 }));

for (const [what, changes, said] of /** @type {const} */ ([
  ['who keeps the pace', {}, /^$/],
  ['some a little early', { admissions: ADMISSIONS.map((one, i) => (i < 50 ? one : { ...one, read_ms: one.read_ms - 300 })) }, /^n1: 51 let in after 2901 ms/],
  ['all at once', { admissions: ADMISSIONS.map((one) => ({ ...one, read_ms: 5_100 })) }, /^n1: 22 let in after 100 ms, with 10 a second and 20 at once$/],
  ['all at once, at one of two nodes', { admissions: [...ADMISSIONS, ...ADMISSIONS.map((one) => ({ ...one, node: 'n3', read_ms: 5_100 }))] }, /^n3: 22 let in/],
  ['too few', { admissions: ADMISSIONS.slice(1) }, /^only 99 of 100 were let in$/],
  ['nobody who has to wait', { slowedDown: 0 }, /^only 0 were told to come later/],
  ['who is put off again and again', { most: 20 }, /^somebody needed 20 lookups$/],
])) {
  test(`a crowd, ${what}`, () => {
    const report = { returns: [], slowedDown: 80, attempts: 180, most: 3, admissions: ADMISSIONS, ...changes };
    assert.match(unpaced(/** @type {any} */ (report), { clients: 100, pace: 10, services: 2 }).join('; '), said);
  });
}

const PLAN = { users: 20, doubles: 4, groups: 4, groupsEach: 2, classes: 4, perSecond: 400, mix: /** @type {const} */ ({ user: 5, users: 1, group: 3, match: 1, 'ephemeral user': 1, 'ephemeral group': 1 }) };

/** Some traffic of npm clients over a toy cluster. @param {import('node:test').TestContext} t */
async function npmTraffic(t) {
  const fake = await startFakeTopics(1, 'none');
  t.after(fake.stop);
  const running = /** @type {any} */ ({ running: true });
  const ring = new Cluster({});
  ring.lookups = [{ url: fake.url, admin: '', process: running }];
  const checker = new TopicChecker();
  const traffic = await new Traffic(ring, checker, PLAN, 1, (user, options) => /** @type {any} */ (new NpmMember(ring, checker, user, options))).begin();
  t.after(() => Promise.all(traffic.members.map((member) => member.end())));
  await traffic.run(() => traffic.counts.sent > 700);
  return traffic;
}

describe('members made of the npm client', () => {
  test('a good cluster satisfies them', async (t) => {
    const traffic = await npmTraffic(t);
    await traffic.settle(2_000);
    assert.ok(traffic.checker.delivered > 700, `${traffic.checker.delivered} delivered`);
    assert.deepEqual([traffic.counts.failed, traffic.closes], [0, []]);
  });

  for (const [fault, finding] of /** @type {const} */ ([['lose', 'lost'], ['repeat', 'repeated'], ['swap', 'disordered'], ['misdeliver', 'unexpected']])) {
    test(`"${fault}" between client and judge is found`, async (t) => {
      t.after(plant(fault));
      const traffic = await npmTraffic(t);
      await assert.rejects(traffic.settle(500), new RegExp(`\\d+ ${finding}`));
    });
  }
});
