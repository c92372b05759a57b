/** The npm client in groups, against real processes: positions, history, presence, keys; over broken sockets, moves and a log that is lost. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { request } from '../harness/http.mjs';
import { startClient } from '../harness/npm-client.mjs';
import { registerToken } from '../harness/secrets.mjs';
import { test } from '../harness/test.mjs';
import { delay, until } from '../harness/until.mjs';

const FLAGS = { node: ['--sends-per-second', '1000', '--sends-burst', '2000', '--retention', 'g:small-*=10,5m', '--retention', '*=5000,5m'] };
const CLAIMS = { permissions: ['join:*', 'broadcast'], role: 'tester' };

/** @typedef {import('../harness/cluster.mjs').Cluster} Cluster */
/** @typedef {import('../harness/npm-client.mjs').Started} Started */

/** The back end's request. @param {Cluster} ring @param {string} method @param {string} path */
async function backEnd(ring, method, path) {
  const headers = { authorization: `Bearer ${registerToken(ring.token('back end', { scope: 'admin' }))}` };
  const { status, text } = await request(`${ring.lookups[0].url}/v1/${path}`, { method, headers });
  assert.ok(status >= 200 && status < 300, `${method} ${path}: ${status} ${text}`);
}

/** What a group's handle, or a client, gives. @param {any} source */
function listen(source) {
  /** @type {any[]} */
  const all = [];
  source.on('message', (/** @type {any} */ message) => all.push(message));
  return {
    all,
    get stored() {
      return all.filter(({ offset }) => offset !== undefined);
    },
    get data() {
      return all.map(({ data }) => data);
    },
  };
}

/** Waits for the last of these acknowledged messages, and compares: each once, where it was acknowledged, without a hole. @param {ReturnType<typeof listen>} heard @param {{ epoch: string, offset: number, data: unknown }[]} acked */
async function assertAll(heard, acked, who = '') {
  const { epoch, offset } = acked.reduce((one, other) => (one.offset > other.offset ? one : other));
  await until(`${who} ${offset} comes`, () => heard.stored.some((message) => message.epoch === epoch && message.offset === offset), { within_ms: 15_000, describe: () => heard.stored.at(-1) });
  const offsets = heard.stored.map((message) => message.offset);
  assert.deepEqual(offsets, offsets.map((_, i) => offsets[0] + i), `${who}: one after the other`);
  const places = new Map(heard.stored.map((message) => [`${message.epoch} ${message.offset}`, message.data]));
  for (const ack of acked) assert.deepEqual(places.get(`${ack.epoch} ${ack.offset}`), ack.data, `${who}: ${ack.epoch} ${ack.offset}`);
}

/** Sends until it is stopped, a message each `every_ms`. @param {(n: number) => Promise<any>} send */
function talking(send, every_ms = 20) {
  /** @type {any[]} */
  const acked = [];
  let going = true;
  const over = (async () => {
    /** @type {Promise<unknown>[]} */
    const sends = [];
    for (let n = 0; going; n++) {
      sends.push(send(n).then((ack) => acked.push({ ...ack, data: n })));
      await delay(every_ms);
    }
    await Promise.all(sends);
  })();
  over.catch(() => {});
  return { acked, stop: () => ((going = false), over) };
}

/** @param {import('node:test').TestContext} t @param {() => Cluster} ring */
const starter = (t, ring) => async (/** @type {string} */ user, early = (/** @type {any} */ _client) => {}) => {
  const started = await startClient(ring(), user, { claims: CLAIMS, early });
  t.after(() => started.client.close());
  return started;
};

