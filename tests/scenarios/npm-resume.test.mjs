/** The npm client in groups, over broken sockets, planned moves and a log that is lost: nothing is missing, nothing comes twice, or it is told. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { assertAll, backEnd, changes, FLAGS, listen, starter, talking } from '../harness/npm-groups.mjs';
import { test } from '../harness/test.mjs';
import { delay, until } from '../harness/until.mjs';

/** @typedef {import('../harness/cluster.mjs').Cluster} Cluster */
/** @typedef {import('../harness/npm-client.mjs').Started} Started */

/**
 * Something planned happens while everybody talks in groups: all moves, and nobody notices.
 * @param {Started[]} clients @param {() => Promise<unknown>} happen @param {(node: string, user: string) => boolean} right
 */
async function planned(clients, happen, right) {
  const rooms = ['red', 'green', 'blue'];
  const handles = clients.map(({ client }, i) => client.group(rooms[i % 3], { presence: true }));
  await Promise.all(handles.map(({ joined }) => joined));
  const heard = handles.map(listen);
  const told = handles.map((handle) => changes(handle));
  await until('everybody sees everybody', () => told.every((one) => one.at(-1)?.count === clients.length / 3));
  const before = told.map((one) => one.length);
  const talkers = handles.map((handle) => talking((n) => handle.send(n), 100));
  const passers = handles.slice(0, 3).map((handle, i) => talking((n) => handle.send({ pass: `${i} ${n}` }, { ephemeral: true }), 3));
  await delay(500);
  await happen();
  await until('everybody is where they belong', () => clients.every(({ client, user }) => right(client.status.node, user)), {
    within_ms: 30_000, describe: () => clients.map(({ client, user }) => `${user}: ${client.status.state} at ${client.status.node}`),
  });
  await delay(500);
  await Promise.all([...talkers, ...passers].map((one) => one.stop()));
  for (const [i, { user, states, gaps, errors }] of clients.entries()) {
    const acked = talkers.flatMap((talker, k) => (k % 3 === i % 3 ? talker.acked : []));
    await assertAll(heard[i], acked, user);
    assert.equal(heard[i].stored.length, acked.length, user);
    const passed = heard[i].data.filter((data) => data.pass).map(({ pass }) => pass);
    assert.equal(new Set(passed).size, passed.length, `${user}: what is passed on comes once`);
    assert.deepEqual(states.filter((state) => state === 'reconnecting'), [], `${user} stays connected`);
    assert.deepEqual([gaps, errors], [[], []], user);
    assert.deepEqual(told[i].slice(before[i]).filter(({ count, users }) => count !== clients.length / 3 || !users), [], `${user} is told that nobody comes or goes`);
  }
}

describe('the npm client comes back, embedded', () => {
  /** @type {Cluster} */
  let ring;
  before(async () => (ring = await cluster({ store: 'embedded', nodes: 3, flags: FLAGS })));
  after(() => ring.stop());

  test('sends that lose their socket are repeated, and stored once', async (t) => {
    const start = starter(t, () => ring);
    const [ann, bob] = [await start('keen'), await start('witness')];
    const [room, seen] = [ann.client.group('keys'), bob.client.group('keys')];
    await Promise.all([room.joined, seen.joined]);
    const heard = [listen(room), listen(seen)];
    /** @type {any[]} */
    const acked = [];
    for (let round = 0; round < 6; round++) {
      const sends = Array.from({ length: 20 }, (_, i) => room.send({ round, i }).then((/** @type {any} */ ack) => acked.push({ ...ack, data: { round, i } })));
      await delay(round);
      ann.cut();
      await Promise.all(sends);
    }
    assert.equal(acked.length, 120);
    for (const [i, one] of heard.entries()) await assertAll(one, acked, `listener ${i}`);
    assert.deepEqual(heard.map((one) => one.stored.length), [120, 120]);
    assert.deepEqual(heard[1].data, acked.map(({ data }) => data).sort((a, b) => a.round - b.round || a.i - b.i), 'in the order of sending');
    assert.ok(ann.states.includes('reconnecting'));
    const once = await room.send('by my own key', { key: 'k' });
    ann.cut();
    assert.equal((await room.send('by my own key', { key: 'k' })).offset, once.offset);
    await assert.rejects(room.send('something else', { key: 'k' }), { code: 'key_reused', retryable: false });
  });

  test('a client that loses its socket again and again misses nothing and repeats nothing', async (t) => {
    const start = starter(t, () => ring);
    const [one, two, reader] = [await start('talker-1'), await start('talker-2'), await start('reader')];
    const room = reader.client.group('stream');
    const [inRoom, inbox] = [listen(room), listen(reader.client)];
    await room.joined;
    const group = talking((n) => one.client.send({ group: 'stream' }, n));
    const direct = talking((n) => two.client.send({ user: 'reader' }, n));
    for (let round = 0; round < 6; round++) {
      await delay(150 + 60 * round);
      if (round % 2) one.cut();
      await reader.reconnect();
    }
    await Promise.all([group.stop(), direct.stop()]);
    await assertAll(inRoom, group.acked, 'in the group');
    await assertAll(inbox, direct.acked, 'in the inbox');
    for (const heard of [inRoom, inbox]) assert.ok(heard.stored.some(({ replayed }) => replayed) && heard.stored.some(({ replayed }) => !replayed));
    assert.deepEqual(inRoom.data, inRoom.data.map((_, i) => i), 'as they were sent');
    assert.deepEqual(room.position, { epoch: inRoom.stored[0].epoch, offset: inRoom.stored.at(-1).offset });
    assert.deepEqual(reader.gaps, []);
    t.diagnostic(`${inRoom.all.length} and ${inbox.all.length} messages, ${inRoom.all.filter(({ replayed }) => replayed).length} replayed`);
  });

  test('a drained node: its clients move with their groups', { within_ms: 60_000 }, async (t) => {
    const start = starter(t, () => ring);
    const clients = await Promise.all(names(12).map((name) => start(name)));
    const { node } = clients[0].client.status;
    await planned(clients, () => backEnd(ring, 'POST', `nodes/${node}/drain`), (other) => other !== node);
    assert.ok(clients[0].moves.length > 0, 'at least one moved');
  });
});

