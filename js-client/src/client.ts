/** The public face: promises and listeners around the runner. */
import { dedupe } from "./dedupe.js";
import { emitterOf } from "./emitter.js";
import { RingdialError } from "./errors.js";
import { groupsOf, type Waiter } from "./groups.js";
import { initial, statusOf } from "./machine/state.js";
import { configOf } from "./options.js";
import { lookupOf } from "./shell/lookup.js";
import { run } from "./shell/runner.js";
import type { Client, ClientOptions, Events, Message, Signal, WebSocketConstructor } from "./types.js";

/** Creates a client and connects it. Rejects if it stops first; aborting the signal closes it. */
export async function connect<Data = unknown>(options: ClientOptions & { readonly signal?: Signal }): Promise<Client<Data>> {
  const client = createClient<Data>(options);
  try {
    await client.connect(options);
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** A client that has not begun: no socket, no timer, no request until `connect()`. Throws `bad_options`. */
export function createClient<Data = unknown>(options: ClientOptions): Client<Data> {
  const { random = Math.random, now = Date.now } = options;
  const emitter = emitterOf<Events<Data>>();
  const isNew = dedupe();
  /** Who waits for which request, by its `ref`; or for a group, by its topic. */
  const waiters = new Map<string, Waiter<any>>();
  /** Tells the keys of this client's sends from others of the same user. */
  const name = random().toString(36).slice(2);
  let count = 0;
  /** Nothing is delivered after `close()`, not even what is on its way through the queue. */
  let open = false;
  const webSocket = (): WebSocketConstructor | undefined =>
    options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;

  const runner = run(initial(configOf(options)), {
    lookup: lookupOf(options, random),
    random,
    now,
    webSocket,
    settle: (ref, ack) => waiters.get(ref)?.resolve(ack),
    fail: (ref, error) => waiters.get(ref)?.reject(error),
    emit(name, value) {
      const { topic, id } = value as Message;
      if (name === "message" && !(open && isNew(topic, id))) return;
      const group = groups.of(name === "presence" ? `g:${value.group}` : topic);
      if (group) group.emit(name as "message", value as Message);
      // A group's messages are its handles' alone.
      if (name === "gap" || !group) emitter.emit(name as "message", value as Message<Data>);
    },
  });
  const { dispatch } = runner;

  const request = (fields: object, signal?: Signal, ephemeral = false, silent = false): Promise<any> => {
    const ref = `${++count}`;
    const begin = (waiter: Waiter<any>): void => {
      const text = JSON.stringify({ ...fields, ref: silent ? undefined : ref });
      waiters.set(ref, waiter);
      dispatch("send", ref, text, ephemeral || silent, silent);
    };
    return waiting(signal, begin, () => {
      if (waiters.delete(ref)) dispatch("cancel", ref);
    });
  };
  const send: Client["send"] = (to, data, { ack = true, key, ephemeral, signal } = {}) => {
    const passed = ephemeral || "all" in to || "match" in to;
    const named = key ?? (passed || !ack ? key : `${name}-${count}`);
    return request({ op: "send", to, data: data ?? null, key: named, ephemeral: passed || undefined }, signal, passed, !ack);
  };
  const groups = groupsOf({ runner, waiters, request, send });

  return {
    get status() {
      return statusOf(runner.state);
    },
    connect({ signal } = {}) {
      let off = (): unknown => 0;
      const begin = ({ resolve, reject }: Waiter<void>): void => {
        if (!webSocket()) throw new RingdialError("no_websocket", "", false);
        open = true;
        off = emitter.on("status", (status) => {
          if (status.state === "connected") resolve();
          if (status.state === "closed") reject(status.cause ?? new RingdialError("closed", "", false));
        });
        dispatch("connect");
        if (runner.state.link) resolve();
      };
      const made = waiting(signal, begin, () => off());
      // Whoever does not wait for it has the events.
      made.catch(() => {});
      return made;
    },
    on: emitter.on,
    send,
    group: groups.group,
    history: (page) => request({ ...page, op: "history" }),
    online: (users) => request({ op: "online", users }),
    wake: () => dispatch("wake"),
    async close() {
      open = false;
      dispatch("close");
      await runner.closed();
    },
  };
}

/** A promise that a signal can end early. `after` is called at its end, whichever it is. */
function waiting<T>(signal: Signal | undefined, begin: (waiter: Waiter<T>) => void, after: () => unknown): Promise<T> {
  let abort = (): void => {};
  return new Promise<T>((resolve, reject) => {
    abort = () => reject(new RingdialError("aborted", "", false, { cause: signal?.reason }));
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort);
    begin({ resolve, reject });
  }).finally(() => {
    signal?.removeEventListener("abort", abort);
    after();
  });
}
