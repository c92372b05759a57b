/** The npm client in groups: what it gives is collected, and compared with what was acknowledged. */
import assert from 'node:assert/strict';
import { MANY_SENDS } from './flags.mjs';
import { registerToken } from './secrets.mjs';
import { request } from './http.mjs';
import { startClient } from './npm-client.mjs';
import { delay, until } from './until.mjs';

/** @typedef {import('./cluster.mjs').Cluster} Cluster */

/** Long enough for a client to come back; a cluster that has just begun tells nobody who is there for as long. */
export const GRACE_MS = 3_000;
export const FLAGS = { node: [...MANY_SENDS, '--presence-grace', `${GRACE_MS}ms`, '--retention', 'g:small-*=10,5m', '--retention', '*=5000,5m'] };
const CLAIMS = { permissions: ['join:*', 'broadcast'], role: 'tester' };

/** Starts clients that end with the test. @param {import('node:test').TestContext} t @param {() => Cluster} ring */
export const starter = (t, ring) => async (/** @type {string} */ user) => {
  const started = await startClient(ring(), user, { claims: CLAIMS });
  t.after(() => started.client.close());
  return started;
};

/** The back end's request. @param {Cluster} ring @param {string} method @param {string} path */
export async function backEnd(ring, method, path) {
  const headers = { authorization: `Bearer ${registerToken(ring.token('back end', { scope: 'admin' }))}` };
  const { status, text } = await request(`${ring.lookups[0].url}/v1/${path}`, { method, headers });
  assert.ok(status >= 200 && status < 300, `${method} ${path}: ${status} ${text}`);
}

/** What a group's handle, or a client, gives. @param {any} source */
export function listen(source) {
  /** @type {any[]} */
  const all = [];
  source.on('message', (/** @type {any} */ message) => all.push(message));
  return {
    all,
    get stored() {
      return all.filter(({ offset }) => offset !== undefined);
    },
    get data() {
      return all.map(({ data }) => data);
    },
  };
}

/** What a group's handle tells of who is there. @param {any} group */
export function changes(group) {
  /** @type {any[]} */
  const told = [];
  group.on('presence', (/** @type {any} */ change) => told.push(change));
  return told;
}

/** Who is there by what was told. @param {any[]} told */
export function present(told) {
  const users = new Set();
  for (const change of told) {
    if (change.users) users.clear();
    for (const user of [...(change.users ?? []), ...(change.joined ?? [])]) users.add(user);
    for (const user of change.left ?? []) users.delete(user);
    assert.equal(change.count, users.size, JSON.stringify(told));
  }
  return [...users].sort();
}

/** Waits for the last of these acknowledged messages, and compares: each once, where it was acknowledged, without a hole. @param {ReturnType<typeof listen>} heard @param {{ epoch: string, offset: number, data: unknown }[]} acked */
export async function assertAll(heard, acked, who = '') {
  const { epoch, offset } = acked.reduce((one, other) => (one.offset > other.offset ? one : other));
  await until(`${who} ${offset} comes`, () => heard.stored.some((message) => message.epoch === epoch && message.offset === offset), { within_ms: 15_000, describe: () => heard.stored.at(-1) });
  const offsets = heard.stored.map((message) => message.offset);
  assert.deepEqual(offsets, offsets.map((_, i) => offsets[0] + i), `${who}: one after the other`);
  const places = new Map(heard.stored.map((message) => [`${message.epoch} ${message.offset}`, message.data]));
  for (const ack of acked) assert.deepEqual(places.get(`${ack.epoch} ${ack.offset}`), ack.data, `${who}: ${ack.epoch} ${ack.offset}`);
}

/** Sends until it is stopped, a message each `every_ms`. @param {(n: number) => Promise<any>} send */
export function talking(send, every_ms = 20) {
  /** @type {any[]} */
  const acked = [];
  let going = true;
  const over = (async () => {
    /** @type {Promise<unknown>[]} */
    const sends = [];
    for (let n = 0; going; n++) {
      sends.push(send(n).then((ack) => acked.push({ ...ack, data: n })));
      await delay(every_ms);
    }
    await Promise.all(sends);
  })();
  over.catch(() => {});
  return { acked, stop: () => ((going = false), over) };
}
