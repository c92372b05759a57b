/**
 * A process full of clients, told by its parent what to do (see worlds.mjs): raw members and npm clients that send to each
 * other through a cluster, and the judge of what they got. Several worlds share a cluster; users and groups are each
 * world's own, so that each judges alone, and whatever comes from another world is misdelivered.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Cluster } from '../harness/cluster.mjs';
import { Member } from '../harness/member.mjs';
import { NpmMember } from '../harness/npm-member.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { Traffic } from '../harness/traffic.mjs';
import { delay, until } from '../harness/until.mjs';
import { avoidOf } from './homes.mjs';
import { plant } from './planted.mjs';

const BACK_MS = 60_000;
const SETTLE_MS = 30_000;

/** @typedef {{ at_ms: number, kind: 'lost' | 'back' | 'moved' | 'tried', node: string, from?: string, code?: number, why?: string }} Happening */
/** @typedef {{ name: string, user: string, npm: boolean, node: string, here: boolean, events: Happening[] }} SessionReport */
/** @typedef {ReturnType<typeof report>} Report what a world has seen in a scene */

/** @type {Traffic} */
let traffic;
/** @type {TopicChecker} */
let checker;
/** @type {Map<string, Happening[]>} session -> what became of its connections in this scene */
const journals = new Map();
/** @type {Promise<unknown> | undefined} */
let running;
let done = false;
let base = tally();
/** How late this process itself is: what it says of times is no better. */
const lag = monitorEventLoopDelay({ resolution: 10 });

/** What the parent may ask for. @type {Record<string, (told: any) => Promise<unknown>>} */
const deeds = {
  /** Connects everybody; answers how many. */
  async open({ lookups, jwtSecret, plan, seed, npmShare, planted }) {
    const ring = new Cluster({});
    ring.lookups = lookups.map((/** @type {string} */ url) => ({ url, admin: '', process: /** @type {any} */ (undefined) }));
    ring.jwtSecret = jwtSecret;
    checker = new TopicChecker({ ephemeralMayBeLost: true });
    plant(planted);
    traffic = new Traffic(ring, checker, plan, seed, (user, options, i) => {
      const npm = (i * npmShare) % 1 < npmShare;
      const more = { ...options, patient: true, within_ms: BACK_MS, journal: journal(options.name ?? user) };
      return npm ? /** @type {any} */ (new NpmMember(ring, checker, user, more)) : new Member(ring, checker, user, more);
    });
    await traffic.begin();
    return traffic.members.length;
  },

  /** Waits until everybody is connected. */
  async well() {
    await until('everybody is connected', () => traffic.members.every((member) => member.here), { within_ms: BACK_MS, every_ms: 50 });
  },

  /** Where everybody is, and what it could not reach. */
  async places() {
    return traffic.members.map(({ name, user, node, ticket }) => ({ name, user, node: node ?? '', avoid: avoidOf(ticket) }));
  },

  /** From now on messages meet a fault between clients and judge. */
  async plant({ fault }) {
    plant(fault);
  },

  /** A scene begins: from now on everybody sends. */
  async begin() {
    base = tally();
    for (const events of journals.values()) events.length = 0;
    lag.reset();
    lag.enable();
    done = false;
    running = traffic.run(() => done);
    running.catch(() => {});
  },

  /** The scene is over: waits until all is answered and has arrived, and reports. */
  async end({ settle_ms = SETTLE_MS }) {
    done = true;
    const trouble = await Promise.resolve(running).then(() => '', (error) => error.message);
    await until('all acknowledged messages arrive', () => checker.missing().length === 0, { within_ms: settle_ms, every_ms: 250 }).catch(() => {});
    // What is delivered twice may come last.
    await delay(500);
    return report(trouble);
  },
};

/** @param {string} name @returns {import('../harness/member.mjs').Journal} */
function journal(name) {
  /** @type {Happening[]} */
  const events = [];
  journals.set(name, events);
  return {
    lost: (node, code) => events.push({ at_ms: Date.now(), kind: 'lost', node, code }),
    back: (node) => events.push({ at_ms: Date.now(), kind: 'back', node }),
    moved: (from, node) => events.push({ at_ms: Date.now(), kind: 'moved', node, from }),
    tried: (why) => events.push({ at_ms: Date.now(), kind: 'tried', node: '', why: why.slice(0, 200) }),
  };
}

/** The figures that only grow. */
function tally() {
  const { sent = 0, acknowledgedCount = 0, delivered = 0, received = 0, replayed = 0 } = checker ?? {};
  const { failed = 0 } = traffic?.counts ?? {};
  return { sent, acknowledged: acknowledgedCount, delivered, received, replayed, failed, retries: traffic?.retries ?? 0, gaps: checker?.gaps.length ?? 0, ...(checker?.counts() ?? { lost: 0, repeated: 0, disordered: 0, unexpected: 0, altered: 0 }) };
}

/** @param {string} trouble that kept the traffic from its end */
function report(trouble) {
  const now = tally();
  const figures = /** @type {ReturnType<typeof tally>} */ (Object.fromEntries(Object.entries(now).map(([name, value]) => [name, value - /** @type {any} */ (base)[name]])));
  const { late } = checker;
  const lag_ms = { p99: lag.percentile(99) / 1e6, max: lag.max / 1e6 };
  checker.late = { count: 0, lastAt_ms: 0, worst_ms: 0 };
  const sessions = traffic.members.map((member) => ({
    name: member.name, user: member.user, npm: !(member instanceof Member), node: member.node ?? '', here: member.here, events: journals.get(member.name) ?? [],
  }));
  return { figures, late, lag_ms, sessions, trouble, findings: checker.findings(), failures: [...traffic.failures] };
}

process.on('message', async (/** @type {any} */ { id, deed, ...told }) => {
  try {
    process.send?.({ id, result: await deeds[deed](told) });
  } catch (error) {
    process.send?.({ id, error: `${deed}: ${error.message}` });
  }
});
process.on('disconnect', () => process.exit());
