/** What a scene can do to a cluster. What has shown an effect is counted: a scene in which too little happened proves nothing. */
import assert from 'node:assert/strict';
import { request } from '../harness/http.mjs';
import { metric } from '../harness/metrics.mjs';
import { registerToken } from '../harness/secrets.mjs';
import { delay, until } from '../harness/until.mjs';
import { linksLost, linksOf, ringPutBack, storeLost, takenOut } from './signs.mjs';

const DRAIN_MS = 60_000;
const READY_MS = 30_000;
/** The slowest sign is that of a silent link, after some 5 s. */
const SIGN_MS = 20_000;

/** @typedef {import('./signs.mjs').Sign} Sign */
/** @typedef {{ what: string, at_ms: number }} Fault `at_ms`: when it began */
/** @typedef {{ node: string, at_ms: number }} Killing */

export class Stage {
  /** @type {Fault[]} */
  faults = [];
  /** @type {Killing[]} */
  kills = [];
  /** @type {string[]} what a reader of the table may want to know */
  notes = [];

  /** @param {import('../harness/cluster.mjs').Cluster} cluster @param {import('./site.mjs').NamespaceSite | import('./site.mjs').ProxySite} site @param {import('./scales.mjs').Scale} scale */
  constructor(cluster, site, scale) {
    this.cluster = cluster;
    this.site = site;
    this.scale = scale;
  }

  get redis() {
    return /** @type {import('../harness/redis.mjs').Redis} */ (this.cluster.redis);
  }

  /** It goes on like this for a while. @param {number} ms */
  stay(ms) {
    return delay(ms);
  }

  /** It has shown an effect. @param {string} what @param {number} at_ms */
  fault(what, at_ms) {
    this.faults.push({ what, at_ms });
  }

  /**
   * Something begins, and ends, whatever happens: after `ms`, and not before its sign is seen. Without a sign it is no fault, and an error.
   * @param {string} what @param {Sign} sign @param {{ begin: () => unknown, end?: () => unknown, ms?: number, within_ms?: number }} course `within_ms`: for the sign
   */
  async befall(what, sign, { begin, end = () => {}, ms = 0, within_ms = SIGN_MS }) {
    await until(`before "${what}" nothing says that ${sign.what}`, async () => !(await sign.seen()), { within_ms, every_ms: 100 });
    const at_ms = Date.now();
    try {
      await begin();
      await until('', sign.seen, { within_ms, every_ms: 50 }).catch(() => {
        throw new Error(`"${what}" had no effect: nothing said within ${within_ms / 1000} s that ${sign.what}`);
      });
      this.fault(what, at_ms);
      this.notes.push(`${sign.what} after ${((Date.now() - at_ms) / 1000).toFixed(1)} s`);
      await this.stay(Math.max(0, at_ms + ms - Date.now()));
    } finally {
      await end();
    }
  }

  /** A node begins, at the addresses that it had before. @param {string} id */
  async start(id) {
    const before = this.cluster.nodes.findLast((node) => node.id === id);
    const again = before && { listen: new URL(before.url).host, peerListen: before.peer };
    return this.cluster.startNode({ id, host: await this.site.host(id, this.redis), ...again, ...this.site.spec(id) });
  }

  /** A node joins, and is home of something. @param {string} id */
  async join(id) {
    const at_ms = Date.now();
    await this.start(id);
    await this.cluster.untilAgreed();
    this.fault(`join ${id}`, at_ms);
  }

  /** @param {string} id */
  async kill(id) {
    const at_ms = Date.now();
    this.kills.push({ node: id, at_ms });
    const node = this.cluster.node(id);
    await this.cluster.kill(node);
    // Whom it hits is the judge's to count, kill by kill.
    assert.equal(node.process.exit?.signal, 'SIGKILL', `the end of ${id}: ${JSON.stringify(node.process.exit)}`);
    this.fault(`SIGKILL ${id}`, at_ms);
  }

  /** A signal: its sessions move, and it ends. @param {string} id */
  async drain(id) {
    const at_ms = Date.now();
    this.cluster.node(id).process.signal('SIGTERM');
    await this.#drained(id, `SIGTERM ${id}`, at_ms);
  }

  /** The same by the back end's interface. @param {string} id */
  async drainByApi(id) {
    const at_ms = Date.now();
    const headers = { authorization: `Bearer ${registerToken(this.cluster.token('back end', { scope: 'admin' }))}` };
    const { status, text } = await request(`${this.cluster.lookups[0].url}/v1/nodes/${id}/drain`, { method: 'POST', headers });
    assert.ok(status >= 200 && status < 300, `drain ${id}: ${status} ${text}`);
    await this.#drained(id, `drain ${id}`, at_ms);
  }

  /** It stands still for so long. @param {string} id @param {number} ms */
  async pause(id, ms) {
    const { process } = this.cluster.node(id);
    await this.befall(`SIGSTOP ${id}`, takenOut(this.cluster, id), { begin: () => process.signal('SIGSTOP'), end: () => process.signal('SIGCONT'), ms });
  }

  /** No packet gets through for so long, in one direction or both. @param {string} one @param {string} other @param {number} ms @param {{ oneWay?: boolean }} [options] */
  async part(one, other, ms, { oneWay = false } = {}) {
    const ways = [[one, other], ...(oneWay ? [] : [[other, one]])];
    const node = [one, other].find((host) => host !== 'redis') ?? '';
    const sign = [one, other].includes('redis') ? storeLost(this.cluster, [node]) : linksLost(this.cluster, one, other);
    await this.befall(`${one} ${oneWay ? '->' : '<->'} ${other} cut`, sign, {
      begin: () => ways.forEach(([from, to]) => this.site.drop(from, to)),
      end: () => ways.forEach(([from, to]) => this.site.mend(from, to)),
      ms,
    });
  }

  /** It keeps what was written. @param {number} ms */
  async killRedis(ms) {
    await this.befall('SIGKILL Redis', storeLost(this.cluster), { begin: () => this.redis.end('SIGKILL'), end: () => this.redis.begin(), ms });
  }

  /** @param {number} ms */
  async pauseRedis(ms) {
    await this.befall('SIGSTOP Redis', storeLost(this.cluster), { begin: () => this.redis.pause(), end: () => this.redis.resume(), ms });
  }

  async flushRedis() {
    await this.befall('FLUSHALL', await ringPutBack(this.cluster), { begin: () => this.redis.command('FLUSHALL') });
  }

  /** Every node that runs is ready, has its links, and goes by the ring that lookup services answer. */
  async well() {
    for (const id of this.cluster.idsOf()) {
      const { admin } = this.cluster.node(id);
      await until(`${id} is ready`, async () => (await request(`http://${admin}/readyz`)).status === 200, { within_ms: READY_MS, every_ms: 100 });
      await until(`${id} has its links`, async () => (await metric(this.cluster.node(id), 'ringdial_peer_links_open')) >= linksOf(this.cluster), { within_ms: READY_MS, every_ms: 100 });
    }
    await this.cluster.untilAgreed();
  }

  /** @param {string} id @param {string} what @param {number} at_ms when that began */
  async #drained(id, what, at_ms) {
    const { process } = this.cluster.node(id);
    await until(`${id} has drained`, () => !process.running, { within_ms: DRAIN_MS, every_ms: 50 });
    assert.equal(process.exit?.code, 0, `the exit code of ${id}: ${JSON.stringify(process.exit)}`);
    this.notes.push(`${id} drained in ${((Date.now() - at_ms) / 1000).toFixed(1)} s`);
    this.fault(what, at_ms);
  }
}
