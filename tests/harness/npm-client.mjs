/** The npm client as it is built, for scenarios in which its own doing counts: reconnecting, moving. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';
import { REPOSITORY } from './binaries.mjs';
import { registerToken } from './secrets.mjs';

const ENTRY = path.join(REPOSITORY, 'js-client/dist/esm/index.js');

/**
 * A connected client of a user, its messages judged by a checker.
 * @param {import('./cluster.mjs').Cluster} cluster @param {string} user @param {import('./checker.mjs').Checker} checker
 */
export async function npmClient(cluster, user, checker) {
  if (!existsSync(ENTRY)) throw new Error(`${ENTRY} is not there: npm run build in js-client`);
  const { createClient } = await import(pathToFileURL(ENTRY).href);
  const client = createClient({
    lookup: cluster.lookups.map((lookup) => `${lookup.url}/lookup`),
    token: () => registerToken(cluster.token(user)),
    WebSocket,
    retry: { baseMs: 100, maxMs: 2_000 },
  });
  /** @type {string[]} */
  const states = [];
  /** @type {{ from: string, to: string, reason: string }[]} */
  const moves = [];
  checker.addReceiver(user, user);
  client.on('message', (/** @type {any} */ message) => checker.deliver(user, message));
  client.on('status', (/** @type {any} */ status) => states.push(status.state));
  client.on('moved', (/** @type {any} */ moved) => moves.push(moved));
  await client.connect();
  return { client, user, states, moves };
}
