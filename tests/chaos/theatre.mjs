/** A cluster on a site, with its load processes: what scenes are played in. */
import { Cluster } from '../harness/cluster.mjs';
import { Redis } from '../harness/redis.mjs';
import { Worlds } from './worlds.mjs';

const LOOKUPS = 2;
/** By which `match` tells users apart. */
const LOOKUP_FLAGS = ['--ticket-claims', 'class,role'];

export class Theatre {
  worlds = new Worlds();
  /** @type {Cluster | undefined} */
  #cluster;

  /** @param {import('./site.mjs').NamespaceSite | import('./site.mjs').ProxySite} site @param {import('./scales.mjs').Scale} scale @param {number} seed @param {string} [planted] @param {string[]} [lookupFlags] */
  constructor(site, scale, seed, planted, lookupFlags = []) {
    Object.assign(this, { seed, planted });
    this.flags = { lookup: [...LOOKUP_FLAGS, ...lookupFlags] };
    this.site = site;
    this.scale = scale;
  }

  get cluster() {
    return /** @type {Cluster} */ (this.#cluster);
  }

  /** Three nodes, and everybody connected. */
  async open() {
    this.redis = await Redis.start({ keeps: true, host: await this.site.host('redis') });
    const nodes = await Promise.all(['n1', 'n2', 'n3'].map(async (id) => ({ id, host: await this.site.host(id, this.redis), ...this.site.spec(id) })));
    this.#cluster = new Cluster({ nodes, lookups: LOOKUPS, lease_ms: 3_000, flags: this.flags, redis: this.redis });
    await this.#cluster.begin();
    await this.worlds.open(this.#cluster, this.scale, this.seed, this.planted);
  }

  /** In order; logs are searched for secrets. */
  async close() {
    this.worlds.stop();
    await this.#cluster?.stop();
  }

  /** At once. */
  async abandon() {
    this.worlds.stop();
    await this.#cluster?.abandon();
    await this.redis?.stop();
    this.site.stop();
  }
}
