/** `ringdial conformance`: the npm client keeps every rule, and clients that are spoilt in one place are found by the right one. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before } from 'node:test';
import WebSocket from 'ws';
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

/** A proxy's refusal without its headers; all else as it is. @param {Response} response */
const bare = async (response) => (response.status === 503 ? new Response(await response.text(), { status: 503 }) : response);

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

/** The data of the inbox's first two messages change places. @returns {NonNullable<Faults['in']>} */
function swaps() {
  /** @type {any[]} */
  const held = [];
  return (text, socket) => {
    const frame = JSON.parse(text);
    if (held.length === 2 || frame.op !== 'message' || frame.offset === undefined || !frame.topic.startsWith('u:')) return text;
    held.push(frame);
    if (held.length === 1) return undefined;
    const [first, second] = held;
    socket.emit('message', Buffer.from(JSON.stringify({ ...first, data: second.data })), false);
    return JSON.stringify({ ...second, data: first.data });
  };
}

/** A loop that runs more than once: each of the first lookups leads to three connections. @returns {Faults['fetch']} */
const thrice = async (ask, url) => {
  for (let i = 0; i < 2; i++) {
    const { url: node, protocols } = await (await ask(url)).json();
    new WebSocket(node, protocols).on('error', () => {});
  }
  return ask(url);
};

/** When its application has closed it, a timer goes on. @returns {Faults} */
function looksUpLate() {
  let lookup = '';
  return {
    fetch: (ask, url) => ask((lookup = url)),
    in: (text) => {
      if (text.includes('"do":"stop"')) setTimeout(() => fetch(lookup).catch(() => {}), 500);
      return text;
    },
  };
}

/**
 * It asks its topics for all that the log holds, as long as it has no position in them. Nothing is wrong with that.
 * @type {Faults}
 */
const ASKS_FOR_EVERYTHING = {
  out: (text, socket) =>
    on('hello', (frame) => {
      const all = ['u:tester', 'g:conformance'].filter((topic) => !frame.resume?.[topic]);
      socket.asked = all;
      return { ...frame, resume: { ...frame.resume, ...Object.fromEntries(all.map((topic) => [topic, { offset: 0 }])) } };
    })(text),
  // A head other than 0 is no position then: the npm client, who has not asked so, would take it for one.
  in: (text, socket) =>
    on('welcome', (frame) => {
      for (const topic of socket.asked) if (frame.topics[topic]?.offset > 0) frame.topics[topic] = { recovered: frame.topics[topic].recovered };
      return frame;
    })(text),
};

/** At `moved` the socket is gone. @type {NonNullable<Faults['in']>} */
const leavesAtOnce = (text, socket) => (text.includes('"op":"moved"') ? void socket.terminate() : text);

