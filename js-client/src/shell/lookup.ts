/** Step 1: the application's token, then the lookup. */
import { type Policy, statusPolicy } from "../codes.js";
import { AuthError, isAuthError, RingdialError } from "../errors.js";
import type { ClientOptions, FetchFunction, LookupAnswer, LookupRequest, Reason, ResponseLike, Signal } from "../types.js";
import { asText, isRecord, positive, readGrant } from "../wire.js";

/** Why there is no answer, and what that asks for. */
export class Refusal {
  constructor(
    readonly error: RingdialError,
    readonly policy: Policy,
  ) {}
}

export interface Lookup {
  /** Throws a {@link Refusal}. */
  (reason: Reason, avoid: readonly string[], signal: Signal): Promise<LookupAnswer>;
}

type Clock = () => number;

export function lookupOf(options: ClientOptions, fetch: FetchFunction | undefined, random: () => number, now: Clock): Lookup {
  const { lookup } = options;
  const step = typeof lookup === "function" ? custom(lookup) : overHttp(options, urlsOf(lookup, random), fetch, now);
  return async (reason, avoid, signal) => step({ reason, avoid, signal, token: await tokenOf(options, reason, signal) });
}

async function tokenOf({ token }: ClientOptions, reason: Reason, signal: Signal): Promise<string | undefined> {
  if (typeof token !== "function") return token;
  try {
    return await token({ reason, signal });
  } catch (error) {
    throw refusal(error, "token_failed", "the token function failed");
  }
}

function custom(lookup: (request: LookupRequest) => Promise<LookupAnswer>): (request: LookupRequest) => Promise<LookupAnswer> {
  return async (request) => {
    let answer: LookupAnswer;
    try {
      answer = await lookup(request);
    } catch (error) {
      throw refusal(error, "lookup_failed", "the lookup function failed");
    }
    return checked(answer);
  };
}

/** What a user's function threw: only an AuthError, or a RingdialError that says so, stops. */
function refusal(error: unknown, code: string, message: string): Refusal {
  if (isAuthError(error)) return new Refusal(error, "stop");
  if (error instanceof RingdialError) return new Refusal(error, error.retryable ? "later" : "stop");
  return new Refusal(new RingdialError(code, message, true, { cause: error }), "lost");
}

function checked(value: unknown): LookupAnswer {
  const grant = readGrant(value);
  if (grant) return grant;
  throw new Refusal(new RingdialError("bad_lookup_answer", "the lookup's answer lacks url or protocols", true), "later");
}

/** One of several is picked at random, so that clients spread, and kept until it fails. */
function urlsOf(lookup: string | readonly string[], random: () => number): string[] {
  if (typeof lookup === "string") return [lookup];
  const from = Math.floor(random() * lookup.length);
  return [...lookup.slice(from), ...lookup.slice(0, from)];
}

function overHttp(
  options: ClientOptions,
  urls: string[],
  fetch: FetchFunction | undefined,
  now: Clock,
): (request: LookupRequest) => Promise<LookupAnswer> {
  const failOver = (): void => void urls.push(...urls.splice(0, 1));
  return async ({ token, avoid, signal }) => {
    if (!fetch) throw new Refusal(new RingdialError("no_fetch", "there is no fetch on this platform", false), "stop");
    const headers: Record<string, string> = { accept: "application/json" };
    if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
    let response: ResponseLike;
    try {
      response = await fetch(urls[0] + query(urls[0] ?? "", options, avoid), {
        method: "GET",
        headers,
        signal,
        cache: "no-store",
      });
    } catch (cause) {
      failOver();
      throw new Refusal(new RingdialError("lookup_failed", "the lookup service could not be reached", true, { cause }), "lost");
    }
    const body = await response.json().catch(() => undefined);
    if (response.status === 200) return checked(body);
    if (response.status >= 500) failOver();
    throw refused(response, body, now());
  };
}

function query(url: string, { id, service }: ClientOptions, avoid: readonly string[]): string {
  const fields: [string, string][] = avoid.map((node) => ["avoid", node]);
  if (service !== undefined) fields.unshift(["service", service]);
  if (id !== undefined) fields.unshift(["id", id]);
  const encoded = fields.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  return encoded && (url.includes("?") ? "&" : "?") + encoded;
}

/** A problem document (RFC 9457) with `code`, `temporary`, `retry_after_ms`; or whatever a proxy answered. */
function refused(response: ResponseLike, body: unknown, now: number): Refusal {
  const { status } = response;
  const problem = isRecord(body) ? body : {};
  const temporary = typeof problem["temporary"] === "boolean" ? problem["temporary"] : undefined;
  const policy = statusPolicy(status, temporary);
  const message = asText(problem["detail"]) || asText(problem["title"]) || `the lookup service answered ${status}`;
  if (policy === "refresh") return new Refusal(new AuthError(message), policy);
  const retryAfterMs = positive(problem["retry_after_ms"]) ?? retryAfter(response.headers.get("retry-after"), now);
  const code = asText(problem["code"]) || (status === 403 ? "forbidden" : "lookup_failed");
  const details = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new Refusal(new RingdialError(code, message, policy !== "stop", details), policy);
}

/** `Retry-After`: seconds or an HTTP date (RFC 9110, 10.2.3). In milliseconds. */
export function retryAfter(value: string | null, now: number): number | undefined {
  if (!value) return undefined;
  const seconds = Number(value);
  return positive(Number.isNaN(seconds) ? Math.max(0, Date.parse(value) - now) : seconds * 1000);
}
