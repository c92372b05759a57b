/** What the fake nodes have in common: topics and their logs, sessions, who is where. */
import type { Frame } from "../wire.js";
import { Log } from "./log.js";
import { isTarget, refused, type Session, topicsOf } from "./session.js";

export interface Rules {
  /** Whether a user may be in a group; true by default. */
  readonly allow?: ((user: string, group: string) => boolean) | undefined;
  /** How long a user whose socket is lost counts as there. */
  readonly graceMs: number;
}

export class Hub {
  readonly sessions = new Set<Session>();
  readonly logs = new Map<string, Log>();
  heartbeatMs = 25_000;
  spreadMs = 10;
  copies = 1;
  /** Users that a topic's members were told of. */
  readonly #present = new Map<string, Set<string>>();
  #count = 0;

  constructor(private readonly rules: Rules) {}

  next(): number {
    return ++this.#count;
  }

  log(topic: string): Log {
    let log = this.logs.get(topic);
    if (!log) this.logs.set(topic, (log = new Log(this.next())));
    return log;
  }

  allows(user: string, topic: string): boolean {
    if (topic.startsWith("u:")) return topic === `u:${user}`;
    return this.rules.allow?.(user, topic.slice(2)) ?? true;
  }

  followers(topic: string): Session[] {
    return [...this.sessions].filter((session) => session.topics.has(topic) && !session.detached);
  }

  online(user: string): boolean {
    return [...this.sessions].some((session) => session.user === user);
  }

  members(topic: string): string[] {
    return [...(this.#present.get(topic) ?? [])].sort();
  }

  /** The fields of the `ack`, or of the `error` if there is a code. */
  send(from: string, { to, data, key, ephemeral }: Frame): Record<string, unknown> {
    if (!isTarget(to)) return refused("bad_request");
    const topics = topicsOf(to);
    if (!topics) return this.#cast(from, to as Record<string, unknown>, data);
    const acks = topics.map((topic) => {
      if (!topic.startsWith("u:") && !this.allows(from, topic)) return refused("forbidden");
      return this.#publish(topic, from, data, key as string | undefined, ephemeral === true);
    });
    if (acks.length === 1 && "user" in (to as object)) return acks[0] as Record<string, unknown>;
    if ("group" in (to as object)) return acks[0] as Record<string, unknown>;
    const failed = topics.flatMap((topic, i) => (acks[i]?.["code"] ? [{ user: topic.slice(2), code: acks[i]["code"] }] : []));
    return failed.length ? { failed } : {};
  }

  #publish(topic: string, from: string, data: unknown, key: string | undefined, ephemeral: boolean): Record<string, unknown> {
    const [log, followers, time] = [this.log(topic), this.followers(topic), Date.now()];
    if (ephemeral) {
      const id = `fake.1-${this.next()}`;
      for (const session of followers) session.give({ topic, id, from, data, time });
      return { online: followers.length };
    }
    const stored = log.append(from, data, key, time);
    if (!stored) return refused("key_reused");
    const { entry, repeated } = stored;
    if (!repeated) for (const session of followers) session.give({ topic, epoch: log.epoch, ...entry });
    return { online: followers.length, epoch: log.epoch, offset: entry.offset };
  }

  /** To all: matches are everybody's, since there are no attributes here. */
  #cast(from: string, _to: Record<string, unknown>, data: unknown): Record<string, unknown> {
    const id = `fake.1-${this.next()}`;
    const sessions = [...this.sessions].filter(({ detached }) => !detached);
    for (const session of sessions) session.give({ topic: "*", id, from, data, time: Date.now() });
    return { online: sessions.length };
  }

  /** A session with the old one's name, of the same user at the same node, continues it. */
  replaced(by: Session, replaces: string | undefined): void {
    for (const session of this.sessions) {
      if (session.id === replaces && session.user === by.user && session.node === by.node) session.detach();
    }
  }

  came(session: Session, topic: string): void {
    let present = this.#present.get(topic);
    if (!present) this.#present.set(topic, (present = new Set()));
    if (present.has(session.user)) return;
    present.add(session.user);
    this.#tell(topic, { joined: [session.user] });
  }

  /** Unless another session of the user is there. */
  went(user: string, topic: string): void {
    if (this.followers(topic).some((session) => session.user === user)) return;
    if (this.#present.get(topic)?.delete(user)) this.#tell(topic, { left: [user] });
  }

  /** A socket is gone: its user has the grace to come back. */
  left(session: Session): void {
    if (!this.sessions.delete(session)) return;
    for (const topic of session.topics) setTimeout(() => this.went(session.user, topic), this.rules.graceMs);
  }

  #tell(topic: string, change: object): void {
    const count = this.members(topic).length;
    for (const session of this.sessions) {
      if (session.watches.has(topic) && !session.detached) session.say("presence", { group: topic.slice(2), count, ...change });
    }
  }
}
