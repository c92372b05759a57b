/** Findings in words, as judges tell them: how many, and the first of them. Pure. */

/** Of one kind. */
export const SHOWN = 5;

/** Nothing where there is none. @param {string} what @param {string[]} all @returns {string[]} */
export function shown(what, all) {
  return all.length === 0 ? [] : [`${all.length} ${what}: ${all.slice(0, SHOWN).join('; ')}`];
}
