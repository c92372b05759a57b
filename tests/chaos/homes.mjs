/** Who is not at home: a cluster that forgot somebody at another node serves them all the same, so nothing else would tell. */
import { until } from '../harness/until.mjs';
import { SHOWN } from '../harness/shown.mjs';

/** @typedef {{ name: string, user: string, node: string, avoid: string[] }} Place `avoid`: what the ticket says that its client could not reach */
/** @typedef {{ name: string, node: string, owner: string, excused: boolean }} Stranger at another node than the owner of its user; `excused`: it could not reach that one */

/** Asked to move are two thousand a second; who does not come is asked again after 10 s, and after 20 more. */
const HOME_MS = 35_000;
/** Sessions that may be elsewhere: of one that is on its way nobody can tell. */
const AWAY_MAX = 0.03;
/** Those who could not reach their owner are not sent to it for five minutes. Lookups pass over a node that seems dead, so few try it. */
const EXCUSED_MAX = 0.1;

/**
 * Waits until every session is at the owner of its user, but not for ever. Nobody waits for those who are excused.
 * @param {import('./worlds.mjs').Worlds} worlds @param {{ ownersOf: (user: string) => string[] }} rings @param {{ within_ms?: number }} [options]
 * @returns {Promise<{ away: Stranger[], waited_ms: number }>}
 */
export async function untilHome(worlds, rings, { within_ms = HOME_MS } = {}) {
  const began_ms = Date.now();
  /** @type {Stranger[]} */
  let away = [];
  await until('everybody is at home', async () => {
    away = strangers((await worlds.tell('places')).flat(), rings);
    return away.every(({ excused }) => excused);
  }, { within_ms, every_ms: 200 }).catch((error) => {
    // Late is the judge's to tell; a world that does not answer is not late.
    if (away.length === 0) throw error;
  });
  return { away, waited_ms: Date.now() - began_ms };
}

/** By the newest ring. @param {Place[]} places @param {{ ownersOf: (user: string) => string[] }} rings @returns {Stranger[]} */
export function strangers(places, rings) {
  const all = places.map(({ name, user, node, avoid }) => ({ name, node, avoid, owner: rings.ownersOf(user).at(-1) ?? '' }));
  return all.filter(({ node, owner }) => node !== owner).map(({ name, node, owner, avoid }) => ({ name, node, owner, excused: avoid.includes(owner) }));
}

/** @param {Stranger[]} away @param {number} sessions in all @param {string} when @returns {string[]} what is wrong with so many */
export function tooManyAway(away, sessions, when) {
  const told = (/** @type {Stranger[]} */ some) => some.slice(0, SHOWN).map(({ name, node, owner }) => `${name} at ${node}, not ${owner}`).join('; ');
  const [excused, others] = [away.filter((one) => one.excused), away.filter((one) => !one.excused)];
  return [
    ...(others.length > sessions * AWAY_MAX ? [`${others.length} of ${sessions} sessions were not at their owner ${when}: ${told(others)}`] : []),
    ...(excused.length > sessions * EXCUSED_MAX ? [`${excused.length} of ${sessions} sessions could not reach their owner ${when}: ${told(excused)}`] : []),
  ];
}

/** What a ticket says that its client could not reach. Only a test looks into a ticket. @param {string} [ticket] @returns {string[]} */
export function avoidOf(ticket = '') {
  const claims = ticket.split('.')[1];
  return claims ? JSON.parse(Buffer.from(claims, 'base64url').toString()).avoid ?? [] : [];
}
