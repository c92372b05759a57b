/**
 * The transcripts of docs/transcripts/: each is sound by itself, and each is played against real processes, which have to say
 * what it says.
 */
import assert from 'node:assert/strict';
import { after, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { test } from '../harness/test.mjs';
import { text } from '../tidy/documents.mjs';
import { play } from './player.mjs';
import { faults, transcripts } from './transcript.mjs';

/** @typedef {import('../harness/cluster.mjs').Cluster} Cluster */

const all = transcripts();
/** @param {import('./transcript.mjs').Heading['cluster']} wanted @returns {Promise<Cluster>} */
async function begun({ store = 'embedded', nodes = 1, flags = [], lookups = [] }) {
  const ring = await cluster({ store, nodes, flags: { node: flags } });
  try {
    for (const own of lookups) await ring.startLookup(own);
    return ring;
  } catch (error) {
    await ring.abandon();
    throw error;
  }
}

/** @param {import('./transcript.mjs').Transcript} transcript @param {(t: import('node:test').TestContext) => Promise<Cluster>} on */
const played = (transcript, on) =>
  test(`${transcript.name} is played`, { within_ms: 90_000 }, async (t) => {
    const frames = await play(await on(t), transcript);
    t.diagnostic(`${frames} frames of nodes`);
  });

test('there are at least twelve, and docs/PROTOCOL.md links each', () => {
  assert.ok(all.length >= 12);
  const linked = [...text('docs/PROTOCOL.md').matchAll(/\]\(transcripts\/([\w-]+)\.jsonl\)/g)].map(([, name]) => name);
  assert.deepEqual(linked, all.map(({ name }) => name));
});

for (const transcript of all) test(`${transcript.name} is sound`, () => assert.deepEqual(faults(transcript), []));

// Mostly they wait, so both kinds are played at the same time.
describe('the transcripts', { concurrency: 2 }, () => {
  describe('on the embedded store, each on an empty one', { concurrency: 1 }, () => {
    for (const transcript of all.filter(({ heading }) => heading.cluster.store !== 'redis'))
      played(transcript, async (t) => {
        const ring = await begun(transcript.heading.cluster);
        t.after(() => ring.stop());
        return ring;
      });
  });

  describe('on Redis, where those that ask for the same share it, in the order of their numbers', { concurrency: 1 }, () => {
    /** @type {Map<string, Promise<Cluster>>} */
    const shared = new Map();
    after(async () => {
      for (const ring of shared.values()) await (await ring).stop();
    });
    for (const transcript of all.filter(({ heading }) => heading.cluster.store === 'redis'))
      played(transcript, async () => {
        const key = JSON.stringify(transcript.heading.cluster);
        const ring = shared.get(key) ?? begun(transcript.heading.cluster);
        shared.set(key, ring);
        return ring;
      });
  });
});
