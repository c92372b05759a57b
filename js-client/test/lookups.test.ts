/** Which of several lookup urls is asked, and how often at most. */
import { afterEach, describe, expect, it } from "vitest";
import { delay } from "../src/backoff.js";
import { RingdialError } from "../src/errors.js";
import { lookupOf } from "../src/shell/lookup.js";
import type { ResponseLike } from "../src/types.js";
import { stage } from "./scene.js";
import { randomOf } from "./random.js";
import { until } from "./fake.js";

afterEach(() => stage.end());

const URLS = ["http://a/lookup", "http://b/lookup", "http://c/lookup"];
const GRANT = { url: "ws://n", protocols: ["p"] };
const { signal } = new AbortController();

/** Asks so often, each answered alike; gives the hosts that were asked. */
async function asked(status: number, body: unknown, times = 3, random = () => 0.5): Promise<string[]> {
  const hosts: string[] = [];
  const fetch = async (url: string): Promise<ResponseLike> => {
    hosts.push(new URL(url).host);
    if (status === 0) throw new TypeError("no network");
    return { status, headers: { get: () => null }, json: async () => JSON.parse(body as string) };
  };
  const lookup = lookupOf({ lookup: URLS, fetch }, random);
  for (let n = 0; n < times; n++) await lookup("start", [], signal);
  return hosts;
}

describe("several urls", () => {
  const problem = (code: string): string => JSON.stringify({ code, temporary: true });

  it.each([
    ["a grant", 200, JSON.stringify(GRANT)],
    ["a refusal with a code", 429, problem("rate_limited")],
    ["a refused token", 401, problem("token_expired")],
  ])("%s keeps the one that gave it", async (_, status, body) => {
    expect(await asked(status, body)).toEqual(["a", "a", "a"]);
  });

  it.each([
    ["no network", 0, ""],
    ["a page", 200, "<html>"],
    ["JSON of another kind", 200, '{"hello":1}'],
    ["a proxy's 404", 404, "not found"],
    ["a proxy's 429", 429, "{}"],
    ["a service that is ill", 503, problem("store_unavailable")],
    ["a proxy's 502", 502, "bad gateway"],
  ])("%s moves on to the next, and round", async (_, status, body) => {
    expect(await asked(status, body, 4)).toEqual(["a", "b", "c", "a"]);
  });

  it("are shuffled by `random`", async () => {
    const orders = [1, 2, 3, 4].map((seed) => asked(0, "", 3, randomOf(seed)).then(String));
    const all = await Promise.all(orders);
    expect(new Set(all).size).toBeGreaterThan(1);
    for (const order of all) expect(order.split(",").sort()).toEqual(["a", "b", "c"]);
  });

  it("keep the one that answered over a loss", async () => {
    const [one, other, node] = [await stage.lookup(), await stage.lookup(), await stage.node("n1")];
    one.always = other.always = node.grant();
    const client = stage.client({ lookup: [one.url, other.url] });
    const connecting = client.connect();
    const peer = await node.peer();
    await peer.welcome("n1");
    await connecting;
    for (let last = peer, n = 0; n < 3; n++) {
      last.socket.terminate();
      last = await node.peer();
      await last.welcome("n1");
    }
    expect([one.count, other.count].sort()).toEqual([0, 4]);
  });
});

describe("what the application throws", () => {
  const throwing = (error: unknown) => {
    const reject = (): Promise<never> => Promise.reject(error);
    return [lookupOf({ lookup: URLS, token: reject }, Math.random), lookupOf({ lookup: reject }, Math.random)].map((lookup) => lookup("start", [], signal));
  };

  it.each([[Object.assign(new Error("throttled"), { retryable: false, code: "UnknownEndpoint" })], [{ retryable: { throttling: true } }], [undefined], [null], ["no"]])(
    "is tried again if it is not of ours, whatever fields it has: %j",
    async (cause) => {
      const failed = (code: string) => ({ policy: "lost", error: { code, retryable: true, ...(!!cause && { cause }) } });
      expect(await Promise.all(throwing(cause))).toMatchObject(["token_failed", "lookup_failed"].map(failed));
    },
  );

  it("is its word if it is of ours", async () => {
    const stop = new RingdialError("banned", "", false);
    const again = new RingdialError("busy", "", true, { retryAfterMs: 5 });
    expect(await Promise.all([stop, again].flatMap(throwing))).toEqual([
      ...[1, 2].map(() => ({ policy: "stop", error: stop })),
      ...[1, 2].map(() => ({ policy: "lost", error: again })),
    ]);
  });
});

describe("a back-off of nothing", () => {
  it("is not one", () => {
    const pace = { baseMs: 0, maxMs: 0, spreadMs: 0 };
    expect([1, 5, 60].map((failures) => delay("lost", failures, 0.999_999, pace) + 1)).toEqual([2, 32, 100]);
  });

  it("does not make a storm of lookups", async () => {
    let count = 0;
    const client = stage.client({ lookup: async () => Promise.reject(new Error(String(++count))), retry: { baseMs: 0, maxMs: 0 } });
    client.connect().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 500));
    await until("tried again", () => count > 3);
    expect(count).toBeLessThan(100);
  });
});
