/** Frames: what is read from a node and what is written to it. Unknown ops and fields are ignored. Pure. */
import type { LookupAnswer } from "./types.js";

/** Any frame of a node, its fields not yet looked at. */
export interface Frame {
  readonly op: string;
  readonly [field: string]: unknown;
}

export const DETACH = '{"op":"detach"}';
export const PONG = '{"op":"pong"}';
/** The protocol has no ping of the client's. A send to nobody is answered, and that is all a probe needs. */
export const PROBE = '{"op":"send","ref":"probe","to":{"users":[]},"data":null,"ephemeral":true}';

/** Undefined for whatever has no `op`. */
export function readFrame(text: unknown): Frame | undefined {
  try {
    const value = JSON.parse(text as string) as Partial<Frame> | null;
    if (value?.op) return value as Frame;
  } catch {
    // Not for us: ignored like an unknown op.
  }
  return undefined;
}

/** The frame is what the user is given: only its `op` is taken off. */
export function bare({ op: _, ...value }: Frame): object {
  return value;
}

/** A lookup's answer, or the grant within `moved`. Undefined if it does not say where to connect. */
export function readGrant(value: unknown): LookupAnswer | undefined {
  const grant = value as Partial<LookupAnswer> | null | undefined;
  return grant?.url && Array.isArray(grant.protocols) ? (grant as LookupAnswer) : undefined;
}

/** What each byte that is no letter becomes in a URL. */
const ESCAPED = /%../g;

/** Bytes of UTF-8. Throws for what is no text, such as half a pair of surrogates. */
export function bytesOf(text: string): number {
  return encodeURIComponent(text).replace(ESCAPED, "-").length;
}

/** A number of milliseconds from outside, if it is one. */
export function positive(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value < Infinity ? value : undefined;
}
