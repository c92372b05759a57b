/** How long to wait before the next lookup. Pure. */
import type { Policy } from "./codes.js";

/** No advice is followed for longer than this: an hour. */
const ADVICE_MAX_MS = 3_600_000;

/** The least that the cap of the window may be, whoever asks for less. */
const LEAST_MS = 100;

export interface Pace {
  readonly baseMs: number;
  readonly maxMs: number;
  /** The node's `retry_spread_ms`: over how long the clients of a lost node spread their return. */
  readonly spreadMs: number;
}

/**
 * Milliseconds to wait. `failures` is the number of failures in a row before this one, `roll` a random number in
 * [0, 1), `adviceMs` the server's `retry_after_ms`: never less than that, and a little more, so that many do not come at once.
 *
 * Full jitter (Brooker, "Exponential Backoff And Jitter", 2015): uniform from 0 to the window, the window doubling.
 */
export function delay(policy: Policy, failures: number, roll: number, pace: Pace, adviceMs?: number): number {
  const jitter = (window: number): number => Math.floor(roll * window);
  if (adviceMs !== undefined) return Math.min(adviceMs, ADVICE_MAX_MS) + jitter(pace.baseMs);
  const doublings = failures + Number(policy === "later");
  if (doublings) return jitter(Math.min(Math.max(pace.maxMs, LEAST_MS), (pace.baseMs || 1) * 2 ** Math.min(doublings, 30)));
  return policy === "lost" ? jitter(pace.spreadMs) : 0;
}
