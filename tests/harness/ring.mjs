/**
 * The ring, computed a second time and independently of the Rust code, straight from the published description: from
 * `GET /ring` anybody can tell any user's home. Plain BigInt; slow and obvious on purpose.
 */

const MASK = (1n << 64n) - 1n;
export const SLOTS = 65_536;

/** @param {bigint} x @param {bigint} bits */
const rotate = (x, bits) => ((x << bits) | (x >> (64n - bits))) & MASK;

/**
 * SipHash-1-3 (Aumasson and Bernstein 2012, with one compression and three finalisation rounds).
 * @param {Uint8Array} key 16 bytes
 * @param {Uint8Array} data
 */
export function sipHash13(key, data) {
  const k = new DataView(key.buffer, key.byteOffset, 16);
  const [k0, k1] = [k.getBigUint64(0, true), k.getBigUint64(8, true)];
  let [a, b, c, d] = [k0 ^ 0x736f6d6570736575n, k1 ^ 0x646f72616e646f6dn, k0 ^ 0x6c7967656e657261n, k1 ^ 0x7465646279746573n];
  const round = () => {
    a = (a + b) & MASK; b = rotate(b, 13n) ^ a; a = rotate(a, 32n);
    c = (c + d) & MASK; d = rotate(d, 16n) ^ c;
    a = (a + d) & MASK; d = rotate(d, 21n) ^ a;
    c = (c + b) & MASK; b = rotate(b, 17n) ^ c; c = rotate(c, 32n);
  };
  const words = Math.floor(data.length / 8);
  const last = new Uint8Array(8);
  last.set(data.subarray(words * 8));
  last[7] = data.length & 0xff;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let i = 0; i <= words; i++) {
    const word = i < words ? view.getBigUint64(i * 8, true) : new DataView(last.buffer).getBigUint64(0, true);
    d ^= word;
    round();
    a ^= word;
  }
  c ^= 0xffn;
  for (let i = 0; i < 3; i++) round();
  return a ^ b ^ c ^ d;
}

/** @param {Uint8Array} ringKey @param {string} text */
export const pointOf = (ringKey, text) => sipHash13(ringKey, new TextEncoder().encode(text));

/** The slot of a user's inbox. @param {Uint8Array} ringKey @param {string} id */
export const userSlot = (ringKey, id) => Number(pointOf(ringKey, `u:${id}`) >> 48n);

/** @param {Uint16Array} holders index of the node that holds each slot @param {Uint8Array} ringKey @returns {string} 16 hex digits */
export function signatureOf(holders, ringKey) {
  const bytes = new Uint8Array(holders.length * 2);
  const view = new DataView(bytes.buffer);
  holders.forEach((holder, slot) => view.setUint16(slot * 2, holder, true));
  return hex(sipHash13(ringKey, bytes));
}

/** @param {bigint} value */
export const hex = (value) => value.toString(16).padStart(16, '0');

/** splitmix64's finaliser on x + 0x9e3779b97f4a7c15. @param {bigint} x */
function mix64(x) {
  let z = (x + 0x9e3779b97f4a7c15n) & MASK;
  z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return z ^ (z >> 31n);
}

/** The document of `GET /ring`, read and expanded. */
export class RingDocument {
  /** @param {any} document */
  constructor(document) {
    this.version = document.version;
    this.signature = document.signature;
    this.key = Uint8Array.from(Buffer.from(document.ring_key, 'hex'));
    /** @type {{ index: number, id: string, url: string, weight: number, state: string, slots: number }[]} */
    this.nodes = document.nodes;
    this.holders = new Uint16Array(SLOTS);
    let slot = 0;
    for (const [index, count] of document.holders) {
      this.holders.fill(index ?? 0xffff, slot, slot + count);
      slot += count;
    }
    if (slot !== SLOTS) throw new Error(`the holders cover ${slot} slots, not ${SLOTS}`);
  }

