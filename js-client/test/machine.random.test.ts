/** Random sequences of events through the machine, with what must hold after each. A failing seed names itself. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { RingdialError } from "../src/errors.js";
import { groupRules } from "../src/machine/groups.js";
import { type Effect, type Happening, initial, type State, type TimerName } from "../src/machine/state.js";
import { transition } from "../src/machine/transition.js";
import { configOf } from "../src/options.js";
import type { Frame } from "../src/wire.js";
import { randomOf } from "./random.js";

const SEEDS = 10_000;
const EVENTS = 80;
/** Stacks of errors that nobody reads are most of the time it takes. */
Error.stackTraceLimit = 0;
const TOPICS = { "u:u": { epoch: "a", offset: 3, recovered: true }, "g:x": { recovered: "pending" }, "g:y": { error: "forbidden" } };
const WELCOME = { op: "welcome", session: "s", node: "n1", user: "u", heartbeat_ms: 20_000, retry_spread_ms: 1_000 };
const LIMITS = { message_bytes: 1_000, sends_per_second: 0.2, sends_burst: 3 };
const MOVED = { op: "moved", node: "n2", url: "ws://n2", protocols: ["a"], spread_ms: 1_000, reason: "r" };

/** The ways from one state to another in docs/PROTOCOL.md. */
const DIAGRAM = [...readFileSync(new URL("../../docs/PROTOCOL.md", import.meta.url), "utf8").matchAll(/^ {4}(\w+) --> (\w+): /gm)].map(([, from, to]) => `${from} -> ${to}`);
const ways = new Set<string>();

/** `expect` costs too much for millions of checks. */
function hold(condition: boolean, what: string): void {
  if (!condition) throw new Error(`does not hold: ${what}`);
}

/** The surroundings of one machine: which sockets, timers and lookups there are, and what became of each send. */
class World {
  state: State;
  now = 1_000_000;
  readonly sockets = new Map<number, { opened: boolean; over: boolean; sent: number[] }>();
  readonly timers = new Set<TimerName>();
  readonly waiting = new Map<string, { ephemeral: boolean; written: number }>();
  /** The `ref`s of joins and leaves. */
  readonly joins: string[] = ["0"];
  ask: number | undefined;
  next = 1;
  moves = 0;

  constructor(readonly random: () => number) {
    const options = { lookup: "x", token: () => "t", outbox: { maxMessages: 6 }, timeouts: { sendMs: 20_000 } };
    this.state = initial(configOf(options, groupRules));
  }

