/** Options that are wrong are named before anything is done. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { connect, createClient } from "../src/index.js";
import { check } from "../src/options.js";

afterEach(() => vi.unstubAllGlobals());

const lookup = "https://lookup.example.com/lookup";

describe("options", () => {
  it("are needed", () => {
    const bad = { code: "bad_options", message: "wrong options: lookup", retryable: false };
    for (const options of [undefined, {}]) expect(() => createClient(options as never)).toThrow(expect.objectContaining(bad));
  });

  it.each([["localhost:8080/lookup"], ["ftp://x/lookup"], ["wss://x/lookup"], ["http://"], ["http://x:y/"], [""], [5], [[]], [[lookup, "ws://x"]], [{}], [null]])(
    "lookup may not be %j",
    (wrong) => expect(() => check({ lookup: wrong as never })).toThrow("wrong options: lookup"),
  );

  it("lookup may be a url, several, one that is relative, or a function", () => {
    for (const right of [lookup, [lookup, "http://b/lookup"], "/lookup", "lookup?x=1", () => Promise.reject(new Error())]) check({ lookup: right });
  });

  it("a relative lookup is judged where the page is", () => {
    vi.stubGlobal("document", { baseURI: "file:///index.html" });
    expect(() => check({ lookup: "/lookup" })).toThrow("wrong options: lookup");
    vi.stubGlobal("document", { baseURI: "https://x/a/" });
    check({ lookup: "/lookup" });
  });

  it("name what is unknown, and what has another type", () => {
    const wrong = { lookup, tokn: "t", WebSocket: {}, fetch: "fetch", random: 5, now: 5, service: "", id: 7, retry: 5, timeouts: { openms: 1 } };
    expect(() => check(wrong as never)).toThrow("wrong options: tokn, WebSocket, fetch, random, now, service, id, retry, openms");
  });

  it("may be undefined, and hold the signal of connect()", async () => {
    check({ lookup, token: undefined, WebSocket: undefined, retry: undefined } as never);
    const abort = new AbortController();
    abort.abort();
    await expect(connect({ lookup: "http://127.0.0.1:1/lookup", signal: abort.signal })).rejects.toMatchObject({ code: "aborted" });
  });
});
