/**
 * Plays a transcript against real processes: says what its clients say, and compares what the lookup service and the nodes
 * answer. Every frame that comes has to fit the strict reading of docs/schemas/, too.
 */
import { request } from '../harness/http.mjs';
import { registerToken } from '../harness/secrets.mjs';
import { Session } from '../harness/session.mjs';
import { delay, until } from '../harness/until.mjs';
import { faultOfAnswer } from './openapi.mjs';
import { faultOfNode, strict } from './schemas.mjs';
import { filled, mismatch } from './template.mjs';
import { examplesOf } from './transcript.mjs';

/** @typedef {import('./transcript.mjs').Step} Step */
/** @typedef {{ session: Session, heard: number, ended: boolean, maybe: Step[] }} Connection `heard`: how many of its frames were compared; `maybe`: steps that may come now, or not at all */

const HEAR_MS = 20_000;
const REF_OF_END = 'nothing more';
const LARGE = 'x'.repeat(60_000);

/** @param {import('../harness/cluster.mjs').Cluster} ring @param {import('./transcript.mjs').Transcript} transcript */
export async function play(ring, transcript) {
  const player = new Player(ring, transcript);
  try {
    for (let at = 0; at < transcript.steps.length; ) at += await player.step(at);
    await player.end();
  } finally {
    player.abandon();
  }
  return player.frames;
}

class Player {
  /** frames of nodes that were compared */
  frames = 0;
  /** @type {Map<string, Connection>} */
  #connections = new Map();
  /** @type {Map<string, { asked: any, answer: import('../harness/http.mjs').Answer }>} by who asked */
  #answers = new Map();
  /** @type {Session[]} */
  #sessions = [];

  /** @param {import('../harness/cluster.mjs').Cluster} ring @param {import('./transcript.mjs').Transcript} transcript */
  constructor(ring, { name, heading, steps }) {
    this.ring = ring;
    this.name = name;
    this.steps = steps;
    this.world = { known: new Map(), examples: examplesOf(heading), differs: new Set(Object.keys(heading.differs ?? {})) };
    this.world.known.set('60 kB', LARGE);
    this.tokens = heading.tokens ?? {};
  }

  /** Does a step, or several that come in any order. @param {number} at @returns {Promise<number>} how many it did */
  async step(at) {
    const step = this.steps[at];
    try {
      if (step.frame !== undefined && step.from === 'node' && step.order === 'any') return await this.#inAnyOrder(at);
      if (step.times === 'until refused') await until('a refusal', async () => (await this.#ask(step)).status >= 400, { within_ms: HEAR_MS });
      else for (let times = step.times ?? 1; times > 0; times--) await this.#one(step);
      return 1;
    } catch (error) {
      throw new Error(`docs/transcripts/${this.name}.jsonl:${at + 2}: ${error.message}`, { cause: error });
    }
  }

  /** Nothing more comes than the transcript has, on connections that stand still, and on those that have ended. */
  async end() {
    for (const [name, connection] of this.#connections) {
      const { session, heard, ended } = connection;
      if (!ended && !session.closed) {
        session.sendFrame({ op: 'online', ref: REF_OF_END, users: [] });
        await session.until('the end', () => session.frames.some((frame) => frame.ref === REF_OF_END), HEAR_MS);
      }
      const more = framesOf(session).slice(heard).filter((frame) => frame.ref !== REF_OF_END);
      if (more.length > 0) throw new Error(`docs/transcripts/${this.name}.jsonl: ${name} hears more than is told: ${JSON.stringify(more.slice(0, 3))}`);
      if (!ended && session.closed) throw new Error(`docs/transcripts/${this.name}.jsonl: ${name} is closed: ${JSON.stringify(session.closed)}`);
    }
    if (this.fault) throw new Error(`not as docs/schemas/ say: ${this.fault}`);
  }

  abandon() {
    for (const session of this.#sessions) session.socket.terminate();
  }

  /** @param {Step} step */
  async #one(step) {
    if (step.do) return this.#happen(step);
    if (step.happens) return undefined;
    if (step.request) return this.#ask(step);
    if (step.response) return this.#answered(step);
    if (step.open) return this.#open(step);
    if (step.close) return this.#close(step);
    if (step.from === 'node') return this.#hear(step);
    const { session } = this.#of(step.from);
    if (step.binary !== undefined) return session.sendRaw(Buffer.from(step.binary));
    return session.sendRaw(step.text ?? JSON.stringify(filled(step.frame, this.world.known)));
  }

  /** @param {Step} step */
  async #happen(step) {
    const { do: what, with: whom = '' } = filled({ do: step.do, with: step.with ?? '' }, this.world.known);
    if (what === 'kill') return this.ring.kill(this.ring.node(whom));
    if (what === 'cut') return this.#finish(whom).session.socket.terminate();
    if (what === 'stop reading') return this.#of(whom).session.socket.pause();
    if (what === 'read again') return this.#of(whom).session.socket.resume();
    if (what === 'settle') return this.#settle(this.#of(whom));
    if (what === 'wait') return delay(Number(whom));
    if (what === 'Redis away') return this.ring.redis?.pause();
    if (what === 'Redis back') return this.ring.redis?.resume();
    throw new Error(`nobody can do ${JSON.stringify(what)}`);
  }

  /** Waits until no topic of a connection is pending. @param {Connection} connection */
  async #settle({ session }) {
    const told = (/** @type {string} */ topic) => session.frames.some((frame) => frame.op === 'recovered' && frame.topic === topic);
    const pending = () => Object.entries(session.welcome?.topics ?? {}).filter(([topic, head]) => head.recovered === 'pending' && !told(topic));
    await session.until('nothing is pending', () => pending().length === 0, HEAR_MS);
  }

