/** Handles of groups: who uses a group, counted. The machine knows only whether it is wanted. */
import { type Emitter, emitterOf } from "./emitter.js";
import { RingdialError } from "./errors.js";
import { messagesOf, type Source } from "./messages.js";
import type { Requests, Waiters } from "./requests.js";
import type { Runner } from "./shell/runner.js";
import type { Client, Events, Group, GroupEvents, GroupOptions, Position, Since } from "./types.js";
import { bytesOf } from "./wire.js";

/** A group as long as somebody uses it. */
interface Room {
  readonly emitter: Emitter<GroupEvents>;
  /** Another one after `close()`, if the client has not been in the group. */
  joined: Promise<void>;
  /** It was rejected. */
  failed: boolean;
  /** Why the group is not followed any more. */
  over?: RingdialError;
  handles: number;
  /** Loops over its messages, to be ended where it is not followed any more. */
  readonly loops: Set<(error: RingdialError) => void>;
}

export interface Groups extends Pick<Client, "group"> {
  /** Where a topic's events go to, if it is a group that is used. */
  of(topic: string): Emitter<GroupEvents> | undefined;
}

/** What handles are made of. */
export interface Means extends Requests {
  readonly runner: Runner;
  readonly waiters: Waiters;
  /** Whether messages are delivered. */
  readonly live: () => boolean;
  readonly on: Emitter<Events>["on"];
}

/** As the node has it: it would refuse the whole `hello`, and whatever is in it, for one that is wrong. */
function isName(name: unknown): boolean {
  try {
    return typeof name === "string" && /^[^\0-\x1f\x7f-\x9f]+$/.test(name) && bytesOf(name) <= 256;
  } catch {
    return false;
  }
}

function isPlace({ epoch, offset }: Partial<Position>): boolean {
  const known = typeof epoch === "string" && /^[\da-f]{16}$/.test(epoch);
  return Number.isSafeInteger(offset) && (known ? (offset as number) >= 0 : epoch === undefined && offset === 0);
}

/** Throws `bad_request`. */
function check(name: unknown, since: Since | undefined): void {
  const wrong = !isName(name)
    ? "a group's name has 1 to 256 bytes of UTF-8 without control characters"
    : since && !isPlace(since) && "`since` is a position, `{ epoch, offset }`, or `{ offset: 0 }`";
  if (wrong) throw new RingdialError("bad_request", wrong, false);
}

export function groupsOf(means: Means): Groups {
  const { runner, waiters } = means;
  const rooms = new Map<string, Room>();
  const wait = (topic: string, room: Room): void => {
    room.failed = false;
    room.joined = new Promise<void>((resolve, fail) => {
      const reject = (error: RingdialError): void => {
        room.failed = true;
        fail(error);
        // A group that was refused is tried again. After the end of the client it is wanted still.
        if (runner.state.places[topic]) return;
        rooms.delete(topic);
        room.over = error;
        for (const end of room.loops) end(error);
      };
      waiters.set(topic, { resolve, reject: reject as (error: unknown) => void });
    });
    // Whoever does not wait for it has the event `error`.
    room.joined.catch(() => {});
  };
  const enter = (topic: string, { since, presence = false }: GroupOptions): Room => {
    let room = rooms.get(topic);
    if (!room) {
      rooms.set(topic, (room = { emitter: emitterOf(means.live), joined: Promise.resolve(), failed: false, handles: 0, loops: new Set() }));
      wait(topic, room);
    }
    room.handles++;
    runner.dispatch("follow", topic, since, presence);
    return room;
  };
  means.on("status", ({ state, ...status }) => {
    const closed = new RingdialError("closed", "", false, status as { cause?: unknown });
    for (const [topic, room] of rooms) {
      if (state === "closed") waiters.get(topic)?.reject(closed);
      else if (room.failed) wait(topic, room);
    }
  });
  const exit = (topic: string, room: Room): void => {
    if (--room.handles || rooms.get(topic) !== room) return;
    rooms.delete(topic);
    waiters.get(topic)?.reject(new RingdialError("aborted", "", false));
    waiters.delete(topic);
    runner.dispatch("unfollow", topic);
  };
  return {
    of: (topic) => rooms.get(topic)?.emitter,
    group<Data>(name: string, options: GroupOptions = {}) {
      check(name, options.since);
      const topic = `g:${name}`;
      const room = enter(topic, options);
      return handleOf<Data>(name, room, means, () => exit(topic, room));
    },
  };
}

/** One use of a group. */
function handleOf<Data>(name: string, room: Room, { runner, on: onClient, send, request }: Means, exit: () => void): Group<Data> {
  const offs = new Set<() => void>();
  let used = true;
  /** Done at the end of this handle, or before. */
  const until = (off: () => void): (() => void) => {
    const once = (): void => {
      offs.delete(once);
      off();
    };
    offs.add(once);
    return once;
  };
  const on: Group<Data>["on"] = (event, listener) => (used ? until(room.emitter.on(event, listener as never)) : () => {});
  const source: Source<Data> = {
    get ended() {
      const { phase, cause } = runner.state;
      if (!used) return [];
      if (room.over) return [room.over];
      return phase === "closed" ? [cause] : undefined;
    },
    message: (listener) => on("message", listener),
    end(listener) {
      const off = onClient("status", (status) => status.state === "closed" && listener(status.cause));
      const left = until(listener);
      room.loops.add(listener);
      return () => {
        off();
        room.loops.delete(listener);
        offs.delete(left);
      };
    },
  };
  const leave = async (): Promise<void> => {
    const first = used;
    used = false;
    for (const off of offs) off();
    if (first) exit();
  };
  return {
    name,
    get joined() {
      return room.joined;
    },
    get position() {
      const { epoch, offset } = runner.state.places[`g:${name}`] ?? {};
      return epoch ? ({ epoch, offset } as Position) : undefined;
    },
    on,
    messages: (options) => messagesOf(source, options),
    send: (data, options) => send({ group: name }, data, options),
    history: (page) => request({ ...page, op: "history", group: name }),
    presence: () => request({ op: "presence", group: name }),
    leave,
    // The same symbol that those take who stand in for it where the platform has none.
    [Symbol.asyncDispose ?? (Symbol.for("Symbol.asyncDispose") as typeof Symbol.asyncDispose)]: leave,
  };
}
