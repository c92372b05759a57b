/** 500 sessions, 50 groups and 100,000 messages over three nodes and two lookup services on Redis, while clients come and go. */
import { cluster } from '../harness/cluster.mjs';
import { SOAK_FLAGS, SOAK_LIMIT_MS, soak } from '../harness/soak.mjs';
import { test } from '../harness/test.mjs';

test('soak on Redis: nothing lost, repeated, out of order or unexpected', { within_ms: SOAK_LIMIT_MS }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2, flags: SOAK_FLAGS, lease_ms: 3000 });
  t.after(() => ring.stop());
  await soak(ring, (line) => t.diagnostic(line));
});
