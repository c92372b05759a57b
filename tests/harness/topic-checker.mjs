/**
 * The judge of everything that has topics: who sent what to whom and what was acknowledged, against what each client got
 * over all its connections. Durable: whoever follows the topic gets it exactly once, at the one offset that everybody
 * else has it at, in order. Ephemeral: at most once, in the sender's order. Neither to anybody else.
 *
 * Cheap on purpose: one client's standing in a topic is a number, so that a million deliveries can be judged as they come.
 */
import { randomBytes } from 'node:crypto';
import { isFor, topicsOf } from './audience.mjs';
import { Receiver } from './receiver.mjs';
import { Turn } from './turn.mjs';

/** @typedef {'lost' | 'repeated' | 'disordered' | 'unexpected' | 'altered'} Kind */
/** @typedef {{ user: string } | { users: string[] } | { group: string } | { all: true } | { match: Record<string, unknown> }} Audience */
/**
 * @typedef {object} Sent
 * @property {number} number
 * @property {string} from
 * @property {string} sender the client: a user may have several
 * @property {string} check
 * @property {string} text
 * @property {Audience} to
 * @property {string[] | undefined} topics undefined: a broadcast
 * @property {boolean} ephemeral
 * @property {number} sentAt by the checker's clock
 * @property {number} sentAt_ms by the wall clock
 * @property {Turn} turn
 * @property {boolean} acked
 * @property {number} ackedAt_ms by the wall clock
 * @property {Set<string>} failed users for whom a send to several failed: nobody knows whether it arrives
 * @property {boolean} refused for good: it must not arrive
 * @property {Map<string, number>} places "topic epoch" -> offset
 * @property {boolean} settled it is known to have come wherever it had to
 */

const KINDS = /** @type {Kind[]} */ (['lost', 'repeated', 'disordered', 'unexpected', 'altered']);
const FINDINGS_KEPT = 200;
/** An acknowledged ephemeral message has reached every client that stays for so long. */
const EPHEMERAL_WAY_MS = 5_000;
const LATE_MS = 1_000;

export class TopicChecker {
  /** @type {Sent[]} */
  #sent = [];
  /** @type {Map<string, Map<string, number[]>>} topic -> epoch -> the message at each offset */
  #logs = new Map();
  /** @type {Map<string, Receiver>} */
  receivers = new Map();
  /** @type {{ kind: Kind, receiver: string, detail: string }[]} */
  #wrong = [];
  /** @type {Record<Kind, number>} */
  #counts = { lost: 0, repeated: 0, disordered: 0, unexpected: 0, altered: 0 };
  /** @type {any[]} every `gap` frame, with its receiver */
  gaps = [];
  #clock = 0;
  #salt = randomBytes(4).toString('hex');
  /** `message` frames; those that were news to their receiver; those known from another connection; those replayed */
  received = 0;
  delivered = 0;
  overlapped = 0;
  replayed = 0;
  /** Topics of which a connection was told that they are pending */
  pending = 0;
  /** Durable messages that came, or were acknowledged, later than LATE_MS after they were sent: how many, the last one when by the wall clock, the slowest. */
  late = { count: 0, lastAt_ms: 0, worst_ms: 0 };

  /** @param {{ ephemeralMayBeLost?: boolean }} [options] while processes die, links break */
  constructor({ ephemeralMayBeLost = false } = {}) {
    this.ephemeralMayBeLost = ephemeralMayBeLost;
  }

  /** What happens before and after what. */
  tick() {
    return ++this.#clock;
  }

  get sent() {
    return this.#sent.length;
  }

  get acknowledgedCount() {
    return this.#sent.reduce((sum, sent) => sum + Number(sent.acked), 0);
  }

  /** A client. @param {string} name unique @param {string} user @param {Record<string, unknown>} [attributes] */
  receiver(name, user, attributes = {}) {
    if (this.receivers.has(name)) throw new Error(`receiver ${name} is there already`);
    const receiver = new Receiver(this, name, user, attributes);
    this.receivers.set(name, receiver);
    return receiver;
  }

