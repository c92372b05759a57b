/** Clients that fall silent or stop reading are let go, with the code that says so; the others notice nothing. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { RawConnection, clientFrame } from '../harness/raw.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const SLOW_CONSUMER = 4101;
const HEARTBEAT_LOST = 4102;

test('a client that answers no ping is closed with 4102, one that does stays', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: 1, flags: { node: ['--heartbeat', '500ms'] } });
  t.after(() => ring.stop());
  const alive = await ring.connect('alive');
  assert.equal(alive.welcome?.heartbeat_ms, 500);
  const silent = await ring.connect('silent', { answerPings: false });
  const busy = await ring.connect('busy', { answerPings: false });
  const pongs = setInterval(() => busy.sendFrame({ op: 'pong', unasked: true }), 100);
  t.after(() => clearInterval(pongs));
  assert.equal((await silent.closing(15_000)).code, HEARTBEAT_LOST);
  assert.ok(silent.frames.some((frame) => frame.op === 'ping'));
  const pings = () => alive.frames.filter((frame) => frame.op === 'ping').length;
  await alive.until('three pings answered', () => pings() >= 3, 15_000);
  assert.deepEqual([alive.closed, busy.closed], [undefined, undefined], 'any frame counts as an answer');
});

test('a client that takes nothing is closed as a slow consumer, and its sender is not held up', { within_ms: 90_000 }, async (t) => {
  const ring = await cluster({ nodes: 2, flags: { node: MANY_SENDS } });
  t.after(() => ring.stop());
  const grant = await ring.lookup('sleeper');
  const sleeper = await RawConnection.upgraded(grant);
  sleeper.write(clientFrame('{"op":"hello"}'));
  await sleeper.until('welcome', () => sleeper.text.includes('"welcome"'));
  sleeper.socket.pause();
  const sender = await ring.connect('sender');
  const other = await ring.connect('other');
  const data = 'x'.repeat(60_000);
  for (let i = 0; i < 300; i++) await sender.send({ user: 'sleeper' }, data);
  await sender.send({ user: 'other' }, 'not held up');
  await other.until('the message', () => other.inbox.length === 1);
  sleeper.socket.resume();
  await until('the end of the slow connection', () => sleeper.closed || sleeper.closeCode !== undefined, { within_ms: 30_000 });
  if (sleeper.closeCode !== undefined) assert.equal(sleeper.closeCode, SLOW_CONSUMER);
  assert.deepEqual([sender.closed, other.closed], [undefined, undefined]);
});

test('a session ends with the application\'s token', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: 1 });
  t.after(() => ring.stop());
  const exp = Math.floor(Date.now() / 1000) + 3;
  const session = await ring.connect('short-lived', { claims: { exp } });
  const lasting = await ring.connect('lasting');
  assert.equal((await session.closing(30_000)).code, 4401);
  assert.ok(Date.now() / 1000 >= exp, 'not before its end');
  assert.equal(lasting.closed, undefined);
});
