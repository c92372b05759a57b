/** `ringdial conformance`: the npm client keeps every rule, and clients that are spoilt in one place are found by the right one. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before } from 'node:test';
import { binary } from '../harness/binaries.mjs';
import { Process } from '../harness/process.mjs';
import { test } from '../harness/test.mjs';
import { until, within } from '../harness/until.mjs';
import { PYTHON, documented, inPython, judged } from './conformance-client.mjs';

/** Of a run, however slow the machine. */
const RUN_MS = 110_000;
/** Of a test: it may have to wait for others, and to try again. */
const WITHIN = { within_ms: 3 * RUN_MS };

/** @typedef {import('./conformance-client.mjs').Faults} Faults */
/** @typedef {Awaited<ReturnType<typeof judged>>} Judged */

/** @param {string} op @param {(frame: any) => object | undefined} change @returns {(text: string) => string | undefined} */
const on = (op, change) => (text) => {
  const frame = JSON.parse(text);
  if (frame.op !== op) return text;
  const other = change(frame);
  return other && JSON.stringify(other);
};

/** A lookup's answer, or refusal, with other contents. @param {Response} response @param {(body: any) => object} change */
const changed = async (response, change) => new Response(JSON.stringify(change(await response.json().catch(() => ({})))), { status: response.status });

/** The second lookup is answered with the first one's ticket. @returns {Faults['fetch']} */
function reuses() {
  /** @type {string} */
  let first;
  let count = 0;
  return async (ask, url) => {
    if (++count === 2) return new Response(first);
    const response = await ask(url);
    first ??= await response.clone().text();
    return response;
  };
}

/** Each socket has keys of its own. @type {NonNullable<Faults['out']>} */
const keysOfSockets = (text, socket) => on('send', ({ key, ...rest }) => ({ ...rest, key: `${key} of ${socket.all.indexOf(socket)}` }))(text);

/** Each send has a key of its own. @returns {NonNullable<Faults['out']>} */
function keysOfSends() {
  let count = 0;
  return on('send', (frame) => ({ ...frame, key: `${++count}` }));
}

/** What is said and heard by a client that forgets a topic's position when it is pending. @returns {Faults} */
function forgetsPending() {
  let pending = false;
  return {
    in: on('welcome', (frame) => {
      pending = JSON.stringify(frame.topics).includes('"pending"');
      return frame;
    }),
    out: on('hello', (frame) => (pending ? { ...frame, resume: { 'g:conformance': frame.resume['g:conformance'] } } : frame)),
  };
}

/** At `moved` the socket is gone. @type {NonNullable<Faults['in']>} */
const leavesAtOnce = (text, socket) => (text.includes('"op":"moved"') ? void socket.terminate() : text);

/** What is planted, in which scene it shows, and by which rule it is found. @type {Record<string, { only: string, rule: string, faults: import('./conformance-client.mjs').Faults }>} */
const PLANTED = {
  'ignores ping': { only: 'begin', rule: 'ping', faults: { in: on('ping', () => undefined) } },
  'says something before hello': { only: 'begin', rule: 'hello-first', faults: { out: on('hello', () => ({ op: 'online', users: [] })) } },
  'ends at an op that it does not know': { only: 'begin', rule: 'unknown', faults: { in: (text, socket) => (text.includes('"x_later"') ? void socket.close(1003) : text) } },
  'reuses a ticket': { only: 'at-once', rule: 'one-lookup', faults: { fetch: reuses() } },
  'waits after each close': { only: 'at-once', rule: 'at-once', faults: { close: (code) => (code === 4077 ? 4101 : code), options: () => ({ random: () => 0.99, retry: { baseMs: 4_000, maxMs: 4_000 } }) } },
  'has no jitter': { only: 'back-off', rule: 'jitter', faults: { options: () => ({ random: () => 0.5 }) } },
  'waits never': { only: 'back-off', rule: 'back-off', faults: { options: () => ({ random: () => 0 }) } },
  'does not read retry_after_ms': { only: 'refused', rule: 'retry-after', faults: { fetch: async (ask, url) => changed(await ask(url), ({ retry_after_ms: _, ...rest }) => rest), options: () => ({ random: () => 0 }) } },
  'forgets whom it could not reach': { only: 'unreachable', rule: 'avoid', faults: { fetch: (ask, url) => ask(url.replace(/&avoid=[^&]*/g, '')) } },
  'reconnects after 44xx': { only: 'stopped', rule: 'stops', faults: { close: (code) => (code === 4477 ? 4001 : code) } },
  'takes 4401 for 4001': { only: 'token', rule: 'token-once', faults: { close: (code) => (code === 4401 ? 4001 : code), options: () => ({ random: () => 0 }) } },
  'keeps its token': { only: 'token', rule: 'newer-token', faults: { options: () => ({ token: () => 'one for ever' }) } },
  'breaks before it makes': { only: 'move', rule: 'move-socket', faults: { in: leavesAtOnce } },
  'says no session that it replaces': { only: 'move', rule: 'move-replaces', faults: { out: on('hello', ({ replaces: _, ...rest }) => rest) } },
  'repeats with new keys in a move': { only: 'move', rule: 'move-repeats', faults: { out: keysOfSockets } },
  'does not detach': { only: 'move', rule: 'move-detach', faults: { out: on('detach', () => undefined) } },
  'gives what came twice': { only: 'move', rule: 'once', faults: { in: on('message', ({ epoch: _, offset: __, id: ___, ...rest }) => rest) } },
  'looks up after a move that failed': { only: 'failed-move', rule: 'failed-move', faults: { in: leavesAtOnce } },
  'forgets its positions': { only: 'resume', rule: 'resume', faults: { out: on('hello', ({ resume: _, ...rest }) => rest) } },
  'takes a pending topic for one at its head': { only: 'resume', rule: 'pending', faults: forgetsPending() },
  'keeps gaps to itself': { only: 'resume', rule: 'gap', faults: { in: on('gap', () => undefined) } },
  'repeats with another key': { only: 'repeat', rule: 'same-key', faults: { out: keysOfSends() } },
  'repeats too soon': { only: 'repeat', rule: 'slow-down', faults: { in: on('error', ({ retry_after_ms: _, ...rest }) => rest) } },
  'cuts its connection': { only: 'close', rule: 'close-frame', faults: { cuts: true } },
};

