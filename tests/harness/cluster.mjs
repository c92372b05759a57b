/**
 * A whole Ringdial cluster of real processes: lookup services and nodes on a private Redis, or the embedded default.
 */
import { randomBytes } from 'node:crypto';
import { binary } from './binaries.mjs';
import { ProblemError, request } from './http.mjs';
import { makeJwt } from './jwt.mjs';
import { freePort } from './ports.mjs';
import { Process } from './process.mjs';
import { TcpProxy } from './proxy.mjs';
import { Redis } from './redis.mjs';
import { RingDocument } from './ring.mjs';
import { assertNoSecretsIn, registerSecret, registerToken } from './secrets.mjs';
import { Session } from './session.mjs';
import { metric } from './metrics.mjs';
import { until } from './until.mjs';

/** @typedef {import('./session.mjs').Grant} Grant */
/** @typedef {{ id: string, service?: string, weight?: number, flags?: string[], listen?: string, peerListen?: string, proxied?: boolean, host?: Host }} NodeSpec proxied: its peers reach it through a proxy */
/** @typedef {{ address: string, command: string[], redis?: string }} Host where a node runs: its address, the command that runs others there, and how it reaches Redis if not by the cluster's own url */
/** @typedef {{ id: string, service: string, url: string, peer: string, admin: string, process: Process, proxy?: TcpProxy }} Node */
/** @typedef {{ url: string, admin: string, process: Process }} Lookup */
/**
 * @typedef {object} ClusterOptions
 * @property {number | NodeSpec[]} [nodes] how many (n1, n2, ...), or each one
 * @property {number} [lookups]
 * @property {'redis' | 'embedded'} [store]
 * @property {string[]} [services]
 * @property {{ node?: string[], lookup?: string[] }} [flags] for every node, for every lookup service; the embedded default gets both
 * @property {number} [lease_ms] a first ring is made after two leases without one; 3000 is the programs' own default
 * @property {string} [log_level]
 * @property {boolean} [inOrder] nodes start one after the other, so that the order of joining is known
 * @property {Redis} [redis] somebody else's, which this cluster does not stop
 * @property {{ cert: string, key: string, ca: string }} [tls] files, and the CA's certificate as PEM
 */
/** @typedef {{ service?: string, avoid?: string[], by?: number, token?: string, claims?: Record<string, unknown> }} LookupOptions */

const STOP_MS = 40_000;
/** @type {Host} */
const HERE = { address: '127.0.0.1', command: [] };

/** Starts a cluster and waits until every lookup service sees every node. @param {ClusterOptions} [options] */
export async function cluster(options = {}) {
  const made = new Cluster(options);
  try {
    await made.begin();
    return made;
  } catch (error) {
    await made.abandon();
    throw error;
  }
}

export class Cluster {
  /** @type {Node[]} */
  nodes = [];
  /** @type {Lookup[]} */
  lookups = [];
  /** @type {Session[]} every session ever opened through this cluster */
  sessions = [];
  /** @type {Process[]} every process ever started, for the search of the logs */
  #processes = [];
  #stopping = false;
  /** @type {TcpProxy[]} */
  #proxies = [];

  /** @param {ClusterOptions} options */
  constructor(options) {
    this.options = { nodes: 3, lookups: 1, store: 'redis', services: ['default'], flags: {}, lease_ms: 1500, log_level: 'info', ...options };
    this.secret = registerSecret('the cluster secret', randomBytes(24).toString('hex'));
    this.jwtSecret = registerSecret("the application's secret", randomBytes(24).toString('hex'));
    this.ca = options.tls?.ca;
    this.redis = options.redis;
  }

  async begin() {
    const { nodes, lookups, store, services, inOrder } = this.options;
    const specs = typeof nodes === 'number' ? Array.from({ length: nodes }, (_, i) => ({ id: `n${i + 1}` })) : nodes;
    if (store === 'embedded') {
      await this.#startEmbedded(specs.length);
    } else {
      this.redis ??= await Redis.start();
      const looking = Array.from({ length: lookups }, () => this.startLookup());
      if (inOrder) for (const spec of specs) await this.startNode(spec);
      else await Promise.all(specs.map((spec) => this.startNode(spec)));
      await Promise.all(looking);
    }
    for (const service of services) if (this.idsOf(service).length > 0) await this.untilAgreed(service);
    if (store !== 'embedded') for (const service of services) await this.#untilLinked(service);
  }

