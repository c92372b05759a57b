/** Groups, positions and presence, against scripted nodes over real sockets. */
import { afterEach, describe, expect, it } from "vitest";
import type { Group } from "../src/index.js";
import { until } from "./fake.js";
import { A, B, durable, head, joined, moved, offsetsOf, scene, settled, stage } from "./scene.js";

afterEach(() => stage.end());

describe("positions", () => {
  it("begin at the head, follow the messages, and are what the next hello says", async () => {
    const { client, peer, hello, reconnect } = await scene();
    const got = offsetsOf(client);
    expect(hello).toEqual({ op: "hello", resume: {}, groups: [] });
    for (const offset of [4, 5, 5, 4, 6]) peer.send(durable("u:alice", offset));
    await settled(peer);
    expect(got).toEqual([4, 5, 6]);
    const { there, hello: again } = await reconnect({ "u:alice": head(8) });
    expect(again).toEqual({ op: "hello", resume: { "u:alice": { epoch: A, offset: 6 } }, groups: [] });
    for (const offset of [7, 8]) there.send({ ...durable("u:alice", offset), replayed: true });
    await settled(there);
    expect(got).toEqual([4, 5, 6, 7, 8]);
  });

  it("are asked for again when the topic was still pending", async () => {
    const { client, peer, reconnect } = await scene({ "u:alice": { recovered: "pending" } });
    const got = offsetsOf(client);
    const { there, hello } = await reconnect({ "u:alice": { recovered: "pending" } });
    expect(hello).toMatchObject({ resume: {}, groups: [] });
    there.send({ op: "recovered", topic: "u:alice", ...head(3) });
    there.send(durable("u:alice", 3));
    there.send(durable("u:alice", 4));
    await settled(there);
    expect([got, peer.frames.size]).toEqual([[4], 0]);
  });

  it("move with a gap, which the application is told", async () => {
    const { client, peer, reconnect } = await scene();
    const [got, gaps] = [offsetsOf(client), [] as unknown[]];
    client.on("gap", (gap) => gaps.push(gap));
    const trimmed = { topic: "u:alice", epoch: A, after: 3, before: 7, reason: "trimmed" };
    const lost = { topic: "u:alice", epoch: B, after: 7, before: 1, reason: "log_lost" };
    for (const frame of [{ op: "gap", ...trimmed }, durable("u:alice", 7), { op: "gap", ...trimmed }]) peer.send(frame);
    for (const frame of [{ op: "gap", ...lost }, durable("u:alice", 8), durable("u:alice", 1, B)]) peer.send(frame);
    await settled(peer);
    expect([got, gaps]).toEqual([[7, 1], [trimmed, lost]]);
    expect((await reconnect()).hello).toMatchObject({ resume: { "u:alice": { epoch: B, offset: 1 } } });
  });

  it("go back when the log did, in the same epoch", async () => {
    const { client, peer } = await scene();
    const got = offsetsOf(client);
    peer.send({ op: "gap", topic: "u:alice", epoch: A, after: 3, before: 2, reason: "log_lost" });
    peer.send(durable("u:alice", 2));
    await settled(peer);
    expect(got).toEqual([2]);
  });

  it("outlive close()", async () => {
    const { client, n1, peer } = await scene();
    peer.send(durable("u:alice", 4));
    await settled(peer);
    await client.close();
    void client.connect();
    expect(await (await n1.peer()).welcome("n1")).toMatchObject({ resume: { "u:alice": { epoch: A, offset: 4 } } });
  });
});

