/** A node dies by SIGKILL in the middle of 1,000 messages a second: every acknowledged message arrives, once and in order. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { Traffic } from '../harness/traffic.mjs';
import { until } from '../harness/until.mjs';

const FLAGS = { node: [...MANY_SENDS, '--retention', '*=5000,5m'], lookup: ['--ticket-claims', 'class,role'] };
const PLAN = {
  users: 90, doubles: 10, groups: 15, groupsEach: 2, classes: 5, perSecond: 1_000, dropsPerSecond: 2,
  mix: /** @type {const} */ ({ user: 12, users: 1, group: 5, match: 1, 'ephemeral user': 1 }),
};

test('a home is killed in the middle of 1,000 messages a second', { within_ms: 120_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2, flags: FLAGS });
  t.after(() => ring.stop());
  const checker = new TopicChecker({ ephemeralMayBeLost: true });
  const traffic = await new Traffic(ring, checker, PLAN, 7).begin();
  const before = await ring.ring();
  const homed = [...traffic.users.map((user) => `u:${user}`), ...traffic.groups.map((name) => `g:${name}`)].filter((topic) => before.homeOf(topic) === 'n2');
  assert.ok(homed.length > 15, `${homed.length} topics are at home at n2`);

  let done = false;
  const running = traffic.run(() => done);
  await until('much was sent', () => checker.sent >= 2_500, { within_ms: 30_000 });
  const [sentBefore, killedAt] = [checker.sent, Date.now()];
  const stranded = traffic.members.filter((member) => member.here && member.node === 'n2').map((member) => ({ member, came: member.reconnects }));
  await ring.kill(ring.node('n2'));
  await ring.untilSeen(['n1', 'n3']);
  t.diagnostic(`the ring is without the node after ${Date.now() - killedAt} ms; it was home of ${homed.length} topics and held ${stranded.length} sessions`);
  const sentThen = checker.sent;
  await until('much is sent by the new ring, too', () => checker.sent >= sentThen + 2_500, { within_ms: 30_000 });
  done = true;
  const { seconds, sent } = await running;
  await traffic.settle();
  // How many sends had no answer when the node died is chance: at times none had.
  t.diagnostic(`${sent} messages in ${seconds.toFixed(1)} s, ${sentBefore} before the kill; ${checker.acknowledgedCount} acknowledged, ${traffic.retries} sent again, ${traffic.counts.failed} failed, ${traffic.reconnects} reconnects`);
  assert.deepEqual(checker.gaps, [], 'nothing was said to be missing');
  assert.ok(stranded.length > 10, `${stranded.length} sessions were at the node`);
  assert.deepEqual(stranded.filter(({ member, came }) => member.reconnects === came).map(({ member }) => member.name), [], 'who was at the node came back elsewhere');
});
