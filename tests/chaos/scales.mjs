/** How large a scene is played: the same scenes for every `tests/run`, and for `tests/run --chaos`. */

/** @typedef {typeof FULL} Scale */

/** Groups of about ten: a message to one is ten deliveries. */
const MIX = /** @type {const} */ ({ user: 70, users: 2, group: 12, match: 2, 'ephemeral user': 10, 'ephemeral group': 4 });

export const FULL = {
  name: 'full', sessions: 2_000, rate: 2_000, worlds: 3, npmShare: 0.4, groupSize: 5, mix: MIX,
  /** Of each scene: traffic before anything happens, and after it. */
  before_ms: 8_000, after_ms: 20_000,
  /** How long something stays as it is. */
  stop_ms: 15_000, pause_ms: 10_000, away_ms: 10_000, cut_ms: 12_000,
  kills: 10, killsEvery_ms: 6_000,
  /** Clients that return at once, the processes that they are in, and the seconds in which they are let in. */
  crowd: 10_000, crowds: 2, letIn_s: 10,
  /** A goal may be missed by so many times: other tests want the two cores, too. */
  slack: 1,
};

/** @type {Scale} */
export const SHORT = {
  ...FULL, name: 'short', sessions: 200, rate: 300, worlds: 1, before_ms: 2_000, after_ms: 5_000,
  stop_ms: 6_000, pause_ms: 5_000, away_ms: 4_000, cut_ms: 7_000, kills: 3, killsEvery_ms: 4_000, crowd: 500, crowds: 1, letIn_s: 3, slack: 3,
};

/** @param {Scale} scale @param {number} factor @returns {Scale} */
export function scaled(scale, factor) {
  const { sessions, rate, crowd, worlds } = scale;
  return { ...scale, sessions: sessions * factor, rate: rate * factor, crowd: crowd * factor, worlds: Math.max(1, Math.round(worlds * factor)) };
}
