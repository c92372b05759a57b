/**
 * A toy Ringdial in one process, with faults on demand: it exists to prove that the harness sees each of them. It hashes
 * with the harness's own ring and checks no tokens.
 */
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { WebSocketServer } from 'ws';
import { claimsOf, makeJwt } from './jwt.mjs';
import { BalancedRing, userSlot } from './ring.mjs';

/** @typedef {'none' | 'lose' | 'duplicate' | 'misdeliver' | 'reorder' | 'alter' | 'wrong home'} Fault */

/**
 * @param {number} count of nodes @param {Fault} [fault]
 * @param {(socket: import('ws').WebSocket, claims: Record<string, any>) => void} [serveOtherwise] instead of the toy protocol here
 */
export async function startFake(count, fault = 'none', serveOtherwise) {
  const key = Uint8Array.from(randomBytes(16));
  const ring = new BalancedRing(key);
  /** @type {Map<string, Set<import('ws').WebSocket>>} user -> sockets, on whichever node */
  const users = new Map();
  const nodes = [];
  for (let i = 1; i <= count; i++) {
    ring.join(`n${i}`);
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'ringdial.v1' });
    await new Promise((resolve) => server.once('listening', resolve));
    server.on('connection', (socket, request) => {
      const claims = claimsOf(ticketOf(request));
      socket.on('error', () => {});
      if (serveOtherwise) serveOtherwise(socket, claims);
      else serve(socket, claims.sub);
    });
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    nodes.push({ id: `n${i}`, url: `ws://127.0.0.1:${port}/ws`, server });
  }
  const homeOf = (/** @type {string} */ id) => nodes[(ring.holders[userSlot(key, id)] + (fault === 'wrong home' ? 1 : 0)) % count];

  /** @param {import('ws').WebSocket} socket @param {string} user */
  function serve(socket, user) {
    users.set(user, (users.get(user) ?? new Set()).add(socket));
    socket.on('close', () => users.get(user)?.delete(socket));
    socket.on('message', (data) => {
      const frame = JSON.parse(data.toString());
      const say = (/** @type {object} */ answer) => socket.send(JSON.stringify(answer));
      if (frame.op === 'hello') say({ op: 'welcome', user, session: 's' });
      if (frame.op !== 'send') return;
      for (const to of frame.to.users ?? [frame.to.user]) pass(user, to, frame.data);
      say({ op: 'ack', ref: frame.ref });
    });
  }

  let messages = 0;
  /** @type {(() => void) | undefined} a first message that waits until the second has passed it */
  let held;
  /** Every 50th message meets the fault. @param {string} from @param {string} to @param {any} data */
  function pass(from, to, data) {
    const struck = ++messages % 50 === 0 ? fault : 'none';
    const altered = struck === 'alter' ? { ...data, text: 'something else' } : data;
    const reader = struck === 'misdeliver' ? from : to;
    const text = JSON.stringify({ op: 'message', topic: `u:${to}`, from, data: altered });
    const deliver = () => users.get(reader)?.forEach((socket) => socket.send(text));
    if (struck === 'lose') return;
    if (fault === 'reorder' && !held && data.seq === 1) return void (held = deliver);
    deliver();
    if (struck === 'duplicate') deliver();
    if (held && data.seq === 2) held = void held();
  }

  const lookup = http.createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://fake');
    const claims = pathname === '/ring' ? {} : claimsOf(String(request.headers.authorization));
    const id = searchParams.get('id') ?? String(claims.sub);
    const runs = () => [...ring.holders].map((holder) => [holder, 1]);
    const answer = pathname === '/ring'
      ? { version: 1, signature: ring.signature, ring_key: Buffer.from(key).toString('hex'), nodes: nodes.map(({ id, url }, index) => ({ id, url, index })), holders: runs() }
      : grant(id, homeOf(id), claims);
    response.end(JSON.stringify(answer));
  });
  await new Promise((resolve) => lookup.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (lookup.address());
  const stop = () => {
    lookup.close();
    for (const { server } of nodes) server.clients.forEach((client) => client.terminate()), server.close();
  };
  return { url: `http://127.0.0.1:${port}`, nodes: nodes.map(({ id, url }) => ({ id, url })), stop };
}

/** @param {string} id @param {{ id: string, url: string }} node @param {Record<string, unknown>} claims */
function grant(id, node, claims) {
  const ticket = makeJwt({ ...claims, sub: id }, 'fake');
  return { id, node: node.id, url: node.url, ticket, protocols: ['ringdial.v1', `ticket.${ticket}`] };
}

/** @param {import('node:http').IncomingMessage} request */
const ticketOf = (request) => String(request.headers['sec-websocket-protocol']).split('ticket.')[1];
