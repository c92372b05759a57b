/** A TCP proxy in front of a port: a wire that a test may cut, or leave silent, and mend. */
import net from 'node:net';

export class TcpProxy {
  /** @type {Set<{ near: net.Socket, far: net.Socket }>} */
  #pairs = new Set();
  /** @type {'whole' | 'cut' | 'frozen'} */
  #state = 'whole';

  /** @param {number} target the port on 127.0.0.1 @returns {Promise<TcpProxy>} when it listens */
  static async to(target) {
    const proxy = new TcpProxy(target);
    await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', () => resolve(undefined)));
    return proxy;
  }

  /** @param {number} target */
  constructor(target) {
    this.target = target;
    this.server = net.createServer((near) => this.#accept(near));
  }

  get address() {
    return `127.0.0.1:${/** @type {net.AddressInfo} */ (this.server.address()).port}`;
  }

  /** Breaks every connection; new ones break at once. */
  cut() {
    this.#state = 'cut';
    for (const { near, far } of this.#pairs) near.destroy(), far.destroy();
  }

  /** Nothing passes any more and nobody is told. */
  freeze() {
    this.#state = 'frozen';
    for (const { near, far } of this.#pairs) near.unpipe(far).pause(), far.unpipe(near).pause();
  }

  /** All is well again; what waited in frozen connections goes on its way. */
  mend() {
    this.#state = 'whole';
    for (const pair of this.#pairs) join(pair);
  }

  stop() {
    this.cut();
    this.server.close();
  }

  /** @param {net.Socket} near */
  #accept(near) {
    near.on('error', () => {});
    if (this.#state === 'cut') return near.destroy();
    const far = net.connect(this.target, '127.0.0.1');
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.setNoDelay(true);
      one.on('error', () => {});
      one.on('close', () => (other.destroy(), this.#pairs.delete(pair)));
    }
    if (this.#state === 'whole') join(pair);
  }
}

/** @param {{ near: net.Socket, far: net.Socket }} pair */
function join({ near, far }) {
  near.unpipe(far).pipe(far);
  far.unpipe(near).pipe(near);
}
