/**
 * The clients of examples/ in Python, Kotlin and shell talk to each other, all the time, while a node is drained and another
 * one killed. Kotlin's compiler comes out of the wheel of its Jupyter kernel, OkHttp out of allure-commandline: see examples/README.md.
 * Swift's compiler comes in no package that this machine could have: where there is none, that client is not run.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../harness/binaries.mjs';
import { installed } from '../harness/talker.mjs';
import { test } from '../harness/test.mjs';
import { throughTrouble } from '../harness/trouble.mjs';

const EXAMPLES = path.resolve(REPOSITORY, process.env.RINGDIAL_EXAMPLES ?? 'examples');
// A compiler that ends soon: no second stage of compilation, no parallel collector.
const JAVA = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
const NO_SWIFT = spawnSync('swiftc', ['--version']).status !== 0 && 'there is no swiftc: examples/swift is neither compiled nor run';

/** @param {string} folder below tests/ @param {RegExp} names @returns {string} a class path */
const jars = (folder, names) => readdirSync(installed(folder)).filter((file) => names.test(file)).map((file) => path.join(installed(folder), file)).join(':');

/** @param {import('node:test').TestContext} t @returns {string} a folder for what a compiler makes */
function folder(t) {
  const out = mkdtempSync(path.join(tmpdir(), 'ringdial-example-'));
  t.after(() => rmSync(out, { recursive: true, force: true }));
  return out;
}

/** Compiles examples/kotlin. @param {import('node:test').TestContext} t @returns {Promise<string[]>} the command that runs it */
async function kotlin(t) {
  const out = folder(t);
  const compiler = jars('.jvm/run_kotlin_kernel/jars', /^(kotlin-|annotations-)/);
  const libraries = [jars('.jvm/run_kotlin_kernel/jars', /^(kotlin-stdlib|kotlinx-serialization)/), jars('node_modules/allure-commandline/dist/plugins/jira-plugin/lib', /^(okhttp-jvm|okio-jvm)-/)].join(':');
  const sources = ['Ringdial.kt', 'Chat.kt'].map((file) => path.join(EXAMPLES, 'kotlin', file));
  await promisify(execFile)('java', [...JAVA, '-cp', compiler, 'org.jetbrains.kotlin.cli.jvm.K2JVMCompiler', '-no-stdlib', '-no-reflect', '-Werror', '-cp', libraries, '-d', out, ...sources]);
  return ['java', ...JAVA, '-cp', `${out}:${libraries}`, 'ringdial.ChatKt'];
}

/** Compiles examples/swift. @param {import('node:test').TestContext} t @returns {Promise<string[]>} the command that runs it */
async function swift(t) {
  const chat = path.join(folder(t), 'chat');
  const sources = ['Ringdial.swift', 'chat.swift'].map((file) => path.join(EXAMPLES, 'swift', file));
  await promisify(execFile)('swiftc', ['-parse-as-library', '-warnings-as-errors', '-o', chat, ...sources]);
  return [chat];
}

const python = () => [installed('.venv/bin/python'), path.join(EXAMPLES, 'python/chat.py')];

test('clients in three languages lose and repeat nothing while a node is drained and another one killed', { within_ms: 600_000 }, async (t) => {
  const shell = [path.join(EXAMPLES, 'shell/chat.sh')];
  await throughTrouble(t, kotlin(t).then((kotlin) => [[python(), kotlin], [kotlin, shell], [shell, python()]]));
});

test('nor does one in Swift', { within_ms: 600_000, skip: NO_SWIFT }, async (t) => {
  await throughTrouble(t, swift(t).then((swift) => [[python(), swift], [swift, python()], [swift, swift]]));
});
