/**
 * The machine against a model of a cluster: logs that grow, are trimmed and lost; nodes that lag, stay away from the log,
 * die and move the client. Whatever the order of events, the user is given every message of a topic once and in order, or is
 * told of the gap, and ends where the log ends.
 */
import { expect, it } from "vitest";
import { groupRules } from "../src/machine/groups.js";
import { type Effect, type Happening, initial, type State, type TimerName } from "../src/machine/state.js";
import { transition } from "../src/machine/transition.js";
import { configOf } from "../src/options.js";
import type { Frame } from "../src/wire.js";
import { randomOf } from "./random.js";

const SEEDS = 1_500;
const STEPS = 250;
Error.stackTraceLimit = 0;

const INBOX = "u:alice";
const NAMES = [INBOX, "g:a", "g:b", "g:claimed"];

interface Log {
  epoch: number;
  head: number;
  first: number;
}

interface Cursor {
  epoch: number;
  offset: number;
  /** Undefined: told; else what it was asked for, until the log answers. */
  pending?: { resume: Place | undefined } | undefined;
}

interface Place {
  epoch?: string;
  offset: number;
}

const epochOf = (epoch: number): string => epoch.toString(16).padStart(16, "0");

/** A session at a node: frames wait in `out` until the network brings them. */
class Session {
  readonly topics = new Map<string, Cursor>();
  readonly out: Frame[] = [];
  opened = false;
  said = false;
  over = false;

  constructor(readonly world: World) {}

  receive(frame: Frame & { group: string; since?: Place; resume: Record<string, Place>; groups: string[] }): void {
    const { op, ref } = frame;
    const topic = `g:${frame.group}`;
    if (op === "hello") this.hello(frame.resume, frame.groups);
    if (op === "join" || op === "leave") {
      if (this.world.random() < 0.1) return void this.out.push({ op: "error", ref, code: "rate_limited", temporary: true, retry_after_ms: 50 });
      this.out.push({ op: "ack", ref, topic });
      const ack = this.out.at(-1) as Frame;
      if (op === "leave") this.topics.delete(topic);
      else {
        const cursor = this.topics.get(topic);
        const stays = cursor && !cursor.pending && !frame.since;
        Object.assign(ack, stays ? { ...this.head(topic), recovered: true } : this.arrive(topic, frame.since));
      }
    }
    if (op === "detach") {
      this.topics.clear();
      this.out.push({ op: "bye" });
    }
  }

  hello(resume: Record<string, Place>, groups: string[]): void {
    const wanted = new Set([INBOX, "g:claimed", ...Object.keys(resume), ...groups.map((group) => `g:${group}`)]);
    const welcome: Frame & { topics: Record<string, object> } = { op: "welcome", session: "s", user: "alice", node: "n", topics: {} };
    this.out.push(welcome);
    this.said = true;
    for (const topic of wanted) welcome.topics[topic] = this.arrive(topic, resume[topic]);
  }

  /** What is said of a topic; what is said next of it waits behind that. */
  arrive(topic: string, resume: Place | undefined): object {
    // A topic without a position may be anywhere until the log answers: the protocol lets a move lose its place.
    const away = resume?.epoch !== undefined && this.world.random() < 0.2;
    this.topics.set(topic, { epoch: 0, offset: 0, pending: { resume } });
    return away ? { recovered: "pending" } : { ...this.head(topic), recovered: this.recover(topic) };
  }

  head(topic: string): { epoch: string; offset: number } {
    const { epoch, head } = this.world.log(topic);
    return { epoch: epochOf(epoch), offset: head };
  }

  /** The log answers. Queues the gap, if there is one. */
  recover(topic: string): boolean {
    const cursor = this.topics.get(topic) as Cursor;
    const log = this.world.log(topic);
    const resume = cursor.pending?.resume;
    cursor.pending = undefined;
    cursor.epoch = resume?.epoch ? parseInt(resume.epoch, 16) : log.epoch;
    cursor.offset = resume ? resume.offset : log.head;
    if (resume && !resume.epoch) cursor.offset = log.first - 1;
    return cursor.epoch === log.epoch && cursor.offset >= log.first - 1;
  }

