/** What a reader may rely on in every file: who may import what, how long things get, that each file says its job. */
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { REPOSITORY } from '../harness/binaries.mjs';
import { codeOnly, filesIn, lineCount, read, rustFunctions, rustTestModules, typescriptFunctions } from './source.mjs';

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
const TEST_MODULE_LINES_MAX = 100;
const SCENARIO_LINES_MAX = 300;

/** crate folder -> the crates of ours that it may import */
const MAY_IMPORT = {
  cluster: [],
  edge: ['cluster'],
  'lookup-service': ['cluster', 'edge'],
  'ws-node': ['cluster', 'edge'],
  standalone: ['cluster', 'edge', 'lookup-service', 'ws-node'],
};
const CRATES = /** @type {(keyof typeof MAY_IMPORT)[]} */ (Object.keys(MAY_IMPORT));

/** third-party system -> the one folder that knows it */
const OWNERS = {
  redis: 'cluster/src/store/redis',
  jsonwebtoken: 'cluster/src/tokens',
  warp: 'lookup-service/src/http',
  fastwebsockets: 'edge/src/websocket',
};

const inRepository = (/** @type {string} */ folder) => path.join(REPOSITORY, folder);
const named = (/** @type {string} */ file) => path.relative(REPOSITORY, file);
const rust = CRATES.flatMap((name) => filesIn(inRepository(name), ['.rs'])).map((file) => ({ file: named(file), text: read(file) }));
const typescript = filesIn(inRepository('js-client'), ['.ts', '.tsx', '.mts'])
  .map((file) => ({ file: named(file), text: read(file) }))
  .filter(({ file }) => !file.endsWith('.d.ts'));
const scripts = filesIn(inRepository('tests'), ['.mjs']).map((file) => ({ file: named(file), text: read(file) }));

/** @param {string[]} findings */
const assertNone = (findings) => assert.deepEqual(findings, []);

test('there is something to look at', () => assert.ok(rust.length > 10 && scripts.length > 10));

test('crates import only the crates below them', () => {
  const findings = CRATES.flatMap((name) =>
    CRATES.filter((other) => other !== name && dependenciesOf(name).includes(other) && !MAY_IMPORT[name].includes(other))
      .map((other) => `${name}/Cargo.toml depends on ${other}`));
  assertNone(findings);
});

test('each third-party system has one owner', () => {
  const findings = Object.entries(OWNERS).flatMap(([system, owner]) => {
    const uses = new RegExp(`(?<![:\\w])${system}::|\\buse\\s+(::)?${system}\\b|\\bextern\\s+crate\\s+${system}\\b`);
    const strangers = rust.filter(({ file, text }) => !isBelow(file, owner) && !isTest(file) && uses.test(codeOnly(text, 'rust'))).map(({ file }) => `${file} uses ${system}, which belongs to ${owner}`);
    const crates = CRATES.filter((name) => name !== owner.split('/')[0] && dependenciesOf(name).includes(system)).map((name) => `${name}/Cargo.toml depends on ${system}`);
    return [...strangers, ...crates];
  });
  assertNone(findings);
});

test("the cluster's only socket is Redis's", () => {
  const sockets = /\b(tokio|std)::net::(Tcp|Udp|Unix)|\bhyper\b|\bTcpStream\b|\bTcpListener\b/;
  const findings = rust.filter(({ file, text }) => isBelow(file, 'cluster/src') && !isBelow(file, OWNERS.redis) && !isTest(file) && sockets.test(codeOnly(text, 'rust')));
  assertNone(findings.map(({ file }) => file));
});

test('the ring is pure: no await, no clock, no environment', () => {
  const effects = /\.await\b|\basync\s+fn\b|\b(Instant|SystemTime)::now\b|\btokio::|\bstd::(env|fs|thread)\b/;
  const findings = rust.filter(({ file, text }) => isBelow(file, 'cluster/src/ring') && !isTest(file) && effects.test(withoutTests(text)));
  assertNone(findings.map(({ file }) => file));
});

