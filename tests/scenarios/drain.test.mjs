/**
 * A node that goes away gently, told by a signal or through the API: its clients move while it still serves them, nobody is
 * without a socket, nothing is lost; who does not move is closed at the deadline; and one can see how far it is.
 */
import assert from 'node:assert/strict';
import { BackEnd } from '../harness/back-end.mjs';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { request } from '../harness/http.mjs';
import { Member } from '../harness/member.mjs';
import { metric } from '../harness/metrics.mjs';
import { NpmMember } from '../harness/npm-member.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { Traffic } from '../harness/traffic.mjs';
import { until, within } from '../harness/until.mjs';

/** @typedef {import('../harness/cluster.mjs').Cluster} Cluster */

const DRAINING = 4002;
const DEADLINE_MS = 15_000;
/** From the deadline on the node leaves the ring, and then closes who is left. */
const CLOSED_WITHIN_MS = 10_000;
/** Half of its default: who waits for the deadline is too late. */
const BEFORE_DEADLINE_MS = 15_000;

const PLAN = {
  users: 60, doubles: 6, groups: 6, groupsEach: 2, classes: 4, perSecond: 150,
  mix: /** @type {const} */ ({ user: 60, users: 5, group: 25, match: 2, 'ephemeral user': 6, 'ephemeral group': 2 }),
};
const FLAGS = { node: MANY_SENDS, lookup: ['--ticket-claims', 'class,role'] };

/** @type {Record<string, (ring: Cluster, id: string) => Promise<unknown>>} */
const WAYS = {
  'by SIGTERM': async (ring, id) => ring.node(id).process.signal('SIGTERM'),
  'through the API': async (ring, id) => {
    const { status, json } = await new BackEnd(ring).ask('POST', `/nodes/${id}/drain`);
    assert.deepEqual([status, json?.state, json?.slots], [202, 'draining', 0]);
  },
};

for (const [way, tell] of Object.entries(WAYS)) {
  test(`drained ${way} under traffic: at no moment is a client without a socket`, { within_ms: 120_000 }, async (t) => {
    const ring = await cluster({ nodes: 3, lookups: 2, flags: FLAGS });
    t.after(() => ring.stop());
    const checker = new TopicChecker({ ephemeralMayBeLost: true });
    const make = (/** @type {string} */ user, /** @type {any} */ options, /** @type {number} */ i) =>
      /** @type {Member} */ (i % 2 ? new NpmMember(ring, checker, user, options) : new Member(ring, checker, user, options));
    const traffic = await new Traffic(ring, checker, PLAN, Date.now() % 1_000_000, make).begin();
    const theirs = traffic.members.filter((member) => member.node === 'n2');
    assert.ok(theirs.length > 5, `${theirs.length} sessions at n2`);
    let done = false;
    const talking = traffic.run(() => done);
    await until('it is in full swing', () => checker.acknowledgedCount > 100, { within_ms: 20_000 });

    await tell(ring, 'n2');
    const { process } = ring.node('n2');
    assert.deepEqual(await within('its exit', process.exited, BEFORE_DEADLINE_MS), { code: 0, signal: null });
    const from = checker.acknowledgedCount;
    await until('the others go on', () => checker.acknowledgedCount > from + 100, { within_ms: 20_000 });
    done = true;
    const { sent } = await talking;
    await traffic.settle();
    t.diagnostic(`${theirs.length} of ${traffic.members.length} sessions moved; ${sent} messages, ${checker.delivered} delivered`);
    assert.deepEqual([traffic.closes, checker.gaps, [...traffic.failures]], [[], [], []], 'connections that ended, gaps, failed sends');
    assert.ok(theirs.every((member) => member.here && ['n1', 'n3'].includes(member.node ?? '')));
    await Promise.all(traffic.members.map((member) => member.end()));
  });
}

