/** Every flag that `--help` lists is explained in the documentation, and so is every one that the documentation names. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';
import { REPOSITORY, binary } from '../harness/binaries.mjs';
import { filesIn, read } from './source.mjs';

const PROGRAMS = /** @type {const} */ (['lookup-service', 'ws-node', 'ringdial']);
/** clap's own. */
const OWN = new Set(['--help', '--version']);

const documentation = [path.join(REPOSITORY, 'README.md'), ...filesIn(path.join(REPOSITORY, 'docs'), ['.md'])].map(read).join('\n');

for (const program of PROGRAMS) {
  test(`every flag of ${program} is documented`, () => {
    const help = execFileSync(binary(program), ['--help'], { encoding: 'utf8' });
    const flags = [...new Set([...help.matchAll(/^\s*(?:-\w, )?(--[a-z][a-z0-9-]+)/gm)].map((match) => match[1]))];
    assert.ok(flags.length > 5, help);
    assert.deepEqual(flags.filter((flag) => !OWN.has(flag) && !documentation.includes(`\`${flag}`)), []);
  });
}
