/** Loader processes (loader.mjs) and what they cost the servers: the parent's side of a benchmark. */
import { fork } from 'node:child_process';
import path from 'node:path';
import { cpuSeconds } from './procfs.mjs';

const FILE = path.join(import.meta.dirname, 'loader.mjs');

/** One loader process. */
class Loader {
  rounds = 0;
  #last = 0;
  /** @type {Map<number, (result: any) => void>} */
  #waiting = new Map();

  /** @param {string} from the address that its clients connect from @param {() => void} onRound */
  constructor(from, onRound) {
    this.from = from;
    this.child = fork(FILE);
    this.child.on('message', (/** @type {any} */ { id, result, round }) => {
      if (round) {
        this.rounds = round;
        onRound();
      } else {
        this.#waiting.get(id)?.(result);
      }
    });
    this.child.on('exit', (code) => code && process.exit(1));
  }

  /** @param {string} deed @param {object} told @returns {Promise<any>} */
  tell(deed, told) {
    const id = ++this.#last;
    this.child.send({ id, deed, ...told });
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }
}

export class Loaders {
  /** @type {Set<() => void>} */
  #waiters = new Set();

  /** @param {number} count */
  constructor(count) {
    const wake = () => this.#waiters.forEach((waiter) => waiter());
    this.all = Array.from({ length: count }, (_, i) => new Loader(`127.0.0.${2 + i}`, wake));
  }

  /** Connects these users, spread over the loaders. @param {import('../harness/cluster.mjs').Cluster} made @param {string[]} users @param {object} [claims] */
  open(made, users, claims = {}) {
    const share = Math.ceil(users.length / this.all.length);
    const common = { claims, lookup: made.lookups[0].url, secret: made.jwtSecret };
    return Promise.all(this.all.map((loader, i) => loader.tell('open', { ...common, from: loader.from, users: users.slice(i * share, (i + 1) * share) })));
  }

  /** The same for each of them. @param {string} deed @param {object} told */
  tell(deed, told) {
    return Promise.all(this.all.map((loader) => loader.tell(deed, told)));
  }

  /** Returns when every client has had so many messages since the start. @param {number} rounds */
  async round(rounds) {
    await new Promise((resolve) => {
      const look = () => {
        if (this.all.every((loader) => loader.rounds >= rounds)) {
          this.#waiters.delete(look);
          resolve(undefined);
        }
      };
      this.#waiters.add(look);
      look();
    });
  }

  stop() {
    this.all.forEach((loader) => loader.child.disconnect());
  }
}

/**
 * CPU of the processes while `work` is done.
 * @param {Record<string, number[]>} pids by what they are
 * @param {() => Promise<unknown>} work
 */
export async function spent(pids, work) {
  const used = () => Object.values(pids).map((group) => group.reduce((sum, pid) => sum + cpuSeconds(pid), 0));
  const [before, began] = [used(), performance.now()];
  await work();
  const after = used();
  const seconds = (performance.now() - began) / 1000;
  return { seconds, cpu: Object.fromEntries(Object.keys(pids).map((name, i) => [name, after[i] - before[i]])) };
}

/** The pid of a cluster's Redis. @param {import('../harness/cluster.mjs').Cluster} made */
export async function redisPid(made) {
  const told = await made.redis?.command('INFO', 'server');
  return Number(/process_id:(\d+)/.exec(told ?? '')?.[1]);
}

/** @param {string} what @param {Record<string, number>} figures */
export function report(what, figures) {
  const shown = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)}`);
  console.log(`${what}: ${shown.join(', ')}`);
}