  /** Passes on the next entry of a topic, or says what is missing. */
  pump(topic: string): void {
    const cursor = this.topics.get(topic);
    if (!cursor) return;
    const log = this.world.log(topic);
    if (cursor.pending) {
      const head = this.head(topic);
      return void this.out.push({ op: "recovered", topic, ...head, recovered: this.recover(topic) });
    }
    const { offset: after } = cursor;
    const gap = (before: number, reason: string): void => {
      Object.assign(cursor, { epoch: log.epoch, offset: before - 1 });
      this.out.push({ op: "gap", topic, epoch: epochOf(log.epoch), after, before, reason });
    };
    if (cursor.epoch !== log.epoch) return gap(1, "log_lost");
    if (cursor.offset < log.first - 1) return gap(log.first, "trimmed");
    if (cursor.offset === log.head) return;
    cursor.offset += 1;
    this.out.push({ op: "message", topic, epoch: epochOf(log.epoch), offset: cursor.offset, from: "bob", data: cursor.offset, time: 1 });
  }
}

/** What the user was given of a topic. */
interface Given {
  wanted: boolean;
  place?: { epoch: string; offset: number } | undefined;
}

class World {
  state: State = initial(configOf({ lookup: "x" }, groupRules));
  now = 0;
  readonly sessions = new Map<number, Session>();
  readonly timers = new Set<TimerName>();
  readonly given = new Map<string, Given>(NAMES.map((name) => [name, { wanted: !name.startsWith("g:") || name === "g:claimed" }]));
  readonly logs = new Map<string, Log>();
  ask = 0;
  messages = 0;
  gaps = 0;
  moves = 0;

  constructor(readonly random: () => number) {
    this.happen("connect");
  }

  log(topic: string): Log {
    const log = this.logs.get(topic) ?? { epoch: 1, head: 0, first: 1 };
    this.logs.set(topic, log);
    return log;
  }

