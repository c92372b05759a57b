/** Connecting and reconnecting: the one retry loop. Each round is a new lookup: token, lookup, connect. */
import { delay } from "../backoff.js";
import { type Failure, failure } from "../codes.js";
import type { RingdialError } from "../errors.js";
import type { LookupAnswer, Reason } from "../types.js";
import { positive } from "../wire.js";
import { start } from "./connected.js";
import { dial, overdue } from "./dial.js";
import { remove } from "./outbox.js";
import { initial } from "./state.js";
import { act, type Turn } from "./turn.js";

/** Between tries of a hidden page, or of a device that says it is offline; then `wake` comes. */
const AWAY_MS = 30_000;

/** From the start, or again after the end. */
export function begin(t: Turn): void {
  t.phase = "connecting";
  t.cause = undefined;
  look(t, "start");
}

/** A round begins. */
export function look(t: Turn, reason: Reason): void {
  t.ask = ++t.counter;
  t.reason = reason;
  t.retryAt = 0;
  act(t, "look", t.ask, reason, t.avoided);
  act(t, "arm", "loop", t.config.lookupMs);
}

/** The lookup's answer. */
export function granted(t: Turn, grant: LookupAnswer): void {
  const { base_ms, max_ms } = grant.retry ?? {};
  t.ask = 0;
  t.reason = "lost";
  t.baseMs = t.config.baseMs ?? positive(base_ms) ?? t.baseMs;
  t.maxMs = t.config.maxMs ?? positive(max_ms) ?? t.maxMs;
  dial(t, grant);
}

/** After a failure: another round, now or later, or the end. No link, no dial and no lookup are left. */
export function retry(t: Turn, { policy, error }: Failure): void {
  const refresh = policy === "refresh";
  if (policy === "stop" || (refresh && (t.refreshed || !t.config.renewable))) return end(t, error);
  const least = t.absent && t.failures ? AWAY_MS : 0;
  const ms = Math.max(least, delay(policy, t.failures, t.roll, t, error.retryAfterMs));
  t.ask = 0;
  t.failures += 1;
  t.refreshed ||= refresh;
  t.cause = error;
  act(t, "emit", "error", error);
  // Until a lookup is granted: a token that could not be had for a moment is wanted still.
  if (refresh) t.reason = "rejected";
  else if (t.reason !== "rejected") t.reason = "lost";
  if (!ms) return look(t, t.reason);
  t.retryAt = t.now + ms;
  act(t, "arm", "loop", ms);
}

/** The timer `loop`: whichever step it is, its time is over. */
export function next(t: Turn): void {
  if (t.dial) overdue(t, t.dial);
  else if (t.link) start(t);
  else if (t.retryAt) look(t, t.reason);
  else {
    act(t, "abandon");
    retry(t, failure("lost", "lookup_timeout"));
  }
}

/** The end, until the application acts. */
export function end(t: Turn, cause?: RingdialError): void {
  act(t, "abandon");
  act(t, "disarm");
  remove(t, () => true, "closed", false, cause);
  const { config, places, absent, counter } = t;
  Object.assign(t, initial(config), { phase: "closed", cause, places, absent, counter });
  if (cause) act(t, "emit", "error", cause);
}
