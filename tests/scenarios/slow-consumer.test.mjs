/** A client that stops reading is let go with 4101, comes back, and has lost nothing; the others on its node notice nothing. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { Member } from '../harness/member.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { delay, until } from '../harness/until.mjs';

const SLOW_CONSUMER = 4101;
const FLAGS = { node: [...MANY_SENDS, '--retention', '*=1000,5m'] };
const TEXT = 'x'.repeat(30_000);
const MESSAGES = 500;
const HELD_UP_MS = 3_000;

for (const store of /** @type {const} */ (['redis', 'embedded'])) {
  test(`a session that stops reading, ${store}`, { within_ms: 90_000 }, async (t) => {
    const ring = await cluster({ store, nodes: 1, flags: FLAGS });
    t.after(() => ring.stop());
    const checker = new TopicChecker({ ephemeralMayBeLost: true });
    const claims = { permissions: ['join:*'] };
    const [sleeper, other, sender] = await Promise.all(['sleeper', 'other', 'sender'].map((user) => new Member(ring, checker, user, { claims, groups: user === 'sender' ? [] : ['films'] }).begin()));
    const asleep = sleeper.session;
    asleep?.socket.pause();
    let slowest_ms = 0;
    for (let i = 0; i < MESSAGES; i++) {
      const began = Date.now();
      const to = i % 2 === 0 ? { group: 'films' } : { user: 'sleeper' };
      await sender.send(to, { text: TEXT });
      await sender.send({ user: 'other' });
      slowest_ms = Math.max(slowest_ms, Date.now() - began);
    }
    await until('the others have everything', () => checker.missing().every((what) => what.startsWith('sleeper:')), { within_ms: 10_000, describe: () => checker.missing().slice(0, 3) });
    assert.deepEqual([other.closes, sender.closes], [[], []], 'the others are unharmed');
    t.diagnostic(`the slowest pair of sends took ${slowest_ms} ms`);
    assert.ok(slowest_ms < HELD_UP_MS, `a sender was held up for ${slowest_ms} ms`);

    await delay(500);
    asleep?.socket.resume();
    await until('it was let go', () => sleeper.closes.length > 0, { within_ms: 30_000 });
    assert.deepEqual(sleeper.closes, [SLOW_CONSUMER]);
    await sender.send({ group: 'films' });
    await until('it gets everything', () => checker.missing().length === 0, { within_ms: 30_000, describe: () => checker.missing().slice(0, 3) });
    checker.assertClean();
    assert.deepEqual([checker.gaps, sleeper.closes.length], [[], 1], 'nothing was lost, and the replay does not close it again');
    assert.ok(checker.replayed > 100, `${checker.replayed} replayed`);
  });
}
