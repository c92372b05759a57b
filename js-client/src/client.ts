/** The public face: promises and listeners around the runner. */
import { Seen } from "./dedupe.js";
import { Emitter } from "./emitter.js";
import { RingdialError } from "./errors.js";
import { initial, statusOf } from "./machine/state.js";
import { configOf } from "./options.js";
import { lookupOf } from "./shell/lookup.js";
import { type Output, Runner } from "./shell/runner.js";
import type {
  Ack,
  Client,
  ClientOptions,
  Events,
  FetchFunction,
  SendOptions,
  Signal,
  Status,
  Target,
  WebSocketConstructor,
} from "./types.js";

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** A client that has not begun: no socket, no timer, no request until `connect()`. Throws `bad_options`. */
export function createClient<Data = unknown>(options: ClientOptions): Client<Data> {
  return new RingdialClient<Data>(options);
}

/** Creates a client and connects it. Rejects if it stops first; aborting the signal closes it. */
export async function connect<Data = unknown>(options: ClientOptions & { readonly signal?: Signal }): Promise<Client<Data>> {
  const client = createClient<Data>(options);
  try {
    await client.connect(options.signal ? { signal: options.signal } : {});
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

class RingdialClient<Data> implements Client<Data> {
  readonly #options: ClientOptions;
  readonly #runner: Runner;
  readonly #emitter = new Emitter<Data>();
  readonly #seen = new Seen();
  readonly #sends = new Map<string, Waiter<Ack>>();
  readonly #connects = new Set<Waiter<void>>();
  /** Tells the keys of this client's sends from others of the same user. */
  readonly #name: string;
  #count = 0;

  constructor(options: ClientOptions) {
    const { random = Math.random, now = Date.now } = options;
    const config = configOf(options);
    const { fetch } = globalThis as { fetch?: FetchFunction };
    const step1 = options.fetch ?? (fetch && ((url, init) => fetch(url, init)));
    this.#options = options;
    this.#name = [0, 1].map(() => random().toString(36).slice(2, 12)).join("");
    this.#runner = new Runner(initial(config), {
      lookup: lookupOf(options, step1, random, now),
      random,
      now,
      output: (effect) => this.#output(effect),
    });
  }

  get status(): Status {
    return statusOf(this.#runner.state);
  }

  connect({ signal }: { readonly signal?: Signal } = {}): Promise<void> {
    const { WebSocket } = globalThis as { WebSocket?: WebSocketConstructor };
    this.#runner.WebSocket = this.#options.WebSocket ?? WebSocket;
    if (!this.#runner.WebSocket) {
      return Promise.reject(new RingdialError("no_websocket", "there is no WebSocket on this platform", false));
    }
    if (this.status.state === "connected") return Promise.resolve();
    return waiting(signal, "the wait for the connection was aborted", (waiter) => {
      this.#emitter.muted = false;
      this.#connects.add(waiter);
      this.#runner.dispatch({ type: "connect" });
      return () => this.#connects.delete(waiter);
    });
  }

  on<K extends keyof Events<Data>>(name: K, listener: (value: Events<Data>[K]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  send(to: Target, data: unknown, options: SendOptions = {}): Promise<Ack> {
    const { ephemeral = false, signal } = options;
    const ref = String(++this.#count);
    const key = options.key ?? (ephemeral ? undefined : `${this.#name}-${ref}`);
    let text: string;
    try {
      text = JSON.stringify({ op: "send", ref, to, data: data ?? null, key, ...(ephemeral && { ephemeral }) });
    } catch (cause) {
      return Promise.reject(new RingdialError("not_json", "the data cannot be encoded as JSON", false, { cause }));
    }
    return waiting(signal, "the send was aborted", (waiter) => {
      this.#sends.set(ref, waiter);
      this.#runner.dispatch({ type: "send", ref, text, ephemeral });
      return () => this.#runner.dispatch({ type: "cancel", ref });
    });
  }

  wake(): void {
    this.#runner.dispatch({ type: "wake" });
  }

  async close(): Promise<void> {
    this.#emitter.muted = true;
    this.#runner.dispatch({ type: "close" });
    await this.#runner.settled();
  }

  #output(effect: Output): void {
    switch (effect.do) {
      case "settle":
        return this.#answered(effect.ref)?.resolve(effect.ack);
      case "fail":
        return this.#answered(effect.ref)?.reject(effect.error);
      case "message":
        if (this.#seen.accept(effect.value.topic, effect.value.id)) this.#emitter.emit("message", effect.value);
        return;
      case "status":
        this.#started(effect.value);
        return this.#emitter.emit("status", effect.value);
      default:
        return this.#emitter.emit(effect.do, effect.value);
    }
  }

  #answered(ref: string): Waiter<Ack> | undefined {
    const waiter = this.#sends.get(ref);
    this.#sends.delete(ref);
    return waiter;
  }

  #started(status: Status): void {
    if (status.state !== "connected" && status.state !== "closed") return;
    for (const waiter of this.#connects) {
      if (status.state === "connected") waiter.resolve();
      else waiter.reject(status.cause ?? new RingdialError("closed", "the client was closed", false));
    }
    this.#connects.clear();
  }
}

/** A promise that a signal can end early. `begin` starts what it waits for and returns how to give it up. */
function waiting<T>(signal: Signal | undefined, message: string, begin: (waiter: Waiter<T>) => () => unknown): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const aborted = (): RingdialError => new RingdialError("aborted", message, false, { cause: signal?.reason });
    if (signal?.aborted) return reject(aborted());
    let giveUp: (() => unknown) | undefined;
    const forget = (): void => signal?.removeEventListener("abort", abort);
    const abort = (): void => {
      forget();
      reject(aborted());
      giveUp?.();
    };
    signal?.addEventListener("abort", abort);
    giveUp = begin({
      resolve: (value) => (forget(), resolve(value)),
      reject: (error) => (forget(), reject(error)),
    });
  });
}
