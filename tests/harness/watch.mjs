/**
 * Looks all the time, from outside, for what must never be seen: a ring version that goes back, two rings of one version,
 * an address that is nobody's, a lookup that fails.
 */
import { request } from './http.mjs';
import { sampleSum } from './metrics.mjs';
import { delay } from './until.mjs';

/** @typedef {import('./cluster.mjs').Cluster} Cluster */
const ROUND_MS = 100;
/** A process that is stopped answers nobody. */
const ANSWER_MS = 2_000;
const FINDINGS_KEPT = 20;
const USERS = 500;

export class Watch {
  /** @type {string[]} */
  findings = [];
  looked = { rings: 0, lookups: 0, nodes: 0 };
  #ended = false;
  /** @type {Map<string, number>} who told it -> the newest version */
  #versions = new Map();
  /** @type {Map<number, string>} version -> signature */
  #signatures = new Map();
  /** @type {Set<string>} */
  #urls = new Set();
  /** nodes that have not answered yet */
  #asked = new Set();

  /** @param {Cluster} ring */
  constructor(ring) {
    this.ring = ring;
    const each = [...ring.lookups.keys()].flatMap((by) => [this.#loop(() => this.#ringOf(by)), this.#loop(() => this.#lookUp(by))]);
    this.loops = Promise.all([...each, this.#loop(() => this.#nodes())]);
  }

  /** Ends, and throws if something was seen, or too little was looked at. @param {number} [least] rounds of each kind */
  async end(least = 20) {
    this.#ended = true;
    await this.loops;
    if (this.findings.length > 0) throw new Error(`seen from outside:\n${this.findings.join('\n')}`);
    if (Math.min(...Object.values(this.looked)) < least) throw new Error(`looked too little: ${JSON.stringify(this.looked)}`);
  }

  /** @param {() => Promise<void>} look */
  async #loop(look) {
    while (!this.#ended) {
      await look();
      await delay(ROUND_MS);
    }
  }

  /** @param {number} by */
  async #ringOf(by) {
    const { url } = this.ring.lookups[by];
    const known = this.#versions.get(url);
    const headers = known === undefined ? {} : { 'if-none-match': `"${known}-${this.#signatures.get(known)}"` };
    const answer = await request(`${url}/ring`, { headers }).catch((error) => this.#found(`/ring of ${by}: ${error.message}`));
    if (!answer) return;
    this.looked.rings++;
    if (answer.status === 304) return;
    if (answer.status !== 200) return this.#found(`/ring of ${by}: ${answer.status} ${answer.text.slice(0, 200)}`);
    const { version, signature } = answer.json;
    const other = this.#signatures.get(version);
    if (other !== undefined && other !== signature) this.#found(`version ${version} is ${other} and ${signature}`);
    this.#signatures.set(version, signature);
    this.#version(`/ring of ${by}`, url, version);
    this.#addresses(`/ring of ${by}`, answer.text);
  }

  /** @param {number} by */
  async #lookUp(by) {
    const user = `asks-${this.looked.lookups++ % USERS}`;
    const answer = await this.ring.askLookup(user, { by }).catch((error) => this.#found(`lookup at ${by}: ${error.message}`));
    if (!answer) return;
    if (answer.status !== 200) this.#found(`lookup at ${by}: ${answer.status} ${answer.text.slice(0, 200)}`);
    this.#addresses(`lookup at ${by}`, answer.text);
  }

  /** Asks every node that runs, and waits for none: one may be stopped. */
  async #nodes() {
    for (const node of this.ring.nodes) {
      if (!node.process.running || this.#asked.has(node)) continue;
      this.#asked.add(node);
      this.#nodeOf(node).finally(() => this.#asked.delete(node));
    }
  }

  /** @param {import('./cluster.mjs').Node} node */
  async #nodeOf({ id, admin }) {
    const answer = await request(`http://${admin}/metrics`, { within_ms: ANSWER_MS }).catch(() => undefined);
    if (answer?.status !== 200) return;
    this.looked.nodes++;
    for (const name of ['ringdial_ring_version', 'ringdial_node_ring_version']) this.#version(`${name} of ${id}`, `${admin} ${name}`, sampleSum(answer.text, name, { node: id }));
  }

  /** @param {string} what @param {string} who @param {number} version */
  #version(what, who, version) {
    const before = this.#versions.get(who) ?? 0;
    if (version < before) this.#found(`${what} went from ${before} back to ${version}`);
    this.#versions.set(who, Math.max(version, before));
  }

  /** @param {string} what @param {string} text */
  #addresses(what, text) {
    for (const { url, peer } of this.ring.nodes) this.#urls.add(url).add(peer);
    for (const [url] of text.matchAll(/\bwss?:\/\/[^"\s]+/g)) if (!this.#urls.has(url)) this.#found(`${what} tells of ${url}`);
  }

  /** @param {string} what @returns {undefined} */
  #found(what) {
    if (this.findings.length < FINDINGS_KEPT && this.findings.at(-1) !== what) this.findings.push(what);
  }
}
