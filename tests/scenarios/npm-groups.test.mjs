/** The npm client in groups, against real processes: messages and positions, history, presence, and what a back end does. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { backEnd, changes, assertAll, FLAGS, GRACE_MS, listen, present, starter } from '../harness/npm-groups.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

/** @typedef {import('../harness/cluster.mjs').Cluster} Cluster */

describe('groups of the npm client', () => {
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

  test('presence: who is there, who comes and goes, and nobody by a broken socket', async (t) => {
    const start = starter(t, () => ring);
    const [ann, bob] = [await start('amy'), await start('ben')];
    const hall = ann.client.group('hall', { presence: true });
    const told = changes(hall);
    await until('amy is told of herself', () => told.length > 0);
    assert.deepEqual(told, [{ group: 'hall', count: 1, users: ['amy'] }]);
    const seat = bob.client.group('hall', { presence: true });
    const bobs = changes(seat);
    await until('ben has come', () => told.length > 1);
    assert.deepEqual(told.slice(1), [{ group: 'hall', count: 2, joined: ['ben'] }]);
    await until('ben sees both', () => present(bobs).join() === 'amy,ben');
    assert.ok(bobs[0].users, 'first it is told all that are known');
    const { count, users } = await hall.presence();
    assert.deepEqual([count, users.sort()], [2, ['amy', 'ben']]);
    assert.deepEqual((await ann.client.online(['ben', 'nobody', 'amy'])).online.sort(), ['amy', 'ben']);

    const atBen = bobs.length;
    for (const one of [ann, bob]) await one.reconnect();
    await until('both are told all again', () => told.length > 2 && bobs.length > atBen);
    const cleo = await start('cleo');
    await cleo.client.group('hall').joined;
    await until('both know that cleo has come', () => told.at(-1).joined && bobs.at(-1).joined);
    const again = { group: 'hall', count: 2, users: ['amy', 'ben'] };
    const sorted = (/** @type {any[]} */ changes) => changes.map((change) => ({ ...change, ...(change.users && { users: change.users.toSorted() }) }));
    assert.deepEqual(sorted(told.slice(2)), [again, { group: 'hall', count: 3, joined: ['cleo'] }]);
    assert.deepEqual(sorted(bobs.slice(atBen)), [again, { group: 'hall', count: 3, joined: ['cleo'] }]);

    const whole = told.length;
    await seat.leave();
    await until('ben has left', () => told.length > whole, { within_ms: GRACE_MS / 2 });
    await cleo.client.close();
    const closedAt = Date.now();
    await until('cleo is gone', () => told.length > whole + 1);
    assert.ok(Date.now() - closedAt > GRACE_MS / 2, 'not before her time is over');
    assert.deepEqual(told.slice(whole), [{ group: 'hall', count: 2, left: ['ben'] }, { group: 'hall', count: 1, left: ['cleo'] }]);
    assert.deepEqual((await ann.client.online(['ben', 'cleo', 'amy'])).online.sort(), ['amy', 'ben']);
    const quiet = bobs.length;
    await cleo.client.connect();
    await until('cleo is back', () => told.length > whole + 2);
    assert.equal(bobs.length, quiet, 'who has left is told nothing');
    assert.deepEqual([ann.errors.filter(({ code }) => code !== 'connection_lost'), ann.gaps], [[], []]);
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
    await bob.reconnect();
    assert.equal((await room.send('still without')).online, 1, 'it does not join again by itself');
    assert.deepEqual([heard.data, others.data], [['welcome'], []]);
    await backEnd(ring, 'PUT', 'groups/party/members/guest');
    await until('it is in', async () => (await room.send('come in')).online === 2);
    await until('it hears', () => heard.data.includes('come in') || others.data.includes('come in'));
    const again = bob.client.group('party');
    await again.joined;
    assert.equal((await room.send('once')).online, 2);
  });
});
