/** `ringdial/testing`: a cluster in memory for an application's own tests. It moves, drops, delays and repeats when told to. */
import { RingdialError } from "./errors.js";
import { Hub } from "./testing/hub.js";
import { Session } from "./testing/session.js";
import { FakeSocket, type Listener } from "./testing/socket.js";
import type { Ack, ClientOptions, LookupAnswer, LookupFunction, Target, WebSocketConstructor } from "./types.js";

export interface FakeClusterOptions {
  /** Ids; `["n1", "n2"]`. */
  readonly nodes?: readonly string[];
  /** How long a user whose connection is lost counts as there; 50 ms. */
  readonly graceMs?: number;
  /** Whether a user may join, and send to, a group; always by default. */
  readonly allow?: (user: string, group: string) => boolean;
}

/** A message in the log. */
export interface StoredMessage {
  readonly offset: number;
  readonly from: string;
  readonly data: unknown;
  readonly time: number;
}

export interface FakeCluster {
  /** For `createClient({ ...cluster.options("alice"), .. })`. */
  options(user: string): Pick<ClientOptions, "lookup" | "WebSocket" | "retry">;
  /** Nodes that lookups name. */
  readonly nodes: readonly string[];
  /** Where lookups send the user. */
  home(user: string): string;
  /** The users who have a session, each with the nodes of their sessions. */
  readonly sessions: readonly { readonly user: string; readonly node: string; readonly groups: readonly string[] }[];
  /** Sends as the application's back end does, `from` being its word. Throws a {@link RingdialError} if it is refused. */
  send(to: Target, data: unknown, options?: { readonly from?: string; readonly key?: string; readonly ephemeral?: boolean }): Ack;
  /** What the log of a topic (`u:alice`, `g:room`) holds. */
  stored(topic: string): readonly StoredMessage[];
  /** Asks the user's sessions to move, by default to the next node, and gives its id. */
  move(user: string, node?: string): string;
  /** Breaks the user's connections: without a word, or with a close code. */
  drop(user: string, closeCode?: number): void;
  /** From now on frames to and from the user's present connections vanish: only a heartbeat tells. */
  silence(user: string): void;
  /** The node dies: its connections break, and nobody can connect to it. */
  kill(node: string): void;
  /** The node asks its users to move, and lookups no longer name it. */
  drain(node: string): void;
  /** Another node; a dead or drained one is back. */
  add(node: string): void;
  /** Each frame takes so long, either way; 0. */
  delay(ms: number): void;
  /** Each message comes so many times; 1. Users are given it once all the same. */
  duplicate(times: number): void;
  /** The next lookups fail: with a `RingdialError`'s words, or as temporary. */
  failLookups(times: number, error?: Error): void;
  /** The log keeps the newest `keep` messages only: who missed others is told by a `gap`. */
  trim(topic: string, keep?: number): void;
  /** The log is lost and begins anew. Connected sessions are told by a `gap`. */
  lose(topic: string): void;
  /** Every connection breaks, and nothing answers any more. */
  stop(): void;
}

/** A cluster that begins empty. Everything in it happens in this process, a moment later. */
export function fakeCluster(options: FakeClusterOptions = {}): FakeCluster {
  return new Cluster(options);
}

class Cluster implements FakeCluster {
  readonly #hub: Hub;
  readonly #active: Set<string>;
  readonly #alive: Set<string>;
  readonly #homes = new Map<string, string>();
  readonly #tickets = new Map<string, { readonly user: string; readonly node: string }>();
  readonly #wire = { delayMs: 0 };
  #failures = 0;
  #failure: Error | undefined;

  constructor({ nodes = ["n1", "n2"], graceMs = 50, allow }: FakeClusterOptions) {
    this.#hub = new Hub({ graceMs, allow });
    this.#active = new Set(nodes);
    this.#alive = new Set(nodes);
  }

