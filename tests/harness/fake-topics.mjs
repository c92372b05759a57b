/**
 * A toy Ringdial with topics, in one process and with faults on demand: positions, replay, keys, groups, matches. It
 * exists to prove that the topic checker sees each fault of a cluster, and none of a good one.
 */
import { startFake } from './fake.mjs';

/** @typedef {'none' | 'lose' | 'lose one' | 'duplicate' | 'swap' | 'misdeliver' | 'alter' | 'store twice' | 'seam repeats' | 'seam loses' | 'ack lies' | 'lose ephemeral' | 'repeat ephemeral'} TopicFault */
/** @typedef {{ entries: { from: string, data: unknown }[], keys: Map<string, number>, followers: Set<Seat> }} Topic */
/** @typedef {{ user: string, claims: Record<string, any>, topics: Set<string>, say: (frame: object) => void }} Seat */

const EVERY = 40;
const EPOCH = '00000000000000e1';

/** @param {number} count of nodes @param {TopicFault} [fault] */
export function startFakeTopics(count, fault = 'none') {
  const world = new World(fault);
  return startFake(count, 'none', (socket, claims) => world.serve(socket, claims));
}

class World {
  /** @type {Map<string, Topic>} */
  #topics = new Map();
  /** @type {Set<Seat>} */
  #seats = new Set();
  #deliveries = 0;
  #ephemeral = 0;
  /** Topics whose last entry waits to be passed by the next one. */
  #held = new Set();

  /** @param {TopicFault} fault */
  constructor(fault) {
    this.fault = fault;
  }

