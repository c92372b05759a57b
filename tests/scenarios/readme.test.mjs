/** What the README tells a newcomer to paste works as it stands there; only addresses and ports are exchanged. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { binary } from '../harness/binaries.mjs';
import { request } from '../harness/http.mjs';
import { freePort } from '../harness/ports.mjs';
import { Process } from '../harness/process.mjs';
import { test } from '../harness/test.mjs';
import { until, within } from '../harness/until.mjs';
import { blocks, text } from '../tidy/documents.mjs';

const readme = text('README.md');

/** The one block with this mark. @param {string} mark */
function block(mark) {
  const found = blocks(readme, `runs: ${mark}`);
  assert.equal(found.length, 1, mark);
  return found[0];
}

test('sixty seconds', async (t) => {
  const ringdial = new Process('ringdial', binary('ringdial'), ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0']);
  t.after(() => ringdial.stop());
  const { url } = await ringdial.readyLine((line) => ['ringdial', 'lookup-service'].includes(line.role));
  const here = (/** @type {string} */ mark) => block(mark).replaceAll('http://127.0.0.1:7000', String(url));

  const grant = JSON.parse(await output(t, here('look up')));
  assert.equal(grant.id, 'alice');
  assert.equal(grant.protocols.length, 2);
  assert.match(await output(t, here('ring')), /^\{".{298}/);
  const alice = shell(t, here('listen'));
  await until('alice is connected', () => alice.stdout.includes(`alice is connected to ${grant.node}`));
  assert.match(await output(t, here('write')), /passed on to alice/);
  await until('the message', () => alice.stdout.includes('bob: Hello, Alice'));
  assert.equal((await request(`${url}/`)).status, 200, 'the page');

  await alice.end();
  assert.match(await output(t, here('write')), /alice .*stored as number 2/);
  const back = shell(t, here('listen'));
  await until('what she missed', () => back.stdout.split('bob: Hello, Alice').length === 3, { describe: () => back.stdout });

  const [, key] = /Bearer ([\w-]+)/.exec(ringdial.stderr) ?? assert.fail(ringdial.stderr);
  const asked = (await output(t, here('api').replace('the key that was printed', key))).split('\n').map((line) => line.trim()).filter(Boolean);
  await until('what the server says', () => back.stdout.includes('shop: Your parcel is on its way'), { describe: () => back.stdout + asked.join('\n') });
  assert.match(asked.join('\n'), /"online":true/);
});

test('a group', async (t) => {
  const ringdial = new Process('ringdial', binary('ringdial'), ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0']);
  t.after(() => ringdial.stop());
  const { url } = await ringdial.readyLine((line) => ['ringdial', 'lookup-service'].includes(line.role));
  const [write, listen] = block('group').replaceAll('http://127.0.0.1:7000', String(url)).split('\n');
  assert.match(await output(t, write), /g:lobby .*stored as number 1/);
  const alice = shell(t, listen);
  await until('what was said', () => alice.stdout.includes('carol: Is anybody here?'), { describe: () => alice.stdout });
  await until('who is in it', () => alice.stdout.includes('in g:lobby: alice'), { describe: () => alice.stdout });
});

test('a real cluster on Redis', async (t) => {
  const ports = { 6379: await freePort(), 7000: await freePort(), 7001: await freePort(), 7002: await freePort() };
  let script = block('cluster').replaceAll('target/release/', `${path.dirname(binary('ws-node'))}/`);
  for (const [told, free] of Object.entries(ports)) script = script.replaceAll(told, String(free));
  const cluster = shell(t, `${script}\nwait`);
  const lookup = `http://127.0.0.1:${ports[7000]}`;
  await until('two nodes in the ring', async () => (await request(`${lookup}/ring`)).json.nodes.length === 2, { within_ms: 30_000, describe: () => cluster.stderr });
  assert.equal((await request(`${lookup}/lookup?id=alice`)).status, 200);
});

/** @typedef {{ stdout: string, stderr: string, ended: Promise<number | null>, end: () => Promise<unknown> }} Shell */

/** The ends of all shells, for when this process ends before its tests do. @type {Set<() => void>} */
const ends = new Set();
process.once('exit', () => ends.forEach((end) => end()));

/** Bash in a process group and folder of its own, ended with the test. @param {import('node:test').TestContext} t @param {string} script @returns {Shell} */
function shell(t, script) {
  const directory = mkdtempSync(path.join(tmpdir(), 'ringdial-readme-'));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('RINGDIAL_')));
  const child = spawn('bash', ['-c', script], { cwd: directory, detached: true, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const end = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Nobody of the group is left.
    }
  };
  ends.add(end);
  const ended = new Promise((resolve) => child.once('close', resolve));
  const shell = { stdout: '', stderr: '', ended, end: () => (end(), ended) };
  child.stdout.setEncoding('utf8').on('data', (text) => (shell.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (shell.stderr += text));
  t.after(async () => {
    end();
    ends.delete(end);
    await ended;
    rmSync(directory, { recursive: true, force: true });
  });
  return shell;
}

/** What a command prints, once it has ended well. @param {import('node:test').TestContext} t @param {string} script */
async function output(t, script) {
  const run = shell(t, script);
  const code = await within(script, run.ended, 20_000);
  assert.equal(code, 0, run.stderr);
  return run.stdout;
}
