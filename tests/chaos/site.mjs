/**
 * Where the processes of a scene stand, and the wires between them. With network namespaces each node and Redis has a host
 * of its own on a bridge, and packets from one host to another can be dropped, in one direction or both. Where namespaces
 * are not permitted everything is on loopback, behind TCP proxies that know who dials: what one says to another is held back there. Coarser (a
 * connection can still be made), and it says so.
 */
import { spawn, spawnSync } from 'node:child_process';
import { freePort } from '../harness/ports.mjs';
import { Wire } from '../harness/wire.mjs';

/** @typedef {import('../harness/cluster.mjs').Host} Host */

const NETWORK = '10.213.7';
/** Nobody has it: what is sent there is lost without a word. */
const NOWHERE = '02:00:00:00:00:99';
const INSIDE = 'CHAOS_NAMESPACE';

/** Whether this process may make namespaces, and bridges and wires in them. */
export function namespacesWork() {
  return process.platform === 'linux' && spawnSync('unshare', ['-n', 'sh', '-c', 'ip link add br0 type bridge && ip link add v1 type veth peer name v2']).status === 0;
}

/** Whether this process is in a network namespace of its own. */
export const isInside = () => process.env[INSIDE] !== undefined;

/** Runs this program once more in a network namespace of its own, which ends with it. @returns {Promise<number>} its exit code */
export function runInside() {
  const [node, ...args] = process.argv;
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '-n', node, ...process.execArgv, ...args], { stdio: 'inherit', env: { ...process.env, [INSIDE]: '1' } });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}

/** Hosts in namespaces, on a bridge. Used inside (runInside) only. */
export class NamespaceSite {
  how = 'each process in a network namespace of its own';
  /** @type {Map<string, Host & { pid: number }>} */
  #hosts = new Map();
  /** @type {import('node:child_process').ChildProcess[]} */
  #keepers = [];

  async begin() {
    ip('link', 'set', 'lo', 'up');
    spawnSync('ip', ['link', 'add', 'br0', 'type', 'bridge']);
    spawnSync('ip', ['addr', 'add', `${NETWORK}.1/24`, 'dev', 'br0']);
    ip('link', 'set', 'br0', 'up');
    return this;
  }

  /** @param {string} name @returns {Promise<Host>} */
  async host(name) {
    const known = this.#hosts.get(name);
    if (known) return known;
    const keeper = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '-n', 'sh', '-c', 'echo; exec sleep infinity'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => keeper.stdout.once('data', resolve));
    this.#keepers.push(keeper);
    const pid = keeper.pid ?? 0;
    const host = { address: `${NETWORK}.${10 + this.#hosts.size}`, command: ['nsenter', '-t', String(pid), '-n'], pid };
    this.#hosts.set(name, host);
    const wire = wireTo(pid);
    ip('link', 'add', wire, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid));
    ip('link', 'set', wire, 'master', 'br0', 'up');
    const there = (/** @type {string[]} */ ...args) => check('nsenter', [...host.command.slice(1), 'ip', ...args]);
    there('link', 'set', 'lo', 'up');
    there('addr', 'add', `${host.address}/24`, 'dev', 'eth0');
    there('link', 'set', 'eth0', 'up');
    return host;
  }

  /** @returns {Partial<import('../harness/cluster.mjs').NodeSpec>} */
  spec() {
    return {};
  }

  /** Nothing from one to the other arrives any more. @param {string} from @param {string} to */
  drop(from, to) {
    this.#neighbour(from, ['replace', this.#host(to).address, 'lladdr', NOWHERE, 'dev', 'eth0', 'nud', 'permanent']);
  }

  /** @param {string} from @param {string} to */
  mend(from, to) {
    this.#neighbour(from, ['del', this.#host(to).address, 'dev', 'eth0']);
  }

  /** The wires first: a namespace ends some time after its last process, and the next site's hosts have the same addresses. */
  stop() {
    for (const { pid } of this.#hosts.values()) ip('link', 'del', wireTo(pid));
    for (const keeper of this.#keepers) keeper.kill('SIGKILL');
    this.#hosts.clear();
  }

  /** @param {string} name @param {string[]} args */
  #neighbour(name, args) {
    check('nsenter', [...this.#host(name).command.slice(1), 'ip', 'neigh', ...args]);
  }

  /** @param {string} name */
  #host(name) {
    const host = this.#hosts.get(name);
    if (!host) throw new Error(`no host ${name}`);
    return host;
  }
}

/** All on loopback: a wire before each node's peer listener, and one before Redis for each node. */
export class ProxySite {
  how = 'namespaces are not permitted here: TCP proxies hold back what one says to another, though it can still connect';
  /** @type {Map<string, { host: Host, toRedis: Wire, toPeers: Wire, peerListen: string }>} */
  #hosts = new Map();
  /** @type {Set<string>} who does not reach whom */
  #dropped = new Set();

  async begin() {
    return this;
  }

  /** @param {string} name @param {import('../harness/redis.mjs').Redis} [redis] that a node on this host is to reach @returns {Promise<Host>} */
  async host(name, redis) {
    if (!redis) return { address: '127.0.0.1', command: [] };
    const known = this.#hosts.get(name);
    if (known) return known.host;
    const peerPort = await freePort();
    const [toRedis, toPeers] = [await Wire.to(redis.port), await Wire.to(peerPort, { names: true })];
    const host = { address: '127.0.0.1', command: [], redis: redis.url.replace(/127\.0\.0\.1:\d+/, toRedis.address) };
    this.#hosts.set(name, { host, toRedis, toPeers, peerListen: `127.0.0.1:${peerPort}` });
    return host;
  }

  /** What a node on this host must be told besides. @param {string} name @returns {Partial<import('../harness/cluster.mjs').NodeSpec>} */
  spec(name) {
    const host = this.#hosts.get(name);
    return host ? { peerListen: host.peerListen, flags: ['--peer-address', host.toPeers.address] } : {};
  }

  /** Nothing from one to the other arrives any more. @param {string} from @param {string} to */
  drop(from, to) {
    this.#dropped.add(`${from} ${to}`);
    this.#settle();
  }

  /** @param {string} from @param {string} to */
  mend(from, to) {
    this.#dropped.delete(`${from} ${to}`);
    this.#settle();
  }

  stop() {
    for (const { toRedis, toPeers } of this.#hosts.values()) toRedis.stop(), toPeers.stop();
  }

  /** A connection goes both ways, whoever dialled: each wire holds back what one says, or hears, or both. */
  #settle() {
    for (const [name, { toRedis, toPeers }] of this.#hosts) {
      toRedis.mend();
      toPeers.mend();
      const redis = this.#waysOf(name, 'redis');
      if (redis.length > 0) toRedis.hold('*', redis);
      for (const dialler of this.#hosts.keys()) {
        const ways = this.#waysOf(dialler, name);
        if (ways.length > 0) toPeers.hold(dialler, ways);
      }
    }
  }

  /** @param {string} dialler @param {string} dialled @returns {import('../harness/wire.mjs').Way[]} */
  #waysOf(dialler, dialled) {
    return [...(this.#dropped.has(`${dialler} ${dialled}`) ? [/** @type {const} */ ('up')] : []), ...(this.#dropped.has(`${dialled} ${dialler}`) ? [/** @type {const} */ ('down')] : [])];
  }
}

/** The bridge's end of a host's wire; without it the host's end is gone as well. @param {number} pid */
const wireTo = (pid) => `v${pid}`;

/** @param {string[]} args */
const ip = (...args) => check('ip', args);

/** @param {string} command @param {string[]} args */
function check(command, args) {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}
