/** Frames: what is read from a node and what is written to it. Unknown ops and fields are ignored. Pure. */
import type { LookupAnswer, Message } from "./types.js";

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
}

const HEARTBEAT_MS = 25_000;
export const SPREAD_MS = 500;

export const DETACH = '{"op":"detach"}';
export const PONG = '{"op":"pong"}';
/** The protocol has no ping of the client's. A send to nobody is answered, and that is all a probe needs. */
export const PROBE = '{"op":"send","ref":"probe","to":{"users":[]},"data":null,"ephemeral":true}';

export function helloFrame(replaces: string | undefined): string {
  return JSON.stringify({ op: "hello", groups: [], replaces });
}

/** Undefined for whatever is not a JSON object with an `op`. */
export function readFrame(text: unknown): Frame | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) && typeof value["op"] === "string" ? (value as unknown as Frame) : undefined;
  } catch {
    return undefined;
  }
}

export function readWelcome(frame: Frame): Welcome | undefined {
  const { session, user, node } = frame;
  if (typeof session !== "string") return undefined;
  return {
    session,
    user: asText(user),
    node: asText(node),
    heartbeatMs: positive(frame["heartbeat_ms"]) ?? HEARTBEAT_MS,
    spreadMs: positive(frame["retry_spread_ms"]) ?? SPREAD_MS,
  };
}

/** The frame is the message: only its `op` is taken off. */
export function readMessage(frame: Frame): Message {
  const { op: _, ...message } = frame;
  return message as unknown as Message;
}

/** A lookup's answer, or the grant within `moved`. Undefined if it does not say where to connect. */
export function readGrant(value: unknown): LookupAnswer | undefined {
  if (!isRecord(value)) return undefined;
  const { url, protocols } = value;
  if (typeof url !== "string" || !Array.isArray(protocols)) return undefined;
  if (!protocols.every((protocol) => typeof protocol === "string")) return undefined;
  const { node, retry } = value;
  return {
    url,
    protocols,
    ...(typeof node === "string" && { node }),
    ...(isRecord(retry) && { retry }),
  };
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
