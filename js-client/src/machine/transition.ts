/**
 * The client's only decision maker: `transition(state, event) -> {state, effects}`. Pure: the wall clock and randomness come
 * with the event. Every failure is an event.
 *
 *     idle --connect--> seeking --welcome--> connected          seeking: looking -> dialling -> (failure) waiting -> looking
 *                          ^---- link lost -----'               connected: a move keeps the old socket until the new one's welcome
 *     any --close, or a code that stops--> closed --connect--> seeking
 *
 * What holds after every event (test/machine.random.test.ts): at most two sockets; the timer `loop` is armed
 * while seeking, so there is one retry loop; after `closed` no timer, no socket, no send.
 */
import { linkDown, ofLink, ofOld, part, probe, silence } from "./connected.js";
import { dialDown, greet, ofDial } from "./dial.js";
import { errorOf, expire, flush, orphan, remove, send } from "./outbox.js";
import { begin, end, granted, look, next, retry } from "./seeking.js";
import { type Event, type Happening, type Next, type State, statusOf } from "./state.js";
import { act, socketsOf, type Turn } from "./turn.js";

export function transition(before: State, { what: [name, ...args], now, roll }: Event): Next {
  const t: Turn = { ...before, effects: [], now, roll };
  const handler = handlers[name as "send"] ?? t.config.groups?.[name as "follow"];
  (handler as (t: Turn, ...args: unknown[]) => void)(t, ...args);
  conclude(t, before);
  const { effects, now: _, roll: __, ...state } = t;
  // A move is no change: the user stays connected.
  const changed = state.phase !== before.phase || state.retryAt !== before.retryAt || state.failures !== before.failures;
  if (changed) act(t, "emit", "status", statusOf(state));
  return { state, effects };
}

/** What follows from whatever happened: sockets that are not needed any more, and what the link was not told yet. */
function conclude(t: Turn, before: State): void {
  const sockets = socketsOf(t);
  for (const socket of socketsOf(before)) {
    if (sockets.includes(socket)) continue;
    act(t, "drop", socket);
    orphan(t, socket);
  }
  // In this order: a join that is one send too many is repeated, a send is refused.
  flush(t);
  t.config.groups?.ask(t);
  part(t);
}

type Handlers = { [H in Happening as Exclude<H[0], "follow" | "unfollow">]: (t: Turn, ...args: H extends [any, ...infer A] ? A : never) => void };

/** What a lookup or socket says that is not known any more is ignored. */
const handlers: Handlers = {
  connect(t) {
    if (t.phase === "idle" || t.phase === "closed") begin(t);
  },
  close(t) {
    if (t.phase !== "closed") end(t);
  },
  /** Does not cut a wait short that the server asked for. */
  wake(t) {
    if (t.link) probe(t, t.link);
    else if (t.retryAt && !t.away && t.cause?.retryAfterMs === undefined) look(t, t.reason);
  },
  away(t, away) {
    t.away = away;
  },
  send,
  cancel(t, ref) {
    remove(t, (entry) => entry.ref === ref, "aborted");
  },
  granted(t, ask, grant) {
    if (ask === t.ask) granted(t, grant);
  },
  refused(t, ask, failure) {
    if (ask === t.ask) retry(t, failure);
  },
  opened(t, socket) {
    if (socket === t.dial?.socket) greet(t, t.dial);
  },
  heard(t, socket, frame) {
    t.said = frame.op === "error" && !("ref" in frame) ? errorOf(frame) : undefined;
    if (socket === t.link?.socket) ofLink(t, t.link, frame);
    else if (socket === t.old) ofOld(t, frame);
    else if (socket === t.dial?.socket) ofDial(t, t.dial, frame);
  },
  down(t, socket, code, reason) {
    if (socket === t.link?.socket) linkDown(t, t.link, code, reason);
    else if (socket === t.old) t.old = 0;
    else if (socket === t.dial?.socket) dialDown(t, t.dial, code, reason);
    t.said = undefined;
  },
  timer(t, name) {
    if (name === "outbox") expire(t);
    else if (name === "loop") next(t);
    else if (name === "alive") t.link && silence(t, t.link);
    else if (name === "join") t.config.groups?.again(t);
    // The old socket took too long. That of a later move has its own time.
    else if (t.detached) t.old = 0;
  },
};
