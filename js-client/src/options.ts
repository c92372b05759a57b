/** Options: checked, and their defaults. Pure. */
import { RingdialError } from "./errors.js";
import type { Config } from "./machine/state.js";
import type { ClientOptions } from "./types.js";

const LOOKUP_MS = 10_000;
const OPEN_MS = 8_000;
const SEND_MS = 30_000;
const PROBE_MS = 3_000;
const DETACH_MS = 2_000;
const OUTBOX_MESSAGES = 256;
const OUTBOX_CHARS = 1_048_576;

/** Throws `bad_options`, every mistake named. */
export function configOf(options: ClientOptions): Config {
  const { lookup, token, retry = {}, timeouts = {}, outbox = {} } = options;
  const mistakes: string[] = [];
  const urls = typeof lookup === "string" ? [lookup] : lookup;
  const right = typeof urls === "function" || (Array.isArray(urls) && urls.length > 0 && urls.every(isText));
  if (!right) mistakes.push("lookup must be a URL, a list of them, or a function");
  if (token !== undefined && typeof token !== "function" && !isText(token)) mistakes.push("token must be a string or a function");
  for (const [name, group] of Object.entries({ retry, timeouts, outbox })) {
    for (const [field, value] of Object.entries(group)) {
      if (value !== undefined && !(value >= 0 && value < Infinity)) mistakes.push(`${name}.${field} must be a number, 0 or more`);
    }
  }
  if (mistakes.length > 0) throw new RingdialError("bad_options", mistakes.join("; "), false);
  return {
    baseMs: retry.baseMs,
    maxMs: retry.maxMs,
    lookupMs: timeouts.lookupMs ?? LOOKUP_MS,
    openMs: timeouts.openMs ?? OPEN_MS,
    sendMs: timeouts.sendMs ?? SEND_MS,
    probeMs: timeouts.probeMs ?? PROBE_MS,
    detachMs: timeouts.detachMs ?? DETACH_MS,
    outboxMessages: outbox.maxMessages ?? OUTBOX_MESSAGES,
    outboxChars: outbox.maxChars ?? OUTBOX_CHARS,
    renewable: typeof token === "function" || typeof lookup === "function",
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
