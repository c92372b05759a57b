/**
 * What a large group costs its node: `node tests/bench/group.mjs`, after `cargo build --release -p lookup-service -p ws-node -p ringdial`.
 *
 * Memory of a membership, and CPU of a delivery where each message goes to every member, one message at a time and eight.
 * Options: `--members N` (10000; a process may open 20,000 files), `--messages N` (30), `--memberships N` (20), `--loaders N` (3).
 */
import { parseArgs } from 'node:util';
import { cluster } from '../harness/cluster.mjs';
import { Session } from '../harness/session.mjs';
import { delay, until } from '../harness/until.mjs';
import { Loaders, redisPid, report, spent } from './loaders.mjs';
import { residentBytes } from './procfs.mjs';

const text = { type: /** @type {const} */ ('string') };
const { values } = parseArgs({ options: { members: text, messages: text, memberships: text, loaders: text } });
const MEMBERS = Number(values.members ?? 10_000);
const MESSAGES = Number(values.messages ?? 30);
const MEMBERSHIPS = Number(values.memberships ?? 20);
const FLAGS = ['--sends-per-second', '1000000', '--sends-burst', '1000000', '--heartbeat', '10m'];
const CLAIMS = { permissions: ['join:*'] };

const made = await cluster({ nodes: 1, lookups: 1, flags: { node: FLAGS }, log_level: 'warn' });
const loaders = new Loaders(Number(values.loaders ?? 3));
const pid = made.nodes[0].process.pid ?? 0;
let rounds = 0;
try {
  await loaders.open(made, Array.from({ length: MEMBERS }, (_, i) => `member-${i}`), CLAIMS);
  const sender = await Session.open(await made.lookup('sender', { claims: CLAIMS }), { keep: false });
  const alone = await settled();
  await loaders.tell('join', { groups: ['everyone'], offset: 0 });
  const together = await settled();
  report(`${MEMBERS} members of one group`, { 'bytes each': (together - alone) / MEMBERS });
  for (const ephemeral of [true, false]) for (const window of [1, 8]) await deliveries(sender, ephemeral, window);
  const groups = Array.from({ length: MEMBERSHIPS }, (_, n) => `${n}-{i%50}`);
  const before = await settled();
  await loaders.tell('join', { groups, offset: 0 });
  report(`${MEMBERSHIPS} groups more for each, ${50 * MEMBERSHIPS} in all`, { 'bytes each': ((await settled()) - before) / (MEMBERS * MEMBERSHIPS) });
  sender.socket.terminate();
} finally {
  loaders.stop();
  await made.stop();
}

/** Messages to everyone, so many under way. @param {Session} sender @param {boolean} ephemeral @param {number} window */
async function deliveries(sender, ephemeral, window) {
  const count = MESSAGES * (window > 1 ? 2 : 1);
  const pids = { node: [pid], redis: [await redisPid(made)] };
  const { cpu, seconds } = await spent(pids, async () => {
    for (let n = 0; n < count; n++) {
      await loaders.round(rounds + Math.max(n + 1 - window, 0));
      sender.sendFrame({ op: 'send', to: { group: 'everyone' }, data: { text: 'x'.repeat(100) }, ephemeral });
    }
    await loaders.round(rounds + count);
  });
  rounds += count;
  const all = count * MEMBERS;
  const figures = { 'node CPU µs a delivery': (cpu.node * 1e6) / all, 'deliveries a second here': all / seconds };
  report(`${ephemeral ? 'ephemeral' : 'durable'} messages to ${MEMBERS} members, ${window} at a time`, figures);
}

/** Resident bytes of the node once they stay. */
async function settled() {
  await until('memory has settled', async () => {
    const first = residentBytes(pid);
    await delay(1000);
    return Math.abs(residentBytes(pid) - first) < 200_000;
  }, { within_ms: 60_000 });
  return residentBytes(pid);
}
