/**
 * A private, real redis-server on a free port, with a password. Without persistence, unless asked for: what comes back
 * after a stop is then empty, which is the worst case; or it is an older copy, which is nearly as bad.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { registerSecret } from './secrets.mjs';
import { until } from './until.mjs';

const run = promisify(execFile);
const START_TRIES = 5;

/** @type {Set<string>} */
const directories = new Set();
process.on('exit', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** @typedef {{ keeps?: boolean, host?: import('./cluster.mjs').Host }} RedisOptions `keeps`: every write is with the kernel before it is answered, and so outlives the process; `host`: where it runs */

export class Redis {
  /** @type {Process} */
  #process;

  /**
   * Starts a server; a port that somebody else took in the meantime is not used again.
   * @param {RedisOptions} [options] @returns {Promise<Redis>}
   */
  static async start(options) {
    for (let i = 1; ; i++) {
      const redis = new Redis(await freePort(), options);
      try {
        await redis.begin();
        return redis;
      } catch (error) {
        redis.#process.killNow();
        if (i === START_TRIES) throw error;
      }
    }
  }

  /** @param {number} port @param {RedisOptions} [options] */
  constructor(port, { keeps = false, host = { address: '127.0.0.1', command: [] } } = {}) {
    this.host = host;
    this.port = port;
    this.keeps = keeps;
    this.password = registerSecret('the Redis password', randomBytes(12).toString('hex'));
    this.directory = mkdtempSync(path.join(tmpdir(), 'ringdial-redis-'));
    directories.add(this.directory);
  }

  get url() {
    return `redis://:${this.password}@${this.host.address}:${this.port}`;
  }

  /** Starts it (again), on the same port, with what it kept: nothing, as a rule. @param {{ from?: string }} [options] `from`: a copy to start with */
  async begin({ from } = {}) {
    const dump = path.join(this.directory, 'dump.rdb');
    if (from) copyFileSync(from, dump);
    const kept = this.keeps ? { appendonly: 'yes', appendfsync: 'no' } : { appendonly: 'no' };
    const settings = { port: this.port, bind: this.host.address, requirepass: this.password, dir: this.directory, save: '', ...kept, loglevel: 'warning' };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const [file, ...rest] = [...this.host.command, 'redis-server', ...args];
    this.#process = new Process(`redis-server :${this.port}`, file, rest);
    await until(`redis-server answers on port ${this.port}`, async () => {
      if (!this.#process.running) throw new Error(`redis-server ended: ${this.#process.stdout}`);
      return (await this.command('PING')) === 'PONG';
    });
    rmSync(dump, { force: true });
  }

  /** A copy of all that it holds now, to begin with later. @returns {Promise<string>} its file */
  async copy() {
    await this.command('SAVE');
    const file = path.join(this.directory, 'copy.rdb');
    renameSync(path.join(this.directory, 'dump.rdb'), file);
    return file;
  }

  /** @param {NodeJS.Signals} signal SIGKILL: no farewell to anybody; SIGTERM: an orderly shutdown */
  async end(signal = 'SIGKILL') {
    await this.#process.stop(signal);
  }

  /** SIGSTOP: connections stay open and nothing is answered. */
  pause() {
    this.#process.signal('SIGSTOP');
  }

  resume() {
    this.#process.signal('SIGCONT');
  }

  /**
   * One command by redis-cli. @param {...string} args @returns {Promise<string>} its raw answer, trimmed
   */
  async command(...args) {
    const options = { env: { ...process.env, REDISCLI_AUTH: this.password }, timeout: 5_000 };
    const { stdout } = await run('redis-cli', ['-h', this.host.address, '-p', String(this.port), ...args], options);
    return stdout.trim();
  }

  async stop() {
    this.resume();
    await this.end('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
    directories.delete(this.directory);
  }
}
