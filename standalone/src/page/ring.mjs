// From the published ring to anybody's home: what a client in any language can compute. Slow and plain on purpose.

const SLOTS = 65_536;
const MASK = (1n << 64n) - 1n;
const turn = (x, bits) => ((x << bits) | (x >> (64n - bits))) & MASK;

/** SipHash-1-3 of bytes under a key of 16 bytes. */
export function sipHash13(key, bytes) {
  const [low, high] = [word(key, 0), word(key, 8)];
  let [a, b, c, d] = [low ^ 0x736f6d6570736575n, high ^ 0x646f72616e646f6dn, low ^ 0x6c7967656e657261n, high ^ 0x7465646279746573n];
  const round = () => {
    a = (a + b) & MASK; b = turn(b, 13n) ^ a; a = turn(a, 32n);
    c = (c + d) & MASK; d = turn(d, 16n) ^ c;
    a = (a + d) & MASK; d = turn(d, 21n) ^ a;
    c = (c + b) & MASK; b = turn(b, 17n) ^ c; c = turn(c, 32n);
  };
  const padded = new Uint8Array((Math.floor(bytes.length / 8) + 1) * 8);
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length;
  for (let at = 0; at < padded.length; at += 8) {
    const next = word(padded, at);
    d ^= next; round(); a ^= next;
  }
  c ^= 0xffn; round(); round(); round();
  return a ^ b ^ c ^ d;
}

const word = (bytes, at) => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);

/** The slot of a key: `u:` and the name, for a user; `g:` and the name, for a group. */
export const slotOf = (ringKey, key) => Number(sipHash13(ringKey, new TextEncoder().encode(key)) >> 48n);

/** The document of `GET /ring`, unfolded. */
export function readRing({ version, ring_key, nodes, holders }) {
  const key = Uint8Array.from(ring_key.match(/../g), (digits) => parseInt(digits, 16));
  const table = new Uint16Array(SLOTS);
  let slot = 0;
  for (const [index, count] of holders) table.fill(index, slot, (slot += count));
  const at = (slot) => nodes.find(({ index }) => index === table[slot]);
  return {
    version,
    nodes,
    /** The node that holds a place of the circle, from 0 to 1. */
    holder: (place) => at(Math.floor(place * SLOTS) % SLOTS),
    /** A user's home, or with `g:` a group's, and their place on the circle. */
    home(name) {
      const slot = slotOf(key, name.startsWith("g:") ? name : `u:${name}`);
      return { node: at(slot), place: slot / SLOTS };
    },
    share: ({ slots }) => slots / SLOTS,
  };
}
