/** Clients that break the protocol get an `error` or the right close code; the node and everybody else are unharmed. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { RawConnection, clientFrame } from '../harness/raw.mjs';
import { Session } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';

const PROTOCOL = 4400;
const TOO_LARGE = 4413;

/** @type {import('../harness/cluster.mjs').Cluster} */
let ring;
/** @type {Crowd} the others, who must not notice anything */
let others;
before(async () => {
  // The others send after every test, however soon one follows the other: beyond what a session may send by default.
  ring = await cluster({ nodes: 2, flags: { node: MANY_SENDS } });
  others = await new Crowd(ring).join(names(8, 'other-'));
});
afterEach(async () => {
  await others.everyoneToEveryNode(2, 1);
  await others.settle();
  assert.deepEqual([...others.sessions.values()].filter((session) => session.closed), [], 'the others are unharmed');
  for (const node of ring.nodes) assert.ok(node.process.running, `${node.id} runs`);
});
after(() => ring.stop());

describe('frames that close the connection, after an error that says why', () => {
  const cases = {
    'bad JSON': ['{"op":"send",', PROTOCOL],
    'JSON that is no object': ['[1,2]', PROTOCOL],
    'an object without op': ['{"to":{}}', PROTOCOL],
    'an empty text': ['', PROTOCOL],
    'a binary frame': [Buffer.from('{"op":"pong"}'), PROTOCOL],
    'a message over 64 KiB': [JSON.stringify({ op: 'send', ref: 'x', to: { user: 'a' }, data: 'x'.repeat(70_000) }), TOO_LARGE],
    'a message of 10 MB, most of it under way when it is refused': [JSON.stringify({ op: 'send', ref: 'x', to: { user: 'a' }, data: 'x'.repeat(10_000_000) }), TOO_LARGE],
    'a second hello': ['{"op":"hello"}', PROTOCOL],
    'JSON nested without end': ['['.repeat(60_000), PROTOCOL],
  };
  for (const [what, [data, code]] of Object.entries(cases)) {
    test(`${what}: ${code}`, async () => {
      const session = await ring.connect('rough');
      session.sendRaw(/** @type {any} */ (data));
      assert.equal((await session.closing()).code, code);
      assert.match(session.errors.at(-1)?.code, /^[a-z_]+$/, JSON.stringify(session.frames));
    });
  }

  test('a frame before hello: 4400', async () => {
    const session = new Session(await ring.lookup('early'), { hello: false });
    session.socket.once('open', () => session.sendFrame({ op: 'send', ref: 1, to: { user: 'a' }, data: 1, ephemeral: true }));
    assert.equal((await session.closing()).code, PROTOCOL);
    assert.equal(session.welcome, undefined);
    assert.equal(session.errors.length, 1);
  });

  test('pong and unknown ops before hello: ignored', async () => {
    const session = new Session(await ring.lookup('newer'), { hello: false });
    session.socket.once('open', () => {
      for (const op of ['pong', 'a-later-op', 'hello']) session.sendFrame({ op, ref: op });
    });
    assert.equal((await session.frame('welcome')).user, 'newer');
    assert.deepEqual(session.errors, []);
    await session.close();
  });

  test('an op that is reserved, before hello: 4400', async () => {
    const session = new Session(await ring.lookup('early'), { hello: false });
    session.socket.once('open', () => session.sendFrame({ op: 'join', ref: 1, group: 'g' }));
    assert.equal((await session.closing()).code, PROTOCOL);
    assert.deepEqual(session.errors.map((error) => error.code), ['hello_expected']);
  });

  test('no hello within its time', { within_ms: 30_000 }, async () => {
    const session = new Session(await ring.lookup('silent'), { hello: false });
    const { code } = await session.closing(20_000);
    assert.ok(code === PROTOCOL || code === 4102, `closed with ${code}`);
  });
});

