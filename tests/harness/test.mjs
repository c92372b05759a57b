/**
 * `test` of node:test with what every black-box test wants: a deadline of its own, and the logs of the processes printed
 * when it fails.
 */
import nodeTest from 'node:test';
import { forgetEnded, takeLogs } from './process.mjs';
import { within } from './until.mjs';

/**
 * @param {string} name
 * @param {{ within_ms?: number, skip?: string | boolean } | ((t: import('node:test').TestContext) => unknown)} options
 * @param {(t: import('node:test').TestContext) => unknown} [body]
 */
export function test(name, options, body) {
  if (typeof options === 'function') return test(name, {}, options);
  const { within_ms = 60_000, skip = false } = options;
  return nodeTest(name, { skip }, async (t) => {
    forgetEnded();
    try {
      await within(`the test "${name}"`, Promise.resolve(body?.(t)), within_ms);
    } catch (error) {
      const logs = takeLogs();
      if (logs) console.error(`\n=== logs of the processes in "${name}"\n${logs}\n=== end of logs\n`);
      throw error;
    }
  });
}
