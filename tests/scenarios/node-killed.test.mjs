/** A node dies by SIGKILL: its users are back on other nodes at once, and everybody reaches everybody. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { Crowd, inWaves, names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';
import { metric } from '../harness/metrics.mjs';
import { until } from '../harness/until.mjs';

/** So that a process that is started at once is there before its predecessor's lease lapses: within a second. With a longer one the first ring takes too long. */
const LONG_LEASE_MS = 5_000;

test('the users of a killed node are back on other nodes and reachable', { within_ms: 90_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2, lease_ms: 3000 });
  t.after(() => ring.stop());
  const crowd = await new Crowd(ring).join(names(90));
  const before = await ring.ring();
  await crowd.everyoneToEveryNode(2, 1);
  await crowd.settle();

  const victim = ring.node('n2');
  const orphans = names(90).filter((user) => crowd.sessions.get(user)?.node === 'n2');
  const killedAt = Date.now();
  const elsewhere = namedElsewhere(ring, orphans, 'n2');
  await ring.kill(victim);
  t.diagnostic(`lookups name other nodes ${await elsewhere} ms after the kill`);
  await Promise.all(orphans.map((user) => crowd.sessions.get(user)?.closing()));
  const others = [...crowd.sessions.values()].filter((session) => session.node !== 'n2');
  assert.deepEqual(others.filter((session) => session.closed), [], 'sessions elsewhere see nothing');

  // A dead session receives nothing more: the messages from here on are judged by a fresh checker.
  const after = new Crowd(ring);
  await inWaves(orphans, (user) => until(`${user} is back`, () => after.connect(user), { within_ms: 20_000, every_ms: 50 }));
  t.diagnostic(`${orphans.length} users back ${Date.now() - killedAt} ms after the kill`);
  for (const user of orphans) assert.notEqual(after.sessions.get(user)?.node, 'n2');

  await ring.untilSeen(['n1', 'n3']);
  t.diagnostic(`the ring without the node ${Date.now() - killedAt} ms after the kill`);
  const now = await ring.ring();
  assert.ok(now.version > before.version);
  assert.equal(now.slotsOf('n1') + now.slotsOf('n3'), 65_536);

  for (const session of others) {
    const name = `${session.user}/survivor`;
    session.options.onMessage = (frame) => after.checker.deliver(name, frame);
    after.checker.addReceiver(name, session.user);
    after.sessions.set(session.user, session);
  }
  await after.everyoneToEveryNode(3, 2);
  await after.settle();
});

test('with Redis away, too, lookups pass a killed node over', { within_ms: 60_000 }, async (t) => {
  const ring = await cluster({ nodes: 3, lookups: 2, lease_ms: 3000 });
  t.after(() => ring.stop());
  const before = await ring.ring();
  await ring.redis?.pause();
  for (const lookup of ring.lookups)
    await until('Redis is found away', async () => (await metric(lookup, 'ringdial_store_reachable')) === 0, { within_ms: 20_000 });
  const orphans = names(60).filter((user) => before.home(user) === 'n2');
  const elsewhere = namedElsewhere(ring, orphans, 'n2');
  await ring.kill(ring.node('n2'));
  t.diagnostic(`lookups name other nodes ${await elsewhere} ms after the kill`);
  for (const by of [0, 1]) assert.equal((await ring.lookup(orphans[0], { by })).ring.version, before.version, 'by the same ring');
  for (const user of orphans) assert.equal((await ring.lookup(user)).node, before.home(user, ['n2']), 'the next node clockwise');
  for (const user of names(60).filter((user) => before.home(user) !== 'n2')) assert.equal((await ring.lookup(user)).node, before.home(user), 'nobody else goes elsewhere');
  await ring.redis?.resume();
  await ring.untilSeen(['n1', 'n3']);
});

test('a node that comes back under its name gets its old place', { within_ms: 60_000 }, async (t) => {
  // As soon as both others find it gone, three tenths of its lease are all that is left: it has to be back within a second.
  const ring = await cluster({ nodes: 3, lease_ms: LONG_LEASE_MS });
  t.after(() => ring.stop());
  const before = await ring.ring();
  const victim = ring.node('n1');
  const killedAt = Date.now();
  await ring.kill(victim);
  await ring.startNode({ id: 'n1', listen: new URL(victim.url).host, peerListen: victim.peer });
  t.diagnostic(`it is back ${Date.now() - killedAt} ms after the kill`);
  const user = names(50).find((name) => before.home(name) === 'n1') ?? '';
  await until('its users are with it again', async () => (await ring.connect(user)).node === 'n1');
  const now = await ring.ring();
  assert.deepEqual(now.holders, before.holders, 'the table is as it was: nobody moved');
  const reaps = await Promise.all([...ring.lookups, ...ring.nodes.filter(({ process }) => process.running)].map((part) => metric(part, 'ringdial_ring_reaps_total')));
  assert.deepEqual(reaps, [0, 0, 0, 0], 'it was back before anybody took it out');
});

test('an id that is alive elsewhere is refused, exit 1', { within_ms: 40_000 }, async (t) => {
  const ring = await cluster({ nodes: 1 });
  t.after(() => ring.stop());
  const error = await ring.startNode({ id: 'n1' }).then(() => undefined, (error) => error);
  assert.match(String(error), /"code":1/);
  assert.match(String(error), /id_in_use/);
  assert.equal((await ring.connect('alice')).node, 'n1');
});

/**
 * Asks every lookup service for `users` until none is sent to `node` any more, and gives the time until then in ms, from the moment of the
 * call on. At most a second: to wait for a lease takes longer.
 * @param {import('../harness/cluster.mjs').Cluster} ring @param {string[]} users @param {string} node
 */
async function namedElsewhere(ring, users, node) {
  const began = performance.now();
  const some = users.slice(0, 8);
  const times = ring.lookups.map((_, by) =>
    until(`lookup service ${by} names another node`, async () => {
      const grants = await Promise.all(some.map((user) => ring.lookup(user, { by })));
      return grants.every((grant) => grant.node !== node) ? performance.now() - began : undefined;
    }, { within_ms: 10_000, every_ms: 5 }));
  const ms = Math.round(Math.max(...(await Promise.all(times))));
  assert.ok(ms < 1000, `${ms} ms until lookups name other nodes`);
  return ms;
}
