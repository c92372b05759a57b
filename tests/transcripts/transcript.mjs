/**
 * docs/transcripts/*.jsonl as values: a heading, then one step a line. Read alone, without any process, a transcript is
 * sound if all that is said in it fits docs/schemas/ and every request gets its one answer.
 */
import path from 'node:path';
import { REPOSITORY } from '../harness/binaries.mjs';
import { filesIn, read } from '../tidy/source.mjs';
import { faultOfAnswer } from './openapi.mjs';
import { strict } from './schemas.mjs';
import { filled, placeholders } from './template.mjs';

/**
 * @typedef {object} Heading
 * @property {string} title
 * @property {string} shows
 * @property {{ store?: 'embedded' | 'redis', nodes?: number, flags?: string[], lookups?: string[][] }} cluster with which it is played
 * @property {Record<string, object>} [tokens] the application's tokens, by placeholder: their claims. `exp_in_s`: `exp`, from now
 * @property {Record<string, unknown>} varies placeholder -> an example
 * @property {Record<string, unknown>} [differs] the same, for what is another value in each place
 */
/**
 * @typedef {object} Step from whom to whom, and one of the others
 * @property {string} from @property {string} to
 * @property {{ method: string, path: string, token?: string, body?: any }} [request]
 * @property {{ status: number, body?: any, headers?: Record<string, unknown> }} [response]
 * @property {{ url: string, protocols: string[] }} [open]
 * @property {any} [frame] @property {string} [text] what is no frame @property {string} [binary]
 * @property {{ code: number, reason?: string }} [close]
 * @property {string} [happens] in words @property {string} [do] what the player does then @property {string} [with] to whom
 * @property {number | 'until refused'} [times] @property {boolean} [many] one or more like this @property {boolean} [maybe] or not at all @property {'any'} [order] these in a row come in any order
 * @property {boolean} [odd] a frame of a client that does not fit the schemas
 */
/** @typedef {{ name: string, heading: Heading, steps: Step[] }} Transcript */

export const FOLDER = path.join(REPOSITORY, 'docs/transcripts');

/** @returns {Transcript[]} */
export function transcripts() {
  return filesIn(FOLDER, ['.jsonl']).sort().map((file) => parsed(path.basename(file, '.jsonl'), read(file)));
}

/** @param {string} name @param {string} text @returns {Transcript} */
export function parsed(name, text) {
  const [heading, ...steps] = text.trimEnd().split('\n').map((line, i) => {
    try {
      return JSON.parse(line);
    } catch (error) {
      throw new Error(`${name}:${i + 1}: ${error.message}`);
    }
  });
  return { name, heading, steps };
}

/** Its examples by placeholder. @param {Heading} heading @returns {Map<string, unknown>} */
export const examplesOf = ({ varies, differs = {}, tokens = {} }) => new Map([...Object.entries(varies), ...Object.entries(differs), ...Object.keys(tokens).map((name) => /** @type {[string, string]} */ ([name, `token-of-${name}`]))]);

/** What is wrong with a transcript read alone. @param {Transcript} transcript @returns {string[]} */
export function faults({ name, heading, steps }) {
  const examples = examplesOf(heading);
  const used = new Set(steps.flatMap(placeholders));
  const found = [...examples.keys()].filter((one) => !used.has(one)).map((one) => `${name}: <${one}> is never used`);
  /** @type {Map<string, string>} connection and ref -> op, of requests without an answer */
  const open = new Map();
  /** @type {Map<string, any>} who asks -> what */
  const asked = new Map();
  steps.forEach((template, i) => {
    const add = (/** @type {string | undefined} */ fault) => fault && found.push(`${name}:${i + 2}: ${fault}`);
    try {
      const step = filled(template, examples);
      add(faultOf(step, open));
      if (step.request) asked.set(step.from, step.request);
      if (step.response) add(faultOfAnswer(asked.get(step.to), step.response.status, step.response.body));
    } catch (error) {
      add(error.message);
    }
  });
  const ended = new Set(steps.flatMap((step) => (step.do === 'cut' ? [step.with] : step.close?.code === 1006 ? [step.to] : [])));
  for (const [request, op] of open) if (!ended.has(request.split(' #')[0])) found.push(`${name}: ${op} ${request} gets no answer`);
  return found;
}

/** @param {Step} step @param {Map<string, string>} open @returns {string | undefined} */
function faultOf(step, open) {
  const { from, to, frame } = step;
  if (step.request) return /^\/lookup/.test(step.request.path) && step.request.body ? strict('lookup-request', step.request.body) : undefined;
  if (step.response) return faultOfResponse(step.response);
  if (frame === undefined) return step.happens || step.open || step.close || step.text || step.binary ? undefined : 'nothing is said';
  if (from !== 'node') return faultOfRequest(step, open);
  const request = `${to} #${JSON.stringify(frame.ref)}`;
  if (frame.op !== 'ack' && frame.ref === undefined) return strict(`node/${frame.op}`, frame);
  const op = open.get(request);
  if (!op) return `${frame.op} to ${to}: nobody asked, or it is answered already`;
  open.delete(request);
  return strict(frame.op === 'ack' ? `node/ack-${op}` : 'node/error', frame);
}

/** @param {Step} step @param {Map<string, string>} open */
function faultOfRequest({ from, frame, odd }, open) {
  const fault = strict('client/frame', frame);
  if (frame.ref !== undefined) open.set(`${from} #${JSON.stringify(frame.ref)}`, frame.op);
  if (odd) return fault ? undefined : 'there is nothing odd about this';
  return fault && strict(`client/${frame.op}`, frame);
}

/** @param {NonNullable<Step['response']>} response */
function faultOfResponse({ status, body }) {
  if (status >= 400) return strict('problem', body) ?? (body.status === status ? undefined : `status ${body.status} in an answer with ${status}`);
  return body?.ticket ? strict('lookup-answer', body) : undefined;
}