  one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.random() * choices.length)] as T;
  }

  happen(...what: Happening): void {
    this.now += 10;
    const { state, effects } = transition(this.state, { what, now: this.now, roll: this.random() });
    this.state = state;
    for (const effect of effects) this.perform(effect);
  }

  perform(effect: Effect): void {
    const [name, first, second] = effect;
    if (name === "look") this.ask = first;
    if (name === "open") this.sessions.set(first, new Session(this));
    if (name === "write") this.sessions.get(first)?.receive(JSON.parse(second as string));
    if (name === "drop") this.sessions.delete(first);
    if (name === "arm") this.timers.add(first);
    if (name === "disarm") this.timers.clear();
    if (name !== "emit") return;
    if (first === "message") this.take(second as never);
    if (first === "gap") this.miss(second as never);
    if (first === "moved") this.moves += 1;
  }

  take({ topic, epoch, offset }: { topic: string; epoch: string; offset: number }): void {
    const given = this.given.get(topic) as Given;
    const { place } = given;
    if (!given.wanted) throw new Error(`${topic} ${offset} came after it was left`);
    if (place && (place.epoch !== epoch || place.offset + 1 !== offset)) throw new Error(`${topic} ${epoch} ${offset} after ${place.epoch} ${place.offset}`);
    given.place = { epoch, offset };
    this.messages += 1;
  }

  miss({ topic, epoch, after, before, reason }: { topic: string; epoch: string; after: number; before: number; reason: string }): void {
    const given = this.given.get(topic) as Given;
    const { place } = given;
    if (!given.wanted) throw new Error(`${topic} gap after it was left`);
    if (reason === "trimmed" && place && (place.epoch !== epoch || before <= place.offset + 1)) throw new Error(`${topic}: no gap ${after} ${before}`);
    const { epoch: present, first } = this.log(topic);
    if (reason === "trimmed" && epoch === epochOf(present) && before > first) throw new Error(`${topic}: ${after} to ${before} were not trimmed`);
    if (reason === "log_lost" && place && epoch <= place.epoch) throw new Error(`${topic}: a loss told twice, or too late`);
    given.place = { epoch, offset: before - 1 };
    this.gaps += 1;
  }

  step(): void {
    const kind = this.random();
    const topic = this.one(NAMES);
    if (kind < 0.2) this.log(topic).head += 1;
    else if (kind < 0.22) this.trim(this.log(topic));
    else if (kind < 0.23) this.lose(this.log(topic));
    else if (kind < 0.27) this.use(this.one(["g:a", "g:b"]));
    else if (kind < 0.28) this.cut();
    else if (kind < 0.31) this.fire();
    else this.onward();
  }

  trim(log: Log): void {
    log.first = Math.min(log.head + 1, log.first + 1 + Math.floor(this.random() * 3));
  }

  /** Twice while two sockets overlap is beyond what epochs can tell apart. */
  lose(log: Log): void {
    const behind = (session: Session): boolean =>
      [...session.topics].some(([topic, cursor]) => this.log(topic) === log && (!!cursor.pending || cursor.epoch !== log.epoch)) ||
      session.out.some((frame) => frame["reason"] === "log_lost");
    if (this.sessions.size > 1 && [...this.sessions.values()].some(behind)) return;
    log.epoch += 1;
    log.head = 0;
    log.first = 1;
  }

  use(topic: string): void {
    const given = this.given.get(topic) as Given;
    given.wanted = !given.wanted;
    given.place = undefined;
    if (!given.wanted) return this.happen("unfollow", topic);
    const whole = this.random() < 0.3;
    this.happen("follow", topic, whole ? { offset: 0 } : undefined, this.random() < 0.3);
  }

  cut(): void {
    const [socket, session] = this.one([...this.sessions]) ?? [];
    if (!socket || !session || session.over) return;
    session.over = true;
    this.happen("down", socket, this.one([1006, 4001, 4103]), "");
  }

  fire(): void {
    const timer = this.one([...this.timers]);
    // A link that is silent for as long as this timer runs is another test's.
    if (!timer || timer === "alive" || timer === "outbox") return;
    this.timers.delete(timer);
    this.happen("timer", timer);
  }

  /** The network and the nodes go on. */
  onward(): void {
    const { ask, retryAt, link, dial, old } = this.state;
    if (ask) return this.happen("granted", ask, { url: "ws://n", protocols: ["p"], node: "n" });
    if (retryAt) return this.happen("timer", "loop");
    if (link && !dial && !old && this.random() < 0.05) {
      this.happen("heard", link.socket, { op: "moved", url: "ws://m", protocols: ["p"], node: "m", spread_ms: 0 });
      return this.happen("timer", "loop");
    }
    const [socket, session] = this.one([...this.sessions]) ?? [];
    if (!socket || !session || session.over) return;
    if (!session.opened) {
      session.opened = true;
      return this.happen("opened", socket);
    }
    if (this.random() < 0.5) session.pump(this.one(NAMES));
    const frame = session.out.shift();
    if (frame) this.happen("heard", socket, frame);
  }

  /** Nothing fails any more: everything arrives. */
  settle(): void {
    for (let n = 0; n < 150; n++) {
      this.onward();
      if (this.timers.has("join") && this.random() < 0.3) this.happen("timer", "join");
      const { link } = this.state;
      const session = this.sessions.get(link?.socket ?? 0);
      for (const name of NAMES) session?.pump(name);
    }
    const { link, old, dial } = this.state;
    if (!link || old || dial) return this.settle();
    const session = this.sessions.get(link.socket) as Session;
    for (const frame of session.out.splice(0)) this.happen("heard", link.socket, frame);
    for (const [topic, { wanted, place }] of this.given) {
      const log = this.log(topic);
      const { epoch, offset } = this.state.places[topic] ?? {};
      // Who asked for all and was given nothing, because all is trimmed, still asks for all.
      if (!wanted || (epoch === undefined && log.first > log.head)) continue;
      if (epoch !== epochOf(log.epoch) || offset !== log.head) throw new Error(`${topic} ends at ${epoch} ${offset}, its log at ${log.epoch} ${log.head}`);
      if (place && (place.epoch !== epoch || place.offset !== offset)) throw new Error(`${topic}: the user was not given all up to ${offset}`);
    }
  }
}

it(`gives every message once and in order, over ${SEEDS} random histories`, { timeout: 120_000 }, () => {
  const seen = { messages: 0, gaps: 0, moves: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new World(randomOf(seed));
    try {
      for (let n = 0; n < STEPS; n++) world.step();
      world.settle();
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
    for (const name of ["messages", "gaps", "moves"] as const) seen[name] += world[name];
  }
  expect(seen.messages, "the histories reach far enough").toBeGreaterThan(SEEDS * 20);
  expect(seen.gaps).toBeGreaterThan(SEEDS);
  expect(seen.moves).toBeGreaterThan(SEEDS);
});
