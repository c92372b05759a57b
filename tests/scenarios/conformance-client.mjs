/**
 * The application that `ringdial conformance` wants around a client, here around the npm client; and ways to spoil that client at
 * its WebSocket, its lookup or its randomness, so that it breaks one rule each.
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';
import { REPOSITORY, binary } from '../harness/binaries.mjs';
import { Process } from '../harness/process.mjs';
import { seeded } from '../harness/random.mjs';
import { until, within } from '../harness/until.mjs';
import { blocks, text } from '../tidy/documents.mjs';

/** Where `tests/run` puts what the Python client needs. */
export const PYTHON = path.join(REPOSITORY, 'tests/.venv/bin/python');
const ENTRY = path.join(REPOSITORY, 'js-client/dist/esm/index.js');

/**
 * @typedef {object} Faults
 * @property {(options: any) => object} [options] other options for the client, from its own
 * @property {(text: string, socket: Spoilt) => string | undefined} [out] what is sent instead of a frame
 * @property {(text: string, socket: Spoilt) => string | undefined} [in] what is heard instead of a frame
 * @property {(code: number) => number} [close] what is heard instead of a close code
 * @property {(ask: (url: string) => Promise<Response>, url: string) => Promise<any>} [fetch] instead of the lookup's `fetch`
 * @property {boolean} [cuts] sockets are cut instead of closed
 * @property {(protocols: string[], before: number) => string[]} [open] what is offered instead of the ticket; so many sockets were made before
 */

/** A WebSocket that is spoilt: package `ws` with a hand on what passes. */
class Spoilt extends WebSocket {
  /** @type {Faults} */
  faults = {};
  /** What its `hello` asked for from the beginning of the log. @type {string[]} */
  asked = [];
  /** Every one that was made for the same client. @type {Spoilt[]} */
  all = [];

  /** @param {any} text @param {any[]} rest */
  send(text, ...rest) {
    const other = this.faults.out ? this.faults.out(String(text), this) : text;
    if (other !== undefined) super.send(other, ...rest);
  }

  /** @param {number} [code] */
  close(code) {
    if (this.faults.cuts) this.terminate();
    else super.close(code);
  }

  /** @param {any} name @param {any[]} args */
  emit(name, ...args) {
    if (name === 'message' && this.faults.in) {
      const other = this.faults.in(String(args[0]), this);
      if (other === undefined) return false;
      return super.emit(name, Buffer.from(other), ...args.slice(1));
    }
    if (name === 'close' && this.faults.close) return super.emit(name, this.faults.close(/** @type {number} */ (args[0])), ...args.slice(1));
    return super.emit(name, ...args);
  }
}

/**
 * The application of docs/CONFORMANCE.md. Gives a function that ends it.
 * @param {string} lookup @param {Faults} faults @param {() => number} random
 */
export async function application(lookup, faults, random) {
  const { createClient } = await import(pathToFileURL(ENTRY).href);
  let tokens = 0;
  let keys = 0;
  /** @type {any} */
  let client;
  /** @type {Set<NodeJS.Timeout>} */
  const timers = new Set();
  const later = (/** @type {() => void} */ what, /** @type {number} */ ms) => timers.add(setTimeout(what, ms));
  /** @type {Spoilt[]} */
  const all = [];
  const SpoiltHere = class extends Spoilt {
    constructor(/** @type {string} */ url, /** @type {string[]} */ protocols) {
      super(url, faults.open ? faults.open(protocols, all.length) : protocols);
      this.faults = faults;
      this.all = all;
      all.push(this);
    }
  };
  const spoiltFetch = (/** @type {string} */ url, /** @type {object} */ init) => faults.fetch?.((other) => fetch(other, init), url);
  const begin = () => {
    const options = { lookup, id: 'tester', token: () => `token ${++tokens}`, WebSocket: SpoiltHere, random, ...(faults.fetch && { fetch: spoiltFetch }) };
    const mine = (client = createClient({ ...options, ...faults.options?.(options) }));
    /** @param {object} data */
    const say = (data, key = `key ${++keys}`) => {
      if (client !== mine) return;
      mine.send({ user: 'conformance' }, data, { key }).catch((/** @type {any} */ error) => {
        if (error.retryable) later(() => say(data, key), error.retryAfterMs ?? 100);
      });
    };
    mine.on('message', (/** @type {any} */ { data }) => {
      if (data.do === 'echo') say({ echo: data.n });
      if (data.do === 'stop') mine.close();
      if (data.do === 'restart') later(() => mine.close().then(begin), data.after_ms);
    });
    mine.on('gap', (/** @type {any} */ { topic }) => say({ gap: topic }));
    mine.connect().catch(() => {});
  };
  begin();
  return async () => {
    timers.forEach((timer) => clearTimeout(timer));
    await client.close();
    all.forEach((socket) => socket.terminate());
  };
}

/** The application as docs/CONFORMANCE.md has it, to the letter. @param {string} lookup */
export async function documented(lookup) {
  const { createClient } = await import(pathToFileURL(ENTRY).href);
  const [code] = blocks(text('docs/CONFORMANCE.md'), 'runs: conformance');
  const random = seeded(7);
  /** @type {any[]} */
  const clients = [];
  const create = (/** @type {object} */ options) => {
    // Node 20 has no WebSocket, and waits that are alike by chance shall fail no test.
    clients.push(createClient({ ...options, WebSocket, random }));
    return clients.at(-1);
  };
  new Function('createClient', code.replace('http://127.0.0.1:8090/lookup', lookup))(create);
  return () => Promise.all(clients.map((client) => client.close()));
}

/** The Python client. @param {string} lookup */
export async function inPython(lookup) {
  const python = new Process('python', PYTHON, [path.join(REPOSITORY, 'tests/scenarios/conformance-python.py'), path.join(REPOSITORY, 'examples/python'), lookup]);
  return () => python.killNow();
}

/**
 * A run of the checker with a client; its exit code and its report.
 * @param {import('node:test').TestContext} t
 * @param {{ only?: string, faults?: Faults, client?: (lookup: string) => Promise<() => unknown> }} [options] `client`: instead of the spoilt one
 */
export async function judged(t, { only, faults = {}, client = (lookup) => application(lookup, faults, seeded(7)) } = {}) {
  const checker = new Process('conformance', binary('ringdial'), ['conformance', '--listen=127.0.0.1:0', '--json', ...(only ? [`--only=${only}`] : [])]);
  t.after(() => checker.killNow());
  await until('the checker listens', () => checker.stdout.includes('\n'), { describe: () => checker.stderr });
  const { lookup } = lines(checker)[0];
  const end = await client(lookup);
  t.after(end);
  const { code } = await within('the run', checker.exited, 110_000);
  await end();
  const report = lines(checker);
  const rules = report.filter(({ event }) => event === 'rule');
  return { code, rules, broken: rules.filter(({ outcome }) => outcome === 'broken').map(({ rule }) => rule), summary: report.at(-1) };
}

/** @param {Process} checker @returns {any[]} */
const lines = (checker) => checker.stdout.trim().split('\n').map((line) => JSON.parse(line));
