/** Frames: what is read from a node and what is written to it. Unknown ops and fields are ignored. Pure. */
import type { LookupAnswer, Message, Since } from "./types.js";

/** Any frame of a node, its fields not yet looked at. */
export interface Frame {
  readonly op: string;
  readonly [field: string]: unknown;
}

export interface Welcome {
  readonly session: string;
  readonly user: string;
  readonly node: string;
  readonly heartbeatMs: number;
  readonly spreadMs: number;
  /** Where the session stands in each of its topics. */
  readonly topics: Readonly<Record<string, Record<string, unknown>>>;
}

export const DETACH = '{"op":"detach"}';
export const PONG = '{"op":"pong"}';
/** The protocol has no ping of the client's. A send to nobody is answered, and that is all a probe needs. */
export const PROBE = '{"op":"send","ref":"probe","to":{"users":[]},"data":null,"ephemeral":true}';

/** Topics with a place to go on from, and groups without one. */
export function helloFrame(replaces: string | undefined, topics: { resume: Record<string, Since>; groups: string[] }): string {
  return JSON.stringify({ op: "hello", ...topics, replaces });
}

/** Undefined for whatever is not a JSON object with an `op`. */
export function readFrame(text: unknown): Frame | undefined {
  try {
    const value: unknown = JSON.parse(text as string);
    if (isRecord(value) && asText(value["op"])) return value as unknown as Frame;
  } catch {
    // Not for us: ignored like an unknown op.
  }
  return undefined;
}

/** Undefined for any other frame. */
export function readWelcome({ op, session, user, node, heartbeat_ms, retry_spread_ms, topics }: Frame): Welcome | undefined {
  if (op !== "welcome") return undefined;
  return {
    session: session as string,
    user: user as string,
    node: node as string,
    heartbeatMs: positive(heartbeat_ms) ?? 25_000,
    spreadMs: positive(retry_spread_ms) ?? 500,
    topics: (topics ?? {}) as Welcome["topics"],
  };
}

/** The frame is the message: only its `op` is taken off. */
export function readMessage(frame: Frame): Message {
  const { op: _, ...message } = frame;
  return message as unknown as Message;
}

/** A lookup's answer, or the grant within `moved`. Undefined if it does not say where to connect. */
export function readGrant(value: unknown): LookupAnswer | undefined {
  return isRecord(value) && asText(value["url"]) && Array.isArray(value["protocols"]) ? (value as unknown as LookupAnswer) : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

export function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A number of milliseconds from outside, if it is one. */
export function positive(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value < Infinity ? value : undefined;
}
