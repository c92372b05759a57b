/**
 * What a durable message costs, through two nodes to Redis and back: `node tests/bench/durable.mjs`, after
 * `cargo build --release -p lookup-service -p ws-node -p ringdial`. Half of the messages have their home at the other node.
 *
 * CPU per message of nodes and Redis can be compared between runs; the rate is that of a machine that the senders share.
 * Options: `--messages N` (200000), `--senders N` (400), `--window N` under way for each (1, 8 and 32 if not given).
 */
import { parseArgs } from 'node:util';
import { cluster } from '../harness/cluster.mjs';
import { Loaders, redisPid, report, spent } from './loaders.mjs';

const text = { type: /** @type {const} */ ('string') };
const { values } = parseArgs({ options: { messages: text, senders: text, window: text } });
const MESSAGES = Number(values.messages ?? 200_000);
const SENDERS = Number(values.senders ?? 400);
const WINDOWS = values.window ? [Number(values.window)] : [1, 8, 32];
const FLAGS = ['--sends-per-second', '1000000', '--sends-burst', '1000000', '--heartbeat', '10m'];

const made = await cluster({ nodes: 2, lookups: 1, flags: { node: FLAGS }, log_level: 'warn' });
const loaders = new Loaders(2);
const redis = await redisPid(made);
const pids = { nodes: made.nodes.map((node) => node.process.pid ?? 0), redis: [redis] };
try {
  await loaders.open(made, Array.from({ length: SENDERS }, (_, i) => `sender-${i}`));
  await load('warm-up', 8, {}, MESSAGES / 10);
  for (const window of WINDOWS) await load(`durable, each of ${SENDERS} senders ${window} at a time`, window, {}, MESSAGES);
  await load(`ephemeral, ${WINDOWS[0]} at a time`, WINDOWS[0], { ephemeral: true }, MESSAGES);
} finally {
  loaders.stop();
  await made.stop();
}

/** To users who are not there: what is measured is storing and acknowledging. @param {string} what @param {number} window @param {object} fields @param {number} messages */
async function load(what, window, fields, messages) {
  const count = Math.ceil(messages / SENDERS);
  const all = count * SENDERS;
  const { cpu, seconds } = await spent(pids, () => loaders.tell('pump', { count, window, suffix: '-away', fields, text: 'x'.repeat(100) }));
  const each = (/** @type {number} */ used) => (used * 1e6) / all;
  report(what, { 'nodes CPU µs a message': each(cpu.nodes), 'redis CPU µs a message': each(cpu.redis), 'a second here': all / seconds });
}
