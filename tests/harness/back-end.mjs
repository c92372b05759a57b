/**
 * An application's server: it uses the API of any lookup service. Its messages have keys, so that it may repeat what was
 * not answered, or failed for now, until it is done; each topic gets them in its order.
 */
import { request } from './http.mjs';
import { registerToken } from './secrets.mjs';
import { delay } from './until.mjs';

/** @typedef {import('./topic-checker.mjs').TopicChecker} TopicChecker */
/** @typedef {import('./topic-checker.mjs').Audience} Audience */
/** @typedef {import('./http.mjs').Answer} Answer */
/** @typedef {{ to: Audience, ephemeral?: boolean, text?: string }} Letter */

const RETRY_MS = 100;
const ANSWER_MS = 20_000;

export class BackEnd {
  /** requests that were not answered, and messages that failed for now */
  retries = 0;
  #ended = false;

  /**
   * @param {import('./cluster.mjs').Cluster} ring
   * @param {{ name?: string, checker?: TopicChecker, service?: string }} [options] `name`: in whose name it sends
   */
  constructor(ring, { name = 'server', checker, service } = {}) {
    this.ring = ring;
    this.name = name;
    this.checker = checker;
    this.service = service;
    this.token = registerToken(ring.token(name, { scope: 'admin' }));
  }

  /** One request, and its answer whatever it is. @param {string} method @param {string} path @param {object} [body] @param {number} [by] which lookup service */
  ask(method, path, body, by = 0) {
    const query = this.service ? `${path.includes('?') ? '&' : '?'}service=${this.service}` : '';
    const headers = { authorization: `Bearer ${this.token}` };
    return request(`${this.ring.lookups[by].url}/v1${path}${query}`, { method, headers, body, ca: this.ring.ca, within_ms: ANSWER_MS });
  }

  /** Its JSON, if it is 200. @param {string} method @param {string} path @param {object} [body] @param {number} [by] */
  async done(method, path, body, by) {
    const answer = await this.ask(method, path, body, by);
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 400)}`);
    return answer.json;
  }

  /**
   * Sends a batch that the checker judges, until all of it is done.
   * @param {Letter[]} letters @param {() => number} [which] lookup service for each try
   * @returns {Promise<any[]>} what became of each
   */
  async send(letters, which = () => 0) {
    const { checker, name } = this;
    if (!checker) throw new Error('nobody checks these messages');
    /** @type {any[]} */
    const outcomes = [];
    let open = letters.map(({ to, ephemeral = false, text = '' }, index) => {
      const data = checker.message(name, to, { ephemeral, text });
      return { index, data, ephemeral, body: { to, data, key: `${name}/${data.n}`, ephemeral } };
    });
    while (open.length > 0 && !this.#ended) {
      const results = await this.#try(open.map(({ body }) => body), which());
      open = open.filter(({ index, data, ephemeral }, at) => {
        const result = results ? results[at] : { error: { code: 'no_answer', temporary: true } };
        // What fails for one of several users fails for good here: it is repeated as a whole with its key.
        const failed = result.error ?? result.failed?.find((/** @type {any} */ user) => user.temporary);
        if (!failed) checker.acknowledged(data.n, (outcomes[index] = result));
        else if (!failed.temporary) throw new Error(`message ${data.n}: ${JSON.stringify(failed)}`);
        else if (ephemeral) outcomes[index] = result;
        else {
          checker.sentAgain(data.n);
          this.retries++;
          return true;
        }
        return false;
      });
      if (open.length > 0) await delay(RETRY_MS);
    }
    return outcomes;
  }

  /** Repeats nothing any more. */
  end() {
    this.#ended = true;
  }

  /** @param {object[]} messages @param {number} by @returns {Promise<any[] | undefined>} undefined: nobody knows */
  async #try(messages, by) {
    /** @type {Answer} */
    let answer;
    try {
      answer = await this.ask('POST', '/messages', { messages }, by);
    } catch {
      return undefined;
    }
    if (answer.status === 200 || answer.status === 207) return answer.json.results;
    if (answer.json?.temporary) return undefined;
    throw new Error(`${answer.status} ${answer.text.slice(0, 400)}`);
  }
}
