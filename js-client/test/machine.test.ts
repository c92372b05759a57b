/** Decisions that depend on the clock, straight through the machine. */
import { expect, it } from "vitest";
import { RingdialError } from "../src/errors.js";
import { transition } from "../src/machine/transition.js";
import { Machine } from "./machine.js";

const PING = { op: "ping" };

it("looks at the clock each 15 s, and sooner if the dead-line is near", () => {
  const machine = new Machine().connected();
  expect(machine.effects).toContainEqual(["arm", "alive", 15_000]);
  expect(machine.at(15_000, "timer", "alive").effects).toEqual([["arm", "alive", 15_000]]);
  expect(machine.at(50_000, "timer", "alive").effects).toEqual([["arm", "alive", 10_000]]);
});

it("asks for a newer token until it has one", () => {
  const refused = { policy: "later", error: new RingdialError("token_failed", "", true) } as const;
  const machine = new Machine().connected().at(1, "down", 2, 4401, "");
  expect(machine.effects).toContainEqual(["look", 3, "rejected", []]);
  machine.at(2, "refused", 3, refused).at(10_000, "timer", "loop");
  expect(machine.effects).toContainEqual(["look", 4, "rejected", []]);
  machine.at(10_001, "granted", 4, { url: "ws://n1", protocols: [] }).at(10_002, "down", 5, 1006, "").at(60_000, "timer", "loop");
  expect(machine.effects).toContainEqual(["look", 6, "lost", []]);
});

it("keeps the old socket of a move until the new one carries what is unanswered, however slowly the node lets it", () => {
  const limits = { sends_per_second: 1, sends_burst: 8 };
  const machine = new Machine().connected();
  for (let n = 0; n < 20; n++) machine.at(1, "send", `${n}`, "{}", false, false);
  machine.at(2, "heard", 2, { op: "moved", node: "n2", url: "ws://n2", protocols: [] }).at(3, "timer", "loop").at(4, "opened", 3);
  machine.at(5, "heard", 3, { op: "welcome", session: "t", user: "u", node: "n2", limits });
  expect(machine.effects).not.toContainEqual(["write", 2, '{"op":"detach"}']);
  // It goes away, and says so of what it will not do: that is to be repeated.
  machine.at(6, "heard", 2, { op: "error", ref: "19", code: "unavailable", temporary: true });
  expect(machine.state.sends).toHaveLength(20);
  for (let ms = 1_000; machine.state.sends.some(({ socket }) => socket === 2); ms += 1_000) {
    expect(machine.state.detached).toBe(false);
    machine.at(ms, "timer", "pace");
  }
  expect(machine.effects).toContainEqual(["write", 2, '{"op":"detach"}']);
});

it("takes a welcome that does not say how often, and what for, with defaults", () => {
  const machine = new Machine().at(0, "connect").at(0, "granted", 1, { url: "ws://n1", protocols: [] }).at(0, "opened", 2);
  machine.at(0, "heard", 2, { op: "welcome", session: "s", user: "u", node: "n1", heartbeat_ms: "x" });
  expect(machine.state).toMatchObject({ link: { heartbeatMs: 25_000 }, spreadMs: 500 });
});

it("measures silence by the wall clock, from the last frame", () => {
  const machine = new Machine().connected().at(20_000, "heard", 2, PING);
  expect(machine.effects).toEqual([["write", 2, '{"op":"pong"}']]);
  expect(machine.at(75_000, "timer", "alive").effects).toEqual([["arm", "alive", 5_000]]);
});

it("probes once the dead-line has passed, and ends the link a second and a random part of the spread later", () => {
  const machine = new Machine().connected({}, 30_000).at(60_000, "timer", "alive");
  expect(machine.names()).toEqual(["write 2", "arm alive"]);
  expect(machine.effects).toContainEqual(["arm", "alive", 16_000]);
  machine.at(76_000, "timer", "alive");
  expect(machine.names()).toContain("drop 2");
  expect(machine.names()).toContain("look 3");
  expect(machine.state).toMatchObject({ phase: "reconnecting", cause: { code: "silent" } });
});

