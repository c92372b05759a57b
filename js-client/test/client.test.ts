/** The client against scripted nodes over real sockets: connecting, sending, closing. */
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { AuthError, connect, createClient, type Message, RingdialError } from "../src/index.js";
import { Stage, until } from "./fake.js";

const stage = new Stage();
afterEach(() => stage.end());

describe("connecting", () => {
  it("looks up, connects with the ticket, says hello, and is connected at welcome", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const client = stage.client({ lookup: service.url, token: () => "app", service: "dc", id: "al ice" });
    expect(client.status).toEqual({ state: "idle" });
    const connecting = client.connect();
    const asked = await service.next();
    expect(asked.token).toBe("Bearer app");
    expect(asked.url.search).toBe("?id=al%20ice&service=dc");
    asked.answer(200, node.grant("abc"));
    const peer = await node.peer();
    expect(peer.protocols).toEqual(["ringdial.v1", "ticket.abc"]);
    expect(await peer.welcome("n1")).toEqual({ op: "hello", resume: {}, groups: [] });
    await connecting;
    expect(client.status).toMatchObject({ state: "connected", node: "n1", user: "alice", session: "s-n1" });
    expect(client.states.map((status) => status.state)).toEqual(["connecting", "connected"]);
  });

  it("does nothing before connect()", async () => {
    const service = await stage.lookup();
    let asked = 0;
    const client = createClient({ lookup: service.url, token: () => String(++asked), timeouts: { sendMs: 50 } });
    await expect(client.send({ user: "bob" }, 1)).rejects.toMatchObject({ code: "send_timeout", retryable: true });
    expect([asked, service.count, client.status.state]).toEqual([0, 0, "idle"]);
    const sent = client.send({ user: "bob" }, 1);
    void client.close();
    await expect(sent).rejects.toMatchObject({ code: "closed", remedy: "connect()" });
    await expect(client.send({ user: "bob" }, 1)).rejects.toMatchObject({ code: "closed", remedy: "connect()" });
  });

  it("brings what was sent before connect()", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    service.always = node.grant();
    const client = stage.client({ lookup: service.url });
    const [sent, online] = [client.send({ user: "bob" }, 1), client.online(["bob"])];
    void client.connect();
    const peer = await node.peer();
    await peer.welcome("n1");
    for (const op of ["send", "online"]) {
      const frame = await peer.frame();
      expect(frame).toMatchObject({ op });
      peer.send({ op: "ack", ref: frame["ref"], online: [] });
    }
    await Promise.all([sent, online]);
  });

  it("says what to do where there is no WebSocket", async () => {
    const without = createClient({ lookup: "http://127.0.0.1:1/lookup" }).connect();
    if ("WebSocket" in globalThis) return void without.catch(() => {});
    await expect(without).rejects.toMatchObject({ code: "no_websocket", retryable: false });
    await expect(without).rejects.toMatchObject({ remedy: expect.stringContaining("package ws") });
  });

  it("by connect(options), and hands messages to a listener that comes after it, those before welcome too", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    service.always = node.grant();
    const connecting = connect<string>({ lookup: service.url, WebSocket });
    const peer = await node.peer();
    await peer.frame("hello");
    peer.send({ op: "message", topic: "u:alice", id: "n1.1-1", from: "bob", data: "early", time: 1 });
    peer.send({ op: "welcome", session: "s", user: "alice", node: "n1" });
    peer.send({ op: "message", topic: "u:alice", id: "n1.1-2", from: "bob", data: "later", time: 2 });
    const client = await connecting;
    const got: Message<string>[] = [];
    client.on("message", (message) => got.push(message));
    await until("two messages", () => got.length === 2);
    expect(got[0]).toEqual({ topic: "u:alice", id: "n1.1-1", from: "bob", data: "early", time: 1 });
    expect(got.map((message) => message.data)).toEqual(["early", "later"]);
    await client.close();
  });

  it("ends when the signal of connect(options) is aborted", async () => {
    const service = await stage.lookup();
    const abort = new AbortController();
    const connecting = connect({ lookup: service.url, WebSocket, signal: abort.signal });
    await service.next();
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ code: "aborted" });
  });

  it("takes a lookup function of one's own", async () => {
    const node = await stage.node("n1");
    const requests: unknown[] = [];
    const client = stage.client({
      token: async ({ reason }) => `token-${reason}`,
      lookup: async ({ reason, token, avoid }) => {
        requests.push({ reason, token, avoid });
        return node.grant() as never;
      },
    });
    const connecting = client.connect();
    await (await node.peer()).welcome("n1");
    await connecting;
    expect(requests).toEqual([{ reason: "start", token: "token-start", avoid: [] }]);
  });
});

