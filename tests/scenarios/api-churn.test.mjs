/** A back end goes on writing while nodes join and die and a lookup service dies: everything arrives, once and in order. */
import assert from 'node:assert/strict';
import { BackEnd } from '../harness/back-end.mjs';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { Member } from '../harness/member.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { until } from '../harness/until.mjs';

const GROUPS = ['red', 'green', 'blue'];

test('nodes and a lookup service come and go under a back end\'s messages', { within_ms: 150_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2, flags: { node: ['--retention', '*=5000,5m'] } });
  t.after(() => ring.stop());
  const checker = new TopicChecker({ ephemeralMayBeLost: true });
  const users = names(40, 'member');
  const members = await Promise.all(users.map((user, i) => new Member(ring, checker, user, { claims: { groups: [GROUPS[i % 3]] } }).begin()));
  const servers = ['billing', 'news', 'alarms'].map((name) => new BackEnd(ring, { name, checker }));
  let [done, batches, living] = [false, 0, [0, 1]];

  /** @param {number} s @param {number} round */
  const batch = (s, round) => Array.from({ length: 40 }, (_, i) => {
    const n = 40 * round + i;
    if (i % 20 === 7) return { to: { group: GROUPS[(n + s) % 3] } };
    if (i % 20 === 11) return { to: { users: users.filter((_, u) => (u + n) % 8 === 0) } };
    if (i % 20 === 13) return { to: { user: users[n % users.length] }, ephemeral: true };
    if (i % 20 === 17) return { to: /** @type {const} */ ({ all: true }), ephemeral: true };
    return { to: { user: users[(7 * n + s) % users.length] } };
  });
  const writing = servers.map(async (server, s) => {
    for (let round = 0; !done; round++) {
      await server.send(batch(s, round), () => living[(round + s) % living.length]);
      batches++;
    }
  });
  const retries = () => servers.reduce((sum, server) => sum + server.retries, 0);
  const more = (/** @type {number} */ count) => {
    const from = batches;
    return until(`${count} more batches`, () => batches >= from + count, { within_ms: 40_000, describe: () => batches - from });
  };

  await more(15);
  await ring.startNode({ id: 'n4' });
  await more(15);
  await ring.kill(ring.node('n2'));
  await more(15);
  const before = retries();
  await ring.kill(ring.lookups[0]);
  await until('somebody asked the dead lookup service', () => retries() > before);
  ring.lookups.shift();
  living = [0];
  await more(15);
  await ring.startNode({ id: 'n2' });
  // It drains: members that were asked to move a moment ago are asked again after 10 s.
  await ring.node('n3').process.stop('SIGTERM', 40_000);
  await more(15);
  done = true;
  await Promise.all(writing);
  await until('everything has arrived', () => checker.missing().length === 0, { within_ms: 30_000, describe: () => checker.missing().slice(0, 5) });
  checker.assertClean();
  t.diagnostic(`${batches} batches, ${checker.sent} messages, ${checker.acknowledgedCount} acknowledged, ${retries()} sent again, ${members.reduce((sum, member) => sum + member.reconnects, 0)} reconnects`);
  assert.deepEqual(checker.gaps, []);
  await Promise.all(members.map((member) => member.end()));
});
