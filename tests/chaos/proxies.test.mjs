/** Where network namespaces are not permitted, proxies hold back what one host says to another: that they do, in each direction, with a server that repeats what it hears. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { until } from '../harness/until.mjs';
import { ProxySite } from './site.mjs';

/** What nobody hears in this time is held back: on loopback it needs a thousandth of it. */
const SILENCE_MS = 100;

/** A server that repeats whatever it hears. @param {import('node:test').TestContext} t @param {string} address */
async function echo(t, address) {
  const heard = { text: '' };
  const server = net.createServer((socket) => {
    t.after(() => socket.destroy());
    socket.on('data', (chunk) => (heard.text += chunk) && socket.write(chunk)).on('error', () => {});
  });
  const { port, hostname } = new URL(`tcp://${address}`);
  await new Promise((resolve) => server.listen(Number(port), hostname, () => resolve(undefined)));
  t.after(() => server.close());
  return { heard, port: /** @type {net.AddressInfo} */ (server.address()).port };
}

/** Dials; a peer with the head of a request that says who it is. @param {import('node:test').TestContext} t @param {string} address @param {string} [who] */
function dial(t, address, who) {
  const { port, hostname } = new URL(`tcp://${address}`);
  const socket = net.connect(Number(port), hostname);
  t.after(() => socket.destroy());
  const heard = { text: '' };
  socket.on('data', (chunk) => (heard.text += chunk)).on('error', () => {});
  const claims = Buffer.from(JSON.stringify({ iss: { id: who } })).toString('base64url');
  if (who) socket.write(`GET / HTTP/1.1\r\nAuthorization: Bearer x.${claims}.x\r\n\r\n`);
  return { socket, heard };
}

/** What comes of a word: whether the server heard it, and whether its answer came back. @param {ReturnType<typeof dial>} client @param {{ heard: { text: string } }} server @param {string} word */
async function say(client, server, word) {
  client.socket.write(word);
  await until('an answer', () => client.heard.text.includes(word), { within_ms: SILENCE_MS }).catch(() => {});
  return [server.heard.text.includes(word), client.heard.text.includes(word)];
}

/** @param {import('node:test').TestContext} t two hosts, and a Redis that repeats what it hears */
async function site(t) {
  const redis = await echo(t, '127.0.0.1:0');
  const site = await new ProxySite().begin();
  t.after(() => site.stop());
  const url = `redis://:secret@127.0.0.1:${redis.port}`;
  const hosts = await Promise.all(['n1', 'n2'].map((id) => site.host(id, /** @type {any} */ ({ port: redis.port, url }))));
  return { site, redis, hosts };
}

test('between two nodes, whoever dialled', { timeout: 10_000 }, async (t) => {
  const { site: wires } = await site(t);
  const { peerListen = '', flags: [, peerAddress] = [] } = wires.spec('n2');
  const n2 = await echo(t, peerListen);
  const n1 = dial(t, peerAddress, 'n1');
  await until('they reach each other', async () => (await say(n1, n2, 'first ')).every(Boolean));
  wires.drop('n1', 'n2');
  assert.deepEqual(await say(n1, n2, 'second '), [false, false], 'n1 -> n2');
  const n3 = dial(t, peerAddress, 'n3');
  await until('somebody else reaches n2', async () => (await say(n3, n2, 'other ')).every(Boolean));
  wires.mend('n1', 'n2');
  await until('what was held goes on its way', () => n1.heard.text.includes('second '));
  wires.drop('n2', 'n1');
  assert.deepEqual(await say(n1, n2, 'third '), [true, false], 'n2 -> n1');
  wires.drop('n1', 'n2');
  assert.deepEqual(await say(n1, n2, 'fourth '), [false, false], 'both');
  wires.mend('n2', 'n1');
  assert.deepEqual(await say(n1, n2, 'fifth '), [false, false], 'n1 -> n2 still');
  wires.mend('n1', 'n2');
  await until('all of it arrives', () => n1.heard.text.endsWith('first second third fourth fifth '));
});

test('between a node and Redis', { timeout: 10_000 }, async (t) => {
  const { site: wires, redis, hosts } = await site(t);
  // Redis's answers are read on their way: what is said is what Redis says.
  const [n1, n2] = hosts.map(({ redis = '' }) => dial(t, redis.replace(/.*@/, '')));
  await until('both reach it', async () => [...(await say(n1, redis, '+a1\r\n')), ...(await say(n2, redis, '+a2\r\n'))].every(Boolean));
  wires.drop('n1', 'redis');
  assert.deepEqual(await say(n1, redis, '+b1\r\n'), [false, false], 'n1 -> Redis');
  await until('the other node reaches it', async () => (await say(n2, redis, '+b2\r\n')).every(Boolean));
  wires.mend('n1', 'redis');
  await until('what was held goes on its way', () => n1.heard.text.includes('+b1\r\n'));
  wires.drop('redis', 'n1');
  assert.deepEqual(await say(n1, redis, '+c1\r\n'), [true, false], 'Redis -> n1');
  wires.mend('redis', 'n1');
  await until('the answer arrives', () => n1.heard.text.endsWith('+c1\r\n'));
});
