/** Performs the machine's effects and turns what comes back into events. Holds no opinion of its own. */
import type { Effect, Happening, State, TimerName } from "../machine/state.js";
import { transition } from "../machine/transition.js";
import type { WebSocketConstructor } from "../types.js";
import type { Lookup } from "./lookup.js";
import { socketActions, type Sockets } from "./socket.js";

/** Longer ones would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** The arguments of each effect, by its name. */
export type Actions = { [Name in Effect[0]]: (...args: Extract<Effect, [Name, ...any]> extends [any, ...infer A] ? A : never) => void };

/** What the machine is run with. The last three actions are the user's to see. */
export interface Surroundings extends Pick<Actions, "settle" | "fail" | "emit"> {
  readonly lookup: Lookup;
  readonly random: () => number;
  readonly now: () => number;
  readonly webSocket: () => WebSocketConstructor | undefined;
}

/** An event, and its effects. Called from within an effect (by a listener, say) it waits its turn. */
export type Dispatch = (...happening: Happening) => void;

export interface Runner extends Pick<Sockets, "closed"> {
  readonly state: State;
  readonly dispatch: Dispatch;
}

export function run(state: State, around: Surroundings): Runner {
  const queue: Happening[] = [];
  let busy = false;
  const dispatch: Dispatch = (...happening) => {
    queue.push(happening);
    if (busy) return;
    busy = true;
    try {
      for (let what = queue.shift(); what; what = queue.shift()) {
        const next = transition(state, { what, now: around.now(), roll: around.random() });
        state = next.state;
        for (const [name, ...args] of next.effects) (actions[name] as (...args: unknown[]) => void)(...args);
      }
    } finally {
      busy = false;
    }
  };
  const sockets = socketActions(dispatch, around.webSocket);
  const actions: Actions = { ...around, ...lookupActions(dispatch, around.lookup), ...timerActions(dispatch), ...sockets };
  return {
    get state() {
      return state;
    },
    dispatch,
    closed: sockets.closed,
  };
}

function lookupActions(dispatch: Dispatch, lookup: Lookup): Pick<Actions, "look" | "abandon"> {
  let asking: AbortController | undefined;
  return {
    look(ask, reason, avoid) {
      asking = new AbortController();
      void lookup(reason, avoid, asking.signal).then((answer) =>
        "url" in answer ? dispatch("granted", ask, answer) : dispatch("refused", ask, answer),
      );
    },
    abandon: () => asking?.abort(),
  };
}

function timerActions(dispatch: Dispatch): Pick<Actions, "arm" | "disarm"> {
  const timers = new Map<TimerName, ReturnType<typeof setTimeout>>();
  return {
    arm(name, ms) {
      clearTimeout(timers.get(name));
      timers.set(
        name,
        setTimeout(() => dispatch("timer", name), Math.min(ms, TIMER_MAX_MS)),
      );
    },
    disarm: () => timers.forEach((timer) => clearTimeout(timer)),
  };
}
