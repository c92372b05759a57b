/**
 * The judge of clients while nodes join, drain and are killed. Pure: from what watchers saw in each client, and what the checker of
 * messages counted, the figures and whatever is wrong.
 */
import { shown } from '../harness/shown.mjs';

/** @typedef {import('./watcher.mjs').Sighting} Sighting */
/** @typedef {{ name: string, sightings: Sighting[] }} Watched */
/** @typedef {{ node: string, at_ms: number }} Killing */
/** @typedef {{ sent: number, acknowledged: number, delivered: number, failed: number, gaps: number, lost: number, repeated: number, disordered: number, unexpected: number, altered: number }} Figures */
/** @typedef {{ platform: string, figures: Figures, clients: Watched[], findings: string[] }} Report `findings`: what its checker says in words, and what went wrong otherwise */
/** @typedef {{ joins: number, drains: number, kills: Killing[], seconds: number }} Played */
/** @typedef {{ node: string, code?: number, lost_ms: number, back_ms: number }} Hole a time in which a client had no socket that was welcome */

/** A killed node's kernel closes its connections at once; a busy client hears of it later. */
const AFTERMATH_MS = 10_000;
const CLOCK_MS = 250;
const BROKEN = 1006;
/** A client whose new connection breaks gives up the old one in the same breath. */
const SAME_MS = 100;
const SOCKETS_MAX = 2;
const ACKNOWLEDGED_MIN = 0.9;

/** @param {Report} report @param {Played} played @param {import('./scales.mjs').Scale} scale */
export function judge({ platform, figures, clients, findings }, played, scale) {
  const read = clients.map(readClient);
  const accounts = read.map((one) => account(one, played.kills));
  const killed = accounts.flatMap(({ byKills }) => byKills.map(({ lost_ms, back_ms }) => Math.round(back_ms - lost_ms))).sort((a, b) => a - b);
  const holes = accounts.flatMap(({ otherwise }) => otherwise);
  const flickers = accounts.flatMap(({ flickers }) => flickers);
  const row = {
    platform, clients: clients.length, seconds: Math.round(played.seconds), sent: figures.sent, delivered: figures.delivered,
    joins: played.joins, drains: played.drains, kills: played.kills.length, moves: read.reduce((sum, { moves }) => sum + moves, 0),
    lost: figures.lost, repeated: figures.repeated, disordered: figures.disordered, strange: figures.unexpected + figures.altered,
    killed: killed.length, killed_p50_ms: killed[Math.floor(killed.length / 2)] ?? 0, killed_max_ms: killed.at(-1) ?? 0,
    left: flickers.length, without_ms: Math.round(holes.reduce((sum, { ms }) => sum + ms, 0)), sockets: Math.max(0, ...read.map(({ most }) => most)),
  };
  const wrong = [
    ...findings,
    ...of(row, figures, played, scale),
    ...shown('without a socket, and its node was not killed', holes.map(({ name, node, code, ms }) => `${name} of ${node} for ${ms} ms (${code ?? 'given up'})`)),
    ...shown('left `connected`, and its node was not killed', flickers),
    ...shown(`more than ${SOCKETS_MAX} sockets at a time`, read.filter(({ most }) => most > SOCKETS_MAX).map(({ name, most }) => `${name}: ${most}`)),
    ...shown('not connected at the end', read.filter(({ here }) => !here).map(({ name }) => name)),
  ];
  return { row, wrong };
}

