/** Redis with a replica: messages are acknowledged when it has them, and a primary that becomes one itself is left. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Redis } from '../harness/redis.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const CODE = { code: 'log_unavailable', temporary: true };

test('with --redis-wait-replicas a message is acknowledged when a replica has it', { within_ms: 90_000 }, async (t) => {
  const [primary, replica] = await pair(t);
  const ring = await cluster({ nodes: 2, redis: primary, flags: { node: ['--redis-wait-replicas', '1'] } });
  t.after(() => ring.stop());
  const [alice, bob] = [await ring.connect('alice'), await ring.connect('bob')];
  await assert.rejects(alice.store({ user: 'bob' }, 1, { key: 'first' }), CODE);
  assert.equal((await alice.send({ user: 'bob' }, 'typing')).online, 1, 'what is not stored waits for nobody');

  await follow(replica, primary);
  const first = await stored(alice, { user: 'bob' }, 1, 'first');
  assert.equal(first.offset, 1, 'it was stored, and not known to be');
  replica.pause();
  await assert.rejects(alice.store({ user: 'bob' }, 2, { key: 'second' }), CODE);
  const { entries } = await bob.request({ op: 'history' });
  assert.deepEqual(entries.map((/** @type {{ data: number }} */ entry) => entry.data), [2, 1], 'readers do not wait');
  replica.resume();
  assert.equal((await stored(alice, { user: 'bob' }, 2, 'second')).offset, 2);
  const durable = () => bob.inbox.filter((frame) => frame.offset);
  await bob.until('both messages', () => durable().length === 2);
  assert.deepEqual(durable().map((frame) => [frame.offset, frame.data]), [[1, 1], [2, 2]]);
});

test('a primary that becomes a replica is left, and taken again when it is one no more', { within_ms: 90_000 }, async (t) => {
  const [redis, other] = await pair(t);
  const ring = await cluster({ nodes: 2, redis });
  t.after(() => ring.stop());
  const [alice, bob] = [await ring.connect('alice'), await ring.connect('bob')];
  const before = await alice.store({ user: 'bob' }, 'before');
  await follow(other, redis);
  await redis.command('REPLICAOF', '127.0.0.1', String(other.port));
  await other.command('REPLICAOF', 'NO', 'ONE');
  await assert.rejects(alice.store({ user: 'bob' }, 'meanwhile'), CODE);
  const clients = async () => (await redis.command('CLIENT', 'LIST')).split('\n').filter((line) => /resp=3/.test(line)).length;
  await until('nobody stays on the replica', async () => (await clients()) === 0);
  assert.equal((await alice.send({ user: 'bob' }, 'typing')).online, 1);

  await redis.command('REPLICAOF', 'NO', 'ONE');
  const after = await stored(alice, { user: 'bob' }, 'after', 'after');
  assert.ok(after.epoch !== before.epoch || after.offset > before.offset, JSON.stringify([before, after]));
  await bob.until('the message', () => bob.inbox.some((frame) => frame.data === 'after'));
  assert.deepEqual([alice.closed, bob.closed], [undefined, undefined]);
});

/** Two servers, neither of them a replica yet. @param {import('node:test').TestContext} t */
async function pair(t) {
  const both = await Promise.all([Redis.start(), Redis.start()]);
  for (const [i, redis] of both.entries()) {
    t.after(() => redis.stop());
    await redis.command('CONFIG', 'SET', 'masterauth', both[1 - i].password, 'repl-diskless-sync-delay', '0');
  }
  return both;
}

/** Makes one the replica of the other, and waits until it has everything. @param {Redis} replica @param {Redis} primary */
async function follow(replica, primary) {
  await replica.command('REPLICAOF', '127.0.0.1', String(primary.port));
  const state = async () => Object.fromEntries((await replica.command('INFO', 'replication')).split('\r\n').map((line) => line.split(':')));
  await until('the replica follows', async () => (await state()).master_link_status === 'up');
}

/** Stored at last: whoever tries again gives a key. @param {import('../harness/session.mjs').Session} session @param {object} to @param {unknown} data @param {string} key */
async function stored(session, to, data, key) {
  return until('it is stored', () => session.store(to, data, { key }), { within_ms: 30_000 });
}
