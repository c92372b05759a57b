/**
 * Waiting for conditions with a deadline: the only way in which a scenario waits. A fixed sleep is either too short on a
 * busy machine or too long on an idle one, and hides which of the two.
 */

/** A condition did not become true in time. The message says what was awaited and what was last seen. */
export class DeadlineError extends Error {}

/** @param {number} ms */
export const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Polls `condition` until it gives a truthy value, and returns that value.
 * An exception counts as "not yet"; the last one is told when the deadline passes.
 * @template T
 * @param {string} what what is awaited, in words, for the error
 * @param {() => T | Promise<T>} condition
 * @param {{ within_ms?: number, every_ms?: number, describe?: () => unknown }} [options] `describe` gives the state for the error
 * @returns {Promise<NonNullable<Awaited<T>>>}
 */
export async function until(what, condition, { within_ms = 10_000, every_ms = 10, describe } = {}) {
  const deadline = Date.now() + within_ms;
  let last;
  for (;;) {
    try {
      const value = await condition();
      if (value) return /** @type {any} */ (value);
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) {
      const state = describe ? describe() : last instanceof Error ? last.message : last;
      throw new DeadlineError(`not within ${within_ms} ms: ${what}; last: ${show(state)}`);
    }
    await delay(every_ms);
  }
}

/**
 * The promise's outcome, or a DeadlineError.
 * @template T
 * @param {string} what
 * @param {Promise<T>} promise
 * @param {number} within_ms
 * @returns {Promise<T>}
 */
export function within(what, promise, within_ms = 10_000) {
  /** @type {NodeJS.Timeout} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`not within ${within_ms} ms: ${what}`)), within_ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Does `step` again and again for `duration_ms`: for scenarios whose subject is a stretch of time (an outage of 20 s),
 * in which something has to hold all along.
 * @param {number} duration_ms
 * @param {(round: number) => Promise<void>} step
 * @param {number} every_ms the least time from the start of one round to the next
 */
export async function throughout(duration_ms, step, every_ms = 500) {
  const end = Date.now() + duration_ms;
  for (let round = 0; Date.now() < end; round++) {
    const next = Date.now() + every_ms;
    await step(round);
    await delay(Math.max(0, Math.min(next, end) - Date.now()));
  }
}

/** @param {unknown} value */
function show(value) {
  return typeof value === 'string' ? value : JSON.stringify(value) ?? String(value);
}
