/** HTTP/1.1 requests one behind the other on a connection: a crowd that comes in the same instant, from one process. */
import net from 'node:net';

/** @typedef {{ status: number, json: any }} Answer */

export class Pipe {
  #unread = Buffer.alloc(0);
  /** @type {((answer: Answer) => void)[]} */
  #waiting = [];

  /** @param {string} url whose host is dialled */
  static async to(url) {
    const { hostname, port } = new URL(url);
    const socket = net.connect(Number(port), hostname);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Pipe(socket.setNoDelay(true));
  }

  /** @param {net.Socket} socket */
  constructor(socket) {
    this.socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => {});
    // Services end connections on which nothing was asked for a while.
    socket.on('close', () => this.#waiting.splice(0).forEach((resolve) => resolve({ status: 0, json: {} })));
  }

  /** @param {string} path @param {string} token @returns {Promise<Answer>} with status 0 if the connection ends before */
  get(path, token) {
    this.socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  end() {
    this.socket.destroy();
  }

  /** @param {Buffer} chunk */
  #read(chunk) {
    let rest = this.#unread.length ? Buffer.concat([this.#unread, chunk]) : chunk;
    for (;;) {
      const end = rest.indexOf('\r\n\r\n');
      if (end < 0) break;
      const head = rest.toString('latin1', 0, end);
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
      if (rest.length < end + 4 + length) break;
      this.#waiting.shift()?.({ status: Number(head.slice(9, 12)), json: JSON.parse(rest.toString('utf8', end + 4, end + 4 + length)) });
      rest = rest.subarray(end + 4 + length);
    }
    this.#unread = rest;
  }
}
