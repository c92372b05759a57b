/**
 * A client that keeps the protocol's promises on its side: it resumes where it stands, repeats what was not answered with
 * the same keys and in order, tries again after temporary errors, and comes back whenever its connection is gone.
 */
import { persistently, welcomed } from './connection.mjs';
import { Requests } from './requests.mjs';
import { delay } from './until.mjs';

/** @typedef {import('./topic-checker.mjs').TopicChecker} TopicChecker */
/** @typedef {import('./topic-checker.mjs').Audience} Audience */
/** @typedef {import('./receiver.mjs').Line} Line */
/** @typedef {import('./connection.mjs').Connection} Connection */
/** @typedef {{ number: number, text: string, ephemeral: boolean, on?: Connection, tries: number, refused?: boolean, resolve: (ack: any) => void, reject: (error: Error) => void }} Entry `refused`: for the time being, on `on` */
/** @typedef {{ lost: (node: string, code: number) => void, back: (node: string) => void, moved: (from: string, to: string) => void, tried: (why: string) => void }} Journal of its connections, and of attempts that failed */
/** @typedef {{ name?: string, claims?: Record<string, unknown>, groups?: string[], random?: () => number, within_ms?: number, patient?: boolean, journal?: Journal }} MemberOptions `patient`: returns as late as it is told to */

const RETRY_MS = 100;
const MOVE_MS = 20_000;
const SPREAD_MAX_MS = 500;

export class Member {
  /** @type {Connection | undefined} where it sends */
  #here;
  /** @type {Map<number, Entry>} in the order in which they were sent first */
  #unanswered = new Map();
  /** @type {Map<number, number>} when a message was repeated on another connection last */
  #repeated = new Map();
  #requests = new Requests();
  #ended = false;
  #moving = false;
  reconnects = 0;
  retries = 0;
  /** @type {number[]} the codes with which nodes, or the world, ended its connections */
  closes = [];

  /** @param {import('./cluster.mjs').Cluster} ring @param {TopicChecker} checker @param {string} user @param {MemberOptions} [options] */
  constructor(ring, checker, user, { name = user, claims = {}, groups = [], random = Math.random, within_ms = 30_000, patient = false, journal } = {}) {
    Object.assign(this, { patient, journal });
    this.ring = ring;
    this.checker = checker;
    this.user = user;
    this.name = name;
    this.claims = claims;
    this.random = random;
    this.within_ms = within_ms;
    /** groups it wants to be in, beside those of its claims */
    this.groups = new Set(groups);
    this.receiver = checker.receiver(name, user, claims);
  }

  /** Connects. @returns {Promise<this>} when it is welcome */
  async begin() {
    await this.#open();
    return this;
  }

  get here() {
    return this.#here !== undefined && this.#here.session.closed === undefined;
  }

  get node() {
    return this.#here?.session.node;
  }

  /** What it came here with. */
  get ticket() {
    return this.#here?.session.ticket;
  }

  get session() {
    return this.#here?.session;
  }

  get unanswered() {
    return this.#unanswered.size;
  }

  /** Whether nothing is asked that has no answer. */
  get idle() {
    return this.#requests.size === 0 && !this.#moving;
  }

  /**
   * Sends a message. Durable: until it is acknowledged, over however many connections. Ephemeral: once.
   * @param {Audience} to @returns {Promise<any>} the ack; undefined for an ephemeral one of which nothing is known
   */
  send(to, { ephemeral = false, text = '' } = {}) {
    const data = this.checker.message(this.user, to, { ephemeral, text, sender: this.name });
    const key = ephemeral ? {} : { key: `${this.name}/${data.n}` };
    const frame = JSON.stringify({ op: 'send', ref: data.n, to, data, ...key, ...(ephemeral ? { ephemeral } : {}) });
    return new Promise((resolve, reject) => {
      const entry = { number: data.n, text: frame, ephemeral, tries: 0, resolve, reject };
      if (ephemeral && !this.here) return resolve(undefined);
      this.#unanswered.set(data.n, entry);
      this.#transmit(entry);
    });
  }

  /** @param {string} group @param {object} [since] @returns {Promise<any>} the ack; undefined if the connection ended before */
  join(group, since) {
    this.groups.add(group);
    this.#here?.line?.asking.add(`g:${group}`);
    return this.#request({ op: 'join', group, since }, `g:${group}`, since);
  }

