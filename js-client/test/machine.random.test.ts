/** Random sequences of events through the machine, with what must hold after each. A failing seed names itself. */
import { expect, it } from "vitest";
import { RingdialError } from "../src/errors.js";
import { type Effect, type Event, type Happening, initial, type State, type TimerName } from "../src/machine/state.js";
import { transition } from "../src/machine/transition.js";
import { configOf } from "../src/options.js";
import type { Frame } from "../src/wire.js";

const SEEDS = 10_000;
const EVENTS = 80;
const WELCOME = { op: "welcome", session: "s", node: "n1", user: "u", heartbeat_ms: 20_000, retry_spread_ms: 1_000 };
const MOVED = { op: "moved", node: "n2", url: "ws://n2", protocols: ["a"], spread_ms: 1_000, reason: "r" };

/** `expect` costs too much for millions of checks. */
function hold(condition: boolean, what: string): void {
  if (!condition) throw new Error(`does not hold: ${what}`);
}

/** mulberry32 */
function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The surroundings of one machine: which sockets, timers and lookups there are, and what became of each send. */
class World {
  state: State;
  now = 1_000_000;
  readonly sockets = new Map<number, { opened: boolean; sent: number[] }>();
  readonly timers = new Set<TimerName>();
  readonly waiting = new Map<string, { ephemeral: boolean; written: number }>();
  ask: number | undefined;
  next = 1;
  moves = 0;

  constructor(readonly random: () => number) {
    this.state = initial(configOf({ lookup: "x", token: () => "t", outbox: { maxMessages: 6 }, timeouts: { sendMs: 20_000 } }));
  }

