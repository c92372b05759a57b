/** The harness itself: processes, ports, Redis, tokens, waiting, the search for secrets. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import test from 'node:test';
import { request } from './http.mjs';
import { claimsOf, makeJwt, makeUnsignedJwt, tamperedJwt } from './jwt.mjs';
import { freePort, isOpen } from './ports.mjs';
import { Process } from './process.mjs';
import { TcpProxy } from './proxy.mjs';
import { RawConnection } from './raw.mjs';
import { Redis } from './redis.mjs';
import { assertNoSecretsIn, leaksIn, registerSecret, registerToken } from './secrets.mjs';
import { makeAuthority } from './tls.mjs';
import { DeadlineError, until, within } from './until.mjs';

const node = (/** @type {string} */ script) => new Process('script', process.execPath, ['-e', script]);

test('a ready line is found among other output, even in pieces', async () => {
  const child = node(`
    console.log('hello'); process.stdout.write('{"event":"liste');
    setTimeout(() => process.stdout.write('ning","role":"x","url":"u"}\\n{"event":"other"}\\n'), 20);
    setInterval(() => {}, 1000);`);
  assert.deepEqual(await child.readyLine(), { event: 'listening', role: 'x', url: 'u' });
  assert.deepEqual(await child.stop('SIGTERM'), { code: null, signal: 'SIGTERM' });
});

test('a process that ends before it is ready is told with its log', async () => {
  const child = node('console.error("no such flag"); process.exit(2)');
  await assert.rejects(child.readyLine(), /ended before it was ready: {"code":2,"signal":null}\n.*no such flag/s);
});

test('a program that is not there is an error and not a hang', async () => {
  await assert.rejects(new Process('none', '/no/such/program', []).readyLine(), /ended before it was ready/);
});

test('a process that ignores its end is killed, and that is an error', async () => {
  const child = node('process.on("SIGTERM", () => {}); console.log(`{"event":"listening"}`); setInterval(() => {}, 1000)');
  await child.readyLine();
  await assert.rejects(child.stop('SIGTERM', 200), DeadlineError);
  assert.equal((await child.exited).signal, 'SIGKILL');
});

test('a process does not outlive a test file that is killed', async () => {
  const module = new URL('./process.mjs', import.meta.url).href;
  const script = `import { Process } from '${module}';
    const child = new Process('child', process.execPath, ['-e', 'console.log("x"); setInterval(() => {}, 1000)']);
    child.child.stdout.once('data', () => console.log(child.pid));`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
  assert.ok(pid > 0);
  parent.kill('SIGKILL');
  await until(`process ${pid} ends with its parent`, () => !alive(pid));
});

test('variables of the caller do not configure a process under test', async () => {
  process.env.RINGDIAL_SECRET = 'of the caller';
  const child = new Process('env', process.execPath, ['-e', 'console.log(JSON.stringify([process.env.RINGDIAL_SECRET, process.env.RINGDIAL_REDIS]))'], { RINGDIAL_REDIS: 'mine' });
  await child.exited;
  delete process.env.RINGDIAL_SECRET;
  assert.equal(child.stdout, '[null,"mine"]\n');
});

test('a private Redis stops, comes back empty on its port, and pauses', async () => {
  const redis = await Redis.start();
  assert.equal(await redis.command('SET', 'a', '1'), 'OK');
  await redis.end('SIGKILL');
  assert.equal(await isOpen(redis.port), false);
  await redis.begin();
  assert.equal(await redis.command('GET', 'a'), '');
  redis.pause();
  await assert.rejects(within('an answer', redis.command('PING'), 300), DeadlineError);
  redis.resume();
  await until('it answers again', async () => (await redis.command('PING')) === 'PONG');
  await redis.stop();
  assert.equal(await isOpen(redis.port), false);
});