  options(user: string): ReturnType<FakeCluster["options"]> {
    const [wire, listener] = [this.#wire, this.#connect];
    const socket = class extends FakeSocket {
      constructor(url: string, protocols: string | string[] = []) {
        super(wire, listener, url, [protocols].flat());
      }
    };
    return { lookup: this.#lookup(user), WebSocket: socket as WebSocketConstructor, retry: { baseMs: 5, maxMs: 50 } };
  }

  get nodes(): readonly string[] {
    return [...this.#active];
  }

  get sessions(): FakeCluster["sessions"] {
    return [...this.#hub.sessions].map(({ user, node, topics }) => {
      return { user, node, groups: [...topics].filter((topic) => topic.startsWith("g:")).map((topic) => topic.slice(2)) };
    });
  }

  home(user: string): string {
    return this.#home(user, []);
  }

  send(to: Target, data: unknown, { from = "", key, ephemeral }: { from?: string; key?: string; ephemeral?: boolean } = {}): Ack {
    const answer = this.#hub.send(from, { op: "send", to, data: data ?? null, key, ephemeral });
    if ("code" in answer) throw new RingdialError(String(answer["code"]), "", false);
    return answer;
  }

  stored(topic: string): readonly StoredMessage[] {
    return this.#hub.log(topic).entries;
  }

  move(user: string, to?: string): string {
    const present = this.home(user);
    const node = to ?? this.nodes.find((other) => other !== present) ?? present;
    this.#homes.set(user, node);
    for (const session of this.#of(user)) if (session.node !== node) this.#offer(session, node, "home");
    return node;
  }

  drop(user: string, closeCode?: number): void {
    for (const session of this.#of(user)) closeCode ? session.socket.finish(closeCode, "") : session.socket.cut();
  }

  silence(user: string): void {
    for (const { socket } of this.#of(user)) socket.silent = true;
  }

  kill(node: string): void {
    this.#active.delete(node);
    this.#alive.delete(node);
    for (const session of [...this.#hub.sessions]) if (session.node === node) session.socket.cut();
  }

  drain(node: string): void {
    this.#active.delete(node);
    for (const session of this.#hub.sessions) if (session.node === node) this.#offer(session, this.home(session.user), "draining");
  }

  add(node: string): void {
    this.#active.add(node);
    this.#alive.add(node);
  }

  delay(ms: number): void {
    this.#wire.delayMs = ms;
  }

  duplicate(times: number): void {
    this.#hub.copies = times;
  }

  failLookups(times: number, error?: Error): void {
    this.#failures = times;
    this.#failure = error;
  }

  trim(topic: string, keep = 0): void {
    this.#hub.log(topic).trim(keep);
  }

  lose(topic: string): void {
    const log = this.#hub.log(topic);
    const after = log.head;
    log.lose();
    const gap = { topic, epoch: log.epoch, after, before: 1, reason: "log_lost" };
    for (const session of this.#hub.followers(topic)) session.say("gap", gap);
  }

  stop(): void {
    for (const node of [...this.#alive]) this.kill(node);
  }

  #of(user: string): Session[] {
    return [...this.#hub.sessions].filter((session) => session.user === user && !session.detached);
  }

  /** Where it was put, else by its name. */
  #home(user: string, avoid: readonly string[]): string {
    const all = this.nodes;
    if (!all.length) throw new RingdialError("no_nodes", "", true);
    const nodes = all.some((node) => !avoid.includes(node)) ? all.filter((node) => !avoid.includes(node)) : all;
    const home = this.#homes.get(user);
    if (home && nodes.includes(home)) return home;
    const sum = [...user].reduce((total, letter) => (total * 31 + letter.charCodeAt(0)) % 65_536, 7);
    return nodes[sum % nodes.length] as string;
  }

  #grant(user: string, node: string): LookupAnswer {
    const ticket = `${this.#hub.next()}`;
    this.#tickets.set(ticket, { user, node });
    return { node, url: `ws://${node}.invalid/ws`, protocols: ["ringdial.v1", `ticket.${ticket}`] };
  }

  #lookup(user: string): LookupFunction {
    return async ({ avoid }) => {
      await new Promise<void>((resolve) => setTimeout(resolve, this.#wire.delayMs));
      if (this.#failures > 0) {
        this.#failures -= 1;
        throw this.#failure ?? new RingdialError("lookup_failed", "", true);
      }
      return this.#grant(user, this.#home(user, avoid));
    };
  }

  #offer(session: Session, node: string, reason: string): void {
    session.say("moved", { ...this.#grant(session.user, node), deadline_ms: 30_000, spread_ms: 0, reason });
  }

  readonly #connect: Listener = (socket, _url, [, protocol = ""]) => {
    const ticket = protocol.replace(/^ticket\./, "");
    const known = this.#tickets.get(ticket);
    this.#tickets.delete(ticket);
    if (known && !this.#alive.has(known.node)) return undefined;
    const session = new Session(this.#hub, socket, known?.user ?? "", known?.node ?? "");
    // Like a node, it accepts first and then says what is wrong.
    if (known) this.#hub.sessions.add(session);
    else setTimeout(() => session.end(4105, "ticket_used", true), 0);
    return session;
  };
}

