/**
 * What happens to real processes under traffic, scene by scene (scenes.mjs), each judged (judge.mjs); a table at the end.
 *
 *   node tests/chaos/main.mjs [--full] [--scale F] [--only PART-OF-A-NAME] [--seed N] [--plant lose|repeat|swap|misdeliver] [--proxies]
 *
 * `--scale 0.5`: half the sessions and messages, for a machine that others use. Short, as part of `tests/run`, several scenes share a cluster; `--full` (`tests/run --chaos`) gives each one of its own. With
 * `--plant` every scene must fail. `--proxies` does as if network namespaces were not permitted.
 */
import { parseArgs } from 'node:util';
import { takeLogs } from '../harness/process.mjs';
import { play } from './play.mjs';
import { FULL, SHORT, scaled } from './scales.mjs';
import { SCENES } from './scenes.mjs';
import { NamespaceSite, ProxySite, isInside, namespacesWork, runInside } from './site.mjs';
import { Theatre } from './theatre.mjs';

const { values: options } = parseArgs({ options: {
  full: { type: 'boolean' }, proxies: { type: 'boolean' }, scale: { type: 'string' }, only: { type: 'string' }, seed: { type: 'string' }, plant: { type: 'string' },
} });

if (!isInside() && !options.proxies && namespacesWork()) process.exit(await runInside());

const scale = scaled(options.full ? FULL : SHORT, Number(options.scale ?? 1));
const seed = Number(options.seed ?? Date.now() % 1_000_000);
const scenes = SCENES.filter(({ name, planted }) => name.includes(options.only ?? '') && !(planted && options.plant));
const alone = scenes.filter(({ lookups }) => options.full || lookups);
/** Scenes that are played in one cluster, one after the other. */
const evenings = [scenes.filter((scene) => !alone.includes(scene)), ...alone.map((scene) => [scene])].filter(({ length }) => length > 0);
const rows = [];

for (const evening of evenings) {
  const site = await (isInside() ? new NamespaceSite() : new ProxySite()).begin();
  if (rows.length === 0) console.log(`chaos, ${scale.name}: ${scale.sessions} sessions, ${scale.rate} messages/s, seed ${seed}; ${site.how}`);
  const theatre = new Theatre(site, scale, seed, options.plant, evening[0].lookups?.(scale));
  try {
    await theatre.open();
    for (const scene of evening) {
      const { row, wrong, slowest, notes } = await play(theatre, scene);
      rows.push({ ...row, verdict: wrong.length === 0 ? 'good' : 'BAD' });
      console.log(`${wrong.length === 0 ? '✔' : '✖'} ${scene.name}${notes.map((note) => `; ${note}`).join('')}`);
      if (wrong.length > 0) console.log(`${wrong.slice(0, 20).map((line) => `    ${line}`).join('\n')}\n=== logs\n${takeLogs()}\n=== end of logs`);
      console.log([JSON.stringify(row), ...(wrong.length > 0 || options.full ? slowest : [])].map((line) => `    ${line}`).join('\n'));
    }
    await theatre.close();
  } catch (error) {
    rows.push({ scene: `${evening.map(({ name }) => name).join(', ')}`, verdict: 'BAD' });
    console.log(`✖ ${error.stack}\n=== logs\n${takeLogs()}\n=== end of logs`);
  } finally {
    await theatre.abandon();
  }
}

const HEADS = ['scene', 'sessions', 'sent', 'delivered', 'faults', 'lost', 'repeated', 'misdelivered', 'inversions', 'dropped', 'changed', 'moved', 'affected', 'p50_ms', 'p99_ms', 'max_ms', 'flows_ms', 'verdict'];
console.log(`\n| ${HEADS.join(' | ')} |\n|${HEADS.map(() => '---').join('|')}|`);
for (const row of rows) console.log(`| ${HEADS.map((head) => /** @type {any} */ (row)[head] ?? '').join(' | ')} |`);
const bad = rows.filter(({ verdict }) => verdict === 'BAD').length;
console.log(`\nℹ pass ${rows.length - bad}\nℹ fail ${bad}`);
process.exit(bad === 0 && rows.length > 0 ? 0 : 1);