/** Those that only times tell from good ones: a busy machine may hide them once. */
const BY_TIMES = ['at-once', 'jitter', 'back-off', 'retry-after', 'stops', 'token-once', 'slow-down', 'failed-move'];

/** So often a run is tried in which nothing else was wrong. */
const TRIES = 4;

/** Those that are spoilt run at once: they wait, for the most part. */
/** @type {Record<string, Promise<Judged>>} */
const whole = {};
const NO_PYTHON = !existsSync(PYTHON) && 'tests/run --only install makes tests/.venv';
/** @type {Map<string, Promise<Judged>>} */
const spoilt = new Map();
/** @type {(() => void)[]} */
const endings = [];
const running = /** @type {import('node:test').TestContext} */ (/** @type {unknown} */ ({ after: (/** @type {() => void} */ end) => endings.push(end) }));
before(() => {
  whole.npm = judged(running, { client: documented });
  if (!NO_PYTHON) whole.Python = judged(running, { client: inPython });
  const good = Promise.allSettled(Object.values(whole));
  for (const [name, plant] of Object.entries(PLANTED)) spoilt.set(name, good.then(() => judged(running, plant)));
  // Whoever awaits them hears of it.
  for (const run of [...Object.values(whole), ...spoilt.values()]) run.catch(() => {});
});
after(async () => {
  for (const end of endings) await end();
});

for (const [name, { client, skip }] of Object.entries({ npm: { client: documented, skip: false }, Python: { client: inPython, skip: NO_PYTHON } })) {
  test(`the ${name} client keeps every rule`, { ...WITHIN, skip }, async () => {
    let run = await whole[name];
    for (let tries = 1; run.broken.length > 0 && run.broken.every((rule) => BY_TIMES.includes(rule)) && tries < TRIES; tries++) run = await judged(running, { client });
    const { code, rules, summary } = run;
    assert.deepEqual(rules.filter(({ outcome }) => outcome !== 'ok'), []);
    assert.ok(rules.length > 30, String(rules.length));
    assert.equal(summary.ok, true);
    assert.equal(code, 0);
  });
}

for (const [name, { only, rule, faults }] of Object.entries(PLANTED)) {
  test(`a client that ${name} breaks the rule ${rule}`, WITHIN, async () => {
    let run = await /** @type {Promise<Judged>} */ (spoilt.get(name));
    for (let tries = 1; BY_TIMES.includes(rule) && !run.broken.includes(rule) && tries < TRIES; tries++) run = await judged(running, { only, faults });
    const found = run.rules.find((found) => found.rule === rule);
    assert.ok(run.broken.includes(rule), JSON.stringify(run.rules.filter(({ outcome }) => outcome !== 'ok')));
    assert.ok(found.seen && found.remedy && found.section.startsWith('docs/PROTOCOL.md#'), JSON.stringify(found));
    assert.equal(run.code, run.rules.some(({ level, outcome }) => level === 'must' && outcome !== 'ok') ? 1 : 0);
  });
}

test('what is wrong with its arguments is said at once', async () => {
  const checker = new Process('conformance', binary('ringdial'), ['conformance', '--only=moves', '--listen=here']);
  assert.equal((await within('its end', checker.exited)).code, 2);
  assert.match(checker.stderr, /^ringdial conformance: --only: .*failed-move/m);
  assert.match(checker.stderr, /^ringdial conformance: --listen: /m);
});

test('people are told where to look up, and Ctrl-C ends it', async () => {
  const checker = new Process('conformance', binary('ringdial'), ['conformance', '--listen=127.0.0.1:0']);
  await until('the greeting', () => /http:\/\/127\.0\.0\.1:\d+\/lookup/.test(checker.stdout), { describe: () => checker.stdout + checker.stderr });
  assert.equal((await checker.stop('SIGINT')).code, 1);
  assert.match(checker.stderr, /ended/);
});
