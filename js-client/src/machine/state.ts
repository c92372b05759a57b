/** The state machine's values: state, events, effects. See transition.ts. */
import type { Failure } from "../codes.js";
import type { RingdialError } from "../errors.js";
import type { Ack, Gap, LookupAnswer, Message, Moved, PresenceChange, Reason, Since, Status } from "../types.js";
import type { Frame } from "../wire.js";
import type { Turn } from "./turn.js";

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
  readonly maxMessages: number;
  readonly maxBytes: number;
  /** Whether another token can be had by asking again. */
  readonly renewable: boolean;
  /** Undefined: this client has no groups but those of its token. */
  readonly rules: GroupRules | undefined;
}

/** What a client that joins groups knows more: machine/groups.ts. */
export interface GroupRules {
  /** Those that `hello` names. */
  named(t: Turn): string[];
  /** Says on the link what it was not told yet. */
  ask(t: Turn): void;
  /** The time of those that were refused for the time being is over. */
  again(t: Turn): void;
  /** What a socket's node said of a topic was noted. */
  stood(t: Turn, socket: number, topic: string): void;
  /** An `ack` or `error` that is no send's. */
  replied(t: Turn, frame: Frame): void;
  /** Any frame of the link. */
  heard(t: Turn, frame: Frame): void;
  /** A group that the application wants is not followed. */
  refuse(t: Turn, topic: string, code: string): void;
  follow(t: Turn, topic: string, since: Since | undefined, presence: boolean): void;
  unfollow(t: Turn, topic: string): void;
}

/** A send without an answer. */
export interface Entry {
  readonly ref: string;
  readonly text: string;
  /** What it takes on the wire. */
  readonly bytes: number;
  readonly ephemeral: boolean;
  /** No answer will come: written is done. */
  readonly silent: boolean;
  /** As how many sends the node counts it. */
  readonly cost: number;
  /** Wall clock at which it fails. */
  readonly until: number;
  /** The socket that carried it last; 0: none. */
  readonly socket: number;
}

/** A topic that is followed: the inbox, the token's groups, the application's groups. */
export interface Topic {
  /** The position: the last durable message that the user was given, or has to do without. */
  readonly epoch?: string | undefined;
  /** Without an epoch: what the application asked for, and has not had yet. */
  readonly offset?: number | undefined;
  /** Sockets that go by the epoch before: they still have to tell what another one has told. */
  readonly behind?: readonly number[] | undefined;
  /** What the application wants of a group. Undefined: it has not said anything, the inbox and the token's groups come by themselves. */
  readonly want?: "join" | "leave";
  /**
   * The first socket that counts: what an older one brings of a group that was left and joined again is of the earlier time.
   * Infinity: no node has said yet that the session is in it.
   */
  readonly from?: number;
  readonly presence?: boolean;
  /** It is joined again: first the `leave` of before must be answered, or `since` would be ignored. */
  readonly leaving?: boolean;
  /** The socket that was told what is wanted, negative if it refused for the time being; 0: none. */
  readonly asked: number;
  /** The `ref` it was told with, until the answer. */
  readonly ref?: string | undefined;
  /** The last socket whose session was said to be in it. */
  readonly inside?: number;
  /** The socket on which the log has not answered yet; 0: none. */
  readonly pending?: number;
}

/** A socket from its opening to the node's `welcome`: the retry loop's, or a move's. */
export interface Dial {
  readonly socket: number;
  readonly grant: LookupAnswer;
  /** What the node said against its `hello`. */
  readonly refusal?: RingdialError | undefined;
}

/** A socket after `welcome`. */
export interface Link {
  readonly socket: number;
  readonly session: string;
  readonly user: string;
  readonly node: string;
  readonly heartbeatMs: number;
  /** The most that the node takes as one message, in bytes of UTF-8. */
  readonly mostBytes: number;
  /** How long the node takes to allow one more send, in milliseconds; 0: no limit. */
  readonly stepMs: number;
  /** The same for as many as it allows at once. */
  readonly burstMs: number;
  /** Wall clock at which it allows as many again. */
  readonly paidAt: number;
  /** Wall clock at which the client was last connected anew; a move does not change it. */
  readonly since: number;
  /** Wall clock of the last frame. */
  readonly heardAt: number;
}

/**
 * Seeking (`connecting`, `reconnecting`) is in one of three steps: a lookup (`ask`), a socket (`dial`), or a wait
 * (`retryAt`). Connected has a `link`, and beside it at most one more socket: `dial` or `old`.
 */
