/**
 * What a client repeats by itself after it was refused for the time being. Its application never hears of that, where another
 * connection has carried the message since; but from the repetition on its place among its sender's messages is counted.
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
      if (text.startsWith('{"op":"error"') || text.startsWith('{"op":"ack"')) this.answered(socket, JSON.parse(text));
    });
  }

  /** @param {unknown} socket @param {{ ref?: unknown, data?: any }} frame */
  wrote(socket, { ref, data }) {
    if (typeof data?.n === 'number') this.#written.set(String(ref), { number: data.n, at: this.checker.tick(), socket });
  }

  /** Of the last socket's errors the application hears itself. @param {unknown} socket @param {{ op: string, ref?: unknown, temporary?: boolean, failed?: unknown[] }} answer */
  answered(socket, answer) {
    const last = this.#written.get(String(answer.ref));
    if (isRefusal(answer) && last && last.socket !== socket) this.checker.sentAgain(last.number, last.at);
  }
}

/** Whether an answer says that a message, for one of its recipients at least, was not taken for the time being. @param {{ op: string, temporary?: boolean, failed?: unknown[] }} frame */
function isRefusal({ op, temporary, failed }) {
  return op === 'error' ? temporary === true : op === 'ack' && (failed ?? []).length > 0;
}
