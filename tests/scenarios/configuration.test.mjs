/** Bad configuration: every mistake at once, exit 2, before any port opens. Ports that are taken; Redis that is not there. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe } from 'node:test';
import { binary } from '../harness/binaries.mjs';
import { freePort, isOpen } from '../harness/ports.mjs';
import { Process } from '../harness/process.mjs';
import { Redis } from '../harness/redis.mjs';
import { leaksIn, registerSecret } from '../harness/secrets.mjs';
import { test } from '../harness/test.mjs';
import { delay, within } from '../harness/until.mjs';

const SECRET = registerSecret('the cluster secret', 'a cluster secret of at least 32 bytes');
const JWT_SECRET = registerSecret("the application's secret", 'an application secret, 32 bytes or more');
const PROGRAMS = /** @type {const} */ (['lookup-service', 'ws-node', 'ringdial']);
/** What each needs at least, and no more. @type {Record<string, Record<string, string>>} */
const COMPLETE = {
  'lookup-service': { RINGDIAL_SECRET: SECRET, RINGDIAL_JWT_SECRET: JWT_SECRET, RINGDIAL_REDIS: 'redis://127.0.0.1:1' },
  'ws-node': { RINGDIAL_SECRET: SECRET, RINGDIAL_NODE_ID: 'n1', RINGDIAL_REDIS: 'redis://127.0.0.1:1' },
  ringdial: {},
};

/**
 * Runs a program to its end, and watches a port meanwhile.
 * @param {typeof PROGRAMS[number]} program @param {string[]} args @param {Record<string, string>} environment @param {number} [port]
 */
async function ended(program, args, environment, port) {
  const child = new Process(program, binary(program), args, environment);
  let opened = false;
  while (child.running && port !== undefined) {
    opened ||= await isOpen(port);
    await Promise.race([child.exited, delay(2)]);
  }
  try {
    const { code } = await within(`${program} ends`, child.exited, 20_000);
    return { code, opened, stdout: child.stdout, stderr: child.stderr };
  } finally {
    child.killNow();
  }
}

describe('every mistake is named at once, exit 2, and no port opens', () => {
  for (const program of PROGRAMS) {
    test(`${program}: flags and environment`, async () => {
      const port = await freePort();
      const args = ['--listen', `127.0.0.1:${port}`, '--admin-listen', 'not an address', '--max-connections', 'many'];
      const { code, opened, stderr } = await ended(program, args, { RINGDIAL_SECRET: 'hunter2', RINGDIAL_TYPPO: 'x' }, port);
      assert.equal(code, 2, stderr);
      assert.equal(opened, false);
      for (const mistake of [/admin-listen/, /max-connections/, /secret/i, /RINGDIAL_TYPPO/]) assert.match(stderr, mistake);
      assert.ok(!stderr.includes('hunter2'), 'a bad secret is a secret too');
    });

    test(`${program}: an unknown flag`, async () => {
      const { code, stderr } = await ended(program, ['--no-such-flag'], { RINGDIAL_SECRET: SECRET });
      assert.equal(code, 2);
      assert.match(stderr, /no-such-flag/);
    });

    test(`${program}: certificate files that are not there or not certificates`, async () => {
      const files = ['--tls-cert', '/no/such/file.pem', '--tls-key', '/etc/hostname'];
      const { code, stderr } = await ended(program, ['--listen', '127.0.0.1:0', ...files], COMPLETE[program]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /\/no\/such\/file\.pem/);
    });

    test(`${program} --help lists flags with defaults, exit 0`, async () => {
      const { code, stdout } = await ended(program, ['--help'], {});
      assert.equal(code, 0);
      for (const flag of ['--listen', '--admin-listen', '--secret']) assert.ok(stdout.includes(flag), flag);
      assert.match(stdout, /RINGDIAL_SECRET/);
      assert.match(stdout, /default/);
    });
  }

  test('a lookup service without any way to know its callers', async () => {
    const { code, stderr } = await ended('lookup-service', ['--listen', '127.0.0.1:0'], { RINGDIAL_SECRET: SECRET, RINGDIAL_REDIS: 'redis://127.0.0.1:1' });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /--insecure-ids/);
  });

  test('a Redis address that is none', async () => {
    const { code, stderr } = await ended('ws-node', ['--listen', '127.0.0.1:0', '--redis', 'http://somewhere'], { RINGDIAL_SECRET: SECRET });
    assert.equal(code, 2, stderr);
    assert.match(stderr, /redis/);
  });
});

