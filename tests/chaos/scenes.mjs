/**
 * The scenes: what happens, and what must hold besides what must hold in each of them (judge.mjs): nothing lost, repeated,
 * out of order or misdelivered, and no session disconnected whose owner did not change.
 */
import { crowdReturns, pacedLookups } from './crowds.mjs';

/** @typedef {import('./stage.mjs').Stage} Stage */
/**
 * @typedef {object} Scene
 * @property {string} name
 * @property {number} nodes that there must be when it begins
 * @property {(stage: Stage) => Promise<unknown>} act
 * @property {(scale: import('./scales.mjs').Scale) => number} [faults] at least so many; 1
 * @property {number} [moves] the least share of the sessions that must have moved; 0
 * @property {boolean} [exact] who moves is whose owner changed, and in the end everybody is at its owner
 * @property {{ p50_ms: number, p99_ms: number }} [goal] how long a session is without a socket at most
 * @property {boolean} [gaps] sessions may be told that the log was lost
 * @property {import('./planted.mjs').Plant} [planted] the scene is short, and good if this is found
 * @property {(scale: import('./scales.mjs').Scale) => string[]} [lookups] flags for its lookup services; it has a cluster of its own then
 * @property {number} [share] of the plan's messages that must be sent at least; 0.5
 */

/**
 * Whoever had to wait for the end of the dead node's lease would miss it by a second and more. Where there are two cores the
 * clients themselves want most of the time: half of the spread of 500 ms, and little more, is what nodes and lookups take.
 */
const KILL = { goal: { p50_ms: 1_500, p99_ms: 3_000 } };

/** @type {Scene[]} */
export const SCENES = [
  { name: 'a node joins', nodes: 3, moves: 0.15, exact: true, act: (stage) => stage.join('n4') },
  { name: 'a node is drained by SIGTERM', nodes: 4, moves: 0.15, exact: true, act: (stage) => stage.drain('n4') },
  { name: 'a node is drained by the API', nodes: 4, moves: 0.15, exact: true, act: (stage) => stage.drainByApi('n4') },
  { name: 'each node is restarted, one after the other', nodes: 3, moves: 0.5, exact: true, faults: () => 3, act: restartAll },
  { name: 'SIGKILL', nodes: 3, ...KILL, act: (stage) => stage.kill('n2') },
  { name: 'SIGKILL again and again', nodes: 3, ...KILL, faults: (scale) => scale.kills, act: killAgainAndAgain },
  { name: 'SIGSTOP and SIGCONT', nodes: 3, share: 0.3, act: (stage) => stage.pause('n2', stage.scale.stop_ms) },
  { name: 'Redis is killed and comes back', nodes: 3, share: 0.2, act: (stage) => stage.killRedis(stage.scale.away_ms) },
  { name: 'Redis is paused', nodes: 3, share: 0.2, act: (stage) => stage.pauseRedis(stage.scale.pause_ms) },
  { name: 'Redis is flushed', nodes: 3, gaps: true, act: (stage) => stage.flushRedis() },
  { name: 'two nodes are cut from each other', nodes: 3, act: (stage) => stage.part('n1', 'n2', stage.scale.cut_ms) },
  { name: 'one node does not reach another', nodes: 3, act: (stage) => stage.part('n1', 'n2', stage.scale.cut_ms, { oneWay: true }) },
  { name: 'a node is cut from Redis', nodes: 3, act: (stage) => stage.part('n2', 'redis', stage.scale.cut_ms) },
  { name: 'a node does not reach Redis', nodes: 3, act: (stage) => stage.part('n2', 'redis', stage.scale.cut_ms, { oneWay: true }) },
  { name: 'Redis does not reach a node', nodes: 3, act: (stage) => stage.part('redis', 'n2', stage.scale.cut_ms, { oneWay: true }) },
  // The last in its cluster: what its clients have lost they never get.
  { name: 'messages are lost on purpose, and missed', nodes: 3, planted: 'lose', act: async (stage) => stage.fault('lose', Date.now()) },
  { name: 'a crowd returns at once', nodes: 3, lookups: pacedLookups, act: crowdReturns },
];

/** @param {Stage} stage */
async function restartAll(stage) {
  for (const id of ['n1', 'n2', 'n3']) {
    await stage.drain(id);
    await stage.start(id);
    await stage.cluster.untilAgreed();
  }
}

/** It comes back each time, as soon as a supervisor would start it. @param {Stage} stage */
async function killAgainAndAgain(stage) {
  const { kills, killsEvery_ms } = stage.scale;
  for (let i = 0; i < kills; i++) {
    const next = Date.now() + killsEvery_ms;
    const id = `n${(i % 3) + 1}`;
    await stage.kill(id);
    await stage.start(id);
    await stage.stay(Math.max(0, next - Date.now()));
  }
}
