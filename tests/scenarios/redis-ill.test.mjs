/**
 * Redis falls ill, in all the ways that it can: nobody is disconnected, no version goes back, no address is handed out
 * that is nobody's, durable messages go on afterwards, and what was wrong is on a metric and in the log.
 */
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { patient } from '../harness/illness.mjs';
import { Redis } from '../harness/redis.mjs';
import { test } from '../harness/test.mjs';
import { delay, until } from '../harness/until.mjs';
import { Wire } from '../harness/wire.mjs';

/** @typedef {import('../harness/illness.mjs').Patient} Patient */
/** A connection on which nothing is answered is left after 2 s; the rest is the machine's. */
const FROZEN_MS = 8_000;
const LIMIT = { within_ms: 180_000 };

describe('Redis is ill', { concurrency: 3 }, () => {
  test('it hangs for 10 s: every lease has lapsed when it wakes, and nobody is taken out', LIMIT, async (t) => {
    const one = await patient(t, {});
    one.ring.redis?.pause();
    await one.shows('ringdial_store_reachable', (sum) => sum === 0);
    await one.logs(/keeping the last view/, one.parts, true);
    await delay(8_000);
    await connects(one);
    one.ring.redis?.resume();
    await one.shows('ringdial_store_reachable', (sum) => sum === one.parts.length);
    await one.shows('ringdial_store_stalls_total', (sum) => sum > 0);
    await one.logs(/the store heard of nobody for half a lease: all leases were extended/);
    await delay(2_000);
    await one.healed(t);
    await assertRing(one, 'untouched');
    assert.equal(await one.sum('ringdial_ring_reaps_total'), 0);
  });

  test('it is killed, and comes back empty', LIMIT, async (t) => {
    const one = await patient(t, {}, { lost: true });
    await one.ring.redis?.end('SIGKILL');
    await one.shows('ringdial_store_reachable', (sum) => sum === 0);
    await one.logs(/no connection to the store/, one.parts, true);
    await delay(3_000);
    await connects(one);
    await one.ring.redis?.begin();
    await isPutBack(one, /put the ring back into the store.*why=Empty/);
    await one.healed(t);
    await assertRing(one, 'put back');
  });

  test('it is flushed, again and again', LIMIT, async (t) => {
    const one = await patient(t, {}, { lost: true });
    for (let i = 0; i < 5; i++) {
      await one.ring.redis?.command('FLUSHALL');
      await delay(i * 300);
    }
    await isPutBack(one, /put the ring back into the store.*why=Empty/);
    await one.healed(t);
    await assertRing(one, 'put back');
  });

  test('a replica takes its place that is behind', LIMIT, async (t) => {
    const { one, redis, wire } = await wired(t, { lost: true });
    const replica = await replicaOf(redis, t);
    await replica.command('REPLICAOF', 'NO', 'ONE');
    await one.ring.startNode({ id: 'n4' });
    await one.whole();
    one.before = await one.ring.ring();
    await one.goesOn();
    await redis.end('SIGKILL');
    wire.lead(replica.port);
    await isPutBack(one, /put the ring back into the store.*why=Behind/);
    await one.healed(t);
    await assertRing(one, 'put back');
  });

  test('its messages to subscribers are lost, and nobody is told', LIMIT, async (t) => {
    const { one, wire } = await wired(t, { ill: ['n4'], ephemeralMayBeLost: true });
    wire.mute();
    await one.ring.startNode({ id: 'n4' });
    await one.whole();
    assert.ok(wire.swallowed > 0);
    await one.shows('ringdial_store_notices', (sum) => sum === 0);
    await one.logs(/the store's notices do not arrive.*code="store_notices_lost"/, one.parts, true);
    await one.ring.kill(one.ring.node('n4'));
    await one.ring.untilSeen(['n1', 'n2', 'n3']);
    wire.mend();
    await one.shows('ringdial_store_notices', (sum) => sum === one.parts.length);
    await one.healed(t);
  });

  test('its connections freeze, and new ones would not', LIMIT, async (t) => {
    const { one, wire } = await wired(t);
    const began = Date.now();
    wire.freeze();
    await one.shows('ringdial_store_reachable', (sum) => sum === 0);
    await one.logs(/keeping the last view.*code="store_timeout"/, one.parts, true);
    await one.shows('ringdial_store_reachable', (sum) => sum === one.parts.length);
    t.diagnostic(`everybody has a new connection after ${Date.now() - began} ms`);
    assert.ok(Date.now() - began < FROZEN_MS, `new connections after ${Date.now() - began} ms`);
    await one.goesOn();
    // What the old ones held comes late, and must not count.
    wire.mend();
    await one.healed(t);
  });

  test('all that it holds is garbage, of every type', LIMIT, async (t) => {
    const one = await patient(t, {}, { lost: true });
    for (const garbage of GARBAGE) {
      const keys = (await one.ring.redis?.command('KEYS', '*'))?.split('\n').filter(Boolean) ?? [];
      assert.ok(keys.length > 20, `${keys.length} keys`);
      await spoil(one, keys, garbage);
      await delay(400);
    }
    await isPutBack(one, /put the ring back into the store.*why=Unreadable/);
    await one.shows('ringdial_ignored_records_total', (sum) => sum > 0);
    await one.logs(/ignored what the store holds in place of the ring/);
    await one.shows('ringdial_store_mended_total', (sum) => sum > 0);
    await one.logs(/the store held something foreign in place of leases/);
    await one.whole();
    await assertRing(one, 'put back');
    await one.ring.startNode({ id: 'n4' });
    await one.healed(t);
  });
});

const FORGED = JSON.stringify({ nodes: [{ id: 'evil', url: 'ws://127.0.0.1:1/ws', peer: '127.0.0.1:1' }], version: 2 ** 50 });

/** What a key is made to be; the first are of the right type for one or another. */
const GARBAGE = [
  ['SET', FORGED], ['HSET', 'n1', 'x', 'sign', 'inf', 'turn', '1e300', 'generation', 'many', 'reaped', '1,2', 'n2', '-1'], ['ZADD', 'inf', 'n1', '-inf', 'n2', '0', 'evil'],
  ['XADD', '9-9', 't', 'x', 'f', '', 'd', '{'], ['RPUSH', 'n1'], ['SADD', 'n1'], ['SET', ''],
];

/** Every key at once, whatever it was. @param {Patient} one @param {string[]} keys @param {string[]} garbage */
async function spoil(one, keys, [command, ...rest]) {
  const script = "for _, key in ipairs(KEYS) do redis.call('DEL', key) redis.call(ARGV[1], key, unpack(ARGV, 2)) end";
  await one.ring.redis?.command('EVAL', script, String(keys.length), ...keys, command, ...rest);
}

/** A patient whose way to Redis is a wire. @param {import('node:test').TestContext} t @param {import('../harness/illness.mjs').Prognosis} [prognosis] */
async function wired(t, prognosis) {
  const redis = await Redis.start();
  const wire = await Wire.to(redis.port);
  const url = redis.url.replace(/\d+$/, String(wire.port));
  const one = await patient(t, { redis: /** @type {any} */ ({ url }) }, prognosis);
  t.after(() => Promise.all([wire.stop(), redis.stop()]));
  return { one, redis, wire };
}

/** A replica that has everything by now. @param {Redis} redis @param {import('node:test').TestContext} t */
async function replicaOf(redis, t) {
  const replica = await Redis.start();
  t.after(() => replica.stop());
  await redis.command('CONFIG', 'SET', 'repl-diskless-sync-delay', '0');
  await replica.command('CONFIG', 'SET', 'masterauth', redis.password, 'requirepass', redis.password);
  replica.password = redis.password;
  await replica.command('REPLICAOF', '127.0.0.1', String(redis.port));
  await until('the replica follows', async () => /master_link_status:up/.test(await replica.command('INFO', 'replication')));
  return replica;
}

/** Somebody new looks up, connects, and is heard, as if nothing were the matter. @param {Patient} one */
async function connects({ ring }) {
  const session = await ring.connect('newcomer');
  assert.equal((await session.send({ user: 'newcomer' }, 'to myself')).online, 1);
}

/** It is said that ring and log were lost, and the ring put back. @param {Patient} one @param {RegExp} line */
async function isPutBack(one, line) {
  await one.shows('ringdial_ring_putbacks_total', (sum) => sum > 0);
  await one.logs(line);
  await one.shows('ringdial_node_logs_lost_total', (sum) => sum > 0);
  await one.logs(/the log has lost topics.*code="log_lost"/);
}

/** @param {Patient} one @param {'untouched' | 'put back'} how */
async function assertRing({ ring, before }, how) {
  const after = await ring.ring();
  if (how === 'untouched') assert.equal(after.version, before?.version, 'nobody changed the ring');
  else assert.ok(after.version > (before?.version ?? 0), 'the version grew');
  assert.deepEqual(after.key, before?.key, 'the ring key is the same');
  assert.deepEqual(after.holders, before?.holders, 'nobody moves');
}
