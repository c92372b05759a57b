/** A socket from its opening to `welcome`: the retry loop's, or a move's beside the link. */
import { closePolicy, type Failure, failure } from "../codes.js";
import { RingdialError } from "../errors.js";
import type { LookupAnswer } from "../types.js";
import { type Frame, positive } from "../wire.js";
import { guard } from "./connected.js";
import { retry } from "./seeking.js";
import type { Dial } from "./state.js";
import { resume, stand } from "./topics.js";
import { act, type Turn } from "./turn.js";

const AVOID_MAX = 8;
/** How long a refused `hello` waits for the node's close code. */
const CLOSE_MS = 500;

/** Opens a socket. */
export function dial(t: Turn, grant: LookupAnswer): void {
  const socket = ++t.counter;
  t.dial = { socket, grant };
  act(t, "open", socket, grant);
  act(t, "arm", "loop", t.config.openMs);
}

/** The socket is open. Beside a link, it is to take that one's place. */
export function greet(t: Turn, { socket }: Dial): void {
  const hello = { op: "hello", resume: resume(t, socket), groups: t.config.rules?.named(t), replaces: t.link?.session };
  act(t, "write", socket, JSON.stringify(hello));
}

/** The node refused the `hello`. A close that follows has the last word, with its code. */
export function declined(t: Turn, attempt: Dial): void {
  t.dial = { ...attempt, refusal: t.said };
  if (!attempt.refusal) act(t, "arm", "loop", CLOSE_MS);
}

/** The node did not open, did not answer `hello` in time, or refused it. */
export function overdue(t: Turn, attempt: Dial): void {
  const { refusal: error } = attempt;
  failed(t, attempt, error ? { policy: error.retryable ? "later" : "stop", error } : failure("lost", "connect_timeout"));
}

/** A close code, with the `error` that the node may have sent before it. Without a policy of its own it is called `lost`. */
export function closed({ said }: Turn, closeCode: number, reason: string, lost: string): Failure {
  const policy = closePolicy(closeCode);
  const code = policy === "lost" ? lost : said?.code || `close_${closeCode}`;
  return failure(policy, code, said?.message || reason, { closeCode, retryAfterMs: said?.retryAfterMs });
}

/** A node that could not be reached is avoided until one could. A failed move leaves the client where it is. */
export function failed(t: Turn, { grant: { node } }: Dial, failure: Failure): void {
  t.dial = undefined;
  if (node && failure.policy === "lost" && !t.avoided.includes(node)) t.avoided = [...t.avoided, node].slice(-AVOID_MAX);
  if (!t.link) return retry(t, failure);
  act(t, "emit", "error", new RingdialError("move_failed", "", true, { cause: failure.error }));
}

export interface Welcome extends Frame {
  readonly session: string;
  readonly user: string;
  readonly node: string;
  readonly limits?: { readonly message_bytes?: number; readonly sends_per_second?: number; readonly sends_burst?: number };
  /** Where the session stands in each of its topics. */
  readonly topics?: Readonly<Record<string, Record<string, unknown>>>;
}

/** What the old node has not answered is repeated here, in order, and only then the old socket is let go. */
export function arrived(t: Turn, { socket, grant }: Dial, welcome: Welcome): void {
  const { link: old } = t;
  const { session, user, node, heartbeat_ms, retry_spread_ms, limits, topics = {} } = welcome;
  const mostBytes = limits?.message_bytes || Infinity;
  const stepMs = 1_000 / (positive(limits?.sends_per_second) || Infinity);
  const pace = { stepMs, burstMs: (positive(limits?.sends_burst) || Infinity) * stepMs || 0, paidAt: t.now };
  const heartbeatMs = positive(heartbeat_ms) ?? 25_000;
  const link = { socket, session, user, node, mostBytes, ...pace, heartbeatMs, since: old?.since ?? t.now, heardAt: t.now };
  t.link = link;
  t.phase = "connected";
  t.old = old?.socket ?? 0;
  t.detached = t.suspect = false;
  t.dial = t.cause = undefined;
  t.spreadMs = positive(retry_spread_ms) ?? 500;
  t.avoided = [];
  guard(t, link);
  for (const [name, standing] of Object.entries(topics)) stand(t, socket, name, standing);
  if (old) act(t, "emit", "moved", { from: old.node, to: node, reason: grant.reason ?? "" });
}