describe('the npm client comes back, on Redis', () => {
  /** @type {Cluster} */
  let ring;
  before(async () => (ring = await cluster({ nodes: 2, flags: FLAGS, lease_ms: 3000 })));
  after(() => ring.stop());

  test('a third node: clients move with their groups', { within_ms: 60_000 }, async (t) => {
    const start = starter(t, () => ring);
    const clients = await Promise.all(names(12).map((name) => start(name)));
    let document = await ring.ring();
    await planned(clients, async () => {
      await ring.startNode({ id: 'n3' });
      await ring.untilSeen(['n1', 'n2', 'n3']);
      document = await ring.ring();
    }, (node, user) => node === document.home(user));
    assert.ok(clients.some(({ moves }) => moves.some(({ to }) => to === 'n3')));
  });

  test('a log that is lost is told to the group\'s handle and to the client', { within_ms: 60_000 }, async (t) => {
    const start = starter(t, () => ring);
    const [ann, bob] = [await start('archivist'), await start('mourner')];
    const [room, seat] = [ann.client.group('archive'), bob.client.group('archive')];
    await Promise.all([room.joined, seat.joined]);
    const [heard, gaps] = [listen(seat), /** @type {any[]} */ ([])];
    seat.on('gap', (/** @type {any} */ gap) => gaps.push(gap));
    for (let n = 1; n <= 3; n++) await room.send(n);
    await until('three', () => heard.all.length === 3);
    await ann.client.send({ user: 'mourner' }, 'in the inbox');
    const before = { ...seat.position };
    await ring.redis?.end('SIGKILL');
    await ring.redis?.begin();
    await until('both are told', () => gaps.length > 0 && bob.gaps.length > 1, { within_ms: 20_000, describe: () => ({ gaps, all: bob.gaps }) });
    assert.deepEqual([gaps[0].topic, gaps[0].reason, gaps[0].after, gaps[0].before], ['g:archive', 'log_lost', 3, 1]);
    assert.notEqual(gaps[0].epoch, before.epoch);
    const { epoch, offset } = await room.send('a new beginning');
    assert.equal(offset, 1);
    await until('it goes on', () => heard.data.includes('a new beginning'));
    // A home may find the log lost a second time while it comes back: then that is told, too.
    assert.equal(gaps.at(-1).epoch, epoch);
    assert.deepEqual(gaps.slice(1).map((gap) => [gap.after, gap.before]), gaps.slice(1).map(() => [0, 1]));
    assert.deepEqual(seat.position, { epoch, offset: 1 });
    assert.deepEqual([...new Set(bob.gaps.map(({ topic }) => topic))].sort(), ['g:archive', 'u:mourner']);
    assert.deepEqual(bob.gaps.filter(({ topic }) => topic === 'g:archive'), gaps, 'the client is told what its handle is');
    assert.deepEqual([ann.states, bob.states].flat().filter((state) => state === 'reconnecting'), []);
    assert.deepEqual((await seat.history()).entries.map(({ data }) => data), ['a new beginning']);
  });
});
