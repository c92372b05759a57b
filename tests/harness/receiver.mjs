/**
 * One client as the checker sees it: what it follows, where it stands in each topic, and over which connections that came
 * about. It knows the protocol's promises about positions; whatever breaks one it reports to its checker.
 */

/** @typedef {{ epoch?: string, offset: number }} Position */
/** @typedef {'live' | 'gap' | 'pending' | 'any'} State `gap`: one was announced; `any`: whatever the log holds, from its first entry */
/** @typedef {{ start: number, last: number, missing: Set<number> }} Stretch what came of one epoch: up to `last`, without `missing` */
/** @typedef {{ begun: number, ended?: number, epoch?: string, stretches: Map<string, Stretch>, told: { at: number, epoch: string }[] }} Span from a join to its leave */

/** So many single offsets of a jump are kept; a longer one is a loss anyhow. */
const JUMP_MAX = 10_000;

export class Receiver {
  /** @type {Map<string, Span[]>} topic -> each time that it was followed, the present one last */
  spans = new Map();
  /** @type {Line[]} */
  lines = [];
  /** @type {Map<number, Line>} ephemeral message -> where it came first */
  seen = new Map();
  /** What it has not got by now never will come, and that is no loss. */
  retired = false;

  /**
   * @param {import('./topic-checker.mjs').TopicChecker} checker @param {string} name unique @param {string} user
   * @param {Record<string, unknown>} attributes those of its token that a `match` looks at
   */
  constructor(checker, name, user, attributes) {
    this.checker = checker;
    this.name = name;
    this.user = user;
    this.attributes = attributes;
  }

  /** A connection begins: to be called when `hello` is sent. @param {Record<string, Position>} [asked] what it resumes */
  line(asked = this.resume()) {
    const line = new Line(this, asked);
    this.lines.push(line);
    return line;
  }

  /** What `hello.resume` should say. @returns {Record<string, Position>} */
  resume() {
    return Object.fromEntries([...this.spans.keys()].flatMap((topic) => {
      const position = this.position(topic);
      return position ? [[topic, position]] : [];
    }));
  }

  /** Where it stands in a topic that it follows. @param {string} topic @returns {Position | undefined} */
  position(topic) {
    const span = this.span(topic);
    const stretch = span?.epoch === undefined ? undefined : span.stretches.get(span.epoch);
    return stretch && { epoch: span?.epoch, offset: stretch.last };
  }

  /** The present span of a topic. @param {string} topic */
  span(topic) {
    const span = this.spans.get(topic)?.at(-1);
    return span && span.ended === undefined ? span : undefined;
  }

  /** @param {string} topic @returns {Span} */
  spanOf(topic) {
    const present = this.span(topic);
    if (present) return present;
    const span = { begun: this.checker.tick(), stretches: new Map(), told: [] };
    this.spans.set(topic, [...(this.spans.get(topic) ?? []), span]);
    return span;
  }

  /** It no longer wants the topic. @param {string} topic */
  end(topic) {
    const span = this.span(topic);
    if (span) span.ended = this.checker.tick();
  }

  /** It stands there from now on, unless it has come further already. @param {string} topic @param {string} epoch @param {number} offset */
  stand(topic, epoch, offset) {
    const span = this.spanOf(topic);
    if (!span.stretches.has(epoch)) span.stretches.set(epoch, { start: offset, last: offset, missing: new Set() });
    span.epoch = epoch;
    return /** @type {Stretch} */ (span.stretches.get(epoch));
  }

  /** An entry has come, over whichever connection. @returns {boolean} whether it is the first time */
  take(topic, epoch, offset) {
    // A connection that is behind may still be in an epoch that another one has left.
    const stretch = this.span(topic)?.stretches.get(epoch) ?? this.stand(topic, epoch, offset - 1);
    if (offset <= stretch.last) return stretch.missing.delete(offset);
    addJump(stretch.missing, stretch.last, offset);
    stretch.last = offset;
    return true;
  }
}

