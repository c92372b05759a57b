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
  ['ws-node/src/log/pace.rs', RUST_EFFECTS],
  ['cluster/src/membership/decide.rs', RUST_EFFECTS],
  ['cluster/src/membership/suspects.rs', RUST_EFFECTS],
  ['cluster/src/homes', RUST_EFFECTS],
  ['cluster/src/log/rules.rs', RUST_EFFECTS],
  ['cluster/src/log/page.rs', RUST_EFFECTS],
  ['cluster/src/log/retentions.rs', RUST_EFFECTS],
  ['cluster/src/wire', RUST_EFFECTS],
  ['lookup-service/src/decide.rs', RUST_EFFECTS],
  ['lookup-service/src/pacing.rs', RUST_EFFECTS],
  ['lookup-service/src/app.rs', WAITS],
  ['lookup-service/src/caller.rs', WAITS],
  ['lookup-service/src/peers/core.rs', RUST_EFFECTS],
  ['lookup-service/src/peers/parcel.rs', RUST_EFFECTS],
  ['lookup-service/src/peers/waiter.rs', RUST_EFFECTS],
  ['edge/src/peer/follow.rs', RUST_EFFECTS],
  ['edge/src/peer/batch.rs', RUST_EFFECTS],
  ['standalone/src/conformance/judge', RUST_EFFECTS],
  ['standalone/src/conformance/judge.rs', RUST_EFFECTS],
  ['standalone/src/conformance/world', WAITS],
  ['js-client/src/machine', SCRIPT_EFFECTS],
]);

/** What goes over wires, or into the log. */
const BEYOND = /\bwire::|\bencode\(|\blog::|\blog_port\b/;

/** what only these files of a node's core do or know */
const ONLY_IN = /** @type {[string, RegExp, string[]][]} */ ([
  ['stores a durable message', /\.store\(/, ['take.rs']],
  ['asks the log for what may change a topic', /\bLogRequest::(Open|Append)\b/, ['stream.rs']],
  ['reads the log', /\bLogRequest::Read\b/, ['reads.rs']],
  ['looks where topics stand in the log', /\bLogRequest::Look\b/, ['look.rs']],
  ['knows what a client claims to have', /\bSince\b/, ['arrive.rs', 'followers.rs', 'greet.rs']],
  ['encodes a message for clients', /\bMessage \{/, ['broadcast.rs', 'deliver.rs', 'feed.rs', 'home.rs']],
]);

const inRepository = (/** @type {string} */ file) => path.relative(REPOSITORY, file);
const sources = filesIn(REPOSITORY, ['.rs', '.ts', '.mjs', '.lua', '.toml', '.json']).map(inRepository);

/** The files at and below a place, but for tests. @param {string} place */
function below(place) {
  const files = sources.filter((file) => (file === place || file.startsWith(`${place}/`)) && !/\btests?(\/|\.)/.test(file));
  assert.ok(files.length > 0, place);
  return files;
}

/** A file's code without its tests. @param {string} file */
function codeOf(file) {
  const text = read(path.join(REPOSITORY, file)).split('#[cfg(test)]')[0];
  return codeOnly(text, file.endsWith('.rs') ? 'rust' : 'typescript');
}

for (const [place, effect] of ABSENT) {
  test(`${place} is pure`, () => {
    const found = below(place).flatMap((file) => {
      const match = effect.exec(codeOf(file));
      return match ? [`${file}: ${match[0]}`] : [];
    });
    assert.deepEqual(found, []);
  });
}

for (const [what, pattern, files] of ONLY_IN) {
  test(`only ${files.join(', ')} ${what}`, () => {
    const core = 'ws-node/src/core';
    const found = below(core).filter((file) => file !== `${core}/log_port.rs` && pattern.test(codeOf(file)));
    assert.deepEqual(found.sort(), files.map((file) => `${core}/${file}`));
  });
}

test("presence is kept in memory, by parts that know no wire", () => {
  assert.deepEqual(below('ws-node/src/core/presence').filter((file) => BEYOND.test(codeOf(file))), []);
});

test('no lock is held across an await, as the linter sees to', () => {
  const [, lints] = read(path.join(REPOSITORY, 'Cargo.toml')).split('[workspace.lints.clippy]');
  assert.match(lints.split('\n[')[0], /^await_holding_lock = "deny"$/m);
  const allowed = sources.filter((file) => file.endsWith('.rs') && /(allow|expect)\([^)]*await_holding_lock/.test(read(path.join(REPOSITORY, file))));
  assert.deepEqual(allowed, []);
});

test('a node has the store for its keeper and its log only', () => {
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
