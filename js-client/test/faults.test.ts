/** What went wrong once: messages that are too big, frames that cannot be, calls that cannot be, and what comes after the end. */
import { afterEach, describe, expect, it } from "vitest";
import type { Since } from "../src/index.js";
import { until } from "./fake.js";
import { head, scene, settled, stage } from "./scene.js";

afterEach(() => stage.end());

describe("a message that is too big", () => {
  const limits = { message_bytes: 300 };

  it("fails alone, before it is written, by bytes of UTF-8", async () => {
    const { client, peer, n2, service } = await scene();
    service.always = n2.grant();
    peer.socket.terminate();
    // Before `welcome`, too.
    const early = client.send({ user: "bob" }, "x".repeat(400));
    const there = await n2.peer();
    await there.welcome("n2", { limits });
    const refusal = { code: "too_large", retryable: false, remedy: "make it smaller" };
    await expect(early).rejects.toMatchObject(refusal);
    const frame = (data: string): string => JSON.stringify({ op: "send", to: { user: "bob" }, data, key: "k", ref: "2" });
    const fitting = "ä€😀" + "é".repeat((300 - Buffer.byteLength(frame("ä€😀"))) >> 1);
    await expect(client.send({ user: "bob" }, `${fitting}é`, { key: "k" })).rejects.toMatchObject(refusal);
    await expect(client.send({ user: "bob" }, "x".repeat(400), { ack: false })).rejects.toMatchObject(refusal);
    await expect(client.send({ user: "bob" }, "\ud800".repeat(60))).rejects.toMatchObject(refusal);
    expect(client.status.state).toBe("connected");
    const sent = client.send({ user: "bob" }, fitting, { key: "k" });
    expect(await there.frame()).toMatchObject({ op: "send", data: fitting });
    there.send({ op: "ack", ref: "5", online: 1 });
    expect(await sent).toEqual({ online: 1 });
  });

  it("is bounded by nothing where the node says none", async () => {
    const { client, peer } = await scene();
    void client.send({ user: "bob" }, "x".repeat(100_000)).catch(() => {});
    expect((await peer.frame())["data"]).toHaveLength(100_000);
  });
});

describe("a frame that cannot be", () => {
  const places = { epoch: "a", offset: 1 };
  it.each([
    { op: "message", from: "bob", data: 1, time: 1, ...places },
    { op: "message", topic: "u:alice", from: "bob", data: 1, time: 1, epoch: "00000000000000aa", offset: "4" },
    { op: "gap", epoch: "b", after: 0, before: 5, reason: "log_lost" },
    { op: "gap", topic: "u:alice", epoch: "b", after: 0, reason: "log_lost" },
    { op: "recovered", topic: null, ...places, recovered: true },
  ])("is the end of its socket, and nothing of it is kept: %j", async (frame) => {
    const { client, peer, n2, service } = await scene();
    service.always = n2.grant();
    peer.send(frame);
    const there = await n2.peer();
    expect(await there.welcome("n2", { topics: { "u:alice": head(3) } })).toMatchObject({ resume: { "u:alice": { epoch: "00000000000000aa", offset: 3 } } });
    expect(client.codes).toEqual(["connection_lost"]);
    const sent = client.send({ user: "bob" }, 1);
    there.send({ op: "ack", ref: (await there.frame())["ref"] });
    await sent;
    await client.close();
    expect(client.status).toEqual({ state: "closed" });
  });

  it("is the end of a dial, as any other that fails", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    service.always = node.grant();
    const client = stage.client({ lookup: service.url });
    const connecting = client.connect();
    await (await node.peer()).welcome("n1", { topics: { "u:alice": null } });
    const second = await node.peer();
    await second.welcome("n1");
    await connecting;
    expect(client.codes).toEqual(["unreachable"]);
    await settled(second);
  });
});