describe('groups of the npm client, embedded', () => {
  /** @type {Cluster} */
  let ring;
  before(async () => (ring = await cluster({ store: 'embedded', nodes: 3, flags: FLAGS })));
  after(() => ring.stop());

  test('two clients talk in a group, and know where they are', async (t) => {
    const start = starter(t, () => ring);
    const [ann, bob] = [await start('ann'), await start('bob')];
    const [tea, cup] = [ann.client.group('tea'), bob.client.group('tea')];
    await Promise.all([tea.joined, cup.joined]);
    assert.equal(tea.position.offset, 0);
    const [atAnn, atBob, bobs] = [listen(tea), listen(cup), listen(bob.client)];
    const acks = [await tea.send('one'), await cup.send('two'), await ann.client.send({ group: 'tea' }, 'three')];
    assert.deepEqual(acks.map(({ offset, online }) => [offset, online]), [[1, 2], [2, 2], [3, 2]]);
    const acked = acks.map((ack, i) => ({ ...ack, data: ['one', 'two', 'three'][i] }));
    await assertAll(atAnn, acked, 'ann');
    await assertAll(atBob, acked, 'bob');
    assert.deepEqual(atBob.all.map(({ topic, from }) => [topic, from]), [['g:tea', 'ann'], ['g:tea', 'bob'], ['g:tea', 'ann']]);
    assert.deepEqual([tea.position, cup.position], [1, 2].map(() => ({ epoch: acks[0].epoch, offset: 3 })));

    assert.deepEqual(await tea.send('passing', { ephemeral: true }), { online: 2 });
    assert.deepEqual(await tea.send('silent', { ack: false, ephemeral: true }), {});
    await until('what is passed on', () => atBob.data.includes('silent'));
    assert.ok(atBob.all.slice(3).every(({ id, offset }) => id && offset === undefined));
    assert.equal(cup.position.offset, 3);

    const { position } = cup;
    await cup.leave();
    await until('ann is alone', async () => (await tea.send('alone', { ephemeral: true })).online === 1);
    await tea.send('missed');
    const again = bob.client.group('tea', { since: position });
    const missed = listen(again);
    await until('what it missed', () => missed.stored.length === 1);
    assert.deepEqual(missed.stored.map(({ offset, data, replayed }) => [offset, data, replayed]), [[4, 'missed', true]]);
    const everything = listen((await start('cleo')).client.group('tea', { since: { offset: 0 } }));
    await until('all of it', () => everything.stored.length === 4);
    await ann.client.send({ users: ['bob', 'ann'] }, 'in the inbox');
    await ann.client.send({ match: { role: 'tester' } }, 'matched');
    await until('what is for bob himself', () => bobs.all.length === 1);
    assert.deepEqual(bobs.all.map(({ topic, offset, data }) => [topic, offset, data]), [['u:bob', 1, 'in the inbox']], 'none of the group');
    assert.deepEqual([ann.errors, bob.errors, ann.gaps, bob.gaps], [[], [], [], []]);
  });

  test('history leads through all that the log holds, both ways', async (t) => {
    const start = starter(t, () => ring);
    const ann = await start('historian');
    const room = ann.client.group('annals');
    const { epoch } = await room.send(1);
    for (let n = 2; n <= 25; n++) await room.send(n);
    const read = async (/** @type {'after' | 'before'} */ way, /** @type {number} */ from) => {
      const got = [];
      for (let at = from, more = true; more;) {
        const page = await room.history({ [way]: at, limit: 10 });
        got.push(...page.entries.map(({ data }) => data));
        assert.deepEqual([page.epoch, page.offset, page.first, page.topic], [epoch, 25, 1, 'g:annals']);
        ({ more } = page);
        at = page.entries.at(-1)?.offset;
      }
      return got;
    };
    const numbers = Array.from({ length: 25 }, (_, i) => i + 1);
    assert.deepEqual(await read('after', 0), numbers);
    assert.deepEqual(await read('before', 26), numbers.toReversed());
    assert.deepEqual((await room.history({ limit: 2 })).entries.map(({ data }) => data), [25, 24]);
    const other = await room.history({ epoch: '0123456789abcdef', after: 3 });
    assert.deepEqual([other.lost, other.entries, other.epoch], [true, [], epoch]);
    await ann.client.send({ user: 'historian' }, 'to myself');
    assert.deepEqual((await ann.client.history()).entries.map(({ data }) => data), ['to myself']);
    for (let n = 1; n <= 30; n++) await ann.client.send({ group: 'small-talk' }, n);
    const small = await ann.client.group('small-talk').history({ after: 0 });
    assert.deepEqual([small.gap, small.entries[0].offset], [{ after: 0, before: small.first }, small.first]);
    const [gaps, handle] = [/** @type {any[]} */ ([]), ann.client.group('small-chat')];
    handle.on('gap', (/** @type {any} */ gap) => gaps.push(gap));
    const early = await handle.send(1);
    await until('its message', () => handle.position?.offset === 1);
    const position = { epoch: early.epoch, offset: 1 };
    await handle.leave();
    for (let n = 2; n <= 40; n++) await ann.client.send({ group: 'small-chat' }, n);
    const later = ann.client.group('small-chat', { since: position });
    const heard = listen(later);
    later.on('gap', (/** @type {any} */ gap) => gaps.push(gap));
    await until('the newest', () => heard.data.includes(40));
    assert.deepEqual([gaps.length, gaps[0].reason, gaps[0].after, gaps[0].before], [1, 'trimmed', 1, heard.stored[0].offset]);
    assert.deepEqual(ann.gaps, gaps);
  });

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
      reader.cut();
      if (round % 2) one.cut();
      await until('it is gone', () => reader.states.at(-1) !== 'connected');
      await reader.back();
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

  test('the back end takes a client out of a group, and puts it into one', async (t) => {
    const start = starter(t, () => ring);
    const [ann, bob] = [await start('host'), await start('guest')];
    const [room, seat] = [ann.client.group('party'), bob.client.group('party')];
    await Promise.all([room.joined, seat.joined]);
    const [heard, others] = [listen(seat), listen(bob.client)];
    await room.send('welcome');
    await until('it', () => heard.all.length === 1);
    await backEnd(ring, 'DELETE', 'groups/party/members/guest');
    await until('it is told', () => bob.errors.length > 0);
    assert.deepEqual(bob.errors.map(({ code, message, retryable }) => [code, message, retryable]), [['removed', 'g:party', false]]);
    await until('nobody counts it', async () => (await room.send('without the guest')).online === 1);
    bob.cut();
    await until('it is gone', () => bob.states.at(-1) !== 'connected');
    await bob.back();
    assert.equal((await room.send('still without')).online, 1, 'it does not join again by itself');
    assert.deepEqual([heard.data, others.data], [['welcome'], []]);
    await backEnd(ring, 'PUT', 'groups/party/members/guest');
    await until('it is in', async () => (await room.send('come in')).online === 2);
    await until('it hears', () => heard.data.includes('come in') || others.data.includes('come in'));
    const again = bob.client.group('party');
    await again.joined;
    assert.equal((await room.send('once')).online, 2);
  });

  test('a drained node: its clients move with their groups', { within_ms: 60_000 }, async (t) => {
    const start = starter(t, () => ring);
    const clients = await Promise.all(names(12).map((name) => start(name)));
    await planned(clients, () => backEnd(ring, 'POST', 'nodes/n2/drain'), (node) => node !== 'n2');
    assert.ok(clients.some(({ moves }) => moves.length > 0), 'some moved');
  });
});

