/**
 * The client's only decision maker: `transition(state, event) -> {state, effects}`. Pure: the wall clock and randomness come
 * with the event. Every failure is an event.
 *
 *     idle --connect--> seeking --welcome--> connected          seeking: looking -> dialling -> (failure) waiting -> looking
 *                          ^---- link lost -----'               connected: a move keeps the old socket until the new one's welcome
 *     any --close, or a code that stops--> closed --connect--> seeking
 *
 * What holds after every event (test/machine.random.test.ts): at most two sockets; the timer `loop` is armed exactly
 * while seeking, so there is one retry loop; after `closed` no timer, no socket, no send.
 */
import { RingdialError } from "../errors.js";
import { inConnection } from "./connected.js";
import { expire, remove, send } from "./outbox.js";
import { look, seeking, stop } from "./seeking.js";
import { type Event, type Mode, type Next, type State, statusOf } from "./state.js";

export function transition(state: State, event: Event): Next {
  const next = decide(state, event);
  if (!statusChanged(state, next.state)) return next;
  return { state: next.state, effects: [...next.effects, { do: "status", value: statusOf(next.state) }] };
}

function decide(state: State, event: Event): Next {
  const { mode } = state;
  switch (event.type) {
    case "connect":
      if (mode.name !== "idle" && mode.name !== "closed") return { state, effects: [] };
      return look({ ...state, failures: 0, refreshed: false, avoid: [] }, event.now, "start", true);
    case "close":
      return mode.name === "closed" ? { state, effects: [] } : stop(state, undefined);
    case "send":
      return send(state, event);
    case "cancel":
      return remove(
        state,
        (entry) => entry.ref === event.ref,
        () => new RingdialError("aborted", "the send was aborted", false),
      );
    default:
      if (event.type === "timer" && event.name === "outbox") return expire(state, event.now);
      if (mode.name === "seeking") return seeking(state, mode, event);
      if (mode.name === "connected") return inConnection(state, mode, event);
      return { state, effects: [] };
  }
}

/** A move is no change: the user stays connected. */
function statusChanged(before: State, after: State): boolean {
  const [a, b]: [Mode, Mode] = [before.mode, after.mode];
  if (a === b) return false;
  if (a.name !== "seeking" || b.name !== "seeking") return a.name !== b.name;
  const [from, to] = [a.step, b.step];
  const waits = (from.at === "waiting" ? from.until : 0) !== (to.at === "waiting" ? to.until : 0);
  return waits || before.failures !== after.failures;
}