/** What is planted, in which scene it shows, and by which rule it is found. @type {Record<string, { only: string, rule: string, faults: import('./conformance-client.mjs').Faults }>} */
const PLANTED = {
  'sends no ticket': { only: 'begin', rule: 'ticket', faults: { open: (protocols, before) => (before === 0 ? protocols.slice(0, 1) : protocols) } },
  'says what is no JSON': { only: 'begin', rule: 'frames', faults: { out: (text) => (text.includes('"pong"') ? 'pong' : text) } },
  'runs its loop three times': { only: 'begin', rule: 'two-sockets', faults: { fetch: thrice } },
  'loses a message': { only: 'begin', rule: 'arrives', faults: { in: on('message', (frame) => (frame.data.do === 'echo' ? undefined : frame)) } },
  'ignores ping': { only: 'begin', rule: 'ping', faults: { in: on('ping', () => undefined) } },
  'says something before hello': { only: 'begin', rule: 'hello-first', faults: { out: on('hello', () => ({ op: 'online', users: [] })) } },
  'ends at an op that it does not know': { only: 'begin', rule: 'unknown', faults: { in: (text, socket) => (text.includes('"x_later"') ? void socket.close(1003) : text) } },
  'reuses a ticket': { only: 'at-once', rule: 'one-lookup', faults: { fetch: reuses() } },
  'waits after each close': { only: 'at-once', rule: 'at-once', faults: { close: (code) => (code === 4077 ? 4101 : code), options: () => ({ random: () => 0.99, retry: { baseMs: 4_000, maxMs: 4_000 } }) } },
  'has no jitter': { only: 'back-off', rule: 'jitter', faults: { options: () => ({ random: () => 0.5 }) } },
  'waits never': { only: 'back-off', rule: 'back-off', faults: { options: () => ({ random: () => 0 }) } },
  'gives up when a connection is lost': { only: 'back-off', rule: 'lost', faults: { close: (code) => (code === 1006 ? 4400 : code) } },
  'does not read Retry-After': { only: 'refused', rule: 'retry-after-header', faults: { fetch: async (ask, url) => bare(await ask(url)), options: () => ({ random: () => 0 }) } },
  'does not read retry_after_ms': { only: 'refused', rule: 'retry-after', faults: { fetch: async (ask, url) => changed(await ask(url), ({ retry_after_ms: _, ...rest }) => rest), options: () => ({ random: () => 0 }) } },
  'forgets whom it could not reach': { only: 'unreachable', rule: 'avoid', faults: { fetch: (ask, url) => ask(url.replace(/&avoid=[^&]*/g, '')) } },
  'reconnects after 44xx': { only: 'stopped', rule: 'stops', faults: { close: (code) => (code === 4477 ? 4001 : code) } },
  'takes 4401 for 4001': { only: 'token', rule: 'token-once', faults: { close: (code) => (code === 4401 ? 4001 : code), options: () => ({ random: () => 0 }) } },
  'keeps its token': { only: 'token', rule: 'newer-token', faults: { options: () => ({ token: () => 'one for ever' }) } },
  'does not move': { only: 'move', rule: 'move-followed', faults: { in: on('moved', () => undefined) } },
  'breaks before it makes': { only: 'move', rule: 'move-socket', faults: { in: leavesAtOnce } },
  'says no session that it replaces': { only: 'move', rule: 'move-replaces', faults: { out: on('hello', ({ replaces: _, ...rest }) => rest) } },
  'repeats with new keys in a move': { only: 'move', rule: 'move-repeats', faults: { out: keysOfSockets } },
  'does not detach': { only: 'move', rule: 'move-detach', faults: { out: on('detach', () => undefined) } },
  'gives what came twice': { only: 'move', rule: 'once', faults: { in: on('message', ({ epoch: _, offset: __, id: ___, ...rest }) => rest) } },
  'looks up after a move that failed': { only: 'failed-move', rule: 'failed-move', faults: { in: leavesAtOnce } },
  'forgets its positions': { only: 'resume', rule: 'resume', faults: { out: on('hello', ({ resume: _, ...rest }) => rest) } },
  'mixes up what comes': { only: 'resume', rule: 'order', faults: { in: swaps() } },
  'takes a pending topic for one at its head': { only: 'resume', rule: 'pending', faults: forgetsPending() },
  'keeps gaps to itself': { only: 'resume', rule: 'gap', faults: { in: on('gap', () => undefined) } },
  'repeats with another key': { only: 'repeat', rule: 'same-key', faults: { out: keysOfSends() } },
  'repeats too soon': { only: 'repeat', rule: 'slow-down', faults: { in: on('error', ({ retry_after_ms: _, ...rest }) => rest) } },
  'looks up after its end': { only: 'close', rule: 'quiet', faults: looksUpLate() },
  'cuts its connection': { only: 'close', rule: 'close-frame', faults: { cuts: true } },
};

/** Those that only times tell from good ones: a busy machine may hide them once. */
const BY_TIMES = ['at-once', 'jitter', 'back-off', 'retry-after', 'retry-after-header', 'stops', 'token-once', 'slow-down', 'failed-move'];

/** So often a run is tried in which nothing else was wrong. */
const TRIES = 4;

/** Those that are spoilt run at once: they wait, for the most part. */
/** @type {Record<string, Promise<Judged>>} */
const whole = {};
const NO_PYTHON = !existsSync(PYTHON) && 'tests/run --only install makes tests/.venv';
/** @type {Record<string, { client?: (lookup: string) => Promise<() => unknown>, faults?: Faults, skip?: string | false }>} */
const GOOD = {
  'the npm client': { client: documented },
  'the Python client': { client: inPython, skip: NO_PYTHON },
  'a client that asks for everything': { faults: ASKS_FOR_EVERYTHING },
};
/** @type {Map<string, Promise<Judged>>} */
const spoilt = new Map();
/** @type {(() => void)[]} */
const endings = [];
const running = /** @type {import('node:test').TestContext} */ (/** @type {unknown} */ ({ after: (/** @type {() => void} */ end) => endings.push(end) }));
before(() => {
  for (const [name, { skip, ...options }] of Object.entries(GOOD)) if (!skip) whole[name] = judged(running, options);
  const good = Promise.allSettled(Object.values(whole));
  for (const [name, plant] of Object.entries(PLANTED)) spoilt.set(name, good.then(() => judged(running, plant)));
  // Whoever awaits them hears of it.
  for (const run of [...Object.values(whole), ...spoilt.values()]) run.catch(() => {});
});
after(async () => {
  for (const end of endings) await end();
});

for (const [name, { skip = false, ...options }] of Object.entries(GOOD)) {
  test(`${name} keeps every rule`, { ...WITHIN, skip }, async () => {
    let run = await whole[name];
    for (let tries = 1; run.broken.length > 0 && run.broken.every((rule) => BY_TIMES.includes(rule)) && tries < TRIES; tries++) run = await judged(running, options);
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

test('for each rule there is a client that breaks it', WITHIN, async () => {
  const planted = Object.values(PLANTED).map(({ rule }) => rule);
  const { rules } = await whole['the npm client'];
  assert.deepEqual(rules.map(({ rule }) => rule).filter((rule) => !planted.includes(rule)), []);
});

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