  one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.random() * choices.length)] as T;
  }

  step(): void {
    const happening = (this.random() < 0.5 && this.onward()) || this.choose();
    if (!happening) return;
    if (happening.type === "timer") this.timers.delete(happening.name);
    if (happening.type === "granted" || happening.type === "refused") {
      if (happening.ask === this.ask) this.ask = undefined;
    }
    this.now += Math.floor(this.random() * 8_000);
    const before = this.state;
    const event: Event = { ...happening, now: this.now, roll: this.random() };
    const { state, effects } = transition(before, event);
    this.state = state;
    for (const effect of effects) this.perform(effect, before);
    this.check();
  }

  /** What brings the client further: without it most sequences would end before a move. */
  onward(): Happening | undefined {
    const { mode } = this.state;
    if (mode.name === "seeking") {
      if (mode.step.at === "waiting") return { type: "timer", name: "loop" };
      if (mode.step.at === "dialling") return this.meet(mode.step.dial.socket);
      return { type: "granted", ask: mode.step.ask, grant: { url: "ws://n", protocols: ["a"], node: "n1" } };
    }
    if (mode.name !== "connected") return { type: "connect" };
    if (mode.retiring) return this.random() < 0.5 ? { type: "heard", socket: mode.retiring, frame: { op: "bye" } } : undefined;
    if (!mode.move) return { type: "heard", socket: mode.link.socket, frame: MOVED };
    return typeof mode.move.stage === "object" ? this.meet(mode.move.stage.socket) : { type: "timer", name: "move" };
  }

  meet(socket: number): Happening {
    const known = this.sockets.get(socket);
    if (known?.opened) return { type: "heard", socket, frame: WELCOME };
    if (known) known.opened = true;
    return { type: "opened", socket };
  }

  choose(): Happening | undefined {
    const socket = this.one([...this.sockets.keys(), 99_999]);
    const known = this.sockets.get(socket);
    const ask = this.one([this.ask ?? 0, this.ask ?? 0, 88_888]);
    const kind = this.random();
    if (kind < 0.04) return { type: "connect" };
    if (kind < 0.05) return { type: "close" };
    if (kind < 0.08) return { type: "wake" };
    if (kind < 0.2) return this.sending();
    if (kind < 0.22) return { type: "cancel", ref: this.one([...this.waiting.keys(), "0"]) };
    if (kind < 0.36) return { type: "granted", ask, grant: { url: "ws://n", protocols: ["a"], node: this.one(["n1", "n2"]) } };
    if (kind < 0.39) {
      const policy = this.one(["now", "lost", "later", "refresh", "stop"] as const);
      return { type: "refused", ask, policy, error: new RingdialError("x", "x", true) };
    }
    if (kind < 0.5 && this.timers.size > 0) return { type: "timer", name: this.one([...this.timers]) };
    if (!known) return { type: "heard", socket, frame: this.frame() };
    if (!known.opened && kind < 0.9) {
      known.opened = true;
      return { type: "opened", socket };
    }
    if (kind < 0.54 || !known.opened) {
      return { type: "down", socket, reason: "", code: this.one([0, 1000, 1006, 4001, 4002, 4103, 4401, 4409]) };
    }
    return { type: "heard", socket, frame: this.frame() };
  }

  sending(): Happening {
    const ref = String(this.next++);
    const ephemeral = this.random() < 0.5;
    this.waiting.set(ref, { ephemeral, written: 0 });
    return { type: "send", ref, ephemeral, text: JSON.stringify({ op: "send", ref }) };
  }

  frame(): Frame {
    const ref = this.one([...this.waiting.keys(), "0"]);
    return this.one<Frame>([
      WELCOME,
      { op: "welcome", session: "s2", node: "n2", user: "u", heartbeat_ms: 20_000, retry_spread_ms: 1_000 },
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
    switch (effect.do) {
      case "look":
        hold(this.ask === undefined, "one lookup at a time");
        this.ask = effect.ask;
        break;
      case "abandon":
        this.ask = undefined;
        break;
      case "open":
        this.sockets.set(effect.socket, { opened: false, sent: [] });
        hold(this.sockets.size <= 2, "at most two sockets");
        break;
      case "drop":
        hold(this.sockets.delete(effect.socket), "dropped once");
        break;
      case "write":
        this.write(effect.socket, effect.text);
        break;
      case "arm":
        hold(effect.ms >= 0, "no time before now");
        this.timers.add(effect.timer);
        break;
      case "disarm":
        this.timers.delete(effect.timer);
        break;
      case "settle":
      case "fail":
        hold(this.waiting.delete(effect.ref), "answered once");
        break;
      case "message":
        hold(before.mode.name === "connected", "messages only while connected");
        break;
      case "moved":
        this.moves += 1;
    }
  }

  write(socket: number, text: string): void {
    const to = this.sockets.get(socket);
    hold(to?.opened === true, "writes only to an open socket");
    const { op, ref } = JSON.parse(text) as { op: string; ref: string };
    if (op !== "send" || ref === "probe") return;
    const send = this.waiting.get(ref);
    if (!send || !to) throw new Error("wrote an answered send");
    send.written += 1;
    hold(!send.ephemeral || send.written === 1, "an ephemeral send is never repeated");
    to.sent.push(Number(ref));
  }

  check(): void {
    const { mode, outbox } = this.state;
    const connected = mode.name === "connected" ? mode : undefined;
    const stage = connected?.move?.stage;
    const seeking = mode.name === "seeking" ? mode.step : undefined;
    const sockets = [
      seeking?.at === "dialling" ? seeking.dial.socket : 0,
      connected?.link.socket ?? 0,
      connected?.retiring ?? 0,
      typeof stage === "object" ? stage.socket : 0,
    ].filter((socket) => socket !== 0);
    const same = (a: readonly unknown[], b: readonly unknown[]): boolean => a.length === b.length && a.every((x, i) => x === b[i]);
    hold(same([...this.sockets.keys()].sort(), sockets.sort()), "knows its sockets");
    hold((this.ask !== undefined) === (seeking?.at === "looking"), "a lookup exactly while looking");
    hold(this.timers.has("loop") === (seeking !== undefined), "one loop exactly while seeking");
    hold(this.timers.has("alive") === (connected !== undefined), "a dead-line exactly while connected");
    hold(this.timers.has("retire") === !!connected?.retiring, "retire");
    hold(this.timers.has("move") === (stage !== undefined && stage !== "ready"), "move");
    hold(same([...this.waiting.keys()], outbox.map((entry) => entry.ref)), "every send is waiting or answered");
    hold(outbox.length === 0 || this.timers.has("outbox"), "every send has an end");
    if (mode.name === "closed") hold(this.timers.size + this.sockets.size + outbox.length === 0, "nothing left after the end");
    this.checkOrder(connected?.link.socket);
  }

  /** Per kind: a durable send may pass an ephemeral one that must wait, never one of its own kind. */
  checkOrder(link: number | undefined): void {
    const sent = this.sockets.get(link ?? 0)?.sent ?? [];
    hold(new Set(sent).size === sent.length, "once a socket");
    for (const ephemeral of [true, false]) {
      const refs = this.state.outbox.filter((entry) => entry.ephemeral === ephemeral && entry.socket === link);
      const places = refs.map((entry) => sent.indexOf(Number(entry.ref)));
      hold(places.every((place, i) => place > (places[i - 1] ?? -1)), "in order");
    }
  }
}

it(`keeps its invariants over ${SEEDS} random sequences`, { timeout: 120_000 }, () => {
  let moves = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new World(randomOf(seed));
    try {
      for (let n = 0; n < EVENTS; n++) world.step();
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
    moves += world.moves;
  }
  expect(moves, "the sequences reach far enough").toBeGreaterThan(SEEDS / 10);
});
