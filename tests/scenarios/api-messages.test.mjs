/** What an application's servers do over HTTP reaches sessions on every node, through whichever lookup service. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { BackEnd } from '../harness/back-end.mjs';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { test } from '../harness/test.mjs';

/** @typedef {import('../harness/session.mjs').Session} Session */

/** The data of the messages of a topic. @param {Session} session @param {string} topic */
const dataOf = (session, topic) => session.inbox.filter((message) => message.topic === topic).map((message) => message.data);

describe('the back end', () => {
  /** @type {import('../harness/cluster.mjs').Cluster} */
  let ring;
  /** @type {BackEnd} */
  let server;
  before(async () => {
    ring = await cluster({ nodes: 3, lookups: 2, flags: { lookup: ['--ticket-claims', 'class'] } });
    server = new BackEnd(ring);
  });
  after(() => ring.stop());

  test('writes to users wherever they are, and the log holds it', async () => {
    const users = names(12, 'reader');
    const sessions = await Promise.all(users.map((user) => ring.connect(user)));
    assert.equal(new Set(sessions.map((session) => session.node)).size, 3);
    for (const [i, user] of users.entries()) {
      const data = { i, text: 'grüße "用户"', nested: [1.50, null] };
      const first = await server.done('POST', '/messages', { to: { user }, data }, i % 2);
      const second = await server.done('POST', '/messages', { to: { user }, data: i, from: 'billing' }, (i + 1) % 2);
      assert.deepEqual([first.offset, first.online, second.offset, second.epoch], [1, 1, 2, first.epoch]);
      const session = sessions[i];
      await session.until('both', () => session.inbox.length === 2);
      const [one, two] = session.inbox;
      assert.deepEqual([one.topic, one.epoch, one.offset, one.from, one.data], [`u:${user}`, first.epoch, 1, 'server', data]);
      assert.deepEqual([two.offset, two.from, two.data], [2, 'billing', i]);
    }
    const away = await server.done('POST', '/messages', { to: { user: 'nobody-there' }, data: 1 });
    assert.deepEqual([away.online, away.offset], [0, 1]);
    const late = await ring.connect('nobody-there', { hello: { resume: { 'u:nobody-there': { offset: 0 } } } });
    await late.until('what came before', () => late.inbox.length === 1);
    assert.equal(late.inbox[0].replayed, true);
  });

  test('writes to groups, to several users, and what is only passed on', async () => {
    const [ann, ben, cid] = await Promise.all(['ann', 'ben', 'cid'].map((user) => ring.connect(user, { claims: { groups: user === 'cid' ? [] : ['pair'] } })));
    const stored = await server.done('POST', '/messages', { to: { group: 'pair' }, data: 'to both' });
    assert.deepEqual([stored.online, stored.offset], [2, 1]);
    const passed = await server.done('POST', '/messages', { to: { group: 'pair' }, data: 'typing', ephemeral: true }, 1);
    assert.deepEqual(passed, { online: 2 });
    assert.deepEqual(await server.done('POST', '/messages', { to: { users: ['ann', 'cid', 'nobody'] }, data: 'to some' }), {});
    for (const session of [ann, ben]) await session.until('both', () => dataOf(session, 'g:pair').length === 2);
    for (const session of [ann, cid]) await session.until('its own', () => dataOf(session, `u:${session.user}`).length === 1);
    assert.deepEqual(dataOf(ann, 'g:pair'), ['to both', 'typing']);
    assert.deepEqual([ann.inbox.length, ben.inbox.length, cid.inbox.length], [3, 2, 1]);
    const history = await server.done('GET', '/groups/pair/history');
    assert.deepEqual(history.entries.map((/** @type {any} */ entry) => [entry.offset, entry.from, entry.data]), [[1, 'server', 'to both']]);
  });

  test('writes to everybody, and to all who match', async () => {
    const classes = [3, 3, 4, 4, [3, 9], undefined];
    const sessions = await Promise.all(classes.map((own, i) => ring.connect(`pupil-${i}`, { claims: { class: own } })));
    assert.ok(new Set(sessions.map((session) => session.node)).size > 1);
    await server.done('POST', '/messages', { to: { match: { class: 3 } }, data: 'three' });
    await server.done('POST', '/messages', { to: { all: true }, data: 'all' }, 1);
    for (const session of sessions) await session.until('the word to all', () => dataOf(session, '*').includes('all'));
    const got = sessions.map((session) => dataOf(session, '*').includes('three'));
    assert.deepEqual(got, [true, true, false, false, true, false]);
    assert.ok(sessions.every((session) => session.inbox.every((message) => message.id && message.offset === undefined)));
  });

  test('repeats itself safely: a key counts through every lookup service', async () => {
    const session = await ring.connect('kay');
    const letter = { to: { user: 'kay' }, data: { order: 7 }, key: 'order-7' };
    const answers = [];
    for (const by of [0, 1, 0, 1]) answers.push(await server.done('POST', '/messages', letter, by));
    // At once, too.
    answers.push(...(await Promise.all([0, 1, 0, 1].map((by) => server.done('POST', '/messages', letter, by)))));
    assert.deepEqual(new Set(answers.map(({ epoch, offset }) => `${epoch} ${offset}`)).size, 1, JSON.stringify(answers));
    const reused = await server.ask('POST', '/messages', { ...letter, data: { order: 8 } }, 1);
    assert.deepEqual([reused.status, reused.json.code, reused.json.temporary], [409, 'key_reused', false]);
    const other = await server.done('POST', '/messages', { ...letter, from: 'another' });
    assert.equal(other.offset, 2, 'a key is its sender\'s');
    await session.until('both', () => session.inbox.length === 2);
    await session.request({ op: 'history' });
    assert.deepEqual(session.inbox.map((message) => message.from), ['server', 'another']);
    // In one batch, and for several users of whom one has it.
    const twice = await server.done('POST', '/messages', { messages: [letter, letter] });
    assert.deepEqual(twice.results.map((/** @type {any} */ result) => result.offset), [1, 1]);
    const some = await server.ask('POST', '/messages', { to: { users: ['kay', 'lee'] }, data: 'x', key: 'order-7' });
    assert.deepEqual([some.status, some.json], [207, { failed: [{ user: 'kay', code: 'key_reused', temporary: false }] }]);
  });

  test('keeps the order of a batch, in each of its topics', { within_ms: 90_000 }, async () => {
    const users = names(5, 'pupil-of');
    const sessions = await Promise.all(users.map((user) => ring.connect(user)));
    const messages = Array.from({ length: 1_000 }, (_, n) => ({ to: { user: users[n % 5] }, data: n }));
    const { results } = await server.done('POST', '/messages', { messages }, 1);
    for (const [i, session] of sessions.entries()) {
      await session.until('all of its own', () => session.inbox.length === 200, 20_000);
      assert.deepEqual(dataOf(session, `u:${users[i]}`), Array.from({ length: 200 }, (_, n) => 5 * n + i));
    }
    assert.deepEqual(results.map((/** @type {any} */ result) => result.offset), messages.map((_, n) => Math.floor(n / 5) + 1));
  });

  test('has much to say at once: it waits for room and is not refused', { within_ms: 90_000 }, async () => {
    // More than may wait for one home, twice at the same time.
    const batch = (/** @type {string} */ from) => ({ messages: Array.from({ length: 120 }, (_, n) => ({ to: { group: 'archive' }, from, data: `${n} ${'x'.repeat(60_000)}` })) });
    const answers = await Promise.all([0, 1].map((by) => server.done('POST', '/messages', batch(`writer-${by}`), by)));
    const offsets = answers.map(({ results }) => results.map((/** @type {any} */ result) => result.offset));
    for (const own of offsets) assert.ok(own.every((/** @type {number} */ offset, /** @type {number} */ i) => i === 0 || offset > own[i - 1]), JSON.stringify(own));
    assert.deepEqual(offsets.flat().sort((a, b) => a - b), Array.from({ length: 240 }, (_, i) => i + 1));
  });

  test('one wrong message of a batch says nothing about the others', async () => {
    const answer = await server.ask('POST', '/messages', { messages: [{ to: { user: 'one' }, data: 1 }, { to: { user: '' }, data: 2 }, { to: { user: 'one' }, data: 3 }] });
    assert.equal(answer.status, 207);
    const [first, second, third] = answer.json.results;
    assert.deepEqual([first.offset, second.error.code, third.offset], [1, 'bad_id', 2]);
  });

  test('sees who is online', async () => {
    const user = 'looked-at';
    const state = (/** @type {number} */ by) => server.done('GET', `/users/${user}`, undefined, by);
    assert.deepEqual([(await state(0)).online, (await state(1)).sessions], [false, 0]);
    const first = await ring.connect(user);
    const second = await ring.connect(user, { avoid: [first.node] });
    assert.notEqual(first.node, second.node);
    for (const by of [0, 1]) {
      const { online, sessions } = await state(by);
      assert.deepEqual([online, sessions], [true, 2]);
    }
    await second.close();
    await first.until('it is counted out', async () => (await state(0)).sessions === 1);
  });

  test('sees who is in a group, as its members do', async () => {
    const sessions = await Promise.all(['dan', 'eve', 'fay'].map((user) => ring.connect(user, { claims: { groups: ['choir'] } })));
    await sessions[0].until('all are there', async () => (await server.done('GET', '/groups/choir/presence', undefined, 1)).count === 3);
    const { users, group } = await server.done('GET', '/groups/choir/presence');
    assert.deepEqual([group, [...users].sort()], ['choir', ['dan', 'eve', 'fay']]);
    await sessions[1].request({ op: 'leave', group: 'choir' });
    await sessions[0].until('one has left', async () => (await server.done('GET', '/groups/choir/presence')).count === 2);
    await server.done('PUT', '/groups/choir/members/eve');
    await sessions[0].until('one was brought back', async () => (await server.done('GET', '/groups/choir/presence')).count === 3);
    await server.done('DELETE', '/groups/choir/members/fay');
    await sessions[0].until('another was taken out', async () => !(await server.done('GET', '/groups/choir/presence')).users.includes('fay'));
  });

  test('ends the sessions of a user, on every node, and of nobody else', async () => {
    const first = await ring.connect('fired');
    const [second, other] = [await ring.connect('fired', { avoid: [first.node] }), await ring.connect('colleague')];
    assert.deepEqual(await server.done('DELETE', '/users/fired/sessions', undefined, 1), { user: 'fired', sessions: 2 });
    for (const session of [first, second]) {
      assert.deepEqual(await session.closing(), { code: 4401, reason: 'token' });
      assert.deepEqual(session.errors.map(({ code, temporary }) => [code, temporary]), [['session_revoked', false]]);
    }
    assert.equal((await server.done('DELETE', '/users/fired/sessions')).sessions, 0);
    await other.send({ user: 'colleague' }, 'still here');
    assert.equal(other.closed, undefined);
    // The application revokes the token; Ringdial alone keeps nobody out.
    assert.ok((await ring.connect('fired')).welcome);
  });

  test('brings sessions into a group and takes them out again', async () => {
    const claims = { groups: [] };
    const first = await ring.connect('guest', { claims });
    const second = await ring.connect('guest', { claims, avoid: [first.node] });
    await server.done('POST', '/messages', { to: { group: 'lounge' }, data: 'before' });
    await assert.rejects(first.request({ op: 'join', group: 'lounge' }), { code: 'forbidden' });
    assert.deepEqual(await server.done('PUT', '/groups/lounge/members/guest', undefined, 1), { group: 'lounge', user: 'guest', sessions: 2 });
    for (const session of [first, second]) {
      const { op, ...told } = await session.frame('recovered');
      assert.deepEqual([op, told.topic, told.offset, told.recovered], ['recovered', 'g:lounge', 1, true]);
    }
    const { online, offset } = await server.done('POST', '/messages', { to: { group: 'lounge' }, data: 'welcome' });
    assert.deepEqual([online, offset], [2, 2]);
    for (const session of [first, second]) await session.until('the message', () => dataOf(session, 'g:lounge').length === 1);
    assert.equal((await server.done('PUT', '/groups/lounge/members/guest')).sessions, 2, 'again is no error');
    assert.equal((await server.done('DELETE', '/groups/lounge/members/guest')).sessions, 2);
    for (const session of [first, second]) assert.equal((await session.frame('removed')).topic, 'g:lounge');
    await first.until('nobody is left', async () => (await server.done('POST', '/messages', { to: { group: 'lounge' }, data: 'late' })).online === 0);
    assert.deepEqual([first, second].map((session) => dataOf(session, 'g:lounge')), [['welcome'], ['welcome']]);
    assert.equal((await server.done('PUT', '/groups/lounge/members/not-there')).sessions, 0);
  });
});
