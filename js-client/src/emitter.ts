/** Typed listeners. */
/** Messages kept for the first listener. */
const HELD_MAX = 256;

export interface Emitter<Events> {
  on<K extends keyof Events>(name: K, run: (value: Events[K]) => void): () => void;
  emit<K extends keyof Events>(name: K, value: Events[K]): void;
}

/** Messages are given while it is `live`. */
export function emitterOf<Events>(live: () => boolean): Emitter<Events> {
  const listeners = new Set<readonly [name: PropertyKey, run: (value: never) => void]>();
  /** Messages that came before the first listener; undefined once it has had them. */
  let held: unknown[] | undefined = [];
  const emit = (name: PropertyKey, value: unknown): void => {
    if (name === "message" && held) return void (held.push(value) > HELD_MAX && held.shift());
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
    const messages = held ?? [];
    held = undefined;
    for (const message of messages) if (live()) emit("message", message);
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
