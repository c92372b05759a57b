/** People and groups talk in Chromium pages served by the embedded default, each told which node holds them. */
import assert from 'node:assert/strict';
import { browser, person } from '../harness/browser.mjs';
import { binary } from '../harness/binaries.mjs';
import { cluster } from '../harness/cluster.mjs';
import { request } from '../harness/http.mjs';
import { Process } from '../harness/process.mjs';
import { RingDocument } from '../harness/ring.mjs';
import { test } from '../harness/test.mjs';

const TIMEOUT = { timeout: 15_000 };
const API_KEY = 'a-key-of-the-back-end-of-32-bytes-at-least';
/** What Chromium says of what cannot be reached. */
const UNREACHED = /ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED/;
/** What Chromium says of the WebSocket of a page that it keeps for whoever comes back. */
const KEPT = /WebSocket connection to .* failed: Page entered Back-Forward Cache/;

/** Somebody opens the page and talks to somebody. @param {import('playwright-core').Browser} chromium @param {string} url @param {string} me @param {string} to */
async function talker(chromium, url, me, to) {
  const { page, faults } = await person(chromium, url);
  await page.fill('#me', me);
  await page.fill('#to', to);
  await page.click('#join button');
  await page.locator('#status[data-state=connected]').waitFor(TIMEOUT);
  const say = async (/** @type {string} */ text) => {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
  };
  const reads = (/** @type {string} */ text) => page.locator('#messages .theirs', { hasText: text }).waitFor(TIMEOUT);
  const lines = () => page.locator('#messages .theirs p').allTextContents();
  const status = () => page.locator('#status').textContent();
  return { page, faults, say, reads, lines, status };
}

/** `ringdial` as a newcomer starts it. @param {import('node:test').TestContext} t */
async function ringdial(t, args = ['--listen', '127.0.0.1:0']) {
  const process = new Process('ringdial', binary('ringdial'), args);
  t.after(() => process.stop('SIGTERM', 40_000));
  return (await process.readyLine()).url ?? '';
}

/** Two names with different homes. @param {string} url @returns {Promise<[RingDocument, string, string]>} */
async function strangers(url) {
  const ring = new RingDocument((await request(`${url}/ring`)).json);
  const [ada, ...others] = ['ada', ...Array.from({ length: 50 }, (_, i) => `guest-${i}`)];
  return [ring, ada, others.find((name) => ring.home(name) !== ring.home(ada)) ?? ''];
}

test('two pages talk to each other across nodes', { within_ms: 120_000 }, async (t) => {
  const url = await ringdial(t);
  const chromium = await browser(t);
  const [ring, ada, bea] = await strangers(url);
  const [one, other] = [await talker(chromium, url, ada, bea), await talker(chromium, url, bea, ada)];
  assert.equal(await one.status(), `${ada}: connected to ${ring.home(ada)}`);
  assert.equal(await other.status(), `${bea}: connected to ${ring.home(bea)}`);

  await one.say('Hello from the first page');
  await other.reads('Hello from the first page');
  await other.say('Grüße zurück 😀');
  await one.reads('Grüße zurück 😀');
  await one.say('<img src=x onerror="document.title=1">');
  await other.reads('<img src=x');
  assert.deepEqual(await other.lines(), ['Hello from the first page', '<img src=x onerror="document.title=1">'], 'each once, in order, as text');
  assert.deepEqual(await one.lines(), ['Grüße zurück 😀']);
  assert.equal(await other.page.locator('#messages img').count(), 0);
  assert.deepEqual([...one.faults, ...other.faults], []);
});

test('a page that is reloaded is back and reachable', { within_ms: 120_000 }, async (t) => {
  const url = await ringdial(t);
  const chromium = await browser(t);
  const [, ada, bea] = await strangers(url);
  const [one, other] = [await talker(chromium, url, ada, bea), await talker(chromium, url, bea, ada)];
  await other.page.reload();
  await other.page.locator('#status[data-state=connected]').waitFor(TIMEOUT);
  await one.say('welcome back');
  await other.reads('welcome back');
  assert.deepEqual([...one.faults, ...other.faults], []);
});

test('what was said while a window was closed is there when it is opened', { within_ms: 120_000 }, async (t) => {
  const url = await ringdial(t);
  const chromium = await browser(t);
  const [, ada, bea] = await strangers(url);
  const one = await talker(chromium, url, ada, bea);
  await one.say('nobody is there');
  await one.page.locator('#messages .mine', { hasText: 'stored as number 1' }).waitFor(TIMEOUT);
  const other = await talker(chromium, url, bea, ada);
  await other.reads('nobody is there');
  await one.say('now you are');
  await other.reads('now you are');
  assert.deepEqual(await other.lines(), ['nobody is there', 'now you are'], 'each once, in order');
  assert.deepEqual([...one.faults, ...other.faults], []);
});

