/** What a scene can do to a cluster. Everything that it does is counted: a scene in which too little happened proves nothing. */
import assert from 'node:assert/strict';
import { request } from '../harness/http.mjs';
import { registerToken } from '../harness/secrets.mjs';
import { delay, until } from '../harness/until.mjs';

const DRAIN_MS = 60_000;
const READY_MS = 30_000;

/** @typedef {{ what: string, at_ms: number }} Fault */
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

  /** @param {string} what */
  fault(what) {
    this.faults.push({ what, at_ms: Date.now() });
  }

  /** A node begins, at the addresses that it had before. @param {string} id */
  async start(id) {
    const before = this.cluster.nodes.findLast((node) => node.id === id);
    const again = before && { listen: new URL(before.url).host, peerListen: before.peer };
    return this.cluster.startNode({ id, host: await this.site.host(id, this.redis), ...again, ...this.site.spec(id) });
  }

  /** A node joins, and is home of something. @param {string} id */
  async join(id) {
    this.fault(`join ${id}`);
    await this.start(id);
    await this.cluster.untilAgreed();
  }

  /** @param {string} id */
  async kill(id) {
    this.fault(`SIGKILL ${id}`);
    this.kills.push({ node: id, at_ms: Date.now() });
    await this.cluster.kill(this.cluster.node(id));
  }

  /** A signal: its sessions move, and it ends. @param {string} id */
  async drain(id) {
    this.fault(`SIGTERM ${id}`);
    this.cluster.node(id).process.signal('SIGTERM');
    await this.#drained(id);
  }

  /** The same by the back end's interface. @param {string} id */
  async drainByApi(id) {
    this.fault(`drain ${id}`);
    const headers = { authorization: `Bearer ${registerToken(this.cluster.token('back end', { scope: 'admin' }))}` };
    const { status, text } = await request(`${this.cluster.lookups[0].url}/v1/nodes/${id}/drain`, { method: 'POST', headers });
    assert.ok(status >= 200 && status < 300, `drain ${id}: ${status} ${text}`);
    await this.#drained(id);
  }

  /** It stands still for so long. @param {string} id @param {number} ms */
  async pause(id, ms) {
    this.fault(`SIGSTOP ${id}`);
    const { process } = this.cluster.node(id);
    process.signal('SIGSTOP');
    await delay(ms);
    process.signal('SIGCONT');
  }

  /** No packet gets through for so long, in one direction or both. @param {string} one @param {string} other @param {number} ms @param {{ oneWay?: boolean }} [options] */
  async part(one, other, ms, { oneWay = false } = {}) {
    this.fault(`${one} ${oneWay ? '->' : '<->'} ${other} cut`);
    this.site.drop(one, other);
    if (!oneWay) this.site.drop(other, one);
    await delay(ms);
    this.site.mend(one, other);
    if (!oneWay) this.site.mend(other, one);
  }

  /** Every node that runs is ready, and goes by the ring that lookup services answer. */
  async well() {
    for (const id of this.cluster.idsOf()) {
      const { admin } = this.cluster.node(id);
      await until(`${id} is ready`, async () => (await request(`http://${admin}/readyz`)).status === 200, { within_ms: READY_MS, every_ms: 100 });
    }
    await this.cluster.untilAgreed();
  }

  /** @param {string} id */
  async #drained(id) {
    const [began, { process }] = [Date.now(), this.cluster.node(id)];
    await until(`${id} has drained`, () => !process.running, { within_ms: DRAIN_MS, every_ms: 50 });
    assert.equal(process.exit?.code, 0, `the exit code of ${id}: ${JSON.stringify(process.exit)}`);
    this.notes.push(`${id} drained in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }
}
