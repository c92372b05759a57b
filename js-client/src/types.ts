/** Public types: options, events, messages, and the platform parts that a user may hand in. */
/// <reference lib="esnext.disposable" preserve="true" />
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
  /** Sends that wait for their acknowledgement; 256, and 1 MiB of UTF-8. One more than that fails with `outbox_full`. */
  readonly outbox?: { readonly maxMessages?: number; readonly maxBytes?: number };
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

/** To whom: exactly what goes over the wire. `all` and `match` need the permission `broadcast`, and are always ephemeral. */
export type Target =
  | { readonly user: string }
  | { readonly users: readonly string[] }
  | { readonly group: string }
  | { readonly all: true }
  /** Sessions whose attributes, claims of their token, have all these values, or arrays that contain them. */
  | { readonly match: Readonly<Record<string, string | number | boolean>> };

export interface SendOptions {
  /**
   * Ask for an acknowledgement; true by default. With false the send is done once it is written to a connection: it is never
   * repeated, and a refusal comes as the event `error`.
   */
  readonly ack?: boolean;
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
  /** Of a durable message to a user or a group: its place in the log. */
  readonly epoch?: string;
  readonly offset?: number;
  /** Only for `{users}`: those to whom it did not go. */
  readonly failed?: readonly { readonly user: string; readonly code: string }[];
}

export interface Message<Data = unknown> {
  /** `u:<user>` for one's own inbox, `g:<group>`, `*` for what was sent to `all` or a `match`. */
  readonly topic: string;
  /** The sending user; empty for the application's back end. */
  readonly from: string;
  readonly data: Data;
  /** When it was stored or passed on, in milliseconds of the store's or node's wall clock. */
  readonly time: number;
  /** `<origin>-<counter>` of an ephemeral message. */
  readonly id?: string;
  /** Of a durable message: its place in the topic's log. */
  readonly epoch?: string;
  readonly offset?: number;
  /** It was missed, and read from the log afterwards. */
  readonly replayed?: true;
}

/** A place in a topic's log: everything up to `offset`, in one life of the log. */
export interface Position {
  readonly epoch: string;
  /** 0: before the first message. */
  readonly offset: number;
}

/** Where to go on: after a position, or with all that the log holds. */
export type Since = Position | { readonly offset: 0 };

/** Durable messages that will never come: fetch your state anew from wherever you keep it. */
export interface Gap {
  readonly topic: string;
  /** The epoch that goes on. */
  readonly epoch: string;
  /** The last offset before what is missing. */
  readonly after: number;
  /** The first offset that may come. */
  readonly before: number;
  /** `trimmed`: the log keeps only so much. `log_lost`: it was lost, whole or its newest part. */
  readonly reason: "trimmed" | "log_lost" | (string & {});
}

/** Who is in a group. */
export interface Members {
  /** Users, however many sessions each has. */
  readonly count: number;
  /** Absent above 1,000. */
  readonly users?: readonly string[];
  /** The group's home is new: there may be more. */
  readonly settling?: true;
}

/** Who came and went. The first one on each connection, and later ones from time to time, have all `users` instead. */
export interface PresenceChange {
  readonly group: string;
  /** Users in the group now. */
  readonly count: number;
  /** All of them. Neither this nor the others above 1,000. */
  readonly users?: readonly string[];
  readonly joined?: readonly string[];
  readonly left?: readonly string[];
}

export interface HistoryOptions {
  /** Messages above this offset, ascending. Not with `before`; without either, the newest. */
  readonly after?: number;
  /** Messages below this offset, descending. */
  readonly before?: number;
  /** Of this epoch only: if another one has begun, the page is empty and says `lost`. */
  readonly epoch?: string;
  /** 1 to 1,000; 50. There may be fewer. */
  readonly limit?: number;
}

/** A page of what the log holds. */
export interface HistoryPage<Data = unknown> extends Partial<Position> {
  readonly topic: string;
  /** The topic's newest message; `epoch` too is absent if nothing was ever written. */
  readonly offset?: number;
  /** The oldest offset that the log holds. */
  readonly first?: number;
  readonly entries: readonly HistoryEntry<Data>[];
  /** Whether there is more in this direction: ask from the last entry's offset. */
  readonly more: boolean;
  /** What the log no longer holds between the cursor and the first entry; both exclusive. */
  readonly gap?: { readonly after: number; readonly before: number };
  readonly lost?: true;
}