test('a Redis that keeps its data has it after SIGKILL; another begins with an older copy', async () => {
  const keeping = await Redis.start({ keeps: true });
  await keeping.command('SET', 'a', '1');
  await keeping.end('SIGKILL');
  await keeping.begin();
  assert.equal(await keeping.command('GET', 'a'), '1');
  const other = await Redis.start();
  await other.command('SET', 'a', 'old');
  const from = await other.copy();
  await other.command('SET', 'a', 'new');
  await other.end('SIGKILL');
  await other.begin({ from });
  assert.equal(await other.command('GET', 'a'), 'old');
  await other.end('SIGKILL');
  await other.begin();
  assert.equal(await other.command('GET', 'a'), '');
  await Promise.all([keeping.stop(), other.stop()]);
});

test('a proxy passes on, cuts, freezes and mends', async (t) => {
  const server = net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  t.after(() => server.close());
  const proxy = await TcpProxy.to(/** @type {net.AddressInfo} */ (server.address()).port);
  t.after(() => proxy.stop());
  const echo = async (/** @type {RawConnection} */ raw, /** @type {string} */ text) => {
    raw.write(text);
    await until(`the echo of ${text}`, () => raw.text.endsWith(text), { within_ms: 300 });
  };
  const first = await RawConnection.to(proxy.address);
  await echo(first, 'one');
  proxy.freeze();
  await assert.rejects(echo(first, 'two'), DeadlineError);
  const frozen = await RawConnection.to(proxy.address);
  await assert.rejects(echo(frozen, 'x'), DeadlineError);
  proxy.mend();
  await Promise.all([until('two', () => first.text === 'onetwo'), until('x', () => frozen.text === 'x')]);
  proxy.cut();
  await until('both are cut', () => first.closed && frozen.closed);
  const refused = await RawConnection.to(proxy.address);
  await until('a new one is cut, too', () => refused.closed);
  proxy.mend();
  const last = await RawConnection.to(proxy.address);
  await echo(last, 'three');
  last.end();
});

test('a free port is free', async () => {
  const port = await freePort();
  const server = http.createServer((_, response) => response.end('"here"'));
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  assert.equal(await isOpen(port), true);
  assert.equal((await request(`http://127.0.0.1:${port}/`)).json, 'here');
  server.close();
});

test('a token is signed as RFC 7515 says', () => {
  const token = makeJwt({ sub: 'alice', exp: undefined }, 'secret');
  const [header, body, signature] = token.split('.');
  assert.equal(createHmac('sha256', 'secret').update(`${header}.${body}`).digest('base64url'), signature);
  assert.deepEqual(Object.keys(claimsOf(token)), ['iat', 'sub']);
  assert.equal(claimsOf(tamperedJwt(token, { sub: 'bob' })).sub, 'bob');
  assert.match(makeUnsignedJwt({ sub: 'alice' }), /\.$/);
});

test('secrets are found in logs, and not repeated', () => {
  registerSecret('the password', 'hunter2hunter2');
  const token = registerToken(makeJwt({ sub: 'alice' }, 'x'));
  assert.deepEqual(leaksIn('all is well\nreally'), []);
  assert.deepEqual(leaksIn('login with hunter2hunter2 failed'), ['the password in: login with [secret] failed']);
  assert.deepEqual(leaksIn(`GET /ws?ticket=${token}`), ['a token or ticket in: GET /ws?ticket=[token]']);
  assert.equal(leaksIn(`signature=${token.split('.')[2]}`).length, 1);
  assert.throws(() => assertNoSecretsIn([{ name: 'n1', stderr: '', stdout: 'hunter2hunter2' }]), /1 secrets in logs:\nn1: the password/);
});

test('waiting tells what was awaited and what was seen', async () => {
  assert.equal(await until('two', () => 2), 2);
  await assert.rejects(until('the moon', () => { throw new Error('clouds'); }, { within_ms: 30 }), /not within 30 ms: the moon; last: clouds/);
});

test('the authority signs a certificate that openssl accepts', async () => {
  const authority = makeAuthority();
  const verify = new Process('openssl', 'openssl', ['verify', '-CAfile', `${authority.directory}/ca.pem`, authority.cert]);
  assert.equal((await verify.exited).code, 0, verify.stderr);
  authority.remove();
});

/** @param {number} pid */
function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
