/**
 * A cluster that falls ill under traffic: what must hold whatever the illness is. Nobody is disconnected who need not be,
 * what was acknowledged arrives once and in order, what is seen from outside is right all the time, and in the end
 * everybody agrees and is linked to everybody.
 */
import assert from 'node:assert/strict';
import { cluster } from './cluster.mjs';
import { MANY_SENDS } from './flags.mjs';
import { request } from './http.mjs';
import { sampleSum } from './metrics.mjs';
import { TopicChecker } from './topic-checker.mjs';
import { Traffic } from './traffic.mjs';
import { until } from './until.mjs';
import { Watch } from './watch.mjs';

/** @typedef {import('./cluster.mjs').Cluster} Cluster */
/** @typedef {{ id: string, admin: string, process: import('./process.mjs').Process }} Part */
/** @typedef {{ lost?: boolean, ill?: string[], ephemeralMayBeLost?: boolean }} Prognosis lost: the log may be; ill: nodes whose sessions may end */

const FLAGS = { node: MANY_SENDS };
const PLAN = {
  users: 36, doubles: 4, groups: 6, groupsEach: 2, classes: 3, perSecond: 40,
  mix: /** @type {const} */ ({ user: 10, users: 1, group: 4, 'ephemeral user': 3, 'ephemeral group': 2 }),
};
/** What a send may fail with while a process or a link is ill; durable ones are sent again. */
const FAILURES = /^(unavailable|log_unavailable|overloaded|timeout|settling)\b/;
const HEALED_MS = 60_000;

/** Starts the cluster, its users and their traffic. @param {import('node:test').TestContext} t @param {import('./cluster.mjs').ClusterOptions} options @param {Prognosis} [prognosis] */
export async function patient(t, options, prognosis = {}) {
  const ring = await cluster({ nodes: 3, lookups: 2, flags: FLAGS, ...options });
  const one = new Patient(ring, prognosis);
  t.after(() => one.discharge());
  await one.begin();
  return one;
}

export class Patient {
  #done = false;

  /** @param {Cluster} ring @param {Prognosis} prognosis */
  constructor(ring, prognosis) {
    this.ring = ring;
    this.prognosis = prognosis;
    this.checker = new TopicChecker({ ephemeralMayBeLost: prognosis.ephemeralMayBeLost });
    this.traffic = new Traffic(ring, this.checker, PLAN, 7);
  }

