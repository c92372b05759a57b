/** A client at a scripted node, and what tests of topics do with it. */
import type { Client, Group, Message } from "../src/index.js";
import { type Node, type Peer, Stage } from "./fake.js";
import { expect } from "vitest";

export const stage = new Stage();

export const A = "00000000000000aa";
export const B = "00000000000000bb";

export const durable = (topic: string, offset: number, epoch = A) => ({ op: "message", topic, epoch, offset, from: "bob", data: offset, time: 1 });
export const moved = (node: Node) => ({ op: "moved", ...node.grant("m"), deadline_ms: 10_000, spread_ms: 0, reason: "home" });
export const head = (offset: number, epoch = A) => ({ epoch, offset, recovered: true });

/** Connected at n1, whose welcome says this of the topics; n2 is there to go to. */
export async function scene(topics: object = { "u:alice": head(3) }, early?: (client: Client) => unknown, options = {}) {
  const [service, n1, n2] = [await stage.lookup(), await stage.node("n1"), await stage.node("n2")];
  service.always = n1.grant();
  const client = stage.client({ lookup: service.url, ...options });
  early?.(client);
  const connecting = client.connect();
  const peer = await n1.peer();
  const hello = await peer.welcome("n1", { topics });
  await connecting;
  const reconnect = async (more: object = {}) => {
    service.always = n2.grant();
    peer.socket.terminate();
    const there = await n2.peer();
    return { there, hello: await there.welcome("n2", { topics: more }) };
  };
  return { client, peer, hello, n1, n2, service, reconnect };
}

/** A group that the node has let the client join. */
export async function joined(client: Client, peer: Peer, options = {}, answer: object = head(5)): Promise<Group> {
  const group = client.group("x", options);
  const { ref } = await peer.frame("join");
  peer.send({ op: "ack", ref, topic: "g:x", ...answer });
  await group.joined;
  return group;
}

export const offsetsOf = (on: { on: Client["on"] | Group["on"] }): unknown[] => {
  const got: unknown[] = [];
  (on.on as Client["on"])("message", (message: Message) => got.push(message.offset ?? message.id));
  return got;
};

/** The node has had all that was written, and its frames have come. */
export async function settled(peer: Peer): Promise<void> {
  peer.send({ op: "ping" });
  expect(await peer.frame("pong")).toEqual({ op: "pong" });
}
