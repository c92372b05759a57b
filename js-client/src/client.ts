/** The public face: promises and listeners around the runner. With groups, or without: index.ts, core.ts. */
import { dedupe } from "./dedupe.js";
import { emitterOf } from "./emitter.js";
import { RingdialError } from "./errors.js";
import type { Groups, Means } from "./groups.js";
import { type GroupRules, initial, statusOf } from "./machine/state.js";
import { configOf } from "./options.js";
import { requestsOf, type Waiter, type Waiters, waiting } from "./requests.js";
import { lookupOf } from "./shell/lookup.js";
import { pageOf } from "./shell/page.js";
import { run } from "./shell/runner.js";
import type { Client, ClientOptions, CoreClient, Events, Message, Signal, Status, WebSocketConstructor } from "./types.js";

/** What a client with groups has more. */
export interface GroupParts {
  readonly rules: GroupRules;
  readonly handles: (means: Means) => Groups;
}

/** Connects a client that was just made. Closes it if that fails. */
export async function begun<C extends CoreClient>(client: C, options: { readonly signal?: Signal }): Promise<C> {
  try {
    await client.connect(options);
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/**
 * A client that has not begun: no socket and no request until `connect()`, and no timer but the one of what is sent before, which waits.
 * Its `group` is there with `parts` only.
 */
export function clientOf<Data>(options: ClientOptions, parts?: GroupParts): Client<Data> {
  const { random = Math.random, now = Date.now } = options;
  const isNew = dedupe();
  const waiters: Waiters = new Map();
  /** Nothing is delivered after `close()`, not even what is on its way through the queue: what would be is done `later`, at `connect()`. */
  let open = false;
  const later: (() => void)[] = [];
  const live = (again?: () => void): boolean => open || !later.push(again as () => void);
  const emitter = emitterOf<Events<Data>>(live);
  const webSocket = (): WebSocketConstructor | undefined => options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;

  const runner = run(initial(configOf(options, parts?.rules)), {
    lookup: lookupOf(options, random),
    random,
    now,
    webSocket,
    settle: (ref, ack) => waiters.get(ref)?.resolve(ack),
    fail: (ref, error) => waiters.get(ref)?.reject(error),
    emit(name, value) {
      const { topic, id } = value as Message;
      if (name === "status") page(value.state !== "closed");
      if (name === "message" && !isNew(topic, id)) return;
      const group = groups?.of(name === "presence" ? `g:${value.group}` : topic);
      if (group) group.emit(name as "message", value as Message);
      // A group's messages are its handles' alone.
      if (name === "gap" || !group) emitter.emit(name as "message", value as Message<Data>);
    },
  });
  const { dispatch } = runner;
  const page = pageOf(dispatch);

  // The name tells the keys of this client's sends from others of the same user.
  const { request, send } = requestsOf(dispatch, waiters, random().toString(36).slice(2) + now());
  const groups = parts?.handles({ runner, waiters, live, request, send, on: emitter.on });

  return {
    get status() {
      return statusOf(runner.state);
    },
    connect({ signal } = {}) {
      let off = (): unknown => 0;
      const begin = (waiter: Waiter<void>): void => {
        if (!webSocket()) return waiter.reject(new RingdialError("no_websocket", "", false));
        open = true;
        later.splice(0).forEach((again) => queueMicrotask(again));
        dispatch("connect");
        off = arrival(() => statusOf(runner.state), emitter.on, waiter);
      };
      const made = waiting(signal, begin, () => off());
      // Whoever does not wait for it has the events.
      made.catch(() => {});
      return made;
    },
    on: emitter.on,
    send,
    group: groups?.group as Client["group"],
    history: (page) => request({ ...page, op: "history" }),
    online: (users) => request({ op: "online", users }),
    wake: () => dispatch("wake"),
    async close() {
      open = false;
      dispatch("close");
      await null;
      await runner.closed();
    },
  };
}

/** Settles once the client is connected or closed. Gives what ends that. */
function arrival(status: () => Status, on: CoreClient["on"], { resolve, reject }: Waiter<void>): () => void {
  let off = (): unknown => 0;
  const look = (): void => {
    const now = status();
    if (now.state === "connected") resolve();
    if (now.state === "closed") reject(now.cause ?? new RingdialError("closed", "", false));
  };
  // Within a listener, what was dispatched has not been done yet.
  queueMicrotask(() => {
    off = on("status", look);
    look();
  });
  return () => off();
}
