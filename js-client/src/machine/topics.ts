/**
 * Topics: which are followed, and up to where the user was given them. All sockets share that place, the topic's position, so
 * it does not matter which of them brings a message first: docs/PROTOCOL.md, "What a client does".
 *
 * `hello` names every topic again, each with its position.
 */
import type { Gap, Since } from "../types.js";
import { bare, type Frame, positive } from "../wire.js";
import type { Topic } from "./state.js";
import { act, socketsOf, type Turn } from "./turn.js";

/** What a node takes in one `hello`; the rest is joined afterwards, or refused. */
const HELLO_MAX = 257;

const NONE: Topic = { asked: 0 };

/** Throws for what a topic or its place cannot be: said in a `hello`, it would be refused for good. */
export function put(t: Turn, name: string, topic: Topic): void {
  const { epoch = "", offset = 0 } = topic;
  if (typeof name + typeof epoch !== "stringstring" || positive(offset) === undefined) throw new TypeError();
  t.places = { ...t.places, [name]: topic };
}

export function forget(t: Turn, name: string): void {
  const { [name]: _, ...rest } = t.places;
  t.places = rest;
}

/** For the `hello` of a socket, which goes by the positions it says. */
export function resume(t: Turn, socket: number): Record<string, Since> {
  const said: Record<string, Since> = {};
  for (const [name, topic] of named(t)) {
    const place = placeOf(topic);
    if (place) said[name] = place;
    put(t, name, { ...topic, behind: topic.behind?.filter((other) => other !== socket) });
  }
  return said;
}

/** The topics that `hello` is about. */
export function named(t: Turn): [name: string, topic: Topic][] {
  return Object.entries(t.places).slice(0, HELLO_MAX);
}

/** What was asked for, or the position: undefined if neither. */
export function placeOf({ epoch, offset }: Topic): Since | undefined {
  return offset === undefined ? undefined : ({ epoch, offset } as Since);
}

/** What `welcome`, the answer to a `join`, or `recovered` says of a topic, which may be one that the back end has the session join. */
export function stand(t: Turn, socket: number, name: string, { epoch, offset, recovered, error }: Record<string, unknown>): void {
  if (error) return gone(t, name, error as string);
  const topic = t.places[name] ?? NONE;
  if (topic.want === "leave") return;
  const waits = recovered === "pending";
  /** Nothing was asked for: it goes on from the head, which is known once it waits for nothing. All was, and there is nothing: likewise. */
  const begins = !waits && !!epoch && !topic.epoch && (topic.offset === undefined || offset === 0);
  put(t, name, {
    ...topic,
    ...(begins && { epoch: epoch as string, offset: offset as number, behind: others(t, socket) }),
    pending: waits ? socket : 0,
  });
  t.config.rules?.stood(t, socket, name);
}

/** A topic is not followed, or no longer. */
export function gone(t: Turn, name: string, code: string): void {
  const topic = t.places[name];
  forget(t, name);
  if (topic?.want === "join") t.config.rules?.refuse(t, name, code);
}

/** They may go by another epoch than this one, and tell later of what it tells now. */
function others(t: Turn, socket: number): number[] {
  return socketsOf(t).filter((other) => other !== socket);
}

/** Whether what comes of a topic is of an earlier time: the group was left. */
function stale(t: Turn, socket: number, name: string): boolean {
  const topic = t.places[name];
  return topic ? topic.want === "leave" || socket < (topic.from ?? 0) : socket === t.old && name.startsWith("g:");
}

/**
 * Whether a message is for the user; if it is durable, it then is their position. One that is not the next one should not come. Where two
 * sockets were asked for all that the log holds, and it was trimmed in between, it does: the user is told.
 */
export function admit(t: Turn, socket: number, frame: Frame): boolean {
  const { topic: name, epoch, offset } = frame as Frame & { topic: string; epoch?: string; offset?: number };
  if (stale(t, socket, name)) return false;
  if (offset === undefined) return true;
  const topic = t.places[name] ?? NONE;
  const { epoch: present, offset: after = 0 } = topic;
  if (present && (present !== epoch || offset <= after)) return false;
  if (present && offset > after + 1) act(t, "emit", "gap", { topic: name, epoch: present, after, before: offset, reason: "trimmed" });
  put(t, name, { ...topic, epoch, offset, ...(!present && { behind: others(t, socket) }) });
  return true;
}

/** Messages that will never come. Of a new epoch each socket tells, and only the first one says something new. */
export function skip(t: Turn, socket: number, frame: Frame): void {
  const gap = bare(frame) as Gap;
  const { topic: name, epoch, before, reason } = gap;
  const topic = t.places[name] ?? NONE;
  if (stale(t, socket, name)) return;
  const { offset = 0, behind = [] } = topic;
  const same = topic.epoch === epoch;
  if (reason === "trimmed") {
    if (!same || before - 1 <= offset) return;
    put(t, name, { ...topic, offset: before - 1 });
  } else {
    const known = same && behind.includes(socket);
    if (known) return put(t, name, { ...topic, behind: behind.filter((other) => other !== socket) });
    put(t, name, { ...topic, epoch, offset: before - 1, behind: others(t, socket) });
  }
  act(t, "emit", "gap", gap);
}
