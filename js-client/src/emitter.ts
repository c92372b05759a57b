/** Typed listeners. */
/** Messages kept for a listener, or for `connect()`. */
const HELD_MAX = 256;

export interface Emitter<Events> {
  on<K extends keyof Events>(name: K, run: (value: Events[K]) => void): () => void;
  emit<K extends keyof Events>(name: K, value: Events[K]): void;
}

/** Messages are given while it is `live`. If it is not, it runs what it is given once it is again. */
export function emitterOf<Events>(live: (again: () => void) => boolean): Emitter<Events> {
  const listeners = new Set<readonly [name: PropertyKey, run: (value: never) => void]>();
  /** Messages that came before the first listener, or that `close()` kept from being given; undefined once they have been. */
  let held: unknown[] | undefined = [];
  const emit = (name: PropertyKey, value: unknown): void => {
    // The position is past it: what is not held comes never.
    if (name === "message" && (held ??= live(release) ? undefined : [])) return void (held.push(value) > HELD_MAX && held.shift());
    for (const [wanted, run] of [...listeners]) {
      try {
        if (wanted === name) run(value as never);
      } catch (error) {
        // A listener's mistake is the application's to see, and not to break the client.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  };
  const release = (): void => {
    if (![...listeners].some(([name]) => name === "message")) return;
    const messages = held ?? [];
    held = undefined;
    for (const message of messages) emit("message", message);
  };
  return {
    on(name, run) {
      if (typeof run !== "function") throw new TypeError("no function");
      const listener = [name, run] as const;
      listeners.add(listener);
      if (name === "message" && held) queueMicrotask(release);
      return () => listeners.delete(listener);
    },
    emit,
  };
}