/**
 * Something planned happens while everybody talks in groups: all moves, and nobody notices.
 * @param {Started[]} clients @param {() => Promise<unknown>} happen @param {(node: string, user: string) => boolean} right
 */
async function planned(clients, happen, right) {
  const rooms = ['red', 'green', 'blue'];
  const handles = clients.map(({ client }, i) => client.group(rooms[i % 3], { presence: true }));
  await Promise.all(handles.map(({ joined }) => joined));
  const heard = handles.map(listen);
  const talkers = handles.map((handle) => talking((n) => handle.send(n), 100));
  const passers = handles.slice(0, 3).map((handle, i) => talking((n) => handle.send({ pass: `${i} ${n}` }, { ephemeral: true }), 50));
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
  }
}

describe('groups of the npm client, on Redis', () => {
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
    assert.deepEqual([gaps.length, gaps[0].topic, gaps[0].reason, gaps[0].after, gaps[0].before], [1, 'g:archive', 'log_lost', 3, 1]);
    assert.deepEqual(bob.gaps.map(({ topic }) => topic).sort(), ['g:archive', 'u:mourner']);
    assert.notEqual(gaps[0].epoch, before.epoch);
    assert.deepEqual(seat.position, { epoch: gaps[0].epoch, offset: 0 });
    const { epoch, offset } = await room.send('a new beginning');
    assert.deepEqual([epoch, offset], [gaps[0].epoch, 1]);
    await until('it goes on', () => heard.data.includes('a new beginning'));
    assert.deepEqual([ann.states, bob.states].flat().filter((state) => state === 'reconnecting'), []);
    assert.deepEqual((await seat.history()).entries.map(({ data }) => data), ['a new beginning']);
  });
});
