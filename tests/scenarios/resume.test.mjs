/** A client comes back: replay, then live, with nothing missing and nothing twice at the seam; and it is told what is gone. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { Member } from '../harness/member.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { delay, until } from '../harness/until.mjs';

const FLAGS = { node: ['--sends-per-second', '5000', '--sends-burst', '5000', '--retention', 'g:small-*=20,5m', '--retention', 'g:quiet-*=0', '--retention', '*=5000,5m'] };
const CLAIMS = { permissions: ['join:*'] };
const NO_EPOCH = '0123456789abcdef';

for (const store of /** @type {const} */ (['redis', 'embedded'])) {
  describe(`resuming, ${store}`, () => {
    /** @type {import('../harness/cluster.mjs').Cluster} */
    let ring;
    before(async () => (ring = await cluster({ store, nodes: 3, flags: FLAGS })));
    after(() => ring.stop());
    const connect = (/** @type {string} */ user, /** @type {object} */ hello = {}) => ring.connect(user, { claims: CLAIMS, hello });
    /** @param {import('../harness/session.mjs').Session} session @param {object} to @param {number} count */
    const storeMany = async (session, to, count, prefix = '') => {
      const acks = await Promise.all(Array.from({ length: count }, (_, i) => session.store(to, `${prefix}${i + 1}`)));
      return acks[acks.length - 1];
    };
    /** The messages of a topic. @param {import('../harness/session.mjs').Session} session @param {string} topic */
    const got = (session, topic) => session.inbox.filter((frame) => frame.topic === topic);
    const range = (/** @type {number} */ from, /** @type {number} */ to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

    test('the seam holds while messages keep coming', { within_ms: 60_000 }, async (t) => {
      const checker = new TopicChecker();
      const sender = await new Member(ring, checker, 'talker', { claims: CLAIMS }).begin();
      const listeners = await Promise.all([0, 1, 2, 3].map((i) => new Member(ring, checker, `listener-${i}`, { claims: CLAIMS, groups: ['seam'] }).begin()));
      let going = true;
      const talking = (async () => {
        for (; going; await delay(2)) for (let k = 0; k < 2; k++) sender.send({ group: 'seam' }), sender.send({ user: 'listener-0' });
      })();
      await Promise.all(listeners.map(async (listener, i) => {
        for (let round = 0; round < 12; round++) {
          if (round % 4 === 3) await listener.move();
          else await listener.drop({ away_ms: (round * 37 * (i + 1)) % 250, rough: round % 2 === 0 });
          await delay(20 * i);
        }
      }));
      going = false;
      await talking;
      await until('everything arrives', () => sender.unanswered === 0 && checker.missing().length === 0, { within_ms: 20_000, describe: () => checker.missing().slice(0, 5) });
      checker.assertClean();
      t.diagnostic(`${checker.sent} messages, ${checker.replayed} replayed, ${checker.overlapped} twice in a move`);
      assert.deepEqual(checker.gaps, []);
      assert.ok(checker.sent > 1_000 && checker.replayed > 100, `${checker.sent} sent, ${checker.replayed} replayed`);
      await Promise.all([sender, ...listeners].map((member) => member.end()));
    });

    test('what was missed comes first and is marked, then what is live', async () => {
      const [sender, first] = [await connect('sender'), await connect('reader')];
      await storeMany(sender, { user: 'reader' }, 3);
      await first.until('three messages', () => first.inbox.length === 3);
      assert.deepEqual(first.inbox.map(({ offset, replayed }) => [offset, replayed]), [[1, undefined], [2, undefined], [3, undefined]]);
      const { epoch } = first.inbox[0];
      await first.close();
      await storeMany(sender, { user: 'reader' }, 5, 'missed ');
      const second = await connect('reader', { resume: { 'u:reader': { epoch, offset: 3 } } });
      assert.deepEqual(second.welcome?.topics['u:reader'], { epoch, offset: 8, recovered: true });
      await sender.store({ user: 'reader' }, 'live');
      await second.until('six messages', () => second.inbox.length === 6);
      assert.deepEqual(second.inbox.map(({ offset }) => offset), range(4, 9));
      assert.deepEqual(second.inbox.slice(0, 5).map(({ replayed, data }) => [replayed, data]), range(1, 5).map((i) => [true, `missed ${i}`]));
      assert.ok(second.frames.indexOf(/** @type {any} */ (second.welcome)) < second.frames.findIndex((frame) => frame.op === 'message'), 'welcome comes first');
      await second.close();
    });

    test('without a position it starts at the head, with {offset: 0} at the beginning', async () => {
      const sender = await connect('sender');
      const { epoch } = await storeMany(sender, { group: 'history-all' }, 10);
      const fresh = await connect('fresh', { groups: ['history-all'] });
      assert.deepEqual(fresh.welcome?.topics['g:history-all'], { epoch, offset: 10, recovered: true });
      const all = await connect('all', { resume: { 'g:history-all': { offset: 0 } } });
      assert.deepEqual(all.welcome?.topics['g:history-all'], { epoch, offset: 10, recovered: true });
      const joined = await connect('joined');
      const ack = await joined.request({ op: 'join', group: 'history-all', since: { offset: 0 } });
      assert.deepEqual([ack.topic, ack.epoch, ack.offset, ack.recovered], ['g:history-all', epoch, 10, true]);
      await sender.store({ group: 'history-all' }, 'live');
      await Promise.all([all, joined].map((session) => session.until('eleven messages', () => session.inbox.length === 11)));
      await fresh.until('the live one', () => fresh.inbox.length === 1);
      for (const session of [all, joined]) assert.deepEqual(session.inbox.map(({ offset }) => offset), range(1, 11));
      assert.equal(fresh.inbox[0].offset, 11);
    });

    test('what was trimmed is told as a gap, and what is left comes', async () => {
      const sender = await connect('sender');
      const { epoch } = await storeMany(sender, { group: 'small-1' }, 50);
      const behind = await connect('behind', { resume: { 'g:small-1': { epoch, offset: 5 } } });
      assert.deepEqual(behind.welcome?.topics['g:small-1'], { epoch, offset: 50, recovered: false });
      await sender.store({ group: 'small-1' }, 'live');
      await behind.until('the rest', () => behind.inbox.at(-1)?.data === 'live');
      const [gap] = behind.frames.filter((frame) => frame.op === 'gap');
      assert.deepEqual([gap.topic, gap.epoch, gap.after, gap.reason], ['g:small-1', epoch, 5, 'trimmed']);
      assert.ok(gap.before >= 30 && gap.before <= 32, `the newest 20 of 50 or 51 are kept: ${JSON.stringify(gap)}`);
      assert.deepEqual(behind.inbox.map(({ offset }) => offset), range(gap.before, 51));
      assert.equal(behind.frames.filter((frame) => frame.op === 'gap').length, 1);
      const whole = await connect('whole', { resume: { 'g:small-1': { offset: 0 } } });
      assert.equal(whole.welcome?.topics['g:small-1'].recovered, true, 'all that the log holds is all that was asked for');
      await whole.until('the newest', () => got(whole, 'g:small-1').length === 20);
      assert.deepEqual(whole.inbox.map(({ offset }) => offset), range(32, 51));
      assert.ok(!whole.frames.some((frame) => frame.op === 'gap'));
    });

    test('a position that the topic never had: a gap for whoever claims it, and for nobody else', async () => {
      const [sender, other] = [await connect('sender'), await connect('other', { groups: ['claimed'] })];
      const { epoch } = await storeMany(sender, { group: 'claimed' }, 4);
      for (const claim of [{ epoch, offset: 1_000 }, { epoch: NO_EPOCH, offset: 2 }]) {
        const liar = await connect('liar', { resume: { 'g:claimed': claim } });
        assert.equal(liar.welcome?.topics['g:claimed'].recovered, false);
        const gap = await liar.frame('gap');
        assert.deepEqual([gap.topic, gap.epoch, gap.after, gap.reason], ['g:claimed', epoch, claim.offset, 'log_lost']);
        await sender.store({ group: 'claimed' }, 'go on');
        await liar.until('a live one', () => liar.inbox.at(-1)?.data === 'go on');
        assert.deepEqual(liar.inbox.map(({ offset }) => offset), range(gap.before, liar.inbox.at(-1)?.offset));
      }
      await other.until('six messages', () => other.inbox.length === 6);
      assert.deepEqual(other.inbox.map((frame) => [frame.epoch, frame.offset]), range(1, 6).map((offset) => [epoch, offset]));
      assert.ok(!other.frames.some((frame) => frame.op === 'gap'), 'nobody else is told');
    });

    test('a topic without a log: passed on, never replayed', async () => {
      const [sender, listener] = [await connect('sender'), await connect('listener', { groups: ['quiet-1'] })];
      assert.deepEqual(listener.welcome?.topics['g:quiet-1'], { recovered: true });
      const ack = await sender.store({ group: 'quiet-1' }, 'not kept');
      assert.deepEqual([ack.epoch, ack.offset], [undefined, undefined]);
      await listener.until('the message', () => listener.inbox.length === 1);
      assert.deepEqual([listener.inbox[0].offset, typeof listener.inbox[0].id], [undefined, 'string']);
      const late = await connect('late', { resume: { 'g:quiet-1': { offset: 0 } } });
      await sender.store({ group: 'quiet-1' }, 'later');
      await late.until('the live one', () => late.inbox.length === 1);
      assert.equal(late.inbox[0].data, 'later');
    });

    test("somebody else's inbox, and a topic that is none", async () => {
      const session = await connect('curious', { resume: { 'u:sender': { offset: 0 } } });
      assert.equal(session.welcome?.topics['u:sender'].error, 'forbidden');
      const sender = await connect('sender');
      await sender.store({ user: 'sender' }, 'a secret');
      await sender.until('it is there', () => sender.inbox.length > 0);
      await session.store({ user: 'curious' }, 'a round trip');
      await session.until('my own', () => session.inbox.length === 1);
      assert.equal(session.inbox[0].data, 'a round trip');
    });
  });
}
