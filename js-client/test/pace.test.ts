/** How fast sends are written: no faster than the node's limits, by a model of its bucket (ws-node/src/core/rate.rs). */
import { expect, it } from "vitest";
import type { Happening } from "../src/machine/state.js";
import { Machine } from "./machine.js";
import { randomOf } from "./random.js";
import { scene } from "./scene.js";

/** A session's allowance at the node. */
class Bucket {
  private at: number;
  private left: number;

  constructor(private readonly perSecond: number, private readonly burst: number, now: number) {
    [this.at, this.left] = [now, burst];
  }

  take(cost: number, now: number): boolean {
    this.left = Math.min(this.burst, this.left + ((now - this.at) * this.perSecond) / 1_000);
    this.at = now;
    const may = this.left >= Math.min(cost, this.burst) - 1e-6;
    if (may) this.left -= Math.min(cost, this.burst);
    return may;
  }
}

/** A client at a node that allows so much; its timer `pace` fires when it is due. */
class Paced extends Machine {
  now = 0;
  socket = 2;
  written: string[] = [];
  refused: string[] = [];
  due = Infinity;
  private bucket: Bucket;
  private readonly costs = new Map<string, number>();

  constructor(private readonly perSecond: number, private readonly burst: number) {
    super();
    this.bucket = new Bucket(perSecond, burst, 0);
    this.at(0, "connect").at(0, "granted", 1, { url: "ws://n1", protocols: [] }).at(0, "opened", 2);
    this.do("heard", 2, this.welcome);
  }

  get welcome() {
    const limits = { sends_per_second: this.perSecond, sends_burst: this.burst };
    return { op: "welcome", session: "s", user: "u", node: "n1", limits };
  }

  do(...what: Happening): void {
    this.at(this.now, ...what);
    for (const [name, to, text] of this.effects) {
      if (name === "arm" && to === "pace") this.due = this.now + Number(text);
      if (name !== "write" || to !== this.socket || !String(text).includes('"ref"')) continue;
      const { ref } = JSON.parse(String(text)) as { ref: string };
      this.written.push(ref);
      if (!this.bucket.take(this.costs.get(ref) ?? 1, this.now)) this.refused.push(ref);
    }
  }

  send(ref: string, cost = 1): void {
    this.costs.set(ref, cost);
    this.do("send", ref, JSON.stringify({ op: "send", ref }), false, false, cost);
  }

  /** Time goes on, and the timer fires as often as it is due. */
  until(now: number): void {
    while (this.due <= now) {
      [this.now, this.due] = [this.due, Infinity];
      this.do("timer", "pace");
    }
    this.now = now;
  }

  lose(): void {
    this.do("down", this.socket, 4001, "");
  }

  again(): void {
    this.do("granted", this.state.ask, { url: "ws://n2", protocols: [] });
    this.socket = this.state.dial?.socket as number;
    this.do("opened", this.socket);
    this.bucket = new Bucket(this.perSecond, this.burst, this.now);
    [this.written, this.due] = [[], Infinity];
    this.do("heard", this.socket, this.welcome);
  }
}

const refs = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, n) => String(from + n));

it("writes what waited, and what is repeated, in order and no faster than the node takes it", () => {
  const client = new Paced(32, 64);
  for (const ref of refs(1, 20)) client.send(ref);
  expect(client.written).toEqual(refs(1, 20));
  client.lose();
  for (const ref of refs(21, 200)) client.send(ref);
  client.again();
  expect(client.written).toEqual(refs(1, 56));
  client.send("201");
  expect(client.written).toHaveLength(56);
  client.until(1_000);
  expect(client.written).toEqual(refs(1, 56 + 32));
  client.until(10_000);
  expect([client.written, client.refused, client.due]).toEqual([refs(1, 201), [], Infinity]);
});

it("waits no longer than it has to, and is not held up by a clock that was set back", () => {
  const client = new Paced(10, 8);
  for (const ref of refs(1, 9)) client.send(ref);
  expect([client.written.length, client.due]).toEqual([7, 100]);
  client.now = -1_000_000;
  client.do("timer", "pace");
  expect(client.due - client.now).toBeLessThanOrEqual(200);
  client.until(-1_000_000 + 300);
  expect(client.written).toHaveLength(9);
});

