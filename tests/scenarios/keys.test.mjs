/** Acknowledgements and keys: a send that is repeated, by whichever node, is stored once and answered with the same offset. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { RefusedError } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';
import { delay } from '../harness/until.mjs';

const CLAIMS = { permissions: ['join:*'] };
const FLAGS = { node: MANY_SENDS };
const withCode = (/** @type {string} */ code, temporary = false) => (/** @type {any} */ error) => error instanceof RefusedError && error.code === code && error.temporary === temporary;

for (const store of /** @type {const} */ (['redis', 'embedded'])) {
  describe(`acknowledgements and keys, ${store}`, () => {
    /** @type {import('../harness/cluster.mjs').Cluster} */
    let ring;
    before(async () => (ring = await cluster({ store, nodes: 3, flags: FLAGS })));
    after(() => ring.stop());

    /** One session of a user at each node. @param {string} user */
    const everywhere = async (user) => {
      const ids = ring.idsOf();
      const sessions = await Promise.all(ids.map((id) => ring.connect(user, { claims: CLAIMS, avoid: ids.filter((other) => other !== id) })));
      assert.deepEqual(sessions.map(({ node }) => node), ids);
      return sessions;
    };

    test('the same key gives the same offset, from every node, one after the other and at once', async () => {
      const bob = await ring.connect('bob', { claims: CLAIMS });
      const [one, two, three] = await everywhere('ann');
      const first = await one.store({ user: 'bob' }, { n: 1 }, { key: 'k1' });
      assert.deepEqual([first.offset, first.online], [1, 1]);
      assert.match(first.epoch, /^[0-9a-f]{16}$/);
      for (const session of [two, three, one]) assert.equal((await session.store({ user: 'bob' }, { n: 1 }, { key: 'k1' })).offset, 1);
      const acks = await Promise.all([one, two, three, one, two, three].map((session) => session.store({ user: 'bob' }, 'at once', { key: 'k2' })));
      assert.deepEqual(acks.map(({ epoch, offset }) => [epoch, offset]), acks.map(() => [first.epoch, 2]));
      assert.equal((await two.store({ user: 'bob' }, { n: 1 })).offset, 3, 'without a key it is another one');
      await bob.until('three messages', () => bob.inbox.length === 3);
      await delay(200);
      assert.deepEqual(bob.inbox.map(({ offset, data }) => [offset, data]), [[1, { n: 1 }], [2, 'at once'], [3, { n: 1 }]]);
    });

    test('the same key with other data is refused; another sender, topic or kind is not', async () => {
      const [one, two] = await everywhere('carl');
      const other = await ring.connect('dora', { claims: CLAIMS });
      const { offset } = await one.store({ group: 'keys' }, 'a', { key: 'k' });
      await assert.rejects(two.store({ group: 'keys' }, 'b', { key: 'k' }), withCode('key_reused'));
      assert.equal((await two.store({ group: 'keys' }, 'a', { key: 'k' })).offset, offset);
      assert.equal((await other.store({ group: 'keys' }, 'b', { key: 'k' })).offset, offset + 1);
      assert.equal((await one.store({ group: 'more-keys' }, 'b', { key: 'k' })).offset, 1);
      const ephemeral = await one.send({ group: 'keys' }, 'c', { key: 'k' });
      assert.deepEqual([ephemeral.op, ephemeral.epoch, ephemeral.offset], ['ack', undefined, undefined]);
    });

    test('a key is text of 1 to 256 bytes', async () => {
      const session = await ring.connect('ed', { claims: CLAIMS });
      for (const key of ['', 'x'.repeat(257), 'a\nb']) await assert.rejects(session.store({ user: 'ed' }, 1, { key }), withCode('bad_id'));
      await assert.rejects(session.store({ user: 'ed' }, 1, { key: 5 }), withCode('bad_request'));
      assert.equal((await session.store({ user: 'ed' }, 1, { key: 'ü'.repeat(128) })).offset, 1);
    });

    test('a send to many users is one entry in each inbox, and its repetition none', async () => {
      const users = Array.from({ length: 20 }, (_, i) => `many-${i}`);
      const readers = await Promise.all(users.map((user) => ring.connect(user, { claims: CLAIMS })));
      const [one, two] = await everywhere('frank');
      const ack = await one.store({ users: [...users, users[0]] }, 'to all of you', { key: 'k' });
      assert.deepEqual([ack.failed, ack.offset, ack.epoch], [undefined, undefined, undefined]);
      await two.store({ users }, 'to all of you', { key: 'k' });
      await one.store({ users: users.slice(0, 3) }, 'and a second');
      for (const [i, reader] of readers.entries()) {
        await reader.until('what is for it', () => reader.inbox.length >= (i < 3 ? 2 : 1));
        assert.deepEqual(reader.inbox.map(({ offset, data, topic }) => [offset, data, topic]), [[1, 'to all of you', `u:${reader.user}`], [2, 'and a second', `u:${reader.user}`]].slice(0, i < 3 ? 2 : 1));
      }
    });

    test('of many users those are named for whom it failed', async () => {
      const session = await ring.connect('gina', { claims: CLAIMS });
      await session.store({ user: 'many-1' }, 'first', { key: 'taken' });
      const ack = await session.store({ users: ['many-0', 'many-1', 'many-2'] }, 'second', { key: 'taken' });
      assert.deepEqual(ack.failed, [{ user: 'many-1', code: 'key_reused' }]);
    });

    test('a durable message to nobody waits in the log', async () => {
      const session = await ring.connect('hugo', { claims: CLAIMS });
      const ack = await session.store({ user: 'not-there-yet' }, 'welcome');
      assert.deepEqual([ack.offset, ack.online], [1, 0]);
      const late = await ring.connect('not-there-yet', { claims: CLAIMS, hello: { resume: { 'u:not-there-yet': { offset: 0 } } } });
      await late.until('the message', () => late.inbox.length === 1);
      assert.deepEqual([late.inbox[0].data, late.inbox[0].replayed, late.inbox[0].epoch], ['welcome', true, ack.epoch]);
    });
  });
}
