/** What a member asked its node, other than to send: joins and leaves, until they are answered or the connection is gone. */

/** @typedef {import('./connection.mjs').Connection} Connection */
/** @typedef {{ topic: string, since?: object, resolve: (ack: any) => void, reject: (error: Error) => void }} Request */

export class Requests {
  /** @type {Map<string, Request>} */
  #open = new Map();
  #refs = 0;

  get size() {
    return this.#open.size;
  }

  /** @param {Connection} connection @param {object} frame @param {string} topic @param {object} [since] @returns {Promise<any>} the ack; undefined if the connection ended before */
  ask({ session }, frame, topic, since) {
    return new Promise((resolve, reject) => {
      const ref = `q${++this.#refs}`;
      this.#open.set(ref, { topic, since, resolve, reject });
      session.sendFrame({ ref, ...frame, op: /** @type {any} */ (frame).op });
    });
  }

  /** Whether the frame answers one of them. @param {Connection} connection @param {any} frame @param {Set<string>} groups that the member wants to be in */
  answered({ line }, frame, groups) {
    const request = this.#open.get(frame.ref);
    if (!request) return false;
    this.#open.delete(frame.ref);
    const { topic, since, resolve, reject } = request;
    if (frame.op === 'error' && !line?.positions.has(topic)) groups.delete(topic.slice(2));
    if (frame.op === 'error') return reject(Object.assign(new Error(`${frame.code}: ${frame.message}`), { code: frame.code })), true;
    if (frame.recovered !== undefined) line?.begin(topic, frame, since);
    else line?.left(topic, frame);
    resolve(frame);
    return true;
  }

  /** The connection is gone: a group that was to be left is. @param {Set<string>} groups @param {import('./receiver.mjs').Receiver} receiver */
  forget(groups, receiver) {
    for (const { topic, resolve } of this.#open.values()) {
      if (!groups.has(topic.slice(2))) receiver.end(topic);
      resolve(undefined);
    }
    this.#open.clear();
  }
}
