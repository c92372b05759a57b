/** The fake cluster of `ringdial/testing`, as an application's tests use it. */
import { afterEach, describe, expect, it } from "vitest";
import { type Client, createClient, type LookupFunction, type Message, type WebSocketConstructor } from "../src/index.js";
import { type FakeCluster, type FakeClusterOptions, fakeCluster } from "../src/testing.js";
import { until } from "./fake.js";

const clients: Client[] = [];
afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

async function start(cluster: FakeCluster, user: string, more: object = {}) {
  const client = createClient<number>({ ...cluster.options(user), ...more });
  clients.push(client);
  const [states, got, codes]: [string[], Message<number>[], string[]] = [[], [], []];
  client.on("status", ({ state }) => states.push(state));
  client.on("message", (message) => got.push(message));
  client.on("error", ({ code }) => codes.push(code));
  await client.connect();
  return { client, states, got, codes, data: () => got.map((message) => message.data) };
}
const nodeOf = ({ status }: Client): string => (status.state === "connected" ? status.node : status.state);
const cluster = (options?: FakeClusterOptions) => fakeCluster(options);

describe("the fake cluster", () => {
  it("carries messages between users, stores them, and answers", async () => {
    const fake = cluster();
    const [alice, bob] = [await start(fake, "alice"), await start(fake, "bob")];
    expect(await alice.client.send({ user: "bob" }, 1)).toMatchObject({ online: 1, offset: 1 });
    expect(await alice.client.send({ users: ["bob", "carol"] }, 2, { key: "k" })).toEqual({});
    await expect(alice.client.send({ user: "bob" }, 3, { key: "k" })).rejects.toMatchObject({ code: "key_reused" });
    expect(await alice.client.send({ user: "bob" }, 4, { ephemeral: true })).toEqual({ online: 1 });
    fake.send({ all: true }, 5);
    await until("all", () => bob.got.length === 4);
    expect([bob.data(), alice.data()]).toEqual([[1, 2, 4, 5], [5]]);
    expect(fake.stored("u:bob").map(({ data }) => data)).toEqual([1, 2]);
    expect(await bob.client.online(["alice", "carol"])).toEqual({ online: ["alice"] });
    expect((await bob.client.history({ after: 1 })).entries).toMatchObject([{ offset: 2, data: 2, from: "alice" }]);
    expect(fake.sessions.map(({ user }) => user)).toEqual(["alice", "bob"]);
  });

  it("moves a user without a moment offline, each message once and in order", async () => {
    const fake = cluster();
    fake.delay(3);
    fake.duplicate(2);
    const { client, states, data } = await start(fake, "alice");
    const moves: string[] = [];
    client.on("moved", ({ to }) => moves.push(to));
    const acks: Promise<unknown>[] = [];
    for (let n = 0; n < 60; n++) {
      acks.push(client.send({ user: "alice" }, n));
      if (n % 20 === 10) {
        const to = fake.move("alice");
        await until("moved", () => nodeOf(client) === to);
      }
    }
    await Promise.all(acks);
    await until("all", () => data().length >= 60);
    expect(data()).toEqual(Array.from({ length: 60 }, (_, n) => n));
    expect([states, moves.length]).toEqual([["connecting", "connected"], 3]);
    await until("one session", () => fake.sessions.length === 1);
  });

  it("drops, kills, drains; clients come back and miss nothing", async () => {
    const fake = cluster({ nodes: ["n1", "n2", "n3"] });
    const { client, states, data, codes } = await start(fake, "alice");
    const back = async (cut: () => void): Promise<void> => {
      states.length = 0;
      cut();
      fake.send({ user: "alice" }, data().length, { from: "bob" });
      const next = data().length + 1;
      await until("the message", () => data().length === next && client.status.state === "connected");
    };
    await back(() => fake.drop("alice"));
    await back(() => fake.drop("alice", 4103));
    await back(() => fake.kill(nodeOf(client)));
    expect([states[0], states.at(-1)]).toEqual(["reconnecting", "connected"]);
    await back(() => fake.drain(nodeOf(client)));
    await until("there", () => nodeOf(client) === fake.nodes[0]);
    expect([data(), states, fake.nodes.length]).toEqual([[0, 1, 2, 3], [], 1]);
    expect(codes).toEqual(["connection_lost", "close_4103", "connection_lost"]);
    fake.add("n9");
    expect(fake.nodes).toContain("n9");
  });

  it("tells of gaps, and refuses lookups and groups", async () => {
    const fake = cluster({ allow: (_, group) => group !== "secret" });
    const { client, data, codes } = await start(fake, "alice");
    const gaps: string[] = [];
    client.on("gap", ({ reason }) => gaps.push(reason));
    fake.send({ user: "alice" }, 0);
    await until("first", () => data().length === 1);
    fake.failLookups(2);
    fake.drop("alice");
    for (const n of [1, 2, 3]) fake.send({ user: "alice" }, n);
    fake.trim("u:alice", 1);
    await until("last", () => data().length === 2);
    fake.lose("u:alice");
    fake.send({ user: "alice" }, 4);
    await until("after the loss", () => data().length === 3);
    expect([data(), gaps, codes]).toEqual([[0, 3, 4], ["trimmed", "log_lost"], ["connection_lost", "lookup_failed", "lookup_failed"]]);
    await expect(client.group("secret").joined).rejects.toMatchObject({ code: "forbidden" });
    fake.drop("alice", 4409);
    await until("closed", () => client.status.state === "closed");
  });

  it("has groups with presence, history, and places to go on from", async () => {
    const fake = cluster();
    const [alice, bob] = [await start(fake, "alice"), await start(fake, "bob")];
    const told: unknown[] = [];
    const room = alice.client.group<number>("x", { presence: true });
    room.on("presence", ({ users, joined, left }) => told.push(users ?? joined ?? left));
    await room.joined;
    await until("roster", () => told.length === 1);
    const other = bob.client.group<number>("x");
    await other.joined;
    expect(await other.presence()).toMatchObject({ count: 2, users: ["alice", "bob"] });
    await other.send(1);
    fake.drop("bob");
    await until("back", () => bob.client.status.state === "connected" && fake.sessions.length === 2);
    await bob.client.group("x").send(2);
    await other.leave();
    await bob.client.group("x").leave();
    await bob.client.close();
    await until("gone", () => told.length === 3);
    expect(told).toEqual([["alice"], ["bob"], ["bob"]]);
    const late = room.messages();
    expect((await late.next()).value).toMatchObject({ topic: "g:x", data: 1 });
    const carol = await start(fake, "carol");
    const all = carol.client.group<number>("x", { since: { offset: 0 } }).messages();
    expect([(await all.next()).value?.data, (await all.next()).value?.data]).toEqual([1, 2]);
  });

  it("refuses what nodes refuse: places that are none, names that are none, too many", async () => {
    const fake = cluster();
    const epoch = "00000000000000aa";
    const none = [{ offset: 3 }, { epoch: "aa", offset: 3 }, { epoch, offset: 1.5 }, { epoch, offset: -1 }, { epoch, offset: "3" }, { epoch }, null];
    const { lookup, WebSocket } = fake.options("bob");
    const { url, protocols } = await (lookup as LookupFunction)({ reason: "first", avoid: [], signal: new AbortController().signal } as never);
    const socket = new (WebSocket as WebSocketConstructor)(url, [...protocols]);
    const said: { op: string; ref?: unknown; code?: string; topics?: object }[] = [];
    socket.onmessage = ({ data }) => said.push(JSON.parse(data as string));
    await new Promise((resolve) => (socket.onopen = resolve));
    const hello = (more: object): void => socket.send(JSON.stringify({ op: "hello", ...more }));
    for (const place of none) hello({ resume: { "g:x": place } });
    hello({ groups: ["a\nb"] });
    hello({ groups: Array.from({ length: 258 }, (_, i) => `g${i}`) });
    // It counts as not said: another may follow.
    hello({ resume: { "g:x": { offset: 0 }, "g:y": { epoch, offset: 3 }, "g:z": { epoch: null, offset: 0 } } });
    await until("welcome", () => said.some(({ op }) => op === "welcome"));
    const refused = said.slice(0, said.findIndex(({ op }) => op === "welcome"));
    expect(refused.map(({ code }) => code)).toEqual([...none.map(() => "bad_request"), "bad_id", "too_many_groups"]);
    expect(refused.every((frame) => frame.op === "error" && !("ref" in frame))).toBe(true);
    expect(said[refused.length]?.topics).toMatchObject({ "g:x": { recovered: true }, "g:y": { recovered: false }, "g:z": { recovered: true } });
    // The client's own groups never get so far.
    const join = (ref: string, more: object): void => socket.send(JSON.stringify({ op: "join", ref, group: "w", ...more }));
    none.slice(0, 3).forEach((since, n) => join(`${n}`, { since }));
    join("3", { group: "x".repeat(257) });
    const answers = () => said.filter(({ ref }) => ref !== undefined);
    await until("answers", () => answers().length === 4);
    const codes = ["bad_request", "bad_request", "bad_request", "bad_id"];
    expect(answers()).toMatchObject(codes.map((code, n) => ({ op: "error", ref: `${n}`, code, temporary: false })));
    socket.close();
  });

  it("has no session of a client that was closed, within a listener too", async () => {
    const fake = cluster();
    const { client } = await start(fake, "alice");
    fake.delay(50);
    await new Promise((resolve) => {
      client.on("message", () => resolve(client.close()));
      fake.send({ user: "alice" }, 1);
    });
    expect(fake.sessions).toEqual([]);
  });

  it("refuses messages to nobody that nodes know", async () => {
    const { client, data } = await start(cluster(), "alice");
    for (const to of ["bob", {}, { user: 3 }, { users: "bob" }, { all: false }, { match: 1 }, { user: "bob", group: "x" }, { nobody: 1 }]) {
      await expect(client.send(to as { all: true }, 1)).rejects.toMatchObject({ code: "bad_request" });
    }
    expect(data()).toEqual([]);
  });

  it("falls silent, which only a probe tells", async () => {
    const fake = cluster();
    const { client, codes } = await start(fake, "alice", { timeouts: { probeMs: 30 } });
    fake.silence("alice");
    client.wake();
    await until("noticed", () => codes.includes("silent"));
    await until("back", () => client.status.state === "connected");
  });
});
