/** docs/OPERATIONS.md lists every flag with its default, every time without a flag, and every metric; --help and the code have no others. */
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

const sources = ['edge', 'lookup-service', 'ws-node', 'standalone'].flatMap((crate) => filesIn(path.join(REPOSITORY, crate, 'src'), ['.rs'])).filter((file) => !/\btests\b/.test(file));

/** Times that flags have as their defaults. */
const OF_FLAGS = ['HEADER_TIMEOUT', 'TLS_HANDSHAKE_TIMEOUT', 'GRACE'];

test('the times without a flag', () => {
  const units = { secs: 's', millis: 'ms' };
  const inCode = sources.flatMap((file) => {
    const text = read(file).split('#[cfg(test)]')[0];
    const found = [...text.matchAll(/^(?:pub(?:\([a-z]+\))? )?const ([A-Z_]+): Duration = Duration::from_(secs|millis)\((\d+)\);/gm)];
    return found.map(([, name, unit, count]) => [name, `${count} ${units[/** @type {'secs' | 'millis'} */ (unit)]}`, path.relative(REPOSITORY, file)]);
  });
  const wanted = inCode.filter(([name]) => !OF_FLAGS.includes(name)).map(([name, value, file]) => `${value} ${file} ${name}`);
  assert.ok(wanted.length > 8);
  assert.deepEqual(table(operations, 'checked: constants').map(([, value, constant]) => `${value} ${constant}`).sort(), wanted.sort());
});

test('the metrics', () => {
  const named = sources.flatMap((file) => [...read(file).split('#[cfg(test)]')[0].matchAll(/"(ringdial_[a-z_]+)"/g)].map((match) => match[1]));
  // Crates are called like that too.
  const metrics = [...new Set(named)].filter((name) => !['ringdial_cluster', 'ringdial_edge'].includes(name));
  assert.deepEqual(table(operations, 'checked: metrics').map(([name]) => name).sort(), metrics.sort());
});
