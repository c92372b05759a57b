/** The public face: promises and listeners around the runner. */
import { dedupe } from "./dedupe.js";
import { emitterOf } from "./emitter.js";
import { RingdialError } from "./errors.js";
import { initial, statusOf } from "./machine/state.js";
import { configOf } from "./options.js";
import { lookupOf } from "./shell/lookup.js";
import { run } from "./shell/runner.js";
import type { Ack, Client, ClientOptions, Message, Signal, WebSocketConstructor } from "./types.js";

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

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
  const emitter = emitterOf<Data>();
  const isNew = dedupe();
  const sends = new Map<string, Waiter<Ack>>();
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
    settle: (ref, ack) => sends.get(ref)?.resolve(ack),
    fail: (ref, error) => sends.get(ref)?.reject(error),
    emit(name, value) {
      const { topic, id } = value as Message;
      if (name === "message" && !(open && isNew(topic, id))) return;
      emitter.emit(name, value);
    },
  });
  const { dispatch } = runner;

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
    send(to, data, { key, ephemeral = false, signal } = {}) {
      const ref = `${++count}`;
      const begin = (waiter: Waiter<Ack>): void => {
        const named = key ?? (ephemeral ? key : `${name}-${ref}`);
        const text = JSON.stringify({ op: "send", ref, to, data: data ?? null, key: named, ephemeral: ephemeral || undefined });
        sends.set(ref, waiter);
        dispatch("send", ref, text, ephemeral);
      };
      return waiting(signal, begin, () => {
        if (sends.delete(ref)) dispatch("cancel", ref);
      });
    },
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
