/**
 * A process full of clients, told by its parent what to do (see loaders.mjs): several of them, from several addresses,
 * hold more connections and make more load than one.
 */
import { Agent, get } from 'node:http';
import { makeJwt } from '../harness/jwt.mjs';
import { Wire, frameOf } from './wire.mjs';

/** Connections and lookups under way at once. */
const AT_ONCE = 32;
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
const PONG = frameOf({ op: 'pong' });

/** @typedef {{ wire: Wire, user: string, wake: () => void, acks: number, sent: number }} Client */
/** @type {Client[]} */
const clients = [];
let messages = 0;
let rounds = 0;
/** @type {number[]} */
const latencies = [];

/** What the parent may ask for. @type {Record<string, (told: any) => Promise<unknown>>} */
const deeds = {
  async open({ users, claims, lookup, secret, from, service = 'default' }) {
    await each(users, async (/** @type {string} */ user) => {
      const token = makeJwt({ sub: user, ...claims }, secret);
      const client = /** @type {Client} */ ({ user, wake: () => {}, acks: 0, sent: 0 });
      const welcome = new Promise((resolve) => (client.wake = () => resolve(undefined)));
      const grant = await look(`${lookup}/lookup?id=${user}&service=${service}`, token);
      client.wire = new Wire(grant, from, (frame) => take(client, frame));
      client.wire.write(frameOf({ op: 'hello' }));
      await Promise.race([welcome, client.wire.ended.then((error) => Promise.reject(error))]);
      clients.push(client);
    });
    return clients.length;
  },

  /** Each client joins these groups of its number; answers when all have. */
  async join({ groups, offset }) {
    await each(clients.map((client, i) => ({ client, i })), async (/** @type {{ client: Client, i: number }} */ { client, i }) => {
      for (const make of groups) await acknowledged(client, { op: 'join', group: make.replace('{i}', String(offset + i)).replace('{i%50}', String((offset + i) % 50)) });
    });
    return clients.length;
  },

  /** Each client sends `count` messages to the user of its name and a suffix, `window` at a time. */
  async pump({ count, window, suffix, fields, text }) {
    await Promise.all(clients.map((client) => new Promise((resolve) => {
      const frame = frameOf({ op: 'send', ref: 1, to: { user: client.user + suffix }, data: { text }, ...fields });
      [client.sent, client.acks] = [0, 0];
      client.wake = () => {
        while (client.sent < count && client.sent - client.acks < window) {
          client.sent++;
          client.wire.write(frame);
        }
        if (client.acks >= count) resolve(undefined);
      };
      client.wake();
    })));
    return clients.length * count;
  },

  /** Even and odd clients are pairs: the even one sends one message each `every_ms`, `count` in all; answers the latencies. */
  async stroll({ count, every_ms, fields, text }) {
    latencies.length = 0;
    const pairs = clients.filter((_, i) => i % 2 === 0).map((client, i) => ({ client, to: clients[2 * i + 1].user }));
    const phase = every_ms / pairs.length;
    await Promise.all(pairs.map(async ({ client, to }, i) => {
      const begin = performance.now() + i * phase;
      for (let n = 0; n < count; n++) {
        const wait = begin + n * every_ms - performance.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        client.wire.write(frameOf({ op: 'send', to: { user: to }, data: { at: performance.now(), text }, ...fields }));
      }
    }));
    const deadline = performance.now() + 10_000;
    while (latencies.length < pairs.length * count && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    return { sent: pairs.length * count, latencies };
  },
};

/** @param {Client} client @param {Buffer} frame */
function take(client, frame) {
  // `{"op":"message",...` and so on: telling them apart by a letter or two is enough.
  const kind = frame.toString('latin1', 7, 10);
  if (kind === 'mes') {
    messages++;
    const at = frame.indexOf('"data":{"at":');
    if (at > 0) latencies.push(performance.now() - parseFloat(frame.toString('latin1', at + 13, at + 33)));
    if (messages === (rounds + 1) * clients.length) process.send?.({ round: ++rounds });
  } else if (kind === 'ack' || kind === 'wel') {
    client.acks++;
    client.wake();
  } else if (kind === 'pin') {
    client.wire.write(PONG);
  } else {
    throw new Error(`unexpected ${frame.toString()}`);
  }
}

/** @param {Client} client @param {object} value */
function acknowledged(client, value) {
  return new Promise((resolve) => {
    client.wake = () => resolve(undefined);
    client.wire.write(frameOf({ ref: 1, ...value }));
  });
}

/** Does something for each, some at a time. @template T @param {T[]} all @param {(one: T) => Promise<unknown>} one */
async function each(all, one) {
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < all.length) await one(all[next++]);
  }));
}

/** @param {string} url @param {string} token @returns {Promise<import('./wire.mjs').Grant>} */
function look(url, token) {
  return new Promise((resolve, reject) => {
    get(url, { agent, headers: { authorization: `Bearer ${token}` } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part));
      answer.on('end', () => (answer.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(text))));
    }).on('error', reject);
  });
}

process.on('message', async (/** @type {any} */ { id, deed, ...told }) => {
  process.send?.({ id, result: await deeds[deed](told) });
});
process.on('disconnect', () => process.exit());
