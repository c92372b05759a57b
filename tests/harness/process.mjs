/**
 * One process under test: its ready lines, its logs, its end. A process never outlives the test file that started it,
 * even if that file crashes or is killed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { until, within } from './until.mjs';

/** Dies with its parent, also on the parent's SIGKILL (Linux, util-linux). Elsewhere only the exit handler below helps. */
const DIES_WITH_PARENT = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0 ? ['setpriv', '--pdeathsig', 'KILL'] : [];

/** @type {Set<Process>} every process that this test file has started and whose logs have not been reported */
const started = new Set();

process.on('exit', () => {
  for (const child of started) child.killNow();
});

/**
 * @typedef {object} ReadyLine
 * @property {string} event
 * @property {string} role the program
 * @property {string} [node]
 * @property {string} [url]
 * @property {string} [peer]
 * @property {string} [admin]
 * @property {{ node: string, url: string, peer: string }[]} [nodes] those of the embedded default
 */

export class Process {
  /**
   * @param {string} name how it is called in logs and errors
   * @param {string} file
   * @param {string[]} args
   * @param {Record<string, string>} [env] added to the environment, from which every RINGDIAL_* of the caller is removed
   */
  constructor(name, file, args, env = {}) {
    this.name = name;
    this.commandLine = [file, ...args].join(' ');
    /** @type {string} */
    this.stdout = '';
    /** @type {string} */
    this.stderr = '';
    /** @type {ReadyLine[]} */
    this.ready = [];
    /** @type {{ code: number | null, signal: string | null } | undefined} */
    this.exit = undefined;
    const [command, ...rest] = [...DIES_WITH_PARENT, file, ...args];
    this.child = spawn(command, rest, { env: { ...cleanEnvironment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout.setEncoding('utf8').on('data', (text) => this.#onStdout(text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.stderr += `cannot start ${file}: ${error.message}\n`;
        resolve((this.exit = { code: null, signal: null }));
      });
      // 'close' and not 'exit': by then all of its output has been read.
      this.child.on('close', (code, signal) => resolve((this.exit = { code, signal })));
    });
    started.add(this);
  }

  get pid() {
    return this.child.pid;
  }

  get running() {
    return this.exit === undefined;
  }

  /**
   * The first ready line that `wanted` accepts.
   * @param {(line: ReadyLine) => boolean} wanted
   */
  async readyLine(wanted = () => true, within_ms = 15_000) {
    await until(`the ready line of ${this.name}`, () => !this.running || this.ready.some(wanted), { within_ms });
    const line = this.ready.find(wanted);
    if (!line) throw new Error(`${this.name} ended before it was ready: ${JSON.stringify(this.exit)}\n${this.tail()}`);
    return line;
  }

  /** @param {NodeJS.Signals} signal */
  signal(signal) {
    if (this.running && this.pid !== undefined) process.kill(this.pid, signal);
  }

  /**
   * Sends `signal` and waits for the end; past the deadline it is killed and an error thrown.
   * @param {NodeJS.Signals} signal
   */
  async stop(signal = 'SIGTERM', within_ms = 10_000) {
    this.signal(signal);
    try {
      return await within(`${this.name} (pid ${this.pid}) ends after ${signal}`, this.exited, within_ms);
    } finally {
      this.killNow();
    }
  }

  killNow() {
    if (this.running && this.pid !== undefined) {
      try {
        process.kill(this.pid, 'SIGKILL');
      } catch {
        // It has ended in this very moment.
      }
    }
  }

  /** The last lines of its log. */
  tail(lines = 60) {
    return this.stderr.split('\n').slice(-lines - 1).join('\n');
  }

  /** @param {string} text */
  #onStdout(text) {
    const whole = this.stdout.slice(this.stdout.lastIndexOf('\n') + 1) + text;
    this.stdout += text;
    for (const line of whole.split('\n').slice(0, -1)) {
      const value = line.startsWith('{') ? parse(line) : undefined;
      if (value?.event === 'listening') this.ready.push(value);
    }
  }
}

/** From here on the logs of processes that have ended are of no interest. */
export function forgetEnded() {
  for (const child of started) if (!child.running) started.delete(child);
}

/** The logs of every process of this test file, for a failure's report; each is reported once. */
export function takeLogs() {
  const reports = [...started].map((child) => {
    const state = child.running ? 'running' : `ended ${JSON.stringify(child.exit)}`;
    return `--- ${child.name} (pid ${child.pid}, ${state}): ${child.commandLine}\n${child.tail()}`;
  });
  forgetEnded();
  return reports.join('\n');
}

/** The caller's environment without anything that would configure a process under test. */
function cleanEnvironment() {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('RINGDIAL_') && name !== 'RUST_LOG');
  return /** @type {Record<string, string>} */ (Object.fromEntries(entries));
}

/** @param {string} line @returns {any} */
function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