it("lets one go that costs more than a burst, alone, and those behind it wait", () => {
  const client = new Paced(10, 8);
  for (const [ref, cost] of [["1", 1], ["2", 100], ["3", 1]] as const) client.send(ref, cost);
  expect(client.written).toEqual(["1"]);
  client.until(100);
  expect(client.written).toEqual(["1", "2"]);
  client.until(1_000);
  expect([client.written, client.refused]).toEqual([["1", "2", "3"], []]);
});

it("counts joins and probes, and those that the node refuses not twice", () => {
  const client = new Paced(10, 16);
  for (const name of refs(1, 10)) client.do("follow", `g:${name}`, undefined, false);
  client.do("wake");
  for (const ref of refs(1, 6)) client.send(ref);
  expect(client.written.filter((ref) => /^\d/.test(ref))).toEqual(refs(1, 3));
  for (const name of refs(11, 40)) client.do("follow", `g:${name}`, undefined, false);
  expect(client.due - client.now).toBeLessThanOrEqual(300);
  client.until(600);
  expect(client.written.filter((ref) => /^\d/.test(ref))).toEqual(refs(1, 6));
  expect(client.refused.filter((ref) => /^\d/.test(ref))).toEqual([]);
});

it("is never refused a send, whatever is sent when", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = randomOf(seed);
    const some = (n: number): number => Math.floor(random() * n);
    const client = new Paced(1 + some(50), 1 + some(80));
    let sent = 0;
    for (let n = 0; n < 200; n++) {
      client.until(client.now + some(60) ** 2 / 4);
      const kind = random();
      if (kind < 0.02) client.lose(), client.until(client.now + some(5_000)), client.again();
      else if (kind < 0.05) client.do("follow", `g:${n}`, undefined, false);
      else for (let m = some(4); m > 0 && client.state.sends.length < 200; m--) client.send(String(++sent), random() < 0.1 ? 1 + some(90) : 1);
      for (const { ref, socket } of client.state.sends) if (socket === client.socket) client.do("heard", socket, { op: "ack", ref });
    }
    expect([seed, client.refused.filter((ref) => /^\d/.test(ref))]).toEqual([seed, []]);
    client.do("close");
    expect(client.names()).toContain("disarm");
  }
});

it.each([[{}], [undefined], [{ sends_per_second: 5 }], [{ sends_burst: 5 }], [{ sends_per_second: 0, sends_burst: 0 }], [{ sends_per_second: "x", sends_burst: null }]])(
  "knows no limit where the node says none: %j",
  async (limits) => {
    const machine = new Machine().at(0, "connect").at(0, "granted", 1, { url: "ws://n1", protocols: [] }).at(0, "opened", 2);
    for (const ref of refs(1, 200)) machine.at(0, "send", ref, "{}", false, false, 50);
    machine.at(0, "heard", 2, { op: "welcome", session: "s", user: "u", node: "n1", limits });
    expect(machine.names().filter((name) => name === "write 2")).toHaveLength(200);
  },
);

it("counts a send to many as the node does", async () => {
  const { client, peer, n2, service } = await scene();
  service.always = n2.grant();
  peer.socket.terminate();
  const users = (count: number): string[] => Array.from({ length: count }, (_, n) => `u${n}`);
  const answers = [99, 100].map((count) => client.send({ users: users(count) }, 1));
  answers.push(client.send({ users: users(2) }, "x".repeat(98_302)), client.send({ user: "bob" }, 1));
  const there = await n2.peer();
  // Of eight at once 7: 1 + 2 + 3 are 6, and the fourth is the seventh.
  await there.welcome("n2", { limits: { sends_per_second: 0.01, sends_burst: 8 } });
  for (const _ of answers) there.send({ op: "ack", ref: (await there.frame())["ref"] });
  await Promise.all(answers);
  client.send({ user: "bob" }, 1).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(there.frames.size).toBe(0);
  await client.close();
});