it("comes back at once when a link is lost that was doubted, as after the back/forward cache", () => {
  const lost = new Machine().connected().at(1, "down", 2, 1006, "");
  expect(lost.effects).toContainEqual(["arm", "loop", 250]);
  const doubted = new Machine().connected().at(1, "wake").at(2, "down", 2, 1006, "");
  expect(doubted.names()).toContain("look 3");
});

it("keeps the link after a sleep if frames were waiting in the socket", () => {
  const machine = new Machine().connected().at(3_600_000, "timer", "alive").at(3_600_001, "heard", 2, PING);
  expect(machine.effects).toContainEqual(["arm", "alive", 15_000]);
  expect(machine.at(3_660_001, "timer", "alive").state.phase).toBe("connected");
});

it("is not misled by a clock that was set back", () => {
  const machine = new Machine().connected().at(-3_600_000, "timer", "alive");
  expect(machine.effects).toEqual([["arm", "alive", 15_000]]);
  expect(machine.at(-3_540_000, "timer", "alive").names()).toEqual(["write 2", "arm alive"]);
});

it("tries once when hidden or offline, then seldom, and at once when that is over", () => {
  const machine = new Machine().connected().at(1, "away", true).at(2, "down", 2, 1006, "");
  expect(machine.effects).toContainEqual(["arm", "loop", 250]);
  machine.at(252, "timer", "loop").at(300, "refused", 3, { policy: "lost", error: new RingdialError("lookup_failed", "", true) });
  expect(machine.effects).toContainEqual(["arm", "loop", 30_000]);
  expect(machine.at(400, "wake").effects).toEqual([]);
  expect(machine.at(500, "away", false).at(500, "wake").names()).toContain("look 4");
});

it("forgets what the node said once it says something else", () => {
  const error = { op: "error", code: "overloaded", temporary: true, retry_after_ms: 9_000 };
  const machine = new Machine().connected().at(1, "heard", 2, error).at(2, "heard", 2, PING).at(3, "down", 2, 4103, "");
  expect(machine.state.cause).toMatchObject({ code: "close_4103", retryAfterMs: undefined });
});

it("changes nothing of the state it was given", () => {
  const machine = new Machine().connected().at(1, "send", "1", "{}", false, false);
  const before = machine.state;
  const copy = structuredClone({ ...before, config: undefined });
  transition(before, { what: ["down", 2, 1006, ""], now: 5, roll: 0.5 });
  transition(before, { what: ["heard", 2, { op: "ack", ref: "1" }], now: 5, roll: 0.5 });
  expect({ ...before, config: undefined }).toEqual(copy);
});

it("makes one move at a time: another `moved` meanwhile changes nothing", () => {
  const moved = { op: "moved", node: "n2", url: "ws://n2", protocols: ["a"], spread_ms: 1_000, reason: "ring" };
  const machine = new Machine().connected().at(1, "heard", 2, moved);
  expect(machine.effects).toEqual([["arm", "loop", 500]]);
  expect(machine.at(501, "timer", "loop").names()).toEqual(["open 3", "arm loop"]);
  expect(machine.at(502, "heard", 2, { ...moved, node: "n3" }).effects).toEqual([]);
  expect(machine.state).toMatchObject({ offer: undefined, dial: { socket: 3, grant: { node: "n2" } } });
});

it("takes as many bytes as the outbox holds, of UTF-8", () => {
  const full = (text: string): boolean => new Machine().at(0, "connect").at(0, "send", "1", text, false, false).names().includes("fail 1");
  expect([full("x".repeat(1_048_576)), full("x".repeat(1_048_577))]).toEqual([false, true]);
  expect([full("日".repeat(349_525)), full("日".repeat(349_526))]).toEqual([false, true]);
});
