/**
 * examples/react-chat, built with Vite and used by two people in Chromium: rooms, who is there, what was said before, status, and a
 * server that ends and begins anew without its log.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { binary, REPOSITORY } from '../harness/binaries.mjs';
import { browser, person } from '../harness/browser.mjs';
import { Process } from '../harness/process.mjs';
import { test } from '../harness/test.mjs';

const CHAT = path.join(path.resolve(REPOSITORY, process.env.RINGDIAL_EXAMPLES ?? 'examples'), 'react-chat');
const TIMEOUT = { timeout: 30_000 };
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' };

/** Built as for production, and served. @param {import('node:test').TestContext} t @returns {Promise<string>} its origin */
async function built(t) {
  const out = mkdtempSync(path.join(tmpdir(), 'ringdial-react-'));
  t.after(() => rmSync(out, { recursive: true, force: true }));
  const run = (/** @type {string[]} */ ...args) => promisify(execFile)(process.execPath, args, { cwd: CHAT });
  await run('node_modules/typescript/bin/tsc');
  await run('node_modules/vite/bin/vite.js', 'build', '--outDir', out, '--logLevel', 'error');
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://any');
    const file = path.join(out, pathname === '/' ? 'index.html' : path.normalize(pathname));
    const body = await readFile(file).catch(() => undefined);
    const type = TYPES[/** @type {keyof typeof TYPES} */ (path.extname(file))] ?? 'application/octet-stream';
    response.writeHead(body ? 200 : 404, { 'content-type': type }).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  t.after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
}

/** Somebody who enters. @param {import('playwright-core').Browser} chromium @param {string} url @param {string} me */
async function guest(chromium, url, me) {
  const { page, faults } = await person(chromium, url);
  await page.getByLabel('Your name').fill(me);
  await page.getByRole('button', { name: 'Enter' }).click();
  await page.locator('[role=status][data-state=connected]').waitFor(TIMEOUT);
  const say = async (/** @type {string} */ text) => {
    await page.getByLabel(/^Message to/).fill(text);
    await page.getByRole('button', { name: 'Send' }).click();
  };
  const line = (/** @type {string} */ text) => page.getByRole('log').locator('li:not([data-state])', { hasText: text });
  const reads = (/** @type {string} */ text) => line(text).waitFor(TIMEOUT);
  const pending = page.locator('.lines [data-state=pending]');
  /** Each line of one's own has come as a message, and is there as such alone. */
  const settled = () => pending.first().waitFor({ ...TIMEOUT, state: 'hidden' });
  const texts = () => page.locator('.lines .text').allTextContents();
  const people = (/** @type {RegExp} */ names) => page.getByRole('complementary').filter({ hasText: names }).waitFor(TIMEOUT);
  const enter = (/** @type {string} */ room) => page.getByRole('button', { name: `# ${room}` }).click();
  return { page, faults, say, line, reads, pending, settled, texts, people, enter };
}

test('the React chat: two people, rooms, presence, history, status', { within_ms: 180_000 }, async (t) => {
  const origin = await built(t);
  const begin = (/** @type {string} */ at) => {
    const ringdial = new Process('ringdial', binary('ringdial'), ['--listen', at, '--cors-origin', origin, '--presence-grace', '1s']);
    t.after(() => ringdial.stop('SIGTERM', 40_000));
    return ringdial;
  };
  const ringdial = begin('127.0.0.1:0');
  const { url: server } = await ringdial.readyLine();
  const url = `${origin}/?lookup=${encodeURIComponent(`${server}/lookup`)}`;
  const chromium = await browser(t);
  const ada = await guest(chromium, url, 'ada');
  await ada.people(/1 person here.*ada \(you\)/);
  await ada.say('the first to come');
  await ada.reads('the first to come');

  const bea = await guest(chromium, url, 'bea');
  await bea.reads('the first to come');
  for (const { people } of [ada, bea]) await people(/2 people here.*ada.*bea/);
  assert.match((await bea.page.getByRole('status').textContent()) ?? '', /^connected to n\d$/);
  await bea.say('hello <b>Ada</b> 😀');
  await ada.reads('hello <b>Ada</b> 😀');
  assert.equal(await ada.line('hello').getAttribute('class'), 'theirs');

  for (const one of [ada, bea]) {
    await one.settled();
    assert.deepEqual(await one.texts(), ['the first to come', 'hello <b>Ada</b> 😀'], 'one\'s own, too, once');
  }

  await ada.enter('kitchen');
  await ada.people(/1 person here/);
  await bea.people(/1 person here.*bea \(you\)/);
  await ada.say('nobody else is here');
  await ada.reads('nobody else is here');
  await bea.enter('kitchen');
  await bea.reads('nobody else is here');
  assert.deepEqual(await bea.texts(), ['nobody else is here'], 'of this room, once');
  for (const one of [ada, bea]) await one.enter('lobby');
  await ada.reads('hello');
  await ada.say('back again');
  for (const one of [ada, bea]) {
    await one.reads('back again');
    await one.settled();
    assert.deepEqual(await one.texts(), ['the first to come', 'hello <b>Ada</b> 😀', 'back again'], 'each once, in order');
    assert.deepEqual(one.faults, []);
  }
  await bea.page.getByRole('button', { name: 'Sign out bea' }).click();
  await bea.page.getByLabel('Your name').waitFor(TIMEOUT);
  await ada.people(/1 person here.*ada \(you\)/);
  if (process.env.SCREENSHOT) await ada.page.screenshot({ path: process.env.SCREENSHOT });

  await ringdial.stop('SIGKILL').catch(() => {});
  await ada.page.locator('[role=status][data-state=reconnecting]').waitFor(TIMEOUT);
  await ada.say('into the dark');
  await ada.pending.filter({ hasText: 'into the dark' }).waitFor(TIMEOUT);
  // Another life, in whose log there is nothing of what was said.
  await begin(new URL(server).host).readyLine();
  await ada.reads('into the dark');
  await ada.settled();
  await ada.page.locator('[role=status][data-state=connected]').waitFor(TIMEOUT);
  await ada.page.getByText('Older messages are no longer kept.').waitFor(TIMEOUT);
  assert.deepEqual(await ada.texts(), ['the first to come', 'hello <b>Ada</b> 😀', 'back again', 'into the dark'], 'sent once more, and once');
});