/** One connection: each topic strictly one after the other from where it was begun. */
export class Line {
  /** @type {Map<string, { epoch?: string, offset: number, state: State, skipped: Set<number> }>} */
  positions = new Map();
  /** @type {Map<string, number>} "topic origin" -> its newest counter */
  #origins = new Map();
  /** @type {Map<string, number>} "topic sender" -> the newest order of their ephemeral messages */
  #newest = new Map();
  /** @type {number | undefined} */
  welcomed;
  /** @type {number | undefined} when by the wall clock */
  closedAt_ms;
  /** @type {Map<string, number>} topic -> since when this connection hears all of it */
  since = new Map();
  /** @type {Set<string>} topics whose join is not answered yet: what is only passed on may come before the answer */
  asking = new Set();
  /** It stands for several sockets, of which two are open now: what one sender's messages took by different ways may cross. */
  overlapping = false;

  /** @param {Receiver} receiver @param {Record<string, Position>} asked */
  constructor(receiver, asked) {
    this.receiver = receiver;
    this.checker = receiver.checker;
    this.asked = asked;
    this.overlaps = new Set(receiver.lines.filter((line) => line.closedAt_ms === undefined));
  }

  /** @param {any} frame the `welcome` */
  welcome(frame) {
    this.welcomed = this.checker.tick();
    for (const [topic, entry] of Object.entries(frame.topics ?? {})) {
      if (entry.error) this.#wrong('unexpected', `${topic}: ${entry.error} in welcome`);
      else this.begin(topic, entry, this.asked[topic]);
    }
    for (const topic of [`u:${this.receiver.user}`, ...Object.keys(this.asked)]) {
      if (!frame.topics?.[topic]) this.#wrong('unexpected', `welcome does not speak of ${topic}: ${show(frame)}`);
    }
  }

  /** A topic's first word: of `welcome`, of a join's `ack`, of `recovered`. @param {string} topic @param {any} entry @param {Position} [asked] */
  begin(topic, { epoch, offset, recovered }, asked) {
    const position = { epoch, offset, state: /** @type {State} */ ('live'), skipped: new Set() };
    this.positions.set(topic, position);
    this.asking.delete(topic);
    if (recovered === 'pending') {
      this.checker.pending++;
      return void Object.assign(position, { epoch: asked?.epoch, offset: asked?.offset, state: 'pending', asked });
    }
    // Not before: while it is pending, what is only passed on may be missed.
    if (!this.since.has(topic)) this.since.set(topic, this.checker.tick());
    if (recovered !== true && recovered !== false) this.#wrong('unexpected', `${topic} neither recovered nor not: ${show({ epoch, offset, recovered })}`);
    if (epoch === undefined) return void this.receiver.spanOf(topic);
    if (recovered === false) return void Object.assign(position, { ...asked, state: 'gap' });
    if (asked && !asked.epoch) return void Object.assign(position, { offset: undefined, state: 'any' });
    if (asked && (asked.epoch !== epoch || asked.offset > offset)) this.#wrong('unexpected', `${topic} recovered from ${show(asked)} to ${show({ epoch, offset })}`);
    if (asked) position.offset = asked.offset;
    this.receiver.stand(topic, epoch, position.offset);
  }

  /** @param {any} frame `recovered` */
  recovered(frame) {
    const position = /** @type {any} */ (this.positions.get(frame.topic));
    if (position?.state !== 'pending') return this.#wrong('unexpected', `not pending: ${show(frame)}`);
    this.begin(frame.topic, frame, position.asked);
  }

  /** @param {string} topic @param {any} ack of a `leave`: the session has had all up to there */
  left(topic, ack) {
    const position = this.positions.get(topic);
    if (position && ack.epoch !== undefined && (ack.epoch !== position.epoch || ack.offset !== position.offset)) {
      this.#wrong('lost', `left ${topic} at ${show(ack)} and had ${show({ epoch: position.epoch, offset: position.offset })}`);
    }
    this.positions.delete(topic);
    this.since.delete(topic);
    this.receiver.end(topic);
  }

  /** @param {any} frame `gap` */
  gap(frame) {
    const { topic, epoch, after, before, reason } = frame;
    const position = this.positions.get(topic);
    this.checker.gaps.push({ receiver: this.receiver.name, user: this.receiver.user, at: this.checker.tick(), ...frame });
    if (!position) return this.#wrong('unexpected', `a gap in what it does not follow: ${show(frame)}`);
    if (reason === 'trimmed') {
      if (epoch !== position.epoch || after !== position.offset || !(before > after + 1)) this.#wrong('unexpected', `a gap that is none after ${position.offset}: ${show(frame)}`);
      const stretch = this.receiver.stand(topic, epoch, before - 1);
      for (let offset = after + 1; offset < before && stretch.missing.size > 0; offset++) stretch.missing.delete(offset);
      stretch.last = Math.max(stretch.last, before - 1);
    } else if (reason === 'log_lost') {
      this.receiver.spanOf(topic).told.push({ at: this.checker.tick(), epoch });
      this.receiver.stand(topic, epoch, before - 1);
    } else this.#wrong('unexpected', `a gap for no reason: ${show(frame)}`);
    Object.assign(position, { epoch, offset: before - 1, state: 'live' });
  }

