/** Step 2 as a client sees it: the raw protocol over one socket, with everything that arrived kept for the checks. */
import WebSocket from 'ws';
import { until } from './until.mjs';

/** @typedef {{ url: string, ticket: string, protocols: string[], node: string, id: string, [field: string]: any }} Grant what a lookup answers */
/** @typedef {{ op: string, [field: string]: any }} Frame */
/**
 * @typedef {object} OpenOptions
 * @property {object | false | (() => object)} [hello] fields of the first frame, or what tells them when it is sent; false: it is not sent
 * @property {'protocol' | 'header' | 'query'} [ticketBy] how the ticket travels
 * @property {boolean} [answerPings] false: a client that has fallen silent
 * @property {string} [ca] PEM of a private CA
 * @property {(frame: Frame, session: Session) => void} [onMessage] told of every `message`
 * @property {(frame: Frame) => void} [onFrame] told of every frame, as it comes
 * @property {(code: number) => void} [onClosed]
 * @property {boolean} [keep] false: nothing but errors is kept, for sessions that get very much
 */

/** The node answered with `error`: its code and whether to try again. */
export class RefusedError extends Error {
  /** @param {Frame} frame */
  constructor(frame) {
    super(`${frame.code}: ${frame.message}`);
    this.code = frame.code;
    this.temporary = frame.temporary;
  }
}

/** The socket closed while something was awaited. */
export class ClosedError extends Error {
  /** @param {Session} session */
  constructor(session) {
    super(`session of ${session.user} at ${session.node} closed: ${session.closed?.code} ${session.closed?.reason} ${JSON.stringify(session.errors)}`);
    this.code = session.closed?.code;
  }
}

