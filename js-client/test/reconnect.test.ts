/** Losing the connection and finding the way back, over real sockets. */
import { afterEach, describe, expect, it } from "vitest";
import { Stage, until } from "./fake.js";

const stage = new Stage();
afterEach(() => stage.end());

describe("reconnecting", () => {
  it("is a new lookup every time, and repeats durable sends with their keys, in order", async () => {
    const [service, n1, n2] = [await stage.lookup(), await stage.node("n1"), await stage.node("n2")];
    const { client, peer } = await stage.connected(n1, service);
    const sends = [1, 2].map((data) => client.send({ user: "bob" }, data));
    const ephemeral = expect(client.send({ user: "bob" }, 3, { ephemeral: true })).rejects.toMatchObject({ code: "unconfirmed" });
    const first = [await peer.frame(), await peer.frame(), await peer.frame()];
    peer.socket.terminate();
    await ephemeral;
    sends.push(client.send({ user: "bob" }, 4));
    (await service.next()).answer(200, n2.grant());
    const second = await n2.peer();
    expect(await second.welcome("n2")).toEqual({ op: "hello", resume: {}, groups: [] });
    const again = [await second.frame(), await second.frame(), await second.frame()];
    expect(again.slice(0, 2)).toEqual(first.slice(0, 2));
    expect(again[2]).toMatchObject({ data: 4 });
    for (const { ref } of again) second.send({ op: "ack", ref });
    await Promise.all(sends);
    expect(client.states.map((status) => status.state)).toContain("reconnecting");
    expect(client.codes).toEqual(["connection_lost"]);
    expect(service.count).toBe(2);
  });

  it.each([4000, 4001, 4002, 4099])("looks up again at once at %i", async (code) => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service, { retry: { baseMs: 60_000 }, random: () => 0.9 });
    peer.socket.close(code);
    const begin = performance.now();
    await service.next();
    expect(performance.now() - begin).toBeLessThan(500);
    expect(client.status).toMatchObject({ state: "reconnecting", attempt: 2, cause: { code: `close_${code}`, closeCode: code } });
  });

  it.each([4100, 4103, 4105, 4199])("backs off at %i", async (code) => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service, { retry: { baseMs: 60_000 }, random: () => 0.25, now: () => 1_000 });
    peer.socket.close(code);
    await until("waiting", () => client.status.state === "reconnecting");
    expect(client.status).toMatchObject({ retryAt: 1_000 + 7_500, cause: { closeCode: code } });
    expect(service.count).toBe(1);
  });

  it("waits as long as the node says before it closes", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service, { retry: { baseMs: 0 }, now: () => 1_000 });
    peer.send({ op: "error", code: "overloaded", message: "full", temporary: true, retry_after_ms: 45_000 });
    peer.socket.close(4103);
    await until("waiting", () => client.status.state === "reconnecting");
    expect(client.status).toMatchObject({ retryAt: 46_000, cause: { code: "overloaded" } });
    client.wake();
    expect(client.status).toMatchObject({ retryAt: 46_000 });
  });

  it.each([
    [{ code: "slow_down", temporary: true, retry_after_ms: 5_000 }, {}, 5_000],
    [{}, { "retry-after": "7" }, 7_000],
    [{ code: "no_nodes", temporary: true, retry_after_ms: 250 }, { "retry-after": "1" }, 250],
  ])("waits as long as the lookup says: %j %j", async (body, headers, ms) => {
    const service = await stage.lookup();
    const client = stage.client({ lookup: service.url, retry: { baseMs: 0 }, now: () => 1_000 });
    client.connect().catch(() => {});
    (await service.next()).answer(503, body, headers);
    await until("waiting", () => "retryAt" in client.status);
    expect(client.status).toMatchObject({ state: "connecting", attempt: 2, retryAt: 1_000 + ms });
  });

  it("spreads the first return over the node's retry_spread_ms", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const client = stage.client({ lookup: service.url, random: () => 0.5, now: () => 1_000 });
    void client.connect();
    (await service.next()).answer(200, node.grant());
    const peer = await node.peer();
    await peer.welcome("n1", { retry_spread_ms: 30_000 });
    await until("connected", () => client.status.state === "connected");
    peer.socket.terminate();
    await until("waiting", () => client.status.state === "reconnecting");
    expect(client.status).toMatchObject({ retryAt: 16_000 });
  });

  it("takes the service's advice for the back-off where the options say nothing", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const client = stage.client({ lookup: service.url, retry: {}, random: () => 0.5, now: () => 1_000 });
    void client.connect();
    (await service.next()).answer(200, { ...node.grant(), retry: { base_ms: 8_000, max_ms: 10_000 } });
    (await node.peer()).socket.close(4103);
    await until("waiting", () => "retryAt" in client.status);
    expect(client.status).toMatchObject({ retryAt: 6_000 });
  });

  it.each([
    [4001, 30_000],
    [1006, 5_000],
  ])("counts attempts on, until a connection that ends with %i was healthy for %i ms", async (code, ms) => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    service.always = node.grant();
    let now = 0;
    const client = stage.client({ lookup: service.url, retry: { baseMs: 1, maxMs: 1 }, now: () => now });
    void client.connect();
    for (const [heldMs, attempt] of [[0, 2], [ms - 1, 3], [ms - 1, 4], [ms, 2]] as const) {
      const peer = await node.peer();
      await peer.welcome("n1", { retry_spread_ms: 0 });
      await until("connected", () => client.status.state === "connected");
      now += heldMs;
      client.states.length = 0;
      if (code === 1006) peer.socket.terminate();
      else peer.socket.close(code);
      await until("connecting again", () => client.states.length > 0);
      expect(client.states[0]).toMatchObject({ state: "reconnecting", attempt });
    }
  });

  it("avoids a node that could not be reached, until one could", async () => {
    const [service, n1, n2] = [await stage.lookup(), await stage.node("n1"), await stage.node("n2")];
    const client = stage.client({ lookup: service.url, id: "alice" });
    void client.connect();
    const dead = n1.grant();
    await n1.stop();
    (await service.next()).answer(200, dead);
    const asked = await service.next();
    expect(asked.url.search).toBe("?id=alice&avoid=n1");
    expect(client.codes).toEqual(["unreachable"]);
    asked.answer(200, n2.grant());
    const peer = await n2.peer();
    await peer.welcome("n2");
    peer.socket.terminate();
    expect((await service.next()).url.search).toBe("?id=alice");
  });

  it("avoids a node that does not answer hello in time", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const client = stage.client({ lookup: service.url, timeouts: { openMs: 80 } });
    void client.connect();
    (await service.next()).answer(200, node.grant());
    const peer = await node.peer();
    expect((await service.next()).url.search).toBe("?avoid=n1");
    expect(client.codes).toEqual(["connect_timeout"]);
    await peer.closed;
  });

  it("tries the next lookup service when one fails", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const gone = await stage.lookup();
    const urls = [gone.url, service.url];
    await gone.stop();
    // Growing: the urls stay in their order.
    let drawn = 0;
    const client = stage.client({ lookup: urls, random: () => (drawn += 0.000_1) });
    const connecting = client.connect();
    (await service.next()).answer(503, {});
    await until("both were asked", () => client.codes.length === 3);
    (await service.next()).answer(200, node.grant());
    await (await node.peer()).welcome("n1");
    await connecting;
    expect(client.codes).toEqual(["lookup_failed", "lookup_failed", "lookup_failed"]);
  });

  it("gives a lookup up after lookupMs", async () => {
    const service = await stage.lookup();
    const client = stage.client({ lookup: service.url, timeouts: { lookupMs: 50 } });
    void client.connect().catch(() => {});
    await service.next();
    await service.next();
    expect(client.codes[0]).toBe("lookup_timeout");
  });
});

describe("waking", () => {
  it("cuts a back-off short", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service, { retry: { baseMs: 600_000, maxMs: 600_000 } });
    peer.socket.close(4103);
    await until("waiting", () => client.status.state === "reconnecting");
    client.wake();
    await service.next();
  });

  it("makes sure of the connection: keeps one that answers, replaces one that does not", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service, { timeouts: { probeMs: 100 } });
    client.wake();
    const probe = await peer.frame();
    expect(probe).toMatchObject({ op: "send", to: { users: [] }, ephemeral: true });
    peer.send({ op: "ack", ref: probe["ref"], online: 0 });
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect([client.status.state, service.count]).toEqual(["connected", 1]);
    client.wake();
    await service.next();
    expect(client.status).toMatchObject({ state: "reconnecting", cause: { code: "silent" } });
    await peer.closed;
  });

  it("does nothing in a client that is idle or closed", async () => {
    const service = await stage.lookup();
    const client = stage.client({ lookup: service.url });
    client.wake();
    await client.close();
    client.wake();
    expect([client.status.state, service.count]).toEqual(["closed", 0]);
  });
});
