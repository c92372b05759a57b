/** Positions where sockets overlap: decisions that need events in a certain order, straight through the machine. */
import { expect, it } from "vitest";
import { Machine } from "./machine.js";

const [A, B, C] = ["a", "b", "c"];
const INBOX = "u:u";
const MOVED = { op: "moved", node: "n2", url: "ws://n2", protocols: ["a"], spread_ms: 0, reason: "home" };

const message = (offset: number, epoch = A, topic = INBOX) => ({ op: "message", topic, epoch, offset, from: "bob", data: offset, time: 1 });
const lost = (epoch: string, after: number, before = 1) => ({ op: "gap", topic: INBOX, epoch, after, before, reason: "log_lost" });
const welcome = (topics: object) => ({ op: "welcome", session: "t", user: "u", node: "n2", topics });
const written = (machine: Machine) => machine.effects.flatMap(([name, socket, text]) => (name === "write" ? [[socket, JSON.parse(text as string)]] : []));
const emitted = (machine: Machine) => machine.effects.flatMap(([name, what, value]) => (name === "emit" ? [[what, value]] : []));

/** Connected by socket 2, at offset 3 of the inbox, and asked to move: socket 3 is being opened. */
function moving(): Machine {
  return new Machine().connected({ [INBOX]: { epoch: A, offset: 3, recovered: true } }).at(1, "heard", 2, MOVED).at(2, "timer", "loop");
}

it("never leaves a hole unsaid", () => {
  const machine = new Machine().connected({ [INBOX]: { epoch: A, offset: 3, recovered: true } }).at(1, "heard", 2, message(6));
  expect(emitted(machine)).toEqual([
    ["gap", { topic: INBOX, epoch: A, after: 3, before: 6, reason: "trimmed" }],
    ["message", expect.objectContaining({ offset: 6 })],
  ]);
});

it("begins where the topic is once it is no longer pending, not where it seemed to be", () => {
  const machine = new Machine().connected({ [INBOX]: { epoch: A, offset: 3, recovered: "pending" } });
  machine.at(1, "heard", 2, { op: "recovered", topic: INBOX, epoch: A, offset: 5, recovered: true });
  expect(emitted(machine.at(2, "heard", 2, message(6)))).toEqual([["message", expect.objectContaining({ offset: 6 })]]);
});

it("takes the word of a socket whose hello knew of the new epoch", () => {
  const machine = moving().at(3, "heard", 2, lost(B, 3)).at(4, "heard", 2, message(1, B)).at(5, "opened", 3);
  expect(written(machine)).toMatchObject([[3, { op: "hello", resume: { [INBOX]: { epoch: B, offset: 1 } } }]]);
  machine.at(6, "heard", 3, welcome({ [INBOX]: { epoch: B, offset: 0, recovered: false } })).at(7, "heard", 3, lost(B, 1));
  expect(emitted(machine)).toEqual([["gap", expect.objectContaining({ after: 1, before: 1 })]]);
  expect(emitted(machine.at(8, "heard", 3, message(1, B)))).toHaveLength(1);
});

it("does not go back for an old socket that tells of a new epoch, which the new one began with", () => {
  const machine = new Machine().connected({ [INBOX]: { recovered: "pending" } }).at(1, "heard", 2, MOVED).at(2, "timer", "loop").at(3, "opened", 3);
  machine.at(4, "heard", 3, welcome({ [INBOX]: { epoch: C, offset: 0, recovered: true } })).at(5, "heard", 3, message(1, C));
  expect(emitted(machine.at(6, "heard", 2, lost(C, 9)))).toEqual([]);
  expect(emitted(machine.at(7, "heard", 3, message(1, C)))).toEqual([]);
});

it("joins what was wanted during a move where the move ends: there, or here if it fails", () => {
  const machine = moving().at(3, "follow", "g:x", undefined, false);
  expect(machine.effects).toEqual([]);
  machine.at(4, "opened", 3);
  expect(written(machine)).toMatchObject([[3, { op: "hello", groups: ["x"] }]]);
  expect(written(machine.at(5, "follow", "g:y", undefined, false))).toEqual([]);
  const failed = new Machine();
  failed.state = machine.state;
  expect(written(failed.at(6, "down", 3, 1006, "")).map(([socket, { op, group }]) => [socket, op, group])).toEqual([[2, "join", "x"], [2, "join", "y"]]);
  machine.at(6, "heard", 3, welcome({ [INBOX]: { epoch: A, offset: 3, recovered: true }, "g:x": { epoch: A, offset: 0, recovered: true } }));
  expect(written(machine).map(([socket, { op, group }]) => [socket, op, group])).toEqual([[3, "join", "y"], [2, "detach", undefined]]);
});

it("leaves first where a group is joined again before the leave was answered", () => {
  const machine = new Machine().connected().at(1, "follow", "g:x", undefined, false).at(2, "unfollow", "g:x");
  const [[, { ref }]] = written(machine) as [[number, { ref: string }]];
  expect(machine.at(3, "follow", "g:x", { offset: 0 }, false).effects).toEqual([]);
  machine.at(4, "heard", 2, { op: "error", ref, code: "rate_limited", temporary: true, retry_after_ms: 100 });
  expect(machine.effects).toEqual([["arm", "join", 1_600]]);
  machine.at(1_604, "timer", "join");
  expect(written(machine)).toMatchObject([[2, { op: "leave", group: "x" }]]);
  const [[, again]] = written(machine) as [[number, { ref: string }]];
  machine.at(1_605, "heard", 2, { op: "ack", ref: again.ref, topic: "g:x" });
  expect(written(machine)).toMatchObject([[2, { op: "join", group: "x", since: { offset: 0 } }]]);
});

it("names at most 257 topics in a hello, and joins the rest", () => {
  const machine = new Machine();
  for (let n = 0; n < 260; n++) machine.at(0, "follow", `g:${n}`, undefined, false);
  machine.at(0, "connect").at(0, "granted", 1, { url: "ws://n1", protocols: ["a"] }).at(0, "opened", 2);
  const [[, { groups }]] = written(machine) as [[number, { groups: string[] }]];
  expect(groups).toHaveLength(257);
  const topics = Object.fromEntries(groups.map((group) => [`g:${group}`, { recovered: true }]));
  expect(written(machine.at(0, "heard", 2, welcome(topics))).map(([, frame]) => frame.group)).toEqual(["257", "258", "259"]);
});

it("has joined a group once its log has answered", () => {
  const machine = new Machine().connected().at(1, "follow", "g:x", undefined, false);
  const [[, { ref }]] = written(machine) as [[number, { ref: string }]];
  machine.at(2, "heard", 2, { op: "ack", ref, topic: "g:x", recovered: "pending" });
  expect(machine.names()).not.toContain("settle g:x");
  machine.at(3, "heard", 2, { op: "recovered", topic: "g:x", epoch: A, offset: 3, recovered: true });
  expect(machine.names()).toContain("settle g:x");
});
