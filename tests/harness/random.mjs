/** Random choices that a seed repeats. */

/** @param {number} seed @returns {() => number} from 0 up to 1 (mulberry32) */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @template T @param {() => number} random @param {readonly T[]} items @returns {T} */
export const pick = (random, items) => items[Math.floor(random() * items.length)];

/** Several, each at most once. @template T @param {() => number} random @param {readonly T[]} items @param {number} count */
export function pickSeveral(random, items, count) {
  const rest = [...items];
  return Array.from({ length: Math.min(count, items.length) }, () => rest.splice(Math.floor(random() * rest.length), 1)[0]);
}
