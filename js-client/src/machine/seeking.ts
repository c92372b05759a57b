/** Connecting and reconnecting: the one retry loop. Each round is a new lookup: token, lookup, connect. */
import { delay, type Pace } from "../backoff.js";
import { AuthError, RingdialError } from "../errors.js";
import type { Reason } from "../types.js";
import { connected } from "./connected.js";
import { dial, dialled, type Failure, overdue, shun } from "./dial.js";
import { remove } from "./outbox.js";
import type { Dial, Effect, Event, Next, Seeking, State, Step } from "./state.js";

type Why = Omit<Failure, "unreachable">;

/** Starts a round at once. */
export function look(state: State, now: number, reason: Reason, first: boolean, cause?: RingdialError): Next {
  const ask = state.next;
  const avoid = state.avoid.filter((entry) => entry.until > now);
  const mode: Seeking = { name: "seeking", first, step: { at: "looking", ask, reason }, cause };
  return {
    state: { ...state, avoid, next: ask + 1, mode },
    effects: [
      { do: "look", ask, reason, avoid: avoid.map((entry) => entry.node) },
      { do: "arm", timer: "loop", ms: state.config.lookupMs },
    ],
  };
}

/** After a failure: another round, now or later, or the end. The caller has dropped the sockets and taken them out of the mode. */
export function retry(state: State, event: Event, first: boolean, why: Why): Next {
  const { policy, error, adviceMs } = why;
  if (policy === "stop") return stop(state, error);
  if (policy === "refresh" && (state.refreshed || !state.config.renewable)) {
    return stop(state, error instanceof AuthError ? error : new AuthError(error.message, { cause: error }));
  }
  const reason: Reason = policy === "refresh" ? "rejected" : "lost";
  const pace: Pace = { baseMs: state.baseMs, maxMs: state.maxMs, spreadMs: state.spreadMs };
  const ms = delay(policy, state.failures, event.roll, pace, adviceMs);
  const counted: State = {
    ...state,
    failures: state.failures + 1,
    refreshed: state.refreshed || policy === "refresh",
  };
  const notice: Effect = { do: "error", value: error };
  if (ms === 0) {
    const next = look(counted, event.now, reason, first, error);
    return { state: next.state, effects: [notice, ...next.effects] };
  }
  const step: Step = { at: "waiting", until: event.now + ms, firm: adviceMs !== undefined, reason };
  return {
    state: { ...counted, mode: { name: "seeking", first, step, cause: error } },
    effects: [notice, { do: "arm", timer: "loop", ms }],
  };
}

/** The end, until the application acts. Everything that may be under way is ended, be it so or not. */
export function stop(state: State, cause: RingdialError | undefined): Next {
  const { mode } = state;
  const sockets: number[] = [];
  if (mode.name === "seeking" && mode.step.at === "dialling") sockets.push(mode.step.dial.socket);
  if (mode.name === "connected") {
    sockets.push(mode.link.socket);
    if (mode.retiring) sockets.push(mode.retiring);
    if (typeof mode.move?.stage === "object") sockets.push(mode.move.stage.socket);
  }
  const emptied = remove(
    { ...state, mode: { name: "closed", cause } },
    () => true,
    () => new RingdialError("closed", "the client was closed", false, cause ? { cause } : {}),
  );
  const timers = ["loop", "alive", "move", "retire", "outbox"] as const;
  return {
    state: emptied.state,
    effects: [
      { do: "abandon" },
      ...timers.map((timer): Effect => ({ do: "disarm", timer })),
      ...sockets.map((socket): Effect => ({ do: "drop", socket })),
      ...emptied.effects,
      ...(cause ? [{ do: "error", value: cause } as const] : []),
    ],
  };
}

export function seeking(state: State, mode: Seeking, event: Event): Next {
  const { step } = mode;
  if (step.at === "dialling") return dialling(state, mode, step.dial, event);
  if (event.type === "timer" && event.name === "loop") {
    if (step.at === "waiting") return look(state, event.now, step.reason, mode.first, mode.cause);
    const error = new RingdialError("lookup_timeout", "the lookup took too long", true);
    const next = retry(state, event, mode.first, { policy: "lost", error, adviceMs: undefined });
    return { state: next.state, effects: [{ do: "abandon" }, ...next.effects] };
  }
  if (step.at === "waiting" && event.type === "wake" && !step.firm) {
    return look(state, event.now, step.reason === "rejected" ? step.reason : "wake", mode.first, mode.cause);
  }
  if (step.at !== "looking" || !("ask" in event) || event.ask !== step.ask) return { state, effects: [] };
  if (event.type === "refused") {
    const { policy, error } = event;
    const next = retry(state, event, mode.first, { policy, error, adviceMs: error.retryAfterMs });
    return { state: next.state, effects: [{ do: "disarm", timer: "loop" }, ...next.effects] };
  }
  const { grant } = event;
  const advised: State = {
    ...state,
    baseMs: state.config.baseMs ?? grant.retry?.base_ms ?? state.baseMs,
    maxMs: state.config.maxMs ?? grant.retry?.max_ms ?? state.maxMs,
  };
  const [opening, attempt, open] = dial(advised, grant);
  return {
    state: { ...opening, mode: { ...mode, step: { at: "dialling", dial: attempt } } },
    effects: [{ do: "arm", timer: "loop", ms: state.config.openMs }, open],
  };
}

function dialling(state: State, mode: Seeking, attempt: Dial, event: Event): Next {
  if (event.type === "timer" && event.name === "loop") return failed(state, mode, attempt, event, overdue());
  if (!("socket" in event) || event.socket !== attempt.socket) return { state, effects: [] };
  const result = dialled(attempt, event);
  if (result.is === "welcome") {
    const next = connected(state, event, attempt, result.welcome);
    return { state: next.state, effects: [{ do: "disarm", timer: "loop" }, ...next.effects] };
  }
  if (result.is === "failed") return failed(state, mode, attempt, event, result.failure);
  const step: Step = { at: "dialling", dial: result.dial };
  return { state: { ...state, mode: { ...mode, step } }, effects: result.effects };
}

function failed(state: State, mode: Seeking, attempt: Dial, event: Event, failure: Failure): Next {
  const shunned = failure.unreachable ? shun(state, attempt.grant.node, event.now) : state;
  const next = retry({ ...shunned, mode: { name: "idle" } }, event, mode.first, failure);
  return {
    state: next.state,
    effects: [{ do: "disarm", timer: "loop" }, { do: "drop", socket: attempt.socket }, ...next.effects],
  };
}
