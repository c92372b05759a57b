/**
 * The clients of examples/ in Python, Kotlin and shell talk to each other, all the time, while a node is drained and another
 * one killed. Kotlin's compiler comes out of the wheel of its Jupyter kernel, OkHttp out of allure-commandline: see examples/README.md.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../harness/binaries.mjs';
import { cluster } from '../harness/cluster.mjs';
import { installed, Talker, talkThrough } from '../harness/talker.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

/** From line to line. A shell starts some processes for each. */
const EVERY_MS = 400;
const EXAMPLES = path.join(REPOSITORY, 'examples');
// A compiler that ends soon: no second stage of compilation, no parallel collector.
const JAVA = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];

/** @param {string} folder below tests/ @param {RegExp} names @returns {string} a class path */
const jars = (folder, names) => readdirSync(installed(folder)).filter((file) => names.test(file)).map((file) => path.join(installed(folder), file)).join(':');

/** Compiles examples/kotlin. @param {import('node:test').TestContext} t @returns {Promise<string[]>} the command that runs it */
async function kotlin(t) {
  const out = mkdtempSync(path.join(tmpdir(), 'ringdial-kotlin-'));
  t.after(() => rmSync(out, { recursive: true, force: true }));
  const compiler = jars('.jvm/run_kotlin_kernel/jars', /^(kotlin-|annotations-)/);
  const libraries = [jars('.jvm/run_kotlin_kernel/jars', /^(kotlin-stdlib|kotlinx-serialization)/), jars('node_modules/allure-commandline/dist/plugins/jira-plugin/lib', /^(okhttp-jvm|okio-jvm)-/)].join(':');
  const sources = ['Ringdial.kt', 'Chat.kt'].map((file) => path.join(EXAMPLES, 'kotlin', file));
  await promisify(execFile)('java', [...JAVA, '-cp', compiler, 'org.jetbrains.kotlin.cli.jvm.K2JVMCompiler', '-no-stdlib', '-no-reflect', '-Werror', '-cp', libraries, '-d', out, ...sources]);
  return ['java', ...JAVA, '-cp', `${out}:${libraries}`, 'ringdial.ChatKt'];
}

test('clients in three languages lose and repeat nothing while a node is drained and another one killed', { within_ms: 600_000 }, async (t) => {
  const python = [installed('.venv/bin/python'), path.join(EXAMPLES, 'python/chat.py')];
  const [compiled, ring] = await Promise.all([kotlin(t), cluster({ nodes: 3, flags: { node: ['--drain-deadline', '150s'] } })]);
  t.after(() => ring.stop());
  const shell = [path.join(EXAMPLES, 'shell/chat.sh')];
  const document = await ring.ring();
  const names = Array.from({ length: 100 }, (_, i) => `guest-${i}`);
  const [drained, killed] = [document.home(names[0]), names.map((name) => document.home(name)).find((id) => id !== document.home(names[0])) ?? ''];
  /** The next name that lives there. @param {string} node */
  const from = (node) => names.splice(names.findIndex((name) => document.home(name) === node), 1)[0];

  /** @param {string[]} command @param {string} me @param {string} to */
  const talker = (command, me, to) => new Talker(t, `${path.basename(command.at(-1) ?? '')} ${me}`, [...command, `${ring.lookups[0].url}/lookup`, me, to], {
    RINGDIAL_TOKEN: ring.token(me),
    PATH: `${path.dirname(installed('.venv/bin/websocat'))}:${process.env.PATH}`,
  });
  const pairs = [[python, compiled], [compiled, shell], [shell, python]].map(([one, other]) => {
    const [a, b] = [from(drained), from(killed)];
    return { a, b, one: talker(one, a, b), other: talker(other, b, a) };
  });
  const all = pairs.flatMap(({ one, other }) => [one, other]);
  for (const one of all) await one.until('is connected', () => one.err.includes('connected: '));

  const trouble = (async () => {
    for (const one of all) await one.until('talks', () => one.sent.length > 3);
    ring.node(drained).process.signal('SIGTERM');
    for (const { one } of pairs) await one.until('has moved', () => one.err.includes('moved: '), 120_000);
    await ring.node(drained).process.exited;
    // Lines that are written to it and never answered.
    ring.node(killed).process.signal('SIGSTOP');
    const stopped = Date.now();
    await until('some lines were typed', () => Date.now() > stopped + 4 * EVERY_MS);
    await ring.kill(ring.node(killed));
    for (const { other } of pairs) await other.until('is back', () => other.err.split('connected: ').length > 2, 90_000);
  })();
  const talks = await Promise.all(pairs.map(({ a, b, one, other }) => talkThrough(one, a, other, b, () => trouble, EVERY_MS)));
  for (const { heard, expected, sent } of talks.flat()) {
    assert.deepEqual(heard.texts, expected, 'each once, in order');
    assert.deepEqual(heard.offsets, sent, 'where their senders were told');
  }
  for (const { one } of pairs) assert.ok(!one.err.split('moved: ')[0].includes('reconnecting'), `${one.name}: the drain was no loss of a connection`);
  for (const one of all) assert.equal(await one.end(), 0, one.name);
});
