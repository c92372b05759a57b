/** Typed listeners. */
import type { Events } from "./types.js";

/** Messages kept for the first listener. */
const HELD_MAX = 256;

type Listener = (value: never) => void;

export class Emitter<Data> {
  readonly #listeners = new Map<keyof Events, Set<{ run: Listener }>>();
  /** Messages that came before the first listener; undefined once it has had them. */
  #held: Events["message"][] | undefined = [];
  /** Nothing is delivered after `close()`, not even what is already on its way through the queue. */
  muted = false;

  /** The same function may be added twice; each removal removes one. */
  on<K extends keyof Events<Data>>(name: K, listener: (value: Events<Data>[K]) => void): () => void {
    const entry = { run: listener as Listener };
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(entry));
    if (name === "message" && this.#held) queueMicrotask(() => this.#release());
    return () => void listeners.delete(entry);
  }

  emit<K extends keyof Events>(name: K, value: Events[K]): void {
    if (name !== "message") return this.#run(name, value);
    if (this.muted) return;
    if (!this.#held) return this.#run(name, value);
    this.#held.push(value as Events["message"]);
    if (this.#held.length > HELD_MAX) this.#held.shift();
  }

  #release(): void {
    const held = this.#held;
    if (!held || !this.#listeners.get("message")?.size) return;
    this.#held = undefined;
    for (const message of held) this.emit("message", message);
  }

  #run<K extends keyof Events>(name: K, value: Events[K]): void {
    for (const { run } of [...(this.#listeners.get(name) ?? [])]) {
      try {
        run(value as never);
      } catch (error) {
        // A listener's mistake is the application's to see, and not to break the client.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
