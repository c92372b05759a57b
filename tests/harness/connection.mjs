/** One connection of a member: opened, resumed from where the receiver stands, and welcome. */
import { Session } from './session.mjs';
import { delay } from './until.mjs';

/** @typedef {{ session: Session, line?: import('./receiver.mjs').Line, welcome?: any, ours: boolean, leaving?: boolean }} Connection `ours`: we ended it, and hear nothing more; `leaving`: another is to replace it */
/**
 * @typedef {object} Owner
 * @property {import('./receiver.mjs').Receiver} receiver
 * @property {Set<string>} groups it wants to be in
 * @property {string} [replaces] the session that this one continues
 * @property {(connection: Connection, frame: any) => void} onFrame every frame but `welcome`
 * @property {(connection: Connection, code: number) => void} onEnd
 */

const WELCOME_MS = 15_000;
const RETRY_MS = 100;

/**
 * Tries again and again, around nodes that could not be reached. Undefined if it is no longer wanted.
 * @param {(avoid: string[]) => Promise<Connection>} attempt
 * @param {{ name: string, random: () => number, within_ms: number, patient: boolean, ended: () => boolean, journal?: import('./member.mjs').Journal }} member `patient`: it waits as long as it is told to
 */
export async function persistently(attempt, { name, random, within_ms, patient, ended, journal }) {
  const deadline = Date.now() + within_ms;
  /** @type {string[]} */
  const avoid = [];
  for (;;) {
    try {
      return await attempt(avoid);
    } catch (error) {
      if (ended()) return undefined;
      journal?.tried(error.message);
      if (Date.now() > deadline) throw new Error(`${name} does not get back: ${error.message}`);
      if (error.code === 1006) avoid.push(error.node);
      if (patient) await delay(error.retry_after_ms ?? 0);
    }
    await delay(RETRY_MS * (1 + random()));
  }
}

/**
 * Rejects with `code` and `node` if it ends before it is welcome.
 * @param {import('./cluster.mjs').Cluster} ring @param {import('./session.mjs').Grant} grant @param {Owner} owner @returns {Promise<Connection>}
 */
export function welcomed(ring, grant, { receiver, groups, replaces, onFrame, onEnd }) {
  return new Promise((resolve, reject) => {
    /** @type {Connection} */
    const connection = { session: /** @type {any} */ (undefined), ours: false };
    const late = setTimeout(() => connection.session.socket.terminate(), WELCOME_MS);
    const hello = () => {
      const line = (connection.line = receiver.line());
      return { resume: line.asked, groups: [...groups].filter((group) => !line.asked[`g:${group}`]), replaces };
    };
    const hear = (/** @type {any} */ frame) => {
      if (connection.ours) return;
      if (frame.op !== 'welcome') return onFrame(connection, frame);
      clearTimeout(late);
      connection.welcome = frame;
      connection.line?.welcome(frame);
      resolve(connection);
    };
    const onClosed = (/** @type {number} */ code) => {
      clearTimeout(late);
      connection.line?.close();
      onEnd(connection, code);
      const said = JSON.stringify(connection.session.errors);
      if (!connection.welcome) reject(Object.assign(new Error(`closed with ${code} before welcome: ${said}`), { code, node: grant.node }));
    };
    connection.session = new Session(grant, { ca: ring.ca, keep: false, hello, onFrame: hear, onClosed });
    ring.sessions.push(connection.session);
  });
}
