/** The state machine's values: state, events, effects. See transition.ts. */
import type { Policy } from "../codes.js";
import type { RingdialError } from "../errors.js";
import type { Ack, LookupAnswer, Message, Moved, Reason, Status } from "../types.js";
import type { Frame } from "../wire.js";

/** Milliseconds, but for the two outbox bounds. */
export interface Config {
  /** Undefined: the service's advice, else the default. */
  readonly baseMs: number | undefined;
  readonly maxMs: number | undefined;
  readonly lookupMs: number;
  readonly openMs: number;
  readonly sendMs: number;
  readonly probeMs: number;
  readonly detachMs: number;
  readonly outboxMessages: number;
  readonly outboxChars: number;
  /** Whether another token can be had by asking again. */
  readonly renewable: boolean;
}

/** A send without an answer. */
export interface Entry {
  readonly ref: string;
  readonly text: string;
  readonly ephemeral: boolean;
  /** Wall clock at which it fails. */
  readonly until: number;
  /** The socket that carries it; 0: none. */
  readonly socket: number;
}

/** A socket from its opening to the node's `welcome`. */
export interface Dial {
  readonly socket: number;
  readonly grant: LookupAnswer;
  /** The session that this one takes the place of. */
  readonly replaces: string | undefined;
  /** `hello` is written. */
  readonly greeted: boolean;
  /** The node's last `error` without a `ref`. */
  readonly complaint: RingdialError | undefined;
}

/** A socket after `welcome`. */
export interface Link {
  readonly socket: number;
  readonly session: string;
  readonly user: string;
  readonly node: string;
  readonly heartbeatMs: number;
  /** Wall clock at which the client was last connected anew; a move does not change it. */
  readonly since: number;
  /** Wall clock of the last frame. */
  readonly heardAt: number;
  readonly complaint: RingdialError | undefined;
}

export interface Move {
  readonly reason: string;
  readonly grant: LookupAnswer;
  /** `spread`: waits for its random time. `ready`: waits until an earlier move's old socket is gone. */
  readonly stage: "spread" | "ready" | Dial;
}

export type Step =
  /** `firm`: the server said when, `wake` does not cut it short. */
  | { readonly at: "waiting"; readonly until: number; readonly firm: boolean; readonly reason: Reason }
  | { readonly at: "looking"; readonly ask: number; readonly reason: Reason }
  | { readonly at: "dialling"; readonly dial: Dial };

export interface Seeking {
  readonly name: "seeking";
  /** Not connected since `connect()`. */
  readonly first: boolean;
  readonly step: Step;
  readonly cause: RingdialError | undefined;
}

export interface Connected {
  readonly name: "connected";
  readonly link: Link;
  readonly move: Move | undefined;
  /** The old socket of a finished move, until its `bye`; 0: none. */
  readonly retiring: number;
  /** The dead-line has passed or `wake` asks: the next timer without a frame in between ends the link. */
  readonly suspect: boolean;
}

export type Mode =
  | { readonly name: "idle" }
  | Seeking
  | Connected
  | { readonly name: "closed"; readonly cause: RingdialError | undefined };

export interface State {
  readonly config: Config;
  readonly mode: Mode;
  /** In the order of sending. */
  readonly outbox: readonly Entry[];
  /** Nodes that could not be reached, with the wall clock until which they are avoided. */
  readonly avoid: readonly { readonly node: string; readonly until: number }[];
  /** In a row, without 30 s of health in between. */
  readonly failures: number;
  /** A newer token was already asked for since the last 30 s of health. */
  readonly refreshed: boolean;
  /** The service's and the node's last advice. */
  readonly baseMs: number;
  readonly maxMs: number;
  readonly spreadMs: number;
  /** Number of the next socket or lookup. */
  readonly next: number;
}

export type TimerName =
  /** The retry loop's only timer: back-off, lookup or dial. */
  | "loop"
  /** The link's dead-line. */
  | "alive"
  /** A move's spread, then its dial. */
  | "move"
  /** The wait for `bye`. */
  | "retire"
  /** The oldest send's time. */
  | "outbox";

export type Happening =
  | { readonly type: "connect" | "close" | "wake" }
  | { readonly type: "granted"; readonly ask: number; readonly grant: LookupAnswer }
  | { readonly type: "refused"; readonly ask: number; readonly error: RingdialError; readonly policy: Policy }
  | { readonly type: "opened"; readonly socket: number }
  | { readonly type: "heard"; readonly socket: number; readonly frame: Frame }
  | { readonly type: "down"; readonly socket: number; readonly code: number; readonly reason: string }
  | { readonly type: "timer"; readonly name: TimerName }
  | { readonly type: "send"; readonly ref: string; readonly text: string; readonly ephemeral: boolean }
  | { readonly type: "cancel"; readonly ref: string };

/** What happened, with the wall clock and a random number in [0, 1): the machine has neither. */
export type Event = Happening & { readonly now: number; readonly roll: number };

export type Effect =
  | { readonly do: "look"; readonly ask: number; readonly reason: Reason; readonly avoid: readonly string[] }
  /** Give up the lookup under way, if there is one. */
  | { readonly do: "abandon" }
  | { readonly do: "open"; readonly socket: number; readonly url: string; readonly protocols: readonly string[] }
  | { readonly do: "write"; readonly socket: number; readonly text: string }
  /** Close the socket and hear no more of it. */
  | { readonly do: "drop"; readonly socket: number }
  | { readonly do: "arm"; readonly timer: TimerName; readonly ms: number }
  | { readonly do: "disarm"; readonly timer: TimerName }
  | { readonly do: "settle"; readonly ref: string; readonly ack: Ack }
  | { readonly do: "fail"; readonly ref: string; readonly error: RingdialError }
  | { readonly do: "message"; readonly value: Message }
  | { readonly do: "status"; readonly value: Status }
  | { readonly do: "moved"; readonly value: Moved }
  | { readonly do: "error"; readonly value: RingdialError };

/** The state after an event and what is to be done, in this order. */
export interface Next {
  readonly state: State;
  readonly effects: readonly Effect[];
}

const BASE_MS = 500;
const MAX_MS = 30_000;
const SPREAD_MS = 500;

export function initial(config: Config): State {
  return {
    config,
    mode: { name: "idle" },
    outbox: [],
    avoid: [],
    failures: 0,
    refreshed: false,
    baseMs: config.baseMs ?? BASE_MS,
    maxMs: config.maxMs ?? MAX_MS,
    spreadMs: SPREAD_MS,
    next: 1,
  };
}

export function statusOf({ mode, failures }: State): Status {
  switch (mode.name) {
    case "idle":
      return { state: "idle" };
    case "closed":
      return { state: "closed", ...(mode.cause && { cause: mode.cause }) };
    case "connected": {
      const { node, user, session, since } = mode.link;
      return { state: "connected", node, user, session, since };
    }
    case "seeking":
      return {
        state: mode.first ? "connecting" : "reconnecting",
        attempt: failures + 1,
        ...(mode.step.at === "waiting" && { retryAt: mode.step.until }),
        ...(mode.cause && { cause: mode.cause }),
      };
  }
}
