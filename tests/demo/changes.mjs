/**
 * The first demonstration: clients in Node and in Chromium send to each other, at the same time and in the same cluster, while nodes
 * join, are drained and are killed. Each kind is a world of its own: its own users, its own checker.
 */
import { Stage } from '../chaos/stage.mjs';
import { Cluster } from '../harness/cluster.mjs';
import { startClient } from '../harness/npm-client.mjs';
import { NpmMember } from '../harness/npm-member.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { Traffic } from '../harness/traffic.mjs';
import { delay, until } from '../harness/until.mjs';
import { Chromium } from './chromium.mjs';
import { watcherOf } from './watcher.mjs';

const NODES = ['n1', 'n2', 'n3', 'n4'];
const BEGIN_WITH = 3;
const LOOKUPS = 2;
const SETTLE_MS = 30_000;
/** What comes twice may come last. */
const AFTER_MS = 500;
/** All of it durable: every message has to arrive. */
const MIX = /** @type {const} */ ({ user: 8, group: 2 });
/** Who waits for a killed node's answers must not keep the others from sending. */
const BEHIND_S = 20;
/** Where nodes run: here, with nothing between them. */
const SITE = /** @type {any} */ ({ host: async () => undefined, spec: () => ({}) });

/** @typedef {'join' | 'drain' | 'kill'} Deed */
/** @typedef {{ platform: string, checker: TopicChecker, traffic: Traffic, seen: Map<string, import('./watcher.mjs').Sighting[]>, faults: () => string[] }} World */

/** @param {import('./scales.mjs').Scale} scale @param {number} seed @param {(end: () => unknown) => void} after takes what is to be done at the end, the last one first */
export async function playChanges(scale, seed, after) {
  const cluster = new Cluster({ nodes: BEGIN_WITH, lookups: LOOKUPS, lease_ms: 3_000 });
  after(() => cluster.abandon());
  await cluster.begin();
  const chromium = await Chromium.open(after, scale.pages);
  const worlds = [
    worldOf('Node', cluster, scale, seed, (ring, user, { see, onSocket, ...options }) => {
      const watcher = watcherOf(see);
      const early = (/** @type {any} */ client) => (watcher.client(client), options.early?.(client));
      return startClient(ring, user, { ...options, early, onSocket: (socket) => (watcher.socket(socket), onSocket?.(socket)) });
    }),
    worldOf('Chromium', cluster, scale, seed + 1, (...told) => chromium.start(...told), () => chromium.faults),
  ];
  await Promise.all(worlds.map(({ traffic }) => traffic.begin()));

  const stage = new Stage(cluster, SITE, /** @type {any} */ (scale));
  let done = false;
  const [began, running] = [Date.now(), worlds.map(({ traffic }) => traffic.run(() => done).then(() => [], (error) => [error.message]))];
  const counts = { join: 0, drain: 0, kill: 0 };
  const trouble = await happen(scheduleOf(scale), (deed) => (counts[deed]++, act(stage, deed, worlds)), scale.seconds * 1_000).then(() => [], (error) => [error.message]);
  const seconds = (Date.now() - began) / 1_000;
  done = true;
  const reports = await Promise.all(worlds.map(async (world, i) => reportOf(world, [...trouble, ...(await running[i])])));
  await Promise.all(worlds.flatMap(({ traffic }) => traffic.members).map((member) => member.end()));
  await cluster.stop();
  return { reports, played: { joins: counts.join, drains: counts.drain, kills: stage.kills, seconds }, notes: stage.notes };
}

/** Joins and drains in turns, and kills among them at equal distances. @param {{ joins: number, drains: number, kills: number }} counts @returns {Deed[]} */
export function scheduleOf({ joins, drains, kills }) {
  const gentle = Array.from({ length: joins + drains }, (_, i) => /** @type {Deed} */ (i % 2 === 0 ? 'join' : 'drain'));
  const every = gentle.length / kills;
  return gentle.flatMap((deed, i) => (Math.floor((i + 1) / every) > Math.floor(i / every) ? [deed, 'kill'] : [deed]));
}

/** One after the other, at equal distances if each comes to its end in time. @param {Deed[]} schedule @param {(deed: Deed) => Promise<unknown>} act @param {number} within_ms */
async function happen(schedule, act, within_ms) {
  const began = Date.now();
  const at = (/** @type {number} */ i) => delay(Math.max(0, began + (within_ms * i) / (schedule.length + 1) - Date.now()));
  for (const [i, deed] of schedule.entries()) {
    await at(i + 1);
    await act(deed);
  }
  await at(schedule.length + 1);
}

/** @param {Stage} stage @param {Deed} deed @param {World[]} worlds */
async function act(stage, deed, worlds) {
  const running = stage.cluster.idsOf();
  if (deed === 'join') return stage.join(NODES.find((id) => !running.includes(id)) ?? '');
  const victim = busiest(running, worlds);
  if (deed === 'drain') return stage.drain(victim);
  await stage.kill(victim);
  // As soon as a supervisor would.
  await stage.start(victim);
  await stage.cluster.untilAgreed();
}

/** Of the nodes, one at which there are clients of each world. @param {string[]} nodes @param {World[]} worlds */
function busiest(nodes, worlds) {
  const fewest = (/** @type {string} */ id) => Math.min(...worlds.map(({ traffic }) => traffic.members.filter(({ node, here }) => here && node === id).length));
  return nodes.reduce((one, other) => (fewest(other) > fewest(one) ? other : one));
}

/** @param {string} platform @param {Cluster} cluster @param {import('./scales.mjs').Scale} scale @param {number} seed @param {any} start a client @param {() => string[]} [faults] @returns {World} */
function worldOf(platform, cluster, { clients, rate }, seed, start, faults = () => []) {
  const checker = new TopicChecker();
  /** @type {World['seen']} */
  const seen = new Map();
  const plan = { prefix: `${platform.toLowerCase()}-`, users: clients, doubles: 0, groups: Math.ceil(clients / 5), groupsEach: 2, classes: 1, perSecond: rate, behind_s: BEHIND_S, mix: MIX };
  const traffic = new Traffic(cluster, checker, plan, seed, (user, options) => {
    /** @type {import('./watcher.mjs').Sighting[]} */
    const sightings = [];
    seen.set(options.name ?? user, sightings);
    const see = (/** @type {import('./watcher.mjs').Sighting} */ sighting) => sightings.push(sighting);
    const watched = (/** @type {any} */ ring, /** @type {string} */ user, /** @type {any} */ told) => start(ring, user, { ...told, see });
    return /** @type {any} */ (new NpmMember(cluster, checker, user, { ...options, start: watched }));
  });
  return { platform, checker, traffic, seen, faults };
}

/** Waits until everything has arrived. @param {World} world @param {string[]} trouble @returns {Promise<import('./judge.mjs').Report>} */
async function reportOf({ platform, checker, traffic, seen, faults }, trouble) {
  await until('all acknowledged messages arrive', () => checker.missing().length === 0, { within_ms: SETTLE_MS, every_ms: 250 }).catch(() => {});
  await delay(AFTER_MS);
  const { sent, delivered, acknowledgedCount: acknowledged } = checker;
  const figures = { ...checker.counts(), sent, delivered, acknowledged, failed: traffic.counts.failed, gaps: checker.gaps.length };
  const failures = [...traffic.failures].map(([why, count]) => `${count} sends failed: ${why}`);
  const clients = [...seen].map(([name, sightings]) => ({ name, sightings: [...sightings] }));
  return { platform, figures, clients, findings: [...trouble, ...checker.findings(), ...failures, ...faults()] };
}
