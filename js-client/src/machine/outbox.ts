/**
 * Sends without an answer, in order.
 *
 * A durable send is repeated, with its key, on the next socket: after a reconnect, and in a move. An ephemeral one is
 * delivered at most once, so it stays with the socket that carried it: in a move the old node still answers it before
 * its `bye`, and later ephemeral sends wait for that, so that none overtakes it.
 *
 * No more is written than the node allows, or it would refuse some and store later ones.
 */
import { RingdialError } from "../errors.js";
import type { Ack } from "../types.js";
import { bytesOf, type Frame, positive } from "../wire.js";
import type { Entry, Link } from "./state.js";
import { act, type Turn } from "./turn.js";

/** Takes in a send, or says why not. Before `connect` it waits as without a connection: its time runs. */
export function send(t: Turn, ref: string, text: string, ephemeral: boolean, silent: boolean, cost = 1): void {
  const { config, sends, phase } = t;
  const bytes = bytesOf(text);
  const full = sends.length >= config.maxMessages || sends.reduce((sum, entry) => sum + entry.bytes, bytes) > config.maxBytes;
  const over = phase === "closed";
  if (over || full) return act(t, "fail", ref, new RingdialError(over ? "closed" : "outbox_full", "", !over, t));
  if (!sends[0]) act(t, "arm", "outbox", config.sendMs);
  t.sends = [...sends, { ref, text, bytes, ephemeral, silent, cost, until: t.now + config.sendMs, socket: 0 }];
}

/** Something that the node counts as so many sends is written on the link. */
export function spend(t: Turn, cost = 1): void {
  const link = t.link as Link;
  // What the node refuses costs nothing: never more than all is owed.
  t.link = { ...link, paidAt: t.now + Math.min(link.burstMs, owed(t, link) + cost * link.stepMs) };
}

/** Until the node allows as many at once as it ever does, in milliseconds. The clock may have been set back. */
function owed({ now }: Turn, { burstMs, paidAt }: Link): number {
  return Math.max(0, Math.min(burstMs, paidAt - now));
}

/** Until the node allows one that costs so much. An eighth is left to joins and probes, and to what the network holds up and then brings all at once. */
function early(t: Turn, link: Link, cost: number): number {
  const ms = owed(t, link);
  return Math.ceil(Math.min(ms, ms + cost * link.stepMs - (link.burstMs * 7) / 8));
}

/** Writes what the present link has not carried yet, as far as the node allows it. */
export function flush(t: Turn): void {
  if (!t.link) return;
  const { socket, mostBytes } = t.link;
  // Such a one would end the session, and with it the client.
  remove(t, ({ bytes }) => bytes > mostBytes, "too_large");
  let held = false;
  let wait = 0;
  t.sends = t.sends.flatMap((entry) => {
    if (wait > 0 || entry.socket === socket) return entry;
    if (entry.ephemeral && (held ||= entry.socket > 0)) return entry;
    wait = early(t, t.link as Link, entry.cost);
    if (wait > 0) return entry;
    spend(t, entry.cost);
    act(t, "write", socket, entry.text);
    if (!entry.silent) return { ...entry, socket };
    act(t, "settle", entry.ref, {});
    return [];
  });
  if (wait > 0) {
    spend(t, 0);
    act(t, "arm", "pace", wait);
  }
}

/** A socket is gone: what it carried waits for the next one, or fails if it must not be repeated. */
export function orphan(t: Turn, socket: number): void {
  remove(t, (entry) => entry.ephemeral && entry.socket === socket, "unconfirmed", true);
}

/** `ack` or `error` with a `ref`. An error counts only from the socket that carried the send last, and if it is not to be repeated on another one. */
export function answered(t: Turn, socket: number, frame: Frame): void {
  const { op, ref: echoed, ...rest } = frame;
  const ref = String(echoed);
  const entry = t.sends.find((waiting) => waiting.ref === ref);
  if (!entry) return t.config.rules?.replied(t, frame);
  if (op === "error" && (entry.socket !== socket || (socket === t.old && !entry.ephemeral))) return;
  t.sends = t.sends.filter((waiting) => waiting !== entry);
  if (op === "ack") act(t, "settle", ref, rest as Ack);
  else act(t, "fail", ref, errorOf(rest));
}

/** A node's `error` as an error. */
export function errorOf(fields: Record<string, unknown>): RingdialError {
  const retryAfterMs = positive(fields["retry_after_ms"]);
  return new RingdialError(fields["code"] as string, fields["message"] as string, fields["temporary"] === true, { retryAfterMs });
}

/** The oldest send's time is up, and perhaps that of others. */
export function expire(t: Turn): void {
  remove(t, (entry) => entry.until <= t.now, "send_timeout", true);
  const { config, sends } = t;
  if (sends[0]) act(t, "arm", "outbox", Math.min(sends[0].until - t.now, config.sendMs));
}

/** Fails those of which it is true. */
export function remove(t: Turn, which: (entry: Entry) => boolean, code: string, retryable = false, cause?: RingdialError): void {
  t.sends = t.sends.filter((entry) => {
    const gone = which(entry);
    if (gone) act(t, "fail", entry.ref, new RingdialError(code, "", retryable, { cause }));
    return !gone;
  });
}
