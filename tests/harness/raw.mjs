/** A TCP connection that says whatever a test wants: half a request, a frame that no library would send. */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { until } from './until.mjs';

export class RawConnection {
  received = Buffer.alloc(0);
  closed = false;
  /** @type {Error | undefined} */
  failure;

  /** @param {number} port */
  constructor(port, host = '127.0.0.1') {
    this.socket = net.connect(port, host);
    this.socket.on('data', (chunk) => (this.received = Buffer.concat([this.received, chunk])));
    this.socket.on('error', (error) => (this.failure = error));
    this.socket.on('close', () => (this.closed = true));
  }

  /** To the host and port of a url or an address. @param {string} address @returns {Promise<RawConnection>} connected, or refused and closed */
  static async to(address) {
    const { hostname, port } = new URL(address.includes('://') ? address : `tcp://${address}`);
    const connection = new RawConnection(Number(port), hostname);
    await until(`a connection to ${address}`, () => !connection.socket.connecting);
    return connection;
  }

  /** A WebSocket after its handshake and without a hello. @param {{ url: string, protocols: string[] }} grant */
  static async upgraded(grant) {
    const connection = await RawConnection.to(grant.url);
    const { host, pathname } = new URL(grant.url);
    connection.write([
      `GET ${pathname} HTTP/1.1`, `Host: ${host}`, 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, `Sec-WebSocket-Protocol: ${grant.protocols.join(', ')}`, '', '',
    ].join('\r\n'));
    await connection.until('the end of the handshake', () => connection.text.includes('\r\n\r\n'));
    if (!connection.text.startsWith('HTTP/1.1 101')) throw new Error(`no upgrade: ${connection.text}`);
    connection.received = connection.received.subarray(connection.received.indexOf('\r\n\r\n') + 4);
    return connection;
  }

  /** @param {string | Buffer} data */
  write(data) {
    if (!this.closed) this.socket.write(data);
    return this;
  }

  get text() {
    return this.received.toString('latin1');
  }

  /** The frames of a server that have arrived whole. @returns {{ opcode: number, payload: Buffer }[]} */
  get frames() {
    const frames = [];
    for (let rest = this.received; rest.length >= 2; ) {
      const short = rest[1] & 0x7f;
      const [at, length] = short < 126 ? [2, short] : short === 126 ? [4, rest.readUInt16BE(2)] : [10, Number(rest.readBigUInt64BE(2))];
      if (rest.length < at + length) break;
      frames.push({ opcode: rest[0] & 0xf, payload: rest.subarray(at, at + length) });
      rest = rest.subarray(at + length);
    }
    return frames;
  }

  /** The code of the close frame, if one has come. */
  get closeCode() {
    const close = this.frames.find((frame) => frame.opcode === 8);
    return close && close.payload.length >= 2 ? close.payload.readUInt16BE(0) : undefined;
  }

  /** @param {string} what @param {() => unknown} condition @param {number} [within_ms] */
  async until(what, condition, within_ms) {
    const describe = () => ({ closed: this.closed, text: this.text.slice(0, 200) });
    await until(what, () => condition() || this.closed, { within_ms, describe });
    if (!condition()) throw new Error(`closed while waiting for ${what}: ${this.text.slice(0, 200)}`);
  }

  end() {
    this.socket.destroy();
  }
}

/**
 * One client frame, with any fault one likes.
 * @param {string | Buffer} payload
 * @param {{ opcode?: number, fin?: boolean, masked?: boolean, reserved?: number, length?: bigint }} [options] `length`: what the header claims
 */
export function clientFrame(payload, { opcode = 1, fin = true, masked = true, reserved = 0, length } = {}) {
  const data = Buffer.from(payload);
  const claimed = length ?? BigInt(data.length);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const mask = masked ? 0x80 : 0;
  const header = Buffer.alloc(claimed < 126n ? 2 : claimed < 65_536n ? 4 : 10);
  header[0] = first;
  header[1] = mask | (claimed < 126n ? Number(claimed) : claimed < 65_536n ? 126 : 127);
  if (header.length === 4) header.writeUInt16BE(Number(claimed), 2);
  if (header.length === 10) header.writeBigUInt64BE(claimed, 2);
  if (!masked) return Buffer.concat([header, data]);
  const key = randomBytes(4);
  return Buffer.concat([header, key, data.map((byte, i) => byte ^ key[i % 4])]);
}
