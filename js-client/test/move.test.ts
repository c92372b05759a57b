/** Moves: the new connection is made before the old one is broken. Over real sockets. */
import { afterEach, expect, it } from "vitest";
import { Node, Stage, until } from "./fake.js";

const stage = new Stage();
afterEach(() => stage.end());

const moved = (node: Node, more = {}) => ({ op: "moved", ...node.grant("m"), deadline_ms: 10_000, spread_ms: 0, reason: "ring", ...more });

async function scene(options = {}) {
  const [service, n1, n2] = [await stage.lookup(), await stage.node("n1"), await stage.node("n2")];
  const { client, peer } = await stage.connected(n1, service, options);
  return { service, n1, n2, client, peer };
}

it("connects there, repeats unacknowledged sends in order, then detaches here", async () => {
  const { service, n1, n2, client, peer } = await scene();
  const moves: unknown[] = [];
  client.on("moved", (move) => moves.push(move));
  const sends = [1, 2].map((data) => client.send({ user: "bob" }, data));
  const first = [await peer.frame(), await peer.frame()];
  peer.send(moved(n2));
  const there = await n2.peer();
  expect(there.protocols).toEqual(["ringdial.v1", "ticket.m"]);
  expect(await there.frame()).toEqual({ op: "hello", resume: {}, groups: [], replaces: "s-n1" });
  sends.push(client.send({ user: "bob" }, 3));
  const last = await peer.frame("send before welcome goes to the old node");
  expect(last).toMatchObject({ op: "send", data: 3 });
  expect(peer.frames.size).toBe(0);
  there.send({ op: "welcome", session: "s-n2", user: "alice", node: "n2", heartbeat_ms: 25_000, retry_spread_ms: 20 });
  expect([await there.frame(), await there.frame(), await there.frame()]).toEqual([...first, last]);
  expect(await peer.frame()).toEqual({ op: "detach" });
  expect(client.status).toMatchObject({ state: "connected", node: "n2", session: "s-n2" });
  peer.send({ op: "ack", ref: first[0]?.["ref"], online: 1 });
  for (const frame of [...first, last]) there.send({ op: "ack", ref: frame["ref"], online: 2 });
  expect(await Promise.all(sends)).toEqual([{ online: 1 }, { online: 2 }, { online: 2 }].map((ack) => expect.objectContaining(ack)));
  peer.send({ op: "bye" });
  expect(await peer.closed).toBe(1000);
  expect(moves).toEqual([{ from: "n1", to: "n2", reason: "ring" }]);
  expect(client.states.map((status) => status.state)).toEqual(["connecting", "connected"]);
  expect([service.count, n1.open, n2.open]).toEqual([1, 0, 1]);
});

it("delivers the overlap once, and what the old node sends until its bye", async () => {
  const { n2, client, peer } = await scene();
  const got: unknown[] = [];
  client.on("message", (message) => got.push(message.id));
  const message = (id: string) => ({ op: "message", topic: "u:alice", id, from: "bob", data: 1, time: 1 });
  peer.send(message("n3.1-1"));
  peer.send(moved(n2));
  const there = await n2.peer();
  await there.welcome("n2");
  await peer.frame("detach");
  for (const id of ["n3.1-2", "n3.1-3"]) peer.send(message(id));
  await until("from the old node", () => got.length === 3);
  for (const id of ["n3.1-1", "n3.1-2", "n3.1-3", "n3.1-4"]) there.send(message(id));
  peer.send({ op: "bye" });
  await until("from the new node", () => got.length === 4);
  expect(got).toEqual(["n3.1-1", "n3.1-2", "n3.1-3", "n3.1-4"]);
});

it("repeats no ephemeral send, and lets none overtake another", async () => {
  const { n2, client, peer } = await scene();
  const ephemeral = { ephemeral: true };
  const early = client.send({ user: "bob" }, 1, ephemeral);
  const { ref } = await peer.frame();
  peer.send(moved(n2));
  const there = await n2.peer();
  await there.welcome("n2");
  expect(await peer.frame()).toEqual({ op: "detach" });
  const late = client.send({ user: "bob" }, 2, ephemeral);
  const durable = client.send({ user: "bob" }, 3);
  expect(await there.frame()).toMatchObject({ data: 3 });
  expect(there.frames.size).toBe(0);
  peer.send({ op: "ack", ref, online: 5 });
  peer.send({ op: "bye" });
  expect(await early).toEqual({ online: 5 });
  const frame = await there.frame();
  expect(frame).toMatchObject({ data: 2 });
  there.send({ op: "ack", ref: frame["ref"] });
  there.send({ op: "ack", ref: "3" });
  await Promise.all([late, durable]);
});

