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

/** Throws `bad_options`, naming every option that is wrong. */
export function check({ lookup, token, retry, timeouts, outbox }: ClientOptions): void {
  const right = (value: unknown): boolean => typeof value === "function" || (typeof value === "string" && value !== "");
  const wrong: string[] = [];
  const urls = [lookup].flat();
  if (!urls.length || !urls.every(right)) wrong.push("lookup");
  if (token !== undefined && !right(token)) wrong.push("token");
  for (const [name, value] of numbersOf(retry, timeouts, outbox)) {
    if (value !== undefined && (positive(value) === undefined || !(name in { ...DEFAULTS, baseMs: 0, maxMs: 0 }))) wrong.push(name);
  }
  if (wrong.length) throw new RingdialError("bad_options", `wrong options: ${wrong.join(", ")}`, false);
}

function numbersOf(...parts: (object | undefined)[]): [name: string, value: unknown][] {
  return parts.flatMap((part) => Object.entries(part ?? {}));
}