  one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.random() * choices.length)] as T;
  }

  step(): void {
    const what = (this.random() < 0.5 && this.onward()) || this.choose();
    this.happen(what);
  }

  happen(what: Happening): void {
    if (what[0] === "timer") this.timers.delete(what[1]);
    if ((what[0] === "granted" || what[0] === "refused") && what[1] === this.ask) this.ask = undefined;
    if (what[0] === "down") {
      const socket = this.sockets.get(what[1]);
      if (socket) socket.over = true;
    }
    this.now += Math.floor(this.random() * 8_000);
    const before = this.state;
    const { state, effects } = transition(before, { what, now: this.now, roll: this.random() });
    this.state = state;
    if (state.phase !== before.phase) ways.add(`${before.phase} -> ${state.phase}`);
    for (const effect of effects) this.perform(effect, before);
    this.check();
  }

  /** What brings the client further: without it most sequences would end before a move. */
  onward(): Happening | undefined {
    const { ask, dial, link, retryAt, old, offer } = this.state;
    if (ask) return ["granted", ask, { url: "ws://n", protocols: ["a"], node: "n1" }];
    if (retryAt) return ["timer", "loop"];
    if (dial) return this.meet(dial.socket);
    if (!link) return ["connect"];
    if (old) return this.random() < 0.5 ? ["heard", old, { op: "bye" }] : undefined;
    return offer ? ["timer", "loop"] : ["heard", link.socket, MOVED];
  }

  meet(socket: number): Happening {
    const known = this.sockets.get(socket);
    if (known?.opened) return ["heard", socket, this.one([WELCOME, { ...WELCOME, limits: LIMITS }])];
    if (known) known.opened = true;
    return ["opened", socket];
  }

  choose(): Happening {
    const socket = this.one([...this.sockets.keys(), 99_999]);
    const known = this.sockets.get(socket);
    const ask = this.one([this.ask ?? 77_777, this.ask ?? 77_777, 88_888]);
    const kind = this.random();
    if (kind < 0.04) return ["connect"];
    if (kind < 0.05) return ["close"];
    if (kind < 0.07) return ["wake"];
    if (kind < 0.08) return ["away", this.random() < 0.5];
    if (kind < 0.2) return this.sending();
    if (kind < 0.22) return ["cancel", this.one([...this.waiting.keys(), "0"])];
    if (kind < 0.24) return ["follow", this.one(["g:x", "g:y"]), this.one([undefined, { offset: 0 }]), this.random() < 0.5];
    if (kind < 0.25) return ["unfollow", this.one(["g:x", "g:y"])];
    if (kind < 0.36) return ["granted", ask, { url: "ws://n", protocols: ["a"], node: this.one(["n1", "n2"]) }];
    if (kind < 0.39) {
      const policy = this.one(["now", "lost", "later", "refresh", "stop"] as const);
      return ["refused", ask, { policy, error: new RingdialError("x", "", true) }];
    }
    if (kind < 0.5 && this.timers.size > 0) return ["timer", this.one([...this.timers])];
    if (!known) return ["heard", socket, this.frame()];
    if (!known.opened && kind < 0.9) {
      known.opened = true;
      return ["opened", socket];
    }
    const code = this.one([0, 1000, 1006, 4001, 4002, 4103, 4401, 4409]);
    return kind < 0.54 || !known.opened ? ["down", socket, code, ""] : ["heard", socket, this.frame()];
  }

  sending(): Happening {
    const ref = String(this.next++);
    const ephemeral = this.random() < 0.5;
    this.waiting.set(ref, { ephemeral, written: 0 });
    return ["send", ref, JSON.stringify({ op: "send", ref }), ephemeral, this.random() < 0.2];
  }

  /** One in twenty has a field that is missing or of another type: whatever comes of it, the client goes on. */
  frame(): Frame {
    const frame = this.rightFrame();
    if (this.random() > 0.05) return frame;
    const wrong = this.one([null, undefined, 5, -1, "x", true, {}, [], [null], { x: null }, { "u:u": { epoch: 5, offset: "x" } }]);
    return { ...frame, [this.one(Object.keys(frame).slice(1)) ?? "op"]: wrong };
  }

  rightFrame(): Frame {
    const ref = this.one([...this.waiting.keys(), "0"]);
    const join = this.one(this.joins.slice(-3));
    const topic = this.one(["u:u", "g:x", "g:y"]);
    const [epoch, offset] = [this.one(["a", "b"]), Math.floor(this.random() * 9)];
    return this.one<Frame>([
      WELCOME,
      { ...WELCOME, session: "s2", node: "n2", topics: TOPICS },
      { ...WELCOME, limits: LIMITS },
      { op: "ack", ref: join, topic: "g:x", epoch, offset, recovered: this.one([true, "pending"]) },
      { op: "error", ref: join, code: "x", temporary: this.random() < 0.5 },
      { op: "recovered", topic, epoch, offset, recovered: true },
      { op: "message", topic, epoch, offset, data: 1 },
      { op: "gap", topic, epoch, after: 1, before: offset + 1, reason: this.one(["trimmed", "log_lost"]) },
      { op: "presence", group: "x", count: 1 },
      MOVED,
      { op: "ack", ref, online: 1 },
      { op: "error", ref, code: "x", temporary: true },
      { op: "error", code: "x", temporary: true, retry_after_ms: 100 },
      { op: "message", topic: "t", data: 1 },
      { op: "ping" },
      { op: "bye" },
      { op: "unheard_of" },
    ]);
  }

  perform(effect: Effect, before: State): void {
    switch (effect[0]) {
      case "look":
        hold(this.ask === undefined, "one lookup at a time");
        this.ask = effect[1];
        break;
      case "abandon":
        this.ask = undefined;
        break;
      case "open":
        this.sockets.set(effect[1], { opened: false, over: false, sent: [] });
        hold(this.sockets.size <= 2, "at most two sockets");
        break;
      case "drop":
        hold(this.sockets.delete(effect[1]), "dropped once");
        break;
      case "write":
        this.write(effect[1], effect[2]);
        break;
      case "arm":
        hold(effect[2] >= 0, "no time before now");
        this.timers.add(effect[1]);
        break;
      case "disarm":
        this.timers.clear();
        break;
      case "settle":
      case "fail":
        if (effect[1].includes(":") || effect[1] in before.places) break;
        hold(this.waiting.delete(effect[1]), "answered once");
        break;
      case "emit":
        if (effect[1] !== "status") hold(before.phase !== "idle" && before.phase !== "closed", "nothing told before or after");
        if (effect[1] === "moved") this.moves += 1;
    }
  }

  write(socket: number, text: string): void {
    const to = this.sockets.get(socket);
    hold(to?.opened === true && !to.over, "writes only to an open socket");
    const { op, ref, resume } = JSON.parse(text) as { op: string; ref: string; resume: Record<string, { epoch?: unknown; offset: number }> };
    if (op === "hello") {
      this.joins.length = 1;
      for (const { epoch = "", offset } of Object.values(resume)) hold(typeof epoch === "string" && Number.isFinite(offset) && offset >= 0, "names only places that can be");
      hold(!("undefined" in resume), "names only topics that can be");
    }
    if (op === "join" || op === "leave") this.joins.push(ref);
    if (op !== "send" || ref === "probe") return;
    const send = this.waiting.get(ref);
    if (!send || !to) throw new Error("wrote an answered send");
    send.written += 1;
    hold(!send.ephemeral || send.written === 1, "an ephemeral send is never repeated");
    to.sent.push(Number(ref));
  }

  check(): void {
    const { phase, ask, dial, link, retryAt, old, detached, offer, sends } = this.state;
    const same = (a: readonly unknown[], b: readonly unknown[]): boolean => a.length === b.length && a.every((x, i) => x === b[i]);
    const sockets = [link?.socket ?? 0, old, dial?.socket ?? 0].filter((socket) => socket > 0);
    const seeking = phase === "connecting" || phase === "reconnecting";
    const steps = [ask > 0, retryAt > 0, dial !== undefined].filter((step) => step).length;
    hold(same([...this.sockets.keys()].sort(), sockets.sort()), "knows its sockets");
    hold((link !== undefined) === (phase === "connected"), "a link exactly while connected");
    hold(seeking ? steps === 1 : ask + retryAt === 0, "one step at a time while seeking, else none");
    hold((this.ask ?? 0) === ask, "knows its lookup");
    hold(!seeking || this.timers.has("loop"), "one loop while seeking");
    hold(!link || this.timers.has("alive"), "a dead-line while connected");
    hold(!(old && detached) || this.timers.has("retire"), "retire");
    if (link && !dial) hold(Object.values(this.state.places).every(({ want, asked, pending }) => !want || asked === link.socket || pending === link.socket || (asked === -link.socket && this.timers.has("join"))), "told all");
    hold(!(link && (dial || offer)) || this.timers.has("loop"), "move");
    hold(same([...this.waiting.keys()], sends.map((entry) => entry.ref)), "every send is waiting or answered");
    hold(sends.length === 0 || this.timers.has("outbox"), "every send has an end");
    if (phase === "closed") hold(this.timers.size + this.sockets.size + sends.length === 0, "nothing left after the end");
    this.checkOrder(link?.socket);
  }

  /** The end, and what the platform still says afterwards: nothing comes of it. */
  finish(): void {
    this.happen(["close"]);
    for (let n = 0; n < 5; n++) {
      const what = this.choose();
      if (what[0] !== "connect") this.happen(what);
    }
    hold(this.state.phase === "closed", "closed for good");
  }

  /** Per kind: a durable send may pass an ephemeral one that must wait, never one of its own kind. */
  checkOrder(link: number | undefined): void {
    const sent = this.sockets.get(link ?? 0)?.sent ?? [];
    hold(new Set(sent).size === sent.length, "once a socket");
    for (const ephemeral of [true, false]) {
      const refs = this.state.sends.filter((entry) => entry.ephemeral === ephemeral && entry.socket === link);
      const places = refs.map((entry) => sent.indexOf(Number(entry.ref)));
      hold(places.every((place, i) => place > (places[i - 1] ?? -1)), "in order");
    }
    const durable = this.state.sends.filter((entry) => !entry.ephemeral).map((entry) => entry.socket === link);
    hold(!link || !durable.includes(false) || !durable.slice(durable.indexOf(false)).includes(true), "none overtakes one that the limits hold back");
    for (const { ephemeral, socket } of this.state.sends) {
      if (link && !ephemeral) hold(socket === link || this.timers.has("pace"), "a durable send is held back only by the node's limits");
    }
  }
}

it(`keeps its invariants over ${SEEDS} random sequences`, { timeout: 120_000 }, () => {
  let moves = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new World(randomOf(seed));
    try {
      for (let n = 0; n < EVENTS; n++) world.step();
      world.finish();
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
    moves += world.moves;
  }
  expect(moves, "the sequences reach far enough").toBeGreaterThan(SEEDS);
  expect([...ways].sort(), "the diagram in docs/PROTOCOL.md").toEqual(DIAGRAM.sort());
});
