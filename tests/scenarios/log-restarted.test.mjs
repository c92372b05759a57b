/** Redis keeps its data and is restarted in the middle of 1,000 messages a second: every acknowledged message arrives. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { Redis } from '../harness/redis.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { Traffic } from '../harness/traffic.mjs';
import { delay } from '../harness/until.mjs';

const FLAGS = { node: [...MANY_SENDS, '--retention', '*=5000,5m'], lookup: ['--ticket-claims', 'class,role'] };
const PLAN = {
  users: 90, doubles: 10, groups: 15, groupsEach: 2, classes: 5, perSecond: 1_000, dropsPerSecond: 5,
  mix: /** @type {const} */ ({ user: 12, users: 1, group: 5, match: 1, 'ephemeral user': 1 }),
};

for (const [how, signal] of /** @type {const} */ ([['killed', 'SIGKILL'], ['stopped in order', 'SIGTERM']])) {
  test(`Redis is ${how} and comes back with its data, in the middle of 1,000 messages a second`, { within_ms: 120_000 }, async (t) => {
    const redis = await Redis.start({ keeps: true });
    t.after(() => redis.stop());
    const ring = await cluster({ nodes: 3, lookups: 2, flags: FLAGS, redis, lease_ms: 3000 });
    t.after(() => ring.stop());
    const checker = new TopicChecker();
    const traffic = await new Traffic(ring, checker, PLAN, 11).begin();
    let done = false;
    const running = traffic.run(() => done);
    await delay(2_000);
    const sentBefore = checker.sent;
    await redis.end(signal);
    await delay(1_500);
    await redis.begin();
    await delay(4_000);
    done = true;
    const { seconds, sent } = await running;
    await traffic.settle();
    t.diagnostic(`${sent} messages in ${seconds.toFixed(1)} s, ${sentBefore} before; ${checker.acknowledgedCount} acknowledged, ${traffic.retries} sent again, ${traffic.counts.failed} failed`);
    assert.ok(sentBefore > 1_000 && sent > 4_000, `${sentBefore} before, ${sent} in all`);
    assert.deepEqual(checker.gaps, [], 'nothing was said to be missing');
    assert.deepEqual(traffic.closes, [], 'nobody was disconnected');
  });
}