it("stays where it is when the move fails, without a lookup", async () => {
  const { service, n2, client, peer } = await scene({ timeouts: { openMs: 100 } });
  const dead = await stage.node("n9");
  const gone = moved(dead);
  await dead.stop();
  peer.send(gone);
  await until("refused", () => client.codes.length === 1);
  peer.send(moved(n2));
  await (await n2.peer()).closed;
  await until("timed out", () => client.codes.length === 2);
  expect(client.codes).toEqual(["move_failed", "move_failed"]);
  const send = client.send({ user: "bob" }, 1);
  peer.send({ op: "ack", ref: (await peer.frame())["ref"] });
  await send;
  peer.send(moved(n2));
  const there = await n2.peer();
  there.socket.close(4105);
  await until("ticket refused", () => client.codes.length === 3);
  expect(client.states.map((status) => status.state)).toEqual(["connecting", "connected"]);
  expect(service.count).toBe(1);
});

it("makes the new connection the reconnect when the old one dies first", async () => {
  const { service, n2, client, peer } = await scene();
  const send = client.send({ user: "bob" }, 1);
  await peer.frame();
  peer.send(moved(n2));
  const there = await n2.peer();
  await there.frame("hello");
  peer.socket.terminate();
  await until("reconnecting", () => client.status.state === "reconnecting");
  there.send({ op: "welcome", session: "s2", user: "alice", node: "n2" });
  const frame = await there.frame();
  there.send({ op: "ack", ref: frame["ref"] });
  await send;
  expect([client.status.state, service.count]).toEqual(["connected", 1]);
});

it("goes on with the new session when the node ends the one that it replaces before its welcome", async () => {
  const { service, n2, client, peer } = await scene();
  peer.send(moved(n2));
  const there = await n2.peer();
  expect(await there.frame("hello")).toMatchObject({ replaces: expect.any(String) });
  peer.send({ op: "bye" });
  peer.socket.close(1000);
  await until("reconnecting", () => client.status.state === "reconnecting");
  there.send({ op: "welcome", session: "s2", user: "alice", node: "n2" });
  await until("connected", () => client.status.state === "connected");
  expect(service.count).toBe(1);
});

it("stops in the middle of a move when the old session was one too many", async () => {
  const { n1, n2, client, peer } = await scene();
  peer.send(moved(n2));
  await (await n2.peer()).frame("hello");
  peer.socket.close(4409);
  await until("closed", () => client.status.state === "closed");
  await until("no socket", () => n1.open + n2.open === 0);
});

it("lets the old socket go when it does not say bye", async () => {
  const { n1, n2, client, peer } = await scene({ timeouts: { detachMs: 80 } });
  peer.send(moved(n2));
  await (await n2.peer()).welcome("n2");
  await peer.frame("detach");
  expect(await peer.closed).toBe(1000);
  await until("gone", () => n1.open === 0);
  expect(client.status).toMatchObject({ state: "connected", node: "n2" });
});

it("never has more than two sockets when moves come one upon the other", async () => {
  const { n1, n2, client, peer } = await scene();
  const n3 = await stage.node("n3");
  peer.send(moved(n2));
  const second = await n2.peer();
  await second.welcome("n2");
  await peer.frame("detach");
  second.send(moved(n3));
  second.send({ op: "ping" });
  expect(await second.frame()).toEqual({ op: "pong" });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([n1.open, n2.open, n3.open]).toEqual([1, 1, 0]);
  peer.send({ op: "bye" });
  const third = await n3.peer();
  expect(await third.welcome("n3")).toMatchObject({ replaces: "s-n2" });
  await second.frame("detach");
  expect(client.status).toMatchObject({ state: "connected", node: "n3" });
  second.send({ op: "bye" });
  await until("one socket", () => n1.open + n2.open + n3.open === 1);
});

it("waits a random part of spread_ms, and takes the newest of several", async () => {
  const { n2, client, peer } = await scene({ random: () => 0.5 });
  const n3 = await stage.node("n3");
  peer.send(moved(n3, { spread_ms: 60_000 }));
  peer.send(moved(n2, { spread_ms: 200 }));
  const begin = performance.now();
  await (await n2.peer()).welcome("n2");
  expect(performance.now() - begin).toBeGreaterThan(90);
  await peer.frame("detach");
  expect([client.status, n3.open]).toMatchObject([{ node: "n2" }, 0]);
});

it("closes both sockets in the middle of a move", async () => {
  const { n1, n2, client, peer } = await scene();
  peer.send(moved(n2));
  await (await n2.peer()).frame("hello");
  await client.close();
  await until("none", () => n1.open + n2.open === 0);
  expect(client.status.state).toBe("closed");
});
