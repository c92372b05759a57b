/**
 * Everything at once, at random but by a seed: members that send to users, groups and matches, whose connections end and
 * come back, who leave groups and join them again.
 */
import { Member } from './member.mjs';
import { pick, pickSeveral, seeded } from './random.mjs';
import { inWaves } from './crowd.mjs';
import { delay, until } from './until.mjs';

/**
 * @typedef {object} Plan
 * @property {number} users with one session each
 * @property {number} doubles of them, who have a second one
 * @property {number} groups
 * @property {number} groupsEach that a session is in
 * @property {number} classes by which a `match` tells users apart
 * @property {number} perSecond messages
 * @property {number} [dropsPerSecond] connections that end and come back
 * @property {number} [leavesPerSecond] groups that somebody leaves and joins again
 * @property {Partial<Record<Kind, number>>} mix shares
 * @property {number} [behind_s] so many seconds' worth of sends may be unanswered before senders wait; 1.5
 * @property {string} [prefix] of the names of users, groups and classes
 */
/** @typedef {'user' | 'users' | 'group' | 'match' | 'ephemeral user' | 'ephemeral group'} Kind */

const TICK_MS = 10;
const BEHIND_S = 1.5;
const AWAY_MS = 1_200;

export class Traffic {
  /** @type {Member[]} */
  members = [];
  counts = { sent: 0, failed: 0, cuts: 0, closes: 0, moves: 0, leaves: 0 };
  /** @type {Map<string, number>} why sends failed for good */
  failures = new Map();
  #unanswered = 0;
  #busy = new Set();
  #going = false;

  /**
   * @param {import('./cluster.mjs').Cluster} ring @param {import('./topic-checker.mjs').TopicChecker} checker @param {Plan} plan @param {number} seed
   * @param {(user: string, options: import('./member.mjs').MemberOptions, i: number) => Member} [make] another kind of member
   */
  constructor(ring, checker, plan, seed, make = (user, options) => new Member(ring, checker, user, options)) {
    this.make = make;
    this.prefix = plan.prefix ?? '';
    this.ring = ring;
    this.checker = checker;
    this.plan = plan;
    this.random = seeded(seed);
    this.groups = Array.from({ length: plan.groups }, (_, i) => `${this.prefix}room-${i}`);
    this.users = Array.from({ length: plan.users }, (_, i) => `${this.prefix}user-${i}`);
    this.kinds = /** @type {Kind[]} */ (Object.entries(plan.mix).flatMap(([kind, share]) => Array(share).fill(kind)));
  }

  /** Everybody connects. Half of the users are in their groups by their claims, the others join them. */
  async begin() {
    const seats = [...this.users, ...this.users.slice(0, this.plan.doubles)].map((user, i) => ({ user, i, name: `${user}/${i < this.plan.users ? 1 : 2}` }));
    this.members = await inWaves(seats, ({ user, i, name }) => this.#member(user, name, i).begin());
    return this;
  }

  /** @param {string} user @param {string} name @param {number} i */
  #member(user, name, i) {
    const own = pickSeveral(this.random, this.groups, this.plan.groupsEach);
    const attributes = { class: `${this.prefix}c${i % this.plan.users % this.plan.classes}`, role: i % 9 === 0 ? ['student', 'tutor'] : 'student' };
    const permissions = ['broadcast', `join:${this.prefix}room-*`];
    const claims = i % 2 === 0 ? { ...attributes, permissions, groups: own } : { ...attributes, permissions };
    return this.make(user, { name, claims, groups: i % 2 === 0 ? [] : own, random: this.random }, i);
  }

