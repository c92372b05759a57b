/** Requests to the node, and the promises of those who wait. */
import { RingdialError } from "./errors.js";
import type { Runner } from "./shell/runner.js";
import type { Client, Signal } from "./types.js";
import { bytesOf } from "./wire.js";

/** Who waits for an answer. */
export interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** By the request's `ref`; or by the topic of a group that is to be joined. */
export type Waiters = Map<string, Waiter<any>>;

export interface Requests extends Pick<Client, "send"> {
  /** Resolves with what the answer holds. Repeated on each new connection until then, unless it is ephemeral; a silent one has no answer. */
  request(fields: object, signal?: Signal, ephemeral?: boolean, silent?: boolean): Promise<any>;
}

/** `name` is the first part of the keys. */
export function requestsOf(dispatch: Runner["dispatch"], waiters: Waiters, name: string): Requests {
  let count = 0;
  const request: Requests["request"] = (fields, signal, ephemeral = false, silent = false) => {
    const ref = `${++count}`;
    const begin = (waiter: Waiter<unknown>): void => {
      if ("to" in fields && !fields.to) throw new TypeError("to nobody");
      const text = JSON.stringify({ ...fields, ref: silent ? undefined : ref });
      waiters.set(ref, waiter);
      dispatch("send", ref, text, ephemeral, silent, costOf(fields));
    };
    return waiting(signal, begin, () => {
      if (waiters.delete(ref)) dispatch("cancel", ref);
    });
  };
  return {
    request,
    send(to, data, { ack = true, key, ephemeral, signal } = {}) {
      const passed = ephemeral || "all" in Object(to) || "match" in Object(to);
      const named = key ?? (passed || !ack ? key : `${name}-${count}`);
      return request({ op: "send", to, data: data ?? null, key: named, ephemeral: passed || undefined }, signal, passed, !ack);
    },
  };
}

/** As how many sends the node counts it: every inbox gets a message of its own. */
function costOf({ to, data }: { to?: { users?: readonly string[] }; data?: unknown }): number {
  const count = to?.users?.length;
  return count ? Math.max(1, Math.floor(count / 50), Math.floor((count * bytesOf(JSON.stringify(data))) / 65_536)) : 1;
}

/** A promise that a signal can end early. `after` is called at its end, whichever it is. */
export function waiting<T>(signal: Signal | undefined, begin: (waiter: Waiter<T>) => void, after: () => unknown): Promise<T> {
  let abort = (): void => {};
  return new Promise<T>((resolve, reject) => {
    abort = () => reject(new RingdialError("aborted", "", false, { cause: signal?.reason }));
    if (signal?.aborted) return abort();
    signal?.addEventListener("abort", abort);
    try {
      begin({ resolve, reject });
    } catch (cause) {
      reject(new RingdialError("bad_request", String(cause), false, { cause }));
    }
  }).finally(() => {
    signal?.removeEventListener("abort", abort);
    after();
  });
}
