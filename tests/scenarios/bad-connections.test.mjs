/** Half requests, floods and strangers at every port: limits hold, and users notice nothing. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, names } from '../harness/crowd.mjs';
import { RawConnection } from '../harness/raw.mjs';
import { request } from '../harness/http.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

/** @type {import('../harness/cluster.mjs').Cluster} */
let ring;
/** @type {Crowd} */
let others;
before(async () => {
  ring = await cluster({ nodes: 2 });
  others = await new Crowd(ring).join(names(8, 'other-'));
});
after(() => ring.stop());

async function assertOthersUnharmed() {
  await others.everyoneToEveryNode(2, 1);
  await others.settle();
  assert.deepEqual([...others.sessions.values()].filter((session) => session.closed), []);
  for (const part of [...ring.nodes, ...ring.lookups]) assert.ok(part.process.running, `${part.process.name} runs`);
}

for (const [what, bytes] of Object.entries({
  'a request that never ends': 'GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: ',
  'nothing at all': '',
})) {
  test(`a flood of half-open connections (${what}) is shaken off, and users still come in`, { within_ms: 60_000 }, async () => {
    const targets = [ring.nodes[0].url, ring.lookups[0].url];
    const flood = await Promise.all(targets.flatMap((target) => Array.from({ length: 400 }, () => RawConnection.to(target))));
    for (const connection of flood) connection.write(bytes);
    await assertOthersUnharmed();
    const newcomer = await ring.connect('newcomer');
    await newcomer.close();
    await until('every half-open connection is closed', () => flood.every((connection) => connection.closed), {
      within_ms: 30_000,
      describe: () => `${flood.filter((connection) => !connection.closed).length} are open`,
    });
    await assertOthersUnharmed();
  });
}

test('a header over 16 KiB is refused', async () => {
  for (const target of [ring.nodes[0].url, ring.lookups[0].url]) {
    const connection = await RawConnection.to(target);
    connection.write(`GET /lookup HTTP/1.1\r\nHost: x\r\nX-Big: ${'x'.repeat(40_000)}\r\n\r\n`);
    await until('an answer or the end', () => connection.closed || connection.text.length > 0);
    if (connection.text) assert.match(connection.text, /^HTTP\/1\.1 4(31|00)/);
    connection.end();
  }
  await assertOthersUnharmed();
});

test('requests that crash careless servers', async () => {
  const requests = [
    'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n',
    'GET http://other.example/lookup HTTP/1.1\r\nHost: x\r\n\r\n',
    'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /%00%ff/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /lookup?id=%zz&&&=& HTTP/1.1\r\nHost: x\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish after the preface',
    '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003',
    'rubbish\r\n\r\n',
  ];
  for (const target of [ring.nodes[0].url, ring.lookups[0].url, `http://${ring.nodes[0].admin}`]) {
    for (const bytes of requests) {
      const connection = await RawConnection.to(target);
      connection.write(Buffer.from(bytes, 'latin1'));
      await until('an answer or the end', () => connection.closed || connection.text.length > 0, { within_ms: 15_000 });
      if (connection.text.startsWith('HTTP/1.1')) assert.match(connection.text, /^HTTP\/1\.1 (2|4)\d\d/, `${target}: ${bytes}`);
      connection.end();
    }
  }
  for (const lookup of ring.lookups) assert.equal((await request(`${lookup.url}/ring`)).status, 200);
  await assertOthersUnharmed();
});

test('a plain HTTP request to a node is told what a node is', async () => {
  const answer = await request(ring.nodes[0].url.replace('ws:', 'http:'));
  assert.ok(answer.status >= 400 && answer.status < 500, String(answer.status));
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
  assert.equal((await request(ring.nodes[0].url.replace('ws:', 'http:').replace('/ws', '/other'))).status, 404);
});

test('strangers at the peer port get nowhere', async () => {
  for (const bytes of ['rubbish\r\n\r\n', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', handshake('/'), handshake('/peer'), handshake('/peer', `Authorization: Bearer ${ring.token('n2')}`)]) {
    const connection = await RawConnection.to(ring.nodes[0].peer);
    connection.write(bytes);
    await until('a refusal', () => connection.closed || /^HTTP\/1\.1 [45]/.test(connection.text), { within_ms: 20_000, describe: () => connection.text });
    assert.ok(!connection.text.startsWith('HTTP/1.1 101'), connection.text);
    connection.end();
  }
  const ticket = await ring.lookup('alice');
  const connection = await RawConnection.to(ring.nodes[0].peer);
  connection.write(handshake('/peer', `Authorization: Bearer ${ticket.ticket}`));
  await until('a refusal', () => connection.closed || connection.text.length > 0, { within_ms: 20_000 });
  assert.ok(!connection.text.startsWith('HTTP/1.1 101'), connection.text);
  await assertOthersUnharmed();
});

/** @param {string} path @param {string} [header] */
function handshake(path, header) {
  const lines = [`GET ${path} HTTP/1.1`, 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];
  return [...lines, ...(header ? [header] : []), '', ''].join('\r\n');
}
