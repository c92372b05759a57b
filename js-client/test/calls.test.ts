/** Calls that cannot be, calls from within listeners, and calls after the end. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createClient, type Group, RingdialError } from "../src/index.js";
import { until } from "./fake.js";
import { durable, head, joined, offsetsOf, scene, settled, stage } from "./scene.js";

afterEach(() => stage.end());

const ended = async (loop: AsyncIterator<unknown>): Promise<unknown> =>
  Promise.race([loop.next(), new Promise((resolve) => setTimeout(resolve, 2_000, "hangs"))]);

describe("what cannot be", () => {
  it.each([
    ["no target", undefined, 1],
    ["null", null, 1],
    ["a target that is text", "", 1],
    ["a BigInt", { user: "bob" }, 1n],
  ])("a send to or of %s is rejected", async (_, to, data) => {
    const { client } = await scene();
    const sent = client.send(to as never, data);
    await expect(sent).rejects.toBeInstanceOf(RingdialError);
    await expect(sent).rejects.toMatchObject({ code: "bad_request", retryable: false, cause: expect.any(TypeError) });
  });

  it("a send of a circle is rejected", async () => {
    const { client } = await scene();
    const circle: { self?: unknown } = {};
    circle.self = circle;
    await expect(client.send({ user: "bob" }, circle)).rejects.toMatchObject({ code: "bad_request", retryable: false });
  });

  it("a listener that is no function, and a group without a name, are refused at once", async () => {
    const client = createClient({ lookup: "http://127.0.0.1:1/lookup" });
    expect(() => client.on("message", undefined as never)).toThrow(TypeError);
    expect(() => client.group("x").on("message", {} as never)).toThrow(TypeError);
    for (const name of [undefined, null, "", 5]) expect(() => client.group(name as never)).toThrow(expect.objectContaining({ code: "bad_request" }));
  });
});

describe("within listeners", () => {
  it("two handles of one group are two uses of it", async () => {
    const handles: Group[] = [];
    const { peer } = await scene({}, (client) =>
      client.on("status", ({ state }) => state === "connected" && handles.push(client.group("x"), client.group("x"))),
    );
    const got: unknown[][] = handles.map((handle) => offsetsOf(handle));
    peer.send({ op: "ack", ref: (await peer.frame("join"))["ref"], topic: "g:x", ...head(5) });
    await Promise.all(handles.map((handle) => handle.joined));
    peer.send(durable("g:x", 6));
    await settled(peer);
    expect(got).toEqual([[6], [6]]);
    await handles[0]?.leave();
    peer.send(durable("g:x", 7));
    await settled(peer);
    expect(got).toEqual([[6], [6, 7]]);
    await handles[1]?.leave();
    expect(await peer.frame()).toMatchObject({ op: "leave", group: "x" });
  });

  it("nothing is delivered after close(): of what waited for the first listener", async () => {
    const { client, peer } = await scene();
    for (const offset of [4, 5, 6]) peer.send(durable("u:alice", offset));
    await settled(peer);
    const got: unknown[] = [];
    client.on("message", ({ offset }) => (got.push(offset), void client.close()));
    await until("closed", () => client.status.state === "closed");
    expect(got).toEqual([4]);
  });

  it("nothing is delivered after close(): the message that told of a gap", async () => {
    const { client, peer } = await scene();
    const got = offsetsOf(client);
    client.on("gap", () => void client.close());
    peer.send(durable("u:alice", 9));
    await until("closed", () => client.status.state === "closed");
    expect(got).toEqual([]);
  });
});

describe("what close() kept from being given comes with the next connect()", () => {
  /** Closed: what was given until then. Connected again at n1, which then says 7. */
  async function again({ client, n1 }: Awaited<ReturnType<typeof scene>>, got: unknown[], topic: string, until_: number): Promise<void> {
    await until("closed", () => client.status.state === "closed");
    await new Promise((resolve) => setTimeout(resolve, 20));
    const before = [...got];
    const connecting = client.connect();
    const there = await n1.peer();
    const hello = await there.welcome("n1", { topics: { [topic]: head(until_) } });
    expect(hello["resume"]).toMatchObject({ [topic]: { offset: until_ } });
    await connecting;
    there.send(durable(topic, until_ + 1));
    await settled(there);
    expect(before).toEqual(before.slice(0, 1));
  }

  it("of what waited for the first listener", async () => {
    const all = await scene();
    for (const offset of [4, 5, 6]) all.peer.send(durable("u:alice", offset));
    await settled(all.peer);
    const got: unknown[] = [];
    all.client.on("message", ({ offset }) => (got.push(offset), offset === 4 && void all.client.close()));
    await again(all, got, "u:alice", 6);
    expect(got).toEqual([4, 5, 6, 7]);
  });

  it("of a group whose listener is gone: to the next one", async () => {
    const all = await scene({});
    const group = await joined(all.client, all.peer);
    for (const offset of [6, 7, 8]) all.peer.send(durable("g:x", offset));
    await settled(all.peer);
    const got: unknown[] = [];
    const off = group.on("message", ({ offset }) => (off(), got.push(offset), void all.client.close()));
    await again(all, got, "g:x", 8);
    expect(got).toEqual([6]);
    const next = offsetsOf(group);
    await until("given", () => next.length === 3);
    expect(next).toEqual([7, 8, 9]);
  });

  it("the message that told of a gap", async () => {
    const all = await scene();
    const got = offsetsOf(all.client);
    await settled(all.peer);
    all.client.on("gap", () => void all.client.close());
    all.peer.send(durable("u:alice", 9));
    await again(all, got, "u:alice", 9);
    expect(got).toEqual([9, 10]);
  });

  it("one message is given to all its listeners or to none, whichever of them closes", async () => {
    const all = await scene();
    const got: unknown[] = [];
    all.client.on("message", ({ offset }) => (got.push(`a${offset}`), offset === 4 && void all.client.close()));
    all.client.on("message", ({ offset }) => got.push(`b${offset}`));
    await settled(all.peer);
    all.peer.send(durable("u:alice", 4));
    await until("closed", () => all.client.status.state === "closed");
    expect(got).toEqual(["a4", "b4"]);
  });

  it("what waits stays if the first listener is gone before it could be given anything", async () => {
    const { client, peer } = await scene();
    peer.send(durable("u:alice", 4));
    await settled(peer);
    client.on("message", () => {})();
    await settled(peer);
    const got = offsetsOf(client);
    await until("given", () => got.length > 0);
    expect(got).toEqual([4]);
  });
});

