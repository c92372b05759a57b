/** What shows from outside that a fault is at work: a scene in which nothing was cut must not pass for one in which nobody noticed. */
import { metric } from '../harness/metrics.mjs';

/** @typedef {import('../harness/cluster.mjs').Cluster} Cluster */
/** @typedef {{ what: string, seen: () => Promise<boolean> }} Sign `what`: a sentence */

/** Two nodes dial each other: two links. A cut of one direction ends both, since one end hears nothing on either. @param {Cluster} cluster @param {string} one @param {string} other @returns {Sign} */
export function linksLost(cluster, one, other) {
  return {
    what: `${one} and ${other} lost their links`,
    async seen() {
      const all = linksOf(cluster);
      const open = await figures([cluster.node(one), cluster.node(other)], 'ringdial_peer_links_open');
      return open.some((links) => links <= all - 2);
    },
  };
}

/** Of a node: two with each other node, one with each lookup service. @param {Cluster} cluster */
export const linksOf = (cluster) => 2 * (cluster.idsOf().length - 1) + cluster.lookups.length;

/** @param {Cluster} cluster @param {string[]} [ids] of nodes; without, all of them and all lookup services @returns {Sign} */
export function storeLost(cluster, ids) {
  const parts = ids ? ids.map((id) => cluster.node(id)) : [...cluster.idsOf().map((id) => cluster.node(id)), ...cluster.lookups];
  return {
    what: `${ids ? ids.join(' and ') : 'everybody'} lost Redis`,
    seen: async () => (await figures(parts, 'ringdial_store_reachable')).every((reachable) => reachable === 0),
  };
}

/** The store has been emptied, and somebody noticed. @param {Cluster} cluster @returns {Promise<Sign>} */
export async function ringPutBack(cluster) {
  const parts = [...cluster.idsOf().map((id) => cluster.node(id)), ...cluster.lookups];
  const sum = async () => (await figures(parts, 'ringdial_ring_putbacks_total')).reduce((sum, one) => sum + one, 0);
  const before = await sum();
  return { what: 'somebody put the ring back', seen: async () => (await sum()) > before };
}

/** @param {Cluster} cluster @param {string} id @returns {Sign} */
export function takenOut(cluster, id) {
  return {
    what: `the ring lost ${id}`,
    async seen() {
      const rings = await Promise.all(cluster.lookups.map((_, by) => cluster.ring(undefined, by)));
      return rings.every(({ nodes }) => !nodes.some((node) => node.id === id && node.slots > 0));
    },
  };
}

/** @param {{ admin: string }[]} parts @param {string} name */
const figures = (parts, name) => Promise.all(parts.map((part) => metric(part, name, {})));
