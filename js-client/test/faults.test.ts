/** What went wrong once: messages that are too big, frames that cannot be, calls that cannot be, and what comes after the end. */
import { afterEach, describe, expect, it } from "vitest";
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
