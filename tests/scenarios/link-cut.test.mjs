/** A link between two living nodes is cut or falls silent: what the home stored meanwhile is found, also where nothing else is sent. */
import assert from 'node:assert/strict';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { Member } from '../harness/member.mjs';
import { test } from '../harness/test.mjs';
import { TopicChecker } from '../harness/topic-checker.mjs';
import { until } from '../harness/until.mjs';

const FOUND_MS = 2_000;
/** A silent link ends after 5 s. */
const SILENCE_MS = 5_000;
const CLAIMS = { permissions: ['join:*'] };

for (const [how, found_ms] of /** @type {const} */ ([['cut', FOUND_MS], ['freeze', SILENCE_MS + FOUND_MS]])) {
  test(`the links to a home ${how === 'cut' ? 'are cut' : 'fall silent'}: one message on each silent topic is found within ${found_ms} ms`, { within_ms: 90_000 }, async (t) => {
    const ring = await cluster({ nodes: ['n1', 'n2', 'n3'].map((id) => ({ id, proxied: true })) });
    t.after(() => ring.stop());
    const document = await ring.ring();
    const groups = names(400, 'silent-').filter((name) => document.homeOf(`g:${name}`) === 'n2').slice(0, 40);
    const usersAt = (/** @type {string} */ id) => names(60, 'user-').filter((name) => document.homeOf(`u:${name}`) === id);
    const checker = new TopicChecker({ ephemeralMayBeLost: true });
    const join = (/** @type {string} */ user) => new Member(ring, checker, user, { claims: CLAIMS, groups }).begin();
    const followers = await Promise.all([...usersAt('n1').slice(0, 3), ...usersAt('n3').slice(0, 3)].map(join));
    const sender = await new Member(ring, checker, usersAt('n2')[0], { claims: CLAIMS }).begin();
    assert.deepEqual([...followers, sender].map(({ node }) => node), ['n1', 'n1', 'n1', 'n3', 'n3', 'n3', 'n2']);
    const toAll = (/** @type {string[]} */ names) => Promise.all(names.map((group) => sender.send({ group })));
    const arrives = async (/** @type {number} */ within_ms) => {
      const began = Date.now();
      await until('every message arrives', () => checker.missing().length === 0, { within_ms, describe: () => `${checker.missing().length} are missing, such as ${checker.missing().slice(0, 3)}` });
      return Date.now() - began;
    };

    await toAll(groups);
    await arrives(FOUND_MS);
    ring.node('n2').proxy?.[how]();
    await toAll(groups);
    t.diagnostic(`found after ${await arrives(found_ms)} ms`);
    // By now the followers know that the link is down.
    await toAll(groups.slice(0, 20));
    t.diagnostic(`and again after ${await arrives(FOUND_MS)} ms`);
    ring.node('n2').proxy?.mend();
    await toAll(groups.slice(20));
    await arrives(FOUND_MS);
    await until('messages cross the links again', async () => {
      const began = Date.now();
      await toAll(groups.slice(0, 5));
      await arrives(FOUND_MS);
      return Date.now() - began < 200;
    }, { within_ms: 15_000 });
    checker.assertClean();
    assert.deepEqual([checker.gaps, [...followers, sender].flatMap((member) => member.closes)], [[], []]);
  });
}