  /** Waits until each node has its links to and from the others: whose home is out of reach is told that the topic is pending. @param {string} service */
  async #untilLinked(service) {
    const nodes = this.nodes.filter((node) => node.service === service);
    for (const node of nodes)
      await until(`node ${node.id} has its links`, async () => (await metric(node, 'ringdial_peer_links_open', {})) >= 2 * (nodes.length - 1), { within_ms: 20_000 });
  }

  /** Waits until lookup services and nodes go by the same ring: until then a node may think that it is a home and is none. */
  async untilAgreed(service = this.options.services[0]) {
    const ids = this.idsOf(service);
    await this.untilSeen(ids, service);
    if (this.lookups.length === 0) return;
    const { version } = await this.ring(service);
    for (const node of ids.map((id) => this.node(id, service)))
      await until(`node ${node.id} goes by the ring`, async () => (await metric(node, 'ringdial_node_ring_version')) >= version, { within_ms: 20_000 });
  }

  /** @param {string} [service] the ids of the nodes that run */
  idsOf(service = this.options.services[0]) {
    return this.nodes.filter((node) => node.service === service && node.process.running).map((node) => node.id);
  }

  /** @param {string} id @param {string} [service] */
  node(id, service = this.options.services[0]) {
    const node = this.nodes.findLast((node) => node.id === id && node.service === service);
    if (!node) throw new Error(`no node ${id} of ${service}`);
    return node;
  }

  /** @param {NodeSpec} spec @returns {Promise<Node>} when it is ready */
  async startNode({ id, service = this.options.services[0], weight, flags = [], host = HERE, listen = `${host.address}:0`, peerListen, proxied = false }) {
    const peerPort = proxied ? await freePort() : 0;
    const proxy = proxied ? await TcpProxy.to(peerPort) : undefined;
    if (proxy) this.#proxies.push(proxy);
    const own = ['--node-id', id, '--service', service, '--listen', listen, '--peer-listen', peerListen ?? `${host.address}:${peerPort}`, ...(proxy ? ['--peer-address', proxy.address] : [])];
    const weighed = weight === undefined ? [] : ['--weight', String(weight)];
    const args = [...own, ...weighed, ...(this.options.flags.node ?? []), ...flags];
    const process = this.#start('ws-node', `ws-node ${service}/${id}`, args, host);
    const line = await process.readyLine();
    const node = { id, service, url: line.url ?? '', peer: line.peer ?? '', admin: line.admin ?? '', process, proxy };
    this.nodes.push(node);
    return node;
  }

  /** @param {string[]} [flags] @returns {Promise<Lookup>} when it is ready */
  async startLookup(flags = []) {
    const own = ['--listen', '127.0.0.1:0', '--services', this.options.services.join(',')];
    const name = `lookup-service ${this.#processes.length}`;
    const process = this.#start('lookup-service', name, [...own, ...(this.options.flags.lookup ?? []), ...flags]);
    const line = await process.readyLine();
    const lookup = { url: line.url ?? '', admin: line.admin ?? '', process };
    this.lookups.push(lookup);
    return lookup;
  }

  /** The environment in which every process of this cluster runs. @returns {Record<string, string>} */
  get environment() {
    return { RINGDIAL_SECRET: this.secret, RINGDIAL_REDIS: this.redis?.url ?? '', RINGDIAL_LEASE_MS: String(this.options.lease_ms), RINGDIAL_LOG_LEVEL: this.options.log_level };
  }

  /** Waits until every lookup service answers with exactly these nodes. @param {string[]} ids */
  async untilSeen(ids, service = this.options.services[0], within_ms = 20_000) {
    const wanted = [...ids].sort().join();
    for (const by of this.lookups.keys()) {
      const seen = async () => (await this.ring(service, by)).nodes.map((node) => node.id).sort().join();
      await until(`lookup service ${by} sees ${wanted || 'no nodes'} of ${service}`, async () => {
        const ids = await seen();
        if (ids !== wanted) throw new Error(`sees ${ids}`);
        return true;
      }, { within_ms });
    }
  }

  /** The application's token for a user. @param {string} user @param {Record<string, unknown>} [claims] */
  token(user, claims = {}) {
    return makeJwt({ sub: user, ...claims }, this.jwtSecret);
  }

  /** The whole answer to a lookup, whatever it is. @param {string} user @param {LookupOptions} [options] */
  askLookup(user, { service = this.options.services[0], avoid = [], by = 0, token, claims } = {}) {
    const query = new URLSearchParams({ id: user, service });
    for (const id of avoid) query.append('avoid', id);
    const headers = { authorization: `Bearer ${registerToken(token ?? this.token(user, claims))}` };
    return request(`${this.lookups[by].url}/lookup?${query}`, { headers, ca: this.ca });
  }

  /** Step 1. @param {string} user @param {LookupOptions} [options] @returns {Promise<Grant>} */
  async lookup(user, options) {
    const answer = await this.askLookup(user, options);
    if (answer.status !== 200) throw new ProblemError(`lookup of ${user}`, answer);
    registerToken(answer.json.ticket);
    return answer.json;
  }

  /** Steps 1 and 2. @param {string} user @param {LookupOptions & import('./session.mjs').OpenOptions} [options] */
  async connect(user, options = {}) {
    return this.open(await this.lookup(user, options), options);
  }

  /** Step 2 alone. @param {Grant} grant @param {import('./session.mjs').OpenOptions} [options] */
  async open(grant, options = {}) {
    if (this.#stopping) throw new Error('the cluster is being stopped');
    const session = new Session(grant, { ca: this.ca, ...options });
    this.sessions.push(session);
    await session.until('welcome', () => session.welcome);
    return session;
  }

  /** The published ring, as one lookup service tells it. @param {string} [service] */
  async ring(service = this.options.services[0], by = 0) {
    const answer = await request(`${this.lookups[by].url}/ring?service=${service}`, { ca: this.ca });
    if (answer.status !== 200) throw new ProblemError(`ring of ${service}`, answer);
    return new RingDocument(answer.json);
  }

  /** SIGKILL, and waits for the end. @param {Node | Lookup} part */
  async kill(part) {
    await part.process.stop('SIGKILL');
  }

  /** Ends everything, in order, and searches the logs of every process for secrets. */
  async stop() {
    // Clients that go on trying would keep the nodes from ending: these wait until everybody has gone.
    this.#stopping = true;
    try {
      await Promise.all(this.sessions.filter((session) => !session.closed).map((session) => session.close()));
      await Promise.all(this.#processes.map((process) => process.stop('SIGTERM', STOP_MS)));
    } finally {
      await this.abandon();
    }
    assertNoSecretsIn(this.#processes);
  }

  /** Ends everything at once. */
  async abandon() {
    for (const session of this.sessions) session.socket.terminate();
    for (const process of this.#processes) process.killNow();
    await Promise.all(this.#processes.map((process) => process.exited));
    for (const proxy of this.#proxies) proxy.stop();
    if (this.redis && !this.options.redis) await this.redis.stop();
  }

  /** @param {number} count of nodes */
  async #startEmbedded(count) {
    const process = this.#start('ringdial', 'ringdial', ['--listen', '127.0.0.1:0', '--nodes', String(count), ...(this.options.flags.node ?? []), ...(this.options.flags.lookup ?? [])]);
    const { url = '', admin = '', nodes = [] } = await process.readyLine();
    this.lookups.push({ url, admin, process });
    for (const { node, url, peer } of nodes) this.nodes.push({ id: node, service: 'default', url, peer, admin, process });
  }

  /** @param {'ws-node' | 'lookup-service' | 'ringdial'} program @param {string} name @param {string[]} args @param {Host} [host] */
  #start(program, name, args, { address, command, redis } = HERE) {
    const { tls, store } = this.options;
    const secured = tls ? ['--tls-cert', tls.cert, '--tls-key', tls.key] : [];
    const jwt = program === 'ws-node' ? {} : { RINGDIAL_JWT_SECRET: this.jwtSecret };
    const environment = store === 'embedded' ? { RINGDIAL_SECRET: this.secret } : { ...this.environment, ...(redis ? { RINGDIAL_REDIS: redis } : {}) };
    const [file, ...rest] = [...command, binary(program), ...args, '--admin-listen', `${address}:0`, ...secured];
    const process = new Process(name, file, rest, { ...environment, ...jwt });
    this.#processes.push(process);
    return process;
  }
}