describe("moves", () => {
  it("hide the overlap, and let the old socket go once no topic is pending", async () => {
    const { client, peer, n2 } = await scene();
    const got = offsetsOf(client);
    peer.send(durable("u:alice", 4));
    peer.send(moved(n2));
    const there = await n2.peer();
    const hello = await there.welcome("n2", { topics: { "u:alice": { recovered: "pending" } } });
    expect(hello).toMatchObject({ resume: { "u:alice": { epoch: A, offset: 4 } }, replaces: "s-n1" });
    await until("moved", () => client.status.state === "connected" && client.status.node === "n2");
    peer.send(durable("u:alice", 5));
    await settled(peer);
    expect(peer.frames.size).toBe(0);
    there.send({ op: "recovered", topic: "u:alice", ...head(6) });
    expect(await peer.frame()).toEqual({ op: "detach" });
    for (const offset of [5, 6]) there.send(durable("u:alice", offset));
    peer.send(durable("u:alice", 6));
    peer.send({ op: "bye" });
    await settled(there);
    expect(got).toEqual([4, 5, 6]);
    expect(client.states.map((status) => status.state)).toEqual(["connecting", "connected"]);
  });

  it("tell of a lost log once", async () => {
    const { client, peer, n2 } = await scene();
    const [got, gaps] = [offsetsOf(client), [] as unknown[]];
    client.on("gap", ({ epoch }) => gaps.push(epoch));
    peer.send(moved(n2));
    const there = await n2.peer();
    await there.frame("hello");
    const gap = { op: "gap", topic: "u:alice", epoch: B, after: 3, before: 1, reason: "log_lost" };
    for (const frame of [gap, durable("u:alice", 1, B)]) peer.send(frame);
    await settled(peer);
    there.send({ op: "welcome", session: "s", user: "alice", node: "n2", topics: { "u:alice": { epoch: B, offset: 2, recovered: false } } });
    for (const frame of [gap, durable("u:alice", 1, B), durable("u:alice", 2, B)]) there.send(frame);
    await settled(there);
    expect([got, gaps]).toEqual([[1, 2], [B]]);
  });

  it("do not wait for a topic when another move is due", async () => {
    const { client, peer, n1, n2 } = await scene();
    peer.send(moved(n2));
    const there = await n2.peer();
    await there.welcome("n2", { topics: { "u:alice": { recovered: "pending" } } });
    await until("moved", () => client.status.state === "connected" && client.status.node === "n2");
    there.send(moved(n1));
    expect(await peer.frame()).toEqual({ op: "detach" });
    peer.send({ op: "bye" });
    expect(await (await n1.peer()).frame()).toMatchObject({ op: "hello", replaces: "s-n2" });
  });
});

