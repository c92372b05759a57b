/** A headless Chromium, driven by playwright-core, that talks to nobody but the processes under test. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const EXECUTABLE = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => existsSync(file));
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/**
 * @param {import('node:test').TestContext} t it is closed after this test
 * @param {{ remembersPages?: boolean }} [options] whether pages that are left are kept for whoever comes back, as users have it; Playwright has it not
 * @returns {Promise<import('playwright-core').Browser>}
 */
export async function browser(t, { remembersPages = false } = {}) {
  const ignoreDefaultArgs = remembersPages ? ['--disable-back-forward-cache'] : [];
  const launched = await chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS, ignoreDefaultArgs, headless: true });
  t.after(() => launched.close());
  return launched;
}

/**
 * A page in a context of its own (as another person's browser), with whatever goes wrong in it collected.
 * @param {import('playwright-core').Browser} launched @param {string} url
 */
export async function person(launched, url) {
  const page = await (await launched.newContext()).newPage();
  /** @type {string[]} */
  const faults = [];
  page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && faults.push(`console: ${message.text()}`));
  page.on('request', (request) => new URL(request.url()).hostname !== '127.0.0.1' && faults.push(`asked a stranger: ${request.url()}`));
  await page.goto(url);
  return { page, faults };
}