describe("a group that cannot be", () => {
  const NAME = "a group's name has 1 to 256 bytes of UTF-8 without control characters";
  const SINCE = "`since` is a position, `{ epoch, offset }`, or `{ offset: 0 }`";
  const epoch = "00000000000000aa";

  it.each([
    ["", {}, NAME],
    [5, {}, NAME],
    ["x".repeat(257), {}, NAME],
    ["é".repeat(129), {}, NAME],
    ["a\u0007b", {}, NAME],
    ["a\u0085b", {}, NAME],
    ["\ud800", {}, NAME],
    ["x", { since: { offset: 5 } }, SINCE],
    ["x", { since: { epoch: "aa", offset: 3 } }, SINCE],
    ["x", { since: { epoch: epoch.toUpperCase(), offset: 3 } }, SINCE],
    ["x", { since: { epoch: 1_234_567_890_123_456, offset: 3 } }, SINCE],
    ["x", { since: { epoch, offset: -1 } }, SINCE],
    ["x", { since: { epoch, offset: 1.5 } }, SINCE],
    ["x", { since: { epoch, offset: "12" } }, SINCE],
    ["x", { since: { epoch, offset: 2 ** 53 } }, SINCE],
    ["x", { since: 5 }, SINCE],
  ])("is refused at once, and of none is anything said: %j %j", async (name, options, message) => {
    const client = stage.client({ lookup: "http://127.0.0.1:1/lookup" });
    const call = (): unknown => client.group(name as string, options as { since: Since });
    expect(call).toThrow(expect.objectContaining({ code: "bad_request", retryable: false, message }));
  });

  it("is none of these", async () => {
    const client = stage.client({ lookup: "http://127.0.0.1:1/lookup" });
    for (const name of ["x".repeat(256), "é".repeat(128), "日本 😀", "*", "a:b"]) client.group(name);
    for (const since of [undefined, { offset: 0 }, { epoch, offset: 0 }, { epoch, offset: 7 }] as Since[]) client.group("x", { since });
  });
});

describe("a hello that is refused", () => {
  const [code, message] = ["too_many_groups", "at most 128"];

  async function refused(more: object) {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const client = stage.client({ lookup: service.url, now: () => 1_000, retry: { baseMs: 0 } });
    const connecting = client.connect();
    connecting.catch(() => {});
    (await service.next()).answer(200, node.grant());
    const peer = await node.peer();
    await peer.frame("hello");
    peer.send({ op: "error", code, message, ...more });
    return { client, connecting, service, node, peer };
  }

  it("for good stops the client, with what the node said", async () => {
    const { client, connecting } = await refused({ temporary: false });
    await expect(connecting).rejects.toMatchObject({ code, message });
    expect(client.status).toMatchObject({ state: "closed", cause: { code, message } });
    expect(client.codes).toEqual([code]);
  });

  it("for the time being is said again when the node says, there", async () => {
    const { client, service } = await refused({ temporary: true, retry_after_ms: 60 });
    await until("waiting", () => "retryAt" in client.status);
    expect(client.status).toMatchObject({ retryAt: 1_060, cause: { code, message } });
    expect((await service.next()).url.search).toBe("");
  });

  it("counts as its close code says, if one follows", async () => {
    const { client, peer } = await refused({ temporary: false });
    peer.socket.close(4103);
    await until("waiting", () => "cause" in client.status);
    expect(client.status).toMatchObject({ state: "connecting", attempt: 2, cause: { code, message } });
  });

  it("leaves a client that moves where it is", async () => {
    const { client, peer, n2 } = await scene();
    const causes: unknown[] = [];
    client.on("error", ({ cause }) => causes.push((cause as { code: string }).code));
    peer.send({ op: "moved", ...n2.grant(), spread_ms: 0, reason: "home" });
    const there = await n2.peer();
    await there.frame("hello");
    there.send({ op: "error", code, message, temporary: false });
    await settled(peer);
    await until("failed", () => causes.length > 0);
    expect([client.codes, causes, client.status.state]).toEqual([["move_failed"], [code], "connected"]);
  });
});
