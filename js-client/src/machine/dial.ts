/** A socket from its opening to `welcome`: the same for the retry loop and for a move. */
import { closeName, closePolicy, type Policy } from "../codes.js";
import { AuthError, RingdialError } from "../errors.js";
import type { LookupAnswer } from "../types.js";
import { type Frame, helloFrame, PONG, readWelcome, type Welcome } from "../wire.js";
import { complaint } from "./outbox.js";
import type { Dial, Effect, Event, State } from "./state.js";

/** As long as nodes honour an `avoid` (design: five minutes). */
const AVOID_MS = 300_000;
const AVOID_MAX = 8;

/** Opens a socket. The caller arms its own timer for it. */
export function dial(state: State, grant: LookupAnswer, replaces?: string): [State, Dial, Effect] {
  const socket = state.next;
  return [
    { ...state, next: socket + 1 },
    { socket, grant, replaces, greeted: false, complaint: undefined },
    { do: "open", socket, url: grant.url, protocols: grant.protocols },
  ];
}

/** What became of a dial by an event of its socket. */
export type Dialled =
  | { readonly is: "dialling"; readonly dial: Dial; readonly effects: readonly Effect[] }
  | { readonly is: "welcome"; readonly welcome: Welcome }
  | { readonly is: "failed"; readonly failure: Failure };

/** Why a socket is of no more use, and what that asks for. */
export interface Failure {
  readonly policy: Policy;
  readonly error: RingdialError;
  readonly adviceMs: number | undefined;
  /** The node could not be reached at all. */
  readonly unreachable: boolean;
}

export function dialled(dial: Dial, event: Event): Dialled {
  const same: Dialled = { is: "dialling", dial, effects: [] };
  switch (event.type) {
    case "opened": {
      const hello: Effect = { do: "write", socket: dial.socket, text: helloFrame(dial.replaces) };
      return { is: "dialling", dial: { ...dial, greeted: true }, effects: [hello] };
    }
    case "heard":
      return greeted(dial, event.frame) ?? same;
    case "down":
      return { is: "failed", failure: closed(event.code, event.reason, dial.complaint, true) };
    default:
      return same;
  }
}

function greeted(dial: Dial, frame: Frame): Dialled | undefined {
  if (frame.op === "ping") return { is: "dialling", dial, effects: [{ do: "write", socket: dial.socket, text: PONG }] };
  if (frame.op === "error") return { is: "dialling", dial: { ...dial, complaint: complaint(frame) }, effects: [] };
  if (frame.op !== "welcome") return undefined;
  const welcome = readWelcome(frame);
  if (welcome) return { is: "welcome", welcome };
  const error = new RingdialError("bad_welcome", "the node's welcome has no session", true);
  return { is: "failed", failure: { policy: "later", error, adviceMs: undefined, unreachable: false } };
}

/** The node did not open, or did not answer `hello`, in time. */
export function overdue(): Failure {
  const error = new RingdialError("connect_timeout", "the node did not answer in time", true);
  return { policy: "lost", error, adviceMs: undefined, unreachable: true };
}

/** A close code, with what the node had said before. */
export function closed(code: number, reason: string, said: RingdialError | undefined, dialling: boolean): Failure {
  const policy = closePolicy(code);
  const unreachable = dialling && policy === "lost";
  const message = said?.message || reason || (unreachable ? "the node could not be reached" : "the connection was lost");
  const details = { closeCode: code, ...(said?.retryAfterMs !== undefined && { retryAfterMs: said.retryAfterMs }) };
  const error =
    policy === "refresh"
      ? new AuthError(message, details)
      : new RingdialError(unreachable ? "unreachable" : said?.code || closeName(code), message, policy !== "stop", details);
  return { policy, error, adviceMs: said?.retryAfterMs, unreachable };
}

/** Notes a node that could not be reached. */
export function shun(state: State, node: string | undefined, now: number): State {
  if (node === undefined) return state;
  const others = state.avoid.filter((entry) => entry.node !== node && entry.until > now);
  return { ...state, avoid: [...others, { node, until: now + AVOID_MS }].slice(-AVOID_MAX) };
}
