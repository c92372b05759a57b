/** A process with a part of the crowd of returns.mjs: clients of the package that only hold a connection, and what each did to get it back. */
import WebSocket from 'ws';
import { npmPackage } from '../harness/npm-client.mjs';
import { delay } from '../harness/until.mjs';

/** Connections that are made at the same time at the beginning, which is no subject here. */
const AT_ONCE = 32;

/** @type {any[]} */
const clients = [];
/** @type {import('./evenness.mjs').Returned[]} */
const returned = [];

/** What the parent may ask for. @type {Record<string, (told: any) => Promise<unknown>>} */
const deeds = {
  async open({ lookups, tokens, hold_ms }) {
    const { createClient } = await npmPackage();
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (next < tokens.length) await begin(createClient, lookups, tokens[next++], hold_ms);
    }));
  },
  back: async () => returned.filter(({ back_ms }) => back_ms > 0).length,
  report: async () => returned,
  close: async () => void (await Promise.all(clients.map((client) => client.close()))),
};

/**
 * @param {any} createClient @param {string[]} lookup @param {[string, string]} whose
 * @param {number} hold_ms that each lookup of who returns is on its way: until all have set out, the machine has nothing else to do
 */
async function begin(createClient, lookup, [user, token], hold_ms) {
  /** @type {import('./evenness.mjs').Returned} */
  const own = { user, spread_ms: 0, lost_ms: 0, chosen_ms: undefined, asked_ms: 0, back_ms: 0, lookups: 0 };
  let now = 0;
  const client = createClient({
    lookup,
    token: () => {
      if (own.lost_ms) own.lookups++;
      own.asked_ms ||= own.lost_ms && Date.now();
      return token;
    },
    fetch: async (/** @type {string} */ url, /** @type {object} */ init) => {
      if (own.lost_ms && hold_ms) await delay(hold_ms);
      return fetch(url, init);
    },
    // What the client goes by when it decides: its own word for when it will return is exact then.
    now: () => (now = Date.now()),
    WebSocket: class extends WebSocket {
      constructor(/** @type {string} */ url, /** @type {string[]} */ protocols) {
        super(url, protocols);
        this.on('message', (data) => {
          const spread = /^\{"op":"welcome".*"retry_spread_ms":(\d+)/.exec(data.toString());
          if (spread && !own.lost_ms) own.spread_ms = Number(spread[1]);
        });
        // Before the client hears of it: one that is to return at once looks up before it says so.
        this.on('close', () => (own.lost_ms ||= own.spread_ms && Date.now()));
      }
    },
  });
  clients.push(client);
  client.on('status', (/** @type {any} */ { state, retryAt }) => {
    if (state === 'reconnecting') own.chosen_ms ??= retryAt === undefined ? 0 : retryAt - now;
    if (state === 'connected' && own.lost_ms) own.back_ms ||= Date.now();
  });
  await client.connect();
  returned.push(own);
}

process.on('message', async (/** @type {any} */ { id, deed, ...told }) => {
  try {
    process.send?.({ id, result: await deeds[deed](told) });
  } catch (error) {
    process.send?.({ id, error: `${deed}: ${error.message}` });
  }
});
process.on('disconnect', () => process.exit());
