/** Performs the machine's effects and turns what comes back into events. Holds no opinion of its own. */
import type { Effect, Happening, State, TimerName } from "../machine/state.js";
import { transition } from "../machine/transition.js";
import type { WebSocketConstructor } from "../types.js";
import { readFrame } from "../wire.js";
import type { Lookup } from "./lookup.js";
import { openSocket, type Socket } from "./socket.js";

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

export interface Runner {
  readonly state: State;
  /** An event, and its effects. Called from within an effect (by a listener, say) it waits its turn. */
  dispatch(...happening: Happening): void;
  /** Resolves when the dropped sockets are closed. */
  closed(): Promise<unknown>;
}

export function run(state: State, around: Surroundings): Runner {
  const queue: Happening[] = [];
  let busy = false;
  const dispatch = (...happening: Happening): void => {
    queue.push(happening);
    if (busy) return;
    busy = true;
    for (let what = queue.shift(); what; what = queue.shift()) {
      const next = transition(state, { what, now: around.now(), roll: around.random() });
      state = next.state;
      for (const [name, ...args] of next.effects) (actions[name] as (...args: unknown[]) => void)(...args);
    }
    busy = false;
  };
  const { closed, ...sockets } = socketActions(dispatch, around);
  const actions: Actions = { ...around, ...lookupActions(dispatch, around), ...timerActions(dispatch), ...sockets };
  return {
    get state() {
      return state;
    },
    dispatch,
    closed,
  };
}

type Dispatch = Runner["dispatch"];

function lookupActions(dispatch: Dispatch, { lookup }: Surroundings): Pick<Actions, "look" | "abandon"> {
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
  const disarm = (name: TimerName): void => clearTimeout(timers.get(name));
  return {
    arm(name, ms) {
      disarm(name);
      timers.set(
        name,
        setTimeout(() => dispatch("timer", name), Math.min(ms, TIMER_MAX_MS)),
      );
    },
    disarm,
  };
}

function socketActions(
  dispatch: Dispatch,
  { webSocket }: Surroundings,
): Pick<Actions, "open" | "write" | "drop"> & Pick<Runner, "closed"> {
  const sockets = new Map<number, Socket>();
  const closing = new Set<Promise<void>>();
  return {
    open(socket, url, protocols) {
      const down = (code: number, reason: string): void => dispatch("down", socket, code, reason);
      const heard = (data: unknown): void => {
        const frame = readFrame(data);
        if (frame) dispatch("heard", socket, frame);
      };
      try {
        const WebSocket = webSocket() as WebSocketConstructor;
        sockets.set(socket, openSocket(new WebSocket(url, [...protocols]), () => dispatch("opened", socket), heard, down));
      } catch (error) {
        down(0, String(error));
      }
    },
    write: (socket, text) => sockets.get(socket)?.write(text),
    drop(socket) {
      const end = sockets.get(socket)?.drop();
      sockets.delete(socket);
      if (end) closing.add(end);
      void end?.then(() => closing.delete(end));
    },
    closed: () => Promise.all(closing),
  };
}