  /** @param {import('ws').WebSocket} socket @param {Record<string, any>} claims */
  serve(socket, claims) {
    const say = (/** @type {object} */ frame) => socket.send(JSON.stringify(frame));
    const seat = { user: claims.sub, claims, topics: new Set(), say };
    socket.on('close', () => this.#stand(seat));
    socket.on('message', (text) => this.#on(seat, JSON.parse(text.toString()), socket));
  }

  /** @param {Seat} seat @param {any} frame @param {import('ws').WebSocket} socket */
  #on(seat, frame, socket) {
    if (frame.op === 'hello') this.#hello(seat, frame);
    else if (frame.op === 'send') this.#send(seat, frame);
    else if (frame.op === 'join') this.#join(seat, frame);
    else if (frame.op === 'leave') {
      seat.say({ op: 'ack', ref: frame.ref, topic: `g:${frame.group}`, ...this.#head(`g:${frame.group}`) });
      this.#unfollow(seat, `g:${frame.group}`);
    } else if (frame.op === 'detach') {
      this.#stand(seat);
      seat.say({ op: 'bye' });
      socket.close(1000);
    }
  }

  /** @param {Seat} seat @param {any} frame */
  #hello(seat, { resume = {}, groups = [] }) {
    const wanted = new Set([`u:${seat.user}`, ...Object.keys(resume), ...groups.map((name) => `g:${name}`), ...(seat.claims.groups ?? []).map((name) => `g:${name}`)]);
    const topics = Object.fromEntries([...wanted].map((topic) => [topic, { ...this.#head(topic), recovered: true }]));
    this.#seats.add(seat);
    seat.say({ op: 'welcome', user: seat.user, session: `s${Math.random()}`, topics });
    for (const topic of wanted) this.#follow(seat, topic, resume[topic]);
  }

  /** @param {Seat} seat @param {any} frame */
  #join(seat, { ref, group, since }) {
    seat.say({ op: 'ack', ref, topic: `g:${group}`, ...this.#head(`g:${group}`), recovered: true });
    this.#follow(seat, `g:${group}`, since);
  }

  /** @param {Seat} seat @param {string} name @param {{ offset: number }} [since] */
  #follow(seat, name, since) {
    const topic = this.#topic(name);
    topic.followers.add(seat);
    seat.topics.add(name);
    if (!since) return;
    const from = since.offset + (this.fault === 'seam repeats' ? -1 : this.fault === 'seam loses' ? 1 : 0);
    for (let i = Math.max(0, from); i < topic.entries.length; i++) seat.say({ ...this.#entry(name, i), replayed: true });
  }

  /** @param {Seat} seat @param {any} frame */
  #send(seat, { ref, to, data, key, ephemeral }) {
    const names = to.user ? [`u:${to.user}`] : to.users ? to.users.map((user) => `u:${user}`) : to.group ? [`g:${to.group}`] : undefined;
    if (!names || ephemeral) {
      this.#pass(seat, names?.[0] ?? '*', to, data);
      return seat.say({ op: 'ack', ref, online: 1 });
    }
    const offsets = names.map((name) => this.#store(name, seat.user, key, data));
    const offset = offsets[0] + (this.fault === 'ack lies' && offsets[0] % 7 === 0 ? 1 : 0);
    seat.say({ op: 'ack', ref, ...(to.users ? {} : { online: 1, epoch: EPOCH, offset }) });
  }

  /** @returns {number} the offset @param {string} name @param {string} from @param {string} key @param {unknown} data */
  #store(name, from, key, data) {
    const topic = this.#topic(name);
    const known = topic.keys.get(`${from} ${key}`);
    if (known && this.fault !== 'store twice') return known;
    topic.entries.push({ from, data });
    const offset = topic.entries.length;
    topic.keys.set(`${from} ${key}`, offset);
    const struck = ++this.#deliveries % EVERY === 0 ? this.fault : 'none';
    if (struck === 'store twice') topic.entries.push({ from, data });
    if (struck === 'swap' && this.#held.add(name)) return offset;
    const late = this.#held.delete(name);
    let victim = struck === 'lose one';
    for (const seat of topic.followers) {
      if (struck === 'lose' || (victim && !(victim = false))) continue;
      const entry = this.#entry(name, offset - 1);
      seat.say(struck === 'alter' ? { ...entry, from: 'eve' } : entry);
      if (struck === 'duplicate') seat.say(entry);
      if (this.fault === 'store twice' && struck === 'store twice') seat.say(this.#entry(name, offset));
      if (late) seat.say(this.#entry(name, offset - 2));
    }
    if (struck === 'misdeliver') for (const seat of this.#seats) if (!seat.topics.has(name)) return seat.say(this.#entry(name, offset - 1)), offset;
    return offset;
  }

  /** Passes an ephemeral message on. @param {Seat} from @param {string} topic @param {any} to @param {unknown} data */
  #pass(from, topic, to, data) {
    const frame = { op: 'message', topic, id: `n1.1-${++this.#ephemeral}`, from: from.user, data, time: 1 };
    const struck = this.#ephemeral % EVERY === 0 ? this.fault : 'none';
    if (struck === 'lose ephemeral') return;
    for (const seat of this.#seats) {
      if (topic === '*' ? !to.match || Object.entries(to.match).every(([name, value]) => [seat.claims[name]].flat().includes(value)) : seat.topics.has(topic)) {
        seat.say(frame);
        if (struck === 'repeat ephemeral') seat.say(frame);
      }
    }
  }

  /** @param {string} name @param {number} i */
  #entry(name, i) {
    return { op: 'message', topic: name, epoch: EPOCH, offset: i + 1, time: 1, ...this.#topic(name).entries[i] };
  }

  /** @param {string} name */
  #head(name) {
    return { epoch: EPOCH, offset: this.#topic(name).entries.length };
  }

  /** @param {string} name @returns {Topic} */
  #topic(name) {
    const topic = this.#topics.get(name) ?? { entries: [], keys: new Map(), followers: new Set() };
    this.#topics.set(name, topic);
    return topic;
  }

  /** @param {Seat} seat @param {string} name */
  #unfollow(seat, name) {
    this.#topic(name).followers.delete(seat);
    seat.topics.delete(name);
  }

  /** It gets up and goes. @param {Seat} seat */
  #stand(seat) {
    for (const name of [...seat.topics]) this.#unfollow(seat, name);
    this.#seats.delete(seat);
  }
}
