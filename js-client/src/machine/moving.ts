/**
 * A move to another node, made before the old connection is broken: at no moment is the client without a socket, and
 * never has it more than two. A move that fails leaves it where it is, without a lookup.
 */
import { RingdialError } from "../errors.js";
import { asText, DETACH, type Frame, positive, readGrant, type Welcome } from "../wire.js";
import { deadline, linkOf, met } from "./connected.js";
import { dial, dialled, type Failure, overdue, shun } from "./dial.js";
import { flush, orphan } from "./outbox.js";
import type { Connected, Dial, Effect, Event, Move, Next, State } from "./state.js";

export function candidateOf(mode: Connected): Dial | undefined {
  return typeof mode.move?.stage === "object" ? mode.move.stage : undefined;
}

/** `moved`: go there after a random part of the spread. A newer one replaces one that has not begun. */
export function plan(state: State, mode: Connected, event: Event, frame: Frame): Next {
  const grant = readGrant(frame);
  if (!grant || candidateOf(mode)) return { state, effects: [] };
  const move: Move = { grant, reason: asText(frame["reason"]), stage: "spread" };
  const ms = Math.floor(event.roll * (positive(frame["spread_ms"]) ?? 0));
  return { state: { ...state, mode: { ...mode, move } }, effects: [{ do: "arm", timer: "move", ms }] };
}

/** The spread is over, or the socket it waited for is gone. */
export function start(state: State, mode: Connected, move: Move): Next {
  if (mode.retiring) return { state: { ...state, mode: { ...mode, move: { ...move, stage: "ready" } } }, effects: [] };
  const [opening, attempt, open] = dial(state, move.grant, mode.link.session);
  return {
    state: { ...opening, mode: { ...mode, move: { ...move, stage: attempt } } },
    effects: [{ do: "arm", timer: "move", ms: state.config.openMs }, open],
  };
}

/** Events of the new socket, and its time-out. */
export function candidate(state: State, mode: Connected, event: Event): Next {
  const attempt = candidateOf(mode);
  const { move } = mode;
  if (!attempt || !move) return { state, effects: [] };
  if (event.type === "timer" && event.name === "move") return failed(state, mode, attempt, event, overdue());
  if (!("socket" in event) || event.socket !== attempt.socket) return { state, effects: [] };
  const result = dialled(attempt, event);
  if (result.is === "failed") return failed(state, mode, attempt, event, result.failure);
  if (result.is === "welcome") return arrived(state, mode, move, attempt, event, result.welcome);
  return {
    state: { ...state, mode: { ...mode, move: { ...move, stage: result.dial } } },
    effects: result.effects,
  };
}

/** Repeats what the old node has not answered, in order, and only then lets the old socket go. */
function arrived(state: State, mode: Connected, move: Move, attempt: Dial, event: Event, welcome: Welcome): Next {
  const old = mode.link;
  const link = linkOf(attempt.socket, welcome, event.now, old.since);
  const there: Connected = { name: "connected", link, move: undefined, retiring: old.socket, suspect: false };
  const next = flush(met(state, there, welcome));
  return {
    state: next.state,
    effects: [
      { do: "disarm", timer: "move" },
      { do: "arm", timer: "alive", ms: deadline(link) },
      ...next.effects,
      { do: "write", socket: old.socket, text: DETACH },
      { do: "arm", timer: "retire", ms: state.config.detachMs },
      { do: "moved", value: { from: old.node, to: link.node, reason: move.reason } },
    ],
  };
}

function failed(state: State, mode: Connected, attempt: Dial, event: Event, failure: Failure): Next {
  const shunned = failure.unreachable ? shun(state, attempt.grant.node, event.now) : state;
  const error = new RingdialError("move_failed", "the node to move to did not take the connection", true, {
    cause: failure.error,
    remedy: "Nothing: the connection stays where it is.",
  });
  return {
    state: { ...shunned, mode: { ...mode, move: undefined } },
    effects: [
      { do: "disarm", timer: "move" },
      { do: "drop", socket: attempt.socket },
      { do: "error", value: error },
    ],
  };
}

/** The old socket said `bye`, closed, or took too long: nothing more is expected of it. */
export function released(state: State, mode: Connected): Next {
  const effects: Effect[] = [
    { do: "disarm", timer: "retire" },
    { do: "drop", socket: mode.retiring },
  ];
  const alone: Connected = { ...mode, retiring: 0 };
  const orphaned = orphan({ ...state, mode: alone }, mode.retiring);
  const flushed = flush(orphaned.state);
  effects.push(...orphaned.effects, ...flushed.effects);
  if (mode.move?.stage !== "ready") return { state: flushed.state, effects };
  const next = start(flushed.state, alone, mode.move);
  return { state: next.state, effects: [...effects, ...next.effects] };
}