describe('a Redis of a kind that is not supported is a mistake beside the others', () => {
  for (const program of /** @type {const} */ (['lookup-service', 'ws-node'])) {
    for (const url of ['redis://a:1,b:2', 'redis+sentinel://127.0.0.1:1/main', 'redis://:hunter2@127.0.0.1:port']) {
      test(`${program}: ${url}`, async () => {
        const port = await freePort();
        const args = ['--listen', `127.0.0.1:${port}`, '--redis', url, '--weight', '0', '--ticket-life-s', '0'];
        const { code, opened, stderr } = await ended(program, args, COMPLETE[program], port);
        assert.equal(code, 2, stderr);
        assert.equal(opened, false);
        for (const mistake of [/--redis: the value cannot be used: .*; write redis:/, /--(weight|ticket-life-s): "0" is out of range/]) assert.match(stderr, mistake);
        assert.ok(!stderr.includes('hunter2'), 'no password is shown');
      });
    }
  }
});

test('a port that is taken is named, exit 1', async (t) => {
  const server = http.createServer();
  const port = await freePort();
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  t.after(() => server.close());
  const redis = await Redis.start();
  t.after(() => redis.stop());
  for (const program of PROGRAMS) {
    const own = program === 'ringdial' ? ['--insecure-ids'] : ['--redis', redis.url, ...(program === 'ws-node' ? ['--node-id', 'n1'] : ['--insecure-ids'])];
    const { code, stderr } = await ended(program, ['--listen', `127.0.0.1:${port}`, '--admin-listen', '127.0.0.1:0', ...own], { RINGDIAL_SECRET: SECRET });
    assert.equal(code, 1, `${program}: ${stderr}`);
    assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port}`), program);
    assert.match(stderr, /code="bind_failed".* remedy="/, program);
  }
});

describe('no Redis at the start', () => {
  /** @param {typeof PROGRAMS[number]} program @param {number} port @param {number} wait_ms */
  const start = (program, port, wait_ms) => {
    const own = program === 'ws-node' ? ['--node-id', 'n1', '--peer-listen', '127.0.0.1:0'] : ['--insecure-ids'];
    const args = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--redis', `redis://127.0.0.1:${port}`, '--redis-wait', `${wait_ms}ms`, ...own];
    return new Process(program, binary(program), args, { RINGDIAL_SECRET: SECRET });
  };

  for (const program of /** @type {const} */ (['lookup-service', 'ws-node'])) {
    test(`${program} says so, tries again, and gives up after --redis-wait with exit 1`, { within_ms: 30_000 }, async () => {
      const port = await freePort();
      const startedAt = Date.now();
      const child = start(program, port, 3000);
      const { code } = await within('the end', child.exited, 20_000);
      assert.equal(code, 1, child.stderr);
      assert.ok(Date.now() - startedAt >= 2_500, 'it waited');
      const lines = child.stderr.split('\n').filter((line) => line.toLowerCase().includes('redis') && line.includes(String(port)));
      assert.ok(lines.length >= 2, child.stderr);
      assert.match(child.stderr, /ERROR .*code="store_unreachable".* remedy="start the Redis server/);
      assert.deepEqual(child.ready, []);
    });
  }

  test('a Redis that comes within the wait is taken', { within_ms: 60_000 }, async (t) => {
    const redis = new Redis(await freePort());
    const args = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--redis', redis.url, '--redis-wait', '30s', '--node-id', 'n1', '--peer-listen', '127.0.0.1:0'];
    const child = new Process('ws-node', binary('ws-node'), args, { RINGDIAL_SECRET: SECRET });
    t.after(() => child.killNow());
    await delay(500);
    assert.deepEqual(child.ready, [], 'not ready without Redis');
    await redis.begin();
    t.after(() => redis.stop());
    assert.equal((await child.readyLine(() => true, 40_000)).node, 'n1');
    assert.deepEqual(leaksIn(child.stderr), []);
  });
});
