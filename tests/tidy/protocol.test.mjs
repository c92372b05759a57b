/** What docs/PROTOCOL.md says beyond the tables that Rust tests compare: its JavaScript, and the node's own times. */
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { REPOSITORY } from '../harness/binaries.mjs';
import { BalancedRing, RingDocument } from '../harness/ring.mjs';
import { blocks, table, text } from './documents.mjs';
import { read } from './source.mjs';

const protocol = text('docs/PROTOCOL.md');
const source = (/** @type {string} */ file) => read(path.join(REPOSITORY, file));
const code = blocks(protocol, 'runs: home')[0];
const { point, home } = new Function(`${code}; return { point, home };`)();

/** row of the table -> where its value is in the code */
const TIMES = {
  'silence before ping': ['ws-node/src/config.rs', /"heartbeat"[^)]*\)\s*\.default\("(\d+)s"\)/, 1000],
  'from ping to 4102': ['ws-node/src/net/connection.rs', /const PONG_WAIT: Duration = Duration::from_secs\((\d+)\)/, 1000],
  'from the connection to hello': ['ws-node/src/config.rs', /"hello-timeout"[^)]*\)\s*\.default\("(\d+)s"\)/, 1000],
  'a write that makes no progress': ['ws-node/src/net/connection.rs', /const STALL: Duration = Duration::from_secs\((\d+)\)/, 1000],
  "for the client's answer to a close frame": ['ws-node/src/net/connection.rs', /const LINGER: Duration = Duration::from_secs\((\d+)\)/, 1000],
  "for a home's answer": ['cluster/src/homes/mod.rs', /const CALL_WAIT_MS: u64 = ([\d_]+)/, 1],
  'for the log to store a message': ['ws-node/src/core/home.rs', /const STORE_WAIT_MS: u64 = ([\d_]+)/, 1],
  'for homes and the log before welcome, or the answer to join, goes out regardless': ['ws-node/src/core/arrive.rs', /const ARRIVAL_WAIT_MS: u64 = ([\d_]+)/, 1],
  'that the last socket lost counts as there': ['ws-node/src/config.rs', /"presence-grace"[^)]*\)\s*\.default\("(\d+)s"\)/, 1000],
  'between two moved to a session, the first time': ['ws-node/src/core/moves.rs', /const PAUSE_MS: u64 = ([\d_]+)/, 1],
  'that avoid holds at a node': ['ws-node/src/core/moves.rs', /const AVOID_MS: u64 = ([\d_]+)/, 1],
  'an offer of a move': ['ws-node/src/setup.rs', /const MOVE_DEADLINE_MS: u64 = ([\d_]+)/, 1],
};

test('its JavaScript computes the points of the vectors', () => {
  const vectors = JSON.parse(source('tests/vectors/ring.json'));
  const key = Uint8Array.from(Buffer.from(vectors.ring_key, 'hex'));
  assert.ok(vectors.points.length >= 5);
  for (const { key: text, point: expected } of vectors.points) assert.equal(point(key, text).toString(16).padStart(16, '0'), expected, text);
});

test('its JavaScript finds the homes that another implementation finds', () => {
  const key = Uint8Array.from({ length: 16 }, (_, i) => i * 7);
  const placed = new BalancedRing(key).join('a').join('b', 50).join('c', 300).leave('a');
  const holders = [];
  for (const index of placed.holders) {
    const last = holders.at(-1);
    if (last?.[0] === index) last[1]++;
    else holders.push([index, 1]);
  }
  const nodes = placed.nodes.map(({ id, index, weight }) => ({ id, index, weight, url: '', state: 'active', slots: 0 }));
  const document = { version: 1, signature: '', ring_key: Buffer.from(key).toString('hex'), nodes, holders };
  const other = new RingDocument(document);
  const homes = Array.from({ length: 500 }, (_, i) => [home(document, `user-${i}`).id, other.home(`user-${i}`)]);
  for (const [here, there] of homes) assert.equal(here, there);
  assert.equal(new Set(homes.map(([id]) => id)).size, 2);
});

test("the node's times are those of the code", () => {
  const told = Object.fromEntries(table(protocol, 'checked: times of a node').map(([name, ms]) => [name, Number(ms.replaceAll(',', ''))]));
  const inCode = Object.entries(TIMES).map(([name, [file, pattern, unit]]) => {
    const found = /** @type {RegExp} */ (pattern).exec(source(String(file)))?.[1];
    return [name, Number(found?.replaceAll('_', '')) * Number(unit)];
  });
  assert.deepEqual(told, Object.fromEntries(inCode));
});
