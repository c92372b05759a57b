/**
 * The long one: 500 sessions in 50 groups, 100,000 messages to users, groups and matches, while connections end and come
 * back; every message judged. SOAK_SCALE=10 makes it ten times as long, SOAK_SEED repeats a run's choices.
 */
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { MANY_SENDS } from './flags.mjs';
import { TopicChecker } from './topic-checker.mjs';
import { Traffic } from './traffic.mjs';

const SCALE = Number(process.env.SOAK_SCALE ?? 1);
const MESSAGES = 100_000 * SCALE;
/** A run with fewer proves too little. */
const RECONNECTS_MIN = 1_000 * SCALE;
const LEAVES_MIN = 200 * SCALE;

/** A node waits so long for the answer to its close frame, then it hangs up. */
const LINGER_MS = 2_000;

const PLAN = {
  users: 450, doubles: 50, groups: 50, groupsEach: 3, classes: 25, perSecond: 2_500, dropsPerSecond: 40, leavesPerSecond: 20,
  mix: /** @type {const} */ ({ user: 60, users: 5, group: 25, match: 4, 'ephemeral user': 4, 'ephemeral group': 2 }),
};

/** What the processes must be told so that 500 clients can send as much. */
export const SOAK_FLAGS = { node: MANY_SENDS, lookup: ['--ticket-claims', 'class,role'] };
export const SOAK_LIMIT_MS = 90_000 + 120_000 * SCALE;

/** @param {import('./cluster.mjs').Cluster} ring @param {(line: string) => void} tell */
export async function soak(ring, tell) {
  const seed = Number(process.env.SOAK_SEED ?? Date.now() % 1_000_000);
  const checker = new TopicChecker();
  const traffic = await new Traffic(ring, checker, PLAN, seed).begin();
  const perNode = ring.idsOf().map((id) => traffic.members.filter((member) => member.node === id).length);
  tell(`seed ${seed}; ${traffic.members.length} sessions on ${perNode} of each node`);
  const held = monitorEventLoopDelay();
  held.enable();
  const { seconds, sent } = await traffic.run(() => traffic.counts.sent >= MESSAGES && traffic.reconnects >= RECONNECTS_MIN);
  // Before the checker holds it itself.
  held.disable();
  const began = Date.now();
  const outcome = await traffic.settle(30_000).then(() => undefined, (error) => error);
  const { counts, reconnects, retries } = traffic;
  const held_ms = held.max / 1e6;
  const { delivered, received, overlapped, replayed, acknowledgedCount } = checker;
  tell(`${sent} messages in ${seconds.toFixed(1)} s, settled ${Date.now() - began} ms later: ${acknowledgedCount} acknowledged, ${counts.failed} failed, ${retries} sent again`);
  tell(`${received} received: ${delivered} news (${replayed} replayed), ${overlapped} twice in an overlap; ${checker.pending} topics were pending; this process did not get round to its sockets for ${held_ms.toFixed(0)} ms at most`);
  tell(`${reconnects} reconnects: ${counts.cuts} cut, ${counts.closes} closed, ${counts.moves} moved; ${counts.leaves} groups left and joined again`);
  const { lost, repeated, disordered, unexpected, altered } = checker.counts();
  tell(`lost ${lost}, repeated ${repeated}, out of order ${disordered}, unexpected ${unexpected}, altered ${altered}`);
  assert.ifError(outcome);
  // On a machine that gives these clients so little time, nodes have hung up on some that were to close.
  const closes = traffic.closes.filter((code) => !(code === 1006 && held_ms > LINGER_MS));
  assert.deepEqual([checker.gaps.length, [...traffic.failures], closes], [0, [], []], 'gaps, failed sends, connections that nodes closed');
  assert.ok(Math.min(...perNode) > 50, `sessions on every node: ${perNode}`);
  assert.ok(sent >= MESSAGES && acknowledgedCount >= 0.98 * MESSAGES, `${sent} sent, ${acknowledgedCount} acknowledged`);
  assert.ok(reconnects >= RECONNECTS_MIN && counts.leaves >= LEAVES_MIN, `${reconnects} reconnects, ${counts.leaves} leaves`);
  assert.ok(delivered > 5 * MESSAGES && replayed > MESSAGES / 20, `${delivered} delivered, ${replayed} of them replayed`);
}