describe('frames that are answered with an error, and the session goes on', () => {
  const cases = {
    'a send to an id that is too long': { to: { user: 'x'.repeat(257) }, data: 1 },
    'a send to an empty id': { to: { user: '' }, data: 1 },
    'a send to an id with control characters': { to: { user: 'a\nb' }, data: 1 },
    'a send to no recipient': { to: {}, data: 1 },
    'a send to an unknown kind of recipient': { to: { planet: 'mars' }, data: 1 },
    'a send to over 1,000 users': { to: { users: Array.from({ length: 1001 }, (_, i) => `u${i}`) }, data: 1 },
    'a send to all without the permission': { to: { all: true }, data: 1 },
  };
  for (const [what, fields] of Object.entries(cases)) {
    test(what, async () => {
      const session = await ring.connect('clumsy');
      const error = await session.send({}, null, fields).then(() => assert.fail('acknowledged'), (error) => error);
      assert.match(error.code, /^[a-z_]+$/, String(error));
      assert.equal((await session.send({ user: 'clumsy' }, 'still here')).op, 'ack');
      assert.equal(session.closed, undefined);
    });
  }

  test('unknown ops and unknown fields are ignored', async () => {
    const session = await ring.connect('modern');
    session.sendFrame({ op: 'teleport', ref: 'r0', to: 'mars' });
    const ack = await session.send({ user: 'modern' }, 1, { future: { field: true } });
    assert.equal(ack.op, 'ack');
    await session.until('the message', () => session.inbox.length === 1);
    assert.deepEqual(session.frames.filter((frame) => !['welcome', 'ack', 'message', 'ping'].includes(frame.op)), []);
  });
});

test('more than 32 sends a second, after a burst of 64: rate_limited, and not everything is refused', async (t) => {
  const byDefault = await cluster({ nodes: 1 });
  t.after(() => byDefault.stop());
  const session = await byDefault.connect('eager');
  const answers = await Promise.allSettled(Array.from({ length: 200 }, () => session.send({ user: 'nobody-at-all' }, 1)));
  const refused = answers.filter((answer) => answer.status === 'rejected');
  assert.ok(answers.length - refused.length >= 64, `${answers.length - refused.length} of 200 taken`);
  assert.ok(refused.length >= 60, `${refused.length} refused`);
  if (!session.closed) assert.ok(session.errors.every((error) => error.temporary && error.retry_after_ms > 0), JSON.stringify(session.errors[0]));
  else assert.equal(session.closed.code, 4104);
});

describe('frames that no library sends', () => {
  const hello = clientFrame('{"op":"hello"}');
  const cases = {
    'an unmasked frame': clientFrame('{"op":"pong"}', { masked: false }),
    'a reserved bit': clientFrame('{"op":"pong"}', { reserved: 4 }),
    'an unknown opcode': clientFrame('x', { opcode: 3 }),
    'a fragmented ping': clientFrame('x', { opcode: 9, fin: false }),
    'a ping of 126 bytes': clientFrame('x'.repeat(126), { opcode: 9 }),
    'a continuation of nothing': clientFrame('x', { opcode: 0 }),
    'a new message inside a fragmented one': Buffer.concat([clientFrame('{', { fin: false }), clientFrame('{}')]),
    'text that is not UTF-8': clientFrame(Buffer.from([0x22, 0xff, 0xfe, 0x22])),
    'a length of 2^63 - 1': clientFrame('x', { length: 2n ** 63n - 1n }),
    'a declared length of 4 GiB': clientFrame('x', { length: 2n ** 32n }),
    'fragments without end': Buffer.concat([clientFrame('"', { fin: false }), ...Array.from({ length: 80 }, () => clientFrame('x'.repeat(1000), { opcode: 0, fin: false }))]),
    'a close frame of one byte': clientFrame('x', { opcode: 8 }),
  };
  for (const [what, bytes] of Object.entries(cases)) {
    test(`${what}: the connection ends with a close frame`, async () => {
      const raw = await RawConnection.upgraded(await ring.lookup('strange'));
      raw.write(hello);
      await raw.until('welcome', () => raw.text.includes('"welcome"'));
      raw.write(bytes);
      await raw.until('the close frame', () => raw.closeCode !== undefined);
      assert.ok([1002, 1007, 1009, PROTOCOL, TOO_LARGE].includes(raw.closeCode ?? 0), `closed with ${raw.closeCode}`);
      await raw.until('the end of the connection', () => raw.closed, 15_000);
    });
  }

  test('a good message in many pieces, byte by byte, is taken', async () => {
    const raw = await RawConnection.upgraded(await ring.lookup('slow'));
    for (const byte of hello) raw.write(Buffer.from([byte]));
    await raw.until('welcome', () => raw.text.includes('"welcome"'));
    const send = JSON.stringify({ op: 'send', ref: 'r1', to: { user: 'slow' }, data: 'in pieces', ephemeral: true });
    raw.write(clientFrame(send.slice(0, 10), { fin: false }));
    raw.write(clientFrame('are you there?', { opcode: 9 }));
    for (const byte of clientFrame(send.slice(10), { opcode: 0 })) raw.write(Buffer.from([byte]));
    await raw.until('the message', () => raw.text.includes('"in pieces"'));
    assert.ok(raw.frames.some((frame) => frame.opcode === 10 && frame.payload.toString() === 'are you there?'), 'a ping is answered in between');
    raw.end();
  });
});
