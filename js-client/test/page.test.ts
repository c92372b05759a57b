/** What a browser tells of its page and its network. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Stage, until } from "./fake.js";

const stage = new Stage();
/** A page's window, as far as the client looks at it. */
const page = { document: { hidden: false }, navigator: { onLine: true } };
const listeners = new Map<string, Set<() => void>>();
const platform = {
  ...page,
  // What happens to the document comes to the window only where it is captured.
  addEventListener: (name: string, run: () => void, capture = false) => void (capture && listeners.set(name, (listeners.get(name) ?? new Set()).add(run))),
  removeEventListener: (name: string, run: () => void, capture = false) => void (capture && listeners.get(name)?.delete(run)),
};
const before = new Map(Object.keys(platform).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
const fire = (name: string): void => listeners.get(name)?.forEach((run) => run());
const count = (): number => [...listeners.values()].reduce((sum, { size }) => sum + size, 0);

beforeEach(() => {
  listeners.clear();
  page.document.hidden = false;
  page.navigator.onLine = true;
  for (const [name, value] of Object.entries(platform)) Object.defineProperty(globalThis, name, { value, configurable: true });
});
afterEach(async () => {
  await stage.end();
  for (const [name, own] of before) own ? Object.defineProperty(globalThis, name, own) : delete (globalThis as Record<string, unknown>)[name];
});

describe("a page", () => {
  it("is listened to from connect() to close(), each event once", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const idle = stage.client({ lookup: service.url });
    expect([idle.status.state, count()]).toEqual(["idle", 0]);
    const { client, peer } = await stage.connected(node, service);
    expect(count()).toBe(5);
    peer.socket.close(4001);
    (await service.next()).answer(200, node.grant());
    const again = await node.peer();
    await again.welcome("n1");
    expect(count()).toBe(5);
    await client.close();
    expect(count()).toBe(0);
  });

  it("is no longer listened to when the client stops by itself", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service);
    peer.socket.close(4409);
    await until("closed", () => client.status.state === "closed");
    expect(count()).toBe(0);
  });

  it.each(["online", "offline", "pageshow", "resume", "visibilitychange"])("at %s makes sure of its connection, and keeps one that answers", async (name) => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service, { timeouts: { probeMs: 60 } });
    if (name === "offline") page.navigator.onLine = false;
    fire(name);
    const probe = await peer.frame();
    expect(probe).toMatchObject({ op: "send", to: { users: [] } });
    peer.send({ op: "ack", ref: probe["ref"] });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([client.status.state, service.count]).toEqual(["connected", 1]);
  });

  it("that is hidden keeps its connection, and tries seldom once that is lost; shown again, at once", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service, { now: () => 1_000 });
    page.document.hidden = true;
    fire("visibilitychange");
    peer.send({ op: "ping" });
    expect(await peer.frame()).toEqual({ op: "pong" });
    peer.socket.terminate();
    (await service.next()).answer(503, {});
    await until("waiting", () => client.status.state === "reconnecting" && client.status.attempt === 3);
    expect(client.status).toMatchObject({ retryAt: 31_000 });
    page.document.hidden = false;
    fire("visibilitychange");
    (await service.next()).answer(200, node.grant());
    await (await node.peer()).welcome("n1");
    await until("connected", () => client.status.state === "connected");
  });

  it.each([
    ["hidden", () => (page.document.hidden = true)],
    ["offline", () => (page.navigator.onLine = false)],
  ])("that is %s from the beginning tries seldom, too", async (_, away) => {
    const service = await stage.lookup();
    const client = stage.client({ lookup: service.url, now: () => 1_000 });
    away();
    void client.connect();
    for (let n = 0; n < 2; n++) (await service.next()).answer(503, {});
    await until("waiting", () => client.status.state === "connecting" && client.status.attempt === 3);
    expect(client.status).toMatchObject({ retryAt: 31_000 });
  });

  it("that was closed while offline, and is connected when that is over, tries as ever", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client } = await stage.connected(node, service);
    page.navigator.onLine = false;
    fire("offline");
    await client.close();
    page.navigator.onLine = true;
    void client.connect();
    for (let n = 0; n < 3; n++) (await service.next()).answer(503, {});
    expect(client.status).toMatchObject({ state: "connecting" });
  });

  it("back from the cache, its socket dead, looks for a new one at once", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client } = await stage.connected(node, service, { timeouts: { probeMs: 30 } });
    fire("pageshow");
    (await service.next()).answer(200, node.grant());
    await (await node.peer()).welcome("n1");
    await until("connected", () => client.status.state === "connected");
  });
});
