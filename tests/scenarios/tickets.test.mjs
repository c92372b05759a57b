/** A ticket opens one connection, as one user, at one node, soon: every other use is refused and tells why. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { claimsOf, makeJwt, makeUnsignedJwt, nowSeconds, tamperedJwt } from '../harness/jwt.mjs';
import { Session } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

/** Close code: look up again after a back-off - the ticket is expired, used, or for another node, generation or service. */
const TICKET_REFUSED = 4105;

/** @type {import('../harness/cluster.mjs').Cluster} */
let ring;
before(async () => (ring = await cluster({ nodes: 2, services: ['default', 'other'] })));
after(() => ring.stop());

/** @param {import('../harness/session.mjs').Grant} grant @param {string} ticket */
const withTicket = (grant, ticket) => ({ ...grant, ticket, protocols: ['ringdial.v1', `ticket.${ticket}`] });

/** Opening is refused: `error` first, then the close. @param {import('../harness/session.mjs').Grant} grant */
async function assertRefused(grant, reason = /^ticket_invalid$/) {
  const session = new Session(grant);
  const { code } = await session.closing();
  assert.equal(code, TICKET_REFUSED, JSON.stringify(session.frames));
  assert.equal(session.frames.length, 1, JSON.stringify(session.frames));
  assert.equal(session.errors.length, 1);
  assert.match(session.errors[0].code, reason);
  assert.equal(typeof session.errors[0].temporary, 'boolean');
  assert.ok(!JSON.stringify(session.frames).includes(grant.ticket), 'the error does not repeat the ticket');
  return session.errors[0];
}

describe('a good ticket', () => {
  for (const ticketBy of /** @type {const} */ (['protocol', 'header', 'query'])) {
    test(`opens a connection when it comes by ${ticketBy}`, async () => {
      const session = await ring.connect('alice', { ticketBy });
      assert.equal(session.socket.protocol, 'ringdial.v1');
      assert.equal(session.welcome?.user, 'alice');
      assert.equal(session.welcome?.node, session.node);
      assert.ok(session.welcome?.heartbeat_ms > 0 && session.welcome?.retry_spread_ms >= 500);
      assert.ok(session.welcome?.ring.version > 0 && session.welcome?.limits);
    });
  }

  test('names the node and its generation, the user, the ring and the end of the application\'s token', async () => {
    const exp = nowSeconds() + 600;
    const grant = await ring.lookup('alice', { claims: { exp, email: 'alice@example.com' } });
    const claims = claimsOf(grant.ticket);
    assert.deepEqual([claims.sub, claims.svc, claims.tok_exp], ['alice', 'default', exp]);
    assert.match(claims.aud, new RegExp(`^${grant.node}#\\d+$`));
    assert.ok(claims.exp - nowSeconds() <= 31 && claims.jti.length >= 16);
    assert.ok(!JSON.stringify(claims).includes('example.com'), 'only claims named by --ticket-claims travel');
  });
});

describe('a ticket is refused', () => {
  test('when it has been used', async () => {
    const grant = await ring.lookup('alice');
    const session = await ring.open(grant);
    await assertRefused(grant, /^ticket_used$/);
    assert.equal(session.closed, undefined, 'the first use is not harmed');
  });

  test('when it is used twice in the same moment: one opens, one is refused', async () => {
    const grant = await ring.lookup('alice');
    const sessions = [new Session(grant), new Session(grant)];
    await Promise.all(sessions.map((session) => session.until('an outcome', () => session.welcome || session.closed)));
    assert.deepEqual(sessions.map((session) => session.closed?.code).sort(), [TICKET_REFUSED, undefined]);
    await Promise.all(sessions.filter((session) => !session.closed).map((session) => session.close()));
  });

  test('by a node that it is not for', async () => {
    const grant = await ring.lookup('alice');
    const foreign = ring.nodes.find((node) => node.service === 'default' && node.id !== grant.node);
    await assertRefused({ ...grant, url: foreign?.url ?? '' }, /^ticket_other_node$/);
    await ring.open(grant);
  });

  test('by a node of another service with the same id', async () => {
    const grant = await ring.lookup('alice');
    const namesake = await ring.startNode({ id: grant.node, service: 'other' });
    await assertRefused({ ...grant, url: namesake.url }, /^ticket_other_service$/);
    await ring.open(grant);
  });

  test('when it is not ours, altered or malformed', async () => {
    const grant = await ring.lookup('alice');
    const claims = claimsOf(grant.ticket);
    const bad = {
      'another key': makeJwt(claims, 'another secret of thirty-two bytes!!'),
      'the cluster secret itself as key': makeJwt(claims, ring.secret),
      'the application\'s secret as key': makeJwt(claims, ring.jwtSecret),
      'no signature': makeUnsignedJwt(claims),
      'another user': tamperedJwt(grant.ticket, { sub: 'mallory' }),
      'a later end': tamperedJwt(grant.ticket, { exp: claims.exp + 1000 }),
      'the application\'s token': ring.token('alice'),
      'not a token': 'nonsense',
      'cut short': grant.ticket.slice(0, -2),
    };
    for (const [what, ticket] of Object.entries(bad)) {
      const error = await assertRefused(withTicket(grant, ticket)).catch((error) => {
        throw new Error(`${what}: ${error.message}`);
      });
      assert.ok(error.message.length > 0, what);
    }
    await ring.open(grant);
  });

  test('when there is none', async () => {
    const grant = await ring.lookup('alice');
    await assertRefused({ ...grant, protocols: ['ringdial.v1'] });
  });

  test('by the next generation of its node', async () => {
    const [listen, peerListen] = ['127.0.0.1:0', '127.0.0.1:0'];
    const first = await ring.startNode({ id: 'phoenix', listen, peerListen });
    await ring.untilSeen([...ring.idsOf()]);
    const grants = [];
    for (let i = 0; grants.length < 1; i++) grants.push(...[await ring.lookup(`rise-${i}`)].filter((grant) => grant.node === 'phoenix'));
    await ring.kill(first);
    const address = new URL(first.url).host;
    const second = await ring.startNode({ id: 'phoenix', listen: address, peerListen: first.peer });
    assert.equal(second.url, first.url);
    await assertRefused(grants[0], /^ticket_other_node$/);
  });
});

test('a ticket expires', { within_ms: 60_000 }, async () => {
  const short = await cluster({ nodes: 1, flags: { lookup: ['--ticket-life-s', '1'] } });
  const grant = await short.lookup('alice');
  const { exp } = claimsOf(grant.ticket);
  const leeway = 5;
  await until('the ticket and its leeway to pass', () => nowSeconds() > exp + leeway, { within_ms: 15_000, every_ms: 100 });
  await assertRefused(grant, /^ticket_expired$/);
  await short.connect('alice');
  await short.stop();
});
