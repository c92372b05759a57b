/** Handles of groups: who uses a group, counted. The machine knows only whether it is wanted. */
import { type Emitter, emitterOf } from "./emitter.js";
import { RingdialError } from "./errors.js";
import type { Topic } from "./machine/state.js";
import type { Requests, Waiters } from "./requests.js";
import type { Runner } from "./shell/runner.js";
import type { Client, Group, GroupEvents, GroupOptions, Position } from "./types.js";

/** A group as long as somebody uses it. */
interface Room {
  readonly emitter: Emitter<GroupEvents>;
  readonly joined: Promise<void>;
  handles: number;
}

export interface Groups extends Pick<Client, "group"> {
  /** Where a topic's events go to, if it is a group that is used. */
  of(topic: string): Emitter<GroupEvents> | undefined;
}

/** What handles are made of. */
interface Means extends Requests {
  readonly runner: Runner;
  readonly waiters: Waiters;
}

export function groupsOf({ runner, waiters, request, send }: Means): Groups {
  const rooms = new Map<string, Room>();
  const known = (topic: string): Topic | undefined => runner.state.topics[topic];
  const enter = (topic: string, { since, presence = false }: GroupOptions): Room => {
    let room = rooms.get(topic);
    // A group that was refused is tried again.
    if (!room || !known(topic)) {
      const joined = new Promise<void>((resolve, reject) => waiters.set(topic, { resolve, reject }));
      // Whoever does not wait for it has the event `error`.
      joined.catch(() => {});
      rooms.set(topic, (room = { emitter: emitterOf(), joined, handles: 0 }));
    }
    room.handles++;
    runner.dispatch("follow", topic, since, presence);
    return room;
  };
  const exit = (topic: string, room: Room): void => {
    if (--room.handles || rooms.get(topic) !== room) return;
    rooms.delete(topic);
    waiters.get(topic)?.reject(new RingdialError("aborted", "", false));
    waiters.delete(topic);
    runner.dispatch("unfollow", topic);
  };
  return {
    of: (topic) => rooms.get(topic)?.emitter,
    group<Data>(name: string, options: GroupOptions = {}): Group<Data> {
      const topic = `g:${name}`;
      const room = enter(topic, options);
      const offs = new Set<() => void>();
      let used = true;
      const leave = async (): Promise<void> => {
        for (const off of offs) off();
        if (used) exit(topic, room);
        used = false;
      };
      return {
        name,
        joined: room.joined,
        get position() {
          const { epoch, offset } = known(topic) ?? {};
          return epoch ? ({ epoch, offset } as Position) : undefined;
        },
        on(event, listener) {
          const remove = room.emitter.on(event, listener as never);
          const off = (): void => {
            offs.delete(off);
            remove();
          };
          offs.add(off);
          return off;
        },
        send: (data, more) => send({ group: name }, data, more),
        history: (page) => request({ ...page, op: "history", group: name }),
        presence: () => request({ op: "presence", group: name }),
        leave,
        [Symbol.asyncDispose]: leave,
      };
    },
  };
}