/** @param {any} row @param {Figures} figures @param {Played} played @param {import('./scales.mjs').Scale} scale */
function of(row, figures, { joins, drains, kills, seconds }, scale) {
  const due = Math.round(scale.rate * seconds * scale.share);
  return [
    ...['lost', 'repeated', 'disordered', 'strange'].filter((kind) => row[kind] > 0).map((kind) => `${row[kind]} ${kind}`),
    ...(figures.gaps > 0 ? [`${figures.gaps} gaps`] : []),
    ...(figures.failed > 0 ? [`${figures.failed} sends failed`] : []),
    ...(row.clients < scale.clients ? [`only ${row.clients} clients`] : []),
    ...(figures.sent < due ? [`only ${figures.sent} messages sent, at least ${due} were due`] : []),
    ...(figures.acknowledged < figures.sent * ACKNOWLEDGED_MIN ? [`only ${figures.acknowledged} of ${figures.sent} messages acknowledged`] : []),
    ...(figures.delivered < figures.acknowledged ? [`only ${figures.delivered} deliveries of ${figures.acknowledged} messages`] : []),
    ...(joins < scale.joins || drains < scale.drains || kills.length < scale.kills ? [`only ${joins} joins, ${drains} drains, ${kills.length} kills`] : []),
    // Whoever is drained or killed was chosen so that clients of each kind were there.
    ...(row.moves < drains ? [`only ${row.moves} moves in ${drains} drains`] : []),
    ...(row.killed < kills.length ? [`only ${row.killed} clients were hit by ${kills.length} kills`] : []),
  ];
}

/**
 * What became of a client's connections. A socket counts for its client from the node's welcome to its end, and as one too many from the
 * moment it is made.
 * @param {Watched} watched
 */
export function readClient({ name, sightings }) {
  /** @type {Map<number, string>} those that are welcome, with their nodes */
  const welcome = new Map();
  const opening = new Set();
  /** @type {Hole[]} */
  const holes = [];
  /** @type {{ at_ms: number, state: string, node: string }[]} */
  const left = [];
  let [most, moves, connected] = [0, 0, false];
  /** What ended last, or took the last one with it. */
  let end = { node: '', code: /** @type {number | undefined} */ (undefined), at_ms: -Infinity };
  for (const { kind, at_ms, socket = 0, node: said = '', code, state = '' } of sightings) {
    if (kind === 'opening') opening.add(socket);
    if (kind === 'welcome') {
      const hole = holes.at(-1);
      if (hole?.back_ms === Infinity) hole.back_ms = at_ms;
      opening.delete(socket);
      welcome.set(socket, said);
    }
    if (kind === 'gone') {
      opening.delete(socket);
      const along = code === undefined && end.code === BROKEN && at_ms - end.at_ms < SAME_MS;
      if (welcome.has(socket) && !along) end = { node: welcome.get(socket) ?? '', code, at_ms };
      if (welcome.delete(socket) && welcome.size === 0) holes.push({ node: end.node, code: end.code, lost_ms: at_ms, back_ms: Infinity });
    }
    if (kind === 'moved') moves++;
    if (kind === 'status') {
      if (connected && state !== 'connected') left.push({ at_ms, state, node: [...welcome.values()].at(-1) ?? end.node });
      connected = state === 'connected';
    }
    most = Math.max(most, opening.size + welcome.size);
  }
  return { name, holes, left, most, moves, here: connected && welcome.size > 0 };
}

/** What kills explain, and what they do not. Each explains one hole of a client that was there, and one word of its status. @param {ReturnType<typeof readClient>} client @param {Killing[]} kills */
function account({ name, holes, left }, kills) {
  const explains = () => {
    const used = new Set();
    return (/** @type {string} */ node, /** @type {number} */ at_ms) => {
      const kill = kills.find((kill) => kill.node === node && at_ms >= kill.at_ms - CLOCK_MS && at_ms <= kill.at_ms + AFTERMATH_MS && !used.has(kill));
      used.add(kill);
      return kill !== undefined;
    };
  };
  const [hole, word] = [explains(), explains()];
  const byKills = holes.filter(({ node, code, lost_ms }) => code === BROKEN && hole(node, lost_ms));
  const otherwise = holes.filter((one) => !byKills.includes(one)).map((one) => ({ ...one, name, ms: Math.round((one.back_ms - one.lost_ms) * 10) / 10 }));
  const flickers = left.filter(({ node, at_ms }) => !word(node, at_ms)).map(({ node, state }) => `${name} of ${node}: ${state}`);
  return { byKills, otherwise, flickers };
}