  /** @param {number} slot */
  nodeAt(slot) {
    const node = this.nodes.find((node) => node.index === this.holders[slot]);
    if (!node) throw new Error(`slot ${slot} is held by nobody`);
    return node;
  }

  /** The node id of a user's home; with `avoid`, of the next one clockwise that is not avoided. @param {string} id @param {string[]} avoid */
  home(id, avoid = []) {
    const first = userSlot(this.key, id);
    for (let i = 0; i < SLOTS; i++) {
      const node = this.nodeAt((first + i) % SLOTS);
      if (!avoid.includes(node.id)) return node.id;
    }
    return this.nodeAt(first).id;
  }

  /** The node id of a topic's home. @param {string} topic */
  homeOf(topic) {
    return this.nodeAt(Number(pointOf(this.key, topic) >> 48n)).id;
  }

  /** @param {string} id @returns {number} how many slots the node holds, counted in the table */
  slotsOf(id) {
    const index = this.nodes.find((node) => node.id === id)?.index;
    return this.holders.reduce((count, holder) => count + (holder === index ? 1 : 0), 0);
  }
}

/** A ring under the `balanced` policy, built by joins and leaves from nothing. */
export class BalancedRing {
  /** @param {Uint8Array} key */
  constructor(key) {
    this.key = key;
    this.holders = new Uint16Array(SLOTS).fill(0xffff);
    /** @type {{ id: string, weight: number, index: number, count: number }[]} */
    this.nodes = [];
    /** @type {string[]} the id at each index; a vacated one waits for its id to come back */
    this.indices = [];
  }

  /** @param {string} id @param {number} weight */
  join(id, weight = 100) {
    if (!this.indices.includes(id)) this.indices.push(id);
    const node = { id, weight, index: this.indices.indexOf(id), count: 0 };
    const total = this.nodes.reduce((sum, other) => sum + other.weight, weight);
    const quota = Math.floor((SLOTS * weight) / total);
    const gives = new Map(this.nodes.map((donor) => [donor, 0]));
    for (let i = 0; i < quota && this.nodes.length > 0; i++) {
      const donor = this.nodes.reduce((best, other) => (fuller(other, best) ? other : best));
      donor.count--;
      gives.set(donor, (gives.get(donor) ?? 0) + 1);
    }
    const salt = pointOf(this.key, id);
    for (const [donor, count] of gives) this.#give(donor.index, node.index, count, salt);
    if (this.nodes.length === 0) this.holders.fill(node.index);
    node.count = quota;
    this.nodes.push(node);
    return this;
  }

  /** @param {string} id */
  leave(id) {
    const gone = this.nodes.find((node) => node.id === id);
    this.nodes = this.nodes.filter((node) => node !== gone);
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.holders[slot] !== gone?.index) continue;
      const heir = this.nodes.reduce((best, other) => (emptier(other, best) ? other : best));
      heir.count++;
      this.holders[slot] = heir.index;
    }
    return this;
  }

  get counts() {
    return this.indices.map((id) => this.nodes.find((node) => node.id === id)?.count ?? 0);
  }

  get signature() {
    return signatureOf(this.holders, this.key);
  }

  /** @param {number} from @param {number} to @param {number} count @param {bigint} salt */
  #give(from, to, count, salt) {
    const owned = [...this.holders.keys()].filter((slot) => this.holders[slot] === from);
    const ranked = owned.map((slot) => ({ slot, rank: mix64(salt ^ BigInt(slot)) }));
    ranked.sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0));
    for (const { slot } of ranked.slice(0, count)) this.holders[slot] = to;
  }
}

/** @typedef {{ id: string, weight: number, count: number }} Load */
/** @param {Load} a @param {Load} b whether a has more slots per weight, or as many and the smaller id */
const fuller = (a, b) => a.count * b.weight > b.count * a.weight || (a.count * b.weight === b.count * a.weight && a.id < b.id);
/** @param {Load} a @param {Load} b */
const emptier = (a, b) => a.count * b.weight < b.count * a.weight || (a.count * b.weight === b.count * a.weight && a.id < b.id);