export interface HistoryEntry<Data = unknown> {
  readonly offset: number;
  readonly from: string;
  readonly data: Data;
  readonly time: number;
}

export interface Online {
  /** Those of the users asked about who are. */
  readonly online: readonly string[];
  /** A home is new: whoever is not named may be online too. */
  readonly settling?: true;
}

export interface GroupOptions {
  /** Be told who comes and goes. */
  readonly presence?: boolean;
  /** Where to go on; by default with what comes from now on. Without effect while the group is joined. */
  readonly since?: Since;
}

export interface MessagesOptions {
  /** Ends the loop. */
  readonly signal?: Signal;
  /** Messages that may wait for the loop; with one more it throws `overflow`, since none is dropped without a word. 1,000. */
  readonly buffer?: number;
}

export interface GroupEvents<Data = unknown> {
  /** Once per message. Those that come before the first listener of the group wait for it (the newest 256). */
  message: Message<Data>;
  /** Only with {@link GroupOptions.presence}. */
  presence: PresenceChange;
  gap: Gap;
}

/** One use of a group. The first handle joins it, the last {@link Group.leave} leaves it; connections come and go in between. */
export interface Group<Data = unknown> extends AsyncDisposable {
  readonly name: string;
  /** The group is joined. Rejects if the node refuses it, or the client is closed: after the next {@link Client.connect} it is another one. */
  readonly joined: Promise<void>;
  /** What the last message or gap was, to be given as `since` another time; a loop may be behind it. Undefined before the first join, and without a log. */
  readonly position: Position | undefined;
  /** Adds a listener until {@link Group.leave}, and returns its removal. */
  on<K extends keyof GroupEvents<Data>>(name: K, listener: (value: GroupEvents<Data>[K]) => void): () => void;
  /**
   * The same messages for `for await`, from now on. The loop ends with the signal, {@link Group.leave} or {@link Client.close}, and throws
   * what stopped the client, or why the group is not followed any more.
   */
  messages(options?: MessagesOptions): AsyncIterableIterator<Message<Data>>;
  /** The same as {@link Client.send} to the group. */
  send(data: unknown, options?: SendOptions): Promise<Ack>;
  history(options?: HistoryOptions): Promise<HistoryPage<Data>>;
  presence(): Promise<Members>;
  /** This handle has no more listeners; the last one's group is left. */
  leave(): Promise<void>;
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
  /** Once per message that is not for a {@link Client.group}. Those that come before the first listener wait for it (the newest 256). */
  message: Message<Data>;
  /** In whichever topic. */
  gap: Gap;
  /** Each change of {@link Client.status}, each attempt included. */
  status: Status;
  moved: Moved;
  /** What went wrong and is being dealt with; the last one before `closed` is what stopped the client. */
  error: RingdialError;
}

/** A client of `ringdial/core`. */
export interface CoreClient<Data = unknown> {
  readonly status: Status;
  /**
   * Starts, and resolves once connected. Temporary errors are retried for ever; rejects when the client stops.
   * Aborting the signal stops the wait, not the client. A closed client may be started again.
   */
  connect(options?: { readonly signal?: Signal }): Promise<void>;
  /** Adds a listener for the client's whole life, reconnects and moves included, and returns its removal. */
  on<K extends keyof Events<Data>>(name: K, listener: (value: Events<Data>[K]) => void): () => void;
  /**
   * Resolves with the node's acknowledgement. While there is no connection, before {@link CoreClient.connect} too, it waits for one, at most
   * `timeouts.sendMs`. After {@link CoreClient.close} it fails as `closed`.
   */
  send(to: Target, data: unknown, options?: SendOptions): Promise<Ack>;
  /** What the log holds of one's own inbox. */
  history(options?: HistoryOptions): Promise<HistoryPage<Data>>;
  /** Who of these, at most 1,000, is online. */
  online(users: readonly string[]): Promise<Online>;
  /** Call it when the app is in front again or the network changed: cuts a back-off short, or makes sure of the connection. */
  wake(): void;
  /**
   * Closes for good, within a second. Sends without an answer fail as `closed`. Groups and positions stay: after another
   * {@link Client.connect} it goes on where it was.
   */
  close(): Promise<void>;
}

/** A client of `ringdial`. */
export interface Client<Data = unknown> extends CoreClient<Data> {
  /** A handle of a group, which is joined as soon as there is a connection, and again on each new one. */
  group<T = Data>(name: string, options?: GroupOptions): Group<T>;
}
