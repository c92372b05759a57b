/** One turn of the machine: a draft of the next state, and the effects so far. A turn never outlives its transition. */
import type { Effect, State } from "./state.js";

/** The state's fields may be set; what they hold is shared with the state before and is replaced, never changed. */
export type Turn = { -readonly [K in keyof State]: State[K] } & {
  readonly effects: Effect[];
  readonly now: number;
  readonly roll: number;
};

export function act(t: Turn, ...effect: Effect): void {
  t.effects.push(effect);
}

/** Those that there are: at most two. */
export function socketsOf({ link, old, dial }: Pick<State, "link" | "old" | "dial">): number[] {
  return [link?.socket ?? 0, old, dial?.socket ?? 0].filter((socket) => socket);
}
