/** Options: checked, and their defaults. Pure. */
import { RingdialError } from "./errors.js";
import type { Config, GroupRules } from "./machine/state.js";
import type { ClientOptions } from "./types.js";
import { positive } from "./wire.js";

const DEFAULTS = {
  lookupMs: 10_000,
  openMs: 8_000,
  sendMs: 30_000,
  probeMs: 3_000,
  detachMs: 2_000,
  maxMessages: 256,
  maxBytes: 1_048_576,
};

/** What is wrong is as if it were not there. */
export function configOf({ lookup, token, retry, timeouts, outbox }: ClientOptions, rules?: GroupRules): Config {
  const config: Record<string, unknown> = { ...DEFAULTS, rules, renewable: [token, lookup].some((part) => typeof part === "function") };
  for (const [name, value] of numbersOf(retry, timeouts, outbox)) config[name] = positive(value) ?? config[name];
  return config as unknown as Config;
}

const isFunction = (value: unknown): boolean => typeof value === "function";
const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
const isObject = (value: unknown): boolean => typeof value === "object";

/** What each option may be. `signal` is that of `connect(options)`. */
const RIGHT: Readonly<Record<string, (value: any) => boolean>> = {
  lookup: (value) => isFunction(value) || (value?.length > 0 && [value].flat().every(isEndpoint)),
  token: (value) => isFunction(value) || isText(value),
  service: isText,
  id: isText,
  retry: isObject,
  timeouts: isObject,
  outbox: isObject,
  WebSocket: isFunction,
  fetch: isFunction,
  random: isFunction,
  now: isFunction,
  signal: isObject,
};

/** Throws `bad_options`, naming every option that is wrong, or unknown. */
export function check(options: Partial<ClientOptions> = {}): void {
  const { retry, timeouts, outbox } = options;
  const wrong: string[] = [];
  for (const [name, value] of Object.entries({ lookup: undefined, ...options })) {
    if (value === undefined ? name === "lookup" : !RIGHT[name]?.(value)) wrong.push(name);
  }
  for (const [name, value] of numbersOf(retry, timeouts, outbox)) {
    if (value !== undefined && (positive(value) === undefined || !(name in { ...DEFAULTS, baseMs: 0, maxMs: 0 }))) wrong.push(name);
  }
  if (wrong.length) throw new RingdialError("bad_options", `wrong options: ${wrong.join(", ")}`, false);
}

interface Platform {
  readonly document?: { readonly baseURI: string };
  readonly location?: { readonly href: string };
  readonly URL: new (url: string, base: string) => { readonly href: string };
}

/** A relative one is right where nobody knows to what, too: on servers, which make a client and do not connect it. */
function isEndpoint(url: unknown): boolean {
  const { document, location, URL } = globalThis as unknown as Platform;
  try {
    // `protocol` is not there in every React Native.
    return isText(url) && /^https?:/.test(new URL(url as string, document?.baseURI ?? location?.href ?? "http://x").href);
  } catch {
    return false;
  }
}

function numbersOf(...parts: (object | undefined)[]): [name: string, value: unknown][] {
  return parts.flatMap((part) => Object.entries(part ?? {}));
}