export interface State {
  readonly config: Config;
  readonly phase: Status["state"];
  /** Number of the lookup under way; 0: none. */
  readonly ask: number;
  /** Why this round, or the one being waited for, is made. */
  readonly reason: Reason;
  /** Wall clock of the next round; 0: it is not being waited for. */
  readonly retryAt: number;
  /** Why the last attempt or connection ended. */
  readonly cause?: RingdialError | undefined;
  readonly dial?: Dial | undefined;
  readonly link?: Link | undefined;
  /** The old socket of a finished move, until its `bye`; 0: none. */
  readonly old: number;
  /** It was let go: not before every topic has recovered on the new one. */
  readonly detached: boolean;
  /** Where the node asked the client to move, until it begins to. While `dial` is set beside the link, it is being done. */
  readonly offer?: LookupAnswer | undefined;
  /** The last frame, if it was an `error` without a `ref`: why the node is about to close. */
  readonly said?: RingdialError | undefined;
  /** The dead-line has passed or `wake` asks: the next timer without a frame in between ends the link. */
  readonly suspect: boolean;
  /** In the order of sending. */
  readonly sends: readonly Entry[];
  /** By name. They outlive connections, and `closed` too. */
  readonly places: Readonly<Record<string, Topic>>;
  /** The page is hidden or the device offline: only the first try comes early. */
  readonly absent: boolean;
  /** Nodes that could not be reached since the last `welcome`. */
  readonly avoided: readonly string[];
  /** In a row, without a while of health in between. */
  readonly failures: number;
  /** A newer token was already asked for since the last while of health. */
  readonly refreshed: boolean;
  /** The service's and the node's last advice. */
  readonly baseMs: number;
  readonly maxMs: number;
  readonly spreadMs: number;
  /** Number of the last socket or lookup. */
  readonly counter: number;
}

export type TimerName =
  /** The next step: back-off, lookup or dial of the retry loop; or of a move its random time, then its dial. */
  | "loop"
  /** The link's dead-line. */
  | "alive"
  /** The wait for `bye`. */
  | "retire"
  /** The oldest send's time. */
  | "outbox"
  /** Until the node allows the next send. */
  | "pace"
  /** Until a `join` or `leave` is repeated that was refused for the time being. */
  | "join";

/** What happened: its name and its arguments. */
export type Happening =
  | ["connect"]
  | ["close"]
  | ["wake"]
  | ["away", away: boolean]
  /** Any request that is answered; repeated on a new connection unless it is ephemeral. */
  | ["send", ref: string, text: string, ephemeral: boolean, silent: boolean, cost?: number]
  | ["cancel", ref: string]
  /** Answered with `settle` or `fail` under the topic's name. */
  | ["follow", topic: string, since: Since | undefined, presence: boolean]
  | ["unfollow", topic: string]
  | ["granted", ask: number, grant: LookupAnswer]
  | ["refused", ask: number, failure: Failure]
  | ["opened", socket: number]
  | ["heard", socket: number, frame: Frame]
  /** Closed, or never opened. Nothing more comes from that socket. */
  | ["down", socket: number, code: number, reason: string]
  /** Its time is over. */
  | ["timer", name: TimerName];

/** With the wall clock and a random number in [0, 1): the machine has neither. */
export interface Event {
  readonly what: Happening;
  readonly now: number;
  readonly roll: number;
}

/** What is to be done: its name and its arguments, as the shell's actions take them. */
export type Effect =
  | ["look", ask: number, reason: Reason, avoid: readonly string[]]
  /** Give up the lookup under way, if there is one. */
  | ["abandon"]
  | ["open", socket: number, grant: LookupAnswer]
  | ["write", socket: number, text: string]
  /** Close the socket and hear no more of it. */
  | ["drop", socket: number]
  | ["arm", timer: TimerName, ms: number]
  /** Whatever timer there is. One that has lost its purpose may fire before: nothing comes of it. */
  | ["disarm"]
  | ["settle", ref: string, ack: Ack]
  | ["fail", ref: string, error: RingdialError]
  | ["emit", name: "message", value: Message]
  | ["emit", name: "status", value: Status]
  | ["emit", name: "presence", value: PresenceChange]
  | ["emit", name: "gap", value: Gap]
  | ["emit", name: "moved", value: Moved]
  | ["emit", name: "error", value: RingdialError];

/** The state after an event and what is to be done, in this order. */
export interface Next {
  readonly state: State;
  readonly effects: readonly Effect[];
}

export function initial(config: Config): State {
  return {
    config,
    phase: "idle",
    ask: 0,
    reason: "start",
    retryAt: 0,
    dial: undefined,
    link: undefined,
    offer: undefined,
    said: undefined,
    old: 0,
    detached: false,
    suspect: false,
    sends: [],
    places: {},
    absent: false,
    avoided: [],
    failures: 0,
    refreshed: false,
    baseMs: config.baseMs ?? 500,
    maxMs: config.maxMs ?? 30_000,
    spreadMs: 500,
    counter: 0,
  };
}

export function statusOf({ phase: state, link, failures, retryAt, cause }: State): Status {
  if (link) {
    const { node, user, session, since } = link;
    return { state: "connected", node, user, session, since };
  }
  const trying = state.endsWith("ing") && { attempt: failures + 1, ...(retryAt && { retryAt }) };
  return { state, ...trying, ...(cause && { cause }) } as Status;
}
