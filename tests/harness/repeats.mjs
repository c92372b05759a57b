/**
 * What a client repeats by itself after a temporary error. Its application never hears of that error, where another connection has
 * carried the message since; but from the repetition on its place among its sender's messages is counted.
 */

export class Repeats {
  /** @type {Map<string, { number: number, at: number, socket: unknown }>} by `ref`: when a message was written last, and where */
  #written = new Map();

  /** @param {import('./topic-checker.mjs').TopicChecker} checker */
  constructor(checker) {
    this.checker = checker;
  }

  /** Listens along to all that a socket carries; to one in a page it cannot. @param {import('ws').WebSocket} socket */
  tap(socket) {
    if (!socket.send) return;
    const send = socket.send.bind(socket);
    socket.send = (/** @type {any[]} */ ...args) => {
      if (String(args[0]).startsWith('{"op":"send"')) this.wrote(socket, JSON.parse(args[0]));
      return /** @type {any} */ (send)(...args);
    };
    socket.on('message', (data) => {
      const text = data.toString();
      if (text.startsWith('{"op":"error"')) this.refused(socket, JSON.parse(text));
    });
  }

  /** @param {unknown} socket @param {{ ref?: unknown, data?: any }} frame */
  wrote(socket, { ref, data }) {
    if (typeof data?.n === 'number') this.#written.set(String(ref), { number: data.n, at: this.checker.tick(), socket });
  }

  /** Of the last socket's errors the application hears itself. @param {unknown} socket @param {{ ref?: unknown, temporary?: boolean }} error */
  refused(socket, { ref, temporary }) {
    const last = this.#written.get(String(ref));
    if (temporary && last && last.socket !== socket) this.checker.sentAgain(last.number, last.at);
  }
}
