/** Any node can serve any user: sessions at a node that is not their home, by `avoid` or by a stale lookup. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';

describe('a session away from its home', () => {
  /** @type {import('../harness/cluster.mjs').Cluster} */
  let ring;
  before(async () => (ring = await cluster({ nodes: 3, lookups: 2 })));
  after(() => ring.stop());

  test('is served, and each message reaches it once, from everywhere', { within_ms: 90_000 }, async () => {
    const document = await ring.ring();
    const crowd = new Crowd(ring);
    for (const user of names(45)) await crowd.connect(user, { avoid: [document.home(user)] });
    for (const user of names(45)) assert.notEqual(crowd.sessions.get(user)?.node, document.home(user));
    await crowd.join(names(45, 'home-'));
    await crowd.everyoneToEveryNode(4, 2);
    await crowd.settle();
    const moved = ring.sessions.filter((session) => session.frames.some((frame) => frame.op === 'moved'));
    assert.deepEqual(moved.map((session) => session.user), [], 'nobody is sent to a node that they avoid');
    assert.deepEqual(crowd.closed(), []);
  });

  test('gets what a session at home gets, both at the same time', async () => {
    const home = (await ring.ring()).home('both');
    const crowd = new Crowd(ring);
    const [here, there] = [await crowd.connect('both'), await crowd.connect('both', { avoid: [home] })];
    assert.deepEqual([here.node === home, there.node === home], [true, false]);
    await crowd.join(names(9, 'sender-'));
    for (let i = 0; i < 5; i++) await Promise.all(names(9, 'sender-').map((from) => crowd.send(from, 'both', `${i}`)));
    await crowd.settle();
    assert.deepEqual([here.inbox.length, there.inbox.length], [45, 45]);
    await there.close();
    await here.send({ user: 'both' }, crowd.checker.message('both', 'both'));
    await here.until('the message after the other left', () => here.inbox.length === 46);
  });

  test('is told `moved` after a stale lookup, follows it, and misses nothing', { within_ms: 60_000 }, async () => {
    const grants = await Promise.all(names(120, 'stale-').map((user) => ring.lookup(user)));
    await ring.startNode({ id: 'newcomer' });
    await ring.untilSeen([...ring.idsOf()]);
    const document = await ring.ring();
    const grant = grants.find((grant) => document.home(grant.id) === 'newcomer');
    assert.ok(grant && grant.node !== 'newcomer', 'one of 120 users has a new home');

    const old = await ring.open(grant);
    const moved = await old.frame('moved');
    assert.deepEqual([moved.node, moved.url], ['newcomer', ring.node('newcomer').url]);
    assert.ok(moved.deadline_ms > 0 && moved.spread_ms >= 0 && moved.reason);
    const sender = await ring.connect('sender-of-stale');
    await sender.send({ user: grant.id }, 1);
    await old.until('the message at the old node', () => old.inbox.length === 1);

    const ticket = moved.protocols.find((/** @type {string} */ name) => name.startsWith('ticket.')).slice('ticket.'.length);
    const next = { id: grant.id, node: moved.node, url: moved.url, protocols: moved.protocols, ticket };
    const fresh = await ring.open(next, { hello: { replaces: old.welcome?.session } });
    assert.equal(fresh.welcome?.node, 'newcomer');
    await sender.send({ user: grant.id }, 2);
    await fresh.until('the message at the new node', () => fresh.inbox.length === 1);
    old.sendFrame({ op: 'detach' });
    await old.frame('bye');
    assert.equal((await old.closing()).code, 1000);
    await sender.send({ user: grant.id }, 3);
    await fresh.until('the last message', () => fresh.inbox.length === 2);
    assert.deepEqual(fresh.inbox.map((message) => message.data), [2, 3]);
  });
});
