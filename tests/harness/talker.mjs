/**
 * One of examples/'s chat programs, as a person at a terminal uses it: lines go in, and the lines that come out are read by
 * the form that all of them have: `TOPIC #OFFSET SENDER: TEXT`, and `sent #OFFSET`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY } from './binaries.mjs';
import { until } from './until.mjs';

const DIES_WITH_PARENT = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? ['setpriv', '--pdeathsig', 'KILL'] : [];

/** Something that `tests/run --only install` puts below tests/. @param {string} file */
export function installed(file) {
  const found = path.join(REPOSITORY, 'tests', file);
  if (!existsSync(found)) throw new Error(`${found} is not there: tests/run --only install puts it there`);
  return found;
}

export class Talker {
  out = '';
  err = '';
  /** @type {number | string | null | undefined} */
  exit;

  /**
   * @param {import('node:test').TestContext} t it is ended after this test
   * @param {string} name @param {string[]} command @param {Record<string, string | undefined>} [env] added to the environment
   */
  constructor(t, name, command, env = {}) {
    this.name = name;
    const [file, ...args] = [...DIES_WITH_PARENT, ...command];
    // A group of its own: what a shell script has started ends with it.
    this.child = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    this.child.stdout.setEncoding('utf8').on('data', (text) => (this.out += text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.err += text));
    this.child.stdin.on('error', () => {});
    this.exited = new Promise((resolve) => this.child.on('close', (code, signal) => resolve((this.exit = code ?? signal))));
    this.child.on('error', (error) => (this.err += error.message));
    t.after(() => this.kill());
  }

  /** @param {string} text */
  say(text) {
    this.child.stdin.write(`${text}\n`);
  }

  /** Whole lines of its output that match. @param {RegExp} pattern @returns {RegExpMatchArray[]} */
  lines(pattern) {
    return this.out.split('\n').slice(0, -1).map((line) => line.match(pattern)).filter((match) => match !== null);
  }

  /** What it was told by a sender in a topic. @param {string} topic @param {string} sender */
  heard(topic, sender) {
    const messages = this.lines(/^(\S+) #(\d+) (\S+): (.*)$/).filter(([, of, , by]) => of === topic && by === sender);
    return { texts: messages.map(([, , , , text]) => text), offsets: messages.map(([, , offset]) => Number(offset)) };
  }

  /** Where its own messages were stored. */
  get sent() {
    return this.lines(/^sent #(\d+)$/).map(([, offset]) => Number(offset));
  }

  /** @param {string} what @param {() => unknown} condition @param {number} [within_ms] */
  async until(what, condition, within_ms = 30_000) {
    const describe = () => `${this.exit === undefined ? 'running' : `ended with ${this.exit}`}\n${this.out.slice(-1500)}\n${this.err.slice(-3000)}`;
    await until(`${this.name}: ${what}`, condition, { within_ms, describe });
  }

  /** Its input ends, and so does it. */
  async end() {
    this.child.stdin.end();
    await this.until('ends with its input', () => this.exit !== undefined);
    return this.exit;
  }

  kill() {
    if (this.exit !== undefined || this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch {
      // It has ended in this very moment.
    }
  }
}

/**
 * Two talkers write to each other all the time while `trouble` happens and a little longer. Then each has had every text of
 * the other once and in order, and was told of each of its own where it is stored.
 * @param {Talker} one @param {string} a its name @param {Talker} other @param {string} b
 * @param {(more: (lines: number) => Promise<unknown>) => Promise<void>} trouble `more`: until so many more lines were typed
 */
export async function talkThrough(one, a, other, b, trouble, every_ms = 40) {
  let count = 0;
  const talk = setInterval(() => {
    count++;
    one.say(`${a} says ${count}`);
    other.say(`${b} says ${count}`);
  }, every_ms);
  const more = (/** @type {number} */ lines, from = count) => until('some more was typed', () => count >= from + lines, { within_ms: 30_000 });
  try {
    await trouble(more);
    await more(20);
  } finally {
    clearInterval(talk);
  }
  for (const talker of [one, other]) await talker.until(`its ${count} messages are stored`, () => talker.sent.length >= count, 120_000);
  const expected = (/** @type {string} */ name) => Array.from({ length: count }, (_, i) => `${name} says ${i + 1}`);
  await one.until('it heard all', () => one.heard(`u:${a}`, b).texts.length >= count, 60_000);
  await other.until('it heard all', () => other.heard(`u:${b}`, a).texts.length >= count, 60_000);
  return [
    { heard: one.heard(`u:${a}`, b), expected: expected(b), sent: other.sent },
    { heard: other.heard(`u:${b}`, a), expected: expected(a), sent: one.sent },
  ];
}
