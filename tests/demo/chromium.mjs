/**
 * Clients in Chromium pages, each with the face of a client in Node: what is asked of one is done in its page (in-page.mjs), and what it
 * tells comes back in its order. Nothing here decides anything.
 */
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { REPOSITORY } from '../harness/binaries.mjs';
import { browser, person } from '../harness/browser.mjs';
import { registerToken } from '../harness/secrets.mjs';

/** url folder -> folder: what pages are served */
const FOLDERS = { ringdial: path.join(REPOSITORY, 'js-client/dist/esm'), demo: import.meta.dirname };
const PAGE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>demo</title><script type="module" src="/demo/in-page.mjs"></script>';
/** Chromium says so of every connection that is refused, as those to a killed node are, and of lookups that are told to come later. */
const EXPECTED = /^console: (WebSocket connection to |Failed to load resource: .* status of (429|503))/;

export class Chromium {
  /** @type {Page[]} */
  pages = [];
  #next = 0;

  /** @param {(end: () => unknown) => void} after takes what is to be done at the end @param {number} count of pages */
  static async open(after, count) {
    const made = new Chromium();
    const server = createServer(serve).listen(0, '127.0.0.1');
    after(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const launched = await browser(/** @type {any} */ ({ after }));
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    for (let i = 0; i < count; i++) made.pages.push(await Page.open(launched, `http://127.0.0.1:${port}/`));
    return made;
  }

  /** As startClient of the harness, in one page after the other. @param {import('../harness/cluster.mjs').Cluster} cluster @param {string} user @param {import('../harness/npm-client.mjs').StartOptions & { see: (sighting: any) => void }} options */
  async start(cluster, user, { claims, early, onSocket, see }) {
    const client = this.pages[this.#next++ % this.pages.length].client(see, onSocket);
    early?.(client);
    await client.connect(cluster.lookups.map(({ url }) => `${url}/lookup`), registerToken(cluster.token(user, claims)));
    return { client };
  }

  /** What went wrong in the pages themselves. */
  get faults() {
    return this.pages.flatMap(({ faults }) => faults).filter((fault) => !EXPECTED.test(fault));
  }
}

class Page {
  /** @type {PageClient[]} */
  #clients = [];
  /** @type {any[][]} deeds that the page has not been told of yet */
  #deeds = [];
  /** @type {Promise<void> | undefined} */
  #telling;

  /** @param {import('playwright-core').Browser} launched @param {string} url */
  static async open(launched, url) {
    const made = new Page();
    const { page, faults } = await person(launched, url);
    Object.assign(made, { page, faults });
    await page.exposeFunction('hear', (/** @type {string} */ text) => made.#hear(JSON.parse(text)));
    await page.waitForFunction(() => 'perform' in globalThis);
    return made;
  }

  /** @type {import('playwright-core').Page} */
  page;
  /** @type {string[]} */
  faults = [];

  /** @param {(sighting: any) => void} see @param {((socket: any) => void) | undefined} onSocket */
  client(see, onSocket) {
    const i = this.#clients.length;
    const made = new PageClient((call, deed, told) => this.#tell([i, call, deed, ...told]), see, onSocket);
    this.#clients.push(made);
    return made;
  }

  /** @param {any[]} deed */
  #tell(deed) {
    this.#deeds.push(deed);
    this.#telling ??= this.#tellAll().finally(() => (this.#telling = undefined));
  }

  /** One call of the page at a time, with all that has come together meanwhile. */
  async #tellAll() {
    while (this.#deeds.length > 0) {
      const text = JSON.stringify(this.#deeds.splice(0));
      await this.page.evaluate((text) => /** @type {any} */ (globalThis).perform(text), text).catch((error) => this.faults.push(`page: ${error.message}`));
    }
  }

  /** @param {any[][]} batch */
  #hear(batch) {
    for (const [i, what, ...more] of batch) this.#clients[i].heard(what, more);
  }
}

/** The face of the package's client, as far as members use it. */
class PageClient {
  #events = new EventEmitter();
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  #calls = new Map();
  #count = 0;
  /** @type {Map<number, EventEmitter>} */
  #sockets = new Map();

  /** @param {(call: number, deed: string, told: any[]) => void} tell @param {(sighting: any) => void} see @param {((socket: any) => void) | undefined} onSocket */
  constructor(tell, see, onSocket) {
    Object.assign(this, { tell, see, onSocket });
  }

  /** @param {string[]} lookups @param {string} token */
  connect(lookups, token) {
    return this.#ask('connect', lookups, token);
  }

  /** @param {string} name @param {(value: any) => void} listener */
  on(name, listener) {
    // An emitter throws an `error` that nobody listens for, which is none of ours.
    this.#events.on(`event ${name}`, listener);
  }

  /** @param {string} name */
  group(name) {
    return {
      on: (/** @type {string} */ _, /** @type {(message: any) => void} */ listener) => this.#events.on(`group ${name}`, listener),
      joined: this.#ask('group', name),
    };
  }

  /** @param {object} to @param {unknown} data @param {object} options */
  send(to, data, options) {
    return this.#ask('send', to, data, options);
  }

  close() {
    return this.#ask('close');
  }

  /** @param {string} what @param {any[]} told */
  heard(what, [first, second]) {
    if (what === 'seen') this.see(first);
    else if (what === 'frame') this.#socket(first).emit('message', second);
    else if (what === 'closed') this.#socket(first).emit('close');
    else if (what === 'event') this.#events.emit(`event ${first}`, second);
    else if (what === 'group') this.#events.emit(`group ${first}`, second);
    else if (what === 'done') this.#called(first).resolve(second);
    else this.#called(first).reject(Object.assign(new Error(second.message), second));
  }

  /** @param {string} deed @param {any[]} told @returns {Promise<any>} */
  #ask(deed, ...told) {
    const call = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject });
      this.tell(call, deed, told);
    });
  }

  /** @param {number} call */
  #called(call) {
    const waiting = this.#calls.get(call);
    this.#calls.delete(call);
    if (!waiting) throw new Error(`nobody waits for call ${call}`);
    return waiting;
  }

  /** @param {number} number */
  #socket(number) {
    const known = this.#sockets.get(number);
    if (known) return known;
    const made = new EventEmitter();
    this.#sockets.set(number, made);
    this.onSocket?.(made);
    return made;
  }
}

/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
function serve({ url = '/' }, response) {
  const [, folder, name] = /^\/(ringdial|demo)\/([\w./-]+\.m?js)$/.exec(url) ?? [];
  if (url !== '/' && (!folder || name.includes('..'))) return void response.writeHead(404).end();
  const body = url === '/' ? PAGE : readFileSync(path.join(FOLDERS[/** @type {'demo'} */ (folder)], name));
  response.writeHead(200, { 'content-type': url === '/' ? 'text/html' : 'text/javascript' }).end(body);
}