test(`files are at most ${FILE_LINES_MAX} lines long, scenarios ${SCENARIO_LINES_MAX}`, () => {
  const long = (/** @type {{ file: string, text: string }[]} */ files, /** @type {number} */ limit) =>
    files.filter(({ text }) => lineCount(text) > limit).map(({ file, text }) => `${file}: ${lineCount(text)}`);
  assertNone([...long([...rust, ...typescript], FILE_LINES_MAX), ...long(scripts, SCENARIO_LINES_MAX)]);
});

test(`functions are at most ${FUNCTION_LINES_MAX} lines long`, () => {
  const sources = [
    ...rust.map(({ file, text }) => ({ file, functions: rustFunctions(text) })),
    // A test file's describe() blocks are no functions in this sense.
    ...typescript.filter(({ file }) => !/\.test\.|\/tests?\//.test(file)).map(({ file, text }) => ({ file, functions: typescriptFunctions(text) })),
  ];
  assertNone(sources.flatMap(({ file, functions }) =>
    functions.filter(({ lines }) => lines > FUNCTION_LINES_MAX).map(({ name, line, lines }) => `${file}:${line} ${name}: ${lines}`)));
});

test(`test modules of over ${TEST_MODULE_LINES_MAX} lines have a file of their own`, () => {
  assertNone(rust.flatMap(({ file, text }) =>
    rustTestModules(text).filter(({ lines }) => lines > TEST_MODULE_LINES_MAX).map(({ line, lines }) => `${file}:${line}: ${lines}`)));
});

test('every file begins with a word about its job', () => {
  const silent = [
    ...rust.filter(({ text }) => !/^\/\/! \S/.test(text)),
    ...typescript.filter(({ file, text }) => isBelow(file, 'js-client/src') && !/^\/\*\*|^\/\/ /.test(text)),
    ...scripts.filter(({ text }) => !/^(#![^\n]*\n)?\/(\*\*|\/)/.test(text)),
  ];
  assertNone(silent.map(({ file }) => file));
});

test('every allowed lint says why', () => {
  assertNone(rust.filter(({ file }) => !isTest(file)).flatMap(({ file, text }) => {
    const lines = text.split('\n');
    return lines.flatMap((line, i) => {
      if (!/^\s*#!?\[(allow|expect)\(/.test(line)) return [];
      const attribute = lines.slice(i, i + 6).join('\n').split(']')[0];
      const explained = /reason\s*=/.test(attribute) || /\]\s*\/\/ \S/.test(line) || /^\s*\/\/\/? \S/.test(lines[i - 1] ?? '');
      return explained ? [] : [`${file}:${i + 1}`];
    });
  }));
});

test('lints are those of the workspace', () => {
  assertNone(CRATES.filter((name) => !/\[lints\]\s*\nworkspace = true/.test(read(inRepository(`${name}/Cargo.toml`)))));
});

/** The names of a crate's dependencies, of every kind. @param {string} crate */
function dependenciesOf(crate) {
  const names = [];
  let section = '';
  for (const line of read(inRepository(`${crate}/Cargo.toml`)).split('\n')) {
    section = /^\[(.+)\]/.exec(line)?.[1] ?? section;
    const table = /^\[(?:.*\.)?(?:dev-|build-)?dependencies\.([\w-]+)\]/.exec(line)?.[1];
    if (table) names.push(table);
    else if (/(^|\.)(dev-|build-)?dependencies$/.test(section)) names.push(/^([\w-]+)\s*[.=]/.exec(line)?.[1]);
  }
  return names.filter((name) => name !== undefined);
}

/** @param {string} file @param {string} folder also a file of that name, as in store/redis.rs */
function isBelow(file, folder) {
  return file.startsWith(`${folder}/`) || file === `${folder}.rs`;
}

/** Tests and benchmarks may reach for a real server, and unwrap. @param {string} file */
const isTest = (file) => /(^|\/)(tests|benches)(\/|\.rs$)/.test(file);

/** The code up to its inline test module, which stands last. @param {string} text */
const withoutTests = (text) => codeOnly(text, 'rust').split(/#\[cfg\(test\)\]/)[0];
