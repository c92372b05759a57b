/** Worlds (world.mjs) and crowds (crowd.mjs), the load processes of a scene: the parent's side. */
import { fork } from 'node:child_process';
import path from 'node:path';

/** Who sits at a node that stands still must not keep the others from sending. */
const BEHIND_S = 20;

/** A process that does what it is told. */
export class Worker {
  #last = 0;
  /** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();

  /** @param {string} kind `world`, `crowd`, or another script @param {string} [folder] where that is */
  constructor(kind, folder = import.meta.dirname) {
    this.child = fork(path.join(folder, `${kind}.mjs`));
    this.child.on('message', (/** @type {any} */ { id, result, error }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new Error(error));
      else waiting?.resolve(result);
    });
    this.child.on('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`a ${kind} ended with ${code}`));
    });
  }

  /** @param {string} deed @param {object} [told] @returns {Promise<any>} */
  tell(deed, told = {}) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.child.send({ id, deed, ...told });
    });
  }

  stop() {
    if (this.child.connected) this.child.disconnect();
  }
}

/** The load processes of a cluster. */
export class Worlds {
  /** @type {Worker[]} */
  #all = [];

  /**
   * Connects `scale.sessions` clients, spread over the processes.
   * @param {import('../harness/cluster.mjs').Cluster} cluster @param {import('./scales.mjs').Scale} scale @param {number} seed @param {string} [planted]
   */
  async open(cluster, scale, seed, planted) {
    this.#all = Array.from({ length: scale.worlds }, () => new Worker('world'));
    const each = Math.round(scale.sessions / scale.worlds);
    const doubles = Math.round(each / 20);
    const groups = Math.max(4, Math.round(each / scale.groupSize));
    const common = { lookups: cluster.lookups.map(({ url }) => url), jwtSecret: cluster.jwtSecret, npmShare: scale.npmShare, planted };
    const counts = await Promise.all(this.#all.map((world, i) => world.tell('open', {
      ...common,
      seed: seed + i,
      plan: { prefix: `w${i}-`, users: each - doubles, doubles, groups, groupsEach: 2, classes: Math.ceil(each / 10), perSecond: scale.rate / scale.worlds, behind_s: BEHIND_S, mix: scale.mix },
    })));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** The same for each of them. @param {string} deed @param {object} [told] @returns {Promise<any[]>} */
  tell(deed, told) {
    return Promise.all(this.#all.map((world) => world.tell(deed, told)));
  }

  stop() {
    for (const world of this.#all) world.stop();
  }
}
