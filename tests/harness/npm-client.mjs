/** The npm client as it is built, for scenarios in which its own doing counts: reconnecting, moving, going on in its topics. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';
import { REPOSITORY } from './binaries.mjs';
import { registerToken } from './secrets.mjs';
import { until } from './until.mjs';

const ENTRY = path.join(REPOSITORY, 'js-client/dist/esm/index.js');

/** What the package gives to who imports it. @returns {Promise<any>} */
export async function npmPackage() {
  if (!existsSync(ENTRY)) throw new Error(`${ENTRY} is not there: npm run build in js-client`);
  return import(pathToFileURL(ENTRY).href);
}

/** @typedef {Awaited<ReturnType<typeof startClient>>} Started */
/** @typedef {{ claims?: Record<string, unknown>, early?: (client: any) => unknown, onSocket?: (socket: WebSocket, protocols: string[]) => void, retry?: object }} StartOptions `early`: before it connects; `retry`: as the client's, whose own is what services advise */

/**
 * A connected client of a user, and what it has told so far.
 * @param {import('./cluster.mjs').Cluster} cluster @param {string} user @param {StartOptions} [options]
 */
export async function startClient(cluster, user, { claims, early, onSocket, retry = { baseMs: 100, maxMs: 2_000 } } = {}) {
  const { createClient } = await npmPackage();
  /** @type {WebSocket[]} */
  const sockets = [];
  const client = createClient({
    lookup: cluster.lookups.map((lookup) => `${lookup.url}/lookup`),
    token: () => registerToken(cluster.token(user, claims)),
    WebSocket: class extends WebSocket {
      constructor(/** @type {string} */ url, /** @type {string[]} */ protocols) {
        super(url, protocols);
        sockets.push(this);
        onSocket?.(this, protocols);
      }
    },
    retry,
  });
  /** @type {string[]} */
  const states = [];
  /** @type {{ from: string, to: string, reason: string }[]} */
  const moves = [];
  /** @type {any[]} */
  const gaps = [];
  /** @type {any[]} */
  const errors = [];
  client.on('status', (/** @type {any} */ status) => states.push(status.state));
  client.on('moved', (/** @type {any} */ moved) => moves.push(moved));
  client.on('gap', (/** @type {any} */ gap) => gaps.push(gap));
  client.on('error', (/** @type {any} */ error) => errors.push(error));
  early?.(client);
  await client.connect();
  /** Breaks its sockets under it, without a word to anybody. */
  const cut = () => sockets.forEach((socket) => socket.terminate());
  /** The same, and waits until it is connected anew. */
  const reconnect = async () => {
    const connections = () => states.filter((state) => state === 'connected').length;
    const before = connections();
    cut();
    await until(`${user} is connected again`, () => connections() > before, { within_ms: 20_000, describe: () => client.status });
  };
  return { client, user, states, moves, gaps, errors, cut, reconnect };
}

/**
 * A connected client of a user, its messages judged by a checker.
 * @param {import('./cluster.mjs').Cluster} cluster @param {string} user @param {import('./checker.mjs').Checker} checker
 */
export function npmClient(cluster, user, checker) {
  checker.addReceiver(user, user);
  return startClient(cluster, user, { early: (client) => client.on('message', (/** @type {any} */ message) => checker.deliver(user, message)) });
}
