/**
 * Sends without an answer, in order.
 *
 * A durable send is repeated, with its key, on the next socket: after a reconnect, and in a move. An ephemeral one is
 * delivered at most once, so it stays with the socket that carried it: in a move the old node still answers it before
 * its `bye`, and later ephemeral sends wait for that, so that none overtakes it.
 */
import { RingdialError } from "../errors.js";
import type { Ack } from "../types.js";
import { asText, type Frame, positive } from "../wire.js";
import type { Effect, Entry, Event, Next, State } from "./state.js";

/** Takes in a send, or says why not. It is written at once if there is a link. */
export function send(state: State, event: Event & { type: "send" }): Next {
  const { ref, text, ephemeral } = event;
  const { config, mode } = state;
  const fail = (code: string, message: string, retryable: boolean): Next => ({
    state,
    effects: [{ do: "fail", ref, error: new RingdialError(code, message, retryable) }],
  });
  if (mode.name === "idle") return fail("not_connected", "the client was never connected", false);
  if (mode.name === "closed") return fail("closed", "the client is closed", false);
  const chars = state.outbox.reduce((sum, entry) => sum + entry.text.length, text.length);
  if (state.outbox.length >= config.outboxMessages || chars > config.outboxChars) {
    return fail("outbox_full", `${state.outbox.length} sends wait for an answer`, true);
  }
  const entry: Entry = { ref, text, ephemeral, until: event.now + config.sendMs, socket: 0 };
  const next = flush({ ...state, outbox: [...state.outbox, entry] });
  if (state.outbox.length > 0) return next;
  return { state: next.state, effects: [{ do: "arm", timer: "outbox", ms: config.sendMs }, ...next.effects] };
}

/** Writes what the present link has not carried yet. */
export function flush(state: State): Next {
  if (state.mode.name !== "connected") return { state, effects: [] };
  const { socket } = state.mode.link;
  const effects: Effect[] = [];
  let held = false;
  const outbox = state.outbox.map((entry) => {
    if (entry.socket === socket) return entry;
    if (entry.ephemeral && (held ||= entry.socket !== 0)) return entry;
    effects.push({ do: "write", socket, text: entry.text });
    return { ...entry, socket };
  });
  return effects.length > 0 ? { state: { ...state, outbox }, effects } : { state, effects };
}

/** A socket is gone: what it carried waits for the next one, or fails if it must not be repeated. */
export function orphan(state: State, socket: number): Next {
  return remove(
    { ...state, outbox: state.outbox.map((e) => (e.socket === socket && !e.ephemeral ? { ...e, socket: 0 } : e)) },
    (entry) => entry.socket === socket,
    () => new RingdialError("unconfirmed", "the connection was lost before the answer", true),
  );
}

/** `ack` or `error` with a `ref`. An error counts only from the socket that carried the send last. */
export function answered(state: State, socket: number, frame: Frame): Next {
  const ref = String(frame["ref"]);
  const entry = state.outbox.find((waiting) => waiting.ref === ref);
  if (!entry || (frame.op === "error" && entry.socket !== socket)) return { state, effects: [] };
  const { op, ref: _, ...rest } = frame;
  const effect: Effect =
    op === "ack" ? { do: "settle", ref, ack: rest as Ack } : { do: "fail", ref, error: complaint(frame) };
  return { state: { ...state, outbox: state.outbox.filter((waiting) => waiting !== entry) }, effects: [effect] };
}

/** The node's `error` as an error. */
export function complaint(frame: Frame): RingdialError {
  const retryAfterMs = positive(frame["retry_after_ms"]);
  return new RingdialError(asText(frame["code"]) || "error", asText(frame["message"]), frame["temporary"] === true, {
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(frame["temporary"] === true && { remedy: "Send again, with the same key, after a while." }),
  });
}

/** The oldest send's time is up, and perhaps that of others. */
export function expire(state: State, now: number): Next {
  const { state: left, effects } = remove(
    state,
    (entry) => entry.until <= now,
    () => new RingdialError("send_timeout", "no answer in time", true),
  );
  const oldest = left.outbox[0];
  if (!oldest) return { state: left, effects };
  const ms = Math.min(oldest.until - now, left.config.sendMs);
  return { state: left, effects: [...effects, { do: "arm", timer: "outbox", ms }] };
}

export function remove(state: State, which: (entry: Entry) => boolean, error: () => RingdialError): Next {
  const effects: Effect[] = [];
  const outbox = state.outbox.filter((entry) => {
    if (!which(entry)) return true;
    effects.push({ do: "fail", ref: entry.ref, error: error() });
    return false;
  });
  return { state: { ...state, outbox }, effects };
}
