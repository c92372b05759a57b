/**
 * A WebSocket client that costs little: the benchmarks' clients share the machine with the servers that are measured.
 * It trusts its server: no checks, no fragments, no compression, and it masks with zeros.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';

/** @typedef {{ url: string, protocols: string[], [field: string]: any }} Grant */

export class Wire {
  /** Bytes that came and make no whole frame yet. */
  #rest = Buffer.alloc(0);
  #greeted = false;

  /**
   * @param {Grant} grant
   * @param {string} from the address to connect from: a port is for one connection of an address
   * @param {(frame: Buffer, wire: Wire) => void} onText told of every text frame; the buffer is only good until it returns
   */
  constructor(grant, from, onText) {
    const { hostname, port, pathname } = new URL(grant.url);
    this.onText = onText;
    this.socket = connect({ host: hostname, port: Number(port), localAddress: from });
    this.socket.setNoDelay(true);
    const key = randomBytes(16).toString('base64');
    this.socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: ${grant.protocols.join(', ')}\r\n\r\n`);
    this.socket.on('data', (bytes) => this.#take(bytes));
    this.ended = new Promise((resolve) => this.socket.on('close', () => resolve(this.failure ?? new Error('closed'))));
    this.socket.on('error', (error) => (this.failure = error));
  }

  /** @param {Buffer} frame as `frameOf` made it */
  write(frame) {
    this.socket.write(frame);
  }

  /** @param {Buffer} bytes */
  #take(bytes) {
    let all = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    if (!this.#greeted) {
      const end = all.indexOf('\r\n\r\n');
      if (end >= 0) {
        this.#greeted = true;
        all = all.subarray(end + 4);
      }
    }
    let at = 0;
    while (this.#greeted) {
      const [start, length] = payload(all, at);
      if (start < 0 || start + length > all.length) break;
      if ((all[at] & 15) === 1) this.onText(all.subarray(start, start + length), this);
      if ((all[at] & 15) === 8) this.failure = new Error(`closed with ${all.readUInt16BE(start)}`);
      at = start + length;
    }
    // Copied: a small rest must not keep the whole of what came.
    this.#rest = at < all.length ? Buffer.from(all.subarray(at)) : Buffer.alloc(0);
  }
}

/** A text frame of a client, masked with zeros. @param {object} value */
export function frameOf(value) {
  const text = Buffer.from(JSON.stringify(value));
  const long = text.length > 125;
  const head = Buffer.alloc(long ? 8 : 6);
  head[0] = 0x81;
  head[1] = 0x80 | (long ? 126 : text.length);
  if (long) head.writeUInt16BE(text.length, 2);
  return Buffer.concat([head, text]);
}

/** Where the payload of the frame at `at` begins and how long it is; -1 if its head is not all there. @param {Buffer} all @param {number} at */
function payload(all, at) {
  if (all.length < at + 2) return [-1, 0];
  const length = all[at + 1];
  if (length < 126) return [at + 2, length];
  if (length === 126) return all.length < at + 4 ? [-1, 0] : [at + 4, all.readUInt16BE(at + 2)];
  return all.length < at + 10 ? [-1, 0] : [at + 10, all.readUInt32BE(at + 6)];
}