  /** @param {Step} step */
  async #ask({ from, to, request: told }) {
    const { method, token } = /** @type {NonNullable<Step['request']>} */ (told);
    const { path, body } = filled({ path: told?.path, body: told?.body ?? null }, this.world.known);
    const by = this.ring.lookups[to === 'lookup' ? 0 : Number(to.split(' ')[1]) - 1];
    const headers = token ? { authorization: `Bearer ${this.#token(token)}` } : undefined;
    const answer = await request(by.url + path, { method, headers, body: body ?? undefined, ca: this.ring.ca });
    this.#answers.set(from, { asked: { method, path }, answer });
    return answer;
  }

  /** The token behind a placeholder; it is made when it is first needed. @param {string} placeholder */
  #token(placeholder) {
    const name = placeholder.slice(1, -1);
    const { exp_in_s, ...claims } = /** @type {any} */ (this.tokens[name]);
    const exp = exp_in_s === undefined ? {} : { exp: Math.floor(Date.now() / 1000) + exp_in_s };
    if (!this.world.known.has(name)) this.world.known.set(name, registerToken(this.ring.token(claims.sub, { ...claims, ...exp })));
    return this.world.known.get(name);
  }

  /** @param {Step} step */
  #answered({ to, response }) {
    const told = this.#answers.get(to);
    this.#answers.delete(to);
    if (!told || !response) throw new Error(`${to} has asked nothing`);
    const { asked, answer } = told;
    if (answer.json?.ticket) registerToken(answer.json.ticket);
    if (answer.status !== response.status) throw new Error(`${answer.status}, not ${response.status}: ${answer.text.slice(0, 300)}`);
    const fault = answer.status >= 400 ? strict('problem', answer.json) : answer.json?.ticket ? strict('lookup-answer', answer.json) : undefined;
    const promised = faultOfAnswer(asked, answer.status, answer.json);
    if (promised) throw new Error(promised);
    if (fault) throw new Error(fault);
    if (response.body !== undefined) this.#compare(response.body, answer.json);
    for (const [name, value] of Object.entries(response.headers ?? {})) this.#compare(value, answer.headers[name]);
  }

  /** @param {Step} step */
  async #open({ from, open }) {
    const { url, protocols } = filled(open, this.world.known);
    for (const protocol of protocols) registerToken(protocol.replace(/^ticket\./, ''));
    const session = new Session({ id: from, node: '', ticket: '', url, protocols }, { ca: this.ring.ca, hello: false, onFrame: (frame) => this.#check(frame) });
    this.#sessions.push(session);
    this.#connections.set(from, { session, heard: 0, ended: false, maybe: [] });
    await until(`${from} is connected`, () => session.socket.readyState === 1 || session.closed, { within_ms: HEAR_MS });
  }

  /** @param {Step} step */
  async #close({ from, to, close }) {
    if (from !== 'node') return this.#finish(from).session.socket.close(close?.code);
    const connection = this.#of(to);
    const closed = await connection.session.closing(HEAR_MS);
    const more = framesOf(connection.session).slice(connection.heard);
    if (more.length > 0) throw new Error(`before the close ${to} hears more than is told: ${JSON.stringify(more.slice(0, 3))}`);
    this.#compare(close, close?.reason === undefined ? { code: closed.code } : closed);
    connection.ended = true;
  }

  /** The next frame of a connection. @param {Step} step */
  async #hear(step) {
    const connection = this.#of(step.to);
    if (step.maybe) return void connection.maybe.push(step);
    const frame = await this.#next(connection);
    const fault = frame ? mismatch(step.frame, frame, this.world) : `closed with ${JSON.stringify(connection.session.closed)} instead`;
    if (fault) throw new Error(`${fault}${frame ? ` in ${JSON.stringify(frame)}` : ''}`);
    this.#heard(connection);
    if (!step.many) return;
    for (;;) {
      const another = await this.#next(connection);
      if (!another || mismatch(step.frame, another, this.world)) return;
      this.#heard(connection);
    }
  }

  /** Steps in a row to one connection, which come in any order. @param {number} at @returns {Promise<number>} how many */
  async #inAnyOrder(at) {
    const { to } = this.steps[at];
    const length = this.steps.slice(at).findIndex((step) => step.order !== 'any' || step.to !== to);
    const open = this.steps.slice(at, length < 0 ? undefined : at + length);
    const connection = this.#of(to);
    for (let left = open.length; open.length > 0; left--) {
      const frame = await this.#next(connection);
      const found = open.findIndex((step) => frame && !mismatch(step.frame, frame, this.world));
      if (found < 0) throw new Error(`none of the next ${left} is ${JSON.stringify(frame ?? connection.session.closed)}: ${open.map((step) => mismatch(step.frame, frame, this.world)).join('; ')}`);
      open.splice(found, 1);
      this.#heard(connection);
    }
    return length < 0 ? this.steps.length - at : length;
  }

  /** The frame after those that were heard; undefined if the connection ends first. @param {Connection} connection */
  async #next(connection) {
    const { session, maybe } = connection;
    await until('a frame', () => framesOf(session)[connection.heard] ?? session.closed, { within_ms: HEAR_MS, describe: () => `${connection.heard} frames` });
    const frame = framesOf(session)[connection.heard];
    const found = maybe.findIndex((step) => frame && !mismatch(step.frame, frame, this.world));
    if (found < 0) return frame;
    maybe.splice(found, 1);
    this.#heard(connection);
    return this.#next(connection);
  }

  /** @param {Connection} connection */
  #heard(connection) {
    connection.heard++;
    this.frames++;
  }

  /** @param {any} frame */
  #check(frame) {
    for (const protocol of frame.protocols ?? []) registerToken(protocol.replace(/^ticket\./, ''));
    this.fault ??= faultOfNode(frame);
  }

  /** @param {unknown} told @param {unknown} heard */
  #compare(told, heard) {
    const fault = mismatch(told, heard, this.world);
    if (fault) throw new Error(`${fault} in ${JSON.stringify(heard)?.slice(0, 600)}`);
  }

  /** @param {string} name @returns {Connection} */
  #of(name) {
    const connection = this.#connections.get(name);
    if (!connection) throw new Error(`${name} has no connection`);
    if (this.fault) throw new Error(`not as docs/schemas/ say: ${this.fault}`);
    return connection;
  }

  /** A connection that the client ends. @param {string} name */
  #finish(name) {
    const connection = this.#of(name);
    connection.ended = true;
    return connection;
  }
}

/** Its frames but `ping`, which comes when it comes. @param {Session} session */
const framesOf = (session) => session.frames.filter((frame) => frame.op !== 'ping');
