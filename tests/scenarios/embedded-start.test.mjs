/** `ringdial` without a word of configuration: it answers within two seconds, and the commands it prints work. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { binary } from '../harness/binaries.mjs';
import { request } from '../harness/http.mjs';
import { Process } from '../harness/process.mjs';
import { test } from '../harness/test.mjs';
import { until, within } from '../harness/until.mjs';

const START_MS = 2_000;

/** @type {Process} */
let ringdial;
/** @type {string} */
let url;
/** @type {number} */
let took_ms;
before(async () => {
  const startedAt = Date.now();
  ringdial = new Process('ringdial', binary('ringdial'), ['--listen', '127.0.0.1:0']);
  url = (await ringdial.readyLine()).url ?? '';
  assert.equal((await request(`${url}/lookup?id=alice`)).status, 200);
  took_ms = Date.now() - startedAt;
});
after(async () => {
  const { code } = await ringdial.stop('SIGINT', 30_000);
  assert.equal(code, 0);
});

/** The commands in what it printed, by their beginning. @param {RegExp} wanted */
const printed = (wanted) => ringdial.stderr.split('\n').map((line) => line.trim()).find((line) => wanted.test(line)) ?? assert.fail(`no ${wanted} in ${ringdial.stderr}`);

/** @param {string} command as a person would paste it */
const paste = (command) => new Process(command, 'bash', ['-c', command]);

test(`it answers a lookup within ${START_MS} ms of its start`, (t) => {
  t.diagnostic(`${took_ms} ms`);
  assert.ok(took_ms < START_MS, `${took_ms} ms`);
});

test('it says loudly that ids are taken without tokens', () => assert.match(ringdial.stderr, /INSECURE/));

test('the commands that it prints work when they are pasted', async (t) => {
  const lookup = paste(printed(/^curl .*\/lookup/));
  await within('the lookup', lookup.exited);
  assert.deepEqual(Object.keys(JSON.parse(lookup.stdout)).slice(0, 2), ['id', 'service']);

  const alice = paste(printed(/^curl .*node - alice$/));
  t.after(() => alice.killNow());
  await until('alice is connected', () => alice.stdout.includes('connected to n'), { describe: () => alice.stdout + alice.stderr });
  const bob = paste(printed(/^curl .*node - bob alice/));
  assert.equal((await within('the message', bob.exited)).code, 0, bob.stderr);
  await until('alice reads it', () => alice.stdout.includes('bob: Hello, Alice'), { describe: () => alice.stdout });
  const lobby = paste(printed(/^curl .*node - alice g:lobby$/));
  t.after(() => lobby.killNow());
  await until('alice is in the group', () => lobby.stdout.includes('in g:lobby: alice'), { describe: () => lobby.stdout + lobby.stderr });
});

test('the addresses it prints are those it listens on', async () => {
  const [line] = ringdial.ready;
  assert.equal(line.nodes?.length, 3);
  for (const node of line.nodes ?? []) assert.ok(ringdial.stderr.includes(node.url), node.url);
  assert.equal((await request(`${url}/`)).status, 200);
});
