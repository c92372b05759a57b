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
import type { Message } from "../types.js";
import { bare, PONG } from "../wire.js";
import { lost, ofLink, part, probe, silence } from "./connected.js";
import { arrived, closed, declined, failed, greet, type Welcome } from "./dial.js";
import { answered, errorOf, expire, flush, orphan, remove, send } from "./outbox.js";
import { begin, end, granted, look, next, retry } from "./seeking.js";
import { type Event, type Happening, type Next, type State, statusOf } from "./state.js";
import { admit, skip } from "./topics.js";
import { act, socketsOf, type Turn } from "./turn.js";

/** What cannot be, such as a frame of which a field has another type, leaves no trace, and ends the socket that it came from. */
export function transition(before: State, event: Event): Next {
  try {
    return turn(before, event);
  } catch (error) {
    return turn(before, { ...event, what: ["down", event.what[1] as number, 0, `${error}`] });
  }
}

function turn(before: State, { what: [name, ...args], now, roll }: Event): Next {
  const t: Turn = { ...before, effects: [], now, roll };
  const handler = handlers[name as "send"] ?? t.config.rules?.[name as "follow"];
  (handler as (t: Turn, ...args: unknown[]) => void)(t, ...args);
  conclude(t, before);
  // A move is no change: the user stays connected.
  const changed = t.phase !== before.phase || t.retryAt !== before.retryAt || t.failures !== before.failures;
  if (changed) act(t, "emit", "status", statusOf(t));
  return { state: t, effects: t.effects };
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
  t.config.rules?.ask(t);
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
    else if (t.retryAt && !t.absent && t.cause?.retryAfterMs === undefined) look(t, t.reason);
  },
  away(t, away) {
    t.absent = away;
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
    if (!socketsOf(t).includes(socket)) return;
    const { op } = frame;
    if (socket !== t.old) t.said = op === "error" && !("ref" in frame) ? errorOf(frame) : undefined;
    if (t.said && socket === t.dial?.socket) declined(t, t.dial);
    if (socket === t.link?.socket) ofLink(t, t.link, frame);
    if (op === "ping") act(t, "write", socket, PONG);
    // Messages may come before `welcome`: the node follows the inbox from `hello` on.
    if (op === "message" && admit(t, socket, frame)) act(t, "emit", op, bare(frame) as Message);
    if (op === "gap") skip(t, socket, frame);
    if (op === "ack" || op === "error") answered(t, socket, frame);
    if (op === "bye" && socket === t.old) t.old = 0;
    if (op === "welcome" && socket === t.dial?.socket) arrived(t, t.dial, frame as Welcome);
  },
  down(t, socket, code, reason) {
    if (socket === t.old) t.old = 0;
    if (socket === t.link?.socket) lost(t, t.link, closed(t, code, reason, "connection_lost"));
    if (socket === t.dial?.socket) failed(t, t.dial, closed(t, code, reason, "unreachable"));
    t.said = undefined;
  },
  timer(t, name) {
    if (name === "outbox") expire(t);
    else if (name === "loop") next(t);
    else if (name === "alive") t.link && silence(t, t.link);
    else if (name === "join") t.config.rules?.again(t);
    // The old socket took too long. That of a later move has its own time. `pace` has none: what waits is written after any event.
    else if (name === "retire" && t.detached) t.old = 0;
  },
};
