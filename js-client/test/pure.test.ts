/** The pure parts: back-off, policies, deduplication, frames, options. */
import { describe, expect, it } from "vitest";
import { delay } from "../src/backoff.js";
import { closePolicy, statusPolicy } from "../src/codes.js";
import { dedupe } from "../src/dedupe.js";
import { AuthError, RingdialError } from "../src/errors.js";
import { check, configOf } from "../src/options.js";
import { readFrame, readGrant, bare } from "../src/wire.js";

const pace = { baseMs: 500, maxMs: 30_000, spreadMs: 2_000 };

describe("backoff", () => {
  it("is full jitter over a doubling window with a cap", () => {
    const windows = [1, 2, 3, 4, 5, 6, 7, 60].map((failures) => delay("lost", failures, 0.999_999, pace) + 1);
    expect(windows).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(delay("lost", 5, 0, pace)).toBe(0);
    expect(delay("lost", 5, 0.5, pace)).toBe(8_000);
  });

  it("spreads the first return over retry_spread_ms, and comes back at once where it may", () => {
    expect(delay("lost", 0, 0.5, pace)).toBe(1_000);
    expect(delay("now", 0, 0.5, pace)).toBe(0);
    expect(delay("refresh", 0, 0.5, pace)).toBe(0);
    expect(delay("now", 1, 0.5, pace)).toBe(500);
    expect(delay("later", 0, 0.5, pace)).toBe(500);
  });

  it("never waits less than advised, nor longer than an hour", () => {
    expect(delay("now", 0, 0, pace, 7_000)).toBe(7_000);
    expect(delay("later", 9, 0.5, pace, 7_000)).toBe(7_250);
    expect(delay("later", 0, 0, pace, 1e12)).toBe(3_600_000);
  });
});

describe("codes", () => {
  it.each([
    [4000, "now"], [4001, "now"], [4002, "now"], [4099, "now"],
    [4100, "later"], [4105, "later"], [4199, "later"],
    [4400, "stop"], [4401, "refresh"], [4403, "stop"], [4409, "stop"], [4499, "stop"],
    [0, "lost"], [1000, "lost"], [1001, "lost"], [1006, "lost"], [1013, "lost"], [4200, "lost"], [4500, "lost"],
  ] as const)("%i means %s", (code, policy) => {
    expect(closePolicy(code)).toBe(policy);
  });

  it("judges a lookup's status by its problem document, else by caution", () => {
    expect(statusPolicy(401, false)).toBe("refresh");
    expect(statusPolicy(403, false)).toBe("stop");
    expect(statusPolicy(403, undefined)).toBe("later");
    expect(statusPolicy(404, false)).toBe("stop");
    expect(statusPolicy(404, undefined)).toBe("later");
    expect(statusPolicy(429, true)).toBe("later");
    expect(statusPolicy(503, undefined)).toBe("later");
  });
});

describe("dedupe", () => {
  it("drops what is not higher, per topic and origin", () => {
    const isNew = dedupe();
    expect(isNew("u:bob", "n1.5-17")).toBe(true);
    expect(isNew("u:bob", "n1.5-17")).toBe(false);
    expect(isNew("u:bob", "n1.5-16")).toBe(false);
    expect(isNew("u:bob", "n1.5-18")).toBe(true);
    expect(isNew("u:bob", "n2.5-1")).toBe(true);
    expect(isNew("g:all", "n1.5-3")).toBe(true);
    expect(isNew("u:bob", "n1.6-1")).toBe(true);
  });

  it("takes an origin with dashes, and ids of another form", () => {
    const isNew = dedupe();
    expect(isNew("t", "ws-a.1-2")).toBe(true);
    expect(isNew("t", "ws-a.1-2")).toBe(false);
    expect(isNew("t", undefined) && isNew("t", undefined)).toBe(true);
    expect(isNew("t", "x-y") && isNew("t", "x-y")).toBe(true);
  });

  it("forgets the stream that was silent longest", () => {
    const isNew = dedupe();
    for (let n = 0; n < 4_097; n++) isNew("t", `n${n}-1`);
    expect(isNew("t", "n0-1")).toBe(true);
    expect(isNew("t", "n4096-1")).toBe(false);
  });
});

describe("wire", () => {
  it("takes only what has an op", () => {
    for (const bad of ["", "x", "1", "null", "[]", "{}", new ArrayBuffer(2)]) {
      expect(readFrame(bad)).toBeUndefined();
    }
    expect(readFrame('{"op":"new","x":1}')).toEqual({ op: "new", x: 1 });
  });

  it("passes a message on as it came", () => {
    const frame = { op: "message", topic: "u:bob", from: "alice", data: { a: 1 }, time: 5, later: true };
    expect(bare(frame)).toEqual({ topic: "u:bob", from: "alice", data: { a: 1 }, time: 5, later: true });
  });

  it("takes a grant only if it says where to connect", () => {
    expect(readGrant(undefined)).toBeUndefined();
    expect(readGrant({ url: "ws://x" })).toBeUndefined();
    expect(readGrant({ protocols: ["p"] })).toBeUndefined();
    expect(readGrant({ url: "ws://x", protocols: ["p"] })).toEqual({ url: "ws://x", protocols: ["p"] });
  });

});

describe("errors and options", () => {
  it("say code, retryable and remedy", () => {
    const error = new RingdialError("outbox_full", "m", true);
    expect([error.code, error.retryable, error.remedy]).toEqual(["outbox_full", true, "wait for acknowledgements"]);
    expect([new AuthError().code, new AuthError().retryable]).toEqual(["auth", false]);
    expect(new RingdialError("aborted", "", false, { cause: "c" }).cause).toBe("c");
    expect("cause" in error).toBe(false);
  });

  it("name every mistake at once", () => {
    const wrong = { lookup: "", token: 5 as never, retry: { baseMs: -1 }, timeouts: { openMs: NaN } };
    expect(() => check(wrong)).toThrow("wrong options: lookup, token, baseMs, openMs");
    expect(() => check({ lookup: [] })).toThrow("wrong options: lookup");
    expect(() => check({ lookup: "x", timeouts: { lokupMs: 1 } as object })).toThrow("wrong options: lokupMs");
    expect(() => check({ lookup: "x", retry: { baseMs: "5" as never }, timeouts: { openMs: undefined as never } })).toThrow("wrong options: baseMs");
    expect(configOf({ lookup: "x", retry: { baseMs: 5 }, timeouts: { openMs: undefined as never, sendMs: NaN } })).toMatchObject({
      sendMs: 30_000,
      baseMs: 5,
      openMs: 8_000,
      renewable: false,
    });
  });
});
