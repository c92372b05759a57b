/** Frames: what is read from a node and what is written to it. Unknown ops and fields are ignored. Pure. */
import type { LookupAnswer, Message } from "./types.js";

/** Any frame of a node, its fields not yet looked at. */
export interface Frame {
  readonly op: string;
  readonly [field: string]: unknown;
}

export const DETACH = '{"op":"detach"}';
export const PONG = '{"op":"pong"}';
/** The protocol has no ping of the client's. A send to nobody is answered, and that is all a probe needs. */
export const PROBE = '{"op":"send","ref":"probe","to":{"users":[]},"data":null,"ephemeral":true}';

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
