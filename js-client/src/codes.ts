/** What to do after a close code or an HTTP status. Pure; the policy is in the hundreds, so that new codes need no new client. */
import { AuthError, type ErrorDetails, RingdialError } from "./errors.js";

/**
 * - `now`: look up again at once
 * - `lost`: look up again after a random part of the node's `retry_spread_ms`
 * - `later`: look up again after a back-off
 * - `refresh`: look up again at once with a newer token; the second time in a row, stop
 * - `stop`: until the application acts
 */
export type Policy = "now" | "lost" | "later" | "refresh" | "stop";

/** Why an attempt or a connection is over, and what that asks for. */
export interface Failure {
  readonly policy: Policy;
  readonly error: RingdialError;
}

export function failure(policy: Policy, code: string, message = "", more?: ErrorDetails): Failure {
  const error = policy === "refresh" ? new AuthError(message, more) : new RingdialError(code, message, policy !== "stop", more);
  return { policy, error };
}

const HUNDREDS: Readonly<Record<number, Policy>> = { 40: "now", 41: "later", 44: "stop" };

export function closePolicy(code: number): Policy {
  return code === 4401 ? "refresh" : (HUNDREDS[Math.floor(code / 100)] ?? "lost");
}

/**
 * For a lookup's status other than 200. `temporary` is what the problem document says. Without one, the answer may come
 * from whatever stands in between, which only a 401 is not asked again for.
 */
export function statusPolicy(status: number, temporary: unknown): Policy {
  if (status === 401) return "refresh";
  return temporary === false ? "stop" : "later";
}
