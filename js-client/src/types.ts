/** Public types: options, events, messages, and the platform parts that a user may hand in. */
import type { RingdialError } from "./errors.js";

/** What the client uses of an `AbortSignal`, for projects without DOM or Node types. */
export interface SignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** The platform's own `AbortSignal` where its types are present, else {@link SignalLike}. */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer T } } ? T : SignalLike;

/** What the client uses of a WebSocket. */
export interface SocketLike {
  onopen: ((event: any) => any) | null;
  onmessage: ((event: any) => any) | null;
  onerror: ((event: any) => any) | null;
  onclose: ((event: any) => any) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

/** The platform's `WebSocket`, or the one of package `ws` on Node 20. */
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => SocketLike;

/** What the client uses of a response. */
export interface ResponseLike {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  json(): Promise<unknown>;
}

/** The platform's `fetch`, or one like it. */
export type FetchFunction = (
  url: string,
  init: { headers: Record<string, string>; signal: Signal; cache: "no-store" },
) => Promise<ResponseLike>;

/** Why a lookup is made. `rejected`: the token given before was refused, a newer one is wanted. */
export type Reason = "start" | "lost" | "rejected";

/** The answer of a lookup, as the lookup service sends it. Fields not named here are ignored. */
export interface LookupAnswer {
  /** Where to connect: `wss://…/ws`. */
  readonly url: string;
  /** The subprotocols to connect with; the second one carries the ticket. */
  readonly protocols: readonly string[];
  /** The node's id, repeated as `avoid` when it cannot be reached. */
  readonly node?: string;
  /** Why, in an answer that came as `moved`. */
  readonly reason?: string;
  /** The service's advice for the back-off, used where `retry` does not say otherwise. */
  readonly retry?: { readonly base_ms?: number; readonly max_ms?: number };
}

/** What a lookup function of one's own is given. */
export interface LookupRequest {
  readonly reason: Reason;
  /** What `token` gave; undefined without `token`. */
  readonly token: string | undefined;
  /** Nodes that could not be reached since the last connection. */
  readonly avoid: readonly string[];
  readonly signal: Signal;
}

export type LookupFunction = (request: LookupRequest) => Promise<LookupAnswer>;

/** Gives the application's token. Asked before every lookup; throw an {@link AuthError} to stop for good. */
export type TokenFunction = (request: { readonly reason: Reason; readonly signal: Signal }) => string | Promise<string>;

export interface ClientOptions {
  /**
   * The lookup service's endpoint, such as `https://lookup.example.com/lookup`; or several (one is picked at random and
   * kept until it fails); or a function that makes step 1 in another way.
   */
  readonly lookup: string | readonly string[] | LookupFunction;
  /** The application's token, or a function that gives one. A function can renew it: prefer it. */
  readonly token?: string | TokenFunction;
  /** The service whose ring is asked; the lookup service's default is `default`. */
  readonly service?: string;
  /** The user's id. Needed without a token only (`--insecure-ids`); with one it must be the token's `sub`. */
  readonly id?: string;
  /** The back-off: full jitter from 0 to `baseMs * 2^n`, at most `maxMs`. The service's advice is used by default, else 500 and 30,000. */
  readonly retry?: { readonly baseMs?: number; readonly maxMs?: number };
  readonly timeouts?: Timeouts;
  /** Sends that wait for their acknowledgement. One more than that fails with `outbox_full`. */
  readonly outbox?: { readonly maxMessages?: number; readonly maxChars?: number };
  /** The WebSocket class; the platform's by default. Node 20 has none: pass the one of package `ws`. */
  readonly WebSocket?: WebSocketConstructor;
  /** The fetch function; the platform's by default. */
  readonly fetch?: FetchFunction;
  /** A random number in [0, 1); `Math.random` by default. */
  readonly random?: () => number;
  /** The wall clock in milliseconds; `Date.now` by default. */
  readonly now?: () => number;
}

export interface Timeouts {
  /** For token and lookup together; 10,000. */
  readonly lookupMs?: number;
  /** From opening the socket to the node's `welcome`; 8,000. */
  readonly openMs?: number;
  /** From `send` to its acknowledgement, across reconnects; 30,000. */
  readonly sendMs?: number;
  /** How long the node may take to answer after {@link Client.wake}; 3,000. */
  readonly probeMs?: number;
  /** How long the old socket of a move may take to say `bye`; 2,000. */
  readonly detachMs?: number;
}

/** To whom: exactly what goes over the wire. */
export type Target = { readonly user: string } | { readonly users: readonly string[] };

export interface SendOptions {
  /** Makes the send idempotent. Give the same key when you send again after an error; by default each durable send gets its own. */
  readonly key?: string;
  /** Only pass it on, do not log it. It is then never repeated: if the connection is lost first, the send fails as `unconfirmed`. */
  readonly ephemeral?: boolean;
  /** Stops waiting. What is on its way may still be delivered. */
  readonly signal?: Signal;
}

/** What the node says of a send it took. Fields not named here are passed on as they came. */
export interface Ack {
  /** Interested sessions at the receiver's home: no receipt. */
  readonly online?: number;
  /** Only for `{users}`: those to whom it did not go. */
  readonly failed?: readonly { readonly user: string; readonly code: string }[];
}

export interface Message<Data = unknown> {
  /** `u:<user>` for one's own inbox. */
  readonly topic: string;
  /** The sending user. */
  readonly from: string;
  readonly data: Data;
  /** The node's wall clock at sending, in milliseconds. */
  readonly time: number;
  /** `<origin>-<counter>` of an ephemeral message. */
  readonly id?: string;
}

/** Where the client stands. A move to another node does not show here: the state stays `connected`. */
export type Status =
  | { readonly state: "idle" }
  | ({ readonly state: "connecting" } & Trying)
  | {
      readonly state: "connected";
      readonly node: string;
      readonly user: string;
      readonly session: string;
      /** Wall clock, milliseconds. */
      readonly since: number;
    }
  | ({ readonly state: "reconnecting" } & Trying)
  | { readonly state: "closed"; /** Absent after `close()`. */ readonly cause?: RingdialError };

export interface Trying {
  /** 1 for the first. */
  readonly attempt: number;
  /** While waiting: the wall clock of the next attempt, in milliseconds. */
  readonly retryAt?: number;
  /** Why the last attempt or connection ended. */
  readonly cause?: RingdialError;
}

/** A finished move. */
export interface Moved {
  readonly from: string;
  readonly to: string;
  readonly reason: string;
}

export interface Events<Data = unknown> {
  /** Once per message. Those that come before the first listener wait for it (the newest 256). */
  message: Message<Data>;
  /** Each change of {@link Client.status}, each attempt included. */
  status: Status;
  moved: Moved;
  /** What went wrong and is being dealt with; the last one before `closed` is what stopped the client. */
  error: RingdialError;
}

export interface Client<Data = unknown> {
  readonly status: Status;
  /**
   * Starts, and resolves once connected. Temporary errors are retried for ever; rejects when the client stops.
   * Aborting the signal stops the wait, not the client. A closed client may be started again.
   */
  connect(options?: { readonly signal?: Signal }): Promise<void>;
  /** Adds a listener for the client's whole life, reconnects and moves included, and returns its removal. */
  on<K extends keyof Events<Data>>(name: K, listener: (value: Events<Data>[K]) => void): () => void;
  /** Resolves with the node's acknowledgement. While there is no connection it waits for one, at most `timeouts.sendMs`. */
  send(to: Target, data: unknown, options?: SendOptions): Promise<Ack>;
  /** Call it when the app is in front again or the network changed: cuts a back-off short, or makes sure of the connection. */
  wake(): void;
  /** Closes for good, within a second. Sends without an answer fail as `closed`. */
  close(): Promise<void>;
}
