/** Redis is away: durable sends say so in time, everything else goes on, and what was pending is recovered when it is back. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { Member } from '../harness/member.mjs';
import { Redis } from '../harness/redis.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { until } from '../harness/until.mjs';

/** A home waits 4 s for the log; the rest is the way. */
const ANSWER_MS = 6_000;
const WELCOME_MS = 4_000;
const AWAY_MS = 1_500;
const CLAIMS = { permissions: ['join:*'] };

/** @type {[string, (redis: Redis) => unknown, (redis: Redis) => unknown][]} */
const OUTAGES = [
  ['is killed', (redis) => redis.end('SIGKILL'), (redis) => redis.begin()],
  ['hangs', (redis) => redis.pause(), (redis) => redis.resume()],
];
for (const [how, stop, resume] of OUTAGES) {
  test(`Redis ${how}: the log is unavailable for a while, and nothing else`, { within_ms: 90_000 }, async (t) => {
    const redis = await Redis.start({ keeps: true });
    t.after(() => redis.stop());
    const ring = await cluster({ nodes: 3, lookups: 2, redis });
    t.after(() => ring.stop());
    const checker = new TopicChecker();
    const members = await Promise.all(names(12).map((user) => new Member(ring, checker, user, { claims: CLAIMS, groups: ['room'] }).begin()));
    const [sender, away, ...others] = members;
    for (const { user } of members) await sender.send({ user });
    const stranger = await ring.connect('stranger', { claims: CLAIMS });
    // It misses three messages, and comes back while there is no log to read them from.
    const dropped = away.drop({ away_ms: AWAY_MS });
    for (let i = 0; i < 3; i++) await sender.send({ group: 'room' });
    await stop(redis);

    const refused = refusals(stranger);
    await Promise.all(members.map(({ user }) => sender.send({ user }, { ephemeral: true })));
    await sender.send({ group: 'room' }, { ephemeral: true });
    const newcomer = await connectsInTime(ring, t);
    for (const { error, took_ms } of await refused) {
      assert.deepEqual([error.code, error.temporary], ['log_unavailable', true], String(error));
      assert.ok(took_ms < ANSWER_MS, `answered after ${took_ms} ms`);
    }
    await dropped;
    // These are sent without a log, by clients that go on trying.
    const patient = others.slice(0, 4).map((member) => member.send({ group: 'room' }));
    await resume(redis);

    const recovered = await newcomer.until('recovered', () => newcomer.frames.find((frame) => frame.op === 'recovered' && frame.topic === 'u:newcomer'), 15_000);
    assert.deepEqual([recovered.recovered, recovered.offset], [true, 0]);
    await Promise.all(patient);
    await until('everybody gets everything', () => checker.missing().length === 0, { within_ms: 20_000, describe: () => checker.missing().slice(0, 5) });
    checker.assertClean();
    assert.deepEqual(checker.gaps, []);
    const again = await stranger.store({ user: 'outside' }, 'perhaps', { key: 'a key' });
    assert.equal(again.offset, 1, 'stored then or now, but once');
    assert.deepEqual([members.flatMap((member) => member.closes), stranger.closed, newcomer.closed], [[], undefined, undefined], 'nobody was disconnected');
  });
}

/** Durable sends without a log: to a user and to a group at once, so that none waits for the other. @param {import('../harness/session.mjs').Session} session */
function refusals(session) {
  const began = Date.now();
  return Promise.all([{ user: 'outside' }, { group: 'outside' }].map((to) =>
    session.store(to, 'perhaps', { key: 'a key' }).then(() => assert.fail('acknowledged without a log'), (error) => ({ error, took_ms: Date.now() - began }))));
}

/** Somebody who looks up and connects without a log: welcome at once, with topics pending. @param {import('../harness/cluster.mjs').Cluster} ring @param {import('node:test').TestContext} t */
async function connectsInTime(ring, t) {
  const began = Date.now();
  const newcomer = await ring.connect('newcomer', { claims: CLAIMS, hello: { groups: ['empty-room'], resume: { 'u:newcomer': { offset: 0 } } } });
  t.diagnostic(`welcome after ${Date.now() - began} ms`);
  assert.ok(Date.now() - began < WELCOME_MS, `welcome after ${Date.now() - began} ms`);
  assert.deepEqual([newcomer.welcome?.topics['u:newcomer'].recovered, newcomer.welcome?.topics['g:empty-room'].recovered], ['pending', 'pending']);
  await newcomer.send({ user: 'newcomer' }, 'to myself');
  await newcomer.until('the ephemeral message', () => newcomer.inbox.length === 1);
  return newcomer;
}
