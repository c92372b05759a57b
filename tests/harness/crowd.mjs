/** Many users at once: connected through a cluster, sending to each other, judged by a checker. */
import { Checker } from './checker.mjs';
import { until } from './until.mjs';

/** @typedef {import('./cluster.mjs').Cluster} Cluster */
/** @typedef {import('./session.mjs').Session} Session */

/** How many connections are opened at the same time: a crowd comes in waves, not in one instant. */
const WAVE = 25;

export class Crowd {
  checker = new Checker();
  /** @type {Map<string, Session>} the session that each user sends with */
  sessions = new Map();
  #receivers = 0;
  /** @type {Map<Session, string>} */
  #names = new Map();

  /** @param {Cluster} cluster */
  constructor(cluster) {
    this.cluster = cluster;
  }

  /** @param {string[]} users @param {Parameters<Cluster['connect']>[1]} [options] */
  async join(users, options) {
    await inWaves(users, (user) => this.connect(user, options));
    return this;
  }

  /** One more session of a user. @param {string} user @param {Parameters<Cluster['connect']>[1]} [options] */
  async connect(user, options = {}) {
    const name = `${user}/${++this.#receivers}`;
    const by = this.#receivers % this.cluster.lookups.length;
    const onMessage = (/** @type {any} */ frame) => this.checker.deliver(name, frame);
    const session = await this.cluster.connect(user, { by, ...options, onMessage });
    this.checker.addReceiver(name, user);
    this.#names.set(session, name);
    this.sessions.set(user, session);
    return session;
  }

  /** The session of a user has ended, as the scenario wants it: what it has not got is no loss. @param {string} user */
  retire(user) {
    const session = this.sessions.get(user);
    if (session) this.checker.retire(this.#names.get(session) ?? '');
  }

  /** A message that has to arrive: sent, acknowledged, from then on awaited. @param {string} from @param {string} to */
  async send(from, to, text = '') {
    const payload = this.checker.message(from, to, text);
    const session = this.sessions.get(from);
    if (!session) throw new Error(`${from} is not connected`);
    const ack = await session.send({ user: to }, payload);
    if (!ack.failed?.length) this.checker.acknowledged(payload);
    return ack;
  }

  /**
   * Every user sends `each` messages to `partners` users on every other node and on its own; all at the same time, but
   * each pair in order.
   */
  async everyoneToEveryNode(partners = 3, each = 2) {
    const users = [...this.sessions.keys()];
    const byNode = new Map(this.cluster.idsOf().map((id) => [id, users.filter((user) => this.sessions.get(user)?.node === id)]));
    const sends = users.flatMap((from, i) =>
      [...byNode.values()].flatMap((there) =>
        Array.from({ length: Math.min(partners, there.length) }, (_, k) => there[(i * partners + k) % there.length]).flatMap((to) =>
          Array.from({ length: each }, (_, n) => this.send(from, to, `message ${n}`)))));
    await Promise.all(sends);
    return sends.length;
  }

  /** Waits until nothing is missing, then throws whatever is wrong. */
  async settle(within_ms = 15_000) {
    const missing = () => this.checker.missing().length;
    await until('all acknowledged messages arrive', () => missing() === 0, { within_ms, describe: () => `${missing()} are missing` }).catch(() => {});
    this.checker.assertClean();
  }

  /** The sessions that are no longer open. */
  closed() {
    return this.cluster.sessions.filter((session) => session.closed).map((session) => `${session.user}: ${session.closed?.code}`);
  }
}

/** @param {string} prefix @param {number} count */
export const names = (count, prefix = 'user-') => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/** @template T, R @param {T[]} items @param {(item: T) => Promise<R>} work */
export async function inWaves(items, work) {
  /** @type {R[]} */
  const results = [];
  for (let i = 0; i < items.length; i += WAVE) results.push(...(await Promise.all(items.slice(i, i + WAVE).map(work))));
  return results;
}
