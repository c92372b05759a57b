/**
 * The clients of examples/ in Python, Kotlin and shell talk to each other, all the time, while a node is drained and another
 * one killed. Kotlin's compiler comes out of the wheel of its Jupyter kernel, OkHttp out of allure-commandline: see examples/README.md.
 * Swift's compiler comes in no package that this machine could have: where there is none, that client is not run.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../harness/binaries.mjs';
import { cluster } from '../harness/cluster.mjs';
import { inBetween } from '../harness/nonsense.mjs';
import { installed, Talker } from '../harness/talker.mjs';
import { test } from '../harness/test.mjs';
import { throughTrouble } from '../harness/trouble.mjs';

const EXAMPLES = path.resolve(REPOSITORY, process.env.RINGDIAL_EXAMPLES ?? 'examples');
// A compiler that ends soon: no second stage of compilation, no parallel collector.
const JAVA = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
const NO_SWIFT = spawnSync('swiftc', ['--version']).status !== 0 && 'there is no swiftc: examples/swift is neither compiled nor run';

/** @param {string} folder below tests/ @param {RegExp} names @returns {string} a class path */
const jars = (folder, names) => readdirSync(installed(folder)).filter((file) => names.test(file)).map((file) => path.join(installed(folder), file)).join(':');

/** @returns {string} a folder for what a compiler makes */
function folder() {
  const out = mkdtempSync(path.join(tmpdir(), 'ringdial-example-'));
  process.on('exit', () => rmSync(out, { recursive: true, force: true }));
  return out;
}

/** Compiles examples/kotlin. @returns {Promise<string[]>} the command that runs it */
async function compileKotlin() {
  const out = folder();
  const compiler = jars('.jvm/run_kotlin_kernel/jars', /^(kotlin-|annotations-)/);
  const libraries = [jars('.jvm/run_kotlin_kernel/jars', /^(kotlin-stdlib|kotlinx-serialization)/), jars('node_modules/allure-commandline/dist/plugins/jira-plugin/lib', /^(okhttp-jvm|okio-jvm)-/)].join(':');
  const sources = ['Ringdial.kt', 'Chat.kt'].map((file) => path.join(EXAMPLES, 'kotlin', file));
  await promisify(execFile)('java', [...JAVA, '-cp', compiler, 'org.jetbrains.kotlin.cli.jvm.K2JVMCompiler', '-no-stdlib', '-no-reflect', '-Werror', '-cp', libraries, '-d', out, ...sources]);
  return ['java', ...JAVA, '-cp', `${out}:${libraries}`, 'ringdial.ChatKt'];
}

/** Compiles examples/swift. @returns {Promise<string[]>} the command that runs it */
async function swift() {
  const chat = path.join(folder(), 'chat');
  const sources = ['Ringdial.swift', 'chat.swift'].map((file) => path.join(EXAMPLES, 'swift', file));
  await promisify(execFile)('swiftc', ['-parse-as-library', '-warnings-as-errors', '-o', chat, ...sources]);
  return [chat];
}

/** @type {Promise<string[]> | undefined} */
let compiled;
const kotlin = () => (compiled ??= compileKotlin());
const python = () => [installed('.venv/bin/python'), path.join(EXAMPLES, 'python/chat.py')];

test('clients in three languages lose and repeat nothing while a node is drained and another one killed', { within_ms: 600_000 }, async (t) => {
  const shell = [path.join(EXAMPLES, 'shell/chat.sh')];
  await throughTrouble(t, kotlin().then((kotlin) => [[python(), kotlin], [kotlin, shell], [shell, python()]]));
});

test('they look up again where something else answers in the service\'s place', { within_ms: 300_000 }, async (t) => {
  const ring = await cluster({ store: 'embedded', nodes: 2 });
  t.after(() => ring.stop());
  for (const [i, command] of [python(), await kotlin()].entries()) {
    const between = await inBetween(t, ring.lookups[0].url);
    const me = `client-${i}`;
    const talker = new Talker(t, me, [...command, `${between.url}/lookup`, me, me], { RINGDIAL_TOKEN: ring.token(me) });
    await talker.until('is connected', () => talker.err.includes('connected: '), 60_000);
    assert.equal(between.asked(), between.nonsense + 1);
    talker.say('well');
    await talker.until('hears', () => talker.heard(`u:${me}`, me).texts[0] === 'well');
    assert.equal(await talker.end(), 0);
  }
});

test('nor does one in Swift', { within_ms: 600_000, skip: NO_SWIFT }, async (t) => {
  await throughTrouble(t, swift().then((swift) => [[python(), swift], [swift, python()], [swift, swift]]));
});
