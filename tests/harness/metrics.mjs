/** The figures of a process, from its admin listener. */
import { request } from './http.mjs';

/**
 * The sum of all samples with that name and these labels; 0 if there is none.
 * @param {{ admin: string, id?: string }} part @param {string} name as on the page, with `_total`
 * @param {Record<string, string>} [labels] by default the node's own
 */
export async function metric({ admin, id }, name, labels = id ? { node: id } : {}) {
  const { status, text } = await request(`http://${admin}/metrics`);
  if (status !== 200) throw new Error(`metrics of ${admin}: ${status}`);
  return sampleSum(text, name, labels);
}

/** @param {string} text in OpenMetrics @param {string} name @param {Record<string, string>} labels */
export function sampleSum(text, name, labels) {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const samples = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return samples.filter((line) => wanted.every((label) => line.includes(label))).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
