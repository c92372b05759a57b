/** docs/OPERATIONS.md lists every flag with its default, and every metric; --help and the code have no others. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { REPOSITORY, binary } from '../harness/binaries.mjs';
import { table, text } from './documents.mjs';
import { filesIn, read } from './source.mjs';

const PROGRAMS = /** @type {const} */ ({ L: 'lookup-service', N: 'ws-node', R: 'ringdial' });
const MARK = 'checked: flags';
const operations = text('docs/OPERATIONS.md');
const flags = operations.split(`<!-- ${MARK} -->\n`).slice(1).flatMap((rest) => table(`<!-- ${MARK} -->\n${rest}`, MARK));

for (const [letter, program] of Object.entries(PROGRAMS)) {
  test(`the flags of ${program}, their values and defaults`, () => {
    const told = flags.filter((row) => row[3].split(' ').includes(letter)).map(([flag, value, preset]) => [flag, value, preset].join(' ')).sort();
    const help = execFileSync(binary(program), ['--help'], { encoding: 'utf8' });
    const entries = [...help.matchAll(/^ {2}(--[a-z-]+)(?: <([^>]+)>)? {2}\[(\w+)\](?: \[default: (.*)\])?$/gm)];
    assert.ok(entries.length > 10, help);
    assert.deepEqual(told, entries.map(([, flag, value = '', , preset = '']) => [flag, value, preset].join(' ')).sort());
    for (const [, flag, , variable] of entries) assert.equal(variable, `RINGDIAL_${flag.slice(2).toUpperCase().replaceAll('-', '_')}`);
  });
}

test('the metrics', () => {
  const sources = ['edge', 'lookup-service', 'ws-node', 'standalone'].flatMap((crate) => filesIn(path.join(REPOSITORY, crate, 'src'), ['.rs'])).filter((file) => !/\btests\b/.test(file));
  const named = sources.flatMap((file) => [...read(file).split('#[cfg(test)]')[0].matchAll(/"(ringdial_[a-z_]+)"/g)].map((match) => match[1]));
  // Crates are called like that too.
  const metrics = [...new Set(named)].filter((name) => !['ringdial_cluster', 'ringdial_edge'].includes(name));
  assert.deepEqual(table(operations, 'checked: metrics').map(([name]) => name).sort(), metrics.sort());
});
