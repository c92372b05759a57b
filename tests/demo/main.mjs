/**
 * Demonstrations of the npm client against real processes, each judged; figures and histograms at the end.
 *
 *   node tests/demo/main.mjs [--full] [--only changes|returns] [--seed N] [--plant lose|repeat|swap|misdeliver]
 *
 * `changes`: clients in Node and in Chromium send to each other while nodes join, drain and are killed (changes.mjs). `returns`: a crowd
 * comes back after a SIGKILL (returns.mjs). Short, as a step of `tests/run`; `--full` (`tests/run --demo`) takes five minutes. With
 * `--plant` the first has to fail.
 */
import { parseArgs } from 'node:util';
import { plant } from '../chaos/planted.mjs';
import { takeLogs } from '../harness/process.mjs';
import { within } from '../harness/until.mjs';
import { playChanges } from './changes.mjs';
import { judgeReturns } from './evenness.mjs';
import { judge } from './judge.mjs';
import { playReturns } from './returns.mjs';
import { FULL, SHORT } from './scales.mjs';

const { values: options } = parseArgs({ options: { full: { type: 'boolean' }, only: { type: 'string' }, seed: { type: 'string' }, plant: { type: 'string' } } });
const scale = options.full ? FULL : SHORT;
const seed = Number(options.seed ?? Date.now() % 1_000_000);

/** Of a demonstration, beside its traffic: beginning, settling, and the ends of processes. */
const BEYOND_MS = 240_000;
const END_MS = 30_000;

/** @typedef {(end: () => unknown) => void} After */

/** @param {After} after @returns {Promise<string[][]>} what is wrong, of each kind of client */
async function changes(after) {
  after(plant(/** @type {any} */ (options.plant)));
  const { reports, played, notes } = await playChanges(scale, seed, after);
  console.log(`    ${notes.join('; ')}`);
  const judged = reports.map((report) => judge(report, played, scale));
  const heads = Object.keys(judged[0].row);
  console.log([heads, heads.map(() => '---'), ...judged.map(({ row }) => Object.values(row))].map((cells) => `| ${cells.join(' | ')} |`).join('\n'));
  return judged.map(({ wrong }) => wrong);
}

/** @param {After} after @returns {Promise<string[][]>} */
async function returns(after) {
  const { wrong, lines } = judgeReturns(await playReturns(scale, after), scale.crowd, scale.arrivals);
  console.log(lines.map((line) => `    ${line}`).join('\n'));
  return [wrong];
}

/** @type {Record<string, (after: After) => Promise<string[][]>>} */
const DEMONSTRATIONS = { changes, returns };
let [passed, failed] = [0, 0];
for (const [name, show] of Object.entries(DEMONSTRATIONS)) {
  if (options.only && options.only !== name) continue;
  console.log(`${name}, ${scale.name}, seed ${seed}`);
  /** @type {(() => unknown)[]} */
  const ends = [];
  const verdicts = await within(name, show((end) => ends.unshift(end)), scale.seconds * 1_000 + BEYOND_MS).catch((error) => [[error.stack]]);
  for (const end of ends) await within('the end', Promise.resolve(end()), END_MS).catch(() => {});
  for (const wrong of verdicts) {
    if (wrong.length === 0) passed++;
    else failed++;
    console.log([wrong.length === 0 ? `✔ ${name}` : `✖ ${name}`, ...wrong.slice(0, 30).map((line) => `    ${line}`)].join('\n'));
  }
  if (verdicts.some((wrong) => wrong.length > 0)) console.log(`=== logs\n${takeLogs()}\n=== end of logs`);
}
console.log(`\nℹ pass ${passed}\nℹ fail ${failed}`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
