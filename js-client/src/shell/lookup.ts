/** Step 1: the application's token, then the lookup. */
import { type Failure, failure, statusPolicy } from "../codes.js";
import type { RingdialError } from "../errors.js";
import type { ClientOptions, FetchFunction, LookupAnswer, LookupRequest, Reason, Signal } from "../types.js";
import { positive, readGrant } from "../wire.js";

const FAILED = "lookup_failed";

/** Never rejects. */
export type Lookup = (reason: Reason, avoid: readonly string[], signal: Signal) => Promise<LookupAnswer | Failure>;

type LookupStep = (request: LookupRequest) => Promise<LookupAnswer | Failure>;

export function lookupOf(options: ClientOptions, random: () => number): Lookup {
  const { lookup, token: source } = options;
  const step: LookupStep = typeof lookup === "function" ? lookup : overHttp(options, random);
  return async (reason, avoid, signal) => {
    let code = "token_failed";
    try {
      const token = typeof source === "function" ? await source({ reason, signal }) : source;
      // Nobody waits any more.
      if (signal.aborted) throw signal.reason;
      code = FAILED;
      const answer = await step({ reason, token, avoid, signal });
      if (readGrant(answer) || (answer as Failure | undefined)?.policy) return answer;
      return failure("lost", code, "no url and protocols");
    } catch (cause) {
      // An error of this package, of whichever copy, is the application's own word: it may say that trying again is no use. Others
      // have `retryable` too, only ours have a remedy.
      const error = cause as RingdialError | undefined;
      return error?.remedy ? { policy: error.retryable ? "lost" : "stop", error } : failure("lost", code, String(cause), { cause });
    }
  };
}

/** Several are shuffled once, so that clients spread over the others too when one fails; one is kept until it fails. */
function overHttp({ lookup, id, service, fetch }: ClientOptions, random: () => number): LookupStep {
  const urls = ([lookup].flat() as string[]).map((url) => [random(), url] as const).sort().map(([, url]) => url);
  let turn = 0;
  return async ({ token, avoid, signal }) => {
    let url = urls[turn++ % urls.length] as string;
    const add = (name: string, value: string | undefined): unknown =>
      value && (url += `${url.includes("?") ? "&" : "?"}${name}=${encodeURIComponent(value)}`);
    add("id", id);
    add("service", service);
    for (const node of avoid) add("avoid", node);
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
    const response = await (fetch ?? (globalThis as unknown as { fetch: FetchFunction }).fetch)(url, { headers, signal, cache: "no-store" });
    const { status } = response;
    const body = ((await response.json().catch(() => 0)) || {}) as Record<string, unknown>;
    // A lookup service that answered is kept: what stands in between, or is there instead, has no such words.
    if (status < 500 && (body["code"] || readGrant(body))) turn--;
    return status === 200 ? (body as unknown as LookupAnswer) : refused(status, body, response.headers.get("retry-after"));
  };
}

/** A problem document (RFC 9457) with `code`, `temporary`, `retry_after_ms`; or whatever a proxy answered. */
function refused(status: number, { code, detail, temporary, retry_after_ms }: Record<string, unknown>, retryAfter: string | null): Failure {
  // `Retry-After` in seconds; its other form, a date, is not sent by lookup services.
  const retryAfterMs = positive(retry_after_ms) ?? positive(retryAfter ? Number(retryAfter) * 1000 : undefined);
  const message = `${detail ?? `status ${status}`}`;
  return failure(statusPolicy(status, temporary), typeof code === "string" ? code : FAILED, message, { retryAfterMs });
}
