/**
 * Groups that the application joins and leaves: `hello` names those that are wanted, and what it cannot say, or came too late for it, is
 * said by a `join` or `leave` once there is a link. Not every client has this part: see {@link GroupRules}.
 */
import { RingdialError } from "../errors.js";
import type { PresenceChange, Since } from "../types.js";
import { bare, type Frame, positive } from "../wire.js";
import { spend } from "./outbox.js";
import type { GroupRules, Topic } from "./state.js";
import { forget, gone, named, placeOf, put, stand } from "./topics.js";
import { act, type Turn } from "./turn.js";

/** At least so long, and up to twice that, before a `join` or `leave` is repeated that was refused for the time being. */
const AGAIN_MS = 1_000;

export const groupRules: GroupRules = { named: inHello, ask, again, stood, replied, heard, refuse, follow, unfollow };

/** Those without a place to go on from. What another socket has not answered is this one's to answer. */
function inHello(t: Turn): string[] {
  const said = named(t).filter(([, topic]) => topic.want === "join" && !placeOf(topic));
  for (const [name, topic] of named(t)) if (topic.from === Infinity) put(t, name, { ...topic, asked: 0, ref: undefined });
  return said.map(([name]) => name.slice(2));
}

/** The session is in it. It is joined once the log has answered, too. */
function stood(t: Turn, socket: number, name: string): void {
  const topic = t.places[name] as Topic;
  const { want, presence, asked, from = 0, pending } = topic;
  // `hello` does not ask for presence.
  const told = { asked: presence ? asked : socket, ref: undefined };
  put(t, name, { ...topic, ...told, from: Math.min(from, socket), inside: socket, leaving: false });
  if (want === "join" && !pending) act(t, "settle", name, {});
}

/** The application wants a group. One that is followed already goes on from where it is. */
function follow(t: Turn, name: string, since: Since | undefined, presence: boolean): void {
  const before = t.places[name] ?? { ...since, asked: 0, from: Infinity };
  const { want } = before;
  if (want === "leave") put(t, name, { ...before, ...since, want: "join", presence, from: Infinity, leaving: true });
  else if (!want || (presence && !before.presence)) put(t, name, { ...before, want: "join", presence, asked: 0 });
}

function unfollow(t: Turn, name: string): void {
  if (!t.link && !t.dial) return forget(t, name);
  put(t, name, { asked: 0, want: "leave" });
}

/**
 * Says on the link what it was not told yet. During a dial nothing: two sockets would join at two places, with a hole between.
 * A group that the session is in stays where it is if no place is said, once the node knows where that is: with a place it would
 * begin there again, and what is on its way from before would come twice.
 */
function ask(t: Turn): void {
  const socket = t.dial ? 0 : (t.link?.socket ?? 0);
  for (const [name, topic] of Object.entries(t.places)) {
    const { want, asked, presence, leaving, inside, pending } = topic;
    if (!socket || !want || Math.abs(asked) === socket || pending === socket) continue;
    const ref = `t${++t.counter}`;
    put(t, name, { ...topic, asked: socket, ref });
    const since = inside === socket ? undefined : placeOf(topic);
    const what = leaving ? { op: "leave" } : { op: want, since, presence: presence || undefined };
    act(t, "write", socket, JSON.stringify({ ...what, ref, group: name.slice(2) }));
    spend(t);
  }
}

/** An answer to a `join` or `leave`. */
function replied(t: Turn, frame: Frame): void {
  const { op, ref, code, temporary } = frame;
  const [name, topic] = Object.entries(t.places).find(([, topic]) => ref && topic.ref === ref) ?? [];
  if (!name || !topic) return;
  const done = op === "ack" || !temporary;
  if (done && topic.leaving) {
    return put(t, name, { ...topic, asked: 0, leaving: false });
  }
  if (op === "ack" && topic.want === "join") return stand(t, topic.asked, name, frame);
  if (done) return gone(t, name, code as string);
  put(t, name, { ...topic, asked: -topic.asked });
  act(t, "arm", "join", (positive(frame["retry_after_ms"]) ?? 0) + Math.floor((1 + t.roll) * AGAIN_MS));
}

function again(t: Turn): void {
  for (const [name, topic] of Object.entries(t.places)) if (topic.asked < 0) put(t, name, { ...topic, asked: 0 });
}

function heard(t: Turn, frame: Frame): void {
  if (frame.op === "presence") act(t, "emit", "presence", bare(frame) as PresenceChange);
}

/** A group that is wanted, and not followed. */
function refuse(t: Turn, name: string, code: string): void {
  const error = new RingdialError(code, name, false);
  act(t, "fail", name, error);
  act(t, "emit", "error", error);
}