describe("sending", () => {
  it("resolves with the ack, or rejects with the node's error", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service);
    const sends = [client.send({ user: "bob" }, { hi: 1 }, { key: "k" }), client.send({ users: ["b", "c"] }, undefined, { ephemeral: true })];
    expect(await peer.frame()).toEqual({ op: "send", ref: "1", to: { user: "bob" }, data: { hi: 1 }, key: "k" });
    expect(await peer.frame()).toEqual({ op: "send", ref: "2", to: { users: ["b", "c"] }, data: null, ephemeral: true });
    peer.send({ op: "error", ref: "2", code: "rate_limited", message: "slow down", temporary: true, retry_after_ms: 900 });
    peer.send({ op: "ack", ref: "1", online: 2, failed: [] });
    expect(await sends[0]).toEqual({ online: 2, failed: [] });
    const error = await sends[1]?.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RingdialError);
    expect(error).toMatchObject({ code: "rate_limited", message: "slow down", retryable: true, retryAfterMs: 900 });
  });

  it("waits for the connection, keeps the order, and gives each durable send a key", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const client = stage.client({ lookup: service.url });
    void client.connect();
    const sends = [1, 2, 3].map((data) => client.send({ user: "bob" }, data));
    (await service.next()).answer(200, node.grant());
    const peer = await node.peer();
    await peer.welcome("n1");
    const frames = [await peer.frame(), await peer.frame(), await peer.frame()];
    expect(frames.map((frame) => frame["data"])).toEqual([1, 2, 3]);
    expect(new Set(frames.map((frame) => frame["key"])).size).toBe(3);
    for (const frame of frames) peer.send({ op: "ack", ref: frame["ref"] });
    await Promise.all(sends);
  });

  it("fails at once when the outbox is full, and after sendMs without an answer", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service, { outbox: { maxMessages: 1 }, timeouts: { sendMs: 60 } });
    const first = client.send({ user: "bob" }, 1);
    await expect(client.send({ user: "bob" }, 2)).rejects.toMatchObject({ code: "outbox_full", retryable: true });
    await expect(first).rejects.toMatchObject({ code: "send_timeout", retryable: true });
    const third = client.send({ user: "bob" }, 3);
    await peer.frame();
    peer.send({ op: "ack", ref: (await peer.frame())["ref"] });
    await third;
  });

  it("stops waiting when aborted, and rejects what is no JSON", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client } = await stage.connected(node, service);
    const abort = new AbortController();
    const send = client.send({ user: "bob" }, 1, { signal: abort.signal });
    abort.abort("enough");
    await expect(send).rejects.toMatchObject({ code: "aborted", cause: "enough" });
    await expect(client.send({ user: "bob" }, 1, { signal: abort.signal })).rejects.toMatchObject({ code: "aborted" });
    await expect(client.send({ user: "bob" }, 1n)).rejects.toMatchObject({ code: "bad_request", retryable: false });
  });
});

describe("receiving", () => {
  it("answers ping, ignores what it does not know, drops ids seen before", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service);
    const got: unknown[] = [];
    const off = client.on("message", (message) => got.push(message.data));
    peer.send({ op: "unheard_of", x: 1 });
    peer.socket.send("not json");
    peer.socket.send(Buffer.from([1, 2, 3]));
    for (const id of ["n1.5-1", "n1.5-2", "n1.5-2", "n1.5-1", "n2.1-1", "n1.5-3"]) {
      peer.send({ op: "message", topic: "u:alice", id, from: "bob", data: id, time: 1 });
    }
    peer.send({ op: "ping" });
    expect(await peer.frame()).toEqual({ op: "pong" });
    expect(got).toEqual(["n1.5-1", "n1.5-2", "n2.1-1", "n1.5-3"]);
    off();
    peer.send({ op: "message", topic: "u:alice", id: "n1.5-4", from: "bob", data: 4, time: 1 });
    peer.send({ op: "ping" });
    await peer.frame();
    expect(got).toHaveLength(4);
  });
});

describe("closing", () => {
  it("ends the socket with 1000, fails open sends, delivers nothing more, and can start again", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service);
    const got: unknown[] = [];
    client.on("message", (message) => {
      got.push(message.data);
      void client.close();
    });
    const send = client.send({ user: "bob" }, 1);
    peer.send({ op: "message", topic: "u:alice", from: "bob", data: 1, time: 1 });
    peer.send({ op: "message", topic: "u:alice", from: "bob", data: 2, time: 1 });
    await expect(send).rejects.toMatchObject({ code: "closed" });
    expect(await peer.closed).toBe(1000);
    expect(got).toEqual([1]);
    expect(client.status).toEqual({ state: "closed" });
    await expect(client.send({ user: "bob" }, 1)).rejects.toMatchObject({ code: "closed" });
    const again = client.connect();
    (await service.next()).answer(200, node.grant());
    await (await node.peer()).welcome("n1");
    await again;
  });

  it("takes at most a second with a node that does not answer the close", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service);
    (peer.socket as unknown as { _socket: { pause(): void } })._socket.pause();
    const begin = performance.now();
    await client.close();
    expect(performance.now() - begin).toBeLessThan(1_000);
  });

  it("rejects the wait for a connection", async () => {
    const service = await stage.lookup();
    const client = stage.client({ lookup: service.url });
    const connecting = client.connect();
    await service.next();
    await client.close();
    await expect(connecting).rejects.toMatchObject({ code: "closed" });
    expect(service.count).toBe(1);
  });
});

