/**
 * A crowd that comes back: one of two nodes is killed, and all its users look up in the same instant, then again when they are told to.
 * `node tests/bench/crowd.mjs`, after `cargo build --release -p lookup-service -p ws-node -p ringdial`. Exits with 1 if the other node was sent more than it takes.
 * Options: `--users N`, `--rate N` (lookups a second for a node), `--lookups N` (lookup services, which share that).
 *
 * Times are those at which answers are read here, which is never before they were given: so what was let in up to any moment is at most what
 * this shows, and clumps are stalls of this process.
 */
import { parseArgs } from 'node:util';
import { cluster } from '../harness/cluster.mjs';
import { delay } from '../harness/until.mjs';
import { Pipe } from './pipe.mjs';
import { cpuSeconds } from './procfs.mjs';

const { values } = parseArgs({ options: { users: { type: 'string' }, rate: { type: 'string' }, lookups: { type: 'string' } } });
const [USERS, RATE, LOOKUPS] = [Number(values.users ?? 10_000), Number(values.rate ?? 5000), Number(values.lookups ?? 1)];
const PIPES = 64;
const SLICE_MS = 100;
/** What all buckets hold, when they are full. */
const HELD = LOOKUPS * Math.max(10, Math.floor(RATE / LOOKUPS / 10));

/** @typedef {{ at: number, status: number, node?: string, retry_after_ms?: number, nth: number, by: number }} Answered */

const made = await cluster({ nodes: 2, lookups: LOOKUPS, lease_ms: 3000, flags: { lookup: ['--lookups-per-node', String(RATE)] }, log_level: 'warn' });
try {
  process.exitCode = await play();
} finally {
  await made.stop();
}

async function play() {
  const ring = await made.ring();
  const users = [];
  for (let i = 0; users.length < USERS; i++) if (ring.home(`user-${i}`) === 'n2') users.push({ name: `user-${i}`, token: made.token(`user-${i}`) });
  const pipes = await Promise.all(Array.from({ length: PIPES }, (_, i) => Pipe.to(made.lookups[i % LOOKUPS].url)));
  const used = () => made.lookups.reduce((sum, lookup) => sum + cpuSeconds(lookup.process.pid), 0);
  const before = used();
  await made.kill(made.node('n2'));
  /** @type {Answered[]} */
  const answers = [];
  const began = performance.now();
  await Promise.all(users.map((user, i) => comeBack(user, pipes[i % PIPES], i % PIPES % LOOKUPS, began, answers)));
  const cpu = used() - before;
  pipes.forEach((pipe) => pipe.end());
  return report(answers, cpu);
}

/** What a client does: it looks up, comes again when it is told to, and passes over a node that it cannot reach. */
async function comeBack({ name, token }, pipe, by, began, answers) {
  let avoid = '';
  for (let nth = 1; ; nth++) {
    const { status, json } = await pipe.get(`/lookup?id=${name}${avoid}`, token);
    answers.push({ at: performance.now() - began, status, node: json.node, retry_after_ms: json.retry_after_ms, nth, by });
    if (status === 200 && json.node === 'n1') return;
    if (status === 200) avoid = '&avoid=n2';
    else if (status === 429) await delay(json.retry_after_ms);
    else throw new Error(`${status} ${JSON.stringify(json)}`);
  }
}

/** @param {Answered[]} answers @param {number} cpu @returns {number} the exit code */
function report(answers, cpu) {
  const admitted = answers.filter((answer) => answer.node === 'n1').sort((a, b) => a.at - b.at);
  const last = admitted[admitted.length - 1].at;
  const told = answers.filter((answer) => answer.status === 429 && answer.nth <= 2);
  console.log(`${USERS} users of a killed node, ${LOOKUPS} lookup service(s), ${RATE} lookups a second for a node`);
  histogram('let in', admitted.map((answer) => answer.at));
  histogram('told at their first lookup to come at', told.map((answer) => answer.at + (answer.retry_after_ms ?? 0)));
  const tries = new Map();
  for (const { nth } of admitted) tries.set(nth, (tries.get(nth) ?? 0) + 1);
  console.log(`lookups until let in: ${[...tries].sort(([a], [b]) => a - b).map(([nth, count]) => `${nth}: ${count}`).join(', ')}`);
  console.log(`named the dead node: ${answers.filter((answer) => answer.node === 'n2').length}; the last of all let in after ${last.toFixed(0)} ms`);
  console.log(`CPU of the lookup service(s): ${((cpu * 1e6) / answers.length).toFixed(1)} µs for each of ${answers.length} lookups`);
  console.log(`let in a second, on average: ${((USERS * 1000) / last).toFixed(0)}`);
  const early = admitted.findIndex(({ at }, index) => index + 1 > HELD + (RATE * at) / 1000);
  if (early >= 0) console.log(`TOO MANY: ${early + 1} let in after ${admitted[early].at.toFixed(0)} ms`);
  return admitted.length === USERS && early < 0 ? 0 : 1;
}

/** @param {string} what @param {number[]} times in ms */
function histogram(what, times) {
  const slices = [];
  for (const at of times) slices[Math.floor(at / SLICE_MS)] = (slices[Math.floor(at / SLICE_MS)] ?? 0) + 1;
  console.log(`${what}, each ${SLICE_MS} ms:`);
  for (let slice = 0; slice < slices.length; slice++) console.log(`${String(slice * SLICE_MS).padStart(6)} ${String(slices[slice] ?? 0).padStart(6)} ${'#'.repeat(Math.round(((slices[slice] ?? 0) * 500) / RATE))}`);
}