  async begin() {
    await this.traffic.begin();
    this.before = await this.ring.ring();
    this.watch = new Watch(this.ring);
    this.running = this.traffic.run(() => this.#done);
    // Who fails first tells; the rest is told by `healed`.
    this.running.catch(() => {});
  }

  /** Lookup services and nodes that run. @returns {Part[]} */
  get parts() {
    const lookups = this.ring.lookups.map((lookup, by) => ({ ...lookup, id: `lookup service ${by}` }));
    return [...lookups, ...this.ring.nodes].filter(({ process }) => process.running);
  }

  /** The sum of a figure over these processes. @param {string} name @param {Part[]} [parts] @param {Record<string, string>} [labels] */
  async sum(name, parts = this.parts, labels = {}) {
    const pages = await Promise.all(parts.map(({ admin }) => request(`http://${admin}/metrics`, { within_ms: 2_000 })));
    return pages.reduce((sum, { text }) => sum + sampleSum(text, name, labels), 0);
  }

  /** What is wrong is on a metric. @param {string} name @param {(sum: number) => boolean} wanted @param {Part[]} [parts] @param {number} [within_ms] */
  async shows(name, wanted, parts = this.parts, within_ms = 20_000) {
    return until(`${name} says so`, async () => {
      const sum = await this.sum(name, parts);
      if (!wanted(sum)) throw new Error(`it is ${sum} over ${parts.map(({ id }) => id)}`);
      return true;
    }, { within_ms, every_ms: 100 });
  }

  /** And in the log of one of these processes, or of each. @param {RegExp} line @param {Part[]} [parts] @param {boolean} [each] */
  async logs(line, parts = this.parts, each = false) {
    const told = (/** @type {Part} */ { process }) => line.test(process.stderr);
    await until(`${each ? 'everybody logs' : 'somebody logs'} ${line}`, () => (each ? parts.every(told) : parts.some(told)));
  }

  /** Durable messages are acknowledged again. @param {number} count */
  async goesOn(count = 60, within_ms = HEALED_MS) {
    const before = this.checker.acknowledgedCount;
    await until('messages are acknowledged', () => this.checker.acknowledgedCount >= before + count, { within_ms, every_ms: 100 });
  }

  /** Ends the traffic; from here on everything must be well. @param {import('node:test').TestContext} t */
  async healed(t) {
    const { prognosis: { lost, ill = [] }, checker, traffic, ring } = this;
    const began = Date.now();
    await this.whole();
    const whole_ms = Date.now() - began;
    await this.goesOn();
    this.#done = true;
    const { seconds, sent } = /** @type {any} */ (await this.running);
    await traffic.settle();
    await this.watch?.end();
    t.diagnostic(`${sent} messages in ${seconds.toFixed(1)} s, ${checker.acknowledgedCount} acknowledged, ${traffic.retries} sent again; ${checker.gaps.length} gaps; whole after ${whole_ms} ms; ${JSON.stringify(this.watch?.looked)}`);
    assert.deepEqual(this.disconnected(ill), [], 'nobody was disconnected');
    assert.deepEqual([...traffic.failures.keys()].filter((failure) => !FAILURES.test(failure)), [], 'sends that failed');
    assert.deepEqual(lost ? checker.gaps.filter(({ reason }) => reason !== 'log_lost') : checker.gaps, [], 'gaps');
    assert.ok(checker.acknowledgedCount > 60, `${checker.acknowledgedCount} acknowledged`);
    assert.deepEqual(ring.nodes.filter(({ process }) => process.exit?.code).map(({ id }) => id), [], 'nodes that gave up');
  }

  /** Everybody goes, and then the cluster. Members would come back to nodes that drain. */
  async discharge() {
    this.#done = true;
    await Promise.all(this.traffic.members.map((member) => member.end()));
    await this.ring.stop();
  }

  /** The sessions that were welcome and did not end by a move. @param {string[]} but at these nodes */
  disconnected(but = []) {
    const ended = this.ring.sessions.filter(({ welcome, closed, node }) => welcome && closed && closed.code !== 1000 && !but.includes(node));
    return ended.map(({ user, node, closed }) => `${user} at ${node}: ${closed?.code} ${closed?.reason}`);
  }

  /** Waits until all views are equal and everybody is linked to everybody. */
  async whole(within_ms = HEALED_MS) {
    const { ring } = this;
    const [ids, size] = [ring.idsOf(), ring.idsOf().length];
    await ring.untilSeen(ids, 'default', within_ms);
    await until('all views are equal and all are linked', async () => {
      const pages = await Promise.all(this.parts.map(async ({ id, admin }) => ({ id, text: (await request(`http://${admin}/metrics`, { within_ms: 2_000 })).text })));
      const views = new Set(pages.map(({ text }) => `${sampleSum(text, 'ringdial_ring_version', {})} ${/^ringdial_ring_info.*signature="(\w+)"/m.exec(text)?.[1]}`));
      if (views.size > 1) throw new Error(`views: ${[...views]}`);
      const behind = pages.filter(({ id, text }) => ids.includes(id) && sampleSum(text, 'ringdial_node_ring_version', {}) !== sampleSum(text, 'ringdial_ring_version', {}));
      if (behind.length > 0) throw new Error(`behind: ${behind.map(({ id }) => id)}`);
      // A node has a link to and from each other one, and from each lookup service.
      const wanted = (/** @type {string} */ id) => (ids.includes(id) ? 2 * (size - 1) + ring.lookups.length : size);
      const links = pages.map(({ id, text }) => ({ id, open: sampleSum(text, 'ringdial_peer_links_open', {}), wanted: wanted(id) }));
      const wrong = links.filter(({ open, wanted }) => open !== wanted);
      if (wrong.length > 0) throw new Error(`links: ${JSON.stringify(wrong)}`);
      return true;
    }, { within_ms, every_ms: 100 });
  }
}
