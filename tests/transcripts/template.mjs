/** What is said in a transcript, with `<placeholders>` for what varies: filled in for what is sent, compared for what is heard. */

/** A placeholder: no spaces at its ends, so that `a < b` is none. */
const PLACEHOLDER = /<([a-z0-9](?:[^<>\n]*[^<>\s])?)>/gi;

/** The text of a value that is only a placeholder. @param {unknown} template @returns {string | undefined} */
const whole = (template) => (typeof template === 'string' ? /^<([^<>]+)>$/.exec(template)?.[1] : undefined);

/** What a value varies in. @param {any} template @returns {string[]} */
export function placeholders(template) {
  if (typeof template === 'string') return [...template.matchAll(PLACEHOLDER)].map(([, name]) => name);
  if (typeof template !== 'object' || template === null) return [];
  return Object.entries(template).flatMap(([key, inner]) => [...placeholders(key), ...placeholders(inner)]);
}

/** The value with every placeholder filled in. @param {any} template @param {Map<string, unknown>} values @returns {any} */
export function filled(template, values) {
  const valueOf = (/** @type {string} */ name) => {
    if (!values.has(name)) throw new Error(`nothing is known as <${name}>`);
    return values.get(name);
  };
  const only = whole(template);
  if (only) return valueOf(only);
  if (typeof template === 'string') return template.replace(PLACEHOLDER, (_, name) => String(valueOf(name)));
  if (Array.isArray(template)) return template.map((one) => filled(one, values));
  if (typeof template !== 'object' || template === null) return template;
  return Object.fromEntries(Object.entries(template).map(([key, inner]) => [filled(key, values), filled(inner, values)]));
}

/**
 * Compares what was heard. A placeholder that is known already must have its value again; others get the one that is heard,
 * which must be of the type of the example.
 * @param {any} template @param {any} heard @param {{ known: Map<string, unknown>, examples: Map<string, unknown>, differs: Set<string> }} world `differs`: names that stand for another value each time
 * @returns {string | undefined} what is wrong; if nothing is, `known` has what was learnt
 */
export function mismatch(template, heard, { known, examples, differs }) {
  const learnt = new Map(known);
  const learn = (/** @type {string} */ name, /** @type {unknown} */ value, /** @type {string} */ place) => {
    if (differs.has(name)) return typeof value === typeof examples.get(name) ? undefined : `${place}: ${show(value)} is not like <${name}>`;
    if (learnt.has(name)) return same(learnt.get(name), value) ? undefined : `${place}: ${show(value)} where <${name}> is ${show(learnt.get(name))}`;
    if (!examples.has(name)) return `${place}: nothing is known as <${name}>`;
    if (typeof value !== typeof examples.get(name)) return `${place}: ${show(value)} is not like <${name}>, ${show(examples.get(name))}`;
    learnt.set(name, value);
    return undefined;
  };
  const compare = (/** @type {any} */ told, /** @type {any} */ value, /** @type {string} */ place) => {
    const only = whole(told);
    if (only) return learn(only, value, place);
    if (typeof told === 'string' && placeholders(told).length > 0) return compareText(told, value, place);
    if (typeof told !== 'object' || told === null || typeof value !== 'object' || value === null) return Object.is(told, value) ? undefined : `${place}: ${show(value)}, not ${show(told)}`;
    if (Array.isArray(told) !== Array.isArray(value)) return `${place}: ${show(value)}, not ${show(told)}`;
    const wanted = Object.fromEntries(Object.entries(told).map(([key, inner]) => [placeholders(key).every((name) => learnt.has(name)) ? filled(key, learnt) : key, inner]));
    for (const name of new Set([...Object.keys(wanted), ...Object.keys(value)])) {
      if (!(name in value)) return `${place}.${name} is missing`;
      if (!(name in wanted)) return `${place}.${name} is not in the transcript: ${show(value[name])}`;
      const fault = compare(wanted[name], value[name], `${place}.${name}`);
      if (fault) return fault;
    }
    return undefined;
  };
  const compareText = (/** @type {string} */ told, /** @type {unknown} */ value, /** @type {string} */ place) => {
    const pattern = told.split(PLACEHOLDER).map((part, i) => (i % 2 ? '(.+?)' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))).join('');
    const found = new RegExp(`^${pattern}$`, 's').exec(String(value));
    if (!found) return `${place}: ${show(value)} is not like ${show(told)}`;
    for (const [i, name] of placeholders(told).entries()) {
      const fault = learn(name, typeof examples.get(name) === 'number' ? Number(found[i + 1]) : found[i + 1], place);
      if (fault) return fault;
    }
    return undefined;
  };
  const fault = compare(template, heard, String(heard?.op ?? 'answer'));
  if (!fault) for (const [name, value] of learnt) known.set(name, value);
  return fault;
}

/** @param {unknown} one @param {unknown} other */
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** @param {unknown} value */
const show = (value) => (JSON.stringify(value) ?? String(value)).slice(0, 200);
