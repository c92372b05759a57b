/** Messages to groups over several nodes, to everybody, and to those with certain attributes. */
import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { cluster } from '../harness/cluster.mjs';
import { inWaves, names } from '../harness/crowd.mjs';
import { MANY_SENDS } from '../harness/flags.mjs';
import { metric } from '../harness/metrics.mjs';
import { RefusedError } from '../harness/session.mjs';
import { test } from '../harness/test.mjs';
import { until } from '../harness/until.mjs';

const FLAGS = { node: MANY_SENDS, lookup: ['--ticket-claims', 'class,role,year,vip'] };
const MEMBERS = 90;
const MESSAGES = 50;

for (const store of /** @type {const} */ (['redis', 'embedded'])) {
  describe(`audiences, ${store}`, () => {
    /** @type {import('../harness/cluster.mjs').Cluster} */
    let ring;
    before(async () => (ring = await cluster({ store, nodes: 3, flags: FLAGS })));
    after(() => ring.stop());

    test('a message to a group crosses to each other node once, not once per member', { within_ms: 60_000 }, async (t) => {
      const claims = { groups: ['crowd'] };
      const members = await inWaves(names(MEMBERS, 'member-'), (user) => ring.connect(user, { claims }));
      const perNode = ring.idsOf().map((id) => members.filter(({ node }) => node === id).length);
      assert.ok(Math.min(...perNode) >= 10, `members on every node: ${perNode}`);
      const document = await ring.ring();
      const home = ring.node(document.homeOf('g:crowd'));
      const sender = members.find(({ node }) => node === home.id);
      const framesOut = () => metric(home, 'ringdial_peer_frames_out_total');
      const before = await until('the links are quiet', quiet(framesOut));
      for (let i = 0; i < MESSAGES; i++) {
        const ack = await sender?.store({ group: 'crowd' }, i);
        assert.equal(ack?.online, MEMBERS);
      }
      await Promise.all(members.map((member) => member.until('all messages', () => member.inbox.length === MESSAGES)));
      const frames = (await framesOut()) - before;
      t.diagnostic(`${MESSAGES} messages to ${perNode} members: ${frames} frames from the home to its peers`);
      assert.ok(frames >= 2 * MESSAGES && frames <= 2 * MESSAGES + 20, `${frames} frames for ${MESSAGES} messages to two other nodes`);
      for (const member of members) assert.deepEqual(member.inbox.map(({ offset, data }) => [offset, data]), Array.from({ length: MESSAGES }, (_, i) => [i + 1, i]));
      await Promise.all(members.map((member) => member.close()));
    });

    test('to everybody, on every node, once, and only by those who may', async () => {
      const people = await inWaves(names(30, 'citizen-'), (user) => ring.connect(user, { claims: {} }));
      assert.equal(new Set(people.map(({ node }) => node)).size, 3);
      const mayor = await ring.connect('mayor', { claims: { permissions: ['broadcast'] } });
      for (const to of [{ all: true }, { match: { role: 'teacher' } }]) {
        await assert.rejects(people[0].send(to, 'me too'), (error) => error instanceof RefusedError && error.code === 'forbidden' && !error.temporary);
      }
      const ack = await mayor.store({ all: true }, 'hear me');
      assert.deepEqual([ack.epoch, ack.offset], [undefined, undefined], 'it is never stored');
      await mayor.send({ all: true }, 'hear me again');
      for (const person of [...people, mayor]) {
        await person.until('both', () => person.inbox.length === 2);
        assert.deepEqual(person.inbox.map(({ topic, from, data, offset }) => [topic, from, data, offset]), [['*', 'mayor', 'hear me', undefined], ['*', 'mayor', 'hear me again', undefined]]);
        assert.notEqual(person.inbox[0].id, person.inbox[1].id);
      }
      await Promise.all(people.map((person) => person.close()));
    });

    test('to those whose attributes match, as they are and as one of several', async () => {
      const attributes = [
        { class: '3b', role: 'student', year: 3 }, { class: '3b', role: ['teacher', 'parent'], year: 3 }, { class: '3a', role: 'student', year: '3' },
        { class: ['3a', '3b'], role: 'teacher', vip: true }, {}, { year: [3, 4], vip: false },
      ];
      const people = await Promise.all(attributes.map((claims, i) => ring.connect(`attributed-${i}`, { claims: { ...claims, secret: 'x' } })));
      const speaker = await ring.connect('speaker', { claims: { permissions: ['broadcast'] } });
      const matches = /** @type {[object, number[]][]} */ ([
        [{ class: '3b' }, [0, 1, 3]], [{ class: '3b', role: 'student' }, [0]], [{ role: 'teacher' }, [1, 3]], [{ year: 3 }, [0, 1, 5]], [{ year: '3' }, [2]],
        [{ vip: true }, [3]], [{ vip: false }, [5]], [{ class: '9z' }, []], [{ secret: 'x' }, []],
      ]);
      for (const [match] of matches) await speaker.send({ match }, match);
      // Behind the last match on every node's way.
      await speaker.send({ all: true }, 'end');
      for (const [i, person] of people.entries()) {
        await person.until('the end', () => person.inbox.at(-1)?.data === 'end');
        assert.deepEqual(person.inbox.slice(0, -1).map(({ data }) => data), matches.filter(([, of]) => of.includes(i)).map(([match]) => match), JSON.stringify(attributes[i]));
      }
      for (const match of [{}, { class: null }, { class: ['3b'] }, { class: {} }, 'class', Object.fromEntries(names(17).map((name) => [name, 1]))]) {
        await assert.rejects(speaker.send({ match }, 1), (error) => error.code === 'bad_request', JSON.stringify(match));
      }
    });
  });
}

/** A condition that is met by a figure that stays as it is for a moment. @param {() => Promise<number>} figure */
function quiet(figure) {
  let [last, times] = [-1, 0];
  return async () => {
    const now = await figure();
    [times, last] = [now === last ? times + 1 : 0, now];
    return times >= 10 ? now : undefined;
  };
}