  /** @param {string} group */
  leave(group) {
    this.groups.delete(group);
    return this.#request({ op: 'leave', group }, `g:${group}`);
  }

  /** Its connection ends, by force or in good manners; it is back after a while. @param {{ away_ms?: number, rough?: boolean }} [options] */
  async drop({ away_ms = 0, rough = true } = {}) {
    const connection = this.#here;
    if (!connection) return;
    this.#part(connection);
    if (rough) connection.session.socket.terminate();
    else connection.session.socket.close(1000);
    await delay(away_ms);
    if (!this.#ended) await this.#open();
  }

  /** A second connection takes over from the first, which is let go only then, and ends with all that it owed. @param {import('./session.mjs').Grant} [offer] where to */
  async move(offer) {
    const old = this.#here;
    if (!old || this.#moving || this.#requests.size > 0) return;
    this.#moving = true;
    old.leaving = true;
    try {
      await (offer ? this.#attempt([], old, offer).then((connection) => this.#arrived(connection)) : this.#open(old));
      const { code } = await old.session.closing(MOVE_MS);
      if (code !== 1000 && !old.ours) this.closes.push(code);
    } finally {
      this.#moving = old.leaving = false;
      if (!this.here && !this.#ended) await this.#open();
    }
  }

  /** Leaves for good. What was not answered by then is given up. */
  async end() {
    this.#ended = true;
    this.receiver.retired = true;
    const connection = this.#here;
    if (connection) this.#part(connection);
    for (const entry of this.#unanswered.values()) entry.resolve(undefined);
    this.#unanswered.clear();
    if (connection && !connection.session.closed) await connection.session.close();
  }

  /** @param {Connection} [replaced] stays open meanwhile */
  async #open(replaced) {
    const connection = await persistently((avoid) => this.#attempt(avoid, replaced), { ...this, ended: () => this.#ended });
    if (connection) this.#arrived(connection);
  }

  /** @param {string[]} avoid @param {Connection} [replaced] @param {import('./session.mjs').Grant} [offer] @returns {Promise<Connection>} when it is welcome */
  async #attempt(avoid, replaced, offer) {
    const by = Math.floor(this.random() * this.ring.lookups.length);
    if (!replaced) this.journal?.tried('looks up');
    const grant = offer ?? (await this.ring.lookup(this.user, { by, avoid, claims: this.claims }));
    if (!replaced) this.journal?.tried(`dials ${grant.node}`);
    return welcomed(this.ring, grant, {
      receiver: this.receiver,
      groups: this.groups,
      replaces: replaced?.welcome?.session,
      onFrame: (connection, frame) => this.#onFrame(connection, frame),
      onEnd: (connection, code) => {
        this.#giveUpEphemeral(connection);
        if (connection.welcome) this.#lost(connection, code);
      },
    });
  }

  /** From now on it sends there, first what has no answer yet. @param {Connection} connection */
  #arrived(connection) {
    if (this.#ended) return void connection.session.socket.terminate();
    this.reconnects += this.receiver.lines.length > 1 ? 1 : 0;
    const former = this.#here;
    this.#here = connection;
    if (connection.session.closed) return this.#lost(connection, connection.session.closed.code);
    for (const entry of this.#unanswered.values()) this.#transmit(entry);
    if (former) this.journal?.moved(former.session.node, connection.session.node);
    else this.journal?.back(connection.session.node);
    former?.session.sendFrame({ op: 'detach' });
  }

  /** We end a connection: from now on nothing that it says counts. @param {Connection} connection */
  #part(connection) {
    connection.ours = true;
    connection.line?.close();
    this.#disconnected(connection);
  }

  /** @param {Connection} connection @param {number} code */
  #lost(connection, code) {
    if (connection.ours || this.#here !== connection) return;
    this.#disconnected(connection);
    // The node ends a session that the next one replaces.
    if (connection.leaving && code === 1000) return;
    this.closes.push(code);
    this.journal?.lost(connection.session.node, code);
    const spread_ms = this.patient && !(code >= 4000 && code < 4100) ? this.random() * connection.welcome.retry_spread_ms : 0;
    const back = async () => (spread_ms > 0 && (await delay(spread_ms)), this.#ended || this.#open());
    back().catch((error) => this.checker.wrong('lost', this.name, error.message));
  }

  /** @param {Connection} connection */
  #disconnected(connection) {
    if (this.#here === connection) this.#here = undefined;
    this.#giveUpEphemeral(connection);
    this.#requests.forget(this.groups, this.receiver);
  }

  /** Nobody knows what became of those that had no answer. @param {Connection} connection */
  #giveUpEphemeral(connection) {
    for (const entry of this.#unanswered.values()) {
      if (!entry.ephemeral || entry.on !== connection) continue;
      this.#unanswered.delete(entry.number);
      entry.resolve(undefined);
    }
  }

  /** @param {Entry} entry */
  #transmit(entry) {
    const connection = this.#here;
    if (!connection || connection.session.closed || entry.on === connection || (entry.ephemeral && entry.on)) return;
    if (entry.tries++ > 0) this.#repeat(entry);
    entry.on = connection;
    entry.refused = false;
    connection.session.sendRaw(entry.text);
  }

  /** After a temporary error its place is counted from here, even if that error is heard only afterwards. @param {Entry} entry */
  #repeat({ number, refused }) {
    this.retries++;
    const at = this.checker.tick();
    this.#repeated.set(number, at);
    if (refused) this.checker.sentAgain(number, at);
  }

  /** @param {object} frame @param {string} topic @param {object} [since] @returns {Promise<any>} */
  async #request(frame, topic, since) {
    return this.#here && this.here ? this.#requests.ask(this.#here, frame, topic, since) : undefined;
  }

  /** @param {Connection} connection @param {any} frame */
  #onFrame(connection, frame) {
    const line = /** @type {Line} */ (connection.line);
    if (frame.op === 'message') line.message(frame);
    else if (frame.op === 'gap') line.gap(frame);
    else if (frame.op === 'recovered') line.recovered(frame);
    else if ((frame.op === 'ack' || frame.op === 'error') && frame.ref !== undefined) this.#answered(connection, frame);
    else if (frame.op === 'moved' && connection === this.#here) this.#follow(frame);
  }

  /** The node asks it to move. A move that fails changes nothing. @param {any} moved */
  async #follow({ node, url, protocols, spread_ms }) {
    const ticket = protocols.find((/** @type {string} */ name) => name.startsWith('ticket.')).slice('ticket.'.length);
    await delay(this.random() * Math.min(spread_ms, SPREAD_MAX_MS));
    await this.move({ id: this.user, node, url, protocols, ticket }).catch(() => {});
  }

