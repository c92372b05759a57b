/** One turn of the machine: a draft of the next state, and the effects so far. A turn never outlives its transition. */
import type { Effect, State, TimerName } from "./state.js";

/** The state's fields may be set; what they hold is shared with the state before and is replaced, never changed. */
export type Turn = { -readonly [K in keyof State]: State[K] } & {
  readonly effects: Effect[];
  readonly now: number;
  readonly roll: number;
};

export function act(t: Turn, ...effect: Effect): void {
  t.effects.push(effect);
}

export function disarm(t: Turn, ...timers: TimerName[]): void {
  for (const timer of timers) act(t, "disarm", timer);
}

/** Says on the link what it was not told yet of groups. */
export function ask(t: Turn): void {
  t.config.groups?.ask(t);
}

/** 0 and undefined: no socket. */
export function drop(t: Turn, ...sockets: (number | undefined)[]): void {
  for (const socket of sockets) if (socket) act(t, "drop", socket);
}
