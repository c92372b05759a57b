/**
 * A wire that knows who speaks over it: a TCP proxy in front of a node's peer listener, or of Redis. What one dialler says,
 * or hears, can be held back while all else passes; and of Redis's pushes the messages can be swallowed, so that a
 * subscription is dead and nobody is told.
 */
import net from 'node:net';
import { Resp3Sieve } from './resp3.mjs';

/** @typedef {'up' | 'down'} Way up: what the dialler says; down: what it hears */
/** @typedef {{ who: string, near: net.Socket, far: net.Socket, held: Set<Way>, sieve?: Resp3Sieve }} Pair */
const HEAD_BYTES_MAX = 16_384;

export class Wire {
  /** @type {Set<Pair>} */
  #pairs = new Set();
  /** @type {Set<net.Socket>} of which nobody knows yet who dialled */
  #unknown = new Set();
  /** @type {Set<string>} diallers, or `*` */
  #cut = new Set();
  /** @type {Map<string, Set<Way>>} */
  #held = new Map();
  #muted = false;
  /** messages of channels that were swallowed */
  swallowed = 0;

  /** @param {number} target the port on 127.0.0.1 @param {{ names?: boolean }} [options] `names`: diallers name themselves, as peers do @returns {Promise<Wire>} when it listens */
  static async to(target, { names = false } = {}) {
    const wire = new Wire(target, names);
    await new Promise((resolve) => wire.server.listen(0, '127.0.0.1', () => resolve(undefined)));
    return wire;
  }

  /** @param {number} target @param {boolean} names */
  constructor(target, names) {
    this.target = target;
    this.names = names;
    this.server = net.createServer((near) => this.#accept(near));
  }

  get port() {
    return /** @type {net.AddressInfo} */ (this.server.address()).port;
  }

  get address() {
    return `127.0.0.1:${this.port}`;
  }

  /** Breaks the connections of a dialler, of all by default; new ones break at once. @param {string} [who] */
  cut(who = '*') {
    this.#cut.add(who);
    this.#drop(who);
  }

  /** From now on it leads elsewhere; what stands breaks. @param {number} target */
  lead(target) {
    this.target = target;
    this.#drop('*');
  }

  /** Silence in these directions, for what stands and what comes. @param {string} who @param {Way[]} ways */
  hold(who = '*', ways = ['up', 'down']) {
    this.#held.set(who, new Set(ways));
    for (const pair of this.#pairs) this.#settle(pair);
  }

  /** Silence for the connections that stand; new ones pass. */
  freeze() {
    for (const pair of this.#pairs) this.#hold(pair, new Set(['up', 'down']));
  }

  /** Redis's messages to subscribers are swallowed, on connections that stand and new ones; all else passes. */
  mute() {
    this.#muted = true;
  }

  /** All is well again; what was held goes on its way. */
  mend() {
    this.#cut.clear();
    this.#held.clear();
    this.#muted = false;
    for (const pair of this.#pairs) this.#settle(pair);
  }

  stop() {
    this.cut();
    this.server.close();
  }

  /** @param {string} who */
  #drop(who) {
    for (const { who: one, near, far } of this.#pairs) if (who === '*' || who === one) near.destroy(), far.destroy();
    if (who === '*') for (const socket of this.#unknown) socket.destroy();
  }

  /** @param {net.Socket} near */
  #accept(near) {
    near.on('error', () => {});
    if (this.#cut.has('*')) return near.destroy();
    if (!this.names) return this.#join(near, '*');
    let head = Buffer.alloc(0);
    this.#unknown.add(near);
    const listen = (/** @type {Buffer} */ chunk) => {
      head = Buffer.concat([head, chunk]);
      if (!head.includes('\r\n\r\n') && head.length < HEAD_BYTES_MAX) return;
      near.off('data', listen).pause();
      this.#unknown.delete(near);
      const who = diallerOf(head.toString('latin1'));
      if (this.#cut.has(who)) return near.destroy();
      near.unshift(head);
      this.#join(near, who);
    };
    near.on('data', listen).on('close', () => this.#unknown.delete(near));
  }

  /** @param {net.Socket} near @param {string} who */
  #join(near, who) {
    const far = net.connect(this.target, '127.0.0.1');
    const pair = { who, near, far, held: /** @type {Set<Way>} */ (new Set()), sieve: this.names ? undefined : new Resp3Sieve(() => this.swallowed++) };
    this.#pairs.add(pair);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.setNoDelay(true);
      one.on('error', () => {}).on('close', () => (other.destroy(), this.#pairs.delete(pair)));
      one.on('drain', () => this.#hold(pair, pair.held));
      one.on('data', (chunk) => {
        const passed = one === far && pair.sieve ? pair.sieve.take(chunk, this.#muted) : chunk;
        if (passed.length > 0 && other.writable && !other.write(passed)) one.pause();
      });
    }
    this.#settle(pair);
  }

  /** @param {Pair} pair */
  #settle(pair) {
    this.#hold(pair, this.#held.get(pair.who) ?? this.#held.get('*') ?? new Set());
  }

  /** @param {Pair} pair @param {Set<Way>} ways */
  #hold(pair, ways) {
    pair.held = ways;
    if (ways.has('up')) pair.near.pause();
    else pair.near.resume();
    if (ways.has('down')) pair.far.pause();
    else pair.far.resume();
  }
}

/** Who dials, by the token of its request. @param {string} head */
function diallerOf(head) {
  const token = /^authorization: bearer [^.\s]+\.([^.\s]+)\./im.exec(head)?.[1] ?? '';
  try {
    return String(JSON.parse(Buffer.from(token, 'base64url').toString()).iss.id);
  } catch {
    return '?';
  }
}
