/** How large the demonstrations are: short as a step of `tests/run`, and at full size for `tests/run --demo`. */

/** @typedef {typeof FULL} Scale */

export const FULL = {
  name: 'full',
  /** Of each kind, in Node and in Chromium. */
  clients: 30, pages: 3, rate: 200, seconds: 120, joins: 10, drains: 10, kills: 5,
  /** At least this part of the messages that were due must have been sent. */
  share: 0.9,
  /** Who returns after a SIGKILL, and from how many processes. */
  crowd: 1_000, crowds: 4,
  /** The times at which they set out are judged, too. */
  arrivals: true,
};

/** @type {Scale} Other tests may want the two cores, too. */
export const SHORT = { ...FULL, name: 'short', clients: 12, pages: 1, rate: 100, seconds: 25, joins: 2, drains: 2, kills: 1, share: 0.5, crowd: 500, crowds: 2, arrivals: false };
