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

  const answered = (ref: string): Waiter<Ack> | undefined => {
    const waiter = sends.get(ref);
    sends.delete(ref);
    return waiter;
  };
  const runner = run(initial(configOf(options)), {
    lookup: lookupOf(options, random),
    random,
    now,
    webSocket,
    settle: (ref, ack) => answered(ref)?.resolve(ack),
    fail: (ref, error) => answered(ref)?.reject(error),
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
      const made = waiting<void>(signal, ({ resolve, reject }) => {
        if (!webSocket()) throw new RingdialError("no_websocket", "", false);
        open = true;
        off = emitter.on("status", (status) => {
          if (status.state === "connected") resolve();
          if (status.state === "closed") reject(status.cause ?? new RingdialError("closed", "", false));
        });
        dispatch("connect");
        if (runner.state.link) resolve();
        return off;
      }).finally(() => off());
      // Whoever does not wait for it has the events.
      made.catch(() => {});
      return made;
    },
    on: emitter.on,
    send: (to, data, { key, ephemeral = false, signal } = {}) =>
      waiting(signal, (waiter) => {
        const ref = `${++count}`;
        const text = JSON.stringify({
          op: "send",
          ref,
          to,
          data: data ?? null,
          key: key ?? (ephemeral ? key : `${name}-${ref}`),
          ephemeral: ephemeral || undefined,
        });
        sends.set(ref, waiter);
        dispatch("send", ref, text, ephemeral);
        return () => dispatch("cancel", ref);
      }),
    wake: () => dispatch("wake"),
    async close() {
      open = false;
      dispatch("close");
      await runner.closed();
    },
  };
}

/** A promise that a signal can end early. `begin` starts what it waits for and returns how to give it up. */
function waiting<T>(signal: Signal | undefined, begin: (waiter: Waiter<T>) => () => unknown): Promise<T> {
  let forget = (): void => {};
  return new Promise<T>((resolve, reject) => {
    const refuse = (): void => reject(new RingdialError("aborted", "", false, { cause: signal?.reason }));
    if (signal?.aborted) return refuse();
    const giveUp = begin({ resolve, reject });
    const abort = (): void => {
      refuse();
      giveUp();
    };
    signal?.addEventListener("abort", abort);
    forget = () => signal?.removeEventListener("abort", abort);
  }).finally(() => forget());
}
