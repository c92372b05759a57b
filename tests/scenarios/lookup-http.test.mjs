/** Step 1 over HTTP: both methods, the answer's shape, problem+json for every error, CORS, ETag. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { request } from '../harness/http.mjs';
import { makeJwt, makeUnsignedJwt, nowSeconds, tamperedJwt } from '../harness/jwt.mjs';
import { test } from '../harness/test.mjs';

/** @type {import('../harness/cluster.mjs').Cluster} */
let ring;
before(async () => (ring = await cluster({ nodes: 2 })));
after(() => ring.stop());

const url = (/** @type {string} */ path) => ring.lookups[0].url + path;
const bearer = (/** @type {string} */ token) => ({ authorization: `Bearer ${token}` });

/** An error answer is a problem document with a stable code. @param {import('../harness/http.mjs').Answer} answer @param {number} status */
function assertProblem(answer, status, what = '') {
  assert.equal(answer.status, status, `${what}: ${answer.text}`);
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/, what);
  assert.match(answer.json.code, /^[a-z][a-z_0-9]*$/, what);
  assert.equal(typeof answer.json.temporary, 'boolean', what);
  assert.equal(answer.json.status ?? status, status, what);
  return answer.json;
}

describe('a good lookup', () => {
  test('GET and POST answer alike, uncached, with all that step 2 needs', async () => {
    const got = await ring.askLookup('alice');
    const posted = await request(url('/lookup'), { method: 'POST', headers: bearer(ring.token('alice')), body: { id: 'alice', service: 'default' } });
    for (const answer of [got, posted]) {
      const { id, service, node, url, ticket, protocols, expires_in_ms, ring: seen, retry } = answer.json;
      assert.equal(answer.status, 200, answer.text);
      assert.match(String(answer.headers['cache-control']), /no-store/);
      assert.deepEqual([id, service, url], ['alice', 'default', ring.node(node).url]);
      assert.deepEqual(protocols, ['ringdial.v1', `ticket.${ticket}`]);
      assert.ok(expires_in_ms > 0 && expires_in_ms <= 30_000);
      assert.match(seen.signature, /^[0-9a-f]{16}$/);
      assert.ok(seen.version > 0 && retry.base_ms > 0 && retry.max_ms >= retry.base_ms);
      assert.ok(ticket.length < 400, `a ticket of ${ticket.length} bytes`);
      assert.match(ticket, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    }
    assert.equal(got.json.node, posted.json.node);
  });

  test('the user is the token\'s subject; id may be left out', async () => {
    const answer = await request(url('/lookup'), { headers: bearer(ring.token('alice')) });
    assert.deepEqual([answer.status, answer.json.id], [200, 'alice']);
  });

  test('every ticket is its own', async () => {
    const tickets = await Promise.all(Array.from({ length: 20 }, () => ring.lookup('alice')));
    assert.equal(new Set(tickets.map((grant) => grant.ticket)).size, 20);
  });
});

describe('errors are problem documents', () => {
  test('400: ids that are empty, too long, with control characters, or not UTF-8', async () => {
    for (const id of ['', 'x'.repeat(257), 'a\nb', 'a\u0000b', 'a\u007fb', 'é'.repeat(129)]) {
      assertProblem(await ring.askLookup(id), 400, JSON.stringify(id));
    }
    const token = ring.token('alice');
    assertProblem(await request(url('/lookup?id=%FF%FE'), { headers: bearer(token) }), 400, 'not UTF-8');
  });

  test('400: a body that is not the JSON it should be', async () => {
    const headers = { ...bearer(ring.token('alice')), 'content-type': 'application/json' };
    for (const body of ['{"id":', '[]', '"alice"', '{"id": 7}', '{"id":"alice","avoid":{}}', '\u0000']) {
      assertProblem(await request(url('/lookup'), { method: 'POST', headers, body }), 400, body);
    }
  });

  test('413: a body without end', async () => {
    const answer = await request(url('/lookup'), { method: 'POST', headers: bearer(ring.token('alice')), body: { id: 'x'.repeat(1_000_000) } });
    assertProblem(answer, 413);
  });

  test('401: no token, and each kind of bad one', async () => {
    const now = nowSeconds();
    const good = ring.token('alice');
    const bad = {
      'no token': undefined,
      'not a token': 'nonsense',
      'another secret': makeJwt({ sub: 'alice' }, 'another secret of thirty-two bytes!!'),
      'no signature': makeUnsignedJwt({ sub: 'alice' }),
      'tampered': tamperedJwt(good, { sub: 'mallory' }),
      'expired': ring.token('alice', { exp: now - 120 }),
      'not yet valid': ring.token('alice', { nbf: now + 600 }),
      'without a subject': ring.token('alice', { sub: undefined }),
      'another algorithm in its header': makeJwt({ sub: 'alice' }, ring.jwtSecret, { alg: 'HS512' }),
      'an unknown critical header': makeJwt({ sub: 'alice' }, ring.jwtSecret, { crit: ['x'], x: 1 }),
      'a ticket in its place': (await ring.lookup('alice')).ticket,
    };
    for (const [what, token] of Object.entries(bad)) {
      const headers = token === undefined ? {} : bearer(token);
      const answer = await request(url('/lookup'), { headers });
      assertProblem(answer, 401, what);
      assert.match(String(answer.headers['www-authenticate']), /^Bearer/i, what);
    }
  });

  test('403: another user\'s id', async () => {
    const problem = assertProblem(await request(url('/lookup?id=bob'), { headers: bearer(ring.token('alice')) }), 403);
    assert.equal(problem.temporary, false);
  });

  test('404 and 405: unknown service, unknown path, wrong method', async () => {
    assertProblem(await ring.askLookup('alice', { service: 'no-such-service' }), 404);
    assertProblem(await request(url('/ring?service=no-such-service')), 404);
    assertProblem(await request(url('/no/such/path')), 404);
    assertProblem(await request(url('/lookup'), { method: 'DELETE' }), 405);
  });

  test('an error does not repeat what the caller sent as a secret', async () => {
    const token = makeJwt({ sub: 'alice' }, 'another secret of thirty-two bytes!!');
    const answer = await request(url('/lookup'), { headers: bearer(token) });
    assert.ok(!answer.text.includes(token.split('.')[2]));
  });
});

describe('the ring document', () => {
  test('has an ETag, and 304 for whoever has it already', async () => {
    const first = await request(url('/ring'));
    assert.equal(first.status, 200);
    const etag = String(first.headers.etag);
    assert.match(etag, /^(W\/)?".+"$/);
    const again = await request(url('/ring?service=default'), { headers: { 'if-none-match': etag } });
    assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', etag]);
    const changed = await request(url('/ring'), { headers: { 'if-none-match': '"something else"' } });
    assert.equal(changed.status, 200);
    assert.equal((await request(url('/ring'), { headers: { 'if-none-match': `"x", ${etag}` } })).status, 304);
  });

  test('names no peer address', async () => {
    const { text } = await request(url('/ring'));
    for (const node of ring.nodes) assert.ok(!text.includes(node.peer), text);
  });
});

describe('browsers', () => {
  test('a preflight is answered', async () => {
    const headers = { origin: 'https://app.example.com', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' };
    const answer = await request(url('/lookup'), { method: 'OPTIONS', headers });
    assert.ok([200, 204].includes(answer.status), answer.text);
    assert.match(String(answer.headers['access-control-allow-origin']), /^(\*|https:\/\/app\.example\.com)$/);
    assert.match(String(answer.headers['access-control-allow-methods']), /POST/);
    assert.match(String(answer.headers['access-control-allow-headers']).toLowerCase(), /authorization/);
  });

  test('answers, errors too, may be read from another origin', async () => {
    const origin = { origin: 'https://app.example.com' };
    const good = await request(url('/lookup'), { headers: { ...bearer(ring.token('alice')), ...origin } });
    const bad = await request(url('/lookup'), { headers: origin });
    assert.deepEqual([good.status, bad.status], [200, 401]);
    for (const answer of [good, bad]) assert.ok(answer.headers['access-control-allow-origin'], String(answer.status));
  });
});

test('an admin listener tells life, readiness and metrics', async () => {
  for (const { admin } of [...ring.lookups, ...ring.nodes]) {
    assert.equal((await request(`http://${admin}/livez`)).status, 200);
    assert.equal((await request(`http://${admin}/readyz`)).status, 200);
    const metrics = await request(`http://${admin}/metrics`);
    assert.equal(metrics.status, 200);
    assert.match(metrics.text, /^# TYPE ringdial_\w+ (counter|gauge|histogram)/m);
  }
});