  /** @param {Connection} connection @param {any} frame */
  #answered(connection, frame) {
    if (this.#requests.answered(connection, frame, this.groups)) return;
    if (typeof frame.ref !== 'number') return;
    const entry = this.#unanswered.get(frame.ref);
    if (frame.op === 'ack') this.checker.acknowledged(frame.ref, frame);
    // In a move the same send has an answer on each connection.
    const repeatedAt = this.#repeated.get(frame.ref);
    if (frame.op === 'error' && frame.temporary && repeatedAt && entry?.on !== connection) this.checker.sentAgain(frame.ref, repeatedAt);
    if (!entry) return;
    if (frame.op === 'error' && frame.temporary && !entry.ephemeral) return this.#later(entry, connection, frame.retry_after_ms);
    this.#unanswered.delete(entry.number);
    if (frame.op === 'ack') return entry.resolve(frame);
    if (!frame.temporary) this.checker.refused(entry.number);
    entry.reject(Object.assign(new Error(`${frame.code}: ${frame.message}`), { code: frame.code }));
  }

  /** @param {Entry} entry @param {Connection} connection where it was refused */
  #later(entry, connection, retry_after_ms = RETRY_MS) {
    if (entry.on !== connection) return;
    entry.refused = true;
    this.checker.refusedForNow(entry.number);
    setTimeout(() => {
      // A new connection has repeated it already.
      if (entry.on !== connection || !this.#unanswered.has(entry.number)) return;
      entry.on = undefined;
      this.#transmit(entry);
    }, retry_after_ms + this.random() * RETRY_MS);
  }
}