describe("groups", () => {
  it("are joined by the first handle and left by the last", async () => {
    const { client, peer } = await scene();
    const group = client.group("x");
    expect(await peer.frame()).toEqual({ op: "join", ref: expect.any(String), group: "x" });
    const second = client.group("x");
    expect([second.joined === group.joined, group.position]).toEqual([true, undefined]);
    await group.leave();
    await group.leave();
    await settled(peer);
    await second.leave();
    expect(await peer.frame()).toEqual({ op: "leave", ref: expect.any(String), group: "x" });
    await expect(second.joined).rejects.toMatchObject({ code: "aborted" });
  });

  it("are left at the end of a scope", async () => {
    const { client, peer } = await scene();
    {
      await using group = client.group("x");
      expect([group.name, (await peer.frame())["op"]]).toEqual(["x", "join"]);
    }
    expect(await peer.frame()).toMatchObject({ op: "leave", group: "x" });
  });

  it("give their messages to their handles alone, and hold them for the first listener", async () => {
    const { client, peer } = await scene();
    const mine = offsetsOf(client);
    const group = await joined(client, peer);
    expect(group.position).toEqual({ epoch: A, offset: 5 });
    peer.send(durable("g:x", 6));
    peer.send({ op: "message", topic: "g:x", id: "n1.1-1", from: "bob", data: 1, time: 1 });
    peer.send(durable("g:claimed", 9));
    await settled(peer);
    const got = offsetsOf(group);
    const other = client.group("x");
    const others = offsetsOf(other);
    await until("held", () => got.length === 2);
    await other.leave();
    peer.send(durable("g:x", 7));
    await settled(peer);
    expect([got, others.length < 3, mine]).toEqual([[6, "n1.1-1", 7], true, [9]]);
    expect(group.position).toEqual({ epoch: A, offset: 7 });
  });

  it("go on where they were after a reconnect, and wait for the first connection", async () => {
    const { client, peer, hello, reconnect } = await scene({ "u:alice": head(0), "g:x": head(5), "g:y": head(2) }, (early) => {
      early.group("x");
      early.group("y", { since: { offset: 0 } });
    });
    expect(hello).toMatchObject({ groups: ["x"], resume: { "g:y": { offset: 0 } } });
    await client.group("x").joined;
    const y = client.group("y");
    const got = offsetsOf(y);
    for (const offset of [1, 2]) peer.send({ ...durable("g:y", offset), replayed: true });
    await settled(peer);
    const again = await reconnect({ "g:x": head(5), "g:y": head(3) });
    expect(again.hello["resume"]).toEqual({ "u:alice": { epoch: A, offset: 0 }, "g:x": { epoch: A, offset: 5 }, "g:y": { epoch: A, offset: 2 } });
    again.there.send(durable("g:y", 3));
    await settled(again.there);
    expect(got).toEqual([1, 2, 3]);
  });

  it("are asked for presence on every connection, and tell who comes and goes", async () => {
    const { client, peer, reconnect } = await scene();
    const group = client.group("x", { presence: true });
    const seen: unknown[] = [];
    group.on("presence", ({ group: _, ...change }) => seen.push(change));
    const { ref, ...join } = await peer.frame();
    expect(join).toEqual({ op: "join", group: "x", presence: true });
    peer.send({ op: "ack", ref, topic: "g:x", ...head(5) });
    peer.send({ op: "presence", group: "x", count: 1, users: ["alice"] });
    peer.send({ op: "presence", group: "x", count: 2, joined: ["bob"] });
    await settled(peer);
    expect(seen).toEqual([{ count: 1, users: ["alice"] }, { count: 2, joined: ["bob"] }]);
    const { there } = await reconnect({ "g:x": head(5) });
    // Without a place: `hello` has said it, and what it missed would come twice.
    expect(await there.frame()).toEqual({ op: "join", ref: expect.any(String), group: "x", presence: true });
    await group.leave();
    expect(await there.frame()).toMatchObject({ op: "leave" });
  });

  it("are asked for presence after the application's sends, which count against the same limit", async () => {
    const { client, peer, reconnect } = await scene();
    await joined(client, peer, { presence: true });
    client.send({ user: "bob" }, 1).catch(() => {});
    const { there } = await reconnect({ "g:x": head(5) });
    expect([await there.frame(), await there.frame()]).toMatchObject([{ op: "send" }, { op: "join" }]);
  });

  it("are asked for presence only where they are known to stand", async () => {
    const { client, peer, reconnect } = await scene();
    await joined(client, peer, { presence: true });
    const { there } = await reconnect({ "g:x": { recovered: "pending" } });
    await settled(there);
    there.send({ op: "recovered", topic: "g:x", ...head(5) });
    expect(await there.frame()).toEqual({ op: "join", ref: expect.any(String), group: "x", presence: true });
  });

  it("are joined again after a leave, whatever is told of the time before", async () => {
    let group: Group | undefined;
    const { client, peer } = await scene({ "u:alice": head(0), "g:x": { recovered: "pending" } }, (early) => (group = early.group("x")));
    await group?.leave();
    const { ref } = await peer.frame("leave");
    client.group("x");
    peer.send({ op: "recovered", topic: "g:x", ...head(5) });
    peer.send({ op: "ack", ref, topic: "g:x", ...head(5) });
    expect(await peer.frame()).toMatchObject({ op: "join", group: "x" });
  });

  it("are told of presence from a later handle on, too", async () => {
    const { client, peer } = await scene();
    await joined(client, peer);
    client.group("x", { presence: true });
    expect(await peer.frame()).toEqual({ op: "join", ref: expect.any(String), group: "x", presence: true });
    client.group("x");
    await settled(peer);
  });

  it("say when the node refuses them, at first or at a reconnect, and can be tried again", async () => {
    const { client, peer, reconnect } = await scene({ "u:alice": head(0), "g:no": { error: "forbidden" } }, (early) => early.group("no"));
    await until("refused", () => client.codes.length === 1);
    const group = client.group("x");
    peer.send({ op: "error", ref: (await peer.frame())["ref"], code: "too_many_groups", message: "m", temporary: false });
    await expect(group.joined).rejects.toMatchObject({ code: "too_many_groups", message: "g:x", retryable: false });
    const again = client.group("x");
    const { ref } = await peer.frame();
    await group.leave();
    peer.send({ op: "ack", ref, topic: "g:x", ...head(1) });
    await again.joined;
    const { hello } = await reconnect({ "g:x": { error: "forbidden" } });
    expect(hello).toMatchObject({ resume: { "g:x": { epoch: A, offset: 1 } }, groups: [] });
    await until("told", () => client.codes.length === 4);
    expect(client.codes).toEqual(["forbidden", "too_many_groups", "connection_lost", "forbidden"]);
    expect(again.position).toBeUndefined();
  });

  it("are joined again by themselves after a temporary refusal", async () => {
    const { client, peer } = await scene(undefined, undefined, { random: () => 0 });
    const group = client.group("x");
    const begin = performance.now();
    peer.send({ op: "error", ref: (await peer.frame())["ref"], code: "rate_limited", message: "", temporary: true, retry_after_ms: 50 });
    peer.send({ op: "ack", ref: (await peer.frame())["ref"], topic: "g:x", ...head(1) });
    await group.joined;
    expect(performance.now() - begin).toBeGreaterThan(1_000);
  });

  it("hear nothing of what was on its way when they were left, not even once joined again", async () => {
    const { client, peer } = await scene();
    const mine = offsetsOf(client);
    const group = await joined(client, peer);
    await group.leave();
    const leave = await peer.frame();
    const again = client.group("x", { since: { epoch: A, offset: 5 } });
    const got = offsetsOf(again);
    peer.send(durable("g:x", 7));
    peer.send({ op: "ack", ref: leave["ref"], topic: "g:x", epoch: A, offset: 7 });
    const join = await peer.frame();
    expect(join).toMatchObject({ op: "join", since: { epoch: A, offset: 5 } });
    peer.send({ op: "ack", ref: join["ref"], topic: "g:x", ...head(7) });
    for (const offset of [6, 7]) peer.send(durable("g:x", offset));
    await settled(peer);
    expect([got, mine]).toEqual([[6, 7], []]);
  });

  it("may be given and taken by the application's back end", async () => {
    const { client, peer, reconnect } = await scene();
    const got = offsetsOf(client);
    const group = await joined(client, peer);
    peer.send({ op: "recovered", topic: "g:z", ...head(4) });
    for (const offset of [4, 5]) peer.send(durable("g:z", offset));
    for (const topic of ["g:x", "g:gone"]) peer.send({ op: "removed", topic });
    await settled(peer);
    expect([got, group.position, client.codes]).toEqual([[5], undefined, ["removed"]]);
    expect((await reconnect()).hello["resume"]).toEqual({ "u:alice": { epoch: A, offset: 3 }, "g:z": { epoch: A, offset: 5 } });
  });

  it("fail to be joined when the client closes", async () => {
    const { client, peer } = await scene();
    const group = client.group("x");
    await peer.frame();
    await client.close();
    await expect(group.joined).rejects.toMatchObject({ code: "closed" });
    await expect(client.group("x").joined).rejects.toMatchObject({ code: "closed" });
  });

  it("are joined after connect(), as a handle of before and a new one say", async () => {
    const { client, peer, n1 } = await scene();
    const group = client.group("x");
    await peer.frame();
    await client.close();
    client.connect();
    const again = await n1.peer();
    await again.welcome("n1", { topics: { "g:x": { epoch: A, offset: 5, recovered: true } } });
    await Promise.all([group.joined, client.group("x").joined]);
  });

  it("end the loops over their messages where they are not followed any more", async () => {
    const { client, peer } = await scene();
    const group = await joined(client, peer);
    const loop = group.messages();
    const next = loop.next();
    peer.send({ op: "removed", topic: "g:x" });
    await expect(next).rejects.toMatchObject({ code: "removed" });
    await expect(group.messages().next()).rejects.toMatchObject({ code: "removed" });
  });

  it("tell of gaps, to their handles and to the client", async () => {
    const { client, peer } = await scene();
    const group = await joined(client, peer);
    const told: unknown[] = [];
    group.on("gap", ({ before }) => told.push(before));
    client.on("gap", ({ topic }) => told.push(topic));
    peer.send({ op: "gap", topic: "g:x", epoch: A, after: 5, before: 9, reason: "trimmed" });
    await settled(peer);
    expect([told, group.position]).toEqual([[9, "g:x"], { epoch: A, offset: 8 }]);
  });
});