test('who does not move is served until the deadline, and one can see how far it is', { within_ms: 90_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, flags: { node: ['--drain-deadline', `${DEADLINE_MS}ms`] } });
  t.after(() => ring.stop());
  const crowd = await new Crowd(ring).join(names(60));
  const node = ring.node('n1');
  const theirs = [...crowd.sessions.values()].filter((session) => session.node === 'n1');
  assert.ok(theirs.length > 1);
  const began = Date.now();
  node.process.signal('SIGTERM');
  const closings = Promise.all(theirs.map(async (session) => ({ code: (await session.closing(60_000)).code, after_ms: Date.now() - began })));
  await until('it is not ready, and says why', async () => {
    const { status, json } = await request(`http://${node.admin}/readyz`);
    const [reason] = json.reasons;
    return status === 503 && reason?.code === 'draining' && reason.detail.includes(`sessions left: ${theirs.length}`);
  });
  assert.equal(await metric(node, 'ringdial_draining'), 1);
  assert.equal(await metric(node, 'ringdial_node_sessions'), theirs.length);
  const nodes = async () => (await new BackEnd(ring).done('GET', '/nodes')).nodes;
  await until('lookups know', async () => (await nodes()).some((/** @type {any} */ told) => told.id === 'n1' && told.state === 'draining' && told.slots === 0));
  for (const session of theirs) {
    const { reason, node } = await session.frame('moved');
    assert.ok(reason === 'draining' && ['n2', 'n3'].includes(node), `${reason}, ${node}`);
  }
  for (const user of names(10)) assert.notEqual((await ring.lookup(user)).node, 'n1');
  await crowd.everyoneToEveryNode(2, 1);
  await crowd.settle();

  for (const { code, after_ms } of await closings)
    assert.ok(code === DRAINING && after_ms >= DEADLINE_MS && after_ms < DEADLINE_MS + CLOSED_WITHIN_MS, `${code} after ${after_ms} ms`);
  assert.deepEqual(await within('its exit', node.process.exited, 15_000), { code: 0, signal: null });
  assert.match(node.process.stderr, new RegExp(`draining sessions=${theirs.length} waited_s=1`));
  assert.equal(crowd.closed().length, theirs.length, 'sessions elsewhere see nothing');
  await ring.untilSeen(['n2', 'n3']);
  for (const { user } of theirs) assert.notEqual((await until(`${user} is back`, () => ring.connect(user))).node, 'n1');
});

test('while Redis is away its clients move all the same', { within_ms: 90_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, flags: { node: ['--drain-deadline', '20s'] } });
  t.after(() => ring.stop());
  const checker = new TopicChecker();
  const kinds = [Member, NpmMember];
  const members = await Promise.all(names(60).map((user, i) => new kinds[i % 2](ring, checker, user).begin()));
  const theirs = members.filter((member) => member.node === 'n2');
  assert.ok(kinds.every((kind) => theirs.some((member) => member instanceof kind)));
  const earlier = new Map(theirs.map((member) => [member, member.reconnects]));
  ring.redis?.pause();
  t.after(() => ring.redis?.resume());
  const { process } = ring.node('n2');
  process.signal('SIGTERM');
  assert.deepEqual(await within('its exit', process.exited, BEFORE_DEADLINE_MS), { code: 0, signal: null });
  assert.deepEqual(members.flatMap(({ closes }) => closes), []);
  assert.ok(theirs.every((member) => member.here && member.node !== 'n2'));
  assert.deepEqual(theirs.map((member) => member.reconnects - (earlier.get(member) ?? 0)), theirs.map(() => 1), 'each moved once, for good');
  ring.redis?.resume();
  await ring.untilSeen(['n1', 'n3']);
  await Promise.all(members.map((member, i) => member.send({ user: members[(i + 1) % members.length].user })));
  await until('all arrives', () => checker.missing().length === 0, { within_ms: 20_000 });
  checker.assertClean();
  for (const member of members) member.end();
});

test('in the embedded default a drained node ends alone, and a signal ends the rest at once', { within_ms: 90_000 }, async (t) => {
  const ring = await cluster({ store: 'embedded', nodes: 3 });
  t.after(() => ring.abandon());
  const checker = new TopicChecker();
  const members = await Promise.all(names(30).map((user) => new Member(ring, checker, user).begin()));
  await WAYS['through the API'](ring, 'n2');
  await until('the node is gone', async () => (await ring.ring()).nodes.every(({ id }) => id !== 'n2'), { within_ms: BEFORE_DEADLINE_MS });
  const [{ process, admin }] = ring.lookups;
  assert.deepEqual(members.flatMap(({ closes }) => closes), []);
  assert.ok(members.every((member) => member.here && member.node !== 'n2'));
  await until('the others are ready', async () => (await request(`http://${admin}/readyz`)).status === 200);
  await Promise.all(members.map((member, i) => member.send({ user: members[(i + 1) % members.length].user })));
  await until('all arrives', () => checker.missing().length === 0);
  checker.assertClean();
  assert.ok(process.running);
  for (const member of members) member.end();
  await ring.connect('last');
  process.signal('SIGINT');
  assert.deepEqual(await within('its exit', process.exited, BEFORE_DEADLINE_MS), { code: 0, signal: null });
});
