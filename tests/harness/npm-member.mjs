/**
 * A member made of the npm client as it is built: what it gives to its application is judged strictly, over all its
 * connections: every durable message of its topics once and in order. It does what an application has to: a send that
 * failed for the time being is sent again with its key.
 */
import { startClient } from './npm-client.mjs';
import { Repeats } from './repeats.mjs';
import { delay } from './until.mjs';

/** @typedef {import('./topic-checker.mjs').Audience} Audience */
/** @typedef {(ring: import('./cluster.mjs').Cluster, user: string, options: import('./npm-client.mjs').StartOptions) => Promise<{ client: any }>} Start */

const RETRY_MS = 100;
const TICKET = 'ticket.';
/** Another run at a send after so many failures would hide something. */
const TRIES_MAX = 100;
/** Errors after which nobody knows what became of an ephemeral message. */
const UNKNOWN = new Set(['unconfirmed', 'send_timeout', 'closed']);

export class NpmMember {
  /** @type {any} */
  #client;
  #connected = false;
  #ended = false;
  #tries = 0;
  reconnects = 0;
  /** @type {number[]} */
  closes = [];
  idle = false;

  /**
   * @param {import('./cluster.mjs').Cluster} ring @param {import('./topic-checker.mjs').TopicChecker} checker @param {string} user
   * @param {import('./member.mjs').MemberOptions & { start?: Start }} [options] `start`: where else a client is started, as in a page
   */
  constructor(ring, checker, user, { name = user, claims = {}, groups = [], random = Math.random, journal, start = startClient } = {}) {
    Object.assign(this, { ring, checker, user, name, claims, random, journal, start });
    this.groups = new Set(groups);
    this.receiver = checker.receiver(name, user, claims);
    this.judged = new Judged(this.receiver);
    this.repeats = new Repeats(checker);
    this.node = '';
    /** What it came here with. @type {string | undefined} */
    this.ticket = undefined;
  }

  /** Connects, and joins its groups. @returns {Promise<this>} */
  async begin() {
    const { client } = await this.start(this.ring, this.user, {
      claims: this.claims,
      retry: {},
      early: (client) => this.#listen(client),
      onSocket: (socket, protocols = []) => {
        socket.on('open', () => (this.ticket = protocols.find((name) => name.startsWith(TICKET))?.slice(TICKET.length)));
        this.judged.tap(socket);
        this.repeats.tap(socket);
        if (this.#connected) return;
        this.journal?.tried(`dials ${new URL(socket.url).host}`);
        socket.on('open', () => this.journal?.tried('open'));
      },
    });
    this.#client = client;
    await Promise.all([...this.groups].map((name) => this.#follow(name)));
    return this;
  }

  get here() {
    return this.#connected;
  }

  get retries() {
    return this.#tries;
  }

  /** As a Member's. @param {Audience} to @returns {Promise<any>} */
  async send(to, { ephemeral = false, text = '' } = {}) {
    const data = this.checker.message(this.user, to, { ephemeral, text, sender: this.name });
    const passed = ephemeral || 'match' in to || 'all' in to;
    for (let tries = 1; ; tries++) {
      try {
        const ack = await this.#client.send(to, data, passed ? { ephemeral: true } : { key: `${this.name}/${data.n}` });
        this.checker.acknowledged(data.n, ack);
        return ack;
      } catch (error) {
        if (this.#ended || (passed && UNKNOWN.has(error.code))) return undefined;
        if (!error.retryable) this.checker.refused(data.n);
        if (passed || !error.retryable || tries === TRIES_MAX) throw error;
        this.checker.refusedForNow(data.n);
        await delay((error.retryAfterMs ?? RETRY_MS) + this.random() * RETRY_MS);
        this.#tries++;
        this.checker.sentAgain(data.n);
      }
    }
  }

  /** Leaves for good. */
  async end() {
    this.#ended = true;
    this.receiver.retired = true;
    await this.#client?.close();
  }

  /** @param {string} name */
  #follow(name) {
    const group = this.#client.group(name);
    this.judged.asks(`g:${name}`);
    group.on('message', (/** @type {any} */ message) => this.judged.message(message));
    return group.joined;
  }

  /** @param {any} client */
  #listen(client) {
    client.on('message', (/** @type {any} */ message) => this.judged.message(message));
    client.on('gap', (/** @type {any} */ gap) => this.judged.gap(gap));
    client.on('moved', ({ from, to }) => {
      this.node = to;
      this.reconnects++;
      this.journal?.moved(from, to);
    });
    client.on('error', (/** @type {any} */ { code, message }) => this.journal?.tried(`${code}: ${message}`));
    client.on('status', (/** @type {any} */ status) => this.#onStatus(status));
  }

  /** @param {any} status */
  #onStatus(status) {
    if (status.state === 'connected' && !this.#connected) {
      this.#connected = true;
      if (this.node) this.reconnects++;
      this.node = status.node;
      this.journal?.back(this.node);
    } else if (status.state !== 'connected' && this.#connected) {
      this.#connected = false;
      const code = status.cause?.closeCode ?? 1006;
      this.closes.push(code);
      this.journal?.lost(this.node, code);
    }
    if (status.retryAt) this.journal?.tried(`${status.attempt}. attempt in ${status.retryAt - Date.now()} ms`);
    if (status.state === 'closed' && !this.#ended) this.checker.wrong('lost', this.name, `the client stopped: ${status.cause?.code}`);
  }
}

/** What a client gives to its application, as one line of a receiver. It begins where the client's first sockets were told that topics stand. */
export class Judged {
  /** @type {Set<unknown>} open sockets that are welcome */
  #sockets = new Set();

  /** @param {import('./receiver.mjs').Receiver} receiver */
  constructor(receiver) {
    this.line = receiver.line({});
    this.line.asking.add(`u:${receiver.user}`);
  }

  /** Listens along, before the client hears it. @param {import('ws').WebSocket} socket */
  tap(socket) {
    socket.on('message', (data) => {
      const text = data.toString();
      if (text.startsWith('{"op":"message"')) return;
      const frame = JSON.parse(text);
      if (frame.op === 'welcome') {
        this.#open(socket, true);
        for (const [topic, standing] of Object.entries(frame.topics)) this.begin(topic, standing);
      } else if (frame.recovered !== undefined) this.begin(frame.topic, frame);
    });
    socket.on('close', () => this.#open(socket, false));
  }

  /** A group's join is asked for: what is only passed on may come before the answer. @param {string} topic */
  asks(topic) {
    if (!this.line.positions.has(topic)) this.line.asking.add(topic);
  }

  /** A topic's standing. Only the first word counts: from then on the client has to go on by itself. @param {string} topic @param {any} standing */
  begin(topic, { epoch, offset, recovered, error }) {
    if (this.line.positions.has(topic) || recovered === 'pending' || error) return;
    this.line.begin(topic, { epoch, offset, recovered: true });
  }

  /** @param {any} message of whichever topic */
  message(message) {
    this.line.message({ op: 'message', ...message });
  }

  /** @param {any} gap */
  gap(gap) {
    this.line.gap({ op: 'gap', ...gap });
  }

  /** @param {unknown} socket @param {boolean} open */
  #open(socket, open) {
    if (open) this.#sockets.add(socket);
    else this.#sockets.delete(socket);
    this.line.overlapping = this.#sockets.size > 1;
  }
}
