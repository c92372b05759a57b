/**
 * In a page: clients of the package as an application would have them, told by the harness what to send (chromium.mjs), with
 * everything that they give to their application told back, in its order.
 */
import { createClient } from '/ringdial/index.js';
import { watcherOf } from '/demo/watcher.mjs';

const TELL_MS = 10;

/** @type {any[]} */
const clients = [];
/** What is to be told: of which client, what, and more. @type {any[][]} */
let told = [];

/** @param {any[]} what */
function tell(...what) {
  if (told.push(what) > 1) return;
  setTimeout(() => {
    const batch = told;
    told = [];
    globalThis.hear(JSON.stringify(batch));
  }, TELL_MS);
}

/** @param {any} error */
const plain = (error) => error && { code: error.code, message: error.message, retryable: error.retryable, retryAfterMs: error.retryAfterMs, closeCode: error.closeCode };

/** @param {number} i @param {number} call @param {Promise<any>} result */
const answer = (i, call, result) => result.then((value) => tell(i, 'done', call, value), (error) => tell(i, 'failed', call, plain(error)));

/** @param {number} i @param {any} watcher */
const watchedSocket = (i, watcher) => class extends WebSocket {
  constructor(/** @type {string} */ url, /** @type {string[]} */ protocols) {
    super(url, protocols);
    watcher.socket(this);
    const number = Math.random();
    this.addEventListener('message', ({ data }) => !data.startsWith('{"op":"message"') && data.includes('"recovered"') && tell(i, 'frame', number, data));
    this.addEventListener('close', () => tell(i, 'closed', number));
  }
};

/** @type {Record<string, (i: number, call: number, ...told: any[]) => unknown>} */
const deeds = {
  connect(i, call, lookup, token) {
    const watcher = watcherOf((sighting) => tell(i, 'seen', sighting));
    const client = (clients[i] = createClient({ lookup, token: () => token, WebSocket: watchedSocket(i, watcher) }));
    watcher.client(client);
    for (const name of ['message', 'gap', 'moved']) client.on(name, (value) => tell(i, 'event', name, value));
    client.on('error', (error) => tell(i, 'event', 'error', plain(error)));
    client.on('status', (status) => tell(i, 'event', 'status', { ...status, cause: plain(status.cause) }));
    answer(i, call, client.connect());
  },
  group(i, call, name) {
    const group = clients[i].group(name);
    group.on('message', (message) => tell(i, 'group', name, message));
    answer(i, call, group.joined);
  },
  send: (i, call, to, data, options) => answer(i, call, clients[i].send(to, data, options)),
  close: (i, call) => answer(i, call, clients[i].close()),
};

/** @param {string} text deeds, each with its client and the number of the call */
globalThis.perform = (text) => {
  for (const [i, call, deed, ...more] of JSON.parse(text)) {
    try {
      deeds[deed](i, call, ...more);
    } catch (error) {
      tell(i, 'failed', call, { message: `${deed}: ${error}` });
    }
  }
};