  /** The next message, as the payload to send. @param {string} from @param {Audience} to */
  message(from, to, { ephemeral = false, text = '', sender = from } = {}) {
    const number = this.#sent.length;
    const check = `${this.#salt}${number.toString(36)}`;
    const at = this.tick();
    this.#sent.push({
      number, from, sender, check, text, to, topics: topicsOf(to), ephemeral, sentAt: at, sentAt_ms: Date.now(), turn: new Turn(at),
      acked: false, ackedAt_ms: 0, failed: new Set(), refused: false, places: new Map(), settled: false,
    });
    return { n: number, check, text };
  }

  /** It was refused for the time being. @param {number} number */
  refusedForNow(number) {
    this.#sent[number].turn.refused();
  }

  /** It was sent once more after it was refused for the time being. @param {number} number @param {number} [at] when that was */
  sentAgain(number, at = this.tick()) {
    this.#sent[number].turn.repeated(at);
  }

  /** @param {number} number @param {{ epoch?: string, offset?: number, failed?: { user: string }[] }} ack */
  acknowledged(number, { epoch, offset, failed = [] }) {
    const sent = this.#sent[number];
    sent.acked = true;
    sent.ackedAt_ms = Date.now();
    this.took(sent);
    for (const { user } of failed) sent.failed.add(user);
    sent.turn.acknowledged(this.tick(), failed.length === 0);
    const stored = epoch !== undefined && offset !== undefined;
    if (stored && sent.topics?.length === 1 && !sent.ephemeral) this.placed(sent.topics[0], epoch, offset, sent);
    else if (stored || (!sent.ephemeral && 'user' in sent.to)) this.wrong('unexpected', sent.from, `ack ${epoch} ${offset} of message ${number}`);
  }

  /** A message, or its ack, has come. @param {Sent} sent */
  took({ sentAt_ms }) {
    const now = Date.now();
    if (now - sentAt_ms <= LATE_MS) return;
    this.late = { count: this.late.count + 1, lastAt_ms: now, worst_ms: Math.max(this.late.worst_ms, now - sentAt_ms) };
  }

  /** For good: it must not arrive. @param {number} number */
  refused(number) {
    this.#sent[number].refused = true;
  }

  /** What a frame carries, if it is a message that was sent. @param {any} frame @returns {Sent | undefined} */
  identify({ data }) {
    const sent = data && typeof data === 'object' ? this.#sent[data.n] : undefined;
    return sent && sent.check === data.check ? sent : undefined;
  }

  /** @param {Sent} sent @param {any} frame @param {Receiver} receiver @returns {Kind | undefined} */
  audienceFault(sent, { topic, from, data, offset, id, time }, receiver) {
    if (from !== sent.from || data.text !== sent.text || !(time > 0)) return 'altered';
    if (sent.ephemeral ? typeof id !== 'string' || offset !== undefined : !(offset > 0)) return 'altered';
    if (sent.refused) return 'unexpected';
    if (!sent.topics) return topic === '*' && isFor(sent.to, receiver) ? undefined : 'unexpected';
    const mine = !topic.startsWith('u:') || topic === `u:${receiver.user}`;
    return mine && sent.topics.includes(topic) ? undefined : 'unexpected';
  }

  /** A message is at this offset, say an ack or a receiver: everybody must say the same. @param {Sent} sent */
  placed(topic, epoch, offset, sent) {
    const log = this.#log(topic, epoch);
    const other = log[offset];
    if (other === undefined) log[offset] = sent.number;
    else if (other !== sent.number) this.wrong('altered', topic, `offset ${offset} is message ${other} and message ${sent.number}`);
    const place = `${topic} ${epoch}`;
    const known = sent.places.get(place);
    if (known === undefined) sent.places.set(place, offset);
    else if (known !== offset) this.wrong('repeated', topic, `message ${sent.number} is at ${known} and at ${offset}`);
  }

  /** @param {Kind} kind @param {string} receiver @param {string} detail */
  wrong(kind, receiver, detail) {
    this.#counts[kind]++;
    if (this.#wrong.length < FINDINGS_KEPT) this.#wrong.push({ kind, receiver, detail });
  }

  /** What was acknowledged and has not arrived where it should by now. @returns {string[]} */
  missing() {
    const heads = this.#ackedHeads();
    const lost = [];
    for (const receiver of this.receivers.values()) {
      if (receiver.retired) continue;
      for (const [topic, spans] of receiver.spans) for (const span of spans) this.#missingIn(topic, span, heads.get(topic), (what) => lost.push(`${receiver.name}: ${topic} ${what}`));
    }
    for (const sent of this.#sent) {
      const wanted = sent.ephemeral ? !this.ephemeralMayBeLost : 'users' in sent.to;
      if (sent.acked && wanted && !sent.settled) this.#missingOf(sent, lost);
    }
    return lost;
  }

  /** Whether each sender's messages are in every log as they were sent. @returns {string[]} */
  disorder() {
    const faults = [];
    for (const [topic, epochs] of this.#logs) for (const [epoch, log] of epochs) {
      const newest = new Map();
      log.forEach((number, offset) => {
        const { sender, turn } = this.#sent[number];
        const before = newest.get(sender) ?? 0;
        if (!turn.mayFollow(before)) faults.push(`${topic} ${epoch} ${offset}: message ${number} of ${sender}, ${turn}, after one of ${before}`);
        else newest.set(sender, Math.max(before, turn.sentAt));
      });
    }
    return faults;
  }

  /** How much is wrong by now. @returns {Record<Kind, number>} */
  counts() {
    const [lost, disorder] = [this.missing().length, this.disorder().length];
    return { ...this.#counts, lost: this.#counts.lost + lost, disordered: this.#counts.disordered + disorder };
  }

  /** Throws with the first findings. */
  assertClean() {
    const counts = this.counts();
    if (KINDS.every((kind) => counts[kind] === 0)) return;
    const said = KINDS.filter((kind) => counts[kind] > 0).map((kind) => `${counts[kind]} ${kind}`).join(', ');
    throw new Error(`${said} (of ${this.sent} sent, ${this.received} received):\n${this.findings().join('\n')}`);
  }

  /** The first of what is wrong, in words. */
  findings() {
    return [...this.#wrong.map((f) => `${f.kind} at ${f.receiver}: ${f.detail}`).slice(0, 12), ...this.missing().slice(0, 8).map((what) => `lost at ${what}`), ...this.disorder().slice(0, 4)];
  }

  /** @param {string} topic @param {string} epoch */
  #log(topic, epoch) {
    let epochs = this.#logs.get(topic);
    if (!epochs) this.#logs.set(topic, (epochs = new Map()));
    let log = epochs.get(epoch);
    if (!log) epochs.set(epoch, (log = []));
    return log;
  }

  /** topic -> epoch -> the highest offset that was acknowledged. */
  #ackedHeads() {
    /** @type {Map<string, Map<string, number>>} */
    const heads = new Map();
    for (const { acked, places } of this.#sent) {
      if (!acked) continue;
      for (const [place, offset] of places) {
        const at = place.lastIndexOf(' ');
        const [topic, epoch] = [place.slice(0, at), place.slice(at + 1)];
        const epochs = heads.get(topic) ?? new Map();
        heads.set(topic, epochs.set(epoch, Math.max(offset, epochs.get(epoch) ?? 0)));
      }
    }
    return heads;
  }

  /** @param {string} topic @param {import('./receiver.mjs').Span} span @param {Map<string, number> | undefined} heads @param {(what: string) => void} tell */
  #missingIn(topic, span, heads, tell) {
    for (const [epoch, { missing }] of span.stretches) for (const offset of missing) tell(`${epoch} ${offset}`);
    if (span.ended !== undefined) return;
    for (const [epoch, head] of heads ?? []) {
      const stretch = span.stretches.get(epoch);
      // What an epoch held when the log was lost is gone, and the client was told; what came before it followed is not its own.
      if (stretch && epoch !== span.epoch) continue;
      const toldSince = span.told.at(-1)?.at ?? 0;
      const log = this.#log(topic, epoch);
      for (let offset = stretch ? stretch.last + 1 : 1; offset <= head; offset++) {
        const sent = this.#sent[log[offset]];
        if (sent?.acked && (stretch || sent.sentAt > Math.max(span.begun, toldSince))) tell(`${epoch} ${offset}`);
      }
    }
  }

  /** An ephemeral message or one to several users, whose ack tells no offsets. @param {Sent} sent @param {string[]} lost */
  #missingOf(sent, lost) {
    const before = lost.length;
    for (const receiver of this.receivers.values()) {
      if (receiver.retired || !isFor(sent.to, receiver) || sent.failed.has(receiver.user)) continue;
      const has = sent.ephemeral
        ? receiver.seen.has(sent.number) || !this.#wasThere(sent, receiver)
        : [...sent.places.keys()].some((place) => place.startsWith(`u:${receiver.user} `)) || !((receiver.span(`u:${receiver.user}`)?.begun ?? Infinity) < sent.sentAt);
      if (!has) lost.push(`${receiver.name}: message ${sent.number} of ${sent.from} to ${JSON.stringify(sent.to).slice(0, 80)}`);
    }
    sent.settled = lost.length === before;
  }

  /** Whether one of its connections was there before the message was sent, and long enough after. @param {Sent} sent @param {Receiver} receiver */
  #wasThere({ topics, to, sentAt, ackedAt_ms }, receiver) {
    const topic = topics && ('group' in to ? topics[0] : `u:${receiver.user}`);
    return receiver.lines.some((line) => {
      const since = topic ? line.since.get(topic) : line.welcomed;
      return since !== undefined && since < sentAt && (line.closedAt_ms ?? Infinity) > ackedAt_ms + EPHEMERAL_WAY_MS;
    });
  }
}