  /** Sends until `enough`, at the plan's rate, then waits until all is answered. @param {() => boolean} enough */
  async run(enough) {
    const { perSecond, dropsPerSecond = 0, leavesPerSecond = 0, behind_s = BEHIND_S } = this.plan;
    this.#going = true;
    const began = performance.now();
    const due = { sends: 0, drops: 0, leaves: 0 };
    const base = this.counts.sent;
    while (!enough()) {
      const seconds = (performance.now() - began) / 1000;
      while (due.sends < seconds * perSecond && this.#unanswered < perSecond * behind_s && !enough()) due.sends++, this.#send();
      // What could not be sent in time is not made up for.
      due.sends = Math.max(due.sends, Math.floor(seconds * perSecond) - perSecond);
      for (; due.drops < seconds * dropsPerSecond; due.drops++) this.#drop();
      for (; due.leaves < seconds * leavesPerSecond; due.leaves++) this.#leave();
      await delay(TICK_MS);
    }
    this.#going = false;
    const seconds = (performance.now() - began) / 1000;
    await until('everybody is back', () => this.#busy.size === 0 && this.members.every((member) => member.here), { within_ms: 30_000 });
    await until('every send is answered', () => this.#unanswered === 0, { within_ms: 30_000, describe: () => `${this.#unanswered} are not` });
    return { seconds, sent: this.counts.sent - base };
  }

  get reconnects() {
    return this.members.reduce((sum, member) => sum + member.reconnects, 0);
  }

  get retries() {
    return this.members.reduce((sum, member) => sum + member.retries, 0);
  }

  /** The close codes that nobody here asked for. */
  get closes() {
    return this.members.flatMap((member) => member.closes);
  }

  /** Waits until nothing is missing, then throws whatever is wrong. */
  async settle(within_ms = 20_000) {
    await until('all acknowledged messages arrive', () => this.checker.missing().length === 0, { within_ms, every_ms: 250 }).catch(() => {});
    this.checker.assertClean();
  }

  #send() {
    const member = pick(this.random, this.members);
    const kind = pick(this.random, this.kinds);
    const ephemeral = kind === 'match' || kind.startsWith('ephemeral');
    // Durable messages are sent while away, too: they wait for the connection.
    if (ephemeral && !member.here) return;
    this.counts.sent++;
    this.#unanswered++;
    member.send(this.#audience(kind, member), { ephemeral, text: TEXTS[this.counts.sent % TEXTS.length] })
      .catch((error) => {
        this.counts.failed++;
        this.failures.set(error.message, (this.failures.get(error.message) ?? 0) + 1);
      })
      .finally(() => this.#unanswered--);
  }

  /** @param {Kind} kind @param {Member} member @returns {import('./topic-checker.mjs').Audience} */
  #audience(kind, member) {
    if (kind === 'match') return { match: { class: `${this.prefix}c${Math.floor(this.random() * this.plan.classes)}`, ...(this.random() < 0.9 ? {} : { role: 'tutor' }) } };
    if (kind.endsWith('group')) return { group: pick(this.random, this.groups) };
    if (kind === 'users') return { users: pickSeveral(this.random, this.users, 5) };
    return { user: this.random() < 0.02 ? member.user : pick(this.random, this.users) };
  }

  /** A connection ends: cut, closed, or replaced by another while it is still there. */
  #drop() {
    const member = this.#free();
    if (!member) return;
    const choice = this.random();
    const away_ms = this.random() ** 2 * AWAY_MS;
    this.counts[choice < 0.5 ? 'cuts' : choice < 0.75 ? 'closes' : 'moves']++;
    this.#occupy(member, choice < 0.75 ? member.drop({ away_ms, rough: choice < 0.5 }) : member.move());
  }

  /** Somebody leaves a group and joins it again: half of them where they left, the others at its head. */
  #leave() {
    const member = this.#free();
    const group = member && pick(this.random, [...member.groups]);
    if (!member || !group) return;
    this.counts.leaves++;
    const [since, away_ms] = [this.random() < 0.5, this.random() * AWAY_MS];
    this.#occupy(member, (async () => {
      const ack = await member.leave(group);
      await delay(away_ms);
      // After a lost connection nobody knows where it left.
      await member.join(group, since && ack?.epoch ? { epoch: ack.epoch, offset: ack.offset } : undefined);
    })());
  }

  /** A member that is connected and not in the middle of something. */
  #free() {
    const member = pick(this.random, this.members);
    return member.here && member.idle && !this.#busy.has(member) ? member : undefined;
  }

  /** @param {Member} member @param {Promise<unknown>} work */
  #occupy(member, work) {
    this.#busy.add(member);
    work.catch((error) => this.checker.wrong('unexpected', member.name, error.message)).finally(() => this.#busy.delete(member));
  }
}

const TEXTS = [60, 100, 20, 200, 90, 500, 120].map((length) => 'lorem ipsum dolor sit amet, '.repeat(20).slice(0, length));
