/**
 * How long a message takes from one client's socket to another's, across two nodes, at a moderate rate:
 * `node tests/bench/latency.mjs`, after `cargo build --release -p lookup-service -p ws-node -p ringdial`.
 *
 * Other work on the machine shows here: run it on a quiet one. Options: `--pairs N` (20), `--rate N` messages a second in
 * all (500), `--messages N` (10000).
 */
import { parseArgs } from 'node:util';
import { cluster } from '../harness/cluster.mjs';
import { Loaders, report } from './loaders.mjs';

const text = { type: /** @type {const} */ ('string') };
const { values } = parseArgs({ options: { pairs: text, rate: text, messages: text } });
const PAIRS = Number(values.pairs ?? 20);
const RATE = Number(values.rate ?? 500);
const MESSAGES = Number(values.messages ?? 10_000);

const made = await cluster({ nodes: 2, lookups: 1, flags: { node: ['--sends-per-second', '1000', '--sends-burst', '1000'] }, log_level: 'warn' });
const loaders = new Loaders(1);
try {
  // Of each pair the first is at home at n1 and the second at n2.
  const ring = await made.ring();
  const at = (/** @type {string} */ node) => users(node, ring);
  const [here, there] = [at('n1'), at('n2')];
  // One after the other, so that the loader has them in this order.
  for (let i = 0; i < PAIRS; i++) for (const user of [here[i], there[i]]) await loaders.open(made, [user]);
  const told = { every_ms: (1000 * PAIRS) / RATE, text: 'x'.repeat(100) };
  await loaders.tell('stroll', { ...told, count: 20, fields: {} });
  for (const ephemeral of [true, false]) {
    const [{ sent, latencies }] = await loaders.tell('stroll', { ...told, count: Math.ceil(MESSAGES / PAIRS), fields: { ephemeral } });
    latencies.sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
    const part = (/** @type {number} */ share) => latencies[Math.floor(latencies.length * share)];
    report(`${ephemeral ? 'ephemeral' : 'durable'}, ${RATE} a second between ${PAIRS} pairs`, { 'p50 ms': part(0.5), 'p90 ms': part(0.9), 'p99 ms': part(0.99), lost: sent - latencies.length });
  }
} finally {
  loaders.stop();
  await made.stop();
}

/** Users whose home a node is. @param {string} node @param {import('../harness/ring.mjs').RingDocument} ring */
function users(node, ring) {
  const found = [];
  for (let i = 0; found.length < PAIRS; i++) if (ring.home(`user-${i}`) === node) found.push(`user-${i}`);
  return found;
}
