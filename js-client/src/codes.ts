/** What to do after a close code or an HTTP status. Pure; the policy is in the hundreds, so that new codes need no new client. */

/**
 * - `now`: look up again at once
 * - `lost`: look up again after a random part of the node's `retry_spread_ms`
 * - `later`: look up again after a back-off
 * - `refresh`: look up again at once with a newer token; the second time in a row, stop
 * - `stop`: until the application acts
 */
export type Policy = "now" | "lost" | "later" | "refresh" | "stop";

/** The code of a session whose place another one took. */
export const REPLACED = 4409;

const NAMES: Readonly<Record<number, string>> = {
  4001: "moved",
  4002: "draining",
  4101: "slow_consumer",
  4102: "heartbeat_lost",
  4103: "overloaded",
  4104: "rate_limited",
  4105: "ticket_refused",
  4400: "protocol",
  4401: "auth",
  4403: "forbidden",
  4409: "replaced",
  4413: "too_large",
};

export function closePolicy(code: number): Policy {
  if (code === 4401) return "refresh";
  if (code >= 4000 && code < 4100) return "now";
  if (code >= 4100 && code < 4200) return "later";
  if (code >= 4400 && code < 4500) return "stop";
  return "lost";
}

/** The stable error code of a close code. */
export function closeName(code: number): string {
  return NAMES[code] ?? (closePolicy(code) === "stop" ? "refused" : "connection_lost");
}

/**
 * For a lookup's status other than 200. `temporary` is what the problem document says. Without one, a 404 or 502 may come
 * from whatever stands in between, so only a 401 or 403 stops.
 */
export function statusPolicy(status: number, temporary: boolean | undefined): Policy {
  if (status === 401) return "refresh";
  if (temporary !== undefined) return temporary ? "later" : "stop";
  return status === 403 ? "stop" : "later";
}
