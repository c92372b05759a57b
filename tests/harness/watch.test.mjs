/** The watch sees what must never be seen, and the wire's sieve takes out messages and nothing else: both against fakes. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { Resp3Sieve } from './resp3.mjs';
import { delay } from './until.mjs';
import { Watch } from './watch.mjs';

const NODE = { id: 'n1', url: 'ws://127.0.0.1:5/ws', peer: '127.0.0.1:6', process: { running: true } };

/**
 * Watches a fake lookup service with one fake node for a while. @param {import('node:test').TestContext} t
 * @param {{ rings: { version: number, signature?: string, url?: string }[], nodes?: number[], lookup?: object, status?: number }} story rings and versions told, one after the other
 */
async function watched(t, { rings, nodes = [1], lookup = { url: NODE.url }, status = 200 }) {
  const next = (/** @type {any[]} */ list) => (list.length > 1 ? list.shift() : list[0]);
  const server = http.createServer((request, response) => {
    if (request.url?.startsWith('/lookup')) return response.writeHead(status).end(JSON.stringify(lookup));
    const version = request.url === '/metrics' ? next(nodes) : 0;
    if (version) return response.end(`ringdial_ring_version{node="n1"} ${version}\nringdial_node_ring_version{node="n1"} ${version}\n`);
    const { signature = 'aa', url = NODE.url, ...ring } = next(rings);
    response.end(JSON.stringify({ ...ring, signature, nodes: [{ url }] }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  t.after(() => server.close());
  const address = `127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
  const ask = () => fetch(`http://${address}/lookup`).then(async (answer) => ({ status: answer.status, text: await answer.text() }));
  const watch = new Watch(/** @type {any} */ ({ lookups: [{ url: `http://${address}` }], nodes: [{ ...NODE, admin: address }], askLookup: ask }));
  await delay(600);
  return watch.end(2).then(() => 'nothing', (error) => error.message);
}

test('nothing is wrong', async (t) => assert.equal(await watched(t, { rings: [{ version: 1 }, { version: 2, signature: 'bb' }], nodes: [1, 2, 2] }), 'nothing'));
test('a version of /ring goes back', async (t) => assert.match(await watched(t, { rings: [{ version: 2 }, { version: 1 }] }), /from 2 back to 1/));
test("a node's version goes back", async (t) => assert.match(await watched(t, { rings: [{ version: 1 }], nodes: [3, 2] }), /of n1 went from 3 back to 2/));
test('two rings have one version', async (t) => assert.match(await watched(t, { rings: [{ version: 1 }, { version: 1, signature: 'bb' }] }), /version 1 is aa and bb/));
test('/ring tells of a foreign address', async (t) => assert.match(await watched(t, { rings: [{ version: 1, url: 'ws://127.0.0.1:1/ws' }] }), /ring of 0 tells of ws:\/\/127.0.0.1:1\/ws/));
test('a lookup tells of a foreign address', async (t) => assert.match(await watched(t, { rings: [{ version: 1 }], lookup: { url: 'ws://127.0.0.1:1/ws' } }), /lookup at 0 tells of/));
test('a lookup fails', async (t) => assert.match(await watched(t, { rings: [{ version: 1 }], status: 503 }), /lookup at 0: 503/));
test('nobody answers', async () => {
  const watch = new Watch(/** @type {any} */ ({ lookups: [], nodes: [] }));
  await assert.rejects(watch.end(), /looked too little/);
});

test('messages are taken out of a stream, however it is cut', () => {
  const message = '>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n1\r\n';
  const kept = ['+OK\r\n', '>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n', '%1\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n', '$-1\r\n', '*0\r\n', '$9\r\n>3message\r\n', '-ERR no\r\n'];
  const stream = Buffer.from(kept.map((value) => message + value).join('') + message);
  for (const size of [1, 3, 7, 1000]) {
    let taken = 0;
    const sieve = new Resp3Sieve(() => taken++);
    const chunks = Array.from({ length: Math.ceil(stream.length / size) }, (_, i) => stream.subarray(i * size, (i + 1) * size));
    assert.equal(Buffer.concat(chunks.map((chunk) => sieve.take(chunk, true))).toString(), kept.join(''));
    assert.equal(taken, kept.length + 1);
  }
  assert.deepEqual(new Resp3Sieve(() => {}).take(stream, false), stream);
});
