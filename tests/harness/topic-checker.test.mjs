/** The topic checker over a toy cluster: content with a good one, red at each planted fault. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Cluster } from './cluster.mjs';
import { startFakeTopics } from './fake-topics.mjs';
import { TopicChecker } from './topic-checker.mjs';
import { Traffic } from './traffic.mjs';

const PLAN = {
  users: 24, doubles: 4, groups: 4, groupsEach: 2, classes: 4, perSecond: 600, dropsPerSecond: 20, leavesPerSecond: 40,
  mix: /** @type {const} */ ({ user: 5, users: 1, group: 3, match: 1, 'ephemeral user': 1, 'ephemeral group': 1 }),
};

/** Some traffic over a toy cluster. @param {import('node:test').TestContext} t @param {import('./fake-topics.mjs').TopicFault} [fault] */
async function trafficOver(t, fault, seed = 1) {
  const fake = await startFakeTopics(1, fault);
  t.after(fake.stop);
  const running = /** @type {any} */ ({ running: true });
  const ring = new Cluster({});
  ring.lookups = [{ url: fake.url, admin: '', process: running }];
  ring.nodes = fake.nodes.map((node) => ({ ...node, service: 'default', peer: '', admin: '', process: running }));
  const traffic = await new Traffic(ring, new TopicChecker(), PLAN, seed).begin();
  await traffic.run(() => traffic.counts.sent > 600 && traffic.reconnects > 12 && traffic.counts.leaves > 4);
  return traffic;
}

describe('the topic checker', { concurrency: 8 }, () => {
  for (const seed of [1, 2, 3]) {
    test(`a good cluster satisfies it, seed ${seed}`, async (t) => {
      const traffic = await trafficOver(t, 'none', seed);
      await traffic.settle();
      const { checker, counts } = traffic;
      assert.ok(checker.acknowledgedCount > 400, `${checker.acknowledgedCount} acknowledged`);
      assert.ok(checker.delivered > checker.sent && checker.replayed > 10, `${checker.delivered} delivered, ${checker.replayed} replayed`);
      assert.deepEqual([checker.gaps, counts.failed, traffic.closes], [[], 0, []]);
    });
  }

  for (const [fault, finding] of /** @type {const} */ ([
    ['lose', 'lost'], ['lose one', 'lost'], ['duplicate', 'repeated'], ['swap', 'disordered'], ['misdeliver', 'unexpected'], ['alter', 'altered'],
    ['store twice', 'repeated'], ['seam repeats', 'repeated'], ['seam loses', 'lost'], ['ack lies', 'repeated'], ['lose ephemeral', 'lost'], ['repeat ephemeral', 'repeated'],
  ])) {
    test(`a cluster with the fault "${fault}" is found out`, async (t) => {
      const traffic = await trafficOver(t, fault);
      await assert.rejects(traffic.settle(500), new RegExp(`\\d+ ${finding}`));
    });
  }
});
