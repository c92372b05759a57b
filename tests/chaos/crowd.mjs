/**
 * A process with a crowd of clients that only hold a connection, and come back to it as docs/PROTOCOL.md asks: after a random part
 * of the node's `retry_spread_ms`, by a new lookup, which waits as long as it is told to. Told what to do by crowds.mjs.
 */
import { makeJwt } from '../harness/jwt.mjs';
import { delay } from '../harness/until.mjs';
import { Pipe } from '../bench/pipe.mjs';
import { Wire, frameOf } from '../bench/wire.mjs';

/** Clients that come at the same time at the beginning, which is no subject here. */
const AT_ONCE = 256;
const BASE_MS = 500;
const MAX_MS = 5_000;
/** Connections to each lookup service: a client library of its own for each client would cost more than all the servers together. */
const PIPES = 8;
const HELLO = frameOf({ op: 'hello' });
const PONG = frameOf({ op: 'pong' });
/** @type {Map<string, Promise<Pipe>>} */
const pipes = new Map();

/** @typedef {{ user: string, token: string, by: number, pipe: number, here: boolean, lost_ms: number, asked_ms: number, let_in_ms: number, spread_ms: number }} Client */
/** @type {Client[]} */
let clients = [];
/** @type {string[]} */
let lookups = [];
/** @typedef {{ asked_ms: number, let_in_ms: number, back_ms: number }} Return after the loss of a connection: the first lookup, the answer with a ticket, `welcome` */
/** @type {Return[]} */
const returns = [];
/** @typedef {{ node: string, asked_ms: number, read_ms: number }} Admission by a clock that all processes share */
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
    clients = users.map((/** @type {string} */ user, /** @type {number} */ i) => ({
      user, token: makeJwt({ sub: user }, jwtSecret), by: i % urls.length, pipe: i % (urls.length * PIPES), here: false, lost_ms: 0, asked_ms: 0, let_in_ms: 0, spread_ms: 500,
    }));
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (next < clients.length) await persist(clients[next++]);
    }));
    attempts = slowedDown = most = 0;
    admissions = [];
  },

  /** How many are here, and how many have come back. */
  async count() {
    return { here: clients.filter(({ here }) => here).length, returns: returns.length };
  },

  async report() {
    return { returns, slowedDown, attempts, most, admissions };
  },
};

/** Tries until it is connected. @param {Client} client */
async function persist(client) {
  /** @type {string[]} */
  const avoid = [];
  for (let failures = 0; ; failures++) {
    attempts++;
    most = Math.max(most, failures + 1);
    const asked_ms = clock();
    if (failures === 0) client.asked_ms = asked_ms;
    const grant = await look(client, avoid);
    client.let_in_ms = clock();
    if (grant.protocols) admissions.push({ node: grant.node, asked_ms, read_ms: client.let_in_ms });
    if (grant.protocols && (await connect(client, grant))) return;
    if (grant.node) avoid.push(grant.node);
    if (grant.code === 'slow_down') slowedDown++;
    await delay(grant.retry_after_ms ? grant.retry_after_ms + Math.random() * BASE_MS : Math.random() * Math.min(MAX_MS, BASE_MS * 2 ** failures));
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
      const { lost_ms, asked_ms, let_in_ms } = client;
      if (lost_ms) returns.push({ asked_ms: asked_ms - lost_ms, let_in_ms: let_in_ms - lost_ms, back_ms: clock() - lost_ms });
      [client.here, client.lost_ms] = [true, 0];
      resolve(true);
    });
    wire.write(HELLO);
    wire.ended.then(() => {
      resolve(false);
      if (!client.here) return;
      [client.here, client.lost_ms] = [false, clock()];
      setTimeout(() => persist(client), Math.random() * client.spread_ms);
    });
  });
}

/** The answer, whatever it is: a grant, or a problem. @param {Client} client @param {string[]} avoid @returns {Promise<any>} */
async function look({ user, token, by, pipe }, avoid) {
  const query = avoid.map((node) => `&avoid=${node}`).join('');
  try {
    return (await (await pipeTo(lookups[by], pipe)).get(`/lookup?id=${user}${query}`, token)).json;
  } catch {
    return {};
  }
}

/** A connection that stands, or a new one. @param {string} url @param {number} which @returns {Promise<Pipe>} */
function pipeTo(url, which) {
  const name = `${url} ${which}`;
  const made = pipes.get(name) ?? Pipe.to(url);
  if (!pipes.has(name)) {
    pipes.set(name, made);
    const forget = () => pipes.delete(name);
    made.then(({ socket }) => socket.once('close', forget), forget);
  }
  return made;
}

/** In milliseconds. */
const clock = () => performance.timeOrigin + performance.now();

process.on('message', async (/** @type {any} */ { id, deed, ...told }) => {
  process.send?.({ id, result: await deeds[deed](told) });
});
process.on('disconnect', () => process.exit());
