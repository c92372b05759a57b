/** The same soak over the embedded default: one process without Redis. */
import { cluster } from '../harness/cluster.mjs';
import { SOAK_FLAGS, SOAK_LIMIT_MS, soak } from '../harness/soak.mjs';
import { test } from '../harness/test.mjs';

test('soak of the embedded default: nothing lost, repeated, out of order or unexpected', { within_ms: SOAK_LIMIT_MS }, async (t) => {
  const ring = await cluster({ store: 'embedded', nodes: 3, flags: SOAK_FLAGS });
  t.after(() => ring.stop());
  await soak(ring, (line) => t.diagnostic(line));
});
