/** What docs/ARCHITECTURE.md says is absent is absent, and the files that it names are there. */
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { REPOSITORY } from '../harness/binaries.mjs';
import { documents } from './documents.mjs';
import { codeOnly, filesIn, read } from './source.mjs';

const WAITS = /\.await\b|\basync\s+(fn|move|\{)/;
const RUST_EFFECTS = new RegExp(`${WAITS.source}|\\b(Instant|SystemTime)::now\\b|\\brandom_id\\(|\\brand::|\\btokio::(net|spawn|task|time::(sleep|timeout|interval))|\\bstd::(env|fs|net|thread)\\b`);
const SCRIPT_EFFECTS = /\bawait\b|\basync\b|\bDate\.now\b|\bMath\.random\b|\bset(Timeout|Interval)\b|\bfetch\(|\bnew (WebSocket|Date)\b/;

/** file or folder, below it no effect of this kind */
const ABSENT = /** @type {[string, RegExp][]} */ ([
  ['ws-node/src/core', RUST_EFFECTS],
  ['ws-node/src/frames', RUST_EFFECTS],
  ['cluster/src/membership/decide.rs', RUST_EFFECTS],
  ['cluster/src/wire', RUST_EFFECTS],
  ['lookup-service/src/decide.rs', RUST_EFFECTS],
  ['lookup-service/src/app.rs', WAITS],
  ['lookup-service/src/caller.rs', WAITS],
  ['edge/src/peer/follow.rs', RUST_EFFECTS],
  ['edge/src/peer/batch.rs', RUST_EFFECTS],
  ['js-client/src/machine', SCRIPT_EFFECTS],
]);

const inRepository = (/** @type {string} */ file) => path.relative(REPOSITORY, file);
const sources = filesIn(REPOSITORY, ['.rs', '.ts', '.mjs', '.lua', '.toml', '.json']).map(inRepository);

for (const [place, effect] of ABSENT) {
  test(`${place} is pure`, () => {
    const files = sources.filter((file) => (file === place || file.startsWith(`${place}/`)) && !/\btests?(\/|\.)/.test(file));
    assert.ok(files.length > 0, place);
    const found = files.flatMap((file) => {
      const text = read(path.join(REPOSITORY, file)).split('#[cfg(test)]')[0];
      const match = effect.exec(codeOnly(text, file.endsWith('.rs') ? 'rust' : 'typescript'));
      return match ? [`${file}: ${match[0]}`] : [];
    });
    assert.deepEqual(found, []);
  });
}

test('a node has the store for its keeper only', () => {
  const users = sources.filter((file) => file.startsWith('ws-node/src/') && /\b(MembershipStore|RedisStore)\b/.test(read(path.join(REPOSITORY, file))));
  assert.deepEqual(users.sort(), ['ws-node/src/process.rs', 'ws-node/src/run.rs']);
});

test('source files that documents name are there', () => {
  const named = documents().flatMap(({ file, text }) => [...text.matchAll(/`([\w./-]+\/[\w.-]+\.(?:rs|ts|mjs|lua|toml|json))`/g)].map((match) => ({ file, name: match[1] })));
  assert.ok(named.length > 20);
  const missing = named.filter(({ file, name }) => {
    const near = path.join(path.dirname(file), name);
    return !name.startsWith('dist/') && !sources.some((source) => source === near || source === name || source.endsWith(`/${name}`));
  });
  assert.deepEqual(missing, []);
});
