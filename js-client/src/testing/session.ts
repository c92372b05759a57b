/** One session at a fake node: what docs/PROTOCOL.md says of the frames of clients and their answers. */
import type { Frame } from "../wire.js";
import { faultOfHello, faultOfJoin } from "./fields.js";
import type { Hub } from "./hub.js";
import type { Place } from "./log.js";
import type { FakeSocket, Peer } from "./socket.js";

type Fields = Readonly<Record<string, unknown>>;

export class Session implements Peer {
  readonly id: string;
  /** Followed topics. */
  readonly topics = new Set<string>();
  /** Groups whose comings and goings it is told. */
  readonly watches = new Set<string>();
  /** After `detach` it hears no more. */
  detached = false;
  welcomed = false;

  constructor(
    private readonly hub: Hub,
    readonly socket: FakeSocket,
    readonly user: string,
    readonly node: string,
  ) {
    this.id = `session-${hub.next()}`;
  }

  say(op: string, fields: Fields = {}): void {
    this.socket.deliver(JSON.stringify({ op, ...fields }));
  }

  /** A message, as often as the cluster says. */
  give(fields: Fields): void {
    if (this.detached) return;
    for (let n = 0; n < this.hub.copies; n++) this.say("message", fields);
  }

  /** An error, and the close that it means. */
  end(closeCode: number, code: string, temporary: boolean): void {
    this.say("error", { code, message: code, temporary });
    this.socket.finish(closeCode, code);
    this.gone();
  }

  heard(text: string): void {
    const frame = JSON.parse(text) as Frame;
    if (frame.op === "hello" && !this.welcomed) return this.#hello(frame);
    if (this.detached || !this.welcomed) return;
    const answer = this.#answer(frame);
    if (answer && frame["ref"] !== undefined) this.say("code" in answer ? "error" : "ack", { ...answer, ref: frame["ref"] });
    if (frame.op === "join" && answer && "topic" in answer) this.#follows(String(answer["topic"]), frame["since"] as Place | undefined);
    if (frame.op === "join" && frame["presence"]) this.#watch(String(frame["group"]));
  }

  gone(): void {
    this.hub.left(this);
  }

  /** `detach`, said by the client or by what replaces it. */
  detach(): void {
    if (this.detached) return;
    this.detached = true;
    this.say("bye");
    this.socket.finish(1000, "done");
  }

