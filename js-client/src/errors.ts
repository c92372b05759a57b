/** Errors: each has a stable code, says whether trying again can help, and what to do. */

const REMEDIES: Readonly<Record<string, string>> = {
  aborted: "The signal was aborted. What was sent may still be delivered.",
  auth: "Sign in again, then call connect().",
  bad_options: "Correct the options.",
  closed: "The client is closed. Call connect() to start it again.",
  not_connected: "Call connect() first.",
  no_fetch: "Pass a fetch function as the option `fetch`.",
  no_websocket: 'Node 20 has no WebSocket: import { WebSocket } from "ws" and pass it as the option `WebSocket`.',
  not_json: "Send what JSON.stringify can encode.",
  outbox_full: "Send slower: wait for acknowledgements.",
  send_timeout: "It may have been delivered. Send again with the same key.",
  unconfirmed: "The connection was lost before the answer. It may have been delivered.",
};

/** Any failure the client reports. */
export class RingdialError extends Error {
  /** Stable, snake_case: the client's own, or the one the service or node gave. */
  readonly code: string;
  /** Whether the same thing can succeed later. The client itself goes on trying wherever that is its part. */
  readonly retryable: boolean;
  /** What to do about it. */
  readonly remedy: string;
  /** The WebSocket close code, if one was received. */
  readonly closeCode?: number;
  /** The server's advice, in milliseconds. */
  readonly retryAfterMs?: number;

  constructor(code: string, message: string, retryable: boolean, more: ErrorDetails = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "RingdialError";
    this.code = code;
    this.retryable = retryable;
    this.remedy =
      more.remedy ?? REMEDIES[code] ?? (retryable ? "Nothing: it is tried again." : "See the code in docs/PROTOCOL.md.");
    if (more.closeCode !== undefined) this.closeCode = more.closeCode;
    if (more.retryAfterMs !== undefined) this.retryAfterMs = more.retryAfterMs;
  }
}

export interface ErrorDetails {
  readonly remedy?: string;
  readonly closeCode?: number;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** The user is not, or no longer, allowed in: the client stops. Throw one from `token` to say so yourself. */
export class AuthError extends RingdialError {
  constructor(message = "not signed in", more: ErrorDetails = {}) {
    super("auth", message, false, more);
    this.name = "AuthError";
  }
}

/** True also for an error made by another copy of this package (ESM beside CommonJS). */
export function isAuthError(error: unknown): error is RingdialError {
  return error instanceof Error && (error as { code?: unknown }).code === "auth";
}
