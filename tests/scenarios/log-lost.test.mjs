/** The log comes back empty, or as an older copy of itself: everybody is told of every topic that lost something, and then it goes on. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { Member } from '../harness/member.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { until } from '../harness/until.mjs';

const USERS = names(24);
const GROUPS = names(8, 'room-');
const FLAGS = { node: MANY_SENDS };
const TOLD_MS = 10_000;
/** Once by the first who opens the topic in the empty log, and once more if the ring is put back after that, under a new log generation. */
const TIMES_EMPTY = 2;

/** @typedef {{ ring: import('../harness/cluster.mjs').Cluster, checker: TopicChecker, members: Member[], sender: Member }} World */

/** Everybody in three groups, away or at home. @param {import('node:test').TestContext} t @returns {Promise<World>} */
async function world(t) {
  const ring = await cluster({ nodes: 3, lookups: 2, flags: FLAGS });
  t.after(() => ring.stop());
  const checker = new TopicChecker();
  const members = await Promise.all(USERS.map((user, i) =>
    new Member(ring, checker, user, { claims: { permissions: ['join:*'] }, groups: [0, 1, 2].map((k) => GROUPS[(i + k) % GROUPS.length]) }).begin()));
  return { ring, checker, members, sender: members[0] };
}

/** One message to each of these topics, acknowledged. @param {Member} sender @param {string[]} topics */
const sendTo = (sender, topics) => Promise.all(topics.map((topic) => sender.send(topic.startsWith('u:') ? { user: topic.slice(2) } : { group: topic.slice(2) })));

const TOPICS = [...USERS.map((user) => `u:${user}`), ...GROUPS.map((group) => `g:${group}`)];

/** Who follows which of the topics. @param {Member[]} members @param {string[]} topics */
const following = (members, topics) => members.flatMap((member) => topics.filter((topic) => member.receiver.span(topic)).map((topic) => ({ member, topic })));

/** Waits until everybody was told of every one of these topics that they follow. @param {World} world @param {string[]} topics */
async function told({ checker, members }, topics) {
  const untold = () => following(members, topics).filter(({ member, topic }) => !checker.gaps.some((gap) => gap.receiver === member.name && gap.topic === topic && gap.reason === 'log_lost'));
  await until('everybody is told of every topic that lost something', () => untold().length === 0, {
    within_ms: TOLD_MS, describe: () => `${untold().length} of ${following(members, topics).length} are not, such as ${untold().slice(0, 5).map(({ member, topic }) => `${member.name} of ${topic}`)}`,
  });
}

/** What is sent now arrives, and nothing that happened was wrong. @param {World} world @param {number} times that one may be told of a topic */
async function goesOn({ checker, members, sender }, times) {
  for (let i = 0; i < 3; i++) await sendTo(sender, TOPICS);
  await until('what was sent arrives', () => checker.missing().length === 0, { within_ms: 15_000, every_ms: 50, describe: () => checker.missing().slice(0, 5) });
  checker.assertClean();
  assert.deepEqual(members.flatMap((member) => member.closes), [], 'nobody was disconnected');
  for (const { member, topic } of following(members, TOPICS)) {
    const gaps = checker.gaps.filter((gap) => gap.receiver === member.name && gap.topic === topic);
    assert.ok(gaps.length <= times, `${member.name} was told too often of ${topic}: ${JSON.stringify(gaps)}`);
    const span = member.receiver.span(topic);
    assert.ok(gaps.length === 0 || gaps.at(-1).epoch === span?.epoch, JSON.stringify(gaps));
    for (const gap of gaps) assert.ok(gap.before === 1, `the new epoch begins anew: ${JSON.stringify(gap)}`);
  }
}

test('Redis is killed and comes back empty', { within_ms: 90_000 }, async (t) => {
  const all = await world(t);
  for (let i = 0; i < 5; i++) await sendTo(all.sender, TOPICS);
  const sleeper = all.members[5];
  const dropped = sleeper.drop({ away_ms: 4_000 });
  await all.ring.redis?.end('SIGKILL');
  await all.ring.redis?.begin();
  const began = Date.now();
  await told({ ...all, members: all.members.filter((member) => member !== sleeper) }, TOPICS);
  t.diagnostic(`everybody was told within ${Date.now() - began} ms`);
  await dropped;
  await told(all, TOPICS);
  await goesOn(all, TIMES_EMPTY);
});

test('the log is deleted in a Redis that stays: the next message tells', { within_ms: 90_000 }, async (t) => {
  const all = await world(t);
  for (let i = 0; i < 3; i++) await sendTo(all.sender, TOPICS);
  await all.ring.redis?.command('FLUSHALL');
  await sendTo(all.sender, TOPICS);
  await told(all, TOPICS);
  await goesOn(all, TIMES_EMPTY);
});

test('Redis is killed and comes back as an older copy of itself', { within_ms: 90_000 }, async (t) => {
  const all = await world(t);
  for (let i = 0; i < 5; i++) await sendTo(all.sender, TOPICS);
  const from = await all.ring.redis?.copy();
  const behind = TOPICS.filter((_, i) => i % 2 === 0);
  for (let i = 0; i < 3; i++) await sendTo(all.sender, behind);
  const sleeper = all.members[4];
  const dropped = sleeper.drop({ away_ms: 4_000 });
  await all.ring.redis?.end('SIGKILL');
  await all.ring.redis?.begin({ from });
  await told({ ...all, members: all.members.filter((member) => member !== sleeper) }, behind);
  await dropped;
  await told(all, behind);
  await goesOn(all, 1);
});

test('an older copy, in the middle of traffic: what it lost is told, what came later arrives', { within_ms: 90_000 }, async (t) => {
  const all = await world(t);
  const affected = new Set();
  let phase = 'before';
  const sending = Promise.all(all.members.slice(0, 6).map(async (member, k) => {
    for (let i = k; phase !== 'done'; i += 5) {
      const topic = TOPICS[i % TOPICS.length];
      const at = phase;
      await sendTo(member, [topic]);
      if (at === 'copied' && phase === 'copied') affected.add(topic);
    }
  }));
  await until('some messages', () => all.checker.sent > 300, { within_ms: 20_000 });
  const from = await all.ring.redis?.copy();
  phase = 'copied';
  await until('more messages, to every topic', () => affected.size === TOPICS.length, { within_ms: 20_000 });
  phase = 'killed';
  await all.ring.redis?.end('SIGKILL');
  await all.ring.redis?.begin({ from });
  const sent = all.checker.sent;
  await until('it goes on', () => all.checker.sent > sent + 200, { within_ms: 30_000 });
  phase = 'done';
  await sending;
  await told(all, [...affected]);
  await goesOn(all, 1);
});
