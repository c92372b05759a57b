/** Connected: frames of the link, its dead-line, its loss; and the planning of moves. */
import { type Failure, failure } from "../codes.js";
import { DETACH, type Frame, positive, PROBE, readGrant } from "../wire.js";
import { dial } from "./dial.js";
import { spend } from "./outbox.js";
import { retry } from "./seeking.js";
import type { Link } from "./state.js";
import { gone, stand } from "./topics.js";
import { act, type Turn } from "./turn.js";

/** Beyond two heartbeats: the slack of networks and throttled timers. */
const GRACE_MS = 10_000;
/** After a sleep the dead-line has passed, but frames may be waiting in the socket. */
const LAST_CHANCE_MS = 1_000;
/** How often the wall clock is looked at: timers of a machine that sleeps stand still. */
const LOOK_MS = 15_000;
/** A connection that held for so long clears the count of failures. */
const HEALTHY_MS = 30_000;
/** The same if nobody ended it: nodes that die one after the other are no reason to stay away from the next for ever longer. */
const HELD_MS = 5_000;

/**
 * Arms the timer `alive`: for the dead-line, or to look at the clock before it. Asks the node if it has passed. All clients of a node that
 * falls silent do that at once, so each bears it for a random time more before it looks for another node.
 */
export function guard(t: Turn, link: Link): void {
  const left = link.heardAt + link.heartbeatMs * 2 + GRACE_MS - t.now;
  if (left > 0) act(t, "arm", "alive", Math.min(left, LOOK_MS));
  else probe(t, link, LAST_CHANCE_MS + Math.floor(t.roll * t.spreadMs));
}

/** What only the link's frames do. */
export function ofLink(t: Turn, before: Link, frame: Frame): void {
  const link = { ...before, heardAt: t.now };
  t.link = link;
  // The dead-line was cut short by a probe: give it its full length again.
  if (t.suspect) guard(t, link);
  t.suspect = false;
  if (frame.op === "moved") plan(t, frame);
  const topic = frame["topic"] as string;
  // One that is being left was pending before: what counts is the `join` after that.
  if (frame.op === "recovered" && !t.places[topic]?.leaving) stand(t, link.socket, topic, frame);
  // By the application's back end.
  if (frame.op === "removed") gone(t, topic, "removed");
  t.config.rules?.heard(t, frame);
  if (t.said) act(t, "emit", "error", t.said);
}

/** Lets the old socket go, once the new one brings everything and carries what is unanswered: unless a topic of it still waits for the log. */
export function part(t: Turn, anyway = false): void {
  const { old, detached, link, places, sends, config } = t;
  const waits = Object.values(places).some((topic) => topic.pending === link?.socket) || sends.some((entry) => entry.socket === old && !entry.ephemeral);
  if (old && !detached && (anyway || !waits)) {
    t.detached = true;
    act(t, "write", old, DETACH);
    act(t, "arm", "retire", config.detachMs);
  }
}

/** `moved`: go there after a random part of the spread. A newer one replaces one that has not begun. */
function plan(t: Turn, frame: Frame): void {
  const grant = readGrant(frame);
  if (!grant || t.dial) return;
  t.offer = grant;
  act(t, "arm", "loop", Math.floor(t.roll * (positive(frame["spread_ms"]) ?? 0)));
}

/** It is time to move. There are never three sockets: the old one of an earlier move is let go first. */
export function start(t: Turn): void {
  const { offer, old, config } = t;
  if (!offer) return;
  part(t, true);
  if (old) return act(t, "arm", "loop", config.detachMs);
  t.offer = undefined;
  dial(t, offer);
}

/** The timer `alive`. The dead-line is by the wall clock: timers of sleeping machines and hidden pages come late. */
export function silence(t: Turn, before: Link): void {
  if (t.suspect) return lost(t, before, failure("lost", "silent"));
  // The clock may have been set back.
  t.link = { ...before, heardAt: Math.min(before.heardAt, t.now) };
  guard(t, t.link);
}

/** Any frame within `ms`, or the link is lost. */
export function probe(t: Turn, link: Link, ms = t.config.probeMs): void {
  if (t.suspect) return;
  t.suspect = true;
  act(t, "write", link.socket, PROBE);
  spend(t);
  act(t, "arm", "alive", ms);
}

/** The link is gone. A move being made becomes the reconnect; otherwise the loop starts. */
export function lost(t: Turn, link: Link, { policy: told, error }: Failure): void {
  // It was doubted already, as after the back/forward cache: it is this client alone that comes back.
  const policy = t.suspect && told === "lost" ? "now" : told;
  t.link = t.offer = undefined;
  t.old = 0;
  t.phase = "reconnecting";
  const held = t.now - link.since;
  if (held >= (policy === "lost" ? HELD_MS : HEALTHY_MS)) t.failures = 0;
  if (held >= HEALTHY_MS) t.refreshed = false;
  // Also where a node ends the old session (`bye`, 1000) for the `replaces` of the new one, whose `welcome` is still to come.
  if (t.dial && policy !== "stop" && policy !== "refresh") {
    t.cause = error;
    return act(t, "emit", "error", error);
  }
  t.dial = undefined;
  retry(t, { policy, error });
}
