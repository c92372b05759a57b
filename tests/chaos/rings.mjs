/** Every version of a ring while something happens, so that nobody has to guess whose owner changed. */
import { request } from '../harness/http.mjs';
import { RingDocument, userSlot } from '../harness/ring.mjs';
import { delay } from '../harness/until.mjs';

const EVERY_MS = 30;
/** Changes come together: for so long after one, it looks without a pause to speak of. */
const BUSY_MS = 3_000;
const BUSY_EVERY_MS = 5;
/** @param {number} version */
const termOf = (version) => Math.floor(version / 2 ** 32);

export class RingWatch {
  /** @type {Map<number, RingDocument>} version -> document */
  documents = new Map();
  /** @type {string[]} */
  #found = [];
  /** @type {number[]} the version that each lookup service answered last */
  #versions = [];
  /** @type {(string | undefined)[]} what each lookup service answered last: documents are large */
  #tags = [];
  #watching = false;
  #changed_ms = 0;
  /** @type {Promise<unknown> | undefined} */
  #over;
  /** @type {Map<string, number>} */
  #slots = new Map();

  /** @param {import('../harness/cluster.mjs').Cluster} cluster */
  constructor(cluster) {
    this.cluster = cluster;
  }

  async begin() {
    await this.#lookAll();
    this.#watching = true;
    // Each for itself: what one skips, or is too slow to tell, another one tells.
    this.#over = Promise.all(this.cluster.lookups.map((_, by) => this.#watch(by)));
    return this;
  }

  async end() {
    this.#watching = false;
    await this.#over;
    await this.#lookAll();
  }

  /** Who came and went, in words. */
  get changes() {
    const rings = this.#inOrder.map(({ nodes }) => nodes.filter(({ slots }) => slots > 0).map(({ id }) => id));
    return rings.flatMap((ids, i) => {
      const before = rings[i - 1] ?? ids;
      return [...ids.filter((id) => !before.includes(id)).map((id) => `+${id}`), ...before.filter((id) => !ids.includes(id)).map((id) => `-${id}`)];
    });
  }

  /** Rings that must not be: another one of the same version, a version that goes back, a node with a url that no node has. @returns {string[]} */
  get wrong() {
    const known = new Map(this.cluster.nodes.map(({ id, url }) => [url, id]));
    const foreign = this.#inOrder.flatMap(({ version, nodes }) => nodes.filter(({ id, url }) => known.get(url) !== id).map(({ id, url }) => `ring ${version}: ${id} at ${url}, which is not its url`));
    return [...this.#found, ...foreign];
  }

  /** Whether no version is missing in between: numbers grow by one, terms begin anew. */
  get complete() {
    return this.#inOrder.every(({ version }, i, all) => i === 0 || version === all[i - 1].version + 1 || termOf(version) > termOf(all[i - 1].version));
  }

  /** The nodes that owned a user, in order. @param {string} user @returns {string[]} */
  ownersOf(user) {
    const owners = this.#inOrder.map((document) => {
      let slot = this.#slots.get(user);
      if (slot === undefined) this.#slots.set(user, (slot = userSlot(document.key, user)));
      return document.nodeAt(slot).id;
    });
    return owners.filter((owner, i) => i === 0 || owner !== owners[i - 1]);
  }

  get #inOrder() {
    return [...this.documents.values()].sort((a, b) => a.version - b.version);
  }

  /** @param {number} by */
  async #watch(by) {
    while (this.#watching) {
      await this.#look(by).catch(() => {});
      await delay(performance.now() - this.#changed_ms < BUSY_MS ? BUSY_EVERY_MS : EVERY_MS);
    }
  }

  #lookAll() {
    return Promise.all(this.cluster.lookups.map((_, by) => this.#look(by)));
  }

  /** @param {number} by */
  async #look(by) {
    const tag = this.#tags[by];
    const { status, headers, json } = await request(`${this.cluster.lookups[by].url}/ring?service=default`, { headers: tag ? { 'if-none-match': tag } : {} });
    if (status !== 200) return;
    this.#tags[by] = headers.etag;
    this.take(by, new RingDocument(json));
  }

  /** A lookup service answered with it. @param {number} by @param {RingDocument} document */
  take(by, document) {
    const { version, signature } = document;
    if (version < (this.#versions[by] ?? 0)) this.#found.push(`lookup service ${by} went back from ring ${this.#versions[by]} to ${version}`);
    this.#versions[by] = version;
    const known = this.documents.get(version);
    if (known && known.signature !== signature) this.#found.push(`two rings of version ${version}: ${known.signature} and ${signature}`);
    if (known) return;
    this.documents.set(version, document);
    this.#changed_ms = performance.now();
  }
}
