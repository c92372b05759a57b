/** A socket from its opening to `welcome`: the retry loop's, or a move's beside the link. */
import { closePolicy, type Failure } from "../codes.js";
import { AuthError, RingdialError } from "../errors.js";
import type { LookupAnswer } from "../types.js";
import { type Frame, helloFrame, readWelcome, type Welcome } from "../wire.js";
import { guard, inSession, part } from "./connected.js";
import { errorOf, flush } from "./outbox.js";
import { retry } from "./seeking.js";
import type { Dial } from "./state.js";
import { resume, stand } from "./topics.js";
import { act, ask, disarm, drop, type Turn } from "./turn.js";

const AVOID_MAX = 8;

/** Opens a socket. The caller arms a timer for it. */
export function dial(t: Turn, grant: LookupAnswer): void {
  const { url, protocols } = grant;
  const socket = ++t.count;
  t.dial = { socket, grant };
  act(t, "open", socket, url, protocols);
}

/** The socket is open. Beside a link, it is to take that one's place. */
export function greet(t: Turn, { socket }: Dial): void {
  act(t, "write", socket, helloFrame(t.link?.session, resume(t, socket)));
}

/** Messages may come before `welcome`: the node follows the inbox from `hello` on. */
export function ofDial(t: Turn, attempt: Dial, frame: Frame): void {
  inSession(t, attempt.socket, frame);
  if (frame.op === "error") t.dial = { ...attempt, said: errorOf(frame) };
  const welcome = readWelcome(frame);
  if (welcome) arrived(t, attempt, welcome);
}

export function dialDown(t: Turn, attempt: Dial, code: number, reason: string): void {
  failed(t, attempt, closed(code, reason, attempt.said, "unreachable"));
}

/** The node did not open, or did not answer `hello`, in time. */
export function overdue(t: Turn, attempt: Dial): void {
  failed(t, attempt, { policy: "lost", error: new RingdialError("connect_timeout", "", true) });
}

/** A close code, with the `error` that the node may have sent before it. Without a policy of its own it is called `lost`. */
export function closed(closeCode: number, reason: string, said: RingdialError | undefined, lost: string): Failure {
  const policy = closePolicy(closeCode);
  const more = { closeCode, retryAfterMs: said?.retryAfterMs };
  const code = policy === "lost" ? lost : said?.code || `close_${closeCode}`;
  const message = said?.message || reason;
  const error = policy === "refresh" ? new AuthError(message, more) : new RingdialError(code, message, policy !== "stop", more);
  return { policy, error };
}

/** A node that could not be reached is avoided until one could. A failed move leaves the client where it is. */
function failed(t: Turn, { socket, grant }: Dial, failure: Failure): void {
  t.dial = undefined;
  drop(t, socket);
  const { node } = grant;
  if (node && failure.policy === "lost" && !t.avoid.includes(node)) t.avoid = [...t.avoid, node].slice(-AVOID_MAX);
  if (!t.link) return retry(t, failure);
  ask(t);
  disarm(t, "move");
  t.move = undefined;
  act(t, "emit", "error", new RingdialError("move_failed", "", true, { cause: failure.error }));
}

/** What the old node has not answered is repeated here, in order, and only then the old socket is let go. */
function arrived(t: Turn, { socket, grant }: Dial, { topics, ...welcome }: Welcome): void {
  const { link: old } = t;
  const link = { ...welcome, socket, since: old?.since ?? t.now, heardAt: t.now };
  t.link = link;
  t.phase = "connected";
  t.old = old?.socket ?? 0;
  t.detached = false;
  t.dial = t.move = t.cause = undefined;
  t.suspect = false;
  t.spreadMs = welcome.spreadMs;
  t.avoid = [];
  disarm(t, "loop", "move");
  guard(t, link);
  for (const [name, standing] of Object.entries(topics)) stand(t, socket, name, standing);
  // In this order: a join that is one send too many is repeated, a send is refused.
  flush(t);
  ask(t);
  if (!old) return;
  part(t);
  act(t, "emit", "moved", { from: old.node, to: link.node, reason: grant.reason ?? "" });
}
