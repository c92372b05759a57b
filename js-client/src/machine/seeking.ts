/** Connecting and reconnecting: the one retry loop. Each round is a new lookup: token, lookup, connect. */
import { delay } from "../backoff.js";
import type { Failure } from "../codes.js";
import { RingdialError } from "../errors.js";
import type { LookupAnswer, Reason } from "../types.js";
import { positive } from "../wire.js";
import { dial, overdue } from "./dial.js";
import { remove } from "./outbox.js";
import { act, disarm, drop, type Turn } from "./turn.js";

/** Between tries of a hidden page, or of a device that says it is offline; then `wake` comes. */
const AWAY_MS = 30_000;

/** From the start, or again after the end. */
export function begin(t: Turn): void {
  t.phase = "connecting";
  t.failures = 0;
  t.refreshed = false;
  t.cause = undefined;
  t.avoid = [];
  look(t, "start");
}

/** A round begins. */
export function look(t: Turn, reason: Reason): void {
  t.ask = ++t.count;
  t.reason = reason;
  t.retryAt = 0;
  act(t, "look", t.ask, reason, t.avoid);
  act(t, "arm", "loop", t.config.lookupMs);
}

/** The lookup's answer. */
export function granted(t: Turn, grant: LookupAnswer): void {
  const { base_ms, max_ms } = grant.retry ?? {};
  t.ask = 0;
  t.baseMs = t.config.baseMs ?? positive(base_ms) ?? t.baseMs;
  t.maxMs = t.config.maxMs ?? positive(max_ms) ?? t.maxMs;
  dial(t, grant);
  act(t, "arm", "loop", t.config.openMs);
}

/** After a failure: another round, now or later, or the end. No link, no dial and no lookup are left. */
export function retry(t: Turn, { policy, error }: Failure): void {
  const refresh = policy === "refresh";
  if (policy === "stop") return end(t, error);
  if (refresh && (t.refreshed || !t.config.renewable)) return end(t, error);
  const least = t.away && t.failures ? AWAY_MS : 0;
  const ms = Math.max(least, delay(policy, t.failures, t.roll, t, error.retryAfterMs));
  const reason = refresh ? "rejected" : "lost";
  if (t.phase !== "connecting") t.phase = "reconnecting";
  t.ask = 0;
  t.failures += 1;
  t.refreshed ||= refresh;
  t.cause = error;
  act(t, "emit", "error", error);
  if (ms === 0) return look(t, reason);
  t.reason = reason;
  t.retryAt = t.now + ms;
  act(t, "arm", "loop", ms);
}

/** The timer `loop`: whichever step it is, its time is over. */
export function next(t: Turn): void {
  if (t.dial) return overdue(t, t.dial);
  if (t.retryAt) return look(t, t.reason);
  act(t, "abandon");
  retry(t, { policy: "lost", error: new RingdialError("lookup_timeout", "", true) });
}

/** The end, until the application acts. */
export function end(t: Turn, cause?: RingdialError): void {
  act(t, "abandon");
  disarm(t, "loop", "alive", "move", "retire", "outbox", "join");
  drop(t, t.link?.socket, t.old, t.dial?.socket);
  t.phase = "closed";
  t.cause = cause;
  t.ask = t.old = t.retryAt = 0;
  t.link = t.dial = t.move = undefined;
  remove(t, () => true, "closed", false, cause);
  for (const topic of Object.keys(t.topics)) act(t, "fail", topic, new RingdialError("closed", "", false, { cause }));
  if (cause) act(t, "emit", "error", cause);
}
