/**
 * The figures of the two steps on this machine: `node tests/bench/measure.mjs`, after `cargo build --release -p lookup-service -p ws-node -p ringdial`.
 *
 * Server CPU per operation is what can be compared between runs: clients and servers share the machine, so rates are
 * mostly the clients' limit. Options: `--lookups N`, `--messages N`, `--idle N`.
 */
import { Agent, get } from 'node:http';
import { parseArgs } from 'node:util';
import { cluster } from '../harness/cluster.mjs';
import { Session } from '../harness/session.mjs';
import { delay, until } from '../harness/until.mjs';
import { cpuSeconds, residentBytes } from './procfs.mjs';

const { values } = parseArgs({ options: { lookups: { type: 'string' }, messages: { type: 'string' }, idle: { type: 'string' } } });
const LOOKUPS = Number(values.lookups ?? 30_000);
const MESSAGES = Number(values.messages ?? 100_000);
const IDLE = Number(values.idle ?? 10_000);
const USERS = 100;
const WINDOW = 8;
const FLAGS = ['--sends-per-second', '1000000', '--sends-burst', '1000000'];

const made = await cluster({ nodes: 2, lookups: 1, flags: { node: FLAGS, lookup: ['--lookups-per-node', '1000000'] }, log_level: 'warn' });
try {
  await made.lookup('warm-up');
  report('idle node', { 'resident MB': residentBytes(made.nodes[0].process.pid) / 1e6 });
  report(`${LOOKUPS} lookups with ticket`, await spending([made.lookups[0]], LOOKUPS, lookups));
  report(`${MESSAGES} ephemeral messages to another node, acknowledged`, await spending(made.nodes, MESSAGES, messages));
  report(`${IDLE} idle connections on one node`, await idle());
} finally {
  await made.stop();
}

/** What `work` costs the processes, for each of `count` operations. */
async function spending(parts, count, work) {
  const used = () => parts.reduce((sum, part) => sum + cpuSeconds(part.process.pid), 0);
  const [before, began] = [used(), performance.now()];
  const extra = (await work(count)) ?? {};
  const seconds = (performance.now() - began) / 1000;
  return { 'server CPU µs each': ((used() - before) * 1e6) / count, 'per second here': count / seconds, ...extra };
}

/** Lookups over kept connections. */
async function lookups(count) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const headers = { authorization: `Bearer ${made.token('somebody')}` };
  const once = () =>
    new Promise((resolve, reject) => {
      get(`${made.lookups[0].url}/lookup`, { agent, headers }, (answer) => {
        answer.on('end', () => (answer.statusCode === 200 ? resolve(undefined) : reject(new Error(`status ${answer.statusCode}`))));
        answer.resume();
      }).on('error', reject);
    });
  let left = count;
  await Promise.all(Array.from({ length: 64 }, async () => {
    while (left-- > 0) await once();
  }));
  agent.destroy();
}

/** Pairs of users on different nodes, each sender with a few messages under way. */
async function messages(count) {
  const [here, there] = [[], []];
  for (let i = 0; here.length < USERS || there.length < USERS; i++) {
    const grant = await made.lookup(`user-${i}`);
    const side = grant.node === 'n1' ? here : there;
    if (side.length < USERS) side.push(await Session.open(grant));
  }
  const each = Math.ceil(count / USERS);
  const latencies = [];
  await Promise.all(here.map((session, i) => stream(session, there[i], each, latencies)));
  [...here, ...there].forEach((session) => session.socket.terminate());
  latencies.sort((a, b) => a - b);
  const at = (part) => latencies[Math.floor(latencies.length * part)];
  return { 'p50 ms under this load': at(0.5), 'p99 ms': at(0.99) };
}

/** Sends `count` messages, WINDOW at a time, until all arrived and were acknowledged. */
async function stream(from, to, count, latencies) {
  let [sent, arrived, acked] = [0, 0, 0];
  await new Promise((resolve) => {
    const next = () => {
      while (sent < count && sent - Math.min(arrived, acked) < WINDOW) {
        sent++;
        from.socket.send(JSON.stringify({ op: 'send', ref: sent, to: { user: to.user }, data: { at: performance.now(), text: 'x'.repeat(100) }, ephemeral: true }));
      }
      if (arrived >= count && acked >= count) resolve(undefined);
    };
    const listen = (session, op, handle) => {
      session.socket.removeAllListeners('message');
      session.socket.on('message', (text) => {
        const frame = JSON.parse(text);
        if (frame.op === op) handle(frame);
        else if (frame.op !== 'ping') throw new Error(`unexpected ${text}`);
        next();
      });
    };
    listen(to, 'message', (frame) => latencies.push(performance.now() - frame.data.at) && arrived++);
    listen(from, 'ack', () => acked++);
    next();
  });
}

/** Connections that do nothing, all on one node. */
async function idle() {
  const { pid } = made.nodes[0].process;
  const before = residentBytes(pid);
  const sessions = [];
  for (let i = 0; sessions.length < IDLE; i += 50) {
    const grants = await Promise.all(Array.from({ length: 50 }, (_, j) => made.lookup(`idle-${i + j}`)));
    const mine = grants.filter((grant) => grant.node === 'n1').slice(0, IDLE - sessions.length);
    sessions.push(...(await Promise.all(mine.map((grant) => Session.open(grant)))));
  }
  await until('memory has settled', async () => {
    const first = residentBytes(pid);
    await delay(1000);
    return Math.abs(residentBytes(pid) - first) < 100_000;
  }, { within_ms: 30_000 });
  const spent = cpuSeconds(pid);
  await delay(5000);
  const result = { 'resident MB': residentBytes(pid) / 1e6, 'bytes each': (residentBytes(pid) - before) / IDLE, 'CPU % while idle': ((cpuSeconds(pid) - spent) / 5) * 100 };
  sessions.forEach((session) => session.socket.terminate());
  return result;
}

function report(what, figures) {
  const shown = Object.entries(figures).map(([name, value]) => `${name} ${Number(value).toFixed(value < 10 ? 2 : 0)}`);
  console.log(`${what}: ${shown.join(', ')}`);
}
