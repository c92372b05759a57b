/** Errors: each has a stable code, says whether trying again can help, and what to do. */

/** For the client's own codes, where it is not what {@link RingdialError.retryable} already says. */
const REMEDIES: Readonly<Record<string, string>> = {
  aborted: "none: it was asked for",
  auth: "sign in, then connect()",
  closed: "connect()",
  move_failed: "none: the connection stays",
  no_websocket: "pass { WebSocket } of package ws",
  outbox_full: "wait for acknowledgements",
  send_timeout: "send again with the same key",
  too_large: "make it smaller",
  unconfirmed: "it may have been delivered",
};

/** Any failure the client reports. */
export class RingdialError extends Error {
  /** Stable, snake_case: the client's own, or the one the service or node gave. */
  declare readonly code: string;
  /** Whether the same thing can succeed later. The client itself goes on trying wherever that is its part. */
  declare readonly retryable: boolean;
  /** What to do about it. */
  declare readonly remedy: string;
  /** The WebSocket close code, if one was received. */
  declare readonly closeCode: number | undefined;
  /** The server's advice, in milliseconds. */
  declare readonly retryAfterMs: number | undefined;

  /** Without a message, the code is the message. */
  constructor(code: string, message: string, retryable: boolean, more: ErrorDetails = {}) {
    super(message || code, more.cause === undefined ? undefined : more);
    this.name = "RingdialError";
    this.code = code;
    this.retryable = retryable;
    this.remedy = REMEDIES[code] ?? (retryable ? "try again later" : "correct it first");
    this.closeCode = more.closeCode;
    this.retryAfterMs = more.retryAfterMs;
  }
}

export interface ErrorDetails {
  readonly closeCode?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** The user is not, or no longer, allowed in: the client stops. Throw one from `token` to say so yourself. */
export class AuthError extends RingdialError {
  constructor(message = "", more?: ErrorDetails) {
    super("auth", message, false, more);
    this.name = "AuthError";
  }
}