  /** One that is refused counts as not said: another may follow. */
  #hello(frame: Frame): void {
    const fault = faultOfHello(frame);
    if (fault) return this.say("error", refused(fault));
    const [groups, places] = [(frame["groups"] ?? []) as string[], (frame["resume"] ?? {}) as Record<string, Place>];
    const wanted = [`u:${this.user}`, ...groups.map((group) => `g:${group}`), ...Object.keys(places)];
    const topics: Record<string, Fields> = {};
    for (const topic of new Set(wanted)) topics[topic] = this.#enter(topic, places[topic]);
    this.welcomed = true;
    // As good as none: a test's clients are not to be slowed down.
    const limits = { message_bytes: 65_536, sends_per_second: 1e6, sends_burst: 1e6, users_per_send: 1_000, groups: 128 };
    const told = { session: this.id, user: this.user, node: this.node, ring: { version: 1, signature: "0000000000000000" } };
    this.say("welcome", { ...told, heartbeat_ms: this.hub.heartbeatMs, retry_spread_ms: this.hub.spreadMs, limits, topics });
    for (const topic of this.topics) this.#follows(topic, places[topic]);
    this.hub.replaced(this, frame["replaces"] as string | undefined);
  }

  /** What `welcome`, or the answer to `join`, says of a topic. */
  #enter(topic: string, place: Place | undefined): Fields {
    if (!this.hub.allows(this.user, topic)) return { error: "forbidden" };
    const log = this.hub.log(topic);
    this.topics.add(topic);
    this.hub.came(this, topic);
    return { epoch: log.epoch, offset: log.head, recovered: !log.since(place).gap };
  }

  /** What it missed. */
  #follows(topic: string, place: Place | undefined): void {
    const log = this.hub.log(topic);
    const { gap, entries } = log.since(place);
    if (gap) this.say("gap", { topic, ...gap });
    for (const entry of entries) this.give({ topic, epoch: log.epoch, ...entry, replayed: true });
  }

  #watch(group: string): void {
    const users = this.hub.members(`g:${group}`);
    this.watches.add(`g:${group}`);
    this.say("presence", { group, count: users.length, users });
  }

  /** The fields of the `ack`, or of the `error` if there is a code. */
  #answer(frame: Frame): Fields | undefined {
    const group = frame["group"] as string | undefined;
    const topic = group === undefined ? `u:${this.user}` : `g:${group}`;
    switch (frame.op) {
      case "send":
        return this.hub.send(this.user, frame);
      case "join": {
        const fault = faultOfJoin(frame);
        if (fault) return refused(fault);
        const known = this.topics.has(topic) && !frame["since"];
        const standing = known ? { epoch: this.hub.log(topic).epoch, offset: this.hub.log(topic).head, recovered: true } : this.#enter(topic, frame["since"] as Place);
        return "error" in standing ? refused(String(standing["error"])) : { topic, ...standing };
      }
      case "leave":
        if (!this.topics.delete(topic)) return refused("not_joined");
        this.watches.delete(topic);
        this.hub.went(this.user, topic);
        return { topic, epoch: this.hub.log(topic).epoch, offset: this.hub.log(topic).head };
      case "presence":
        return { group, count: this.hub.members(topic).length, users: this.hub.members(topic) };
      case "online":
        return { online: (frame["users"] as string[]).filter((user) => this.hub.online(user)) };
      case "history":
        return this.hub.allows(this.user, topic) ? this.#history(topic, frame) : refused("forbidden");
      case "detach":
        return void this.detach();
      case "auth":
        return refused("not_supported");
      default:
        return undefined;
    }
  }

  #history(topic: string, { after, before, limit = 50, epoch }: Frame): Fields {
    const log = this.hub.log(topic);
    const head = { topic, epoch: log.epoch, offset: log.head, first: log.first };
    if (epoch !== undefined && epoch !== log.epoch) return { ...head, entries: [], more: false, lost: true };
    const up = after !== undefined;
    const all = log.entries.filter(({ offset }) => (up ? offset > Number(after) : before === undefined || offset < Number(before)));
    const entries = up ? all.slice(0, Number(limit)) : all.slice(-Number(limit)).reverse();
    const gap = up && Number(after) < log.first - 1 ? { gap: { after, before: log.first } } : {};
    return { ...head, entries, more: entries.length < all.length, ...gap };
  }
}

export function refused(code: string, temporary = false): Fields {
  return { code, message: code, temporary };
}

/** What each kind of `to` holds. */
const TARGETS: Readonly<Record<string, (value: unknown) => boolean>> = {
  user: (value) => typeof value === "string",
  users: (value) => Array.isArray(value) && value.every((user) => typeof user === "string"),
  group: (value) => typeof value === "string",
  all: (value) => value === true,
  match: (value) => typeof value === "object" && value !== null,
};

/** Whether a `to` is one of its kinds. */
export function isTarget(to: unknown): boolean {
  const [[kind, value] = [""], ...more] = Object.entries(Object(to));
  return !more.length && (TARGETS[kind]?.(value) ?? false);
}

/** The topics that a `to` names; undefined for `all` and `match`. */
export function topicsOf(to: unknown): readonly string[] | undefined {
  const { user, users, group } = to as Fields;
  if (user !== undefined) return [`u:${String(user)}`];
  if (Array.isArray(users)) return [...new Set(users)].map((each) => `u:${String(each)}`);
  return group === undefined ? undefined : [`g:${String(group)}`];
}