describe("after the end", () => {
  it("a loop of a handle that was left is over, and it takes no listeners, while another one lives", async () => {
    const { client, peer } = await scene({});
    const group = await joined(client, peer);
    const other = client.group("x");
    const live = offsetsOf(other);
    await group.leave();
    const late = offsetsOf(group);
    expect(await ended(group.messages())).toEqual({ done: true, value: undefined });
    peer.send(durable("g:x", 6));
    await settled(peer);
    expect([live, late]).toEqual([[6], []]);
  });

  it("leave() within the end of a loop counts once", async () => {
    const { client, peer } = await scene({});
    const group = await joined(client, peer);
    const other = client.group("x");
    await Promise.all([group.leave(), group.leave()]);
    await settled(peer);
    await other.leave();
    expect(await peer.frame()).toMatchObject({ op: "leave" });
  });

  it("a loop of a closed client is over; one that was stopped says why", async () => {
    const { client, peer } = await scene({});
    const group = await joined(client, peer);
    await client.close();
    expect(await ended(group.messages())).toEqual({ done: true, value: undefined });
    const two = await scene({});
    const there = await joined(two.client, two.peer);
    two.peer.socket.close(4409);
    await until("stopped", () => two.client.status.state === "closed");
    await expect(ended(there.messages())).rejects.toMatchObject({ code: "close_4409" });
    await expect(two.client.send({ user: "bob" }, 1)).rejects.toMatchObject({ code: "closed", cause: { code: "close_4409" } });
  });

  it("close() while a token is being had: it is told, and no lookup follows", async () => {
    let give = (_: string): void => {};
    let lookups = 0;
    let aborted = (): boolean => false;
    const client = stage.client({
      token: ({ signal }) => ((aborted = () => signal.aborted), new Promise<string>((resolve) => (give = resolve))),
      lookup: async () => (lookups++, { url: "ws://127.0.0.1:1", protocols: [] }),
    });
    client.connect().catch(() => {});
    await until("asked", () => aborted() === false);
    await client.close();
    expect(aborted()).toBe(true);
    give("late");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(lookups).toBe(0);
  });
});

describe("keys and disposal", () => {
  it("the keys of two clients differ, though their random numbers do not", async () => {
    const keys: unknown[] = [];
    for (const at of [1_000, 2_000]) {
      const { client, peer } = await scene({}, undefined, { random: () => 0.25, now: () => at });
      void client.send({ user: "bob" }, 1).catch(() => {});
      keys.push((await peer.frame())["key"]);
    }
    expect(new Set(keys).size).toBe(2);
  });

  it("a handle is disposed of by the symbol that stands in for one that the platform has not", async () => {
    const { for: named, iterator, asyncIterator } = Symbol;
    vi.stubGlobal("Symbol", { for: named, iterator, asyncIterator });
    const group = createClient({ lookup: "http://127.0.0.1:1/lookup" }).group("x");
    vi.unstubAllGlobals();
    expect((group as unknown as Record<symbol, unknown>)[Symbol.for("Symbol.asyncDispose")]).toBe(group.leave);
  });
});

