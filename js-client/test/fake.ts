/** A scripted lookup service and scripted nodes over real sockets: nothing answers unless the test says so. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { type Client, type ClientOptions, createClient, type Status } from "../src/index.js";

type Json = Record<string, unknown>;

/** The platform's own where there is one (Node 22 and newer), else that of package `ws`. */
const Platform = (globalThis as unknown as { WebSocket?: typeof WebSocket }).WebSocket ?? WebSocket;

/** Values that come, and who waits for them. */
export class Inbox<T> {
  readonly #values: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  push(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(value);
    else this.#values.push(value);
  }

  /** The next one; fails after `ms`. */
  next(what: string, ms = 4_000): Promise<T> {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift() as T);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
      this.#waiting.push((value) => {
        clearTimeout(timer);
        resolve(value);
      });
    });
  }

  get size(): number {
    return this.#values.length;
  }
}

/** One socket at a node. */
export class Peer {
  readonly frames = new Inbox<Json>();
  readonly closed: Promise<number>;

  constructor(
    readonly socket: WebSocket,
    /** Those that the client offered. Platforms differ in the space after the comma. */
    readonly protocols: readonly string[],
  ) {
    socket.on("message", (data) => this.frames.push(JSON.parse(String(data)) as Json));
    this.closed = new Promise((resolve) => socket.on("close", resolve));
  }

  send(frame: Json): void {
    this.socket.send(JSON.stringify(frame));
  }

  frame(what = "frame"): Promise<Json> {
    return this.frames.next(what);
  }

  /** Takes `hello`, answers `welcome`. */
  async welcome(node: string, more: Json = {}): Promise<Json> {
    const hello = await this.frame("hello");
    this.send({ op: "welcome", session: `s-${node}`, user: "alice", node, heartbeat_ms: 25_000, retry_spread_ms: 20, ...more });
    return hello;
  }
}

export class Node {
  readonly peers = new Inbox<Peer>();
  /** Sockets that are open now. */
  open = 0;
  #server: WebSocketServer | undefined;

  constructor(readonly id: string) {}

  async start(): Promise<this> {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "ringdial.v1" });
    this.#server = server;
    server.on("connection", (socket, request) => {
      this.open += 1;
      socket.on("close", () => (this.open -= 1));
      this.peers.push(new Peer(socket, String(request.headers["sec-websocket-protocol"]).split(/, */)));
    });
    await new Promise((resolve) => server.once("listening", resolve));
    return this;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server?.address() as AddressInfo).port}/ws`;
  }

  /** What a lookup or `moved` says of this node. */
  grant(ticket = "t"): Json {
    return { node: this.id, url: this.url, protocols: ["ringdial.v1", `ticket.${ticket}`] };
  }

  peer(): Promise<Peer> {
    return this.peers.next(`connection at ${this.id}`);
  }

  /** No new connections, and the present ones cut. */
  async stop(): Promise<void> {
    for (const socket of this.#server?.clients ?? []) socket.terminate();
    await new Promise((resolve) => this.#server?.close(resolve));
  }
}

export interface Asked {
  readonly url: URL;
  readonly token: string | undefined;
  readonly at: number;
  answer(status: number, body: unknown, headers?: Record<string, string>): void;
}

/** Answers from a list of grants, or as the test says for each request. */
export class LookupService {
  readonly asked = new Inbox<Asked>();
  count = 0;
  readonly #server = createServer((request, response) => this.#take(request, response));
  always: Json | undefined;

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/lookup`;
  }

  next(): Promise<Asked> {
    return this.asked.next("lookup");
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    this.count += 1;
    const asked: Asked = {
      url: new URL(String(request.url), this.url),
      token: request.headers.authorization,
      at: performance.now(),
      answer(status, body, headers = {}) {
        response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
      },
    };
    if (this.always) asked.answer(200, this.always);
    else this.asked.push(asked);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What a test starts, ended by {@link Stage.end} in any case. */
export class Stage {
  readonly #ends: (() => Promise<unknown>)[] = [];

  async lookup(): Promise<LookupService> {
    const service = await new LookupService().start();
    this.#ends.push(() => service.stop());
    return service;
  }

  async node(id: string): Promise<Node> {
    const node = await new Node(id).start();
    this.#ends.push(() => node.stop());
    return node;
  }

  client(options: ClientOptions): Client & { readonly states: Status[]; readonly codes: string[] } {
    const client = createClient({ WebSocket: Platform, retry: { baseMs: 20, maxMs: 200 }, ...options });
    this.#ends.unshift(() => client.close());
    const states: Status[] = [];
    const codes: string[] = [];
    client.on("status", (status) => states.push(status));
    client.on("error", (error) => codes.push(error.code));
    return Object.defineProperties(client, { states: { value: states }, codes: { value: codes } }) as never;
  }

  /** A client connected to `node`, and the node's side of it. */
  async connected(node: Node, service: LookupService, options: Partial<ClientOptions> = {}) {
    const client = this.client({ lookup: service.url, token: "app", ...options });
    const connecting = client.connect();
    (await service.next()).answer(200, node.grant());
    const peer = await node.peer();
    await peer.welcome(node.id);
    await connecting;
    return { client, peer };
  }

  async end(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end();
  }
}

/** Waits for a condition, with a dead-line. */
export async function until(what: string, condition: () => boolean, ms = 4_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