test('a page without a network is back as soon as there is one again', { within_ms: 120_000 }, async (t) => {
  const url = await ringdial(t, ['--listen', '127.0.0.1:0', '--insecure-ids', '--api-key', API_KEY, '--drain-deadline', '1s']);
  const chromium = await browser(t);
  const [ring, ada, bea] = await strangers(url);
  const [one, other] = [await talker(chromium, url, ada, bea), await talker(chromium, url, bea, ada)];
  await other.page.context().setOffline(true);
  // Chromium keeps a connection that it has. Its node goes, and there is no way to another one.
  const { status } = await request(`${url}/v1/nodes/${ring.home(bea)}/drain`, { method: 'POST', headers: { authorization: `Bearer ${API_KEY}` } });
  assert.equal(status, 202);
  await other.page.locator('#status[data-state=reconnecting]').waitFor(TIMEOUT);
  for (const text of ['one', 'two', 'three']) await one.say(text);
  await one.page.locator('#messages .mine', { hasText: 'stored as number 3' }).waitFor(TIMEOUT);
  assert.deepEqual(await other.lines(), [], 'nothing gets there');
  await other.page.context().setOffline(false);
  await other.reads('three');
  assert.deepEqual(await other.lines(), ['one', 'two', 'three'], 'each once, in order');
  const [unreached, faults] = [other.faults.filter((fault) => UNREACHED.test(fault)), other.faults.filter((fault) => !UNREACHED.test(fault))];
  assert.ok(unreached.length > 0, 'it was without a network');
  assert.deepEqual([...one.faults, ...faults], []);
});

test('a page that was frozen has all that was said', { within_ms: 120_000 }, async (t) => {
  const url = await ringdial(t);
  const chromium = await browser(t);
  const [, ada, bea] = await strangers(url);
  const [one, other] = [await talker(chromium, url, ada, bea), await talker(chromium, url, bea, ada)];
  const developer = await other.page.context().newCDPSession(other.page);
  await developer.send('Page.setWebLifecycleState', { state: 'frozen' });
  await one.say('are you asleep?');
  await one.page.locator('#messages .mine', { hasText: 'stored as number 1' }).waitFor(TIMEOUT);
  await developer.send('Page.setWebLifecycleState', { state: 'active' });
  await other.reads('are you asleep?');
  assert.deepEqual(await other.lines(), ['are you asleep?'], 'each once, in order');
  assert.deepEqual([...one.faults, ...other.faults], []);
});

test('a page that comes back from the back/forward cache, without its connection, has all that was said', { within_ms: 120_000 }, async (t) => {
  const url = await ringdial(t);
  const chromium = await browser(t, { remembersPages: true });
  const [, ada, bea] = await strangers(url);
  const [one, other] = [await talker(chromium, url, ada, bea), await talker(chromium, url, bea, ada)];
  await one.say('before');
  await other.reads('before');
  await other.page.evaluate(watchShown);
  await other.page.goto('about:blank');
  await one.say('and now?');
  await one.page.locator('#messages .mine', { hasText: 'stored as number 2' }).waitFor(TIMEOUT);
  // Nothing is loaded, so there is nothing to wait for but that it is there.
  await other.page.goBack({ waitUntil: 'commit' });
  await other.reads('and now?');
  assert.deepEqual(await other.page.evaluate(() => Reflect.get(window, 'shown')), [{ persisted: true }], 'the very page that was left');
  assert.deepEqual(await other.lines(), ['before', 'and now?'], 'each once, in order');
  await other.say('here I am');
  await one.reads('here I am');
  assert.deepEqual(one.faults, []);
  assert.deepEqual(other.faults.map((fault) => KEPT.test(fault)), [true], 'Chromium says that it ended the connection, and nothing else');
});

/** Runs in the page: how it is shown from now on. */
function watchShown() {
  /** @type {{ persisted: boolean }[]} */
  const shown = [];
  Reflect.set(window, 'shown', shown);
  addEventListener('pageshow', ({ persisted }) => shown.push({ persisted }));
}

test('pages meet in a group', { within_ms: 120_000 }, async (t) => {
  const url = await ringdial(t);
  const chromium = await browser(t);
  const [, ada, bea] = await strangers(url);
  const one = await talker(chromium, url, ada, 'g:lobby');
  await one.say('first');
  await one.page.locator('#messages .mine', { hasText: 'stored as number 1' }).waitFor(TIMEOUT);
  const other = await talker(chromium, url, bea, 'g:lobby');
  await other.reads('first');
  await other.say('second');
  await one.reads('second');
  await one.page.locator('#roster', { hasText: `${[ada, bea].sort().join(', ')}` }).waitFor(TIMEOUT);
  assert.deepEqual(await one.lines(), ['second'], 'what it said itself is not repeated');
  assert.deepEqual(await other.lines(), ['first']);
  assert.deepEqual([...one.faults, ...other.faults], []);
});

test('a browser connects to a real cluster with nothing but fetch and WebSocket', { within_ms: 120_000 }, async (t) => {
  const ring = await cluster({ nodes: 2 });
  t.after(() => ring.stop());
  const chromium = await browser(t);
  const { page } = await person(chromium, `${ring.lookups[0].url}/ring`);
  const sender = await ring.connect('sender');
  const received = page.evaluate(twoSteps, { url: `${ring.lookups[0].url}/lookup`, token: ring.token('browser') });
  const deliver = setInterval(() => !sender.closed && sender.send({ user: 'browser' }, 'to the browser').catch(() => {}), 100);
  t.after(() => clearInterval(deliver));
  assert.deepEqual(await received, { protocol: 'ringdial.v1', data: 'to the browser' });
});

/** Runs in the page: the two steps, as short as they can be. @param {{ url: string, token: string }} where */
async function twoSteps({ url, token }) {
  const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  const grant = await answer.json();
  const socket = new WebSocket(grant.url, grant.protocols);
  socket.onopen = () => socket.send(JSON.stringify({ op: 'hello' }));
  return new Promise((resolve, reject) => {
    socket.onclose = (event) => reject(new Error(`closed ${event.code}`));
    socket.onmessage = (event) => {
      const frame = JSON.parse(event.data);
      if (frame.op === 'message') resolve({ protocol: socket.protocol, data: frame.data });
    };
  });
}
