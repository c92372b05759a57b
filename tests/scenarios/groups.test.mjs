/** Who is in a group: by the token's claims, by joining, and no longer after leaving; and who may not be. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { RefusedError } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const FLAGS = { node: MANY_SENDS };
const withCode = (/** @type {string} */ code) => (/** @type {any} */ error) => error instanceof RefusedError && error.code === code && error.temporary === false;

for (const store of /** @type {const} */ (['redis', 'embedded'])) {
  describe(`groups, ${store}`, () => {
    /** @type {import('../harness/cluster.mjs').Cluster} */
    let ring;
    before(async () => (ring = await cluster({ store, nodes: 3, flags: FLAGS })));
    after(() => ring.stop());
    const connect = (/** @type {string} */ user, /** @type {object} */ claims = { permissions: ['join:*'] }, /** @type {object} */ hello = {}) => ring.connect(user, { claims, hello });
    const heard = (/** @type {import('../harness/session.mjs').Session} */ session) => session.inbox.map(({ data }) => data);

    /** The home hears of who has left, or gone, soon after. @param {import('../harness/session.mjs').Session} session @param {string} group */
    const noneOnline = (session, group) => until(`nobody is in ${group}`, async () => (await session.send({ group }, 'anybody?')).online === 0);

    test('a session hears a group from its join to its leave, and no further', async () => {
      const [ann, bob] = [await connect('ann'), await connect('bob')];
      await ann.store({ group: 'tea' }, 1);
      const joined = await bob.request({ op: 'join', group: 'tea' });
      assert.deepEqual([joined.topic, joined.offset, joined.recovered], ['g:tea', 1, true]);
      const two = await ann.store({ group: 'tea' }, 2);
      assert.deepEqual([two.offset, two.online], [2, 1]);
      await bob.send({ group: 'tea' }, 'passed on');
      await bob.until('both', () => bob.inbox.length === 2);
      const left = await bob.request({ op: 'leave', group: 'tea' });
      assert.deepEqual([left.topic, left.epoch, left.offset], ['g:tea', joined.epoch, 2]);
      await noneOnline(ann, 'tea');
      assert.equal((await ann.store({ group: 'tea' }, 3)).online, 0);
      await bob.request({ op: 'join', group: 'tea', since: { epoch: left.epoch, offset: left.offset } });
      await ann.store({ group: 'tea' }, 4);
      await bob.until('what it missed and what is live', () => heard(bob).includes(4));
      const told = bob.inbox.filter(({ offset }) => offset);
      assert.deepEqual(told.map(({ offset, data, topic }) => [offset, data, topic]), [[2, 2, 'g:tea'], [3, 3, 'g:tea'], [4, 4, 'g:tea']]);
      // The fourth is read from the log, too, if it is there before the replay has ended.
      assert.deepEqual(told.slice(0, 2).map(({ replayed }) => replayed), [undefined, true]);
      await bob.store({ group: 'tea' }, 'my own');
      await bob.until('its own message', () => heard(bob).includes('my own'));
      await assert.rejects(ann.request({ op: 'leave', group: 'tea' }), withCode('not_joined'));
      await bob.close();
      await noneOnline(ann, 'tea');
    });

    test('groups of the token are joined by hello, in every session, beside those that hello names', async () => {
      const claims = { groups: ['team-a', 'team-b'], permissions: ['join:extra'] };
      const sessions = await Promise.all([connect('cleo', claims), connect('cleo', claims, { groups: ['extra', 'team-a'] })]);
      assert.deepEqual(Object.keys(sessions[0].welcome?.topics).sort(), ['g:team-a', 'g:team-b', 'u:cleo']);
      assert.deepEqual(Object.keys(sessions[1].welcome?.topics).sort(), ['g:extra', 'g:team-a', 'g:team-b', 'u:cleo']);
      const dan = await connect('dan');
      for (const group of ['team-a', 'team-b', 'extra']) await dan.store({ group }, group);
      await sessions[0].until('two', () => sessions[0].inbox.length === 2);
      await sessions[1].until('three', () => sessions[1].inbox.length === 3);
      assert.deepEqual(heard(sessions[0]).sort(), ['team-a', 'team-b']);
      const asWords = await connect('eve', { groups: 'team-a team-b', permissions: 'join:x broadcast' });
      assert.deepEqual(Object.keys(asWords.welcome?.topics).sort(), ['g:team-a', 'g:team-b', 'u:eve']);
    });

    test('permissions name groups, or beginnings of their names', async () => {
      const session = await connect('finn', { permissions: ['join:one', 'join:room-*', 'joint:x', 'join'] });
      for (const group of ['one', 'room-', 'room-7']) assert.equal((await session.request({ op: 'join', group })).topic, `g:${group}`);
      for (const group of ['one-more', 'roo', 'x', '*', 'room']) await assert.rejects(session.request({ op: 'join', group }), withCode('forbidden'), group);
    });

    test('what is forbidden is forbidden in every way', async () => {
      const owner = await connect('owner', { groups: ['closed'] });
      const { epoch } = await owner.store({ group: 'closed' }, 'a secret');
      const nosy = await connect('nosy', { permissions: ['join:open'] }, { groups: ['closed', 'open'], resume: { 'g:closed': { epoch, offset: 0 } } });
      assert.deepEqual(nosy.welcome?.topics['g:closed'], { error: 'forbidden' });
      assert.equal(nosy.welcome?.topics['g:open'].recovered, true);
      for (const frame of [
        { op: 'join', group: 'closed' }, { op: 'join', group: 'closed', since: { offset: 0 } }, { op: 'history', group: 'closed' }, { op: 'presence', group: 'closed' },
        { op: 'send', to: { group: 'closed' }, data: 1 }, { op: 'send', to: { group: 'closed' }, data: 1, ephemeral: true },
      ]) await assert.rejects(nosy.request(frame), withCode('forbidden'), JSON.stringify(frame));
      await assert.rejects(nosy.request({ op: 'leave', group: 'closed' }), withCode('not_joined'));
      await owner.store({ group: 'closed' }, 'another');
      await nosy.store({ group: 'open' }, 'end');
      await nosy.until('the end', () => nosy.inbox.length > 0);
      assert.deepEqual(heard(nosy), ['end']);
      await owner.until('its own two', () => owner.inbox.length === 2);
      assert.deepEqual(heard(owner), ['a secret', 'another']);
    });

    test('128 groups, and not one more', async () => {
      const groups = names(128, 'g');
      const busy = await connect('busy', undefined, { groups: groups.slice(0, 100) });
      assert.equal(busy.welcome?.limits.groups, 128);
      for (const group of groups.slice(100)) await busy.request({ op: 'join', group });
      await assert.rejects(busy.request({ op: 'join', group: 'one-too-many' }), withCode('too_many_groups'));
      await busy.request({ op: 'join', group: groups[0] });
      await busy.request({ op: 'leave', group: groups[0] });
      await busy.request({ op: 'join', group: 'one-too-many' });
      const gus = await connect('gus');
      for (const group of [groups[1], groups[127], 'one-too-many', groups[0]]) await gus.store({ group }, group);
      await busy.until('three', () => busy.inbox.length === 3);
      assert.deepEqual(heard(busy).sort(), [groups[1], groups[127], 'one-too-many'].sort());
      const greedy = await connect('greedy', undefined, { groups: names(130, 'h') });
      const refused = Object.values(greedy.welcome?.topics).filter((topic) => topic.error);
      assert.deepEqual(refused.map(({ error }) => error), ['too_many_groups', 'too_many_groups']);
    });

    test('group names are as users\' ids are', async () => {
      const session = await connect('hal');
      for (const group of ['', 'x'.repeat(257), 'a\nb']) await assert.rejects(session.request({ op: 'join', group }), withCode('bad_id'));
      await assert.rejects(session.request({ op: 'join' }), withCode('bad_request'));
      await session.request({ op: 'join', group: 'grüße 用户 "\\/:*' });
      await session.store({ group: 'grüße 用户 "\\/:*' }, 'fine');
      await session.until('it', () => session.inbox.length === 1);
      assert.equal(session.inbox[0].topic, 'g:grüße 用户 "\\/:*');
    });
  });
}
