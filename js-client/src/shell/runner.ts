/** Performs the machine's effects and turns what comes back into events. Holds no opinion of its own. */
import { RingdialError } from "../errors.js";
import { transition } from "../machine/transition.js";
import type { Effect, Happening, State, TimerName } from "../machine/state.js";
import type { Reason, WebSocketConstructor } from "../types.js";
import { readFrame } from "../wire.js";
import { type Lookup, Refusal } from "./lookup.js";
import { openSocket, type Socket } from "./socket.js";

/** Longer ones would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** The effects that are the user's to see. */
export type Output = Extract<Effect, { do: "settle" | "fail" | "message" | "status" | "moved" | "error" }>;

export interface Surroundings {
  readonly lookup: Lookup;
  readonly random: () => number;
  readonly now: () => number;
  readonly output: (effect: Output) => void;
}

export class Runner {
  state: State;
  WebSocket: WebSocketConstructor | undefined;
  readonly #around: Surroundings;
  readonly #queue: Happening[] = [];
  #busy = false;
  readonly #timers = new Map<TimerName, unknown>();
  readonly #sockets = new Map<number, Socket>();
  readonly #closing = new Set<Promise<void>>();
  #asking: AbortController | undefined;

  constructor(state: State, around: Surroundings) {
    this.state = state;
    this.#around = around;
  }

  /** An event, and its effects. Called from within an effect (by a listener, say) it waits its turn. */
  dispatch(happening: Happening): void {
    this.#queue.push(happening);
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      const { now, random } = this.#around;
      const { state, effects } = transition(this.state, { ...next, now: now(), roll: random() });
      this.state = state;
      for (const effect of effects) this.#perform(effect);
    }
    this.#busy = false;
  }

  /** Resolves when the dropped sockets are closed. */
  async settled(): Promise<void> {
    await Promise.all(this.#closing);
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case "look":
        return this.#look(effect.ask, effect.reason, effect.avoid);
      case "abandon":
        this.#asking?.abort();
        this.#asking = undefined;
        return;
      case "open":
        return this.#open(effect.socket, effect.url, effect.protocols);
      case "write":
        return this.#sockets.get(effect.socket)?.write(effect.text);
      case "drop":
        return this.#drop(effect.socket);
      case "arm":
        return this.#arm(effect.timer, effect.ms);
      case "disarm":
        clearTimeout(this.#timers.get(effect.timer));
        this.#timers.delete(effect.timer);
        return;
      default:
        this.#around.output(effect);
    }
  }

  #look(ask: number, reason: Reason, avoid: readonly string[]): void {
    const asking = new AbortController();
    this.#asking = asking;
    this.#around.lookup(reason, avoid, asking.signal).then(
      (grant) => this.dispatch({ type: "granted", ask, grant }),
      (thrown: unknown) => this.dispatch({ type: "refused", ask, ...asRefusal(thrown) }),
    );
  }

  #open(socket: number, url: string, protocols: readonly string[]): void {
    const events = {
      opened: () => this.dispatch({ type: "opened", socket }),
      heard: (data: unknown) => {
        const frame = readFrame(data);
        if (frame) this.dispatch({ type: "heard", socket, frame });
      },
      down: (code: number, reason: string) => this.dispatch({ type: "down", socket, code, reason }),
    };
    try {
      if (!this.WebSocket) throw new RingdialError("no_websocket", "there is no WebSocket on this platform", false);
      this.#sockets.set(socket, openSocket(this.WebSocket, url, protocols, events));
    } catch (error) {
      events.down(0, String(error));
    }
  }

  #drop(socket: number): void {
    const closing = this.#sockets.get(socket)?.drop();
    this.#sockets.delete(socket);
    if (!closing) return;
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }

  #arm(name: TimerName, ms: number): void {
    clearTimeout(this.#timers.get(name));
    const fire = (): void => {
      this.#timers.delete(name);
      this.dispatch({ type: "timer", name });
    };
    this.#timers.set(name, setTimeout(fire, Math.min(ms, TIMER_MAX_MS)));
  }
}

function asRefusal(thrown: unknown): Refusal {
  if (thrown instanceof Refusal) return thrown;
  return new Refusal(new RingdialError("lookup_failed", "the lookup failed", true, { cause: thrown }), "lost");
}
