// @vitest-environment happy-dom
/** `ringdial/react` with the real React, strict and on a server, and the fake cluster. */
import { act, createElement as h, type ReactNode, StrictMode, useEffect, useState } from "react";
import { createRoot, type Root } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Client, createClient, type Group } from "../src/index.js";
import { RingdialProvider, useClient, useEvent, useGroup, usePresence, useStatus } from "../src/react.js";
import { type FakeCluster, fakeCluster } from "../src/testing.js";

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
let cluster: FakeCluster;
let clients: Client[];
let place: { textContent: string | null };
let root: Root;

beforeEach(() => {
  cluster = fakeCluster();
  clients = [];
  place = (globalThis as any).document.createElement("div");
  root = createRoot(place as never);
});
afterEach(async () => {
  await act(async () => root.unmount());
  await Promise.all(clients.map((client) => client.close()));
});

const clientOf = (user: string): Client => {
  const client = createClient(cluster.options(user));
  clients.push(client);
  return client;
};
const show = (client: Client, ...children: ReactNode[]) =>
  act(async () => root.render(h(StrictMode, null, h(RingdialProvider, { client }, ...children))));
async function until(what: string, condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 4_000; !condition(); ) {
    if (Date.now() > end) throw new Error(`not: ${what}, but ${place.textContent}`);
    await act(() => new Promise((resolve) => setTimeout(resolve, 5)));
  }
}
const text = (wanted: string) => until(wanted, () => place.textContent === wanted);

function State(): ReactNode {
  const status = useStatus();
  return status.state === "connected" ? `${status.user} at ${status.node}` : status.state;
}

describe("the provider", () => {
  it("has children ask already when they are mounted, which is before it is", async () => {
    const said: unknown[] = [];
    const Child = (): ReactNode => {
      const client = useClient();
      useEffect(() => void client.online(["bob"]).then(({ online }) => said.push(online), (error) => said.push(error.code)), [client]);
      return null;
    };
    await show(clientOf("alice"), h(Child));
    // Twice, as StrictMode has it.
    await until("answers", () => said.length === 2);
    expect(said).toEqual([[], []]);
  });

  it("connects once under StrictMode, shows moves, and closes at its end", async () => {
    const client = clientOf("alice");
    const states: string[] = [];
    client.on("status", ({ state }) => states.push(state));
    await show(client, h(State));
    await text(`alice at ${cluster.home("alice")}`);
    const node = cluster.move("alice");
    await text(`alice at ${node}`);
    await until("one session", () => cluster.sessions.length === 1);
    expect(states).toEqual(["connecting", "connected"]);
    await act(async () => root.render(null));
    await until("closed", () => client.status.state === "closed");
    expect(states).toEqual(["connecting", "connected", "closed"]);
  });

  it("leaves alone a client that is not its to connect, and says where it is missing", async () => {
    const client = clientOf("alice");
    await act(async () => root.render(h(RingdialProvider, { client, connect: false }, h(State))));
    expect([place.textContent, client.status.state]).toEqual(["idle", "idle"]);
    expect(() => renderToString(h(State))).toThrow("no <RingdialProvider> above");
  });

  it("renders on a server, where nothing is done", () => {
    const client = clientOf("alice");
    const Everything = (): ReactNode => {
      const room = useGroup("x");
      const { count } = usePresence("x");
      useEvent("message", () => {});
      return `${useStatus().state} ${String(room)} ${count} ${useClient() === client}`;
    };
    expect(renderToString(h(RingdialProvider, { client }, h(Everything)))).toBe("idle null 0 true");
    expect([client.status.state, cluster.sessions.length]).toEqual(["idle", 0]);
  });
});

describe("events", () => {
  it("go to the newest listener, each once", async () => {
    const client = clientOf("alice");
    const got: string[] = [];
    let rename = (_: string): void => {};
    const Listener = (): ReactNode => {
      const [name, setName] = useState("a");
      rename = setName;
      useEvent<number, "message">("message", ({ data }) => got.push(`${name}${data}`));
      return name;
    };
    await show(client, h(Listener), h(State));
    await until("connected", () => client.status.state === "connected");
    await act(async () => void cluster.send({ user: "alice" }, 1));
    await until("one", () => got.length === 1);
    await act(async () => rename("b"));
    await act(async () => void cluster.send({ user: "alice" }, 2));
    await until("two", () => got.length === 2);
    expect(got).toEqual(["a1", "b2"]);
  });
});

describe("groups", () => {
  it("are joined once, followed by name, and left at the end", async () => {
    const client = clientOf("alice");
    const got: unknown[] = [];
    let room: Group | null = null;
    const Room = ({ name }: { name: string | null }): ReactNode => {
      room = useGroup(name);
      useEvent("message", ({ topic, data }) => got.push([topic, data]), room);
      return room?.name ?? "none";
    };
    await show(client, h(Room, { name: "x" }));
    await until("joined", () => cluster.sessions[0]?.groups.includes("x") === true);
    await act(async () => void cluster.send({ group: "x" }, 1));
    await until("one", () => got.length === 1);
    await show(client, h(Room, { name: "y" }));
    await until("moved on", () => cluster.sessions[0]?.groups.join() === "y");
    cluster.send({ group: "x" }, 2);
    await act(async () => void cluster.send({ group: "y" }, 3));
    await until("two", () => got.length === 2);
    expect(got).toEqual([["g:x", 1], ["g:y", 3]]);
    await show(client, h(Room, { name: null }));
    await text("none");
    await until("left", () => cluster.sessions[0]?.groups.length === 0);
    expect(room).toBeNull();
  });

  it("are not left and joined again when StrictMode mounts twice, or another component takes over", async () => {
    const [alice, bob] = [clientOf("alice"), clientOf("bob")];
    await act(() => bob.connect());
    const told: unknown[] = [];
    const watched = bob.group("x", { presence: true });
    watched.on("presence", ({ joined, left }) => told.push(joined ? `+${joined.join()}` : left ? `-${left.join()}` : "all"));
    await act(() => watched.joined);
    const Room = (): ReactNode => useGroup("x")?.name ?? "none";
    await show(alice, h(State));
    await until("connected", () => alice.status.state === "connected");
    await show(alice, h(Room, { key: 1 }));
    await until("joined", () => told.includes("+alice"));
    await show(alice, h(Room, { key: 2 }));
    await act(() => new Promise((resolve) => setTimeout(resolve, 30)));
    expect(told).toEqual(["all", "+alice"]);
    await show(alice);
    await until("left", () => told.includes("-alice"));
  });

  it("tell who is there, to each who asks", async () => {
    const [alice, bob] = [clientOf("alice"), clientOf("bob")];
    const Who = (): ReactNode => {
      const { count, users } = usePresence("x");
      return `[${count} ${users?.join("+")}]`;
    };
    await show(alice, h(Who));
    await text("[1 alice]");
    await show(alice, h(Who), h(Who));
    await text("[1 alice][1 alice]");
    await act(() => bob.connect());
    const room = bob.group("x");
    await text("[2 alice+bob][2 alice+bob]");
    await act(() => room.leave());
    await text("[1 alice][1 alice]");
  });
});
