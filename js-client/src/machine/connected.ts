/** Connected: frames of the link, its dead-line, and its loss. Moves are in moving.ts. */
import { REPLACED } from "../codes.js";
import { RingdialError } from "../errors.js";
import { PONG, PROBE, readMessage, type Frame, type Welcome } from "../wire.js";
import { closed, type Failure } from "./dial.js";
import { candidate, candidateOf, plan, released, start } from "./moving.js";
import { answered, complaint, flush, orphan } from "./outbox.js";
import { retry } from "./seeking.js";
import type { Connected, Dial, Effect, Event, Link, Next, State } from "./state.js";

/** Beyond two heartbeats: the slack of networks and throttled timers. */
const GRACE_MS = 10_000;
/** After a sleep the dead-line has passed, but frames may be waiting in the socket. */
const LAST_CHANCE_MS = 1_000;
/** A connection that held for so long clears the count of failures. */
const HEALTHY_MS = 30_000;

/** How long a link may be silent. */
export function deadline(link: Link): number {
  return link.heartbeatMs * 2 + GRACE_MS;
}

/** The retry loop's end: `welcome`. */
export function connected(state: State, event: Event, attempt: Dial, welcome: Welcome): Next {
  const link = linkOf(attempt.socket, welcome, event.now, event.now);
  const mode: Connected = { name: "connected", link, move: undefined, retiring: 0, suspect: false };
  const next = flush(met(state, mode, welcome));
  return { state: next.state, effects: [{ do: "arm", timer: "alive", ms: deadline(link) }, ...next.effects] };
}

export function linkOf(socket: number, welcome: Welcome, now: number, since: number): Link {
  const { session, user, node, heartbeatMs } = welcome;
  return { socket, session, user, node, heartbeatMs, since, heardAt: now, complaint: undefined };
}

/** A node that said `welcome` can be reached, and its advice is the newest. */
export function met(state: State, mode: Connected, welcome: Welcome): State {
  return {
    ...state,
    mode,
    spreadMs: welcome.spreadMs,
    avoid: state.avoid.filter((entry) => entry.node !== welcome.node),
  };
}

export function inConnection(state: State, mode: Connected, event: Event): Next {
  switch (event.type) {
    case "heard":
    case "opened":
    case "down":
      if (event.socket === mode.link.socket) return ofLink(state, mode, event);
      if (event.socket === mode.retiring) return ofRetiring(state, mode, event);
      return candidate(state, mode, event);
    case "timer":
      if (event.name === "alive") return silence(state, mode, event);
      if (event.name === "retire") return released(state, mode);
      if (event.name === "move" && mode.move?.stage === "spread") return start(state, mode, mode.move);
      return candidate(state, mode, event);
    case "wake":
      return probe(state, mode);
    default:
      return { state, effects: [] };
  }
}

function ofLink(state: State, mode: Connected, event: Event): Next {
  if (event.type === "down") return lost(state, mode, event, closed(event.code, event.reason, mode.link.complaint, false));
  if (event.type !== "heard") return { state, effects: [] };
  const { frame } = event;
  const link: Link = { ...mode.link, heardAt: event.now };
  const alive: Connected = { ...mode, link, suspect: false };
  const next: State = { ...state, mode: alive };
  // The dead-line was cut short for a probe: give it its full length again.
  const restored: Effect[] = mode.suspect ? [{ do: "arm", timer: "alive", ms: deadline(link) }] : [];
  const then = (more: Next): Next => ({ state: more.state, effects: [...restored, ...more.effects] });
  if (frame.op === "moved") return then(plan(next, alive, event, frame));
  if (frame.op === "error" && frame["ref"] === undefined) {
    const error = complaint(frame);
    const noted: State = { ...next, mode: { ...alive, link: { ...link, complaint: error } } };
    return then({ state: noted, effects: [{ do: "error", value: error }] });
  }
  return then(common(next, link.socket, frame));
}

/** Frames that mean the same on the link and on the old socket of a move. */
function common(state: State, socket: number, frame: Frame): Next {
  switch (frame.op) {
    case "ping":
      return { state, effects: [{ do: "write", socket, text: PONG }] };
    case "message":
      return { state, effects: [{ do: "message", value: readMessage(frame) }] };
    case "ack":
    case "error":
      return answered(state, socket, frame);
    default:
      return { state, effects: [] };
  }
}

function ofRetiring(state: State, mode: Connected, event: Event): Next {
  if (event.type === "down" || (event.type === "heard" && event.frame.op === "bye")) return released(state, mode);
  if (event.type !== "heard") return { state, effects: [] };
  const next = common(state, mode.retiring, event.frame);
  // An answer may have been what later ephemeral sends were waiting for.
  const flushed = flush(next.state);
  return { state: flushed.state, effects: [...next.effects, ...flushed.effects] };
}

/** The dead-line, by the wall clock: timers of sleeping machines and hidden pages come late. */
function silence(state: State, mode: Connected, event: Event): Next {
  const left = mode.link.heardAt + deadline(mode.link) - event.now;
  if (mode.suspect) {
    const error = new RingdialError("silent", "nothing was heard of the node", true);
    return lost(state, mode, event, { policy: "now", error, adviceMs: undefined, unreachable: false });
  }
  if (left > 0) {
    const ms = Math.min(left, deadline(mode.link));
    return { state, effects: [{ do: "arm", timer: "alive", ms }] };
  }
  return suspect(state, mode, LAST_CHANCE_MS);
}

function probe(state: State, mode: Connected): Next {
  return mode.suspect ? { state, effects: [] } : suspect(state, mode, state.config.probeMs);
}

function suspect(state: State, mode: Connected, ms: number): Next {
  return {
    state: { ...state, mode: { ...mode, suspect: true } },
    effects: [
      { do: "write", socket: mode.link.socket, text: PROBE },
      { do: "arm", timer: "alive", ms },
    ],
  };
}

/** The link is gone. A move under way becomes the reconnect; otherwise the loop starts. */
function lost(state: State, mode: Connected, event: Event, failure: Failure): Next {
  const { link, retiring } = mode;
  const attempt = candidateOf(mode);
  const effects: Effect[] = [
    { do: "disarm", timer: "alive" },
    { do: "disarm", timer: "move" },
    { do: "disarm", timer: "retire" },
    { do: "drop", socket: link.socket },
  ];
  if (retiring) effects.push({ do: "drop", socket: retiring });
  const one = orphan(state, link.socket);
  const two = orphan(one.state, retiring || link.socket);
  effects.push(...one.effects, ...two.effects);
  const healthy = event.now - link.since >= HEALTHY_MS;
  const after: State = healthy ? { ...two.state, failures: 0, refreshed: false } : two.state;
  // A node may take `replaces` for the old session's end before the new one's `welcome` has come through.
  const taken = attempt?.greeted && event.type === "down" && event.code === REPLACED;
  const ends = failure.policy === "stop" || failure.policy === "refresh";
  if (attempt && (taken || !ends)) {
    const step = { at: "dialling", dial: attempt } as const;
    return {
      state: { ...after, mode: { name: "seeking", first: false, step, cause: failure.error } },
      effects: [...effects, { do: "arm", timer: "loop", ms: state.config.openMs }, { do: "error", value: failure.error }],
    };
  }
  if (attempt) effects.push({ do: "drop", socket: attempt.socket });
  const next = retry({ ...after, mode: { name: "idle" } }, event, false, failure);
  return { state: next.state, effects: [...effects, ...next.effects] };
}
