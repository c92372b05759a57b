/** The protocol client of the harness against a scripted server: what it keeps, what it answers, how it fails. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import test from 'node:test';
import { WebSocketServer } from 'ws';
import { RawConnection, clientFrame } from './raw.mjs';
import { ClosedError, RefusedError, Session } from './session.mjs';

/** @type {WebSocketServer} */
let server;
/** @type {import('./session.mjs').Grant} */
let grant;
/** @type {any[]} the frames that the server got, and each connection's request */
let got;

before(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'ringdial.v1' });
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', (socket, request) => {
    got = [request.headers, request.url];
    socket.on('error', () => {});
    socket.on('message', (data) => script(socket, JSON.parse(data.toString())));
  });
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  grant = { id: 'alice', node: 'n1', url: `ws://127.0.0.1:${port}/ws`, ticket: 'a.b.c', protocols: ['ringdial.v1', 'ticket.a.b.c'] };
});
after(() => {
  for (const client of server.clients) client.terminate();
  server.close();
});

/** @param {import('ws').WebSocket} socket @param {any} frame */
function script(socket, frame) {
  got.push(frame);
  const say = (/** @type {object} */ answer) => socket.send(JSON.stringify(answer));
  if (frame.op === 'hello') say({ op: 'welcome', user: 'alice' });
  else if (frame.data === 'echo') say({ op: 'message', data: 1 }), say({ op: 'ack', ref: frame.ref });
  else if (frame.data === 'refuse') say({ op: 'error', ref: frame.ref, code: 'no', message: 'n', temporary: false });
  else if (frame.data === 'ping') say({ op: 'ping' }), say({ op: 'ack', ref: frame.ref });
  else if (frame.data === 'close') say({ op: 'error', code: 'late', message: 'm', temporary: true }), socket.close(4105, 'ticket');
}

test('hello, welcome, acks and messages', async () => {
  const session = await Session.open(grant);
  assert.equal(session.welcome?.user, 'alice');
  assert.equal((await session.send({ user: 'bob' }, 'echo')).op, 'ack');
  assert.deepEqual(session.inbox, [{ op: 'message', data: 1 }]);
  assert.deepEqual(got.at(-1), { op: 'send', ref: 'r1', to: { user: 'bob' }, data: 'echo', ephemeral: true });
  await assert.rejects(session.send({ user: 'bob' }, 'refuse'), (error) => error instanceof RefusedError && error.code === 'no');
  await session.send({ user: 'bob' }, 'ping');
  await session.send({ user: 'bob' }, 'echo');
  assert.ok(got.some((frame) => frame.op === 'pong'));
  assert.equal((await session.close()).code, 1000);
});

test('a close ends every wait, with its code and the error before it', async () => {
  const session = await Session.open(grant);
  const awaited = session.until('the impossible', () => false);
  const sent = session.send({ user: 'bob' }, 'close');
  await assert.rejects(awaited, (error) => error instanceof ClosedError && error.code === 4105);
  await assert.rejects(sent, ClosedError);
  await assert.rejects(session.send({ user: 'bob' }, 'echo'), ClosedError, 'a send after the end');
  assert.deepEqual([session.closed?.code, session.errors[0].code], [4105, 'late']);
});

test('the ticket travels as asked', async () => {
  for (const [ticketBy, check] of /** @type {const} */ ([
    ['protocol', () => got[0]['sec-websocket-protocol'] === 'ringdial.v1,ticket.a.b.c'],
    ['header', () => got[0].authorization === 'Bearer a.b.c'],
    ['query', () => got[1] === '/ws?ticket=a.b.c'],
  ])) {
    const session = await Session.open(grant, { ticketBy });
    assert.ok(check(), `${ticketBy}: ${JSON.stringify(got.slice(0, 2))}`);
    await session.close();
  }
});

test('a node that is not there is a close and not a hang', async () => {
  const session = new Session({ ...grant, url: 'ws://127.0.0.1:9/ws' });
  assert.equal((await session.closing()).code, 1006);
});

test('raw frames are well-formed where they are meant to be, and faulty where not', async () => {
  const raw = await RawConnection.upgraded(grant);
  raw.write(clientFrame('{"op":"hello"}'));
  await raw.until('welcome', () => raw.frames.length === 1);
  assert.deepEqual(JSON.parse(raw.frames[0].payload.toString()), { op: 'welcome', user: 'alice' });
  raw.write(clientFrame(JSON.stringify({ op: 'send', data: 'x'.repeat(70_000) })));
  raw.write(clientFrame(JSON.stringify({ op: 'send', data: 'x'.repeat(200) })));
  await raw.until('both long frames', () => true);
  raw.write(clientFrame('{}', { masked: false }));
  await raw.until('the close', () => raw.closeCode !== undefined);
  assert.equal(raw.closeCode, 1002);
  assert.deepEqual(got.slice(2).map((frame) => frame.data?.length), [undefined, 70_000, 200]);
  raw.end();
});
