/** Sends and questions: what is written, and what comes of it. */
import { afterEach, describe, expect, it } from "vitest";
import { A, head, joined, moved, scene, stage } from "./scene.js";

afterEach(() => stage.end());

describe("requests", () => {
  it("that want no ack are stored in order with those that do, though an ephemeral one waits for the old socket of a move", async () => {
    const { client, peer, n2 } = await scene();
    const bob = { user: "bob" };
    client.send(bob, 0, { ephemeral: true }).catch(() => {});
    await peer.frame("send");
    peer.send(moved(n2));
    const there = await n2.peer();
    await there.welcome("n2");
    await peer.frame("detach");
    client.send(bob, 1, { ack: false });
    client.send(bob, 2).catch(() => {});
    expect([(await there.frame("send"))["data"], (await there.frame("send"))["data"]]).toEqual([1, 2]);
  });

  it("go to whom they say, durable with a key, broadcasts without", async () => {
    const { client, peer } = await scene();
    const targets = [{ group: "x" }, { all: true }, { match: { class: 3 } }] as const;
    const sends = targets.map((to) => client.send(to, 1));
    const frames = [await peer.frame(), await peer.frame(), await peer.frame()];
    expect(frames.map(({ ref: _, ...frame }) => frame)).toEqual([
      { op: "send", to: targets[0], data: 1, key: expect.any(String) },
      { op: "send", to: targets[1], data: 1, ephemeral: true },
      { op: "send", to: targets[2], data: 1, ephemeral: true },
    ]);
    peer.send({ op: "ack", ref: frames[0]?.["ref"], epoch: A, offset: 9, online: 2 });
    for (const frame of frames.slice(1)) peer.send({ op: "ack", ref: frame["ref"], online: 1 });
    expect(await Promise.all(sends)).toEqual([{ epoch: A, offset: 9, online: 2 }, { online: 1 }, { online: 1 }]);
  });

  it("are done when written if they want no ack, and never repeated", async () => {
    const { client, peer, reconnect } = await scene();
    const group = await joined(client, peer);
    expect(await group.send("typing", { ack: false, ephemeral: true })).toEqual({});
    expect(await peer.frame()).toEqual({ op: "send", to: { group: "x" }, data: "typing", ephemeral: true });
    await client.send({ user: "bob" }, 1, { ack: false });
    expect(await peer.frame()).toEqual({ op: "send", to: { user: "bob" }, data: 1 });
    const { there } = await reconnect({ "g:x": head(5) });
    const late = client.send({ user: "bob" }, 2);
    const frame = await there.frame();
    expect(frame).toMatchObject({ data: 2 });
    there.send({ op: "ack", ref: frame["ref"] });
    await late;
  });

  it("page through history, ask who is there and who is online", async () => {
    const { client, peer } = await scene();
    const group = await joined(client, peer);
    const answers = [
      { topic: "u:alice", epoch: A, offset: 9, first: 1, entries: [{ offset: 9, from: "bob", data: 1, time: 1 }], more: true },
      { topic: "g:x", epoch: A, offset: 9, first: 1, entries: [], more: false, gap: { after: 2, before: 4 } },
      { group: "x", count: 2, users: ["alice", "bob"] },
      { online: ["bob"], settling: true },
    ];
    const asked = [client.history({ limit: 1 }), group.history({ after: 2, epoch: A }), group.presence(), client.online(["bob", "carol"])];
    const frames = [];
    for (const answer of answers) {
      const { ref, ...frame } = await peer.frame();
      frames.push(frame);
      peer.send({ op: "ack", ref, ...answer });
    }
    expect(frames).toEqual([
      { op: "history", limit: 1 },
      { op: "history", group: "x", after: 2, epoch: A },
      { op: "presence", group: "x" },
      { op: "online", users: ["bob", "carol"] },
    ]);
    expect(await Promise.all(asked)).toEqual(answers);
  });

  it("are asked again on a new connection", async () => {
    const { client, peer, reconnect } = await scene();
    const asked = client.online(["bob"]);
    const first = await peer.frame();
    const { there } = await reconnect();
    expect(await there.frame()).toEqual(first);
    there.send({ op: "ack", ref: first["ref"], online: [] });
    expect(await asked).toEqual({ online: [] });
  });
});