describe("stopping", () => {
  it("and beginning again within a listener are what they are elsewhere", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service);
    service.always = node.grant();
    const connected = new Promise<void>((resolve, reject) => {
      const off = client.on("error", () => {
        off();
        void client.close();
        client.connect().then(resolve, reject);
      });
    });
    peer.send({ op: "error", code: "x", message: "", temporary: true });
    const again = await node.peer();
    expect(client.status.state).toBe("connecting");
    await again.welcome("n1");
    await connected;
    expect(client.status.state).toBe("connected");
  });

  it("asks once for another token when the lookup refuses it, then stops", async () => {
    const service = await stage.lookup();
    const reasons: string[] = [];
    const client = stage.client({ lookup: service.url, token: ({ reason }) => (reasons.push(reason), `t${reasons.length}`) });
    const connecting = client.connect();
    const ended = expect(connecting).rejects.toMatchObject({ name: "AuthError", code: "auth", message: "token expired" });
    for (const token of ["Bearer t1", "Bearer t2"]) {
      const asked = await service.next();
      expect(asked.token).toBe(token);
      asked.answer(401, { code: "token_expired", detail: "token expired", temporary: false });
    }
    await ended;
    expect(reasons).toEqual(["start", "rejected"]);
    expect(client.status).toMatchObject({ state: "closed", cause: { code: "auth" } });
  });

  it("does not ask again for a token that cannot change", async () => {
    const service = await stage.lookup();
    const client = stage.client({ lookup: service.url, token: "fixed" });
    const connecting = client.connect();
    (await service.next()).answer(401, {});
    await expect(connecting).rejects.toBeInstanceOf(AuthError);
    expect(service.count).toBe(1);
  });

  it("stops when the token function throws an AuthError, and goes on after any other", async () => {
    const service = await stage.lookup();
    const thrown = [new TypeError("offline"), new AuthError("signed out")];
    const client = stage.client({ lookup: service.url, token: () => Promise.reject(thrown.shift()) });
    await expect(client.connect()).rejects.toMatchObject({ code: "auth", message: "signed out" });
    expect(client.codes).toEqual(["token_failed", "auth"]);
    expect(service.count).toBe(0);
  });

  it.each([
    [4400, "close_4400"],
    [4403, "close_4403"],
    [4409, "close_4409"],
    [4413, "close_4413"],
    [4499, "close_4499"],
  ])("stops at close code %i", async (closeCode, code) => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service);
    peer.socket.close(closeCode);
    await until("closed", () => client.status.state === "closed");
    expect(client.status).toMatchObject({ cause: { code, closeCode, retryable: false } });
    expect(service.count).toBe(1);
  });

  it("tells by the node's error why", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const { client, peer } = await stage.connected(node, service);
    peer.send({ op: "error", code: "replaced", message: "another session took over", temporary: false });
    peer.socket.close(4409);
    await until("closed", () => client.status.state === "closed");
    expect(client.status).toMatchObject({ cause: { code: "replaced", message: "another session took over" } });
  });

  it("asks once for another token at 4401, then stops", async () => {
    const [service, node] = [await stage.lookup(), await stage.node("n1")];
    const reasons: string[] = [];
    const { client, peer } = await stage.connected(node, service, { token: ({ reason }) => (reasons.push(reason), "t") });
    peer.socket.close(4401);
    (await service.next()).answer(200, node.grant());
    const second = await node.peer();
    await second.welcome("n1");
    second.socket.close(4401, "revoked");
    await until("closed", () => client.status.state === "closed");
    expect(client.status).toMatchObject({ cause: { code: "auth", closeCode: 4401, message: "revoked" } });
    expect(reasons).toEqual(["start", "rejected"]);
  });

  it.each([
    [403, { code: "not_yours", temporary: false }, "not_yours"],
    [404, { code: "unknown_service", temporary: false }, "unknown_service"],
  ])("stops at a lookup's final %i", async (status, body, code) => {
    const service = await stage.lookup();
    const client = stage.client({ lookup: service.url });
    const connecting = client.connect();
    (await service.next()).answer(status, body);
    await expect(connecting).rejects.toMatchObject({ code, retryable: false });
  });
});
