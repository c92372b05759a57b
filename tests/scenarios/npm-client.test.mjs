/** The npm client against real processes: it follows a growing ring without a gap, and comes back from a dying node. */
import assert from 'node:assert/strict';
import { Checker } from '../harness/checker.mjs';
import { cluster } from '../harness/cluster.mjs';
import { names } from '../harness/crowd.mjs';
import { npmClient } from '../harness/npm-client.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const USERS = names(24);

/** @typedef {Awaited<ReturnType<typeof npmClient>>} Member */

/** @param {import('node:test').TestContext} t @param {number} nodes */
async function party(t, nodes) {
  const ring = await cluster({ nodes });
  const checker = new Checker();
  /** @type {Member[]} */
  const members = [];
  t.after(async () => {
    await Promise.all(members.map(({ client }) => client.close()));
    await ring.stop();
  });
  members.push(...(await Promise.all(USERS.map((user) => npmClient(ring, user, checker)))));
  return { ring, checker, members };
}

/** Everybody sends to everybody a little, and it all arrives once. @param {Checker} checker @param {Member[]} members */
async function talk(checker, members) {
  const sends = members.flatMap(({ client, user }, i) => [1, 2, 3].map(async (k) => {
    const payload = checker.message(user, members[(i + k * 5) % members.length].user);
    await client.send({ user: payload.to }, payload, { ephemeral: true });
    checker.acknowledged(payload);
  }));
  await Promise.all(sends);
  await until('all arrives', () => checker.missing().length === 0, { describe: () => checker.missing().slice(0, 5) });
  checker.assertClean();
}

test('a node joins: clients move without losing their connection, and nothing comes twice', { within_ms: 90_000 }, async (t) => {
  const { ring, checker, members } = await party(t, 2);
  await talk(checker, members);
  await ring.startNode({ id: 'n3' });
  await ring.untilSeen(['n1', 'n2', 'n3']);
  const document = await ring.ring();
  const movers = members.filter(({ user }) => document.home(user) === 'n3');
  assert.ok(movers.length > 0);
  await until('those whose home is new are there', () => movers.every(({ client }) => client.status.node === 'n3'), {
    within_ms: 30_000,
    describe: () => movers.map(({ client, user }) => `${user}: ${JSON.stringify(client.status)}`),
  });
  for (const { moves, user } of movers) assert.deepEqual(moves.map((move) => move.to), ['n3'], user);
  for (const { states, user } of members) assert.ok(!states.includes('reconnecting'), `${user}: ${states}`);
  for (const { moves, user } of members.filter((member) => !movers.includes(member))) assert.deepEqual(moves, [], `${user} stays`);
  await talk(checker, members);
});

for (const [what, end] of /** @type {const} */ ([['is killed', 'SIGKILL'], ['is told to end', 'SIGTERM']])) {
  test(`a node ${what}: its clients are back by themselves`, { within_ms: 90_000 }, async (t) => {
    const { ring, checker, members } = await party(t, 3);
    const orphans = members.filter(({ client }) => client.status.node === 'n2');
    assert.ok(orphans.length > 0);
    ring.node('n2').process.signal(end);
    await until('its clients are elsewhere', () => orphans.every(({ client }) => client.status.state === 'connected' && client.status.node !== 'n2'), {
      within_ms: 30_000,
      describe: () => orphans.map(({ client, user }) => `${user}: ${JSON.stringify(client.status)}`),
    });
    for (const { states, user } of members.filter((member) => !orphans.includes(member))) assert.ok(!states.includes('reconnecting'), user);
    await talk(checker, members);
  });
}
