/**
 * Nodes come, go and die while users send. Messages may be lost in such moments (they are ephemeral); none comes twice,
 * out of order or to the wrong user, and when it is quiet again every message arrives.
 */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';
import { delay, until } from '../harness/until.mjs';

const USERS = names(60);
const ROUND_MS = 1500;

test('no message comes twice while nodes come, go and die', { within_ms: 150_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2 });
  t.after(() => ring.stop());
  const crowd = await new Crowd(ring).join(USERS);
  const changes = [
    () => ring.startNode({ id: 'n4' }),
    () => ring.kill(ring.node('n1')),
    () => ring.node('n2').process.signal('SIGTERM'),
    () => ring.startNode({ id: 'n5', weight: 300 }),
    () => ring.startNode({ id: 'n1' }),
    () => ring.kill(ring.node('n5')),
  ];
  let changing = true;
  const traffic = sendAlways(crowd, () => changing);
  for (const change of changes) {
    await change();
    await delay(ROUND_MS);
  }
  changing = false;
  const sent = await traffic;
  t.diagnostic(`${sent} messages sent during ${changes.length} changes, ${crowd.checker.received} received`);
  await ring.untilSeen(['n1', 'n3', 'n4']);
  await reconnect(crowd);
  assert.deepEqual(crowd.checker.findings(), [], 'what arrived in the storm was right');

  await crowd.everyoneToEveryNode(3, 2);
  await until('every message of the quiet time arrives', () => crowd.checker.missing().length === 0, { describe: () => crowd.checker.missing().slice(0, 5) });
  crowd.checker.assertClean();
});

/** Everybody sends to somebody, round by round; whoever lost their connection comes back. @param {Crowd} crowd @param {() => boolean} going */
async function sendAlways(crowd, going) {
  let sent = 0;
  for (let round = 1; going(); round++) {
    // Not awaited as deliveries: their loss is no fault here, so they are never reported as acknowledged.
    const sends = USERS.map((user, i) => {
      const to = USERS[(i + round) % USERS.length];
      return crowd.sessions.get(user)?.send({ user: to }, crowd.checker.message(user, to));
    });
    sent += sends.length;
    await Promise.race([Promise.allSettled(sends), delay(2_000)]);
    await reconnect(crowd);
    await delay(100);
  }
  return sent;
}

/** @param {Crowd} crowd */
async function reconnect(crowd) {
  const lost = USERS.filter((user) => crowd.sessions.get(user)?.closed);
  for (const user of lost) crowd.retire(user);
  await Promise.all(lost.map((user) => until(`${user} is back`, () => crowd.connect(user), { within_ms: 20_000, every_ms: 50 })));
}