  /** @param {any} frame `message` */
  message(frame) {
    this.checker.received++;
    const sent = this.checker.identify(frame);
    if (!sent) return this.#wrong('unexpected', `invented: ${show(frame)}`);
    const fault = this.checker.audienceFault(sent, frame, this.receiver);
    if (fault) return this.#wrong(fault, show(frame));
    const awaited = sent.ephemeral && this.asking.has(frame.topic);
    if (frame.topic !== '*' && !awaited && !this.positions.has(frame.topic)) return this.#wrong('unexpected', `not followed here: ${show(frame)}`);
    if (sent.ephemeral) this.#ephemeral(frame, sent);
    else this.#durable(frame, sent);
  }

  /** @param {any} frame @param {import('./topic-checker.mjs').Sent} sent */
  #durable({ topic, epoch, offset, replayed }, sent) {
    const position = /** @type {NonNullable<ReturnType<Line['positions']['get']>>} */ (this.positions.get(topic));
    if (position.state === 'gap' || position.state === 'pending') this.#wrong('unexpected', `${topic} ${offset} while ${position.state}`);
    if (position.state === 'any') Object.assign(position, { epoch, offset: offset - 1, state: 'live' });
    if (epoch !== position.epoch) return this.#wrong('unexpected', `${topic} in epoch ${epoch}, had ${position.epoch} ${position.offset}`);
    if (offset <= position.offset) {
      if (!position.skipped.delete(offset)) return this.#wrong('repeated', `${topic} ${offset}, had ${position.offset}`);
      this.#wrong('disordered', `${topic} ${offset} after ${position.offset}`);
    } else {
      addJump(position.skipped, position.offset, offset);
      position.offset = offset;
    }
    if (replayed) this.checker.replayed++;
    this.checker.placed(topic, epoch, offset, sent);
    if (!this.receiver.take(topic, epoch, offset)) return void this.checker.overlapped++;
    this.checker.delivered++;
    this.checker.took(sent);
  }

  /** @param {any} frame @param {import('./topic-checker.mjs').Sent} sent */
  #ephemeral({ topic, id }, sent) {
    const dash = String(id).lastIndexOf('-');
    const [origin, counter] = [`${topic} ${String(id).slice(0, dash)}`, Number(String(id).slice(dash + 1))];
    const first = this.receiver.seen.get(sent.number);
    if (first && (this.overlaps.has(first) || first.overlaps.has(this))) this.checker.overlapped++;
    else if (first) return this.#wrong('repeated', `ephemeral ${sent.number} as ${id}`);
    if (!(counter > (this.#origins.get(origin) ?? -1))) this.#wrong('disordered', `${id} after ${this.#origins.get(origin)}`);
    const sender = `${topic} ${sent.sender}`;
    if (this.overlapping) this.#newest.clear();
    if (sent.sentAt < (this.#newest.get(sender) ?? 0)) this.#wrong('disordered', `ephemeral ${sent.number} of ${sent.sender} in ${topic}`);
    this.#origins.set(origin, counter);
    this.#newest.set(sender, sent.sentAt);
    if (first) return;
    this.receiver.seen.set(sent.number, this);
    this.checker.delivered++;
  }

  /** The connection has ended, or is no longer listened to. */
  close() {
    this.closedAt_ms ??= Date.now();
  }

  /** @param {import('./topic-checker.mjs').Kind} kind @param {string} detail */
  #wrong(kind, detail) {
    this.checker.wrong(kind, this.receiver.name, detail);
  }
}

/** @param {Set<number>} set @param {number} last @param {number} next what came instead of last + 1 */
function addJump(set, last, next) {
  for (let offset = last + 1; offset < next && set.size < JUMP_MAX; offset++) set.add(offset);
}

/** @param {unknown} value */
const show = (value) => JSON.stringify(value).slice(0, 240);