export class Session {
  /** @type {((frame: Frame) => void) | undefined} is shown every frame of every session: tests/transcripts/judge.mjs */
  static judge;
  /** @type {Frame[]} every frame that arrived, in order */
  frames = [];
  /** @type {Frame[]} */
  inbox = [];
  /** @type {Frame[]} `error` frames, with and without ref */
  errors = [];
  /** @type {Frame | undefined} */
  welcome;
  /** @type {{ code: number, reason: string } | undefined} */
  closed;
  /** @type {Map<unknown, { resolve: (frame: Frame) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();
  #lastRef = 0;

  /**
   * Opens the socket and says hello; does not wait for anything.
   * @param {Grant} grant
   * @param {OpenOptions} [options]
   */
  constructor(grant, options = {}) {
    const { hello = {}, ticketBy = 'protocol', ca } = options;
    this.user = grant.id;
    this.node = grant.node;
    this.ticket = grant.ticket;
    this.options = options;
    const url = ticketBy === 'query' ? `${grant.url}?ticket=${grant.ticket}` : grant.url;
    const headers = ticketBy === 'header' ? { authorization: `Bearer ${grant.ticket}` } : {};
    const protocols = ticketBy === 'protocol' ? grant.protocols : ['ringdial.v1'];
    this.socket = new WebSocket(url, protocols, { ca, headers, perMessageDeflate: false, handshakeTimeout: 10_000 });
    this.socket.on('open', () => hello && this.sendFrame({ op: 'hello', ...(typeof hello === 'function' ? hello() : hello) }));
    this.socket.on('message', (data, isBinary) => this.#onFrame(isBinary ? { op: 'BINARY' } : JSON.parse(data.toString())));
    // An 'error' is always followed by 'close', which is what sessions are judged by; it is kept for the report.
    this.socket.on('error', (error) => (this.failure = error));
    this.socket.on('close', (code, reason) => {
      this.#onClose(code, reason.toString() || (this.failure?.message ?? ''));
      options.onClosed?.(code);
    });
  }

  /** A session that has its welcome. @param {Grant} grant @param {OpenOptions} [options] */
  static async open(grant, options) {
    const session = new Session(grant, options);
    await session.until('welcome', () => session.welcome);
    return session;
  }

  /**
   * Sends an ephemeral message and waits for its answer.
   * @param {object} to `{ user }`, `{ users }`, ...
   * @param {unknown} data
   * @param {object} [fields] more fields of the frame
   * @returns {Promise<Frame>} the ack; an `error` answer rejects with RefusedError
   */
  send(to, data, fields = {}) {
    return this.request({ op: 'send', to, data, ephemeral: true, ...fields });
  }

  /** Sends a message that the log is to hold. @param {object} to @param {unknown} data @param {object} [fields] `key` */
  store(to, data, fields = {}) {
    return this.request({ op: 'send', to, data, ...fields });
  }

  /** A frame with a `ref`, and its answer. @param {Frame} frame @returns {Promise<Frame>} as for `send` */
  request(frame) {
    const ref = `r${++this.#lastRef}`;
    const answer = new Promise((resolve, reject) => this.#waiting.set(ref, { resolve, reject }));
    // Somebody may stop waiting (a deadline elsewhere) before the socket closes; that is no unhandled rejection.
    answer.catch(() => {});
    if (this.closed) this.#onClose(this.closed.code, this.closed.reason);
    else this.sendFrame({ ref, ...frame });
    return answer;
  }

  /** @param {Frame} frame */
  sendFrame(frame) {
    this.sendRaw(JSON.stringify(frame));
  }

  /** A string becomes a text frame, a Buffer a binary one. @param {string | Buffer} data */
  sendRaw(data) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(data, { binary: typeof data !== 'string' });
  }

  /**
   * Waits for a condition on this session; a close ends the wait at once.
   * @template T @param {string} what @param {() => T} condition @param {number} [within_ms]
   */
  async until(what, condition, within_ms = 10_000) {
    const describe = () => ({ closed: this.closed, errors: this.errors, frames: this.frames.slice(-5) });
    const met = () => condition() || this.closed !== undefined;
    await until(`${what}, ${this.user} at ${this.node}`, met, { within_ms, describe });
    const value = condition();
    if (!value) throw new ClosedError(this);
    return value;
  }

  /** The first frame with that op. @param {string} op @param {number} [within_ms] @returns {Promise<Frame>} */
  async frame(op, within_ms) {
    return /** @type {Promise<any>} */ (this.until(`a frame "${op}"`, () => this.frames.find((frame) => frame.op === op), within_ms));
  }

  /** The close, awaited. @param {number} [within_ms] */
  async closing(within_ms) {
    return /** @type {{ code: number, reason: string }} */ (await this.until('the close', () => this.closed, within_ms));
  }

  /** Closes from this side and waits until it is closed. */
  async close() {
    this.socket.close(1000);
    return this.closing();
  }

  /** @param {Frame} frame */
  #onFrame(frame) {
    Session.judge?.(frame);
    this.options.onFrame?.(frame);
    const keep = this.options.keep !== false;
    if (keep) this.frames.push(frame);
    if (frame.op === 'message') {
      if (keep) this.inbox.push(frame);
      this.options.onMessage?.(frame, this);
    } else if (frame.op === 'ping') {
      if (this.options.answerPings !== false) this.sendFrame({ op: 'pong' });
    } else if (frame.op === 'welcome') {
      this.welcome = frame;
    } else if (frame.op === 'ack') {
      this.#settle(frame)?.resolve(frame);
    } else if (frame.op === 'error') {
      this.errors.push(frame);
      this.#settle(frame)?.reject(new RefusedError(frame));
    }
  }

  /** @param {Frame} frame */
  #settle(frame) {
    const waiting = this.#waiting.get(frame.ref);
    this.#waiting.delete(frame.ref);
    return waiting;
  }

  /** @param {number} code @param {string} reason */
  #onClose(code, reason) {
    this.closed = { code, reason };
    for (const { reject } of this.#waiting.values()) reject(new ClosedError(this));
    this.#waiting.clear();
  }
}
