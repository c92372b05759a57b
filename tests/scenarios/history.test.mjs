/** History: pages of a topic's past, both ways, bounded, and honest about what is no longer there. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { RefusedError } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';

const FLAGS = { node: ['--sends-per-second', '5000', '--sends-burst', '5000', '--retention', 'g:long=5000,5m', '--retention', 'g:short=20,5m', '--retention', 'g:none=0'] };
const CLAIMS = { permissions: ['join:*'] };
const PAGE_BYTES = 262_144;
const range = (/** @type {number} */ from, /** @type {number} */ to) => Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => (from < to ? from + i : from - i));

for (const store of /** @type {const} */ (['redis', 'embedded'])) {
  describe(`history, ${store}`, () => {
    /** @type {import('../harness/cluster.mjs').Cluster} */
    let ring;
    /** @type {import('../harness/session.mjs').Session} */
    let session;
    /** @type {string} */
    let epoch;
    before(async () => {
      ring = await cluster({ store, nodes: 3, flags: FLAGS });
      session = await ring.connect('reader', { claims: CLAIMS });
      const acks = await Promise.all(range(1, 1200).map((n) => session.store({ group: 'long' }, { n, text: 'x'.repeat(n % 50) })));
      epoch = acks[0].epoch;
    });
    after(() => ring.stop());
    const ask = (/** @type {object} */ fields) => session.request({ op: 'history', group: 'long', ...fields });
    const offsets = (/** @type {any} */ page) => page.entries.map((/** @type {any} */ entry) => entry.offset);

    test('without a word: the newest 50, newest first', async () => {
      const page = await ask({});
      assert.deepEqual([page.topic, page.epoch, page.offset, page.first, page.more, page.gap], ['g:long', epoch, 1200, 1, true, undefined]);
      assert.deepEqual(offsets(page), range(1200, 1151));
      const [newest] = page.entries;
      assert.deepEqual([newest.from, newest.data], ['reader', { n: 1200, text: '' }]);
      assert.ok(Math.abs(newest.time - Date.now()) < 60_000 && Object.keys(newest).sort().join() === 'data,from,offset,time');
    });

    test('both ways, page by page, everything once', async () => {
      for (const [way, next, start, wanted] of /** @type {const} */ ([['after', 'after', 0, range(1, 1200)], ['before', 'before', 1201, range(1200, 1)]])) {
        const seen = [];
        let [at, pages, more] = [start, 0, true];
        for (; more; pages++) {
          const page = await ask({ [next]: at, limit: 500, epoch });
          seen.push(...offsets(page));
          [at, more] = [page.entries.at(-1).offset, page.more];
        }
        assert.deepEqual([seen, pages], [wanted, 3], way);
      }
    });

    test('from the middle, beyond the ends, and no more than asked for', async () => {
      assert.deepEqual(offsets(await ask({ after: 100, limit: 3 })), [101, 102, 103]);
      assert.deepEqual(offsets(await ask({ before: 100, limit: 3 })), [99, 98, 97]);
      assert.equal(offsets(await ask({ after: 0, limit: 1000 })).length, 1000);
      for (const [fields, more] of /** @type {[object, boolean][]} */ ([[{ after: 1200 }, false], [{ after: 5000 }, false], [{ before: 1 }, false], [{ before: 0 }, false]])) {
        const page = await ask(fields);
        assert.deepEqual([offsets(page), page.more, page.gap, page.offset], [[], more, undefined, 1200], JSON.stringify(fields));
      }
      assert.equal((await ask({ after: 1199 })).more, false);
      assert.equal((await ask({ before: 2 })).more, false);
    });

    test('bad requests', async () => {
      for (const fields of [{ limit: 0 }, { limit: 1001 }, { limit: -1 }, { limit: 'x' }, { after: 1, before: 2 }, { after: -1 }, { before: 1.5 }, { epoch: 'x' }, { group: 5 }]) {
        await assert.rejects(ask(fields), (error) => error instanceof RefusedError && error.code === 'bad_request', JSON.stringify(fields));
      }
    });

    test('another epoch is said to be lost', async () => {
      const page = await ask({ after: 5, epoch: '0123456789abcdef' });
      assert.deepEqual([page.lost, page.epoch, page.offset, page.entries], [true, epoch, 1200, []]);
    });

    test('what was trimmed is told as a gap', async () => {
      for (let i = 1; i <= 50; i++) await session.store({ group: 'short' }, i);
      const read = (/** @type {object} */ fields) => session.request({ op: 'history', group: 'short', ...fields });
      const up = await read({ after: 10 });
      assert.deepEqual([up.first, up.gap, offsets(up), up.more], [31, { after: 10, before: 31 }, range(31, 50), false]);
      assert.deepEqual((await read({ after: 30 })).gap, undefined);
      const down = await read({ before: 33 });
      assert.deepEqual([offsets(down), down.more], [[32, 31], false]);
      assert.deepEqual((await read({ before: 20 })).entries, []);
    });

    test('a page has at most 256 KiB, but one entry at least', async () => {
      const text = 'x'.repeat(60_000);
      for (let i = 1; i <= 9; i++) await session.store({ user: 'reader' }, text);
      const seen = [];
      let [after, more, pages] = [0, true, 0];
      for (; more; pages++) {
        const page = await session.request({ op: 'history', after });
        assert.equal(page.topic, 'u:reader');
        assert.ok(page.entries.length > 0 && JSON.stringify(page.entries.map((/** @type {any} */ entry) => entry.data)).length <= PAGE_BYTES);
        seen.push(...offsets(page));
        [after, more] = [page.entries.at(-1).offset, page.more];
      }
      assert.deepEqual([seen, pages], [range(1, 9), 3]);
    });

    test('nothing was ever written, or nothing is kept', async () => {
      for (const group of ['unwritten', 'none']) {
        await session.send({ group }, 1);
        const page = await session.request({ op: 'history', group });
        assert.deepEqual([page.epoch, page.entries, page.more], [undefined, [], false], group);
      }
    });

    test('history changes nothing: what follows comes as before', async () => {
      const listener = await ring.connect('listener', { claims: CLAIMS, hello: { groups: ['long'] } });
      await listener.request({ op: 'history', group: 'long', after: 3, limit: 5 });
      await session.store({ group: 'long' }, 'live');
      await listener.until('the live one', () => listener.inbox.length === 1);
      assert.deepEqual([listener.inbox[0].data, listener.inbox[0].offset], ['live', 1201]);
    });
  });
}
