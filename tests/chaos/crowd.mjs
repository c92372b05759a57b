/**
 * A process with a crowd of clients that only hold a connection, and come back to it as docs/PROTOCOL.md asks: after a random part
 * of the node's `retry_spread_ms`, by a new lookup, which waits as long as it is told to. Told what to do by crowds.mjs.
 */
import { Agent, get } from 'node:http';
import { makeJwt } from '../harness/jwt.mjs';
import { delay } from '../harness/until.mjs';
import { Wire, frameOf } from '../bench/wire.mjs';

/** Connections that are opened at the same time at the beginning, which is no subject here. */
const AT_ONCE = 64;
const BASE_MS = 500;
const MAX_MS = 5_000;
const HELLO = frameOf({ op: 'hello' });
const PONG = frameOf({ op: 'pong' });
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** @typedef {{ user: string, token: string, by: number, here: boolean, lost_ms: number, spread_ms: number }} Client */
/** @type {Client[]} */
let clients = [];
/** @type {string[]} */
let lookups = [];
/** How long each was without a connection. @type {number[]} */
const outages = [];
/** @typedef {{ node: string, asked_ms: number, read_ms: number }} Admission */
/** Who was sent to which node, since the beginning is over. @type {Admission[]} */
let admissions = [];
let slowedDown = 0;
let attempts = 0;
/** The most lookups that anybody needed to be back. */
let most = 0;

/** What the parent may ask for. @type {Record<string, (told: any) => Promise<unknown>>} */
const deeds = {
  async open({ users, lookups: urls, jwtSecret }) {
    lookups = urls;
    clients = users.map((/** @type {string} */ user, /** @type {number} */ i) => ({ user, token: makeJwt({ sub: user }, jwtSecret), by: i % urls.length, here: false, lost_ms: 0, spread_ms: 500 }));
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (next < clients.length) await persist(clients[next++]);
    }));
    attempts = slowedDown = most = 0;
    admissions = [];
  },

  /** How many are here, and how many have come back. */
  async count() {
    return { here: clients.filter(({ here }) => here).length, returns: outages.length };
  },

  async report() {
    return { outages, slowedDown, attempts, most, admissions };
  },
};

/** Tries until it is connected. @param {Client} client */
async function persist(client) {
  /** @type {string[]} */
  const avoid = [];
  for (let failures = 0; ; failures++) {
    attempts++;
    most = Math.max(most, failures + 1);
    const asked_ms = performance.now();
    const grant = await look(client, avoid);
    if (grant.protocols) admissions.push({ node: grant.node, asked_ms, read_ms: performance.now() });
    if (grant.protocols && (await connect(client, grant))) return;
    if (grant.node) avoid.push(grant.node);
    if (grant.code === 'slow_down') slowedDown++;
    await delay((grant.retry_after_ms ?? 0) + Math.random() * Math.min(MAX_MS, BASE_MS * 2 ** failures));
  }
}

/** @param {Client} client @param {any} grant @returns {Promise<boolean>} whether it was welcome */
function connect(client, grant) {
  return new Promise((resolve) => {
    const wire = new Wire(grant, undefined, (frame) => {
      const kind = frame.toString('latin1', 7, 10);
      if (kind === 'pin') wire.write(PONG);
      if (kind !== 'wel') return;
      client.spread_ms = Number(/"retry_spread_ms":(\d+)/.exec(frame.toString('latin1'))?.[1] ?? 500);
      if (client.lost_ms) outages.push(Date.now() - client.lost_ms);
      [client.here, client.lost_ms] = [true, 0];
      resolve(true);
    });
    wire.write(HELLO);
    wire.ended.then(() => {
      resolve(false);
      if (!client.here) return;
      [client.here, client.lost_ms] = [false, Date.now()];
      setTimeout(() => persist(client), Math.random() * client.spread_ms);
    });
  });
}

/** The answer, whatever it is: a grant, or a problem. @param {Client} client @param {string[]} avoid @returns {Promise<any>} */
function look(client, avoid) {
  const query = avoid.map((node) => `&avoid=${node}`).join('');
  return new Promise((resolve) => {
    get(`${lookups[client.by]}/lookup?id=${client.user}${query}`, { agent, headers: { authorization: `Bearer ${client.token}` } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part));
      answer.on('end', () => resolve(text.startsWith('{') ? JSON.parse(text) : {}));
    }).on('error', () => resolve({}));
  });
}

process.on('message', async (/** @type {any} */ { id, deed, ...told }) => {
  process.send?.({ id, result: await deeds[deed](told) });
});
process.on('disconnect', () => process.exit());
